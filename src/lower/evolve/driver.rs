//! Runs whose step lengths are found on the way: by an estimate of the error, by a limit of stability, up to an event.
//!
//! Between two times that are kept there is a `Scan` of at most so many tries, whose body does nothing once the time is reached; a
//! state that comes back unchanged ends such a scan early. Where the method knows its solution within a step (`Tries::dense`), steps
//! take no notice of what is kept, which is read off a polynomial; else a step that would go beyond is cut. Derivatives go through all
//! of this, lengths of steps included: they are the derivatives of what is computed. [Hairer, Nørsett & Wanner I, §II.4, §II.6; Eberhard
//! & Bischof 1999]

use super::control::Control;
use super::march::{Look, March, Round, round_name};
use super::timeline::Timeline;
use crate::base::Span;
use crate::ir::{Binary, Builder, Compare, Func, Op, Tensor, Type, Value};
use crate::lower::Lower;
use crate::lower::error::Result;
use crate::lower::value::Num;
use std::sync::Arc;

/// A method as a sequence of tries.
pub struct Tries {
    /// What is carried from one to the next: the [`COMMON`] numbers, then what the method wants.
    pub initial: Vec<Num>,
    /// `(carried…, bound, captured…) → carried…`: a try that does not go beyond the bound.
    pub attempt: Func,
    /// `(carried…, time, captured…) → state` at a time up to t, not before the last step began.
    pub state: Func,
    /// The start as the state.
    pub start: Num,
    pub captured: Vec<Num>,
    /// `(t, state, captured…) → rates`, where they are known.
    pub rates: Option<Func>,
    /// Which of what is carried begins with the state.
    pub place: usize,
    /// Which of it is the slope there, where one is carried.
    pub slope: Option<usize>,
    /// `(state, t, captured…) → unknowns`, where the state is not made of values at points.
    pub shown: Option<Look>,
    /// The state is known within a step; the bound is then the end of the run, else the next time that is kept.
    pub dense: bool,
}

/// The numbers that every method carries first.
pub const COMMON: usize = 5;
/// Time, length of the next step, steps that were accepted, those that were not, and whether the run has ended: 1 by an event,
/// [`MANY`] or [`SHORT`].
pub const TIME: usize = 0;
pub const LENGTH: usize = 1;
pub const ACCEPTED: usize = 2;
pub const REJECTED: usize = 3;
pub const ENDED: usize = 4;

/// The run has ended for too many tries.
pub const MANY: f64 = 2.0;
/// The run has ended because its steps became so short that time stands still.
pub const SHORT: f64 = 3.0;
/// Of the time, and of the length of the run: no step is shorter than either.
const SHORTEST: (f64, f64) = (4.0 * f64::EPSILON, 1e-30);

/// What a run gives.
pub struct Driven {
    /// `[samples, …]`, or the last state alone as one row.
    pub states: Num,
    /// `[samples]`
    pub times: Num,
    /// The [`COMMON`] numbers at the end.
    pub status: [Num; COMMON],
    /// The state at that time, and a little before.
    pub last: [Num; 2],
}

/// How little, in lengths of the next step, which is tiny where a run breaks down: the last one was longer.
const BEFORE: f64 = 4096.0;

