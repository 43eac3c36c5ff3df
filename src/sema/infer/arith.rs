//! Arithmetic: what may be added, multiplied, contracted, compared.

use super::Infer;
use super::dims::Dim;
use super::ty::{Num, Over, Ty};
use crate::base::{Diagnostic, Ratio, Span};
use crate::sema::hir::{Expr, ExprKind, Op};
use crate::sema::types::Rank;

impl<'p> Infer<'p> {
    pub(super) fn binary(&mut self, op: &Op, a: &Ty, b: &Ty, args: &'p [Expr], e: &Expr) -> Ty {
        if matches!(a, Ty::Any) || matches!(b, Ty::Any) {
            return match op {
                Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Eq | Op::Ne => Ty::Bool(None),
                _ => Ty::Any,
            };
        }
        if *op == Op::Range {
            let item = self.same(a, b, e.span, "the ends of a range");
            return Ty::Range(Box::new(item));
        }
        if let (Op::Eq | Op::Ne, Ty::Bool(_) | Ty::Str | Ty::Symbol(_), _) = (op, a, b) {
            return Ty::Bool(None);
        }
        if matches!(op, Op::Dot | Op::DoubleDot | Op::Outer | Op::Cross)
            && (matches!(a, Ty::List(..)) || matches!(b, Ty::List(..)))
        {
            let (a, b) = (self.as_tensor(a), self.as_tensor(b));
            return self.binary(op, &a, &b, args, e);
        }
        // A list is worked on item by item; where a vector is asked for, it is one.
        match (a, b) {
            (Ty::List(..), Ty::Num(_)) | (Ty::Num(_), Ty::List(..)) if self.spread(op, a, b, args, e) => {
                return Ty::Any;
            }
            (Ty::List(..), Ty::Num(n)) if n.rank.is_some_and(|r| r != Rank::Scalar) => {
                let a = self.as_tensor(a);
                return self.binary(op, &a, b, args, e);
            }
            (Ty::Num(n), Ty::List(..)) if n.rank.is_some_and(|r| r != Rank::Scalar) => {
                let b = self.as_tensor(b);
                return self.binary(op, a, &b, args, e);
            }
            (Ty::List(x, n), Ty::List(y, m)) => {
                if let (Some(n), Some(m)) = (n, m)
                    && n != m
                {
                    self.error("shapes.mismatch", e.span, format!("a list of {n} and a list of {m} items"), "");
                }
                let item = self.binary(op, x, y, args, e);
                return Ty::List(Box::new(item), n.or(*m));
            }
            (Ty::List(x, n), _) => return Ty::List(Box::new(self.binary(op, x, b, args, e)), *n),
            (_, Ty::List(y, n)) => return Ty::List(Box::new(self.binary(op, a, y, args, e)), *n),
            _ => {}
        }
        let (Ty::Num(x), Ty::Num(y)) = (a, b) else {
            if !matches!(a, Ty::Num(_)) {
                return self.not_a_number(a, &args[0]);
            }
            return self.not_a_number(b, &args[1]);
        };
        self.arithmetic(op, x, y, args, e)
    }

    /// `[1, 2] + 3`: a number is not spread over a list by a sum or a comparison.
    fn spread(&mut self, op: &Op, a: &Ty, b: &Ty, args: &'p [Expr], e: &Expr) -> bool {
        let number = |t: &Ty| matches!(t, Ty::Num(n) if n.rank == Some(Rank::Scalar) && !n.zero);
        if matches!(op, Op::Mul | Op::Divide | Op::Pow) || !(number(a) || number(b)) {
            return false;
        }
        let (list, other) = if matches!(a, Ty::List(..)) { (&args[0], &args[1]) } else { (&args[1], &args[0]) };
        self.report(
            Diagnostic::error("shapes.mismatch", e.span, format!("`{}` of a list and a number", symbol(op)))
                .label(list.span, "a list")
                .label(other.span, "a number")
                .note("numbers are not spread over lists, vectors or matrices silently")
                .help(format!("say what is meant: `[x {} … for x in …]`", symbol(op))),
        );
        true
    }

