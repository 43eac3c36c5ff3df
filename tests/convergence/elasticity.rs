//! Vector unknowns: linear elasticity, `∇·(-σ) = 0` with `σ = λ tr(∇u) I + μ (∇u + ∇uᵀ)`.

use super::manufactured::{Case, Kind, sine, unit_box};
use mslc::discretize::{Element, Options, Space, finite_element};
use mslc::ir::{Builder, Tensor, Value};

const LAMBDA: f64 = 1.5;
const MU: f64 = 1.0;

/// `-σ` as the flux.
fn hooke(b: &mut Builder, _: Value, u: Value, g: Value) -> (Value, Value) {
    let d = b.ty(g).shape[0];
    let identity: Vec<f64> = (0..d * d).map(|k| (k / d == k % d) as u8 as f64).collect();
    let identity = b.constant(Tensor::f64([d, d], identity));
    let diagonal = b.mul(g, identity);
    let trace = b.sum_all(diagonal);
    let trace = b.scale(trace, -LAMBDA);
    let volumetric = b.mul(trace, identity);
    let transposed = b.transpose(g, &[1, 0]);
    let twice = b.add(g, transposed);
    let deviatoric = b.scale(twice, -MU);
    (b.add(volumetric, deviatoric), b.zeros_like(u))
}

fn case(name: &'static str, d: usize, exact: fn(&mut Builder, Value) -> Value) -> Case {
    Case { name, dimension: d, components: d, exact, law: hooke, linear: true, symmetric: true }
}

#[test]
fn patch_test_of_elasticity() {
    fn linear(b: &mut Builder, x: Value) -> Value {
        let d = b.ty(x).shape[0];
        let slopes = [[0.1, 0.2, -0.1], [-0.3, 0.05, 0.2], [0.15, 0.0, 0.1]];
        let slopes: Vec<f64> = slopes[..d].iter().flat_map(|row| row[..d].to_vec()).collect();
        let slopes = b.constant(Tensor::f64([d, d], slopes));
        b.matmul(slopes, x)
    }
    for element in [Element::Triangle, Element::Quad, Element::Hex] {
        let case = case("patch", element.dimension(), linear);
        for order in [1, 2] {
            let space = Space::lagrange(unit_box(element, 2, false), order, None).unwrap();
            let on =
                [("left", Kind::Dirichlet), ("right", Kind::Neumann), ("bottom", Kind::Robin), ("top", Kind::Neumann)];
            let mut on = on.to_vec();
            if element == Element::Hex {
                on.extend([("back", Kind::Neumann), ("front", Kind::Robin)]);
            }
            let discrete = finite_element::discretise(&case.balance(&on), &space, &Options::default()).unwrap();
            let (l2, h1) = case.errors(&discrete);
            assert!(l2 < 1e-12 && h1 < 1e-12, "{element:?} order {order}: {l2:e}, {h1:e}");
        }
    }
}

#[test]
fn elasticity_converges_with_the_order_of_the_element() {
    fn smooth(b: &mut Builder, x: Value) -> Value {
        let (s, t) = (sine(b, x, 0, 1.0, 0.3), sine(b, x, 1, 1.0, 0.8));
        let p = b.mul(s, t);
        let q = b.mul(s, s);
        b.stack(&[p, q], 0)
    }
    let case = case("elasticity", 2, smooth);
    for (element, order, n) in [(Element::Quad, 1, 6), (Element::Quad, 2, 3), (Element::Triangle, 2, 4)] {
        let errors = [n, 2 * n].map(|n| {
            let space = Space::lagrange(unit_box(element, n, false), order, None).unwrap();
            let on = [
                ("left", Kind::Dirichlet),
                ("right", Kind::Robin),
                ("bottom", Kind::Neumann),
                ("top", Kind::Dirichlet),
            ];
            case.errors(&finite_element::discretise(&case.balance(&on), &space, &Options::default()).unwrap())
        });
        let l2 = (errors[0].0 / errors[1].0).log2();
        let h1 = (errors[0].1 / errors[1].1).log2();
        let p = order as f64;
        assert!((l2 - p - 1.0).abs() < 0.15 && (h1 - p).abs() < 0.15, "{element:?} order {order}: {l2}, {h1}");
    }
}
