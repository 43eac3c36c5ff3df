//! Implicit steps of systems of numbers: each stage solves `F(t, y, (y - base)/(γh)) = 0`.

use super::equations::Ordinary;
use super::rates::affine;
use crate::base::Span;
use crate::integrate::bdf::{Equation, ROWS, equation, formula};
use crate::integrate::rosenbrock::rosenbrock_step;
use crate::integrate::symplectic::symplectic_step;
use crate::integrate::{Tableau, tableau};
use crate::ir::{Builder, Compare, Func, Op, SolveSpec, Tensor, Type, Value};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::evolve::Step;
use crate::lower::solve::Integrator;
use crate::lower::value::Num;
use std::sync::Arc;

/// Solves stages of one system.
pub struct Stage {
    /// `(y, base, t, weight, captured…) → F·weight where a row holds rates`
    residual: Arc<Func>,
    spec: Arc<SolveSpec>,
}

impl Stage {
    pub fn of(system: &Ordinary) -> Stage {
        let f = &system.implicit;
        let n = system.n;
        let mut b = Builder::new(system.name.clone());
        let y = b.input(Type::f64([n]));
        let base = b.input(Type::f64([n]));
        let t = b.input(Type::f64([]));
        let weight = b.input(Type::f64([]));
        let captured: Vec<Value> = f.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect();
        let change = b.sub(y, base);
        let rate = b.div(change, weight);
        let args: Vec<Value> = [t, y, rate].into_iter().chain(captured).collect();
        let rows = b.inline(f, &args)[0];
        // Rates grow as steps shrink: their rows are scaled back, so that all rows count alike.
        let rated: Vec<f64> = system.rated.iter().map(|r| f64::from(u8::from(*r))).collect();
        let residual = if rated.iter().all(|r| *r == 1.0) {
            b.mul(rows, weight)
        } else {
            let mask = b.constant(Tensor::f64([n], rated));
            let scaled = b.mul(rows, weight);
            b.select(mask, scaled, rows)
        };
        let residual = b.finish(vec![residual]);
        let spec = SolveSpec {
            name: system.name.clone(),
            linear: affine(&residual),
            newton_tolerance: 1e-12,
            ..SolveSpec::default()
        };
        Stage { residual: Arc::new(residual), spec: Arc::new(spec) }
    }

    /// The same with one unknown more, whose equation says that it is zero: NaN where no solution is found, the others then being where
    /// Newton's method started, so that nothing that is not finite enters a derivative. Newton's method stops earlier: what is left is
    /// far below the error of a step.
    pub fn that_may_fail(system: &Ordinary) -> Stage {
        let of = Stage::of(system);
        let mut b = Builder::new(system.name.clone());
        let n = system.n;
        let y = b.input(Type::f64([n + 1]));
        let rest: Vec<Value> = of.residual.inputs[1..].iter().map(|ty| b.input(ty.clone())).collect();
        let (own, flag) = (b.slice(y, 0, 0, n), b.slice(y, 0, n, n + 1));
        let args: Vec<Value> = std::iter::once(own).chain(rest).collect();
        let rows = b.inline(&of.residual, &args)[0];
        let all = b.concat(&[rows, flag], 0);
        let spec = SolveSpec { may_fail: true, newton_tolerance: 1e-8, newton_iterations: 12, ..(*of.spec).clone() };
        Stage { residual: Arc::new(b.finish(vec![all])), spec: Arc::new(spec) }
    }

    /// The solution of a stage; `first` is where Newton starts.
    pub fn solve(
        &self,
        b: &mut Builder,
        first: Value,
        base: Value,
        (t, weight): (Value, Value),
        captured: &[Value],
    ) -> Value {
        let args: Vec<Value> = [first, base, t, weight].into_iter().chain(captured.iter().copied()).collect();
        b.op(Op::Solve { residual: self.residual.clone(), spec: self.spec.clone() }, &args)
    }
}

