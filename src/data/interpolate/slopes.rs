//! Derivatives at the knots for monotone cubic interpolation [Fritsch & Carlson, SIAM J. Numer. Anal. 17, 1980].

use super::Axis;

/// Values to rows of values and mixed derivatives: `[points, 2^d, components]`. A mixed derivative is the limited slope,
/// along a further axis, of the one before.
pub fn with_derivatives(axes: &[Axis], values: &[f64], components: usize) -> Vec<f64> {
    let d = axes.len();
    let points = values.len() / components;
    let kinds = 1usize << d;
    let mut fields = vec![values.to_vec()];
    for kind in 1..kinds {
        // The lowest bit set is the last axis; what is left is a derivative already known.
        let bit = kind.trailing_zeros() as usize;
        fields.push(along(axes, d - 1 - bit, &fields[kind & (kind - 1)], components));
    }
    let mut rows = Vec::with_capacity(points * kinds * components);
    for p in 0..points {
        fields.iter().for_each(|f| rows.extend(&f[p * components..(p + 1) * components]));
    }
    rows
}

/// Limited slopes of a field `[points, components]` along every grid line of one axis.
fn along(axes: &[Axis], axis: usize, field: &[f64], components: usize) -> Vec<f64> {
    let knots = &axes[axis].knots;
    let stride: usize = axes[axis + 1..].iter().map(|a| a.knots.len()).product::<usize>() * components;
    let block = stride * knots.len();
    let mut out = vec![0.0; field.len()];
    for start in (0..field.len()).step_by(block).flat_map(|b| b..b + stride) {
        let line: Vec<f64> = (0..knots.len()).map(|i| field[start + i * stride]).collect();
        for (i, m) in limited_slopes(knots, &line).into_iter().enumerate() {
            out[start + i * stride] = m;
        }
    }
    out
}

/// Slopes of the polynomial through the five knots around each, then limited: zero at an extremum of the data, and drawn
/// back where a cell's two slopes leave the circle of radius 3 in which a cubic is monotone (ibid. §4).
fn limited_slopes(x: &[f64], y: &[f64]) -> Vec<f64> {
    let n = x.len();
    let secant: Vec<f64> = (0..n - 1).map(|i| (y[i + 1] - y[i]) / (x[i + 1] - x[i])).collect();
    let mut m: Vec<f64> = (0..n).map(|i| lagrange_slope(x, y, i)).collect();
    for i in 0..n {
        let (left, right) = (secant[i.saturating_sub(1)], secant[i.min(n - 2)]);
        if left * right <= 0.0 || m[i] * left <= 0.0 {
            m[i] = 0.0;
        }
    }
    for i in 0..n - 1 {
        if secant[i] != 0.0 {
            let (a, b) = (m[i] / secant[i], m[i + 1] / secant[i]);
            let radius = a.hypot(b);
            if radius > 3.0 {
                m[i] *= 3.0 / radius;
                m[i + 1] *= 3.0 / radius;
            }
        }
    }
    m
}

/// Derivative at `x[i]` of the polynomial through the (up to) five nearest knots.
fn lagrange_slope(x: &[f64], y: &[f64], i: usize) -> f64 {
    let width = x.len().min(5);
    let start = i.saturating_sub(width / 2).min(x.len() - width);
    let near = start..start + width;
    let mut slope = 0.0;
    for j in near.clone().filter(|&j| j != i) {
        // The weight of y[j] - y[i]: derivative at x[i] of the j-th Lagrange polynomial.
        let others = near.clone().filter(|&k| k != i && k != j);
        let weight = others.fold(1.0 / (x[j] - x[i]), |w, k| w * (x[i] - x[k]) / (x[j] - x[k]));
        slope += weight * (y[j] - y[i]);
    }
    slope
}
