//! Random functions through every back end, at several numbers of threads.

use super::random::{Dice, func};
use mslc::ad::grad;
use mslc::backend::{Backend, Options, compile};
use mslc::ir::eval::eval;
use mslc::ir::{Builder, DType, Func, Op, SolveSpec, Tensor, Type, Unary, Value, Within};
use std::sync::Arc;

/// NaN is NaN, and 0 is 0: `0·x = 0` and `x + 0 = x` are taken where a body is written out.
fn bits(t: &Tensor) -> Vec<u64> {
    t.to_f64().iter().map(|x| if x.is_nan() { u64::MAX } else { (x + 0.0).to_bits() }).collect()
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.ty, b.ty);
    let difference = |(x, y): (&f64, &f64)| if x == y || (x.is_nan() && y.is_nan()) { 0.0 } else { (x - y).abs() };
    let worst = a.to_f64().iter().zip(&b.to_f64()).map(difference).fold(0.0, f64::max);
    if worst.is_nan() { f64::INFINITY } else { worst }
}

fn inputs(dice: &mut Dice, f: &Func) -> Vec<Tensor> {
    f.inputs.iter().map(|t| dice.tensor(t)).collect()
}

#[test]
fn native_and_interpreter() {
    for seed in 0..300 {
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 3e-4)] {
            let mut dice = Dice(seed);
            let (f, exact) = func(&mut dice, dtype, 30);
            let inputs = inputs(&mut dice, &f);
            let expected = eval(&f, &inputs).unwrap();
            let run = compile(&f, &Options { threads: 2, backend: Backend::Native }).unwrap();
            for _ in 0..2 {
                let got = run.run(&inputs).unwrap();
                for (k, (g, e)) in got.iter().zip(&expected).enumerate() {
                    if exact[k] {
                        assert_eq!(bits(g), bits(e), "seed {seed}, output {k}\n{f:?}");
                    } else {
                        assert!(distance(g, e) < tolerance, "seed {seed}, output {k}: {}", distance(g, e));
                    }
                }
            }
        }
    }
}

#[test]
fn candle_and_interpreter() {
    for seed in 0..100 {
        for (dtype, tolerance) in [(DType::F64, 1e-9), (DType::F32, 3e-4)] {
            let mut dice = Dice(seed);
            let (f, _) = func(&mut dice, dtype, 30);
            let inputs = inputs(&mut dice, &f);
            let expected = eval(&f, &inputs).unwrap();
            let run = compile(&f, &Options { threads: 1, backend: Backend::Candle }).unwrap();
            for (k, (g, e)) in run.run(&inputs).unwrap().iter().zip(&expected).enumerate() {
                assert!(distance(g, e) < tolerance, "seed {seed}, output {k}: {}", distance(g, e));
            }
        }
    }
}

/// Mean square of an mlp `[batch, 2] → 16 → 16 → 3` with biases, as a function of (parameters…, x, y).
fn mlp_loss(dtype: DType, batch: usize) -> Func {
    let mut b = Builder::new("loss");
    let widths = [2, 16, 16, 3];
    let layers: Vec<(Value, Value)> = widths
        .windows(2)
        .map(|w| (b.input(Type::new(dtype, [w[0], w[1]])), b.input(Type::new(dtype, [w[1]]))))
        .collect();
    let mut a = b.input(Type::new(dtype, [batch, 2]));
    let y = b.input(Type::new(dtype, [batch, 3]));
    for (k, (w, bias)) in layers.iter().enumerate() {
        let z = b.matmul(a, *w);
        let shape = b.ty(z).shape.clone();
        let bias = b.broadcast_to(*bias, &shape);
        a = b.add(z, bias);
        if k + 1 < layers.len() {
            a = b.unary(Unary::Tanh, a);
        }
    }
    let d = b.sub(a, y);
    let d = b.mul(d, d);
    let sum = b.sum_all(d);
    let loss = b.scale(sum, 1.0 / (3 * batch) as f64);
    b.finish(vec![loss])
}