impl Lower<'_> {
    pub(super) fn implicit_ordinary(
        &mut self,
        system: &Ordinary,
        integrator: Integrator,
        (start, h): (f64, f64),
        span: Span,
    ) -> Result<Step> {
        let stage = Stage::of(system);
        let mut b = Builder::new("step");
        let state = Type::f64([system.n]);
        let captured = system.captured.clone();
        match integrator {
            Integrator::RungeKutta(tableau) => {
                let u = b.input(state);
                let t = b.input(Type::f64([]));
                let p: Vec<Value> = system.implicit.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect();
                let h = b.scalar(h);
                let first = match (tableau.a(0, 0) == 0.0, &system.rates) {
                    (false, _) => None,
                    (true, None) => return Err(super::no_rates(system, tableau.name, span)),
                    (true, Some(rates)) => {
                        let args: Vec<Value> = [t, u].into_iter().chain(p.iter().copied()).collect();
                        Some(b.inline(rates, &args)[0])
                    }
                };
                let next = diagonally_implicit(&mut b, tableau, &stage, (t, h), (u, first), &p);
                Ok(Step { func: b.finish(vec![next.next]), captured, initial: vec![system.initial.clone()] })
            }
            Integrator::Symplectic(method) => {
                let forces = system.forces.as_ref().ok_or_else(|| super::no_forces(system, method.name, span))?;
                let half = system.n / 2;
                let (u, slope) = (b.input(state), b.input(Type::f64([half])));
                let t = b.input(Type::f64([]));
                let p: Vec<Value> = forces.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
                let h = b.scalar(h);
                let (x, v) = (b.slice(u, 0, 0, half), b.slice(u, 0, half, 2 * half));
                let (x, v, slope) = symplectic_step(&mut b, method, forces, (t, h), (x, v, slope), &p);
                let next = b.concat(&[x, v], 0);
                let func = b.finish(vec![next, slope]);
                let begin = Num::scalar(start);
                let args: Vec<&Num> = [&begin, &system.initial].into_iter().chain(&captured).collect();
                let first = self.tracer.build(&args, |b, v| {
                    let x = b.slice(v[1], 0, 0, half);
                    let args: Vec<Value> = [v[0], x].into_iter().chain(v[2..].iter().copied()).collect();
                    b.inline(forces, &args)[0]
                });
                Ok(Step { func, captured, initial: vec![system.initial.clone(), first] })
            }
            Integrator::Rosenbrock(method) => {
                let Some(rates) = &system.rates else { return Err(super::no_rates(system, method.name, span)) };
                let u = b.input(state);
                let t = b.input(Type::f64([]));
                let p: Vec<Value> = rates.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
                let h = b.scalar(h);
                let step = rosenbrock_step(&mut b, method, rates, (t, h), u, &p);
                Ok(Step { func: b.finish(step.next), captured, initial: vec![system.initial.clone()] })
            }
            Integrator::Exponential { .. } | Integrator::Additive(_) => error_help(
                "run.scheme",
                span,
                "this time scheme treats the linear part of a field mode by mode",
                "use it with `spectral`; here an implicit one such as `sdirk3` or `esdirk4`",
            ),
            Integrator::Bdf { varies: true, .. } => {
                unreachable!("compiler bug: steps that follow the error are taken elsewhere")
            }
            Integrator::Bdf { order, varies: false } => {
                let (func, ones) = equal_steps(system, &stage, order, h);
                let mut initial = vec![system.initial.clone(); ones];
                if order > 1 {
                    initial.push(Num::Const(Tensor::scalar(0.0)));
                }
                Ok(Step { func, captured, initial })
            }
        }
    }
}

/// `(u_n, …, u_{n-k+1}, steps so far, t, captured…) → the same a step later`: backward differences of order k with steps of one length.
///
/// The first k - 1 steps are those of a diagonally implicit method of order k - 1, whose error of a step, of order k, is that of the
/// formula over all steps: one order more would gain nothing. All of them are L-stable.
fn equal_steps(system: &Ordinary, stage: &Stage, order: usize, h: f64) -> (Func, usize) {
    let formula = formula(order);
    let state = Type::f64([system.n]);
    let mut b = Builder::new("step");
    let past: Vec<Value> = (0..order).map(|_| b.input(state.clone())).collect();
    let count = (order > 1).then(|| b.input(Type::f64([])));
    let t = b.input(Type::f64([]));
    let p: Vec<Value> = system.implicit.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect();
    let later = |b: &mut Builder, past: &[Value], t: Value, p: &[Value]| {
        let zero = b.zeros_like(past[0]);
        let base = weighted(b, zero, past, |i| formula.past[i]);
        let guess = weighted(b, zero, past, |i| formula.guess[i]);
        let (weight, whole) = (b.scalar(formula.weight * h), b.scalar(h));
        let time = b.add(t, whole);
        stage.solve(b, guess, base, (time, weight), p)
    };
    let Some(count) = count else {
        let next = later(&mut b, &past, t, &p);
        return (b.finish(vec![next]), 1);
    };
    let branch = |started: bool| {
        let mut b = Builder::new(if started { "differences" } else { "start" });
        let past: Vec<Value> = (0..order).map(|_| b.input(state.clone())).collect();
        let t = b.input(Type::f64([]));
        let p: Vec<Value> = system.implicit.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect();
        let next = match started {
            true => later(&mut b, &past, t, &p),
            false => {
                let h = b.scalar(h);
                diagonally_implicit(&mut b, starter(order), stage, (t, h), (past[0], None), &p).next
            }
        };
        Arc::new(b.finish(vec![next]))
    };
    let enough = b.scalar((order - 1) as f64);
    let started = b.compare(Compare::Le, enough, count);
    let args: Vec<Value> = std::iter::once(started).chain(past.iter().copied()).chain([t]).chain(p).collect();
    let next = b.ops(Op::Cond { then: branch(true), otherwise: branch(false) }, &args)[0];
    let one = b.scalar(1.0);
    let mut out = vec![next];
    out.extend(&past[..order - 1]);
    out.push(b.add(count, one));
    (b.finish(out), order)
}

