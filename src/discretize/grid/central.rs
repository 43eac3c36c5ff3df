//! Central differences in conservative form: fluxes at the faces between points, from stencils around them.
//!
//! On periodic axes sums over the grid are conserved to rounding whatever the order, at walls for order 2 too.

use super::stencil::{self, Stencil};
use super::terms::{Argument, Input, Reader, whole_over_points};
use super::walls::{self, Condition1, Kind, conditions, extended, facet_shape};
use super::{check, coordinate, data_input, inputs, shared_inputs, spread};
use crate::discretize::{Balance, Mesh, Refusal, Side};
use crate::ir::{Builder, DType, Func, Op, Tensor, Type, Value};
use std::collections::HashMap;

/// `(u[c, n…], data…[N, …], boundary data…[facets, …], shared…) → -(∇·flux) - source [c, n…]`, N the number of points, row-major;
/// facets as in [`super::wall_points`].
///
/// Errors: an order that is not offered, too few points for it, an equation whose pointwise part holds solves or loops.
pub fn rates(balance: &Balance, mesh: &Mesh, order: usize) -> Result<Func, Refusal> {
    check(balance)?;
    balance.told_at_walls()?;
    if ![2, 4, 6, 8].contains(&order) {
        return Err(Refusal::new("discretize.grid", format!("there are no central differences of order {order}"))
            .help("choose 2, 4, 6 or 8"));
    }
    let bounded = mesh.periodic.contains(&false);
    if bounded && order > 4 {
        return Err(Refusal::new("discretize.grid", format!("differences of order {order} need a periodic domain"))
            .help("choose order 2 or 4 on domains with boundaries"));
    }
    if bounded && balance.order > 1 {
        return Err(Refusal::new(
            "discretize.grid",
            "derivatives beyond the second need further boundary conditions, which are not supported yet",
        )
        .help("use a periodic domain, or give the inner derivative a name and conditions of its own"));
    }
    if let Some(n) = mesh.cells.iter().find(|&&n| n < order + balance.order) {
        return Err(Refusal::new("discretize.grid", format!("{n} points are too few for order {order}"))
            .help("choose a larger `n` or a lower order"));
    }
    let mut b = Builder::new("rates");
    let u = b.input(Type::f64([&[balance.components], &mesh.cells[..]].concat()));
    let data = balance.point_data.iter().map(|ty| data_input(&mut b, ty, &mesh.cells)).collect();
    let mut wall_data = vec![];
    for on in &balance.boundary {
        let sides = mesh.part(&on.part)?;
        let facets: usize = sides.iter().map(|s| facet_shape(mesh, *s).iter().product::<usize>()).sum();
        wall_data.push(on.point_data.iter().map(|ty| data_input(&mut b, ty, &[facets])).collect());
    }
    let shared = shared_inputs(&mut b, balance);
    let u = (0..balance.components).map(|k| b.index(u, 0, k)).collect();
    let mut law = Law { balance, mesh, order, u, data, wall_data, shared, walls: HashMap::new() };
    law.read_walls(&mut b)?;
    let rates: Vec<Value> = law.rates(&mut b).into_iter().map(|r| spread(&mut b, r, &mesh.cells)).collect();
    let out = b.stack(&rates, 0);
    Ok(b.finish(vec![out]))
}

/// `u[c, n…] → ∇u [c, d, n…]` at the points, of an order; one-sided at walls. Error: too few points.
pub fn slopes(components: usize, mesh: &Mesh, order: usize) -> Func {
    let mut b = Builder::new("slopes");
    let u = b.input(Type::f64([&[components], &mesh.cells[..]].concat()));
    let all: Vec<Value> = (0..components)
        .map(|k| {
            let v = b.index(u, 0, k);
            let of_axes: Vec<Value> = (0..mesh.dimension())
                .map(|axis| {
                    let stencil = stencil::central(order, 1, mesh.extent[axis] / mesh.cells[axis] as f64);
                    if mesh.periodic[axis] {
                        return apply(&mut b, &stencil, v, axis);
                    }
                    let reach = order / 2;
                    let wide = extended(&mut b, v, axis, reach, [None, None], order + 1);
                    valid(&mut b, &stencil, wide, axis, reach, mesh.cells[axis])
                })
                .collect();
            b.stack(&of_axes, 0)
        })
        .collect();
    let out = b.stack(&all, 0);
    b.finish(vec![out])
}

