//! Scans of stencil steps, many steps in one pass over memory.
//!
//! A step whose operations are pointwise or move elements by bounded distances is cut into few *sweeps*: loops over the grid that read
//! some arrays near each point and write others there. Arrays lie in memory with copies of what is beyond a periodic end (ghosts)
//! around them, so that a sweep is one loop nest without cases. Since a sweep reads only near each point, it need not
//! wait until the one before it has finished everywhere: several steps advance together through the part of the grid that is in cache
//! ([`schedule`]). Every element is computed once, by the same operations as step by step, so the bits are the same.
//!
//! [Wolfe 1989, More iteration space tiling; Frigo & Strumpen 2005, Cache oblivious stencil computations]

mod layout;
mod read;
mod rings;
mod roots;
mod schedule;
pub mod segments;
mod tiles;

use super::buffer::{View, ViewMut};
use super::kernel::{Code, Compiled, Compiler, Pointers};
use super::structured::{Body, Nested};
use super::{Buffer, Context, follow, lower};
use crate::ir::build::drop_dead;
use crate::ir::{DType, Fault, Func, Node, Op, Type, Value};
use layout::{Field, Memory};
use read::{Extent, Source};
use roots::Roots;
use schedule::{Box, Schedule};
pub use segments::{Marked, Replayed};
use std::ops::Range;
use std::sync::Mutex;

/// A compiled scan of this kind.
pub struct Blocked {
    /// Of the body.
    name: String,
    carry: usize,
    length: usize,
    reverse: bool,
    /// What a step leaves besides its state.
    rows: Vec<Type>,
    dtype: DType,
    grid: Vec<usize>,
    /// What the sweeps read and write; the place in this list is the number of the buffer in their nests.
    slots: Vec<Slot>,
    sweeps: Vec<Sweep>,
    /// For each carried value where its next value comes from.
    next: Vec<Next>,
    /// Computes what no step changes.
    prologue: Option<(Body, Nested)>,
    schedule: Schedule,
    idle: Mutex<Vec<Memory>>,
    _code: Option<Code>,
}

/// What a buffer of the sweeps stands for.
struct Slot {
    kind: Kind,
    field: Field,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The carried value before the step.
    Old(usize),
    /// The same after it.
    New(usize),
    /// What sweeps leave for later sweeps of the same step.
    Between,
    /// An item of an argument that is split over the steps, in place.
    Item(usize),
    /// What the step leaves as a row of a result, in place.
    Row(usize),
    /// An argument that stays the same; or result k of the prologue.
    Shared(usize),
    Prologue(usize),
    /// A constant of the body.
    Constant(Value),
}

/// Where the next value of a carried value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Made,
    /// Made in the place of another value's old one, which nobody needs any more.
    Over(usize),
    /// It is the value that another one had.
    Taken(usize),
}

/// What a scan's arrays are to look like.
struct Layout {
    /// Rows fill a multiple of so many cache lines.
    lines: usize,
    /// Those of the items, where they are not read in place.
    items: Option<Vec<Field>>,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { lines: 1, items: None }
    }
}

/// What is split over the steps: the item of an argument, by its position, or the row of a result.
#[derive(Clone, Copy)]
enum Outer {
    Item(usize),
    Row(usize),
}

/// A scan between two of its steps.
struct Running {
    /// Of each slot that no step changes.
    fixed: Vec<*mut u8>,
    states: Vec<*mut u8>,
    /// Which state each carried value lies in; the others are free.
    place: Vec<usize>,
    /// What the pointers point into.
    _made: Vec<Buffer>,
}

struct Sweep {
    pieces: Vec<Compiled>,
    /// Slots that it writes.
    writes: Vec<usize>,
}

/// Points of the grid below which nothing is gained.
const FEWEST: usize = 64;
/// Axes that are written out rather than looped over: components.
const COMPONENTS: usize = 16;

