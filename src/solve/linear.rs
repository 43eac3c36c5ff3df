//! One front for linear systems: chooses a method by size and structure, keeps factors while the values stay, and
//! tells why when it fails.

use super::dense::Lu;
use super::direct::{Factor, Symbolic};
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
    Multigrid,
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
    placement: OnceLock<Option<Arc<Placement>>>,
}

/// A matrix with its factors, and the storage to solve in. One for each thread.
pub struct LinearSystem {
    plan: Arc<Plan>,
    values: Vec<f64>,
    /// The first row with a value that is not finite.
    broken: Option<usize>,
    factors: Factors,
    pinned: Vec<f64>,
    residual: Vec<f64>,
}

enum Factors {
    None,
    Dense(Box<Lu>),
    Cholesky(Box<Factor>),
    Lu(Box<Factor>),
    Multigrid(Box<Multigrid>),
}

/// Up to here a full matrix is as fast as a sparse one.
const DENSE: usize = 24;
/// From here on multigrid is faster than elimination on a plane grid.
const MULTIGRID: usize = 400;
/// Up to here the factors of a plane grid take little memory.
const PLANE: usize = 1 << 19;

impl Plan {
    pub fn new(pattern: Pattern, options: Options) -> Plan {
        Plan { pattern, options, cholesky: OnceLock::new(), lu: OnceLock::new(), placement: OnceLock::new() }
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
        let worth = match (o.choice, &o.grid) {
            (Choice::Direct, _) | (_, None) => false,
            (Choice::Multigrid, Some(_)) => o.symmetric,
            // On a line elimination has no fill.
            (Choice::Auto, Some(g)) => o.symmetric && n >= MULTIGRID && g.points.iter().filter(|p| **p > 2).count() > 1,
        };
        if worth && self.placement().is_some_and(|p| o.choice == Choice::Multigrid || p.complete) {
            Method::Multigrid
        } else if o.symmetric {
            Method::Cholesky
        } else {
            Method::Lu
        }
    }

    fn placement(&self) -> Option<&Arc<Placement>> {
        let place = || Placement::new(&self.pattern, self.options.grid.as_ref()?).map(Arc::new);
        self.placement.get_or_init(place).as_ref()
    }

    fn components(&self) -> usize {
        self.options.grid.as_ref().map_or(1, |g| g.components.max(1))
    }

