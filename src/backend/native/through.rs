//! Transforms back, a kernel at the points and a transform forward as one step: the numbers at the points, of which there may be many
//! arrays, never leave the nearest cache.

use super::buffer::View;
use super::fourier::{AtPoints, Fourier};
use super::kernel::{self, Kernel, Pointers};
use super::lower::Kind;
use super::{Context, Place, Root, Step};
use crate::backend::plan::Demand;

pub struct Through {
    /// The transforms back, how many arguments each has, and which buffer of the kernel is their result.
    pub back: Vec<(Fourier, usize, usize)>,
    /// Its other buffers are the arguments behind, in order; the last one is its result.
    pub kernel: Kernel,
    /// Buffers of the kernel, the result among them.
    pub buffers: usize,
    pub forward: Fourier,
}

/// Numbers that are transformed.
pub trait Number: Copy + Send + Sync + 'static {
    fn of<'a>(view: &View<'a>) -> &'a [Self];
    fn through(t: &Fourier, context: &Context, back: &[(&Fourier, Vec<&[Self]>)], f: &AtPoints<Self>, y: &mut [Self]);
}

impl Through {
    pub fn run<T: Number>(&self, context: &Context, args: &[View], y: &mut [T]) {
        let mut rest = args;
        let mut back: Vec<(&Fourier, Vec<&[T]>)> = Vec::with_capacity(self.back.len());
        for (transform, count, _) in &self.back {
            let (own, behind) = rest.split_at(*count);
            back.push((transform, own.iter().map(T::of).collect()));
            rest = behind;
        }
        // Pointers travel as numbers: what they point to is shared as the kernel says.
        let mut fixed = vec![0usize; self.buffers];
        let mut given = rest.iter();
        for (k, place) in fixed.iter_mut().enumerate().take(self.buffers - 1) {
            if !self.back.iter().any(|b| b.2 == k) {
                *place = kernel::pointer(given.next().expect("compiler bug: too few arguments")) as usize;
            }
        }
        let rows = self.forward.rows();
        let n = self.forward.points() / rows;
        let at_points = |first: usize, count: usize, blocks: &[*mut T], result: *mut T| {
            let mut pointers: Vec<*mut u8> = fixed.iter().map(|p| *p as *mut u8).collect();
            for ((_, _, k), block) in self.back.iter().zip(blocks) {
                pointers[*k] = block.wrapping_sub(first * n).cast();
            }
            pointers[self.buffers - 1] = result.wrapping_sub(first * n).cast();
            self.kernel.run_rows(&Pointers(&pointers), first, count, rows);
        };
        T::through(&self.forward, context, &back, &at_points, y);
    }
}

impl Number for f64 {
    fn of<'a>(view: &View<'a>) -> &'a [f64] {
        match view {
            View::F64(x) => x,
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }
    fn through(t: &Fourier, context: &Context, back: &[(&Fourier, Vec<&[f64]>)], f: &AtPoints<f64>, y: &mut [f64]) {
        t.through64(context, back, f, y)
    }
}

impl Number for f32 {
    fn of<'a>(view: &View<'a>) -> &'a [f32] {
        match view {
            View::F32(x) => x,
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }
    fn through(t: &Fourier, context: &Context, back: &[(&Fourier, Vec<&[f32]>)], f: &AtPoints<f32>, y: &mut [f32]) {
        t.through32(context, back, f, y)
    }
}

/// Joins transforms whose numbers only a kernel reads, that kernel, and the transform of its result. `is_output`: of what is made.
pub fn join(steps: Vec<Step>, made: &mut [Demand], is_output: &dyn Fn(usize) -> bool) -> Vec<Step> {
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    for at in 0..steps.len() {
        let Some((kernel, back)) = joinable(&steps, at, made, is_output) else { continue };
        let mut take = |k: usize| {
            let step = steps[k].take().expect("compiler bug: a step that is gone");
            // What it made needs no memory.
            for (root, _) in &step.results {
                if let Root::Slot(m) = root
                    && k != at
                {
                    made[*m].len = 0;
                }
            }
            step
        };
        let (last, middle) = (take(at), take(kernel));
        let mut args = vec![];
        let mut transforms = vec![];
        for &(buffer, k) in &back {
            let step = take(k);
            let Kind::Fourier(t) = step.kind else { unreachable!("compiler bug: no transform") };
            transforms.push((t, step.args.len(), buffer));
            args.extend(step.args);
        }
        let buffers = middle.args.len() + 1;
        let own = |k: &usize| back.iter().any(|b| b.0 == *k);
        args.extend((0..middle.args.len()).filter(|k| !own(k)).map(|k| middle.args[k]));
        for a in &args {
            if let Root::Slot(m) = a.root {
                made[m].last = made[m].last.max(at);
            }
        }
        let (Kind::Fourier(forward), Kind::Kernel(kernel)) = (last.kind, middle.kind) else {
            unreachable!("compiler bug: no transform of a kernel")
        };
        let kind = Kind::Through(Through { back: transforms, kernel, buffers, forward });
        steps[at] = Some(Step { kind, args, results: last.results, last_of: vec![] });
    }
    steps.into_iter().flatten().collect()
}

