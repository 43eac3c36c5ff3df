//! Sine, cosine and the inverse tangent, in double precision.

use super::real::{Real, horner, nearest};
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, FRAC_PI_4, PI};

/// From here on an ulp of the argument exceeds the period's digits.
const TURNS_END: f64 = 2251799813685248.0;
/// π/2 = FRAC_PI_2 + HALF_PI_REST + HALF_PI_TAIL + …
const HALF_PI_REST: f64 = 6.123233995736766e-17;
const HALF_PI_TAIL: f64 = -1.4973849048591833e-33;

/// NaN from 2⁵¹ on.
#[inline(always)]
pub fn sin<R: Real>(x: R) -> R {
    let (r, t) = quadrant(x);
    let y = wave(r, t);
    let y = R::choose(x.equals(x.at(0.0)), x, y);
    R::choose(x.magnitude().below(x.at(TURNS_END)), y, x.at(f64::NAN))
}

/// See [`sin`].
#[inline(always)]
pub fn cos<R: Real>(x: R) -> R {
    let (r, t) = quadrant(x);
    let y = wave(r, t + x.at(1.0));
    R::choose(x.magnitude().below(x.at(TURNS_END)), y, x.at(f64::NAN))
}

#[inline(always)]
pub fn atan<R: Real>(x: R) -> R {
    angle(x.magnitude(), x.at(1.0)).signed_as(x)
}

/// The angle of the point (x, y), in (-π, π].
#[inline(always)]
pub fn atan2<R: Real>(y: R, x: R) -> R {
    let a = angle(y.magnitude(), x.magnitude());
    let a = R::choose(x.is_negative(), x.at(PI) - (a - x.at(2.0 * HALF_PI_REST)), a);
    let a = R::choose(x.is_nan() | y.is_nan(), x.at(f64::NAN), a);
    a.signed_as(y)
}

/// x = n π/2 + r, |r| ≤ π/4 (about): r, and a number with n modulo 4 in its low bits. The first difference is exact: where n is
/// not 0, its lowest bit is no lower than that of the first part of π/2.
#[inline(always)]
fn quadrant<R: Real>(x: R) -> (R, R) {
    let (n, t) = nearest(x, FRAC_2_PI);
    let r = n.fused_from(x.at(FRAC_PI_2), x);
    let r = n.fused_from(x.at(HALF_PI_REST), r);
    (n.fused_from(x.at(HALF_PI_TAIL), r), t)
}

/// sin(r + n π/2), n in the low bits of t.
#[inline(always)]
fn wave<R: Real>(r: R, t: R) -> R {
    let z = r * r;
    let s = (r * z).fused(horner(z, &SIN), r);
    let h = r.at(0.5) * z;
    let w = r.at(1.0) - h;
    let c = w + (z * z).fused(horner(z, &COS), (r.at(1.0) - w) - h);
    let y = R::choose(t.bit(0), c, s);
    R::choose(t.bit(1), -y, y)
}

/// atan(a/b) for a, b ≥ 0: folded at π/8 and 3π/8 onto |t| ≤ tan π/8.
#[inline(always)]
fn angle<R: Real>(a: R, b: R) -> R {
    let (zero, quarter, quarter_rest) = (a.at(0.0), a.at(FRAC_PI_4), a.at(0.5 * HALF_PI_REST));
    let steep = (a.at(2.414213562373095) * b).below(a);
    let mid = (a.at(0.41421356237309503) * b).below(a);
    let same = a.equals(b);
    let (n, d) = (R::choose(mid, a - b, a), R::choose(mid, a + b, b));
    let (n, d) = (R::choose(steep, -b, n), R::choose(steep, a, d));
    let t = R::choose(same, zero, n / d);
    let (base, low) = (R::choose(mid, quarter, zero), R::choose(mid, quarter_rest, zero));
    let (base, low) = (R::choose(steep, a.at(FRAC_PI_2), base), R::choose(steep, a.at(HALF_PI_REST), low));
    let diagonal = same & zero.below(a);
    let (base, low) = (R::choose(diagonal, quarter, base), R::choose(diagonal, quarter_rest, low));
    let z = t * t;
    let y = base + (t + (t * z).fused(horner(z, &ATAN), low));
    R::choose(a.is_nan() | b.is_nan(), a.at(f64::NAN), y)
}

/// (sin r / r - 1)/r² in r², |r| ≤ π/4.
const SIN: [f64; 6] = [
    -0.16666666666666666,
    0.008333333333330946,
    -0.0001984126983675497,
    2.755731610068303e-06,
    -2.5051131455427946e-08,
    1.591810123027412e-10,
];
/// ((cos r - 1)/r² + 1/2)/r² in r².
const COS: [f64; 6] = [
    0.041666666666666664,
    -0.0013888888888887395,
    2.4801587298763433e-05,
    -2.7557317270560326e-07,
    2.0876146024689747e-09,
    -1.1382614868556325e-11,
];
/// (atan t / t - 1)/t² in t², |t| ≤ tan π/8.
const ATAN: [f64; 12] = [
    -0.3333333333333333,
    0.19999999999999804,
    -0.14285714285659812,
    0.11111111105153937,
    -0.09090908753425743,
    0.07692296372859808,
    -0.06666424846721739,
    0.05878928549229719,
    -0.052304509666811966,
    0.045515781496647055,
    -0.034570174391823104,
    0.01628532732275549,
];
