//! What may stand for a closure: a function with its parameters, a net that serves its ports.

use super::Infer;
use super::arguments::Given;
use super::ty::{Env, Ty};
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{DefId, DefKind, Lambda, Param, TypeExprKind};

impl<'p> Infer<'p> {
    /// Holds an implementation against a closure's contract.
    pub(super) fn fit_closure(&mut self, closure: DefId, found: &Ty, span: Span) {
        let p = self.p;
        let DefKind::Closure { params, .. } = &p.def(closure).kind else { return };
        let name = &p.def(closure).name;
        let contract = p.def(closure).span;
        match found {
            Ty::Any | Ty::Symbol(_) | Ty::Net(_) => {}
            Ty::Closure(other) if *other == closure => {}
            Ty::Closure(other) => {
                let other = &p.def(*other).name;
                self.report(
                    Diagnostic::error(
                        "coupling.contract",
                        span,
                        format!("expected an implementation of `{name}`, this one is of `{other}`"),
                    )
                    .label(contract, "the contract asked for"),
                );
            }
            Ty::Lambda(f) => {
                let lambda: &'p Lambda = self.lambdas[f.lambda];
                if lambda.params.len() != params.len() {
                    self.report(
                        Diagnostic::error(
                            "coupling.contract",
                            span,
                            format!(
                                "`{name}` has {} inputs, this function takes {}",
                                params.len(),
                                lambda.params.len()
                            ),
                        )
                        .label(contract, "the contract")
                        .help(format!(
                            "write fn({})",
                            params.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ")
                        )),
                    );
                    return;
                }
                let names = |p: &[Param]| p.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
                let (mut wanted, mut have) = (names(params), names(&lambda.params));
                let order = format!("fn({})", wanted.join(", "));
                let same_order = wanted == have;
                wanted.sort();
                have.sort();
                if !same_order && wanted == have {
                    self.report(
                        Diagnostic::error(
                            "coupling.contract",
                            span,
                            format!("this function takes the inputs of `{name}` in another order"),
                        )
                        .label(contract, "the contract")
                        .note("inputs are passed in the order of the contract, whatever their names")
                        .help(format!("write {order}")),
                    );
                    return;
                }
                self.implementation(closure, lambda, f.env.clone());
            }
            Ty::Def(def) => match &p.def(*def).kind {
                DefKind::Fn(lambda) => {
                    let needed = lambda.params.iter().filter(|p| p.default.is_none()).count();
                    if params.len() > lambda.params.len() || params.len() < needed {
                        self.report(
                            Diagnostic::error(
                                "coupling.contract",
                                span,
                                format!(
                                    "`{name}` has {} inputs, `{}` takes {}",
                                    params.len(),
                                    p.def(*def).name,
                                    lambda.params.len()
                                ),
                            )
                            .label(contract, "the contract"),
                        );
                        return;
                    }
                    let mut env = Env::default();
                    let given = self.ports(closure, span, &mut env);
                    let ty = self.call(found, given, None, span, span);
                    self.result_fits(closure, &ty, span, &env);
                }
                DefKind::Net { hyper, .. } if !hyper.is_empty() => {
                    self.error(
                        "coupling.contract",
                        span,
                        format!("net `{}` needs its sizes before it can serve `{name}`", p.def(*def).name),
                        format!("give them: {}({}=…)", p.def(*def).name, hyper[0].name),
                    );
                }
                _ => self.not_an_implementation(closure, found, span),
            },
            _ => self.not_an_implementation(closure, found, span),
        }
    }

    fn not_an_implementation(&mut self, closure: DefId, found: &Ty, span: Span) {
        let name = &self.p.def(closure).name;
        let found = self.describe(found);
        self.report(
            Diagnostic::error(
                "coupling.contract",
                span,
                format!("expected an implementation of `{name}`, found {found}"),
            )
            .label(self.p.def(closure).span, "the contract")
            .help("an implementation is a function, a net, a table, or what a `minimize` yields"),
        );
    }

    /// The closure's inputs as arguments.
    fn ports(&mut self, closure: DefId, span: Span, env: &mut Env) -> Vec<Given> {
        let DefKind::Closure { params, .. } = &self.p.def(closure).kind else { return vec![] };
        let mut given = vec![];
        for p in params {
            let ty = match &p.ty {
                Some(t) => self.declared(t, env),
                None => Ty::Any,
            };
            env.set(p.local, ty.clone());
            given.push(Given { name: None, ty, span });
        }
        given
    }

    fn implementation(&mut self, closure: DefId, lambda: &'p Lambda, env: Env) {
        let mut ports_env = Env::default();
        let span = lambda.body.result.span;
        let given = self.ports(closure, span, &mut ports_env);
        let mut env = env;
        for (p, g) in lambda.params.iter().zip(given) {
            let ty = match &p.ty {
                Some(t) => {
                    let declared = self.declared(t, &env);
                    self.fit(&declared, &g.ty, p.span, Some(self.p.def(closure).span), false);
                    declared
                }
                None => g.ty,
            };
            env.set(p.local, ty);
        }
        let result_env = env.clone();
        let found = self.block(&lambda.body, env);
        let found = self.declared_or(lambda.result.as_ref(), found, span, &result_env);
        self.result_fits(closure, &found, span, &ports_env);
    }

    fn result_fits(&mut self, closure: DefId, found: &Ty, span: Span, env: &Env) {
        let DefKind::Closure { result, .. } = &self.p.def(closure).kind else { return };
        let declared = self.declared(result, env);
        self.fit(&declared, found, span, Some(result.span), false);
    }

    /// A net of vectors cannot serve a closure of fields.
    pub(super) fn net_serves(&mut self, net: DefId, closure: DefId, span: Span) {
        let p = self.p;
        let (DefKind::Net { lambda, .. }, DefKind::Closure { params, result, .. }) =
            (&p.def(net).kind, &p.def(closure).kind)
        else {
            return;
        };
        let is_field = |k: &TypeExprKind| matches!(k, TypeExprKind::Field { .. });
        let vectors = lambda.params.iter().all(|p| p.ty.as_ref().is_some_and(|t| !is_field(&t.kind)));
        let field_port = params.iter().find(|p| p.ty.as_ref().is_some_and(|t| is_field(&t.kind)));
        let port = match field_port {
            Some(p) => Some((p.name.clone(), p.span)),
            None if is_field(&result.kind) => Some(("the result".into(), result.span)),
            None => None,
        };
        if let (true, Some((port, at))) = (vectors, port) {
            self.report(
                Diagnostic::error(
                    "nets.port",
                    span,
                    format!("net `{}` works on vectors and cannot serve `{}`", p.def(net).name, p.def(closure).name),
                )
                .label(at, format!("{port} is a field"))
                .help("fields need an operator such as cnn, fno or unet"),
            );
        }
    }
}
