//! Small bodies of maps as straight-line code: every element of every tensor is an expression of its own, and the items are the
//! loop, vectorised with one item a lane.

use super::Place;
use super::fuse::{Cut, Home, Site, nests};
use super::nest::{Address, Affine, Graph, Id, Nest};
use crate::ir::{Binary, DType, Func, Node, Op, Reduce, Tensor, Type, Value};

/// Most expressions of a kernel; beyond, compiling takes too long and registers do not suffice.
const MOST: usize = 3000;
/// Most elements of one tensor in a body.
const LARGEST: usize = 1024;

/// Whether the body of a map is small enough, and made of operations that can be written out.
pub fn is_kernel(body: &Func) -> bool {
    let Some(dtype) = body.outputs.first().map(|&v| body.ty(v).dtype) else { return false };
    let fits = |t: &Type| t.dtype == dtype && t.len() <= LARGEST && !t.is_empty();
    dtype.is_float()
        && super::kernel::available()
        && body.inputs.iter().all(fits)
        && body.output_types().iter().all(fits)
        && cost(body, dtype).is_some_and(|c| c <= MOST)
}

/// Expressions that a body becomes, at most; None if it cannot be written out.
fn cost(body: &Func, dtype: DType) -> Option<usize> {
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

/// The nests of a map over a small body, and the places they read.
pub fn map(f: &Func, homes: &[Home], places: &[Vec<Place>], v: Value) -> Option<(Vec<Nest>, Vec<Place>)> {
    let node = f.node(v);
    let Op::Map { body, n, mapped } = &node.op else { unreachable!("compiler bug: not a map") };
    let build = |site: &mut Site| -> Result<Vec<(Address, Id)>, Cut> {
        let item = Affine::axis(0, 1);
        let mut inputs = vec![];
        for (&a, &m) in node.args.iter().zip(mapped) {
            let shape = &f.ty(a).shape[m as usize..];
            let elements = (0..shape.iter().product()).map(|k| {
                let mut at: Vec<Affine> = if m { vec![item.clone()] } else { vec![] };
                at.extend(unravel(k, shape).into_iter().map(|i| Affine::constant(i as isize, 1)));
                site.value(a, &at)
            });
            inputs.push(elements.collect::<Result<Vec<Id>, Cut>>()?);
        }
        let outputs = write_out(&mut site.graph, body, &inputs);
        let mut stores = vec![];
        for (k, elements) in outputs.iter().enumerate() {
            let width = elements.len() as isize;
            let each = elements.iter().enumerate();
            stores.extend(each.map(|(e, &id)| (Address { buffer: k, at: item.scaled(width, e as isize) }, id)));
        }
        Ok(stores)
    };
    nests(f, homes, places, node.types[0].dtype, &[*n], &build)
}

/// The elements of the outputs of a body.
fn write_out(g: &mut Graph, body: &Func, inputs: &[Vec<Id>]) -> Vec<Vec<Id>> {
    let mut all: Vec<Vec<Vec<Id>>> = Vec::with_capacity(body.nodes.len());
    for node in &body.nodes {
        let results = match &node.op {
            Op::Input(k) => vec![inputs[*k].clone()],
            Op::Get(k) => vec![all[node.args[0].index()][*k].clone()],
            Op::Map { body: inner, n, mapped } => {
                let mut stacked: Vec<Vec<Id>> = vec![vec![]; node.types.len()];
                for i in 0..*n {
                    let items: Vec<Vec<Id>> = node
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
                let args: Vec<&[Id]> = node.args.iter().map(|a| all[a.index()][0].as_slice()).collect();
                vec![operation(g, body, node, &args)]
            }
        };
        all.push(results);
    }
    body.outputs.iter().map(|v| all[v.index()][0].clone()).collect()
}

fn operation(g: &mut Graph, body: &Func, node: &Node, args: &[&[Id]]) -> Vec<Id> {
    let ty = &node.types[0];
    let shape = |k: usize| body.ty(node.args[k]).shape.as_slice();
    let n = ty.len();
    // The elements of the first argument at positions given by the interpreter's own rule for the operation.
    let moved = |args: &[&[Id]]| -> Vec<Option<usize>> { positions(node, body, args) };
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
            let flat: Vec<Id> = args.concat();
            let zero = g.constant(0.0);
            moved(args).into_iter().map(|p| p.map_or(zero, |p| flat[p])).collect()
        }
        Op::Reduce { kind, axes } => {
            let from = shape(0);
            let mut sums: Vec<Option<Id>> = vec![None; n];
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
fn positions(node: &Node, body: &Func, args: &[&[Id]]) -> Vec<Option<usize>> {
    let mut b = crate::ir::Builder::new("positions");
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
    let out = crate::ir::eval::eval(&f, &inputs).expect("compiler bug: moving elements cannot fail");
    out[0].to_f64().iter().map(|&x| (x != 0.0).then(|| x as usize - 1)).collect()
}

fn unravel(mut k: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for a in (0..shape.len()).rev() {
        at[a] = k % shape[a];
        k /= shape[a];
    }
    at
}
