//! What a result takes to compute: time, systems solved, points of closures that remember.

use crate::backend::counts;
use std::collections::BTreeMap;

/// What a result took to compute.
#[derive(Default)]
pub struct Cost {
    pub seconds: f64,
    /// Systems solved, by name.
    pub solves: Vec<(String, u64)>,
    /// Points asked of closures that remember, and points computed for them.
    pub remembered: Vec<(String, u64, u64)>,
}

impl Cost {
    /// As it was kept beside the result.
    pub fn of(meta: &serde_json::Value) -> Cost {
        Cost {
            seconds: meta["seconds"].as_f64().unwrap_or(0.0),
            solves: serde_json::from_value(meta["solves"].clone()).unwrap_or_default(),
            remembered: serde_json::from_value(meta["remembered"].clone()).unwrap_or_default(),
        }
    }
}

/// The counters before a computation.
pub struct Before {
    solves: BTreeMap<String, u64>,
    remembered: BTreeMap<String, (u64, u64)>,
}

impl Before {
    pub fn now() -> Before {
        Before { solves: counts::solves(), remembered: counts::remembered() }
    }

    pub fn cost(&self, seconds: f64) -> Cost {
        let solves = counts::solves().into_iter().filter_map(|(name, n)| {
            let n = n - self.solves.get(&name).copied().unwrap_or(0);
            (n > 0).then_some((name, n))
        });
        let remembered = counts::remembered().into_iter().filter_map(|(name, (asked, computed))| {
            let (a, c) = self.remembered.get(&name).copied().unwrap_or((0, 0));
            (asked > a).then_some((name, asked - a, computed - c))
        });
        Cost { seconds, solves: solves.collect(), remembered: remembered.collect() }
    }
}
