//! Loops that are followed while they run: who follows may tell how far they are, keep what is needed to go on from there, and
//! stop them. Following takes no part in any result.

use super::View;
use crate::ir::{Fault, Tensor};
use std::ops::Range;

/// Follows loops (`Scan`) that stand at the top of a function, or at the top of the body of a loop that is followed. Calls come
/// between chunks of steps of some tenths of a second. Loops elsewhere are guarded: of them it hears only what goes wrong, from any
/// thread.
pub trait Watch: Sync {
    /// Whether the loop with a body of this name is followed.
    fn follows(&self, body: &str) -> bool;

    /// A loop begins; gives where to go on if it had begun before. `start` is at step 0.
    fn begins(&self, start: &Reached) -> Option<Saved>;

    /// So many steps are done. An error ends the run.
    fn reached(&self, now: &Reached) -> Result<(), Fault>;

    /// Whether the rows of this loop are handed over as they are made and not kept; asked only where nobody else reads them.
    fn takes(&self, _body: &str) -> bool {
        false
    }

    /// The rows of these steps, which have just been done. An error ends the run.
    fn take(&self, _body: &str, _steps: Range<usize>, _rows: &[View]) -> Result<(), Fault> {
        Ok(())
    }

    /// A step has made a number that is not finite: entry `entry` of the `state`-th carried value. `now` is after that step, `before`
    /// is the state before it. Where there was one at the start, `now` is at step 0 and `before` the start.
    fn broken(&self, now: &Reached, before: &[View], state: usize, entry: usize) -> Fault;

    /// Whether the states of this loop are to be looked at by [`Watch::holds`]: as often as takes a small part of the time.
    fn watches(&self, _body: &str) -> bool {
        false
    }

    /// Whether a state is as it should be. Where one is not, the loop goes back to the last that was, and on step by step.
    fn holds(&self, _now: &Reached) -> bool {
        true
    }

    /// Whether the loops of bodies of these names belong to one run.
    fn same_run(&self, a: &str, b: &str) -> bool {
        a == b
    }

    /// A loop that is not at the top has done its steps. An error ends the run.
    fn arrived(&self, _end: &Reached) -> Result<(), Fault> {
        Ok(())
    }

    /// What to say of the first state that is not.
    fn violated(&self, now: &Reached) -> Fault {
        Fault::new(now.body, "a state that should not be")
    }
}

/// How far a loop is.
#[derive(Clone, Copy)]
pub struct Reached<'a> {
    /// Name of its body.
    pub body: &'a str,
    pub step: usize,
    pub length: usize,
    /// It runs from the last step to the first.
    pub reverse: bool,
    /// The carried values before the first step.
    pub start: &'a [View<'a>],
    /// The carried values.
    pub state: &'a [View<'a>],
    /// What the steps so far have left behind, in their order; nothing where it is handed over.
    pub rows: &'a [View<'a>],
    /// The loop around it, before the step in which this one runs.
    pub above: Option<&'a Reached<'a>>,
}

/// Where a loop goes on.
pub struct Saved {
    pub step: usize,
    pub state: Vec<Tensor>,
    /// Rows of the steps before, in their order.
    pub rows: Vec<Tensor>,
}
