//! Limited-memory BFGS [Nocedal & Wright §7.2]: two-loop recursion, strong-Wolfe steps; with bounds, projection onto the
//! box with an active set [Bertsekas, Projected Newton methods, 1982].

use super::bits;
use super::line_search::{Point, strong_wolfe};
use super::vector::{add_scaled, dot, max_norm, norm};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct LbfgsOptions {
    /// Pairs kept.
    pub history: usize,
    /// Converged when no component of the (projected) gradient is larger.
    pub gradient_tolerance: f64,
}

impl Default for LbfgsOptions {
    fn default() -> LbfgsOptions {
        LbfgsOptions { history: 20, gradient_tolerance: 1e-10 }
    }
}

/// The state between two iterations.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lbfgs {
    pub options: LbfgsOptions,
    /// Oldest first.
    pairs: Vec<Pair>,
    /// Value (one number) and gradient at the current point; empty before the first iteration.
    #[serde(with = "bits")]
    value: Vec<f64>,
    #[serde(with = "bits")]
    gradient: Vec<f64>,
}

/// A step and the change of the gradient over it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Pair {
    #[serde(with = "bits")]
    s: Vec<f64>,
    #[serde(with = "bits")]
    y: Vec<f64>,
}

/// A point, its value and its gradient.
type Trial = (Vec<f64>, f64, Vec<f64>);

/// `low[i] ≤ x[i] ≤ high[i]`; infinite where there is no bound.
#[derive(Clone, PartialEq, Debug)]
pub struct Bounds {
    pub low: Vec<f64>,
    pub high: Vec<f64>,
}

impl Bounds {
    pub fn project(&self, x: &mut [f64]) {
        x.iter_mut().zip(self.low.iter().zip(&self.high)).for_each(|(x, (l, h))| *x = x.max(*l).min(*h));
    }

