//! Discrete fields made ready for people: nodal and cell averages, samples along lines and on rasters, cells for VTK files.

use super::basis::node_offsets;
use super::element_map::constant;
use super::family::Family;
use super::mesh::{ravel, unravel};
use super::{Element, Leaf, Mesh, Space};
use crate::ir::{Builder, Dot, Func, Reduce, Tensor, Value};

impl Space {
    /// Values at quadrature points `[E, q, s…]` (fluxes, gradients) averaged to nodes, `[N, s…]`: each node takes the mean of the
    /// elements around it, weighted by `∫ |N_i|`. Keeps constants.
    pub fn nodal_average(&self, b: &mut Builder, at_points: Value) -> Value {
        let (q, n) = (self.quadrature_count(), self.local_count());
        let table: Vec<f64> = self.table.values.iter().map(|v| v.abs()).collect();
        let weights = self.family.weighted(&table);
        let of_element: Vec<f64> = (0..n).map(|i| (0..q).map(|k| weights[k * n + i]).sum()).collect();
        let mut of_node = vec![0.0; self.node_count()];
        let nodes = self.connectivity.as_index().expect("compiler bug: connectivity is an index tensor");
        for local in nodes.chunks(n) {
            local.iter().zip(&of_element).for_each(|(&node, w)| of_node[node as usize] += w);
        }
        let inverse: Vec<f64> = of_node.iter().map(|w| 1.0 / w).collect();

        let weights = constant(b, &[q, n], weights);
        // → [n, E, s…] → [E, n, s…]
        let sums = b.dot(weights, at_points, Dot { lhs_contract: vec![0], rhs_contract: vec![1], ..Dot::default() });
        let mut order: Vec<usize> = (0..b.ty(sums).rank()).collect();
        order.swap(0, 1);
        let sums = b.transpose(sums, &order);
        let index = b.constant(self.connectivity.clone());
        let sums = b.scatter_add(self.node_count(), index, sums);
        let inverse = constant(b, &[self.node_count()], inverse);
        let shape = b.ty(sums).shape.clone();
        let inverse = b.op(crate::ir::Op::Broadcast { shape, axes: vec![0] }, &[inverse]);
        b.mul(sums, inverse)
    }

    /// Averages of a pointwise function over the cells of the mesh, `[cells, s…]` (see [`Space::evaluate`] for the leaves).
    pub fn cell_averages(&self, b: &mut Builder, f: &Func, leaves: &[Leaf]) -> Vec<Value> {
        let per_cell = self.mesh.elements_per_cell();
        let volume: f64 = self.mesh.spacing().iter().product();
        let integrals = self.integrate_elements(b, f, leaves);
        integrals
            .into_iter()
            .map(|v| {
                let mut shape = b.ty(v).shape.clone();
                shape[0] /= per_cell;
                shape.insert(1, per_cell);
                let v = b.reshape(v, &shape);
                let v = b.reduce(Reduce::Sum, v, &[1]);
                b.scale(v, 1.0 / volume)
            })
            .collect()
    }
}

/// `count` evenly spaced points from one end to the other, `[count, d]`.
pub fn line(from: &[f64], to: &[f64], count: usize) -> Tensor {
    let steps = count.saturating_sub(1).max(1) as f64;
    let points = (0..count).flat_map(|k| from.iter().zip(to).map(move |(a, b)| a + (b - a) * (k as f64 / steps)));
    Tensor::f64([count, from.len()], points.collect::<Vec<_>>())
}

/// Centres of the pixels of an image of a 2-D box, `[rows · columns, 2]`; the first row is the top (largest y) one.
pub fn raster(mesh: &Mesh, columns: usize, rows: usize) -> Tensor {
    let mut x = Vec::with_capacity(2 * rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let (s, t) = ((column as f64 + 0.5) / columns as f64, 1.0 - (row as f64 + 0.5) / rows as f64);
            x.extend([mesh.origin[0] + s * mesh.extent[0], mesh.origin[1] + t * mesh.extent[1]]);
        }
    }
    Tensor::f64([rows * columns, 2], x)
}

/// An unstructured grid as VTK files hold it.
#[derive(Clone, PartialEq, Debug)]
pub struct VtkCells {
    /// Padded to three coordinates.
    pub points: Vec<[f64; 3]>,
    /// The node whose values a point shows. Across a periodic seam one node is shown at several points.
    pub nodes: Vec<u32>,
    /// Points of all cells, one cell after the other.
    pub connectivity: Vec<u32>,
    /// Where each cell ends in `connectivity`.
    pub offsets: Vec<u32>,
    /// VTK's cell type numbers.
    pub types: Vec<u8>,
}

