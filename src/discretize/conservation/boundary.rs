//! What stands beyond the boundary: ghosts, the states outside boundary faces, prescribed fluxes.

use super::ghost::{Ghost, Line};
use super::{Inputs, Law, over_points, spread};
use crate::discretize::balance::{Balance, Condition};
use crate::discretize::mesh::each_index;
use crate::discretize::{Mesh, Refusal, Side};
use crate::ir::{Builder, Tensor, Type, Value};

/// Which conditions act on which side.
pub struct Sides {
    /// Of each condition, its sides in the order of its data.
    of: Vec<Vec<Side>>,
    /// Of each condition, the number of its faces.
    pub counts: Vec<usize>,
}

impl Sides {
    pub fn new(balance: &Balance, mesh: &Mesh) -> Result<Sides, Refusal> {
        let of = balance.boundary.iter().map(|on| mesh.part(&on.part)).collect::<Result<Vec<_>, _>>()?;
        let counts = of.iter().map(|sides| sides.iter().map(|&s| faces(mesh, s)).sum()).collect();
        Ok(Sides { of, counts })
    }

    /// Centres of the faces of each condition, `[P, d]`.
    pub fn points(&self, mesh: &Mesh) -> Vec<Tensor> {
        let d = mesh.dimension();
        let h = mesh.spacing();
        let of = |sides: &Vec<Side>| {
            let mut x = vec![];
            for side in sides {
                let mut shape = mesh.cells.clone();
                shape[side.axis] = 1;
                each_index(&shape, |index| {
                    x.extend((0..d).map(|a| match (a == side.axis, side.high) {
                        (false, _) => mesh.origin[a] + (index[a] as f64 + 0.5) * h[a],
                        (true, false) => mesh.origin[a],
                        (true, true) => mesh.origin[a] + mesh.extent[a],
                    }));
                });
            }
            Tensor::f64([x.len() / d, d], x)
        };
        self.of.iter().map(of).collect()
    }

    /// Values given on a side, by component: arrays of extent 1 along the axis.
    fn values(&self, b: &mut Builder, law: &Law, side: Side, inputs: &Inputs) -> Vec<Option<Value>> {
        let mut found = vec![None; law.balance.components];
        for (k, on) in law.balance.boundary.iter().enumerate() {
            let Condition::Essential { component, value } = &on.condition else { continue };
            let Some(data) = self.data(b, law, k, side, inputs) else { continue };
            let x = coordinates(b, law, side);
            let args: Vec<Vec<Value>> = [x].into_iter().chain(data).chain(inputs.shared.iter().cloned()).collect();
            let v = over_points(b, value, &args)[0][0];
            found[*component].get_or_insert(spread(b, v, &shape(law, side)));
        }
        found
    }

    /// How each unknown goes on beyond the ends of an axis; `open` where none is given.
    pub fn ghosts(&self, b: &mut Builder, law: &Law, line: Line, inputs: &Inputs, open: Ghost) -> Vec<[Ghost; 2]> {
        if line.periodic {
            return vec![[Ghost::Constant; 2]; law.balance.components];
        }
        let [low, high] = [false, true].map(|high| {
            let given = self.values(b, law, Side { axis: line.axis, high }, inputs);
            let rest = if given.iter().all(Option::is_none) { open } else { Ghost::Even };
            given.into_iter().map(move |v| v.map_or(rest, Ghost::Odd)).collect::<Vec<_>>()
        });
        low.into_iter().zip(high).map(|(l, h)| [l, h]).collect()
    }

    /// Fluxes that gradients drive, over the faces of an axis, without those through walls where no value is given.
    pub fn sealed(&self, b: &mut Builder, law: &Law, line: Line, inputs: &Inputs, mut flux: Vec<Value>) -> Vec<Value> {
        if line.periodic {
            return flux;
        }
        for high in [false, true] {
            let side = Side { axis: line.axis, high };
            let given = self.values(b, law, side, inputs);
            for (f, _) in flux.iter_mut().zip(given).filter(|(_, given)| given.is_none()) {
                let nothing = b.zeros(&Type::f64(shape(law, side)));
                *f = line.replaced(b, *f, high, nothing);
            }
        }
        flux
    }

