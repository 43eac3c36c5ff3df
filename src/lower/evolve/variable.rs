//! Fields whose steps follow the error, and runs of fields that an event ends.

use super::control::Control;
use super::driver::Trial;
use super::ordinary::same;
use super::timeline::Timeline;
use super::{Run, gathered, with_times};
use crate::discretize::conservation;
use crate::discretize::grid::Derivatives;
use crate::integrate::runge_kutta::explicit_step;
use crate::ir::{Builder, Func, Reduce, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::solve::{Border, Integrator, Method, Solved};
use crate::lower::system::Equations;
use crate::lower::value::{Num, Solution, Value};
use std::rc::Rc;

impl Lower<'_> {
    // What a run is, how its steps are held, when it ends and where it starts: no two of them are one thing.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn evolve_variable(
        &mut self,
        run: &Run,
        integrator: Integrator,
        mut control: Control,
        until: Option<Value>,
        eqs: &Equations,
        start: Num,
        mut timeline: Timeline,
    ) -> Result<Value> {
        let Run { problem, scheme, space, span, .. } = *run;
        if control.fixed().is_some() {
            control.dt = Some(timeline.step);
            control.most = timeline.per_sample + 1;
        }
        timeline.step *= timeline.per_sample as f64;
        timeline.per_sample = 1;
        if !matches!(scheme.method, Method::Grid(Derivatives::Central { .. }) | Method::Volumes | Method::Chebyshev) {
            return error_help(
                "unsupported.library",
                span,
                "steps that follow the error, and events, are for `fd`, `fv` and `chebyshev` (and systems of numbers) so far",
                "give the step its length: `time=rk4(1e-3 [s])`",
            );
        }
        let tableau = match integrator {
            Integrator::RungeKutta(t) if t.explicit() => t,
            _ => {
                return error_help(
                    "unsupported.library",
                    span,
                    "of fields only explicit steps follow the error, or end at an event, so far",
                    "use `dormand_prince(tol=…)` or `bogacki_shampine(tol=…)`, or give an implicit method its step",
                );
            }
        };
        let shape = [&[start.shape()[1]], &space.points[..]].concat();
        let (rates, captured) = self.rates(run, &shape)?;
        let (func, order) = explicit_trial(tableau, &rates, &shape, control.tolerance.is_some(), span)?;
        let limit = match control.cfl {
            Some(_) => self.longest_step(run, &shape, &captured)?,
            None => None,
        };
        if control.cfl.is_some() && limit.is_none() {
            return error_help(
                "unsupported.library",
                span,
                "the longest stable step of this scheme is not known",
                "give the step its length, or a tolerance: `dormand_prince(tol=1e-6)`",
            );
        }
        let initial = self.tracer.build(&[&start], |b, v| {
            let v = b.transpose(v[0], &[1, 0]);
            b.reshape(v, &shape)
        });
        let nominal = nominal(eqs, &shape);
        let event = match until {
            None => None,
            Some(f) => {
                let inputs = [Type::f64([]), Type::f64(shape.clone())];
                Some(self.event(&inputs, &captured, &f, span, |l, inputs| {
                    let solution = l.snapshot(run, inputs[1].clone(), inputs[0].clone())?;
                    Ok(Value::Solution(solution))
                })?)
            }
        };
        let trial = Trial { func, order, captured, initial, rates: Some(rates), limit, event, nominal };
        let driven = self.drive(&trial, &control, &timeline);
        let (states, times) = self.reached(&eqs.name, &control, &timeline, driven, span)?;
        let mut trajectory = vec![];
        for k in 0..times.shape()[0] {
            let state = self.tracer.build(&[&states], |b, v| b.index(v[0], 0, k));
            let time = self.tracer.build(&[&times], |b, v| b.index(v[0], 0, k));
            trajectory.push(self.snapshot(run, state, time)?);
        }
        let _ = problem;
        Ok(with_times(gathered(trajectory), times, timeline.keep, &mut self.tracer))
    }

    /// The solution of a state at a time.
    fn snapshot(&mut self, run: &Run, state: Num, time: Num) -> Result<Rc<Solution>> {
        let Run { problem, scheme, space, span, .. } = *run;
        let eqs = self.at_time(time.clone(), |l| l.equations(problem))?;
        let state = self.completed_state(run, state, &time)?;
        let slopes = self.own_slopes(scheme, space, &state);
        let nodal = self.nodal(state, true, space);
        let slopes = slopes.map(|s| self.nodal_slopes(s, space));
        let solved = Solved { nodal, slopes, numbers: vec![], space: space.clone() };
        self.solution(&eqs, solved, span)
    }

    /// `(t, u, captured…) → the time in which the fastest wave crosses a cell`, where the scheme knows its waves.
    fn longest_step(&mut self, run: &Run, shape: &[usize], wanted: &[Num]) -> Result<Option<Func>> {
        let Run { problem, scheme, space, span, .. } = *run;
        if scheme.method != Method::Volumes {
            return Ok(None);
        }
        let inputs = [Type::f64([]), Type::f64(shape)];
        let mut convects = false;
        let (func, captured) = self.timed("courant", &inputs, 0, |l, inputs| {
            let mut eqs = l.equations(problem)?;
            l.settle(&mut eqs, true)?;
            eqs.rates = true;
            let capacity = l.capacities(&mut eqs, space, true, span)?;
            let (balance, shared) = l.balance(&eqs, &Border::None, span)?;
            convects = capacity.is_none() && conservation::convects(&balance);
            if !convects {
                return Ok(vec![Num::scalar(0.0)]);
            }
            let (made, mut args) = l.conservation_rates(run, &eqs, &balance, &shared)?;
            args.insert(0, inputs[1].clone());
            let refs: Vec<&Num> = args.iter().collect();
            let step = l.tracer.build(&refs, |b, v| {
                let all = b.inline(&made.courant, v)[0];
                let axes: Vec<usize> = (0..b.ty(all).rank()).collect();
                let fastest = b.reduce(Reduce::Max, all, &axes);
                let one = b.scalar(1.0);
                b.div(one, fastest)
            });
            Ok(vec![step])
        })?;
        let place = |n: &Num| wanted.iter().position(|w| same(w, n));
        let Some(places) = captured.iter().map(place).collect::<Option<Vec<usize>>>().filter(|_| convects) else {
            return Ok(None);
        };
        let mut b = Builder::new("courant");
        let (t, u) = (b.input(inputs[0].clone()), b.input(inputs[1].clone()));
        let p: Vec<_> = wanted.iter().map(|n| b.input(n.ty().clone())).collect();
        let args: Vec<_> = [t, u].into_iter().chain(places.into_iter().map(|k| p[k])).collect();
        let out = b.inline(&func, &args);
        Ok(Some(b.finish(out)))
    }
}

