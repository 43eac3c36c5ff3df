//! Samples of a run that are too many for memory: they are computed on their own, unknown by unknown as fields hold them, so that
//! they can go to a file as they are made and be read from it one by one. Gradients are then taken where they are asked for.

use super::arrangement::Arrangement;
use super::control::Control;
use super::driver::{COMMON, ENDED, TIME, Tries, rows_until};
use super::march::{March, Round, round_name};
use super::spectral::Timed;
use super::timeline::Timeline;
use super::{Run, Step};
use crate::discretize::grid::{self, Derivatives};
use crate::discretize::{Mesh, Space};
use crate::ir::{self, Builder, Func, Op, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::Result;
use crate::lower::solve::Method;
use crate::lower::system::Equations;
use crate::lower::unknowns::Unknown;
use crate::lower::value::{Discrete, Num, Slopes};
use std::rc::Rc;
use std::sync::Arc;

/// What makes all unknowns of the states of a method, `(states…, t, captured…) → [c, n…]` or `[N, c]`.
pub enum Whole<'a> {
    /// They are the first state.
    State,
    /// Made of so many states.
    Of(usize, &'a Timed),
}

/// The unknowns at all times.
pub struct Samples {
    /// By time, then by unknown: `[N, shape…]`.
    pub values: Vec<Vec<Tensor>>,
    slopes: Vec<Option<Rc<Func>>>,
}

impl Samples {
    /// The unknowns at the k-th time as fields.
    pub fn fields(&self, lower: &mut Lower, eqs: &Equations, k: usize, space: &Rc<Space>) -> Vec<Rc<Discrete>> {
        let of = |((u, values), slopes): ((&Unknown, &Tensor), &Option<Rc<Func>>)| {
            Rc::new(Discrete {
                space: space.clone(),
                dofs: Num::Const(values.clone()),
                slopes: slopes.clone().map(Slopes::Of),
                shape: u.shape.clone(),
                id: lower.tracer.fresh(),
            })
        };
        eqs.unknowns.iter().zip(&self.values[k]).zip(&self.slopes).map(of).collect()
    }
}

impl Lower<'_> {
    /// Runs the steps, if their samples are too many for memory. None where they are not, or where derivatives of them may be wanted.
    pub(super) fn streamed(
        &mut self,
        (eqs, run, timeline): (&Equations, &Run, &Timeline),
        step: &mut Step,
        march: &March,
        (whole, by_component): (Whole, bool),
    ) -> Result<Option<Samples>> {
        let nodes = run.space.node_count();
        let shapes: Vec<Vec<usize>> = eqs.unknowns.iter().map(|u| u.shape.clone()).collect();
        let width = |shape: &Vec<usize>| shape.iter().product::<usize>();
        let components: usize = shapes.iter().map(width).sum();
        let bytes = timeline.samples * nodes * components * size_of::<f64>();
        if !timeline.keep || !self.tracer.known_now() || !self.runtime.streams(bytes) {
            return Ok(None);
        }
        let Some(slopes) = slopes(run.scheme.method, &run.space.mesh, &shapes) else { return Ok(None) };
        self.runtime.marches(march.clone(), &mut step.func);
        let states = step.initial.len();
        // On their own, so that the memory that making them takes is free again when the run begins.
        let known = self.compute(&[&step.initial[..], &step.captured].concat(), self.here)?;
        let mut known = known.into_iter().map(Num::Const);
        step.initial = known.by_ref().take(states).collect();
        step.captured = known.collect();
        let captured: &[Num] = if let Whole::Of(_, (_, captured)) = &whole { captured } else { &[] };
        // (states…, t, captured…) → unknowns…
        let finish = {
            let mut b = Builder::new("sample");
            let inputs: Vec<_> = step.initial.iter().map(|s| b.input(s.ty().clone())).collect();
            let t = b.input(Type::f64([]));
            let more: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
            let all = match &whole {
                Whole::State => inputs[0],
                Whole::Of(n, (func, _)) => b.inline(func, &[&inputs[..*n], &[t], &more].concat())[0],
            };
            let all = b.reshape(all, &if by_component { [components, nodes] } else { [nodes, components] });
            let unknowns = by_unknown(&mut b, all, by_component, &shapes);
            b.finish(unknowns)
        };
        let body = {
            let mut b = Builder::new(round_name(&step.func.name, Round::Sample));
            let mut types = step.func.inputs.clone();
            types[states] = Type::f64([timeline.per_sample]);
            types.insert(states + 1, Type::f64([]));
            let inputs: Vec<_> = types.into_iter().map(|t| b.input(t)).collect();
            let more: Vec<_> = captured.iter().map(|n| b.input(n.ty().clone())).collect();
            let steps = Arc::new(step.func.clone());
            let inner = Op::Scan { body: steps, length: timeline.per_sample, carry: states, xs: 1, reverse: false };
            let mut out = b.ops(inner, &[&inputs[..=states], &inputs[states + 2..]].concat());
            let rows = b.inline(&finish, &[&out[..states], &[inputs[states + 1]], &more].concat());
            out.extend(rows);
            b.finish(out)
        };
        let ends: Vec<f64> = (1..=timeline.samples).map(|k| timeline.kept(k)).collect();
        let mut args = step.initial.clone();
        args.extend([Num::Const(timeline.times()), Num::Const(Tensor::f64([timeline.samples], ends))]);
        args.extend(step.captured.iter().chain(captured).cloned());
        let refs: Vec<&Num> = args.iter().collect();
        let whole_run =
            Op::Scan { body: Arc::new(body), length: timeline.samples, carry: states, xs: 2, reverse: false };
        let rows = self.tracer.build_all(&refs, |b, v| b.ops(whole_run, v)).split_off(states);
        let start = Num::scalar(timeline.kept(0));
        let args: Vec<&Num> = step.initial.iter().chain([&start]).chain(captured).collect();
        let first = self.tracer.build_all(&args, |b, v| b.inline(&finish, v));
        let mut known = self.compute(&[first, rows].concat(), self.here)?;
        let rows = known.split_off(shapes.len());
        let mut values = vec![known];
        values.extend((0..timeline.samples).map(|k| rows.iter().map(|r| r.item_at(k)).collect()));
        Ok(Some(Samples { values, slopes }))
    }

    /// The same of a run whose steps are found on the way, with its times: up to an event.
    pub(super) fn streamed_tries(
        &mut self,
        (eqs, run): (&Equations, &Run),
        tries: &mut Tries,
        march: &March,
        (control, timeline): (&Control, &Timeline),
        layout: &Arrangement,
    ) -> Result<Option<(Samples, Vec<f64>)>> {
        let shapes: Vec<Vec<usize>> = eqs.unknowns.iter().map(|u| u.shape.clone()).collect();
        let components: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        let bytes = timeline.samples * run.space.node_count() * components * size_of::<f64>();
        if !timeline.keep || !self.tracer.known_now() || !self.runtime.streams(bytes) {
            return Ok(None);
        }
        let Some(slopes) = slopes(run.scheme.method, &run.space.mesh, &shapes) else { return Ok(None) };
        let carried = tries.initial.len();
        let given: Vec<Num> = tries.initial.iter().chain(&tries.captured).chain([&tries.start]).cloned().collect();
        let mut known: Vec<Num> = self.compute(&given, self.here)?.into_iter().map(Num::Const).collect();
        tries.start = known.pop().expect("compiler bug: a run without a start");
        tries.captured = known.split_off(carried);
        tries.initial = known;
        let types = [tries.start.ty().clone(), Type::f64([])];
        let (finish, captured) = self.timed("sample", &types, 1, |l, inputs| {
            let (nodal, _) = l.read_state(run, inputs[0].clone(), inputs[1].clone(), layout)?;
            Ok(l.tracer.build_all(&[&nodal], |b, v| by_unknown(b, v[0], false, &shapes)))
        })?;
        let (rows, status, last) = self.driven_rows(march, tries, control, timeline, Some((&finish, &captured)));
        let start = Num::scalar(timeline.start);
        let args: Vec<&Num> = [&tries.start, &start].into_iter().chain(&captured).collect();
        let first = self.tracer.build_all(&args, |b, v| b.inline(&finish, v));
        let wanted: Vec<Num> = first.into_iter().chain(status).chain(last).chain(rows).collect();
        let mut known = self.compute(&wanted, self.here)?;
        let mut rows = known.split_off(shapes.len() + COMMON + 2);
        let end = known.split_off(shapes.len());
        self.well_ended(march, tries, control, &end, run.span)?;
        let passed = rows.remove(0);
        let ended_by_event = end[ENDED].item() == 1.0;
        let count = if ended_by_event { rows_until(&passed, end[TIME].item()) } else { timeline.samples };
        let times = std::iter::once(timeline.start).chain(passed.to_f64().into_iter().take(count)).collect();
        let mut values = vec![known];
        values.extend((0..count).map(|k| rows.iter().map(|r| r.item_at(k)).collect()));
        Ok(Some((Samples { values, slopes }, times)))
    }
}

