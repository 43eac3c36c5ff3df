//! The one test binary: a module a room.

mod backend;
mod sema;
mod syntax;
