//! Cell-centred finite volumes with two-point fluxes [Eymard, Gallouët & Herbin, Finite Volume Methods, §3].
//!
//! The flux is read as `flux = f₀ + D ∂u/∂x` along each axis, with f₀ and D = ∂flux/∂∇u evaluated in each cell. Between two
//! cells the face value of u that makes both one-sided fluxes equal is eliminated, which gives
//! `q = (D_R f₀_L + D_L f₀_R + 2 D_L D_R (u_R - u_L)/h) / (D_L + D_R)`: the harmonic mean where coefficients jump. What leaves a
//! cell enters its neighbour, so the discrete balance is exact.

mod cells;
mod faces;
mod gradient;
mod sides;

use super::balance::{Balance, Condition};
use super::derivative::{Direction, derivative, is_zero, reads};
use super::discrete::with_lead;
use super::family::Family;
use super::sparsity::nonzero_pattern;
use super::{DataArgument, DataPoints, Discrete, Element, Mesh, Options, Refusal, Side, Space};
use crate::ir::{Block, Builder, Func, GridHint, Jacobian, Tensor, Type, Value};
use std::sync::Arc;

/// Discretises on a mesh of boxes: one value a cell. Errors: triangles; a coefficient two points cannot treat; a boundary part
/// that is not there. Data arguments of boundary conditions are taken at the centres of facets.
pub fn discretise(balance: &Balance, mesh: &Mesh, options: &Options) -> Result<Discrete, Refusal> {
    let (d, c) = (balance.dimension, balance.components);
    if mesh.dimension() != d {
        let message = format!("`{}` is posed in {d} dimensions, the mesh has {}", balance.name, mesh.dimension());
        return Err(Refusal::new("discretize.mesh", message));
    }
    if mesh.element == Element::Triangle {
        return Err(Refusal::new("discretize.two_point", "finite volumes need boxes, the mesh is of triangles")
            .help("leave the element to the scheme, or use `fem(...)`"));
    }
    balance.first_order()?;
    balance.told_at_walls()?;
    let sides = balance.boundary.iter().map(|on| mesh.part(&on.part)).collect::<Result<Vec<_>, _>>()?;
    check_two_point(balance)?;

    let space = Space::cells(mesh.clone());
    let data = data_arguments(balance, &space, &sides);
    let law = cells::Law::new(balance);
    let scheme = Scheme { balance, space: &space, sides: &sides, data: &data, law: &law };
    let grid =
        GridHint { points: mesh.cells.clone(), periodic: mesh.periodic.clone(), components: c, unknowns: Arc::new([]) };
    let nominal = (0..mesh.cell_count()).flat_map(|_| (0..c).map(|i| balance.nominal.get(i).copied().unwrap_or(0.0)));
    Ok(Discrete {
        residual: Arc::new(scheme.residual()),
        expand: Arc::new(scheme.expand()),
        gradient: Some(Arc::new(scheme.gradient())),
        spec: Arc::new(options.spec(balance, Some(grid), Some(scheme.jacobian()))),
        free: mesh.cell_count() * c,
        nominal: Tensor::f64([mesh.cell_count() * c], nominal.collect::<Vec<_>>()),
        places: Tensor::index([mesh.cell_count() * c], (0..(mesh.cell_count() * c) as u32).collect::<Vec<_>>()),
        data,
        shared: balance.shared.clone(),
        space: space.clone(),
    })
}

/// What the functions of a discretisation are made from.
struct Scheme<'a> {
    balance: &'a Balance,
    space: &'a Space,
    sides: &'a [Vec<Side>],
    data: &'a [DataArgument],
    law: &'a cells::Law,
}

/// The inputs of a function under construction.
struct Inputs {
    /// `[cells, c]`
    u: Value,
    interior: Vec<Value>,
    boundary: Vec<Vec<Value>>,
    shared: Vec<Value>,
}

