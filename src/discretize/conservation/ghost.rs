//! Values beside the faces of one axis of a box. At a boundary, ghost cells continue the field; a periodic axis continues itself.
//!
//! Face k lies between cells k - 1 and k of a bounded axis (n + 1 faces), between cells k and k + 1 of a periodic one (n faces).

use crate::ir::{Builder, Compare, Op, Value};

/// The faces along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub axis: usize,
    pub cells: usize,
    pub periodic: bool,
}

/// How a field goes on beyond one end of an axis.
#[derive(Clone, Copy, Debug)]
pub enum Ghost {
    /// As in the last cell.
    Constant,
    /// On a straight line, of a limited slope: whatever arrives leaves.
    Linear,
    /// Mirrored.
    Even,
    /// Mirrored about a value at the boundary, an array of extent 1 along the axis.
    Odd(Value),
}

impl Line {
    pub fn faces(self) -> usize {
        if self.periodic { self.cells } else { self.cells + 1 }
    }

    /// The array with `reach` cells more at both ends of a bounded axis.
    pub fn extend(self, b: &mut Builder, v: Value, reach: usize, ends: [Ghost; 2]) -> Value {
        if self.periodic {
            return v;
        }
        let (axis, n) = (self.axis, self.cells);
        let mirrored = |b: &mut Builder, start: usize| {
            let part = b.slice(v, axis, start, start + reach);
            b.op(Op::Reverse(vec![axis]), &[part])
        };
        let end = |b: &mut Builder, ghost: Ghost, high: bool| match ghost {
            Ghost::Constant => {
                let last = if high { n - 1 } else { 0 };
                let cell = b.slice(v, axis, last, last + 1);
                b.concat(&vec![cell; reach], axis)
            }
            Ghost::Linear => {
                let last = if high { n - 1 } else { 0 };
                let cell = b.slice(v, axis, last, last + 1);
                let slope = self.slope_outwards(b, v, high);
                // The cell next to the boundary first.
                let mut cells: Vec<Value> = (1..=reach)
                    .map(|k| {
                        let further = b.scale(slope, k as f64);
                        b.add(cell, further)
                    })
                    .collect();
                if !high {
                    cells.reverse();
                }
                b.concat(&cells, axis)
            }
            Ghost::Even => mirrored(b, if high { n - reach } else { 0 }),
            Ghost::Odd(value) => {
                let inner = mirrored(b, if high { n - reach } else { 0 });
                let twice = b.scale(value, 2.0);
                let twice = b.concat(&vec![twice; reach], axis);
                b.sub(twice, inner)
            }
        };
        let low = end(b, ends[0], false);
        let high = end(b, ends[1], true);
        b.concat(&[low, v, high], axis)
    }

    /// The cell so far from one end: an array of extent 1 along the axis.
    fn cell_off(self, b: &mut Builder, v: Value, high: bool, k: usize) -> Value {
        let k = k.min(self.cells - 1);
        let k = if high { self.cells - 1 - k } else { k };
        b.slice(v, self.axis, k, k + 1)
    }

    /// A slope a cell at one end, outwards, that vanishes with either of the last two, p and q: `pq (p + q)/(p² + q²)`, an array of
    /// extent 1 along the axis. A limiter that comes and goes with a sign would cost steps in time their order.
    fn slope_outwards(self, b: &mut Builder, v: Value, high: bool) -> Value {
        let [near, second, third] = [0, 1, 2].map(|k| self.cell_off(b, v, high, k));
        let (p, q) = (b.sub(near, second), b.sub(second, third));
        let (product, sum) = (b.mul(p, q), b.add(p, q));
        let over = b.mul(product, sum);
        let (pp, qq) = (b.mul(p, p), b.mul(q, q));
        let under = b.add(pp, qq);
        let (none, one) = (b.zeros_like(under), b.full_like(under, 1.0));
        let flat = b.compare(Compare::Eq, under, none);
        let under = b.select(flat, one, under);
        b.div(over, under)
    }

    /// The value at one end, on the straight line through two cells: an array of extent 1 along the axis.
    pub fn at_end(self, b: &mut Builder, v: Value, high: bool) -> Value {
        let [near, second] = [0, 1].map(|k| self.cell_off(b, v, high, k));
        let (near, second) = (b.scale(near, 1.5), b.scale(second, -0.5));
        b.add(near, second)
    }

    /// At each face the value `k` cells after the one before it (k = 0, 1 are the cells beside the face).
    pub fn beside(self, b: &mut Builder, extended: Value, reach: usize, k: isize) -> Value {
        if self.periodic {
            return if k == 0 { extended } else { b.op(Op::Roll { axis: self.axis, shift: -k }, &[extended]) };
        }
        let start = (reach as isize - 1 + k) as usize;
        b.slice(extended, self.axis, start, start + self.faces())
    }

    /// What leaves each cell: the flux through the face after it less that through the face before it.
    pub fn difference(self, b: &mut Builder, flux: Value) -> Value {
        let (axis, n) = (self.axis, self.cells);
        let (after, before) = match self.periodic {
            true => (flux, b.op(Op::Roll { axis, shift: 1 }, &[flux])),
            false => (b.slice(flux, axis, 1, n + 1), b.slice(flux, axis, 0, n)),
        };
        b.sub(after, before)
    }

    /// An array over the faces with other values at one end, an array of extent 1 along the axis.
    pub fn replaced(self, b: &mut Builder, v: Value, high: bool, at_end: Value) -> Value {
        let (axis, n) = (self.axis, self.cells);
        match high {
            false => {
                let rest = b.slice(v, axis, 1, n + 1);
                b.concat(&[at_end, rest], axis)
            }
            true => {
                let rest = b.slice(v, axis, 0, n);
                b.concat(&[rest, at_end], axis)
            }
        }
    }

    /// The value at the first or last face.
    pub fn end(self, b: &mut Builder, v: Value, high: bool) -> Value {
        let k = if high { self.cells } else { 0 };
        b.slice(v, self.axis, k, k + 1)
    }
}
