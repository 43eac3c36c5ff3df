//! Symplectic steps of `x'' = a(t, x)`: kicks and drifts in turn, composed symmetrically.

use crate::ir::{Builder, Func, Value};

/// A composition of Störmer–Verlet steps of lengths `w_i h`.
#[derive(Debug)]
pub struct Composition {
    /// Its name in MSL.
    pub name: &'static str,
    pub order: usize,
    pub weights: &'static [f64],
    pub source: &'static str,
}

/// The composition of a name, if there is one.
pub fn composition(name: &str) -> Option<&'static Composition> {
    COMPOSITIONS.iter().find(|c| c.name == name)
}

pub const COMPOSITIONS: &[Composition] = &[
    Composition { name: "verlet", order: 2, weights: &[1.0], source: "Störmer 1907; Verlet 1967" },
    Composition {
        name: "yoshida4",
        order: 4,
        weights: &[YOSHIDA, 1.0 - 2.0 * YOSHIDA, YOSHIDA],
        source: "Yoshida 1990; Hairer, Lubich & Wanner 2006, §II.4",
    },
];

/// `1/(2 - 2^(1/3))`
const YOSHIDA: f64 = 1.351_207_191_959_657_8;

/// Builds a step of length h from `(t, x, v)`; `slope` is a(t, x). Gives `(x, v, a)` at its end. `forces(t, x, p…) → a`.
pub fn symplectic_step(
    b: &mut Builder,
    method: &Composition,
    forces: &Func,
    (t, h): (Value, Value),
    (x, v, slope): (Value, Value, Value),
    parameters: &[Value],
) -> (Value, Value, Value) {
    let (mut x, mut v, mut a, mut at) = (x, v, slope, 0.0);
    for w in method.weights {
        let (drift, kick) = (b.scale(h, *w), b.scale(h, 0.5 * w));
        let push = b.mul(a, kick);
        v = b.add(v, push);
        let way = b.mul(v, drift);
        x = b.add(x, way);
        at += w;
        let shift = b.scale(h, at);
        let time = b.add(t, shift);
        let args: Vec<Value> = [time, x].into_iter().chain(parameters.iter().copied()).collect();
        a = b.inline(forces, &args)[0];
        let push = b.mul(a, kick);
        v = b.add(v, push);
    }
    (x, v, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Tensor, Type, Unary};

    /// x'' = -sin x cos t: nonlinear, t explicit.
    fn after(method: &Composition, steps: usize) -> f64 {
        let mut f = Builder::new("forces");
        let (t, x) = (f.input(Type::f64([])), f.input(Type::f64([])));
        let (s, c) = (f.unary(Unary::Sin, x), f.unary(Unary::Cos, t));
        let p = f.mul(s, c);
        let a = f.neg(p);
        let forces = f.finish(vec![a]);
        let mut b = Builder::new("step");
        let inputs: Vec<Value> = (0..3).map(|_| b.input(Type::f64([]))).collect();
        let a = b.inline(&forces, &inputs[..2])[0];
        let h = b.scalar(1.0 / steps as f64);
        let (x, v, _) = symplectic_step(&mut b, method, &forces, (inputs[0], h), (inputs[1], inputs[2], a), &[]);
        let step = b.finish(vec![x, v]);
        let mut state = vec![1.0, 0.5];
        for n in 0..steps {
            let t = n as f64 / steps as f64;
            let args: Vec<Tensor> = std::iter::once(t).chain(state).map(Tensor::scalar).collect();
            state = eval(&step, &args).expect("a step").iter().map(Tensor::item).collect();
        }
        state[0]
    }

    #[test]
    fn compositions_show_their_order() {
        let reference = after(&COMPOSITIONS[1], 4000);
        for m in COMPOSITIONS {
            let errors: Vec<f64> = [20, 40].iter().map(|&n| (after(m, n) - reference).abs()).collect();
            let order = (errors[0] / errors[1]).log2();
            assert!(order > m.order as f64 - 0.1, "{}: observed order {order:.2}, errors {errors:?}", m.name);
            assert!((m.weights.iter().sum::<f64>() - 1.0).abs() < 1e-15, "{}", m.name);
        }
    }
}
