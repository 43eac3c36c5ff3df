//! Implicit steps: each stage is a steady problem around a known base.

use super::change::Base;
use super::ordinary::{same, starter};
use super::{Run, Step};
use crate::base::Span;
use crate::integrate::bdf::{Equation, ROWS, equation, formula};
use crate::integrate::{Tableau, tableau};
use crate::ir::{Builder, Compare, Func, Op as Operation, Reduce, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::solve::{Guess, Integrator};
use crate::lower::system::Equations;
use crate::lower::value::{Num, Value};
use crate::sema::hir::Op;
use std::sync::Arc;

impl Lower<'_> {
    pub(super) fn implicit_step(&mut self, run: &Run, integrator: Integrator, start: Num) -> Result<Step> {
        let ty = start.ty().clone();
        let tableau = match integrator {
            Integrator::Rosenbrock(_) | Integrator::Symplectic(_) => unreachable!("compiler bug: refused before"),
            Integrator::Bdf { order, .. } => return self.equal_differences(run, order, start),
            Integrator::RungeKutta(t) => t,
            Integrator::Additive(m) => return self.additive(run, m, start),
            Integrator::Exponential { .. } => return by_modes(run.span),
        };
        check_stages(tableau, run.span)?;
        if tableau.a(0, 0) == 0.0 {
            return self.explicit_first(run, tableau, start);
        }
        let (func, captured) = self.timed("step", &[ty, Type::f64([])], 1, |l, inputs| {
            let h = Num::scalar(run.h);
            Ok(vec![l.implicit_stages(run, tableau, &inputs[0], Given::Nothing, (&inputs[1], &h), Guess::Values)?.next])
        })?;
        Ok(Step { func, captured, initial: vec![start] })
    }

    /// Steps whose first stage is explicit: its slope is that at the end of the step before, so that no mass matrix is asked for. A method
    /// without such a stage, of an order less at most, takes the first step.
    fn explicit_first(&mut self, run: &Run, tableau: &Tableau, start: Num) -> Result<Step> {
        let starter = named(if tableau.order <= 2 { "sdirk2" } else { "sdirk3" });
        let ty = start.ty().clone();
        let inputs = [ty.clone(), ty.clone(), Type::f64([])];
        let mut body = |method: &Tableau, given: bool| {
            self.timed("step", &inputs, 2, |l, v| {
                let h = Num::scalar(run.h);
                let out =
                    l.implicit_stages(run, method, &v[0], Given::slopes(given, &v[1]), (&v[2], &h), Guess::Values)?;
                Ok(vec![out.next, out.slope])
            })
        };
        let bodies = [body(tableau, true)?, body(starter, false)?];
        let ([then, otherwise], captured) = with_same_arguments(bodies, &inputs);
        let mut b = Builder::new("step");
        let (u, slope, begun) = (b.input(ty.clone()), b.input(ty.clone()), b.input(Type::f64([])));
        let t = b.input(Type::f64([]));
        let p: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
        let args: Vec<_> = [begun, u, slope, t].into_iter().chain(p).collect();
        let mut out = b.ops(Operation::Cond { then, otherwise }, &args);
        out.push(b.scalar(1.0));
        let func = b.finish(out);
        let initial = vec![start, Num::Const(Tensor::zeros(&ty)), Num::Const(Tensor::scalar(0.0))];
        Ok(Step { func, captured, initial })
    }

    /// Steps of any length whose error is estimated: `(t, h, u, slope, begun, captured…) → (next, slope, begun, error)`. As there, a
    /// method without an explicit stage takes the first step.
    pub(super) fn implicit_trial(&mut self, run: &Run, tableau: &Tableau, ty: &Type) -> Result<(Func, Vec<Num>)> {
        check_stages(tableau, run.span)?;
        let inputs = [Type::f64([]), Type::f64([]), ty.clone(), ty.clone()];
        let mut body = |method: &Tableau, given: bool| {
            self.timed("trial", &inputs, 0, |l, v| {
                let out =
                    l.implicit_stages(run, method, &v[2], Given::slopes(given, &v[3]), (&v[0], &v[1]), Guess::Try)?;
                let rate = l.tracer.build(&[&out.slope, &v[1]], |b, v| b.div(v[0], v[1]));
                let Some(error) = out.error else {
                    return error_help(
                        "run.scheme",
                        run.span,
                        format!("`{}` does not estimate its error, so that no tolerance can be held", method.name),
                        "use `esdirk4(tol=…)`, `sdirk4(tol=…)` or `bdf(tol=…)`, or give a step",
                    );
                };
                Ok(vec![out.next, rate, error])
            })
        };
        let explicit = tableau.a(0, 0) == 0.0;
        let bodies = match explicit {
            true => vec![body(tableau, true)?, body(named("sdirk4"), false)?],
            false => vec![body(tableau, false)?],
        };
        let mut b = Builder::new("trial");
        let args: Vec<_> = inputs.iter().map(|t| b.input(t.clone())).collect();
        let begun = b.input(Type::f64([]));
        // Slopes are per time, `h k` of the stages.
        let slope = b.mul(args[3], args[1]);
        let args = [args[0], args[1], args[2], slope];
        let (out, captured) = match <[_; 2]>::try_from(bodies) {
            Ok(bodies) => {
                let ([then, otherwise], captured) = with_same_arguments(bodies, &inputs);
                let p: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
                let args: Vec<_> = std::iter::once(begun).chain(args).chain(p).collect();
                (b.ops(Operation::Cond { then, otherwise }, &args), captured)
            }
            Err(mut single) => {
                let (func, captured) = single.pop().expect("compiler bug: a trial without a body");
                let p: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
                let args: Vec<_> = args.into_iter().chain(p).collect();
                (b.inline(&func, &args), captured)
            }
        };
        let one = b.scalar(1.0);
        Ok((b.finish(vec![out[0], out[1], one, out[2]]), captured))
    }

    /// The stages of a step of length h from u at t, of a method whose last stage is the end. `guess`: whether a stage that is not
    /// solved ends the run, or makes the step no number.
    fn implicit_stages(
        &mut self,
        run: &Run,
        tableau: &Tableau,
        u: &Num,
        given: Given,
        (t, h): (&Num, &Num),
        guess: fn(Num) -> Guess,
    ) -> Result<Stages> {
        // h·k_j of each stage: what it adds, over its diagonal coefficient.
        let mut slopes: Vec<Num> = if let Given::First(slope) = given { vec![slope.clone()] } else { vec![] };
        let mut stage = u.clone();
        // u and the stages so far, and the weights of these in the base of each: b = u + Σ a (s - b)/γ.
        let mut states = vec![u.clone()];
        let mut weights: Vec<Vec<f64>> = vec![];
        for i in slopes.len()..tableau.stages() {
            let refs: Vec<&Num> = std::iter::once(u).chain(&slopes).collect();
            let base = self.tracer.build(&refs, |b, v| {
                (0..i).fold(v[0], |sum, j| {
                    let term = b.scale(v[1 + j], tableau.a(i, j));
                    b.add(sum, term)
                })
            });
            let gamma = tableau.a(i, i);
            let time = self.tracer.build(&[t, h], |b, v| {
                let shift = b.scale(v[1], tableau.c[i]);
                b.add(v[0], shift)
            });
            let weight = self.tracer.build(&[h], |b, v| b.scale(v[0], gamma));
            let mut own = vec![0.0; i + 1];
            own[0] = 1.0;
            for (j, theirs) in weights.iter().enumerate() {
                let factor = tableau.a(i, j) / tableau.a(j, j);
                own[j + 1] += factor;
                theirs.iter().zip(&mut own).for_each(|(w, own)| *own -= factor * w);
            }
            let known: Vec<(f64, Num)> = own.iter().copied().zip(states.iter().cloned()).collect();
            let kind = match (given, i) {
                (Given::Nothing, 0) => Base::State,
                (Given::Nothing, _) => Base::States(&known),
                _ => Base::Combined,
            };
            stage = self.solve_stage(run, (&base, kind), guess(base.clone()), &weight, time)?;
            weights.push(own);
            states.push(stage.clone());
            slopes.push(self.tracer.build(&[&stage, &base], |b, v| {
                let change = b.sub(v[0], v[1]);
                b.scale(change, 1.0 / gamma)
            }));
        }
        let error = tableau.embedded.map(|(weights, _)| {
            let refs: Vec<&Num> = slopes.iter().collect();
            self.tracer.build(&refs, |b, v| {
                let zero = b.zeros_like(v[0]);
                (0..v.len()).fold(zero, |sum, j| {
                    let term = b.scale(v[j], tableau.b[j] - weights[j]);
                    b.add(sum, term)
                })
            })
        });
        let slope = slopes.pop().expect("compiler bug: a method without stages");
        Ok(Stages { next: stage, slope, error })
    }

    /// Backward differences of order k with steps of one length. The first k - 1 steps are those of a diagonally implicit method of order
    /// k - 1, whose error of a step, of order k, is that of the formula over all steps.
    fn equal_differences(&mut self, run: &Run, order: usize, start: Num) -> Result<Step> {
        let h = run.h;
        let formula = formula(order);
        let ty = start.ty().clone();
        let mut inputs = vec![ty; order];
        inputs.push(Type::f64([]));
        let differences = self.timed("step", &inputs, order, |l, v| {
            let past: Vec<&Num> = v[..order].iter().collect();
            let both = l.tracer.build_all(&past, |b, v| {
                [&formula.past, &formula.guess]
                    .map(|weights| {
                        let first = b.scale(v[0], weights[0]);
                        (1..order).fold(first, |sum, i| {
                            let term = b.scale(v[i], weights[i]);
                            b.add(sum, term)
                        })
                    })
                    .to_vec()
            });
            let time = l.tracer.build(&[&v[order]], |b, v| {
                let shift = b.scalar(h);
                b.add(v[0], shift)
            });
            let weight = Num::scalar(formula.weight * h);
            let states: Vec<(f64, Num)> = formula.past.iter().copied().zip(past.into_iter().cloned()).collect();
            let kind = if order == 1 { Base::State } else { Base::States(&states) };
            Ok(vec![l.solve_stage(run, (&both[0], kind), Guess::Values(both[1].clone()), &weight, time)?])
        })?;
        if order == 1 {
            return Ok(Step { func: differences.0, captured: differences.1, initial: vec![start] });
        }
        let starter = starter(order);
        let first = self.timed("start", &inputs, order, |l, v| {
            let h = Num::scalar(h);
            Ok(vec![l.implicit_stages(run, starter, &v[0], Given::Nothing, (&v[order], &h), Guess::Values)?.next])
        })?;
        let ([then, otherwise], captured) = with_same_arguments([differences, first], &inputs);
        let mut b = Builder::new("step");
        let past: Vec<_> = inputs[..order].iter().map(|t| b.input(t.clone())).collect();
        let (count, t) = (b.input(Type::f64([])), b.input(Type::f64([])));
        let p: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
        let enough = b.scalar((order - 1) as f64);
        let started = b.compare(Compare::Le, enough, count);
        let args: Vec<_> = std::iter::once(started).chain(past.iter().copied()).chain([t]).chain(p).collect();
        let mut out = b.ops(Operation::Cond { then, otherwise }, &args);
        out.extend(&past[..order - 1]);
        let one = b.scalar(1.0);
        out.push(b.add(count, one));
        let mut initial = vec![start; order];
        initial.push(Num::Const(Tensor::scalar(0.0)));
        Ok(Step { func: b.finish(out), captured, initial })
    }

    /// `(t at the end, history [ROWS, n], order, h, captured…) → (guess, next)` of backward differences of varying length and order; n are
    /// the entries of the state.
    pub(super) fn varying_differences(&mut self, run: &Run, ty: &Type) -> Result<(Func, Vec<Num>)> {
        let n = ty.len();
        let inputs = [Type::f64([]), Type::f64([ROWS, n]), Type::f64([]), Type::f64([])];
        self.timed("differences", &inputs, 0, |l, v| {
            let refs: Vec<&Num> = v[1..].iter().collect();
            let made = l.tracer.build_all(&refs, |b, v| {
                let Equation { guess, base, weight } = equation(b, v[0], v[1], v[2]);
                vec![b.reshape(guess, &ty.shape), b.reshape(base, &ty.shape), weight]
            });
            let next =
                l.solve_stage(run, (&made[1], Base::Combined), Guess::Try(made[0].clone()), &made[2], v[0].clone())?;
            let flat = |l: &mut Self, n: &Num| {
                l.tracer.build(&[n], |b, v| {
                    let all = b.ty(v[0]).len();
                    b.reshape(v[0], &[all])
                })
            };
            let (guess, next) = (flat(l, &made[0]), flat(l, &next));
            // Without a solution far away: what is not finite would enter derivatives, of which a rejected try has none.
            let next = l.tracer.build(&[&next], |b, v| {
                let numbers = b.compare(Compare::Eq, v[0], v[0]);
                let solved = b.reduce(Reduce::Min, numbers, &[0]);
                let far = b.full_like(v[0], 1e150);
                b.select(solved, v[0], far)
            });
            Ok(vec![guess, next])
        })
    }

    /// The solution of `(stored(u) - stored(base))/weight + ∇·flux + source = 0` at a time: `[N, c]`.
    fn solve_stage(&mut self, run: &Run, base: (&Num, Base), guess: Guess, weight: &Num, time: Num) -> Result<Num> {
        let conservative = run.scheme.method.conservative();
        self.solve_amended(run, base, guess, weight, time, |l, mut eqs| {
            l.settle(&mut eqs, conservative)?;
            Ok(eqs)
        })
    }

    /// The same of equations that are amended.
    pub(super) fn solve_amended(
        &mut self,
        run: &Run,
        (base, kind): (&Num, Base),
        guess: Guess,
        weight: &Num,
        time: Num,
        amend: impl FnOnce(&mut Self, Equations) -> Result<Equations>,
    ) -> Result<Num> {
        let Run { problem, scheme, space, span, .. } = *run;
        self.at_time(time, |l| {
            let eqs = l.equations(problem)?;
            if let Some(standing) = eqs.integrals.first() {
                return error_help(
                    "unsupported.library",
                    standing.number.span,
                    "integrals of the unknown inside an equation couple all of its values, which implicit steps do not support yet",
                    "use an explicit method on a grid or on finite volumes, or `spectral`",
                );
            }
            l.no_convolutions(&eqs)?;
            let mut eqs = amend(l, eqs)?;
            let of = eqs.problem;
            for k in 0..eqs.balances.len() {
                let Some(Value::Field(stored)) = eqs.balances[k].residual.stored.take() else { continue };
                let fields = |l: &mut Self, state: &Num| l.unknown_fields(&eqs, state, None, space);
                let span = eqs.balances[k].span;
                let change = l.change_of(&stored, of, &fields, (base, kind), span)?;
                let rate = l.apply(&Op::Divide, &[change, Value::Num(weight.clone())], span)?;
                let residual = &mut eqs.balances[k].residual;
                residual.source = Some(match residual.source.take() {
                    Some(s) => l.apply(&Op::Add, &[rate, s], span)?,
                    None => rate,
                });
            }
            let border = l.border(&mut eqs)?;
            let parts = l.balance(&eqs, &border, span)?;
            Ok(l.emit(&eqs, border, parts, scheme, guess, span)?.nodal)
        })
    }
}

