//! Lets and parameters of the program that nothing reads.

use super::walk;
use crate::base::Diagnostic;
use crate::sema::hir::{
    Block, BlockStmt, Def, DefId, DefKind, Expr, ExprKind, LocalId, Program, StudyStmt, StudyStmtKind,
};
use std::collections::HashSet;

pub fn check(program: &Program, out: &mut Vec<Diagnostic>) {
    let mut locals: HashSet<LocalId> = HashSet::new();
    let mut defs: HashSet<DefId> = HashSet::new();
    for def in &program.defs {
        walk::def(def, &mut |e| match &e.kind {
            ExprKind::Local(l) => {
                locals.insert(*l);
            }
            ExprKind::Def(d) => {
                defs.insert(*d);
            }
            _ => {}
        });
    }
    for (id, def) in program.root_defs() {
        // The seed is read by every draw.
        if matches!(def.kind, DefKind::Param { .. }) && def.name != "seed" && !defs.contains(&id) {
            out.push(
                Diagnostic::warning("names.unused", def.span, format!("nothing uses parameter `{}`", def.name))
                    .help("take it away, or use it"),
            );
        }
        binders(def, &mut |l| {
            let local = program.local(l);
            if !locals.contains(&l) && !local.name.starts_with('_') {
                out.push(
                    Diagnostic::warning("names.unused", local.span, format!("nothing uses `{}`", local.name))
                        .help("take it away; a name that starts with `_` may stay unused"),
                );
            }
        });
    }
}

/// Lets whose value only their own block or study can see.
fn binders(def: &Def, f: &mut dyn FnMut(LocalId)) {
    fn study(stmts: &[StudyStmt], f: &mut dyn FnMut(LocalId)) {
        for s in stmts {
            match &s.kind {
                StudyStmtKind::Let { local, .. } => f(*local),
                StudyStmtKind::For { body, .. } => study(body, f),
                _ => {}
            }
        }
    }
    fn block(b: &Block, f: &mut dyn FnMut(LocalId)) {
        for s in &b.stmts {
            if let BlockStmt::Let { local, .. } = s {
                f(*local);
            }
        }
    }
    match &def.kind {
        DefKind::Study { stmts, .. } => study(stmts, f),
        DefKind::Fn(l) | DefKind::Net { lambda: l, .. } => block(&l.body, f),
        _ => {}
    }
    let mut lambdas: Vec<&Block> = vec![];
    walk::def(def, &mut |e: &Expr| {
        if let ExprKind::Lambda(l) = &e.kind {
            lambdas.push(&l.body);
        }
    });
    lambdas.into_iter().for_each(|b| block(b, f));
}
