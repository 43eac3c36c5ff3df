//! Types, ranks and shapes.

use super::Code;

pub const ROWS: &[Code] = &[];
