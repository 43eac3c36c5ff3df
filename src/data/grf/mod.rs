//! Gaussian random fields as functions: a sum of Fourier modes with independent normal coefficients (the Karhunen–Loève
//! expansion of a stationary field on a periodic box). A sample can be evaluated anywhere, and no grid enters it, so one
//! seed gives the same sample at every resolution. Boxes without periodicity are embedded in larger periodic ones.

mod emit;
mod sample;

pub use sample::Sample;

use super::Stream;
use crate::ir::math;
use std::f64::consts::PI;

/// The shape of the covariance; `length` of [`Field`] sets its scale.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kernel {
    /// `exp(-r²/2ℓ²)`: samples are analytic.
    SquaredExponential,
    /// Matérn with smoothness ν: samples have derivatives of every order below ν [Rasmussen & Williams, §4.2].
    Matern { smoothness: f64 },
}

/// A box, by axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Region {
    pub low: Vec<f64>,
    pub high: Vec<f64>,
    pub periodic: Vec<bool>,
}

/// The law of a stationary, isotropic Gaussian field on a box.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    mean: f64,
    /// First corner of the region.
    low: Vec<f64>,
    /// Periods of the modes; longer than the region along axes without periodicity.
    periods: Vec<f64>,
    /// Largest mode number along each axis.
    modes: Vec<usize>,
    /// Variance of each mode of the half space that [`Field::each_mode`] walks through.
    variances: Vec<f64>,
}

/// Fraction of the variance in modes that are left out, where [`MOST_MODES`] allows.
const TAIL: f64 = 1e-3;
/// Largest mode numbers in one, two and three dimensions.
const MOST_MODES: [usize; 3] = [2048, 96, 24];

impl Field {
    /// `variance` is that of the field at each point, `length` the kernel's ℓ. On an axis with periodicity the covariance
    /// is the kernel summed over all images (and scaled back to the variance).
    pub fn new(region: &Region, kernel: Kernel, mean: f64, variance: f64, length: f64) -> Result<Field, String> {
        let d = region.low.len();
        if !(1..=3).contains(&d) {
            return Err(format!("random fields have 1 to 3 dimensions, not {d}"));
        }
        if !(length > 0.0 && length.is_finite() && variance >= 0.0 && variance.is_finite() && mean.is_finite()) {
            return Err(format!("a random field needs a length > 0 and a variance ≥ 0, not {length} and {variance}"));
        }
        if let Kernel::Matern { smoothness } = kernel
            && !(0.5..=20.0).contains(&smoothness)
        {
            return Err(format!(
                "smoothness {smoothness} is not between 0.5 and 20; beyond, the field is as good as analytic"
            ));
        }
        let extent = |k: usize| region.high[k] - region.low[k];
        if (0..d).any(|k| !(extent(k) > 0.0 && extent(k).is_finite())) {
            return Err("a random field needs a box of positive, finite size".into());
        }
        let period = |k: usize| extent(k) + if region.periodic[k] { 0.0 } else { kernel.reach() * length };
        let periods: Vec<f64> = (0..d).map(period).collect();
        let cutoff = kernel.cutoff() / length;
        let modes = periods.iter().map(|l| ((cutoff * l / (2.0 * PI)).ceil() as usize).clamp(1, MOST_MODES[d - 1]));
        let mut field = Field { mean, low: region.low.clone(), modes: modes.collect(), periods, variances: vec![] };
        let mut weights = vec![];
        field.each_mode(|k| {
            let square: f64 = field.frequency(k).iter().map(|w| w * length * (w * length)).sum();
            // A mode stands for itself and its negative; the mean has none.
            weights.push(kernel.spectrum(square, d) * if k.iter().all(|&k| k == 0) { 1.0 } else { 2.0 });
        });
        let total: f64 = weights.iter().sum();
        field.variances = weights.into_iter().map(|w| variance * w / total).collect();
        Ok(field)
    }

    /// The sample of a row. Each mode has its own two numbers of the stream, so a sample does not change when modes are added.
    pub fn sample(&self, stream: &Stream, row: u64) -> Sample {
        let (mut real, mut imaginary) = (vec![], vec![]);
        let mut variances = self.variances.iter();
        self.each_slot(|k| {
            let drawn = in_half_space(k).then(|| variances.next()).flatten();
            let Some(variance) = drawn else {
                real.push(0.0);
                imaginary.push(0.0);
                return;
            };
            let (s, component) = (variance.sqrt(), 2 * slot_number(k));
            real.push(s * stream.normal(row, component));
            let is_mean = k.iter().all(|&k| k == 0);
            imaginary.push(if is_mean { 0.0 } else { -s * stream.normal(row, component + 1) });
        });
        Sample::new(self.mean, self.low.clone(), self.periods.clone(), self.modes.clone(), real, imaginary)
    }

