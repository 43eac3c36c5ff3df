//! Values made to fit their declared types.

use super::arith::{identity, is_identity, shape_name};
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::value::{Env, Num, Value};
use crate::base::Span;
use crate::ir::{Tensor, Type};
use crate::sema::hir::{Expr, ExprKind, TypeExpr, TypeExprKind};

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
                match self.numeric(&v, span)? {
                    Value::Num(n) => {
                        let n = match (&element.kind, n.known()) {
                            (TypeExprKind::Real, _) | (_, None) => n,
                            _ => n,
                        };
                        Ok(Value::Field(self.constant_field(&d, &n)))
                    }
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
            return Ok(Value::Num(identity(shape[0])));
        }
        match self.numeric(&v, span)? {
            Value::Num(n) if n.shape() == shape => Ok(Value::Num(n)),
            Value::Num(n) if n.known() == Some(0.0) => Ok(Value::Num(Num::Const(Tensor::zeros(&Type::f64(shape))))),
            Value::Num(n) => error(
                "shapes.mismatch",
                span,
                format!("expected {}, found {}", shape_name(shape), shape_name(n.shape())),
            ),
            other => Ok(other),
        }
    }
}
