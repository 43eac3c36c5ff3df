//! Exponential Runge–Kutta methods for `z' = L z + N(t, z)`, L diagonal [Cox & Matthews 2002]: exact where N is constant.
//!
//! The coefficients are functions like `(e^z - 1)/z`, which cancel near zero; they are means over a circle around each `hL`, on
//! which nothing cancels [Kassam & Trefethen 2005].

use super::diagonal::Diagonal;
use crate::ir::{Builder, Value};

/// What multiplies states and slopes; L and the step are in it.
#[derive(Clone, Copy, Debug)]
pub enum Exponential {
    /// Order 2.
    Two { whole: Diagonal, first: Diagonal, second: Diagonal },
    /// Order 4.
    Four { whole: Diagonal, half: Diagonal, inner: Diagonal, ends: Diagonal, middle: Diagonal, last: Diagonal },
}

/// Points on the circle. With 32 the error is far below rounding for entire functions of this size.
const POINTS: usize = 32;

impl Exponential {
    /// Of order 2 or 4, for steps of length h.
    pub fn new(b: &mut Builder, order: usize, l: Diagonal, h: f64) -> Exponential {
        let step = b.scalar(h);
        let hl = l.scaled(b, step);
        let whole = hl.exp(b).flushed(b);
        if order == 2 {
            let [first, second] = contour(b, hl, h, |b, z, e, inverse| {
                // φ₁ = (eᶻ - 1)/z, φ₂ = (eᶻ - 1 - z)/z²
                let less = e.shifted(b, -1.0, 0.0);
                let first = less.times(b, inverse);
                let minus = b.scalar(-1.0);
                let minus_z = z.scaled(b, minus);
                let rest = less.plus(b, minus_z);
                let rest = rest.times(b, inverse);
                [first, rest.times(b, inverse)]
            });
            return Exponential::Two { whole, first, second };
        }
        let half_step = b.scalar(0.5);
        let half = hl.scaled(b, half_step).exp(b).flushed(b);
        let [inner, ends, middle, last] = contour(b, hl, h, |b, z, e, inverse| {
            let cube = inverse.times(b, inverse).times(b, inverse);
            let half = b.scalar(0.5);
            let root = z.scaled(b, half).exp(b).shifted(b, -1.0, 0.0);
            let inner = root.times(b, inverse);
            let zz = z.times(b, z);
            let times = |b: &mut Builder, d: Diagonal, x: f64| {
                let x = b.scalar(x);
                d.scaled(b, x)
            };
            // (-4 - z + eᶻ(4 - 3z + z²))/z³
            let poly = times(b, z, -3.0).shifted(b, 4.0, 0.0).plus(b, zz);
            let low = times(b, z, -1.0).shifted(b, -4.0, 0.0);
            let ends = e.times(b, poly).plus(b, low).times(b, cube);
            // 2 (2 + z + eᶻ(z - 2))/z³
            let poly = z.shifted(b, -2.0, 0.0);
            let low = z.shifted(b, 2.0, 0.0);
            let middle = e.times(b, poly).plus(b, low).times(b, cube);
            let middle = times(b, middle, 2.0);
            // (-4 - 3z - z² + eᶻ(4 - z))/z³
            let poly = times(b, z, -1.0).shifted(b, 4.0, 0.0);
            let minus = times(b, zz, -1.0);
            let low = times(b, z, -3.0).shifted(b, -4.0, 0.0).plus(b, minus);
            let last = e.times(b, poly).plus(b, low).times(b, cube);
            [inner, ends, middle, last]
        });
        Exponential::Four { whole, half, inner, ends, middle, last }
    }

    /// As values, to be handed into a function; [`Exponential::from_values`] takes them back.
    pub fn values(&self) -> Vec<Value> {
        self.parts().iter().flat_map(|d| std::iter::once(d.re).chain(d.im)).collect()
    }

    /// The same with other values.
    pub fn from_values(&self, values: &[Value]) -> Exponential {
        let mut values = values.iter().copied();
        let mut next = |d: &Diagonal| {
            let mut take = || values.next().expect("compiler bug: too few coefficients");
            Diagonal { re: take(), im: d.im.map(|_| take()) }
        };
        match self {
            Exponential::Two { whole, first, second } => {
                Exponential::Two { whole: next(whole), first: next(first), second: next(second) }
            }
            Exponential::Four { whole, half, inner, ends, middle, last } => Exponential::Four {
                whole: next(whole),
                half: next(half),
                inner: next(inner),
                ends: next(ends),
                middle: next(middle),
                last: next(last),
            },
        }
    }

    fn parts(&self) -> Vec<Diagonal> {
        match *self {
            Exponential::Two { whole, first, second } => vec![whole, first, second],
            Exponential::Four { whole, half, inner, ends, middle, last } => {
                vec![whole, half, inner, ends, middle, last]
            }
        }
    }

