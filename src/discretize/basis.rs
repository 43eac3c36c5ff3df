//! Lagrange shape functions, written once over any arithmetic: numbers, numbers with derivatives, values of the IR.

use super::Element;
use crate::ir::{Builder, Type, Value};

/// Highest order there is.
pub const HIGHEST_ORDER: usize = 2;

/// Positions of the element's nodes on the lattice with `order` steps a cell edge; order 0 has the one node of its cell.
/// Tensor-product elements: row-major, axis 0 slowest. Triangle: corners, then midpoints of edges.
pub fn node_offsets(element: Element, order: usize) -> Vec<Vec<usize>> {
    let d = element.dimension();
    match (element, order) {
        (_, 0) => vec![vec![0; d]],
        (Element::Triangle, 1) => vec![vec![0, 0], vec![1, 0], vec![0, 1]],
        (Element::Triangle, _) => [[0, 0], [2, 0], [0, 2], [1, 0], [0, 1], [1, 1]].map(Vec::from).to_vec(),
        _ => lattice(d, order),
    }
}

/// All positions of a box of `dimension` axes with `order` steps along each, row-major.
pub fn lattice(dimension: usize, order: usize) -> Vec<Vec<usize>> {
    let n = order + 1;
    (0..n.pow(dimension as u32)).map(|k| super::mesh::unravel(k, &vec![n; dimension])).collect()
}

/// Values of the shape functions at one point of the reference element, in the order of [`node_offsets`].
pub fn values(element: Element, order: usize, xi: &[f64]) -> Vec<f64> {
    shape_functions(element, order, xi, &mut Numbers)
}

/// Derivatives `[node][axis]` with respect to reference coordinates.
pub fn gradients(element: Element, order: usize, xi: &[f64]) -> Vec<Vec<f64>> {
    let d = xi.len();
    let seeds: Vec<Jet> = (0..d)
        .map(|a| {
            let mut slope = [0.0; 3];
            slope[a] = 1.0;
            Jet { value: xi[a], slope }
        })
        .collect();
    shape_functions(element, order, &seeds, &mut Jets).into_iter().map(|j| j.slope[..d].to_vec()).collect()
}

/// Values on a facet, whose reference element is the box `[0, 1]^(d-1)` (a point, an interval, a square).
pub fn facet_values(order: usize, xi: &[f64]) -> Vec<f64> {
    tensor_product(order, xi, &mut Numbers)
}

/// Shape functions at traced coordinates, all of one type `ty`.
pub fn trace_values(b: &mut Builder, element: Element, order: usize, xi: &[Value]) -> Vec<Value> {
    let ty = b.ty(xi[0]).clone();
    shape_functions(element, order, xi, &mut Traced { b, ty })
}

/// What shape functions need of a number.
trait Arithmetic {
    type Number: Copy;
    fn constant(&mut self, x: f64) -> Self::Number;
    fn add(&mut self, a: Self::Number, b: Self::Number) -> Self::Number;
    fn mul(&mut self, a: Self::Number, b: Self::Number) -> Self::Number;

    /// `scale · a + shift`
    fn affine(&mut self, scale: f64, a: Self::Number, shift: f64) -> Self::Number {
        let (s, t) = (self.constant(scale), self.constant(shift));
        let sa = self.mul(s, a);
        self.add(sa, t)
    }
}

fn shape_functions<A: Arithmetic>(element: Element, order: usize, xi: &[A::Number], a: &mut A) -> Vec<A::Number> {
    match element {
        Element::Triangle => triangle(order, xi, a),
        Element::Interval | Element::Quad | Element::Hex => tensor_product(order, xi, a),
    }
}

fn tensor_product<A: Arithmetic>(order: usize, xi: &[A::Number], a: &mut A) -> Vec<A::Number> {
    let mut products = vec![a.constant(1.0)];
    for &x in xi {
        let line = on_interval(order, x, a);
        let mut longer = Vec::with_capacity(products.len() * line.len());
        for &p in &products {
            for &l in &line {
                longer.push(a.mul(p, l));
            }
        }
        products = longer;
    }
    products
}