    fn arithmetic(&mut self, op: &Op, a: &Num, b: &Num, args: &'p [Expr], e: &Expr) -> Ty {
        let field = self.merge(a.field, b.field, e.span);
        let integer = a.integer && b.integer;
        match op {
            Op::Add | Op::Sub => {
                self.add_dims(op, a, b, e);
                let rank = self.add_ranks(op, a, b, e);
                let dim = if a.zero { b.dim.clone() } else { a.dim.clone() };
                Ty::Num(Num { dim, rank, field, integer, zero: a.zero && b.zero })
            }
            Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Eq | Op::Ne => {
                let symbol = symbol(op);
                self.same_dim(&a.dim, &b.dim, e.span, |s, factor| {
                    Diagnostic::error(
                        "units.mismatch",
                        e.span,
                        format!("cannot compare {} with {}", s.show(&a.dim), s.show(&b.dim)),
                    )
                    .here(format!("both sides of `{symbol}` need one unit"))
                    .help(format!("multiply the right side by a {factor} factor"))
                });
                self.add_ranks(op, a, b, e);
                Ty::Bool(field)
            }
            Op::Mul => {
                let rank = match (a.rank, b.rank) {
                    (Some(Rank::Scalar), r) | (r, Some(Rank::Scalar)) => r,
                    (None, _) | (_, None) => None,
                    _ => {
                        let found = (self.describe(&Ty::Num(a.clone())), self.describe(&Ty::Num(b.clone())));
                        self.error(
                            "shapes.product",
                            e.span,
                            format!("`*` multiplies by a number; here are {} and {}", found.0, found.1),
                            "the contraction is `·` (one index) or `::` (two), the outer product `⊗`",
                        );
                        None
                    }
                };
                Ty::Num(Num { dim: a.dim.times(&b.dim), rank, field, integer, zero: false })
            }
            Op::Divide => {
                if !matches!(b.rank, None | Some(Rank::Scalar)) {
                    let found = self.describe(&Ty::Num(b.clone()));
                    self.error(
                        "shapes.product",
                        args[1].span,
                        format!("division by {found}"),
                        "divide by a number, such as its `norm`; a matrix has `inv`",
                    );
                }
                Ty::Num(Num { dim: a.dim.over(&b.dim), rank: a.rank, field, integer: false, zero: a.zero })
            }
            Op::Dot | Op::DoubleDot | Op::Outer | Op::Cross => {
                let rank = self.contraction(op, a, b, args, e);
                Ty::Num(Num { dim: a.dim.times(&b.dim), rank, field, integer: false, zero: false })
            }
            Op::Pow => self.power(a, b, field, args, e),
            _ => Ty::Any,
        }
    }

    fn add_dims(&mut self, op: &Op, a: &Num, b: &Num, e: &Expr) {
        let in_loss = self.in_loss;
        self.same_dim(&a.dim, &b.dim, e.span, |s, factor| {
            let (x, y) = (s.show(&a.dim), s.show(&b.dim));
            let message = match op {
                Op::Add => format!("cannot add {y} to {x}"),
                _ => format!("cannot subtract {y} from {x}"),
            };
            let d = Diagnostic::error("units.mismatch", e.span, message).here(format!("{x} {} {y}", symbol(op)));
            if in_loss {
                return d;
            }
            d.help(format!("multiply the right side by a {factor} factor"))
        });
    }

    fn add_ranks(&mut self, op: &Op, a: &Num, b: &Num, e: &Expr) -> Option<Rank> {
        if a.zero {
            return b.rank;
        }
        if b.zero {
            return a.rank;
        }
        match (a.rank, b.rank) {
            (None, r) | (r, None) => r,
            (Some(x), Some(y)) => match join(x, y) {
                Some(r) => Some(r),
                None => {
                    let found = (self.describe(&Ty::Num(a.clone())), self.describe(&Ty::Num(b.clone())));
                    let help = match (x, y) {
                        (Rank::Scalar, Rank::Mat(..) | Rank::Sym(_)) | (Rank::Mat(..) | Rank::Sym(_), Rank::Scalar) => {
                            "multiply the number by the identity `I`"
                        }
                        _ => "",
                    };
                    let message = format!("`{}` of {} and {}", symbol(op), found.0, found.1);
                    let mut d = Diagnostic::error("shapes.mismatch", e.span, message)
                        .note("numbers are not spread over vectors or matrices silently");
                    if !help.is_empty() {
                        d = d.help(help);
                    }
                    self.report(d);
                    None
                }
            },
        }
    }

