//! The primitives. Closed on purpose: every `match` names them all, and a new one costs a rule in
//! `shape eval jvp transpose` and in each backend.

use super::{DType, Func, Tensor};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unary {
    Neg,
    Abs,
    /// -1, 0 or 1.
    Sign,
    Floor,
    Sqrt,
    Exp,
    Log,
    Sin,
    Cos,
    Tanh,
    Atan,
    Erf,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Atan2,
}

/// Comparisons give 1 or 0 in the operands' type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compare {
    Lt,
    Le,
    Eq,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reduce {
    Sum,
    Max,
    Min,
}

/// Tensor contraction. The result's axes: batch, then the left's free, then the right's free, each in order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Dot {
    pub lhs_contract: Vec<usize>,
    pub rhs_contract: Vec<usize>,
    pub lhs_batch: Vec<usize>,
    pub rhs_batch: Vec<usize>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// The k-th input of the function.
    Input(usize),
    Const(Tensor),
    /// `0, 1, 2, …` along `axis` of `shape`, constant along the others.
    Iota {
        dtype: DType,
        shape: Vec<usize>,
        axis: usize,
    },

    Unary(Unary),
    Binary(Binary),
    Compare(Compare),
    /// `(mask, a, b)`: a where mask ≠ 0, else b. Both are evaluated; for laziness see `Cond`.
    Select,
    Cast(DType),

    Reshape(Vec<usize>),
    /// Output axis `i` is input axis `perm[i]`.
    Transpose(Vec<usize>),
    /// To `shape`; input axis `i` becomes output axis `axes[i]` (increasing, same extent), the others repeat.
    Broadcast {
        shape: Vec<usize>,
        axes: Vec<usize>,
    },
    Slice {
        start: Vec<usize>,
        end: Vec<usize>,
        stride: Vec<usize>,
    },
    /// Zeros before, after, and `interior` between neighbours, along each axis.
    Pad {
        low: Vec<usize>,
        high: Vec<usize>,
        interior: Vec<usize>,
    },
    Concat(usize),
    Reverse(Vec<usize>),
    /// Periodic shift: `out[i] = in[(i - shift) mod n]` along `axis`.
    Roll {
        axis: usize,
        shift: isize,
    },

    /// The discrete Fourier transform of real numbers over the last `rank` axes, not normalised:
    /// `[…, n₁, …, n_r] → […, 2, n₁, …, ⌊n_r/2⌋ + 1]`, real parts before imaginary parts, the half of the last axis that
    /// determines the rest. `X_k = Σ_j x_j exp(-2πi j·k/n)`.
    Rfft {
        rank: usize,
    },
    /// Real numbers from the half spectrum that [`Op::Rfft`] gives, not normalised (`irfft(rfft(x)) = Πn · x`); `n` is the extent of
    /// the last axis. The imaginary parts of the modes that are their own conjugates do not enter.
    Irfft {
        rank: usize,
        n: usize,
    },

    /// Over the listed axes (increasing), which vanish. Sums are taken in fixed chunks, so the bits do not depend on threads.
    Reduce {
        kind: Reduce,
        axes: Vec<usize>,
    },
    Dot(Dot),

    /// `(source[n, …], index[i…]) → [i…, …]`. Indices are trusted where constant, checked where given.
    Gather,
    /// `(index[i…], updates[i…, …]) → [size, …]`: sums of the updates by index, in index order. An index ≥ `size` is dropped.
    ScatterAdd {
        size: usize,
    },

    /// `body` for each of `n` items. `mapped[k]` tells whether argument k is split along its first axis or shared.
    /// The results are stacked along a new first axis.
    Map {
        body: Arc<Func>,
        n: usize,
        mapped: Vec<bool>,
    },
    /// Arguments `carry…, xs…, shared…`; `body(carry…, x…, shared…) → (carry…, y…)`. Results: final carry, stacked ys.
    /// `reverse` walks the xs (and fills the ys) from the last.
    Scan {
        body: Arc<Func>,
        length: usize,
        carry: usize,
        xs: usize,
        reverse: bool,
    },
    /// Arguments `(guess, p…)`; finds u with `residual(u, p…) = 0`. One result of the guess's type.
    /// Differentiable in p by the implicit-function theorem; the guess has no derivative.
    Solve {
        residual: Arc<Func>,
        spec: Arc<SolveSpec>,
    },
    /// Arguments `(rhs, u, p…)`: x with `(∂residual/∂u)(u, p…) · x = rhs`, or its transpose. Differentiating `Solve` gives these;
    /// a run keeps the factors of the Newton matrix, so that they cost a substitution.
    LinearSolve {
        residual: Arc<Func>,
        spec: Arc<SolveSpec>,
        transposed: bool,
    },
    /// Arguments `(mask, x…)`: runs one of two functions of x. `mask` is a scalar.
    Cond {
        then: Arc<Func>,
        otherwise: Arc<Func>,
    },
    /// The continuous, piecewise linear function through the results of `body(x…)` at the knots of a lattice (`online(…, reuse=…)`;
    /// [`memo`](super::memo)), so that near points share what was computed. Results: those of the body, then for each argument in
    /// `slopes` the derivative of each of them, `[entries of the argument, …]`.
    Memo {
        body: Arc<Func>,
        spec: Arc<MemoSpec>,
    },

    /// The k-th result of a structured primitive.
    Get(usize),
}

