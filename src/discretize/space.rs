//! Lagrange finite-element spaces on a mesh: nodes, connectivity, quadrature; interpolation and integration as IR.

use super::basis::{self, HIGHEST_ORDER, node_offsets};
use super::element_map::{self, Leaf, LocalLeaf, constant};
use super::family::{Family, Table};
use super::mesh::{each_index, ravel, unravel};
use super::{Mesh, Refusal, Side};
use crate::ir::{Builder, DType, Dot, Func, Op, Tensor, Value};

/// Continuous piecewise polynomials of order 1 or 2, or one value a cell (order 0, the space of finite volumes).
/// Nodes are the points of a lattice with `order` steps a cell edge, row-major, axis 0 slowest; a periodic axis has no last one.
#[derive(Clone, PartialEq, Debug)]
pub struct Space {
    pub mesh: Mesh,
    pub order: usize,
    /// Gauss points along each axis of an element.
    pub gauss: usize,
    /// Points of the node lattice along each axis.
    pub points: Vec<usize>,
    /// Node of each element's shape functions: index tensor `[E, n]`.
    pub connectivity: Tensor,
    /// Integrals weigh the points beside walls so that they are of order 4 (Euler and Maclaurin).
    pub corrected: bool,
    pub(crate) family: Family,
    pub(crate) table: Table,
}

impl Space {
    /// `gauss` Gauss points an axis; by default `order + 1`, which leaves the order of convergence to the shape functions
    /// when coefficients vary [Ciarlet, §4.1]. Errors: an order that is not there.
    pub fn lagrange(mesh: Mesh, order: usize, gauss: Option<usize>) -> Result<Space, Refusal> {
        if order == 0 || order > HIGHEST_ORDER {
            let message = format!("there are no Lagrange elements of order {order}");
            return Err(Refusal::new("discretize.order", message).help("choose order=1 or order=2"));
        }
        let gauss = gauss.unwrap_or(order + 1);
        if !(1..=16).contains(&gauss) {
            let message = format!("a quadrature with {gauss} points an axis is not available");
            return Err(Refusal::new("discretize.quadrature", message).help("choose 1 to 16 points"));
        }
        Ok(Space::build(mesh, order, gauss))
    }

    /// One value a cell.
    pub fn cells(mesh: Mesh) -> Space {
        Space::build(mesh, 0, 1)
    }

    /// One value a cell, at its centre, of something known to order 4: integrals are of that order at walls, too. Sums over the cells
    /// are then not what is conserved.
    pub fn points(mesh: Mesh) -> Space {
        Space { corrected: true, ..Space::cells(mesh) }
    }

    fn build(mesh: Mesh, order: usize, gauss: usize) -> Space {
        if mesh.clustered {
            return Space::clustered(mesh);
        }
        let steps = order.max(1);
        let open = |a: usize| (order > 0 && !mesh.periodic[a]) as usize;
        let points: Vec<usize> = (0..mesh.dimension()).map(|a| mesh.cells[a] * steps + open(a)).collect();
        let family = Family::elements(&mesh, gauss);
        let h = mesh.spacing();
        let table = Table {
            values: family.points.iter().flat_map(|xi| basis::values(mesh.element, order, xi)).collect(),
            gradients: family
                .points
                .iter()
                .flat_map(|xi| basis::gradients(mesh.element, order, xi))
                .flat_map(|g| g.into_iter().zip(&h).map(|(g, h)| g / h).collect::<Vec<_>>())
                .collect(),
            nodes: node_offsets(mesh.element, order).len(),
        };
        let connectivity = connectivity(&mesh, order, &points);
        Space { mesh, order, gauss, points, connectivity, corrected: false, family, table }
    }

    /// One polynomial along each axis, through the nodes of a clustered mesh, which are its quadrature points, too.
    fn clustered(mesh: Mesh) -> Space {
        let points: Vec<usize> = mesh.cells.iter().map(|n| n + 1).collect();
        let count: usize = points.iter().product();
        let family = Family::elements(&mesh, 0);
        let table = Table { values: vec![], gradients: vec![], nodes: count };
        let connectivity = Tensor::index([1, count], (0..count as u32).collect::<Vec<_>>());
        Space { gauss: points[0], mesh, order: 1, points, connectivity, corrected: false, family, table }
    }

