//! Members of values (`s.u`, `Ω.left`, `data.train`) and their items (`v[0]`).

use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::value::{Artefact, Num, Sample, Value};
use crate::base::Span;
use crate::ir::Tensor;
use std::rc::Rc;

impl Lower<'_> {
    pub fn member(&mut self, base: &Value, name: &str, span: Span) -> Result<Value> {
        let found = match base {
            Value::Solution(s) => s.members.get(name).cloned(),
            Value::Artefact(a) => self.artefact_member(a, name),
            Value::Record(r) => r.fields.get(name).cloned(),
            Value::Domain(d) => {
                let axis = |n: &str| ["x", "y", "z"].iter().position(|a| *a == n);
                let extent = |n: &str| match (n, d.dimension()) {
                    ("length", 1) | ("width", 2 | 3) => Some(0),
                    ("height", 2) | ("depth", 3) => Some(1),
                    ("height", 3) => Some(2),
                    _ => None,
                };
                if let Some(a) = axis(name).filter(|a| *a < d.dimension()) {
                    Some(Value::Field(self.coordinate(d, a)))
                } else if let Some(a) = extent(name) {
                    Some(Value::num(d.extent[a]))
                } else if name == "measure"
                    || name == "area" && d.dimension() == 2
                    || name == "volume" && d.dimension() == 3
                {
                    Some(Value::num(d.measure()))
                } else if d.parts().contains(&name) {
                    Some(Value::Place(d.clone(), name.into()))
                } else {
                    None
                }
            }
            Value::Sample(s) => self.sample_member(s, name),
            Value::List(items) => {
                // `solutions.w`: member by member.
                let items: Vec<Value> = items.iter().map(|i| self.member(i, name, span)).collect::<Result<_>>()?;
                Some(Value::list(items))
            }
            _ => None,
        };
        found.map_or_else(
            || {
                let names: Vec<String> = match base {
                    Value::Solution(s) => s.members.keys().cloned().collect(),
                    Value::Artefact(a) => a.members.keys().cloned().collect(),
                    Value::Sample(s) => s.columns.keys().chain(s.splits.keys()).cloned().collect(),
                    Value::Record(r) => r.fields.keys().cloned().collect(),
                    Value::Domain(d) => d.parts().iter().map(|s| s.to_string()).collect(),
                    _ => vec![],
                };
                let message = format!("{} has no member `{name}`", base.kind());
                if let Value::Num(_) = base {
                    let help = "a number is its own value; so is each row of a file that has a single column";
                    error_help("names.member", span, message, help)
                } else if names.is_empty() {
                    error("names.member", span, message)
                } else {
                    error_help("names.member", span, message, format!("it has {}", names.join(", ")))
                }
            },
            Ok,
        )
    }

    fn artefact_member(&self, a: &Artefact, name: &str) -> Option<Value> {
        let curve = |y: &[f64]| Value::Stack(Num::Const(Tensor::f64([y.len()], y)));
        a.members.get(name).cloned().or_else(|| match name {
            // One list a loss, a number an epoch.
            "history" | "losses" => {
                let curves = a.history.iter().map(|(k, y)| (k.clone(), curve(y))).collect();
                Some(Value::record("history", Span::default(), curves))
            }
            _ => a.history.get(name).map(|y| curve(y)),
        })
    }

    fn sample_member(&mut self, s: &Rc<Sample>, name: &str) -> Option<Value> {
        if let Some(rows) = s.splits.get(name) {
            return Some(Value::Sample(Rc::new(Sample { part: name.into(), ..self.rows_of(s, rows) })));
        }
        if name == "n" || name == "rows" {
            return Some(Value::Int(s.rows as i64));
        }
        let column = s.columns.get(name)?.clone();
        if column.field.is_none() {
            return Some(Value::Stack(column.values));
        }
        let items = (0..s.rows).map(|i| {
            let item = self.tracer.build(&[&column.values], |b, v| b.index(v[0], 0, i));
            self.item_of(&column, &item)
        });
        Some(Value::list(items.collect()))
    }

    pub(super) fn index(&mut self, base: &Value, indices: &[Value], span: Span) -> Result<Value> {
        if let (Value::List(items), [Value::Int(i)]) = (base, indices) {
            return match usize::try_from(*i).ok().and_then(|i| items.get(i)) {
                Some(v) => Ok(v.clone()),
                None => error(
                    "shapes.index",
                    span,
                    format!("index {i} of a list of {}; the first item has index 0", items.len()),
                ),
            };
        }
        if let (Value::Sample(s), [Value::Int(i)]) = (base, indices) {
            if *i >= 0 && (*i as usize) < s.rows {
                return self.row(s, *i as usize);
            }
            return error("shapes.index", span, format!("row {i} of a sample of {}", s.rows));
        }
        let x = self.numeric(base, span)?;
        let at: Vec<usize> = indices
            .iter()
            .map(|i| match i {
                Value::Int(i) if *i >= 0 => Ok(*i as usize),
                _ => error_help(
                    "unsupported.index",
                    span,
                    "an index is a whole number from 0",
                    "index notation (`ε[i,j]` with free indices) is not supported yet",
                ),
            })
            .collect::<Result<_>>()?;
        self.pointwise(&[x], span, |l, n| {
            let shape = n[0].shape().to_vec();
            if at.len() > shape.len() || at.iter().zip(&shape).any(|(i, n)| i >= n) {
                return error(
                    "shapes.index",
                    span,
                    format!("index {at:?} of {}; indices start at 0", super::arith::shape_name(&shape)),
                );
            }
            Ok(l.tracer.build(&[&n[0]], |b, v| at.iter().fold(v[0], |v, &i| b.index(v, 0, i))))
        })
    }
}
