//! The two loops of the gradient of a long loop (`ad::checkpoints`) whose steps are any programs: the run forwards, which leaves its state
//! here and there, and the run back, which computes the steps again from those states and goes back over them.
//!
//! Both go step by step and share the places of states ([`Bounds`]), so that segments need not be of one length. Places of states before
//! segments that are done take those within segments to come; where they are too few, the later part of a segment is done first, and
//! states before it are computed once more. [Griewank & Walther 2000, Algorithm 799: revolve]

use super::blocked::segments::{Loops, Marking, disjoint};
use super::bounds::{Bounds, passed_over};
use super::buffer::{Buffer, View, ViewMut};
use super::repeats::same_bits;
use super::structured::{Body, Nested};
use super::{Context, Workspace};
use crate::backend::plan::Slot;
use crate::ir::{Fault, Type, Within};
use std::ops::Range;

/// `(state…, shared…) → (state…, places of states…)`, and `(cotangents…, those places…, shared…, state…) → (cotangents…, others…)`.
pub struct Retraced {
    /// From state and shared arguments to the state after a step.
    pub steps: Body,
    pub back: Body,
    of: Loops,
    /// Where the arguments of a step are among those of the run forwards.
    args: Vec<usize>,
    bounds: Bounds,
    /// Whether steps and steps back, which take turns, have the same buffers.
    shares: bool,
    /// Whether a step back leaves cotangents where they were.
    in_place: bool,
}

/// A state: where the run begins, or in a place.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Start,
    Place(usize),
}

struct States<'a, 'b> {
    start: &'a [View<'a>],
    /// Of each place its carried values.
    places: Vec<ViewMut<'b>>,
    /// How many these are.
    count: usize,
}

/// Of the steps.
struct Running<'a, 'b> {
    states: States<'a, 'b>,
    /// Arguments behind the state.
    shared: Vec<View<'a>>,
    memory: &'a mut Workspace,
}

/// Of the steps back.
struct Cotangents<'a, 'b> {
    /// Where they lie before the first step, if not in the second of the places.
    first: Option<&'a [View<'a>]>,
    /// Arguments behind the items.
    shared: Vec<View<'a>>,
    memory: &'a mut Workspace,
    /// The next step leaves them in the first of both, the results or others, and exchanges these. Without others it changes the results.
    places: [Vec<ViewMut<'b>>; 2],
}

/// Whether two loops are such a pair.
pub fn is_pair(ahead: &Marking, back: &Loops) -> bool {
    (ahead.segments, ahead.length) == (back.segments, back.length)
        && ahead.rows.iter().copied().eq(0..back.states)
        && ahead.step.inputs == back.steps.inputs
        && (&ahead.step.nodes, &ahead.step.outputs) == (&back.steps.nodes, &back.steps.outputs)
}

impl Retraced {
    /// Of [a pair](is_pair), compiled.
    pub fn new(ahead: Marking, of: Loops, steps: Body, mut back: Body) -> Retraced {
        let in_place = back.program.overwrites(of.carry);
        let bytes = |types: &[Type]| types.iter().map(|t| t.len() * t.dtype.size()).sum::<usize>();
        let state = bytes(&of.steps.inputs[..of.states]).max(1);
        let carried = bytes(&of.back.inputs[..of.carry]);
        let both = steps.program.slots.iter().zip(&back.program.slots);
        let shares = both.clone().all(|(a, b)| a.dtype == b.dtype);
        let twice = if shares { both.map(|(a, b)| a.len.min(b.len) * a.dtype.size()).sum() } else { 0 };
        let working = if in_place { 2 } else { 3 } * carried + steps.program.bytes() + back.program.bytes() - twice;
        let all = of.segments * of.length;
        // Twice the root of all steps together, with what the loops themselves work in; but not so few that most steps are computed
        // more than once again.
        let enough = Bounds::enough(all);
        let places = (2 * all.isqrt()).saturating_sub(working.div_ceil(state)).clamp(enough - enough / 4, enough);
        Retraced { steps, back, args: ahead.args, bounds: Bounds::new(all, places), of, shares, in_place }
    }

