//! One front for linear systems: chooses a method by size and structure, keeps factors while the values stay, and
//! tells why when it fails.

use super::algebraic::Algebraic;
use super::bordered;
use super::direct::Symbolic;
use super::elimination::{Elimination, defect};
use super::krylov::Limits;
use super::lattice::Placement;
use super::multigrid::Multigrid;
use super::{Failure, Pattern};
use std::sync::{Arc, OnceLock};

/// Unknowns at the points of a box grid, row-major, axis 0 slowest; `components` adjacent values a point.
#[derive(Clone, PartialEq, Debug)]
pub struct Grid {
    pub points: Vec<usize>,
    /// Along a periodic axis the last point's neighbour is the first.
    pub periodic: Vec<bool>,
    pub components: usize,
    /// For each point k of the grid its place u among the free points, or `u32::MAX` where boundary values stand; component c is
    /// then unknown u·components + c. Empty: every point is free, in order.
    pub unknowns: Arc<[u32]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    Auto,
    Direct,
    Multigrid,
}

/// What is known of the matrices of a pattern.
#[derive(Clone, Debug)]
pub struct Options {
    /// Symmetric and positive (semi-)definite.
    pub symmetric: bool,
    /// The constant vector (of each component of the grid) is in the kernel. Solutions then have mean zero.
    pub constant_kernel: bool,
    pub grid: Option<Grid>,
    pub choice: Choice,
    /// Relative residual at which an iterative method stops.
    pub tolerance: f64,
    /// At most so many threads. The bits of the solution do not depend on it.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            symmetric: false,
            constant_kernel: false,
            grid: None,
            choice: Choice::Auto,
            tolerance: 1e-10,
            threads: 1,
        }
    }
}

/// How a system was solved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Dense,
    Cholesky,
    Lu,
    /// Conjugate gradients with a geometric hierarchy.
    Multigrid,
    /// Conjugate gradients with an algebraic hierarchy.
    Algebraic,
}

/// Of one call of [`LinearSystem::solve`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stats {
    pub method: Method,
    /// Of the iterative method (the worst right-hand side), or steps of iterative refinement.
    pub iterations: usize,
    /// ‖b - A·x‖ / ‖b‖ in the Euclidean norm, the worst of the right-hand sides.
    pub residual: f64,
}

/// All that follows from the pattern, shared by the systems of a batch.
pub struct Plan {
    pattern: Pattern,
    options: Options,
    cholesky: OnceLock<Arc<Symbolic>>,
    lu: OnceLock<Arc<Symbolic>>,
    border: OnceLock<Option<bordered::Lines>>,
    placement: OnceLock<Option<Arc<Placement>>>,
}

/// A matrix with its factors, and the storage to solve in. One for each thread.
pub struct LinearSystem {
    plan: Arc<Plan>,
    values: Vec<f64>,
    /// The first row with a value that is not finite.
    broken: Option<usize>,
    elimination: Elimination,
    geometric: Option<Box<Multigrid>>,
    algebraic: Option<Box<Algebraic>>,
}

/// Up to here a full matrix is as fast as a sparse one.
const DENSE: usize = 24;
/// From here on multigrid is faster than elimination on a plane grid.
const MULTIGRID: usize = 400;
/// The mean reduction of the residual in a step below which the algebraic hierarchy is worth its setup: 20 steps for ten digits.
const PACE: f64 = 0.32;
/// Steps after which an iteration has failed.
const MOST: usize = 300;

impl Plan {
    pub fn new(pattern: Pattern, options: Options) -> Plan {
        Plan {
            pattern,
            options,
            cholesky: OnceLock::new(),
            lu: OnceLock::new(),
            border: OnceLock::new(),
            placement: OnceLock::new(),
        }
    }

    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// How a matrix is solved at first. Elimination takes over where it does not work out.
    pub fn method(&self) -> Method {
        let (n, o) = (self.pattern.n(), &self.options);
        if n <= DENSE || 3 * self.pattern.entries() > n * n {
            return Method::Dense;
        }
        let iterate = match (o.choice, &o.grid) {
            _ if !o.symmetric => false,
            (Choice::Direct, _) | (Choice::Auto, None) => false,
            (Choice::Multigrid, _) => true,
            // On a line elimination has no fill.
            (Choice::Auto, Some(g)) => n >= MULTIGRID && g.points.iter().filter(|p| **p > 2).count() > 1,
        };
        match self.placement() {
            Some(p) if iterate && (o.choice == Choice::Multigrid || p.complete) => Method::Multigrid,
            _ if iterate && o.choice == Choice::Multigrid => Method::Algebraic,
            _ if o.symmetric => Method::Cholesky,
            _ => Method::Lu,
        }
    }