    /// Whether the bound holds `x[i]` against the descent direction of `g`.
    fn holds(&self, i: usize, x: f64, g: f64) -> bool {
        (x <= self.low[i] && g > 0.0) || (x >= self.high[i] && g < 0.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    Moved,
    /// The gradient is within the tolerance.
    Converged,
    /// No step along the steepest descent lowers the value: rounding, or a gradient that is not the value's.
    Stalled,
}

impl Lbfgs {
    pub fn new(options: LbfgsOptions) -> Lbfgs {
        Lbfgs { options, pairs: vec![], value: vec![], gradient: vec![] }
    }

    /// The objective at the current point; `None` before the first iteration.
    pub fn value(&self) -> Option<f64> {
        self.value.first().copied()
    }

    pub fn gradient(&self) -> &[f64] {
        &self.gradient
    }

    /// One iteration from `x`, in place. `f` writes the gradient and gives the value. After `Moved` or `Converged`,
    /// the last evaluation of `f` was at the new `x`.
    pub fn step<E>(
        &mut self,
        x: &mut [f64],
        bounds: Option<&Bounds>,
        f: &mut impl FnMut(&[f64], &mut [f64]) -> Result<f64, E>,
    ) -> Result<Progress, E> {
        if self.value.is_empty() {
            if let Some(b) = bounds {
                b.project(x);
            }
            self.gradient = vec![0.0; x.len()];
            self.value = vec![f(x, &mut self.gradient)?];
        }
        loop {
            let free = self.free_gradient(x, bounds);
            if max_norm(&free) <= self.options.gradient_tolerance {
                return Ok(Progress::Converged);
            }
            let direction = self.direction(&free);
            let step = match bounds {
                None => self.search(x, &direction, f)?,
                Some(b) => self.backtrack(x, &direction, b, f)?,
            };
            if let Some((new, value, gradient)) = step {
                self.remember(x, &new, &gradient);
                x.copy_from_slice(&new);
                (self.value, self.gradient) = (vec![value], gradient);
                return Ok(Progress::Moved);
            }
            if self.pairs.is_empty() {
                return Ok(Progress::Stalled);
            }
            self.pairs.clear(); // a stale model of the curvature: once more along the gradient
        }
    }

    fn free_gradient(&self, x: &[f64], bounds: Option<&Bounds>) -> Vec<f64> {
        let mut g = self.gradient.clone();
        if let Some(b) = bounds {
            g.iter_mut().enumerate().filter(|(i, g)| b.holds(*i, x[*i], **g)).for_each(|(_, g)| *g = 0.0);
        }
        g
    }

    /// `-H g` by the two-loop recursion (Algorithm 7.4), zero where `g` is zero.
    fn direction(&self, g: &[f64]) -> Vec<f64> {
        let mut q = g.to_vec();
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for p in self.pairs.iter().rev() {
            let alpha = dot(&p.s, &q) / dot(&p.s, &p.y);
            add_scaled(&mut q, -alpha, &p.y);
            alphas.push(alpha);
        }
        // Without pairs the first step has length one, or less where the gradient is small.
        let gamma = match self.pairs.last() {
            Some(p) => dot(&p.s, &p.y) / dot(&p.y, &p.y),
            None => 1.0 / norm(g).max(1.0),
        };
        q.iter_mut().for_each(|q| *q *= gamma);
        for (p, alpha) in self.pairs.iter().zip(alphas.iter().rev()) {
            let beta = dot(&p.y, &q) / dot(&p.s, &p.y);
            add_scaled(&mut q, alpha - beta, &p.s);
        }
        q.iter_mut().zip(g).for_each(|(q, g)| *q = if *g == 0.0 { 0.0 } else { -*q });
        q
    }

    fn search<E>(
        &self,
        x: &[f64],
        direction: &[f64],
        f: &mut impl FnMut(&[f64], &mut [f64]) -> Result<f64, E>,
    ) -> Result<Option<Trial>, E> {
        let start = Point { a: 0.0, value: self.value[0], slope: dot(&self.gradient, direction) };
        if start.slope >= 0.0 || start.slope.is_nan() {
            return Ok(None);
        }
        let (mut trial, mut gradient) = (x.to_vec(), vec![0.0; x.len()]);
        let found = strong_wolfe(start, 1.0, &mut |a| {
            trial.copy_from_slice(x);
            add_scaled(&mut trial, a, direction);
            let value = f(&trial, &mut gradient)?;
            Ok(Point { a, value, slope: dot(&gradient, direction) })
        })?;
        Ok(found.map(|p| (trial, p.value, gradient)))
    }

    /// Armijo's rule along the projected arc.
    fn backtrack<E>(
        &self,
        x: &[f64],
        direction: &[f64],
        bounds: &Bounds,
        f: &mut impl FnMut(&[f64], &mut [f64]) -> Result<f64, E>,
    ) -> Result<Option<Trial>, E> {
        let mut gradient = vec![0.0; x.len()];
        let mut a = 1.0;
        for _ in 0..40 {
            let mut trial = x.to_vec();
            add_scaled(&mut trial, a, direction);
            bounds.project(&mut trial);
            let promised: f64 = trial.iter().zip(x).zip(&self.gradient).map(|((t, x), g)| (t - x) * g).sum();
            let value = f(&trial, &mut gradient)?;
            if promised < 0.0 && value <= self.value[0] + 1e-4 * promised && max_norm(&gradient).is_finite() {
                return Ok(Some((trial, value, gradient)));
            }
            a *= 0.5;
        }
        Ok(None)
    }

    /// Keeps the pair of this step if its curvature is positive.
    fn remember(&mut self, x: &[f64], new: &[f64], gradient: &[f64]) {
        let s: Vec<f64> = new.iter().zip(x).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = gradient.iter().zip(&self.gradient).map(|(a, b)| a - b).collect();
        if dot(&s, &y) > 1e-12 * norm(&s) * norm(&y) {
            if self.pairs.len() == self.options.history.max(1) {
                self.pairs.remove(0);
            }
            self.pairs.push(Pair { s, y });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chained Rosenbrock function; minimum 0 at (1, …, 1).
    fn rosenbrock(x: &[f64], g: &mut [f64]) -> Result<f64, ()> {
        g.fill(0.0);
        let mut value = 0.0;
        for i in 0..x.len() - 1 {
            let (a, b) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
            value += 100.0 * a * a + b * b;
            g[i] += -400.0 * a * x[i] - 2.0 * b;
            g[i + 1] += 200.0 * a;
        }
        Ok(value)
    }

    fn minimise(x: &mut [f64], bounds: Option<&Bounds>, iterations: usize) -> (Progress, usize, usize) {
        let (mut evaluations, mut state) = (0, Lbfgs::new(LbfgsOptions::default()));
        for k in 0..iterations {
            let p = state.step(x, bounds, &mut |x, g| {
                evaluations += 1;
                rosenbrock(x, g)
            });
            if p != Ok(Progress::Moved) {
                return (p.unwrap(), k, evaluations);
            }
        }
        (Progress::Moved, iterations, evaluations)
    }

    #[test]
    fn rosenbrock_to_the_last_digits() {
        for n in [2, 10] {
            let mut x: Vec<f64> = (0..n).map(|i| if i % 2 == 0 { -1.2 } else { 1.0 }).collect();
            let (p, _, evaluations) = minimise(&mut x, None, 300);
            assert_ne!(p, Progress::Moved);
            assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-8), "{x:?}");
            assert!(evaluations < 250, "{evaluations}");
        }
    }

    #[test]
    fn bounds_hold_and_the_rest_is_optimal() {
        // With x₀ ≤ 1/2 the minimum of the 2-D function is at (1/2, 1/4), value 1/4.
        let bounds = Bounds { low: vec![-2.0, -2.0], high: vec![0.5, 2.0] };
        let mut x = vec![-1.2, 1.0];
        let (_, _, _) = minimise(&mut x, Some(&bounds), 300);
        assert!((x[0] - 0.5).abs() < 1e-12 && (x[1] - 0.25).abs() < 1e-8, "{x:?}");
    }

    #[test]
    fn a_saved_state_goes_on_with_the_same_bits() {
        let mut x = vec![-1.2, 1.0, 0.3, 0.7];
        let mut state = Lbfgs::new(LbfgsOptions { history: 3, ..LbfgsOptions::default() });
        for _ in 0..5 {
            state.step(&mut x, None, &mut rosenbrock).unwrap();
        }
        let mut again: Lbfgs = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        let mut y = x.clone();
        for _ in 0..5 {
            state.step(&mut x, None, &mut rosenbrock).unwrap();
            again.step(&mut y, None, &mut rosenbrock).unwrap();
        }
        assert_eq!(x, y);
    }
}
