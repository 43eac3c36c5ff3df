//! Gaussian-process regression [Rasmussen & Williams, Gaussian Processes for Machine Learning, §2, §5.4]: a smooth closure
//! from few data, with a deviation that tells where it is unsure. Matérn 5/2 with a length for each input; the
//! hyperparameters maximise the marginal likelihood, which all outputs share.

mod cholesky;
mod emit;
mod likelihood;

use super::lbfgs::{Bounds, Lbfgs, LbfgsOptions, Progress};
use super::vector::dot;
use crate::ir::math;
use cholesky::Cholesky;
use likelihood::{NOISE, SIGNAL, likelihood};

/// A fitted process. Inputs and outputs are standardised inside; all that is public is in the data's units.
#[derive(Clone, PartialEq, Debug)]
pub struct GaussianProcess {
    inputs: usize,
    outputs: usize,
    input_scale: Vec<Scale>,
    output_scale: Vec<Scale>,
    /// Logarithms: signal variance, noise variance, then a length for each input.
    parameters: Vec<f64>,
    /// Standardised inputs divided by their lengths, `[rows, inputs]`.
    points: Vec<f64>,
    /// `K⁻¹ y`, `[rows, outputs]`.
    weights: Vec<f64>,
    /// `L⁻¹` of `K = L Lᵀ`, `[rows, rows]`: it makes the covariances independent.
    whitening: Vec<f64>,
    /// Logarithm of the marginal likelihood, of the standardised outputs.
    pub log_likelihood: f64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Scale {
    mean: f64,
    deviation: f64,
}

/// Added to squared distances, so that the root has derivatives at the data; it changes values by 1e-12.
const SOFT: f64 = 1e-12;
/// The cost of a fit grows with the cube of the rows.
const MOST_ROWS: usize = 2000;

impl GaussianProcess {
    /// Fits `y` (`[rows, outputs]`) over `x` (`[rows, inputs]`), in at most `iterations` steps of L-BFGS.
    pub fn fit(
        x: &[f64],
        inputs: usize,
        y: &[f64],
        outputs: usize,
        iterations: usize,
    ) -> Result<GaussianProcess, String> {
        let rows = x.len() / inputs.max(1);
        if inputs == 0 || outputs == 0 || rows < 2 || x.len() != rows * inputs || y.len() != rows * outputs {
            return Err(format!("a Gaussian process needs at least two rows of inputs and outputs, not {rows}"));
        }
        if rows > MOST_ROWS {
            return Err(format!("a Gaussian process of {rows} rows; beyond {MOST_ROWS} it is too costly: use a net"));
        }
        if x.iter().chain(y).any(|v| !v.is_finite()) {
            return Err("a Gaussian process is given data that are not finite".into());
        }
        let (input_scale, xs) = standardise(x, inputs);
        let (output_scale, ys) = standardise(y, outputs);

        // Unit signal, small noise, lengths of a deviation; wide bounds around what data can tell.
        let mut parameters = vec![0.0; 2 + inputs];
        parameters[NOISE] = math::log(1e-4);
        let mut bounds = Bounds { low: vec![math::log(0.02); 2 + inputs], high: vec![math::log(200.0); 2 + inputs] };
        (bounds.low[SIGNAL], bounds.high[SIGNAL]) = (math::log(1e-3), math::log(1e6));
        (bounds.low[NOISE], bounds.high[NOISE]) = (math::log(1e-10), 0.0);
        let mut state = Lbfgs::new(LbfgsOptions { gradient_tolerance: 1e-4, ..LbfgsOptions::default() });
        let mut objective = |p: &[f64], g: &mut [f64]| Ok::<f64, String>(likelihood(&xs, inputs, &ys, outputs, p, g));
        for _ in 0..iterations {
            if state.step(&mut parameters, Some(&bounds), &mut objective)? != Progress::Moved {
                break;
            }
        }

        let lengths: Vec<f64> = parameters[2..].iter().map(|&l| math::exp(l)).collect();
        let points: Vec<f64> = xs.iter().enumerate().map(|(i, v)| v / lengths[i % inputs]).collect();
        let covariance = covariance(&points, inputs, &parameters);
        let factor = Cholesky::new(rows, covariance)
            .ok_or("the rows of a Gaussian process are so close together that it cannot be solved")?;
        let whitening = factor.inverse_factor();
        let column = |k: usize| (0..rows).map(|i| ys[i * outputs + k]).collect::<Vec<f64>>();
        let mut weights = vec![0.0; rows * outputs];
        for k in 0..outputs {
            let alpha = factor.solve(&column(k));
            (0..rows).for_each(|i| weights[i * outputs + k] = alpha[i]);
        }
        let log_likelihood = -likelihood(&xs, inputs, &ys, outputs, &parameters, &mut vec![0.0; 2 + inputs]);
        Ok(GaussianProcess {
            inputs,
            outputs,
            input_scale,
            output_scale,
            parameters,
            points,
            weights,
            whitening,
            log_likelihood,
        })
    }

