//! Essential conditions: which nodal values are given, and what they are.

use super::{Inputs, System, mixed};
use crate::discretize::balance::{Balance, Boundary, Condition};
use crate::discretize::derivative::reads;
use crate::discretize::discrete::node_coordinates;
use crate::discretize::{Side, Space};
use crate::ir::{Builder, Func, Tensor, Type, Value};
use std::sync::Arc;

/// The numbering of unknown and given values.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::discretize) struct Constraints {
    /// For each nodal value `node · c + component` its place in `full = (u[free], g[fixed])`.
    pub slots: Vec<u32>,
    pub free: usize,
    /// Length of g. Nodes that two conditions share stand twice; the condition that comes first in the program is obeyed.
    pub fixed: usize,
    /// Nodes of each boundary condition (none for natural ones).
    pub nodes: Vec<Vec<u32>>,
    /// Components of lower order: known at the vertices.
    pub lowered: Vec<bool>,
}

impl Constraints {
    pub fn new(balance: &Balance, space: &Space, sides: &[Vec<Side>], lowered: Vec<bool>) -> Constraints {
        const UNSET: u32 = u32::MAX;
        let c = balance.components;
        let mut given = vec![UNSET; space.node_count() * c];
        let mut fixed = 0;
        let mut nodes = vec![];
        for (on, sides) in balance.boundary.iter().zip(sides) {
            let Condition::Essential { component, .. } = on.condition else {
                nodes.push(vec![]);
                continue;
            };
            let mut of_part: Vec<u32> = sides.iter().flat_map(|&s| space.side_nodes(s)).collect();
            of_part.sort_unstable();
            of_part.dedup();
            for (k, &node) in of_part.iter().enumerate() {
                let slot = &mut given[node as usize * c + component];
                if *slot == UNSET {
                    *slot = (fixed + k) as u32;
                }
            }
            fixed += of_part.len();
            nodes.push(of_part);
        }
        // Between vertices a component of lower order has no unknown of its own.
        let between = |k: usize| lowered[k % c] && !mixed::is_vertex(space, (k / c) as u32);
        let free = given.iter().enumerate().filter(|(k, g)| **g == UNSET && !between(*k)).count();
        let mut next = 0;
        let mut slots: Vec<u32> = given
            .into_iter()
            .enumerate()
            .map(|(k, g)| {
                if g != UNSET {
                    return free as u32 + g;
                }
                if between(k) {
                    return UNSET;
                }
                next += 1;
                next - 1
            })
            .collect();
        // There it stands for a vertex of the same element, whose value nothing reads in this place.
        for k in 0..slots.len() {
            if slots[k] == UNSET {
                slots[k] = slots[mixed::vertices(space, (k / c) as u32)[0] as usize * c + k % c];
            }
        }
        Constraints { slots, free, fixed, nodes, lowered }
    }

    /// Whether components differ in order.
    pub fn is_mixed(&self) -> bool {
        self.lowered.contains(&true)
    }

    /// Places of local values, `[count, m · c]`, from nodes `[count, m]`.
    pub fn places(&self, nodes: &[u32], per_row: usize, components: usize) -> Tensor {
        let places: Vec<u32> = nodes
            .iter()
            .flat_map(|&node| (0..components).map(move |i| node as usize * components + i))
            .map(|k| self.slots[k])
            .collect();
        Tensor::index([nodes.len() / per_row, per_row * components], places)
    }
}

impl System<'_> {
    pub fn expand(&self) -> Func {
        let (n, c) = (self.space.node_count(), self.balance.components);
        let mut b = Builder::new(format!("{} values", self.balance.name));
        let inputs = self.inputs(&mut b);
        let mut full = self.full(&mut b, &inputs);
        if self.constraints.fixed > 0 || self.constraints.is_mixed() {
            let slots = b.constant(Tensor::index([n * c], self.constraints.slots.clone()));
            full = b.gather(full, slots);
        }
        let mut all = b.reshape(full, &[n, c]);
        if self.constraints.is_mixed() {
            let columns: Vec<Value> = (0..c)
                .map(|k| {
                    let column = b.index(all, 1, k);
                    if self.constraints.lowered[k] { self.between_vertices(&mut b, column) } else { column }
                })
                .collect();
            all = b.stack(&columns, 1);
        }
        b.finish(vec![all])
    }

    /// A component known at the vertices `[N]`, at all nodes.
    fn between_vertices(&self, b: &mut Builder, column: Value) -> Value {
        let n = self.space.node_count();
        let around: Vec<Vec<u32>> = (0..n as u32).map(|node| mixed::vertices(self.space, node)).collect();
        let corners = around[0].len();
        let mut sum: Option<Value> = None;
        for corner in 0..corners {
            let index = b.constant(Tensor::index([n], around.iter().map(|v| v[corner]).collect::<Vec<_>>()));
            let values = b.gather(column, index);
            sum = Some(match sum {
                Some(sum) => b.add(sum, values),
                None => values,
            });
        }
        b.scale(sum.expect("compiler bug: a node without vertices"), 1.0 / corners as f64)
    }

    /// `(u, g)`
    pub fn full(&self, b: &mut Builder, inputs: &Inputs) -> Value {
        let mut parts = vec![inputs.unknowns];
        for (k, on) in self.balance.boundary.iter().enumerate() {
            if let Condition::Essential { value, .. } = &on.condition {
                parts.push(self.given(b, on, value, &self.constraints.nodes[k], &inputs.boundary[k], &inputs.shared));
            }
        }
        b.concat(&parts, 0)
    }

    /// The values of one condition at its nodes, `[K]`.
    fn given(
        &self,
        b: &mut Builder,
        on: &Boundary,
        value: &Func,
        nodes: &[u32],
        data: &[Value],
        shared: &[Value],
    ) -> Value {
        let k = nodes.len();
        let varies = (0..1 + data.len()).any(|i| reads(value, i));
        if !varies {
            // Data arguments are dead: any values of their types will do.
            let mut args = vec![b.zeros(&Type::f64([self.balance.dimension]))];
            args.extend(on.point_data.iter().map(|ty| b.zeros(ty)));
            args.extend(shared);
            let v = b.inline(value, &args)[0];
            return b.broadcast_to(v, &[k]);
        }
        let mut args = vec![b.constant(node_coordinates(self.space, nodes))];
        args.extend(data);
        let mut mapped = vec![true; args.len()];
        args.extend(shared);
        mapped.resize(args.len(), false);
        b.map(Arc::new(value.clone()), k, mapped, &args)[0]
    }
}
