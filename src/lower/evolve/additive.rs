//! Additive Runge–Kutta steps on grids, volumes and elements: some terms of the equations implicit, the rest explicit.
//! [Ascher, Ruuth & Spiteri 1997; Kennedy & Carpenter 2003]
//!
//! A stage is the steady problem of the implicit terms. On grids and volumes the explicit ones are rates, which enter its base; on
//! elements, where rates would need the mass matrix, they enter it as fields of the stages before.

use super::change::Base;
use super::rates::Terms;
use super::terms::{Implicit, Kind, Part, Parts, gradient_of, multipliers};
use super::{Run, Step};
use crate::base::Span;
use crate::integrate::Additive;
use crate::ir::{Func, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::solve::{Guess, Method};
use crate::lower::system::Equations;
use crate::lower::value::{Field, Leaf, Num, Value};
use crate::sema::hir::Op;

/// What a stage adds to a later one, with the weights of its implicit and of its explicit terms.
struct Earlier<'a> {
    stage: &'a Stage,
    implicit: f64,
    explicit: f64,
}

/// The terms of a stage as known fields.
struct Stage {
    implicit: Vec<Part>,
    explicit: Vec<Part>,
    /// Of each condition on a flux: what is the implicit and what the explicit terms'.
    conditions: Vec<[Option<Field>; 2]>,
}

