//! Programs that leave results where their arguments lie: what a loop carries needs its memory once, and stays in the cache.

use super::lower::Kind;
use super::{Program, Root};

impl Program {
    /// From now on each of the first `count` results holds the argument of the same number before the program runs, and this is not
    /// among the arguments any more (an empty view takes its place). False, and nothing changes, where one of these arguments is read
    /// after its result is written.
    pub fn overwrites(&mut self, count: usize) -> bool {
        let Some(last) = (0..count).map(|k| self.last(k)).collect::<Option<Vec<_>>>() else { return false };
        for (k, (step, arg)) in last.into_iter().enumerate() {
            let places = self.steps.iter_mut().flat_map(|s| &mut s.args).filter(|p| p.root == Root::Input(k));
            places.for_each(|p| p.root = Root::Output(k));
            let step = &mut self.steps[step];
            step.args[arg].len = 0;
            let Kind::Kernel(kernel) = &mut step.kind else { unreachable!("compiler bug: no kernel") };
            kernel.reads_result(arg);
        }
        true
    }

    /// The step that writes result k and is the last to read argument k, each element where it writes it, and which of its arguments that is.
    fn last(&self, k: usize) -> Option<(usize, usize)> {
        let ty = &self.outputs[k].ty;
        let copied = self.outputs.iter().any(|o| o.copy.is_some_and(|p| p.root == Root::Input(k)));
        let mut writers =
            (0..self.steps.len()).filter(|s| self.steps[*s].results.iter().any(|r| r.0 == Root::Output(k)));
        let (Some(at), None, false) = (writers.next(), writers.next(), copied) else { return None };
        let reads = |s: &super::Step| s.args.iter().filter(|p| p.root == Root::Input(k)).count();
        let step = &self.steps[at];
        let arg = step.args.iter().position(|p| p.root == Root::Input(k))?;
        let place = step.args[arg];
        let whole = (place.start, place.len) == (0, ty.len()) && step.results[..] == [(Root::Output(k), ty.len())];
        let Kind::Kernel(kernel) = &step.kind else { return None };
        let fits = whole && kernel.can_be_in_place(arg, step.args.len());
        (fits && reads(step) == 1 && self.steps[at + 1..].iter().all(|s| reads(s) == 0)).then_some((at, arg))
    }
}

#[cfg(test)]
mod tests {
    use crate::backend::native::lower::lower;
    use crate::backend::native::{Context, View, ViewMut, Workspace};
    use crate::ir::{Builder, Op, Type};

    /// `(x + F⁻¹(F(x)))/2 - 1 = x - 1` for the normalised transform: the argument is read twice, the second time where the result is written.
    #[test]
    fn a_result_takes_the_place_of_its_argument() {
        let mut b = Builder::new("step");
        let x = b.input(Type::f64([32, 32]));
        let z = b.op(Op::Rfft { rank: 2 }, &[x]);
        let y = b.op(Op::Irfft { rank: 2, n: 32 }, &[z]);
        let y = b.scale(y, 1.0 / 1024.0);
        let sum = b.add(x, y);
        let half = b.scale(sum, 0.5);
        let one = b.full(&Type::f64([32, 32]), 1.0);
        let less = b.sub(half, one);
        let mut program = lower(&b.finish(vec![less]), 1).expect("it compiles");
        if !program.overwrites(1) {
            // Without kernels, or where they read and write in blocks.
            return;
        }
        let x: Vec<f64> = (0..1024).map(|i| ((i * 7919) % 1009) as f64 / 1009.0).collect();
        let mut y = x.clone();
        let context = Context { pool: None, follow: None };
        let mut workspace = Workspace::new(&program);
        program.run(&context, &mut workspace, &[View::F64(&[])], &mut [ViewMut::F64(&mut y)]).expect("it runs");
        x.iter().zip(&y).for_each(|(x, y)| assert!((x - 1.0 - y).abs() < 1e-13, "{x} {y}"));
    }

    /// What reads its argument elsewhere than where it writes, or after it, stays as it is.
    #[test]
    fn what_is_read_later_is_not_overwritten() {
        let mut b = Builder::new("step");
        let (x, y) = (b.input(Type::f64([64])), b.input(Type::f64([64])));
        let moved = b.op(Op::Roll { axis: 0, shift: 1 }, &[x]);
        let sum = b.add(moved, x);
        let other = b.mul(x, y);
        let mut program = lower(&b.finish(vec![sum, other]), 1).expect("it compiles");
        assert!(!program.overwrites(1));
        assert!(!program.overwrites(2));
    }
}