    /// The mean at `x`, one number for each output.
    pub fn predict(&self, x: &[f64]) -> Vec<f64> {
        let k = self.covariances_with(x);
        let sum = |j: usize| -> f64 { k.iter().enumerate().map(|(i, k)| k * self.weights[i * self.outputs + j]).sum() };
        self.output_scale.iter().enumerate().map(|(j, s)| s.mean + s.deviation * sum(j)).collect()
    }

    /// The standard deviation at `x` of the function (without the noise of the data), for each output.
    pub fn deviation(&self, x: &[f64]) -> Vec<f64> {
        let k = self.covariances_with(x);
        let n = k.len();
        let white: Vec<f64> = (0..n).map(|i| dot(&self.whitening[i * n..(i + 1) * n], &k)).collect();
        let explained = dot(&white, &white);
        let deviation = (self.signal() - explained).max(0.0).sqrt();
        self.output_scale.iter().map(|s| s.deviation * deviation).collect()
    }

    /// The length of each input, in its unit: the distance over which the function changes.
    pub fn lengths(&self) -> Vec<f64> {
        self.input_scale.iter().zip(&self.parameters[2..]).map(|(s, &l)| s.deviation * math::exp(l)).collect()
    }

    /// Standard deviation of the noise of each output.
    pub fn noise(&self) -> Vec<f64> {
        let noise = math::exp(self.parameters[NOISE]).sqrt();
        self.output_scale.iter().map(|s| s.deviation * noise).collect()
    }

    fn signal(&self) -> f64 {
        math::exp(self.parameters[SIGNAL])
    }

    fn covariances_with(&self, x: &[f64]) -> Vec<f64> {
        assert_eq!(x.len(), self.inputs, "compiler bug: a Gaussian process of {} inputs", self.inputs);
        let scaled = x.iter().zip(&self.input_scale).zip(self.lengths());
        let scaled: Vec<f64> = scaled.map(|((x, s), l)| (x - s.mean) * (1.0 / l)).collect();
        self.points.chunks(self.inputs).map(|p| self.signal() * matern(distance(p, &scaled))).collect()
    }
}

/// Columns of `[rows, width]` to mean 0 and deviation 1; a constant column keeps its size.
fn standardise(x: &[f64], width: usize) -> (Vec<Scale>, Vec<f64>) {
    let rows = x.len() / width;
    let scale = |k: usize| {
        let column = || (0..rows).map(|i| x[i * width + k]);
        let mean = column().sum::<f64>() / rows as f64;
        let deviation = (column().map(|v| (v - mean) * (v - mean)).sum::<f64>() / rows as f64).sqrt();
        Scale { mean, deviation: if deviation > 1e-12 * mean.abs() { deviation } else { mean.abs().max(1.0) } }
    };
    let scales: Vec<Scale> = (0..width).map(scale).collect();
    let scaled = x.iter().enumerate().map(|(i, v)| (v - scales[i % width].mean) / scales[i % width].deviation);
    (scales.clone(), scaled.collect())
}

/// Between points already divided by the lengths.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() + SOFT).sqrt()
}

