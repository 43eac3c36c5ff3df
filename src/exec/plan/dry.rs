//! The world that a plan traces against: what is asked for is looked up, and nothing that takes long is computed.

use super::Inferred;
use crate::backend;
use crate::base::{Diagnostic, Span};
use crate::data::read::{Loaded, Options};
use crate::exec::engine::Engine;
use crate::exec::store::Store;
use crate::exec::study::{SavedField, Series, Writer};
use crate::exec::{key, stream, training, world};
use crate::ir::func::Node;
use crate::ir::{DType, Func, Op, SolveSpec, Tensor, Type};
use crate::lower::evolve::march::{self, Layout, March};
use crate::lower::runtime::{Failure, Runtime, Trained, Training};
use crate::lower::value::Value;
use crate::sema::hir::DefId;
use indexmap::IndexMap;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Time that may be spent on computing what is quick but not kept.
const PATIENCE: Duration = Duration::from_secs(3);
/// Entries a function may compute to count as quick when nothing else is known.
const LIGHT: f64 = 2e6;

/// The world of a plan.
pub struct Dry {
    pub store: Store,
    engine: Engine,
    folder: PathBuf,
    quick: HashSet<String>,
    left: Duration,
    open: Vec<usize>,
    pub tasks: Vec<Task>,
    /// Placeholders given out.
    pub guessed: usize,
    pub systems: Vec<Inferred>,
    /// Runs in time, by mark.
    pub marches: IndexMap<String, March>,
    /// What is wrong with data files.
    pub unread: Vec<Diagnostic>,
}

/// What a task asked for.
#[derive(Default)]
pub struct Task {
    pub span: Span,
    /// Results in the cache, and results that must be computed.
    pub found: usize,
    pub missing: usize,
    /// Data files read, with their hashes.
    pub files: Vec<(String, String)>,
    /// Systems to be solved: name, whether for each step of an iteration, how often.
    pub work: Vec<(String, bool, u64)>,
}

impl Dry {
    /// `quick` are keys of results that are known to be computed quickly.
    pub fn new(store: Store, engine: Engine, folder: PathBuf, quick: HashSet<String>) -> Dry {
        Dry {
            store,
            engine,
            folder,
            quick,
            left: PATIENCE,
            open: vec![],
            tasks: vec![],
            guessed: 0,
            systems: vec![],
            marches: IndexMap::new(),
            unread: vec![],
        }
    }

    fn task(&mut self) -> Option<&mut Task> {
        let i = *self.open.last()?;
        self.tasks.get_mut(i)
    }

    /// The result, where it is quickly had.
    fn quickly(&mut self, key: &str, func: &Func) -> Option<Vec<Tensor>> {
        if self.left.is_zero() || !(self.quick.contains(key) || entries(func) < LIGHT) {
            return None;
        }
        let started = Instant::now();
        let out = self.engine.compile(func).and_then(|c| c.run(&[])).ok();
        self.left = self.left.saturating_sub(started.elapsed());
        out
    }

    fn infer(&mut self, func: &Func) {
        let mut met = vec![];
        solves(func, &mut |residual, spec| met.push((residual.clone(), spec.clone())));
        for (residual, spec) in met {
            let unknowns = residual.inputs.first().map_or(0, Type::len);
            let known = self.systems.iter().any(|s| s.system == spec.name && s.unknowns == unknowns);
            if !known {
                let method = backend::method(&residual, &spec).unwrap_or("–");
                let inferred =
                    Inferred { system: spec.name, unknowns, linear: spec.linear, symmetric: spec.symmetric, method };
                self.systems.push(inferred);
            }
        }
    }
}

impl Runtime for Dry {
    fn run(&mut self, _label: &str, func: Func, _span: Span) -> Result<Vec<Tensor>, Failure> {
        self.infer(&func);
        let key = key::of(&func, self.engine.name());
        if let Some(found) = self.store.get(&key)
            && let Some(tensors) = world::outputs(&found, &func)
        {
            if let Some(t) = self.task() {
                t.found += 1;
            }
            return Ok(tensors);
        }
        if let Some(tensors) = self.quickly(&key.hex(), &func) {
            return Ok(tensors);
        }
        self.guessed += 1;
        if let Some(t) = self.task() {
            t.missing += 1;
            count(&func, 1, false, &mut t.work);
        }
        Ok(func.output_types().iter().map(placeholder).collect())
    }

    fn streams(&self, bytes: usize) -> bool {
        !self.engine.candle && bytes >= stream::LARGE
    }

    fn marches(&mut self, march: March, step: &mut Func) {
        let mark = march.mark();
        march::mark_step(step, &mark);
        // Of numbers there is nothing to tell: no grid, nothing that is chosen.
        if !matches!(march.layout, Layout::Numbers(_)) {
            self.marches.entry(mark).or_insert(march);
        }
    }

