//! Sparse factorisations by faer: Cholesky where the matrix is symmetric positive definite, LU otherwise.
//! The symbolic part depends on the pattern alone and is shared among matrices; factors are recomputed in place.

use super::{Failure, Pattern};
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::factor::{LltError, LltRegularization};
use faer::sparse::linalg::cholesky::{self, LltRef, SymbolicCholesky, SymbolicCholeskyRaw, simplicial, supernodal};
use faer::sparse::linalg::lu::{self, LuRef, NumericLu, SymbolicLu};
use faer::sparse::linalg::{LuError, SupernodalThreshold};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, Par, Side, Spec};
use std::sync::Arc;

/// The elimination order and the pattern of the factors.
pub struct Symbolic {
    n: usize,
    /// The compressed rows of A, read as the compressed columns of Aᵀ.
    starts: Vec<u32>,
    columns: Vec<u32>,
    diagonal: Vec<usize>,
    kind: Kind,
}

enum Kind {
    Cholesky(SymbolicCholesky<u32>),
    Lu(SymbolicLu<u32>),
}

/// The factors of one matrix.
pub struct Factor {
    symbolic: Arc<Symbolic>,
    /// Cholesky: the values of L.
    lower: Vec<f64>,
    /// LU: both factors.
    numeric: NumericLu<u32, f64>,
    memory: MemBuffer,
}

impl Symbolic {
    /// Cholesky if `definite`, else LU. `order`, for Cholesky: the unknowns in the order of their elimination
    /// (minimum degree without it).
    pub fn new(pattern: &Pattern, definite: bool, order: Option<&[u32]>) -> Symbolic {
        let n = pattern.n();
        let starts: Vec<u32> = pattern.row_start.iter().map(|&s| s as u32).collect();
        let columns = pattern.columns.clone();
        let matrix = SymbolicSparseColMatRef::new_checked(n, n, &starts, None, &columns);
        let too_large = "compiler bug: a factor larger than memory or index range";
        let kind = if definite {
            let mut inverse = vec![0; n];
            order.into_iter().flatten().enumerate().for_each(|(k, &i)| inverse[i as usize] = k as u32);
            let ordering = match order {
                Some(order) => {
                    cholesky::SymmetricOrdering::Custom(faer::perm::PermRef::new_checked(order, &inverse, n))
                }
                None => cholesky::SymmetricOrdering::Amd,
            };
            let symbolic = cholesky::factorize_symbolic_cholesky(matrix, Side::Upper, ordering, Default::default());
            Kind::Cholesky(symbolic.expect(too_large))
        } else {
            Kind::Lu(lu::factorize_symbolic_lu(matrix, lu_parameters(pattern)).expect(too_large))
        };
        Symbolic { n, starts, columns, diagonal: pattern.diagonal.clone(), kind }
    }

    pub fn n(&self) -> usize {
        self.n
    }

    /// The number of values of the Cholesky factor (0 for LU, which knows only when it has pivoted).
    pub fn fill(&self) -> usize {
        match &self.kind {
            Kind::Cholesky(s) => s.len_val(),
            Kind::Lu(_) => 0,
        }
    }

    fn matrix<'a>(&'a self, values: &'a [f64]) -> SparseColMatRef<'a, u32, f64> {
        // Checked when the symbolic part was made.
        let structure =
            unsafe { SymbolicSparseColMatRef::new_unchecked(self.n, self.n, &self.starts, None, &self.columns) };
        SparseColMatRef::new(structure, values)
    }
}

/// Rows that hold many unknowns (the mean of a pressure) are eliminated last, and pivots are then found column by column: bounds on
/// the fill from the pattern of AᵀA, which supernodes rest on, would take every column for full.
fn lu_parameters(pattern: &Pattern) -> lu::LuSymbolicParams<'static> {
    let mut parameters = lu::LuSymbolicParams::default();
    let n = pattern.n();
    let many = 5.0 * (n as f64).sqrt();
    let longest = pattern.row_start.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
    if longest as f64 > many {
        parameters.colamd_params.dense_row = many / n as f64;
        parameters.colamd_params.dense_col = many / n as f64;
        parameters.supernodal_flop_ratio_threshold = SupernodalThreshold::FORCE_SIMPLICIAL;
    }
    parameters
}

