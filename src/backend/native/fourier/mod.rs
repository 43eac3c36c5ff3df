//! Fast Fourier transforms of real arrays.
//!
//! Over several axes, where the processor has wide vectors and extents are products of small primes, many lines are transformed at
//! once ([`lanes`]); all else is left to libraries ([`library`]). Work is cut into lines or blocks of lines in a way that
//! the shape alone decides, so the bits do not depend on threads.

#[cfg(target_arch = "x86_64")]
mod butterflies;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod library;
#[cfg(target_arch = "x86_64")]
mod scratch;
#[cfg(target_arch = "x86_64")]
mod vector;

use super::Context;
use crate::ir::DType;
use library::Axes;

/// A planned transform of arrays `[lead, n₁, …, n_r]` of numbers to or from half spectra `[lead, 2, n₁, …, n_r/2 + 1]`.
pub struct Fourier {
    lead: usize,
    /// Extents n₁ … n_r.
    shape: Vec<usize>,
    inverse: bool,
    plans: Plans,
    modal: Modal,
    /// Of a transform forward that is a sum: by what each term is multiplied.
    sum: Vec<Modal>,
}

/// Real factors and i, by which modes are multiplied before they are transformed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modal {
    /// Of each factor: how far apart its numbers lie for neighbours along each axis of modes, 0 where they are the same.
    pub strides: Vec<Vec<usize>>,
    /// Times i.
    pub turned: bool,
    /// Times -1; only of terms of sums.
    pub negative: bool,
}

/// Between transforms back and forward.
pub struct AtPoints<'a, T> {
    pub make: &'a AtRows<'a, T>,
    /// Whether it needs memory for its results.
    pub writes: bool,
}

/// Makes some rows of numbers from the same rows of others: which of several results, the first row and how many, where those of each
/// argument lie, and memory for the result.
pub type AtRows<'a, T> = dyn Fn(usize, (usize, usize), &[*mut T], *mut T) -> Numbers<T> + Sync + 'a;

/// Where numbers lie, or where the factors of their products do.
#[derive(Clone, Copy)]
pub struct Numbers<T> {
    pub x: *const T,
    pub times: Option<*const T>,
}

enum Plans {
    Double(Axes<f64>),
    Single(Axes<f32>),
    #[cfg(target_arch = "x86_64")]
    WideDouble(lanes::Grid<vector::Double>),
    #[cfg(target_arch = "x86_64")]
    WideSingle(lanes::Grid<vector::Single>),
}

/// Points below which one thread is faster.
const LEAST: usize = 8192;

impl Fourier {
    /// Of numbers of this shape, over the last `rank` axes.
    pub fn forward(shape: &[usize], rank: usize, dtype: DType) -> Fourier {
        Fourier::new(shape, rank, dtype, false)
    }

    /// To numbers of this shape.
    pub fn backward(shape: &[usize], rank: usize, dtype: DType) -> Fourier {
        Fourier::new(shape, rank, dtype, true)
    }

    /// The same of modes times factors; only where [`takes_factors`] says so.
    pub fn multiplied(shape: &[usize], rank: usize, dtype: DType, modal: Modal) -> Fourier {
        Fourier { modal, ..Fourier::new(shape, rank, dtype, true) }
    }

    /// Of several arrays of numbers of this shape, each transform times factors, the sum; only where [`takes_factors`] says so for each.
    pub fn summed(shape: &[usize], rank: usize, dtype: DType, sum: Vec<Modal>) -> Fourier {
        Fourier { sum, ..Fourier::new(shape, rank, dtype, false) }
    }

    /// Of a transform forward: which of its arguments are numbers at the points. The others are factors of those before them.
    pub fn numbers(&self) -> Vec<usize> {
        let mut at = 0;
        let each = |modal: &Modal| {
            at += 1 + modal.strides.len();
            at - 1 - modal.strides.len()
        };
        if self.sum.is_empty() { vec![0] } else { self.sum.iter().map(each).collect() }
    }

