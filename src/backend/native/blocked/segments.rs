//! Loops over segments, which derivatives of long loops are made of (`ad::checkpoints`): the run forwards that leaves a state a
//! segment, and the run back that computes the states of a segment again and goes back over them.
//!
//! Both go on from segment to segment in the layout of the sweeps. Back, the memory of segments that are done takes states of those to
//! come; as long as it is too little for a whole segment, its later part is done first, and states before that are computed once more.
//! [Griewank & Walther 2000, Algorithm 799: revolve] Over two axes the
//! two loops are one [`Pair`](super::Pair) where that is faster.

use super::Blocked;
use super::running::{Outer, Running};
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
    /// All steps of a part of the segment, which leave the state after each step as rows; then all steps back.
    steps: Blocked,
    back: Blocked,
    /// Of each item of the steps back which state it is.
    items: Vec<usize>,
    segments: usize,
    length: usize,
    carry: usize,
    states: usize,
    /// Arguments outside: of the steps those that are shared, of the steps back those behind the items.
    shared: Vec<usize>,
    back_shared: Vec<usize>,
    /// States of a segment that have memory of their own.
    tape: usize,
    /// That memory.
    idle: Mutex<Vec<Vec<Buffer>>>,
}

pub type Dims = (usize, usize, usize, bool);

/// A loop inside a body, and which inputs of the body its arguments are.
fn inner(body: &Func, scan: Value) -> Option<(&Arc<Func>, Dims, Vec<usize>)> {
    let node = body.node(scan);
    let Op::Scan { body: step, length, carry, xs, reverse } = &node.op else { return None };
    let input = |v: &Value| if let Op::Input(k) = body.node(*v).op { Some(k) } else { None };
    let args = node.args.iter().map(|v| input(v).unwrap_or(usize::MAX)).collect();
    Some((step, (*length, *carry, *xs, *reverse), args))
}

fn scans(body: &Func) -> Vec<Value> {
    let only = |op: &Op| matches!(op, Op::Input(_) | Op::Get(_) | Op::Scan { .. });
    if !body.nodes.iter().all(|n| only(&n.op)) {
        return vec![];
    }
    body.values().filter(|(_, n)| matches!(n.op, Op::Scan { .. })).map(|(v, _)| v).collect()
}

/// The result of a loop that a value is.
fn result(body: &Func, v: Value, scan: Value) -> Option<usize> {
    match body.node(v).op {
        Op::Get(k) if body.node(v).args[0] == scan => Some(k),
        _ => None,
    }
}

/// What the loops of a body are to each other.
pub struct Loops {
    pub steps: Func,
    pub back: Arc<Func>,
    pub segments: usize,
    /// Steps of a segment.
    pub length: usize,
    pub carry: usize,
    pub states: usize,
    /// Arguments outside: of the steps those that are shared, of the steps back those behind the items.
    pub shared: Vec<usize>,
    pub back_shared: Vec<usize>,
    /// Of each item of the steps back which state it is.
    pub items: Vec<usize>,
}

