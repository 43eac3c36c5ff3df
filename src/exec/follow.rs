//! Runs in time while they run: how far they are, checkpoints from which a killed run goes on with the same bits, Ctrl-C, and where
//! a state broke down.

use super::interrupt;
use super::progress::{Meter, Progress};
use super::store::{Artifact, Store};
use crate::backend::View;
use crate::backend::watch::{Reached, Saved, Watch};
use crate::base::fingerprint::Hasher;
use crate::base::{Diagnostic, Fingerprint, Span};
use crate::ir::{DType, Fault, Tensor, Type};
use crate::lower::evolve::march::{March, marked};
use crate::lower::runtime::Failure;
use indexmap::IndexMap;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Marks of runs with what is known of them.
pub type Marches = HashMap<String, March>;

/// Writing checkpoints takes at most this part of the time.
const SHARE: u32 = 20;

/// Follows the loops of one task.
pub struct Follower<'a> {
    known: HashMap<String, Known>,
    progress: &'a dyn Progress,
    store: &'a Store,
    /// Of the function that the loops belong to.
    key: Fingerprint,
    every: Duration,
    state: Mutex<State>,
}

/// The numbers of a [`March`].
#[derive(Clone, Copy)]
struct Known {
    start: f64,
    step: f64,
    steps: usize,
    /// 1 where no samples are kept.
    per_sample: usize,
}

struct State {
    /// Loops at the top that have begun.
    loops: u64,
    meter: Option<Box<dyn Meter>>,
    /// When the last checkpoint was written, and how long that took.
    last: Instant,
    writing: Duration,
    /// Where the loop inside goes on: in which round of the outer one, from where.
    inner: Option<(usize, Saved)>,
    /// Checkpoints that are on the disk.
    kept: Vec<Fingerprint>,
    resumed: Option<(String, usize)>,
    broken: Option<Broken>,
}

/// A number that is not finite.
#[derive(Clone)]
pub struct Broken {
    mark: String,
    /// Steps taken, the bad one included.
    steps: usize,
    /// Number of the carried value, and of its entry.
    state: usize,
    entry: usize,
    value: f64,
}

