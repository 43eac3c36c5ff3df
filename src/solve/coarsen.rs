//! Coarsening of a stencil along one axis: every second point stays, the points between are interpolated with weights from the
//! operator, and the coarse operator is Galerkin's. A box is coarsened axis by axis.
//!
//! The weights of a point between two coarse ones are its couplings to either side, each summed over the other axes, against the
//! sum of its couplings to its own plane: flux continuity across jumps of the coefficient. [Alcouffe et al. 1981; Dendy 1982]

use super::lattice::{Lattice, Stencil};

/// Interpolation along one axis. Fine point 2I is coarse point I; point 2I+1 lies in gap I and takes `left[I]` of coarse point I
/// and `right[I]` of I+1. Where a gap has no point (the last one, for an odd extent) both are zero.
pub struct Coarsening {
    pub axis: usize,
    pub fine: Lattice,
    pub coarse: Lattice,
    /// On the coarse lattice, margins filled.
    left: Vec<f32>,
    right: Vec<f32>,
}

impl Coarsening {
    /// The interpolation of this operator along an axis of at least two points, and the coarse operator.
    pub fn new(a: &Stencil, axis: usize) -> (Coarsening, Stencil) {
        let fine = a.lattice.clone();
        let coarse = fine.with_extent(axis, fine.extent[axis].div_ceil(2));
        let (mut left, mut right) = (vec![0.0; coarse.len], vec![0.0; coarse.len]);
        weights(a, axis, &coarse, &mut left, &mut right);
        coarse.wrap(&mut left);
        coarse.wrap(&mut right);
        let single = |w: &[f64]| w.iter().map(|w| *w as f32).collect();
        let c = Coarsening { axis, left: single(&left), right: single(&right), fine, coarse };
        let product = c.galerkin(a, &left, &right);
        (c, product)
    }

    /// to = Pᵀ·from at the coarse points. The margins of `from` are filled.
    pub fn restrict(&self, from: &[f32], to: &mut [f32]) {
        let (step, up, back) = (self.step(), self.fine.stride[self.axis], self.coarse.stride[self.axis]);
        self.each_coarse_row(|f, c, n| {
            let (left, right) = (&self.left[c..c + n], &self.right[c - back..c - back + n]);
            let to = &mut to[c..c + n];
            if step == 1 {
                let (here, next, last) = (&from[f..f + n], &from[f + up..f + up + n], &from[f - up..f - up + n]);
                for j in 0..n {
                    to[j] = here[j] + left[j] * next[j] + right[j] * last[j];
                }
            } else {
                let from = &from[f - 1..f + 2 * n];
                for j in 0..n {
                    to[j] = from[2 * j + 1] + left[j] * from[2 * j + 2] + right[j] * from[2 * j];
                }
            }
        });
    }

    /// to = P·from, or to += P·from, at the fine points (and in the margin of a periodic odd axis, which holds nothing yet).
    pub fn interpolate(&self, from: &[f32], to: &mut [f32], add: bool) {
        let (step, up, next) = (self.step(), self.fine.stride[self.axis], self.coarse.stride[self.axis]);
        let keep = if add { 1.0 } else { 0.0 };
        self.each_coarse_row(|f, c, n| {
            let (left, right) = (&self.left[c..c + n], &self.right[c..c + n]);
            let (here, after) = (&from[c..c + n], &from[c + next..c + next + n]);
            if step == 1 {
                let (even, odd) = to[f..].split_at_mut(up);
                let (even, odd) = (&mut even[..n], &mut odd[..n]);
                for j in 0..n {
                    even[j] = keep * even[j] + here[j];
                    odd[j] = keep * odd[j] + left[j] * here[j] + right[j] * after[j];
                }
            } else {
                let to = &mut to[f..f + 2 * n];
                for j in 0..n {
                    to[2 * j] = keep * to[2 * j] + here[j];
                    to[2 * j + 1] = keep * to[2 * j + 1] + left[j] * here[j] + right[j] * after[j];
                }
            }
        });
    }

    /// Distance in a fine row between points that belong to neighbours in a coarse row.
    fn step(&self) -> usize {
        if self.axis == 2 { 2 } else { 1 }
    }

    /// `f(fine place, coarse place, points)` of each coarse row.
    fn each_coarse_row(&self, mut f: impl FnMut(usize, usize, usize)) {
        let n = self.coarse.extent;
        for i in 0..n[0] {
            for j in 0..n[1] {
                let mut p = [i, j, 0];
                p[self.axis] *= 2;
                f(self.fine.index(p), self.coarse.row(i, j), n[2]);
            }
        }
    }

