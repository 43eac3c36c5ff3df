//! Operators on values: numbers, fields, integers, lists, and the divergences that equations are made of.

use super::arith::{identity_factor, is_identity};
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::system::{Equations, Standing};
use super::value::{Field, Functional, Integral, Leaf, Residual, Transport, Value};
use super::{listwise, sizeless};
use crate::base::Span;
use crate::ir::Unary;
use crate::sema::hir::Op;
use indexmap::IndexMap;
use std::rc::Rc;

impl Lower<'_> {
    pub fn apply(&mut self, op: &Op, v: &[Value], span: Span) -> Result<Value> {
        if sizeless::concerns(op, v) {
            return self.apply_sizeless(op, v, span);
        }
        if listwise::concerns(op, v) {
            return self.apply_listwise(op, v, span);
        }
        match op {
            Op::Range => Ok(Value::Range(Box::new(v[0].clone()), Box::new(v[1].clone()))),
            Op::Affine(u) => self.affine(&v[0], u.factor, u.offset, span),
            Op::Neg if is_identity(&v[0]) => self.scaled_identity(&Op::Mul, &v[0], &Value::num(-1.0), span),
            Op::Neg => match self.numeric_or_int(&v[0], span)? {
                Value::Int(i) => Ok(Value::Int(-i)),
                Value::Residual(r) => self.scale_residual(&r, -1.0, span),
                Value::Functional(f) => Ok(Value::Functional(Rc::new(scaled(&f, -1.0)))),
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
                    return Ok(Value::Residual(Rc::new(Residual {
                        flux: Some(Value::Field(f)),
                        ..Residual::default()
                    })));
                }
                self.divergence(&f, span)
            }
            Op::Lap => {
                let f = self.field(&v[0], span)?;
                let g = self.gradient(&f, span)?;
                self.apply(&Op::Div, &[Value::Field(g)], span)
            }
            Op::Partial(axes) if self.motion.is_some() && axes.iter().all(|a| *a == 3) => {
                let mut n = self.num(&v[0], span)?;
                for _ in axes {
                    n = self.moved(&n).expect("compiler bug: nothing moves");
                }
                Ok(Value::Num(n))
            }
            Op::Partial(axes) => {
                let mut f = self.field(&v[0], span)?;
                if axes.contains(&3) {
                    return self.rate(f, axes, span);
                }
                for (k, &axis) in axes.iter().enumerate() {
                    if axis as usize >= f.domain.dimension() {
                        return error("names.coordinate", span, "the domain has fewer dimensions");
                    }
                    let last = k + 1 == axes.len();
                    // A derivative of a gradient of the unknown is a divergence of a flux.
                    if last && f.leaves.iter().any(|l| matches!(l, Leaf::Unknown { order: 1.., .. })) {
                        return self.axis_divergence(f, axis as usize, span);
                    }
                    let g = self.gradient(&f, span)?;
                    let out = self.pointwise(&[Value::Field(g)], span, |l, n| {
                        let last = n[0].shape().len() - 1;
                        Ok(l.tracer.build(&[&n[0]], |b, v| b.index(v[0], last, axis as usize)))
                    })?;
                    // Of values of the unknown: a flux or a pointwise term, as will be asked.
                    if last && f.has_unknown() {
                        let flux = self.along(f, axis as usize, span)?;
                        let transport = Some(Transport { flux, pointwise: out });
                        return Ok(Value::Residual(Rc::new(Residual { transport, ..Residual::default() })));
                    }
                    let Value::Field(next) = out else { return Ok(out) };
                    f = next;
                }
                Ok(Value::Field(f))
            }
            Op::Curl => self.rotation(&v[0], span),
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

    /// `∇×v`: of a vector in three dimensions a vector, in two a number; of a number in two dimensions the vector `(∂y f, -∂x f)`.
    fn rotation(&mut self, v: &Value, span: Span) -> Result<Value> {
        let f = self.field(v, span)?;
        let (shape, d) = (f.shape().to_vec(), f.domain.dimension());
        let g = self.gradient(&f, span)?;
        self.pointwise(&[Value::Field(g)], span, |l, n| {
            let built = l.tracer.build(&[&n[0]], |b, v| {
                let at = |b: &mut crate::ir::Builder, i: usize, j: usize| {
                    let row = b.index(v[0], 0, i);
                    b.index(row, 0, j)
                };
                match (&shape[..], d) {
                    ([3], 3) => {
                        let each = [(2, 1), (0, 2), (1, 0)].map(|(i, j)| {
                            let (up, down) = (at(b, i, j), at(b, j, i));
                            b.sub(up, down)
                        });
                        b.stack(&each, 0)
                    }
                    ([2], 2) => {
                        let (up, down) = (at(b, 1, 0), at(b, 0, 1));
                        b.sub(up, down)
                    }
                    _ => {
                        let (x, y) = (b.index(v[0], 0, 0), b.index(v[0], 0, d - 1));
                        let minus = b.neg(x);
                        b.stack(&[y, minus], 0)
                    }
                }
            });
            match (&shape[..], d) {
                ([3], 3) | ([2], 2) | ([], 2) => Ok(built),
                _ => error(
                    "shapes.mismatch",
                    span,
                    format!("{} has no rotation in {d} dimensions", super::arith::shape_name(&shape)),
                ),
            }
        })
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
        let (a, b) = (self.term(&a, span)?, self.term(&b, span)?);
        if *op == Op::Divide && b.known() == Some(0.0) {
            return error("run.value", span, "division by zero: what stands below the line is known, and zero");
        }
        match (&a, &b, op) {
            (Value::Residual(_), _, Op::Add | Op::Sub) | (_, Value::Residual(_), Op::Add | Op::Sub) => {
                let (a, b) = (self.standing(&a, span), self.standing(&b, span));
                self.add_residuals(&a, &b, if *op == Op::Sub { -1.0 } else { 1.0 }, span)
            }
            (Value::Residual(r), Value::Num(n), Op::Mul | Op::Divide)
            | (Value::Num(n), Value::Residual(r), Op::Mul) => match n.known() {
                Some(x) => self.scale_residual(r, if *op == Op::Divide { 1.0 / x } else { x }, span),
                // The same everywhere, so that it may stand inside the divergence; but it may change in time.
                None if r.stored.is_none() && n.shape().is_empty() => {
                    let factor = Value::Num(n.clone());
                    let out = r.each(|v| self.apply(op, &[v.clone(), factor.clone()], span))?;
                    Ok(Value::Residual(Rc::new(out)))
                }
                None => error("run.equation", span, "a divergence can be scaled by a known number only"),
            },
            // A factor that does not change in time goes under the derivative.
            (Value::Residual(r), Value::Field(f), Op::Mul) | (Value::Field(f), Value::Residual(r), Op::Mul)
                if r.flux.is_none()
                    && r.transport.is_none()
                    && r.source.is_none()
                    && !f.has_unknown()
                    && !self.reads_time(f) =>
            {
                let stored = r.stored.clone().expect("compiler bug: a residual of nothing");
                let stored = self.apply(op, &[Value::Field(f.clone()), stored], span)?;
                Ok(Value::Residual(Rc::new(Residual { stored: Some(stored), ..Residual::default() })))
            }
            (Value::Residual(r), _, _) | (_, Value::Residual(r), _) if r.stored.is_none() => {
                let (a, b) = (self.written_out(&a, span)?, self.written_out(&b, span)?);
                self.sum_or_product(op, &a, &b, span)
            }
            (Value::Residual(_), _, _) | (_, Value::Residual(_), _) => error_help(
                "run.equation",
                span,
                "a rate is multiplied by something that varies with the unknown or in time",
                "divide the equation by it, or put it under the derivative",
            ),
            (Value::Functional(f), Value::Functional(g), Op::Add | Op::Sub) => {
                let sign = if *op == Op::Sub { -1.0 } else { 1.0 };
                let terms = f.terms.iter().cloned().chain(scaled(g, sign).terms).collect();
                Ok(Value::Functional(Rc::new(Functional { terms })))
            }
            (Value::Functional(f), Value::Num(n), Op::Mul | Op::Divide)
            | (Value::Num(n), Value::Functional(f), Op::Mul)
                if n.known().is_some() =>
            {
                let x = n.known().unwrap_or(1.0);
                Ok(Value::Functional(Rc::new(scaled(f, if *op == Op::Divide { 1.0 / x } else { x }))))
            }
            (Value::Functional(_), _, _) | (_, Value::Functional(_), _) if self.integrals.is_some() => {
                let (a, b) = (self.standing(&a, span), self.standing(&b, span));
                self.sum_or_product(op, &a, &b, span)
            }
            (Value::Functional(_), _, _) | (_, Value::Functional(_), _) => error_help(
                "run.equation",
                span,
                "integrals of the unknown are added to each other and multiplied by known numbers, nothing else",
                "put numbers on the other side of the equation, factors under the integral",
            ),
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
        let before = identity_factor(identity).unwrap_or(Value::num(1.0));
        let factor = self.apply(op, &[before, by], span)?;
        Ok(Value::record("identity", span, IndexMap::from([("factor".to_string(), factor)])))
    }

    /// `∂t(f)` of something with the unknown in it.
    fn rate(&mut self, mut f: Field, axes: &[u8], span: Span) -> Result<Value> {
        if axes.iter().any(|a| *a != 3) {
            return error("unsupported.time", span, "derivatives in space and time at once are not supported yet");
        }
        for _ in 1..axes.len() {
            f = match self.moving(&f) {
                Some(rate) => rate,
                None => return error("unsupported.time", span, "only unknowns have second derivatives in time"),
            };
        }
        if let Some(rate) = self.moving(&f) {
            return Ok(Value::Field(rate));
        }
        if !f.has_unknown() {
            return error("unsupported.time", span, "`∂t` of something without the unknown is not supported yet");
        }
        Ok(Value::Residual(Rc::new(Residual { stored: Some(Value::Field(f)), ..Residual::default() })))
    }

    /// `∂_axis f = ∇·(f ⊗ e_axis)`
    fn axis_divergence(&mut self, f: Field, axis: usize, span: Span) -> Result<Value> {
        let flux = Some(self.along(f, axis, span)?);
        Ok(Value::Residual(Rc::new(Residual { flux, ..Residual::default() })))
    }

    /// `f ⊗ e_axis`
    fn along(&mut self, f: Field, axis: usize, span: Span) -> Result<Value> {
        let d = f.domain.dimension();
        self.pointwise(&[Value::Field(f)], span, |l, n| {
            Ok(l.tracer.build(&[&n[0]], |b, v| {
                let zero = b.zeros_like(v[0]);
                let columns: Vec<_> = (0..d).map(|k| if k == axis { v[0] } else { zero }).collect();
                let last = b.ty(v[0]).rank();
                b.stack(&columns, last)
            }))
        })
    }

    /// A number in the place of an integral of the unknown, to be computed from the state at each rate.
    fn standing(&mut self, v: &Value, span: Span) -> Value {
        let Value::Functional(integral) = v else { return v.clone() };
        let shape = integral.terms.first().map_or(vec![], |t| t.integrand.shape().to_vec());
        let number = self.number("an integral", shape, 1.0, span);
        let placeholder = number.placeholder.clone();
        if let Some(all) = &mut self.integrals {
            all.push(Standing { number, integral: integral.clone() });
        }
        Value::Num(placeholder)
    }

    /// What can be a term of an equation: as [`Lower::numeric`], but a transport stays what it is.
    fn term(&mut self, v: &Value, span: Span) -> Result<Value> {
        if let Value::Residual(_) = v { Ok(v.clone()) } else { self.numeric(v, span) }
    }

    /// Terms without a rate as the pointwise field that they also are: of a flux its divergence, in derivatives one order higher.
    pub(super) fn written_out(&mut self, v: &Value, span: Span) -> Result<Value> {
        let Value::Residual(r) = v else { return Ok(v.clone()) };
        if r.stored.is_some() {
            return Ok(v.clone());
        }
        let divergence = match &r.flux {
            Some(Value::Field(flux)) => Some(self.divergence(&flux.clone(), span)?),
            _ => None,
        };
        let parts = [divergence, r.transport.as_ref().map(|t| t.pointwise.clone()), r.source.clone()];
        let mut sum: Option<Value> = None;
        for part in parts.into_iter().flatten() {
            sum = Some(match sum {
                Some(sum) => self.apply(&Op::Add, &[sum, part], span)?,
                None => part,
            });
        }
        Ok(sum.unwrap_or_else(|| v.clone()))
    }

    /// Decides what the transport terms of equations are: fluxes where the scheme is `conservative`, else pointwise terms; and with that
    /// what passes walls where nothing is given: transport, and of a law that no gradient drives the whole flux.
    pub(super) fn settle(&mut self, eqs: &mut Equations, conservative: bool) -> Result<()> {
        for e in &mut eqs.balances {
            let r = &mut e.residual;
            if let Some(t) = r.transport.take() {
                let (into, term) = match conservative {
                    true => (&mut r.flux, t.flux.clone()),
                    false => (&mut r.source, t.pointwise),
                };
                *into = Some(match into.take() {
                    Some(before) => self.apply(&Op::Add, &[before, term], e.span)?,
                    None => term,
                });
                r.carried = conservative.then_some(t.flux);
            }
            if eqs.carries {
                r.carried = r.flux.clone();
            }
        }
        Ok(())
    }

    fn scale_residual(&mut self, r: &Residual, x: f64, span: Span) -> Result<Value> {
        let out = r.each(|v| self.pointwise(std::slice::from_ref(v), span, |l, n| Ok(l.scale_num(&n[0], x))))?;
        Ok(Value::Residual(Rc::new(out)))
    }

    /// `a + sign·b`, where one or both are residuals.
    fn add_residuals(&mut self, a: &Value, b: &Value, sign: f64, span: Span) -> Result<Value> {
        let parts = |v: &Value| match v {
            Value::Residual(r) => (**r).clone(),
            other => Residual { source: Some(other.clone()), ..Residual::default() },
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
        let halves = |t: Option<Transport>| t.map_or((None, None), |t| (Some(t.flux), Some(t.pointwise)));
        let (a_transport, b_transport) = (halves(a.transport), halves(b.transport));
        let stored = join(a.stored, b.stored)?;
        let flux = join(a.flux, b.flux)?;
        let transport = match (join(a_transport.0, b_transport.0)?, join(a_transport.1, b_transport.1)?) {
            (Some(flux), Some(pointwise)) => Some(Transport { flux, pointwise }),
            _ => None,
        };
        let source = join(a.source, b.source)?;
        Ok(Value::Residual(Rc::new(Residual { stored, flux, transport, source, carried: None })))
    }

    fn numeric_or_int(&mut self, v: &Value, span: Span) -> Result<Value> {
        if let Value::Int(i) = v { Ok(Value::Int(*i)) } else { self.term(v, span) }
    }
}

fn scaled(f: &Functional, x: f64) -> Functional {
    let term = |t: &Integral| Integral { factor: x * t.factor, ..t.clone() };
    Functional { terms: f.terms.iter().map(term).collect() }
}