    /// The covariance of the field between points apart by `r`: that of its modes, hence exact.
    pub fn covariance(&self, r: &[f64]) -> f64 {
        let (mut sum, mut variances) = (0.0, self.variances.iter());
        self.each_mode(|k| {
            let phase: f64 = self.frequency(k).iter().zip(r).map(|(w, r)| w * r).sum();
            sum += variances.next().unwrap_or(&0.0) * math::cos(phase);
        });
        sum
    }

    fn frequency(&self, k: &[i64]) -> Vec<f64> {
        k.iter().zip(&self.periods).map(|(&k, l)| 2.0 * PI * k as f64 / l).collect()
    }

    /// One of each pair ±k, and 0.
    fn each_mode(&self, mut visit: impl FnMut(&[i64])) {
        self.each_slot(|k| {
            if in_half_space(k) {
                visit(k);
            }
        });
    }

    /// `0..=K` along the first axis, `-K..=K` along the others, row-major.
    fn each_slot(&self, mut visit: impl FnMut(&[i64])) {
        let first = |axis: usize| if axis == 0 { 0 } else { -(self.modes[axis] as i64) };
        let mut k: Vec<i64> = (0..self.modes.len()).map(first).collect();
        loop {
            visit(&k);
            let mut axis = k.len();
            loop {
                let Some(next) = axis.checked_sub(1) else { return };
                axis = next;
                if k[axis] < self.modes[axis] as i64 {
                    k[axis] += 1;
                    break;
                }
                k[axis] = first(axis);
            }
        }
    }
}

impl Kernel {
    /// Correlation at distance `r`; closed for the squared exponential and for ν = 1/2, 3/2, 5/2.
    pub fn correlation(self, r: f64, length: f64) -> Option<f64> {
        let Kernel::Matern { smoothness } = self else {
            return Some(math::exp(-0.5 * (r / length) * (r / length)));
        };
        let s = (2.0 * smoothness).sqrt() * r / length;
        let polynomial = match smoothness {
            0.5 => 1.0,
            1.5 => 1.0 + s,
            2.5 => 1.0 + s + s * s / 3.0,
            _ => return None,
        };
        Some(polynomial * math::exp(-s))
    }

    /// Spectral density at `(ωℓ)²`, up to a factor [Rasmussen & Williams, eqs. 4.11, 4.15].
    fn spectrum(self, square: f64, d: usize) -> f64 {
        match self {
            Kernel::SquaredExponential => math::exp(-0.5 * square),
            Kernel::Matern { smoothness: v } => math::pow(1.0 + square / (2.0 * v), -(v + 0.5 * d as f64)),
        }
    }

    /// `ωℓ` beyond which [`TAIL`] of the variance lies (in two dimensions; about that in others).
    fn cutoff(self) -> f64 {
        match self {
            Kernel::SquaredExponential => (-2.0 * math::log(TAIL)).sqrt(),
            Kernel::Matern { smoothness: v } => (2.0 * v * (math::pow(TAIL, -1.0 / v) - 1.0)).sqrt(),
        }
    }

    /// Distance, in lengths, at which the correlation is about a thousandth: images as far apart do not meet.
    fn reach(self) -> f64 {
        match self {
            Kernel::SquaredExponential => 4.0,
            Kernel::Matern { smoothness } if smoothness < 1.0 => 7.0,
            Kernel::Matern { smoothness } if smoothness < 2.0 => 5.5,
            Kernel::Matern { .. } => 5.0,
        }
    }
}

/// Whether the first index that is not 0 is positive, or all are 0.
fn in_half_space(k: &[i64]) -> bool {
    k.iter().find(|&&k| k != 0).is_none_or(|&k| k > 0)
}

