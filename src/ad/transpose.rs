//! Turning a linear function around: from cotangents of its outputs to cotangents of its inputs, one rule a primitive.

use super::jvp::sum;
use super::split;
use crate::ir::{Binary, Builder, DType, Dot, Func, Op, Reduce, Tensor, Type, Unary, Value, fourier};
use std::sync::Arc;

/// The transpose of `f` in the inputs listed in `linear` (increasing). Inputs: the other inputs of `f`, then a cotangent
/// for each output of `f`. Outputs: a cotangent for each linear input.
pub fn transpose(f: &Func, linear: &[usize]) -> Func {
    let flags: Vec<bool> = (0..f.inputs.len()).map(|k| linear.contains(&k)).collect();
    let parts = split(f, &flags);
    let mut b = Builder::new(format!("transpose of {}", f.name));
    // An unused value stands in for the linear inputs, which no residual is.
    let inputs: Vec<Option<Value>> =
        f.inputs.iter().zip(&flags).map(|(t, &l)| (!l).then(|| b.input(t.clone()))).collect();
    let cotangents: Vec<Value> = f.output_types().into_iter().map(|t| b.input(t)).collect();
    let known_args: Vec<Value> = inputs.iter().filter_map(|v| *v).collect();
    let known = b.inline(&parts.known, &known_args);
    let all: Vec<Value> = inputs.iter().map(|v| v.unwrap_or(Value(u32::MAX))).collect();
    let mut args = parts.residual_values(&all, &known);
    args.resize(parts.linear.inputs.len(), None);
    let cotangents: Vec<Option<Value>> =
        cotangents.iter().zip(&parts.linear_output).filter(|(_, l)| **l).map(|(&c, _)| Some(c)).collect();
    let pulled = transpose_into(&mut b, &parts.linear, &args, &cotangents);
    let outputs = pulled.into_iter().zip(linear).map(|(g, &k)| g.unwrap_or_else(|| b.zeros(&f.inputs[k]))).collect();
    b.finish(outputs)
}

/// Adds to `b` the transpose of `f`, whose inputs are known (`Some`) or linear (`None`). Cotangents of the linear inputs,
/// in order; `None` is zero by structure.
pub(super) fn transpose_into(
    b: &mut Builder,
    f: &Func,
    args: &[Option<Value>],
    cotangents: &[Option<Value>],
) -> Vec<Option<Value>> {
    assert_eq!((args.len(), cotangents.len()), (f.inputs.len(), f.outputs.len()), "compiler bug: `{}`", f.name);
    // Forward: copy what is known.
    let mut known: Vec<Option<Vec<Value>>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let results = match &node.op {
            Op::Input(k) => args[*k].map(|v| vec![v]),
            Op::Get(k) => known[node.args[0].index()].as_ref().map(|r| vec![r[*k]]),
            op => {
                let a: Option<Vec<Value>> = node.args.iter().map(|a| known[a.index()].as_ref().map(|r| r[0])).collect();
                a.map(|a| b.ops(op.clone(), &a))
            }
        };
        known.push(results);
    }
    // Backward: hand each cotangent on to the arguments.
    let mut pulled: Vec<Vec<Option<Value>>> = f.nodes.iter().map(|n| vec![None; n.types.len()]).collect();
    for (v, c) in f.outputs.iter().zip(cotangents) {
        pulled[v.index()][0] = sum(b, pulled[v.index()][0], *c);
    }
    let mut inputs = vec![None; f.inputs.len()];
    for (v, node) in f.values().collect::<Vec<_>>().into_iter().rev() {
        let cts = std::mem::take(&mut pulled[v.index()]);
        if known[v.index()].is_some() || cts.iter().all(|c| c.is_none()) {
            continue;
        }
        match &node.op {
            Op::Input(k) => inputs[*k] = cts[0],
            Op::Get(k) => {
                let place = &mut pulled[node.args[0].index()][*k];
                *place = sum(b, *place, cts[0]);
            }
            op => {
                let a: Vec<Arg> = node
                    .args
                    .iter()
                    .map(|a| Arg { known: known[a.index()].as_ref().map(|r| r[0]), ty: f.ty(*a) })
                    .collect();
                let given = pull(b, op, &a, &cts);
                for ((ct, arg), a) in given.into_iter().zip(&node.args).zip(&a) {
                    if a.known.is_none() {
                        let place = &mut pulled[arg.index()][0];
                        *place = sum(b, *place, ct);
                    }
                }
            }
        }
    }
    (0..args.len()).filter(|&k| args[k].is_none()).map(|k| inputs[k]).collect()
}

