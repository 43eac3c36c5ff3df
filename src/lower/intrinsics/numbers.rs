//! Functions of numbers, tensors and lists; over fields they act at each point.

use super::{Named, arg, needed};
use crate::base::Span;
use crate::ir::{Binary, Builder, Compare, Dot, Op, Reduce, Tensor, Unary, Value as Node};
use crate::lower::arith::{identity, shape_name};
use crate::lower::error::{Result, error, error_help};
use crate::lower::value::{NetValue, Num, Value};
use crate::lower::{Lower, value::Closure};
use std::rc::Rc;

const UNARY: &[(&str, Unary)] = &[
    ("exp", Unary::Exp),
    ("log", Unary::Log),
    ("sin", Unary::Sin),
    ("cos", Unary::Cos),
    ("tanh", Unary::Tanh),
    ("atan", Unary::Atan),
    ("erf", Unary::Erf),
    ("abs", Unary::Abs),
    ("sign", Unary::Sign),
    ("floor", Unary::Floor),
];

pub fn call(l: &mut Lower, name: &str, args: &Named, span: Span) -> Option<Result<Value>> {
    if let Some((_, f)) = UNARY.iter().find(|(n, _)| *n == name) {
        return Some(first(l, args, span).and_then(|x| l.pointwise(&[x], span, |l, n| Ok(l.unary_num(*f, &n[0])))));
    }
    Some(match name {
        "tan" | "sinh" | "cosh" | "relu" | "gelu" => composed(l, name, args, span),
        "atan2" => two(l, args, span, Binary::Atan2),
        "min" | "max" => extreme(l, name, args, span),
        "norm2" | "norm" => match args.values().next() {
            Some(v @ (Value::List(_) | Value::Stack(_))) => norms(l, name, v, span),
            _ => each(l, args, span, |b, v| norm(b, name, v, 0)),
        },
        "tr" | "det" | "inv" => matrix(l, name, args, span),
        "inner" => inner(l, args, span),
        "rows" => first(l, args, span).map(|v| match shape_of(&v).first() {
            Some(n) => Value::Int(*n as i64),
            None => Value::Int(1),
        }),
        "identity" => size(l, args, span).map(|n| Value::Num(identity(n))),
        "basis" => size(l, args, span).map(|n| {
            let unit = |k: usize| (0..n).map(|i| (i == k) as u8 as f64).collect::<Vec<_>>();
            Value::list((0..n).map(|k| Value::Num(Num::Const(Tensor::f64([n], unit(k))))).collect())
        }),
        "sym_basis" => size(l, args, span).map(sym_basis),
        "diag" => diag(l, args, span),
        "stack" => needed(args, "items", span).cloned().and_then(|v| l.numeric(&v, span)),
        "linspace" => linspace(l, args, span),
        "roll" => roll(l, args, span),
        "count" => needed(args, "items", span).cloned().and_then(|v| match &v {
            Value::Sample(s) => Ok(Value::Int(s.rows as i64)),
            other => Ok(Value::Int(l.items(other, span)?.len() as i64)),
        }),
        "sum" | "mean" | "integrate" | "max_over" | "min_over" => reduction(l, name, args, span),
        "spd" => each(l, args, span, spd),
        "repeat" => repeat(l, args, span),
        "eigenvalues" => each(l, args, span, eigenvalues),
        "range_of" => Ok(Value::None),
        _ => return None,
    })
}

fn first(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    match args.values().next() {
        Some(v) => {
            let v = v.clone();
            l.numeric(&v, span)
        }
        None => error("shapes.arguments", span, "an argument is missing"),
    }
}

fn size(l: &mut Lower, args: &Named, span: Span) -> Result<usize> {
    let v = args.values().next().cloned().unwrap_or(Value::None);
    let n = l.known_int(&v, "the dimension", span)?;
    if (1..=16).contains(&n) {
        Ok(n)
    } else {
        error("shapes.arguments", span, "the dimension must be between 1 and 16")
    }
}

