//! Conjugate gradients preconditioned by a geometric multigrid V-cycle, on box grids of one to three axes. A kernel of constants is
//! projected away.
//!
//! Where a contrast of 1000 changes at random from cell to cell (or along inclined fibres a few cells wide), clusters of strongly
//! coupled points without a coarse point arise, and the iterations grow with the grid. The front then turns to `algebraic`.

mod hierarchy;
#[cfg(test)]
mod tests;

use super::krylov::{Limits, Vectors, conjugate_gradients};
use super::lattice::{Placement, Stencil};
use super::sweep;
use super::{Failure, Pattern};
use hierarchy::{Hierarchy, Work};
use rayon::prelude::*;
use std::sync::Arc;

/// A matrix on a grid with its hierarchy; solves systems with it.
pub struct Multigrid {
    placement: Arc<Placement>,
    kernel: bool,
    threads: usize,
    hierarchies: Vec<Hierarchy>,
    lanes: Vec<Lane>,
}

/// What one right-hand side needs.
#[derive(Default)]
struct Lane {
    work: Vec<Work>,
    b: Vec<f64>,
    x: Vec<f64>,
    residual: Vec<f64>,
    correction: Vec<f64>,
    z: Vec<f64>,
    vectors: Vectors,
}

impl Multigrid {
    /// Fails where the diagonal is not positive, as it is in a positive definite matrix.
    pub fn new(placement: Arc<Placement>, values: &[f64], kernel: bool, threads: usize) -> Result<Multigrid, Failure> {
        let mut hierarchies = Vec::new();
        for component in 0..placement.components {
            let mut a = Stencil::zero(placement.lattice.clone());
            placement.fill(component, values, &mut a);
            if let Some(&(unknown, _)) =
                placement.places[component].iter().find(|(_, p)| a.coefficient(0)[*p as usize] <= 0.0)
            {
                return Err(Failure::NotPositiveDefinite { unknown: unknown as usize });
            }
            let mut active = Vec::new();
            if kernel {
                active.resize(placement.lattice.len, 0.0);
                placement.places[component].iter().for_each(|&(_, p)| active[p as usize] = 1.0);
            }
            hierarchies.push(Hierarchy::new(a, active, threads));
        }
        Ok(Multigrid { placement, kernel, threads, hierarchies, lanes: Vec::new() })
    }

    /// Solves for right-hand sides one after another in `rhs`, within these limits. Gives the largest number of iterations and the
    /// largest true relative residual. On failure x holds what was reached.
    ///
    /// `values` and `pattern` are the matrix itself, for operators that the stencils hold only in part.
    pub fn solve(
        &mut self,
        pattern: &Pattern,
        values: &[f64],
        rhs: &[f64],
        x: &mut [f64],
        limits: Limits,
    ) -> Result<(usize, f64), Failure> {
        let n = pattern.n();
        let count = rhs.len() / n;
        self.lanes.resize_with(self.lanes.len().max(count), Lane::default);
        let (placement, hierarchies) = (&*self.placement, &self.hierarchies);
        let apart = self.threads > 1 && count > 1;
        // Right-hand sides are spread over threads first, rows of a sweep only when there is a single one.
        let threads = if apart { 1 } else { self.threads };
        let one = |((lane, b), x): ((&mut Lane, &[f64]), &mut [f64])| {
            if placement.complete && placement.components == 1 {
                lane.solve_on_lattice(placement, &hierarchies[0], threads, b, x, limits)
            } else {
                lane.solve_on_matrix(placement, hierarchies, threads, pattern, values, b, x, limits)
            }
        };
        let results: Vec<Result<(usize, f64), Failure>> = if apart {
            self.lanes.par_iter_mut().zip(rhs.par_chunks(n)).zip(x.par_chunks_mut(n)).map(one).collect()
        } else {
            self.lanes.iter_mut().zip(rhs.chunks(n)).zip(x.chunks_mut(n)).map(one).collect()
        };
        let mut all = (0, 0.0f64);
        for result in results {
            let (iterations, residual) = result?;
            all = (all.0.max(iterations), all.1.max(residual));
        }
        Ok(all)
    }

    /// Whether constants are projected away.
    pub fn has_kernel(&self) -> bool {
        self.kernel
    }
}

