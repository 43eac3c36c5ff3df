//! A function in single precision.

use crate::ir::{Builder, DType, Func, Op, Tensor, Type, Value, build};
use std::sync::Arc;

/// `f` with 32-bit floats for 64-bit ones, in inputs, outputs and bodies. Solves stay as they are: their arguments are widened,
/// their results narrowed.
pub fn single(f: &Func) -> Func {
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(narrow(t))).collect();
    let mut new: Vec<Vec<Value>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let mut args: Vec<Value> = node.args.iter().map(|a| new[a.index()][0]).collect();
        new.push(match &node.op {
            Op::Input(k) => vec![inputs[*k]],
            Op::Get(k) => vec![new[node.args[0].index()][*k]],
            Op::Const(t) if t.ty.dtype == DType::F64 => {
                let data: Vec<f32> = t.to_f64().iter().map(|&x| x as f32).collect();
                vec![b.constant(Tensor::f32(t.ty.shape.clone(), data))]
            }
            Op::Iota { dtype: DType::F64, shape, axis } => {
                vec![b.op(Op::Iota { dtype: DType::F32, shape: shape.clone(), axis: *axis }, &[])]
            }
            Op::Cast(DType::F64) if b.ty(args[0]).dtype == DType::F32 => args,
            Op::Cast(DType::F64) => b.ops(Op::Cast(DType::F32), &args),
            op @ (Op::Solve { .. } | Op::LinearSolve { .. }) => {
                for (a, old) in args.iter_mut().zip(&node.args) {
                    if f.ty(*old).dtype == DType::F64 {
                        *a = b.op(Op::Cast(DType::F64), &[*a]);
                    }
                }
                let wide = b.op(op.clone(), &args);
                vec![b.op(Op::Cast(DType::F32), &[wide])]
            }
            op => {
                let op = build::with_bodies(op, &mut |body| Arc::new(single(body)));
                b.ops(op, &args)
            }
        });
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()][0]).collect())
}

fn narrow(t: &Type) -> Type {
    match t.dtype {
        DType::F64 => Type::f32(t.shape.clone()),
        DType::F32 | DType::Index => t.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Unary, eval, verify};

    #[test]
    fn values_agree_to_single_precision() {
        let body = {
            let mut b = Builder::new("row");
            let (x, w) = (b.input(Type::f64([3])), b.input(Type::f64([3])));
            let p = b.mul(x, w);
            let s = b.sum_all(p);
            let t = b.unary(Unary::Tanh, s);
            b.finish(vec![t])
        };
        let mut b = Builder::new("f");
        let (x, w, index) = (b.input(Type::f64([5, 3])), b.input(Type::f64([3])), b.input(Type::index([4])));
        let rows = b.gather(x, index);
        let y = b.map(Arc::new(body), 4, vec![true, false], &[rows, w])[0];
        let third = b.constant(Tensor::f64([4], vec![1.0 / 3.0; 4]));
        let y = b.mul(y, third);
        let f = b.finish(vec![y]);
        let g = single(&f);
        verify::verify(&g).unwrap();
        assert!(g.nodes.iter().flat_map(|n| &n.types).all(|t| t.dtype != DType::F64));
        let data: Vec<f64> = (0..15).map(|i| (i as f64).sin()).collect();
        let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (w, index) = (vec![0.3, -0.2, 0.7], Tensor::index([4], vec![4, 0, 2, 2]));
        let wide = eval::eval(&f, &[Tensor::f64([5, 3], data.clone()), Tensor::f64([3], w.clone()), index.clone()]);
        let thin = eval::eval(&g, &[Tensor::f32([5, 3], narrow(&data)), Tensor::f32([3], narrow(&w)), index]);
        let (wide, thin) = (wide.unwrap().remove(0).to_f64(), thin.unwrap().remove(0).to_f64());
        assert!(wide.iter().zip(&thin).all(|(a, b)| (a - b).abs() < 1e-6), "{wide:?} {thin:?}");
        assert_ne!(wide, thin);
    }
}
