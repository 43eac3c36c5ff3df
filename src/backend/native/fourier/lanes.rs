//! Real transforms over two and more axes with as many lines at a time as a vector has lanes: lines of neighbouring columns need
//! no rearrangement, and of rows two blocks at a time are one complex transform, one block its real parts, the other its imaginary
//! ones. Between rows and columns lie planes of real and imaginary parts.
//!
//! Which lines go together depends on the shape alone, so the bits do not depend on threads.

use super::butterflies::{Packed, Place, Plan, Planes};
use super::scratch::Scratch;
use super::vector::{Vector, transpose};
use super::{AtPoints, Shared, each};
use crate::backend::native::Context;
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

/// Neighbouring columns of two arrays of modes, times factors.
#[derive(Clone, Copy)]
struct Multiplied<'a, V: Vector> {
    of: Planes<V>,
    factors: &'a [Factor<V>],
    turned: bool,
}

/// For these columns: the first number, how far the next element of a line is, and whether neighbouring columns have their own.
#[derive(Clone, Copy)]
struct Factor<V: Vector> {
    at: *const V::Number,
    apart: usize,
    own: bool,
}

impl<V: Vector> Place<V> for Multiplied<'_, V> {
    #[inline(always)]
    unsafe fn get(&self, j: usize) -> [V; 2] {
        // SAFETY: the caller's.
        unsafe {
            let [mut x, mut y] = self.of.get(j);
            for f in self.factors {
                let at = f.at.add(j * f.apart);
                let k = if f.own { V::load(at, self.of.mask) } else { V::splat(*at) };
                (x, y) = (k.times(x), k.times(y));
            }
            if self.turned { [y.times(V::splat(V::number(-1.0))), x] } else { [x, y] }
        }
    }
    #[inline(always)]
    unsafe fn put(&self, _: usize, _: [V; 2]) {
        unreachable!("compiler bug: modes are only read")
    }
}

/// Neighbouring columns to which modes times factors are added, or which they are.
#[derive(Clone, Copy)]
struct Added<'a, V: Vector> {
    to: Planes<V>,
    factors: &'a [Factor<V>],
    /// By which real and imaginary parts are multiplied, after they were exchanged where they are `turned`.
    signs: [f64; 2],
    turned: bool,
    first: bool,
}

impl<V: Vector> Place<V> for Added<'_, V> {
    #[inline(always)]
    unsafe fn get(&self, _: usize) -> [V; 2] {
        unreachable!("compiler bug: a sum of modes is only written")
    }
    #[inline(always)]
    unsafe fn put(&self, j: usize, [mut x, mut y]: [V; 2]) {
        // SAFETY: the caller's.
        unsafe {
            for f in self.factors {
                let at = f.at.add(j * f.apart);
                let k = if f.own { V::load(at, self.to.mask) } else { V::splat(*at) };
                (x, y) = (k.times(x), k.times(y));
            }
            if self.turned {
                (x, y) = (y, x);
            }
            (x, y) = (x.times(V::splat(V::number(self.signs[0]))), y.times(V::splat(V::number(self.signs[1]))));
            if !self.first {
                let [u, v] = self.to.get(j);
                (x, y) = (u.plus(x), v.plus(y));
            }
            self.to.put(j, [x, y])
        }
    }
}

/// The same with real and imaginary parts exchanged: of these the other direction of a transform is this one.
#[derive(Clone, Copy)]
struct Exchanged<P>(P);

