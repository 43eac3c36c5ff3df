//! Fast Fourier transforms of real arrays: rows by realfft, the other axes by rustfft, a few columns at a time.
//!
//! Work is cut into whole rows and columns, each of which is transformed alone, so the bits do not depend on threads.

use super::Context;
use crate::ir::DType;
use realfft::{ComplexToReal, FftNum, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::sync::Arc;

/// A planned transform of arrays `[lead, n₁, …, n_r]` of numbers to or from half spectra `[lead, 2, n₁, …, n_r/2 + 1]`.
pub struct Fourier {
    lead: usize,
    /// Extents n₁ … n_r.
    shape: Vec<usize>,
    inverse: bool,
    plans: Plans,
}

enum Plans {
    Double(Axes<f64>),
    Single(Axes<f32>),
}

struct Axes<T: FftNum> {
    forward: Arc<dyn RealToComplex<T>>,
    backward: Arc<dyn ComplexToReal<T>>,
    /// Of every axis but the last.
    others: Vec<Arc<dyn Fft<T>>>,
}

/// Columns brought together at a time: a cache line of complex doubles, twice.
const COLUMNS: usize = 8;
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

    fn new(shape: &[usize], rank: usize, dtype: DType, inverse: bool) -> Fourier {
        let (lead, shape) = shape.split_at(shape.len() - rank);
        let plans = match dtype {
            DType::F32 => Plans::Single(Axes::new(shape, inverse)),
            DType::F64 | DType::Index => Plans::Double(Axes::new(shape, inverse)),
        };
        Fourier { lead: lead.iter().product(), shape: shape.to_vec(), inverse, plans }
    }

    pub fn run64(&self, context: &Context, x: &[f64], y: &mut [f64]) {
        match &self.plans {
            Plans::Double(axes) => self.run(context, axes, x, y),
            Plans::Single(_) => unreachable!("compiler bug: a transform of another precision"),
        }
    }

    pub fn run32(&self, context: &Context, x: &[f32], y: &mut [f32]) {
        match &self.plans {
            Plans::Single(axes) => self.run(context, axes, x, y),
            Plans::Double(_) => unreachable!("compiler bug: a transform of another precision"),
        }
    }

    fn run<T: FftNum>(&self, context: &Context, axes: &Axes<T>, x: &[T], y: &mut [T]) {
        let n = self.shape[self.shape.len() - 1];
        let modes = n / 2 + 1;
        let rows: usize = self.shape[..self.shape.len() - 1].iter().product();
        // One item of a batch is worked on by one thread, if there are enough of them.
        let each_alone = self.lead >= context.threads() || self.lead * rows * n < LEAST;
        let (from, to) = if self.inverse { (2 * rows * modes, rows * n) } else { (rows * n, 2 * rows * modes) };
        let items = Shared(y.as_mut_ptr());
        let one = |item: usize, wide: bool| {
            // SAFETY: items are disjoint ranges of `y`, which has `lead` of them.
            let y = unsafe { std::slice::from_raw_parts_mut(items.at(item * to), to) };
            let x = &x[item * from..(item + 1) * from];
            let workers = if wide { Some(context) } else { None };
            match self.inverse {
                false => self.analyse(workers, axes, x, y, rows, modes),
                true => self.synthesise(workers, axes, x, y, rows, modes),
            }
        };
        if !each_alone {
            (0..self.lead).for_each(|item| one(item, true));
        } else if self.lead * rows * n < LEAST {
            (0..self.lead).for_each(|item| one(item, false));
        } else {
            context.parallel(self.lead, &|item, _| one(item, false));
        }
    }

    fn analyse<T: FftNum>(
        &self,
        workers: Option<&Context>,
        axes: &Axes<T>,
        x: &[T],
        y: &mut [T],
        rows: usize,
        modes: usize,
    ) {
        let n = self.shape[self.shape.len() - 1];
        let mut z = vec![Complex::new(T::zero(), T::zero()); rows * modes];
        let shared = Shared(z.as_mut_ptr());
        each(workers, rows, &|row| {
            let mut numbers = x[row * n..(row + 1) * n].to_vec();
            // SAFETY: rows are disjoint ranges of `z`.
            let spectrum = unsafe { std::slice::from_raw_parts_mut(shared.at(row * modes), modes) };
            axes.forward.process(&mut numbers, spectrum).expect("compiler bug: lengths of a transform");
        });
        self.columns(workers, axes, &mut z, modes);
        let (re, im) = y.split_at_mut(rows * modes);
        for ((z, re), im) in z.iter().zip(re).zip(im) {
            (*re, *im) = (z.re, z.im);
        }
    }

    fn synthesise<T: FftNum>(
        &self,
        workers: Option<&Context>,
        axes: &Axes<T>,
        x: &[T],
        y: &mut [T],
        rows: usize,
        modes: usize,
    ) {
        let n = self.shape[self.shape.len() - 1];
        let (re, im) = x.split_at(rows * modes);
        let mut z: Vec<Complex<T>> = re.iter().zip(im).map(|(&re, &im)| Complex::new(re, im)).collect();
        self.columns(workers, axes, &mut z, modes);
        let (spectra, numbers) = (Shared(z.as_mut_ptr()), Shared(y.as_mut_ptr()));
        each(workers, rows, &|row| {
            // SAFETY: rows are disjoint ranges of `z` and of `y`.
            let (spectrum, out) = unsafe {
                (
                    std::slice::from_raw_parts_mut(spectra.at(row * modes), modes),
                    std::slice::from_raw_parts_mut(numbers.at(row * n), n),
                )
            };
            // Real numbers have real ends.
            spectrum[0].im = T::zero();
            if n.is_multiple_of(2) {
                spectrum[modes - 1].im = T::zero();
            }
            axes.backward.process(spectrum, out).expect("compiler bug: lengths of a transform");
        });
    }

    /// The transforms along every axis but the last, of `[n₁, …, n_(r-1), modes]`.
    fn columns<T: FftNum>(&self, workers: Option<&Context>, axes: &Axes<T>, z: &mut [Complex<T>], modes: usize) {
        let mut inner = modes;
        let total = z.len();
        for (plan, &n) in axes.others.iter().zip(&self.shape[..self.shape.len() - 1]).rev() {
            let shared = Shared(z.as_mut_ptr());
            let blocks = inner.div_ceil(COLUMNS);
            each(workers, total / (n * inner) * blocks, &|task| {
                let (outer, first) = (task / blocks, task % blocks * COLUMNS);
                let width = COLUMNS.min(inner - first);
                let start = outer * n * inner + first;
                let mut columns = vec![Complex::new(T::zero(), T::zero()); width * n];
                // SAFETY: the columns of different tasks are disjoint, and lie within `z`.
                unsafe {
                    for j in 0..n {
                        for c in 0..width {
                            columns[c * n + j] = *shared.at(start + j * inner + c);
                        }
                    }
                    plan.process(&mut columns);
                    for j in 0..n {
                        for c in 0..width {
                            *shared.at(start + j * inner + c) = columns[c * n + j];
                        }
                    }
                }
            });
            inner *= n;
        }
    }
}

impl<T: FftNum> Axes<T> {
    fn new(shape: &[usize], inverse: bool) -> Axes<T> {
        let n = shape[shape.len() - 1];
        let mut real = RealFftPlanner::new();
        let mut complex = FftPlanner::new();
        let others = &shape[..shape.len() - 1];
        Axes {
            forward: real.plan_fft_forward(n),
            backward: real.plan_fft_inverse(n),
            others: others
                .iter()
                .map(|&n| if inverse { complex.plan_fft_inverse(n) } else { complex.plan_fft_forward(n) })
                .collect(),
        }
    }
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
