//! The one test binary: a module a room.

mod backend;
mod cache;
mod cli;
mod convergence;
mod data;
mod documentation;
mod examples;
mod gradients;
mod ir;
mod layers;
mod sema;
mod suite;
mod syntax;
mod train;
