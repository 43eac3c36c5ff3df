//! Which elements of a function's outputs are zero whatever its inputs, as far as its operations show.

use crate::ir::{Binary, Builder, Func, Node, Op, Reduce, Tensor, Type, Unary, eval};

/// For each output, 1 for every element that may be other than zero, 0 for the rest.
pub(crate) fn nonzero_pattern(f: &Func) -> Vec<Vec<f64>> {
    let mut masks: Vec<Vec<f64>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let mask = pattern(node, f, &masks);
        masks.push(mask);
    }
    f.outputs.iter().map(|v| masks[v.index()].clone()).collect()
}

fn pattern(node: &Node, f: &Func, masks: &[Vec<f64>]) -> Vec<f64> {
    let len = node.types[0].len();
    let anything = || vec![1.0; len];
    let of = |k: usize| &masks[node.args[k].index()];
    let both = |combine: fn(f64, f64) -> f64| of(0).iter().zip(of(1)).map(|(&a, &b)| combine(a, b)).collect();
    match &node.op {
        Op::Const(t) => t.to_f64().iter().map(|&x| (x != 0.0) as u8 as f64).collect(),
        Op::Unary(g) => match g {
            Unary::Exp | Unary::Log | Unary::Cos => anything(),
            Unary::Neg | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Sqrt => of(0).clone(),
            Unary::Sin | Unary::Tanh | Unary::Atan | Unary::Erf => of(0).clone(),
        },
        Op::Binary(g) => match g {
            Binary::Add | Binary::Sub | Binary::Min | Binary::Max => both(f64::max),
            Binary::Mul => both(f64::min),
            Binary::Div => of(0).clone(),
            Binary::Pow | Binary::Atan2 => anything(),
        },
        Op::Select => of(1).iter().zip(of(2)).map(|(&a, &b)| a.max(b)).collect(),
        Op::Cast(_) => of(0).clone(),
        // Moving and summing masks is what these do with numbers.
        Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat(_)
        | Op::Reverse(_)
        | Op::Roll { .. }
        | Op::Reduce { kind: Reduce::Sum | Reduce::Max, .. }
        | Op::Dot(_) => moved(node, f, masks),
        Op::Input(_) | Op::Iota { .. } | Op::Compare(_) | Op::Reduce { kind: Reduce::Min, .. } => anything(),
        Op::Gather | Op::ScatterAdd { .. } | Op::Get(_) | Op::Rfft { .. } | Op::Irfft { .. } => anything(),
        Op::Map { .. } | Op::Scan { .. } | Op::Solve { .. } | Op::LinearSolve { .. } => anything(),
        Op::Cond { .. } | Op::Memo { .. } => anything(),
    }
}

fn moved(node: &Node, f: &Func, masks: &[Vec<f64>]) -> Vec<f64> {
    let mut b = Builder::new("mask");
    let inputs: Vec<_> = node.args.iter().map(|&a| b.input(Type::f64(f.ty(a).shape.clone()))).collect();
    let out = b.op(node.op.clone(), &inputs);
    let one = b.finish(vec![out]);
    let given: Vec<Tensor> =
        node.args.iter().map(|&a| Tensor::f64(f.ty(a).shape.clone(), masks[a.index()].clone())).collect();
    match eval::eval(&one, &given) {
        Ok(out) => out[0].to_f64().iter().map(|&x| (x != 0.0) as u8 as f64).collect(),
        Err(_) => vec![1.0; node.types[0].len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagonal_matrix_times_a_unit_vector() {
        let mut b = Builder::new("flux");
        let k = b.input(Type::f64([]));
        let e = b.constant(Tensor::f64([2], [0.0, 1.0]));
        let matrix = b.constant(Tensor::f64([2, 2], [2.0, 0.0, 0.0, 3.0]));
        let product = b.matmul(matrix, e);
        let scaled = b.mul(product, k);
        let shifted = b.add(scaled, e);
        let one = b.scalar(1.0);
        let full = b.add(scaled, one);
        let f = b.finish(vec![scaled, shifted, full]);
        assert_eq!(nonzero_pattern(&f), [vec![0.0, 1.0], vec![0.0, 1.0], vec![1.0, 1.0]]);
    }
}
