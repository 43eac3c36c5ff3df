//! Systems: unknowns, equations, conditions on boundaries, and what is included.

use super::Infer;
use super::arguments::Rules;
use super::members::parts;
use super::ty::{Env, Num, Over, Problem, Ty};
use crate::base::Diagnostic;
use crate::sema::hir::{DefId, DefKind, Expr, Place, System, SystemStmtKind};
use crate::sema::suggest;
use indexmap::IndexMap;
use std::rc::Rc;

impl<'p> Infer<'p> {
    /// A system under its declared parameters, walked once.
    pub(super) fn standalone_problem(&mut self, id: DefId) -> Option<Rc<Problem>> {
        if let Some(known) = self.problems.get(&id) {
            return known.clone();
        }
        self.problems.insert(id, None);
        let DefKind::System(system) = &self.p.def(id).kind else { return None };
        let mut env = Env::default();
        self.parameters(&system.params, &mut env);
        let problem = Some(Rc::new(self.system_body(system, env)));
        self.problems.insert(id, problem.clone());
        problem
    }

    pub(super) fn system_body(&mut self, system: &'p System, mut env: Env) -> Problem {
        let time = self.dims.fresh();
        let outer = (self.domain.take(), std::mem::replace(&mut self.time, time));
        let mut members: IndexMap<String, Ty> = IndexMap::new();
        let mut equations = vec![];
        for s in &system.stmts {
            if let SystemStmtKind::Unknown { local, name, ty, .. } = &s.kind {
                let declared = self.declared(ty, &env);
                match &declared {
                    Ty::Num(Num { field: Some(Over::Domain(d)), .. }) => {
                        self.domain.get_or_insert(*d);
                    }
                    Ty::Num(_) | Ty::Any => {}
                    other => {
                        let found = self.describe(other);
                        self.error(
                            "shapes.mismatch",
                            ty.span,
                            format!("an unknown is a field or a number, this is {found}"),
                            "",
                        );
                    }
                }
                members.insert(name.clone(), declared.clone());
                env.set(*local, declared);
            }
        }
        for s in &system.stmts {
            match &s.kind {
                SystemStmtKind::Unknown { ty, nominal: Some(nominal), local, .. } => {
                    let found = self.ty(nominal, &env);
                    if let Some(Ty::Num(n)) = env.get(*local).cloned() {
                        let typical = Ty::Num(Num { field: None, ..n });
                        // A vector may be given one typical size for all components.
                        let found = match found {
                            Ty::Num(f) => Ty::Num(Num { rank: None, ..f }),
                            other => other,
                        };
                        self.fit(&typical, &found, nominal.span, Some(ty.span), false);
                    }
                }
                SystemStmtKind::Unknown { .. } => {}
                SystemStmtKind::Include { system: target, args, binds } => {
                    let given = self.given(args, &env);
                    let DefKind::System(included) = &self.p.def(*target).kind else { continue };
                    let mut inner = Env::default();
                    let name = &self.p.def(*target).name;
                    self.bind(name, &included.params, &given, s.span, Rules::default(), &mut inner);
                    let mark = self.diagnostics.len();
                    let problem = self.system_body(included, inner);
                    self.dedupe_since(mark);
                    for (here, there) in binds {
                        let name = &self.p.local(*there).name;
                        let ty = problem.members.get(name).cloned().unwrap_or_default();
                        members.insert(name.clone(), ty.clone());
                        env.set(*here, ty);
                    }
                    self.domain = self.domain.or(problem.domain);
                    let time = self.time.clone();
                    let _ = self.dims.unify(&time, &problem.time);
                    equations.extend(problem.equations);
                }
                SystemStmtKind::Let { local, ty, value } => {
                    let found = self.ty(value, &env);
                    let ty = self.declared_or(ty.as_ref(), found, value.span, &env);
                    members.insert(self.p.local(*local).name.clone(), ty.clone());
                    env.set(*local, ty);
                }
                SystemStmtKind::Eq { name, lhs, rhs } | SystemStmtKind::Weak { name, lhs, rhs } => {
                    equations.push(name.clone());
                    self.equation(lhs, rhs, &env, &format!("the two sides of `{name}`"));
                }
                SystemStmtKind::On { places, lhs, rhs } => {
                    for place in places {
                        self.place(place, &env);
                    }
                    self.equation(lhs, rhs, &env, "the two sides of this condition");
                }
                SystemStmtKind::Init { lhs, rhs } => {
                    self.equation(lhs, rhs, &env, "the two sides of this initial condition");
                }
                SystemStmtKind::Ensure { claim, .. } => self.contract(
                    claim,
                    &env,
                    "for example `ensure positive: u >= 0` or `ensure mass: conserved(∫(u))`",
                ),
            }
        }
        let problem = Problem { members: Rc::new(members), equations, domain: self.domain, time: self.time.clone() };
        (self.domain, self.time) = outer;
        problem
    }

    /// Drops repetitions of what has been said already (an included system is walked where it stands, too).
    fn dedupe_since(&mut self, mark: usize) {
        let new = self.diagnostics.split_off(mark);
        for d in new {
            if !self.diagnostics.iter().any(|k| k.code == d.code && k.span() == d.span()) {
                self.diagnostics.push(d);
            }
        }
    }

    fn equation(&mut self, lhs: &'p Expr, rhs: &'p Expr, env: &Env, what: &str) {
        let (a, b) = (self.ty(lhs, env), self.ty(rhs, env));
        self.same(&a, &b, lhs.span.to(rhs.span), what);
    }

    fn place(&mut self, place: &'p Place, env: &Env) {
        let domain = match self.ty(&place.domain, env) {
            Ty::Domain(id) => self.domain_info(id).clone(),
            Ty::Any => return,
            other => {
                let found = self.describe(&other);
                self.error(
                    "pde.boundary.place",
                    place.span,
                    format!("a boundary is part of a domain, this is {found}"),
                    "",
                );
                return;
            }
        };
        let known = match domain.space {
            Some(space) => parts(space),
            None => parts(3),
        };
        if !(known.contains(&place.part.as_str()) || domain.open && place.part == "ends") {
            let mut d = Diagnostic::error(
                "pde.boundary.part",
                place.span,
                format!("`{}` has no boundary `{}`", domain.name, place.part),
            );
            d.help = suggest::help(&place.part, known);
            self.report(d);
        } else if domain.periodic == Some(true) {
            self.report(
                Diagnostic::error(
                    "pde.boundary.periodic",
                    place.span,
                    format!("`{}` is periodic and has no boundary", domain.name),
                )
                .note("on a periodic domain, opposite sides are one")
                .help("take the condition away, or `periodic=true`"),
            );
        }
    }
}