/// `(t, h, u, captured…) → (next, error)` and the order of the error.
fn explicit_trial(
    tableau: &crate::integrate::Tableau,
    rates: &Func,
    shape: &[usize],
    estimate: bool,
    span: crate::base::Span,
) -> Result<(Func, usize)> {
    let mut b = Builder::new("trial");
    let (t, h) = (b.input(Type::f64([])), b.input(Type::f64([])));
    let u = b.input(Type::f64(shape));
    let p: Vec<_> = rates.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
    let step = explicit_step(&mut b, tableau, rates, (t, h), &[u], &p);
    match (estimate, tableau.embedded, step.error) {
        (false, ..) => Ok((b.finish(step.next), 1)),
        (true, Some((_, order)), Some(error)) => Ok((b.finish(vec![step.next[0], error[0]]), order)),
        _ => error_help(
            "run.scheme",
            span,
            format!("`{}` does not estimate its error, so that no tolerance can be held", tableau.name),
            "use `dormand_prince` or `bogacki_shampine`",
        ),
    }
}

/// Typical sizes of the components, spread over a state.
fn nominal(eqs: &Equations, shape: &[usize]) -> Tensor {
    let sizes: Vec<f64> =
        eqs.unknowns.iter().flat_map(|u| vec![u.nominal; u.shape.iter().product::<usize>()]).collect();
    if sizes.iter().all(|x| *x == sizes[0]) {
        return Tensor::scalar(sizes[0]);
    }
    let (c, len) = (sizes.len(), shape.iter().product::<usize>());
    Tensor::f64(shape.to_vec(), (0..len).map(|i| sizes[i / (len / c)]).collect::<Vec<_>>())
}