fn shape_of(v: &Value) -> Vec<usize> {
    match v {
        Value::Num(n) => n.shape().to_vec(),
        Value::Stack(n) => n.shape()[1..].to_vec(),
        Value::Field(f) => f.shape().to_vec(),
        _ => vec![],
    }
}

/// A function of one number, given as IR.
fn each(l: &mut Lower, args: &Named, span: Span, f: impl Fn(&mut Builder, Node) -> Node) -> Result<Value> {
    let x = first(l, args, span)?;
    l.pointwise(&[x], span, |l, n| Ok(l.tracer.build(&[&n[0]], |b, v| f(b, v[0]))))
}

/// Norms of the items of a list.
fn norms(l: &mut Lower, name: &str, list: &Value, span: Span) -> Result<Value> {
    if let Value::Num(n) = l.numeric(list, span)? {
        return Ok(Value::Stack(l.tracer.build(&[&n], |b, v| norm(b, name, v[0], 1))));
    }
    let items = l.items(list, span)?;
    let norms = items.into_iter().map(|item| {
        let args = Named::from([("a".to_string(), item)]);
        each(l, &args, span, |b, v| norm(b, name, v, 0))
    });
    Ok(Value::list(norms.collect::<Result<_>>()?))
}

/// Square (`norm2`) or norm over all axes but the first `lead`; the norm has gradient zero at zero.
fn norm(b: &mut Builder, name: &str, v: Node, lead: usize) -> Node {
    let squares = b.mul(v, v);
    let axes: Vec<usize> = (lead..b.ty(v).rank()).collect();
    let sum = if axes.is_empty() { squares } else { b.reduce(Reduce::Sum, squares, &axes) };
    if name == "norm2" {
        return sum;
    }
    let shape = b.ty(sum).shape.clone();
    let (zero, one) = (b.scalar(0.0), b.scalar(1.0));
    let (zero, one) = (b.broadcast_to(zero, &shape), b.broadcast_to(one, &shape));
    let positive = b.compare(Compare::Lt, zero, sum);
    let safe = b.select(positive, sum, one);
    let root = b.unary(Unary::Sqrt, safe);
    b.select(positive, root, zero)
}

fn composed(l: &mut Lower, name: &str, args: &Named, span: Span) -> Result<Value> {
    each(l, args, span, |b, x| match name {
        "tan" => {
            let (s, c) = (b.unary(Unary::Sin, x), b.unary(Unary::Cos, x));
            b.div(s, c)
        }
        "sinh" | "cosh" => {
            let minus = b.neg(x);
            let (p, m) = (b.unary(Unary::Exp, x), b.unary(Unary::Exp, minus));
            let s = if name == "sinh" { b.sub(p, m) } else { b.add(p, m) };
            b.scale(s, 0.5)
        }
        "relu" => {
            let zero = b.scalar(0.0);
            b.binary(Binary::Max, x, zero)
        }
        _ => {
            // x Φ(x), Φ through erf. [Hendrycks & Gimpel 2016]
            let s = b.scale(x, std::f64::consts::FRAC_1_SQRT_2);
            let e = b.unary(Unary::Erf, s);
            let one = b.scalar(1.0);
            let p = b.add(e, one);
            let p = b.scale(p, 0.5);
            b.mul(x, p)
        }
    })
}

fn two(l: &mut Lower, args: &Named, span: Span, f: Binary) -> Result<Value> {
    let values: Vec<Value> = args.values().take(2).cloned().collect();
    let values: Vec<Value> = values.iter().map(|v| l.numeric(v, span)).collect::<Result<_>>()?;
    if values.len() < 2 {
        return error("shapes.arguments", span, "two arguments are needed");
    }
    l.pointwise(&values, span, |l, n| {
        if n[0].shape() != n[1].shape() && !n[0].shape().is_empty() && !n[1].shape().is_empty() {
            return error(
                "shapes.mismatch",
                span,
                format!("{} and {} cannot be combined", shape_name(n[0].shape()), shape_name(n[1].shape())),
            );
        }
        Ok(l.tracer.build(&[&n[0], &n[1]], |b, v| b.binary(f, v[0], v[1])))
    })
}

