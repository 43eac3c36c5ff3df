//! What bounds an explicit step of central differences: how fast waves cross cells and how fast what diffuses leaves them.

use super::stencil::{Stencil, central, from_faces, to_faces};
use super::{central::slopes, check, coordinate, data_input, shared_inputs, spread};
use crate::ad::jvp_into;
use crate::discretize::conservation::{over_points, speeds};
use crate::discretize::{Balance, Mesh, Refusal};
use crate::ir::{Binary, Builder, Func, Op, Type, Unary, Value};
use std::f64::consts::PI;

/// Bounds of the eigenvalues of the rates.
pub struct Limits {
    /// `(u[c, n…], data…[N, …], shared…) → ([n…], [n…])`: at each point, of those on the imaginary and of those on the negative real axis, in
    /// 1/s. What couples neighbouring points is frozen there.
    pub func: Func,
    /// Whether there are waves.
    pub carries: bool,
}

/// Errors: derivatives beyond the second, an equation whose pointwise part holds solves or loops.
pub fn limits(balance: &Balance, mesh: &Mesh, order: usize, staggered: bool) -> Result<Limits, Refusal> {
    check(balance)?;
    balance.first_order()?;
    let (c, d) = (balance.components, mesh.dimension());
    let mut b = Builder::new("limits");
    let u = b.input(Type::f64([&[c], &mesh.cells[..]].concat()));
    let data: Vec<Vec<Value>> = balance.point_data.iter().map(|ty| data_input(&mut b, ty, &mesh.cells)).collect();
    let shared = shared_inputs(&mut b, balance);
    let gradient = b.inline(&slopes(c, mesh, order), &[u])[0];
    let mut gradients = vec![];
    for k in 0..c {
        let of = b.index(gradient, 0, k);
        gradients.extend((0..d).map(|a| b.index(of, 0, a)).collect::<Vec<_>>());
    }
    let zero = b.scalar(0.0);
    let x = (0..d).map(|a| coordinate(&mut b, mesh, &mesh.cells, a, 0.0)).collect();
    let values = (0..c).map(|k| b.index(u, 0, k)).collect();
    let args: Vec<Vec<Value>> = [vec![zero; c], x, values, gradients].into_iter().chain(data).chain(shared).collect();

    let spacing = |a: usize| mesh.extent[a] / mesh.cells[a] as f64;
    let halfway = largest(&[&from_faces(order, 1.0)], 0.5);
    let first = match staggered {
        true => halfway,
        false => largest(&[&to_faces(order, 0, 1.0), &from_faces(order, 1.0)], 0.5)
            .max(largest(&[&central(order, 1, 1.0)], 0.0)),
    };
    let (mut waves, mut decay) = (zero, zero);
    let mut carries = false;
    let add = |b: &mut Builder, sum: &mut Value, part: &Part, weight: f64| {
        let Some(law) = along(&balance.interior, part) else { return false };
        let found = over_points(b, &speeds(&law, c), &args);
        let (low, high) = (found[0][0], found[1][0]);
        let size = match part {
            // What grows by itself bounds no step.
            Part::Source => b.binary(Binary::Max, high, zero),
            _ => {
                let [low, high] = [low, high].map(|v| b.unary(Unary::Abs, v));
                b.binary(Binary::Max, low, high)
            }
        };
        let rate = b.scale(size, weight);
        *sum = b.add(*sum, rate);
        true
    };
    for a in 0..d {
        carries |= add(&mut b, &mut waves, &Part::Carried(a), first / spacing(a));
        for other in 0..d {
            let symbol = if a == other { halfway * halfway } else { first * first };
            add(&mut b, &mut decay, &Part::Diffused(a, other), symbol / (spacing(a) * spacing(other)));
        }
    }
    add(&mut b, &mut decay, &Part::Source, 1.0);
    let out = [waves, decay].map(|v| spread(&mut b, v, &mesh.cells));
    Ok(Limits { func: b.finish(out.to_vec()), carries })
}

/// A part of the linearised law.
enum Part {
    /// What the unknowns carry along an axis, in the flux or as derivatives in the source.
    Carried(usize),
    /// The flux along an axis by the gradient along another.
    Diffused(usize, usize),
    Source,
}

/// `(v[c], x, u, ∇u, …) → [c]`, linear in v; none if it is zero.
fn along(f: &Func, part: &Part) -> Option<Func> {
    let (c, d) = (f.inputs[1].shape[0], f.inputs[2].shape[1]);
    let mut b = Builder::new("linearised");
    let v = b.input(f.inputs[1].clone());
    let args: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let wide = b.op(Op::Broadcast { shape: vec![c, d], axes: vec![0] }, &[v]);
    let at = |b: &mut Builder, axis: usize| {
        let axes: Vec<f64> = (0..c * d).map(|i| f64::from(u8::from(i % d == axis))).collect();
        let axes = b.constant(crate::ir::Tensor::f64([c, d], axes));
        b.mul(wide, axes)
    };
    let slope = |b: &mut Builder, input: usize, direction: Value, output: usize| {
        let mut tangents = vec![None; args.len()];
        tangents[input] = Some(direction);
        jvp_into(b, f, &args, &tangents).1[output].filter(|t| b.splat(*t) != Some(0.0))
    };
    let out = match *part {
        Part::Carried(a) => {
            let flux = slope(&mut b, 1, v, 0).map(|t| b.index(t, 1, a));
            let direction = at(&mut b, a);
            let source = slope(&mut b, 2, direction, 1);
            match (flux, source) {
                (Some(x), Some(y)) => Some(b.add(x, y)),
                (x, y) => x.or(y),
            }
        }
        Part::Diffused(a, other) => {
            let direction = at(&mut b, other);
            slope(&mut b, 2, direction, 0).map(|t| b.index(t, 1, a))
        }
        Part::Source => slope(&mut b, 1, v, 1),
    };
    out.filter(|t| b.splat(*t) != Some(0.0)).map(|t| b.finish(vec![t]))
}

/// The largest absolute value of a product of stencils on spacing 1 over all waves; `shift` moves their points to where they are.
fn largest(stencils: &[&Stencil], shift: f64) -> f64 {
    let symbol = |s: &Stencil, phase: f64, shift: f64| {
        let terms = s.iter().map(|(k, w)| ((*k as f64 + shift) * phase, w));
        terms.fold((0.0, 0.0), |(re, im), (angle, w)| (re + w * angle.cos(), im + w * angle.sin()))
    };
    (1..=256)
        .map(|k| {
            let phase = PI * k as f64 / 256.0;
            stencils.iter().map(|s| symbol(s, phase, shift)).map(|(re, im)| re.hypot(im)).product::<f64>()
        })
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest of 2 sin(θ/2), 9/4 sin(θ/2) - 1/12 sin(3θ/2) and sin θ.
    #[test]
    fn symbols_are_those_of_the_stencils() {
        assert!((largest(&[&from_faces(2, 1.0)], 0.5) - 2.0).abs() < 1e-12);
        assert!((largest(&[&from_faces(4, 1.0)], 0.5) - 7.0 / 3.0).abs() < 1e-12);
        assert!((largest(&[&central(2, 1, 1.0)], 0.0) - 1.0).abs() < 1e-12);
    }
}
