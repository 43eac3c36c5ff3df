//! Fluxes through the boundary.
//!
//! The value at the face is eliminated between the condition and the half cell's own flux `flux·n = f₀·n + 2D (u_face - u)/h`; where
//! nothing is driven by a gradient it is extrapolated. A natural condition that is not affine in u is taken to first order in
//! `u_face - u`. What is carried, f₀, is that of the value at the face.

use super::cells::{CellSlopes, CellValues};
use super::faces::{at_cells, quotient_or, unit};
use super::{Inputs, Scheme};
use crate::ad::jvp_into;
use crate::discretize::Side;
use crate::discretize::balance::Condition;
use crate::discretize::conservation::convection;
use crate::discretize::element_map::{LocalLeaf, at_all_points};
use crate::discretize::family::{Family, Table};
use crate::ir::{Block, Builder, Func, Type, Value};

/// A side and the conditions on it. Nothing flows where there are none.
pub(super) struct BoundarySide {
    pub side: Side,
    family: Family,
    /// The cell behind each facet.
    pub cells: Vec<u32>,
    /// The one behind that; the same where an axis has one cell.
    next: Vec<u32>,
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
            let stride: usize = mesh.cells[side.axis + 1..].iter().product();
            let inwards = if mesh.cells[side.axis] == 1 { 0 } else { stride as u32 };
            let next = cells.iter().map(|&c| if side.high { c - inwards } else { c + inwards }).collect();
            BoundarySide { side, family: Family::facets(mesh, side, 1), cells, next, conditions }
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

    /// `[F, c, 2c]` over the cell and the one behind it, unless nothing depends on u.
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
        for (input, j) in [1, 2].into_iter().flat_map(|input| (0..c).map(move |j| (input, j))) {
            let mut tangents = vec![None; args.len()];
            tangents[input] = Some(unit(&mut body, c, j));
            if let (1, Some(of_cells)) = (input, slopes.diffusion[j]) {
                leaves.push(self.behind(b, on, of_cells));
                tangents[3] = Some(body.input(Type::f64([c])));
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
        let pairs: Vec<u32> = on.cells.iter().zip(&on.next).flat_map(|(&cell, &next)| [cell, next]).collect();
        let block = Block { rows: self.places(&on.cells, 1), cols: self.places(&pairs, 2) };
        Some((b.index(matrices, 1, 0), block))
    }

    /// `(x[d], u[c], u[c] of the next cell, D[c], interior data…, data of each condition…, shared…) → flux·n [c]`
    fn outflow(&self, on: &BoundarySide) -> Func {
        let (d, c) = (self.balance.dimension, self.balance.components);
        let h = self.space.mesh.spacing()[on.side.axis];
        let mut b = Builder::new("boundary flux");
        let x = b.input(Type::f64([d]));
        let [u, next, diffusion] = [0; 3].map(|_| b.input(Type::f64([c])));
        let boundary = &self.balance.boundary;
        let interior: Vec<Value> = self.balance.point_data.iter().map(|ty| b.input(ty.clone())).collect();
        let data: Vec<Vec<Value>> = on
            .conditions
            .iter()
            .map(|&(k, _)| boundary[k].point_data.iter().map(|ty| b.input(ty.clone())).collect())
            .collect();
        let shared: Vec<Value> = self.balance.shared.iter().map(|ty| b.input(ty.clone())).collect();
        let normal = b.constant(crate::ir::Tensor::f64([d], on.side.normal(d)));
        let law = convection(self.balance, on.side.axis);
        let around: Vec<Value> = interior.iter().chain(&shared).copied().collect();
        // f₀·n of a state, and along all components at once where that is asked.
        let carried = |b: &mut Builder, u: Value, along: Option<Value>| {
            let args = [&[u, x], &around[..]].concat();
            let mut tangents = vec![None; args.len()];
            tangents[0] = along;
            let (value, slope) = jvp_into(b, &law, &args, &tangents);
            let outward = |b: &mut Builder, v: Value| if on.side.high { v } else { b.neg(v) };
            (outward(b, value[0]), slope[0].map(|s| outward(b, s)))
        };
        let conductance = b.scale(diffusion, 2.0 / h);
        let ones = b.full(&Type::f64([c]), 1.0);

        // The value at the face, and the fluxes that conditions say, by component.
        let mut face: Vec<Option<Value>> = vec![None; c];
        let mut flux: Vec<Option<Value>> = vec![None; c];
        for (&(k, _), data) in on.conditions.iter().zip(&data) {
            let Condition::Essential { component, value } = &boundary[k].condition else { continue };
            let args: Vec<Value> = [x].iter().chain(data).chain(&shared).copied().collect();
            let given = b.inline(value, &args)[0];
            face[*component].get_or_insert(given);
        }
        let held: Vec<bool> = face.iter().map(Option::is_some).collect();
        for (&(k, _), data) in on.conditions.iter().zip(&data) {
            let Condition::Natural { rows, value, driven, .. } = &boundary[k].condition else { continue };
            let args: Vec<Value> = [x, u, normal].iter().chain(data).chain(&shared).copied().collect();
            let mut tangents = vec![None; args.len()];
            // Components are independent (checked): one step of all reads off the diagonal.
            tangents[1] = Some(ones);
            let (values, slopes) = jvp_into(&mut b, value, &args, &tangents);
            let slope = slopes[0].unwrap_or_else(|| b.zeros_like(values[0]));
            let (inside, of_inside) = carried(&mut b, u, driven.then_some(ones));
            // 2D/h δ = v - f₀ + (v' - f₀') δ; a condition on all that flows takes f₀ as it is in the cell.
            let moved = of_inside.map_or(slope, |s| b.sub(slope, s));
            let excess = b.sub(values[0], inside);
            let stiffness = b.sub(conductance, moved);
            let across = b.sub(u, next);
            let extrapolated = b.scale(across, 0.5);
            let step = quotient_or(&mut b, excess, stiffness, extrapolated);
            let more = b.mul(slope, step);
            let (q, at_face) = (b.add(values[0], more), b.add(u, step));
            for i in (0..c).filter(|&i| rows[i] && !held[i]) {
                flux[i].get_or_insert_with(|| b.index(q, 0, i));
                face[i].get_or_insert_with(|| b.index(at_face, 0, i));
            }
        }
        if held.contains(&true) {
            let face: Vec<Value> =
                face.into_iter().enumerate().map(|(i, v)| v.unwrap_or_else(|| b.index(u, 0, i))).collect();
            let face = b.stack(&face, 0);
            let (f, _) = carried(&mut b, face, None);
            let difference = b.sub(face, u);
            let driven = b.mul(conductance, difference);
            let q = b.add(f, driven);
            for i in (0..c).filter(|&i| held[i]) {
                flux[i] = Some(b.index(q, 0, i));
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
        let next = at_cells(b, inputs.u, &on.next);
        leaves.push(LocalLeaf::Data(b.reshape(next, &[count, 1, c])));
        leaves.push(self.behind(b, on, cells.diffusion));
        for &v in &inputs.interior {
            // Known at the centres of cells.
            let [near, far] = [&on.cells, &on.next].map(|cells| at_cells(b, v, cells));
            let (near, far) = (b.scale(near, 1.5), b.scale(far, -0.5));
            leaves.push(LocalLeaf::Data(b.add(near, far)));
        }
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
