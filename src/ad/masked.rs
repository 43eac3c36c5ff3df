//! Factors of what is thrown away. A linear function that ends in `select(m, a, b)` hands zeros back to `a` where the number m is zero, but
//! zero times a factor that is not finite is not zero: an overflow in a try that was rejected would spoil the derivatives of all that
//! were accepted. So factors of what is read under such a mask alone are 1 where the mask is zero.

use crate::ir::{Builder, Func, Op, Value};
use std::collections::BTreeSet;

/// The masks under all of which a value is read; none where nobody has read it so far.
type Under = Option<BTreeSet<Value>>;

/// A function linear in its inputs but the first `residuals`, the same function where all its factors are finite.
pub fn masked(f: &Func, residuals: usize) -> Func {
    let mut linear = vec![false; f.nodes.len()];
    for (v, node) in f.values() {
        linear[v.index()] = match node.op {
            Op::Input(k) => k >= residuals,
            _ => node.args.iter().any(|a| linear[a.index()]),
        };
    }
    let under = under(f, &linear);
    // Masks are numbers that are there when the value is computed.
    let masks = |v: Value| {
        let has_factors = matches!(f.node(v).op, Op::Binary(_) | Op::Dot(_) | Op::Map { .. });
        let there = |m: &&Value| **m < v || matches!(f.node(**m).op, Op::Input(_));
        let all = under[v.index()].iter().flatten().filter(there);
        all.copied().filter(|_| has_factors && linear[v.index()]).collect::<Vec<Value>>()
    };
    if f.values().all(|(v, _)| masks(v).is_empty()) {
        return f.clone();
    }
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|ty| b.input(ty.clone())).collect();
    let mut results: Vec<Vec<Value>> = Vec::with_capacity(f.nodes.len());
    for (v, node) in f.values() {
        let mut args: Vec<Value> = node.args.iter().map(|a| results[a.index()][0]).collect();
        for mask in masks(v) {
            for (arg, old) in args.iter_mut().zip(&node.args) {
                let constant = matches!(f.node(*old).op, Op::Const(_)) || f.splat(*old).is_some();
                if !linear[old.index()] && !constant && f.ty(*old).dtype.is_float() {
                    let one = b.full_like(*arg, 1.0);
                    let mask = match f.node(mask).op {
                        Op::Input(k) => inputs[k],
                        _ => results[mask.index()][0],
                    };
                    *arg = b.select(mask, *arg, one);
                }
            }
        }
        results.push(match node.op {
            Op::Input(k) => vec![inputs[k]],
            Op::Get(k) => vec![results[node.args[0].index()][k]],
            ref op => b.ops(op.clone(), &args),
        });
    }
    let outputs: Vec<Value> = f.outputs.iter().map(|v| results[v.index()][0]).collect();
    b.finish(outputs)
}

fn under(f: &Func, linear: &[bool]) -> Vec<Under> {
    let mut under: Vec<Under> = vec![None; f.nodes.len()];
    f.outputs.iter().for_each(|v| under[v.index()] = Some(BTreeSet::new()));
    for (v, node) in f.values().collect::<Vec<_>>().into_iter().rev() {
        let Some(own) = under[v.index()].clone() else { continue };
        for (k, a) in node.args.iter().enumerate() {
            let mut here = own.clone();
            if node.op == Op::Select && k == 1 {
                here.extend(number(f, node.args[0]).filter(|mask| !linear[mask.index()]));
            }
            under[a.index()] = Some(match &under[a.index()] {
                None => here,
                Some(others) => others.intersection(&here).copied().collect(),
            });
        }
    }
    under
}

/// The number that a mask is, or is spread from.
fn number(f: &Func, mask: Value) -> Option<Value> {
    match &f.node(mask).op {
        _ if f.ty(mask).is_scalar() => Some(mask),
        Op::Broadcast { .. } if f.ty(f.node(mask).args[0]).is_scalar() => Some(f.node(mask).args[0]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::ad::grad;
    use crate::ir::eval::eval;
    use crate::ir::{Builder, Compare, Tensor, Type, Unary};

    /// exp(x²) where that is not too large, else x, as a sum over two points that share the mask: derivatives are 2x exp(x²), else 1.
    #[test]
    fn what_overflows_and_is_not_taken_leaves_derivatives_alone() {
        let mut b = Builder::new("guarded");
        let x = b.input(Type::f64([2]));
        let square = b.mul(x, x);
        let steep = b.unary(Unary::Exp, square);
        let size = b.sum_all(steep);
        let most = b.scalar(1e100);
        let fine = b.compare(Compare::Lt, size, most);
        let taken = b.select(fine, steep, x);
        let total = b.sum_all(taken);
        let f = grad(&b.finish(vec![total]), &[0]);
        let at = |x: [f64; 2]| eval(&f, &[Tensor::f64([2], x)]).unwrap()[1].to_f64();
        assert_eq!(at([40.0, 0.0]), [1.0, 1.0]);
        let (near, exact) = (at([1.0, 0.5]), [2.0 * 1f64.exp(), 0.25f64.exp()]);
        assert!(near.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-14 * b), "{near:?}");
    }
}
