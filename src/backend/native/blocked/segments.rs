//! Loops over segments, which derivatives of long loops are made of (`ad::checkpoints`): the run forwards that leaves a state a
//! segment, and the run back that computes the states of a segment again and goes back over them.
//!
//! Both go on from segment to segment in the layout of the sweeps. Back, the memory of segments that are done takes states of those to
//! come; as long as it is too little for a whole segment, its later part is done first, and states before that are computed once more.
//! [Griewank & Walther 2000, Algorithm 799: revolve]

use super::{Blocked, Outer, Running};
use crate::backend::native::Context;
use crate::backend::native::buffer::{Buffer, View, ViewMut};
use crate::ir::{Fault, Func, Op, Value};
use std::sync::{Arc, Mutex};

/// `(state…, shared…) → (state…, the state before each segment…)`
pub struct Marked {
    steps: Blocked,
    segments: usize,
    /// Steps of a segment.
    length: usize,
    /// Of each row which carried value it is.
    rows: Vec<usize>,
    /// Where the arguments of the loop inside are among those outside.
    args: Vec<usize>,
}

/// `(cotangents…, the state before each segment…, shared…) → cotangents…`, last segment first.
pub struct Replayed {
    /// Leaves the state after each step as rows.
    steps: Blocked,
    back: Blocked,
    segments: usize,
    length: usize,
    carry: usize,
    states: usize,
    /// Arguments outside: of the steps those that are shared, of the steps back all, whose items are those of `items`.
    shared: Vec<usize>,
    back_args: Vec<usize>,
    /// Of each item of the steps back which state it is.
    items: Vec<usize>,
    /// States of a segment that have memory of their own.
    tape: usize,
    idle: Mutex<Vec<Vec<Buffer>>>,
}

pub type Dims = (usize, usize, usize, bool);

/// A loop inside a body, and which inputs of the body its arguments are.
pub fn inner(body: &Func, scan: Value) -> Option<(&Arc<Func>, Dims, Vec<usize>)> {
    let node = body.node(scan);
    let Op::Scan { body: step, length, carry, xs, reverse } = &node.op else { return None };
    let input = |v: &Value| if let Op::Input(k) = body.node(*v).op { Some(k) } else { None };
    let args = node.args.iter().map(|v| input(v).unwrap_or(usize::MAX)).collect();
    Some((step, (*length, *carry, *xs, *reverse), args))
}

pub fn scans(body: &Func) -> Vec<Value> {
    let only = |op: &Op| matches!(op, Op::Input(_) | Op::Get(_) | Op::Scan { .. });
    if !body.nodes.iter().all(|n| only(&n.op)) {
        return vec![];
    }
    body.values().filter(|(_, n)| matches!(n.op, Op::Scan { .. })).map(|(v, _)| v).collect()
}

/// The result of a loop that a value is.
pub fn result(body: &Func, v: Value, scan: Value) -> Option<usize> {
    match body.node(v).op {
        Op::Get(k) if body.node(v).args[0] == scan => Some(k),
        _ => None,
    }
}

impl Marked {
    /// None where a loop is not of this kind.
    pub fn new(body: &Func, (segments, carry, xs, reverse): Dims, threads: usize) -> Result<Option<Marked>, Fault> {
        let [scan] = scans(body)[..] else { return Ok(None) };
        let Some((step, (length, own, own_xs, way), args)) = inner(body, scan) else { return Ok(None) };
        let goes_on = (0..carry).all(|k| args[k] == k && result(body, body.outputs[k], scan) == Some(k));
        let rows: Option<Vec<usize>> = body.outputs[carry..]
            .iter()
            .map(|v| match body.node(*v).op {
                Op::Input(k) if k < carry => Some(k),
                _ => None,
            })
            .collect();
        let plain = own == carry && xs == 0 && own_xs == 0 && !reverse && !way && step.outputs.len() == carry;
        let (true, true, Some(rows), false) = (plain, goes_on, rows, args.contains(&usize::MAX)) else {
            return Ok(None);
        };
        let Some(steps) = Blocked::new(step, (segments * length, carry, 0, false), threads)? else { return Ok(None) };
        Ok(Some(Marked { steps, segments, length, rows, args }))
    }

    pub fn run(&self, context: &Context, args: &[View], outs: &mut [ViewMut]) -> Result<(), Fault> {
        let context = &Context { follow: None, ..*context };
        let args: Vec<View> = self.args.iter().map(|k| args[*k]).collect();
        let (states, rows) = outs.split_at_mut(self.steps.carry);
        self.steps.with_memory(|memory| {
            let mut running = self.steps.begin(context, memory, &args)?;
            for segment in 0..self.segments {
                for (row, &k) in rows.iter_mut().zip(&self.rows) {
                    let len = row.view().len() / self.segments;
                    let mut place = row.reborrow().part(segment * len, len);
                    self.steps.state(context, &running, k, &mut place);
                }
                self.steps.go_on(context, &mut running, self.length, &|_, _, _| unreachable!("compiler bug: rows"));
            }
            states.iter_mut().enumerate().for_each(|(k, out)| self.steps.state(context, &running, k, out));
            Ok(())
        })
    }
}

