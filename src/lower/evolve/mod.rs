//! `solve(system, scheme, t=a..b)`: problems in time. A step is a function of the state and the time; the run is a `Scan` of steps, so
//! that a trajectory is differentiated like anything else.
//!
//! Explicit methods take rates from the grid or the finite volumes; in implicit ones each stage is a steady problem,
//! `(stored(u) - stored(base))/(γh) + ∇·flux + source = 0`, whose base is made of former stages or steps. [Hairer & Wanner II, §IV.8]

mod additive;
mod arrangement;
mod change;
mod control;
mod driver;
mod ended;
mod events;
mod explicit;
mod gather;
mod implicit;
mod leapfrog;
mod limits;
mod loops;
pub mod march;
mod measure;
mod multistep;
mod onestep;
mod ordinary;
mod placing;
mod rates;
mod samples;
mod spectral;
mod stability;
mod terms;
mod timeline;
mod variable;
mod volumes;
mod watched;

pub(super) use self::control::Control;
use self::gather::{gathered, with_times};
use self::march::{Layout, March};
pub(super) use self::ordinary::Motion;
use self::samples::Whole;
pub(super) use self::terms::Implicit;
use self::timeline::Timeline;
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::solve::{Integrator, Method, Scheme, Solved};
use super::system::Equations;
use super::value::{Field, Leaf, Num, Problem, Value};
use crate::base::Span;
use crate::discretize::Space;
use crate::discretize::grid::{self, Derivatives};
use crate::ir::{Func, Tensor, Type};
use indexmap::IndexMap;
use std::rc::Rc;

/// What every step of a run shares.
struct Run<'a> {
    problem: &'a Problem,
    scheme: &'a Scheme,
    space: &'a Rc<Space>,
    /// Where components stand, on a staggered grid.
    places: Option<Rc<grid::Places>>,
    /// Length of a step.
    h: f64,
    /// When the run begins, and how many steps it takes.
    start: f64,
    steps: usize,
    span: Span,
}

/// A step of a method.
struct Step {
    /// `(states…, t, captured…) → states…`, t at the beginning of the step.
    func: Func,
    captured: Vec<Num>,
    /// States at the start; the first is the solution.
    initial: Vec<Num>,
}

