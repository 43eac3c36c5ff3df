//! What `infer` finds of an expression.

use super::hir::{DefId, ExprId};
use crate::base::Dimension;

/// The type of an expression. Dimensions are solved by the end of inference; a part left open is generic in a library function.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Type {
    /// Not inferred (yet), or generic.
    #[default]
    Any,
    /// A real, vector or tensor, or a field of them.
    Number {
        dimension: Dimension,
        rank: Rank,
        field: Option<FieldOf>,
    },
    Int,
    Bool,
    Str,
    Range(Box<Type>),
    List(Box<Type>),
    Tuple(Vec<Type>),
    Function {
        params: Vec<Type>,
        result: Box<Type>,
    },
    /// A domain of so many space dimensions, where known, and the dimension of its coordinates.
    Domain(Option<usize>, Dimension),
    /// What a system call gives.
    Problem(DefId),
    /// What `solve` gives; members are the unknowns and lets of the system.
    Solution(DefId),
    /// What `sample` gives; members are the columns.
    Sample(DefId),
    /// What a `minimize` gives.
    Artefact(DefId),
    Closure(DefId),
    Scheme,
    Stage,
    Scale,
    Plot,
    Unit,
    Error,
}

/// Over which domain: the defining expression's identity, or unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FieldOf {
    Def(DefId),
    Expr(ExprId),
    Unknown,
}

/// Tensor rank; sizes where they are known before the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rank {
    Scalar,
    Vec(Option<usize>),
    Mat(Option<usize>, Option<usize>),
    Sym(Option<usize>),
    /// Fourth-order with minor and major symmetry.
    Stiff(Option<usize>),
}