    /// Puts the states outside the boundary faces beside those inside.
    pub fn outer_states(
        &self,
        b: &mut Builder,
        law: &Law,
        line: Line,
        inputs: &Inputs,
        left: &mut [Value],
        right: &mut [Value],
    ) {
        for high in [false, true] {
            let given = self.values(b, law, Side { axis: line.axis, high }, inputs);
            let all = given.iter().all(Option::is_some);
            for (k, given) in given.into_iter().enumerate() {
                let (inner, outer) = if high { (left[k], &mut right[k]) } else { (right[k], &mut left[k]) };
                let inside = line.end(b, inner, high);
                let state = match given {
                    None => inside,
                    Some(v) if all => v,
                    Some(v) => {
                        let twice = b.scale(v, 2.0);
                        b.sub(twice, inside)
                    }
                };
                *outer = line.replaced(b, *outer, high, state);
            }
        }
    }

    /// Fluxes prescribed on a side, outward, by component; values that are given come first.
    pub fn fluxes(&self, b: &mut Builder, law: &Law, line: Line, high: bool, inputs: &Inputs) -> Vec<Option<Value>> {
        let side = Side { axis: line.axis, high };
        let c = law.balance.components;
        let mut found = vec![None; c];
        let has = |on: &crate::discretize::Boundary, k: usize| {
            matches!(on.condition, Condition::Natural { open: false, .. }) && self.of[k].contains(&side)
        };
        if !law.balance.boundary.iter().enumerate().any(|(k, on)| has(on, k)) {
            return found;
        }
        let given = self.values(b, law, side, inputs);
        for (k, on) in law.balance.boundary.iter().enumerate() {
            let Condition::Natural { rows, value, open: false, .. } = &on.condition else { continue };
            let Some(data) = self.data(b, law, k, side, inputs) else { continue };
            let x = coordinates(b, law, side);
            let u = (inputs.u.iter().zip(&given)).map(|(&u, g)| g.unwrap_or_else(|| line.at_end(b, u, high))).collect();
            let normal = side.normal(law.balance.dimension).iter().map(|&n| b.scalar(n)).collect();
            let args: Vec<Vec<Value>> =
                [x, u, normal].into_iter().chain(data).chain(inputs.shared.iter().cloned()).collect();
            let flux = over_points(b, value, &args).swap_remove(0);
            for i in (0..c).filter(|&i| rows[i] && given[i].is_none()) {
                found[i].get_or_insert(spread(b, flux[i], &shape(law, side)));
            }
        }
        found
    }

    /// The data of a condition on one of its sides, component by component.
    fn data(&self, b: &mut Builder, law: &Law, k: usize, side: Side, inputs: &Inputs) -> Option<Vec<Vec<Value>>> {
        let at = self.of[k].iter().position(|&s| s == side)?;
        let first: usize = self.of[k][..at].iter().map(|&s| faces(law.mesh, s)).sum();
        let count = faces(law.mesh, side);
        let entries = |&v: &Value, b: &mut Builder| {
            let rows = b.slice(v, 0, first, first + count);
            (0..b.ty(v).shape[1])
                .map(|j| {
                    let column = b.index(rows, 1, j);
                    b.reshape(column, &shape(law, side))
                })
                .collect()
        };
        Some(inputs.conditions[k].iter().map(|v| entries(v, b)).collect())
    }
}

fn shape(law: &Law, side: Side) -> Vec<usize> {
    let mut shape = law.mesh.cells.clone();
    shape[side.axis] = 1;
    shape
}

fn faces(mesh: &Mesh, side: Side) -> usize {
    mesh.cell_count() / mesh.cells[side.axis]
}

fn coordinates(b: &mut Builder, law: &Law, side: Side) -> Vec<Value> {
    let mut first = vec![0.5; law.balance.dimension];
    first[side.axis] = if side.high { law.mesh.cells[side.axis] as f64 } else { 0.0 };
    law.coordinates(b, &shape(law, side), &first)
}