impl Lower<'_> {
    /// Runs over the samples of a timeline.
    pub(super) fn drive(&mut self, march: &March, tries: &Tries, control: &Control, timeline: &Timeline) -> Driven {
        let (mut rows, status, last) = self.driven_rows(march, tries, control, timeline, None);
        let states = rows.pop().expect("compiler bug: a run without states");
        let times = rows.pop().expect("compiler bug: a run without times");
        let n = timeline.samples;
        let (states, times) = match timeline.keep {
            true => (
                self.tracer.build(&[&tries.start, &states], |b, v| {
                    let shape = [&[1], &b.ty(v[0]).shape[..]].concat();
                    let first = b.reshape(v[0], &shape);
                    b.concat(&[first, v[1]], 0)
                }),
                self.tracer.build(&[&times], |b, v| {
                    let first = b.full(&Type::f64([1]), timeline.start);
                    b.concat(&[first, v[0]], 0)
                }),
            ),
            false => {
                let mut last = |v: &Num| self.tracer.build(&[v], |b, v| b.slice(v[0], 0, n - 1, n));
                (last(&states), last(&times))
            }
        };
        Driven { states, times, status, last }
    }

    /// The loop itself: `[samples, …]` of the times and of the state, or of what `finish` makes of it, `(state, t, captured…) → …` with
    /// what it captured; then the common numbers and the state at the end and a little before.
    pub(super) fn driven_rows(
        &mut self,
        march: &March,
        tries: &Tries,
        control: &Control,
        timeline: &Timeline,
        finish: Option<(&Func, &[Num])>,
    ) -> (Vec<Num>, [Num; COMMON], [Num; 2]) {
        let n = timeline.samples;
        let ends: Vec<f64> = (0..n).map(|k| timeline.start + (k + 1) as f64 * timeline.step).collect();
        let last = ends[n - 1];
        let mut args = tries.initial.clone();
        let carry = args.len();
        args.push(Num::Const(Tensor::f64([n], ends)));
        args.extend(tries.captured.iter().cloned());
        args.extend(finish.iter().flat_map(|f| f.1.iter().cloned()));
        let refs: Vec<&Num> = args.iter().collect();
        let mut marked = Func { name: "tries".into(), ..Func::default() };
        self.runtime.marches(march.clone(), &mut marked);
        let body = sample(tries, control, (timeline.start, last), finish, &marked.name);
        let op = Op::Scan { body: Arc::new(body), length: n, carry, xs: 1, reverse: false };
        let mut out = self.tracer.build_all(&refs, |b, v| b.ops(op, v));
        let rows = out.split_off(carry);
        let before = self.tracer.build(&[&out[TIME], &out[LENGTH]], |b, v| {
            let back = b.scale(v[1], -BEFORE);
            b.add(v[0], back)
        });
        let mut last = [out[TIME].clone(), before.clone()].map(|t| {
            let args: Vec<&Num> = out.iter().chain([&t]).chain(&tries.captured).collect();
            self.tracer.build(&args, |b, v| b.inline(&tries.state, v)[0])
        });
        if let (Some(slope), false) = (tries.slope, tries.dense) {
            last[1] = self.tracer.build(&[&last[0], &out[slope], &out[TIME], &before], |b, v| {
                let back = b.sub(v[3], v[2]);
                let change = b.mul(v[1], back);
                b.add(v[0], change)
            });
        }
        out.truncate(COMMON);
        let status = out.try_into().unwrap_or_else(|_| unreachable!("compiler bug: common numbers come first"));
        (rows, status, last)
    }

    /// Looks how a run ended, where that can be known now: states and times of what is kept, up to an event.
    pub(super) fn reached(
        &mut self,
        march: &March,
        tries: &Tries,
        (control, timeline): (&Control, &Timeline),
        driven: Driven,
        span: Span,
    ) -> Result<(Num, Num)> {
        let Driven { states, times, status, last } = driven;
        if !self.tracer.known_now() || self.runtime.guesses() {
            return Ok((states, times));
        }
        let all: Vec<Num> = [states, times].into_iter().chain(status).chain(last).collect();
        let known = self.compute(&all, span)?;
        self.well_ended(march, tries, control, &known[2..], span)?;
        let (reached, ended) = (known[2 + TIME].item(), known[2 + ENDED].item());
        let (states, times) = (Num::Const(known[0].clone()), Num::Const(known[1].clone()));
        if ended != 1.0 || !timeline.keep {
            return Ok((states, times));
        }
        let rows = rows_until(&known[1], reached);
        let mut first = |n: &Num| self.tracer.build(&[n], |b, v| b.slice(v[0], 0, 0, rows));
        Ok((first(&states), first(&times)))
    }
}

/// How many times there are up to that of an event: nothing is kept after it.
pub(super) fn rows_until(times: &Tensor, reached: f64) -> usize {
    let t = times.to_f64();
    t.iter().position(|x| *x >= reached).map_or(t.len(), |k| k + 1)
}

