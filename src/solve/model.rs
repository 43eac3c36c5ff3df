//! Model problems on which the solvers are tested and timed: conduction in a box of multilinear elements, one conductivity a cell.

use super::{Blocks, Grid, Pattern};
use std::sync::Arc;

/// A box of cells; along a periodic axis as many nodes as cells, else one more.
#[derive(Clone, Debug)]
pub struct Cells {
    pub cells: Vec<usize>,
    pub periodic: Vec<bool>,
    /// Edge lengths of a cell.
    pub spacing: Vec<f64>,
    /// The temperature is given on the sides of the axes that are not periodic.
    pub fixed: bool,
}

/// The matrix of a problem.
pub struct Problem {
    pub pattern: Pattern,
    pub grid: Grid,
    /// The element conductance matrix for unit conductivity, row-major.
    pub element: Vec<f64>,
    /// The unknown of each corner of each cell, `u32::MAX` on a fixed side: `[cells, 2^d]`.
    pub corners: Vec<u32>,
    /// Nothing holds the level of the temperature.
    pub floating: bool,
}

impl Cells {
    /// Unit cells.
    pub fn new(cells: &[usize], periodic: bool, fixed: bool) -> Cells {
        let d = cells.len();
        Cells { cells: cells.to_vec(), periodic: vec![periodic; d], spacing: vec![1.0; d], fixed }
    }

    pub fn problem(&self) -> Problem {
        let d = self.cells.len();
        let nodes: Vec<usize> = (0..d).map(|a| self.cells[a] + !self.periodic[a] as usize).collect();
        let on_side = |p: &[usize]| (0..d).any(|a| !self.periodic[a] && (p[a] == 0 || p[a] == nodes[a] - 1));
        let total: usize = nodes.iter().product();
        let mut count = 0;
        let unknowns: Vec<u32> = (0..total)
            .map(|i| {
                let fixed = self.fixed && on_side(&digits(i, &nodes));
                count += !fixed as u32;
                if fixed { u32::MAX } else { count - 1 }
            })
            .collect();
        let mut corners = Vec::new();
        for e in 0..self.cells.iter().product() {
            let cell = digits(e, &self.cells);
            for corner in 0..1usize << d {
                let at = |a: usize| (cell[a] + (corner >> (d - 1 - a) & 1)) % nodes[a];
                corners.push(unknowns[(0..d).fold(0, |i, a| i * nodes[a] + at(a))]);
            }
        }
        let size = 1 << d;
        let blocks = Blocks { rows: &corners, cols: &corners, row_size: size, col_size: size };
        let pattern = Pattern::new(count as usize, &[blocks]);
        let floating = !self.fixed || self.periodic.iter().all(|p| *p);
        let whole = count as usize == total;
        let grid = Grid {
            points: nodes,
            periodic: self.periodic.clone(),
            components: 1,
            unknowns: if whole { Arc::from([]) } else { Arc::from(unknowns) },
        };
        Problem { pattern, grid, element: self.element(), corners, floating }
    }

    /// ∫∇φ_a·∇φ_b over a cell: sums of products of the one-dimensional stiffness and mass matrices.
    fn element(&self) -> Vec<f64> {
        let d = self.cells.len();
        let size = 1usize << d;
        let mut k = vec![0.0; size * size];
        for (a, b) in (0..size).flat_map(|a| (0..size).map(move |b| (a, b))) {
            for axis in 0..d {
                let mut term = 1.0;
                for other in 0..d {
                    let (h, same) = (self.spacing[other], (a ^ b) >> (d - 1 - other) & 1 == 0);
                    term *= match (other == axis, same) {
                        (true, true) => 1.0 / h,
                        (true, false) => -1.0 / h,
                        (false, true) => h / 3.0,
                        (false, false) => h / 6.0,
                    };
                }
                k[a * size + b] += term;
            }
        }
        k
    }
}

impl Problem {
    /// The values of the matrix for one conductivity a cell, and of the element blocks it was summed from.
    pub fn values(&self, conductivity: &[f64]) -> Vec<f64> {
        let blocks: Vec<f64> = conductivity.iter().flat_map(|k| self.element.iter().map(move |e| k * e)).collect();
        let mut values = vec![0.0; self.pattern.entries()];
        self.pattern.assemble(&[&blocks], &mut values);
        values
    }
}

/// The position of item i of a row-major array.
pub fn digits(i: usize, extent: &[usize]) -> Vec<usize> {
    let (mut rest, mut out) = (i, vec![0; extent.len()]);
    for a in (0..extent.len()).rev() {
        (out[a], rest) = (rest % extent[a], rest / extent[a]);
    }
    out
}
