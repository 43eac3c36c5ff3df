//! Declared types.

use super::Resolver;
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{LocalId, Param, TypeExpr, TypeExprKind};
use crate::sema::suggest;
use crate::syntax::ast::{self, ExprKind, ItemKind};

const BUILT_IN: [&str; 9] = ["Real", "Int", "Bool", "Str", "Vec", "Mat", "Sym", "Stiff", "Field"];

impl<'a> Resolver<'a> {
    pub(super) fn ty(&mut self, ty: &ast::Type) -> TypeExpr {
        let unit = ty.unit.as_ref().map(|u| self.unit(u, false));
        let kind = match &ty.path {
            None => TypeExprKind::Real,
            Some(path) => match path.segments.as_slice() {
                [name] => self.type_named(name, &ty.args, ty.span),
                [system, unknown] => self.unknown_of(system, unknown),
                _ => {
                    self.unknown_type(&path.segments[0]);
                    TypeExprKind::Error
                }
            },
        };
        if unit.is_some()
            && matches!(
                kind,
                TypeExprKind::Int
                    | TypeExprKind::Bool
                    | TypeExprKind::Str
                    | TypeExprKind::Closure(_)
                    | TypeExprKind::Domain(_)
            )
        {
            self.report(
                Diagnostic::error("units.misplaced", ty.span, "this type has no unit")
                    .help("only reals, vectors, tensors and fields of them carry units"),
            );
        }
        TypeExpr { kind, unit, span: ty.span }
    }

    fn type_named(&mut self, name: &ast::Ident, args: &[ast::Expr], span: Span) -> TypeExprKind {
        let boxed = |r: &mut Self, e: &ast::Expr| Box::new(r.size(e));

        match (name.name.as_str(), args) {
            ("Real", []) => TypeExprKind::Real,
            ("Int", []) => TypeExprKind::Int,
            ("Bool", []) => TypeExprKind::Bool,
            ("Str", []) => TypeExprKind::Str,
            ("Vec", []) => TypeExprKind::Vec(None),
            ("Vec", [n]) => TypeExprKind::Vec(Some(boxed(self, n))),
            ("Mat", [m, n]) => TypeExprKind::Mat(boxed(self, m), boxed(self, n)),
            ("Sym", []) => TypeExprKind::Sym(None),
            ("Sym", [n]) => TypeExprKind::Sym(Some(boxed(self, n))),
            ("Stiff", []) => TypeExprKind::Stiff(None),
            ("Stiff", [n]) => TypeExprKind::Stiff(Some(boxed(self, n))),
            ("Domain", []) => TypeExprKind::Domain(None),
            ("Domain", [n]) => TypeExprKind::Domain(Some(boxed(self, n))),
            ("Field", [domain]) => {
                let element = TypeExpr { kind: TypeExprKind::Real, unit: None, span };
                TypeExprKind::Field { domain: Box::new(self.size(domain)), element: Box::new(element) }
            }
            ("Field", [domain, element]) => {
                let domain = Box::new(self.size(domain));
                TypeExprKind::Field { domain, element: Box::new(self.element(element)) }
            }
            (known, _) if BUILT_IN.contains(&known) || known == "Domain" => {
                let usage = match known {
                    "Mat" => "Mat(rows, columns)",
                    "Field" => "Field(Ω) or Field(Ω, Vec)",
                    "Vec" | "Sym" | "Stiff" | "Domain" => "one size, as in Vec(3)",
                    _ => "no arguments",
                };
                self.report(
                    Diagnostic::error("shapes.arguments", span, format!("`{known}` is given {} arguments", args.len()))
                        .help(format!("it takes {usage}")),
                );
                TypeExprKind::Error
            }
            _ => match self.lookup_def(&name.name) {
                Some(id) if matches!(self.origins[id.index()].kind, ItemKind::Closure { .. }) => {
                    TypeExprKind::Closure(id)
                }
                Some(id) if matches!(self.origins[id.index()].kind, ItemKind::Error) => TypeExprKind::Error,
                Some(id) => {
                    let defined = self.program.def(id).span;
                    self.report(
                        Diagnostic::error("names.kind", name.span, format!("`{}` is not a type", name.name))
                            .label(defined, "it is defined here")
                            .help("types are Real, Int, Bool, Str, Vec, Mat, Sym, Stiff, Field, Domain, a unit in brackets, or a closure"),
                    );
                    TypeExprKind::Error
                }
                None => {
                    self.unknown_type(name);
                    TypeExprKind::Error
                }
            },
        }
    }

