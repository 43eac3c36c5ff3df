//! Explicit steps: rates from a grid or from finite volumes, combined by a tableau.

use super::rates::{Terms, has_rate};
use super::stability::Explicit;
use super::{Run, Step};
use crate::discretize::chebyshev::Purpose;
use crate::discretize::grid::Derivatives;
use crate::discretize::{chebyshev, conservation, finite_volume, grid};
use crate::integrate::Tableau;
use crate::integrate::runge_kutta::explicit_step;
use crate::ir::{Builder, Func, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::functional::refused;
use crate::lower::solve::{Border, Method};
use crate::lower::value::Num;

impl Lower<'_> {
    pub(super) fn explicit_step(&mut self, run: &Run, tableau: &Tableau, start: Num) -> Result<Step> {
        let Run { scheme, space, h, .. } = *run;
        let c = start.shape()[1];
        let shape = [&[c], &space.points[..]].concat();
        let (rates, captured) = self.rates(run, &shape)?;
        let start = self.tracer.build(&[&start], |b, v| {
            let v = b.transpose(v[0], &[1, 0]);
            b.reshape(v, &shape)
        });
        if scheme.method == Method::Volumes {
            self.check_courant(run, tableau, &start)?;
        } else {
            let explicit = Explicit {
                name: &self.program.def(run.problem.def).name,
                rates: &rates,
                captured: &captured,
                initial: &start,
                start: run.start,
                h,
                steps: run.steps,
                span: run.span,
            };
            self.foresee(&explicit, tableau);
        }
        let mut b = Builder::new("step");
        let u = b.input(Type::f64(shape));
        let t = b.input(Type::f64([]));
        let parameters: Vec<_> = rates.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
        let h = b.scalar(h);
        let step = explicit_step(&mut b, tableau, &rates, (t, h), &[u], &parameters);
        Ok(Step { func: b.finish(step.next), captured, initial: vec![start] })
    }

    /// `(t, u[c, n…], captured…) → ∂u/∂t [c, n…]`
    pub(super) fn rates(&mut self, run: &Run, shape: &[usize]) -> Result<(Func, Vec<Num>)> {
        self.rates_of(run, shape, Terms::All)
    }

    /// The same of some of the terms.
    pub(super) fn rates_of(&mut self, run: &Run, shape: &[usize], terms: Terms) -> Result<(Func, Vec<Num>)> {
        let Run { problem, scheme, space, span, .. } = *run;
        self.timed("rates", &[Type::f64([]), Type::f64(shape)], 0, |l, inputs| {
            let eqs = l.equations(problem)?;
            let mut eqs = l.terms_of(eqs, terms, scheme.method.conservative(), span)?;
            eqs.rates = true;
            let places = run.places.as_deref();
            // Beside implicit terms, unknowns without a rate follow from those.
            let all = !matches!(terms, Terms::Explicit(_)) || (0..eqs.unknowns.len()).all(|k| has_rate(&eqs, k));
            let capacity = match l.capacities_at(&mut eqs, space, places, all, span)? {
                None => Num::scalar(1.0),
                Some(capacity) if all => capacity,
                Some(_) => {
                    return error_help(
                        "run.scheme",
                        span,
                        "factors before rates, beside unknowns without one, are not supported in additive steps on grids and volumes",
                        "divide the equations by what stands before `∂t`, or use `fem`",
                    );
                }
            };
            let mut parts = l.balance(&eqs, &Border::None, span)?;
            if !eqs.integrals.is_empty() || !eqs.convolutions.is_empty() {
                let state = l.completed_by(run, &eqs, &parts, inputs[1].clone())?;
                let nodal = l.tracer.build(&[&state], |b, v| {
                    let flat = b.reshape(v[0], &[shape[0], space.node_count()]);
                    b.transpose(flat, &[1, 0])
                });
                l.integrated(&eqs, &mut parts.1, &nodal, space, span)?;
            }
            let (balance, shared) = parts;
            let (func, data) = match scheme.method {
                Method::Grid(Derivatives::Central { order }) => {
                    let func = match places {
                        Some(places) => grid::staggered::rates(&balance, &space.mesh, order, places),
                        None => grid::rates(&balance, &space.mesh, order),
                    }
                    .map_err(|r| refused(r, span))?;
                    let walls = grid::wall_points(&balance, &space.mesh).map_err(|r| refused(r, span))?;
                    let points = Num::Const(space.node_coordinates());
                    let mut data = vec![];
                    for (f, gradient) in &shared.interior_data {
                        data.push(l.discrete_at_points(f, *gradient, &points));
                    }
                    for (fields, at) in shared.boundary_data.iter().zip(walls) {
                        let at = Num::Const(at);
                        data.extend(fields.iter().map(|(f, gradient)| l.discrete_at_points(f, *gradient, &at)));
                    }
                    data.extend(shared.numbers.iter().cloned());
                    (func, data)
                }
                Method::Grid(Derivatives::Fourier(_)) => unreachable!("compiler bug: spectra are stepped elsewhere"),
                Method::Chebyshev => {
                    let options = crate::discretize::Options::default();
                    let made = chebyshev::discretise(&balance, space, &options, Purpose::Rates)
                        .map_err(|r| refused(r, span))?;
                    let mut args = l.data_arguments(&made.discrete, &shared, space);
                    args.extend(shared.numbers.iter().cloned());
                    (made.rates, args)
                }
                Method::Volumes | Method::Elements => {
                    let asked = scheme.reconstruct.is_some() || scheme.riemann.is_some();
                    // Second order in time: the velocity's flux is by the gradient of the displacement.
                    let upwind = asked || conservation::convects(&balance) || !eqs.velocities.is_empty();
                    // Rates of implicit terms are those that stages are solved with.
                    if upwind && !matches!(terms, Terms::Implicit(_)) {
                        let (made, args) = l.conservation_rates(run, &eqs, &balance, &shared)?;
                        (made.rates, args)
                    } else {
                        let options = crate::discretize::Options::default();
                        let discrete =
                            finite_volume::discretise(&balance, &space.mesh, &options).map_err(|r| refused(r, span))?;
                        let mut args = l.data_arguments(&discrete, &shared, space);
                        args.extend(shared.numbers.iter().cloned());
                        let volume = space.mesh.extent.iter().product::<f64>() / space.mesh.element_count() as f64;
                        (per_volume(&discrete.residual, shape, volume), args)
                    }
                }
            };
            let mut args = vec![inputs[1].clone()];
            args.extend(data);
            args.push(capacity);
            let refs: Vec<&Num> = args.iter().collect();
            let shape = shape.to_vec();
            let rate = l.tracer.build(&refs, |b, v| {
                let (capacity, args) = v.split_last().expect("compiler bug: no arguments");
                let rate = b.inline(&func, args)[0];
                // The capacity is `[N, c]`, or one number.
                let capacity = match b.ty(*capacity).is_scalar() {
                    true => *capacity,
                    false => {
                        let flat = b.transpose(*capacity, &[1, 0]);
                        b.reshape(flat, &shape)
                    }
                };
                b.div(rate, capacity)
            });
            Ok(vec![rate])
        })
    }
}

/// `(u[c, n…], p…) → -residual/volume`
fn per_volume(residual: &Func, shape: &[usize], volume: f64) -> Func {
    let mut b = Builder::new("rates");
    let u = b.input(Type::f64(shape));
    let (c, cells) = (shape[0], shape[1..].iter().product::<usize>());
    let rows = b.reshape(u, &[c, cells]);
    let rows = b.transpose(rows, &[1, 0]);
    let mut args = vec![b.reshape(rows, &[cells * c])];
    args.extend(residual.inputs[1..].iter().map(|t| b.input(t.clone())).collect::<Vec<_>>());
    let r = b.inline(residual, &args)[0];
    let r = b.scale(r, -1.0 / volume);
    let r = b.reshape(r, &[cells, c]);
    let r = b.transpose(r, &[1, 0]);
    let out = b.reshape(r, shape);
    b.finish(vec![out])
}
