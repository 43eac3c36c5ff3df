//! Runs in time while they run: how far they are, checkpoints from which a killed run goes on with the same bits, Ctrl-C, and where
//! a state broke down.

use super::guard::{Guard, Moment};
use super::interrupt;
use super::progress::{Meter, Progress};
use super::store::{Artifact, Store};
use super::stream::Stream;
use crate::backend::View;
use crate::backend::watch::{Reached, Saved, Watch};
use crate::base::Fingerprint;
use crate::base::digits::short;
use crate::base::fingerprint::Hasher;
use crate::ir::{Broke, BrokenRun, DType, Fault, Func, Op, Several, Tensor, Type};
use crate::lower::evolve::march::{ACCEPTED, ENDED, LENGTH, MANY, March, Often, REJECTED, Round, SHORT, TIME, marked};
use indexmap::IndexMap;
use serde_json::json;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Marks of runs with what is known of them.
pub type Marches = HashMap<String, March>;

/// How often checkpoints are written.
#[derive(Clone, Copy)]
pub enum Every {
    /// The command says so.
    Told(Duration),
    /// Where the program does not say.
    Else(Duration),
}

/// Writing checkpoints takes at most this part of the time, where nobody has said how often.
const SHARE: u32 = 20;

/// Follows the loops of one task.
pub struct Follower<'a> {
    known: HashMap<String, Known>,
    guards: HashMap<String, Guard>,
    /// How many loops of each run there are at the top.
    several: HashMap<String, usize>,
    progress: &'a dyn Progress,
    store: &'a Store,
    /// Of the function that the loops belong to.
    key: Fingerprint,
    every: Every,
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
    checkpoint: Option<Often>,
    /// Which carried value is the state.
    place: usize,
    /// Of a state of one run.
    entries: usize,
}

impl Known {
    fn end(&self) -> f64 {
        self.start + self.steps as f64 * self.step
    }
}

/// Where a run is.
struct Place<'m> {
    mark: &'m str,
    known: Known,
    /// Steps that are done; of steps whose lengths are found on the way, the accepted ones.
    steps: usize,
    t: f64,
    /// Lengths of steps are found on the way.
    found: bool,
}

/// Parts of a run whose number of steps nobody knows.
const PARTS: u64 = 1000;

impl Place<'_> {
    /// How much is done, and of how much.
    fn progress(&self) -> (u64, u64) {
        match self.found {
            true => {
                let passed = (self.t - self.known.start) / (self.known.end() - self.known.start);
                ((passed.clamp(0.0, 1.0) * PARTS as f64) as u64, PARTS)
            }
            false => (self.steps as u64, self.known.steps as u64),
        }
    }
}

struct State {
    /// Loops at the top that have begun, and those of each run.
    loops: u64,
    begun: HashMap<String, usize>,
    meter: Option<Box<dyn Meter>>,
    /// When the last checkpoint was written, after how many steps, and how long that took.
    last: Instant,
    last_steps: usize,
    writing: Duration,
    /// A checkpoint could not be written.
    refused: bool,
    /// Where the loop inside goes on: in which round of the outer one, from where.
    inner: Option<(usize, Saved)>,
    /// Checkpoints that are on the disk.
    kept: Vec<Fingerprint>,
    /// Where the samples of a loop go that are too many for memory.
    stream: Option<Stream>,
    /// The mark, of how many steps where that is known, after how many.
    resumed: Option<(String, Option<usize>, usize)>,
}

