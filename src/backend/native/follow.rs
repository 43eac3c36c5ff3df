//! Loops in chunks of steps, so that they can be followed: see [`Watch`](crate::backend::watch::Watch).
//!
//! A state that is not finite stops a loop. It is looked for at the end of a chunk; the chunk then runs again from its beginning,
//! step by step, to the first bad one.

use super::buffer::{Buffer, View, ViewMut};
use super::{Context, buffers};
use crate::backend::watch::{Reached, Saved, Watch};
use crate::ir::{Fault, Type};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Who follows the loops of a run, and the loop around this place.
#[derive(Clone, Copy)]
pub struct Follow<'a> {
    pub watch: &'a dyn Watch,
    above: Option<&'a Reached<'a>>,
    /// A bad step is known to be here: every step is looked at.
    closely: bool,
}

impl<'a> Follow<'a> {
    pub fn new(watch: &'a dyn Watch) -> Follow<'a> {
        Follow { watch, above: None, closely: false }
    }
}

/// The shape of a loop.
#[derive(Clone, Copy)]
pub struct Loop<'a> {
    /// Name of its body.
    pub name: &'a str,
    pub length: usize,
    pub carry: usize,
    pub reverse: bool,
    /// A round of it may be long: there is a loop in it.
    pub holds_loop: bool,
}

/// Runs steps from a state to a state and their rows.
pub type Steps<'s> =
    dyn FnMut(&Context, Range<usize>, &[View], &mut [ViewMut], &mut [ViewMut]) -> Result<(), Fault> + 's;

/// A chunk lasts about so long, or a step where that takes longer.
const CHUNK: Duration = Duration::from_millis(250);
/// Entries times steps of the first chunk.
const FIRST: usize = 1 << 22;
/// Looking at the state may take this part of the time.
const SHARE: u32 = 64;

/// Runs a loop in chunks, to the carried values at its end and its rows.
pub fn followed(
    context: &Context,
    follow: Follow,
    of: Loop,
    types: &[Type],
    start: &[View],
    (states, rows): (&mut [ViewMut], &mut [ViewMut]),
    steps: &mut Steps,
) -> Result<(), Fault> {
    let Follow { watch, above, closely } = follow;
    let carried = || buffers(types[..of.carry].iter());
    let mut from = carried();
    from.iter_mut().zip(start).for_each(|(b, v)| b.view_mut().copy_from(*v));
    let mut to = carried();
    let reached =
        |step| Reached { body: of.name, step, length: of.length, reverse: of.reverse, state: &[], rows: &[], above };
    let mut at = match watch.begins(&reached(0)) {
        Some(saved) if fits(&saved, of, types) && !closely => restore(&saved, of, &mut from, rows),
        _ => 0,
    };
    // A guess of the entries that are done in a tenth of a chunk.
    let entries: usize = types[..of.carry].iter().map(Type::len).sum();
    let mut size = if of.holds_loop { 1 } else { (FIRST / entries.max(1)).clamp(1, of.length) };
    while at < of.length {
        let end = if closely { at + 1 } else { (at + size).min(of.length) };
        let clock = Instant::now();
        chunk(context, follow, of, at..end, &from, &mut to, rows, steps)?;
        let took = clock.elapsed();
        let looked = Instant::now();
        if !of.reverse
            && let Some(mut bad) = not_finite(context, &to)
        {
            let mut first = end;
            if end > at + 1 {
                // Again, step by step.
                let closely = Follow { closely: true, ..follow };
                for k in at..end {
                    chunk(context, closely, of, k..k + 1, &from, &mut to, rows, steps)?;
                    if let Some(found) = not_finite(context, &to) {
                        (first, bad) = (k + 1, found);
                        break;
                    }
                    std::mem::swap(&mut from, &mut to);
                }
            } else if !closely {
                // The loop inside, if one is followed, knows better where.
                chunk(context, Follow { closely: true, ..follow }, of, at..end, &from, &mut to, rows, steps)?;
            }
            let state: Vec<View> = to.iter().map(Buffer::view).collect();
            return Err(watch.broken(&Reached { state: &state, ..reached(first) }, bad.0, bad.1));
        }
        let guard = looked.elapsed();
        std::mem::swap(&mut from, &mut to);
        at = end;
        {
            let state: Vec<View> = from.iter().map(Buffer::view).collect();
            let done = done(rows, of, at);
            watch.reached(&Reached { state: &state, rows: &done, ..reached(at) })?;
        }
        let wanted = CHUNK.max(guard * SHARE);
        if took < wanted / 2 {
            size = (size * 2).min(of.length);
        } else if took > wanted * 2 {
            size = (size / 2).max(1);
        }
    }
    states.iter_mut().zip(&from).for_each(|(s, b)| s.copy_from(b.view()));
    Ok(())
}

