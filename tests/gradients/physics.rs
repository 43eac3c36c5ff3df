//! Derivatives through discretised physics: a nonlinear finite-element solve, and a cell problem inside a macroscopic one.

use super::cases::func;
use mslc::ad;
use mslc::discretize::{Balance, Boundary, Condition, Discrete, Element, Leaf, Mesh, Options, Space, finite_element};
use mslc::ir::eval::eval;
use mslc::ir::{Builder, Compare, Func, Op, SolveSpec, Tensor, Type, Value};
use mslc::passes::optimise;
use std::sync::Arc;

/// `-∇·(k (1 + u²) ∇u) = f` on a rectangle of n × n elements, zero on the left and the right; shared parameters k and f.
fn heat(n: usize) -> Discrete {
    let types = [Type::f64([2]), Type::f64([1]), Type::f64([1, 2]), Type::f64([]), Type::f64([])];
    let interior = func("heat", &types, |b, x| {
        let (u, g, k, f) = (b.index(x[1], 0, 0), x[2], x[3], x[4]);
        let square = b.mul(u, u);
        let one = b.scalar(1.0);
        let factor = b.add(one, square);
        let k = b.mul(k, factor);
        let flux = b.mul(k, g);
        let flux = b.neg(flux);
        let source = b.neg(f);
        vec![flux, b.reshape(source, &[1])]
    });
    let fixed = |part: &str| Boundary {
        part: part.into(),
        condition: Condition::Essential {
            component: 0,
            value: func("zero", &[Type::f64([2]), Type::f64([]), Type::f64([])], |b, _| vec![b.scalar(0.0)]),
        },
        point_data: vec![],
    };
    let balance = Balance {
        name: "Heat".into(),
        dimension: 2,
        components: 1,
        order: 1,
        nominal: vec![1.0],
        interior,
        point_data: vec![],
        shared: vec![Type::f64([]), Type::f64([])],
        boundary: vec![fixed("left"), fixed("right")],
        linear: false,
        symmetric: false,
        constant_kernel: false,
        carries: false,
    };
    let mesh = Mesh::new(Element::Quad, &[0.0, 0.0], &[1.0, 1.0], &[n, n], &[false, false]).unwrap();
    let space = Space::lagrange(mesh, 1, None).unwrap();
    let options = Options { newton_tolerance: 1e-13, ..Options::default() };
    finite_element::discretise(&balance, &space, &options).unwrap()
}

/// `(k, f) → ∫u² dΩ`
fn heat_content(discrete: &Discrete) -> Func {
    let square = func("square", &[Type::f64([1])], |b, x| {
        let u = b.index(x[0], 0, 0);
        vec![b.mul(u, u)]
    });
    func("content", &[Type::f64([]), Type::f64([])], |b, x| {
        let dofs = discrete.solve(b, None, &[], x);
        let leaf = Leaf::Value { space: &discrete.space, dofs };
        discrete.space.integrate(b, &square, &[leaf])
    })
}

fn numbers(f: &Func, x: &[f64]) -> Vec<f64> {
    let inputs: Vec<Tensor> = x.iter().map(|&x| Tensor::scalar(x)).collect();
    eval(f, &inputs).unwrap_or_else(|e| panic!("{e}")).iter().map(|t| t.item()).collect()
}

/// Fourth-order central differences in input `k`.
fn slope(f: &Func, x: &[f64], k: usize, output: usize) -> f64 {
    let at = |t: f64| {
        let mut x = x.to_vec();
        x[k] += t * 1e-3;
        numbers(f, &x)[output]
    };
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / 12e-3
}

#[test]
fn gradient_and_hessian_through_a_finite_element_solve() {
    let f = heat_content(&heat(4));
    let g = optimise(ad::grad(&f, &[0, 1]));
    let x = [0.7, 1.3];
    let found = numbers(&g, &x);
    for k in 0..2 {
        let reference = slope(&f, &x, k, 0);
        assert!((found[1 + k] - reference).abs() < 1e-8 * reference.abs(), "{} is not {reference}", found[1 + k]);
    }
    // The Hessian from reverse over reverse is symmetric, and the slope of the gradient.
    let of = |k: usize| {
        let mut first = ad::grad(&f, &[0, 1]);
        first.outputs = vec![first.outputs[1 + k]];
        numbers(&optimise(ad::grad(&first, &[0, 1])), &x)
    };
    let (h0, h1) = (of(0), of(1));
    assert!((h0[2] - h1[1]).abs() < 1e-11 * h0[2].abs(), "{} is not {}", h0[2], h1[1]);
    let reference = slope(&g, &x, 0, 1);
    assert!((h0[1] - reference).abs() < 1e-7 * reference.abs(), "{} is not {reference}", h0[1]);
}