/// The kernel before a transform, and the transforms before that with the buffers of their results.
fn joinable(
    steps: &[Option<Step>],
    at: usize,
    made: &[Demand],
    is_output: &dyn Fn(usize) -> bool,
) -> Option<(usize, Vec<(usize, usize)>)> {
    // The step that makes an argument which is whole, and which this step alone reads.
    let maker = |p: &Place, reader: usize| {
        let Root::Slot(m) = p.root else { return None };
        let reads = |s: &Option<Step>| s.as_ref().is_some_and(|s| s.args.iter().any(|a| a.root == p.root));
        let readers: Vec<usize> = (0..steps.len()).filter(|k| reads(&steps[*k])).collect();
        let whole = p.start == 0 && p.len == made[m].len && !is_output(m) && readers == [reader];
        let makes = |s: &Option<Step>| s.as_ref().is_some_and(|s| s.results.iter().any(|r| r.0 == p.root));
        whole.then(|| steps.iter().position(makes)).flatten()
    };
    let Kind::Fourier(forward) = &steps[at].as_ref()?.kind else { return None };
    let kernel = maker(&steps[at].as_ref()?.args[0], at)?;
    let middle = steps[kernel].as_ref()?;
    let Kind::Kernel(k) = &middle.kind else { return None };
    let back: Vec<(usize, usize)> = (0..middle.args.len())
        .filter_map(|buffer| {
            let maker = maker(&middle.args[buffer], kernel)?;
            let Kind::Fourier(t) = &steps[maker].as_ref()?.kind else { return None };
            (forward.follows(t) && k.has_rows(forward.rows(), std::iter::once(buffer))).then_some((buffer, maker))
        })
        .collect();
    let result = middle.args.len();
    let fits = !back.is_empty() && middle.results.len() == 1 && k.has_rows(forward.rows(), std::iter::once(result));
    fits.then_some((kernel, back))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::native::lower::lower;
    use crate::backend::native::{Native, kernel};
    use crate::ir::eval::eval;
    use crate::ir::{Builder, DType, Func, Op, Tensor, Type, Value};

    /// `F(F⁻¹(i k z) · F⁻¹(s m z) + g)` with k along one axis, m along all modes and s along the last axis.
    fn product(shape: &[usize], dtype: DType) -> (Func, Vec<Tensor>) {
        let (rank, n) = (shape.len(), shape[shape.len() - 1]);
        let mut modes = shape.to_vec();
        modes[rank - 1] = n / 2 + 1;
        let spectrum = [&[2], &modes[..]].concat();
        let types = [spectrum.clone(), vec![modes[rank - 2]], modes.clone(), vec![n / 2 + 1], shape.to_vec()];
        let types: Vec<Type> = types.into_iter().map(|s| Type::new(dtype, s)).collect();
        let mut b = Builder::new("product");
        let inputs: Vec<Value> = types.iter().map(|t| b.input(t.clone())).collect();
        let &[z, k, m, s, g] = &inputs[..] else { unreachable!("five") };
        let along = |b: &mut Builder, v: Value, shape: &[usize], axes: &[usize]| {
            b.op(Op::Broadcast { shape: shape.to_vec(), axes: axes.to_vec() }, &[v])
        };
        let k = along(&mut b, k, &modes, &[rank - 2]);
        let (x, y) = (b.index(z, 0, 0), b.index(z, 0, 1));
        let (ky, kx) = (b.mul(k, y), b.mul(k, x));
        let minus = b.neg(ky);
        let turned = b.stack(&[minus, kx], 0);
        let first = b.op(Op::Irfft { rank, n }, &[turned]);
        let axes: Vec<usize> = (1..=rank).collect();
        let m = along(&mut b, m, &spectrum, &axes);
        let s = along(&mut b, s, &spectrum, &[rank]);
        let scaled = b.mul(m, z);
        let scaled = b.mul(scaled, s);
        let second = b.op(Op::Irfft { rank, n }, &[scaled]);
        let both = b.mul(first, second);
        let sum = b.add(both, g);
        let out = b.op(Op::Rfft { rank }, &[sum]);
        let f = b.finish(vec![out]);
        let numbers = |(k, t): (usize, &Type)| {
            let data = (0..t.len()).map(|i| ((i * 7919 + 31 * k) % 1009) as f64 / 1009.0 - 0.5);
            match dtype {
                DType::F32 => Tensor::f32(t.shape.clone(), data.map(|x| x as f32).collect::<Vec<_>>()),
                _ => Tensor::f64(t.shape.clone(), data.collect::<Vec<_>>()),
            }
        };
        let tensors = types.iter().enumerate().map(numbers).collect();
        (f, tensors)
    }

    /// Rows that do not fill the last block, three axes, both precisions; the same bits with more threads.
    #[test]
    fn products_of_transforms_are_what_the_interpreter_says() {
        for (shape, dtype, tolerance) in [
            (vec![40, 36], DType::F64, 1e-12),
            (vec![128, 96], DType::F64, 1e-12),
            (vec![6, 9, 45], DType::F64, 1e-12),
            (vec![40, 64], DType::F32, 1e-4),
        ] {
            let (f, inputs) = product(&shape, dtype);
            let wanted = eval(&f, &inputs).unwrap().swap_remove(0).to_f64().to_vec();
            let run = |threads| Native::compile(&f, threads).unwrap().run(&inputs, None).unwrap().swap_remove(0);
            let (one, two) = (run(1).to_f64().to_vec(), run(2).to_f64().to_vec());
            assert_eq!(one, two, "{shape:?} {dtype:?}");
            let scale = wanted.iter().map(|x| x.abs()).fold(0.0, f64::max);
            let worst = wanted.iter().zip(&one).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < tolerance * scale, "{shape:?} {dtype:?}: {worst:e} of {scale:e}");
        }
    }

    #[test]
    fn products_of_transforms_are_one_step() {
        if !crate::backend::native::fourier::takes_factors(&[40, 36], 2, DType::F64, 2) || !kernel::available() {
            return;
        }
        let (f, _) = product(&[40, 36], DType::F64);
        let program = lower(&f, 1).unwrap();
        let joined = |s: &Step| matches!(&s.kind, Kind::Through(t) if t.back.iter().map(|b| b.1).eq([2, 3]));
        assert!(matches!(&program.steps[..], [one] if joined(one)), "{} steps", program.steps.len());
    }
}
