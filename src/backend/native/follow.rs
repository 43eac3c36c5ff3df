//! Loops in chunks of steps, so that they can be followed: see [`Watch`](crate::backend::watch::Watch).
//!
//! A state that is not finite stops a loop. It is looked for at the end of a chunk; the chunk then runs again from its beginning,
//! step by step, to the first bad one.
//!
//! Runs that lie in an item, a solve or a branch are not followed but guarded: nobody is told how far they are, and a state that is
//! not finite is looked for at their end; such a run begins again, step by step. What their system claims is looked at on the way.

use super::buffer::{Buffer, View, ViewMut};
use super::structured::unchanged;
use super::{Context, buffers};
use crate::backend::watch::{Reached, Saved, Watch};
use crate::ir::{Fault, Type};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Who follows the loops of a run, and the loop around this place.
#[derive(Clone, Copy)]
pub struct Follow<'a> {
    pub watch: &'a dyn Watch,
    above: Option<&'a Reached<'a>>,
    /// A bad step is known to be here: every step is looked at.
    closely: bool,
    /// Nobody is told how far a loop is, nor are there checkpoints.
    quiet: bool,
    /// Loops here are guarded, but for those of the run with a body of this name, if there is one around.
    aside: Option<Option<&'a str>>,
    /// The steps of a chunk that the loop inside found good, for when it begins again; 0 where it has not yet.
    chunk: Option<&'a AtomicUsize>,
}

impl<'a> Follow<'a> {
    pub fn new(watch: &'a dyn Watch) -> Follow<'a> {
        Follow { watch, above: None, closely: false, quiet: false, aside: None, chunk: None }
    }

    /// In anything but a loop, or in several steps at once: here loops are guarded.
    pub fn aside(self) -> Follow<'a> {
        let run = self.aside.unwrap_or(self.above.map(|above| above.body));
        Follow { aside: Some(run), ..Follow::quiet(self.watch) }
    }

    fn quiet(watch: &'a dyn Watch) -> Follow<'a> {
        Follow { quiet: true, ..Follow::new(watch) }
    }
}

/// What is done with a loop.
pub enum Entry<'a> {
    /// It runs, and loops in it are treated so.
    Plain(Option<Follow<'a>>),
    Guarded(&'a dyn Watch),
    Followed(Follow<'a>),
}

/// What is done with the loop of a body of this name.
pub fn entry<'a>(follow: Option<Follow<'a>>, body: &str, reverse: bool) -> Entry<'a> {
    let Some(follow) = follow else { return Entry::Plain(None) };
    let watch = follow.watch;
    let around = follow.aside.unwrap_or(follow.above.map(|above| above.body));
    let same = around.is_some_and(|run| watch.same_run(run, body));
    match follow.aside {
        _ if !watch.follows(body) => Entry::Plain(Some(follow.aside())),
        // The run that this loop is a part of is looked at as a whole.
        Some(_) if same || reverse => Entry::Plain(Some(follow)),
        None if around.is_none() || same => Entry::Followed(follow),
        _ if reverse => Entry::Plain(Some(follow.aside())),
        _ => Entry::Guarded(watch),
    }
}

/// The shape of a loop.
#[derive(Clone, Copy)]
pub struct Loop<'a> {
    /// Name of its body.
    pub name: &'a str,
    pub length: usize,
    pub carry: usize,
    /// Arguments that are split over the steps.
    pub xs: usize,
    pub reverse: bool,
    /// A round of it may be long: there is a loop in it.
    pub holds_loop: bool,
}

/// What the steps leave behind.
pub struct Rows<'r, 'v> {
    /// All of it, or nothing of each where it is handed over.
    pub whole: &'r mut [ViewMut<'v>],
    /// Of a step.
    pub types: &'r [Type],
    /// That of a chunk, where it is handed over.
    chunk: Option<Vec<Buffer>>,
}

