//! The one test binary: a module a room.

mod data;
mod gradients;
mod sema;
mod syntax;
