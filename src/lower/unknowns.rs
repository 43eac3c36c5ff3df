//! Unknowns of a system: fields, the numbers beside them, and the components of vectors that conditions name.

use super::domain::Domain;
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::system::Equations;
use super::value::{Env, Field, Leaf, Num, Value};
use crate::base::Span;
use crate::ir::Type;
use crate::sema::hir::{Expr, ExprKind, System, SystemStmtKind, TypeExpr, TypeExprKind};
use std::rc::Rc;

pub struct Unknown {
    pub name: String,
    pub shape: Vec<usize>,
    pub nominal: f64,
    pub field: Field,
}

pub struct Number {
    pub name: String,
    pub shape: Vec<usize>,
    pub nominal: f64,
    /// Stands for it in fields, as a shared leaf.
    pub placeholder: Num,
    pub span: Span,
}

impl Number {
    /// Of its components.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Whether a declared type is that of a field.
pub fn is_field(ty: &TypeExpr) -> bool {
    matches!(ty.kind, TypeExprKind::Field { .. })
}

impl Lower<'_> {
    pub(super) fn unknown(
        &mut self,
        name: &str,
        ty: &TypeExpr,
        nominal: Option<&Expr>,
        env: &Env,
        out: &Equations,
    ) -> Result<Unknown> {
        let TypeExprKind::Field { domain, element } = &ty.kind else {
            return error_help(
                "unsupported.library",
                ty.span,
                format!("the unknown `{name}` is not a field"),
                "systems of numbers without a domain are not supported yet; write `Field(Ω)[unit]`",
            );
        };
        let Value::Domain(domain) = self.expr(domain, env)? else {
            return error("shapes.domains", ty.span, "the first argument of `Field` is a domain");
        };
        let shape = match &element.kind {
            TypeExprKind::Real => vec![],
            TypeExprKind::Vec(n) => vec![self.size(n.as_deref(), env)?.unwrap_or(domain.dimension())],
            _ => return error("unsupported.library", ty.span, "unknowns are scalar or vector fields so far"),
        };
        let nominal = match nominal {
            Some(e) => {
                let v = self.expr(e, env)?;
                self.known_real(&v, e.span)?.abs()
            }
            None => 1.0,
        };
        let leaf = Leaf::Unknown { problem: out.problem, index: out.unknowns.len(), order: 0 };
        let field = self.leaf(&domain, leaf, Type::f64(shape.clone()));
        Ok(Unknown { name: name.into(), shape, nominal: if nominal > 0.0 { nominal } else { 1.0 }, field })
    }

    pub(super) fn unknown_number(
        &mut self,
        name: &str,
        ty: &TypeExpr,
        nominal: Option<&Expr>,
        env: &Env,
        span: Span,
    ) -> Result<Number> {
        let Some(shape) = self.element_shape(ty, 1, env)? else {
            return error("unsupported.library", ty.span, "an unknown is a field, a number or a vector of numbers");
        };
        let nominal = match nominal {
            Some(e) => {
                let v = self.expr(e, env)?;
                self.known_real(&v, e.span)?.abs()
            }
            None => 0.0,
        };
        Ok(self.number(name, shape, nominal, span))
    }

    /// The domain of the fields beside a number.
    pub(super) fn number_domain(
        &mut self,
        system: &System,
        env: &Env,
        out: &Equations,
        span: Span,
    ) -> Result<Rc<Domain>> {
        if !out.unknowns.is_empty() {
            return Ok(out.domain.clone());
        }
        for stmt in &system.stmts {
            if let SystemStmtKind::Unknown { ty: TypeExpr { kind: TypeExprKind::Field { domain, .. }, .. }, .. } =
                &stmt.kind
                && let Value::Domain(d) = self.expr(domain, env)?
            {
                return Ok(d);
            }
        }
        error_help(
            "unsupported.library",
            span,
            "an unknown number without an unknown field before it",
            "declare the field first; systems of numbers without a domain are not supported yet",
        )
    }

    /// The component that `u[i]` names, where u is an unknown vector.
    pub(super) fn component(&mut self, e: &Expr, env: &Env) -> Result<Option<usize>> {
        let ExprKind::Index { base, indices } = &e.kind else { return Ok(None) };
        let (Value::Field(f), [index]) = (self.expr(base, env)?, &indices[..]) else { return Ok(None) };
        let bare = matches!(&f.leaves[..], [Leaf::Unknown { order: 0, .. }]) && f.func.nodes.len() == 1;
        match self.expr(index, env)? {
            Value::Int(i) if bare && f.shape().len() == 1 && i >= 0 && (i as usize) < f.shape()[0] => {
                Ok(Some(i as usize))
            }
            _ => Ok(None),
        }
    }
}
