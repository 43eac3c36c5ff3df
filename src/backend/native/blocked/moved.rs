//! Operations that only move elements: where each is found.

use crate::backend::native::fuse::{self, unit_axes};
use crate::backend::native::nest::Affine;
use crate::ir::{Func, Op, Value};

/// Where an element of a result is found in an argument.
pub enum Moved {
    To(Vec<Affine>),
    Unread,
}

/// The shift of a roll by the shorter way around.
fn shift(n: usize, shift: isize) -> isize {
    let n = n as isize;
    let k = shift.rem_euclid(n);
    if 2 * k > n { k - n } else { k }
}

/// The index into argument k that belongs to an index into the result; ends of axes are not looked at.
pub fn moved(f: &Func, v: Value, k: usize, at: &[Affine], loops: usize) -> Moved {
    let node = f.node(v);
    let from = &f.ty(node.args[k]).shape;
    Moved::To(match &node.op {
        Op::Reshape(to) if unit_axes(from, to).is_none() => return Moved::Unread,
        Op::Transpose(_) | Op::Broadcast { .. } | Op::Slice { .. } | Op::Reverse(_) | Op::Reshape(_) => {
            fuse::moved(&node.op, from, at, loops)
        }
        Op::Pad { low, .. } => (0..at.len()).map(|i| at[i].scaled(1, -(low[i] as isize))).collect(),
        Op::Concat(axis) => {
            let start: usize = node.args[..k].iter().map(|a| f.ty(*a).shape[*axis]).sum();
            let mut out = at.to_vec();
            out[*axis] = at[*axis].scaled(1, -(start as isize));
            let constant = out[*axis].steps.iter().all(|s| *s == 0);
            if constant && !(0..from[*axis] as isize).contains(&out[*axis].offset) {
                return Moved::Unread;
            }
            out
        }
        Op::Roll { axis, shift: s } => {
            let mut out = at.to_vec();
            out[*axis] = at[*axis].scaled(1, -shift(from[*axis], *s));
            out
        }
        _ => at.to_vec(),
    })
}

/// What only moves elements, or says where they are.
pub fn moves(f: &Func, v: Value) -> bool {
    let node = f.node(v);
    match &node.op {
        Op::Reshape(to) => unit_axes(&f.ty(node.args[0]).shape, to).is_some(),
        Op::Iota { dtype, .. } => dtype.is_float(),
        Op::Transpose(_)
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Concat(_)
        | Op::Reverse(_)
        | Op::Roll { .. } => node.types[0].dtype.is_float(),
        Op::Pad { interior, .. } => interior.iter().all(|&k| k == 0),
        _ => false,
    }
}
