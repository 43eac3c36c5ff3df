//! Meaning before the run: names, types, dimensions, well-posedness, scales.

pub mod check;
pub mod fingerprint;
pub mod hir;
mod infer;
mod resolve;
pub mod scales;
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

/// Everything that can be known of a program without running it.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    pub program: hir::Program,
    /// Sorted by place, the main file first. The program is fit to run when none is an error.
    pub diagnostics: Vec<Diagnostic>,
    /// For the report and `plan`.
    pub scales: scales::ScaleMap,
    /// Boundaries without a condition, for `plan`.
    pub natural: Vec<check::NaturalBoundary>,
}

/// The program and its diagnostics; see [`analyse_all`].
pub fn analyse(sources: Sources, root: FileId, options: &Options) -> (hir::Program, Vec<Diagnostic>) {
    let all = analyse_all(sources, root, options);
    (all.program, all.diagnostics)
}

/// Resolves names, infers types, checks systems, lays out scales. `root` is the user's main file, other files are modules;
/// the standard library is added to the sources.
pub fn analyse_all(sources: Sources, root: FileId, options: &Options) -> Analysis {
    let (mut program, mut diagnostics) = resolve::resolve(sources, root, &options.overrides);
    let found = infer::infer(&program, options.library);
    program.types.clone_from(&found.types);
    let checked = check::check(&program, &found);
    let (scales, thin) = scales::scales(&program, &found);
    diagnostics.extend(found.diagnostics);
    diagnostics.extend(checked.diagnostics);
    diagnostics.extend(thin);
    diagnostics.extend(unsupported::in_program(&program));
    diagnostics.sort_by_key(|d| (d.span().file != root, d.span().file, d.span().start));
    Analysis { program, diagnostics, scales, natural: checked.natural }
}
