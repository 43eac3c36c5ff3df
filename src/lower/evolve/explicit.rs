//! Explicit steps: rates from a grid or from finite volumes, combined by a tableau.

use super::{Run, Step};
use crate::ad;
use crate::base::Span;
use crate::discretize::{Space, finite_volume, grid};
use crate::integrate::Tableau;
use crate::integrate::runge_kutta::explicit_step;
use crate::ir::{Builder, Func, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::field::prune;
use crate::lower::functional::refused;
use crate::lower::solve::{Border, Method};
use crate::lower::system::Equations;
use crate::lower::value::{Field, Leaf, Num, Value};
use std::rc::Rc;

impl Lower<'_> {
    pub(super) fn explicit_step(&mut self, run: &Run, tableau: &Tableau, start: Num) -> Result<Step> {
        let Run { scheme, space, h, .. } = *run;
        let (n, c) = (start.shape()[0], start.shape()[1]);
        let shape = match scheme.method {
            Method::Grid(_) => [&[c], &space.mesh.cells[..]].concat(),
            Method::Elements | Method::Volumes => vec![n, c],
        };
        let (rates, captured) = self.rates(run, &shape)?;
        let grid = matches!(scheme.method, Method::Grid(_));
        let start = self.tracer.build(&[&start], |b, v| {
            let v = if grid { b.transpose(v[0], &[1, 0]) } else { v[0] };
            b.reshape(v, &shape)
        });
        let mut b = Builder::new("step");
        let u = b.input(Type::f64(shape));
        let t = b.input(Type::f64([]));
        let parameters: Vec<_> = rates.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
        let h = b.scalar(h);
        let step = explicit_step(&mut b, tableau, &rates, (t, h), &[u], &parameters);
        Ok(Step { func: b.finish(step.next), captured, initial: vec![start] })
    }

    /// `(t, u, captured…) → ∂u/∂t`, u of a shape that suits the method.
    fn rates(&mut self, run: &Run, shape: &[usize]) -> Result<(Func, Vec<Num>)> {
        let Run { problem, scheme, space, span, .. } = *run;
        self.timed("rates", &[Type::f64([]), Type::f64(shape)], 0, |l, inputs| {
            let mut eqs = l.equations(problem)?;
            l.settle(&mut eqs, true)?;
            eqs.rates = true;
            let capacity = l.capacities(&mut eqs, space, span)?;
            let (balance, shared) = l.balance(&eqs, &Border::None, span)?;
            let (func, data) = match scheme.method {
                Method::Grid(how) => {
                    let func = grid::rates(&balance, &space.mesh, how).map_err(|r| refused(r, span))?;
                    let points = space.node_coordinates();
                    let data = shared
                        .interior_data
                        .iter()
                        .map(|(f, gradient)| l.discrete_at_points(f, *gradient, &Num::Const(points.clone())))
                        .collect::<Vec<_>>();
                    (func, data)
                }
                Method::Volumes | Method::Elements => {
                    let options = crate::discretize::Options::default();
                    let discrete =
                        finite_volume::discretise(&balance, &space.mesh, &options).map_err(|r| refused(r, span))?;
                    let data = l.data_arguments(&discrete, &shared, space);
                    let volume = space.mesh.extent.iter().product::<f64>() / space.mesh.element_count() as f64;
                    (per_volume(&discrete.residual, shape, volume), data)
                }
            };
            let mut args = vec![inputs[1].clone()];
            args.extend(data);
            args.extend(shared.numbers.iter().cloned());
            args.push(capacity);
            let refs: Vec<&Num> = args.iter().collect();
            let grid = matches!(scheme.method, Method::Grid(_));
            let shape = shape.to_vec();
            let rate = l.tracer.build(&refs, |b, v| {
                let (capacity, args) = v.split_last().expect("compiler bug: no arguments");
                let rate = b.inline(&func, args)[0];
                // The capacity is `[N, c]`, or one number.
                let capacity = match b.ty(*capacity).is_scalar() {
                    true => *capacity,
                    false => {
                        let flat = if grid { b.transpose(*capacity, &[1, 0]) } else { *capacity };
                        b.reshape(flat, &shape)
                    }
                };
                b.div(rate, capacity)
            });
            Ok(vec![rate])
        })
    }

    /// The derivative of what is stored with respect to each unknown, `[N, c]` (or 1). Equations are put into the order of the unknowns.
    fn capacities(&mut self, eqs: &mut Equations, space: &Rc<Space>, span: Span) -> Result<Num> {
        let mut sorted = vec![];
        let mut capacities = vec![];
        for (k, u) in eqs.unknowns.iter().enumerate() {
            let of_this = |f: &Field| {
                f.leaves.iter().all(|l| match l {
                    Leaf::Unknown { index, gradient, .. } => *index == k && !gradient,
                    _ => true,
                }) && f.has_unknown()
            };
            let found = eqs.balances.iter().find_map(|e| match &e.residual.stored {
                Some(Value::Field(f)) if of_this(f) => Some((e, f)),
                _ => None,
            });
            let Some((equation, stored)) = found else {
                return error_help(
                    "run.scheme",
                    eqs.balances[k].span,
                    format!("an explicit method needs an equation for `∂t({})` alone", u.name),
                    "use an implicit method for equations without a rate, or with rates of several unknowns",
                );
            };
            sorted.push(equation.clone());
            capacities.push(self.capacity(stored, &u.shape, equation.span)?);
        }
        eqs.balances = sorted;
        if capacities.iter().all(Option::is_none) {
            return Ok(Num::scalar(1.0));
        }
        let x = Num::Const(space.node_coordinates());
        let mut columns = vec![];
        for (capacity, u) in capacities.iter().zip(&eqs.unknowns) {
            let components: usize = u.shape.iter().product();
            let at_nodes = match capacity {
                Some(f) => self.field_at_points(f, &x, span)?,
                None => Num::Const(Tensor::full(&Type::f64([space.node_count()]), 1.0)),
            };
            columns.push(self.tracer.build(&[&at_nodes], |b, v| {
                b.op(crate::ir::Op::Broadcast { shape: vec![space.node_count(), components], axes: vec![0] }, &[v[0]])
            }));
        }
        let refs: Vec<&Num> = columns.iter().collect();
        Ok(self.tracer.build(&refs, |b, v| b.concat(v, 1)))
    }

    /// `∂stored/∂u` of a scalar unknown; none where the unknown itself is stored.
    fn capacity(&mut self, stored: &Field, shape: &[usize], span: Span) -> Result<Option<Field>> {
        if stored.func.nodes.len() == 1 {
            return Ok(None);
        }
        let nonlinear = || {
            error_help(
                "run.scheme",
                span,
                "an explicit method needs the derivative in time of an unknown, times a factor without the unknown",
                "divide the equation by what stands before `∂t`, or use an implicit method",
            )
        };
        if !shape.is_empty() {
            return nonlinear();
        }
        let mut b = Builder::new("capacity");
        let args: Vec<_> = stored.func.inputs.iter().map(|t| b.input(t.clone())).collect();
        let tangents: Vec<_> =
            stored.leaves.iter().map(|l| matches!(l, Leaf::Unknown { .. }).then(|| b.scalar(1.0))).collect();
        let (_, t) = ad::jvp_into(&mut b, &stored.func, &args, &tangents);
        let slope = t[0].unwrap_or_else(|| b.scalar(0.0));
        let func = b.finish(vec![slope]);
        let field = prune(Field { domain: stored.domain.clone(), leaves: stored.leaves.clone(), func: Rc::new(func) });
        if field.has_unknown() { nonlinear() } else { Ok(Some(field)) }
    }
}

/// `(u, p…) → -residual/volume`, in the shape of u.
fn per_volume(residual: &Func, shape: &[usize], volume: f64) -> Func {
    let mut b = Builder::new("rates");
    let u = b.input(Type::f64(shape));
    let mut args = vec![b.reshape(u, &residual.inputs[0].shape)];
    args.extend(residual.inputs[1..].iter().map(|t| b.input(t.clone())).collect::<Vec<_>>());
    let r = b.inline(residual, &args)[0];
    let r = b.scale(r, -1.0 / volume);
    let out = b.reshape(r, shape);
    b.finish(vec![out])
}