/// 1 where a step of this length is too short to be one, or no number; 0 where the bound is reached.
pub(super) fn too_short(b: &mut Builder, h: Value, (time, bound): (Value, Value), length: f64) -> Value {
    let (one, least) = (b.scalar(1.0), b.scalar(SHORTEST.1 * length));
    let size = b.unary(crate::ir::Unary::Abs, time);
    let rounding = b.scale(size, SHORTEST.0);
    let least = b.binary(Binary::Max, least, rounding);
    let long = b.compare(Compare::Lt, least, h);
    let short = b.sub(one, long);
    let running = b.compare(Compare::Lt, time, bound);
    b.mul(short, running)
}

/// `(carried…, end, captured…, captured of finish…) → (carried…, time, state or what is made of it…)`: up to the next time that is
/// kept; `whole` is when the run begins and ends, `step` the name of a step of it.
fn sample(tries: &Tries, control: &Control, whole: (f64, f64), finish: Option<(&Func, &[Num])>, step: &str) -> Func {
    let mut b = Builder::new(round_name(step, Round::Tries));
    let carry = tries.initial.len();
    let carried: Vec<Value> = tries.initial.iter().map(|n| b.input(n.ty().clone())).collect();
    let end = b.input(Type::f64([]));
    let p: Vec<Value> = tries.captured.iter().map(|n| b.input(n.ty().clone())).collect();
    let more: Vec<Value> = finish.iter().flat_map(|f| f.1).map(|n| b.input(n.ty().clone())).collect();
    let bound = if tries.dense { b.scalar(whole.1) } else { end };
    let body = round(tries, round_name(step, Round::Try));
    let args: Vec<Value> = carried.into_iter().chain([end, bound]).chain(p.iter().copied()).collect();
    let op = Op::Scan { body: Arc::new(body), length: control.most, carry, xs: 0, reverse: false };
    let mut out = b.ops(op, &args);
    let (one, many) = (b.scalar(1.0), b.scalar(MANY));
    let short = b.compare(Compare::Lt, out[TIME], end);
    let ended = b.binary(Binary::Min, out[ENDED], one);
    let running = b.sub(one, ended);
    let failed = b.mul(short, running);
    let failure = b.mul(failed, many);
    out[ENDED] = b.binary(Binary::Max, out[ENDED], failure);
    let time = b.binary(Binary::Min, out[TIME], end);
    let args: Vec<Value> = out[..carry].iter().copied().chain([time]).chain(p).collect();
    let state = b.inline(&tries.state, &args)[0];
    // What was not reached has no value.
    let lost = b.compare(Compare::Le, many, out[ENDED]);
    let nothing = b.full_like(state, f64::NAN);
    let state = b.select(lost, nothing, state);
    out.push(time);
    match finish {
        Some((finish, _)) => out.extend(b.inline(finish, &[&[state, time], &more[..]].concat())),
        None => out.push(state),
    }
    b.finish(out)
}

/// `(carried…, end, bound, captured…) → carried…`: a try, or nothing once the end is reached.
fn round(tries: &Tries, name: String) -> Func {
    let carry = tries.initial.len();
    let mut types: Vec<Type> = tries.initial.iter().map(|n| n.ty().clone()).collect();
    types.push(Type::f64([]));
    types.extend(tries.captured.iter().map(|n| n.ty().clone()));
    let mut over = Builder::new("over");
    let inputs: Vec<Value> = types.iter().map(|t| over.input(t.clone())).collect();
    let over = over.finish(inputs[..carry].to_vec());
    let mut b = Builder::new(name);
    let mut inputs: Vec<Value> = types[..carry].iter().map(|t| b.input(t.clone())).collect();
    let end = b.input(Type::f64([]));
    inputs.extend(types[carry..].iter().map(|t| b.input(t.clone())).collect::<Vec<_>>());
    let reached = b.compare(Compare::Le, end, inputs[TIME]);
    let idle = b.binary(Binary::Max, reached, inputs[ENDED]);
    let args: Vec<Value> = std::iter::once(idle).chain(inputs).collect();
    let out = b.ops(Op::Cond { then: Arc::new(over), otherwise: Arc::new(tries.attempt.clone()) }, &args);
    b.finish(out)
}
