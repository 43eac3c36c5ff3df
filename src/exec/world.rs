//! The world that tracing acts on: computes functions (or finds their results in the store), trains, reads files, keeps the
//! costs of tasks.

use super::broken;
use super::cost::{Before, Cost};
use super::engine::Engine;
use super::follow::{Every, Follower, Marches};
use super::fs::DiskFault;
use super::interrupt;
use super::journal::Journal;
use super::key;
use super::objective::{Objective, Unusable};
use super::outcome::TaskRecord;
use super::progress::Progress;
use super::store::{Artifact, Store};
use super::stream::{self, Stream};
use super::training::{self, Watch};
use crate::backend::watch::Watch as _;
use crate::base::digits::short;
use crate::base::fingerprint::Hasher;
use crate::base::{Diagnostic, Fingerprint, Span};
use crate::data::read::{self, Loaded, Options};
use crate::ir::{Culprit, Fault, Func, Op, Tensor, Within};
use crate::lower::evolve::march::{self, March, Sought};
use crate::lower::runtime::{Failure, Runtime, Trained, Training};
use crate::passes;
use crate::sema::hir::DefId;
use crate::train::{self, Checkpoint, TrainError};
use indexmap::IndexMap;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
    /// Seconds between two checkpoints of a run in time, where the command says so.
    pub checkpoint_every: Option<f64>,
    marches: Marches,
    /// The unknowns of solves, by their names: of every size that was met.
    sought: HashMap<String, Vec<Sought>>,
    open: Vec<(usize, Instant)>,
}

/// What is computed in fewer seconds than these is not kept: reading it back takes as long.
pub const QUICK: f64 = 5e-3;

/// Seconds between two checkpoints, if nothing else is said.
pub const CHECKPOINT_EVERY: f64 = 30.0;

