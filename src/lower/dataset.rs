//! Datasets: a joint law of draws (`~`) and computed columns (`=`); samples of it; loops over rows.

use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::losses::Walked;
use super::value::{Column, DatasetValue, Env, Field, Leaf, Num, RandomField, Record, Sample, Value};
use crate::base::Span;
use crate::data::design::Design;
use crate::data::draw::Stream;
use crate::data::grf;
use crate::data::law::Law;
use crate::data::split::split;
use crate::ir::{Builder, Tensor, Type};
use crate::sema::hir::{Expr, ExprKind, LocalId};
use indexmap::IndexMap;
use std::rc::Rc;
use std::sync::Arc;

/// Fractions of a sample without a `split`: what is trained on, what stops the training, what is kept for checks.
const SPLIT: [f64; 3] = [0.7, 0.15, 0.15];
const SPLIT_NAMES: [&str; 3] = ["train", "validation", "test"];

impl Lower<'_> {
    /// `sample(dataset, n, by, split)`
    pub fn sample(&mut self, args: &IndexMap<String, Value>, span: Span) -> Result<Value> {
        let dataset = match args.get("source") {
            Some(Value::Dataset(d)) => d.clone(),
            Some(Value::Sample(s)) => return Ok(Value::Sample(s.clone())),
            Some(other) => {
                return error_help(
                    "run.data",
                    span,
                    format!("`sample` takes a dataset, not {}", other.kind()),
                    "call the dataset: `sample(Micro(), n=100)`",
                );
            }
            None => return error("run.data", span, "`sample` takes a dataset"),
        };
        let n = self.known_int(args.get("n").unwrap_or(&Value::None), "the number of rows `n`", span)?;
        if n == 0 {
            return error("run.data", span, "a sample has at least one row");
        }
        let design = match args.get("by") {
            None | Some(Value::None) => Design::Random,
            Some(Value::Record(r)) => match r.kind.as_str() {
                "random" => Design::Random,
                "lhs" => Design::LatinHypercube,
                "sobol" => Design::Sobol { scramble: crate::data::design::Scramble::None },
                other => return error("run.data", span, format!("`{other}` is not a design of samples")),
            },
            // The design by its name, without a number of points.
            Some(Value::Intrinsic(def)) if self.program.def(*def).name == "sobol" => {
                Design::Sobol { scramble: crate::data::design::Scramble::None }
            }
            Some(other) => return error("run.data", span, format!("`by` is a design, not {}", other.kind())),
        };
        let stream = Stream::new(self.seed, &dataset.name);
        let columns = self.columns(&dataset, n, design, &stream, span)?;
        let fractions = match args.get("split") {
            Some(v @ (Value::List(_) | Value::Stack(_))) => {
                let items = self.items(v, span)?;
                items.iter().map(|i| self.known_real(i, span)).collect::<Result<Vec<_>>>()?
            }
            _ => SPLIT.to_vec(),
        };
        let parts = split(n, &fractions, &stream.child("split"))
            .or_else(|e| error("run.data", span, format!("the split cannot be made: {e}")))?;
        let names: &[&str] = if fractions.len() == 2 { &["train", "test"] } else { &SPLIT_NAMES };
        let splits = names.iter().zip(parts).map(|(n, rows)| (n.to_string(), Rc::new(rows))).collect();
        Ok(Value::Sample(Rc::new(Sample { name: dataset.name.clone(), part: String::new(), columns, rows: n, splits })))
    }

    fn columns(
        &mut self,
        d: &DatasetValue,
        n: usize,
        design: Design,
        stream: &Stream,
        span: Span,
    ) -> Result<IndexMap<String, Column>> {
        let env = d.args.clone();
        // Fields are drawn mode by mode, each with its own numbers; the design is of the other draws.
        let (mut laws, mut fields) = (IndexMap::new(), IndexMap::new());
        for row in d.dataset.rows.iter().filter(|r| r.draw) {
            let law = self.expr(&row.value, &env)?;
            match &law {
                Value::Record(r) if r.kind == "grf" => {
                    fields.insert(row.name.clone(), self.field_law(r, row.value.span)?);
                }
                _ => {
                    laws.insert(row.name.clone(), self.law(&law, row.value.span)?);
                }
            }
        }
        let streams: Vec<Stream> = laws.keys().map(|name| stream.child(name)).collect();
        let unit = design
            .points_of(n, &streams)
            .or_else(|e| error("run.data", span, format!("the design cannot be made: {e}")))?;
        let mut columns: IndexMap<String, Column> = IndexMap::new();
        for row in &d.dataset.rows {
            if let Some((k, _, law)) = laws.get_full(&row.name).filter(|_| row.draw) {
                let values: Vec<f64> = (0..n).map(|i| law.quantile(unit[i * laws.len() + k])).collect();
                let values = Num::Const(Tensor::f64([n], values));
                columns.insert(row.name.clone(), Column { values, field: None, closure: None, args: vec![] });
                continue;
            }
            if let Some(field) = fields.get(&row.name).filter(|_| row.draw) {
                let stream = stream.child(&row.name);
                let rows = (0..n as u64).flat_map(|i| field.law.sample(&stream, i).coefficients());
                let values = Num::Const(Tensor::f64([n, 2, field.law.slots()], rows.collect::<Vec<f64>>()));
                let column = Column { values, field: Some(field.clone()), closure: None, args: vec![] };
                columns.insert(row.name.clone(), column);
                continue;
            }
            // Computed for each row from the columns before it.
            let (mut inputs, mut locals, mut of) = (vec![], vec![], vec![]);
            for earlier in &d.dataset.rows {
                if earlier.local == row.local {
                    break;
                }
                if let Some(c) = columns.get(&earlier.name) {
                    inputs.push(c.values.clone());
                    locals.push(earlier.local);
                    of.push(c.clone());
                }
            }
            let values = self.map_rows(&row.name, n, &inputs, |l, items| {
                let mut inner = env.clone();
                for ((local, item), column) in locals.iter().zip(items).zip(&of) {
                    inner.set(*local, l.item_of(column, item));
                }
                let v = l.expr(&row.value, &inner)?;
                l.num(&v, row.value.span)
            })?;
            let (closure, args) = self.computed_by(&row.value, &env);
            columns.insert(row.name.clone(), Column { values, field: None, closure, args });
        }
        Ok(columns)
    }

    /// The closure whose call an expression is, and the columns that are its arguments.
    fn computed_by(&mut self, e: &Expr, env: &Env) -> (Option<crate::sema::hir::DefId>, Vec<String>) {
        let ExprKind::Call { callee, args } = &e.kind else { return (None, vec![]) };
        let Ok(Value::Closure(c)) = self.expr(callee, env) else { return (None, vec![]) };
        let names: Vec<String> = args
            .iter()
            .filter_map(|a| match &a.value.kind {
                ExprKind::Local(l) => Some(self.program.local(*l).name.clone()),
                _ => None,
            })
            .collect();
        if names.len() == args.len() { (Some(c.def), names) } else { (Some(c.def), vec![]) }
    }

    fn law(&mut self, v: &Value, span: Span) -> Result<Law> {
        let Value::Record(r) = v else {
            return error_help(
                "run.data",
                span,
                format!("`~` draws from a law, this is {}", v.kind()),
                "laws are uniform(a, b), normal(mean, sd), loguniform(a, b), choice([…]); use `=` to compute",
            );
        };
        let arg = |l: &mut Self, name: &str| -> Result<f64> {
            let v = r.fields.get(name).cloned().unwrap_or(Value::None);
            l.known_real(&v, span)
        };
        let law = match r.kind.as_str() {
            "uniform" => Law::uniform(arg(self, "low")?, arg(self, "high")?),
            "normal" => Law::normal(arg(self, "mean")?, arg(self, "sd")?),
            "loguniform" => Law::log_uniform(arg(self, "low")?, arg(self, "high")?),
            "choice" => {
                let items = r.fields.get("items").cloned().unwrap_or(Value::None);
                let items = self.items(&items, span)?;
                let values = items.iter().map(|i| self.known_real(i, span)).collect::<Result<Vec<_>>>()?;
                Law::choice(values)
            }
            other => return error("run.data", span, format!("`{other}` is not a law to draw from")),
        };
        law.or_else(|e| error("run.data", span, e))
    }

    /// A function of `n` items, each of the columns' first axis: `[n, …]`.
    pub fn map_rows(
        &mut self,
        name: &str,
        n: usize,
        columns: &[Num],
        f: impl FnOnce(&mut Self, &[Num]) -> Result<Num>,
    ) -> Result<Num> {
        let types: Vec<Type> = columns.iter().map(|c| Type::new(c.ty().dtype, &c.shape()[1..])).collect();
        let depth = self.tracer.depth();
        let inputs = self.tracer.open(name, &types);
        let out = match f(self, &inputs) {
            Ok(out) => out,
            Err(e) => {
                self.tracer.abandon(depth);
                return Err(e);
            }
        };
        let (body, captures) = self.tracer.close(&[out]);
        let mut mapped = vec![true; columns.len()];
        mapped.resize(columns.len() + captures.len(), false);
        let all: Vec<&Num> = columns.iter().chain(&captures).collect();
        if columns.is_empty() {
            return Ok(self.tracer.build(&all, |b, v| {
                let one = b.inline(&body, v)[0];
                let mut shape = vec![n];
                shape.extend(&b.ty(one).shape.clone());
                b.broadcast_to(one, &shape)
            }));
        }
        Ok(self.tracer.build(&all, |b, v| b.map(Arc::new(body), n, mapped, v)[0]))
    }

    /// `body for var in sample`
    pub fn over_rows(&mut self, body: &Expr, var: LocalId, sample: Rc<Sample>, env: &Env, span: Span) -> Result<Value> {
        let (columns, n) = self.batched(&sample);
        let values = self.map_rows("rows", n, &columns, |l, items| {
            let named = sample.columns.iter().zip(items);
            let fields: IndexMap<String, Value> = named.map(|((k, c), n)| (k.clone(), l.item_of(c, n))).collect();
            let mut inner = env.clone();
            inner.set(var, Value::record("row", span, fields));
            let v = l.expr(body, &inner)?;
            l.num(&v, body.span)
        })?;
        Ok(Value::Stack(values))
    }

    /// The columns of a sample; in a training by batches, those of the batch.
    fn batched(&mut self, sample: &Sample) -> (Vec<Num>, usize) {
        let columns: Vec<Num> = sample.columns.values().map(|c| c.values.clone()).collect();
        let walked = Walked::of(sample);
        if !self.walked.contains(&walked) {
            self.walked.push(walked.clone());
        }
        let Some(batch) = self.batch.clone().filter(|b| b.of == walked) else {
            return (columns, sample.rows);
        };
        let gathered =
            columns.iter().map(|c| self.tracer.build(&[c, &batch.index], |b, v| b.gather(v[0], v[1]))).collect();
        (gathered, batch.index.shape()[0])
    }

    /// The rows of a split as a sample of its own.
    pub fn rows_of(&mut self, s: &Sample, rows: &[u32]) -> Sample {
        let index = Num::Const(Tensor::index([rows.len()], rows.to_vec()));
        let columns = s
            .columns
            .iter()
            .map(|(name, c)| {
                let values = match &c.values {
                    Num::Const(t) => Num::Const(take_rows(t, rows)),
                    traced => self.tracer.build(&[traced, &index], |b, v| b.gather(v[0], v[1])),
                };
                (name.clone(), Column { values, ..c.clone() })
            })
            .collect();
        Sample { name: s.name.clone(), part: s.part.clone(), columns, rows: rows.len(), splits: IndexMap::new() }
    }

    pub fn row(&mut self, s: &Sample, i: usize) -> Result<Value> {
        let mut fields = IndexMap::new();
        for (name, c) in &s.columns {
            let item = self.tracer.build(&[&c.values], |b, v| b.index(v[0], 0, i));
            fields.insert(name.clone(), self.item_of(c, &item));
        }
        Ok(Value::record("row", Span::default(), fields))
    }

    /// An item of a column, in a row.
    pub fn item_of(&mut self, column: &Column, item: &Num) -> Value {
        let Some(field) = &column.field else { return Value::Num(item.clone()) };
        let mut b = Builder::new("random field");
        let (x, c) = (b.input(Type::f64([field.domain.dimension()])), b.input(item.ty().clone()));
        let y = field.law.to_ir(&mut b, x, c);
        let leaves = vec![Leaf::Coordinates, Leaf::Shared(item.clone())];
        Value::Field(Field { domain: field.domain.clone(), leaves, func: Rc::new(b.finish(vec![y])) })
    }

    /// `grf(domain, length, mean, sd)`
    fn field_law(&mut self, r: &Record, span: Span) -> Result<Rc<RandomField>> {
        let Some(Value::Domain(domain)) = r.fields.get("domain") else {
            return error("run.data", span, "a random field is over a domain: `grf(Ω, length=0.1)`");
        };
        let mut number = |name: &str| self.known_real(r.fields.get(name).unwrap_or(&Value::None), span);
        let (length, mean, sd) = (number("length")?, number("mean")?, number("sd")?);
        let high = domain.origin.iter().zip(&domain.extent).map(|(a, l)| a + l).collect();
        let periodic = vec![domain.periodic; domain.dimension()];
        let region = grf::Region { low: domain.origin.clone(), high, periodic };
        let law = grf::Field::new(&region, grf::Kernel::SquaredExponential, mean, sd * sd, length)
            .or_else(|e| error("run.data", span, e))?;
        Ok(Rc::new(RandomField { domain: domain.clone(), law }))
    }
}

fn take_rows(t: &Tensor, rows: &[u32]) -> Tensor {
    let width = t.ty.len() / t.ty.shape[0].max(1);
    let data = t.to_f64();
    let mut shape = t.ty.shape.clone();
    shape[0] = rows.len();
    let out: Vec<f64> =
        rows.iter().flat_map(|&r| data[r as usize * width..(r as usize + 1) * width].iter().copied()).collect();
    Tensor::f64(shape, out)
}
