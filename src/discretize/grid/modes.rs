//! Fourier modes of a periodic grid, and what acts on each of them alone: multiplication by complex symbols.
//!
//! A spectrum is an array `[2, modes…]` of real and imaginary parts, half of it in the last axis ([`Op::Rfft`]).

use crate::discretize::Mesh;
use crate::ir::{Builder, Compare, Op, Tensor, Value, fourier};
use std::f64::consts::TAU;

/// The modes that the cells of a mesh carry, and the points where products are taken: those of the mesh, or more of them.
pub struct Modes<'a> {
    pub mesh: &'a Mesh,
    /// Points along each axis where the pointwise law is evaluated.
    pub points: Vec<usize>,
}

/// A complex number for each mode: real and imaginary parts, arrays over the modes; none for zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Symbol {
    pub re: Option<Value>,
    pub im: Option<Value>,
}

impl Modes<'_> {
    /// How many along each axis.
    pub fn shape(&self) -> Vec<usize> {
        modes_of(&self.mesh.cells)
    }

    /// The spectrum of values at the points, in the scale of a transform over the cells.
    pub fn forward(&self, b: &mut Builder, v: Value) -> Value {
        let rank = self.mesh.dimension();
        let spectrum = b.op(Op::Rfft { rank }, &[v]);
        if self.points == self.mesh.cells {
            return spectrum;
        }
        // Modes that the cells do not carry are left out.
        let cut = (0..rank).fold(spectrum, |z, axis| {
            let (n, half) = (self.mesh.cells[axis], axis + 1 == rank);
            let (low, high) = halves(n, half);
            let all = b.ty(z).shape[axis + 1];
            let first = b.slice(z, axis + 1, 0, low);
            let missing = self.shape()[axis] - low - high;
            let mut shape = b.ty(z).shape.clone();
            shape[axis + 1] = missing;
            let mut parts = vec![first];
            if missing > 0 {
                parts.push(b.zeros(&crate::ir::Type::f64(shape)));
            }
            if high > 0 {
                parts.push(b.slice(z, axis + 1, all - high, all));
            }
            b.concat(&parts, axis + 1)
        });
        b.scale(cut, count(&self.mesh.cells) / count(&self.points))
    }

    /// Values at the points.
    pub fn backward(&self, b: &mut Builder, spectrum: Value) -> Value {
        self.backward_at(b, spectrum, &self.points)
    }

    /// Values at the cells.
    pub fn at_cells(&self, b: &mut Builder, spectrum: Value) -> Value {
        self.backward_at(b, spectrum, &self.mesh.cells)
    }

    fn backward_at(&self, b: &mut Builder, spectrum: Value, points: &[usize]) -> Value {
        let rank = points.len();
        let wide = modes_of(points);
        let spectrum = if points == self.mesh.cells {
            spectrum
        } else {
            (0..rank).fold(spectrum, |z, axis| {
                let (low, high) = halves(self.mesh.cells[axis], axis + 1 == rank);
                let all = b.ty(z).shape[axis + 1];
                let mut shape = b.ty(z).shape.clone();
                shape[axis + 1] = wide[axis] - low - high;
                let mut parts = vec![b.slice(z, axis + 1, 0, low), b.zeros(&crate::ir::Type::f64(shape))];
                if high > 0 {
                    parts.push(b.slice(z, axis + 1, all - high, all));
                }
                b.concat(&parts, axis + 1)
            })
        };
        let back = b.op(Op::Irfft { rank, n: points[rank - 1] }, &[spectrum]);
        b.scale(back, 1.0 / count(&self.mesh.cells))
    }

    /// `(i k)^α`: what the derivative along these axes does to each mode. An odd derivative has no part in the highest mode of an
    /// even number of cells.
    pub fn derivative(&self, b: &mut Builder, axes: &[usize]) -> Symbol {
        let mut product: Option<Value> = None;
        for axis in 0..self.mesh.dimension() {
            let power = axes.iter().filter(|&&a| a == axis).count() as i32;
            if power == 0 {
                continue;
            }
            let n = self.mesh.cells[axis];
            let k: Vec<f64> = self
                .wave_numbers(axis)
                .iter()
                .map(|&m| {
                    let odd_middle = 2 * m.unsigned_abs() == n && power % 2 == 1;
                    if odd_middle { 0.0 } else { (TAU / self.mesh.extent[axis] * m as f64).powi(power) }
                })
                .collect();
            let k = self.along(b, k, axis);
            product = Some(match product {
                Some(p) => b.mul(p, k),
                None => k,
            });
        }
        let product = product.unwrap_or_else(|| {
            let one = b.scalar(1.0);
            b.broadcast_to(one, &self.shape())
        });
        match axes.len() % 4 {
            0 => Symbol { re: Some(product), im: None },
            1 => Symbol { re: None, im: Some(product) },
            2 => Symbol { re: Some(b.neg(product)), im: None },
            _ => Symbol { re: None, im: Some(b.neg(product)) },
        }
    }

    /// The modes below two thirds of the highest: products of two such fields put nothing false into them. [Orszag 1971]
    pub fn truncated(&self, b: &mut Builder, spectrum: Value) -> Value {
        let mask = (0..self.mesh.dimension()).fold(None, |mask, axis| {
            let n = self.mesh.cells[axis];
            let kept: Vec<f64> =
                self.wave_numbers(axis).iter().map(|m| (3 * m.unsigned_abs() < n) as u8 as f64).collect();
            let kept = self.along(b, kept, axis);
            Some(match mask {
                Some(m) => b.mul(m, kept),
                None => kept,
            })
        });
        Symbol { re: mask, im: None }.apply(b, spectrum).expect("compiler bug: a mask without modes")
    }

    /// Of the modes kept along an axis, in their order: 0, 1, …, -2, -1; of the last axis the first half.
    pub fn wave_numbers(&self, axis: usize) -> Vec<isize> {
        let n = self.mesh.cells[axis];
        if axis + 1 == self.mesh.dimension() {
            return (0..fourier::multiplicity(n).len() as isize).collect();
        }
        (0..n as isize).map(|k| if 2 * k <= n as isize { k } else { k - n as isize }).collect()
    }

    /// Numbers along one axis, for all modes.
    fn along(&self, b: &mut Builder, numbers: Vec<f64>, axis: usize) -> Value {
        let v = b.constant(Tensor::f64([numbers.len()], numbers));
        b.op(Op::Broadcast { shape: self.shape(), axes: vec![axis] }, &[v])
    }
}

