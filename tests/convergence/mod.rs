//! Discretisations against exact solutions: observed orders, anchors, conservation, Jacobians.

mod anchors;
mod elasticity;
mod in_time;
mod iterations;
mod jacobians;
mod manufactured;
mod orders;
mod page;
mod programs;
mod transport;

use mslc::backend::{Options, compile};
use mslc::ir::{Func, Tensor};

/// Compiles and runs a function.
fn run(f: &Func, inputs: &[Tensor]) -> Vec<Tensor> {
    let out = compile(f, &Options { threads: 1, ..Options::default() }).and_then(|e| e.run(inputs));
    out.unwrap_or_else(|fault| panic!("{fault:?}"))
}
