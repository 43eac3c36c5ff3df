//! Declared types.

use super::Walk;
use crate::sema::hir::{Expr, TypeExpr, TypeExprKind};

impl Walk<'_, '_> {
    pub(super) fn opt_ty(&mut self, ty: Option<&TypeExpr>) {
        match ty {
            Some(ty) => self.ty(ty),
            None => self.tag("untyped"),
        }
    }

    pub(super) fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeExprKind::Real => self.tag("Real"),
            TypeExprKind::Int => self.tag("Int"),
            TypeExprKind::Bool => self.tag("Bool"),
            TypeExprKind::Str => self.tag("Str"),
            TypeExprKind::Vec(n) => self.sized("Vec", n.as_deref()),
            TypeExprKind::Sym(n) => self.sized("Sym", n.as_deref()),
            TypeExprKind::Stiff(n) => self.sized("Stiff", n.as_deref()),
            TypeExprKind::Domain(n) => self.sized("Domain", n.as_deref()),
            TypeExprKind::Mat(m, n) => {
                self.tag("Mat");
                self.expr(m);
                self.expr(n);
            }
            TypeExprKind::Field { domain, element } => {
                self.tag("Field");
                self.expr(domain);
                self.ty(element);
            }
            TypeExprKind::Closure(def) => {
                self.tag("closure");
                let meaning = self.all.def(*def);
                self.hash.part(meaning);
            }
            TypeExprKind::UnknownOf { system, unknown } => {
                self.tag("unknown of");
                let meaning = self.all.def(*system);
                self.hash.part(meaning).text(unknown);
            }
            TypeExprKind::Error => self.tag("error"),
        }
        match &ty.unit {
            Some(u) => {
                self.hash.text(&u.dimension.to_string());
            }
            None => self.tag("no unit"),
        }
    }

    pub(super) fn sized(&mut self, tag: &str, n: Option<&Expr>) {
        self.tag(tag);
        self.opt_expr(n);
    }
}
