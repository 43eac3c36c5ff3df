//! Dense Cholesky factors, row by row, with sums in a fixed order.

use crate::train::vector::{add_scaled, dot};

/// `A = L Lᵀ`, row-major, L in the lower triangle.
pub struct Cholesky {
    n: usize,
    l: Vec<f64>,
}

impl Cholesky {
    /// `None` where `a` is not positive definite to working precision.
    pub fn new(n: usize, mut a: Vec<f64>) -> Option<Cholesky> {
        for i in 0..n {
            let (above, row) = a.split_at_mut(i * n);
            for j in 0..i {
                let rj = &above[j * n..j * n + n];
                row[j] = (row[j] - dot(&row[..j], &rj[..j])) / rj[j];
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            // Rounding leaves some ε of the diagonal: a pivot as small means nothing.
            if pivot.is_nan() || pivot <= 4.0 * f64::EPSILON * row[i] {
                return None;
            }
            row[i] = pivot.sqrt();
        }
        Some(Cholesky { n, l: a })
    }

    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let n = self.n;
        let mut x = b.to_vec();
        for i in 0..n {
            let row = &self.l[i * n..i * n + n];
            x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
        }
        for i in (0..n).rev() {
            let row = &self.l[i * n..i * n + n];
            x[i] /= row[i];
            let xi = x[i];
            add_scaled(&mut x[..i], -xi, &row[..i]);
        }
        x
    }

    /// `L⁻¹`, lower triangle, zeros above.
    pub fn inverse_factor(&self) -> Vec<f64> {
        let n = self.n;
        let mut inverse = vec![0.0; n * n];
        for i in 0..n {
            let row = &self.l[i * n..i * n + n];
            let (above, to) = inverse.split_at_mut(i * n);
            for k in 0..i {
                add_scaled(&mut to[..=k], -row[k], &above[k * n..k * n + k + 1]);
            }
            to[i] = 1.0;
            to[..=i].iter_mut().for_each(|v| *v /= row[i]);
        }
        inverse
    }

    /// `A⁻¹`, both triangles.
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.n;
        let inverse_l = self.inverse_factor();
        let mut out = vec![0.0; n * n];
        for k in 0..n {
            let row = &inverse_l[k * n..k * n + k + 1];
            for i in 0..=k {
                add_scaled(&mut out[i * n..i * n + i + 1], row[i], &row[..=i]);
            }
        }
        for i in 0..n {
            for j in 0..i {
                out[j * n + i] = out[i * n + j];
            }
        }
        out
    }

    /// `ln det A`
    pub fn log_determinant(&self) -> f64 {
        (0..self.n).map(|i| 2.0 * crate::ir::math::log(self.l[i * self.n + i])).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hilbert_matrix_and_its_inverse() {
        // Closed forms: the inverse of the 4×4 Hilbert matrix is of integers, its determinant is 1/6048000.
        let a: Vec<f64> = (0..16).map(|k| 1.0 / (k / 4 + k % 4 + 1) as f64).collect();
        let c = Cholesky::new(4, a.clone()).unwrap();
        #[rustfmt::skip]
        let exact = [16.0, -120.0, 240.0, -140.0, -120.0, 1200.0, -2700.0, 1680.0,
                     240.0, -2700.0, 6480.0, -4200.0, -140.0, 1680.0, -4200.0, 2800.0];
        assert!(c.inverse().iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-8));
        assert!((c.log_determinant() + 6048000f64.ln()).abs() < 1e-10);
        let x = c.solve(&a[4..8]); // the second column of A
        assert!(x.iter().zip([0.0, 1.0, 0.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-11));
        assert!(Cholesky::new(2, vec![1.0, 2.0, 2.0, 1.0]).is_none());
        assert!(Cholesky::new(1, vec![f64::NAN]).is_none());
    }
}
