//! Families of congruent domains of integration, and shape functions at their quadrature points.

use super::Element;
use super::mesh::{Mesh, Side, each_index, trace_unravel};
use super::quadrature::{Rule, rule, tensor_product};
use crate::ir::{Builder, DType, Op, Tensor, Unary, Value};

/// Congruent domains of integration: the elements of a mesh, or the facets of one side.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Family {
    pub count: usize,
    /// Of each quadrature point, with the Jacobian of the map from the reference domain.
    pub weights: Vec<f64>,
    /// Quadrature points in units of a cell, relative to the cell's low corner.
    pub points: Vec<Vec<f64>>,
    /// Extents of the box that the index of a domain runs over, and where that box starts.
    cells: Vec<usize>,
    start: Vec<f64>,
    /// Two domains a cell, the second turned by half a turn.
    turned: bool,
    origin: Vec<f64>,
    spacing: Vec<f64>,
}

impl Family {
    /// The elements of a mesh, `n` Gauss points an axis.
    pub fn elements(mesh: &Mesh, n: usize) -> Family {
        if mesh.clustered {
            return Family::lobatto(mesh, None);
        }
        let Rule { points, weights } = rule(mesh.element, n);
        let spacing = mesh.spacing();
        let volume: f64 = spacing.iter().product();
        Family {
            count: mesh.element_count(),
            weights: weights.iter().map(|w| w * volume).collect(),
            points,
            cells: mesh.cells.clone(),
            start: vec![0.0; spacing.len()],
            turned: mesh.element == Element::Triangle,
            origin: mesh.origin.clone(),
            spacing,
        }
    }

    /// The facets of one side, `n` Gauss points an axis.
    pub fn facets(mesh: &Mesh, side: Side, n: usize) -> Family {
        if mesh.clustered {
            return Family::lobatto(mesh, Some(side));
        }
        let Rule { points, weights } = tensor_product(mesh.dimension() - 1, n);
        let spacing = mesh.spacing();
        let area: f64 = spacing.iter().enumerate().filter(|&(a, _)| a != side.axis).map(|(_, h)| h).product();
        let mut cells = mesh.cells.clone();
        cells[side.axis] = 1;
        let mut start = vec![0.0; spacing.len()];
        if side.high {
            start[side.axis] = mesh.cells[side.axis] as f64;
        }
        let in_cell = |mut p: Vec<f64>| {
            p.insert(side.axis, 0.0);
            p
        };
        Family {
            count: cells.iter().product(),
            weights: weights.iter().map(|w| w * area).collect(),
            points: points.into_iter().map(in_cell).collect(),
            cells,
            start,
            turned: false,
            origin: mesh.origin.clone(),
            spacing,
        }
    }

    /// The box of a clustered mesh, or one side of it, as one domain: its nodes with Clenshaw and Curtis's weights.
    fn lobatto(mesh: &Mesh, side: Option<Side>) -> Family {
        let (mut points, mut weights) = (vec![vec![]], vec![1.0]);
        for a in 0..mesh.dimension() {
            let (x, w) = match side {
                Some(side) if side.axis == a => (vec![side.high as u8 as f64], vec![1.0]),
                _ => {
                    let w = super::chebyshev::weights(mesh.cells[a]);
                    (super::chebyshev::points(mesh.cells[a]), w.iter().map(|w| w * mesh.extent[a]).collect())
                }
            };
            points = points.iter().flat_map(|p: &Vec<f64>| x.iter().map(|&x| [&p[..], &[x]].concat())).collect();
            weights = weights.iter().flat_map(|v| w.iter().map(move |w| v * w)).collect();
        }
        let d = mesh.dimension();
        Family {
            count: 1,
            weights,
            points,
            cells: vec![1; d],
            start: vec![0.0; d],
            turned: false,
            origin: mesh.origin.clone(),
            spacing: mesh.extent.clone(),
        }
    }

    /// The weights `[q]` times rows of a table `[q, …]`.
    pub fn weighted(&self, table: &[f64]) -> Vec<f64> {
        let width = table.len() / self.weights.len();
        table.iter().enumerate().map(|(i, x)| x * self.weights[i / width]).collect()
    }