impl Lower<'_> {
    pub(super) fn evolve(
        &mut self,
        problem: &Problem,
        scheme: &Scheme,
        args: &IndexMap<String, Value>,
        span: Span,
    ) -> Result<Value> {
        let Some((integrator, dt)) = scheme.time else {
            return error_help(
                "run.scheme",
                span,
                "the scheme does not say how to step through time",
                "for example `fem(n=64, time=bdf2(0.1 [s]))`, `fd(n=128, time=rk4(1e-3 [s]))`",
            );
        };
        let timeline = self.timeline(dt, args, span)?;
        let eqs = self.at_time(Num::scalar(timeline.start), |l| l.equations(problem))?;
        self.check_evolution(&eqs, span)?;
        let mesh = self.mesh(&eqs.domain.clone(), scheme.resolution.element, &scheme.resolution.cells, span)?;
        let space = self.scheme_space(mesh, scheme, span)?;
        let places = self.places(problem, scheme, integrator, timeline.start, &space, span)?;
        let start = self.initial_values(&eqs, &space, places.as_deref(), span)?;
        let run = Run {
            problem,
            scheme,
            space: &space,
            places,
            h: timeline.step,
            start: timeline.start,
            steps: timeline.samples * timeline.per_sample,
            span,
        };
        let until = super::solve::given(args, "until").cloned();
        if let Some(control) = scheme.control.filter(|c| c.fixed().is_none() || until.is_some()) {
            let often = self.often(args, span)?;
            return self.evolve_variable(&run, integrator, control, (until, often), &eqs, start, timeline);
        }
        let mut whole = None;
        let mut complete = None;
        let mut linear = String::new();
        let mut step = match (integrator, scheme.method) {
            (_, Method::Grid(Derivatives::Fourier(_))) if scheme.implicit.is_some() => {
                return error_help(
                    "run.scheme",
                    span,
                    "`spectral` treats implicitly what is linear with constant coefficients, whatever its kind",
                    "leave out `implicit`",
                );
            }
            (integrator, Method::Grid(Derivatives::Fourier(dealias))) => {
                let (step, of_state, kept) = self.spectral_step(&run, integrator, dealias, start)?;
                complete = Some(of_state);
                linear = spectral::linear_words(&eqs, &kept);
                step
            }
            (Integrator::RungeKutta(t), Method::Grid(_) | Method::Volumes | Method::Chebyshev) if t.explicit() => {
                self.explicit_step(&run, t, start)?
            }
            (Integrator::RungeKutta(t), Method::Elements) if t.explicit() => {
                return error_help(
                    "run.scheme",
                    span,
                    format!("`{}` is explicit, and finite elements would need a solve with their mass matrix", t.name),
                    "use an implicit method, such as `bdf2`, or `fv` or `fd`",
                );
            }
            (Integrator::Symplectic(m), _) => {
                let (step, of_pair, captured) = self.leapfrog(&run, m, &eqs, start)?;
                whole = Some((of_pair, captured));
                step
            }
            (Integrator::Rosenbrock(m), _) => {
                return error_help(
                    "run.scheme",
                    span,
                    format!("`{}` is for systems of numbers so far", m.name),
                    "use an implicit method, such as `bdf2` or `sdirk3`",
                );
            }
            (integrator, _) => self.implicit_step(&run, integrator, start)?,
        };
        let by_component = match (integrator, scheme.method) {
            (_, Method::Grid(Derivatives::Fourier(_))) => true,
            (Integrator::RungeKutta(t), Method::Volumes | Method::Grid(_) | Method::Chebyshev) => t.explicit(),
            (Integrator::Symplectic(_), _) => true,
            _ => false,
        };
        let mut march = self.march_of(&eqs, &timeline, &run, integrator, (by_component, linear))?;
        if step.initial[0].ty().len() != march.entries() {
            // Modes, or some of the unknowns.
            march.layout = Layout::Elsewhere(step.initial[0].ty().len());
        }
        // A state is not yet all values at the nodes.
        let partial = by_component && (run.places.is_some() || scheme.method == Method::Chebyshev);
        if let Some((pair, captured)) = whole.take_if(|_| partial) {
            let inputs = [step.initial[0].ty().clone(), step.initial[1].ty().clone(), Type::f64([])];
            whole = Some(self.timed("state", &inputs, 2, |l, inputs| {
                let args: Vec<&Num> = inputs.iter().chain(&captured).collect();
                let state = l.tracer.build(&args, |b, v| b.inline(&pair, v)[0]);
                Ok(vec![l.completed_state(&run, state, &inputs[2])?])
            })?);
        }
        let completed = match partial && whole.is_none() {
            true => {
                let inputs = [step.initial[0].ty().clone(), Type::f64([])];
                let of_state =
                    |l: &mut Self, inputs: &[Num]| Ok(vec![l.completed_state(&run, inputs[0].clone(), &inputs[1])?]);
                Some(self.timed("completed", &inputs, 1, of_state)?)
            }
            false => None,
        };
        let of_states = match (&whole, complete.as_ref().or(completed.as_ref())) {
            (Some(pair), _) => Whole::Of(2, pair),
            (_, Some(state)) => Whole::Of(1, state),
            _ => Whole::State,
        };
        let of = (&eqs, &run, &timeline);
        march.checkpoint = self.often(args, span)?;
        march.watched = self.watched(&run, &step, (&of_states, by_component))?;
        if matches!(march.layout, Layout::Elsewhere(_)) {
            march.shown = self.shown(&step, &of_states)?;
        }
        if let Some(samples) = self.streamed(of, &mut step, &march, (of_states, by_component))? {
            return self.gathered_at(problem, &timeline, &eqs, samples.values.len(), |l, eqs, k| {
                let fields = samples.fields(l, eqs, k, &space);
                l.solution_of(eqs, fields, vec![], span)
            });
        }
        let kept = match whole {
            None => self.march(&timeline, step, march),
            Some((of_pair, captured)) => self.march_pairs(&timeline, step, march, &of_pair, &captured),
        };
        let of_values = self.slopes_when_asked(&run, &eqs, complete.is_some());
        self.gathered_at(problem, &timeline, &eqs, kept.len(), |l, eqs, k| {
            let values = kept[k].clone();
            if let Some(slopes) = &of_values {
                let values = match by_component {
                    true => l.completed_state(&run, values, &Num::scalar(timeline.kept(k)))?,
                    false => values,
                };
                let values = l.nodal(values, by_component, &space);
                let fields = l.unknown_fields(eqs, &values, None, &space);
                let fields = fields.into_iter().zip(slopes).map(|(field, slopes)| field.with_slopes(slopes.clone()));
                return l.solution_of(eqs, fields.collect(), vec![], span);
            }
            let (values, slopes) = match &complete {
                Some(of_state) => l.completed(values, &Num::scalar(timeline.kept(k)), of_state),
                None => {
                    let values = match by_component {
                        true => l.completed_state(&run, values, &Num::scalar(timeline.kept(k)))?,
                        false => values,
                    };
                    let slopes = l.own_slopes(scheme, &space, &values, by_component);
                    (values, slopes)
                }
            };
            let values = l.nodal(values, by_component, &space);
            let slopes = slopes.map(|s| l.nodal_slopes(s, &space));
            let solved = Solved { nodal: values, slopes, numbers: vec![], space: space.clone() };
            l.solution(eqs, solved, span)
        })
    }

    /// Evaluates with `t` of this value.
    fn at_time<T>(&mut self, t: Num, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = self.time.replace(t);
        let out = f(self);
        self.time = outer;
        out
    }

    /// Whether a field depends on the time at which it is being evaluated.
    pub(super) fn reads_time(&self, f: &Field) -> bool {
        let Some(t) = &self.time else { return false };
        let t = Leaf::Shared(t.clone());
        f.leaves.iter().any(|l| l.same(&t))
    }

    /// Every unknown that changes has a value to start from.
    fn check_evolution(&mut self, eqs: &Equations, span: Span) -> Result<()> {
        if eqs.balances.iter().all(|e| e.residual.stored.is_none()) {
            return error_help(
                "run.scheme",
                span,
                format!("nothing in `{}` changes in time", eqs.name),
                "leave out `t`, or write `∂t(u) + … = …`",
            );
        }
        if let Some(number) = eqs.numbers.first() {
            return error(
                "unsupported.library",
                number.span,
                "unknown numbers in problems that change in time are not supported yet",
            );
        }
        for (k, u) in eqs.unknowns.iter().enumerate() {
            let started = eqs.initial.iter().any(|(i, ..)| *i == k);
            if !started
                && (rates::has_rate(eqs, k) || !eqs.unknowns.iter().enumerate().any(|(k, _)| rates::has_rate(eqs, k)))
            {
                return error_help(
                    "pde.init.missing",
                    eqs.balances[0].span,
                    format!("`{}` has no initial value", u.name),
                    format!("add `init {} = …` to the system", u.name),
                );
            }
        }
        Ok(())
    }

    /// `[N, c]` at the nodes of the space, or at the places of the components.
    fn initial_values(
        &mut self,
        eqs: &Equations,
        space: &Rc<Space>,
        places: Option<&grid::Places>,
        span: Span,
    ) -> Result<Num> {
        /// Coordinates, from which on they are not kept.
        const LARGE: usize = 1 << 20;
        let x = match space.node_count() >= LARGE {
            true => self.tracer.build(&[], |b, _| space.trace_node_coordinates(b)),
            false => Num::Const(space.node_coordinates()),
        };
        let mut parts = vec![];
        for (k, u) in eqs.unknowns.iter().enumerate() {
            let n: usize = u.shape.iter().product();
            let first = parts.iter().map(|p: &(Num, usize)| p.1).sum();
            let values = match eqs.initial.iter().find(|(i, ..)| *i == k) {
                Some((_, field, _)) => match places {
                    None => self.field_at_points(&field.clone(), &x, span)?,
                    Some(places) => self.field_at_places(field, places, first, space, span)?,
                },
                // Follows from the others.
                None => Num::Const(Tensor::zeros(&Type::f64([space.node_count(), n]))),
            };
            parts.push((values, n));
        }
        let nodes = space.node_count();
        let refs: Vec<&Num> = parts.iter().map(|p| &p.0).collect();
        Ok(self.tracer.build(&refs, |b, v| {
            let columns: Vec<_> = v.iter().zip(&parts).map(|(v, (_, n))| b.reshape(*v, &[nodes, *n])).collect();
            b.concat(&columns, 1)
        }))
    }

    /// What is told of the run.
    fn march_of(
        &mut self,
        eqs: &Equations,
        timeline: &Timeline,
        run: &Run,
        integrator: Integrator,
        (by_component, linear): (bool, String),
    ) -> Result<March> {
        let points: Vec<String> = run.space.points.iter().map(usize::to_string).collect();
        let points = points.join(" × ");
        let space = match run.scheme.method {
            Method::Grid(Derivatives::Central { order }) if run.places.is_some() => {
                placing::described(eqs, run.places.as_ref().expect("compiler bug: no places"), order, &points)
            }
            Method::Grid(Derivatives::Central { order }) => {
                format!("central differences of order {order} on {points} points")
            }
            Method::Grid(Derivatives::Fourier(_)) => format!("Fourier series on {points} points"),
            Method::Volumes => format!("finite volumes, {points} cells"),
            Method::Chebyshev => format!("Chebyshev polynomials through {points} points"),
            Method::Elements => format!("finite elements of order {}, {points} nodes", run.space.order),
        };
        let layout = match by_component {
            true => Layout::Components(run.space.clone()),
            false => Layout::Points(run.space.clone()),
        };
        let (nothing, all) = ("nothing is implicit".to_string(), "all is implicit".to_string());
        let (time, implicit) = match integrator {
            Integrator::RungeKutta(t) => (t.name.to_string(), if t.explicit() { nothing } else { all }),
            Integrator::Symplectic(m) => (m.name.into(), nothing),
            Integrator::Rosenbrock(m) => (m.name.into(), "all is implicit, to first order in each stage".into()),
            Integrator::Bdf { order, .. } => (format!("bdf, order {order}"), all),
            Integrator::Exponential { order } => {
                (format!("etdrk{order}"), format!("exact: {}; the rest is explicit", or_nothing(linear)))
            }
            Integrator::Additive(m) => match run.scheme.method {
                Method::Grid(Derivatives::Fourier(_)) => {
                    (m.name.into(), format!("implicit: {}; the rest is explicit", or_nothing(linear)))
                }
                _ => (m.name.into(), self.implicit_words(run)?),
            },
        };
        Ok(self.describe(eqs, timeline, layout, (space, time, implicit)))
    }

    /// A function of these inputs, the given one of which is the time in it, and what it captured.
    fn timed(
        &mut self,
        name: &str,
        inputs: &[Type],
        time: usize,
        f: impl FnOnce(&mut Self, &[Num]) -> Result<Vec<Num>>,
    ) -> Result<(Func, Vec<Num>)> {
        let depth = self.tracer.depth();
        let inputs = self.tracer.open(name, inputs);
        let out = self.at_time(inputs[time].clone(), |l| f(l, &inputs));
        match out {
            Ok(out) => Ok(self.tracer.close(&out)),
            Err(e) => {
                self.tracer.abandon(depth);
                Err(e)
            }
        }
    }
}

fn or_nothing(words: String) -> String {
    if words.is_empty() { "nothing".into() } else { words }
}
