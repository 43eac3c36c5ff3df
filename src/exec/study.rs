//! Running studies: statement by statement, each a trace of its own, with its checks and outputs recorded.

use super::outcome::{Check, Curve, Entry, Outcome, Panel, Picture, Row, losses};
use crate::base::{Diagnostic, Span};
use crate::discretize::Space;
use crate::ir::Tensor;
use crate::lower::value::{DatasetValue, Env, Field, Num, Value};
use crate::lower::{Lower, Result};
use crate::sema::hir::{Arg, DefId, DefKind, Expr, ExprKind, Op, StudyStmt, StudyStmtKind};
use crate::sema::types::Type;
use std::path::PathBuf;
use std::rc::Rc;

/// Pixels along the longer side of a field's picture.
const PIXELS: usize = 240;

pub struct Studies<'a, 'p> {
    pub lower: &'a mut Lower<'p>,
    pub outcome: Outcome,
    /// Writes files that a study asks for.
    pub writer: &'a mut dyn Writer,
    study: String,
    /// Variables of the loops around the statement, with their values.
    rounds: Vec<String>,
}

/// A field's values at the nodes of a space.
pub struct SavedField {
    /// As written.
    pub label: String,
    /// Of the values; empty where there is none.
    pub unit: String,
    pub space: Rc<Space>,
    /// `[N]`, `[N, d]` or `[N, d, d]`.
    pub values: Tensor,
}

/// Files of a run's folder.
pub trait Writer {
    /// Writes fields for viewers; gives the path.
    fn vtk(&mut self, name: &str, fields: &[SavedField], span: Span) -> std::result::Result<PathBuf, Box<Diagnostic>>;
    /// Writes numbers as a table; gives the path.
    fn save(
        &mut self,
        name: &str,
        values: &[(String, Value)],
        span: Span,
    ) -> std::result::Result<PathBuf, Box<Diagnostic>>;
}

impl<'a, 'p> Studies<'a, 'p> {
    pub fn new(lower: &'a mut Lower<'p>, writer: &'a mut dyn Writer) -> Studies<'a, 'p> {
        Studies { lower, outcome: Outcome::default(), writer, study: String::new(), rounds: vec![] }
    }

    /// Runs a study; the first failure ends it.
    pub fn run(&mut self, id: DefId) -> Result<()> {
        let program = self.lower.program;
        let def = program.def(id);
        let DefKind::Study { params, stmts } = &def.kind else { return Ok(()) };
        self.study = def.name.clone();
        let args = crate::lower::call::Args { values: vec![] };
        let mut env = self.lower.apart_env(&def.name, params, args, def.span)?;
        self.statements(stmts, &mut env)
    }

    /// Runs a study past its failures, each of which is given; what rests on a failed statement fails too.
    pub fn attempt(&mut self, id: DefId) -> Vec<Box<Diagnostic>> {
        let program = self.lower.program;
        let def = program.def(id);
        let DefKind::Study { params, stmts } = &def.kind else { return vec![] };
        self.study = def.name.clone();
        let args = crate::lower::call::Args { values: vec![] };
        let mut env = match self.lower.apart_env(&def.name, params, args, def.span) {
            Ok(env) => env,
            Err(e) => return vec![e],
        };
        stmts.iter().filter_map(|s| self.statements(std::slice::from_ref(s), &mut env).err()).collect()
    }

    fn statements(&mut self, stmts: &[StudyStmt], env: &mut Env) -> Result<()> {
        for s in stmts {
            match &s.kind {
                StudyStmtKind::Let { local, ty, value } => {
                    let name = self.lower.program.local(*local).name.clone();
                    let v = self.lower.statement(&name, s.span, |l| {
                        let v = l.expr(value, env)?;
                        l.coerce(v, ty.as_ref(), env, value.span)
                    })?;
                    env.set(*local, v);
                }
                StudyStmtKind::Dataset { local, dataset } => {
                    let name = self.lower.program.local(*local).name.clone();
                    let value = DatasetValue { name, dataset: dataset.clone(), args: env.clone() };
                    env.set(*local, Value::Dataset(Rc::new(value)));
                }
                StudyStmtKind::Check(e) => self.check(e, env)?,
                StudyStmtKind::Call(e) => self.output(e, env)?,
                StudyStmtKind::For { var, source, body } => {
                    let source_value = self.lower.statement("for", s.span, |l| l.expr(source, env))?;
                    let items = self.lower.statement("for", s.span, |l| l.items(&source_value, source.span))?;
                    let name = &self.lower.program.local(*var).name;
                    for (i, item) in items.into_iter().enumerate() {
                        self.rounds.push(round(name, &item, i));
                        let mut inner = env.clone();
                        inner.set(*var, item);
                        let done = self.statements(body, &mut inner);
                        self.rounds.pop();
                        done?;
                    }
                }
            }
        }
        Ok(())
    }

