//! Second derivatives in time of fields: `∂tt(u) = …` is `∂t(u) = v` and `∂t(v) = …` with a velocity v that is not written. Any method
//! in time then takes it; a leapfrog method goes back to u alone.

use super::error::Result;
use super::eval::Lower;
use super::field::prune;
use super::system::{Equation, Equations};
use super::unknowns::Unknown;
use super::value::{Field, Leaf, Residual, Value};
use crate::ad;
use crate::base::Span;
use crate::ir::{Builder, Type};
use crate::sema::check::walk;
use crate::sema::hir::{ExprKind, LocalId, Op, System, SystemStmtKind};
use std::collections::HashSet;
use std::rc::Rc;

/// The velocity of an unknown.
#[derive(Clone, Copy)]
pub struct Velocity {
    pub problem: u64,
    /// Indices of the unknown and of its velocity.
    pub of: usize,
    pub velocity: usize,
}

/// The unknowns under a second derivative in time.
pub fn second_order(system: &System) -> HashSet<LocalId> {
    let mut found = HashSet::new();
    let mut look = |e: &crate::sema::hir::Expr| {
        walk::expr(e, &mut |e| {
            if let ExprKind::Op { op: Op::Partial(axes), args } = &e.kind
                && axes.iter().filter(|a| **a == 3).count() > 1
            {
                args.iter().for_each(|a| {
                    walk::expr(a, &mut |e| {
                        if let ExprKind::Local(l) = e.kind {
                            found.insert(l);
                        }
                    })
                });
            }
        });
    };
    for s in &system.stmts {
        match &s.kind {
            SystemStmtKind::Eq { lhs, rhs, .. } => [lhs, rhs].into_iter().for_each(&mut look),
            SystemStmtKind::Let { value, .. } => look(value),
            _ => {}
        }
    }
    found
}

impl Equations {
    /// The equation that holds the flux of an unknown: its own, or that of its velocity.
    pub fn flux_of(&self, unknown: usize) -> usize {
        self.velocities.iter().find(|v| v.of == unknown).map_or(unknown, |v| v.velocity)
    }
}

impl Lower<'_> {
    /// Adds the velocity of the last unknown, and the equation that says so.
    pub(super) fn velocity(&mut self, span: Span, out: &mut Equations) -> Result<()> {
        let (of, velocity) = (out.unknowns.len() - 1, out.unknowns.len());
        let u = &out.unknowns[of];
        let leaf = Leaf::Unknown { problem: out.problem, index: velocity, order: 0 };
        let field = self.leaf(&u.field.domain, leaf, Type::f64(u.shape.clone()));
        let name = format!("∂t({})", u.name);
        let (shape, nominal, stored) = (u.shape.clone(), u.nominal, Value::Field(u.field.clone()));
        let minus = self.apply(&Op::Neg, &[Value::Field(field.clone())], span)?;
        let residual = Residual { stored: Some(stored), source: Some(minus), ..Residual::default() };
        out.balances.push(Equation { name: name.clone(), residual, span });
        out.unknowns.push(Unknown { name, shape, nominal, field });
        let velocity = Velocity { problem: out.problem, of, velocity };
        out.velocities.push(velocity);
        self.velocities.push(velocity);
        Ok(())
    }

    /// The derivative in time of a field all of whose unknowns have velocities, by the chain rule; none of any other.
    pub(super) fn moving(&mut self, f: &Field) -> Option<Field> {
        let mut leaves = f.leaves.clone();
        let mut types = f.func.inputs.clone();
        let mut rates = vec![];
        for (i, leaf) in f.leaves.iter().enumerate() {
            rates.push(match leaf {
                Leaf::Unknown { problem, index, order } => {
                    let v = self.velocities.iter().find(|v| (v.problem, v.of) == (*problem, *index))?;
                    leaves.push(Leaf::Unknown { problem: *problem, index: v.velocity, order: *order });
                    types.push(f.func.inputs[i].clone());
                    Some(leaves.len() - 1)
                }
                _ => None,
            });
        }
        if rates.iter().all(Option::is_none) {
            return None;
        }
        let time = self.time.clone().map(Leaf::Shared);
        let mut b = Builder::new("rate");
        let inputs: Vec<_> = types.iter().map(|t| b.input(t.clone())).collect();
        let mut tangents = vec![];
        for (leaf, rate) in f.leaves.iter().zip(&rates) {
            let of_time = time.as_ref().is_some_and(|t| leaf.same(t));
            tangents.push(match rate {
                Some(k) => Some(inputs[*k]),
                None => of_time.then(|| b.scalar(1.0)),
            });
        }
        let (values, slopes) = ad::jvp_into(&mut b, &f.func, &inputs[..f.leaves.len()], &tangents);
        let slope = slopes[0].unwrap_or_else(|| b.zeros_like(values[0]));
        let func = b.finish(vec![slope]);
        Some(prune(Field { domain: f.domain.clone(), leaves, func: Rc::new(func) }))
    }
}