    /// Whether the numbers that `back` makes may be made, used and transformed by this one a few rows at a time.
    pub fn follows(&self, back: &Fourier) -> bool {
        !self.inverse && back.inverse && self.is_wide() && back.is_wide() && self.lead == 1 && self.shape == back.shape
    }

    /// Rows of the numbers.
    pub fn rows(&self) -> usize {
        self.shape[..self.shape.len() - 1].iter().product()
    }

    pub fn points(&self) -> usize {
        self.shape.iter().product()
    }

    fn is_wide(&self) -> bool {
        !matches!(self.plans, Plans::Double(_) | Plans::Single(_))
    }

    fn new(shape: &[usize], rank: usize, dtype: DType, inverse: bool) -> Fourier {
        let (lead, shape) = shape.split_at(shape.len() - rank);
        let plans = Plans::wide(shape, dtype).unwrap_or_else(|| Plans::of_library(shape, dtype, inverse));
        Fourier {
            lead: lead.iter().product(),
            shape: shape.to_vec(),
            inverse,
            plans,
            modal: Modal::default(),
            sum: vec![],
        }
    }

    /// `x`: what is transformed, and its factors.
    pub fn run64(&self, context: &Context, x: &[&[f64]], y: &mut [f64]) {
        match &self.plans {
            Plans::Double(axes) if self.inverse => self.run(context, &|w, x, y| axes.synthesise(w, x, y), x[0], y),
            Plans::Double(axes) => self.run(context, &|w, x, y| axes.analyse(w, x, y), x[0], y),
            #[cfg(target_arch = "x86_64")]
            Plans::WideDouble(grid) if self.inverse => {
                let one = |w: Option<&Context>, z: &[f64], y: &mut [f64]| grid.synthesise(w, &self.source(z, x), y);
                self.run(context, &one, x[0], y)
            }
            #[cfg(target_arch = "x86_64")]
            Plans::WideDouble(grid) if !self.sum.is_empty() => {
                let (numbers, targets) = self.targets(x, 0);
                grid.analyse_sum(self.workers(context), &numbers, &targets, y)
            }
            #[cfg(target_arch = "x86_64")]
            Plans::WideDouble(grid) => self.run(context, &|w, x, y| grid.analyse(w, x, y), x[0], y),
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }

    pub fn run32(&self, context: &Context, x: &[&[f32]], y: &mut [f32]) {
        match &self.plans {
            Plans::Single(axes) if self.inverse => self.run(context, &|w, x, y| axes.synthesise(w, x, y), x[0], y),
            Plans::Single(axes) => self.run(context, &|w, x, y| axes.analyse(w, x, y), x[0], y),
            #[cfg(target_arch = "x86_64")]
            Plans::WideSingle(grid) if self.inverse => {
                let one = |w: Option<&Context>, z: &[f32], y: &mut [f32]| grid.synthesise(w, &self.source(z, x), y);
                self.run(context, &one, x[0], y)
            }
            #[cfg(target_arch = "x86_64")]
            Plans::WideSingle(grid) if !self.sum.is_empty() => {
                let (numbers, targets) = self.targets(x, 0);
                grid.analyse_sum(self.workers(context), &numbers, &targets, y)
            }
            #[cfg(target_arch = "x86_64")]
            Plans::WideSingle(grid) => self.run(context, &|w, x, y| grid.analyse(w, x, y), x[0], y),
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }

    /// The transforms `back` of their arguments (modes and factors), what `at_points` makes of them, and the transforms `forward` of that,
    /// each of one or more arrays, whose numbers among their arguments are not read.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn through64(
        &self,
        context: &Context,
        back: &[(&Fourier, Vec<&[f64]>)],
        at_points: &AtPoints<f64>,
        forward: &[(&Fourier, Vec<&[f64]>)],
        y: &mut [&mut [f64]],
    ) {
        match &self.plans {
            #[cfg(target_arch = "x86_64")]
            Plans::WideDouble(grid) => {
                let x: Vec<_> = back.iter().map(|(f, x)| f.source(x[0], x)).collect();
                let each = forward.iter().enumerate();
                let targets: Vec<_> = each.flat_map(|(result, (f, x))| f.targets(x, result).1).collect();
                grid.through(self.workers(context), &x, at_points, &targets, y)
            }
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }

    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn through32(
        &self,
        context: &Context,
        back: &[(&Fourier, Vec<&[f32]>)],
        at_points: &AtPoints<f32>,
        forward: &[(&Fourier, Vec<&[f32]>)],
        y: &mut [&mut [f32]],
    ) {
        match &self.plans {
            #[cfg(target_arch = "x86_64")]
            Plans::WideSingle(grid) => {
                let x: Vec<_> = back.iter().map(|(f, x)| f.source(x[0], x)).collect();
                let each = forward.iter().enumerate();
                let targets: Vec<_> = each.flat_map(|(result, (f, x))| f.targets(x, result).1).collect();
                grid.through(self.workers(context), &x, at_points, &targets, y)
            }
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn source<'a, T>(&'a self, modes: &'a [T], x: &[&'a [T]]) -> lanes::Source<'a, T> {
        let factors = x[1..].iter().copied().zip(self.modal.strides.iter().map(Vec::as_slice)).collect();
        lanes::Source { modes, factors, turned: self.modal.turned }
    }

    /// Of a transform forward to the result of this number: the arrays that are transformed, and what becomes of each.
    #[cfg(target_arch = "x86_64")]
    fn targets<'a, T>(&'a self, x: &[&'a [T]], result: usize) -> (Vec<&'a [T]>, Vec<lanes::Target<'a, T>>) {
        if self.sum.is_empty() {
            let plain = lanes::Target { result, factors: vec![], turned: false, negative: false, first: true };
            return (x.to_vec(), vec![plain]);
        }
        let numbers = self.numbers();
        let target = |(&at, modal): (&usize, &'a Modal)| {
            let factors = x[at + 1..].iter().copied().zip(modal.strides.iter().map(Vec::as_slice)).collect();
            lanes::Target { result, factors, turned: modal.turned, negative: modal.negative, first: at == 0 }
        };
        let targets = numbers.iter().zip(&self.sum).map(target).collect();
        (numbers.iter().map(|&at| x[at]).collect(), targets)
    }

    /// Several threads where there is enough to do.
    fn workers<'a>(&self, context: &'a Context<'a>) -> Option<&'a Context<'a>> {
        (self.rows() * self.shape[self.shape.len() - 1] >= LEAST).then_some(context)
    }