    fn unknown_type(&mut self, name: &ast::Ident) {
        let names = &self.program.modules[self.module.index()].names;
        let closures = names.iter().filter(|(_, id)| matches!(self.origins[id.index()].kind, ItemKind::Closure { .. }));
        let mut known: Vec<&str> = closures.map(|(n, _)| n.as_str()).collect();
        known.extend(BUILT_IN);
        known.push("Domain");
        let near = suggest::nearest(&name.name, known).map(|n| format!("did you mean `{n}`?"));
        let mut d = Diagnostic::error("names.type", name.span, format!("there is no type `{}`", name.name));
        d.help = near.or_else(|| Some("a number's type is its unit in brackets: `[W/m/K]`; `[1]` has none".into()));
        self.report(d);
    }

    /// `Burgers.u`
    fn unknown_of(&mut self, system: &ast::Ident, unknown: &ast::Ident) -> TypeExprKind {
        let Some(id) = self.lookup_def(&system.name) else {
            self.unknown_type(system);
            return TypeExprKind::Error;
        };
        let Some(scope) = self.systems.get(&id) else {
            self.report(Diagnostic::error("names.kind", system.span, format!("`{}` is not a system", system.name)));
            return TypeExprKind::Error;
        };
        let known: Vec<String> = scope.names().map(str::to_string).collect();
        if !known.contains(&unknown.name) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let mut d = Diagnostic::error(
                "names.unknown",
                unknown.span,
                format!("system `{}` has no unknown `{}`", system.name, unknown.name),
            );
            d.help = suggest::help(&unknown.name, &known);
            self.report(d);
            return TypeExprKind::Error;
        }
        TypeExprKind::UnknownOf { system: id, unknown: unknown.name.clone() }
    }

    /// What stands in the parentheses of a type: there, unknown names are bound by the argument's shape.
    fn size(&mut self, e: &ast::Expr) -> crate::sema::hir::Expr {
        if let (ExprKind::Name(name), Some(_)) = (&e.kind, &self.implicit) {
            let own = &self.program.modules[self.module.index()].names;
            if self.scopes.find(&name.name).is_none() && !own.contains_key(&name.name) {
                let local = self.bind(name);
                if let Some(implicit) = &mut self.implicit {
                    implicit.push(local);
                }
            }
        }
        self.expr(e)
    }

    /// `Vec` or `Sym(2)`, parsed as an expression.
    fn element(&mut self, e: &ast::Expr) -> TypeExpr {
        let kind = match &e.kind {
            ExprKind::Name(name) => self.type_named(name, &[], e.span),
            ExprKind::Call { callee, args } => match &callee.kind {
                ExprKind::Name(name) => {
                    let args: Vec<ast::Expr> = args.iter().map(|a| a.value.clone()).collect();
                    self.type_named(name, &args, e.span)
                }
                _ => self.not_a_type(e.span),
            },
            _ => self.not_a_type(e.span),
        };
        TypeExpr { kind, unit: None, span: e.span }
    }

    fn not_a_type(&mut self, span: Span) -> TypeExprKind {
        self.report(Diagnostic::error("names.type", span, "expected a type").help("for example Vec or Sym(2)"));
        TypeExprKind::Error
    }

    /// Parameters, each bound for those after it; returns sizes that their types bind.
    pub(super) fn params(&mut self, params: &[ast::Param], sizes: bool) -> (Vec<Param>, Vec<LocalId>) {
        let mut implicit = vec![];
        let mut out: Vec<Param> = vec![];
        for p in params {
            if sizes {
                self.implicit = Some(vec![]);
            }
            let ty = p.ty.as_ref().map(|t| self.ty(t));
            implicit.extend(self.implicit.take().unwrap_or_default());
            let default = p.default.as_ref().map(|e| self.expr(e));
            if let Some(first) = out.iter().find(|q| q.name == p.name.name) {
                let first = first.span;
                self.duplicate(&p.name, first, "parameter");
            }
            let local = self.bind(&p.name);
            out.push(Param { local, name: p.name.name.clone(), span: p.name.span, state: p.state, ty, default });
        }
        (out, implicit)
    }

    pub(super) fn duplicate(&mut self, name: &ast::Ident, first: Span, what: &str) {
        self.report(
            Diagnostic::error("names.duplicate", name.span, format!("{what} `{}` is defined twice", name.name))
                .here("the second definition")
                .label(first, "the first one")
                .help("rename one of them"),
        );
    }
}