/// Steps of a loop; a single one is a place where an inner loop can be followed.
// States, rows and steps are borrowed apart, so that one record could not hold them.
#[allow(clippy::too_many_arguments)]
fn chunk(
    context: &Context,
    follow: Follow,
    of: Loop,
    range: Range<usize>,
    from: &[Buffer],
    to: &mut [Buffer],
    rows: &mut [ViewMut],
    steps: &mut Steps,
) -> Result<(), Fault> {
    let state: Vec<View> = from.iter().map(Buffer::view).collect();
    let mut next: Vec<ViewMut> = to.iter_mut().map(Buffer::view_mut).collect();
    let (step, length, reverse) = (range.start, of.length, of.reverse);
    let (mut before, mut now) = (vec![], vec![]);
    for row in rows.iter_mut() {
        let item = row.view().len() / length;
        // Of a loop that runs backwards, what is done lies behind.
        let (head, rest) = row.reborrow().split(if reverse { length - range.end } else { step } * item);
        let (part, tail) = rest.split(range.len() * item);
        before.push(if reverse { tail } else { head });
        now.push(part);
    }
    if range.len() > 1 {
        return steps(&Context { follow: None, ..*context }, range, &state, &mut next, &mut now);
    }
    let before: Vec<View> = before.iter().map(ViewMut::view).collect();
    let here = Reached { body: of.name, step, length, reverse, state: &state, rows: &before, above: follow.above };
    let inner = Follow { above: Some(&here), ..follow };
    steps(&Context { follow: Some(inner), ..*context }, range, &state, &mut next, &mut now)
}

/// Rows of the steps that are done.
fn done<'a>(rows: &'a [ViewMut], of: Loop, steps: usize) -> Vec<View<'a>> {
    rows.iter()
        .map(|r| {
            let all = r.view();
            let item = all.len() / of.length;
            let first = if of.reverse { of.length - steps } else { 0 };
            all.part(first * item, steps * item)
        })
        .collect()
}

fn fits(saved: &Saved, of: Loop, types: &[Type]) -> bool {
    let (state, rows) = types.split_at(of.carry);
    let items = |t: &Type| t.len() * saved.step;
    saved.step <= of.length
        && saved.state.len() == of.carry
        && saved.state.iter().zip(state).all(|(s, t)| s.ty.len() == t.len() && s.ty.dtype == t.dtype)
        && saved.rows.len() == rows.len()
        && saved.rows.iter().zip(rows).all(|(s, t)| s.ty.len() == items(t) && s.ty.dtype == t.dtype)
}

/// Puts back what was saved; gives the step to go on with.
fn restore(saved: &Saved, of: Loop, from: &mut [Buffer], rows: &mut [ViewMut]) -> usize {
    from.iter_mut().zip(&saved.state).for_each(|(b, t)| b.view_mut().copy_from(View::of_tensor(t)));
    for (row, t) in rows.iter_mut().zip(&saved.rows) {
        let item = row.view().len() / of.length;
        let first = if of.reverse { of.length - saved.step } else { 0 };
        row.reborrow().part(first * item, saved.step * item).copy_from(View::of_tensor(t));
    }
    saved.step
}

/// The first entry that is not finite, of the first carried value that has one.
fn not_finite(context: &Context, state: &[Buffer]) -> Option<(usize, usize)> {
    state.iter().enumerate().find_map(|(k, b)| match b {
        Buffer::F64(x) if !all_finite(context, x, 0.0) => x.iter().position(|x| !x.is_finite()).map(|i| (k, i)),
        Buffer::F32(x) if !all_finite(context, x, 0.0) => x.iter().position(|x| !x.is_finite()).map(|i| (k, i)),
        _ => None,
    })
}

/// Zero times a number is zero unless it is not finite: sums of such products, in parts that threads share.
fn all_finite<T>(context: &Context, x: &[T], zero: T) -> bool
where
    T: Copy + Send + Sync + std::ops::Mul<Output = T> + std::ops::AddAssign + PartialEq,
{
    use std::sync::atomic::{AtomicBool, Ordering};
    const LANES: usize = 16;
    const PART: usize = 1 << 16;
    let fine = |x: &[T]| {
        let mut sums = [zero; LANES];
        let mut chunks = x.chunks_exact(LANES);
        for c in &mut chunks {
            for (s, v) in sums.iter_mut().zip(c) {
                *s += *v * zero;
            }
        }
        sums.iter().all(|s| *s == zero) && chunks.remainder().iter().all(|v| *v * zero == zero)
    };
    if x.len() <= PART {
        return fine(x);
    }
    let all = AtomicBool::new(true);
    context.parallel(x.len().div_ceil(PART), &|t, _| {
        if !fine(&x[t * PART..x.len().min((t + 1) * PART)]) {
            all.store(false, Ordering::Relaxed);
        }
    });
    all.load(Ordering::Relaxed)
}
