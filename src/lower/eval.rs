//! The evaluator: what each expression of the HIR means, by tracing.

use super::convolution::Convolution;
use super::error::{Error, Result, error, error_help};
use super::runtime::Runtime;
use super::system::Standing;
use super::trace::Tracer;
use super::value::{Env, Field, Function, Leaf, Num, Value};
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{Block, BlockStmt, DefId, Expr, ExprKind, Lambda, Program};
use indexmap::IndexMap;
use std::collections::HashMap;
use std::rc::Rc;

/// Nesting of calls at which a recursion is taken for endless.
const MAX_DEPTH: usize = 200;

pub struct Lower<'p> {
    pub program: &'p Program,
    pub tracer: Tracer,
    pub runtime: &'p mut dyn Runtime,
    pub seed: u64,
    /// Values of definitions, as they are asked for.
    pub(super) defs: HashMap<DefId, Value>,
    /// Definitions being evaluated, for cycles.
    pub(super) open: Vec<DefId>,
    pub(super) weights: Vec<super::net::WeightScope>,
    pub(super) spaces: super::functional::Spaces,
    /// The rows a `minimize` trains on at each step, where it trains in batches.
    pub(super) batch: Option<super::losses::Batch>,
    /// Samples whose rows were walked since a `minimize` began to trace its losses.
    pub(super) walked: Vec<super::losses::Walked>,
    /// The domain whose coordinates bare `x`, `y`, `z` name.
    pub(super) domains: Vec<Rc<super::domain::Domain>>,
    /// The time at which equations are being evaluated, in problems in time.
    pub(super) time: Option<Num>,
    /// Integrals of the unknown inside the terms of equations that change in time, by the numbers that stand for them.
    pub(super) integrals: Option<Vec<Standing>>,
    /// The same of convolutions.
    pub(super) convolutions: Option<Vec<Convolution>>,
    /// What must hold while a run in time goes, where that is asked for.
    pub(super) claims: Option<Vec<super::claims::Claim>>,
    /// What moves, while the equations of a system of numbers are being read.
    pub(super) motion: Option<super::evolve::Motion>,
    /// Velocities of the fields under `∂tt` of the systems being lowered.
    pub(super) velocities: Vec<super::velocities::Velocity>,
    pub warnings: Vec<Diagnostic>,
    /// The statement being evaluated: where a failure of its computation is shown.
    pub here: Span,
    depth: usize,
}

