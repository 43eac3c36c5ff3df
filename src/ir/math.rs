//! The elementary functions: one implementation for the interpreter and for generated code, so that all give the same bits.
//!
//! Each is straight-line arithmetic (selects, no branches, no tables, no fused multiply-add), so that a loop over it
//! becomes vector code under any target feature without a change of result. Errors are about 1 ulp for `exp log sin cos
//! pow`, below 4 ulp for the others (tested against the platform's library). Polynomials interpolate at Chebyshev nodes;
//! the reductions are classical [Muller, Elementary Functions, 3rd ed., §11; Cody & Waite 1980].

pub mod single;

/// 1.5·2⁵²: adding and subtracting it rounds to the nearest integer, which then stands in the low bits.
const MAGIC: f64 = 6755399441055744.0;
/// ln 2 in two parts, the first of 32 bits.
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;

/// e^x
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    exp_sum(x, 0.0)
}

/// Natural logarithm; -∞ at 0, NaN below.
#[inline(always)]
pub fn log(x: f64) -> f64 {
    let (m, k) = significand(x);
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * horner(z, &LOG);
    let half = 0.5 * f * f;
    // log(1 + f) = f - (f²/2 - s(f²/2 + r)): the leading term f is exact.
    let y = k * LN2_HIGH - ((half - (s * (half + r) + k * LN2_LOW)) - f);
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    let y = if x == f64::INFINITY { x } else { y };
    if x < 0.0 || x.is_nan() { f64::NAN } else { y }
}

/// Beyond |x| = 2·10⁸ the sine of an argument within one ulp of x; NaN from 2⁵¹ on, where an ulp exceeds the period's digits.
#[inline(always)]
pub fn sin(x: f64) -> f64 {
    let (r, n) = quadrant(x);
    let y = wave(r, n);
    let y = if x == 0.0 { x } else { y };
    if x.abs() < TURNS_END { y } else { f64::NAN }
}

/// See [`sin`].
#[inline(always)]
pub fn cos(x: f64) -> f64 {
    let (r, n) = quadrant(x);
    let y = wave(r, n.wrapping_add(1));
    if x.abs() < TURNS_END { y } else { f64::NAN }
}

#[inline(always)]
pub fn tanh(x: f64) -> f64 {
    let y = 2.0 * x.abs();
    let y = if y > 44.0 { 44.0 } else { y };
    let (r, k) = octave(y, 0.0);
    let s = power_of_two(k);
    // e^y - 1 = (2^k - 1) + 2^k (e^r - 1)
    let e = (s - 1.0) + s * (r + r * r * horner(r, &EXP));
    (e / (e + 2.0)).copysign(x)
}

#[inline(always)]
pub fn atan(x: f64) -> f64 {
    angle(x.abs(), 1.0).copysign(x)
}

/// The angle of the point (x, y), in (-π, π].
#[inline(always)]
pub fn atan2(y: f64, x: f64) -> f64 {
    let a = angle(y.abs(), x.abs());
    let a = if x.is_sign_negative() { std::f64::consts::PI - (a - 1.2246467991473532e-16) } else { a };
    let a = if x.is_nan() || y.is_nan() { f64::NAN } else { a };
    a.copysign(y)
}

/// `2/√π ∫₀ˣ e^(-t²) dt`
#[inline(always)]
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    let a = if a > 6.0 { 6.0 } else { a };
    let near = a + a * horner(a * a, &ERF);
    // 1 - e^(-a²) erfcx(a), erfcx as a polynomial in (a - 2)/(a + 2).
    let far = 1.0 - exp(-a * a) * horner((a - 2.0) / (a + 2.0), &ERFCX);
    (if a < 1.0 { near } else { far }).copysign(x)
}

