//! Numbers that multiply whole arrays inside loops, taken out of what is linear: `κ/h (a - b)` for `κ(a/h - b/h)`. A step of diffusion,
//! and the step of its derivative, then multiply once and not at every face.

use crate::ir::{Binary, Builder, Func, Op, Reduce, Unary, Value, build};
use std::collections::HashMap;
use std::sync::Arc;

/// In the bodies of scans, at any depth. Products and sums are then taken in another, fixed order.
pub fn factors(f: &Func) -> Func {
    build::rebuild(f, &mut |op| match op {
        Op::Scan { body, length, carry, xs, reverse } => {
            Op::Scan { body: Arc::new(taken_out(&body)), length, carry, xs, reverse }
        }
        other => other,
    })
}

/// `weight · Π numbers · array`
#[derive(Clone)]
struct Scaled {
    weight: f64,
    /// Values without axes, in order.
    numbers: Vec<Value>,
    array: Value,
}

struct Taking {
    b: Builder,
    /// What has been multiplied out.
    whole: HashMap<(u64, Vec<Value>, Value), Value>,
}

fn taken_out(f: &Func) -> Func {
    let mut t = Taking { b: Builder::new(f.name.clone()), whole: HashMap::new() };
    let inputs: Vec<Value> = f.inputs.iter().map(|ty| t.b.input(ty.clone())).collect();
    let mut new: Vec<Vec<Scaled>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let args: Vec<&Scaled> = node.args.iter().map(|a| &new[a.index()][0]).collect();
        let of_arrays = node.types[0].dtype.is_float() && node.args.iter().all(|a| f.ty(*a).rank() > 0);
        let made = match &node.op {
            Op::Input(k) => vec![Scaled::plain(inputs[*k])],
            Op::Get(k) => vec![new[node.args[0].index()][*k].clone()],
            op => match if of_arrays { t.linear(op, &args) } else { None } {
                Some(scaled) => vec![scaled],
                None => {
                    let args: Vec<Value> = args.into_iter().map(|a| t.whole(a)).collect();
                    t.b.ops(op.clone(), &args).into_iter().map(Scaled::plain).collect()
                }
            },
        };
        new.push(made);
    }
    let outputs = f.outputs.iter().map(|v| t.whole(&new[v.index()][0])).collect();
    t.b.finish(outputs)
}

impl Scaled {
    fn plain(array: Value) -> Scaled {
        Scaled { weight: 1.0, numbers: vec![], array }
    }

    fn is_plain(&self) -> bool {
        self.weight == 1.0 && self.numbers.is_empty()
    }

    /// The same factors but for the sign.
    fn is_like(&self, other: &Scaled) -> bool {
        self.weight.abs() == other.weight.abs() && self.numbers == other.numbers
    }

    /// None where the weight leaves the range of numbers.
    fn times(&self, weight: f64, numbers: &[Value]) -> Option<Scaled> {
        let weight = self.weight * weight;
        let mut numbers = [&self.numbers, numbers].concat();
        numbers.sort();
        weight.is_normal().then_some(Scaled { weight, numbers, array: self.array })
    }
}

