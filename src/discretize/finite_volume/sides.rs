//! Fluxes through the boundary. The value at the face is eliminated between the condition and the half cell's own flux
//! `flux·n = f₀·n + 2D (u_face - u)/h`; a natural condition that is not affine in u is taken to first order in `u_face - u`.

use super::cells::{CellSlopes, CellValues};
use super::faces::{at_cells, quotient_or, unit};
use super::{Inputs, Scheme};
use crate::ad::jvp_into;
use crate::discretize::Side;
use crate::discretize::balance::Condition;
use crate::discretize::element_map::{LocalLeaf, at_all_points};
use crate::discretize::family::{Family, Table};
use crate::ir::{Block, Builder, Func, Type, Value};

/// A side and the conditions on it. Nothing flows where there are none.
pub(super) struct BoundarySide {
    pub side: Side,
    family: Family,
    /// The cell behind each facet.
    pub cells: Vec<u32>,
    /// Conditions on it, with the number of facets that come before this side's in the condition's data.
    conditions: Vec<(usize, usize)>,
}

impl Scheme<'_> {
    /// The sides with a condition.
    pub fn boundary_sides(&self) -> Vec<BoundarySide> {
        self.all_sides().into_iter().filter(|s| !s.conditions.is_empty()).collect()
    }

    pub fn all_sides(&self) -> Vec<BoundarySide> {
        let mesh = &self.space.mesh;
        let count = |s: Side| Family::facets(mesh, s, 1).count;
        let with_conditions = |side: Side| {
            let mut conditions = vec![];
            for (k, sides) in self.sides.iter().enumerate() {
                if let Some(at) = sides.iter().position(|&s| s == side) {
                    conditions.push((k, sides[..at].iter().map(|&s| count(s)).sum()));
                }
            }
            let cells = self.space.side_nodes(side);
            BoundarySide { side, family: Family::facets(mesh, side, 1), cells, conditions }
        };
        mesh.sides().into_iter().map(with_conditions).collect()
    }

    /// What leaves through the side, in the cells behind it, `[cells, c]`.
    pub fn side_residual(&self, b: &mut Builder, on: &BoundarySide, cells: &CellValues, inputs: &Inputs) -> Value {
        let q = self.side_fluxes(b, on, cells, inputs);
        let q = b.scale(q, self.area(on.side.axis));
        self.scatter(b, &on.cells, q)
    }

    /// `flux·n`, `[F, c]`.
    pub fn side_fluxes(&self, b: &mut Builder, on: &BoundarySide, cells: &CellValues, inputs: &Inputs) -> Value {
        let leaves = self.side_leaves(b, on, cells, inputs);
        let outflow = self.outflow(on);
        let q = at_all_points(b, &on.family, &outflow, &leaves)[0];
        b.index(q, 1, 0)
    }

    /// `[F, c, c]`, unless nothing depends on u.
    pub fn side_block(
        &self,
        b: &mut Builder,
        on: &BoundarySide,
        cells: &CellValues,
        slopes: &CellSlopes,
        inputs: &Inputs,
    ) -> Option<(Value, Block)> {
        let c = self.balance.components;
        let outflow = self.outflow(on);
        let mut leaves = self.side_leaves(b, on, cells, inputs);
        let mut body = Builder::new("boundary matrix");
        let args: Vec<Value> = outflow.inputs.iter().map(|ty| body.input(ty.clone())).collect();
        let mut columns = vec![];
        for j in 0..c {
            let mut tangents = vec![None; args.len()];
            tangents[1] = Some(unit(&mut body, c, j));
            for (k, of_cells) in [(2, slopes.offset[j]), (3, slopes.diffusion[j])] {
                let Some(of_cells) = of_cells else { continue };
                leaves.push(self.behind(b, on, of_cells));
                tangents[k] = Some(body.input(Type::f64([c])));
            }
            columns.push(jvp_into(&mut body, &outflow, &args, &tangents).1[0]);
        }
        if columns.iter().all(Option::is_none) {
            return None;
        }
        let columns: Vec<Value> =
            columns.into_iter().map(|v| v.unwrap_or_else(|| body.zeros(&Type::f64([c])))).collect();
        let matrix = body.stack(&columns, 1);
        let matrix = body.scale(matrix, self.area(on.side.axis));
        let body = body.finish(vec![matrix]);
        let matrices = at_all_points(b, &on.family, &body, &leaves)[0];
        let places = self.places(&on.cells, 1);
        Some((b.index(matrices, 1, 0), Block { rows: places.clone(), cols: places }))
    }

    /// `(x[d], u[c], f₀[c], D[c], data of each condition…, shared…) → flux·n [c]`
    fn outflow(&self, on: &BoundarySide) -> Func {
        let (d, c) = (self.balance.dimension, self.balance.components);
        let h = self.space.mesh.spacing()[on.side.axis];
        let mut b = Builder::new("boundary flux");
        let x = b.input(Type::f64([d]));
        let [u, offset, diffusion] = [0; 3].map(|_| b.input(Type::f64([c])));
        let boundary = &self.balance.boundary;
        let data: Vec<Vec<Value>> = on
            .conditions
            .iter()
            .map(|&(k, _)| boundary[k].point_data.iter().map(|ty| b.input(ty.clone())).collect())
            .collect();
        let shared: Vec<Value> = self.balance.shared.iter().map(|ty| b.input(ty.clone())).collect();
        let normal = b.constant(crate::ir::Tensor::f64([d], on.side.normal(d)));
        let outward = if on.side.high { offset } else { b.neg(offset) };

        let mut flux: Vec<Option<Value>> = vec![None; c];
        for (&(k, _), data) in on.conditions.iter().zip(&data) {
            let Condition::Essential { component, value } = &boundary[k].condition else { continue };
            let args: Vec<Value> = [x].iter().chain(data).chain(&shared).copied().collect();
            let given = b.inline(value, &args)[0];
            let [u, f, stiffness] = [u, outward, diffusion].map(|v| b.index(v, 0, *component));
            let difference = b.sub(given, u);
            let q = b.mul(stiffness, difference);
            let q = b.scale(q, 2.0 / h);
            let q = b.add(f, q);
            flux[*component].get_or_insert(q);
        }
        for (&(k, _), data) in on.conditions.iter().zip(&data) {
            let Condition::Natural { value } = &boundary[k].condition else { continue };
            let args: Vec<Value> = [x, u, normal].iter().chain(data).chain(&shared).copied().collect();
            let mut tangents = vec![None; args.len()];
            // Components are independent (checked): one step of all reads off the diagonal.
            tangents[1] = Some(b.full(&Type::f64([c]), 1.0));
            let (values, slopes) = jvp_into(&mut b, value, &args, &tangents);
            let q = match slopes[0] {
                None => values[0],
                Some(slope) => {
                    let double = b.scale(diffusion, 2.0);
                    let slope = b.scale(slope, h);
                    let of_value = b.mul(double, values[0]);
                    let of_offset = b.mul(slope, outward);
                    let numerator = b.sub(of_value, of_offset);
                    let sum = b.sub(double, slope);
                    quotient_or(&mut b, numerator, sum, values[0])
                }
            };
            for (i, flux) in flux.iter_mut().enumerate() {
                flux.get_or_insert_with(|| b.index(q, 0, i));
            }
        }
        let flux: Vec<Value> = flux.into_iter().map(|q| q.unwrap_or_else(|| b.scalar(0.0))).collect();
        let flux = b.stack(&flux, 0);
        b.finish(vec![flux])
    }

    fn side_leaves(&self, b: &mut Builder, on: &BoundarySide, cells: &CellValues, inputs: &Inputs) -> Vec<LocalLeaf> {
        let (count, c) = (on.cells.len(), self.balance.components);
        let u = at_cells(b, inputs.u, &on.cells);
        let local = b.reshape(u, &[count, 1, c]);
        let table = Table { values: vec![1.0], gradients: vec![], nodes: 1 };
        let mut leaves = vec![LocalLeaf::Coordinates, LocalLeaf::Value { table, local }];
        leaves.push(self.behind(b, on, cells.offset));
        leaves.push(self.behind(b, on, cells.diffusion));
        for &(k, first) in &on.conditions {
            leaves.extend(inputs.boundary[k].iter().map(|&v| LocalLeaf::Data(b.slice(v, 0, first, first + count))));
        }
        leaves.extend(inputs.shared.iter().map(|&v| LocalLeaf::Shared(v)));
        leaves
    }

    /// The part of `v[cells, c, d]` across the side, in the cells behind it.
    fn behind(&self, b: &mut Builder, on: &BoundarySide, v: Value) -> LocalLeaf {
        let across = b.index(v, 2, on.side.axis);
        let v = at_cells(b, across, &on.cells);
        LocalLeaf::Data(b.reshape(v, &[on.cells.len(), 1, self.balance.components]))
    }
}
