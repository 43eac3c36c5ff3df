//! Domains and the indicator fields of phases in them.

use super::{Named, arg, needed};
use crate::base::Span;
use crate::ir::{Binary, Builder, Compare, DType, Op, Reduce, Tensor, Unary, Value as Node};
use crate::lower::Lower;
use crate::lower::domain::Domain;
use crate::lower::error::{Result, error};
use crate::lower::value::{Num, Value};
use std::f64::consts::PI;
use std::rc::Rc;

pub fn call(l: &mut Lower, name: &str, args: &Named, span: Span) -> Option<Result<Value>> {
    Some(match name {
        "interval" => make(l, args, &["range"], span),
        "rect" => make(l, args, &["x", "y"], span),
        "box" => make(l, args, &["x", "y", "z"], span),
        "square" => cube(l, args, 2, span),
        "cube" => cube(l, args, 3, span),
        "circle" => circle(l, args, span),
        "disc" | "ball" => ball(l, args, span),
        "layers" => layers(l, args, span),
        "struts" => struts(l, args, span),
        "checkerboard" => checkerboard(l, args, span),
        "image" => image(l, args, span),
        "crop" => crop(l, args, span),
        _ => return None,
    })
}

fn make(l: &mut Lower, args: &Named, axes: &[&str], span: Span) -> Result<Value> {
    let (mut origin, mut extent) = (vec![], vec![]);
    for name in axes {
        match needed(args, name, span)?.clone() {
            Value::Range(a, b) => {
                let (a, b) = (l.known_real(&a, span)?, l.known_real(&b, span)?);
                origin.push(a);
                extent.push(b - a);
            }
            other => {
                origin.push(0.0);
                extent.push(l.known_real(&other, span)?);
            }
        }
    }
    domain(args, origin, extent, span)
}

fn cube(l: &mut Lower, args: &Named, d: usize, span: Span) -> Result<Value> {
    let side = needed(args, "side", span)?.clone();
    let side = l.known_real(&side, span)?;
    domain(args, vec![0.0; d], vec![side; d], span)
}

fn circle(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let length = needed(args, "length", span)?.clone();
    let length = l.known_real(&length, span)?;
    let d = domain(args, vec![0.0], vec![length], span)?;
    match d {
        Value::Domain(d) => Ok(Value::Domain(Rc::new(Domain { periodic: true, ..(*d).clone() }))),
        other => Ok(other),
    }
}

fn domain(args: &Named, origin: Vec<f64>, extent: Vec<f64>, span: Span) -> Result<Value> {
    if let Some(x) = extent.iter().find(|x| !(**x > 0.0 && x.is_finite())) {
        return error("run.value", span, format!("the extent of a domain must be positive, this is {x}"));
    }
    let periodic = matches!(arg(args, "periodic"), Some(Value::Bool(true)));
    let scale = if let Some(Value::Def(d)) = arg(args, "scale") { Some(*d) } else { None };
    Ok(Value::Domain(Rc::new(Domain { name: String::new(), origin, extent, periodic, scale, length: None })))
}

fn domain_of(args: &Named, span: Span) -> Result<Rc<Domain>> {
    match needed(args, "domain", span)? {
        Value::Domain(d) => Ok(d.clone()),
        other => error("shapes.domains", span, format!("expected a domain, found {}", other.kind())),
    }
}

/// A field from the coordinates and further numbers (or fields over the same domain).
fn indicator(
    l: &mut Lower,
    d: &Rc<Domain>,
    more: &[Value],
    span: Span,
    f: impl FnOnce(&mut Builder, &[Node]) -> Node,
) -> Result<Value> {
    let mut values = vec![Value::Field(l.coordinates(d))];
    values.extend(more.iter().cloned());
    l.pointwise(&values, span, |l, n| {
        let refs: Vec<&Num> = n.iter().collect();
        Ok(l.tracer.build(&refs, f))
    })
}

