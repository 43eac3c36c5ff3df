//! What an implicit stage puts in the place of `∂t(s)`: how far s has come from a base, over the length of the stage.

use crate::ad;
use crate::base::Span;
use crate::ir::Builder;
use crate::lower::Lower;
use crate::lower::error::Result;
use crate::lower::field::prune;
use crate::lower::value::{Discrete, Field, Leaf, Value};
use crate::sema::hir::Op;
use std::rc::Rc;

/// Of bases.
#[derive(Clone, Copy, PartialEq)]
pub enum Base {
    /// The state at the beginning of the step.
    State,
    /// A combination of states and slopes.
    Combined,
}

impl Lower<'_> {
    /// `s(u) - s(base)`, which keeps `∫s` exactly [Celia, Bouloutas & Zarba 1990]. Where s is not linear in the unknowns and the base
    /// is combined of several, s of it is not the combination of theirs, and steps would be of a low order: there `s'(u)·(u - base)`,
    /// the method applied to `∂u/∂t`.
    pub(super) fn change_of(
        &mut self,
        stored: &Field,
        of: u64,
        fields: &[Rc<Discrete>],
        base: Base,
        span: Span,
    ) -> Result<Value> {
        let before = |leaf: &Leaf| match leaf {
            Leaf::Unknown { problem, index, order } if *problem == of => {
                Some(Leaf::Discrete { field: fields[*index].clone(), gradient: *order == 1 })
            }
            _ => None,
        };
        if base == Base::Combined && along(stored, &before, false).has_unknown() {
            return Ok(Value::Field(along(stored, &before, true)));
        }
        let before: Field = self.substitute(stored, before);
        self.apply(&Op::Sub, &[Value::Field(stored.clone()), Value::Field(before)], span)
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
