//! The back ends against the interpreter.

mod agreement;
mod random;