impl Blocked {
    /// None where the body is not of this kind.
    pub fn new(
        body: &Func,
        (length, carry, xs, reverse): (usize, usize, usize, bool),
        threads: usize,
    ) -> Result<Option<Blocked>, Fault> {
        if length < 2 || carry == 0 || !super::kernel::available() {
            return Ok(None);
        }
        let with_copies;
        let body = if body.outputs.len() > carry {
            with_copies = rows_apart(body, carry);
            &with_copies
        } else {
            body
        };
        let shape = &body.inputs[0].shape;
        let dtype = body.inputs[0].dtype;
        let rank = shape.len();
        let starts = [(rank >= 2 && shape[0] <= COMPONENTS).then_some(1), Some(0)];
        for start in starts.into_iter().flatten() {
            let grid = &shape[start..];
            if !dtype.is_float() || grid.is_empty() || grid.len() > 3 || grid.iter().product::<usize>() < FEWEST {
                continue;
            }
            if !body.inputs[..carry].iter().all(|ty| *ty == body.inputs[0]) {
                continue;
            }
            if let Some(blocked) = Blocked::over(body, (length, carry, xs, reverse), grid, threads)? {
                return Ok(Some(blocked));
            }
        }
        Ok(None)
    }

    fn over(
        body: &Func,
        (length, carry, xs, reverse): (usize, usize, usize, bool),
        grid: &[usize],
        threads: usize,
    ) -> Result<Option<Blocked>, Fault> {
        let Some(roots) = roots::choose(body, carry, xs, grid) else { return Ok(None) };
        // Once to see how far each source is read beyond its ends, then with ghosts laid out.
        let Some(extent) = read::measure(body, &roots, grid) else { return Ok(None) };
        Blocked::compiled(body, (length, carry, xs, reverse), grid, threads, (&roots, &extent), &Layout::default())
    }

    fn compiled(
        body: &Func,
        (length, carry, _, reverse): (usize, usize, usize, bool),
        grid: &[usize],
        threads: usize,
        (roots, extent): (&Roots, &Extent),
        layout: &Layout,
    ) -> Result<Option<Blocked>, Fault> {
        let dtype = body.inputs[0].dtype;
        let (slots, numbers, prologue) = lay_out(body, roots, extent, (carry, grid), layout);
        let Some(made) = read::nests(body, roots, grid, &slots, &numbers) else { return Ok(None) };
        let mut compiler = Compiler::new().expect("compiler bug: kernels without a compiler");
        compiler.keeps_in_cache(true);
        let lengths: Vec<usize> = slots.iter().map(|s| s.field.len).collect();
        let mut sweeps = vec![];
        let mut cost = 0;
        for (nests, writes) in made {
            cost += nests.iter().map(|n| n.shape.iter().product::<usize>() * n.graph.exprs.len()).sum::<usize>();
            let pieces = nests.iter().map(|n| compiler.narrow_piece(n, &lengths)).collect::<Result<Vec<_>, _>>()?;
            sweeps.push(Sweep { pieces, writes });
        }
        let code = compiler.finish_pieces(sweeps.iter_mut().flat_map(|s| &mut s.pieces))?;
        let wide = sweeps.iter().flat_map(|s| &s.pieces).all(|p| p.wide);
        let next = if wide { nexts(body, roots, extent, carry) } else { simple_nexts(body, roots, carry) };
        let prologue = match prologue.is_empty() {
            true => None,
            false => {
                let func = drop_dead(Func { outputs: prologue, ..body.clone() });
                Some((Body::new(lower::lower(&func, threads)?, 0, &func), Nested::default()))
            }
        };
        let boxed = grid.len() == 3 && sweeps.iter().flat_map(|s| &s.pieces).all(|p| p.boxed);
        let row: usize = slots.iter().filter(|s| s.field.is_large(grid)).map(|s| s.field.row_bytes(grid.len())).sum();
        let schedule = Schedule::new(&schedule::Problem {
            grid,
            reach: extent.reach,
            periodic: extent.periodic,
            sweeps: sweeps.len(),
            row_bytes: row,
            cost,
            boxed,
            divisible: grid.len() > 1 || sweeps.iter().flat_map(|s| &s.pieces).all(|p| p.least == 1),
            threads,
        });
        Ok(Some(Blocked {
            name: body.name.clone(),
            carry,
            length,
            reverse,
            rows: body.outputs[carry..].iter().map(|v| body.ty(*v).clone()).collect(),
            dtype,
            grid: grid.to_vec(),
            slots,
            sweeps,
            next,
            prologue,
            schedule,
            idle: Mutex::new(vec![]),
            _code: Some(code),
        }))
    }

