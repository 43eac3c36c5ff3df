//! Memory that is far away, asked for before it is needed: states that a run leaves behind, and what passes begin with. Elsewhere what is
//! read next lies in cache. [Intel Optimization Manual, §9.3]

use super::layout::LINE;

/// The lines of some bytes, to be read. Any address will do.
pub fn to_read(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    lines(from, bytes).for_each(|line| {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line) }
    });
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}

/// The same, to be written.
pub fn to_write(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    lines(from, bytes).for_each(|line| {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: a hint, which changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(line) }
    });
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}

#[cfg(target_arch = "x86_64")]
fn lines(from: *const u8, bytes: usize) -> impl Iterator<Item = *const i8> {
    (0..bytes).step_by(LINE).map(move |at| from.wrapping_add(at).cast())
}
