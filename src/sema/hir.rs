//! The program with its names resolved and its sugar gone; every expression has a type once `infer` has run.
//!
//! What the parser's tree has and this one lacks: parentheses, pipes (`x |> f(a)` is a call), superscripts (`x²` is `Pow`),
//! units on literals (numbers are in SI here), `∫(f, Ω)` (a call of `integral`), item order (a `DefId` may point forward).
//! Functions of the standard library whose body is the name `intrinsic` are implemented in Rust, under their MSL name.

use super::types::Type;
use crate::base::{Dimension, FileId, Fingerprint, Sources, Span, Unit};
use indexmap::IndexMap;
use std::collections::HashSet;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
        pub struct $name(pub u32);
        impl $name {
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}
id!(
    /// A top-level definition.
    DefId,
    /// A binder inside a definition; unique in the program.
    LocalId,
    /// An expression; key of [`Program::types`].
    ExprId,
    /// A file's name space.
    ModuleId
);

#[derive(Clone, Debug, Default)]
pub struct Program {
    pub sources: Sources,
    pub modules: Vec<Module>,
    /// By [`DefId`].
    pub defs: Vec<Def>,
    /// By [`LocalId`].
    pub locals: Vec<Local>,
    /// By [`ExprId`]; filled by `infer`.
    pub types: Vec<Type>,
    /// The user's file.
    pub root: ModuleId,
    /// Names that something unreadable would have defined: their uses are no errors of their own.
    pub lost: HashSet<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Module {
    /// `std.nn`, or empty for the root.
    pub name: String,
    pub file: FileId,
    /// What the module defines, in source order.
    pub names: IndexMap<String, DefId>,
}

#[derive(Clone, Debug)]
pub struct Local {
    pub name: String,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Def {
    pub name: String,
    pub span: Span,
    pub doc: Vec<String>,
    pub module: ModuleId,
    pub kind: DefKind,
}

#[derive(Clone, Debug)]
pub enum DefKind {
    /// Overridable from the command line; `bounds` is a range.
    Param {
        ty: Option<TypeExpr>,
        value: Expr,
        bounds: Option<Expr>,
    },
    Let {
        ty: Option<TypeExpr>,
        value: Expr,
    },
    Fn(Lambda),
    /// `hyper` are given where the net is used (`mlp(width=32)`), then the lambda's own parameters are its ports.
    Net {
        hyper: Vec<Param>,
        lambda: Lambda,
    },
    Closure {
        params: Vec<Param>,
        result: TypeExpr,
        ensures: Vec<Expr>,
        result_local: LocalId,
    },
    System(System),
    Dataset(Dataset),
    Minimize {
        params: Vec<Param>,
        stmts: Vec<MinimizeStmt>,
    },
    Study {
        params: Vec<Param>,
        stmts: Vec<StudyStmt>,
    },
    Scale {
        ranges: Vec<(String, Expr)>,
    },
    Unit(Unit),
    Dim(Dimension),
    Error,
}

#[derive(Clone, Debug)]
pub struct System {
    pub params: Vec<Param>,
    pub stmts: Vec<SystemStmt>,
    /// A statement could not be read: what seems to lack may stand there.
    pub incomplete: bool,
}

#[derive(Clone, Debug)]
pub struct SystemStmt {
    pub span: Span,
    pub kind: SystemStmtKind,
}

#[derive(Clone, Debug)]
pub enum SystemStmtKind {
    Unknown {
        local: LocalId,
        name: String,
        ty: TypeExpr,
        nominal: Option<Expr>,
    },
    /// `include Elastic(Y, C, e)`: the statements of another system under its parameters. Names of the included
    /// system's unknowns and lets are visible as locals of this one; `binds` maps this system's local to that one's.
    Include {
        system: DefId,
        args: Vec<Arg>,
        binds: Vec<(LocalId, LocalId)>,
    },
    Let {
        local: LocalId,
        ty: Option<TypeExpr>,
        value: Expr,
    },
    Eq {
        name: String,
        lhs: Expr,
        rhs: Expr,
    },
    Weak {
        name: String,
        lhs: Expr,
        rhs: Expr,
    },
    On {
        places: Vec<Place>,
        lhs: Expr,
        rhs: Expr,
    },
    Init {
        lhs: Expr,
        rhs: Expr,
    },
    /// `ensure positive: u >= 0`: what must hold while a run in time goes.
    Ensure {
        name: String,
        claim: Expr,
    },
}

/// `Ω.left`: a part of the boundary of a domain.
#[derive(Clone, Debug)]
pub struct Place {
    pub domain: Expr,
    pub part: String,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Dataset {
    pub params: Vec<Param>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub local: LocalId,
    pub name: String,
    pub draw: bool,
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct MinimizeStmt {
    pub span: Span,
    pub kind: MinimizeStmtKind,
}

#[derive(Clone, Debug)]
pub enum MinimizeStmtKind {
    Over { local: LocalId, name: String, ty: Option<TypeExpr>, value: Expr, bounds: Option<Expr> },
    Let { local: LocalId, name: String, ty: Option<TypeExpr>, value: Expr },
    Loss { local: LocalId, name: String, params: Vec<Param>, value: Expr },
    Subject { name: String, value: Expr },
    Stage(Expr),
}

#[derive(Clone, Debug)]
pub struct StudyStmt {
    pub span: Span,
    pub kind: StudyStmtKind,
}

#[derive(Clone, Debug)]
pub enum StudyStmtKind {
    Let { local: LocalId, ty: Option<TypeExpr>, value: Expr },
    Dataset { local: LocalId, dataset: Dataset },
    Check(Expr),
    For { var: LocalId, source: Expr, body: Vec<StudyStmt> },
    Call(Expr),
}

#[derive(Clone, Debug)]
pub struct Param {
    pub local: LocalId,
    pub name: String,
    pub span: Span,
    pub state: bool,
    pub ty: Option<TypeExpr>,
    pub default: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct Lambda {
    pub params: Vec<Param>,
    pub result: Option<TypeExpr>,
    pub body: Block,
    /// Names that occur in parameter types without being defined (`n` in `x: Vec(n)`): bound by the argument's shape.
    pub implicit: Vec<LocalId>,
}

#[derive(Clone, Debug)]
pub struct Block {
    pub stmts: Vec<BlockStmt>,
    pub result: Box<Expr>,
}

#[derive(Clone, Debug)]
pub enum BlockStmt {
    Let {
        local: LocalId,
        ty: Option<TypeExpr>,
        value: Expr,
    },
    Weight {
        local: LocalId,
        name: String,
        ty: TypeExpr,
        init: Expr,
    },
    /// `next p = …`: the value that state `p` (a parameter) takes after this call.
    Next {
        state: LocalId,
        value: Expr,
    },
}

/// A type as declared; shapes may hold expressions (`Mat(m, n)`).
#[derive(Clone, Debug)]
pub struct TypeExpr {
    pub kind: TypeExprKind,
    /// The declared unit; `None` where none is written (then dimensionless for numbers, inferred for `let`).
    pub unit: Option<Unit>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TypeExprKind {
    Real,
    Int,
    Bool,
    Str,
    Vec(Option<Box<Expr>>),
    Mat(Box<Expr>, Box<Expr>),
    Sym(Option<Box<Expr>>),
    Stiff(Option<Box<Expr>>),
    /// `Field(Ω, Vec)`; the element type is `Real` where none is written.
    Field {
        domain: Box<Expr>,
        element: Box<TypeExpr>,
    },
    /// `Domain(2)`
    Domain(Option<Box<Expr>>),
    /// The name of a closure used as a type.
    Closure(DefId),
    /// `Burgers.u`: the type of an unknown of a system.
    UnknownOf {
        system: DefId,
        unknown: String,
    },
    /// Written, but of no use to the compiler yet; a message has been given.
    Error,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub id: ExprId,
    pub span: Span,
    pub kind: ExprKind,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    /// SI value. `integer` where it was written without a point, an exponent or a unit.
    Number {
        value: f64,
        dimension: Dimension,
        integer: bool,
    },
    Bool(bool),
    Str(String),
    Local(LocalId),
    Def(DefId),
    /// `x y z` (0, 1, 2): coordinate of the point where a field is evaluated; free where no name hides it.
    Coordinate(u8),
    /// `t`
    Time,
    /// `n` in a boundary condition: the outward unit normal.
    Normal,
    /// The body of a function implemented in Rust.
    Intrinsic,
    Op {
        op: Op,
        args: Vec<Expr>,
    },
    Call {
        callee: Box<Expr>,
        args: Vec<Arg>,
    },
    Member {
        base: Box<Expr>,
        name: String,
        name_span: Span,
    },
    Index {
        base: Box<Expr>,
        indices: Vec<Expr>,
    },
    If {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    Lambda(Box<Lambda>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Comprehension {
        body: Box<Expr>,
        var: LocalId,
        source: Box<Expr>,
    },
    Error,
}

#[derive(Clone, Debug)]
pub struct Arg {
    pub name: Option<String>,
    pub value: Expr,
}

/// Operators. `Affine` is a unit on a list, range or parenthesis: `args[0] * factor + offset` in SI.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    Neg,
    Not,
    Sqrt,
    Grad,
    Div,
    Curl,
    Lap,
    /// `∂xx`: axes 0, 1, 2; 3 is time.
    Partial(Vec<u8>),
    Transpose,
    Or,
    And,
    Le,
    Ge,
    Eq,
    Ne,
    Lt,
    Gt,
    Range,
    Add,
    Sub,
    DoubleDot,
    Mul,
    Divide,
    Dot,
    Cross,
    Outer,
    Pow,
    Affine(Unit),
}

impl Program {
    pub fn def(&self, id: DefId) -> &Def {
        &self.defs[id.index()]
    }

    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id.index()]
    }

    /// A definition of the user's file by name.
    pub fn find(&self, name: &str) -> Option<DefId> {
        self.modules[self.root.index()].names.get(name).copied()
    }

    /// A definition of a standard module by name.
    pub fn find_std(&self, name: &str) -> Option<DefId> {
        self.modules.iter().filter(|m| m.name.starts_with("std")).find_map(|m| m.names.get(name).copied())
    }

    /// The user's definitions in source order.
    pub fn root_defs(&self) -> impl Iterator<Item = (DefId, &Def)> {
        self.modules[self.root.index()].names.values().map(|&id| (id, self.def(id)))
    }
}

/// What identifies a definition's meaning; see `sema::fingerprint`.
pub type Meaning = Fingerprint;
