//! Values made to fit their declared types.

use super::arith::{identity, identity_factor, is_identity, shape_name};
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::intrinsics::numbers::sym_basis;
use super::sizeless::is_sizeless;
use super::value::{Env, Num, Value};
use crate::base::Span;
use crate::ir::{Dot, Tensor, Type};
use crate::sema::hir::{Expr, ExprKind, Op, TypeExpr, TypeExprKind};

impl Lower<'_> {
    /// Makes a value fit a declared type: a function becomes the closure it is declared to be, a net takes the closure's
    /// ports, zero becomes the zero tensor.
    pub fn coerce(&mut self, v: Value, ty: Option<&TypeExpr>, env: &Env, span: Span) -> Result<Value> {
        let Some(ty) = ty else { return Ok(v) };
        match (&ty.kind, &v) {
            (TypeExprKind::Closure(def), _) => self.as_closure(v, *def, span),
            (TypeExprKind::Real, Value::Int(i)) => Ok(Value::num(*i as f64)),
            (TypeExprKind::Vec(n), _) => match self.size(n.as_deref(), env)? {
                Some(n) => self.filled(v, &[n], span),
                None => Ok(v),
            },
            (TypeExprKind::Sym(n), _) => match self.size(n.as_deref(), env)? {
                Some(n) => self.filled(v, &[n, n], span),
                None => Ok(v),
            },
            (TypeExprKind::Mat(m, n), _) => match (self.size(Some(m), env)?, self.size(Some(n), env)?) {
                (Some(m), Some(n)) => self.filled(v, &[m, n], span),
                _ => Ok(v),
            },
            (TypeExprKind::Stiff(n), _) => match self.size(n.as_deref(), env)? {
                Some(n) => self.filled(v, &[n, n, n, n], span),
                None => Ok(v),
            },
            (TypeExprKind::Field { domain, element }, _) => {
                let domain_value = self.expr(domain, env)?;
                let Value::Domain(d) = domain_value else { return Ok(v) };
                // An isotropic stiffness serves as it is: contracted, it never becomes an array.
                if is_sizeless(&v) && matches!(element.kind, TypeExprKind::Stiff(_)) {
                    return Ok(v);
                }
                let v = match self.element_shape(element, d.dimension(), env)? {
                    Some(shape) => self.filled(v, &shape, span)?,
                    None => v,
                };
                match self.numeric(&v, span)? {
                    Value::Num(n) => Ok(Value::Field(self.constant_field(&d, &n))),
                    Value::Field(f) if *f.domain != *d => error_help(
                        "shapes.domains",
                        span,
                        format!("expected a field over `{}`, found one over `{}`", d.name, f.domain.name),
                        "a field can be read on another domain only at points: `f(x, y)`",
                    ),
                    f => Ok(f),
                }
            }
            _ => Ok(v),
        }
    }

    /// The shape of a field's values; sizes that are not written are those of space.
    pub fn element_shape(&mut self, element: &TypeExpr, d: usize, env: &Env) -> Result<Option<Vec<usize>>> {
        let n = |l: &mut Self, n: &Option<Box<Expr>>| -> Result<usize> { Ok(l.size(n.as_deref(), env)?.unwrap_or(d)) };
        Ok(match &element.kind {
            TypeExprKind::Real => Some(vec![]),
            TypeExprKind::Vec(m) => Some(vec![n(self, m)?]),
            TypeExprKind::Sym(m) => Some(vec![n(self, m)?; 2]),
            TypeExprKind::Stiff(m) => Some(vec![n(self, m)?; 4]),
            TypeExprKind::Mat(r, c) => match (self.size(Some(r), env)?, self.size(Some(c), env)?) {
                (Some(r), Some(c)) => Some(vec![r, c]),
                _ => None,
            },
            _ => None,
        })
    }

    /// A declared extent, where its names are bound.
    pub fn size(&mut self, e: Option<&Expr>, env: &Env) -> Result<Option<usize>> {
        let Some(e) = e else { return Ok(None) };
        if let ExprKind::Local(l) = e.kind
            && env.get(l).is_none()
        {
            return Ok(None);
        }
        match self.expr(e, env)? {
            Value::Int(n) if n >= 0 => Ok(Some(n as usize)),
            other => error("shapes.size", e.span, format!("a size is a whole number, this is {}", other.kind())),
        }
    }

    fn filled(&mut self, v: Value, shape: &[usize], span: Span) -> Result<Value> {
        if matches!(v, Value::Function(_) | Value::Net(_) | Value::None) {
            return Ok(v);
        }
        if is_identity(&v) && shape.len() == 2 {
            return self.apply(
                &Op::Mul,
                &[identity_factor(&v).unwrap_or(Value::num(1.0)), Value::Num(identity(shape[0]))],
                span,
            );
        }
        if is_sizeless(&v) {
            let v = self.materialised(&v, shape[0], span)?;
            return self.filled(v, shape, span);
        }
        match self.numeric(&v, span)? {
            Value::Num(n) if n.shape() == shape => Ok(Value::Num(n)),
            Value::Num(n) if is_responses(n.shape(), shape) => self.of_responses(&n, shape[0], span).map(Value::Num),
            Value::Num(n) if n.known() == Some(0.0) => Ok(Value::Num(Num::Const(Tensor::zeros(&Type::f64(shape))))),
            Value::Num(n) => error(
                "shapes.mismatch",
                span,
                format!("expected {}, found {}", shape_name(shape), shape_name(n.shape())),
            ),
            Value::Field(f) if f.shape() != shape => error(
                "shapes.mismatch",
                span,
                format!("expected {} at each point, found {}", shape_name(shape), shape_name(f.shape())),
            ),
            other => Ok(other),
        }
    }

    /// The stiffness with these responses to an orthonormal basis of strains: `C = Σ σ_a ⊗ E_a`.
    fn of_responses(&mut self, responses: &Num, d: usize, span: Span) -> Result<Num> {
        let basis = self.num(&sym_basis(d), span)?;
        Ok(self.tracer.build(&[responses, &basis], |b, v| {
            b.dot(v[0], v[1], Dot { lhs_contract: vec![0], rhs_contract: vec![0], ..Dot::default() })
        }))
    }
}

/// Whether a list of matrices stands for a stiffness: one for each of `sym_basis(d)`.
fn is_responses(found: &[usize], wanted: &[usize]) -> bool {
    matches!((found, wanted), ([m, p, q], [d, _, _, _]) if p == d && q == d && *m == d * (d + 1) / 2)
}