fn on_interval<A: Arithmetic>(order: usize, x: A::Number, a: &mut A) -> Vec<A::Number> {
    match order {
        0 => vec![a.constant(1.0)],
        1 => vec![a.affine(-1.0, x, 1.0), x],
        _ => {
            let (left, from_half) = (a.affine(-1.0, x, 1.0), a.affine(2.0, x, -1.0));
            let (to_half, four_x) = (a.affine(-2.0, x, 1.0), a.affine(4.0, x, 0.0));
            vec![a.mul(left, to_half), a.mul(four_x, left), a.mul(x, from_half)]
        }
    }
}

/// In barycentric coordinates λ: `λ_i` at order 1; `λ_i (2λ_i - 1)` and `4 λ_i λ_j` at order 2.
fn triangle<A: Arithmetic>(order: usize, xi: &[A::Number], a: &mut A) -> Vec<A::Number> {
    if order == 0 {
        return vec![a.constant(1.0)];
    }
    let sum = a.add(xi[0], xi[1]);
    let corner = [a.affine(-1.0, sum, 1.0), xi[0], xi[1]];
    if order == 1 {
        return corner.to_vec();
    }
    let mut all: Vec<A::Number> = vec![];
    for l in corner {
        let m = a.affine(2.0, l, -1.0);
        all.push(a.mul(l, m));
    }
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        let p = a.mul(corner[i], corner[j]);
        all.push(a.affine(4.0, p, 0.0));
    }
    all
}

struct Numbers;
impl Arithmetic for Numbers {
    type Number = f64;
    fn constant(&mut self, x: f64) -> f64 {
        x
    }
    fn add(&mut self, a: f64, b: f64) -> f64 {
        a + b
    }
    fn mul(&mut self, a: f64, b: f64) -> f64 {
        a * b
    }
}

/// A value and its gradient.
#[derive(Clone, Copy)]
struct Jet {
    value: f64,
    slope: [f64; 3],
}

struct Jets;
impl Arithmetic for Jets {
    type Number = Jet;
    fn constant(&mut self, x: f64) -> Jet {
        Jet { value: x, slope: [0.0; 3] }
    }
    fn add(&mut self, a: Jet, b: Jet) -> Jet {
        Jet { value: a.value + b.value, slope: std::array::from_fn(|i| a.slope[i] + b.slope[i]) }
    }
    fn mul(&mut self, a: Jet, b: Jet) -> Jet {
        Jet { value: a.value * b.value, slope: std::array::from_fn(|i| a.slope[i] * b.value + a.value * b.slope[i]) }
    }
}

struct Traced<'a> {
    b: &'a mut Builder,
    ty: Type,
}
impl Arithmetic for Traced<'_> {
    type Number = Value;
    fn constant(&mut self, x: f64) -> Value {
        self.b.full(&self.ty, x)
    }
    fn add(&mut self, a: Value, b: Value) -> Value {
        self.b.add(a, b)
    }
    fn mul(&mut self, a: Value, b: Value) -> Value {
        self.b.mul(a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELEMENTS: [Element; 4] = [Element::Interval, Element::Triangle, Element::Quad, Element::Hex];

    #[test]
    fn shape_functions_are_one_at_their_node_and_zero_at_the_others() {
        for element in ELEMENTS {
            for order in 1..=HIGHEST_ORDER {
                let nodes = node_offsets(element, order);
                for (i, at) in nodes.iter().enumerate() {
                    let xi: Vec<f64> = at.iter().map(|&k| k as f64 / order as f64).collect();
                    for (j, v) in values(element, order, &xi).into_iter().enumerate() {
                        assert_eq!(v, if i == j { 1.0 } else { 0.0 }, "{element:?} order {order}: N_{j} at node {i}");
                    }
                }
            }
        }
    }

    #[test]
    fn gradients_sum_to_zero_and_match_differences() {
        for element in ELEMENTS {
            for order in 1..=HIGHEST_ORDER {
                let xi = [0.21, 0.37, 0.11][..element.dimension()].to_vec();
                let g = gradients(element, order, &xi);
                for a in 0..xi.len() {
                    assert!(g.iter().map(|g| g[a]).sum::<f64>().abs() < 1e-14);
                    let step = |s: f64| {
                        let mut x = xi.clone();
                        x[a] += s;
                        values(element, order, &x)
                    };
                    let (up, down) = (step(1e-6), step(-1e-6));
                    for i in 0..g.len() {
                        assert!((g[i][a] - (up[i] - down[i]) / 2e-6).abs() < 1e-9, "{element:?} order {order}");
                    }
                }
            }
        }
    }
}
