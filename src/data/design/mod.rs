//! Designs of experiments on the unit cube: which points of (0, 1)^d a sample takes. Laws map them through quantiles.

mod directions;

use super::{Stream, draw::open_unit};
use directions::DIRECTIONS;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Design {
    /// Independent points. More rows keep the first ones.
    Random,
    /// Latin hypercube: each column has one point in each of n equal slices [McKay, Beckman & Conover 1979].
    LatinHypercube,
    /// Sobol's sequence with the direction numbers of [Joe & Kuo 2008], in Gray-code order. More rows keep the first ones.
    Sobol { scramble: Scramble },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Scramble {
    None,
    /// One random xor a column.
    DigitalShift,
    /// Nested uniform scrambling [Owen 1995]: each bit is flipped by a hash of the bits above it.
    Owen,
}

/// The most columns of a Sobol design.
pub const SOBOL_COLUMNS: usize = DIRECTIONS.len() + 1;

impl Design {
    /// `n` points in `d` columns, row-major, each number in (0, 1).
    pub fn points(self, n: usize, d: usize, stream: &Stream) -> Result<Vec<f64>, String> {
        let columns: Vec<Stream> = (0..d as u64).map(|k| stream.indexed(k)).collect();
        self.points_of(n, &columns)
    }

    /// The same with a stream for each column, so that a column does not change when others come or go
    /// (for Sobol, when others come after it).
    pub fn points_of(self, n: usize, columns: &[Stream]) -> Result<Vec<f64>, String> {
        let d = columns.len();
        if n > u32::MAX as usize {
            return Err(format!("a design of {n} points is too large"));
        }
        let mut points = vec![0.0; n * d];
        for (k, stream) in columns.iter().enumerate() {
            let column: Vec<f64> = match self {
                Design::Random => (0..n as u64).map(|i| stream.uniform(i, 0)).collect(),
                Design::LatinHypercube => latin_column(n, stream),
                Design::Sobol { scramble } => sobol_column(n, k, scramble, stream)?,
            };
            column.into_iter().enumerate().for_each(|(i, u)| points[i * d + k] = u);
        }
        Ok(points)
    }

    /// Whether `n' > n` points begin with the `n` points.
    pub fn extends(self) -> bool {
        self != Design::LatinHypercube
    }
}

fn latin_column(n: usize, stream: &Stream) -> Vec<f64> {
    let jitter = stream.child("jitter");
    let slices = stream.child("slices").permutation(0, n);
    slices.iter().enumerate().map(|(i, &s)| (s as f64 + jitter.uniform(i as u64, 0)) / n as f64).map(inside).collect()
}

fn sobol_column(n: usize, k: usize, scramble: Scramble, stream: &Stream) -> Result<Vec<f64>, String> {
    let v = direction_numbers(k).ok_or_else(|| {
        format!("a Sobol design has at most {SOBOL_COLUMNS} columns; use a latin hypercube (`by=lhs`) for more")
    })?;
    let key = stream.child("scramble").bits(0, 0);
    let below = stream.child("below 2^-32");
    let mut x = 0u32;
    let column = (0..n as u64).map(|i| {
        if i > 0 {
            x ^= v[i.trailing_zeros() as usize];
        }
        match scramble {
            Scramble::None => (x as f64 + 0.5) * TWO_TO_MINUS_32,
            Scramble::DigitalShift => ((x ^ key as u32) as f64 + 0.5) * TWO_TO_MINUS_32,
            // Random bits below the last scrambled one make each point exactly uniform; 20 of them fit beside 32.
            Scramble::Owen => {
                let rest = ((below.bits(i, 0) >> 44) as f64 + 0.5) / (1u64 << 20) as f64;
                (owen(x, key) as f64 + rest) * TWO_TO_MINUS_32
            }
        }
    });
    Ok(column.collect())
}

const TWO_TO_MINUS_32: f64 = 1.0 / 4_294_967_296.0;

/// Column `k`'s direction numbers `v_1 …, v_32`, each with its leading bit at the top.
fn direction_numbers(k: usize) -> Option<[u32; 32]> {
    if k == 0 {
        return Some(std::array::from_fn(|i| 1 << (31 - i)));
    }
    let &(polynomial, m) = DIRECTIONS.get(k - 1)?;
    let s = m.len();
    let mut v = [0u32; 32];
    for i in 0..32 {
        v[i] = if i < s {
            m[i] << (31 - i)
        } else {
            (1..s).filter(|&j| polynomial >> (s - j) & 1 == 1).fold(v[i - s] ^ v[i - s] >> s, |x, j| x ^ v[i - j])
        };
    }
    Some(v)
}

/// Flips each bit by a hash of its place and of all bits above it: a random permutation of every dyadic tree level.
fn owen(x: u32, key: u64) -> u32 {
    (0..32).fold(x, |y, bit| {
        let above = (x as u64) >> (32 - bit);
        y ^ ((mix(key ^ above << 6 ^ bit) as u32 & 1) << (31 - bit))
    })
}

/// The finaliser of SplitMix64 [Steele, Lea & Flood 2014].
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Division may round up to 1.
fn inside(u: f64) -> f64 {
    u.min(open_unit(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWEN: Design = Design::Sobol { scramble: Scramble::Owen };
    const PLAIN: Design = Design::Sobol { scramble: Scramble::None };

    #[test]
    fn sobol_agrees_with_the_published_sequence() {
        // scipy 1.17 `qmc.Sobol(40, scramble=False, bits=32)`, itself [Joe & Kuo 2008, new-joe-kuo-6.21201], times 2³².
        let p = PLAIN.points(64, 40, &Stream::new(1, "s")).unwrap();
        let at = |i: usize, k: usize| p[i * 40 + k] * 4_294_967_296.0 - 0.5;
        let row = [
            3959422976.0,
            2751463424.0,
            2483027968.0,
            3959422976.0,
            3288334336.0,
            1275068416.0,
            738197504.0,
            3422552064.0,
            2617245696.0,
            738197504.0,
        ];
        for (k, x) in row.into_iter().enumerate() {
            assert_eq!(at(37, k), x);
        }
        assert_eq!((at(63, 39), at(29, 35)), (738197504.0, 2818572288.0));
    }

    #[test]
    fn direction_numbers_are_odd_and_small() {
        for (k, (polynomial, m)) in DIRECTIONS.iter().enumerate() {
            assert_eq!(polynomial.ilog2() as usize, m.len());
            assert!(m.iter().enumerate().all(|(i, m)| m % 2 == 1 && *m < 2 << i), "column {}", k + 2);
        }
    }

    #[test]
    fn one_point_in_each_slice() {
        let n = 128;
        for design in [Design::LatinHypercube, PLAIN, OWEN] {
            let p = design.points(n, SOBOL_COLUMNS, &Stream::new(2, "s")).unwrap();
            for k in 0..SOBOL_COLUMNS {
                let mut seen = vec![false; n];
                (0..n).for_each(|i| seen[(p[i * SOBOL_COLUMNS + k] * n as f64) as usize] = true);
                assert!(seen.iter().all(|&s| s), "{design:?}, column {k}");
            }
        }
    }

    #[test]
    fn scrambling_keeps_the_net() {
        // The first two columns are a (0, 2)-sequence: 2^m points put one in each elementary box of area 2^-m.
        for scramble in [Scramble::None, Scramble::DigitalShift, Scramble::Owen] {
            let p = Design::Sobol { scramble }.points(64, 2, &Stream::new(5, "s")).unwrap();
            for a in 0..=6 {
                let mut boxes = vec![0; 64];
                for q in p.chunks(2) {
                    let (i, j) = ((q[0] * (1 << a) as f64) as usize, (q[1] * (64 >> a) as f64) as usize);
                    boxes[i * (64 >> a) + j] += 1;
                }
                assert!(boxes.iter().all(|&c| c == 1), "{scramble:?}, {a}");
            }
        }
    }

    #[test]
    fn more_rows_keep_the_first() {
        let s = Stream::new(9, "s");
        for design in [Design::Random, PLAIN, OWEN] {
            assert!(design.extends());
            assert_eq!(design.points(50, 3, &s).unwrap(), design.points(80, 3, &s).unwrap()[..150]);
        }
    }

    #[test]
    fn scrambled_sobol_integrates_better_than_random() {
        // ∫ Π (1 + (u_k - 1/2)) du = 1 in 5 dimensions; plain Monte Carlo with 4096 points errs by about 1e-2.
        let p = OWEN.points(4096, 5, &Stream::new(4, "s")).unwrap();
        let mean = p.chunks(5).map(|u| u.iter().map(|u| 0.5 + u).product::<f64>()).sum::<f64>() / 4096.0;
        assert!((mean - 1.0).abs() < 1e-4, "{mean}");
    }

    #[test]
    fn too_many_sobol_columns_are_refused() {
        assert!(OWEN.points(4, SOBOL_COLUMNS + 1, &Stream::new(1, "s")).unwrap_err().contains("lhs"));
    }
}
