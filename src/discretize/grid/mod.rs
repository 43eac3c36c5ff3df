//! Periodic grids of points at the centres of cells: finite differences and Fourier collocation of a balance law.
//!
//! Both give the rates `-∇·flux - source` as whole-array operations. Finite differences take the flux at the faces between points,
//! so that what leaves one point enters the next: sums over the grid are conserved to rounding whatever the order.

pub(super) mod arrays;
mod stencil;

use super::balance::Balance;
use super::{Mesh, Refusal};
use crate::ir::components::cost;
use crate::ir::{Builder, DType, Func, Op, Tensor, Type, Value, fourier};
use arrays::over_points;
use stencil::Stencil;

/// How derivatives are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Derivatives {
    /// Central differences of order 2, 4, 6 or 8.
    Central { order: usize },
    /// Trigonometric interpolation. `dealias`: modes above two thirds of the highest are left out of fluxes and sources
    /// [Orszag 1971].
    Fourier { dealias: bool },
}

/// Most operations a point.
const MOST: usize = 20_000;

/// `(u[c, n…], data…[N, …], shared…) → -(∇·flux) - source [c, n…]`, N the number of points, row-major.
///
/// Errors: a bounded domain, an order that is not offered, an equation whose pointwise part holds solves or loops.
pub fn rates(balance: &Balance, mesh: &Mesh, derivatives: Derivatives) -> Result<Func, Refusal> {
    if mesh.periodic.contains(&false) {
        return Err(Refusal::new("discretize.grid", "this scheme needs a periodic domain")
            .help("use `fv` or `fem` on domains with boundaries"));
    }
    if let Derivatives::Central { order } = derivatives {
        if ![2, 4, 6, 8].contains(&order) {
            return Err(Refusal::new("discretize.grid", format!("there are no central differences of order {order}"))
                .help("choose 2, 4, 6 or 8"));
        }
        if let Some(n) = mesh.cells.iter().find(|&&n| n < order + 1) {
            return Err(Refusal::new("discretize.grid", format!("{n} points are too few for order {order}"))
                .help("choose a larger `n` or a lower order"));
        }
    }
    if cost(&balance.interior, DType::F64).is_none_or(|c| c > MOST) {
        return Err(Refusal::new(
            "unsupported.library",
            "nested solves and large nets inside an equation are not supported on grids yet",
        )
        .help("use `fem`"));
    }
    let c = balance.components;
    let mut shape = vec![c];
    shape.extend(&mesh.cells);
    let mut b = Builder::new("rates");
    let u = b.input(Type::f64(shape));
    let points: usize = mesh.cells.iter().product();
    let data: Vec<Vec<Value>> = balance
        .point_data
        .iter()
        .map(|ty| {
            let mut all = vec![points];
            all.extend(&ty.shape);
            let v = b.input(Type::f64(all));
            let flat = b.reshape(v, &[points, ty.len()]);
            (0..ty.len())
                .map(|k| {
                    let column = b.index(flat, 1, k);
                    b.reshape(column, &mesh.cells)
                })
                .collect()
        })
        .collect();
    let shared: Vec<Vec<Value>> = balance
        .shared
        .iter()
        .map(|ty| {
            let v = b.input(ty.clone());
            let flat = b.reshape(v, &[ty.len()]);
            (0..ty.len()).map(|k| b.index(flat, 0, k)).collect()
        })
        .collect();
    let unknowns: Vec<Value> = (0..c).map(|k| b.index(u, 0, k)).collect();
    let law = Law { balance, mesh, data, shared };
    let rates = match derivatives {
        Derivatives::Central { order } => law.central(&mut b, &unknowns, order),
        Derivatives::Fourier { dealias } => law.fourier(&mut b, &unknowns, dealias),
    };
    let out: Vec<Value> = rates.into_iter().map(|r| spread(&mut b, r, &mesh.cells)).collect();
    let out = b.stack(&out, 0);
    Ok(b.finish(vec![out]))
}

/// The pointwise law and what it reads besides the unknowns.
struct Law<'a> {
    balance: &'a Balance,
    mesh: &'a Mesh,
    /// Components of each point-data argument, arrays over the points.
    data: Vec<Vec<Value>>,
    shared: Vec<Vec<Value>>,
}

