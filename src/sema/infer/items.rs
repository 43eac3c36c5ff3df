//! Definitions: their types, and the check of each body under its declared parameters.

use super::Infer;
use super::arguments::Rules;
use super::dims::Dim;
use super::members::parts;
use super::ty::{Env, Num, Over, Problem, Ty};
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{
    Dataset, DefId, DefKind, Expr, ExprKind, MinimizeStmt, MinimizeStmtKind, Param, Place, StudyStmt, StudyStmtKind,
    System, SystemStmtKind, TypeExprKind,
};
use crate::sema::suggest;
use crate::sema::types::Rank;
use indexmap::IndexMap;
use std::rc::Rc;

impl<'p> Infer<'p> {
    /// Checks every definition of the user's files. The library's bodies are walked where they are called (and by its own tests).
    pub(super) fn items(&mut self, library: bool) {
        let p = self.p;
        let all = |library: bool| {
            (0..p.defs.len() as u32)
                .map(DefId)
                .filter(move |d| p.modules[p.def(*d).module.index()].name.starts_with("std.") == library)
        };
        let own: Vec<DefId> = all(false).collect();
        for &id in &own {
            if let DefKind::Fn(_) | DefKind::Closure { .. } | DefKind::Net { .. } | DefKind::System(_) = p.def(id).kind
            {
                self.item(id);
            }
        }
        for &id in &own {
            if !matches!(
                p.def(id).kind,
                DefKind::Fn(_) | DefKind::Closure { .. } | DefKind::Net { .. } | DefKind::System(_)
            ) {
                self.item(id);
            }
        }
        if library {
            for id in all(true) {
                self.item(id);
            }
        }
    }

    /// Binds parameters by their declarations; one without a type may be anything.
    fn parameters(&mut self, params: &'p [Param], env: &mut Env) {
        for p in params {
            let default = p.default.as_ref().map(|d| self.ty(d, env));
            let ty = match &p.ty {
                Some(t) => {
                    let declared = self.declared(t, env);
                    if let (Some(found), Some(d)) = (&default, &p.default) {
                        self.fit(&declared, found, d.span, Some(p.span), false);
                    }
                    if let (Ty::Domain(id), TypeExprKind::Domain(_)) = (&declared, &t.kind) {
                        self.domains[id.0 as usize].name = p.name.clone();
                    }
                    declared
                }
                None => Ty::Any,
            };
            env.set(p.local, ty);
        }
    }

    fn item(&mut self, id: DefId) {
        let p = self.p;
        let span = p.def(id).span;
        match &p.def(id).kind {
            DefKind::Param { .. } | DefKind::Let { .. } => {
                self.def(id, span);
            }
            DefKind::Fn(lambda) => {
                let mut env = Env::default();
                self.parameters(&lambda.params, &mut env);
                let found = self.block(&lambda.body, env.clone());
                self.declared_or(lambda.result.as_ref(), found, lambda.body.result.span, &env);
            }
            DefKind::Net { hyper, lambda } => {
                let mut env = Env::default();
                self.parameters(hyper, &mut env);
                let outer = std::mem::replace(&mut self.in_net, true);
                self.parameters(&lambda.params, &mut env);
                let found = self.block(&lambda.body, env.clone());
                self.declared_or(lambda.result.as_ref(), found, lambda.body.result.span, &env);
                self.in_net = outer;
            }
            DefKind::Closure { params, result, ensures, result_local } => {
                let mut env = Env::default();
                self.parameters(params, &mut env);
                let result = self.declared(result, &env);
                env.set(*result_local, result);
                for e in ensures {
                    let ty = self.ty(e, &env);
                    if !matches!(ty, Ty::Bool(_) | Ty::Any) {
                        let found = self.describe(&ty);
                        self.error(
                            "coupling.ensure",
                            e.span,
                            format!("a contract is true or false, this is {found}"),
                            "for example `ensure spd(result)` or `ensure result > 0 [Pa]`",
                        );
                    }
                }
            }
            DefKind::System(_) => {
                self.standalone_problem(id);
            }
            DefKind::Dataset(d) => {
                let mut env = Env::default();
                self.parameters(&d.params, &mut env);
                self.dataset_body(d, env);
            }
            DefKind::Minimize { params, .. } if params.is_empty() => {
                self.def(id, span);
            }
            DefKind::Minimize { params, stmts } => {
                let mut env = Env::default();
                self.parameters(params, &mut env);
                self.minimize_body(stmts, env);
            }
            DefKind::Study { params, stmts } => {
                let mut env = Env::default();
                self.parameters(params, &mut env);
                self.study_body(stmts, env);
            }
            DefKind::Scale { ranges } => self.scale(ranges),
            DefKind::Unit(_) | DefKind::Dim(_) | DefKind::Error => {}
        }
    }

