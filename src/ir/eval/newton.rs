//! `Solve` and `LinearSolve` with dense matrices: Newton's method with a backtracking line search.
//! [Nocedal & Wright, Numerical Optimization, 2nd ed., §11.1]

use super::super::{Fault, Func, SolveSpec, Tensor, Within};
use super::{elements, eval, indices, tensor};

/// Arguments `(guess, p…)`.
pub fn solve(residual: &Func, spec: &SolveSpec, args: &[&Tensor]) -> Result<Tensor, Fault> {
    match newton(residual, spec, args) {
        Err(_) if spec.may_fail => {
            let mut u = elements(args[0]).to_vec();
            if let Some(last) = u.last_mut() {
                *last = f64::NAN;
            }
            Ok(tensor(&args[0].ty, u))
        }
        outcome => outcome,
    }
}

fn newton(residual: &Func, spec: &SolveSpec, args: &[&Tensor]) -> Result<Tensor, Fault> {
    let problem = Problem { residual, spec, p: &args[1..], guess: args[0] };
    let mut u = elements(args[0]).to_vec();
    let mut r = problem.residual(&u, 0)?;
    let (start, mut polished) = (norm(&r), false);
    for iteration in 1..=spec.newton_iterations + 1 {
        let converged = norm(&r) <= spec.newton_tolerance * start;
        // One step more once converged: quadratic convergence takes it to rounding.
        if norm(&r) == 0.0 || (converged && polished) {
            return Ok(problem.tensor(u));
        }
        polished = converged;
        let step = problem.matrix(&u)?.solve(&r).map_err(|k| problem.singular(k, iteration))?;
        match problem.search(&u, &r, &step, iteration)? {
            Some((v, s)) => (u, r) = (v, s),
            // No point along the step is better: rounding has been reached, or the search is stuck.
            None if converged || norm(&step) <= 1e-8 * norm(&u) => return Ok(problem.tensor(u)),
            // An affine residual that no step lowers is at rounding already, as where the guess solves the problem.
            None if spec.linear => return Ok(problem.tensor(u)),
            None => {
                let what = format!(
                    "Newton's method is stuck in iteration {iteration}: no step along the Newton direction lowers the residual {:.3e} (first {start:.3e})",
                    norm(&r)
                );
                return Err(Fault::new(&spec.name, what).help(
                    "start closer to the solution, or load in smaller steps; a term may have a kink or the wrong sign",
                ));
            }
        }
    }
    let what = format!(
        "Newton's method did not converge in {} iterations: residual {:.3e}, first {start:.3e}, wanted {:.1e} of it",
        spec.newton_iterations,
        norm(&r),
        spec.newton_tolerance
    );
    Err(Fault::new(&spec.name, what).help("start closer to the solution, or allow more iterations"))
}

/// Arguments `(rhs, u, p…)`.
pub fn linear_solve(residual: &Func, spec: &SolveSpec, transposed: bool, args: &[&Tensor]) -> Result<Tensor, Fault> {
    let problem = Problem { residual, spec, p: &args[2..], guess: args[1] };
    let mut matrix = problem.matrix(&elements(args[1]))?;
    if transposed {
        matrix.transpose();
    }
    match matrix.solve(&elements(args[0])) {
        Ok(x) => Ok(problem.tensor(x)),
        Err(_) if spec.may_fail => Ok(problem.tensor(vec![0.0; args[0].ty.len()])),
        Err(k) => Err(problem.singular(k, 0)),
    }
}

/// An unknown and its residual.
type Point = (Vec<f64>, Vec<f64>);

struct Problem<'a> {
    residual: &'a Func,
    spec: &'a SolveSpec,
    p: &'a [&'a Tensor],
    guess: &'a Tensor,
}

