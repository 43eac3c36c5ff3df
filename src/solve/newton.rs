//! Newton's method with a line search. [Dennis & Schnabel §6.3, Nocedal & Wright §11.2]

use super::Failure;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NewtonOptions {
    /// Converged when ‖R‖ has fallen to this part of ‖R(guess)‖; or earlier, when steps are lost in rounding.
    pub tolerance: f64,
    pub iterations: usize,
    /// R is affine in u: a step that does not lower ‖R‖ means that the guess was a root to rounding already.
    pub affine: bool,
}

impl Default for NewtonOptions {
    fn default() -> NewtonOptions {
        NewtonOptions { tolerance: 1e-10, iterations: 30, affine: false }
    }
}

/// What an iteration did. Norms are Euclidean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// ‖R‖ at the guess and after each step.
    pub residuals: Vec<f64>,
    /// The fraction of each Newton step that was taken.
    pub fractions: Vec<f64>,
    /// The iteration ended because rounding allows no smaller residual.
    pub at_rounding: bool,
}

impl History {
    /// Number of Newton steps.
    pub fn steps(&self) -> usize {
        self.fractions.len()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewtonFailure {
    pub history: History,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The residual of `unknown` is NaN or infinite, at the guess or after every shortened step.
    NotFinite { unknown: usize },
    /// The linear system of a step was not solved.
    Linear(Failure),
    /// No part of the step lowers ‖R‖: it is near a local minimum that is no root. `unknown` has the largest residual.
    Stalled { unknown: usize, residual: f64 },
    /// Out of iterations; `unknown` has the largest residual.
    Slow { unknown: usize, residual: f64 },
}

impl fmt::Display for NewtonFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.history.steps();
        match &self.cause {
            Cause::NotFinite { unknown } => {
                write!(f, "the residual of unknown {unknown} is not finite after {steps} Newton steps")
            }
            Cause::Linear(failure) => write!(f, "Newton step {}: {failure}", steps + 1),
            Cause::Stalled { unknown, residual } => write!(
                f,
                "Newton stalled after {steps} steps: no part of the step lowers the residual, which is largest ({residual:.2e}) at unknown {unknown}"
            ),
            Cause::Slow { unknown, residual } => write!(
                f,
                "Newton did not converge in {steps} steps; the residual is largest ({residual:.2e}) at unknown {unknown}"
            ),
        }?;
        // The first norm and the last ones.
        let all = &self.history.residuals;
        let norm = |k: usize| match self.history.fractions.get(k.wrapping_sub(1)) {
            Some(part) if *part < 1.0 => format!("{:.2e} after {:.1e} of a step", all[k], part),
            _ => format!("{:.2e}", all[k]),
        };
        let tail = all.len().saturating_sub(5).max(1);
        let mut norms: Vec<String> = (0..all.len().min(1)).map(norm).collect();
        norms.extend((tail > 1).then(|| "…".to_string()));
        norms.extend((tail..all.len()).map(norm));
        if norms.is_empty() { Ok(()) } else { write!(f, " (norms: {})", norms.join(", ")) }
    }
}

impl std::error::Error for NewtonFailure {}

/// The linear solvers stop within this factor of their tolerance.
const ENOUGH: f64 = 10.0;

/// What Newton's method asks of a problem.
pub trait Equations<E> {
    /// Writes R(u) into r; an `Err` ends the iteration. `last`: the iteration is expected to end here, so that no step is likely to
    /// be asked for at this u.
    fn residual(&mut self, u: &[f64], r: &mut [f64], last: bool) -> Result<(), E>;

    /// Solves J(u)·d = r, so that the Newton step is -d, and gives ‖r - J·d‖ / ‖r‖. Of all u, this one is the last whose residual
    /// was asked for.
    fn step(&mut self, u: &[f64], r: &[f64], d: &mut [f64]) -> Result<f64, Failure>;
}

/// A residual and a step as closures.
impl<E, R, S> Equations<E> for (R, S)
where
    R: FnMut(&[f64], &mut [f64]) -> Result<(), E>,
    S: FnMut(&[f64], &[f64], &mut [f64]) -> Result<f64, Failure>,
{
    fn residual(&mut self, u: &[f64], r: &mut [f64], _: bool) -> Result<(), E> {
        self.0(u, r)
    }

    fn step(&mut self, u: &[f64], r: &[f64], d: &mut [f64]) -> Result<f64, Failure> {
        self.1(u, r, d)
    }
}