/// Correlation of Matérn 5/2 at distance `r`, in lengths.
fn matern(r: f64) -> f64 {
    let s = 5f64.sqrt() * r;
    (1.0 + s + s * s / 3.0) * math::exp(-s)
}

/// Signal and noise between all points.
fn covariance(points: &[f64], inputs: usize, parameters: &[f64]) -> Vec<f64> {
    let n = points.len() / inputs;
    let (signal, noise) = (math::exp(parameters[SIGNAL]), math::exp(parameters[NOISE]));
    let mut k = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let r = distance(&points[i * inputs..(i + 1) * inputs], &points[j * inputs..(j + 1) * inputs]);
            let c = signal * matern(r) + if i == j { noise } else { 0.0 };
            (k[i * n + j], k[j * n + i]) = (c, c);
        }
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Design, Stream, design::Scramble};

    /// `n` points of [-1, 1] × [0, 1000]: very different units, on purpose.
    fn points(n: usize) -> Vec<f64> {
        let u = Design::Sobol { scramble: Scramble::Owen }.points(n, 2, &Stream::new(1, "gp")).unwrap();
        u.chunks(2).flat_map(|u| [2.0 * u[0] - 1.0, 1000.0 * u[1]]).collect()
    }

    fn truth(x: &[f64]) -> [f64; 2] {
        let t = x[1] / 1000.0;
        [300.0 + 20.0 * (2.0 * x[0]).sin() * (1.0 + t), 1e-3 * (x[0] * x[0] + t)]
    }

    #[test]
    fn a_smooth_function_is_learned_in_its_units() {
        let x = points(80);
        let y: Vec<f64> = x.chunks(2).flat_map(truth).collect();
        let gp = GaussianProcess::fit(&x, 2, &y, 2, 100).unwrap();
        for q in [[0.1, 300.0], [-0.7, 800.0], [0.5, 500.0]] {
            let (p, t) = (gp.predict(&q), truth(&q));
            assert!((p[0] - t[0]).abs() < 0.02 * 20.0 && (p[1] - t[1]).abs() < 0.02e-3, "{p:?} {t:?}");
            // The truth lies within a few deviations, which are small within the data and large far from them.
            assert!((p[0] - t[0]).abs() < 6.0 * gp.deviation(&q)[0] + 1e-6);
        }
        assert!(gp.deviation(&[5.0, 5000.0])[0] > 20.0 * gp.deviation(&[0.0, 500.0])[0]);
    }

    #[test]
    fn noise_is_found() {
        let x: Vec<f64> = (0..200).map(|i| i as f64 / 20.0).collect();
        let stream = Stream::new(5, "noise");
        let y: Vec<f64> = x.iter().enumerate().map(|(i, x)| x.sin() + 0.1 * stream.normal(i as u64, 0)).collect();
        let gp = GaussianProcess::fit(&x, 1, &y, 1, 100).unwrap();
        // The relative scatter of a standard deviation from 200 values is 5 %; four of these.
        assert!((gp.noise()[0] / 0.1 - 1.0).abs() < 0.2, "{:?}", gp.noise());
        assert!(x.iter().step_by(10).all(|x| (gp.predict(&[*x])[0] - x.sin()).abs() < 0.12));
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        assert!(GaussianProcess::fit(&[1.0], 1, &[1.0], 1, 10).is_err());
        assert!(GaussianProcess::fit(&[1.0, f64::NAN], 1, &[1.0, 2.0], 1, 10).is_err());
        assert!(GaussianProcess::fit(&vec![0.5; 3000], 1, &vec![0.5; 3000], 1, 10).is_err());
        // Equal rows and constant outputs are dull, not wrong.
        let gp = GaussianProcess::fit(&[1.0, 1.0, 1.0], 1, &[7.0, 7.0, 7.0], 1, 10).unwrap();
        assert!((gp.predict(&[1.0])[0] - 7.0).abs() < 1e-9);
    }
}
