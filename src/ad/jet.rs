//! Taylor mode: all derivatives of a function along a curve up to some order, at a cost that grows with the square of the
//! order where nested forward mode doubles each time. Meant for the high derivatives that PDE residuals of nets need.
//! [Griewank & Walther, Evaluating Derivatives, 2nd ed., §13; Bettencourt, Johnson & Duvenaud 2019]

use super::jvp::{extremum, sum};
use crate::ir::{Binary, Builder, Compare, DType, Func, Op, Reduce, Unary, Value};
use std::sync::Arc;

/// Coefficients of t, t², … of a quantity `x + c₁ t + c₂ t² + …` (no factorials). `None` is zero by structure.
pub type Series = Vec<Option<Value>>;

/// Copies `f` into `b` with its arguments along the curves `args + series`, each of `order` coefficients. Gives the outputs
/// and their series. The error names what has no Taylor rule (`Scan`, `Solve`, …: use nested [`super::jvp_into`] there).
pub fn jet_into(
    b: &mut Builder,
    f: &Func,
    args: &[Value],
    series: &[Series],
    order: usize,
) -> Result<(Vec<Value>, Vec<Series>), String> {
    assert!(series.iter().all(|s| s.len() == order), "compiler bug: a series of another order in `{}`", f.name);
    let mut jets: Vec<Vec<Jet>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let results = match &node.op {
            Op::Input(k) => vec![std::iter::once(Some(args[*k])).chain(series[*k].iter().copied()).collect()],
            Op::Get(k) => vec![jets[node.args[0].index()][*k].clone()],
            op => {
                let a: Vec<&Jet> = node.args.iter().map(|v| &jets[v.index()][0]).collect();
                push(b, op, &a, order)?
            }
        };
        jets.push(results);
    }
    let outputs = f.outputs.iter().map(|v| &jets[v.index()][0]);
    Ok(outputs.map(|j| (value(j), j[1..].to_vec())).unzip())
}

/// The value and its series. The value is always there.
type Jet = Vec<Option<Value>>;

fn value(j: &Jet) -> Value {
    j[0].expect("compiler bug: a jet without its value")
}

