//! Steps of spectra: ETDRK4 in one dimension [Cox & Matthews 2002; Kassam & Trefethen 2005], and vorticity in two with
//! Crank–Nicolson for the viscosity.

use super::peers::Peer;
use super::{Text, Workload, tabulated};
use mslc::ir::eval::eval;
use mslc::ir::{Builder, Op, Tensor, Type, Value};
use std::f64::consts::{PI, TAU};

/// Complex numbers: arrays of real and imaginary parts.
#[derive(Clone, Copy)]
struct Complex(Value, Value);

fn split(b: &mut Builder, v: Value) -> Complex {
    Complex(b.index(v, 0, 0), b.index(v, 0, 1))
}

fn joined(b: &mut Builder, z: Complex) -> Value {
    b.stack(&[z.0, z.1], 0)
}

fn times(b: &mut Builder, k: Value, z: Complex) -> Complex {
    Complex(b.mul(k, z.0), b.mul(k, z.1))
}

/// `i k z`
fn turned(b: &mut Builder, k: Value, z: Complex) -> Complex {
    let im = b.mul(k, z.0);
    let re = b.mul(k, z.1);
    Complex(b.neg(re), im)
}

fn plus(b: &mut Builder, x: Complex, y: Complex) -> Complex {
    Complex(b.add(x.0, y.0), b.add(x.1, y.1))
}

const N: usize = 1024;
const BATCH: usize = 64;

/// The same random sines for everybody would need their generator: the same kind of start, for time only.
fn starts(length: f64) -> Tensor {
    tabulated(&[BATCH, N], |i| {
        let x = i[1] as f64 * length / N as f64;
        let amplitude = |k: usize| ((i[0] * 37 + k * 101) % 83) as f64 / 41.5 - 1.0;
        (1..=5).map(|k| amplitude(k) / k as f64 * (TAU * k as f64 * x / length + amplitude(k + 7) * PI).sin()).sum()
    })
}

fn spectra(of: Tensor, rank: usize) -> Tensor {
    let mut b = Builder::new("spectra");
    let x = b.input(of.ty.clone());
    let y = b.op(Op::Rfft { rank }, &[x]);
    eval(&b.finish(vec![y]), &[of]).expect("spectra").swap_remove(0)
}

/// Burgers or Kuramoto–Sivashinsky, 64 runs of 1024 points.
pub fn line(equation: &str) -> Workload {
    let ks = equation == "ks";
    let (length, dt) = if ks { (64.0, 0.05) } else { (TAU, 5e-4) };
    let modes = N / 2 + 1;
    let k: Vec<f64> = (0..modes).map(|m| TAU / length * m as f64).collect();
    let linear: Vec<f64> = k.iter().map(|k| if ks { k * k - k.powi(4) } else { -0.02 * k * k }).collect();
    let [e, e2, q, f1, f2, f3] = coefficients(&linear, dt);
    let factor: Vec<f64> = (0..modes)
        .map(|m| if (m as f64) < (N / 2) as f64 * 2.0 / 3.0 { -0.5 * k[m] / (N * N) as f64 } else { 0.0 })
        .collect();
    let mut b = Builder::new("etdrk4");
    let v = b.input(Type::f64([2, modes]));
    let [e, e2, q, f1, f2, f3, factor] = [e, e2, q, f1, f2, f3, factor].map(|x| b.constant(Tensor::f64([modes], x)));
    let nonlinear = |b: &mut Builder, z: Complex| {
        let z = joined(b, z);
        let u = b.op(Op::Irfft { rank: 1, n: N }, &[z]);
        let uu = b.mul(u, u);
        let w = b.op(Op::Rfft { rank: 1 }, &[uu]);
        let w = split(b, w);
        turned(b, factor, w)
    };
    let v = split(&mut b, v);
    let nv = nonlinear(&mut b, v);
    let half = times(&mut b, e2, v);
    let push = times(&mut b, q, nv);
    let a = plus(&mut b, half, push);
    let na = nonlinear(&mut b, a);
    let push = times(&mut b, q, na);
    let c = plus(&mut b, half, push);
    let nb = nonlinear(&mut b, c);
    let twice = plus(&mut b, nb, nb);
    let minus = Complex(b.neg(nv.0), b.neg(nv.1));
    let twice = plus(&mut b, twice, minus);
    let push = times(&mut b, q, twice);
    let start = times(&mut b, e2, a);
    let d = plus(&mut b, start, push);
    let nc = nonlinear(&mut b, d);
    let mut next = times(&mut b, e, v);
    let middle = plus(&mut b, na, nb);
    let middle = plus(&mut b, middle, middle);
    for (f, n) in [(f1, nv), (f2, middle), (f3, nc)] {
        let term = times(&mut b, f, n);
        next = plus(&mut b, next, term);
    }
    let out = joined(&mut b, next);
    let steps = 500;
    let run = ["--steps", "500", "--eq", equation, "--repeats", "3"];
    Workload {
        name: format!("D {equation} {BATCH}×{N}"),
        step: b.finish(vec![out]),
        inputs: vec![spectra(starts(length), 1)],
        carry: 1,
        items: Some(BATCH),
        block: 10,
        steps,
        points: BATCH * N,
        bytes: 16.0,
        operations: 8.0 * 2.5 * 10.0 + 40.0,
        check: |out, _| out[0].to_f64().iter().map(|x| x * x).sum::<f64>().sqrt(),
        peers: ["exponax", "jax"].map(|p| Peer::python(p, "d_spectral1d.py", &run, "mean_energy")).into(),
        text: Some(Text {
            source: if ks { include_str!("kuramoto_sivashinsky.msl") } else { include_str!("burgers.msl") },
            study: "forward",
            n: N,
            single: false,
        }),
    }
}

