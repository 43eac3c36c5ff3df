//! The verbs: solve, sample, tabulate, online, load.

use super::numbers::closure;
use super::{Named, arg, needed};
use crate::base::Span;
use crate::data::Stream;
use crate::data::interpolate::{self, Method, Outside};
use crate::data::read::{Array, Options};
use crate::ir::Tensor;
use crate::lower::Lower;
use crate::lower::call::Args;
use crate::lower::closure::{Online, Table};
use crate::lower::error::{Result, error, error_help};
use crate::lower::value::{Behind, Closure, Column, Num, Sample, Value};
use indexmap::IndexMap;
use std::rc::Rc;

pub fn call(l: &mut Lower, name: &str, args: &Named, span: Span) -> Option<Result<Value>> {
    Some(match name {
        "solve" => l.solve(args, span),
        "sample" => l.sample(args, span),
        "load" => load(l, args, span),
        "derivative" => derivative(l, args, span),
        "bootstrap" => bootstrap(l, args, span),
        _ => return None,
    })
}

/// Cell midpoints at which a table is compared with the closure.
const PROBES: usize = 256;

/// `online(law, reuse=1e-2, on_fail=exact, T=(280..400) [K])`: near points of a costly closure share what was computed; outside the
/// range (of a table, a trained net, or as given) the fine implementation is used.
pub fn online(l: &mut Lower, args: &Args, span: Span) -> Result<Value> {
    let (mut law, mut reuse, mut on_fail) = (None, 1e-2, None);
    let mut ranges: Vec<(String, Value, Span)> = vec![];
    for (name, value, at) in &args.values {
        match (name.as_deref(), value) {
            (None, _) if law.is_none() => law = Some(closure(value, *at)?),
            (Some("law"), _) => law = Some(closure(value, *at)?),
            (Some("reuse"), _) => reuse = l.known_real(value, *at)?,
            (Some("on_fail"), Value::Closure(_)) => on_fail = Some((value.clone(), *at)),
            (Some("on_fail"), Value::None) => {}
            (Some("on_fail"), _) => {
                return error_help(
                    "shapes.arguments",
                    *at,
                    "`on_fail` is an implementation",
                    "for example `on_fail=exact`",
                );
            }
            (Some(other), _) => ranges.push((other.into(), value.clone(), *at)),
            (None, _) => return error("shapes.arguments", *at, "`online` takes a closure, then ranges by name"),
        }
    }
    let Some(law) = law else { return error("shapes.arguments", span, "`online` takes a closure") };
    if !(0.0..=1.0).contains(&reuse) {
        return error("shapes.arguments", span, format!("`reuse` is a relative distance from 0 to 1, not {reuse}"));
    }
    if let Some((Value::Closure(c), at)) = &on_fail
        && c.def != law.def
    {
        return error("coupling.contract", *at, "`on_fail` implements another closure");
    }
    let range = match &law.behind {
        Behind::Table(t) => Some(t.range()),
        Behind::Net(n) => Some(n.ports.range.clone()).filter(|r| !r.is_empty()),
        Behind::Process(p) => Some(p.range.clone()),
        Behind::Function(_) | Behind::Online(_) => None,
    };
    let range = if ranges.is_empty() { range } else { Some(given_ranges(l, law.def, &ranges, span)?) };
    let def = law.def;
    let online = Online { closure: Value::Closure(law), on_fail: on_fail.map(|o| o.0), reuse, range };
    Ok(Value::Closure(Rc::new(Closure { def, behind: Behind::Online(Rc::new(online)) })))
}

/// One range for each parameter of the closure.
fn given_ranges(
    l: &mut Lower,
    def: crate::sema::hir::DefId,
    ranges: &[(String, Value, Span)],
    span: Span,
) -> Result<Vec<(f64, f64)>> {
    let params: Vec<String> = l.closure_params(def).iter().map(|p| p.name.clone()).collect();
    if let Some((name, _, at)) = ranges.iter().find(|(n, _, _)| !params.contains(n)) {
        return error_help(
            "names.argument",
            *at,
            format!("the closure has no parameter `{name}`"),
            format!("its parameters are {}", params.join(", ")),
        );
    }
    let mut out = vec![];
    for name in &params {
        let Some((_, Value::Range(a, b), at)) = ranges.iter().find(|(r, _, _)| r == name) else {
            return error_help(
                "shapes.arguments",
                span,
                format!("over which range of `{name}`?"),
                format!("write `{name}=a..b`"),
            );
        };
        let (a, b) = (l.known_real(a, *at)?, l.known_real(b, *at)?);
        if a >= b {
            return error("shapes.arguments", *at, "an empty range");
        }
        out.push((a, b));
    }
    Ok(out)
}

