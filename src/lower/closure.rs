//! Closures: one signature, and behind it a formula, a nested solve, a net, a table, or any of these remembered.

use super::call::Args;
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::value::{Behind, Closure, Num, Value};
use crate::base::Span;
use crate::data::interpolate::{self, ErrorEstimate};
use crate::ir::{Binary, MemoSpec, Op};
use crate::sema::hir::{DefId, DefKind, Param, TypeExprKind};
use std::rc::Rc;
use std::sync::Arc;

/// A closure tabulated on a tensor grid of its arguments.
#[derive(Debug)]
pub struct Table {
    pub table: interpolate::Table,
    /// Shape of the result.
    pub shape: Vec<usize>,
    /// Found at points between the nodes.
    pub error: ErrorEstimate,
}

impl Table {
    /// Range of each argument.
    pub fn range(&self) -> Vec<(f64, f64)> {
        (0..self.table.dimensions()).map(|k| self.table.range(k)).collect()
    }
}

/// A closure whose results are remembered, with a fallback outside the range it is good for.
#[derive(Debug)]
pub struct Online {
    pub closure: Value,
    pub on_fail: Option<Value>,
    /// Distance of the points that are computed, relative to the range or to the argument's size.
    pub reuse: f64,
    /// Range of each argument within which `closure` is used.
    pub range: Option<Vec<(f64, f64)>>,
}