    fn train(&mut self, _label: &str, training: Training, _span: Span) -> Result<Trained, Failure> {
        let key = training::fingerprint(&training, self.engine.name());
        if let Some(t) = self.store.get(&key).and_then(|a| training::found(&a)) {
            if let Some(task) = self.task() {
                task.found += 1;
            }
            return Ok(t);
        }
        self.guessed += 1;
        if let Some(t) = self.task() {
            t.missing += 1;
        }
        let losses = training.names.iter().map(|n| (n.clone(), 1.0)).collect();
        Ok(Trained { weights: training.initial, history: IndexMap::new(), losses, notes: vec![], seconds: 0.0 })
    }

    fn guesses(&self) -> bool {
        self.guessed > 0
    }

    fn load(&mut self, path: &str, options: Options, span: Span) -> Result<Loaded, Failure> {
        let (loaded, hash) = match world::read_data(&self.folder, path, &options, span) {
            Ok(found) => found,
            Err(d) => {
                if !self.unread.contains(&d) {
                    self.unread.push((*d).clone());
                }
                return Err(d);
            }
        };
        if let (Some(task), Some(hash)) = (self.task(), hash) {
            task.files.push((path.to_string(), hash.hex()));
        }
        Ok(loaded)
    }

    fn enter(&mut self, _label: &str, _def: Option<DefId>, span: Span) {
        self.tasks.push(Task { span, ..Task::default() });
        self.open.push(self.tasks.len() - 1);
    }

    fn leave(&mut self, _done: bool) {
        self.open.pop();
    }
}

/// Numbers that are neither zero nor alike, so that quotients and normalisers of them exist.
fn placeholder(ty: &Type) -> Tensor {
    if ty.len() * ty.dtype.size() >= stream::LARGE {
        // Memory that is all zeros is not taken before it is written.
        return match ty.dtype {
            DType::F64 => Tensor::f64(ty.shape.clone(), vec![0.0; ty.len()]),
            DType::F32 => Tensor::f32(ty.shape.clone(), vec![0.0; ty.len()]),
            DType::Index => Tensor::index(ty.shape.clone(), vec![0; ty.len()]),
        };
    }
    let values = (0..ty.len()).map(|i| 1.0 + 1e-3 * (i % 7) as f64);
    match ty.dtype {
        DType::F64 => Tensor::f64(ty.shape.clone(), values.collect::<Vec<f64>>()),
        DType::F32 => Tensor::f32(ty.shape.clone(), values.map(|v| v as f32).collect::<Vec<f32>>()),
        DType::Index => Tensor::index(ty.shape.clone(), vec![0; ty.len()]),
    }
}

/// Entries that a function computes; none of it is light where a system is solved.
fn entries(f: &Func) -> f64 {
    let node = |n: &Node| -> f64 {
        let own: f64 = n.types.iter().map(|t| t.len() as f64).sum();
        own + match &n.op {
            Op::Solve { .. } | Op::LinearSolve { .. } => f64::INFINITY,
            Op::Map { body, n, .. } => entries(body) * *n as f64,
            Op::Scan { body, length, .. } => entries(body) * *length as f64,
            Op::Cond { then, otherwise } => entries(then).max(entries(otherwise)),
            Op::Memo { body, .. } => entries(body),
            _ => 0.0,
        }
    };
    f.nodes.iter().map(node).sum()
}

/// Calls for every system that a function solves, inside others too.
fn solves(f: &Func, see: &mut dyn FnMut(&Func, &SolveSpec)) {
    for n in &f.nodes {
        match &n.op {
            Op::Solve { residual, spec } => {
                see(residual, spec);
                solves(residual, see);
            }
            Op::Map { body, .. } | Op::Scan { body, .. } | Op::Memo { body, .. } => solves(body, see),
            Op::Cond { then, otherwise } => {
                solves(then, see);
                solves(otherwise, see);
            }
            _ => {}
        }
    }
}

/// How often a function solves which system; of alternatives the first counts.
fn count(f: &Func, times: u64, each_step: bool, out: &mut Vec<(String, bool, u64)>) {
    for n in &f.nodes {
        match &n.op {
            Op::Solve { residual, spec } => {
                out.push((spec.name.clone(), each_step, times));
                count(residual, times, true, out);
            }
            Op::Map { body, n, .. } => count(body, times * *n as u64, each_step, out),
            Op::Scan { body, length, .. } => count(body, times * *length as u64, each_step, out),
            Op::Memo { body, .. } => count(body, times, each_step, out),
            Op::Cond { then, .. } => count(then, times, each_step, out),
            _ => {}
        }
    }
}

/// Files of a plan are not written.
pub struct Nowhere;

impl Writer for Nowhere {
    fn vtk(&mut self, name: &str, _: &[SavedField], _: Span) -> Result<PathBuf, Box<Diagnostic>> {
        Ok(name.into())
    }

    fn series(&mut self, name: &str, _: &Series, _: Span) -> Result<PathBuf, Box<Diagnostic>> {
        Ok(name.into())
    }

    fn save(&mut self, name: &str, _: &[(String, Value)], _: Span) -> Result<PathBuf, Box<Diagnostic>> {
        Ok(name.into())
    }
}
