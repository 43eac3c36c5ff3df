//! Some steps and the steps back over them, in one pass over memory.
//!
//! The states that the steps back read are never whole: rows of later sweeps need rows of earlier ones at most `reach` away, so the
//! steps forwards go over the grid as a wave, and the steps back as a wave behind it. Of each state the rows between the two are kept,
//! in a [`Ring`] that stays in cache: the longer, the earlier the state. Threads take parts of the rows, and compute what they need
//! beyond the ends of their part themselves, since a ring forgets. The operations are those of step by step, so the bits are the same.
//!
//! [Wolfe 1989, More iteration space tiling; Griewank & Walther 2008, Evaluating Derivatives, §12]

use super::layout::{Field, Memory};
use super::read::{self, End, Extent, Source};
use super::rings::{GRAIN, Ring};
use super::roots::{self, Roots};
use super::{Blocked, Kind, Layout, Next, Sweep};
use crate::backend::native::buffer::{Buffer, View};
use crate::backend::native::kernel::Pointers;
use crate::backend::native::small::Flush;
use crate::backend::native::{Context, processors};
use crate::ir::{Fault, Func};
use std::ops::Range;
use std::sync::Mutex;

/// A step and the step back over it.
pub struct Tiled {
    pub step: Blocked,
    back: Blocked,
    /// Of each item of the step back which carried value of the step it is.
    items: Vec<usize>,
    reach: usize,
    periodic: bool,
    shape: Shape,
    idle: Mutex<Vec<Vec<Ring>>>,
}

/// How much is done at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Steps of a pass, at most.
    pub steps: usize,
    /// Rows by which a wave goes on.
    pub block: usize,
    /// Parts of the rows.
    pub parts: usize,
}

/// Of a ring: rows, bytes from one to the next, and those of them that are read or written.
struct Size {
    rows: usize,
    pitch: usize,
    touched: usize,
}

/// What the passes of a run have in common.
pub struct Begun {
    step: Vec<*mut u8>,
    back: Vec<*mut u8>,
    _made: [Vec<Buffer>; 2],
}

/// One sweep of a pass, or one copy, by position in time.
struct Stage<'a> {
    work: Work<'a>,
    /// Of each slot.
    table: Vec<Place>,
}