impl<'p> Lower<'p> {
    pub fn new(program: &'p Program, runtime: &'p mut dyn Runtime, seed: u64) -> Lower<'p> {
        Lower {
            program,
            tracer: Tracer::default(),
            runtime,
            seed,
            defs: HashMap::new(),
            open: vec![],
            weights: vec![],
            spaces: Default::default(),
            batch: None,
            walked: vec![],
            domains: vec![],
            time: None,
            integrals: None,
            convolutions: None,
            claims: None,
            motion: None,
            velocities: vec![],
            warnings: vec![],
            here: Span::default(),
            depth: 0,
        }
    }

    pub fn expr(&mut self, e: &Expr, env: &Env) -> Result<Value> {
        match &e.kind {
            ExprKind::Number { value, integer, .. } => Ok(match integer {
                true if value.fract() == 0.0 && value.abs() < 9e15 => Value::Int(*value as i64),
                _ => Value::num(*value),
            }),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::Str(s) => Ok(Value::str(s)),
            ExprKind::Local(local) => match env.get(*local) {
                Some(v) => Ok(v.clone()),
                None => error("run.value", e.span, format!("`{}` has no value here", self.program.local(*local).name)),
            },
            ExprKind::Def(def) => self.def(*def, e.span),
            ExprKind::Coordinate(axis) => match self.domains.last().cloned() {
                Some(d) if (*axis as usize) < d.dimension() => Ok(Value::Field(self.coordinate(&d, *axis as usize))),
                _ => error_help(
                    "names.coordinate",
                    e.span,
                    "there is no domain here whose coordinate this could be",
                    "name the domain: `Ω.x`",
                ),
            },
            ExprKind::Normal => match self.domains.last().cloned() {
                Some(d) => {
                    let ty = crate::ir::Type::f64([d.dimension()]);
                    Ok(Value::Field(self.leaf(&d, Leaf::Normal, ty)))
                }
                None => error("run.equation", e.span, "the normal is defined on a boundary only"),
            },
            ExprKind::Time => match &self.time {
                Some(t) => Ok(Value::Num(t.clone())),
                None => error_help(
                    "run.equation",
                    e.span,
                    "there is no time here",
                    "`t` stands in systems that are solved in time: `solve(S(), scheme, t=0..1)`",
                ),
            },
            ExprKind::Intrinsic => error("run.value", e.span, "`intrinsic` stands only in the standard library"),
            ExprKind::Op { op, args } => {
                let values: Vec<Value> = args.iter().map(|a| self.expr(a, env)).collect::<Result<_>>()?;
                self.apply(op, &values, e.span)
            }
            ExprKind::Call { callee, args } => self.call_expr(callee, args, env, e.span),
            ExprKind::Member { base, name, name_span } => {
                let base = self.expr(base, env)?;
                self.member(&base, name, *name_span)
            }
            ExprKind::Index { base, indices } => {
                let base = self.expr(base, env)?;
                let indices: Vec<Value> = indices.iter().map(|i| self.expr(i, env)).collect::<Result<_>>()?;
                self.index(&base, &indices, e.span)
            }
            ExprKind::If { condition, then, otherwise } => {
                let c = self.expr(condition, env)?;
                match &c {
                    Value::Bool(b) => return self.expr(if *b { then } else { otherwise }, env),
                    Value::Num(Num::Const(t)) if t.ty.len() == 1 => {
                        return self.expr(if t.item() != 0.0 { then } else { otherwise }, env);
                    }
                    _ => {}
                }
                let a = self.expr(then, env)?;
                let b = self.expr(otherwise, env)?;
                let args = [self.numeric(&c, e.span)?, self.numeric(&a, e.span)?, self.numeric(&b, e.span)?];
                self.pointwise(&args, e.span, |l, n| {
                    Ok(l.tracer.build(&[&n[0], &n[1], &n[2]], |b, v| b.select(v[0], v[1], v[2])))
                })
            }
            ExprKind::Lambda(lambda) => Ok(Value::Function(Rc::new(Function {
                name: "fn".into(),
                lambda: Rc::new((**lambda).clone()),
                env: env.clone(),
            }))),
            ExprKind::List(items) | ExprKind::Tuple(items) => {
                let items: Vec<Value> = items.iter().map(|i| self.expr(i, env)).collect::<Result<_>>()?;
                Ok(Value::list(items))
            }
            ExprKind::Comprehension { body, var, source } => {
                let source_value = self.expr(source, env)?;
                self.comprehension(body, *var, &source_value, env, e.span)
            }
            ExprKind::Error => error("run.value", e.span, "this expression could not be read"),
        }
    }

    fn comprehension(
        &mut self,
        body: &Expr,
        var: crate::sema::hir::LocalId,
        source: &Value,
        env: &Env,
        span: Span,
    ) -> Result<Value> {
        if let Value::Sample(s) = source {
            return self.over_rows(body, var, s.clone(), env, span);
        }
        let items = self.items(source, span)?;
        let mut out = vec![];
        for item in items {
            let mut inner = env.clone();
            inner.set(var, item);
            out.push(self.expr(body, &inner)?);
        }
        Ok(Value::list(out))
    }

    /// The items of a list-like value.
    pub fn items(&mut self, v: &Value, span: Span) -> Result<Vec<Value>> {
        match v {
            Value::List(items) => Ok(items.to_vec()),
            Value::Range(a, b) => match (&**a, &**b) {
                (Value::Int(a), Value::Int(b)) if b - a <= 1_000_000 => Ok((*a..=*b).map(Value::Int).collect()),
                _ => error_help(
                    "shapes.items",
                    span,
                    "only a range of integers can be walked",
                    "use `linspace(a, b, n)`",
                ),
            },
            Value::Num(n) | Value::Stack(n) if !n.shape().is_empty() => {
                let n = n.clone();
                Ok((0..n.shape()[0])
                    .map(|i| Value::Num(self.tracer.build(&[&n], |b, v| b.index(v[0], 0, i))))
                    .collect())
            }
            other => error("shapes.items", span, format!("expected a list, found {}", other.kind())),
        }
    }

    pub fn block(&mut self, block: &Block, env: &mut Env) -> Result<Value> {
        for stmt in &block.stmts {
            match stmt {
                BlockStmt::Let { local, ty, value } => {
                    let v = self.expr(value, env)?;
                    let v = self.coerce(v, ty.as_ref(), env, value.span)?;
                    env.set(*local, v);
                }
                BlockStmt::Weight { local, name, ty, init } => {
                    let w = self.weight(name, ty, init, env)?;
                    env.set(*local, Value::Num(w));
                }
                BlockStmt::Next { value, .. } => {
                    return error(
                        "unsupported.state",
                        value.span,
                        "closures with state (`next`) are not supported yet: they need a time loop",
                    );
                }
            }
        }
        self.expr(&block.result, env)
    }

    /// Evaluates in a trace of its own and computes what is left traced: the result is constant.
    pub fn apart<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T>
    where
        T: super::runtime::Settle,
    {
        let outer = self.tracer.set_aside();
        let result = (|| {
            self.tracer.open("statement", &[]);
            let v = f(self)?;
            v.settle(self)
        })();
        self.tracer.restore(outer);
        result
    }

    /// Runs a lambda's body with its parameters bound.
    pub fn run_lambda(&mut self, name: &str, lambda: &Lambda, env: &mut Env, span: Span) -> Result<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.depth = 0;
            return error("run.value", span, format!("`{name}` calls itself without end"));
        }
        let out = self.block(&lambda.body, env);
        self.depth = self.depth.saturating_sub(1);
        let out = out?;
        self.coerce(out, lambda.result.as_ref(), env, span)
    }

    /// A value that must be a field; lists of fields stack.
    pub fn field(&mut self, v: &Value, span: Span) -> Result<Field> {
        match self.numeric(v, span)? {
            Value::Field(f) => Ok(f),
            Value::Num(n) => match self.domains.last().cloned() {
                Some(d) => Ok(self.constant_field(&d, &n)),
                None => error("shapes.field", span, "expected a field, found a number"),
            },
            other => error("shapes.field", span, format!("expected a field, found {}", other.kind())),
        }
    }

    /// Adds where the evaluation was, for errors that come from inside the library.
    pub fn called_from(e: Error, span: Span, name: &str) -> Error {
        if e.labels.iter().any(|l| l.span == span) {
            e
        } else {
            Box::new(e.label(span, format!("in this call of `{name}`")))
        }
    }

    pub fn members(pairs: Vec<(&str, Value)>) -> IndexMap<String, Value> {
        pairs.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
    }
}
