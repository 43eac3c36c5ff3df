//! Blocked scans against the interpreter, for every schedule: to the bit.

use super::*;
use crate::backend::native::Buffer;
use crate::backend::native::buffers;
use crate::backend::native::pool::Pool;
use crate::ir::eval::eval;
use crate::ir::{Binary, Builder, Op, Tensor, Type, Unary};
use std::sync::Arc;

fn numbers(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7919 + i * i % 613) % 1009) as f64 / 1009.0 - 0.3).collect()
}

fn tensor(ty: &Type) -> Tensor {
    let x = numbers(ty.len());
    match ty.dtype {
        DType::F32 => Tensor::f32(ty.shape.clone(), x.iter().map(|&x| x as f32).collect::<Vec<_>>()),
        _ => Tensor::f64(ty.shape.clone(), x),
    }
}

/// As a scan of so many steps: interpreted once, then compiled and run with every schedule.
fn check(body: Func, carry: usize, xs: usize, length: usize, reverse: bool) {
    let mut types: Vec<Type> = body.inputs.clone();
    for t in &mut types[carry..carry + xs] {
        t.shape.insert(0, length);
    }
    let inputs: Vec<Tensor> = types.iter().map(tensor).collect();
    let mut b = Builder::new("scan");
    let args: Vec<Value> = types.iter().map(|t| b.input(t.clone())).collect();
    let outs = b.ops(Op::Scan { body: Arc::new(body.clone()), length, carry, xs, reverse }, &args);
    let expected = eval(&b.finish(outs), &inputs).expect("a run");
    let mut scan = Blocked::new(&body, (length, carry, xs, reverse), 2).expect("code").expect("a blocked scan");
    let views: Vec<View> = inputs.iter().map(View::of_tensor).collect();
    let types_of_results: Vec<Type> = expected.iter().map(|t| t.ty.clone()).collect();
    let (own, per_step) = (scan.schedule.clone(), scan.sweeps.len());
    let compare = |scan: &Blocked, threads: usize| {
        let pool = Pool::new(threads);
        let mut results = buffers(types_of_results.iter());
        let mut outs: Vec<ViewMut> = results.iter_mut().map(Buffer::view_mut).collect();
        scan.run(&Context { pool: Some(&pool), follow: None }, &views, &mut outs).expect("a run");
        for (k, (r, e)) in results.iter().zip(&expected).enumerate() {
            let got = r.view().to_tensor(&types_of_results[k]);
            let bits = |t: &Tensor| t.to_f64().iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&got), bits(e), "carried value {k}, {} threads, {:?}", threads, scan.schedule);
        }
    };
    compare(&scan, 2);
    let mut tried = 0;
    for (steps, parts, block, strips) in [
        (1, 1, 3, 1),
        (2, 1, 1, 1),
        (3, 2, 2, 1),
        (2, 5, 3, 2),
        (5, 3, 100, 1),
        (4, 1, 5, 3),
        (7, 2, 4, 2),
        (30, 1, 2, 1),
    ] {
        if let Some(s) = own.altered(steps, parts, block, strips, per_step) {
            scan.schedule = s;
            tried += 1;
            for threads in [1, 2, 5] {
                compare(&scan, threads);
            }
        }
    }
    assert!(tried > 1, "{own:?}");
}

/// Σ w_k (u[i+k] + u[i-k]) along an axis, periodic.
fn around(b: &mut Builder, u: Value, axis: usize, weights: &[f64]) -> Value {
    let mut sum = b.scale(u, weights[0]);
    for (k, &w) in weights.iter().enumerate().skip(1) {
        let left = b.op(Op::Roll { axis, shift: k as isize }, &[u]);
        let right = b.op(Op::Roll { axis, shift: -(k as isize) }, &[u]);
        let both = b.add(left, right);
        let term = b.scale(both, w);
        sum = b.add(sum, term);
    }
    sum
}

/// u + h Σ_a (second difference along a) - with an item added and a source that depends on the place.
fn heat(dtype: DType, shape: &[usize], weights: &[f64]) -> Func {
    let mut b = Builder::new("heat");
    let u = b.input(Type::new(dtype, shape));
    let t = b.input(Type::scalar(dtype));
    let k = b.input(Type::new(dtype, shape));
    let mut sum = b.mul(u, t);
    for axis in 0..shape.len() {
        let d = around(&mut b, u, axis, weights);
        sum = b.add(sum, d);
    }
    let i = b.op(Op::Iota { dtype, shape: shape.to_vec(), axis: 0 }, &[]);
    let i = b.scale(i, 1e-3);
    let rolled = b.op(Op::Roll { axis: shape.len() - 1, shift: 2 }, &[k]);
    let flow = b.mul(sum, rolled);
    let step = b.scale(flow, 0.1);
    let out = b.add(u, step);
    let out = b.add(out, i);
    b.finish(vec![out])
}

