//! Text to tree and back: [`parse`] (with recovery, item by item), [`format`](fn@format). No meaning.
//!
//! [`lex`] cuts the text into tokens that carry no grammar; [`layout`] finds items and unclosed brackets among them and bounds
//! the nesting; only then `grammar/msl.pest` reads item by item, and [`tree`] builds the syntax tree from what it found.

pub mod ast;
mod format;
mod layout;
pub mod lex;
mod message;
mod parse;
mod recover;
mod tree;

pub use format::format;
pub use layout::{MAX_CHAIN, MAX_NESTING};
pub use parse::{MAX_BYTES, parse};

/// The parser that pest generates from the grammar.
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/msl.pest"]
    pub struct Grammar;
}
