//! mslc: the compiler and runtime of MSL, a declarative language for multiscale modelling with machine learning.
//! The map of the code is `ARCHITECTURE.md`.

pub mod ad;
pub mod base;
pub mod discretize;
pub mod ir;
pub mod sema;
pub mod syntax;
