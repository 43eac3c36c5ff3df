//! Galerkin's method on Lagrange elements: a balance law becomes a residual over nodal values, with its sparse Jacobian.
//!
//! Tested with every shape function, `∇·flux + source = 0` reads `∫ source v - flux·∇v dΩ + ∫ flux·n v ds = 0`.
//! Essential values are appended to the unknowns, `full = (u, g)`, so that one connectivity serves gathering and scattering:
//! rows of given values have indices beyond the unknowns and are dropped.

mod constraints;
mod jacobian;
mod mixed;
mod residual;

use super::balance::{Balance, Condition};
use super::discrete::{facet_points, with_lead};
use super::family::Family;
pub use super::{DataArgument, DataPoints, Discrete, Options};
use super::{Refusal, Side, Space};
use crate::ir::{Builder, GridHint, Tensor, Type, Value};
pub(super) use constraints::Constraints;
pub(super) use mixed::unheld;
use std::sync::Arc;

/// Discretises on a space over the balance's domain. Errors: dimensions that differ, a boundary part that is not there,
/// nothing left to solve for.
pub fn discretise(balance: &Balance, space: &Space, options: &Options) -> Result<Discrete, Refusal> {
    let (d, c) = (balance.dimension, balance.components);
    if space.mesh.dimension() != d || space.order == 0 {
        let message = format!("`{}` is posed in {d} dimensions, the mesh has {}", balance.name, space.mesh.dimension());
        return Err(Refusal::new("discretize.mesh", message));
    }
    balance.first_order()?;
    balance.told_at_walls()?;
    let sides = balance.boundary.iter().map(|on| space.mesh.part(&on.part)).collect::<Result<Vec<_>, _>>()?;
    let lowered = mixed::multipliers(balance, space);
    let constraints = Constraints::new(balance, space, &sides, lowered);
    if constraints.free == 0 {
        let message =
            format!("every value of `{}` is given by its boundary conditions: no unknown is left", balance.name);
        return Err(Refusal::new("discretize.empty", message).help("refine the mesh"));
    }

    let data = data_arguments(balance, space, &sides, &constraints);
    let system = System { balance, space, sides: &sides, constraints: &constraints, data: &data };
    let (residual, expand) = (system.residual(), system.expand());
    let spec = options.spec(balance, grid_hint(space, c, &constraints), Some(system.jacobian()));
    Ok(Discrete {
        residual: Arc::new(residual),
        expand: Arc::new(expand),
        gradient: None,
        spec: Arc::new(spec),
        free: constraints.free,
        nominal: nominal(balance, space, &constraints),
        places: places(&constraints),
        data,
        shared: balance.shared.clone(),
        space: space.clone(),
    })
}

/// What residual, expansion and Jacobian are made from.
pub(super) struct System<'a> {
    pub balance: &'a Balance,
    pub space: &'a Space,
    /// Sides of each boundary condition.
    pub sides: &'a [Vec<Side>],
    pub constraints: &'a Constraints,
    pub data: &'a [DataArgument],
}

/// The inputs of a function under construction.
pub(super) struct Inputs {
    pub unknowns: Value,
    /// Interior data, then those of each boundary condition.
    pub interior: Vec<Value>,
    pub boundary: Vec<Vec<Value>>,
    pub shared: Vec<Value>,
}

impl System<'_> {
    pub fn inputs(&self, b: &mut Builder) -> Inputs {
        let unknowns = b.input(Type::f64([self.constraints.free]));
        let mut data = self.data.iter().map(|a| b.input(a.ty.clone())).collect::<Vec<_>>().into_iter();
        let interior = data.by_ref().take(self.balance.point_data.len()).collect();
        let boundary =
            self.balance.boundary.iter().map(|on| data.by_ref().take(on.point_data.len()).collect()).collect();
        let shared = self.balance.shared.iter().map(|ty| b.input(ty.clone())).collect();
        Inputs { unknowns, interior, boundary, shared }
    }
}

pub(super) fn data_arguments(
    balance: &Balance,
    space: &Space,
    sides: &[Vec<Side>],
    constraints: &Constraints,
) -> Vec<DataArgument> {
    let interior = [space.element_count(), space.quadrature_count()];
    let mut all: Vec<DataArgument> = balance
        .point_data
        .iter()
        .map(|item| DataArgument { ty: with_lead(&interior, item), at: DataPoints::Interior })
        .collect();
    for (k, on) in balance.boundary.iter().enumerate() {
        let (lead, at) = match &on.condition {
            Condition::Essential { .. } => {
                let nodes = constraints.nodes[k].clone();
                (vec![nodes.len()], DataPoints::Nodes(nodes))
            }
            Condition::Natural { .. } => {
                let count: usize = sides[k].iter().map(|&s| Family::facets(&space.mesh, s, 1).count).sum();
                (vec![count, facet_points(space)], DataPoints::Facets(sides[k].clone()))
            }
        };
        all.extend(on.point_data.iter().map(|item| DataArgument { ty: with_lead(&lead, item), at: at.clone() }));
    }
    all
}

