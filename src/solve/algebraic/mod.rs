//! Conjugate gradients preconditioned by an algebraic multigrid V-cycle [Ruge & Stüben 1987], for matrices in which strongly
//! coupled points lie without any order: there no geometric coarsening can follow them.
//!
//! Points and interpolation come from the matrix alone, coarse operators are Galerkin's, the smoother is Gauss–Seidel, forward
//! before and backward after the coarse correction, so that a cycle is symmetric. Everything runs in one order: the bits depend
//! on nothing else.

mod csr;
mod interpolation;
mod splitting;

use super::dense::Lu;
use super::krylov::{Limits, Vectors, conjugate_gradients};
use super::sweep::dot;
use super::{Failure, Pattern};
use csr::Csr;
use interpolation::interpolation;
use splitting::{coarse_points, strong_couplings};

/// A level of so few points is solved directly.
const COARSEST: usize = 60;
/// Coarsening that keeps more than this part of the points is not worth another level, unless too many points are left to
/// solve directly.
const KEPT: f64 = 0.8;
const DIRECT: usize = 1500;

/// A matrix with its hierarchy.
pub struct Algebraic {
    levels: Vec<Level>,
    /// Factors of the coarsest operator, if it has any.
    lu: Option<Lu>,
    /// Number of components whose constants are in the kernel, 0 without a kernel.
    kernels: usize,
    work: Vec<Work>,
    vectors: Vectors,
    residual: Vec<f64>,
}

struct Level {
    a: Csr,
    inverse_diagonal: Vec<f64>,
    p: Csr,
    /// Pᵀ
    r: Csr,
}

