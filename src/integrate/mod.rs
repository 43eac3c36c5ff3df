//! Time: from the rates `du/dt = f(t, u, p)` of a system, a `Func`, to the `Func` of one step. A step is plain IR, so that a loop of
//! steps is differentiated, fused and compiled like anything else.

pub mod additive;
pub mod bdf;
pub mod diagonal;
pub mod exponential;
pub mod rosenbrock;
pub mod runge_kutta;
pub mod symplectic;
pub mod tableau;

pub use rosenbrock::{ROSENBROCK, Rosenbrock};
pub use symplectic::{COMPOSITIONS, Composition};
pub use tableau::{ADDITIVE, Additive, TABLEAUX, Tableau, tableau};

/// The additive method of a name, if there is one.
pub fn additive(name: &str) -> Option<&'static Additive> {
    ADDITIVE.iter().find(|a| a.name == name)
}
