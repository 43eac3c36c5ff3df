//! Rules for operations that move or gather data: merging them, and moving work to the smaller side.

use super::put;
use crate::ir::{Binary, Builder, Dot, Node, Op, Reduce, Tensor, Type, Value};

/// Elements from which on an operation less on all of them counts.
const LARGE: usize = 1024;

pub fn transpose(b: &mut Builder, perm: &[usize], x: Value) -> Option<Value> {
    let node = b.node(x).clone();
    let from = b.ty(x).shape.clone();
    match &node.op {
        Op::Transpose(inner) => {
            let both = perm.iter().map(|&p| inner[p]).collect();
            Some(put(b, Op::Transpose(both), &node.args))
        }
        Op::Broadcast { axes, .. } => {
            let place = |a: &usize| perm.iter().position(|p| p == a).expect("a permutation");
            let places: Vec<usize> = axes.iter().map(place).collect();
            let mut order: Vec<usize> = (0..places.len()).collect();
            order.sort_by_key(|&i| places[i]);
            let inner = put(b, Op::Transpose(order.clone()), &node.args);
            let shape = perm.iter().map(|&p| from[p]).collect();
            Some(b.op(Op::Broadcast { shape, axes: order.iter().map(|&i| places[i]).collect() }, &[inner]))
        }
        // Only axes of extent 1 move: the elements stay where they are.
        _ => {
            let moved: Vec<usize> = perm.iter().copied().filter(|&p| from[p] != 1).collect();
            let still = moved.windows(2).all(|w| w[0] < w[1]) && !perm.windows(2).all(|w| w[0] < w[1]);
            still.then(|| b.reshape(x, &perm.iter().map(|&p| from[p]).collect::<Vec<_>>()))
        }
    }
}

pub fn slice(b: &mut Builder, start: &[usize], end: &[usize], stride: &[usize], x: Value) -> Option<Value> {
    let Node { op, args, .. } = b.node(x).clone();
    let rank = start.len();
    match op {
        Op::Slice { start: s, stride: t, .. } => {
            let len = |i: usize| (end[i] - start[i]).div_ceil(stride[i]);
            if (0..rank).any(|i| len(i) == 0) {
                return None;
            }
            let first: Vec<usize> = (0..rank).map(|i| s[i] + start[i] * t[i]).collect();
            let step: Vec<usize> = (0..rank).map(|i| t[i] * stride[i]).collect();
            let last = (0..rank).map(|i| first[i] + (len(i) - 1) * step[i] + 1).collect();
            Some(put(b, Op::Slice { start: first, end: last, stride: step }, &args))
        }
        Op::Concat(axis) => {
            let mut at = 0;
            for part in args {
                let n = b.ty(part).shape[axis];
                if at <= start[axis] && end[axis] <= at + n {
                    let (mut s, mut e) = (start.to_vec(), end.to_vec());
                    (s[axis], e[axis]) = (start[axis] - at, end[axis] - at);
                    return Some(put(b, Op::Slice { start: s, end: e, stride: stride.to_vec() }, &[part]));
                }
                at += n;
            }
            None
        }
        Op::Broadcast { axes, .. } => {
            let of = |v: &[usize]| axes.iter().map(|&a| v[a]).collect::<Vec<_>>();
            let inner = put(b, Op::Slice { start: of(start), end: of(end), stride: of(stride) }, &args);
            let shape = (0..rank).map(|i| (end[i] - start[i]).div_ceil(stride[i])).collect();
            Some(b.op(Op::Broadcast { shape, axes }, &[inner]))
        }
        Op::Pad { low, interior, .. } => {
            let from = b.ty(args[0]).shape.clone();
            let inside = (0..rank).all(|i| interior[i] == 0 && low[i] <= start[i] && end[i] <= low[i] + from[i]);
            let less = |v: &[usize]| (0..rank).map(|i| v[i] - low[i]).collect::<Vec<_>>();
            if inside {
                return Some(put(b, Op::Slice { start: less(start), end: less(end), stride: stride.to_vec() }, &args));
            }
            // Nothing but what was put around it.
            let outside = (0..rank).any(|i| interior[i] == 0 && (end[i] <= low[i] || low[i] + from[i] <= start[i]));
            outside.then(|| {
                let shape: Vec<usize> = (0..rank).map(|i| (end[i] - start[i]).div_ceil(stride[i])).collect();
                b.zeros(&Type::new(b.ty(x).dtype, shape))
            })
        }
        // The rest is not moved.
        Op::Transpose(perm) => {
            let mut inner = [start, end, stride].map(<[usize]>::to_vec);
            for (inner, outer) in inner.iter_mut().zip([start, end, stride]) {
                perm.iter().zip(outer).for_each(|(&from, &k)| inner[from] = k);
            }
            let [start, end, stride] = inner;
            let part = put(b, Op::Slice { start, end, stride }, &args);
            Some(put(b, Op::Transpose(perm), &[part]))
        }
        // Along axes before those that have another shape, of what was put together, moved or extended.
        Op::Reshape(to) if matches!(b.node(args[0]).op, Op::Concat(_) | Op::Transpose(_) | Op::Pad { .. }) => {
            let from = b.ty(args[0]).shape.clone();
            let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            let whole = (same..rank).all(|i| start[i] == 0 && end[i] == to[i] && stride[i] == 1);
            (whole && same > 0).then(|| {
                let along = |of: &[usize], rest: &[usize]| [&of[..same], &rest[same..]].concat();
                let (none, ones) = (vec![0; from.len()], vec![1; from.len()]);
                let (start, end, stride) = (along(start, &none), along(end, &from), along(stride, &ones));
                let part = put(b, Op::Slice { start, end, stride }, &args);
                let shape = [&b.ty(part).shape[..same], &to[same..]].concat();
                b.reshape(part, &shape)
            })
        }
        _ => None,
    }
}

