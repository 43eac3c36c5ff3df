//! Fluxes between neighbouring cells.

use super::Scheme;
use super::cells::{CellSlopes, CellValues};
use crate::ad::jvp_into;
use crate::discretize::mesh::each_index;
use crate::ir::{Binary, Block, Builder, Compare, Func, Tensor, Type, Value};
use std::sync::Arc;

/// The faces between cells along one axis.
pub(super) struct InnerFaces {
    pub axis: usize,
    /// The cells before and after each face.
    pub left: Vec<u32>,
    pub right: Vec<u32>,
}

impl Scheme<'_> {
    /// Axis by axis. An axis with one cell has none: what would leave it on one side enters on the other.
    pub fn inner_faces(&self) -> Vec<InnerFaces> {
        let mesh = &self.space.mesh;
        let of_axis = |axis: usize| {
            let n = mesh.cells[axis];
            let (mut left, mut right) = (vec![], vec![]);
            let stride: usize = mesh.cells[axis + 1..].iter().product();
            let mut cell = 0;
            each_index(&mesh.cells, |index| {
                if index[axis] + 1 < n {
                    left.push(cell);
                    right.push(cell + stride as u32);
                } else if mesh.periodic[axis] {
                    left.push(cell);
                    right.push(cell - ((n - 1) * stride) as u32);
                }
                cell += 1;
            });
            InnerFaces { axis, left, right }
        };
        (0..mesh.dimension()).filter(|&a| mesh.cells[a] > 1).map(of_axis).collect()
    }

    /// What leaves the left cells and enters the right ones, `[cells, c]`.
    pub fn face_residual(&self, b: &mut Builder, faces: &InnerFaces, cells: &CellValues, u: Value) -> Value {
        let q = self.face_fluxes(b, faces, cells, u);
        let q = b.scale(q, self.area(faces.axis));
        let opposite = b.neg(q);
        let out = self.scatter(b, &faces.left, q);
        let into = self.scatter(b, &faces.right, opposite);
        b.add(out, into)
    }

    /// The flux density along the axis, `[F, c]`.
    pub fn face_fluxes(&self, b: &mut Builder, faces: &InnerFaces, cells: &CellValues, u: Value) -> Value {
        let args = self.face_arguments(b, faces, cells, u);
        let body = face_flux(self.balance.components, self.space.mesh.spacing()[faces.axis]);
        b.map(Arc::new(body), faces.left.len(), vec![true; args.len()], &args)[0]
    }

    /// `[F, 2c, 2c]` over (left, right).
    pub fn face_block(
        &self,
        b: &mut Builder,
        faces: &InnerFaces,
        cells: &CellValues,
        slopes: &CellSlopes,
        u: Value,
    ) -> (Value, Block) {
        let c = self.balance.components;
        let flux = face_flux(c, self.space.mesh.spacing()[faces.axis]);
        let mut args = self.face_arguments(b, faces, cells, u);
        let mut body = Builder::new("face matrix");
        let inputs: Vec<Value> = flux.inputs.iter().map(|ty| body.input(ty.clone())).collect();

        let mut columns = vec![];
        for (side, ends) in [&faces.left, &faces.right].into_iter().enumerate() {
            for j in 0..c {
                let mut tangents = vec![None; inputs.len()];
                tangents[side] = Some(unit(&mut body, c, j));
                for (k, of_cells) in [(2, slopes.offset[j]), (4, slopes.diffusion[j])] {
                    let Some(of_cells) = of_cells else { continue };
                    let of_axis = b.index(of_cells, 2, faces.axis);
                    args.push(at_cells(b, of_axis, ends));
                    tangents[k + side] = Some(body.input(Type::f64([c])));
                }
                let (values, slopes) = jvp_into(&mut body, &flux, &inputs, &tangents);
                columns.push(slopes[0].unwrap_or_else(|| body.zeros_like(values[0])));
            }
        }
        // [c, 2c]: the row of the left cell; the right one's is its opposite.
        let row = body.stack(&columns, 1);
        let row = body.scale(row, self.area(faces.axis));
        let opposite = body.neg(row);
        let matrix = body.concat(&[row, opposite], 0);
        let body = body.finish(vec![matrix]);

        let count = faces.left.len();
        let matrices = b.map(Arc::new(body), count, vec![true; args.len()], &args)[0];
        let pairs: Vec<u32> = faces.left.iter().zip(&faces.right).flat_map(|(&l, &r)| [l, r]).collect();
        let places = self.places(&pairs, 2);
        (matrices, Block { rows: places.clone(), cols: places })
    }

    /// u, f₀ and D beside each face: the left one, then the right one, `[F, c]` each.
    fn face_arguments(&self, b: &mut Builder, faces: &InnerFaces, cells: &CellValues, u: Value) -> Vec<Value> {
        let offset = b.index(cells.offset, 2, faces.axis);
        let diffusion = b.index(cells.diffusion, 2, faces.axis);
        [u, offset, diffusion]
            .into_iter()
            .flat_map(|v| [&faces.left, &faces.right].map(|ends| at_cells(b, v, ends)))
            .collect()
    }

    pub fn area(&self, axis: usize) -> f64 {
        self.space.mesh.spacing().iter().enumerate().filter(|&(a, _)| a != axis).map(|(_, h)| h).product()
    }

    /// `rows[F, c]` summed into cells, `[cells, c]`.
    pub fn scatter(&self, b: &mut Builder, cells: &[u32], rows: Value) -> Value {
        let index = b.constant(Tensor::index([cells.len()], cells));
        b.scatter_add(self.space.node_count(), index, rows)
    }
}

/// `(u_L, u_R, f₀_L, f₀_R, D_L, D_R) → q`, each `[c]`.
fn face_flux(c: usize, h: f64) -> Func {
    let mut b = Builder::new("face flux");
    let v: Vec<Value> = (0..6).map(|_| b.input(Type::f64([c]))).collect();
    let (ul, ur, fl, fr, dl, dr) = (v[0], v[1], v[2], v[3], v[4], v[5]);
    let (of_left, of_right) = (b.mul(dr, fl), b.mul(dl, fr));
    let offset = b.add(of_left, of_right);
    let difference = b.sub(ur, ul);
    let product = b.mul(dl, dr);
    let product = b.scale(product, 2.0 / h);
    let conduction = b.mul(product, difference);
    let sum = b.add(dl, dr);
    let numerator = b.add(offset, conduction);
    // Without conduction on either side: the mean of what the cells send.
    let mean = b.add(fl, fr);
    let mean = b.scale(mean, 0.5);
    let q = quotient_or(&mut b, numerator, sum, mean);
    b.finish(vec![q])
}

/// `a / s` where s ≠ 0, else `other`; neither the value nor a derivative sees the division by zero.
pub(super) fn quotient_or(b: &mut Builder, a: Value, s: Value, other: Value) -> Value {
    let zero = b.scalar(0.0);
    let one = b.scalar(1.0);
    let none = b.compare(Compare::Eq, s, zero);
    let safe = b.select(none, one, s);
    let quotient = b.binary(Binary::Div, a, safe);
    b.select(none, other, quotient)
}

/// `v[cells, …]` at these cells.
pub(super) fn at_cells(b: &mut Builder, v: Value, cells: &[u32]) -> Value {
    let index = b.constant(Tensor::index([cells.len()], cells));
    b.gather(v, index)
}

/// The j-th of c unit vectors.
pub(super) fn unit(b: &mut Builder, c: usize, j: usize) -> Value {
    let e: Vec<f64> = (0..c).map(|i| (i == j) as u8 as f64).collect();
    b.constant(Tensor::f64([c], e))
}
