//! Trainings as tasks: their fingerprint, their stages, what is kept and shown of them.

use super::interrupt;
use super::key;
use super::progress::Meter;
use super::store::{Artifact, Store};
use crate::base::fingerprint::Hasher;
use crate::base::{Diagnostic, Fingerprint};
use crate::ir::Tensor;
use crate::lower::runtime::{Failure, Stage, Trained, Training};
use crate::train::{self, Checkpoint, Control, Epoch, Observer, Precision, Schedule, StageKind, StopReason};
use indexmap::IndexMap;
use std::time::Instant;

/// Seconds between two checkpoints.
const CHECKPOINT_SECONDS: f64 = 5.0;
/// Seconds between two signs of progress.
const SHOW_SECONDS: f64 = 0.1;

pub fn fingerprint(t: &Training, engine: &str) -> Fingerprint {
    let mut h = Hasher::new("training");
    h.part(key::of(&t.losses, engine));
    for w in &t.initial {
        h.text(&w.ty.to_string()).bytes(&w.bytes());
    }
    for s in &t.stages {
        h.text(&s.kind);
        s.numbers.iter().for_each(|(k, v)| {
            h.text(k).number(*v);
        });
        s.words.iter().for_each(|(k, v)| {
            h.text(k).text(v);
        });
        h.text(&format!("{:?} {:?} {:?}", s.on, s.of, s.precision));
    }
    h.text(&format!("{:?} {}", t.bounds, t.nets_alone)).integer(t.seed);
    for b in &t.batches {
        h.integer(b.rows as u64).integer(b.size as u64).part(key::of(&b.losses, engine));
    }
    if let Some(v) = &t.validation {
        h.part(key::of(v, engine));
    }
    h.finish()
}

/// A finished training as it is kept.
pub fn kept(t: &Trained) -> IndexMap<String, Tensor> {
    let weights = t.weights.iter().enumerate().map(|(i, t)| (format!("weight {i}"), t.clone()));
    let history = t.history.iter().map(|(k, v)| (format!("history {k}"), Tensor::f64([v.len()], v.clone())));
    let losses = t.losses.iter().map(|(k, v)| (format!("loss {k}"), Tensor::f64([], vec![*v])));
    weights.chain(history).chain(losses).collect()
}

pub fn found(a: &Artifact) -> Option<Trained> {
    let weights = (0..).map_while(|i| a.arrays.get(&format!("weight {i}")).cloned()).collect();
    let history =
        a.arrays.iter().filter_map(|(k, t)| Some((k.strip_prefix("history ")?.to_string(), t.to_f64()))).collect();
    let losses = a.arrays.iter().filter_map(|(k, t)| Some((k.strip_prefix("loss ")?.to_string(), t.item()))).collect();
    let notes = serde_json::from_value(a.meta.get("notes")?.clone()).ok()?;
    Some(Trained { weights, history, losses, notes, seconds: a.meta.get("seconds")?.as_f64()? })
}

/// The result of a training that ended with this state, `seconds` after it began.
pub fn result(t: &Training, stages: &[train::Stage], state: &Checkpoint, losses: Vec<f64>, seconds: f64) -> Trained {
    let h = &state.history;
    let note = |(k, (s, reason)): (usize, (&train::Stage, &StopReason))| {
        let epochs = h.epochs.iter().filter(|e| e.stage == k).count();
        let (unit, precision) = match (&s.kind, s.precision) {
            (StageKind::Adam { .. }, Precision::Single) => ("epochs", ", single precision"),
            (StageKind::Adam { .. }, Precision::Double) => ("epochs", ", double precision"),
            (StageKind::Lbfgs(_), _) => ("iterations", ""),
        };
        let end = match reason {
            StopReason::Finished => String::new(),
            StopReason::Converged => ", converged".into(),
            StopReason::Stalled => ", no better point on the line".into(),
            StopReason::Patience { best } => format!(", stopped early: epoch {best} validated best"),
            StopReason::Interrupted => ", interrupted".into(),
        };
        format!("{}: {epochs} {unit}{precision}{end}", s.name)
    };
    let notes = stages.iter().zip(&h.stages).enumerate().map(note).collect();
    let losses = t.names.iter().cloned().zip(losses).collect();
    Trained { weights: split(&state.x, &t.initial), history: history(h), losses, notes, seconds }
}

fn split(x: &[f64], like: &[Tensor]) -> Vec<Tensor> {
    let mut at = 0;
    like.iter()
        .map(|t| {
            let n = t.ty.len();
            at += n;
            Tensor::f64(t.ty.shape.clone(), &x[at - n..at])
        })
        .collect()
}

