//! Elimination with iterative refinement: full matrices, sparse Cholesky, sparse LU. What was told to be positive definite, or is
//! symmetric as it stands, is tried with Cholesky first; LU takes over where that breaks down.

use super::bordered::Bordered;
use super::dense::Lu;
use super::direct::Factor;
use super::linear::{Method, Plan, Stats, remove_means};
use super::{Failure, Pattern};

/// The factors of a matrix, and the storage to solve in.
#[derive(Default)]
pub struct Elimination {
    factors: Factors,
    pinned: Vec<f64>,
    residual: Vec<f64>,
}

#[derive(Default)]
enum Factors {
    #[default]
    None,
    Dense(Box<Lu>),
    Cholesky(Box<Factor>),
    Lu(Box<Factor>),
    Bordered(Box<Bordered>),
}

impl Elimination {
    /// The matrix has changed.
    pub fn forget(&mut self) {
        self.factors = Factors::None;
    }

    /// Solves A·x = b, or Aᵀ·x = b, and refines where digits were lost [Higham §12.2]. Makes the factors if there are none.
    pub fn solve(
        &mut self,
        plan: &Plan,
        matrix: &[f64],
        rhs: &[f64],
        x: &mut [f64],
        transposed: bool,
    ) -> Result<Stats, Failure> {
        let (n, c) = (plan.pattern().n(), plan.components());
        let kernel = plan.options().constant_kernel;
        self.factor(plan, matrix)?;
        x.copy_from_slice(rhs);
        if kernel && (plan.options().symmetric || transposed) {
            remove_means(x, n, c);
        }
        let b: Vec<f64> = x.to_vec();
        self.substitute(plan, x, transposed);
        let mut worst = defect(plan.pattern(), matrix, &b, x, transposed, &mut self.residual);
        let mut steps = 0;
        // A step of refinement costs a substitution; it is only needed where elimination lost digits.
        while steps < 2 && worst.is_finite() && worst > 1e-13 {
            let (mut correction, before) = (std::mem::take(&mut self.residual), worst);
            self.substitute(plan, &mut correction, transposed);
            let old = x.to_vec();
            x.iter_mut().zip(&correction).for_each(|(x, d)| *x += d);
            worst = defect(plan.pattern(), matrix, &b, x, transposed, &mut self.residual);
            steps += 1;
            if worst.is_nan() || worst >= before {
                x.copy_from_slice(&old);
                worst = before;
                break;
            }
        }
        // Cholesky reads one triangle: the matrix is not as symmetric as was said, or too badly conditioned for it. What a border leaves
        // may be nearly singular, though the matrix is not.
        let doubtful = match self.factors {
            Factors::Cholesky(_) => worst.is_nan() || worst > 1e-6,
            Factors::Bordered(_) => worst.is_nan() || worst > 1e-10,
            _ => false,
        };
        if doubtful {
            let values = pin(plan, matrix, &mut self.pinned);
            self.factors = Factors::Lu(whole_lu(plan, values)?);
            return self.solve(plan, matrix, rhs, x, transposed);
        }
        if !worst.is_finite() || worst > 1e-3 || overgrown(plan.pattern(), matrix, &b, x, transposed) {
            let unknown =
                (0..x.len()).fold(0, |m, i| if x[i].abs() > x[m].abs() || !x[i].is_finite() { i } else { m }) % n;
            return Err(Failure::Singular { unknown, pivot: f64::EPSILON });
        }
        if kernel && (plan.options().symmetric || !transposed) {
            remove_means(x, n, c);
        }
        let method = match self.factors {
            Factors::Cholesky(_) => Method::Cholesky,
            Factors::Lu(_) | Factors::Bordered(_) => Method::Lu,
            _ => Method::Dense,
        };
        Ok(Stats { method, iterations: steps, residual: worst })
    }

    fn factor(&mut self, plan: &Plan, matrix: &[f64]) -> Result<(), Failure> {
        if !matches!(self.factors, Factors::None) {
            return Ok(());
        }
        let values = pin(plan, matrix, &mut self.pinned);
        self.factors = match plan.method() {
            Method::Dense => {
                let mut lu = Box::new(Lu::default());
                lu.factor(plan.pattern().n(), &full(plan.pattern(), values))?;
                Factors::Dense(lu)
            }
            Method::Lu if !plan.pattern().holds_symmetric(values) => sparse_lu(plan, values)?,
            told => {
                let mut cholesky = Box::new(Factor::new(plan.symbolic(true)));
                match cholesky.factor(values) {
                    Ok(()) => Factors::Cholesky(cholesky),
                    Err(failure) if told != Method::Lu && !matches!(failure, Failure::NotPositiveDefinite { .. }) => {
                        return Err(failure);
                    }
                    Err(_) => sparse_lu(plan, values)?,
                }
            }
        };
        Ok(())
    }

    fn substitute(&mut self, plan: &Plan, x: &mut [f64], transposed: bool) {
        let (n, c) = (plan.pattern().n(), plan.components());
        if plan.options().constant_kernel {
            x.chunks_exact_mut(n).for_each(|x| x[..c.min(n)].fill(0.0));
        }
        match &mut self.factors {
            Factors::None => unreachable!("compiler bug: substitution before factorisation"),
            Factors::Dense(lu) => lu.solve(x, transposed),
            Factors::Cholesky(f) | Factors::Lu(f) => f.solve(x, transposed),
            Factors::Bordered(f) => f.solve(x, transposed),
        }
    }
}

/// Leaves b - A·x in `residual`, and gives the largest ‖b - A·x‖ / ‖b‖ of the right-hand sides.
pub fn defect(p: &Pattern, matrix: &[f64], b: &[f64], x: &[f64], transposed: bool, residual: &mut Vec<f64>) -> f64 {
    residual.resize(b.len(), 0.0);
    let mut worst = 0.0f64;
    for ((b, x), r) in b.chunks_exact(p.n()).zip(x.chunks_exact(p.n())).zip(residual.chunks_exact_mut(p.n())) {
        if transposed {
            p.multiply_transposed(matrix, x, r)
        } else {
            p.multiply(matrix, x, r)
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
fn overgrown(p: &Pattern, matrix: &[f64], b: &[f64], x: &[f64], transposed: bool) -> bool {
    let magnitudes: Vec<f64> = matrix.iter().map(|a| a.abs()).collect();
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

fn sparse_lu(plan: &Plan, values: &[f64]) -> Result<Factors, Failure> {
    if let Some(border) = plan.border(values)
        && let Ok(factors) = Bordered::new(border, values)
    {
        return Ok(Factors::Bordered(Box::new(factors)));
    }
    Ok(Factors::Lu(whole_lu(plan, values)?))
}

fn whole_lu(plan: &Plan, values: &[f64]) -> Result<Box<Factor>, Failure> {
    let mut lu = Box::new(Factor::new(plan.symbolic(false)));
    lu.factor(values)?;
    Ok(lu)
}

/// With a constant kernel: the first unknown of each component decoupled, so that the rest is regular.
fn pin<'a>(plan: &Plan, values: &'a [f64], storage: &'a mut Vec<f64>) -> &'a [f64] {
    if !plan.options().constant_kernel {
        return values;
    }
    let (p, c) = (plan.pattern(), plan.components());
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

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}
