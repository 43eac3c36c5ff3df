//! Transforms of arrays of any size: rows by realfft, the other axes by rustfft, a few columns at a time. Between the two lie
//! complex numbers in the memory of one item, which the passes over rows and columns fill and take apart as they go.

use super::{Shared, each};
use crate::backend::native::Context;
use realfft::{ComplexToReal, FftNum, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::sync::{Arc, Mutex};

/// Plans for the axes of one shape, and memory.
pub struct Axes<T: FftNum> {
    forward: Arc<dyn RealToComplex<T>>,
    backward: Arc<dyn ComplexToReal<T>>,
    /// Of every axis but the last.
    others: Vec<Arc<dyn Fft<T>>>,
    shape: Vec<usize>,
    /// Memory that no task uses now.
    idle: Mutex<Vec<Work<T>>>,
    spectra: Mutex<Vec<Vec<Complex<T>>>>,
}

/// Memory of a task.
struct Work<T> {
    row: Vec<T>,
    columns: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

/// Columns brought together at a time: a cache line of doubles.
const COLUMNS: usize = 8;
/// Rows of a task.
const ROWS: usize = 8;

/// The transform of one item of a batch.
struct Item<'a, T: FftNum> {
    axes: &'a Axes<T>,
    shape: &'a [usize],
    /// Rows of n numbers, or of so many modes.
    rows: usize,
    n: usize,
    modes: usize,
}

/// Where columns come from and go to: complex numbers, or arrays of real and imaginary parts.
#[derive(Clone, Copy)]
enum Place<'a, T> {
    Together,
    Apart(&'a Shared<T>, &'a Shared<T>),
}

impl<T: FftNum> Axes<T> {
    /// Numbers to modes.
    pub fn analyse(&self, workers: Option<&Context>, x: &[T], y: &mut [T]) {
        self.item().analyse(workers, x, y)
    }

    /// Modes to numbers.
    pub fn synthesise(&self, workers: Option<&Context>, x: &[T], y: &mut [T]) {
        self.item().synthesise(workers, x, y)
    }

    fn item(&self) -> Item<'_, T> {
        let n = self.shape[self.shape.len() - 1];
        let rows = self.shape[..self.shape.len() - 1].iter().product();
        Item { axes: self, shape: &self.shape, rows, n, modes: n / 2 + 1 }
    }
}

