//! Functions of the standard library that are implemented in Rust, by their MSL name. Their signatures, defaults and docs are
//! in `stdlib/*.msl`; here is only what they do.

mod domains;
mod grids;
pub(super) mod numbers;
mod verbs;

use super::call::Args;
use super::error::{Result, error};
use super::eval::Lower;
use super::value::Value;
use crate::base::Span;
use indexmap::IndexMap;

/// Arguments by parameter name, defaults filled in.
pub type Named = IndexMap<String, Value>;

/// Constructors: they only name what they are given.
const RECORDS: &[&str] = &[
    // schemes and their parts
    "fem",
    "fv",
    "muscl",
    "fd",
    "spectral",
    "chebyshev",
    "euler",
    "heun",
    "ssprk3",
    "rk4",
    "bogacki_shampine",
    "dormand_prince",
    "implicit_euler",
    "bdf",
    "crank_nicolson",
    "sdirk2",
    "sdirk3",
    "sdirk4",
    "esdirk4",
    "verlet",
    "yoshida4",
    "ros3p",
    "rodas4",
    "etdrk2",
    "etdrk4",
    "imex_euler",
    "imex_trapezoid",
    "ars222",
    "ars443",
    "ark4",
    // laws to draw from
    "uniform",
    "normal",
    "lognormal",
    "loguniform",
    "choice",
    "grf",
    "sobol",
    // first values of weights
    "glorot",
    "he",
    // stages and schedules
    "adam",
    "lbfgs",
    "sgd",
    "cosine",
    "warmup",
    "through",
    "alternate",
    "reptile",
    "acquire",
    "mma",
    // architectures without a lowering yet
    "cnn",
    "fno",
    "unet",
    "gp",
    "freeze",
];

/// Names defined as `let name = intrinsic`: words that only stand for themselves.
pub fn symbol(name: &str, span: Span) -> Value {
    match name {
        "none" => Value::None,
        "I" => Value::record("identity", span, IndexMap::new()),
        _ => super::sizeless::named(name, span).unwrap_or_else(|| Value::record(name, span, IndexMap::new())),
    }
}

pub fn call(l: &mut Lower, name: &str, args: Named, span: Span) -> Result<Value> {
    if RECORDS.contains(&name) {
        return Ok(Value::record(name, span, args));
    }
    if let Some(out) = numbers::call(l, name, &args, span) {
        return out;
    }
    if let Some(out) = domains::call(l, name, &args, span) {
        return out;
    }
    if let Some(out) = grids::call(l, name, &args, span) {
        return out;
    }
    if let Some(out) = verbs::call(l, name, &args, span) {
        return out;
    }
    error("unsupported.library", span, format!("`{name}` is not supported yet"))
}

/// Functions that take names of the user's own: `tabulate(k, T=(280..400) [K])`.
pub fn variadic(l: &mut Lower, name: &str, args: &Args, span: Span) -> Option<Result<Value>> {
    match name {
        "tabulate" => Some(verbs::tabulate(l, args, span)),
        "online" => Some(verbs::online(l, args, span)),
        _ => None,
    }
}

/// An argument, `None` where it was not given.
pub fn arg<'a>(args: &'a Named, name: &str) -> Option<&'a Value> {
    args.get(name).filter(|v| !matches!(v, Value::None))
}

/// An argument that must be there.
pub fn needed<'a>(args: &'a Named, name: &str, span: Span) -> Result<&'a Value> {
    match arg(args, name) {
        Some(v) => Ok(v),
        None => error("shapes.arguments", span, format!("`{name}` is missing")),
    }
}
