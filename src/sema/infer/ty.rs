//! Types while they are being found.

use super::dims::Dim;
use crate::sema::hir::{DefId, LocalId};
use crate::sema::types::Rank;
use indexmap::IndexMap;
use std::collections::HashMap;
use std::rc::Rc;

/// A domain, by its place in the table of domains.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DomainId(pub u32);

/// What is known of a domain.
#[derive(Clone, Debug)]
pub struct DomainInfo {
    pub name: String,
    /// Number of space dimensions.
    pub space: Option<usize>,
    /// Dimension of its coordinates.
    pub length: Dim,
    pub periodic: Option<bool>,
    pub scale: Option<DefId>,
    /// The `let` that made it.
    pub def: Option<DefId>,
    /// A parameter of a system or function: stands for the domain given to it.
    pub open: bool,
}

#[derive(Clone, Debug)]
pub struct Num {
    pub dim: Dim,
    /// `None`: any.
    pub rank: Option<Rank>,
    pub field: Option<Over>,
    pub integer: bool,
    /// The literal 0: fits every dimension and rank.
    pub zero: bool,
}

/// Over which domain a field is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    Domain(DomainId),
    /// A field of bare coordinates outside of any system.
    Open,
}

impl Num {
    pub fn scalar(dim: Dim) -> Num {
        Num { dim, rank: Some(Rank::Scalar), field: None, integer: false, zero: false }
    }

    pub fn integer() -> Num {
        Num { integer: true, ..Num::scalar(Dim::none()) }
    }

    pub fn of_rank(dim: Dim, rank: Rank) -> Num {
        Num { rank: Some(rank), ..Num::scalar(dim) }
    }

    /// The same rank and field in another dimension.
    pub fn with(&self, dim: Dim) -> Num {
        Num { dim, integer: false, zero: false, ..self.clone() }
    }

    pub fn ranked(&self, rank: Option<Rank>) -> Num {
        Num { rank, integer: false, zero: false, ..self.clone() }
    }
}

pub type Members = Rc<IndexMap<String, Ty>>;

#[derive(Clone, Debug, Default)]
pub enum Ty {
    /// Not known: fits everything.
    #[default]
    Any,
    Num(Num),
    Bool(Option<Over>),
    Str,
    Range(Box<Ty>),
    List(Box<Ty>, Option<usize>),
    Tuple(Vec<Ty>),
    Domain(DomainId),
    /// A part of a boundary.
    Place(DomainId),
    Lambda(Rc<Function>),
    /// A function, net, system, dataset, minimize or study by name.
    Def(DefId),
    /// A net with its sizes given.
    Net(DefId),
    Closure(DefId),
    Problem(DefId, Rc<Problem>),
    Solution(DefId, Members),
    Residual(DefId, Members),
    Dataset(DefId, Members),
    Sample(DefId, Members),
    Row(Members),
    Artefact(DefId, Members),
    Scheme(Rc<SchemeInfo>),
    Stage,
    Scale(DefId),
    Plot,
    /// A name without further meaning: `lhs`, `none`, `cubic`.
    Symbol(DefId),
}

/// A system with its arguments.
#[derive(Clone, Debug)]
pub struct Problem {
    pub members: Members,
    /// Names of its equations.
    pub equations: Vec<String>,
    pub domain: Option<DomainId>,
    /// Dimension of its time.
    pub time: Dim,
}

/// Sizes that a scheme was given.
#[derive(Clone, Debug, Default)]
pub struct SchemeInfo {
    pub h: Option<Dim>,
    pub step: Option<Dim>,
}

/// A lambda with what it captured.
#[derive(Clone, Debug)]
pub struct Function {
    /// Index into the table of lambdas met so far.
    pub lambda: usize,
    pub env: Env,
}

/// Types of the binders in force.
#[derive(Clone, Debug, Default)]
pub struct Env(Rc<HashMap<LocalId, Ty>>);

impl Env {
    pub fn get(&self, local: LocalId) -> Option<&Ty> {
        self.0.get(&local)
    }

    pub fn set(&mut self, local: LocalId, ty: Ty) {
        Rc::make_mut(&mut self.0).insert(local, ty);
    }
}