/// `tabulate(law, T=(280..400) [K], φ=0.05..0.6, n=17, by=cubic)`: the closure on a tensor grid of its arguments.
pub fn tabulate(l: &mut Lower, args: &Args, span: Span) -> Result<Value> {
    let mut law = None;
    let mut count = Value::Int(17);
    let mut method = Method::MonotoneCubic;
    let mut ranges: Vec<(String, Value, Span)> = vec![];
    for (name, value, at) in &args.values {
        match name.as_deref() {
            None if law.is_none() => law = Some(closure(value, *at)?),
            Some("law") => law = Some(closure(value, *at)?),
            Some("n") => count = value.clone(),
            Some("by") => match value {
                Value::Record(r) if r.kind == "linear" => method = Method::Multilinear,
                Value::Record(r) if r.kind == "cubic" => method = Method::MonotoneCubic,
                _ => return error_help("shapes.arguments", *at, "unknown interpolation", "choose `linear` or `cubic`"),
            },
            Some(other) => ranges.push((other.into(), value.clone(), *at)),
            None => return error("shapes.arguments", *at, "`tabulate` takes a closure, then ranges by name"),
        }
    }
    let Some(law) = law else { return error("shapes.arguments", span, "`tabulate` takes a closure") };
    let range = given_ranges(l, law.def, &ranges, span)?;
    let counts: Vec<usize> = match &count {
        v @ (Value::List(_) | Value::Stack(_)) => {
            let items = l.items(v, span)?;
            items.iter().map(|i| l.known_int(i, "`n`", span)).collect::<Result<_>>()?
        }
        v => vec![l.known_int(v, "`n`", span)?; range.len()],
    };
    if counts.len() != range.len() || counts.iter().any(|n| *n < 2) || counts.iter().product::<usize>() > 10_000_000 {
        return error("shapes.arguments", span, "`n` is the number of nodes along each argument, at least 2");
    }
    let even = |((a, b), n): (&(f64, f64), &usize)| (0..*n).map(|i| a + (b - a) * i as f64 / (n - 1) as f64).collect();
    let axes: Vec<Vec<f64>> = range.iter().zip(&counts).map(even).collect();
    let at_nodes = evaluate_points(l, &law, &tensor_points(&axes), span)?;
    let shape = at_nodes.ty.shape[1..].to_vec();
    let table = interpolate::Table::new(axes, shape.clone(), &at_nodes.to_f64(), method, Outside::Linear)
        .or_else(|e| error("run.data", span, e))?;
    let probes = table.midpoints(PROBES, &Stream::new(l.seed, "tabulate"));
    let truth = evaluate_points(l, &law, &probes, span)?;
    let error = table.compare(&probes, &truth.to_f64());
    l.runtime.remark(&format!(
        "table of {}: {} nodes; at {} midpoints of cells it is off by {:.2e} at most, {:.2e} rms",
        l.program.def(law.def).name,
        counts.iter().product::<usize>(),
        error.probes,
        error.max_relative,
        error.rms_relative
    ));
    Ok(Value::Closure(Rc::new(Closure { def: law.def, behind: Behind::Table(Rc::new(Table { table, shape, error })) })))
}

fn tensor_points(axes: &[Vec<f64>]) -> Vec<Vec<f64>> {
    axes.iter().fold(vec![vec![]], |points, axis| {
        points.iter().flat_map(|p| axis.iter().map(|x| [p.clone(), vec![*x]].concat())).collect()
    })
}

/// A closure at many points, as one batch.
pub fn evaluate_points(l: &mut Lower, law: &Rc<Closure>, points: &[Vec<f64>], span: Span) -> Result<Tensor> {
    let n = points.len();
    let d = points.first().map_or(0, |p| p.len());
    let columns: Vec<Num> =
        (0..d).map(|k| Num::Const(Tensor::f64([n], points.iter().map(|p| p[k]).collect::<Vec<_>>()))).collect();
    l.apart_num(|l| l.map_rows("tabulate", n, &columns, |l, args| l.call_closure_at(law, args, span)), span)
}

