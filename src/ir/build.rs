//! The one way to make a [`Func`]: nodes are hash-consed and the simplest identities applied as they are added
//! (`x + 0`, `x · 1`, `x · 0`, constants of constants), so that derivative rules need not care.

mod identity;

use super::{
    Binary, Compare, Data, Dot, Func, Jacobian, Node, Op, Reduce, SolveSpec, Tensor, Type, Unary, Value, shape,
};
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Default)]
pub struct Builder {
    func: Func,
    seen: HashMap<(Op, Vec<Value>), Value>,
}

impl Builder {
    pub fn new(name: impl Into<String>) -> Builder {
        Builder { func: Func { name: name.into(), ..Func::default() }, seen: HashMap::new() }
    }

    /// The function as built so far, ending in these outputs. Nodes that no output needs are dropped.
    pub fn finish(mut self, outputs: Vec<Value>) -> Func {
        self.func.outputs = outputs;
        drop_dead(self.func)
    }

    pub fn ty(&self, v: Value) -> &Type {
        self.func.ty(v)
    }

    pub fn node(&self, v: Value) -> &Node {
        self.func.node(v)
    }

    /// The function under construction (no outputs yet).
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// A further input; inputs are numbered in the order they are made.
    pub fn input(&mut self, ty: Type) -> Value {
        let k = self.func.inputs.len();
        self.func.inputs.push(ty.clone());
        self.insert(Op::Input(k), vec![], vec![ty])
    }

    /// Any operation. Panics where the arguments do not fit: that is a compiler bug, never a user's mistake.
    pub fn op(&mut self, op: Op, args: &[Value]) -> Value {
        if let Op::Get(k) = op {
            let ty = self.node(args[0]).types[k].clone();
            return self.insert(Op::Get(k), args.to_vec(), vec![ty]);
        }
        let types: Vec<&Type> = args.iter().map(|&a| self.ty(a)).collect();
        match shape::infer(&op, &types) {
            Ok(types) => self.simplest(op, args, types),
            Err(e) => panic!("compiler bug: in `{}`: {op:?}: {e}", self.func.name),
        }
    }

    /// All results of an operation: one, or those of a structured primitive.
    pub fn ops(&mut self, op: Op, args: &[Value]) -> Vec<Value> {
        let many = op.has_many_results();
        let node = self.op(op, args);
        if !many {
            return vec![node];
        }
        (0..self.node(node).types.len()).map(|k| self.op(Op::Get(k), &[node])).collect()
    }

    fn insert(&mut self, op: Op, args: Vec<Value>, types: Vec<Type>) -> Value {
        let key = (op, args);
        if let Some(&v) = self.seen.get(&key) {
            return v;
        }
        let v = Value(self.func.nodes.len() as u32);
        self.func.nodes.push(Node { op: key.0.clone(), args: key.1.clone(), types });
        self.seen.insert(key, v);
        v
    }

    // ---- constants

    pub fn constant(&mut self, t: Tensor) -> Value {
        // A splat is a broadcast scalar: then identities see through it, and it costs no memory.
        if t.ty.len() > 1
            && t.ty.dtype.is_float()
            && let Some(x) = t.splat()
        {
            return self.full(&t.ty, x);
        }
        let ty = t.ty.clone();
        self.insert(Op::Const(t), vec![], vec![ty])
    }

    /// An f64 scalar.
    pub fn scalar(&mut self, x: f64) -> Value {
        self.full(&Type::f64([]), x)
    }

    pub fn full(&mut self, ty: &Type, x: f64) -> Value {
        let scalar = Type::scalar(ty.dtype);
        let s = self.insert(Op::Const(Tensor::full(&scalar, x)), vec![], vec![scalar]);
        if ty.is_scalar() { s } else { self.op(Op::Broadcast { shape: ty.shape.clone(), axes: vec![] }, &[s]) }
    }

    pub fn zeros(&mut self, ty: &Type) -> Value {
        self.full(ty, 0.0)
    }

    /// A tensor of v's type with all elements x.
    pub fn full_like(&mut self, v: Value, x: f64) -> Value {
        let ty = self.ty(v).clone();
        self.full(&ty, x)
    }

    pub fn zeros_like(&mut self, v: Value) -> Value {
        let ty = self.ty(v).clone();
        self.zeros(&ty)
    }

