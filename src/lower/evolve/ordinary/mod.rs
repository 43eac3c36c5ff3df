//! Systems of numbers in time, without a domain: the scheme is that of time alone, `solve(Lorenz(8), rk4(0.01), t=0..10)`.
//! Members of the solution are numbers at the end, or lists over the times that are kept.

mod equations;
mod rates;
mod stages;

pub use self::equations::Motion;
use self::equations::{Ordinary, times};
use super::Step;
use super::timeline::Timeline;
use crate::base::Span;
use crate::integrate::Tableau;
use crate::integrate::runge_kutta::explicit_step;
use crate::ir::{Builder, Op, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::solve::Integrator;
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
            && ["fem", "fv", "fd", "spectral"].contains(&r.kind.as_str())
        {
            return error_help(
                "run.scheme",
                span,
                format!("`{name}` has no domain, and `{}` is a scheme in space", r.kind),
                "give a scheme in time alone: `solve(…, rk4(0.01), t=0..10)`",
            );
        }
        let (integrator, dt) = self.integrator(&scheme, span)?;
        let timeline = self.timeline(dt, args, span)?;
        let system = self.ordinary(problem, timeline.start)?;
        let step = match integrator {
            Integrator::RungeKutta(t) if t.explicit() => self.explicit_ordinary(&system, t, timeline.step, span)?,
            other => self.implicit_ordinary(&system, other, timeline.step, span)?,
        };
        self.trajectory(&system, &timeline, step)
    }

    fn explicit_ordinary(&mut self, system: &Ordinary, tableau: &Tableau, h: f64, span: Span) -> Result<Step> {
        let Some(rates) = &system.rates else {
            let algebraic: Vec<&str> =
                system.unknowns.iter().filter(|u| u.order == 0).map(|u| u.name.as_str()).collect();
            return error_help(
                "run.scheme",
                span,
                format!(
                    "`{}` is explicit, and no equation of `{}` holds the rate of `{}`",
                    tableau.name,
                    system.name,
                    algebraic.join("`, `")
                ),
                "use an implicit method, such as `bdf2` or `sdirk3`",
            );
        };
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
        let mut args = step.initial.clone();
        args.push(Num::Const(timeline.times()));
        args.extend(step.captured);
        let states = step.initial.len();
        let refs: Vec<&Num> = args.iter().collect();
        let looped = timeline.looped(step.func, states);
        let out = self.tracer.build_all(&refs, |b, v| b.ops(looped, v));
        let kept: Vec<f64> = match timeline.keep {
            true => (0..=timeline.samples).map(|k| timeline.kept(k)).collect(),
            false => vec![timeline.kept(0)],
        };
        // `[k, n]`
        let states = match timeline.keep {
            true => self.tracer.build(&[&step.initial[0], &out[states]], |b, v| {
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
