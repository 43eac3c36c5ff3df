//! Real transforms over two and more axes with as many lines at a time as a vector has lanes: lines of neighbouring columns need
//! no rearrangement, and of rows two blocks at a time are one complex transform, one block its real parts, the other its imaginary
//! ones. Between rows and columns lie planes of real and imaginary parts.
//!
//! Which lines go together depends on the shape alone, so the bits do not depend on threads.

mod modes;
mod rows;

use super::butterflies::{Packed, Plan, Planes};
use super::scratch::Scratch;
use super::vector::Vector;
use super::{AtPoints, Numbers, Shared, each};
use crate::backend::native::Context;
use modes::{Added, Exchanged, Factor, Multiplied};
use rows::Rows;
use std::sync::Arc;

/// Plans for the axes of one shape, and memory.
pub struct Grid<V: Vector> {
    shape: Vec<usize>,
    modes: usize,
    /// Modes of a row and what fills its last cache line.
    padded: usize,
    rows: usize,
    plans: Vec<Plan<V>>,
    /// Pairs of work, planes, blocks of rows.
    scratch: Arc<Scratch>,
}

/// What a transform back starts from: modes `[2, n₁, …]`, times real factors one after the other, times i where it is `turned`.
pub struct Source<'a, T> {
    pub modes: &'a [T],
    /// Numbers, and how far apart they lie for neighbours along each axis of modes (0: the same for all).
    pub factors: Vec<(&'a [T], &'a [usize])>,
    pub turned: bool,
}

/// What becomes of a transform forward: it is multiplied as a [`Source`] is, and by -1 where it is `negative`; it is the result of this
/// number, or is added to what that is already.
pub struct Target<'a, T> {
    pub result: usize,
    pub factors: Vec<(&'a [T], &'a [usize])>,
    pub turned: bool,
    pub negative: bool,
    pub first: bool,
}

