//! Calls: of functions, closures, nets, systems, datasets, fields.

use super::Infer;
use super::arguments::{Given, Rules};
use super::library;
use super::ty::{Env, Num, Over, Ty};
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{Arg, DefId, DefKind, Expr, ExprKind, Lambda};
use crate::sema::types::Rank;
use std::rc::Rc;

/// Calls nest no deeper than this.
const MAX_CALLS: usize = 64;

impl<'p> Infer<'p> {
    pub(super) fn call_expr(&mut self, callee: &'p Expr, args: &'p [Arg], span: Span, env: &Env) -> Ty {
        let function = self.ty(callee, env);
        let given = self.given(args, env);
        self.call(&function, given, Some(args), callee.span, span)
    }

    /// `args` are the expressions behind `given`, where the call stands in the program.
    pub(super) fn call(
        &mut self,
        function: &Ty,
        given: Vec<Given>,
        args: Option<&'p [Arg]>,
        callee_span: Span,
        span: Span,
    ) -> Ty {
        match function {
            Ty::Any | Ty::Symbol(_) | Ty::Net(_) => Ty::Any,
            Ty::Def(id) => self.call_def(*id, given, args, span),
            Ty::Closure(id) => self.call_closure(*id, &given, span),
            Ty::Lambda(f) => {
                let lambda = self.lambdas[f.lambda];
                let mut env = f.env.clone();
                let rules = Rules { lifts: true, ..Rules::default() };
                let over = self.bind("this function", &lambda.params, &given, span, rules, &mut env);
                let ty = self.body(lambda, env);
                self.over(ty, over)
            }
            Ty::Num(n) if n.rank.is_none() => Ty::Any,
            Ty::Num(n) if n.field.is_some() => self.at_point(n, &given, span),
            other => {
                let found = self.describe(other);
                self.error(
                    "shapes.call",
                    callee_span,
                    format!("{found} is not a function"),
                    "a product is written with `*`",
                );
                Ty::Any
            }
        }
    }

    /// The body of a lambda whose parameters are bound in `env`.
    fn body(&mut self, lambda: &'p Lambda, env: Env) -> Ty {
        if self.calls.len() > MAX_CALLS {
            return Ty::Any;
        }
        let result_env = env.clone();
        let found = self.block(&lambda.body, env);
        let span = lambda.body.result.span;
        self.declared_or(lambda.result.as_ref(), found, span, &result_env)
    }

    /// The value of a field at a point.
    fn at_point(&mut self, n: &Num, given: &[Given], span: Span) -> Ty {
        let mut over = None;
        for g in given {
            if let Ty::Num(a) = &g.ty {
                over = self.merge(over, a.field, g.span);
            }
        }
        if let Some(Over::Domain(id)) = n.field {
            let info = self.domain_info(id).clone();
            let space = info.space.unwrap_or(3);
            if given.len() > space + 1 || given.is_empty() {
                self.error(
                    "shapes.arguments",
                    span,
                    format!("a field over `{}` is read at {space} coordinates (and a time)", info.name),
                    "",
                );
            }
            for g in given.iter().take(space) {
                if let Ty::Num(a) = &g.ty {
                    let a = a.clone();
                    self.unify_dims(&info.length, &a.dim, g.span, "units.mismatch", |s| {
                        format!(
                            "coordinates of `{}` are in {}, this is in {}",
                            info.name,
                            s.show(&info.length),
                            s.show(&a.dim)
                        )
                    });
                }
            }
        }
        Ty::Num(Num { field: over, ..n.clone() })
    }

    fn call_closure(&mut self, id: DefId, given: &[Given], span: Span) -> Ty {
        let p = self.p;
        let DefKind::Closure { params, result, .. } = &p.def(id).kind else { return Ty::Any };
        let mut env = Env::default();
        let rules = Rules { lifts: true, ..Rules::default() };
        let over = self.bind(&p.def(id).name, params, given, span, rules, &mut env);
        let ty = self.declared(result, &env);
        self.over(ty, over)
    }

