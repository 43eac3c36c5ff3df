//! One explicit Runge–Kutta step, from a tableau.

use super::tableau::Tableau;
use crate::ir::{Builder, Func, Value};

/// `u⁺` and, with an embedded method, the error estimate of each state.
pub struct Step {
    pub next: Vec<Value>,
    pub error: Option<Vec<Value>>,
}

/// A step whose first slope is known, and what is known within it.
pub struct Continued {
    pub next: Value,
    /// The slope at the end, the first one of the next step.
    pub slope: Value,
    pub error: Option<Value>,
    /// `Σ d_i h k_i`, where the tableau has a continuous extension beyond cubic Hermite interpolation.
    pub bulge: Option<Value>,
}

/// Builds a step of length h from (t, u). `rates(t, u…, p…) → (du/dt…)`; `t` and `h` are scalars.
///
/// Stages are sums over the former ones in the order of the tableau: the bits of a step do not depend on how it is compiled.
pub fn explicit_step(
    b: &mut Builder,
    tableau: &Tableau,
    rates: &Func,
    (t, h): (Value, Value),
    states: &[Value],
    parameters: &[Value],
) -> Step {
    let slopes = slopes(b, tableau, rates, (t, h), states, parameters, vec![]);
    let next = combination(b, states, h, &slopes, |i| tableau.b[i]);
    let error = tableau.embedded.map(|(weights, _)| {
        let zeros: Vec<Value> = states.iter().map(|&u| b.zeros_like(u)).collect();
        combination(b, &zeros, h, &slopes, |i| tableau.b[i] - weights[i])
    });
    Step { next, error }
}

/// The same from the slope at (t, u), which the step before gave.
pub fn continued_step(
    b: &mut Builder,
    tableau: &Tableau,
    rates: &Func,
    (t, h): (Value, Value),
    (u, slope): (Value, Value),
    parameters: &[Value],
) -> Continued {
    let slopes = slopes(b, tableau, rates, (t, h), &[u], parameters, vec![vec![slope]]);
    let next = combination(b, &[u], h, &slopes, |i| tableau.b[i])[0];
    let last = match tableau.first_same_as_last() {
        true => slopes[tableau.stages() - 1][0],
        false => {
            let end = b.add(t, h);
            let args: Vec<Value> = [end, next].into_iter().chain(parameters.iter().copied()).collect();
            b.inline(rates, &args)[0]
        }
    };
    let zero = [b.zeros_like(u)];
    let error =
        tableau.embedded.map(|(weights, _)| combination(b, &zero, h, &slopes, |i| tableau.b[i] - weights[i])[0]);
    let bulge = tableau.bulge.map(|weights| combination(b, &zero, h, &slopes, |i| weights[i])[0]);
    Continued { next, slope: last, error, bulge }
}

/// The slopes of all stages, of which the first ones may be known.
fn slopes(
    b: &mut Builder,
    tableau: &Tableau,
    rates: &Func,
    (t, h): (Value, Value),
    states: &[Value],
    parameters: &[Value],
    mut slopes: Vec<Vec<Value>>,
) -> Vec<Vec<Value>> {
    assert!(tableau.explicit(), "compiler bug: `{}` is not explicit", tableau.name);
    for i in slopes.len()..tableau.stages() {
        let shift = b.scale(h, tableau.c[i]);
        let stage_time = b.add(t, shift);
        let stage = combination(b, states, h, &slopes, |j| tableau.a(i, j));
        let args: Vec<Value> = std::iter::once(stage_time).chain(stage).chain(parameters.iter().copied()).collect();
        slopes.push(b.inline(rates, &args));
    }
    slopes
}

/// `u + h Σ_i w_i k_i`, for each state.
fn combination(
    b: &mut Builder,
    states: &[Value],
    h: Value,
    slopes: &[Vec<Value>],
    weight: impl Fn(usize) -> f64,
) -> Vec<Value> {
    states
        .iter()
        .enumerate()
        .map(|(s, &u)| {
            let mut sum = None;
            for (i, slope) in slopes.iter().enumerate().filter(|(i, _)| weight(*i) != 0.0) {
                let term = b.scale(slope[s], weight(i));
                sum = Some(match sum {
                    Some(sum) => b.add(sum, term),
                    None => term,
                });
            }
            match sum {
                Some(sum) => {
                    let step = b.mul(sum, h);
                    b.add(u, step)
                }
                None => u,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrate::TABLEAUX;
    use crate::ir::eval::eval;
    use crate::ir::{Tensor, Type};

    /// u' = -u² cos t + v, v' = -v: u and v coupled, t explicit.
    fn rates() -> Func {
        let mut b = Builder::new("rates");
        let t = b.input(Type::f64([]));
        let u = b.input(Type::f64([]));
        let v = b.input(Type::f64([]));
        let c = b.unary(crate::ir::Unary::Cos, t);
        let uu = b.mul(u, u);
        let p = b.mul(uu, c);
        let du = b.sub(v, p);
        let dv = b.neg(v);
        b.finish(vec![du, dv])
    }

    fn after(tableau: &Tableau, steps: usize) -> f64 {
        let mut b = Builder::new("step");
        let inputs: Vec<Value> = (0..3).map(|_| b.input(Type::f64([]))).collect();
        let h = b.scalar(1.0 / steps as f64);
        let step = explicit_step(&mut b, tableau, &rates(), (inputs[0], h), &inputs[1..], &[]);
        let f = b.finish(step.next);
        let mut state = vec![1.0, 0.5];
        for n in 0..steps {
            let t = n as f64 / steps as f64;
            let args: Vec<Tensor> = std::iter::once(t).chain(state).map(Tensor::scalar).collect();
            state = eval(&f, &args).expect("a step").iter().map(Tensor::item).collect();
        }
        state[0]
    }

    #[test]
    fn every_explicit_tableau_shows_its_order() {
        let reference = after(crate::integrate::tableau("dormand_prince").expect("known"), 2000);
        for t in TABLEAUX.iter().filter(|t| t.explicit()) {
            let errors: Vec<f64> = [20, 40].iter().map(|&n| (after(t, n) - reference).abs()).collect();
            let order = (errors[0] / errors[1]).log2();
            assert!(order > t.order as f64 - 0.1, "{}: observed order {order:.2}, errors {errors:?}", t.name);
        }
    }
}
