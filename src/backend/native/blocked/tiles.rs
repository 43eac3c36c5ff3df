//! Some steps and the steps back over them, in one pass over memory: which sweeps, and over which arrays.
//!
//! The states that the steps back read are never whole: rows of later sweeps need rows of earlier ones at most `reach` away, so the
//! steps forwards go over the grid as a wave, and the steps back as a wave behind it ([`super::passes`]). Of each state the rows between
//! the two are kept, in a [`Ring`] that stays in cache: the longer, the earlier the state. What a pass begins and ends with lies in arrays of the
//! layout of the sweeps, which the first sweeps read and the last ones write. The operations are those of step by step, so the bits are
//! the same.
//!
//! [Wolfe 1989, More iteration space tiling; Griewank & Walther 2008, Evaluating Derivatives, §12]

use super::Blocked;
use super::extent::{End, Extent, Source};
use super::layout::{Aligned, Field, Memory};
use super::passes::{self, Pass, Place, Stage, Work, Working};
use super::read;
use super::rings::{LINES, Ring};
use super::roots::{self, Roots};
use super::slots::{Kind, Layout, Next, Slot};
use super::windows::{self, Size, Wave, Window};
use crate::backend::native::buffer::{Buffer, View};
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
    idle: Mutex<Vec<Memories>>,
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

/// One pass, laid out.
struct Laid<'a> {
    stages: Vec<Stage<'a>>,
    windows: Vec<Window>,
    memories: Vec<Size>,
    /// Bytes of the heads of a part.
    heads: usize,
}

/// What a run works in.
pub struct Memories {
    ahead: Memory,
    behind: Memory,
    parts: Vec<Working>,
    cotangents: Vec<Aligned>,
}

impl Memories {
    /// Arrays for cotangents before and after a pass; the same where passes are [in place](Tiled::in_place). `idle`: memory for states that nobody
    /// needs meanwhile.
    pub fn cotangents(&mut self, of: &Tiled, idle: Option<&mut Memory>) -> [Vec<*mut u8>; 2] {
        let arrays = match idle {
            Some(idle) => &mut idle.states,
            None => &mut self.cotangents,
        };
        let needed = of.sets() * of.back.carry;
        let bytes = of.cotangent().bytes();
        (arrays.len()..needed).for_each(|k| arrays.push(Aligned::zeros(bytes, k)));
        let all: Vec<*mut u8> = arrays.iter_mut().map(Aligned::pointer).collect();
        let carry = of.back.carry;
        [all[..carry].to_vec(), all[needed - carry..needed].to_vec()]
    }
}

/// What no step of a run changes, and what the passes work in.
pub struct Begun<'a> {
    step: Vec<*mut u8>,
    back: Vec<*mut u8>,
    parts: &'a mut [Working],
    _made: [Vec<Buffer>; 2],
}

