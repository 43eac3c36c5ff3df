//! Runs whose step lengths are found on the way: by an estimate of the error, by a limit of stability, up to an event.
//!
//! Between two times that are kept there is a `Scan` of at most so many tries, whose body does nothing once the time is reached; a
//! state that comes back unchanged ends such a scan early. A step that would go beyond a time that is kept is cut to end there, so that
//! samples are exact; a rejected step is tried again, shorter. Derivatives go through all of this, lengths of steps included: they are
//! the derivatives of what is computed. [Hairer, Nørsett & Wanner I, §II.4; Gustafsson 1991; Eberhard & Bischof 1999]

use super::control::Control;
use super::timeline::Timeline;
use crate::base::Span;
use crate::ir::{Binary, Builder, Compare, Func, Op, Reduce, SolveSpec, Tensor, Type, Unary, Value};
use crate::lower::Lower;
use crate::lower::call::Args;
use crate::lower::error::{Result, error_help};
use crate::lower::value::{Num, Value as Meaning};
use std::sync::Arc;

/// A step of any length.
pub struct Trial {
    /// `(t, h, state, captured…) → (next, error)`; the error is missing where none is estimated.
    pub func: Func,
    /// The order of the embedded method, of the error.
    pub order: usize,
    pub captured: Vec<Num>,
    pub initial: Num,
    /// `(t, state, captured…) → rates`, for the first step length.
    pub rates: Option<Func>,
    /// `(t, state, captured…) → the longest stable step`.
    pub limit: Option<Func>,
    /// `(t, state, captured…) → a number`: the run ends where it crosses zero.
    pub event: Option<Func>,
    /// Typical sizes, of the state's shape or one number.
    pub nominal: Tensor,
}

/// What a run gives.
pub struct Driven {
    /// `[samples, …]`, or the last state alone as one row.
    pub states: Num,
    /// `[samples]`
    pub times: Num,
    /// `(time at the end, 1 where the end was not reached, 1 where an event ended it, accepted, rejected, last step)`
    pub status: [Num; 6],
}

/// Carried numbers before the state: t, h, former error, whether the last try was rejected, accepted, rejected, ended.
const CARRIED: usize = 7;

/// Safety factor, and by how much a step may change at once.
const SAFETY: f64 = 0.9;
const SHRINK: f64 = 0.2;
const GROW: f64 = 5.0;

