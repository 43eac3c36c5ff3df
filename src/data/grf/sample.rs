//! One sample of a field: its Fourier coefficients, and sums of them. Sums run from the last axis to the first, in the
//! same order for points and for grids, so that both give the same bits.

use crate::ir::math;
use std::borrow::Cow;
use std::f64::consts::PI;

/// `mean + Re Σ c_k exp(i ω_k·(x - low))`, `k` over `0..=K₀` and `-K..=K` along the other axes.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    mean: f64,
    low: Vec<f64>,
    periods: Vec<f64>,
    modes: Vec<usize>,
    real: Vec<f64>,
    imaginary: Vec<f64>,
}

impl Sample {
    pub(super) fn new(
        mean: f64,
        low: Vec<f64>,
        periods: Vec<f64>,
        modes: Vec<usize>,
        real: Vec<f64>,
        imaginary: Vec<f64>,
    ) -> Sample {
        Sample { mean, low, periods, modes, real, imaginary }
    }

    pub fn dimensions(&self) -> usize {
        self.modes.len()
    }

    /// Real parts, then imaginary parts.
    pub fn coefficients(&self) -> Vec<f64> {
        self.real.iter().chain(&self.imaginary).copied().collect()
    }

    pub fn value(&self, x: &[f64]) -> f64 {
        let axes: Vec<Vec<f64>> = x.iter().map(|&x| vec![x]).collect();
        self.grid(&axes)[0]
    }

    /// At points `[n, d]`.
    pub fn values(&self, points: &[f64]) -> Vec<f64> {
        points.chunks(self.dimensions()).map(|x| self.value(x)).collect()
    }

    /// At all points of a tensor grid, row-major. The cost is that of one matrix product an axis.
    pub fn grid(&self, axes: &[Vec<f64>]) -> Vec<f64> {
        let d = self.dimensions();
        assert_eq!(axes.len(), d, "compiler bug: a random field of {d} dimensions at points of {}", axes.len());
        // [modes of axes 0..=k, points of axes k+1..], contracted axis by axis.
        let (mut real, mut imaginary, mut points) = (Cow::Borrowed(&self.real), Cow::Borrowed(&self.imaginary), 1);
        for k in (0..d).rev() {
            let waves: Vec<Vec<(f64, f64)>> = axes[k].iter().map(|&x| self.waves(k, x)).collect();
            let (re, im) = contract(&real, &imaginary, points, &waves);
            (real, imaginary) = (Cow::Owned(re), Cow::Owned(im));
            points *= axes[k].len();
        }
        real.iter().map(|v| self.mean + v).collect()
    }

    /// The partial derivative along an axis: a function like this one.
    pub fn derivative(&self, axis: usize) -> Sample {
        let width = |k: usize| if k == 0 { self.modes[0] + 1 } else { 2 * self.modes[k] + 1 };
        let below: usize = (axis + 1..self.dimensions()).map(width).product();
        let mut s = Sample { mean: 0.0, ..self.clone() };
        for i in 0..s.real.len() {
            let w = self.frequency(axis, i / below % width(axis));
            // times iω
            (s.real[i], s.imaginary[i]) = (-w * self.imaginary[i], w * self.real[i]);
        }
        s
    }

    fn frequency(&self, axis: usize, slot: usize) -> f64 {
        let k = if axis == 0 { slot as f64 } else { slot as f64 - self.modes[axis] as f64 };
        2.0 * PI * k / self.periods[axis]
    }

    /// `exp(iω(x - low))` for all modes of an axis.
    fn waves(&self, axis: usize, x: f64) -> Vec<(f64, f64)> {
        let width = if axis == 0 { self.modes[0] + 1 } else { 2 * self.modes[axis] + 1 };
        let wave = |slot: usize| {
            let phase = self.frequency(axis, slot) * (x - self.low[axis]);
            (math::cos(phase), math::sin(phase))
        };
        (0..width).map(wave).collect()
    }
}

/// `c[a, k, p] → Σ_k c[a, k, p] w[x][k]` at `[a, x, p]`, complex.
fn contract(re: &[f64], im: &[f64], points: usize, waves: &[Vec<(f64, f64)>]) -> (Vec<f64>, Vec<f64>) {
    let width = waves.first().map_or(1, Vec::len);
    let outer = re.len() / (width * points).max(1);
    let size = outer * waves.len() * points;
    let (mut out_re, mut out_im) = (vec![0.0; size], vec![0.0; size]);
    for a in 0..outer {
        for (x, wave) in waves.iter().enumerate() {
            let to = (a * waves.len() + x) * points;
            let (to_re, to_im) = (&mut out_re[to..to + points], &mut out_im[to..to + points]);
            for (k, &(c, s)) in wave.iter().enumerate() {
                let from = (a * width + k) * points;
                let pairs = re[from..from + points].iter().zip(&im[from..from + points]);
                for ((r, i), (re, im)) in to_re.iter_mut().zip(to_im.iter_mut()).zip(pairs) {
                    *r += re * c - im * s;
                    *i += re * s + im * c;
                }
            }
        }
    }
    (out_re, out_im)
}
