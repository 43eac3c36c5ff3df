//! `mslc run` and `mslc plan`.

use super::{Outcome, Output, args, front};
use crate::base::{Diagnostic, FileId, Span};

pub fn run(args: &args::Run) -> Outcome {
    unsupported(args, "not supported yet: running programs")
}

pub fn plan(args: &args::Run) -> Outcome {
    unsupported(args, "not supported yet: planning a run")
}

fn unsupported(args: &args::Run, message: &str) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    let mut a = front::analyse(&args.file, &args.set, args.seed);
    if a.is_sound() {
        a.diagnostics.push(Diagnostic::error("input.unsupported", Span::new(FileId(0), 0, 0), message));
    }
    out.diagnostics(&a.diagnostics, &a.program.sources);
    Outcome::ProgramWrong
}
