//! Moving elements between row-major arrays, where no generated kernel does it.

use super::buffer::Element;

/// `dst[i…] = src[base + Σ iₐ stepsₐ]` over all indices of `shape`, the last axis fastest.
#[derive(Clone, Debug)]
pub struct Strided {
    pub shape: Vec<usize>,
    pub base: usize,
    pub steps: Vec<isize>,
}

pub fn strides(shape: &[usize]) -> Vec<isize> {
    let mut s = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        s[i - 1] = s[i] * shape[i] as isize;
    }
    s
}

impl Strided {
    pub fn transpose(from: &[usize], perm: &[usize]) -> Strided {
        let s = strides(from);
        let (shape, steps) = perm.iter().map(|&p| (from[p], s[p])).unzip();
        Strided { shape, base: 0, steps }
    }

    pub fn broadcast(from: &[usize], to: &[usize], axes: &[usize]) -> Strided {
        let s = strides(from);
        let mut steps = vec![0; to.len()];
        axes.iter().enumerate().for_each(|(i, &a)| steps[a] = s[i]);
        Strided { shape: to.to_vec(), base: 0, steps }
    }

    pub fn slice(from: &[usize], to: &[usize], start: &[usize], stride: &[usize]) -> Strided {
        let s = strides(from);
        let base = s.iter().zip(start).map(|(s, &k)| *s as usize * k).sum();
        Strided { shape: to.to_vec(), base, steps: s.iter().zip(stride).map(|(s, &k)| s * k as isize).collect() }
    }

    pub fn reverse(from: &[usize], axes: &[usize]) -> Strided {
        let mut steps = strides(from);
        let mut base = 0;
        for &a in axes {
            base += steps[a] * (from[a] as isize - 1);
            steps[a] = -steps[a];
        }
        Strided { shape: from.to_vec(), base: base.max(0) as usize, steps }
    }

    /// Where the elements of a padded array lie in the result.
    pub fn pad(from: &[usize], to: &[usize], low: &[usize], interior: &[usize]) -> Strided {
        let s = strides(to);
        let base = s.iter().zip(low).map(|(s, &k)| *s as usize * k).sum();
        let steps = s.iter().zip(interior).map(|(s, &k)| s * (k as isize + 1)).collect();
        Strided { shape: from.to_vec(), base, steps }
    }

    /// Calls `row(first, step, n)` for each row of the last axis.
    fn rows(&self, mut row: impl FnMut(isize, isize, usize)) {
        let rank = self.shape.len();
        if self.shape.contains(&0) {
            return;
        }
        if rank == 0 {
            return row(self.base as isize, 1, 1);
        }
        let (n, step) = (self.shape[rank - 1], self.steps[rank - 1]);
        let outer = rank - 1;
        let mut index = [0usize; 16];
        assert!(outer <= 16, "compiler bug: a tensor of rank {rank}");
        let mut at = self.base as isize;
        loop {
            row(at, step, n);
            let mut a = outer;
            loop {
                if a == 0 {
                    return;
                }
                a -= 1;
                index[a] += 1;
                at += self.steps[a];
                if index[a] < self.shape[a] {
                    break;
                }
                at -= self.steps[a] * self.shape[a] as isize;
                index[a] = 0;
            }
        }
    }

    pub fn gather<T: Element>(&self, src: &[T], dst: &mut [T]) {
        let mut k = 0;
        self.rows(|at, step, n| {
            let to = &mut dst[k..k + n];
            match step {
                1 => to.copy_from_slice(&src[at as usize..at as usize + n]),
                0 => to.fill(src[at as usize]),
                _ => to.iter_mut().enumerate().for_each(|(i, y)| *y = src[(at + i as isize * step) as usize]),
            }
            k += n;
        });
    }

    pub fn scatter<T: Element>(&self, src: &[T], dst: &mut [T]) {
        let mut k = 0;
        self.rows(|at, step, n| {
            let from = &src[k..k + n];
            match step {
                1 => dst[at as usize..at as usize + n].copy_from_slice(from),
                _ => from.iter().enumerate().for_each(|(i, x)| dst[(at + i as isize * step) as usize] = *x),
            }
            k += n;
        });
    }
}

pub fn iota<T: Element>(shape: &[usize], axis: usize, number: impl Fn(usize) -> T, dst: &mut [T]) {
    let inner: usize = shape[axis + 1..].iter().product();
    for (k, block) in dst.chunks_exact_mut(inner.max(1)).enumerate() {
        block.fill(number(k % shape[axis]));
    }
}

/// One part of a concatenation: `rows` blocks of `src`, each to its place in the blocks of `dst`.
pub fn concat<T: Element>(rows: usize, src: &[T], dst: &mut [T], at: usize) {
    let (from, to) = (src.len() / rows.max(1), dst.len() / rows.max(1));
    for r in 0..rows {
        dst[r * to + at..][..from].copy_from_slice(&src[r * from..(r + 1) * from]);
    }
}

/// `out[i] = in[(i - shift) mod n]`, blocks of `n·inner` elements.
pub fn roll<T: Element>(n: usize, inner: usize, shift: isize, src: &[T], dst: &mut [T]) {
    let block = n * inner;
    if block == 0 {
        return;
    }
    let k = shift.rem_euclid(n as isize) as usize * inner;
    for (x, y) in src.chunks_exact(block).zip(dst.chunks_exact_mut(block)) {
        y[k..].copy_from_slice(&x[..block - k]);
        y[..k].copy_from_slice(&x[block - k..]);
    }
}

/// Rows of `src` by index; the error is an index out of range.
pub fn gather<T: Element>(row: usize, index: &[u32], src: &[T], dst: &mut [T]) -> Result<(), u32> {
    if row == 1 {
        for (y, &i) in dst.iter_mut().zip(index) {
            *y = *src.get(i as usize).ok_or(i)?;
        }
        return Ok(());
    }
    for (y, &i) in dst.chunks_exact_mut(row.max(1)).zip(index) {
        let at = i as usize * row;
        y.copy_from_slice(src.get(at..at + row).ok_or(i)?);
    }
    Ok(())
}
