//! `minimize`: what is varied, its losses and stages.

use super::Infer;
use super::dims::Dim;
use super::ty::{Env, Ty};
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{Expr, ExprKind, MinimizeStmt, MinimizeStmtKind, TypeExprKind};
use crate::sema::types::Rank;
use indexmap::IndexMap;

impl<'p> Infer<'p> {
    pub(super) fn minimize_body(&mut self, stmts: &'p [MinimizeStmt], mut env: Env) -> IndexMap<String, Ty> {
        let mut members = IndexMap::new();
        let mut losses: Vec<(String, Dim, Span)> = vec![];
        for s in stmts {
            match &s.kind {
                MinimizeStmtKind::Over { local, name, ty, value, bounds } => {
                    let found = self.ty(value, &env);
                    if let (Some(t), Ty::Net(net)) = (ty, &found)
                        && let TypeExprKind::Closure(closure) = t.kind
                    {
                        self.net_serves(*net, closure, value.span);
                    }
                    let ty = self.declared_or(ty.as_ref(), found, value.span, &env);
                    self.bounds(&ty, bounds.as_ref(), &env);
                    members.insert(name.clone(), ty.clone());
                    env.set(*local, ty);
                }
                MinimizeStmtKind::Let { local, name, ty, value } => {
                    let found = self.ty(value, &env);
                    let ty = self.declared_or(ty.as_ref(), found, value.span, &env);
                    members.insert(name.clone(), ty.clone());
                    env.set(*local, ty);
                }
                MinimizeStmtKind::Loss { local, name, params, value } => {
                    let mut inner = env.clone();
                    self.parameters(params, &mut inner);
                    let outer = std::mem::replace(&mut self.in_loss, true);
                    let ty = self.ty(value, &inner);
                    self.in_loss = outer;
                    self.loss(name, &ty, value.span);
                    if let (Ty::Num(n), true) = (&ty, params.is_empty()) {
                        losses.push((name.clone(), n.dim.clone(), value.span));
                    }
                    members.insert(name.clone(), ty.clone());
                    env.set(*local, if params.is_empty() { ty } else { Ty::Any });
                }
                MinimizeStmtKind::Subject { name, value } => {
                    let ty = self.ty(value, &env);
                    if !matches!(ty, Ty::Bool(_) | Ty::Any) {
                        let found = self.describe(&ty);
                        self.error(
                            "nets.subject",
                            value.span,
                            format!("constraint `{name}` compares two sides, this is {found}"),
                            "for example `subject volume: mean(ρ) <= 0.4`",
                        );
                    }
                }
                MinimizeStmtKind::Stage(e) => {
                    let ty = self.ty(e, &env);
                    if !matches!(ty, Ty::Stage | Ty::Any) {
                        let found = self.describe(&ty);
                        self.error(
                            "nets.stage",
                            e.span,
                            format!("a stage is an optimiser, this is {found}"),
                            "for example `stage adam(lr=1e-3, epochs=100)`",
                        );
                    }
                }
            }
        }
        self.losses_add_up(stmts, &losses);
        members
    }

    fn loss(&mut self, name: &str, ty: &Ty, span: Span) {
        let (found, help) = match ty {
            Ty::Num(n) if n.field.is_some() => ("a field", "take its mean or integral: `mean2(…)`"),
            Ty::Num(n) if !matches!(n.rank, None | Some(Rank::Scalar)) => {
                ("not a number", "take its squared norm: `norm2(…)`")
            }
            Ty::List(..) => ("a list", "take the mean over it: `mean(… for c in cells)`"),
            Ty::Bool(_) => ("a comparison", "a constraint is a `subject`"),
            _ => return,
        };
        self.error("nets.loss", span, format!("loss `{name}` is one number, this is {found}"), help);
    }

    /// Without `on=`, a stage lowers the sum of all losses.
    fn losses_add_up(&mut self, stmts: &[MinimizeStmt], losses: &[(String, Dim, Span)]) {
        let chosen = stmts.iter().any(|s| match &s.kind {
            MinimizeStmtKind::Stage(Expr { kind: ExprKind::Call { args, .. }, .. }) => {
                args.iter().any(|a| matches!(a.name.as_deref(), Some("on" | "balance")))
                    || args.iter().any(|a| matches!(a.value.kind, ExprKind::Call { .. }))
            }
            _ => false,
        });
        if chosen {
            return;
        }
        let Some(((first, dim, first_span), rest)) = losses.split_first() else { return };
        for (name, d, span) in rest {
            self.same_dim(dim, d, *span, |s, _| {
                Diagnostic::error(
                    "units.losses",
                    *span,
                    format!("losses add up, and `{first}` is in {}, `{name}` in {}", s.show(dim), s.show(d)),
                )
                .label(*first_span, "the first loss")
                .help("divide each by its typical size, or name the loss of each stage with `on=`")
            });
        }
    }
}
