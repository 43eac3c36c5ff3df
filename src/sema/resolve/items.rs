//! Second pass: the body of every item.

use super::Resolver;
use crate::base::{Diagnostic, FileId};
use crate::sema::hir::{
    Dataset, DefId, DefKind, Expr, LocalId, MinimizeStmt, MinimizeStmtKind, Param, Place, Row, StudyStmt,
    StudyStmtKind, System, SystemStmt, SystemStmtKind, TypeExpr, TypeExprKind,
};
use crate::sema::suggest;
use crate::syntax::ast::{self, ItemKind};

impl<'a> Resolver<'a> {
    pub(super) fn item(&mut self, id: DefId) {
        self.module = self.program.def(id).module;
        let item: &'a ast::Item = self.origins[id.index()];
        let kind = match &item.kind {
            ItemKind::Use { .. } | ItemKind::Error => DefKind::Error,
            // Done before, since types need them.
            ItemKind::Unit { .. } | ItemKind::Dim { .. } => return,
            ItemKind::Param { ty, value, bounds, .. } => DefKind::Param {
                ty: ty.as_ref().map(|t| self.ty(t)),
                value: self.expr(value),
                bounds: bounds.as_ref().map(|b| self.expr(b)),
            },
            ItemKind::Let(l) => DefKind::Let { ty: l.ty.as_ref().map(|t| self.ty(t)), value: self.expr(&l.value) },
            ItemKind::Fn { params, result, body, .. } => DefKind::Fn(self.lambda(params, result.as_ref(), body)),
            ItemKind::Net { hyper, params, result, body, .. } => {
                self.scopes.open();
                let (hyper, _) = self.params(hyper, false);
                let lambda = self.lambda(params, Some(result), body);
                self.scopes.close();
                DefKind::Net { hyper, lambda }
            }
            ItemKind::Closure { name, params, result, ensures } => {
                self.scopes.open();
                let (params, _) = self.params(params, false);
                let result = self.ty(result);
                let ident = ast::Ident { name: "result".into(), span: name.span };
                let result_local = self.bind(&ident);
                let ensures = ensures.iter().map(|e| self.expr(e)).collect();
                self.scopes.close();
                DefKind::Closure { params, result, ensures, result_local }
            }
            ItemKind::System { params, body, .. } => DefKind::System(self.system(id, params, body)),
            ItemKind::Dataset(d) => DefKind::Dataset(self.dataset(d)),
            ItemKind::Minimize { params, body, .. } => {
                self.scopes.open();
                let (params, _) = self.params(params, false);
                let stmts = body.iter().filter_map(|s| self.minimize_stmt(s)).collect();
                self.scopes.close();
                DefKind::Minimize { params, stmts }
            }
            ItemKind::Study { params, body, .. } => {
                self.scopes.open();
                let (params, _) = self.params(params, false);
                let stmts = self.study_stmts(body);
                self.scopes.close();
                DefKind::Study { params, stmts }
            }
            ItemKind::Scale { ranges, .. } => {
                DefKind::Scale { ranges: ranges.iter().map(|(n, e)| (n.name.clone(), self.expr(e))).collect() }
            }
        };
        self.def_mut(id).kind = kind;
    }

