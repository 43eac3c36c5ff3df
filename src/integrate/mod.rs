//! Time: from the rates `du/dt = f(t, u, p)` of a system, a `Func`, to the `Func` of one step. A step is plain IR, so that a loop of
//! steps is differentiated, fused and compiled like anything else.

pub mod rosenbrock;
pub mod runge_kutta;
pub mod tableau;

pub use rosenbrock::{ROSENBROCK, Rosenbrock};
pub use tableau::{ADDITIVE, Additive, TABLEAUX, Tableau, tableau};