/// 1 within a radius of the centre; the radius given, or from the fraction of the domain that the ball fills.
fn ball(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let d = domain_of(args, span)?;
    let n = d.dimension();
    let center = match arg(args, "center") {
        Some(c) => {
            let c = c.clone();
            l.num(&c, span)?
        }
        None => Num::Const(Tensor::f64([n], (0..n).map(|a| d.origin[a] + 0.5 * d.extent[a]).collect::<Vec<_>>())),
    };
    // Measure of the unit ball: 2, π, 4π/3.
    let unit = [2.0, PI, 4.0 * PI / 3.0][n - 1];
    let (size, power) = match (arg(args, "radius"), arg(args, "fraction")) {
        (Some(r), None) => (r.clone(), 1.0),
        (None, Some(f)) => {
            let f = l.numeric(&f.clone(), span)?;
            if let Some(x) = f.known() {
                let shortest = d.extent.iter().cloned().fold(f64::INFINITY, f64::min);
                let largest = unit * (0.5 * shortest).powi(n as i32) / d.measure();
                if !(0.0..=largest).contains(&x) {
                    return error(
                        "run.value",
                        span,
                        format!("a ball cannot fill the fraction {x} of this domain; the largest is {largest:.4}"),
                    );
                }
            }
            let factor = Value::num(d.measure() / unit);
            let cubed = l.apply(&crate::sema::hir::Op::Mul, &[f, factor], span)?;
            (cubed, n as f64)
        }
        _ => return error("shapes.arguments", span, "give either `fraction` or `radius`"),
    };
    let size = l.numeric(&size, span)?;
    let period: Vec<f64> = d.extent.clone();
    let periodic = d.periodic;
    indicator(l, &d, &[size, Value::Num(center)], span, |b, v| {
        let mut x = b.sub(v[0], v[2]);
        if periodic {
            // The nearest image of the centre.
            let p = b.constant(Tensor::f64([n], period.clone()));
            let turns = b.div(x, p);
            let half = b.scalar(0.5);
            let shifted = b.add(turns, half);
            let whole = b.unary(Unary::Floor, shifted);
            let back = b.mul(whole, p);
            x = b.sub(x, back);
        }
        let x2 = b.mul(x, x);
        let r2 = b.reduce(Reduce::Sum, x2, &[0]);
        // r < R, compared as r² < R² or, from the fraction, r² < (R^n)^(2/n).
        let exponent = b.scalar(2.0 / power);
        let limit = b.binary(Binary::Pow, v[1], exponent);
        b.compare(Compare::Lt, r2, limit)
    })
}

fn layers(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let d = domain_of(args, span)?;
    let axis = l.known_int(&arg(args, "axis").cloned().unwrap_or(Value::Int(0)), "`axis`", span)?;
    if axis >= d.dimension() {
        return error("shapes.arguments", span, format!("the domain has no axis {axis}; the first is 0"));
    }
    let count = l.known_int(&arg(args, "count").cloned().unwrap_or(Value::Int(1)), "`count`", span)?.max(1);
    let fraction = arg(args, "fraction").cloned().unwrap_or(Value::num(0.5));
    let fraction = l.numeric(&fraction, span)?;
    let (start, step) = (d.origin[axis], d.extent[axis] / count as f64);
    indicator(l, &d, &[fraction], span, |b, v| {
        let x = b.index(v[0], 0, axis);
        let s = b.scalar(start);
        let x = b.sub(x, s);
        let x = b.scale(x, 1.0 / step);
        let whole = b.unary(Unary::Floor, x);
        let part = b.sub(x, whole);
        b.compare(Compare::Lt, part, v[1])
    })
}

/// Bars along every axis through the middle, of a width w (relative to the side) that fills the fraction 1 - (1 - w)².
fn struts(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let d = domain_of(args, span)?;
    let n = d.dimension();
    if n != 2 {
        return error("unsupported.library", span, "`struts` are supported in the plane only");
    }
    let fraction = needed(args, "fraction", span)?.clone();
    let fraction = l.numeric(&fraction, span)?;
    let (origin, extent) = (d.origin.clone(), d.extent.clone());
    indicator(l, &d, &[fraction], span, |b, v| {
        let one = b.scalar(1.0);
        let empty = b.sub(one, v[1]);
        let empty = b.unary(Unary::Sqrt, empty);
        let width = b.sub(one, empty);
        let half = b.scale(width, 0.5);
        let bars: Vec<Node> = (0..n)
            .map(|axis| {
                let x = b.index(v[0], 0, axis);
                let middle = b.scalar(origin[axis] + 0.5 * extent[axis]);
                let x = b.sub(x, middle);
                let x = b.scale(x, 1.0 / extent[axis]);
                let x = b.unary(Unary::Abs, x);
                b.compare(Compare::Lt, x, half)
            })
            .collect();
        b.binary(Binary::Max, bars[0], bars[1])
    })
}