enum Work<'a> {
    /// Rings from dense arrays, and dense arrays from rings.
    In(Vec<(usize, &'a Field, *const u8)>),
    Out(Vec<(usize, &'a Field, *mut u8)>),
    Sweep(&'a Blocked, &'a Sweep),
}

#[derive(Clone, Copy)]
enum Place {
    Fixed(*mut u8),
    Ring(usize),
}

/// One pass.
struct Pass<'a> {
    stages: Vec<Stage<'a>>,
    reach: usize,
    rows: usize,
    periodic: bool,
    block: usize,
    margin: usize,
}

// SAFETY: the pointers lead to arrays that nobody writes, or of which each part writes its own rows.
unsafe impl Sync for Pass<'_> {}

/// Steps of a pass: as many as are worth a program of their own, and at most.
const FEWEST: usize = 4;
const MOST: usize = 32;
/// Rows of a block, where no other number is asked for.
const BLOCK: usize = 16;

impl Tiled {
    /// Of `step: (states…, shared…) → states…` and `back: (cotangents…, items…, shared…) → cotangents…`, of which a run takes so many steps
    /// between two states that are kept. None where they are not of this kind, or nothing is gained.
    pub fn new(
        step: &Func,
        back: &Func,
        (length, states, carry): (usize, usize, usize),
        items: &[usize],
        threads: usize,
        shape: Option<Shape>,
    ) -> Result<Option<Tiled>, Fault> {
        let first = &step.inputs[0];
        let rank = first.shape.len();
        let start = rank.wrapping_sub(2);
        let fields = first.dtype.is_float() && (rank == 2 || rank == 3 && first.shape[0] <= super::COMPONENTS);
        let alike = step.inputs[..states].iter().chain(&back.inputs[..carry + items.len()]).all(|t| t == first);
        let apart = Blocked::all_made(step, states) && Blocked::all_made(back, carry);
        if !fields || !alike || !apart || length < 2 || !crate::backend::native::kernel::available() {
            return Ok(None);
        }
        let grid = &first.shape[start..];
        let Some((ahead, mut there)) = measured(step, (states, 0), grid) else { return Ok(None) };
        let Some((behind, here)) = measured(back, (carry, items.len()), grid) else { return Ok(None) };
        let Some((ghosts, ends)) = common(&there, &here, carry..carry + items.len(), rank) else { return Ok(None) };
        there.widen(&ghosts, &ends);
        let around = |x: &Extent| x.ends_of_changing().any(|(_, e)| e[start] == End::Around);
        let zeros = |x: &Extent| x.ends_of_changing().any(|(_, e)| e[start] == End::Zeros);
        let periodic = around(&there) || around(&here);
        let mixed = periodic && (zeros(&there) || zeros(&here));
        if mixed || there.across || here.across {
            return Ok(None);
        }
        // Pages repeat where rows are a part of them.
        let mut layout = Layout { lines: GRAIN, items: None };
        let dims = (length, states, 0, false);
        let Some(step) = Blocked::compiled(step, dims, grid, threads, (&ahead, &there), &layout)? else {
            return Ok(None);
        };
        layout.items = Some(items.iter().map(|k| step.old(*k).clone()).collect());
        let dims = (length, carry, items.len(), true);
        let Some(back) = Blocked::compiled(back, dims, grid, threads, (&behind, &here), &layout)? else {
            return Ok(None);
        };
        let mut tiled = Tiled {
            step,
            back,
            items: items.to_vec(),
            reach: there.reach[0].max(here.reach[0]),
            periodic,
            shape: Shape { steps: 0, block: BLOCK, parts: threads },
            idle: Mutex::new(vec![]),
        };
        let Some(shape) = shape.or_else(|| tiled.fitting(length, threads)) else { return Ok(None) };
        tiled.shape = shape;
        Ok(Some(tiled))
    }

    /// Items of the step back.
    pub fn items(&self) -> usize {
        self.items.len()
    }

    /// Steps of a pass, at most.
    pub fn most(&self) -> usize {
        self.shape.steps
    }

    /// As many steps as have their rings in the cache of a processor, and do not compute too much twice.
    fn fitting(&self, length: usize, threads: usize) -> Option<Shape> {
        let rows = self.step.grid[0];
        // Fewer passes are worth rings that are partly in a cache further away.
        let cache = 4 * processors::second_level_cache();
        let state = self.step.old(0).pitch() * rows * self.step.carry;
        // What stays in cache as it is needs no waves.
        if state * length <= cache {
            return None;
        }
        let parts = threads.clamp(1, rows);
        let fits = |steps: usize| {
            let shape = Shape { steps, block: BLOCK, parts };
            let bytes: usize = self.rings(shape).iter().map(|r| r.rows * r.touched).sum();
            let twice = self.times(steps) * self.reach;
            (bytes <= cache && twice <= rows / parts / 3).then_some(shape)
        };
        let most = (FEWEST..=MOST.min(length)).rev().find_map(fits)?;
        // Passes of like length.
        let passes = length.div_ceil(most.steps);
        Some(Shape { steps: length.div_ceil(passes), ..most })
    }

    /// Stages of a pass of so many steps.
    fn times(&self, steps: usize) -> usize {
        (steps - 1) * self.step.sweeps.len() + steps * self.back.sweeps.len() + 3
    }

    /// Rows before those that are computed which are read, or stand for what lies beyond the grid.
    fn margin(&self) -> usize {
        let slots = self.step.slots.iter().chain(&self.back.slots).filter(|s| changes(s.kind));
        let ghosts = slots.flat_map(|s| <[usize; 2]>::from(s.field.beyond_rows()));
        self.reach + ghosts.max().unwrap_or(0) + 1
    }

    /// The rings of a pass: the states by the number of steps that follow, with a place for each carried value; what is between sweeps of the
    /// step; the cotangents; what is between sweeps of the step back.
    fn rings(&self, shape: Shape) -> Vec<Size> {
        let (ahead, behind) = (self.step.sweeps.len(), self.back.sweeps.len());
        let more = shape.block + 2 * self.margin() + 2;
        let rows = |stages: usize| (stages * self.reach + more).next_multiple_of(GRAIN);
        let size =
            |stages: usize, field: &Field| Size { rows: rows(stages), pitch: field.pitch(), touched: field.touched() };
        let between = |b: &Blocked| -> Vec<Size> {
            let all = b.slots.iter().filter(|s| s.kind == Kind::Between);
            all.map(|s| size(shape.steps * b.sweeps.len(), &s.field)).collect()
        };
        let mut all = vec![];
        for left in 0..shape.steps {
            for k in 0..self.step.carry {
                let mut ring = size((left + 1) * (ahead + behind), self.step.old(k));
                if left + 1 < shape.steps && matches!(self.step.next[k], Next::Taken(_)) {
                    ring.touched = 0;
                }
                all.push(ring);
            }
        }
        all.extend(between(&self.step));
        all.extend((0..self.cotangents()).map(|_| size(shape.steps * behind + 2, self.back.old(0))));
        all.extend(between(&self.back));
        all
    }

    /// Rings of cotangents: before and after a step.
    fn cotangents(&self) -> usize {
        self.back.carry + self.back.next.iter().filter(|n| **n == Next::Made).count()
    }

    fn part_of(&self, p: usize) -> Range<isize> {
        let bound = |p: usize| (self.step.grid[0] * p / self.shape.parts) as isize;
        bound(p)..bound(p + 1)
    }

    /// What no step changes. Arguments as of the loops themselves; states, cotangents and items are not read.
    pub fn begin(
        &self,
        context: &Context,
        memory: (&mut Memory, &mut Memory),
        step: &[View],
        back: &[View],
    ) -> Result<Begun, Fault> {
        let (ahead, made) = self.step.fixed(context, memory.0, step)?;
        let (behind, made_back) = self.back.fixed(context, memory.1, back)?;
        Ok(Begun { step: ahead, back: behind, _made: [made, made_back] })
    }

    /// Memory of the two for what no step changes.
    pub fn with_memories<R>(&self, f: impl FnOnce(&mut Memory, &mut Memory) -> R) -> R {
        self.step.with_memory(|ahead| self.back.with_memory(|behind| f(ahead, behind)))
    }

    /// So many steps from a state, and back over them: dense arrays.
    ///
    /// # Safety
    /// The arrays have the shape of the states; those of `to` are none of the others, and nobody else uses them.
    pub unsafe fn pass(
        &self,
        context: &Context,
        begun: &Begun,
        steps: usize,
        state: &[*const u8],
        from: &[*const u8],
        to: &[*mut u8],
    ) {
        let pass = Pass {
            stages: self.stages(begun, steps, state, from, to),
            reach: self.reach,
            rows: self.step.grid[0],
            periodic: self.periodic,
            block: self.shape.block,
            margin: self.margin(),
        };
        context.parallel(self.shape.parts, &|p, _| {
            let reused = self.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
            let rings = reused.unwrap_or_else(|| self.memory());
            let _flush = Flush::new();
            pass.run(&rings, self.part_of(p));
            self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(rings);
        });
    }

    fn memory(&self) -> Vec<Ring> {
        let longest = (0..self.shape.parts).map(|p| self.part_of(p).len()).max().unwrap_or(0);
        let all = longest + 3 * self.times(self.shape.steps) * self.reach + 2 * self.margin();
        let window = self.shape.block + 2 * self.margin() + 1;
        self.rings(self.shape).iter().map(|r| Ring::new(r.rows, window, all, r.pitch)).collect()
    }

    /// What is done to each row, in the order of time.
    fn stages<'a>(
        &'a self,
        begun: &Begun,
        steps: usize,
        state: &[*const u8],
        from: &[*const u8],
        to: &[*mut u8],
    ) -> Vec<Stage<'a>> {
        let states = self.step.carry;
        let ring_of = |step: usize, k: usize| (steps - 1 - step) * states + k;
        let between = self.shape.steps * states;
        let is_between = |b: &Blocked| b.slots.iter().filter(|s| s.kind == Kind::Between).count();
        let cotangents = between + is_between(&self.step);
        let between_back = cotangents + self.cotangents();
        let mut stages = vec![];
        let mut place: Vec<usize> = (0..states).map(|k| ring_of(0, k)).collect();
        let copies = (0..states).map(|k| (place[k], self.step.old(k), state[k])).collect();
        stages.push(Stage { work: Work::In(copies), table: vec![] });
        let mut at = vec![place.clone()];
        for s in 1..steps {
            let after: Vec<usize> = (0..states)
                .map(|k| match self.step.next[k] {
                    Next::Taken(j) => place[j],
                    // A state is kept: nothing is made over it.
                    Next::Made | Next::Over(_) => ring_of(s, k),
                })
                .collect();
            let table = table(&self.step, &begun.step, between, |kind| match kind {
                Kind::Old(k) => place[k],
                Kind::New(k) => after[k],
                _ => unreachable!("compiler bug: a step in tiles with rows or items"),
            });
            sweeps(&mut stages, &self.step, &table);
            place = after;
            at.push(place.clone());
        }
        let carry = self.back.carry;
        let mut place: Vec<usize> = (0..carry).collect();
        let copies = (0..carry).map(|k| (cotangents + place[k], self.back.old(k), from[k])).collect();
        stages.push(Stage { work: Work::In(copies), table: vec![] });
        for s in (0..steps).rev() {
            let after = self.back.after(&place, self.cotangents());
            let table = table(&self.back, &begun.back, between_back, |kind| match kind {
                Kind::Old(k) => cotangents + place[k],
                Kind::New(k) => cotangents + after[k],
                Kind::Item(k) => at[s][self.items[k - carry]],
                _ => unreachable!("compiler bug: a step back in tiles with rows"),
            });
            sweeps(&mut stages, &self.back, &table);
            place = after;
        }
        let copies = (0..carry).map(|k| (cotangents + place[k], self.back.old(k), to[k])).collect();
        stages.push(Stage { work: Work::Out(copies), table: vec![] });
        stages
    }
}

