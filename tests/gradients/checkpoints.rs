//! Loops so long that their state is kept at few steps only: the gradient is that of the same steps written out one by one.

use mslc::ad::grad;
use mslc::backend::{Backend, Options, compile};
use mslc::ir::eval::eval;
use mslc::ir::{Builder, Func, Op, Tensor, Type, Value};
use std::sync::Arc;

const N: usize = 100;
const STATE: usize = N * N;

/// `(u, f, k) → (u + k Δu - u³/100 + f, mean of u)`
fn step() -> Func {
    let mut b = Builder::new("step");
    let u = b.input(Type::f64([N, N]));
    let f = b.input(Type::f64([]));
    let k = b.input(Type::f64([]));
    let mut sum = b.scale(u, -4.0);
    for (axis, shift) in [(0, 1), (0, -1), (1, 1), (1, -1)] {
        let near = b.op(Op::Roll { axis, shift }, &[u]);
        sum = b.add(sum, near);
    }
    let spread = b.mul(k, sum);
    let square = b.mul(u, u);
    let cube = b.mul(square, u);
    let loss = b.scale(cube, -0.01);
    let next = b.add(u, spread);
    let next = b.add(next, loss);
    let next = b.add(next, f);
    let all = b.sum_all(u);
    let mean = b.scale(all, 1.0 / STATE as f64);
    b.finish(vec![next, mean])
}

/// Of the state at the end and what the steps tell on the way, weighted.
fn measured(b: &mut Builder, end: Value, means: Value) -> Value {
    let square = b.mul(end, end);
    let square = b.sum_all(square);
    let length = b.ty(means).len();
    let weights: Vec<f64> = (0..length).map(|i| 1.0 + (i % 7) as f64).collect();
    let weights = b.constant(Tensor::f64([length], weights));
    let told = b.mul(means, weights);
    let told = b.sum_all(told);
    b.add(square, told)
}

fn looped(length: usize, reverse: bool) -> Func {
    let mut b = Builder::new("looped");
    let u = b.input(Type::f64([N, N]));
    let f = b.input(Type::f64([length]));
    let k = b.input(Type::f64([]));
    let op = Op::Scan { body: Arc::new(step()), length, carry: 1, xs: 1, reverse };
    let out = b.ops(op, &[u, f, k]);
    let value = measured(&mut b, out[0], out[1]);
    b.finish(vec![value])
}

fn written_out(length: usize, reverse: bool) -> Func {
    let mut b = Builder::new("written out");
    let mut u = b.input(Type::f64([N, N]));
    let f = b.input(Type::f64([length]));
    let k = b.input(Type::f64([]));
    let mut means = vec![u; length];
    for i in 0..length {
        let i = if reverse { length - 1 - i } else { i };
        let item = b.index(f, 0, i);
        let out = b.inline(&step(), &[u, item, k]);
        u = out[0];
        means[i] = out[1];
    }
    let means = b.stack(&means, 0);
    let value = measured(&mut b, u, means);
    b.finish(vec![value])
}

/// The same without what is told and given on the way: the loops of its gradient go through the cache a few steps at a time.
fn alone(length: usize) -> Func {
    let mut b = Builder::new("alone");
    let (u, f, k) = (b.input(Type::f64([N, N])), b.input(Type::f64([])), b.input(Type::f64([])));
    let all = step();
    let body = mslc::ir::build::drop_dead(Func { outputs: all.outputs[..1].to_vec(), ..all });
    let op = Op::Scan { body: Arc::new(body), length, carry: 1, xs: 0, reverse: false };
    let end = b.ops(op, &[u, f, k])[0];
    let square = b.mul(end, end);
    let value = b.sum_all(square);
    b.finish(vec![value])
}

#[test]
fn compiled_segments_share_memory() {
    // With a rest and without; the shortest has memory for its whole segments, the longest has not.
    for length in [110, 131, 400] {
        let inputs = [
            Tensor::f64([N, N], (0..STATE).map(|i| ((i * 37) % 101) as f64 / 101.0).collect::<Vec<_>>()),
            Tensor::scalar(1e-3),
            Tensor::scalar(0.1),
        ];
        let gradient = grad(&alone(length), &[0, 1, 2]);
        let exact = eval(&gradient, &inputs).expect("a run");
        let run = |threads: usize| {
            let options = Options { threads, backend: Backend::Native };
            let run = compile(&mslc::passes::optimise(gradient.clone()), &options).expect("it compiles");
            let first = run.run(&inputs).expect("a run");
            // What a run leaves in memory says nothing to the next one.
            assert!(run.run(&inputs).expect("a run") == first);
            first
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3), "bits depend on threads");
        for (a, b) in one.iter().zip(&exact) {
            let size = b.to_f64().iter().map(|x| x.abs()).fold(0.0, f64::max);
            let worst = a.to_f64().iter().zip(b.to_f64().iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-12 * size, "{length} steps: {worst:e} of {size:e}");
        }
    }
}

