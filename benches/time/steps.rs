//! The steps of the workloads.

use super::peers::Peer;
use super::{Text, Workload, spectral, tabulated};
use mslc::ir::{Builder, Op, Tensor, Type, Value};
use std::f64::consts::PI;

pub fn workloads() -> Vec<Workload> {
    let one = spectral::navier_stokes(256, 1, 500);
    let many = spectral::navier_stokes(256, 8, 200);
    let lines = [spectral::line("burgers"), spectral::line("ks")];
    [heat(2048, 200), heat(256, 2000), acoustic(256, 50), gray_scott(512, 2000)]
        .into_iter()
        .chain(lines)
        .chain([one, many])
        .collect()
}

pub fn arguments(n: usize, steps: usize) -> Vec<String> {
    vec!["--size".into(), n.to_string(), "--steps".into(), steps.to_string(), "--repeats".into(), "5".into()]
}

fn heat(n: usize, steps: usize) -> Workload {
    let r = 0.2;
    let mut b = Builder::new("heat");
    let u = b.input(Type::f64([n, n]));
    let at = |b: &mut Builder, i: usize, j: usize| {
        let rows = b.slice(u, 0, i, n - 2 + i);
        b.slice(rows, 1, j, n - 2 + j)
    };
    let middle = at(&mut b, 1, 1);
    let around = [(0, 1), (2, 1), (1, 0), (1, 2)].map(|(i, j)| at(&mut b, i, j));
    let sum = around.into_iter().reduce(|s, v| b.add(s, v)).expect("four");
    let kept = b.scale(middle, 1.0 - 4.0 * r);
    let gained = b.scale(sum, r);
    let next = b.add(kept, gained);
    let out = b.op(Op::Pad { low: vec![1, 1], high: vec![1, 1], interior: vec![0, 0] }, &[next]);
    let h = 1.0 / (n as f64 - 1.0);
    let modes = move |i: usize, j: usize| {
        let (x, y) = (i as f64 * h, j as f64 * h);
        ((PI * x).sin() * (PI * y).sin(), 0.5 * (3.0 * PI * x).sin() * (2.0 * PI * y).sin())
    };
    let start = tabulated(&[n, n], |i| {
        let inside = i.iter().all(|&k| k > 0 && k < n - 1);
        if inside { modes(i[0], i[1]).0 + modes(i[0], i[1]).1 } else { 0.0 }
    });
    let run: Vec<String> = arguments(n, steps);
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    Workload {
        name: format!("A heat {n}²"),
        step: b.finish(vec![out]),
        inputs: vec![start],
        carry: 1,
        items: None,
        block: if n > 1000 { 32 } else { 320 },
        steps,
        points: n * n,
        bytes: 16.0,
        operations: 6.0,
        check: |out, steps| {
            let n = out[0].ty.shape[0];
            let (h, u) = (1.0 / (n as f64 - 1.0), out[0].to_f64());
            let s = |k: f64| (k * PI * h / 2.0).sin().powi(2);
            let slow = (1.0 - 0.8 * 2.0 * s(1.0)).powi(steps as i32);
            let fast = (1.0 - 0.8 * (s(3.0) + s(2.0))).powi(steps as i32);
            let error = |k: usize| {
                let (x, y) = ((k / n) as f64 * h, (k % n) as f64 * h);
                let e =
                    slow * (PI * x).sin() * (PI * y).sin() + 0.5 * fast * (3.0 * PI * x).sin() * (2.0 * PI * y).sin();
                (u[k] - e).abs()
            };
            (0..n * n).map(error).fold(0.0, f64::max)
        },
        peers: [
            vec![Peer::c("heat", include_str!("heat.c"), n)],
            ["devito", "numba", "jax"].map(|p| Peer::python(p, "a_heat.py", &run, "max_err_vs_discrete_exact")).into(),
        ]
        .into_iter()
        .flatten()
        .collect(),
        text: Some(Text { source: include_str!("heat.msl"), study: "forward", n, single: false }),
    }
}

