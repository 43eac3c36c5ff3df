//! Fields whose steps follow the error, and runs of fields that an event ends.

use super::control::Control;
use super::driver::Trial;
use super::timeline::Timeline;
use super::{Run, gathered, with_times};
use crate::discretize::grid::Derivatives;
use crate::integrate::runge_kutta::explicit_step;
use crate::ir::{Builder, Func, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::solve::{Integrator, Method, Solved};
use crate::lower::system::Equations;
use crate::lower::value::{Num, Solution, Value};
use std::rc::Rc;

impl Lower<'_> {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn evolve_variable(
        &mut self,
        run: &Run,
        integrator: Integrator,
        control: Control,
        until: Option<Value>,
        eqs: &Equations,
        start: Num,
        mut timeline: Timeline,
    ) -> Result<Value> {
        let Run { problem, scheme, space, span, .. } = *run;
        let mut control = control;
        if control.fixed().is_some() {
            control.dt = Some(timeline.step);
            control.most = timeline.per_sample + 1;
        }
        timeline.step *= timeline.per_sample as f64;
        timeline.per_sample = 1;
        let grid = match scheme.method {
            Method::Grid(Derivatives::Central { .. }) => true,
            Method::Volumes => false,
            _ => {
                return error_help(
                    "unsupported.library",
                    span,
                    "steps that follow the error, and events, are for `fd` and `fv` (and systems of numbers) so far",
                    "give the step its length: `time=rk4(1e-3 [s])`",
                );
            }
        };
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
        let (n, c) = (start.shape()[0], start.shape()[1]);
        let shape = if grid { [&[c], &space.mesh.cells[..]].concat() } else { vec![n, c] };
        let (rates, captured) = self.rates(run, &shape)?;
        let (func, order) = explicit_trial(tableau, &rates, &shape, control.tolerance.is_some(), span)?;
        let limit = match control.cfl {
            Some(_) => self.longest_step(run, &rates)?,
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
            let v = if grid { b.transpose(v[0], &[1, 0]) } else { v[0] };
            b.reshape(v, &shape)
        });
        let nominal = nominal(eqs, &shape, usize::from(!grid));
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
        let eqs = self.at_time(time, |l| l.equations(problem))?;
        let slopes = self.own_slopes(scheme, space, &state);
        let nodal = self.nodal(state, scheme, space);
        let slopes = slopes.map(|s| self.nodal_slopes(s, space));
        let solved = Solved { nodal, slopes, numbers: vec![], space: space.clone() };
        self.solution(&eqs, solved, span)
    }

    /// `(t, u, captured…) → the longest stable step` of rates of these arguments, where it is known.
    fn longest_step(&mut self, _run: &Run, _rates: &Func) -> Result<Option<Func>> {
        Ok(None)
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
fn nominal(eqs: &Equations, shape: &[usize], axis: usize) -> Tensor {
    let sizes: Vec<f64> =
        eqs.unknowns.iter().flat_map(|u| vec![u.nominal; u.shape.iter().product::<usize>()]).collect();
    if sizes.iter().all(|x| *x == sizes[0]) {
        return Tensor::scalar(sizes[0]);
    }
    let (c, len) = (sizes.len(), shape.iter().product::<usize>());
    let of = |i: usize| if axis == 0 { i / (len / c) } else { i % c };
    Tensor::f64(shape.to_vec(), (0..len).map(|i| sizes[of(i)]).collect::<Vec<_>>())
}
