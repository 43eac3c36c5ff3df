//! Implicit steps of systems of numbers: each stage solves `F(t, y, (y - base)/(γh)) = 0`.

use super::equations::Ordinary;
use super::rates::affine;
use crate::base::Span;
use crate::integrate::Tableau;
use crate::integrate::rosenbrock::rosenbrock_step;
use crate::integrate::symplectic::symplectic_step;
use crate::ir::{Builder, Func, Op, SolveSpec, Tensor, Type, Value};
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
                let Some(next) = diagonally_implicit(&mut b, tableau, system, &stage, (t, h), u, &p) else {
                    return Err(super::no_rates(system, tableau.name, span));
                };
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
            Integrator::Bdf2 => {
                let (u, former) = (b.input(state.clone()), b.input(state));
                let (first, t) = (b.input(Type::f64([])), b.input(Type::f64([])));
                let p: Vec<Value> = system.implicit.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect();
                // `first` is 0 at the first step, an implicit Euler step.
                let back = b.scale(first, 1.0 / 3.0);
                let change = b.sub(u, former);
                let change = b.mul(change, back);
                let base = b.add(u, change);
                let (less, whole) = (b.scale(first, -h / 3.0), b.scalar(h));
                let weight = b.add(whole, less);
                let time = b.add(t, whole);
                let next = stage.solve(&mut b, u, base, (time, weight), &p);
                let later = b.full_like(first, 1.0);
                let func = b.finish(vec![next, u, later]);
                let start = system.initial.clone();
                Ok(Step { func, captured, initial: vec![start.clone(), start, Num::Const(Tensor::scalar(0.0))] })
            }
        }
    }
}

/// A step and, with an embedded method, its error.
pub struct Stepped {
    pub next: Value,
    pub error: Option<Value>,
}

/// A step of a diagonally implicit tableau, whose first stage may be explicit; none if that needs rates that the system has not.
pub fn diagonally_implicit(
    b: &mut Builder,
    tableau: &Tableau,
    system: &Ordinary,
    stage: &Stage,
    (t, h): (Value, Value),
    u: Value,
    p: &[Value],
) -> Option<Stepped> {
    // h·k_i of the stages.
    let mut slopes: Vec<Value> = vec![];
    let mut last = u;
    for i in 0..tableau.stages() {
        let base = weighted(b, u, &slopes, |j| tableau.a(i, j));
        let shift = b.scale(h, tableau.c[i]);
        let time = b.add(t, shift);
        let gamma = tableau.a(i, i);
        if gamma == 0.0 {
            let args: Vec<Value> = [time, base].into_iter().chain(p.iter().copied()).collect();
            let rate = b.inline(system.rates.as_ref()?, &args)[0];
            slopes.push(b.mul(rate, h));
            last = base;
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
    Some(Stepped { next, error })
}

/// `u + Σ_j w_j hk_j`
pub fn weighted(b: &mut Builder, u: Value, slopes: &[Value], weight: impl Fn(usize) -> f64) -> Value {
    slopes.iter().enumerate().filter(|(j, _)| weight(*j) != 0.0).fold(u, |sum, (j, k)| {
        let term = b.scale(*k, weight(j));
        b.add(sum, term)
    })
}