/// x^y with the conventions of IEEE 754: `x^0 = 1^y = 1`; NaN for negative x and fractional y.
#[inline(always)]
pub fn pow(x: f64, y: f64) -> f64 {
    let a = x.abs();
    let (high, low) = log_pair(a);
    let t = if y > 1e20 { 1e20 } else { y };
    let t = if t < -1e20 { -1e20 } else { t };
    let (p, e) = two_product(t, high);
    let e = if p.abs() > 1000.0 { 0.0 } else { e + t * low };
    let r = exp_sum(p, e);
    let (at_zero, at_infinity) = if y > 0.0 { (0.0, f64::INFINITY) } else { (f64::INFINITY, 0.0) };
    let r = if a == 0.0 { at_zero } else { r };
    let r = if a == f64::INFINITY { at_infinity } else { r };
    let whole = y.floor() == y;
    let odd = whole && (0.5 * y).floor() != 0.5 * y;
    let r = if x.is_sign_negative() && odd { -r } else { r };
    let r = if x < 0.0 && x != f64::NEG_INFINITY && !whole { f64::NAN } else { r };
    let r = if x == -1.0 && y.is_infinite() { 1.0 } else { r };
    let r = if x.is_nan() || y.is_nan() { f64::NAN } else { r };
    if y == 0.0 || x == 1.0 { 1.0 } else { r }
}

// ---- parts

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

/// `c[0] + c[1] x + c[2] x² + …`
#[inline(always)]
fn horner<const N: usize>(x: f64, c: &[f64; N]) -> f64 {
    let mut y = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        y = y * x + c[i];
    }
    y
}

/// 2^k for an integer -1022 ≤ k ≤ 1023.
#[inline(always)]
fn power_of_two(k: f64) -> f64 {
    f64::from_bits((k + MAGIC).to_bits().wrapping_add(1023) << 52)
}

/// `x + low = k ln 2 + r`, |r| ≤ ln 2 / 2: (r, k).
#[inline(always)]
fn octave(x: f64, low: f64) -> (f64, f64) {
    let k = (x * std::f64::consts::LOG2_E + MAGIC) - MAGIC;
    ((x - k * LN2_HIGH) - (k * LN2_LOW - low), k)
}

/// e^(x + low)
#[inline(always)]
fn exp_sum(x: f64, low: f64) -> f64 {
    // Comparisons that NaN fails, so that it passes through.
    let x = if x > 710.0 { 710.0 } else { x };
    let x = if x < -746.0 { -746.0 } else { x };
    let (r, k) = octave(x, low);
    let y = 1.0 + (r + r * r * horner(r, &EXP));
    // In two steps, since 2^k itself may overflow where the product does not; only the second may round (to a subnormal).
    let half = (0.5 * k + MAGIC) - MAGIC;
    y * power_of_two(half) * power_of_two(k - half)
}

/// x = m·2^k with m in [√½, √2): (m, k), for positive x.
#[inline(always)]
fn significand(x: f64) -> (f64, f64) {
    let tiny = x < f64::MIN_POSITIVE;
    let bits = (if tiny { x * 18014398509481984.0 } else { x }).to_bits();
    let over = bits.wrapping_sub(std::f64::consts::FRAC_1_SQRT_2.to_bits()) as i64;
    let k = f64::from_bits(((over >> 52) as u64).wrapping_add(MAGIC.to_bits())) - MAGIC;
    let m = f64::from_bits(bits.wrapping_sub(over as u64 & 0xfff0_0000_0000_0000));
    (m, k - if tiny { 54.0 } else { 0.0 })
}

/// log x for positive x as an unevaluated sum, to some 2⁻⁶⁵ relative.
#[inline(always)]
fn log_pair(x: f64) -> (f64, f64) {
    let (m, k) = significand(x);
    let f = m - 1.0;
    let (d, d_low) = two_sum(1.0, m);
    let s = f / d;
    let (p, e) = two_product(s, d);
    let s_low = ((f - p) - e - s * d_low) / d;
    let (z, z_low) = two_product(s, s);
    let z_low = z_low + 2.0 * s * s_low;
    // log m = 2s + s z (2/3 + z·tail)
    let (c, c_low) = two_sum(2.0 / 3.0, z * horner(z, &LOG_TAIL));
    let (q, q_low) = two_product(z, c);
    let q_low = q_low + (z * (c_low + 3.700743415417188e-17) + z_low * c);
    let (t, t_low) = two_product(q, s);
    let t_low = t_low + (q * s_low + q_low * s);
    let (u, u_low) = two_sum(2.0 * s, t);
    let u_low = u_low + (2.0 * s_low + t_low);
    let (v, v_low) = two_sum(k * LN2_HIGH, u);
    let v_low = v_low + (k * LN2_LOW + u_low);
    let high = v + v_low;
    (high, v_low - (high - v))
}

