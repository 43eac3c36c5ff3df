//! Backward differences whose steps and order follow the error. What is kept is read off the polynomial of the method, so that steps end
//! where they like. [Shampine & Reichelt 1997]

use super::control::Control;
use super::driver::{ACCEPTED, COMMON, ENDED, LENGTH, REJECTED, SHORT, TIME, Tries, too_short};
use super::events::{Within, crossing};
use super::measure::Measure;
use super::timeline::Timeline;
use crate::integrate::bdf::{LAST, ROWS, Try, advance, interpolated};
use crate::ir::{Builder, Compare, Func, Type, Value};
use crate::lower::Lower;
use crate::lower::value::Num;

/// A method of backward differences on a system.
pub struct MultiStep {
    /// `(t at the end, history [ROWS, n], order, h, captured…) → (guess [n], next [n])`: the solution of the equation of a step, far
    /// from everything where there is none.
    pub solve: Func,
    pub max_order: usize,
    pub captured: Vec<Num>,
    pub initial: Num,
    /// `(t, state, captured…) → rates`, where they are known: for the first step.
    pub rates: Option<Func>,
    /// `(t, state, captured…) → a number`: the run ends where it crosses zero.
    pub event: Option<Func>,
    /// Of states as `[n]`.
    pub measure: Measure,
}

/// Carried after the common numbers.
const ORDER: usize = COMMON;
const EQUAL: usize = COMMON + 1;
const HISTORY: usize = COMMON + 2;
/// Where a run may end within a step: its state there, and the time at which the history ends.
const STATE: usize = COMMON + 3;
const ANCHOR: usize = COMMON + 4;

impl Lower<'_> {
    pub(super) fn multistep_tries(&mut self, step: &MultiStep, control: &Control, timeline: &Timeline) -> Tries {
        let start = (&step.initial, &step.captured[..], step.rates.as_ref());
        let h = self.first_length(start, &step.measure, 1.0, control, timeline);
        let n = step.initial.ty().len();
        // Without rates the history begins as if nothing moved: its error tells to start with short steps of order 1.
        let begin = Num::scalar(timeline.start);
        let refs: Vec<&Num> = [&begin, &h, &step.initial].into_iter().chain(&step.captured).collect();
        let history = self.tracer.build(&refs, |b, v| {
            let first = match &step.rates {
                Some(rates) => {
                    let args: Vec<Value> = [v[0], v[2]].into_iter().chain(v[3..].iter().copied()).collect();
                    let rate = b.inline(rates, &args)[0];
                    b.mul(rate, v[1])
                }
                None => b.zeros_like(v[2]),
            };
            let rows = [b.reshape(v[2], &[1, n]), b.reshape(first, &[1, n]), b.zeros(&Type::f64([ROWS - 2, n]))];
            b.concat(&rows, 0)
        });
        let (zero, one) = (Num::scalar(0.0), Num::scalar(1.0));
        let mut initial = vec![Num::scalar(timeline.start), h, zero.clone(), zero.clone(), zero.clone(), one, zero];
        initial.push(history);
        if step.event.is_some() {
            initial.extend([step.initial.clone(), Num::scalar(timeline.start)]);
        }
        let types: Vec<Type> = initial.iter().chain(&step.captured).map(|n| n.ty().clone()).collect();
        let shape = step.initial.shape().to_vec();
        Tries {
            attempt: attempt(step, control, timeline, &types, initial.len(), &shape),
            state: state(step, &types, initial.len(), &shape),
            start: step.initial.clone(),
            initial,
            captured: step.captured.clone(),
            rates: step.rates.clone(),
            place: HISTORY,
            slope: None,
            shown: None,
            dense: true,
        }
    }
}

