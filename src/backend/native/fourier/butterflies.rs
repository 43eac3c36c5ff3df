//! Complex transforms of many lines at once, one in each lane: passes of small transforms between two arrays, in natural order at
//! both ends [Stockham 1966; Van Loan 1992, §1.7].

use super::vector::Vector;
use std::f64::consts::TAU;

/// A transform `Σ_j z_j e^{-2πi jk/n}`. The other direction is the same with real and imaginary parts exchanged on both sides.
pub struct Plan<V: Vector> {
    pub n: usize,
    passes: Vec<Pass<V>>,
}

struct Pass<V: Vector> {
    radix: usize,
    /// Groups of transforms with a factor of their own, and transforms of each.
    groups: usize,
    each: usize,
    /// Of each group but the first the factors of all results but the first: cosine, sine.
    factors: Vec<V::Number>,
}

/// Where the elements of lines lie: element j of all lanes is a pair of vectors.
pub trait Place<V: Vector>: Copy {
    /// # Safety
    /// j is an element; as for [`Vector`].
    unsafe fn get(&self, j: usize) -> [V; 2];
    /// # Safety
    /// j is an element; as for [`Vector`].
    unsafe fn put(&self, j: usize, z: [V; 2]);
}

/// Pairs one after the other.
#[derive(Clone, Copy)]
pub struct Packed<V>(pub *mut [V; 2]);

impl<V: Vector> Place<V> for Packed<V> {
    #[inline(always)]
    unsafe fn get(&self, j: usize) -> [V; 2] {
        // SAFETY: the caller's.
        unsafe { *self.0.add(j) }
    }
    #[inline(always)]
    unsafe fn put(&self, j: usize, z: [V; 2]) {
        // SAFETY: the caller's.
        unsafe { *self.0.add(j) = z }
    }
}

/// Neighbouring columns of two arrays of numbers, whose rows are so many elements apart.
#[derive(Clone, Copy)]
pub struct Planes<V: Vector> {
    pub re: *mut V::Number,
    pub im: *mut V::Number,
    pub apart: usize,
    /// The columns that there are.
    pub mask: u16,
}

impl<V: Vector> Place<V> for Planes<V> {
    #[inline(always)]
    unsafe fn get(&self, j: usize) -> [V; 2] {
        // SAFETY: the caller's.
        unsafe { [self.re, self.im].map(|p| V::load(p.add(j * self.apart), self.mask)) }
    }
    #[inline(always)]
    unsafe fn put(&self, j: usize, z: [V; 2]) {
        // SAFETY: the caller's.
        unsafe {
            z[0].store(self.re.add(j * self.apart), self.mask);
            z[1].store(self.im.add(j * self.apart), self.mask);
        }
    }
}

impl<V: Vector> Planes<V> {
    /// Element j is to come into the cache.
    #[inline(always)]
    pub fn fetch(&self, j: usize) {
        // Their last lane: where columns begin within a cache line the first one is there with those before.
        let last = j * self.apart + V::LANES - 1;
        V::fetch(self.re.wrapping_add(last));
        V::fetch(self.im.wrapping_add(last));
    }
}

impl<V: Vector> Plan<V> {
    /// None where n has other prime factors than 2, 3 and 5, or fewer than two passes.
    pub fn new(n: usize) -> Option<Plan<V>> {
        let mut radices = vec![];
        let mut left = n.max(1);
        for radix in [8, 5, 4, 3, 2] {
            while left.is_multiple_of(radix) {
                // 16 is two fours rather than eight and two.
                if radix == 8 && left == 16 {
                    break;
                }
                radices.push(radix);
                left /= radix;
            }
        }
        if left > 1 || radices.len() < 2 {
            return None;
        }
        let mut each = 1;
        let passes = radices.into_iter().map(|radix| {
            let length = n / each;
            let groups = length / radix;
            let angle = |p: usize, k: usize| -TAU * (p * k % length) as f64 / length as f64;
            let factors = (1..groups).flat_map(|p| (1..radix).map(move |k| angle(p, k)));
            let factors = factors.flat_map(|a| [a.cos(), a.sin()]).map(V::number).collect();
            let pass = Pass { radix, groups, each, factors };
            each *= radix;
            pass
        });
        Some(Plan { n, passes: passes.collect() })
    }

    /// From one place to another, with n pairs of work each at `a` and `b`.
    ///
    /// # Safety
    /// As for [`Vector`] and [`Place`]; nobody else uses the memory.
    pub unsafe fn run(&self, from: impl Place<V>, to: impl Place<V>, a: Packed<V>, b: Packed<V>) {
        let [first, between @ .., last] = &self.passes[..] else {
            unreachable!("compiler bug: a transform in one pass")
        };
        // SAFETY: the caller's.
        unsafe {
            first.run(from, a);
            let (mut now, mut next) = (a, b);
            for pass in between {
                pass.run(now, next);
                (now, next) = (next, now);
            }
            last.run(now, to);
        }
    }
}