impl Lower<'_> {
    /// Runs over the samples of a timeline.
    pub(super) fn drive(&mut self, trial: &Trial, control: &Control, timeline: &Timeline) -> Driven {
        let n = timeline.samples;
        let ends: Vec<f64> = (0..n).map(|k| timeline.start + (k + 1) as f64 * timeline.step).collect();
        let first = self.first_step(trial, control, timeline);
        let zero = Num::scalar(0.0);
        let carried = [
            Num::scalar(timeline.start),
            first,
            Num::scalar(1e-4),
            zero.clone(),
            zero.clone(),
            zero.clone(),
            zero,
            trial.initial.clone(),
        ];
        let body = sample(trial, control, timeline.step * n as f64);
        let mut args = carried.to_vec();
        args.push(Num::Const(Tensor::f64([n], ends)));
        args.extend(trial.captured.iter().cloned());
        let refs: Vec<&Num> = args.iter().collect();
        let op = Op::Scan { body: Arc::new(body), length: n, carry: CARRIED + 1, xs: 1, reverse: false };
        let out = self.tracer.build_all(&refs, |b, v| b.ops(op, v));
        let (times, states, failed) = (&out[CARRIED + 1], &out[CARRIED + 2], &out[CARRIED + 3]);
        let failed = self.tracer.build(&[failed], |b, v| b.reduce(Reduce::Max, v[0], &[0]));
        let (states, times) = match timeline.keep {
            true => (
                self.tracer.build(&[&trial.initial, states], |b, v| {
                    let shape = [&[1], &b.ty(v[0]).shape[..]].concat();
                    let first = b.reshape(v[0], &shape);
                    b.concat(&[first, v[1]], 0)
                }),
                self.tracer.build(&[times], |b, v| {
                    let first = b.full(&Type::f64([1]), timeline.start);
                    b.concat(&[first, v[0]], 0)
                }),
            ),
            false => (states.clone(), times.clone()),
        };
        let status = [out[0].clone(), failed, out[6].clone(), out[4].clone(), out[5].clone(), out[1].clone()];
        Driven { states, times, status }
    }

    /// The first step, from the size of the state and its rates. [Hairer, Nørsett & Wanner I, §II.4]
    fn first_step(&mut self, trial: &Trial, control: &Control, timeline: &Timeline) -> Num {
        let length = timeline.step * timeline.samples as f64;
        if let Some(dt) = control.dt {
            return Num::scalar(dt);
        }
        let (Some(rates), Some((rtol, atol))) = (&trial.rates, control.tolerance) else {
            return Num::scalar(1e-6 * length);
        };
        let order = trial.order as f64;
        let start = Num::scalar(timeline.start);
        let refs: Vec<&Num> = [&start, &trial.initial].into_iter().chain(&trial.captured).collect();
        self.tracer.build(&refs, |b, v| {
            let u = v[1];
            let scale = scale(b, u, u, &trial.nominal, (rtol, atol));
            let f0 = b.inline(rates, v)[0];
            let (d0, d1) = (norm(b, u, scale), norm(b, f0, scale));
            let (tiny, floor, whole) = (b.scalar(1e-5), b.scalar(1e-6 * length), b.scalar(length));
            let ratio = b.div(d0, d1);
            let ratio = b.scale(ratio, 0.01);
            let small = b.binary(Binary::Min, d0, d1);
            let usual = b.compare(Compare::Lt, tiny, small);
            let h0 = b.select(usual, ratio, floor);
            let h0 = b.binary(Binary::Min, h0, whole);
            // An Euler step tells how the rates change.
            let move_by = b.mul(f0, h0);
            let u1 = b.add(u, move_by);
            let t1 = b.add(v[0], h0);
            let args: Vec<Value> = [t1, u1].into_iter().chain(v[2..].iter().copied()).collect();
            let f1 = b.inline(rates, &args)[0];
            let change = b.sub(f1, f0);
            let d2 = norm(b, change, scale);
            let d2 = b.div(d2, h0);
            let most = b.binary(Binary::Max, d1, d2);
            let least = b.scalar(1e-15);
            let most = b.binary(Binary::Max, most, least);
            let hundredth = b.scalar(0.01);
            let quotient = b.div(hundredth, most);
            let power = b.scalar(1.0 / (order + 1.0));
            let h1 = b.binary(Binary::Pow, quotient, power);
            let hundred = b.scale(h0, 100.0);
            let h = b.binary(Binary::Min, hundred, h1);
            b.binary(Binary::Min, h, whole)
        })
    }
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

    /// Looks how a run ended, where that can be known now: states and times of what is kept, up to an event.
    pub(super) fn reached(
        &mut self,
        name: &str,
        control: &Control,
        timeline: &Timeline,
        driven: Driven,
        span: Span,
    ) -> Result<(Num, Num)> {
        let Driven { states, times, status } = driven;
        if self.tracer.depth() != 1 || self.runtime.guesses() {
            return Ok((states, times));
        }
        let all: Vec<Num> = [states, times].into_iter().chain(status).collect();
        let known = self.compute(&all, span)?;
        let status: Vec<f64> = known[2..].iter().map(|t| t.item()).collect();
        let [reached, failed, ended, accepted, rejected, h] = status[..] else {
            unreachable!("compiler bug: six numbers tell how a run ended")
        };
        if failed != 0.0 {
            return error_help(
                "run.steps",
                span,
                format!(
                    "`{name}` has reached t = {reached} after {} steps ({rejected} rejected); the next one would be {h:.2e} long",
                    accepted + rejected
                ),
                format!(
                    "at most {} are taken between two times that are kept: allow more, `max_steps=…`, or look for a singularity \
                     there; stiff systems want an implicit method, such as `rodas4`",
                    control.most
                ),
            );
        }
        let (states, times) = (Num::Const(known[0].clone()), Num::Const(known[1].clone()));
        if ended == 0.0 || !timeline.keep {
            return Ok((states, times));
        }
        // Nothing is kept after an event.
        let t = known[1].to_f64();
        let rows = t.iter().position(|x| *x >= reached).map_or(t.len(), |k| k + 1);
        let mut first = |n: &Num| self.tracer.build(&[n], |b, v| b.slice(v[0], 0, 0, rows));
        Ok((first(&states), first(&times)))
    }
}

