//! Rectangular sparse matrices in compressed rows, as far as the setup of a hierarchy needs them.

/// Row i holds entries `start[i]..start[i + 1]`. Columns of a row are in no particular order.
#[derive(Clone, Debug, Default)]
pub struct Csr {
    pub columns_count: usize,
    pub start: Vec<usize>,
    pub columns: Vec<u32>,
    pub values: Vec<f64>,
}

impl Csr {
    pub fn empty(columns_count: usize) -> Csr {
        Csr { columns_count, start: vec![0], columns: vec![], values: vec![] }
    }

    pub fn rows(&self) -> usize {
        self.start.len() - 1
    }

    /// Entries of a row: `(column, value)`.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.start[i]..self.start[i + 1];
        self.columns[range.clone()].iter().zip(&self.values[range]).map(|(&j, &a)| (j as usize, a))
    }

    /// Ends the row that entries were pushed to.
    pub fn end_row(&mut self) {
        self.start.push(self.columns.len());
    }

    pub fn push(&mut self, column: usize, value: f64) {
        self.columns.push(column as u32);
        self.values.push(value);
    }

    /// Its columns are in increasing order.
    pub fn transposed(&self) -> Csr {
        let mut start = vec![0; self.columns_count + 1];
        self.columns.iter().for_each(|&j| start[j as usize + 1] += 1);
        (0..self.columns_count).for_each(|j| start[j + 1] += start[j]);
        let mut next = start.clone();
        let (mut columns, mut values) = (vec![0; self.columns.len()], vec![0.0; self.columns.len()]);
        for i in 0..self.rows() {
            for (j, a) in self.row(i) {
                (columns[next[j]], values[next[j]]) = (i as u32, a);
                next[j] += 1;
            }
        }
        Csr { columns_count: self.rows(), start, columns, values }
    }

    /// self · other [Gustavson 1978].
    pub fn times(&self, other: &Csr) -> Csr {
        let mut out = Csr::empty(other.columns_count);
        // Where the row under construction holds a column; entries of earlier rows lie before its start.
        let mut place = vec![0usize; other.columns_count];
        for i in 0..self.rows() {
            let first = out.columns.len();
            for (j, a) in self.row(i) {
                for (k, b) in other.row(j) {
                    let at = place[k];
                    if at >= first && out.columns.get(at) == Some(&(k as u32)) {
                        out.values[at] += a * b;
                    } else {
                        place[k] = out.columns.len();
                        out.push(k, a * b);
                    }
                }
            }
            out.end_row();
        }
        out
    }

    /// y = A·x.
    pub fn multiply(&self, x: &[f64], y: &mut [f64]) {
        for (i, y) in y.iter_mut().enumerate() {
            *y = self.row(i).map(|(j, a)| a * x[j]).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_transposes() {
        // [1 2; 0 3; 4 0]
        let mut a = Csr::empty(2);
        for row in [&[(0, 1.0), (1, 2.0)][..], &[(1, 3.0)], &[(0, 4.0)]] {
            row.iter().for_each(|&(j, v)| a.push(j, v));
            a.end_row();
        }
        let product = a.transposed().times(&a);
        let mut dense = [0.0; 4];
        (0..2).for_each(|i| product.row(i).for_each(|(j, v)| dense[2 * i + j] += v));
        assert_eq!(dense, [17.0, 2.0, 2.0, 13.0]);
        let mut y = [0.0; 3];
        a.multiply(&[1.0, 10.0], &mut y);
        assert_eq!(y, [21.0, 30.0, 4.0]);
    }
}
