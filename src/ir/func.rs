//! A function: inputs, nodes in topological order, outputs.

use super::{Op, Type};
use std::sync::Arc;

/// A node of a [`Func`], by position. Its type is the first of the node's types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Value(pub u32);

impl Value {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    pub op: Op,
    pub args: Vec<Value>,
    /// One type; several for `Map`, `Scan`, `Cond` and `Memo`, whose results are read by `Get`.
    pub types: Vec<Type>,
}

/// Invariants (checked by `verify`): arguments precede their use; types follow from the op (`shape::infer`);
/// equal nodes are one node; `Input(k)` nodes agree with `inputs`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Func {
    pub name: String,
    pub inputs: Vec<Type>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<Value>,
}

impl Func {
    pub fn node(&self, v: Value) -> &Node {
        &self.nodes[v.index()]
    }

    /// The number every element of a node equals, if its operations show it.
    pub fn splat(&self, v: Value) -> Option<f64> {
        let node = self.node(v);
        match &node.op {
            Op::Const(t) if t.ty.len() == 1 => Some(t.item()),
            Op::Broadcast { .. } | Op::Reshape(_) => self.splat(node.args[0]),
            _ => None,
        }
    }

    pub fn ty(&self, v: Value) -> &Type {
        &self.nodes[v.index()].types[0]
    }

    pub fn output_types(&self) -> Vec<Type> {
        self.outputs.iter().map(|&v| self.ty(v).clone()).collect()
    }

    pub fn values(&self) -> impl Iterator<Item = (Value, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (Value(i as u32), n))
    }

    /// The bodies of a structured node.
    pub fn bodies(op: &Op) -> Vec<&Arc<Func>> {
        match op {
            Op::Map { body, .. } | Op::Scan { body, .. } | Op::Memo { body, .. } => vec![body],
            Op::Solve { residual, .. } | Op::LinearSolve { residual, .. } => vec![residual],
            Op::Cond { then, otherwise } => vec![then, otherwise],
            _ => vec![],
        }
    }
}
