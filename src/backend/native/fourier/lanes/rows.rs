//! Transforms along the last axis, two blocks of rows at once: one as real parts, the other as imaginary ones.

use super::super::Numbers;
use super::super::butterflies::Packed;
use super::super::vector::{Vector, transpose};
use super::{Grid, Spectrum, lanes};

/// Rows of numbers of which row `begin` lies first.
pub struct Rows<V: Vector> {
    pub of: Numbers<V::Number>,
    pub begin: usize,
}

/// As many rows of one array as a vector has lanes, from `row` on: element 0 of row 0 would lie at `at`, rows are `apart` elements
/// apart and end behind `end`.
#[derive(Clone, Copy)]
struct Block<V: Vector> {
    at: *mut V::Number,
    apart: usize,
    row: usize,
    end: usize,
}

// Lanes that there are not are computed as well, in loops of a fixed length, so that all lies in registers: they are within the
// memory for work, and masks keep them out of results.
impl<V: Vector> Grid<V> {
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) unsafe fn rows_forward(&self, task: usize, from: Rows<V>, to: Spectrum<V>, a: Packed<V>, b: Packed<V>) {
        let plan = &self.plans[self.plans.len() - 1];
        let (n, modes, first) = (plan.n, self.modes, task * 2 * V::LANES);
        // SAFETY: the caller's; rows and elements that there are not have masks without lanes.
        unsafe {
            for part in 0..2 {
                let row = first + part * V::LANES;
                let block = |x: *const V::Number| Block::<V> {
                    at: x.cast_mut().wrapping_sub(from.begin * n),
                    apart: n,
                    row,
                    end: n,
                };
                for j in (0..n).step_by(V::LANES) {
                    let mut v = self.load(block(from.of.x), j);
                    if let Some(times) = from.of.times {
                        let w = self.load(block(times), j);
                        for (v, w) in v.iter_mut().zip(&w).take(V::LANES) {
                            *v = v.times(*w);
                        }
                    }
                    transpose(&mut v);
                    for (i, v) in v.iter().enumerate().take(V::LANES) {
                        if j + i < n {
                            (*a.0.add(j + i))[part] = *v;
                        }
                    }
                }
            }
            // The work in `a` is used up by the second pass.
            plan.run(a, b, b, a);
            let half = V::splat(V::number(0.5));
            let zero = V::splat(V::number(0.0));
            for k in (0..modes).step_by(V::LANES) {
                let (mut re, mut im, mut other_re, mut other_im) = ([zero; 16], [zero; 16], [zero; 16], [zero; 16]);
                // A lane is an index of all four. Vectors that begin at modes that there are end before n.
                #[allow(clippy::needless_range_loop)]
                for i in 0..V::LANES {
                    let [x, y] = *b.0.add(k + i);
                    let [u, v] = *b.0.add(if k + i == 0 { 0 } else { n - k - i });
                    re[i] = x.plus(u).times(half);
                    im[i] = y.minus(v).times(half);
                    other_re[i] = y.plus(v).times(half);
                    other_im[i] = u.minus(x).times(half);
                }
                let block = |at, row| Block::<V> { at, apart: to.row, row, end: modes };
                let second = first + V::LANES;
                self.store(block(to.re, first), k, re);
                self.store(block(to.im, first), k, im);
                self.store(block(to.re, second), k, other_re);
                self.store(block(to.im, second), k, other_im);
            }
        }
    }

    /// The numbers of row `begin` are to lie first at `y`.
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) unsafe fn rows_backward(
        &self,
        task: usize,
        from: Spectrum<V>,
        (y, begin): (*mut V::Number, usize),
        a: Packed<V>,
        b: Packed<V>,
    ) {
        let plan = &self.plans[self.plans.len() - 1];
        let (n, modes, first) = (plan.n, self.modes, task * 2 * V::LANES);
        // SAFETY: as above.
        unsafe {
            let zero = V::splat(V::number(0.0));
            for k in (0..modes).step_by(V::LANES) {
                let block = |at, row| Block::<V> { at, apart: from.row, row, end: modes };
                let second = first + V::LANES;
                let (mut re, mut im) = (self.load(block(from.re, first), k), self.load(block(from.im, first), k));
                let mut other_re = self.load(block(from.re, second), k);
                let mut other_im = self.load(block(from.im, second), k);
                transpose(&mut re);
                transpose(&mut im);
                transpose(&mut other_re);
                transpose(&mut other_im);
                // As above.
                #[allow(clippy::needless_range_loop)]
                for i in 0..V::LANES {
                    if k + i >= modes {
                        break;
                    }
                    let (k, back) = (k + i, (n - k - i) % n);
                    // Real numbers have real ends.
                    let ends = k == back;
                    let (im, other_im) = if ends { (zero, zero) } else { (im[i], other_im[i]) };
                    // Parts are exchanged.
                    *a.0.add(k) = [im.plus(other_re[i]), re[i].minus(other_im)];
                    if !ends {
                        *a.0.add(back) = [other_re[i].minus(im), re[i].plus(other_im)];
                    }
                }
            }
            plan.run(a, b, b, a);
            for part in 0..2 {
                let row = first + part * V::LANES;
                let block = Block { at: y.wrapping_sub(begin * n), apart: n, row, end: n };
                for j in (0..n).step_by(V::LANES) {
                    let mut v = [zero; 16];
                    for (i, v) in v.iter_mut().enumerate().take(V::LANES) {
                        if j + i < n {
                            *v = (*b.0.add(j + i))[1 - part];
                        }
                    }
                    self.store(block, j, v);
                }
            }
        }
    }

    /// Elements from `j` on, those of row i in vector i.
    #[inline(always)]
    unsafe fn load(&self, from: Block<V>, j: usize) -> [V; 16] {
        // SAFETY: the caller's.
        unsafe {
            let mask = lanes(from.end - j);
            let mut v = [V::splat(V::number(0.0)); 16];
            for (i, v) in v.iter_mut().enumerate().take(V::LANES) {
                if from.row + i < self.rows {
                    *v = V::load(from.at.wrapping_add((from.row + i) * from.apart + j), mask);
                }
            }
            v
        }
    }

    /// Those of row i from lane i of all vectors.
    #[inline(always)]
    unsafe fn store(&self, to: Block<V>, j: usize, mut v: [V; 16]) {
        // SAFETY: the caller's.
        unsafe {
            let mask = lanes(to.end - j);
            transpose(&mut v);
            for (i, v) in v.iter().enumerate().take(V::LANES) {
                if to.row + i < self.rows {
                    v.store(to.at.wrapping_add((to.row + i) * to.apart + j), mask);
                }
            }
        }
    }
}