impl VtkCells {
    /// Cells of a space of order 1 or 2 with their own VTK types. Of order 0: linear cells; values are cell data.
    pub fn new(space: &Space) -> VtkCells {
        let mesh = &space.mesh;
        let order = space.order.max(1);
        let d = mesh.dimension();
        let lattice: Vec<usize> = mesh.cells.iter().map(|n| n * order + 1).collect();
        let h = mesh.spacing();
        let ticks: Vec<Vec<f64>> = (0..d).map(|a| mesh.ticks(a)).collect();
        let count = lattice.iter().product();
        let (mut points, mut nodes) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for k in 0..count {
            let index = unravel(k, &lattice);
            let mut point = [0.0; 3];
            for a in 0..d {
                point[a] = match mesh.clustered {
                    true => ticks[a][index[a]],
                    false => mesh.origin[a] + index[a] as f64 * h[a] / order as f64,
                };
            }
            points.push(point);
            let wrapped: Vec<usize> = index.iter().zip(&space.points).map(|(i, n)| i % n).collect();
            nodes.push(if space.order == 0 { 0 } else { ravel(&wrapped, &space.points) as u32 });
        }

        let own = node_offsets(mesh.element, order);
        let (ty, sequence) = vtk_order(mesh.element, order);
        let per_cell = mesh.elements_per_cell();
        let (mut connectivity, mut offsets) = (vec![], vec![]);
        for c in 0..mesh.cell_count() {
            let cell = unravel(c, &mesh.cells);
            for turned in 0..per_cell {
                for &k in &sequence {
                    let step = |a: usize| if turned == 1 { order - own[k][a] } else { own[k][a] };
                    let index: Vec<usize> = (0..d).map(|a| cell[a] * order + step(a)).collect();
                    connectivity.push(ravel(&index, &lattice) as u32);
                }
                offsets.push(connectivity.len() as u32);
            }
        }
        let types = vec![ty; offsets.len()];
        VtkCells { points, nodes, connectivity, offsets, types }
    }

    /// Nodal values `[N, width]`, row-major, as point data.
    pub fn point_data(&self, nodal: &[f64], width: usize) -> Vec<f64> {
        self.nodes.iter().flat_map(|&n| nodal[n as usize * width..][..width].iter().copied()).collect()
    }
}

