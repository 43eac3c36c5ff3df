//! Systems of numbers in time, without a domain: the scheme is that of time alone, `solve(Lorenz(8), rk4(0.01), t=0..10)`.
//! Members of the solution are numbers at the end, or lists over the times that are kept.

mod equations;
mod rates;
mod stages;

pub use self::equations::Motion;
pub(super) use self::equations::Ordinary;
pub(super) use self::equations::same;
use self::equations::times;
pub(super) use self::rates::Reach;
pub(super) use self::stages::starter;
use super::Step;
use super::control::Control;
use super::march::{March, Watched, method_name};
use super::measure::Measure;
use super::multistep::MultiStep;
use super::onestep::{Dense, OneStep};
use super::stability::Explicit;
use super::timeline::Timeline;
use crate::base::{Diagnostic, Span};
use crate::integrate::Tableau;
use crate::integrate::rosenbrock::rosenbrock_step;
use crate::integrate::runge_kutta::{continued_step, explicit_step};
use crate::integrate::symplectic::symplectic_step;
use crate::ir::{Builder, Func, Op, Type};
use crate::lower::Lower;
use crate::lower::error::{Error, Result, error_help};
use crate::lower::solve::{Integrator, given};
use crate::lower::value::{Num, Problem, Solution, Value};
use indexmap::IndexMap;
use std::rc::Rc;
use std::sync::Arc;

