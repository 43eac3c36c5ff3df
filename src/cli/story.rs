//! The report of a run, out of the program and what the run found.

use super::compare::{self, own_seconds};
use super::{args, front};
use crate::base::{Fingerprint, Span};
use crate::exec::outcome::TaskRecord;
use crate::exec::run::Finished;
use crate::flow::graph::{self, Graph, Kind};
use crate::report::figure::{Content, Figure, ScaleArrow, ScaleBox, ScaleMap, TaskBox, TaskGraph, TaskState};
use crate::report::html::duration;
use crate::report::manifest::{self, Run, Verdict};
use crate::report::{Report, outcome, ticks};
use crate::sema;
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use std::collections::HashMap;

/// A larger graph is no picture any more; its tasks are still in the table of costs.
const MOST_DRAWN: usize = 60;

/// What is known besides the results.
pub struct Told<'a> {
    pub args: &'a args::Run,
    pub analysis: &'a front::Analysis,
    /// ISO 8601.
    pub started: String,
    pub seconds: f64,
    pub threads: usize,
}

/// `written` are the files of studies with their hashes.
pub fn report(told: &Told, finished: &Finished, written: IndexMap<String, String>) -> Report {
    let (args, program) = (told.args, &told.analysis.program);
    let studies = crate::exec::run::studies(program, &args.studies);
    let graph = graph::graph(program, &studies);
    let source = program.sources.get(program.modules[program.root.index()].file);
    let found = &finished.outcome;
    let records = Records::new(&graph, &found.tasks);
    let verdict = match &finished.failure {
        Some(d) if d.code == "run.interrupted" => Verdict::Interrupted,
        Some(_) => Verdict::RunFailed,
        None if found.checks.iter().all(|c| c.held) => Verdict::Holds,
        None => Verdict::CheckFailed,
    };
    let failure = finished.failure.as_ref().map(|d| {
        let (line, column) = program.sources.get(d.span().file).line_column(d.span().start);
        let help = d.help.iter().map(|h| format!("\nhelp: {h}")).collect::<String>();
        format!("{}:{line}:{column}: {}{help}", program.sources.get(d.span().file).name, d.message)
    });
    let setting = |s: &String| s.split_once('=').map(|(k, v)| (k.trim().to_string(), v.trim().to_string()));
    let run = Run {
        schema: manifest::SCHEMA,
        mslc: env!("CARGO_PKG_VERSION").into(),
        program: args.file.display().to_string(),
        program_hash: Fingerprint::of(source.text.as_bytes()).hex(),
        started: told.started.clone(),
        seconds: told.seconds,
        verdict,
        failure,
        seed: finished.seed,
        threads: told.threads,
        backend: format!("{:?}", args.backend).to_lowercase(),
        studies: args.studies.clone(),
        settings: args.set.iter().filter_map(setting).collect(),
        inputs: finished.inputs.iter().map(|(k, v)| (k.clone(), v.hex())).collect(),
        outputs: written,
        checks: outcome::checks(found),
        tasks: outcome::tasks(found, |i| records.needs(&graph, i, found.tasks[i].span)),
        comparisons: compare::comparisons(program, &graph, &studies, found),
    };
    let mut figures = vec![];
    let scales = scale_map(&told.analysis.scales);
    if !scales.scales.is_empty() {
        let title = "What each scale resolves".into();
        figures.push(Figure::of_run("scales", title, Content::Scales(scales)));
    }
    figures.extend(outcome::figures(found));
    figures.extend(outcome::trainings(found));
    let graph = task_graph(&graph, &records, finished);
    if graph.tasks.len() > 1 && graph.tasks.len() <= MOST_DRAWN {
        let title = "What needed what".into();
        figures.push(Figure::of_run("tasks", title, Content::Tasks(graph)));
    }
    let mut tables: Vec<_> = run.comparisons.iter().map(compare::table).collect();
    tables.extend(outcome::tables(found));
    Report {
        title: args.file.file_stem().map_or("run".into(), |s| s.to_string_lossy().into_owned()),
        doc: first_words(&source.text),
        source: source.text.to_string(),
        run,
        figures,
        tables,
    }
}

/// The `///` lines that the file begins with.
fn first_words(text: &str) -> String {
    let lines = text.lines().take_while(|l| l.trim_start().starts_with("///"));
    lines.map(|l| l.trim_start().trim_start_matches('/').trim()).collect::<Vec<_>>().join(" ")
}

