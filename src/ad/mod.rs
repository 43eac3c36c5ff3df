//! Differentiation: functions to functions, so that derivatives of any order compose.
//!
//! There is one table of derivatives, [`jvp`] (forward mode). Reverse mode is forward mode taken apart and turned around:
//! [`split`] separates what does not depend on the tangents from what does (which is linear), and [`transpose`] turns the
//! linear part. [Radul, Paszke, Frostig, Johnson & Maclaurin, You Only Linearize Once, POPL 2023]

mod checkpoints;
mod jacobian;
mod jet;
mod jvp;
mod split;
mod transpose;

pub use jacobian::{complete, dense_jacobian};
pub use jet::{Series, jet_into};
pub use jvp::{jvp, jvp_into};
pub use split::{Split, split};
pub use transpose::transpose;

use crate::ir::{Builder, Func, Value};

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
