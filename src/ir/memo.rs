//! What a `Memo` means: the continuous, piecewise linear function through the results at the knots of a lattice. It is a function
//! of the arguments alone, so neither the order in which points come nor threads have a say in it, and its slopes are its true
//! derivatives wherever it has them. Cells of the lattice are cut into simplices by the order of the fractions (Kuhn's
//! triangulation [Moore, Simplicial Mesh Generation, 1992, §2]): a point of d numbers asks for d + 1 knots at most.

use super::op::MemoSpec;

/// Relative lattices have knots down to this power of two on both sides of zero.
const LEAST: i64 = -60;

/// The simplex in which a point lies.
pub struct Simplex {
    /// Lattice numbers of its corners.
    pub keys: Vec<Vec<i64>>,
    /// The corners themselves.
    pub corners: Vec<Vec<f64>>,
    /// Barycentric coordinates of the point.
    pub weights: Vec<f64>,
    /// From corner j to corner j + 1 the number `order[j]` grows, by `widths[j]`.
    pub order: Vec<usize>,
    pub widths: Vec<f64>,
}

impl MemoSpec {
    /// Whether points that differ in argument k are different points of the lattice; else it belongs to the function.
    pub fn keyed(&self, k: usize) -> bool {
        self.scale.get(k).is_some_and(|s| s.is_finite())
    }

    /// The simplex around a point; `scales` holds the scale of each number. None where a number is not finite.
    pub fn simplex(&self, scales: &[f64], x: &[f64]) -> Option<Simplex> {
        let d = x.len();
        let mut key = vec![];
        let (mut low, mut width, mut part) = (vec![], vec![], vec![]);
        for (&x, &scale) in x.iter().zip(scales) {
            let (k, a, b) = self.cell(scale, x)?;
            key.push(k);
            low.push(a);
            width.push(b - a);
            part.push(((x - a) / (b - a)).clamp(0.0, 1.0));
        }
        let mut order: Vec<usize> = (0..d).collect();
        order.sort_by(|&i, &j| part[j].total_cmp(&part[i]).then(i.cmp(&j)));
        let (mut keys, mut corners, mut weights) = (vec![key.clone()], vec![low.clone()], vec![]);
        let mut above = 1.0;
        for &i in &order {
            weights.push(above - part[i]);
            above = part[i];
            key[i] += 1;
            low[i] = self.knot(scales[i], key[i]);
            keys.push(key.clone());
            corners.push(low.clone());
        }
        weights.push(above);
        let widths = order.iter().map(|&i| width[i]).collect();
        Some(Simplex { keys, corners, weights, order, widths })
    }

    /// The lower knot's number and both knots of the cell that holds x.
    fn cell(&self, scale: f64, x: f64) -> Option<(i64, f64, f64)> {
        if !x.is_finite() {
            return None;
        }
        let mut k = if scale > 0.0 {
            (x / (self.reuse * scale)).floor() as i64
        } else {
            let n = self.parts();
            let size = x.abs();
            let below = |y: f64| -> i64 {
                if y < 2f64.powi(LEAST as i32) {
                    return 0;
                }
                let e = (y.to_bits() >> 52 & 0x7ff) as i64 - 1023;
                1 + (e - LEAST) * n + ((y / 2f64.powi(e as i32) - 1.0) * n as f64).floor() as i64
            };
            if x >= 0.0 { below(size) } else { -below(size) - 1 }
        };
        // Rounding may have put x on the other side of a knot.
        while self.knot(scale, k) > x {
            k -= 1;
        }
        while self.knot(scale, k + 1) <= x {
            k += 1;
        }
        Some((k, self.knot(scale, k), self.knot(scale, k + 1)))
    }

    fn knot(&self, scale: f64, k: i64) -> f64 {
        if scale > 0.0 {
            return k as f64 * (self.reuse * scale);
        }
        if k == 0 {
            return 0.0;
        }
        let (n, i) = (self.parts(), k.abs() - 1);
        let size = 2f64.powi((LEAST + i / n) as i32) * (1.0 + (i % n) as f64 / n as f64);
        size.copysign(k as f64)
    }