/// VTK's type and, in VTK's order, our local nodes (`node_offsets`) of an element. [VTK file formats; vtkCellType.h]
fn vtk_order(element: Element, order: usize) -> (u8, Vec<usize>) {
    // Lattice positions in VTK's order: corners, edges, faces, centre.
    let at = |positions: &[[usize; 3]]| {
        let own = node_offsets(element, order);
        let find = |p: &[usize; 3]| own.iter().position(|o| o[..] == p[..o.len()]).expect("compiler bug: VTK's node");
        positions.iter().map(find).collect::<Vec<_>>()
    };
    match (element, order) {
        (Element::Interval, 1) => (3, vec![0, 1]),
        (Element::Interval, _) => (21, vec![0, 2, 1]),
        (Element::Triangle, 1) => (5, vec![0, 1, 2]),
        (Element::Triangle, _) => (22, at(&[[0, 0, 0], [2, 0, 0], [0, 2, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])),
        (Element::Quad, 1) => (9, at(&[[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])),
        (Element::Quad, _) => {
            let corners = [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]];
            (28, at(&[&corners[..], &[[1, 0, 0], [2, 1, 0], [1, 2, 0], [0, 1, 0], [1, 1, 0]]].concat()))
        }
        (Element::Hex, _) => {
            let square = [[0, 0], [1, 0], [1, 1], [0, 1]];
            let corner = |z: usize| square.map(|[x, y]| [x * order, y * order, z * order]);
            let mut all: Vec<[usize; 3]> = [corner(0), corner(1)].concat();
            if order == 1 {
                return (12, at(&all));
            }
            for z in [0, 2] {
                all.extend([[1, 0, z], [2, 1, z], [1, 2, z], [0, 1, z]]);
            }
            all.extend(square.map(|[x, y]| [2 * x, 2 * y, 1]));
            all.extend([[0, 1, 1], [2, 1, 1], [1, 0, 1], [1, 2, 1], [1, 1, 0], [1, 1, 2], [1, 1, 1]]);
            (29, at(&all))
        }
    }
}

/// Quadrature weights of every quadrature point, `[E, q]`, for a reader outside the IR.
pub fn quadrature_weights(space: &Space) -> Tensor {
    let family: &Family = &space.family;
    let all: Vec<f64> = (0..family.count).flat_map(|_| family.weights.iter().copied()).collect();
    Tensor::f64([family.count, family.weights.len()], all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Type;
    use crate::ir::eval::eval;

    fn space(element: Element, order: usize, periodic: bool) -> Space {
        let d = element.dimension();
        let mesh = Mesh::new(element, &vec![0.0; d], &vec![1.0; d], &vec![2; d], &vec![periodic; d]).unwrap();
        Space::lagrange(mesh, order, None).unwrap()
    }

    const ELEMENTS: [Element; 4] = [Element::Interval, Element::Triangle, Element::Quad, Element::Hex];

    /// Every VTK cell has positive volume as its corners are ordered, and the volumes fill the box.
    #[test]
    fn vtk_cells_fill_the_box() {
        for element in ELEMENTS {
            for order in [1, 2] {
                for periodic in [false, true] {
                    let cells = VtkCells::new(&space(element, order, periodic));
                    let mut start = 0;
                    let mut volume = 0.0;
                    for &end in &cells.offsets {
                        let p = |k: usize| cells.points[cells.connectivity[start + k] as usize];
                        let edge = |i: usize| [0, 1, 2].map(|a| p(i)[a] - p(0)[a]);
                        volume += match element {
                            Element::Interval => edge(1)[0],
                            Element::Triangle => 0.5 * cross(edge(1), edge(2))[2],
                            Element::Quad => cross(edge(1), edge(3))[2],
                            Element::Hex => (0..3).map(|a| cross(edge(1), edge(3))[a] * edge(4)[a]).sum(),
                        };
                        start = end as usize;
                    }
                    assert!((volume - 1.0).abs() < 1e-14, "{element:?} order {order}: {volume}");
                }
            }
        }
    }

    fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    }

    /// A linear function is sampled exactly, its gradient and nodal averages too.
    #[test]
    fn linear_functions_survive_sampling() {
        for element in ELEMENTS {
            for order in [1, 2] {
                let space = space(element, order, false);
                let d = element.dimension();
                let x = space.node_coordinates();
                let linear = |x: &[f64]| 1.0 + x.iter().enumerate().map(|(a, x)| (a + 2) as f64 * x).sum::<f64>();
                let dofs: Vec<f64> = x.as_f64().unwrap().chunks(d).map(linear).collect();
                let points = line(&vec![0.0; d], &vec![1.0; d], 7);
                let expected: Vec<f64> = points.as_f64().unwrap().chunks(d).map(linear).collect();

                let mut b = Builder::new("samples");
                let u = b.input(Type::f64([space.node_count()]));
                let at = b.constant(points);
                let values = space.evaluate_at(&mut b, u, at);
                let slopes = space.gradient_at(&mut b, u, at);
                let gradient = space.gradient(&mut b, u);
                let averaged = space.nodal_average(&mut b, gradient);
                let f = b.finish(vec![values, slopes, averaged]);
                let out = eval(&f, &[Tensor::f64([space.node_count()], dofs)]).unwrap();
                for (v, e) in out[0].to_f64().iter().zip(&expected) {
                    assert!((v - e).abs() < 1e-13, "{element:?} order {order}");
                }
                for array in &out[1..] {
                    for (k, g) in array.to_f64().into_iter().enumerate() {
                        assert!((g - (k % d + 2) as f64).abs() < 1e-12, "{element:?} order {order}");
                    }
                }
            }
        }
    }

    #[test]
    fn periodic_points_wrap_and_outsiders_are_marked() {
        let mesh = Mesh::new(Element::Quad, &[0.0, 0.0], &[1.0, 1.0], &[4, 4], &[true, false]).unwrap();
        let space = Space::lagrange(mesh, 1, None).unwrap();
        let mut b = Builder::new("locate");
        let at = b.constant(Tensor::f64([4, 2], [0.3, 0.3, 1.3, 0.3, -1.7, 0.3, 0.3, 1.5]));
        let found = space.locate(&mut b, at);
        let f = b.finish(vec![found.element, found.inside]);
        let out = eval(&f, &[]).unwrap();
        assert_eq!(out[0].to_f64(), [5.0, 5.0, 5.0, 7.0]);
        assert_eq!(out[1].to_f64(), [1.0, 1.0, 1.0, 0.0]);
    }
}