impl<'r, 'v> Rows<'r, 'v> {
    pub fn new(whole: &'r mut [ViewMut<'v>], types: &'r [Type]) -> Rows<'r, 'v> {
        let taken = whole.iter().zip(types).any(|(r, ty)| r.view().is_empty() && !ty.is_empty());
        Rows { whole, types, chunk: taken.then(|| types.iter().map(|ty| Buffer::zeros(ty.dtype, 0)).collect()) }
    }

    /// Those of the steps before a range, as far as they are kept, and the places of those in it.
    fn around(&mut self, of: Loop, range: &Range<usize>) -> (Vec<View<'_>>, Vec<ViewMut<'_>>) {
        if let Some(chunk) = &mut self.chunk {
            let now = chunk.iter_mut().zip(self.types).map(|(b, ty)| {
                let len = range.len() * ty.len();
                if b.view().len() < len {
                    *b = Buffer::zeros(ty.dtype, len);
                }
                b.view_mut().part(0, len)
            });
            return (vec![], now.collect());
        }
        let (mut before, mut now) = (vec![], vec![]);
        for row in self.whole.iter_mut() {
            let item = row.view().len() / of.length;
            // Of a loop that runs backwards, what is done lies behind.
            let (head, rest) =
                row.reborrow().split(if of.reverse { of.length - range.end } else { range.start } * item);
            let (part, tail) = rest.split(range.len() * item);
            before.push(if of.reverse { tail } else { head }.into_view());
            now.push(part);
        }
        (before, now)
    }

    /// Hands over the rows of these steps, if that is what is done with them.
    fn hand_over(&self, watch: &dyn Watch, of: Loop, range: Range<usize>) -> Result<(), Fault> {
        let Some(chunk) = &self.chunk else { return Ok(()) };
        let rows: Vec<View> =
            chunk.iter().zip(self.types).map(|(b, ty)| b.view().part(0, range.len() * ty.len())).collect();
        watch.take(of.name, range, &rows)
    }

    /// Steps of a chunk at most.
    fn most(&self, length: usize) -> usize {
        let bytes: usize = self.types.iter().map(|ty| ty.len() * ty.dtype.size()).sum();
        if self.chunk.is_some() { (BUFFERED / bytes.max(1)).clamp(1, length) } else { length }
    }
}

/// Runs steps from a state to a state and their rows.
pub type Steps<'s> =
    dyn FnMut(&Context, Range<usize>, &[View], &mut [ViewMut], &mut [ViewMut]) -> Result<(), Fault> + 's;

/// A chunk lasts about so long, or a step where that takes longer.
const CHUNK: Duration = Duration::from_millis(250);
/// Entries times steps of the first chunk.
const FIRST: usize = 1 << 22;
/// Bytes of rows that are gathered before they are handed over, where a row is not larger.
const BUFFERED: usize = 1 << 25;
/// Looking at the state may take this part of the time.
const SHARE: u32 = 64;
/// The same where something is claimed of the state.
const WATCHED: u32 = 16;

/// Runs a loop that is not at the top, to the carried values at its end and its rows; where these are bad, it runs again to the first
/// step that is.
pub fn guarded<'v>(
    context: &Context,
    watch: &dyn Watch,
    of: Loop,
    types: &[Type],
    start: &[View],
    (states, rows): (&mut [ViewMut<'v>], &mut [ViewMut<'v>]),
    steps: &mut Steps,
) -> Result<(), Fault> {
    let quiet = Follow::quiet(watch);
    let row_types = &types[of.carry..];
    if watch.watches(of.name) {
        followed(context, quiet, of, types, start, (&mut *states, Rows::new(rows, row_types)), steps)?;
    } else {
        let inside = Follow { aside: Some(Some(of.name)), ..quiet };
        let begin = Reached {
            body: of.name,
            step: 0,
            length: of.length,
            reverse: of.reverse,
            start,
            state: start,
            rows: &[],
            above: None,
        };
        steps(&Context { follow: Some(inside), ..*context }, 0..of.length, start, states, rows)
            .map_err(|fault| bad_start(context, watch, &begin).unwrap_or(fault))?;
        if states.iter().any(|s| entry_not_finite(context, s.view()).is_some()) {
            let closely = Follow { closely: true, ..quiet };
            followed(context, closely, of, types, start, (&mut *states, Rows::new(rows, row_types)), steps)?;
        }
    }
    let state: Vec<View> = states.iter().map(|s| s.view()).collect();
    let Loop { name: body, length, reverse, .. } = of;
    watch.arrived(&Reached { body, step: length, length, reverse, start, state: &state, rows: &[], above: None })
}

