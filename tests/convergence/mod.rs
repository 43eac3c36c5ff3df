//! Discretisations against exact solutions: observed orders, anchors, conservation, Jacobians.

mod anchors;
mod elasticity;
mod jacobians;
mod manufactured;
mod orders;

use mslc::ir::{Func, Tensor};

/// Runs a function.
fn run(f: &Func, inputs: &[Tensor]) -> Vec<Tensor> {
    mslc::ir::eval::eval(f, inputs).unwrap_or_else(|fault| panic!("{fault:?}"))
}