    fn symbolic(&self, definite: bool) -> Arc<Symbolic> {
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
            factors: Factors::None,
            pinned: Vec::new(),
            residual: Vec::new(),
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
            self.values.clear();
            self.values.extend_from_slice(values);
            self.broken = first_broken_row(&self.plan.pattern, values);
            self.factors = Factors::None;
        }
    }

    /// Sets the matrix to the values that `write` leaves (in the pattern's order; what it is given holds anything).
    pub fn fill(&mut self, write: impl FnOnce(&mut [f64])) {
        self.values.resize(self.plan.pattern.entries(), 0.0);
        write(&mut self.values);
        self.broken = first_broken_row(&self.plan.pattern, &self.values);
        self.factors = Factors::None;
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
        if plan.method() == Method::Multigrid && !matches!(self.factors, Factors::Cholesky(_) | Factors::Lu(_)) {
            match self.solve_multigrid(rhs, x) {
                Ok(stats) => return Ok(stats),
                Err(failure) if plan.options.choice == Choice::Multigrid => return Err(failure),
                // The factors, once made, serve the right-hand sides to come.
                Err(_) => self.factors = Factors::None,
            }
        }
        self.solve_direct(rhs, x, transposed)
    }

    /// The matrix is symmetric, so that it is its transpose.
    fn solve_multigrid(&mut self, rhs: &[f64], x: &mut [f64]) -> Result<Stats, Failure> {
        let plan = self.plan.clone();
        let o = &plan.options;
        if !matches!(self.factors, Factors::Multigrid(_)) {
            let placement = plan.placement().expect("compiler bug: multigrid without a grid").clone();
            let multigrid = Multigrid::new(placement, &self.values, o.constant_kernel, o.threads)?;
            self.factors = Factors::Multigrid(Box::new(multigrid));
        }
        // On a plane elimination is faster than many iterations.
        let plane = plan.pattern.n() <= PLANE && o.grid.as_ref().is_some_and(|g| g.points.len() == 2);
        let most = if o.choice == Choice::Auto && plane { 60 } else { 300 };
        let Factors::Multigrid(multigrid) = &mut self.factors else { unreachable!("compiler bug: made just above") };
        let (iterations, _) = multigrid.solve(&plan.pattern, &self.values, rhs, x, (o.tolerance, most))?;
        // The stencils hold one triangle: the residual is that of the whole matrix.
        let mut b = rhs.to_vec();
        if o.constant_kernel {
            remove_means(&mut b, plan.pattern.n(), plan.components());
        }
        let (target, residual) = (o.tolerance, self.defect(&b, x, false));
        if residual <= 100.0 * target {
            Ok(Stats { method: Method::Multigrid, iterations, residual })
        } else {
            Err(Failure::Stagnated { iterations, residual, target })
        }
    }

    /// Elimination with iterative refinement. [Higham §12.2]
    fn solve_direct(&mut self, rhs: &[f64], x: &mut [f64], transposed: bool) -> Result<Stats, Failure> {
        let plan = self.plan.clone();
        let (n, c) = (plan.pattern.n(), plan.components());
        let kernel = plan.options.constant_kernel;
        self.factor()?;
        x.copy_from_slice(rhs);
        if kernel && (plan.options.symmetric || transposed) {
            remove_means(x, n, c);
        }
        let b: Vec<f64> = x.to_vec();
        self.substitute(x, transposed);
        let mut worst = self.defect(&b, x, transposed);
        let mut steps = 0;
        // A step of refinement costs a substitution; it is only needed where elimination lost digits.
        while steps < 2 && worst.is_finite() && worst > 1e-13 {
            let (mut correction, before) = (std::mem::take(&mut self.residual), worst);
            self.substitute(&mut correction, transposed);
            let old = x.to_vec();
            x.iter_mut().zip(&correction).for_each(|(x, d)| *x += d);
            worst = self.defect(&b, x, transposed);
            steps += 1;
            if worst.is_nan() || worst >= before {
                x.copy_from_slice(&old);
                worst = before;
                break;
            }
        }
        if matches!(self.factors, Factors::Cholesky(_)) && (worst.is_nan() || worst > 1e-6) {
            // Cholesky reads one triangle: the matrix is not as symmetric as was said, or too badly conditioned for it.
            let values = pin(&plan, &self.values, &mut self.pinned);
            self.factors = Factors::Lu(sparse_lu(&plan, values)?);
            return self.solve_direct(rhs, x, transposed);
        }
        if !worst.is_finite() || worst > 1e-3 || self.overgrown(&b, x, transposed) {
            let unknown =
                (0..x.len()).fold(0, |m, i| if x[i].abs() > x[m].abs() || !x[i].is_finite() { i } else { m }) % n;
            return Err(Failure::Singular { unknown, pivot: f64::EPSILON });
        }
        if kernel && (plan.options.symmetric || !transposed) {
            remove_means(x, n, c);
        }
        let method = match self.factors {
            Factors::Cholesky(_) => Method::Cholesky,
            Factors::Lu(_) => Method::Lu,
            _ => Method::Dense,
        };
        Ok(Stats { method, iterations: steps, residual: worst })
    }

    /// Makes the factors if there are none. A Cholesky factorisation that meets a negative pivot gives way to LU.
    fn factor(&mut self) -> Result<(), Failure> {
        if !matches!(self.factors, Factors::None | Factors::Multigrid(_)) {
            return Ok(());
        }
        let plan = self.plan.clone();
        let values = pin(&plan, &self.values, &mut self.pinned);
        self.factors = match plan.method() {
            Method::Dense => {
                let mut lu = Box::new(Lu::default());
                lu.factor(plan.pattern.n(), &full(&plan.pattern, values))?;
                Factors::Dense(lu)
            }
            Method::Lu => Factors::Lu(sparse_lu(&plan, values)?),
            Method::Cholesky | Method::Multigrid => {
                let mut cholesky = Box::new(Factor::new(plan.symbolic(true)));
                match cholesky.factor(values) {
                    Ok(()) => Factors::Cholesky(cholesky),
                    Err(Failure::NotPositiveDefinite { .. }) => Factors::Lu(sparse_lu(&plan, values)?),
                    Err(failure) => return Err(failure),
                }
            }
        };
        Ok(())
    }

    fn substitute(&mut self, x: &mut [f64], transposed: bool) {
        let (n, c) = (self.plan.pattern.n(), self.plan.components());
        if self.plan.options.constant_kernel {
            x.chunks_exact_mut(n).for_each(|x| x[..c.min(n)].fill(0.0));
        }
        match &mut self.factors {
            Factors::None | Factors::Multigrid(_) => unreachable!("compiler bug: substitution before factorisation"),
            Factors::Dense(lu) => lu.solve(x, transposed),
            Factors::Cholesky(f) | Factors::Lu(f) => f.solve(x, transposed),
        }
    }

    /// Leaves b - A·x in `self.residual`, and gives the largest ‖b - A·x‖ / ‖b‖ of the right-hand sides.
    fn defect(&mut self, b: &[f64], x: &[f64], transposed: bool) -> f64 {
        let p = &self.plan.pattern;
        self.residual.resize(b.len(), 0.0);
        let mut worst = 0.0f64;
        for ((b, x), r) in b.chunks_exact(p.n()).zip(x.chunks_exact(p.n())).zip(self.residual.chunks_exact_mut(p.n())) {
            if transposed {
                p.multiply_transposed(&self.values, x, r)
            } else {
                p.multiply(&self.values, x, r)
            }
            r.iter_mut().zip(b).for_each(|(r, b)| *r = b - *r);
            let (norm, size) = (norm(r), norm(b));
            let relative = if size > 0.0 {
                norm / size
            } else if norm == 0.0 {
                0.0
            } else {
                f64::INFINITY
            };
            worst = if relative.is_nan() { f64::NAN } else { worst.max(relative) };
        }
        worst
    }

    /// The terms of every equation exceed its right-hand side by so much that nothing but a zero pivot explains it.
    fn overgrown(&self, b: &[f64], x: &[f64], transposed: bool) -> bool {
        let p = &self.plan.pattern;
        let magnitudes: Vec<f64> = self.values.iter().map(|a| a.abs()).collect();
        let mut terms = vec![0.0; p.n()];
        b.chunks_exact(p.n()).zip(x.chunks_exact(p.n())).any(|(b, x)| {
            let size: Vec<f64> = x.iter().map(|x| x.abs()).collect();
            if transposed {
                p.multiply_transposed(&magnitudes, &size, &mut terms)
            } else {
                p.multiply(&magnitudes, &size, &mut terms)
            }
            let least =
                terms.iter().zip(b).filter(|(_, b)| **b != 0.0).map(|(t, b)| t / b.abs()).fold(f64::INFINITY, f64::min);
            least.is_finite() && least > 1e14
        })
    }
}