/// Each unknown `[N, shape…]`, from all of them `[c, N]` or `[N, c]`.
fn by_unknown(b: &mut Builder, all: ir::Value, by_component: bool, shapes: &[Vec<usize>]) -> Vec<ir::Value> {
    let axis = if by_component { 0 } else { 1 };
    let nodes = b.ty(all).shape[1 - axis];
    let mut at = 0;
    let part = |shape: &Vec<usize>| {
        let n: usize = shape.iter().product();
        let part = b.slice(all, axis, at, at + n);
        at += n;
        let part = if by_component { b.transpose(part, &[1, 0]) } else { part };
        b.reshape(part, &[&[nodes], &shape[..]].concat())
    };
    shapes.iter().map(part).collect()
}

/// How a method takes gradients of each unknown from its values, `[N, shape…] → [N, shape…, d]`; of elements and volumes it has no
/// way of its own. None where they are not made of the values alone.
pub(super) fn slopes(method: Method, mesh: &Mesh, shapes: &[Vec<usize>]) -> Option<Vec<Option<Rc<Func>>>> {
    let of: &dyn Fn(usize) -> Func = match method {
        Method::Grid(Derivatives::Central { order }) => &move |n| grid::slopes(n, mesh, order),
        Method::Grid(Derivatives::Fourier(_)) => &|n| grid::fourier_slopes(n, mesh),
        Method::Volumes | Method::Elements | Method::Chebyshev => return Some(vec![None; shapes.len()]),
    };
    let (nodes, d) = (mesh.cells.iter().product::<usize>(), mesh.dimension());
    let wrapped = |shape: &Vec<usize>| {
        let n: usize = shape.iter().product();
        let mut b = Builder::new("slopes");
        let u = b.input(Type::f64([&[nodes], &shape[..]].concat()));
        let flat = b.reshape(u, &[nodes, n]);
        let flat = b.transpose(flat, &[1, 0]);
        let on_grid = b.reshape(flat, &[&[n], &mesh.cells[..]].concat());
        let all = b.inline(&of(n), &[on_grid])[0];
        let all = b.reshape(all, &[n, d, nodes]);
        let all = b.transpose(all, &[2, 0, 1]);
        let out = b.reshape(all, &[&[nodes], &shape[..], &[d]].concat());
        Some(Rc::new(b.finish(vec![out])))
    };
    Some(shapes.iter().map(wrapped).collect())
}
