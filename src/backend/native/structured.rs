//! Steps with bodies: items of a map over threads, scans, branches.

use super::buffer::{Buffer, View, ViewMut};
use super::follow::{Entry, entry};
use super::lower::Kind;
use super::repeats::{first_of_each, same_bits};
use super::{Context, Program, Workspace, buffers, follow};
use crate::backend::memo::Remembered;
use crate::ir::{Fault, Type, Within};
use std::ops::Range;
use std::sync::Mutex;

/// A compiled body and the number of its workspaces in the workspace of the function around it.
pub struct Body {
    pub(super) program: Program,
    pub number: usize,
    /// Of each argument the elements that matter.
    pub(super) reads: Vec<Vec<Range<usize>>>,
}

/// Workspaces of one body that nobody uses now.
#[derive(Default)]
pub struct Nested {
    idle: Mutex<Vec<Workspace>>,
}

impl Kind {
    pub fn bodies(&self) -> Vec<&Body> {
        match self {
            Kind::Map { body, .. } | Kind::Scan { body, .. } | Kind::Memo { body, .. } => vec![body],
            Kind::Cond { then, otherwise } => vec![then, otherwise],
            Kind::Traced(loops) => vec![&loops.steps],
            Kind::Retraced(loops) => vec![&loops.back],
            _ => vec![],
        }
    }
}

impl Nested {
    /// Gives `f` a workspace, kept for the next time.
    pub(super) fn with<R>(&self, p: &Program, f: impl FnOnce(&mut Workspace) -> R) -> R {
        self.lend(p, true, f)
    }

    /// Gives `f` a workspace, which is kept for the next time or not.
    fn lend<R>(&self, p: &Program, keep: bool, f: impl FnOnce(&mut Workspace) -> R) -> R {
        let idle = || self.idle.lock().unwrap_or_else(|e| e.into_inner());
        let reused = idle().pop();
        let mut w = reused.unwrap_or_else(|| Workspace::new(p));
        let result = f(&mut w);
        if keep {
            idle().push(w);
        }
        result
    }
}

impl Body {
    pub fn new(program: Program, number: usize, f: &crate::ir::Func) -> Body {
        Body { program, number, reads: super::repeats::elements_read(f) }
    }

    pub fn call(&self, context: &Context, nested: &Nested, args: &[View], outs: &mut [ViewMut]) -> Result<(), Fault> {
        nested.with(&self.program, |w| self.program.run(context, w, args, outs))
    }

    /// A `Memo` of this body: its results by what is remembered of it, which is computed as far as it lacks.
    pub fn remembered(
        &self,
        context: &Context,
        nested: &Nested,
        memo: &Remembered,
        args: &[View],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let numbers = |v: &View| (0..v.len()).map(|i| v.number(i)).collect::<Vec<f64>>();
        let (mut x, mut fixed) = (vec![], vec![]);
        for (k, v) in args.iter().enumerate() {
            if memo.keyed(k) { x.extend(numbers(v)) } else { fixed.extend(v.bytes()) }
        }
        let at_knot = |x: &[f64]| -> Result<Vec<f64>, Fault> {
            let mut own: Vec<Option<Buffer>> = vec![];
            let mut at = 0;
            for (k, v) in args.iter().enumerate() {
                own.push(memo.keyed(k).then(|| {
                    at += v.len();
                    Buffer::of(v.dtype(), &x[at - v.len()..at])
                }));
            }
            let inputs: Vec<View> = own.iter().zip(args).map(|(o, v)| o.as_ref().map_or(*v, Buffer::view)).collect();
            let mut results = buffers(self.program.output_types());
            let mut views: Vec<ViewMut> = results.iter_mut().map(Buffer::view_mut).collect();
            self.call(context, nested, &inputs, &mut views)?;
            Ok(results.iter().flat_map(|r| numbers(&r.view())).collect())
        };
        let results = memo.results(&x, &fixed, &at_knot)?;
        for (out, entries) in outs.iter_mut().zip(&results) {
            out.copy_from(Buffer::of(out.view().dtype(), entries).view());
        }
        Ok(())
    }

