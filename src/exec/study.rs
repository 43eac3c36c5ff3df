//! Running studies: statement by statement, each a trace of its own, with its checks and outputs recorded.

mod files;
mod pictures;

pub use self::files::{Samples, SavedField, Series, Writer};
use super::outcome::{Check, Entry, Outcome, Row};
use crate::base::{Diagnostic, Span};
use crate::lower::value::{DatasetValue, Env, Num, Value};
use crate::lower::{Lower, Result};
use crate::sema::hir::{Arg, DefId, DefKind, Expr, ExprKind, Op, StudyStmt, StudyStmtKind};
use crate::sema::types::Type;
use std::rc::Rc;

pub struct Studies<'a, 'p> {
    pub lower: &'a mut Lower<'p>,
    pub outcome: Outcome,
    /// Writes files that a study asks for.
    pub writer: &'a mut dyn Writer,
    study: String,
    /// Variables of the loops around the statement, with their values.
    rounds: Vec<String>,
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