/// `(carried…, state, end, captured…) → (carried…, state, t, state, failed)`: up to the next time that is kept.
fn sample(trial: &Trial, control: &Control, length: f64) -> Func {
    let mut b = Builder::new("sample");
    let ty = trial.initial.ty().clone();
    let carried: Vec<Value> = (0..CARRIED).map(|_| b.input(Type::f64([]))).collect();
    let u = b.input(ty);
    let end = b.input(Type::f64([]));
    let p: Vec<Value> = trial.captured.iter().map(|n| b.input(n.ty().clone())).collect();
    let step = attempt(trial, control, length);
    let args: Vec<Value> = carried.into_iter().chain([u, end]).chain(p).collect();
    let op = Op::Scan { body: Arc::new(step), length: control.most, carry: CARRIED + 1, xs: 0, reverse: false };
    let mut out = b.ops(op, &args);
    let (t, ended) = (out[0], out[6]);
    let short = b.compare(Compare::Lt, t, end);
    let one = b.scalar(1.0);
    let running = b.sub(one, ended);
    let failed = b.mul(short, running);
    // What was not reached has no value.
    let nothing = b.full_like(out[CARRIED], f64::NAN);
    out[CARRIED] = b.select(failed, nothing, out[CARRIED]);
    out[6] = b.binary(Binary::Max, ended, failed);
    out.extend([t, out[CARRIED], failed]);
    b.finish(out)
}

/// `(carried…, state, end, captured…) → (carried…, state)`: a try, or nothing once the end is reached.
fn attempt(trial: &Trial, control: &Control, length: f64) -> Func {
    let types: Vec<Type> = (0..CARRIED)
        .map(|_| Type::f64([]))
        .chain([trial.initial.ty().clone(), Type::f64([])])
        .chain(trial.captured.iter().map(|n| n.ty().clone()))
        .collect();
    let (then, otherwise) = (same(&types), tried(trial, control, length, &types));
    let mut b = Builder::new("attempt");
    let inputs: Vec<Value> = types.iter().map(|t| b.input(t.clone())).collect();
    let reached = b.compare(Compare::Le, inputs[CARRIED + 1], inputs[0]);
    let over = b.binary(Binary::Max, reached, inputs[6]);
    let args: Vec<Value> = std::iter::once(over).chain(inputs).collect();
    let out = b.ops(Op::Cond { then: Arc::new(then), otherwise: Arc::new(otherwise) }, &args);
    b.finish(out)
}

fn same(types: &[Type]) -> Func {
    let mut b = Builder::new("over");
    let inputs: Vec<Value> = types.iter().map(|t| b.input(t.clone())).collect();
    b.finish(inputs[..=CARRIED].to_vec())
}

