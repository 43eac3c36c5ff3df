//! What a system states of its solution, `ensure positive: u >= 0`: comparisons that hold everywhere, and numbers that are conserved.

use super::error::{Result, error_help};
use super::eval::Lower;
use super::value::{Env, Functional, Integral, Value};
use crate::base::Span;
use crate::ir::Unary;
use crate::sema::hir::{DefId, DefKind, Expr, ExprKind, Op, SystemStmtKind};

#[derive(Clone)]
pub struct Claim {
    pub name: String,
    /// As written.
    pub text: String,
    pub span: Span,
    pub kind: Kind,
}

#[derive(Clone)]
pub enum Kind {
    /// One is not below the other; where `strict`, above it.
    Order { more: Value, less: Value, strict: bool },
    /// The value that it had at the start, but for a part of its size.
    Conserved { value: Value, tolerance: f64 },
}

/// The part of its size by which a number that is conserved may change, if nothing is said.
const TOLERANCE: f64 = 1e-10;

impl Lower<'_> {
    /// Whether a system, or one that it includes, states anything of the kind.
    pub(super) fn has_claims(&self, system: DefId) -> bool {
        let DefKind::System(s) = &self.program.def(system).kind else { return false };
        s.stmts.iter().any(|s| match &s.kind {
            SystemStmtKind::Ensure { .. } => true,
            SystemStmtKind::Include { system, .. } => self.has_claims(*system),
            _ => false,
        })
    }

    /// Evaluates `f` and gives what the systems read in it state.
    pub(super) fn with_claims<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, Vec<Claim>)> {
        let outer = self.claims.replace(vec![]);
        let out = f(self);
        let found = std::mem::replace(&mut self.claims, outer).unwrap_or_default();
        Ok((out?, found))
    }

    /// Notes a statement.
    pub(super) fn claim(&mut self, name: &str, e: &Expr, env: &Env) -> Result<()> {
        // Integrals stay what they are: numbers of the state, not parts of an equation.
        let (integrals, convolutions) = (self.integrals.take(), self.convolutions.take());
        let kinds = self.claimed(e, env);
        (self.integrals, self.convolutions) = (integrals, convolutions);
        let kinds = kinds?;
        for (kind, span) in kinds {
            let text = self.program.sources.text(span).split_whitespace().collect::<Vec<_>>().join(" ");
            if let Some(all) = &mut self.claims {
                all.push(Claim { name: name.into(), text, span, kind });
            }
        }
        Ok(())
    }

    fn claimed(&mut self, e: &Expr, env: &Env) -> Result<Vec<(Kind, Span)>> {
        match &e.kind {
            ExprKind::Op { op: Op::And, args } => {
                let parts = args.iter().map(|a| self.claimed(a, env)).collect::<Result<Vec<_>>>()?;
                Ok(parts.concat())
            }
            ExprKind::Op { op: op @ (Op::Lt | Op::Le | Op::Gt | Op::Ge), args } if args.len() == 2 => {
                let (a, b) = (self.expr(&args[0], env)?, self.expr(&args[1], env)?);
                let (more, less) = if matches!(op, Op::Gt | Op::Ge) { (a, b) } else { (b, a) };
                let strict = matches!(op, Op::Gt | Op::Lt);
                Ok(vec![(Kind::Order { more, less, strict }, e.span)])
            }
            ExprKind::Call { callee, args } if self.is_intrinsic(callee, "conserved") => {
                let arg = |name: &str, place: usize| {
                    let named = args.iter().find(|a| a.name.as_deref() == Some(name));
                    named.or_else(|| args.get(place).filter(|a| a.name.is_none()))
                };
                let value = match arg("x", 0) {
                    Some(a) => self.expr(&a.value, env)?,
                    None => Value::None,
                };
                let tolerance = match arg("tolerance", 1) {
                    Some(a) => {
                        let v = self.expr(&a.value, env)?;
                        self.known_real(&v, a.value.span)?
                    }
                    None => TOLERANCE,
                };
                if matches!(&value, Value::Functional(_) | Value::Num(_) | Value::Int(_)) {
                    return Ok(vec![(Kind::Conserved { value, tolerance }, e.span)]);
                }
                error_help(
                    "run.equation",
                    e.span,
                    format!("a number can be conserved, this is {}", value.kind()),
                    "integrate it: `conserved(∫(u))`",
                )
            }
            _ => error_help(
                "run.equation",
                e.span,
                "what is watched while a run goes is a comparison or `conserved(…)`",
                "for example `ensure positive: u >= 0` or `ensure mass: conserved(∫(u))`",
            ),
        }
    }

    /// The size of what an integral sums up: the same of its absolute value.
    pub(super) fn absolute(&mut self, f: &Functional, span: Span) -> Result<Functional> {
        let terms = f.terms.iter().map(|t| {
            let whole = Value::Field(t.integrand.clone());
            let Value::Field(integrand) = self.pointwise(&[whole], span, |l, n| Ok(l.unary_num(Unary::Abs, &n[0])))?
            else {
                unreachable!("compiler bug: a field that is none")
            };
            Ok(Integral { integrand, factor: t.factor.abs(), ..t.clone() })
        });
        Ok(Functional { terms: terms.collect::<Result<_>>()? })
    }

    /// `more - less`, where neither is an integral.
    pub(super) fn margin(&mut self, more: &Value, less: &Value, span: Span) -> Result<Value> {
        let more = self.conform(more.clone(), less, span)?;
        let less = self.conform(less.clone(), &more, span)?;
        self.apply(&Op::Sub, &[more, less], span)
    }
}
