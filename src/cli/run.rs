//! `mslc run`, and what it shares with `mslc plan`.

use super::folder::Folder;
use super::{Outcome, Output, args, front, story};
use crate::base::{Diagnostic, Span};
use crate::exec::engine::Engine;
use crate::exec::fs::{self, Disk};
use crate::exec::progress::{self, Lines, Progress};
use crate::exec::{interrupt, run as exec_run};
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
    let Some(Prepared { analysis, folder }) = prepare(args, &mut out) else { return Outcome::ProgramWrong };
    let program = &analysis.program;
    if let Err(fault) = fs::writable(&Disk, &folder) {
        let d = Diagnostic::error("run.disk", Span::default(), fault.to_string()).help("--out chooses another folder");
        out.diagnostic(&d, &program.sources);
        return Outcome::RunFailed;
    }
    interrupt::install();
    let meter: Box<dyn Progress> = match (args.json, args.quiet) {
        (true, false) => Box::new(Lines::new(std::io::stdout())),
        (_, quiet) => progress::on_terminal(quiet || args.json),
    };
    let mut files = Folder::new(folder.clone());
    let finished = exec_run::run(program, options(args, &folder, meter), &mut files);
    out.diagnostics(&finished.outcome.warnings, &program.sources);
    tell(&finished.outcome, &out);
    if studies(program).is_empty() {
        out.say("nothing was computed: the program has no `study`");
    }
    if let Some(d) = &finished.failure {
        out.diagnostic(d, &program.sources);
    }
    let seconds = clock.elapsed().as_secs_f64();
    let told = story::Told { args, analysis: &analysis, started, seconds, threads: threads(args) };
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

/// A sound program and where its results go.
pub struct Prepared {
    pub analysis: front::Analysis,
    pub folder: PathBuf,
}

/// Reads and checks the program, and tells what there is to say. None where it is not fit to run.
pub fn prepare(args: &args::Run, out: &mut Output) -> Option<Prepared> {
    let mut analysis = front::analyse(&args.file, &args.set, args.seed);
    if analysis.is_sound() {
        unknown_studies(args, &mut analysis);
    }
    out.diagnostics(&analysis.diagnostics, &analysis.program.sources);
    analysis.is_sound().then(|| Prepared { analysis, folder: results(args) })
}

/// The options of the command as those of the run.
pub fn options(args: &args::Run, folder: &Path, progress: Box<dyn Progress>) -> exec_run::Options {
    exec_run::Options {
        engine: Engine { threads: threads(args), candle: args.backend == args::Backend::Candle },
        seed: args.seed,
        studies: args.studies.clone(),
        out: folder.to_path_buf(),
        folder: args.file.parent().map_or_else(PathBuf::new, Path::to_path_buf),
        progress,
        checkpoint_every: args.checkpoint_every,
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
        let unit = if c.unit.is_empty() { String::new() } else { format!(" {}", c.unit) };
        let value = if c.relation == "holds" { String::new() } else { ticks::number(c.value) + &unit };
        let round = if c.round.is_empty() { String::new() } else { format!("  ({})", c.round) };
        out.say(&format!("{mark} {:widest$}  {value}{round}", c.claim));
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

fn threads(args: &args::Run) -> usize {
    args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}
