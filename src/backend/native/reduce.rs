//! Reductions, in an order that depends on the shape alone.

use super::buffer::Element;
use crate::ir::{Binary, Reduce, Unary};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Arithmetic of `f64` and `f32`.
pub trait Float:
    Element
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    const ONE: Self;
    const LOWEST: Self;
    const HIGHEST: Self;
    fn square_root(self) -> Self;
    fn magnitude(self) -> Self;
    fn whole(self) -> Self;
    /// An elementary function over a strip; `slot` as in [`super::strips`].
    fn unary(slot: usize, x: &[Self], y: &mut [Self]);
    fn binary(slot: usize, x: &[Self], y: &[Self], z: &mut [Self]);
}

macro_rules! float {
    ($t:ty, $unary:ident, $binary:ident) => {
        impl Float for $t {
            const ONE: $t = 1.0;
            const LOWEST: $t = <$t>::NEG_INFINITY;
            const HIGHEST: $t = <$t>::INFINITY;
            fn square_root(self) -> $t {
                self.sqrt()
            }
            fn magnitude(self) -> $t {
                self.abs()
            }
            fn whole(self) -> $t {
                self.floor()
            }
            fn unary(slot: usize, x: &[$t], y: &mut [$t]) {
                assert_eq!(x.len(), y.len());
                // SAFETY: both have `n` elements, and the table is of this processor's features.
                unsafe { super::strips::table().$unary[slot](x.len(), x.as_ptr(), y.as_mut_ptr()) }
            }
            fn binary(slot: usize, x: &[$t], y: &[$t], z: &mut [$t]) {
                assert!(x.len() == y.len() && x.len() == z.len());
                // SAFETY: as above.
                unsafe { super::strips::table().$binary[slot](x.len(), x.as_ptr(), y.as_ptr(), z.as_mut_ptr()) }
            }
        }
    };
}
float!(f64, unary64, binary64);
float!(f32, unary32, binary32);

pub fn unary<T: Float>(f: Unary, x: &[T], y: &mut [T]) {
    fn each<T: Float>(x: &[T], y: &mut [T], f: impl Fn(T) -> T) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*x));
    }
    match f {
        Unary::Neg => each(x, y, |x| -x),
        Unary::Abs => each(x, y, T::magnitude),
        Unary::Sign => each(x, y, |x| {
            if x > T::default() {
                T::ONE
            } else if x < T::default() {
                -T::ONE
            } else {
                x * T::default()
            }
        }),
        Unary::Floor => each(x, y, T::whole),
        Unary::Sqrt => each(x, y, T::square_root),
        Unary::Exp | Unary::Log | Unary::Sin | Unary::Cos | Unary::Tanh | Unary::Atan | Unary::Erf => {
            T::unary(super::strips::unary_slot(f).expect("compiler bug: an elementary function"), x, y)
        }
    }
}

pub fn binary<T: Float>(f: Binary, a: &[T], b: &[T], y: &mut [T]) {
    fn each<T: Float>(a: &[T], b: &[T], y: &mut [T], f: impl Fn(T, T) -> T) {
        y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = f(*a, *b));
    }
    match f {
        Binary::Add => each(a, b, y, |a, b| a + b),
        Binary::Sub => each(a, b, y, |a, b| a - b),
        Binary::Mul => each(a, b, y, |a, b| a * b),
        Binary::Div => each(a, b, y, |a, b| a / b),
        Binary::Min => each(a, b, y, least),
        Binary::Max => each(a, b, y, greatest),
        Binary::Pow | Binary::Atan2 => {
            T::binary(super::strips::binary_slot(f).expect("compiler bug: an elementary function"), a, b, y)
        }
    }
}

/// NaN if either is.
#[allow(clippy::eq_op)]
fn least<T: Float>(a: T, b: T) -> T {
    if a < b || a != a { a } else { b }
}

#[allow(clippy::eq_op)]
fn greatest<T: Float>(a: T, b: T) -> T {
    if a > b || a != a { a } else { b }
}

/// Elements that one chunk of a sum over contiguous elements covers.
const CHUNK: usize = 4096;
/// Accumulators side by side, so that sums are vector code.
const LANES: usize = 8;

/// Over `outer × n × inner`: the middle axis vanishes.
pub fn reduce<T: Float>(kind: Reduce, outer: usize, n: usize, inner: usize, x: &[T], y: &mut [T]) {
    match kind {
        Reduce::Sum if inner == 1 => {
            for o in 0..outer {
                y[o] = x[o * n..(o + 1) * n].chunks(CHUNK).fold(T::default(), |s, c| s + sum(c));
            }
        }
        Reduce::Sum => fold(outer, n, inner, x, y, T::default(), |a, b| a + b),
        Reduce::Max => fold(outer, n, inner, x, y, T::LOWEST, greatest),
        Reduce::Min => fold(outer, n, inner, x, y, T::HIGHEST, least),
    }
}

/// Short sums in order, as the interpreter takes them; longer ones in lanes.
fn sum<T: Float>(x: &[T]) -> T {
    if x.len() < 2 * LANES {
        return x.iter().fold(T::default(), |s, x| s + *x);
    }
    let mut lanes = [T::default(); LANES];
    let whole = x.chunks_exact(LANES);
    let rest = whole.remainder();
    for c in whole {
        for k in 0..LANES {
            lanes[k] = lanes[k] + c[k];
        }
    }
    let total = lanes.iter().fold(T::default(), |s, x| s + *x);
    rest.iter().fold(total, |s, x| s + *x)
}

fn fold<T: Float>(outer: usize, n: usize, inner: usize, x: &[T], y: &mut [T], start: T, f: impl Fn(T, T) -> T + Copy) {
    for o in 0..outer {
        let to = &mut y[o * inner..(o + 1) * inner];
        to.fill(start);
        for row in x[o * n * inner..(o + 1) * n * inner].chunks_exact(inner.max(1)) {
            to.iter_mut().zip(row).for_each(|(y, x)| *y = f(*y, *x));
        }
    }
}
