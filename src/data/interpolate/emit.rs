//! The same interpolation as straight-line IR, differentiable in its arguments.

use super::{Axis, Method, Outside, Table};
use crate::ir::{Binary, Builder, Compare, DType, Op, Reduce, Tensor, Type, Unary, Value};

/// The value of the interpolation at scalar arguments, one for each axis; its shape is the table's.
impl Table {
    pub fn to_ir(&self, b: &mut Builder, args: &[Value]) -> Value {
        assert_eq!(
            args.len(),
            self.axes.len(),
            "compiler bug: a table of {} axes, {} given",
            self.axes.len(),
            args.len()
        );
        let dtype = b.ty(args[0]).dtype;
        let d = self.axes.len();
        let components: usize = self.shape.iter().product();
        let points = self.rows.len() / (self.kinds() * components);

        // Row of the cell's lowest corner, and its weights along each axis, [corner, kind].
        let mut row = b.scalar(0.0);
        let mut weights = vec![];
        for (axis, &x) in self.axes.iter().zip(args) {
            let x = b.op(Op::Cast(DType::F64), &[x]);
            let (cell, w) = self.locate_ir(b, axis, x);
            row = b.scale(row, axis.knots.len() as f64);
            row = b.add(row, cell);
            weights.push(w);
        }

        // All corners in row-major order: one gather, one contraction with the products of the weights.
        let corners = self.corner_offsets();
        let offsets = b.constant(Tensor::f64([1 << d], corners));
        let rows = b.add(row, offsets);
        let rows = b.op(Op::Cast(DType::Index), &[rows]);
        let source = b.constant(Tensor::f64([points, self.kinds() * components], self.rows.clone()));
        let near = b.gather(source, rows);
        let near = b.reshape(near, &[self.kinds() << d, components]);
        let weight = self.product(b, &weights);
        let value = b.matmul(weight, near);
        let value = b.reshape(value, &self.shape);
        b.op(Op::Cast(dtype), &[value])
    }

    /// 1 where the scalar arguments lie within the table's box, else 0 (an f64 scalar).
    pub fn inside_ir(&self, b: &mut Builder, args: &[Value]) -> Value {
        let mut inside = b.scalar(1.0);
        for (axis, &x) in self.axes.iter().zip(args) {
            let x = b.op(Op::Cast(DType::F64), &[x]);
            let (first, last) = (b.scalar(axis.first()), b.scalar(axis.last()));
            let above = b.compare(Compare::Le, first, x);
            let below = b.compare(Compare::Le, x, last);
            inside = b.mul(inside, above);
            inside = b.mul(inside, below);
        }
        inside
    }

    /// The cell of `x` as a float, and the weights of its ends: `[2]`, or `[2, 2]` with those of the slopes.
    fn locate_ir(&self, b: &mut Builder, axis: &Axis, x: Value) -> (Value, Value) {
        let x = if self.outside == Outside::Hold { clamp(b, x, axis.first(), axis.last()) } else { x };
        let (cell, start, width) = cell_ir(b, axis, x);
        let t = b.sub(x, start);
        let t = b.div(t, width);
        if self.method == Method::Multilinear {
            let one = b.scalar(1.0);
            let s = b.sub(one, t);
            return (cell, b.stack(&[s, t], 0));
        }
        let s = clamp(b, t, 0.0, 1.0);
        let beyond = b.sub(t, s);
        let mut w = vec![];
        for (value, slope) in HERMITE.iter().zip(HERMITE_SLOPE) {
            let (value, slope) = (horner(b, value, s), horner(b, &slope, s));
            let rest = b.mul(beyond, slope);
            w.push(b.add(value, rest));
        }
        w[1] = b.mul(w[1], width);
        w[3] = b.mul(w[3], width);
        let w = b.stack(&w, 0);
        (cell, b.reshape(w, &[2, 2]))
    }

    /// Products of the axes' weights, flat in the order corners, then kinds.
    fn product(&self, b: &mut Builder, weights: &[Value]) -> Value {
        let d = weights.len();
        let rank = if self.method == Method::Multilinear { d } else { 2 * d };
        let mut product = b.full(&Type::f64(vec![2; rank]), 1.0);
        for (k, &w) in weights.iter().enumerate() {
            let axes = if rank == d { vec![k] } else { vec![k, d + k] };
            let wide = b.op(Op::Broadcast { shape: vec![2; rank], axes }, &[w]);
            product = b.mul(product, wide);
        }
        b.reshape(product, &[1 << rank])
    }

    /// Rows of a cell's corners, counted from its lowest one.
    fn corner_offsets(&self) -> Vec<f64> {
        let d = self.axes.len();
        let offset = |corner: usize| {
            (0..d).fold(0, |row, k| row * self.axes[k].knots.len() + (corner >> (d - 1 - k) & 1)) as f64
        };
        (0..1 << d).map(offset).collect()
    }
}