impl Factor {
    pub fn new(symbolic: Arc<Symbolic>) -> Factor {
        let lower = vec![0.0; symbolic.fill()];
        Factor { symbolic, lower, numeric: NumericLu::new(), memory: MemBuffer::new(StackReq::EMPTY) }
    }

    /// Factors the matrix of these values (in the pattern's order), in the storage of the last ones.
    ///
    /// Cholesky fails as `NotPositiveDefinite` at the first pivot ≤ 0, and as `Singular` where a pivot is rounding.
    pub fn factor(&mut self, values: &[f64]) -> Result<(), Failure> {
        let symbolic = &*self.symbolic;
        let matrix = symbolic.matrix(values);
        match &symbolic.kind {
            Kind::Cholesky(s) => {
                reserve(&mut self.memory, s.factorize_numeric_llt_scratch::<f64>(Par::Seq, Spec::default()));
                let result = s.factorize_numeric_llt(
                    &mut self.lower,
                    matrix,
                    Side::Upper,
                    LltRegularization::default(),
                    Par::Seq,
                    MemStack::new(&mut self.memory),
                    Spec::default(),
                );
                let original = |k: usize| s.perm().map_or(k, |p| p.arrays().0[k] as usize);
                match result {
                    Err(LltError::NonPositivePivot { index }) => {
                        Err(Failure::NotPositiveDefinite { unknown: original(index.min(symbolic.n - 1)) })
                    }
                    Ok(_) => smallest_pivot(s, &self.lower, |k| values[symbolic.diagonal[original(k)]]).map_or(
                        Ok(()),
                        |(k, pivot)| {
                            let tiny = 16.0 * f64::EPSILON * (symbolic.n as f64).sqrt();
                            if pivot > tiny { Ok(()) } else { Err(Failure::Singular { unknown: original(k), pivot }) }
                        },
                    ),
                }
            }
            Kind::Lu(s) => {
                reserve(&mut self.memory, s.factorize_numeric_lu_scratch::<f64>(Par::Seq, Spec::default()));
                let stack = MemStack::new(&mut self.memory);
                match s.factorize_numeric_lu(&mut self.numeric, matrix, Par::Seq, stack, Spec::default()) {
                    Ok(_) => Ok(()),
                    Err(LuError::SymbolicSingular { index }) => {
                        Err(Failure::Singular { unknown: index.min(symbolic.n - 1), pivot: 0.0 })
                    }
                    Err(LuError::Generic(e)) => panic!("compiler bug: sparse LU: {e:?}"),
                }
            }
        }
    }

    /// Replaces right-hand sides (each contiguous) by solutions, of A or of Aᵀ. After a successful `factor`.
    pub fn solve(&mut self, rhs: &mut [f64], transposed: bool) {
        let n = self.symbolic.n;
        if n == 0 {
            return;
        }
        let count = rhs.len() / n;
        let x = MatMut::from_column_major_slice_mut(rhs, n, count);
        match &self.symbolic.kind {
            Kind::Cholesky(s) => {
                reserve(&mut self.memory, s.solve_in_place_scratch::<f64>(count, Par::Seq));
                let stack = MemStack::new(&mut self.memory);
                LltRef::new(s, &self.lower).solve_in_place_with_conj(Conj::No, x, Par::Seq, stack);
            }
            Kind::Lu(s) => {
                reserve(&mut self.memory, s.solve_in_place_scratch::<f64>(count, Par::Seq));
                let stack = MemStack::new(&mut self.memory);
                let lu = LuRef::new_unchecked(s, &self.numeric);
                // These are the factors of Aᵀ.
                if transposed {
                    lu.solve_in_place_with_conj(Conj::No, x, Par::Seq, stack);
                } else {
                    lu.solve_transpose_in_place_with_conj(Conj::No, x, Par::Seq, stack);
                }
            }
        }
    }
}

fn reserve(memory: &mut MemBuffer, need: StackReq) {
    if memory.len() < need.unaligned_bytes_required() {
        *memory = MemBuffer::new(need);
    }
}

