//! Names, modules and what they refer to.

use super::Code;

pub const ROWS: &[Code] = &[];
