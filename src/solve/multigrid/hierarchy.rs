//! A V-cycle on a box lattice: operators from the finest to the coarsest, and what goes between them.
//!
//! Coarsening follows the strong couplings axis by axis (`coarsen`), the smoother is Chebyshev's iteration of the fourth kind
//! [Lottes 2022], which is symmetric, needs no colours and vectorises. The cycle is made in double and runs in single precision:
//! it only has to point the iteration around it in the right direction, and half the memory traffic is nearly twice the speed.

use super::super::coarsen::{Coarsening, strength};
use super::super::dense::Lu;
use super::super::lattice::{Lattice, Stencil};
use super::super::sweep;

/// A lattice of so few points is solved directly.
const COARSEST: usize = 24;
/// Smoothing steps before and after the coarse correction, and where the diagonals differ by more than a factor `ROUGH`.
const STEPS: usize = 2;
const STEPS_ROUGH: usize = 3;
const ROUGH: f64 = 50.0;
/// An axis is coarsened along with the strongest one when its couplings are at least this part of the strongest.
const BALANCED: f64 = 0.2;

/// The hierarchy of one scalar operator.
pub struct Hierarchy {
    /// The operator itself.
    pub fine: Stencil,
    levels: Vec<Level>,
    /// The coarsest lattice, and the inverse of its operator, row-major over its points.
    coarsest: Lattice,
    inverse: Vec<f64>,
    /// What operators were multiplied with for single precision, a power of two.
    scale: f64,
    /// 1 at the points with an unknown, 0 at holes and margins; only where there is a kernel.
    pub active: Vec<f64>,
}

struct Level {
    a: Stencil<f32>,
    inverse_diagonal: Vec<f32>,
    /// A bound of the largest eigenvalue of D⁻¹A.
    largest: f64,
    smoothing: usize,
    steps: Vec<Coarsening>,
}

/// The arrays of a V-cycle for one right-hand side.
#[derive(Default)]
pub struct Work {
    levels: Vec<LevelWork>,
    /// Right-hand side and solution on the coarsest lattice.
    b: Vec<f32>,
    x: Vec<f32>,
    flat: Vec<f64>,
}

struct LevelWork {
    b: Vec<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
    d: Vec<f32>,
    /// Between two coarsenings of one level.
    between: Vec<Vec<f32>>,
}

impl Hierarchy {
    /// Of an operator with a positive diagonal. `active`: 1 at the points with an unknown, if constants are to be projected away.
    pub fn new(fine: Stencil, active: Vec<f64>, threads: usize) -> Hierarchy {
        let mut levels = Vec::new();
        let largest = fine.coefficient(0).iter().fold(0.0f64, |m, d| m.max(*d));
        let scale = power_of_two(1.0 / largest);
        let mut a = fine.clone();
        // What the kernel becomes on coarser lattices: the points that have unknowns.
        let mut mask = active.clone();
        let (least, most) = levels_of_diagonal(&a, &active);
        let smoothing = if most > ROUGH * least { STEPS_ROUGH } else { STEPS };
        while a.lattice.points() > COARSEST {
            let longest: Vec<usize> = (0..3).filter(|&k| a.lattice.extent[k] > 1).collect();
            let strengths: Vec<f64> = longest.iter().map(|&k| strength(&a, k)).collect();
            let strongest = strengths.iter().fold(0.0, |m: f64, s| m.max(*s));
            let chosen: Vec<usize> =
                (0..longest.len()).filter(|&k| strengths[k] >= BALANCED * strongest).map(|k| longest[k]).collect();
            let mut steps = Vec::new();
            let mut next: Option<Stencil> = None;
            for axis in chosen {
                let (step, coarse) = Coarsening::new(next.as_ref().unwrap_or(&a), axis);
                if !mask.is_empty() {
                    mask = inject(&step, &mask);
                }
                steps.push(step);
                next = Some(coarse);
            }
            let Some(coarse) = next else { break };
            let inverse = |d: &f64| if *d != 0.0 { (1.0 / (d * scale)) as f32 } else { 0.0 };
            let inverse_diagonal = a.coefficient(0).iter().map(inverse).collect();
            let largest = largest_eigenvalue(&a, threads);
            levels.push(Level { a: a.single(scale), inverse_diagonal, largest, smoothing, steps });
            a = coarse;
        }
        let mut inverse = invert(&a, &mask);
        inverse.iter_mut().for_each(|a| *a /= scale);
        Hierarchy { fine, levels, coarsest: a.lattice, inverse, scale, active }
    }