    /// A step from z at time t: `n(t, z)` is the rest of the rates, `shift` gives t plus a part of the step.
    pub fn step(
        &self,
        b: &mut Builder,
        z: Value,
        mut shift: impl FnMut(&mut Builder, f64) -> Value,
        mut n: impl FnMut(&mut Builder, Value, Value) -> Value,
    ) -> Value {
        let t = shift(b, 0.0);
        let n0 = n(b, t, z);
        match self {
            Exponential::Two { whole, first, second } => {
                let (ez, fn0) = (whole.apply(b, z), first.apply(b, n0));
                let guess = b.add(ez, fn0);
                let t = shift(b, 1.0);
                let n1 = n(b, t, guess);
                let change = b.sub(n1, n0);
                let change = second.apply(b, change);
                b.add(guess, change)
            }
            Exponential::Four { whole, half, inner, ends, middle, last } => {
                let t = shift(b, 0.5);
                let base = half.apply(b, z);
                let qn = inner.apply(b, n0);
                let first = b.add(base, qn);
                let na = n(b, t, first);
                let qn = inner.apply(b, na);
                let second = b.add(base, qn);
                let nb = n(b, t, second);
                let twice = b.scale(nb, 2.0);
                let change = b.sub(twice, n0);
                let qn = inner.apply(b, change);
                let moved = half.apply(b, first);
                let third = b.add(moved, qn);
                let t = shift(b, 1.0);
                let nc = n(b, t, third);
                let ez = whole.apply(b, z);
                let start = ends.apply(b, n0);
                let centre = b.add(na, nb);
                let centre = middle.apply(b, centre);
                let end = last.apply(b, nc);
                let sum = b.add(ez, start);
                let sum = b.add(sum, centre);
                b.add(sum, end)
            }
        }
    }
}

/// `h` times the mean of functions over the unit circle around each hL. `f(b, z, eᶻ, 1/z)`. Real numbers keep real means, from the
/// upper half of the circle.
fn contour<const K: usize>(
    b: &mut Builder,
    hl: Diagonal,
    h: f64,
    f: impl Fn(&mut Builder, Diagonal, Diagonal, Diagonal) -> [Diagonal; K],
) -> [Diagonal; K] {
    let real = hl.im.is_none();
    let count = if real { POINTS / 2 } else { POINTS };
    let mut sums: Option<[Diagonal; K]> = None;
    for j in 0..count {
        let angle = std::f64::consts::TAU * (j as f64 + 0.5) / POINTS as f64;
        let z = hl.shifted(b, angle.cos(), angle.sin());
        let (e, inverse) = (z.exp(b), z.inverse(b));
        let values = f(b, z, e, inverse).map(|d| if real { Diagonal { re: d.re, im: None } } else { d });
        sums = Some(match sums {
            None => values,
            Some(sums) => std::array::from_fn(|i| sums[i].plus(b, values[i])),
        });
    }
    let weight = b.scalar(h / count as f64);
    sums.expect("compiler bug: a circle without points").map(|d| d.scaled(b, weight).flushed(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Tensor, Type};

    /// u' = λ u + c: an exponential method is exact, for λ real and complex, large and small.
    #[test]
    fn constant_forcing_is_integrated_exactly() {
        for order in [2, 4] {
            for (re, im) in [(-1e3, 0.0), (-0.5, 2.0), (1e-9, 0.0), (0.0, 0.0), (0.3, -40.0)] {
                let (h, c) = (0.1, [0.7, -0.2]);
                let mut b = Builder::new("step");
                let z = b.input(Type::f64([1, 2, 1]));
                let l = Diagonal {
                    re: b.constant(Tensor::f64([1, 1], vec![re])),
                    im: (im != 0.0).then(|| b.constant(Tensor::f64([1, 1], vec![im]))),
                };
                let method = Exponential::new(&mut b, order, l, h);
                let force = b.constant(Tensor::f64([1, 2, 1], c.to_vec()));
                let out = method.step(&mut b, z, |b, x| b.scalar(x), |_, _, _| force);
                let f = b.finish(vec![out]);
                let got = eval(&f, &[Tensor::f64([1, 2, 1], vec![1.0, 0.5])]).expect("a step")[0].to_f64().to_vec();
                let want = exact((re, im), h, (1.0, 0.5), (c[0], c[1]));
                for (g, w) in got.iter().zip([want.0, want.1]) {
                    assert!((g - w).abs() < 1e-12, "order {order}, λ = {re} + {im}i: {g} against {w}");
                }
            }
        }
    }

    fn exact(l: (f64, f64), h: f64, u: (f64, f64), c: (f64, f64)) -> (f64, f64) {
        let mul = |a: (f64, f64), b: (f64, f64)| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
        let z = (l.0 * h, l.1 * h);
        let e = (z.0.exp() * z.1.cos(), z.0.exp() * z.1.sin());
        // φ₁ by its series where z is small.
        let size = z.0 * z.0 + z.1 * z.1;
        let phi =
            if size < 1e-8 { (1.0 + z.0 / 2.0, z.1 / 2.0) } else { mul((e.0 - 1.0, e.1), (z.0 / size, -z.1 / size)) };
        let (a, f) = (mul(e, u), mul(phi, c));
        (a.0 + h * f.0, a.1 + h * f.1)
    }
}
