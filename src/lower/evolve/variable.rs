//! Fields whose steps follow the error, and runs of fields that an event ends.

use super::arrangement::{Arrangement, layout, nominal};
use super::control::Control;
use super::driver::Tries;
use super::limits::{scheme_is_central, unknown_limit};
use super::march::{Layout, Often};
use super::measure::Measure;
use super::multistep::MultiStep;
use super::onestep::{Dense, OneStep};
use super::ordinary::same;
use super::spectral::Parts;
use super::timeline::Timeline;
use super::{Run, gathered, rates, with_times};
use crate::base::Span;
use crate::discretize::grid::Derivatives;
use crate::integrate::Tableau;
use crate::integrate::runge_kutta::continued_step;
use crate::ir::{Builder, Func, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::solve::{Integrator, Method};
use crate::lower::system::Equations;
use crate::lower::value::{Num, Value};

impl Lower<'_> {
    // What a run is, how its steps are held, when it ends and where it starts: no two of them are one thing.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn evolve_variable(
        &mut self,
        run: &Run,
        integrator: Integrator,
        mut control: Control,
        (until, often): (Option<Value>, Option<Often>),
        eqs: &Equations,
        start: Num,
        mut timeline: Timeline,
    ) -> Result<Value> {
        let Run { scheme, space, span, .. } = *run;
        if control.fixed().is_some() {
            control.dt = Some(timeline.step);
            control.most = timeline.per_sample + 1;
        }
        timeline.step *= timeline.per_sample as f64;
        timeline.per_sample = 1;
        let layout = layout(integrator, scheme.method);
        let shape = match layout {
            Arrangement::Components => [&[start.shape()[1]], &space.points[..]].concat(),
            _ => start.shape().to_vec(),
        };
        let initial = match layout {
            Arrangement::Components => self.tracer.build(&[&start], |b, v| {
                let v = b.transpose(v[0], &[1, 0]);
                b.reshape(v, &shape)
            }),
            _ => start,
        };
        let mut layout = layout;
        let mut tries = match (integrator, scheme.method) {
            (Integrator::RungeKutta(t), Method::Grid(Derivatives::Fourier(dealias))) if t.explicit() => {
                let parts = self.spectral_parts(run, dealias, initial)?;
                layout = Arrangement::Spectra(parts.complete.clone());
                self.spectral_tries(run, integrator, (&control, &timeline), until, eqs, parts)?
            }
            (Integrator::Additive(m), Method::Grid(Derivatives::Fourier(dealias)))
                if m.explicit.embedded.is_some() && control.tolerance.is_some() =>
            {
                let parts = self.spectral_parts(run, dealias, initial)?;
                layout = Arrangement::Spectra(parts.complete.clone());
                self.spectral_tries(run, integrator, (&control, &timeline), until, eqs, parts)?
            }
            (_, Method::Grid(Derivatives::Fourier(_))) => {
                return error_help(
                    "unsupported.library",
                    span,
                    "in spectral space explicit steps and `ark4` follow the error, or end at an event, no others so far",
                    "use `ark4(tol=…)`, `dormand_prince(tol=…)` or `bogacki_shampine(tol=…)`, or give the step its length: `time=etdrk4(1e-3 [s])`",
                );
            }
            (Integrator::RungeKutta(t), Method::Grid(_) | Method::Volumes | Method::Chebyshev) if t.explicit() => {
                self.explicit_tries(run, t, (&control, &timeline), until, eqs, initial)?
            }
            (Integrator::RungeKutta(t), _) if !t.explicit() => {
                self.implicit_tries(run, t, (&control, &timeline), until, eqs, initial)?
            }
            (Integrator::Bdf { order, varies: true }, _) => {
                let (solve, captured) = self.varying_differences(run, initial.ty())?;
                let event = self.field_event(run, until, &shape, &Arrangement::Nodes, &captured)?;
                let nominal = nominal(eqs, &shape, false);
                let nominal = match nominal.ty.is_scalar() {
                    true => nominal,
                    false => Tensor::f64([nominal.ty.len()], nominal.to_f64()),
                };
                let step = MultiStep {
                    solve,
                    max_order: order,
                    captured,
                    initial,
                    rates: None,
                    event,
                    measure: Measure::Entries { nominal },
                };
                self.multistep_tries(&step, &control, &timeline)
            }
            (Integrator::Bdf { .. }, _) => {
                return error_help(
                    "run.scheme",
                    span,
                    "these steps are of one length, and an event lies within one",
                    "let the steps follow the error, `bdf(tol=1e-6)`, or use a one-step method such as `sdirk3`",
                );
            }
            (_, Method::Elements) => {
                return error_help(
                    "run.scheme",
                    span,
                    "on finite elements steps follow the error, or end at an event, with implicit Runge–Kutta methods and backward differences",
                    "use `esdirk4(tol=…)` or `bdf(tol=…)`",
                );
            }
            _ => {
                return error_help(
                    "unsupported.library",
                    span,
                    "steps of this method do not follow the error here, nor end at an event",
                    "use `dormand_prince(tol=…)` or `bogacki_shampine(tol=…)`; with `fem` and `fv` also `esdirk4(tol=…)` or `bdf(tol=…)`",
                );
            }
        };
        let by_component = !matches!(layout, Arrangement::Nodes);
        let words = (by_component, String::new());
        let mut march = self.march_of(eqs, &timeline, run, integrator, words)?.of_tries(&tries);
        march.checkpoint = often;
        march.watched = self.watched_tries(run, &tries, &layout)?;
        if tries.start.ty().len() != march.entries() {
            march.layout = Layout::Elsewhere(tries.start.ty().len());
        }
        if let Layout::Elsewhere(_) = march.layout {
            tries.shown = self.shown_tries(run, &tries, &layout)?;
            march.shown = match tries.shown.clone() {
                Some(look) => self.of_tries(look, &tries)?,
                None => None,
            };
        }
        let kept = (&control, &timeline);
        if let Some((samples, times)) = self.streamed_tries((eqs, run), &mut tries, &march, kept, &layout)? {
            let mut trajectory = vec![];
            for (k, t) in times.iter().enumerate() {
                let eqs = self.at_time(Num::scalar(*t), |l| l.equations(run.problem))?;
                let fields = samples.fields(self, &eqs, k, space);
                trajectory.push(self.solution_of(&eqs, fields, vec![], span)?);
            }
            let times = Num::Const(Tensor::f64([times.len()], times));
            return Ok(with_times(gathered(trajectory), times, timeline.keep, &mut self.tracer));
        }
        let driven = self.drive(&march, &tries, &control, &timeline);
        let (states, times) = self.reached(&march, &tries, (&control, &timeline), driven, span)?;
        let mut trajectory = vec![];
        for k in 0..times.shape()[0] {
            let state = self.tracer.build(&[&states], |b, v| b.index(v[0], 0, k));
            let time = self.tracer.build(&[&times], |b, v| b.index(v[0], 0, k));
            trajectory.push(self.snapshot(run, state, time, &layout)?);
        }
        Ok(with_times(gathered(trajectory), times, timeline.keep, &mut self.tracer))
    }

    /// Explicit steps on a grid or on finite volumes, whose states are `[c, n…]`.
    fn explicit_tries(
        &mut self,
        run: &Run,
        tableau: &Tableau,
        (control, timeline): (&Control, &Timeline),
        until: Option<Value>,
        eqs: &Equations,
        initial: Num,
    ) -> Result<Tries> {
        let span = run.span;
        let shape = initial.shape().to_vec();
        let (rates, captured) = self.rates(run, &shape)?;
        let (func, estimate, dense) = explicit_trial(tableau, &rates, &shape, control.tolerance.is_some(), span)?;
        let limit = match control.cfl {
            Some(cfl) if cfl > 1.0 && scheme_is_central(run.scheme.method) => {
                return error_help(
                    "run.scheme",
                    span,
                    format!("on central differences `cfl` is the part of the longest stable step, {cfl} is beyond it"),
                    "for example `cfl=0.8`",
                );
            }
            Some(_) if run.scheme.method == Method::Chebyshev => {
                return unknown_limit(span, "its points crowd at the walls");
            }
            Some(_) => Some(self.longest_step(run, tableau, &shape, &captured)?),
            None => None,
        };
        let event = self.field_event(run, until, &shape, &Arrangement::Components, &captured)?;
        let slope = self.slope_at(timeline.start, &initial, &rates, &captured);
        let step = OneStep {
            func,
            memory: vec![slope],
            estimate,
            dense: Some(dense),
            captured,
            initial,
            rates: Some(rates),
            limit,
            event,
            measure: Measure::Entries { nominal: nominal(eqs, &shape, true) },
        };
        Ok(self.one_step_tries(&step, control, timeline))
    }

    /// Explicit and additive steps of spectra.
    fn spectral_tries(
        &mut self,
        run: &Run,
        integrator: Integrator,
        (control, timeline): (&Control, &Timeline),
        until: Option<Value>,
        eqs: &Equations,
        parts: Parts,
    ) -> Result<Tries> {
        if run.scheme.implicit.is_some() {
            return error_help(
                "run.scheme",
                run.span,
                "`spectral` treats implicitly what is linear with constant coefficients, whatever its kind",
                "leave out `implicit`",
            );
        }
        if control.cfl.is_some() {
            return error_help(
                "run.scheme",
                run.span,
                "in spectral space no wave takes a time through a cell",
                "give the step its length, or a tolerance: `dormand_prince(tol=1e-6)`",
            );
        }
        let (rates, mut captured) = parts.rates();
        let own = captured.len();
        for n in &parts.complete.1 {
            if !captured.iter().any(|c| same(c, n)) {
                captured.push(n.clone());
            }
        }
        // What only the reading of a state wants is passed along.
        let wider = |f: &Func| {
            let mut b = Builder::new(f.name.clone());
            let args: Vec<_> = f.inputs.iter().map(|ty| b.input(ty.clone())).collect();
            captured[own..].iter().for_each(|n| {
                b.input(n.ty().clone());
            });
            let out = b.inline(f, &args);
            b.finish(out)
        };
        let rates = wider(&rates);
        let initial = parts.start.clone();
        let shape = initial.shape().to_vec();
        let (func, estimate, dense) = match integrator {
            Integrator::RungeKutta(tableau) => {
                let (func, estimate, dense) =
                    explicit_trial(tableau, &rates, &shape, control.tolerance.is_some(), run.span)?;
                (func, estimate, Some(dense))
            }
            // Slopes of stiff modes say nothing of what lies within a step.
            Integrator::Additive(m) => {
                let (func, order) = parts.additive_trial(m).expect("compiler bug: an error without weights");
                (wider(&func), Some(order), None)
            }
            _ => unreachable!("compiler bug: refused before"),
        };
        let event = self.field_event(run, until, &shape, &Arrangement::Spectra(parts.complete), &captured)?;
        let rated = rates::stored(eqs);
        let sizes = eqs.unknowns.iter().flat_map(|u| vec![u.nominal; u.shape.iter().product::<usize>()]);
        let nominal = sizes.zip(rated).filter(|(_, rated)| *rated).map(|(x, _)| x).collect();
        let measure = Measure::Spectra { nominal, points: run.space.mesh.cells.clone() };
        let memory = match dense {
            Some(_) => vec![self.slope_at(timeline.start, &initial, &rates, &captured)],
            None => vec![],
        };
        let rates = Some(rates);
        let step = OneStep { func, memory, estimate, dense, captured, initial, rates, limit: None, event, measure };
        Ok(self.one_step_tries(&step, control, timeline))
    }

    /// The rates at the start.
    fn slope_at(&mut self, start: f64, initial: &Num, rates: &Func, captured: &[Num]) -> Num {
        let start = Num::scalar(start);
        let refs: Vec<&Num> = [&start, initial].into_iter().chain(captured).collect();
        self.tracer.build(&refs, |b, v| b.inline(rates, v)[0])
    }

    /// Diagonally implicit steps on finite elements or volumes, whose states are `[N, c]`.
    fn implicit_tries(
        &mut self,
        run: &Run,
        tableau: &Tableau,
        (control, timeline): (&Control, &Timeline),
        until: Option<Value>,
        eqs: &Equations,
        initial: Num,
    ) -> Result<Tries> {
        if control.tolerance.is_none() {
            return error_help(
                "unsupported.library",
                run.span,
                "implicit steps of one length do not end at an event of a field",
                "let the steps follow the error: `esdirk4(tol=…)` or `bdf(tol=…)`",
            );
        }
        let shape = initial.shape().to_vec();
        let (func, captured) = self.implicit_trial(run, tableau, initial.ty())?;
        let event = self.field_event(run, until, &shape, &Arrangement::Nodes, &captured)?;
        // No mass matrix is asked for the slope at the start: it is known from the end of the first step on.
        let memory = vec![Num::Const(Tensor::zeros(initial.ty())), Num::scalar(0.0)];
        let step = OneStep {
            func,
            memory,
            estimate: tableau.embedded.map(|e| e.1),
            dense: Some(Dense::Hermite),
            captured,
            initial,
            rates: None,
            limit: None,
            event,
            measure: Measure::Entries { nominal: nominal(eqs, &shape, false) },
        };
        Ok(self.one_step_tries(&step, control, timeline))
    }

    /// `(t, state, captured…) → a number` of a solution whose unknowns are fields.
    fn field_event(
        &mut self,
        run: &Run,
        until: Option<Value>,
        shape: &[usize],
        layout: &Arrangement,
        captured: &[Num],
    ) -> Result<Option<Func>> {
        let Some(f) = until else { return Ok(None) };
        let inputs = [Type::f64([]), Type::f64(shape)];
        let event = self.event(&inputs, captured, &f, run.span, |l, inputs| {
            let solution = l.snapshot(run, inputs[1].clone(), inputs[0].clone(), layout)?;
            Ok(Value::Solution(solution))
        })?;
        Ok(Some(event))
    }
}