fn tried(trial: &Trial, control: &Control, length: f64, types: &[Type]) -> Func {
    let mut b = Builder::new("try");
    let inputs: Vec<Value> = types.iter().map(|t| b.input(t.clone())).collect();
    let [t, proposed, former, again, accepted, rejected, _] = inputs[..CARRIED] else {
        unreachable!("compiler bug: so many are carried")
    };
    let (u, end, p) = (inputs[CARRIED], inputs[CARRIED + 1], &inputs[CARRIED + 2..]);
    let b = &mut b;
    let one = b.scalar(1.0);
    let proposed = match (&trial.limit, control.cfl) {
        (Some(limit), Some(cfl)) => {
            let args: Vec<Value> = [t, u].into_iter().chain(p.iter().copied()).collect();
            let most = b.inline(limit, &args)[0];
            let h = b.scale(most, cfl);
            let whole = b.scalar(length);
            b.binary(Binary::Min, h, whole)
        }
        _ => proposed,
    };
    // The last step ends at the end; one that would leave a sliver is halved.
    let remaining = b.sub(end, t);
    let stretched = b.scale(proposed, 1.0 + 1e-9);
    let last = b.compare(Compare::Le, remaining, stretched);
    let h = match control.tolerance {
        Some(_) => {
            let (twice, half) = (b.scale(proposed, 2.0), b.scale(remaining, 0.5));
            let near = b.compare(Compare::Lt, remaining, twice);
            let h = b.select(near, half, proposed);
            b.select(last, remaining, h)
        }
        None => b.select(last, remaining, proposed),
    };
    let args: Vec<Value> = [t, h, u].into_iter().chain(p.iter().copied()).collect();
    let stepped = b.inline(&trial.func, &args);
    let later = b.add(t, h);
    let later = b.select(last, end, later);
    let (good, next_h, old) = match (control.tolerance, stepped.get(1)) {
        (Some(tolerance), Some(&error)) => {
            let k = trial.order as f64 + 1.0;
            let scale = scale(b, u, stepped[0], &trial.nominal, tolerance);
            let e = norm(b, error, scale);
            let floor = b.scalar(1e-10);
            let e = b.binary(Binary::Max, e, floor);
            let huge = b.scalar(1e100);
            let finite = b.compare(Compare::Lt, e, huge);
            let e = b.select(finite, e, huge);
            let good = b.compare(Compare::Le, e, one);
            let (alpha, beta, plain) = (b.scalar(-0.7 / k), b.scalar(0.4 / k), b.scalar(-1.0 / k));
            let (now, then) = (b.binary(Binary::Pow, e, alpha), b.binary(Binary::Pow, former, beta));
            let grow = b.mul(now, then);
            let grow = b.scale(grow, SAFETY);
            // After a rejection a step does not grow.
            let (most, least) = (b.scalar(GROW), b.scalar(SHRINK));
            let most = b.select(again, one, most);
            let grow = b.binary(Binary::Min, grow, most);
            let grow = b.binary(Binary::Max, grow, least);
            let shrink = b.binary(Binary::Pow, e, plain);
            let shrink = b.scale(shrink, SAFETY);
            let shrink = b.binary(Binary::Max, shrink, least);
            let (longer, shorter) = (b.mul(h, grow), b.mul(h, shrink));
            // A step that was cut for a sample says little about the next one.
            let cut = b.compare(Compare::Lt, h, proposed);
            let kept = b.binary(Binary::Max, longer, proposed);
            let longer = b.select(cut, kept, longer);
            let old_floor = b.scalar(1e-4);
            let old = b.binary(Binary::Max, e, old_floor);
            (good, b.select(good, longer, shorter), b.select(good, old, former))
        }
        _ => (one, proposed, former),
    };
    let time = b.select(good, later, t);
    let state = b.select(good, stepped[0], u);
    let bad = b.sub(one, good);
    let (more, less) = (b.add(accepted, good), b.add(rejected, bad));
    let (time, state, ended) = match &trial.event {
        None => (time, state, b.scalar(0.0)),
        Some(event) => crossing(b, trial, event, (t, h), (u, time, state), p),
    };
    let out = vec![time, next_h, old, bad, more, less, ended, state];
    std::mem::take(b).finish(out)
}

/// Ends a step where an event function crosses zero: `(time, state, whether)`.
fn crossing(
    b: &mut Builder,
    trial: &Trial,
    event: &Func,
    (t, h): (Value, Value),
    (u, time, state): (Value, Value, Value),
    p: &[Value],
) -> (Value, Value, Value) {
    let value = |b: &mut Builder, t: Value, u: Value| {
        let args: Vec<Value> = [t, u].into_iter().chain(p.iter().copied()).collect();
        b.inline(event, &args)[0]
    };
    let (before, after) = (value(b, t, u), value(b, time, state));
    let zero = b.scalar(0.0);
    let (rises, reaches) = (b.compare(Compare::Lt, before, zero), b.compare(Compare::Le, zero, after));
    let (falls, drops) = (b.compare(Compare::Lt, zero, before), b.compare(Compare::Le, after, zero));
    let (up, down) = (b.mul(rises, reaches), b.mul(falls, drops));
    let hit = b.binary(Binary::Max, up, down);
    let types: Vec<Type> = [t, h, u, time, state, before, after].iter().chain(p).map(|v| b.ty(*v).clone()).collect();
    let located = located(trial, event, &types);
    let mut keep = Builder::new("on");
    let inputs: Vec<Value> = types.iter().map(|t| keep.input(t.clone())).collect();
    let keep = keep.finish(vec![inputs[3], inputs[4]]);
    let args: Vec<Value> = [hit, t, h, u, time, state, before, after].into_iter().chain(p.iter().copied()).collect();
    let out = b.ops(Op::Cond { then: Arc::new(located), otherwise: Arc::new(keep) }, &args);
    (out[0], out[1], hit)
}

