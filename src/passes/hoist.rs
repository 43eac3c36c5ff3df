//! Work that is the same for every item of a `Map` or every step of a `Scan` moves out of the body.

use crate::ir::{Builder, Func, Op, Type, Value, build};
use std::collections::HashMap;
use std::sync::Arc;

/// Hoists at every depth, innermost bodies first, so that work moves out as far as it can.
pub fn hoist(f: &Func) -> Func {
    let mut b = Builder::new(f.name.clone());
    let mut new: Vec<Value> = Vec::with_capacity(f.nodes.len());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    for node in &f.nodes {
        let args: Vec<Value> = node.args.iter().map(|a| new[a.index()]).collect();
        let op = build::with_bodies(&node.op, &mut |body| Arc::new(hoist(body)));
        new.push(match op {
            Op::Input(k) => inputs[k],
            Op::Map { body, n, mapped } if n > 0 => {
                let (body, extra) = invariant(&mut b, &body, &args, &mapped);
                let mapped = mapped.into_iter().chain(extra.iter().map(|_| false)).collect();
                b.op(Op::Map { body, n, mapped }, &[args, extra].concat())
            }
            Op::Scan { body, length, carry, xs, reverse } if length > 0 => {
                let varies: Vec<bool> = (0..args.len()).map(|k| k < carry + xs).collect();
                let (body, extra) = invariant(&mut b, &body, &args, &varies);
                b.op(Op::Scan { body, length, carry, xs, reverse }, &[args, extra].concat())
            }
            op => b.op(op, &args),
        });
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()]).collect())
}

/// Moves to `outer` the nodes of the body that depend on no varying input. The body then takes their results as further,
/// shared inputs, whose values outside are the second result.
fn invariant(outer: &mut Builder, body: &Arc<Func>, args: &[Value], varies: &[bool]) -> (Arc<Func>, Vec<Value>) {
    let mut fixed = vec![false; body.nodes.len()];
    for (v, node) in body.values() {
        fixed[v.index()] = match &node.op {
            Op::Input(k) => !varies[*k],
            _ => node.args.iter().all(|a| fixed[a.index()]),
        };
    }
    // Where the moved meets what stays. Constants and what only spreads or relabels data stay in the body as well.
    let mut border: Vec<Value> = vec![];
    let mut need = |a: Value| {
        let mut stack = vec![a];
        while let Some(a) = stack.pop() {
            let node = body.node(a);
            match &node.op {
                _ if !fixed[a.index()] || border.contains(&a) => {}
                Op::Input(_) => {}
                op if is_free(op) => stack.extend(&node.args),
                _ => border.push(a),
            }
        }
    };
    for (v, node) in body.values() {
        if !fixed[v.index()] {
            node.args.iter().for_each(|&a| need(a));
        }
    }
    body.outputs.iter().for_each(|&v| need(v));
    if border.is_empty() {
        return (body.clone(), vec![]);
    }
    let mut moved = Outside { body, args, values: HashMap::new() };
    let extra: Vec<Value> = border.iter().map(|&v| moved.value(outer, v)[0]).collect();

    let mut b = Builder::new(body.name.clone());
    let inputs: Vec<Value> = body.inputs.iter().map(|t| b.input(t.clone())).collect();
    let types: Vec<Type> = border.iter().map(|&v| body.ty(v).clone()).collect();
    let given: HashMap<Value, Value> = border.iter().copied().zip(types.into_iter().map(|t| b.input(t))).collect();
    let mut new: Vec<Option<Value>> = Vec::with_capacity(body.nodes.len());
    for (v, node) in body.values() {
        let staying: Option<Vec<Value>> = node.args.iter().map(|a| new[a.index()]).collect();
        new.push(match (&node.op, given.get(&v), staying) {
            (_, Some(&v), _) => Some(v),
            (Op::Input(k), ..) => Some(inputs[*k]),
            // Not needed here any more: its users have moved.
            (_, _, None) => None,
            (op, _, Some(_)) if fixed[v.index()] && !is_free(op) => None,
            (op, _, Some(args)) => Some(b.op(op.clone(), &args)),
        });
    }
    let outputs = body.outputs.iter().map(|v| new[v.index()].expect("compiler bug: a hoisted output")).collect();
    (Arc::new(b.finish(outputs)), extra)
}

/// Costs nothing where it stands, but memory where it does not.
fn is_free(op: &Op) -> bool {
    matches!(op, Op::Const(_) | Op::Iota { .. } | Op::Broadcast { .. } | Op::Reshape(_))
}

/// Copies of body nodes outside of it.
struct Outside<'a> {
    body: &'a Func,
    args: &'a [Value],
    values: HashMap<Value, Vec<Value>>,
}

impl Outside<'_> {
    fn value(&mut self, outer: &mut Builder, v: Value) -> Vec<Value> {
        if let Some(v) = self.values.get(&v) {
            return v.clone();
        }
        let node = self.body.node(v);
        let results = match &node.op {
            Op::Input(k) => vec![self.args[*k]],
            Op::Get(k) => vec![self.value(outer, node.args[0])[*k]],
            op => {
                let args: Vec<Value> = node.args.iter().map(|&a| self.value(outer, a)[0]).collect();
                outer.ops(op.clone(), &args)
            }
        };
        self.values.insert(v, results.clone());
        results
    }
}