fn extreme(l: &mut Lower, name: &str, args: &Named, span: Span) -> Result<Value> {
    let (f, kind) = if name == "min" { (Binary::Min, Reduce::Min) } else { (Binary::Max, Reduce::Max) };
    if arg(args, "b").is_some() {
        return two(l, args, span, f);
    }
    let x = first(l, args, span)?;
    all_of(l, &x, kind, span)
}

/// Over all items of a list, all entries of a tensor, all points of a field.
fn all_of(l: &mut Lower, x: &Value, kind: Reduce, span: Span) -> Result<Value> {
    match x {
        Value::Field(f) => Ok(Value::Num(l.extreme(f, kind, span)?)),
        other => {
            let n = l.num(other, span)?;
            let axes: Vec<usize> = (0..n.shape().len()).collect();
            Ok(Value::Num(l.tracer.build(&[&n], |b, v| b.reduce(kind, v[0], &axes))))
        }
    }
}

fn reduction(l: &mut Lower, name: &str, args: &Named, span: Span) -> Result<Value> {
    let x = first(l, args, span)?;
    match (name, &x) {
        ("max_over", _) => all_of(l, &x, Reduce::Max, span),
        ("min_over", _) => all_of(l, &x, Reduce::Min, span),
        ("integrate" | "mean", Value::Field(f)) => match arg(args, "over") {
            None => l.integrate(f, name == "mean", span),
            Some(Value::Domain(d)) if **d == *f.domain => l.integrate(f, name == "mean", span),
            Some(Value::Place(d, part)) if **d == *f.domain => {
                let part = part.clone();
                l.integrate_part(f, &part, name == "mean", span)
            }
            Some(Value::Domain(d) | Value::Place(d, _)) => {
                let message = format!("a field over `{}` is integrated over `{}`", f.domain.name, d.name);
                error_help("shapes.domains", span, message, "a field is read on another domain at points: `f(x, y)`")
            }
            Some(other) => error("shapes.domains", span, format!("the field is not over {}", other.kind())),
        },
        ("integrate", Value::Num(n)) => match arg(args, "over") {
            Some(Value::Domain(d)) => {
                let measure = d.measure();
                Ok(Value::Num(l.scale_num(&n.clone(), measure)))
            }
            Some(Value::Place(d, part)) => {
                let measure = d.measure_of(part);
                Ok(Value::Num(l.scale_num(&n.clone(), measure)))
            }
            _ => error("shapes.domains", span, "over which domain? `∫(f, Ω)`"),
        },
        ("sum" | "mean", Value::Num(n) | Value::Stack(n)) => {
            let n = n.clone();
            if n.shape().is_empty() {
                return Ok(Value::Num(n));
            }
            let count = n.shape()[0];
            if count == 0 {
                return error("shapes.items", span, format!("the {name} of an empty list"));
            }
            Ok(Value::Num(l.tracer.build(&[&n], |b, v| {
                let s = b.reduce(Reduce::Sum, v[0], &[0]);
                if name == "mean" { b.scale(s, 1.0 / count as f64) } else { s }
            })))
        }
        _ => error("shapes.number", span, format!("`{name}` of {} is not defined", x.kind())),
    }
}

fn square_matrix(shape: &[usize], span: Span) -> Result<usize> {
    match shape {
        [m, n] if m == n => Ok(*n),
        other => error("shapes.mismatch", span, format!("expected a square matrix, found {}", shape_name(other))),
    }
}

fn matrix(l: &mut Lower, name: &str, args: &Named, span: Span) -> Result<Value> {
    let x = first(l, args, span)?;
    let n = square_matrix(&shape_of(&x), span)?;
    if name != "tr" && n > 3 {
        return error(
            "unsupported.library",
            span,
            format!("`{name}` of matrices larger than 3×3 is not supported yet"),
        );
    }
    l.pointwise(&[x], span, |l, m| {
        Ok(l.tracer.build(&[&m[0]], |b, v| match name {
            "tr" => trace(b, v[0], n),
            "det" => determinant(b, v[0], n),
            _ => inverse(b, v[0], n),
        }))
    })
}

