//! Observed orders of the rates of conservation laws: every reconstruction, Riemann solver and number of dimensions.

use mslc::discretize::conservation::{Limiter::*, Reconstruction, Reconstruction::*, Riemann, rates};
use mslc::discretize::{Balance, Element, Mesh};
use mslc::ir::eval::eval;
use mslc::ir::{Builder, Op, Tensor, Type};

const HEADER: &str = "
## Conservation laws on finite volumes
Rates of u = exp(x + y + z) under the flux u²/2 along every axis (for `upwind` the flux u), at the points whose stencils lie inside; the
largest relative error on the finer of two grids with `rusanov`, and the order with each Riemann solver. Theory gives 1, 2 and 5. At an extremum
limited slopes vanish, and MUSCL is of order 1 there.

| reconstruction | dimensions | n | error | rusanov | hll | upwind |
|-|-|-|-|-|-|-|
";

/// The table; rows that fall short are added to `wrong`.
pub fn table(wrong: &mut String) -> String {
    let mut table = String::from(HEADER);
    for how in [First, Muscl(Minmod), Muscl(VanLeer), Muscl(Mc), Muscl(Superbee), Muscl(VanAlbada), Weno5] {
        for (d, n) in [(1, 32), (2, 24), (3, 16)] {
            let of = |solver: &Riemann| [n, 2 * n].map(|n| error(d, n, how, solver));
            let pairs = [Riemann::Rusanov, Riemann::Hll, Riemann::Upwind].map(|s| of(&s));
            let orders = pairs.map(|[coarse, fine]| (coarse / fine).log2());
            let [a, b, c] = orders;
            let line = format!("| {how:?} | {d} | {n}, {} | {:.2e} | {a:.2} | {b:.2} | {c:.2} |\n", 2 * n, pairs[0][1]);
            if orders.iter().any(|&o| o < how.order() as f64 - 0.1) {
                *wrong += &line;
            }
            table += &line;
        }
    }
    table
}

fn law(d: usize, linear: bool) -> Balance {
    let mut b = Builder::new("law");
    b.input(Type::f64([d]));
    let u = b.input(Type::f64([1]));
    b.input(Type::f64([1, d]));
    let uu = b.mul(u, u);
    let half = b.scale(uu, 0.5);
    let carried = if linear { u } else { half };
    let flux = b.op(Op::Broadcast { shape: vec![1, d], axes: vec![0] }, &[carried]);
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
        linear,
        symmetric: false,
        constant_kernel: false,
    }
}

/// The largest relative error of the rate where no stencil reaches the boundary.
fn error(d: usize, n: usize, how: Reconstruction, solver: &Riemann) -> f64 {
    let linear = matches!(solver, Riemann::Upwind);
    let mesh = Mesh::new(Element::default_of(d), &vec![0.0; d], &vec![1.0; d], &vec![n; d], &vec![false; d]).unwrap();
    let made = rates(&law(d, linear), &mesh, how, solver).unwrap();
    let total = n.pow(d as u32);
    let index = |p: usize, a: usize| (p / n.pow((d - 1 - a) as u32)) % n;
    let u: Vec<f64> =
        (0..total).map(|p| (0..d).map(|a| (index(p, a) as f64 + 0.5) / n as f64).sum::<f64>().exp()).collect();
    let shape = [&[1], &vec![n; d][..]].concat();
    let found = eval(&made.rates, &[Tensor::f64(shape, u.clone())]).unwrap()[0].to_f64().to_vec();
    (0..total)
        .filter(|&p| (0..d).all(|a| (4..n - 4).contains(&index(p, a))))
        .map(|p| (found[p] / (d as f64 * if linear { u[p] } else { u[p] * u[p] }) + 1.0).abs())
        .fold(0.0, f64::max)
}