impl<'a> Follower<'a> {
    pub fn new(
        marches: &Marches,
        progress: &'a dyn Progress,
        store: &'a Store,
        key: Fingerprint,
        (every, threads): (Every, usize),
    ) -> Follower<'a> {
        let known = |m: &March| Known {
            start: m.start,
            step: m.step,
            steps: m.steps,
            per_sample: m.per_sample.unwrap_or(1),
            checkpoint: m.checkpoint,
            place: m.place,
            entries: m.entries(),
        };
        Follower {
            known: marches.iter().map(|(mark, m)| (mark.clone(), known(m))).collect(),
            guards: marches.iter().filter_map(|(mark, m)| Some((mark.clone(), Guard::of(m, threads)?))).collect(),
            several: HashMap::new(),
            progress,
            store,
            key,
            every,
            state: Mutex::new(State {
                loops: 0,
                begun: HashMap::new(),
                meter: None,
                last: Instant::now(),
                last_steps: 0,
                writing: Duration::ZERO,
                refused: false,
                inner: None,
                kept: vec![],
                stream: None,
                resumed: None,
            }),
        }
    }

    /// The loops that it will meet are those of this function.
    pub fn of(mut self, func: &Func) -> Follower<'a> {
        for node in &func.nodes {
            if let Op::Scan { body, reverse: false, .. } = &node.op
                && let Some((mark, _)) = marked(&body.name)
            {
                *self.several.entry(mark.to_string()).or_default() += 1;
            }
        }
        self
    }

    /// The samples of one of the loops go there.
    pub fn stream(&self, to: Option<Stream>) {
        self.lock().stream = to;
    }

    /// Where they have gone, once the task has ended.
    pub fn streamed(&self) -> Option<Stream> {
        self.lock().stream.take()
    }

    /// Whether there is a checkpoint from which another run can go on.
    pub fn has_checkpoint(&self) -> bool {
        !self.lock().kept.is_empty()
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

    /// `went on from step 320 of 1000 of Heat`, where it did.
    pub fn resumed(&self) -> Option<String> {
        let s = self.lock();
        let (mark, of, steps) = s.resumed.as_ref()?;
        let of = of.map(|n| format!(" of {n}")).unwrap_or_default();
        Some(format!("went on from step {steps}{of} of {}", system(mark)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key_of(&self, number: u64) -> Fingerprint {
        let mut h = Hasher::new("checkpoint of a loop");
        h.part(self.key).integer(number);
        h.finish()
    }

    /// The run that a loop belongs to, and how far it is.
    fn place(&self, now: &Reached) -> Option<Place<'_>> {
        let (mark, round) = marked(now.body)?;
        let (mark, known) = self.known.get_key_value(mark)?;
        let known = *known;
        if round.found() {
            let number = |k: usize| now.state.get(k).map(|v| v.number(0));
            let (t, steps) = (number(TIME).unwrap_or(known.start), number(ACCEPTED).unwrap_or(0.0) as usize);
            return Some(Place { mark, known, steps, t, found: true });
        }
        let whole = if round == Round::Sample { now.step * known.per_sample } else { now.step };
        let steps = now.above.map_or(0, |above| above.step * known.per_sample) + whole;
        Some(Place { mark, known, steps, t: known.start + steps as f64 * known.step, found: false })
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
        let content = match s.stream.as_mut().filter(|stream| stream.rows.body == outer.body) {
            // A checkpoint is no better than the samples before it.
            Some(stream) => match stream.settled() {
                Some(content) => Some(content.hex()),
                None => return,
            },
            None => None,
        };
        let meta = json!({ "content": content, "body": outer.body, "step": outer.step, "inner": inner, "states": outer.state.len(),
            "rows": outer.rows.len(), "inner rows": now.rows.len(), "inner states": now.state.len() });
        let key = self.key_of(s.loops);
        // A checkpoint that cannot be written costs time after a crash, nothing else; the one before it stays.
        match self.store.put(&key, &Artifact { kind: "loop".into(), meta, arrays }) {
            Ok(()) if s.kept.contains(&key) => {}
            Ok(()) => s.kept.push(key),
            Err(fault) if !s.refused => {
                s.refused = true;
                let name = system(marked(outer.body).map_or(outer.body, |(mark, _)| mark));
                self.store.complain(format!("a checkpoint of `{name}` could not be kept: {fault}"));
            }
            Err(_) => {}
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
        if let Some((mark, _)) = marked(start.body) {
            *s.begun.entry(mark.to_string()).or_default() += 1;
        }
        s.inner = None;
        if let Some(place) = self.place(start) {
            s.meter = Some(self.progress.start(system(place.mark), Some(place.progress().1)));
        }
        let key = self.key_of(s.loops);
        let found = self.store.get(&key).filter(|a| a.kind == "loop" && a.meta["body"] == start.body)?;
        // It goes with the end of the task even where it is of no use.
        s.kept.push(key);
        if let Some(stream) = s.stream.as_mut().filter(|stream| stream.rows.body == start.body) {
            let content = found.meta["content"].as_str().and_then(Fingerprint::parse)?;
            if !stream.resume(found.meta["step"].as_u64()? as usize, content) {
                return None;
            }
        }
        let number = |name: &str| found.meta[name].as_u64().map(|n| n as usize);
        let many = |prefix: &str, count: &str| -> Option<Vec<Tensor>> {
            (0..number(count)?).map(|i| found.arrays.get(&format!("{prefix}{i}")).cloned()).collect()
        };
        let step = number("step")?;
        let saved = Saved { step, state: many("state ", "states")?, rows: many("rows ", "rows")? };
        let of_inner = match number("inner") {
            Some(inner) => {
                let state = many("inner state ", "inner states")?;
                Some(Saved { step: inner, state, rows: many("inner rows ", "inner rows")? })
            }
            None => None,
        };
        let state: Vec<View> = of_inner.as_ref().unwrap_or(&saved).state.iter().map(View::of_tensor).collect();
        if let Some(place) = self.place(&Reached { step, above: None, state: &state, ..*start }) {
            let steps = place.steps + if place.found { 0 } else { of_inner.as_ref().map_or(0, |inner| inner.step) };
            s.resumed = Some((place.mark.to_string(), (!place.found).then_some(place.known.steps), steps));
        }
        s.inner = of_inner.map(|inner| (step, inner));
        Some(saved)
    }

    fn reached(&self, now: &Reached) -> Result<(), Fault> {
        let mut s = self.lock();
        let place = self.place(now);
        if let (Some(place), Some(meter)) = (&place, &s.meter) {
            meter.update(place.progress().0);
            let (at, end) = (short(place.t), short(place.known.end()));
            meter.message(&match (now.reverse, place.found) {
                (true, _) => "derivatives, backwards".into(),
                (false, false) => format!("t = {at} of {end}"),
                (false, true) => format!("t = {at} of {end}, {} steps", place.steps),
            });
        }
        if interrupt::asked() {
            if !now.reverse {
                self.keep(&mut s, now);
            }
            return Err(Fault::new(now.body, "interrupted"));
        }
        let done = place.as_ref().map_or(0, |p| p.steps);
        let since = s.last.elapsed();
        let due = match (self.every, place.and_then(|p| p.known.checkpoint)) {
            (Every::Told(every), _) => since >= every.max(s.writing * SHARE),
            (_, Some(Often::Seconds(x))) => since.as_secs_f64() >= x,
            (_, Some(Often::Steps(n))) => done >= s.last_steps + n,
            (Every::Else(every), None) => since >= every.max(s.writing * SHARE),
        };
        if !now.reverse && due {
            s.last_steps = done;
            self.keep(&mut s, now);
        }
        Ok(())
    }

    fn takes(&self, body: &str) -> bool {
        self.lock().stream.as_ref().is_some_and(|stream| stream.rows.body == body)
    }

    fn take(&self, _body: &str, steps: Range<usize>, rows: &[View]) -> Result<(), Fault> {
        match &mut self.lock().stream {
            Some(stream) => stream.take(steps, rows),
            None => unreachable!("compiler bug: samples that nobody takes"),
        }
    }

    fn watches(&self, body: &str) -> bool {
        marked(body).and_then(|(mark, _)| self.guards.get(mark)).is_some_and(Guard::claims)
    }

    fn same_run(&self, a: &str, b: &str) -> bool {
        let mark = |body| marked(body).map(|(mark, _)| mark);
        mark(a) == mark(b)
    }

    fn holds(&self, now: &Reached) -> bool {
        self.claim_at(now).is_none()
    }

    fn violated(&self, now: &Reached) -> Fault {
        match (self.claim_at(now), self.place(now)) {
            (Some((what, run)), Some(place)) => self.broke(now, &place, place.t, (what, run)),
            _ => Fault::new(now.body, "what it ensures does not hold"),
        }
    }

    fn broken(&self, now: &Reached, before: &[View], state: usize, entry: usize) -> Fault {
        let Some(place) = self.place(now) else { return Fault::new(now.body, "a number that is not finite") };
        let value = now.state[state].number(entry);
        if now.step == 0 {
            let own = now.state[place.known.place];
            let found = (0..own.len()).map(|k| (k, own.number(k))).find(|(_, x)| !x.is_finite());
            let run = found.map_or(0, |(k, _)| k / place.known.entries.max(1));
            let entry = found.map(|(k, _)| k - run * place.known.entries);
            let how = Broke::Start { entry, value: found.map_or(value, |(_, x)| x) };
            return self.broke(now, &place, place.known.start, (how, run));
        }
        let step = if place.found { 0.0 } else { place.known.step };
        // Several runs that are taken together have their states one after the other.
        let entries = place.known.entries.max(1);
        let own = state == place.known.place;
        let run = if own && now.state[state].len().is_multiple_of(entries) { entry / entries } else { 0 };
        let largest = self.guards.get(place.mark).and_then(|g| g.largest(before, run, place.t - step));
        // The time may be what is no number.
        let t = if place.t.is_finite() { place.t } else { before[TIME].number(0) };
        let entry = own.then_some(entry - run * entries);
        self.broke(now, &place, t, (Broke::NotFinite { entry, value, largest }, run))
    }

    fn arrived(&self, end: &Reached) -> Result<(), Fault> {
        let Some(place) = self.place(end).filter(|p| p.found) else { return Ok(()) };
        let number = |k: usize| end.state.get(k).map_or(0.0, |v| v.number(0));
        let ended = number(ENDED);
        if ended < MANY {
            return Ok(());
        }
        let what = Broke::Stuck { short: ended == SHORT, rejected: number(REJECTED), length: number(LENGTH) };
        Err(self.broke(end, &place, place.t, (what, 0)))
    }
}

impl Follower<'_> {
    fn claim_at(&self, now: &Reached) -> Option<(Broke, usize)> {
        let place = self.place(now)?;
        let mut first = now;
        while let Some(above) = first.above {
            first = above;
        }
        let start = (first.start, place.known.start);
        self.guards.get(place.mark)?.broken(Moment { state: now.state, t: place.t, start })
    }

    /// A run that broke, and which one it is of several that are taken together.
    fn broke(&self, now: &Reached, place: &Place, t: f64, (how, run): (Broke, usize)) -> Fault {
        let mut which = vec![];
        let together = now.state.get(place.known.place).map_or(1, |v| v.len() / place.known.entries.max(1));
        if together > 1 && !place.found {
            which.push((Several::Together, run, together));
        }
        let several = self.several.get(place.mark).copied().unwrap_or(0);
        let begun = self.lock().begun.get(place.mark).copied().unwrap_or(0);
        if several > 1 && begun > 0 {
            which.push((Several::InTurn, begun - 1, several));
        }
        let mut fault = Fault::new(now.body, "a run in time broke");
        fault.broken = Some(Box::new(BrokenRun { steps: place.steps, t, how, which }));
        fault
    }
}

/// The system of a mark.
fn system(mark: &str) -> &str {
    mark.split('#').next().unwrap_or(mark)
}

fn flat(v: View) -> Tensor {
    v.to_tensor(&Type::new(v.dtype(), [v.len()]))
}

/// Bytes that the samples of a run take.
pub fn bytes_kept(m: &March) -> Option<usize> {
    m.kept().map(|n| n * m.entries() * DType::F64.size())
}
