//! Units and dimensions.

use super::Code;

pub const ROWS: &[Code] = &[];
