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

/// Solves so far, by name.
pub fn solves() -> BTreeMap<String, u64> {
    SOLVED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