fn entry(b: &mut Builder, m: Node, i: usize, j: usize) -> Node {
    let row = b.index(m, 0, i);
    b.index(row, 0, j)
}

fn trace(b: &mut Builder, m: Node, n: usize) -> Node {
    let first = entry(b, m, 0, 0);
    (1..n).fold(first, |s, i| {
        let e = entry(b, m, i, i);
        b.add(s, e)
    })
}

/// The signed minor of entry (i, j), for n ≤ 3.
fn cofactor(b: &mut Builder, m: Node, n: usize, i: usize, j: usize) -> Node {
    match n {
        1 => b.scalar(1.0),
        2 => {
            let e = entry(b, m, 1 - i, 1 - j);
            if (i + j).is_multiple_of(2) { e } else { b.neg(e) }
        }
        _ => {
            // Cyclic indices carry the sign.
            let (i1, i2, j1, j2) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
            let (a, d) = (entry(b, m, i1, j1), entry(b, m, i2, j2));
            let (c, e) = (entry(b, m, i1, j2), entry(b, m, i2, j1));
            let (p, q) = (b.mul(a, d), b.mul(c, e));
            b.sub(p, q)
        }
    }
}

fn determinant(b: &mut Builder, m: Node, n: usize) -> Node {
    let terms: Vec<Node> = (0..n)
        .map(|j| {
            let (e, c) = (entry(b, m, 0, j), cofactor(b, m, n, 0, j));
            b.mul(e, c)
        })
        .collect();
    terms.into_iter().reduce(|a, t| b.add(a, t)).expect("compiler bug: a 0×0 matrix")
}

fn inverse(b: &mut Builder, m: Node, n: usize) -> Node {
    let det = determinant(b, m, n);
    let entries: Vec<Node> = (0..n * n)
        .map(|k| {
            let c = cofactor(b, m, n, k % n, k / n);
            b.div(c, det)
        })
        .collect();
    let flat = b.stack(&entries, 0);
    b.reshape(flat, &[n, n])
}

/// 1 where all leading minors are positive (Sylvester), for symmetric matrices up to 3×3.
fn spd(b: &mut Builder, m: Node) -> Node {
    let n = b.ty(m).shape.first().copied().unwrap_or(1);
    let zero = b.scalar(0.0);
    let mut holds = b.scalar(1.0);
    for k in 1..=n.min(3) {
        let rows = b.slice(m, 0, 0, k);
        let block = b.slice(rows, 1, 0, k);
        let det = determinant(b, block, k);
        let positive = b.compare(Compare::Lt, zero, det);
        holds = b.mul(holds, positive);
    }
    holds
}

/// Of a symmetric 2×2 matrix, increasing.
fn eigenvalues(b: &mut Builder, m: Node) -> Node {
    let (a, d, c) = (entry(b, m, 0, 0), entry(b, m, 1, 1), entry(b, m, 0, 1));
    let sum = b.add(a, d);
    let mean = b.scale(sum, 0.5);
    let difference = b.sub(a, d);
    let half = b.scale(difference, 0.5);
    let (h2, c2) = (b.mul(half, half), b.mul(c, c));
    let r2 = b.add(h2, c2);
    let r = b.unary(Unary::Sqrt, r2);
    let (low, high) = (b.sub(mean, r), b.add(mean, r));
    b.stack(&[low, high], 0)
}

