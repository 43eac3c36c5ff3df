//! Schemes as written: `fem(order=1, n=64)`, `fv(h=1 [mm])`.

use crate::base::Span;
use crate::discretize::Element;
use crate::discretize::conservation::{Limiter, Reconstruction};
use crate::discretize::grid::{Dealias, Derivatives};
use crate::integrate::bdf::MAX_ORDER;
use crate::integrate::rosenbrock::rosenbrock;
use crate::integrate::symplectic::composition;
use crate::integrate::{Additive, Composition, Rosenbrock, Tableau, additive, tableau};
use crate::ir::LinearSolver;
use crate::lower::Lower;
use crate::lower::error::{Result, error, error_help};
use crate::lower::evolve::{Control, Implicit};
use crate::lower::functional::{Cells, Resolution};
use crate::lower::value::{Record, Value};

/// A scheme as written.
pub struct Scheme {
    pub method: Method,
    /// How time is stepped through, and the largest step: infinite where it is found on the way.
    pub time: Option<(Integrator, f64)>,
    /// What is said of the length of steps.
    pub control: Option<Control>,
    /// What is said of which terms are implicit.
    pub implicit: Option<Implicit>,
    pub resolution: Resolution,
    pub solver: LinearSolver,
    pub tolerance: f64,
    /// Of finite volumes in explicit steps.
    pub reconstruct: Option<Reconstruction>,
    pub riemann: Option<Value>,
    /// Of central differences: whether components stand at places of their own; none leaves it to the system.
    pub staggered: Option<bool>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Method {
    Elements,
    Volumes,
    /// Chebyshev collocation.
    Chebyshev,
    /// A periodic grid of points.
    Grid(Derivatives),
}

impl Method {
    /// Whether transport, told in two ways, is taken as the divergence of a flux.
    pub fn conservative(self) -> bool {
        matches!(self, Method::Volumes | Method::Grid(_))
    }

    /// The order of the space of its fields.
    fn space_order(self, order: usize) -> usize {
        match self {
            Method::Elements => order,
            Method::Chebyshev => 1,
            Method::Volumes | Method::Grid(_) => 0,
        }
    }
}

#[derive(Clone, Copy)]
pub enum Integrator {
    RungeKutta(&'static Tableau),
    /// Of second order in time.
    Symplectic(&'static Composition),
    /// Linearly implicit.
    Rosenbrock(&'static Rosenbrock),
    /// Backward differences of an order, in steps of one length, or up to an order in steps that follow the error.
    Bdf {
        order: usize,
        varies: bool,
    },
    /// Exact in what is linear, explicit in the rest.
    Exponential {
        order: usize,
    },
    /// Implicit in what is linear, explicit in the rest.
    Additive(&'static Additive),
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
        let given = |name: &str| r.fields.get(name).filter(|v| !matches!(v, Value::None));
        let time = match given("time") {
            Some(t) => Some((self.method(&t.clone(), span)?, self.control(&t.clone(), span)?)),
            None => None,
        };
        let (time, control) = match time {
            Some((method, control)) => (Some((method, control.fixed().unwrap_or(f64::INFINITY))), Some(control)),
            None => (None, None),
        };
        let implicit = match given("time") {
            Some(Value::Record(t)) => Implicit::read(t, span)?,
            _ => None,
        };
        let cells = match (given("n"), given("h")) {
            (Some(n), None) if r.kind == "chebyshev" => Cells::Lobatto(self.known_int(&n.clone(), "`n`", span)?),
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
            Some(o) => match self.known_int(&o.clone(), "`order`", span)? {
                0 => {
                    return error_help(
                        "discretize.order",
                        span,
                        "there are no Lagrange elements of order 0",
                        "choose order=1 or order=2; finite volumes are `fv(n=…)`",
                    );
                }
                order => order,
            },
            None => 1,
        };
        let method = match r.kind.as_str() {
            "fem" => Method::Elements,
            "fv" => Method::Volumes,
            "chebyshev" => Method::Chebyshev,
            "fd" => Method::Grid(Derivatives::Central { order }),
            "spectral" => Method::Grid(Derivatives::Fourier(self.dealias(given("dealias").cloned(), span)?)),
            other => return error("unsupported.library", span, format!("the scheme `{other}` is not supported yet")),
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
                        crate::sema::suggest::nearest(other, ["quad", "hex", "triangle"]).map_or_else(
                            || "choose \"quad\" (\"hex\" in 3-D) or \"triangle\"".to_string(),
                            |near| format!("did you mean \"{near}\"?"),
                        ),
                    );
                }
            },
            _ => None,
        };
        let reconstruct = given("reconstruct").map(|v| reconstruction(v, span)).transpose()?;
        let solver = match given("solver") {
            Some(Value::Record(s)) => match s.kind.as_str() {
                "direct" => LinearSolver::Direct,
                "multigrid" => LinearSolver::Multigrid,
                _ => LinearSolver::Auto,
            },
            _ => LinearSolver::Auto,
        };
        let tolerance = match given("tol") {
            Some(t) => match self.known_real(&t.clone(), span)? {
                t if t > 0.0 && t < 1.0 => t,
                t => {
                    let message = format!("the tolerance of a linear solver lies between 0 and 1, this is {t}");
                    return error_help("run.scheme", span, message, "for example `tol=1e-10`");
                }
            },
            None => 1e-10,
        };
        Ok(Scheme {
            method,
            time,
            control,
            implicit,
            resolution: Resolution { order: method.space_order(order), element, cells },
            solver,
            tolerance,
            reconstruct,
            riemann: given("riemann").cloned(),
            staggered: match given("staggered") {
                Some(Value::Bool(yes)) => Some(*yes),
                _ => None,
            },
        })
    }