fn sparse_lu(plan: &Plan, values: &[f64]) -> Result<Box<Factor>, Failure> {
    let mut lu = Box::new(Factor::new(plan.symbolic(false)));
    lu.factor(values)?;
    Ok(lu)
}

/// With a constant kernel: the first unknown of each component decoupled, so that the rest is regular.
fn pin<'a>(plan: &Plan, values: &'a [f64], storage: &'a mut Vec<f64>) -> &'a [f64] {
    if !plan.options.constant_kernel {
        return values;
    }
    let (p, c) = (&plan.pattern, plan.components());
    storage.clear();
    storage.extend_from_slice(values);
    for i in 0..p.n() {
        for k in p.row_start[i]..p.row_start[i + 1] {
            if i < c || (p.columns[k] as usize) < c {
                let diagonal = if values[k] != 0.0 { values[k].abs() } else { 1.0 };
                storage[k] = if k == p.diagonal[i] { diagonal } else { 0.0 };
            }
        }
    }
    storage
}

fn full(p: &Pattern, values: &[f64]) -> Vec<f64> {
    let n = p.n();
    let mut matrix = vec![0.0; n * n];
    for i in 0..n {
        for k in p.row_start[i]..p.row_start[i + 1] {
            matrix[i * n + p.columns[k] as usize] = values[k];
        }
    }
    matrix
}

fn first_broken_row(p: &Pattern, values: &[f64]) -> Option<usize> {
    let k = values.iter().position(|a| !a.is_finite())?;
    Some(p.row_start.partition_point(|&s| s <= k) - 1)
}

/// Takes the mean of each component out of each vector.
fn remove_means(x: &mut [f64], n: usize, components: usize) {
    for x in x.chunks_exact_mut(n) {
        for c in 0..components {
            let mean = x.iter().skip(c).step_by(components).sum::<f64>() / (n / components) as f64;
            x.iter_mut().skip(c).step_by(components).for_each(|x| *x -= mean);
        }
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
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