/// Slots that lie in rings.
fn changes(kind: Kind) -> bool {
    matches!(kind, Kind::Old(_) | Kind::New(_) | Kind::Between | Kind::Item(_))
}

fn sweeps<'a>(stages: &mut Vec<Stage<'a>>, of: &'a Blocked, table: &[Place]) {
    stages.extend(of.sweeps.iter().map(|s| Stage { work: Work::Sweep(of, s), table: table.to_vec() }));
}

fn table(of: &Blocked, fixed: &[*mut u8], mut between: usize, ring: impl Fn(Kind) -> usize) -> Vec<Place> {
    let place = |(slot, &fixed): (&super::Slot, &*mut u8)| match slot.kind {
        Kind::Between => {
            between += 1;
            Place::Ring(between - 1)
        }
        kind if changes(kind) || matches!(kind, Kind::Row(_)) => Place::Ring(ring(kind)),
        _ => Place::Fixed(fixed),
    };
    of.slots.iter().zip(fixed).map(place).collect()
}

/// How a step is cut into sweeps, whose items change as states do, and how far they read.
fn measured(f: &Func, (carry, xs): (usize, usize), grid: &[usize]) -> Option<(Roots, Extent)> {
    let mut roots = roots::choose(f, carry, xs, grid)?;
    roots.items_change = true;
    let extent = read::measure(f, &roots, grid)?;
    Some((roots, extent))
}