    fn contraction(&mut self, op: &Op, a: &Num, b: &Num, args: &'p [Expr], e: &Expr) -> Option<Rank> {
        use Rank::*;
        let (Some(x), Some(y)) = (a.rank, b.rank) else {
            return None;
        };
        let out = match (op, x, y) {
            (Op::Dot, Vec(_), Vec(_)) => Some(Scalar),
            (Op::Dot, Mat(m, _), Vec(_)) => Some(Vec(m)),
            (Op::Dot, Sym(m), Vec(n)) => Some(Vec(m.or(n))),
            (Op::Dot, Vec(m), Sym(n)) => Some(Vec(n.or(m))),
            (Op::Dot, Vec(_), Mat(..)) if matches!(args[1].kind, ExprKind::Op { op: Op::Grad, .. }) => {
                self.error(
                    "shapes.advection",
                    e.span,
                    "`u·∇v` of a vector v may mean two things",
                    "transport by u is `advect(u, v)`, which is (∇v)·u; the other, with indices swapped, is `(∇v)ᵀ·u`",
                );
                return None;
            }
            (Op::Dot, Vec(_), Mat(_, n)) => Some(Vec(n)),
            (Op::Dot, Mat(m, _), Mat(_, n)) => Some(Mat(m, n)),
            (Op::Dot, Mat(m, _), Sym(n)) => Some(Mat(m, n)),
            (Op::Dot, Sym(m), Mat(_, n)) => Some(Mat(m, n)),
            (Op::Dot, Sym(m), Sym(n)) => Some(Mat(m.or(n), n.or(m))),
            (Op::DoubleDot, Mat(..) | Sym(_), Mat(..) | Sym(_)) => Some(Scalar),
            (Op::DoubleDot, Stiff(n), Sym(m)) | (Op::DoubleDot, Sym(m), Stiff(n)) => Some(Sym(n.or(m))),
            (Op::DoubleDot, Stiff(n), Mat(m, _)) | (Op::DoubleDot, Mat(m, _), Stiff(n)) => Some(Sym(n.or(m))),
            (Op::DoubleDot, Stiff(n), Stiff(m)) => Some(Stiff(n.or(m))),
            (Op::Outer, Vec(m), Vec(n)) => Some(Mat(m, n)),
            (Op::Outer, Sym(m), Sym(n)) => Some(Stiff(m.or(n))),
            (Op::Outer, Scalar, r) | (Op::Outer, r, Scalar) => Some(r),
            (Op::Outer, ..) => return None,
            (Op::Cross, Vec(Some(2)), Vec(_)) | (Op::Cross, Vec(_), Vec(Some(2))) => Some(Scalar),
            (Op::Cross, Vec(_), Vec(_)) => Some(Vec(Some(3))),
            _ => None,
        };
        if let (Op::Dot, Some(inner)) = (op, inner_sizes(x, y))
            && inner.0 != inner.1
        {
            self.error(
                "shapes.mismatch",
                e.span,
                format!("`·` of {} and {}", self.describe(&Ty::Num(a.clone())), self.describe(&Ty::Num(b.clone()))),
                format!("the inner sizes are {} and {}", inner.0, inner.1),
            );
        }
        if out.is_none() {
            let found = (self.describe(&Ty::Num(a.clone())), self.describe(&Ty::Num(b.clone())));
            let help = if x == Scalar || y == Scalar { "a number multiplies with `*`" } else { "" };
            self.error("shapes.product", e.span, format!("`{}` of {} and {}", symbol(op), found.0, found.1), help);
        }
        out
    }