    /// The number every element equals, if the node is a constant splat.
    pub fn splat(&self, v: Value) -> Option<f64> {
        let node = self.node(v);
        match &node.op {
            Op::Const(t) if t.ty.len() == 1 => Some(t.item()),
            Op::Broadcast { .. } | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. } => self.splat(node.args[0]),
            _ => None,
        }
    }

    // ---- arithmetic; operands of equal type, or one of them a scalar, which is broadcast

    pub fn unary(&mut self, f: Unary, a: Value) -> Value {
        self.op(Op::Unary(f), &[a])
    }

    pub fn binary(&mut self, f: Binary, a: Value, b: Value) -> Value {
        let (a, b) = self.level(a, b);
        self.op(Op::Binary(f), &[a, b])
    }

    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Add, a, b)
    }

    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Sub, a, b)
    }

    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Mul, a, b)
    }

    pub fn div(&mut self, a: Value, b: Value) -> Value {
        self.binary(Binary::Div, a, b)
    }

    pub fn neg(&mut self, a: Value) -> Value {
        self.unary(Unary::Neg, a)
    }

    pub fn scale(&mut self, a: Value, x: f64) -> Value {
        let scalar = Type::scalar(self.ty(a).dtype);
        let s = self.full(&scalar, x);
        self.mul(a, s)
    }

    pub fn compare(&mut self, c: Compare, a: Value, b: Value) -> Value {
        let (a, b) = self.level(a, b);
        self.op(Op::Compare(c), &[a, b])
    }

    pub fn select(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let (a, b) = self.level(a, b);
        let shape = self.ty(a).shape.clone();
        let mask = if self.ty(mask).shape == shape { mask } else { self.broadcast_to(mask, &shape) };
        self.op(Op::Select, &[mask, a, b])
    }

    fn level(&mut self, a: Value, b: Value) -> (Value, Value) {
        let (ta, tb) = (self.ty(a).clone(), self.ty(b).clone());
        if ta.shape == tb.shape {
            (a, b)
        } else if ta.is_scalar() {
            (self.broadcast_to(a, &tb.shape), b)
        } else if tb.is_scalar() {
            (a, self.broadcast_to(b, &ta.shape))
        } else {
            (a, b) // the type rule reports it
        }
    }

    // ---- shapes

    /// A scalar to any shape, or a tensor to a shape that ends in its own.
    pub fn broadcast_to(&mut self, a: Value, shape: &[usize]) -> Value {
        let rank = self.ty(a).rank();
        if self.ty(a).shape == shape {
            return a;
        }
        let axes = (shape.len() - rank..shape.len()).collect();
        self.op(Op::Broadcast { shape: shape.to_vec(), axes }, &[a])
    }

    pub fn reshape(&mut self, a: Value, shape: &[usize]) -> Value {
        self.op(Op::Reshape(shape.to_vec()), &[a])
    }

    pub fn transpose(&mut self, a: Value, perm: &[usize]) -> Value {
        self.op(Op::Transpose(perm.to_vec()), &[a])
    }

    /// `a[…, start..end, …]` along one axis.
    pub fn slice(&mut self, a: Value, axis: usize, start: usize, end: usize) -> Value {
        let shape = self.ty(a).shape.clone();
        let (mut s, mut e) = (vec![0; shape.len()], shape.clone());
        (s[axis], e[axis]) = (start, end);
        self.op(Op::Slice { start: s, end: e, stride: vec![1; shape.len()] }, &[a])
    }

    /// `a[…, k, …]` along one axis, which vanishes.
    pub fn index(&mut self, a: Value, axis: usize, k: usize) -> Value {
        let s = self.slice(a, axis, k, k + 1);
        let mut shape = self.ty(a).shape.clone();
        shape.remove(axis);
        self.reshape(s, &shape)
    }

    pub fn concat(&mut self, parts: &[Value], axis: usize) -> Value {
        self.op(Op::Concat(axis), parts)
    }

    /// Equal-typed values along a new axis.
    pub fn stack(&mut self, parts: &[Value], axis: usize) -> Value {
        let mut shape = self.ty(parts[0]).shape.clone();
        shape.insert(axis, 1);
        let parts: Vec<Value> = parts.iter().map(|&p| self.reshape(p, &shape)).collect();
        self.concat(&parts, axis)
    }

    // ---- reductions, contractions, indices

    pub fn reduce(&mut self, kind: Reduce, a: Value, axes: &[usize]) -> Value {
        self.op(Op::Reduce { kind, axes: axes.to_vec() }, &[a])
    }

    /// Sum over all axes.
    pub fn sum_all(&mut self, a: Value) -> Value {
        let axes: Vec<usize> = (0..self.ty(a).rank()).collect();
        self.reduce(Reduce::Sum, a, &axes)
    }

    pub fn dot(&mut self, a: Value, b: Value, d: Dot) -> Value {
        self.op(Op::Dot(d), &[a, b])
    }

    /// Contraction of the last axis of `a` with the first of `b`: matrix–matrix, matrix–vector, vector–vector.
    pub fn matmul(&mut self, a: Value, b: Value) -> Value {
        let last = self.ty(a).rank() - 1;
        self.dot(a, b, Dot { lhs_contract: vec![last], rhs_contract: vec![0], ..Dot::default() })
    }

    pub fn gather(&mut self, source: Value, index: Value) -> Value {
        self.op(Op::Gather, &[source, index])
    }

    pub fn scatter_add(&mut self, size: usize, index: Value, updates: Value) -> Value {
        self.op(Op::ScatterAdd { size }, &[index, updates])
    }

    /// Copies `f` into this function, its inputs replaced by `args`; gives its outputs.
    pub fn inline(&mut self, f: &Func, args: &[Value]) -> Vec<Value> {
        assert_eq!(f.inputs.len(), args.len(), "compiler bug: `{}` inlined with {} arguments", f.name, args.len());
        let mut new = Vec::with_capacity(f.nodes.len());
        for node in &f.nodes {
            let v = match &node.op {
                Op::Input(k) => args[*k],
                op => {
                    let a: Vec<Value> = node.args.iter().map(|a: &Value| new[a.index()]).collect();
                    self.op(op.clone(), &a)
                }
            };
            new.push(v);
        }
        f.outputs.iter().map(|v| new[v.index()]).collect()
    }

    pub fn map(&mut self, body: Arc<Func>, n: usize, mapped: Vec<bool>, args: &[Value]) -> Vec<Value> {
        self.ops(Op::Map { body, n, mapped }, args)
    }

    fn simplest(&mut self, op: Op, args: &[Value], types: Vec<Type>) -> Value {
        if let Some(v) = self.identity(&op, args, &types[0]) {
            return v;
        }
        if let Some(x) = self.folded(&op, args) {
            return self.full(&types[0], x);
        }
        self.insert(op, args.to_vec(), types)
    }
}

