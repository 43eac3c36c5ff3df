//! Tables on tensor grids in any number of dimensions, with values of any shape: what `tabulate` makes of a closure.

mod emit;
mod error;
mod slopes;

pub use error::ErrorEstimate;

/// How values between the knots follow from those at them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// Second order; keeps convex sets (positive definite matrices stay so).
    Multilinear,
    /// Hermite cubics with the limited slopes of [Fritsch & Carlson 1980]: fourth order where the data are monotone, and
    /// monotone along every grid line on which the data are; second order at extrema. Several axes: the tensor product.
    MonotoneCubic,
}

/// What stands beyond the first and the last knot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outside {
    /// The value at the nearest point of the box.
    Hold,
    /// Straight on.
    Linear,
}

/// A function known at the points of a tensor grid.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    axes: Vec<Axis>,
    /// Shape of one value.
    shape: Vec<usize>,
    method: Method,
    outside: Outside,
    /// `[points, kinds, components]`, points row-major, last axis fastest. `kinds` is 1, or for cubics all mixed first
    /// derivatives: bit `d-1-k` of the kind says whether the derivative along axis k is taken.
    rows: Vec<f64>,
}

/// The knots of one axis.
#[derive(Clone, PartialEq, Debug)]
struct Axis {
    knots: Vec<f64>,
    /// The spacing, where all are equal.
    step: Option<f64>,
}

impl Table {
    /// `axes`: increasing knots, at least two each. `values`: `[n₀, n₁, …, shape…]`, row-major.
    pub fn new(
        axes: Vec<Vec<f64>>,
        shape: Vec<usize>,
        values: &[f64],
        method: Method,
        outside: Outside,
    ) -> Result<Table, String> {
        let axes = axes.into_iter().map(Axis::new).collect::<Result<Vec<_>, _>>()?;
        if axes.is_empty() || axes.len() > 8 {
            return Err(format!("a table has 1 to 8 axes, not {}", axes.len()));
        }
        let points: usize = axes.iter().map(|a| a.knots.len()).product();
        let components: usize = shape.iter().product();
        if values.len() != points * components || components == 0 {
            return Err(format!("a table of {points} points and shape {shape:?} is given {} numbers", values.len()));
        }
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(format!("the table's value at point {} is {}", i / components, values[i]));
        }
        let rows = match method {
            Method::Multilinear => values.to_vec(),
            Method::MonotoneCubic => slopes::with_derivatives(&axes, values, components),
        };
        Ok(Table { axes, shape, method, outside, rows })
    }

    pub fn dimensions(&self) -> usize {
        self.axes.len()
    }

    /// Shape of one value.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub fn knots(&self, axis: usize) -> &[f64] {
        &self.axes[axis].knots
    }

    /// The box of the knots.
    pub fn range(&self, axis: usize) -> (f64, f64) {
        (self.axes[axis].first(), self.axes[axis].last())
    }

    pub fn contains(&self, x: &[f64]) -> bool {
        x.iter().zip(&self.axes).all(|(&x, a)| (a.first()..=a.last()).contains(&x))
    }

    /// The value at `x`, in `out` (as many numbers as `shape` holds).
    pub fn evaluate_into(&self, x: &[f64], out: &mut [f64]) {
        assert_eq!(
            x.len(),
            self.axes.len(),
            "compiler bug: a table of {} axes at {} numbers",
            self.axes.len(),
            x.len()
        );
        let d = self.axes.len();
        let locals: Vec<Local> = self.axes.iter().zip(x).map(|(a, &x)| self.locate(a, x)).collect();
        let (kinds, components) = (self.kinds(), out.len());
        out.fill(0.0);
        for corner in 0..1usize << d {
            let upper = |k: usize| corner >> (d - 1 - k) & 1;
            let point = (0..d).fold(0, |p, k| p * self.axes[k].knots.len() + locals[k].cell + upper(k));
            for kind in 0..kinds {
                let derived = |k: usize| kind >> (d - 1 - k) & 1;
                let weight: f64 = (0..d).map(|k| locals[k].weights[upper(k)][derived(k)]).product();
                let row = &self.rows[(point * kinds + kind) * components..][..components];
                out.iter_mut().zip(row).for_each(|(o, r)| *o += weight * r);
            }
        }
    }

    pub fn evaluate(&self, x: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.shape.iter().product()];
        self.evaluate_into(x, &mut out);
        out
    }

    fn kinds(&self) -> usize {
        match self.method {
            Method::Multilinear => 1,
            Method::MonotoneCubic => 1 << self.axes.len(),
        }
    }

    fn locate(&self, axis: &Axis, x: f64) -> Local {
        let x = if self.outside == Outside::Hold { x.max(axis.first()).min(axis.last()) } else { x };
        let cell = axis.cell(x);
        let width = axis.width(cell);
        let t = (x - axis.knots[cell]) / width;
        match self.method {
            Method::Multilinear => Local { cell, weights: [[1.0 - t, 0.0], [t, 0.0]] },
            Method::MonotoneCubic => {
                // Beyond the ends the tangent goes on.
                let s = t.clamp(0.0, 1.0);
                let (v, dv) = (hermite(s), hermite_slope(s));
                let w = |i: usize| v[i] + (t - s) * dv[i];
                Local { cell, weights: [[w(0), w(1) * width], [w(2), w(3) * width]] }
            }
        }
    }
}

