//! The one intermediate representation: PDE residuals, constitutive laws, nets, losses, update rules.
//! Hash-consed SSA over a closed set of primitives, static shapes, SI floats; units are gone.

pub mod build;
pub mod components;
pub mod elements;
pub mod eval;
pub mod fault;
pub mod fourier;
pub mod func;
pub mod math;
pub mod memo;
pub mod op;
pub mod shape;
pub mod tensor;
pub mod text;
pub mod verify;

pub use build::Builder;
pub use fault::{Broke, BrokenRun, Culprit, Fault, Several, Within};
pub use func::{Func, Node, Value};
pub use op::{Binary, Block, Compare, Dot, GridHint, Jacobian, LinearSolver, MemoSpec, Op, Reduce, SolveSpec, Unary};
pub use tensor::{DType, Data, Tensor, Type};
