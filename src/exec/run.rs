//! A whole run: every study of a program, and what came of it.

use super::engine::Engine;
use super::fs::Disk;
use super::journal::Journal;
use super::outcome::Outcome;
use super::plan;
use super::progress::Progress;
use super::store::Store;
use super::study::{Studies, Writer};
use super::world::World;
use crate::base::{Diagnostic, Fingerprint, Span};
use crate::flow::graph::{self, Graph};
use crate::lower::Lower;
use crate::lower::value::Value;
use crate::sema::hir::{DefId, DefKind, Program};
use indexmap::IndexMap;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub struct Options {
    pub engine: Engine,
    /// `--seed`; else the program's `param seed`; else 0.
    pub seed: Option<u64>,
    /// Names of studies; all where none is given.
    pub studies: Vec<String>,
    /// Folder of the program, from which data paths start.
    pub folder: PathBuf,
    /// Folder of results.
    pub out: PathBuf,
    pub progress: Box<dyn Progress>,
    /// Seconds between two checkpoints of a run in time.
    pub checkpoint_every: Option<f64>,
}

/// What is left when a run has ended, well or not.
pub struct Finished {
    pub outcome: Outcome,
    /// The failure that ended it, if one did.
    pub failure: Option<Diagnostic>,
    pub seed: u64,
    /// Hashes of data files that were read.
    pub inputs: IndexMap<String, Fingerprint>,
}

/// Bytes that results of earlier runs may take up in the cache; the oldest go first.
pub const CACHE: u64 = 4 << 30;

/// The studies that a command names, in the order of the program.
pub fn studies(program: &Program, names: &[String]) -> Vec<DefId> {
    program
        .root_defs()
        .filter(|(_, d)| matches!(d.kind, DefKind::Study { .. }) && (names.is_empty() || names.contains(&d.name)))
        .map(|(id, _)| id)
        .collect()
}

/// Runs the studies; `files` takes what they write.
pub fn run(program: &Program, options: Options, files: &mut dyn Writer) -> Finished {
    let store = store(&options.out);
    let backend = options.engine.name();
    let mut world = World::new(options.engine, store, options.progress, options.folder);
    world.checkpoint_every = options.checkpoint_every;
    let seed = options.seed.unwrap_or_else(|| declared_seed(program, &mut world));
    let ids = studies(program, &options.studies);
    let graph = graph::graph(program, &ids);
    world.journal = Some(Journal::new(&name(program), program, &graph, &choices(seed, backend), &world.store));
    let (outcome, failure) = {
        let mut lower = Lower::new(program, &mut world, seed);
        let mut studies = Studies::new(&mut lower, files);
        let mut failure = None;
        for id in ids {
            if let Err(e) = studies.run(id) {
                failure = Some(*e);
                break;
            }
        }
        let mut outcome = studies.outcome;
        outcome.warnings = std::mem::take(&mut lower.warnings);
        (outcome, failure)
    };
    if let Some(journal) = &mut world.journal {
        journal.close(&world.store);
    }
    let mut outcome = outcome;
    outcome.warnings.extend(
        world.store.complaints().into_iter().map(|words| Diagnostic::warning("run.cache", Span::default(), words)),
    );
    let used: HashSet<&str> = world.tasks.iter().flat_map(|t| &t.outputs).map(String::as_str).collect();
    // A cache that cannot be tidied is no reason to fail a run.
    let _ = world.store.sweep(CACHE, |k| used.contains(k.hex().as_str()));
    let outcome = Outcome { tasks: world.tasks, ..outcome };
    Finished { outcome, failure, seed, inputs: world.inputs }
}

/// What [`run`] would do with the same options.
pub fn plan(program: &Program, graph: &Graph, options: Options) -> plan::Plan {
    let store = store(&options.out);
    let backend = options.engine.name();
    let seed = options.seed.unwrap_or_else(|| {
        let silent = Box::new(super::progress::Silent);
        declared_seed(program, &mut World::new(options.engine.clone(), store.clone(), silent, options.folder.clone()))
    });
    let plan = plan::Options {
        engine: options.engine,
        seed,
        studies: &studies(program, &options.studies),
        folder: options.folder,
        name: &name(program),
        options: choices(seed, backend),
    };
    plan::plan(program, graph, store, plan)
}

/// The cache of a folder of results.
pub fn store(out: &Path) -> Store {
    Store::open(out.join("cache"), Arc::new(Disk))
}

/// Of the program, in the journal: its file without the folder, so that it is found from anywhere.
fn name(program: &Program) -> String {
    let file = &program.sources.get(program.modules[program.root.index()].file).name;
    Path::new(file).file_name().map_or(file.clone(), |f| f.to_string_lossy().into_owned())
}

/// What results rest on besides the program and its data.
fn choices(seed: u64, backend: &str) -> IndexMap<String, String> {
    let choices =
        [("seed", seed.to_string()), ("backend", backend.into()), ("compiler", env!("CARGO_PKG_VERSION").into())];
    choices.map(|(k, v)| (k.to_string(), v)).into()
}

fn declared_seed(program: &Program, world: &mut World) -> u64 {
    let Some(id) = program.find("seed") else { return 0 };
    let mut lower = Lower::new(program, world, 0);
    match lower.def(id, Span::default()) {
        Ok(Value::Int(n)) => n as u64,
        _ => 0,
    }
}
