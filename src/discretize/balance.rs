//! What a discretisation is given: a system of balance laws, pointwise, without any grid.
//!
//! The equation of component i is `∇·flux_i + source_i = 0`. Tested with v and integrated by parts:
//! `∫ -flux·∇v + source·v dΩ + ∫ (flux·n) v ds = 0`, where `flux·n` comes from a [`Condition::Natural`] (zero where there is
//! none: what a law carries through walls where nothing is given is such a condition, too).

use super::Refusal;
use super::derivative::{Direction, derivative};
use super::sparsity::nonzero_pattern;
use crate::ir::{Func, Type};

/// A steady system for `components` unknown values a point, over a domain of `dimension` space dimensions.
///
/// Shapes: d = dimension, c = components. The pointwise functions take, in this order, what is listed with them,
/// then `point data…`, then `shared parameters…`.
#[derive(Clone, Debug)]
pub struct Balance {
    /// For messages: `Heat`.
    pub name: String,
    pub dimension: usize,
    pub components: usize,
    /// A typical size of each component, for tolerances and initial guesses.
    pub nominal: Vec<f64>,
    /// The highest derivatives of the unknowns in it, 1 at least.
    pub order: usize,
    /// `(x[d], u[c], ∇u[c, d], …, ∇ʳu[c, d, …], point data…, shared…) → (flux[c, d], source[c])`, r the order.
    pub interior: Func,
    /// Types of one item of each point-data argument of `interior`: fields known at quadrature points.
    pub point_data: Vec<Type>,
    /// Types of the arguments that are the same at every point.
    pub shared: Vec<Type>,
    pub boundary: Vec<Boundary>,
    /// `flux` and `source` are affine in (u, ∇u), and natural fluxes in u.
    pub linear: bool,
    /// The Jacobian is symmetric and positive semi-definite (found by lowering from ∂flux/∂∇u).
    pub symmetric: bool,
    /// No condition fixes the constants: the solution is up to a constant (a gauge picks one afterwards).
    pub constant_kernel: bool,
    /// No gradient drives any flux.
    pub carries: bool,
}

impl Balance {
    /// For methods without an upwind side. Error: components carry each other through a wall where none is given, so that waves come in
    /// and go out there, and what comes in would be made up.
    pub fn told_at_walls(&self) -> Result<(), Refusal> {
        let c = self.components;
        for on in self.boundary.iter().filter(|_| self.carries && c > 1) {
            let Condition::Natural { rows, value, open: true, .. } = &on.condition else { continue };
            let directions: Vec<Direction> = (0..c).map(|element| Direction { input: 1, element }).collect();
            let pattern = nonzero_pattern(&derivative(value, &directions));
            let coupled = pattern.iter().enumerate().any(|(j, column)| (0..c).any(|i| i != j && column[i] != 0.0));
            if coupled && !rows.contains(&false) {
                let message = format!(
                    "at `{}` nothing is given of the unknowns of `{}`, which carry each other: waves come in there and go out",
                    on.part, self.name
                );
                return Err(Refusal::new("discretize.riemann", message).help(
                    "give one of them there (a wall, `v·n = 0`, or a free end, `p = 0`), or use explicit steps on `fv`, which let waves out",
                ));
            }
        }
        Ok(())
    }

    /// For methods whose fluxes read values and first derivatives. Error: the law holds higher ones.
    pub fn first_order(&self) -> Result<(), Refusal> {
        if self.order < 2 {
            return Ok(());
        }
        let message = format!("`{}` holds derivatives under its divergence beyond the first", self.name);
        Err(Refusal::new("discretize.derivatives", message)
            .help("use `fd` or `spectral`, or give the inner derivative a name: `unknown w: …`, `eq inner: w = ∇²u`"))
    }
}

/// A condition on one part of the boundary (`left`, `right`, `bottom`, `top`, `back`, `front`, `boundary`, …).
#[derive(Clone, Debug)]
pub struct Boundary {
    pub part: String,
    pub condition: Condition,
    /// Types of one item of each point-data argument of its function, at the facets' quadrature points (or nodes).
    pub point_data: Vec<Type>,
}

#[derive(Clone, Debug)]
pub enum Condition {
    /// `u[component] = value(x[d], point data…, shared…)`, a scalar.
    Essential { component: usize, value: Func },
    /// `flux·n = value(x[d], u[c], n[d], point data…, shared…)`, of shape `[c]`.
    Natural {
        /// The components whose flux it is, `[c]`; the value of others is zero.
        rows: Vec<bool>,
        value: Func,
        /// What gradients drive is given, and the value is that and all that is carried.
        driven: bool,
        /// Nothing is given there: the value is what the law carries through the wall, with the state inside.
        open: bool,
    },
}

impl Condition {
    /// The flux of every component, as it is given.
    pub fn flux(components: usize, value: Func) -> Condition {
        Condition::Natural { rows: vec![true; components], value, driven: false, open: false }
    }
}
