//! Whole Jacobians, column by column.

use super::jvp_into;
use crate::ir::{Block, Builder, Func, Jacobian, Op, SolveSpec, Tensor, Type, Value};
use std::sync::Arc;

/// The Jacobian of a residual `(u, p…) → r` with respect to all of u, as one dense block.
pub fn dense_jacobian(residual: &Func) -> Jacobian {
    let mut b = Builder::new(format!("jacobian of {}", residual.name));
    let args: Vec<Value> = residual.inputs.iter().map(|t| b.input(t.clone())).collect();
    let n = residual.inputs[0].len();
    let columns = columns(&mut b, residual, 0, &args, &[true])[0];
    let flat = b.reshape(columns, &[n, n]);
    let rows = b.transpose(flat, &[1, 0]);
    let values = b.reshape(rows, &[1, n, n]);
    let all = Tensor::index([1, n], (0..n as u32).collect::<Vec<_>>());
    Jacobian { values: b.finish(vec![values]), blocks: vec![Block { rows: all.clone(), cols: all }] }
}

/// Gives every `Solve` in `f`, at any depth, that has no Jacobian a dense one. What can run needs no derivative rule then.
pub fn complete(f: &Func) -> Func {
    crate::ir::build::rebuild(f, &mut |op| match op {
        Op::Solve { residual, spec } => Op::Solve { spec: with_jacobian(&spec, &residual), residual },
        Op::LinearSolve { residual, spec, transposed } => {
            Op::LinearSolve { spec: with_jacobian(&spec, &residual), residual, transposed }
        }
        op => op,
    })
}

fn with_jacobian(spec: &Arc<SolveSpec>, residual: &Func) -> Arc<SolveSpec> {
    if spec.jacobian.is_some() {
        return spec.clone();
    }
    Arc::new(SolveSpec { jacobian: Some(Arc::new(dense_jacobian(residual))), ..(**spec).clone() })
}

/// Derivatives of the outputs marked in `of` with respect to all elements of input `k`: `[elements, output's shape…]` each.
pub(super) fn columns(b: &mut Builder, f: &Func, k: usize, args: &[Value], of: &[bool]) -> Vec<Value> {
    let ty = f.inputs[k].clone();
    let n = ty.len();
    let mut inner = Builder::new(format!("column of {}", f.name));
    let inputs: Vec<Value> = f.inputs.iter().map(|t| inner.input(t.clone())).collect();
    let direction = inner.input(ty.clone());
    let mut tangents = vec![None; inputs.len()];
    tangents[k] = Some(direction);
    let (values, derivatives) = jvp_into(&mut inner, f, &inputs, &tangents);
    let mut outputs = vec![];
    for o in (0..values.len()).filter(|&o| of[o]) {
        outputs.push(derivatives[o].unwrap_or_else(|| inner.zeros_like(values[o])));
    }
    let body = inner.finish(outputs);
    let basis = identity(b, &ty);
    if n == 1 {
        let direction = b.reshape(basis, &ty.shape);
        let out = b.inline(&body, &[args, &[direction]].concat());
        let widen = |v| {
            let shape = [&[1], &b.ty(v).shape[..]].concat();
            b.reshape(v, &shape)
        };
        return out.into_iter().map(widen).collect();
    }
    let mut mapped = vec![false; args.len()];
    mapped.push(true);
    b.map(Arc::new(body), n, mapped, &[args, &[basis]].concat())
}

/// `[n, shape…]`: item i is the i-th unit tensor.
fn identity(b: &mut Builder, ty: &Type) -> Value {
    let n = ty.len();
    let mut data = vec![0.0; n * n];
    (0..n).for_each(|i| data[i * n + i] = 1.0);
    let shape = [&[n], &ty.shape[..]].concat();
    let v = b.constant(Tensor::f64(shape, data));
    b.op(Op::Cast(ty.dtype), &[v])
}
