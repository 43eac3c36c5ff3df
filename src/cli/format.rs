//! `mslc fmt`: programs in the one layout, in place or from standard input to standard output.

use super::{Outcome, Output, args, input};
use crate::base::{Diagnostic, Sources, Span};

pub fn format(args: &args::Fmt) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    for path in &args.files {
        let mut sources = Sources::default();
        let d = match input::read(path, &mut sources) {
            Ok(file) => Diagnostic::error("input.unsupported", Span::new(file, 0, 0), "not supported yet: formatting"),
            Err(d) => d,
        };
        out.diagnostic(&d, &sources);
    }
    Outcome::ProgramWrong
}