/// Factors of a source or a target at most.
pub const MOST_FACTORS: usize = 4;

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
        Some(Grid { shape: shape.to_vec(), modes, padded, rows, plans, scratch: Scratch::shared() })
    }

    /// Numbers to modes.
    pub fn analyse(&self, workers: Option<&Context>, x: &[V::Number], y: &mut [V::Number]) {
        let (x, out) = (Shared(x.as_ptr().cast_mut()), self.spectrum(y.as_mut_ptr(), self.modes));
        self.with_lines(self.plane(), |at| {
            let between = self.spectrum(at.cast(), self.padded);
            each(workers, self.row_tasks(), &|task| {
                // SAFETY: the processor is able (or there is no `Grid`); a task reads and writes rows of its own.
                self.with_work(|a, b| unsafe {
                    let rows = Rows { of: Numbers { x: x.at(0), times: None }, begin: 0 };
                    self.rows_forward(task, rows, between, a, b)
                });
            });
            self.inner_columns_forward(workers, between);
            each(workers, self.column_tasks(0), &|task| {
                let (from, to) = (self.lines(0, task, between), self.lines(0, task, out));
                // SAFETY: as above; lines of different tasks are disjoint, and lie within the arrays.
                self.with_work(|a, b| unsafe { self.plans[0].run(from, to, a, b) });
            });
        });
    }

    /// Several arrays of numbers to one sum of modes.
    pub fn analyse_sum(
        &self,
        workers: Option<&Context>,
        x: &[&[V::Number]],
        targets: &[Target<V::Number>],
        y: &mut [V::Number],
    ) {
        self.with_lines(self.plane(), |at| {
            let between = self.spectrum(at.cast(), self.padded);
            for (x, target) in x.iter().zip(targets) {
                let x = Shared(x.as_ptr().cast_mut());
                each(workers, self.row_tasks(), &|task| {
                    // SAFETY: as above; only read.
                    self.with_work(|a, b| unsafe {
                        let rows = Rows { of: Numbers { x: x.at(0), times: None }, begin: 0 };
                        self.rows_forward(task, rows, between, a, b)
                    });
                });
                self.columns_forward(workers, &[between], std::slice::from_ref(target), &mut [&mut *y]);
            }
        });
    }

    /// Modes to numbers.
    pub fn synthesise(&self, workers: Option<&Context>, x: &Source<V::Number>, y: &mut [V::Number]) {
        let y = Shared(y.as_mut_ptr());
        self.with_lines(self.plane(), |at| {
            let between = self.spectrum(at.cast(), self.padded);
            self.columns_backward(workers, std::slice::from_ref(x), &[between]);
            each(workers, self.row_tasks(), &|task| {
                // SAFETY: as above.
                self.with_work(|a, b| unsafe { self.rows_backward(task, between, (y.at(0), 0), a, b) });
            });
        });
    }

    /// Several spectra to numbers, what `at_points` makes of those, one array for each target after the other, and these to modes: rows
    /// pass from one transform to the other within the nearest cache.
    pub fn through(
        &self,
        workers: Option<&Context>,
        x: &[Source<V::Number>],
        at_points: &AtPoints<V::Number>,
        targets: &[Target<V::Number>],
        y: &mut [&mut [V::Number]],
    ) {
        let n = self.shape[self.shape.len() - 1];
        let made = targets.len();
        // Each plane a piece of memory of its own, which programs with more or fewer of them share.
        self.with_pieces(self.plane(), x.len().max(made), |pieces| {
            let planes: Vec<Spectrum<V>> = pieces.iter().map(|at| self.spectrum(at.cast(), self.padded)).collect();
            self.columns_backward(workers, x, &planes);
            each(workers, self.row_tasks(), &|task| {
                let first = task * 2 * V::LANES;
                let count = (2 * V::LANES).min(self.rows - first);
                self.with_lines(n * (x.len() + usize::from(at_points.writes)), |at| {
                    // One block of n lines behind the other.
                    let block = |k: usize| at.wrapping_add(k * n).cast::<V::Number>();
                    let args: Vec<*mut V::Number> = (0..x.len()).map(block).collect();
                    let result = block(x.len());
                    self.with_work(|a, b| {
                        for (from, to) in planes.iter().zip(&args) {
                            // SAFETY: as above; nobody else has these blocks.
                            unsafe { self.rows_backward(task, *from, (*to, first), a, b) };
                        }
                        for (k, plane) in planes.iter().enumerate().take(made) {
                            let of = (at_points.make)(k, (first, count), &args, result);
                            // SAFETY: as above; these rows of all planes have been read.
                            unsafe { self.rows_forward(task, Rows { of, begin: first }, *plane, a, b) };
                        }
                    });
                });
            });
            self.columns_forward(workers, &planes[..made], targets, y);
        });
    }

    fn spectrum(&self, at: *mut V::Number, row: usize) -> Spectrum<V> {
        // SAFETY: two planes of as many rows lie there.
        Spectrum { re: at, im: unsafe { at.add(self.rows * row) }, row }
    }

    /// Along all axes of columns but the first.
    fn inner_columns_forward(&self, workers: Option<&Context>, between: Spectrum<V>) {
        for axis in (1..self.shape.len() - 1).rev() {
            each(workers, self.column_tasks(axis), &|task| {
                let lines = self.lines(axis, task, between);
                // SAFETY: the processor is able; lines of different tasks are disjoint, and lie within the arrays.
                self.with_work(|a, b| unsafe { self.plans[axis].run(lines, lines, a, b) });
            });
        }
    }

    fn columns_forward(
        &self,
        workers: Option<&Context>,
        planes: &[Spectrum<V>],
        targets: &[Target<V::Number>],
        y: &mut [&mut [V::Number]],
    ) {
        let out: Vec<Spectrum<V>> = y.iter_mut().map(|y| self.spectrum(y.as_mut_ptr(), self.modes)).collect();
        planes.iter().for_each(|plane| self.inner_columns_forward(workers, *plane));
        // What is added to the same columns follows while they are in the nearest cache.
        each(workers, self.column_tasks(0), &|task| {
            for (plane, target) in planes.iter().zip(targets) {
                let (from, to) = (self.lines(0, task, *plane), self.lines(0, task, out[target.result]));
                let Target { turned, negative, first, .. } = *target;
                let mut factors = self.no_factors();
                let factors = self.factors(0, task, &target.factors, &mut factors);
                let sign = if negative { -1.0 } else { 1.0 };
                // SAFETY: as above.
                self.with_work(|a, b| unsafe {
                    if first && factors.is_empty() && !turned && !negative {
                        return self.plans[0].run(from, to, a, b);
                    }
                    let signs = if turned { [-sign, sign] } else { [sign, sign] };
                    self.plans[0].run(from, Added { to, factors, signs, turned, first }, a, b)
                });
            }
        });
    }

    fn columns_backward(&self, workers: Option<&Context>, x: &[Source<V::Number>], planes: &[Spectrum<V>]) {
        let first = self.shape.len() - 2;
        for axis in (0..=first).rev() {
            let tasks = self.column_tasks(axis);
            // SAFETY: as above.
            each(workers, tasks * x.len(), &|task| {
                // Several often start from the same modes: these columns of all of them, while they are in the nearest cache.
                let (k, task) = (task % x.len(), task / x.len());
                let to = Exchanged(self.lines(axis, task, planes[k]));
                self.with_work(|a, b| unsafe {
                    if axis < first {
                        return self.plans[axis].run(to, to, a, b);
                    }
                    // Only read.
                    let given = self.spectrum(x[k].modes.as_ptr().cast_mut(), self.modes);
                    let of = self.lines(axis, task, given);
                    if task + 1 < tasks {
                        // The state of long ago: what the next columns need of it comes while these are worked on.
                        let next = self.lines(axis, task + 1, given);
                        (k..self.shape[axis]).step_by(x.len()).for_each(|j| next.fetch(j));
                    }
                    if x[k].factors.is_empty() && !x[k].turned {
                        return self.plans[axis].run(Exchanged(of), to, a, b);
                    }
                    let mut factors = self.no_factors();
                    let factors = self.factors(axis, task, &x[k].factors, &mut factors);
                    let from = Multiplied { of, factors, turned: x[k].turned };
                    self.plans[axis].run(Exchanged(from), to, a, b)
                });
            });
        }
    }

    /// Blocks of rows that go together, and of lines along another axis.
    fn row_tasks(&self) -> usize {
        self.rows.div_ceil(2 * V::LANES)
    }

    fn column_tasks(&self, axis: usize) -> usize {
        self.rows / self.shape[axis] * self.modes.div_ceil(V::LANES)
    }

    /// The row and the column of a task's first element, and the rows between an element of a line and the next.
    fn line(&self, axis: usize, task: usize) -> (usize, usize, usize) {
        let inner: usize = self.shape[axis + 1..self.shape.len() - 1].iter().product();
        let blocks = self.modes.div_ceil(V::LANES);
        let (line, first) = (task / blocks, task % blocks * V::LANES);
        (line / inner * self.shape[axis] * inner + line % inner, first, inner)
    }

    fn lines(&self, axis: usize, task: usize, s: Spectrum<V>) -> Planes<V> {
        let (row, first, inner) = self.line(axis, task);
        let at = row * s.row + first;
        // SAFETY: the first element of a line of the planes.
        let (re, im) = unsafe { (s.re.add(at), s.im.add(at)) };
        Planes { re, im, apart: inner * s.row, mask: lanes(self.modes - first) }
    }

    fn no_factors(&self) -> [Factor<V>; MOST_FACTORS] {
        [Factor { at: std::ptr::null(), apart: 0, own: false }; MOST_FACTORS]
    }

    /// Of numbers and strides, for the columns of a task.
    fn factors<'a>(
        &self,
        axis: usize,
        task: usize,
        of: &[(&[V::Number], &[usize])],
        memory: &'a mut [Factor<V>; MOST_FACTORS],
    ) -> &'a [Factor<V>] {
        for (f, (numbers, strides)) in memory.iter_mut().zip(of) {
            *f = self.factor(axis, task, numbers, strides);
        }
        &memory[..of.len()]
    }

    fn factor(&self, axis: usize, task: usize, numbers: &[V::Number], strides: &[usize]) -> Factor<V> {
        let (mut row, first, _) = self.line(axis, task);
        let last = self.shape.len() - 1;
        let mut at = first * strides[last];
        for a in (0..last).rev() {
            at += row % self.shape[a] * strides[a];
            row /= self.shape[a];
        }
        Factor { at: numbers[at..].as_ptr(), apart: strides[axis], own: strides[last] > 0 }
    }

    /// Pairs of work for the longest axis, twice.
    fn with_work<R>(&self, f: impl FnOnce(Packed<V>, Packed<V>) -> R) -> R {
        let longest = self.shape.iter().max().copied().unwrap_or(0);
        self.with_lines(2 * longest, |at| {
            // SAFETY: the second half lies behind the first.
            let second = unsafe { at.add(longest) };
            f(Packed(at.cast()), Packed(second.cast()))
        })
    }

    /// Lines of two planes.
    fn plane(&self) -> usize {
        (self.rows * self.padded).div_ceil(V::LANES)
    }

    fn with_lines<R>(&self, lines: usize, f: impl FnOnce(*mut Line<V>) -> R) -> R {
        self.scratch.with(lines * size_of::<Line<V>>(), |at| f(at.cast()))
    }

    /// So many pieces of so many lines.
    fn with_pieces<R>(&self, lines: usize, count: usize, f: impl FnOnce(&[*mut u8]) -> R) -> R {
        self.scratch.with_many(lines * size_of::<Line<V>>(), count, f)
    }
}

/// The mask of so many lanes, or of all.
#[inline(always)]
fn lanes(n: usize) -> u16 {
    if n >= 16 { u16::MAX } else { (1 << n) - 1 }
}
