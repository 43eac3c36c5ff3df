//! Whether a problem can have one solution: equations against unknowns, conditions on boundaries, gauges, initial values.

mod conditions;
mod flatten;
mod unused;
pub mod walk;

pub use conditions::NaturalBoundary;

use super::hir::{DefId, DefKind, Program};
use super::infer::Found;
use crate::base::Diagnostic;
pub(super) use flatten::Flat;
use std::collections::HashSet;

/// What the checks found, beside messages.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub diagnostics: Vec<Diagnostic>,
    /// Parts of boundaries without a condition, where the flux is zero; `plan` names them.
    pub natural: Vec<NaturalBoundary>,
}

/// Checks every system of the user's files.
pub fn check(program: &Program, found: &Found) -> Checked {
    let mut out = Checked::default();
    let roles = Roles::of(program);
    for (i, def) in program.defs.iter().enumerate() {
        let id = DefId(i as u32);
        let library = program.modules[def.module.index()].name.starts_with("std.");
        let DefKind::System(system) = &def.kind else { continue };
        // What an incomplete system seems to lack may stand where it could not be read.
        if library || system.incomplete {
            continue;
        }
        let flat = Flat::of(program, found, id, system);
        // A system that only others include may leave to them what it lacks.
        let whole = !roles.included.contains(&id) || roles.called.contains(&id);
        conditions::check(program, found, &flat, whole, &mut out);
    }
    unused::check(program, &mut out.diagnostics);
    out
}

/// Which systems are solved, and which stand inside others.
struct Roles {
    included: HashSet<DefId>,
    called: HashSet<DefId>,
}

impl Roles {
    fn of(program: &Program) -> Roles {
        let mut roles = Roles { included: HashSet::new(), called: HashSet::new() };
        for def in &program.defs {
            if let DefKind::System(s) = &def.kind {
                for stmt in &s.stmts {
                    if let super::hir::SystemStmtKind::Include { system, .. } = &stmt.kind {
                        roles.included.insert(*system);
                    }
                }
            }
            walk::def(def, &mut |e| {
                if let super::hir::ExprKind::Call { callee, .. } = &e.kind
                    && let super::hir::ExprKind::Def(d) = callee.kind
                {
                    roles.called.insert(d);
                }
            });
        }
        roles
    }
}
