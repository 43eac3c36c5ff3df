//! The two loops of a long gradient over a grid of two axes: steps that leave states behind, and the run back, which takes the steps from
//! state to state and back over them through the cache ([`Tiled`]).
//!
//! The two share the compiled step and the layout of its arrays, so a state that is left is one that a pass reads as it lies. They divide
//! the steps into passes, and leave as many states as there is memory for. Where that are fewer than passes, the first
//! segments are of several passes: the states between are computed again when the segment is gone back over, and lie where those of
//! later segments lay. [Griewank & Walther 2000, Algorithm 799: revolve]

use super::layout::{Memory, aligned, aligned_elements};
use super::segments::{Loops, Marking};
use super::tiles::{Memories, Shape, Tiled};
use crate::backend::native::Context;
use crate::backend::native::buffer::{View, ViewMut};
use crate::backend::native::kernel::pointer_mut;
use crate::backend::native::retraced::is_pair;
use crate::ir::{Fault, Type};

/// `(state…, shared…) → (state…, states that are left…)`, and `(cotangents…, states that are left…, shared…) → cotangents…`.
pub struct Pair {
    tiled: Tiled,
    /// Where passes begin, and the last one ends.
    bounds: Vec<usize>,
    /// Passes of each segment; a state is left before each.
    passes: Vec<usize>,
    /// Cotangents lie where the steps forwards had their states.
    lent: bool,
    states: usize,
    carry: usize,
    /// Arguments outside: of the steps forwards, of those that are taken again behind the states, of the steps back behind the items.
    args: Vec<usize>,
    shared: Vec<usize>,
    back_shared: Vec<usize>,
}

impl Pair {
    /// None where the loops are not of this kind, or nothing is gained.
    pub fn new(ahead: Marking, loops: &Loops, threads: usize) -> Result<Option<Pair>, Fault> {
        Pair::of(ahead, loops, threads, None)
    }

    /// In passes of a shape that is asked for, with room for so many states.
    fn of(ahead: Marking, loops: &Loops, threads: usize, asked: Option<(Shape, usize)>) -> Result<Option<Pair>, Fault> {
        if !is_pair(&ahead, loops) {
            return Ok(None);
        }
        let Marking { step, segments, length, args, .. } = ahead;
        let &Loops { states, carry, ref items, .. } = loops;
        let total = segments * length;
        let shape = asked.map(|(shape, _)| shape);
        let Some(tiled) = Tiled::new(&step, &loops.back, (total, states, carry), items, threads, shape)? else {
            return Ok(None);
        };
        let count = total.div_ceil(tiled.most());
        let bounds = (0..=count).map(|pass| total * pass / count).collect();
        // Twice the root of all steps together, with what the loops themselves work in.
        let dense: usize = loops.steps.inputs[..states].iter().map(|t| t.len() * t.dtype.size()).sum();
        let bound = (2.0 * (total as f64).sqrt() * dense as f64) as usize;
        let room = |lent: bool| bound.saturating_sub(tiled.working(lent)) / (states * tiled.state().bytes());
        let passes = |lent: bool| divided(count, asked.map_or(room(lent), |(_, room)| room));
        // Where all states before passes are left, or skipped to, the steps forwards need no memory any more.
        let again = |passes: &[usize]| passes.iter().any(|&count| computed(&tiled, count) > 1);
        let lent = tiled.lends() && !again(&passes(true));
        let passes = passes(lent);
        let (shared, back_shared) = (loops.shared.clone(), loops.back_shared.clone());
        Ok(Some(Pair { tiled, bounds, passes, lent, states, carry, args, shared, back_shared }))
    }

    /// Of the states that are left, all of one carried value.
    pub fn marks(&self, ty: &Type) -> Type {
        Type::new(ty.dtype, [aligned_elements(self.passes.len() * self.tiled.state().len, ty.dtype)])
    }

