//! A loop back over segments of a long loop (`ad::checkpoints`) whose steps are any programs: each segment is computed again from the
//! state before it, and gone back over. Memory of states of segments that are done takes those of segments to come; where that is too
//! little yet, the later part of a segment is done first, and states before it are computed once more.
//! [Griewank & Walther 2000, Algorithm 799: revolve]

use super::blocked::segments::{Loops, disjoint};
use super::buffer::{Buffer, View, ViewMut};
use super::structured::{Body, Nested};
use super::{Context, buffers};
use crate::ir::{Fault, Type};

/// `(cotangents…, the state before each segment…, shared…) → cotangents…`, last segment first.
pub struct Retraced {
    /// From state and shared arguments to the state after a step.
    pub steps: Body,
    pub back: Body,
    of: Loops,
    /// States that have memory of their own.
    tape: usize,
}

/// Working memory of a run.
struct Running<'a, 'b> {
    args: &'a [View<'a>],
    nested: &'a [Nested],
    /// The states before the segments, then memory for others.
    places: Vec<ViewMut<'b>>,
    /// Cotangents, and memory for those of the next step.
    cotangents: [Vec<Buffer>; 2],
}

impl Retraced {
    pub fn new(of: Loops, steps: Body, back: Body) -> Retraced {
        /// Of the states of a segment at least this part has memory from the start: the less, the more are computed again.
        const LEAST: usize = 2;
        // Twice the root of all steps together, with what the loops themselves work in.
        let bytes = |types: &[Type]| types.iter().map(|t| t.len() * t.dtype.size()).sum::<usize>();
        let state = bytes(&of.steps.inputs[..of.states]).max(1);
        let carried = bytes(&of.back.inputs[..of.carry]);
        let working = (back.program.bytes() + steps.program.bytes() + 3 * carried).div_ceil(state);
        let all = 2 * (of.segments * of.length).isqrt();
        let most = of.length - 1;
        let tape = all.saturating_sub(of.segments + working).clamp((most / LEAST).max(2).min(most), most);
        Retraced { steps, back, of, tape }
    }

    /// Which arguments are the states before the segments: they are overwritten.
    pub fn marks(&self) -> std::ops::Range<usize> {
        self.of.carry..self.of.carry + self.of.states
    }

    /// `marks`: those states, whose places in `args` are not read.
    pub fn run(
        &self,
        context: &Context,
        nested: &[Nested],
        args: &[View],
        marks: &mut [ViewMut],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let Loops { segments, carry, states, .. } = self.of;
        let types = &self.of.steps.inputs[..states];
        let mut own: Vec<Buffer> = (0..self.tape).flat_map(|_| buffers(types.iter())).collect();
        let mut places: Vec<ViewMut> = vec![];
        for segment in 0..segments {
            for (mark, ty) in marks.iter_mut().zip(types) {
                // SAFETY: parts of different segments are disjoint, and nobody else has the marks meanwhile.
                places.push(unsafe { disjoint(mark, segment * ty.len(), ty.len()) });
            }
        }
        places.extend(own.iter_mut().map(Buffer::view_mut));
        let first = args[..carry].iter().map(|a| Buffer::copy_of(*a)).collect();
        let cotangents = [first, buffers(self.of.back.inputs[..carry].iter())];
        let mut running = Running { args, nested, places, cotangents };
        for segment in (0..segments).rev() {
            let free: Vec<usize> = (segment + 1..segments + self.tape).collect();
            self.segment(context, &mut running, segment, &free)?;
        }
        outs.iter_mut().zip(&running.cotangents[0]).for_each(|(out, c)| out.copy_from(c.view()));
        Ok(())
    }

    /// Back over the segment whose first state lies at a place.
    fn segment(&self, context: &Context, w: &mut Running, first: usize, free: &[usize]) -> Result<(), Fault> {
        let mut left = self.of.length;
        while left > 0 {
            // Of the steps that are left the last ones, as many as there is memory for.
            let (before, part) = if left <= free.len() + 1 { (0, left) } else { (left - free.len(), free.len()) };
            let mut at = first;
            for done in 0..before {
                // Two places in turn.
                let to = free[done % 2];
                self.step(context, w, at, to)?;
                at = to;
            }
            // Where the states before these steps lie.
            let mut taken: Vec<usize> = vec![at];
            for &to in free.iter().filter(|f| **f != at).take(part - 1) {
                self.step(context, w, taken[taken.len() - 1], to)?;
                taken.push(to);
            }
            for &place in taken.iter().rev() {
                self.step_back(context, w, place)?;
            }
            left = before;
        }
        Ok(())
    }

    fn step(&self, context: &Context, w: &mut Running, from: usize, to: usize) -> Result<(), Fault> {
        let n = self.of.states;
        let mut outs: Vec<ViewMut> = w.places[to * n..(to + 1) * n].iter_mut().map(std::mem::take).collect();
        let state = w.places[from * n..(from + 1) * n].iter().map(ViewMut::view);
        let inputs: Vec<View> = state.chain(self.of.shared.iter().map(|k| w.args[*k])).collect();
        let outcome = self.steps.call(context, &w.nested[self.steps.number], &inputs, &mut outs);
        w.places[to * n..(to + 1) * n].iter_mut().zip(outs).for_each(|(place, out)| *place = out);
        outcome
    }

    fn step_back(&self, context: &Context, w: &mut Running, place: usize) -> Result<(), Fault> {
        let [from, to] = &mut w.cotangents;
        let items = self.of.items.iter().map(|k| w.places[place * self.of.states + k].view());
        let shared = self.of.back_shared.iter().map(|k| w.args[*k]);
        let inputs: Vec<View> = from.iter().map(Buffer::view).chain(items).chain(shared).collect();
        let mut outs: Vec<ViewMut> = to.iter_mut().map(Buffer::view_mut).collect();
        self.back.call(context, &w.nested[self.back.number], &inputs, &mut outs)?;
        std::mem::swap(from, to);
        Ok(())
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

    /// Two thousand steps of z + k F(u v), u = F⁻¹(z), v = F⁻¹(z²): the derivative along a direction, forwards and back.
    #[test]
    fn gradients_of_long_spectral_loops_are_of_this_kind() {
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
        let end = b.ops(Op::Scan { body, length: 2000, carry: 1, xs: 0, reverse: false }, &[z, k])[0];
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
