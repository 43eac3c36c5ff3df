//! Runs whose step lengths are found on the way: by an estimate of the error, by a limit of stability, up to an event.
//!
//! Between two times that are kept there is a `Scan` of at most so many tries, whose body does nothing once the time is reached; a
//! state that comes back unchanged ends such a scan early. Where the method knows its solution within a step (`Tries::dense`), steps
//! take no notice of what is kept, which is read off a polynomial; else a step that would go beyond is cut. Derivatives go through all
//! of this, lengths of steps included: they are the derivatives of what is computed. [Hairer, Nørsett & Wanner I, §II.4, §II.6; Eberhard
//! & Bischof 1999]

use super::control::Control;
use super::march::{March, mark_tries};
use super::timeline::Timeline;
use crate::base::Span;
use crate::ir::{Binary, Builder, Compare, Func, Op, Reduce, Tensor, Type, Value};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
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
    /// The state is known within a step; the bound is then the end of the run, else the next time that is kept.
    pub dense: bool,
}

/// The numbers that every method carries first.
pub const COMMON: usize = 5;
/// Time, length of the next step, steps that were accepted, those that were not, and whether the run has ended: 1 by an event, 2 for too
/// many tries.
pub const TIME: usize = 0;
pub const LENGTH: usize = 1;
pub const ACCEPTED: usize = 2;
pub const REJECTED: usize = 3;
pub const ENDED: usize = 4;

/// How often claims are looked at in a run of which no samples are kept.
const LOOKS: usize = 8;

/// What a run gives.
pub struct Driven {
    /// `[samples, …]`, or the last state alone as one row.
    pub states: Num,
    /// `[samples]`
    pub times: Num,
    /// `(time at the end, 1 where the end was not reached, how the run ended, accepted, rejected, next step)`
    pub status: [Num; 6],
}

impl Lower<'_> {
    /// Runs over the samples of a timeline.
    pub(super) fn drive(&mut self, mut march: March, tries: &Tries, control: &Control, timeline: &Timeline) -> Driven {
        // Claims are looked at between samples: where none are kept, of a few.
        let parts = if march.watched.is_some() && !timeline.keep { LOOKS } else { 1 };
        let (n, step) = (timeline.samples * parts, timeline.step / parts as f64);
        (march.steps, march.step) = (n, step);
        let ends: Vec<f64> = (0..n).map(|k| timeline.start + (k + 1) as f64 * step).collect();
        let last = ends[n - 1];
        let mut args = tries.initial.clone();
        let carry = args.len();
        args.push(Num::Const(Tensor::f64([n], ends)));
        args.extend(tries.captured.iter().cloned());
        let refs: Vec<&Num> = args.iter().collect();
        let mut body = sample(tries, control, last);
        self.runtime.marches(march, &mut body);
        mark_tries(&mut body);
        let op = Op::Scan { body: Arc::new(body), length: n, carry, xs: 1, reverse: false };
        let out = self.tracer.build_all(&refs, |b, v| b.ops(op, v));
        let (times, states, failed) = (&out[carry], &out[carry + 1], &out[carry + 2]);
        let failed = self.tracer.build(&[failed], |b, v| b.reduce(Reduce::Max, v[0], &[0]));
        let (states, times) = match timeline.keep {
            true => (
                self.tracer.build(&[&tries.start, states], |b, v| {
                    let shape = [&[1], &b.ty(v[0]).shape[..]].concat();
                    let first = b.reshape(v[0], &shape);
                    b.concat(&[first, v[1]], 0)
                }),
                self.tracer.build(&[times], |b, v| {
                    let first = b.full(&Type::f64([1]), timeline.start);
                    b.concat(&[first, v[0]], 0)
                }),
            ),
            false => {
                let mut last = |v: &Num| self.tracer.build(&[v], |b, v| b.slice(v[0], 0, n - 1, n));
                (last(states), last(times))
            }
        };
        let of = |k: usize| out[k].clone();
        let status = [of(TIME), failed, of(ENDED), of(ACCEPTED), of(REJECTED), of(LENGTH)];
        Driven { states, times, status }
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
        if !self.tracer.known_now() || self.runtime.guesses() {
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
        if ended != 1.0 || !timeline.keep {
            return Ok((states, times));
        }
        // Nothing is kept after an event.
        let t = known[1].to_f64();
        let rows = t.iter().position(|x| *x >= reached).map_or(t.len(), |k| k + 1);
        let mut first = |n: &Num| self.tracer.build(&[n], |b, v| b.slice(v[0], 0, 0, rows));
        Ok((first(&states), first(&times)))
    }
}

/// `(carried…, end, captured…) → (carried…, time, state, failed)`: up to the next time that is kept; `last` is the end of the run.
fn sample(tries: &Tries, control: &Control, last: f64) -> Func {
    let mut b = Builder::new("sample");
    let carry = tries.initial.len();
    let carried: Vec<Value> = tries.initial.iter().map(|n| b.input(n.ty().clone())).collect();
    let end = b.input(Type::f64([]));
    let p: Vec<Value> = tries.captured.iter().map(|n| b.input(n.ty().clone())).collect();
    let bound = if tries.dense { b.scalar(last) } else { end };
    let body = round(tries);
    let args: Vec<Value> = carried.into_iter().chain([end, bound]).chain(p.iter().copied()).collect();
    let op = Op::Scan { body: Arc::new(body), length: control.most, carry, xs: 0, reverse: false };
    let mut out = b.ops(op, &args);
    let (one, two) = (b.scalar(1.0), b.scalar(2.0));
    let short = b.compare(Compare::Lt, out[TIME], end);
    let ended = b.binary(Binary::Min, out[ENDED], one);
    let running = b.sub(one, ended);
    let failed = b.mul(short, running);
    let failure = b.mul(failed, two);
    out[ENDED] = b.binary(Binary::Max, out[ENDED], failure);
    let time = b.binary(Binary::Min, out[TIME], end);
    let args: Vec<Value> = out[..carry].iter().copied().chain([time]).chain(p).collect();
    let state = b.inline(&tries.state, &args)[0];
    // What was not reached has no value.
    let lost = b.compare(Compare::Le, two, out[ENDED]);
    let nothing = b.full_like(state, f64::NAN);
    let state = b.select(lost, nothing, state);
    out.extend([time, state, failed]);
    b.finish(out)
}

/// `(carried…, end, bound, captured…) → carried…`: a try, or nothing once the end is reached.
fn round(tries: &Tries) -> Func {
    let carry = tries.initial.len();
    let mut types: Vec<Type> = tries.initial.iter().map(|n| n.ty().clone()).collect();
    types.push(Type::f64([]));
    types.extend(tries.captured.iter().map(|n| n.ty().clone()));
    let mut over = Builder::new("over");
    let inputs: Vec<Value> = types.iter().map(|t| over.input(t.clone())).collect();
    let over = over.finish(inputs[..carry].to_vec());
    let mut b = Builder::new("attempt");
    let mut inputs: Vec<Value> = types[..carry].iter().map(|t| b.input(t.clone())).collect();
    let end = b.input(Type::f64([]));
    inputs.extend(types[carry..].iter().map(|t| b.input(t.clone())).collect::<Vec<_>>());
    let reached = b.compare(Compare::Le, end, inputs[TIME]);
    let idle = b.binary(Binary::Max, reached, inputs[ENDED]);
    let args: Vec<Value> = std::iter::once(idle).chain(inputs).collect();
    let out = b.ops(Op::Cond { then: Arc::new(over), otherwise: Arc::new(tries.attempt.clone()) }, &args);
    b.finish(out)
}