    /// Number of domains of integration, E.
    pub fn element_count(&self) -> usize {
        self.family.count
    }

    /// Number of nodes N; a field of c components has `[N, c]` values.
    pub fn node_count(&self) -> usize {
        self.points.iter().product()
    }

    /// Quadrature points of an element, q.
    pub fn quadrature_count(&self) -> usize {
        self.family.points.len()
    }

    /// Shape functions of an element, n.
    pub fn local_count(&self) -> usize {
        self.table.nodes
    }

    /// Position of every node, `[N, d]`.
    pub fn node_coordinates(&self) -> Tensor {
        if self.mesh.clustered {
            return self.quadrature_coordinates().reshaped([self.node_count(), self.mesh.dimension()]);
        }
        let h = self.mesh.spacing();
        let (scale, shift) = self.between_nodes();
        let d = h.len();
        let mut x = Vec::with_capacity(self.node_count() * d);
        each_index(&self.points, |index| {
            for (a, &i) in index.iter().enumerate() {
                x.push(self.mesh.origin[a] + (i as f64 * scale + shift) * h[a]);
            }
        });
        Tensor::f64([self.node_count(), d], x)
    }

    /// The same bits, computed in the IR from indices, so that they need not be kept.
    pub fn trace_node_coordinates(&self, b: &mut Builder) -> Value {
        if self.mesh.clustered {
            return b.constant(self.node_coordinates());
        }
        let h = self.mesh.spacing();
        let (scale, shift) = self.between_nodes();
        let along = |a: usize| {
            let index = b.op(Op::Iota { shape: self.points.clone(), axis: a, dtype: DType::F64 }, &[]);
            let (shift, origin) = (b.scalar(shift), b.scalar(self.mesh.origin[a]));
            let at = b.scale(index, scale);
            let at = b.add(at, shift);
            let at = b.scale(at, h[a]);
            let at = b.add(origin, at);
            b.reshape(at, &[self.node_count(), 1])
        };
        let axes: Vec<Value> = (0..h.len()).map(along).collect();
        b.concat(&axes, 1)
    }

    /// Distance of two nodes and that of the first from the corner, in cells.
    fn between_nodes(&self) -> (f64, f64) {
        if self.order == 0 { (1.0, 0.5) } else { (1.0 / self.order as f64, 0.0) }
    }

    /// Position of every quadrature point, `[E, q, d]`.
    pub fn quadrature_coordinates(&self) -> Tensor {
        let shape = [self.element_count(), self.quadrature_count(), self.mesh.dimension()];
        Tensor::f64(shape, self.family.coordinates())
    }

    /// The same, computed in the IR from element numbers.
    pub fn trace_quadrature_coordinates(&self, b: &mut Builder) -> Value {
        self.family.trace_coordinates(b)
    }

    /// `dofs[N, s…]` → values at quadrature points `[E, q, s…]`.
    pub fn interpolate(&self, b: &mut Builder, dofs: Value) -> Value {
        if self.mesh.clustered {
            return one_element(b, dofs);
        }
        let local = self.gather_local(b, dofs);
        element_map::interpolated(b, &self.family, &self.table, local)
    }

    /// `dofs[N, s…]` → gradients at quadrature points `[E, q, s…, d]`. Of values a cell (order 0): differences between the
    /// neighbours, one-sided at the boundary, the same throughout a cell.
    pub fn gradient(&self, b: &mut Builder, dofs: Value) -> Value {
        if self.mesh.clustered {
            let slopes = self.chebyshev_gradient(b, dofs);
            return one_element(b, slopes);
        }
        if self.order == 0 {
            let slopes = self.cell_differences(b, dofs);
            return self.interpolate(b, slopes);
        }
        let local = self.gather_local(b, dofs);
        element_map::differentiated(b, &self.family, &self.table, local)
    }

    /// Outputs of a pointwise function at the quadrature points: `[E, q, s…]` each. `leaves[k]` says what argument k is;
    /// discrete fields may belong to other spaces over the same mesh.
    pub fn evaluate(&self, b: &mut Builder, f: &Func, leaves: &[Leaf]) -> Vec<Value> {
        let leaves = self.bind(b, leaves);
        element_map::at_all_points(b, &self.family, f, &leaves)
    }

