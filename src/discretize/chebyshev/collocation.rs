//! A balance law at Gauss–Lobatto points: the equation at every point whose value is not given; at walls the condition instead.
//!
//! Of steady problems the row of a point on a wall is `flux·n = value` where the flux of its equation holds gradients, and the equation
//! itself where it does not. In time every point has a rate: the flux that is given takes the place of the computed one before its
//! divergence is taken, so that what the start contradicts at a wall decays. [Canuto et al. 2006, §3.3]

use crate::discretize::balance::{Balance, Condition};
use crate::discretize::derivative::Direction;
use crate::discretize::element_map::{LocalLeaf, at_all_points};
use crate::discretize::family::Family;
use crate::discretize::finite_element::{Constraints, System, data_arguments, places, unheld};
use crate::discretize::sparsity::nonzero_pattern;
use crate::discretize::{Discrete, Options, Refusal, Side, Space};
use crate::ir::{Builder, Func, Tensor, Type, Value};
use std::sync::Arc;

/// Most unknowns: the matrix is dense.
const MOST: usize = 8192;

/// What a discretisation is for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Purpose {
    Steady,
    /// A stage of an implicit step.
    Stage,
    /// Rates for explicit steps.
    Rates,
}

/// A discretised balance law.
pub struct Collocation {
    pub discrete: Discrete,
    /// `(u[c, n…], data…, shared…) → ∂u/∂t [c, n…]`, zero where values are given.
    pub rates: Func,
    /// `(u[c, n…], data…, shared…) → u [c, n…]` with the values that are given.
    pub complete: Func,
}

/// Discretises on a space of Gauss–Lobatto points. Errors: derivatives beyond the second, a part of the boundary that is not there,
/// a pressure that no equation of its own holds, nothing or too much to solve for.
pub fn discretise(
    balance: &Balance,
    space: &Space,
    options: &Options,
    purpose: Purpose,
) -> Result<Collocation, Refusal> {
    let c = balance.components;
    if balance.order > 1 {
        let message = format!("`{}` holds derivatives under its divergence beyond the first", balance.name);
        return Err(Refusal::new("discretize.derivatives", message)
            .help("give the inner derivative a name: `unknown w: …`, `eq inner: w = ∇²u`"));
    }
    if purpose != Purpose::Rates && unheld(balance).contains(&true) {
        let message = format!("an unknown of `{}` stands in no equation of its own", balance.name);
        return Err(Refusal::new("discretize.chebyshev", message)
            .help("a pressure at the same points as the velocity is not determined; use `fem(order=2, …)`"));
    }
    if purpose == Purpose::Steady && balance.constant_kernel {
        let message = format!("`{}` is determined up to a constant only", balance.name);
        return Err(Refusal::new("discretize.chebyshev", message)
            .help("give a value at a wall, or use `fem`, which takes a gauge"));
    }
    let sides = balance.boundary.iter().map(|on| space.mesh.part(&on.part)).collect::<Result<Vec<_>, _>>()?;
    let constraints = Constraints::new(balance, space, &sides, vec![false; c]);
    if constraints.free == 0 {
        let message =
            format!("every value of `{}` is given by its boundary conditions: no unknown is left", balance.name);
        return Err(Refusal::new("discretize.empty", message).help("choose a larger `n`"));
    }
    if purpose != Purpose::Rates && constraints.free > MOST {
        let message = format!("{} unknowns make a dense matrix that is too large", constraints.free);
        return Err(Refusal::new("discretize.chebyshev", message)
            .help(format!("up to {MOST} are solved for; choose a smaller `n`, or `fem`")));
    }
    let data = data_arguments(balance, space, &sides, &constraints);
    let system = System { balance, space, sides: &sides, constraints: &constraints, data: &data };
    let law = Law { system: &system, diffusive: diffusive(balance) };
    let mut spec = options.spec(balance, None, None);
    (spec.symmetric, spec.constant_kernel) = (false, false);
    let places = places(&constraints);
    let nominal: Vec<f64> = places
        .as_index()
        .expect("compiler bug: places are indices")
        .iter()
        .map(|k| balance.nominal.get(*k as usize % c).copied().unwrap_or(0.0))
        .collect();
    let expand = system.expand();
    let rates = law.on_lattice(&law.residual(Walls::Fluxes), &places, true);
    let complete = law.on_lattice(&expand, &places, false);
    let discrete = Discrete {
        residual: Arc::new(law.residual(if purpose == Purpose::Steady { Walls::Rows } else { Walls::Fluxes })),
        expand: Arc::new(expand),
        gradient: None,
        spec: Arc::new(spec),
        free: constraints.free,
        nominal: Tensor::f64([constraints.free], nominal),
        places,
        data: data.clone(),
        shared: balance.shared.clone(),
        space: space.clone(),
    };
    Ok(Collocation { discrete, rates, complete })
}