/// Cell (as a float), its first knot and its width.
fn cell_ir(b: &mut Builder, axis: &Axis, x: Value) -> (Value, Value, Value) {
    let last = axis.cells() as f64 - 1.0;
    if let Some(h) = axis.step {
        let (first, step) = (b.scalar(axis.first()), b.scalar(h));
        let s = b.sub(x, first);
        let s = b.div(s, step);
        let cell = b.unary(Unary::Floor, s);
        let cell = clamp(b, cell, 0.0, last);
        let knots = b.constant(Tensor::f64([axis.knots.len()], axis.knots.clone()));
        let index = b.op(Op::Cast(DType::Index), &[cell]);
        let start = b.gather(knots, index);
        return (cell, start, step);
    }
    // The number of inner knots at or below x; comparing with all of them is straight-line, a search is not.
    let cells = axis.cells();
    let cell = if cells == 1 {
        b.scalar(0.0)
    } else {
        let inner = b.constant(Tensor::f64([cells - 1], axis.knots[1..cells].to_vec()));
        let below = b.compare(Compare::Le, inner, x);
        b.reduce(Reduce::Sum, below, &[0])
    };
    let index = b.op(Op::Cast(DType::Index), &[cell]);
    let knots = b.constant(Tensor::f64([cells], axis.knots[..cells].to_vec()));
    let widths: Vec<f64> = (0..cells).map(|i| axis.width(i)).collect();
    let widths = b.constant(Tensor::f64([cells], widths));
    (cell, b.gather(knots, index), b.gather(widths, index))
}

/// The cubic Hermite basis by its coefficients, constant first, and its derivatives.
const HERMITE: [[f64; 4]; 4] =
    [[1.0, 0.0, -3.0, 2.0], [0.0, 1.0, -2.0, 1.0], [0.0, 0.0, 3.0, -2.0], [0.0, 0.0, -1.0, 1.0]];
const HERMITE_SLOPE: [[f64; 3]; 4] = [[0.0, -6.0, 6.0], [1.0, -4.0, 3.0], [0.0, 6.0, -6.0], [0.0, -2.0, 3.0]];

fn horner(b: &mut Builder, coefficients: &[f64], x: Value) -> Value {
    let mut y = b.scalar(0.0);
    for &c in coefficients.iter().rev() {
        y = b.mul(y, x);
        let c = b.scalar(c);
        y = b.add(y, c);
    }
    y
}

fn clamp(b: &mut Builder, x: Value, low: f64, high: f64) -> Value {
    let (low, high) = (b.scalar(low), b.scalar(high));
    let x = b.binary(Binary::Max, x, low);
    b.binary(Binary::Min, x, high)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{axis, table};
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Func, Type};

    /// The table as a function of a point, and its derivative along the first axis by differences of the evaluator.
    fn function(t: &Table, body: impl Fn(&mut Builder, &[Value]) -> Value) -> Func {
        let mut b = Builder::new("table");
        let args: Vec<Value> = (0..t.dimensions()).map(|_| b.input(Type::f64([]))).collect();
        let out = body(&mut b, &args);
        b.finish(vec![out])
    }

    #[test]
    fn the_function_agrees_with_the_evaluator() {
        let f = |x: &[f64]| vec![(x[0] * 1.3).sin() + x[1], x[0] * x[1], x[1].exp()];
        for method in [Method::Multilinear, Method::MonotoneCubic] {
            for outside in [Outside::Hold, Outside::Linear] {
                for even in [true, false] {
                    let t = table(&[axis(-1.0, 2.0, 6, even), axis(0.0, 1.0, 1, even)], method, outside, f);
                    let func = function(&t, |b, args| t.to_ir(b, args));
                    for x in [[-1.0, 0.0], [0.31, 0.77], [2.0, 1.0], [-3.0, 0.5], [2.5, 1.5], [0.5, 0.5]] {
                        let y = eval(&func, &x.map(Tensor::scalar)).unwrap()[0].to_f64();
                        let error = y.iter().zip(t.evaluate(&x)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                        assert!(error < 1e-13, "{method:?} {outside:?} {even} {x:?}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_mask_tells_the_box() {
        let t = table(&[axis(-1.0, 2.0, 6, true), axis(0.0, 1.0, 3, true)], Method::Multilinear, Outside::Hold, |x| {
            x.to_vec()
        });
        let func = function(&t, |b, args| t.inside_ir(b, args));
        let at = |x: [f64; 2]| eval(&func, &x.map(Tensor::scalar)).unwrap()[0].item();
        assert_eq!([at([-1.0, 1.0]), at([0.0, 0.5]), at([2.1, 0.5]), at([0.0, -1e-9])], [1.0, 1.0, 0.0, 0.0]);
    }
}
