//! Chebyshev collocation: values at Gauss–Lobatto points, polynomials through them.
//!
//! Derivatives are matrices along each axis, their diagonals the negative sums of their rows [Trefethen 2000, §6; Baltensperger &
//! Trummer 2003], integrals Clenshaw and Curtis's rule, values between the points sums of Chebyshev polynomials. [Boyd 2001, §4]

mod collocation;

use super::space::Space;
use crate::ir::{Builder, Dot, Tensor, Value};
pub use collocation::{Collocation, Purpose, discretise};
use std::f64::consts::PI;

/// `sin²(πj/2N)`, j = 0 … N: from 0 to 1, symmetric to the last bit.
pub fn points(degree: usize) -> Vec<f64> {
    let n = degree as f64;
    let below = |j: usize| (0.5 * PI * j as f64 / n).sin().powi(2);
    (0..=degree).map(|j| if 2 * j <= degree { below(j) } else { 1.0 - below(degree - j) }).collect()
}

/// The derivative on [0, 1], row-major.
pub fn derivative(degree: usize) -> Vec<f64> {
    let n = degree + 1;
    let angle = |j: usize| 0.5 * PI * j as f64 / degree as f64;
    let c = |j: usize| if j == 0 || j == degree { 2.0 } else { 1.0 };
    let mut d = vec![0.0; n * n];
    for i in 0..n {
        for j in (0..n).filter(|&j| j != i) {
            // x_i - x_j without cancellation.
            let gap = (angle(i) + angle(j)).sin() * (angle(i) - angle(j)).sin();
            let sign = if (i + j) % 2 == 0 { 1.0 } else { -1.0 };
            d[i * n + j] = sign * c(i) / (c(j) * gap);
        }
        d[i * n + i] = -d[i * n..(i + 1) * n].iter().sum::<f64>();
    }
    d
}

/// Clenshaw and Curtis's weights on [0, 1]. [Davis & Rabinowitz, §2.5.5]
pub fn weights(degree: usize) -> Vec<f64> {
    let n = degree as f64;
    (0..=degree)
        .map(|j| {
            let ends = if j == 0 || j == degree { 1.0 } else { 2.0 };
            let sum: f64 = (1..=degree / 2)
                .map(|k| {
                    let twice = if 2 * k == degree { 1.0 } else { 2.0 };
                    twice * (2.0 * PI * (k * j) as f64 / n).cos() / (4.0 * (k * k) as f64 - 1.0)
                })
                .sum();
            0.5 * ends / n * (1.0 - sum)
        })
        .collect()
}

/// `[polynomial, point]`: the coefficients of Chebyshev's polynomials from values at the points.
fn coefficients(degree: usize) -> Vec<f64> {
    let half = |k: usize| if k == 0 || k == degree { 0.5 } else { 1.0 };
    let n = degree as f64;
    (0..=degree)
        .flat_map(|k| {
            (0..=degree).map(move |j| {
                let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
                let turns = (k * j) % (2 * degree);
                2.0 / n * half(k) * half(j) * sign * (PI * turns as f64 / n).cos()
            })
        })
        .collect()
}

/// A matrix `[m, n]` along an axis of an array.
fn along(b: &mut Builder, matrix: Value, v: Value, axis: usize) -> Value {
    let out = b.dot(matrix, v, Dot { lhs_contract: vec![1], rhs_contract: vec![axis], ..Dot::default() });
    let mut order: Vec<usize> = (1..b.ty(out).rank()).collect();
    order.insert(axis, 0);
    b.transpose(out, &order)
}

impl Space {
    /// `dofs[N, s…]` as `[n…, s…]`.
    fn on_lattice(&self, b: &mut Builder, dofs: Value) -> Value {
        let shape = [&self.points[..], &b.ty(dofs).shape[1..]].concat();
        b.reshape(dofs, &shape)
    }

