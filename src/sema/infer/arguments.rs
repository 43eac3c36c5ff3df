//! Arguments to parameters.

use super::Infer;
use super::ty::{Env, Over, Ty};
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{Arg, Param, TypeExprKind};
use crate::sema::suggest;

/// An argument with its type.
pub struct Given {
    pub name: Option<String>,
    pub ty: Ty,
    pub span: Span,
}

/// What a call may do beyond its parameters.
#[derive(Clone, Copy, Default)]
pub struct Rules {
    /// Further arguments are taken: `report(error=…)`.
    pub variadic: bool,
    /// Scalars may be given as fields: the call is then pointwise.
    pub lifts: bool,
}

impl<'p> Infer<'p> {
    pub(super) fn given(&mut self, args: &'p [Arg], env: &Env) -> Vec<Given> {
        args.iter().map(|a| Given { name: a.name.clone(), ty: self.ty(&a.value, env), span: a.value.span }).collect()
    }

    /// Binds arguments; returns the field that makes the call pointwise, if one does. `env` gets the parameters.
    pub(super) fn bind(
        &mut self,
        callee: &str,
        params: &'p [Param],
        given: &[Given],
        span: Span,
        rules: Rules,
        env: &mut Env,
    ) -> Option<Over> {
        let slots = self.slots(callee, params, given, span, rules);
        let mut lifted = None;
        for (p, slot) in params.iter().zip(slots) {
            let ty = match (slot, &p.default) {
                (Some(g), _) => {
                    let g = &given[g];
                    let (ty, over) = self.bind_one(p, g, rules, env);
                    lifted = self.merge(lifted, over, g.span);
                    ty
                }
                (None, Some(default)) => {
                    let found = self.ty(default, env);
                    match &p.ty {
                        Some(t) if !matches!(found, Ty::Symbol(_)) => {
                            let declared = self.declared(t, env);
                            match (&declared, &found) {
                                (Ty::Domain(_), _) => found,
                                _ => declared,
                            }
                        }
                        _ => found,
                    }
                }
                (None, None) => Ty::Any,
            };
            env.set(p.local, ty);
        }
        lifted
    }

    fn bind_one(&mut self, p: &'p Param, g: &Given, rules: Rules, env: &Env) -> (Ty, Option<Over>) {
        let Some(t) = &p.ty else { return (g.ty.clone(), None) };
        if let TypeExprKind::Domain(_) = t.kind {
            let declared = self.declared(t, env);
            self.fit(&declared, &g.ty, g.span, Some(p.span), false);
            return (g.ty.clone(), None);
        }
        let declared = self.declared(t, env);
        let over = self.fit(&declared, &g.ty, g.span, Some(p.span), rules.lifts);
        let ty = match (&declared, &g.ty) {
            // The domain that was given, where the declaration leaves it open.
            (Ty::Num(d), Ty::Num(f)) if d.field == Some(Over::Open) => {
                let mut d = d.clone();
                d.field = f.field.or(d.field);
                Ty::Num(d)
            }
            _ => declared,
        };
        (self.over(ty, over), over)
    }

    /// Which argument each parameter gets.
    fn slots(
        &mut self,
        callee: &str,
        params: &[Param],
        given: &[Given],
        span: Span,
        rules: Rules,
    ) -> Vec<Option<usize>> {
        let mut slots: Vec<Option<usize>> = vec![None; params.len()];
        for (g, arg) in given.iter().enumerate() {
            match &arg.name {
                None => {
                    let free = (0..params.len()).find(|&i| slots[i].is_none() && !params[i].state);
                    match free {
                        Some(i) => slots[i] = Some(g),
                        None if rules.variadic => {}
                        None => {
                            let takes = params.iter().filter(|p| !p.state).count();
                            self.error(
                                "shapes.arguments",
                                arg.span,
                                format!("`{callee}` takes {takes} argument{}", if takes == 1 { "" } else { "s" }),
                                signature(callee, params),
                            );
                            return slots;
                        }
                    }
                }
                Some(name) => match params.iter().position(|p| p.name == *name) {
                    Some(i) if slots[i].is_some() => self.error(
                        "shapes.arguments",
                        arg.span,
                        format!("argument `{name}` of `{callee}` is given twice"),
                        signature(callee, params),
                    ),
                    Some(i) => slots[i] = Some(g),
                    None if rules.variadic => {}
                    None => {
                        let known: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
                        let help = suggest::nearest(name, known.iter().copied())
                            .map_or_else(|| signature(callee, params), |n| format!("did you mean `{n}`?"));
                        self.error("names.argument", arg.span, format!("`{callee}` has no parameter `{name}`"), help);
                    }
                },
            }
        }
        let missing = params.iter().zip(&slots).find(|(p, s)| s.is_none() && p.default.is_none() && !p.state);
        if let Some((p, _)) = missing {
            self.report(
                Diagnostic::error("shapes.arguments", span, format!("`{callee}` needs its argument `{}`", p.name))
                    .help(signature(callee, params)),
            );
        }
        slots
    }
}

/// `fem(order, n, h)` as a reminder.
fn signature(callee: &str, params: &[Param]) -> String {
    let names: Vec<&str> = params.iter().filter(|p| !p.state).map(|p| p.name.as_str()).collect();
    format!("its parameters are {callee}({})", names.join(", "))
}