/// `(t, h, u, slope, captured…) → (next, slope, error?, bulge?)`, the order of the error, and what is known within a step.
fn explicit_trial(
    tableau: &Tableau,
    rates: &Func,
    shape: &[usize],
    estimate: bool,
    span: Span,
) -> Result<(Func, Option<usize>, Dense)> {
    let mut b = Builder::new("trial");
    let (t, h) = (b.input(Type::f64([])), b.input(Type::f64([])));
    let (u, slope) = (b.input(Type::f64(shape)), b.input(Type::f64(shape)));
    let p: Vec<_> = rates.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
    let step = continued_step(&mut b, tableau, rates, (t, h), (u, slope), &p);
    let mut out = vec![step.next, step.slope];
    let dense = if step.bulge.is_some() { Dense::Bulged } else { Dense::Hermite };
    match (estimate, tableau.embedded, step.error) {
        (false, ..) => Ok((b.finish(out), None, dense)),
        (true, Some((_, order)), Some(error)) => {
            out.push(error);
            out.extend(step.bulge);
            Ok((b.finish(out), Some(order), dense))
        }
        _ => error_help(
            "run.scheme",
            span,
            format!("`{}` does not estimate its error, so that no tolerance can be held", tableau.name),
            "use `dormand_prince` or `bogacki_shampine`",
        ),
    }
}