    /// `∂/∂x_axis` of `dofs[N, s…]`.
    pub(crate) fn chebyshev_slope(&self, b: &mut Builder, dofs: Value, axis: usize) -> Value {
        let n = self.points[axis];
        let d = derivative(n - 1).into_iter().map(|x| x / self.mesh.extent[axis]).collect::<Vec<_>>();
        let d = b.constant(Tensor::f64([n, n], d));
        let shape = b.ty(dofs).shape.clone();
        let v = self.on_lattice(b, dofs);
        let slope = along(b, d, v, axis);
        b.reshape(slope, &shape)
    }

    /// `dofs[N, s…] → [N, s…, d]`
    pub(crate) fn chebyshev_gradient(&self, b: &mut Builder, dofs: Value) -> Value {
        let axes: Vec<Value> = (0..self.points.len()).map(|a| self.chebyshev_slope(b, dofs, a)).collect();
        let last = b.ty(axes[0]).rank();
        b.stack(&axes, last)
    }

    /// `dofs[N, s…]` at `points[M, d]`: `[M, s…]`. Outside the domain: at the nearest place inside.
    pub(crate) fn chebyshev_at(&self, b: &mut Builder, dofs: Value, points: Value) -> Value {
        let mut v = self.on_lattice(b, dofs);
        for axis in 0..self.points.len() {
            let degree = self.points[axis] - 1;
            let x = b.index(points, 1, axis);
            let (origin, one, minus) = (b.scalar(self.mesh.origin[axis]), b.scalar(1.0), b.scalar(-1.0));
            let t = b.sub(x, origin);
            let t = b.scale(t, 2.0 / self.mesh.extent[axis]);
            let t = b.sub(t, one);
            let t = b.binary(crate::ir::Binary::Max, t, minus);
            let t = b.binary(crate::ir::Binary::Min, t, one);
            let twice = b.scale(t, 2.0);
            let mut polynomials = vec![b.full_like(t, 1.0), t];
            for k in 2..=degree {
                let next = b.mul(twice, polynomials[k - 1]);
                polynomials.push(b.sub(next, polynomials[k - 2]));
            }
            let polynomials = b.stack(&polynomials, 1);
            let matrix = b.constant(Tensor::f64([degree + 1, degree + 1], coefficients(degree)));
            let each = b.matmul(polynomials, matrix);
            let sum = match axis {
                0 => Dot { lhs_contract: vec![1], rhs_contract: vec![0], ..Dot::default() },
                _ => Dot { lhs_contract: vec![1], rhs_contract: vec![1], lhs_batch: vec![0], rhs_batch: vec![0] },
            };
            v = b.dot(each, v, sum);
        }
        v
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of polynomials all is exact: derivative, integral, coefficients.
    #[test]
    fn polynomials_are_exact() {
        for degree in [2, 5, 12] {
            let x = points(degree);
            let n = degree + 1;
            let p: Vec<f64> = x.iter().map(|x| x.powi(degree as i32)).collect();
            let d = derivative(degree);
            for i in 0..n {
                let slope: f64 = (0..n).map(|j| d[i * n + j] * p[j]).sum();
                assert!((slope - degree as f64 * x[i].powi(degree as i32 - 1)).abs() < 1e-11, "degree {degree}");
            }
            let integral: f64 = weights(degree).iter().zip(&p).map(|(w, p)| w * p).sum();
            assert!((integral - 1.0 / (degree as f64 + 1.0)).abs() < 1e-14);
            // The highest polynomial itself.
            let t: Vec<f64> =
                x.iter().map(|x| (degree as f64 * (2.0 * x - 1.0).clamp(-1.0, 1.0).acos()).cos()).collect();
            let a = coefficients(degree);
            for k in 0..n {
                let c: f64 = (0..n).map(|j| a[k * n + j] * t[j]).sum();
                assert!((c - (k == degree) as u8 as f64).abs() < 1e-12, "degree {degree}: {k} {c}");
            }
        }
    }
}