    /// All places of one carried value.
    pub fn places(&self, row: &Type) -> Type {
        Type::new(row.dtype, [&[self.bounds.places], &row.shape[1..]].concat())
    }

    /// Which arguments of the run back are overwritten: those places, and before them the cotangents that it begins with, where these
    /// are `given` up and it needs memory for some.
    pub fn overwritten(&self, given: bool) -> Range<usize> {
        let first = if given && !self.in_place { 0 } else { self.of.carry };
        first..self.of.carry + self.of.states
    }

    /// Of what the run back leaves beside its results: memory for cotangents, where it needs some and is given none.
    pub fn cotangents(&self, given: bool) -> &[Type] {
        let more = if given || self.in_place { 0 } else { self.of.carry };
        &self.of.back.inputs[..more]
    }

    /// The run forwards. A state that a step leaves as it was stays, as in a scan.
    pub fn ahead(
        &self,
        context: &Context,
        nested: &[Nested],
        args: &[View],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        nested[self.steps.number].with(&self.steps.program, |memory| self.ahead_in(context, memory, args, outs))
    }

    fn ahead_in(
        &self,
        context: &Context,
        memory: &mut Workspace,
        args: &[View],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let count = self.of.states;
        let (ends, left) = outs.split_at_mut(count);
        let mut places = self.split(left);
        places.extend(ends.iter_mut().map(ViewMut::reborrow));
        let shared = self.args[count..].iter().map(|k| args[*k]).collect();
        let mut w = Running { states: States { start: &args[..count], places, count }, shared, memory };
        let (segments, end) = (self.bounds.segments(), self.bounds.places);
        let mut at = At::Start;
        for segment in 0..segments {
            let steps = self.bounds.length(segment);
            // To the place of the state behind the segment, in turn with another one that holds none yet.
            let last = segment + 1 == segments;
            let (to, other) = if last { (end, segment) } else { (segment, end) };
            for step in 0..steps {
                let next = if (steps - step) % 2 == 1 { to } else { other };
                let number = self.bounds.starts[segment] + step;
                self.step(context, &mut w, at, next)
                    .map_err(|e| e.within(Within::Step(self.steps.program.name.clone(), number)))?;
                if w.states.of(at).zip(w.states.of(At::Place(next))).all(|(a, b)| same_bits(a, b)) {
                    let place = |segment| if segment + 1 == segments { end } else { segment };
                    (segment..segments).for_each(|segment| w.states.copy(next, place(segment)));
                    return Ok(());
                }
                at = At::Place(next);
            }
        }
        Ok(())
    }

    /// The run back. `outs`: results, memory for cotangents or those it begins with, places of states that were left. What is overwritten
    /// is not there in `args`.
    pub fn run(&self, context: &Context, nested: &[Nested], args: &[View], outs: &mut [ViewMut]) -> Result<(), Fault> {
        nested[self.steps.number].with(&self.steps.program, |ahead| {
            nested[self.back.number].with(&self.back.program, |behind| {
                if self.shares {
                    behind.slots.clear();
                    grow(&mut ahead.slots, &self.back.program.slots);
                }
                self.run_in(context, [ahead, behind], args, outs)
            })
        })
    }

    fn run_in(
        &self,
        context: &Context,
        [ahead, behind]: [&mut Workspace; 2],
        args: &[View],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let Loops { carry, states: count, .. } = self.of;
        let (results, others) = outs.split_at_mut(carry);
        let (others, places) = others.split_at_mut(if self.in_place { 0 } else { carry });
        let shared = |of: &[usize]| of.iter().map(|k| args[*k]).collect::<Vec<_>>();
        let states = States { start: &args[args.len() - count..], places: self.split(places), count };
        let mut w = Running { states, shared: shared(&self.of.shared), memory: ahead };
        if self.in_place {
            results.iter_mut().zip(args).for_each(|(to, first)| to.copy_from(*first));
        }
        let given =
            self.in_place || args[..carry].iter().zip(&*others).any(|(first, other)| first.len() < other.view().len());
        let mut cotangents = Cotangents {
            first: (!given).then_some(&args[..carry]),
            shared: shared(&self.of.back_shared),
            memory: behind,
            places: [results, others].map(|of| of.iter_mut().map(ViewMut::reborrow).collect()),
        };
        for segment in (0..self.bounds.segments()).rev() {
            self.segment(context, &mut w, &mut cotangents, segment)?;
        }
        // The last step left them behind in the second place, which are others after an even number of steps.
        let [to, from] = cotangents.places;
        if !self.in_place && self.bounds.starts[self.bounds.segments()].is_multiple_of(2) {
            to.into_iter().zip(from).for_each(|(mut to, from)| to.copy_from(from.view()));
        }
        Ok(())
    }

