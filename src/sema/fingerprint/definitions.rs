//! Definitions, functions and blocks.

use super::Walk;
use crate::sema::hir::{Block, BlockStmt, DefId, DefKind, ExprKind, Lambda, Param};

impl Walk<'_, '_> {
    pub(super) fn definition(&mut self, id: DefId) {
        let program = self.all.program;
        let def = program.def(id);
        if is_intrinsic(&def.kind) {
            self.tag("intrinsic");
            self.hash.text(&def.name).text(env!("CARGO_PKG_VERSION"));
            // Defaults are part of what a call without the argument means.
            if let DefKind::Fn(lambda) = &def.kind {
                self.params(&lambda.params);
            }
            return;
        }
        match &def.kind {
            DefKind::Param { ty, value, .. } | DefKind::Let { ty, value } => {
                self.tag("value");
                self.opt_ty(ty.as_ref());
                self.expr(value);
            }
            DefKind::Fn(lambda) => {
                self.tag("fn");
                self.lambda(lambda);
            }
            DefKind::Net { hyper, lambda } => {
                self.tag("net");
                self.hash.text(&def.name);
                self.params(hyper);
                self.lambda(lambda);
            }
            DefKind::Closure { params, result, ensures, result_local } => {
                self.tag("closure");
                self.params(params);
                self.ty(result);
                self.binder(*result_local);
                self.exprs(ensures);
            }
            DefKind::System(system) => {
                self.tag("system");
                self.system(system);
            }
            DefKind::Dataset(dataset) => {
                self.tag("dataset");
                self.hash.text(&def.name);
                self.dataset(dataset);
            }
            DefKind::Minimize { params, stmts } => {
                self.tag("minimize");
                self.hash.text(&def.name);
                self.params(params);
                self.count(stmts.len());
                stmts.iter().for_each(|s| self.minimize_stmt(s));
            }
            DefKind::Study { params, stmts } => {
                self.tag("study");
                self.params(params);
                self.study(stmts);
            }
            // A scale is held against results, it does not change them.
            DefKind::Scale { .. } => self.tag("scale"),
            DefKind::Unit(u) => {
                self.tag("unit");
                self.hash.text(&u.dimension.to_string()).number(u.factor).number(u.offset);
            }
            DefKind::Dim(d) => {
                self.tag("dim");
                self.hash.text(&d.to_string());
            }
            DefKind::Error => self.tag("error"),
        }
    }

    pub(super) fn params(&mut self, params: &[Param]) {
        self.count(params.len());
        for p in params {
            self.hash.text(&p.name).integer(u64::from(p.state));
            self.opt_ty(p.ty.as_ref());
            self.opt_expr(p.default.as_ref());
            self.binder(p.local);
        }
    }

    pub(super) fn lambda(&mut self, lambda: &Lambda) {
        lambda.implicit.iter().for_each(|l| self.binder(*l));
        self.params(&lambda.params);
        self.opt_ty(lambda.result.as_ref());
        self.block(&lambda.body);
    }

    pub(super) fn block(&mut self, block: &Block) {
        self.count(block.stmts.len());
        for s in &block.stmts {
            match s {
                BlockStmt::Let { local, ty, value } => {
                    self.tag("let");
                    self.opt_ty(ty.as_ref());
                    self.expr(value);
                    self.binder(*local);
                }
                BlockStmt::Weight { local, name, ty, init } => {
                    self.tag("weight");
                    self.hash.text(name);
                    self.ty(ty);
                    self.expr(init);
                    self.binder(*local);
                }
                BlockStmt::Next { state, value } => {
                    self.tag("next");
                    self.local(*state);
                    self.expr(value);
                }
            }
        }
        self.expr(&block.result);
    }
}

/// Implemented in Rust under its name.
fn is_intrinsic(kind: &DefKind) -> bool {
    match kind {
        DefKind::Fn(lambda) => matches!(lambda.body.result.kind, ExprKind::Intrinsic),
        DefKind::Let { value, .. } => matches!(value.kind, ExprKind::Intrinsic),
        _ => false,
    }
}
