//! mslc: the compiler and runtime of MSL, a declarative language for multiscale modelling with machine learning.
//! The map of the code is `ARCHITECTURE.md`.

pub mod ad;
pub mod backend;
pub mod base;
pub mod cli;
pub mod data;
pub mod discretize;
pub mod exec;
pub mod flow;
pub mod integrate;
pub mod ir;
pub mod lower;
pub mod passes;
pub mod report;
pub mod sema;
pub mod solve;
pub mod syntax;
pub mod train;
