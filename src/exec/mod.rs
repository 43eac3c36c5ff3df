//! Running a program: studies, the world they act on, and what came of it.

pub mod key;
pub mod outcome;
pub mod study;