/// The smallest L[k, k]² / A[k, k] and its k, in elimination order. Does not change when unknowns are scaled.
fn smallest_pivot(s: &SymbolicCholesky<u32>, lower: &[f64], diagonal: impl Fn(usize) -> f64) -> Option<(usize, f64)> {
    let mut least: Option<(usize, f64)> = None;
    let mut consider = |k: usize, l: f64| {
        let ratio = l * l / diagonal(k);
        if least.is_none_or(|(_, r)| ratio < r || ratio.is_nan()) {
            least = Some((k, ratio));
        }
    };
    match s.raw() {
        SymbolicCholeskyRaw::Simplicial(raw) => {
            let l = simplicial::SimplicialLltRef::<u32, f64>::new(raw, lower);
            // Rows are sorted: the diagonal comes first.
            raw.col_ptr()[..raw.ncols()].iter().enumerate().for_each(|(k, &p)| consider(k, l.values()[p as usize]));
        }
        SymbolicCholeskyRaw::Supernodal(raw) => {
            let l = supernodal::SupernodalLltRef::<u32, f64>::new(raw, lower);
            for node in 0..raw.n_supernodes() {
                let node = l.supernode(node);
                let block = node.val();
                (0..block.ncols()).for_each(|j| consider(node.start() + j, block[(j, j)]));
            }
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::super::Blocks;
    use super::*;

    /// The five-point Laplacian on an m×m grid plus `shift` on the diagonal and `skew` between neighbours in x.
    fn laplacian(m: usize, shift: f64, skew: f64) -> (Pattern, Vec<f64>) {
        let (mut pairs, mut values) = (Vec::new(), Vec::new());
        let id = |i: usize, j: usize| (i * m + j) as u32;
        for i in 0..m {
            for j in 0..m {
                pairs.push([id(i, j), id(i, j)]);
                values.extend([shift, 0.0, 0.0, 0.0]);
                for (other, s) in [(i + 1 < m).then(|| (id(i + 1, j), 0.0)), (j + 1 < m).then(|| (id(i, j + 1), skew))]
                    .into_iter()
                    .flatten()
                {
                    pairs.push([id(i, j), other]);
                    values.extend([1.0, -1.0 + s, -1.0 - s, 1.0]);
                }
            }
        }
        let flat = pairs.concat();
        let p = Pattern::new(m * m, &[Blocks { rows: &flat, cols: &flat, row_size: 2, col_size: 2 }]);
        let mut a = vec![0.0; p.entries()];
        p.assemble(&[&values], &mut a);
        (p, a)
    }

    fn residual(p: &Pattern, a: &[f64], x: &[f64], b: &[f64], transposed: bool) -> f64 {
        let mut y = vec![0.0; b.len()];
        if transposed {
            p.multiply_transposed(a, x, &mut y)
        } else {
            p.multiply(a, x, &mut y)
        }
        y.iter().zip(b).fold(0.0, |m: f64, (y, b)| m.max((y - b).abs()))
    }

    #[test]
    fn cholesky_and_lu_solve_small_and_large() {
        for m in [1, 2, 7, 40] {
            for (definite, skew) in [(true, 0.0), (false, 0.0), (false, 0.7)] {
                let (p, a) = laplacian(m, 0.01, skew);
                let mut f = Factor::new(Arc::new(Symbolic::new(&p, definite, None)));
                f.factor(&a).unwrap();
                let b: Vec<f64> = (0..2 * m * m).map(|i| ((i * 37) % 101) as f64 - 50.0).collect();
                for transposed in [false, true] {
                    let mut x = b.clone();
                    f.solve(&mut x, transposed);
                    let n = m * m;
                    for k in 0..2 {
                        let r = residual(&p, &a, &x[k * n..(k + 1) * n], &b[k * n..(k + 1) * n], transposed);
                        assert!(r < 1e-9, "{m} {definite} {skew} {transposed}: {r}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_floating_matrix_is_singular_and_an_indefinite_one_told() {
        for m in [3, 40] {
            let (p, a) = laplacian(m, 0.0, 0.0);
            let mut f = Factor::new(Arc::new(Symbolic::new(&p, true, None)));
            let told = f.factor(&a);
            assert!(matches!(told, Err(Failure::Singular { .. } | Failure::NotPositiveDefinite { .. })), "{told:?}");
            let (p, a) = laplacian(m, -0.5, 0.0);
            let mut f = Factor::new(Arc::new(Symbolic::new(&p, true, None)));
            assert!(matches!(f.factor(&a), Err(Failure::NotPositiveDefinite { .. })));
        }
    }
}
