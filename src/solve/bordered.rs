//! Sparse LU of matrices with a few rows or columns that hold many unknowns: the mean of a pressure and the source that balances it.
//! One entry of each such row and column is left, so that what is factored stays sparse; the rest is a correction of low rank.
//! [Sherman & Morrison 1950; Woodbury 1950]

use super::dense::Lu;
use super::direct::{Factor, Symbolic};
use super::{Failure, Pattern};
use std::sync::{Arc, Mutex};

/// Most rows and columns that are taken out.
const MOST: usize = 8;

/// The long rows and columns of a pattern.
pub struct Lines {
    terms: Vec<Term>,
    /// Plans by the entries that stay, as they were asked for.
    plans: Mutex<Vec<Arc<Plan>>>,
}

/// Entries of A beside the diagonal: of one row, or of one column less those of long rows.
#[derive(Clone)]
struct Term {
    line: usize,
    row: bool,
    /// The other index, and the entry.
    entries: Vec<(u32, u32)>,
    /// Which of them are in another long line.
    crossed: Vec<bool>,
}

/// What follows from the pattern: `A = S + Σ U_k V_kᵀ`, one of U_k and V_k a unit vector.
pub struct Plan {
    sparse: Arc<Symbolic>,
    /// For each entry of S, that of A.
    from: Vec<u32>,
    /// Without what stays.
    terms: Vec<Term>,
    stays: Vec<Option<usize>>,
}

/// The factors of one matrix.
pub struct Bordered {
    plan: Arc<Plan>,
    sparse: Factor,
    /// Of the entries of each term.
    values: Vec<Vec<f64>>,
    /// S⁻¹ U, a column for each term.
    inverse: Vec<f64>,
    /// `1 + Vᵀ S⁻¹ U`
    small: Lu,
}

impl Lines {
    /// None where no row or column is long, or too many are.
    pub fn new(pattern: &Pattern) -> Option<Lines> {
        let n = pattern.n();
        let many = (5.0 * (n as f64).sqrt()) as usize;
        let mut lengths = [vec![0usize; n], vec![0usize; n]];
        for i in 0..n {
            let row = pattern.row_start[i]..pattern.row_start[i + 1];
            lengths[0][i] = row.len();
            row.for_each(|e| lengths[1][pattern.columns[e] as usize] += 1);
        }
        let [long_row, long_column] = lengths.map(|l| l.iter().map(|l| *l > many).collect::<Vec<bool>>());
        let lines = |long: &[bool], row: bool| {
            let each = (0..n).filter(|&i| long[i]);
            each.map(|line| Term { line, row, entries: vec![], crossed: vec![] }).collect::<Vec<_>>()
        };
        let mut terms = lines(&long_row, true);
        terms.extend(lines(&long_column, false));
        if terms.is_empty() || terms.len() > MOST {
            return None;
        }
        for (i, &long) in long_row.iter().enumerate() {
            for e in pattern.row_start[i]..pattern.row_start[i + 1] {
                let j = pattern.columns[e] as usize;
                if i == j || !(long || long_column[j]) {
                    continue;
                }
                let (line, other) = if long { (i, j) } else { (j, i) };
                let term = terms.iter_mut().find(|t| t.line == line && t.row == long);
                let term = term.expect("compiler bug: a line without a term");
                term.entries.push((other as u32, e as u32));
                term.crossed.push(long && long_column[j]);
            }
        }
        Some(Lines { terms, plans: Mutex::default() })
    }

    /// The plan of a matrix, by what stays of each line: its largest entry. A matter of the matrix alone, so that no result depends on
    /// those that were solved before.
    pub fn plan(&self, pattern: &Pattern, values: &[f64]) -> Arc<Plan> {
        let largest = |t: &Term| {
            let size = |k: &usize| values[t.entries[*k].1 as usize].abs();
            (0..t.entries.len()).filter(|&k| !t.crossed[k]).max_by(|a, b| size(a).total_cmp(&size(b)))
        };
        let stays: Vec<Option<usize>> = self.terms.iter().map(largest).collect();
        let mut plans = self.plans.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(plan) = plans.iter().find(|p| p.stays == stays) {
            return plan.clone();
        }
        let plan = Arc::new(Plan::new(pattern, self.terms.clone(), stays));
        plans.push(plan.clone());
        plan
    }
}

impl Plan {
    fn new(pattern: &Pattern, mut terms: Vec<Term>, stays: Vec<Option<usize>>) -> Plan {
        let mut out = vec![false; pattern.entries()];
        for (t, stays) in terms.iter_mut().zip(&stays) {
            stays.map(|k| t.entries.remove(k));
            t.entries.iter().for_each(|(_, e)| out[*e as usize] = true);
        }
        let (sparse, from) = pattern.restricted(|e| !out[e]);
        Plan { sparse: Arc::new(Symbolic::new(&sparse, false, None)), from, terms, stays }
    }
}

