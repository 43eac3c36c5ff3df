//! The report of a run, out of the program and what the run found.

use super::args;
use crate::base::Fingerprint;
use crate::exec::run::Finished;
use crate::flow;
use crate::report::figure::{Content, Figure, ScaleBox, ScaleMap, TaskBox, TaskGraph, TaskState};
use crate::report::html::duration;
use crate::report::manifest::{self, Run, Verdict};
use crate::report::{Report, outcome};
use crate::sema::hir::{DefKind, Expr, ExprKind, Op, Program};
use indexmap::IndexMap;

/// A larger graph is no picture any more; its tasks are still in the table of costs.
const MOST_DRAWN: usize = 60;

/// What is known besides the results.
pub struct Told<'a> {
    pub args: &'a args::Run,
    pub program: &'a Program,
    /// ISO 8601.
    pub started: String,
    pub seconds: f64,
    pub threads: usize,
}

/// `written` are the files of studies with their hashes.
pub fn report(told: &Told, finished: &Finished, written: IndexMap<String, String>) -> Report {
    let Told { args, program, .. } = told;
    let source = program.sources.get(program.modules[program.root.index()].file);
    let found = &finished.outcome;
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
        tasks: outcome::tasks(found),
    };
    let mut figures = vec![];
    let scales = scale_map(program);
    if !scales.scales.is_empty() {
        let title = "What each scale resolves".into();
        figures.push(Figure { id: "scales".into(), title, caption: String::new(), content: Content::Scales(scales) });
    }
    figures.extend(outcome::figures(found));
    let graph = task_graph(program, args, finished);
    if graph.tasks.len() > 1 && graph.tasks.len() <= MOST_DRAWN {
        let title = "What needed what".into();
        figures.push(Figure { id: "tasks".into(), title, caption: String::new(), content: Content::Tasks(graph) });
    }
    Report {
        title: args.file.file_stem().map_or("run".into(), |s| s.to_string_lossy().into_owned()),
        doc: first_words(&source.text),
        source: source.text.to_string(),
        run,
        figures,
        tables: outcome::tables(found),
    }
}

/// The `///` lines that the file begins with.
fn first_words(text: &str) -> String {
    let lines = text.lines().take_while(|l| l.trim_start().starts_with("///"));
    lines.map(|l| l.trim_start().trim_start_matches('/').trim()).collect::<Vec<_>>().join(" ")
}

/// Tasks of the studies that ran, with what they cost where the run has a record of that name.
fn task_graph(program: &Program, args: &args::Run, finished: &Finished) -> TaskGraph {
    let graph = flow::graph::graph(program, &crate::exec::run::studies(program, &args.studies));
    let records = &finished.outcome.tasks;
    let tasks = graph.node_weights().map(|t| {
        let kind = t.kind.name();
        let record = records.iter().find(|r| r.label == t.label || r.label == format!("{kind} {}", t.label));
        let state = match record {
            Some(r) if r.cached => TaskState::Cached,
            None if finished.failure.is_some() => TaskState::Waiting,
            _ => TaskState::Ran,
        };
        let note = record.filter(|r| r.seconds >= 1e-3).map_or(String::new(), |r| duration(r.seconds));
        TaskBox { label: shortened(&format!("{kind} {}", t.label)), note, state }
    });
    let ends = |e: petgraph::graph::EdgeIndex| graph.edge_endpoints(e).map(|(a, b)| (a.index(), b.index()));
    TaskGraph { tasks: tasks.collect(), edges: graph.edge_indices().filter_map(ends).collect() }
}

fn shortened(label: &str) -> String {
    let label = label.strip_prefix("output ").unwrap_or(label);
    if label.chars().count() <= 34 { label.into() } else { label.chars().take(33).chain(['…']).collect() }
}

fn scale_map(program: &Program) -> ScaleMap {
    let mut map = ScaleMap::default();
    for (_, def) in program.root_defs() {
        let DefKind::Scale { ranges } = &def.kind else { continue };
        let range = |name: &str| ranges.iter().find(|r| r.0 == name).and_then(|r| ends(&r.1));
        if let Some(length) = range("length").filter(|r| r.0 > 0.0) {
            map.scales.push(ScaleBox { name: def.name.clone(), length, time: range("time"), note: String::new() });
        }
    }
    map
}

/// The ends of a range of literals, in SI.
fn ends(e: &Expr) -> Option<(f64, f64)> {
    match &e.kind {
        ExprKind::Op { op: Op::Range, args } => Some((number(&args[0])?, number(&args[1])?)),
        ExprKind::Op { op: Op::Affine(unit), args } => ends(&args[0]).map(|(a, b)| (unit.to_si(a), unit.to_si(b))),
        _ => None,
    }
}

fn number(e: &Expr) -> Option<f64> {
    match &e.kind {
        ExprKind::Number { value, .. } => Some(*value),
        ExprKind::Op { op: Op::Neg, args } => Some(-number(&args[0])?),
        ExprKind::Op { op: Op::Affine(unit), args } => Some(unit.to_si(number(&args[0])?)),
        ExprKind::Op { op: Op::Mul, args } => Some(number(&args[0])? * number(&args[1])?),
        ExprKind::Op { op: Op::Divide, args } => Some(number(&args[0])? / number(&args[1])?),
        _ => None,
    }
}
