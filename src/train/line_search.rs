//! Line search for the strong Wolfe conditions [Nocedal & Wright, Numerical Optimization, §3.5, Algorithms 3.5 and 3.6].

const ARMIJO: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
const EVALUATIONS: usize = 30;

/// The restriction of the objective to the line, at step `a`: value and slope.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub a: f64,
    pub value: f64,
    pub slope: f64,
}

/// A step that satisfies the conditions, or `None` when there is none to be found (rounding, a wrong gradient).
/// `phi` evaluates the line at a step; the last call is at the step returned. Values that are not finite count as +∞.
pub fn strong_wolfe<E>(
    start: Point,
    first: f64,
    phi: &mut impl FnMut(f64) -> Result<Point, E>,
) -> Result<Option<Point>, E> {
    let mut search = Search { start, phi, left: EVALUATIONS };
    let (mut previous, mut a) = (start, first);
    while search.left > 0 {
        let p = search.evaluate(a)?;
        if !search.decreases(&p) || (p.value >= previous.value && previous.a > 0.0) {
            return search.zoom(previous, p);
        }
        if search.is_flat(&p) {
            return Ok(Some(p));
        }
        if p.slope >= 0.0 {
            return search.zoom(p, previous);
        }
        previous = p;
        a *= 2.0;
    }
    Ok(None)
}

struct Search<'a, F> {
    start: Point,
    phi: &'a mut F,
    left: usize,
}

impl<F, E> Search<'_, F>
where
    F: FnMut(f64) -> Result<Point, E>,
{
    fn evaluate(&mut self, a: f64) -> Result<Point, E> {
        self.left -= 1;
        let p = (self.phi)(a)?;
        let finite = p.value.is_finite() && p.slope.is_finite();
        Ok(if finite { p } else { Point { a, value: f64::INFINITY, slope: f64::INFINITY } })
    }

    /// Sufficient decrease; near the minimum, where values drown in rounding, the slope tells instead
    /// [Hager & Zhang 2005, approximate Wolfe conditions].
    fn decreases(&self, p: &Point) -> bool {
        let s = &self.start;
        let level = (p.value - s.value).abs() <= 4.0 * f64::EPSILON * s.value.abs();
        p.value <= s.value + ARMIJO * p.a * s.slope || (level && p.slope <= (2.0 * ARMIJO - 1.0) * s.slope)
    }

    fn is_flat(&self, p: &Point) -> bool {
        p.slope.abs() <= -CURVATURE * self.start.slope
    }

    /// Between `low`, the best point so far that decreases enough, and `high`, beyond which the value rises again.
    fn zoom(&mut self, mut low: Point, mut high: Point) -> Result<Option<Point>, E> {
        while self.left > 0 {
            let a = interpolate(&low, &high);
            if a == low.a || a == high.a {
                break;
            }
            let p = self.evaluate(a)?;
            if !self.decreases(&p) || p.value > low.value {
                high = p;
            } else {
                if self.is_flat(&p) {
                    return Ok(Some(p));
                }
                if p.slope * (high.a - low.a) >= 0.0 {
                    high = low;
                }
                low = p;
            }
        }
        // A decrease without the curvature condition is still a step, if the search ended at it or can go back there.
        if low.a > 0.0 && low.value < self.start.value {
            self.left += 1;
            return Ok(Some(self.evaluate(low.a)?));
        }
        Ok(None)
    }
}

/// Minimiser of the cubic through both values and slopes (ibid. eq. 3.59), kept off the interval's ends; else its middle.
fn interpolate(l: &Point, h: &Point) -> f64 {
    let middle = 0.5 * (l.a + h.a);
    if !h.value.is_finite() {
        return middle;
    }
    let d1 = l.slope + h.slope - 3.0 * (l.value - h.value) / (l.a - h.a);
    let d2 = (d1 * d1 - l.slope * h.slope).sqrt().copysign(h.a - l.a);
    let a = h.a - (h.a - l.a) * (h.slope + d2 - d1) / (h.slope - l.slope + 2.0 * d2);
    let t = (a - l.a) / (h.a - l.a);
    if (0.1..=0.9).contains(&t) {
        a
    } else if t.is_finite() {
        l.a + (h.a - l.a) * t.clamp(0.1, 0.9)
    } else {
        middle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_satisfy_the_strong_wolfe_conditions() {
        // The test functions of [Moré & Thuente 1994, (5.1), (5.2)] and one that is undefined beyond 1.
        type F = fn(f64) -> (f64, f64);
        let functions: [F; 3] = [
            |a| (-a / (a * a + 2.0), (a * a - 2.0) / (a * a + 2.0).powi(2)),
            |a| {
                ((a + 0.004).powi(5) - 2.0 * (a + 0.004).powi(4), 5.0 * (a + 0.004).powi(4) - 8.0 * (a + 0.004).powi(3))
            },
            |a| (-(1.0 - a).sqrt().ln() - 3.0 * a, 0.5 / (1.0 - a) - 3.0),
        ];
        for f in functions {
            let at = |a| Point { a, value: f(a).0, slope: f(a).1 };
            for first in [1e-3, 0.1, 1.0, 10.0, 1000.0] {
                let mut last = 0.0;
                let step = strong_wolfe::<()>(at(0.0), first, &mut |a| {
                    last = a;
                    Ok(at(a))
                });
                let p = step.unwrap().expect("a step");
                assert_eq!(p.a, last);
                assert!(p.value <= at(0.0).value + ARMIJO * p.a * at(0.0).slope);
                assert!(p.slope.abs() <= CURVATURE * at(0.0).slope.abs());
            }
        }
    }

    #[test]
    fn a_wrong_gradient_is_found_out() {
        let uphill = strong_wolfe::<()>(Point { a: 0.0, value: 0.0, slope: -1.0 }, 1.0, &mut |a| {
            Ok(Point { a, value: a, slope: 1.0 })
        });
        assert!(uphill.unwrap().is_none());
    }
}
