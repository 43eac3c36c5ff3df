//! Expressions other than calls.

use super::Infer;
use super::dims::Dim;
use super::ty::{Env, Function, Num, Over, Ty};
use crate::base::Diagnostic;
use crate::sema::hir::{Block, BlockStmt, DefKind, Expr, ExprKind, Lambda, Op};
use crate::sema::types::Rank;
use std::rc::Rc;

impl<'p> Infer<'p> {
    /// The type of an expression, recorded.
    pub(super) fn ty(&mut self, e: &'p Expr, env: &Env) -> Ty {
        self.infer_in(e, env)
    }

    pub(super) fn expr(&mut self, e: &'p Expr, env: &Env) -> Ty {
        match &e.kind {
            ExprKind::Number { value, dimension, integer } => {
                let zero = *value == 0.0 && dimension.is_none();
                let dim = if zero { self.dims.fresh() } else { Dim::from(dimension.clone()) };
                Ty::Num(Num { integer: *integer, zero, ..Num::scalar(dim) })
            }
            ExprKind::Bool(_) => Ty::Bool(None),
            ExprKind::Str(_) => Ty::Str,
            ExprKind::Local(l) => {
                let ty = env.get(*l).cloned().unwrap_or_default();
                self.fresh_zero(ty)
            }
            ExprKind::Def(d) => {
                let ty = self.def(*d, e.span);
                self.fresh_zero(ty)
            }
            ExprKind::Coordinate(axis) => self.coordinate(*axis, e),
            ExprKind::Time => Ty::Num(Num { field: Some(self.here()), ..Num::scalar(self.time.clone()) }),
            ExprKind::Normal => {
                let space = self.domain.and_then(|d| self.domain_info(d).space);
                Ty::Num(Num { field: Some(self.here()), ..Num::of_rank(Dim::none(), Rank::Vec(space)) })
            }
            ExprKind::Intrinsic | ExprKind::Error => Ty::Any,
            ExprKind::Op { op, args } => self.op(op, args, e, env),
            ExprKind::Call { callee, args } => self.call_expr(callee, args, e.span, env),
            ExprKind::Member { base, name, name_span } => {
                let base = self.ty(base, env);
                self.member(&base, name, *name_span)
            }
            ExprKind::Index { base, indices } => self.index(base, indices, e, env),
            ExprKind::If { condition, then, otherwise } => {
                let c = self.ty(condition, env);
                let over = match &c {
                    Ty::Bool(over) => *over,
                    Ty::Any => None,
                    other => {
                        let found = self.describe(other);
                        self.error(
                            "shapes.condition",
                            condition.span,
                            format!("a condition is true or false, this is {found}"),
                            "compare it with something: `x > 0`",
                        );
                        None
                    }
                };
                let (a, b) = (self.ty(then, env), self.ty(otherwise, env));
                let out = self.same(&a, &b, e.span, "the two branches of `if`");
                self.over(out, over)
            }
            ExprKind::Lambda(lambda) => {
                let lambda: &'p Lambda = lambda;
                self.lambdas.push(lambda);
                Ty::Lambda(Rc::new(Function { lambda: self.lambdas.len() - 1, env: env.clone() }))
            }
            ExprKind::List(items) => {
                let types: Vec<Ty> = items.iter().map(|i| self.ty(i, env)).collect();
                let mut types = types.into_iter();
                let Some(mut item) = types.next() else { return Ty::List(Box::new(Ty::Any), Some(0)) };
                for (t, e) in types.zip(&items[1..]) {
                    item = self.same(&item, &t, e.span, "the items of a list");
                }
                Ty::List(Box::new(item), Some(items.len()))
            }
            ExprKind::Tuple(items) => Ty::Tuple(items.iter().map(|i| self.ty(i, env)).collect()),
            ExprKind::Comprehension { body, var, source } => {
                let source_ty = self.ty(source, env);
                let (item, n) = self.items_of(&source_ty, source);
                let mut inner = env.clone();
                inner.set(*var, item);
                let body = self.ty(body, &inner);
                Ty::List(Box::new(body), n)
            }
        }
    }

    /// A zero that is named once may be a zero of any unit each time it is used.
    fn fresh_zero(&mut self, ty: Ty) -> Ty {
        match ty {
            Ty::Num(n) if n.zero => {
                let dim = self.dims.fresh();
                Ty::Num(Num { dim, ..n })
            }
            other => other,
        }
    }

    fn here(&self) -> Over {
        self.domain.map_or(Over::Open, Over::Domain)
    }

