//! Values of fine points from coarse ones: a strong fine neighbour stands for what its own equation makes of it, then the whole
//! equation is carried by the coarse points in reach. [Stüben 2001, §7.2.2: standard interpolation]

use super::csr::Csr;

/// Weights below this part of a row's largest one are dropped; the others take over what they carried.
const DROPPED: f64 = 0.2;

/// P: fine points in terms of coarse ones. `number[i]` is the place of a coarse point, `None` at fine ones.
pub fn interpolation(a: &Csr, strong: &Csr, number: &[Option<u32>], coarse: usize) -> Csr {
    let n = a.rows();
    let mut p = Csr::empty(coarse);
    let diagonal: Vec<f64> = (0..n).map(|i| a.row(i).filter(|(j, _)| *j == i).map(|(_, v)| v).sum()).collect();
    // The equation of a point: columns met so far, their values, and which of them may carry it.
    let mut value = vec![0.0; n];
    let mut met: Vec<usize> = vec![];
    let mut seen = vec![false; n];
    let mut carrier = vec![false; n];
    for i in 0..n {
        if let Some(k) = number[i] {
            p.push(k as usize, 1.0);
            p.end_row();
            continue;
        }
        let mut add = |k: usize, v: f64, value: &mut [f64]| {
            if !std::mem::replace(&mut seen[k], true) {
                met.push(k);
            }
            value[k] += v;
        };
        a.row(i).for_each(|(k, v)| add(k, v, &mut value));
        for (j, _) in strong.row(i) {
            if number[j].is_some() {
                carrier[j] = true;
            } else if diagonal[j] > 0.0 {
                let share = value_of(a, i, j) / diagonal[j];
                a.row(j).for_each(|(k, v)| add(k, -share * v, &mut value));
                strong.row(j).filter(|(k, _)| number[*k].is_some()).for_each(|(k, _)| carrier[k] = true);
            }
        }
        let others: f64 = met.iter().filter(|k| **k != i).map(|k| value[*k]).sum();
        let carried: f64 = met.iter().filter(|k| carrier[**k]).map(|k| value[*k]).sum();
        let scale = if carried < 0.0 && value[i] > 0.0 { -others / (carried * value[i]) } else { 0.0 };
        let largest = met.iter().filter(|k| carrier[**k]).fold(0.0f64, |m, k| m.max((scale * value[*k]).abs()));
        let first = p.columns.len();
        let (mut all, mut kept) = (0.0, 0.0);
        for &k in met.iter().filter(|k| carrier[**k]) {
            let w = scale * value[k];
            all += w;
            if w.abs() >= DROPPED * largest && w != 0.0 {
                kept += w;
                p.push(number[k].expect("compiler bug: a carrier is a coarse point") as usize, w);
            }
        }
        if kept != 0.0 {
            p.values[first..].iter_mut().for_each(|w| *w *= all / kept);
        }
        p.end_row();
        for &k in &met {
            (value[k], seen[k], carrier[k]) = (0.0, false, false);
        }
        // Carriers that the equation does not contain, which dropped couplings may leave.
        strong.row(i).for_each(|(j, _)| {
            carrier[j] = false;
            strong.row(j).for_each(|(k, _)| carrier[k] = false);
        });
        met.clear();
    }
    p
}

fn value_of(a: &Csr, i: usize, j: usize) -> f64 {
    a.row(i).filter(|(k, _)| *k == j).map(|(_, v)| v).sum()
}
