//! Flat vectors: sums in a fixed order, with fixed lanes, so that they vectorise and never change their bits.

const LANES: usize = 8;

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (ca, cb) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f64 = ca.remainder().iter().zip(cb.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in ca.zip(cb) {
        for k in 0..LANES {
            lanes[k] += x[k] * y[k];
        }
    }
    lanes.iter().sum::<f64>() + tail
}

/// `y += a x`
pub fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

/// In double precision, whatever the numbers.
pub fn norm<T: Copy + Into<f64>>(a: &[T]) -> f64 {
    let mut lanes = [0.0; LANES];
    let chunks = a.chunks_exact(LANES);
    let tail: f64 = chunks.remainder().iter().map(|&x| x.into() * x.into()).sum();
    for x in chunks {
        for k in 0..LANES {
            let x: f64 = x[k].into();
            lanes[k] += x * x;
        }
    }
    (lanes.iter().sum::<f64>() + tail).sqrt()
}

/// Largest magnitude; NaN if any is.
pub fn max_norm(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |m: f64, x| if x.is_nan() { f64::NAN } else { m.max(x.abs()) })
}
