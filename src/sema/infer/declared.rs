//! From declared types to inferred ones, and whether a value fits a declaration.

use super::Infer;
use super::arith::join;
use super::dims::Dim;
use super::ty::{DomainInfo, Env, Num, Over, Ty};
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{Expr, ExprKind, TypeExpr, TypeExprKind};
use crate::sema::types::Rank;

impl<'p> Infer<'p> {
    /// What a declaration says.
    pub(super) fn declared(&mut self, ty: &'p TypeExpr, env: &Env) -> Ty {
        let dim = match &ty.unit {
            Some(u) if !self.in_net => Dim::from(u.dimension.clone()),
            _ => Dim::none(),
        };
        let num = |rank| Ty::Num(Num::of_rank(dim.clone(), rank));
        match &ty.kind {
            TypeExprKind::Real => num(Rank::Scalar),
            TypeExprKind::Int => Ty::Num(Num::integer()),
            TypeExprKind::Bool => Ty::Bool(None),
            TypeExprKind::Str => Ty::Str,
            TypeExprKind::Vec(n) => num(Rank::Vec(self.extent(n.as_deref(), env))),
            TypeExprKind::Mat(m, n) => num(Rank::Mat(self.extent(Some(m), env), self.extent(Some(n), env))),
            TypeExprKind::Sym(n) => num(Rank::Sym(self.extent(n.as_deref(), env))),
            TypeExprKind::Stiff(n) => num(Rank::Stiff(self.extent(n.as_deref(), env))),
            TypeExprKind::Field { domain, element } => {
                let over = match self.ty(domain, env) {
                    Ty::Domain(id) => Over::Domain(id),
                    Ty::Any => Over::Open,
                    other => {
                        let found = self.describe(&other);
                        self.error(
                            "shapes.mismatch",
                            domain.span,
                            format!("a field needs a domain, this is {found}"),
                            "",
                        );
                        Over::Open
                    }
                };
                let element = self.declared(element, env);
                let Ty::Num(n) = element else { return Ty::Any };
                let space = match over {
                    Over::Domain(id) => self.domain_info(id).space,
                    Over::Open => None,
                };
                let rank = n.rank.map(|r| match r {
                    Rank::Vec(None) => Rank::Vec(space),
                    Rank::Sym(None) => Rank::Sym(space),
                    Rank::Stiff(None) => Rank::Stiff(space),
                    r => r,
                });
                Ty::Num(Num { dim, rank, field: Some(over), ..n })
            }
            TypeExprKind::Domain(n) => {
                let space = self.extent(n.as_deref(), env);
                let length = self.dims.fresh();
                let info = DomainInfo {
                    name: "a domain".into(),
                    space,
                    length,
                    periodic: None,
                    scale: None,
                    def: None,
                    open: true,
                };
                Ty::Domain(self.new_domain(info))
            }
            TypeExprKind::Closure(def) => Ty::Closure(*def),
            TypeExprKind::UnknownOf { system, unknown } => match self.def(*system, ty.span) {
                Ty::Def(_) => {
                    let problem = self.standalone_problem(*system);
                    problem.and_then(|p| p.members.get(unknown).cloned()).unwrap_or_default()
                }
                _ => Ty::Any,
            },
            TypeExprKind::Error => Ty::Any,
        }
    }

    fn extent(&mut self, e: Option<&'p Expr>, env: &Env) -> Option<usize> {
        let e = e?;
        let unbound = matches!(&e.kind, ExprKind::Local(l) if env.get(*l).is_none());
        if !unbound {
            let ty = self.ty(e, env);
            let whole = matches!(&ty, Ty::Any) || matches!(&ty, Ty::Num(n) if n.integer);
            if !whole {
                let found = self.describe(&ty);
                self.error("shapes.size", e.span, format!("a size is a whole number, this is {found}"), "");
            }
        }
        self.constant(e).filter(|x| *x >= 0.0 && x.fract() == 0.0).map(|x| x as usize)
    }

    /// The declared type where there is one, the value having been held against it.
    pub(super) fn declared_or(&mut self, ty: Option<&'p TypeExpr>, found: Ty, span: Span, env: &Env) -> Ty {
        match ty {
            None => found,
            Some(ty) => {
                let declared = self.declared(ty, env);
                self.fit(&declared, &found, span, Some(ty.span), false);
                self.settled(declared, found)
            }
        }
    }