impl Law<'_> {
    /// `(flux[c·d], source[c])` where the unknowns, their gradient and the data have these values. `shift`: how far from
    /// the points that is, in spacings along each axis.
    fn at(
        &self,
        b: &mut Builder,
        shift: &[f64],
        u: Vec<Value>,
        gradient: Vec<Value>,
        data: Vec<Vec<Value>>,
    ) -> (Vec<Value>, Vec<Value>) {
        let x = (0..self.mesh.dimension()).map(|a| self.coordinate(b, a, shift[a])).collect();
        let args: Vec<Vec<Value>> =
            [x, u, gradient].into_iter().chain(data).chain(self.shared.iter().cloned()).collect();
        let mut out = over_points(b, &self.balance.interior, &args).into_iter();
        let flux = out.next().expect("compiler bug: a balance without a flux");
        (flux, out.next().expect("compiler bug: a balance without a source"))
    }

    /// The coordinate along an axis at the points, moved by a part of the spacing.
    fn coordinate(&self, b: &mut Builder, axis: usize, shift: f64) -> Value {
        let shape = self.mesh.cells.clone();
        let i = b.op(Op::Iota { dtype: DType::F64, shape, axis }, &[]);
        let h = self.spacing(axis);
        let first = b.scalar(self.mesh.origin[axis] + (0.5 + shift) * h);
        let step = b.scale(i, h);
        b.add(step, first)
    }

    fn spacing(&self, axis: usize) -> f64 {
        self.mesh.extent[axis] / self.mesh.cells[axis] as f64
    }

    fn central(&self, b: &mut Builder, u: &[Value], order: usize) -> Vec<Value> {
        let (c, d) = (self.balance.components, self.balance.dimension);
        let gradient: Vec<Value> = u
            .iter()
            .flat_map(|&u| (0..d).map(move |a| (u, a)))
            .map(|(u, a)| apply(b, &stencil::central(order, 1, self.spacing(a)), u, a))
            .collect();
        let (_, source) = self.at(b, &vec![0.0; d], u.to_vec(), gradient.clone(), self.data.clone());
        let mut rates: Vec<Value> = source.into_iter().map(|s| b.neg(s)).collect();
        for axis in 0..d {
            let h = self.spacing(axis);
            let halfway = stencil::to_faces(order, 0, h);
            let to_face = |b: &mut Builder, v: Value| apply(b, &halfway, v, axis);
            let at_faces: Vec<Value> = u.iter().map(|&u| to_face(b, u)).collect();
            let slopes: Vec<Value> = (0..c * d)
                .map(|k| match k % d == axis {
                    // Straight from the points on both sides: compact.
                    true => apply(b, &stencil::to_faces(order, 1, h), u[k / d], axis),
                    false => to_face(b, gradient[k]),
                })
                .collect();
            let data = self.data.iter().map(|item| item.iter().map(|&v| to_face(b, v)).collect()).collect();
            let mut shift = vec![0.0; d];
            shift[axis] = 0.5;
            let (flux, _) = self.at(b, &shift, at_faces, slopes, data);
            let back = stencil::from_faces(order, h);
            for k in 0..c {
                let flux = spread(b, flux[k * d + axis], &self.mesh.cells);
                let div = apply(b, &back, flux, axis);
                rates[k] = b.sub(rates[k], div);
            }
        }
        rates
    }

    fn fourier(&self, b: &mut Builder, u: &[Value], dealias: bool) -> Vec<Value> {
        let (c, d) = (self.balance.components, self.balance.dimension);
        let spectra: Vec<Value> = u.iter().map(|&u| self.forward(b, u)).collect();
        let gradient: Vec<Value> = (0..c * d)
            .map(|k| {
                let slope = self.differentiated(b, spectra[k / d], k % d);
                self.backward(b, slope)
            })
            .collect();
        let (flux, source) = self.at(b, &vec![0.0; d], u.to_vec(), gradient, self.data.clone());
        (0..c)
            .map(|k| {
                let mut sum = self.forward_of(b, source[k]);
                for axis in 0..d {
                    let f = self.forward_of(b, flux[k * d + axis]);
                    let div = self.differentiated(b, f, axis);
                    sum = b.add(sum, div);
                }
                if dealias {
                    sum = self.truncated(b, sum);
                }
                let back = self.backward(b, sum);
                b.neg(back)
            })
            .collect()
    }

    fn forward_of(&self, b: &mut Builder, v: Value) -> Value {
        let v = spread(b, v, &self.mesh.cells);
        self.forward(b, v)
    }

    fn forward(&self, b: &mut Builder, v: Value) -> Value {
        b.op(Op::Rfft { rank: self.mesh.dimension() }, &[v])
    }

    fn backward(&self, b: &mut Builder, spectrum: Value) -> Value {
        let d = self.mesh.dimension();
        let back = b.op(Op::Irfft { rank: d, n: self.mesh.cells[d - 1] }, &[spectrum]);
        b.scale(back, 1.0 / self.mesh.cells.iter().product::<usize>() as f64)
    }

    /// `i k_axis` times a spectrum `[2, modes…]`.
    fn differentiated(&self, b: &mut Builder, spectrum: Value, axis: usize) -> Value {
        let n = self.mesh.cells[axis];
        // An odd derivative has no part in the highest mode of an even number of points.
        let k: Vec<f64> = self
            .wave_numbers(axis)
            .iter()
            .map(|&m| {
                if 2 * m.unsigned_abs() == n { 0.0 } else { std::f64::consts::TAU / self.mesh.extent[axis] * m as f64 }
            })
            .collect();
        let (re, im) = (b.index(spectrum, 0, 0), b.index(spectrum, 0, 1));
        let k = self.along(b, k, axis, re);
        let (up, down) = (b.mul(k, im), b.mul(k, re));
        let up = b.neg(up);
        b.stack(&[up, down], 0)
    }

    fn truncated(&self, b: &mut Builder, spectrum: Value) -> Value {
        (0..self.mesh.dimension()).fold(spectrum, |z, axis| {
            let n = self.mesh.cells[axis];
            let kept: Vec<f64> =
                self.wave_numbers(axis).iter().map(|m| (3 * m.unsigned_abs() < n) as u8 as f64).collect();
            let shape = b.ty(z).shape.clone();
            let mask = b.constant(Tensor::f64([kept.len()], kept));
            let mask = b.op(Op::Broadcast { shape, axes: vec![axis + 1] }, &[mask]);
            b.mul(z, mask)
        })
    }

    /// Of the modes kept along an axis, in their order: 0, 1, …, -2, -1; of the last axis the first half.
    fn wave_numbers(&self, axis: usize) -> Vec<isize> {
        let n = self.mesh.cells[axis];
        if axis + 1 == self.mesh.dimension() {
            return (0..fourier::multiplicity(n).len() as isize).collect();
        }
        (0..n as isize).map(|k| if 2 * k <= n as isize { k } else { k - n as isize }).collect()
    }

    /// Numbers along one axis of the spectrum, for all modes.
    fn along(&self, b: &mut Builder, numbers: Vec<f64>, axis: usize, like: Value) -> Value {
        let shape = b.ty(like).shape.clone();
        let v = b.constant(Tensor::f64([numbers.len()], numbers));
        b.op(Op::Broadcast { shape, axes: vec![axis] }, &[v])
    }
}

/// A number as an array; an array as itself.
fn spread(b: &mut Builder, v: Value, cells: &[usize]) -> Value {
    if b.ty(v).is_scalar() { b.broadcast_to(v, cells) } else { v }
}

/// `Σ w_k u[i + k]` along a periodic axis.
fn apply(b: &mut Builder, stencil: &Stencil, u: Value, axis: usize) -> Value {
    let mut sum: Option<Value> = None;
    for &(offset, weight) in stencil {
        let shifted = b.op(Op::Roll { axis, shift: -offset }, &[u]);
        let term = b.scale(shifted, weight);
        sum = Some(match sum {
            Some(sum) => b.add(sum, term),
            None => term,
        });
    }
    sum.unwrap_or_else(|| b.zeros_like(u))
}

#[cfg(test)]
mod tests;
