//! Rates of laws with known solutions: orders, conservation, walls.

use super::*;
use crate::discretize::{Boundary, Condition, Element};
use crate::ir::eval::eval;

/// Burgers' flux along every axis.
fn burgers(d: usize) -> Balance {
    let mut b = Builder::new("law");
    let _x = b.input(Type::f64([d]));
    let u = b.input(Type::f64([1]));
    let _g = b.input(Type::f64([1, d]));
    let uu = b.mul(u, u);
    let half = b.scale(uu, 0.5);
    let flux = b.op(Op::Broadcast { shape: vec![1, d], axes: vec![0] }, &[half]);
    let source = b.zeros(&Type::f64([1]));
    Balance {
        name: "law".into(),
        dimension: d,
        components: 1,
        order: 1,
        nominal: vec![1.0],
        interior: b.finish(vec![flux, source]),
        point_data: vec![],
        shared: vec![],
        boundary: vec![],
        linear: false,
        symmetric: false,
        constant_kernel: false,
        carries: false,
    }
}

fn mesh(d: usize, n: usize, periodic: bool) -> Mesh {
    Mesh::new(Element::default_of(d), &vec![0.0; d], &vec![1.0; d], &vec![n; d], &vec![periodic; d]).unwrap()
}

/// Mean error of the rates of u = 2 + sin 2π(Σx), and their sum over the size of their sum of sizes.
fn error(d: usize, n: usize, r: Reconstruction, solver: &Riemann) -> (f64, f64) {
    let made = rates(&burgers(d), &mesh(d, n, true), r, solver).unwrap();
    let tau = std::f64::consts::TAU;
    let (mut u, mut exact) = (vec![], vec![]);
    crate::discretize::mesh::each_index(&vec![n; d], |index| {
        let s: f64 = index.iter().map(|&i| (i as f64 + 0.5) / n as f64).sum::<f64>() * tau;
        u.push(2.0 + s.sin());
        exact.push(-(d as f64) * tau * s.cos() * (2.0 + s.sin()));
    });
    let u = Tensor::f64([&[1], &vec![n; d][..]].concat(), u);
    let found = eval(&made.rates, &[u]).unwrap()[0].to_f64().to_vec();
    let e = found.iter().zip(&exact).map(|(a, b)| (a - b).abs()).sum::<f64>() / exact.len() as f64;
    (e, found.iter().sum::<f64>().abs() / found.iter().map(|x| x.abs()).sum::<f64>())
}

#[test]
fn reconstructions_show_their_order_and_conserve() {
    use Limiter::*;
    let all = [Minmod, VanLeer, Mc, Superbee, VanAlbada].map(Reconstruction::Muscl);
    for r in [Reconstruction::First, Reconstruction::Weno5].into_iter().chain(all) {
        for solver in [Riemann::Rusanov, Riemann::Hll] {
            let n = if r == Reconstruction::Weno5 { 48 } else { 128 };
            for (d, n) in [(1, n), (2, 48)] {
                let ((coarse, _), (fine, leak)) = (error(d, n, r, &solver), error(d, 2 * n, r, &solver));
                let observed = (coarse / fine).log2();
                // Limiters clip extrema, where the rate is of order 1; in the mean this takes up to one order.
                let nominal = if let Reconstruction::Muscl(_) = r { 1.4 } else { r.order() as f64 - 0.1 };
                assert!(observed > nominal, "{r:?} {d}-D: {observed:.2} from {coarse:e} and {fine:e}");
                assert!(leak < 1e-13, "{leak:e}");
            }
        }
    }
}

/// The outer state is what is given, and what leaves is what the inner cells say.
#[test]
fn inflow_and_outflow() {
    let mut law = burgers(1);
    let mut b = Builder::new("given");
    b.input(Type::f64([1]));
    let two = b.scalar(2.0);
    let value = b.finish(vec![two]);
    let condition = Condition::Essential { component: 0, value };
    law.boundary = vec![Boundary { part: "left".into(), condition, point_data: vec![] }];
    for r in [Reconstruction::First, Reconstruction::Muscl(Limiter::VanLeer), Reconstruction::Weno5] {
        let made = rates(&law, &mesh(1, 8, false), r, &Riemann::Hll).unwrap();
        let found = eval(&made.rates, &[Tensor::f64([1, 8], vec![1.0; 8])]).unwrap()[0].to_f64().to_vec();
        // (2²/2 - 1²/2)/h enters the first cell.
        assert!((found[0] - 1.5 * 8.0).abs() < 1e-9, "{r:?}: {found:?}");
        assert!(found[1..].iter().all(|x| x.abs() < 1e-9), "{r:?}: {found:?}");
        let courant = eval(&made.courant, &[Tensor::f64([1, 8], vec![1.0; 8])]).unwrap()[0].to_f64().to_vec();
        assert_eq!(courant, [8.0; 8]);
    }
}

#[test]
fn upwind_is_for_linear_laws() {
    let refused = rates(&burgers(1), &mesh(1, 8, true), Reconstruction::First, &Riemann::Upwind);
    assert_eq!(refused.err().map(|r| r.code), Some("discretize.riemann"));
}
