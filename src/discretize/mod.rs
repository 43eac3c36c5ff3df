//! From a balance law to a residual over degrees of freedom: meshes, spaces, quadrature, boundary conditions.

pub mod balance;
pub mod basis;
pub mod chebyshev;
pub mod conservation;
mod derivative;
pub mod discrete;
pub mod element_map;
mod family;
pub mod finite_element;
pub mod finite_volume;
pub mod grid;
pub mod mesh;
pub mod points;
pub mod post;
pub mod quadrature;
pub mod refusal;
pub mod space;
mod sparsity;

pub use balance::{Balance, Boundary, Condition};
pub use discrete::{DataArgument, DataPoints, Discrete, Options};
pub use element_map::Leaf;
pub use mesh::{Element, Mesh, Side};
pub use points::Located;
pub use refusal::Refusal;
pub use space::Space;
