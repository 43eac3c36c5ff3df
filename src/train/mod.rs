//! Optimisers for `minimize`: what a stage does with a value and a gradient. No knowledge of nets, programs or files.

pub mod adam;
mod bits;
pub mod gp;
pub mod lbfgs;
mod line_search;
pub mod run;
pub mod schedule;
mod vector;

pub use adam::Adam;
pub use gp::GaussianProcess;
pub use lbfgs::{Bounds, Lbfgs};
pub use run::{Checkpoint, Epoch, History, Objective, Observer, Stage, StageKind, StopReason, TrainError, run};
pub use schedule::Schedule;
