//! The one test binary: a module a room.

mod convergence;
mod sema;
mod syntax;
