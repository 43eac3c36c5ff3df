//! `mslc run` and `mslc plan`.

use super::{Outcome, Output, args, input};
use crate::base::{Diagnostic, Sources, Span};

pub fn run(args: &args::Run) -> Outcome {
    unsupported(args, "not supported yet: running programs")
}

pub fn plan(args: &args::Run) -> Outcome {
    unsupported(args, "not supported yet: planning a run")
}

fn unsupported(args: &args::Run, message: &str) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    let mut sources = Sources::default();
    let d = match input::read(&args.file, &mut sources) {
        Ok(file) => Diagnostic::error("input.unsupported", Span::new(file, 0, 0), message),
        Err(d) => d,
    };
    out.diagnostic(&d, &sources);
    Outcome::ProgramWrong
}