/// The pointwise law and what it reads.
struct Law<'a> {
    balance: &'a Balance,
    mesh: &'a Mesh,
    order: usize,
    u: Vec<Value>,
    /// Components of each point-data argument, arrays over the points.
    data: Vec<Vec<Value>>,
    /// The same for each boundary condition, `[facets]`.
    wall_data: Vec<Vec<Vec<Value>>>,
    shared: Vec<Vec<Value>>,
    /// By side: the value or the flux (outwards) of each component there.
    walls: HashMap<Side, Vec<Option<Wall>>>,
}

#[derive(Clone, Copy)]
enum Wall {
    Value(Value),
    Flux(Value),
}

impl Law<'_> {
    fn read_walls(&mut self, b: &mut Builder) -> Result<(), Refusal> {
        for side in self.mesh.sides() {
            let found = conditions(self.balance, self.mesh, side)?;
            self.walls.insert(side, vec![None; self.balance.components]);
            // Values first: fluxes read them.
            for values in [true, false] {
                for (k, condition) in found.iter().enumerate() {
                    let Some(c) = condition.filter(|c| matches!(c.kind, Kind::Value(_)) == values) else { continue };
                    let wall = self.wall(b, side, k, &c)?;
                    self.walls.get_mut(&side).expect("compiler bug: a side got lost")[k] = Some(wall);
                }
            }
        }
        Ok(())
    }

    fn wall(&self, b: &mut Builder, side: Side, component: usize, c: &Condition1) -> Result<Wall, Refusal> {
        let shape = facet_shape(self.mesh, side);
        let d = self.mesh.dimension();
        let x = (0..d)
            .map(|a| {
                if a == side.axis {
                    let end = self.mesh.origin[a] + if side.high { self.mesh.extent[a] } else { 0.0 };
                    return b.full(&Type::f64(shape.clone()), end);
                }
                coordinate_over(b, self.mesh, &shape, a)
            })
            .collect();
        let mut args = vec![Argument::Values(x)];
        let func = match c.kind {
            Kind::Value(f) => f,
            Kind::Flux(f) | Kind::Open(f) => {
                let u = (self.u.iter().enumerate())
                    .map(|(k, &u)| match self.walls[&side][k] {
                        Some(Wall::Value(given)) => given,
                        _ => walls::beyond(b, u, side, None, self.fit(), 0.0),
                    })
                    .collect();
                let normal = (0..d).map(|a| {
                    let n = if a != side.axis {
                        0.0
                    } else if side.high {
                        1.0
                    } else {
                        -1.0
                    };
                    b.scalar(n)
                });
                let normal = normal.collect();
                args.push(Argument::Values(u));
                args.push(Argument::Values(normal));
                f
            }
        };
        // The facets of this side among those of the condition.
        let sides = self.mesh.part(&self.balance.boundary[c.index].part)?;
        let count = |s: &Side| facet_shape(self.mesh, *s).iter().product::<usize>();
        let before: usize = sides.iter().take_while(|s| **s != side).map(count).sum();
        for item in &self.wall_data[c.index] {
            let here = item.iter().map(|&v| {
                let part = b.slice(v, 0, before, before + count(&side));
                b.reshape(part, &shape)
            });
            args.push(Argument::Values(here.collect()));
        }
        args.extend(self.shared.iter().cloned().map(Argument::Values));
        let out = whole_over_points(b, func, &args, &mut Nothing);
        let mut whole = |v: Option<Value>| {
            let v = v.unwrap_or_else(|| b.scalar(0.0));
            spread(b, v, &shape)
        };
        Ok(match c.kind {
            Kind::Value(_) => Wall::Value(whole(out[0][0])),
            Kind::Flux(_) | Kind::Open(_) => Wall::Flux(whole(out[0][component])),
        })
    }

    fn rates(&self, b: &mut Builder) -> Vec<Value> {
        let (c, d) = (self.balance.components, self.balance.dimension);
        let mut at_points = Points { law: self, arrays: HashMap::new() };
        let source = self.at(b, None, self.data.clone(), &mut at_points).swap_remove(1);
        let mut rates: Vec<Value> = source
            .into_iter()
            .map(|s| {
                let s = s.unwrap_or_else(|| b.scalar(0.0));
                b.neg(s)
            })
            .collect();
        for axis in 0..d {
            let data = self.data.iter().map(|item| item.iter().map(|&v| self.to_faces(b, v, axis, 0, None)).collect());
            let data: Vec<Vec<Value>> = data.collect();
            let mut at_faces = Faces { points: &mut at_points, axis, arrays: HashMap::new() };
            let flux = self.at(b, Some(axis), data, &mut at_faces).swap_remove(0);
            for k in 0..c {
                let Some(flux) = flux[k * d + axis] else { continue };
                let shape = self.faces(axis);
                let flux = spread(b, flux, &shape);
                let div = self.divergence(b, flux, axis, k);
                rates[k] = b.sub(rates[k], div);
            }
        }
        rates
    }

    /// Flux and source at the points, or at the faces across an axis.
    fn at(
        &self,
        b: &mut Builder,
        faces: Option<usize>,
        data: Vec<Vec<Value>>,
        reader: &mut dyn Reader,
    ) -> Vec<Vec<Option<Value>>> {
        let (c, d) = (self.balance.components, self.balance.dimension);
        let mut args = vec![Argument::Values((0..d).map(|a| self.coordinate(b, a, faces)).collect())];
        args.extend((0..=self.balance.order).map(|r| Argument::Inputs(inputs(c, d, r))));
        args.extend(data.into_iter().chain(self.shared.iter().cloned()).map(Argument::Values));
        // What is read is asked for late, so that nothing is built in vain.
        let law = part_of(&self.balance.interior, if faces.is_some() { 0 } else { 1 }, faces, d);
        let values = whole_over_points(b, &law, &args, reader);
        let mut both = vec![vec![None; c * d], vec![None; c]];
        match faces {
            Some(axis) => (0..c).for_each(|k| both[0][k * d + axis] = values[0][k]),
            None => both[1] = values[0].clone(),
        }
        both
    }

    /// The shape of arrays over the faces across an axis that a divergence reads.
    fn faces(&self, axis: usize) -> Vec<usize> {
        let mut shape = self.mesh.cells.clone();
        if !self.mesh.periodic[axis] {
            shape[axis] += self.order - 1;
        }
        shape
    }

    fn coordinate(&self, b: &mut Builder, axis: usize, faces: Option<usize>) -> Value {
        let Some(across) = faces else { return coordinate(b, self.mesh, &self.mesh.cells, axis, 0.0) };
        if self.mesh.periodic[across] {
            let shift = if across == axis { 0.5 } else { 0.0 };
            return coordinate(b, self.mesh, &self.mesh.cells, axis, shift);
        }
        let shape = self.faces(across);
        if across != axis {
            return coordinate_over(b, self.mesh, &shape, axis);
        }
        // Faces behind the wall first.
        let h = self.spacing(axis);
        let i = b.op(Op::Iota { dtype: DType::F64, shape, axis }, &[]);
        let step = b.scale(i, h);
        let first = b.scalar(self.mesh.origin[axis] - (self.order / 2 - 1) as f64 * h);
        b.add(step, first)
    }

    /// Points that an extrapolation goes through. A flux that is given acts on all that is near, so that errors beside it count one
    /// order more than beside a value; for order 2 the flux at the wall is all there is.
    fn fit(&self) -> usize {
        if self.order == 2 { 2 } else { self.order + 1 }
    }

    fn spacing(&self, axis: usize) -> f64 {
        self.mesh.extent[axis] / self.mesh.cells[axis] as f64
    }

    /// Values at the walls of an axis, where they are given.
    fn at_walls(&self, axis: usize, component: Option<usize>) -> [Option<Value>; 2] {
        [false, true].map(|high| {
            let side = Side { axis, high };
            match self.walls.get(&side).and_then(|w| w[component?]) {
                Some(Wall::Value(v)) => Some(v),
                _ => None,
            }
        })
    }

    /// The m-th derivative along an axis at the points.
    fn at_points(&self, b: &mut Builder, v: Value, axis: usize, m: usize, component: Option<usize>) -> Value {
        let stencil = stencil::central(self.order, m, self.spacing(axis));
        if self.mesh.periodic[axis] {
            return apply(b, &stencil, v, axis);
        }
        let reach = stencil.iter().map(|(o, _)| o.unsigned_abs()).max().unwrap_or(0);
        let wide = extended(b, v, axis, reach, self.at_walls(axis, component), self.fit());
        valid(b, &stencil, wide, axis, reach, self.mesh.cells[axis])
    }

    /// The m-th derivative along an axis at the faces across it.
    fn to_faces(&self, b: &mut Builder, v: Value, axis: usize, m: usize, component: Option<usize>) -> Value {
        let stencil = stencil::to_faces(self.order, m, self.spacing(axis));
        if self.mesh.periodic[axis] {
            return apply(b, &stencil, v, axis);
        }
        // Result i of the stencil is the face above point i; the first face wanted lies `beyond` points under the wall.
        let beyond = self.order / 2;
        let reach = stencil.iter().map(|(o, _)| o.unsigned_abs()).max().unwrap_or(0);
        let ghosts = beyond + reach - 1;
        let wide = extended(b, v, axis, ghosts, self.at_walls(axis, component), self.fit());
        valid(b, &stencil, wide, axis, ghosts - beyond, self.faces(axis)[axis])
    }

    /// Through walls without a condition nothing passes.
    fn divergence(&self, b: &mut Builder, flux: Value, axis: usize, component: usize) -> Value {
        let stencil = stencil::from_faces(self.order, self.spacing(axis));
        if self.mesh.periodic[axis] {
            return apply(b, &stencil, flux, axis);
        }
        let (n, beyond) = (self.mesh.cells[axis], self.order / 2 - 1);
        let flux = [false, true].into_iter().fold(flux, |flux, high| {
            let side = Side { axis, high };
            let given = match self.walls.get(&side).and_then(|w| w[component]) {
                Some(Wall::Value(_)) => return flux,
                Some(Wall::Flux(v)) => {
                    if high {
                        v
                    } else {
                        b.neg(v)
                    }
                }
                None => b.zeros(&Type::f64(facet_shape(self.mesh, side))),
            };
            let at = if high { n + beyond } else { beyond };
            let last = b.ty(flux).shape[axis];
            let mut parts = vec![];
            if at > 0 {
                parts.push(b.slice(flux, axis, 0, at));
            }
            parts.push(given);
            if at + 1 < last {
                parts.push(b.slice(flux, axis, at + 1, last));
            }
            b.concat(&parts, axis)
        });
        // Cell i lies between the faces i and i + 1 of those at and between the walls.
        let mut sum: Option<Value> = None;
        for (offset, w) in stencil {
            let start = (beyond as isize + 1 + offset) as usize;
            let term = b.slice(flux, axis, start, start + n);
            let term = b.scale(term, w);
            sum = Some(match sum {
                Some(sum) => b.add(sum, term),
                None => term,
            });
        }
        sum.expect("compiler bug: an empty stencil")
    }
}

