//! Arithmetic on lists, item by item. A list of numbers beside a vector or matrix is a vector (see [`Lower::numeric`]); beside
//! another list, or scaled by a number, it stays a list. A number is not spread over a list by `+` or `-`.

use super::error::{Result, error_help};
use super::eval::Lower;
use super::value::{Num, Value};
use crate::base::Span;
use crate::ir::Binary;
use crate::sema::hir::Op;

pub fn is_list(v: &Value) -> bool {
    matches!(v, Value::List(_) | Value::Stack(_))
}

/// Whether an operator goes item by item over a list among its operands.
pub fn concerns(op: &Op, v: &[Value]) -> bool {
    match (op, v) {
        (Op::Neg | Op::Sqrt, [a]) => is_list(a),
        (Op::Add | Op::Sub | Op::Mul | Op::Divide | Op::Pow, [a, b]) => {
            is_list(a) && (is_list(b) || is_number(b)) || is_list(b) && is_number(a)
        }
        _ => false,
    }
}

/// A number of no rank, or a field of such.
fn is_number(v: &Value) -> bool {
    match v {
        Value::Int(_) | Value::Bool(_) => true,
        Value::Num(n) => n.shape().is_empty(),
        Value::Field(f) => f.shape().is_empty(),
        _ => false,
    }
}

impl Lower<'_> {
    pub fn apply_listwise(&mut self, op: &Op, v: &[Value], span: Span) -> Result<Value> {
        if let (Op::Add | Op::Sub, [a, b]) = (op, v)
            && !(is_list(a) && is_list(b))
        {
            return error_help(
                "shapes.mismatch",
                span,
                "a number is added to or subtracted from a list",
                "say what is meant: `[x + a for x in items]`",
            );
        }
        if let Some(out) = self.as_arrays(op, v) {
            return Ok(out);
        }
        let columns: Vec<Option<Vec<Value>>> = v
            .iter()
            .map(|v| if is_list(v) { self.items(v, span).map(Some) } else { Ok(None) })
            .collect::<Result<_>>()?;
        let counts: Vec<usize> = columns.iter().flatten().map(|c| c.len()).collect();
        if counts.iter().any(|n| *n != counts[0]) {
            return error_help(
                "shapes.mismatch",
                span,
                format!("a list of {} meets a list of {}", counts[0], counts[1]),
                "lists are worked on item by item and need equal lengths",
            );
        }
        let mut out = vec![];
        for i in 0..counts[0] {
            let args: Vec<Value> =
                columns.iter().zip(v).map(|(c, v)| c.as_ref().map_or_else(|| v.clone(), |c| c[i].clone())).collect();
            out.push(self.apply(op, &args, span)?);
        }
        Ok(Value::list(out))
    }

    /// Long lists of equal-shaped numbers, as one operation on arrays.
    fn as_arrays(&mut self, op: &Op, v: &[Value]) -> Option<Value> {
        if !v.iter().any(|v| matches!(v, Value::Stack(_))) {
            return None;
        }
        let nums: Vec<Num> = v
            .iter()
            .map(|v| match v {
                Value::Stack(n) | Value::Num(n) => Some(n.clone()),
                Value::Int(i) => Some(Num::scalar(*i as f64)),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let scalars = nums.iter().all(|n| n.shape().len() <= 1);
        let equal = nums.windows(2).all(|w| w[0].shape() == w[1].shape());
        let scaled = nums.iter().any(|n| n.shape().is_empty());
        let f = match op {
            Op::Neg => return Some(Value::Stack(self.neg_num(&nums[0]))),
            Op::Sqrt => return Some(Value::Stack(self.unary_num(crate::ir::Unary::Sqrt, &nums[0]))),
            Op::Add if equal => Binary::Add,
            Op::Sub if equal => Binary::Sub,
            Op::Mul if scaled || equal && scalars => Binary::Mul,
            Op::Divide if equal && scalars || nums[1].shape().is_empty() || scalars && scaled => Binary::Div,
            Op::Pow if scalars && (equal || scaled) => Binary::Pow,
            _ => return None,
        };
        Some(Value::Stack(self.tracer.build(&[&nums[0], &nums[1]], |b, v| b.binary(f, v[0], v[1]))))
    }
}