    /// Nothing is left besides the state.
    fn all_made(body: &Func, carry: usize) -> bool {
        body.outputs.len() == carry
    }

    /// The name of the body and the number of carried values, where the loop goes forwards.
    pub fn forwards(&self) -> Option<(&str, usize)> {
        (!self.reverse).then_some((&self.name, self.carry))
    }

    /// Arguments and results of the scan.
    pub fn run(&self, context: &Context, args: &[View], outs: &mut [ViewMut]) -> Result<(), Fault> {
        let apart = Context { follow: None, ..*context };
        let (outs, rows) = outs.split_at_mut(self.carry);
        let (length, carry, reverse) = (self.length, self.carry, self.reverse);
        let entry = follow::entry(context.follow, &self.name, reverse);
        if let follow::Entry::Plain(_) = entry {
            return self.run_steps(&apart, 0..length, args, outs, rows);
        }
        // Whether it has such arguments matters only where a state may stay.
        let of = follow::Loop { name: &self.name, length, carry, xs: 1, reverse, holds_loop: false };
        let states = args[..carry].iter().map(|a| Type::new(a.dtype(), [a.len()]));
        let types: Vec<Type> = states.chain(self.rows.iter().cloned()).collect();
        let (start, others) = args.split_at(carry);
        let mut steps = |_: &Context, steps: Range<usize>, from: &[View], to: &mut [ViewMut], rows: &mut [ViewMut]| {
            self.run_steps(&apart, steps, &[from, others].concat(), to, rows)
        };
        match entry {
            follow::Entry::Followed(follow) => {
                let rows = follow::Rows::new(rows, &self.rows);
                follow::followed(&apart, follow, of, &types, start, (outs, rows), &mut steps)
            }
            follow::Entry::Guarded(watch) => {
                follow::guarded(&apart, watch, of, &types, start, (outs, rows), &mut steps)
            }
            follow::Entry::Plain(_) => unreachable!("compiler bug: done before"),
        }
    }

    /// Some of the steps, from a state before the first of them to that after the last and to the rows of these steps.
    pub fn run_steps(
        &self,
        context: &Context,
        steps: Range<usize>,
        args: &[View],
        outs: &mut [ViewMut],
        rows: &mut [ViewMut],
    ) -> Result<(), Fault> {
        self.with_memory(|memory| self.run_in(context, memory, steps, args, outs, rows))
    }

    /// Gives `f` memory, kept for the next time.
    fn with_memory<R>(&self, f: impl FnOnce(&mut Memory) -> R) -> R {
        let reused = self.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let mut memory = reused.unwrap_or_else(|| self.memory());
        let result = f(&mut memory);
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(memory);
        result
    }

    fn memory(&self) -> Memory {
        let made = self.next.iter().filter(|n| **n == Next::Made).count();
        let olds: Vec<&Slot> = self.slots.iter().filter(|s| matches!(s.kind, Kind::Old(_))).collect();
        let mut m = Memory::default();
        olds.iter()
            .for_each(|s| m.states.push(layout::Aligned::zeros(s.field.len * self.dtype.size(), m.states.len())));
        // A made value needs a place of its own while the old ones are read; all fields of a scan have one layout.
        let made_slots: Vec<usize> = (0..self.carry).filter(|&k| self.next[k] == Next::Made).collect();
        debug_assert_eq!(made, made_slots.len());
        for k in made_slots {
            m.states.push(layout::Aligned::zeros(olds[k].field.len * self.dtype.size(), m.states.len()));
        }
        for s in &self.slots {
            let own = matches!(s.kind, Kind::Between) || s.field.ghosts();
            let own = own && !matches!(s.kind, Kind::Old(_) | Kind::New(_) | Kind::Row(_) | Kind::Item(_));
            let bytes = if own { s.field.len * self.dtype.size() } else { 0 };
            m.others.push(layout::Aligned::zeros(bytes, m.others.len() + 5));
        }
        m
    }

