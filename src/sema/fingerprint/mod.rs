//! Content hashes of definitions and expressions: what a result was computed from.
//!
//! Hashed is meaning, not text: numbers in SI, definitions by their own hash in place of their name, local names by their order
//! of binding. White space, comments, documentation, names of lets and the order of items change nothing. What others may refer
//! to by name counts: parameters, members, columns, losses, and what random streams are named after (datasets, minimizes, weights).

mod bodies;
mod definitions;
mod expressions;
mod types;

use super::hir::{Dataset, DefId, Expr, Lambda, LocalId, Program};
use crate::base::Fingerprint;
use crate::base::fingerprint::Hasher;
use std::cell::RefCell;
use std::collections::HashMap;

/// What a free local stands for, where the one who asks knows.
pub type Free<'a> = &'a dyn Fn(LocalId) -> Option<Fingerprint>;

/// Fingerprints of one program; each definition is hashed once.
pub struct Fingerprints<'p> {
    program: &'p Program,
    defs: RefCell<HashMap<DefId, Option<Fingerprint>>>,
}

impl<'p> Fingerprints<'p> {
    pub fn new(program: &'p Program) -> Fingerprints<'p> {
        Fingerprints { program, defs: RefCell::default() }
    }

    /// Of a definition and all that it refers to.
    pub fn def(&self, id: DefId) -> Fingerprint {
        if let Some(known) = self.defs.borrow().get(&id) {
            // A definition that needs itself is an error elsewhere; here it only must not recurse.
            return known.unwrap_or_else(|| Fingerprint::of(b"cycle"));
        }
        self.defs.borrow_mut().insert(id, None);
        let mut w = Walk::new(self, "definition", &|_| None);
        w.definition(id);
        let found = w.hash.finish();
        self.defs.borrow_mut().insert(id, Some(found));
        found
    }

    /// Of an expression; `free` gives what the locals that it does not bind stand for.
    pub fn expr(&self, e: &Expr, free: Free) -> Fingerprint {
        let mut w = Walk::new(self, "expression", free);
        w.expr(e);
        w.hash.finish()
    }

    /// Of a function with what it captures.
    pub fn lambda(&self, lambda: &Lambda, free: Free) -> Fingerprint {
        let mut w = Walk::new(self, "function", free);
        w.lambda(lambda);
        w.hash.finish()
    }

    /// Of a dataset that stands inside a study.
    pub fn dataset(&self, dataset: &Dataset, free: Free) -> Fingerprint {
        let mut w = Walk::new(self, "dataset", free);
        w.dataset(dataset);
        w.hash.finish()
    }
}

/// One hash in the making.
struct Walk<'a, 'p> {
    all: &'a Fingerprints<'p>,
    hash: Hasher,
    bound: HashMap<LocalId, u64>,
    free: Free<'a>,
}

impl<'a, 'p> Walk<'a, 'p> {
    fn new(all: &'a Fingerprints<'p>, domain: &str, free: Free<'a>) -> Walk<'a, 'p> {
        Walk { all, hash: Hasher::new(domain), bound: HashMap::new(), free }
    }

    fn tag(&mut self, tag: &str) {
        self.hash.text(tag);
    }

    fn count(&mut self, n: usize) {
        self.hash.integer(n as u64);
    }

    fn binder(&mut self, local: LocalId) {
        let next = self.bound.len() as u64;
        self.bound.insert(local, next);
    }

    fn local(&mut self, local: LocalId) {
        if let Some(&i) = self.bound.get(&local) {
            self.tag("bound");
            self.hash.integer(i);
        } else if let Some(meaning) = (self.free)(local) {
            self.tag("free");
            self.hash.part(meaning);
        } else {
            self.tag("name");
            let name = self.all.program.local(local).name.clone();
            self.hash.text(&name);
        }
    }
}