    /// `one` item after the other, or each by a thread of its own.
    fn run<T: Copy + Send + Sync>(&self, context: &Context, one: &OneItem<T>, x: &[T], y: &mut [T]) {
        let n = self.shape[self.shape.len() - 1];
        let modes = n / 2 + 1;
        let rows: usize = self.shape[..self.shape.len() - 1].iter().product();
        let (from, to) = if self.inverse { (2 * rows * modes, rows * n) } else { (rows * n, 2 * rows * modes) };
        // One item of a batch is worked on by one thread, if there are enough of them.
        let alone = self.lead.is_multiple_of(context.threads()) || self.lead >= 4 * context.threads();
        let large = self.lead * rows * n >= LEAST;
        let items = Shared(y.as_mut_ptr());
        let at = |item: usize, workers: Option<&Context>| {
            // SAFETY: items are disjoint ranges of `y`, which has `lead` of them.
            let y = unsafe { std::slice::from_raw_parts_mut(items.at(item * to), to) };
            one(workers, &x[item * from..(item + 1) * from], y)
        };
        if large && alone {
            context.parallel(self.lead, &|item, _| at(item, None));
        } else {
            (0..self.lead).for_each(|item| at(item, large.then_some(context)));
        }
    }
}

/// Transforms one item of a batch, over the workers where there are any.
type OneItem<'a, T> = dyn Fn(Option<&Context>, &[T], &mut [T]) + Sync + 'a;