/// All points of the grid, `[points, axes]`, in the order of a table's values.
pub fn grid_points(axes: &[Vec<f64>]) -> Vec<f64> {
    let points: usize = axes.iter().map(Vec::len).product();
    let mut out = Vec::with_capacity(points * axes.len());
    for p in 0..points {
        let mut period = points;
        for axis in axes {
            let below = period / axis.len();
            out.push(axis[p % period / below]);
            period = below;
        }
    }
    out
}

/// Where a number lies on an axis: the cell, and `weights[upper end?][slope?]`.
struct Local {
    cell: usize,
    weights: [[f64; 2]; 2],
}

/// Cubic Hermite basis on the unit interval: value and slope at 0, value and slope at 1.
fn hermite(t: f64) -> [f64; 4] {
    let s = 1.0 - t;
    [(1.0 + 2.0 * t) * s * s, t * s * s, t * t * (3.0 - 2.0 * t), t * t * (t - 1.0)]
}

fn hermite_slope(t: f64) -> [f64; 4] {
    let s = 1.0 - t;
    [-6.0 * t * s, s * (1.0 - 3.0 * t), 6.0 * t * s, t * (3.0 * t - 2.0)]
}

impl Axis {
    fn new(knots: Vec<f64>) -> Result<Axis, String> {
        if knots.len() < 2 || knots.iter().any(|k| !k.is_finite()) || knots.windows(2).any(|w| w[0] >= w[1]) {
            return Err(format!("the knots of a table increase, and there are at least two: {}", shown(&knots)));
        }
        let n = knots.len();
        let step = (knots[n - 1] - knots[0]) / (n - 1) as f64;
        let largest = knots[0].abs().max(knots[n - 1].abs());
        let even = |(i, k): (usize, &f64)| (k - (knots[0] + i as f64 * step)).abs() <= 4.0 * f64::EPSILON * largest;
        let even = knots.iter().enumerate().all(even);
        Ok(Axis { step: even.then_some(step), knots })
    }

    fn first(&self) -> f64 {
        self.knots[0]
    }

    fn last(&self) -> f64 {
        self.knots[self.knots.len() - 1]
    }

    fn cells(&self) -> usize {
        self.knots.len() - 1
    }

    fn width(&self, cell: usize) -> f64 {
        self.step.unwrap_or(self.knots[cell + 1] - self.knots[cell])
    }

    /// The cell of `x`; the first or last one beyond the ends.
    fn cell(&self, x: f64) -> usize {
        let inner = &self.knots[1..self.cells()];
        match self.step {
            Some(h) => (((x - self.first()) / h).floor().max(0.0) as usize).min(self.cells() - 1),
            None => inner.iter().filter(|&&k| k <= x).count(),
        }
    }
}