/// Removes nodes that no output reaches; inputs stay.
pub fn drop_dead(func: Func) -> Func {
    let mut live = vec![false; func.nodes.len()];
    let mut stack: Vec<Value> = func.outputs.clone();
    while let Some(v) = stack.pop() {
        if !std::mem::replace(&mut live[v.index()], true) {
            stack.extend(&func.nodes[v.index()].args);
        }
    }
    for (i, n) in func.nodes.iter().enumerate() {
        live[i] |= matches!(n.op, Op::Input(_));
    }
    let mut new = vec![Value(u32::MAX); func.nodes.len()];
    let mut nodes = Vec::with_capacity(live.iter().filter(|&&l| l).count());
    for (i, mut n) in func.nodes.into_iter().enumerate() {
        if live[i] {
            n.args.iter_mut().for_each(|a| *a = new[a.index()]);
            new[i] = Value(nodes.len() as u32);
            nodes.push(n);
        }
    }
    Func { outputs: func.outputs.iter().map(|v| new[v.index()]).collect(), nodes, ..func }
}

/// A rank-0 constant's data, for readers that fold.
pub fn data_of(f: &Func, v: Value) -> Option<&Data> {
    match &f.node(v).op {
        Op::Const(t) => Some(&t.data),
        _ => None,
    }
}

/// A copy of `f` in which every operation, also of bodies at any depth (innermost first), is what `change` makes of it.
pub fn rebuild(f: &Func, change: &mut impl FnMut(Op) -> Op) -> Func {
    let mut b = Builder::new(f.name.clone());
    let mut new: Vec<Value> = Vec::with_capacity(f.nodes.len());
    f.inputs.iter().for_each(|t| {
        b.input(t.clone());
    });
    for node in &f.nodes {
        let args: Vec<Value> = node.args.iter().map(|a| new[a.index()]).collect();
        new.push(match &node.op {
            Op::Input(k) => b.insert(Op::Input(*k), vec![], node.types.clone()),
            op => {
                let op = with_bodies(op, &mut |body| Arc::new(rebuild(body, change)));
                let op = change(op);
                b.op(op, &args)
            }
        });
    }
    let outputs = f.outputs.iter().map(|v| new[v.index()]).collect();
    b.finish(outputs)
}

/// The operation with other bodies of the same types.
pub fn with_bodies(op: &Op, change: &mut impl FnMut(&Arc<Func>) -> Arc<Func>) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Map { body, .. } | Op::Scan { body, .. } | Op::Memo { body, .. } => *body = change(body),
        Op::Solve { residual, spec } | Op::LinearSolve { residual, spec, .. } => {
            *residual = change(residual);
            if let Some(j) = &spec.jacobian {
                let values = change(&Arc::new(j.values.clone()));
                let jacobian = Jacobian { values: (*values).clone(), blocks: j.blocks.clone() };
                *spec = Arc::new(SolveSpec { jacobian: Some(Arc::new(jacobian)), ..(**spec).clone() });
            }
        }
        Op::Cond { then, otherwise } => (*then, *otherwise) = (change(then), change(otherwise)),
        _ => {}
    }
    op
}