impl World {
    pub fn new(engine: Engine, store: Store, progress: Box<dyn Progress>, folder: PathBuf) -> World {
        World {
            engine,
            store,
            progress,
            folder,
            tasks: vec![],
            inputs: IndexMap::new(),
            journal: None,
            checkpoint_every: None,
            marches: Marches::new(),
            sought: HashMap::new(),
            open: vec![],
        }
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
            for (name, asked, computed) in &cost.remembered {
                task.notes.push(format!("online {name}: asked at {asked} points, computed at {computed}"));
            }
        }
    }

    /// A failure that names an unknown by what it is and where it lies, not by its number.
    fn named(&self, mut fault: Fault) -> Fault {
        let Some(culprit) = &fault.unknown else { return fault };
        let Culprit { solve, index, of } = &**culprit;
        let sizes = self.sought.get(solve).into_iter().flatten();
        let Some(sought) = sizes.min_by_key(|s| s.count().abs_diff(*of)) else { return fault };
        let Some((name, x)) = sought.named(*index) else { return fault };
        let number = format!("unknown {index}");
        if let Sought::Numbers { equations, .. } = sought
            && let Some(equation) = equations.get(*index)
            && fault.what.contains("residual")
        {
            // Residuals stand in the order of the equations, which is not that of the unknowns.
            let what = fault.what.split(&format!("; {number} is ")).next().unwrap_or_default();
            fault.what = what.replace(&format!("at {number}"), &format!("in `{equation}`"));
            fault.what = fault.what.replace(&number, &format!("`{equation}`"));
            return fault;
        }
        let x: Vec<String> = x.iter().map(|x| short(*x)).collect();
        let place = if x.is_empty() { String::new() } else { format!(" at ({})", x.join(", ")) };
        let what = fault.what.replacen(&number, &format!("`{name}`{place}"), 1);
        fault.what = what.replace(&number, &format!("`{name}`"));
        fault
    }

    /// A fault of a run at the statement that asked for it.
    fn failed(&self, fault: Fault, span: Span) -> Failure {
        broken::diagnosed(&self.named(fault), |mark| self.marches.get(mark), span)
    }

    /// The run in time that made the last such evaluation unusable, where one did, in words and as it would be told itself.
    fn unusable(&self, u: &Unusable, span: Span) -> Option<(String, Failure)> {
        /// Numbers that people read at once.
        const FEW: usize = 4;
        let (x, fault) = u.last.as_ref()?;
        let told = self.failed(fault.clone()?, span);
        let numbers: Vec<String> = x.iter().map(|x| short(*x)).collect();
        let place = if numbers.len() > FEW { String::new() } else { format!(" (tried: {})", numbers.join(", ")) };
        Some((format!("{}{place}", told.message), told))
    }

    fn trained(&mut self, t: &Trained) {
        if let Some(task) = self.task() {
            task.history = t.history.clone();
            task.notes.extend(t.notes.iter().cloned());
        }
    }

    fn keep(&self, key: &Fingerprint, artifact: &Artifact, span: Span) -> Result<(), Failure> {
        self.store.put(key, artifact).map_err(|e| self.disk(&e, span))
    }

    fn disk(&self, fault: &DiskFault, span: Span) -> Failure {
        let d =
            Diagnostic::error("run.disk", span, format!("the result of `{}` could not be kept: {fault}", self.label()));
        // A full disk says itself what helps.
        Box::new(match fault.full {
            true => d,
            false => d.help("run again once it can be written: what was finished before is found in the cache, and a run in time goes on from its last checkpoint"),
        })
    }
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
        let seconds = |x: f64| Duration::from_secs_f64(x.clamp(0.0, 1e9));
        let every = self.checkpoint_every.map_or(Every::Else(seconds(CHECKPOINT_EVERY)), |x| Every::Told(seconds(x)));
        let follower = Follower::new(&self.marches, &*self.progress, &self.store, key, (every, self.engine.threads));
        // A run in time has a meter of its own.
        let marches = func.nodes.iter().any(|n| matches!(&n.op, Op::Scan { body, .. } if follower.follows(&body.name)));
        let meter = (!marches).then(|| self.progress.start(&label, None));
        let started = Instant::now();
        let before = Before::now();
        let optimised = passes::optimise(func.clone());
        let follower = follower.of(&optimised);
        if !self.engine.candle
            && let Some(rows) = stream::Rows::of(&optimised, |body| follower.follows(body))
        {
            follower.stream(Stream::open(&self.store, &key, &optimised, rows).map_err(|e| self.disk(&e, span))?);
        }
        let result = self.engine.compile_optimised(&optimised).and_then(|c| c.run_watched(&[], Some(&follower)));
        stream::release(&optimised);
        drop(meter);
        let streamed = follower.streamed();
        let full = streamed.as_ref().and_then(|s| s.fault.clone());
        let mut tensors = match result {
            Ok(tensors) => tensors,
            Err(fault) => {
                let resumes = full.is_some() || interrupt::asked();
                // What another run can go on with stays.
                if let Some(stream) = streamed.filter(|_| !(resumes && follower.has_checkpoint())) {
                    stream.discard();
                }
                return Err(match full {
                    Some(full) if fault.broken.is_none() => self.disk(&full, span),
                    _ if interrupt::asked() && fault.broken.is_none() => interrupted(span),
                    _ => self.failed(fault, span),
                });
            }
        };
        let resumed = follower.resumed();
        let cost = before.cost(started.elapsed().as_secs_f64());
        let meta = serde_json::json!({ "task": label, "seconds": cost.seconds, "solves": cost.solves, "remembered": cost.remembered });
        let streamed =
            streamed.filter(|s| s.rows.outputs.iter().all(|i| tensors[*i].ty != func.ty(func.outputs[*i]).clone()));
        if let Some(stream) = streamed {
            let found =
                stream.finish(&self.store, &key, ("tensors", &meta), &tensors).map_err(|e| self.disk(&e, span))?;
            let found = found.or_else(|| self.store.get(&key)).and_then(|a| outputs(&a, &func));
            tensors = found.ok_or_else(|| self.failed(Fault::new(&label, "its samples cannot be read back"), span))?;
        } else if interrupt::asked() {
            return Err(interrupted(span));
        } else if cost.seconds > QUICK {
            let arrays = tensors.iter().enumerate().map(|(i, t)| (format!("{i}"), t.clone())).collect();
            self.keep(&key, &Artifact { kind: "tensors".into(), meta, arrays }, span)?;
        }
        follower.finish();
        self.note(key, false, &cost);
        if let (Some(words), Some(task)) = (resumed, self.task()) {
            task.notes.push(words);
        }
        Ok(tensors)
    }

    fn seeks(&mut self, solve: &str, sought: &dyn Fn() -> Sought) {
        const MOST: usize = 8;
        let known = self.sought.entry(solve.into()).or_default();
        let new = sought();
        // The same solve may be traced thousands of times.
        if known.len() < MOST && !known.iter().any(|k| k.count() == new.count()) {
            known.push(new);
        }
    }

    fn streams(&self, bytes: usize) -> bool {
        !self.engine.candle && bytes >= stream::LARGE
    }

    fn marches(&mut self, march: March, step: &mut Func) {
        let mark = march.mark();
        march::mark_step(step, &mark);
        self.marches.insert(mark, march);
    }

    fn train(&mut self, label: &str, problem: Training, span: Span) -> Result<Trained, Failure> {
        let key = training::fingerprint(&problem, self.engine.name());
        if let Some(found) = self.store.get(&key)
            && let Some(t) = training::found(&found)
        {
            self.note(key, true, &Cost::of(&found.meta));
            self.trained(&t);
            return Ok(t);
        }
        let before = Before::now();
        let started = Instant::now();
        let every = Every::Else(Duration::ZERO);
        let follower = Follower::new(&self.marches, &*self.progress, &self.store, key, (every, self.engine.threads));
        let mut objective = Objective::new(&problem, &self.engine, &follower).map_err(|f| self.failed(f, span))?;
        let stages = training::stages(&problem, &objective.precisions)?;
        let checkpoint_key = {
            let mut h = Hasher::new("checkpoint");
            h.part(key);
            h.finish()
        };
        let state = self
            .store
            .get(&checkpoint_key)
            .and_then(|a| serde_json::from_value::<Checkpoint>(a.meta).ok())
            .unwrap_or_else(|| Checkpoint::new(objective.initial()));
        let total: u64 = stages.iter().map(|s| s.epochs).sum();
        let meter = self.progress.start(label, Some(total));
        let mut watch = Watch::new(&*meter, &self.store, checkpoint_key);
        let result = train::resume(&stages, &mut objective, state, &mut watch);
        meter.finish();
        let state = result.map_err(|e| match e {
            TrainError::Objective(f) => self.failed(f, span),
            diverged => {
                let message = format!("the training of `{label}` failed: {diverged}");
                Box::new(match self.unusable(&objective.unusable, span) {
                    Some((words, of_run)) => {
                        let d = Diagnostic::error("run.diverged", span, format!("{message}; {words}"));
                        let d = d.help(
                            "begin elsewhere, give bounds (`over a: [1] = 0.5 in 0..1`), or lower the learning rate",
                        );
                        of_run.note.iter().fold(d, |d, note| d.note(note.clone()))
                    }
                    None => Diagnostic::error("run.diverged", span, message)
                        .help("lower the learning rate, or look at the data for outliers"),
                })
            }
        })?;
        if interrupt::asked() {
            return Err(interrupted(span));
        }
        let result = |f: Fault| f.within(Within::Else(format!("at what `{label}` has found")));
        let losses = objective.losses(&state.x).map_err(|f| self.failed(result(f), span))?;
        let mut trained = training::result(&problem, &stages, &state, losses, started.elapsed().as_secs_f64());
        let unusable = &objective.unusable;
        if unusable.count > 0 {
            let last =
                self.unusable(unusable, span).map(|(words, _)| format!(", the last: {words}")).unwrap_or_default();
            let what = if unusable.count == 1 { "evaluation" } else { "evaluations" };
            trained.notes.push(format!("{} {what} gave no finite loss or gradient{last}", unusable.count));
        }
        let cost = before.cost(trained.seconds);
        let meta = serde_json::json!({
            "task": label, "seconds": cost.seconds, "solves": cost.solves, "remembered": cost.remembered, "notes": trained.notes,
        });
        let arrays = training::kept(&trained);
        self.keep(&key, &Artifact { kind: "trained".into(), meta, arrays }, span)?;
        self.note(key, false, &cost);
        self.trained(&trained);
        Ok(trained)
    }

    fn remark(&mut self, text: &str) {
        if let Some(task) = self.task() {
            task.notes.push(text.into());
        }
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
