//! Real transforms over two and more axes with as many lines at a time as a vector has lanes: lines of neighbouring columns need
//! no rearrangement, and of rows two blocks at a time are one complex transform, one block its real parts, the other its imaginary
//! ones. Between rows and columns lie planes of real and imaginary parts.
//!
//! Which lines go together depends on the shape alone, so the bits do not depend on threads.

use super::butterflies::{Packed, Plan, Planes};
use super::vector::{Vector, transpose};
use super::{Shared, each};
use crate::backend::native::Context;
use std::sync::Mutex;

/// Plans for the axes of one shape, and memory.
pub struct Grid<V: Vector> {
    shape: Vec<usize>,
    modes: usize,
    /// Modes of a row and what fills its last cache line.
    padded: usize,
    rows: usize,
    plans: Vec<Plan<V>>,
    /// Memory that no task uses now: pairs of work, and planes.
    work: Mutex<Vec<Vec<Line<V>>>>,
    planes: Mutex<Vec<Vec<Line<V>>>>,
}

/// Vectors begin at multiples of a cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line<V>([V; 2]);

/// Two arrays of modes; where one row of the last axis ends the next begins `row` elements behind its start.
#[derive(Clone, Copy)]
struct Spectrum<V: Vector> {
    re: *mut V::Number,
    im: *mut V::Number,
    row: usize,
}

// SAFETY: whoever uses the pointers says why no two threads touch the same element.
unsafe impl<V: Vector> Sync for Spectrum<V> {}

impl<V: Vector> Spectrum<V> {
    /// The other direction of a transform is this one of parts that are exchanged.
    fn exchanged(self) -> Spectrum<V> {
        Spectrum { re: self.im, im: self.re, ..self }
    }
}

impl<V: Vector> Grid<V> {
    /// None where an axis does not fit, or rows are fewer than lanes.
    pub fn new(shape: &[usize]) -> Option<Grid<V>> {
        if !super::vector::available() || shape.len() < 2 {
            return None;
        }
        let last = shape[shape.len() - 1];
        let (modes, rows) = (last / 2 + 1, shape[..shape.len() - 1].iter().product());
        if rows < V::LANES || modes < V::LANES {
            return None;
        }
        let plans = shape.iter().map(|&n| Plan::new(n)).collect::<Option<_>>()?;
        // An odd number of lines a row: rows below each other spread over the sets of the caches.
        let padded = (modes.div_ceil(V::LANES) | 1) * V::LANES;
        let (work, planes) = Default::default();
        Some(Grid { shape: shape.to_vec(), modes, padded, rows, plans, work, planes })
    }

    /// Numbers to modes.
    pub fn analyse(&self, workers: Option<&Context>, x: &[V::Number], y: &mut [V::Number]) {
        let (x, out) = (Shared(x.as_ptr().cast_mut()), self.spectrum(y.as_mut_ptr(), self.modes));
        self.with_planes(|between| {
            each(workers, self.rows.div_ceil(2 * V::LANES), &|task| {
                // SAFETY: the processor is able (or there is no `Grid`); a task reads and writes rows of its own.
                self.with_work(|a, b| unsafe { self.rows_forward(task, x.at(0), between, a, b) });
            });
            for axis in (0..self.shape.len() - 1).rev() {
                let to = if axis == 0 { out } else { between };
                self.columns(workers, axis, between, to);
            }
        });
    }

    /// Modes to numbers.
    pub fn synthesise(&self, workers: Option<&Context>, x: &[V::Number], y: &mut [V::Number]) {
        // Only read.
        let (given, y) = (self.spectrum(x.as_ptr().cast_mut(), self.modes), Shared(y.as_mut_ptr()));
        self.with_planes(|between| {
            let first = self.shape.len() - 2;
            for axis in (0..=first).rev() {
                let from = if axis == first { given } else { between };
                self.columns(workers, axis, from.exchanged(), between.exchanged());
            }
            each(workers, self.rows.div_ceil(2 * V::LANES), &|task| {
                // SAFETY: as above.
                self.with_work(|a, b| unsafe { self.rows_backward(task, between, y.at(0), a, b) });
            });
        });
    }