impl Op {
    /// A primitive with a list of results, each read by [`Op::Get`].
    pub fn has_many_results(&self) -> bool {
        matches!(self, Op::Map { .. } | Op::Scan { .. } | Op::Cond { .. } | Op::Memo { .. })
    }
}

/// How to solve, and what is known of the residual.
#[derive(Clone, PartialEq, Debug)]
pub struct SolveSpec {
    /// For messages: `Cell.corrector`.
    pub name: String,
    /// For messages: the scale that the domain belongs to.
    pub scale: Option<String>,
    /// The residual is affine in the unknown.
    pub linear: bool,
    /// The Jacobian is symmetric, and positive (semi-)definite.
    pub symmetric: bool,
    /// The constant vector (of each component) is in the kernel; any representative of the solution will do.
    pub constant_kernel: bool,
    pub solver: LinearSolver,
    /// Relative residual at which an iterative linear solver stops.
    pub linear_tolerance: f64,
    /// Newton stops when the residual has fallen by this factor (or to rounding).
    pub newton_tolerance: f64,
    pub newton_iterations: usize,
    /// Where no solution is found, the result is the guess with NaN in its last entry, instead of a fault; and a derivative there that
    /// does not exist is zero. For who tries something else then.
    pub may_fail: bool,
    /// The unknowns' arrangement, where they lie on a structured grid.
    pub grid: Option<GridHint>,
    /// The sparse Jacobian, from who made the residual. Without it the matrix is dense, one `jvp` a column.
    pub jacobian: Option<Arc<Jacobian>>,
}

/// A sparse matrix as a sum of small dense blocks: `J[rows[e, a], cols[e, b]] += values[e, a, b]`, for each block array.
/// An index ≥ the number of unknowns is dropped (a boundary value).
#[derive(Clone, PartialEq, Debug)]
pub struct Jacobian {
    /// `(u, p…) → values[E, A, B]` of each block array; the arguments of the residual.
    pub values: Func,
    pub blocks: Vec<Block>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// Index tensor `[E, A]`.
    pub rows: Tensor,
    /// Index tensor `[E, B]`.
    pub cols: Tensor,
}

/// Unknowns at the nodes (or cells) of a box grid, row-major, axis 0 slowest; `components` adjacent values a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GridHint {
    /// Points along each axis.
    pub points: Vec<usize>,
    pub periodic: Vec<bool>,
    pub components: usize,
    /// For each point of the grid its unknown, or `u32::MAX` where a boundary value stands. Empty: unknown i is point i.
    pub unknowns: Arc<[u32]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinearSolver {
    /// Chosen by size and structure.
    Auto,
    Direct,
    /// Conjugate gradients with geometric multigrid.
    Multigrid,
}

/// The lattice of a `Memo`.
#[derive(Clone, PartialEq, Debug)]
pub struct MemoSpec {
    pub name: String,
    /// Distance of knots, in units of `scale`.
    pub reuse: f64,
    /// Of the numbers of each argument: positive: the unit; zero: their own size (knots in even parts between powers of two);
    /// infinite: no coordinate of the lattice, but part of the function.
    pub scale: Vec<f64>,
    /// Arguments with slopes among the results, increasing.
    pub slopes: Vec<usize>,
}

impl Default for SolveSpec {
    fn default() -> SolveSpec {
        SolveSpec {
            name: "solve".into(),
            scale: None,
            linear: false,
            symmetric: false,
            constant_kernel: false,
            solver: LinearSolver::Auto,
            linear_tolerance: 1e-10,
            newton_tolerance: 1e-10,
            newton_iterations: 30,
            may_fail: false,
            grid: None,
            jacobian: None,
        }
    }
}

impl Eq for SolveSpec {}
impl std::hash::Hash for SolveSpec {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        (self.linear, self.symmetric, self.constant_kernel, self.solver).hash(state);
    }
}

impl Eq for MemoSpec {}
impl std::hash::Hash for MemoSpec {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.reuse.to_bits().hash(state);
        self.slopes.hash(state);
    }
}
