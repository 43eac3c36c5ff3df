//! What an elementary function is written in: numbers of a machine, or of one that is being programmed.

use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

/// A number of one precision: `f64`, `f32`, or a vector in code that is being generated. Every operation rounds once, to nearest.
pub trait Real:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The outcome of a comparison.
    type Mask: Copy + BitAnd<Output = Self::Mask> + BitOr<Output = Self::Mask> + Not<Output = Self::Mask>;

    /// A constant, rounded to this precision.
    fn at(self, c: f64) -> Self;
    /// `self·b + c`, rounded once.
    fn fused(self, b: Self, c: Self) -> Self;
    /// `c - self·b`, rounded once.
    fn fused_from(self, b: Self, c: Self) -> Self;
    fn magnitude(self) -> Self;
    fn whole(self) -> Self;
    /// `self` with the sign of `other`.
    fn signed_as(self, other: Self) -> Self;
    /// False where either is NaN, as for the next two.
    fn below(self, other: Self) -> Self::Mask;
    fn equals(self, other: Self) -> Self::Mask;
    fn is_nan(self) -> Self::Mask;
    /// The sign is set, even of zero or NaN.
    fn is_negative(self) -> Self::Mask;
    /// The k-th bit of the representation.
    fn bit(self, k: u32) -> Self::Mask;
    fn choose(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// `least(a, b)` is a where a < b, else b: NaN where b is.
    fn least(self, other: Self) -> Self;
    /// a where a > b, else b.
    fn greatest(self, other: Self) -> Self;
    /// `self·2^k` for a whole number k, rounded once; for |self| in [½, 2] and |k| ≤ 1100 (150 in single precision).
    fn scaled(self, k: Self) -> Self;
    /// x = m·2^k with m in [√½, √2), for positive finite x; anything else otherwise.
    fn significand(self) -> (Self, Self);
    /// 1.5·2⁵² (or 1.5·2²³): adding and subtracting it rounds to the nearest integer, which then stands in the low bits.
    fn magic(self) -> Self;
}

macro_rules! real {
    ($t:ident, $bits:ident, $signed:ident, $magic:literal, $mantissa:literal, $bias:literal, $tiny:literal, $lift:literal) => {
        impl Real for $t {
            type Mask = bool;

            #[inline(always)]
            fn at(self, c: f64) -> $t {
                c as $t
            }
            #[inline(always)]
            fn fused(self, b: $t, c: $t) -> $t {
                self.mul_add(b, c)
            }
            #[inline(always)]
            fn fused_from(self, b: $t, c: $t) -> $t {
                (-self).mul_add(b, c)
            }
            #[inline(always)]
            fn magnitude(self) -> $t {
                self.abs()
            }
            #[inline(always)]
            fn whole(self) -> $t {
                self.floor()
            }
            #[inline(always)]
            fn signed_as(self, other: $t) -> $t {
                self.copysign(other)
            }
            #[inline(always)]
            fn below(self, other: $t) -> bool {
                self < other
            }
            #[inline(always)]
            fn equals(self, other: $t) -> bool {
                self == other
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
            #[inline(always)]
            fn is_negative(self) -> bool {
                self.is_sign_negative()
            }
            #[inline(always)]
            fn bit(self, k: u32) -> bool {
                self.to_bits() & (1 << k) != 0
            }
            #[inline(always)]
            fn choose(mask: bool, yes: $t, no: $t) -> $t {
                if mask { yes } else { no }
            }
            #[inline(always)]
            fn least(self, other: $t) -> $t {
                if self < other { self } else { other }
            }
            #[inline(always)]
            fn greatest(self, other: $t) -> $t {
                if self > other { self } else { other }
            }
            #[inline(always)]
            fn scaled(self, k: $t) -> $t {
                // In two steps, since 2^k itself may overflow where the product does not; only the second may round
                // (to a subnormal).
                let power = |k: $t| $t::from_bits((k + $magic).to_bits().wrapping_add($bias) << $mantissa);
                let half = (0.5 * k + $magic) - $magic;
                self * power(half) * power(k - half)
            }
            #[inline(always)]
            fn significand(self) -> ($t, $t) {
                let tiny = self < $t::MIN_POSITIVE;
                let bits = (if tiny { self * $lift } else { self }).to_bits();
                let over = bits.wrapping_sub(std::$t::consts::FRAC_1_SQRT_2.to_bits()) as $signed;
                let k = $t::from_bits(((over >> $mantissa) as $bits).wrapping_add($t::to_bits($magic))) - $magic;
                let m = $t::from_bits(bits.wrapping_sub(over as $bits & ($bits::MAX << $mantissa)));
                (m, k - if tiny { $tiny } else { 0.0 })
            }
            #[inline(always)]
            fn magic(self) -> $t {
                $magic
            }
        }
    };
}
real!(f64, u64, i64, 6755399441055744.0, 52, 1023, 54.0, 18014398509481984.0);
real!(f32, u32, i32, 12582912.0, 23, 127, 24.0, 16777216.0);

/// `c[0] + c[1] x + c[2] x² + …`
#[inline(always)]
pub fn horner<R: Real, const N: usize>(x: R, c: &[f64; N]) -> R {
    let mut y = x.at(c[N - 1]);
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        y = y.fused(x, x.at(c[i]));
    }
    y
}

/// The nearest integer to `x·c` and the sum in whose low bits it stands.
#[inline(always)]
pub fn nearest<R: Real>(x: R, c: f64) -> (R, R) {
    let t = x.fused(x.at(c), x.magic());
    (t - x.magic(), t)
}
