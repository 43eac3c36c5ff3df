//! The one test binary: a module a room.

mod gradients;
mod ir;
mod sema;
mod syntax;
