//! What is looked at while a run goes: the claims of its system at a state, and where its unknowns lie when the state is of another kind.

use super::arrangement::Arrangement;
use super::driver::{TIME, Tries};
use super::samples::Whole;
use super::{Run, Step};
use crate::discretize::Space;
use crate::ir::{Builder, Func, Op, Tensor, Type};
use crate::lower::Lower;
use crate::lower::claims::{Claim, Kind};
use crate::lower::error::Result;
use crate::lower::system::Equations;
use crate::lower::value::{Discrete, Field, Leaf, Num, Value};
use crate::sema::hir::Op as Operator;
use std::rc::Rc;

/// A function of a state that is computed now and then, outside the run itself.
#[derive(Clone)]
pub struct Look {
    /// `(states…, t, captured…) → …`
    pub func: Func,
    pub captured: Vec<Tensor>,
}

/// The claims of a run.
#[derive(Clone)]
pub struct Watched {
    /// Gives an array for each claim: by how much it holds, at every point or at once; or the number that is to be conserved.
    pub look: Look,
    pub claims: Vec<Held>,
}

#[derive(Clone)]
pub struct Held {
    pub name: String,
    /// As written.
    pub text: String,
    pub rule: Rule,
    /// Which of what the look gives.
    pub output: usize,
}

#[derive(Clone, Copy)]
pub enum Rule {
    /// Never negative, or never even zero; so many numbers belong to a point, none where it is not of points.
    Margin { strict: bool, width: Option<usize> },
    /// As at the start, but for a part of its size there.
    Conserved { tolerance: f64, start: Start },
}

/// A conserved number at the start of a run.
#[derive(Clone, Copy)]
pub enum Start {
    /// The number, and by how much it may change.
    Known { value: f64, allowed: f64 },
    /// Known once the run begins, which is a part of something else: the look gives the number and, after it, its size.
    Found,
}

/// Of a comparison that allows equality, what rounding may have done, as a part of the largest margin.
const ROUNDING: f64 = 1e-12;

impl Held {
    /// A conserved number at the start and by how much it may change, from what the look gives there.
    pub fn conserved(&self, at_start: Option<&[Vec<f64>]>) -> Option<(f64, f64)> {
        match (self.rule, at_start) {
            (Rule::Conserved { start: Start::Known { value, allowed }, .. }, _) => Some((value, allowed)),
            (Rule::Conserved { tolerance, .. }, Some(values)) => {
                Some((*values[self.output].first()?, tolerance * values[self.output + 1].first()?))
            }
            _ => None,
        }
    }

    /// Where it does not hold, and the value there, of what the look gives for it; of a conserved number with what
    /// [`Held::conserved`] gives.
    pub fn broken(&self, values: &[f64], conserved: Option<(f64, f64)>) -> Option<(usize, f64)> {
        match self.rule {
            Rule::Conserved { .. } => {
                let (start, allowed) = conserved?;
                values.first().filter(|x| x.is_nan() || (**x - start).abs() > allowed).map(|x| (0, *x))
            }
            Rule::Margin { strict, .. } => {
                // Without branches first: nearly always all is well.
                let (least, most) =
                    values.iter().fold((f64::INFINITY, 0.0), |(l, m): (f64, f64), x| (l.min(*x), m.max(x.abs())));
                let holds =
                    if strict { least > 0.0 } else { values.len() > 1 && least >= -ROUNDING * most || least >= 0.0 };
                if holds {
                    return None;
                }
                values.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map(|(k, x)| (k, *x))
            }
        }
    }
}

