//! How the arrays of a blocked scan lie in memory: rows that begin at multiples of a cache line, and around them ghosts, copies of what
//! lies beyond a periodic end.

use super::schedule::Box;
use crate::backend::native::Context;
use crate::backend::native::buffer::{View, ViewMut};
use crate::ir::{DType, Tensor};

/// One array.
#[derive(Clone, Debug)]
pub struct Field {
    pub shape: Vec<usize>,
    /// Ghosts before and behind each axis.
    pub low: Vec<usize>,
    pub high: Vec<usize>,
    /// Ghosts before the last axis that are read; there may be more.
    near: usize,
    /// In elements.
    pub strides: Vec<usize>,
    /// Elements from the beginning of one row along the last axis to the next.
    line: usize,
    pub len: usize,
    size: usize,
    /// It has memory of its own, with this layout; else it is read where it lies.
    pub own: bool,
    /// Beyond the ends of an axis lies the other end; else zeros.
    pub around: Vec<bool>,
    pub constant: Option<Tensor>,
}

/// Bytes of a cache line.
pub const LINE: usize = 64;

impl Field {
    /// What is given and read so far beyond each end. Without ghosts it is read in place.
    pub fn of(shape: &[usize], (low, high): (Vec<usize>, Vec<usize>), dtype: DType) -> Field {
        if low.iter().chain(&high).all(|&g| g == 0) {
            let mut strides = vec![1; shape.len()];
            for a in (1..shape.len()).rev() {
                strides[a - 1] = strides[a] * shape[a];
            }
            let len = shape.iter().product();
            let size = dtype.size();
            let around = vec![true; shape.len()];
            let line = shape.last().copied().unwrap_or(1);
            return Field {
                shape: shape.to_vec(),
                low,
                high,
                near: 0,
                strides,
                line,
                len,
                size,
                own: false,
                around,
                constant: None,
            };
        }
        Field::padded(shape, low, high, dtype, 1)
    }

    /// A field over the grid, with at most one axis of components before it. Of two axes a row is followed by that of the next
    /// component, and all components of a row fill a multiple of `lines` cache lines.
    pub fn around(shape: &[usize], grid: &[usize], ghosts: &[(usize, usize)], dtype: DType, lines: usize) -> Field {
        let extra = shape.len() - grid.len();
        let ends = |f: &dyn Fn(&(usize, usize)) -> usize| {
            std::iter::repeat_n(0, extra).chain(ghosts.iter().map(f)).collect::<Vec<usize>>()
        };
        let components: usize = shape[..extra].iter().product();
        let each = (1..=lines).find(|unit| (unit * components).is_multiple_of(lines)).unwrap_or(lines);
        let mut field = Field::padded(shape, ends(&|g| g.0), ends(&|g| g.1), dtype, each);
        if (extra, grid.len()) == (1, 2) {
            field.strides = vec![field.line, shape[0] * field.line, 1];
        }
        field
    }

    fn padded(shape: &[usize], mut low: Vec<usize>, high: Vec<usize>, dtype: DType, unit: usize) -> Field {
        let lanes = LINE / dtype.size();
        let last = shape.len() - 1;
        // The first element of a row begins a cache line.
        let near = low[last];
        low[last] = near.next_multiple_of(lanes);
        // An odd number of lines a row: rows below each other spread over the sets of the caches.
        let lines = ((low[last] + shape[last] + high[last]).div_ceil(lanes * unit) | 1) * unit;
        let mut strides = vec![1; shape.len()];
        let line = lines * lanes;
        let mut below = line;
        for a in (0..last).rev() {
            strides[a] = below;
            below *= low[a] + shape[a] + high[a];
        }
        let around = vec![true; shape.len()];
        let size = dtype.size();
        let shape = shape.to_vec();
        Field { shape, low, high, near, strides, line, len: below, size, own: true, around, constant: None }
    }

    /// There is something to keep up with what it stands for.
    pub fn follows(&self) -> bool {
        self.ghosts() && (0..self.shape.len()).any(|a| self.around[a] && self.low[a] + self.high[a] > 0)
    }

    pub fn ghosts(&self) -> bool {
        self.own && self.low.iter().chain(&self.high).any(|&g| g > 0)
    }

    /// The position of the element with all indices 0.
    pub fn origin(&self) -> usize {
        self.low.iter().zip(&self.strides).map(|(l, s)| l * s).sum()
    }