#[derive(Default)]
struct Work {
    b: Vec<f64>,
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Algebraic {
    /// Of `components` unknowns a point, adjacent. Fails where the diagonal is not positive, as it is in a positive definite matrix.
    pub fn new(pattern: &Pattern, values: &[f64], components: usize, kernel: bool) -> Result<Algebraic, Failure> {
        if let Some(unknown) = pattern.diagonal.iter().position(|&d| values[d].is_nan() || values[d] <= 0.0) {
            return Err(Failure::NotPositiveDefinite { unknown });
        }
        let mut a = Csr {
            columns_count: pattern.n(),
            start: pattern.row_start.clone(),
            columns: pattern.columns.clone(),
            values: values.to_vec(),
        };
        let mut component: Vec<u8> = (0..a.rows()).map(|i| (i % components) as u8).collect();
        let mut levels = Vec::new();
        while a.rows() > COARSEST {
            let strong = strong_couplings(&a, &component);
            let stays = coarse_points(&strong);
            let mut count = 0;
            let number: Vec<Option<u32>> = stays
                .iter()
                .map(|&s| {
                    count += s as u32;
                    s.then(|| count - 1)
                })
                .collect();
            let count = count as usize;
            if count == 0 || (count as f64 > KEPT * a.rows() as f64 && a.rows() <= DIRECT) || count == a.rows() {
                break;
            }
            let p = interpolation(&a, &strong, &number, count);
            let r = p.transposed();
            let coarse = r.times(&a.times(&p));
            let mut diagonal = vec![0.0; a.rows()];
            (0..a.rows()).for_each(|i| a.row(i).filter(|(j, _)| *j == i).for_each(|(_, v)| diagonal[i] += v));
            let inverse_diagonal = diagonal.iter().map(|d| if *d > 0.0 { 1.0 / d } else { 0.0 }).collect();
            component = component.iter().zip(&stays).filter(|(_, s)| **s).map(|(c, _)| *c).collect();
            levels.push(Level { a, inverse_diagonal, p, r });
            a = coarse;
        }
        let lu = factored(&a, &component, if kernel { components } else { 0 });
        let sizes = levels.iter().map(|l| l.a.rows()).chain([a.rows()]);
        let work = sizes.map(|n| Work { b: vec![0.0; n], x: vec![0.0; n], y: vec![0.0; n] }).collect();
        let kernels = if kernel { components } else { 0 };
        Ok(Algebraic { levels, lu, kernels, work, vectors: Vectors::default(), residual: vec![] })
    }

    /// Solves for one right-hand side, starting from what `out` holds; gives the number of iterations and the true relative
    /// residual. `pattern` and `values` are those of the hierarchy.
    pub fn solve(
        &mut self,
        pattern: &Pattern,
        values: &[f64],
        rhs: &[f64],
        out: &mut [f64],
        limits: Limits,
    ) -> Result<(usize, f64), Failure> {
        let (n, tolerance) = (pattern.n(), limits.tolerance);
        let (mut vectors, mut residual) = (std::mem::take(&mut self.vectors), std::mem::take(&mut self.residual));
        let kernels = self.kernels;
        let mut b = rhs.to_vec();
        remove_means(&mut b, kernels);
        let size = dot(&b, &b).sqrt();
        residual.resize(n, 0.0);
        let mut correction = vec![0.0; n];
        let (mut total, mut reached, mut outcome) = (0, 0.0, Ok(()));
        if size == 0.0 {
            out.fill(0.0);
        } else {
            reached = defect(pattern, values, &b, out, &mut residual) / size;
        }
        // A start without meaning is no start.
        if reached.is_nan() || reached > 1.0 {
            out.fill(0.0);
            residual.copy_from_slice(&b);
            reached = 1.0;
        }
        // The recurrence of the residual drifts; what is left of the true one is solved for again.
        for _ in 0..3 {
            if reached <= 2.0 * tolerance {
                break;
            }
            let done = conjugate_gradients(
                &residual,
                &mut correction,
                &mut vectors,
                Limits { tolerance: tolerance / reached, ..limits },
                |p, q| pattern.multiply(values, p, q),
                |r, z| {
                    self.cycle(r, z);
                    remove_means(z, kernels);
                },
            );
            match done {
                Ok(done) => total += done.count,
                Err(failure) => {
                    outcome = Err(failure);
                    break;
                }
            }
            out.iter_mut().zip(&correction).for_each(|(x, c)| *x += c);
            reached = defect(pattern, values, &b, out, &mut residual) / size;
        }
        (self.vectors, self.residual) = (vectors, residual);
        outcome?;
        remove_means(out, kernels);
        if reached <= 10.0 * tolerance {
            Ok((total, reached))
        } else {
            Err(Failure::Stagnated { iterations: total, residual: reached, target: tolerance })
        }
    }

    /// One V-cycle from zero: z ≈ A⁻¹·r.
    fn cycle(&mut self, r: &[f64], z: &mut [f64]) {
        self.work[0].b.copy_from_slice(r);
        for (l, level) in self.levels.iter().enumerate() {
            let (here, below) = self.work.split_at_mut(l + 1);
            let Work { b, x, y } = &mut here[l];
            x.fill(0.0);
            level.sweep(0..level.a.rows(), b, x);
            level.a.multiply(x, y);
            y.iter_mut().zip(b.iter()).for_each(|(y, b)| *y = b - *y);
            level.r.multiply(y, &mut below[0].b);
        }
        let last = self.work.last_mut().expect("compiler bug: a hierarchy without levels");
        last.x.copy_from_slice(&last.b);
        match &mut self.lu {
            Some(lu) => lu.solve(&mut last.x, false),
            // An operator without an inverse is left to the iteration, which tells whether that is enough.
            None => last.x.fill(0.0),
        }
        for (l, level) in self.levels.iter().enumerate().rev() {
            let (here, below) = self.work.split_at_mut(l + 1);
            let Work { b, x, y } = &mut here[l];
            level.p.multiply(&below[0].x, y);
            x.iter_mut().zip(y.iter()).for_each(|(x, y)| *x += y);
            level.sweep((0..level.a.rows()).rev(), b, x);
        }
        z.copy_from_slice(&self.work[0].x);
    }
}

impl Level {
    /// Gauss–Seidel in this order.
    fn sweep(&self, order: impl Iterator<Item = usize>, b: &[f64], x: &mut [f64]) {
        for i in order {
            let sum: f64 = self.a.row(i).map(|(j, a)| a * x[j]).sum();
            x[i] += (b[i] - sum) * self.inverse_diagonal[i];
        }
    }
}

/// r = b - A·x and its norm.
fn defect(pattern: &Pattern, values: &[f64], b: &[f64], x: &[f64], r: &mut [f64]) -> f64 {
    pattern.multiply(values, x, r);
    r.iter_mut().zip(b).for_each(|(r, b)| *r = b - *r);
    dot(r, r).sqrt()
}

/// With kernels, of the operator with the mean of each component fixed.
fn factored(a: &Csr, component: &[u8], kernels: usize) -> Option<Lu> {
    let n = a.rows();
    let mut full = vec![0.0; n * n];
    (0..n).for_each(|i| a.row(i).for_each(|(j, v)| full[i * n + j] += v));
    let trace = (0..n).map(|i| full[i * n + i]).sum::<f64>() / n.max(1) as f64;
    for i in 0..if kernels > 0 { n } else { 0 } {
        for j in (0..n).filter(|&j| component[j] == component[i]) {
            full[i * n + j] += trace / n as f64;
        }
    }
    let mut lu = Lu::default();
    lu.factor(n, &full).is_ok().then_some(lu)
}

/// Takes the mean of each of so many interleaved components out.
fn remove_means(x: &mut [f64], components: usize) {
    for c in 0..components {
        let points = x.len() / components;
        let mean = x.iter().skip(c).step_by(components).sum::<f64>() / points.max(1) as f64;
        x.iter_mut().skip(c).step_by(components).for_each(|x| *x -= mean);
    }
}
