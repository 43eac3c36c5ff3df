//! Contractions as matrix products with strides; only axes that do not merge are copied first.

use super::Context;
use super::arithmetic::Float;
use super::buffer::Element;
use super::movement::{Strided, strides};
use crate::ir::Dot;

/// A batch of matrix products `[m, k]·[k, n]`.
pub struct Contraction {
    batch: usize,
    m: usize,
    k: usize,
    n: usize,
    lhs: Operand,
    rhs: Operand,
}

/// How a matrix lies in its array. Axes that do not merge into one stride are brought together by a copy.
struct Operand {
    copy: Option<Strided>,
    batch_step: isize,
    row_step: isize,
    column_step: isize,
}

/// Rows of a product taken at a time: fixed, so that the bits do not depend on threads.
const ROWS: usize = 128;

impl Contraction {
    pub fn new(d: &Dot, l: &[usize], r: &[usize]) -> Contraction {
        let free = |s: &[usize], a: &[usize], b: &[usize]| -> Vec<usize> {
            (0..s.len()).filter(|i| !a.contains(i) && !b.contains(i)).collect()
        };
        let size = |s: &[usize], axes: &[usize]| axes.iter().map(|&a| s[a]).product::<usize>();
        let (lf, rf) = (free(l, &d.lhs_contract, &d.lhs_batch), free(r, &d.rhs_contract, &d.rhs_batch));
        Contraction {
            batch: size(l, &d.lhs_batch),
            m: size(l, &lf),
            k: size(l, &d.lhs_contract),
            n: size(r, &rf),
            lhs: Operand::new(l, [&d.lhs_batch, &lf, &d.lhs_contract]),
            rhs: Operand::new(r, [&d.rhs_batch, &d.rhs_contract, &rf]),
        }
    }

    pub fn run<T: Multiply>(&self, context: &Context, lhs: &[T], rhs: &[T], out: &mut [T]) {
        let (lhs, rhs) = (self.lhs.arranged(lhs), self.rhs.arranged(rhs));
        if self.k == 0 {
            return out.fill(T::default());
        }
        let (m, n) = (self.m, self.n);
        if m * n == 0 {
            return;
        }
        let blocks = m.div_ceil(ROWS);
        let product = |b: usize, first: usize, out: &mut [T]| {
            let l = Matrix {
                data: &lhs,
                start: b as isize * self.lhs.batch_step + first as isize * self.lhs.row_step,
                row: self.lhs.row_step,
                column: self.lhs.column_step,
            };
            let r = Matrix {
                data: &rhs,
                start: b as isize * self.rhs.batch_step,
                row: self.rhs.row_step,
                column: self.rhs.column_step,
            };
            T::multiply(out.len() / n, self.k, n, l, r, out);
        };
        let work = self.batch * m * n * self.k;
        if work < 1_000_000 || self.batch * blocks < 2 {
            for (b, out) in out.chunks_exact_mut(m * n).enumerate() {
                out.chunks_mut(ROWS * n).enumerate().for_each(|(i, out)| product(b, i * ROWS, out));
            }
            return;
        }
        let parts: Vec<std::sync::Mutex<&mut [T]>> =
            out.chunks_exact_mut(m * n).flat_map(|o| o.chunks_mut(ROWS * n)).map(std::sync::Mutex::new).collect();
        context.parallel(parts.len(), &|t, _| {
            let mut part = parts[t].lock().unwrap_or_else(|e| e.into_inner());
            product(t / blocks, t % blocks * ROWS, &mut part);
        });
    }
}

impl Operand {
    /// `groups`: the axes of batch, rows and columns.
    fn new(shape: &[usize], groups: [&[usize]; 3]) -> Operand {
        let s = strides(shape);
        let merged = groups.map(|axes| merge(shape, &s, axes));
        if let [Some(batch_step), Some(row_step), Some(column_step)] = merged {
            return Operand { copy: None, batch_step, row_step, column_step };
        }
        let perm = groups.concat();
        let size = |axes: &[usize]| axes.iter().map(|&a| shape[a]).product::<usize>() as isize;
        let (rows, columns) = (size(groups[1]), size(groups[2]));
        let copy = Some(Strided::transpose(shape, &perm));
        Operand { copy, batch_step: rows * columns, row_step: columns, column_step: 1 }
    }

    fn arranged<'a, T: Element>(&self, x: &'a [T]) -> std::borrow::Cow<'a, [T]> {
        match &self.copy {
            None => x.into(),
            Some(copy) => {
                let mut y = vec![T::default(); x.len()];
                copy.gather(x, &mut y);
                y.into()
            }
        }
    }
}

/// The one stride with which some axes are walked in order, if there is one.
fn merge(shape: &[usize], strides: &[isize], axes: &[usize]) -> Option<isize> {
    let mut real = axes.iter().rev().filter(|&&a| shape[a] != 1);
    let Some(&last) = real.next() else { return Some(1) };
    let (step, mut next) = (strides[last], strides[last] * shape[last] as isize);
    for &a in real {
        if strides[a] != next {
            return None;
        }
        next *= shape[a] as isize;
    }
    Some(step)
}

/// A matrix in an array: element (i, j) is `data[start + i·row + j·column]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    start: isize,
    row: isize,
    column: isize,
}

/// Matrix products.
pub trait Multiply: Float {
    /// `out[m, n] = l[m, k]·r[k, n]`, out row-major. One thread.
    fn multiply(m: usize, k: usize, n: usize, l: Matrix<Self>, r: Matrix<Self>, out: &mut [Self]);
}

macro_rules! multiply {
    ($t:ty) => {
        impl Multiply for $t {
            fn multiply(m: usize, k: usize, n: usize, l: Matrix<$t>, r: Matrix<$t>, out: &mut [$t]) {
                let inside = |a: &Matrix<$t>, rows: usize, columns: usize| {
                    let ends = [0, (rows as isize - 1) * a.row];
                    let low = ends[0].min(ends[1]) + 0isize.min((columns as isize - 1) * a.column) + a.start;
                    let high = ends[0].max(ends[1]) + 0isize.max((columns as isize - 1) * a.column) + a.start;
                    low >= 0 && (high as usize) < a.data.len()
                };
                assert!(inside(&l, m, k) && inside(&r, k, n) && out.len() == m * n, "compiler bug: matrix product");
                if m * n * k <= 64 {
                    // In index order, without the overhead of packing.
                    for i in 0..m {
                        for j in 0..n {
                            let at = |c: usize| {
                                let a = l.data[(l.start + i as isize * l.row + c as isize * l.column) as usize];
                                let b = r.data[(r.start + c as isize * r.row + j as isize * r.column) as usize];
                                a * b
                            };
                            out[i * n + j] = (0..k).fold(0.0, |s, c| s + at(c));
                        }
                    }
                    return;
                }
                // SAFETY: the corners of both matrices lie inside their slices, hence all elements do; `out` has m·n.
                unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        out.as_mut_ptr(),
                        1,
                        n as isize,
                        false,
                        l.data.as_ptr().offset(l.start),
                        l.column,
                        l.row,
                        r.data.as_ptr().offset(r.start),
                        r.column,
                        r.row,
                        0.0,
                        1.0,
                        false,
                        false,
                        false,
                        gemm::Parallelism::None,
                    )
                }
            }
        }
    };
}
multiply!(f64);
multiply!(f32);