    fn run_in(
        &self,
        context: &Context,
        memory: &mut Memory,
        steps: Range<usize>,
        args: &[View],
        outs: &mut [ViewMut],
        rows: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let fits = |(r, ty): (&ViewMut, &Type)| r.view().len() == steps.len() * ty.len();
        assert!(rows.len() == self.rows.len() && rows.iter().zip(&self.rows).all(fits), "compiler bug: rows of a loop");
        // The item of the first row.
        let first = if self.reverse { self.length - steps.end } else { steps.start };
        let size = self.dtype.size();
        let items: Vec<*mut u8> = args.iter().map(super::kernel::pointer).collect();
        let rows: Vec<*mut u8> = rows.iter_mut().map(super::kernel::pointer_mut).collect();
        let mut running = self.begin(context, memory, args)?;
        self.go_on(context, &mut running, steps.len(), &|step, place, len| {
            let step = steps.start + step;
            let item = if self.reverse { self.length - 1 - step } else { step };
            match place {
                // SAFETY: an item lies within the argument, whose length the plan guarantees.
                Outer::Item(k) => unsafe { items[k].add(item * len * size) },
                // SAFETY: as many rows as steps.
                Outer::Row(r) => unsafe { rows[r].add((item - first) * len * size) },
            }
        });
        outs.iter_mut().enumerate().for_each(|(k, out)| self.state(context, &running, k, out));
        Ok(())
    }

    /// Lays out what does not change and the state; `args` are those of the scan, of which those split over the steps are not read.
    fn begin(&self, context: &Context, memory: &mut Memory, args: &[View]) -> Result<Running, Fault> {
        let (fixed, made) = self.fixed(context, memory, args)?;
        for (k, arg) in args.iter().enumerate().take(self.carry) {
            self.old(k).fill(context, *arg, memory.states[k].pointer());
        }
        let states = memory.states.iter_mut().map(|s| s.pointer()).collect();
        Ok(Running { fixed, states, place: (0..self.carry).collect(), _made: made })
    }

    /// Of each slot that no step changes where it lies, and what some of the pointers point into.
    fn fixed(
        &self,
        context: &Context,
        memory: &mut Memory,
        args: &[View],
    ) -> Result<(Vec<*mut u8>, Vec<Buffer>), Fault> {
        let mut made: Vec<Buffer> = vec![];
        if let Some((body, nested)) = &self.prologue {
            made = super::buffers(body.program.output_types());
            let mut views: Vec<ViewMut> = made.iter_mut().map(Buffer::view_mut).collect();
            body.call(context, nested, args, &mut views)?;
        }
        // Pointers that no step changes.
        let mut fixed: Vec<*mut u8> = vec![std::ptr::null_mut(); self.slots.len()];
        for (k, slot) in self.slots.iter().enumerate() {
            let from = match slot.kind {
                Kind::Shared(a) => args[a],
                Kind::Prologue(r) => made[r].view(),
                Kind::Constant(_) => slot.field.constant(),
                Kind::Between => {
                    fixed[k] = memory.others[k].pointer();
                    continue;
                }
                Kind::Old(_) | Kind::New(_) | Kind::Row(_) | Kind::Item(_) => continue,
            };
            fixed[k] = if slot.field.ghosts() {
                let to = memory.others[k].pointer();
                slot.field.fill(context, from, to);
                to
            } else {
                super::kernel::pointer(&from)
            };
        }
        Ok((fixed, made))
    }

