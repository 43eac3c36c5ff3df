//! The world that tracing acts on: computes functions (or finds their results in the store), trains, reads files, keeps the
//! costs of tasks.

use super::engine::Engine;
use super::interrupt;
use super::journal::Journal;
use super::key;
use super::outcome::TaskRecord;
use super::progress::{Meter, Progress};
use super::store::{Artifact, Store};
use crate::ad;
use crate::backend::{Executable, counts};
use crate::base::fingerprint::Hasher;
use crate::base::{Diagnostic, Fingerprint, Span};
use crate::data::read::{self, Loaded, Options};
use crate::ir::fault::Fault;
use crate::ir::{Func, Tensor};
use crate::lower::runtime::{Failure, Runtime, Stage, Trained, Training};
use crate::sema::hir::DefId;
use crate::train::lbfgs::Bounds;
use crate::train::run::Control;
use crate::train::{self, Checkpoint, Epoch, Observer, Schedule, StageKind, TrainError};
use indexmap::IndexMap;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub struct World {
    pub engine: Engine,
    pub store: Store,
    pub progress: Box<dyn Progress>,
    /// Where paths of data files start from.
    pub folder: PathBuf,
    pub tasks: Vec<TaskRecord>,
    /// Hashes of the files that were read.
    pub inputs: IndexMap<String, Fingerprint>,
    /// Keeps for `mslc plan` what tasks were made of.
    pub journal: Option<Journal>,
    open: Vec<(usize, Instant)>,
}

/// What is computed in fewer seconds than these is not kept: reading it back takes as long.
pub const QUICK: f64 = 5e-3;
/// Seconds between two checkpoints of a training.
const CHECKPOINT_SECONDS: f64 = 5.0;

impl World {
    pub fn new(engine: Engine, store: Store, progress: Box<dyn Progress>, folder: PathBuf) -> World {
        World { engine, store, progress, folder, tasks: vec![], inputs: IndexMap::new(), journal: None, open: vec![] }
    }

    fn task(&mut self) -> Option<&mut TaskRecord> {
        let (i, _) = *self.open.last()?;
        self.tasks.get_mut(i)
    }

    fn label(&self) -> String {
        self.open.last().map_or("program", |(i, _)| self.tasks[*i].label.as_str()).to_string()
    }

    /// Notes that the open task got a result, found or computed, and what it took when it was computed.
    fn note(&mut self, key: Fingerprint, cached: bool, cost: &Cost) {
        if let Some(task) = self.task() {
            task.cached = cached && (task.outputs.is_empty() || task.cached);
            task.outputs.push(key.hex());
            task.cost += cost.seconds;
            for (name, n) in &cost.solves {
                match task.solves.iter_mut().find(|(k, _)| k == name) {
                    Some((_, count)) => *count += n,
                    None => task.solves.push((name.clone(), *n)),
                }
            }
        }
    }

    fn trained(&mut self, t: &Trained) {
        if let Some(task) = self.task() {
            task.history = t.history.clone();
        }
    }

    fn keep(&mut self, key: &Fingerprint, artifact: &Artifact, span: Span) -> Result<(), Failure> {
        self.store.put(key, artifact).map_err(|e| {
            Box::new(
                Diagnostic::error("run.disk", span, format!("the result of `{}` could not be kept: {e}", self.label()))
                    .help("make room on the disk and run again: what was finished before is found in the cache"),
            )
        })
    }
}

/// A fault of a run at the statement that asked for it.
pub fn failed(f: Fault, span: Span) -> Failure {
    let d = Diagnostic::error("run.failed", span, format!("`{}` failed: {}", f.place, f.what));
    Box::new(match f.help {
        Some(h) => d.help(h),
        None => d,
    })
}

fn interrupted(span: Span) -> Failure {
    Box::new(
        Diagnostic::error("run.interrupted", span, "interrupted")
            .help("run the same command again: finished tasks are kept, and the run goes on where it stopped"),
    )
}

