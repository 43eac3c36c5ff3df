//! The identities that hold for any value: what is built never needs a pass to remove it.

use super::super::{Binary, DType, Node, Op, Reduce, Type, Unary, Value, eval};
use super::Builder;

impl Builder {
    /// A node that already equals this one.
    pub(super) fn identity(&mut self, op: &Op, args: &[Value], ty: &Type) -> Option<Value> {
        let splat = |b: &Builder, i: usize| b.splat(args[i]);
        match op {
            Op::Binary(Binary::Add) => match (splat(self, 0), splat(self, 1)) {
                (Some(0.0), _) => Some(args[1]),
                (_, Some(0.0)) => Some(args[0]),
                _ => None,
            },
            Op::Binary(Binary::Sub) => match (splat(self, 0), splat(self, 1)) {
                (_, Some(0.0)) => Some(args[0]),
                (Some(0.0), _) => Some(self.neg(args[1])),
                _ => None,
            },
            Op::Binary(Binary::Mul) => match (splat(self, 0), splat(self, 1)) {
                (Some(1.0), _) => Some(args[1]),
                (_, Some(1.0)) => Some(args[0]),
                // 0·x = 0 here also for x = ∞: derivatives of branches not taken must not poison sums.
                (Some(0.0), _) | (_, Some(0.0)) => Some(self.zeros(ty)),
                (Some(-1.0), _) => Some(self.neg(args[1])),
                (_, Some(-1.0)) => Some(self.neg(args[0])),
                _ => None,
            },
            Op::Binary(Binary::Div) => match (splat(self, 0), splat(self, 1)) {
                (_, Some(1.0)) => Some(args[0]),
                (Some(0.0), _) => Some(args[0]),
                _ => None,
            },
            Op::Binary(Binary::Pow) => match splat(self, 1) {
                Some(1.0) => Some(args[0]),
                Some(0.0) => Some(self.full(ty, 1.0)),
                Some(2.0) => Some(self.mul(args[0], args[0])),
                Some(0.5) => Some(self.unary(Unary::Sqrt, args[0])),
                Some(-1.0) => {
                    let one = self.full(ty, 1.0);
                    Some(self.div(one, args[0]))
                }
                Some(3.0) => {
                    let s = self.mul(args[0], args[0]);
                    Some(self.mul(s, args[0]))
                }
                Some(4.0) => {
                    let s = self.mul(args[0], args[0]);
                    Some(self.mul(s, s))
                }
                _ => None,
            },
            Op::Unary(Unary::Neg) => match self.node(args[0]) {
                Node { op: Op::Unary(Unary::Neg), args: a, .. } => Some(a[0]),
                _ => None,
            },
            Op::Select => match splat(self, 0) {
                Some(0.0) => Some(args[2]),
                Some(_) => Some(args[1]),
                None => (args[1] == args[2]).then_some(args[1]),
            },
            Op::Cast(d) => (self.ty(args[0]).dtype == *d).then_some(args[0]),
            Op::Reshape(shape) => {
                if self.ty(args[0]).shape == *shape {
                    return Some(args[0]);
                }
                match self.node(args[0]) {
                    Node { op: Op::Reshape(_), args: a, .. } => {
                        let a = a[0];
                        Some(self.reshape(a, shape))
                    }
                    Node { op: Op::Const(t), .. } => {
                        let t = t.reshaped(shape.clone());
                        Some(self.constant(t))
                    }
                    Node { op: Op::Broadcast { axes, .. }, args: a, .. } if axes.is_empty() => {
                        let a = a[0];
                        Some(self.broadcast_to(a, shape))
                    }
                    _ => None,
                }
            }
            Op::Transpose(perm) => perm.iter().enumerate().all(|(i, &p)| i == p).then_some(args[0]),
            Op::Broadcast { shape, axes } => {
                if self.ty(args[0]).shape == *shape {
                    return Some(args[0]);
                }
                match self.node(args[0]) {
                    Node { op: Op::Broadcast { axes: inner, .. }, args: a, .. } => {
                        let axes = inner.iter().map(|&i| axes[i]).collect();
                        let a = a[0];
                        Some(self.op(Op::Broadcast { shape: shape.clone(), axes }, &[a]))
                    }
                    _ => None,
                }
            }
            Op::Slice { start, end, stride } => {
                let whole =
                    start.iter().all(|&s| s == 0) && stride.iter().all(|&s| s == 1) && *end == self.ty(args[0]).shape;
                if whole {
                    return Some(args[0]);
                }
                self.splat(args[0]).map(|x| self.full(ty, x))
            }
            Op::Concat(_) => (args.len() == 1).then(|| args[0]),
            Op::Roll { shift, .. } => (*shift == 0 || self.splat(args[0]).is_some()).then(|| args[0]),
            Op::Reverse(axes) => (axes.is_empty() || self.splat(args[0]).is_some()).then(|| args[0]),
            Op::Pad { low, high, interior } => {
                [low, high, interior].iter().all(|v| v.iter().all(|&n| n == 0)).then(|| args[0])
            }
            Op::Reduce { axes, kind } => {
                if axes.is_empty() {
                    return Some(args[0]);
                }
                match (kind, self.splat(args[0])) {
                    (Reduce::Sum, Some(0.0)) => Some(self.zeros(ty)),
                    _ => None,
                }
            }
            Op::Dot(_) => (splat(self, 0) == Some(0.0) || splat(self, 1) == Some(0.0)).then(|| self.zeros(ty)),
            Op::Gather => self.splat(args[0]).map(|x| self.full(ty, x)),
            Op::ScatterAdd { .. } => (splat(self, 1) == Some(0.0)).then(|| self.zeros(ty)),
            _ => None,
        }
    }

    /// The value of a pointwise operation on constant splats.
    pub(super) fn folded(&self, op: &Op, args: &[Value]) -> Option<f64> {
        let x = self.splat(*args.first()?)?;
        let single = self.ty(args[0]).dtype == DType::F32;
        match op {
            Op::Unary(f) => Some(eval::unary(*f, x, single)),
            Op::Binary(f) => Some(eval::binary(*f, x, self.splat(args[1])?, single)),
            Op::Compare(c) => Some(eval::compare(*c, x, self.splat(args[1])?)),
            Op::Cast(DType::Index) => None,
            Op::Cast(DType::F32) => Some(x as f32 as f64),
            Op::Cast(DType::F64) => Some(x),
            _ => None,
        }
    }
}