/// What stages have to do with slopes `h ∂u/∂t` besides their own.
#[derive(Clone, Copy)]
enum Given<'a> {
    /// Nothing: the end of the step alone is asked for.
    Nothing,
    /// The slope at the end is asked for, or an error.
    Asked,
    /// The same, and this is the slope of an explicit first stage.
    First(&'a Num),
}

impl Given<'_> {
    fn slopes(first: bool, slope: &Num) -> Given<'_> {
        if first { Given::First(slope) } else { Given::Asked }
    }
}

/// The end of a step, h times the slope there, and with an embedded method the error.
struct Stages {
    next: Num,
    slope: Num,
    error: Option<Num>,
}

fn named(name: &str) -> &'static Tableau {
    tableau(name).expect("compiler bug: a method that is known")
}

/// Refuses methods whose last stage is not the end of the step, or that are explicit after the first.
fn check_stages(tableau: &Tableau, span: Span) -> Result<()> {
    let last = tableau.stages() - 1;
    let stiffly_accurate = (0..=last).all(|j| tableau.a(last, j) == tableau.b[j]);
    let implicit = (1..=last).all(|i| tableau.a(i, i) != 0.0);
    if stiffly_accurate && implicit {
        return Ok(());
    }
    error_help(
        "unsupported.library",
        span,
        format!("`{}` is not supported yet: its last stage is not the end of the step", tableau.name),
        "use `implicit_euler`, `bdf`, `sdirk2`, `sdirk3` or `esdirk4`",
    )
}

/// The refusal of methods for spectra.
fn by_modes<T>(span: Span) -> Result<T> {
    error_help(
        "run.scheme",
        span,
        "this time scheme treats the linear part of a system mode by mode",
        "use it with `spectral`, or an implicit one such as `bdf2` or `sdirk3`",
    )
}

/// Functions of the same inputs with what both captured.
fn with_same_arguments(bodies: [(Func, Vec<Num>); 2], inputs: &[Type]) -> ([Arc<Func>; 2], Vec<Num>) {
    let mut captured: Vec<Num> = vec![];
    for n in bodies.iter().flat_map(|b| &b.1) {
        if !captured.iter().any(|c| same(c, n)) {
            captured.push(n.clone());
        }
    }
    let widened = bodies.map(|(func, own)| {
        let mut b = Builder::new(func.name.clone());
        let mut args: Vec<_> = inputs.iter().map(|t| b.input(t.clone())).collect();
        let p: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
        let place = |n: &Num| captured.iter().position(|c| same(c, n)).expect("compiler bug: a number got lost");
        args.extend(own.iter().map(|n| p[place(n)]));
        let out = b.inline(&func, &args);
        Arc::new(b.finish(out))
    });
    (widened, captured)
}