/// a + b exactly, as a rounded sum and its error. [Knuth]
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// a·b exactly, as a rounded product and its error. [Dekker 1971]
#[inline(always)]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let split = |x: f64| {
        let c = 134217729.0 * x;
        let high = c - (c - x);
        (high, x - high)
    };
    let ((ah, al), (bh, bl)) = (split(a), split(b));
    let p = a * b;
    (p, ((ah * bh - p) + ah * bl + al * bh) + al * bl)
}

const TURNS_END: f64 = 2251799813685248.0;

/// x = n π/2 + r, |r| ≤ π/4 (n modulo 4). π/2 in parts of 26 bits, whose products with n are exact up to n = 2²⁷.
#[inline(always)]
fn quadrant(x: f64) -> (f64, u64) {
    let t = x * std::f64::consts::FRAC_2_PI + MAGIC;
    let n = t - MAGIC;
    let r = (x - n * 1.5707963109016418) - n * 1.5893254712295857e-08;
    (r - n * 6.123233932053594e-17 - n * 6.36831716351095e-25, t.to_bits())
}

/// sin(r + n π/2)
#[inline(always)]
fn wave(r: f64, n: u64) -> f64 {
    let z = r * r;
    let s = r + r * z * horner(z, &SIN);
    let h = 0.5 * z;
    let w = 1.0 - h;
    let c = w + (((1.0 - w) - h) + z * z * horner(z, &COS));
    let y = if n & 1 == 0 { s } else { c };
    if n & 2 == 0 { y } else { -y }
}

