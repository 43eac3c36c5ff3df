//! What the derivatives of a balance law show: linear, symmetric, positive. Identities are tested at random arguments: an identity
//! of rational functions that holds at random arguments holds. [Schwartz 1980]

use super::points::Pointwise;
use crate::ad;
use crate::discretize::{Boundary as Part, Condition};
use crate::ir::{Builder, Func, Op, Tensor};

/// What the derivatives of a balance's functions show.
pub struct Analysis {
    pub linear: bool,
    pub symmetric: bool,
    /// Some coefficient or source depends on the value of the unknown.
    pub reads_value: bool,
}

pub fn analyse(interior: &Func, boundary: &[Part]) -> Analysis {
    // Tangents along u and along ∇u; affine means that they do not read u or ∇u.
    let (by_value, value_present) = directional(interior, 1);
    let (by_gradient, gradient_present) = directional(interior, 2);
    let affine = |f: &Func| f.outputs.is_empty() || !reads_input(f, 1) && !reads_input(f, 2);
    let natural_affine = boundary.iter().all(|p| match &p.condition {
        Condition::Essential { .. } => true,
        Condition::Natural { value, .. } => {
            let mut b = Builder::new("tangent");
            let args: Vec<_> = value.inputs.iter().map(|t| b.input(t.clone())).collect();
            let mut tangents = vec![None; args.len()];
            tangents[1] = Some(b.input(value.inputs[1].clone()));
            let (_, t) = ad::jvp_into(&mut b, value, &args, &tangents);
            let f = b.finish(t.into_iter().flatten().collect());
            f.outputs.is_empty() || !reads_input(&f, 1)
        }
    });
    let linear = affine(&by_value) && affine(&by_gradient) && natural_affine;
    // Symmetric: the flux does not read u, the source does not read ∇u, and ∂flux/∂∇u is symmetric.
    let uncoupled = !value_present[0] && !gradient_present[1];
    let symmetric = uncoupled && gradient_present[0] && symmetric_flux(&by_gradient, interior);
    Analysis { linear, symmetric, reads_value: value_present[0] || value_present[1] }
}

pub fn negated_func(f: &Func) -> Func {
    let mut b = Builder::new(f.name.clone());
    let args: Vec<_> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let out = b.inline(f, &args).into_iter().map(|v| b.neg(v)).collect();
    b.finish(out)
}

pub fn negated(p: Pointwise) -> Pointwise {
    Pointwise { func: negated_func(&p.func), ..p }
}

/// Whether `v · ∂flux/∂∇u v > 0`: the flux points up the gradient, and its matrix would be negative definite.
pub fn negative_flux(interior: &Func) -> bool {
    let (by_gradient, present) = directional(interior, 2);
    if !present[0] || !light(&by_gradient) {
        return false;
    }
    let mut state = 0x1234_5678_9abc_def1u64;
    let args = random_arguments(&by_gradient, &mut state);
    let v = args[interior.inputs.len()].to_f64();
    let Ok(out) = crate::ir::eval::eval(&by_gradient, &args) else { return false };
    v.iter().zip(out[0].to_f64()).map(|(a, b)| a * b).sum::<f64>() > 0.0
}

/// The derivative of (flux, source) along input `along` of the interior function, whose direction is a further input; and
/// which of the two depend on it.
pub fn directional(interior: &Func, along: usize) -> (Func, [bool; 2]) {
    let mut b = Builder::new("tangent");
    let args: Vec<_> = interior.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut tangents = vec![None; args.len()];
    tangents[along] = Some(b.input(interior.inputs[along].clone()));
    let (_, t) = ad::jvp_into(&mut b, interior, &args, &tangents);
    let present = [t[0].is_some(), t[1].is_some()];
    (b.finish(t.into_iter().flatten().collect()), present)
}

/// Whether an output depends on an input.
pub fn reads_input(f: &Func, k: usize) -> bool {
    let mut reads = vec![false; f.nodes.len()];
    for (v, node) in f.values() {
        reads[v.index()] = matches!(node.op, Op::Input(i) if i == k) || node.args.iter().any(|a| reads[a.index()]);
    }
    f.outputs.iter().any(|v| reads[v.index()])
}

