//! What each cell contributes: `flux = f₀ + D ∇u` (D diagonal) and the source, at its centre, and their derivatives.

use super::{Inputs, Scheme};
use crate::ad::jvp_into;
use crate::discretize::balance::Balance;
use crate::discretize::derivative::{Direction, derivative, is_zero};
use crate::discretize::element_map::{LocalLeaf, at_all_points};
use crate::discretize::family::Table;
use crate::ir::{Block, Builder, Func, Value};

/// The law at a cell's centre as a function `(x[d], u[c], point data…, shared…)`.
pub(super) struct Law {
    /// `→ (f₀[c, d], D[c, d], source[c])`
    values: Func,
    /// Its derivatives along each component of u, the three outputs for each in turn.
    slopes: Func,
}

impl Law {
    pub fn new(balance: &Balance) -> Law {
        let f = &balance.interior;
        let mut b = Builder::new(f.name.clone());
        let mut args: Vec<Value> = vec![];
        for (k, ty) in f.inputs.iter().enumerate() {
            args.push(if k == 2 { b.zeros(ty) } else { b.input(ty.clone()) });
        }
        // D is diagonal (checked), so that a step of every gradient at once reads off its diagonal.
        let mut tangents = vec![None; args.len()];
        tangents[2] = Some(b.full(&f.inputs[2], 1.0));
        let (values, slopes) = jvp_into(&mut b, f, &args, &tangents);
        let diagonal = slopes[0].unwrap_or_else(|| b.zeros_like(values[0]));
        let values = b.finish(vec![values[0], diagonal, values[1]]);
        let directions: Vec<Direction> =
            (0..balance.components).map(|element| Direction { input: 1, element }).collect();
        Law { slopes: derivative(&values, &directions), values }
    }
}

/// Arrays over cells.
pub(super) struct CellValues {
    /// `[cells, c, d]`
    pub offset: Value,
    pub diffusion: Value,
    /// `[cells, c]`
    pub source: Value,
}

/// Derivatives of [`CellValues`] along each component of the cell's own u; `None` is zero.
pub(super) struct CellSlopes {
    pub offset: Vec<Option<Value>>,
    pub diffusion: Vec<Option<Value>>,
    pub source: Vec<Option<Value>>,
}

impl Scheme<'_> {
    pub fn cell_values(&self, b: &mut Builder, inputs: &Inputs) -> CellValues {
        let leaves = self.cell_leaves(b, inputs);
        let all = self.at_centres(b, &self.law.values, &leaves);
        CellValues { offset: all[0], diffusion: all[1], source: all[2] }
    }

    pub fn cell_slopes(&self, b: &mut Builder, inputs: &Inputs) -> CellSlopes {
        let leaves = self.cell_leaves(b, inputs);
        let f = &self.law.slopes;
        let all = self.at_centres(b, f, &leaves);
        let output = |k: usize| (!is_zero(f, f.outputs[k])).then_some(all[k]);
        let every_third = |first: usize| (first..all.len()).step_by(3).map(output).collect();
        CellSlopes { offset: every_third(0), diffusion: every_third(1), source: every_third(2) }
    }

    /// `V ∂source/∂u` of each cell, `[cells, c, c]`.
    pub fn source_block(&self, b: &mut Builder, slopes: &CellSlopes) -> Option<(Value, Block)> {
        if slopes.source.iter().all(Option::is_none) {
            return None;
        }
        let (n, c) = (self.space.node_count(), self.balance.components);
        let zero = b.zeros(&crate::ir::Type::f64([n, c]));
        let columns: Vec<Value> = slopes.source.iter().map(|s| s.unwrap_or(zero)).collect();
        let matrix = b.stack(&columns, 2);
        let volume: f64 = self.space.mesh.spacing().iter().product();
        let places = self.places(&(0..n as u32).collect::<Vec<_>>(), 1);
        Some((b.scale(matrix, volume), Block { rows: places.clone(), cols: places }))
    }

    fn cell_leaves(&self, b: &mut Builder, inputs: &Inputs) -> Vec<LocalLeaf> {
        let (n, c) = (self.space.node_count(), self.balance.components);
        let local = b.reshape(inputs.u, &[n, 1, c]);
        let table = Table { values: vec![1.0], gradients: vec![], nodes: 1 };
        let mut leaves = vec![LocalLeaf::Coordinates, LocalLeaf::Value { table, local }];
        leaves.extend(inputs.interior.iter().map(|&v| LocalLeaf::Data(v)));
        leaves.extend(inputs.shared.iter().map(|&v| LocalLeaf::Shared(v)));
        leaves
    }

    /// Outputs of a function at the centres of cells, `[cells, …]`.
    fn at_centres(&self, b: &mut Builder, f: &Func, leaves: &[LocalLeaf]) -> Vec<Value> {
        let all = at_all_points(b, &self.space.family, f, leaves);
        all.into_iter().map(|v| b.index(v, 1, 0)).collect()
    }
}