/// E, E½, Q, f₁, f₂, f₃ as means over a circle around each eigenvalue [Kassam & Trefethen 2005].
fn coefficients(linear: &[f64], dt: f64) -> [Vec<f64>; 6] {
    let around = |f: &dyn Fn((f64, f64)) -> (f64, f64), l: f64| {
        let points = 32;
        let mean: f64 = (0..points)
            .map(|j| {
                let angle = TAU * (j as f64 + 0.5) / points as f64;
                f((dt * l + angle.cos(), angle.sin())).0
            })
            .sum();
        dt * mean / points as f64
    };
    let mul = |a: (f64, f64), b: (f64, f64)| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
    let div = |a: (f64, f64), b: (f64, f64)| {
        let d = b.0 * b.0 + b.1 * b.1;
        ((a.0 * b.0 + a.1 * b.1) / d, (a.1 * b.0 - a.0 * b.1) / d)
    };
    let exp = |z: (f64, f64)| (z.0.exp() * z.1.cos(), z.0.exp() * z.1.sin());
    let line = |z: (f64, f64), c: [f64; 3]| {
        let zz = mul(z, z);
        (c[0] + c[1] * z.0 + c[2] * zz.0, c[1] * z.1 + c[2] * zz.1)
    };
    let cube = |z| mul(z, mul(z, z));
    let third = |own: [f64; 3], with: [f64; 3]| {
        move |z: (f64, f64)| {
            let (a, b) = (line(z, own), mul(exp(z), line(z, with)));
            div((a.0 + b.0, a.1 + b.1), cube(z))
        }
    };
    let q = |z: (f64, f64)| {
        let e = exp((z.0 / 2.0, z.1 / 2.0));
        div((e.0 - 1.0, e.1), z)
    };
    let f1 = third([-4.0, -1.0, 0.0], [4.0, -3.0, 1.0]);
    let f2 = third([2.0, 1.0, 0.0], [-2.0, 1.0, 0.0]);
    let f3 = third([-4.0, -3.0, -1.0], [4.0, -1.0, 0.0]);
    [
        linear.iter().map(|l| (dt * l).exp()).collect(),
        linear.iter().map(|l| (dt * l / 2.0).exp()).collect(),
        linear.iter().map(|&l| around(&q, l)).collect(),
        linear.iter().map(|&l| around(&f1, l)).collect(),
        // Twice f₂ stands before the sum of two stages; here the sum is doubled instead.
        linear.iter().map(|&l| around(&f2, l)).collect(),
        linear.iter().map(|&l| around(&f3, l)).collect(),
    ]
}

