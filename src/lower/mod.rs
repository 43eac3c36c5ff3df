//! From the typed program to the IR, by tracing: expressions are evaluated with known values where they are known, and with
//! nodes of an `ir::Builder` where they are not. What a study, a closure or a residual means is the same code.

pub mod arith;
pub mod call;
pub mod claims;
mod closure;
mod convolution;
pub mod dataset;
mod declared;
mod define;
pub mod domain;
pub mod error;
pub mod eval;
pub mod evolve;
pub mod field;
pub mod functional;
pub mod intrinsics;
mod listwise;
pub mod losses;
mod member;
pub mod minimize;
pub mod net;
mod operator;
mod pairing;
pub mod runtime;
mod sizeless;
pub mod solve;
pub mod sought;
pub mod stages;
pub mod system;
pub mod trace;
pub mod unknowns;
pub mod value;
pub mod velocities;

pub use error::{Error, Result};
pub use eval::Lower;
pub use runtime::Runtime;
pub use value::{Field, Num, Value};
