//! Learning rates as functions of the progress of a stage.

use crate::ir::math;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Schedule {
    Constant,
    /// Half a cosine from 1 down to `floor` at the stage's end [Loshchilov & Hutter, SGDR, 2017].
    Cosine {
        floor: f64,
    },
    /// Times `factor` every `every` steps, continuously.
    Exponential {
        factor: f64,
        every: f64,
    },
    /// Linear from 0 over the first `steps` steps, then the other schedule over the rest.
    Warmup {
        steps: u64,
        then: Box<Schedule>,
    },
}

impl Schedule {
    /// Factor on the base learning rate for `step` (from 0) of `total` steps.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine { floor } => {
                let progress = (step as f64 / total.max(1) as f64).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + math::cos(std::f64::consts::PI * progress))
            }
            Schedule::Exponential { factor, every } => math::pow(*factor, step as f64 / every),
            Schedule::Warmup { steps, .. } if step < *steps => (step + 1) as f64 / *steps as f64,
            Schedule::Warmup { steps, then } => then.factor(step - steps, total.saturating_sub(*steps)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_at_known_steps() {
        assert_eq!(Schedule::Constant.factor(5, 10), 1.0);
        let c = Schedule::Cosine { floor: 0.1 };
        assert_eq!(c.factor(0, 10), 1.0);
        assert!((c.factor(5, 10) - 0.55).abs() < 1e-15 && (c.factor(10, 10) - 0.1).abs() < 1e-15);
        assert!((Schedule::Exponential { factor: 0.5, every: 100.0 }.factor(200, 0) - 0.25).abs() < 1e-15);
        let w = Schedule::Warmup { steps: 4, then: Box::new(Schedule::Cosine { floor: 0.0 }) };
        assert_eq!([0, 1, 3].map(|s| w.factor(s, 14)), [0.25, 0.5, 1.0]);
        assert_eq!(w.factor(4, 14), 1.0);
        assert!((w.factor(9, 14) - 0.5).abs() < 1e-15);
    }
}
