//! Cutting a loop at calls of elementary functions.

use super::super::nest::{Expr, Id, Nest};
use super::super::strips;
use std::collections::HashMap;

/// When each expression is computed, and which ones pass through scratch memory.
pub struct Phases {
    pub of: Vec<usize>,
    pub count: usize,
    /// The strip of scratch memory of an expression.
    pub slots: HashMap<Id, usize>,
}

impl Phases {
    pub fn new(nest: &Nest) -> Phases {
        let exprs = &nest.graph.exprs;
        let needed = nest.order(nest.stores.iter().map(|s| s.1));
        let mut of = vec![0; exprs.len()];
        for &id in &needed {
            let last = exprs[id as usize].operands().map(|a| of[a as usize]).max().unwrap_or(0);
            of[id as usize] = last + is_call(&exprs[id as usize]) as usize;
        }
        let count = needed.iter().map(|&id| of[id as usize]).max().unwrap_or(0) + 1;
        let mut slots = HashMap::new();
        let mut keep = |id: Id| {
            let next = slots.len();
            slots.entry(id).or_insert(next);
        };
        for &id in &needed {
            let e = &exprs[id as usize];
            let called = is_call(e);
            if called {
                keep(id);
            }
            for a in e.operands() {
                let later = of[a as usize] < of[id as usize] && !is_leaf(&exprs[a as usize]);
                if called || later {
                    keep(a);
                }
            }
        }
        for (_, id) in &nest.stores {
            // Stores are made in the phase of their value.
            if is_call(&exprs[*id as usize]) {
                keep(*id);
            }
        }
        Phases { of, count, slots }
    }

    /// Elements of a strip.
    pub fn strip(&self, nest: &Nest) -> usize {
        const BYTES: usize = 24 << 10;
        let fits = BYTES / (self.slots.len().max(1) * nest.graph.dtype.size());
        let longest = 1 << (usize::BITS - 1 - fits.clamp(64, 512).leading_zeros());
        longest.min(nest.shape[nest.shape.len() - 1])
    }
}

pub fn is_call(e: &Expr) -> bool {
    match e {
        Expr::Unary(f, _) => strips::unary_slot(*f).is_some(),
        Expr::Binary(f, ..) => strips::binary_slot(*f).is_some(),
        _ => false,
    }
}

/// Cheaper to read again than to keep.
pub fn is_leaf(e: &Expr) -> bool {
    matches!(e, Expr::Constant(_) | Expr::Number(_) | Expr::Load(_) | Expr::Gather { .. })
}
