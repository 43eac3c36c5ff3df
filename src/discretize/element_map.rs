//! One loop over elements (or over the facets of a side): pointwise functions at quadrature points and what is made of them.
//!
//! A light function is inlined at every quadrature point of one `Map` over elements, which the backend turns into a single
//! kernel. A function that holds a net, a nested solve or another body is mapped over all quadrature points first, so that
//! points are spread over threads or batched into matrix products; a second, light map then does the element's sums.

use super::Space;
use super::derivative::reads;
use super::family::{Family, Table, numbers};
use crate::ir::{Builder, Dot, Func, Node, Op, Type, Value};
use std::sync::Arc;

/// What an argument of a pointwise function is bound to. N nodes, E elements, q quadrature points, d dimensions.
#[derive(Clone, Copy)]
pub enum Leaf<'a> {
    /// The position, `[d]`.
    Coordinates,
    /// A discrete field with `dofs[N, s…]`: its value, `[s…]`.
    Value { space: &'a Space, dofs: Value },
    /// Its gradient, `[s…, d]`.
    Gradient { space: &'a Space, dofs: Value },
    /// An array over quadrature points `[E, q, s…]`: `[s…]`.
    Data(Value),
    /// The same at every point.
    Shared(Value),
}

/// An argument as an element sees it: `local` is `[count, n, s…]`.
pub(crate) enum LocalLeaf {
    Coordinates,
    Value { table: Table, local: Value },
    Gradient { table: Table, local: Value },
    Data(Value),
    Shared(Value),
}

/// Maps over the domains of a family. `finish` is given, inside the body, the outputs of `f` as `[q, s…]` and the turn of the
/// domain (±1, if the family has turned ones), and gives the results of one domain; they come back stacked `[count, …]`.
pub(crate) fn element_map(
    b: &mut Builder,
    family: &Family,
    f: &Func,
    leaves: &[LocalLeaf],
    finish: impl FnOnce(&mut Builder, &[Value], Option<Value>) -> Vec<Value>,
) -> Vec<Value> {
    let q = family.points.len();
    if !is_light(f, q) {
        let arrays: Vec<Value> = at_all_points(b, family, f, leaves);
        let mut body = Builder::new(format!("{} sums", f.name));
        let e = body.input(Type::f64([]));
        let inputs: Vec<Value> = arrays
            .iter()
            .map(|&a| {
                let item = b.ty(a).shape[1..].to_vec();
                body.input(Type::f64(item))
            })
            .collect();
        let turn = family.trace_turn(&mut body, e);
        let results = finish(&mut body, &inputs, turn);
        let mut args = vec![numbers(b, family.count)];
        args.extend(arrays);
        let mapped = vec![true; args.len()];
        return b.map(Arc::new(body.finish(results)), family.count, mapped, &args);
    }

    let mut kernel = Kernel::new(b, family, f, leaves);
    let mut columns: Vec<Vec<Value>> = vec![vec![]; f.outputs.len()];
    for k in 0..q {
        let args = kernel.arguments(family, k);
        for (column, v) in columns.iter_mut().zip(kernel.body.inline(f, &args)) {
            column.push(v);
        }
    }
    let body = &mut kernel.body;
    let stacked: Vec<Value> = columns.iter().map(|column| stack_points(body, column)).collect();
    let results = finish(body, &stacked, kernel.turn);
    let body = kernel.body.finish(results);
    b.map(Arc::new(body), family.count, kernel.mapped, &kernel.args)
}

/// The outputs of `f` at every quadrature point of a family: `[count, q, s…]`.
pub(crate) fn at_all_points(b: &mut Builder, family: &Family, f: &Func, leaves: &[LocalLeaf]) -> Vec<Value> {
    let (count, q) = (family.count, family.points.len());
    if is_light(f, q) {
        return element_map(b, family, f, leaves, |_, outputs, _| outputs.to_vec());
    }
    let (mut args, mut mapped) = (vec![], vec![]);
    for (k, leaf) in leaves.iter().enumerate() {
        let (value, per_point) = match leaf {
            _ if !reads(f, k) => (b.zeros(&f.inputs[k]), false),
            LocalLeaf::Shared(v) => (*v, false),
            LocalLeaf::Data(v) => (*v, true),
            LocalLeaf::Coordinates => (family.trace_coordinates(b), true),
            LocalLeaf::Value { table, local } => (interpolated(b, family, table, *local), true),
            LocalLeaf::Gradient { table, local } => (differentiated(b, family, table, *local), true),
        };
        let value = if per_point {
            let mut shape = vec![count * q];
            shape.extend(&b.ty(value).shape[2..]);
            b.reshape(value, &shape)
        } else {
            value
        };
        args.push(value);
        mapped.push(per_point);
    }
    if !mapped.contains(&true) {
        // Nothing distinguishes the points: one evaluation serves them all.
        return b.inline(f, &args).into_iter().map(|v| repeat(b, v, &[count, q])).collect();
    }
    let flat = b.map(Arc::new(f.clone()), count * q, mapped, &args);
    flat.into_iter()
        .map(|v| {
            let mut shape = vec![count, q];
            shape.extend(&b.ty(v).shape[1..]);
            b.reshape(v, &shape)
        })
        .collect()
}

/// Whether a function is cheap enough to be written out at each of q quadrature points.
fn is_light(f: &Func, q: usize) -> bool {
    const MOST_NODES: usize = 4000;
    const MOST_POINTS: usize = 256;
    const LARGEST: usize = 256;
    let large = |node: &Node| !Func::bodies(&node.op).is_empty() || node.types.iter().any(|t| t.len() > LARGEST);
    q <= MOST_POINTS && f.nodes.len() * q <= MOST_NODES && !f.nodes.iter().any(large)
}

/// A body under construction, and what the `Map` will be given.
struct Kernel {
    body: Builder,
    args: Vec<Value>,
    mapped: Vec<bool>,
    turn: Option<Value>,
    /// For each leaf the body's input, where it has one.
    inputs: Vec<Option<Value>>,
    leaves: Vec<Bound>,
}

/// A leaf inside the body: tables as constants.
enum Bound {
    Coordinates(Vec<Value>),
    /// Rows of the table are taken a quadrature point at a time.
    Value(Table),
    Gradient(Table),
    Data,
    Shared,
    /// The function takes it but does not look at it: zeros will do, and whatever made it falls away.
    Unread(Type),
}

impl Kernel {
    fn new(b: &mut Builder, family: &Family, f: &Func, leaves: &[LocalLeaf]) -> Kernel {
        let mut body = Builder::new(format!("{} on elements", f.name));
        let element = body.input(Type::f64([]));
        let mut args = vec![numbers(b, family.count)];
        let mut mapped = vec![true];
        let mut inputs = vec![];
        let mut made: Vec<(Value, bool, Value)> = vec![];
        for (k, leaf) in leaves.iter().enumerate() {
            let (outer, split) = match leaf {
                _ if !reads(f, k) => {
                    inputs.push(None);
                    continue;
                }
                LocalLeaf::Coordinates => {
                    inputs.push(None);
                    continue;
                }
                LocalLeaf::Value { local, .. } | LocalLeaf::Gradient { local, .. } => (*local, true),
                LocalLeaf::Data(v) => (*v, true),
                LocalLeaf::Shared(v) => (*v, false),
            };
            let known = made.iter().find(|(v, s, _)| *v == outer && *s == split).map(|&(_, _, i)| i);
            let input = known.unwrap_or_else(|| {
                let ty = b.ty(outer).clone();
                let item = if split { Type::new(ty.dtype, &ty.shape[1..]) } else { ty };
                args.push(outer);
                mapped.push(split);
                let input = body.input(item);
                made.push((outer, split, input));
                input
            });
            inputs.push(Some(input));
        }
        let turn = family.trace_turn(&mut body, element);
        let leaves = leaves
            .iter()
            .enumerate()
            .map(|(k, leaf)| match leaf {
                _ if !reads(f, k) => Bound::Unread(f.inputs[k].clone()),
                LocalLeaf::Coordinates => Bound::Coordinates(family.trace_corner(&mut body, element)),
                LocalLeaf::Value { table, .. } => Bound::Value(table.clone()),
                LocalLeaf::Gradient { table, .. } => Bound::Gradient(table.clone()),
                LocalLeaf::Data(_) => Bound::Data,
                LocalLeaf::Shared(_) => Bound::Shared,
            })
            .collect();
        Kernel { body, args, mapped, turn, inputs, leaves }
    }

    /// Arguments of the pointwise function at quadrature point `k`.
    fn arguments(&mut self, family: &Family, k: usize) -> Vec<Value> {
        let b = &mut self.body;
        let q = family.points.len();
        let mut args = Vec::with_capacity(self.leaves.len());
        for (leaf, input) in self.leaves.iter().zip(&self.inputs) {
            let bound = || input.expect("compiler bug: a leaf without an input");
            let v = match leaf {
                Bound::Coordinates(corners) => family.trace_point(b, corners, self.turn, k),
                Bound::Value(table) => {
                    let n = table.nodes;
                    let row = constant(b, &[n], table.values[k * n..][..n].to_vec());
                    let dot = Dot { lhs_contract: vec![0], rhs_contract: vec![0], ..Dot::default() };
                    b.dot(row, bound(), dot)
                }
                Bound::Gradient(table) => {
                    let width = table.gradients.len() / q;
                    let d = width / table.nodes;
                    let row = constant(b, &[table.nodes, d], table.gradients[k * width..][..width].to_vec());
                    let dot = Dot { lhs_contract: vec![0], rhs_contract: vec![0], ..Dot::default() };
                    let g = b.dot(bound(), row, dot);
                    self.turn.map_or(g, |t| b.mul(g, t))
                }
                Bound::Data => b.index(bound(), 0, k),
                Bound::Shared => bound(),
                Bound::Unread(ty) => b.zeros(ty),
            };
            args.push(v);
        }
        args
    }
}

/// Values at quadrature points `[count, q, s…]` from `local[count, n, s…]`.
pub(crate) fn interpolated(b: &mut Builder, family: &Family, table: &Table, local: Value) -> Value {
    let n = constant(b, &[family.points.len(), table.nodes], table.values.clone());
    // → [q, count, s…]
    let v = b.dot(n, local, Dot { lhs_contract: vec![1], rhs_contract: vec![1], ..Dot::default() });
    let mut order: Vec<usize> = (0..b.ty(v).rank()).collect();
    order.swap(0, 1);
    b.transpose(v, &order)
}

/// Gradients at quadrature points `[count, q, s…, d]` from `local[count, n, s…]`.
pub(crate) fn differentiated(b: &mut Builder, family: &Family, table: &Table, local: Value) -> Value {
    let (q, n) = (family.points.len(), table.nodes);
    let d = table.gradients.len() / (q * n);
    let g = constant(b, &[q, n, d], table.gradients.clone());
    // → [count, s…, q, d]
    let v = b.dot(local, g, Dot { lhs_contract: vec![1], rhs_contract: vec![1], ..Dot::default() });
    let rank = b.ty(v).rank();
    let order: Vec<usize> = [0, rank - 2].into_iter().chain(1..rank - 2).chain([rank - 1]).collect();
    let v = b.transpose(v, &order);
    let e = numbers(b, family.count);
    match family.trace_turn(b, e) {
        Some(turn) => {
            let shape = b.ty(v).shape.clone();
            let turn = b.op(Op::Broadcast { shape, axes: vec![0] }, &[turn]);
            b.mul(v, turn)
        }
        None => v,
    }
}

/// Equal-typed values at the quadrature points as one `[q, s…]`; a value that does not change is broadcast.
fn stack_points(b: &mut Builder, column: &[Value]) -> Value {
    if column.iter().all(|v| v == &column[0]) { repeat(b, column[0], &[column.len()]) } else { b.stack(column, 0) }
}

/// `v` at every index of the leading axes `lead`.
fn repeat(b: &mut Builder, v: Value, lead: &[usize]) -> Value {
    let shape: Vec<usize> = lead.iter().chain(&b.ty(v).shape).copied().collect();
    b.broadcast_to(v, &shape)
}

pub(crate) fn constant(b: &mut Builder, shape: &[usize], data: Vec<f64>) -> Value {
    b.constant(crate::ir::Tensor::f64(shape, data))
}
