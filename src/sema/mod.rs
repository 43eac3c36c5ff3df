//! Meaning before the run: names, types, dimensions, well-posedness, scales.

pub mod check;
pub mod fingerprint;
pub mod hir;
mod infer;
mod resolve;
pub mod stdlib;
pub mod suggest;
pub mod types;
pub mod unsupported;

use crate::base::{Diagnostic, FileId, Sources};

/// What the command line adds to a program.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--set name=value`: parameter and the text of its value.
    pub overrides: Vec<(String, String)>,
    /// Check the standard library's own bodies too (its tests do).
    pub library: bool,
}

/// Everything that can be known of a program without running it. `root` is the user's main file; the standard library is added
/// to the sources. The program is fit to run when no diagnostic is an error.
pub fn analyse(sources: Sources, root: FileId, options: &Options) -> (hir::Program, Vec<Diagnostic>) {
    let (mut program, mut diagnostics) = resolve::resolve(sources, root, &options.overrides);
    let found = infer::infer(&program, options.library);
    diagnostics.extend(found.diagnostics.iter().cloned());
    program.types.clone_from(&found.types);
    diagnostics.extend(check::check(&program, &found).diagnostics);
    diagnostics.extend(unsupported::in_program(&program));
    diagnostics.sort_by_key(|d| (d.span().file != root, d.span().file, d.span().start));
    (program, diagnostics)
}