impl Taking {
    /// The result with its factors apart. None where there are none, or where they have to be multiplied out first.
    fn linear(&mut self, op: &Op, a: &[&Scaled]) -> Option<Scaled> {
        match op {
            Op::Unary(Unary::Neg) => a[0].times(-1.0, &[]),
            Op::Binary(Binary::Mul) => {
                for (x, other) in [(a[0], a[1]), (a[1], a[0])] {
                    if let Some((weight, numbers)) = self.repeated(other) {
                        return x.times(weight, &numbers);
                    }
                }
                if a[0].is_plain() && a[1].is_plain() {
                    return None;
                }
                let array = self.b.mul(a[0].array, a[1].array);
                Scaled { array, ..a[0].clone() }.times(a[1].weight, &a[1].numbers)
            }
            Op::Binary(Binary::Div) => match self.repeated(a[1])? {
                (weight, numbers) if numbers.is_empty() => a[0].times(1.0 / weight, &[]),
                _ => None,
            },
            Op::Binary(Binary::Add) => self.sum(a[0], a[1].clone()),
            Op::Binary(Binary::Sub) => self.sum(a[0], a[1].times(-1.0, &[])?),
            Op::Select => {
                let (model, arrays) = self.alike(&a[1..])?;
                let mask = self.whole(a[0]);
                Some(Scaled { array: self.b.select(mask, arrays[0], arrays[1]), ..model })
            }
            Op::Concat(axis) => {
                let (model, arrays) = self.alike(a)?;
                Some(Scaled { array: self.b.concat(&arrays, *axis), ..model })
            }
            Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Broadcast { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Reverse(_)
            | Op::Roll { .. }
            | Op::Rfft { .. }
            | Op::Irfft { .. }
            | Op::Reduce { kind: Reduce::Sum, .. }
                if !a[0].is_plain() =>
            {
                Some(Scaled { array: self.b.op(op.clone(), &[a[0].array]), ..a[0].clone() })
            }
            _ => None,
        }
    }

    /// The factors of an array all of whose elements are equal.
    fn repeated(&self, a: &Scaled) -> Option<(f64, Vec<Value>)> {
        if let Some(x) = self.b.splat(a.array) {
            let weight = a.weight * x;
            return weight.is_normal().then(|| (weight, a.numbers.clone()));
        }
        let mut v = a.array;
        while self.b.ty(v).rank() > 0 {
            let node = self.b.node(v);
            match node.op {
                Op::Broadcast { .. } | Op::Reshape(_) | Op::Slice { .. } => v = node.args[0],
                _ => return None,
            }
        }
        let mut numbers = a.numbers.clone();
        numbers.push(v);
        Some((a.weight, numbers))
    }

    fn is_zero(&self, a: &Scaled) -> bool {
        self.b.splat(a.array) == Some(0.0)
    }

    /// What the factors are alike in stays apart.
    fn sum(&mut self, x: &Scaled, y: Scaled) -> Option<Scaled> {
        match (self.is_zero(x), self.is_zero(&y)) {
            (_, true) => return Some(x.clone()),
            (true, _) => return Some(y),
            _ => {}
        }
        let (common, parts) = if x.is_like(&y) {
            let sign = |a: &Scaled| Scaled { weight: a.weight.signum(), numbers: vec![], array: a.array };
            (Scaled { weight: x.weight.abs(), ..x.clone() }, [sign(x), sign(&y)])
        } else if x.numbers == y.numbers {
            let alone = |a: &Scaled| Scaled { numbers: vec![], ..a.clone() };
            (Scaled { weight: 1.0, ..x.clone() }, [alone(x), alone(&y)])
        } else {
            (Scaled::plain(x.array), [x.clone(), y])
        };
        let negative = parts.each_ref().map(|p| p.weight < 0.0);
        let [x, y] = parts.map(|p| self.whole(&Scaled { weight: p.weight.abs(), ..p }));
        let (sign, array) = match negative {
            [false, false] => (1.0, self.b.add(x, y)),
            [false, true] => (1.0, self.b.sub(x, y)),
            [true, false] => (1.0, self.b.sub(y, x)),
            [true, true] => (-1.0, self.b.add(x, y)),
        };
        Scaled { array, ..common }.times(sign, &[])
    }

    /// Factors that all have but for the sign, those of the largest, and the arrays without them. None where they differ.
    fn alike(&mut self, a: &[&Scaled]) -> Option<(Scaled, Vec<Value>)> {
        let counts = a.iter().filter(|a| !self.is_zero(a));
        let model = (*counts.max_by_key(|a| self.b.ty(a.array).len())?).clone();
        if model.is_plain() || !a.iter().all(|a| a.is_like(&model) || self.is_zero(a)) {
            return None;
        }
        let arrays = a.iter().map(|a| match a.weight == model.weight || self.is_zero(a) {
            true => a.array,
            false => self.b.neg(a.array),
        });
        let arrays = arrays.collect();
        Some((model, arrays))
    }

    /// The array with its factors.
    fn whole(&mut self, a: &Scaled) -> Value {
        if a.is_plain() {
            return a.array;
        }
        let key = (a.weight.to_bits(), a.numbers.clone(), a.array);
        if let Some(&v) = self.whole.get(&key) {
            return v;
        }
        let made = match (a.weight, &a.numbers[..]) {
            (-1.0, []) => self.b.neg(a.array),
            (weight, []) => self.b.scale(a.array, weight),
            (weight, [first, rest @ ..]) => {
                let mut number = rest.iter().fold(*first, |p, n| self.b.mul(p, *n));
                if weight != 1.0 {
                    number = self.b.scale(number, weight);
                }
                self.b.mul(a.array, number)
            }
        };
        self.whole.insert(key, made);
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Tensor, Type};

    /// u + h(κ(u₂ - u₁)/h - …) between cold walls, by faces: one product for κ and all weights, and a difference at each face.
    #[test]
    fn one_product_for_all_faces() {
        let n = 9;
        let mut b = Builder::new("step");
        let (u, k) = (b.input(Type::f64([n])), b.input(Type::f64([])));
        let ends = [b.slice(u, 0, 0, 1), b.slice(u, 0, n - 1, n)].map(|v| b.neg(v));
        let wide = b.concat(&[ends[0], u, ends[1]], 0);
        let (left, right) = (b.slice(wide, 0, 0, n + 1), b.slice(wide, 0, 1, n + 2));
        let (left, right) = (b.scale(left, -8.0), b.scale(right, 8.0));
        let slope = b.add(left, right);
        let flux = b.mul(slope, k);
        let flux = b.neg(flux);
        let (before, behind) = (b.slice(flux, 0, 0, n), b.slice(flux, 0, 1, n + 1));
        let (before, behind) = (b.scale(before, -8.0), b.scale(behind, 8.0));
        let away = b.add(before, behind);
        let gained = b.scale(away, -0.001);
        let next = b.add(u, gained);
        let body = b.finish(vec![next]);
        let g = taken_out(&body);
        let arrays =
            |g: &Func, op: fn(&Op) -> bool| g.nodes.iter().filter(|n| n.types[0].len() > 1 && op(&n.op)).count();
        assert_eq!(arrays(&g, |op| matches!(op, Op::Binary(Binary::Mul))), 1, "{g:?}");
        assert_eq!(arrays(&g, |op| matches!(op, Op::Binary(_))), 4, "{g:?}");
        let inputs =
            [Tensor::f64([n], (0..n).map(|i| (i * i % 7) as f64).collect::<Vec<_>>()), Tensor::f64([], vec![0.3])];
        let (x, y) = (eval(&body, &inputs).unwrap(), eval(&g, &inputs).unwrap());
        for (x, y) in x[0].to_f64().iter().zip(y[0].to_f64().iter()) {
            assert!((x - y).abs() < 1e-14, "{x} {y}");
        }
    }
}