fn load(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let Value::Str(path) = needed(args, "path", span)?.clone() else {
        return error("shapes.arguments", span, "`load` takes the path of a file, in quotes");
    };
    let missing = match arg(args, "missing") {
        Some(Value::Str(s)) => vec![s.to_string()],
        Some(v @ Value::List(_)) => l
            .items(v, span)?
            .iter()
            .filter_map(|v| if let Value::Str(s) = v { Some(s.to_string()) } else { None })
            .collect(),
        _ => vec![],
    };
    let factor = match arg(args, "unit") {
        Some(v) => l.known_real(&v.clone(), span)?,
        None => 1.0,
    };
    let loaded = l.runtime.load(&path, Options { missing, ..Options::default() }, span)?;
    let arrays: Vec<(&String, &Array)> = loaded.arrays.iter().filter(|(_, a)| a.words.is_empty()).collect();
    let units = match arg(args, "units") {
        Some(v) => l
            .items(&v.clone(), span)?
            .iter()
            .map(|u| match u {
                Value::Str(s) => Ok(s.to_string()),
                other => error_help(
                    "shapes.arguments",
                    span,
                    format!("a unit of a column is a text, not {}", other.kind()),
                    "for example `units=[\"mm\", \"K\"]`",
                ),
            })
            .collect::<Result<Vec<_>>>()?,
        None => vec![],
    };
    if !units.is_empty() && units.len() != arrays.len() {
        return error_help(
            "shapes.arguments",
            span,
            format!("{} units for the {} columns of numbers in `{path}`", units.len(), arrays.len()),
            "give one unit for each column, in order: `units=[\"mm\", \"K\"]`",
        );
    }
    let mut factors: IndexMap<&String, (f64, f64)> = IndexMap::new();
    for (k, (name, a)) in arrays.iter().enumerate() {
        let written = units.get(k).or(if arg(args, "unit").is_some() { None } else { a.unit.as_ref() });
        let of_file = match written.map(|u| (u, crate::base::units::lookup(u))) {
            None => (factor, 0.0),
            Some((_, Some(u))) => (u.factor, u.offset),
            Some((u, None)) => {
                return error_help(
                    "units.unknown",
                    span,
                    format!("the column `{name}` of `{path}` is in `{u}`, which is no unit known by a name of its own"),
                    "give a factor for the whole file, `unit=1 [W/m]`, or multiply by the unit where the column is used",
                );
            }
        };
        factors.insert(name, of_file);
    }
    let scaled = |name: &String, a: &Array| {
        let t = a.tensor();
        match factors[name] {
            (1.0, 0.0) => t,
            (f, o) => Tensor::f64(t.ty.shape.clone(), t.to_f64().iter().map(|x| x * f + o).collect::<Vec<_>>()),
        }
    };
    if let [(name, one)] = arrays[..] {
        return Ok(Value::Num(Num::Const(scaled(name, one))));
    }
    // Columns of equal length are a sample, whose rows can be walked; anything else a record of arrays.
    let rows = arrays.first().map_or(0, |(_, a)| a.rows());
    if rows > 0 && arrays.iter().all(|(_, a)| a.shape.len() == 1 && a.rows() == rows) {
        let complete = loaded.complete_rows();
        let columns = arrays
            .iter()
            .map(|(name, a)| {
                let column = Column { values: Num::Const(scaled(name, a)), field: None, closure: None, args: vec![] };
                ((*name).clone(), column)
            })
            .collect();
        let all = Sample { name: path.to_string(), part: String::new(), columns, rows, splits: IndexMap::new() };
        let sample = if complete.len() == rows { all } else { l.rows_of(&all, &complete) };
        return Ok(Value::Sample(Rc::new(sample)));
    }
    let fields = arrays.iter().map(|(name, a)| ((*name).clone(), Value::Num(Num::Const(scaled(name, a))))).collect();
    Ok(Value::record("data", span, fields))
}

/// `derivative(f, x)`: of a function of one number, forward; of a number-valued function of a tensor, its gradient, in reverse.
fn derivative(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let f = needed(args, "f", span)?.clone();
    let x = needed(args, "x", span)?.clone();
    let x = l.num(&x, span)?;
    let depth = l.tracer.depth();
    let input = l.tracer.open("derivative", std::slice::from_ref(x.ty()));
    let call = Args { values: vec![(None, Value::Num(input[0].clone()), span)] };
    let traced = l.call(&f, call, span).and_then(|y| l.num(&y, span));
    let y = match traced {
        Ok(y) => y,
        Err(e) => {
            l.tracer.abandon(depth);
            return Err(e);
        }
    };
    let (func, captures) = l.tracer.close(std::slice::from_ref(&y));
    let refs: Vec<&Num> = std::iter::once(&x).chain(&captures).collect();
    let forward = x.shape().is_empty();
    if !forward && !func.ty(func.outputs[0]).is_scalar() {
        return error("unsupported.library", span, "derivatives of tensors by tensors are not supported yet");
    }
    Ok(Value::Num(l.tracer.build(&refs, |b, v| {
        if !forward {
            let g = crate::ad::grad(&func, &[0]);
            return b.inline(&g, v)[1];
        }
        let mut tangents = vec![None; v.len()];
        tangents[0] = Some(b.scalar(1.0));
        let (out, t) = crate::ad::jvp_into(b, &func, v, &tangents);
        match t[0] {
            Some(t) => t,
            None => b.zeros_like(out[0]),
        }
    })))
}

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2000;

fn bootstrap(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let items = needed(args, "items", span)?.clone();
    let items = l.num(&items, span)?;
    let confidence = l.known_real(&arg(args, "confidence").cloned().unwrap_or(Value::num(0.95)), span)?;
    let values = l.compute(&[items], span)?.remove(0).to_f64();
    let stream = Stream::new(l.seed, "bootstrap");
    let interval = crate::data::statistics::bootstrap_mean(&values, RESAMPLES, confidence, &stream)
        .or_else(|e| error("run.data", span, e))?;
    Ok(Value::Stack(Num::Const(Tensor::f64([2], [interval.low, interval.high]))))
}