    /// Back over one segment.
    fn segment(
        &self,
        context: &Context,
        w: &mut Running,
        cotangents: &mut Cotangents,
        segment: usize,
    ) -> Result<(), Fault> {
        let begin = segment.checked_sub(1).map_or(At::Start, At::Place);
        let free = self.bounds.free(segment);
        let mut left = self.bounds.length(segment);
        while left > 0 {
            let over = passed_over(left, free.len());
            let mut at = begin;
            for done in 0..over {
                // Two places in turn.
                let to = free.start + done % 2;
                self.step(context, w, at, to)?;
                at = At::Place(to);
            }
            // Where the states before the other steps lie.
            let mut taken: Vec<At> = vec![at];
            for to in free.clone().filter(|f| at != At::Place(*f)).take(left - over - 1) {
                self.step(context, w, taken[taken.len() - 1], to)?;
                taken.push(At::Place(to));
            }
            for &place in taken.iter().rev() {
                self.step_back(context, w, cotangents, place)?;
            }
            left = over;
        }
        Ok(())
    }

    fn step(&self, context: &Context, w: &mut Running, from: At, to: usize) -> Result<(), Fault> {
        let mut outs: Vec<ViewMut> = w.states.place(to).iter_mut().map(std::mem::take).collect();
        let inputs: Vec<View> = w.states.of(from).chain(w.shared.iter().copied()).collect();
        let outcome = self.steps.program.run(context, w.memory, &inputs, &mut outs);
        w.states.place(to).iter_mut().zip(outs).for_each(|(place, out)| *place = out);
        outcome
    }

    fn step_back(&self, context: &Context, w: &mut Running, c: &mut Cotangents, from: At) -> Result<(), Fault> {
        let state: Vec<View> = w.states.of(from).collect();
        let [to, before] = &mut c.places;
        let before = match c.first.take() {
            Some(first) => first.to_vec(),
            None if self.in_place => vec![View::F64(&[]); self.of.carry],
            None => before.iter().map(ViewMut::view).collect(),
        };
        let items = self.of.items.iter().map(|k| state[*k]);
        let inputs: Vec<View> = before.into_iter().chain(items).chain(c.shared.iter().copied()).collect();
        if self.shares {
            std::mem::swap(&mut w.memory.slots, &mut c.memory.slots);
        }
        let outcome = self.back.program.run(context, c.memory, &inputs, to);
        if self.shares {
            std::mem::swap(&mut w.memory.slots, &mut c.memory.slots);
        }
        if !self.in_place {
            c.places.swap(0, 1);
        }
        outcome
    }

    /// Of each place its carried values.
    fn split<'a>(&self, arrays: &mut [ViewMut]) -> Vec<ViewMut<'a>> {
        let mut places = vec![];
        for place in 0..self.bounds.places {
            for (array, ty) in arrays.iter_mut().zip(&self.of.steps.inputs) {
                // SAFETY: parts of different places are disjoint, and nobody else has the arrays meanwhile.
                places.push(unsafe { disjoint(array, place * ty.len(), ty.len()) });
            }
        }
        places
    }
}

/// Makes buffers long enough for these slots, too.
fn grow(buffers: &mut Vec<Buffer>, slots: &[Slot]) {
    for (k, slot) in slots.iter().enumerate() {
        match buffers.get_mut(k) {
            Some(buffer) if buffer.view().len() >= slot.len => {}
            Some(buffer) => *buffer = Buffer::zeros(slot.dtype, slot.len),
            None => buffers.push(Buffer::zeros(slot.dtype, slot.len)),
        }
    }
}