    /// Items in contiguous runs over the threads. Of several failures the one of the first item is told. An item that repeats an
    /// earlier one, to the bit, is not run if it holds a nested problem: its results are those of the earlier one.
    pub fn map(
        &self,
        context: &Context,
        nested: &Nested,
        n: usize,
        mapped: &[bool],
        args: &[View],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        /// More tasks than threads, since items may differ in cost.
        const TASKS_PER_THREAD: usize = 8;
        // A nested problem costs more than finding out whether it was posed before.
        let repeats = if n > 1 && self.program.solves() {
            let split = args.iter().zip(&self.reads).zip(mapped).filter(|(_, m)| **m);
            let parts: Vec<_> = split.flat_map(|((a, read), _)| read.iter().map(|r| (*a, r))).collect();
            first_of_each(n, &parts)
        } else {
            (0..n).collect()
        };
        let items: Vec<usize> = (0..n).filter(|&i| repeats[i] == i).collect();
        let tasks = if context.threads() > 1 { items.len().min(context.threads() * TASKS_PER_THREAD) } else { 1 };
        let each = items.len().div_ceil(tasks.max(1)).max(1);
        // The items of a task, and where the results begin that lie between its first item and that of the next task.
        let tasks: Vec<&[usize]> = items.chunks(each).collect();
        let inner = if tasks.len() > 1 { Context { pool: None, ..*context } } else { *context };
        let mut parts: Vec<Vec<ViewMut>> = tasks.iter().map(|_| Vec::with_capacity(outs.len())).collect();
        for out in outs.iter_mut() {
            let item = out.view().len() / n.max(1);
            let mut rest = out.reborrow();
            for (t, part) in parts.iter_mut().enumerate() {
                let end = tasks.get(t + 1).map_or(n, |next| next[0]);
                let (head, tail) = rest.split((end - tasks[t][0]) * item);
                part.push(head);
                rest = tail;
            }
        }
        let parts: Vec<Mutex<Vec<ViewMut>>> = parts.into_iter().map(Mutex::new).collect();
        let failures = Mutex::new(vec![]);
        context.parallel(tasks.len(), &|t, _| {
            let mut part = parts[t].lock().unwrap_or_else(|e| e.into_inner());
            let outcome = nested.with(&self.program, |w| self.items(&inner, w, tasks[t], n, mapped, args, &mut part));
            if let Err(failure) = outcome {
                failures.lock().unwrap_or_else(|e| e.into_inner()).push(failure);
            }
        });
        drop(parts);
        let failures = failures.into_inner().unwrap_or_else(|e| e.into_inner());
        if let Some((i, fault)) = failures.into_iter().min_by_key(|(i, _)| *i) {
            return Err(fault.within(Within::Item(i, n)));
        }
        for out in outs.iter_mut() {
            let item = out.view().len() / n.max(1);
            (0..n).filter(|&i| repeats[i] != i).for_each(|i| out.copy_within(repeats[i] * item, i * item, item));
        }
        Ok(())
    }

    /// `outs` hold the results of the first of these items and what follows.
    // Arguments, workspace and results are borrowed apart.
    #[allow(clippy::too_many_arguments)]
    fn items(
        &self,
        context: &Context,
        workspace: &mut Workspace,
        items: &[usize],
        n: usize,
        mapped: &[bool],
        args: &[View],
        outs: &mut [ViewMut],
    ) -> Result<(), (usize, Fault)> {
        let mut inputs: Vec<View> = args.to_vec();
        let mut parts: Vec<ViewMut> = Vec::with_capacity(outs.len());
        let sizes: Vec<usize> = self.program.output_types().map(Type::len).collect();
        for &i in items {
            for (k, a) in args.iter().enumerate().filter(|(k, _)| mapped[*k]) {
                let item = a.len() / n;
                inputs[k] = a.part(i * item, item);
            }
            // A vector of another lifetime for every item, in the same memory.
            let mut outputs = recycle(std::mem::take(&mut parts));
            let place = i - items[0];
            outputs.extend(outs.iter_mut().zip(&sizes).map(|(o, &size)| o.reborrow().part(place * size, size)));
            let outcome = self.program.run(context, workspace, &inputs, &mut outputs);
            parts = recycle(outputs);
            outcome.map_err(|e| (i, e))?;
        }
        Ok(())
    }

