//! One-dimensional laws, each by its quantile function: a design on the unit cube becomes a design of the law.

use crate::ir::math;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Law {
    /// On `[low, high]`.
    Uniform {
        low: f64,
        high: f64,
    },
    Normal {
        mean: f64,
        deviation: f64,
    },
    /// The logarithm is uniform on `[ln low, ln high]`.
    LogUniform {
        low: f64,
        high: f64,
    },
    /// Each value equally likely.
    Choice(Vec<f64>),
}

impl Law {
    pub fn uniform(low: f64, high: f64) -> Result<Law, String> {
        let ok = low.is_finite() && high.is_finite() && low <= high;
        checked(Law::Uniform { low, high }, ok, || format!("uniform({low}, {high}) needs finite bounds in order"))
    }

    pub fn normal(mean: f64, deviation: f64) -> Result<Law, String> {
        let ok = mean.is_finite() && deviation.is_finite() && deviation >= 0.0;
        let message = || format!("normal({mean}, {deviation}) needs a finite mean and a standard deviation ≥ 0");
        checked(Law::Normal { mean, deviation }, ok, message)
    }

    pub fn log_uniform(low: f64, high: f64) -> Result<Law, String> {
        let ok = low > 0.0 && low <= high && high.is_finite();
        let message = || format!("loguniform({low}, {high}) needs positive bounds in order");
        checked(Law::LogUniform { low, high }, ok, message)
    }

    pub fn choice(values: Vec<f64>) -> Result<Law, String> {
        let ok = !values.is_empty();
        checked(Law::Choice(values), ok, || "choice needs at least one value".into())
    }

    /// The value below which a fraction `u` in (0, 1) of the law lies.
    pub fn quantile(&self, u: f64) -> f64 {
        match self {
            Law::Uniform { low, high } => low + (high - low) * u,
            Law::Normal { mean, deviation } => mean + deviation * normal_quantile(u),
            Law::LogUniform { low, high } => log_between(*low, *high, u),
            Law::Choice(values) => values[choose(values.len(), u)],
        }
    }

    /// Smallest and largest value, infinite for the normal law.
    pub fn support(&self) -> (f64, f64) {
        match self {
            Law::Uniform { low, high } | Law::LogUniform { low, high } => (*low, *high),
            Law::Normal { .. } => (f64::NEG_INFINITY, f64::INFINITY),
            Law::Choice(v) => v.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x))),
        }
    }
}

/// The index among `n` equally likely ones at quantile `u`.
pub fn choose(n: usize, u: f64) -> usize {
    ((u * n as f64) as usize).min(n - 1)
}

/// Inverse of the standard normal distribution function, relative error about 1e-16
/// [Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37, 1988].
pub fn normal_quantile(u: f64) -> f64 {
    let q = u - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * polynomial(&CENTRAL.0, r) / polynomial(&CENTRAL.1, r);
    }
    let tail = if q < 0.0 { u } else { 1.0 - u };
    let r = (-math::log(tail)).sqrt();
    let (p, d) = if r <= 5.0 { (MIDDLE, r - 1.6) } else { (FAR, r - 5.0) };
    (polynomial(&p.0, d) / polynomial(&p.1, d)).copysign(q)
}

fn log_between(low: f64, high: f64, u: f64) -> f64 {
    let (a, b) = (math::log(low), math::log(high));
    math::exp(a + (b - a) * u).clamp(low, high)
}

/// Horner's rule, constant term first.
fn polynomial(c: &[f64; 8], x: f64) -> f64 {
    c.iter().rev().fold(0.0, |s, &a| s * x + a)
}

fn checked(law: Law, ok: bool, message: impl FnOnce() -> String) -> Result<Law, String> {
    if ok { Ok(law) } else { Err(message()) }
}

type Rational = ([f64; 8], [f64; 8]);

#[rustfmt::skip]
const CENTRAL: Rational = (
    [3.387_132_872_796_366_6, 133.141_667_891_784_38, 1_971.590_950_306_551_3, 13_731.693_765_509_46,
     45_921.953_931_549_87, 67_265.770_927_008_7, 33_430.575_583_588_13, 2_509.080_928_730_122_7],
    [1.0, 42.313_330_701_600_91, 687.187_007_492_057_9, 5_394.196_021_424_751,
     21_213.794_301_586_597, 39_307.895_800_092_71, 28_729.085_735_721_943, 5_226.495_278_852_854],
);
#[rustfmt::skip]
const MIDDLE: Rational = (
    [1.423_437_110_749_683_5, 4.630_337_846_156_546, 5.769_497_221_460_691, 3.647_848_324_763_204_5,
     1.270_458_252_452_368_4, 0.241_780_725_177_450_6, 0.022_723_844_989_269_184, 7.745_450_142_783_414e-4],
    [1.0, 2.053_191_626_637_759, 1.676_384_830_183_803_8, 0.689_767_334_985_1,
     0.148_103_976_427_480_08, 0.015_198_666_563_616_457, 5.475_938_084_995_345e-4, 1.050_750_071_644_416_9e-9],
);
#[rustfmt::skip]
const FAR: Rational = (
    [6.657_904_643_501_103, 5.463_784_911_164_114, 1.784_826_539_917_291_3, 0.296_560_571_828_504_87,
     0.026_532_189_526_576_124, 0.001_242_660_947_388_078_4, 2.711_555_568_743_487_6e-5, 2.010_334_399_292_288e-7],
    [1.0, 0.599_832_206_555_888, 0.136_929_880_922_735_8, 0.014_875_361_290_850_615,
     7.868_691_311_456_133e-4, 1.846_318_317_510_054_7e-5, 1.421_511_758_316_446e-7, 2.044_263_103_389_939_8e-15],
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantile_agrees_with_published_values() {
        // Φ(z) = u solved to 40 digits (mpmath) for the double nearest each u.
        for (u, z) in [
            (1e-300, -37.0470962993612),
            (1e-100, -21.273453560965326),
            (1e-20, -9.262340089798407),
            (1e-10, -6.361340902404057),
            (0.0001, -3.7190164854556804),
            (0.02, -2.053748910631823),
            (0.07, -1.4757910281791706),
            (0.08, -1.4050715603096327),
            (0.3, -0.5244005127080408),
            (0.45, -0.12566134685507402),
            (0.9, 1.2815515655446006),
            (0.975, 1.9599639845400538),
            (0.9999, 3.7190164854557084),
        ] {
            let got = normal_quantile(u);
            assert!((got - z).abs() <= 4e-16 * z.abs().max(1e-2), "{u}: {got} {z}");
        }
        assert_eq!(normal_quantile(0.5), 0.0);
    }

    #[test]
    fn quantiles_of_the_laws() {
        assert_eq!(Law::uniform(280.0, 400.0).unwrap().quantile(0.25), 310.0);
        assert!((Law::log_uniform(1e-3, 1e3).unwrap().quantile(0.5) - 1.0).abs() < 1e-14);
        let c = Law::choice(vec![2.0, 3.0, 5.0]).unwrap();
        assert_eq!([0.1, 0.4, 0.99999].map(|u| c.quantile(u)), [2.0, 3.0, 5.0]);
        assert_eq!(c.support(), (2.0, 5.0));
    }

    #[test]
    fn laws_refuse_parameters_without_meaning() {
        assert!(Law::uniform(1.0, 0.0).is_err());
        assert!(Law::uniform(f64::NAN, 0.0).is_err());
        assert!(Law::normal(0.0, -1.0).is_err());
        assert!(Law::log_uniform(0.0, 1.0).is_err());
        assert!(Law::choice(vec![]).is_err());
    }
}