/// Parts of parts are parts.
pub fn concat(b: &mut Builder, axis: usize, parts: &[Value]) -> Option<Value> {
    let inner = |b: &Builder, v: Value| match b.node(v) {
        Node { op: Op::Concat(a), args, .. } if *a == axis => Some(args.clone()),
        _ => None,
    };
    let nested = parts.iter().any(|&p| inner(b, p).is_some());
    let flat: Vec<Value> = parts.iter().flat_map(|&p| inner(b, p).unwrap_or(vec![p])).collect();
    nested.then(|| b.concat(&flat, axis))
}

pub fn reduce(b: &mut Builder, kind: Reduce, axes: &[usize], x: Value) -> Option<Value> {
    let Node { op, args, .. } = b.node(x).clone();
    let shape = b.ty(x).shape.clone();
    let kept: Vec<usize> = (0..shape.len()).filter(|i| !axes.contains(i)).collect();
    if axes.iter().all(|&a| shape[a] == 1) {
        return Some(b.reshape(x, &kept.iter().map(|&a| shape[a]).collect::<Vec<_>>()));
    }
    // The two halves of an array, such as real and imaginary parts: loops that read the sum compute it in place.
    if let ([axis], Reduce::Sum) = (axes, kind)
        && shape[*axis] == 2
        && axis + 1 < shape.len()
        && b.ty(x).len() > LARGE
        && !matches!(op, Op::Broadcast { .. } | Op::Reduce { .. } | Op::Dot(_))
    {
        let halves = [0, 1].map(|half| b.index(x, *axis, half));
        return Some(b.add(halves[0], halves[1]));
    }
    match op {
        // Σ of a repeated value is a product.
        Op::Broadcast { axes: places, .. } => {
            let repeats: usize = axes.iter().filter(|a| !places.contains(a)).map(|&a| shape[a]).product();
            if repeats == 0 {
                return None;
            }
            let inner: Vec<usize> = (0..places.len()).filter(|&i| axes.contains(&places[i])).collect();
            let mut y = put(b, Op::Reduce { kind, axes: inner }, &args);
            if kind == Reduce::Sum {
                y = b.scale(y, repeats as f64);
            }
            let position = |a: &usize| kept.iter().position(|k| k == a);
            let axes = places.iter().filter_map(position).collect();
            Some(b.op(Op::Broadcast { shape: kept.iter().map(|&a| shape[a]).collect(), axes }, &[y]))
        }
        Op::Reduce { kind: inner, axes: first } if inner == kind => {
            let rank = b.ty(args[0]).rank();
            let left: Vec<usize> = (0..rank).filter(|i| !first.contains(i)).collect();
            let mut all: Vec<usize> = first.into_iter().chain(axes.iter().map(|&a| left[a])).collect();
            all.sort_unstable();
            Some(put(b, Op::Reduce { kind, axes: all }, &args))
        }
        Op::Transpose(perm) => {
            let mut from: Vec<usize> = axes.iter().map(|&a| perm[a]).collect();
            from.sort_unstable();
            let left: Vec<usize> = (0..perm.len()).filter(|i| !from.contains(i)).collect();
            let y = put(b, Op::Reduce { kind, axes: from }, &args);
            let order = kept.iter().map(|&k| left.iter().position(|&l| l == perm[k]).expect("kept")).collect();
            Some(put(b, Op::Transpose(order), &[y]))
        }
        Op::Dot(d) if kind == Reduce::Sum => Some(sum_of_dot(b, &d, args[0], args[1], axes)),
        _ => None,
    }
}

