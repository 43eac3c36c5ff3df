//! All integration tests, one binary: modules by room.

mod convergence;