impl Lower<'_> {
    /// `solve` of a system of numbers.
    pub(in crate::lower) fn evolve_ordinary(
        &mut self,
        problem: &Problem,
        args: &IndexMap<String, Value>,
        span: Span,
    ) -> Result<Value> {
        let scheme = args.get("scheme").cloned().unwrap_or(Value::None);
        let name = self.program.def(problem.def).name.clone();
        if let Value::Record(r) = &scheme
            && ["fem", "fv", "fd", "spectral", "chebyshev"].contains(&r.kind.as_str())
        {
            return error_help(
                "run.scheme",
                span,
                format!("`{name}` has no domain, and `{}` is a scheme in space", r.kind),
                "give a scheme in time alone: `solve(…, rk4(0.01), t=0..10)`",
            );
        }
        let method = self.method(&scheme, span)?;
        let control = self.control(&scheme, span)?;
        let until = given(args, "until").cloned();
        if let (Some(dt), None) = (control.fixed(), &until) {
            let timeline = self.timeline(dt, args, span)?;
            let system = self.ordinary(problem, timeline.start)?;
            let step = match method {
                Integrator::RungeKutta(t) if t.explicit() => self.explicit_ordinary(&system, t, &timeline, span)?,
                other => self.implicit_ordinary(&system, other, (timeline.start, timeline.step), span)?,
            };
            let mut march = self.describe_numbers(&system, &timeline, step.initial[0].ty().len());
            march.time = method_name(method);
            march.checkpoint = self.often(args, span)?;
            march.watched = self.watched_numbers(&system, &step.initial, timeline.start)?;
            return self.trajectory(&system, &timeline, step, march);
        }
        self.driven(problem, method, control, until, args, span)
    }

    /// A run whose steps follow the error, or that an event ends.
    fn driven(
        &mut self,
        problem: &Problem,
        method: Integrator,
        control: Control,
        until: Option<Value>,
        args: &IndexMap<String, Value>,
        span: Span,
    ) -> Result<Value> {
        if control.cfl.is_some() {
            return error_help(
                "run.scheme",
                span,
                "`cfl` is a fraction of the time that a wave takes through a cell, and there are no cells here",
                "give a tolerance, `dormand_prince(tol=1e-8)`, or a length, `rk4(0.01)`",
            );
        }
        let mut control = control;
        let mut timeline = self.timeline(control.fixed().unwrap_or(f64::INFINITY), args, span)?;
        if control.fixed().is_some() {
            control.dt = Some(timeline.step);
            control.most = timeline.per_sample + 1;
        }
        timeline.step *= timeline.per_sample as f64;
        timeline.per_sample = 1;
        let system = self.ordinary(problem, timeline.start)?;
        let event = match until {
            None => None,
            Some(f) => {
                let inputs = [Type::f64([]), Type::f64([system.n])];
                Some(self.event(&inputs, &system.captured, &f, span, |l, inputs| {
                    let at = |l: &mut Self, n: &Num| {
                        let shape = [&[1], n.shape()].concat();
                        l.tracer.build(&[n], |b, v| b.reshape(v[0], &shape))
                    };
                    let (times, states) = (at(l, &inputs[0]), at(l, &inputs[1]));
                    Ok(l.numbers_over_time(&system, &states, &times, false))
                })?)
            }
        };
        let tries = match method {
            Integrator::Bdf { order, varies: true } => {
                let step = MultiStep {
                    solve: stages::differences(&system),
                    max_order: order,
                    captured: system.captured.clone(),
                    initial: system.initial.clone(),
                    rates: system.rates.clone(),
                    event,
                    measure: Measure::Entries { nominal: system.nominal() },
                };
                self.multistep_tries(&step, &control, &timeline)
            }
            method => {
                let step = self.one_step(&system, method, event, (&control, &timeline), span)?;
                self.one_step_tries(&step, &control, &timeline)
            }
        };
        let mut march = self.describe_numbers(&system, &timeline, system.n).of_tries(&tries);
        march.time = method_name(method);
        march.checkpoint = self.often(args, span)?;
        if let Some(watched) = self.watched_numbers(&system, std::slice::from_ref(&tries.start), timeline.start)? {
            let look = self.of_tries(watched.look, &tries)?;
            march.watched = look.map(|look| Watched { look, ..watched });
        }
        let driven = self.drive(&march, &tries, &control, &timeline);
        let (states, times) = self.reached(&march, &tries, (&control, &timeline), driven, span)?;
        Ok(self.numbers_over_time(&system, &states, &times, timeline.keep))
    }

    /// A one-step method on a system; it knows its state within a step where that is wanted and the slopes at both ends are known.
    fn one_step(
        &mut self,
        system: &Ordinary,
        method: Integrator,
        event: Option<Func>,
        (control, timeline): (&Control, &Timeline),
        span: Span,
    ) -> Result<OneStep> {
        let estimate = control.tolerance.is_some();
        let mut b = Builder::new("trial");
        let (t, h) = (b.input(Type::f64([])), b.input(Type::f64([])));
        let u = b.input(Type::f64([system.n]));
        let mut slope = None;
        let needed = |name: &str| system.rates.as_ref().ok_or_else(|| no_rates(system, name, span));
        // Slopes go from step to step, so that each is computed once.
        let slopes = match method {
            Integrator::RungeKutta(tableau) if tableau.explicit() => Some(needed(tableau.name)?),
            Integrator::RungeKutta(tableau) if tableau.a(0, 0) == 0.0 => Some(needed(tableau.name)?),
            Integrator::RungeKutta(_) | Integrator::Rosenbrock(_) if estimate && timeline.keep => system.rates.as_ref(),
            _ => None,
        };
        if slopes.is_some() {
            slope = Some(b.input(Type::f64([system.n])));
        }
        let p: Vec<_> = system.implicit.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect();
        let at = |b: &mut Builder, t, u| {
            let rates = slopes.expect("compiler bug: a slope without rates");
            let args: Vec<_> = [t, u].into_iter().chain(p.iter().copied()).collect();
            b.inline(rates, &args)[0]
        };
        let (mut bulge, mut last) = (None, None);
        let (name, embedded, next, error) = match method {
            Integrator::RungeKutta(tableau) if tableau.explicit() => {
                let first = slope.expect("compiler bug: an explicit step without its first slope");
                let step = continued_step(&mut b, tableau, needed(tableau.name)?, (t, h), (u, first), &p);
                (bulge, last) = (step.bulge, Some(step.slope));
                (tableau.name, tableau.embedded.map(|e| e.1), step.next, step.error)
            }
            Integrator::RungeKutta(tableau) => {
                let stage = stages::Stage::of(system);
                let step = stages::diagonally_implicit(&mut b, tableau, &stage, (t, h), (u, slope), &p);
                last = step.slope.filter(|_| slope.is_some());
                if slope.is_some() && last.is_none() {
                    let end = b.add(t, h);
                    last = Some(at(&mut b, end, step.next));
                }
                (tableau.name, tableau.embedded.map(|e| e.1), step.next, step.error)
            }
            Integrator::Rosenbrock(method) => {
                let rates = needed(method.name)?;
                let step = rosenbrock_step(&mut b, method, rates, (t, h), u, &p);
                if slope.is_some() {
                    let end = b.add(t, h);
                    last = Some(at(&mut b, end, step.next[0]));
                }
                (method.name, Some(method.embedded), step.next[0], step.error.map(|e| e[0]))
            }
            Integrator::Symplectic(method) => {
                let forces = system.forces.as_ref().ok_or_else(|| no_forces(system, method.name, span))?;
                let half = system.n / 2;
                let (x, v) = (b.slice(u, 0, 0, half), b.slice(u, 0, half, 2 * half));
                let args: Vec<_> = [t, x].into_iter().chain(p.iter().copied()).collect();
                let slope = b.inline(forces, &args)[0];
                let (x, v, _) = symplectic_step(&mut b, method, forces, (t, h), (x, v, slope), &p);
                (method.name, None, b.concat(&[x, v], 0), None)
            }
            Integrator::Exponential { .. } | Integrator::Additive(_) => {
                return error_help(
                    "run.scheme",
                    span,
                    "this time scheme treats the linear part of a field mode by mode",
                    "use it with `spectral`; here an implicit one such as `rodas4` or `esdirk4`",
                );
            }
            Integrator::Bdf { .. } => {
                return error_help(
                    "run.scheme",
                    span,
                    "these steps are of one length, and an event lies within one",
                    "let the steps follow the error, `bdf(tol=1e-6)`, or use a one-step method such as `rodas4`",
                );
            }
        };
        if estimate && (embedded.is_none() || error.is_none()) {
            return error_help(
                "run.scheme",
                span,
                format!("`{name}` does not estimate its error, so that no tolerance can be held"),
                "use `dormand_prince`, `bogacki_shampine`, `bdf`, `esdirk4`, `ros3p` or `rodas4`, or give a step, `rk4(0.01)`",
            );
        }
        let mut out = vec![next];
        out.extend(last);
        if estimate {
            out.extend(error);
            out.extend(bulge);
        }
        let memory = match (slopes, last) {
            (Some(rates), Some(_)) => {
                let start = Num::scalar(timeline.start);
                let refs: Vec<&Num> = [&start, &system.initial].into_iter().chain(&system.captured).collect();
                vec![self.tracer.build(&refs, |b, v| b.inline(rates, v)[0])]
            }
            _ => vec![],
        };
        let dense = match bulge {
            _ if memory.is_empty() => None,
            Some(_) => Some(Dense::Bulged),
            None => Some(Dense::Hermite),
        };
        Ok(OneStep {
            func: b.finish(out),
            memory,
            estimate: embedded.filter(|_| estimate),
            dense,
            captured: system.captured.clone(),
            initial: system.initial.clone(),
            rates: system.rates.clone(),
            limit: None,
            event,
            measure: Measure::Entries { nominal: system.nominal() },
        })
    }

    fn explicit_ordinary(
        &mut self,
        system: &Ordinary,
        tableau: &Tableau,
        timeline: &Timeline,
        span: Span,
    ) -> Result<Step> {
        let h = timeline.step;
        let Some(rates) = &system.rates else { return Err(no_rates(system, tableau.name, span)) };
        let explicit = Explicit {
            name: &system.name,
            rates,
            captured: &system.captured,
            initial: &system.initial,
            start: timeline.start,
            h,
            steps: timeline.samples * timeline.per_sample,
            span,
        };
        self.foresee(&explicit, tableau);
        let mut b = Builder::new("step");
        let u = b.input(Type::f64([system.n]));
        let t = b.input(Type::f64([]));
        let parameters: Vec<_> = rates.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
        let h = b.scalar(h);
        let step = explicit_step(&mut b, tableau, rates, (t, h), &[u], &parameters);
        let func = b.finish(step.next);
        Ok(Step { func, captured: system.captured.clone(), initial: vec![system.initial.clone()] })
    }

    /// The claims of the system over the states of its steps.
    fn watched_numbers(&mut self, system: &Ordinary, initial: &[Num], start: f64) -> Result<Option<Watched>> {
        if system.claims.is_empty() {
            return Ok(None);
        }
        let mut b = Builder::new("ensure");
        let states: Vec<_> = initial.iter().map(|s| b.input(s.ty().clone())).collect();
        let t = b.input(Type::f64([]));
        let (names, lets) = &system.lets;
        let more: Vec<_> = lets.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
        let out = b.inline(lets, &[&[t, states[0]], &more[..]].concat());
        let func = b.finish(out[names.len()..].to_vec());
        self.watched_from(system.claims.clone(), func, system.captured.clone(), initial, start)
    }

    /// Runs the steps and names what comes out.
    fn trajectory(&mut self, system: &Ordinary, timeline: &Timeline, mut step: Step, march: March) -> Result<Value> {
        self.runtime.marches(march, &mut step.func);
        let (states, initial) = (step.initial.len(), step.initial[0].clone());
        let out = self.looped(timeline, step);
        let kept: Vec<f64> = match timeline.keep {
            true => (0..=timeline.samples).map(|k| timeline.kept(k)).collect(),
            false => vec![timeline.kept(0)],
        };
        // `[k, n]`
        let states = match timeline.keep {
            true => self.tracer.build(&[&initial, &out[states]], |b, v| {
                let shape = [&[1], &b.ty(v[0]).shape[..]].concat();
                let first = b.reshape(v[0], &shape);
                b.concat(&[first, v[1]], 0)
            }),
            false => self.tracer.build(&[&out[0]], |b, v| {
                let shape = [&[1], &b.ty(v[0]).shape[..]].concat();
                b.reshape(v[0], &shape)
            }),
        };
        Ok(self.numbers_over_time(system, &states, &times(&kept), timeline.keep))
    }

    /// Members of a solution from states `[k, n…]` at times `[k]`; lists where `many`.
    fn numbers_over_time(&mut self, system: &Ordinary, states: &Num, times: &Num, many: bool) -> Value {
        let count = times.shape()[0];
        let wrap = |l: &mut Self, n: Num| match many {
            true => Value::Stack(n),
            false => Value::Num(l.tracer.build(&[&n], |b, v| b.index(v[0], 0, 0))),
        };
        let mut members = IndexMap::new();
        for u in &system.unknowns {
            let shape = [&[count], &u.shape[..]].concat();
            let of = self.tracer.build(&[states], |b, v| {
                let part = b.slice(v[0], 1, u.value, u.value + u.len());
                b.reshape(part, &shape)
            });
            members.insert(u.name.clone(), wrap(self, of));
        }
        let (names, lets) = &system.lets;
        if !names.is_empty() {
            // `(t, u, captured…) → lets`, at every time that is kept.
            let mut mapped = vec![true, true];
            mapped.resize(lets.inputs.len(), false);
            let refs: Vec<&Num> = [times, states].into_iter().chain(&system.captured).collect();
            let op = Op::Map { body: Arc::new(lets.clone()), n: count, mapped };
            let out = self.tracer.build_all(&refs, |b, v| b.ops(op, v));
            for (name, value) in names.iter().zip(out) {
                members.insert(name.clone(), wrap(self, value));
            }
        }
        members.extend(system.constants.iter().cloned());
        members.insert("t".into(), wrap(self, times.clone()));
        Value::Solution(Rc::new(Solution { problem: system.def, members }))
    }
}

/// The refusal of a method for forces.
fn no_forces(system: &Ordinary, method: &str, span: Span) -> Error {
    let message = format!(
        "`{method}` needs an equation for the second derivative of every unknown of `{}`, `∂tt(x) = …`, without `∂t` in it",
        system.name
    );
    Box::new(Diagnostic::error("run.scheme", span, message).help("use `rk4` or `dormand_prince`, which take any rates"))
}

/// The refusal of a method that needs rates.
fn no_rates(system: &Ordinary, method: &str, span: Span) -> Error {
    let algebraic: Vec<&str> = system.unknowns.iter().filter(|u| u.order == 0).map(|u| u.name.as_str()).collect();
    let message = format!(
        "`{method}` needs the rate of every unknown, and no equation of `{}` holds that of `{}`",
        system.name,
        algebraic.join("`, `")
    );
    Box::new(Diagnostic::error("run.scheme", span, message).help("use an implicit method, such as `bdf2` or `sdirk3`"))
}