/// Vorticity on the unit torus, n² points, forced.
pub fn navier_stokes(n: usize, batch: usize, steps: usize) -> Workload {
    let (nu, dt) = (1e-3, 1e-3);
    let modes = n / 2 + 1;
    let shape = [n, modes];
    let wave = |i: usize| if 2 * i < n { i as f64 } else { i as f64 - n as f64 };
    let laplace = move |i: &[usize]| TAU * TAU * (wave(i[0]).powi(2) + (i[1] as f64).powi(2));
    let scale = 1.0 / (n * n) as f64;
    let mut b = Builder::new("vorticity");
    let w = b.input(Type::f64([2, n, modes]));
    let table = |b: &mut Builder, f: &dyn Fn(&[usize]) -> f64| b.constant(tabulated(&shape, f));
    let inverse = move |i: &[usize]| if laplace(i) == 0.0 { 0.0 } else { 1.0 / laplace(i) };
    let tables: [&dyn Fn(&[usize]) -> f64; 4] = [
        &|i| scale * TAU * i[1] as f64 * inverse(i),
        &|i| -scale * TAU * wave(i[0]) * inverse(i),
        &|i| scale * TAU * wave(i[0]),
        &|i| scale * TAU * i[1] as f64,
    ];
    let [uy, ux, gx, gy] = tables.map(|f| table(&mut b, f));
    let kept = move |i: &[usize]| {
        let inside = wave(i[0]).abs() <= n as f64 / 3.0 && i[1] as f64 <= n as f64 / 3.0;
        if inside { -dt / (1.0 + 0.5 * dt * nu * laplace(i)) } else { 0.0 }
    };
    let (advected, decayed) = (
        table(&mut b, &kept),
        table(&mut b, &move |i| (1.0 - 0.5 * dt * nu * laplace(i)) / (1.0 + 0.5 * dt * nu * laplace(i))),
    );
    let force = spectra(
        tabulated(&[n, n], |i| {
            let phase = TAU * (i[0] + i[1]) as f64 / n as f64;
            0.1 * (phase.sin() + phase.cos())
        }),
        2,
    );
    let force_data = force.to_f64().to_vec();
    let force = b.constant(tabulated(&[2, n, modes], |i| {
        force_data[(i[0] * n + i[1]) * modes + i[2]] * dt / (1.0 + 0.5 * dt * nu * laplace(&i[1..]))
    }));
    let z = split(&mut b, w);
    let [u, v, wx, wy] = [uy, ux, gx, gy].map(|k| {
        let z = turned(&mut b, k, z);
        let z = joined(&mut b, z);
        b.op(Op::Irfft { rank: 2, n }, &[z])
    });
    let (x, y) = (b.mul(u, wx), b.mul(v, wy));
    let advection = b.add(x, y);
    let advection = b.op(Op::Rfft { rank: 2 }, &[advection]);
    let advection = split(&mut b, advection);
    let push = times(&mut b, advected, advection);
    let rest = times(&mut b, decayed, z);
    let next = plus(&mut b, rest, push);
    let next = joined(&mut b, next);
    let next = b.add(next, force);
    let start = tabulated(&[batch, n, n], |i| {
        let (x, y) = (TAU * i[1] as f64 / n as f64, TAU * i[2] as f64 / n as f64);
        (x + i[0] as f64).sin() * (2.0 * y).cos() + 0.5 * (3.0 * x + 2.0 * y).sin()
    });
    let (steps_text, batch_text) = (steps.to_string(), batch.to_string());
    let run = ["--steps", &steps_text, "--batch", &batch_text, "--repeats", "3"];
    Workload {
        name: format!("E Navier–Stokes {n}², batch {batch}"),
        step: b.finish(vec![next]),
        inputs: vec![spectra(start, 2)],
        carry: 1,
        items: Some(batch),
        block: 10,
        steps,
        points: batch * n * n,
        bytes: 5.0 * 4.0 * 8.0,
        operations: 5.0 * 2.5 * 16.0 + 20.0,
        check: |out, _| out[0].to_f64().iter().map(|x| x * x).sum::<f64>().sqrt(),
        peers: ["jax", "torch", "exponax"].map(|p| Peer::python(p, "e_ns2d.py", &run, "enstrophy0")).into(),
        text: Some(Text {
            source: if batch == 1 { include_str!("vorticity.msl") } else { include_str!("vorticity_batch.msl") },
            study: "forward",
            n,
            single: false,
        }),
    }
}
