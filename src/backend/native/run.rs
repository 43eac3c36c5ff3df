//! Running a program: one step after the other.

use super::arithmetic::{self, Float};
use super::buffer::{Buffer, Element, View, ViewMut, with_dtype, with_float};
use super::follow::Follow;
use super::lower::Kind;
use super::movement;
use super::{Context, Place, Program, Root, Step, Workspace, indices};
use crate::ir::{Compare, Fault};

/// A result taken out of the workspace while a step writes it.
enum Taken<'a> {
    Slot(Buffer, usize),
    Output(ViewMut<'a>),
}

impl Taken<'_> {
    fn view_mut(&mut self) -> ViewMut<'_> {
        match self {
            Taken::Slot(b, len) => b.view_mut().part(0, *len),
            Taken::Output(v) => v.reborrow(),
        }
    }
}

impl Program {
    /// `outputs` must have the lengths of the outputs.
    pub fn run(
        &self,
        context: &Context,
        workspace: &mut Workspace,
        inputs: &[View],
        outputs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        for step in &self.steps {
            if let [result] = step.results[..] {
                // No allocation where there is one result.
                let mut taken = self.take(workspace, outputs, result);
                let outcome = self.step(context, step, workspace, inputs, outputs, &mut [taken.view_mut()]);
                put(workspace, outputs, result, taken);
                outcome?;
            } else {
                let mut taken: Vec<Taken> = step.results.iter().map(|&r| self.take(workspace, outputs, r)).collect();
                let mut outs: Vec<ViewMut> = taken.iter_mut().map(Taken::view_mut).collect();
                let outcome = self.step(context, step, workspace, inputs, outputs, &mut outs);
                step.results.iter().zip(taken).for_each(|(&r, t)| put(workspace, outputs, r, t));
                outcome?;
            }
            step.last_of.iter().for_each(|k| self.constants[*k].release());
            if workspace.once {
                step.freed.iter().for_each(|k| workspace.slots[*k] = Buffer::zeros(self.slots[*k].dtype, 0));
            }
        }
        for k in 0..outputs.len() {
            if let Some(place) = self.outputs[k].copy {
                let mut to = std::mem::take(&mut outputs[k]);
                to.copy_from(self.view(place, &workspace.slots, inputs, outputs));
                outputs[k] = to;
            }
        }
        Ok(())
    }

