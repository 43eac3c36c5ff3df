//! Bodies of systems, datasets, minimizes and studies.

use super::Walk;
use crate::sema::hir::{
    Dataset, Expr, MinimizeStmt, MinimizeStmtKind, StudyStmt, StudyStmtKind, System, SystemStmt, SystemStmtKind,
};

impl Walk<'_, '_> {
    pub(super) fn system(&mut self, system: &System) {
        self.params(&system.params);
        for s in &system.stmts {
            if let SystemStmtKind::Unknown { local, .. } = s.kind {
                self.binder(local);
            }
        }
        self.count(system.stmts.len());
        system.stmts.iter().for_each(|s| self.system_stmt(s));
    }

    pub(super) fn system_stmt(&mut self, s: &SystemStmt) {
        match &s.kind {
            SystemStmtKind::Unknown { name, ty, nominal, .. } => {
                self.tag("unknown");
                self.hash.text(name);
                self.ty(ty);
                self.opt_expr(nominal.as_ref());
            }
            SystemStmtKind::Include { system, args, binds } => {
                self.tag("include");
                let meaning = self.all.def(*system);
                self.hash.part(meaning);
                self.args(args);
                binds.iter().for_each(|(here, _)| self.binder(*here));
            }
            SystemStmtKind::Let { local, ty, value } => {
                self.tag("let");
                let name = self.all.program.local(*local).name.clone();
                self.hash.text(&name);
                self.opt_ty(ty.as_ref());
                self.expr(value);
                self.binder(*local);
            }
            SystemStmtKind::Eq { name, lhs, rhs } => self.equation("eq", name, lhs, rhs),
            SystemStmtKind::Weak { name, lhs, rhs } => self.equation("weak", name, lhs, rhs),
            SystemStmtKind::On { places, lhs, rhs } => {
                self.tag("on");
                self.count(places.len());
                for p in places {
                    self.expr(&p.domain);
                    self.hash.text(&p.part);
                }
                self.expr(lhs);
                self.expr(rhs);
            }
            SystemStmtKind::Init { lhs, rhs } => self.equation("init", "", lhs, rhs),
            SystemStmtKind::Ensure { name, claim } => {
                self.tag("ensure");
                self.hash.text(name);
                self.expr(claim);
            }
        }
    }

    pub(super) fn equation(&mut self, tag: &str, name: &str, lhs: &Expr, rhs: &Expr) {
        self.tag(tag);
        self.hash.text(name);
        self.expr(lhs);
        self.expr(rhs);
    }

    pub(super) fn dataset(&mut self, d: &Dataset) {
        self.params(&d.params);
        self.count(d.rows.len());
        for row in &d.rows {
            self.hash.text(&row.name).integer(u64::from(row.draw));
            self.expr(&row.value);
            self.binder(row.local);
        }
    }

    pub(super) fn minimize_stmt(&mut self, s: &MinimizeStmt) {
        match &s.kind {
            MinimizeStmtKind::Over { local, name, ty, value, bounds } => {
                self.tag("over");
                self.hash.text(name);
                self.opt_ty(ty.as_ref());
                self.expr(value);
                self.opt_expr(bounds.as_ref());
                self.binder(*local);
            }
            MinimizeStmtKind::Let { local, name, ty, value } => {
                self.tag("let");
                self.hash.text(name);
                self.opt_ty(ty.as_ref());
                self.expr(value);
                self.binder(*local);
            }
            MinimizeStmtKind::Loss { local, name, params, value } => {
                self.tag("loss");
                self.hash.text(name);
                self.params(params);
                self.expr(value);
                self.binder(*local);
            }
            MinimizeStmtKind::Subject { name, value } => {
                self.tag("subject");
                self.hash.text(name);
                self.expr(value);
            }
            MinimizeStmtKind::Stage(e) => {
                self.tag("stage");
                self.expr(e);
            }
        }
    }

    pub(super) fn study(&mut self, stmts: &[StudyStmt]) {
        self.count(stmts.len());
        for s in stmts {
            match &s.kind {
                StudyStmtKind::Let { local, ty, value } => {
                    self.tag("let");
                    self.opt_ty(ty.as_ref());
                    self.expr(value);
                    self.binder(*local);
                }
                StudyStmtKind::Dataset { local, dataset } => {
                    self.tag("dataset");
                    self.dataset(dataset);
                    self.binder(*local);
                }
                StudyStmtKind::Check(e) => {
                    self.tag("check");
                    self.expr(e);
                }
                StudyStmtKind::For { var, source, body } => {
                    self.tag("for");
                    self.expr(source);
                    self.binder(*var);
                    self.study(body);
                }
                StudyStmtKind::Call(e) => {
                    self.tag("call");
                    self.expr(e);
                }
            }
        }
    }
}
