//! What a run gives: its states as unknowns at the nodes, with their gradients, at each time that is kept.

use super::timeline::Timeline;
use super::{Run, samples, spectral};
use crate::discretize::Space;
use crate::discretize::grid::{self, Derivatives};
use crate::ir::{Func, Tensor};
use crate::lower::Lower;
use crate::lower::error::Result;
use crate::lower::solve::{Method, Scheme};
use crate::lower::system::Equations;
use crate::lower::trace::Tracer;
use crate::lower::value::{Num, Problem, Solution, Value};
use std::rc::Rc;

impl Lower<'_> {
    /// The solutions at all times that are kept, with these times.
    pub(super) fn gathered_at(
        &mut self,
        problem: &Problem,
        timeline: &Timeline,
        eqs: &Equations,
        count: usize,
        mut at: impl FnMut(&mut Self, &Equations, usize) -> Result<Rc<Solution>>,
    ) -> Result<Value> {
        let mut trajectory: Vec<Rc<Solution>> = vec![];
        for k in 0..count {
            // Lets may depend on time.
            let later = match eqs.lets.is_empty() {
                true => None,
                false => Some(self.at_time(Num::scalar(timeline.kept(k)), |l| l.equations(problem))?),
            };
            trajectory.push(at(self, later.as_ref().unwrap_or(eqs), k)?);
        }
        let times: Vec<f64> = (0..count).map(|k| timeline.kept(k)).collect();
        let times = Num::Const(Tensor::f64([count], times));
        Ok(with_times(gathered(trajectory), times, timeline.keep, &mut self.tracer))
    }

    /// Gradients of a state where the scheme has its own.
    pub(super) fn own_slopes(
        &mut self,
        scheme: &Scheme,
        space: &Space,
        state: &Num,
        by_component: bool,
    ) -> Option<Num> {
        let Method::Grid(Derivatives::Central { order }) = scheme.method else { return None };
        let c = state.ty().len() / space.node_count();
        let of = grid::slopes(c, &space.mesh, order);
        Some(self.tracer.build(&[state], |b, v| {
            let mut u = v[0];
            if !by_component {
                u = b.transpose(u, &[1, 0]);
                u = b.reshape(u, &[&[c], &space.mesh.cells[..]].concat());
            }
            b.inline(&of, &[u])[0]
        }))
    }

    /// Gradients of large fields as functions of their values, computed where somebody asks for them: as numbers they would take
    /// several times the memory of the fields. None where fields are small, or their gradients are other ones.
    pub(super) fn slopes_when_asked(
        &self,
        run: &Run,
        eqs: &Equations,
        complete: bool,
    ) -> Option<Vec<Option<Rc<Func>>>> {
        const LARGE: usize = 1 << 20;
        let shapes: Vec<Vec<usize>> = eqs.unknowns.iter().map(|u| u.shape.clone()).collect();
        let components: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
        let central = matches!(run.scheme.method, Method::Grid(Derivatives::Central { .. }));
        if complete || !central || run.space.node_count() * components < LARGE {
            return None;
        }
        samples::slopes(run.scheme.method, &run.space.mesh, &shapes)
    }

    /// A state as values at the nodes, `[N, c]`, from such or from `[c, n…]`.
    pub(super) fn nodal(&mut self, state: Num, by_component: bool, space: &Space) -> Num {
        if !by_component {
            return state;
        }
        let n = space.node_count();
        let c = state.ty().len() / n;
        self.tracer.build(&[&state], |b, v| {
            let flat = b.reshape(v[0], &[c, n]);
            b.transpose(flat, &[1, 0])
        })
    }

    /// All unknowns `[c, cells…]` of a state in spectral space, and their gradients.
    pub(super) fn completed(
        &mut self,
        state: Num,
        time: &Num,
        (func, captured): &spectral::Timed,
    ) -> (Num, Option<Num>) {
        let args: Vec<&Num> = [&state, time].into_iter().chain(captured).collect();
        let mut out = self.tracer.build_all(&args, |b, v| b.inline(func, v));
        let slopes = out.pop();
        (out.swap_remove(0), slopes)
    }

    /// `[c, d, n…]` as `[N, c, d]`.
    pub(super) fn nodal_slopes(&mut self, slopes: Num, space: &Space) -> Num {
        let (c, d) = (slopes.shape()[0], slopes.shape()[1]);
        self.tracer.build(&[&slopes], |b, v| {
            let flat = b.reshape(v[0], &[c, d, space.node_count()]);
            b.transpose(flat, &[2, 0, 1])
        })
    }
}

/// A solution with the times at which it is.
pub(super) fn with_times(s: Rc<Solution>, times: Num, many: bool, tracer: &mut Tracer) -> Value {
    let times = match many {
        true => Value::Stack(times),
        false => Value::Num(tracer.build(&[&times], |b, v| b.index(v[0], 0, 0))),
    };
    let mut members = s.members.clone();
    members.insert("t".into(), times);
    Value::Solution(Rc::new(Solution { problem: s.problem, members }))
}

/// One solution, or the members of several as lists.
pub(super) fn gathered(trajectory: Vec<Rc<Solution>>) -> Rc<Solution> {
    if trajectory.len() == 1 {
        return trajectory[0].clone();
    }
    let names = trajectory[0].members.keys();
    let members = names
        .map(|name| (name.clone(), Value::list(trajectory.iter().map(|s| s.members[name].clone()).collect())))
        .collect();
    Rc::new(Solution { problem: trajectory[0].problem, members })
}
