//! Long loops cut into segments, so that their derivatives need memory for few states instead of for all steps.

use super::split::{Residual, Split, depends};
use crate::ir::{Builder, Func, Op, Type, Value};
use std::sync::Arc;

/// What a loop may save before it is cut into segments, in bytes.
const MOST: usize = 8 << 20;
/// What a loop may save at any rate.
const SMALL: usize = 1 << 20;
/// Loops of fewer steps are left alone.
const FEWEST: usize = 64;

/// Steps of a segment; 0 where nothing is to be gained. So many that fewest states are kept at a time: one a segment, those of one
/// segment, and those of the steps that are left over.
pub fn segment(length: usize, saved: usize) -> usize {
    if length < FEWEST || saved <= MOST {
        return 0;
    }
    let root = length.isqrt();
    let kept = |segment: usize| length / segment + segment + length % segment;
    // Of equal ones the longest: what is done once a segment is done least often.
    (root / 2..=2 * root).rev().min_by_key(|s| kept(*s)).expect("compiler bug: no length of a segment")
}

/// Whether the linear part of a loop does better to compute a step again from the state before it than to read what the step
/// saved: where that is more than the state, and the step only moves and combines elements.
pub fn again(parts: &Split, linear: &[bool], dims: (usize, usize, usize, bool)) -> bool {
    let (length, carry, xs, _) = dims;
    let size = |ty: &Type| ty.len() * ty.dtype.size();
    let inputs = &parts.known.inputs;
    let carried = (0..carry).filter(|&k| !linear[k]).count();
    let state: usize = inputs[..carried].iter().map(size).sum();
    let varies: Vec<bool> = (0..linear.len()).filter(|&k| !linear[k]).map(|k| k < carry + xs).collect();
    let saved = parts.known.outputs[parts.known_outputs()..].iter();
    let saved: usize = saved.filter(|v| depends(&parts.known, **v, &varies)).map(|v| size(parts.known.ty(*v))).sum();
    let light = |op: &Op| {
        matches!(
            op,
            Op::Input(_)
                | Op::Const(_)
                | Op::Iota { .. }
                | Op::Unary(_)
                | Op::Binary(_)
                | Op::Compare(_)
                | Op::Select
                | Op::Cast(_)
                | Op::Reshape(_)
                | Op::Transpose(_)
                | Op::Broadcast { .. }
                | Op::Slice { .. }
                | Op::Concat(_)
                | Op::Reverse(_)
                | Op::Roll { .. }
                | Op::Pad { .. }
                | Op::Rfft { .. }
                | Op::Irfft { .. }
        )
    };
    state > 0 && saved > state && saved.saturating_mul(length) > SMALL && parts.known.nodes.iter().all(|n| light(&n.op))
}

/// A loop as a loop over segments, and one over the steps that are left.
pub struct Cut {
    pub parts: Vec<Part>,
    pub reverse: bool,
}

pub struct Part {
    pub body: Func,
    pub dims: (usize, usize, usize, bool),
    /// Its linear part computes again what it needs.
    pub again: bool,
    carry: usize,
    /// For each split argument its items, and how they are grouped.
    items: Vec<(Vec<Op>, usize)>,
    steps: usize,
}

impl Cut {
    pub fn new(body: &Func, (length, carry, xs, reverse): (usize, usize, usize, bool), segment: usize) -> Cut {
        let segments = length / segment;
        let (whole, left) = (segments * segment, length % segment);
        // The steps that are done first come first in the arguments, or last in a loop that goes backwards.
        let first = if reverse { left..length } else { 0..whole };
        let rest = if reverse { 0..left } else { whole..length };
        let items = |range: std::ops::Range<usize>, groups: Option<usize>| {
            let of = |ty: &Type| {
                let start: Vec<usize> = std::iter::once(range.start).chain(ty.shape.iter().map(|_| 0)).collect();
                let end: Vec<usize> = std::iter::once(range.end).chain(ty.shape.iter().copied()).collect();
                let stride = vec![1; start.len()];
                let mut ops = vec![Op::Slice { start, end, stride }];
                if let Some(groups) = groups {
                    ops.push(Op::Reshape([&[groups, range.len() / groups], &ty.shape[..]].concat()));
                }
                (ops, range.len())
            };
            body.inputs[carry..carry + xs].iter().map(of).collect::<Vec<_>>()
        };
        let mut outer = Builder::new(format!("segment of {}", body.name));
        let inputs: Vec<Value> = body
            .inputs
            .iter()
            .enumerate()
            .map(|(k, ty)| {
                let split = (carry..carry + xs).contains(&k);
                let shape = if split { [&[segment], &ty.shape[..]].concat() } else { ty.shape.clone() };
                outer.input(Type::new(ty.dtype, shape))
            })
            .collect();
        let op = Op::Scan { body: Arc::new(body.clone()), length: segment, carry, xs, reverse };
        let out = outer.ops(op, &inputs);
        let dims = (segments, carry, xs, reverse);
        let outer = outer.finish(out);
        let mut parts =
            vec![Part { body: outer, dims, again: true, carry, items: items(first, Some(segments)), steps: whole }];
        if left > 0 {
            let dims = (left, carry, xs, reverse);
            parts.push(Part { body: body.clone(), dims, again: false, carry, items: items(rest, None), steps: left });
        }
        Cut { parts, reverse }
    }
}

impl Part {
    /// What makes this part's argument of the loop's; None: it is the same.
    pub fn of_argument(&self, k: usize) -> Option<&[Op]> {
        self.items.get(k.checked_sub(self.carry)?).map(|(ops, _)| &ops[..])
    }

    /// Brings a stacked result back to one row a step.
    pub fn to_rows(&self, body: &Func, output: usize) -> Op {
        Op::Reshape([&[self.steps], &body.ty(body.outputs[output]).shape[..]].concat())
    }
}

/// The same parts, but nothing is saved except the state: the linear part computes the rest from it.
pub fn computed_again(parts: Split, linear: &[bool], carry: usize) -> Split {
    let known: Vec<usize> = (0..linear.len()).filter(|&k| !linear[k]).collect();
    let kept = parts.known_outputs();
    let mut residuals = vec![];
    let mut states = vec![];
    for (place, &k) in known.iter().enumerate() {
        if k < carry {
            states.push(place);
            residuals.push(Residual::Saved(states.len() - 1));
        } else {
            residuals.push(Residual::Input(k));
        }
    }
    let mut b = Builder::new(parts.known.name.clone());
    let inputs: Vec<Value> = parts.known.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut out = b.inline(&parts.known, &inputs);
    out.truncate(kept);
    out.extend(states.iter().map(|&p| inputs[p]));
    let known = b.finish(out);

    let mut b = Builder::new(parts.linear.name.clone());
    let inputs: Vec<Value> = parts.known.inputs.iter().map(|t| b.input(t.clone())).collect();
    let linear_inputs: Vec<Value> =
        parts.linear.inputs[parts.residuals.len()..].iter().map(|t| b.input(t.clone())).collect();
    let made = b.inline(&parts.known, &inputs);
    let place = |k: usize| linear[..k].iter().filter(|l| !**l).count();
    let mut args: Vec<Value> = parts
        .residuals
        .iter()
        .map(|r| match *r {
            Residual::Input(k) => inputs[place(k)],
            Residual::Saved(j) => made[kept + j],
        })
        .collect();
    args.extend(linear_inputs);
    let out = b.inline(&parts.linear, &args);
    Split { known, linear: b.finish(out), linear_output: parts.linear_output, residuals }
}
