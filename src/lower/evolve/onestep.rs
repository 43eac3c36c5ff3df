//! One-step methods whose steps follow the error, a limit of stability, or are of one length up to an event.
//! [Hairer, Nørsett & Wanner I, §II.4; Gustafsson 1991]

use super::control::Control;
use super::driver::{ACCEPTED, COMMON, LENGTH, REJECTED, SHORT, TIME, Tries, too_short};
use super::events::{Within, crossing};
use super::measure::Measure;
use super::timeline::Timeline;
use crate::ir::{Binary, Builder, Compare, Func, Tensor, Type, Value};
use crate::lower::Lower;
use crate::lower::value::Num;

/// A step of any length.
pub struct OneStep {
    /// `(t, h, state, memory…, captured…) → (next, memory…, error?, bulge?)`
    pub func: Func,
    /// What a step leaves to the next one besides the state, at the start. The first, where there is one, is the slope of the state; the
    /// second, where there is one, tells whether that is known, as it is after the first step.
    pub memory: Vec<Num>,
    /// The order of the embedded method, of the error, where one is estimated.
    pub estimate: Option<usize>,
    /// The state is known within a step.
    pub dense: Option<Dense>,
    pub captured: Vec<Num>,
    pub initial: Num,
    /// `(t, state, captured…) → rates`, for the first step length.
    pub rates: Option<Func>,
    /// `(t, state, captured…) → the longest stable step`.
    pub limit: Option<Func>,
    /// `(t, state, captured…) → a number`: the run ends where it crosses zero.
    pub event: Option<Func>,
    pub measure: Measure,
}

/// A polynomial over a step, in the part θ of it that has passed.
#[derive(Clone, Copy, PartialEq)]
pub enum Dense {
    /// From the states and slopes at both ends, of order 3.
    Hermite,
    /// The same and `θ²(1 - θ)²` times what a step gives last. [Hairer, Nørsett & Wanner I, §II.6]
    Bulged,
}

impl Dense {
    fn coefficients(self) -> usize {
        match self {
            Dense::Hermite => 4,
            Dense::Bulged => 5,
        }
    }
}

/// Carried after the common numbers: the former error, whether the last try was rejected; then the state and its memory; then, where
/// dense, the beginning and the length of the last step and the coefficients of its polynomial.
const FORMER: usize = COMMON;
const AGAIN: usize = COMMON + 1;
const STATE: usize = COMMON + 2;

/// Safety factor, and by how much a step may change at once.
const SAFETY: f64 = 0.9;
const SHRINK: f64 = 0.2;
const GROW: f64 = 5.0;

