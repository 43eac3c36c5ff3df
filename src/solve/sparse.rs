//! Sparsity patterns (compressed rows) made from index arrays of element blocks, and products with them.

/// The places of an array of dense blocks: block e adds `values[e, a, b]` to row `rows[e, a]`, column `cols[e, b]`.
/// An index ≥ the number of unknowns is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    /// `[E, row_size]`
    pub rows: &'a [u32],
    /// `[E, col_size]`
    pub cols: &'a [u32],
    pub row_size: usize,
    pub col_size: usize,
}

/// Where a square matrix may be nonzero. The diagonal always belongs to it.
#[derive(Clone, PartialEq, Debug)]
pub struct Pattern {
    /// Row i holds entries `row_start[i]..row_start[i + 1]`.
    pub row_start: Vec<usize>,
    /// The column of each entry, increasing within a row.
    pub columns: Vec<u32>,
    /// The entry of row i that lies on the diagonal.
    pub diagonal: Vec<usize>,
    /// For each block value, in the order of the arrays, the entry it adds to, or [`DROPPED`].
    slots: Vec<u32>,
}

/// The slot of a block value that belongs to no row or no column.
pub const DROPPED: u32 = u32::MAX;

impl Pattern {
    /// Of `n` unknowns, from the index arrays of all blocks.
    pub fn new(n: usize, blocks: &[Blocks]) -> Pattern {
        let inside = |i: u32| (i as usize) < n;
        // Count, then bucket, the entries of each row, with a diagonal each.
        let mut start = vec![0usize; n + 1];
        for b in blocks {
            let kept: Vec<usize> =
                b.cols.chunks_exact(b.col_size.max(1)).map(|c| c.iter().filter(|&&j| inside(j)).count()).collect();
            for (e, rows) in b.rows.chunks_exact(b.row_size.max(1)).enumerate() {
                rows.iter().filter(|&&i| inside(i)).for_each(|&i| start[i as usize + 1] += kept[e]);
            }
        }
        for i in 0..n {
            start[i + 1] += start[i];
        }
        let mut next = start.clone();
        let mut bucket = vec![0u32; start[n]];
        for_each_value(blocks, |_, i, j| {
            if inside(i) && inside(j) {
                bucket[next[i as usize]] = j;
                next[i as usize] += 1;
            }
        });
        // Unique columns of each row, sorted.
        let mut row_start = Vec::with_capacity(n + 1);
        row_start.push(0);
        let mut columns: Vec<u32> = Vec::new();
        let mut diagonal = Vec::with_capacity(n);
        let mut seen = vec![u32::MAX; n];
        for i in 0..n {
            let first = columns.len();
            seen[i] = i as u32;
            columns.push(i as u32);
            for &j in &bucket[start[i]..start[i + 1]] {
                if seen[j as usize] != i as u32 {
                    seen[j as usize] = i as u32;
                    columns.push(j);
                }
            }
            let row = &mut columns[first..];
            row.sort_unstable();
            diagonal.push(first + row.partition_point(|&j| j < i as u32));
            row_start.push(columns.len());
        }
        assert!(columns.len() < DROPPED as usize, "compiler bug: a matrix of more than 2³² entries");
        let mut slots = Vec::with_capacity(blocks.iter().map(Blocks::len).sum());
        for_each_value(blocks, |_, i, j| {
            slots.push(if inside(i) && inside(j) {
                let (first, last) = (row_start[i as usize], row_start[i as usize + 1]);
                (first + columns[first..last].partition_point(|&c| c < j)) as u32
            } else {
                DROPPED
            })
        });
        Pattern { row_start, columns, diagonal, slots }
    }

    /// Every entry; values are then a row-major matrix.
    pub fn dense(n: usize) -> Pattern {
        let all: Vec<u32> = (0..n as u32).collect();
        Pattern::new(n, &[Blocks { rows: &all, cols: &all, row_size: n, col_size: n }])
    }

    /// Number of unknowns.
    pub fn n(&self) -> usize {
        self.diagonal.len()
    }

    /// Number of entries: the length of the arrays of values.
    pub fn entries(&self) -> usize {
        self.columns.len()
    }

    /// The pattern of some of its entries, the diagonal among them, and which they are.
    pub fn restricted(&self, keep: impl Fn(usize) -> bool) -> (Pattern, Vec<u32>) {
        let mut out = Pattern { row_start: vec![0], columns: vec![], diagonal: vec![], slots: vec![] };
        let mut from = vec![];
        for i in 0..self.n() {
            for e in (self.row_start[i]..self.row_start[i + 1]).filter(|&e| e == self.diagonal[i] || keep(e)) {
                if e == self.diagonal[i] {
                    out.diagonal.push(from.len());
                }
                out.columns.push(self.columns[e]);
                from.push(e as u32);
            }
            out.row_start.push(from.len());
        }
        (out, from)
    }

