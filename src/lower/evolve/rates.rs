//! Which unknowns have a rate, and what stands before it.

use super::terms::Implicit;
use crate::ad;
use crate::base::Span;
use crate::discretize::Space;
use crate::discretize::grid::Places;
use crate::ir::{Builder, Op, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::field::prune;
use crate::lower::solve::Shared;
use crate::lower::system::{Equation, Equations};
use crate::lower::value::{Field, Leaf, Num, Value};
use std::rc::Rc;

/// Of which terms of the equations the rates are.
#[derive(Clone, Copy)]
pub enum Terms {
    All,
    Implicit(Implicit),
    Explicit(Implicit),
}

/// The equation that holds the rate of an unknown, and of nothing else.
fn rated(eqs: &Equations, unknown: usize) -> Option<(&Equation, &Field)> {
    let of_this = |f: &Field| {
        let others = f.leaves.iter().any(|l| match l {
            Leaf::Unknown { index, order, .. } => *index != unknown || *order > 0,
            _ => false,
        });
        f.has_unknown() && !others
    };
    eqs.balances.iter().find_map(|e| match &e.residual.stored {
        Some(Value::Field(f)) if of_this(f) => Some((e, f)),
        _ => None,
    })
}

/// Whether an unknown has a rate of its own.
pub fn has_rate(eqs: &Equations, unknown: usize) -> bool {
    rated(eqs, unknown).is_some()
}

/// Which components have one.
pub fn stored(eqs: &Equations) -> Vec<bool> {
    let each = eqs.unknowns.iter().enumerate();
    each.flat_map(|(k, u)| vec![has_rate(eqs, k); u.shape.iter().product()]).collect()
}

impl Lower<'_> {
    /// The equations with these terms alone; of all terms, transport as fluxes or pointwise, of some as fluxes.
    pub(super) fn terms_of(
        &mut self,
        mut eqs: Equations,
        terms: Terms,
        conservative: bool,
        span: Span,
    ) -> Result<Equations> {
        match terms {
            Terms::All => {
                self.settle(&mut eqs, conservative)?;
                Ok(eqs)
            }
            Terms::Implicit(kinds) => Ok(self.split_terms(eqs, kinds, true, span)?.implicit),
            Terms::Explicit(kinds) => {
                let parts = self.split_terms(eqs, kinds, true, span)?;
                let mut eqs = parts.implicit;
                for (e, theirs) in eqs.balances.iter_mut().zip(parts.explicit) {
                    let r = &mut e.residual;
                    (r.flux, r.source, r.carried) = (theirs.flux, theirs.source, theirs.carried);
                }
                for (c, theirs) in eqs.conditions.iter_mut().zip(parts.of_conditions) {
                    c.through = theirs.through;
                }
                Ok(eqs)
            }
        }
    }

    /// What stands before the rates: `[N, c]` over the components that have one; none where it is 1 for all. Equations are put into
    /// the order of the unknowns, those without a rate where unknowns without one are. `all`: every unknown needs a rate.
    pub(super) fn capacities(
        &mut self,
        eqs: &mut Equations,
        space: &Rc<Space>,
        all: bool,
        span: Span,
    ) -> Result<Option<Num>> {
        self.capacities_at(eqs, space, None, all, span)
    }

    /// The same where each component stands at its own place.
    pub(super) fn capacities_at(
        &mut self,
        eqs: &mut Equations,
        space: &Rc<Space>,
        places: Option<&Places>,
        all: bool,
        span: Span,
    ) -> Result<Option<Num>> {
        let mut capacities = vec![];
        let mut sorted = vec![];
        let mut rest: Vec<Equation> = eqs.balances.iter().filter(|e| e.residual.stored.is_none()).cloned().collect();
        rest.reverse();
        for (k, u) in eqs.unknowns.iter().enumerate() {
            match rated(eqs, k) {
                Some((equation, stored)) => {
                    sorted.push(equation.clone());
                    capacities.push((self.capacity(&stored.clone(), &u.shape, equation.span)?, u));
                }
                None if !all && !rest.is_empty() => sorted.push(rest.pop().expect("compiler bug: no equation")),
                None => {
                    return error_help(
                        "run.scheme",
                        eqs.balances[k].span,
                        format!("this method needs an equation for `∂t({})` alone", u.name),
                        "use an implicit method for equations without a rate, or with rates of several unknowns; on periodic domains `spectral` takes linear equations without a rate",
                    );
                }
            }
        }
        let x = Num::Const(space.node_coordinates());
        let mut columns = vec![];
        if capacities.iter().any(|c| c.0.is_some()) {
            for (capacity, u) in &capacities {
                let components: usize = u.shape.iter().product();
                let first = columns.iter().map(|c: &Num| c.shape()[1]).sum();
                let at_nodes = match capacity {
                    Some(f) if places.is_some() => {
                        let places = places.expect("compiler bug: no places");
                        columns.push(self.field_at_places(f, places, first, space, span)?);
                        continue;
                    }
                    Some(f) => self.field_at_points(f, &x, span)?,
                    None => Num::Const(Tensor::full(&Type::f64([space.node_count()]), 1.0)),
                };
                columns.push(self.tracer.build(&[&at_nodes], |b, v| {
                    b.op(Op::Broadcast { shape: vec![space.node_count(), components], axes: vec![0] }, &[v[0]])
                }));
            }
        }
        eqs.balances = sorted;
        if columns.is_empty() {
            return Ok(None);
        }
        let refs: Vec<&Num> = columns.iter().collect();
        Ok(Some(self.tracer.build(&refs, |b, v| b.concat(v, 1))))
    }

    /// Integrals and convolutions of the unknown inside the equations, from its values at the nodes `[N, c]`, in the place of the numbers that stand for
    /// them.
    pub(super) fn integrated(
        &mut self,
        eqs: &Equations,
        shared: &mut Shared,
        nodal: &Num,
        space: &Rc<Space>,
        span: Span,
    ) -> Result<()> {
        let convolved = self.convolutions_at(eqs, shared, nodal, space)?;
        let numbers = &mut shared.numbers;
        if eqs.integrals.is_empty() {
            return Ok(());
        }
        let fields = self.unknown_fields(eqs, nodal, None, space);
        for standing in &eqs.integrals {
            let solved = |l: &Self, f: &Field| l.substitute(f, |leaf| eqs.filled(leaf, &fields, &[], &convolved));
            let value = self.functional_value(&standing.integral, &solved, span)?;
            let place =
                |n: &&mut Num| Leaf::Shared((**n).clone()).same(&Leaf::Shared(standing.number.placeholder.clone()));
            if let Some(n) = numbers.iter_mut().find(place) {
                *n = value;
            }
        }
        Ok(())
    }

    /// `∂stored/∂u` of a scalar unknown; none where the unknown itself is stored.
    fn capacity(&mut self, stored: &Field, shape: &[usize], span: Span) -> Result<Option<Field>> {
        if stored.func.nodes.len() == 1 {
            return Ok(None);
        }
        let nonlinear = || {
            error_help(
                "run.scheme",
                span,
                "an explicit method needs the derivative in time of an unknown, times a factor without the unknown",
                "divide the equation by what stands before `∂t`, or use an implicit method",
            )
        };
        if !shape.is_empty() {
            return nonlinear();
        }
        let mut b = Builder::new("capacity");
        let args: Vec<_> = stored.func.inputs.iter().map(|t| b.input(t.clone())).collect();
        let tangents: Vec<_> =
            stored.leaves.iter().map(|l| matches!(l, Leaf::Unknown { .. }).then(|| b.scalar(1.0))).collect();
        let (_, t) = ad::jvp_into(&mut b, &stored.func, &args, &tangents);
        let slope = t[0].unwrap_or_else(|| b.scalar(0.0));
        let func = b.finish(vec![slope]);
        let field = prune(Field { domain: stored.domain.clone(), leaves: stored.leaves.clone(), func: Rc::new(func) });
        if field.has_unknown() { nonlinear() } else { Ok(Some(field)) }
    }
}