    /// Where the carried values lie after a step, of so many states.
    fn after(&self, place: &[usize], states: usize) -> Vec<usize> {
        let mut free = (0..states).filter(|s| !place.contains(s));
        let to = |n: &Next| match *n {
            Next::Taken(j) | Next::Over(j) => place[j],
            Next::Made => free.next().expect("compiler bug: no state is free"),
        };
        self.next.iter().map(to).collect()
    }

    /// Further steps; what is split over them lies where `outside` says for each step from 0: `(step, which, elements)`.
    fn go_on(
        &self,
        context: &Context,
        running: &mut Running,
        steps: usize,
        outside: &dyn Fn(usize, Outer, usize) -> *mut u8,
    ) {
        let Running { fixed, states, place, .. } = running;
        let mut at = 0;
        while at < steps {
            let count = self.schedule.steps.min(steps - at);
            let mut tables: Vec<Vec<*mut u8>> = Vec::with_capacity(count);
            for step in at..at + count {
                let after = self.after(place, states.len());
                let table = self.slots.iter().zip(&*fixed).map(|(slot, &fixed)| match slot.kind {
                    Kind::Old(k) => states[place[k]],
                    Kind::New(k) => states[after[k]],
                    Kind::Item(k) => outside(step, Outer::Item(k), slot.field.len),
                    Kind::Row(r) => outside(step, Outer::Row(r), slot.field.len),
                    _ => fixed,
                });
                tables.push(table.collect());
                *place = after;
            }
            self.advance(context, &tables);
            at += count;
        }
    }

    /// A carried value as it is now.
    fn state(&self, context: &Context, running: &Running, k: usize, out: &mut ViewMut) {
        self.old(k).read(context, running.states[running.place[k]], out);
    }

    fn old(&self, k: usize) -> &Field {
        let slot = self.slots.iter().find(|s| s.kind == Kind::Old(k));
        &slot.expect("compiler bug: a state without a slot").field
    }

    /// As many steps as there are tables of pointers.
    fn advance(&self, context: &Context, tables: &[Vec<*mut u8>]) {
        let tables: Vec<Pointers> = tables.iter().map(|t| Pointers(t)).collect();
        let sweeps = self.sweeps.len();
        let work = |time: usize, b: &Box| self.sweep(&self.sweeps[time % sweeps], &tables[time / sweeps], b);
        self.schedule.run(context, tables.len() * sweeps, &work);
    }

    /// One sweep over a box of rows, whose ghosts are then what they stand for.
    fn sweep(&self, sweep: &Sweep, pointers: &Pointers, b: &Box) {
        for piece in &sweep.pieces {
            piece.call_box(pointers, b.rows, b.columns);
        }
        for &w in &sweep.writes {
            let field = &self.slots[w].field;
            if field.follows() {
                // SAFETY: the buffer is as long as its field says, and these rows belong to this task.
                unsafe { field.refresh(pointers.0[w], b, &self.grid) };
            }
        }
    }
}

fn simple_nexts(body: &Func, roots: &Roots, carry: usize) -> Vec<Next> {
    (0..carry).map(|k| roots.taken(body, k).map_or(Next::Made, Next::Taken)).collect()
}

/// Rows are values of their own, which nothing else reads: copies.
fn rows_apart(body: &Func, carry: usize) -> Func {
    let mut f = body.clone();
    for k in carry..f.outputs.len() {
        let v = f.outputs[k];
        let ty = f.ty(v).clone();
        let op = Op::Broadcast { shape: ty.shape.clone(), axes: (0..ty.rank()).collect() };
        f.nodes.push(Node { op, args: vec![v], types: vec![ty] });
        f.outputs[k] = Value(f.nodes.len() as u32 - 1);
    }
    f
}