impl Replayed {
    /// None where a loop is not of this kind.
    pub fn new(body: &Func, (segments, carry, xs, reverse): Dims, threads: usize) -> Result<Option<Replayed>, Fault> {
        let [first, second] = scans(body)[..] else { return Ok(None) };
        let (Some((step, (length, states, none, way), args)), Some((back, back_dims, back_args))) =
            (inner(body, first), inner(body, second))
        else {
            return Ok(None);
        };
        let plain = reverse && !way && none == 0 && states == xs && back_dims == (length, carry, back_dims.2, true);
        if !plain || length < 2 || args.contains(&usize::MAX) {
            return Ok(None);
        }
        // From the states that are items outside; the cotangents are carried through.
        let begins = (0..states).all(|k| args[k] == carry + k);
        let shared = |k: &usize| *k >= carry + xs && *k < body.inputs.len();
        let goes_on = (0..carry).all(|k| back_args[k] == k && result(body, body.outputs[k], second) == Some(k));
        let ends = body.outputs.len() == carry && back.outputs.len() == carry;
        let before = |r: usize| match step.node(step.outputs[r]).op {
            Op::Input(k) if k < states => Some(k),
            _ => None,
        };
        let taken = &body.node(second).args[carry..carry + back_dims.2];
        let items: Option<Vec<usize>> =
            taken.iter().map(|v| result(body, *v, first).filter(|r| *r >= states).and_then(before)).collect();
        let rest = args[states..].iter().chain(&back_args[carry + back_dims.2..]).all(shared);
        let (true, Some(items)) = (begins && goes_on && ends && rest, items) else { return Ok(None) };
        let mut after = (**step).clone();
        after.outputs.truncate(states);
        after.outputs.extend(step.outputs[..states].to_vec());
        let Some(steps) = Blocked::new(&after, (length, states, 0, false), threads)? else { return Ok(None) };
        let Some(back) = Blocked::new(back, back_dims, threads)? else { return Ok(None) };
        // Twice the root of all steps together, with what the loops themselves work in.
        let working = 8 + 2 * carry + 2 * states;
        let all = 2 * (segments * length).isqrt();
        let tape = all.saturating_sub(segments + working).clamp(4.min(length - 1), length - 1);
        Ok(Some(Replayed {
            steps,
            back,
            segments,
            length,
            carry,
            states,
            shared: args[states..].to_vec(),
            back_args,
            items,
            tape,
            idle: Mutex::new(vec![]),
        }))
    }

    /// Which arguments are the states before the segments: they are overwritten.
    pub fn marks(&self) -> std::ops::Range<usize> {
        self.carry..self.carry + self.states
    }

    /// `marks`: those states, whose places in `args` are not read.
    pub fn run(
        &self,
        context: &Context,
        args: &[View],
        marks: &mut [ViewMut],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let context = &Context { follow: None, ..*context };
        let sizes: Vec<usize> = marks.iter().map(|m| m.view().len() / self.segments).collect();
        let reused = self.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let mut own = reused.unwrap_or_else(|| {
            let each = |_| sizes.iter().map(|n| Buffer::zeros(self.steps.dtype, *n));
            (0..self.tape).flat_map(each).collect()
        });
        let outcome = {
            let mut places: Vec<ViewMut> = vec![];
            for segment in 0..self.segments {
                for (mark, &n) in marks.iter_mut().zip(&sizes) {
                    // SAFETY: parts of different segments are disjoint, and nobody else has the marks meanwhile.
                    places.push(unsafe { disjoint(mark, segment * n, n) });
                }
            }
            places.extend(own.iter_mut().map(Buffer::view_mut));
            self.run_in(context, args, &mut places, outs)
        };
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(own);
        outcome
    }

    /// `places`: the states before the segments, then memory for others.
    fn run_in(
        &self,
        context: &Context,
        args: &[View],
        places: &mut [ViewMut],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let nothing = View::F64(&[]);
        let back_args: Vec<View> = self.back_args.iter().map(|k| args.get(*k).copied().unwrap_or(nothing)).collect();
        self.back.with_memory(|memory| {
            let mut back = self.back.begin(context, memory, &back_args)?;
            for segment in (0..self.segments).rev() {
                let free: Vec<usize> = (segment + 1..self.segments + self.tape).collect();
                self.segment(context, args, places, segment, &free, &mut back)?;
            }
            outs.iter_mut().enumerate().for_each(|(k, out)| self.back.state(context, &back, k, out));
            Ok(())
        })
    }

