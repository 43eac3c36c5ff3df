//! Runs that end where a number crosses zero: `until=fn(s) { s.x - 1 }`.

use crate::base::Span;
use crate::ir::{Binary, Builder, Compare, Func, Op, SolveSpec, Type, Value};
use crate::lower::Lower;
use crate::lower::call::Args;
use crate::lower::error::{Result, error_help};
use crate::lower::value::{Num, Value as Meaning};
use std::sync::Arc;

/// A step in which an event is looked for.
pub struct Within<'a> {
    /// `(t, state, captured…) → a number`: the run ends where it crosses zero.
    pub event: &'a Func,
    pub captured: &'a [Value],
    /// `(length, context…, captured…) → state`, so long after the beginning of the step.
    pub state: &'a Func,
    pub context: &'a [Value],
}

impl Lower<'_> {
    /// `(t, state, captured…) → g`, from `until=fn(s) {…}`; `solution` makes s of the first two.
    pub(super) fn event(
        &mut self,
        inputs: &[Type; 2],
        wanted: &[Num],
        f: &Meaning,
        span: Span,
        solution: impl FnOnce(&mut Self, &[Num]) -> Result<Meaning>,
    ) -> Result<Func> {
        let (func, captured) = self.timed("until", inputs, 0, |l, inputs| {
            let s = solution(l, inputs)?;
            let args = Args { values: vec![(None, s, span)] };
            let out = l.call(f, args, span)?;
            let g = l.num(&out, span)?;
            if !g.shape().is_empty() || g.tensor().is_some() {
                return error_help(
                    "run.scheme",
                    span,
                    "`until` is a function of the solution whose value is a number that changes in time",
                    "the run ends where it crosses zero: `until=fn(s) { s.x - 1 }`",
                );
            }
            Ok(vec![g])
        })?;
        if let Op::Compare(_) = func.node(func.outputs[0]).op {
            return error_help(
                "run.scheme",
                span,
                "`until` compares, and the run ends where a number crosses zero",
                "write the difference: `until=fn(s) { s.x - 1 }`",
            );
        }
        // In the order of the run's own captured numbers.
        let places: Option<Vec<usize>> =
            captured.iter().map(|n| wanted.iter().position(|w| super::ordinary::same(w, n))).collect();
        let Some(places) = places else {
            return error_help(
                "run.scheme",
                span,
                "`until` reads a number that is being computed outside of it and not in the system",
                "make it an argument of the system",
            );
        };
        let mut b = Builder::new("until");
        let (t, u) = (b.input(inputs[0].clone()), b.input(inputs[1].clone()));
        let p: Vec<_> = wanted.iter().map(|n| b.input(n.ty().clone())).collect();
        let args: Vec<_> = [t, u].into_iter().chain(places.into_iter().map(|k| p[k])).collect();
        let out = b.inline(&func, &args);
        Ok(b.finish(out))
    }
}

/// Ends a step from (t, u) to (time, state) where an event function crosses zero: `(time, state, whether)`.
pub fn crossing(
    b: &mut Builder,
    within: &Within,
    (t, u): (Value, Value),
    (time, state): (Value, Value),
) -> (Value, Value, Value) {
    let p = within.captured;
    let value = |b: &mut Builder, t: Value, u: Value| {
        let args: Vec<Value> = [t, u].into_iter().chain(p.iter().copied()).collect();
        b.inline(within.event, &args)[0]
    };
    let (before, after) = (value(b, t, u), value(b, time, state));
    let zero = b.scalar(0.0);
    let (rises, reaches) = (b.compare(Compare::Lt, before, zero), b.compare(Compare::Le, zero, after));
    let (falls, drops) = (b.compare(Compare::Lt, zero, before), b.compare(Compare::Le, after, zero));
    let (up, down) = (b.mul(rises, reaches), b.mul(falls, drops));
    let hit = b.binary(Binary::Max, up, down);
    let given: Vec<Value> = [t, time, state, before, after]
        .into_iter()
        .chain(within.context.iter().copied())
        .chain(p.iter().copied())
        .collect();
    let types: Vec<Type> = given.iter().map(|v| b.ty(*v).clone()).collect();
    let located = located(within, &types);
    let mut keep = Builder::new("on");
    let inputs: Vec<Value> = types.iter().map(|t| keep.input(t.clone())).collect();
    let keep = keep.finish(vec![inputs[1], inputs[2]]);
    let args: Vec<Value> = std::iter::once(hit).chain(given).collect();
    let out = b.ops(Op::Cond { then: Arc::new(located), otherwise: Arc::new(keep) }, &args);
    (out[0], out[1], hit)
}

/// `(t, time, state, before, after, context…, captured…) → (time, state)` at the event: the root over the length of the step, so that
/// it is as exact as the method, and differentiable.
fn located(within: &Within, types: &[Type]) -> Func {
    let own = types.len() - within.captured.len();
    let at = |b: &mut Builder, fraction: Value, t: Value, time: Value, rest: &[Value]| {
        let h = b.sub(time, t);
        let length = b.mul(fraction, h);
        let args: Vec<Value> = std::iter::once(length).chain(rest.iter().copied()).collect();
        let state = b.inline(within.state, &args)[0];
        (b.add(t, length), state)
    };
    // (θ, t, time, context…, captured…) → event after that part of the step
    let mut r = Builder::new("event");
    let fraction = r.input(Type::f64([1]));
    let (t, time) = (r.input(Type::f64([])), r.input(Type::f64([])));
    let rest: Vec<Value> = types[5..].iter().map(|ty| r.input(ty.clone())).collect();
    let theta = r.reshape(fraction, &[]);
    let (then, state) = at(&mut r, theta, t, time, &rest);
    let args: Vec<Value> = [then, state].into_iter().chain(rest[own - 5..].iter().copied()).collect();
    let value = r.inline(within.event, &args)[0];
    let value = r.reshape(value, &[1]);
    let residual = Arc::new(r.finish(vec![value]));

    let mut b = Builder::new("located");
    let inputs: Vec<Value> = types.iter().map(|ty| b.input(ty.clone())).collect();
    let [t, time, _, before, after] = inputs[..5] else { unreachable!("compiler bug: so many arguments") };
    let rest = &inputs[5..];
    // The secant's root is where Newton's method starts.
    let drop = b.sub(before, after);
    let guess = b.div(before, drop);
    let guess = b.reshape(guess, &[1]);
    let spec = SolveSpec { name: "event".into(), newton_tolerance: 1e-12, ..SolveSpec::default() };
    let args: Vec<Value> = [guess, t, time].into_iter().chain(rest.iter().copied()).collect();
    let theta = b.op(Op::Solve { residual, spec: Arc::new(spec) }, &args);
    let theta = b.reshape(theta, &[]);
    let (time, state) = at(&mut b, theta, t, time, rest);
    b.finish(vec![time, state])
}