    /// `∫ f dΩ` of every output of a pointwise function, by the space's quadrature.
    pub fn integrate(&self, b: &mut Builder, f: &Func, leaves: &[Leaf]) -> Vec<Value> {
        let per_element = self.integrate_elements(b, f, leaves);
        let walls = self.mesh.periodic.contains(&false);
        if !self.corrected || !walls {
            return per_element.into_iter().map(|v| b.reduce(crate::ir::Reduce::Sum, v, &[0])).collect();
        }
        let weights = constant(b, &[self.element_count()], self.end_weights());
        let sum = Dot { lhs_contract: vec![0], rhs_contract: vec![0], ..Dot::default() };
        per_element.into_iter().map(|v| b.dot(weights, v, sum.clone())).collect()
    }

    /// The midpoint rule less its error `h²/24 (f'(b) - f'(a))`, the slopes at the walls from three points each; by cell.
    fn end_weights(&self) -> Vec<f64> {
        let along = |a: usize| {
            let n = self.mesh.cells[a];
            let mut w = vec![1.0; n];
            if !self.mesh.periodic[a] && n >= 3 {
                for (k, correction) in [2.0, -3.0, 1.0].into_iter().enumerate() {
                    w[k] += correction / 24.0;
                    w[n - 1 - k] += correction / 24.0;
                }
            }
            w
        };
        let axes: Vec<Vec<f64>> = (0..self.mesh.dimension()).map(along).collect();
        let mut all = Vec::with_capacity(self.element_count());
        each_index(&self.mesh.cells, |index| all.push(index.iter().zip(&axes).map(|(&i, w)| w[i]).product()));
        all
    }

    /// The integrals over each element, `[E, s…]`.
    pub fn integrate_elements(&self, b: &mut Builder, f: &Func, leaves: &[Leaf]) -> Vec<Value> {
        let leaves = self.bind(b, leaves);
        let weights = self.family.weights.clone();
        element_map::element_map(b, &self.family, f, &leaves, |body, outputs, _| {
            let w = constant(body, &[weights.len()], weights);
            let sum = Dot { lhs_contract: vec![0], rhs_contract: vec![0], ..Dot::default() };
            outputs.iter().map(|&v| body.dot(w, v, sum.clone())).collect()
        })
    }

    /// `[N, s…]` → `[E, n, s…]`.
    pub fn gather_local(&self, b: &mut Builder, dofs: Value) -> Value {
        let index = b.constant(self.connectivity.clone());
        b.gather(dofs, index)
    }

    fn bind(&self, b: &mut Builder, leaves: &[Leaf]) -> Vec<LocalLeaf> {
        leaves
            .iter()
            .map(|leaf| match *leaf {
                Leaf::Coordinates => LocalLeaf::Coordinates,
                Leaf::Data(v) => LocalLeaf::Data(v),
                Leaf::Shared(v) => LocalLeaf::Shared(v),
                Leaf::Value { space, dofs } if space.mesh.clustered => LocalLeaf::Data(space.interpolate(b, dofs)),
                Leaf::Gradient { space, dofs } if space.mesh.clustered => LocalLeaf::Data(space.gradient(b, dofs)),
                Leaf::Value { space, dofs } => {
                    LocalLeaf::Value { table: self.table_of(space), local: space.gather_local(b, dofs) }
                }
                Leaf::Gradient { space, dofs } if space.order == 0 => {
                    let slopes = space.cell_differences(b, dofs);
                    LocalLeaf::Value { table: self.table_of(space), local: space.gather_local(b, slopes) }
                }
                Leaf::Gradient { space, dofs } => {
                    LocalLeaf::Gradient { table: self.table_of(space), local: space.gather_local(b, dofs) }
                }
            })
            .collect()
    }

