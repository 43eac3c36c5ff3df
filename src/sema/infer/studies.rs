//! Studies, datasets and scales.

use super::Infer;
use super::dims::Dim;
use super::ty::{Env, Ty};
use crate::base::Dimension;
use crate::sema::hir::{Dataset, Expr, StudyStmt, StudyStmtKind};
use crate::sema::suggest;
use indexmap::IndexMap;

impl<'p> Infer<'p> {
    pub(super) fn study_body(&mut self, stmts: &'p [StudyStmt], mut env: Env) {
        for s in stmts {
            match &s.kind {
                StudyStmtKind::Let { local, ty, value } => {
                    let found = self.ty(value, &env);
                    let ty = self.declared_or(ty.as_ref(), found, value.span, &env);
                    env.set(*local, ty);
                }
                StudyStmtKind::Dataset { local, dataset } => {
                    self.dataset_body(dataset, env.clone());
                    env.set(*local, Ty::Any);
                }
                StudyStmtKind::Check(e) => {
                    let ty = self.ty(e, &env);
                    match ty {
                        Ty::Bool(Some(_)) => self.error(
                            "studies.check",
                            e.span,
                            "a check is true or false once, this is so at every point of a field",
                            "compare `max_over(…)`, `min_over(…)` or a mean",
                        ),
                        Ty::Bool(None) | Ty::Any => {}
                        other => {
                            let found = self.describe(&other);
                            self.error(
                                "studies.check",
                                e.span,
                                format!("a check is true or false, this is {found}"),
                                "compare it: `check error < 1e-3`",
                            );
                        }
                    }
                }
                StudyStmtKind::For { var, source, body } => {
                    let ty = self.ty(source, &env);
                    let (item, _) = self.items_of(&ty, source);
                    let mut inner = env.clone();
                    inner.set(*var, item);
                    self.study_body(body, inner);
                }
                StudyStmtKind::Call(e) => {
                    self.ty(e, &env);
                }
            }
        }
    }

    pub(super) fn dataset_body(&mut self, d: &'p Dataset, mut env: Env) -> IndexMap<String, Ty> {
        let mut members = IndexMap::new();
        for row in &d.rows {
            let ty = self.ty(&row.value, &env);
            env.set(row.local, ty.clone());
            members.insert(row.name.clone(), ty);
        }
        members
    }

    pub(super) fn scale(&mut self, ranges: &'p [(String, Expr)]) {
        for (name, e) in ranges {
            let wanted = match name.as_str() {
                "length" => Dim::from(Dimension::base("m")),
                "time" => Dim::from(Dimension::base("s")),
                _ => {
                    let help = suggest::help(name, &["length", "time"]).unwrap_or_default();
                    self.error("coupling.scale", e.span, format!("a scale has no `{name}`"), help);
                    continue;
                }
            };
            match self.ty(e, &Env::default()) {
                Ty::Range(item) => {
                    if let Ty::Num(n) = *item {
                        let plain = self.dims.resolve(&n.dim).base.is_none();
                        if !plain {
                            self.unify_dims(&wanted, &n.dim, e.span, "units.mismatch", |s| {
                                format!(
                                    "the {name} of a scale is in {}, this is in {}",
                                    s.show(&wanted),
                                    s.show(&n.dim)
                                )
                            });
                        }
                    }
                }
                Ty::Any => {}
                other => {
                    let found = self.describe(&other);
                    self.error(
                        "coupling.scale",
                        e.span,
                        format!("a scale resolves a range, this is {found}"),
                        "for example `length: 0.1 [µm]..10 [µm]`",
                    );
                }
            }
        }
    }
}
