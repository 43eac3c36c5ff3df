//! `mslc run` and `mslc plan`.

use super::{Outcome, Output, args, front};
use crate::base::{Diagnostic, Span};
use crate::exec::engine::Engine;
use crate::exec::{interrupt, progress, run as exec_run};
use std::path::{Path, PathBuf};

pub fn run(args: &args::Run) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    let analysis = front::analyse(&args.file, &args.set, args.seed);
    let program = &analysis.program;
    out.diagnostics(&analysis.diagnostics, &program.sources);
    if !analysis.is_sound() {
        return Outcome::ProgramWrong;
    }
    interrupt::install();
    let folder = args.file.parent().map(Path::to_path_buf).unwrap_or_else(|| PathBuf::from("."));
    let stem = args.file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or("run".into());
    let options = exec_run::Options {
        engine: Engine { threads: args.threads.map_or(0, usize::from), candle: args.backend == args::Backend::Candle },
        seed: args.seed,
        studies: args.studies.clone(),
        out: args.out.clone().unwrap_or_else(|| folder.join(".mslc").join(stem)),
        folder,
        progress: progress::on_terminal(args.quiet || args.json),
    };
    let finished = exec_run::run(program, options);
    out.diagnostics(&finished.outcome.warnings, &program.sources);
    for row in &finished.outcome.rows {
        out.say(&format!("{}: {:?}", row.study, row.entries));
    }
    for t in &finished.outcome.tasks {
        if t.seconds > 0.05 {
            out.say(&format!("  {:>8.3} s {} {}", t.seconds, if t.cached { "cached" } else { "" }, t.label));
        }
    }
    for c in &finished.outcome.checks {
        out.say(&format!(
            "{} {}   ({:e} {} {:e})",
            if c.held { "✓" } else { "✗" },
            c.claim,
            c.value,
            c.relation,
            c.bound
        ));
    }
    if let Some(d) = finished.failure {
        out.diagnostic(&d, &program.sources);
        return Outcome::RunFailed;
    }
    if finished.outcome.checks.iter().all(|c| c.held) { Outcome::Good } else { Outcome::CheckFailed }
}

pub fn plan(args: &args::Run) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    let mut analysis = front::analyse(&args.file, &args.set, args.seed);
    if analysis.is_sound() {
        let d = Diagnostic::error("input.unsupported", Span::default(), "not supported yet: planning a run");
        analysis.diagnostics.push(d);
    }
    out.diagnostics(&analysis.diagnostics, &analysis.program.sources);
    Outcome::ProgramWrong
}
