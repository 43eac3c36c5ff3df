//! Grids of points at the centres of cells: finite differences and Fourier collocation of a balance law.
//!
//! Both give rates `-∇·flux - source` as whole-array operations. Finite differences take the flux at the faces between points, so
//! that what leaves one point enters the next; collocation works on the modes of periodic fields.

mod central;
mod fourier;
mod implicit;
mod limits;
mod modes;
mod places;
mod spectra;
pub mod staggered;
mod stencil;
mod terms;
mod walls;

use super::balance::Balance;
use super::{Mesh, Refusal};
use crate::ir::components::cost;
use crate::ir::{Builder, DType, Op, Type, Value};
pub use central::{rates, slopes};
pub use fourier::{Dealias, Semilinear, Structure, fourier_slopes, semilinear};
pub use implicit::discretise;
pub use limits::{Limits, limits};
pub use places::{Placement, Places, places};
pub use terms::Input;
pub use walls::wall_points;

/// How derivatives are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Derivatives {
    /// Central differences of order 2, 4, 6 or 8.
    Central { order: usize },
    /// Trigonometric interpolation.
    Fourier(Dealias),
}

/// Most operations a point.
const MOST: usize = 20_000;

/// Errors: an equation whose pointwise part holds solves or loops.
fn check(balance: &Balance) -> Result<(), Refusal> {
    if cost(&balance.interior, DType::F64).is_none_or(|c| c > MOST) {
        return Err(Refusal::new(
            "unsupported.library",
            "nested solves and large nets inside an equation are not supported on grids yet",
        )
        .help("use `fem`"));
    }
    Ok(())
}

/// Further inputs, for the interior data and the shared numbers: their components, arrays over the points and scalars.
fn point_arrays(b: &mut Builder, balance: &Balance, points: &[usize]) -> (Vec<Vec<Value>>, Vec<Vec<Value>>) {
    let data = balance.point_data.iter().map(|ty| data_input(b, ty, points)).collect();
    let shared = shared_inputs(b, balance);
    (data, shared)
}

/// `[points, …]` as arrays over the points.
fn data_input(b: &mut Builder, ty: &Type, points: &[usize]) -> Vec<Value> {
    let count: usize = points.iter().product();
    let v = b.input(Type::f64([&[count], &ty.shape[..]].concat()));
    let flat = b.reshape(v, &[count, ty.len()]);
    (0..ty.len())
        .map(|k| {
            let column = b.index(flat, 1, k);
            b.reshape(column, points)
        })
        .collect()
}

fn shared_inputs(b: &mut Builder, balance: &Balance) -> Vec<Vec<Value>> {
    let each = balance.shared.iter().map(|ty| {
        let v = b.input(ty.clone());
        let flat = b.reshape(v, &[ty.len()]);
        (0..ty.len()).map(|k| b.index(flat, 0, k)).collect()
    });
    each.collect()
}

/// The r-th derivatives of all components, in the order of `[c, d, …]`.
fn inputs(components: usize, d: usize, r: usize) -> Vec<Input> {
    let each = d.pow(r as u32);
    (0..components * each)
        .map(|i| {
            let (component, mut rest) = (i / each, i % each);
            let mut axes = vec![];
            for _ in 0..r {
                axes.push(rest % d);
                rest /= d;
            }
            axes.sort_unstable();
            Input { component, axes }
        })
        .collect()
}

/// The coordinate along an axis at so many points over the domain, moved by a part of their spacing.
fn coordinate(b: &mut Builder, mesh: &Mesh, points: &[usize], axis: usize, shift: f64) -> Value {
    let h = mesh.extent[axis] / points[axis] as f64;
    let i = b.op(Op::Iota { dtype: DType::F64, shape: points.to_vec(), axis }, &[]);
    let first = b.scalar(mesh.origin[axis] + (0.5 + shift) * h);
    let step = b.scale(i, h);
    b.add(step, first)
}

/// A number as an array; an array as itself.
fn spread(b: &mut Builder, v: Value, shape: &[usize]) -> Value {
    if b.ty(v).is_scalar() { b.broadcast_to(v, shape) } else { v }
}

#[cfg(test)]
mod tests;