/// What holds at walls where no value is given.
#[derive(Clone, Copy, PartialEq)]
enum Walls {
    /// A row of its own.
    Rows,
    /// A flux in the place of the computed one.
    Fluxes,
}

struct Law<'a> {
    system: &'a System<'a>,
    /// Of each equation, whether its flux depends on a gradient.
    diffusive: Vec<bool>,
}

impl Law<'_> {
    /// `(u[free], data…, shared…) → [free]`
    fn residual(&self, walls: Walls) -> Func {
        let mut b = Builder::new(format!("{} residual", self.system.balance.name));
        let rows = self.rows(&mut b, walls);
        b.finish(vec![rows])
    }

    fn rows(&self, b: &mut Builder, walls: Walls) -> Value {
        let System { balance, space, constraints, .. } = *self.system;
        let (n, c, d) = (space.node_count(), balance.components, balance.dimension);
        let inputs = self.system.inputs(b);
        let full = self.system.full(b, &inputs);
        let slots = b.constant(Tensor::index([n * c], constraints.slots.clone()));
        let all = b.gather(full, slots);
        let all = b.reshape(all, &[n, c]);
        let slopes = space.chebyshev_gradient(b, all);
        let (u, g) = (b.reshape(all, &[1, n, c]), b.reshape(slopes, &[1, n, c, d]));
        let mut leaves = vec![LocalLeaf::Coordinates, LocalLeaf::Data(u), LocalLeaf::Data(g)];
        leaves.extend(inputs.interior.iter().map(|&v| LocalLeaf::Data(v)));
        leaves.extend(inputs.shared.iter().map(|&v| LocalLeaf::Shared(v)));
        let out = at_all_points(b, &space.family, &balance.interior, &leaves);
        let (mut flux, source) = (b.reshape(out[0], &[n, c, d]), b.reshape(out[1], &[n, c]));
        let conditions = self.conditions(b, all, &inputs.boundary, &inputs.shared);
        if walls == Walls::Fluxes {
            for on in &conditions {
                flux = on.flux(b, flux);
            }
        }
        let mut rows = source;
        for axis in 0..d {
            let part = b.index(flux, 2, axis);
            let slope = space.chebyshev_slope(b, part, axis);
            rows = b.add(rows, slope);
        }
        if walls == Walls::Rows {
            let mut sum = b.zeros(&Type::f64([n, c]));
            let mut held = vec![0.0; n * c];
            for on in &conditions {
                let row = on.row(b, flux);
                sum = b.add(sum, row);
                held.iter_mut().zip(&on.mask).for_each(|(h, m)| *h = f64::max(*h, *m));
            }
            if held.contains(&1.0) {
                let held = b.constant(Tensor::f64([n, c], held));
                rows = b.select(held, sum, rows);
            }
        }
        let rows = b.reshape(rows, &[n * c]);
        let places = b.constant(places(constraints));
        b.gather(rows, places)
    }

    /// What is said of fluxes on each side.
    fn conditions(&self, b: &mut Builder, all: Value, data: &[Vec<Value>], shared: &[Value]) -> Vec<OnSide> {
        let System { balance, space, sides, .. } = *self.system;
        let (n, c, d) = (space.node_count(), balance.components, balance.dimension);
        let mut out = vec![];
        for side in space.mesh.sides() {
            let nodes = space.side_nodes(side);
            let here = |k: usize| sides[k].contains(&side);
            let given = |i: usize| {
                balance.boundary.iter().enumerate().any(|(k, on)| {
                    here(k) && matches!(on.condition, Condition::Essential { component, .. } if component == i)
                })
            };
            let naturals: Vec<(usize, &Vec<bool>, &Func)> = (balance.boundary.iter().enumerate())
                .filter_map(|(k, on)| match &on.condition {
                    Condition::Natural { rows, value, .. } if here(k) => Some((k, rows, value)),
                    _ => None,
                })
                .collect();
            let mut mask = vec![0.0; n * c];
            let replaced = |i: usize| self.diffusive[i] || naturals.iter().any(|(_, rows, _)| rows[i]);
            for i in (0..c).filter(|&i| replaced(i) && !given(i)) {
                nodes.iter().for_each(|&node| mask[node as usize * c + i] = 1.0);
            }
            if !mask.contains(&1.0) {
                continue;
            }
            let values: Vec<Value> = naturals
                .into_iter()
                .map(|(k, _, value)| {
                    let family = Family::facets(&space.mesh, side, space.gauss);
                    let m = nodes.len();
                    let index = b.constant(Tensor::index([m], nodes.clone()));
                    let u = b.gather(all, index);
                    let u = b.reshape(u, &[1, m, c]);
                    let normal = b.constant(Tensor::f64([d], side.normal(d)));
                    let before = sides[k].iter().position(|s| *s == side).expect("compiler bug: a side got lost");
                    let mut leaves = vec![LocalLeaf::Coordinates, LocalLeaf::Data(u), LocalLeaf::Shared(normal)];
                    leaves.extend(data[k].iter().map(|&v| LocalLeaf::Data(b.slice(v, 0, before, before + 1))));
                    leaves.extend(shared.iter().map(|&v| LocalLeaf::Shared(v)));
                    let value = at_all_points(b, &family, value, &leaves)[0];
                    let value = b.reshape(value, &[m, c]);
                    b.scatter_add(n, index, value)
                })
                .collect();
            let value = values.into_iter().reduce(|sum, v| b.add(sum, v));
            out.push(OnSide { side, mask, value });
        }
        out
    }

    /// A function of the unknowns `[free] → [free]` or `[N, c]`, of states `[c, n…]`.
    fn on_lattice(&self, f: &Func, places: &Tensor, rates: bool) -> Func {
        let System { balance, space, .. } = *self.system;
        let (n, c) = (space.node_count(), balance.components);
        let shape = [&[c], &space.points[..]].concat();
        let mut b = Builder::new(f.name.clone());
        let u = b.input(Type::f64(shape.clone()));
        let u = b.reshape(u, &[c, n]);
        let u = b.transpose(u, &[1, 0]);
        let u = b.reshape(u, &[n * c]);
        let places = b.constant(places.clone());
        let mut args = vec![b.gather(u, places)];
        args.extend(f.inputs[1..].iter().map(|ty| b.input(ty.clone())).collect::<Vec<_>>());
        let mut out = b.inline(f, &args)[0];
        if rates {
            let minus = b.neg(out);
            out = b.scatter_add(n * c, places, minus);
        }
        let out = b.reshape(out, &[n, c]);
        let out = b.transpose(out, &[1, 0]);
        let out = b.reshape(out, &shape);
        b.finish(vec![out])
    }
}

