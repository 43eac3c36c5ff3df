//! Periodic homogenisation of a disc of radius 0.3 in a unit cell of n×n pixels, conductivities 10 and 1, two load cases, bilinear
//! elements: assembly, solve and effective conductivity, with the sparsity pattern kept. `cargo bench --bench homogenize`: first by
//! hand on the solvers, then through the whole of mslc (`whole`).

mod whole;

use mslc::solve::model::{Cells, Problem, digits};
use mslc::solve::{Choice, LinearSystem, Options, Plan, Stats};
use std::sync::Arc;
use std::time::Instant;

fn main() {
    let all: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let sizes = if all.is_empty() { vec![32, 64, 128, 256] } else { all };
    for n in sizes {
        for (choice, threads) in [(Choice::Direct, 1), (Choice::Multigrid, 1), (Choice::Multigrid, 2)] {
            let mut cell = Cell::new(n, choice, threads);
            let conductivity = disc(n);
            let mut best = [f64::INFINITY; 3];
            let mut out = ([0.0; 4], None);
            for repeat in 0..if n <= 128 { 30 } else { 5 } {
                // A changed bit, so that no factors are kept.
                let mut k = conductivity.clone();
                k[0] += repeat as f64 * 1e-15;
                let start = processor_time();
                let (effective, stats, times) = cell.effective(&k);
                let total = processor_time() - start;
                [total, times[0], times[1]].iter().zip(&mut best).for_each(|(t, b)| *b = b.min(*t));
                out = (effective, Some(stats));
            }
            let [total, assembly, solve] = best.map(|t| t * 1e3);
            println!(
                "{n:>4}² {choice:?} threads {threads}: {total:.3} ms (assembly {assembly:.3}, solve {solve:.3}), {:?}, effective {:?}",
                out.1.unwrap(),
                out.0
            );
        }
    }
    whole::run();
}

/// Seconds of processor time of all threads: what other programs do does not count.
fn processor_time() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

fn disc(n: usize) -> Vec<f64> {
    let inside = |c: usize| (c as f64 + 0.5) / n as f64 - 0.5;
    (0..n * n).map(|c| if inside(c / n).powi(2) + inside(c % n).powi(2) < 0.09 { 10.0 } else { 1.0 }).collect()
}

/// All that depends on the grid only.
struct Cell {
    n: usize,
    problem: Problem,
    system: LinearSystem,
    /// Temperature of the corners under a unit gradient along each axis.
    affine: [[f64; 4]; 2],
    blocks: Vec<f64>,
    values: Vec<f64>,
}

impl Cell {
    fn new(n: usize, choice: Choice, threads: usize) -> Cell {
        let problem = Cells::new(&[n, n], true, false).problem();
        let options = Options {
            symmetric: true,
            constant_kernel: true,
            grid: Some(problem.grid.clone()),
            choice,
            threads,
            ..Options::default()
        };
        let plan = Plan::new(problem.pattern.clone(), options);
        let corner = |c: usize| digits(c, &[2, 2]);
        let affine = [0, 1].map(|axis| [0, 1, 2, 3].map(|c| corner(c)[axis] as f64 / n as f64));
        let values = vec![0.0; problem.pattern.entries()];
        Cell { n, problem, system: LinearSystem::new(Arc::new(plan)), affine, blocks: Vec::new(), values }
    }

    /// K_eff[i, j] = Σ_cells k·(e_i + ∇w_i)·(e_j + ∇w_j).
    fn effective(&mut self, k: &[f64]) -> ([f64; 4], Stats, [f64; 2]) {
        let start = Instant::now();
        let (nodes, p) = (self.n * self.n, &self.problem);
        self.blocks.clear();
        self.blocks.extend(k.iter().flat_map(|k| p.element.iter().map(move |e| k * e)));
        p.pattern.assemble(&[&self.blocks], &mut self.values);
        let unit_flux =
            self.affine.map(|a| [0, 1, 2, 3].map(|r| (0..4).map(|c| p.element[4 * r + c] * a[c]).sum::<f64>()));
        let mut rhs = vec![0.0; 2 * nodes];
        for (corners, k) in p.corners.chunks_exact(4).zip(k) {
            for load in 0..2 {
                for r in 0..4 {
                    rhs[load * nodes + corners[r] as usize] -= k * unit_flux[load][r];
                }
            }
        }
        let assembly = start.elapsed().as_secs_f64();
        self.system.set_values(&self.values);
        let mut w = vec![0.0; 2 * nodes];
        let stats = self.system.solve(&rhs, &mut w, false).expect("the cell problem has a solution");
        let solve = start.elapsed().as_secs_f64() - assembly;
        let mut effective = [0.0; 4];
        for (corners, k) in p.corners.chunks_exact(4).zip(k) {
            let u = [0, 1].map(|l| [0, 1, 2, 3].map(|c| self.affine[l][c] + w[l * nodes + corners[c] as usize]));
            let ku = u.map(|u| [0, 1, 2, 3].map(|r| (0..4).map(|c| p.element[4 * r + c] * u[c]).sum::<f64>()));
            for i in 0..2 {
                for j in 0..2 {
                    effective[2 * i + j] += k * (0..4).map(|r| u[i][r] * ku[j][r]).sum::<f64>();
                }
            }
        }
        (effective, stats, [assembly, solve])
    }
}
