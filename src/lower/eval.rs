//! The evaluator: what each expression of the HIR means, by tracing.

use super::arith::is_identity;
use super::error::{Error, Result, error, error_help};
use super::runtime::Runtime;
use super::trace::Tracer;
use super::value::{Artefact, Env, Field, Function, Functional, Leaf, NetValue, Num, Residual, Sample, Value};
use crate::base::{Diagnostic, Span};
use crate::ir::Unary;
use crate::sema::hir::{Block, BlockStmt, DefId, DefKind, Expr, ExprKind, Lambda, Op, Program, TypeExpr, TypeExprKind};
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
    defs: HashMap<DefId, Value>,
    /// Definitions being evaluated, for cycles.
    open: Vec<DefId>,
    pub(super) weights: Vec<super::net::WeightScope>,
    pub(super) spaces: super::functional::Spaces,
    /// The rows a `minimize` trains on at each step, where it trains in batches.
    pub(super) batch: Option<super::losses::Batch>,
    /// Samples whose rows were walked since a `minimize` began to trace its losses.
    pub(super) walked: Vec<super::losses::Walked>,
    /// The domain whose coordinates bare `x`, `y`, `z` name.
    pub(super) domains: Vec<Rc<super::domain::Domain>>,
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
            ExprKind::Time => error("unsupported.time", e.span, "problems in time are not supported yet"),
            ExprKind::Intrinsic => error("run.value", e.span, "`intrinsic` stands only in the standard library"),
            ExprKind::Op { op, args } => self.operator(op, args, env, e.span),
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

    // ---- definitions

    /// The value of a definition; evaluated once, in a trace of its own.
    pub fn def(&mut self, id: DefId, span: Span) -> Result<Value> {
        if let Some(v) = self.defs.get(&id) {
            return Ok(v.clone());
        }
        let program = self.program;
        let def = program.def(id);
        if self.open.contains(&id) {
            return error("names.cycle", span, format!("`{}` is defined by itself", def.name));
        }
        self.open.push(id);
        let value = self.define(id, span);
        self.open.pop();
        let value = value?;
        self.defs.insert(id, value.clone());
        Ok(value)
    }

    /// Sets a definition's value from outside (tests, resumed tasks).
    pub fn set_def(&mut self, id: DefId, value: Value) {
        self.defs.insert(id, value);
    }

    fn define(&mut self, id: DefId, span: Span) -> Result<Value> {
        let program = self.program;
        let def = program.def(id);
        match &def.kind {
            DefKind::Param { ty, value, bounds } => {
                let v = self.apart(|l| {
                    let v = l.expr(value, &Env::default())?;
                    l.coerce(v, ty.as_ref(), &Env::default(), value.span)
                })?;
                self.in_bounds(&def.name, &v, bounds.as_ref())?;
                Ok(v)
            }
            DefKind::Let { value, .. } if matches!(value.kind, ExprKind::Intrinsic) => {
                Ok(super::intrinsics::symbol(&def.name, def.span))
            }
            DefKind::Let { ty, value } => {
                let label = def.name.clone();
                self.task(&label, id, |l| {
                    let v = l.expr(value, &Env::default())?;
                    let v = l.coerce(v, ty.as_ref(), &Env::default(), value.span)?;
                    Ok(l.named(v, &label))
                })
            }
            DefKind::Fn(lambda) => Ok(match lambda.body.result.kind {
                ExprKind::Intrinsic => Value::Intrinsic(id),
                _ => Value::Function(Rc::new(Function {
                    name: def.name.clone(),
                    lambda: Rc::new(lambda.clone()),
                    env: Env::default(),
                })),
            }),
            DefKind::Net { hyper, .. } if hyper.is_empty() => {
                Ok(Value::Net(Rc::new(NetValue::Layer { def: id, hyper: Env::default() })))
            }
            DefKind::Minimize { params, .. } if params.is_empty() => self.minimize(id, &Env::default(), span),
            DefKind::Net { .. }
            | DefKind::Closure { .. }
            | DefKind::System(_)
            | DefKind::Dataset(_)
            | DefKind::Minimize { .. }
            | DefKind::Study { .. }
            | DefKind::Scale { .. } => Ok(Value::Def(id)),
            DefKind::Unit(_) | DefKind::Dim(_) => {
                error("run.value", span, format!("`{}` is a unit, not a value", def.name))
            }
            DefKind::Error => error("run.value", span, format!("`{}` could not be read", def.name)),
        }
    }

    fn in_bounds(&mut self, name: &str, v: &Value, bounds: Option<&Expr>) -> Result<()> {
        let Some(bounds) = bounds else { return Ok(()) };
        let range = self.apart(|l| l.expr(bounds, &Env::default()))?;
        if let (Some(x), Value::Range(a, b)) = (v.known(), &range)
            && let (Some(a), Some(b)) = (a.known(), b.known())
            && !(a..=b).contains(&x)
        {
            return error(
                "names.bounds",
                bounds.span,
                format!("parameter `{name}` is {x}, outside its bounds {a}..{b}"),
            );
        }
        Ok(())
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

    /// Domains take the name of the `let` they are defined by.
    fn named(&self, v: Value, name: &str) -> Value {
        match v {
            Value::Domain(d) if d.name.is_empty() => {
                let mut d = (*d).clone();
                d.name = name.into();
                Value::Domain(Rc::new(d))
            }
            v => v,
        }
    }

    // ---- types as declared

    /// Makes a value fit a declared type: a function becomes the closure it is declared to be, a net takes the closure's
    /// ports, zero becomes the zero tensor.
    pub fn coerce(&mut self, v: Value, ty: Option<&TypeExpr>, env: &Env, span: Span) -> Result<Value> {
        let Some(ty) = ty else { return Ok(v) };
        match (&ty.kind, &v) {
            (TypeExprKind::Closure(def), _) => self.as_closure(v, *def, span),
            (TypeExprKind::Real, Value::Int(i)) => Ok(Value::num(*i as f64)),
            (TypeExprKind::Vec(n), _) => match self.size(n.as_deref(), env)? {
                Some(n) => self.filled(v, &[n], span),
                None => Ok(v),
            },
            (TypeExprKind::Sym(n), _) => match self.size(n.as_deref(), env)? {
                Some(n) => self.filled(v, &[n, n], span),
                None => Ok(v),
            },
            (TypeExprKind::Mat(m, n), _) => match (self.size(Some(m), env)?, self.size(Some(n), env)?) {
                (Some(m), Some(n)) => self.filled(v, &[m, n], span),
                _ => Ok(v),
            },
            (TypeExprKind::Stiff(n), _) => match self.size(n.as_deref(), env)? {
                Some(n) => self.filled(v, &[n, n, n, n], span),
                None => Ok(v),
            },
            (TypeExprKind::Field { domain, element }, _) => {
                let domain_value = self.expr(domain, env)?;
                let Value::Domain(d) = domain_value else { return Ok(v) };
                match self.numeric(&v, span)? {
                    Value::Num(n) => {
                        let n = match (&element.kind, n.known()) {
                            (TypeExprKind::Real, _) | (_, None) => n,
                            _ => n,
                        };
                        Ok(Value::Field(self.constant_field(&d, &n)))
                    }
                    Value::Field(f) if *f.domain != *d => error_help(
                        "shapes.domains",
                        span,
                        format!("expected a field over `{}`, found one over `{}`", d.name, f.domain.name),
                        "a field can be read on another domain only at points: `f(x, y)`",
                    ),
                    f => Ok(f),
                }
            }
            _ => Ok(v),
        }
    }

    /// A declared extent, where its names are bound.
    pub fn size(&mut self, e: Option<&Expr>, env: &Env) -> Result<Option<usize>> {
        let Some(e) = e else { return Ok(None) };
        if let ExprKind::Local(l) = e.kind
            && env.get(l).is_none()
        {
            return Ok(None);
        }
        match self.expr(e, env)? {
            Value::Int(n) if n >= 0 => Ok(Some(n as usize)),
            other => error("shapes.size", e.span, format!("a size is a whole number, this is {}", other.kind())),
        }
    }

    fn filled(&mut self, v: Value, shape: &[usize], span: Span) -> Result<Value> {
        if matches!(v, Value::Function(_) | Value::Net(_) | Value::None) {
            return Ok(v);
        }
        if is_identity(&v) && shape.len() == 2 {
            return Ok(Value::Num(super::arith::identity(shape[0])));
        }
        match self.numeric(&v, span)? {
            Value::Num(n) if n.shape() == shape => Ok(Value::Num(n)),
            Value::Num(n) if n.known() == Some(0.0) => {
                Ok(Value::Num(Num::Const(crate::ir::Tensor::zeros(&crate::ir::Type::f64(shape)))))
            }
            Value::Num(n) => error(
                "shapes.mismatch",
                span,
                format!("expected {}, found {}", super::arith::shape_name(shape), super::arith::shape_name(n.shape())),
            ),
            other => Ok(other),
        }
    }

    // ---- operators

    fn operator(&mut self, op: &Op, args: &[Expr], env: &Env, span: Span) -> Result<Value> {
        let values: Vec<Value> = args.iter().map(|a| self.expr(a, env)).collect::<Result<_>>()?;
        self.apply(op, &values, span)
    }

    pub fn apply(&mut self, op: &Op, v: &[Value], span: Span) -> Result<Value> {
        match op {
            Op::Range => Ok(Value::Range(Box::new(v[0].clone()), Box::new(v[1].clone()))),
            Op::Affine(u) => self.affine(&v[0], u.factor, u.offset, span),
            Op::Neg => match self.numeric_or_int(&v[0], span)? {
                Value::Int(i) => Ok(Value::Int(-i)),
                Value::Residual(r) => self.scale_residual(&r, -1.0, span),
                other => self.pointwise(&[other], span, |l, n| Ok(l.neg_num(&n[0]))),
            },
            Op::Not => match &v[0] {
                Value::Bool(b) => Ok(Value::Bool(!b)),
                other => {
                    let x = self.numeric(other, span)?;
                    self.apply(&Op::Sub, &[Value::num(1.0), x], span)
                }
            },
            Op::Sqrt => {
                let x = self.numeric(&v[0], span)?;
                self.pointwise(&[x], span, |l, n| Ok(l.unary_num(Unary::Sqrt, &n[0])))
            }
            Op::Transpose => {
                let x = self.numeric(&v[0], span)?;
                self.pointwise(&[x], span, |l, n| l.transpose_num(&n[0], span))
            }
            Op::Grad => {
                let f = self.field(&v[0], span)?;
                Ok(Value::Field(self.gradient(&f, span)?))
            }
            Op::Div => {
                let f = self.field(&v[0], span)?;
                if f.has_unknown() {
                    return Ok(Value::Residual(Rc::new(Residual { flux: Some(Value::Field(f)), source: None })));
                }
                self.divergence(&f, span)
            }
            Op::Lap => {
                let f = self.field(&v[0], span)?;
                let g = self.gradient(&f, span)?;
                self.apply(&Op::Div, &[Value::Field(g)], span)
            }
            Op::Partial(axes) => {
                let mut f = self.field(&v[0], span)?;
                for &axis in axes {
                    if axis == 3 {
                        return error("unsupported.time", span, "problems in time (`∂t`) are not supported yet");
                    }
                    let g = self.gradient(&f, span)?;
                    let out = self.pointwise(&[Value::Field(g)], span, |l, n| {
                        let last = n[0].shape().len() - 1;
                        if axis as usize >= n[0].shape()[last] {
                            return error("names.coordinate", span, "the domain has fewer dimensions");
                        }
                        Ok(l.tracer.build(&[&n[0]], |b, v| b.index(v[0], last, axis as usize)))
                    })?;
                    let Value::Field(next) = out else { return Ok(out) };
                    f = next;
                }
                Ok(Value::Field(f))
            }
            Op::Curl => error("unsupported.library", span, "the curl is not supported yet"),
            Op::Add | Op::Sub | Op::Mul | Op::Divide => self.sum_or_product(op, &v[0], &v[1], span),
            Op::Eq | Op::Ne
                if matches!((&v[0], &v[1]), (Value::Str(_), Value::Str(_)) | (Value::Bool(_), Value::Bool(_))) =>
            {
                let same = match (&v[0], &v[1]) {
                    (Value::Str(a), Value::Str(b)) => a == b,
                    (Value::Bool(a), Value::Bool(b)) => a == b,
                    _ => false,
                };
                Ok(Value::Bool(same == (*op == Op::Eq)))
            }
            Op::And | Op::Or if matches!((&v[0], &v[1]), (Value::Bool(_), Value::Bool(_))) => match (&v[0], &v[1]) {
                (Value::Bool(a), Value::Bool(b)) => Ok(Value::Bool(if *op == Op::And { *a && *b } else { *a || *b })),
                _ => error("run.value", span, "not truth values"),
            },
            Op::Pow
            | Op::Dot
            | Op::DoubleDot
            | Op::Cross
            | Op::Outer
            | Op::Or
            | Op::And
            | Op::Le
            | Op::Ge
            | Op::Eq
            | Op::Ne
            | Op::Lt
            | Op::Gt => {
                if let (Op::Pow, Value::Int(a), Value::Int(b)) = (op, &v[0], &v[1])
                    && let Some(p) = u32::try_from(*b).ok().and_then(|b| a.checked_pow(b))
                {
                    return Ok(Value::Int(p));
                }
                let (a, b) = self.sized(v[0].clone(), v[1].clone(), span)?;
                let args = [self.numeric(&a, span)?, self.numeric(&b, span)?];
                if let Some(r) = args.iter().find(|a| matches!(a, Value::Residual(_) | Value::Functional(_))) {
                    return error(
                        "run.equation",
                        span,
                        format!("{} can be added to and scaled by a number, nothing else", r.kind()),
                    );
                }
                self.pointwise(&args, span, |l, n| l.binary_num(op, &n[0], &n[1], span))
            }
        }
    }

    fn affine(&mut self, v: &Value, factor: f64, offset: f64, span: Span) -> Result<Value> {
        match v {
            Value::Range(a, b) => Ok(Value::Range(
                Box::new(self.affine(a, factor, offset, span)?),
                Box::new(self.affine(b, factor, offset, span)?),
            )),
            Value::List(items) => {
                let items: Vec<Value> =
                    items.iter().map(|i| self.affine(i, factor, offset, span)).collect::<Result<_>>()?;
                Ok(Value::list(items))
            }
            other => {
                let x = self.numeric(other, span)?;
                self.pointwise(&[x], span, |l, n| {
                    Ok(l.tracer.build(&[&n[0]], |b, v| {
                        let s = b.scale(v[0], factor);
                        if offset == 0.0 {
                            return s;
                        }
                        let o = b.scalar(offset);
                        b.add(s, o)
                    }))
                })
            }
        }
    }

    fn numeric_or_int(&mut self, v: &Value, span: Span) -> Result<Value> {
        if let Value::Int(i) = v { Ok(Value::Int(*i)) } else { self.numeric(v, span) }
    }

    fn sum_or_product(&mut self, op: &Op, a: &Value, b: &Value, span: Span) -> Result<Value> {
        if let (Value::Int(x), Value::Int(y)) = (a, b) {
            let exact = match op {
                Op::Add => x.checked_add(*y),
                Op::Sub => x.checked_sub(*y),
                Op::Mul => x.checked_mul(*y),
                _ => None,
            };
            if let Some(z) = exact {
                return Ok(Value::Int(z));
            }
        }
        let (a, b) = match op {
            // `s*I` stays symbolic until what it is added to tells its size.
            Op::Mul if is_identity(a) && !is_identity(b) => return self.scaled_identity(op, a, b, span),
            Op::Mul if is_identity(b) && !is_identity(a) => return self.scaled_identity(op, b, a, span),
            Op::Divide if is_identity(a) && !is_identity(b) => return self.scaled_identity(op, a, b, span),
            _ => self.sized(a.clone(), b.clone(), span)?,
        };
        let (a, b) = (self.numeric(&a, span)?, self.numeric(&b, span)?);
        match (&a, &b, op) {
            (Value::Residual(_), _, Op::Add | Op::Sub) | (_, Value::Residual(_), Op::Add | Op::Sub) => {
                self.add_residuals(&a, &b, if *op == Op::Sub { -1.0 } else { 1.0 }, span)
            }
            (Value::Residual(r), Value::Num(n), Op::Mul | Op::Divide)
            | (Value::Num(n), Value::Residual(r), Op::Mul) => match n.known() {
                Some(x) => self.scale_residual(r, if *op == Op::Divide { 1.0 / x } else { x }, span),
                None => error("run.equation", span, "a divergence can be scaled by a known number only"),
            },
            (Value::Residual(_), _, _) | (_, Value::Residual(_), _) => error_help(
                "run.equation",
                span,
                "a divergence of the unknown's flux is multiplied by something that varies",
                "move the factor into the flux, or divide the equation by it",
            ),
            (Value::Functional(_), _, _) | (_, Value::Functional(_), _) => {
                error("run.equation", span, "an integral of the unknown stands alone on one side of its equation")
            }
            _ => self.pointwise(&[a.clone(), b.clone()], span, |l, n| l.binary_num(op, &n[0], &n[1], span)),
        }
    }

    fn scaled_identity(&mut self, op: &Op, identity: &Value, by: &Value, span: Span) -> Result<Value> {
        let by = self.numeric(by, span)?;
        let shape = match &by {
            Value::Num(n) => n.shape().to_vec(),
            Value::Field(f) => f.shape().to_vec(),
            _ => vec![],
        };
        if let (Op::Mul, [_, n]) = (op, &shape[..]) {
            // A matrix times `I` entry by entry is no product on paper.
            return error_help(
                "shapes.mismatch",
                span,
                format!("a matrix of {n} columns is multiplied (`*`) by `I`"),
                "write `A·I`, or just `A`",
            );
        }
        let before = super::arith::identity_factor(identity).unwrap_or(Value::num(1.0));
        let factor = self.apply(op, &[before, by], span)?;
        Ok(Value::record("identity", span, IndexMap::from([("factor".to_string(), factor)])))
    }

    fn scale_residual(&mut self, r: &Residual, x: f64, span: Span) -> Result<Value> {
        let mut part = |v: &Option<Value>| -> Result<Option<Value>> {
            v.as_ref()
                .map(|v| self.pointwise(std::slice::from_ref(v), span, |l, n| Ok(l.scale_num(&n[0], x))))
                .transpose()
        };
        let (flux, source) = (part(&r.flux)?, part(&r.source)?);
        Ok(Value::Residual(Rc::new(Residual { flux, source })))
    }

    /// `a + sign·b`, where one or both are residuals.
    fn add_residuals(&mut self, a: &Value, b: &Value, sign: f64, span: Span) -> Result<Value> {
        let parts = |v: &Value| match v {
            Value::Residual(r) => (**r).clone(),
            other => Residual { flux: None, source: Some(other.clone()) },
        };
        let (a, b) = (parts(a), parts(b));
        let op = if sign < 0.0 { Op::Sub } else { Op::Add };
        let mut join = |a: Option<Value>, b: Option<Value>| -> Result<Option<Value>> {
            match (a, b) {
                (a, None) => Ok(a),
                (None, Some(b)) => Ok(Some(self.pointwise(&[b], span, |l, n| Ok(l.scale_num(&n[0], sign)))?)),
                (Some(a), Some(b)) => {
                    Ok(Some(self.pointwise(&[a, b], span, |l, n| l.binary_num(&op, &n[0], &n[1], span))?))
                }
            }
        };
        let flux = join(a.flux, b.flux)?;
        let source = join(a.source, b.source)?;
        Ok(Value::Residual(Rc::new(Residual { flux, source })))
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

    // ---- members and indices

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
                } else if name == "measure" || name == "area" && d.dimension() == 2 {
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
                if names.is_empty() {
                    error("names.member", span, message)
                } else {
                    error_help("names.member", span, message, format!("it has {}", names.join(", ")))
                }
            },
            Ok,
        )
    }

    fn artefact_member(&self, a: &Artefact, name: &str) -> Option<Value> {
        let curve = |y: &[f64]| Value::Stack(Num::Const(crate::ir::Tensor::f64([y.len()], y)));
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
        s.columns.get(name).map(|c| Value::Stack(c.values.clone()))
    }

    fn index(&mut self, base: &Value, indices: &[Value], span: Span) -> Result<Value> {
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

    // ---- calls of functions

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

    pub fn functional(&mut self, integrand: Field, mean: bool) -> Value {
        Value::Functional(Rc::new(Functional { integrand, mean }))
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