    /// Knots between a power of two and the next.
    fn parts(&self) -> i64 {
        (1.0 / self.reuse).ceil().clamp(1.0, 1e6) as i64
    }
}

impl Simplex {
    /// The value there and its slope in each number, from the results at the corners, which have `len` entries each.
    pub fn interpolate(&self, at: &[&[f64]], len: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
        let value = (0..len).map(|e| self.weights.iter().zip(at).fold(0.0, |s, (w, a)| s + w * a[e])).collect();
        let mut slopes = vec![vec![0.0; len]; self.order.len()];
        for (j, &i) in self.order.iter().enumerate() {
            for e in 0..len {
                slopes[i][e] = (at[j + 1][e] - at[j][e]) / self.widths[j];
            }
        }
        (value, slopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(reuse: f64) -> MemoSpec {
        MemoSpec { name: "law".into(), reuse, scale: vec![], slopes: vec![] }
    }

    fn interpolated(s: &MemoSpec, scales: &[f64], x: &[f64], f: impl Fn(&[f64]) -> f64) -> (f64, Vec<f64>) {
        let simplex = s.simplex(scales, x).unwrap();
        let values: Vec<[f64; 1]> = simplex.corners.iter().map(|c| [f(c)]).collect();
        let at: Vec<&[f64]> = values.iter().map(|v| v.as_slice()).collect();
        let (value, slopes) = simplex.interpolate(&at, 1);
        (value[0], slopes.iter().map(|s| s[0]).collect())
    }

    #[test]
    fn linear_functions_are_exact_on_every_lattice() {
        let f = |x: &[f64]| 3.0 - 2.0 * x[0] + 0.5 * x[1] + x[2];
        for scales in [[1.0, 0.3, 2.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]] {
            for x in [[0.3, 1.7, -2.9], [0.0, -1.0, 1e-3], [256.0, 300.123, -1e-30], [1.0, 0.5, 0.25]] {
                let (y, slopes) = interpolated(&spec(0.07), &scales, &x, f);
                assert!((y - f(&x)).abs() < 1e-10, "{x:?} {scales:?}: {y} {}", f(&x));
                // Around zero a lattice without a scale is too fine for differences of numbers of size 1 to tell a slope.
                let seen = |k: usize| scales[k] > 0.0 || x[k].abs() > 1e-6;
                let near = |(k, (a, b)): (usize, (&f64, f64))| !seen(k) || (a - b).abs() < 1e-6;
                assert!(slopes.iter().zip([-2.0, 0.5, 1.0]).enumerate().all(near), "{slopes:?}");
            }
        }
    }

    #[test]
    fn the_error_falls_with_the_square_of_the_width() {
        let f = |x: &[f64]| (x[0] / 100.0).sin() * x[1];
        let worst = |reuse| {
            let at = |i: usize| [280.0 + 0.123 * i as f64, 0.1 + 0.00071 * i as f64];
            let miss = |i: usize| (interpolated(&spec(reuse), &[120.0, 0.5], &at(i), f).0 - f(&at(i))).abs();
            (0..400).map(miss).fold(0.0, f64::max)
        };
        let order = (worst(0.1) / worst(0.025)).log2() / 2.0;
        assert!((order - 2.0).abs() < 0.3, "{order}");
    }

    #[test]
    fn it_is_continuous_across_cells_and_octaves() {
        let f = |x: &[f64]| x[0] * x[0] - x[1];
        for at in [256.0, 1.0, 2f64.powi(-60), 0.0, -4.0, 1.5] {
            let near = |h: f64| interpolated(&spec(0.1), &[0.0, 0.0], &[at + h, at + h], f).0;
            let h = 1e-9 * at.abs().max(1e-9);
            // As much as x² - y itself changes, twice over; a jump would be as large as the square of a cell.
            assert!((near(h) - near(-h)).abs() <= 4.0 * h * (2.0 * at.abs() + 1.0), "{at}");
        }
        assert!(spec(0.1).simplex(&[0.0], &[f64::NAN]).is_none());
    }
}
