//! How large an error is, in units of what is borne: at most 1 where a step is good. [Hairer, Nørsett & Wanner I, §II.4]

use crate::ir::{Binary, Builder, Tensor, Unary, Value};

/// Sizes of errors of a state.
#[derive(Clone)]
pub enum Measure {
    /// The root of the mean square of the entries, each in units of `atol·nominal + rtol·|u|`; typical sizes are of the state's shape or
    /// one number, infinite where an entry does not count.
    Entries { nominal: Tensor },
    /// Of half spectra `[s, 2, modes…]` on so many points: of each unknown the root of the mean square over the points, by Parseval's
    /// theorem, in units of `atol·nominal + rtol·‖u‖`; then over the unknowns.
    Spectra { nominal: Vec<f64>, points: Vec<usize> },
}

impl Measure {
    /// Of an error of a step from u to v, with `(rtol, atol)`.
    pub fn size(&self, b: &mut Builder, u: Value, v: Value, error: Value, (rtol, atol): (f64, f64)) -> Value {
        match self {
            Measure::Entries { nominal } => {
                let (x, y) = (b.unary(Unary::Abs, u), b.unary(Unary::Abs, v));
                let size = b.binary(Binary::Max, x, y);
                let relative = b.scale(size, rtol);
                let nominal = b.constant(nominal.clone());
                let absolute = b.scale(nominal, atol);
                let scale = b.add(relative, absolute);
                root_mean_square(b, error, scale)
            }
            Measure::Spectra { nominal, points } => {
                let sizes = [u, v, error].map(|z| amplitudes(b, z, points));
                let size = b.binary(Binary::Max, sizes[0], sizes[1]);
                let relative = b.scale(size, rtol);
                let absolute = b.constant(Tensor::f64([nominal.len()], nominal.clone()));
                let absolute = b.scale(absolute, atol);
                let scale = b.add(relative, absolute);
                root_mean_square(b, sizes[2], scale)
            }
        }
    }
}

/// The root of the mean square of `v/scale`, at least a little, where its derivative ends.
fn root_mean_square(b: &mut Builder, v: Value, scale: Value) -> Value {
    let ratio = b.div(v, scale);
    let squares = b.mul(ratio, ratio);
    let n = b.ty(v).len().max(1);
    let sum = b.sum_all(squares);
    let mean = b.scale(sum, 1.0 / n as f64);
    root(b, mean)
}

fn root(b: &mut Builder, x: Value) -> Value {
    let least = b.full_like(x, 1e-40);
    let x = b.binary(Binary::Max, x, least);
    b.unary(Unary::Sqrt, x)
}

/// `[s]`: the roots of the mean squares over the points of what half spectra stand for.
fn amplitudes(b: &mut Builder, z: Value, points: &[usize]) -> Value {
    let shape = b.ty(z).shape.clone();
    let (modes, n) = (shape[shape.len() - 1], points[points.len() - 1]);
    let total = points.iter().product::<usize>() as f64;
    // A mode of the half stands for its conjugate too, unless it is its own.
    let weight = |k: usize| if k == 0 || 2 * k == n { 1.0 } else { 2.0 };
    let weights = b.constant(Tensor::f64([modes], (0..modes).map(|k| weight(k) / (total * total)).collect::<Vec<_>>()));
    let weights = b.broadcast_to(weights, &shape);
    let squares = b.mul(z, z);
    let squares = b.mul(squares, weights);
    let axes: Vec<usize> = (1..shape.len()).collect();
    let sums = b.reduce(crate::ir::Reduce::Sum, squares, &axes);
    root(b, sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Op, Type};

    #[test]
    fn spectra_measure_the_mean_square_over_points() {
        for points in [vec![6], vec![4, 5]] {
            let n: usize = points.iter().product();
            let values: Vec<f64> = (0..n).map(|i| ((i * i + 1) as f64).sin()).collect();
            let mut b = Builder::new("amplitude");
            let u = b.input(Type::f64([&[1], &points[..]].concat()));
            let z = b.op(Op::Rfft { rank: points.len() }, &[u]);
            let a = amplitudes(&mut b, z, &points);
            let f = b.finish(vec![a]);
            let mean = values.iter().map(|x| x * x).sum::<f64>() / n as f64;
            let shape = [&[1], &points[..]].concat();
            let found = eval(&f, &[Tensor::f64(shape, values)]).expect("an amplitude")[0].to_f64()[0];
            assert!((found / mean.sqrt() - 1.0).abs() < 1e-13, "{found} against {}", mean.sqrt());
        }
    }
}
