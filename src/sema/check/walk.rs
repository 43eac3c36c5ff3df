//! Every expression of a definition, from the outside in.

use crate::sema::hir::{
    Block, BlockStmt, Dataset, Def, DefKind, Expr, ExprKind, Lambda, MinimizeStmtKind, Param, StudyStmt, StudyStmtKind,
    SystemStmtKind, TypeExpr, TypeExprKind,
};

type Visit<'a, 'p> = &'a mut dyn FnMut(&'p Expr);

/// Visits the expressions of a definition, those in types included.
pub fn def<'p>(def: &'p Def, f: Visit<'_, 'p>) {
    match &def.kind {
        DefKind::Param { ty: t, value, bounds } => {
            ty(t.as_ref(), f);
            expr(value, f);
            bounds.iter().for_each(|b| expr(b, f));
        }
        DefKind::Let { ty: t, value } => {
            ty(t.as_ref(), f);
            expr(value, f);
        }
        DefKind::Fn(l) => lambda(l, f),
        DefKind::Net { hyper, lambda: l } => {
            params(hyper, f);
            lambda(l, f);
        }
        DefKind::Closure { params: p, result, ensures, .. } => {
            params(p, f);
            ty(Some(result), f);
            ensures.iter().for_each(|e| expr(e, f));
        }
        DefKind::System(s) => {
            params(&s.params, f);
            for stmt in &s.stmts {
                match &stmt.kind {
                    SystemStmtKind::Unknown { ty: t, nominal, .. } => {
                        ty(Some(t), f);
                        nominal.iter().for_each(|e| expr(e, f));
                    }
                    SystemStmtKind::Include { args, .. } => args.iter().for_each(|a| expr(&a.value, f)),
                    SystemStmtKind::Let { ty: t, value, .. } => {
                        ty(t.as_ref(), f);
                        expr(value, f);
                    }
                    SystemStmtKind::Eq { lhs, rhs, .. }
                    | SystemStmtKind::Weak { lhs, rhs, .. }
                    | SystemStmtKind::Init { lhs, rhs } => {
                        expr(lhs, f);
                        expr(rhs, f);
                    }
                    SystemStmtKind::Ensure { claim, .. } => expr(claim, f),
                    SystemStmtKind::On { places, lhs, rhs } => {
                        places.iter().for_each(|p| expr(&p.domain, f));
                        expr(lhs, f);
                        expr(rhs, f);
                    }
                }
            }
        }
        DefKind::Dataset(d) => dataset(d, f),
        DefKind::Minimize { params: p, stmts } => {
            params(p, f);
            for stmt in stmts {
                match &stmt.kind {
                    MinimizeStmtKind::Over { ty: t, value, bounds, .. } => {
                        ty(t.as_ref(), f);
                        expr(value, f);
                        bounds.iter().for_each(|b| expr(b, f));
                    }
                    MinimizeStmtKind::Let { ty: t, value, .. } => {
                        ty(t.as_ref(), f);
                        expr(value, f);
                    }
                    MinimizeStmtKind::Loss { params: p, value, .. } => {
                        params(p, f);
                        expr(value, f);
                    }
                    MinimizeStmtKind::Subject { value, .. } => expr(value, f),
                    MinimizeStmtKind::Stage(e) => expr(e, f),
                }
            }
        }
        DefKind::Study { params: p, stmts } => {
            params(p, f);
            study(stmts, f);
        }
        DefKind::Scale { ranges } => ranges.iter().for_each(|(_, e)| expr(e, f)),
        DefKind::Unit(_) | DefKind::Dim(_) | DefKind::Error => {}
    }
}

fn dataset<'p>(d: &'p Dataset, f: Visit<'_, 'p>) {
    params(&d.params, f);
    d.rows.iter().for_each(|r| expr(&r.value, f));
}

fn study<'p>(stmts: &'p [StudyStmt], f: Visit<'_, 'p>) {
    for s in stmts {
        match &s.kind {
            StudyStmtKind::Let { ty: t, value, .. } => {
                ty(t.as_ref(), f);
                expr(value, f);
            }
            StudyStmtKind::Dataset { dataset: d, .. } => dataset(d, f),
            StudyStmtKind::Check(e) | StudyStmtKind::Call(e) => expr(e, f),
            StudyStmtKind::For { source, body, .. } => {
                expr(source, f);
                study(body, f);
            }
        }
    }
}

fn params<'p>(params: &'p [Param], f: Visit<'_, 'p>) {
    for p in params {
        ty(p.ty.as_ref(), f);
        p.default.iter().for_each(|e| expr(e, f));
    }
}

fn lambda<'p>(l: &'p Lambda, f: Visit<'_, 'p>) {
    params(&l.params, f);
    ty(l.result.as_ref(), f);
    block(&l.body, f);
}

/// Visits the statements of a block and its result.
pub fn block<'p>(b: &'p Block, f: Visit<'_, 'p>) {
    for s in &b.stmts {
        match s {
            BlockStmt::Let { ty: t, value, .. } => {
                ty(t.as_ref(), f);
                expr(value, f);
            }
            BlockStmt::Weight { ty: t, init, .. } => {
                ty(Some(t), f);
                expr(init, f);
            }
            BlockStmt::Next { value, .. } => expr(value, f),
        }
    }
    expr(&b.result, f);
}

fn ty<'p>(t: Option<&'p TypeExpr>, f: Visit<'_, 'p>) {
    let Some(t) = t else { return };
    match &t.kind {
        TypeExprKind::Vec(Some(e))
        | TypeExprKind::Sym(Some(e))
        | TypeExprKind::Stiff(Some(e))
        | TypeExprKind::Domain(Some(e)) => expr(e, f),
        TypeExprKind::Mat(a, b) => {
            expr(a, f);
            expr(b, f);
        }
        TypeExprKind::Field { domain, element } => {
            expr(domain, f);
            ty(Some(element), f);
        }
        _ => {}
    }
}

/// Visits an expression and all inside it.
pub fn expr<'p>(e: &'p Expr, f: Visit<'_, 'p>) {
    within(e, true, f);
}

/// Visits an expression and what is evaluated with it: the bodies of functions that it makes are left out.
pub fn evaluated<'p>(e: &'p Expr, f: Visit<'_, 'p>) {
    within(e, false, f);
}

fn within<'p>(e: &'p Expr, bodies: bool, f: Visit<'_, 'p>) {
    f(e);
    let mut go = |e: &'p Expr| within(e, bodies, f);
    match &e.kind {
        ExprKind::Op { args, .. } | ExprKind::List(args) | ExprKind::Tuple(args) => args.iter().for_each(go),
        ExprKind::Call { callee, args } => {
            go(callee);
            args.iter().for_each(|a| go(&a.value));
        }
        ExprKind::Member { base, .. } => go(base),
        ExprKind::Index { base, indices } => {
            go(base);
            indices.iter().for_each(go);
        }
        ExprKind::If { condition, then, otherwise } => {
            go(condition);
            go(then);
            go(otherwise);
        }
        ExprKind::Lambda(l) if bodies => lambda(l, f),
        ExprKind::Comprehension { body, source, .. } => {
            go(source);
            go(body);
        }
        ExprKind::Lambda(_)
        | ExprKind::Number { .. }
        | ExprKind::Bool(_)
        | ExprKind::Str(_)
        | ExprKind::Local(_)
        | ExprKind::Def(_)
        | ExprKind::Coordinate(_)
        | ExprKind::Time
        | ExprKind::Normal
        | ExprKind::Intrinsic
        | ExprKind::Error => {}
    }
}
