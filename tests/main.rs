//! The one test binary: a module a room.

mod data;
mod sema;
mod syntax;
