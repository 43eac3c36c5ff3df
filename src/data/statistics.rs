//! Summaries of samples, and how far to trust them.

use super::Stream;

/// 0 values have mean NaN.
pub fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Unbiased (n - 1); NaN of fewer than two values.
pub fn variance(x: &[f64]) -> f64 {
    let m = mean(x);
    x.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / (x.len() as f64 - 1.0)
}

pub fn standard_deviation(x: &[f64]) -> f64 {
    variance(x).sqrt()
}

/// Quantiles by linear interpolation of the order statistics (type 7 of [Hyndman & Fan 1996], as most software has it).
pub fn quantiles(x: &[f64], levels: &[f64]) -> Vec<f64> {
    let mut sorted = x.to_vec();
    sorted.sort_by(f64::total_cmp);
    levels.iter().map(|&p| of_sorted(&sorted, p)).collect()
}

pub fn median(x: &[f64]) -> f64 {
    quantiles(x, &[0.5])[0]
}

/// An estimate and the interval that covers the truth with the stated confidence.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Interval {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// Percentile bootstrap [Efron & Tibshirani 1993, §13] of any statistic of `n` rows: `statistic` is given the rows of a
/// resample, drawn with replacement. Resample `r` depends on the stream and `r` alone.
pub fn bootstrap(
    n: usize,
    resamples: usize,
    confidence: f64,
    stream: &Stream,
    statistic: impl Fn(&[u32]) -> f64,
) -> Result<Interval, String> {
    if n == 0 || resamples < 2 || !(0.0..1.0).contains(&confidence) {
        return Err(format!(
            "a bootstrap of {n} rows, {resamples} resamples and confidence {confidence} has no meaning"
        ));
    }
    let all: Vec<u32> = (0..n as u32).collect();
    let values: Vec<f64> = (0..resamples as u64).map(|r| statistic(&resample(n, stream, r))).collect();
    let tail = 0.5 * (1.0 - confidence);
    let q = quantiles(&values, &[tail, 1.0 - tail]);
    Ok(Interval { estimate: statistic(&all), low: q[0], high: q[1] })
}

/// The bootstrap of the mean.
pub fn bootstrap_mean(x: &[f64], resamples: usize, confidence: f64, stream: &Stream) -> Result<Interval, String> {
    let statistic = |rows: &[u32]| rows.iter().map(|&i| x[i as usize]).sum::<f64>() / rows.len() as f64;
    bootstrap(x.len(), resamples, confidence, stream, statistic)
}

/// Rows drawn with replacement.
fn resample(n: usize, stream: &Stream, r: u64) -> Vec<u32> {
    let mut u = vec![0.0; n];
    stream.fill_uniform(r, &mut u);
    u.iter().map(|u| super::law::choose(n, *u) as u32).collect()
}

fn of_sorted(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = p.clamp(0.0, 1.0) * last as f64;
    let i = (at as usize).min(last);
    let j = (i + 1).min(last);
    sorted[i] + (at - i as f64) * (sorted[j] - sorted[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_a_small_sample() {
        let x = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!((mean(&x), median(&x)), (5.0, 4.5));
        assert!((variance(&x) - 32.0 / 7.0).abs() < 1e-14);
        // numpy.quantile (its default method) of the same.
        assert_eq!(quantiles(&x, &[0.0, 0.1, 0.75, 1.0]), [2.0, 3.4000000000000004, 5.5, 9.0]);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_bootstrap_covers_as_often_as_it_says() {
        // Normal samples of 40: the interval for the mean should hold the truth in about 94 of 100 cases (a percentile
        // interval is a little short); 4 standard errors of 400 trials are 4.7 %.
        let stream = Stream::new(2, "b");
        let mut covered = 0;
        for trial in 0..400 {
            let mut x = vec![0.0; 40];
            stream.fill_normal(trial, &mut x);
            let i = bootstrap_mean(&x, 300, 0.95, &stream.indexed(trial)).unwrap();
            assert!(i.low <= i.estimate && i.estimate <= i.high);
            covered += (i.low <= 0.0 && 0.0 <= i.high) as usize;
        }
        assert!((0.89..0.985).contains(&(covered as f64 / 400.0)), "{covered}");
    }

    #[test]
    fn a_bootstrap_of_nothing_is_refused() {
        assert!(bootstrap_mean(&[], 100, 0.95, &Stream::new(1, "b")).is_err());
        assert!(bootstrap_mean(&[1.0], 100, 1.5, &Stream::new(1, "b")).is_err());
    }
}