/// Unknowns and derivatives at the points.
struct Points<'a> {
    law: &'a Law<'a>,
    arrays: HashMap<Input, Value>,
}

impl Reader for Points<'_> {
    fn keeps(&self, _: &Input) -> bool {
        true
    }

    fn array(&mut self, b: &mut Builder, input: &Input) -> Value {
        if let Some(v) = self.arrays.get(input) {
            return *v;
        }
        let mut v = self.law.u[input.component];
        // Conditions hold for the unknown itself; what is differentiated once is extrapolated.
        let mut component = Some(input.component);
        for axis in 0..self.law.mesh.dimension() {
            let m = input.axes.iter().filter(|&&a| a == axis).count();
            if m > 0 {
                v = self.law.at_points(b, v, axis, m, component.take());
            }
        }
        self.arrays.insert(input.clone(), v);
        v
    }
}

/// The same at the faces across an axis.
struct Faces<'a, 'b> {
    points: &'b mut Points<'a>,
    axis: usize,
    arrays: HashMap<Input, Value>,
}

impl Reader for Faces<'_, '_> {
    fn keeps(&self, _: &Input) -> bool {
        true
    }

    fn array(&mut self, b: &mut Builder, input: &Input) -> Value {
        if let Some(v) = self.arrays.get(input) {
            return *v;
        }
        // Derivatives across the faces straight from the points on both sides: compact.
        let across = input.axes.iter().filter(|&&a| a == self.axis).count();
        let others: Vec<usize> = input.axes.iter().copied().filter(|&a| a != self.axis).collect();
        let component = others.is_empty().then_some(input.component);
        let along = self.points.array(b, &Input { component: input.component, axes: others });
        let v = self.points.law.to_faces(b, along, self.axis, across, component);
        self.arrays.insert(input.clone(), v);
        v
    }
}