    /// `[cells, s…]` → `[cells, s…, d]`
    pub(crate) fn cell_differences(&self, b: &mut Builder, dofs: Value) -> Value {
        let (cells, h) = (&self.mesh.cells, self.mesh.spacing());
        let n = self.node_count();
        let axes: Vec<Value> = (0..cells.len())
            .map(|a| {
                let (mut before, mut after, mut inverse) = (vec![0; n], vec![0; n], vec![0.0; n]);
                for cell in 0..n {
                    let index = unravel(cell, cells);
                    let neighbour = |step: usize| {
                        let mut to = index.clone();
                        to[a] = match self.mesh.periodic[a] {
                            true => (index[a] + cells[a] + step - 1) % cells[a],
                            false => (index[a] + step).saturating_sub(1).min(cells[a] - 1),
                        };
                        ravel(&to, cells) as u32
                    };
                    (before[cell], after[cell]) = (neighbour(0), neighbour(2));
                    let at_end = !self.mesh.periodic[a] && (index[a] == 0 || index[a] + 1 == cells[a]);
                    inverse[cell] = if at_end { 1.0 / h[a] } else { 0.5 / h[a] };
                }
                let at = |b: &mut Builder, nodes: Vec<u32>| {
                    let index = b.constant(Tensor::index([n], nodes));
                    b.gather(dofs, index)
                };
                let (before, after) = (at(b, before), at(b, after));
                let difference = b.sub(after, before);
                let inverse = constant(b, &[n], inverse);
                let shape = b.ty(difference).shape.clone();
                let inverse = b.op(crate::ir::Op::Broadcast { shape, axes: vec![0] }, &[inverse]);
                b.mul(difference, inverse)
            })
            .collect();
        let last = b.ty(axes[0]).rank();
        b.stack(&axes, last)
    }

    /// Another space's shape functions at this space's quadrature points.
    fn table_of(&self, other: &Space) -> Table {
        assert_eq!(self.mesh, other.mesh, "compiler bug: a field of another mesh used without evaluating it at points");
        if other.gauss == self.gauss {
            other.table.clone()
        } else {
            Space::build(other.mesh.clone(), other.order, self.gauss).table
        }
    }

    /// Nodes on a side, in increasing order.
    pub fn side_nodes(&self, side: Side) -> Vec<u32> {
        let at = if side.high { self.points[side.axis] - 1 } else { 0 };
        let mut extents = self.points.clone();
        extents[side.axis] = 1;
        (0..extents.iter().product())
            .map(|k| {
                let mut index = unravel(k, &extents);
                index[side.axis] = at;
                ravel(&index, &self.points) as u32
            })
            .collect()
    }

    /// A quadrature over a side: points `[P, d]` and their weights `[P]`.
    pub fn facet_points(&self, side: Side) -> (Tensor, Tensor) {
        let family = Family::facets(&self.mesh, side, self.gauss);
        let x = family.coordinates();
        let points = x.len() / self.mesh.dimension();
        let weights: Vec<f64> = (0..family.count).flat_map(|_| family.weights.iter().copied()).collect();
        (Tensor::f64([points, self.mesh.dimension()], x), Tensor::f64([points], weights))
    }

    /// Facets of a side with the nodes on each, `[F, m]` row-major, and the shape functions there.
    pub(crate) fn facets(&self, side: Side) -> (Family, Table, Vec<u32>) {
        let family = Family::facets(&self.mesh, side, self.gauss);
        let across = basis::lattice(self.mesh.dimension() - 1, self.order);
        let rule = super::quadrature::tensor_product(self.mesh.dimension() - 1, self.gauss);
        let values = rule.points.iter().flat_map(|xi| basis::facet_values(self.order, xi)).collect();
        let table = Table { values, gradients: vec![], nodes: across.len() };
        let mut cells = self.mesh.cells.clone();
        cells[side.axis] = 1;
        let mut nodes = Vec::with_capacity(family.count * across.len());
        for facet in 0..family.count {
            let cell = unravel(facet, &cells);
            for offset in &across {
                let mut offset = offset.clone();
                offset.insert(side.axis, if side.high { self.mesh.cells[side.axis] * self.order } else { 0 });
                nodes.push(self.node_at(&cell, &offset));
            }
        }
        (family, table, nodes)
    }

    fn node_at(&self, cell: &[usize], offset: &[usize]) -> u32 {
        node_at(self.order, &self.points, cell, offset)
    }
}

/// `[N, s…]` as `[1, N, s…]`.
fn one_element(b: &mut Builder, v: Value) -> Value {
    let shape = [&[1], &b.ty(v).shape[..]].concat();
    b.reshape(v, &shape)
}

/// The node `offset` lattice steps from the low corner of a cell; periodic axes wrap.
fn node_at(order: usize, points: &[usize], cell: &[usize], offset: &[usize]) -> u32 {
    let steps = order.max(1);
    let index: Vec<usize> = (0..points.len()).map(|a| (cell[a] * steps + offset[a]) % points[a]).collect();
    ravel(&index, points) as u32
}

