//! Iterations through size, contrast and boundaries; agreement with elimination; bits.

use super::*;
use crate::solve::model::{Cells, Problem, digits};
use crate::solve::{Choice, LinearSystem, Method, Options, Plan};

/// A hash of i in [0, 1).
fn noise(i: usize) -> f64 {
    let h = (i as u64 ^ 0x9e3779b97f4a7c15).wrapping_mul(0xbf58476d1ce4e5b9);
    let h = (h ^ (h >> 29)).wrapping_mul(0x94d049bb133111eb);
    ((h ^ (h >> 32)) >> 11) as f64 / (1u64 << 53) as f64
}

fn loads(problem: &Problem, count: usize) -> Vec<f64> {
    let n = problem.pattern.n();
    let mut b: Vec<f64> = (0..count * n).map(|i| noise(i) - 0.5).collect();
    if problem.floating {
        for b in b.chunks_mut(n) {
            let mean = b.iter().sum::<f64>() / n as f64;
            b.iter_mut().for_each(|b| *b -= mean);
        }
    }
    b
}

fn material(cells: &Cells, contrast: f64, hard: impl Fn(&[f64]) -> bool) -> Vec<f64> {
    let total = cells.cells.iter().product();
    let middle = |i| {
        digits(i, &cells.cells).iter().zip(&cells.cells).map(|(&x, &n)| (x as f64 + 0.5) / n as f64).collect::<Vec<_>>()
    };
    (0..total).map(|i| if hard(&middle(i)) { contrast } else { 1.0 }).collect()
}

/// Iterations to 1e-10 for rough loads.
fn iterations(problem: &Problem, conductivity: &[f64]) -> usize {
    let values = problem.values(conductivity);
    let placement = Arc::new(Placement::new(&problem.pattern, &problem.grid).unwrap());
    let mut m = Multigrid::new(placement, &values, problem.floating, 1).unwrap();
    let mut x = vec![0.0; problem.pattern.n()];
    m.solve(&problem.pattern, &values, &loads(problem, 1), &mut x, Limits { tolerance: 1e-10, most: 200, pace: None })
        .unwrap()
        .0
}

fn disc(p: &[f64]) -> bool {
    p.iter().map(|x| (x - 0.5) * (x - 0.5)).sum::<f64>() < 0.09
}

fn checker(p: &[f64]) -> bool {
    p.iter().map(|x| (x * 4.0) as usize).sum::<usize>() % 2 == 0
}

fn laminate(p: &[f64]) -> bool {
    ((p[1] * 10.0) as usize).is_multiple_of(2)
}

#[test]
fn iterations_hold_through_size_contrast_and_boundaries() {
    for (hard, most) in [(disc as fn(&[f64]) -> bool, 14), (checker, 15), (laminate, 11)] {
        for contrast in [1e-3, 1.0, 10.0, 1e3] {
            for (periodic, fixed) in [(true, false), (false, true), (false, false)] {
                for n in [32, 64, 128] {
                    let cells = Cells::new(&[n, n], periodic, fixed);
                    let count = iterations(&cells.problem(), &material(&cells, contrast, hard));
                    assert!(count <= most, "{n} {contrast} periodic {periodic} fixed {fixed}: {count}");
                }
            }
        }
    }
}

#[test]
#[ignore = "a million unknowns: for a release build"]
fn iterations_hold_up_to_a_million_unknowns() {
    for hard in [disc as fn(&[f64]) -> bool, checker, laminate] {
        for contrast in [1e-3, 1e3] {
            let counts = [64, 256, 1024].map(|n| {
                let cells = Cells::new(&[n, n], true, false);
                iterations(&cells.problem(), &material(&cells, contrast, hard))
            });
            println!("{contrast} {counts:?}");
            assert!(counts.iter().all(|c| *c <= 16), "{counts:?}");
        }
    }
}

#[test]
fn any_extent_any_dimension_stretched_cells_and_holes() {
    for (cells, most) in [
        (Cells::new(&[500], false, true), 14),
        (Cells::new(&[45, 77], true, false), 20),
        (Cells::new(&[3, 200], true, false), 20),
        (Cells { periodic: vec![true, false], ..Cells::new(&[33, 50], true, true) }, 20),
        (Cells { spacing: vec![1.0, 0.01], ..Cells::new(&[64, 64], false, true) }, 20),
        (Cells { spacing: vec![30.0, 1.0], ..Cells::new(&[64, 64], true, false) }, 20),
        (Cells::new(&[12, 17, 15], true, false), 20),
        (Cells::new(&[16, 16, 16], false, true), 14),
    ] {
        let k = material(&cells, 100.0, disc);
        let count = iterations(&cells.problem(), &k);
        assert!(count <= most, "{cells:?}: {count}");
    }
}

