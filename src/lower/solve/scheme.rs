//! Schemes as written: `fem(order=1, n=64)`, `fv(h=1 [mm])`.

use crate::base::Span;
use crate::discretize::Element;
use crate::ir::LinearSolver;
use crate::lower::Lower;
use crate::lower::error::{Result, error, error_help};
use crate::lower::functional::{Cells, Resolution};
use crate::lower::value::Value;

/// A scheme as written.
pub struct Scheme {
    pub volumes: bool,
    pub resolution: Resolution,
    pub solver: LinearSolver,
    pub tolerance: f64,
}

impl Lower<'_> {
    pub(super) fn scheme(&mut self, v: &Value, span: Span) -> Result<Scheme> {
        let Value::Record(r) = v else {
            return error_help(
                "run.scheme",
                span,
                format!("expected a scheme, found {}", v.kind()),
                "for example `fem(order=1, n=64)` or `fv(n=64)`",
            );
        };
        let volumes = match r.kind.as_str() {
            "fem" => false,
            "fv" => true,
            other => return error("unsupported.library", span, format!("the scheme `{other}` is not supported yet")),
        };
        let given = |name: &str| r.fields.get(name).filter(|v| !matches!(v, Value::None));
        if given("time").is_some() {
            return error("unsupported.time", span, "problems in time are not supported yet");
        }
        let cells = match (given("n"), given("h")) {
            (Some(n), None) => Cells::Count(self.known_int(&n.clone(), "`n`", span)?),
            (None, Some(h)) => Cells::Size(self.known_real(&h.clone(), span)?),
            (Some(_), Some(_)) => {
                return error("run.scheme", span, "give either `n` (cells along the longest side) or `h` (their size)");
            }
            (None, None) => {
                return error_help(
                    "run.scheme",
                    span,
                    "how fine?",
                    "give `n` (cells along the longest side) or `h` (their size)",
                );
            }
        };
        let order = match given("order") {
            Some(o) => self.known_int(&o.clone(), "`order`", span)?,
            None => 1,
        };
        let element = match given("elements") {
            Some(Value::Str(s)) => match &**s {
                "quad" | "hex" => None,
                "triangle" => Some(Element::Triangle),
                other => {
                    return error_help(
                        "run.scheme",
                        span,
                        format!("there are no elements `{other}`"),
                        "choose \"quad\" (\"hex\" in 3-D) or \"triangle\"",
                    );
                }
            },
            _ => None,
        };
        let solver = match given("solver") {
            Some(Value::Record(s)) => match s.kind.as_str() {
                "direct" => LinearSolver::Direct,
                "multigrid" => LinearSolver::Multigrid,
                _ => LinearSolver::Auto,
            },
            _ => LinearSolver::Auto,
        };
        let tolerance = match given("tol") {
            Some(t) => self.known_real(&t.clone(), span)?,
            None => 1e-10,
        };
        Ok(Scheme {
            volumes,
            resolution: Resolution { order: if volumes { 0 } else { order }, element, cells },
            solver,
            tolerance,
        })
    }
}
