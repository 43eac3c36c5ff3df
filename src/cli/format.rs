//! `mslc fmt`: programs in the one layout, in place or from standard input to standard output.

use super::output::print;
use super::{Outcome, Output, args, input};
use crate::base::{Diagnostic, Sources, Span};
use crate::exec::fs::{Disk, write_atomically};
use crate::syntax;
use std::path::Path;

/// What formatting did to a file.
enum Done {
    Same,
    Changed,
    Wrong,
    /// The disk refused.
    Failed,
}

pub fn format(args: &args::Fmt) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    let mut worst = Outcome::Good;
    for path in &args.files {
        let outcome = match one(path, args, &mut out) {
            Done::Same => Outcome::Good,
            Done::Changed if args.check => Outcome::CheckFailed,
            Done::Changed => Outcome::Good,
            Done::Wrong => Outcome::ProgramWrong,
            Done::Failed => Outcome::RunFailed,
        };
        if outcome.code() > worst.code() {
            worst = outcome;
        }
    }
    worst
}

fn one(path: &Path, args: &args::Fmt, out: &mut Output) -> Done {
    let mut sources = Sources::default();
    let file = match input::read(path, &mut sources) {
        Ok(file) => file,
        Err(d) => {
            out.diagnostic(&d, &sources);
            return Done::Wrong;
        }
    };
    let text = sources.get(file).text.clone();
    let formatted = match syntax::format(file, &text) {
        Ok(formatted) => formatted,
        Err(diagnostics) => {
            out.diagnostics(&diagnostics, &sources);
            return Done::Wrong;
        }
    };
    let changed = *formatted != *text;
    let name = &sources.get(file).name;
    if args.check {
        if changed {
            out.say(&format!("would format {name}"));
            out.event(&serde_json::json!({ "kind": "unformatted", "file": name }));
        }
    } else if path == Path::new("-") {
        print(&formatted);
    } else if changed {
        if let Err(fault) = write_atomically(&Disk, path, formatted.as_bytes()) {
            let d = Diagnostic::error("input.unwritable", Span::new(file, 0, 0), fault.to_string());
            out.diagnostic(&d, &sources);
            return Done::Failed;
        }
        out.say(&format!("formatted {name}"));
    }
    if changed { Done::Changed } else { Done::Same }
}
