//! The one test binary: a module a room.

mod backend;
mod convergence;
mod data;
mod gradients;
mod ir;
mod sema;
mod suite;
mod syntax;