impl Lower<'_> {
    pub(super) fn additive(&mut self, run: &Run, method: &'static Additive, start: Num) -> Result<Step> {
        let kinds = run.scheme.implicit.unwrap_or_default();
        let start = self.consistent(run, start)?;
        let ty = start.ty().clone();
        let (func, captured) = self.timed("step", &[ty, Type::f64([])], 1, |l, v| {
            let next = match run.scheme.method {
                Method::Elements | Method::Chebyshev => l.additive_on_elements(run, method, kinds, &v[0], &v[1])?,
                Method::Volumes | Method::Grid(_) => l.additive_on_rates(run, method, kinds, &v[0], &v[1])?,
            };
            Ok(vec![next])
        })?;
        Ok(Step { func, captured, initial: vec![start] })
    }

    /// The start with those unknowns without a rate that follow from the others: explicit terms of the first stage read them.
    fn consistent(&mut self, run: &Run, start: Num) -> Result<Num> {
        let time = Num::scalar(run.start);
        let eqs = self.at_time(time.clone(), |l| l.equations(run.problem))?;
        let complete = eqs.balances.iter().all(|e| e.residual.stored.is_some());
        if complete || multipliers(&eqs).contains(&true) {
            return Ok(start);
        }
        let conservative = run.scheme.method != Method::Elements;
        let guess = Guess::Values(start.clone());
        self.solve_amended(run, (&start, Base::State), guess, &Num::scalar(1.0), time, |l, mut eqs| {
            l.settle(&mut eqs, conservative)?;
            // `stored(u) = stored(start)` beside the equations without a rate.
            let moving: Vec<bool> = eqs.balances.iter().map(|e| e.residual.stored.is_some()).collect();
            for e in eqs.balances.iter_mut().filter(|e| e.residual.stored.is_some()) {
                (e.residual.flux, e.residual.source) = (None, None);
            }
            let rows: Vec<bool> =
                eqs.conditions.iter().map(|c| gradient_of(c).is_none_or(|k| !moving[eqs.flux_of(k)])).collect();
            let mut keep = rows.into_iter();
            eqs.conditions.retain(|_| keep.next().unwrap_or(true));
            Ok(eqs)
        })
    }

    /// What of the system is implicit, in words.
    pub(super) fn implicit_words(&mut self, run: &Run) -> Result<String> {
        let kinds = run.scheme.implicit.unwrap_or_default();
        let conservative = run.scheme.method.conservative();
        let eqs = self.at_time(Num::scalar(run.start), |l| l.equations(run.problem))?;
        Ok(self.split_terms(eqs, kinds, conservative, run.span)?.words)
    }

    fn later(&mut self, t: &Num, by: f64) -> Num {
        self.tracer.build(&[t], |b, v| {
            let shift = b.scalar(by);
            b.add(v[0], shift)
        })
    }

    fn additive_on_elements(&mut self, run: &Run, m: &Additive, kinds: Implicit, u: &Num, t: &Num) -> Result<Num> {
        let h = run.h;
        let last = m.implicit.stages() - 1;
        let mut stages: Vec<Stage> = vec![];
        let mut at = u.clone();
        for i in 0..=last {
            let gamma = m.implicit.a(i, i);
            let time = self.later(t, m.implicit.c[i] * h);
            if gamma != 0.0 {
                let earlier = |j: usize| Earlier {
                    stage: &stages[j],
                    implicit: m.implicit.a(i, j) / gamma,
                    explicit: m.explicit.a(i, j) / gamma,
                };
                let earlier: Vec<Earlier> = (0..i).map(earlier).collect();
                at = self.solve_amended(
                    run,
                    (u, Base::State),
                    Guess::Values(u.clone()),
                    &Num::scalar(gamma * h),
                    time.clone(),
                    |l, eqs| {
                        let parts = l.split_terms(eqs, kinds, false, run.span)?;
                        l.with_earlier(parts.implicit, &earlier)
                    },
                )?;
            }
            stages.push(self.at_time(time, |l| l.known_terms(run, kinds, &at))?);
        }
        let rest: Vec<f64> = (0..=last).map(|j| m.explicit.b[j] - m.explicit.a(last, j)).collect();
        if rest.iter().all(|w| *w == 0.0) {
            return Ok(at);
        }
        // The implicit terms are complete; what is left of the explicit ones takes a solve with the mass matrix.
        let earlier: Vec<Earlier> =
            stages.iter().zip(&rest).map(|(stage, &explicit)| Earlier { stage, implicit: 0.0, explicit }).collect();
        let time = self.later(t, h);
        self.solve_amended(run, (&at, Base::State), Guess::Values(at.clone()), &Num::scalar(h), time, |l, eqs| {
            let Parts { implicit: mut eqs, of_conditions, .. } = l.split_terms(eqs, kinds, false, run.span)?;
            if let Some(e) = eqs.balances.iter().find(|e| e.residual.stored.is_none()) {
                return error_help(
                    "run.scheme",
                    e.span,
                    format!("`{}` does not keep equations without a rate at the end of a step", m.name),
                    "use `ars222` or `ars443`, whose last stage is the end of the step",
                );
            }
            for e in &mut eqs.balances {
                let r = &mut e.residual;
                (r.flux, r.source, r.transport, r.carried) = (None, None, None, None);
            }
            for (c, explicit) in eqs.conditions.iter_mut().zip(of_conditions) {
                c.through = explicit.through;
            }
            l.with_earlier(eqs, &earlier)
        })
    }

    fn additive_on_rates(&mut self, run: &Run, m: &Additive, kinds: Implicit, u: &Num, t: &Num) -> Result<Num> {
        let h = run.h;
        let upwind = run.scheme.reconstruct.is_some() || run.scheme.riemann.is_some();
        if upwind && kinds.holds(Kind::Transport) {
            return error_help(
                "run.scheme",
                run.span,
                "reconstruction and Riemann solvers serve explicit terms, and transport is to be implicit",
                "leave out \"transport\" in `implicit`, or `reconstruct` and `riemann`",
            );
        }
        let (nodes, c) = (u.shape()[0], u.shape()[1]);
        let shape = [&[c], &run.space.mesh.cells[..]].concat();
        let last = m.implicit.stages() - 1;
        let explicit = self.rates_of(run, &shape, Terms::Explicit(kinds))?;
        // A first stage that is explicit has implicit rates, too.
        let begins = (1..=last).any(|i| m.implicit.a(i, 0) != 0.0 && m.implicit.a(0, 0) == 0.0);
        let implicit = begins.then(|| self.rates_of(run, &shape, Terms::Implicit(kinds))).transpose()?;
        let of = |l: &mut Self, (func, captured): &(Func, Vec<Num>), time: &Num, state: &Num| {
            let args: Vec<&Num> = [time, state].into_iter().chain(captured).collect();
            l.tracer.build(&args, |b, v| {
                let rows = b.transpose(v[1], &[1, 0]);
                let by_component = b.reshape(rows, &shape);
                let rate = b.inline(func, &[&[v[0], by_component], &v[2..]].concat())[0];
                let flat = b.reshape(rate, &[c, nodes]);
                b.transpose(flat, &[1, 0])
            })
        };
        // Rates of each stage: implicit and explicit.
        let mut found: Vec<[Num; 2]> = vec![];
        let mut at = u.clone();
        for i in 0..=last {
            let gamma = m.implicit.a(i, i);
            let time = self.later(t, m.implicit.c[i] * h);
            let slope = if gamma == 0.0 {
                match &implicit {
                    Some(rates) => of(self, rates, &time, &at),
                    None => Num::Const(Tensor::zeros(u.ty())),
                }
            } else {
                let weights: Vec<[f64; 2]> = (0..i).map(|j| [m.implicit.a(i, j), m.explicit.a(i, j)]).collect();
                let base = self.combined(u, &found, &weights, h);
                at = self.solve_amended(
                    run,
                    (&base, Base::Combined),
                    Guess::Values(base.clone()),
                    &Num::scalar(gamma * h),
                    time.clone(),
                    |l, eqs| Ok(l.split_terms(eqs, kinds, true, run.span)?.implicit),
                )?;
                self.tracer.build(&[&at, &base], |b, v| {
                    let change = b.sub(v[0], v[1]);
                    b.scale(change, 1.0 / (gamma * h))
                })
            };
            let force = of(self, &explicit, &time, &at);
            found.push([slope, force]);
        }
        let rest: Vec<[f64; 2]> = (0..=last).map(|j| [0.0, m.explicit.b[j] - m.explicit.a(last, j)]).collect();
        Ok(self.combined(&at, &found, &rest, h))
    }

    /// `u + h Σ weights · rates`
    fn combined(&mut self, u: &Num, rates: &[[Num; 2]], weights: &[[f64; 2]], h: f64) -> Num {
        let mut args = vec![u];
        let mut factors = vec![];
        for (rates, weights) in rates.iter().zip(weights) {
            for (rate, weight) in rates.iter().zip(weights).filter(|(_, w)| **w != 0.0) {
                args.push(rate);
                factors.push(h * weight);
            }
        }
        self.tracer.build(&args, |b, v| {
            factors.iter().zip(&v[1..]).fold(v[0], |sum, (factor, rate)| {
                let term = b.scale(*rate, *factor);
                b.add(sum, term)
            })
        })
    }

    /// The terms at a state, as known fields.
    fn known_terms(&mut self, run: &Run, kinds: Implicit, at: &Num) -> Result<Stage> {
        let eqs = self.equations(run.problem)?;
        let fields = self.unknown_fields(&eqs, at, None, run.space);
        let of = eqs.problem;
        let Parts { implicit, explicit, of_conditions, .. } = self.split_terms(eqs, kinds, false, run.span)?;
        let known = |f: &Field| {
            self.substitute(f, |leaf| match leaf {
                Leaf::Unknown { problem, index, order } if *problem == of => {
                    Some(Leaf::Discrete { field: fields[*index].clone(), gradient: *order == 1 })
                }
                _ => None,
            })
        };
        let value = |v: &Option<Value>| match v {
            Some(Value::Field(f)) => Some(Value::Field(known(f))),
            other => other.clone(),
        };
        let part = |flux: &Option<Value>, source: &Option<Value>, carried: &Option<Value>| Part {
            flux: value(flux),
            source: value(source),
            carried: value(carried),
        };
        let ours = implicit.balances.iter().map(|e| part(&e.residual.flux, &e.residual.source, &e.residual.carried));
        let conditions = implicit.conditions.iter().zip(&of_conditions).map(|(c, theirs)| {
            let ours = gradient_of(c).is_some().then(|| known(&c.condition));
            [ours, theirs.flux.as_ref().map(&known)]
        });
        Ok(Stage {
            implicit: ours.collect(),
            explicit: explicit.iter().map(|p| part(&p.flux, &p.source, &p.carried)).collect(),
            conditions: conditions.collect(),
        })
    }

    /// Weighted terms of former stages beside those of the equations that have a rate.
    fn with_earlier(&mut self, mut eqs: Equations, earlier: &[Earlier]) -> Result<Equations> {
        for k in 0..eqs.balances.len() {
            let span = eqs.balances[k].span;
            if eqs.balances[k].residual.stored.is_none() {
                continue;
            }
            for e in earlier {
                for (terms, weight) in [(&e.stage.implicit[k], e.implicit), (&e.stage.explicit[k], e.explicit)] {
                    let r = &mut eqs.balances[k].residual;
                    r.flux = self.plus(r.flux.take(), &terms.flux, weight, span)?;
                    r.source = self.plus(r.source.take(), &terms.source, weight, span)?;
                    r.carried = self.plus(r.carried.take(), &terms.carried, weight, span)?;
                }
            }
        }
        for k in 0..eqs.conditions.len() {
            if gradient_of(&eqs.conditions[k]).is_none() {
                continue;
            }
            for e in earlier {
                let [ours, theirs] = &e.stage.conditions[k];
                for (f, weight) in [(ours, e.implicit), (theirs, e.explicit)] {
                    let Some(f) = f else { continue };
                    let span = eqs.conditions[k].span;
                    let before = Some(Value::Field(eqs.conditions[k].condition.clone()));
                    if let Some(Value::Field(sum)) = self.plus(before, &Some(Value::Field(f.clone())), weight, span)? {
                        eqs.conditions[k].condition = sum;
                    }
                }
            }
        }
        Ok(eqs)
    }

    fn plus(&mut self, sum: Option<Value>, term: &Option<Value>, weight: f64, span: Span) -> Result<Option<Value>> {
        let Some(term) = term.as_ref().filter(|_| weight != 0.0) else { return Ok(sum) };
        let term = self.apply(&Op::Mul, &[Value::num(weight), term.clone()], span)?;
        Ok(Some(match sum {
            Some(sum) => self.apply(&Op::Add, &[sum, term], span)?,
            None => term,
        }))
    }
}