/// A value may be written over one that is read nowhere but at the point that is computed, for this value alone.
fn nexts(body: &Func, roots: &Roots, extent: &Extent, carry: usize) -> Vec<Next> {
    let mut next = simple_nexts(body, roots, carry);
    for k in 0..carry {
        let v = body.outputs[k];
        let (Next::Made, Some(level)) = (next[k], roots.level(v)) else { continue };
        let alone = roots.all.iter().filter(|r| r.1 == level).count() == 1;
        let single = body.ty(v).rank() == 0 || roots::components(&body.ty(v).shape, roots.rank) == 1;
        if !alone || !single {
            continue;
        }
        let fits = |j: &usize| {
            let old = Source::Old(*j);
            let last = extent.last.get(&old).copied().unwrap_or(0);
            !extent.elsewhere.contains(&old)
                && last <= level
                && !next.iter().any(|n| matches!(n, Next::Taken(i) | Next::Over(i) if i == j))
        };
        if let Some(j) = (0..carry).find(fits) {
            next[k] = Next::Over(j);
        }
    }
    next
}

/// The slots, the number of each source among them, and what the prologue computes.
fn lay_out(
    body: &Func,
    roots: &Roots,
    extent: &Extent,
    (carry, grid): (usize, &[usize]),
    layout: &Layout,
) -> (Vec<Slot>, std::collections::HashMap<Source, usize>, Vec<Value>) {
    let mut slots: Vec<Slot> = vec![];
    let mut numbers = std::collections::HashMap::new();
    let mut prologue = vec![];
    let dtype = body.inputs[0].dtype;
    for k in 0..carry {
        // Values that take each other's places have one layout: the widest.
        let shape = &body.inputs[k].shape;
        let mut field = Field::around(shape, grid, &extent.state_ghosts, dtype, layout.lines);
        field.around = extent.around(body, Source::Old(k), shape.len());
        numbers.insert(Source::Old(k), slots.len());
        slots.push(Slot { kind: Kind::Old(k), field: field.clone() });
        if roots.taken(body, k).is_none() {
            numbers.insert(Source::Root(body.outputs[k]), slots.len());
            slots.push(Slot { kind: Kind::New(k), field });
        }
    }
    for (row, &v) in body.outputs[carry..].iter().enumerate() {
        let shape = &body.ty(v).shape;
        numbers.insert(Source::Root(v), slots.len());
        let none = vec![0; shape.len()];
        slots.push(Slot { kind: Kind::Row(row), field: Field::of(shape, (none.clone(), none), dtype) });
    }
    for &(v, _) in &roots.all {
        if let std::collections::hash_map::Entry::Vacant(place) = numbers.entry(Source::Root(v)) {
            let shape = &body.ty(v).shape;
            let mut field =
                Field::around(shape, grid, &extent.ghosts_of(Source::Root(v), grid.len()), dtype, layout.lines);
            field.around = extent.around(body, Source::Root(v), shape.len());
            place.insert(slots.len());
            slots.push(Slot { kind: Kind::Between, field });
        }
    }
    for source in &extent.sources {
        let (kind, ty) = match *source {
            Source::Old(_) | Source::Root(_) => continue,
            Source::Item(k) => (Kind::Item(k), &body.inputs[k]),
            Source::Fixed(v) => match &body.node(v).op {
                Op::Input(k) => (Kind::Shared(*k), body.ty(v)),
                Op::Const(_) => (Kind::Constant(v), body.ty(v)),
                _ => {
                    prologue.push(v);
                    (Kind::Prologue(prologue.len() - 1), body.ty(v))
                }
            },
        };
        let mut field = match (source, &layout.items) {
            (Source::Item(k), Some(items)) => items[*k - carry].clone(),
            _ => {
                let mut field = Field::of(&ty.shape, extent.beyond(*source), ty.dtype);
                field.around = extent.around(body, *source, ty.rank());
                field
            }
        };
        if let Kind::Constant(v) = kind
            && let Op::Const(t) = &body.node(v).op
        {
            field.constant = Some(t.clone());
        }
        numbers.insert(*source, slots.len());
        slots.push(Slot { kind, field });
    }
    (slots, numbers, prologue)
}

#[cfg(test)]
mod tests;