/// Steps of a pass: as many as are worth a program of their own, and at most.
const FEWEST: usize = 4;
const MOST: usize = 32;
/// Rows of a block, where no other number is asked for.
const BLOCK: usize = 4;

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
        let mut layout = Layout { lines: LINES, items: None };
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

    /// The layout of all states, and that of all cotangents.
    pub fn state(&self) -> &Field {
        self.step.old(0)
    }

    pub fn cotangent(&self) -> &Field {
        self.back.old(0)
    }

    /// Whether cotangents after a pass take the places of those before it: each is made anew, and the last sweep is far enough behind the
    /// first one, which reads them.
    pub fn in_place(&self) -> bool {
        self.back.next.iter().all(|n| !matches!(n, Next::Taken(_)))
    }

    /// Steps of a pass, at most.
    pub fn most(&self) -> usize {
        self.shape.steps
    }

    /// As many steps as have their rings in the second-level cache of a processor; else few, if a cache further away is not too small.
    fn fitting(&self, length: usize, threads: usize) -> Option<Shape> {
        let rows = self.step.grid[0];
        let cache = processors::second_level_cache();
        let state = self.step.old(0).pitch() * rows * self.step.carry;
        // What stays in cache as it is needs no waves.
        if state * length <= 4 * cache {
            return None;
        }
        let parts = threads.clamp(1, rows);
        let fits = |steps: usize, cache: usize| {
            let shape = Shape { steps, block: BLOCK, parts };
            let bytes: usize = self.longest(shape).memories.iter().map(|m| m.rows * m.touched).sum();
            let apart = passes::fits(rows, parts, self.periodic, self.times(steps), self.reach);
            (bytes <= cache && apart).then_some(shape)
        };
        (FEWEST..=MOST.min(length)).rev().find_map(|steps| fits(steps, cache)).or_else(|| fits(FEWEST, 4 * cache))
    }

    /// Stages of a pass of so many steps, at most.
    fn times(&self, steps: usize) -> usize {
        let plain = if self.skips() { steps } else { 0 };
        (plain + steps - 1) * self.step.sweeps.len() + steps * self.back.sweeps.len() + self.back.carry
    }

    /// Whether passes may begin with steps over which they do not go back.
    pub fn skips(&self) -> bool {
        self.step.next.iter().all(|n| !matches!(n, Next::Taken(_)))
    }

    /// Bytes that a run takes besides the states that are kept: rings, what the steps forwards work in, and each state and cotangent that comes or goes.
    /// `lent`: cotangents lie where steps forwards had their states.
    pub fn working(&self, lent: bool) -> usize {
        // Rows of a window across the end of a ring lie in pages that are mapped a second time.
        let twice = self.shape.block + 2 * self.margin();
        let Laid { memories, heads, .. } = self.longest(self.shape);
        let rings: usize = memories.iter().map(|m| (m.rows + twice) * m.touched).sum();
        let states = (self.step.states() + 2 * self.step.carry) * self.state().bytes();
        let sets = if lent { 0 } else { self.sets() };
        let cotangents = (sets + 2) * self.back.carry * self.cotangent().bytes();
        self.shape.parts * (rings + heads) + states + cotangents
    }

    /// Whether cotangents can lie in arrays for states: what is zero around the ones is so around the others.
    pub fn lends(&self) -> bool {
        self.cotangent().lies_like(self.state()) && self.sets() * self.back.carry <= self.step.states()
    }

    /// How many cotangents of each kind are in memory.
    fn sets(&self) -> usize {
        if self.in_place() { 1 } else { 2 }
    }

    /// Rows beyond those that are computed which are read.
    fn margin(&self) -> usize {
        let slots = self.step.slots.iter().chain(&self.back.slots).filter(|s| changes(s.kind));
        let ghosts = slots.flat_map(|s| <[usize; 2]>::from(s.field.beyond_rows()));
        ghosts.max().unwrap_or(0).max(self.reach)
    }

    /// What lies in the rings of a pass: the states by the number of steps that follow, with a place for each carried value; those before and
    /// after a step that is not gone back over; what is between sweeps of the step; the cotangents; what is between sweeps of the step back.
    fn rings(&self, steps: usize) -> Vec<&Field> {
        fn between(of: &Blocked) -> impl Iterator<Item = &Field> {
            of.slots.iter().filter(|s| s.kind == Kind::Between).map(|s| &s.field)
        }
        let states = (0..self.step.carry).map(|k| self.step.old(k));
        let mut all: Vec<&Field> = (0..steps).flat_map(|_| states.clone()).collect();
        all.extend((0..2 * self.step.carry).map(|k| self.step.old(k / 2)));
        all.extend(between(&self.step));
        all.extend((0..self.cotangents()).map(|_| self.back.old(0)));
        all.extend(between(&self.back));
        all
    }

    /// Rings of cotangents: before and after a step.
    fn cotangents(&self) -> usize {
        self.back.carry + self.back.next.iter().filter(|n| !matches!(n, Next::Taken(_))).count()
    }

    /// The longest pass of a shape, without its arrays.
    fn longest(&self, shape: Shape) -> Laid<'_> {
        let null = |n: usize| vec![std::ptr::null_mut(); n];
        let (fixed, fixed_back) = (null(self.step.slots.len()), null(self.back.slots.len()));
        let (state, from, to) = (null(self.step.carry), null(self.back.carry), null(self.back.carry));
        let skipped = if self.skips() { shape.steps } else { 0 };
        self.laid((&fixed, &fixed_back), shape, (skipped, shape.steps), (&state, &from, &to))
    }

    /// What no step changes. Arguments as of the loops themselves; states, cotangents and items are not read.
    pub fn begin<'a>(
        &self,
        context: &Context,
        memories: &'a mut Memories,
        step: &[View],
        back: &[View],
    ) -> Result<Begun<'a>, Fault> {
        let Memories { ahead, behind, parts, .. } = memories;
        let (ahead, made) = self.step.fixed(context, ahead, step)?;
        let (behind, made_back) = self.back.fixed(context, behind, back)?;
        Ok(Begun { step: ahead, back: behind, parts, _made: [made, made_back] })
    }

    /// Gives `f` memory, kept for the next time.
    pub fn with_memories<R>(&self, f: impl FnOnce(&mut Memories) -> R) -> R {
        let reused = self.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let mut memories = reused.unwrap_or_else(|| self.memories());
        let result = f(&mut memories);
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(memories);
        result
    }

    fn memories(&self) -> Memories {
        let Shape { steps, block, parts } = self.shape;
        let longest = (0..parts).map(|p| passes::part_of(self.step.grid[0], parts, p).len()).max().unwrap_or(0);
        let window = block + 2 * self.margin() + 1;
        let Laid { memories, heads, .. } = self.longest(self.shape);
        let ring = |m: &Size| {
            let all = m.rows + longest + 3 * self.times(steps) * self.reach + 2 * self.margin();
            Ring::new(m.rows, window, all, m.pitch)
        };
        let working =
            |p: usize| Working { memories: memories.iter().map(ring).collect(), heads: Aligned::zeros(heads, p) };
        // States and cotangents lie elsewhere.
        let (ahead, behind) = (self.step.memory_beside(), self.back.memory_beside());
        Memories { ahead, behind, parts: (0..parts).map(working).collect(), cotangents: vec![] }
    }

    /// So many steps from a state that are skipped, so many more, and back over these: arrays of the layout of the states and of the cotangents.
    ///
    /// # Safety
    /// Those of `to` are none of the others, unless a pass may be [in place](Tiled::in_place), and nobody else uses them.
    pub unsafe fn pass(
        &self,
        context: &Context,
        begun: &mut Begun,
        steps: (usize, usize),
        state: &[*mut u8],
        from: &[*mut u8],
        to: &[*mut u8],
    ) {
        debug_assert!(steps.1 > 1 || !self.in_place(), "one sweep alone reads what it writes");
        let fixed = (&begun.step[..], &begun.back[..]);
        let Laid { stages, windows, .. } = self.laid(fixed, self.shape, steps, (state, from, to));
        let pass = Pass {
            stages,
            windows,
            pitches: self.rings(self.shape.steps).iter().map(|f| f.pitch()).collect(),
            reach: self.reach,
            rows: self.step.grid[0],
            periodic: self.periodic,
            parts: self.shape.parts,
            block: self.shape.block,
            margin: self.margin(),
        };
        pass.run(context, begun.parts);
    }

    fn laid<'a>(
        &'a self,
        fixed: (&[*mut u8], &[*mut u8]),
        shape: Shape,
        steps: (usize, usize),
        arrays: (&[*mut u8], &[*mut u8], &[*mut u8]),
    ) -> Laid<'a> {
        let mut stages = self.stages(fixed, shape.steps, steps, arrays);
        let fields = self.rings(shape.steps);
        let heads = windows::lay_out_heads(&mut stages, &fields, self.reach);
        let wave = Wave { reach: self.reach, block: shape.block, margin: self.margin() };
        let (windows, memories) = windows::lay_out(&stages, &fields, wave);
        Laid { stages, windows, memories, heads }
    }

    /// What is done to each row, in the order of time, where passes have at most so many steps.
    fn stages<'a>(
        &'a self,
        (fixed, fixed_back): (&[*mut u8], &[*mut u8]),
        most: usize,
        (skipped, steps): (usize, usize),
        (state, from, to): (&[*mut u8], &[*mut u8], &[*mut u8]),
    ) -> Vec<Stage<'a>> {
        let states = self.step.carry;
        let plain = most * states;
        let between = plain + 2 * states;
        let is_between = |b: &Blocked| b.slots.iter().filter(|s| s.kind == Kind::Between).count();
        let cotangents = between + is_between(&self.step);
        let between_back = cotangents + self.cotangents();
        let mut stages = vec![];
        let mut place: Vec<Place> = state.iter().map(|p| Place::Fixed(*p)).collect();
        let mut at = vec![];
        for s in 0..skipped + steps {
            if s >= skipped {
                at.push(place.clone());
            }
            if s + 1 == skipped + steps {
                break;
            }
            // Of the states that are gone back over each is kept: nothing is made over it.
            let made = |k: usize| match (s + 1).checked_sub(skipped) {
                Some(kept) => Place::Ring((steps - 1 - kept) * states + k),
                None => Place::Ring(plain + 2 * k + s % 2),
            };
            let after: Vec<Place> = (0..states)
                .map(|k| match self.step.next[k] {
                    Next::Taken(j) => place[j],
                    Next::Made | Next::Over(_) => made(k),
                })
                .collect();
            let table = table(&self.step, fixed, between, |kind| match kind {
                Kind::Old(k) => place[k],
                Kind::New(k) => after[k],
                _ => unreachable!("compiler bug: a step in tiles with rows or items"),
            });
            sweeps(&mut stages, &self.step, &table);
            place = after;
        }
        let carry = self.back.carry;
        let mut place: Vec<Place> = from.iter().map(|p| Place::Fixed(*p)).collect();
        for s in (0..steps).rev() {
            let mut free = (cotangents..between_back).map(Place::Ring).filter(|r| !place.contains(r));
            let after: Vec<Place> = (0..carry)
                .map(|k| match self.back.next[k] {
                    Next::Taken(j) => place[j],
                    Next::Made | Next::Over(_) if s == 0 => Place::Fixed(to[k]),
                    Next::Made | Next::Over(_) => free.next().expect("compiler bug: no ring is free"),
                })
                .collect();
            let table = table(&self.back, fixed_back, between_back, |kind| match kind {
                Kind::Old(k) => place[k],
                Kind::New(k) => after[k],
                Kind::Item(k) => at[s][self.items[k - carry]],
                _ => unreachable!("compiler bug: a step back in tiles with rows"),
            });
            sweeps(&mut stages, &self.back, &table);
            place = after;
        }
        for k in 0..carry {
            let to = Place::Fixed(to[k]);
            if let Next::Taken(_) = self.back.next[k] {
                let work = Work::Copy(self.back.old(k));
                stages.push(Stage { work, table: vec![place[k], to], heads: vec![] });
            }
        }
        stages
    }
}

/// Slots that lie in rings.
fn changes(kind: Kind) -> bool {
    matches!(kind, Kind::Old(_) | Kind::New(_) | Kind::Between | Kind::Item(_))
}

fn sweeps<'a>(stages: &mut Vec<Stage<'a>>, of: &'a Blocked, table: &[Place]) {
    stages.extend(of.sweeps.iter().map(|s| Stage { work: Work::Sweep(of, s), table: table.to_vec(), heads: vec![] }));
}

fn table(of: &Blocked, fixed: &[*mut u8], mut between: usize, place: impl Fn(Kind) -> Place) -> Vec<Place> {
    let place = |(slot, &fixed): (&Slot, &*mut u8)| match slot.kind {
        Kind::Between => {
            between += 1;
            Place::Ring(between - 1)
        }
        kind if changes(kind) || matches!(kind, Kind::Row(_)) => place(kind),
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
