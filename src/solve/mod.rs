//! Linear and nonlinear systems: pure numerics on slices. Knows nothing of the IR; the backend's `Solve` calls it.
//!
//! [`sparse`] patterns and products · [`dense`], [`direct`] factorisations · [`linear`] the one front that chooses among them ·
//! [`newton`] for nonlinear systems.

mod algebraic;
mod bordered;
mod coarsen;
pub mod dense;
pub mod direct;
mod elimination;
pub mod krylov;
pub mod lattice;
pub mod linear;
pub mod model;
pub mod multigrid;
pub mod newton;
pub mod sparse;
mod sweep;

pub use linear::{Choice, Grid, LinearSystem, Method, Options, Plan, Stats};
pub use sparse::{Blocks, Pattern};

use std::fmt;

/// Why a linear system was not solved. Unknowns are numbered as the caller numbered them.
#[derive(Clone, PartialEq, Debug)]
pub enum Failure {
    /// The matrix or the right-hand side holds a NaN or an infinity in the row of `unknown`.
    NotFinite { unknown: usize },
    /// Row `unknown` depends on the others: what elimination left of its diagonal, relative to the diagonal, is `pivot`.
    Singular { unknown: usize, pivot: f64 },
    /// A direction with xᵀAx ≤ 0 was met by a method that needs a positive definite matrix; `unknown` is where it is largest.
    NotPositiveDefinite { unknown: usize },
    /// The iteration stopped improving at a relative residual above its target.
    Stagnated { iterations: usize, residual: f64, target: f64 },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotFinite { unknown } => {
                write!(f, "a value that is not finite in the equation of unknown {unknown}")
            }
            Failure::Singular { unknown, pivot } => {
                write!(
                    f,
                    "the matrix is singular: the equation of unknown {unknown} depends on the others (relative pivot {pivot:.1e})"
                )
            }
            Failure::NotPositiveDefinite { unknown } => {
                write!(
                    f,
                    "the matrix is not positive definite (a direction of negative energy is largest at unknown {unknown})"
                )
            }
            Failure::Stagnated { iterations, residual, target } => write!(
                f,
                "the linear iteration stopped improving after {iterations} steps at a relative residual of {residual:.2e} (target {target:.1e})"
            ),
        }
    }
}

impl std::error::Error for Failure {}