    /// `check a < b`; `and` joins several claims.
    fn check(&mut self, e: &Expr, env: &Env) -> Result<()> {
        let text = self.lower.program.sources.text(e.span).to_string();
        if let ExprKind::Op { op: Op::And, args } = &e.kind {
            return args.iter().try_for_each(|a| self.check(a, env));
        }
        let relation = match &e.kind {
            ExprKind::Op { op, args } if args.len() == 2 => match op {
                Op::Lt => Some("<"),
                Op::Le => Some("≤"),
                Op::Gt => Some(">"),
                Op::Ge => Some("≥"),
                Op::Eq => Some("=="),
                Op::Ne => Some("≠"),
                _ => None,
            },
            _ => None,
        };
        let label = format!("check {text}");
        let unit = match &e.kind {
            ExprKind::Op { args, .. } if relation.is_some() => {
                args.iter().map(|a| self.unit(a)).find(|u| !u.is_empty()).unwrap_or_default()
            }
            _ => String::new(),
        };
        let (value, bound, held) = match (&e.kind, relation) {
            (ExprKind::Op { args, .. }, Some(r)) => {
                let sides = self.lower.statement(&label, e.span, |l| {
                    let a = l.expr(&args[0], env)?;
                    let b = l.expr(&args[1], env)?;
                    Ok(vec![Value::Num(l.num(&a, args[0].span)?), Value::Num(l.num(&b, args[1].span)?)])
                })?;
                // Of lists and tensors the claim must hold for every entry; the worst is shown.
                let (a, b) = (entries(&sides[0]), entries(&sides[1]));
                let n = a.len().max(b.len());
                let pair = |i: usize| (a[i.min(a.len() - 1)], b[i.min(b.len() - 1)]);
                let worst = (0..n).map(pair).find(|(x, y)| !compare(r, *x, *y)).unwrap_or(pair(0));
                (worst.0, worst.1, (0..n).all(|i| compare(r, pair(i).0, pair(i).1)))
            }
            _ => {
                let v = self.lower.statement(&label, e.span, |l| {
                    let v = l.expr(e, env)?;
                    Ok(Value::Num(l.num(&v, e.span)?))
                })?;
                let all = entries(&v);
                (all.iter().cloned().fold(f64::INFINITY, f64::min), 1.0, all.iter().all(|x| *x != 0.0 && !x.is_nan()))
            }
        };
        self.outcome.checks.push(Check {
            study: self.study.clone(),
            claim: text,
            round: self.rounds.join(", "),
            unit,
            value,
            bound,
            relation: relation.unwrap_or("holds").into(),
            held,
            span: e.span,
        });
        Ok(())
    }

    /// `report(...)`, `plot(...)`, `vtk(...)`, `save(...)`.
    fn output(&mut self, e: &Expr, env: &Env) -> Result<()> {
        let ExprKind::Call { callee, args } = &e.kind else { return Ok(()) };
        let name = match &callee.kind {
            ExprKind::Def(d) => self.lower.program.def(*d).name.clone(),
            _ => String::new(),
        };
        match name.as_str() {
            "report" => self.report(args, env, e.span),
            "plot" => self.plot(args, env, e.span),
            "vtk" => self.vtk(args, env, e.span),
            "save" => self.save(args, env, e.span),
            _ => {
                // Any other call is evaluated for what it does.
                self.lower.statement(&name, e.span, |l| l.expr(e, env)).map(|_| ())
            }
        }
    }

    fn label(&self, a: &Arg) -> String {
        a.name.clone().unwrap_or_else(|| self.lower.program.sources.text(a.value.span).to_string())
    }

    /// The unit in which an expression's SI value is, as text.
    fn unit(&self, e: &Expr) -> String {
        match self.lower.program.types.get(e.id.index()) {
            Some(Type::Number { dimension, .. }) if !dimension.is_none() => crate::base::units::familiar(dimension),
            _ => String::new(),
        }
    }

    fn values(&mut self, label: &str, args: &[Arg], env: &Env, span: Span) -> Result<Vec<Value>> {
        self.lower.statement(label, span, |l| args.iter().map(|a| l.expr(&a.value, env)).collect::<Result<Vec<_>>>())
    }

