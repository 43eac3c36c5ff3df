//! Closures, contracts and scales.

use super::Code;

pub const ROWS: &[Code] = &[];
