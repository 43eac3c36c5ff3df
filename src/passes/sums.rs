//! Sums over a grid that a loop adds up step by step (derivatives with respect to parameters): added up point by point, and summed
//! once after the loop. The steps are then pointwise but for shifts, and can be taken many at a time.

use crate::ir::{Binary, Builder, Func, Op, Reduce, Type, Unary, Value, build};
use std::sync::Arc;

/// In loops at any depth whose state is an array over the same points. Sums are then taken in another, fixed order.
pub fn sums(f: &Func) -> Func {
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut new: Vec<Vec<Value>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let op = build::with_bodies(&node.op, &mut |body| Arc::new(sums(body)));
        let args = || node.args.iter().map(|a| new[a.index()][0]).collect::<Vec<Value>>();
        let made = match op {
            Op::Input(k) => vec![inputs[k]],
            Op::Get(k) => vec![new[node.args[0].index()][k]],
            Op::Scan { body, length, carry, xs, reverse } => {
                let args = args();
                scan(&mut b, &body, (length, carry, xs, reverse), &args)
            }
            op => {
                let args = args();
                b.ops(op, &args)
            }
        };
        new.push(made);
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()][0]).collect())
}

/// A carried number that only grows by a sum.
struct Growing {
    carry: usize,
    /// `carry + Σ`, which is no longer made.
    output: Value,
    /// What is summed: arrays, each times numbers of the body.
    terms: Vec<Term>,
    /// Of the array that is carried instead.
    to: Type,
}

#[derive(Clone)]
struct Term {
    negative: bool,
    factors: Vec<Value>,
    array: Value,
}

/// Numbers of one loop that are treated so, at most: each takes memory.
const MOST: usize = 4;

fn scan(b: &mut Builder, body: &Arc<Func>, dims: (usize, usize, usize, bool), args: &[Value]) -> Vec<Value> {
    let (length, carry, xs, reverse) = dims;
    let growing: Vec<Growing> = (0..carry).filter_map(|k| growing(body, k, carry)).take(MOST).collect();
    if growing.is_empty() {
        return b.ops(Op::Scan { body: body.clone(), length, carry, xs, reverse }, args);
    }
    let mut args = args.to_vec();
    let starts: Vec<Value> = growing.iter().map(|g| args[g.carry]).collect();
    for g in &growing {
        args[g.carry] = b.zeros(&g.to);
    }
    let body = Arc::new(pointwise(body, &growing));
    let mut out = b.ops(Op::Scan { body, length, carry, xs, reverse }, &args);
    for (g, start) in growing.iter().zip(starts) {
        let axes = (0..g.to.rank()).collect();
        let sum = b.op(Op::Reduce { kind: Reduce::Sum, axes }, &[out[g.carry]]);
        out[g.carry] = b.add(start, sum);
    }
    out
}

fn growing(body: &Func, k: usize, carry: usize) -> Option<Growing> {
    let output = body.outputs[k];
    if !body.inputs[k].is_scalar() || body.outputs.iter().filter(|v| **v == output).count() > 1 {
        return None;
    }
    let node = body.node(output);
    let is_carried = |v: Value| matches!(body.node(v).op, Op::Input(j) if j == k);
    let (own, rest) = match (&node.op, &node.args[..]) {
        (Op::Binary(Binary::Add), &[x, y]) if is_carried(x) => (x, y),
        (Op::Binary(Binary::Add), &[x, y]) if is_carried(y) => (y, x),
        _ => return None,
    };
    let users = |of: Value| body.nodes.iter().flat_map(|n| &n.args).filter(|a| **a == of).count();
    if own == rest || users(own) != 1 || users(output) != 0 || body.outputs.contains(&own) {
        return None;
    }
    let mut terms = vec![];
    decompose(body, rest, Term { negative: false, factors: vec![], array: rest }, &mut terms)?;
    let fits = |to: &&Type| terms.iter().all(|t| fits(body.ty(t.array), to));
    let to = body.inputs[..carry].iter().find(fits)?.clone();
    Some(Growing { carry: k, output, terms, to })
}

