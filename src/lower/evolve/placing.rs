//! Staggered grids: where the components of a system stand, and their values at the centres of cells again.

use super::Run;
use crate::base::Span;
use crate::discretize::chebyshev::Purpose;
use crate::discretize::grid::{self, Derivatives, Placement, Places, staggered};
use crate::discretize::{Balance, Options, Space, chebyshev};
use crate::ir::{Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::functional::refused;
use crate::lower::solve::{Border, Integrator, Method, Scheme, Shared};
use crate::lower::system::Equations;
use crate::lower::value::{Field, Leaf, Num, Problem};
use std::rc::Rc;

impl Lower<'_> {
    /// Where components stand, where they do not all stand at the centres. Error: `staggered=true` of a system or a method in time that
    /// it does not serve.
    pub(super) fn places(
        &mut self,
        problem: &Problem,
        scheme: &Scheme,
        integrator: Integrator,
        start: f64,
        space: &Rc<Space>,
        span: Span,
    ) -> Result<Option<Rc<Places>>> {
        let Method::Grid(Derivatives::Central { order }) = scheme.method else { return Ok(None) };
        let refuse = |why: String| match scheme.staggered {
            Some(true) => error_help(
                "discretize.staggered",
                span,
                format!("no staggered grid serves this: {why}"),
                "leave out `staggered`; first derivatives are then taken between values at the same points",
            ),
            _ => Ok(None),
        };
        if scheme.staggered == Some(false) {
            return Ok(None);
        }
        if !matches!(integrator, Integrator::RungeKutta(t) if t.explicit()) {
            return refuse("its method in time is not an explicit Runge–Kutta method".into());
        }
        self.at_time(Num::scalar(start), |l| {
            let mut eqs = l.equations(problem)?;
            l.settle(&mut eqs, true)?;
            eqs.rates = true;
            l.capacities(&mut eqs, space, true, span)?;
            let (balance, _) = l.balance(&eqs, &Border::None, span)?;
            let names = |k: usize| component_name(&eqs, k);
            if order > 2 && space.mesh.periodic.contains(&false) {
                return refuse(format!("between walls its differences are of order 2, these are of order {order}"));
            }
            match grid::places(&balance, &space.mesh, &names).map_err(|r| refused(r, span))? {
                Placement::Found(places) => Ok(Some(Rc::new(places))),
                Placement::Unasked => {
                    refuse("no first derivative of one unknown stands in the equation of another".into())
                }
                Placement::None(why) => refuse(why),
            }
        })
    }

    /// A field, or a number for each component of an unknown, at the places of the components from `first` on: `[N, components]`.
    pub(super) fn field_at_places(
        &mut self,
        f: &Field,
        places: &Places,
        first: usize,
        space: &Space,
        span: Span,
    ) -> Result<Num> {
        let (nodes, n) = (space.node_count(), f.shape().iter().product::<usize>());
        let mut columns: Vec<Num> = vec![];
        for k in 0..n {
            let x = Num::Const(places.points(&space.mesh, first + k));
            let all = self.field_at_points(f, &x, span)?;
            columns.push(self.tracer.build(&[&all], |b, v| {
                let flat = b.reshape(v[0], &[nodes, n]);
                b.slice(flat, 1, k, k + 1)
            }));
        }
        let refs: Vec<&Num> = columns.iter().collect();
        Ok(self.tracer.build(&refs, |b, v| b.concat(v, 1)))
    }

    /// Values at the nodes of a state `[c, n…]`: from their places, and with what is given at walls.
    pub(super) fn completed_state(&mut self, run: &Run, state: Num, time: &Num) -> Result<Num> {
        let Run { problem, scheme, space, span, .. } = *run;
        if run.places.is_none() && scheme.method != Method::Chebyshev {
            return Ok(state);
        }
        self.at_time(time.clone(), |l| {
            let mut eqs = l.equations(problem)?;
            l.settle(&mut eqs, scheme.method.conservative())?;
            eqs.rates = true;
            l.capacities(&mut eqs, space, true, span)?;
            let parts = l.balance(&eqs, &Border::None, span)?;
            l.completed_by(run, &eqs, &parts, state)
        })
    }

    /// The same, of equations that are at hand.
    pub(super) fn completed_by(
        &mut self,
        run: &Run,
        eqs: &Equations,
        (balance, shared): &(Balance, Shared),
        state: Num,
    ) -> Result<Num> {
        let Run { scheme, space, span, .. } = *run;
        let mut args = vec![state.clone()];
        let func = match (scheme.method, &run.places) {
            (Method::Grid(Derivatives::Central { order }), Some(places)) => {
                // No field is read here.
                let unread = |ty: &Type| Type::f64([&[space.node_count()], &ty.shape[..]].concat());
                args.extend(balance.point_data.iter().map(|ty| Num::Const(Tensor::zeros(&unread(ty)))));
                staggered::centred(balance, &space.mesh, order, places).map_err(|r| refused(r, span))?
            }
            (Method::Chebyshev, _) => {
                let made = chebyshev::discretise(balance, space, &Options::default(), Purpose::Rates);
                let made = made.map_err(|r| refused(r, span))?;
                args.extend(self.data_arguments(&made.discrete, shared, space));
                made.complete
            }
            _ => return Ok(state),
        };
        // Nor any integral.
        args.extend(shared.numbers.iter().map(|n| {
            let stands = |s: &crate::lower::system::Standing| {
                Leaf::Shared(s.number.placeholder.clone()).same(&Leaf::Shared(n.clone()))
            };
            match eqs.integrals.iter().any(stands) {
                true => Num::Const(Tensor::zeros(n.ty())),
                false => n.clone(),
            }
        }));
        let refs: Vec<&Num> = args.iter().collect();
        Ok(self.tracer.build(&refs, |b, v| b.inline(&func, v)[0]))
    }
}

/// `staggered differences of order 4 on 64 × 64 points: p at the centres, v[0] half a cell along x`
pub(super) fn described(eqs: &Equations, places: &Places, order: usize, points: &str) -> String {
    let each = (0..places.of.len()).map(|k| {
        let place = places.axes(k).map_or("at the centres".into(), |axes| format!("half a cell along {axes}"));
        format!("{} {place}", component_name(eqs, k))
    });
    let each: Vec<String> = each.collect();
    format!("staggered differences of order {order} on {points} points ({})", each.join(", "))
}

/// `p`, `v[0]`, `σ[0, 1]`
fn component_name(eqs: &Equations, component: usize) -> String {
    let mut first = 0;
    for u in &eqs.unknowns {
        let n: usize = u.shape.iter().product();
        if component < first + n {
            let mut rest = component - first;
            let mut index: Vec<String> = u
                .shape
                .iter()
                .rev()
                .map(|extent| {
                    let i = rest % extent;
                    rest /= extent;
                    i.to_string()
                })
                .collect();
            index.reverse();
            return if index.is_empty() { u.name.clone() } else { format!("{}[{}]", u.name, index.join(", ")) };
        }
        first += n;
    }
    format!("component {component}")
}
