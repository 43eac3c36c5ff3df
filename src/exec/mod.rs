//! Running a program: studies, the world they act on, and what came of it.

mod broken;
mod cost;
pub mod engine;
pub mod follow;
mod format;
pub mod fs;
mod guard;
pub mod interrupt;
pub mod journal;
pub mod key;
mod objective;
pub mod outcome;
mod partial;
pub mod plan;
pub mod progress;
pub mod run;
pub mod store;
mod stream;
pub mod study;
mod training;
pub mod world;