    /// Back over the segment whose first state lies at a place.
    fn segment(
        &self,
        context: &Context,
        args: &[View],
        places: &mut [ViewMut],
        first: usize,
        free: &[usize],
        back: &mut Running,
    ) -> Result<(), Fault> {
        let mut left = self.length;
        while left > 0 {
            // Of the steps that are left the last ones, as many as there is memory for.
            let now = left.min(free.len() + 1);
            let (before, part) = if now == left { (0, left) } else { (left - free.len(), free.len()) };
            let pointers: Vec<*mut u8> = places.iter_mut().map(crate::backend::native::kernel::pointer_mut).collect();
            let at = |place: usize, state: usize| pointers[place * self.states + state];
            // Where the states before these steps lie.
            let mut taken: Vec<usize> = vec![first];
            let from: Vec<View> = (0..self.states).map(|k| places[first * self.states + k].view()).collect();
            let step_args: Vec<View> = from.into_iter().chain(self.shared.iter().map(|k| args[*k])).collect();
            self.steps.with_memory(|memory| -> Result<(), Fault> {
                if part + before < 2 {
                    return Ok(());
                }
                let mut running = self.steps.begin(context, memory, &step_args)?;
                let mut go = |targets: &[usize]| {
                    self.steps.go_on(context, &mut running, targets.len(), &|step, outer, _| match outer {
                        Outer::Row(r) => at(targets[step], r),
                        Outer::Item(_) => unreachable!("compiler bug: steps with items"),
                    });
                };
                let mut done = 0;
                while done < before {
                    let count = free.len().min(before - done);
                    go(&free[..count]);
                    (done, taken) = (done + count, vec![free[count - 1]]);
                }
                let others: Vec<usize> = free.iter().copied().filter(|f| !taken.contains(f)).take(part - 1).collect();
                go(&others);
                taken.extend(others);
                Ok(())
            })?;
            let places_of = |step: usize| taken[part - 1 - step];
            self.back.go_on(context, back, part, &|step, outer, _| match outer {
                Outer::Item(k) => at(places_of(step), self.items[k - self.carry]),
                Outer::Row(_) => unreachable!("compiler bug: steps back with rows"),
            });
            left = before;
        }
        Ok(())
    }
}

/// A part of a view, beside which others of other parts may be.
///
/// # Safety
/// Parts that live at a time are disjoint.
pub unsafe fn disjoint<'a>(v: &mut ViewMut<'_>, start: usize, len: usize) -> ViewMut<'a> {
    fn of<'a, T>(x: &mut [T], start: usize, len: usize) -> &'a mut [T] {
        let part = &mut x[start..start + len];
        // SAFETY: what the caller promises.
        unsafe { std::slice::from_raw_parts_mut(part.as_mut_ptr(), part.len()) }
    }
    match v {
        ViewMut::F64(x) => ViewMut::F64(of(x, start, len)),
        ViewMut::F32(x) => ViewMut::F32(of(x, start, len)),
        ViewMut::Index(x) => ViewMut::Index(of(x, start, len)),
    }
}

#[cfg(test)]
mod tests {
    use crate::ad::grad;
    use crate::backend::native::lower::{Kind, lower};
    use crate::ir::{Builder, Op, Type};
    use crate::passes::optimise;
    use std::sync::Arc;

    /// The gradient of a thousand steps of u + k(u₊ - u)u is a run of segments and one back over them.
    #[test]
    fn gradients_of_long_loops_are_of_this_kind() {
        let n = [40, 60];
        let mut b = Builder::new("step");
        let (u, k) = (b.input(Type::f64(n)), b.input(Type::f64([])));
        let near = b.op(Op::Roll { axis: 0, shift: -1 }, &[u]);
        let slope = b.sub(near, u);
        let moved = b.mul(slope, u);
        let moved = b.mul(moved, k);
        let next = b.add(u, moved);
        let body = Arc::new(b.finish(vec![next]));
        let mut b = Builder::new("run");
        let (u, k) = (b.input(Type::f64(n)), b.input(Type::f64([])));
        let end = b.ops(Op::Scan { body, length: 1000, carry: 1, xs: 0, reverse: false }, &[u, k])[0];
        let sum = b.sum_all(end);
        let run = b.finish(vec![sum]);
        let program = lower(&optimise(grad(&run, &[0, 1])), 2).expect("it compiles");
        let count = |of: fn(&Kind) -> bool| program.steps.iter().filter(|s| of(&s.kind)).count();
        assert_eq!(count(|k| matches!(k, Kind::Marked(_))), 1);
        assert_eq!(count(|k| matches!(k, Kind::Replayed(_))), 1);
        assert_eq!(count(|k| matches!(k, Kind::Scan { .. })), 0);
    }
}
