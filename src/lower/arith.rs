//! Arithmetic on numbers, vectors and tensors. Shapes must agree as in the formulas on paper: there is no silent broadcasting
//! but a scalar times a tensor.

use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::value::{Num, Value};
use crate::base::Span;
use crate::ir::{Binary, Compare, Dot, Tensor, Unary};
use crate::sema::hir::Op;

/// Contractions written `·`, `::` and `⊗`, as axes.
fn contraction(op: &Op, a: &[usize], b: &[usize]) -> Option<Dot> {
    let axes = |l: Vec<usize>, r: Vec<usize>| Dot { lhs_contract: l, rhs_contract: r, ..Dot::default() };
    match op {
        Op::Dot if !a.is_empty() && !b.is_empty() => Some(axes(vec![a.len() - 1], vec![0])),
        Op::DoubleDot if a.len() >= 2 && b.len() >= 2 => Some(axes(vec![a.len() - 2, a.len() - 1], vec![0, 1])),
        Op::Outer if !a.is_empty() && !b.is_empty() => Some(axes(vec![], vec![])),
        _ => None,
    }
}

pub fn shape_name(shape: &[usize]) -> String {
    match shape {
        [] => "a number".into(),
        [n] => format!("a vector of {n}"),
        [m, n] => format!("a {m}×{n} matrix"),
        _ => format!("a tensor of shape {}", shape.iter().map(|n| n.to_string()).collect::<Vec<_>>().join("×")),
    }
}