/// A number for each mode that does not depend on how many modes there are.
fn slot_number(k: &[i64]) -> u64 {
    k.iter().fold(0, |n, &k| n << 14 | (k + (1 << 13)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(d: usize, periodic: bool) -> Region {
        Region { low: vec![0.0; d], high: vec![1.0; d], periodic: vec![periodic; d] }
    }

    const MATERN: Kernel = Kernel::Matern { smoothness: 2.5 };

    #[test]
    fn the_modes_make_the_kernel() {
        for (d, kernel) in [
            (1, Kernel::SquaredExponential),
            (2, Kernel::SquaredExponential),
            (1, MATERN),
            (2, MATERN),
            (3, MATERN),
            (1, Kernel::Matern { smoothness: 1.5 }),
            (2, Kernel::Matern { smoothness: 1.5 }),
        ] {
            let f = Field::new(&unit(d, false), kernel, 0.0, 2.0, 0.3).unwrap();
            for r in [0.0, 0.1, 0.3, 0.7, 1.0] {
                let mut at = vec![0.0; d];
                at[d - 1] = r;
                let exact = 2.0 * kernel.correlation(r, 0.3).unwrap();
                assert!((f.covariance(&at) - exact).abs() < 8e-3, "{d} {kernel:?} {r}: {} {exact}", f.covariance(&at));
            }
        }
    }

    #[test]
    fn a_periodic_field_sees_its_images() {
        let f = Field::new(&unit(1, true), MATERN, 0.0, 1.0, 0.25).unwrap();
        let images = |r: f64| (-20..=20).map(|m| MATERN.correlation((r + m as f64).abs(), 0.25).unwrap()).sum::<f64>();
        for r in [0.0, 0.2, 0.5, 0.9] {
            assert!((f.covariance(&[r]) - images(r) / images(0.0)).abs() < 2e-3);
        }
        let s = f.sample(&Stream::new(1, "g"), 0);
        assert!((s.value(&[0.3]) - s.value(&[1.3])).abs() < 1e-12);
    }

    #[test]
    fn samples_have_the_covariance() {
        // Sample covariances of n rows scatter by √((1 + ρ²)/n); four of these.
        for (d, n) in [(1, 4000), (2, 1500)] {
            let f = Field::new(&unit(d, false), Kernel::SquaredExponential, 0.5, 1.0, 0.4).unwrap();
            let stream = Stream::new(11, "g");
            let mut points = vec![];
            for r in [0.0, 0.2, 0.5, 1.0] {
                points.extend(vec![0.0; d - 1]);
                points.push(r);
            }
            let rows: Vec<Vec<f64>> = (0..n).map(|i| f.sample(&stream, i).values(&points)).collect();
            let mean = rows.iter().map(|v| v[0]).sum::<f64>() / n as f64;
            assert!((mean - 0.5).abs() < 4.0 / (n as f64).sqrt(), "{mean}");
            for (k, r) in [0.0, 0.2, 0.5, 1.0].into_iter().enumerate() {
                let c = rows.iter().map(|v| (v[0] - 0.5) * (v[k] - 0.5)).sum::<f64>() / n as f64;
                let exact = Kernel::SquaredExponential.correlation(r, 0.4).unwrap();
                let scatter = ((1.0 + exact * exact) / n as f64).sqrt();
                assert!((c - exact).abs() < 4.0 * scatter + 3e-3, "{d} {r}: {c} {exact}");
            }
        }
    }

    #[test]
    fn one_seed_is_one_function() {
        let f = Field::new(&unit(2, false), MATERN, 0.0, 1.0, 0.2).unwrap();
        let s = f.sample(&Stream::new(3, "g"), 7);
        let even = |n: usize| (0..=n).map(|i| i as f64 / n as f64).collect::<Vec<_>>();
        let (coarse, fine) = (s.grid(&[even(4), even(8)]), s.grid(&[even(8), even(16)]));
        for i in 0..=4 {
            for j in 0..=8 {
                assert_eq!(coarse[i * 9 + j], fine[2 * i * 17 + 2 * j]);
                assert_eq!(coarse[i * 9 + j], s.value(&[i as f64 / 4.0, j as f64 / 8.0]));
            }
        }
        assert_ne!(s.value(&[0.5, 0.5]), f.sample(&Stream::new(3, "g"), 8).value(&[0.5, 0.5]));
    }

    #[test]
    fn derivatives_agree_with_differences() {
        let f = Field::new(&unit(2, true), Kernel::SquaredExponential, 1.0, 1.0, 0.2).unwrap();
        let s = f.sample(&Stream::new(3, "g"), 0);
        let h = 1e-5;
        for (axis, e) in [(0, [h, 0.0]), (1, [0.0, h])] {
            let (x, y) = (0.31, 0.84);
            let difference = (s.value(&[x + e[0], y + e[1]]) - s.value(&[x - e[0], y - e[1]])) / (2.0 * h);
            assert!((s.derivative(axis).value(&[x, y]) - difference).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        assert!(Field::new(&unit(4, true), MATERN, 0.0, 1.0, 0.2).is_err());
        assert!(Field::new(&unit(2, true), MATERN, 0.0, 1.0, 0.0).is_err());
        assert!(Field::new(&unit(2, true), MATERN, 0.0, -1.0, 0.1).is_err());
        assert!(Field::new(&unit(2, true), Kernel::Matern { smoothness: 0.1 }, 0.0, 1.0, 0.1).is_err());
    }
}
