//! What a run would do, before doing it. The studies are traced as in a run, but what the cache does not hold is not computed: it
//! gets a placeholder of the right shape, and what rests on a placeholder is known to run as well.

mod dry;

use super::engine::Engine;
use super::journal::{self, Entry, State};
use super::store::Store;
use super::study::Studies;
use crate::base::Diagnostic;
use crate::flow::graph::{self, Graph};
use crate::flow::made::{MadeOf, changes};
use crate::lower::Lower;
use crate::lower::evolve::march::March;
use crate::sema::fingerprint::Fingerprints;
use crate::sema::hir::{DefId, Program};
use dry::{Dry, Nowhere, Task};
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use std::collections::HashMap;
use std::path::PathBuf;

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
    /// Runs in time.
    pub marches: Vec<March>,
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

pub fn plan(program: &Program, graph: &Graph, store: Store, options: Options) -> Plan {
    let entries = journal::recall(&store, options.name);
    let quick = entries.values().flat_map(|e| e.quick.iter().cloned()).collect();
    let mut dry = Dry::new(store, options.engine, options.folder, quick);
    let mut problems = vec![];
    {
        let mut lower = Lower::new(program, &mut dry, options.seed);
        let mut writer = Nowhere;
        let mut studies = Studies::new(&mut lower, &mut writer);
        for &id in options.studies {
            // The first failure is what a run would end with; the rest may follow from it.
            problems.extend(studies.attempt(id).into_iter().next().map(|e| *e));
        }
    }
    // What failed on placeholders says nothing about the program.
    if dry.guessed > 0 {
        problems = dry.unread;
    }
    let prints = Fingerprints::new(program);
    let mut records: HashMap<NodeIndex, Vec<&Task>> = HashMap::new();
    for t in &dry.tasks {
        if let Some(node) = graph::at(graph, t.span) {
            records.entry(node).or_default().push(t);
        }
    }
    let mut planned: HashMap<NodeIndex, Planned> = HashMap::new();
    // What changed in tasks that are too quick to be kept is the reason of those that need them.
    let mut inherited: HashMap<NodeIndex, Vec<String>> = HashMap::new();
    for node in graph.node_indices() {
        let made_of = MadeOf::of(program, &prints, &graph[node], &options.options);
        let records = records.get(&node).map_or(&[][..], Vec::as_slice);
        let needs = || graph.neighbors_directed(node, petgraph::Direction::Incoming);
        let before: Vec<&str> = needs()
            .filter(|n| planned.get(n).is_some_and(|p| p.status == Status::Run))
            .map(|n| graph[n].label.as_str())
            .collect();
        let entry = entries.get(&graph[node].path);
        let mut p = judge(program, &graph[node], node, records, &before, entry, made_of);
        if p.status != Status::Cached && entry.is_some() {
            let mut more: Vec<String> = needs().filter_map(|n| inherited.get(&n)).flatten().cloned().collect();
            more.retain(|r| !p.reasons.contains(r));
            p.reasons.splice(0..0, more);
            p.reasons.dedup();
        }
        match p.status {
            Status::Quick => {
                inherited.insert(node, std::mem::take(&mut p.reasons));
            }
            Status::Run if p.reasons.is_empty() => p.reasons.push(unexplained(entry, &dry.store)),
            Status::Run | Status::Cached => {}
        }
        planned.insert(node, p);
    }
    let tasks = graph.node_indices().filter_map(|n| planned.remove(&n)).collect();
    Plan { tasks, systems: dry.systems, marches: dry.marches.into_values().collect(), problems }
}

/// What becomes of one task. `before` are the tasks it needs that will run.
fn judge(
    program: &Program,
    task: &graph::Task,
    node: NodeIndex,
    records: &[&Task],
    before: &[&str],
    entry: Option<&Entry>,
    mut now: MadeOf,
) -> Planned {
    now.files.extend(records.iter().flat_map(|r| r.files.iter().cloned()));
    let missing = records.iter().any(|r| r.missing > 0);
    let status = match () {
        () if missing || !before.is_empty() => Status::Run,
        () if records.iter().any(|r| r.found > 0) => Status::Cached,
        () => Status::Quick,
    };
    let seconds = entry.map(|e| e.seconds).filter(|s| *s > 0.0);
    let mut out = Planned { node, status, reasons: vec![], seconds, solves: vec![] };
    if status == Status::Cached {
        return out;
    }
    match entry {
        None if status == Status::Quick => {}
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
    if status == Status::Quick {
        return out;
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

/// Why a task runs of which nothing is known to have changed.
fn unexplained(entry: Option<&Entry>, store: &Store) -> String {
    let lost = entry.is_some_and(|e| e.kept.iter().any(|k| !store.has_hex(k)));
    if lost { "its result is no longer in the cache" } else { "a value it rests on changed" }.into()
}