    /// Pᵀ·A·P.
    fn galerkin(&self, a: &Stencil, left: &[f64], right: &[f64]) -> Stencil {
        let (axis, left_all, right_all) = (self.axis, left, right);
        let mut out = Stencil::zero(self.coarse.clone());
        let (step, up, back) = (self.step(), self.fine.stride[axis], self.coarse.stride[axis]);
        // Across a gap without a point the coarse points on its sides are coupled directly: as if with weight 1.
        let (mut left_one, mut right_one) = (left.to_vec(), right.to_vec());
        if self.fine.extent[axis] % 2 == 1 {
            let last = self.coarse.extent[axis] - 1;
            let whole = self.coarse.extent;
            for i in 0..whole[0] {
                for j in 0..whole[1] {
                    for k in 0..whole[2] {
                        if [i, j, k][axis] == last {
                            let at = self.coarse.index([i, j, k]);
                            (left_one[at], right_one[at]) = (1.0, 1.0);
                        }
                    }
                }
            }
            self.coarse.wrap(&mut left_one);
            self.coarse.wrap(&mut right_one);
        }
        let mut offsets = vec![[0, 0, 0]];
        offsets.extend(self.coarse.half());
        for (k, offset) in offsets.into_iter().enumerate() {
            let along = offset[axis];
            let mut across = offset;
            across[axis] = 0;
            let aside = self.coarse.shift(across);
            // The fine couplings to the plane before, the same and the plane after, at the transverse offset.
            let fine = [-1, 0, 1].map(|d| {
                let mut o = across;
                o[axis] = d;
                let (k, shift) = a.place(o);
                (a.coefficient(k), shift)
            });
            let target = out.coefficient_mut(k);
            self.each_coarse_row(|f, c, n| {
                // Couplings of the fine points at `f + delta` along the axis, by the distance of their partner.
                let couple = |delta: isize, d: isize| {
                    let (values, shift) = fine[(d + 1) as usize];
                    &values[(f as isize + delta * up as isize + shift) as usize..][..(n - 1) * step + 1]
                };
                let weight = |w, shift| part(w, c as isize + shift, n);
                let target = &mut target[c..c + n];
                let behind = -(back as isize);
                match along {
                    0 => {
                        let (left, right) = (weight(left_all, 0), weight(right_all, behind));
                        let (left_o, right_o) = (weight(left_all, aside), weight(right_all, behind + aside));
                        let (c0m, c00, c0p) = (couple(0, -1), couple(0, 0), couple(0, 1));
                        let (cpm, cp0) = (couple(1, -1), couple(1, 0));
                        let (cmp, cm0) = (couple(-1, 1), couple(-1, 0));
                        for j in 0..n {
                            let s = j * step;
                            target[j] = c00[s]
                                + c0p[s] * left_o[j]
                                + c0m[s] * right_o[j]
                                + left[j] * (cpm[s] + cp0[s] * left_o[j])
                                + right[j] * (cmp[s] + cm0[s] * right_o[j]);
                        }
                    }
                    1 => {
                        let (left, w) = (weight(left_all, 0), weight(&right_one, aside));
                        let (c0p, cp0, cpp) = (couple(0, 1), couple(1, 0), couple(1, 1));
                        for j in 0..n {
                            let s = j * step;
                            target[j] = c0p[s] * w[j] + left[j] * (cp0[s] * w[j] + cpp[s]);
                        }
                    }
                    _ => {
                        let (right, w) = (weight(right_all, behind), weight(&left_one, behind + aside));
                        let (c0m, cm0, cmm) = (couple(0, -1), couple(-1, 0), couple(-1, -1));
                        for j in 0..n {
                            let s = j * step;
                            target[j] = c0m[s] * w[j] + right[j] * (cm0[s] * w[j] + cmm[s]);
                        }
                    }
                }
            });
        }
        out.wrap();
        out
    }
}

fn part(w: &[f64], at: isize, n: usize) -> &[f64] {
    &w[at as usize..][..n]
}

/// How strongly the points of an axis are coupled on average: Σ over points of the coupling to the next plane.
pub fn strength(a: &Stencil, axis: usize) -> f64 {
    let lattice = &a.lattice;
    let mut total = 0.0;
    for (k, offset) in lattice.half().into_iter().enumerate() {
        if offset[axis] != 0 {
            let c = a.coefficient(k + 1);
            for i in 0..lattice.extent[0] {
                for j in 0..lattice.extent[1] {
                    let at = lattice.row(i, j);
                    total += c[at..at + lattice.extent[2]].iter().sum::<f64>();
                }
            }
        }
    }
    total.abs()
}

/// Fills `left` and `right` at the gaps that hold a point.
fn weights(a: &Stencil, axis: usize, coarse: &Lattice, left: &mut [f64], right: &mut [f64]) {
    let fine = &a.lattice;
    // All couplings by their offset along the axis.
    let mut couplings: Vec<(isize, &[f64], isize)> = vec![(0, a.coefficient(0), 0)];
    for o in fine.half() {
        for o in [o, o.map(|o| -o)] {
            let (k, shift) = a.place(o);
            couplings.push((o[axis], a.coefficient(k), shift));
        }
    }
    let step = if axis == 2 { 2 } else { 1 };
    let n = coarse.extent;
    let (mut own, mut lower, mut upper) = (vec![0.0; n[2]], vec![0.0; n[2]], vec![0.0; n[2]]);
    for i in 0..n[0] {
        for j in 0..n[1] {
            let mut p = [i, j, 0];
            p[axis] = 2 * p[axis] + 1;
            if axis != 2 && p[axis] >= fine.extent[axis] {
                continue;
            }
            let (at, to) = (fine.index(p), coarse.row(i, j));
            let count = if axis == 2 { fine.extent[2] / 2 } else { n[2] };
            if count == 0 {
                continue;
            }
            own.fill(0.0);
            lower.fill(0.0);
            upper.fill(0.0);
            for &(along, values, shift) in &couplings {
                let values = &values[(at as isize + shift) as usize..][..(count - 1) * step + 1];
                let sum = match along {
                    0 => &mut own,
                    1 => &mut upper,
                    _ => &mut lower,
                };
                for (s, v) in sum[..count].iter_mut().zip(values.iter().step_by(step)) {
                    *s += v;
                }
            }
            for s in 0..count {
                // A point that its own plane does not hold is shared evenly; weights outside [0, 1] would amplify.
                let share = |side: f64| if own[s] > 0.0 { (-side / own[s]).clamp(0.0, 1.0) } else { 0.5 };
                left[to + s] = share(lower[s]);
                right[to + s] = share(upper[s]);
            }
        }
    }
}
