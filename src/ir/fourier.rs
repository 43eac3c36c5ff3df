//! The discrete Fourier transform in terms of other primitives: what `Rfft` and `Irfft` mean. The interpreter and executors without a
//! fast transform run it like this, in O(n²) an axis.

use super::{Builder, Dot, Func, Op, Tensor, Type, Value};

/// How often each of the ⌊n/2⌋ + 1 kept modes of an axis of extent n stands in the whole spectrum: the first once, the middle one
/// (of an even n) once, all others twice, as themselves and as their conjugates.
pub fn multiplicity(n: usize) -> Vec<f64> {
    (0..n / 2 + 1).map(|k| if k == 0 || 2 * k == n { 1.0 } else { 2.0 }).collect()
}

/// A half spectrum with every mode multiplied by its multiplicity (`power` 1) or divided by it (-1). `n`: extent of the last axis of
/// the numbers behind it.
pub fn weighted(b: &mut Builder, spectrum: Value, n: usize, power: i32) -> Value {
    let ty = b.ty(spectrum).clone();
    let weights: Vec<f64> = multiplicity(n).iter().map(|w| w.powi(power)).collect();
    let weights = b.constant(Tensor::f64([weights.len()], weights));
    let weights = b.op(Op::Cast(ty.dtype), &[weights]);
    let weights = b.broadcast_to(weights, &ty.shape);
    b.mul(spectrum, weights)
}

/// A transform of an argument of type `ty` as products with cosines and sines.
pub fn as_products(op: &Op, ty: &Type) -> Func {
    let mut b = Builder::new("fourier");
    let x = b.input(ty.clone());
    let out = match op {
        Op::Rfft { rank } => forward(&mut b, x, *rank),
        Op::Irfft { rank, n } => backward(&mut b, x, *rank, *n),
        _ => unreachable!("compiler bug: not a Fourier transform"),
    };
    b.finish(vec![out])
}

fn forward(b: &mut Builder, x: Value, rank: usize) -> Value {
    let ty = b.ty(x).clone();
    let (first, last) = (ty.rank() - rank, ty.rank() - 1);
    let n = ty.shape[last];
    let (cos, sin) = waves(b, &ty, n, n / 2 + 1);
    let re = along(b, x, last, cos);
    let im = along(b, x, last, sin);
    let mut z = (re, b.neg(im));
    for axis in first..last {
        z = turned(b, z, axis, -1.0);
    }
    b.stack(&[z.0, z.1], first)
}

fn backward(b: &mut Builder, x: Value, rank: usize, n: usize) -> Value {
    let plane = b.ty(x).rank() - rank - 1;
    let mut z = (b.index(x, plane, 0), b.index(x, plane, 1));
    let ty = b.ty(z.0).clone();
    let last = ty.rank() - 1;
    for axis in plane..last {
        z = turned(b, z, axis, 1.0);
    }
    let (re, im) = (weighted(b, z.0, n, 1), weighted(b, z.1, n, 1));
    // The waves `[n, modes]` are those of the other direction, turned round.
    let (cos, sin) = waves(b, &ty, n, n / 2 + 1);
    let (cos, sin) = (b.transpose(cos, &[1, 0]), b.transpose(sin, &[1, 0]));
    let (even, odd) = (along(b, re, last, cos), along(b, im, last, sin));
    b.sub(even, odd)
}

/// A complex transform along one axis: `Σ_j z_j exp(sign·2πi jk/n)`.
fn turned(b: &mut Builder, z: (Value, Value), axis: usize, sign: f64) -> (Value, Value) {
    let ty = b.ty(z.0).clone();
    let n = ty.shape[axis];
    let (cos, sin) = waves(b, &ty, n, n);
    let sin = b.scale(sin, sign);
    let [rc, rs, ic, is] =
        [(z.0, cos), (z.0, sin), (z.1, cos), (z.1, sin)].map(|(part, wave)| along(b, part, axis, wave));
    (b.sub(rc, is), b.add(rs, ic))
}

/// `cos(2πjk/n)` and `sin(2πjk/n)`, `[n, modes]`.
fn waves(b: &mut Builder, like: &Type, n: usize, modes: usize) -> (Value, Value) {
    // The angle from j·k mod n: small, so that the same bits come out for equal angles.
    let angle = |j: usize, k: usize| std::f64::consts::TAU * ((j * k) % n) as f64 / n as f64;
    let table =
        |f: fn(f64) -> f64| -> Vec<f64> { (0..n).flat_map(|j| (0..modes).map(move |k| f(angle(j, k)))).collect() };
    let mut constant = |f: fn(f64) -> f64| {
        let t = b.constant(Tensor::f64([n, modes], table(f)));
        b.op(Op::Cast(like.dtype), &[t])
    };
    (constant(super::math::cos), constant(super::math::sin))
}

/// Contraction of one axis of x with the first of a matrix, whose second takes its place.
fn along(b: &mut Builder, x: Value, axis: usize, matrix: Value) -> Value {
    let rank = b.ty(x).rank();
    let y = b.dot(x, matrix, Dot { lhs_contract: vec![axis], rhs_contract: vec![0], ..Dot::default() });
    // The new axis is the last: back to its place.
    let perm: Vec<usize> = (0..rank)
        .map(|a| match a.cmp(&axis) {
            std::cmp::Ordering::Less => a,
            std::cmp::Ordering::Equal => rank - 1,
            std::cmp::Ordering::Greater => a - 1,
        })
        .collect();
    b.transpose(y, &perm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;

    fn run(op: Op, x: &Tensor) -> Tensor {
        let mut b = Builder::new("transform");
        let v = b.input(x.ty.clone());
        let y = b.op(op, &[v]);
        eval(&b.finish(vec![y]), std::slice::from_ref(x)).expect("a transform").remove(0)
    }

    #[test]
    fn a_wave_has_one_mode() {
        // cos(2π(j/4 + 2l/6)) on a 4×6 grid: half of its 24 points in mode (1, 2), the other half in its conjugate.
        let wave = (0..24).map(|p| (std::f64::consts::TAU * ((p / 6) as f64 / 4.0 + 2.0 * (p % 6) as f64 / 6.0)).cos());
        let x = Tensor::f64([4, 6], wave.collect::<Vec<_>>());
        let y = run(Op::Rfft { rank: 2 }, &x);
        assert_eq!(y.ty.shape, [2, 4, 4]);
        for (k, v) in y.to_f64().iter().enumerate() {
            let expected = if k == 4 + 2 { 12.0 } else { 0.0 };
            assert!((v - expected).abs() < 1e-12, "mode {k}: {v}");
        }
    }

    #[test]
    fn there_and_back_is_the_number_of_points() {
        for (shape, rank) in [(vec![5], 1), (vec![2, 6], 1), (vec![3, 4, 5], 3), (vec![2, 3, 4], 2)] {
            let n: usize = shape.iter().product();
            let x = Tensor::f64(shape.clone(), (0..n).map(|i| ((i * 7 + 3) % 11) as f64).collect::<Vec<_>>());
            let y = run(Op::Rfft { rank }, &x);
            let z = run(Op::Irfft { rank, n: shape[shape.len() - 1] }, &y);
            let points: usize = shape[shape.len() - rank..].iter().product();
            for (a, b) in x.to_f64().iter().zip(z.to_f64()) {
                assert!((a * points as f64 - b).abs() < 1e-11 * points as f64, "{a} {b}");
            }
        }
    }
}