impl Lower<'_> {
    pub fn closure_params(&self, def: DefId) -> &[Param] {
        match &self.program.def(def).kind {
            DefKind::Closure { params, .. } => params,
            _ => &[],
        }
    }

    /// A function, net or closure as the implementation of a signature.
    pub fn as_closure(&mut self, v: Value, def: DefId, span: Span) -> Result<Value> {
        let program = self.program;
        let name = &program.def(def).name;
        match &v {
            Value::Closure(c) if c.def == def => Ok(v),
            Value::Closure(c) => {
                error("coupling.contract", span, format!("expected a `{name}`, found a `{}`", program.def(c.def).name))
            }
            Value::Function(f) => {
                let expected = self.closure_params(def).len();
                let found = f.lambda.params.len();
                if expected != found {
                    return error(
                        "coupling.contract",
                        span,
                        format!("`{name}` has {expected} parameters, this function has {found}"),
                    );
                }
                Ok(Value::Closure(Rc::new(Closure { def, behind: Behind::Function(f.clone()) })))
            }
            Value::Intrinsic(_) => {
                error("coupling.contract", span, "a library function cannot stand for a closure by itself")
            }
            Value::Net(_) => error_help(
                "nets.port",
                span,
                format!("a net serves `{name}` only where it is trained"),
                format!("write `over k: {name} = …` in a `minimize`, and use the artefact's member"),
            ),
            other => error(
                "coupling.contract",
                span,
                format!("expected an implementation of `{name}`, found {}", other.kind()),
            ),
        }
    }

    /// Calls a closure with numbers or fields.
    pub fn call_closure(&mut self, c: &Rc<Closure>, args: &[Value], span: Span) -> Result<Value> {
        for (p, a) in self.closure_params(c.def).iter().zip(args) {
            let wants_field = p.ty.as_ref().is_some_and(|t| matches!(t.kind, TypeExprKind::Field { .. }));
            if wants_field {
                return error(
                    "unsupported.library",
                    p.span,
                    "closures from fields to fields (operators) are not supported yet",
                );
            }
            if p.state {
                return error("unsupported.state", p.span, "closures with `state` are not supported yet");
            }
            if matches!(a, Value::None) {
                return error("shapes.arguments", span, format!("`{}` has no value", p.name));
            }
        }
        let args: Vec<Value> = args.iter().map(|a| self.numeric(a, span)).collect::<Result<_>>()?;
        let name = self.program.def(c.def).name.clone();
        let c = c.clone();
        self.pointwise(&args, span, |l, nums| l.call_closure_at(&c, nums, span))
            .map_err(|e| Self::called_from(e, span, &name))
    }

    /// The closure at one point: numbers to a number.
    pub fn call_closure_at(&mut self, c: &Rc<Closure>, args: &[Num], span: Span) -> Result<Num> {
        match &c.behind {
            Behind::Function(f) => {
                let values = args.iter().map(|n| (None, Value::Num(n.clone()), span)).collect();
                let out = self.call_function(f, Args { values }, span)?;
                self.num(&out, span)
            }
            Behind::Net(net) => self.call_ported(net, args, span),
            Behind::Process(p) => {
                let refs: Vec<&Num> = args.iter().collect();
                let z = self.tracer.build(&refs, |b, v| p.process.to_ir(b, v));
                Ok(self.through_head(&p.head, &z))
            }
            Behind::Table(t) => {
                let refs: Vec<&Num> = args.iter().collect();
                Ok(self.tracer.build(&refs, |b, v| t.table.to_ir(b, v)))
            }
            Behind::Online(o) => self.call_online(o, args, span),
        }
    }

    fn call_online(&mut self, o: &Rc<Online>, args: &[Num], span: Span) -> Result<Num> {
        let Value::Closure(inner) = &o.closure else {
            return error("coupling.contract", span, "`online` takes a closure");
        };
        let fallback = match &o.on_fail {
            Some(Value::Closure(f)) => Some((f.clone(), true)),
            // Outside the range the points are too far between to reuse anything.
            _ if is_costly(inner) => Some((inner.clone(), false)),
            _ => None,
        };
        let (Some(range), Some((fine, reused))) = (&o.range, fallback) else {
            return self.reused(o, inner, o.range.as_deref(), args, span);
        };
        // Inside the range the one implementation, outside it the other; only one of them runs.
        let refs: Vec<&Num> = args.iter().collect();
        let inside = self.tracer.build(&refs, |b, v| {
            let mut all = b.scalar(1.0);
            for (x, (lo, hi)) in v.iter().zip(range) {
                let (lo, hi) = (b.scalar(*lo), b.scalar(*hi));
                let above = b.compare(crate::ir::Compare::Le, lo, *x);
                let below = b.compare(crate::ir::Compare::Le, *x, hi);
                let both = b.binary(Binary::Min, above, below);
                all = b.binary(Binary::Min, all, both);
            }
            all
        });
        let then = self.branch(args, |l, inputs| l.reused(o, inner, Some(range), inputs, span))?;
        let otherwise = self.branch(args, |l, inputs| match reused {
            true => l.reused(o, &fine, None, inputs, span),
            false => l.call_closure_at(&fine, inputs, span),
        })?;
        self.cond(&inside, args, then, otherwise)
    }

    /// The closure, by what is remembered of it where computing it is costly.
    fn reused(
        &mut self,
        o: &Online,
        c: &Rc<Closure>,
        range: Option<&[(f64, f64)]>,
        args: &[Num],
        span: Span,
    ) -> Result<Num> {
        if o.reuse <= 0.0 || !is_costly(c) {
            return self.call_closure_at(c, args, span);
        }
        let (body, captures) = self.branch(args, |l, inputs| l.call_closure_at(c, inputs, span))?;
        // Distances are relative to the range of an argument, or to its own size. What is captured belongs to the function.
        let mut scale: Vec<f64> = (0..args.len()).map(|k| range.map_or(0.0, |r| r[k].1 - r[k].0)).collect();
        scale.resize(args.len() + captures.len(), f64::INFINITY);
        let name = self.program.def(c.def).name.clone();
        let spec = Arc::new(MemoSpec { name, reuse: o.reuse, scale, slopes: vec![] });
        let all: Vec<&Num> = args.iter().chain(&captures).collect();
        Ok(self.tracer.build(&all, |b, v| b.ops(Op::Memo { body: Arc::new(body), spec }, v)[0]))
    }

    /// A function of its own of the same arguments, and what it captures.
    fn branch(
        &mut self,
        args: &[Num],
        f: impl FnOnce(&mut Self, &[Num]) -> Result<Num>,
    ) -> Result<(crate::ir::Func, Vec<Num>)> {
        let types: Vec<_> = args.iter().map(|n| n.ty().clone()).collect();
        let depth = self.tracer.depth();
        let inputs = self.tracer.open("branch", &types);
        match f(self, &inputs) {
            Ok(out) => Ok(self.tracer.close(&[out])),
            Err(e) => {
                self.tracer.abandon(depth);
                Err(e)
            }
        }
    }

    /// One of two functions of the same arguments; each may have captured numbers of its own.
    fn cond(
        &mut self,
        mask: &Num,
        args: &[Num],
        (then, then_captures): (crate::ir::Func, Vec<Num>),
        (otherwise, else_captures): (crate::ir::Func, Vec<Num>),
    ) -> Result<Num> {
        let n = args.len();
        let types: Vec<_> = args.iter().chain(&then_captures).chain(&else_captures).map(|n| n.ty().clone()).collect();
        let widen = |f: &crate::ir::Func, from: usize, count: usize| {
            let mut b = crate::ir::Builder::new(f.name.clone());
            let inputs: Vec<_> = types.iter().map(|t| b.input(t.clone())).collect();
            let own: Vec<_> = inputs[..n].iter().chain(&inputs[from..from + count]).copied().collect();
            let out = b.inline(f, &own);
            Arc::new(b.finish(out))
        };
        let then_wide = widen(&then, n, then_captures.len());
        let else_wide = widen(&otherwise, n + then_captures.len(), else_captures.len());
        let all: Vec<&Num> = std::iter::once(mask).chain(args).chain(&then_captures).chain(&else_captures).collect();
        Ok(self.tracer.build(&all, |b, v| b.ops(Op::Cond { then: then_wide, otherwise: else_wide }, v)[0]))
    }
}

/// Whether one value of it may cost a solve.
fn is_costly(c: &Closure) -> bool {
    matches!(c.behind, Behind::Function(_))
}