    fn spectrum(&self, at: *mut V::Number, row: usize) -> Spectrum<V> {
        // SAFETY: two planes of as many rows lie there.
        Spectrum { re: at, im: unsafe { at.add(self.rows * row) }, row }
    }

    /// Transforms along one axis but the last.
    fn columns(&self, workers: Option<&Context>, axis: usize, from: Spectrum<V>, to: Spectrum<V>) {
        let n = self.shape[axis];
        // Rows between an element of a line and the next.
        let inner: usize = self.shape[axis + 1..self.shape.len() - 1].iter().product();
        let blocks = self.modes.div_ceil(V::LANES);
        each(workers, self.rows / n * blocks, &|task| {
            let (line, first) = (task / blocks, task % blocks * V::LANES);
            let row = line / inner * n * inner + line % inner;
            let planes = |s: &Spectrum<V>| {
                let at = row * s.row + first;
                // SAFETY: the first element of a line of the planes.
                let (re, im) = unsafe { (s.re.add(at), s.im.add(at)) };
                Planes { re, im, apart: inner * s.row, mask: lanes(self.modes - first) }
            };
            // SAFETY: the processor is able; lines of different tasks are disjoint, and lie within the arrays.
            self.with_work(|a, b| unsafe { self.plans[axis].run(planes(&from), planes(&to), a, b) });
        });
    }