/// Whether ⟨w, D v⟩ = ⟨v, D w⟩ for the flux derivative D at random arguments.
pub fn symmetric_flux(by_gradient: &Func, interior: &Func) -> bool {
    if !light(by_gradient) {
        return false;
    }
    let direction = interior.inputs.len();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    (0..3).all(|_| {
        let args = random_arguments(by_gradient, &mut state);
        let v = args[direction].to_f64();
        let w: Vec<f64> = v.iter().map(|_| random(&mut state)).collect();
        let mut with_w = args.clone();
        with_w[direction] = Tensor::f64(args[direction].ty.shape.clone(), w.clone());
        let (Ok(dv), Ok(dw)) = (crate::ir::eval::eval(by_gradient, &args), crate::ir::eval::eval(by_gradient, &with_w))
        else {
            return false;
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let (wdv, vdw) = (dot(&w, &dv[0].to_f64()), dot(&v, &dw[0].to_f64()));
        (wdv - vdw).abs() <= 1e-9 * (wdv.abs() + vdw.abs())
    })
}

/// Cheap enough for the interpreter: no nested solve or loop.
pub fn light(f: &Func) -> bool {
    f.nodes.iter().all(|n| {
        !matches!(n.op, Op::Solve { .. } | Op::LinearSolve { .. } | Op::Scan { .. } | Op::Cond { .. } | Op::Memo { .. })
            && Func::bodies(&n.op).iter().all(|b| light(b))
    })
}

/// Whether two outputs are the same at random arguments; false where that is too much to find out.
pub fn same_outputs(f: &Func) -> bool {
    let mut state = 0x6a09_e667_f3bc_c908u64;
    f.outputs[0] == f.outputs[1]
        || light(f)
            && (0..3).all(|_| {
                let Ok(out) = crate::ir::eval::eval(f, &random_arguments(f, &mut state)) else { return false };
                let (a, b) = (out[0].to_f64(), out[1].to_f64());
                let size = a.iter().chain(&b).fold(0.0f64, |m, x| m.max(x.abs()));
                a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-9 * size)
            })
}

/// s = ±1 with `outputs[0] = s · outputs[1]` at random arguments, if there is one.
pub fn random_ratio(f: &Func) -> Option<f64> {
    let equal = |a: crate::ir::Value, b: crate::ir::Value| a == b;
    if equal(f.outputs[0], f.outputs[1]) {
        return Some(1.0);
    }
    let negated = |v: crate::ir::Value| match &f.node(v).op {
        Op::Unary(crate::ir::Unary::Neg) => Some(f.node(v).args[0]),
        _ => None,
    };
    if negated(f.outputs[0]) == Some(f.outputs[1]) || negated(f.outputs[1]) == Some(f.outputs[0]) {
        return Some(-1.0);
    }
    if !light(f) {
        return None;
    }
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut sign = None;
    for _ in 0..3 {
        let args = random_arguments(f, &mut state);
        let out = crate::ir::eval::eval(f, &args).ok()?;
        let (a, b) = (out[0].to_f64(), out[1].to_f64());
        let size: f64 = a.iter().chain(&b).map(|x| x.abs()).fold(0.0, f64::max);
        let close = |s: f64| a.iter().zip(&b).all(|(a, b)| (a - s * b).abs() <= 1e-9 * size);
        let s = if close(1.0) {
            1.0
        } else if close(-1.0) {
            -1.0
        } else {
            return None;
        };
        if sign.is_some_and(|t| t != s) || size == 0.0 {
            return None;
        }
        sign = Some(s);
    }
    sign
}

pub fn random(state: &mut u64) -> f64 {
    // xorshift64* [Vigna 2016]; in [0.5, 1.5): away from the zeros of logarithms and denominators.
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    0.5 + (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
}

pub fn random_arguments(f: &Func, state: &mut u64) -> Vec<Tensor> {
    f.inputs
        .iter()
        .map(|t| match t.dtype {
            crate::ir::DType::Index => Tensor::zeros(t),
            _ => Tensor::f64(t.shape.clone(), (0..t.len()).map(|_| random(state)).collect::<Vec<_>>()),
        })
        .collect()
}
