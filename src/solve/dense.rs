//! Gaussian elimination with partial pivoting for small or full matrices. [Golub & Van Loan §3.4]

use super::Failure;

/// P·A = L·U, rows exchanged for size relative to their row's largest entry (implicit scaling, so that units do not matter).
#[derive(Clone, Debug, Default)]
pub struct Lu {
    n: usize,
    /// Row-major, U on and above the diagonal, the multipliers of L below.
    factors: Vec<f64>,
    /// Row k of the factors is row `rows[k]` of A.
    rows: Vec<usize>,
    scratch: Vec<f64>,
}

impl Lu {
    /// Factors a row-major n×n matrix, reusing the storage. `Err` names the first column without a usable pivot.
    pub fn factor(&mut self, n: usize, matrix: &[f64]) -> Result<(), Failure> {
        assert_eq!(matrix.len(), n * n);
        self.n = n;
        self.factors.clear();
        self.factors.extend_from_slice(matrix);
        self.rows.clear();
        self.rows.extend(0..n);
        let mut scale = Vec::with_capacity(n);
        for i in 0..n {
            let largest = matrix[i * n..(i + 1) * n].iter().fold(0.0f64, |m, a| m.max(a.abs()));
            if matrix[i * n..(i + 1) * n].iter().any(|a| !a.is_finite()) {
                return Err(Failure::NotFinite { unknown: i });
            }
            if largest == 0.0 {
                return Err(Failure::Singular { unknown: i, pivot: 0.0 });
            }
            scale.push(1.0 / largest);
        }
        // Columns have units too: a pivot counts as zero relative to the largest entry its column had.
        let column_scale: Vec<f64> =
            (0..n).map(|j| (0..n).fold(0.0f64, |m, i| m.max(matrix[i * n + j].abs() * scale[i]))).collect();
        let tiny = 4.0 * f64::EPSILON * (n as f64).sqrt();
        for k in 0..n {
            let weight = |p: usize| self.factors[p * n + k].abs() * scale[p];
            let best = (k..n).fold(k, |best, p| if weight(p) > weight(best) { p } else { best });
            let pivot = weight(best) / column_scale[k];
            if pivot.is_nan() || pivot <= tiny {
                return Err(Failure::Singular { unknown: k, pivot: if pivot.is_nan() { 0.0 } else { pivot } });
            }
            if best != k {
                let (low, high) = self.factors.split_at_mut(best * n);
                low[k * n..(k + 1) * n].swap_with_slice(&mut high[..n]);
                self.rows.swap(k, best);
                scale.swap(k, best);
            }
            let (head, tail) = self.factors.split_at_mut((k + 1) * n);
            let pivot_row = &head[k * n..];
            for row in tail.chunks_exact_mut(n) {
                let m = row[k] / pivot_row[k];
                row[k] = m;
                if m != 0.0 {
                    for (r, p) in row[k + 1..].iter_mut().zip(&pivot_row[k + 1..]) {
                        *r -= m * p;
                    }
                }
            }
        }
        Ok(())
    }

    /// Replaces each right-hand side (contiguous, of length n) by its solution, of A or of Aᵀ.
    pub fn solve(&mut self, rhs: &mut [f64], transposed: bool) {
        let (n, a) = (self.n, &self.factors);
        for b in rhs.chunks_exact_mut(n.max(1)) {
            self.scratch.clear();
            if !transposed {
                self.scratch.extend(self.rows.iter().map(|&r| b[r]));
                let x = &mut self.scratch;
                for i in 0..n {
                    x[i] -= dot(&a[i * n..i * n + i], &x[..i]);
                }
                for i in (0..n).rev() {
                    x[i] = (x[i] - dot(&a[i * n + i + 1..(i + 1) * n], &x[i + 1..])) / a[i * n + i];
                }
                b.copy_from_slice(x);
            } else {
                self.scratch.extend_from_slice(b);
                let x = &mut self.scratch;
                for i in 0..n {
                    x[i] /= a[i * n + i];
                    let xi = x[i];
                    x[i + 1..].iter_mut().zip(&a[i * n + i + 1..(i + 1) * n]).for_each(|(x, a)| *x -= a * xi);
                }
                for i in (0..n).rev() {
                    let xi = x[i];
                    x[..i].iter_mut().zip(&a[i * n..i * n + i]).for_each(|(x, a)| *x -= a * xi);
                }
                self.rows.iter().zip(x.iter()).for_each(|(&r, &x)| b[r] = x);
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_both_ways_whatever_the_units() {
        // Rows and columns scaled by 1e±12 around a well-conditioned matrix with a zero on the diagonal.
        let (r, c) = ([1e12, 1.0, 1e-12], [1e-10, 1e10, 1.0]);
        let core = [0.0, 2.0, 1.0, 1.0, 1.0, 3.0, 4.0, -1.0, 1.0];
        let a: Vec<f64> = (0..9).map(|k| core[k] * r[k / 3] * c[k % 3]).collect();
        let x = [1e10, -2e-10, 3.0];
        for transposed in [false, true] {
            let x: Vec<f64> = if transposed { (0..3).map(|i| (i as f64 + 1.0) / r[i]).collect() } else { x.to_vec() };
            let at = |i: usize, j: usize| if transposed { a[j * 3 + i] } else { a[i * 3 + j] };
            let mut b: Vec<f64> = (0..3).map(|i| (0..3).map(|j| at(i, j) * x[j]).sum()).collect();
            let mut lu = Lu::default();
            lu.factor(3, &a).unwrap();
            lu.solve(&mut b, transposed);
            for i in 0..3 {
                assert!((b[i] / x[i] - 1.0).abs() < 1e-13, "{b:?}");
            }
        }
    }

    #[test]
    fn singular_and_not_finite_are_named() {
        let mut lu = Lu::default();
        assert!(matches!(lu.factor(2, &[1.0, 2.0, 2.0, 4.0]), Err(Failure::Singular { unknown: 1, .. })));
        assert!(matches!(lu.factor(2, &[1.0, 2.0, 0.0, 0.0]), Err(Failure::Singular { unknown: 1, .. })));
        assert!(matches!(lu.factor(1, &[f64::NAN]), Err(Failure::NotFinite { unknown: 0 })));
        assert!(lu.factor(0, &[]).is_ok());
    }
}
