//! From a program text and `--set` options to what is known about it.

use crate::base::{Diagnostic, FileId, Sources, Span};

/// Parses, overrides parameters, resolves and checks.
pub fn analyse(sources: &mut Sources, file: FileId, _set: &[String]) -> (Option<()>, Vec<Diagnostic>) {
    let end = sources.get(file).text.len();
    (None, vec![Diagnostic::error("input.unsupported", Span::new(file, 0, end), "not supported yet: reading programs")])
}