    fn coordinate(&mut self, axis: u8, e: &Expr) -> Ty {
        let Some(domain) = self.domain else {
            let dim = self.dims.fresh();
            return Ty::Num(Num { field: Some(Over::Open), ..Num::scalar(dim) });
        };
        let info = self.domain_info(domain).clone();
        if let Some(space) = info.space.filter(|s| axis as usize >= *s) {
            let letter = ["x", "y", "z"][axis as usize];
            self.error(
                "shapes.axis",
                e.span,
                format!("`{}` has {space} dimensions, and so no coordinate `{letter}`", info.name),
                "use one of its own coordinates",
            );
        }
        Ty::Num(Num { field: Some(Over::Domain(domain)), ..Num::scalar(info.length) })
    }

    /// What walking over a value gives, and how many there are where it is known.
    pub(super) fn items_of(&mut self, ty: &Ty, e: &Expr) -> (Ty, Option<usize>) {
        match ty {
            Ty::Any => (Ty::Any, None),
            Ty::List(item, n) => ((**item).clone(), *n),
            Ty::Sample(_, members) => (Ty::Row(members.clone()), None),
            Ty::Range(item) => ((**item).clone(), None),
            Ty::Num(Num { rank: Some(Rank::Vec(n)), dim, field, .. }) => {
                (Ty::Num(Num { field: *field, ..Num::scalar(dim.clone()) }), *n)
            }
            Ty::Num(Num { rank: None, .. }) => (Ty::Any, None),
            other => {
                let found = self.describe(other);
                self.error(
                    "shapes.items",
                    e.span,
                    format!("`for` walks over a list, a sample or a range, this is {found}"),
                    "",
                );
                (Ty::Any, None)
            }
        }
    }

    fn index(&mut self, base: &'p Expr, indices: &'p [Expr], e: &Expr, env: &Env) -> Ty {
        let base_ty = self.ty(base, env);
        let mut letters = false;
        for i in indices {
            let t = self.ty(i, env);
            letters |= matches!(t, Ty::Symbol(_));
            let whole = matches!(&t, Ty::Any | Ty::Symbol(_) | Ty::Range(_)) || matches!(&t, Ty::Num(n) if n.integer);
            if !whole {
                let found = self.describe(&t);
                self.error("shapes.index", i.span, format!("an index is a whole number, this is {found}"), "");
            }
        }
        if letters {
            return match base_ty {
                Ty::Num(n) => Ty::Num(n.ranked(Some(Rank::Scalar))),
                _ => Ty::Any,
            };
        }
        match (&base_ty, indices.len()) {
            (Ty::Any, _) => Ty::Any,
            (Ty::List(item, _), 1) => (**item).clone(),
            (Ty::Sample(_, members), 1) => Ty::Row(members.clone()),
            (Ty::Num(n), count) => match (n.rank, count) {
                (None, _) => Ty::Any,
                (Some(Rank::Vec(_)), 1) | (Some(Rank::Mat(..) | Rank::Sym(_)), 2) | (Some(Rank::Stiff(_)), 4) => {
                    Ty::Num(n.ranked(Some(Rank::Scalar)))
                }
                (Some(Rank::Mat(_, c)), 1) => Ty::Num(n.ranked(Some(Rank::Vec(c)))),
                (Some(Rank::Sym(c)), 1) => Ty::Num(n.ranked(Some(Rank::Vec(c)))),
                // A stored time slice of a field.
                (_, 1) if n.field.is_some() => base_ty.clone(),
                _ => {
                    let found = self.describe(&base_ty);
                    self.error("shapes.index", e.span, format!("{count} indices into {found}"), "");
                    Ty::Any
                }
            },
            (other, count) => {
                let found = self.describe(other);
                self.error("shapes.index", e.span, format!("{count} indices into {found}"), "");
                Ty::Any
            }
        }
    }