/// atan(a/b) for a, b ≥ 0: folded at π/8 and 3π/8 onto |t| ≤ tan π/8.
#[inline(always)]
fn angle(a: f64, b: f64) -> f64 {
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
    let (steep, mid) = (a > 2.414213562373095 * b, a > 0.41421356237309503 * b);
    let (n, d) = if mid { (a - b, a + b) } else { (a, b) };
    let (n, d) = if steep { (-b, a) } else { (n, d) };
    let t = if a == b { 0.0 } else { n / d };
    let (base, low) = if mid { (FRAC_PI_4, 3.061616997868383e-17) } else { (0.0, 0.0) };
    let (base, low) = if steep { (FRAC_PI_2, 6.123233995736766e-17) } else { (base, low) };
    let (base, low) = if a == b && a > 0.0 { (FRAC_PI_4, 3.061616997868383e-17) } else { (base, low) };
    let z = t * t;
    let y = base + (t + (t * z * horner(z, &ATAN) + low));
    if a.is_nan() || b.is_nan() { f64::NAN } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deterministic points of [a, b], with the ends.
    fn points(a: f64, b: f64) -> impl Iterator<Item = f64> {
        let n = 20_000;
        (0..=n).map(move |i| {
            let t = (i as f64 * 0.618_033_988_749_894_9).fract();
            if i == n { b } else { a + (b - a) * t }
        })
    }

    fn ulps(x: f64, reference: f64) -> f64 {
        let r = reference.abs();
        (x - reference).abs() / (r.next_up() - r)
    }

    /// Largest distance from the platform's function (itself within 1 ulp), in ulps.
    fn worst(f: fn(f64) -> f64, reference: fn(f64) -> f64, a: f64, b: f64) -> f64 {
        points(a, b).map(|x| ulps(f(x), reference(x))).fold(0.0, f64::max)
    }

    #[test]
    fn close_to_the_platforms_functions() {
        let table: &[(&str, f64)] = &[
            ("exp", worst(exp, f64::exp, -708.0, 709.7)),
            ("exp near 0", worst(exp, f64::exp, -1.0, 1.0)),
            ("log", worst(log, f64::ln, 1e-300, 1e300)),
            ("log near 1", worst(log, f64::ln, 0.3, 2.0)),
            ("sin", worst(sin, f64::sin, -10.0, 10.0)),
            ("sin far", worst(sin, f64::sin, -1e6, 1e6)),
            ("cos", worst(cos, f64::cos, -10.0, 10.0)),
            ("cos far", worst(cos, f64::cos, -1e6, 1e6)),
            ("tanh", worst(tanh, f64::tanh, -20.0, 20.0)),
            ("tanh near 0", worst(tanh, f64::tanh, -1.0, 1.0)),
            ("atan", worst(atan, f64::atan, -20.0, 20.0)),
            ("atan near 0", worst(atan, f64::atan, -1.0, 1.0)),
        ];
        for (name, worst) in table {
            assert!(*worst <= 3.5, "{name}: {worst} ulp");
        }
        for y in [-3.7, -0.5, 0.1, 1.5, 7.0, 123.4] {
            let far = points(1e-2, 1e2).map(|x| ulps(pow(x, y), x.powf(y))).fold(0.0, f64::max);
            assert!(far <= 1.01, "x^{y}: {far} ulp");
        }
        let far = points(-3.0, 3.0).map(|x| ulps(atan2(x, 1.0 - x * x), x.atan2(1.0 - x * x))).fold(0.0, f64::max);
        assert!(far <= 2.5, "atan2: {far} ulp");
    }

    /// Reference: values to 17 digits from arbitrary-precision arithmetic.
    #[test]
    fn erf_at_tabulated_points() {
        let table = [
            (0.001, 0.0011283787909692365),
            (0.1, 0.1124629160182849),
            (0.5, 0.5204998778130465),
            (0.9, 0.7969082124228322),
            (0.999, 0.8422852702064969),
            (1.0, 0.8427007929497149),
            (1.25, 0.9229001282564583),
            (2.0, 0.9953222650189527),
            (3.0, 0.9999779095030014),
            (4.5, 0.9999999998033839),
            (5.9, 0.9999999999999999),
        ];
        for (x, y) in table {
            assert!(ulps(erf(x), y) <= 2.0 && erf(-x) == -erf(x), "erf({x}) = {}", erf(x));
        }
    }

    #[test]
    fn special_values() {
        let inf = f64::INFINITY;
        assert_eq!((exp(-inf), exp(inf), exp(0.0), exp(710.0)), (0.0, inf, 1.0, inf));
        assert!(exp(-744.0) > 0.0 && exp(f64::NAN).is_nan());
        assert_eq!((log(0.0), log(inf), log(1.0)), (-inf, inf, 0.0));
        assert!(log(-1.0).is_nan() && (log(5e-324) + 744.440071921381).abs() < 1e-12);
        assert!(sin(inf).is_nan() && cos(f64::NAN).is_nan() && tanh(f64::NAN).is_nan() && erf(f64::NAN).is_nan());
        assert_eq!((tanh(inf), tanh(-inf), erf(inf), atan(inf)), (1.0, -1.0, 1.0, std::f64::consts::FRAC_PI_2));
        for f in [sin, tanh, atan, erf] {
            assert_eq!(f(-0.0).to_bits(), (-0.0f64).to_bits());
        }
        for y in [0.0, -0.0, 1.0, -1.0, 3.0, inf, -inf] {
            for x in [0.0, -0.0, 1.0, -1.0, 2.0, inf, -inf] {
                assert!((atan2(y, x) - y.atan2(x)).abs() < 1e-15, "atan2({y}, {x})");
            }
        }
        for x in [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, inf, -inf, f64::NAN] {
            for y in [0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.5, -0.5, inf, -inf, f64::NAN, 1e300] {
                let (a, b) = (pow(x, y), x.powf(y));
                let same = a == b || (a.is_nan() && b.is_nan()) || ulps(a, b) <= 1.0;
                assert!(same, "{x}^{y} = {a}, not {b}");
            }
        }
    }

    #[test]
    fn single_precision() {
        for x in points(-80.0, 80.0).map(|x| x as f32) {
            let rel = |a: f32, b: f64| ((a as f64 - b) / b).abs();
            assert!(rel(single::exp(x), (x as f64).exp()) < 1.3e-7, "exp {x}");
            assert!(x == 0.0 || rel(single::tanh(0.1 * x), ((0.1 * x) as f64).tanh()) < 2.6e-7, "tanh {x}");
            let a = x.abs() + 1e-3;
            assert!(
                (single::log(a) as f64 - (a as f64).ln()).abs() < 1.3e-7 * (a as f64).ln().abs().max(1e-6),
                "log {a}"
            );
        }
    }
}
