//! The same for f32: `exp`, `log` and `tanh` in f32 arithmetic (they dominate nets), the others rounded from f64.

const MAGIC: f32 = 12582912.0;
const LN2_HIGH: f32 = 0.693_145_75;
const LN2_LOW: f32 = 1.428_606_8e-6;
const EXP: [f32; 6] = [0.5, 0.16666667, 0.041666467, 0.0083333105, 0.001393365, 0.00019890991];
const LOG: [f32; 4] = [0.666_666_7, 0.400_001_22, 0.285_508_17, 0.233_305_63];

#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (r, k) = octave(x);
    let y = 1.0 + (r + r * r * horner(r, &EXP));
    let half = (0.5 * k + MAGIC) - MAGIC;
    y * power_of_two(half) * power_of_two(k - half)
}

#[inline(always)]
pub fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let bits = (if tiny { x * 16777216.0 } else { x }).to_bits();
    let over = bits.wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits()) as i32;
    let k = f32::from_bits(((over >> 23) as u32).wrapping_add(MAGIC.to_bits())) - MAGIC;
    let k = k - if tiny { 24.0 } else { 0.0 };
    let f = f32::from_bits(bits.wrapping_sub(over as u32 & 0xff80_0000)) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * horner(z, &LOG);
    let half = 0.5 * f * f;
    let y = k * LN2_HIGH - ((half - (s * (half + r) + k * LN2_LOW)) - f);
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let y = 2.0 * x.abs();
    let y = if y > 20.0 { 20.0 } else { y };
    let (r, k) = octave(y);
    let s = power_of_two(k);
    let e = (s - 1.0) + s * (r + r * r * horner(r, &EXP));
    (e / (e + 2.0)).copysign(x)
}

#[inline(always)]
pub fn sin(x: f32) -> f32 {
    super::sin(x as f64) as f32
}

#[inline(always)]
pub fn cos(x: f32) -> f32 {
    super::cos(x as f64) as f32
}

#[inline(always)]
pub fn atan(x: f32) -> f32 {
    super::atan(x as f64) as f32
}

#[inline(always)]
pub fn atan2(y: f32, x: f32) -> f32 {
    super::atan2(y as f64, x as f64) as f32
}

#[inline(always)]
pub fn erf(x: f32) -> f32 {
    super::erf(x as f64) as f32
}

#[inline(always)]
pub fn pow(x: f32, y: f32) -> f32 {
    super::pow(x as f64, y as f64) as f32
}

#[inline(always)]
fn octave(x: f32) -> (f32, f32) {
    let k = (x * std::f32::consts::LOG2_E + MAGIC) - MAGIC;
    ((x - k * LN2_HIGH) - k * LN2_LOW, k)
}

#[inline(always)]
fn power_of_two(k: f32) -> f32 {
    f32::from_bits((k + MAGIC).to_bits().wrapping_add(127) << 23)
}

#[inline(always)]
fn horner<const N: usize>(x: f32, c: &[f32; N]) -> f32 {
    let mut y = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        y = y * x + c[i];
    }
    y
}