    fn power(&mut self, a: &Num, b: &Num, field: Option<Over>, args: &'p [Expr], e: &Expr) -> Ty {
        self.only_scalar(a, &args[0], "a power");
        self.only_scalar(b, &args[1], "an exponent");
        let exponent = &args[1];
        self.same_dim(&Dim::none(), &b.dim, exponent.span, |s, _| {
            Diagnostic::error(
                "units.exponent",
                exponent.span,
                format!("an exponent is a plain number, this is in {}", s.show(&b.dim)),
            )
        });
        let base = self.dims.resolve(&a.dim);
        let plain = base.unknowns.is_empty() && base.base.is_none();
        let dim = match self.constant(exponent).and_then(Ratio::from_f64) {
            _ if plain => Dim::none(),
            Some(p) => base.pow(p),
            None => {
                if base.unknowns.is_empty() {
                    let shown = self.show(&base);
                    self.error(
                        "units.exponent",
                        e.span,
                        format!("{shown} to a power that is not known before the run"),
                        "divide by a typical size first, so that the base is a plain number",
                    );
                }
                self.dims.fresh()
            }
        };
        let integer = a.integer && b.integer && self.constant(exponent).is_some_and(|x| x >= 0.0);
        Ty::Num(Num { dim, rank: a.rank, field, integer, zero: false })
    }

    /// Two values that must be of one kind (branches, list items, ends of a range, a declared and a given value).
    pub(super) fn same(&mut self, a: &Ty, b: &Ty, span: Span, what: &str) -> Ty {
        match (a, b) {
            (Ty::Any, other) | (other, Ty::Any) => other.clone(),
            (Ty::Num(x), Ty::Num(y)) => {
                self.same_dim(&x.dim, &y.dim, span, |s, factor| {
                    Diagnostic::error(
                        "units.mismatch",
                        span,
                        format!("{what} are in {} and {}", s.show(&x.dim), s.show(&y.dim)),
                    )
                    .help(format!("the second lacks a {factor} factor"))
                });
                let field = self.merge(x.field, y.field, span);
                let rank = match (x.rank, y.rank) {
                    _ if x.zero => y.rank,
                    _ if y.zero => x.rank,
                    (None, r) | (r, None) => r,
                    (Some(p), Some(q)) => match join(p, q) {
                        Some(r) => Some(r),
                        None => {
                            let found = (self.describe(a), self.describe(b));
                            self.error("shapes.mismatch", span, format!("{what} are {} and {}", found.0, found.1), "");
                            None
                        }
                    },
                };
                let dim = if x.zero { y.dim.clone() } else { x.dim.clone() };
                Ty::Num(Num { dim, rank, field, integer: x.integer && y.integer, zero: x.zero && y.zero })
            }
            (Ty::List(x, n), Ty::List(y, m)) => Ty::List(Box::new(self.same(x, y, span, what)), n.or(*m)),
            (Ty::Range(x), Ty::Range(y)) => Ty::Range(Box::new(self.same(x, y, span, what))),
            (Ty::Num(n), Ty::List(..)) if n.rank.is_some_and(|r| r != Rank::Scalar) => {
                let b = self.as_tensor(b);
                self.same(a, &b, span, what)
            }
            (Ty::Num(_), Ty::Str | Ty::Bool(_) | Ty::List(..) | Ty::Range(_))
            | (Ty::Str | Ty::Bool(_) | Ty::List(..) | Ty::Range(_), Ty::Num(_)) => {
                let found = (self.describe(a), self.describe(b));
                self.error("shapes.mismatch", span, format!("{what} are {} and {}", found.0, found.1), "");
                Ty::Any
            }
            _ => a.clone(),
        }
    }

