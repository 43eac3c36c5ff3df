//! Derivatives and integrals: they divide and multiply by the dimension of the coordinates.

use super::Infer;
use super::dims::Dim;
use super::ty::{Num, Over, Ty};
use crate::base::{Ratio, Span};
use crate::sema::hir::{Expr, Op};
use crate::sema::types::Rank;

impl<'p> Infer<'p> {
    /// `∇ ∇· ∇× ∇² ∂x` of a field.
    pub(super) fn differential(&mut self, op: &Op, arg: &Ty, e: &Expr) -> Ty {
        let arg = match arg {
            // The derivative of a list is that of the vector of its items, but for partial derivatives, which go item by item.
            Ty::List(item, n) if matches!(op, Op::Partial(_) | Op::Lap) => {
                let item = self.differential(op, item, e);
                return Ty::List(Box::new(item), *n);
            }
            Ty::List(..) => self.as_tensor(arg),
            other => other.clone(),
        };
        let n = match &arg {
            Ty::Any => return Ty::Any,
            Ty::Num(n) => n.clone(),
            other => return self.not_a_number(other, e),
        };
        // Numbers move in time: the unknowns of a system without a domain.
        if let (None, Op::Partial(axes)) = (n.field, op)
            && axes.iter().all(|a| *a == 3)
        {
            let dim = axes.iter().fold(n.dim.clone(), |d, _| d.over(&self.time));
            return Ty::Num(Num { dim, integer: false, zero: false, ..n });
        }
        let Some(over) = n.field else {
            // A parameter without a type may be a field; a number surely is none.
            let found = self.describe(&arg);
            self.error(
                "shapes.field",
                e.span,
                format!("a derivative of {found}, which does not vary in space"),
                "derivatives are of fields: unknowns, coordinates, parameters of type Field(Ω)",
            );
            return Ty::Any;
        };
        let (length, space) = self.metric(over);
        if let (Op::Partial(axes), Some(space)) = (op, space)
            && let Some(axis) = axes.iter().find(|a| **a < 3 && **a as usize >= space)
        {
            let letter = ["x", "y", "z"][*axis as usize];
            self.error(
                "shapes.axis",
                e.span,
                format!("∂{letter} on a domain of {space} dimension{}", if space == 1 { "" } else { "s" }),
                "use one of the domain's own coordinates",
            );
        }
        let rank = self.derived_rank(op, n.rank, space, &arg, e.span);
        let dim = match op {
            Op::Grad | Op::Div | Op::Curl => n.dim.over(&length),
            Op::Lap => n.dim.over(&length.pow(Ratio::from(2))),
            Op::Partial(axes) => axes.iter().fold(n.dim.clone(), |d, axis| match axis {
                3 => d.over(&self.time),
                _ => d.over(&length),
            }),
            _ => n.dim.clone(),
        };
        Ty::Num(Num { dim, rank, field: n.field, integer: false, zero: n.zero })
    }

    fn derived_rank(
        &mut self,
        op: &Op,
        rank: Option<Rank>,
        space: Option<usize>,
        arg: &Ty,
        span: Span,
    ) -> Option<Rank> {
        use Rank::*;
        let rank = rank?;
        let out = match (op, rank) {
            (Op::Grad, Scalar) => Vec(space),
            (Op::Grad, Vec(n)) => Mat(n, space),
            (Op::Grad, _) => return None,
            (Op::Div, Vec(_)) => Scalar,
            (Op::Div, Mat(n, _) | Sym(n)) => Vec(n),
            (Op::Curl, Vec(Some(2))) => Scalar,
            (Op::Curl, Vec(_)) => Vec(Some(3)),
            (Op::Curl, Scalar) => Vec(Some(2)),
            (Op::Lap | Op::Partial(_), r) => r,
            _ => {
                let found = self.describe(arg);
                let (what, help) = match op {
                    Op::Div => {
                        ("the divergence of", "∇· takes a vector or a matrix; the gradient is ∇, the Laplacian ∇²")
                    }
                    _ => ("the rotation of", "∇× takes a vector"),
                };
                self.error("shapes.mismatch", span, format!("{what} {found}"), help);
                return None;
            }
        };
        Some(out)
    }

    /// Dimension of the coordinates, and how many there are.
    pub(super) fn metric(&mut self, over: Over) -> (Dim, Option<usize>) {
        match over {
            Over::Domain(id) => (self.domain_info(id).length.clone(), self.domain_info(id).space),
            Over::Open => (self.dims.fresh(), None),
        }
    }

    /// ∫ over a domain or a part of its boundary.
    pub(super) fn integral(&mut self, f: &Ty, over: Option<&Ty>, span: Span) -> Ty {
        let n = match f {
            Ty::Num(n) => n.clone(),
            Ty::List(item, len) => {
                let item = self.integral(item, over, span);
                return Ty::List(Box::new(item), *len);
            }
            _ => return Ty::Any,
        };
        let (domain, codimension) = match over {
            Some(Ty::Domain(id)) => (Some(*id), 0),
            Some(Ty::Place(id)) => (Some(*id), 1),
            _ => match n.field {
                Some(Over::Domain(id)) => (Some(id), 0),
                _ => (None, 0),
            },
        };
        if let (Some(Over::Domain(own)), Some(given)) = (n.field, domain) {
            self.merge(Some(Over::Domain(own)), Some(Over::Domain(given)), span);
        }
        let measure = match domain.map(|d| self.domain_info(d).clone()) {
            Some(info) => match info.space {
                Some(space) => info.length.pow(Ratio::from(space as i64 - codimension)),
                None => self.dims.fresh(),
            },
            None => self.dims.fresh(),
        };
        Ty::Num(Num { dim: n.dim.times(&measure), field: None, integer: false, ..n })
    }

    /// The average over a domain, a list, or of a plain number.
    pub(super) fn average(&mut self, f: &Ty) -> Ty {
        match f {
            Ty::Num(n) => Ty::Num(Num { field: None, integer: false, ..n.clone() }),
            Ty::List(item, _) => match &**item {
                Ty::Num(n) => Ty::Num(Num { integer: false, ..n.clone() }),
                Ty::List(..) => self.average(item),
                _ => Ty::Any,
            },
            _ => Ty::Any,
        }
    }
}