impl Plans {
    fn of_library(shape: &[usize], dtype: DType, inverse: bool) -> Plans {
        match dtype {
            DType::F32 => Plans::Single(Axes::new(shape, inverse)),
            DType::F64 | DType::Index => Plans::Double(Axes::new(shape, inverse)),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn wide(shape: &[usize], dtype: DType) -> Option<Plans> {
        match dtype {
            DType::F32 => lanes::Grid::new(shape).map(Plans::WideSingle),
            DType::F64 => lanes::Grid::new(shape).map(Plans::WideDouble),
            DType::Index => None,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn wide(_: &[usize], _: DType) -> Option<Plans> {
        None
    }
}

/// Whether transforms back to numbers of this shape may multiply modes by so many factors.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub fn takes_factors(shape: &[usize], rank: usize, dtype: DType, factors: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    return shape.len() == rank && factors <= lanes::MOST_FACTORS && Plans::wide(shape, dtype).is_some();
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// `f` for each task, over the workers where there are any.
fn each(workers: Option<&Context>, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
    match workers {
        Some(context) => context.parallel(tasks, &|t, _| f(t)),
        None => (0..tasks).for_each(f),
    }
}

/// An array of which tasks write disjoint elements.
struct Shared<T>(*mut T);

// SAFETY: whoever uses `at` says why no two threads touch the same element.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// `i` lies within the array, and no other thread uses what is read or written there.
    unsafe fn at(&self, i: usize) -> *mut T {
        unsafe { self.0.add(i) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Builder, Op, Tensor, Type};

    /// Against sums of cosines and sines: extents with each radix, blocks of rows and columns that are not full, three axes.
    #[test]
    fn transforms_are_what_the_interpreter_says() {
        let context = Context { pool: None, follow: None };
        for shape in
            [vec![16, 16], vec![30, 18], vec![20, 27], vec![9, 32], vec![16, 10, 24], vec![40, 64], vec![6, 6, 45]]
        {
            for (dtype, tolerance) in [(DType::F64, 2e-13), (DType::F32, 2e-5)] {
                let (rank, n) = (shape.len(), shape[shape.len() - 1]);
                let all = [vec![2], shape.clone()].concat();
                let ty = Type::new(dtype, all.clone());
                let mut b = Builder::new("there");
                let x = b.input(ty.clone());
                let z = b.op(Op::Rfft { rank }, &[x]);
                let there = b.finish(vec![z]);
                let spectrum = there.ty(z).clone();
                let mut b = Builder::new("back");
                let z = b.input(spectrum.clone());
                let x = b.op(Op::Irfft { rank, n }, &[z]);
                let back = b.finish(vec![x]);
                for (f, ty, inverse) in [(there, &ty, false), (back, &spectrum, true)] {
                    let data: Vec<f64> =
                        (0..ty.len()).map(|i| ((i * 7919 + 13) % 1009) as f64 / 1009.0 - 0.5).collect();
                    let x = match dtype {
                        DType::F32 => Tensor::f32(ty.shape.clone(), data.iter().map(|x| *x as f32).collect::<Vec<_>>()),
                        _ => Tensor::f64(ty.shape.clone(), data),
                    };
                    let wanted = eval(&f, std::slice::from_ref(&x)).unwrap().swap_remove(0).to_f64().to_vec();
                    let made = match inverse {
                        false => Fourier::forward(&all, rank, dtype),
                        true => Fourier::backward(&all, rank, dtype),
                    };
                    let mut got = vec![0.0; wanted.len()];
                    match x.as_f32() {
                        Some(x) => {
                            let mut y = vec![0.0f32; got.len()];
                            made.run32(&context, &[x], &mut y);
                            got.iter_mut().zip(y).for_each(|(g, y)| *g = y as f64);
                        }
                        None => made.run64(&context, &[&x.to_f64()], &mut got),
                    }
                    let scale = wanted.iter().map(|x| x.abs()).fold(0.0, f64::max);
                    let worst = wanted.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(worst < tolerance * scale, "{shape:?} {dtype:?} inverse {inverse}: {worst:e} of {scale:e}");
                }
            }
        }
    }
}
