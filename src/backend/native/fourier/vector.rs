//! Vectors of 512 bits for [`super::lanes`]: independent numbers, one of each line that is transformed.

use std::arch::x86_64::*;

/// Whether this processor has such vectors.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
}

/// # Safety
/// Every function needs a processor for which [`available`] holds, and is fast only where it is inlined into a function that
/// enables these instructions.
pub trait Vector: Copy + Send + Sync + 'static {
    type Number: Copy + Default + Send + Sync + 'static;
    const LANES: usize;

    fn number(x: f64) -> Self::Number;
    unsafe fn splat(x: Self::Number) -> Self;
    /// Lanes that the mask leaves out are 0, and their memory is not read.
    unsafe fn load(from: *const Self::Number, mask: u16) -> Self;
    unsafe fn store(self, to: *mut Self::Number, mask: u16);
    /// Asks for what lies there, or would, to come into the second-level cache.
    fn fetch(from: *const Self::Number) {
        // SAFETY: no memory is accessed.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }
    unsafe fn plus(self, y: Self) -> Self;
    unsafe fn minus(self, y: Self) -> Self;
    unsafe fn times(self, y: Self) -> Self;
    /// `self·y + z`
    unsafe fn times_plus(self, y: Self, z: Self) -> Self;
    /// `z - self·y`
    unsafe fn times_from(self, y: Self, z: Self) -> Self;
    /// Lanes whose number has bit h take, in the first result, those of b that are h below, and give their own to the second.
    unsafe fn exchanged(a: Self, b: Self, h: usize) -> (Self, Self);
}

/// Rows become columns, in place. As many vectors as lanes.
///
/// # Safety
/// As for [`Vector`].
#[inline(always)]
pub unsafe fn transpose<V: Vector>(v: &mut [V; 16]) {
    let mut h = V::LANES / 2;
    while h > 0 {
        for i in 0..V::LANES {
            if i & h == 0 {
                // SAFETY: the caller's.
                (v[i], v[i + h]) = unsafe { V::exchanged(v[i], v[i + h], h) };
            }
        }
        h /= 2;
    }
}

/// Eight numbers in double precision.
#[derive(Clone, Copy)]
pub struct Double(__m512d);

/// Sixteen in single precision.
#[derive(Clone, Copy)]
pub struct Single(__m512);

#[repr(align(64))]
struct Table<T>(T);

/// Where lane l of the results of an exchange comes from: lanes of b count on from those of a.
const fn places64() -> [[[i64; 8]; 2]; 3] {
    let mut all = [[[0; 8]; 2]; 3];
    let mut s = 0;
    while s < 3 {
        let h = 1 << s;
        let mut l = 0;
        while l < 8 {
            let upper = l & h != 0;
            all[s][0][l as usize] = if upper { 8 + l - h } else { l };
            all[s][1][l as usize] = if upper { 8 + l } else { l + h };
            l += 1;
        }
        s += 1;
    }
    all
}

const fn places32() -> [[[i32; 16]; 2]; 4] {
    let mut all = [[[0; 16]; 2]; 4];
    let mut s = 0;
    while s < 4 {
        let h = 1 << s;
        let mut l = 0;
        while l < 16 {
            let upper = l & h != 0;
            all[s][0][l as usize] = if upper { 16 + l - h } else { l };
            all[s][1][l as usize] = if upper { 16 + l } else { l + h };
            l += 1;
        }
        s += 1;
    }
    all
}

static PLACES_64: Table<[[[i64; 8]; 2]; 3]> = Table(places64());
static PLACES_32: Table<[[[i32; 16]; 2]; 4]> = Table(places32());

macro_rules! vector {
    ($name:ident, $number:ty, $lanes:literal, $mask:ty, $places:ident, $index:ty, $names:tt) => {
        vector!(@with $name, $number, $lanes, $mask, $places, $index, $names);
    };
    (@with $name:ident, $number:ty, $lanes:literal, $mask:ty, $places:ident, $index:ty,
     [$splat:ident $load:ident $store:ident $add:ident $sub:ident $mul:ident $fma:ident $fnma:ident $permute:ident]) => {
        // SAFETY of all: the caller's, for pointers and processors.
        impl Vector for $name {
            type Number = $number;
            const LANES: usize = $lanes;

            fn number(x: f64) -> $number {
                x as $number
            }
            #[inline(always)]
            unsafe fn splat(x: $number) -> $name {
                unsafe { $name($splat(x)) }
            }
            #[inline(always)]
            unsafe fn load(from: *const $number, mask: u16) -> $name {
                unsafe { $name($load(mask as $mask, from)) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $number, mask: u16) {
                unsafe { $store(to, mask as $mask, self.0) }
            }
            #[inline(always)]
            unsafe fn plus(self, y: $name) -> $name {
                unsafe { $name($add(self.0, y.0)) }
            }
            #[inline(always)]
            unsafe fn minus(self, y: $name) -> $name {
                unsafe { $name($sub(self.0, y.0)) }
            }
            #[inline(always)]
            unsafe fn times(self, y: $name) -> $name {
                unsafe { $name($mul(self.0, y.0)) }
            }
            #[inline(always)]
            unsafe fn times_plus(self, y: $name, z: $name) -> $name {
                unsafe { $name($fma(self.0, y.0, z.0)) }
            }
            #[inline(always)]
            unsafe fn times_from(self, y: $name, z: $name) -> $name {
                unsafe { $name($fnma(self.0, y.0, z.0)) }
            }
            #[inline(always)]
            unsafe fn exchanged(a: $name, b: $name, h: usize) -> ($name, $name) {
                let [low, high] = &$places.0[h.trailing_zeros() as usize];
                unsafe {
                    let (low, high) = (_mm512_load_si512(low.as_ptr().cast()), _mm512_load_si512(high.as_ptr().cast()));
                    ($name($permute(a.0, low, b.0)), $name($permute(a.0, high, b.0)))
                }
            }
        }
    };
}

vector!(Double, f64, 8, __mmask8, PLACES_64, i64, [
    _mm512_set1_pd _mm512_maskz_loadu_pd _mm512_mask_storeu_pd _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_fmadd_pd
    _mm512_fnmadd_pd _mm512_permutex2var_pd
]);
vector!(Single, f32, 16, __mmask16, PLACES_32, i32, [
    _mm512_set1_ps _mm512_maskz_loadu_ps _mm512_mask_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_fmadd_ps
    _mm512_fnmadd_ps _mm512_permutex2var_ps
]);
