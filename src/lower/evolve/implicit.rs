//! Implicit steps: each stage is a steady problem around a known base.

use super::ordinary::same;
use super::{Run, Step};
use crate::integrate::Tableau;
use crate::ir::{Builder, Op as Operation, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::solve::{Guess, Integrator};
use crate::lower::value::{Field, Leaf, Num, Value};
use crate::sema::hir::Op;
use std::sync::Arc;

impl Lower<'_> {
    pub(super) fn implicit_step(&mut self, run: &Run, integrator: Integrator, start: Num) -> Result<Step> {
        let span = run.span;
        let ty = start.ty().clone();
        let tableau = match integrator {
            Integrator::Rosenbrock(_) | Integrator::Symplectic(_) => unreachable!("compiler bug: refused before"),
            Integrator::Bdf2 => return self.bdf2_step(run, start),
            Integrator::RungeKutta(t) => t,
            Integrator::Exponential { .. } | Integrator::Additive(_) => {
                return error_help(
                    "run.scheme",
                    span,
                    "this time scheme treats the linear part of a system mode by mode",
                    "use it with `spectral`, or an implicit one such as `bdf2` or `sdirk3`",
                );
            }
        };
        let last = tableau.stages() - 1;
        let stiffly_accurate = (0..=last).all(|j| tableau.a(last, j) == tableau.b[j]);
        let implicit = (1..=last).all(|i| tableau.a(i, i) != 0.0);
        if !stiffly_accurate || !implicit {
            return error_help(
                "unsupported.library",
                span,
                format!("`{}` is not supported yet: its last stage is not the end of the step", tableau.name),
                "use `implicit_euler`, `bdf2`, `sdirk2` or `sdirk3`",
            );
        }
        if tableau.a(0, 0) == 0.0 {
            return self.explicit_first(run, tableau, start);
        }
        let (func, captured) = self.timed("step", &[ty, Type::f64([])], 1, |l, inputs| {
            Ok(vec![l.implicit_stages(run, tableau, &inputs[0], None, &inputs[1])?.0])
        })?;
        Ok(Step { func, captured, initial: vec![start] })
    }

    /// Steps whose first stage is explicit: its slope is that at the end of the step before, so that no mass matrix is asked for. A method
    /// without such a stage, of an order less at most, takes the first step.
    fn explicit_first(&mut self, run: &Run, tableau: &Tableau, start: Num) -> Result<Step> {
        let name = if tableau.order <= 2 { "sdirk2" } else { "sdirk3" };
        let starter = crate::integrate::tableau(name).expect("compiler bug: a method that is known");
        let ty = start.ty().clone();
        let inputs = [ty.clone(), ty.clone(), Type::f64([])];
        let mut body = |method: &Tableau, given: bool| {
            self.timed("step", &inputs, 2, |l, v| {
                let (next, slope) = l.implicit_stages(run, method, &v[0], given.then_some(&v[1]), &v[2])?;
                Ok(vec![next, slope])
            })
        };
        let bodies = [body(tableau, true)?, body(starter, false)?];
        let mut captured: Vec<Num> = vec![];
        for n in bodies.iter().flat_map(|b| &b.1) {
            if !captured.iter().any(|c| same(c, n)) {
                captured.push(n.clone());
            }
        }
        // Both with the same arguments.
        let widened = bodies.map(|(func, own)| {
            let mut b = Builder::new(func.name.clone());
            let mut args: Vec<_> = inputs.iter().map(|t| b.input(t.clone())).collect();
            let p: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
            let place = |n: &Num| captured.iter().position(|c| same(c, n)).expect("compiler bug: a number got lost");
            args.extend(own.iter().map(|n| p[place(n)]));
            let out = b.inline(&func, &args);
            Arc::new(b.finish(out))
        });
        let mut b = Builder::new("step");
        let (u, slope, begun) = (b.input(ty.clone()), b.input(ty.clone()), b.input(Type::f64([])));
        let t = b.input(Type::f64([]));
        let p: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
        let [then, otherwise] = widened;
        let args: Vec<_> = [begun, u, slope, t].into_iter().chain(p).collect();
        let mut out = b.ops(Operation::Cond { then, otherwise }, &args);
        out.push(b.scalar(1.0));
        let func = b.finish(out);
        let initial = vec![start, Num::Const(Tensor::zeros(&ty)), Num::Const(Tensor::scalar(0.0))];
        Ok(Step { func, captured, initial })
    }

    /// The stages of a step from u at t, of a method whose last stage is the end: the end, and h times the slope there. `first` is the
    /// slope of an explicit first stage.
    fn implicit_stages(
        &mut self,
        run: &Run,
        tableau: &Tableau,
        u: &Num,
        first: Option<&Num>,
        t: &Num,
    ) -> Result<(Num, Num)> {
        let h = run.h;
        // h·k_j of each stage: what it adds, over its diagonal coefficient.
        let mut slopes: Vec<Num> = first.into_iter().cloned().collect();
        let mut stage = u.clone();
        for i in slopes.len()..tableau.stages() {
            let refs: Vec<&Num> = std::iter::once(u).chain(&slopes).collect();
            let base = self.tracer.build(&refs, |b, v| {
                (0..i).fold(v[0], |sum, j| {
                    let term = b.scale(v[1 + j], tableau.a(i, j));
                    b.add(sum, term)
                })
            });
            let gamma = tableau.a(i, i);
            let time = self.tracer.build(&[t], |b, v| {
                let shift = b.scalar(tableau.c[i] * h);
                b.add(v[0], shift)
            });
            stage = self.solve_stage(run, &base, &Num::scalar(gamma * h), time)?;
            slopes.push(self.tracer.build(&[&stage, &base], |b, v| {
                let change = b.sub(v[0], v[1]);
                b.scale(change, 1.0 / gamma)
            }));
        }
        let last = slopes.pop().expect("compiler bug: a method without stages");
        Ok((stage, last))
    }

    /// `u⁺ - 4/3 u + 1/3 u⁻ = 2/3 h f(u⁺)`; where u⁻ = u, at the start, an implicit Euler step. [Hairer, Nørsett & Wanner I, §III.1]
    fn bdf2_step(&mut self, run: &Run, start: Num) -> Result<Step> {
        let h = run.h;
        let ty = start.ty().clone();
        let inputs = [ty.clone(), ty, Type::f64([]), Type::f64([])];
        let (func, captured) = self.timed("step", &inputs, 3, |l, inputs| {
            let (u, former, first, t) = (&inputs[0], &inputs[1], &inputs[2], &inputs[3]);
            let base = l.tracer.build(&[u, former, first], |b, v| {
                // 0 at the first step.
                let back = b.scale(v[2], 1.0 / 3.0);
                let change = b.sub(v[0], v[1]);
                let change = b.mul(change, back);
                b.add(v[0], change)
            });
            let gamma = l.tracer.build(&[first], |b, v| {
                let less = b.scale(v[0], -h / 3.0);
                let whole = b.scalar(h);
                b.add(whole, less)
            });
            let time = l.tracer.build(&[t], |b, v| {
                let shift = b.scalar(h);
                b.add(v[0], shift)
            });
            let next = l.solve_stage(run, &base, &gamma, time)?;
            let later = l.tracer.build(&[first], |b, v| b.full_like(v[0], 1.0));
            Ok(vec![next, u.clone(), later])
        })?;
        let initial = vec![start.clone(), start, Num::Const(Tensor::scalar(0.0))];
        Ok(Step { func, captured, initial })
    }

    /// The solution of `(stored(u) - stored(base))/weight + ∇·flux + source = 0` at a time: `[N, c]`.
    fn solve_stage(&mut self, run: &Run, base: &Num, weight: &Num, time: Num) -> Result<Num> {
        let Run { problem, scheme, space, span, .. } = *run;
        self.at_time(time, |l| {
            let mut eqs = l.equations(problem)?;
            if let Some(standing) = eqs.integrals.first() {
                return error_help(
                    "unsupported.library",
                    standing.number.span,
                    "integrals of the unknown inside an equation couple all of its values, which implicit steps do not support yet",
                    "use an explicit method on a grid or on finite volumes, or `spectral`",
                );
            }
            l.settle(&mut eqs, scheme.method.conservative())?;
            let fields = l.unknown_fields(&eqs, base, None, space);
            let of = eqs.problem;
            for equation in &mut eqs.balances {
                let Some(Value::Field(stored)) = equation.residual.stored.take() else { continue };
                let before: Field = l.substitute(&stored, |leaf| match leaf {
                    Leaf::Unknown { problem, index, order } if *problem == of => {
                        Some(Leaf::Discrete { field: fields[*index].clone(), gradient: *order == 1 })
                    }
                    _ => None,
                });
                let change = l.apply(&Op::Sub, &[Value::Field(stored), Value::Field(before)], equation.span)?;
                let rate = l.apply(&Op::Divide, &[change, Value::Num(weight.clone())], equation.span)?;
                let source = match equation.residual.source.take() {
                    Some(s) => l.apply(&Op::Add, &[rate, s], equation.span)?,
                    None => rate,
                };
                equation.residual.source = Some(source);
            }
            let border = l.border(&mut eqs)?;
            let parts = l.balance(&eqs, &border, span)?;
            Ok(l.emit(&eqs, border, parts, scheme, Guess::Values(base.clone()), span)?.nodal)
        })
    }
}