/// For functions that read no unknown as such.
struct Nothing;

impl Reader for Nothing {
    fn keeps(&self, _: &Input) -> bool {
        false
    }

    fn array(&mut self, _: &mut Builder, input: &Input) -> Value {
        unreachable!("compiler bug: {input:?} at a wall")
    }
}

/// The fluxes across one axis `[c]`, or the sources `[c]`, alone.
pub(super) fn part_of(interior: &Func, output: usize, axis: Option<usize>, d: usize) -> Func {
    let mut b = Builder::new(interior.name.clone());
    let args: Vec<Value> = interior.inputs.iter().map(|t| b.input(t.clone())).collect();
    let v = b.inline(interior, &args)[output];
    let v = match axis {
        Some(axis) => b.index(v, 1, axis.min(d - 1)),
        None => v,
    };
    b.finish(vec![v])
}

/// The coordinate at the points along an axis, over an array that is longer or shorter along another.
fn coordinate_over(b: &mut Builder, mesh: &Mesh, shape: &[usize], axis: usize) -> Value {
    let h = mesh.extent[axis] / mesh.cells[axis] as f64;
    let x: Vec<f64> = (0..mesh.cells[axis]).map(|i| mesh.origin[axis] + (i as f64 + 0.5) * h).collect();
    let x = b.constant(Tensor::f64([x.len()], x));
    b.op(Op::Broadcast { shape: shape.to_vec(), axes: vec![axis] }, &[x])
}

/// `Σ w_k u[i + k]` along a periodic axis.
pub(super) fn apply(b: &mut Builder, stencil: &Stencil, u: Value, axis: usize) -> Value {
    weighted(b, u, stencil, |b, offset| b.op(Op::Roll { axis, shift: -offset }, &[u]))
}

/// `Σ w_k u[i + first + k]` for n results.
fn valid(b: &mut Builder, stencil: &Stencil, u: Value, axis: usize, first: usize, n: usize) -> Value {
    weighted(b, u, stencil, |b, offset| {
        let start = (first as isize + offset) as usize;
        b.slice(u, axis, start, start + n)
    })
}

fn weighted(
    b: &mut Builder,
    u: Value,
    stencil: &Stencil,
    mut shifted: impl FnMut(&mut Builder, isize) -> Value,
) -> Value {
    let mut sum: Option<Value> = None;
    for &(offset, weight) in stencil {
        let at = shifted(b, offset);
        let term = b.scale(at, weight);
        sum = Some(match sum {
            Some(sum) => b.add(sum, term),
            None => term,
        });
    }
    sum.unwrap_or_else(|| b.zeros_like(u))
}