    fn system(&mut self, id: DefId, params: &[ast::Param], body: &'a [ast::SystemStmt]) -> System {
        self.scopes.open();
        let (params, _): (Vec<Param>, _) = self.params(params, false);
        let by_stmt = self.systems.get(&id).map(|s| s.by_stmt.clone()).unwrap_or_default();
        // Unknowns are known throughout; lets and what an `include` brings, after their statement.
        for (stmt, binds) in body.iter().zip(&by_stmt) {
            if let (ast::SystemStmtKind::Unknown { name, .. }, Some(local)) = (&stmt.kind, binds.own) {
                self.scopes.bind(&name.name, local);
            }
        }
        let later = body.iter().filter_map(|s| match &s.kind {
            ast::SystemStmtKind::Let(l) => Some((l.name.name.clone(), l.name.span)),
            _ => None,
        });
        self.scopes.set_later(later.collect());
        let mut stmts = vec![];
        for (stmt, binds) in body.iter().zip(by_stmt) {
            let kind = match &stmt.kind {
                ast::SystemStmtKind::Unknown { name, ty, nominal } => {
                    let Some(local) = binds.own else { continue };
                    let ty = self.ty(ty);
                    let nominal = nominal.as_ref().map(|e| self.expr(e));
                    SystemStmtKind::Unknown { local, name: name.name.clone(), ty, nominal }
                }
                ast::SystemStmtKind::Let(l) => {
                    let Some(local) = binds.own else { continue };
                    let ty = l.ty.as_ref().map(|t| self.ty(t));
                    let value = self.expr(&l.value);
                    self.scopes.bind(&l.name.name, local);
                    SystemStmtKind::Let { local, ty, value }
                }
                ast::SystemStmtKind::Include { args, .. } => {
                    let args = self.args(args);
                    let Some((system, bound)) = binds.included else { continue };
                    for (name, here, _) in &bound {
                        self.scopes.bind(name, *here);
                    }
                    let binds = bound.into_iter().map(|(_, here, there)| (here, there)).collect();
                    SystemStmtKind::Include { system, args, binds }
                }
                ast::SystemStmtKind::Eq { name, equation } => {
                    let (lhs, rhs) = self.equation(equation);
                    SystemStmtKind::Eq { name: name.name.clone(), lhs, rhs }
                }
                ast::SystemStmtKind::Weak { name, equation } => {
                    let (lhs, rhs) = self.equation(equation);
                    SystemStmtKind::Weak { name: name.name.clone(), lhs, rhs }
                }
                ast::SystemStmtKind::On { places, equation } => {
                    let places = places.iter().filter_map(|p| self.place(p)).collect();
                    let (lhs, rhs) = self.equation(equation);
                    SystemStmtKind::On { places, lhs, rhs }
                }
                ast::SystemStmtKind::Init(equation) => {
                    let (lhs, rhs) = self.equation(equation);
                    SystemStmtKind::Init { lhs, rhs }
                }
                ast::SystemStmtKind::Ensure { name, claim } => {
                    SystemStmtKind::Ensure { name: name.name.clone(), claim: self.expr(claim) }
                }
                ast::SystemStmtKind::Error => continue,
            };
            stmts.push(SystemStmt { span: stmt.span, kind });
        }
        self.scopes.set_later(vec![]);
        self.scopes.close();
        let incomplete = body.iter().any(|s| matches!(s.kind, ast::SystemStmtKind::Error));
        System { params, stmts, incomplete }
    }

    fn equation(&mut self, e: &ast::Equation) -> (Expr, Expr) {
        (self.expr(&e.lhs), self.expr(&e.rhs))
    }

    /// `Ω.left`
    fn place(&mut self, path: &ast::Path) -> Option<Place> {
        let (part, domain) = path.segments.split_last()?;
        let Some((first, rest)) = domain.split_first() else {
            self.report(
                Diagnostic::error(
                    "pde.boundary.place",
                    path.span,
                    format!("`{}` does not say of which domain", part.name),
                )
                .help(format!("write the domain before it: Ω.{}", part.name)),
            );
            return None;
        };
        let base = ast::Expr { kind: ast::ExprKind::Name(first.clone()), span: first.span };
        let base = rest.iter().fold(base, |base, name| ast::Expr {
            span: first.span.to(name.span),
            kind: ast::ExprKind::Member { base: Box::new(base), name: name.clone() },
        });
        Some(Place { domain: self.expr(&base), part: part.name.clone(), span: path.span })
    }

    fn dataset(&mut self, d: &ast::Dataset) -> Dataset {
        self.scopes.open();
        let (params, _) = self.params(&d.params, false);
        let mut rows = vec![];
        for row in &d.rows {
            let value = self.expr(&row.value);
            self.check_fresh(&row.name);
            let local = self.bind(&row.name);
            rows.push(Row { local, name: row.name.name.clone(), draw: row.draw, value, span: row.span });
        }
        self.scopes.close();
        Dataset { params, rows }
    }

