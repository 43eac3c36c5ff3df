//! Binders in force, innermost last.

use crate::base::Span;
use crate::sema::hir::LocalId;

#[derive(Default)]
pub struct Scopes {
    names: Vec<(String, LocalId)>,
    /// Where each open scope starts in `names`.
    starts: Vec<usize>,
    /// Names that the open definition binds further down.
    later: Vec<(String, Span)>,
}

impl Scopes {
    pub fn open(&mut self) {
        self.starts.push(self.names.len());
    }

    pub fn close(&mut self) {
        let start = self.starts.pop().unwrap_or(0);
        self.names.truncate(start);
    }

    pub fn bind(&mut self, name: &str, local: LocalId) {
        self.names.push((name.to_string(), local));
    }

    pub fn find(&self, name: &str) -> Option<LocalId> {
        self.names.iter().rev().find(|(n, _)| n == name).map(|(_, l)| *l)
    }

    /// A name bound in the innermost scope already.
    pub fn find_innermost(&self, name: &str) -> Option<LocalId> {
        let start = self.starts.last().copied().unwrap_or(0);
        self.names[start..].iter().rev().find(|(n, _)| n == name).map(|(_, l)| *l)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(n, _)| n.as_str())
    }

    pub fn set_later(&mut self, later: Vec<(String, Span)>) {
        self.later = later;
    }

    pub fn later(&self, name: &str) -> Option<Span> {
        self.later.iter().find(|(n, _)| n == name).map(|(_, s)| *s)
    }
}