/// Modes of so many points along each axis.
fn modes_of(points: &[usize]) -> Vec<usize> {
    let mut shape = points.to_vec();
    if let Some(last) = shape.last_mut() {
        *last = *last / 2 + 1;
    }
    shape
}

/// How many modes from the lowest up and from the highest down stay between two grids; the middle one of an even number does not.
fn halves(n: usize, half: bool) -> (usize, usize) {
    let low = n.div_ceil(2);
    (low, if half { 0 } else { low - 1 })
}

fn count(points: &[usize]) -> f64 {
    points.iter().product::<usize>() as f64
}

impl Symbol {
    pub fn is_zero(&self) -> bool {
        self.re.is_none() && self.im.is_none()
    }

    pub fn plus(self, b: &mut Builder, other: Symbol) -> Symbol {
        let mut add = |x: Option<Value>, y: Option<Value>| match (x, y) {
            (Some(x), Some(y)) => Some(b.add(x, y)),
            (x, y) => x.or(y),
        };
        Symbol { re: add(self.re, other.re), im: add(self.im, other.im) }
    }

    pub fn negated(self, b: &mut Builder) -> Symbol {
        Symbol { re: self.re.map(|v| b.neg(v)), im: self.im.map(|v| b.neg(v)) }
    }

    /// Times a number.
    pub fn scaled(self, b: &mut Builder, by: Value) -> Symbol {
        Symbol { re: self.re.map(|v| b.mul(by, v)), im: self.im.map(|v| b.mul(by, v)) }
    }

    pub fn times(self, b: &mut Builder, other: Symbol) -> Symbol {
        let mut mul = |x: Option<Value>, y: Option<Value>| Some(b.mul(x?, y?));
        let (rr, ii) = (mul(self.re, other.re), mul(self.im, other.im));
        let (ri, ir) = (mul(self.re, other.im), mul(self.im, other.re));
        let ii = ii.map(|v| b.neg(v));
        Symbol { re: rr, im: ri }.plus(b, Symbol { re: ii, im: ir })
    }

    /// `1/s`, zero where s is.
    pub fn inverse(self, b: &mut Builder) -> Symbol {
        let squares = [self.re, self.im].into_iter().flatten().map(|v| b.mul(v, v)).collect::<Vec<_>>();
        let Some(size) = squares.into_iter().reduce(|x, y| b.add(x, y)) else { return Symbol::default() };
        let zero = b.zeros_like(size);
        let none = b.compare(Compare::Eq, size, zero);
        let one = b.full_like(size, 1.0);
        let safe = b.select(none, one, size);
        let im = self.im.map(|v| b.neg(v));
        // Where s is zero both parts are.
        Symbol { re: self.re.map(|v| b.div(v, safe)), im: im.map(|v| b.div(v, safe)) }
    }

    /// Times a spectrum; none for zero.
    pub fn apply(self, b: &mut Builder, z: Value) -> Option<Value> {
        match (self.re, self.im) {
            (None, None) => None,
            (Some(s), None) => {
                let shape = b.ty(z).shape.clone();
                let axes = (1..shape.len()).collect();
                let both = b.op(Op::Broadcast { shape, axes }, &[s]);
                Some(b.mul(both, z))
            }
            (re, Some(im)) => {
                let (x, y) = (b.index(z, 0, 0), b.index(z, 0, 1));
                let (iy, ix) = (b.mul(im, y), b.mul(im, x));
                let (up, down) = match re {
                    Some(re) => {
                        let (rx, ry) = (b.mul(re, x), b.mul(re, y));
                        (b.sub(rx, iy), b.add(ry, ix))
                    }
                    None => (b.neg(iy), ix),
                };
                Some(b.stack(&[up, down], 0))
            }
        }
    }
}