impl<'a> Follower<'a> {
    pub fn new(
        marches: &Marches,
        progress: &'a dyn Progress,
        store: &'a Store,
        key: Fingerprint,
        every: Duration,
    ) -> Follower<'a> {
        let known =
            |m: &March| Known { start: m.start, step: m.step, steps: m.steps, per_sample: m.per_sample.unwrap_or(1) };
        Follower {
            known: marches.iter().map(|(mark, m)| (mark.clone(), known(m))).collect(),
            progress,
            store,
            key,
            every,
            state: Mutex::new(State {
                loops: 0,
                meter: None,
                last: Instant::now(),
                writing: Duration::ZERO,
                inner: None,
                kept: vec![],
                resumed: None,
                broken: None,
            }),
        }
    }

    /// Removes what was needed only while the task ran.
    pub fn finish(&self) {
        let mut s = self.lock();
        s.meter = None;
        for key in s.kept.drain(..) {
            // What cannot be removed goes when the cache is swept.
            let _ = self.store.remove(&key);
        }
    }

    /// What broke down, if that ended the task.
    pub fn broken(&self) -> Option<Broken> {
        self.lock().broken.clone()
    }

    /// `went on from step 320 of 1000 of Heat`, where it did.
    pub fn resumed(&self) -> Option<String> {
        let s = self.lock();
        let (mark, steps) = s.resumed.as_ref()?;
        Some(format!("went on from step {steps} of {} of {}", self.known.get(mark)?.steps, system(mark)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key_of(&self, number: u64) -> Fingerprint {
        let mut h = Hasher::new("checkpoint of a loop");
        h.part(self.key).integer(number);
        h.finish()
    }

    /// The run that a loop belongs to, and the steps it has done.
    fn place(&self, now: &Reached) -> Option<(&str, Known, usize)> {
        let (mark, sample) = marked(now.body)?;
        let (mark, known) = self.known.get_key_value(mark)?;
        let whole = if sample { now.step * known.per_sample } else { now.step };
        let before = now.above.map_or(0, |above| above.step * known.per_sample);
        Some((mark, *known, before + whole))
    }

    /// Writes a checkpoint of the outermost loop and of this one in it.
    fn keep(&self, s: &mut State, now: &Reached) {
        let clock = Instant::now();
        let outer = now.above.unwrap_or(now);
        let mut arrays = IndexMap::new();
        let mut add = |prefix: &str, views: &[View]| {
            arrays.extend(views.iter().enumerate().map(|(i, v)| (format!("{prefix}{i}"), flat(*v))));
        };
        add("state ", outer.state);
        add("rows ", outer.rows);
        if now.above.is_some() {
            add("inner state ", now.state);
            add("inner rows ", now.rows);
        }
        let inner = now.above.map(|_| now.step);
        let meta = json!({ "body": outer.body, "step": outer.step, "inner": inner, "states": outer.state.len(),
            "rows": outer.rows.len(), "inner rows": now.rows.len(), "inner states": now.state.len() });
        let key = self.key_of(s.loops);
        // A checkpoint that cannot be written costs time after a crash, nothing else.
        if self.store.put(&key, &Artifact { kind: "loop".into(), meta, arrays }).is_ok() && !s.kept.contains(&key) {
            s.kept.push(key);
        }
        s.last = Instant::now();
        s.writing = clock.elapsed();
    }
}

impl Watch for Follower<'_> {
    fn follows(&self, body: &str) -> bool {
        marked(body).is_some_and(|(mark, _)| self.known.contains_key(mark))
    }

    fn begins(&self, start: &Reached) -> Option<Saved> {
        let mut s = self.lock();
        if let Some(above) = start.above {
            return s.inner.take().filter(|(step, _)| *step == above.step).map(|(_, saved)| saved);
        }
        s.loops += 1;
        s.inner = None;
        if let Some((mark, known, _)) = self.place(start) {
            s.meter = Some(self.progress.start(system(mark), Some(known.steps as u64)));
        }
        let key = self.key_of(s.loops);
        let found = self.store.get(&key).filter(|a| a.kind == "loop" && a.meta["body"] == start.body)?;
        s.kept.push(key);
        let number = |name: &str| found.meta[name].as_u64().map(|n| n as usize);
        let many = |prefix: &str, count: &str| -> Option<Vec<Tensor>> {
            (0..number(count)?).map(|i| found.arrays.get(&format!("{prefix}{i}")).cloned()).collect()
        };
        let step = number("step")?;
        let saved = Saved { step, state: many("state ", "states")?, rows: many("rows ", "rows")? };
        let mut done = Reached { step, ..*start };
        if let Some(inner) = number("inner") {
            let state = many("inner state ", "inner states")?;
            s.inner = Some((step, Saved { step: inner, state, rows: many("inner rows ", "inner rows")? }));
        }
        done.above = None;
        if let Some((mark, _, steps)) = self.place(&done) {
            s.resumed = Some((mark.to_string(), steps + number("inner").unwrap_or(0)));
        }
        Some(saved)
    }

    fn reached(&self, now: &Reached) -> Result<(), Fault> {
        let mut s = self.lock();
        if let Some((_, known, done)) = self.place(now) {
            let t = |steps: usize| known.start + steps as f64 * known.step;
            if let Some(meter) = &s.meter {
                meter.update(done as u64);
                let (at, end) = (crate::exec::progress::short(t(done)), crate::exec::progress::short(t(known.steps)));
                meter.message(&if now.reverse {
                    "derivatives, backwards".into()
                } else {
                    format!("t = {at} of {end}")
                });
            }
        }
        if interrupt::asked() {
            if !now.reverse {
                self.keep(&mut s, now);
            }
            return Err(Fault::new(now.body, "interrupted"));
        }
        if !now.reverse && s.last.elapsed() >= self.every.max(s.writing * SHARE) {
            self.keep(&mut s, now);
        }
        Ok(())
    }

    fn broken(&self, now: &Reached, state: usize, entry: usize) -> Fault {
        let mut s = self.lock();
        if let Some((mark, _, steps)) = self.place(now) {
            let value = now.state[state].number(entry);
            s.broken = Some(Broken { mark: mark.into(), steps, state, entry, value });
        }
        Fault::new(now.body, "a number that is not finite")
    }
}

/// The system of a mark.
fn system(mark: &str) -> &str {
    mark.split('#').next().unwrap_or(mark)
}

fn flat(v: View) -> Tensor {
    v.to_tensor(&Type::new(v.dtype(), [v.len()]))
}

/// What broke down, where and when, and what may help.
pub fn diagnosed(broken: &Broken, marches: &Marches, span: Span) -> Failure {
    let Some(m) = marches.get(&broken.mark) else {
        return Box::new(Diagnostic::error("run.unstable", span, "a state became infinite or not a number"));
    };
    let number = crate::exec::progress::short;
    let became = if broken.value.is_nan() { "not a number" } else { "infinite" };
    let (unknown, place) = match broken.state == 0 && broken.entry < m.entries() {
        true => {
            let (unknown, point) = m.entry(broken.entry);
            let place = point.map(|p| {
                let x: Vec<String> = m.coordinates(p).iter().map(|x| number(*x)).collect();
                format!(" in cell {p} at ({})", x.join(", "))
            });
            (unknown, place.unwrap_or_default())
        }
        false => ("the state".to_string(), String::new()),
    };
    let t = m.start + broken.steps as f64 * m.step;
    let scale = m.scale.as_ref().map(|s| format!(" (scale `{s}`)")).unwrap_or_default();
    let message = format!(
        "{unknown} of `{}`{scale} became {became}{place}, at t = {} in step {} of {}",
        m.system,
        number(t),
        broken.steps,
        m.steps
    );
    let explicit = m.implicit.starts_with("nothing");
    let help = match explicit {
        true => format!(
            "try half the step, `{}({})`: explicit steps of diffusion are limited by the square of the spacing, those of waves and \
             transport by the spacing",
            m.time,
            number(m.step / 2.0)
        ),
        false => format!(
            "try half the step, `{}({})`; where that does not help, the solution itself may grow without bound",
            m.time,
            number(m.step / 2.0)
        ),
    };
    Box::new(
        Diagnostic::error("run.unstable", span, message)
            .note(format!("{} on {}, a step of {}", m.time, m.space, number(m.step)))
            .help(help),
    )
}

/// Bytes that the samples of a run take.
pub fn bytes_kept(m: &March) -> Option<usize> {
    m.kept().map(|n| n * m.entries() * DType::F64.size())
}
