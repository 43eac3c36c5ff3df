//! The residual: element sums of `source v - flux·∇v`, facet sums of `flux·n v`.

use super::{System, mixed};
use crate::discretize::balance::Condition;
use crate::discretize::element_map::{LocalLeaf, constant, element_map};
use crate::discretize::family::{Family, Table};
use crate::ir::{Builder, Dot, Func, Tensor, Value};

/// The facets of one side that carry a natural condition.
pub(super) struct NaturalSide<'a> {
    pub value: &'a Func,
    pub family: Family,
    pub table: Table,
    /// Places of the facet's values in `full`: index tensor `[F, m·c]`.
    pub places: Tensor,
    /// Of components of lower order.
    pub interpolation: Option<Tensor>,
    pub leaves: Vec<LocalLeaf>,
}

impl System<'_> {
    pub fn residual(&self) -> Func {
        let c = self.balance.components;
        let mut b = Builder::new(format!("{} residual", self.balance.name));
        let inputs = self.inputs(&mut b);
        let full = self.full(&mut b, &inputs);

        let places = self.element_places();
        let leaves = self.interior_leaves(&mut b, full, &places, &inputs);
        let (q, n, d) = (self.space.quadrature_count(), self.space.local_count(), self.balance.dimension);
        let (family, table) = (&self.space.family, &self.space.table);
        let rows = element_map(&mut b, family, &self.balance.interior, &leaves, |b, outputs, turn| {
            let (flux, source) = (outputs[0], outputs[1]);
            let weighted = constant(b, &[q, n], family.weighted(&table.values));
            let of_source = b.dot(weighted, source, contract(&[0], &[0]));
            let weighted = constant(b, &[q, n, d], family.weighted(&table.gradients));
            let mut of_flux = b.dot(weighted, flux, contract(&[0, 2], &[0, 2]));
            if let Some(turn) = turn {
                of_flux = b.mul(of_flux, turn);
            }
            let row = b.sub(of_source, of_flux);
            vec![b.reshape(row, &[n * c])]
        });
        let s = self.interpolation(self.element_nodes());
        let rows = self.restricted(&mut b, rows[0], s.as_ref());
        let mut total = self.scatter(&mut b, places, rows);

        for side in self.natural_sides(&mut b, full, &inputs) {
            let (q, m) = (side.family.points.len(), side.table.nodes);
            let rows = element_map(&mut b, &side.family, side.value, &side.leaves, |b, outputs, _| {
                let weighted = constant(b, &[q, m], side.family.weighted(&side.table.values));
                let row = b.dot(weighted, outputs[0], contract(&[0], &[0]));
                vec![b.reshape(row, &[m * c])]
            });
            let rows = self.restricted(&mut b, rows[0], side.interpolation.as_ref());
            let part = self.scatter(&mut b, side.places, rows);
            total = b.add(total, part);
        }
        b.finish(vec![total])
    }

    /// Nodes of one element.
    pub fn element_nodes(&self) -> &[u32] {
        let nodes = self.space.connectivity.as_index().expect("compiler bug: connectivity is an index tensor");
        &nodes[..self.space.local_count()]
    }

    /// Where components differ in order.
    pub fn interpolation(&self, nodes: &[u32]) -> Option<Tensor> {
        let c = &self.constraints;
        c.is_mixed().then(|| mixed::interpolation(self.space, nodes, &c.lowered))
    }

    fn restricted(&self, b: &mut Builder, rows: Value, interpolation: Option<&Tensor>) -> Value {
        interpolation.map_or(rows, |s| mixed::restricted(b, rows, s))
    }

    /// Places of every element's values in `full`, `[E, n·c]`.
    pub fn element_places(&self) -> Tensor {
        let nodes = self.space.connectivity.as_index().expect("compiler bug: connectivity is an index tensor");
        self.constraints.places(nodes, self.space.local_count(), self.balance.components)
    }

    /// Arguments of `interior`.
    pub fn interior_leaves(
        &self,
        b: &mut Builder,
        full: Value,
        places: &Tensor,
        inputs: &super::Inputs,
    ) -> Vec<LocalLeaf> {
        let table = || self.space.table.clone();
        let s = self.interpolation(self.element_nodes());
        let local = self.local(b, full, places, s.as_ref());
        let mut leaves = vec![
            LocalLeaf::Coordinates,
            LocalLeaf::Value { table: table(), local },
            LocalLeaf::Gradient { table: table(), local },
        ];
        leaves.extend(inputs.interior.iter().map(|&v| LocalLeaf::Data(v)));
        leaves.extend(inputs.shared.iter().map(|&v| LocalLeaf::Shared(v)));
        leaves
    }

    /// Every side with a natural condition, in program order.
    pub(super) fn natural_sides(&self, b: &mut Builder, full: Value, inputs: &super::Inputs) -> Vec<NaturalSide<'_>> {
        let (d, c) = (self.balance.dimension, self.balance.components);
        let mut all = vec![];
        for (k, on) in self.balance.boundary.iter().enumerate() {
            let Condition::Natural { value, .. } = &on.condition else { continue };
            let mut first = 0;
            for &side in &self.sides[k] {
                let (family, table, nodes) = self.space.facets(side);
                let places = self.constraints.places(&nodes, table.nodes, c);
                let interpolation = self.interpolation(&nodes[..table.nodes]);
                let local = self.local(b, full, &places, interpolation.as_ref());
                let normal = constant(b, &[d], side.normal(d));
                let mut leaves = vec![
                    LocalLeaf::Coordinates,
                    LocalLeaf::Value { table: table.clone(), local },
                    LocalLeaf::Shared(normal),
                ];
                let last = first + family.count;
                leaves.extend(inputs.boundary[k].iter().map(|&v| LocalLeaf::Data(b.slice(v, 0, first, last))));
                leaves.extend(inputs.shared.iter().map(|&v| LocalLeaf::Shared(v)));
                first = last;
                all.push(NaturalSide { value, family, table, places, interpolation, leaves });
            }
        }
        all
    }

    /// `full` → `[count, m, c]`
    fn local(&self, b: &mut Builder, full: Value, places: &Tensor, interpolation: Option<&Tensor>) -> Value {
        let c = self.balance.components;
        let (count, width) = (places.ty.shape[0], places.ty.shape[1]);
        let index = b.constant(places.clone());
        let mut local = b.gather(full, index);
        if let Some(s) = interpolation {
            local = mixed::raised(b, local, s);
        }
        b.reshape(local, &[count, width / c, c])
    }

    fn scatter(&self, b: &mut Builder, places: Tensor, rows: Value) -> Value {
        let index = b.constant(places);
        b.scatter_add(self.constraints.free, index, rows)
    }
}

pub(super) fn contract(lhs: &[usize], rhs: &[usize]) -> Dot {
    Dot { lhs_contract: lhs.to_vec(), rhs_contract: rhs.to_vec(), ..Dot::default() }
}
