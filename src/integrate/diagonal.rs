//! Complex numbers, one for each entry of a state `[s, 2, modes…]` of real and imaginary parts: the linear part of a semilinear
//! system where it is diagonal, and functions of it.

use crate::ir::{Builder, Compare, Op, Unary, Value};

/// `re + i im`, arrays `[s, modes…]`; without `im` they are real.
#[derive(Clone, Copy, Debug)]
pub struct Diagonal {
    pub re: Value,
    pub im: Option<Value>,
}

impl Diagonal {
    /// The same number for all.
    pub fn constant(b: &mut Builder, like: Value, x: f64) -> Diagonal {
        Diagonal { re: b.full_like(like, x), im: None }
    }

    pub fn plus(self, b: &mut Builder, other: Diagonal) -> Diagonal {
        let im = match (self.im, other.im) {
            (Some(x), Some(y)) => Some(b.add(x, y)),
            (x, y) => x.or(y),
        };
        Diagonal { re: b.add(self.re, other.re), im }
    }

    pub fn shifted(self, b: &mut Builder, re: f64, im: f64) -> Diagonal {
        let add = |b: &mut Builder, v: Value, x: f64| {
            let x = b.full_like(v, x);
            b.add(v, x)
        };
        let moved = match (self.im, im) {
            (im, 0.0) => im,
            (Some(v), x) => Some(add(b, v, x)),
            (None, x) => Some(b.full_like(self.re, x)),
        };
        Diagonal { re: add(b, self.re, re), im: moved }
    }

    /// Times a number.
    pub fn scaled(self, b: &mut Builder, by: Value) -> Diagonal {
        Diagonal { re: b.mul(by, self.re), im: self.im.map(|v| b.mul(by, v)) }
    }

    pub fn times(self, b: &mut Builder, other: Diagonal) -> Diagonal {
        let mut re = b.mul(self.re, other.re);
        if let (Some(x), Some(y)) = (self.im, other.im) {
            let both = b.mul(x, y);
            re = b.sub(re, both);
        }
        let across = [(self.im, other.re), (other.im, self.re)];
        let im = across.into_iter().filter_map(|(x, y)| Some(b.mul(x?, y))).collect::<Vec<_>>();
        Diagonal { re, im: im.into_iter().reduce(|x, y| b.add(x, y)) }
    }

    /// `1/z`; z is nowhere zero.
    pub fn inverse(self, b: &mut Builder) -> Diagonal {
        let Some(im) = self.im else {
            let one = b.full_like(self.re, 1.0);
            return Diagonal { re: b.div(one, self.re), im: None };
        };
        let (rr, ii) = (b.mul(self.re, self.re), b.mul(im, im));
        let size = b.add(rr, ii);
        let minus = b.neg(im);
        Diagonal { re: b.div(self.re, size), im: Some(b.div(minus, size)) }
    }

    pub fn exp(self, b: &mut Builder) -> Diagonal {
        let size = b.unary(Unary::Exp, self.re);
        let Some(im) = self.im else { return Diagonal { re: size, im: None } };
        let (cos, sin) = (b.unary(Unary::Cos, im), b.unary(Unary::Sin, im));
        Diagonal { re: b.mul(size, cos), im: Some(b.mul(size, sin)) }
    }

    /// Parts below a size as zero: they would be subnormal numbers, which are slow.
    pub fn flushed(self, b: &mut Builder) -> Diagonal {
        let mut flush = |v: Value| {
            let size = b.unary(Unary::Abs, v);
            let least = b.full_like(v, 1e-300);
            let mask = b.compare(Compare::Lt, size, least);
            let zero = b.zeros_like(v);
            b.select(mask, zero, v)
        };
        Diagonal { re: flush(self.re), im: self.im.map(flush) }
    }

    /// Times a state.
    pub fn apply(self, b: &mut Builder, state: Value) -> Value {
        let shape = b.ty(state).shape.clone();
        let axes: Vec<usize> = std::iter::once(0).chain(2..shape.len()).collect();
        let Some(im) = self.im else {
            let both = b.op(Op::Broadcast { shape, axes }, &[self.re]);
            return b.mul(both, state);
        };
        let (x, y) = (b.index(state, 1, 0), b.index(state, 1, 1));
        let (rx, iy) = (b.mul(self.re, x), b.mul(im, y));
        let (ry, ix) = (b.mul(self.re, y), b.mul(im, x));
        let (up, down) = (b.sub(rx, iy), b.add(ry, ix));
        b.stack(&[up, down], 1)
    }
}
