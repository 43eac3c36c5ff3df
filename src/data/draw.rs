//! Counter-based random numbers: a value is a pure function of (study seed, names, row, component), never of the order
//! in which values are asked for. The generator is ChaCha8, keyed by a hash of the seed and the names; the row selects
//! its 64-bit stream and the component the place in that stream, so any value is reached in one block.

use crate::base::fingerprint::Hasher;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The random numbers of one draw: an unbounded table `(row, component)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stream {
    key: [u8; 32],
}

impl Stream {
    /// The draw called `name` (`Micro.T`) in a study with this seed.
    pub fn new(seed: u64, name: &str) -> Stream {
        let mut h = Hasher::new("mslc stream 1");
        h.integer(seed).text(name);
        Stream { key: h.finish().0 }
    }

    /// An independent stream under this one.
    pub fn child(&self, name: &str) -> Stream {
        let mut h = Hasher::new("mslc child stream 1");
        h.bytes(&self.key).text(name);
        Stream { key: h.finish().0 }
    }

    /// An independent stream for each `k`: components of a vector, epochs, resamples.
    pub fn indexed(&self, k: u64) -> Stream {
        let mut h = Hasher::new("mslc indexed stream 1");
        h.bytes(&self.key).integer(k);
        Stream { key: h.finish().0 }
    }

    /// 64 random bits.
    pub fn bits(&self, row: u64, component: u64) -> u64 {
        self.at(row, component).next_u64()
    }

    /// Uniform in the open interval (0, 1): a multiple of 2⁻⁵² plus a half step, so that no quantile is infinite.
    pub fn uniform(&self, row: u64, component: u64) -> f64 {
        open_unit(self.bits(row, component))
    }

    /// Standard normal.
    pub fn normal(&self, row: u64, component: u64) -> f64 {
        super::law::normal_quantile(self.uniform(row, component))
    }

    /// Components `0, 1, …` of a row; the values of [`Stream::uniform`], cheaper by the block.
    pub fn fill_uniform(&self, row: u64, out: &mut [f64]) {
        let mut rng = self.at(row, 0);
        out.iter_mut().for_each(|u| *u = open_unit(rng.next_u64()));
    }

    /// Components `0, 1, …` of a row, standard normal.
    pub fn fill_normal(&self, row: u64, out: &mut [f64]) {
        self.fill_uniform(row, out);
        out.iter_mut().for_each(|u| *u = super::law::normal_quantile(*u));
    }

    /// A uniformly random permutation of `0..n` for each `row`: Fisher–Yates with unbiased bounded integers
    /// [Lemire, Fast random integer generation in an interval, 2019].
    pub fn permutation(&self, row: u64, n: usize) -> Vec<u32> {
        assert!(n <= u32::MAX as usize, "compiler bug: permutation of {n} items");
        let mut rng = self.at(row, 0);
        let mut p: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            p.swap(i, bounded(&mut rng, i as u64 + 1) as usize);
        }
        p
    }

    /// A uniform integer in `0..n`.
    pub fn below(&self, n: u64, row: u64, component: u64) -> u64 {
        // The bias n/2⁶⁴ is far below what any sample could show.
        ((self.bits(row, component) as u128 * n as u128) >> 64) as u64
    }

    fn at(&self, row: u64, component: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(row);
        rng.set_word_pos(2 * component as u128);
        rng
    }
}

pub(crate) fn open_unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
}

fn bounded(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    loop {
        let m = rng.next_u64() as u128 * n as u128;
        if m as u64 >= n.wrapping_neg() % n {
            return (m >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_do_not_depend_on_the_order_of_asking() {
        let s = Stream::new(7, "Micro.T");
        let mut row = [0.0; 100];
        s.fill_uniform(3, &mut row);
        for k in [99, 0, 17, 64] {
            assert_eq!(row[k], s.uniform(3, k as u64));
        }
    }

    #[test]
    fn streams_differ_by_seed_name_row_and_component() {
        let all = [
            Stream::new(7, "a").bits(0, 0),
            Stream::new(8, "a").bits(0, 0),
            Stream::new(7, "b").bits(0, 0),
            Stream::new(7, "a").bits(1, 0),
            Stream::new(7, "a").bits(0, 1),
            Stream::new(7, "a").child("x").bits(0, 0),
            Stream::new(7, "a").indexed(0).bits(0, 0),
        ];
        for i in 0..all.len() {
            assert!(!all[i + 1..].contains(&all[i]));
        }
    }

    #[test]
    fn moments_are_those_of_the_laws() {
        // Standard errors for n = 40000: mean of u 0.00144, mean of z 0.005, variance of z 0.0071; four of each.
        let (s, n) = (Stream::new(1, "moments"), 40_000);
        let (mut u, mut z) = (vec![0.0; n], vec![0.0; n]);
        s.fill_uniform(0, &mut u);
        s.fill_normal(1, &mut z);
        let mean = |x: &[f64]| x.iter().sum::<f64>() / n as f64;
        assert!((mean(&u) - 0.5).abs() < 0.006);
        assert!(mean(&z).abs() < 0.02);
        assert!((mean(&z.iter().map(|z| z * z).collect::<Vec<_>>()) - 1.0).abs() < 0.03);
    }

    #[test]
    fn a_permutation_holds_each_index_once() {
        let mut p = Stream::new(1, "p").permutation(5, 1000);
        assert_ne!(p, (0..1000).collect::<Vec<_>>());
        p.sort_unstable();
        assert_eq!(p, (0..1000).collect::<Vec<_>>());
        assert!(Stream::new(1, "p").permutation(0, 0).is_empty());
    }

    #[test]
    fn the_open_interval_excludes_its_ends() {
        assert!(open_unit(0) > 0.0 && open_unit(u64::MAX) < 1.0);
    }
}