impl Problem<'_> {
    fn tensor(&self, u: Vec<f64>) -> Tensor {
        tensor(&self.guess.ty, u)
    }

    fn arguments(&self, u: &[f64]) -> Vec<Tensor> {
        std::iter::once(self.tensor(u.to_vec())).chain(self.p.iter().map(|&t| t.clone())).collect()
    }

    fn value(&self, u: &[f64]) -> Result<Vec<f64>, Fault> {
        Ok(elements(
            &eval(self.residual, &self.arguments(u)).map_err(|e| e.within(Within::Solve(self.spec.name.clone())))?[0],
        )
        .to_vec())
    }

    fn residual(&self, u: &[f64], iteration: usize) -> Result<Vec<f64>, Fault> {
        let r = self.value(u)?;
        match r.iter().position(|x| !x.is_finite()) {
            None => Ok(r),
            Some(k) => {
                let what = format!(
                    "the residual is {} at unknown {k} of {} in iteration {iteration}, where the unknown is {:e}",
                    r[k],
                    r.len(),
                    u[k]
                );
                Err(Fault::new(&self.spec.name, what).help("a root, logarithm or quotient may have left its domain"))
            }
        }
    }

    /// The longest of the steps 1, 1/2, 1/4, … that lowers the residual: the new point and its residual.
    fn search(&self, u: &[f64], r: &[f64], step: &[f64], iteration: usize) -> Result<Option<Point>, Fault> {
        let mut length = 1.0;
        let mut finite = false;
        while length > 1e-9 {
            let v: Vec<f64> = u.iter().zip(step).map(|(u, s)| u - length * s).collect();
            let s = self.value(&v)?;
            finite |= norm(&s).is_finite();
            if norm(&s) < (1.0 - 1e-4 * length) * norm(r) {
                return Ok(Some((v, s)));
            }
            length *= 0.5;
        }
        if !finite {
            let v: Vec<f64> = u.iter().zip(step).map(|(u, s)| u - length * s).collect();
            self.residual(&v, iteration)?;
        }
        Ok(None)
    }

    fn matrix(&self, u: &[f64]) -> Result<Matrix, Fault> {
        let mut m = match &self.spec.jacobian {
            Some(j) => {
                let mut m = Matrix::zero(u.len());
                let values =
                    eval(&j.values, &self.arguments(u)).map_err(|e| e.within(Within::Solve(self.spec.name.clone())))?;
                for (values, block) in values.iter().zip(&j.blocks) {
                    m.add_blocks(&elements(values), &block.rows, &block.cols);
                }
                m
            }
            None => self.difference_matrix(u)?,
        };
        if self.spec.constant_kernel {
            let components = self.spec.grid.as_ref().map_or(1, |g| g.components);
            (0..components.min(u.len())).for_each(|k| m.pin(k));
        }
        Ok(m)
    }

    /// Central differences of fourth order, for a spec that has not been given its Jacobian (`ad::complete` gives it).
    fn difference_matrix(&self, u: &[f64]) -> Result<Matrix, Fault> {
        let scale = u.iter().fold(0.0f64, |m, x| m.max(x.abs())).max(1e-3);
        let mut m = Matrix::zero(u.len());
        for j in 0..u.len() {
            let h = 1e-3 * scale;
            let at = |t: f64| {
                let mut v = u.to_vec();
                v[j] += t * h;
                self.value(&v)
            };
            let (a, b, c, d) = (at(-2.0)?, at(-1.0)?, at(1.0)?, at(2.0)?);
            for i in 0..u.len() {
                m.a[i * m.n + j] = (8.0 * (c[i] - b[i]) - (d[i] - a[i])) / (12.0 * h);
            }
        }
        Ok(m)
    }

    fn singular(&self, unknown: usize, iteration: usize) -> Fault {
        let what = format!("the Jacobian is singular at unknown {unknown} (iteration {iteration})");
        Fault::new(&self.spec.name, what)
            .help("an unknown may have no equation, or a constant may be undetermined: fix it by a condition such as `mean(u) = 0`")
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Square and dense, row-major.
struct Matrix {
    n: usize,
    a: Vec<f64>,
}

impl Matrix {
    fn zero(n: usize) -> Matrix {
        Matrix { n, a: vec![0.0; n * n] }
    }

    fn add_blocks(&mut self, values: &[f64], rows: &Tensor, cols: &Tensor) {
        let (a, b) = (rows.ty.shape[1], cols.ty.shape[1]);
        let (rows, cols) = (indices(rows), indices(cols));
        for (k, x) in values.iter().enumerate() {
            let (i, j) = (rows[k / b], cols[k / (a * b) * b + k % b]);
            if i < self.n && j < self.n {
                self.a[i * self.n + j] += x;
            }
        }
    }

    /// Unknown k becomes zero and its equation is left out: one representative of a solution up to a constant.
    fn pin(&mut self, k: usize) {
        for i in 0..self.n {
            self.a[i * self.n + k] = 0.0;
            self.a[k * self.n + i] = 0.0;
        }
        self.a[k * self.n + k] = f64::INFINITY;
    }

    fn transpose(&mut self) {
        self.a = super::array::transpose(&self.a, &[self.n, self.n], &[1, 0]);
    }

    /// Gaussian elimination with partial pivoting on rows scaled to 1; the error is a column without a pivot.
    fn solve(mut self, rhs: &[f64]) -> Result<Vec<f64>, usize> {
        let n = self.n;
        let mut x = rhs.to_vec();
        for (row, x) in self.a.chunks_mut(n.max(1)).zip(&mut x) {
            if row.contains(&f64::INFINITY) {
                // A pinned unknown.
                row.iter_mut().for_each(|a| *a = if *a == 0.0 { 0.0 } else { 1.0 });
                *x = 0.0;
                continue;
            }
            let scale = row.iter().fold(0.0f64, |m, a| m.max(a.abs()));
            if scale > 0.0 {
                row.iter_mut().for_each(|a| *a /= scale);
                *x /= scale;
            }
        }
        let a = &mut self.a;
        for k in 0..n {
            let p = (k..n).fold(k, |p, i| if a[i * n + k].abs() > a[p * n + k].abs() { i } else { p });
            if a[p * n + k].is_nan() || a[p * n + k].abs() < 1e-16 {
                return Err(k);
            }
            if p != k {
                (0..n).for_each(|j| a.swap(k * n + j, p * n + j));
                x.swap(k, p);
            }
            let (top, below) = a.split_at_mut((k + 1) * n);
            let pivot = &top[k * n..];
            for (i, row) in below.chunks_mut(n).enumerate() {
                let m = row[k] / pivot[k];
                if m != 0.0 {
                    (k..n).for_each(|j| row[j] -= m * pivot[j]);
                    x[k + 1 + i] -= m * x[k];
                }
            }
        }
        for k in (0..n).rev() {
            let s: f64 = (k + 1..n).map(|j| a[k * n + j] * x[j]).sum();
            x[k] = (x[k] - s) / a[k * n + k];
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Builder, Op, Type, Value};
    use super::*;
    use std::sync::Arc;

    /// Solves `residual(u, p) = 0` for one unknown.
    fn solved(residual: impl FnOnce(&mut Builder, Value, Value) -> Value, guess: f64, p: f64) -> Result<f64, Fault> {
        let mut b = Builder::new("residual");
        let (u, q) = (b.input(Type::f64([1])), b.input(Type::f64([1])));
        let r = residual(&mut b, u, q);
        let residual = Arc::new(b.finish(vec![r]));
        let mut b = Builder::new("test");
        let (g, q) = (b.input(Type::f64([1])), b.input(Type::f64([1])));
        let x = b.op(
            Op::Solve { residual, spec: Arc::new(SolveSpec { name: "cube".into(), ..Default::default() }) },
            &[g, q],
        );
        let f = b.finish(vec![x]);
        eval(&f, &[Tensor::f64([1], [guess]), Tensor::f64([1], [p])]).map(|x| x[0].item())
    }

    fn cube(b: &mut Builder, u: Value, p: Value) -> Value {
        let three = b.full(&Type::f64([1]), 3.0);
        let c = b.binary(super::super::Binary::Pow, u, three);
        b.sub(c, p)
    }

    #[test]
    fn a_cubic() {
        assert_eq!(solved(cube, 1.0, 8.0), Ok(2.0));
        assert!((solved(cube, -5.0, 2.0).unwrap() - 2f64.cbrt()).abs() < 1e-15);
    }

    #[test]
    fn failures_say_where() {
        let e = solved(|_, _, p| p, 0.0, 8.0).unwrap_err();
        assert_eq!(e.to_string().lines().next().unwrap(), "cube: the Jacobian is singular at unknown 0 (iteration 1)");
        let e = solved(
            |b, u, p| {
                let s = b.unary(super::super::Unary::Sqrt, u);
                b.sub(s, p)
            },
            -1.0,
            1.0,
        )
        .unwrap_err();
        assert!(e.what.starts_with("the residual is NaN at unknown 0 of 1 in iteration 0"), "{e}");
        let e = solved(
            |b, u, _| {
                let s = b.mul(u, u);
                let one = b.full(&Type::f64([1]), 1.0);
                b.add(s, one)
            },
            0.7,
            0.0,
        )
        .unwrap_err();
        assert!(e.what.contains("Newton's method"), "{e}");
    }
}
