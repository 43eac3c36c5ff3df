//! Syntax with spans and no meaning. One type per form of `grammar/msl.pest`; what the parser could not read is an `Error`
//! node, so that every later phase sees the rest of the file.

use crate::base::Span;

#[derive(Clone, PartialEq, Debug)]
pub struct File {
    pub items: Vec<Item>,
    /// Names that unreadable items and statements would have given: using one is no second error.
    pub lost: Vec<Ident>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Ident {
    /// NFC-normalised, so that two spellings of `é` are one name.
    pub name: String,
    pub span: Span,
}

/// `std.topopt` or `Ω.left`
#[derive(Clone, PartialEq, Debug)]
pub struct Path {
    pub segments: Vec<Ident>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// The `///` lines before it, without the slashes.
    pub doc: Vec<String>,
    pub kind: ItemKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ItemKind {
    /// `use std.topopt.{mma, helmholtz}`; `names` empty means the whole module by its last segment.
    Use {
        path: Path,
        names: Vec<Ident>,
    },
    Param {
        name: Ident,
        ty: Option<Type>,
        value: Expr,
        bounds: Option<Expr>,
    },
    Unit {
        name: Ident,
        value: Option<Expr>,
    },
    Dim {
        name: Ident,
    },
    Let(Let),
    Fn {
        name: Ident,
        params: Vec<Param>,
        result: Option<Type>,
        body: Block,
    },
    Net {
        name: Ident,
        hyper: Vec<Param>,
        params: Vec<Param>,
        result: Type,
        body: Block,
    },
    Closure {
        name: Ident,
        params: Vec<Param>,
        result: Type,
        ensures: Vec<Expr>,
    },
    System {
        name: Ident,
        params: Vec<Param>,
        body: Vec<SystemStmt>,
    },
    Dataset(Dataset),
    Minimize {
        name: Ident,
        params: Vec<Param>,
        body: Vec<MinimizeStmt>,
    },
    Study {
        name: Ident,
        params: Vec<Param>,
        body: Vec<StudyStmt>,
    },
    /// `scale micro { length: 0.1 [µm]..10 [µm] }`
    Scale {
        name: Ident,
        ranges: Vec<(Ident, Expr)>,
    },
    /// An item that could not be parsed; its message has been reported.
    Error,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Dataset {
    pub name: Ident,
    pub params: Vec<Param>,
    pub rows: Vec<Row>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Let {
    pub name: Ident,
    pub ty: Option<Type>,
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    /// `state p: [1] = 0`
    pub state: bool,
    pub name: Ident,
    pub ty: Option<Type>,
    pub default: Option<Expr>,
}

/// `Field(Ω, Vec)[m]`, `Sym(2)[Pa]`, `[K]` (then `path` is none), `Burgers.u`
#[derive(Clone, PartialEq, Debug)]
pub struct Type {
    pub path: Option<Path>,
    pub args: Vec<Expr>,
    pub unit: Option<UnitExpr>,
    pub span: Span,
}

/// `W/m²/K` as written: factors with exponents, `divide` from the slash before them.
#[derive(Clone, PartialEq, Debug)]
pub struct UnitExpr {
    pub factors: Vec<UnitFactor>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct UnitFactor {
    pub divide: bool,
    pub base: UnitBase,
    /// Exponent `num/den`.
    pub exponent: (i64, i64),
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum UnitBase {
    /// `1`
    One,
    Name(String),
    /// `(kg*K)`
    Group(Box<UnitExpr>),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Equation {
    pub lhs: Expr,
    pub rhs: Expr,
}

#[derive(Clone, PartialEq, Debug)]
pub struct SystemStmt {
    pub doc: Vec<String>,
    pub kind: SystemStmtKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum SystemStmtKind {
    Unknown {
        name: Ident,
        ty: Type,
        nominal: Option<Expr>,
    },
    Include {
        path: Path,
        args: Vec<Arg>,
    },
    Let(Let),
    Eq {
        name: Ident,
        equation: Equation,
    },
    Weak {
        name: Ident,
        equation: Equation,
    },
    /// `on Ω.left, Ω.top: T = 0`
    On {
        places: Vec<Path>,
        equation: Equation,
    },
    Init(Equation),
    /// `ensure positive: u >= 0`
    Ensure {
        name: Ident,
        claim: Expr,
    },
    Error,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    pub doc: Vec<String>,
    pub name: Ident,
    /// `~` draws, `=` computes.
    pub draw: bool,
    pub value: Expr,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct MinimizeStmt {
    pub doc: Vec<String>,
    pub kind: MinimizeStmtKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum MinimizeStmtKind {
    Over { name: Ident, ty: Option<Type>, value: Expr, bounds: Option<Expr> },
    Let(Let),
    Loss { name: Ident, params: Vec<Param>, value: Expr },
    Subject { name: Ident, value: Expr },
    Stage(Expr),
    Error,
}

#[derive(Clone, PartialEq, Debug)]
pub struct StudyStmt {
    pub doc: Vec<String>,
    pub kind: StudyStmtKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum StudyStmtKind {
    Let(Let),
    Dataset(Dataset),
    Check(Expr),
    For {
        var: Ident,
        source: Expr,
        body: Vec<StudyStmt>,
    },
    /// `report(...)`, `plot(...)`, `vtk(...)`, `save(...)`
    Call(Expr),
    Error,
}

/// `{ weight W: … = …  let a = …  next p = …  result }`
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    pub stmts: Vec<BlockStmt>,
    pub result: Box<Expr>,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum BlockStmt {
    Let(Let),
    Weight { name: Ident, ty: Type, init: Expr },
    Next { name: Ident, value: Expr },
}

#[derive(Clone, PartialEq, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ExprKind {
    /// `text` is the literal as written (the formatter keeps it).
    Number {
        value: f64,
        text: String,
        unit: Option<UnitExpr>,
    },
    Str(String),
    Name(Ident),
    Call {
        callee: Box<Expr>,
        args: Vec<Arg>,
    },
    Index {
        base: Box<Expr>,
        indices: Vec<Expr>,
    },
    Member {
        base: Box<Expr>,
        name: Ident,
    },
    Unary {
        op: UnaryOp,
        arg: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        lhs: Box<Expr>,
        rhs: Box<Expr>,
    },
    /// `x²`, `x⁻¹`
    Superscript {
        base: Box<Expr>,
        exponent: i64,
        text: String,
    },
    /// `Aᵀ`
    Transpose(Box<Expr>),
    If {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    Lambda {
        params: Vec<Param>,
        result: Option<Type>,
        body: Block,
    },
    Integral {
        integrand: Box<Expr>,
        over: Option<Box<Expr>>,
    },
    List {
        items: Vec<Expr>,
        unit: Option<UnitExpr>,
    },
    /// `[body for var in source]`, and `f(body for var in source)` as an argument.
    Comprehension {
        body: Box<Expr>,
        var: Ident,
        source: Box<Expr>,
        bracketed: bool,
        unit: Option<UnitExpr>,
    },
    /// Parentheses: one item is grouping, several a tuple.
    Paren {
        items: Vec<Expr>,
        unit: Option<UnitExpr>,
    },
    Error,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Arg {
    pub name: Option<Ident>,
    pub value: Expr,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    Neg,
    Not,
    Sqrt,
    Grad,
    Div,
    Curl,
    Lap,
    /// `∂xx`: the letters after ∂.
    Partial(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOp {
    /// `x |> f(a)` is `f(a)(x)` for nets and `f(x)` for functions.
    Pipe,
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
    /// `::`
    DoubleDot,
    Mul,
    Div,
    Dot,
    Cross,
    Outer,
    Pow,
}
