//! What a run would do, before doing it. The studies are traced as in a run, but what the cache does not hold is not computed: it
//! gets a placeholder of the right shape, and what rests on a placeholder is known to run as well.

use super::engine::Engine;
use super::journal::{self, Entry, State};
use super::key;
use super::store::Store;
use super::study::{SavedField, Studies, Writer};
use super::training;
use super::world;
use crate::backend;
use crate::base::{Diagnostic, Span};
use crate::data::read::{Loaded, Options as ReadOptions};
use crate::flow::graph::{self, Graph};
use crate::flow::made::{MadeOf, changes};
use crate::ir::{DType, Func, Op, SolveSpec, Tensor, Type};
use crate::lower::Lower;
use crate::lower::runtime::{Failure, Runtime, Trained, Training};
use crate::lower::value::Value;
use crate::sema::fingerprint::Fingerprints;
use crate::sema::hir::{DefId, Program};
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub struct Options<'a> {
    pub engine: Engine,
    pub seed: u64,
    pub studies: &'a [DefId],
    /// Folder of the program.
    pub folder: PathBuf,
    /// Of the program in the journal.
    pub name: &'a str,
    /// As the run would give them to the journal.
    pub options: IndexMap<String, String>,
}

pub struct Plan {
    /// In an order in which they can run.
    pub tasks: Vec<Planned>,
    /// Systems that are solved, with what was inferred about them, in the order in which they are met.
    pub systems: Vec<Inferred>,
    /// What would end the run before anything is computed, such as a missing data file.
    pub problems: Vec<Diagnostic>,
}

pub struct Planned {
    pub node: NodeIndex,
    pub status: Status,
    /// Why it runs, in words; empty where it does not.
    pub reasons: Vec<String>,
    /// Seconds that its results took when they were last computed.
    pub seconds: Option<f64>,
    /// Solves expected, by system.
    pub solves: Vec<Expected>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Its results are in the cache.
    Cached,
    Run,
    /// Done in a few milliseconds each time; nothing is kept.
    Quick,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Cached => "cached",
            Status::Run => "run",
            Status::Quick => "quick",
        }
    }
}

/// How often a system will be solved.
#[derive(Clone, PartialEq, Debug)]
pub struct Expected {
    pub system: String,
    pub times: u64,
    /// For each step of a surrounding nonlinear iteration, whose length is not known before.
    pub each_step: bool,
    /// The number that the last run counted stands in `times`.
    pub counted: bool,
}

/// What the compiler found out about a system and chose for it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Inferred {
    pub system: String,
    pub unknowns: usize,
    pub linear: bool,
    /// Symmetric and positive (semi-)definite.
    pub symmetric: bool,
    /// `CG with multigrid`
    pub method: &'static str,
}

/// Time that may be spent on computing what is quick but not kept.
const PATIENCE: Duration = Duration::from_secs(3);
/// Entries a function may compute to count as quick when nothing else is known.
const LIGHT: f64 = 2e6;

pub fn plan(program: &Program, graph: &Graph, store: Store, options: Options) -> Plan {
    let entries = journal::recall(&store, options.name);
    let quick = entries.values().flat_map(|e| e.quick.iter().cloned()).collect();
    let mut dry = Dry {
        store,
        engine: options.engine,
        folder: options.folder,
        quick,
        left: PATIENCE,
        open: vec![],
        tasks: vec![],
        guessed: 0,
        systems: vec![],
    };
    let mut problems = vec![];
    {
        let mut lower = Lower::new(program, &mut dry, options.seed);
        let mut writer = Nowhere;
        let mut studies = Studies::new(&mut lower, &mut writer);
        for &id in options.studies {
            problems.extend(studies.attempt(id).into_iter().map(|e| *e));
        }
    }
    // What failed on placeholders says nothing about the program.
    if dry.guessed > 0 {
        problems.retain(|d| matches!(d.code, "run.data"));
    }
    let prints = Fingerprints::new(program);
    let mut records: HashMap<NodeIndex, Vec<&DryTask>> = HashMap::new();
    for t in &dry.tasks {
        if let Some(node) = graph::at(graph, t.span) {
            records.entry(node).or_default().push(t);
        }
    }
    let mut planned: HashMap<NodeIndex, Planned> = HashMap::new();
    for node in graph.node_indices() {
        let made_of = MadeOf::of(program, &prints, &graph[node], &options.options);
        let records = records.get(&node).map_or(&[][..], Vec::as_slice);
        let before: Vec<&str> = graph
            .neighbors_directed(node, petgraph::Direction::Incoming)
            .filter(|n| planned.get(n).is_some_and(|p| p.status == Status::Run))
            .map(|n| graph[n].label.as_str())
            .collect();
        let entry = entries.get(&graph[node].path);
        let p = judge(program, &graph[node], node, records, &before, entry, made_of, &dry.store);
        planned.insert(node, p);
    }
    let tasks = graph.node_indices().filter_map(|n| planned.remove(&n)).collect();
    Plan { tasks, systems: dry.systems, problems }
}