    /// `shape`: length, carried values, split arguments, whether from the last.
    pub fn scan(
        &self,
        context: &Context,
        nested: &Nested,
        shape: (usize, usize, usize, bool),
        args: &[View],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let (length, carry, xs, reverse) = shape;
        let (states, rows) = outs.split_at_mut(carry);
        if length == 0 {
            states.iter_mut().zip(args).for_each(|(s, a)| s.copy_from(*a));
            return Ok(());
        }
        /// Steps, and bytes of a workspace, from which on making it costs little beside the loop, and keeping it much: a gradient has
        /// several loops after each other.
        const LONG: usize = 16;
        const LARGE: usize = 1 << 20;
        /// The same of what loops inside do and hold.
        const LONG_IN_ALL: usize = 256;
        const LARGE_IN_ALL: usize = 1 << 17;
        let keep = length < LONG || self.program.bytes() < LARGE;
        let keep_all = length * self.program.steps_inside() < LONG_IN_ALL || self.program.bytes_in_all() < LARGE_IN_ALL;
        let keep = keep && keep_all;
        let name = &self.program.name;
        let (start, others) = args.split_at(carry);
        let described = || {
            let loops = |s: &super::Step| matches!(s.kind, Kind::Scan { .. } | Kind::Blocked(_));
            let holds_loop = self.program.steps.iter().any(loops);
            let of = follow::Loop { name, length, carry, xs, reverse, holds_loop };
            (of, self.program.output_types().cloned().collect::<Vec<Type>>())
        };
        nested.lend(&self.program, keep, |w| {
            let mut steps =
                |context: &Context, range: Range<usize>, from: &[View], to: &mut [ViewMut], rows: &mut [ViewMut]| {
                    self.steps(context, w, shape, range, (from, others), to, rows)
                };
            match entry(context.follow, name, reverse) {
                Entry::Plain(follow) => steps(&Context { follow, ..*context }, 0..length, start, states, rows),
                Entry::Guarded(watch) => {
                    let (of, types) = described();
                    follow::guarded(context, watch, of, &types, start, (states, rows), &mut steps)
                }
                Entry::Followed(follow) => {
                    let (of, types) = described();
                    let rows = follow::Rows::new(rows, &types[carry..]);
                    follow::followed(context, follow, of, &types, start, (states, rows), &mut steps)
                }
            }
        })
    }

