//! The elementary functions: one text for the interpreter, for strips of vectors and for generated code, so that all give the same bits.
//!
//! Each is straight-line arithmetic over a [`Real`] (selects, no branches, no tables): evaluated on an `f64` it gives a number, on a
//! value of code under construction it gives instructions. Fused multiply-adds are explicit, and an operation of IEEE 754 like
//! the others; processors without one compute it in software, slowly. Errors are about 1 ulp for `exp log sin cos pow`, below
//! 4 ulp for the others (tested against the platform's library). Polynomials interpolate at Chebyshev nodes; the reductions
//! are classical [Muller, Elementary Functions, 3rd ed., §11; Cody & Waite 1980].

mod circular;
mod exponential;
mod real;
pub mod single;

pub use circular::{atan, atan2, cos, sin};
pub use exponential::{erf, exp, log, pow, tanh};
pub use real::Real;

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
        assert!(log(-1.0).is_nan() && (log(5e-324f64) + 744.440071921381).abs() < 1e-12);
        assert!(sin(inf).is_nan() && cos(f64::NAN).is_nan() && tanh(f64::NAN).is_nan() && erf(f64::NAN).is_nan());
        assert_eq!((tanh(inf), tanh(-inf), erf(inf), atan(inf)), (1.0, -1.0, 1.0, std::f64::consts::FRAC_PI_2));
        for f in [sin::<f64>, tanh, atan, erf] {
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
