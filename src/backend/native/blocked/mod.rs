//! Scans of stencil steps, many steps in one pass over memory.
//!
//! A step whose operations are pointwise or move elements by bounded distances is cut into few *sweeps*: loops over the grid that read
//! some arrays near each point and write others there. Arrays lie in memory with copies of what is beyond a periodic end (ghosts)
//! around them, so that a sweep is one loop nest without cases. Since a sweep reads only near each point, it need not
//! wait until the one before it has finished everywhere: several steps advance together through the part of the grid that is in cache
//! ([`schedule`]). Every element is computed once, by the same operations as step by step, so the bits are the same.
//!
//! [Wolfe 1989, More iteration space tiling; Frigo & Strumpen 2005, Cache oblivious stencil computations]

mod extent;
mod far;
mod layout;
mod moved;
mod pairs;
mod passes;
mod read;
mod rings;
mod roots;
mod running;
mod schedule;
pub mod segments;
mod slots;
mod tiles;
mod windows;

use super::buffer::{View, ViewMut};
use super::kernel::{Code, Compiled, Compiler};
use super::structured::{Body, Nested};
use super::{Context, follow, lower};
use crate::ir::build::drop_dead;
use crate::ir::{DType, Fault, Func, Node, Op, Type, Value};
use extent::Extent;
use layout::{Field, Memory};
pub use pairs::Pair;
use roots::Roots;
use running::Outer;
use schedule::Schedule;
pub use segments::{Marked, Replayed};
use slots::{Kind, Layout, Next, Slot};
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
        let (slots, numbers, prologue) = slots::lay_out(body, roots, extent, (carry, grid), layout);
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
        let next =
            if wide { slots::nexts(body, roots, extent, carry) } else { slots::simple_nexts(body, roots, carry) };
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
        let olds: Vec<&Field> = (0..self.carry).map(|k| self.old(k)).collect();
        let mut m = self.memory_beside();
        // A made value needs a place of its own while the old ones are read; all fields of a scan have one layout.
        let made = (0..self.carry).filter(|&k| self.next[k] == Next::Made);
        for k in (0..self.carry).chain(made) {
            m.states.push(layout::Aligned::zeros(olds[k].bytes(), m.states.len()));
        }
        m
    }

    /// The same without states.
    fn memory_beside(&self) -> Memory {
        let mut m = Memory::default();
        for s in &self.slots {
            let own = matches!(s.kind, Kind::Between) || s.field.ghosts();
            let own = own && !matches!(s.kind, Kind::Old(_) | Kind::New(_) | Kind::Row(_) | Kind::Item(_));
            let bytes = if own { s.field.bytes() } else { 0 };
            m.others.push(layout::Aligned::zeros(bytes, m.others.len() + 5));
        }
        m
    }

    /// How many states a run works in.
    fn states(&self) -> usize {
        self.carry + self.next.iter().filter(|n| **n == Next::Made).count()
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

#[cfg(test)]
mod tests;
