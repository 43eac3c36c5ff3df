//! Differentiation: functions to functions, so that derivatives of any order compose.
//!
//! There is one table of derivatives, [`jvp`] (forward mode). Reverse mode is forward mode taken apart and turned around:
//! [`split`] separates what does not depend on the tangents from what does (which is linear), and [`transpose`] turns the
//! linear part. [Radul, Paszke, Frostig, Johnson & Maclaurin, You Only Linearize Once, POPL 2023]

mod checkpoints;
mod jacobian;
mod jet;
mod jvp;
mod masked;
mod split;
mod transpose;

pub use jacobian::{complete, dense_jacobian};
pub use jet::{Series, jet_into};
pub use jvp::{jvp, jvp_into};
pub use split::{Split, split};
pub use transpose::transpose;

use crate::ir::{Builder, Func, Op, Value};

/// `f` and its pullback. Inputs: those of `f`, then a cotangent for each output of `f`.
/// Outputs: those of `f`, then a cotangent for each input listed in `wrt`.
pub fn vjp(f: &Func, wrt: &[usize]) -> Func {
    let mut b = Builder::new(format!("vjp {}", f.name));
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let cotangents: Vec<Value> = f.output_types().into_iter().map(|t| b.input(t)).collect();
    let outputs = vjp_into(&mut b, f, wrt, &inputs, |_, _| cotangents);
    b.finish(outputs)
}

/// The value of `f` (whose first output is a scalar; further ones pass) and the gradient of that scalar with respect to
/// the inputs listed in `wrt`.
pub fn grad(f: &Func, wrt: &[usize]) -> Func {
    assert!(f.ty(f.outputs[0]).is_scalar(), "compiler bug: gradient of `{}`, which is not a scalar", f.name);
    let mut b = Builder::new(format!("grad {}", f.name));
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let outputs = vjp_into(&mut b, f, wrt, &inputs, |b, outputs| {
        let seed = |(k, &v): (usize, &Value)| {
            let ty = b.ty(v).clone();
            b.full(&ty, if k == 0 { 1.0 } else { 0.0 })
        };
        outputs.iter().enumerate().map(seed).collect()
    });
    b.finish(outputs)
}

/// What [`grad`] gives, by the mode that costs less: with respect to one number, through a loop, tangents are carried along with the
/// state, for which no state need be kept. [Griewank & Walther 2008, Evaluating Derivatives, §4.6]
pub fn gradient(f: &Func, wrt: &[usize]) -> Func {
    match wrt {
        &[k] if f.inputs[k].len() == 1 && has_loop(f) => along(f, k),
        _ => grad(f, wrt),
    }
}

fn has_loop(f: &Func) -> bool {
    let loops = |op: &Op| matches!(op, Op::Scan { .. }) || Func::bodies(op).into_iter().any(|b| has_loop(b));
    f.nodes.iter().any(|n| loops(&n.op))
}

/// [`grad`] with respect to input k, one number, by its tangent.
fn along(f: &Func, k: usize) -> Func {
    let mut b = Builder::new(format!("grad {}", f.name));
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let one = b.full(&f.inputs[k], 1.0);
    let tangents: Vec<Option<Value>> = (0..inputs.len()).map(|i| (i == k).then_some(one)).collect();
    let (mut outputs, slopes) = jvp_into(&mut b, f, &inputs, &tangents);
    let slope = match slopes[0] {
        Some(slope) => b.reshape(slope, &f.inputs[k].shape),
        None => b.zeros(&f.inputs[k]),
    };
    outputs.push(slope);
    b.finish(outputs)
}

/// Values of `f` at `args`, then the cotangents of the inputs `wrt`, for the output cotangents that `seed` makes.
fn vjp_into(
    b: &mut Builder,
    f: &Func,
    wrt: &[usize],
    args: &[Value],
    seed: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>,
) -> Vec<Value> {
    let forward = jvp(f, wrt);
    let linear: Vec<bool> = (0..forward.inputs.len()).map(|k| k >= f.inputs.len()).collect();
    let parts = split(&forward, &linear);
    let known = b.inline(&parts.known, args);
    let (values, tangents) = parts.linear_output.split_at(f.outputs.len());
    assert!(!values.contains(&true), "compiler bug: a value of `{}` depends on its tangents", f.name);
    let mut outputs = known[..values.len()].to_vec();
    let seeds = seed(b, &outputs);
    // Only of those outputs whose tangents are not zero by structure.
    let cotangents: Vec<Option<Value>> =
        seeds.iter().zip(tangents).filter(|(_, linear)| **linear).map(|(&s, _)| Some(s)).collect();
    let mut linear_args = parts.residual_values(args, &known);
    linear_args.resize(parts.linear.inputs.len(), None);
    let pulled = transpose::transpose_into(b, &parts.linear, &linear_args, &cotangents);
    for (g, &input) in pulled.into_iter().zip(wrt) {
        outputs.push(g.unwrap_or_else(|| b.zeros(&f.inputs[input])));
    }
    outputs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Tensor, Type};
    use std::sync::Arc;

    /// x ← x + k x², 8 times, by both modes; in the second function the number is of shape [1].
    #[test]
    fn both_modes_give_one_gradient() {
        for shape in [vec![], vec![1]] {
            let mut b = Builder::new("step");
            let (x, k) = (b.input(Type::f64([])), b.input(Type::f64([])));
            let square = b.mul(x, x);
            let more = b.mul(square, k);
            let next = b.add(x, more);
            let body = Arc::new(b.finish(vec![next]));
            let mut b = Builder::new("run");
            let (x, k) = (b.input(Type::f64([])), b.input(Type::f64(shape.clone())));
            let one = b.reshape(k, &[]);
            let end = b.ops(Op::Scan { body, length: 8, carry: 1, xs: 0, reverse: false }, &[x, one])[0];
            let f = b.finish(vec![end, x]);
            let at = [Tensor::f64([], vec![0.3]), Tensor::f64(shape, vec![0.2])];
            let of = |g: Func| crate::ir::eval::eval(&g, &at).expect("a value");
            let (back, ahead) = (of(grad(&f, &[1])), of(gradient(&f, &[1])));
            assert_eq!(back.len(), 3);
            assert_eq!(back[..2], ahead[..2]);
            assert_eq!(back[2].ty, ahead[2].ty);
            let (r, a) = (back[2].to_f64()[0], ahead[2].to_f64()[0]);
            assert!((r - a).abs() < 1e-14 * r.abs(), "{r} {a}");
        }
    }
}
