//! Studies, their tasks and their files.

use super::Code;

pub const ROWS: &[Code] = &[];
