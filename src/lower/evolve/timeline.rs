//! When steps are taken and what is kept of them.

use super::march::{Round, round_name};
use crate::base::digits::short;
use crate::base::{Diagnostic, Span};
use crate::ir::{Builder, DType, Func, Op, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error, error_help};
use crate::lower::solve::given;
use crate::lower::value::Value;
use indexmap::IndexMap;
use std::sync::Arc;

/// `samples` times `per_sample` steps of length `step`.
pub struct Timeline {
    pub start: f64,
    pub step: f64,
    pub per_sample: usize,
    pub samples: usize,
    /// Every sample is kept, the start too; else the end only.
    pub keep: bool,
}

/// Most steps of a run.
const MOST: f64 = 1e9;

impl Timeline {
    /// The time of what is kept k-th.
    pub fn kept(&self, k: usize) -> f64 {
        let samples = if self.keep { k } else { self.samples };
        self.start + (samples * self.per_sample) as f64 * self.step
    }

    /// Times at the beginnings of the steps: `[samples, per_sample]`, or `[steps]` where only the end is kept.
    pub fn times(&self) -> Tensor {
        let n = self.samples * self.per_sample;
        let t: Vec<f64> = (0..n).map(|i| self.start + i as f64 * self.step).collect();
        match self.keep {
            true => Tensor::f64([self.samples, self.per_sample], t),
            false => Tensor::f64([n], t),
        }
    }

    /// The loop: `(states…, times, captured…) → (states…, [samples, first state])`, the last only where samples are kept.
    pub fn looped(&self, step: Func, states: usize) -> Op {
        self.looped_keeping(step, states, 1)
    }

    /// The same with several states kept.
    pub fn looped_keeping(&self, step: Func, states: usize, kept: usize) -> Op {
        let step = Arc::new(step);
        if !self.keep {
            let length = self.samples * self.per_sample;
            return Op::Scan { body: step, length, carry: states, xs: 1, reverse: false };
        }
        let mut b = Builder::new(round_name(&step.name, Round::Sample));
        let mut types = step.inputs.clone();
        types[states] = Type::new(DType::F64, [self.per_sample]);
        let inputs: Vec<_> = types.into_iter().map(|t| b.input(t)).collect();
        let body = Op::Scan { body: step, length: self.per_sample, carry: states, xs: 1, reverse: false };
        let mut out = b.ops(body, &inputs);
        out.extend_from_within(..kept);
        let body = Arc::new(b.finish(out));
        Op::Scan { body, length: self.samples, carry: states, xs: 1, reverse: false }
    }
}

impl Lower<'_> {
    /// From `t`, `every` and `steps` of `solve`. The step is shortened so that a whole number of steps fits.
    pub(super) fn timeline(&mut self, dt: f64, args: &IndexMap<String, Value>, span: Span) -> Result<Timeline> {
        let mut real = |name: &str| given(args, name).cloned().map(|v| self.known_real(&v, span)).transpose();
        let (every, steps) = (real("every")?, real("steps")?);
        let (start, end) = match given(args, "t").cloned() {
            Some(Value::Range(a, b)) => (self.known_real(&a, span)?, Some(self.known_real(&b, span)?)),
            Some(other) => {
                return error_help(
                    "run.scheme",
                    span,
                    format!("`t` is a span of time, not {}", other.kind()),
                    "for example `t=0..10`",
                );
            }
            None => (0.0, None),
        };
        let length = match (end, steps) {
            (Some(end), None) => end - start,
            (None, Some(n)) => n * dt,
            (Some(_), Some(_)) => return error("run.scheme", span, "give either `t` or `steps`"),
            (None, None) => {
                return error_help("run.scheme", span, "how long?", "give `t=0..10`, or a number of `steps`");
            }
        };
        if !(length > 0.0 && length.is_finite()) {
            let (from, to) = (short(start), short(start + length));
            let message = format!("the span of time is empty: it goes from {from} to {to}");
            return error_help(
                "run.scheme",
                span,
                message,
                "give a start before an end, `t=0..10`, or a positive number of `steps`",
            );
        }
        if let Some(every) = every.filter(|e| !(*e > 0.0 && *e <= length * (1.0 + 1e-9))) {
            let message = format!("`every` is {} and does not fit into a span of {}", short(every), short(length));
            return error_help("run.scheme", span, message, "give a positive time up to the length of the run");
        }
        let sample = every.unwrap_or(length);
        // A span that is a multiple of the step up to rounding takes exactly so many steps.
        let per_sample = (sample / dt - 1e-9).ceil().max(1.0);
        let samples = (length / sample * (1.0 + 1e-9)).floor();
        // What lies beyond the last multiple of `every` is not run.
        let end = start + samples * sample;
        if (start + length - end) > 1e-6 * length {
            let (end, early) = (short(end), short(start + length - end));
            let message = format!("`every` does not divide the span of time: the run ends at {end}, {early} too early");
            let help = format!("for example `every={}`", short(length / (length / sample).ceil()));
            self.warnings.push(Diagnostic::warning("run.scheme", span, message).help(help));
        }
        if per_sample * samples > MOST {
            return error("run.scheme", span, format!("this would take {:.0} steps", per_sample * samples));
        }
        Ok(Timeline {
            start,
            step: sample / per_sample,
            per_sample: per_sample as usize,
            samples: samples as usize,
            keep: every.is_some(),
        })
    }
}