/// Runs a loop in chunks, to the carried values at its end and its rows.
pub fn followed(
    context: &Context,
    follow: Follow,
    of: Loop,
    types: &[Type],
    start: &[View],
    (states, mut rows): (&mut [ViewMut], Rows),
    steps: &mut Steps,
) -> Result<(), Fault> {
    let Follow { watch, above, closely, quiet, chunk: known, .. } = follow;
    let carried = || buffers(types[..of.carry].iter());
    let mut from = carried();
    from.iter_mut().zip(start).for_each(|(b, v)| b.view_mut().copy_from(*v));
    let mut to = carried();
    let Loop { name: body, length, reverse, .. } = of;
    let reached = |step| Reached { body, step, length, reverse, start, state: &[], rows: &[], above };
    let saved = if quiet { None } else { watch.begins(&reached(0)) };
    let mut at = match saved {
        Some(saved) if fits(&saved, of, types, &rows) && !closely => restore(&saved, of, &mut from, &mut rows),
        _ => 0,
    };
    // A guess of the entries that are done in a tenth of a chunk.
    let entries: usize = types[..of.carry].iter().map(Type::len).sum();
    let most = rows.most(of.length);
    let mut size = if of.holds_loop { 1 } else { (FIRST / entries.max(1)).clamp(1, most) };
    let watched = !of.reverse && watch.watches(of.name);
    let (least, share) = if watched { (Duration::ZERO, WATCHED) } else { (CHUNK, SHARE) };
    if watched {
        // How dear a look is, is not known yet.
        size = 1;
    }
    if let Some(before) = known.map(|k| k.load(Relaxed)).filter(|k| *k > 0) {
        size = before.min(most);
    }
    let inside = AtomicUsize::new(0);
    let follow = Follow { chunk: Some(&inside), ..follow };
    while at < of.length {
        let end = if closely { at + 1 } else { (at + size).min(of.length) };
        let clock = Instant::now();
        let begin = Reached { state: start, ..reached(0) };
        chunk(context, follow, of, start, at..end, &from, &mut to, &mut rows, steps)
            .map_err(|fault| if at == 0 { bad_start(context, watch, &begin).unwrap_or(fault) } else { fault })?;
        let took = clock.elapsed();
        let looked = Instant::now();
        if !of.reverse
            && let Some(mut bad) = wrong(context, watch, watched, &reached(end), &to)
        {
            if at == 0
                && let Some(fault) = bad_start(context, watch, &begin)
            {
                return Err(fault);
            }
            let mut first = end;
            if end > at + 1 {
                // Again, step by step.
                let closely = Follow { closely: true, ..follow };
                for k in at..end {
                    chunk(context, closely, of, start, k..k + 1, &from, &mut to, &mut rows, steps)?;
                    if let Some(found) = wrong(context, watch, watched, &reached(k + 1), &to) {
                        (first, bad) = (k + 1, found);
                        break;
                    }
                    std::mem::swap(&mut from, &mut to);
                }
            } else if !closely {
                // The loop inside, if one is followed, knows better where.
                let closely = Follow { closely: true, ..follow };
                chunk(context, closely, of, start, at..end, &from, &mut to, &mut rows, steps)?;
            }
            let (state, before): (Vec<View>, Vec<View>) = (views(&to), views(&from));
            let now = Reached { state: &state, ..reached(first) };
            return Err(match bad {
                Wrong::NotFinite(state, entry) => watch.broken(&now, &before, state, entry),
                Wrong::Violated => watch.violated(&now),
            });
        }
        if !quiet {
            rows.hand_over(watch, of, at..end)?;
        }
        // Where nothing is read from outside, a state that stays is the last.
        let still = of.xs == 0 && rows.types.is_empty() && unchanged(&from, &to);
        std::mem::swap(&mut from, &mut to);
        at = if still { of.length } else { end };
        if !quiet {
            let state = views(&from);
            let done = done(&rows, of, at);
            watch.reached(&Reached { state: &state, rows: &done, ..reached(at) })?;
        }
        let wanted = least.max(looked.elapsed() * share);
        if took < wanted / 2 {
            size = (size * 2).min(most);
        } else if took > wanted * 2 {
            size = (size / 2).max(1);
        }
        if let Some(known) = known {
            known.store(size, Relaxed);
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
    start: &[View],
    range: Range<usize>,
    from: &[Buffer],
    to: &mut [Buffer],
    rows: &mut Rows,
    steps: &mut Steps,
) -> Result<(), Fault> {
    let state: Vec<View> = from.iter().map(Buffer::view).collect();
    let mut next: Vec<ViewMut> = to.iter_mut().map(Buffer::view_mut).collect();
    let (step, length, reverse) = (range.start, of.length, of.reverse);
    let (before, mut now) = rows.around(of, &range);
    if range.len() > 1 {
        let inside = Follow { aside: Some(Some(of.name)), ..Follow::quiet(follow.watch) };
        return steps(&Context { follow: Some(inside), ..*context }, range, &state, &mut next, &mut now);
    }
    let here =
        Reached { body: of.name, step, length, reverse, start, state: &state, rows: &before, above: follow.above };
    let inner = Follow { above: Some(&here), ..follow };
    steps(&Context { follow: Some(inner), ..*context }, range, &state, &mut next, &mut now)
}

/// Rows of the steps that are done.
fn done<'a>(rows: &'a Rows, of: Loop, steps: usize) -> Vec<View<'a>> {
    if rows.chunk.is_some() {
        return vec![];
    }
    rows.whole
        .iter()
        .map(|r| {
            let all = r.view();
            let item = all.len() / of.length;
            let first = if of.reverse { of.length - steps } else { 0 };
            all.part(first * item, steps * item)
        })
        .collect()
}

