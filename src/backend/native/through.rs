//! Transforms back, kernels at the points and transforms forward as one step: the numbers at the points, of which there may be many
//! arrays, never leave the nearest cache. A step of a run has one transform forward, the step back of its derivative several.

mod join;

use super::Context;
use super::buffer::{Element, View, ViewMut};
use super::fourier::{AtPoints, Fourier, Numbers};
use super::kernel::{self, Kernel, Pointers};
pub use join::join;

/// Arguments are those of the transforms back, then what else each kernel reads.
pub struct Through {
    /// The transforms back, and how many arguments each has.
    back: Vec<(Fourier, usize)>,
    middle: Vec<Middle>,
    /// The transforms forward, and where their arguments lie; the results of the kernels, which they take in order, have no place.
    forward: Vec<(Fourier, Vec<Option<usize>>)>,
}

struct Middle {
    kernel: Kernel,
    /// What each of its buffers but the last one, its result, holds.
    buffers: Vec<Origin>,
}

#[derive(Clone, Copy)]
enum Origin {
    /// Result of this transform back.
    Back(usize),
    /// Another argument of the step.
    Argument(usize),
}

/// Numbers that are transformed.
pub trait Number: Element {
    fn through(
        t: &Fourier,
        context: &Context,
        back: &[(&Fourier, Vec<&[Self]>)],
        f: &AtPoints<Self>,
        forward: &[(&Fourier, Vec<&[Self]>)],
        y: &mut [&mut [Self]],
    );
}

impl Through {
    /// `outs`: of each transform forward.
    pub fn run<T: Number>(&self, context: &Context, args: &[View], outs: Vec<ViewMut>) {
        let mut rest = args;
        let mut back: Vec<(&Fourier, Vec<&[T]>)> = Vec::with_capacity(self.back.len());
        for (transform, count) in &self.back {
            let (own, behind) = rest.split_at(*count);
            back.push((transform, own.iter().map(|a| T::of(*a)).collect()));
            rest = behind;
        }
        // Pointers travel as numbers: what they point to is shared as the kernels say.
        let given: Vec<usize> = args.iter().map(|a| kernel::pointer(a) as usize).collect();
        let place = |at: &Option<usize>| at.map_or(&[][..], |k| T::of(args[k]));
        let forward: Vec<(&Fourier, Vec<&[T]>)> =
            self.forward.iter().map(|(t, places)| (t, places.iter().map(place).collect())).collect();
        let transform = &self.forward[0].0;
        let rows = transform.rows();
        let n = transform.points() / rows;
        let make = |k: usize, (first, count): (usize, usize), blocks: &[*mut T], result: *mut T| {
            let Middle { kernel, buffers } = &self.middle[k];
            if let Some([x, times]) = self.middle[k].product() {
                return Numbers { x: blocks[x], times: Some(blocks[times]) };
            }
            let place = |origin: &Origin| match *origin {
                Origin::Back(k) => blocks[k].wrapping_sub(first * n).cast(),
                Origin::Argument(k) => given[k] as *mut u8,
            };
            let mut pointers: Vec<*mut u8> = buffers.iter().map(place).collect();
            pointers.push(result.wrapping_sub(first * n).cast());
            kernel.run_rows(&Pointers(&pointers), first, count, rows);
            Numbers { x: result, times: None }
        };
        let at_points = AtPoints { make: &make, writes: self.middle.iter().any(|m| m.product().is_none()) };
        let mut y: Vec<&mut [T]> = outs.into_iter().map(T::of_mut).collect();
        T::through(transform, context, &back, &at_points, &forward, &mut y);
    }

    pub fn kernels(&mut self) -> impl Iterator<Item = &mut Kernel> {
        self.middle.iter_mut().map(|m| &mut m.kernel)
    }
}

impl Middle {
    /// Which results of transforms back this is the product of, if it is nothing else: the transform forward multiplies as it reads them.
    fn product(&self) -> Option<[usize; 2]> {
        let [a, b] = self.kernel.product()?;
        match (self.buffers[a], self.buffers[b]) {
            (Origin::Back(x), Origin::Back(times)) => Some([x, times]),
            _ => None,
        }
    }
}

impl Number for f64 {
    fn through(
        t: &Fourier,
        context: &Context,
        back: &[(&Fourier, Vec<&[f64]>)],
        f: &AtPoints<f64>,
        forward: &[(&Fourier, Vec<&[f64]>)],
        y: &mut [&mut [f64]],
    ) {
        t.through64(context, back, f, forward, y)
    }
}

impl Number for f32 {
    fn through(
        t: &Fourier,
        context: &Context,
        back: &[(&Fourier, Vec<&[f32]>)],
        f: &AtPoints<f32>,
        forward: &[(&Fourier, Vec<&[f32]>)],
        y: &mut [&mut [f32]],
    ) {
        t.through32(context, back, f, forward, y)
    }
}

#[cfg(test)]
mod tests {
    use crate::backend::native::lower::{Kind, lower};
    use crate::backend::native::{Native, Step, kernel};
    use crate::ir::eval::eval;
    use crate::ir::{Builder, DType, Func, Op, Tensor, Type, Value};

    /// Numbers of these types, all of one precision.
    fn numbers(types: &[Type]) -> Vec<Tensor> {
        let of = |(k, t): (usize, &Type)| {
            let data = (0..t.len()).map(|i| ((i * 7919 + 31 * k) % 1009) as f64 / 1009.0 - 0.5);
            match t.dtype {
                DType::F32 => Tensor::f32(t.shape.clone(), data.map(|x| x as f32).collect::<Vec<_>>()),
                _ => Tensor::f64(t.shape.clone(), data.collect::<Vec<_>>()),
            }
        };
        types.iter().enumerate().map(of).collect()
    }

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
        (f, numbers(&types))
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