/// The ghosts of states that both read, and what these stand for; None where they do not agree.
fn common(step: &Extent, back: &Extent, items: Range<usize>, rank: usize) -> Option<(Vec<(usize, usize)>, Vec<End>)> {
    let mut ghosts = step.state_ghosts.clone();
    let mut ends = vec![End::Unread; rank];
    let is_state = |s: Source| matches!(s, Source::Old(_));
    let is_item = |s: Source| matches!(s, Source::Item(k) if items.contains(&k));
    let of_step = step.ends_of_changing().filter(|(s, _)| is_state(*s));
    let of_back = back.ends_of_changing().filter(|(s, _)| is_item(*s));
    for (_, other) in of_step.chain(of_back) {
        for (own, &other) in ends.iter_mut().zip(other) {
            match (*own, other) {
                (End::Unread, _) => *own = other,
                (a, b) if b == End::Unread || a == b => {}
                _ => return None,
            }
        }
    }
    for k in items {
        for (own, other) in ghosts.iter_mut().zip(back.ghosts_of(Source::Item(k), 2)) {
            *own = (own.0.max(other.0), own.1.max(other.1));
        }
    }
    Some((ghosts, ends))
}

impl Pass<'_> {
    /// All stages over some rows, in the memory of one thread.
    fn run(&self, rings: &[Ring], rows: Range<isize>) {
        let times = self.stages.len();
        let (n, reach) = (self.rows as isize, self.reach as isize);
        // Each stage is needed beyond the part as far as later ones read.
        let needed = |time: usize| {
            let more = (times - 1 - time) as isize * reach;
            let (low, high) = (rows.start - more, rows.end + more);
            if self.periodic { (low, high) } else { (low.max(0), high.min(n)) }
        };
        let first = needed(0).0;
        let last = (0..times).map(|t| needed(t).1 + t as isize * reach).max().unwrap_or(first);
        // The number of a row in the rings.
        let origin = first - 2 * self.margin as isize;
        let number = |row: isize| (row - origin) as usize;
        if !self.periodic && first == 0 {
            rings.iter().for_each(|r| self.zeros(r, number(-(self.margin as isize)), self.margin));
        }
        let mut pointers = vec![];
        let mut front = first;
        while front < last {
            for (time, stage) in self.stages.iter().enumerate() {
                let (low, high) = needed(time);
                let behind = front - time as isize * reach;
                let (mut low, high) = (low.max(behind), high.min(behind + self.block as isize));
                while low < high {
                    let lap = low.div_euclid(n) * n;
                    let end = high.min(lap + n);
                    self.stage(stage, rings, number(low), ((low - lap) as usize, (end - lap) as usize), &mut pointers);
                    low = end;
                }
            }
            front += self.block as isize;
        }
    }

    /// One stage over some rows of the grid, the first of which has this number in the rings.
    fn stage(&self, stage: &Stage, rings: &[Ring], number: usize, rows: (usize, usize), pointers: &mut Vec<*mut u8>) {
        // Where the array would begin, were it whole.
        let whole = |ring: usize, field: &Field| {
            let row = rings[ring].row(number, self.margin);
            row.wrapping_sub((field.beyond_rows().0 + rows.0) * field.pitch())
        };
        match &stage.work {
            Work::In(copies) => {
                for &(ring, field, from) in copies {
                    // SAFETY: rows of the dense array, and of a ring that this thread alone has.
                    unsafe { field.rows_in(from, whole(ring, field), rows) };
                    self.behind(&rings[ring], number, rows);
                }
            }
            Work::Out(copies) => {
                for &(ring, field, to) in copies {
                    // SAFETY: the last stage is over the rows of this part alone.
                    unsafe { field.rows_out(whole(ring, field), to, rows) };
                }
            }
            Work::Sweep(of, sweep) => {
                pointers.clear();
                pointers.extend(stage.table.iter().zip(&of.slots).map(|(place, slot)| match *place {
                    Place::Fixed(p) => p,
                    Place::Ring(ring) => whole(ring, &slot.field),
                }));
                let table = Pointers(pointers);
                sweep.pieces.iter().for_each(|piece| piece.call_box(&table, rows, (0, 1)));
                for &w in &sweep.writes {
                    // SAFETY: rows that were just made.
                    unsafe { of.slots[w].field.columns_around(pointers[w], rows) };
                    if let Place::Ring(ring) = stage.table[w] {
                        self.behind(&rings[ring], number, rows);
                    }
                }
            }
        }
    }

    /// Behind the last row of the grid lie zeros.
    fn behind(&self, ring: &Ring, number: usize, rows: (usize, usize)) {
        if !self.periodic && rows.1 == self.rows {
            self.zeros(ring, number + rows.1 - rows.0, self.margin);
        }
    }

    fn zeros(&self, ring: &Ring, first: usize, count: usize) {
        // SAFETY: so many rows from any on lie in one piece of the ring.
        unsafe { ring.row(first, self.margin).write_bytes(0, count * ring.pitch()) };
    }
}
