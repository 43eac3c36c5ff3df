//! `mslc run` and `mslc plan`.

use super::folder::Folder;
use super::{Outcome, Output, args, front, story};
use crate::base::{Diagnostic, Span};
use crate::exec::engine::Engine;
use crate::exec::fs::Disk;
use crate::exec::progress::{self, Lines, Progress};
use crate::exec::{interrupt, run as exec_run};
use crate::flow;
use crate::report::{self, manifest::Verdict, ticks};
use crate::sema::hir::{DefKind, Program};
use crate::sema::suggest;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn run(args: &args::Run) -> Outcome {
    let clock = Instant::now();
    let started = report::manifest::now();
    let mut out = Output::new(args.json, args.quiet);
    let mut analysis = front::analyse(&args.file, &args.set, args.seed);
    if analysis.is_sound() {
        unknown_studies(args, &mut analysis);
    }
    let program = &analysis.program;
    out.diagnostics(&analysis.diagnostics, &program.sources);
    if !analysis.is_sound() {
        return Outcome::ProgramWrong;
    }
    interrupt::install();
    let home = args.file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let folder = results(args);
    let threads = args.threads.map_or_else(cores, usize::from);
    let meter: Box<dyn Progress> = match (args.json, args.quiet) {
        (true, false) => Box::new(Lines::new(std::io::stdout())),
        (_, quiet) => progress::on_terminal(quiet || args.json),
    };
    let mut files = Folder::new(folder.clone());
    let options = exec_run::Options {
        engine: Engine { threads, candle: args.backend == args::Backend::Candle },
        seed: args.seed,
        studies: args.studies.clone(),
        out: folder.clone(),
        folder: home,
        progress: meter,
    };
    let finished = exec_run::run(program, options, &mut files);
    out.diagnostics(&finished.outcome.warnings, &program.sources);
    tell(&finished.outcome, &out);
    if let Some(d) = &finished.failure {
        out.diagnostic(d, &program.sources);
    }
    let told = story::Told { args, program, started, seconds: clock.elapsed().as_secs_f64(), threads };
    let mut report = story::report(&told, &finished, files.written);
    let written = report::write(&mut report, &folder, &Disk);
    let outcome = match report.run.verdict {
        Verdict::Holds => Outcome::Good,
        Verdict::CheckFailed => Outcome::CheckFailed,
        Verdict::RunFailed => Outcome::RunFailed,
        Verdict::Interrupted => Outcome::Interrupted,
    };
    match written {
        Ok(_) => {
            let page = folder.join("report.html");
            out.say(&format!("\n{} in {}", page.display(), report::html::duration(report.run.seconds)));
            out.event(&json!({
                "kind": "finished", "verdict": report.run.verdict, "report": page, "seconds": report.run.seconds,
            }));
            outcome
        }
        Err(fault) => {
            out.diagnostic(&Diagnostic::error("run.disk", Span::default(), fault.to_string()), &program.sources);
            Outcome::RunFailed
        }
    }
}

/// Reported rows and checks, for people and for scripts.
fn tell(found: &crate::exec::outcome::Outcome, out: &Output) {
    for row in &found.rows {
        out.say(&format!("  {}", report::outcome::in_words(row)));
        out.event(&json!({ "kind": "report", "study": row.study, "entries": row.entries }));
    }
    let widest = found.checks.iter().map(|c| c.claim.chars().count()).max().unwrap_or(0).min(72);
    for c in &found.checks {
        let mark = if c.held { "✓" } else { "✗" };
        let value = if c.relation == "holds" { String::new() } else { ticks::number(c.value) };
        out.say(&format!("{mark} {:widest$}  {value}", c.claim));
    }
    for c in report::outcome::checks(found) {
        let mut event = json!(c);
        event["kind"] = json!("check");
        out.event(&event);
    }
}

/// Names on the command line that are no studies of the program.
fn unknown_studies(args: &args::Run, analysis: &mut front::Analysis) {
    let known = studies(&analysis.program);
    for name in &args.studies {
        if !known.contains(name) {
            let file = analysis.program.sources.add("command line", name.as_str());
            let mut d = Diagnostic::error(
                "studies.unknown",
                Span::new(file, 0, name.len()),
                format!("there is no study `{name}`"),
            );
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            d.help = suggest::help(name, &known).or_else(|| Some("this program has no studies".into()));
            analysis.diagnostics.push(d);
        }
    }
}

fn studies(program: &Program) -> Vec<String> {
    program.root_defs().filter(|(_, d)| matches!(d.kind, DefKind::Study { .. })).map(|(_, d)| d.name.clone()).collect()
}

/// `--out`, or `.mslc/NAME` beside the program.
fn results(args: &args::Run) -> PathBuf {
    let stem = args.file.file_stem().map_or("run".into(), |s| s.to_string_lossy().into_owned());
    args.out.clone().unwrap_or_else(|| args.file.with_file_name(".mslc").join(stem))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The tasks in an order in which they can run, each with the time it took in the last run of this folder.
pub fn plan(args: &args::Run) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    let mut analysis = front::analyse(&args.file, &args.set, args.seed);
    if analysis.is_sound() {
        unknown_studies(args, &mut analysis);
    }
    let program = &analysis.program;
    out.diagnostics(&analysis.diagnostics, &program.sources);
    if !analysis.is_sound() {
        return Outcome::ProgramWrong;
    }
    let graph = flow::graph::graph(program, &exec_run::studies(program, &args.studies));
    // A graph of a program without recursion has no cycles; the order of its making serves where it had.
    let order = petgraph::algo::toposort(&graph, None).unwrap_or_else(|_| graph.node_indices().collect());
    let last =
        std::fs::read_to_string(results(args).join("run.json")).ok().and_then(|t| report::Run::from_json(&t).ok());
    let took = |label: &str, kind: &str| {
        let tasks = &last.as_ref()?.tasks;
        tasks.iter().find(|t| t.label == label || t.label == format!("{kind} {label}")).map(|t| t.seconds)
    };
    for node in order {
        let (kind, label) = (graph[node].kind.name(), &graph[node].label);
        let seconds = took(label, kind);
        let cost = seconds.map_or(String::new(), |s| format!("last {}", report::html::duration(s)));
        if !args.json {
            super::output::print(&format!("{kind:9} {label:48} {cost}\n").replace(" \n", "\n"));
        }
        out.event(&json!({ "kind": "task", "task": kind, "label": label, "last_seconds": seconds }));
    }
    Outcome::Good
}