impl Loops {
    /// None where a loop is not of this kind.
    pub fn of(body: &Func, (segments, carry, xs, reverse): Dims) -> Option<Loops> {
        let [first, second] = scans(body)[..] else { return None };
        let (step, (length, states, none, way), args) = inner(body, first)?;
        let (back, back_dims, back_args) = inner(body, second)?;
        let plain = reverse && !way && none == 0 && states == xs && back_dims == (length, carry, back_dims.2, true);
        if !plain || length < 2 || args.contains(&usize::MAX) {
            return None;
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
        let items: Vec<usize> = taken
            .iter()
            .map(|v| result(body, *v, first).filter(|r| *r >= states).and_then(before))
            .collect::<Option<_>>()?;
        let back_shared = back_args[carry + back_dims.2..].to_vec();
        let rest = args[states..].iter().chain(&back_shared).all(shared);
        let steps = Func { outputs: step.outputs[..states].to_vec(), ..(**step).clone() };
        let (back, shared) = (back.clone(), args[states..].to_vec());
        let found = Loops { steps, back, segments, length, carry, states, shared, back_shared, items };
        (begins && goes_on && ends && rest).then_some(found)
    }
}

/// A loop over segments whose body is a loop of plain steps, and which leaves the state before each segment.
pub struct Marking {
    pub step: Arc<Func>,
    pub segments: usize,
    /// Steps of a segment.
    pub length: usize,
    /// Of each row which carried value it is.
    pub rows: Vec<usize>,
    /// Where the arguments of the loop inside are among those outside.
    pub args: Vec<usize>,
}

impl Marking {
    /// None where a loop is not of this kind.
    pub fn of(body: &Func, (segments, carry, xs, reverse): Dims) -> Option<Marking> {
        let [scan] = scans(body)[..] else { return None };
        let (step, (length, own, own_xs, way), args) = inner(body, scan)?;
        let goes_on = (0..carry).all(|k| args[k] == k && result(body, body.outputs[k], scan) == Some(k));
        let rows: Vec<usize> = body.outputs[carry..]
            .iter()
            .map(|v| match body.node(*v).op {
                Op::Input(k) if k < carry => Some(k),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let plain = own == carry && xs == 0 && own_xs == 0 && !reverse && !way && step.outputs.len() == carry;
        let found = Marking { step: step.clone(), segments, length, rows, args };
        (plain && goes_on && !found.args.contains(&usize::MAX)).then_some(found)
    }
}

impl Marked {
    /// None where a loop is not of this kind.
    pub fn new(body: &Func, dims: Dims, threads: usize) -> Result<Option<Marked>, Fault> {
        let Some(Marking { step, segments, length, rows, args }) = Marking::of(body, dims) else { return Ok(None) };
        let dims = (segments * length, dims.1, 0, false);
        let Some(steps) = Blocked::new(&step, dims, threads)? else { return Ok(None) };
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
    /// None where the steps are not of this kind.
    pub fn new(of: &Loops, threads: usize) -> Result<Option<Replayed>, Fault> {
        let &Loops { segments, length, carry, states, ref items, .. } = of;
        let mut after = of.steps.clone();
        after.outputs.extend_from_within(..);
        let Some(steps) = Blocked::new(&after, (length, states, 0, false), threads)? else { return Ok(None) };
        let Some(back) = Blocked::new(&of.back, (length, carry, items.len(), true), threads)? else { return Ok(None) };
        // Twice the root of all steps together, with what the loops themselves work in.
        let working = 8 + 2 * carry + 2 * states;
        let all = 2 * (segments * length).isqrt();
        let tape = all.saturating_sub(segments + working).clamp(4.min(length - 1), length - 1);
        let (shared, back_shared) = (of.shared.clone(), of.back_shared.clone());
        let (items, idle) = (items.clone(), Mutex::new(vec![]));
        Ok(Some(Replayed { steps, back, items, segments, length, carry, states, shared, back_shared, tape, idle }))
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
        let dtype = args[0].dtype();
        let reused = self.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let mut own = reused.unwrap_or_else(|| {
            let each = |_| sizes.iter().map(|n| Buffer::zeros(dtype, *n));
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
            self.back_over(context, args, &mut places, outs)
        };
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(own);
        outcome
    }

    /// Arguments of the loop back; items have no place outside.
    fn args_back<'a>(&self, args: &[View<'a>]) -> Vec<View<'a>> {
        let items = std::iter::repeat_n(View::F64(&[]), self.items.len());
        let (cotangents, shared) = (&args[..self.carry], self.back_shared.iter().map(|k| args[*k]));
        cotangents.iter().copied().chain(items).chain(shared).collect()
    }

    /// Arguments of the steps from the state that lies at a place.
    fn args_ahead<'a>(&self, args: &[View<'a>], places: &'a [ViewMut], first: usize) -> Vec<View<'a>> {
        let from = (0..self.states).map(|k| places[first * self.states + k].view());
        from.chain(self.shared.iter().map(|k| args[*k])).collect()
    }

