//! `mslc check`: every error and warning of a program, without running it.

use super::{Outcome, Output, args, front, input};
use crate::base::Sources;
use std::path::Path;

pub fn check(args: &args::Check) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    for file in &args.files {
        one(file, args, &mut out);
    }
    out.say(&out.counts());
    if out.errors > 0 { Outcome::ProgramWrong } else { Outcome::Good }
}

fn one(path: &Path, args: &args::Check, out: &mut Output) {
    let mut sources = Sources::default();
    match input::read(path, &mut sources) {
        Ok(file) => {
            let (_, diagnostics) = front::analyse(&mut sources, file, &args.set);
            out.diagnostics(&diagnostics, &sources);
        }
        Err(d) => out.diagnostic(&d, &sources),
    }
}
