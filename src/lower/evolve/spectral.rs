//! Steps in spectral space: the state is the spectra of the unknowns with a rate, what is linear with constant coefficients acts on
//! each mode alone, and the rest goes through the points.

use super::{Run, Step, rates};
use crate::base::Span;
use crate::discretize::grid::{self, Dealias, Input, Semilinear, Structure};
use crate::discretize::{Mesh, Space};
use crate::integrate::Additive;
use crate::integrate::additive::{Inverses, additive_step};
use crate::integrate::diagonal::Diagonal;
use crate::integrate::exponential::Exponential;
use crate::integrate::runge_kutta::explicit_step;
use crate::ir::{Builder, Func, Op, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::functional::refused;
use crate::lower::solve::{Border, Integrator};
use crate::lower::system::Equations;
use crate::lower::value::Num;
use std::rc::Rc;

/// `(ẑ, t, captured…) → …`
pub type Timed = (Func, Vec<Num>);

/// A system in spectral space: the spectra at the start, L, N, and what turns a state into all unknowns and their gradients.
pub struct Parts {
    pub start: Num,
    linear: Vec<Num>,
    nonlinear: Timed,
    pub complete: Timed,
    /// The terms in L.
    pub kept: Vec<(usize, Input)>,
}

/// `∂xx u, through `p`` of the terms in L, an item for each unknown.
pub fn linear_words(eqs: &Equations, kept: &[(usize, Input)]) -> String {
    let names: Vec<&str> = eqs.unknowns.iter().flat_map(|u| vec![u.name.as_str(); u.shape.iter().product()]).collect();
    let mut out: Vec<String> = vec![];
    for (row, input) in kept {
        let axes: String = input.axes.iter().map(|a| ["x", "y", "z"][*a]).collect();
        let of = names[input.component];
        let term = match (input.component == *row, axes.is_empty()) {
            (true, true) => format!("`{of}`"),
            (true, false) => format!("`∂{axes}({of})`"),
            (false, _) => format!("through `{of}` in `{}`", names[*row]),
        };
        if !out.contains(&term) {
            out.push(term);
        }
    }
    out.join(", ")
}

impl Parts {
    /// `(t, z, captured…) → L z + N`
    pub fn rates(&self) -> (Func, Vec<Num>) {
        let mut b = Builder::new("L");
        let l: Vec<_> = self.linear.iter().map(|n| b.input(n.ty().clone())).collect();
        let l = Diagonal { re: l[0], im: l.get(1).copied() };
        let captured = [&self.linear[..], &self.nonlinear.1].concat();
        (with_linear(&self.nonlinear.0, l, self.start.ty()), captured)
    }
}

impl Parts {
    /// `(t, h, z, captured…) → (next, error)` of an additive method and the order of the error, where it has embedded weights; captured as
    /// by the rates.
    pub fn additive_trial(&self, method: &Additive) -> Option<(Func, usize)> {
        let (_, order) = method.explicit.embedded?;
        let mut b = Builder::new("trial");
        let (t, h) = (b.input(Type::f64([])), b.input(Type::f64([])));
        let z = b.input(self.start.ty().clone());
        let l: Vec<_> = self.linear.iter().map(|n| b.input(n.ty().clone())).collect();
        let l = Diagonal { re: l[0], im: l.get(1).copied() };
        let (nonlinear, captured) = &self.nonlinear;
        let p: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
        let inverses = Inverses::new(&mut b, method, l, h);
        let shift = |b: &mut Builder, c: f64| {
            let shift = b.scale(h, c);
            b.add(t, shift)
        };
        let n = |b: &mut Builder, t: crate::ir::Value, z: crate::ir::Value| {
            b.inline(nonlinear, &[&[z, t], &p[..]].concat())[0]
        };
        let (next, error) = additive_step(&mut b, method, (l, &inverses, h), z, shift, n);
        Some((b.finish(vec![next, error?]), order))
    }
}

/// A semilinear system with the arguments of its functions.
struct Found {
    system: Semilinear,
    /// The state and the fields that are read.
    data: Vec<Num>,
    shared: Vec<Num>,
    /// Which of the shared numbers are the same at all times.
    fixed: Vec<bool>,
    capacity: Option<Num>,
}

impl Lower<'_> {
    /// The step, what turns a state and its time into all unknowns `[c, cells…]` and their gradients `[c, d, cells…]`, and the terms
    /// that are linear.
    pub(super) fn spectral_step(
        &mut self,
        run: &Run,
        integrator: Integrator,
        dealias: Dealias,
        start: Num,
    ) -> Result<(Step, Timed, Vec<(usize, Input)>)> {
        let Parts { start, linear, nonlinear, complete, kept } = self.spectral_parts(run, dealias, start)?;
        let step = self.in_spectral_space(run, integrator, &linear, &nonlinear, start.ty())?;
        Ok((Step { initial: vec![start], ..step }, complete, kept))
    }

    /// The parts of a system from which steps in spectral space are made.
    pub(super) fn spectral_parts(&mut self, run: &Run, dealias: Dealias, start: Num) -> Result<Parts> {
        let stored = self.at_time(Num::scalar(0.0), |l| Ok(rates::stored(&l.equations(run.problem)?)))?;
        let cells = &run.space.mesh.cells;
        let mut modes = cells.clone();
        if let Some(last) = modes.last_mut() {
            *last = *last / 2 + 1;
        }
        let mut found: Option<Found> = None;
        let start = self.spectra(start, &stored, cells);
        let inputs = [start.ty().clone(), Type::f64([])];
        let nonlinear = self.timed("nonlinear", &inputs, 1, |l, inputs| {
            let mut parts = l.semilinear(run, dealias, inputs)?;
            let args: Vec<Num> =
                [&parts.data[..], &parts.shared].concat().into_iter().chain(parts.capacity.take()).collect();
            let out = l.inlined(&parts.system.nonlinear, &args);
            found = Some(parts);
            Ok(vec![out])
        })?;
        let complete = self.timed("complete", &inputs, 1, |l, inputs| {
            let parts = l.semilinear(run, dealias, inputs)?;
            let args = [&parts.data[..], &parts.shared].concat();
            let refs: Vec<&Num> = args.iter().collect();
            Ok(l.tracer.build_all(&refs, |b, v| b.inline(&parts.system.complete, v)))
        })?;
        let found = found.expect("compiler bug: a system without parts");
        // Numbers that change in time are not in L.
        let shared: Vec<Num> = found
            .shared
            .into_iter()
            .zip(found.fixed)
            .map(|(n, fixed)| if fixed { n } else { Num::Const(Tensor::zeros(n.ty())) })
            .collect();
        let refs: Vec<&Num> = shared.iter().collect();
        let linear = self.tracer.build_all(&refs, |b, v| b.inline(&found.system.linear, v));
        Ok(Parts { start, linear, nonlinear, complete, kept: found.system.kept })
    }

    /// The parts of the system and their arguments.
    fn semilinear(&mut self, run: &Run, dealias: Dealias, inputs: &[Num]) -> Result<Found> {
        let Run { problem, space, span, .. } = *run;
        let mut eqs = self.equations(problem)?;
        eqs.rates = true;
        self.settle(&mut eqs, true)?;
        let points = fine(space, dealias, span)?;
        let components = rates::stored(&eqs);
        let capacity = self.capacities(&mut eqs, &points, false, span)?;
        let (balance, mut shared) = self.balance(&eqs, &Border::None, span)?;
        let Num::Traced { frame: here, .. } = &inputs[0] else { unreachable!("compiler bug: a constant input") };
        if let Some(c) = eqs.convolutions.first().filter(|_| points.mesh != space.mesh) {
            return error_help(
                "unsupported.library",
                c.span,
                "convolutions of the unknown at more points than there are modes are not supported yet",
                "use `dealias=2/3`, or `false`",
            );
        }
        if !eqs.integrals.is_empty() || !eqs.convolutions.is_empty() {
            let nodal = self.at_cells(&inputs[0], &components, space);
            self.integrated(&eqs, &mut shared, &nodal, space, span)?;
        }
        let of_this_step = |n: &Num| matches!(n, Num::Traced { frame, .. } if frame == here);
        let fixed: Vec<bool> = shared.numbers.iter().map(|n| !of_this_step(n)).collect();
        let structure = Structure { stored: &components, fixed: &fixed, capacity: capacity.is_some() };
        let system = grid::semilinear(&balance, &space.mesh, &structure, dealias).map_err(|r| refused(r, span))?;
        let x = Num::Const(points.node_coordinates());
        let mut data = vec![inputs[0].clone()];
        for (f, gradient) in &shared.interior_data {
            data.push(self.discrete_at_points(f, *gradient, &x));
        }
        Ok(Found { system, data, shared: shared.numbers, fixed, capacity })
    }

    fn inlined(&mut self, f: &Func, args: &[Num]) -> Num {
        let refs: Vec<&Num> = args.iter().collect();
        self.tracer.build(&refs, |b, v| b.inline(f, v)[0])
    }

    /// Values at the cells `[N, c]` of a state; nothing for unknowns without a rate.
    fn at_cells(&mut self, state: &Num, stored: &[bool], space: &Rc<Space>) -> Num {
        let cells = &space.mesh.cells;
        let (d, n) = (cells.len(), space.node_count());
        self.tracer.build(&[state], |b, v| {
            let back = b.op(Op::Irfft { rank: d, n: cells[d - 1] }, &[v[0]]);
            let back = b.scale(back, 1.0 / n as f64);
            let mut next = 0;
            let columns: Vec<_> = stored
                .iter()
                .map(|has_rate| {
                    if !has_rate {
                        return b.full(&Type::f64([n]), f64::NAN);
                    }
                    next += 1;
                    let column = b.index(back, 0, next - 1);
                    b.reshape(column, &[n])
                })
                .collect();
            b.stack(&columns, 1)
        })
    }

    /// Values at the cells `[N, c]` as spectra of those unknowns that have a rate.
    fn spectra(&mut self, start: Num, stored: &[bool], cells: &[usize]) -> Num {
        self.tracer.build(&[&start], |b, v| {
            let kept: Vec<_> = (0..stored.len())
                .filter(|&k| stored[k])
                .map(|k| {
                    let column = b.index(v[0], 1, k);
                    b.reshape(column, cells)
                })
                .collect();
            let all = b.stack(&kept, 0);
            b.op(Op::Rfft { rank: cells.len() }, &[all])
        })
    }

    fn in_spectral_space(
        &mut self,
        run: &Run,
        integrator: Integrator,
        linear: &[Num],
        (nonlinear, captured): &Timed,
        state: &Type,
    ) -> Result<Step> {
        let h = run.h;
        // What the step needs of L, made once before the loop.
        let refs: Vec<&Num> = linear.iter().collect();
        let mut method = Method::Explicit;
        let made = self.tracer.build_all(&refs, |b, v| {
            let l = Diagonal { re: v[0], im: v.get(1).copied() };
            method = match integrator {
                Integrator::Exponential { order } => Method::Exponential(Exponential::new(b, order, l, h)),
                Integrator::Additive(a) => {
                    let h = b.scalar(h);
                    Method::Additive(a, Inverses::new(b, a, l, h))
                }
                _ => Method::Explicit,
            };
            match &method {
                Method::Exponential(e) => e.values(),
                Method::Additive(_, i) => i.values(),
                Method::Explicit => vec![],
            }
        });
        if let (Method::Explicit, Integrator::RungeKutta(t)) = (&method, integrator)
            && !t.explicit()
        {
            return error_help(
                "run.scheme",
                run.span,
                format!("`{}` treats everything implicitly, and products couple all modes of a spectrum", t.name),
                "use `etdrk4`, which is exact in the stiff linear part, or an additive method such as `ark4`",
            );
        }
        let mut b = Builder::new("step");
        let z = b.input(state.clone());
        let t = b.input(Type::f64([]));
        let l: Vec<_> = linear.iter().map(|n| b.input(n.ty().clone())).collect();
        let coefficients: Vec<_> = made.iter().map(|n| b.input(n.ty().clone())).collect();
        let parameters: Vec<_> = nonlinear.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
        let l = Diagonal { re: l[0], im: l.get(1).copied() };
        let shift = |b: &mut Builder, c: f64| {
            let shift = b.scalar(c * h);
            b.add(t, shift)
        };
        let n = |b: &mut Builder, t: crate::ir::Value, z: crate::ir::Value| {
            let args = [&[z, t], &parameters[..]].concat();
            b.inline(nonlinear, &args)[0]
        };
        let next = match (method, integrator) {
            (Method::Exponential(e), _) => e.from_values(&coefficients).step(&mut b, z, shift, n),
            (Method::Additive(a, i), _) => {
                let h = b.scalar(h);
                additive_step(&mut b, a, (l, &i.from_values(&coefficients), h), z, shift, n).0
            }
            (Method::Explicit, Integrator::RungeKutta(tableau)) => {
                let rates = with_linear(nonlinear, l, state);
                let step = b.scalar(h);
                let mut all = vec![l.re];
                all.extend(l.im);
                all.extend(&parameters);
                explicit_step(&mut b, tableau, &rates, (t, step), &[z], &all).next[0]
            }
            _ => {
                return error_help(
                    "run.scheme",
                    run.span,
                    "this time scheme does not work in spectral space",
                    "use `etdrk4`, an additive method such as `ark4`, or an explicit one such as `rk4`",
                );
            }
        };
        let mut all = linear.to_vec();
        all.extend(made);
        all.extend(captured.iter().cloned());
        Ok(Step { func: b.finish(vec![next]), captured: all, initial: vec![] })
    }
}

