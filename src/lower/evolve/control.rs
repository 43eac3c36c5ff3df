//! How long steps are, as written in a time scheme: `rk4(0.01)`, `dormand_prince(tol=1e-8)`, `ssprk3(cfl=0.4)`.

use crate::base::Span;
use crate::lower::Lower;
use crate::lower::error::{Result, error, error_help};
use crate::lower::value::Value;

/// What is said of the length of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Control {
    /// The length, or where the error decides, the first one.
    pub dt: Option<f64>,
    /// Tolerances of the error of a step, relative to the state and to the nominal sizes of the unknowns.
    pub tolerance: Option<(f64, f64)>,
    /// The fraction of the largest step that the rates allow.
    pub cfl: Option<f64>,
    /// Most steps between two times that are kept.
    pub most: usize,
}

/// Names of the arguments, besides `dt`.
const ARGUMENTS: [&str; 5] = ["tol", "rtol", "atol", "cfl", "max_steps"];

impl Control {
    /// Whether steps are as long as said.
    pub fn fixed(&self) -> Option<f64> {
        self.dt.filter(|_| self.tolerance.is_none() && self.cfl.is_none())
    }
}

impl Lower<'_> {
    pub fn control(&mut self, scheme: &Value, span: Span) -> Result<Control> {
        let Value::Record(r) = scheme else {
            return error_help(
                "run.scheme",
                span,
                format!("expected a scheme in time, found {}", scheme.kind()),
                "for example `rk4(0.01)`, or `dormand_prince(tol=1e-8)`",
            );
        };
        let mut read = |name: &str| -> Result<Option<f64>> {
            match r.fields.get(name) {
                None | Some(Value::None) => Ok(None),
                Some(v) => self.known_real(&v.clone(), span).map(Some),
            }
        };
        let dt = read("dt")?;
        let [tol, rtol, atol, cfl, most] = [0, 1, 2, 3, 4].map(|k| read(ARGUMENTS[k]));
        let (tol, rtol, atol, cfl, most) = (tol?, rtol?, atol?, cfl?, most?);
        let positive = [("dt", dt), ("tol", tol), ("rtol", rtol), ("atol", atol), ("cfl", cfl), ("max_steps", most)];
        if let Some((name, Some(x))) = positive.iter().find(|(_, x)| x.is_some_and(|x| !(x > 0.0 && x.is_finite()))) {
            return error("run.scheme", span, format!("`{name}` of a time scheme is positive, this is {x}"));
        }
        let tolerance = match (tol, rtol, atol) {
            (None, None, None) => None,
            (tol, rtol, atol) => {
                let default = tol.or(rtol).or(atol).unwrap_or(1e-6);
                Some((rtol.unwrap_or(default), atol.unwrap_or(default)))
            }
        };
        if tolerance.is_some() && cfl.is_some() {
            return error("run.scheme", span, "steps follow either the error (`tol`) or the stability limit (`cfl`)");
        }
        if dt.is_none() && tolerance.is_none() && cfl.is_none() {
            return error_help(
                "run.scheme",
                span,
                format!("how long are the steps of `{}`?", r.kind),
                "give their length, `rk4(0.01)`, or a tolerance to methods that estimate their error, `dormand_prince(tol=1e-8)`",
            );
        }
        Ok(Control { dt, tolerance, cfl, most: most.map_or(10_000, |m| m.ceil() as usize) })
    }
}
