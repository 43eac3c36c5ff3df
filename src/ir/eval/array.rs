//! Data movement, reductions and contractions on row-major arrays.

use super::super::{Dot, Reduce};
use std::borrow::Cow;

pub fn iota(shape: &[usize], axis: usize) -> Vec<f64> {
    let mut steps = vec![0; shape.len()];
    steps[axis] = 1;
    collect(shape, 0, &steps, |i| i as f64)
}

pub fn transpose(x: &[f64], shape: &[usize], perm: &[usize]) -> Vec<f64> {
    let s = strides(shape);
    let to: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
    let steps: Vec<isize> = perm.iter().map(|&p| s[p]).collect();
    collect(&to, 0, &steps, |i| x[i])
}

pub fn broadcast(x: &[f64], shape: &[usize], to: &[usize], axes: &[usize]) -> Vec<f64> {
    let s = strides(shape);
    let mut steps = vec![0; to.len()];
    axes.iter().enumerate().for_each(|(i, &a)| steps[a] = s[i]);
    collect(to, 0, &steps, |i| x[i])
}

pub fn slice(x: &[f64], shape: &[usize], to: &[usize], start: &[usize], stride: &[usize]) -> Vec<f64> {
    let s = strides(shape);
    let base: isize = s.iter().zip(start).map(|(s, &k)| s * k as isize).sum();
    let steps: Vec<isize> = s.iter().zip(stride).map(|(s, &k)| s * k as isize).collect();
    collect(to, base, &steps, |i| x[i])
}

pub fn pad(x: &[f64], shape: &[usize], to: &[usize], low: &[usize], interior: &[usize]) -> Vec<f64> {
    let s = strides(to);
    let base: isize = s.iter().zip(low).map(|(s, &k)| s * k as isize).sum();
    let steps: Vec<isize> = s.iter().zip(interior).map(|(s, &k)| s * (k as isize + 1)).collect();
    let mut y = vec![0.0; to.iter().product()];
    let mut from = x.iter();
    walk(shape, base, &steps, |i| y[i] = *from.next().expect("as many elements as the shape says"));
    y
}

pub fn concat(parts: &[(Cow<[f64]>, &[usize])], axis: usize) -> Vec<f64> {
    let rows: usize = parts[0].1[..axis].iter().product();
    let mut y = vec![];
    for r in 0..rows {
        for (x, shape) in parts {
            let len: usize = shape[axis..].iter().product();
            y.extend_from_slice(&x[r * len..(r + 1) * len]);
        }
    }
    y
}

pub fn reverse(x: &[f64], shape: &[usize], axes: &[usize]) -> Vec<f64> {
    let mut steps = strides(shape);
    let mut base = 0;
    for &a in axes {
        base += steps[a] * (shape[a] as isize - 1);
        steps[a] = -steps[a];
    }
    collect(shape, base, &steps, |i| x[i])
}

pub fn roll(x: &[f64], shape: &[usize], axis: usize, shift: isize) -> Vec<f64> {
    let (n, inner) = (shape[axis] as isize, strides(shape)[axis]);
    let block = n * inner;
    let from = |i: isize| {
        let k = (i % block) / inner;
        i + ((k - shift).rem_euclid(n) - k) * inner
    };
    (0..x.len() as isize).map(|i| x[from(i) as usize]).collect()
}

/// In index order. The maximum of nothing is -∞.
pub fn reduce(kind: Reduce, x: &[f64], shape: &[usize], to: &[usize], axes: &[usize]) -> Vec<f64> {
    let s = strides(to);
    let mut kept = s.iter();
    let steps: Vec<isize> =
        (0..shape.len()).map(|i| if axes.contains(&i) { 0 } else { *kept.next().expect("kept axes") }).collect();
    let start = match kind {
        Reduce::Sum => 0.0,
        Reduce::Max => f64::NEG_INFINITY,
        Reduce::Min => f64::INFINITY,
    };
    let mut y = vec![start; to.iter().product()];
    let mut from = x.iter();
    walk(shape, 0, &steps, |i| {
        let x = *from.next().expect("as many elements as the shape says");
        match kind {
            Reduce::Sum => y[i] += x,
            Reduce::Max => y[i] = super::binary(super::Binary::Max, y[i], x, false),
            Reduce::Min => y[i] = super::binary(super::Binary::Min, y[i], x, false),
        }
    });
    y
}