/// `(carried…, time, captured…) → state`
fn state(step: &MultiStep, types: &[Type], carry: usize, shape: &[usize]) -> Func {
    let mut b = Builder::new("state");
    let carried: Vec<Value> = types[..carry].iter().map(|t| b.input(t.clone())).collect();
    let time = b.input(Type::f64([]));
    types[carry..].iter().for_each(|t| {
        b.input(t.clone());
    });
    let polynomial = (carried[HISTORY], carried[ORDER], carried[LENGTH]);
    let anchor = if step.event.is_some() { carried[ANCHOR] } else { carried[TIME] };
    let between = interpolated(&mut b, polynomial, anchor, time);
    let mut out = b.reshape(between, shape);
    if step.event.is_some() {
        let (reached, ended) = (b.compare(Compare::Le, carried[TIME], time), carried[ENDED]);
        let at_event = b.mul(reached, ended);
        out = b.select(at_event, carried[STATE], out);
    }
    b.finish(vec![out])
}

/// `(carried…, bound, captured…) → carried…`
fn attempt(
    step: &MultiStep,
    control: &Control,
    timeline: &Timeline,
    types: &[Type],
    carry: usize,
    shape: &[usize],
) -> Func {
    let mut b = Builder::new("try");
    let carried: Vec<Value> = types[..carry].iter().map(|t| b.input(t.clone())).collect();
    let bound = b.input(Type::f64([]));
    let p: Vec<Value> = types[carry..].iter().map(|t| b.input(t.clone())).collect();
    let (t, h, history, order) = (carried[TIME], carried[LENGTH], carried[HISTORY], carried[ORDER]);
    let left = b.sub(bound, t);
    let stretched = b.scale(h, LAST);
    let last = b.compare(Compare::Le, left, stretched);
    let later = b.add(t, h);
    let later = b.select(last, bound, later);
    let args: Vec<Value> = [later, history, order, h].into_iter().chain(p.iter().copied()).collect();
    let solved = b.inline(&step.solve, &args);
    let tolerance = control.tolerance.expect("compiler bug: steps that follow no error");
    let tried = Try { history, order, equal: carried[EQUAL], h, left, guess: solved[0], next: solved[1] };
    let size = |b: &mut Builder, u: Value, v: Value, e: Value| step.measure.size(b, u, v, e, tolerance);
    let out = advance(&mut b, &tried, step.max_order, size);
    let time = b.select(out.good, later, t);
    let one = b.scalar(1.0);
    let bad = b.sub(one, out.good);
    let (accepted, rejected) = (b.add(carried[ACCEPTED], out.good), b.add(carried[REJECTED], bad));
    let stuck = too_short(&mut b, out.h, (time, bound), timeline.step * timeline.samples as f64);
    let stuck = b.scale(stuck, SHORT);
    let Some(event) = &step.event else {
        let carried = vec![time, out.h, accepted, rejected, stuck, out.order, out.equal, out.history];
        return b.finish(carried);
    };
    let mut current = |history: Value| {
        let flat = b.index(history, 0, 0);
        b.reshape(flat, shape)
    };
    let ends = [current(history), current(out.history)];
    let context = [t, time, out.history, out.order, out.h];
    let types: Vec<Type> = context.iter().map(|v| b.ty(*v).clone()).collect();
    let mut w = Builder::new("within");
    let length = w.input(Type::f64([]));
    let own: Vec<Value> = types.iter().map(|t| w.input(t.clone())).collect();
    step.captured.iter().for_each(|n| {
        w.input(n.ty().clone());
    });
    let at = w.add(own[0], length);
    let flat = interpolated(&mut w, (own[2], own[3], own[4]), own[1], at);
    let between = w.reshape(flat, shape);
    let between = w.finish(vec![between]);
    let within = Within { event, captured: &p, state: &between, context: &context };
    let (at, state, hit) = crossing(&mut b, &within, (t, ends[0]), (time, ends[1]));
    let ended = b.select(hit, one, stuck);
    b.finish(vec![at, out.h, accepted, rejected, ended, out.order, out.equal, out.history, state, time])
}