impl Runtime for World {
    fn run(&mut self, _label: &str, func: Func, span: Span) -> Result<Vec<Tensor>, Failure> {
        if interrupt::asked() {
            return Err(interrupted(span));
        }
        let key = key::of(&func, self.engine.name());
        if let Some(found) = self.store.get(&key)
            && let Some(tensors) = outputs(&found, &func)
        {
            self.note(key, true, &Cost::of(&found.meta));
            return Ok(tensors);
        }
        let label = self.label();
        let meter = self.progress.start(&label, None);
        let started = Instant::now();
        let before = counts::solves();
        let result = self.engine.compile(&func).and_then(|c| c.run(&[])).map_err(|f| failed(f, span));
        meter.finish();
        let tensors = result?;
        if interrupt::asked() {
            return Err(interrupted(span));
        }
        let cost = Cost { seconds: started.elapsed().as_secs_f64(), solves: solves_since(&before) };
        self.note(key, false, &cost);
        if cost.seconds > QUICK {
            let arrays = tensors.iter().enumerate().map(|(i, t)| (format!("{i}"), t.clone())).collect();
            let meta = serde_json::json!({ "task": label, "seconds": cost.seconds, "solves": cost.solves });
            self.keep(&key, &Artifact { kind: "tensors".into(), meta, arrays }, span)?;
        }
        Ok(tensors)
    }

    fn train(&mut self, label: &str, training: Training, span: Span) -> Result<Trained, Failure> {
        let key = training_key(&training, self.engine.name());
        if let Some(found) = self.store.get(&key)
            && let Some(t) = trained(&found)
        {
            self.note(key, true, &Cost::of(&found.meta));
            self.trained(&t);
            return Ok(t);
        }
        let before = counts::solves();
        let started = Instant::now();
        let stages = training.stages.iter().map(|s| stage(s, &training)).collect::<Result<Vec<_>, _>>()?;
        let mut objective = Objective::new(&training, &self.engine).map_err(|f| failed(f, span))?;
        let checkpoint_key = {
            let mut h = Hasher::new("checkpoint");
            h.part(key);
            h.finish()
        };
        let state = self
            .store
            .get(&checkpoint_key)
            .and_then(|a| serde_json::from_value::<Checkpoint>(a.meta).ok())
            .unwrap_or_else(|| Checkpoint::new(objective.initial.clone()));
        let total: u64 = stages.iter().map(|s| s.epochs).sum();
        let meter = self.progress.start(label, Some(total));
        let mut watch =
            Watch { meter: &*meter, store: &self.store, key: checkpoint_key, last: Instant::now(), done: 0 };
        let result = train::run::resume(&stages, &mut objective, state, &mut watch);
        meter.finish();
        let state = result.map_err(|e| match e {
            TrainError::Objective(f) => failed(f, span),
            diverged => Box::new(
                Diagnostic::error("run.diverged", span, format!("the training of `{label}` failed: {diverged}"))
                    .help("lower the learning rate, or look at the data for outliers"),
            ),
        })?;
        if interrupt::asked() {
            return Err(interrupted(span));
        }
        let history = history(&state.history);
        let weights = split(&state.x, &training.initial);
        let seconds = started.elapsed().as_secs_f64();
        let mut arrays: IndexMap<String, Tensor> =
            weights.iter().enumerate().map(|(i, t)| (format!("weight {i}"), t.clone())).collect();
        for (name, values) in &history {
            arrays.insert(format!("history {name}"), Tensor::f64([values.len()], values.clone()));
        }
        let cost = Cost { seconds, solves: solves_since(&before) };
        let meta = serde_json::json!({ "task": label, "seconds": seconds, "solves": cost.solves });
        self.keep(&key, &Artifact { kind: "trained".into(), meta, arrays }, span)?;
        self.note(key, false, &cost);
        let out = Trained { weights, history, seconds };
        self.trained(&out);
        Ok(out)
    }

    fn load(&mut self, path: &str, options: Options, span: Span) -> Result<Loaded, Failure> {
        let (loaded, hash) = read_data(&self.folder, path, &options, span)?;
        if let Some(hash) = hash {
            self.inputs.insert(path.to_string(), hash);
            if let Some(task) = self.task() {
                task.inputs.push((path.to_string(), hash.hex()));
            }
        }
        Ok(loaded)
    }