/// The records of each task of the graph.
struct Records(HashMap<NodeIndex, Vec<usize>>);

impl Records {
    fn new(graph: &Graph, tasks: &[TaskRecord]) -> Records {
        let mut all: HashMap<NodeIndex, Vec<usize>> = HashMap::new();
        for (i, t) in tasks.iter().enumerate() {
            if let Some(node) = graph::at(graph, t.span) {
                all.entry(node).or_default().push(i);
            }
        }
        Records(all)
    }

    fn of(&self, node: NodeIndex) -> &[usize] {
        self.0.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Records whose results the i-th takes.
    fn needs(&self, graph: &Graph, i: usize, span: Span) -> Vec<usize> {
        let Some(node) = graph::at(graph, span) else { return vec![] };
        let before = graph.neighbors_directed(node, petgraph::Direction::Incoming);
        let mut out: Vec<usize> = before.flat_map(|n| self.of(n)).copied().filter(|k| *k != i).collect();
        out.sort_unstable();
        out
    }
}

/// Tasks of the studies that ran, with what became of each and what it cost.
fn task_graph(graph: &Graph, records: &Records, finished: &Finished) -> TaskGraph {
    let tasks = &finished.outcome.tasks;
    let draw = |node: NodeIndex| {
        let of: Vec<&TaskRecord> = records.of(node).iter().map(|&i| &tasks[i]).collect();
        let state = match () {
            () if of.is_empty() => TaskState::Waiting,
            () if of.iter().any(|t| !t.done) => TaskState::Failed,
            () if of.iter().any(|t| t.cached) && of.iter().all(|t| t.cached || t.outputs.is_empty()) => {
                TaskState::Cached
            }
            () => TaskState::Ran,
        };
        let seconds: f64 = records.of(node).iter().map(|&i| own_seconds(tasks, i)).sum();
        let cost: f64 = of.iter().map(|t| t.cost).sum();
        let note = match state {
            TaskState::Cached => format!("took {}", duration(cost)),
            _ if seconds >= 1e-3 => duration(seconds),
            _ => String::new(),
        };
        let task = &graph[node];
        // An output computes its arguments one by one; any other task that has several records stands in a loop.
        let looped = of.len() > 1 && task.kind != Kind::Output;
        let rounds = if looped { format!("{} × ", of.len()) } else { String::new() };
        let name = match task.kind {
            Kind::Check | Kind::Output => task.label.clone(),
            kind => format!("{} {}", kind.name(), task.label),
        };
        let name = if task.kind == Kind::Check { format!("check {name}") } else { name };
        TaskBox { label: shortened(&(rounds + &name)), note, state }
    };
    let ends = |e: petgraph::graph::EdgeIndex| graph.edge_endpoints(e).map(|(a, b)| (a.index(), b.index()));
    TaskGraph {
        tasks: graph.node_indices().map(draw).collect(),
        edges: graph.edge_indices().filter_map(ends).collect(),
    }
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= 34 { label.into() } else { label.chars().take(33).chain(['…']).collect() }
}

/// Scales with what is solved on each, and the closures between them.
fn scale_map(found: &sema::scales::ScaleMap) -> ScaleMap {
    let mut map = ScaleMap::default();
    let mut place = vec![None; found.scales.len()];
    for (i, s) in found.scales.iter().enumerate() {
        let Some(length) = s.length.filter(|r| r.0 > 0.0) else { continue };
        place[i] = Some(map.scales.len());
        let mut uses: Vec<String> = s.uses.iter().map(|u| format!("{} on {}", u.system, u.domain)).collect();
        uses.dedup();
        map.scales.push(ScaleBox { name: s.name.clone(), length, time: s.time, note: uses.join(", ") });
    }
    for l in &found.links {
        let at = |i: Option<usize>| i.and_then(|i| place[i]);
        if let (Some(from), Some(to)) = (at(l.fine), at(l.coarse)) {
            let note = format!("separation {}", ticks::number(l.separation));
            let known =
                map.closures.iter().any(|a| a.closure == l.closure && (a.from, a.to, &a.note) == (from, to, &note));
            if !known && from != to {
                map.closures.push(ScaleArrow { closure: l.closure.clone(), from, to, note, warn: l.thin });
            }
        }
    }
    map
}
