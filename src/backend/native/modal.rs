//! Real factors and i before a transform back ([`Modal`]): derivatives of a spectrum, a stream function of a vorticity. A transform that
//! takes many lines at once multiplies modes as it reads them, and products are never stored.

use super::fourier::{Modal, takes_factors};
use crate::ir::{Binary, Func, Node, Op, Unary, Value};

/// What is transformed, the arrays of its factors, and how they lie along the modes.
pub struct Found {
    pub base: Value,
    pub factors: Vec<Value>,
    pub modal: Modal,
}

/// None where the argument of this transform is no product of this kind, or the transform takes none.
pub fn found(f: &Func, node: &Node) -> Option<Found> {
    let Op::Irfft { rank, .. } = node.op else { return None };
    let mut v = node.args[0];
    let modes = f.ty(v).shape.get(1..).filter(|m| m.len() == rank)?;
    let mut found = Found { base: v, factors: vec![], modal: Modal::default() };
    loop {
        if let Some((factor, rest)) = product(f, v, |axes| !axes.contains(&0)) {
            found.push(f, factor, 1, modes);
            v = rest;
        } else if let Some((factors, rest)) = rotation(f, v).filter(|_| !found.modal.turned) {
            found.modal.turned = true;
            factors.into_iter().for_each(|factor| found.push(f, factor, 0, modes));
            v = rest;
        } else {
            break;
        }
    }
    found.base = v;
    // The innermost is multiplied first.
    found.factors.reverse();
    found.modal.strides.reverse();
    let ty = &node.types[0];
    let any = found.modal.turned || !found.factors.is_empty();
    (any && takes_factors(&ty.shape, rank, ty.dtype, found.factors.len())).then_some(found)
}

impl Found {
    /// One more factor, over the modes behind so many axes.
    fn push(&mut self, f: &Func, factor: Value, skip: usize, modes: &[usize]) {
        let (mut v, mut axes): (Value, Vec<usize>) = (factor, (0..f.ty(factor).rank()).collect());
        while let Op::Broadcast { axes: to, .. } = &f.node(v).op {
            axes = to.iter().map(|&a| axes[a]).collect();
            v = f.node(v).args[0];
        }
        let mut strides = vec![0; modes.len()];
        let mut apart = 1;
        for (&axis, &n) in axes.iter().zip(&f.ty(v).shape).rev() {
            if n > 1 {
                strides[axis - skip] = apart;
            }
            apart *= n;
        }
        self.factors.push(v);
        self.modal.strides.push(strides);
    }
}

/// A product with a factor that is the same along some axes, as `along` asks of those that it has.
fn product(f: &Func, v: Value, along: impl Fn(&[usize]) -> bool) -> Option<(Value, Value)> {
    let node = f.node(v);
    let is_factor = |a: Value| matches!(&f.node(a).op, Op::Broadcast { axes, .. } if along(axes));
    match node.op {
        Op::Binary(Binary::Mul) if is_factor(node.args[0]) => Some((node.args[0], node.args[1])),
        Op::Binary(Binary::Mul) if is_factor(node.args[1]) => Some((node.args[1], node.args[0])),
        _ => None,
    }
}

/// `[-(k y), k x]` of `[x, y]`: the factors k and what is turned.
fn rotation(f: &Func, v: Value) -> Option<(Vec<Value>, Value)> {
    let node = f.node(v);
    let (Op::Concat(0), [re, im]) = (&node.op, &node.args[..]) else { return None };
    let inner = |v: Value| matches!(f.node(v).op, Op::Reshape(_)).then(|| f.node(v).args[0]);
    let (re, mut im) = (inner(*re)?, inner(*im)?);
    let Op::Unary(Unary::Neg) = f.node(re).op else { return None };
    let mut re = f.node(re).args[0];
    let mut factors = vec![];
    loop {
        if let (Some((z, 1)), Some((w, 0))) = (component(f, re), component(f, im)) {
            return (z == w).then_some((factors, z));
        }
        let (Op::Binary(Binary::Mul), Op::Binary(Binary::Mul)) = (&f.node(re).op, &f.node(im).op) else { return None };
        let (y, x) = (&f.node(re).args, &f.node(im).args);
        let common = y.iter().find(|a| x.contains(a))?;
        let other = |args: &[Value]| args.iter().copied().find(|a| a != common);
        (re, im) = (other(y)?, other(x)?);
        factors.push(*common);
    }
}

/// One of the two parts of a spectrum.
fn component(f: &Func, v: Value) -> Option<(Value, usize)> {
    let node = f.node(v);
    let Op::Reshape(to) = &node.op else { return None };
    let slice = f.node(node.args[0]);
    let Op::Slice { start, end, .. } = &slice.op else { return None };
    let from = &f.ty(slice.args[0]).shape;
    let one = from.len() == to.len() + 1
        && from[0] == 2
        && end[0] == start[0] + 1
        && (1..from.len()).all(|a| start[a] == 0 && end[a] == from[a]);
    (one && to[..] == from[1..]).then(|| (slice.args[0], start[0]))
}
