//! The longest step that an explicit method can take at a state.

use super::Run;
use super::ordinary::same;
use super::stability::intervals;
use crate::base::Span;
use crate::discretize::conservation;
use crate::discretize::grid::{self, Derivatives};
use crate::integrate::Tableau;
use crate::ir::{Binary, Builder, Func, Reduce, Type, Unary};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::functional::refused;
use crate::lower::solve::{Border, Method};
use crate::lower::value::Num;

impl Lower<'_> {
    /// `(t, u, captured…) → the length of which a step is a part`: on finite volumes the time in which the fastest wave crosses a cell, of
    /// central differences the longest stable step.
    pub(super) fn longest_step(
        &mut self,
        run: &Run,
        tableau: &Tableau,
        shape: &[usize],
        wanted: &[Num],
    ) -> Result<Func> {
        let Run { problem, scheme, space, span, .. } = *run;
        let inputs = [Type::f64([]), Type::f64(shape)];
        let (func, captured) = self.timed("courant", &inputs, 0, |l, inputs| {
            let mut eqs = l.equations(problem)?;
            l.settle(&mut eqs, true)?;
            eqs.rates = true;
            let capacity = l.capacities(&mut eqs, space, true, span)?;
            let (balance, shared) = l.balance(&eqs, &Border::None, span)?;
            if !eqs.integrals.is_empty() {
                return unknown_limit(span, "integrals of the unknown couple all of its values");
            }
            let (rate, mut args) = match scheme.method {
                Method::Grid(Derivatives::Central { order }) => {
                    if !eqs.velocities.is_empty() {
                        return unknown_limit(span, "waves of second order in time are not bounded yet");
                    }
                    let made = grid::limits(&balance, &space.mesh, order, run.places.is_some())
                        .map_err(|r| refused(r, span))?;
                    let (real, imaginary) = intervals(tableau);
                    if made.carries && imaginary < 0.1 {
                        return error_help(
                            "run.scheme",
                            span,
                            format!("no step of `{}` is stable for waves on central differences", tableau.name),
                            "use `ssprk3` or `rk4`",
                        );
                    }
                    let points = Num::Const(space.node_coordinates());
                    let data = shared.interior_data.iter();
                    let mut args: Vec<Num> = data.map(|(f, g)| l.discrete_at_points(f, *g, &points)).collect();
                    args.extend(shared.numbers.iter().cloned());
                    (slowest(&made.func, (real, imaginary.max(1e-3))), args)
                }
                _ if !conservation::convects(&balance) => {
                    return unknown_limit(span, "no flux carries the unknowns");
                }
                _ if capacity.is_some() => return unknown_limit(span, "a capacity stands before the rate"),
                _ => {
                    let (made, args) = l.conservation_rates(run, &eqs, &balance, &shared)?;
                    (made.courant, args)
                }
            };
            args.insert(0, inputs[1].clone());
            args.extend(capacity.clone());
            let refs: Vec<&Num> = args.iter().collect();
            let shape = &space.mesh.cells;
            let step = l.tracer.build(&refs, |b, v| {
                let (v, weights) = v.split_at(v.len() - usize::from(capacity.is_some()));
                let mut all = b.inline(&rate, v)[0];
                if let Some(&weights) = weights.first() {
                    // `[N, c]`: the least of the components.
                    let size = b.unary(Unary::Abs, weights);
                    let least = b.reduce(Reduce::Min, size, &[1]);
                    let least = b.reshape(least, shape);
                    all = b.div(all, least);
                }
                let axes: Vec<usize> = (0..b.ty(all).rank()).collect();
                let fastest = b.reduce(Reduce::Max, all, &axes);
                let (one, least) = (b.scalar(1.0), b.scalar(1e-200));
                let fastest = b.binary(Binary::Max, fastest, least);
                b.div(one, fastest)
            });
            Ok(vec![step])
        })?;
        let place = |n: &Num| wanted.iter().position(|w| same(w, n));
        let Some(places) = captured.iter().map(place).collect::<Option<Vec<usize>>>() else {
            return unknown_limit(span, "it depends on numbers that the rates do not read");
        };
        let mut b = Builder::new("courant");
        let (t, u) = (b.input(inputs[0].clone()), b.input(inputs[1].clone()));
        let p: Vec<_> = wanted.iter().map(|n| b.input(n.ty().clone())).collect();
        let args: Vec<_> = [t, u].into_iter().chain(places.into_iter().map(|k| p[k])).collect();
        let out = b.inline(&func, &args);
        Ok(b.finish(out))
    }
}

pub(super) fn scheme_is_central(method: Method) -> bool {
    matches!(method, Method::Grid(Derivatives::Central { .. }))
}

/// The refusal of `cfl`.
pub(super) fn unknown_limit<T>(span: Span, why: &str) -> Result<T> {
    error_help(
        "unsupported.library",
        span,
        format!("the longest stable step of this scheme is not known: {why}"),
        "give the step its length, or a tolerance: `dormand_prince(tol=1e-6)`",
    )
}

/// 1 over the longest stable step at each point, from bounds of the eigenvalues: between both axes a triangle lies within the region of
/// stability.
pub(super) fn slowest(limits: &Func, (real, imaginary): (f64, f64)) -> Func {
    let mut b = Builder::new("slowest");
    let args: Vec<_> = limits.inputs.iter().map(|t| b.input(t.clone())).collect();
    let found = b.inline(limits, &args);
    let (waves, decay) = (b.scale(found[0], 1.0 / imaginary), b.scale(found[1], 1.0 / real));
    let out = b.add(waves, decay);
    b.finish(vec![out])
}