    /// Takes the mean over the active points out of x.
    pub fn project(&self, x: &mut [f64]) {
        if !self.active.is_empty() {
            let points = sweep::dot(&self.active, &self.active);
            let mean = sweep::dot(&self.active, x) / points.max(1.0);
            x.iter_mut().zip(&self.active).for_each(|(x, m)| *x -= mean * m);
        }
    }

    /// One V-cycle from zero, in single precision: z ≈ A⁻¹·r, margins filled.
    pub fn cycle(&self, work: &mut Work, threads: usize, r: &[f64], z: &mut [f64]) {
        work.fit(self);
        let largest = r.iter().fold(0.0f64, |m, r| m.max(r.abs()));
        if largest == 0.0 || !largest.is_finite() {
            z.fill(0.0);
            return;
        }
        // Whatever the units, single precision has room on both sides.
        let unit = power_of_two(1.0 / largest);
        let first = work.levels.first_mut().map_or(&mut work.b, |l| &mut l.b);
        first.iter_mut().zip(r).for_each(|(b, r)| *b = (r * unit) as f32);
        for (l, level) in self.levels.iter().enumerate() {
            let (here, below) = work.levels.split_at_mut(l + 1);
            let w = &mut here[l];
            level.smooth(threads, w, true);
            sweep::residual(&level.a, threads, &w.b, &w.x, &mut w.y);
            level.a.lattice.wrap(&mut w.y);
            let last = level.steps.len() - 1;
            for (k, step) in level.steps.iter().enumerate() {
                let (done, todo) = w.between.split_at_mut(k);
                let from = if k == 0 { &w.y } else { &done[k - 1] };
                let to = if k < last {
                    &mut todo[0]
                } else {
                    match below.first_mut() {
                        Some(b) => &mut b.b,
                        None => &mut work.b,
                    }
                };
                step.restrict(from, to);
                if k < last {
                    step.coarse.wrap(to);
                }
            }
        }
        self.solve_coarsest(work);
        for (l, level) in self.levels.iter().enumerate().rev() {
            let (here, below) = work.levels.split_at_mut(l + 1);
            let w = &mut here[l];
            let coarse = below.first().map_or(&work.x, |b| &b.x);
            for (k, step) in level.steps.iter().enumerate().rev() {
                let (todo, done) = w.between.split_at_mut(k);
                let from = done.first().unwrap_or(coarse);
                if k > 0 {
                    step.interpolate(from, &mut todo[k - 1], false);
                    step.fine.wrap(&mut todo[k - 1]);
                } else {
                    step.interpolate(from, &mut w.x, true);
                    step.fine.wrap(&mut w.x);
                }
            }
            level.smooth(threads, w, false);
        }
        let back = self.scale / unit;
        let x = work.levels.first().map_or(&work.x, |l| &l.x);
        z.iter_mut().zip(x).for_each(|(z, x)| *z = *x as f64 * back);
    }

    fn solve_coarsest(&self, work: &mut Work) {
        let lattice = &self.coarsest;
        let (n, width) = (lattice.points(), lattice.extent[2]);
        work.flat.clear();
        for row in 0..n / width {
            let at = lattice.row(row / lattice.extent[1], row % lattice.extent[1]);
            work.flat.extend(work.b[at..at + width].iter().map(|b| *b as f64));
        }
        for row in 0..n / width {
            let at = lattice.row(row / lattice.extent[1], row % lattice.extent[1]);
            for k in 0..width {
                let i = row * width + k;
                work.x[at + k] = sweep::dot(&self.inverse[i * n..(i + 1) * n], &work.flat) as f32;
            }
        }
        lattice.wrap(&mut work.x);
    }
}

impl Level {
    /// Chebyshev steps of the fourth kind on A·x = b, from zero or from x; margins filled.
    fn smooth(&self, threads: usize, w: &mut LevelWork, from_zero: bool) {
        let lattice = &self.a.lattice;
        for i in 1..=self.smoothing {
            let i = i as f64;
            let keep = if i == 1.0 { 0.0 } else { (2.0 * i - 3.0) / (2.0 * i + 1.0) };
            let weight = (8.0 * i - 4.0) / (2.0 * i + 1.0) / self.largest;
            let (first, keep, weight) = (i == 1.0, keep as f32, weight as f32);
            if from_zero && first {
                sweep::smooth_zero(lattice, threads, &self.inverse_diagonal, weight, &w.b, &mut w.d, &mut w.x);
            } else {
                sweep::smooth(&self.a, threads, &self.inverse_diagonal, (keep, weight), &w.b, &w.x, &mut w.d, &mut w.y);
                std::mem::swap(&mut w.x, &mut w.y);
            }
            lattice.wrap(&mut w.x);
        }
    }
}

