//! Units: a dimension, a factor to SI and, for temperatures alone, an offset.

use super::{Dimension, Ratio};
use serde::{Deserialize, Serialize};

/// `SI value = written value · factor + offset`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Unit {
    pub dimension: Dimension,
    pub factor: f64,
    pub offset: f64,
}

impl Unit {
    pub fn one() -> Unit {
        Unit { dimension: Dimension::none(), factor: 1.0, offset: 0.0 }
    }

    pub fn new(dimension: Dimension, factor: f64) -> Unit {
        Unit { dimension, factor, offset: 0.0 }
    }

    pub fn times(&self, other: &Unit) -> Unit {
        Unit::new(self.dimension.times(&other.dimension), self.factor * other.factor)
    }

    pub fn over(&self, other: &Unit) -> Unit {
        Unit::new(self.dimension.over(&other.dimension), self.factor / other.factor)
    }

    pub fn pow(&self, p: Ratio) -> Unit {
        Unit::new(self.dimension.pow(p), self.factor.powf(p.to_f64()))
    }

    pub fn to_si(&self, written: f64) -> f64 {
        written * self.factor + self.offset
    }

    pub fn from_si(&self, si: f64) -> f64 {
        (si - self.offset) / self.factor
    }
}
