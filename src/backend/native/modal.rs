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

/// None where the argument of this transform is no product of this kind, or the transform takes none. `whole` says what is a value of its own,
/// behind which nothing is looked for.
pub fn found(f: &Func, node: &Node, whole: impl Fn(Value) -> bool) -> Option<Found> {
    let Op::Irfft { rank, .. } = node.op else { return None };
    let mut v = node.args[0];
    let modes = f.ty(v).shape.get(1..).filter(|m| m.len() == rank)?;
    let mut found = Found { base: v, factors: vec![], modal: Modal::default() };
    // Axes of extent 1 before that of real and imaginary parts.
    let mut lead = 0;
    while !whole(v) {
        if let Some(more) = led(f, v) {
            lead += more;
            v = f.node(v).args[0];
        } else if let Some((factor, rest)) = product(f, v, |axes| !axes.contains(&lead)) {
            found.push(f, factor, lead + 1, modes);
            v = rest;
        } else if let Some((factors, rest)) = rotation(f, v).filter(|_| lead == 0 && !found.modal.turned) {
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
    pub fn push(&mut self, f: &Func, factor: Value, skip: usize, modes: &[usize]) {
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

/// How many axes of extent 1 the argument of this reshape has before those of its result; None where it is something else.
fn led(f: &Func, v: Value) -> Option<usize> {
    let Op::Reshape(to) = &f.node(v).op else { return None };
    let from = &f.ty(f.node(v).args[0]).shape;
    let more = from.len().checked_sub(to.len()).filter(|m| *m > 0)?;
    (from[more..] == to[..] && from[..more].iter().all(|n| *n == 1)).then_some(more)
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
    let ((true, mut re), (false, mut im)) = (unsigned(f, *re), unsigned(f, *im)) else { return None };
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

/// Whether this is the negative of something, which may have been reshaped before or after, and that.
fn unsigned(f: &Func, mut v: Value) -> (bool, Value) {
    let mut negative = false;
    while component(f, v).is_none() {
        match f.node(v).op {
            Op::Unary(Unary::Neg) => negative = !negative,
            Op::Reshape(_) => {}
            _ => break,
        }
        v = f.node(v).args[0];
    }
    (negative, v)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::native::fourier::takes_factors;
    use crate::ir::{Builder, DType, Type};

    /// `F⁻¹(i k m z)` of a spectrum behind an axis of extent 1 times m, with the sign taken before or behind the reshape.
    #[test]
    fn factors_are_found_through_reshapes_and_signs() {
        let (rank, n) = (2, [40, 64]);
        if !takes_factors(&n, rank, DType::F64, 2) {
            return;
        }
        for outside in [false, true] {
            let mut b = Builder::new("slope");
            let (z, k) = (b.input(Type::f64([1, 2, 40, 33])), b.input(Type::f64([40])));
            let m = b.input(Type::f64([1, 40, 33]));
            let k = b.op(Op::Broadcast { shape: vec![40, 33], axes: vec![0] }, &[k]);
            let whole = b.op(Op::Broadcast { shape: vec![1, 2, 40, 33], axes: vec![0, 2, 3] }, &[m]);
            let scaled = b.mul(z, whole);
            let scaled = b.reshape(scaled, &[2, 40, 33]);
            let (x, y) = (b.index(scaled, 0, 0), b.index(scaled, 0, 1));
            let (x, y) = (b.mul(k, x), b.mul(y, k));
            let minus = if outside { y } else { b.neg(y) };
            let [mut re, im] = [minus, x].map(|v| b.reshape(v, &[1, 40, 33]));
            if outside {
                re = b.neg(re);
            }
            let turned = b.concat(&[re, im], 0);
            let slope = b.op(Op::Irfft { rank, n: n[1] }, &[turned]);
            let f = b.finish(vec![slope]);
            let found = found(&f, f.node(f.outputs[0]), |_| false).expect("factors");
            assert_eq!((found.base, &found.factors[..]), (z, &[m, Value(1)][..]));
            assert_eq!(found.modal, Modal { strides: vec![vec![33, 1], vec![1, 0]], turned: true, negative: false });
            let outer = super::found(&f, f.node(f.outputs[0]), |v| v == scaled).expect("a factor");
            assert_eq!((outer.base, &outer.factors[..]), (scaled, &[Value(1)][..]));
        }
    }
}