impl Lane {
    fn solve_on_lattice(
        &mut self,
        placement: &Placement,
        h: &Hierarchy,
        threads: usize,
        rhs: &[f64],
        out: &mut [f64],
        limits: Limits,
    ) -> Result<(usize, f64), Failure> {
        let len = placement.lattice.len;
        let Lane { work, b, x, residual, correction, vectors, .. } = self;
        work.resize_with(1, Work::default);
        let work = &mut work[0];
        for array in [&mut *b, x, residual, correction] {
            array.resize(len, 0.0);
        }
        placement.scatter(0, rhs, b);
        h.project(b);
        let a = &h.fine;
        let unknown_at = |f: Failure| match f {
            Failure::NotPositiveDefinite { unknown } => {
                let found = placement.places[0].iter().find(|(_, p)| *p as usize == unknown);
                Failure::NotPositiveDefinite { unknown: found.map_or(0, |f| f.0 as usize) }
            }
            other => other,
        };
        let size = sweep::dot(b, b).sqrt();
        x.fill(0.0);
        residual.copy_from_slice(b);
        let (mut total, mut reached) = (0, 1.0);
        // The recurrence of the residual drifts; what is left of the true one is solved for again.
        for _ in 0..3 {
            let outcome = conjugate_gradients(
                residual,
                correction,
                vectors,
                Limits { tolerance: limits.tolerance / reached, ..limits },
                |p, q| sweep::multiply(a, threads, p, q),
                |r, z| {
                    h.cycle(work, threads, r, z);
                    if !h.active.is_empty() {
                        h.project(z);
                        h.fine.lattice.wrap(z);
                    }
                },
            );
            x.iter_mut().zip(correction.iter()).for_each(|(x, c)| *x += c);
            match outcome {
                Ok(done) => total += done.count,
                Err(failure) => {
                    placement.gather(0, x, out);
                    return Err(unknown_at(failure));
                }
            }
            if size == 0.0 {
                reached = 0.0;
                break;
            }
            sweep::residual(a, threads, b, x, residual);
            reached = sweep::dot(residual, residual).sqrt() / size;
            if reached <= 2.0 * limits.tolerance {
                break;
            }
        }
        h.project(x);
        placement.gather(0, x, out);
        if reached <= 10.0 * limits.tolerance {
            Ok((total, reached))
        } else {
            Err(Failure::Stagnated { iterations: total, residual: reached, target: limits.tolerance })
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn solve_on_matrix(
        &mut self,
        placement: &Placement,
        hierarchies: &[Hierarchy],
        threads: usize,
        pattern: &Pattern,
        values: &[f64],
        rhs: &[f64],
        out: &mut [f64],
        limits: Limits,
    ) -> Result<(usize, f64), Failure> {
        let (n, len, c) = (pattern.n(), placement.lattice.len, placement.components);
        let Lane { work, b, x, residual, z: flat, vectors, .. } = self;
        work.resize_with(c, Work::default);
        b.resize(len, 0.0);
        x.resize(len, 0.0);
        residual.resize(n, 0.0);
        flat.resize(n, 0.0);
        flat.copy_from_slice(rhs);
        let means = |v: &mut [f64]| {
            for (k, h) in hierarchies.iter().enumerate() {
                if !h.active.is_empty() {
                    let places = &placement.places[k];
                    let mean = places.iter().map(|p| v[p.0 as usize]).sum::<f64>() / places.len().max(1) as f64;
                    places.iter().for_each(|p| v[p.0 as usize] -= mean);
                }
            }
        };
        means(flat);
        let done = conjugate_gradients(
            flat,
            out,
            vectors,
            limits,
            |p, q| pattern.multiply(values, p, q),
            |r, z| {
                for (k, h) in hierarchies.iter().enumerate() {
                    placement.scatter(k, r, b);
                    h.cycle(&mut work[k], threads, b, x);
                    placement.gather(k, x, z);
                }
                means(z);
            },
        )?;
        means(out);
        pattern.multiply(values, out, residual);
        residual.iter_mut().zip(flat.iter()).for_each(|(r, b)| *r = b - *r);
        let size = sweep::dot(flat, flat).sqrt();
        let reached = if size == 0.0 { 0.0 } else { sweep::dot(residual, residual).sqrt() / size };
        if reached <= 10.0 * limits.tolerance {
            Ok((done.count, reached))
        } else {
            Err(Failure::Stagnated { iterations: done.count, residual: reached, target: limits.tolerance })
        }
    }
}