/// An argument of a linear operation: known, or linear.
struct Arg<'a> {
    known: Option<Value>,
    ty: &'a Type,
}

impl Arg<'_> {
    fn value(&self) -> Value {
        self.known.expect("compiler bug: a product of two linear values")
    }

    fn is_linear(&self) -> bool {
        self.known.is_none()
    }
}

/// Cotangents of the arguments (those of known arguments are not read), from those of the results.
fn pull(b: &mut Builder, op: &Op, a: &[Arg], cts: &[Option<Value>]) -> Vec<Option<Value>> {
    match op {
        Op::Map { body, n, mapped } => return map(b, body, *n, mapped, a, cts),
        Op::Scan { body, length, carry, xs, reverse } => {
            return scan(b, body, (*length, *carry, *xs, *reverse), a, cts);
        }
        Op::Cond { then, otherwise } => return cond(b, then, otherwise, a, cts),
        _ => {}
    }
    let Some(ct) = cts[0] else { return vec![None; a.len()] };
    let one = |v: Value| vec![Some(v)];
    match op {
        Op::Input(_) | Op::Get(_) | Op::Map { .. } | Op::Scan { .. } | Op::Cond { .. } => {
            unreachable!("handled above")
        }
        Op::Unary(Unary::Neg) => one(b.neg(ct)),
        Op::Binary(Binary::Add) => vec![Some(ct), Some(ct)],
        Op::Binary(Binary::Sub) => {
            let minus = a[1].is_linear().then(|| b.neg(ct));
            vec![Some(ct), minus]
        }
        Op::Binary(Binary::Mul) => {
            if a[0].is_linear() {
                vec![Some(b.mul(ct, a[1].value())), None]
            } else {
                vec![None, Some(b.mul(a[0].value(), ct))]
            }
        }
        Op::Binary(Binary::Div) => vec![Some(b.div(ct, a[1].value())), None],
        Op::Select => {
            let (mask, zero) = (a[0].value(), b.zeros_like(ct));
            let left = a[1].is_linear().then(|| b.select(mask, ct, zero));
            let right = a[2].is_linear().then(|| b.select(mask, zero, ct));
            vec![None, left, right]
        }
        Op::Cast(_) => one(b.op(Op::Cast(a[0].ty.dtype), &[ct])),

        Op::Reshape(_) => one(b.reshape(ct, &a[0].ty.shape)),
        Op::Transpose(perm) => {
            let mut inverse = vec![0; perm.len()];
            perm.iter().enumerate().for_each(|(i, &p)| inverse[p] = i);
            one(b.transpose(ct, &inverse))
        }
        Op::Broadcast { shape, axes } => {
            let repeated: Vec<usize> = (0..shape.len()).filter(|i| !axes.contains(i)).collect();
            one(b.reduce(Reduce::Sum, ct, &repeated))
        }
        Op::Slice { start, stride, .. } => {
            let (from, to) = (&a[0].ty.shape, b.ty(ct).shape.clone());
            if to.contains(&0) {
                return one(b.zeros(a[0].ty));
            }
            // The last element taken lies at start + (n - 1)·stride.
            let high = (0..from.len()).map(|i| from[i] - start[i] - (to[i] - 1) * stride[i] - 1).collect();
            let interior = stride.iter().map(|s| s - 1).collect();
            one(b.op(Op::Pad { low: start.clone(), high, interior }, &[ct]))
        }
        Op::Pad { low, interior, .. } => {
            let from = &a[0].ty.shape;
            if from.contains(&0) {
                return one(b.zeros(a[0].ty));
            }
            let stride: Vec<usize> = interior.iter().map(|i| i + 1).collect();
            let end = (0..from.len()).map(|i| low[i] + (from[i] - 1) * stride[i] + 1).collect();
            one(b.op(Op::Slice { start: low.clone(), end, stride }, &[ct]))
        }
        Op::Concat(axis) => {
            let mut at = 0;
            let mut part = |arg: &Arg| {
                let start = at;
                at += arg.ty.shape[*axis];
                arg.is_linear().then(|| b.slice(ct, *axis, start, at))
            };
            a.iter().map(&mut part).collect()
        }
        Op::Reverse(_) => one(b.op(op.clone(), &[ct])),
        Op::Roll { axis, shift } => one(b.op(Op::Roll { axis: *axis, shift: -shift }, &[ct])),
        Op::Rfft { rank } => {
            let n = *a[0].ty.shape.last().expect("compiler bug: a transform of a number");
            let once = fourier::weighted(b, ct, n, -1);
            one(b.op(Op::Irfft { rank: *rank, n }, &[once]))
        }
        Op::Irfft { rank, n } => {
            let half = b.op(Op::Rfft { rank: *rank }, &[ct]);
            one(fourier::weighted(b, half, *n, 1))
        }
        Op::Reduce { kind: Reduce::Sum, axes } => {
            let shape = a[0].ty.shape.clone();
            let kept = (0..shape.len()).filter(|i| !axes.contains(i)).collect();
            one(b.op(Op::Broadcast { shape, axes: kept }, &[ct]))
        }
        Op::Dot(d) => {
            if a[0].is_linear() {
                vec![Some(dot_left(b, d, a[0].ty, a[1].value(), ct)), None]
            } else {
                vec![None, Some(dot_right(b, d, a[0].value(), a[1].ty, ct))]
            }
        }
        Op::Gather => vec![Some(b.scatter_add(a[0].ty.shape[0], a[1].value(), ct)), None],
        Op::ScatterAdd { size } => vec![None, Some(gather_or_zero(b, ct, *size, a[0].value()))],
        Op::LinearSolve { residual, spec, transposed } => {
            let op = Op::LinearSolve { residual: residual.clone(), spec: spec.clone(), transposed: !transposed };
            let mut args = vec![ct];
            args.extend(a[1..].iter().map(|a| a.value()));
            let mut given = vec![None; a.len()];
            given[0] = Some(b.op(op, &args));
            given
        }
        Op::Const(_)
        | Op::Iota { .. }
        | Op::Unary(_)
        | Op::Binary(Binary::Pow | Binary::Min | Binary::Max | Binary::Atan2)
        | Op::Compare(_)
        | Op::Reduce { kind: Reduce::Max | Reduce::Min, .. }
        | Op::Solve { .. }
        | Op::Memo { .. } => panic!("compiler bug: transpose of {op:?}, which is not linear"),
    }
}