/// Whether an array lies over the points of a state, or over the faces between them, of which there are some more or fewer.
fn fits(from: &Type, to: &Type) -> bool {
    /// Faces beside the points along an axis, at most.
    const BESIDE: usize = 2;
    let near = |from: &[usize], to: &[usize]| {
        from.iter().zip(to).all(|(&n, &m)| n == m || n.abs_diff(m) <= BESIDE && n > 0 && m > 2 * BESIDE)
    };
    let points = match to.rank().checked_sub(from.rank()) {
        Some(0) if to.shape == from.shape => return to.dtype == from.dtype && !to.shape.is_empty(),
        Some(0) => &to.shape[..],
        Some(1) => &to.shape[1..],
        _ => return false,
    };
    to.dtype == from.dtype && near(&from.shape, points)
}

/// A number as sums over arrays times numbers. None where it is something else, too.
fn decompose(f: &Func, v: Value, so_far: Term, out: &mut Vec<Term>) -> Option<()> {
    let node = f.node(v);
    match (&node.op, &node.args[..]) {
        (Op::Reduce { kind: Reduce::Sum, axes }, &[x]) if axes.len() == f.ty(x).rank() && f.ty(x).rank() > 0 => {
            out.push(Term { array: x, ..so_far });
            Some(())
        }
        (Op::Unary(Unary::Neg), &[x]) => decompose(f, x, Term { negative: !so_far.negative, ..so_far }, out),
        (Op::Reshape(_), &[x]) if f.ty(x).is_scalar() => decompose(f, x, so_far, out),
        (Op::Binary(Binary::Add), &[x, y]) => {
            decompose(f, x, so_far.clone(), out)?;
            decompose(f, y, so_far, out)
        }
        (Op::Binary(Binary::Sub), &[x, y]) => {
            decompose(f, x, so_far.clone(), out)?;
            decompose(f, y, Term { negative: !so_far.negative, ..so_far }, out)
        }
        (Op::Binary(Binary::Mul), &[x, y]) => [(x, y), (y, x)].into_iter().find_map(|(factor, sum)| {
            let mut found = vec![];
            let mut term = so_far.clone();
            term.factors.push(factor);
            decompose(f, sum, term, &mut found)?;
            out.append(&mut found);
            Some(())
        }),
        _ => None,
    }
}

/// The body with arrays in place of the numbers.
fn pointwise(body: &Func, growing: &[Growing]) -> Func {
    let mut b = Builder::new(body.name.clone());
    let inputs: Vec<Value> = body
        .inputs
        .iter()
        .enumerate()
        .map(|(k, ty)| b.input(growing.iter().find(|g| g.carry == k).map_or(ty, |g| &g.to).clone()))
        .collect();
    let mut new: Vec<Vec<Value>> = Vec::with_capacity(body.nodes.len());
    for (v, node) in body.values() {
        new.push(match &node.op {
            Op::Input(k) => vec![inputs[*k]],
            Op::Get(k) => vec![new[node.args[0].index()][*k]],
            // Made below.
            _ if growing.iter().any(|g| g.output == v) => vec![],
            op => {
                let args: Vec<Value> = node.args.iter().map(|a| new[a.index()][0]).collect();
                b.ops(op.clone(), &args)
            }
        });
    }
    let outputs = body.outputs.iter().enumerate().map(|(k, v)| match growing.iter().find(|g| g.carry == k) {
        None => new[v.index()][0],
        Some(g) => g.terms.iter().fold(inputs[k], |sum, term| {
            let mut x = new[term.array.index()][0];
            for factor in &term.factors {
                let shape = b.ty(x).shape.clone();
                let factor = b.broadcast_to(new[factor.index()][0], &shape);
                x = b.mul(factor, x);
            }
            parts_over(&mut b, x, &g.to.shape).into_iter().fold(sum, |sum, x| match term.negative {
                true => b.sub(sum, x),
                false => b.add(sum, x),
            })
        }),
    });
    let outputs = outputs.collect();
    b.finish(outputs)
}

