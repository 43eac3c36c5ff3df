//! Rewriting functions into equal, cheaper ones. [`batch`] turns a function of one item into one of many.

mod batch;
mod begun;
mod factors;
mod flatten;
mod hoist;
mod merge;
mod prune;
mod simplify;
mod single;
mod stencils;
mod sums;

pub use batch::{batch, runs_item_by_item};
pub use flatten::flatten;
pub use merge::merge_maps;
pub use single::single;

use crate::ad;
use crate::ir::Func;

/// One rewriting of a whole function, bodies included.
pub struct Pass {
    pub name: &'static str,
    pub run: fn(&Func) -> Func,
}

/// What [`optimise`] runs, in this order.
pub const PIPELINE: &[Pass] = &[
    // First of all: what follows, and every backend, may count on a Jacobian in each solve.
    Pass { name: "jacobians", run: ad::complete },
    Pass { name: "simplify", run: simplify::simplify },
    Pass { name: "prune", run: prune::prune },
    Pass { name: "hoist", run: hoist::hoist },
    Pass { name: "flatten", run: flatten::flatten_nets },
    Pass { name: "simplify", run: simplify::simplify },
    Pass { name: "sums", run: sums::sums },
    Pass { name: "begun", run: begun::begun },
    Pass { name: "factors", run: factors::factors },
    Pass { name: "stencils", run: stencils::stencils },
    Pass { name: "prune", run: prune::prune },
];

/// All passes of [`PIPELINE`]. In debug builds each is followed by the verifier.
pub fn optimise(f: Func) -> Func {
    PIPELINE.iter().fold(f, |f, pass| {
        let g = (pass.run)(&f);
        #[cfg(debug_assertions)]
        crate::ir::verify::verify(&g).unwrap_or_else(|e| panic!("compiler bug: after `{}`: {e}", pass.name));
        g
    })
}