// ---- contractions: the result's axes are batch, free axes of the left, free axes of the right

fn free(rank: usize, contract: &[usize], batch: &[usize]) -> Vec<usize> {
    (0..rank).filter(|i| !contract.contains(i) && !batch.contains(i)).collect()
}

/// Axes of `contract` in increasing order of `by`, the other side's axes that they meet.
fn sorted_by(contract: &[usize], by: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..by.len()).collect();
    order.sort_by_key(|&i| by[i]);
    order.into_iter().map(|i| contract[i]).collect()
}

/// `v`, whose axis i is to become axis `place[i]`.
fn arranged(b: &mut Builder, v: Value, place: &[usize]) -> Value {
    let mut perm = vec![0; place.len()];
    place.iter().enumerate().for_each(|(i, &p)| perm[p] = i);
    b.transpose(v, &perm)
}

fn dot_left(b: &mut Builder, d: &Dot, left: &Type, right: Value, ct: Value) -> Value {
    let (batch, lf) = (d.lhs_batch.len(), free(left.rank(), &d.lhs_contract, &d.lhs_batch));
    let rf = free(b.ty(right).rank(), &d.rhs_contract, &d.rhs_batch);
    let product = Dot {
        lhs_contract: (batch + lf.len()..b.ty(ct).rank()).collect(),
        rhs_contract: rf,
        lhs_batch: (0..batch).collect(),
        rhs_batch: d.rhs_batch.clone(),
    };
    let v = b.dot(ct, right, product);
    let place = [&d.lhs_batch[..], &lf, &sorted_by(&d.lhs_contract, &d.rhs_contract)].concat();
    arranged(b, v, &place)
}

fn dot_right(b: &mut Builder, d: &Dot, left: Value, right: &Type, ct: Value) -> Value {
    let (batch, rf) = (d.rhs_batch.len(), free(right.rank(), &d.rhs_contract, &d.rhs_batch));
    let lf = free(b.ty(left).rank(), &d.lhs_contract, &d.lhs_batch);
    let product = Dot {
        rhs_contract: (batch..batch + lf.len()).collect(),
        lhs_contract: lf,
        lhs_batch: d.lhs_batch.clone(),
        rhs_batch: (0..batch).collect(),
    };
    let v = b.dot(left, ct, product);
    let place = [&d.rhs_batch[..], &sorted_by(&d.rhs_contract, &d.lhs_contract), &rf].concat();
    arranged(b, v, &place)
}

