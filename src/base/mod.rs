//! What every other room may use: places in the source, messages, dimensions, units, fingerprints, numbers for people. No I/O.

pub mod codes;
pub mod diagnostic;
pub mod digits;
pub mod dimension;
pub mod fingerprint;
pub mod source;
pub mod unit;
pub mod units;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use dimension::{Dimension, Ratio};
pub use fingerprint::Fingerprint;
pub use source::{FileId, SourceFile, Sources, Span};
pub use unit::Unit;
