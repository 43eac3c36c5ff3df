//! What a run in time is watched for: numbers that are not finite, claims that no longer hold.

use crate::backend::{Backend, Executable, Options, View, ViewMut, compile};
use crate::ir::{Broke, Tensor};
use crate::lower::evolve::march::{Held, Look, March, Rule, Start};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What is computed of the states of a run.
pub struct Guard {
    /// Its claims, none where it makes none.
    claims: Vec<Held>,
    claimed: Option<Look>,
    shown: Option<Look>,
    /// Compiled when they are first wanted.
    glances: [OnceLock<Option<Glance>>; 2],
    threads: usize,
}

/// A state, its time, and the state and the time at the start.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    pub state: &'a [View<'a>],
    pub t: f64,
    pub start: (&'a [View<'a>], f64),
}

impl Guard {
    pub fn of(m: &March, threads: usize) -> Option<Guard> {
        let claims = m.watched.as_ref().map_or(vec![], |w| w.claims.clone());
        let claimed = m.watched.as_ref().map(|w| w.look.clone());
        let guard = Guard { claims, claimed, shown: m.shown.clone(), glances: Default::default(), threads };
        (guard.claimed.is_some() || guard.shown.is_some()).then_some(guard)
    }

    /// Whether something is claimed.
    pub fn claims(&self) -> bool {
        self.claimed.is_some()
    }

    /// The claim that does not hold, of the first run for which one does not, and the number of that run.
    pub fn broken(&self, now: Moment) -> Option<(Broke, usize)> {
        let look = self.claimed.as_ref()?;
        let glance = self.glances[0].get_or_init(|| Glance::new(look, self.threads)).as_ref()?;
        let found = |h: &Held| matches!(h.rule, Rule::Conserved { start: Start::Found, .. });
        let at_start = self.claims.iter().any(found);
        (0..glance.runs(now.state)?).find_map(|run| {
            let first = match at_start {
                true => Some(glance.at(now.start.0, run, now.start.1, |values| values.to_vec())?),
                false => None,
            };
            let broken = |values: &[Vec<f64>]| {
                self.claims.iter().enumerate().find_map(|(claim, held)| {
                    let conserved = held.conserved(first.as_deref());
                    let (entry, value) = held.broken(&values[held.output], conserved)?;
                    Some((Broke::Claim { claim, entry, value, conserved }, run))
                })
            };
            glance.at(now.state, run, now.t, broken)?
        })
    }

    /// The entry of the unknowns that is largest at a state of a run.
    pub fn largest(&self, state: &[View], run: usize, t: f64) -> Option<usize> {
        let look = self.shown.as_ref()?;
        let glance = self.glances[1].get_or_init(|| Glance::new(look, self.threads)).as_ref()?;
        glance.at(state, run, t, |values| {
            let size = |x: &f64| if x.is_finite() { x.abs() } else { f64::INFINITY };
            (0..values[0].len()).max_by(|a, b| size(&values[0][*a]).total_cmp(&size(&values[0][*b])).then(b.cmp(a)))
        })?
    }
}

/// A function of the state that is computed between steps, with its memory.
struct Glance {
    func: Executable,
    /// Lengths of the states.
    states: Vec<usize>,
    captured: Vec<Tensor>,
    out: Mutex<Vec<Vec<f64>>>,
}

impl Glance {
    fn new(look: &Look, threads: usize) -> Option<Glance> {
        let count = look.func.inputs.len() - 1 - look.captured.len();
        let states = look.func.inputs[..count].iter().map(|ty| ty.len()).collect();
        let func = crate::passes::optimise(look.func.clone());
        let out = func.output_types().iter().map(|ty| vec![0.0; ty.len()]).collect();
        let func = compile(&func, &Options { threads, backend: Backend::Native }).ok()?;
        Some(Glance { func, states, captured: look.captured.clone(), out: Mutex::new(out) })
    }

    /// Of how many runs, taken together, a state is. None where it is of no such run.
    fn runs(&self, state: &[View]) -> Option<usize> {
        let runs = state.first()?.len() / (*self.states.first()?).max(1);
        let fits = |(v, n): (&View, &usize)| v.len() == *n || v.len() == n * runs;
        (runs > 0 && state.len() >= self.states.len() && state.iter().zip(&self.states).all(fits)).then_some(runs)
    }

    /// Gives `f` the results at a state of one of the runs and a time; none where they cannot be computed.
    fn at<T>(&self, state: &[View], run: usize, t: f64, f: impl FnOnce(&[Vec<f64>]) -> T) -> Option<T> {
        self.runs(state).filter(|runs| run < *runs)?;
        let t = [t];
        let own = |(v, n): (&View, &usize)| if v.len() == *n { 0 } else { run * n };
        let mut inputs: Vec<View> = vec![];
        for (v, n) in state.iter().zip(&self.states) {
            inputs.push(v.part(own((v, n)), *n));
        }
        inputs.push(View::F64(&t));
        inputs.extend(self.captured.iter().map(View::of_tensor));
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut views: Vec<ViewMut> = out.iter_mut().map(|x| ViewMut::F64(x)).collect();
        self.func.run_into(&inputs, &mut views).ok()?;
        Some(f(&out))
    }
}