    fn take<'a>(&self, w: &mut Workspace, outputs: &mut [ViewMut<'a>], (root, len): (Root, usize)) -> Taken<'a> {
        match root {
            Root::Slot(k) => {
                let slot = &self.slots[k];
                let there = std::mem::take(&mut w.slots[k]);
                let given_back = there.view().len() < slot.len;
                Taken::Slot(if given_back { Buffer::zeros(slot.dtype, slot.len) } else { there }, len)
            }
            Root::Output(k) => Taken::Output(std::mem::take(&mut outputs[k])),
            Root::Input(_) | Root::Constant(_) => unreachable!("compiler bug: a step writes an input"),
        }
    }

    fn view<'a>(&'a self, p: Place, slots: &'a [Buffer], inputs: &[View<'a>], outputs: &'a [ViewMut]) -> View<'a> {
        let whole = match p.root {
            Root::Input(k) => inputs[k],
            Root::Constant(k) => View::of_tensor(&self.constants[k]),
            Root::Slot(k) => slots[k].view(),
            Root::Output(k) => outputs[k].view(),
        };
        whole.part(p.start, p.len)
    }

    fn step(
        &self,
        context: &Context,
        step: &Step,
        workspace: &mut Workspace,
        inputs: &[View],
        outputs: &[ViewMut],
        outs: &mut [ViewMut],
    ) -> Result<(), Fault> {
        let Workspace { slots, nested, systems, .. } = workspace;
        let view = |p: &Place| self.view(*p, slots, inputs, outputs);
        // Most steps have few arguments; no allocation then.
        let mut few = [View::Index(&[]); 8];
        let many: Vec<View>;
        let args: &[View] = if step.args.len() <= few.len() {
            few.iter_mut().zip(&step.args).for_each(|(v, p)| *v = view(p));
            &few[..step.args.len()]
        } else {
            many = step.args.iter().map(view).collect();
            &many
        };
        let follow = match &step.kind {
            Kind::Scan { .. } | Kind::Blocked(_) => context.follow,
            // Loops of derivatives, whose states are not those of a run.
            Kind::Marked(_) | Kind::Replayed(_) | Kind::Retraced(_) => None,
            _ => context.follow.map(Follow::aside),
        };
        let context = &Context { follow, ..*context };
        match &step.kind {
            Kind::Map { body, n, mapped } => body.map(context, &nested[body.number], *n, mapped, args, outs),
            Kind::Scan { body, length, carry, xs, reverse } => {
                body.scan(context, &nested[body.number], (*length, *carry, *xs, *reverse), args, outs)
            }
            Kind::Blocked(scan) => scan.run(context, args, outs),
            Kind::Marked(scan) => scan.run(context, args, outs),
            Kind::Replayed(scan) => {
                let (outs, marks) = outs.split_at_mut(outs.len() - scan.marks().len());
                scan.run(context, args, marks, outs)
            }
            Kind::Ahead(pair) => pair.ahead(context, args, outs),
            Kind::Behind(pair) => {
                let (outs, marks) = outs.split_at_mut(outs.len() - pair.overwritten().len());
                pair.behind(context, args, marks, outs)
            }
            Kind::Traced(loops) => loops.ahead(context, nested, args, outs),
            Kind::Retraced(loops) => loops.run(context, nested, args, outs),
            Kind::Cond { then, otherwise } => {
                let body = if args[0].item() != 0.0 { then } else { otherwise };
                body.call(context, &nested[body.number], &args[1..], outs)
            }
            Kind::Memo { body, memo } => body.remembered(context, &nested[body.number], memo, args, outs),
            Kind::Kernel(kernel) => {
                kernel.run(context, args, outs);
                Ok(())
            }
            Kind::Through(through) => {
                let outs: Vec<ViewMut> = outs.iter_mut().map(ViewMut::reborrow).collect();
                match outs[0] {
                    ViewMut::F64(_) => through.run::<f64>(context, args, outs),
                    ViewMut::F32(_) => through.run::<f32>(context, args, outs),
                    ViewMut::Index(_) => unreachable!("compiler bug: a transform of indices"),
                }
                Ok(())
            }
            Kind::Solve { system } => {
                let out = f64::of_mut(outs[0].reborrow());
                self.systems[*system].solve(context, systems, *system, args, out)
            }
            Kind::LinearSolve { system, transposed } => {
                let out = f64::of_mut(outs[0].reborrow());
                self.systems[*system].linear_solve(context, systems, *transposed, args, out)
            }
            simple => self.simple(context, simple, args, outs[0].reborrow()),
        }
    }

    fn simple(&self, context: &Context, kind: &Kind, args: &[View], out: ViewMut) -> Result<(), Fault> {
        let dtype = match &out {
            ViewMut::F64(_) => crate::ir::DType::F64,
            ViewMut::F32(_) => crate::ir::DType::F32,
            ViewMut::Index(_) => crate::ir::DType::Index,
        };
        match kind {
            Kind::Iota { shape, axis } => match out {
                ViewMut::F64(y) => movement::iota(shape, *axis, |i| i as f64, y),
                ViewMut::F32(y) => movement::iota(shape, *axis, |i| i as f32, y),
                ViewMut::Index(y) => movement::iota(shape, *axis, |i| i as u32, y),
            },
            Kind::Unary(f) => with_float!(dtype, T => arithmetic::unary(*f, T::of(args[0]), T::of_mut(out))),
            Kind::Binary(f) => {
                with_float!(dtype, T => arithmetic::binary(*f, T::of(args[0]), T::of(args[1]), T::of_mut(out)))
            }
            Kind::Compare(c) => with_float!(dtype, T => compare(*c, T::of(args[0]), T::of(args[1]), T::of_mut(out))),
            Kind::Select => with_dtype!(dtype, T => {
                let (a, b, y) = (T::of(args[1]), T::of(args[2]), T::of_mut(out));
                let choose = |i: usize, m: bool| if m { a[i] } else { b[i] };
                match args[0] {
                    View::F64(m) => (0..y.len()).for_each(|i| y[i] = choose(i, m[i] != 0.0)),
                    View::F32(m) => (0..y.len()).for_each(|i| y[i] = choose(i, m[i] != 0.0)),
                    View::Index(m) => (0..y.len()).for_each(|i| y[i] = choose(i, m[i] != 0)),
                }
            }),
            Kind::Cast => cast(args[0], out),
            Kind::Strided(s) => with_dtype!(dtype, T => s.gather(T::of(args[0]), T::of_mut(out))),
            Kind::Pad(s) => with_dtype!(dtype, T => {
                let y = T::of_mut(out);
                y.fill(T::default());
                s.scatter(T::of(args[0]), y)
            }),
            Kind::Concat { rows } => with_dtype!(dtype, T => {
                let y = T::of_mut(out);
                let mut at = 0;
                for a in args {
                    let x = T::of(*a);
                    movement::concat(*rows, x, y, at);
                    at += x.len() / (*rows).max(1);
                }
            }),
            Kind::Roll { n, inner, shift } => {
                with_dtype!(dtype, T => movement::roll(*n, *inner, *shift, T::of(args[0]), T::of_mut(out)))
            }
            Kind::Reduce { kind, outer, n, inner } => {
                with_float!(dtype, T => arithmetic::reduce(*kind, *outer, *n, *inner, T::of(args[0]), T::of_mut(out)))
            }
            Kind::Fourier(t) => match out {
                ViewMut::F64(y) => t.run64(context, &args.iter().map(|a| f64::of(*a)).collect::<Vec<_>>(), y),
                ViewMut::F32(y) => t.run32(context, &args.iter().map(|a| f32::of(*a)).collect::<Vec<_>>(), y),
                ViewMut::Index(_) => unreachable!("compiler bug: a transform of indices"),
            },
            Kind::Dot(d) => with_float!(dtype, T => d.run(context, T::of(args[0]), T::of(args[1]), T::of_mut(out))),
            Kind::Gather { row } => {
                let index = u32::of(args[1]);
                let outcome = with_dtype!(dtype, T => movement::gather(*row, index, T::of(args[0]), T::of_mut(out)));
                outcome.map_err(|i| {
                    let n = args[0].len() / (*row).max(1);
                    self.fault(format!("index {i} is out of range for an axis of {n}"))
                })?
            }
            Kind::Scatter { row, inverse } => with_float!(dtype, T => {
                let (updates, y) = (T::of(args[1]), T::of_mut(out));
                match inverse {
                    Some(inverse) => inverse.scatter(context, *row, updates, y),
                    None => indices::scatter_add(*row, u32::of(args[0]), updates, y),
                }
            }),
            Kind::Map { .. }
            | Kind::Scan { .. }
            | Kind::Blocked(_)
            | Kind::Marked(_)
            | Kind::Replayed(_)
            | Kind::Ahead(_)
            | Kind::Behind(_)
            | Kind::Traced(_)
            | Kind::Retraced(_)
            | Kind::Cond { .. }
            | Kind::Memo { .. }
            | Kind::Kernel(_)
            | Kind::Through(_)
            | Kind::Solve { .. }
            | Kind::LinearSolve { .. } => unreachable!("compiler bug: handled by the caller"),
        }
        Ok(())
    }
}

