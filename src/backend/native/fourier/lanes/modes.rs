//! What columns are read from and written to: modes times factors.

use super::super::butterflies::{Place, Planes};
use super::super::vector::Vector;

/// Neighbouring columns of two arrays of modes, times factors.
#[derive(Clone, Copy)]
pub struct Multiplied<'a, V: Vector> {
    pub of: Planes<V>,
    pub factors: &'a [Factor<V>],
    pub turned: bool,
}

/// For these columns: the first number, how far the next element of a line is, and whether neighbouring columns have their own.
#[derive(Clone, Copy)]
pub struct Factor<V: Vector> {
    pub at: *const V::Number,
    pub apart: usize,
    pub own: bool,
}

impl<V: Vector> Place<V> for Multiplied<'_, V> {
    #[inline(always)]
    unsafe fn get(&self, j: usize) -> [V; 2] {
        // SAFETY: the caller's.
        unsafe {
            let [mut x, mut y] = self.of.get(j);
            for f in self.factors {
                let at = f.at.add(j * f.apart);
                let k = if f.own { V::load(at, self.of.mask) } else { V::splat(*at) };
                (x, y) = (k.times(x), k.times(y));
            }
            if self.turned { [y.times(V::splat(V::number(-1.0))), x] } else { [x, y] }
        }
    }
    #[inline(always)]
    unsafe fn put(&self, _: usize, _: [V; 2]) {
        unreachable!("compiler bug: modes are only read")
    }
}

/// Neighbouring columns to which modes times factors are added, or which they are.
#[derive(Clone, Copy)]
pub struct Added<'a, V: Vector> {
    pub to: Planes<V>,
    pub factors: &'a [Factor<V>],
    /// By which real and imaginary parts are multiplied, after they were exchanged where they are `turned`.
    pub signs: [f64; 2],
    pub turned: bool,
    pub first: bool,
}

impl<V: Vector> Place<V> for Added<'_, V> {
    #[inline(always)]
    unsafe fn get(&self, _: usize) -> [V; 2] {
        unreachable!("compiler bug: a sum of modes is only written")
    }
    #[inline(always)]
    unsafe fn put(&self, j: usize, [mut x, mut y]: [V; 2]) {
        // SAFETY: the caller's.
        unsafe {
            for f in self.factors {
                let at = f.at.add(j * f.apart);
                let k = if f.own { V::load(at, self.to.mask) } else { V::splat(*at) };
                (x, y) = (k.times(x), k.times(y));
            }
            if self.turned {
                (x, y) = (y, x);
            }
            (x, y) = (x.times(V::splat(V::number(self.signs[0]))), y.times(V::splat(V::number(self.signs[1]))));
            if !self.first {
                let [u, v] = self.to.get(j);
                (x, y) = (u.plus(x), v.plus(y));
            }
            self.to.put(j, [x, y])
        }
    }
}

/// The same with real and imaginary parts exchanged: of these the other direction of a transform is this one.
#[derive(Clone, Copy)]
pub struct Exchanged<P>(pub P);

impl<V: Vector, P: Place<V>> Place<V> for Exchanged<P> {
    #[inline(always)]
    unsafe fn get(&self, j: usize) -> [V; 2] {
        // SAFETY: the caller's.
        let [x, y] = unsafe { self.0.get(j) };
        [y, x]
    }
    #[inline(always)]
    unsafe fn put(&self, j: usize, [x, y]: [V; 2]) {
        // SAFETY: the caller's.
        unsafe { self.0.put(j, [y, x]) }
    }
}
