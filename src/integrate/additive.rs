//! Additive Runge–Kutta methods for `z' = L z + N(t, z)`, L diagonal: L implicitly, N explicitly. [Kennedy & Carpenter 2003]

use super::Additive;
use super::diagonal::Diagonal;
use crate::ir::{Builder, Value};

/// `1/(1 - h a L)` for each implicit coefficient a of a method.
pub struct Inverses(Vec<(f64, Diagonal)>);

impl Inverses {
    /// For steps of length h, a number.
    pub fn new(b: &mut Builder, method: &Additive, l: Diagonal, h: Value) -> Inverses {
        let mut out: Vec<(f64, Diagonal)> = vec![];
        for i in 0..method.implicit.stages() {
            let a = method.implicit.a(i, i);
            if a != 0.0 && !out.iter().any(|(x, _)| *x == a) {
                let factor = b.scale(h, -a);
                let diagonal = l.scaled(b, factor).shifted(b, 1.0, 0.0);
                out.push((a, diagonal.inverse(b)));
            }
        }
        Inverses(out)
    }

    pub fn values(&self) -> Vec<Value> {
        self.0.iter().flat_map(|(_, d)| std::iter::once(d.re).chain(d.im)).collect()
    }

    /// The same with other values.
    pub fn from_values(&self, values: &[Value]) -> Inverses {
        let mut values = values.iter().copied();
        let mut take = || values.next().expect("compiler bug: too few coefficients");
        Inverses(
            self.0.iter().map(|(a, d)| (*a, Diagonal { re: take(), im: d.im.is_some().then(&mut take) })).collect(),
        )
    }
}

/// A step of length h, a number, from z: `n(t, z)`, `shift` gives the time plus a part of the step. Also the error, where there are
/// embedded weights: `Σ (b_i - b̂_i) h (N_i + L z_i)`.
pub fn additive_step(
    b: &mut Builder,
    method: &Additive,
    (l, inverses, h): (Diagonal, &Inverses, Value),
    z: Value,
    mut shift: impl FnMut(&mut Builder, f64) -> Value,
    mut n: impl FnMut(&mut Builder, Value, Value) -> Value,
) -> (Value, Option<Value>) {
    let (explicit, implicit) = (method.explicit, method.implicit);
    let last = implicit.stages() - 1;
    // N and L of each stage, as far as a later one or the step reads them.
    let mut forces: Vec<Option<Value>> = vec![];
    let mut slopes: Vec<Option<Value>> = vec![];
    let combined = |b: &mut Builder,
                    from: Value,
                    forces: &[Option<Value>],
                    slopes: &[Option<Value>],
                    we: &dyn Fn(usize) -> f64,
                    wi: &dyn Fn(usize) -> f64| {
        let mut sum = from;
        for (values, weight) in [(forces, we), (slopes, wi)] {
            for (j, v) in values.iter().enumerate() {
                if let (Some(v), w) = (v, weight(j))
                    && w != 0.0
                {
                    let factor = b.scale(h, w);
                    let term = b.mul(*v, factor);
                    sum = b.add(sum, term);
                }
            }
        }
        sum
    };
    let mut stage = z;
    for i in 0..=last {
        let base = combined(b, z, &forces, &slopes, &|j| explicit.a(i, j), &|j| implicit.a(i, j));
        let a = implicit.a(i, i);
        stage = match inverses.0.iter().find(|(x, _)| *x == a && a != 0.0) {
            Some((_, inverse)) => inverse.apply(b, base),
            None => base,
        };
        let later =
            |w: &dyn Fn(usize) -> f64, last_weight: f64| (i + 1..=last).any(|k| w(k) != 0.0) || last_weight != 0.0;
        forces.push(later(&|k| explicit.a(k, i), explicit.b[i]).then(|| {
            let t = shift(b, explicit.c[i]);
            n(b, t, stage)
        }));
        slopes.push(later(&|k| implicit.a(k, i), implicit.b[i]).then(|| match a {
            0.0 => l.apply(b, stage),
            // h a L z = z - base, without the cancellation in L z.
            a => {
                let change = b.sub(stage, base);
                let (one, factor) = (b.scalar(1.0), b.scale(h, a));
                let inverse = b.div(one, factor);
                b.mul(change, inverse)
            }
        }));
    }
    // The last stage is the step where both of its rows are the weights.
    let same = (0..=last).all(|j| implicit.a(last, j) == implicit.b[j] && explicit.a(last, j) == explicit.b[j]);
    let next = match same {
        true => stage,
        false => combined(b, z, &forces, &slopes, &|j| explicit.b[j], &|j| implicit.b[j]),
    };
    let error = explicit.embedded.zip(implicit.embedded).map(|((e, _), (i, _))| {
        let zero = b.zeros_like(z);
        combined(b, zero, &forces, &slopes, &|j| explicit.b[j] - e[j], &|j| implicit.b[j] - i[j])
    });
    (next, error)
}
