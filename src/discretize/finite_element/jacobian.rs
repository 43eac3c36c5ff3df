//! The exact Jacobian as element matrices: pointwise derivatives between tables of shape functions, `Bᵀ D B`.
//!
//! D holds ∂(flux, source)/∂(u, ∇u) at each quadrature point, one `jvp` for each of the c(1 + d) directions: an expensive
//! closure costs no more tangents than that, whatever the order of the element. Directions that change nothing are dropped.

use super::residual::contract;
use super::{System, mixed};
use crate::discretize::derivative::{Direction, derivative, is_zero};
use crate::discretize::element_map::{LocalLeaf, constant, element_map};
use crate::ir::{Block, Builder, Dot, Jacobian, Type, Value};

impl System<'_> {
    /// Blocks `[E, n·c, n·c]`, then one `[F, m·c, m·c]` for each side whose natural flux depends on u.
    pub fn jacobian(&self) -> Jacobian {
        let mut b = Builder::new(format!("{} Jacobian", self.balance.name));
        let inputs = self.inputs(&mut b);
        let full = self.full(&mut b, &inputs);
        let places = self.element_places();
        let leaves = self.interior_leaves(&mut b, full, &places, &inputs);
        let mut matrices = self.element_matrices(&mut b, &leaves);
        if let Some(s) = self.interpolation(self.element_nodes()) {
            matrices = mixed::congruent(&mut b, matrices, &s);
        }
        let mut values = vec![matrices];
        let mut blocks = vec![Block { rows: places.clone(), cols: places }];

        let c = self.balance.components;
        for side in self.natural_sides(&mut b, full, &inputs) {
            let directions: Vec<Direction> = (0..c).map(|j| Direction { input: 1, element: j }).collect();
            let slope = derivative(side.value, &directions);
            if slope.outputs.iter().all(|&v| is_zero(&slope, v)) {
                continue;
            }
            let (q, m) = (side.family.points.len(), side.table.nodes);
            let matrices = element_map(&mut b, &side.family, &slope, &side.leaves, |b, slopes, _| {
                // slopes[j][q, i] = ∂value_i/∂u_j
                let slopes = b.stack(slopes, 2);
                let rows = constant(b, &[q, m], side.family.weighted(&side.table.values));
                let columns = constant(b, &[q, m], side.table.values.clone());
                let rows = b.dot(rows, slopes, outer_at_points());
                let matrix = b.dot(rows, columns, contract(&[0], &[0]));
                // [a, i, j, b] → [a, i, b, j]
                let matrix = b.transpose(matrix, &[0, 1, 3, 2]);
                vec![b.reshape(matrix, &[m * c, m * c])]
            });
            values.push(match &side.interpolation {
                Some(s) => mixed::congruent(&mut b, matrices[0], s),
                None => matrices[0],
            });
            blocks.push(Block { rows: side.places.clone(), cols: side.places });
        }
        Jacobian { values: b.finish(values), blocks }
    }

    fn element_matrices(&self, b: &mut Builder, leaves: &[LocalLeaf]) -> Value {
        let (d, c) = (self.balance.dimension, self.balance.components);
        let (q, n) = (self.space.quadrature_count(), self.space.local_count());
        let (family, table) = (&self.space.family, &self.space.table);
        // Direction (j, m): component j of u for m = 0, of ∂u/∂x_(m-1) beyond.
        let directions: Vec<Direction> = (0..=d)
            .flat_map(|m| (0..c).map(move |j| (j, m)))
            .map(|(j, m)| match m {
                0 => Direction { input: 1, element: j },
                _ => Direction { input: 2, element: j * d + m - 1 },
            })
            .collect();
        let slopes = derivative(&self.balance.interior, &directions);
        let zero: Vec<bool> = slopes.outputs.iter().map(|&v| is_zero(&slopes, v)).collect();

        let matrices = element_map(b, family, &slopes, leaves, |b, outputs, turn| {
            let mut total: Option<Value> = None;
            for m in 0..=d {
                let of = |j: usize| 2 * (m * c + j);
                if (0..c).all(|j| zero[of(j)] && zero[of(j) + 1]) {
                    continue;
                }
                let rows: Vec<Value> = (0..c).map(|j| self.test(b, outputs[of(j)], outputs[of(j) + 1], turn)).collect();
                // [q, a, i, j]
                let rows = b.stack(&rows, 3);
                let mut columns = match m {
                    0 => constant(b, &[q, n], table.values.clone()),
                    _ => constant(b, &[q, n], table.gradients.iter().skip(m - 1).step_by(d).copied().collect()),
                };
                if let (true, Some(turn)) = (m > 0, turn) {
                    columns = b.mul(columns, turn);
                }
                // [a, i, j, b]
                let part = b.dot(rows, columns, contract(&[0], &[0]));
                total = Some(total.map_or(part, |t| b.add(t, part)));
            }
            let total = total.unwrap_or_else(|| b.zeros(&Type::f64([n, c, c, n])));
            let total = b.transpose(total, &[0, 1, 3, 2]);
            vec![b.reshape(total, &[n * c, n * c])]
        });
        matrices[0]
    }

    /// `source_i N_a - Σ_l flux_il ∂N_a/∂x_l` at each quadrature point with its weight, `[q, a, i]`.
    fn test(&self, b: &mut Builder, flux: Value, source: Value, turn: Option<Value>) -> Value {
        let (family, table) = (&self.space.family, &self.space.table);
        let (q, n, d) = (self.space.quadrature_count(), self.space.local_count(), self.balance.dimension);
        let weighted = constant(b, &[q, n], family.weighted(&table.values));
        let of_source = b.dot(weighted, source, outer_at_points());
        let weighted = constant(b, &[q, n, d], family.weighted(&table.gradients));
        let along = Dot { lhs_batch: vec![0], rhs_batch: vec![0], ..contract(&[2], &[2]) };
        let mut of_flux = b.dot(weighted, flux, along);
        if let Some(turn) = turn {
            of_flux = b.mul(of_flux, turn);
        }
        b.sub(of_source, of_flux)
    }
}

/// `[q, …] × [q, …]`: outer products at each quadrature point.
fn outer_at_points() -> Dot {
    Dot { lhs_batch: vec![0], rhs_batch: vec![0], ..Dot::default() }
}
