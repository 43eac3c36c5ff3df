//! Tensors whose size follows from what they meet: the unit vectors `ex ey ez`, and isotropic tensors of fourth order, `a*(I⊗I) + b*I4`.
//! (`I` itself is a record of its own, see [`super::arith::is_identity`].)
//!
//! They stay symbolic under sums and factors. An isotropic tensor never becomes an array where it is only contracted:
//! `(a I⊗I + b I4)::A` is `a tr(A) I + b sym(A)`.

use super::arith::{identity_factor, is_identity, shape_name};
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::value::{Num, Value};
use crate::base::Span;
use crate::ir::{Tensor, Type};
use crate::sema::hir::Op;
use indexmap::IndexMap;

/// Coefficients of a sizeless tensor, by component: `x y z` of a vector, `I⊗I` and `I4` of an isotropic tensor.
type Parts = IndexMap<String, Value>;

const VECTOR: &str = "vector";
const ISOTROPIC: &str = "isotropic";

/// The tensor that a name of the standard library stands for.
pub fn named(name: &str, span: Span) -> Option<Value> {
    let one =
        |kind: &str, part: &str| Some(Value::record(kind, span, IndexMap::from([(part.to_string(), Value::num(1.0))])));
    match name {
        "ex" => one(VECTOR, "x"),
        "ey" => one(VECTOR, "y"),
        "ez" => one(VECTOR, "z"),
        "I4" => one(ISOTROPIC, "I4"),
        _ => None,
    }
}

pub fn is_sizeless(v: &Value) -> bool {
    matches!(v, Value::Record(r) if r.kind == VECTOR || r.kind == ISOTROPIC)
}

/// Whether an operator has a sizeless tensor among its operands, or makes one of two identities.
pub fn concerns(op: &Op, v: &[Value]) -> bool {
    v.iter().any(is_sizeless) || matches!((op, v), (Op::Outer, [a, b]) if is_identity(a) && is_identity(b))
}

