//! Algebraic rewriting, node by node and body by body. Rules keep finite results to the bit, but for the sign of zero and
//! for sums, which may be taken in another (fixed) order.

mod bodies;
mod movement;

use crate::ir::eval::eval;
use crate::ir::{Binary, Builder, Func, Op, Tensor, Unary, Value, build};
use std::sync::Arc;

/// Largest result that is computed at compile time.
const FOLD_LIMIT: usize = 1024;

pub fn simplify(f: &Func) -> Func {
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut new: Vec<Vec<Value>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let results = match &node.op {
            Op::Input(k) => vec![inputs[*k]],
            Op::Get(k) => vec![new[node.args[0].index()][*k]],
            op => {
                let args: Vec<Value> = node.args.iter().map(|a| new[a.index()][0]).collect();
                let op = build::with_bodies(op, &mut |body| Arc::new(simplify(body)));
                bodies::put_all(&mut b, op, &args)
            }
        };
        new.push(results);
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()][0]).collect())
}

/// One operation in its simplest form.
fn put(b: &mut Builder, op: Op, args: &[Value]) -> Value {
    if let Some(t) = folded(b, &op, args) {
        return b.constant(t);
    }
    let rule = match &op {
        Op::Unary(f) => unary(b, *f, args[0]),
        Op::Binary(f) => binary(b, *f, args[0], args[1]),
        Op::Transpose(perm) => movement::transpose(b, perm, args[0]),
        Op::Slice { start, end, stride } => movement::slice(b, start, end, stride, args[0]),
        Op::Concat(axis) => movement::concat(b, *axis, args),
        Op::Reduce { kind, axes } => movement::reduce(b, *kind, axes, args[0]),
        Op::Dot(d) => movement::dot(b, d, args[0], args[1]),
        Op::Gather => movement::gather(b, args[0], args[1]),
        Op::ScatterAdd { size } => movement::scatter_add(b, *size, args[0], args[1]),
        // One set of factors serves both.
        Op::LinearSolve { residual, spec, transposed: true } if spec.symmetric => {
            let op = Op::LinearSolve { residual: residual.clone(), spec: spec.clone(), transposed: false };
            Some(b.op(op, args))
        }
        Op::Input(_)
        | Op::Const(_)
        | Op::Iota { .. }
        | Op::Compare(_)
        | Op::Select
        | Op::Cast(_)
        | Op::Reshape(_)
        | Op::Broadcast { .. }
        | Op::Pad { .. }
        | Op::Reverse(_)
        | Op::Roll { .. }
        | Op::Rfft { .. }
        | Op::Irfft { .. }
        | Op::Map { .. }
        | Op::Scan { .. }
        | Op::Solve { .. }
        | Op::LinearSolve { .. }
        | Op::Cond { .. }
        | Op::Memo { .. }
        | Op::Get(_) => None,
    };
    rule.unwrap_or_else(|| b.op(op, args))
}

/// The value of a small operation on constants. What only spreads or relabels a constant stays as it is.
fn folded(b: &Builder, op: &Op, args: &[Value]) -> Option<Tensor> {
    let known = args.iter().any(|&a| matches!(b.node(a).op, Op::Const(_)) && b.ty(a).len() > 1);
    let spreads = matches!(op, Op::Broadcast { .. } | Op::Reshape(_) | Op::Pad { .. });
    if !known || spreads || !Func::bodies(op).is_empty() {
        return None;
    }
    let literals: Vec<Tensor> = args.iter().map(|&a| literal(b, a)).collect::<Option<_>>()?;
    let mut f = Builder::new("constant");
    let inputs: Vec<Value> = literals.iter().map(|t| f.input(t.ty.clone())).collect();
    let v = f.op(op.clone(), &inputs);
    if f.ty(v).len() > FOLD_LIMIT {
        return None;
    }
    // What faults (an index out of range) is left to the run.
    eval(&f.finish(vec![v]), &literals).ok()?.pop()
}

fn literal(b: &Builder, v: Value) -> Option<Tensor> {
    match &b.node(v).op {
        Op::Const(t) if t.ty.len() <= FOLD_LIMIT => Some(t.clone()),
        _ if b.ty(v).len() <= FOLD_LIMIT => b.splat(v).map(|x| Tensor::full(b.ty(v), x)),
        _ => None,
    }
}

/// `a`, if the node is `-a`.
fn negated(b: &Builder, v: Value) -> Option<Value> {
    let node = b.node(v);
    matches!(node.op, Op::Unary(Unary::Neg)).then(|| node.args[0])
}

fn unary(b: &mut Builder, f: Unary, x: Value) -> Option<Value> {
    let node = b.node(x).clone();
    match (f, node.op) {
        // -(a - b) = b - a
        (Unary::Neg, Op::Binary(Binary::Sub)) => Some(b.sub(node.args[1], node.args[0])),
        (Unary::Abs, Op::Unary(Unary::Neg)) => Some(b.unary(Unary::Abs, node.args[0])),
        (Unary::Cos, Op::Unary(Unary::Neg)) => Some(b.unary(Unary::Cos, node.args[0])),
        _ => None,
    }
}

fn binary(b: &mut Builder, f: Binary, l: Value, r: Value) -> Option<Value> {
    let (nl, nr) = (negated(b, l), negated(b, r));
    match f {
        Binary::Add => match (nl, nr) {
            (_, Some(r)) => Some(b.sub(l, r)),
            (Some(l), None) => Some(b.sub(r, l)),
            _ => movement::add_pads(b, l, r).or_else(|| ordered(b, f, l, r)),
        },
        Binary::Sub => nr.map(|r| put(b, Op::Binary(Binary::Add), &[l, r])),
        Binary::Mul => match (nl, nr) {
            (Some(l), Some(r)) => Some(put(b, Op::Binary(f), &[l, r])),
            (Some(l), None) => {
                let p = put(b, Op::Binary(f), &[l, r]);
                Some(b.neg(p))
            }
            (None, Some(r)) => {
                let p = put(b, Op::Binary(f), &[l, r]);
                Some(b.neg(p))
            }
            (None, None) => ordered(b, f, l, r),
        },
        Binary::Div => match (nl, nr, b.splat(r)) {
            (Some(l), Some(r), _) => Some(put(b, Op::Binary(f), &[l, r])),
            (Some(l), None, None) => {
                let q = put(b, Op::Binary(f), &[l, r]);
                Some(b.neg(q))
            }
            (None, Some(r), _) => {
                let q = put(b, Op::Binary(f), &[l, r]);
                Some(b.neg(q))
            }
            // The reciprocal of a power of two is exact.
            (_, _, Some(c)) if c.is_normal() && c.to_bits() << 12 == 0 && (1.0 / c).is_normal() => {
                Some(b.scale(l, 1.0 / c))
            }
            _ => None,
        },
        Binary::Pow | Binary::Min | Binary::Max | Binary::Atan2 => None,
    }
}

/// `a + b` and `b + a` are one node.
fn ordered(b: &mut Builder, f: Binary, l: Value, r: Value) -> Option<Value> {
    (l > r).then(|| b.binary(f, r, l))
}