fn connectivity(mesh: &Mesh, order: usize, points: &[usize]) -> Tensor {
    let offsets = node_offsets(mesh.element, order);
    let steps = order.max(1);
    // What a step along each axis contributes to a node's number, by lattice position; the last one may wrap around.
    let strides: Vec<Vec<u32>> = (0..points.len())
        .map(|a| {
            let stride: usize = points[a + 1..].iter().product();
            (0..=mesh.cells[a] * steps).map(|i| (i % points[a] * stride) as u32).collect()
        })
        .collect();
    let mut nodes = Vec::with_capacity(mesh.element_count() * offsets.len());
    each_index(&mesh.cells, |cell| {
        for turned in 0..mesh.elements_per_cell() {
            for offset in &offsets {
                let step = |a: usize| if turned == 1 { order - offset[a] } else { offset[a] };
                nodes.push((0..cell.len()).map(|a| strides[a][cell[a] * steps + step(a)]).sum());
            }
        }
    });
    Tensor::index([mesh.element_count(), offsets.len()], nodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discretize::Element;

    fn square(element: Element, n: usize, periodic: bool) -> Mesh {
        Mesh::new(element, &[0.0, 0.0], &[1.0, 1.0], &[n, n], &[periodic, periodic]).unwrap()
    }

    #[test]
    fn orders_that_are_not_there_are_refused() {
        for order in [0, 3, 7] {
            let refusal = Space::lagrange(square(Element::Quad, 2, false), order, None).unwrap_err();
            assert_eq!(refusal.code, "discretize.order");
        }
        assert!(Space::lagrange(square(Element::Quad, 2, false), 1, Some(0)).is_err());
    }

    #[test]
    fn nodes_of_a_small_square() {
        let space = Space::lagrange(square(Element::Quad, 2, false), 1, None).unwrap();
        assert_eq!(space.node_count(), 9);
        assert_eq!(space.connectivity.as_index().unwrap()[..4], [0, 1, 3, 4]);
        assert_eq!(space.side_nodes(Side { axis: 0, high: true }), [6, 7, 8]);
        assert_eq!(space.side_nodes(Side { axis: 1, high: false }), [0, 3, 6]);
        let periodic = Space::lagrange(square(Element::Quad, 2, true), 1, None).unwrap();
        assert_eq!(periodic.connectivity.as_index().unwrap(), [0, 1, 2, 3, 1, 0, 3, 2, 2, 3, 0, 1, 3, 2, 1, 0]);
    }

    /// Interpolating x with the shape functions gives back x: connectivity, turns and coordinates agree.
    #[test]
    fn elements_are_isoparametric() {
        let boxes = [(Element::Interval, 1), (Element::Triangle, 2), (Element::Quad, 2), (Element::Hex, 3)];
        for (element, d) in boxes {
            for order in [1, 2] {
                let mesh = Mesh::new(element, &vec![0.5; d], &vec![2.0; d], &vec![3; d], &vec![false; d]).unwrap();
                let space = Space::lagrange(mesh, order, None).unwrap();
                let (nodes, points) = (space.node_coordinates(), space.quadrature_coordinates());
                let mut b = Builder::new("nodes");
                let traced = space.trace_node_coordinates(&mut b);
                assert_eq!(crate::ir::eval::eval(&b.finish(vec![traced]), &[]).unwrap()[0], nodes);
                let (nodes, points) = (nodes.as_f64().unwrap(), points.as_f64().unwrap());
                let (n, q) = (space.local_count(), space.quadrature_count());
                for (e, local) in space.connectivity.as_index().unwrap().chunks(n).enumerate() {
                    for k in 0..q {
                        for a in 0..d {
                            let row = &space.table.values[k * n..][..n];
                            let x: f64 = row.iter().zip(local).map(|(v, &i)| v * nodes[i as usize * d + a]).sum();
                            assert!((x - points[(e * q + k) * d + a]).abs() < 1e-14, "{element:?} order {order}");
                        }
                    }
                }
                let volume: f64 = space.family.weights.iter().sum::<f64>() * space.mesh.element_count() as f64;
                assert!((volume - space.mesh.volume()).abs() < 1e-12);
            }
        }
    }
}
