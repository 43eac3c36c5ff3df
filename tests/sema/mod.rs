//! Names, types, dimensions, well-posedness, scales.

mod codes;
mod fingerprint;
mod fuzz;
mod programs;
mod scales;

use mslc::base::{Diagnostic, Sources};
use mslc::sema::hir::Program;
use mslc::sema::{Options, analyse};

/// Analyses a text as the main file.
pub fn analyse_text(text: &str) -> (Program, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let root = sources.add("main.msl", text);
    analyse(sources, root, &Options::default())
}

/// One line a message: `code line: message | help`.
pub fn messages(program: &Program, diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for d in diagnostics {
        let file = program.sources.get(d.span().file);
        let (line, column) = file.line_column(d.span().start);
        out += &format!("{} {}:{line}:{column}: {}", d.code, file.name, d.message);
        if let Some(help) = &d.help {
            out += &format!(" | {help}");
        }
        for l in &d.labels[1..] {
            let (line, _) = program.sources.get(l.span.file).line_column(l.span.start);
            out += &format!(" ({}:{line} {})", program.sources.get(l.span.file).name, l.text);
        }
        out += "\n";
    }
    out
}
