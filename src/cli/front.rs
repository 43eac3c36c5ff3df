//! From a program on the disk and the options of the command line to what is known of it.

use super::input;
use crate::base::{Diagnostic, FileId, Sources, Span};
use crate::sema::{self, check::NaturalBoundary, hir::Program, scales::ScaleMap};
use crate::syntax::{self, ast::ItemKind};
use std::path::Path;

/// A program and everything there is to say about it. Its sources are there even where the program could not be read.
#[derive(Default)]
pub struct Analysis {
    pub program: Program,
    pub diagnostics: Vec<Diagnostic>,
    pub scales: ScaleMap,
    /// Boundaries without a condition.
    pub natural: Vec<NaturalBoundary>,
}

impl Analysis {
    /// Of a program that could not be read.
    fn unread(sources: Sources, diagnostics: Vec<Diagnostic>) -> Analysis {
        Analysis { program: Program { sources, ..Program::default() }, diagnostics, ..Analysis::default() }
    }

    pub fn is_sound(&self) -> bool {
        !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads a program with the modules it uses, overrides parameters by `set` (`name=value`), resolves and checks.
pub fn analyse(path: &Path, set: &[String], seed: Option<u64>) -> Analysis {
    let mut sources = Sources::default();
    let mut diagnostics = vec![];
    let root = match input::read(path, &mut sources) {
        Ok(root) => root,
        Err(d) => return Analysis::unread(sources, vec![d]),
    };
    let mut overrides = settings(set, &mut sources, &mut diagnostics);
    // The option itself stands in the sources now, which the resolver would take for a module.
    if !diagnostics.is_empty() {
        return Analysis::unread(sources, diagnostics);
    }
    if let Some(seed) = seed.filter(|_| declares_seed(root, &sources)) {
        overrides.push(("seed".into(), seed.to_string()));
    }
    modules(path, root, &mut sources, &mut diagnostics);
    let found = sema::analyse_all(sources, root, &sema::Options { overrides, ..sema::Options::default() });
    diagnostics.extend(found.diagnostics);
    Analysis { program: found.program, diagnostics, scales: found.scales, natural: found.natural }
}

/// `name=value` pairs; what has no such form is reported.
fn settings(set: &[String], sources: &mut Sources, diagnostics: &mut Vec<Diagnostic>) -> Vec<(String, String)> {
    let mut out = vec![];
    for text in set {
        match text.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => out.push((name.into(), value.into())),
            _ => {
                let file = sources.add("command line", format!("--set {text}"));
                let d = Diagnostic::error("set.form", Span::new(file, 6, 6 + text.len()), "this is not NAME=VALUE")
                    .help("write --set n=64 or, with a unit and quoted for the shell, --set 'h=1[mm]'");
                diagnostics.push(d);
            }
        }
    }
    out
}

fn declares_seed(root: FileId, sources: &Sources) -> bool {
    let (tree, _) = syntax::parse(root, &sources.get(root).text);
    tree.items.iter().any(|i| matches!(&i.kind, ItemKind::Param { name, .. } if name.name == "seed"))
}

/// Adds the files beside the program that `use` names, and those that they use. What is not there is reported when the name is resolved.
fn modules(path: &Path, root: FileId, sources: &mut Sources, diagnostics: &mut Vec<Diagnostic>) {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut seen: Vec<String> = path.file_stem().map(|s| s.to_string_lossy().into_owned()).into_iter().collect();
    let mut waiting = vec![root];
    while let Some(file) = waiting.pop() {
        let (tree, _) = syntax::parse(file, &sources.get(file).text);
        for item in tree.items {
            let ItemKind::Use { path, .. } = item.kind else { continue };
            let Some(first) = path.segments.first().map(|s| s.name.clone()) else { continue };
            let there = folder.join(format!("{first}.msl"));
            if first == "std" || seen.contains(&first) || !there.is_file() {
                continue;
            }
            seen.push(first);
            match input::read(&there, sources) {
                Ok(file) => waiting.push(file),
                Err(d) => diagnostics.push(d),
            }
        }
    }
}