/// The lattice of nodes, where whole nodes are free or given. Vectors fixed in some components only have no such lattice.
fn grid_hint(space: &Space, components: usize, constraints: &Constraints) -> Option<GridHint> {
    if constraints.is_mixed() {
        return None;
    }
    let unknowns: Vec<u32> = if constraints.fixed == 0 {
        vec![]
    } else {
        let (c, free) = (components as u32, constraints.free as u32);
        let of_node = |slots: &[u32]| match slots.iter().filter(|&&s| s < free).count() {
            0 => Some(u32::MAX),
            n if n == components => Some(slots[0] / c),
            _ => None,
        };
        constraints.slots.chunks(components).map(of_node).collect::<Option<_>>()?
    };
    Some(GridHint {
        points: space.points.clone(),
        periodic: space.mesh.periodic.clone(),
        components,
        unknowns: unknowns.into(),
    })
}

pub(super) fn places(constraints: &Constraints) -> Tensor {
    let mut places = vec![0; constraints.free];
    // Backwards, so that the first of several values that share an unknown stays: the vertex, not what lies between.
    for (k, slot) in constraints.slots.iter().enumerate().rev() {
        if let Some(place) = places.get_mut(*slot as usize) {
            *place = k as u32;
        }
    }
    Tensor::index([places.len()], places)
}

fn nominal(balance: &Balance, space: &Space, constraints: &Constraints) -> Tensor {
    let mut x = vec![0.0; constraints.free];
    for node in 0..space.node_count() {
        for i in 0..balance.components {
            if let Some(x) = x.get_mut(constraints.slots[node * balance.components + i] as usize) {
                *x = balance.nominal.get(i).copied().unwrap_or(0.0);
            }
        }
    }
    Tensor::f64([constraints.free], x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discretize::derivative::reads;
    use crate::discretize::{Boundary, Element, Mesh};

    /// `-∇·∇u + u = x_0`, u = 1 on the left, `flux·n = u` elsewhere.
    fn problem(d: usize, c: usize) -> Balance {
        let mut b = Builder::new("interior");
        let (x, u, g) = (b.input(Type::f64([d])), b.input(Type::f64([c])), b.input(Type::f64([c, d])));
        let flux = b.neg(g);
        let x0 = b.index(x, 0, 0);
        let source = b.sub(u, x0);
        let interior = b.finish(vec![flux, source]);
        let boundary = |part: &str, condition| Boundary { part: part.into(), condition, point_data: vec![] };
        let value = |essential: bool| {
            let mut b = Builder::new("condition");
            b.input(Type::f64([d]));
            if essential {
                let one = b.scalar(1.0);
                return b.finish(vec![one]);
            }
            let u = b.input(Type::f64([c]));
            b.input(Type::f64([d]));
            b.finish(vec![u])
        };
        let mut on: Vec<Boundary> =
            (0..c).map(|component| boundary("left", Condition::Essential { component, value: value(true) })).collect();
        on.push(boundary("right", Condition::flux(c, value(false))));
        Balance {
            name: "Test".into(),
            dimension: d,
            components: c,
            order: 1,
            nominal: vec![1.0; c],
            interior,
            point_data: vec![],
            shared: vec![],
            boundary: on,
            linear: true,
            symmetric: true,
            constant_kernel: false,
            carries: false,
        }
    }

    #[test]
    fn every_element_gives_well_typed_functions() {
        for (element, d) in [(Element::Interval, 1), (Element::Triangle, 2), (Element::Quad, 2), (Element::Hex, 3)] {
            for order in [1, 2] {
                for c in [1, 2] {
                    let mesh = Mesh::new(element, &vec![0.0; d], &vec![1.0; d], &vec![2; d], &vec![false; d]).unwrap();
                    let space = Space::lagrange(mesh, order, None).unwrap();
                    let discrete = discretise(&problem(d, c), &space, &Options::default()).unwrap();
                    let side = (2 * order + 1usize).pow(d as u32 - 1);
                    assert_eq!(discrete.free, c * (space.node_count() - side));
                    assert_eq!(discrete.residual.output_types(), [Type::f64([discrete.free])]);
                    assert_eq!(discrete.expand.output_types(), [Type::f64([space.node_count(), c])]);
                    let jacobian = discrete.spec.jacobian.as_ref().unwrap();
                    assert!(!reads(&jacobian.values, 0), "the matrix of a linear problem depends on the unknown");
                    let grid = discrete.spec.grid.as_ref().unwrap();
                    assert_eq!(grid.unknowns.iter().filter(|&&u| u != u32::MAX).count() * c, discrete.free);
                }
            }
        }
    }

    #[test]
    fn what_has_no_unknown_or_no_such_part_is_refused() {
        let mesh = |periodic| Mesh::new(Element::Interval, &[0.0], &[1.0], &[1], &[periodic]).unwrap();
        let space = Space::lagrange(mesh(false), 1, None).unwrap();
        let mut balance = problem(1, 1);
        balance.boundary.pop();
        balance.boundary.push(Boundary { part: "right".into(), ..balance.boundary[0].clone() });
        assert_eq!(discretise(&balance, &space, &Options::default()).unwrap_err().code, "discretize.empty");
        let space = Space::lagrange(mesh(true), 1, None).unwrap();
        assert_eq!(discretise(&balance, &space, &Options::default()).unwrap_err().code, "discretize.part");
    }
}