    /// A declared scalar stays what it is; sizes that the declaration leaves open come from the value.
    fn settled(&self, declared: Ty, found: Ty) -> Ty {
        match (declared, found) {
            (Ty::Num(d), Ty::Num(f)) => {
                let rank = match (d.rank, f.rank) {
                    (Some(a), Some(b)) => {
                        join(a, b).filter(|r| std::mem::discriminant(r) == std::mem::discriminant(&a)).or(Some(a))
                    }
                    (r, _) => r,
                };
                Ty::Num(Num { rank, ..d })
            }
            (Ty::Domain(_), Ty::Domain(f)) => Ty::Domain(f),
            (Ty::Any, f) => f,
            (d, _) => d,
        }
    }

    /// Holds a value against a declared type. `lifts`: a field may stand where a number is asked for (a call pointwise).
    pub(super) fn fit(
        &mut self,
        declared: &Ty,
        found: &Ty,
        span: Span,
        place: Option<Span>,
        lifts: bool,
    ) -> Option<Over> {
        let found_tensor = match declared {
            Ty::Num(d) if d.rank.is_some_and(|r| r != Rank::Scalar) => self.as_tensor(found),
            _ => found.clone(),
        };
        let labelled = |d: Diagnostic| match place {
            Some(p) => d.label(p, "declared here"),
            None => d,
        };
        match (declared, &found_tensor) {
            (Ty::Any, _) | (_, Ty::Any | Ty::Symbol(_)) => {}
            (Ty::Num(d), Ty::Num(f)) => {
                if d.integer && !f.integer {
                    self.report(labelled(
                        Diagnostic::error("shapes.mismatch", span, "expected a whole number")
                            .here(format!("this is {}", self.describe(found)))
                            .help("a whole number is written without a point, an exponent or a unit"),
                    ));
                    return None;
                }
                self.same_dim(&d.dim, &f.dim, span, |s, factor| {
                    labelled(
                        Diagnostic::error(
                            "units.mismatch",
                            span,
                            format!("expected {}, found {}", s.show(&d.dim), s.show(&f.dim)),
                        )
                        .here(format!("this is in {}", s.show(&f.dim)))
                        .help(format!("multiply it by a {factor} factor")),
                    )
                });
                let fits = match (d.rank, f.rank) {
                    _ if f.zero => true,
                    (None, _) | (_, None) => true,
                    (Some(Rank::Scalar), Some(r)) if self.in_net => {
                        let _ = r;
                        true
                    }
                    (Some(a @ Rank::Sym(_)), Some(b @ Rank::Mat(..))) => {
                        let joined = join(a, b).is_some();
                        if joined {
                            self.report(labelled(
                                Diagnostic::error(
                                    "shapes.mismatch",
                                    span,
                                    "expected a symmetric matrix, found a general one",
                                )
                                .help("take its symmetric part: `sym(…)`"),
                            ));
                        }
                        if joined {
                            return None;
                        }
                        false
                    }
                    (Some(a), Some(b)) => join(a, b).is_some(),
                };
                if !fits {
                    let (a, b) = (self.describe(declared), self.describe(&found_tensor));
                    self.report(labelled(Diagnostic::error(
                        "shapes.mismatch",
                        span,
                        format!("expected {a}, found {b}"),
                    )));
                }
                match (d.field, f.field) {
                    (None, Some(over)) if lifts => return Some(over),
                    (None, Some(_)) => {
                        self.report(labelled(
                            Diagnostic::error(
                                "shapes.field",
                                span,
                                "expected one value, found a field, which has one at every point",
                            )
                            .help("take its mean, an integral, or its value at a point: `f(x, y)`"),
                        ));
                    }
                    (Some(a), Some(b)) => {
                        self.merge(Some(a), Some(b), span);
                    }
                    _ => {}
                }
            }
            (Ty::Closure(def), _) => self.fit_closure(*def, found, span),
            (Ty::Domain(want), Ty::Domain(have)) => {
                let (a, b) = (self.domain_info(*want).clone(), self.domain_info(*have).clone());
                if let (Some(x), Some(y)) = (a.space, b.space)
                    && x != y
                {
                    self.report(labelled(Diagnostic::error(
                        "shapes.mismatch",
                        span,
                        format!("expected a domain of {x} dimensions, `{}` has {y}", b.name),
                    )));
                }
            }
            (Ty::Bool(_), Ty::Bool(_))
            | (Ty::Str, Ty::Str)
            | (Ty::Range(_), Ty::Range(_))
            | (Ty::List(..), Ty::List(..)) => {}
            // A field may be realised by a net.
            (Ty::Num(Num { field: Some(_), .. }), Ty::Net(_) | Ty::Lambda(_) | Ty::Closure(_)) => {}
            (Ty::Num(_) | Ty::Bool(_) | Ty::Str | Ty::Domain(_), _) => {
                let (a, b) = (self.describe(declared), self.describe(found));
                self.report(labelled(Diagnostic::error("shapes.mismatch", span, format!("expected {a}, found {b}"))));
            }
            _ => {}
        }
        None
    }
}