    fn op(&mut self, op: &Op, args: &'p [Expr], e: &'p Expr, env: &Env) -> Ty {
        let types: Vec<Ty> = args.iter().map(|a| self.ty(a, env)).collect();
        match (op, types.as_slice()) {
            (Op::Neg, [a]) => match a {
                Ty::List(item, n) => Ty::List(item.clone(), *n),
                Ty::Num(_) | Ty::Any => a.clone(),
                other => self.not_a_number(other, &args[0]),
            },
            (Op::Not, [a]) => self.truth(a, &args[0]),
            (Op::And | Op::Or, [a, b]) => {
                let (a, b) = (self.truth(a, &args[0]), self.truth(b, &args[1]));
                match (a, b) {
                    (Ty::Bool(None), other) => other,
                    (other, _) => other,
                }
            }
            (Op::Sqrt, [a]) => self.map_num(a, &args[0], |s, n| {
                s.only_scalar(n, &args[0], "√");
                let dim = s.dims.resolve(&n.dim).pow(crate::base::Ratio::new(1, 2));
                Ty::Num(n.with(dim))
            }),
            (Op::Grad | Op::Div | Op::Curl | Op::Lap | Op::Partial(_), [a]) => self.differential(op, a, &args[0]),
            (Op::Transpose, [a]) => self.map_num(a, &args[0], |s, n| match n.rank {
                Some(Rank::Mat(r, c)) => Ty::Num(n.ranked(Some(Rank::Mat(c, r)))),
                None | Some(Rank::Sym(_)) => Ty::Num(n.clone()),
                _ => {
                    let found = s.describe(&Ty::Num(n.clone()));
                    s.error(
                        "shapes.mismatch",
                        args[0].span,
                        format!("only a matrix has a transpose, this is {found}"),
                        "",
                    );
                    Ty::Any
                }
            }),
            (Op::Affine(unit), [a]) => self.map_num(a, &args[0], |s, n| {
                s.same_dim(&Dim::none(), &n.dim, args[0].span, |s, _| {
                    Diagnostic::error(
                        "units.twice",
                        args[0].span,
                        format!("this has the unit {} already, and is given another", s.show(&n.dim)),
                    )
                    .help("take the outer unit away")
                });
                Ty::Num(n.with(Dim::from(unit.dimension.clone())))
            }),
            (_, [a, b]) => self.binary(op, a, b, args, e),
            _ => Ty::Any,
        }
    }

    fn truth(&mut self, ty: &Ty, e: &Expr) -> Ty {
        match ty {
            Ty::Bool(_) | Ty::Any => ty.clone(),
            other => {
                let found = self.describe(other);
                self.error("shapes.condition", e.span, format!("expected true or false, found {found}"), "");
                Ty::Bool(None)
            }
        }
    }

    /// Applies `f` to a number, or to each item of a list of them.
    pub(super) fn map_num(&mut self, ty: &Ty, e: &Expr, f: impl FnOnce(&mut Self, &Num) -> Ty) -> Ty {
        match ty {
            Ty::Any => Ty::Any,
            Ty::Num(n) => f(self, n),
            Ty::List(item, len) => match &**item {
                Ty::Num(n) => Ty::List(Box::new(f(self, n)), *len),
                _ => Ty::Any,
            },
            other => self.not_a_number(other, e),
        }
    }

    pub(super) fn not_a_number(&mut self, ty: &Ty, e: &Expr) -> Ty {
        if matches!(ty, Ty::Any | Ty::Symbol(_)) {
            return Ty::Any;
        }
        let found = self.describe(ty);
        self.error("shapes.number", e.span, format!("expected a number, found {found}"), "");
        Ty::Any
    }

    pub(super) fn only_scalar(&mut self, n: &Num, e: &Expr, what: &str) {
        if !matches!(n.rank, None | Some(Rank::Scalar)) && !self.in_net {
            let found = self.describe(&Ty::Num(n.clone()));
            self.error("shapes.mismatch", e.span, format!("{what} takes a number, this is {found}"), "");
        }
    }

    // ---- blocks

    pub(super) fn block(&mut self, block: &'p Block, mut env: Env) -> Ty {
        for stmt in &block.stmts {
            match stmt {
                BlockStmt::Let { local, ty, value } => {
                    let found = self.ty(value, &env);
                    let ty = self.declared_or(ty.as_ref(), found, value.span, &env);
                    env.set(*local, ty);
                }
                BlockStmt::Weight { local, ty, init, .. } => {
                    self.ty(init, &env);
                    let ty = self.declared(ty, &env);
                    env.set(*local, ty);
                }
                BlockStmt::Next { state, value } => {
                    let found = self.ty(value, &env);
                    let state = env.get(*state).cloned().unwrap_or_default();
                    self.same(&state, &found, value.span, "a state and its next value");
                }
            }
        }
        self.ty(&block.result, &env)
    }

    /// A constant exponent or size, where the program says one.
    pub(super) fn constant(&self, e: &Expr) -> Option<f64> {
        match &e.kind {
            ExprKind::Number { value, .. } => Some(*value),
            ExprKind::Op { op: Op::Neg, args } => Some(-self.constant(&args[0])?),
            ExprKind::Op { op, args } if args.len() == 2 => {
                let (a, b) = (self.constant(&args[0])?, self.constant(&args[1])?);
                match op {
                    Op::Add => Some(a + b),
                    Op::Sub => Some(a - b),
                    Op::Mul => Some(a * b),
                    Op::Divide => Some(a / b),
                    _ => None,
                }
            }
            ExprKind::Def(d) => match &self.p.def(*d).kind {
                DefKind::Param { value, .. } | DefKind::Let { value, .. } => match &value.kind {
                    ExprKind::Number { value, .. } => Some(*value),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }
}
