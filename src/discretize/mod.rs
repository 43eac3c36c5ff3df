//! From a balance law to a residual over degrees of freedom: meshes, spaces, quadrature, boundary conditions.

pub mod balance;
pub mod basis;
pub mod element_map;
pub mod finite_element;
pub mod mesh;
pub mod points;
pub mod quadrature;
pub mod refusal;
pub mod space;

pub use balance::{Balance, Boundary, Condition};
pub use element_map::Leaf;
pub use mesh::{Element, Mesh, Side};
pub use points::Located;
pub use refusal::Refusal;
pub use space::Space;
