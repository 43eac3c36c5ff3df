//! What an implicit stage puts in the place of `∂t(s)`: how far s has come from a base, over the length of the stage.

use crate::ad;
use crate::base::Span;
use crate::ir::Builder;
use crate::lower::Lower;
use crate::lower::error::Result;
use crate::lower::field::prune;
use crate::lower::value::{Discrete, Field, Leaf, Num, Value};
use crate::sema::hir::Op;
use std::rc::Rc;

/// Of bases.
#[derive(Clone, Copy)]
pub enum Base<'a> {
    /// The state at the beginning of the step.
    State,
    /// A sum of states, whose weights make 1.
    States(&'a [(f64, Num)]),
    /// A combination of states and slopes.
    Combined,
}

impl Lower<'_> {
    /// `s(u) - s(base)`, which keeps `∫s` exactly [Celia, Bouloutas & Zarba 1990]. Where s is not linear in the unknowns, s of a base
    /// that is combined is not the combination of theirs, and steps would be of a low order: of states it is `s(u) - Σ w s(state)`, the
    /// method applied to `∂s/∂t`; else `s'(u)·(u - base)`, the method applied to `∂u/∂t`.
    ///
    /// `fields`: the unknowns of a state.
    pub(super) fn change_of(
        &mut self,
        stored: &Field,
        of: u64,
        fields: &dyn Fn(&mut Self, &Num) -> Vec<Rc<Discrete>>,
        (base, kind): (&Num, Base),
        span: Span,
    ) -> Result<Value> {
        let combined = fields(self, base);
        let before = known(of, &combined);
        let nonlinear = !matches!(kind, Base::State) && along(stored, &before, false).has_unknown();
        let mut change = Value::Field(stored.clone());
        match kind {
            Base::Combined if nonlinear => return Ok(Value::Field(along(stored, &before, true))),
            Base::States(states) if nonlinear => {
                for (weight, state) in states {
                    let state = fields(self, state);
                    let then = Value::Field(self.substitute(stored, known(of, &state)));
                    let then = self.apply(&Op::Mul, &[Value::num(*weight), then], span)?;
                    change = self.apply(&Op::Sub, &[change, then], span)?;
                }
            }
            _ => {
                let before = Value::Field(self.substitute(stored, before));
                change = self.apply(&Op::Sub, &[change, before], span)?;
            }
        }
        Ok(change)
    }
}

/// A known field in the place of each unknown.
fn known(of: u64, fields: &[Rc<Discrete>]) -> impl Fn(&Leaf) -> Option<Leaf> {
    move |leaf| match leaf {
        Leaf::Unknown { problem, index, order } if *problem == of => {
            Some(Leaf::Discrete { field: fields[*index].clone(), gradient: *order == 1 })
        }
        _ => None,
    }
}

/// The derivative of a field along the values that stand for its unknowns before; along what they are away from these.
fn along(stored: &Field, before: &dyn Fn(&Leaf) -> Option<Leaf>, away: bool) -> Field {
    let mut b = Builder::new("change");
    let args: Vec<_> = stored.func.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut leaves = stored.leaves.clone();
    let tangents: Vec<_> = stored
        .leaves
        .iter()
        .zip(&args)
        .map(|(leaf, arg)| {
            leaves.push(before(leaf)?);
            let ty = b.ty(*arg).clone();
            let base = b.input(ty);
            Some(if away { b.sub(*arg, base) } else { base })
        })
        .collect();
    let (_, slopes) = ad::jvp_into(&mut b, &stored.func, &args, &tangents);
    let slope = slopes[0].unwrap_or_else(|| {
        let ty = stored.func.output_types()[0].clone();
        b.zeros(&ty)
    });
    let func = b.finish(vec![slope]);
    prune(Field { domain: stored.domain.clone(), leaves, func: Rc::new(func) })
}