impl Bordered {
    /// Factors the matrix of these values. Error: what is left of it is singular, though the matrix may not be.
    pub fn new(plan: Arc<Plan>, values: &[f64]) -> Result<Bordered, Failure> {
        let mut sparse = Factor::new(plan.sparse.clone());
        let n = plan.sparse.n();
        let left: Vec<f64> = plan.from.iter().map(|&e| values[e as usize]).collect();
        sparse.factor(&left)?;
        let of_term = |t: &Term| t.entries.iter().map(|(_, e)| values[*e as usize]).collect();
        let values: Vec<Vec<f64>> = plan.terms.iter().map(of_term).collect();
        let m = plan.terms.len();
        let mut out = Bordered { plan, sparse, values, inverse: vec![0.0; n * m], small: Lu::default() };
        let mut inverse = std::mem::take(&mut out.inverse);
        for (k, column) in inverse.chunks_exact_mut(n).enumerate() {
            out.add(k, true, 1.0, column);
        }
        out.sparse.solve(&mut inverse, false);
        let mut small = vec![0.0; m * m];
        for (j, column) in inverse.chunks_exact(n).enumerate() {
            for i in 0..m {
                small[i * m + j] = out.inner(i, false, column) + (i == j) as u8 as f64;
            }
        }
        out.inverse = inverse;
        out.small.factor(m, &small)?;
        Ok(out)
    }

    /// Replaces right-hand sides by solutions, of A or of Aᵀ.
    pub fn solve(&mut self, rhs: &mut [f64], transposed: bool) {
        let (n, m) = (self.plan.sparse.n(), self.plan.terms.len());
        // Aᵀ = Sᵀ + Σ V_k U_kᵀ.
        self.sparse.solve(rhs, transposed);
        for x in rhs.chunks_exact_mut(n) {
            let mut t: Vec<f64> = (0..m).map(|k| self.inner(k, transposed, x)).collect();
            self.small.solve(&mut t, transposed);
            if transposed {
                let mut correction = vec![0.0; n];
                t.iter().enumerate().for_each(|(k, t)| self.add(k, false, *t, &mut correction));
                self.sparse.solve(&mut correction, true);
                x.iter_mut().zip(&correction).for_each(|(x, c)| *x -= c);
            } else {
                for (column, t) in self.inverse.chunks_exact(n).zip(&t) {
                    x.iter_mut().zip(column).for_each(|(x, c)| *x -= t * c);
                }
            }
        }
    }

    /// Adds `weight · U_k` (or V_k) to a vector.
    fn add(&self, k: usize, left: bool, weight: f64, to: &mut [f64]) {
        let t = &self.plan.terms[k];
        if t.row == left {
            to[t.line] += weight;
        } else {
            t.entries.iter().zip(&self.values[k]).for_each(|((i, _), v)| to[*i as usize] += weight * v);
        }
    }

    /// `U_k · x` (or V_k).
    fn inner(&self, k: usize, left: bool, x: &[f64]) -> f64 {
        let t = &self.plan.terms[k];
        if t.row == left {
            x[t.line]
        } else {
            t.entries.iter().zip(&self.values[k]).map(|((i, _), v)| v * x[*i as usize]).sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Blocks;
    use super::*;

    /// A floating chain of n points, whose sum is given; the multiplier is a source everywhere.
    #[test]
    fn a_mean_and_its_source() {
        let n = 400;
        let (mut pairs, mut values) = (vec![], vec![]);
        for i in 0..n - 1 {
            pairs.extend([i as u32, i as u32 + 1]);
            values.extend([1.0, -1.3, -0.7, 1.0]);
        }
        let (mut line, mut whole) = (vec![], vec![]);
        for i in 0..n {
            line.extend([i as u32, n as u32]);
            whole.extend([0.0, 1.0 + 0.01 * i as f64, 2.0, 0.0]);
        }
        let blocks = |flat| Blocks { rows: flat, cols: flat, row_size: 2, col_size: 2 };
        let p = Pattern::new(n + 1, &[blocks(&pairs), blocks(&line)]);
        let mut a = vec![0.0; p.entries()];
        p.assemble(&[&values, &whole], &mut a);
        let plan = Lines::new(&p).expect("long lines").plan(&p, &a);
        assert_eq!(plan.terms.len(), 2);
        let mut f = Bordered::new(plan, &a).unwrap();
        let b: Vec<f64> = (0..2 * (n + 1)).map(|i| ((i * 37) % 101) as f64 - 50.0).collect();
        for transposed in [false, true] {
            let mut x = b.clone();
            f.solve(&mut x, transposed);
            for (b, x) in b.chunks_exact(n + 1).zip(x.chunks_exact(n + 1)) {
                let mut y = vec![0.0; n + 1];
                if transposed {
                    p.multiply_transposed(&a, x, &mut y)
                } else {
                    p.multiply(&a, x, &mut y)
                }
                let worst = y.iter().zip(b).fold(0.0, |m: f64, (y, b)| m.max((y - b).abs()));
                assert!(worst < 1e-6, "{transposed}: {worst}");
            }
        }
    }

    #[test]
    fn sparse_matrices_have_no_border() {
        let pairs: Vec<u32> = (0..399u32).flat_map(|i| [i, i + 1]).collect();
        let p = Pattern::new(400, &[Blocks { rows: &pairs, cols: &pairs, row_size: 2, col_size: 2 }]);
        assert!(Lines::new(&p).is_none());
    }
}