    /// Two blocks of rows at once, the second as imaginary parts.
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn rows_forward(&self, task: usize, x: *const V::Number, to: Spectrum<V>, a: Packed<V>, b: Packed<V>) {
        let plan = &self.plans[self.plans.len() - 1];
        let (n, modes, first) = (plan.n, self.modes, task * 2 * V::LANES);
        // SAFETY: the caller's; rows and elements that there are not have masks without lanes.
        unsafe {
            for part in 0..2 {
                let row = first + part * V::LANES;
                for j in (0..n).step_by(V::LANES) {
                    let v = self.read_rows(x, n, row, j, n);
                    for (i, v) in v.iter().enumerate().take(V::LANES.min(n - j)) {
                        (*a.0.add(j + i))[part] = *v;
                    }
                }
            }
            // The work in `a` is used up by the second pass.
            plan.run(a, b, b, a);
            let half = V::splat(V::number(0.5));
            let zero = V::splat(V::number(0.0));
            for k in (0..modes).step_by(V::LANES) {
                let mut parts = [[zero; 16]; 4];
                // A lane is the second index of the parts.
                #[allow(clippy::needless_range_loop)]
                for i in 0..V::LANES.min(modes - k) {
                    let [x, y] = *b.0.add(k + i);
                    let [u, v] = *b.0.add((n - k - i) % n);
                    parts[0][i] = x.plus(u).times(half);
                    parts[1][i] = y.minus(v).times(half);
                    parts[2][i] = y.plus(v).times(half);
                    parts[3][i] = u.minus(x).times(half);
                }
                for (p, v) in parts.iter_mut().enumerate() {
                    transpose(v);
                    let plane = if p % 2 == 0 { to.re } else { to.im };
                    self.write_rows(plane, to.row, first + p / 2 * V::LANES, k, modes, v);
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn rows_backward(&self, task: usize, from: Spectrum<V>, y: *mut V::Number, a: Packed<V>, b: Packed<V>) {
        let plan = &self.plans[self.plans.len() - 1];
        let (n, modes, first) = (plan.n, self.modes, task * 2 * V::LANES);
        // SAFETY: as above.
        unsafe {
            let zero = V::splat(V::number(0.0));
            for k in (0..modes).step_by(V::LANES) {
                let second = first + V::LANES;
                let re = [
                    self.read_rows(from.re, from.row, first, k, modes),
                    self.read_rows(from.re, from.row, second, k, modes),
                ];
                let im = [
                    self.read_rows(from.im, from.row, first, k, modes),
                    self.read_rows(from.im, from.row, second, k, modes),
                ];
                for i in 0..V::LANES.min(modes - k) {
                    let (k, back) = (k + i, (n - k - i) % n);
                    // Real numbers have real ends.
                    let ends = k == back;
                    let (im0, im1) = if ends { (zero, zero) } else { (im[0][i], im[1][i]) };
                    // Parts are exchanged.
                    *a.0.add(k) = [im0.plus(re[1][i]), re[0][i].minus(im1)];
                    if !ends {
                        *a.0.add(back) = [re[1][i].minus(im0), re[0][i].plus(im1)];
                    }
                }
            }
            plan.run(a, b, b, a);
            for part in 0..2 {
                let row = first + part * V::LANES;
                for j in (0..n).step_by(V::LANES) {
                    let mut v = [zero; 16];
                    for (i, v) in v.iter_mut().enumerate().take(V::LANES.min(n - j)) {
                        *v = (*b.0.add(j + i))[1 - part];
                    }
                    transpose(&mut v);
                    self.write_rows(y, n, row, j, n, &v);
                }
            }
        }
    }

    /// Elements from `j` on of as many rows as lanes, element i of all rows in vector i. `apart`: from row to row; `end` of each row.
    #[inline(always)]
    unsafe fn read_rows(&self, x: *const V::Number, apart: usize, row: usize, j: usize, end: usize) -> [V; 16] {
        // SAFETY: the caller's.
        unsafe {
            let mask = lanes(end - j);
            let mut v = [V::splat(V::number(0.0)); 16];
            for (i, v) in v.iter_mut().enumerate().take(V::LANES) {
                if row + i < self.rows {
                    *v = V::load(x.add((row + i) * apart + j), mask);
                }
            }
            transpose(&mut v);
            v
        }
    }

    #[inline(always)]
    unsafe fn write_rows(&self, y: *mut V::Number, apart: usize, row: usize, j: usize, end: usize, v: &[V; 16]) {
        // SAFETY: the caller's.
        unsafe {
            let mask = lanes(end - j);
            for (i, v) in v.iter().enumerate().take(V::LANES) {
                if row + i < self.rows {
                    v.store(y.add((row + i) * apart + j), mask);
                }
            }
        }
    }

    /// Pairs of work for the longest axis, twice.
    fn with_work<R>(&self, f: impl FnOnce(Packed<V>, Packed<V>) -> R) -> R {
        let longest = self.shape.iter().max().copied().unwrap_or(0);
        with(&self.work, 2 * longest, |at| {
            // SAFETY: the second half lies behind the first.
            let second = unsafe { at.add(longest) };
            f(Packed(at.cast()), Packed(second.cast()))
        })
    }

    fn with_planes<R>(&self, f: impl FnOnce(Spectrum<V>) -> R) -> R {
        with(&self.planes, (self.rows * self.padded).div_ceil(V::LANES), |at| f(self.spectrum(at.cast(), self.padded)))
    }
}

/// Memory that was used before, or new.
fn with<V: Vector, R>(idle: &Mutex<Vec<Vec<Line<V>>>>, len: usize, f: impl FnOnce(*mut Line<V>) -> R) -> R {
    let idle = || idle.lock().unwrap_or_else(|e| e.into_inner());
    let reused = idle().pop();
    // SAFETY: the processor has these vectors, or there is no `Grid`.
    let mut memory = reused.unwrap_or_else(|| vec![Line([unsafe { V::splat(V::number(0.0)) }; 2]); len]);
    let result = f(memory.as_mut_ptr());
    idle().push(memory);
    result
}

/// The mask of so many lanes, or of all.
#[inline(always)]
fn lanes(n: usize) -> u16 {
    if n >= 16 { u16::MAX } else { (1 << n) - 1 }
}