    pub fn constant(&self) -> View<'_> {
        View::of_tensor(self.constant.as_ref().expect("compiler bug: not a constant"))
    }

    /// Whether elements and ghosts lie at the same places as those of another, and stand for the same.
    pub fn lies_like(&self, other: &Field) -> bool {
        let places = |f: &Field| (f.shape.clone(), f.low.clone(), f.high.clone(), f.strides.clone(), f.around.clone());
        (self.size, self.len, self.near) == (other.size, other.len, other.near) && places(self) == places(other)
    }

    /// Whether it has as many points as the grid.
    pub fn is_large(&self, grid: &[usize]) -> bool {
        self.shape.iter().product::<usize>() >= grid.iter().product()
    }

    /// Bytes of all rows (along the last axis) that belong to one index of the others.
    pub fn row_bytes(&self, grid_rank: usize) -> usize {
        let extra = self.shape.len().saturating_sub(grid_rank);
        let components: usize = self.shape[..extra].iter().product();
        components * self.line * self.size
    }

    /// Of a field over two axes: copies some rows, with what lies beyond their ends, to another array of this layout.
    ///
    /// # Safety
    /// Both begin where an array of all rows would, and nobody else uses these rows.
    pub unsafe fn copy_rows(&self, from: *const u8, to: *mut u8, (first, end): (usize, usize)) {
        let start = (self.beyond_rows().0 + first) * self.pitch();
        let bytes = (end - first) * self.pitch();
        unsafe { std::ptr::copy_nonoverlapping(from.wrapping_add(start), to.wrapping_add(start), bytes) };
    }

    pub fn bytes(&self) -> usize {
        self.len * self.size
    }

    /// All of it to another array of this layout.
    pub fn copy(&self, context: &Context, from: *const u8, to: *mut u8) {
        const EACH: usize = 1 << 18;
        let (bytes, from, to) = (self.bytes(), from as usize, to as usize);
        context.parallel(bytes.div_ceil(EACH), &|task, _| {
            let part = task * EACH..((task + 1) * EACH).min(bytes);
            // SAFETY: both arrays are so long; parts are disjoint.
            unsafe {
                let (from, to) = ((from as *const u8).add(part.start), (to as *mut u8).add(part.start));
                std::ptr::copy_nonoverlapping(from, to, part.len());
            }
        });
    }

    /// The axes of a field over two axes that are not components.
    pub fn grid(&self) -> &[usize] {
        &self.shape[self.shape.len() - 2..]
    }

    /// Components, rows and columns of a field over two axes.
    fn as_rows(&self) -> [usize; 3] {
        match self.shape[..] {
            [c, n, m] => [c, n, m],
            [n, m] => [1, n, m],
            _ => unreachable!("compiler bug: a field over two axes has another shape"),
        }
    }

    /// The position of the first element of a row.
    fn row(&self, component: usize, i: usize) -> usize {
        let rank = self.shape.len();
        self.origin() + i * self.strides[rank - 2] + if rank == 3 { component * self.strides[0] } else { 0 }
    }

    /// Writes what lies beyond both ends of some rows of a field over two axes: the other end, or zeros.
    ///
    /// # Safety
    /// They were just made, and nobody else uses them.
    pub unsafe fn columns_around(&self, base: *mut u8, (first, end): (usize, usize)) {
        let last = self.shape.len() - 1;
        let [components, _, m] = self.as_rows();
        let (near, high) = (self.near, self.high[last]);
        if near + high == 0 {
            return;
        }
        let begin = base.wrapping_add(self.row(0, first) * self.size);
        let apart = if last == 2 { self.strides[0] * self.size } else { 0 };
        for i in 0..end - first {
            for c in 0..components {
                let row = begin.wrapping_add(i * self.pitch() + c * apart);
                // SAFETY: a row has so many ghosts.
                unsafe {
                    match (self.around[last], self.size) {
                        (true, 8) => ends_around(row.cast::<u64>(), m, (near, high)),
                        (true, _) => ends_around(row.cast::<u32>(), m, (near, high)),
                        (false, size) => {
                            row.sub(near * size).write_bytes(0, near * size);
                            row.add(m * size).write_bytes(0, high * size);
                        }
                    }
                }
            }
        }
    }

    /// Ghosts before and behind the rows of a field over two axes.
    pub fn beyond_rows(&self) -> (usize, usize) {
        let a = self.shape.len() - 2;
        (self.low[a], self.high[a])
    }

    /// Bytes of a row of all components that are read or written; of a field over two axes.
    pub fn touched(&self) -> usize {
        let [components, _, m] = self.as_rows();
        components * (m * self.size + 2 * LINE)
    }

    /// From the beginning of a row of all components to the next, in bytes; of a field over two axes.
    pub fn pitch(&self) -> usize {
        self.strides[self.shape.len() - 2] * self.size
    }

    /// From a dense array, ghosts included.
    pub fn fill(&self, context: &Context, from: View, to: *mut u8) {
        let source = pointer(&from) as usize;
        let to = to as usize;
        let last = self.shape.len() - 1;
        let n = self.shape[last];
        let (low, high) = (self.low[last], self.high[last]);
        let outer: Vec<usize> = (0..last).map(|a| self.low[a] + self.shape[a] + self.high[a]).collect();
        let rows: usize = outer.iter().product();
        const EACH: usize = 64;
        context.parallel(rows.div_ceil(EACH), &|task, _| {
            for row in task * EACH..((task + 1) * EACH).min(rows) {
                let (mut rest, mut dense, mut at, mut scale, mut inside) = (row, 0, 0, 1, true);
                for a in (0..last).rev() {
                    let i = rest % outer[a];
                    rest /= outer[a];
                    if !self.around[a] && !(self.low[a]..self.low[a] + self.shape[a]).contains(&i) {
                        inside = false;
                    }
                    let wrapped =
                        (i + self.shape[a] * self.low[a].div_ceil(self.shape[a]) - self.low[a]) % self.shape[a];
                    dense += wrapped * scale;
                    scale *= self.shape[a];
                    at += i * self.strides[a];
                }
                if !inside {
                    continue;
                }
                // SAFETY: both rows lie in their arrays; rows of different tasks are disjoint.
                unsafe {
                    let from = (source as *const u8).add(dense * n * self.size);
                    let to = (to as *mut u8).add((at + low) * self.size);
                    std::ptr::copy_nonoverlapping(from, to, n * self.size);
                    let ghost = |i: isize| {
                        let j = i.rem_euclid(n as isize) as usize;
                        let place = to.offset(i * self.size as isize);
                        std::ptr::copy_nonoverlapping(from.add(j * self.size), place, self.size);
                    };
                    if self.around[last] {
                        (1..=low as isize).for_each(|i| ghost(-i));
                        (n..n + high).for_each(|i| ghost(i as isize));
                    }
                }
            }
        });
    }

    /// To a dense array.
    pub fn read(&self, context: &Context, from: *mut u8, out: &mut ViewMut) {
        let to = pointer(&out.view()) as usize;
        let from = from as usize;
        let last = self.shape.len() - 1;
        let n = self.shape[last];
        let rows: usize = self.shape[..last].iter().product();
        const EACH: usize = 64;
        context.parallel(rows.div_ceil(EACH), &|task, _| {
            for row in task * EACH..((task + 1) * EACH).min(rows) {
                let (mut rest, mut at) = (row, self.origin());
                for a in (0..last).rev() {
                    at += rest % self.shape[a] * self.strides[a];
                    rest /= self.shape[a];
                }
                // SAFETY: both rows lie in their arrays; rows of different tasks are disjoint.
                unsafe {
                    let from = (from as *const u8).add(at * self.size);
                    std::ptr::copy_nonoverlapping(from, (to as *mut u8).add(row * n * self.size), n * self.size);
                }
            }
        });
    }

    /// Writes the ghosts that stand for elements of these rows.
    ///
    /// # Safety
    /// The buffer has this layout, and nobody else uses the rows of the box or their ghosts.
    pub unsafe fn refresh(&self, base: *mut u8, b: &Box, grid: &[usize]) {
        if grid.len() == 2 {
            // SAFETY: the caller's.
            return unsafe { self.refresh_rows(base, b.rows) };
        }
        let extra = self.shape.len() - grid.len();
        let components: usize = self.shape[..extra].iter().product();
        let apart = if extra > 0 { self.strides[0] } else { 0 };
        for c in 0..components {
            // SAFETY: every position below lies inside the array: ghosts are as many as the layout has.
            unsafe {
                let origin = base.add((self.origin() + c * apart) * self.size);
                match self.size {
                    8 => self.refresh_one::<u64>(origin.cast(), b, extra, grid),
                    _ => self.refresh_one::<u32>(origin.cast(), b, extra, grid),
                }
            }
        }
    }

    /// Of a field over two axes: the ghosts of these rows.
    unsafe fn refresh_rows(&self, base: *mut u8, (first, end): (usize, usize)) {
        let rank = self.shape.len();
        let (n, low, high) = (self.shape[rank - 2], self.low[rank - 2], self.high[rank - 2]);
        let row = |i: usize| base.wrapping_add(i * self.pitch());
        unsafe {
            if self.around[rank - 1] {
                self.columns_around(base, (first, end));
            }
            if self.around[rank - 2] {
                let same = |i: usize, image: usize| row(low + i).copy_to_nonoverlapping(row(image), self.pitch());
                (first..end.min(high)).for_each(|i| same(i, low + n + i));
                (first.max(n.saturating_sub(low))..end).for_each(|i| same(i, low + i - n));
            }
        }
    }

    /// Of a field over one axis or three: the ghosts of these elements, or rows of rows.
    unsafe fn refresh_one<T: Copy>(&self, origin: *mut T, b: &Box, extra: usize, grid: &[usize]) {
        let last = grid.len() - 1;
        let (low, high, strides) = (&self.low[extra..], &self.high[extra..], &self.strides[extra..]);
        let n = grid[last];
        let around = &self.around[extra..];
        let ends = if around[last] { (self.near.min(n), high[last].min(n)) } else { (0, 0) };
        unsafe {
            if last == 0 {
                let (first, end) = b.rows;
                (first..end.min(ends.1)).for_each(|i| *origin.add(n + i) = *origin.add(i));
                (first.max(n - ends.0)..end).for_each(|i| *origin.offset(i as isize - n as isize) = *origin.add(i));
                return;
            }
            for i in b.rows.0..b.rows.1 {
                for j in b.columns.0..b.columns.1 {
                    let row = origin.add(i * strides[0] + j * strides[1]);
                    ends_around(row, n, ends);
                    let images = |a: usize, i: usize| {
                        let (n, i) = (grid[a], i as isize);
                        if !around[a] {
                            return [Some(i), None, None];
                        }
                        let before = (i >= n as isize - low[a] as isize).then_some(i - n as isize);
                        let behind = (i < high[a] as isize).then_some(i + n as isize);
                        [Some(i), before, behind]
                    };
                    let (i, j, others) = (i as isize, j as isize, images(1, j));
                    for i2 in images(0, i as usize).into_iter().flatten() {
                        for j2 in others.into_iter().flatten() {
                            if (i2, j2) == (i, j) {
                                continue;
                            }
                            let to = i2 * strides[0] as isize + j2 * strides[1] as isize;
                            let whole = low[last] + n + high[last];
                            let (from, to) = (row.sub(low[last]), origin.offset(to).sub(low[last]));
                            std::ptr::copy_nonoverlapping(from, to, whole);
                        }
                    }
                }
            }
        }
    }
}