fn push(b: &mut Builder, op: &Op, a: &[&Jet], order: usize) -> Result<Vec<Jet>, String> {
    let x: Vec<Value> = a.iter().map(|j| value(j)).collect();
    if a.iter().all(|j| j[1..].iter().all(|c| c.is_none())) {
        let constant = |v| std::iter::once(Some(v)).chain(std::iter::repeat_n(None, order)).collect();
        return Ok(b.ops(op.clone(), &x).into_iter().map(constant).collect());
    }
    if let Op::Map { body, n, mapped } = op {
        return map(b, body, *n, mapped, a, order);
    }
    let y = b.op(op.clone(), &x);
    let mut jet: Jet = vec![Some(y)];
    match op {
        Op::Input(_) | Op::Get(_) | Op::Map { .. } => unreachable!("compiler bug: handled by the caller"),
        Op::Const(_) | Op::Iota { .. } | Op::Compare(_) | Op::Unary(Unary::Sign | Unary::Floor) => {
            jet.resize(order + 1, None);
        }
        Op::Unary(f) => unary(b, *f, a[0], &mut jet, order),
        Op::Binary(f) => binary(b, *f, a[0], a[1], &mut jet, order),
        Op::Select => (1..=order).for_each(|k| jet.push(select(b, x[0], a[1][k], a[2][k]))),
        Op::Cast(DType::Index) => jet.resize(order + 1, None),
        Op::Cast(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Reverse(_)
        | Op::Roll { .. }
        | Op::Rfft { .. }
        | Op::Irfft { .. }
        | Op::Reduce { kind: Reduce::Sum, .. } => {
            (1..=order).for_each(|k| jet.push(a[0][k].map(|c| b.op(op.clone(), &[c]))));
        }
        Op::Concat(_) => {
            for k in 1..=order {
                let parts: Vec<Value> = a.iter().map(|j| j[k].unwrap_or_else(|| b.zeros_like(value(j)))).collect();
                jet.push(a.iter().any(|j| j[k].is_some()).then(|| b.op(op.clone(), &parts)));
            }
        }
        Op::Reduce { kind: Reduce::Max | Reduce::Min, axes } => {
            (1..=order).for_each(|k| jet.push(a[0][k].map(|c| extremum(b, axes, x[0], y, c))));
        }
        Op::Dot(d) => {
            for k in 1..=order {
                jet.push(convolve(b, a[0], a[1], 0..=k, k, &mut |b, l, r| b.dot(l, r, d.clone())));
            }
        }
        Op::Gather => (1..=order).for_each(|k| jet.push(a[0][k].map(|c| b.gather(c, x[1])))),
        Op::ScatterAdd { size } => (1..=order).for_each(|k| jet.push(a[1][k].map(|c| b.scatter_add(*size, x[0], c)))),
        Op::Scan { .. } => return Err("a Taylor series through `Scan`".into()),
        Op::Cond { .. } => return Err("a Taylor series through `Cond`".into()),
        Op::Memo { .. } => return Err("a Taylor series through `Memo`".into()),
        Op::Solve { spec, .. } | Op::LinearSolve { spec, .. } => {
            return Err(format!("a Taylor series through the solve `{}`", spec.name));
        }
    }
    Ok(vec![jet])
}

// ---- rules: each appends the coefficients of t, t², … to `y`

fn unary(b: &mut Builder, f: Unary, x: &Jet, y: &mut Jet, order: usize) {
    match f {
        Unary::Sign | Unary::Floor => unreachable!("compiler bug: handled by the caller"),
        Unary::Neg => (1..=order).for_each(|k| y.push(x[k].map(|c| b.neg(c)))),
        Unary::Abs => {
            let s = b.unary(Unary::Sign, value(x));
            (1..=order).for_each(|k| y.push(x[k].map(|c| b.mul(s, c))));
        }
        Unary::Sqrt => {
            // y² = x
            let twice = b.add(value(y), value(y));
            for (k, &x) in x.iter().enumerate().skip(1) {
                let inner = convolve(b, y, y, 1..=k - 1, k, &mut Builder::mul);
                let rest = difference(b, x, inner);
                y.push(rest.map(|r| b.div(r, twice)));
            }
        }
        // The others solve y' = g x', where the series of g is known as far as that of y.
        Unary::Exp => (1..=order).for_each(|k| {
            let c = integral(b, x, y, k);
            y.push(c);
        }),
        Unary::Log => {
            let g = reciprocal(b, x, order);
            (1..=order).for_each(|k| y.push(integral(b, x, &g, k)));
        }
        Unary::Sin | Unary::Cos => {
            let other = b.unary(if f == Unary::Sin { Unary::Cos } else { Unary::Sin }, value(x));
            let (mut s, mut c) =
                if f == Unary::Sin { (y.clone(), vec![Some(other)]) } else { (vec![Some(other)], y.clone()) };
            for k in 1..=order {
                let (next, minus) = (integral(b, x, &c, k), integral(b, x, &s, k));
                s.push(next);
                c.push(minus.map(|m| b.neg(m)));
            }
            *y = if f == Unary::Sin { s } else { c };
        }
        Unary::Tanh => {
            let (one, square) = (b.full_like(value(y), 1.0), b.mul(value(y), value(y)));
            let mut g = vec![Some(b.sub(one, square))];
            for k in 1..=order {
                let c = integral(b, x, &g, k);
                y.push(c);
                let square = convolve(b, y, y, 0..=k, k, &mut Builder::mul);
                g.push(square.map(|s| b.neg(s)));
            }
        }
        Unary::Atan => {
            let mut d = square(b, x, order);
            let one = b.full_like(value(x), 1.0);
            d[0] = sum(b, d[0], Some(one));
            let g = reciprocal(b, &d, order);
            (1..=order).for_each(|k| y.push(integral(b, x, &g, k)));
        }
        Unary::Erf => {
            let minus: Jet = square(b, x, order).into_iter().map(|c| c.map(|c| b.neg(c))).collect();
            let mut g = vec![Some(b.unary(Unary::Exp, value(&minus)))];
            (1..=order).for_each(|k| {
                let c = integral(b, &minus, &g, k);
                g.push(c);
            });
            for k in 1..=order {
                let c = integral(b, x, &g, k);
                y.push(c.map(|c| b.scale(c, std::f64::consts::FRAC_2_SQRT_PI)));
            }
        }
    }
}

fn binary(b: &mut Builder, f: Binary, l: &Jet, r: &Jet, y: &mut Jet, order: usize) {
    match f {
        Binary::Add => (1..=order).for_each(|k| y.push(sum(b, l[k], r[k]))),
        Binary::Sub => (1..=order).for_each(|k| y.push(difference(b, l[k], r[k]))),
        Binary::Mul => (1..=order).for_each(|k| y.push(convolve(b, l, r, 0..=k, k, &mut Builder::mul))),
        Binary::Div => {
            // y r = l
            for (k, &l) in l.iter().enumerate().skip(1) {
                let inner = convolve(b, r, y, 1..=k, k, &mut Builder::mul);
                let rest = difference(b, l, inner);
                y.push(rest.map(|c| b.div(c, value(r))));
            }
        }
        Binary::Pow if r[1..].iter().all(|c| c.is_none()) => power(b, l, value(r), y, order),
        Binary::Pow => {
            // e^(r log l)
            let log = b.unary(Unary::Log, value(l));
            let mut logs = vec![Some(log)];
            unary(b, Unary::Log, l, &mut logs, order);
            let exponent: Jet = (0..=order).map(|k| convolve(b, r, &logs, 0..=k, k, &mut Builder::mul)).collect();
            unary(b, Unary::Exp, &exponent, y, order);
        }
        Binary::Min | Binary::Max => {
            let (small, large) = if f == Binary::Min { (l, r) } else { (r, l) };
            let left = b.compare(Compare::Lt, value(small), value(large));
            (1..=order).for_each(|k| y.push(select(b, left, l[k], r[k])));
        }
        Binary::Atan2 => {
            // θ' = (x y' - y x') / (x² + y²), for the point (x, y) = (r, l)
            let (xx, yy) = (square(b, r, order), square(b, l, order));
            let d: Jet = xx.into_iter().zip(yy).map(|(x, y)| sum(b, x, y)).collect();
            let g = reciprocal(b, &d, order);
            let slope = |b: &mut Builder, v: &Jet| -> Jet {
                (0..=order).map(|k| convolve(b, v, &g, 0..=k, k, &mut Builder::mul)).collect()
            };
            let (of_y, of_x) = (slope(b, r), slope(b, l));
            for k in 1..=order {
                let (up, down) = (integral(b, l, &of_y, k), integral(b, r, &of_x, k));
                y.push(difference(b, up, down));
            }
        }
    }
}

/// `x y' = p x' y` for a constant exponent: `k x₀ y_k = Σ_{i=1}^{k} (p i - (k - i)) x_i y_{k-i}`.
fn power(b: &mut Builder, x: &Jet, p: Value, y: &mut Jet, order: usize) {
    for k in 1..=order {
        let mut total = None;
        for i in 1..=k {
            let (Some(c), Some(d)) = (x[i], y[k - i]) else { continue };
            let weight = b.scale(p, i as f64);
            let less = b.full_like(p, (k - i) as f64);
            let weight = b.sub(weight, less);
            let product = b.mul(c, d);
            let term = b.mul(weight, product);
            total = sum(b, total, Some(term));
        }
        y.push(total.map(|t| {
            let q = b.div(t, value(x));
            b.scale(q, 1.0 / k as f64)
        }));
    }
}

// ---- series

/// `Σ lᵢ r_{k-i}` over i in `range`.
fn convolve(
    b: &mut Builder,
    l: &Jet,
    r: &Jet,
    range: std::ops::RangeInclusive<usize>,
    k: usize,
    product: &mut dyn FnMut(&mut Builder, Value, Value) -> Value,
) -> Option<Value> {
    let mut total = None;
    for i in range {
        if let (Some(l), Some(r)) = (l[i], r[k - i]) {
            let term = product(b, l, r);
            total = sum(b, total, Some(term));
        }
    }
    total
}

/// The k-th coefficient of ∫ g x' dt.
fn integral(b: &mut Builder, x: &Jet, g: &Jet, k: usize) -> Option<Value> {
    let mut total = None;
    for i in 1..=k {
        if let (Some(c), Some(g)) = (x[i], g[k - i]) {
            let p = b.mul(c, g);
            let term = b.scale(p, i as f64 / k as f64);
            total = sum(b, total, Some(term));
        }
    }
    total
}

fn reciprocal(b: &mut Builder, x: &Jet, order: usize) -> Jet {
    let one = b.full_like(value(x), 1.0);
    let first = b.div(one, value(x));
    let mut y = vec![Some(first)];
    for k in 1..=order {
        let inner = convolve(b, x, &y, 1..=k, k, &mut Builder::mul);
        y.push(inner.map(|c| {
            let p = b.mul(c, first);
            b.neg(p)
        }));
    }
    y
}

fn square(b: &mut Builder, x: &Jet, order: usize) -> Jet {
    (0..=order).map(|k| convolve(b, x, x, 0..=k, k, &mut Builder::mul)).collect()
}

fn difference(b: &mut Builder, l: Option<Value>, r: Option<Value>) -> Option<Value> {
    match (l, r) {
        (Some(l), Some(r)) => Some(b.sub(l, r)),
        (None, Some(r)) => Some(b.neg(r)),
        (l, None) => l,
    }
}

fn select(b: &mut Builder, mask: Value, l: Option<Value>, r: Option<Value>) -> Option<Value> {
    let zero = b.zeros_like(l.or(r)?);
    Some(b.select(mask, l.unwrap_or(zero), r.unwrap_or(zero)))
}

/// The body takes the coefficients that are there as further arguments and gives those of its results.
fn map(b: &mut Builder, body: &Func, n: usize, mapped: &[bool], a: &[&Jet], order: usize) -> Result<Vec<Jet>, String> {
    let mut inner = Builder::new(body.name.clone());
    let inputs: Vec<Value> = body.inputs.iter().map(|t| inner.input(t.clone())).collect();
    let (mut args, mut flags) = (a.iter().map(|j| value(j)).collect::<Vec<_>>(), mapped.to_vec());
    let mut series = vec![];
    for (k, jet) in a.iter().enumerate() {
        let mut own = vec![];
        for c in &jet[1..] {
            own.push(c.map(|c| {
                args.push(c);
                flags.push(mapped[k]);
                inner.input(body.inputs[k].clone())
            }));
        }
        series.push(own);
    }
    let (mut outputs, out) = jet_into(&mut inner, body, &inputs, &series, order)?;
    outputs.extend(out.iter().flatten().filter_map(|c| *c));
    let results = b.map(Arc::new(inner.finish(outputs)), n, flags, &args);
    let (values, mut rest) = (&results[..out.len()], results[out.len()..].iter());
    let jet = |(v, s): (&Value, &Series)| {
        let own = s.iter().map(|c| c.map(|_| *rest.next().expect("counted")));
        std::iter::once(Some(*v)).chain(own.collect::<Vec<_>>()).collect()
    };
    Ok(values.iter().zip(&out).map(jet).collect())
}

#[cfg(test)]
mod tests {
    use super::super::jvp;
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Tensor, Type};

    /// `f(x)` of three numbers along `x + t·1`, by Taylor mode and by nested forward mode, to fourth order.
    fn compare(name: &str, build: impl Fn(&mut Builder, Value) -> Value) {
        let order = 4;
        let mut b = Builder::new(name);
        let x = b.input(Type::f64([3]));
        let y = build(&mut b, x);
        let f = b.finish(vec![y]);
        let mut b = Builder::new("jet");
        let x = b.input(Type::f64([3]));
        let one = b.full(&Type::f64([3]), 1.0);
        let mut series = vec![None; order];
        series[0] = Some(one);
        let (y, s) = jet_into(&mut b, &f, &[x], &[series], order).unwrap();
        let mut outputs = y.clone();
        outputs.extend(s[0].iter().map(|c| c.unwrap_or_else(|| b.zeros_like(y[0]))).collect::<Vec<_>>());
        let jet = b.finish(outputs);

        let x = Tensor::f64([3], [0.3, 0.8, 1.4]);
        let found = eval(&jet, std::slice::from_ref(&x)).unwrap();
        let (mut g, mut factorial) = (f, 1.0);
        for (k, found) in found.iter().enumerate() {
            let reference = eval(&g, std::slice::from_ref(&x)).unwrap()[0].to_f64();
            for (c, r) in found.to_f64().into_iter().zip(&reference) {
                assert!(
                    (c * factorial - r).abs() < 1e-10 * r.abs().max(1.0),
                    "{name}: order {k}: {} is not {r}",
                    c * factorial
                );
            }
            factorial *= k as f64 + 1.0;
            // The derivative along 1.
            let d = jvp(&g, &[0]);
            let mut b = Builder::new("derivative");
            let x = b.input(Type::f64([3]));
            let one = b.full(&Type::f64([3]), 1.0);
            let out = b.inline(&d, &[x, one]);
            g = b.finish(vec![out[1]]);
        }
    }

    #[test]
    fn every_pointwise_rule() {
        use Unary::*;
        for f in [Neg, Abs, Sign, Floor, Sqrt, Exp, Log, Sin, Cos, Tanh, Atan, Erf] {
            compare(&format!("{f:?}"), |b, x| {
                let square = b.mul(x, x);
                let inner = b.add(square, x);
                b.unary(f, inner)
            });
        }
        for f in
            [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Pow, Binary::Min, Binary::Max, Binary::Atan2]
        {
            compare(&format!("{f:?}"), |b, x| {
                let (s, e) = (b.unary(Sin, x), b.unary(Exp, x));
                b.binary(f, e, s)
            });
            compare(&format!("{f:?} of a constant"), |b, x| {
                let (e, c) = (b.unary(Exp, x), b.full(&Type::f64([3]), 2.3));
                b.binary(f, e, c)
            });
        }
    }

    #[test]
    fn nets_and_maps() {
        compare("net", |b, x| {
            let w = b.constant(Tensor::f64([3, 3], [0.3, -0.2, 0.5, 0.7, 0.1, -0.4, 0.2, 0.6, -0.1]));
            let y = b.matmul(w, x);
            let t = b.unary(Unary::Tanh, y);
            let y = b.matmul(w, t);
            b.mul(y, y)
        });
        compare("map", |b, x| {
            let mut inner = Builder::new("item");
            let (a, c) = (inner.input(Type::f64([])), inner.input(Type::f64([3])));
            let s = inner.sum_all(c);
            let p = inner.mul(a, s);
            let y = inner.unary(Unary::Sin, p);
            let body = Arc::new(inner.finish(vec![y]));
            b.map(body, 3, vec![true, false], &[x, x])[0]
        });
    }
}
