//! How far a table is from what it stands for.

use super::Table;
use crate::data::Stream;

/// Relative differences over probe points, each in the Euclidean norm of the value.
#[derive(Clone, PartialEq, Debug)]
pub struct ErrorEstimate {
    pub max_relative: f64,
    pub rms_relative: f64,
    /// Where the largest difference was found.
    pub worst: Vec<f64>,
    pub probes: usize,
}

impl Table {
    /// Up to `n` cell midpoints (all, if there are no more), each of another cell, spread evenly by the stream.
    /// Between the knots is where an interpolation errs most.
    pub fn midpoints(&self, n: usize, stream: &Stream) -> Vec<Vec<f64>> {
        let cells: usize = self.axes.iter().map(|a| a.cells()).product();
        let mut chosen: Vec<u32> =
            if cells <= n { (0..cells as u32).collect() } else { stream.permutation(0, cells)[..n].to_vec() };
        chosen.sort_unstable();
        let midpoint = |&cell: &u32| {
            let mut rest = cell as usize;
            let mut x = vec![0.0; self.axes.len()];
            for (x, axis) in x.iter_mut().zip(&self.axes).rev() {
                let k = rest % axis.cells();
                rest /= axis.cells();
                *x = 0.5 * (axis.knots[k] + axis.knots[k + 1]);
            }
            x
        };
        chosen.iter().map(midpoint).collect()
    }

    /// Compares with the truth at these points: `truth` holds one value after the other.
    pub fn compare(&self, points: &[Vec<f64>], truth: &[f64]) -> ErrorEstimate {
        let components: usize = self.shape.iter().product();
        assert_eq!(points.len() * components, truth.len(), "compiler bug: a table compared with too few values");
        let mut estimate = ErrorEstimate { max_relative: 0.0, rms_relative: 0.0, worst: vec![], probes: points.len() };
        let mut squares = 0.0;
        for (x, exact) in points.iter().zip(truth.chunks(components)) {
            let value = self.evaluate(x);
            let difference = value.iter().zip(exact).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
            let size = exact.iter().map(|b| b * b).sum::<f64>().sqrt();
            let relative = if difference == 0.0 { 0.0 } else { difference / size };
            squares += relative * relative;
            if relative > estimate.max_relative || relative.is_nan() {
                (estimate.max_relative, estimate.worst) = (relative, x.clone());
            }
        }
        estimate.rms_relative = (squares / points.len().max(1) as f64).sqrt();
        estimate
    }

    /// The error over up to `n` midpoints, where `sampler` gives the truth.
    pub fn estimate_error<E>(
        &self,
        n: usize,
        stream: &Stream,
        mut sampler: impl FnMut(&[f64]) -> Result<Vec<f64>, E>,
    ) -> Result<ErrorEstimate, E> {
        let points = self.midpoints(n, stream);
        let mut truth = vec![];
        for x in &points {
            truth.extend(sampler(x)?);
        }
        Ok(self.compare(&points, &truth))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{axis, table};
    use super::super::{Method, Outside};
    use crate::data::Stream;

    #[test]
    fn the_error_of_linear_interpolation_of_a_parabola() {
        // On a cell of width h the chord of 1 + x² misses it by h²/4 at the middle.
        let f = |x: &[f64]| vec![1.0 + x[0] * x[0]];
        let t = table(&[axis(0.0, 1.0, 10, true)], Method::Multilinear, Outside::Hold, f);
        let e = t.estimate_error::<()>(100, &Stream::new(1, "e"), |x| Ok(f(x))).unwrap();
        assert_eq!((e.probes, e.worst.as_slice()), (10, [0.05].as_slice()));
        assert!((e.max_relative - 0.0025 / 1.0025).abs() < 1e-15);
        assert!(e.rms_relative < e.max_relative && e.rms_relative > 0.0025 / 2.0);
        let few = t.midpoints(4, &Stream::new(1, "e"));
        assert!(few.len() == 4 && few.windows(2).all(|w| w[0] != w[1]));
    }
}