impl Scheme<'_> {
    fn inputs(&self, b: &mut Builder) -> Inputs {
        let (n, c) = (self.space.node_count(), self.balance.components);
        let unknowns = b.input(Type::f64([n * c]));
        let u = b.reshape(unknowns, &[n, c]);
        let mut data = self.data.iter().map(|a| b.input(a.ty.clone())).collect::<Vec<_>>().into_iter();
        let interior = data.by_ref().take(self.balance.point_data.len()).collect();
        let boundary =
            self.balance.boundary.iter().map(|on| data.by_ref().take(on.point_data.len()).collect()).collect();
        let shared = self.balance.shared.iter().map(|ty| b.input(ty.clone())).collect();
        Inputs { u, interior, boundary, shared }
    }

    fn expand(&self) -> Func {
        let mut b = Builder::new(format!("{} values", self.balance.name));
        let u = self.inputs(&mut b).u;
        b.finish(vec![u])
    }

    fn residual(&self) -> Func {
        let (n, c) = (self.space.node_count(), self.balance.components);
        let mut b = Builder::new(format!("{} residual", self.balance.name));
        let inputs = self.inputs(&mut b);
        let cells = self.cell_values(&mut b, &inputs);
        let volume: f64 = self.space.mesh.spacing().iter().product();
        let mut total = b.scale(cells.source, volume);
        for faces in self.inner_faces() {
            let part = self.face_residual(&mut b, &faces, &cells, inputs.u);
            total = b.add(total, part);
        }
        for side in self.boundary_sides() {
            let part = self.side_residual(&mut b, &side, &cells, &inputs);
            total = b.add(total, part);
        }
        let flat = b.reshape(total, &[n * c]);
        b.finish(vec![flat])
    }

    fn jacobian(&self) -> Jacobian {
        let mut b = Builder::new(format!("{} Jacobian", self.balance.name));
        let inputs = self.inputs(&mut b);
        let cells = self.cell_values(&mut b, &inputs);
        let slopes = self.cell_slopes(&mut b, &inputs);
        let mut parts: Vec<(Value, Block)> = vec![];
        parts.extend(self.source_block(&mut b, &slopes));
        for faces in self.inner_faces() {
            parts.push(self.face_block(&mut b, &faces, &cells, &slopes, inputs.u));
        }
        for side in self.boundary_sides() {
            parts.extend(self.side_block(&mut b, &side, &cells, &slopes, &inputs));
        }
        let (values, blocks) = parts.into_iter().unzip();
        Jacobian { values: b.finish(values), blocks }
    }

    /// Places of the values of cells, `[count, cells a row · c]`.
    fn places(&self, cells: &[u32], per_row: usize) -> Tensor {
        let c = self.balance.components as u32;
        let places: Vec<u32> = cells.iter().flat_map(|&cell| (0..c).map(move |i| cell * c + i)).collect();
        Tensor::index([cells.len() / per_row, per_row * c as usize], places)
    }
}

/// Refuses what two values and a distance cannot represent.
fn check_two_point(balance: &Balance) -> Result<(), Refusal> {
    let (d, c) = (balance.dimension, balance.components);
    let refuse = |message: String| {
        let help = "use `fem(...)`, which has no such restriction";
        Err(Refusal::new("discretize.two_point", format!("`{}`: {message}", balance.name)).help(help))
    };
    let directions: Vec<Direction> = (0..c * d).map(|element| Direction { input: 2, element }).collect();
    let slopes = derivative(&balance.interior, &directions);
    if reads(&slopes, 2) {
        return refuse("the flux is not affine in the gradient".into());
    }
    let pattern = nonzero_pattern(&slopes);
    for (k, direction) in directions.iter().enumerate() {
        if !is_zero(&slopes, slopes.outputs[2 * k + 1]) && pattern[2 * k + 1].contains(&1.0) {
            return refuse("the source depends on the gradient; write advection as the divergence of a flux".into());
        }
        if let Some(other) = (0..c * d).find(|&e| e != direction.element && pattern[2 * k][e] != 0.0) {
            let (row, column) = (other % d + 1, direction.element % d + 1);
            return refuse(match other / d == direction.element / d {
                true => format!("the flux along axis {row} may depend on the gradient along axis {column}"),
                false => "the flux of one component may depend on the gradient of another".into(),
            });
        }
    }
    // Natural conditions of vectors: each component's flux by its own value.
    for on in &balance.boundary {
        let Condition::Natural { value, open: false, .. } = &on.condition else { continue };
        let directions: Vec<Direction> = (0..c).map(|element| Direction { input: 1, element }).collect();
        let pattern = nonzero_pattern(&derivative(value, &directions));
        if pattern.iter().enumerate().any(|(j, column)| (0..c).any(|i| i != j && column[i] != 0.0)) {
            return refuse(format!("on `{}` the flux of one component depends on the value of another", on.part));
        }
    }
    Ok(())
}

fn data_arguments(balance: &Balance, space: &Space, sides: &[Vec<Side>]) -> Vec<DataArgument> {
    let interior = [space.mesh.cell_count(), 1];
    let of_interior =
        balance.point_data.iter().map(|item| DataArgument { ty: with_lead(&interior, item), at: DataPoints::Interior });
    let of_boundary = balance.boundary.iter().zip(sides).flat_map(|(on, sides)| {
        let count: usize = sides.iter().map(|&s| Family::facets(&space.mesh, s, 1).count).sum();
        let at = DataPoints::Facets(sides.clone());
        on.point_data.iter().map(move |item| DataArgument { ty: with_lead(&[count, 1], item), at: at.clone() })
    });
    of_interior.chain(of_boundary).collect()
}
