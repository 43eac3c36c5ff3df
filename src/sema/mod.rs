//! Meaning before the run: names, types, dimensions, well-posedness, scales.

pub mod hir;
pub mod types;