    fn minimize_stmt(&mut self, s: &ast::MinimizeStmt) -> Option<MinimizeStmt> {
        let kind = match &s.kind {
            ast::MinimizeStmtKind::Over { name, ty, value, bounds } => {
                let ty = ty.as_ref().map(|t| self.ty(t));
                let value = self.expr(value);
                let bounds = bounds.as_ref().map(|b| self.expr(b));
                self.check_fresh(name);
                MinimizeStmtKind::Over { local: self.bind(name), name: name.name.clone(), ty, value, bounds }
            }
            ast::MinimizeStmtKind::Let(l) => {
                let (local, ty, value) = self.let_stmt(l);
                MinimizeStmtKind::Let { local, name: l.name.name.clone(), ty, value }
            }
            ast::MinimizeStmtKind::Loss { name, params, value } => {
                self.scopes.open();
                let (params, _) = self.params(params, false);
                let value = self.expr(value);
                self.scopes.close();
                self.check_fresh(name);
                MinimizeStmtKind::Loss { local: self.bind(name), name: name.name.clone(), params, value }
            }
            ast::MinimizeStmtKind::Subject { name, value } => {
                MinimizeStmtKind::Subject { name: name.name.clone(), value: self.expr(value) }
            }
            ast::MinimizeStmtKind::Stage(e) => MinimizeStmtKind::Stage(self.expr(e)),
            ast::MinimizeStmtKind::Error => return None,
        };
        Some(MinimizeStmt { span: s.span, kind })
    }

    fn study_stmts(&mut self, body: &[ast::StudyStmt]) -> Vec<StudyStmt> {
        let mut out = vec![];
        for s in body {
            let kind = match &s.kind {
                ast::StudyStmtKind::Let(l) => {
                    let (local, ty, value) = self.let_stmt(l);
                    StudyStmtKind::Let { local, ty, value }
                }
                ast::StudyStmtKind::Dataset(d) => {
                    let dataset = self.dataset(d);
                    self.check_fresh(&d.name);
                    StudyStmtKind::Dataset { local: self.bind(&d.name), dataset }
                }
                ast::StudyStmtKind::Check(e) => StudyStmtKind::Check(self.expr(e)),
                ast::StudyStmtKind::For { var, source, body } => {
                    let source = self.expr(source);
                    self.scopes.open();
                    let var: LocalId = self.bind(var);
                    let body = self.study_stmts(body);
                    self.scopes.close();
                    StudyStmtKind::For { var, source, body }
                }
                ast::StudyStmtKind::Call(e) => StudyStmtKind::Call(self.expr(e)),
                ast::StudyStmtKind::Error => continue,
            };
            out.push(StudyStmt { span: s.span, kind });
        }
        out
    }

    /// `--set name=value`: the value takes the place of the parameter's own, under the same type.
    pub(super) fn overrides(&mut self, given: &[(String, ast::File, FileId)]) {
        self.module = self.program.root;
        for (name, tree, file) in given {
            let whole = crate::base::Span::new(*file, 0, self.program.sources.get(*file).text.len());
            let names = &self.program.modules[self.program.root.index()].names;
            let param = names.get(name).copied().filter(|d| matches!(self.program.def(*d).kind, DefKind::Param { .. }));
            let Some(id) = param else {
                let is_param = |d: &&DefId| matches!(self.program.def(**d).kind, DefKind::Param { .. });
                let known: Vec<&str> = names.iter().filter(|(_, d)| is_param(d)).map(|(n, _)| n.as_str()).collect();
                let mut d = Diagnostic::error("set.unknown", whole, format!("there is no parameter `{name}`"));
                d.help = suggest::help(name, &known).or_else(|| Some("this program has no parameters".into()));
                self.report(d);
                continue;
            };
            let Some(ItemKind::Param { value, .. }) = tree.items.first().map(|i| &i.kind) else { continue };
            let value = self.expr(value);
            if let DefKind::Param { ty, value: old, .. } = &mut self.program.defs[id.index()].kind {
                if ty.is_none() {
                    *ty = type_of_literal(old);
                }
                *old = value;
            }
        }
    }
}

/// The type that a parameter without a written one has from its value.
fn type_of_literal(e: &Expr) -> Option<TypeExpr> {
    use crate::base::Unit;
    use crate::sema::hir::ExprKind;
    let (kind, unit) = match &e.kind {
        ExprKind::Number { integer: true, .. } => (TypeExprKind::Int, None),
        ExprKind::Number { dimension, .. } => (TypeExprKind::Real, Some(Unit::new(dimension.clone(), 1.0))),
        ExprKind::Bool(_) => (TypeExprKind::Bool, None),
        ExprKind::Str(_) => (TypeExprKind::Str, None),
        _ => return None,
    };
    Some(TypeExpr { kind, unit, span: e.span })
}
