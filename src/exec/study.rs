//! Running studies: statement by statement, each a trace of its own, with its checks and outputs recorded.

use super::outcome::{Check, Curve, Entry, Outcome, Panel, Picture, Row, losses};
use crate::base::{Diagnostic, Span};
use crate::discretize::{Mesh, Space};
use crate::ir::Tensor;
use crate::lower::value::{DatasetValue, Env, Field, Leaf, Num, Value};
use crate::lower::{Lower, Result};
use crate::sema::hir::{Arg, DefId, DefKind, Expr, ExprKind, Op, StudyStmt, StudyStmtKind, SystemStmtKind};
use crate::sema::types::Type;
use std::path::PathBuf;
use std::rc::Rc;

/// Pixels along the longer side of a field's picture.
const PIXELS: usize = 240;

/// Frames of a film at most.
const FRAMES: usize = 24;

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

/// Fields on one lattice at the same times.
pub struct Series {
    pub space: Rc<Space>,
    /// Empty: one state without a time.
    pub times: Vec<f64>,
    pub fields: Vec<Samples>,
}

/// A field at each time.
pub struct Samples {
    pub label: String,
    pub unit: String,
    /// `[N]`, `[N, d]` or `[N, d, d]`
    pub values: Vec<Tensor>,
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
    /// Writes fields over time; the format by the name. Gives the path.
    fn series(&mut self, name: &str, series: &Series, span: Span) -> std::result::Result<PathBuf, Box<Diagnostic>>;
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
            "write" => self.write(args, env, e.span),
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
            Some(Type::List(of)) => match &**of {
                Type::Number { dimension, .. } if !dimension.is_none() => crate::base::units::familiar(dimension),
                _ => String::new(),
            },
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
                Value::Solution(_) => {
                    let (shown, times) = self.over_time(a, v);
                    for (label, unit, states) in shown {
                        self.film(&mut panels, (label, unit), &states, &times, span)?;
                    }
                }
                Value::List(items) if matches!(items.first(), Some(Value::Field(_))) => {
                    let times = self.times_of(&a.value, env);
                    let (shown, _) = self.over_time(a, v);
                    for (label, unit, states) in shown {
                        self.film(&mut panels, (label, unit), &states, &times, span)?;
                    }
                }
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

/// What is shown or written of a value: fields at times, with names and units.
type Shown = (String, String, Vec<Field>);

impl Studies<'_, '_> {
    /// The times of `s.u`, where s is a solution over time.
    fn times_of(&mut self, e: &Expr, env: &Env) -> Vec<f64> {
        let ExprKind::Member { base, .. } = &e.kind else { return vec![] };
        match self.lower.statement("plot", e.span, |l| l.expr(base, env)) {
            Ok(Value::Solution(s)) => s.members.get("t").map(entries).unwrap_or_default(),
            _ => vec![],
        }
    }

    /// Pictures of a field at several times: maps in one place, or curves in one frame.
    fn film(
        &mut self,
        panels: &mut Vec<Panel>,
        (label, unit): (String, String),
        states: &[Field],
        times: &[f64],
        span: Span,
    ) -> Result<()> {
        if let [one] = states {
            panels.push(self.map(label, unit, one, span)?);
            return Ok(());
        }
        let name = |k: usize| match times.get(k) {
            Some(t) => format!("{label}, t = {}", super::progress::short(*t)),
            None => format!("{label}, {k}"),
        };
        let lines = states[0].domain.dimension() == 1;
        let most = if lines { 6 } else { FRAMES };
        let n = states.len();
        let some: Vec<usize> =
            if n <= most { (0..n).collect() } else { (0..most).map(|k| k * (n - 1) / (most - 1)).collect() };
        let mut frames =
            some.iter().map(|&k| self.map(name(k), unit.clone(), &states[k], span)).collect::<Result<Vec<_>>>()?;
        if !lines {
            panels.push(Panel::Film(frames));
            return Ok(());
        }
        // All curves in the frame of the first.
        let rest = frames.split_off(1);
        if let Some(Panel::Curves { curves, y_label, .. }) = frames.first_mut() {
            *y_label = label;
            for f in rest {
                if let Panel::Curves { curves: more, .. } = f {
                    curves.extend(more);
                }
            }
        }
        panels.extend(frames);
        Ok(())
    }

