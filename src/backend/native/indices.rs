//! Scattering: sums of updates by index, in index order whatever the number of threads.

use super::Context;
use super::buffer::Element;
use super::reduce::Float;

/// For each result the updates that go to it, in order: with it, results can be summed independently.
pub struct Inverse {
    start: Vec<u32>,
    updates: Vec<u32>,
}

impl Inverse {
    pub fn new(index: &[u32], size: usize) -> Inverse {
        let inside = |i: u32| (i as usize) < size;
        let mut start = vec![0u32; size + 1];
        index.iter().filter(|&&i| inside(i)).for_each(|&i| start[i as usize + 1] += 1);
        (0..size).for_each(|i| start[i + 1] += start[i]);
        let mut next = start.clone();
        let mut updates = vec![0u32; start[size] as usize];
        for (k, &i) in index.iter().enumerate().filter(|(_, i)| inside(**i)) {
            updates[next[i as usize] as usize] = k as u32;
            next[i as usize] += 1;
        }
        Inverse { start, updates }
    }

    pub fn scatter<T: Float>(&self, context: &Context, row: usize, updates: &[T], out: &mut [T]) {
        let size = self.start.len() - 1;
        parallel_rows(context, size, row, out, &|first, out: &mut [T]| {
            if row == 1 {
                for (i, y) in out.iter_mut().enumerate() {
                    let range = self.start[first + i] as usize..self.start[first + i + 1] as usize;
                    *y = self.updates[range].iter().fold(T::default(), |s, &k| s + updates[k as usize]);
                }
                return;
            }
            for (i, y) in out.chunks_exact_mut(row.max(1)).enumerate() {
                y.fill(T::default());
                for &k in &self.updates[self.start[first + i] as usize..self.start[first + i + 1] as usize] {
                    y.iter_mut().zip(&updates[k as usize * row..]).for_each(|(y, x)| *y = *y + *x);
                }
            }
        });
    }
}

/// Calls `f(first row, rows)` on disjoint runs of rows of `out`.
pub fn parallel_rows<T: Element>(
    context: &Context,
    rows: usize,
    row: usize,
    out: &mut [T],
    f: &(dyn Fn(usize, &mut [T]) + Sync),
) {
    const LEAST: usize = 16384;
    let tasks = if out.len() < LEAST { 1 } else { context.threads().min(rows) };
    if tasks < 2 {
        return f(0, out);
    }
    let each = rows.div_ceil(tasks);
    let parts: Vec<std::sync::Mutex<Option<&mut [T]>>> =
        out.chunks_mut(each * row).map(|c| std::sync::Mutex::new(Some(c))).collect();
    context.parallel(parts.len(), &|t, _| {
        let part = parts[t].lock().unwrap_or_else(|e| e.into_inner()).take();
        f(t * each, part.expect("compiler bug: a part taken twice"));
    });
}

/// The same with an index that is known only now.
pub fn scatter_add<T: Float>(row: usize, index: &[u32], updates: &[T], out: &mut [T]) {
    out.fill(T::default());
    for (k, &i) in index.iter().enumerate() {
        let at = i as usize * row;
        if let Some(y) = out.get_mut(at..at + row) {
            y.iter_mut().zip(&updates[k * row..]).for_each(|(y, x)| *y = *y + *x);
        }
    }
}
