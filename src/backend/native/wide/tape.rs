//! Vector instructions before registers are assigned: a list without repetition, written by evaluating mathematics on [`Vector`]s.

use crate::ir::math::Real;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

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

/// A vector of one precision.
#[derive(Clone, Copy)]
pub struct Vector<'t> {
    pub tape: &'t Tape,
    pub id: Id,
    pub double: bool,
}

#[derive(Clone, Copy)]
pub struct Mask<'t> {
    pub tape: &'t Tape,
    pub id: Id,
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

impl<'t> Vector<'t> {
    pub fn one(self, f: One) -> Vector<'t> {
        self.tape.vector(Ins::One(f, self.id), self.double)
    }

    pub fn two(self, f: Two, other: Vector<'t>) -> Vector<'t> {
        self.tape.vector(Ins::Two(f, self.id, other.id), self.double)
    }

    pub fn compare(self, p: Predicate, other: Vector<'t>) -> Mask<'t> {
        Mask { tape: self.tape, id: self.tape.add(Ins::Compare(p, self.id, other.id), self.double) }
    }

    fn fuse(self, b: Vector<'t>, c: Vector<'t>, minus: bool) -> Vector<'t> {
        self.tape.vector(Ins::Fused { a: self.id, b: b.id, c: c.id, minus }, self.double)
    }

    fn bits(self, single: u32, double: u64) -> Vector<'t> {
        self.tape.vector(Ins::Constant(if self.double { double } else { single as u64 }), self.double)
    }

    fn sign_bit(self) -> Vector<'t> {
        self.bits(1 << 31, 1 << 63)
    }

    /// The lower or upper half of the lanes in double precision.
    pub fn widened(self, upper: bool) -> Vector<'t> {
        self.tape.vector(Ins::Widen(self.id, upper), true)
    }

    /// Two halves in single precision.
    pub fn joined(self, upper: Vector<'t>) -> Vector<'t> {
        self.tape.vector(Ins::Join(self.id, upper.id), false)
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident),+) => {
        $(
            impl<'t> $trait for Vector<'t> {
                type Output = Vector<'t>;
                fn $method(self, other: Vector<'t>) -> Vector<'t> {
                    self.two(Two::$trait, other)
                }
            }
        )+
    };
}
arithmetic!(Add add, Sub sub, Mul mul, Div div);

impl<'t> Neg for Vector<'t> {
    type Output = Vector<'t>;
    fn neg(self) -> Vector<'t> {
        self.two(Two::Xor, self.sign_bit())
    }
}

impl<'t> BitAnd for Mask<'t> {
    type Output = Mask<'t>;
    fn bitand(self, other: Mask<'t>) -> Mask<'t> {
        Mask { id: self.tape.add(Ins::MaskAnd(self.id, other.id), true), ..self }
    }
}

impl<'t> BitOr for Mask<'t> {
    type Output = Mask<'t>;
    fn bitor(self, other: Mask<'t>) -> Mask<'t> {
        Mask { id: self.tape.add(Ins::MaskOr(self.id, other.id), true), ..self }
    }
}

impl<'t> Not for Mask<'t> {
    type Output = Mask<'t>;
    fn not(self) -> Mask<'t> {
        Mask { id: self.tape.add(Ins::MaskNot(self.id), true), ..self }
    }
}

impl<'t> Real for Vector<'t> {
    type Mask = Mask<'t>;

    fn at(self, c: f64) -> Self {
        self.tape.number(c, self.double)
    }
    fn fused(self, b: Self, c: Self) -> Self {
        self.fuse(b, c, false)
    }
    fn fused_from(self, b: Self, c: Self) -> Self {
        self.fuse(b, c, true)
    }
    fn magnitude(self) -> Self {
        self.sign_bit().two(Two::AndNot, self)
    }
    fn whole(self) -> Self {
        self.one(One::Floor)
    }
    fn signed_as(self, other: Self) -> Self {
        let sign = other.two(Two::And, self.sign_bit());
        self.magnitude().two(Two::Or, sign)
    }
    fn below(self, other: Self) -> Mask<'t> {
        self.compare(Predicate::Less, other)
    }
    fn equals(self, other: Self) -> Mask<'t> {
        self.compare(Predicate::Equal, other)
    }
    fn is_nan(self) -> Mask<'t> {
        self.compare(Predicate::Unordered, self)
    }
    fn is_negative(self) -> Mask<'t> {
        Mask { tape: self.tape, id: self.tape.add(Ins::Test(self.id, self.sign_bit().id), self.double) }
    }
    fn bit(self, k: u32) -> Mask<'t> {
        let one = self.tape.add(Ins::Constant(1 << k), self.double);
        Mask { tape: self.tape, id: self.tape.add(Ins::Test(self.id, one), self.double) }
    }
    fn choose(mask: Mask<'t>, yes: Self, no: Self) -> Self {
        yes.tape.vector(Ins::Choose(mask.id, yes.id, no.id), yes.double)
    }
    fn least(self, other: Self) -> Self {
        self.two(Two::Min, other)
    }
    fn greatest(self, other: Self) -> Self {
        self.two(Two::Max, other)
    }
    fn scaled(self, k: Self) -> Self {
        self.two(Two::Scale, k)
    }
    fn significand(self) -> (Self, Self) {
        let (m, k) = (self.one(One::Mantissa), self.one(One::Exponent));
        // The least number of the lower half is √½ rounded, and so of the upper half its double.
        let root = if self.double { std::f64::consts::FRAC_1_SQRT_2 } else { std::f32::consts::FRAC_1_SQRT_2 as f64 };
        let upper = self.at(2.0 * root).compare(Predicate::LessOrEqual, m);
        (Self::choose(upper, self.at(0.5) * m, m), Self::choose(upper, k + self.at(1.0), k))
    }
    fn magic(self) -> Self {
        self.at(if self.double { 6755399441055744.0 } else { 12582912.0 })
    }
}