/// Finds u with R(u) = 0 from the guess in `u`. On failure u holds the best iterate.
///
/// The step of an affine problem leaves the residual of its linear system and no other: where that is small enough, R is not
/// evaluated again.
pub fn newton<E: From<NewtonFailure>>(
    u: &mut [f64],
    options: NewtonOptions,
    equations: &mut impl Equations<E>,
) -> Result<History, E> {
    let n = u.len();
    let mut history = History::default();
    let (mut r, mut d) = (vec![0.0; n], vec![0.0; n]);
    let (mut trial, mut trial_r) = (vec![0.0; n], vec![0.0; n]);
    equations.residual(u, &mut r, false)?;
    let mut size = norm(&r);
    history.residuals.push(size);
    if let Some(unknown) = r.iter().position(|r| !r.is_finite()) {
        return Err(NewtonFailure { history, cause: Cause::NotFinite { unknown } }.into());
    }
    let target = options.tolerance * size;
    while size > target {
        let (unknown, largest) = largest(&r);
        if history.steps() == options.iterations {
            return Err(NewtonFailure { history, cause: Cause::Slow { unknown, residual: largest } }.into());
        }
        let left = match equations.step(u, &r, &mut d) {
            Ok(left) => left,
            Err(failure) => return Err(NewtonFailure { history, cause: Cause::Linear(failure) }.into()),
        };
        if options.affine && size * left <= ENOUGH * target {
            u.iter_mut().zip(&d).for_each(|(u, d)| *u -= d);
            history.residuals.push(size * left);
            history.fractions.push(1.0);
            break;
        }
        // Newton's steps shorten the residual by a factor that is itself squared from step to step, if not by less.
        let gain = history.residuals.iter().rev().nth(1).map_or(1.0, |before| size / before);
        let last = size * gain * gain.sqrt() <= target;
        // ‖R‖² falls at first by twice its value per whole step; Armijo asks for a small part of that.
        let mut fraction = 1.0;
        let accepted = loop {
            trial.iter_mut().zip(u.iter()).zip(&d).for_each(|((t, u), d)| *t = u - fraction * d);
            equations.residual(&trial, &mut trial_r, last)?;
            let new = norm(&trial_r);
            if new.is_finite() && new <= (1.0 - 1e-4 * fraction) * size {
                break Some(new);
            }
            if options.affine || fraction < 1e-10 || trial.iter().zip(u.iter()).all(|(t, u)| t == u) {
                break None;
            }
            // The minimiser of the parabola through φ(0), φ'(0) and φ(fraction), φ = ‖R‖², kept within [0.1, 0.5] of the fraction.
            let parabola = size * size * fraction / (new * new + (2.0 * fraction - 1.0) * size * size);
            fraction *= if parabola.is_finite() { parabola.clamp(0.1, 0.5) } else { 0.1 };
        };
        match accepted {
            Some(new) => {
                u.copy_from_slice(&trial);
                std::mem::swap(&mut r, &mut trial_r);
                size = new;
                history.residuals.push(size);
                history.fractions.push(fraction);
            }
            None if (options.affine && norm(&trial_r).is_finite()) || lost_in_rounding(u, &d) => {
                history.at_rounding = true;
                break;
            }
            None => {
                let cause = match trial_r.iter().position(|r| !r.is_finite()) {
                    Some(unknown) => Cause::NotFinite { unknown },
                    None => Cause::Stalled { unknown, residual: largest },
                };
                return Err(NewtonFailure { history, cause }.into());
            }
        }
    }
    Ok(history)
}

/// A full step changes u by less than the square root of rounding and yet the residual does not fall: near a simple root the next
/// step would be of the order of the square of this one, so what remains is noise of the residual itself.
fn lost_in_rounding(u: &[f64], d: &[f64]) -> bool {
    let scale = u.iter().fold(0.0f64, |m, u| m.max(u.abs()));
    d.iter().all(|d| d.abs() <= 1e-8 * scale)
}