fn shown(knots: &[f64]) -> String {
    let head: Vec<String> = knots.iter().take(6).map(|k| k.to_string()).collect();
    format!("[{}{}]", head.join(", "), if knots.len() > 6 { ", …" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n + 1` knots from `a` to `b`, drawn together at `a` where not even.
    pub fn axis(a: f64, b: f64, n: usize, even: bool) -> Vec<f64> {
        let s = |i: usize| i as f64 / n as f64;
        (0..=n).map(|i| a + (b - a) * if even { s(i) } else { s(i) * (0.5 + 0.5 * s(i)) }).collect()
    }

    pub fn table(axes: &[Vec<f64>], method: Method, outside: Outside, f: impl Fn(&[f64]) -> Vec<f64>) -> Table {
        let points = grid_points(axes);
        let values: Vec<f64> = points.chunks(axes.len()).flat_map(&f).collect();
        let shape = vec![f(&points[..axes.len()]).len()];
        Table::new(axes.to_vec(), shape, &values, method, outside).unwrap()
    }

    #[test]
    fn polynomials_within_reach_are_exact() {
        for even in [true, false] {
            let axes = [axis(-1.0, 2.0, 7, even), axis(0.0, 1.0, 5, even)];
            let f = |x: &[f64]| vec![1.0 + 2.0 * x[0] - x[1] + 3.0 * x[0] * x[1], x[1]];
            let t = table(&axes, Method::Multilinear, Outside::Linear, f);
            // Monotone along every line, with slopes that no limiter touches.
            let g = |x: &[f64]| vec![(x[0] + 2.0).powi(3) * (x[1] + 1.0).powi(2)];
            let c = table(&axes, Method::MonotoneCubic, Outside::Linear, g);
            for x in [[-1.0, 0.0], [0.3, 0.77], [2.0, 1.0], [1.99, 0.01]] {
                assert!(t.evaluate(&x).iter().zip(f(&x)).all(|(a, b)| (a - b).abs() < 1e-13));
                assert!((c.evaluate(&x)[0] / g(&x)[0] - 1.0).abs() < 1e-12, "{x:?} {even}");
            }
            assert!((t.evaluate(&[3.0, 2.0])[0] - f(&[3.0, 2.0])[0]).abs() < 1e-12);
        }
    }

    #[test]
    fn orders_of_convergence() {
        let f = |x: &[f64]| vec![(x[0] + 0.3 * x[1]).exp()];
        let error = |method, n| {
            let t = table(&[axis(0.0, 1.0, n, false), axis(0.0, 2.0, n, true)], method, Outside::Hold, f);
            let at = |i: usize| [0.37 + 0.01 * i as f64, 1.31 - 0.02 * i as f64];
            (0..40).map(|i| (t.evaluate(&at(i))[0] - f(&at(i))[0]).abs()).fold(0.0, f64::max)
        };
        for (method, order) in [(Method::Multilinear, 2.0), (Method::MonotoneCubic, 4.0)] {
            let rate = (error(method, 16) / error(method, 64)).log2() / 2.0;
            assert!((rate - order).abs() < 0.5, "{method:?}: {rate}");
        }
    }

    #[test]
    fn monotone_data_stay_monotone() {
        // The data of [Fritsch & Carlson 1980, Table 1] (RPN 14), on which splines overshoot.
        let x = vec![7.99, 8.09, 8.19, 8.7, 9.2, 10.0, 12.0, 15.0, 20.0];
        let y = [0.0, 2.76429e-5, 4.37498e-2, 0.169183, 0.469428, 0.943740, 0.998636, 0.999919, 0.999994];
        let t = Table::new(vec![x], vec![], &y, Method::MonotoneCubic, Outside::Linear).unwrap();
        let values: Vec<f64> = (0..=1200).map(|i| t.evaluate(&[7.99 + 12.01 * i as f64 / 1200.0])[0]).collect();
        assert!(values.windows(2).all(|w| w[1] >= w[0]));
        assert_eq!((values[0], values[1200]), (0.0, 0.999994));
    }

    #[test]
    fn beyond_the_ends() {
        let f = |x: &[f64]| vec![x[0] * x[0]];
        let hold = table(&[axis(1.0, 2.0, 4, true)], Method::MonotoneCubic, Outside::Hold, f);
        assert_eq!((hold.evaluate(&[0.0]), hold.evaluate(&[9.0])), (vec![1.0], vec![4.0]));
        let linear = table(&[axis(1.0, 2.0, 4, true)], Method::MonotoneCubic, Outside::Linear, f);
        assert!((linear.evaluate(&[3.0])[0] - 8.0).abs() < 1e-12); // 4 + slope 4
        assert!(linear.contains(&[1.0]) && !linear.contains(&[0.99]));
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let new = |axes: Vec<Vec<f64>>, v: &[f64]| Table::new(axes, vec![], v, Method::Multilinear, Outside::Hold);
        assert!(new(vec![vec![0.0]], &[1.0]).is_err());
        assert!(new(vec![vec![0.0, 0.0]], &[1.0, 1.0]).is_err());
        assert!(new(vec![vec![0.0, 1.0]], &[1.0]).is_err());
        assert!(new(vec![vec![0.0, 1.0]], &[1.0, f64::NAN]).is_err());
        assert!(new(vec![], &[1.0]).is_err());
    }
}
