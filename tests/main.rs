//! The one test binary: a module a room.

mod convergence;
mod data;
mod gradients;
mod sema;
mod syntax;
