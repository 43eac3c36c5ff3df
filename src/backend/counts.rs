//! How many systems were solved in this process, by name: what a concurrent coupling costs, in the unit that does not depend on
//! the machine. Counting takes no part in any result.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

static SOLVED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Notes a solve of the system of this name.
pub(super) fn solved(name: &str) {
    let mut counts = SOLVED.lock().unwrap_or_else(PoisonError::into_inner);
    match counts.get_mut(name) {
        Some(n) => *n += 1,
        None => {
            counts.insert(name.to_string(), 1);
        }
    }
}

/// Points that were asked of a closure that remembers, and points that were computed for it.
static REMEMBERED: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::new(BTreeMap::new());

pub(super) fn asked(name: &str) {
    change(name, |c| c.0 += 1);
}

pub(super) fn computed(name: &str) {
    change(name, |c| c.1 += 1);
}

fn change(name: &str, f: impl Fn(&mut (u64, u64))) {
    let mut counts = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    match counts.get_mut(name) {
        Some(c) => f(c),
        None => f(counts.entry(name.to_string()).or_default()),
    }
}

/// Asked and computed so far, by closure.
pub fn remembered() -> BTreeMap<String, (u64, u64)> {
    REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Solves so far, by name.
pub fn solves() -> BTreeMap<String, u64> {
    SOLVED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
