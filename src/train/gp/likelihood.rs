//! The marginal likelihood and its gradient [Rasmussen & Williams, eqs. 5.8, 5.9].

use super::cholesky::Cholesky;
use super::{covariance, distance, matern};
use crate::ir::math;
use crate::train::vector::{add_scaled, dot};

/// Places in the parameters; the lengths follow.
pub const SIGNAL: usize = 0;
pub const NOISE: usize = 1;

/// Minus the logarithm of the likelihood of `y` (all columns), up to a constant, and its gradient; ∞ where the covariance
/// cannot be factored, which a line search backs away from.
pub fn likelihood(x: &[f64], inputs: usize, y: &[f64], outputs: usize, parameters: &[f64], g: &mut [f64]) -> f64 {
    let n = x.len() / inputs;
    let lengths: Vec<f64> = parameters[2..].iter().map(|&l| math::exp(l)).collect();
    let points: Vec<f64> = x.iter().enumerate().map(|(i, v)| v / lengths[i % inputs]).collect();
    let Some(factor) = Cholesky::new(n, covariance(&points, inputs, parameters)) else {
        g.fill(0.0);
        return f64::INFINITY;
    };

    // W = outputs·K⁻¹ - Σ α αᵀ; the derivative along θ is ½ Σ W ∂K/∂θ.
    let mut value = 0.5 * outputs as f64 * factor.log_determinant();
    let mut w = factor.inverse();
    w.iter_mut().for_each(|v| *v *= outputs as f64);
    for k in 0..outputs {
        let column: Vec<f64> = (0..n).map(|i| y[i * outputs + k]).collect();
        let alpha = factor.solve(&column);
        value += 0.5 * dot(&column, &alpha);
        for i in 0..n {
            add_scaled(&mut w[i * n..(i + 1) * n], -alpha[i], &alpha);
        }
    }
    let (signal, noise) = (math::exp(parameters[SIGNAL]), math::exp(parameters[NOISE]));
    g.fill(0.0);
    for i in 0..n {
        let a = &points[i * inputs..(i + 1) * inputs];
        for j in 0..=i {
            let b = &points[j * inputs..(j + 1) * inputs];
            let r = distance(a, b);
            // Both triangles at once.
            let weight = w[i * n + j] * if i == j { 0.5 } else { 1.0 };
            g[SIGNAL] += weight * signal * matern(r);
            // -∂k/∂r / r, times r_m² below.
            let s = 5f64.sqrt() * r;
            let slope = weight * signal * (5.0 / 3.0) * (1.0 + s) * math::exp(-s);
            for m in 0..inputs {
                g[2 + m] += slope * (a[m] - b[m]) * (a[m] - b[m]);
            }
        }
        g[NOISE] += 0.5 * w[i * n + i] * noise;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_agrees_with_differences() {
        let x: Vec<f64> = (0..24).map(|i| ((i * 7919) % 97) as f64 / 30.0).collect();
        let y: Vec<f64> = x.chunks(2).flat_map(|x| [x[0].sin() + x[1], x[0] * x[1]]).collect();
        let p = [0.3, -3.0, 0.2, -0.4];
        let mut g = [0.0; 4];
        likelihood(&x, 2, &y, 2, &p, &mut g);
        for k in 0..4 {
            let at = |h: f64| {
                let mut q = p;
                q[k] += h;
                likelihood(&x, 2, &y, 2, &q, &mut [0.0; 4])
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((g[k] - difference).abs() < 1e-6 * difference.abs().max(1.0), "{k}: {} {difference}", g[k]);
        }
    }
}