impl<V: Vector, P: Place<V>> Place<V> for Exchanged<P> {
    #[inline(always)]
    unsafe fn get(&self, j: usize) -> [V; 2] {
        // SAFETY: the caller's.
        let [x, y] = unsafe { self.0.get(j) };
        [y, x]
    }
    #[inline(always)]
    unsafe fn put(&self, j: usize, [x, y]: [V; 2]) {
        // SAFETY: the caller's.
        unsafe { self.0.put(j, [y, x]) }
    }
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
                self.with_work(|a, b| unsafe { self.rows_forward(task, x.at(0), 0, between, a, b) });
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
                    self.with_work(|a, b| unsafe { self.rows_forward(task, x.at(0), 0, between, a, b) });
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
                self.with_work(|a, b| unsafe { self.rows_backward(task, between, y.at(0), 0, a, b) });
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
        let count = x.len().max(made);
        self.with_lines(self.plane() * count, |at| {
            // SAFETY: one plane behind the other.
            let place = |k: usize| self.spectrum(unsafe { at.add(k * self.plane()) }.cast(), self.padded);
            let planes: Vec<Spectrum<V>> = (0..count).map(place).collect();
            self.columns_backward(workers, x, &planes);
            each(workers, self.row_tasks(), &|task| {
                let first = task * 2 * V::LANES;
                let count = (2 * V::LANES).min(self.rows - first);
                self.with_lines(n * (x.len() + 1), |at| {
                    // SAFETY: one block of n lines behind the other.
                    let block = |k: usize| unsafe { at.add(k * n) }.cast::<V::Number>();
                    let args: Vec<*mut V::Number> = (0..x.len()).map(block).collect();
                    let result = block(x.len());
                    self.with_work(|a, b| {
                        for (from, to) in planes.iter().zip(&args) {
                            // SAFETY: as above; nobody else has these blocks.
                            unsafe { self.rows_backward(task, *from, *to, first, a, b) };
                        }
                        for (k, plane) in planes.iter().enumerate().take(made) {
                            at_points(k, (first, count), &args, result);
                            // SAFETY: as above; these rows of all planes have been read.
                            unsafe { self.rows_forward(task, result, first, *plane, a, b) };
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

    /// Two blocks of rows at once, the second as imaginary parts. The numbers of row `begin` lie first.
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn rows_forward(
        &self,
        task: usize,
        x: *const V::Number,
        begin: usize,
        to: Spectrum<V>,
        a: Packed<V>,
        b: Packed<V>,
    ) {
        let plan = &self.plans[self.plans.len() - 1];
        let (n, modes, first) = (plan.n, self.modes, task * 2 * V::LANES);
        // SAFETY: the caller's; rows and elements that there are not have masks without lanes.
        unsafe {
            for part in 0..2 {
                let row = first + part * V::LANES;
                for j in (0..n).step_by(V::LANES) {
                    let v = self.read_rows(x, n, (row, begin), j, n);
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
                    self.write_rows(plane, to.row, (first + p / 2 * V::LANES, 0), k, modes, v);
                }
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn rows_backward(
        &self,
        task: usize,
        from: Spectrum<V>,
        y: *mut V::Number,
        begin: usize,
        a: Packed<V>,
        b: Packed<V>,
    ) {
        let plan = &self.plans[self.plans.len() - 1];
        let (n, modes, first) = (plan.n, self.modes, task * 2 * V::LANES);
        // SAFETY: as above.
        unsafe {
            let zero = V::splat(V::number(0.0));
            for k in (0..modes).step_by(V::LANES) {
                let second = first + V::LANES;
                let re = [
                    self.read_rows(from.re, from.row, (first, 0), k, modes),
                    self.read_rows(from.re, from.row, (second, 0), k, modes),
                ];
                let im = [
                    self.read_rows(from.im, from.row, (first, 0), k, modes),
                    self.read_rows(from.im, from.row, (second, 0), k, modes),
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
                    self.write_rows(y, n, (row, begin), j, n, &v);
                }
            }
        }
    }

    /// Elements from `j` on of as many rows as lanes, element i of all rows in vector i. `apart`: from row to row; `end` of each row;
    /// `begin`: the row that lies first.
    #[inline(always)]
    unsafe fn read_rows(
        &self,
        x: *const V::Number,
        apart: usize,
        (row, begin): (usize, usize),
        j: usize,
        end: usize,
    ) -> [V; 16] {
        // SAFETY: the caller's.
        unsafe {
            let mask = lanes(end - j);
            let mut v = [V::splat(V::number(0.0)); 16];
            for (i, v) in v.iter_mut().enumerate().take(V::LANES) {
                if row + i < self.rows {
                    *v = V::load(x.add((row - begin + i) * apart + j), mask);
                }
            }
            transpose(&mut v);
            v
        }
    }

    #[inline(always)]
    unsafe fn write_rows(
        &self,
        y: *mut V::Number,
        apart: usize,
        (row, begin): (usize, usize),
        j: usize,
        end: usize,
        v: &[V; 16],
    ) {
        // SAFETY: the caller's.
        unsafe {
            let mask = lanes(end - j);
            for (i, v) in v.iter().enumerate().take(V::LANES) {
                if row + i < self.rows {
                    v.store(y.add((row - begin + i) * apart + j), mask);
                }
            }
        }
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
}

/// The mask of so many lanes, or of all.
#[inline(always)]
fn lanes(n: usize) -> u16 {
    if n >= 16 { u16::MAX } else { (1 << n) - 1 }
}
