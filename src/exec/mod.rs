//! Runs tasks and keeps what they yield.

pub mod fs;
pub mod interrupt;
pub mod progress;
pub mod store;