fn inner(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let values: Vec<Value> = args.values().take(2).cloned().collect();
    let values: Vec<Value> = values.iter().map(|v| l.numeric(v, span)).collect::<Result<_>>()?;
    l.pointwise(&values, span, |l, n| {
        if n[0].shape() != n[1].shape() {
            return error(
                "shapes.mismatch",
                span,
                format!("{} and {} have no inner product", shape_name(n[0].shape()), shape_name(n[1].shape())),
            );
        }
        let axes: Vec<usize> = (0..n[0].shape().len()).collect();
        Ok(l.tracer.build(&[&n[0], &n[1]], |b, v| {
            b.dot(v[0], v[1], Dot { lhs_contract: axes.clone(), rhs_contract: axes, ..Dot::default() })
        }))
    })
}

/// An orthonormal basis of the symmetric matrices: e_i ⊗ e_i, then (e_i ⊗ e_j + e_j ⊗ e_i)/√2, in the order xx, yy, xy or xx, yy, zz, yz, xz, xy.
pub fn sym_basis(n: usize) -> Value {
    let mut pairs: Vec<(usize, usize)> = (0..n).map(|i| (i, i)).collect();
    pairs.extend((0..n).rev().flat_map(|i| (0..i).rev().map(move |j| (j, i))));
    let unit = |(i, j): (usize, usize)| {
        let mut m = vec![0.0; n * n];
        let x = if i == j { 1.0 } else { std::f64::consts::FRAC_1_SQRT_2 };
        (m[i * n + j], m[j * n + i]) = (x, x);
        Value::Num(Num::Const(Tensor::f64([n, n], m)))
    };
    Value::list(pairs.into_iter().map(unit).collect())
}

fn diag(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let x = first(l, args, span)?;
    let [n] = shape_of(&x)[..] else { return error("shapes.mismatch", span, "`diag` takes a vector") };
    l.pointwise(&[x], span, |l, v| {
        let eye = identity(n);
        Ok(l.tracer.build(&[&v[0], &eye], |b, v| {
            let rows = b.op(crate::ir::Op::Broadcast { shape: vec![n, n], axes: vec![0] }, &[v[0]]);
            b.mul(rows, v[1])
        }))
    })
}

fn linspace(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let (a, b) = (needed(args, "a", span)?.clone(), needed(args, "b", span)?.clone());
    let (a, b) = (l.known_real(&a, span)?, l.known_real(&b, span)?);
    let n = needed(args, "n", span)?.clone();
    let n = l.known_int(&n, "`n`", span)?;
    if !(2..=1_000_000).contains(&n) {
        return error("shapes.arguments", span, "`n` must be between 2 and a million");
    }
    let values: Vec<f64> = (0..n).map(|i| a + (b - a) * i as f64 / (n - 1) as f64).collect();
    Ok(Value::Stack(Num::Const(Tensor::f64([n], values))))
}

/// The items of a list or vector in a circle, moved on.
fn roll(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let shift = match needed(args, "by", span)? {
        Value::Int(i) => *i as isize,
        _ => return error("shapes.arguments", span, "`roll` moves by a known whole number of places"),
    };
    let x = first(l, args, span)?;
    let x = match &x {
        Value::Num(n) | Value::Stack(n) if !n.shape().is_empty() => n.clone(),
        other => return error("shapes.items", span, format!("`roll` takes a list or a vector, not {}", other.kind())),
    };
    Ok(Value::Stack(l.tracer.build(&[&x], |b, v| b.op(Op::Roll { axis: 0, shift }, &[v[0]]))))
}

fn repeat(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let net = args.values().next().cloned().unwrap_or(Value::None);
    if !matches!(net, Value::Net(_)) {
        return error("nets.port", span, format!("`repeat` takes a net, not {}", net.kind()));
    }
    let count = needed(args, "count", span)?.clone();
    let count = l.known_int(&count, "`count`", span)?;
    Ok(Value::Net(Rc::new(NetValue::Repeat { net, count })))
}

/// The closure behind a value, for verbs that take one.
pub fn closure(v: &Value, span: Span) -> Result<Rc<Closure>> {
    match v {
        Value::Closure(c) => Ok(c.clone()),
        other => error("coupling.contract", span, format!("expected a closure, found {}", other.kind())),
    }
}