    fn report(&mut self, args: &[Arg], env: &Env, span: Span) -> Result<()> {
        let values = self.values("report", args, env, span)?;
        let mut entries = vec![];
        for (a, v) in args.iter().zip(&values) {
            let unit = self.unit(&a.value);
            let entry = match v {
                Value::Str(s) => Entry::Text(s.to_string()),
                Value::Int(i) => Entry::Number { value: *i as f64, unit },
                Value::Bool(b) => Entry::Text(b.to_string()),
                Value::Num(Num::Const(t)) | Value::Stack(Num::Const(t)) if t.ty.len() != 1 => {
                    Entry::Numbers { values: t.to_f64(), shape: t.ty.shape.clone(), unit }
                }
                Value::Num(Num::Const(t)) => Entry::Number { value: t.item(), unit },
                other => {
                    let n = self.lower.statement("report", span, |l| Ok(Value::Num(l.num(other, a.value.span)?)))?;
                    match n {
                        Value::Num(Num::Const(t)) => {
                            Entry::Numbers { values: t.to_f64(), shape: t.ty.shape.clone(), unit }
                        }
                        _ => Entry::Text(other.kind().into()),
                    }
                }
            };
            entries.push((self.label(a), entry));
        }
        self.outcome.rows.push(Row { study: self.study.clone(), entries, span });
        Ok(())
    }

    fn plot(&mut self, args: &[Arg], env: &Env, span: Span) -> Result<()> {
        let values = self.values("plot", args, env, span)?;
        let mut panels = vec![];
        let mut lists: Vec<(String, String, Vec<f64>)> = vec![];
        for (a, v) in args.iter().zip(&values) {
            let (label, unit) = (self.label(a), self.unit(&a.value));
            match v {
                Value::Field(f) => panels.push(self.map(label, unit, f, span)?),
                Value::Artefact(a) => panels.push(losses(&a.history)),
                other => {
                    let n = self.lower.statement("plot", span, |l| Ok(Value::Num(l.num(other, a.value.span)?)))?;
                    if let Some(panel) = over_time(&n, &label, &unit) {
                        panels.push(panel);
                    } else {
                        lists.push((label, unit, entries(&n)));
                    }
                }
            }
        }
        if lists.len() == 1 {
            let (label, unit, y) = lists.remove(0);
            let x = (0..y.len()).map(|i| i as f64).collect();
            panels.push(Panel::Curves {
                x_label: "index".into(),
                x_unit: String::new(),
                y_label: String::new(),
                y_unit: unit,
                curves: vec![Curve { label, x, y }],
                log_y: false,
                points: false,
            });
        } else if let Some(((x_label, x_unit, x), rest)) = lists.split_first() {
            let points = scattered(x);
            let curves =
                rest.iter().map(|(label, _, y)| Curve { label: label.clone(), x: x.clone(), y: y.clone() }).collect();
            panels.push(Panel::Curves {
                x_label: x_label.clone(),
                x_unit: x_unit.clone(),
                y_label: String::new(),
                y_unit: rest[0].1.clone(),
                curves,
                log_y: false,
                points,
            });
        }
        let title = args.iter().map(|a| self.label(a)).collect::<Vec<_>>().join(", ");
        self.outcome.pictures.push(Picture { study: self.study.clone(), title, panels });
        Ok(())
    }

    /// A field as a picture: a map in two dimensions, a curve in one, the middle section in three.
    fn map(&mut self, label: String, unit: String, f: &Field, span: Span) -> Result<Panel> {
        let d = f.domain.clone();
        let at = |axis: usize, s: f64| d.origin[axis] + s * d.extent[axis];
        if d.dimension() == 1 {
            let x: Vec<f64> = (0..=PIXELS).map(|i| at(0, i as f64 / PIXELS as f64)).collect();
            let y = self.sampled(f, x.iter().map(|x| vec![*x]).collect(), span)?;
            return Ok(Panel::Curves {
                x_label: "x".into(),
                x_unit: "m".into(),
                y_label: String::new(),
                y_unit: unit,
                curves: vec![Curve { label, x, y }],
                log_y: false,
                points: false,
            });
        }
        let longest = d.extent[0].max(d.extent[1]);
        let count = |axis: usize| ((PIXELS as f64 * d.extent[axis] / longest).round() as usize).max(2);
        let (columns, rows) = (count(0), count(1));
        let mut points = Vec::with_capacity(columns * rows);
        for r in 0..rows {
            for c in 0..columns {
                let mut p = vec![at(0, (c as f64 + 0.5) / columns as f64), at(1, (r as f64 + 0.5) / rows as f64)];
                p.extend((2..d.dimension()).map(|a| at(a, 0.5)));
                points.push(p);
            }
        }
        let values = self.sampled(f, points, span)?;
        Ok(Panel::Map {
            label,
            unit,
            x: (d.origin[0], d.origin[0] + d.extent[0]),
            y: (d.origin[1], d.origin[1] + d.extent[1]),
            columns,
            rows,
            values,
        })
    }

