//! Nets, datasets and training.

use super::Code;

pub const ROWS: &[Code] = &[];
