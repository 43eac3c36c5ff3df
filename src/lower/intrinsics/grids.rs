//! Fields as arrays over their grid and back, their modes.

use super::{Named, needed};
use crate::base::Span;
use crate::discretize::{Mesh, Space};
use crate::ir::{Binary, Op, Tensor, Type, fourier};
use crate::lower::Lower;
use crate::lower::error::{Result, error, error_help};
use crate::lower::functional::Cells;
use crate::lower::value::{Discrete, Field, Leaf, Num, Value};
use std::f64::consts::TAU;
use std::rc::Rc;

pub fn call(l: &mut Lower, name: &str, args: &Named, span: Span) -> Option<Result<Value>> {
    Some(match name {
        "values" => values(l, args, span),
        "gridded" => gridded(l, args, span),
        "spectrum" => spectrum(l, args, span),
        "filter" => filter(l, args, span),
        "stable" => stable(l, args, span),
        "convolve" => crate::lower::convolution::convolve(l, args, span),
        _ => return None,
    })
}

/// For each item of a list, or the one value.
fn each(
    l: &mut Lower,
    args: &Named,
    span: Span,
    mut f: impl FnMut(&mut Lower, &Field) -> Result<Value>,
) -> Result<Value> {
    match needed(args, "u", span)?.clone() {
        list @ (Value::List(_) | Value::Stack(_)) => {
            let items = l.items(&list, span)?;
            let out = items.iter().map(|i| l.field(i, span).and_then(|u| f(l, &u))).collect::<Result<_>>()?;
            Ok(Value::list(out))
        }
        one => {
            let field = l.field(&one, span)?;
            f(l, &field)
        }
    }
}

fn values(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    each(l, args, span, |l, u| Ok(Value::Num(l.nodal_values(u, span)?.0)))
}

/// A field by its values at the centres of the cells.
fn gridded(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let Value::Domain(domain) = needed(args, "domain", span)?.clone() else {
        return error("shapes.domains", span, "`gridded` takes a domain, then the values");
    };
    let values = needed(args, "values", span)?.clone();
    let values = l.num(&values, span)?;
    let d = domain.dimension();
    if values.shape().len() < d {
        return error_help(
            "shapes.mismatch",
            span,
            format!("values with {} indices on a domain of {d} dimensions", values.shape().len()),
            "one index along each axis of the domain, those of a vector or tensor after them",
        );
    }
    let (cells, shape) = values.shape().split_at(d);
    let (cells, shape) = (cells.to_vec(), shape.to_vec());
    let element = crate::discretize::Element::default_of(d);
    let mesh = Mesh::new(element, &domain.origin, &domain.extent, &cells, &vec![domain.periodic; d]);
    let mesh = mesh.map_err(|r| crate::lower::functional::refused(r, span))?;
    let space = l.space(mesh, 0, span)?;
    let flat = [&[space.node_count()], &shape[..]].concat();
    let dofs = l.tracer.build(&[&values], |b, v| b.reshape(v[0], &flat));
    let id = l.tracer.fresh();
    Ok(Value::Field(l.discrete_field(&domain, Discrete { space, dofs, slopes: None, shape, id })))
}

/// Energy by wave number; of a list the mean.
fn spectrum(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let all = each(l, args, span, |l, u| {
        let (u, mesh) = l.periodic_values(u, span)?;
        Ok(Value::Num(energy(l, &u, &mesh)))
    })?;
    let Value::List(items) = &all else { return Ok(all) };
    let parts: Vec<Num> = items.iter().map(|i| l.num(i, span)).collect::<Result<_>>()?;
    let refs: Vec<&Num> = parts.iter().collect();
    Ok(Value::Num(l.tracer.build(&refs, |b, v| {
        let sum = v[1..].iter().fold(v[0], |sum, x| b.add(sum, *x));
        b.scale(sum, 1.0 / v.len() as f64)
    })))
}

/// `E(k) = Σ ½|û|²` over the shell `|k| - ½ ≤ |m| < |k| + ½`, m in waves a side; their sum is half the mean square.
fn energy(l: &mut Lower, u: &Num, mesh: &Mesh) -> Num {
    let cells = mesh.cells.clone();
    let (d, last) = (cells.len(), cells[cells.len() - 1]);
    let mut modes = cells.clone();
    modes[d - 1] = last / 2 + 1;
    let count: usize = modes.iter().product();
    let weights = fourier::multiplicity(last);
    let shells = cells.iter().max().expect("compiler bug: no axis") / 2 + 1;
    let total: f64 = cells.iter().product::<usize>() as f64;
    let (mut shell, mut weight) = (vec![], vec![]);
    for mut k in 0..count {
        let mut square = 0.0;
        let mut w = 0.0;
        for a in (0..d).rev() {
            let i = k % modes[a];
            k /= modes[a];
            if a + 1 == d {
                w = weights[i];
            }
            let m = if a + 1 < d && 2 * i > cells[a] { cells[a] - i } else { i } as f64;
            square += m * m;
        }
        shell.push(square.sqrt().round() as u32);
        weight.push(0.5 * w / (total * total));
    }
    l.tracer.build(&[u], |b, v| {
        let z = b.op(Op::Rfft { rank: d }, &[v[0]]);
        let flat = b.reshape(z, &[2, count]);
        let squares = b.mul(flat, flat);
        let (re, im) = (b.index(squares, 0, 0), b.index(squares, 0, 1));
        let sum = b.add(re, im);
        let weight = b.constant(Tensor::f64([count], weight));
        let each = b.mul(sum, weight);
        let most = shell.iter().max().map_or(0, |m| *m as usize + 1).max(shells);
        let index = b.constant(Tensor::index([count], shell));
        let all = b.scatter_add(most, index, each);
        b.slice(all, 0, 0, shells)
    })
}