fn largest(r: &[f64]) -> (usize, f64) {
    r.iter().enumerate().fold((0, 0.0), |(i, m), (k, r)| if r.abs() > m { (k, r.abs()) } else { (i, m) })
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::{LinearSystem, Options, Pattern, Plan};
    use super::*;
    use std::sync::Arc;

    fn run(
        u: &mut [f64],
        tolerance: f64,
        f: impl Fn(&[f64], &mut [f64]),
        jacobian: impl Fn(&[f64]) -> Vec<f64>,
    ) -> Result<History, NewtonFailure> {
        let mut system = LinearSystem::new(Arc::new(Plan::new(Pattern::dense(u.len()), Options::default())));
        newton(
            u,
            NewtonOptions { tolerance, ..NewtonOptions::default() },
            &mut (
                |u: &[f64], r: &mut [f64]| {
                    f(u, r);
                    Ok(())
                },
                |u: &[f64], r: &[f64], d: &mut [f64]| {
                    system.set_values(&jacobian(u));
                    system.solve(r, d, false).map(|stats| stats.residual)
                },
            ),
        )
    }

    #[test]
    fn quadratic_to_the_last_digits() {
        // x² + y² = 4, x·y = 1: x² = 2 + √3.
        let f = |u: &[f64], r: &mut [f64]| {
            r[0] = u[0] * u[0] + u[1] * u[1] - 4.0;
            r[1] = u[0] * u[1] - 1.0;
        };
        let j = |u: &[f64]| vec![2.0 * u[0], 2.0 * u[1], u[1], u[0]];
        let mut u = [2.0, 0.5];
        let h = run(&mut u, 0.0, f, j).unwrap();
        assert!((u[0] * u[0] - 2.0 - 3f64.sqrt()).abs() < 1e-15 * 8.0, "{u:?}");
        // Each norm below 10⁻¹ is at most 10 times the square of the last, until rounding.
        for w in h.residuals.windows(2) {
            assert!(w[1] <= 10.0 * w[0] * w[0] + 1e-15, "{:?}", h.residuals);
        }
        assert!(h.steps() <= 7, "{h:?}");
    }

    #[test]
    fn the_line_search_saves_an_overshooting_step() {
        // Newton on atan diverges from |u| > 1.39.
        let h = run(&mut [10.0], 1e-12, |u, r| r[0] = u[0].atan(), |u| vec![1.0 / (1.0 + u[0] * u[0])]).unwrap();
        assert!(h.fractions[0] < 1.0 && *h.fractions.last().unwrap() == 1.0, "{h:?}");
    }

    #[test]
    fn an_affine_residual_at_rounding_is_solved() {
        // R = u + noise that no step removes.
        let f = |u: &[f64], r: &mut [f64]| r[0] = u[0].abs().max(1e-17);
        let mut system = LinearSystem::new(Arc::new(Plan::new(Pattern::dense(1), Options::default())));
        let options = NewtonOptions { affine: true, ..NewtonOptions::default() };
        let history = newton::<NewtonFailure>(
            &mut [0.0],
            options,
            &mut (
                |u: &[f64], r: &mut [f64]| {
                    f(u, r);
                    Ok(())
                },
                |_: &[f64], r: &[f64], d: &mut [f64]| {
                    system.set_values(&[1.0]);
                    system.solve(r, d, false).map(|_| 1.0)
                },
            ),
        );
        assert!(history.unwrap().at_rounding);
    }

    #[test]
    fn failures_say_where() {
        // u² + 1 has no root; the second equation is fine.
        let f = |u: &[f64], r: &mut [f64]| (r[0], r[1]) = (u[0] - 1.0, u[1] * u[1] + 1.0);
        let told = run(&mut [3.0, 2.0], 1e-10, f, |u| vec![1.0, 0.0, 0.0, 2.0 * u[1]]).unwrap_err();
        assert!(
            matches!(told.cause, Cause::Stalled { unknown: 1, .. } | Cause::Slow { unknown: 1, .. } | Cause::Linear(_)),
            "{told}"
        );
        let told =
            run(&mut [1.0, -1.0], 1e-10, |u, r| (r[0], r[1]) = (u[0], u[1].sqrt()), |_| vec![0.0; 4]).unwrap_err();
        assert_eq!(told.cause, Cause::NotFinite { unknown: 1 });
        let told = run(&mut [1.0], 1e-10, |u, r| r[0] = u[0], |_| vec![0.0]).unwrap_err();
        assert!(matches!(told.cause, Cause::Linear(Failure::Singular { unknown: 0, .. })));
    }

    #[test]
    fn a_guess_that_is_the_solution_is_left_alone() {
        let mut u = [0.1 + 0.2];
        let h =
            run(&mut u, 1e-10, |u, r| r[0] = 1e6 * (u[0].cos() - 0.3f64.cos()), |u| vec![-1e6 * u[0].sin()]).unwrap();
        assert!(h.at_rounding || h.residuals.last() == Some(&0.0), "{h:?}");
    }
}