fn system(p: &Problem, values: &[f64], choice: Choice, threads: usize) -> LinearSystem {
    let options = Options {
        symmetric: true,
        constant_kernel: p.floating,
        grid: Some(p.grid.clone()),
        choice,
        threads,
        ..Options::default()
    };
    let mut s = LinearSystem::new(Arc::new(Plan::new(p.pattern.clone(), options)));
    s.set_values(values);
    s
}

#[test]
fn agrees_with_elimination() {
    for (periodic, fixed) in [(true, false), (false, true), (false, false)] {
        for extent in [vec![30, 30], vec![7, 9, 8]] {
            let cells = Cells::new(&extent, periodic, fixed);
            let p = cells.problem();
            let values = p.values(&material(&cells, 10.0, disc));
            let b = loads(&p, 2);
            let (mut x, mut y) = (vec![0.0; b.len()], vec![0.0; b.len()]);
            let direct = system(&p, &values, Choice::Direct, 1).solve(&b, &mut y, false).unwrap();
            let iterated = system(&p, &values, Choice::Multigrid, 1).solve(&b, &mut x, false).unwrap();
            assert_eq!((direct.method, iterated.method), (Method::Cholesky, Method::Multigrid));
            let scale = y.iter().fold(0.0f64, |m, y| m.max(y.abs()));
            let error = x.iter().zip(&y).fold(0.0f64, |m, (x, y)| m.max((x - y).abs()));
            assert!(error < 1e-8 * scale, "{extent:?} {periodic} {fixed}: {error} of {scale}");
        }
    }
}

#[test]
fn bits_depend_neither_on_threads_nor_on_company() {
    // Large enough that the rows of a sweep are shared among threads.
    let cells = Cells::new(&[190, 190], true, false);
    let p = cells.problem();
    let values = p.values(&material(&cells, 10.0, disc));
    let b = loads(&p, 2);
    let n = p.pattern.n();
    let mut all: Vec<Vec<f64>> = Vec::new();
    for threads in [1, 2, 3] {
        let mut x = vec![0.0; 2 * n];
        system(&p, &values, Choice::Multigrid, threads).solve(&b, &mut x, false).unwrap();
        all.push(x);
        let mut s = system(&p, &values, Choice::Multigrid, threads);
        let mut x = vec![0.0; 2 * n];
        let (first, second) = x.split_at_mut(n);
        s.solve(&b[n..], second, false).unwrap();
        s.solve(&b[..n], first, true).unwrap();
        all.push(x);
    }
    assert!(all.iter().all(|x| x.iter().zip(&all[0]).all(|(a, b)| a.to_bits() == b.to_bits())));
}

#[test]
fn random_pixels_of_contrast_1000_are_solved_all_the_same() {
    let cells = Cells::new(&[96, 96], true, false);
    let p = cells.problem();
    let k: Vec<f64> = (0..96 * 96).map(|i| if noise(i + 77) < 0.5 { 1e3 } else { 1.0 }).collect();
    let values = p.values(&k);
    let b = loads(&p, 1);
    let mut x = vec![0.0; b.len()];
    let solved = system(&p, &values, Choice::Auto, 1).solve(&b, &mut x, false).unwrap();
    assert!(solved.residual < 1e-9, "{solved:?}");
    let solved = system(&p, &values, Choice::Multigrid, 1).solve(&b, &mut x, false).unwrap();
    assert!(solved.residual < 1e-8 && solved.iterations < 100, "{solved:?}");
}

#[test]
fn an_indefinite_matrix_is_told_or_left_to_elimination() {
    let cells = Cells::new(&[40, 40], false, true);
    let p = cells.problem();
    let mut values = p.values(&vec![1.0; 1600]);
    p.pattern.diagonal.iter().for_each(|&d| values[d] -= 0.05);
    let b = loads(&p, 1);
    let mut x = vec![0.0; b.len()];
    let told = system(&p, &values, Choice::Multigrid, 1).solve(&b, &mut x, false);
    assert!(matches!(told, Err(Failure::NotPositiveDefinite { .. } | Failure::Stagnated { .. })), "{told:?}");
    let solved = system(&p, &values, Choice::Auto, 1).solve(&b, &mut x, false).unwrap();
    assert!(solved.method == Method::Lu && solved.residual < 1e-9, "{solved:?}");
}