impl States<'_, '_> {
    fn of(&self, at: At) -> impl Iterator<Item = View<'_>> {
        (0..self.count).map(move |k| match at {
            At::Start => self.start[k],
            At::Place(place) => self.places[place * self.count + k].view(),
        })
    }

    fn copy(&mut self, from: usize, to: usize) {
        if from != to {
            let mut taken: Vec<_> = self.place(to).iter_mut().map(std::mem::take).collect();
            taken.iter_mut().zip(self.of(At::Place(from))).for_each(|(to, from)| to.copy_from(from));
            self.place(to).iter_mut().zip(taken).for_each(|(place, taken)| *place = taken);
        }
    }
}

impl<'b> States<'_, 'b> {
    fn place(&mut self, place: usize) -> &mut [ViewMut<'b>] {
        &mut self.places[place * self.count..(place + 1) * self.count]
    }
}

#[cfg(test)]
mod tests {
    use crate::ad::{grad, jvp};
    use crate::backend::native::Native;
    use crate::backend::native::lower::{Kind, lower};
    use crate::ir::{Builder, Op, Tensor, Type};
    use crate::passes::optimise;
    use std::sync::Arc;

    #[test]
    fn gradients_of_long_spectral_loops_are_of_this_kind() {
        // Even and odd: the cotangents at the end lie in one of two places.
        [2000, 2601].into_iter().for_each(gradient_of);
    }

    /// Of steps of z + k F(u v), u = F⁻¹(z), v = F⁻¹(z²): the derivative along a direction, forwards and back.
    fn gradient_of(length: usize) {
        let (n, modes) = ([24, 36], [2, 24, 19]);
        let mut b = Builder::new("step");
        let (z, k) = (b.input(Type::f64(modes)), b.input(Type::f64([])));
        let u = b.op(Op::Irfft { rank: 2, n: n[1] }, &[z]);
        let other = b.mul(z, z);
        let other = b.op(Op::Irfft { rank: 2, n: n[1] }, &[other]);
        let product = b.mul(u, other);
        let change = b.op(Op::Rfft { rank: 2 }, &[product]);
        let k = b.broadcast_to(k, &modes);
        let change = b.mul(k, change);
        let next = b.add(z, change);
        let body = Arc::new(b.finish(vec![next]));
        let mut b = Builder::new("run");
        let (z, k) = (b.input(Type::f64(modes)), b.input(Type::f64([])));
        let end = b.ops(Op::Scan { body, length, carry: 1, xs: 0, reverse: false }, &[z, k])[0];
        let square = b.mul(end, end);
        let sum = b.sum_all(square);
        let run = b.finish(vec![sum]);
        let back = optimise(grad(&run, &[0]));
        let program = lower(&back, 2).expect("it compiles");
        let retraced = program.steps.iter().any(|s| matches!(s.kind, Kind::Retraced(_)));
        assert!(retraced, "{}", crate::ir::text::print(&back));

        let numbers = |seed: usize| {
            let of = |i: usize| ((i * 7919 + seed) % 1009) as f64 / 1009.0 - 0.5;
            Tensor::f64(modes, (0..modes.iter().product()).map(of).collect::<Vec<_>>())
        };
        let (z, k) = (numbers(13), Tensor::f64([], vec![1e-9]));
        let run_on = |f: &crate::ir::Func, inputs: &[Tensor], threads| {
            Native::compile(f, threads).expect("it compiles").run(inputs, None).expect("it runs")
        };
        let gradient = run_on(&back, &[z.clone(), k.clone()], 1);
        let same = run_on(&back, &[z.clone(), k.clone()], 2);
        gradient.iter().zip(&same).for_each(|(a, b)| assert_eq!(a.to_f64(), b.to_f64()));
        let direction = numbers(5);
        let forward = run_on(&optimise(jvp(&run, &[0])), &[z, k, direction.clone()], 1);
        let wanted = forward[1].to_f64()[0];
        let got: f64 = gradient[1].to_f64().iter().zip(direction.to_f64().iter()).map(|(a, b)| a * b).sum();
        assert!((got - wanted).abs() < 1e-10 * wanted.abs(), "{got} {wanted}");
    }
}
