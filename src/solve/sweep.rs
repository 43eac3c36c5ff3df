//! Passes over the rows of a lattice: products with a stencil, smoothing steps, inner products. Every pass writes each point from
//! values of the pass before, and sums in a fixed order, so the bits depend neither on threads nor on vector width.

use super::lattice::{Lattice, Stencil};
use rayon::prelude::*;
use std::ops::{Add, Mul, Sub};

/// What the passes compute with: f64 for the iteration, f32 for the preconditioner.
pub trait Real:
    Copy + Default + PartialEq + Send + Sync + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self>
{
}
impl Real for f64 {}
impl Real for f32 {}

/// From this many points on a pass is shared among threads.
const PARALLEL_POINTS: usize = 1 << 15;

/// y = A·x at the points. The margins of x are filled; those of y keep what they hold.
pub fn multiply<T: Real>(a: &Stencil<T>, threads: usize, x: &[T], y: &mut [T]) {
    each_row(&a.lattice, threads, y, |at, y| with_stencil(a, x, at, y.len(), Store { y }));
}

/// r = b - A·x at the points.
pub fn residual<T: Real>(a: &Stencil<T>, threads: usize, b: &[T], x: &[T], r: &mut [T]) {
    each_row(&a.lattice, threads, r, |at, r| {
        let n = r.len();
        with_stencil(a, x, at, n, Subtract { b: &b[at..at + n], r })
    });
}

/// d ← keep·d + weight·D⁻¹(b - A·x), out = x + d: one step of a Chebyshev iteration.
#[allow(clippy::too_many_arguments)]
pub fn smooth<T: Real>(
    a: &Stencil<T>,
    threads: usize,
    inverse_diagonal: &[T],
    (keep, weight): (T, T),
    b: &[T],
    x: &[T],
    d: &mut [T],
    out: &mut [T],
) {
    each_two_rows(&a.lattice, threads, d, out, |at, d, out| {
        let n = d.len();
        let (b, inverse) = (&b[at..at + n], &inverse_diagonal[at..at + n]);
        with_stencil(a, x, at, n, Smooth { keep, weight, b, inverse, x: &x[at..at + n], d, out })
    });
}

/// d = weight·D⁻¹b, x = d: the first step from zero.
pub fn smooth_zero<T: Real>(
    lattice: &Lattice,
    threads: usize,
    inverse_diagonal: &[T],
    weight: T,
    b: &[T],
    d: &mut [T],
    x: &mut [T],
) {
    each_two_rows(lattice, threads, d, x, |at, d, x| {
        let n = d.len();
        let (b, inverse) = (&b[at..at + n], &inverse_diagonal[at..at + n]);
        for j in 0..n {
            let value = weight * inverse[j] * b[j];
            d[j] = value;
            x[j] = value;
        }
    });
}

/// Σ a·b over whole arrays, in eight interleaved sums of blocks of fixed size.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    const BLOCK: usize = 4096;
    let mut total = 0.0;
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        let mut lanes = [0.0; 8];
        let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
        let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
        for (a, b) in a8.zip(b8) {
            for l in 0..8 {
                lanes[l] += a[l] * b[l];
            }
        }
        total += lanes.iter().sum::<f64>() + rest;
    }
    total
}

/// `f(place of the row's first point, the row's points in out)` for every row.
pub fn each_row<T: Real>(lattice: &Lattice, threads: usize, out: &mut [T], f: impl Fn(usize, &mut [T]) + Sync) {
    let (width, n) = (lattice.stride[1], lattice.extent[2]);
    let margin = (width - n) / 2;
    let run = |(row, out): (usize, &mut [T])| {
        if lattice.holds_points(row) {
            f(row * width + margin, &mut out[margin..margin + n]);
        }
    };
    if threads > 1 && lattice.points() >= PARALLEL_POINTS {
        let least = lattice.padded_rows().div_ceil(threads);
        out.par_chunks_mut(width).enumerate().with_min_len(least).for_each(run);
    } else {
        out.chunks_mut(width).enumerate().for_each(run);
    }
}

fn each_two_rows<T: Real>(
    lattice: &Lattice,
    threads: usize,
    first: &mut [T],
    second: &mut [T],
    f: impl Fn(usize, &mut [T], &mut [T]) + Sync,
) {
    let (width, n) = (lattice.stride[1], lattice.extent[2]);
    let margin = (width - n) / 2;
    let run = |(row, (first, second)): (usize, (&mut [T], &mut [T]))| {
        if lattice.holds_points(row) {
            f(row * width + margin, &mut first[margin..margin + n], &mut second[margin..margin + n]);
        }
    };
    if threads > 1 && lattice.points() >= PARALLEL_POINTS {
        let least = lattice.padded_rows().div_ceil(threads);
        first.par_chunks_mut(width).zip(second.par_chunks_mut(width)).enumerate().with_min_len(least).for_each(run);
    } else {
        first.chunks_mut(width).zip(second.chunks_mut(width)).enumerate().for_each(run);
    }
}

/// What becomes of a block of A·x that starts at point j of the row.
trait Finish<T> {
    fn block(&mut self, j: usize, ax: &[T]);
}