#[test]
fn one_field_in_one_to_three_dimensions() {
    let wide = [-2.8, 1.6, -0.2, 0.02];
    check(heat(DType::F64, &[97], &wide), 1, 1, 20, false);
    check(heat(DType::F64, &[37, 29], &[-2.0, 1.0]), 1, 1, 17, false);
    check(heat(DType::F32, &[40, 33], &wide[..3]), 1, 1, 9, true);
    check(heat(DType::F64, &[40, 21, 19], &[-2.0, 1.0]), 1, 1, 8, false);
    check(heat(DType::F32, &[31, 36, 20], &wide[..3]), 1, 1, 5, false);
}

/// A step of two species that diffuse and react: `[2, n, m]`.
fn gray(n: usize, m: usize) -> Func {
    let mut b = Builder::new("gray");
    let all = b.input(Type::f64([2, n, m]));
    let (u, v) = (b.index(all, 0, 0), b.index(all, 0, 1));
    let vv = b.mul(v, v);
    let uvv = b.mul(u, vv);
    let mut parts = vec![];
    for (w, rate, sign) in [(u, 0.16, -1.0), (v, 0.08, 1.0)] {
        let (x, y) = (around(&mut b, w, 0, &[-2.0, 1.0]), around(&mut b, w, 1, &[-2.0, 1.0]));
        let lap = b.add(x, y);
        let lap = b.scale(lap, rate);
        let reaction = b.scale(uvv, sign);
        let sum = b.add(lap, reaction);
        parts.push(b.add(w, sum));
    }
    let out = b.stack(&parts, 0);
    b.finish(vec![out])
}

/// `[2, n, m]`: reactions and diffusion of two species.
#[test]
fn two_components() {
    check(gray(41, 26), 1, 0, 23, false);
}

/// Zeros beyond the walls, as slices of a padded field.
#[test]
fn walls() {
    let (n, m) = (33, 30);
    let mut b = Builder::new("walls");
    let u = b.input(Type::f64([n, m]));
    let left = b.slice(u, 0, 0, 1);
    let left = b.neg(left);
    let right = b.slice(u, 0, n - 2, n - 1);
    let tall = b.concat(&[left, u, right], 0);
    let (below, above) = (b.slice(tall, 0, 0, n), b.slice(tall, 0, 2, n + 2));
    let wide = b.op(Op::Pad { low: vec![0, 1], high: vec![0, 2], interior: vec![0, 0] }, &[u]);
    let (before, behind) = (b.slice(wide, 1, 0, m), b.slice(wide, 1, 3, m + 3));
    let mut sum = b.add(below, above);
    sum = b.add(sum, before);
    sum = b.add(sum, behind);
    let mean = b.scale(sum, 0.24);
    let x = b.unary(Unary::Tanh, u);
    let out = b.binary(Binary::Max, mean, x);
    check(b.finish(vec![out]), 1, 0, 15, false);
}

/// Two levels in time that take turns, of high order.
#[test]
fn leapfrog() {
    let mut b = Builder::new("wave");
    let ty = Type::f32([37, 40, 18]);
    let (p, u, c) = (b.input(ty.clone()), b.input(ty.clone()), b.input(ty));
    let mut sum = None;
    for axis in 0..3 {
        let d = around(&mut b, u, axis, &[-2.847, 1.6, -0.2, 0.0254, -0.0018]);
        sum = Some(sum.map_or(d, |s| b.add(s, d)));
    }
    let a = b.mul(c, sum.expect("three axes"));
    let a = b.scale(a, 0.1);
    let two = b.scale(u, 2.0);
    let next = b.sub(two, p);
    let next = b.add(next, a);
    check(b.finish(vec![u, next]), 2, 0, 9, false);
}

