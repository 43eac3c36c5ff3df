//! Optimisers for `minimize`: what a stage does with a value and a gradient. No knowledge of nets, programs or files.

pub mod adam;
mod bits;
mod checkpoint;
pub mod gp;
pub mod lbfgs;
mod line_search;
mod objective;
pub mod run;
pub mod schedule;
mod stage;
mod vector;

pub use adam::Adam;
pub use checkpoint::Checkpoint;
pub use gp::GaussianProcess;
pub use lbfgs::{Bounds, Lbfgs};
pub use objective::{Control, Objective, Observer, TrainError};
pub use run::{resume, run};
pub use schedule::Schedule;
pub use stage::{Epoch, History, Precision, Stage, StageKind, StopReason};
