//! The invariants of a [`Func`]. A violation is a compiler bug: passes are followed by this check in tests and debug builds.

use super::{Data, Func, Jacobian, Op, Type, shape};
use std::collections::HashMap;

/// Says what is wrong, by node.
///
/// Arguments precede their use; types follow from the operation; equal nodes are one node; `Input(k)` agrees with
/// `inputs` and occurs at most once; results of `Map`, `Scan`, `Cond` and `Memo` are read through `Get` only; bodies hold
/// the same; constant indices of a `Gather` are in range; a Jacobian has the shape of its blocks.
pub fn verify(f: &Func) -> Result<(), String> {
    let mut seen = HashMap::new();
    for (v, node) in f.values() {
        let at = |e: String| format!("`{}` %{}: {e}", f.name, v.0);
        if let Some(a) = node.args.iter().find(|a| a.index() >= v.index()) {
            return Err(at(format!("argument %{} does not precede its use", a.0)));
        }
        let types = match &node.op {
            Op::Input(k) => vec![f.inputs.get(*k).ok_or_else(|| at(format!("there is no input {k}")))?.clone()],
            Op::Get(k) => vec![result_type(f, node, *k).map_err(at)?],
            op => {
                plain_arguments(f, &node.args).map_err(at)?;
                let types: Vec<&Type> = node.args.iter().map(|&a| f.ty(a)).collect();
                shape::infer(op, &types).map_err(at)?
            }
        };
        if types != node.types {
            return Err(at(format!("has the types {:?}, not {types:?}", node.types)));
        }
        if let Some(first) = seen.insert((&node.op, &node.args), v) {
            return Err(at(format!("equals %{}", first.0)));
        }
        contents(f, node).map_err(at)?;
    }
    for v in &f.outputs {
        if v.index() >= f.nodes.len() {
            return Err(format!("`{}`: output %{} does not exist", f.name, v.0));
        }
    }
    plain_arguments(f, &f.outputs).map_err(|e| format!("`{}`: output: {e}", f.name))
}

fn result_type(f: &Func, node: &super::Node, k: usize) -> Result<Type, String> {
    let [a] = node.args[..] else { return Err("`get` reads one node".into()) };
    let source = f.node(a);
    if !source.op.has_many_results() {
        return Err(format!("`get` reads %{}, which has one result", a.0));
    }
    source.types.get(k).cloned().ok_or_else(|| format!("%{} has no result {k}", a.0))
}

fn plain_arguments(f: &Func, args: &[super::Value]) -> Result<(), String> {
    match args.iter().find(|&&a| f.node(a).op.has_many_results()) {
        Some(a) => Err(format!("%{} is read without `get`", a.0)),
        None => Ok(()),
    }
}

fn contents(f: &Func, node: &super::Node) -> Result<(), String> {
    for body in Func::bodies(&node.op) {
        verify(body)?;
    }
    match &node.op {
        Op::Solve { residual, spec } | Op::LinearSolve { residual, spec, .. } => match &spec.jacobian {
            Some(j) => jacobian(j, residual).map_err(|e| format!("Jacobian of `{}`: {e}", spec.name)),
            None => Ok(()),
        },
        Op::Gather => match &f.node(node.args[1]).op {
            Op::Const(t) => {
                let n = f.ty(node.args[0]).shape[0];
                let Data::Index(d) = &t.data else { return Err("an index tensor of floats".into()) };
                match d.iter().find(|&&i| i as usize >= n) {
                    Some(i) => Err(format!("index {i} is out of range for an axis of {n}")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn jacobian(j: &Jacobian, residual: &Func) -> Result<(), String> {
    verify(&j.values)?;
    if j.values.inputs != residual.inputs {
        return Err("takes other arguments than the residual".into());
    }
    if j.values.outputs.len() != j.blocks.len() {
        return Err(format!("{} value arrays for {} blocks", j.values.outputs.len(), j.blocks.len()));
    }
    for (k, (t, block)) in j.values.output_types().iter().zip(&j.blocks).enumerate() {
        let (rows, cols) = (&block.rows.ty.shape, &block.cols.ty.shape);
        let fits = rows.len() == 2
            && cols.len() == 2
            && rows[0] == cols[0]
            && t.shape == [rows[0], rows[1], cols[1]]
            && block.rows.as_index().is_some()
            && block.cols.as_index().is_some();
        if !fits {
            return Err(format!("block {k} of type {t} at rows {} and columns {}", block.rows.ty, block.cols.ty));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Builder, Node, Reduce, Value};
    use super::*;
    use std::sync::Arc;

    fn good() -> Func {
        let mut item = Builder::new("item");
        let x = item.input(Type::f64([2]));
        let s = item.reduce(Reduce::Sum, x, &[0]);
        let body = Arc::new(item.finish(vec![s]));
        let mut b = Builder::new("good");
        let x = b.input(Type::f64([3, 2]));
        let y = b.map(body, 3, vec![true], &[x]);
        b.finish(y)
    }

    #[test]
    fn each_broken_invariant_is_named() {
        let broken = |change: &dyn Fn(&mut Func)| {
            let mut f = good();
            change(&mut f);
            verify(&f).unwrap_err()
        };
        assert_eq!(verify(&good()), Ok(()));
        assert!(broken(&|f| f.nodes[1].args[0] = Value(2)).contains("does not precede"));
        assert!(broken(&|f| f.nodes[2].types[0] = Type::f64([4])).contains("has the types"));
        assert!(broken(&|f| f.outputs[0] = Value(1)).contains("read without `get`"));
        assert!(broken(&|f| f.outputs[0] = Value(7)).contains("does not exist"));
        assert!(broken(&|f| f.nodes[2].op = Op::Get(1)).contains("no result 1"));
        assert!(broken(&|f| f.inputs.clear()).contains("no input 0"));
        assert!(broken(&|f| f.nodes.push(Node { ..f.nodes[2].clone() })).contains("equals %2"));
    }
}