    /// Some steps of a scan, at least one, counted from where it starts: from one state, with the other arguments, to a state
    /// and the rows of these steps.
    // Arguments, workspace and results are borrowed apart.
    #[allow(clippy::too_many_arguments)]
    fn steps(
        &self,
        context: &Context,
        w: &mut Workspace,
        (length, carry, xs, reverse): (usize, usize, usize, bool),
        range: Range<usize>,
        (state, others): (&[View], &[View]),
        states: &mut [ViewMut],
        rows: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let args: Vec<View> = [state, others].concat();
        let (first, last, count) = (range.start, range.end - 1, range.len());
        let base = if reverse { length - range.end } else { first };
        let mut state = std::mem::take(&mut w.carry);
        for s in &mut state {
            if s.is_empty() && last > first {
                *s = buffers(self.program.output_types().take(carry));
            }
        }
        let [from, to] = &mut state;
        // The step before left the state as it was.
        let mut still = false;
        let outcome = range.into_iter().try_for_each(|step| -> Result<(), Option<Fault>> {
            let i = if reverse { length - 1 - step } else { step };
            let mut inputs: Vec<View> = args.to_vec();
            if step > first {
                inputs.iter_mut().zip(from.iter()).for_each(|(v, b)| *v = b.view());
            }
            let mut again = still && xs > 0;
            for v in &mut inputs[carry..carry + xs] {
                let item = v.len() / length;
                let place = |i: usize| v.part(i * item, item);
                again = again && same_bits(place(i), place(if reverse { i + 1 } else { i - 1 }));
                *v = place(i);
            }
            if again {
                // The same state and the same items give the same: tries back that were none.
                let before = if reverse { i + 1 } else { i - 1 };
                for row in rows.iter_mut() {
                    let item = row.view().len() / count;
                    row.copy_within((before - base) * item, (i - base) * item, item);
                }
                if step == last {
                    states.iter_mut().zip(from.iter()).for_each(|(s, b)| s.copy_from(b.view()));
                }
                return Ok(());
            }
            // The last step leaves the state where it is wanted.
            let mut outputs: Vec<ViewMut> = if step == last {
                states.iter_mut().map(ViewMut::reborrow).collect()
            } else {
                to.iter_mut().map(|b| b.view_mut()).collect()
            };
            outputs.extend(rows.iter_mut().map(|o| {
                let item = o.view().len() / count;
                o.reborrow().part((i - base) * item, item)
            }));
            self.program
                .run(context, w, &inputs, &mut outputs)
                .map_err(|e| Some(e.within(Within::Step(self.program.name.clone(), step))))?;
            std::mem::swap(from, to);
            still = step > first && step < last && unchanged(from, to);
            if xs == 0 && still {
                // Nothing is read from outside, so all further steps give the same.
                states.iter_mut().zip(from.iter()).for_each(|(s, b)| s.copy_from(b.view()));
                for row in rows.iter_mut() {
                    let item = row.view().len() / count;
                    let place = |k: usize| if reverse { length - 1 - k - base } else { k - base };
                    (step + 1..=last).for_each(|k| row.copy_within(place(step) * item, place(k) * item, item));
                }
                return Err(None);
            }
            Ok(())
        });
        w.carry = state;
        match outcome {
            Err(Some(fault)) => Err(fault),
            _ => Ok(()),
        }
    }
}

impl Program {
    /// Of its own part of a workspace.
    pub fn bytes(&self) -> usize {
        self.slots.iter().map(|s| s.len * s.dtype.size()).sum()
    }

    /// With those of bodies.
    fn bytes_in_all(&self) -> usize {
        let bodies = self.steps.iter().flat_map(|s| s.kind.bodies());
        self.bytes() + bodies.map(|b| b.program.bytes_in_all()).sum::<usize>()
    }

    /// Steps of its longest loop, with those of loops inside; 1 without.
    fn steps_inside(&self) -> usize {
        let of = |s: &super::Step| match &s.kind {
            Kind::Scan { body, length, .. } => length * body.program.steps_inside(),
            _ => 1,
        };
        self.steps.iter().map(of).max().unwrap_or(1)
    }

    /// Whether a linear or nonlinear system is solved in it, at any depth.
    fn solves(&self) -> bool {
        let below = |s: &super::Step| s.kind.bodies().into_iter().any(|b| b.program.solves());
        !self.systems.is_empty() || self.steps.iter().any(below)
    }
}

/// Whether buffers hold the same bits.
pub fn unchanged(a: &[Buffer], b: &[Buffer]) -> bool {
    a.iter().zip(b).all(|(a, b)| same_bits(a.view(), b.view()))
}

/// An empty vector with the memory of another one, for views of another lifetime.
fn recycle<'a>(mut v: Vec<ViewMut<'_>>) -> Vec<ViewMut<'a>> {
    v.clear();
    v.into_iter().map(|_| ViewMut::default()).collect()
}
