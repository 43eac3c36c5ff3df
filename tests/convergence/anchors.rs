//! Figures known in closed form: patch tests, homogenisation of simple cells, conservation; and data given as arrays.

use super::manufactured::{Case, Kind, times_matrix, unit, unit_box};
use super::run;
use mslc::discretize::{
    Balance, Boundary, Condition, DataPoints, Discrete, Element, Leaf, Options, Space, finite_element, finite_volume,
};
use mslc::ir::{Builder, Compare, Func, Tensor, Type, Unary, Value};

const ELEMENTS: [Element; 4] = [Element::Interval, Element::Triangle, Element::Quad, Element::Hex];

/// A linear u under a constant tensor is reproduced to rounding by every element and under every condition.
#[test]
fn patch_test() {
    fn exact(b: &mut Builder, x: Value) -> Value {
        let d = b.ty(x).shape[0];
        let slope = b.constant(Tensor::f64([d, 1], [1.0, -2.0, 0.5][..d].to_vec()));
        let one = b.scalar(0.25);
        let u = b.matmul(x, slope);
        b.add(u, one)
    }
    fn law(b: &mut Builder, _: Value, u: Value, g: Value) -> (Value, Value) {
        let rows: &[&[f64]] = &[&[-2.0, -0.3, 0.1], &[-0.3, -1.0, 0.0], &[0.1, 0.0, -1.5]];
        let d = b.ty(g).shape[1];
        let rows: Vec<&[f64]> = rows[..d].iter().map(|r| &r[..d]).collect();
        (times_matrix(b, g, &rows), b.zeros_like(u))
    }
    for element in ELEMENTS {
        let dimension = element.dimension();
        let case = Case { name: "patch", dimension, components: 1, exact, law, linear: true, symmetric: true };
        let sides: Vec<(&str, Kind)> = ["left", "right", "bottom", "top", "back", "front"][..2 * dimension]
            .iter()
            .zip([Kind::Dirichlet, Kind::Robin, Kind::Neumann, Kind::Robin, Kind::Neumann, Kind::Robin])
            .map(|(&s, k)| (s, k))
            .collect();
        for order in [1, 2] {
            let space = Space::lagrange(unit_box(element, 2, false), order, None).unwrap();
            let discrete = finite_element::discretise(&case.balance(&sides), &space, &Options::default()).unwrap();
            let (l2, h1) = case.errors(&discrete);
            assert!(l2 < 1e-12 && h1 < 1e-12, "{element:?} order {order}: {l2:e}, {h1:e}");
        }
    }
}

/// `∇·(k (e + ∇w)) = 0` on the periodic unit cell. `k` is a function of x.
fn cell_problem(k: &Func, d: usize, axis: usize) -> Balance {
    let mut b = Builder::new("cell");
    let (x, u, g) = (b.input(Type::f64([d])), b.input(Type::f64([1])), b.input(Type::f64([1, d])));
    let flux = conduction(&mut b, k, x, g, axis);
    let flux = b.neg(flux);
    let source = b.zeros_like(u);
    Balance {
        name: "Cell".into(),
        dimension: d,
        components: 1,
        order: 1,
        nominal: vec![0.0],
        interior: b.finish(vec![flux, source]),
        point_data: vec![],
        shared: vec![],
        boundary: vec![],
        linear: true,
        symmetric: true,
        constant_kernel: true,
        carries: false,
    }
}

/// `k (e + g)`
fn conduction(b: &mut Builder, k: &Func, x: Value, g: Value, axis: usize) -> Value {
    let d = b.ty(x).shape[0];
    let k = b.inline(k, &[x])[0];
    let e = unit(b, d, axis);
    let e = b.reshape(e, &[1, d]);
    let total = b.add(g, e);
    b.mul(k, total)
}

/// `mean(k (e + ∇w))`
fn effective(discrete: &Discrete, k: &Func, axis: usize) -> Vec<f64> {
    let d = discrete.space.mesh.dimension();
    let mut b = Builder::new("flux");
    let (x, g) = (b.input(Type::f64([d])), b.input(Type::f64([1, d])));
    let flux = conduction(&mut b, k, x, g, axis);
    let flux = b.finish(vec![flux]);
    let mut b = Builder::new("effective");
    let (_, gradient) = discrete.solve_with_gradient(&mut b, None, &[], &[]);
    let mean = discrete.space.integrate(&mut b, &flux, &[Leaf::Coordinates, gradient])[0];
    let f = b.finish(vec![mean]);
    run(&f, &[])[0].to_f64()
}