/// Points of a block: its sums stay in registers and the innermost cache.
const BLOCK: usize = 64;

struct Store<'a, T> {
    y: &'a mut [T],
}

struct Subtract<'a, T> {
    b: &'a [T],
    r: &'a mut [T],
}

struct Smooth<'a, T> {
    keep: T,
    weight: T,
    b: &'a [T],
    inverse: &'a [T],
    x: &'a [T],
    d: &'a mut [T],
    out: &'a mut [T],
}

impl<T: Real> Finish<T> for Store<'_, T> {
    #[inline(always)]
    fn block(&mut self, j: usize, ax: &[T]) {
        self.y[j..j + ax.len()].copy_from_slice(ax);
    }
}

impl<T: Real> Finish<T> for Subtract<'_, T> {
    #[inline(always)]
    fn block(&mut self, j: usize, ax: &[T]) {
        let n = ax.len();
        subtract(&self.b[j..j + n], ax, &mut self.r[j..j + n]);
    }
}

impl<T: Real> Finish<T> for Smooth<'_, T> {
    #[inline(always)]
    fn block(&mut self, j: usize, ax: &[T]) {
        let n = ax.len();
        let (b, inverse, x) = (&self.b[j..j + n], &self.inverse[j..j + n], &self.x[j..j + n]);
        chebyshev(self.keep, self.weight, ax, b, inverse, x, &mut self.d[j..j + n], &mut self.out[j..j + n]);
    }
}

// As functions of their own, so that the compiler knows the slices to be apart, and vectorises.

#[inline(always)]
fn subtract<T: Real>(b: &[T], ax: &[T], r: &mut [T]) {
    for (r, (b, ax)) in r.iter_mut().zip(b.iter().zip(ax)) {
        *r = *b - *ax;
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn chebyshev<T: Real>(keep: T, weight: T, ax: &[T], b: &[T], inverse: &[T], x: &[T], d: &mut [T], out: &mut [T]) {
    for ((d, out), ((ax, b), (inverse, x))) in d.iter_mut().zip(out).zip(ax.iter().zip(b).zip(inverse.iter().zip(x))) {
        let step = keep * *d + weight * *inverse * (*b - *ax);
        *d = step;
        *out = *x + step;
    }
}

fn with_stencil<T: Real>(a: &Stencil<T>, x: &[T], at: usize, n: usize, finish: impl Finish<T>) {
    match a.shifts.len() {
        1 => row::<T, 1>(a, x, at, n, finish),
        4 => row::<T, 4>(a, x, at, n, finish),
        13 => row::<T, 13>(a, x, at, n, finish),
        k => unreachable!("compiler bug: a stencil of {k} half neighbours"),
    }
}

/// One row by the widest vectors of this machine. There is no fused multiply-add, so all widths round alike.
fn row<T: Real, const K: usize>(a: &Stencil<T>, x: &[T], at: usize, n: usize, finish: impl Finish<T>) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return unsafe { row_avx512::<T, K>(a, x, at, n, finish) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return unsafe { row_avx2::<T, K>(a, x, at, n, finish) };
        }
    }
    row_body::<T, K>(a, x, at, n, finish)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn row_avx512<T: Real, const K: usize>(a: &Stencil<T>, x: &[T], at: usize, n: usize, finish: impl Finish<T>) {
    row_body::<T, K>(a, x, at, n, finish)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn row_avx2<T: Real, const K: usize>(a: &Stencil<T>, x: &[T], at: usize, n: usize, finish: impl Finish<T>) {
    row_body::<T, K>(a, x, at, n, finish)
}

#[inline(always)]
fn row_body<T: Real, const K: usize>(a: &Stencil<T>, x: &[T], at: usize, n: usize, mut finish: impl Finish<T>) {
    let shift: [usize; K] = std::array::from_fn(|k| a.shifts[k]);
    let centre = &a.coefficient(0)[at..at + n];
    let here = &x[at..at + n];
    let after: [&[T]; K] = std::array::from_fn(|k| &a.coefficient(k + 1)[at..at + n]);
    let before: [&[T]; K] = std::array::from_fn(|k| &a.coefficient(k + 1)[at - shift[k]..at - shift[k] + n]);
    let x_after: [&[T]; K] = std::array::from_fn(|k| &x[at + shift[k]..at + shift[k] + n]);
    let x_before: [&[T]; K] = std::array::from_fn(|k| &x[at - shift[k]..at - shift[k] + n]);
    let mut sums = [T::default(); BLOCK];
    let mut start = 0;
    while start < n {
        let count = BLOCK.min(n - start);
        for (l, sum) in sums[..count].iter_mut().enumerate() {
            let j = start + l;
            // Within each slice: all have n points, and l < count ≤ n - start.
            unsafe {
                let mut s = *centre.get_unchecked(j) * *here.get_unchecked(j);
                for k in 0..K {
                    s = s
                        + (*after[k].get_unchecked(j) * *x_after[k].get_unchecked(j)
                            + *before[k].get_unchecked(j) * *x_before[k].get_unchecked(j));
                }
                *sum = s;
            }
        }
        finish.block(start, &sums[..count]);
        start += count;
    }
}