#[test]
fn value_and_gradient_of_a_net() {
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
        let f = grad(&mlp_loss(dtype, 64), &[0, 1, 2, 3, 4, 5]);
        let inputs = inputs(&mut Dice(5), &f);
        let expected = eval(&f, &inputs).unwrap();
        for backend in [Backend::Native, Backend::Candle] {
            let got = compile(&f, &Options { threads: 2, backend }).unwrap().run(&inputs).unwrap();
            assert_eq!(got.len(), 7);
            for (g, e) in got.iter().zip(&expected) {
                assert!(distance(g, e) < tolerance, "{backend:?}: {}", distance(g, e));
            }
        }
    }
}

/// A failed item tells which one, and the first one wins whatever the threads.
#[test]
fn faults_say_where() {
    let mut b = Builder::new("residual");
    let (u, p) = (b.input(Type::f64([1])), b.input(Type::f64([1])));
    let s = b.mul(u, u);
    let r = b.add(s, p);
    let residual = Arc::new(b.finish(vec![r]));
    let mut b = Builder::new("item");
    let p = b.input(Type::f64([1]));
    let one = b.full(&Type::f64([1]), 1.0);
    let spec = Arc::new(SolveSpec { name: "Root.square".into(), ..SolveSpec::default() });
    let x = b.op(Op::Solve { residual, spec }, &[one, p]);
    let body = Arc::new(b.finish(vec![x]));
    let mut b = Builder::new("all");
    let p = b.input(Type::f64([40, 1]));
    let x = b.map(body, 40, vec![true], &[p]);
    let f = b.finish(x);
    let p: Vec<f64> = (0..40).map(|i| if i % 8 == 5 { 1.0 } else { -4.0 }).collect();
    for (threads, backend) in [(1, Backend::Native), (2, Backend::Native), (1, Backend::Candle)] {
        let run = compile(&f, &Options { threads, backend }).unwrap();
        let told = run.run(&[Tensor::f64([40, 1], p.clone())]).unwrap_err();
        assert!(told.place == "Root.square" && told.path == [Within::Item(5, 40)], "{told}");
        let good = run.run(&[Tensor::f64([40, 1], vec![-4.0; 40])]).unwrap();
        assert!(good[0].to_f64().iter().all(|x| (x - 2.0).abs() < 1e-9));
    }
}

#[test]
fn the_same_bits_at_any_number_of_threads() {
    for seed in 1000..1040 {
        let mut dice = Dice(seed);
        let (f, _) = func(&mut dice, DType::F64, 30);
        let inputs = inputs(&mut dice, &f);
        let with = |threads| {
            let run = compile(&f, &Options { threads, backend: Backend::Native }).unwrap();
            run.run(&inputs).unwrap().iter().map(bits).collect::<Vec<_>>()
        };
        let one = with(1);
        assert!([2, 3, 7].into_iter().all(|n| with(n) == one), "seed {seed}");
    }
}

/// A sum over shifts along three axes has too many boxes for one kernel; in stages it has the bits of whole copies, as the reference
/// makes them.
#[test]
fn wide_stencils_in_stages_keep_their_bits() {
    let shape = [24, 20, 22];
    let mut b = Builder::new("wide");
    let u = b.input(Type::f64(shape));
    let mut sum = b.scale(u, -8.0);
    for axis in 0..3 {
        for by in 1..=4isize {
            let weight = b.scalar(1.0 / (by * by) as f64);
            let both = [by, -by].map(|shift| b.op(Op::Roll { axis, shift }, &[u]));
            let pair = b.add(both[0], both[1]);
            let term = b.mul(weight, pair);
            sum = b.add(sum, term);
        }
    }
    let f = b.finish(vec![sum]);
    let n: usize = shape.iter().product();
    let u = Tensor::f64(shape, (0..n).map(|i| ((i * 7919) % 1009) as f64 / 1009.0).collect::<Vec<_>>());
    let exact = eval(&f, std::slice::from_ref(&u)).unwrap();
    for threads in [1, 3] {
        let run = compile(&f, &Options { threads, backend: Backend::Native }).unwrap();
        assert_eq!(run.run(std::slice::from_ref(&u)).unwrap(), exact);
    }
}