/// Stages that are kept between sweeps, of nonlinear fluxes with a coefficient that depends on the place.
#[test]
fn stages() {
    let shape = [48usize, 20];
    let rates = |b: &mut Builder, u: Value| {
        let mut sum = None;
        for axis in 0..2 {
            let right = b.op(Op::Roll { axis, shift: -1 }, &[u]);
            let d = b.sub(right, u);
            let x = b.op(Op::Iota { dtype: DType::F64, shape: shape.to_vec(), axis }, &[]);
            let k = b.scale(x, 0.01);
            let one = b.scalar(0.5);
            let k = b.add(k, one);
            let ahead = b.op(Op::Roll { axis, shift: -1 }, &[k]);
            let k = b.add(k, ahead);
            let square = b.mul(right, u);
            let flux = b.mul(d, k);
            let flux = b.mul(flux, square);
            let left = b.op(Op::Roll { axis, shift: 1 }, &[flux]);
            let div = b.sub(flux, left);
            sum = Some(sum.map_or(div, |s| b.add(s, div)));
        }
        sum.expect("two axes")
    };
    for stages in [2, 4] {
        let mut b = Builder::new("stages");
        let u = b.input(Type::f64(shape));
        let mut slopes: Vec<Value> = vec![];
        for s in 0..stages {
            let at = match slopes.last() {
                Some(&k) => {
                    let h = b.scale(k, 0.05 + 0.01 * s as f64);
                    b.add(u, h)
                }
                None => u,
            };
            slopes.push(rates(&mut b, at));
        }
        let mut sum = u;
        for &k in &slopes {
            let h = b.scale(k, 0.02);
            sum = b.add(sum, h);
        }
        let f = b.finish(vec![sum]);
        assert_eq!(super::roots::choose(&f, 1, 0, &shape).expect("sweeps").sweeps, stages);
        check(f, 1, 0, 11, false);
    }
}

/// Zeros around a box, read far beyond its walls.
#[test]
fn zeros_beyond_a_box() {
    let n = [33, 28, 21];
    let mut b = Builder::new("box");
    let u = b.input(Type::f64(n));
    let wide = b.op(Op::Pad { low: vec![4; 3], high: vec![4; 3], interior: vec![0; 3] }, &[u]);
    let mut sum = u;
    for axis in 0..3 {
        for at in 0..9 {
            let mut start = vec![4; 3];
            start[axis] = at;
            let end = (0..3).map(|a| start[a] + n[a]).collect();
            let v = b.op(Op::Slice { start, end, stride: vec![1; 3] }, &[wide]);
            let v = b.scale(v, 0.01 + 0.01 * at as f64);
            sum = b.add(sum, v);
        }
    }
    let out = b.scale(sum, 0.4);
    check(b.finish(vec![out]), 1, 0, 7, false);
}

/// States, and what is made of them, as rows: forwards and backwards.
#[test]
fn rows_of_every_step() {
    for reverse in [false, true] {
        let mut b = Builder::new("rows");
        let (u, v, f) = (b.input(Type::f64([24, 20])), b.input(Type::f64([24, 20])), b.input(Type::f64([24, 20])));
        let sum = around(&mut b, u, 0, &[0.3, 0.1]);
        let square = b.mul(sum, v);
        let next = b.add(square, f);
        let next = b.scale(next, 0.5);
        let slope = around(&mut b, f, 1, &[0.0, 0.25]);
        let slope = b.mul(slope, u);
        check(b.finish(vec![next, u, u, square, slope]), 2, 1, 7, reverse);
    }
}

#[test]
fn what_is_not_local_is_left() {
    let mut b = Builder::new("mean");
    let u = b.input(Type::f64([40, 40]));
    let sum = b.sum_all(u);
    let sum = b.scale(sum, 1e-3);
    let out = b.mul(u, sum);
    let f = b.finish(vec![out]);
    assert!(Blocked::new(&f, (10, 1, 0, false), 2).expect("code").is_none());
}