/// What takes the first steps of backward differences of an order, from 2 on.
pub fn starter(order: usize) -> &'static Tableau {
    let name = ["implicit_euler", "sdirk2", "sdirk3", "sdirk4"][order - 2];
    tableau(name).expect("compiler bug: a method that is known")
}

/// `(t at the end, history [ROWS, n], order, h, captured…) → (guess, next)` of backward differences of varying length and order.
pub fn differences(system: &Ordinary) -> Func {
    let stage = Stage::that_may_fail(system);
    let n = system.n;
    let mut b = Builder::new("differences");
    let t = b.input(Type::f64([]));
    let history = b.input(Type::f64([ROWS, n]));
    let (order, h) = (b.input(Type::f64([])), b.input(Type::f64([])));
    let p: Vec<Value> = system.implicit.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect();
    let Equation { guess, base, weight } = equation(&mut b, history, order, h);
    let zero = b.zeros(&Type::f64([1]));
    let first = b.concat(&[guess, zero], 0);
    let found = stage.solve(&mut b, first, base, (t, weight), &p);
    let (next, flag) = (b.slice(found, 0, 0, n), b.index(found, 0, n));
    // NaN, where there is no solution, is not less than anything.
    let one = b.scalar(1.0);
    let solved = b.compare(Compare::Lt, flag, one);
    let far = b.full_like(next, 1e150);
    let next = b.select(solved, next, far);
    b.finish(vec![guess, next])
}

/// A step; with an embedded method, its error; the slope at the end, where that is the last stage.
pub struct Stepped {
    pub next: Value,
    pub error: Option<Value>,
    pub slope: Option<Value>,
}

/// A step of a diagonally implicit tableau from u. Its first stage may be explicit: it is then the slope that is given.
pub fn diagonally_implicit(
    b: &mut Builder,
    tableau: &Tableau,
    stage: &Stage,
    (t, h): (Value, Value),
    (u, first): (Value, Option<Value>),
    p: &[Value],
) -> Stepped {
    // h·k_i of the stages.
    let mut slopes: Vec<Value> = vec![];
    let mut last = u;
    for i in 0..tableau.stages() {
        let base = weighted(b, u, &slopes, |j| tableau.a(i, j));
        let shift = b.scale(h, tableau.c[i]);
        let time = b.add(t, shift);
        let gamma = tableau.a(i, i);
        if gamma == 0.0 {
            assert_eq!(i, 0, "compiler bug: `{}` has an explicit stage after the first", tableau.name);
            let rate = first.expect("compiler bug: an explicit stage without its slope");
            slopes.push(b.mul(rate, h));
            continue;
        }
        let weight = b.scale(h, gamma);
        last = stage.solve(b, last, base, (time, weight), p);
        let change = b.sub(last, base);
        slopes.push(b.scale(change, 1.0 / gamma));
    }
    let s = tableau.stages() - 1;
    let stiffly_accurate = (0..=s).all(|j| tableau.a(s, j) == tableau.b[j]);
    let next = if stiffly_accurate { last } else { weighted(b, u, &slopes, |j| tableau.b[j]) };
    let error = tableau.embedded.map(|(weights, _)| {
        let zero = b.zeros_like(u);
        weighted(b, zero, &slopes, |j| tableau.b[j] - weights[j])
    });
    let slope = stiffly_accurate.then(|| b.div(slopes[s], h));
    Stepped { next, error, slope }
}

/// `u + Σ_j w_j hk_j`
pub fn weighted(b: &mut Builder, u: Value, slopes: &[Value], weight: impl Fn(usize) -> f64) -> Value {
    slopes.iter().enumerate().filter(|(j, _)| weight(*j) != 0.0).fold(u, |sum, (j, k)| {
        let term = b.scale(*k, weight(j));
        b.add(sum, term)
    })
}