impl Lower<'_> {
    /// A binary operator on two numbers.
    pub fn binary_num(&mut self, op: &Op, a: &Num, b: &Num, span: Span) -> Result<Num> {
        let (sa, sb) = (a.shape().to_vec(), b.shape().to_vec());
        let pointwise = match op {
            Op::Add => Some(Binary::Add),
            Op::Sub => Some(Binary::Sub),
            Op::Mul => Some(Binary::Mul),
            Op::Divide => Some(Binary::Div),
            Op::Pow => Some(Binary::Pow),
            _ => None,
        };
        if let Some(f) = pointwise {
            let fits = match op {
                Op::Add | Op::Sub => sa == sb,
                Op::Mul => sa.is_empty() || sb.is_empty(),
                _ => sb.is_empty() && (sa.is_empty() || *op == Op::Divide),
            };
            if !fits {
                return self.shape_error(op, &sa, &sb, span);
            }
            return Ok(self.tracer.build(&[a, b], |bld, v| bld.binary(f, v[0], v[1])));
        }
        match op {
            Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Eq | Op::Ne => {
                if sa != sb {
                    return self.shape_error(op, &sa, &sb, span);
                }
                Ok(self.tracer.build(&[a, b], |bld, v| match op {
                    Op::Lt => bld.compare(Compare::Lt, v[0], v[1]),
                    Op::Le => bld.compare(Compare::Le, v[0], v[1]),
                    Op::Gt => bld.compare(Compare::Lt, v[1], v[0]),
                    Op::Ge => bld.compare(Compare::Le, v[1], v[0]),
                    Op::Eq => bld.compare(Compare::Eq, v[0], v[1]),
                    _ => {
                        let e = bld.compare(Compare::Eq, v[0], v[1]);
                        let one = bld.scalar(1.0);
                        bld.sub(one, e)
                    }
                }))
            }
            Op::And => Ok(self.tracer.build(&[a, b], |bld, v| bld.binary(Binary::Min, v[0], v[1]))),
            Op::Or => Ok(self.tracer.build(&[a, b], |bld, v| bld.binary(Binary::Max, v[0], v[1]))),
            Op::Cross if sa == [3] && sb == [3] => Ok(self.tracer.build(&[a, b], |bld, v| {
                let parts: Vec<_> = (0..3)
                    .map(|i| {
                        let (j, k) = ((i + 1) % 3, (i + 2) % 3);
                        let (aj, ak) = (bld.index(v[0], 0, j), bld.index(v[0], 0, k));
                        let (bj, bk) = (bld.index(v[1], 0, j), bld.index(v[1], 0, k));
                        let (p, q) = (bld.mul(aj, bk), bld.mul(ak, bj));
                        bld.sub(p, q)
                    })
                    .collect();
                bld.stack(&parts, 0)
            })),
            _ => match contraction(op, &sa, &sb) {
                Some(d) if d.lhs_contract.iter().zip(&d.rhs_contract).all(|(&i, &j)| sa[i] == sb[j]) => {
                    Ok(self.tracer.build(&[a, b], |bld, v| bld.dot(v[0], v[1], d)))
                }
                _ => self.shape_error(op, &sa, &sb, span),
            },
        }
    }

    fn shape_error(&self, op: &Op, a: &[usize], b: &[usize], span: Span) -> Result<Num> {
        let (verb, help) = match op {
            Op::Add | Op::Sub => ("added to or subtracted from", "write `s*I` to add a number to a matrix"),
            Op::Mul => ("multiplied (`*`) by", "use `·` to contract, `⊗` for the outer product, `::` for two indices"),
            Op::Divide => ("divided by", "only a number can divide"),
            Op::Pow => ("raised to", "powers are of numbers"),
            Op::Dot => ("contracted (`·`) with", "the last axis of the left and the first of the right must agree"),
            Op::DoubleDot => {
                ("contracted (`::`) with", "`::` contracts the last two indices of the left with the first two")
            }
            Op::Cross => ("crossed with", "`×` takes two vectors of three"),
            _ => ("compared with", "both sides must have the same shape"),
        };
        error_help("shapes.mismatch", span, format!("{} cannot be {verb} {}", shape_name(a), shape_name(b)), help)
    }

    pub fn unary_num(&mut self, f: Unary, a: &Num) -> Num {
        self.tracer.build(&[a], |b, v| b.unary(f, v[0]))
    }

    pub fn neg_num(&mut self, a: &Num) -> Num {
        self.unary_num(Unary::Neg, a)
    }

    pub fn scale_num(&mut self, a: &Num, x: f64) -> Num {
        self.tracer.build(&[a], |b, v| b.scale(v[0], x))
    }

    /// Swaps the two indices of a matrix.
    pub fn transpose_num(&mut self, a: &Num, span: Span) -> Result<Num> {
        if a.shape().len() != 2 {
            return error("shapes.mismatch", span, format!("{} has no transpose", shape_name(a.shape())));
        }
        Ok(self.tracer.build(&[a], |b, v| b.transpose(v[0], &[1, 0])))
    }

    /// Equal-shaped numbers along a new first axis.
    pub fn stack_nums(&mut self, items: &[Num], span: Span) -> Result<Num> {
        if items.is_empty() {
            return Ok(Num::Const(Tensor::f64([0], [])));
        }
        if let Some(odd) = items.iter().find(|n| n.shape() != items[0].shape()) {
            return error(
                "shapes.mismatch",
                span,
                format!("a list of {} and {}", shape_name(items[0].shape()), shape_name(odd.shape())),
            );
        }
        if items.iter().all(|n| n.tensor().is_some()) {
            let mut shape = vec![items.len()];
            shape.extend(items[0].shape());
            let data: Vec<f64> =
                items.iter().flat_map(|n| n.tensor().map(|t| t.to_f64()).unwrap_or_default()).collect();
            return Ok(Num::Const(Tensor::f64(shape, data)));
        }
        Ok(self.tracer.build(&items.iter().collect::<Vec<_>>(), |b, v| b.stack(v, 0)))
    }
}

/// The d×d identity matrix.
pub fn identity(d: usize) -> Num {
    let data: Vec<f64> = (0..d * d).map(|i| (i % (d + 1) == 0) as u8 as f64).collect();
    Num::Const(Tensor::f64([d, d], data))
}

/// Whether a value is the symbol `I`, whose size comes from what it meets.
pub fn is_identity(v: &Value) -> bool {
    matches!(v, Value::Record(r) if r.kind == "identity")
}

/// The factor before a symbolic identity, `s` in `s*I`.
pub fn identity_factor(v: &Value) -> Option<Value> {
    match v {
        Value::Record(r) if r.kind == "identity" => r.fields.get("factor").cloned(),
        _ => None,
    }
}