impl Lower<'_> {
    pub(super) fn one_step_tries(&mut self, step: &OneStep, control: &Control, timeline: &Timeline) -> Tries {
        // The end alone needs no polynomial.
        let dense = step.dense.filter(|_| timeline.keep && control.tolerance.is_some());
        let first = self.first_step(step, control, timeline);
        let zero = Num::scalar(0.0);
        let mut initial = vec![Num::scalar(timeline.start), first, zero.clone(), zero.clone(), zero.clone()];
        initial.extend([Num::scalar(1e-4), zero, step.initial.clone()]);
        initial.extend(step.memory.iter().cloned());
        if let Some(dense) = dense {
            initial.extend([Num::scalar(timeline.start), Num::scalar(1.0)]);
            let nothing = Num::Const(Tensor::zeros(step.initial.ty()));
            initial.extend(vec![nothing; dense.coefficients()]);
        }
        let types: Vec<Type> = initial.iter().chain(&step.captured).map(|n| n.ty().clone()).collect();
        let carry = initial.len();
        let length = timeline.step * timeline.samples as f64;
        Tries {
            attempt: attempt(step, dense, control, length, (&types, carry)),
            state: state(step, dense, (&types, carry)),
            start: step.initial.clone(),
            initial,
            captured: step.captured.clone(),
            rates: step.rates.clone(),
            place: STATE,
            slope: (!step.memory.is_empty()).then_some(STATE + 1),
            shown: None,
            dense: dense.is_some(),
        }
    }

    /// The first step, from the size of the state and its rates. [Hairer, Nørsett & Wanner I, §II.4]
    fn first_step(&mut self, step: &OneStep, control: &Control, timeline: &Timeline) -> Num {
        let order = step.estimate.unwrap_or(1) as f64;
        let start = (&step.initial, &step.captured[..], step.rates.as_ref());
        self.first_length(start, &step.measure, order, control, timeline)
    }

    /// The same from `(state, captured, rates(t, state, captured…))`.
    pub(super) fn first_length(
        &mut self,
        (initial, captured, rates): (&Num, &[Num], Option<&Func>),
        measure: &Measure,
        order: f64,
        control: &Control,
        timeline: &Timeline,
    ) -> Num {
        let length = timeline.step * timeline.samples as f64;
        if let Some(dt) = control.dt {
            return Num::scalar(dt.min(length));
        }
        let (Some(rates), Some(tolerance)) = (rates, control.tolerance) else {
            return Num::scalar(1e-6 * length);
        };
        let start = Num::scalar(timeline.start);
        let refs: Vec<&Num> = [&start, initial].into_iter().chain(captured).collect();
        self.tracer.build(&refs, |b, v| {
            let u = v[1];
            let f0 = b.inline(rates, v)[0];
            let (d0, d1) = (measure.size(b, u, u, u, tolerance), measure.size(b, u, u, f0, tolerance));
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
            let d2 = measure.size(b, u, u, change, tolerance);
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

/// `(carried…, time, captured…) → state`
fn state(step: &OneStep, dense: Option<Dense>, (types, carry): (&[Type], usize)) -> Func {
    let mut b = Builder::new("state");
    let carried: Vec<Value> = types[..carry].iter().map(|t| b.input(t.clone())).collect();
    let time = b.input(Type::f64([]));
    types[carry..].iter().for_each(|t| {
        b.input(t.clone());
    });
    let u = carried[STATE];
    if dense.is_none() {
        return b.finish(vec![u]);
    }
    let own = &carried[STATE + 1 + step.memory.len()..];
    let b = &mut b;
    let passed = b.sub(time, own[0]);
    let theta = b.div(passed, own[1]);
    let one = b.scalar(1.0);
    let rest = b.sub(one, theta);
    // r₁ + θ(r₂ + (1 - θ)(r₃ + θ(r₄ + (1 - θ) r₅)))
    let r = &own[2..];
    let mut sum = r[r.len() - 1];
    for k in (0..r.len() - 1).rev() {
        let factor = if k % 2 == 0 { theta } else { rest };
        let term = b.mul(sum, factor);
        sum = b.add(r[k], term);
    }
    let end = b.compare(Compare::Le, carried[TIME], time);
    let out = b.select(end, u, sum);
    std::mem::take(b).finish(vec![out])
}

/// `(carried…, bound, captured…) → carried…`
fn attempt(
    step: &OneStep,
    dense: Option<Dense>,
    control: &Control,
    length: f64,
    (types, carry): (&[Type], usize),
) -> Func {
    let mut b = Builder::new("try");
    let carried: Vec<Value> = types[..carry].iter().map(|t| b.input(t.clone())).collect();
    let end = b.input(Type::f64([]));
    let p: Vec<Value> = types[carry..].iter().map(|t| b.input(t.clone())).collect();
    let (t, proposed, former, again) = (carried[TIME], carried[LENGTH], carried[FORMER], carried[AGAIN]);
    let u = carried[STATE];
    let memory = &carried[STATE + 1..STATE + 1 + step.memory.len()];
    let b = &mut b;
    let one = b.scalar(1.0);
    let proposed = match (&step.limit, control.cfl) {
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
    let args: Vec<Value> = [t, h, u].into_iter().chain(memory.iter().copied()).chain(p.iter().copied()).collect();
    let stepped = b.inline(&step.func, &args);
    let (mut next, mut kept, mut rest) =
        (stepped[0], stepped[1..][..memory.len()].to_vec(), stepped[1 + memory.len()..].to_vec());
    let later = b.add(t, h);
    let later = b.select(last, end, later);
    let (good, next_h, old) = match (control.tolerance, step.estimate) {
        (Some(tolerance), Some(order)) => {
            let k = order as f64 + 1.0;
            let e = step.measure.size(b, u, next, rest[0], tolerance);
            let floor = b.scalar(1e-10);
            let e = b.binary(Binary::Max, e, floor);
            let huge = b.scalar(1e100);
            let finite = b.compare(Compare::Lt, e, huge);
            let e = b.select(finite, e, huge);
            // An overflow goes no further than here, so that derivatives can leave it out (`ad::masked`).
            next = b.select(finite, next, u);
            kept.iter_mut().zip(memory).for_each(|(new, old)| *new = b.select(finite, *new, *old));
            for v in &mut rest[1..] {
                let nothing = b.zeros_like(*v);
                *v = b.select(finite, *v, nothing);
            }
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
            // A step that was cut says little about the next one.
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
    let state = b.select(good, next, u);
    let bad = b.sub(one, good);
    let accepted = b.add(carried[ACCEPTED], good);
    let rejected = b.add(carried[REJECTED], bad);
    let checked = if control.tolerance.is_some() { next_h } else { h };
    let stuck = too_short(b, checked, (time, end), length);
    let stuck = b.scale(stuck, SHORT);
    let (time, state, ended) = match &step.event {
        None => (time, state, stuck),
        Some(event) => {
            let context: Vec<Value> = [t, u].into_iter().chain(memory.iter().copied()).collect();
            let shortened = shortened(step, b, &context);
            let within = Within { event, captured: &p, state: &shortened, context: &context };
            let (time, state, hit) = crossing(b, &within, (t, u), (time, state));
            (time, state, b.select(hit, one, stuck))
        }
    };
    let mut out = vec![time, next_h, accepted, rejected, ended, old, bad, state];
    out.extend(kept.iter().zip(memory).map(|(new, old)| b.select(good, *new, *old)).collect::<Vec<_>>());
    if let Some(dense) = dense {
        let own = &carried[STATE + 1 + memory.len()..];
        let change = b.sub(next, u);
        let (first, last) = (b.mul(memory[0], h), b.mul(kept[0], h));
        let first = match memory.get(1) {
            // The parabola through the states and the last slope.
            Some(&known) => {
                let twice = b.scale(change, 2.0);
                let parabola = b.sub(twice, last);
                b.select(known, first, parabola)
            }
            None => first,
        };
        let third = b.sub(first, change);
        let fourth = b.sub(change, last);
        let fourth = b.sub(fourth, third);
        let mut new = vec![t, h, u, change, third, fourth];
        if dense == Dense::Bulged {
            new.push(rest[rest.len() - 1]);
        }
        out.extend(new.iter().zip(own).map(|(new, old)| b.select(good, *new, *old)).collect::<Vec<_>>());
    }
    std::mem::take(b).finish(out)
}

/// `(length, t, state, memory…, captured…) → next`
fn shortened(step: &OneStep, outer: &Builder, context: &[Value]) -> Func {
    let mut b = Builder::new("shortened");
    let length = b.input(Type::f64([]));
    let own: Vec<Value> = context.iter().map(|v| b.input(outer.ty(*v).clone())).collect();
    let p: Vec<Value> = step.captured.iter().map(|n| b.input(n.ty().clone())).collect();
    let args: Vec<Value> = [own[0], length].into_iter().chain(own[1..].iter().copied()).chain(p).collect();
    let next = b.inline(&step.func, &args)[0];
    b.finish(vec![next])
}