fn put<'a>(w: &mut Workspace, outputs: &mut [ViewMut<'a>], (root, _): (Root, usize), taken: Taken<'a>) {
    match (root, taken) {
        (Root::Slot(k), Taken::Slot(b, _)) => w.slots[k] = b,
        (Root::Output(k), Taken::Output(v)) => outputs[k] = v,
        _ => unreachable!("compiler bug: a result put back elsewhere"),
    }
}

fn compare<T: Float>(c: Compare, a: &[T], b: &[T], y: &mut [T]) {
    fn each<T: Float>(a: &[T], b: &[T], y: &mut [T], f: impl Fn(&T, &T) -> bool) {
        y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = if f(a, b) { T::ONE } else { T::default() });
    }
    match c {
        Compare::Lt => each(a, b, y, |a, b| a < b),
        Compare::Le => each(a, b, y, |a, b| a <= b),
        Compare::Eq => each(a, b, y, |a, b| a == b),
    }
}

fn cast(from: View, to: ViewMut) {
    fn each<A: Copy, B>(x: &[A], y: &mut [B], f: impl Fn(A) -> B) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*x));
    }
    match (from, to) {
        (View::F64(x), ViewMut::F64(y)) => y.copy_from_slice(x),
        (View::F64(x), ViewMut::F32(y)) => each(x, y, |x| x as f32),
        (View::F64(x), ViewMut::Index(y)) => each(x, y, |x| x as u32),
        (View::F32(x), ViewMut::F64(y)) => each(x, y, |x| x as f64),
        (View::F32(x), ViewMut::F32(y)) => y.copy_from_slice(x),
        (View::F32(x), ViewMut::Index(y)) => each(x, y, |x| x as u32),
        (View::Index(x), ViewMut::F64(y)) => each(x, y, |x| x as f64),
        (View::Index(x), ViewMut::F32(y)) => each(x, y, |x| x as f32),
        (View::Index(x), ViewMut::Index(y)) => y.copy_from_slice(x),
    }
}