impl Lower<'_> {
    /// The claims of a system over the states of a method. None where it makes none, or where the run is a part of something that is
    /// computed later, and they read what varies there.
    pub(super) fn watched(
        &mut self,
        run: &Run,
        step: &Step,
        (whole, by_component): (&Whole, bool),
    ) -> Result<Option<Watched>> {
        if !self.has_claims(run.problem.def) {
            return Ok(None);
        }
        let mut types: Vec<Type> = step.initial.iter().map(|s| s.ty().clone()).collect();
        let t = types.len();
        types.push(Type::f64([]));
        let mut claims = vec![];
        let (func, captured) = self.timed("ensure", &types, t, |l, inputs| {
            let (eqs, found) = l.with_claims(|l| l.equations(run.problem))?;
            claims = found;
            let fields = l.unknowns_of(run, &eqs, inputs, whole, by_component);
            let mut out = vec![];
            for claim in &claims {
                out.extend(l.looked_at(claim, &eqs, &fields, run.space)?);
            }
            Ok(out)
        })?;
        self.watched_from(claims, func, captured, &step.initial, run.start)
    }

    /// The same from a function of the states that gives for each claim its margin, or its number and its size.
    pub(super) fn watched_from(
        &mut self,
        claims: Vec<Claim>,
        func: Func,
        captured: Vec<Num>,
        initial: &[Num],
        start: f64,
    ) -> Result<Option<Watched>> {
        let now = self.tracer.known_now();
        if !now {
            let Some(captured) = self.fixed(&func, &captured)? else { return Ok(None) };
            let mut output = 0;
            let claims = claims.iter().map(|c| {
                let first = output;
                output += if let Kind::Conserved { .. } = c.kind { 2 } else { 1 };
                held(c, &func, first, None)
            });
            return Ok(Some(Watched { claims: claims.collect(), look: Look { func, captured } }));
        }
        let t = Num::scalar(start);
        let args: Vec<&Num> = initial.iter().chain([&t]).chain(&captured).collect();
        let at_start = self.tracer.build_all(&args, |b, v| b.inline(&func, v));
        let mut places = vec![];
        let mut wanted = vec![];
        let mut at = 0;
        for c in &claims {
            places.push(at);
            if let Kind::Conserved { .. } = c.kind {
                wanted.extend_from_slice(&at_start[at..at + 2]);
                at += 1;
            }
            at += 1;
        }
        let known = self.compute(&[&captured[..], &wanted].concat(), self.here)?;
        let (captured, wanted) = known.split_at(captured.len());
        let mut wanted = wanted.iter().map(Tensor::item);
        let mut next = || wanted.next().expect("compiler bug: a claim without its number");
        let held = claims.iter().zip(&places).enumerate().map(|(output, (c, at))| {
            let start = matches!(c.kind, Kind::Conserved { .. }).then(|| (next(), next()));
            Held { output, ..held(c, &func, *at, start) }
        });
        let claims = held.collect();
        let outputs = places.iter().map(|at| func.outputs[*at]).collect();
        let func = crate::ir::build::drop_dead(Func { outputs, ..func });
        Ok(Some(Watched { look: Look { func, captured: captured.to_vec() }, claims }))
    }

    /// What a function of a state captured, its last inputs. None where it reads something that is not known now.
    fn fixed(&mut self, func: &Func, captured: &[Num]) -> Result<Option<Vec<Tensor>>> {
        if self.tracer.known_now() {
            return self.compute(captured, self.here).map(Some);
        }
        let read = crate::ir::build::drop_dead(func.clone());
        let first = func.inputs.len() - captured.len();
        let reads = |k: usize| {
            let used =
                |v: crate::ir::Value| read.nodes.iter().any(|n| n.args.contains(&v)) || read.outputs.contains(&v);
            read.values().any(|(v, n)| n.op == Op::Input(k) && used(v))
        };
        let known = captured.iter().enumerate().map(|(k, n)| match n {
            Num::Const(t) => Some(t.clone()),
            n => (!reads(first + k)).then(|| Tensor::zeros(n.ty())),
        });
        Ok(known.collect())
    }

    /// The claims of a system over what tries carry: they are looked at where a run whose steps are found on the way is kept.
    pub(super) fn watched_tries(&mut self, run: &Run, tries: &Tries, layout: &Arrangement) -> Result<Option<Watched>> {
        if !self.has_claims(run.problem.def) {
            return Ok(None);
        }
        let types = [tries.start.ty().clone(), Type::f64([])];
        let mut claims = vec![];
        let (func, captured) = self.timed("ensure", &types, 1, |l, inputs| {
            let (eqs, found) = l.with_claims(|l| l.equations(run.problem))?;
            claims = found;
            let (nodal, slopes) = l.read_state(run, inputs[0].clone(), inputs[1].clone(), layout)?;
            let fields = l.unknown_fields(&eqs, &nodal, slopes.as_ref(), run.space);
            let mut out = vec![];
            for claim in &claims {
                out.extend(l.looked_at(claim, &eqs, &fields, run.space)?);
            }
            Ok(out)
        })?;
        let start = std::slice::from_ref(&tries.start);
        let Some(watched) = self.watched_from(claims, func, captured, start, run.start)? else { return Ok(None) };
        let look = self.of_tries(watched.look, tries)?;
        Ok(look.map(|look| Watched { look, ..watched }))
    }

    /// What is computed of a state, as computed of what tries carry. None where that reads something that is not known now.
    pub(super) fn of_tries(&mut self, look: Look, tries: &Tries) -> Result<Option<Look>> {
        let mut b = Builder::new("of tries");
        let carried: Vec<_> = tries.initial.iter().map(|n| b.input(n.ty().clone())).collect();
        // Of a step found on the way the time is carried.
        b.input(Type::f64([]));
        let ours: Vec<_> = tries.captured.iter().map(|n| b.input(n.ty().clone())).collect();
        let theirs: Vec<_> = look.captured.iter().map(|n| b.input(n.ty.clone())).collect();
        let state = b.inline(&tries.state, &[&carried[..], &carried[TIME..=TIME], &ours].concat())[0];
        let out = b.inline(&look.func, &[&[state, carried[TIME]], &theirs[..]].concat());
        let func = b.finish(out);
        let all: Vec<Num> = tries.captured.iter().cloned().chain(look.captured.into_iter().map(Num::Const)).collect();
        Ok(self.fixed(&func, &all)?.map(|captured| Look { func, captured }))
    }

    /// What shows all unknowns of a state of tries that is not made of values at points. None where that cannot be had now.
    pub(super) fn shown_tries(&mut self, run: &Run, tries: &Tries, layout: &Arrangement) -> Result<Option<Look>> {
        let types = [tries.start.ty().clone(), Type::f64([])];
        let (func, captured) = self.timed("unknowns", &types, 1, |l, inputs| {
            let (nodal, _) = l.read_state(run, inputs[0].clone(), inputs[1].clone(), layout)?;
            Ok(vec![l.tracer.build(&[&nodal], |b, v| b.transpose(v[0], &[1, 0]))])
        })?;
        Ok(self.fixed(&func, &captured)?.map(|captured| Look { func, captured }))
    }

    /// What shows all unknowns of a state that is not made of values at points. None where that cannot be had now.
    pub(super) fn shown(&mut self, step: &Step, whole: &Whole) -> Result<Option<Look>> {
        let Whole::Of(n, (func, captured)) = whole else { return Ok(None) };
        let mut b = Builder::new("unknowns");
        let states: Vec<_> = step.initial.iter().map(|s| b.input(s.ty().clone())).collect();
        let t = b.input(Type::f64([]));
        let more: Vec<_> = captured.iter().map(|c| b.input(c.ty().clone())).collect();
        let out = b.inline(func, &[&states[..*n], &[t], &more].concat())[0];
        let func = b.finish(vec![out]);
        Ok(self.fixed(&func, captured)?.map(|captured| Look { func, captured }))
    }

    /// The unknowns of a state as fields.
    fn unknowns_of(
        &mut self,
        run: &Run,
        eqs: &Equations,
        inputs: &[Num],
        whole: &Whole,
        by_component: bool,
    ) -> Vec<Rc<Discrete>> {
        let (states, t) = inputs.split_at(inputs.len() - 1);
        let (values, slopes) = match whole {
            Whole::State => (states[0].clone(), self.own_slopes(run.scheme, run.space, &states[0], by_component)),
            Whole::Of(n, (func, captured)) => {
                let args: Vec<&Num> = states[..*n].iter().chain(t).chain(captured).collect();
                let mut out = self.tracer.build_all(&args, |b, v| b.inline(func, v));
                let slopes = if out.len() > 1 {
                    out.pop()
                } else {
                    self.own_slopes(run.scheme, run.space, &out[0], by_component)
                };
                (out.swap_remove(0), slopes)
            }
        };
        let values = self.nodal(values, by_component, run.space);
        let slopes = slopes.map(|s| self.nodal_slopes(s, run.space));
        self.unknown_fields(eqs, &values, slopes.as_ref(), run.space)
    }

    fn looked_at(
        &mut self,
        claim: &Claim,
        eqs: &Equations,
        fields: &[Rc<Discrete>],
        space: &Rc<Space>,
    ) -> Result<Vec<Num>> {
        let span = claim.span;
        let solved = |l: &Self, f: &Field| l.substitute(f, |leaf| eqs.solved(leaf, fields, &[]));
        let number = |l: &mut Self, v: &Value| match v {
            Value::Functional(f) => l.functional_value(f, &solved, span),
            other => l.num(other, span),
        };
        match &claim.kind {
            Kind::Order { more, less, .. } if [more, less].iter().any(|v| matches!(v, Value::Functional(_))) => {
                let (more, less) = (number(self, more)?, number(self, less)?);
                Ok(vec![self.binary_num(&Operator::Sub, &more, &less, span)?])
            }
            Kind::Order { more, less, .. } => match self.margin(more, less, span)? {
                Value::Field(f) => {
                    let f = solved(self, &f);
                    Ok(vec![self.at_nodes_of(&f, space, span)?])
                }
                other => Ok(vec![self.num(&other, span)?]),
            },
            Kind::Conserved { value, .. } => {
                let size = match value {
                    Value::Functional(f) => {
                        let size = self.absolute(f, span)?;
                        self.functional_value(&size, &solved, span)?
                    }
                    other => {
                        let n = self.num(other, span)?;
                        self.unary_num(crate::ir::Unary::Abs, &n)
                    }
                };
                Ok(vec![number(self, value)?, size])
            }
        }
    }

    /// Values at the nodes of a space, read where they are kept.
    fn at_nodes_of(&mut self, f: &Field, space: &Rc<Space>, span: crate::base::Span) -> Result<Num> {
        let here = |l: &Leaf| match l {
            Leaf::Discrete { field, gradient } => {
                Rc::ptr_eq(&field.space, space) && (!gradient || field.slopes.is_some())
            }
            Leaf::Coordinates | Leaf::Shared(_) => true,
            _ => false,
        };
        let x = Num::Const(space.node_coordinates());
        if !f.leaves.iter().all(here) || !f.leaves.iter().any(|l| matches!(l, Leaf::Discrete { .. })) {
            return self.field_at_points(f, &x, span);
        }
        let mut args = vec![];
        for leaf in &f.leaves {
            args.push(match leaf {
                Leaf::Discrete { field, gradient } => {
                    (self.slopes_of(field, *gradient).unwrap_or_else(|| field.dofs.clone()), true)
                }
                Leaf::Shared(n) => (n.clone(), false),
                _ => (x.clone(), true),
            });
        }
        let refs: Vec<&Num> = args.iter().map(|a| &a.0).collect();
        let mapped = args.iter().map(|a| a.1).collect();
        let body = std::sync::Arc::new((*f.func).clone());
        Ok(self.tracer.build(&refs, |b, v| b.map(body, space.node_count(), mapped, v)[0]))
    }
}

/// A claim over what gives its margin, or its number and its size, from this output on.
fn held(claim: &Claim, func: &Func, output: usize, start: Option<(f64, f64)>) -> Held {
    let rule = match claim.kind {
        Kind::Order { strict, .. } => {
            let shape = &func.ty(func.outputs[output]).shape;
            Rule::Margin { strict, width: shape.split_first().map(|(_, rest)| rest.iter().product()) }
        }
        Kind::Conserved { tolerance, .. } => {
            let start = match start {
                Some((value, size)) => Start::Known { value, allowed: tolerance * size },
                None => Start::Found,
            };
            Rule::Conserved { tolerance, start }
        }
    };
    Held { name: claim.name.clone(), text: claim.text.clone(), rule, output }
}