impl<V: Vector> Pass<V> {
    unsafe fn run(&self, from: impl Place<V>, to: impl Place<V>) {
        // SAFETY: the caller's.
        unsafe {
            match self.radix {
                8 => self.of::<8>(from, to),
                5 => self.of::<5>(from, to),
                4 => self.of::<4>(from, to),
                3 => self.of::<3>(from, to),
                2 => self.of::<2>(from, to),
                _ => unreachable!("compiler bug: a transform of this radix"),
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn of<const R: usize>(&self, from: impl Place<V>, to: impl Place<V>) {
        // SAFETY: the caller's; all elements lie below n.
        unsafe {
            for q in 0..self.each {
                let z = self.small::<R>(from, 0, q);
                (0..R).for_each(|k| to.put(q + self.each * k, z[k]));
            }
            for (p, factors) in (1..self.groups).zip(self.factors.chunks_exact(2 * (R - 1))) {
                for q in 0..self.each {
                    let z = self.small::<R>(from, p, q);
                    let at = q + self.each * R * p;
                    to.put(at, z[0]);
                    for k in 1..R {
                        let (c, s) = (V::splat(factors[2 * k - 2]), V::splat(factors[2 * k - 1]));
                        let [x, y] = z[k];
                        let turned = [y.times_from(s, x.times(c)), y.times_plus(c, x.times(s))];
                        to.put(at + self.each * k, turned);
                    }
                }
            }
        }
    }

    /// One small transform, without factors.
    #[inline(always)]
    unsafe fn small<const R: usize>(&self, from: impl Place<V>, p: usize, q: usize) -> [[V; 2]; R] {
        // SAFETY: the caller's.
        unsafe {
            let mut z = [from.get(q + self.each * p); R];
            for (k, z) in z.iter_mut().enumerate().skip(1) {
                *z = from.get(q + self.each * (p + k * self.groups));
            }
            butterfly(z)
        }
    }
}

#[inline(always)]
unsafe fn plus<V: Vector>(x: [V; 2], y: [V; 2]) -> [V; 2] {
    unsafe { [x[0].plus(y[0]), x[1].plus(y[1])] }
}

#[inline(always)]
unsafe fn minus<V: Vector>(x: [V; 2], y: [V; 2]) -> [V; 2] {
    unsafe { [x[0].minus(y[0]), x[1].minus(y[1])] }
}

/// `x - iy` and `x + iy`
#[inline(always)]
unsafe fn turned<V: Vector>(x: [V; 2], y: [V; 2]) -> [[V; 2]; 2] {
    unsafe { [[x[0].plus(y[1]), x[1].minus(y[0])], [x[0].minus(y[1]), x[1].plus(y[0])]] }
}

#[inline(always)]
unsafe fn four<V: Vector>([a, b, c, d]: [[V; 2]; 4]) -> [[V; 2]; 4] {
    unsafe {
        let (s, t) = (plus(a, c), plus(b, d));
        let [u, v] = turned(minus(a, c), minus(b, d));
        [plus(s, t), u, minus(s, t), v]
    }
}

#[inline(always)]
unsafe fn number<V: Vector>(x: f64) -> V {
    unsafe { V::splat(V::number(x)) }
}

#[inline(always)]
unsafe fn times<V: Vector>(x: [V; 2], by: V) -> [V; 2] {
    unsafe { [x[0].times(by), x[1].times(by)] }
}

/// `z + ax + by`
#[inline(always)]
unsafe fn combined<V: Vector>(z: [V; 2], x: [V; 2], a: V, y: [V; 2], b: V) -> [V; 2] {
    unsafe { [x[0].times_plus(a, y[0].times_plus(b, z[0])), x[1].times_plus(a, y[1].times_plus(b, z[1]))] }
}

/// The transform of R numbers.
#[inline(always)]
unsafe fn butterfly<V: Vector, const R: usize>(z: [[V; 2]; R]) -> [[V; 2]; R] {
    let mut out = z;
    unsafe {
        match R {
            2 => (out[0], out[1]) = (plus(z[0], z[1]), minus(z[0], z[1])),
            3 => {
                let (s, d) = (plus(z[1], z[2]), minus(z[1], z[2]));
                let half = number(0.5);
                let middle = [s[0].times_from(half, z[0][0]), s[1].times_from(half, z[0][1])];
                out[0] = plus(z[0], s);
                [out[1], out[2]] = turned(middle, times(d, number(0.75f64.sqrt())));
            }
            4 => out[..4].copy_from_slice(&four([z[0], z[1], z[2], z[3]])),
            5 => {
                let (s1, s2) = (plus(z[1], z[4]), plus(z[2], z[3]));
                let (d1, d2) = (minus(z[1], z[4]), minus(z[2], z[3]));
                let (once, twice) = (TAU / 5.0, 2.0 * TAU / 5.0);
                let (c1, c2) = (number(once.cos()), number(twice.cos()));
                let (i1, i2) = (number(once.sin()), number(twice.sin()));
                let zero = [number(0.0), number(0.0)];
                out[0] = plus(z[0], plus(s1, s2));
                let side = combined(zero, d1, i1, d2, i2);
                [out[1], out[4]] = turned(combined(z[0], s1, c1, s2, c2), side);
                let side = combined(zero, d1, i2, d2, number(-once.sin()));
                [out[2], out[3]] = turned(combined(z[0], s1, c2, s2, c1), side);
            }
            _ => {
                let even = four([z[0], z[2], z[4], z[6]]);
                let [o0, o1, o2, o3] = four([z[1], z[3], z[5], z[7]]);
                let root = number(0.5f64.sqrt());
                // Times (1 - i)/√2, -i, (-1 - i)/√2, of which y is minus the imaginary part.
                let o1 = [o1[0].plus(o1[1]).times(root), o1[1].minus(o1[0]).times(root)];
                let [x, y] = [o3[1].minus(o3[0]).times(root), o3[0].plus(o3[1]).times(root)];
                (out[0], out[4]) = (plus(even[0], o0), minus(even[0], o0));
                (out[1], out[5]) = (plus(even[1], o1), minus(even[1], o1));
                [out[2], out[6]] = turned(even[2], o2);
                out[3] = [even[3][0].plus(x), even[3][1].minus(y)];
                out[7] = [even[3][0].minus(x), even[3][1].plus(y)];
            }
        }
    }
    out
}