    fn call_def(&mut self, id: DefId, given: Vec<Given>, args: Option<&'p [Arg]>, span: Span) -> Ty {
        let p = self.p;
        let name = &p.def(id).name;
        match &p.def(id).kind {
            DefKind::Fn(lambda) => self.call_fn(id, lambda, &given, args, span),
            DefKind::Net { hyper, .. } => {
                self.bind(name, hyper, &given, span, Rules::default(), &mut Env::default());
                Ty::Net(id)
            }
            DefKind::System(system) => {
                let mut env = Env::default();
                self.bind(name, &system.params, &given, span, Rules::default(), &mut env);
                match self.walk(id, span, |s| s.system_body(system, env)) {
                    Some(problem) => Ty::Problem(id, Rc::new(problem)),
                    None => Ty::Any,
                }
            }
            DefKind::Dataset(d) => {
                let mut env = Env::default();
                self.bind(name, &d.params, &given, span, Rules::default(), &mut env);
                match self.walk(id, span, |s| s.dataset_body(d, env)) {
                    Some(members) => Ty::Dataset(id, Rc::new(members)),
                    None => Ty::Any,
                }
            }
            DefKind::Minimize { params, stmts } => {
                let mut env = Env::default();
                self.bind(name, params, &given, span, Rules::default(), &mut env);
                match self.walk(id, span, |s| s.minimize_body(stmts, env)) {
                    Some(members) => Ty::Artefact(id, Rc::new(members)),
                    None => Ty::Any,
                }
            }
            DefKind::Closure { .. } => {
                self.error(
                    "names.kind",
                    span,
                    format!("`{name}` is the contract of a closure, not one of its implementations"),
                    format!("declare one: let f: {name} = fn(…) {{ … }}"),
                );
                Ty::Any
            }
            DefKind::Study { .. } => {
                self.error("names.kind", span, format!("`{name}` is a study: it is run, not called"), "");
                Ty::Any
            }
            _ => Ty::Any,
        }
    }

    fn call_fn(&mut self, id: DefId, lambda: &'p Lambda, given: &[Given], args: Option<&'p [Arg]>, span: Span) -> Ty {
        let p = self.p;
        let name = &p.def(id).name;
        let library = p.modules[p.def(id).module.index()].name.starts_with("std.");
        let rules = Rules { lifts: true, variadic: library && library::VARIADIC.contains(&name.as_str()) };
        let mut env = Env::default();
        let over = self.bind(name, &lambda.params, given, span, rules, &mut env);
        if library && let Some(ty) = self.library(name, lambda, &env, given, args, span) {
            return ty;
        }
        let typed = lambda.params.iter().all(|p| p.ty.is_some());
        let intrinsic = matches!(lambda.body.result.kind, ExprKind::Intrinsic);
        if let (Some(result), true) = (&lambda.result, typed || intrinsic) {
            let ty = self.declared(result, &env);
            if let (true, Ty::Num(r), Some(Ty::Num(a))) = (self.in_net, &ty, given.first().map(|g| &g.ty))
                && r.rank == Some(Rank::Scalar)
            {
                return Ty::Num(Num { rank: a.rank, ..r.clone() });
            }
            return self.over(ty, over);
        }
        if intrinsic {
            return Ty::Any;
        }
        match self.walk(id, span, |s| s.body(lambda, env)) {
            Some(ty) => self.over(ty, over),
            None => Ty::Any,
        }
    }

    /// Walks a body for one call. What goes wrong inside for these arguments is said at the call.
    fn walk<T>(&mut self, id: DefId, span: Span, f: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let name = &self.p.def(id).name;
        if self.calls.contains(&id) || self.calls.len() > MAX_CALLS {
            self.error(
                "names.cycle",
                span,
                format!("`{name}` is called inside itself"),
                "there is no recursion; a repetition is a list over a range: [… for i in 1..n]",
            );
            return None;
        }
        self.calls.push(id);
        let mark = self.diagnostics.len();
        let out = f(self);
        self.calls.pop();
        let inner = self.diagnostics.split_off(mark);
        for d in inner {
            let known =
                self.diagnostics.iter().any(|k| k.code == d.code && k.labels.iter().any(|l| l.span == d.span()));
            if known {
                continue;
            }
            if !self.inside(id, d.span()) {
                self.diagnostics.push(d);
                continue;
            }
            let mut outer = Diagnostic {
                severity: d.severity,
                ..Diagnostic::error(d.code, span, format!("in this call of `{name}`: {}", d.message))
            };
            let fatal = d.is_error();
            outer.note = d.note;
            outer.help = d.help;
            for l in d.labels {
                let text = if l.text.is_empty() { format!("inside `{name}`") } else { l.text };
                outer = outer.label(l.span, text);
            }
            self.diagnostics.push(outer);
            if fatal {
                // One reason is enough for one call.
                break;
            }
        }
        Some(out)
    }

    /// Whether a place is in the file region that defines `id` (its body follows its name).
    fn inside(&self, id: DefId, span: Span) -> bool {
        let def = self.p.def(id);
        let next = self
            .p
            .defs
            .iter()
            .filter(|d| d.module == def.module && d.span.start > def.span.start)
            .map(|d| d.span.start)
            .min()
            .unwrap_or(u32::MAX);
        span.file == def.span.file && span.start >= def.span.start && span.start < next
    }
}