/// Summing a product over a batch axis contracts that axis; over a free axis, it sums the factor first.
fn sum_of_dot(b: &mut Builder, d: &Dot, l: Value, r: Value, axes: &[usize]) -> Value {
    let free = |rank: usize, contract: &[usize], batch: &[usize]| -> Vec<usize> {
        (0..rank).filter(|i| !contract.contains(i) && !batch.contains(i)).collect()
    };
    let (lf, rf) =
        (free(b.ty(l).rank(), &d.lhs_contract, &d.lhs_batch), free(b.ty(r).rank(), &d.rhs_contract, &d.rhs_batch));
    let batch = d.lhs_batch.len();
    let (mut left, mut right) = (vec![], vec![]);
    let mut product = d.clone();
    for &a in axes {
        if a < batch {
            product.lhs_contract.push(d.lhs_batch[a]);
            product.rhs_contract.push(d.rhs_batch[a]);
        } else if a < batch + lf.len() {
            left.push(lf[a - batch]);
        } else {
            right.push(rf[a - batch - lf.len()]);
        }
    }
    let stay = |v: &[usize]| (0..batch).filter(|i| !axes.contains(i)).map(|i| v[i]).collect::<Vec<_>>();
    (product.lhs_batch, product.rhs_batch) = (stay(&d.lhs_batch), stay(&d.rhs_batch));
    let renumber = |v: &mut [usize], gone: &[usize]| {
        v.iter_mut().for_each(|a| *a -= gone.iter().filter(|g| **g < *a).count());
    };
    renumber(&mut product.lhs_contract, &left);
    renumber(&mut product.lhs_batch, &left);
    renumber(&mut product.rhs_contract, &right);
    renumber(&mut product.rhs_batch, &right);
    let mut sum = |v: Value, axes: Vec<usize>| {
        if axes.is_empty() { v } else { put(b, Op::Reduce { kind: Reduce::Sum, axes }, &[v]) }
    };
    let (l, r) = (sum(l, left), sum(r, right));
    put(b, Op::Dot(product), &[l, r])
}

/// A product with a scalar is pointwise. A transposed operand is contracted along its original axes, if its free axes keep their order.
pub fn dot(b: &mut Builder, d: &Dot, l: Value, r: Value) -> Option<Value> {
    // A number times a tensor.
    if b.ty(l).is_scalar() || b.ty(r).is_scalar() {
        return Some(b.binary(Binary::Mul, l, r));
    }
    let through = |b: &Builder, v: Value, contract: &[usize], batch: &[usize]| {
        let Node { op: Op::Transpose(perm), args, .. } = b.node(v) else { return None };
        let free: Vec<usize> =
            (0..perm.len()).filter(|i| !contract.contains(i) && !batch.contains(i)).map(|i| perm[i]).collect();
        let renamed = |axes: &[usize]| axes.iter().map(|&a| perm[a]).collect::<Vec<_>>();
        free.windows(2).all(|w| w[0] < w[1]).then(|| (args[0], renamed(contract), renamed(batch)))
    };
    if let Some((l, lhs_contract, lhs_batch)) = through(b, l, &d.lhs_contract, &d.lhs_batch) {
        return Some(put(b, Op::Dot(Dot { lhs_contract, lhs_batch, ..d.clone() }), &[l, r]));
    }
    if let Some((r, rhs_contract, rhs_batch)) = through(b, r, &d.rhs_contract, &d.rhs_batch) {
        return Some(put(b, Op::Dot(Dot { rhs_contract, rhs_batch, ..d.clone() }), &[l, r]));
    }
    None
}

