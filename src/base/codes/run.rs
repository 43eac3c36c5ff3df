//! What can go wrong while a program runs.

use super::Code;

pub const ROWS: &[Code] = &[];
