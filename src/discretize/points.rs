//! Arbitrary points of a mesh: the element each lies in and its coordinates there, as IR.

use super::basis::trace_values;
use super::mesh::Mesh;
use super::{Element, Space};
use crate::ir::{Binary, Compare, DType, Op, Unary, Value};
use crate::ir::{Builder, Type};

/// Where M points lie. Made by [`Space::locate`].
#[derive(Clone, Debug)]
pub struct Located {
    /// Element of each point, as whole numbers in an f64 tensor `[M]`; `Cast(Index)` makes an index of them.
    pub element: Value,
    /// Coordinates in the reference element, one `[M]` an axis.
    pub local: Vec<Value>,
    /// Mask `[M]`: 1 inside the domain. A point outside is moved to the nearest point inside.
    pub inside: Value,
    /// Triangles only: 1 in the lower one of its cell, -1 in the upper, turned one.
    pub turn: Option<Value>,
}

impl Space {
    /// Finds the elements of `points[M, d]`. Periodic axes wrap around.
    pub fn locate(&self, b: &mut Builder, points: Value) -> Located {
        locate(b, &self.mesh, points)
    }

    /// `dofs[N, …]` at `points[M, d]`: `[M, …]`.
    pub fn evaluate_at(&self, b: &mut Builder, dofs: Value, points: Value) -> Value {
        if self.mesh.clustered {
            return self.chebyshev_at(b, dofs, points);
        }
        let at = self.locate(b, points);
        self.evaluate_located(b, dofs, &at)
    }

    /// As [`Space::evaluate_at`], for points that are already located (on any space over the same mesh).
    pub fn evaluate_located(&self, b: &mut Builder, dofs: Value, at: &Located) -> Value {
        let shape = trace_values(b, self.mesh.element, self.order, &at.local);
        let weights = b.stack(&shape, 1);
        self.weighted(b, dofs, at, weights)
    }

    /// Gradients of `dofs[N, …]` at `points[M, d]`: `[M, …, d]`. Discontinuous across elements: a face takes one side's.
    pub fn gradient_at(&self, b: &mut Builder, dofs: Value, points: Value) -> Value {
        if self.mesh.clustered {
            let slopes = self.chebyshev_gradient(b, dofs);
            return self.chebyshev_at(b, slopes, points);
        }
        if self.order == 0 {
            let slopes = self.cell_differences(b, dofs);
            return self.evaluate_at(b, slopes, points);
        }
        let at = self.locate(b, points);
        let h = self.mesh.spacing();
        let columns: Vec<Value> = (0..h.len())
            .map(|a| {
                let slopes = self.trace_slopes(b, &at.local, a, 1.0 / h[a]);
                let weights = b.stack(&slopes, 1);
                let g = self.weighted(b, dofs, &at, weights);
                match at.turn {
                    Some(turn) => {
                        let turn = spread(b, turn, g);
                        b.mul(g, turn)
                    }
                    None => g,
                }
            })
            .collect();
        let last = b.ty(columns[0]).rank();
        b.stack(&columns, last)
    }

    /// `Σ_i weights[M, i] dofs[element[M], i, …]`
    fn weighted(&self, b: &mut Builder, dofs: Value, at: &Located, weights: Value) -> Value {
        let connectivity = b.constant(self.connectivity.clone());
        let element = b.op(Op::Cast(DType::Index), &[at.element]);
        let nodes = b.gather(connectivity, element);
        let local = b.gather(dofs, nodes);
        let dot =
            crate::ir::Dot { lhs_contract: vec![1], rhs_contract: vec![1], lhs_batch: vec![0], rhs_batch: vec![0] };
        b.dot(weights, local, dot)
    }

    /// `∂N_i/∂ξ_axis · scale`. Shape functions are at most quadratic along an axis, so central differences are exact, and
    /// combine values at fixed shifts of ξ.
    fn trace_slopes(&self, b: &mut Builder, local: &[Value], axis: usize, scale: f64) -> Vec<Value> {
        let shifted = |b: &mut Builder, s: f64| {
            let mut xi = local.to_vec();
            let step = b.scalar(s);
            xi[axis] = b.add(xi[axis], step);
            trace_values(b, self.mesh.element, self.order, &xi)
        };
        let (up, down) = (shifted(b, 0.5), shifted(b, -0.5));
        up.into_iter()
            .zip(down)
            .map(|(u, d)| {
                let slope = b.sub(u, d);
                b.scale(slope, scale)
            })
            .collect()
    }
}

fn locate(b: &mut Builder, mesh: &Mesh, points: Value) -> Located {
    let m = b.ty(points).shape[0];
    let ty = Type::f64([m]);
    let mut inside = b.full(&ty, 1.0);
    let mut cell = b.zeros(&ty);
    let mut local = vec![];
    for (a, h) in mesh.spacing().into_iter().enumerate() {
        let n = mesh.cells[a] as f64;
        let (origin, h, n_value, zero) = (b.scalar(mesh.origin[a]), b.scalar(h), b.scalar(n), b.scalar(0.0));
        let x = b.index(points, 1, a);
        let x = b.sub(x, origin);
        let mut t = b.div(x, h);
        if mesh.periodic[a] {
            let turns = b.div(t, n_value);
            let turns = b.unary(Unary::Floor, turns);
            let whole = b.mul(turns, n_value);
            t = b.sub(t, whole);
        } else {
            // Rounding in the caller's coordinates is no reason to call a boundary point an outsider.
            let (low, high) = (b.scalar(-1e-9 * n), b.scalar(n + 1e-9 * n));
            let above = b.compare(Compare::Le, low, t);
            let below = b.compare(Compare::Le, t, high);
            let within = b.mul(above, below);
            inside = b.mul(inside, within);
        }
        let t = b.binary(Binary::Max, t, zero);
        let t = b.binary(Binary::Min, t, n_value);
        let index = b.unary(Unary::Floor, t);
        let last = b.scalar(n - 1.0);
        let index = b.binary(Binary::Min, index, last);
        local.push(b.sub(t, index));
        let above = b.scale(cell, n);
        cell = b.add(above, index);
    }
    if mesh.element != Element::Triangle {
        return Located { element: cell, local, inside, turn: None };
    }
    let one = b.scalar(1.0);
    let sum = b.add(local[0], local[1]);
    let upper = b.compare(Compare::Lt, one, sum);
    let turned: Vec<Value> = local
        .iter()
        .map(|&xi| {
            let other = b.sub(one, xi);
            b.select(upper, other, xi)
        })
        .collect();
    let double = b.scale(cell, 2.0);
    let element = b.add(double, upper);
    let down = b.scale(upper, 2.0);
    let turn = b.sub(one, down);
    Located { element, local: turned, inside, turn: Some(turn) }
}

/// `a[M]` repeated to the shape of `like[M, …]`.
fn spread(b: &mut Builder, a: Value, like: Value) -> Value {
    let shape = b.ty(like).shape.clone();
    b.op(Op::Broadcast { shape, axes: vec![0] }, &[a])
}