fn history(h: &train::History) -> IndexMap<String, Vec<f64>> {
    let mut out = IndexMap::new();
    out.insert("loss".to_string(), h.epochs.iter().map(|e| e.value).collect());
    for (k, name) in h.names.iter().enumerate() {
        out.insert(name.clone(), h.epochs.iter().map(|e| e.parts.get(k).copied().unwrap_or(e.value)).collect());
    }
    // Between two looks at the validation rows the last one stands, before the first the first.
    if let Some(first) = h.epochs.iter().find_map(|e| e.validation) {
        let mut last = first;
        let carried = h.epochs.iter().map(|e| {
            last = e.validation.unwrap_or(last);
            last
        });
        out.insert("validation".into(), carried.collect());
    }
    out
}

/// The stages with their numbers, each in its precision.
pub fn stages(t: &Training, precisions: &[Precision]) -> Result<Vec<train::Stage>, Failure> {
    t.stages.iter().zip(precisions).map(|(s, p)| stage(s, t, *p)).collect()
}

fn stage(s: &Stage, t: &Training, precision: Precision) -> Result<train::Stage, Failure> {
    let number = |name: &str| s.numbers.get(name).copied();
    let count = |name: &str| number(name).map(|x| x.max(0.0) as u64);
    let mut out = match s.kind.as_str() {
        "lbfgs" => {
            let mut out = train::Stage::lbfgs(count("iters").unwrap_or(100));
            if let StageKind::Lbfgs(o) = &mut out.kind {
                o.history = count("memory").unwrap_or(20) as usize;
                o.gradient_tolerance = number("tol").unwrap_or(o.gradient_tolerance);
            }
            out
        }
        "adam" => {
            let rate = ["lr", "lr.from", "lr.lr", "lr.lr.from"].into_iter().find_map(number).unwrap_or(1e-3);
            let mut out = train::Stage::adam(rate, count("epochs").or(count("iters")).unwrap_or(1000));
            if let StageKind::Adam { schedule, .. } = &mut out.kind {
                let word = |name: &str| s.words.get(name).map(String::as_str);
                let cosine = |floor: Option<f64>| Schedule::Cosine { floor: floor.unwrap_or(0.0) / rate };
                *schedule = match (word("lr"), word("lr.lr")) {
                    (Some("cosine"), _) => cosine(number("lr.to")),
                    (Some("warmup"), then) => {
                        let then = if then.is_some() { cosine(number("lr.lr.to")) } else { Schedule::Constant };
                        Schedule::Warmup { steps: count("lr.steps").unwrap_or(0), then: Box::new(then) }
                    }
                    _ => Schedule::Constant,
                };
            }
            out.batch = t.batches.iter().map(|b| b.size).find(|b| count("batch") == Some(*b as u64));
            out.precision = precision;
            out
        }
        other => {
            let message = format!("the stage `{other}` is not supported yet");
            return Err(Box::new(Diagnostic::error("unsupported.library", s.span, message)));
        }
    };
    out.patience = count("patience");
    out.seed = t.seed;
    if t.validation.is_some() {
        out.validate_every = (out.epochs / 200).clamp(1, out.patience.unwrap_or(u64::MAX).max(1));
    }
    Ok(out)
}

/// Shows progress, keeps checkpoints, hears Ctrl-C.
pub struct Watch<'a> {
    meter: &'a dyn Meter,
    store: &'a Store,
    key: Fingerprint,
    /// When a checkpoint was kept, and when progress was shown.
    last: Instant,
    shown: Instant,
    done: u64,
}

impl<'a> Watch<'a> {
    pub fn new(meter: &'a dyn Meter, store: &'a Store, key: Fingerprint) -> Watch<'a> {
        Watch { meter, store, key, last: Instant::now(), shown: Instant::now(), done: 0 }
    }
}

impl Observer for Watch<'_> {
    fn epoch(&mut self, _: &train::Stage, e: &Epoch) -> Control {
        self.done += 1;
        if self.shown.elapsed().as_secs_f64() > SHOW_SECONDS {
            self.shown = Instant::now();
            self.meter.update(self.done);
            self.meter.message(&format!("loss {:.3e}", e.value));
        }
        if interrupt::asked() { Control::Stop } else { Control::Continue }
    }

    fn checkpoint(&mut self, state: &Checkpoint) {
        if self.last.elapsed().as_secs_f64() < CHECKPOINT_SECONDS && !interrupt::asked() {
            return;
        }
        self.last = Instant::now();
        // A checkpoint that cannot be written costs time after a crash, nothing else.
        if let Ok(meta) = serde_json::to_value(state) {
            let artifact = Artifact { kind: "checkpoint".into(), meta, arrays: IndexMap::new() };
            let _ = self.store.put(&self.key, &artifact);
        }
    }
}
