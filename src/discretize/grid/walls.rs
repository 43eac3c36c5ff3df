//! Grids that end at walls: layers of ghost points behind them, by extrapolation through the nearest points and, where it is given,
//! the value at the wall, half a spacing before the first point.

use super::stencil::weights;
use crate::discretize::balance::{Balance, Condition};
use crate::discretize::{Mesh, Refusal, Side};
use crate::ir::{Builder, Func, Tensor, Value};

/// What holds on one side for one component.
#[derive(Clone, Copy)]
pub struct Condition1<'a> {
    /// Of the boundary conditions of the balance.
    pub index: usize,
    pub kind: Kind<'a>,
}

#[derive(Clone, Copy)]
pub enum Kind<'a> {
    Value(&'a Func),
    Flux(&'a Func),
    /// The flux of what is carried, where nothing is given.
    Open(&'a Func),
}

/// The condition of each component on a side; none is no flux.
pub fn conditions<'a>(balance: &'a Balance, mesh: &Mesh, side: Side) -> Result<Vec<Option<Condition1<'a>>>, Refusal> {
    let mut out = vec![None; balance.components];
    for (index, on) in balance.boundary.iter().enumerate() {
        if !mesh.part(&on.part)?.contains(&side) {
            continue;
        }
        match &on.condition {
            Condition::Essential { component, value } => {
                out[*component] = Some(Condition1 { index, kind: Kind::Value(value) });
            }
            Condition::Natural { rows, value, open, .. } => {
                for (place, _) in out.iter_mut().zip(rows).filter(|(p, row)| **row && p.is_none()) {
                    let kind = if *open { Kind::Open(value) } else { Kind::Flux(value) };
                    *place = Some(Condition1 { index, kind });
                }
            }
        }
    }
    Ok(out)
}

/// Where the data of each boundary condition are read: `[facets, d]` at the centres of the facets of its sides, one side after the
/// other.
pub fn wall_points(balance: &Balance, mesh: &Mesh) -> Result<Vec<Tensor>, Refusal> {
    balance.boundary.iter().map(|on| Ok(facets(mesh, &mesh.part(&on.part)?))).collect()
}

fn facets(mesh: &Mesh, sides: &[Side]) -> Tensor {
    let d = mesh.dimension();
    let mut out = vec![];
    for side in sides {
        let shape = facet_shape(mesh, *side);
        for mut k in 0..shape.iter().product::<usize>() {
            let mut at = vec![0; d];
            for a in (0..d).rev() {
                at[a] = k % shape[a];
                k /= shape[a];
            }
            out.extend((0..d).map(|a| match a == side.axis {
                true => mesh.origin[a] + if side.high { mesh.extent[a] } else { 0.0 },
                false => mesh.origin[a] + (at[a] as f64 + 0.5) * mesh.extent[a] / mesh.cells[a] as f64,
            }));
        }
    }
    Tensor::f64([out.len() / d, d], out)
}

/// Of the facets of a side, as an array: one along its axis.
pub fn facet_shape(mesh: &Mesh, side: Side) -> Vec<usize> {
    let mut shape = mesh.cells.clone();
    shape[side.axis] = 1;
    shape
}

/// `[ghosts, v, ghosts]` along an axis, so many on each side. `at_wall`: values there, low and high; `points`: how many points,
/// the wall among them, an extrapolation goes through.
pub fn extended(
    b: &mut Builder,
    v: Value,
    axis: usize,
    ghosts: usize,
    at_wall: [Option<Value>; 2],
    points: usize,
) -> Value {
    let mut parts = vec![];
    for j in (1..=ghosts).rev() {
        parts.push(beyond(b, v, Side { axis, high: false }, at_wall[0], points, 0.5 - j as f64));
    }
    parts.push(v);
    for j in 1..=ghosts {
        parts.push(beyond(b, v, Side { axis, high: true }, at_wall[1], points, 0.5 - j as f64));
    }
    b.concat(&parts, axis)
}

/// The value at a distance (in spacings, inwards) from a wall.
pub fn beyond(b: &mut Builder, v: Value, side: Side, at_wall: Option<Value>, points: usize, distance: f64) -> Value {
    let n = b.ty(v).shape[side.axis];
    let from_wall = at_wall.is_some() as usize;
    let count = (points - from_wall).clamp(1, n);
    let places: Vec<f64> =
        at_wall.iter().map(|_| 0.0).chain((0..count).map(|i| i as f64 + 0.5)).map(|x| x - distance).collect();
    let w = weights(&places, 0);
    let mut sum: Option<Value> = None;
    let layers = (0..count).map(|i| if side.high { n - 1 - i } else { i });
    let values: Vec<Value> = at_wall.into_iter().chain(layers.map(|i| b.slice(v, side.axis, i, i + 1))).collect();
    for (value, w) in values.into_iter().zip(w) {
        let term = b.scale(value, w);
        sum = Some(match sum {
            Some(sum) => b.add(sum, term),
            None => term,
        });
    }
    sum.expect("compiler bug: an extrapolation from nothing")
}