    /// `places`: the states before the segments, then memory for others.
    fn back_over(
        &self,
        context: &Context,
        args: &[View],
        places: &mut [ViewMut],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        self.back.with_memory(|memory| {
            let mut back = self.back.begin(context, memory, &self.args_back(args))?;
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
        let states = self.states;
        let mut left = self.length;
        while left > 0 {
            // Of the steps that are left the last ones, as many as there is memory for.
            let now = left.min(free.len() + 1);
            let (before, part) = if now == left { (0, left) } else { (left - free.len(), free.len()) };
            let pointers: Vec<*mut u8> = places.iter_mut().map(crate::backend::native::kernel::pointer_mut).collect();
            let at = |place: usize, state: usize| pointers[place * states + state];
            // Where the states before these steps lie.
            let mut taken: Vec<usize> = vec![first];
            let step_args = self.args_ahead(args, places, first);
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
    use crate::backend::native::Native;
    use crate::backend::native::lower::{Kind, lower};
    use crate::ir::eval::eval;
    use crate::ir::{Builder, Func, Op, Tensor, Type};
    use crate::passes::optimise;
    use std::sync::Arc;

    /// `length` steps of u + k(u₊ - u)u, the sum of the last state.
    fn run(grid: &[usize], length: usize) -> Func {
        let mut b = Builder::new("step");
        let (u, k) = (b.input(Type::f64(grid)), b.input(Type::f64([])));
        let near = b.op(Op::Roll { axis: 0, shift: -1 }, &[u]);
        let slope = b.sub(near, u);
        let moved = b.mul(slope, u);
        let moved = b.mul(moved, k);
        let next = b.add(u, moved);
        let body = Arc::new(b.finish(vec![next]));
        let mut b = Builder::new("run");
        let (u, k) = (b.input(Type::f64(grid)), b.input(Type::f64([])));
        let end = b.ops(Op::Scan { body, length, carry: 1, xs: 0, reverse: false }, &[u, k])[0];
        let sum = b.sum_all(end);
        b.finish(vec![sum])
    }

    /// The gradient of a thousand steps is a run of segments and one back over them.
    #[test]
    fn gradients_of_long_loops_are_of_this_kind() {
        let has = |f: &Func, of: [fn(&Kind) -> bool; 2]| {
            let program = lower(f, 2).expect("it compiles");
            let count = |of: fn(&Kind) -> bool| program.steps.iter().filter(|s| of(&s.kind)).count();
            assert_eq!(of.map(count), [1, 1]);
            assert_eq!(count(|k| matches!(k, Kind::Scan { .. })), 0);
        };
        let rows: [fn(&Kind) -> bool; 2] = [|k| matches!(k, Kind::Marked(_)), |k| matches!(k, Kind::Replayed(_))];
        let tiles: [fn(&Kind) -> bool; 2] = [|k| matches!(k, Kind::Ahead(_)), |k| matches!(k, Kind::Behind(_))];
        has(&optimise(grad(&run(&[2400], 1000), &[0, 1])), rows);
        // With respect to k, too, something is carried that is no field.
        has(&optimise(grad(&run(&[40, 60], 1000), &[0, 1])), rows);
        has(&optimise(grad(&run(&[140, 60], 1000), &[0])), tiles);
    }

    #[test]
    fn both_ways_back_give_the_bits_of_the_interpreter() {
        for grid in [&[2400][..], &[140, 64]] {
            let back = optimise(grad(&run(grid, 990), &[0]));
            let n: usize = grid.iter().product();
            let start: Vec<f64> = (0..n).map(|i| ((i * 7919) % 1009) as f64 / 1009.0 - 0.5).collect();
            let inputs = [Tensor::f64(grid, start), Tensor::f64([], vec![1e-3])];
            let expected = eval(&back, &inputs).expect("it runs");
            for threads in [1, 2, 3] {
                let native = Native::compile(&back, threads).expect("it compiles");
                // The second run takes over the memory of the first.
                for _ in 0..2 {
                    let out = native.run(&inputs, None).expect("it runs");
                    let bits = |t: &Tensor| t.to_f64().iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<_>>();
                    let same = out.iter().zip(&expected).skip(1).all(|(a, b)| bits(a) == bits(b));
                    assert!(same, "{grid:?}, {threads} threads");
                }
            }
        }
    }
}