/// `source[index]`, and zero where the index is `size` or more (what `ScatterAdd` drops).
fn gather_or_zero(b: &mut Builder, source: Value, size: usize, index: Value) -> Value {
    let known = match &b.node(index).op {
        Op::Const(t) => t.as_index().map(|d| (t.ty.clone(), d.to_vec())),
        _ => None,
    };
    if known.as_ref().is_some_and(|(_, d)| d.iter().all(|&i| (i as usize) < size)) {
        return b.gather(source, index);
    }
    let index = match known {
        Some((ty, d)) => b.constant(Tensor::index(ty.shape, d.iter().map(|&i| i.min(size as u32)).collect::<Vec<_>>())),
        None => {
            let number = b.op(Op::Cast(DType::F64), &[index]);
            let last = b.scalar(size as f64);
            let clamped = b.binary(Binary::Min, number, last);
            b.op(Op::Cast(DType::Index), &[clamped])
        }
    };
    let row = Type::new(b.ty(source).dtype, [&[1], &b.ty(source).shape[1..]].concat());
    let zero = b.zeros(&row);
    let padded = b.concat(&[source, zero], 0);
    b.gather(padded, index)
}

// ---- bodies

/// The transposed body and which linear inputs it gives a cotangent. Inputs: the known ones of `body`, then cotangents of
/// its outputs that have one. Outputs: cotangents of the linear inputs marked in the second result or in `wanted`.
fn transposed_body(body: &Func, linear: &[bool], cotangent: &[bool], wanted: &[bool]) -> (Func, Vec<bool>) {
    let mut b = Builder::new(body.name.clone());
    let args: Vec<Option<Value>> =
        body.inputs.iter().zip(linear).map(|(t, &l)| (!l).then(|| b.input(t.clone()))).collect();
    let cts: Vec<Option<Value>> =
        body.output_types().into_iter().zip(cotangent).map(|(t, &c)| c.then(|| b.input(t))).collect();
    let pulled = transpose_into(&mut b, body, &args, &cts);
    let types = body.inputs.iter().zip(linear).filter(|(_, l)| **l).map(|(t, _)| t);
    let live: Vec<bool> = pulled.iter().zip(wanted).map(|(p, w)| p.is_some() || *w).collect();
    let outputs = pulled
        .into_iter()
        .zip(types)
        .zip(&live)
        .filter(|(_, l)| **l)
        .map(|((p, ty), _)| p.unwrap_or_else(|| b.zeros(ty)))
        .collect();
    (b.finish(outputs), live)
}

fn map(
    b: &mut Builder,
    body: &Func,
    n: usize,
    mapped: &[bool],
    a: &[Arg],
    cts: &[Option<Value>],
) -> Vec<Option<Value>> {
    let linear: Vec<bool> = a.iter().map(|a| a.is_linear()).collect();
    let given: Vec<bool> = cts.iter().map(|c| c.is_some()).collect();
    let places: Vec<usize> = (0..a.len()).filter(|&k| linear[k]).collect();
    let (body, live) = transposed_body(body, &linear, &given, &vec![false; places.len()]);
    let mut out = vec![None; a.len()];
    if body.outputs.is_empty() {
        return out;
    }
    let args: Vec<Value> = a.iter().filter_map(|a| a.known).chain(cts.iter().filter_map(|c| *c)).collect();
    let known = (0..a.len()).filter(|&k| !linear[k]).map(|k| mapped[k]);
    let flags = known.chain(cts.iter().filter(|c| c.is_some()).map(|_| true)).collect();
    let results = b.map(Arc::new(body), n, flags, &args);
    for (&k, v) in places.iter().zip(&live).filter(|(_, l)| **l).map(|(k, _)| k).zip(results) {
        // What all items share receives from all of them.
        out[k] = Some(if mapped[k] { v } else { b.reduce(Reduce::Sum, v, &[0]) });
    }
    out
}

