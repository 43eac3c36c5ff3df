//! A discretised balance law: what every method delivers.

use super::balance::Balance;
use super::family::Family;
use super::{Leaf, Side, Space};
use crate::ir::{Builder, Func, GridHint, Jacobian, LinearSolver, Op, SolveSpec, Tensor, Type, Value};
use std::sync::Arc;

/// How the system is to be solved.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    pub solver: LinearSolver,
    pub linear_tolerance: f64,
    pub newton_tolerance: f64,
    pub newton_iterations: usize,
}

impl Default for Options {
    fn default() -> Options {
        let spec = SolveSpec::default();
        Options {
            solver: spec.solver,
            linear_tolerance: spec.linear_tolerance,
            newton_tolerance: spec.newton_tolerance,
            newton_iterations: spec.newton_iterations,
        }
    }
}

/// A discretised balance. Its functions take, in this order, what is listed with them.
#[derive(Clone, Debug)]
pub struct Discrete {
    /// `(u[free], data…, shared…) → [free]`
    pub residual: Arc<Func>,
    /// `(u[free], data…, shared…) → [N, c]`, all nodal values, essential ones included.
    pub expand: Arc<Func>,
    /// `(u[free], data…, shared…) → ∇u [cells, c, d]`, where the method has its own: finite volumes read it off their fluxes.
    /// Elements have none; their gradient is that of the shape functions ([`Leaf::Gradient`]).
    pub gradient: Option<Arc<Func>>,
    pub spec: Arc<SolveSpec>,
    /// Number of unknowns.
    pub free: usize,
    /// The arrays `data…`, in order: the balance's own, then those of each boundary condition.
    pub data: Vec<DataArgument>,
    /// Types of `shared…`.
    pub shared: Vec<Type>,
    /// The space of the expanded field.
    pub space: Space,
    /// Nominal size of every unknown: a guess for Newton, and a scale.
    pub nominal: Tensor,
    /// Where each unknown stands among all nodal values `[N, c]`: index tensor `[free]`.
    pub places: Tensor,
}

/// An array of values at points: `lead` gives the points, then follows the shape of one item.
#[derive(Clone, PartialEq, Debug)]
pub struct DataArgument {
    pub ty: Type,
    pub at: DataPoints,
}

/// Where the items of a [`DataArgument`] are taken.
#[derive(Clone, PartialEq, Debug)]
pub enum DataPoints {
    /// At the quadrature points of elements, `[E, q]`.
    Interior,
    /// At the quadrature points of the facets of these sides, one side after the other, `[F, q]`.
    Facets(Vec<Side>),
    /// At these nodes, `[K]`.
    Nodes(Vec<u32>),
}

impl Discrete {
    /// Coordinates of the points of a data argument, `[E, q, d]`, `[F, q, d]` or `[K, d]`.
    pub fn coordinates(&self, at: &DataPoints) -> Tensor {
        let d = self.space.mesh.dimension();
        match at {
            DataPoints::Interior => self.space.quadrature_coordinates(),
            DataPoints::Facets(sides) => {
                let families = sides.iter().map(|&s| Family::facets(&self.space.mesh, s, self.space.gauss));
                let x: Vec<f64> = families.flat_map(|f| f.coordinates()).collect();
                let q = facet_points(&self.space);
                Tensor::f64([x.len() / (q * d), q, d], x)
            }
            DataPoints::Nodes(nodes) => node_coordinates(&self.space, nodes),
        }
    }

    /// `Op::Solve` in `b`: the unknowns `[free]`. `guess` is `[free]`; none starts from the nominal sizes.
    pub fn solve_unknowns(&self, b: &mut Builder, guess: Option<Value>, data: &[Value], shared: &[Value]) -> Value {
        let guess = guess.unwrap_or_else(|| b.constant(self.nominal.clone()));
        let args: Vec<Value> = [guess].iter().chain(data).chain(shared).copied().collect();
        b.op(Op::Solve { residual: self.residual.clone(), spec: self.spec.clone() }, &args)
    }

    /// Solves; all nodal values `[N, c]`.
    pub fn solve(&self, b: &mut Builder, guess: Option<Value>, data: &[Value], shared: &[Value]) -> Value {
        self.solve_with_gradient(b, guess, data, shared).0
    }

    /// Solves; all nodal values `[N, c]`, and what an integrand's argument `∇u` is to be bound to.
    pub fn solve_with_gradient(
        &self,
        b: &mut Builder,
        guess: Option<Value>,
        data: &[Value],
        shared: &[Value],
    ) -> (Value, Leaf<'_>) {
        let u = self.solve_unknowns(b, guess, data, shared);
        let args: Vec<Value> = [u].iter().chain(data).chain(shared).copied().collect();
        let dofs = b.inline(&self.expand, &args)[0];
        let leaf = match &self.gradient {
            None => Leaf::Gradient { space: &self.space, dofs },
            Some(gradient) => {
                let g = b.inline(gradient, &args)[0];
                let mut shape = b.ty(g).shape.clone();
                shape.insert(1, 1);
                Leaf::Data(b.reshape(g, &shape))
            }
        };
        (dofs, leaf)
    }
}

impl Options {
    pub(crate) fn spec(&self, balance: &Balance, grid: Option<GridHint>, jacobian: Option<Jacobian>) -> SolveSpec {
        SolveSpec {
            name: balance.name.clone(),
            scale: None,
            linear: balance.linear,
            symmetric: balance.symmetric,
            constant_kernel: balance.constant_kernel,
            solver: self.solver,
            linear_tolerance: self.linear_tolerance,
            newton_tolerance: self.newton_tolerance,
            newton_iterations: self.newton_iterations,
            may_fail: false,
            grid,
            jacobian: jacobian.map(Arc::new),
        }
    }
}

/// The type of an array of items over the points that `lead` counts.
pub(crate) fn with_lead(lead: &[usize], item: &Type) -> Type {
    Type::new(item.dtype, lead.iter().chain(&item.shape).copied().collect::<Vec<_>>())
}

pub(crate) fn facet_points(space: &Space) -> usize {
    space.gauss.pow(space.mesh.dimension() as u32 - 1)
}

pub(crate) fn node_coordinates(space: &Space, nodes: &[u32]) -> Tensor {
    let d = space.mesh.dimension();
    let all = space.node_coordinates();
    let all = all.as_f64().expect("compiler bug: coordinates are f64");
    let x: Vec<f64> = nodes.iter().flat_map(|&i| all[i as usize * d..][..d].to_vec()).collect();
    Tensor::f64([nodes.len(), d], x)
}