    /// The type of a definition used as a value.
    pub(super) fn def(&mut self, id: DefId, span: Span) -> Ty {
        if let Some(ty) = self.defs.get(&id) {
            return ty.clone();
        }
        if self.open.contains(&id) {
            let name = &self.p.def(id).name;
            let defined = self.p.def(id).span;
            self.report(
                Diagnostic::error("names.cycle", span, format!("`{name}` is defined by itself"))
                    .label(defined, "the definition that needs its own value")
                    .help("what depends on itself is an equation: make it an unknown of a system"),
            );
            return Ty::Any;
        }
        self.open.push(id);
        let (domain, time) = (self.domain.take(), std::mem::take(&mut self.time));
        let flags = (std::mem::take(&mut self.in_net), std::mem::take(&mut self.in_loss));
        let ty = self.define(id);
        (self.in_net, self.in_loss) = flags;
        (self.domain, self.time) = (domain, time);
        self.open.pop();
        self.defs.insert(id, ty.clone());
        ty
    }

    fn define(&mut self, id: DefId) -> Ty {
        let p = self.p;
        let def = p.def(id);
        let env = Env::default();
        match &def.kind {
            DefKind::Param { ty, value, bounds } => {
                let found = self.ty(value, &env);
                let ty = self.declared_or(ty.as_ref(), found, value.span, &env);
                self.bounds(&ty, bounds.as_ref(), &env);
                self.param_in_bounds(&def.name, value, bounds.as_ref());
                ty
            }
            DefKind::Let { value, .. } if matches!(value.kind, ExprKind::Intrinsic) => match def.name.as_str() {
                "I" => Ty::Num(Num::of_rank(Dim::none(), Rank::Sym(None))),
                "I4" => Ty::Num(Num::of_rank(Dim::none(), Rank::Stiff(None))),
                "ex" | "ey" | "ez" => Ty::Num(Num::of_rank(Dim::none(), Rank::Vec(None))),
                _ => Ty::Symbol(id),
            },
            DefKind::Let { ty, value } => {
                let found = self.ty(value, &env);
                let ty = self.declared_or(ty.as_ref(), found, value.span, &env);
                if let Ty::Domain(domain) = ty {
                    let info = &mut self.domains[domain.0 as usize];
                    if info.def.is_none() {
                        info.name = def.name.clone();
                        info.def = Some(id);
                    }
                }
                ty
            }
            DefKind::Net { hyper, .. } if hyper.is_empty() => Ty::Net(id),
            DefKind::Fn(_)
            | DefKind::Net { .. }
            | DefKind::Closure { .. }
            | DefKind::System(_)
            | DefKind::Dataset(_)
            | DefKind::Study { .. } => Ty::Def(id),
            DefKind::Minimize { params, stmts } if params.is_empty() => {
                let members = self.minimize_body(stmts, env);
                Ty::Artefact(id, Rc::new(members))
            }
            DefKind::Minimize { .. } => Ty::Def(id),
            DefKind::Scale { .. } => Ty::Scale(id),
            DefKind::Unit(_) | DefKind::Dim(_) | DefKind::Error => Ty::Any,
        }
    }

    fn bounds(&mut self, ty: &Ty, bounds: Option<&'p Expr>, env: &Env) {
        let Some(bounds) = bounds else { return };
        match (self.ty(bounds, env), ty) {
            (Ty::Range(item), Ty::Num(n)) => {
                let plain = Ty::Num(Num { field: None, integer: false, ..n.clone() });
                self.same(&plain, &item, bounds.span, "a value and its bounds");
            }
            (Ty::Any | Ty::Range(_), _) => {}
            (other, _) => {
                let found = self.describe(&other);
                self.error(
                    "shapes.mismatch",
                    bounds.span,
                    format!("bounds are a range, this is {found}"),
                    "write `in 0..1`",
                );
            }
        }
    }

    fn param_in_bounds(&mut self, name: &str, value: &Expr, bounds: Option<&Expr>) {
        use crate::sema::hir::Op;
        let Some(Expr { kind: ExprKind::Op { op: Op::Range, args }, span, .. }) = bounds else { return };
        let (Some(x), Some(low), Some(high)) = (self.constant(value), self.constant(&args[0]), self.constant(&args[1]))
        else {
            return;
        };
        if low > high {
            self.error("names.bounds", *span, "this range is empty", "write the smaller end first");
        } else if x < low || x > high {
            self.report(
                Diagnostic::error("names.bounds", value.span, format!("parameter `{name}` is outside its bounds"))
                    .label(*span, "the bounds"),
            );
        }
    }

    // ---- systems

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

    // ---- datasets, minimize, studies, scales

    pub(super) fn dataset_body(&mut self, d: &'p Dataset, mut env: Env) -> IndexMap<String, Ty> {
        let mut members = IndexMap::new();
        for row in &d.rows {
            let ty = self.ty(&row.value, &env);
            env.set(row.local, ty.clone());
            members.insert(row.name.clone(), ty);
        }
        members
    }

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

    fn study_body(&mut self, stmts: &'p [StudyStmt], mut env: Env) {
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

    fn scale(&mut self, ranges: &'p [(String, Expr)]) {
        use crate::base::Dimension;
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
