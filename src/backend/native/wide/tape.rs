//! Vector instructions before registers are assigned: a list without repetition, written by evaluating mathematics on
//! [`Vector`]s.

use super::vector::Vector;
use std::cell::RefCell;
use std::collections::HashMap;

/// An instruction's result, by position.
pub type Id = u32;

/// An address along the row: of a group of pointers, at a displacement in bytes, `step` bytes from lane to lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Along {
    pub group: usize,
    pub disp: i32,
    pub step: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Two {
    Add,
    Sub,
    Mul,
    Div,
    /// The first if it is less, else the second.
    Min,
    Max,
    And,
    /// `!a & b`
    AndNot,
    Or,
    Xor,
    /// `a·2^b`
    Scale,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum One {
    Sqrt,
    Floor,
    /// Of x = m·2^k with m in [1, 2): k and m.
    Exponent,
    Mantissa,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Predicate {
    Equal = 0,
    Less = 1,
    LessOrEqual = 2,
    Unordered = 3,
    /// Also where either is NaN.
    NotEqual = 4,
    Greater = 14,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ins {
    /// The bits of an element, in every lane.
    Constant(u64),
    /// Neighbouring elements.
    Row(Along),
    /// One element in every lane, the same all along the row.
    Splat(Along),
    /// Elements at a distance.
    Strided(Along),
    /// Elements of u32, as wide as the lanes.
    Indices(Along),
    /// The element at `index·row` bytes from the address.
    Gathered {
        index: Id,
        at: Along,
        row: i32,
    },
    /// `pointer + disp + step·lane` as a number.
    Number(Along),
    One(One, Id),
    Two(Two, Id, Id),
    /// `a·b + c`, or `c - a·b`.
    Fused {
        a: Id,
        b: Id,
        c: Id,
        minus: bool,
    },
    Compare(Predicate, Id, Id),
    /// Lanes with a common bit.
    Test(Id, Id),
    MaskAnd(Id, Id),
    MaskOr(Id, Id),
    MaskNot(Id),
    /// By a mask.
    Choose(Id, Id, Id),
    /// The lower or upper half of the lanes in double precision.
    Widen(Id, bool),
    /// Back to single precision.
    Join(Id, Id),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    pub ins: Ins,
    pub double: bool,
}

#[derive(Default)]
pub struct Tape {
    nodes: RefCell<Vec<Node>>,
    known: RefCell<HashMap<Node, Id>>,
}

impl Ins {
    pub fn operands(&self) -> impl Iterator<Item = Id> + use<> {
        let (n, ids) = match *self {
            Ins::Constant(_) | Ins::Row(_) | Ins::Splat(_) | Ins::Strided(_) | Ins::Indices(_) | Ins::Number(_) => {
                (0, [0; 3])
            }
            Ins::One(_, a) | Ins::MaskNot(a) | Ins::Widen(a, _) | Ins::Gathered { index: a, .. } => (1, [a, 0, 0]),
            Ins::Two(_, a, b)
            | Ins::Compare(_, a, b)
            | Ins::Test(a, b)
            | Ins::MaskAnd(a, b)
            | Ins::MaskOr(a, b)
            | Ins::Join(a, b) => (2, [a, b, 0]),
            Ins::Fused { a, b, c, .. } | Ins::Choose(a, b, c) => (3, [a, b, c]),
        };
        ids.into_iter().take(n)
    }

    pub fn is_mask(&self) -> bool {
        matches!(self, Ins::Compare(..) | Ins::Test(..) | Ins::MaskAnd(..) | Ins::MaskOr(..) | Ins::MaskNot(_))
    }

    /// Read from memory where it is needed, rather than kept.
    pub fn is_source(&self) -> bool {
        matches!(self, Ins::Constant(_) | Ins::Row(_) | Ins::Splat(_))
    }
}

impl Tape {
    pub fn add(&self, ins: Ins, double: bool) -> Id {
        let node = Node { ins, double };
        *self.known.borrow_mut().entry(node).or_insert_with(|| {
            let mut nodes = self.nodes.borrow_mut();
            nodes.push(node);
            nodes.len() as Id - 1
        })
    }

    pub fn vector(&self, ins: Ins, double: bool) -> Vector<'_> {
        Vector { tape: self, id: self.add(ins, double), double }
    }

    pub fn number(&self, x: f64, double: bool) -> Vector<'_> {
        let bits = if double { x.to_bits() } else { (x as f32).to_bits() as u64 };
        self.vector(Ins::Constant(bits), double)
    }

    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes.into_inner()
    }
}
