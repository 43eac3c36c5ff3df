//! From a balance law to a residual over degrees of freedom: meshes, spaces, quadrature, boundary conditions.

pub mod balance;