impl Lower<'_> {
    /// An operator with sizeless tensors among its operands.
    pub fn apply_sizeless(&mut self, op: &Op, v: &[Value], span: Span) -> Result<Value> {
        match (op, v) {
            (Op::Neg, [a]) => self.scaled(op, a, None, span),
            (Op::Mul, [a, b]) if is_sizeless(b) && !is_sizeless(a) => self.scaled(op, b, Some(a), span),
            (Op::Mul | Op::Divide, [a, b]) if is_sizeless(a) && !is_sizeless(b) => self.scaled(op, a, Some(b), span),
            (Op::Outer, [a, b]) if is_identity(a) && is_identity(b) => {
                let one = || Value::num(1.0);
                let (f, g) = (identity_factor(a).unwrap_or_else(one), identity_factor(b).unwrap_or_else(one));
                let factor = self.apply(&Op::Mul, &[f, g], span)?;
                Ok(Value::record(ISOTROPIC, span, IndexMap::from([("I⊗I".to_string(), factor)])))
            }
            (Op::Add | Op::Sub, [a, b]) => match (parts(a), parts(b)) {
                (Some((k, x)), Some((l, y))) if k == l => {
                    let sum = self.added(op, x, y, span)?;
                    Ok(Value::record(k, span, sum))
                }
                (Some(_), None) if b.known() == Some(0.0) => Ok(a.clone()),
                (None, Some(_)) if a.known() == Some(0.0) && *op == Op::Add => Ok(b.clone()),
                (None, Some(_)) if a.known() == Some(0.0) => self.scaled(&Op::Neg, b, None, span),
                _ => self.beside(op, a, b, span),
            },
            (Op::DoubleDot, [a, b]) => match (isotropic(a), isotropic(b)) {
                (Some(c), None) if self.is_matrix(b, span)? => self.contracted(c, b, span),
                (None, Some(c)) if self.is_matrix(a, span)? => self.contracted(c, a, span),
                _ => self.beside(op, a, b, span),
            },
            (_, [a, b]) => self.beside(op, a, b, span),
            // Alone, as under a divergence: as long as the domain has dimensions.
            (_, [a]) => match self.domains.last().map(|d| d.dimension()) {
                Some(d) => {
                    let a = self.materialised(a, d, span)?;
                    self.apply(op, &[a], span)
                }
                None => self.sizeless_error(v, span),
            },
            _ => self.sizeless_error(v, span),
        }
    }

    /// The array of a sizeless tensor in `d` dimensions.
    pub fn materialised(&mut self, v: &Value, d: usize, span: Span) -> Result<Value> {
        let Some((kind, parts)) = parts(v) else { return Ok(v.clone()) };
        let mut sum = None;
        for (name, factor) in parts.clone() {
            let Some(unit) = unit(kind, &name, d) else {
                return error(
                    "shapes.mismatch",
                    span,
                    format!("`e{name}` in {d} dimension{}", if d == 1 { "" } else { "s" }),
                );
            };
            let term = self.apply(&Op::Mul, &[factor, Value::Num(unit)], span)?;
            sum = Some(match sum {
                None => term,
                Some(s) => self.apply(&Op::Add, &[s, term], span)?,
            });
        }
        Ok(sum.unwrap_or(Value::num(0.0)))
    }

    fn scaled(&mut self, op: &Op, v: &Value, by: Option<&Value>, span: Span) -> Result<Value> {
        let Some((kind, parts)) = parts(v) else { return Ok(v.clone()) };
        let mut out = Parts::new();
        for (name, factor) in parts {
            let args: Vec<Value> = std::iter::once(factor).chain(by).cloned().collect();
            out.insert(name.clone(), self.apply(op, &args, span)?);
        }
        Ok(Value::record(kind, span, out))
    }

    fn added(&mut self, op: &Op, x: &Parts, y: &Parts, span: Span) -> Result<Parts> {
        let mut out = x.clone();
        for (name, factor) in y {
            let term = match (x.get(name), op) {
                (Some(before), _) => self.apply(op, &[before.clone(), factor.clone()], span)?,
                (None, Op::Sub) => self.apply(&Op::Neg, std::slice::from_ref(factor), span)?,
                (None, _) => factor.clone(),
            };
            out.insert(name.clone(), term);
        }
        Ok(out)
    }

    /// `(a I⊗I + b I4)::A = a tr(A) I + b sym(A)`
    fn contracted(&mut self, c: &Parts, a: &Value, span: Span) -> Result<Value> {
        let mut args = vec![a.clone()];
        args.extend(["I⊗I", "I4"].iter().filter_map(|name| c.get(*name).cloned()));
        let args: Vec<Value> = args.iter().map(|v| self.numeric(v, span)).collect::<Result<_>>()?;
        let (volume, shear) = (c.contains_key("I⊗I"), c.contains_key("I4"));
        self.pointwise(&args, span, |l, n| {
            let d = n[0].shape()[0];
            let refs: Vec<&Num> = n.iter().collect();
            Ok(l.tracer.build(&refs, |b, v| {
                let bulk = volume.then(|| {
                    let eye = b.constant(identity_tensor(d));
                    let entries = b.mul(v[0], eye);
                    let trace = b.sum_all(entries);
                    let t = b.mul(trace, v[1]);
                    b.mul(t, eye)
                });
                let shape = shear.then(|| {
                    let t = b.transpose(v[0], &[1, 0]);
                    let s = b.add(v[0], t);
                    let s = b.scale(s, 0.5);
                    b.mul(s, v[v.len() - 1])
                });
                match (bulk, shape) {
                    (Some(x), Some(y)) => b.add(x, y),
                    (Some(x), None) | (None, Some(x)) => x,
                    (None, None) => b.zeros(&Type::f64([d, d])),
                }
            }))
        })
    }

    /// One operand tells the size of the other.
    fn beside(&mut self, op: &Op, a: &Value, b: &Value, span: Span) -> Result<Value> {
        let size = |l: &mut Self, v: &Value, last: bool| -> Result<Option<usize>> {
            if is_sizeless(v) || is_identity(v) {
                return Ok(l.domains.last().map(|d| d.dimension()));
            }
            Ok(l.shape(v, span)?.and_then(|s| if last { s.last().copied() } else { s.first().copied() }))
        };
        let (of_b, of_a) = (size(self, b, false)?, size(self, a, true)?);
        let (Some(left), Some(right)) = (of_b.or(of_a), of_a.or(of_b)) else {
            return self.sizeless_error(&[a.clone(), b.clone()], span);
        };
        let a = if is_sizeless(a) { self.materialised(a, left, span)? } else { a.clone() };
        let b = if is_sizeless(b) { self.materialised(b, right, span)? } else { b.clone() };
        self.apply(op, &[a, b], span)
    }

    /// Shape of a number or field; none for what has no shape.
    pub fn shape(&mut self, v: &Value, span: Span) -> Result<Option<Vec<usize>>> {
        Ok(match v {
            Value::Residual(r) => match (r.pointwise_part(), &r.flux) {
                (Some(s), _) => self.shape(s, span)?,
                (None, Some(f)) => self.shape(f, span)?.map(|s| s[..s.len().saturating_sub(1)].to_vec()),
                (None, None) => None,
            },
            other => match self.numeric(other, span)? {
                Value::Num(n) => Some(n.shape().to_vec()),
                Value::Field(f) => Some(f.shape().to_vec()),
                _ => None,
            },
        })
    }

    fn is_matrix(&mut self, v: &Value, span: Span) -> Result<bool> {
        if is_identity(v) || is_sizeless(v) {
            return Ok(false);
        }
        let shape = self.shape(v, span)?;
        match shape.as_deref() {
            Some([m, n]) if m == n => Ok(true),
            Some([_, _, _, _]) => Ok(false),
            Some(other) => {
                error("shapes.mismatch", span, format!("a stiffness is contracted with {}", shape_name(other)))
            }
            None => Ok(false),
        }
    }

    pub fn sizeless_error<T>(&self, v: &[Value], span: Span) -> Result<T> {
        let what = match v.iter().find_map(parts) {
            Some((VECTOR, _)) => "a unit vector",
            _ => "`I`",
        };
        error_help(
            "shapes.mismatch",
            span,
            format!("the size of {what} does not follow from what it stands beside"),
            "declare a type with a size, such as `Vec(2)` or `Stiff(2)`, or write the list of its components",
        )
    }
}

