//! The gradient in each cell, from the fluxes through its faces.

use super::Scheme;
use super::cells::CellValues;
use super::faces::{at_cells, quotient_or};
use crate::ir::{Builder, Func, Type, Value};

impl Scheme<'_> {
    /// `(u, data…, shared…) → ∇u [cells, c, d]`: along each axis the mean of the two one-sided slopes `(q - f₀)/D` that the
    /// fluxes q stand for. With it the mean of `f₀ + D ∇u` over the cells is the mean of the face fluxes, exactly.
    pub fn gradient(&self) -> Func {
        let (n, c, d) = (self.space.node_count(), self.balance.components, self.balance.dimension);
        let mut b = Builder::new(format!("{} gradient", self.balance.name));
        let inputs = self.inputs(&mut b);
        let cells = self.cell_values(&mut b, &inputs);
        let mut axes = vec![b.zeros(&Type::f64([n, c])); d];
        for faces in self.inner_faces() {
            let q = self.face_fluxes(&mut b, &faces, &cells, inputs.u);
            let h = self.space.mesh.spacing()[faces.axis];
            let (left, right) = (at_cells(&mut b, inputs.u, &faces.left), at_cells(&mut b, inputs.u, &faces.right));
            let difference = b.sub(right, left);
            let plain = b.scale(difference, 1.0 / h);
            for ends in [&faces.left, &faces.right] {
                let half = self.half_slope(&mut b, &cells, faces.axis, ends, q, plain);
                axes[faces.axis] = b.add(axes[faces.axis], half);
            }
        }
        for on in self.all_sides() {
            let q = self.side_fluxes(&mut b, &on, &cells, &inputs);
            let q = if on.side.high { q } else { b.neg(q) };
            let plain = b.zeros_like(q);
            let half = self.half_slope(&mut b, &cells, on.side.axis, &on.cells, q, plain);
            axes[on.side.axis] = b.add(axes[on.side.axis], half);
        }
        let gradient = b.stack(&axes, 2);
        b.finish(vec![gradient])
    }

    /// Half of `(q - f₀)/D` in these cells (of `plain` where D = 0), summed into `[cells, c]`.
    fn half_slope(
        &self,
        b: &mut Builder,
        cells: &CellValues,
        axis: usize,
        ends: &[u32],
        q: Value,
        plain: Value,
    ) -> Value {
        let [offset, diffusion] = [cells.offset, cells.diffusion].map(|v| {
            let along = b.index(v, 2, axis);
            at_cells(b, along, ends)
        });
        let rest = b.sub(q, offset);
        let slope = quotient_or(b, rest, diffusion, plain);
        let half = b.scale(slope, 0.5);
        self.scatter(b, ends, half)
    }
}
