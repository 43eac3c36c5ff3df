//! Random functions through every back end, at several numbers of threads.

use super::random::{Dice, func};
use mslc::backend::{Backend, Options, compile};
use mslc::ir::eval::eval;
use mslc::ir::{DType, Func, Tensor};

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