fn constant_index(b: &Builder, v: Value) -> Option<Vec<u32>> {
    match &b.node(v).op {
        Op::Const(t) => t.as_index().map(<[u32]>::to_vec),
        _ => None,
    }
}

pub fn gather(b: &mut Builder, source: Value, index: Value) -> Option<Value> {
    let (from, shape) = (b.ty(source).shape.clone(), b.ty(index).shape.clone());
    let i = constant_index(b, index)?;
    if i.iter().any(|&i| i as usize >= from[0]) {
        return None;
    }
    // Evenly spaced rows are a slice.
    let step = if i.len() > 1 { (i[1] as usize).saturating_sub(i[0] as usize) } else { 1 };
    if !i.is_empty() && step > 0 && i.windows(2).all(|w| w[1] as usize == w[0] as usize + step) {
        let (mut start, mut end, mut stride) = (vec![0; from.len()], from.clone(), vec![1; from.len()]);
        (start[0], end[0], stride[0]) = (i[0] as usize, i[i.len() - 1] as usize + 1, step);
        let rows = put(b, Op::Slice { start, end, stride }, &[source]);
        return Some(b.reshape(rows, &[&shape, &from[1..]].concat()));
    }
    let Node { op: Op::Gather, args, .. } = b.node(source).clone() else { return None };
    let first = constant_index(b, args[1])?;
    let row: usize = b.ty(args[1]).shape[1..].iter().product();
    let both: Vec<u32> = i.iter().flat_map(|&i| first[i as usize * row..][..row].to_vec()).collect();
    let ty = [&shape, &b.ty(args[1]).shape[1..]].concat();
    let index = b.constant(Tensor::index(ty, both));
    Some(put(b, Op::Gather, &[args[0], index]))
}

/// Every row once and in order: nothing to add.
pub fn scatter_add(b: &mut Builder, size: usize, index: Value, updates: Value) -> Option<Value> {
    let i = constant_index(b, index)?;
    let rank = b.ty(index).rank();
    let in_order = i.len() == size && i.iter().enumerate().all(|(k, &i)| k == i as usize);
    in_order.then(|| b.reshape(updates, &[&[size], &b.ty(updates).shape[rank..]].concat()))
}

/// Two neighbouring parts of zeros-extended arrays, added, are a concatenation (the derivative of taking components).
pub fn add_pads(b: &mut Builder, l: Value, r: Value) -> Option<Value> {
    let pad = |b: &Builder, v: Value| match b.node(v) {
        Node { op: Op::Pad { low, high, interior }, args, .. } if interior.iter().all(|&i| i == 0) => {
            Some((low.clone(), high.clone(), args[0]))
        }
        _ => None,
    };
    let (mut first, mut second) = (pad(b, l)?, pad(b, r)?);
    let differ: Vec<usize> =
        (0..first.0.len()).filter(|&i| first.0[i] != second.0[i] || first.1[i] != second.1[i]).collect();
    let [axis] = differ[..] else { return None };
    if first.0[axis] > second.0[axis] {
        std::mem::swap(&mut first, &mut second);
    }
    if first.0[axis] + b.ty(first.2).shape[axis] != second.0[axis] {
        return None;
    }
    let both = put(b, Op::Concat(axis), &[first.2, second.2]);
    let (low, mut high) = (first.0, first.1);
    high[axis] = second.1[axis];
    let interior = vec![0; low.len()];
    Some(b.op(Op::Pad { low, high, interior }, &[both]))
}