/// Second order: the derivative of the gradient along a direction, by reverse mode and by forward mode over reverse, and against
/// differences.
#[test]
fn second_derivatives_through_segments() {
    let length = 110;
    let f = alone(length);
    let gradient = Func { name: "gradient".into(), ..mslc::ir::build::drop_dead(without_value(grad(&f, &[1, 2]))) };
    let at = |f: f64, k: f64| {
        let u = Tensor::f64([N, N], (0..STATE).map(|i| ((i * 37) % 101) as f64 / 101.0).collect::<Vec<_>>());
        [u, Tensor::scalar(f), Tensor::scalar(k)]
    };
    let (v, x) = ([0.02, -0.3], [1e-3, 0.1]);
    let of = |f: &Func, inputs: &[Tensor]| {
        let run = compile(&mslc::passes::optimise(f.clone()), &Options::default()).expect("it compiles");
        run.run(inputs).expect("a run").iter().map(|t| t.item()).collect::<Vec<f64>>()
    };
    let mut b = Builder::new("along");
    let inputs: Vec<Value> = gradient.inputs.iter().map(|t| b.input(t.clone())).collect();
    let g = b.inline(&gradient, &inputs);
    let (first, second) = (b.scale(g[0], v[0]), b.scale(g[1], v[1]));
    let sum = b.add(first, second);
    let along = b.finish(vec![sum]);
    let reverse = of(&grad(&along, &[1, 2]), &at(x[0], x[1]))[1..].to_vec();
    let forward = mslc::ad::jvp(&gradient, &[1, 2]);
    let tangents = v.map(Tensor::scalar);
    let forward = of(&forward, &[&at(x[0], x[1])[..], &tangents].concat())[2..].to_vec();
    let d = 1e-4;
    let there = of(&gradient, &at(x[0] + d * v[0], x[1] + d * v[1]));
    let here = of(&gradient, &at(x[0] - d * v[0], x[1] - d * v[1]));
    for k in 0..2 {
        let size = reverse[k].abs();
        assert!((reverse[k] - forward[k]).abs() < 1e-11 * size, "{reverse:?} {forward:?}");
        let difference = (there[k] - here[k]) / (2.0 * d);
        assert!((difference - reverse[k]).abs() < 1e-5 * size, "{reverse:?} {difference}");
    }
}

fn without_value(mut f: Func) -> Func {
    f.outputs.remove(0);
    f
}

/// The largest result inside a function, at any depth.
fn largest(f: &Func) -> usize {
    let own = f.nodes.iter().flat_map(|n| &n.types).map(Type::len).max().unwrap_or(0);
    f.nodes.iter().flat_map(|n| Func::bodies(&n.op)).map(|b| largest(b)).fold(own, usize::max)
}

#[test]
fn segments_computed_again() {
    for (length, reverse) in [(131, false), (100, true)] {
        let inputs = [
            Tensor::f64([N, N], (0..STATE).map(|i| ((i * 37) % 101) as f64 / 101.0).collect::<Vec<_>>()),
            Tensor::f64([length], (0..length).map(|i| (i as f64).sin() * 1e-2).collect::<Vec<_>>()),
            Tensor::scalar(0.1),
        ];
        let short = mslc::passes::optimise(grad(&looped(length, reverse), &[0, 1, 2]));
        let long = grad(&written_out(length, reverse), &[0, 1, 2]);
        let (a, b) = (eval(&short, &inputs).expect("a run"), eval(&long, &inputs).expect("a run"));
        for (k, (a, b)) in a.iter().zip(&b).enumerate() {
            assert_eq!(a.ty, b.ty);
            let size = b.to_f64().iter().map(|x| x.abs()).fold(0.0, f64::max);
            let worst = a.to_f64().iter().zip(b.to_f64().iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-13 * size, "{length} steps, reverse {reverse}, output {k}: {worst:e} of {size:e}");
        }
        // As many states as segments, or as a segment has steps, at a time; without segments it would be all steps.
        let states = largest(&short) / STATE;
        assert!(states <= length.isqrt() + 2, "{states} states of {length} steps are kept together");
    }
}