/// So many steps and the gradient of a weighted sum of the last state with respect to the first one, or to that after some steps, in passes of
/// all shapes, against the interpreter: to the bit.
fn check_passes(step: Func, states: usize, length: usize) {
    let back = crate::passes::optimise(crate::ad::vjp(&step, &(0..states).collect::<Vec<_>>()));
    // (cotangents…, items…, shared…) → cotangents…
    let mut b = Builder::new("back");
    let types = &step.inputs;
    let cotangents: Vec<Value> = types[..states].iter().map(|t| b.input(t.clone())).collect();
    let rest: Vec<Value> = types.iter().map(|t| b.input(t.clone())).collect();
    let out = b.inline(&back, &[&rest[..], &cotangents].concat());
    let back = drop_dead(b.finish(out[states..].to_vec()));
    let inputs: Vec<Tensor> = types.iter().map(tensor).collect();
    let seeds: Vec<Tensor> = types[..states].iter().map(tensor).collect();
    let shared = &inputs[states..];
    let mut tape = vec![inputs[..states].to_vec()];
    for s in 0..2 * length - 1 {
        tape.push(eval(&step, &[&tape[s], shared].concat()).expect("a step"));
    }
    let gradient = |skipped: usize| {
        let mut cotangents = seeds.clone();
        for state in tape[skipped..skipped + length].iter().rev() {
            cotangents = eval(&back, &[&cotangents, &state[..], shared].concat()).expect("a step back");
        }
        cotangents
    };
    let expected = [0, length - 1, length].map(|skipped| (skipped, gradient(skipped)));
    let views: Vec<View> = inputs.iter().map(View::of_tensor).collect();
    let back_views: Vec<View> = seeds.iter().chain(&inputs).map(View::of_tensor).collect();
    let items: Vec<usize> = (0..states).collect();
    for (steps, block, parts) in [(length, 1, 1), (length, 8, 2), (length + 3, 5, 3), (length, 100, 2)] {
        let shape = tiles::Shape { steps, block, parts };
        let dims = (length, states, states);
        let tiled = tiles::Tiled::new(&step, &back, dims, &items, 2, Some(shape)).expect("code").expect("tiles");
        let all = [1, 2, 3].into_iter().flat_map(|threads| expected.iter().map(move |(s, e)| (threads, *s, e)));
        for (threads, skipped, expected) in all.filter(|(_, s, _)| *s == 0 || tiled.skips()) {
            let pool = Pool::new(threads);
            let context = Context { pool: Some(&pool), follow: None };
            let mut results = buffers(expected.iter().map(|t| &t.ty));
            let mut start: Vec<_> = (0..states).map(|k| layout::Aligned::zeros(tiled.state().bytes(), k)).collect();
            let begin: Vec<*mut u8> = start.iter_mut().map(layout::Aligned::pointer).collect();
            tiled.with_memories(|memories| {
                let [from, to] = memories.cotangents(&tiled, None);
                from.iter().zip(&back_views).for_each(|(to, v)| tiled.cotangent().fill(&context, *v, *to));
                begin.iter().zip(&views).for_each(|(to, v)| tiled.state().fill(&context, *v, *to));
                let mut begun = tiled.begin(&context, memories, &views, &back_views).expect("arguments");
                // SAFETY: arrays of their own.
                unsafe { tiled.pass(&context, &mut begun, (skipped, length), &begin, &from, &to) };
                let read =
                    |(r, from): (&mut Buffer, &*mut u8)| tiled.cotangent().read(&context, *from, &mut r.view_mut());
                results.iter_mut().zip(&to).for_each(read);
            });
            for (k, (r, e)) in results.iter().zip(expected).enumerate() {
                let bits = |t: &Tensor| t.to_f64().iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<_>>();
                assert_eq!(
                    bits(&r.view().to_tensor(&e.ty)),
                    bits(e),
                    "cotangent {k}, {skipped} skipped, {threads} threads, {shape:?}"
                );
            }
        }
    }
}

#[test]
fn passes_forwards_and_back() {
    // Periodic, with a field beside; two components; two levels in time.
    let (n, m) = (211, 26);
    let ty = Type::f64([n, m]);
    let mut b = Builder::new("wave");
    let (p, u, c) = (b.input(ty.clone()), b.input(ty.clone()), b.input(ty.clone()));
    let (x, y) = (around(&mut b, u, 0, &[-2.0, 1.0]), around(&mut b, u, 1, &[-2.5, 1.3, -0.05]));
    let sum = b.add(x, y);
    let square = b.mul(u, u);
    let a = b.mul(c, sum);
    let a = b.add(a, square);
    let a = b.scale(a, 0.1);
    let two = b.scale(u, 2.0);
    let next = b.sub(two, p);
    let next = b.add(next, a);
    check_passes(b.finish(vec![u, next]), 2, 5);

    check_passes(gray(n, m), 1, 6);
}

/// Zeros beyond the walls of the step; something else along one of them.
#[test]
fn passes_between_walls() {
    let (n, m) = (211, 30);
    let mut b = Builder::new("walls");
    let u = b.input(Type::f64([n, m]));
    let wide = b.op(Op::Pad { low: vec![1, 1], high: vec![1, 1], interior: vec![0, 0] }, &[u]);
    let part = |b: &mut Builder, i: usize, j: usize| {
        b.op(Op::Slice { start: vec![i, j], end: vec![i + n, j + m], stride: vec![1, 1] }, &[wide])
    };
    let mut sum = u;
    for (i, j) in [(0, 1), (2, 1), (1, 0), (1, 2)] {
        let near = part(&mut b, i, j);
        sum = b.add(sum, near);
    }
    let mean = b.scale(sum, 0.2);
    let out = b.mul(mean, mean);
    let out = b.add(out, u);
    let out = b.scale(out, 0.6);
    check_passes(b.finish(vec![out]), 1, 6);
}