    fn placement(&self) -> Option<&Arc<Placement>> {
        let place = || Placement::new(&self.pattern, self.options.grid.as_ref()?).map(Arc::new);
        self.placement.get_or_init(place).as_ref()
    }

    pub(super) fn components(&self) -> usize {
        self.options.grid.as_ref().map_or(1, |g| g.components.max(1))
    }

    /// Where a few rows or columns hold many unknowns.
    pub(super) fn border(&self, values: &[f64]) -> Option<Arc<bordered::Plan>> {
        Some(self.border.get_or_init(|| bordered::Lines::new(&self.pattern)).as_ref()?.plan(&self.pattern, values))
    }

    pub(super) fn symbolic(&self, definite: bool) -> Arc<Symbolic> {
        let slot = if definite { &self.cholesky } else { &self.lu };
        slot.get_or_init(|| Arc::new(Symbolic::new(&self.pattern, definite, None))).clone()
    }
}

impl LinearSystem {
    pub fn new(plan: Arc<Plan>) -> LinearSystem {
        LinearSystem {
            plan,
            values: Vec::new(),
            broken: None,
            elimination: Elimination::default(),
            geometric: None,
            algebraic: None,
        }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Sets the matrix (values in the pattern's order). Keeps the factors if no bit has changed.
    pub fn set_values(&mut self, values: &[f64]) {
        assert_eq!(values.len(), self.plan.pattern.entries());
        let same = self.values.len() == values.len()
            && self.values.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits());
        if !same {
            self.fill(|own| own.copy_from_slice(values));
        }
    }

    /// Sets the matrix to the values that `write` leaves (in the pattern's order; what it is given holds anything).
    pub fn fill(&mut self, write: impl FnOnce(&mut [f64])) {
        self.values.resize(self.plan.pattern.entries(), 0.0);
        write(&mut self.values);
        self.broken = first_broken_row(&self.plan.pattern, &self.values);
        self.elimination.forget();
        (self.geometric, self.algebraic) = (None, None);
    }

    /// Solves A·x = b, or Aᵀ·x = b, for one or several right-hand sides, each contiguous.
    ///
    /// With a `constant_kernel`, b's component that no x can reach is ignored.
    pub fn solve(&mut self, rhs: &[f64], x: &mut [f64], transposed: bool) -> Result<Stats, Failure> {
        let plan = self.plan.clone();
        let n = plan.pattern.n();
        assert_eq!(rhs.len(), x.len());
        assert_eq!(self.values.len(), plan.pattern.entries(), "set_values comes before solve");
        if let Some(unknown) = self.broken {
            return Err(Failure::NotFinite { unknown });
        }
        if let Some(k) = rhs.iter().position(|b| !b.is_finite()) {
            return Err(Failure::NotFinite { unknown: k % n });
        }
        if n == 0 {
            return Ok(Stats { method: Method::Dense, iterations: 0, residual: 0.0 });
        }
        if matches!(plan.method(), Method::Multigrid | Method::Algebraic) {
            match self.iterate(rhs, x) {
                Ok(stats) => return Ok(stats),
                Err(failure) if plan.options.choice == Choice::Multigrid => return Err(failure),
                Err(_) => {}
            }
        }
        self.elimination.solve(&plan, &self.values, rhs, x, transposed)
    }

    /// Conjugate gradients, first with the geometric hierarchy; where that is slow, the algebraic one goes on from there. What is
    /// done depends on the matrix and these right-hand sides alone, so that the bits do. The matrix is symmetric, so that it is its
    /// transpose.
    fn iterate(&mut self, rhs: &[f64], x: &mut [f64]) -> Result<Stats, Failure> {
        let plan = self.plan.clone();
        let (o, n) = (&plan.options, plan.pattern.n());
        let limits = Limits { tolerance: o.tolerance, most: MOST, pace: None };
        let mut iterations = 0;
        let mut b = rhs.to_vec();
        if o.constant_kernel {
            remove_means(&mut b, n, plan.components());
        }
        if plan.method() == Method::Multigrid {
            match self.geometric(rhs, x, Limits { pace: Some(PACE), ..limits }) {
                Ok(iterations) => {
                    // The stencils hold one triangle: the residual is that of the whole matrix.
                    let residual = defect(&plan.pattern, &self.values, &b, x, false, &mut Vec::new());
                    if residual <= 100.0 * o.tolerance {
                        return Ok(Stats { method: Method::Multigrid, iterations, residual });
                    }
                    x.fill(0.0);
                }
                Err(Failure::Stagnated { iterations: steps, .. }) => iterations = steps,
                Err(failure) => return Err(failure),
            }
        } else {
            x.fill(0.0);
        }
        if self.algebraic.is_none() {
            let made = Algebraic::new(&plan.pattern, &self.values, plan.components(), o.constant_kernel)?;
            self.algebraic = Some(Box::new(made));
        }
        let algebraic = self.algebraic.as_mut().expect("compiler bug: made just above");
        let mut most = 0;
        for (b, x) in rhs.chunks_exact(n).zip(x.chunks_exact_mut(n)) {
            most = most.max(algebraic.solve(&plan.pattern, &self.values, b, x, limits)?.0);
        }
        let residual = defect(&plan.pattern, &self.values, &b, x, false, &mut Vec::new());
        Ok(Stats { method: Method::Algebraic, iterations: iterations + most, residual })
    }

    /// Gives the number of iterations. On failure x holds what was reached.
    fn geometric(&mut self, rhs: &[f64], x: &mut [f64], limits: Limits) -> Result<usize, Failure> {
        let (plan, o) = (&self.plan, &self.plan.options);
        if self.geometric.is_none() {
            let placement = plan.placement().expect("compiler bug: multigrid without a grid").clone();
            let made = Multigrid::new(placement, &self.values, o.constant_kernel, o.threads)?;
            self.geometric = Some(Box::new(made));
        }
        let geometric = self.geometric.as_mut().expect("compiler bug: made just above");
        geometric.solve(&plan.pattern, &self.values, rhs, x, limits).map(|(iterations, _)| iterations)
    }
}

fn first_broken_row(p: &Pattern, values: &[f64]) -> Option<usize> {
    let k = values.iter().position(|a| !a.is_finite())?;
    Some(p.row_start.partition_point(|&s| s <= k) - 1)
}

/// Takes the mean of each component out of each vector.
pub(super) fn remove_means(x: &mut [f64], n: usize, components: usize) {
    for x in x.chunks_exact_mut(n) {
        for c in 0..components {
            let mean = x.iter().skip(c).step_by(components).sum::<f64>() / (n / components) as f64;
            x.iter_mut().skip(c).step_by(components).for_each(|x| *x -= mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Blocks;
    use super::*;

    /// A chain of n springs k, closed to a ring if `periodic`, as element blocks.
    fn chain(n: usize, periodic: bool, stiffness: impl Fn(usize) -> f64) -> (Pattern, Vec<f64>) {
        let count = if periodic { n } else { n - 1 };
        let ends: Vec<u32> = (0..count).flat_map(|e| [e as u32, ((e + 1) % n) as u32]).collect();
        let p = Pattern::new(n, &[Blocks { rows: &ends, cols: &ends, row_size: 2, col_size: 2 }]);
        let values: Vec<f64> = (0..count).flat_map(|e| [1.0, -1.0, -1.0, 1.0].map(|s| s * stiffness(e))).collect();
        let mut a = vec![0.0; p.entries()];
        p.assemble(&[&values], &mut a);
        (p, a)
    }

    fn system(p: Pattern, a: &[f64], options: Options) -> LinearSystem {
        let mut s = LinearSystem::new(Arc::new(Plan::new(p, options)));
        s.set_values(a);
        s
    }

    #[test]
    fn a_ring_of_springs_under_opposite_loads() {
        // Two arcs of unit springs in parallel between the loaded nodes: u(0) - u(n/2) = n/4, exactly.
        for n in [4, 20, 100] {
            let (p, a) = chain(n, true, |_| 1.0);
            let options = Options { symmetric: true, constant_kernel: true, ..Options::default() };
            let mut s = system(p, &a, options);
            let mut b = vec![0.0; n];
            (b[0], b[n / 2]) = (1.0, -1.0);
            let mut x = vec![0.0; n];
            let stats = s.solve(&b, &mut x, false).unwrap();
            assert!((x[0] - x[n / 2] - n as f64 / 4.0).abs() < 1e-11 * n as f64, "{stats:?}");
            assert!(x.iter().sum::<f64>().abs() < 1e-11 * n as f64);
        }
    }

    #[test]
    fn failures_are_told_not_solved() {
        for n in [5, 60] {
            for symmetric in [false, true] {
                let (p, a) = chain(n, false, |_| 2.0);
                let b: Vec<f64> = (0..n).map(|i| i as f64).collect();
                let mut x = vec![0.0; n];
                let mut s = system(p.clone(), &a, Options { symmetric, ..Options::default() });
                let told = s.solve(&b, &mut x, false);
                assert!(matches!(told, Err(Failure::Singular { .. })), "{n} {symmetric} {told:?}");
                let mut bad = a.clone();
                bad[p.row_start[3]] = f64::NAN;
                s.set_values(&bad);
                assert_eq!(s.solve(&b, &mut x, false), Err(Failure::NotFinite { unknown: 3 }));
                let mut b = b;
                b[2] = f64::INFINITY;
                s.set_values(&a);
                assert_eq!(s.solve(&b, &mut x, false), Err(Failure::NotFinite { unknown: 2 }));
            }
        }
    }

    #[test]
    fn an_indefinite_symmetric_matrix_is_solved_by_lu() {
        let n = 50;
        let (p, mut a) = chain(n, false, |_| 1.0);
        (0..n).for_each(|i| a[p.diagonal[i]] -= 0.7);
        let x0: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
        let mut b = vec![0.0; n];
        p.multiply(&a, &x0, &mut b);
        let mut s = system(p, &a, Options { symmetric: true, ..Options::default() });
        let mut x = vec![0.0; n];
        assert_eq!(s.solve(&b, &mut x, false).unwrap().method, Method::Lu);
        assert!(x.iter().zip(&x0).all(|(a, b)| (a - b).abs() < 1e-10));
    }

    #[test]
    fn a_matrix_that_is_not_symmetric_after_all_is_still_solved() {
        use super::super::model::Cells;
        let p = Cells::new(&[30, 30], false, true).problem();
        let mut values = p.values(&[1.0; 900]);
        let n = p.pattern.n();
        for i in 0..n {
            for v in &mut values[p.pattern.row_start[i]..p.pattern.diagonal[i]] {
                *v *= 1.3;
            }
        }
        let b: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
        for choice in [Choice::Auto, Choice::Direct] {
            let options = Options { symmetric: true, grid: Some(p.grid.clone()), choice, ..Options::default() };
            let mut s = system(p.pattern.clone(), &values, options);
            let (mut x, mut y) = (vec![0.0; n], vec![0.0; n]);
            assert_eq!(s.solve(&b, &mut x, false).unwrap().method, Method::Lu);
            p.pattern.multiply(&values, &x, &mut y);
            assert!(y.iter().zip(&b).all(|(y, b)| (y - b).abs() < 1e-9));
        }
    }

    #[test]
    fn empty_and_single_unknowns() {
        let mut s = system(Pattern::new(0, &[]), &[], Options::default());
        assert_eq!(s.solve(&[], &mut [], false).unwrap().residual, 0.0);
        let mut s = system(Pattern::dense(1), &[4.0], Options::default());
        let mut x = [0.0; 2];
        s.solve(&[2.0, -8.0], &mut x, true).unwrap();
        assert_eq!(x, [0.5, -2.0]);
    }
}
