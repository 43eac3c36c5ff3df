//! The one test binary: a module a room.

mod gradients;
mod sema;
mod syntax;
