//! Definitions: their types, and the check of each body under its declared parameters.

use super::Infer;
use super::dims::Dim;
use super::ty::{Env, Num, Ty};
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{DefId, DefKind, Expr, ExprKind, Op, Param, TypeExprKind};
use crate::sema::types::Rank;
use std::rc::Rc;

impl<'p> Infer<'p> {
    /// What `ensure` states is true or false.
    pub(super) fn contract(&mut self, e: &'p Expr, env: &Env, help: &str) {
        let ty = self.ty(e, env);
        if !matches!(ty, Ty::Bool(_) | Ty::Any) {
            let found = self.describe(&ty);
            self.error("coupling.ensure", e.span, format!("a contract is true or false, this is {found}"), help);
        }
    }

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
                    self.contract(e, &env, "for example `ensure spd(result)` or `ensure result > 0 [Pa]`");
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

    /// Binds parameters by their declarations; one without a type may be anything.
    pub(super) fn parameters(&mut self, params: &'p [Param], env: &mut Env) {
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

    pub(super) fn bounds(&mut self, ty: &Ty, bounds: Option<&'p Expr>, env: &Env) {
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
}