    /// The entry of each block value (see [`Blocks`]), or [`DROPPED`].
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }

    /// Sums block values, one array `[E, row_size, col_size]` for each of the blocks the pattern was made from, into `values`.
    pub fn assemble(&self, blocks: &[&[f64]], values: &mut [f64]) {
        assert_eq!(values.len(), self.entries());
        assert_eq!(self.slots.len(), blocks.iter().map(|b| b.len()).sum::<usize>());
        values.fill(0.0);
        let mut slots = self.slots.as_slice();
        for block in blocks {
            let (head, tail) = slots.split_at(block.len());
            slots = tail;
            for (&slot, &value) in head.iter().zip(*block) {
                // A dropped slot lies beyond the end.
                if let Some(v) = values.get_mut(slot as usize) {
                    *v += value;
                }
            }
        }
    }

    /// Whether the matrix of these values is its transpose, to rounding: |a_ij - a_ji| ≤ 1e-12 √(a_ii a_jj), with a positive diagonal.
    pub fn holds_symmetric(&self, values: &[f64]) -> bool {
        if self.diagonal.iter().any(|&d| values[d].is_nan() || values[d] <= 0.0) {
            return false;
        }
        // Rows in turn meet the entries of each column from the top down.
        let mut next = self.row_start.clone();
        for i in 0..self.n() {
            for k in self.row_start[i]..self.diagonal[i] {
                let j = self.columns[k] as usize;
                let upper = &mut next[j];
                *upper = (*upper).max(self.diagonal[j] + 1);
                let mirrored = *upper < self.row_start[j + 1] && self.columns[*upper] as usize == i;
                let other = if mirrored { values[*upper] } else { 0.0 };
                *upper += mirrored as usize;
                let scale = (values[self.diagonal[i]] * values[self.diagonal[j]]).sqrt();
                if (values[k] - other).abs() > 1e-12 * scale {
                    return false;
                }
            }
        }
        // Above the diagonal nothing is left without a partner.
        (0..self.n()).all(|j| next[j].max(self.diagonal[j] + 1) == self.row_start[j + 1])
    }

    /// y = A·x.
    pub fn multiply(&self, values: &[f64], x: &[f64], y: &mut [f64]) {
        for (i, out) in y.iter_mut().enumerate() {
            let row = self.row_start[i]..self.row_start[i + 1];
            let mut sum = 0.0;
            for (&j, &a) in self.columns[row.clone()].iter().zip(&values[row]) {
                sum += a * x[j as usize];
            }
            *out = sum;
        }
    }

    /// y = Aᵀ·x.
    pub fn multiply_transposed(&self, values: &[f64], x: &[f64], y: &mut [f64]) {
        y.fill(0.0);
        for (i, &xi) in x.iter().enumerate() {
            let row = self.row_start[i]..self.row_start[i + 1];
            for (&j, &a) in self.columns[row.clone()].iter().zip(&values[row]) {
                y[j as usize] += a * xi;
            }
        }
    }
}

impl Blocks<'_> {
    /// Number of block values.
    pub fn len(&self) -> usize {
        self.rows.len() / self.row_size.max(1) * self.row_size * self.col_size
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Calls `f(k, row, column)` for the k-th value of all blocks.
fn for_each_value(blocks: &[Blocks], mut f: impl FnMut(usize, u32, u32)) {
    let mut k = 0;
    for b in blocks.iter().filter(|b| b.row_size > 0 && b.col_size > 0) {
        for (rows, cols) in b.rows.chunks_exact(b.row_size).zip(b.cols.chunks_exact(b.col_size)) {
            for &i in rows {
                for &j in cols {
                    f(k, i, j);
                    k += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_add_up_and_boundary_indices_drop() {
        // Three linear elements on nodes 3 | 0 1 2, node 3 a boundary value.
        let ends = [3, 0, 0, 1, 1, 2];
        let p = Pattern::new(3, &[Blocks { rows: &ends, cols: &ends, row_size: 2, col_size: 2 }]);
        assert_eq!(p.row_start, [0, 2, 5, 7]);
        assert_eq!(p.columns, [0, 1, 0, 1, 2, 1, 2]);
        assert_eq!(p.diagonal, [0, 3, 6]);
        let element = [1.0, -1.0, -1.0, 1.0].repeat(3);
        let mut a = vec![9.0; p.entries()];
        p.assemble(&[&element], &mut a);
        assert_eq!(a, [2.0, -1.0, -1.0, 2.0, -1.0, -1.0, 1.0]);
        let mut y = [0.0; 3];
        p.multiply(&a, &[1.0, 2.0, 4.0], &mut y);
        assert_eq!(y, [0.0, -1.0, 2.0]);
    }

    #[test]
    fn symmetry_is_seen_in_the_values() {
        let ends = [0, 1, 1, 2, 0, 2];
        let p = Pattern::new(3, &[Blocks { rows: &ends, cols: &ends, row_size: 2, col_size: 2 }]);
        let mut a = vec![0.0; p.entries()];
        p.assemble(&[&[2.0, -1.0, -1.0, 2.0].repeat(3)], &mut a);
        assert!(p.holds_symmetric(&a));
        a[1] += 1e-9;
        assert!(!p.holds_symmetric(&a));
        let skewed = Pattern::new(2, &[Blocks { rows: &[0], cols: &[1], row_size: 1, col_size: 1 }]);
        assert!(!skewed.holds_symmetric(&[1.0, 0.5, 1.0]));
    }

    #[test]
    fn rectangular_blocks_transposed_products_and_dense() {
        let p = Pattern::new(2, &[Blocks { rows: &[0, 1], cols: &[1], row_size: 2, col_size: 1 }]);
        let mut a = vec![0.0; p.entries()];
        p.assemble(&[&[5.0, 7.0]], &mut a);
        let mut y = [0.0; 2];
        p.multiply_transposed(&a, &[1.0, 10.0], &mut y);
        assert_eq!(y, [0.0, 75.0]);
        assert_eq!(Pattern::dense(3).entries(), 9);
        assert_eq!(Pattern::new(0, &[]).entries(), 0);
    }
}