enum Method {
    Explicit,
    Exponential(Exponential),
    Additive(&'static crate::integrate::Additive, Inverses),
}

/// `(t, z, L…, captured…) → L z + N`
fn with_linear(nonlinear: &Func, l: Diagonal, state: &Type) -> Func {
    let mut b = Builder::new("rates");
    let t = b.input(Type::f64([]));
    let z = b.input(state.clone());
    let ty = Type::f64([&[state.shape[0]], &state.shape[2..]].concat());
    let l = Diagonal { re: b.input(ty.clone()), im: l.im.map(|_| b.input(ty)) };
    let mut args = vec![z, t];
    args.extend(nonlinear.inputs[2..].iter().map(|t| b.input(t.clone())));
    let n = b.inline(nonlinear, &args)[0];
    let lz = l.apply(&mut b, z);
    let sum = b.add(lz, n);
    b.finish(vec![sum])
}

/// The points where products are taken, as a space of cells.
fn fine(space: &Rc<Space>, dealias: Dealias, span: Span) -> Result<Rc<Space>> {
    if dealias != Dealias::ThreeHalves {
        return Ok(space.clone());
    }
    let m = &space.mesh;
    let cells: Vec<usize> = m.cells.iter().map(|n| (3 * n).div_ceil(2)).collect();
    // The first point is that of the mesh: modes keep their phase.
    let shift = |(a, n): (usize, &usize)| 0.5 * m.extent[a] * (1.0 / m.cells[a] as f64 - 1.0 / *n as f64);
    let origin: Vec<f64> = cells.iter().enumerate().map(shift).zip(&m.origin).map(|(s, x)| x + s).collect();
    let mesh = Mesh::new(m.element, &origin, &m.extent, &cells, &m.periodic).map_err(|r| refused(r, span))?;
    Ok(Rc::new(Space::cells(mesh)))
}