    fn enter(&mut self, label: &str, _def: Option<DefId>, span: Span) {
        let parent = self.open.last().map(|(i, _)| *i);
        self.tasks.push(TaskRecord { label: label.into(), parent, span, ..TaskRecord::default() });
        self.open.push((self.tasks.len() - 1, Instant::now()));
        if let Some(journal) = &mut self.journal {
            journal.entered(&self.store, span);
        }
    }

    fn leave(&mut self, done: bool) {
        if let Some((i, start)) = self.open.pop() {
            self.tasks[i].seconds = start.elapsed().as_secs_f64();
            self.tasks[i].done = done;
            if let Some(journal) = &mut self.journal {
                journal.left(&self.store, &self.tasks, i);
            }
        }
    }
}

/// What a result took to compute.
#[derive(Default)]
struct Cost {
    seconds: f64,
    /// Systems solved, by name.
    solves: Vec<(String, u64)>,
}

impl Cost {
    /// As it was kept beside the result.
    fn of(meta: &serde_json::Value) -> Cost {
        Cost {
            seconds: meta["seconds"].as_f64().unwrap_or(0.0),
            solves: serde_json::from_value(meta["solves"].clone()).unwrap_or_default(),
        }
    }
}

fn solves_since(before: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let new = |(name, n): (String, u64)| {
        let n = n - before.get(&name).copied().unwrap_or(0);
        (n > 0).then_some((name, n))
    };
    counts::solves().into_iter().filter_map(new).collect()
}

/// A data file of the program's folder, and the hash of its bytes.
pub(super) fn read_data(
    folder: &Path,
    path: &str,
    options: &Options,
    span: Span,
) -> Result<(Loaded, Option<Fingerprint>), Failure> {
    let loaded = read::load(&read::Folder(folder.to_path_buf()), path, options).map_err(|e| {
        let place = e.place.as_ref().map(|p| format!(", {p}")).unwrap_or_default();
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Box::new(
            Diagnostic::error("run.data", span, format!("`{path}`{place}: {}", e.message))
                .note(format!("paths are relative to the program's folder, {}", here.display())),
        )
    })?;
    Ok((loaded, std::fs::read(folder.join(path)).ok().map(|bytes| Fingerprint::of(&bytes))))
}

pub(super) fn outputs(a: &Artifact, func: &Func) -> Option<Vec<Tensor>> {
    let types = func.output_types();
    let tensors: Vec<Tensor> =
        (0..types.len()).map(|i| a.arrays.get(&i.to_string()).cloned()).collect::<Option<_>>()?;
    tensors.iter().zip(&types).all(|(t, ty)| t.ty == *ty).then_some(tensors)
}

// ---- training

pub(super) fn training_key(t: &Training, engine: &str) -> Fingerprint {
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
    }
    h.text(&format!("{:?} {:?}", t.bounds, t.rows)).integer(t.seed);
    if let Some(v) = &t.validation {
        h.part(key::of(v, engine));
    }
    h.finish()
}

pub(super) fn trained(a: &Artifact) -> Option<Trained> {
    let weights = (0..).map_while(|i| a.arrays.get(&format!("weight {i}")).cloned()).collect();
    let history =
        a.arrays.iter().filter_map(|(k, t)| Some((k.strip_prefix("history ")?.to_string(), t.to_f64()))).collect();
    Some(Trained { weights, history, seconds: a.meta.get("seconds")?.as_f64()? })
}

fn history(h: &train::History) -> IndexMap<String, Vec<f64>> {
    let mut out = IndexMap::new();
    out.insert("loss".to_string(), h.epochs.iter().map(|e| e.value).collect());
    if h.names.len() > 1 {
        for (k, name) in h.names.iter().enumerate() {
            out.insert(name.clone(), h.epochs.iter().map(|e| e.parts.get(k).copied().unwrap_or(f64::NAN)).collect());
        }
    }
    if h.epochs.iter().any(|e| e.validation.is_some()) {
        let mut last = f64::NAN;
        let values = h
            .epochs
            .iter()
            .map(|e| {
                last = e.validation.unwrap_or(last);
                last
            })
            .collect();
        out.insert("validation".into(), values);
    }
    out
}