    /// Fields of one expression must be over one domain.
    pub(super) fn merge(&mut self, a: Option<Over>, b: Option<Over>, span: Span) -> Option<Over> {
        match (a, b) {
            (None, f) | (f, None) => f,
            (Some(Over::Open), f) | (f, Some(Over::Open)) => f,
            (Some(Over::Domain(x)), Some(Over::Domain(y))) => {
                if x != y && !self.domain_info(x).open && !self.domain_info(y).open {
                    let (p, q) = (self.domain_info(x).name.clone(), self.domain_info(y).name.clone());
                    self.error(
                        "shapes.domains",
                        span,
                        format!("a field over `{p}` meets a field over `{q}`"),
                        "a field is read on another domain at points: `f(x, y)`; a mean or an integral makes a number of it",
                    );
                }
                a
            }
        }
    }

    pub(super) fn over(&mut self, ty: Ty, over: Option<Over>) -> Ty {
        match (ty, over) {
            (Ty::Num(n), Some(over)) => Ty::Num(Num { field: n.field.or(Some(over)), ..n }),
            (Ty::List(item, n), Some(_)) => Ty::List(Box::new(self.over(*item, over)), n),
            (ty, _) => ty,
        }
    }

    /// A list of numbers as a vector, of vectors as a matrix, of symmetric matrices as a stiffness.
    pub(super) fn as_tensor(&self, ty: &Ty) -> Ty {
        let Ty::List(item, len) = ty else { return ty.clone() };
        match self.as_tensor(item) {
            Ty::Num(n) => {
                let rank = match n.rank {
                    Some(Rank::Scalar) => Some(Rank::Vec(*len)),
                    Some(Rank::Vec(c)) => Some(Rank::Mat(*len, c)),
                    Some(Rank::Sym(c)) => Some(Rank::Stiff(c)),
                    _ => None,
                };
                Ty::Num(n.ranked(rank))
            }
            _ => Ty::Any,
        }
    }
}

/// The rank of a sum of two ranks, if they may be added.
pub fn join(a: Rank, b: Rank) -> Option<Rank> {
    use Rank::*;
    fn size(a: Option<usize>, b: Option<usize>) -> Option<Option<usize>> {
        match (a, b) {
            (Some(m), Some(n)) if m != n => None,
            _ => Some(a.or(b)),
        }
    }
    match (a, b) {
        (Scalar, Scalar) => Some(Scalar),
        (Vec(m), Vec(n)) => size(m, n).map(Vec),
        (Mat(p, q), Mat(r, s)) => Some(Mat(size(p, r)?, size(q, s)?)),
        (Sym(m), Sym(n)) => size(m, n).map(Sym),
        (Sym(m), Mat(p, q)) | (Mat(p, q), Sym(m)) => Some(Mat(size(m, p)?, size(m, q)?)),
        (Stiff(m), Stiff(n)) => size(m, n).map(Stiff),
        _ => None,
    }
}

/// The contracted sizes of `a·b`, where both are known.
fn inner_sizes(a: Rank, b: Rank) -> Option<(usize, usize)> {
    let last = match a {
        Rank::Vec(n) | Rank::Sym(n) | Rank::Mat(_, n) => n?,
        _ => return None,
    };
    let first = match b {
        Rank::Vec(n) | Rank::Sym(n) | Rank::Mat(n, _) => n?,
        _ => return None,
    };
    Some((last, first))
}

pub fn symbol(op: &Op) -> &'static str {
    match op {
        Op::Add => "+",
        Op::Sub | Op::Neg => "-",
        Op::Mul => "*",
        Op::Divide => "/",
        Op::Dot => "·",
        Op::DoubleDot => "::",
        Op::Outer => "⊗",
        Op::Cross => "×",
        Op::Pow => "^",
        Op::Lt => "<",
        Op::Le => "<=",
        Op::Gt => ">",
        Op::Ge => ">=",
        Op::Eq => "==",
        Op::Ne => "!=",
        Op::Or => "or",
        Op::And => "and",
        Op::Not => "not",
        Op::Range => "..",
        Op::Sqrt => "√",
        Op::Grad => "∇",
        Op::Div => "∇·",
        Op::Curl => "∇×",
        Op::Lap => "∇²",
        Op::Partial(_) => "∂",
        Op::Transpose => "ᵀ",
        Op::Affine(_) => "[unit]",
    }
}