impl Work {
    fn fit(&mut self, h: &Hierarchy) {
        let zeros = |l: &Lattice| vec![0.0; l.len];
        if self.levels.len() != h.levels.len() || self.b.len() != h.coarsest.len {
            self.levels = Vec::new();
        }
        if self.levels.len() == h.levels.len() && !self.b.is_empty() {
            return;
        }
        for l in &h.levels {
            let between = l.steps[..l.steps.len() - 1].iter().map(|s| vec![0.0; s.coarse.len]).collect();
            let [b, x, y, d] = [0; 4].map(|_| zeros(&l.a.lattice));
            self.levels.push(LevelWork { b, x, y, d, between });
        }
        (self.b, self.x) = (zeros(&h.coarsest), zeros(&h.coarsest));
    }
}

/// The power of two next below a positive number.
fn power_of_two(x: f64) -> f64 {
    x.log2().floor().clamp(-1000.0, 1000.0).exp2()
}

/// The smallest and the largest diagonal coefficient of the operator (holes count only where there are no others).
fn levels_of_diagonal(a: &Stencil, active: &[f64]) -> (f64, f64) {
    let held =
        a.coefficient(0).iter().enumerate().filter(|(k, d)| **d > 0.0 && active.get(*k).is_none_or(|m| *m > 0.0));
    held.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), (_, d)| (low.min(*d), high.max(*d)))
}

/// The mask at the points that stay.
fn inject(step: &Coarsening, mask: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; step.coarse.len];
    let n = step.coarse.extent;
    for i in 0..n[0] {
        for j in 0..n[1] {
            for k in 0..n[2] {
                let mut p = [i, j, k];
                p[step.axis] *= 2;
                out[step.coarse.index([i, j, k])] = mask[step.fine.index(p)];
            }
        }
    }
    out
}

/// Gershgorin's bound of the spectrum of D⁻¹A.
fn largest_eigenvalue(a: &Stencil, threads: usize) -> f64 {
    let mut size = a.clone();
    size.data_mut().iter_mut().for_each(|c| *c = c.abs());
    let ones = vec![1.0; a.lattice.len];
    let mut sums = vec![0.0; a.lattice.len];
    sweep::multiply(&size, threads, &ones, &mut sums);
    let ratio = sums.iter().zip(a.coefficient(0)).filter(|(_, d)| **d > 0.0).map(|(s, d)| s / d);
    ratio.fold(1.0, f64::max)
}

/// The inverse over the points of the lattice; with a kernel, of the operator with the mean over `mask` fixed.
fn invert(a: &Stencil, mask: &[f64]) -> Vec<f64> {
    let lattice = &a.lattice;
    let n = lattice.points();
    let [_, n1, n2] = lattice.extent;
    let place = |i: usize| lattice.index([i / n2 / n1, i / n2 % n1, i % n2]);
    let mut columns = vec![0.0; n * n];
    let (mut unit, mut column) = (vec![0.0; lattice.len], vec![0.0; lattice.len]);
    for i in 0..n {
        unit.fill(0.0);
        unit[place(i)] = 1.0;
        lattice.wrap(&mut unit);
        sweep::multiply(a, 1, &unit, &mut column);
        (0..n).for_each(|j| columns[i * n + j] = column[place(j)]);
    }
    if !mask.is_empty() {
        let trace = (0..n).map(|i| columns[i * n + i]).sum::<f64>() / n as f64;
        let points = (0..n).map(|i| mask[place(i)]).sum::<f64>().max(1.0);
        for i in 0..n {
            for j in 0..n {
                columns[i * n + j] += trace / points * mask[place(i)] * mask[place(j)];
            }
        }
    }
    let mut inverse = vec![0.0; n * n];
    (0..n).for_each(|i| inverse[i * n + i] = 1.0);
    let mut lu = Lu::default();
    match lu.factor(n, &columns) {
        Ok(()) => lu.solve(&mut inverse, false),
        // A coarse operator without an inverse is only smoothed: the iteration tells whether that is enough.
        Err(_) => (0..n).for_each(|i| inverse[i * n + i] = 1.0 / columns[i * n + i].max(f64::MIN_POSITIVE)),
    }
    inverse
}