/// Arrays of a shape that have the sum of `x` together: where that has fewer points, zeros behind them; where it has more, the further
/// ones apart, at the last points of the others, since near the ends loops are apart anyway.
fn parts_over(b: &mut Builder, x: Value, shape: &[usize]) -> Vec<Value> {
    let components = shape.len() - b.ty(x).rank();
    let mut parts = vec![x];
    for (axis, &n) in shape[components..].iter().enumerate() {
        let mut next = vec![];
        for x in parts {
            let from = b.ty(x).shape[axis];
            let mut at = |b: &mut Builder, x: Value, low: usize, high: usize| {
                let (mut before, mut behind) = (vec![0; shape.len() - components], vec![0; shape.len() - components]);
                (before[axis], behind[axis]) = (low, high);
                let interior = vec![0; before.len()];
                next.push(b.op(Op::Pad { low: before, high: behind, interior }, &[x]));
            };
            if from < n {
                at(b, x, 0, n - from);
            } else if from > n {
                let further = b.slice(x, axis, n, from);
                at(b, further, 2 * n - from, 0);
                next.push(b.slice(x, axis, 0, n));
            } else {
                next.push(x);
            }
        }
        parts = next;
    }
    if components == 1 {
        // One component; the others stay zero.
        for x in &mut parts {
            *x = b.reshape(*x, &[&[1], &shape[1..]].concat());
            if shape[0] > 1 {
                let (low, interior) = (vec![0; shape.len()], vec![0; shape.len()]);
                let mut high = low.clone();
                high[0] = shape[0] - 1;
                *x = b.op(Op::Pad { low, high, interior }, &[*x]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Tensor, verify::verify};

    /// u ← u + a·roll(u), s ← s - 3 Σ u²: the sum of 5 steps, and the state.
    #[test]
    fn a_sum_over_points_and_steps() {
        let n = [6, 4];
        let mut step = Builder::new("step");
        let (u, s) = (step.input(Type::f64(n)), step.input(Type::f64([])));
        let a = step.input(Type::f64([]));
        let moved = step.op(Op::Roll { axis: 0, shift: 1 }, &[u]);
        let wide = step.broadcast_to(a, &n);
        let gained = step.mul(wide, moved);
        let next = step.add(u, gained);
        let square = step.mul(u, u);
        let sum = step.op(Op::Reduce { kind: Reduce::Sum, axes: vec![0, 1] }, &[square]);
        let three = step.scalar(3.0);
        let sum = step.mul(three, sum);
        let minus = step.neg(sum);
        let same = step.add(s, minus);
        let body = Arc::new(step.finish(vec![next, same]));
        let mut b = Builder::new("run");
        let (u, s, a) = (b.input(Type::f64(n)), b.input(Type::f64([])), b.input(Type::f64([])));
        let out = b.ops(Op::Scan { body, length: 5, carry: 2, xs: 0, reverse: false }, &[u, s, a]);
        let f = b.finish(out);
        let g = sums(&crate::ir::build::drop_dead(f.clone()));
        verify(&g).expect("valid");
        let carries = g.nodes.iter().any(|n| matches!(&n.op, Op::Scan { body, .. } if body.inputs[1].rank() == 2));
        assert!(carries, "{g:?}");
        let inputs = [
            Tensor::f64(n, (0..24).map(|i| (i * i % 7) as f64 * 0.25).collect::<Vec<_>>()),
            Tensor::f64([], vec![2.0]),
            Tensor::f64([], vec![0.125]),
        ];
        let (x, y) = (eval(&f, &inputs).unwrap(), eval(&g, &inputs).unwrap());
        // Quarters and eighths: no rounding in either order.
        x.iter().zip(&y).for_each(|(x, y)| assert_eq!(x.to_f64(), y.to_f64()));
    }
}