fn checkerboard(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let d = domain_of(args, span)?;
    let count = l.known_int(&arg(args, "count").cloned().unwrap_or(Value::Int(1)), "`count`", span)?.max(1);
    let n = d.dimension();
    let steps: Vec<f64> = d.extent.iter().map(|x| 2.0 * count as f64 / x).collect();
    let origin = d.origin.clone();
    indicator(l, &d, &[], span, |b, v| {
        let (o, s) = (b.constant(Tensor::f64([n], origin)), b.constant(Tensor::f64([n], steps)));
        let x = b.sub(v[0], o);
        let x = b.mul(x, s);
        let whole = b.unary(Unary::Floor, x);
        let sum = b.reduce(Reduce::Sum, whole, &[0]);
        let half = b.scale(sum, 0.5);
        let even = b.unary(Unary::Floor, half);
        let even = b.scale(even, 2.0);
        b.compare(Compare::Eq, sum, even)
    })
}

/// A grey picture over a rectangle, pixel by pixel; its first row is the top.
fn image(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let d = domain_of(args, span)?;
    let data = needed(args, "data", span)?.clone();
    let pixels = l.num(&data, span)?;
    let [rows, columns] = pixels.shape()[..] else {
        return error("shapes.mismatch", span, "a picture is a matrix of grey values");
    };
    if d.dimension() != 2 {
        return error("shapes.domains", span, "a picture covers a domain of two dimensions");
    }
    let (origin, extent) = (d.origin.clone(), d.extent.clone());
    indicator(l, &d, &[Value::Num(pixels)], span, |b, v| {
        let flat = b.reshape(v[1], &[rows * columns]);
        let place = |b: &mut Builder, axis: usize, n: usize| {
            let x = b.index(v[0], 0, axis);
            let o = b.scalar(origin[axis]);
            let x = b.sub(x, o);
            let x = b.scale(x, n as f64 / extent[axis]);
            let x = b.unary(Unary::Floor, x);
            let (low, high) = (b.scalar(0.0), b.scalar(n as f64 - 1.0));
            let x = b.binary(Binary::Max, x, low);
            b.binary(Binary::Min, x, high)
        };
        let (column, up) = (place(b, 0, columns), place(b, 1, rows));
        let top = b.scalar(rows as f64 - 1.0);
        let row = b.sub(top, up);
        let row = b.scale(row, columns as f64);
        let at = b.add(row, column);
        let at = b.op(Op::Cast(DType::Index), &[at]);
        b.gather(flat, at)
    })
}

/// A rectangle of pixels.
fn crop(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let data = needed(args, "data", span)?.clone();
    let data = l.num(&data, span)?;
    let [height, width] = data.shape()[..] else {
        return error("shapes.mismatch", span, "a picture is a matrix of grey values");
    };
    let mut count = |name: &str| -> Result<usize> {
        let v = needed(args, name, span)?.clone();
        l.known_int(&v, name, span)
    };
    let (row, column, rows, columns) = (count("row")?, count("column")?, count("rows")?, count("columns")?);
    if row + rows > height || column + columns > width || rows == 0 || columns == 0 {
        return error(
            "run.data",
            span,
            format!("{rows}×{columns} pixels from ({row}, {column}) do not lie in a picture of {height}×{width}"),
        );
    }
    Ok(Value::Num(l.tracer.build(&[&data], |b, v| {
        let part = b.slice(v[0], 0, row, row + rows);
        b.slice(part, 1, column, column + columns)
    })))
}
