//! The one test binary: a module a room.

mod sema;
mod syntax;
