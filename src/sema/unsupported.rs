//! What this version reads and checks but does not run: the one table, which `docs/language.md` lists.

use super::check::walk;
use super::hir::{DefId, DefKind, ExprKind, Op, Program, SystemStmtKind, TypeExprKind};
use super::stdlib;
use crate::base::{Diagnostic, Severity, Span};
use std::collections::HashSet;

/// Names of the standard library without an implementation.
pub const FUNCTIONS: &[&str] = &[
    "test",
    "windows",
    "cnn",
    "fno",
    "unet",
    "freeze",
    "reptile",
    "alternate",
    "acquire",
    "variance",
    "ntk",
    "through",
    "mma",
    "helmholtz",
    "autodiff",
];

/// Forms of the language without a lowering, with their codes.
pub const FORMS: &[(&str, &str)] = &[
    ("unsupported.weak", "`weak` equations"),
    ("unsupported.time", "derivatives in space and time at once, `∂xt(u)`"),
    ("unsupported.index", "index notation `σ[i, j]*ε[i, j]`"),
    ("unsupported.state", "`state` and `next`"),
];

/// Errors for what the given studies (or any definitions) would need and cannot have, each at its first use.
pub fn needed_by(program: &Program, roots: &[DefId]) -> Vec<Diagnostic> {
    let mut search = Search { program, seen: HashSet::new(), said: HashSet::new(), found: vec![] };
    roots.iter().for_each(|d| search.def(*d));
    search.found
}

/// The same for all studies of the program, as warnings: for `check`.
pub fn in_program(program: &Program) -> Vec<Diagnostic> {
    let studies: Vec<DefId> =
        program.root_defs().filter(|(_, d)| matches!(d.kind, DefKind::Study { .. })).map(|(id, _)| id).collect();
    let mut found = needed_by(program, &studies);
    found.iter_mut().for_each(|d| d.severity = Severity::Warning);
    found
}

struct Search<'p> {
    program: &'p Program,
    seen: HashSet<DefId>,
    said: HashSet<String>,
    found: Vec<Diagnostic>,
}

impl<'p> Search<'p> {
    fn def(&mut self, id: DefId) {
        if !self.seen.insert(id) {
            return;
        }
        let program = self.program;
        let def = program.def(id);
        if let DefKind::System(system) = &def.kind {
            for s in &system.stmts {
                match &s.kind {
                    SystemStmtKind::Weak { .. } => self.say("unsupported.weak", s.span, "weak equations are"),
                    SystemStmtKind::Include { system, .. } => self.def(*system),
                    _ => {}
                }
            }
        }
        if let DefKind::Closure { params, .. } = &def.kind
            && let Some(p) = params.iter().find(|p| p.state)
        {
            self.say("unsupported.state", p.span, "closures with state are");
        }
        let mut next = vec![];
        if let DefKind::Let { ty: Some(ty), .. } = &def.kind
            && let TypeExprKind::Closure(closure) = ty.kind
        {
            next.push(closure);
        }
        let mut said = vec![];
        walk::def(def, &mut |e| match &e.kind {
            ExprKind::Def(d) => {
                let target = program.def(*d);
                let module = program.modules[target.module.index()].name.as_str();
                if module == stdlib::LETTERS {
                    said.push(("unsupported.index", e.span, "index notation is".to_string()));
                } else if module.starts_with("std.") && FUNCTIONS.contains(&target.name.as_str()) {
                    said.push(("unsupported.library", e.span, format!("`{}` is", target.name)));
                }
                next.push(*d);
            }
            ExprKind::Op { op: Op::Partial(axes), .. } if axes.contains(&3) && axes.iter().any(|a| *a < 3) => {
                said.push(("unsupported.time", e.span, "derivatives in space and time at once are".into()));
            }
            _ => {}
        });
        said.into_iter().for_each(|(code, span, what)| self.say(code, span, &what));
        next.into_iter().for_each(|d| self.def(d));
    }

    fn say(&mut self, code: &'static str, span: Span, what: &str) {
        if self.said.insert(format!("{code} {what}")) {
            let d = Diagnostic::error(code, span, format!("{what} not supported yet"));
            self.found.push(d.here("this version checks it and does not run it"));
        }
    }
}
