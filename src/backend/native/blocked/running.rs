//! A blocked scan while it runs: from state to state, some steps at a time.

use super::layout::{Field, Memory};
use super::schedule::Box;
use super::slots::{Kind, Next};
use super::{Blocked, Sweep, far};
use crate::backend::native::buffer::{View, ViewMut};
use crate::backend::native::kernel::Pointers;
use crate::backend::native::{Buffer, Context, buffers};
use crate::ir::Fault;

/// What is split over the steps: the item of an argument, by its position, or the row of a result.
#[derive(Clone, Copy)]
pub enum Outer {
    Item(usize),
    Row(usize),
}

/// A scan between two of its steps.
pub struct Running {
    /// Of each slot that no step changes.
    fixed: Vec<*mut u8>,
    /// Arrays for states.
    own: Vec<*mut u8>,
    /// Where each carried value lies: in one of these, the others of which are free, or in an array that is not written.
    place: Vec<*mut u8>,
    /// What the pointers point into.
    _made: Vec<Buffer>,
}

impl Blocked {
    /// Lays out what does not change and the state; `args` are those of the scan, of which those split over the steps are not read.
    pub fn begin(&self, context: &Context, memory: &mut Memory, args: &[View]) -> Result<Running, Fault> {
        let (fixed, made) = self.fixed(context, memory, args)?;
        let own: Vec<*mut u8> = memory.states.iter_mut().map(|s| s.pointer()).collect();
        for (k, arg) in args.iter().enumerate().take(self.carry) {
            self.old(k).fill(context, *arg, own[k]);
        }
        let place = own[..self.carry].to_vec();
        Ok(Running { fixed, own, place, _made: made })
    }

    /// The same from a state in arrays of this layout, which stay as they are.
    pub fn begin_at(
        &self,
        context: &Context,
        memory: &mut Memory,
        args: &[View],
        from: &[*mut u8],
    ) -> Result<Running, Fault> {
        let (fixed, made) = self.fixed(context, memory, args)?;
        let own = memory.states.iter_mut().map(|s| s.pointer()).collect();
        Ok(Running { fixed, own, place: from.to_vec(), _made: made })
    }

    /// Of each slot that no step changes where it lies, and what some of the pointers point into.
    pub fn fixed(
        &self,
        context: &Context,
        memory: &mut Memory,
        args: &[View],
    ) -> Result<(Vec<*mut u8>, Vec<Buffer>), Fault> {
        let mut made: Vec<Buffer> = vec![];
        if let Some((body, nested)) = &self.prologue {
            made = buffers(body.program.output_types());
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
                crate::backend::native::kernel::pointer(&from)
            };
        }
        Ok((fixed, made))
    }

    /// Where the carried values lie after a step.
    fn after(&self, running: &Running) -> Vec<*mut u8> {
        let Running { own, place, .. } = running;
        let mut free = own.iter().copied().filter(|s| !place.contains(s));
        let to = |n: &Next| match *n {
            Next::Taken(j) => place[j],
            Next::Over(j) if own.contains(&place[j]) => place[j],
            Next::Over(_) | Next::Made => free.next().expect("compiler bug: no state is free"),
        };
        self.next.iter().map(to).collect()
    }

    /// Further steps; what is split over them lies where `outside` says for each step from 0: `(step, which, elements)`.
    pub fn go_on(
        &self,
        context: &Context,
        running: &mut Running,
        steps: usize,
        outside: &dyn Fn(usize, Outer, usize) -> *mut u8,
    ) {
        self.go_on_to(context, running, steps, None, outside);
    }

    /// The same; the state after them is to lie in arrays of its layout, which stay as they are from then on.
    pub fn go_on_to(
        &self,
        context: &Context,
        running: &mut Running,
        steps: usize,
        to: Option<&[*mut u8]>,
        outside: &dyn Fn(usize, Outer, usize) -> *mut u8,
    ) {
        let mut at = 0;
        while at < steps {
            let count = self.schedule.steps.min(steps - at);
            let mut tables: Vec<Vec<*mut u8>> = Vec::with_capacity(count);
            for step in at..at + count {
                let mut after = self.after(running);
                if let Some(to) = to
                    && step + 1 == steps
                {
                    let made = |k: &usize| !matches!(self.next[*k], Next::Taken(_));
                    (0..self.carry).filter(made).for_each(|k| after[k] = to[k]);
                }
                let Running { fixed, place, .. } = running;
                let table = self.slots.iter().zip(&*fixed).map(|(slot, &fixed)| match slot.kind {
                    Kind::Old(k) => place[k],
                    Kind::New(k) => after[k],
                    Kind::Item(k) => outside(step, Outer::Item(k), slot.field.len),
                    Kind::Row(r) => outside(step, Outer::Row(r), slot.field.len),
                    _ => fixed,
                });
                tables.push(table.collect());
                running.place = after;
            }
            self.advance(context, &tables, to.is_some() && at + count == steps);
            at += count;
        }
        // What a value has from another one lies where that one was.
        for (k, &to) in to.unwrap_or_default().iter().enumerate().filter(|(k, to)| running.place[*k] != **to) {
            self.old(k).copy(context, running.place[k], to);
        }
    }

    /// A carried value as it is now.
    pub fn state(&self, context: &Context, running: &Running, k: usize, out: &mut ViewMut) {
        self.old(k).read(context, running.place[k], out);
    }

    pub fn old(&self, k: usize) -> &Field {
        let slot = self.slots.iter().find(|s| s.kind == Kind::Old(k));
        &slot.expect("compiler bug: a state without a slot").field
    }

    /// As many steps as there are tables of pointers; `distant`: what the last one writes is not in cache.
    fn advance(&self, context: &Context, tables: &[Vec<*mut u8>], distant: bool) {
        let tables: Vec<Pointers> = tables.iter().map(|t| Pointers(t)).collect();
        let (sweeps, rows) = (self.sweeps.len(), self.grid.len() == 2);
        let work = |time: usize, b: &Box| {
            let (sweep, pointers) = (&self.sweeps[time % sweeps], &tables[time / sweeps]);
            if !(distant && rows && time / sweeps + 1 == tables.len()) {
                return self.sweep(sweep, pointers, b);
            }
            // A row is asked for while the one before it is computed.
            for row in b.rows.0..b.rows.1 {
                for &w in &sweep.writes {
                    let field = &self.slots[w].field;
                    let next = pointers.0[w].wrapping_add((field.beyond_rows().0 + row + 1) * field.pitch());
                    far::to_write(next, field.pitch());
                }
                self.sweep(sweep, pointers, &Box { rows: (row, row + 1), ..*b });
            }
        };
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
