//! The same for f32: `exp`, `log` and `tanh` in f32 arithmetic (they dominate nets). The others are rounded from f64 by whoever
//! evaluates them.

use super::real::{Real, horner, nearest};

/// ln 2 in two parts.
const LN2: f64 = std::f32::consts::LN_2 as f64;
const LN2_REST: f64 = -1.904654299957768e-9;
/// The same with a first part whose product with a small integer is exact.
const LN2_HIGH: f64 = 0.693_145_75;
const LN2_LOW: f64 = 1.428_606_8e-6;
const EXP: [f64; 6] = [0.5, 0.16666667, 0.041666467, 0.0083333105, 0.001393365, 0.00019890991];
const LOG: [f64; 4] = [0.666_666_7, 0.400_001_22, 0.285_508_17, 0.233_305_63];

#[inline(always)]
pub fn exp<R: Real>(x: R) -> R {
    let x = x.at(-104.0).greatest(x.at(89.0).least(x));
    let (r, k) = octave(x);
    let y = horner(r, &EXP).fused(r, x.at(1.0)).fused(r, x.at(1.0));
    y.scaled(k)
}

#[inline(always)]
pub fn log<R: Real>(x: R) -> R {
    let (m, k) = x.significand();
    let f = m - x.at(1.0);
    let s = f / (m + x.at(1.0));
    let z = s * s;
    let r = z * horner(z, &LOG);
    let half = x.at(0.5) * f * f;
    let small = s.fused(half + r, k * x.at(LN2_LOW));
    let y = k.fused(x.at(LN2_HIGH), f - (half - small));
    let y = R::choose(x.equals(x.at(0.0)), x.at(f64::NEG_INFINITY), y);
    let y = R::choose(x.equals(x.at(f64::INFINITY)), x, y);
    R::choose(x.below(x.at(0.0)) | x.is_nan(), x.at(f64::NAN), y)
}

#[inline(always)]
pub fn tanh<R: Real>(x: R) -> R {
    let y = x.at(2.0) * x.magnitude();
    let y = x.at(20.0).least(y);
    let (r, k) = octave(y);
    let s = x.at(1.0).scaled(k);
    let e = s.fused((r * r).fused(horner(r, &EXP), r), s - x.at(1.0));
    (e / (e + x.at(2.0))).signed_as(x)
}

macro_rules! rounded {
    ($($name:ident($($x:ident),+)),+) => {
        $(
            #[inline(always)]
            pub fn $name($($x: f32),+) -> f32 {
                super::$name($($x as f64),+) as f32
            }
        )+
    };
}
rounded!(sin(x), cos(x), atan(x), erf(x), pow(x, y), atan2(y, x));

#[inline(always)]
fn octave<R: Real>(x: R) -> (R, R) {
    let (k, _) = nearest(x, std::f32::consts::LOG2_E as f64);
    let r = k.fused_from(x.at(LN2), x);
    (k.fused_from(x.at(LN2_REST), r), k)
}