    /// `i k F(F⁻¹(z) F⁻¹(m z)) - m F(F⁻¹(z)²)`, k along one axis and m along all, as the sum of two transforms or with each of them apart.
    fn divergence(shape: &[usize], dtype: DType, apart: bool) -> (Func, Vec<Tensor>) {
        let (rank, n) = (shape.len(), shape[shape.len() - 1]);
        let mut modes = shape.to_vec();
        modes[rank - 1] = n / 2 + 1;
        let spectrum = [&[2], &modes[..]].concat();
        let types = [spectrum.clone(), vec![modes[rank - 2]], modes.clone()].map(|s| Type::new(dtype, s));
        let mut b = Builder::new("divergence");
        let [z, k, m] = [0, 1, 2].map(|i| b.input(types[i].clone()));
        let k = b.op(Op::Broadcast { shape: modes.clone(), axes: vec![rank - 2] }, &[k]);
        let m = b.op(Op::Broadcast { shape: spectrum.clone(), axes: (1..=rank).collect() }, &[m]);
        let scaled = b.mul(m, z);
        let [u, v] = [z, scaled].map(|z| b.op(Op::Irfft { rank, n }, &[z]));
        let [first, second] = [b.mul(u, v), b.mul(u, u)].map(|p| b.op(Op::Rfft { rank }, &[p]));
        let (x, y) = (b.index(first, 0, 0), b.index(first, 0, 1));
        let (re, im) = (b.mul(k, y), b.mul(k, x));
        let re = b.neg(re);
        let turned = b.stack(&[re, im], 0);
        let other = b.mul(second, m);
        let sum = b.sub(turned, other);
        let f = b.finish(if apart { vec![sum, first] } else { vec![sum] });
        (f, numbers(&types))
    }

    #[test]
    fn sums_of_transforms_are_what_the_interpreter_says() {
        for (shape, dtype, tolerance) in [
            (vec![40, 36], DType::F64, 1e-12),
            (vec![128, 96], DType::F64, 1e-12),
            (vec![6, 9, 45], DType::F64, 1e-12),
            (vec![40, 64], DType::F32, 1e-4),
        ] {
            for apart in [false, true] {
                let (f, inputs) = divergence(&shape, dtype, apart);
                let wanted = eval(&f, &inputs).unwrap();
                let run = |threads| Native::compile(&f, threads).unwrap().run(&inputs, None).unwrap();
                let (one, two) = (run(1), run(2));
                for ((wanted, one), two) in wanted.iter().zip(&one).zip(&two) {
                    assert_eq!(one.to_f64(), two.to_f64(), "{shape:?} {dtype:?}");
                    let scale = wanted.to_f64().iter().map(|x| x.abs()).fold(0.0, f64::max);
                    let differ = |(a, b): (&f64, &f64)| (a - b).abs();
                    let worst = wanted.to_f64().iter().zip(one.to_f64().iter()).map(differ).fold(0.0, f64::max);
                    assert!(worst < tolerance * scale, "{shape:?} {dtype:?}: {worst:e} of {scale:e}");
                }
            }
        }
    }

    /// All of it is one step where nobody reads a transform apart, and a sum of arrays that no transform makes is one as well.
    #[test]
    fn sums_of_transforms_are_one_step() {
        if !crate::backend::native::fourier::takes_factors(&[40, 36], 2, DType::F64, 2) || !kernel::available() {
            return;
        }
        let program = lower(&divergence(&[40, 36], DType::F64, false).0, 1).unwrap();
        let one = |s: &Step| matches!(&s.kind, Kind::Through(t) if t.middle.len() == 2 && t.forward.len() == 1);
        assert!(matches!(&program.steps[..], [s] if one(s)), "{} steps", program.steps.len());
        let mut b = Builder::new("of numbers");
        let [u, v] = [0, 1].map(|_| b.input(Type::f64([40, 36])));
        let [u, v] = [u, v].map(|u| b.op(Op::Rfft { rank: 2 }, &[u]));
        let difference = b.sub(u, v);
        let f = b.finish(vec![difference]);
        assert!(matches!(&lower(&f, 1).unwrap().steps[..], [s] if matches!(s.kind, Kind::Fourier(_))));
        let inputs =
            [3, 5].map(|k| Tensor::f64([40, 36], (0..1440).map(|i| ((i * k) % 101) as f64).collect::<Vec<_>>()));
        let (wanted, got) = (eval(&f, &inputs).unwrap(), Native::compile(&f, 2).unwrap().run(&inputs, None).unwrap());
        for (a, b) in wanted[0].to_f64().iter().zip(got[0].to_f64().iter()) {
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
    }

    #[test]
    fn products_of_transforms_are_one_step() {
        if !crate::backend::native::fourier::takes_factors(&[40, 36], 2, DType::F64, 2) || !kernel::available() {
            return;
        }
        let (f, _) = product(&[40, 36], DType::F64);
        let program = lower(&f, 1).unwrap();
        let joined = |s: &Step| matches!(&s.kind, Kind::Through(t) if t.back.iter().map(|b| b.1).eq([2, 3]) && t.forward.len() == 1);
        assert!(matches!(&program.steps[..], [one] if joined(one)), "{} steps", program.steps.len());
    }
}
