//! Conjugate gradients. [Hestenes & Stiefel 1952; Golub & Van Loan §11.3]

use super::Failure;
use super::sweep::dot;

/// What an iteration did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iterations {
    pub count: usize,
    /// ‖b - A·x‖ / ‖b‖ as the recurrence has it.
    pub residual: f64,
}

/// The vectors of an iteration, kept between calls.
#[derive(Clone, Debug, Default)]
pub struct Vectors {
    r: Vec<f64>,
    z: Vec<f64>,
    p: Vec<f64>,
    q: Vec<f64>,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of ‖r‖ / ‖b‖.
    pub tolerance: f64,
    pub most: usize,
    /// Gives up after [`TRIAL`] steps if they have not reduced the residual by this factor each, on average.
    pub pace: Option<f64>,
}

/// Steps after which the pace shows.
pub const TRIAL: usize = 5;

/// Preconditioned conjugate gradients from x = 0. On failure x holds what was reached.
///
/// `apply(p, q)` writes A·p into q, `precondition(r, z)` an approximation of A⁻¹·r into z. Places that belong to no unknown
/// (margins) have to be zero in b and stay zero in q. Stops at ‖r‖ ≤ tolerance·‖b‖.
pub fn conjugate_gradients(
    b: &[f64],
    x: &mut [f64],
    v: &mut Vectors,
    limits: Limits,
    mut apply: impl FnMut(&[f64], &mut [f64]),
    mut precondition: impl FnMut(&[f64], &mut [f64]),
) -> Result<Iterations, Failure> {
    let n = b.len();
    let Limits { tolerance, most, pace } = limits;
    let Vectors { r, z, p, q } = v;
    for vector in [&mut *r, z, p, q] {
        vector.resize(n, 0.0);
    }
    x.fill(0.0);
    r.copy_from_slice(b);
    let size = dot(b, b).sqrt();
    if size == 0.0 {
        return Ok(Iterations { count: 0, residual: 0.0 });
    }
    let (mut best, mut best_at, mut last) = (f64::INFINITY, 0, 1.0);
    for count in 0.. {
        let residual = dot(r, r).sqrt() / size;
        if residual <= tolerance {
            return Ok(Iterations { count, residual });
        }
        if residual < 0.5 * best {
            (best, best_at) = (residual, count);
        }
        let slow = count == TRIAL && pace.is_some_and(|p| residual > p.powi(TRIAL as i32));
        if count == most || count > best_at + 30 || slow || !residual.is_finite() {
            return Err(Failure::Stagnated { iterations: count, residual: best, target: tolerance });
        }
        precondition(r, z);
        let rho = dot(r, z);
        if count == 0 {
            p.copy_from_slice(z);
        } else {
            let beta = rho / last;
            p.iter_mut().zip(z.iter()).for_each(|(p, z)| *p = z + beta * *p);
        }
        last = rho;
        apply(p, q);
        let curvature = dot(p, q);
        if curvature <= 0.0 || rho <= 0.0 {
            let unknown = (0..n).fold(0, |m, i| if p[i].abs() > p[m].abs() { i } else { m });
            return Err(Failure::NotPositiveDefinite { unknown });
        }
        let alpha = rho / curvature;
        x.iter_mut().zip(p.iter()).for_each(|(x, p)| *x += alpha * p);
        r.iter_mut().zip(q.iter()).for_each(|(r, q)| *r -= alpha * q);
    }
    unreachable!("compiler bug: an endless range ended")
}
