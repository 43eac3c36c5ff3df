//! Systems of numbers in time, without a domain: the scheme is that of time alone, `solve(Lorenz(8), rk4(0.01), t=0..10)`.
//! Members of the solution are numbers at the end, or lists over the times that are kept.

mod equations;
mod rates;
mod stages;

pub use self::equations::Motion;
pub(super) use self::equations::same;
use self::equations::{Ordinary, times};
pub(super) use self::rates::Reach;
use super::Step;
use super::control::Control;
use super::driver::Trial;
use super::stability::Explicit;
use super::timeline::Timeline;
use crate::base::{Diagnostic, Span};
use crate::integrate::Tableau;
use crate::integrate::rosenbrock::rosenbrock_step;
use crate::integrate::runge_kutta::explicit_step;
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
            return self.trajectory(&system, &timeline, step);
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
        let (func, order) = self.trial(&system, method, control.tolerance.is_some(), span)?;
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
        let trial = Trial {
            func,
            order,
            captured: system.captured.clone(),
            initial: system.initial.clone(),
            rates: system.rates.clone(),
            limit: None,
            event,
            nominal: system.nominal(),
        };
        let driven = self.drive(&trial, &control, &timeline);
        let (states, times) = self.reached(&system.name, &control, &timeline, driven, span)?;
        Ok(self.numbers_over_time(&system, &states, &times, timeline.keep))
    }

    /// `(t, h, u, captured…) → (next, error)` and the order of the error.
    fn trial(&mut self, system: &Ordinary, method: Integrator, estimate: bool, span: Span) -> Result<(Func, usize)> {
        let mut b = Builder::new("trial");
        let (t, h) = (b.input(Type::f64([])), b.input(Type::f64([])));
        let u = b.input(Type::f64([system.n]));
        let p: Vec<_> = system.implicit.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect();
        let (name, embedded, next, error) = match method {
            Integrator::RungeKutta(tableau) if tableau.explicit() => {
                let rates = system.rates.as_ref().ok_or_else(|| no_rates(system, tableau.name, span))?;
                let step = explicit_step(&mut b, tableau, rates, (t, h), &[u], &p);
                let order = tableau.embedded.map(|e| e.1);
                (tableau.name, order, step.next[0], step.error.map(|e| e[0]))
            }
            Integrator::RungeKutta(tableau) => {
                let stage = stages::Stage::of(system);
                let step = stages::diagonally_implicit(&mut b, tableau, system, &stage, (t, h), u, &p)
                    .ok_or_else(|| no_rates(system, tableau.name, span))?;
                (tableau.name, tableau.embedded.map(|e| e.1), step.next, step.error)
            }
            Integrator::Rosenbrock(method) => {
                let rates = system.rates.as_ref().ok_or_else(|| no_rates(system, method.name, span))?;
                let step = rosenbrock_step(&mut b, method, rates, (t, h), u, &p);
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
            Integrator::Bdf2 => {
                return error_help(
                    "run.scheme",
                    span,
                    "the steps of this method are of one length",
                    "use `rodas4` or `esdirk4`, which estimate their error, and end a run where one likes",
                );
            }
        };
        match (estimate, embedded, error) {
            (false, ..) => Ok((b.finish(vec![next]), 1)),
            (true, Some(order), Some(error)) => Ok((b.finish(vec![next, error]), order)),
            _ => error_help(
                "run.scheme",
                span,
                format!("`{name}` does not estimate its error, so that no tolerance can be held"),
                "use `dormand_prince`, `bogacki_shampine`, `esdirk4`, `ros3p` or `rodas4`, or give a step, `rk4(0.01)`",
            ),
        }
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

    /// Runs the steps and names what comes out.
    fn trajectory(&mut self, system: &Ordinary, timeline: &Timeline, step: Step) -> Result<Value> {
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