    /// Coordinates of all quadrature points, `[count, q, d]`, for a reader outside the IR.
    pub fn coordinates(&self) -> Vec<f64> {
        let mut all = Vec::with_capacity(self.count * self.points.len() * self.spacing.len());
        let signs: &[f64] = if self.turned { &[1.0, -1.0] } else { &[1.0] };
        each_index(&self.cells, |index| {
            for sign in signs {
                for xi in &self.points {
                    for a in 0..index.len() {
                        let corner = index[a] as f64 + self.start[a] + 0.5 * (1.0 - sign);
                        all.push(self.origin[a] + (corner + sign * xi[a]) * self.spacing[a]);
                    }
                }
            }
        });
        all
    }

    /// Coordinates of all quadrature points, `[count, q, d]`.
    pub fn trace_coordinates(&self, b: &mut Builder) -> Value {
        let (count, q) = (self.count, self.points.len());
        let e = numbers(b, count);
        let corners = self.trace_corner(b, e);
        let turn = self.trace_turn(b, e);
        let shape = vec![count, q];
        let over_points = |b: &mut Builder, v: Value| b.op(Op::Broadcast { shape: shape.clone(), axes: vec![0] }, &[v]);
        let axes: Vec<Value> = corners
            .iter()
            .enumerate()
            .map(|(a, &corner)| {
                let xi: Vec<f64> = self.points.iter().map(|p| p[a]).collect();
                let xi = b.constant(Tensor::f64([q], xi));
                let mut xi = b.broadcast_to(xi, &[count, q]);
                if let Some(turn) = turn {
                    let turn = over_points(b, turn);
                    xi = b.mul(xi, turn);
                }
                let corner = over_points(b, corner);
                let t = b.add(corner, xi);
                let t = b.scale(t, self.spacing[a]);
                let origin = b.scalar(self.origin[a]);
                b.add(t, origin)
            })
            .collect();
        b.stack(&axes, 2)
    }

    /// The turn of each domain `e` (whole numbers of any shape): 1 or -1, where the family has turned ones.
    pub fn trace_turn(&self, b: &mut Builder, e: Value) -> Option<Value> {
        self.turned.then(|| {
            let half = b.scale(e, 0.5);
            let cell = b.unary(Unary::Floor, half);
            let cell = b.scale(cell, 4.0);
            let e = b.scale(e, -2.0);
            let one = b.scalar(1.0);
            let turn = b.add(e, one);
            b.add(turn, cell)
        })
    }

    /// Coordinates `[d]` of the k-th quadrature point of one domain, from its corner and turn.
    pub fn trace_point(&self, b: &mut Builder, corner: &[Value], turn: Option<Value>, k: usize) -> Value {
        let axes: Vec<Value> = corner
            .iter()
            .enumerate()
            .map(|(a, &corner)| {
                let xi = b.scalar(self.points[k][a]);
                let xi = turn.map_or(xi, |t| b.mul(xi, t));
                let t = b.add(corner, xi);
                let t = b.scale(t, self.spacing[a]);
                let origin = b.scalar(self.origin[a]);
                b.add(t, origin)
            })
            .collect();
        b.stack(&axes, 0)
    }

    /// Low (or, if turned, high) corner of each domain `e`, in units of cells, one value an axis.
    pub fn trace_corner(&self, b: &mut Builder, e: Value) -> Vec<Value> {
        let turn = self.trace_turn(b, e);
        let cell = match turn {
            Some(_) => {
                let half = b.scale(e, 0.5);
                b.unary(Unary::Floor, half)
            }
            None => e,
        };
        let index = trace_unravel(b, cell, &self.cells);
        let far = turn.map(|t| {
            let half = b.scale(t, -0.5);
            let mid = b.scalar(0.5);
            b.add(half, mid)
        });
        index
            .into_iter()
            .zip(&self.start)
            .map(|(i, &start)| {
                let start = b.scalar(start);
                let i = b.add(i, start);
                far.map_or(i, |far| b.add(i, far))
            })
            .collect()
    }
}

/// Values and gradients of a space's shape functions at a family's quadrature points.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Table {
    /// `[q, n]`
    pub values: Vec<f64>,
    /// `[q, n, d]`, in physical units, for a domain that is not turned. Empty on facets.
    pub gradients: Vec<f64>,
    pub nodes: usize,
}

/// `0, 1, …, n - 1` as f64.
pub(crate) fn numbers(b: &mut Builder, n: usize) -> Value {
    b.op(Op::Iota { dtype: DType::F64, shape: vec![n], axis: 0 }, &[])
}