/// Zero beyond the box: the field between layers of zeros.
fn acoustic(n: usize, steps: usize) -> Workload {
    let ty = Type::f32([n, n, n]);
    let mut b = Builder::new("acoustic");
    let (before, u, m) = (b.input(ty.clone()), b.input(ty.clone()), b.input(ty.clone()));
    let weights = [-205.0 / 72.0, 8.0 / 5.0, -1.0 / 5.0, 8.0 / 315.0, -1.0 / 560.0];
    let mut sum = b.scale(u, 3.0 * weights[0]);
    let wide = b.op(Op::Pad { low: vec![4; 3], high: vec![4; 3], interior: vec![0; 3] }, &[u]);
    for (k, &w) in weights.iter().enumerate().skip(1) {
        let mut shell: Option<Value> = None;
        for axis in 0..3 {
            for side in [4 - k, 4 + k] {
                let mut start = vec![4; 3];
                start[axis] = side;
                let end = start.iter().map(|s| s + n).collect();
                let v = b.op(Op::Slice { start, end, stride: vec![1; 3] }, &[wide]);
                shell = Some(shell.map_or(v, |s| b.add(s, v)));
            }
        }
        let term = b.scale(shell.expect("six"), w);
        sum = b.add(sum, term);
    }
    let push = b.mul(m, sum);
    let twice = b.scale(u, 2.0);
    let next = b.sub(twice, before);
    let next = b.add(next, push);
    let single = |t: Tensor| Tensor::f32(t.ty.shape.clone(), t.to_f64().iter().map(|&x| x as f32).collect::<Vec<_>>());
    let pulse = single(tabulated(&[n, n, n], |i| {
        let d: f64 = i.iter().map(|&k| (k as f64 - (n / 2) as f64).powi(2)).sum();
        (-d / 25.0).exp()
    }));
    let speed = single(tabulated(&[n, n, n], |i| {
        let c = if i[2] < n / 2 { 1500.0 } else { 2500.0 };
        (c * 1.5e-3f64 / 10.0).powi(2)
    }));
    let run = arguments(n, steps);
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    Workload {
        name: format!("B acoustic {n}³, order 8, f32"),
        step: b.finish(vec![u, next]),
        inputs: vec![pulse.clone(), pulse, speed],
        carry: 2,
        items: None,
        block: 50,
        steps,
        points: n * n * n,
        bytes: 16.0,
        operations: 33.0,
        check: |out, _| out[1].to_f64().iter().map(|x| x * x).sum::<f64>().sqrt(),
        peers: [
            vec![Peer::c("acoustic", include_str!("acoustic.c"), n)],
            ["devito", "jax"].map(|p| Peer::python(p, "b_wave.py", &run, "l2")).into(),
        ]
        .into_iter()
        .flatten()
        .collect(),
        text: Some(Text { source: include_str!("acoustic.msl"), study: "forward", n, single: true }),
    }
}

fn gray_scott(n: usize, steps: usize) -> Workload {
    let (du, dv, feed, kill) = (0.16, 0.08, 0.035, 0.065);
    let mut b = Builder::new("gray_scott");
    let all = b.input(Type::f64([2, n, n]));
    let (u, v) = (b.index(all, 0, 0), b.index(all, 0, 1));
    let around = |b: &mut Builder, w: Value| {
        let rolled = [(0, 1), (0, -1), (1, 1), (1, -1)].map(|(axis, shift)| b.op(Op::Roll { axis, shift }, &[w]));
        rolled.into_iter().reduce(|s, v| b.add(s, v)).expect("four")
    };
    let vv = b.mul(v, v);
    let uvv = b.mul(u, vv);
    // u + du (sum - 4u) - uvv + feed (1 - u), with equal factors of u taken together.
    let sum = around(&mut b, u);
    let gained = b.scale(sum, du);
    let kept = b.scale(u, 1.0 - 4.0 * du - feed);
    let next = b.add(kept, gained);
    let next = b.sub(next, uvv);
    let fed = b.scalar(feed);
    let next_u = b.add(next, fed);
    let sum = around(&mut b, v);
    let gained = b.scale(sum, dv);
    let kept = b.scale(v, 1.0 - 4.0 * dv - feed - kill);
    let next = b.add(kept, gained);
    let next_v = b.add(next, uvv);
    let out = b.stack(&[next_u, next_v], 0);
    let start = tabulated(&[2, n, n], |i| {
        let inside = i[1..].iter().all(|&k| k >= n / 2 - 10 && k < n / 2 + 10);
        match (i[0], inside) {
            (0, true) => 0.5,
            (0, false) => 1.0,
            (_, true) => 0.25,
            (_, false) => 0.0,
        }
    });
    let run = arguments(n, steps);
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    Workload {
        name: format!("C Gray–Scott {n}²"),
        step: b.finish(vec![out]),
        inputs: vec![start],
        carry: 1,
        items: None,
        block: 96,
        steps,
        points: n * n,
        bytes: 32.0,
        operations: 17.0,
        check: |out, _| {
            let u = out[0].to_f64();
            u[..u.len() / 2].iter().sum::<f64>() / (u.len() / 2) as f64
        },
        peers: [
            vec![Peer::c("gray_scott", include_str!("gray_scott.c"), n)],
            ["devito", "numba", "jax"].map(|p| Peer::python(p, "c_grayscott.py", &run, "mean_u")).into(),
        ]
        .into_iter()
        .flatten()
        .collect(),
        text: Some(Text { source: include_str!("gray_scott.msl"), study: "forward", n, single: false }),
    }
}
