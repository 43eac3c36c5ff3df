//! Systems: equations, unknowns, conditions, and the schemes that solve them.

use super::Code;

pub const ROWS: &[Code] = &[];