/// A closure that solves a fine problem, called at every point of a coarse one. Also through the batched form.
#[test]
fn gradient_through_two_scales() {
    let fine = heat(2);
    // Effective conductance of a cell under a load: (k, f) → ∫u².
    let closure = Arc::new(heat_content(&fine));
    let residual = func("coarse", &[Type::f64([3]), Type::f64([])], |b, x| {
        let one = b.scalar(1.0);
        let square = b.mul(x[0], x[0]);
        let k = b.add(one, square);
        let load = b.broadcast_to(x[1], &[3]);
        let m = b.map(closure, 3, vec![true, true], &[k, load])[0];
        let left = b.add(x[0], m);
        vec![b.sub(left, load)]
    });
    let f = func("energy", &[Type::f64([])], |b, x| {
        let guess = b.full(&Type::f64([3]), 1.0);
        let jacobian = Some(Arc::new(ad::dense_jacobian(&residual)));
        let spec = SolveSpec { name: "Coarse".into(), jacobian, newton_tolerance: 1e-13, ..Default::default() };
        let op = Op::Solve { residual: Arc::new(residual.clone()), spec: Arc::new(spec) };
        let u: Value = b.op(op, &[guess, x[0]]);
        let square = b.mul(u, u);
        vec![b.sum_all(square)]
    });
    let g = optimise(ad::grad(&f, &[0]));
    let (found, reference) = (numbers(&g, &[1.2])[1], slope(&f, &[1.2], 0, 0));
    assert!((found - reference).abs() < 1e-8 * reference.abs(), "{found} is not {reference}");
}

/// The effective conductivity of a laminate of k and 10 across the layers, 2/(1/k + 1/10), from a periodic cell problem
/// whose solution is determined up to a constant only.
#[test]
fn slope_of_the_effective_conductivity_of_a_laminate() {
    // k (e + ∇w), k in the left half and 10 in the right.
    fn flux(b: &mut Builder, x: Value, g: Value, k: Value) -> Value {
        let (left, half, ten) = (b.index(x, 0, 0), b.scalar(0.5), b.scalar(10.0));
        let mask = b.compare(Compare::Lt, left, half);
        let k = b.select(mask, k, ten);
        let e = b.constant(Tensor::f64([1, 2], [1.0, 0.0]));
        let total = b.add(g, e);
        b.mul(k, total)
    }
    let interior = func("cell", &[Type::f64([2]), Type::f64([1]), Type::f64([1, 2]), Type::f64([])], |b, x| {
        let q = flux(b, x[0], x[2], x[3]);
        vec![b.neg(q), b.zeros_like(x[1])]
    });
    let balance = Balance {
        name: "Cell".into(),
        dimension: 2,
        components: 1,
        order: 1,
        nominal: vec![0.0],
        interior,
        point_data: vec![],
        shared: vec![Type::f64([])],
        boundary: vec![],
        linear: true,
        symmetric: true,
        constant_kernel: true,
        carries: false,
    };
    let mesh = Mesh::new(Element::Quad, &[0.0, 0.0], &[1.0, 1.0], &[4, 4], &[true, true]).unwrap();
    let space = Space::lagrange(mesh, 1, None).unwrap();
    let discrete = finite_element::discretise(&balance, &space, &Options::default()).unwrap();
    let mean = func("flux", &[Type::f64([2]), Type::f64([1, 2]), Type::f64([])], |b, x| {
        let q = flux(b, x[0], x[1], x[2]);
        let across = b.slice(q, 1, 0, 1);
        vec![b.reshape(across, &[])]
    });
    let f = func("effective", &[Type::f64([])], |b, x| {
        let (_, gradient) = discrete.solve_with_gradient(b, None, &[], x);
        discrete.space.integrate(b, &mean, &[Leaf::Coordinates, gradient, Leaf::Shared(x[0])])
    });
    let k: f64 = 2.5;
    let exact = |k: f64| 2.0 / (1.0 / k + 0.1);
    let slope = exact(k).powi(2) / (2.0 * k * k);
    let curvature = slope * (exact(k) / k - 2.0) / k;
    let g = ad::grad(&f, &[0]);
    let found = numbers(&optimise(g.clone()), &[k]);
    assert!((found[0] - exact(k)).abs() < 1e-10 && (found[1] - slope).abs() < 1e-10, "{found:?} for {slope}");
    let mut first = g;
    first.outputs.remove(0);
    let second = numbers(&optimise(ad::grad(&first, &[0])), &[k])[1];
    assert!((second - curvature).abs() < 1e-9, "{second} for {curvature}");
}