/// Phases 1 and 10 in halves along x.
fn laminate(d: usize) -> Func {
    let mut b = Builder::new("k");
    let x = b.input(Type::f64([d]));
    let x = b.index(x, 0, 0);
    let half = b.scalar(0.5);
    let first = b.compare(Compare::Lt, x, half);
    let (one, ten) = (b.scalar(1.0), b.scalar(10.0));
    let k = b.select(first, one, ten);
    b.finish(vec![k])
}

/// 2/(1/1 + 1/10) = 1.818182 across, (1 + 10)/2 = 5.5 along.
#[test]
fn laminate_is_exact_where_interfaces_lie_on_element_edges() {
    for element in ELEMENTS {
        let d = element.dimension();
        let k = laminate(d);
        for axis in 0..d {
            let exact = if axis == 0 { 20.0 / 11.0 } else { 5.5 };
            let balance = cell_problem(&k, d, axis);
            let mesh = unit_box(element, 4, true);
            let mut all = vec![];
            for order in [1, 2] {
                let space = Space::lagrange(mesh.clone(), order, None).unwrap();
                all.push(finite_element::discretise(&balance, &space, &Options::default()).unwrap());
            }
            if element != Element::Triangle {
                all.push(finite_volume::discretise(&balance, &mesh, &Options::default()).unwrap());
            }
            for discrete in all {
                let found = effective(&discrete, &k, axis);
                for (a, v) in found.iter().enumerate() {
                    let exact = if a == axis { exact } else { 0.0 };
                    assert!((v - exact).abs() < 1e-8, "{element:?} order {}: {v} for {exact}", discrete.space.order);
                }
            }
        }
    }
}

#[test]
fn a_homogeneous_cell_has_its_own_conductivity() {
    for element in ELEMENTS {
        let d = element.dimension();
        let mut b = Builder::new("k");
        b.input(Type::f64([d]));
        let k = b.scalar(3.7);
        let k = b.finish(vec![k]);
        let space = Space::lagrange(unit_box(element, 2, true), 1, None).unwrap();
        let discrete = finite_element::discretise(&cell_problem(&k, d, 0), &space, &Options::default()).unwrap();
        assert!((effective(&discrete, &k, 0)[0] - 3.7).abs() < 1e-13);
    }
}

/// What leaves a cell enters its neighbour: without sources the residuals of any field on a periodic box sum to zero.
#[test]
fn finite_volumes_conserve() {
    let k = laminate(2);
    let discrete =
        finite_volume::discretise(&cell_problem(&k, 2, 1), &unit_box(Element::Quad, 6, true), &Options::default())
            .unwrap();
    let u: Vec<f64> = (0..discrete.free).map(|i| (1.7 * i as f64).sin()).collect();
    let r = run(&discrete.residual, &[Tensor::f64([discrete.free], u)])[0].to_f64();
    let size: f64 = r.iter().map(|x| x.abs()).sum();
    assert!(size > 1.0 && r.iter().sum::<f64>().abs() < 1e-12 * size);
}

#[test]
fn finite_volumes_refuse_what_two_points_cannot_represent() {
    let refused = |law: fn(&mut Builder, Value, Value) -> (Value, Value)| {
        let mut b = Builder::new("law");
        let (_, u, g) = (b.input(Type::f64([2])), b.input(Type::f64([1])), b.input(Type::f64([1, 2])));
        let (flux, source) = law(&mut b, u, g);
        let interior = b.finish(vec![flux, source]);
        let balance = Balance { interior, ..cell_problem(&laminate(2), 2, 0) };
        let refusal = finite_volume::discretise(&balance, &unit_box(Element::Quad, 2, true), &Options::default());
        refusal.err().map(|r| r.code)
    };
    let full = refused(|b, u, g| (times_matrix(b, g, &[&[-2.0, -0.5], &[-0.5, -1.0]]), b.zeros_like(u)));
    assert_eq!(full, Some("discretize.two_point"));
    assert_eq!(refused(|b, u, g| (times_matrix(b, g, &[&[-2.0, 0.0], &[0.0, -1.0]]), b.zeros_like(u))), None);
    let power_law = refused(|b, u, g| {
        let squares = b.mul(g, g);
        let size = b.sum_all(squares);
        (b.mul(size, g), b.zeros_like(u))
    });
    assert_eq!(power_law, Some("discretize.two_point"));
    let advection = refused(|b, u, g| {
        let along = b.index(g, 1, 0);
        let _ = u;
        (b.neg(g), along)
    });
    assert_eq!(advection, Some("discretize.two_point"));
}