    fn dealias(&mut self, v: Option<Value>, span: Span) -> Result<Dealias> {
        let part = match v {
            None | Some(Value::Bool(true)) => return Ok(Dealias::TwoThirds),
            Some(Value::Bool(false)) => return Ok(Dealias::None),
            Some(v) => self.known_real(&v, span)?,
        };
        match part {
            x if (x - 2.0 / 3.0).abs() < 1e-12 => Ok(Dealias::TwoThirds),
            1.5 => Ok(Dealias::ThreeHalves),
            x => error_help(
                "run.scheme",
                span,
                format!("`dealias={x}` is none of what is done about products"),
                "write `2/3` (leave out the upper third of the modes), `3/2` (half as many points more) or `false`",
            ),
        }
    }

    /// `bdf(3, 0.1)`, `bdf(tol=1e-6)`.
    fn differences(&mut self, r: &Record, span: Span) -> Result<Integrator> {
        let mut read = |name: &str| match r.fields.get(name) {
            None | Some(Value::None) => Ok(None),
            Some(v) => self.known_int(&v.clone(), &format!("`{name}`"), span).map(Some),
        };
        let (order, most) = (read("order")?, read("max_order")?);
        let follows = ["tol", "rtol", "atol"].iter().any(|n| !matches!(r.fields.get(*n), None | Some(Value::None)));
        let order = match (follows, order, most) {
            (false, Some(order), _) => order,
            (true, None, most) => most.unwrap_or(MAX_ORDER),
            (false, None, _) => {
                return error_help(
                    "run.scheme",
                    span,
                    "backward differences of which order?",
                    "give order and step, `bdf(3, 0.1)`, or a tolerance, and both follow the error: `bdf(tol=1e-6)`",
                );
            }
            (true, Some(_), _) => {
                return error_help(
                    "run.scheme",
                    span,
                    "the order of these backward differences follows the error as their steps do",
                    "bound it with `max_order`, or leave out the tolerance: `bdf(3, 0.1)`",
                );
            }
        };
        if !(1..=MAX_ORDER).contains(&order) {
            return error_help(
                "run.scheme",
                span,
                format!("there are no backward differences of order {order}"),
                format!("orders are 1 to {MAX_ORDER}; formulas of higher order are unstable or nearly so"),
            );
        }
        Ok(Integrator::Bdf { order, varies: follows })
    }

    /// The method of a scheme in time.
    pub(in crate::lower) fn method(&mut self, v: &Value, span: Span) -> Result<Integrator> {
        let Value::Record(r) = v else {
            return error_help(
                "run.scheme",
                span,
                format!("expected a time stepping scheme, found {}", v.kind()),
                "for example `rk4(1e-3 [s])`",
            );
        };
        if let Some(c) = composition(&r.kind) {
            return Ok(Integrator::Symplectic(c));
        }
        if let Some(a) = additive(&r.kind) {
            return Ok(Integrator::Additive(a));
        }
        match (r.kind.as_str(), tableau(&r.kind), rosenbrock(&r.kind)) {
            ("bdf", ..) => self.differences(&r.clone(), span),
            ("etdrk2", ..) => Ok(Integrator::Exponential { order: 2 }),
            ("etdrk4", ..) => Ok(Integrator::Exponential { order: 4 }),
            (_, Some(t), _) => Ok(Integrator::RungeKutta(t)),
            (_, _, Some(m)) => Ok(Integrator::Rosenbrock(m)),
            (other, ..) => {
                error("unsupported.library", span, format!("`{other}` is not supported yet as a time scheme"))
            }
        }
    }
}

/// `first`, `muscl(van_leer)`, `weno5`.
fn reconstruction(v: &Value, span: Span) -> Result<Reconstruction> {
    let limiter = |r: &Record| match r.fields.get("limiter") {
        Some(Value::Record(l)) => Limiter::named(&l.kind),
        _ => None,
    };
    let found = match v {
        Value::Record(r) => match r.kind.as_str() {
            "first" => Some(Reconstruction::First),
            "weno5" => Some(Reconstruction::Weno5),
            "muscl" => limiter(r).map(Reconstruction::Muscl),
            _ => None,
        },
        _ => None,
    };
    match found {
        Some(r) => Ok(r),
        None => error_help(
            "run.scheme",
            span,
            "`reconstruct` is `first`, `muscl(limiter)` or `weno5`",
            "limiters are `minmod`, `van_leer`, `mc`, `superbee` and `van_albada`",
        ),
    }
}