/// As a batch of matrix products.
pub fn dot(d: &Dot, l: &[f64], ls: &[usize], r: &[f64], rs: &[usize]) -> Vec<f64> {
    let free = |shape: &[usize], a: &[usize], b: &[usize]| -> Vec<usize> {
        (0..shape.len()).filter(|i| !a.contains(i) && !b.contains(i)).collect()
    };
    let (lf, rf) = (free(ls, &d.lhs_contract, &d.lhs_batch), free(rs, &d.rhs_contract, &d.rhs_batch));
    let size = |shape: &[usize], axes: &[usize]| axes.iter().map(|&a| shape[a]).product::<usize>();
    let (batch, m, k, n) = (size(ls, &d.lhs_batch), size(ls, &lf), size(ls, &d.lhs_contract), size(rs, &rf));
    let l = transpose(l, ls, &[&d.lhs_batch[..], &lf, &d.lhs_contract].concat());
    let r = transpose(r, rs, &[&d.rhs_batch[..], &d.rhs_contract, &rf].concat());
    let mut y = vec![0.0; batch * m * n];
    for b in 0..batch {
        for i in 0..m {
            let row = &mut y[(b * m + i) * n..][..n];
            for c in 0..k {
                let a = l[(b * m + i) * k + c];
                let column = &r[(b * k + c) * n..][..n];
                row.iter_mut().zip(column).for_each(|(y, x)| *y += a * x);
            }
        }
    }
    y
}

pub fn gather(x: &[f64], shape: &[usize], index: &[usize]) -> Result<Vec<f64>, String> {
    let (n, row) = (shape[0], shape[1..].iter().product::<usize>());
    let mut y = Vec::with_capacity(index.len() * row);
    for &i in index {
        if i >= n {
            return Err(format!("index {i} is out of range for an axis of {n}"));
        }
        y.extend_from_slice(&x[i * row..(i + 1) * row]);
    }
    Ok(y)
}

pub fn scatter_add(size: usize, index: &[usize], x: &[f64], len: usize) -> Vec<f64> {
    let row = len.checked_div(size).unwrap_or(0);
    let mut y = vec![0.0; len];
    for (k, &i) in index.iter().enumerate().filter(|(_, i)| **i < size) {
        y[i * row..(i + 1) * row].iter_mut().zip(&x[k * row..]).for_each(|(y, x)| *y += x);
    }
    y
}

fn strides(shape: &[usize]) -> Vec<isize> {
    let mut s = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        s[i - 1] = s[i] * shape[i] as isize;
    }
    s
}

fn collect(shape: &[usize], base: isize, steps: &[isize], mut f: impl FnMut(usize) -> f64) -> Vec<f64> {
    let mut y = Vec::with_capacity(shape.iter().product());
    walk(shape, base, steps, |i| y.push(f(i)));
    y
}

/// Visits `base + Σ indexₐ stepₐ` for every index of `shape`, the last axis fastest.
fn walk(shape: &[usize], base: isize, steps: &[isize], mut visit: impl FnMut(usize)) {
    let mut index = vec![0; shape.len()];
    let mut at = base;
    for _ in 0..shape.iter().product() {
        visit(at as usize);
        for a in (0..shape.len()).rev() {
            index[a] += 1;
            at += steps[a];
            if index[a] < shape[a] {
                break;
            }
            at -= steps[a] * shape[a] as isize;
            index[a] = 0;
        }
    }
}
