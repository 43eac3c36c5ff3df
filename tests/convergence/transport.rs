//! Observed orders of the rates of conservation laws: every reconstruction, Riemann solver and number of dimensions.

use mslc::discretize::conservation::{Limiter::*, Reconstruction, Reconstruction::*, Riemann, rates};
use mslc::discretize::{Balance, Element, Mesh};
use mslc::ir::{Builder, Op, Tensor, Type};
use std::f64::consts::TAU;

const HEADER: &str = "
### Conservation laws on finite volumes
Rates under the flux u²/2 along every axis (for `upwind` the flux u): the relative error on the finer of two grids with `rusanov`, and
the order with each Riemann solver. `First` and `Muscl`: u = exp(x + y + z), the largest error at points whose stencils lie inside;
`Weno5`: u = 2 + sin 2π(x + y + z), periodic, the mean error. Theory gives 1, 2 and 5. At an extremum limited slopes vanish, and MUSCL
is of order 1 there.

| reconstruction | dimensions | n | error | rusanov | hll | upwind |
|-|-|-|-|-|-|-|
";

/// The table; rows that fall short are added to `wrong`.
pub fn table(wrong: &mut String) -> String {
    let mut table = String::from(HEADER);
    for how in [First, Muscl(Minmod), Muscl(VanLeer), Muscl(Mc), Muscl(Superbee), Muscl(VanAlbada), Weno5] {
        for (d, n) in [(1, 48), (2, 32), (3, 28)] {
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
        carries: false,
    }
}

/// The relative error of the rates, as the header says.
fn error(d: usize, n: usize, how: Reconstruction, solver: &Riemann) -> f64 {
    let linear = matches!(solver, Riemann::Upwind);
    let wave = how == Weno5;
    let (origin, extent) = (vec![0.0; d], vec![1.0; d]);
    let mesh = Mesh::new(Element::default_of(d), &origin, &extent, &vec![n; d], &vec![wave; d]).unwrap();
    let made = rates(&law(d, linear), &mesh, how, solver).unwrap();
    let total = n.pow(d as u32);
    let index = |p: usize, a: usize| (p / n.pow((d - 1 - a) as u32)) % n;
    let (u, slope): (Vec<f64>, Vec<f64>) = (0..total)
        .map(|p| {
            let s = (0..d).map(|a| (index(p, a) as f64 + 0.5) / n as f64).sum::<f64>();
            if wave { (2.0 + (TAU * s).sin(), TAU * (TAU * s).cos()) } else { (s.exp(), s.exp()) }
        })
        .unzip();
    let shape = [&[1], &vec![n; d][..]].concat();
    let found = super::run(&made.rates, &[Tensor::f64(shape, u.clone())])[0].to_f64().to_vec();
    let exact = |p: usize| -(d as f64) * slope[p] * if linear { 1.0 } else { u[p] };
    if wave {
        let sum = |of: &dyn Fn(usize) -> f64| (0..total).map(of).sum::<f64>();
        return sum(&|p| (found[p] - exact(p)).abs()) / sum(&|p| exact(p).abs());
    }
    (0..total)
        .filter(|&p| (0..d).all(|a| (4..n - 4).contains(&index(p, a))))
        .map(|p| (found[p] / exact(p) - 1.0).abs())
        .fold(0.0, f64::max)
}
