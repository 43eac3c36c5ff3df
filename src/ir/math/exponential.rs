//! Exponentials, logarithms and what is made of them, in double precision.

use super::real::{Real, horner, nearest};
use std::f64::consts::LOG2_E;

/// ln 2 in two parts.
const LN2: f64 = std::f64::consts::LN_2;
const LN2_REST: f64 = 2.3190468138462996e-17;
/// The same with a first part of 32 bits, whose product with a small integer is exact.
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;

/// e^x
#[inline(always)]
pub fn exp<R: Real>(x: R) -> R {
    exp_sum(x, None)
}

/// Natural logarithm; -∞ at 0, NaN below.
#[inline(always)]
pub fn log<R: Real>(x: R) -> R {
    let (m, k) = x.significand();
    let f = m - x.at(1.0);
    let s = f / (m + x.at(1.0));
    let z = s * s;
    let r = z * horner(z, &LOG);
    let half = x.at(0.5) * f * f;
    // log(1 + f) = f - (f²/2 - s(f²/2 + r)): the leading term f is exact.
    let small = s.fused(half + r, k * x.at(LN2_LOW));
    let y = k.fused(x.at(LN2_HIGH), f - (half - small));
    let y = R::choose(x.equals(x.at(0.0)), x.at(f64::NEG_INFINITY), y);
    let y = R::choose(x.equals(x.at(f64::INFINITY)), x, y);
    R::choose(x.below(x.at(0.0)) | x.is_nan(), x.at(f64::NAN), y)
}

#[inline(always)]
pub fn tanh<R: Real>(x: R) -> R {
    let y = x.at(2.0) * x.magnitude();
    let y = x.at(44.0).least(y);
    let (r, k) = octave(y, None);
    let s = x.at(1.0).scaled(k);
    // e^y - 1 = (2^k - 1) + 2^k (e^r - 1)
    let e = s.fused((r * r).fused(horner(r, &EXP), r), s - x.at(1.0));
    (e / (e + x.at(2.0))).signed_as(x)
}

/// `2/√π ∫₀ˣ e^(-t²) dt`
#[inline(always)]
pub fn erf<R: Real>(x: R) -> R {
    let a = x.at(6.0).least(x.magnitude());
    let near = a.fused(horner(a * a, &ERF), a);
    // 1 - e^(-a²) erfcx(a), erfcx as a polynomial in (a - 2)/(a + 2).
    let far = exp(-a * a).fused_from(horner((a - x.at(2.0)) / (a + x.at(2.0)), &ERFCX), x.at(1.0));
    R::choose(a.below(x.at(1.0)), near, far).signed_as(x)
}

/// x^y with the conventions of IEEE 754: `x^0 = 1^y = 1`; NaN for negative x and fractional y.
#[inline(always)]
pub fn pow<R: Real>(x: R, y: R) -> R {
    let (zero, one, infinity) = (x.at(0.0), x.at(1.0), x.at(f64::INFINITY));
    let a = x.magnitude();
    let (high, low) = log_pair(a);
    let t = x.at(-1e20).greatest(x.at(1e20).least(y));
    let (p, e) = two_product(t, high);
    let e = R::choose(x.at(1000.0).below(p.magnitude()), zero, t.fused(low, e));
    let r = exp_sum(p, Some(e));
    let rises = zero.below(y);
    let r = R::choose(a.equals(zero), R::choose(rises, zero, infinity), r);
    let r = R::choose(a.equals(infinity), R::choose(rises, infinity, zero), r);
    let whole = y.whole().equals(y);
    let half = x.at(0.5) * y;
    let odd = whole & !half.whole().equals(half);
    let r = R::choose(x.is_negative() & odd, -r, r);
    let fractional = x.below(zero) & !x.equals(x.at(f64::NEG_INFINITY)) & !whole;
    let r = R::choose(fractional, x.at(f64::NAN), r);
    let r = R::choose(x.equals(x.at(-1.0)) & y.magnitude().equals(infinity), one, r);
    let r = R::choose(x.is_nan() | y.is_nan(), x.at(f64::NAN), r);
    R::choose(y.equals(zero) | x.equals(one), one, r)
}

/// `x + low = k ln 2 + r`, |r| ≤ ln 2 / 2: (r, k).
#[inline(always)]
fn octave<R: Real>(x: R, low: Option<R>) -> (R, R) {
    let (k, _) = nearest(x, LOG2_E);
    let r = k.fused_from(x.at(LN2), x);
    let r = if let Some(low) = low { r + low } else { r };
    (k.fused_from(x.at(LN2_REST), r), k)
}