fn stage(s: &Stage, t: &Training) -> Result<train::Stage, Failure> {
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
            let rate = number("lr").or(number("lr.from")).unwrap_or(1e-3);
            let mut out = train::Stage::adam(rate, count("epochs").or(count("iters")).unwrap_or(1000));
            if let (Some("cosine"), StageKind::Adam { schedule, .. }) =
                (s.words.get("lr").map(String::as_str), &mut out.kind)
            {
                *schedule = Schedule::Cosine { floor: number("lr.to").unwrap_or(0.0) / rate };
            }
            out
        }
        other => {
            let message = format!("the stage `{other}` is not supported yet");
            return Err(Box::new(Diagnostic::error("unsupported.library", s.span, message)));
        }
    };
    out.batch = t.rows.as_ref().and_then(|(_, b)| (s.kind == "adam").then_some(*b));
    out.patience = count("patience");
    out.seed = t.seed;
    if t.validation.is_some() {
        out.validate_every = (out.epochs / 200).max(1);
    }
    Ok(out)
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

/// The losses as compiled functions.
struct Objective {
    initial: Vec<f64>,
    like: Vec<Tensor>,
    gradient: Executable,
    validation: Option<Executable>,
    names: Vec<String>,
    parts: Vec<f64>,
    rows: usize,
    bounds: Option<Bounds>,
}

impl Objective {
    fn new(t: &Training, engine: &Engine) -> Result<Objective, Fault> {
        let weights: Vec<usize> = (0..t.initial.len()).collect();
        let gradient = ad::grad(&t.losses, &weights);
        let validation = t.validation.as_ref().map(|v| engine.compile(v)).transpose()?;
        let bounds = t.bounds.iter().any(|b| b.is_some()).then(|| {
            let side = |f: fn(&(f64, f64)) -> f64, open: f64| {
                t.initial
                    .iter()
                    .zip(&t.bounds)
                    .flat_map(|(w, b)| vec![b.as_ref().map_or(open, f); w.ty.len()])
                    .collect::<Vec<_>>()
            };
            Bounds { low: side(|b| b.0, f64::NEG_INFINITY), high: side(|b| b.1, f64::INFINITY) }
        });
        Ok(Objective {
            initial: t.initial.iter().flat_map(|w| w.to_f64()).collect(),
            like: t.initial.clone(),
            gradient: engine.compile(&gradient)?,
            validation,
            names: t.names.clone(),
            parts: vec![],
            rows: t.rows.as_ref().map_or(0, |(r, _)| r.len()),
            bounds,
        })
    }
}

impl train::Objective for Objective {
    type Error = Fault;

    fn value_and_gradient(&mut self, x: &[f64], batch: Option<&[u32]>, g: &mut [f64]) -> Result<f64, Fault> {
        let mut inputs = split(x, &self.like);
        if let Some(rows) = batch {
            inputs.push(Tensor::index([rows.len()], rows));
        }
        let out = self.gradient.run(&inputs)?;
        // total, losses…, gradients…
        let losses = out.len() - self.like.len();
        self.parts = out[1..losses].iter().map(|t| t.item()).collect();
        let mut at = 0;
        for t in &out[losses..] {
            let n = t.ty.len();
            match t.as_f64() {
                Some(d) => g[at..at + n].copy_from_slice(d),
                None => g[at..at + n].copy_from_slice(&t.to_f64()),
            }
            at += n;
        }
        Ok(out[0].item())
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn parts(&self) -> &[f64] {
        &self.parts
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn validation(&mut self, x: &[f64]) -> Result<Option<f64>, Fault> {
        match &self.validation {
            Some(v) => Ok(Some(v.run(&split(x, &self.like))?[0].item())),
            None => Ok(None),
        }
    }

    fn bounds(&self) -> Option<Bounds> {
        self.bounds.clone()
    }
}

/// Shows progress, keeps checkpoints, hears Ctrl-C.
struct Watch<'a> {
    meter: &'a dyn Meter,
    store: &'a Store,
    key: Fingerprint,
    last: Instant,
    done: u64,
}

impl Observer for Watch<'_> {
    fn epoch(&mut self, _: &train::Stage, e: &Epoch) -> Control {
        self.done += 1;
        self.meter.update(self.done);
        if self.done.is_multiple_of(50) {
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
