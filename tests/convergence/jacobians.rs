//! The sparse Jacobian that comes with a residual, against central differences of that residual.

use super::manufactured::{Case, Kind, sine, unit_box};
use super::run;
use mslc::discretize::{Discrete, Element, Options, Space, finite_element, finite_volume};
use mslc::ir::{Builder, Tensor, Unary, Value};

/// Two components, everything coupled: `flux_i = -(1 + u_0² + x_0)(∇u_i + ∇u_1) + u_0 u_1 e_0`, `source = (u_0 |∇u_1|², sin u_1)`.
fn coupled(b: &mut Builder, x: Value, u: Value, g: Value) -> (Value, Value) {
    let d = b.ty(g).shape[1];
    let (u0, u1) = (b.index(u, 0, 0), b.index(u, 0, 1));
    let k = conductivity(b, x, u0);
    let g1 = b.index(g, 0, 1);
    let both = b.stack(&[g1, g1], 0);
    let sum = b.add(g, both);
    let conduction = b.mul(k, sum);
    let e = b.constant(Tensor::f64([2, d], (0..2 * d).map(|k| (k % d == 0) as u8 as f64).collect::<Vec<_>>()));
    let product = b.mul(u0, u1);
    let carried = b.mul(e, product);
    let flux = b.sub(carried, conduction);
    let square = b.mul(g1, g1);
    let square = b.sum_all(square);
    let first = b.mul(u0, square);
    let second = b.unary(Unary::Sin, u1);
    (flux, b.stack(&[first, second], 0))
}

/// The same without what two-point fluxes cannot treat.
fn separate(b: &mut Builder, x: Value, u: Value, g: Value) -> (Value, Value) {
    let d = b.ty(g).shape[1];
    let (u0, u1) = (b.index(u, 0, 0), b.index(u, 0, 1));
    let k = conductivity(b, x, u0);
    let conduction = b.mul(k, g);
    let e = b.constant(Tensor::f64([2, d], (0..2 * d).map(|k| (k % d == 0) as u8 as f64).collect::<Vec<_>>()));
    let product = b.mul(u0, u1);
    let carried = b.mul(e, product);
    let second = b.unary(Unary::Sin, u1);
    (b.sub(carried, conduction), b.stack(&[product, second], 0))
}

fn conductivity(b: &mut Builder, x: Value, u0: Value) -> Value {
    let x0 = b.index(x, 0, 0);
    let square = b.mul(u0, u0);
    let one = b.scalar(1.0);
    let k = b.add(square, one);
    b.add(k, x0)
}

fn exact(b: &mut Builder, x: Value) -> Value {
    let s = sine(b, x, 0, 1.0, 0.2);
    let half = b.scale(s, 0.5);
    b.stack(&[s, half], 0)
}

fn compare(discrete: &Discrete, what: &str) {
    let n = discrete.free;
    let u: Vec<f64> = (0..n).map(|i| 0.5 * (1.3 * i as f64 + 0.7).sin()).collect();
    let jacobian = discrete.spec.jacobian.as_ref().unwrap();
    let values = run(&jacobian.values, &[Tensor::f64([n], u.clone())]);
    let mut dense = vec![0.0; n * n];
    for (block, values) in jacobian.blocks.iter().zip(&values) {
        let (rows, cols) = (block.rows.as_index().unwrap(), block.cols.as_index().unwrap());
        let (a, c) = (block.rows.ty.shape[1], block.cols.ty.shape[1]);
        for (k, v) in values.to_f64().into_iter().enumerate() {
            let (i, j) = (rows[k / c] as usize, cols[k / (a * c) * c + k % c] as usize);
            if i < n && j < n {
                dense[i * n + j] += v;
            }
        }
    }
    let residual = |j: usize, step: f64| {
        let mut v = u.clone();
        v[j] += step;
        run(&discrete.residual, &[Tensor::f64([n], v)])[0].to_f64()
    };
    let h = 1e-5;
    for j in 0..n {
        let (up, down) = (residual(j, h), residual(j, -h));
        for i in 0..n {
            let difference = (up[i] - down[i]) / (2.0 * h);
            let found = dense[i * n + j];
            assert!((found - difference).abs() < 1e-7, "{what}: J[{i}, {j}] = {found}, differences give {difference}");
        }
    }
}

const SIDES: [(&str, Kind); 3] = [("left", Kind::Dirichlet), ("right", Kind::Robin), ("top", Kind::Neumann)];

#[test]
fn jacobians_match_differences() {
    let case = |law| Case { name: "coupled", dimension: 2, components: 2, exact, law, linear: false, symmetric: false };
    for (element, order) in [(Element::Quad, 1), (Element::Quad, 2), (Element::Triangle, 1), (Element::Triangle, 2)] {
        for periodic in [false, true] {
            let on = if periodic { &[] } else { &SIDES[..] };
            let space = Space::lagrange(unit_box(element, 2, periodic), order, None).unwrap();
            let balance = case(coupled).balance(on);
            let discrete = finite_element::discretise(&balance, &space, &Options::default()).unwrap();
            compare(&discrete, &format!("{element:?} order {order}, periodic: {periodic}"));
        }
    }
    for periodic in [false, true] {
        let on = if periodic { &[] } else { &SIDES[..] };
        let balance = case(separate).balance(on);
        let mesh = unit_box(Element::Quad, 3, periodic);
        let discrete = finite_volume::discretise(&balance, &mesh, &Options::default()).unwrap();
        compare(&discrete, &format!("volumes, periodic: {periodic}"));
    }
}