/// The steps backwards. Cotangents of the carry are carried, and so are the sums for shared inputs.
fn scan(
    b: &mut Builder,
    body: &Func,
    dims: (usize, usize, usize, bool),
    a: &[Arg],
    cts: &[Option<Value>],
) -> Vec<Option<Value>> {
    let (length, carry, xs, reverse) = dims;
    // A carry that starts from something known (zero) is linear all the same.
    let linear: Vec<bool> = (0..a.len()).map(|k| k < carry || a[k].is_linear()).collect();
    let of = |range: std::ops::Range<usize>, l: bool| range.filter(|&k| linear[k] == l).collect::<Vec<usize>>();
    let (known_xs, linear_xs) = (of(carry..carry + xs, false), of(carry..carry + xs, true));
    let (known_shared, linear_shared) = (of(carry + xs..a.len(), false), of(carry + xs..a.len(), true));
    let given: Vec<bool> = cts.iter().enumerate().map(|(k, c)| k < carry || c.is_some()).collect();
    let every = vec![true; carry + linear_xs.len() + linear_shared.len()];
    let (turned, _) = transposed_body(body, &linear, &given, &every);

    let mut inner = Builder::new(body.name.clone());
    let mut args = vec![];
    let mut pass = |inner: &mut Builder, ty: Type, v: Value| {
        args.push(v);
        inner.input(ty)
    };
    let mut carried = vec![];
    for (k, ct) in cts[..carry].iter().enumerate() {
        let ct = ct.unwrap_or_else(|| b.zeros(a[k].ty));
        carried.push(pass(&mut inner, a[k].ty.clone(), ct));
    }
    let mut sums = vec![];
    for &k in &linear_shared {
        let zero = b.zeros(a[k].ty);
        sums.push(pass(&mut inner, a[k].ty.clone(), zero));
    }
    let mut known = vec![];
    for &k in &known_xs {
        known.push(pass(&mut inner, body.inputs[k].clone(), a[k].value()));
    }
    let mut ys = vec![];
    for k in (carry..cts.len()).filter(|&k| given[k]) {
        ys.push(pass(&mut inner, body.ty(body.outputs[k]).clone(), cts[k].expect("given")));
    }
    for &k in &known_shared {
        known.push(pass(&mut inner, body.inputs[k].clone(), a[k].value()));
    }
    let pulled = inner.inline(&turned, &[&known[..], &carried, &ys].concat());
    let (to_carry, rest) = pulled.split_at(carry);
    let (to_xs, to_shared) = rest.split_at(linear_xs.len());
    let mut outputs = to_carry.to_vec();
    outputs.extend(sums.iter().zip(to_shared).map(|(&s, &g)| inner.add(s, g)).collect::<Vec<_>>());
    outputs.extend(to_xs);
    let op = Op::Scan {
        body: Arc::new(inner.finish(outputs)),
        length,
        carry: carry + linear_shared.len(),
        xs: known_xs.len() + ys.len(),
        reverse: !reverse,
    };
    let results = b.ops(op, &args);
    let mut out = vec![None; a.len()];
    let places = (0..carry).chain(linear_shared).chain(linear_xs);
    places.zip(results).for_each(|(k, v)| out[k] = Some(v));
    out
}

fn cond(b: &mut Builder, then: &Func, otherwise: &Func, a: &[Arg], cts: &[Option<Value>]) -> Vec<Option<Value>> {
    let linear: Vec<bool> = a[1..].iter().map(|a| a.is_linear()).collect();
    let given: Vec<bool> = cts.iter().map(|c| c.is_some()).collect();
    let places: Vec<usize> = (0..linear.len()).filter(|&k| linear[k]).collect();
    let none = vec![false; places.len()];
    let first = [then, otherwise].map(|f| transposed_body(f, &linear, &given, &none).1);
    let live: Vec<bool> = first[0].iter().zip(&first[1]).map(|(t, o)| *t || *o).collect();
    let mut out = vec![None; a.len()];
    if !live.contains(&true) {
        return out;
    }
    let [then, otherwise] = [then, otherwise].map(|f| Arc::new(transposed_body(f, &linear, &given, &live).0));
    let known = a.iter().filter_map(|a| a.known);
    let args: Vec<Value> = known.chain(cts.iter().filter_map(|c| *c)).collect();
    let results = b.ops(Op::Cond { then, otherwise }, &args);
    for (&k, v) in places.iter().zip(&live).filter(|(_, l)| **l).map(|(k, _)| k).zip(results) {
        out[k + 1] = Some(v);
    }
    out
}