/// e^(x + low)
#[inline(always)]
fn exp_sum<R: Real>(x: R, low: Option<R>) -> R {
    // Written so that NaN passes through.
    let x = x.at(-746.0).greatest(x.at(710.0).least(x));
    let (r, k) = octave(x, low);
    let y = horner(r, &EXP).fused(r, x.at(1.0)).fused(r, x.at(1.0));
    y.scaled(k)
}

/// log x for positive x as an unevaluated sum, to some 2⁻⁶⁵ relative.
#[inline(always)]
fn log_pair<R: Real>(x: R) -> (R, R) {
    let (m, k) = x.significand();
    let f = m - x.at(1.0);
    let (d, d_low) = two_sum(x.at(1.0), m);
    let s = f / d;
    let s_low = s.fused_from(d_low, s.fused_from(d, f)) / d;
    let (z, z_low) = two_product(s, s);
    let z_low = (x.at(2.0) * s).fused(s_low, z_low);
    // log m = 2s + s z (2/3 + z·tail)
    let (c, c_low) = two_sum(x.at(2.0 / 3.0), z * horner(z, &LOG_TAIL));
    let (q, q_low) = two_product(z, c);
    let q_low = q_low + z.fused(c_low + x.at(3.700743415417188e-17), z_low * c);
    let (t, t_low) = two_product(q, s);
    let t_low = t_low + q.fused(s_low, q_low * s);
    let (u, u_low) = two_sum(x.at(2.0) * s, t);
    let u_low = u_low + x.at(2.0).fused(s_low, t_low);
    let (v, v_low) = two_sum(k * x.at(LN2_HIGH), u);
    let v_low = v_low + k.fused(x.at(LN2_LOW), u_low);
    let high = v + v_low;
    (high, v_low - (high - v))
}

/// a + b exactly, as a rounded sum and its error. [Knuth]
#[inline(always)]
fn two_sum<R: Real>(a: R, b: R) -> (R, R) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// a·b exactly, as a rounded product and its error.
#[inline(always)]
fn two_product<R: Real>(a: R, b: R) -> (R, R) {
    let p = a * b;
    (p, a.fused(b, -p))
}

/// e^r = 1 + r + r²·EXP(r), |r| ≤ ln 2 / 2, to 1e-17.
const EXP: [f64; 10] = [
    0.5000000000000001,
    0.16666666666666669,
    0.04166666666662413,
    0.008333333333330062,
    0.0013888888917213717,
    0.00019841269863053618,
    2.4801521295954376e-05,
    2.7557268459997064e-06,
    2.7620088445409746e-07,
    2.510038549551032e-08,
];
/// (2 atanh(s)/s - 2)/s² in s², |s| ≤ 3 - 2√2, to 2e-18.
const LOG: [f64; 8] = [
    0.6666666666666666,
    0.4000000000000088,
    0.2857142857080329,
    0.222222223917858,
    0.18181795632452163,
    0.1538624012056702,
    0.13268761951330021,
    0.13086743139119072,
];
/// (2 atanh(s)/s - 2 - 2s²/3)/s⁴ in s².
const LOG_TAIL: [f64; 8] = [
    0.4,
    0.28571428571429364,
    0.22222222221655943,
    0.18181818335379513,
    0.153845949639382,
    0.1333480461663011,
    0.11706238407260777,
    0.11723157001190189,
];
/// erf(x)/x - 1 in x², 0 ≤ x ≤ 1.
const ERF: [f64; 12] = [
    0.12837916709551256,
    -0.37612638903183543,
    0.11283791670945006,
    -0.02686617064323777,
    0.0052239776071164225,
    -0.0008548325975389692,
    0.00012055294904839707,
    -1.492473690741966e-05,
    1.6447424703317362e-06,
    -1.6208483801871705e-07,
    1.3720064546777686e-08,
    -7.795898827002142e-10,
];
/// e^(x²)(1 - erf x) in (x - 2)/(x + 2), 1 ≤ x ≤ 6.
const ERFCX: [f64; 15] = [
    0.25539567631050575,
    -0.4271858474139579,
    0.24165819424246987,
    -0.07897858101585253,
    0.00373289240349224,
    0.006997461747753573,
    -0.0008471431980760424,
    -0.0009819773208131022,
    4.3554202452705896e-05,
    0.00017436697232946864,
    2.754312818566672e-05,
    -2.7647305443610053e-05,
    -1.4067532694582058e-05,
    1.820143195975009e-06,
    3.917059299925389e-06,
];
