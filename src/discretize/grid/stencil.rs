//! Weights of finite differences on any set of points [Fornberg 1988], and central stencils made of them.

/// Weights w with `Σ w_j f(x_j) ≈ f⁽ᵐ⁾(0)`, exact for polynomials of degree below the number of points. [Fornberg 1988]
pub fn weights(points: &[f64], m: usize) -> Vec<f64> {
    let n = points.len();
    // c[k][j]: weight of point j for the k-th derivative, from the points met so far.
    let mut c = vec![vec![0.0; n]; m + 1];
    c[0][0] = 1.0;
    let mut product = 1.0;
    for i in 1..n {
        let mut next = 1.0;
        for j in 0..i {
            let gap = points[i] - points[j];
            next *= gap;
            if j == i - 1 {
                for k in (0..=m.min(i)).rev() {
                    let lower = if k > 0 { k as f64 * c[k - 1][i - 1] } else { 0.0 };
                    c[k][i] = product * (lower - points[i - 1] * c[k][i - 1]) / next;
                }
            }
            for k in (0..=m.min(i)).rev() {
                let lower = if k > 0 { k as f64 * c[k - 1][j] } else { 0.0 };
                c[k][j] = (points[i] * c[k][j] - lower) / gap;
            }
        }
        product = next;
    }
    c.swap_remove(m)
}

/// A stencil along one axis: `(offset, weight)`. Offsets are whole: cell i + offset, or the face behind it.
pub type Stencil = Vec<(isize, f64)>;

/// The m-th derivative at the points themselves, of an even order, on spacing h. Odd derivatives have no middle.
pub fn central(order: usize, m: usize, h: f64) -> Stencil {
    let reach = (order / 2 + m.div_ceil(2) - 1) as isize;
    let offsets: Vec<isize> = (-reach..=reach).collect();
    scaled(&offsets, &offsets.iter().map(|&k| k as f64).collect::<Vec<_>>(), m, h)
}

/// The m-th derivative (0: the value) halfway between the points: from cells to the face at +½. Result i is the face between
/// cells i and i + 1.
pub fn to_faces(order: usize, m: usize, h: f64) -> Stencil {
    let reach = (order / 2 + m / 2) as isize;
    let offsets: Vec<isize> = (1 - reach..=reach).collect();
    scaled(&offsets, &offsets.iter().map(|&k| k as f64 - 0.5).collect::<Vec<_>>(), m, h)
}

/// The first derivative at cells from the faces around them: face i lies at +½ of cell i.
pub fn from_faces(order: usize, h: f64) -> Stencil {
    let reach = (order / 2) as isize;
    let offsets: Vec<isize> = (-reach..reach).collect();
    scaled(&offsets, &offsets.iter().map(|&k| k as f64 + 0.5).collect::<Vec<_>>(), 1, h)
}

fn scaled(offsets: &[isize], points: &[f64], m: usize, h: f64) -> Stencil {
    let w = weights(points, m);
    let zero = w.iter().map(|w| w.abs()).fold(0.0, f64::max) * 1e-14;
    offsets.iter().zip(w).filter(|(_, w)| w.abs() > zero).map(|(&k, w)| (k, w / h.powi(m as i32))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-13), "{a:?} against {b:?}");
    }

    /// Tables of [Fornberg 1988].
    #[test]
    fn published_weights() {
        close(&weights(&[-1.0, 0.0, 1.0], 2), &[1.0, -2.0, 1.0]);
        close(&weights(&[-2.0, -1.0, 0.0, 1.0, 2.0], 2), &[-1.0 / 12.0, 4.0 / 3.0, -5.0 / 2.0, 4.0 / 3.0, -1.0 / 12.0]);
        close(&weights(&[-1.5, -0.5, 0.5, 1.5], 1), &[1.0 / 24.0, -9.0 / 8.0, 9.0 / 8.0, -1.0 / 24.0]);
        close(&weights(&[0.0, 1.0, 2.0], 1), &[-1.5, 2.0, -0.5]);
    }

    #[test]
    fn central_stencils_are_as_wide_as_their_order_needs() {
        assert_eq!(central(2, 2, 1.0), [(-1, 1.0), (0, -2.0), (1, 1.0)]);
        assert_eq!(central(2, 1, 1.0), [(-1, -0.5), (1, 0.5)]);
        assert_eq!(central(8, 2, 1.0).len(), 9);
        assert_eq!(central(2, 4, 1.0).len(), 5);
        assert_eq!(to_faces(4, 0, 1.0).iter().map(|s| s.0).collect::<Vec<_>>(), [-1, 0, 1, 2]);
        assert_eq!(to_faces(2, 2, 1.0).iter().map(|s| s.1).collect::<Vec<_>>(), [0.5, -0.5, -0.5, 0.5]);
        assert_eq!(to_faces(2, 3, 1.0).iter().map(|s| s.1).collect::<Vec<_>>(), [-1.0, 3.0, -3.0, 1.0]);
        assert_eq!(from_faces(2, 1.0), [(-1, -1.0), (0, 1.0)]);
    }
}
