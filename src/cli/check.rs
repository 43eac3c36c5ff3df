//! `mslc check`: every error and warning of a program, without running it.

use super::{Outcome, Output, args, front};

pub fn check(args: &args::Check) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    for file in &args.files {
        let a = front::analyse(file, &args.set, None);
        out.diagnostics(&a.diagnostics, &a.program.sources);
    }
    out.say(&out.counts());
    if out.errors > 0 { Outcome::ProgramWrong } else { Outcome::Good }
}