impl<T: FftNum> Item<'_, T> {
    fn analyse(&self, workers: Option<&Context>, x: &[T], y: &mut [T]) {
        let (n, modes, rows) = (self.n, self.modes, self.rows);
        let (re, im) = y.split_at_mut(rows * modes);
        let (re, im) = (Shared(re.as_mut_ptr()), Shared(im.as_mut_ptr()));
        self.axes.with_spectrum(rows * modes, |z| {
            let shared = Shared(z.as_mut_ptr());
            each(workers, rows.div_ceil(ROWS), &|task| {
                self.axes.with_work(|w| {
                    for row in task * ROWS..((task + 1) * ROWS).min(rows) {
                        w.row[..n].copy_from_slice(&x[row * n..(row + 1) * n]);
                        // SAFETY: rows are disjoint ranges of `z` and of `y`.
                        unsafe {
                            let spectrum = std::slice::from_raw_parts_mut(shared.at(row * modes), modes);
                            let outcome =
                                self.axes.forward.process_with_scratch(&mut w.row[..n], spectrum, &mut w.scratch);
                            outcome.expect("compiler bug: lengths of a transform");
                            if self.axes.others.is_empty() {
                                for (k, z) in spectrum.iter().enumerate() {
                                    (*re.at(row * modes + k), *im.at(row * modes + k)) = (z.re, z.im);
                                }
                            }
                        }
                    }
                });
            });
            let mut inner = modes;
            for axis in (0..self.axes.others.len()).rev() {
                let to = if axis == 0 { Place::Apart(&re, &im) } else { Place::Together };
                self.columns(workers, &shared, axis, inner, Place::Together, to);
                inner *= self.shape[axis];
            }
        });
    }

    fn synthesise(&self, workers: Option<&Context>, x: &[T], y: &mut [T]) {
        let (n, modes, rows) = (self.n, self.modes, self.rows);
        let (re, im) = x.split_at(rows * modes);
        let numbers = Shared(y.as_mut_ptr());
        self.axes.with_spectrum(rows * modes, |z| {
            let shared = Shared(z.as_mut_ptr());
            // Only read.
            let parts = (Shared(re.as_ptr().cast_mut()), Shared(im.as_ptr().cast_mut()));
            let mut inner = modes;
            for axis in (0..self.axes.others.len()).rev() {
                let first = axis + 1 == self.axes.others.len();
                let from = if first { Place::Apart(&parts.0, &parts.1) } else { Place::Together };
                self.columns(workers, &shared, axis, inner, from, Place::Together);
                inner *= self.shape[axis];
            }
            each(workers, rows.div_ceil(ROWS), &|task| {
                self.axes.with_work(|w| {
                    for row in task * ROWS..((task + 1) * ROWS).min(rows) {
                        // SAFETY: rows are disjoint ranges of `z` and of `y`.
                        let (spectrum, out) = unsafe {
                            (
                                std::slice::from_raw_parts_mut(shared.at(row * modes), modes),
                                std::slice::from_raw_parts_mut(numbers.at(row * n), n),
                            )
                        };
                        if self.axes.others.is_empty() {
                            let (re, im) = (&re[row * modes..][..modes], &im[row * modes..][..modes]);
                            for ((z, &re), &im) in spectrum.iter_mut().zip(re).zip(im) {
                                *z = Complex::new(re, im);
                            }
                        }
                        // Real numbers have real ends.
                        spectrum[0].im = T::zero();
                        if n.is_multiple_of(2) {
                            spectrum[modes - 1].im = T::zero();
                        }
                        let outcome = self.axes.backward.process_with_scratch(spectrum, out, &mut w.scratch);
                        outcome.expect("compiler bug: lengths of a transform");
                    }
                });
            });
        });
    }

    /// The transforms along one axis but the last, of `[…, n_axis, inner]`.
    fn columns(
        &self,
        workers: Option<&Context>,
        z: &Shared<Complex<T>>,
        axis: usize,
        inner: usize,
        from: Place<T>,
        to: Place<T>,
    ) {
        let (plan, n) = (&self.axes.others[axis], self.shape[axis]);
        let blocks = inner.div_ceil(COLUMNS);
        each(workers, self.rows * self.modes / (n * inner) * blocks, &|task| {
            let (outer, first) = (task / blocks, task % blocks * COLUMNS);
            let width = COLUMNS.min(inner - first);
            let start = outer * n * inner + first;
            self.axes.with_work(|w| {
                let columns = &mut w.columns[..width * n];
                // SAFETY: the columns of different tasks are disjoint, and lie within the arrays.
                unsafe {
                    for j in 0..n {
                        let at = start + j * inner;
                        match from {
                            Place::Together => (0..width).for_each(|c| columns[c * n + j] = *z.at(at + c)),
                            Place::Apart(re, im) => (0..width)
                                .for_each(|c| columns[c * n + j] = Complex::new(*re.at(at + c), *im.at(at + c))),
                        }
                    }
                    plan.process_with_scratch(columns, &mut w.scratch);
                    for j in 0..n {
                        let at = start + j * inner;
                        match to {
                            Place::Together => (0..width).for_each(|c| *z.at(at + c) = columns[c * n + j]),
                            Place::Apart(re, im) => (0..width).for_each(|c| {
                                let value = columns[c * n + j];
                                (*re.at(at + c), *im.at(at + c)) = (value.re, value.im);
                            }),
                        }
                    }
                }
            });
        });
    }
}

impl<T: FftNum> Axes<T> {
    pub fn new(shape: &[usize], inverse: bool) -> Axes<T> {
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
            shape: shape.to_vec(),
            idle: Mutex::new(vec![]),
            spectra: Mutex::new(vec![]),
        }
    }

    fn with_work<R>(&self, f: impl FnOnce(&mut Work<T>) -> R) -> R {
        let idle = || self.idle.lock().unwrap_or_else(|e| e.into_inner());
        let reused = idle().pop();
        let mut work = reused.unwrap_or_else(|| {
            let zero = Complex::new(T::zero(), T::zero());
            let longest = self.others.iter().map(|p| p.len()).max().unwrap_or(0);
            let scratch = self.others.iter().map(|p| p.get_inplace_scratch_len()).max().unwrap_or(0);
            let scratch = scratch.max(self.forward.get_scratch_len()).max(self.backward.get_scratch_len());
            Work {
                row: vec![T::zero(); self.forward.len()],
                columns: vec![zero; longest * COLUMNS],
                scratch: vec![zero; scratch],
            }
        });
        let result = f(&mut work);
        idle().push(work);
        result
    }

    fn with_spectrum<R>(&self, len: usize, f: impl FnOnce(&mut [Complex<T>]) -> R) -> R {
        let idle = || self.spectra.lock().unwrap_or_else(|e| e.into_inner());
        let reused = idle().pop();
        let mut z = reused.unwrap_or_else(|| vec![Complex::new(T::zero(), T::zero()); len]);
        let result = f(&mut z);
        idle().push(z);
        result
    }
}
