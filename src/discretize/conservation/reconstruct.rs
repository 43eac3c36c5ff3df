//! Values on both sides of a face from the cells around it.
//!
//! MUSCL takes limited slopes [van Leer 1979; Sweby 1984]. WENO5 interpolates values at the centres with
//! smoothness indicators of [Jiang & Shu 1996] and weights of [Borges, Carmona, Costa & Don 2008]; a flux of these values gets the two terms that make the difference of fluxes a derivative of order 5, in
//! any number of dimensions [Jiang, Shu & Zhang 2013].

use super::ghost::Line;
use crate::ir::{Binary, Builder, Compare, Value};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reconstruction {
    /// The value of the cell: order 1.
    First,
    /// Order 2 where the solution is smooth.
    Muscl(Limiter),
    /// Order 5 where the solution is smooth.
    Weno5,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limiter {
    Minmod,
    VanLeer,
    /// Monotonised central.
    Mc,
    Superbee,
    VanAlbada,
}

impl Limiter {
    pub fn named(name: &str) -> Option<Limiter> {
        Some(match name {
            "minmod" => Limiter::Minmod,
            "van_leer" => Limiter::VanLeer,
            "mc" => Limiter::Mc,
            "superbee" => Limiter::Superbee,
            "van_albada" => Limiter::VanAlbada,
            _ => return None,
        })
    }
}

/// Weights of `f` at the six points around a face, for `-h²f''/24 + 7h⁴f⁗/5760` there.
const CORRECTION: [f64; 6] = {
    let second = [-5.0 / 48.0, 39.0 / 48.0, -34.0 / 48.0, -34.0 / 48.0, 39.0 / 48.0, -5.0 / 48.0];
    let fourth = [0.5, -1.5, 1.0, 1.0, -1.5, 0.5];
    let mut w = [0.0; 6];
    let mut k = 0;
    while k < 6 {
        w[k] = -second[k] / 24.0 + fourth[k] * 7.0 / 5760.0;
        k += 1;
    }
    w
};

impl Reconstruction {
    /// Cells needed on either side of a face.
    pub fn reach(self) -> usize {
        match self {
            Reconstruction::First => 1,
            Reconstruction::Muscl(_) => 2,
            Reconstruction::Weno5 => 3,
        }
    }

    pub fn order(self) -> usize {
        match self {
            Reconstruction::First => 1,
            Reconstruction::Muscl(_) => 2,
            Reconstruction::Weno5 => 5,
        }
    }

    /// The values before and after each face. `scale`: a typical size of what is reconstructed.
    pub fn states(self, b: &mut Builder, line: Line, extended: Value, scale: f64) -> [Value; 2] {
        let reach = self.reach();
        let mut at = |k: isize| line.beside(b, extended, reach, k);
        match self {
            Reconstruction::First => [at(0), at(1)],
            Reconstruction::Muscl(limiter) => {
                let [a, l, r, z] = [at(-1), at(0), at(1), at(2)];
                let (before, across, after) = (b.sub(l, a), b.sub(r, l), b.sub(z, r));
                let slope = limiter.slope(b, before, across);
                let half = b.scale(slope, 0.5);
                let left = b.add(l, half);
                let slope = limiter.slope(b, across, after);
                let half = b.scale(slope, 0.5);
                [left, b.sub(r, half)]
            }
            Reconstruction::Weno5 => {
                let v = [at(-2), at(-1), at(0), at(1), at(2), at(3)];
                let left = weno5(b, [v[0], v[1], v[2], v[3], v[4]], scale);
                let right = weno5(b, [v[5], v[4], v[3], v[2], v[1]], scale);
                [left, right]
            }
        }
    }

    /// What is added to the fluxes of the reconstructed values, from fluxes at the centres of the cells; nothing at faces of a
    /// bounded axis that lack three cells on either side.
    pub fn correction(self, b: &mut Builder, line: Line, centres: Value) -> Option<Value> {
        if self != Reconstruction::Weno5 || !line.periodic && line.cells < 6 {
            return None;
        }
        let (axis, n) = (line.axis, line.cells);
        let mut sum = None;
        for (k, w) in CORRECTION.into_iter().enumerate() {
            let v = match line.periodic {
                true => line.beside(b, centres, 0, k as isize - 2),
                false => b.slice(centres, axis, k, n - 5 + k),
            };
            let term = b.scale(v, w);
            sum = Some(sum.map_or(term, |s| b.add(s, term)));
        }
        let sum = sum?;
        if line.periodic {
            return Some(sum);
        }
        let (mut low, rank) = (vec![0; b.ty(sum).rank()], b.ty(sum).rank());
        low[axis] = 3;
        Some(b.op(crate::ir::Op::Pad { low: low.clone(), high: low, interior: vec![0; rank] }, &[sum]))
    }

    /// `dû/dt` of the wave `exp(iθk)` carried at speed 1 over spacing 1, without limiters: its real and imaginary parts.
    pub fn symbol(self, theta: f64) -> (f64, f64) {
        // Weights of cells for the value at the face after cell 0.
        let face: Vec<(isize, f64)> = match self {
            Reconstruction::First => vec![(0, 1.0)],
            Reconstruction::Muscl(_) => vec![(-1, -0.25), (0, 1.0), (1, 0.25)],
            Reconstruction::Weno5 => {
                let upwind = [3.0, -20.0, 90.0, 60.0, -5.0, 0.0];
                (0..6).map(|k| (k as isize - 2, upwind[k] / 128.0 + CORRECTION[k])).collect()
            }
        };
        let (mut re, mut im) = (0.0, 0.0);
        for (k, w) in face {
            let (now, before) = (k as f64 * theta, (k - 1) as f64 * theta);
            re -= w * (now.cos() - before.cos());
            im -= w * (now.sin() - before.sin());
        }
        (re, im)
    }
}

impl Limiter {
    /// A slope between the two differences; zero at an extremum.
    pub(super) fn slope(self, b: &mut Builder, p: Value, q: Value) -> Value {
        match self {
            Limiter::Minmod => minmod(b, p, q),
            Limiter::Mc => {
                let (p2, q2) = (b.scale(p, 2.0), b.scale(q, 2.0));
                let sum = b.add(p, q);
                let mean = b.scale(sum, 0.5);
                let steep = minmod(b, p2, q2);
                minmod(b, steep, mean)
            }
            Limiter::Superbee => {
                let (p2, q2) = (b.scale(p, 2.0), b.scale(q, 2.0));
                let (s, r) = (minmod(b, p2, q), minmod(b, p, q2));
                // Of one sign: the larger in size.
                let zero = b.zeros_like(s);
                let (up, down) = (b.binary(Binary::Max, s, r), b.binary(Binary::Min, s, r));
                let (up, down) = (b.binary(Binary::Max, up, zero), b.binary(Binary::Min, down, zero));
                b.add(up, down)
            }
            Limiter::VanLeer => {
                let product = b.mul(p, q);
                let sum = b.add(p, q);
                let twice = b.scale(product, 2.0);
                quotient_where_positive(b, product, twice, sum)
            }
            Limiter::VanAlbada => {
                let product = b.mul(p, q);
                let sum = b.add(p, q);
                let over = b.mul(product, sum);
                let (pp, qq) = (b.mul(p, p), b.mul(q, q));
                let under = b.add(pp, qq);
                quotient_where_positive(b, product, over, under)
            }
        }
    }
}

/// The smaller in size of two numbers of one sign, else zero.
fn minmod(b: &mut Builder, p: Value, q: Value) -> Value {
    let zero = b.zeros_like(p);
    let (low, high) = (b.binary(Binary::Min, p, q), b.binary(Binary::Max, p, q));
    let (up, down) = (b.binary(Binary::Max, low, zero), b.binary(Binary::Min, high, zero));
    b.add(up, down)
}

/// `over/under` where `sign` is positive, else zero; the derivative is finite everywhere.
fn quotient_where_positive(b: &mut Builder, sign: Value, over: Value, under: Value) -> Value {
    let zero = b.zeros_like(sign);
    let one = b.full_like(sign, 1.0);
    let positive = b.compare(Compare::Lt, zero, sign);
    let under = b.select(positive, under, one);
    let over = b.select(positive, over, zero);
    b.div(over, under)
}

/// The value at the face after the third of five cells, with weights that keep the order at extrema. [Borges, Carmona, Costa & Don 2008]
fn weno5(b: &mut Builder, v: [Value; 5], scale: f64) -> Value {
    let combination = |b: &mut Builder, terms: &[(usize, f64)]| {
        let mut sum = None;
        for &(k, w) in terms {
            let term = b.scale(v[k], w);
            sum = Some(sum.map_or(term, |s| b.add(s, term)));
        }
        sum.expect("compiler bug: a sum of nothing")
    };
    // Interpolation at the face on each three cells, the two differences that tell how smooth they are, the linear weight.
    type Terms = &'static [(usize, f64)];
    const PARTS: [(Terms, Terms, Terms, f64); 3] = [
        (
            &[(0, 0.375), (1, -1.25), (2, 1.875)],
            &[(0, 1.0), (1, -2.0), (2, 1.0)],
            &[(0, 1.0), (1, -4.0), (2, 3.0)],
            1.0 / 16.0,
        ),
        (&[(1, -0.125), (2, 0.75), (3, 0.375)], &[(1, 1.0), (2, -2.0), (3, 1.0)], &[(1, 1.0), (3, -1.0)], 10.0 / 16.0),
        (
            &[(2, 0.375), (3, 0.75), (4, -0.125)],
            &[(2, 1.0), (3, -2.0), (4, 1.0)],
            &[(2, 3.0), (3, -4.0), (4, 1.0)],
            5.0 / 16.0,
        ),
    ];
    // Of parts in a smooth field, far below what their roughness can be.
    let tiny = 1e-12 * scale * scale;
    let parts: Vec<(Value, Value, f64)> = (PARTS.iter())
        .map(|&(value, second, first, linear)| {
            let (value, s, f) = (combination(b, value), combination(b, second), combination(b, first));
            let (s, f) = (b.mul(s, s), b.mul(f, f));
            let (s, f) = (b.scale(s, 13.0 / 12.0), b.scale(f, 0.25));
            (value, b.add(s, f), linear)
        })
        .collect();
    // How the outer two differ vanishes faster than each of them, also at extrema.
    let difference = b.sub(parts[0].1, parts[2].1);
    let (mut over, mut under) = (None, None);
    for (value, roughness, linear) in parts {
        let floor = b.full_like(roughness, tiny);
        let roughness = b.add(roughness, floor);
        let ratio = b.div(difference, roughness);
        let ratio = b.mul(ratio, ratio);
        let one = b.full_like(ratio, 1.0);
        let weight = b.add(ratio, one);
        let weight = b.scale(weight, linear);
        let term = b.mul(weight, value);
        over = Some(over.map_or(term, |o| b.add(o, term)));
        under = Some(under.map_or(weight, |u| b.add(u, weight)));
    }
    let (over, under) = (over.expect("compiler bug: no stencil"), under.expect("compiler bug: no stencil"));
    b.div(over, under)
}