/// Writes what lies beyond both ends of the row of `n` elements that begins here.
#[inline]
unsafe fn ends_around<T: Copy>(row: *mut T, n: usize, (near, high): (usize, usize)) {
    unsafe {
        if (near, high) == (1, 1) {
            // The most frequent of all, and short.
            (*row.add(n), *row.sub(1)) = (*row, *row.add(n - 1));
            return;
        }
        for k in 0..high.min(n) {
            *row.add(n + k) = *row.add(k);
        }
        for k in 1..=near.min(n) as isize {
            *row.offset(-k) = *row.offset(n as isize - k);
        }
    }
}

/// The memory of one run.
#[derive(Default)]
pub struct Memory {
    /// Carried values: as many as are needed before and after a step.
    pub states: Vec<Aligned>,
    /// Of each slot that has memory of its own.
    pub others: Vec<Aligned>,
}

/// Bytes that begin a cache line, each array some lines further within its page than the one before.
pub struct Aligned {
    bytes: Vec<u8>,
    offset: usize,
}

// SAFETY: plain memory; who writes through the pointers says why nobody else does.
unsafe impl Send for Aligned {}

impl Aligned {
    pub fn zeros(len: usize, number: usize) -> Aligned {
        let apart = number % 16 * 17 * LINE;
        let bytes = vec![0; if len == 0 { 0 } else { len + apart + LINE }];
        in_large_pages(&bytes);
        let offset = if len == 0 { 0 } else { bytes.as_ptr().align_offset(LINE) + apart };
        Aligned { bytes, offset }
    }

    pub fn pointer(&mut self) -> *mut u8 {
        // SAFETY: the offset lies inside, or is 0.
        unsafe { self.bytes.as_mut_ptr().add(self.offset) }
    }
}

/// The first cache line from here on.
pub fn aligned(p: *mut u8) -> *mut u8 {
    p.wrapping_add(p.align_offset(LINE))
}

/// With so many more as an [`aligned`] beginning may leave out.
pub fn aligned_elements(n: usize, dtype: DType) -> usize {
    n + LINE / dtype.size()
}

/// Asks for large pages, of which many distant rows need fewer. Before the memory is touched; failing is no harm.
fn in_large_pages(bytes: &[u8]) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        const LARGE: usize = 2 << 20;
        let skipped = bytes.as_ptr().align_offset(PAGE);
        if bytes.len() >= 2 * LARGE + skipped {
            let len = (bytes.len() - skipped) / PAGE * PAGE;
            // SAFETY: whole pages of one allocation; the advice changes no contents.
            unsafe { libc::madvise(bytes.as_ptr().add(skipped).cast_mut().cast(), len, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = bytes;
}

fn pointer(v: &View) -> *mut u8 {
    crate::backend::native::kernel::pointer(v)
}
