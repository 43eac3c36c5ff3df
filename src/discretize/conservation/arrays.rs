//! Pointwise functions over whole grids: each component of each tensor is an array over the points, or a number.

use crate::ir::components::{Scalars, write_out};
use crate::ir::{Binary, Builder, Compare, Func, Unary, Value};

/// The outputs of a pointwise function, component by component.
pub fn over_points(b: &mut Builder, f: &Func, args: &[Vec<Value>]) -> Vec<Vec<Value>> {
    write_out(&mut Arrays(b), f, args)
}

struct Arrays<'a>(&'a mut Builder);

impl Arrays<'_> {
    /// Numbers beside arrays become arrays.
    fn level<const N: usize>(&mut self, values: [Value; N]) -> [Value; N] {
        let shape = values.iter().map(|&v| self.0.ty(v).shape.clone()).max_by_key(Vec::len).unwrap_or_default();
        values.map(|v| if self.0.ty(v).is_scalar() { self.0.broadcast_to(v, &shape) } else { v })
    }

    fn is(&self, v: Value, x: f64) -> bool {
        self.0.splat(v) == Some(x)
    }
}

impl Scalars for Arrays<'_> {
    type Id = Value;

    fn constant(&mut self, x: f64) -> Value {
        self.0.scalar(x)
    }

    fn unary(&mut self, f: Unary, a: Value) -> Value {
        self.0.unary(f, a)
    }

    fn binary(&mut self, f: Binary, a: Value, b: Value) -> Value {
        self.0.binary(f, a, b)
    }

    fn product(&mut self, a: Value, b: Value) -> Value {
        if self.is(a, 0.0) || self.is(b, 0.0) { self.0.scalar(0.0) } else { self.0.mul(a, b) }
    }

    fn sum(&mut self, a: Value, b: Value) -> Value {
        match (self.is(a, 0.0), self.is(b, 0.0)) {
            (true, _) => b,
            (_, true) => a,
            _ => self.0.add(a, b),
        }
    }

    fn compare(&mut self, c: Compare, a: Value, b: Value) -> Value {
        self.0.compare(c, a, b)
    }

    fn select(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let [mask, a, b] = self.level([mask, a, b]);
        self.0.select(mask, a, b)
    }
}
