//! The IR of a table under differentiation.

use mslc::ad::grad;
use mslc::data::interpolate::{Method, Outside, Table, grid_points};
use mslc::ir::eval::eval;
use mslc::ir::{Builder, Tensor, Type, Value};

/// x³(y + 1)², on knots that are even along x only.
fn table(method: Method, outside: Outside) -> Table {
    let axes = vec![vec![1.0, 1.5, 2.0, 2.5, 3.0], vec![0.0, 0.2, 0.5, 1.0, 1.4, 2.0]];
    let values: Vec<f64> = grid_points(&axes).chunks(2).map(|p| p[0].powi(3) * (p[1] + 1.0).powi(2)).collect();
    Table::new(axes, vec![], &values, method, outside).unwrap()
}

fn gradient(t: &Table, x: [f64; 2]) -> [f64; 3] {
    let mut b = Builder::new("table");
    let args: Vec<Value> = (0..2).map(|_| b.input(Type::f64([]))).collect();
    let out = t.to_ir(&mut b, &args);
    let g = grad(&b.finish(vec![out]), &[0, 1]);
    let y = eval(&g, &x.map(Tensor::scalar)).unwrap();
    [y[0].item(), y[1].item(), y[2].item()]
}

#[test]
fn gradients_of_an_exactly_represented_cubic() {
    let t = table(Method::MonotoneCubic, Outside::Linear);
    for (x, y) in [(1.2, 0.1), (2.0, 0.5), (2.9, 1.9)] {
        let [v, dx, dy] = gradient(&t, [x, y]);
        let (c, s): (f64, f64) = (x * x * x, y + 1.0);
        assert!((v - c * s * s).abs() < 1e-12 * v);
        assert!((dx - 3.0 * x * x * s * s).abs() < 1e-11 * dx && (dy - 2.0 * c * s).abs() < 1e-11 * dy);
    }
}

#[test]
fn gradients_agree_with_differences() {
    for method in [Method::Multilinear, Method::MonotoneCubic] {
        for (outside, x) in [(Outside::Hold, [1.3, 0.7]), (Outside::Linear, [3.4, 2.3]), (Outside::Hold, [3.4, 0.7])] {
            let t = table(method, outside);
            let [v, dx, dy] = gradient(&t, x);
            assert!((v - t.evaluate(&x)[0]).abs() < 1e-12 * v.abs());
            let h = 1e-6;
            let difference = |e: [f64; 2]| {
                let at = |s: f64| t.evaluate(&[x[0] + s * e[0], x[1] + s * e[1]])[0];
                (at(h) - at(-h)) / (2.0 * h)
            };
            assert!((dx - difference([1.0, 0.0])).abs() < 1e-7 * v && (dy - difference([0.0, 1.0])).abs() < 1e-7 * v);
        }
    }
    assert_eq!(gradient(&table(Method::MonotoneCubic, Outside::Hold), [3.4, 0.7])[1], 0.0);
}