/// A side where fluxes are given, or none leaves.
struct OnSide {
    side: Side,
    /// 1 for the values `[N, c]` in whose place the condition stands.
    mask: Vec<f64>,
    /// The flux outwards, `[N, c]`; none for zero.
    value: Option<Value>,
}

impl OnSide {
    /// `flux·n - value` on this side, zero elsewhere: `[N, c]`.
    fn row(&self, b: &mut Builder, flux: Value) -> Value {
        let part = b.index(flux, 2, self.side.axis);
        let outwards = if self.side.high { part } else { b.neg(part) };
        let difference = match self.value {
            Some(v) => b.sub(outwards, v),
            None => outwards,
        };
        let shape = b.ty(difference).shape.clone();
        let mask = b.constant(Tensor::f64(shape, self.mask.clone()));
        b.mul(mask, difference)
    }

    /// The flux `[N, c, d]` with what is given here.
    fn flux(&self, b: &mut Builder, flux: Value) -> Value {
        let shape = b.ty(flux).shape.clone();
        let d = shape[2];
        let columns: Vec<Value> = (0..d)
            .map(|axis| {
                let part = b.index(flux, 2, axis);
                if axis != self.side.axis {
                    return part;
                }
                let given = self.value.unwrap_or_else(|| b.zeros_like(part));
                let given = if self.side.high { given } else { b.neg(given) };
                let mask = b.constant(Tensor::f64([shape[0], shape[1]], self.mask.clone()));
                b.select(mask, given, part)
            })
            .collect();
        b.stack(&columns, 2)
    }
}

/// Of each equation, whether its flux depends on a gradient.
fn diffusive(balance: &Balance) -> Vec<bool> {
    let (c, d) = (balance.components, balance.dimension);
    let directions: Vec<Direction> = (0..c * d).map(|element| Direction { input: 2, element }).collect();
    let slopes = crate::discretize::derivative::derivative(&balance.interior, &directions);
    let pattern = nonzero_pattern(&slopes);
    (0..c).map(|i| (0..c * d).any(|k| pattern[2 * k][i * d..(i + 1) * d].contains(&1.0))).collect()
}