/// What becomes of one task. `before` are the tasks it needs that will run.
fn judge(
    program: &Program,
    task: &graph::Task,
    node: NodeIndex,
    records: &[&DryTask],
    before: &[&str],
    entry: Option<&Entry>,
    mut now: MadeOf,
    store: &Store,
) -> Planned {
    now.files.extend(records.iter().flat_map(|r| r.files.iter().cloned()));
    let missing = records.iter().any(|r| r.missing > 0);
    let status = match () {
        () if missing || !before.is_empty() => Status::Run,
        () if records.iter().any(|r| r.found > 0) => Status::Cached,
        () => Status::Quick,
    };
    let mut out = Planned { node, status, reasons: vec![], seconds: entry.map(|e| e.seconds), solves: vec![] };
    if status != Status::Run {
        return out;
    }
    match entry {
        None => out.reasons.push("never ran".into()),
        Some(e) => {
            match e.state {
                State::Open => out.reasons.push("it was interrupted".into()),
                State::Failed => out.reasons.push("it failed".into()),
                State::Done => {}
            }
            out.reasons.extend(changes(program, task, &e.made_of, &now).iter().map(ToString::to_string));
        }
    }
    if !before.is_empty() && out.reasons.first().is_none_or(|r| r != "never ran") {
        let names: Vec<String> = before.iter().map(|n| format!("`{n}`")).collect();
        out.reasons.push(match before.len() {
            1 => format!("it needs {}, which runs", names[0]),
            _ => format!("it needs {}, which run", names.join(", ")),
        });
    }
    if out.reasons.is_empty() {
        let lost = entry.is_some_and(|e| e.kept.iter().any(|k| !store.has_hex(k)));
        out.reasons
            .push(if lost { "its result is no longer in the cache" } else { "a value it rests on changed" }.into());
    }
    let mut solves: IndexMap<(String, bool), u64> = IndexMap::new();
    for (name, each_step, n) in records.iter().flat_map(|r| &r.work) {
        *solves.entry((name.clone(), *each_step)).or_default() += n;
    }
    out.solves = solves
        .into_iter()
        .map(|((system, each_step), times)| match entry.and_then(|e| e.solves.get(&system)) {
            // What was counted says more than what one step needs.
            Some(&n) if each_step => Expected { system, times: n, each_step: false, counted: true },
            _ => Expected { system, times, each_step, counted: false },
        })
        .collect();
    out
}

/// What tracing asks for is looked up; nothing that takes long is computed.
struct Dry {
    store: Store,
    engine: Engine,
    folder: PathBuf,
    /// Keys of results that are known to be computed quickly.
    quick: HashSet<String>,
    left: Duration,
    open: Vec<usize>,
    tasks: Vec<DryTask>,
    /// Placeholders given out.
    guessed: usize,
    systems: Vec<Inferred>,
}

#[derive(Default)]
struct DryTask {
    span: Span,
    found: usize,
    missing: usize,
    files: Vec<(String, String)>,
    /// Systems to be solved: name, whether for each step of an iteration, how often.
    work: Vec<(String, bool, u64)>,
}

impl Dry {
    fn task(&mut self) -> Option<&mut DryTask> {
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

    fn load(&mut self, path: &str, options: ReadOptions, span: Span) -> Result<Loaded, Failure> {
        let (loaded, hash) = world::read_data(&self.folder, path, &options, span)?;
        if let (Some(task), Some(hash)) = (self.task(), hash) {
            task.files.push((path.to_string(), hash.hex()));
        }
        Ok(loaded)
    }

    fn enter(&mut self, _label: &str, _def: Option<DefId>, span: Span) {
        self.tasks.push(DryTask { span, ..DryTask::default() });
        self.open.push(self.tasks.len() - 1);
    }

    fn leave(&mut self, _done: bool) {
        self.open.pop();
    }
}

/// Numbers that are neither zero nor alike, so that quotients and normalisers of them exist.
fn placeholder(ty: &Type) -> Tensor {
    let values = (0..ty.len()).map(|i| 1.0 + 1e-3 * (i % 7) as f64);
    match ty.dtype {
        DType::F64 => Tensor::f64(ty.shape.clone(), values.collect::<Vec<f64>>()),
        DType::F32 => Tensor::f32(ty.shape.clone(), values.map(|v| v as f32).collect::<Vec<f32>>()),
        DType::Index => Tensor::index(ty.shape.clone(), vec![0; ty.len()]),
    }
}

/// Entries that a function computes; none of it is light where a system is solved.
fn entries(f: &Func) -> f64 {
    let node = |n: &crate::ir::func::Node| -> f64 {
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
struct Nowhere;

impl Writer for Nowhere {
    fn vtk(&mut self, name: &str, _: &[SavedField], _: Span) -> Result<PathBuf, Box<Diagnostic>> {
        Ok(name.into())
    }

    fn save(&mut self, name: &str, _: &[(String, Value)], _: Span) -> Result<PathBuf, Box<Diagnostic>> {
        Ok(name.into())
    }
}
