//! Text to tree and back: `parse` (with recovery), `format`. No meaning.

pub mod ast;
