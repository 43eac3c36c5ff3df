//! Adam with bias correction [Kingma & Ba 2015] and decoupled weight decay (AdamW) [Loshchilov & Hutter 2019].

use super::bits::{self, Bits};
use crate::ir::math;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct AdamOptions {
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    pub epsilon: f64,
    /// Fraction of each parameter taken off per step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamOptions {
    fn default() -> AdamOptions {
        AdamOptions { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

/// The state: two moments for each parameter and the number of steps taken.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub struct Adam<T> {
    pub options: AdamOptions,
    pub steps: u64,
    #[serde(with = "bits")]
    pub mean: Vec<T>,
    #[serde(with = "bits")]
    pub square: Vec<T>,
}

/// `f64` or `f32`.
pub trait Real: Bits + Default + Send + Sync + 'static {
    fn adam_step(x: &mut [Self], g: &[Self], mean: &mut [Self], square: &mut [Self], c: &Coefficients);
}

impl<T: Real> Adam<T> {
    pub fn new(n: usize, options: AdamOptions) -> Adam<T> {
        Adam { options, steps: 0, mean: vec![T::default(); n], square: vec![T::default(); n] }
    }

    /// One step downhill in place, against the gradient `g`. Allocates nothing; the bits do not depend on how the
    /// loop is vectorised.
    pub fn step(&mut self, x: &mut [T], g: &[T], learning_rate: f64) {
        let n = self.mean.len();
        assert!(x.len() == n && g.len() == n, "compiler bug: Adam of {n} parameters stepped with {}", x.len());
        self.steps += 1;
        let o = &self.options;
        let correction = |beta: f64| 1.0 - math::pow(beta, self.steps as f64);
        let root = correction(o.beta2).sqrt();
        // x -= lr m̂ / (√v̂ + ε), with the corrections gathered in two scalars.
        let c = Coefficients {
            beta1: o.beta1,
            beta2: o.beta2,
            rate: learning_rate * root / correction(o.beta1),
            epsilon: o.epsilon * root,
            keep: 1.0 - learning_rate * o.weight_decay,
        };
        T::adam_step(x, g, &mut self.mean, &mut self.square, &c);
    }
}

/// The scalars of one step.
pub struct Coefficients {
    beta1: f64,
    beta2: f64,
    rate: f64,
    epsilon: f64,
    keep: f64,
}

macro_rules! real {
    ($t:ty) => {
        impl Real for $t {
            fn adam_step(x: &mut [$t], g: &[$t], mean: &mut [$t], square: &mut [$t], c: &Coefficients) {
                let (b1, b2) = (c.beta1 as $t, c.beta2 as $t);
                let (a1, a2) = ((1.0 - c.beta1) as $t, (1.0 - c.beta2) as $t);
                let (rate, epsilon, keep) = (c.rate as $t, c.epsilon as $t, c.keep as $t);
                // Independent lanes and no sums across them: the compiler vectorises this, and every build has the same bits.
                #[inline(always)]
                fn step(x: &mut [$t], g: &[$t], mean: &mut [$t], square: &mut [$t], c: [$t; 7]) {
                    let [b1, b2, a1, a2, rate, epsilon, keep] = c;
                    for (((x, &g), m), v) in x.iter_mut().zip(g).zip(mean).zip(square) {
                        *m = b1 * *m + a1 * g;
                        *v = b2 * *v + a2 * (g * g);
                        *x = keep * *x - rate * *m / (v.sqrt() + epsilon);
                    }
                }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f")]
                fn wide(x: &mut [$t], g: &[$t], mean: &mut [$t], square: &mut [$t], c: [$t; 7]) {
                    step(x, g, mean, square, c)
                }
                let c = [b1, b2, a1, a2, rate, epsilon, keep];
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor was just asked for the feature.
                    return unsafe { wide(x, g, mean, square, c) };
                }
                step(x, g, mean, square, c)
            }
        }
    };
}
real!(f32);
real!(f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_steps_by_hand() {
        // From the definition: after one step m̂ = g, v̂ = g², so x moves by lr·g/(|g| + ε).
        let mut a = Adam::<f64>::new(2, AdamOptions::default());
        let mut x = [1.0, -2.0];
        a.step(&mut x, &[0.5, -4.0], 0.1);
        assert!((x[0] - (1.0 - 0.1 * 0.5 / (0.5 + 1e-8))).abs() < 1e-15);
        assert!((x[1] - (-2.0 + 0.1 * 4.0 / (4.0 + 1e-8))).abs() < 1e-15);
        // Second step with gradient 1 for the first parameter: m̂ = (0.9·0.05 + 0.1)/0.19, v̂ = (0.999·0.00025 + 0.001)/0.001999.
        let x0 = x[0];
        a.step(&mut x, &[1.0, 0.0], 0.1);
        let expected = x0 - 0.1 * (0.145 / 0.19) / ((0.00124975f64 / 0.001999).sqrt() + 1e-8);
        assert!((x[0] - expected).abs() < 1e-13, "{} {expected}", x[0]);
    }

    #[test]
    fn weight_decay_is_decoupled() {
        let mut a = Adam::<f32>::new(1, AdamOptions { weight_decay: 0.1, ..AdamOptions::default() });
        let mut x = [2.0f32];
        a.step(&mut x, &[0.0], 0.5);
        assert!((x[0] - 1.9).abs() < 1e-6);
    }

    #[test]
    fn a_quadratic_is_minimised() {
        let mut a = Adam::<f64>::new(3, AdamOptions::default());
        let (mut x, target, weight) = ([0.0; 3], [1.0, -2.0, 0.5], [1.0, 10.0, 100.0]);
        for k in 0..4000 {
            let g: [f64; 3] = std::array::from_fn(|i| weight[i] * (x[i] - target[i]));
            a.step(&mut x, &g, 0.02 * (1.0 - k as f64 / 4000.0));
        }
        assert!(x.iter().zip(target).all(|(x, t)| (x - t).abs() < 1e-4), "{x:?}");
    }
}
