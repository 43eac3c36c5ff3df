//! What goes wrong while tracing is a diagnostic at the expression that asked for it.

use crate::base::{Diagnostic, Span};

pub type Error = Box<Diagnostic>;
pub type Result<T> = std::result::Result<T, Error>;

/// An error at a place.
pub fn error<T>(code: &'static str, span: Span, message: impl Into<String>) -> Result<T> {
    Err(Box::new(Diagnostic::error(code, span, message)))
}

/// An error with the way to mend it.
pub fn error_help<T>(code: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) -> Result<T> {
    Err(Box::new(Diagnostic::error(code, span, message).help(help)))
}