fn parts(v: &Value) -> Option<(&'static str, &Parts)> {
    match v {
        Value::Record(r) if r.kind == VECTOR => Some((VECTOR, &r.fields)),
        Value::Record(r) if r.kind == ISOTROPIC => Some((ISOTROPIC, &r.fields)),
        _ => None,
    }
}

fn isotropic(v: &Value) -> Option<&Parts> {
    parts(v).filter(|(kind, _)| *kind == ISOTROPIC).map(|(_, p)| p)
}

fn identity_tensor(d: usize) -> Tensor {
    Tensor::f64([d, d], (0..d * d).map(|i| (i % (d + 1) == 0) as u8 as f64).collect::<Vec<_>>())
}

/// The array that a coefficient multiplies.
fn unit(kind: &str, name: &str, d: usize) -> Option<Num> {
    if kind == VECTOR {
        let axis = ["x", "y", "z"].iter().position(|a| *a == name).filter(|a| *a < d)?;
        let e: Vec<f64> = (0..d).map(|i| (i == axis) as u8 as f64).collect();
        return Some(Num::Const(Tensor::f64([d], e)));
    }
    let delta = |i: usize, j: usize| (i == j) as u8 as f64;
    let entry = |n: usize| {
        let (i, j, k, l) = (n / (d * d * d), n / (d * d) % d, n / d % d, n % d);
        match name {
            "I⊗I" => delta(i, j) * delta(k, l),
            _ => 0.5 * (delta(i, k) * delta(j, l) + delta(i, l) * delta(j, k)),
        }
    };
    Some(Num::Const(Tensor::f64([d, d, d, d], (0..d * d * d * d).map(entry).collect::<Vec<_>>())))
}