    /// Which arguments of the loop back are those states: they are overwritten.
    pub fn overwritten(&self) -> std::ops::Range<usize> {
        self.carry..self.carry + self.states
    }

    /// Where the states lie that are left, by segment and carried value.
    fn places(&self, marks: &mut [ViewMut]) -> Vec<Vec<*mut u8>> {
        let begins: Vec<*mut u8> = marks.iter_mut().map(|m| aligned(pointer_mut(m))).collect();
        let bytes = self.tiled.state().bytes();
        let of = |segment: usize| begins.iter().map(|p| p.wrapping_add(segment * bytes)).collect();
        (0..self.passes.len()).map(of).collect()
    }

    /// Where each segment begins among the passes.
    fn segments(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + ExactSizeIterator {
        let mut first = 0;
        let each = |&count: &usize| {
            first += count;
            (first - count, count)
        };
        self.passes.iter().map(each).collect::<Vec<_>>().into_iter()
    }

    /// The steps forwards.
    pub fn ahead(&self, context: &Context, args: &[View], outs: &mut [ViewMut]) -> Result<(), Fault> {
        let context = &Context { follow: None, ..*context };
        let args: Vec<View> = self.args.iter().map(|k| args[*k]).collect();
        let (states, marks) = outs.split_at_mut(self.states);
        let (places, step) = (self.places(marks), &self.tiled.step);
        step.with_memory(|memory| {
            for (k, (arg, to)) in args.iter().zip(&places[0]).enumerate() {
                step.old(k).fill(context, *arg, *to);
            }
            let mut running = step.begin_at(context, memory, &args, &places[0])?;
            for (segment, (first, count)) in self.segments().enumerate() {
                let steps = self.bounds[first + count] - self.bounds[first];
                let next = places.get(segment + 1).map(Vec::as_slice);
                step.go_on_to(context, &mut running, steps, next, &nothing_outside);
            }
            states.iter_mut().enumerate().for_each(|(k, out)| step.state(context, &running, k, out));
            Ok(())
        })
    }

    /// The way back; `marks`: the states that were left, whose places in `args` are not read.
    pub fn behind(
        &self,
        context: &Context,
        args: &[View],
        marks: &mut [ViewMut],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let context = &Context { follow: None, ..*context };
        let places = self.places(marks);
        let nothing = std::iter::repeat_n(View::F64(&[]), self.states);
        let step_args: Vec<View> = nothing.chain(self.shared.iter().map(|k| args[*k])).collect();
        let items = std::iter::repeat_n(View::F64(&[]), self.tiled.items());
        let own = args[..self.carry].iter().copied();
        let back_args: Vec<View> = own.chain(items).chain(self.back_shared.iter().map(|k| args[*k])).collect();
        let (step, field) = (&self.tiled.step, self.tiled.cotangent());
        let mut behind = |memories: &mut Memories, idle: Option<&mut Memory>| {
            let [mut from, mut to] = memories.cotangents(&self.tiled, idle);
            from.iter().zip(args).for_each(|(to, arg)| field.fill(context, *arg, *to));
            let mut begun = self.tiled.begin(context, memories, &step_args, &back_args)?;
            for (segment, (first, count)) in self.segments().enumerate().rev() {
                let computed = computed(&self.tiled, count);
                // Behind the state that was left lie those of segments that are done.
                let starts = &places[segment..segment + computed];
                self.again(context, &step_args, first, starts)?;
                for pass in (0..count).rev() {
                    let from_start = pass.min(computed - 1);
                    let steps = |a: usize, b: usize| self.bounds[first + b] - self.bounds[first + a];
                    let steps = (steps(from_start, pass), steps(pass, pass + 1));
                    // SAFETY: states and cotangents lie in arrays of their own; `to` are those that are not read, or a pass is in place.
                    unsafe { self.tiled.pass(context, &mut begun, steps, &starts[from_start], &from, &to) };
                    std::mem::swap(&mut from, &mut to);
                }
            }
            outs.iter_mut().zip(&from).for_each(|(out, c)| field.read(context, *c, out));
            Ok(())
        };
        self.tiled.with_memories(|memories| match self.lent {
            true => step.with_memory(|idle| behind(memories, Some(idle))),
            false => behind(memories, None),
        })
    }

    /// The states before the passes of a segment, from the first of them.
    fn again(&self, context: &Context, args: &[View], first: usize, starts: &[Vec<*mut u8>]) -> Result<(), Fault> {
        let step = &self.tiled.step;
        if starts.len() < 2 {
            return Ok(());
        }
        step.with_memory(|memory| {
            let mut running = step.begin_at(context, memory, args, &starts[0])?;
            for (pass, place) in starts.iter().enumerate().skip(1) {
                let steps = self.bounds[first + pass] - self.bounds[first + pass - 1];
                step.go_on_to(context, &mut running, steps, Some(place), &nothing_outside);
            }
            Ok(())
        })
    }
}

fn nothing_outside(_: usize, _: super::running::Outer, _: usize) -> *mut u8 {
    unreachable!("compiler bug: rows or items of plain steps")
}

/// Before how many passes of a segment the state is in memory: the last pass makes its own way from where the one before it begins.
fn computed(tiled: &Tiled, count: usize) -> usize {
    if tiled.skips() { (count - 1).max(1) } else { count }
}

/// How many passes each segment is of, where so many states can be left: one, and the first ones more. A segment has at most one pass more than
/// there are segments behind it, whose places are free by then. Where that is too little, there are more segments.
fn divided(passes: usize, room: usize) -> Vec<usize> {
    let least = (1..).find(|n| n * (n + 1) / 2 >= passes).unwrap_or(passes);
    let segments = room.clamp(least, passes);
    let mut counts = vec![1; segments];
    let mut left = passes - segments;
    while left > 0 {
        for (segment, count) in counts.iter_mut().enumerate() {
            if left > 0 && *count < segments - segment {
                (*count, left) = (*count + 1, left - 1);
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::native::buffers;
    use crate::backend::native::pool::Pool;
    use crate::ir::eval::eval;
    use crate::ir::{Builder, Func, Op, Tensor};
    use std::sync::Arc;

    #[test]
    fn segments_have_places_for_their_passes() {
        assert_eq!(divided(5, 9), [1; 5]);
        assert_eq!(divided(9, 6), [2, 2, 2, 1, 1, 1]);
        assert_eq!(divided(10, 2), [4, 3, 2, 1]);
        for (passes, room) in [(40, 3), (40, 20), (32, 32), (1, 0)] {
            let counts = divided(passes, room);
            assert_eq!(counts.iter().sum::<usize>(), passes);
            assert!(counts.iter().rev().enumerate().all(|(behind, count)| *count <= behind + 1), "{counts:?}");
        }
    }

    /// u ↦ u + k(u₊ - u)u, and the way back; with another state beside, which is u before the step.
    fn step(levels: usize) -> (Func, Func) {
        let ty = Type::f64([90, 40]);
        let mut b = Builder::new("step");
        let states: Vec<_> = (0..levels).map(|_| b.input(ty.clone())).collect();
        let (u, k) = (states[0], b.input(Type::f64([])));
        let near = b.op(Op::Roll { axis: 0, shift: -1 }, &[u]);
        let slope = b.sub(near, states[levels - 1]);
        let moved = b.mul(slope, u);
        let moved = b.mul(moved, k);
        let next = b.add(u, moved);
        let step = b.finish([vec![next], states[..levels - 1].to_vec()].concat());
        let all = crate::passes::optimise(crate::ad::vjp(&step, &(0..levels).collect::<Vec<_>>()));
        let mut b = Builder::new("back");
        let cotangents: Vec<_> = (0..levels).map(|_| b.input(ty.clone())).collect();
        let rest: Vec<_> = step.inputs.iter().map(|t| b.input(t.clone())).collect();
        let out = b.inline(&all, &[&rest[..], &cotangents].concat());
        (step, crate::ir::build::drop_dead(b.finish(out[levels..].to_vec())))
    }

    /// Sixty steps in passes of four, with room for few states and for many, against the interpreter: to the bit.
    #[test]
    fn runs_there_and_back() {
        const STEPS: usize = 60;
        for levels in [1, 2] {
            let (step, back) = step(levels);
            let numbers = |seed: usize| {
                let of = |i: usize| ((i * 7919 + seed) % 1009) as f64 / 1009.0 - 0.5;
                Tensor::f64([90, 40], (0..3600).map(of).collect::<Vec<_>>())
            };
            let k = Tensor::f64([], vec![1e-2]);
            let mut tape: Vec<Vec<Tensor>> = vec![(0..levels).map(numbers).collect()];
            for s in 0..STEPS {
                tape.push(eval(&step, &[&tape[s][..], std::slice::from_ref(&k)].concat()).expect("a step"));
            }
            let seeds: Vec<Tensor> = (0..levels).map(|s| numbers(s + 17)).collect();
            let mut expected = seeds.clone();
            for state in tape[..STEPS].iter().rev() {
                expected =
                    eval(&back, &[&expected[..], state, std::slice::from_ref(&k)].concat()).expect("a step back");
            }
            for (room, threads) in [(1, 1), (6, 2), (9, 1), (100, 2)] {
                let ahead = Marking {
                    step: Arc::new(step.clone()),
                    segments: 6,
                    length: 10,
                    rows: (0..levels).collect(),
                    args: (0..=levels).collect(),
                };
                let loops = Loops {
                    steps: step.clone(),
                    back: Arc::new(back.clone()),
                    segments: 6,
                    length: 10,
                    carry: levels,
                    states: levels,
                    shared: vec![2 * levels],
                    back_shared: vec![2 * levels],
                    items: (0..levels).collect(),
                };
                let shape = Shape { steps: 4, block: 8, parts: threads };
                let pair = Pair::of(ahead, &loops, 2, Some((shape, room))).expect("code").expect("a pair");
                let pool = Pool::new(threads);
                let context = Context { pool: Some(&pool), follow: None };
                let field = &step.inputs[..levels];
                let mut ends = buffers(field.iter());
                let mut marks = buffers(field.iter().map(|t| pair.marks(t)).collect::<Vec<_>>().iter());
                let mut outs: Vec<ViewMut> = ends.iter_mut().chain(&mut marks).map(|b| b.view_mut()).collect();
                let args: Vec<View> = tape[0].iter().chain([&k]).map(View::of_tensor).collect();
                pair.ahead(&context, &args, &mut outs).expect("steps");
                let bits = |t: &Tensor| t.to_f64().iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<_>>();
                let same = |got: &[crate::backend::native::Buffer], wanted: &[Tensor]| {
                    got.iter().zip(wanted).all(|(g, w)| bits(&g.view().to_tensor(&w.ty)) == bits(w))
                };
                assert!(same(&ends, &tape[STEPS]), "ahead, {levels} levels, room {room}, {threads} threads");
                let nothing = std::iter::repeat_n(View::F64(&[]), levels);
                let args: Vec<View> =
                    seeds.iter().map(View::of_tensor).chain(nothing).chain([View::of_tensor(&k)]).collect();
                let mut gradients = buffers(field.iter());
                let mut outs: Vec<ViewMut> = gradients.iter_mut().map(|b| b.view_mut()).collect();
                let mut places: Vec<ViewMut> = marks.iter_mut().map(|b| b.view_mut()).collect();
                pair.behind(&context, &args, &mut places, &mut outs).expect("steps back");
                assert!(same(&gradients, &expected), "behind, {levels} levels, room {room}, {threads} threads");
            }
        }
    }
}