fn fits(saved: &Saved, of: Loop, types: &[Type], kept: &Rows) -> bool {
    let (state, rows) = types.split_at(of.carry);
    let rows = if kept.chunk.is_some() { &[] } else { rows };
    let items = |t: &Type| t.len() * saved.step;
    saved.step <= of.length
        && saved.state.len() == of.carry
        && saved.state.iter().zip(state).all(|(s, t)| s.ty.len() == t.len() && s.ty.dtype == t.dtype)
        && saved.rows.len() == rows.len()
        && saved.rows.iter().zip(rows).all(|(s, t)| s.ty.len() == items(t) && s.ty.dtype == t.dtype)
}

/// Puts back what was saved; gives the step to go on with.
fn restore(saved: &Saved, of: Loop, from: &mut [Buffer], rows: &mut Rows) -> usize {
    from.iter_mut().zip(&saved.state).for_each(|(b, t)| b.view_mut().copy_from(View::of_tensor(t)));
    for (row, t) in rows.whole.iter_mut().zip(&saved.rows) {
        let item = row.view().len() / of.length;
        let first = if of.reverse { of.length - saved.step } else { 0 };
        row.reborrow().part(first * item, saved.step * item).copy_from(View::of_tensor(t));
    }
    saved.step
}

/// What is wrong with a state.
enum Wrong {
    /// The carried value and its entry.
    NotFinite(usize, usize),
    Violated,
}

fn wrong(context: &Context, watch: &dyn Watch, watched: bool, now: &Reached, state: &[Buffer]) -> Option<Wrong> {
    if let Some((k, entry)) = not_finite(context, state) {
        return Some(Wrong::NotFinite(k, entry));
    }
    let state = views(state);
    (watched && !watch.holds(&Reached { state: &state, ..*now })).then_some(Wrong::Violated)
}

/// The fault of a loop that began with something not finite.
fn bad_start(context: &Context, watch: &dyn Watch, begin: &Reached) -> Option<Fault> {
    let found = |(k, v): (usize, &View)| entry_not_finite(context, *v).map(|entry| (k, entry));
    let (k, entry) = begin.start.iter().enumerate().filter(|_| !begin.reverse).find_map(found)?;
    Some(watch.broken(begin, begin.start, k, entry))
}

fn views(state: &[Buffer]) -> Vec<View<'_>> {
    state.iter().map(Buffer::view).collect()
}

/// The first entry that is not finite, of the first carried value that has one.
fn not_finite(context: &Context, state: &[Buffer]) -> Option<(usize, usize)> {
    state.iter().enumerate().find_map(|(k, b)| entry_not_finite(context, b.view()).map(|i| (k, i)))
}

fn entry_not_finite(context: &Context, values: View) -> Option<usize> {
    match values {
        View::F64(x) if !all_finite(context, x, 0.0) => x.iter().position(|x| !x.is_finite()),
        View::F32(x) if !all_finite(context, x, 0.0) => x.iter().position(|x| !x.is_finite()),
        _ => None,
    }
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
