//! Results that are remembered: those of a `Memo`'s body at the knots of its lattice (see [`crate::ir::memo`]). Each knot is
//! computed once, by whoever asks first; who asks meanwhile waits. What is remembered lives as long as a compiled function that
//! may ask, and is shared by all that ask the same body: the residual of a system and its Jacobian, step after step.

use super::counts;
use crate::ir::{Fault, Func, MemoSpec, Type, Within};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

pub struct Memo {
    body: Arc<Func>,
    spec: Arc<MemoSpec>,
    backend: &'static str,
    known: Mutex<HashMap<Key, Arc<OnceLock<Result<Vec<f64>, Fault>>>>>,
}

/// The arguments that are no coordinates, by their bits, and the knot.
type Key = (Vec<u8>, Vec<i64>);

static ALL: Mutex<Vec<Weak<Memo>>> = Mutex::new(vec![]);

/// The most results that are kept; beyond, knots are computed for whoever asks.
const MOST: usize = 1 << 20;

impl Memo {
    /// The memory of this body, which may be in use already.
    pub fn of(body: &Arc<Func>, spec: &Arc<MemoSpec>, backend: &'static str) -> Arc<Memo> {
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|m| m.strong_count() > 0);
        let same = |m: &Arc<Memo>| {
            (m.backend, m.spec.reuse, &m.spec.scale) == (backend, spec.reuse, &spec.scale) && *m.body == **body
        };
        if let Some(found) = all.iter().filter_map(Weak::upgrade).find(same) {
            return found;
        }
        let memo = Memo { body: body.clone(), spec: spec.clone(), backend, known: Mutex::default() };
        let memo = Arc::new(memo);
        all.push(Arc::downgrade(&memo));
        memo
    }
}

/// One `Memo` of a function: its results in terms of those remembered.
pub struct Remembered {
    memo: Arc<Memo>,
    spec: Arc<MemoSpec>,
    /// Of each number among the coordinates.
    scales: Vec<f64>,
    /// Of each argument.
    lengths: Vec<usize>,
    /// Entries of all results of the body.
    entries: Vec<usize>,
}

impl Remembered {
    pub fn new(body: &Arc<Func>, spec: &Arc<MemoSpec>, backend: &'static str) -> Remembered {
        let lengths: Vec<usize> = body.inputs.iter().map(Type::len).collect();
        let keyed = (0..lengths.len()).filter(|&k| spec.keyed(k));
        let scales = keyed.flat_map(|k| vec![spec.scale[k]; lengths[k]]).collect();
        let entries = body.output_types().iter().map(Type::len).collect();
        Remembered { memo: Memo::of(body, spec, backend), spec: spec.clone(), scales, lengths, entries }
    }

    /// Whether argument k is among the coordinates.
    pub fn keyed(&self, k: usize) -> bool {
        self.spec.keyed(k)
    }

    /// The results at the coordinates `x` (the keyed arguments one after the other): each as its entries. `fixed`: the bits of the
    /// other arguments. `body` computes the entries of all results of the body at other coordinates.
    pub fn results(
        &self,
        x: &[f64],
        fixed: &[u8],
        body: &dyn Fn(&[f64]) -> Result<Vec<f64>, Fault>,
    ) -> Result<Vec<Vec<f64>>, Fault> {
        counts::asked(&self.spec.name);
        let Some(simplex) = self.spec.simplex(&self.scales, x) else {
            return Err(Fault::new(&self.spec.name, format!("an argument is not a finite number: {x:?}")));
        };
        let mut at = vec![];
        for ((key, corner), weight) in simplex.keys.iter().zip(&simplex.corners).zip(&simplex.weights) {
            // A corner that has no part in the value is needed for slopes only.
            at.push(match *weight == 0.0 && self.spec.slopes.is_empty() {
                true => None,
                false => Some(self.at(key, corner, fixed, body)?),
            });
        }
        let total: usize = self.entries.iter().sum();
        let nothing = vec![0.0; total];
        let known: Vec<&[f64]> = at
            .iter()
            .map(|cell| cell.as_ref().and_then(|c| c.get()?.as_ref().ok()).unwrap_or(&nothing).as_slice())
            .collect();
        let (value, slopes) = simplex.interpolate(&known, total);
        let parts = |all: &[f64]| -> Vec<Vec<f64>> {
            let mut start = 0;
            self.entries
                .iter()
                .map(|n| {
                    start += n;
                    all[start - n..start].to_vec()
                })
                .collect()
        };
        let mut results = parts(&value);
        for &k in &self.spec.slopes {
            let first: usize = (0..k).filter(|&j| self.keyed(j)).map(|j| self.lengths[j]).sum();
            let each: Vec<Vec<Vec<f64>>> = (first..first + self.lengths[k]).map(|i| parts(&slopes[i])).collect();
            results.extend((0..self.entries.len()).map(|o| each.iter().flat_map(|e| e[o].iter().copied()).collect()));
        }
        Ok(results)
    }

    fn at(
        &self,
        key: &[i64],
        corner: &[f64],
        fixed: &[u8],
        body: &dyn Fn(&[f64]) -> Result<Vec<f64>, Fault>,
    ) -> Result<Arc<OnceLock<Result<Vec<f64>, Fault>>>, Fault> {
        let cell = {
            let mut known = self.memo.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST {
                known.clear();
            }
            known.entry((fixed.to_vec(), key.to_vec())).or_default().clone()
        };
        let outcome = cell.get_or_init(|| {
            counts::computed(&self.spec.name);
            body(corner).map_err(|f| {
                f.within(Within::Else(format!(
                    "at the knot {corner:?}, from which results are reused (`reuse={}`)",
                    self.spec.reuse
                )))
            })
        });
        match outcome {
            Ok(_) => Ok(cell),
            Err(f) => Err(f.clone()),
        }
    }
}
