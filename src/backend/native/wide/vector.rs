//! Numbers of the machine that is being programmed: arithmetic on them writes instructions on a [`Tape`].

use super::tape::{Id, Ins, One, Predicate, Tape, Two};
use crate::ir::math::Real;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

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