    /// Fields over time from a solution, a field or a list of fields; the times where they are known.
    fn over_time(&self, a: &Arg, v: &Value) -> (Vec<Shown>, Vec<f64>) {
        let fields = |v: &Value| -> Option<Vec<Field>> {
            match v {
                Value::Field(f) => Some(vec![f.clone()]),
                Value::List(items) => {
                    items.iter().map(|i| if let Value::Field(f) = i { Some(f.clone()) } else { None }).collect()
                }
                _ => None,
            }
        };
        match v {
            Value::Solution(s) => {
                let shown = s
                    .members
                    .iter()
                    .filter_map(|(name, v)| Some((name.clone(), self.declared_unit(s.problem, name), fields(v)?)));
                let times = s.members.get("t").map(entries).filter(|t| t.len() > 1).unwrap_or_default();
                (shown.filter(|s| !s.2.is_empty()).collect(), times)
            }
            other => {
                let shown = fields(other).filter(|f| !f.is_empty()).map(|f| (self.label(a), self.unit(&a.value), f));
                (shown.into_iter().collect(), vec![])
            }
        }
    }

    /// The unit that a system declares for an unknown, in SI.
    fn declared_unit(&self, system: DefId, unknown: &str) -> String {
        let DefKind::System(system) = &self.lower.program.def(system).kind else { return String::new() };
        let unit = system.stmts.iter().find_map(|s| match &s.kind {
            SystemStmtKind::Unknown { name, ty, .. } if name == unknown => ty.unit.clone(),
            _ => None,
        });
        unit.filter(|u| !u.dimension.is_none()).map(|u| crate::base::units::familiar(&u.dimension)).unwrap_or_default()
    }

    /// Values at the nodes of a space.
    fn at_nodes(&mut self, f: &Field, space: &Rc<Space>, span: Span) -> Result<Tensor> {
        if let [Leaf::Discrete { field, gradient: false }] = &f.leaves[..]
            && f.func.nodes.len() == 1
            && Rc::ptr_eq(&field.space, space)
            && let Some(known) = field.dofs.tensor()
        {
            return Ok(known.clone());
        }
        let x = Num::Const(space.node_coordinates());
        match self.lower.statement("write", span, |l| Ok(Value::Num(l.field_at_points(f, &x, span)?)))? {
            Value::Num(Num::Const(values)) => Ok(values),
            _ => crate::lower::error::error("run.value", span, "the values of this field are not known here"),
        }
    }

    /// `write(solution, "name.vtkhdf")`, `write("name.npz", s.u, s.v)`
    fn write(&mut self, args: &[Arg], env: &Env, span: Span) -> Result<()> {
        let wrong = |message: String| {
            crate::lower::error::error_help("shapes.arguments", span, message, "for example `write(s, \"run.vtkhdf\")`")
        };
        let values = self.values("write", args, env, span)?;
        let Some(name) = values.iter().find_map(|v| if let Value::Str(s) = v { Some(s.clone()) } else { None }) else {
            return wrong("`write` takes the name of a file".into());
        };
        let (mut shown, mut times) = (vec![], vec![]);
        for (a, v) in args.iter().zip(&values).filter(|(_, v)| !matches!(v, Value::Str(_))) {
            match (a.name.as_deref(), v) {
                (Some("t"), v) => times = entries(v),
                _ => {
                    let (more, at) = self.over_time(a, v);
                    if more.is_empty() {
                        return wrong(format!(
                            "`write` takes solutions, fields and lists of fields, this is {}",
                            v.kind()
                        ));
                    }
                    shown.extend(more);
                    times = if times.is_empty() { at } else { times };
                }
            }
        }
        let Some((_, _, first)) = shown.first() else { return wrong("there is nothing to write".into()) };
        let (count, mut space) = (first.len(), self.lower.space_of(&first[0], span)?);
        if space.mesh.clustered {
            // A series holds evenly spaced points.
            space = self.lower.space(Mesh { clustered: false, ..space.mesh.clone() }, 1, span)?;
        }
        if times.is_empty() && count > 1 {
            times = (0..count).map(|k| k as f64).collect();
        }
        let mut fields = vec![];
        for (label, unit, states) in &shown {
            if states.len() != count || (count > 1 && times.len() != count) {
                return wrong(format!(
                    "`{label}` has {} states, others have {count} and there are {} times",
                    states.len(),
                    times.len()
                ));
            }
            let values = states.iter().map(|f| self.at_nodes(f, &space, span)).collect::<Result<Vec<_>>>()?;
            fields.push(Samples { label: label.clone(), unit: unit.clone(), values });
        }
        let path = self.writer.series(&name, &Series { space, times, fields }, span)?;
        self.outcome.files.push(path);
        Ok(())
    }
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