/// `(t, h, u, time, state, before, after, captured…) → (time, state)` at the event: the root over the length of the step, so that it is as
/// exact as the method, and differentiable.
fn located(trial: &Trial, event: &Func, types: &[Type]) -> Func {
    // (θ, t, h, u, captured…) → event after a step of θh
    let mut r = Builder::new("event");
    let fraction = r.input(Type::f64([1]));
    let (t, h) = (r.input(Type::f64([])), r.input(Type::f64([])));
    let u = r.input(types[2].clone());
    let p: Vec<Value> = types[7..].iter().map(|ty| r.input(ty.clone())).collect();
    let theta = r.reshape(fraction, &[]);
    let length = r.mul(theta, h);
    let args: Vec<Value> = [t, length, u].into_iter().chain(p.iter().copied()).collect();
    let state = r.inline(&trial.func, &args)[0];
    let time = r.add(t, length);
    let args: Vec<Value> = [time, state].into_iter().chain(p).collect();
    let value = r.inline(event, &args)[0];
    let value = r.reshape(value, &[1]);
    let residual = Arc::new(r.finish(vec![value]));

    let mut b = Builder::new("located");
    let inputs: Vec<Value> = types.iter().map(|ty| b.input(ty.clone())).collect();
    let [t, h, u, _, _, before, after] = inputs[..7] else { unreachable!("compiler bug: so many arguments") };
    let p = &inputs[7..];
    // The secant's root is where Newton's method starts.
    let drop = b.sub(before, after);
    let guess = b.div(before, drop);
    let guess = b.reshape(guess, &[1]);
    let spec = SolveSpec { name: "event".into(), newton_tolerance: 1e-12, ..SolveSpec::default() };
    let args: Vec<Value> = [guess, t, h, u].into_iter().chain(p.iter().copied()).collect();
    let theta = b.op(Op::Solve { residual, spec: Arc::new(spec) }, &args);
    let theta = b.reshape(theta, &[]);
    let length = b.mul(theta, h);
    let args: Vec<Value> = [t, length, u].into_iter().chain(p.iter().copied()).collect();
    let state = b.inline(&trial.func, &args)[0];
    let time = b.add(t, length);
    b.finish(vec![time, state])
}

/// `atol·nominal + rtol·max(|u|, |v|)`
fn scale(b: &mut Builder, u: Value, v: Value, nominal: &Tensor, (rtol, atol): (f64, f64)) -> Value {
    let (x, y) = (b.unary(Unary::Abs, u), b.unary(Unary::Abs, v));
    let size = b.binary(Binary::Max, x, y);
    let relative = b.scale(size, rtol);
    let nominal = b.constant(nominal.clone());
    let absolute = b.scale(nominal, atol);
    b.add(relative, absolute)
}

/// The root of the mean square of `v/scale`, at least a little, where its derivative ends.
fn norm(b: &mut Builder, v: Value, scale: Value) -> Value {
    let ratio = b.div(v, scale);
    let squares = b.mul(ratio, ratio);
    let n = b.ty(v).len().max(1);
    let sum = b.sum_all(squares);
    let mean = b.scale(sum, 1.0 / n as f64);
    let least = b.scalar(1e-40);
    let mean = b.binary(Binary::Max, mean, least);
    b.unary(Unary::Sqrt, mean)
}
