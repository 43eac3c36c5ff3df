//! A function of small tensors, written out: every element of every tensor is an expression of its own. What an expression is
//! (a register of a kernel, an array over a grid) is up to who asks.

use super::{Binary, Builder, Compare, DType, Func, Node, Op, Reduce, Tensor, Type, Unary, Value};

/// Where expressions are made.
pub trait Scalars {
    type Id: Copy;

    fn constant(&mut self, x: f64) -> Self::Id;
    fn unary(&mut self, f: Unary, a: Self::Id) -> Self::Id;
    fn binary(&mut self, f: Binary, a: Self::Id, b: Self::Id) -> Self::Id;
    /// A product that vanishes where a factor is the constant zero.
    fn product(&mut self, a: Self::Id, b: Self::Id) -> Self::Id;
    /// A sum that drops the constant zero.
    fn sum(&mut self, a: Self::Id, b: Self::Id) -> Self::Id;
    /// 1 or 0.
    fn compare(&mut self, c: Compare, a: Self::Id, b: Self::Id) -> Self::Id;
    fn select(&mut self, mask: Self::Id, a: Self::Id, b: Self::Id) -> Self::Id;
}

/// Most elements of one tensor.
pub const LARGEST: usize = 1024;

/// Expressions that a body becomes, at most; None if it cannot be written out.
pub fn cost(body: &Func, dtype: DType) -> Option<usize> {
    let mut sum = 0;
    for node in &body.nodes {
        let len: usize = node.types.iter().map(Type::len).sum();
        if len > LARGEST {
            return None;
        }
        let float = node.types.iter().all(|t| t.dtype == dtype);
        let constant = |k: usize| matches!(body.node(node.args[k]).op, Op::Const(_));
        sum += match &node.op {
            Op::Const(_) => 0,
            _ if !float => return None,
            Op::Input(_) | Op::Iota { .. } | Op::Get(_) => 0,
            Op::Unary(_) | Op::Binary(_) | Op::Compare(_) => len,
            Op::Select if body.ty(node.args[0]).dtype == dtype => len,
            Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Broadcast { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat(_)
            | Op::Reverse(_)
            | Op::Roll { .. } => 0,
            Op::Reduce { .. } => body.ty(node.args[0]).len(),
            Op::Dot(d) => {
                let depth: usize = d.lhs_contract.iter().map(|&a| body.ty(node.args[0]).shape[a]).product();
                2 * len * depth
            }
            Op::Gather if constant(1) => 0,
            Op::ScatterAdd { .. } if constant(0) => body.ty(node.args[1]).len(),
            Op::Map { body, n, .. } => n * cost(body, dtype)?,
            Op::Rfft { .. } | Op::Irfft { .. } => return None,
            Op::Select
            | Op::Cast(_)
            | Op::Gather
            | Op::ScatterAdd { .. }
            | Op::Scan { .. }
            | Op::Solve { .. }
            | Op::LinearSolve { .. }
            | Op::Cond { .. }
            | Op::Memo { .. } => return None,
        };
    }
    Some(sum)
}

/// The elements of the outputs of a body.
pub fn write_out<S: Scalars>(g: &mut S, body: &Func, inputs: &[Vec<S::Id>]) -> Vec<Vec<S::Id>> {
    let mut all: Vec<Vec<Vec<S::Id>>> = Vec::with_capacity(body.nodes.len());
    for node in &body.nodes {
        let results = match &node.op {
            Op::Input(k) => vec![inputs[*k].clone()],
            Op::Get(k) => vec![all[node.args[0].index()][*k].clone()],
            Op::Map { body: inner, n, mapped } => {
                let mut stacked: Vec<Vec<S::Id>> = vec![vec![]; node.types.len()];
                for i in 0..*n {
                    let items: Vec<Vec<S::Id>> = node
                        .args
                        .iter()
                        .zip(mapped)
                        .map(|(a, &m)| {
                            let x = &all[a.index()][0];
                            if m { x[i * (x.len() / n)..(i + 1) * (x.len() / n)].to_vec() } else { x.clone() }
                        })
                        .collect();
                    let out = write_out(g, inner, &items);
                    stacked.iter_mut().zip(out).for_each(|(s, o)| s.extend(o));
                }
                stacked
            }
            _ => {
                let args: Vec<&[S::Id]> = node.args.iter().map(|a| all[a.index()][0].as_slice()).collect();
                vec![operation(g, body, node, &args)]
            }
        };
        all.push(results);
    }
    body.outputs.iter().map(|v| all[v.index()][0].clone()).collect()
}

fn operation<S: Scalars>(g: &mut S, body: &Func, node: &Node, args: &[&[S::Id]]) -> Vec<S::Id> {
    let ty = &node.types[0];
    let shape = |k: usize| body.ty(node.args[k]).shape.as_slice();
    let n = ty.len();
    // The elements of the first argument at positions given by the interpreter's own rule for the operation.
    let moved = |args: &[&[S::Id]]| -> Vec<Option<usize>> { positions(node, body, args) };
    match &node.op {
        Op::Const(t) if t.ty.dtype.is_float() => t.to_f64().iter().map(|&x| g.constant(x)).collect(),
        // Read where it is used.
        Op::Const(_) => vec![],
        Op::Iota { shape, axis, .. } => (0..n).map(|k| g.constant(unravel(k, shape)[*axis] as f64)).collect(),
        Op::Unary(f) => args[0].iter().map(|&a| g.unary(*f, a)).collect(),
        Op::Binary(Binary::Mul) => (0..n).map(|k| g.product(args[0][k], args[1][k])).collect(),
        Op::Binary(f) => (0..n).map(|k| g.binary(*f, args[0][k], args[1][k])).collect(),
        Op::Compare(c) => (0..n).map(|k| g.compare(*c, args[0][k], args[1][k])).collect(),
        Op::Select => (0..n).map(|k| g.select(args[0][k], args[1][k], args[2][k])).collect(),
        Op::Reshape(_) => args[0].to_vec(),
        Op::Transpose(_)
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat(_)
        | Op::Reverse(_)
        | Op::Roll { .. } => {
            let flat: Vec<S::Id> = args.concat();
            let zero = g.constant(0.0);
            moved(args).into_iter().map(|p| p.map_or(zero, |p| flat[p])).collect()
        }
        Op::Reduce { kind, axes } => {
            let from = shape(0);
            let mut sums: Vec<Option<S::Id>> = vec![None; n];
            for (k, &x) in args[0].iter().enumerate() {
                let at = unravel(k, from);
                let kept = (0..from.len()).filter(|a| !axes.contains(a));
                let to = kept.fold(0, |s, a| s * from[a] + at[a]);
                let f = match kind {
                    Reduce::Sum => Binary::Add,
                    Reduce::Max => Binary::Max,
                    Reduce::Min => Binary::Min,
                };
                sums[to] = Some(sums[to].map_or(x, |s| g.binary(f, s, x)));
            }
            let empty = match kind {
                Reduce::Sum => 0.0,
                Reduce::Max => f64::NEG_INFINITY,
                Reduce::Min => f64::INFINITY,
            };
            sums.into_iter().map(|s| s.unwrap_or_else(|| g.constant(empty))).collect()
        }
        Op::Dot(d) => {
            let (ls, rs) = (shape(0), shape(1));
            let free = |s: &[usize], a: &[usize], b: &[usize]| -> Vec<usize> {
                (0..s.len()).filter(|i| !a.contains(i) && !b.contains(i)).collect()
            };
            let (lf, rf) = (free(ls, &d.lhs_contract, &d.lhs_batch), free(rs, &d.rhs_contract, &d.rhs_batch));
            let depth: Vec<usize> = d.lhs_contract.iter().map(|&a| ls[a]).collect();
            let place = |s: &[usize], at: &[usize]| s.iter().zip(at).fold(0, |p, (n, i)| p * n + i);
            (0..n)
                .map(|k| {
                    let at = unravel(k, &ty.shape);
                    let (mut l, mut r) = (vec![0; ls.len()], vec![0; rs.len()]);
                    let (batch, rest) = at.split_at(d.lhs_batch.len());
                    let (left, right) = rest.split_at(lf.len());
                    d.lhs_batch.iter().zip(batch).for_each(|(&a, &i)| l[a] = i);
                    d.rhs_batch.iter().zip(batch).for_each(|(&a, &i)| r[a] = i);
                    lf.iter().zip(left).for_each(|(&a, &i)| l[a] = i);
                    rf.iter().zip(right).for_each(|(&a, &i)| r[a] = i);
                    let mut sum = g.constant(0.0);
                    for c in 0..depth.iter().product() {
                        let c = unravel(c, &depth);
                        d.lhs_contract.iter().zip(&c).for_each(|(&a, &i)| l[a] = i);
                        d.rhs_contract.iter().zip(&c).for_each(|(&a, &i)| r[a] = i);
                        let p = g.product(args[0][place(ls, &l)], args[1][place(rs, &r)]);
                        sum = g.sum(sum, p);
                    }
                    sum
                })
                .collect()
        }
        Op::Gather => {
            let index = constant(body, node.args[1]);
            let row: usize = shape(0)[1..].iter().product();
            let rows = index.iter().flat_map(|&i| &args[0][i as usize * row..(i as usize + 1) * row]);
            rows.copied().collect()
        }
        Op::ScatterAdd { size } => {
            let index = constant(body, node.args[0]);
            let row = n / (*size).max(1);
            let zero = g.constant(0.0);
            let mut sums = vec![zero; n];
            for (k, &i) in index.iter().enumerate().filter(|(_, i)| (**i as usize) < *size) {
                for c in 0..row {
                    let s = &mut sums[i as usize * row + c];
                    *s = g.sum(*s, args[1][k * row + c]);
                }
            }
            sums
        }
        Op::Input(_)
        | Op::Get(_)
        | Op::Map { .. }
        | Op::Cast(_)
        | Op::Scan { .. }
        | Op::Solve { .. }
        | Op::LinearSolve { .. }
        | Op::Cond { .. }
        | Op::Rfft { .. }
        | Op::Irfft { .. }
        | Op::Memo { .. } => unreachable!("compiler bug: {:?} in a kernel", node.op),
    }
}

fn constant(body: &Func, v: Value) -> &[u32] {
    match &body.node(v).op {
        Op::Const(t) => t.as_index().expect("compiler bug: indices"),
        _ => unreachable!("compiler bug: an index that is not constant"),
    }
}

/// For each element of the result the position in the arguments, one after the other, that it comes from; none for a zero of
/// padding. Found by running the operation on position numbers.
fn positions<I>(node: &Node, body: &Func, args: &[&[I]]) -> Vec<Option<usize>> {
    let mut b = Builder::new("positions");
    let mut start = 1.0;
    let mut values = vec![];
    for (k, a) in node.args.iter().enumerate() {
        let numbers: Vec<f64> = (0..args[k].len()).map(|i| start + i as f64).collect();
        start += args[k].len() as f64;
        let input = b.input(Type::f64(body.ty(*a).shape.clone()));
        values.push((input, Tensor::f64(body.ty(*a).shape.clone(), numbers)));
    }
    let ids: Vec<Value> = values.iter().map(|v| v.0).collect();
    let inputs: Vec<Tensor> = values.into_iter().map(|v| v.1).collect();
    let out = b.op(node.op.clone(), &ids);
    let f = b.finish(vec![out]);
    let out = super::eval::eval(&f, &inputs).expect("compiler bug: moving elements cannot fail");
    out[0].to_f64().iter().map(|&x| (x != 0.0).then(|| x as usize - 1)).collect()
}

pub fn unravel(mut k: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for a in (0..shape.len()).rev() {
        at[a] = k % shape[a];
        k /= shape[a];
    }
    at
}
