//! Memory that is far away, asked for before it is needed: states that a run leaves behind, and what passes begin with. Elsewhere what is
//! read next lies in cache. [Intel Optimization Manual, §9.3]

use super::layout::LINE;

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T1, _mm_prefetch};

/// The lines of some bytes, to be read. Any address will do.
pub fn to_read(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    fetch::<_MM_HINT_T1>(from, bytes);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}

/// The same, to be written.
pub fn to_write(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    fetch::<_MM_HINT_ET0>(from, bytes);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}

#[cfg(target_arch = "x86_64")]
fn fetch<const HINT: i32>(from: *const u8, bytes: usize) {
    for at in (0..bytes).step_by(LINE) {
        // SAFETY: a hint, which reads and changes nothing.
        unsafe { _mm_prefetch::<HINT>(from.wrapping_add(at).cast()) }
    }
}