/// Coefficients and boundary values as arrays give what the same coefficients give as functions of x, by both ways of
/// mapping over points (the heavy law holds a nested `Map`).
#[test]
fn data_may_come_as_arrays() {
    let d = 2;
    // k(x) = 1 + x0, g(x) = x1 on the left, flux·n = 2 (u - x0 x1) on top.
    let scalar = |f: fn(&mut Builder, Value) -> Value| {
        let mut b = Builder::new("datum");
        let x = b.input(Type::f64([2]));
        let v = f(&mut b, x);
        b.finish(vec![v])
    };
    let k = scalar(|b, x| {
        let x0 = b.index(x, 0, 0);
        let one = b.scalar(1.0);
        b.add(x0, one)
    });
    let given = scalar(|b, x| b.index(x, 0, 1));
    let ambient = scalar(|b, x| {
        let (x0, x1) = (b.index(x, 0, 0), b.index(x, 0, 1));
        b.mul(x0, x1)
    });

    let balance = |arrays: bool, heavy: bool| {
        let datum = |b: &mut Builder, f: &Func, x: Value| {
            if arrays { b.input(Type::f64([])) } else { b.inline(f, &[x])[0] }
        };
        let mut b = Builder::new("interior");
        let (x, u, g) = (b.input(Type::f64([d])), b.input(Type::f64([1])), b.input(Type::f64([1, d])));
        let mut k = datum(&mut b, &k, x);
        let factor = b.input(Type::f64([]));
        if heavy {
            let mut inner = Builder::new("square root");
            let v = inner.input(Type::f64([]));
            let v = inner.unary(Unary::Sqrt, v);
            let inner = std::sync::Arc::new(inner.finish(vec![v]));
            let pair = b.stack(&[k, k], 0);
            let roots = b.map(inner, 2, vec![true], &[pair])[0];
            let (r, s) = (b.index(roots, 0, 0), b.index(roots, 0, 1));
            k = b.mul(r, s);
        }
        let k = b.mul(k, factor);
        let flux = b.mul(k, g);
        let flux = b.neg(flux);
        let interior = b.finish(vec![flux, u]);

        let mut b = Builder::new("given");
        let x = b.input(Type::f64([d]));
        let v = datum(&mut b, &given, x);
        b.input(Type::f64([]));
        let essential = b.finish(vec![v]);

        let mut b = Builder::new("exchange");
        let (x, u, _) = (b.input(Type::f64([d])), b.input(Type::f64([1])), b.input(Type::f64([d])));
        let v = datum(&mut b, &ambient, x);
        let factor = b.input(Type::f64([]));
        let v = b.reshape(v, &[1]);
        let difference = b.sub(u, v);
        let q = b.mul(difference, factor);
        let natural = b.finish(vec![q]);

        let one = if arrays { vec![Type::f64([])] } else { vec![] };
        let on = |part: &str, condition| Boundary { part: part.into(), condition, point_data: one.clone() };
        Balance {
            interior,
            point_data: one.clone(),
            shared: vec![Type::f64([])],
            boundary: vec![
                on("boundary", Condition::flux(1, natural)),
                on("left", Condition::Essential { component: 0, value: essential }),
            ],
            constant_kernel: false,
            ..cell_problem(&laminate(2), 2, 0)
        }
    };
    let solution = |balance: &Balance, method: usize, arrays: bool| {
        let mesh = unit_box(Element::Quad, 3, false);
        let options = Options::default();
        let discrete = match method {
            0 => finite_volume::discretise(balance, &mesh, &options).unwrap(),
            p => {
                let space = Space::lagrange(mesh, p, None).unwrap();
                finite_element::discretise(balance, &space, &options).unwrap()
            }
        };
        let functions = [&k, &ambient, &given];
        assert_eq!(discrete.data.len(), if arrays { 3 } else { 0 });
        let mut b = Builder::new("solve");
        let data: Vec<Value> = discrete
            .data
            .iter()
            .zip(functions)
            .map(|(argument, f)| {
                let x = discrete.coordinates(&argument.at);
                assert_eq!(matches!(argument.at, DataPoints::Nodes(_)), std::ptr::eq(f, &given) && method > 0);
                let count = x.ty.len() / d;
                let x = b.constant(x.reshaped([count, d]));
                let v = b.map(std::sync::Arc::new(f.clone()), count, vec![true], &[x])[0];
                b.reshape(v, &argument.ty.shape)
            })
            .collect();
        let two = b.scalar(2.0);
        let u = discrete.solve(&mut b, None, &data, &[two]);
        let f = b.finish(vec![u]);
        run(&f, &[])[0].to_f64()
    };
    for method in [0, 1, 2] {
        let expected = solution(&balance(false, false), method, false);
        for (arrays, heavy) in [(true, false), (false, true), (true, true)] {
            let found = solution(&balance(arrays, heavy), method, arrays);
            let error = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(error < 1e-12, "method {method}, arrays {arrays}, heavy {heavy}: {error:e}");
        }
    }
}