/// The field that the modes of n points a side make.
fn filter(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let n = needed(args, "n", span)?.clone();
    let n = l.known_int(&n, "`n`", span)?;
    each(l, args, span, |l, u| {
        let (values, mesh) = l.periodic_values(u, span)?;
        let coarse = l.mesh(&u.domain.clone(), None, &Cells::Count(n), span)?;
        if coarse.cells.iter().zip(&mesh.cells).any(|(c, f)| c > f) {
            return error("run.value", span, format!("the field has fewer than {n} points a side"));
        }
        let space = l.space(coarse.clone(), 0, span)?;
        let dofs = coarsened(l, &values, &mesh, &coarse);
        let id = l.tracer.fresh();
        Ok(Value::Field(l.discrete_field(&u.domain, Discrete { space, dofs, slopes: None, shape: vec![], id })))
    })
}

fn coarsened(l: &mut Lower, values: &Num, fine: &Mesh, coarse: &Mesh) -> Num {
    let d = fine.cells.len();
    l.tracer.build(&[values], |b, v| {
        let z = b.op(Op::Rfft { rank: d }, &[v[0]]);
        let mut parts = [b.index(z, 0, 0), b.index(z, 0, 1)];
        for a in 0..d {
            let (n, half) = (coarse.cells[a], a + 1 == d);
            let low = n.div_ceil(2);
            let high = if half { 0 } else { low - 1 };
            let kept = if half { n / 2 + 1 } else { n };
            // The first points of both grids differ: modes are turned.
            let shift = 0.5 * (1.0 / n as f64 - 1.0 / fine.cells[a] as f64);
            let angles = |i: usize| {
                let m = if i < low { i as f64 } else { i as f64 - kept as f64 };
                TAU * m * shift
            };
            parts = parts.map(|p| {
                let all = b.ty(p).shape[a];
                let mut shape = b.ty(p).shape.clone();
                shape[a] = kept - low - high;
                let mut pieces = vec![b.slice(p, a, 0, low)];
                if shape[a] > 0 {
                    pieces.push(b.zeros(&Type::f64(shape)));
                }
                if high > 0 {
                    pieces.push(b.slice(p, a, all - high, all));
                }
                b.concat(&pieces, a)
            });
            let shape = b.ty(parts[0]).shape.clone();
            let mut along = |f: fn(f64) -> f64| {
                let t = Tensor::f64([kept], (0..kept).map(|i| f(angles(i))).collect::<Vec<_>>());
                let t = b.constant(t);
                b.op(Op::Broadcast { shape: shape.clone(), axes: vec![a] }, &[t])
            };
            let (cos, sin) = (along(f64::cos), along(f64::sin));
            let (rc, is) = (b.mul(parts[0], cos), b.mul(parts[1], sin));
            let (rs, ic) = (b.mul(parts[0], sin), b.mul(parts[1], cos));
            parts = [b.sub(rc, is), b.add(rs, ic)];
        }
        let z = b.stack(&parts, 0);
        let back = b.op(Op::Irfft { rank: d, n: coarse.cells[d - 1] }, &[z]);
        let flat = b.reshape(back, &[coarse.cell_count()]);
        b.scale(flat, 1.0 / fine.cell_count() as f64)
    })
}

/// 1 where every value is a finite number.
fn stable(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let all = each(l, args, span, |l, u| {
        let (values, _) = l.nodal_values(u, span)?;
        Ok(Value::Num(l.tracer.build(&[&values], |b, v| {
            // x - x is 0, or not a number.
            let zero = b.binary(Binary::Sub, v[0], v[0]);
            let none = b.zeros_like(zero);
            let finite = b.compare(crate::ir::Compare::Eq, zero, none);
            let axes: Vec<usize> = (0..b.ty(finite).rank()).collect();
            b.reduce(crate::ir::Reduce::Min, finite, &axes)
        })))
    })?;
    let Value::List(items) = &all else { return Ok(all) };
    let mut least = Value::num(1.0);
    for item in items.iter() {
        least = l.apply(&crate::sema::hir::Op::Mul, &[least, item.clone()], span)?;
    }
    Ok(least)
}

impl Lower<'_> {
    /// A field's values at the nodes of its grid, `[n along each axis…, shape…]`, and the space they belong to.
    fn nodal_values(&mut self, u: &Field, span: Span) -> Result<(Num, Rc<Space>)> {
        let space = self.space_of(u, span)?;
        let shape = [&space.points[..], u.shape()].concat();
        let plain = match &u.leaves[..] {
            [Leaf::Discrete { field, gradient: false }] if u.func.nodes.len() == 1 => Some(field.dofs.clone()),
            _ => None,
        };
        let flat = match plain {
            Some(dofs) => dofs,
            None => self.field_at_points(u, &Num::Const(space.node_coordinates()), span)?,
        };
        if flat.ty().len() != shape.iter().product::<usize>() {
            return Ok((flat, space));
        }
        Ok((self.tracer.build(&[&flat], |b, v| b.reshape(v[0], &shape)), space))
    }

    /// The same of a scalar field on a periodic grid of cells.
    fn periodic_values(&mut self, u: &Field, span: Span) -> Result<(Num, Mesh)> {
        let (values, space) = self.nodal_values(u, span)?;
        if !u.domain.periodic || space.order != 0 || !u.shape().is_empty() {
            return error_help(
                "run.value",
                span,
                "modes are those of a scalar field on a periodic grid",
                "use a periodic domain and a scheme on a grid, `spectral` or `fd`; of a vector take a component",
            );
        }
        Ok((values, space.mesh.clone()))
    }
}
