//! Rates of a manufactured field against their closed form: the observed order of every stencil, spectral accuracy, conservation.

use super::*;
use crate::discretize::Element;
use crate::ir::eval::eval;
use crate::ir::{Binary, Func, Tensor, Unary};

/// ∂t u = -∇·(u²/2 e - k(x) ∇u) - sin x₀ · u with k = 1 + cos(x₀)/2 and e = (1, …): nonlinear, variable, all terms.
fn balance(d: usize) -> Balance {
    let mut b = Builder::new("law");
    let x = b.input(Type::f64([d]));
    let u = b.input(Type::f64([1]));
    let g = b.input(Type::f64([1, d]));
    let x0 = b.index(x, 0, 0);
    let cos = b.unary(Unary::Cos, x0);
    let half = b.scale(cos, 0.5);
    let one = b.scalar(1.0);
    let k = b.add(half, one);
    let diffusion = b.mul(k, g);
    let uu = b.mul(u, u);
    let advection = b.scale(uu, 0.5);
    let advection = b.op(Op::Broadcast { shape: vec![1, d], axes: vec![0] }, &[advection]);
    let flux = b.binary(Binary::Sub, advection, diffusion);
    let sin = b.unary(Unary::Sin, x0);
    let source = b.mul(sin, u);
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

const TAU: f64 = std::f64::consts::TAU;

fn mesh(d: usize, n: usize) -> Mesh {
    let element = Element::default_of(d);
    Mesh::new(element, &vec![0.0; d], &vec![TAU; d], &vec![n; d], &vec![true; d]).expect("a mesh")
}

/// u = exp(sin(Σx)) and its rate, at the points.
fn exact(d: usize, n: usize) -> (Vec<f64>, Vec<f64>) {
    let h = TAU / n as f64;
    (0..n.pow(d as u32))
        .map(|p| {
            let x: Vec<f64> = (0..d).map(|a| ((p / n.pow((d - 1 - a) as u32)) % n) as f64 * h + 0.5 * h).collect();
            let s: f64 = x.iter().sum();
            let u = s.sin().exp();
            let (du, ddu) = (s.cos() * u, (s.cos().powi(2) - s.sin()) * u);
            let (k, dk) = (1.0 + x[0].cos() / 2.0, -x[0].sin() / 2.0);
            let d = d as f64;
            let divergence = d * u * du - (dk * du + d * k * ddu);
            (u, -divergence - x[0].sin() * u)
        })
        .unzip()
}

fn computed(d: usize, n: usize, how: Derivatives) -> Vec<f64> {
    let (law, mesh) = (balance(d), mesh(d, n));
    let f = match how {
        Derivatives::Central { order } => rates(&law, &mesh, order).expect("rates"),
        Derivatives::Fourier(dealias) => spectral_rates(&law, &mesh, dealias),
    };
    let mut shape = vec![1];
    shape.extend(vec![n; d]);
    eval(&f, &[Tensor::f64(shape, exact(d, n).0)]).expect("a run")[0].to_f64().to_vec()
}

/// `u → L u + N(u)` at the points.
fn spectral_rates(law: &Balance, mesh: &Mesh, dealias: Dealias) -> Func {
    let d = mesh.dimension();
    let structure = Structure { stored: &[true], fixed: &[], capacity: false };
    let parts = semilinear(law, mesh, &structure, dealias).expect("a semilinear system");
    let mut b = Builder::new("rates");
    let u = b.input(Type::f64([&[1], &mesh.cells[..]].concat()));
    let z = b.op(Op::Rfft { rank: d }, &[u]);
    let n = b.inline(&parts.nonlinear, &[z])[0];
    let l = b.inline(&parts.linear, &[]);
    let flat = b.index(z, 0, 0);
    let l: Vec<Value> = l.into_iter().map(|v| b.index(v, 0, 0)).collect();
    let l = modes::Symbol { re: Some(l[0]), im: l.get(1).copied() };
    let n = b.index(n, 0, 0);
    let lz = l.apply(&mut b, flat).expect("a linear part");
    let sum = b.add(lz, n);
    let back = b.op(Op::Irfft { rank: d, n: mesh.cells[d - 1] }, &[sum]);
    let back = b.reshape(back, &[&[1], &mesh.cells[..]].concat());
    let out = b.scale(back, 1.0 / mesh.cell_count() as f64);
    b.finish(vec![out])
}

fn error(d: usize, n: usize, how: Derivatives) -> f64 {
    computed(d, n, how).iter().zip(exact(d, n).1).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn central_differences_show_their_order() {
    for order in [2, 4, 6, 8] {
        for (d, n) in [(1, 64), (2, 48)] {
            let how = Derivatives::Central { order };
            let (coarse, fine) = (error(d, n, how), error(d, 2 * n, how));
            let observed = (coarse / fine).log2();
            assert!(
                observed > order as f64 - 0.1,
                "order {order} in {d}-D: {observed:.2} from {coarse:e} and {fine:e}"
            );
        }
    }
}

#[test]
fn collocation_is_spectrally_accurate() {
    for (d, n) in [(1, 48), (1, 49), (2, 40)] {
        let e = error(d, n, Derivatives::Fourier(Dealias::None));
        assert!(e < 1e-10, "{d}-D, {n} points: {e:e}");
    }
    // Without the upper third of the modes: coarser, and as accurate once there are enough of them.
    let dealiased = |n| error(1, n, Derivatives::Fourier(Dealias::TwoThirds));
    let (few, many) = (dealiased(24), dealiased(72));
    assert!(few > 1e-6 && many < 1e-10, "{few:e} {many:e}");
}

#[test]
fn fluxes_conserve() {
    let mut law = balance(2);
    // Without the source.
    let mut b = Builder::new("law");
    let inputs: Vec<Value> = law.interior.inputs.clone().into_iter().map(|t| b.input(t)).collect();
    let out = b.inline(&law.interior, &inputs);
    let none = b.zeros(&Type::f64([1]));
    law.interior = b.finish(vec![out[0], none]);
    for f in [rates(&law, &mesh(2, 24), 6).expect("rates"), spectral_rates(&law, &mesh(2, 24), Dealias::ThreeHalves)] {
        let u = Tensor::f64([1, 24, 24], exact(2, 24).0);
        let r = eval(&f, &[u]).expect("a run")[0].to_f64().to_vec();
        let (sum, size) = (r.iter().sum::<f64>(), r.iter().map(|x| x.abs()).sum::<f64>());
        assert!(sum.abs() < 1e-13 * size, "{sum:e} of {size:e}");
    }
}

/// Sound in two dimensions, (p, v): ∂t p = -∇·v, ∂t v = -∇p, as a flux and a source. `carried`: p is carried with speed 1, too.
fn sound(carried: bool) -> Balance {
    let mut b = Builder::new("sound");
    b.input(Type::f64([2]));
    let u = b.input(Type::f64([3]));
    let g = b.input(Type::f64([3, 2]));
    let v = b.slice(u, 0, 1, 3);
    let v = b.reshape(v, &[1, 2]);
    let none = b.zeros(&Type::f64([2, 2]));
    let flux = b.concat(&[v, none], 0);
    let slope = b.index(g, 0, 0);
    let wind = b.index(slope, 0, 0);
    let still = b.scalar(0.0);
    let own = b.reshape(if carried { wind } else { still }, &[1]);
    let source = b.concat(&[own, slope], 0);
    Balance { dimension: 2, components: 3, nominal: vec![1.0; 3], interior: b.finish(vec![flux, source]), ..balance(2) }
}

/// Arakawa's C grid is found, and what the pressure loses the velocity gains, to rounding, at any order.
#[test]
fn staggered_sound_keeps_its_energy() {
    let names = |k: usize| k.to_string();
    let (law, mesh) = (sound(false), mesh(2, 12));
    let Placement::Found(found) = places(&law, &mesh, &names).unwrap() else { panic!("no places") };
    assert_eq!(found.of, [[false, false], [true, false], [false, true]]);
    for order in [2, 4, 6, 8] {
        let f = staggered::rates(&law, &mesh, order, &found).unwrap();
        let state: Vec<f64> = (0..3 * 144).map(|i| (i as f64 * 0.7 + (i * i) as f64 * 0.31).sin()).collect();
        let rates = eval(&f, &[Tensor::f64([3, 12, 12], state.clone())]).unwrap()[0].to_f64().to_vec();
        let change: f64 = state.iter().zip(&rates).map(|(u, r)| u * r).sum();
        let size: f64 = rates.iter().map(|r| r.abs()).sum();
        assert!(size > 100.0 && change.abs() < 1e-13 * size, "order {order}: {change:e} of {size:e}");
    }
}

#[test]
fn what_asks_for_no_places_gets_none() {
    let names = |k: usize| k.to_string();
    assert_eq!(places(&balance(2), &mesh(2, 12), &names).unwrap(), Placement::Unasked);
    let Placement::None(why) = places(&sound(true), &mesh(2, 12), &names).unwrap() else { panic!("places") };
    assert!(why.contains("its own equation"), "{why}");
    // Between walls where nothing is given.
    let walls = Mesh::new(Element::Quad, &[0.0; 2], &[1.0; 2], &[8, 8], &[false; 2]).unwrap();
    let Placement::None(why) = places(&sound(false), &walls, &names).unwrap() else { panic!("places") };
    assert!(why.contains("not given"), "{why}");
}