    /// Values at points; of vectors and tensors the norm.
    fn sampled(&mut self, f: &Field, points: Vec<Vec<f64>>, span: Span) -> Result<Vec<f64>> {
        let (n, d) = (points.len(), f.domain.dimension());
        let x = Num::Const(Tensor::f64([n, d], points.concat()));
        let v = self.lower.statement("plot", span, |l| Ok(Value::Num(l.field_at_points(f, &x, span)?)))?;
        let all = entries(&v);
        let width = all.len() / n.max(1);
        Ok(match width {
            1 => all,
            w => all.chunks(w).map(|c| c.iter().map(|x| x * x).sum::<f64>().sqrt()).collect(),
        })
    }

    fn vtk(&mut self, args: &[Arg], env: &Env, span: Span) -> Result<()> {
        let values = self.values("vtk", args, env, span)?;
        let Some(Value::Str(name)) = values.first().cloned() else {
            return crate::lower::error::error("shapes.arguments", span, "`vtk` takes a file name first");
        };
        let mut fields = vec![];
        for (a, v) in args.iter().zip(&values).skip(1) {
            let Value::Field(f) = v else {
                return crate::lower::error::error(
                    "shapes.arguments",
                    a.value.span,
                    format!("`vtk` writes fields, this is {}", v.kind()),
                );
            };
            let space = self.lower.space_of(f, span)?;
            let x = Num::Const(space.node_coordinates());
            let nodes = self.lower.statement("vtk", span, |l| Ok(Value::Num(l.field_at_points(f, &x, span)?)))?;
            if let Value::Num(Num::Const(values)) = nodes {
                fields.push(SavedField { label: self.label(a), unit: self.unit(&a.value), space, values });
            }
        }
        let path = self.writer.vtk(&name, &fields, span)?;
        self.outcome.files.push(path);
        Ok(())
    }

    fn save(&mut self, args: &[Arg], env: &Env, span: Span) -> Result<()> {
        let values = self.values("save", args, env, span)?;
        let Some(Value::Str(name)) = values.first().cloned() else {
            return crate::lower::error::error("shapes.arguments", span, "`save` takes a file name first");
        };
        let named: Vec<(String, Value)> = args.iter().zip(values).skip(1).map(|(a, v)| (self.label(a), v)).collect();
        let path = self.writer.save(&name, &named, span)?;
        self.outcome.files.push(path);
        Ok(())
    }
}

/// Unordered abscissae are a scatter, but where each lies near the one before they are a path, as in a portrait of phases.
fn scattered(x: &[f64]) -> bool {
    let ordered = x.windows(2).all(|w| w[0] <= w[1]);
    let (low, high) = x.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
    let way: f64 = x.windows(2).map(|w| (w[1] - w[0]).abs()).sum();
    !ordered && way > 0.1 * (high - low) * x.len() as f64
}

/// A list of vectors as a picture: entries from left to right, the list from below.
fn over_time(v: &Value, label: &str, unit: &str) -> Option<Panel> {
    const LEAST: usize = 8;
    let Value::Num(Num::Const(t)) = v else { return None };
    let [rows, columns] = t.ty.shape[..] else { return None };
    if rows < LEAST || columns < LEAST {
        return None;
    }
    Some(Panel::Map {
        label: label.into(),
        unit: unit.into(),
        x: (0.0, columns as f64),
        y: (0.0, rows as f64),
        columns,
        rows,
        values: t.to_f64(),
    })
}

fn entries(v: &Value) -> Vec<f64> {
    match v {
        Value::Num(Num::Const(t)) | Value::Stack(Num::Const(t)) => t.to_f64(),
        Value::Int(i) => vec![*i as f64],
        _ => vec![f64::NAN],
    }
}

fn compare(relation: &str, a: f64, b: f64) -> bool {
    match relation {
        "<" => a < b,
        "≤" => a <= b,
        ">" => a > b,
        "≥" => a >= b,
        "==" => a == b,
        _ => a != b,
    }
}

/// `w = 3`; of what is no number the place in the list.
fn round(name: &str, value: &Value, i: usize) -> String {
    match value {
        Value::Int(n) => format!("{name} = {n}"),
        Value::Num(Num::Const(t)) if t.ty.len() == 1 => format!("{name} = {}", t.item()),
        _ => format!("{name} = item {}", i + 1),
    }
}
