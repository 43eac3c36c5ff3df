//! Memory that repeats, for a window that moves along the rows of an array.

use std::ptr::null_mut;

/// Rows of bytes, of which those that are `count` apart are one. Wherever a window of fewer rows begins, it lies in one piece: the same
/// pages follow themselves in the address space.
pub struct Ring {
    base: *mut u8,
    /// Bytes of a row.
    pitch: usize,
    count: usize,
    memory: Memory,
}

enum Memory {
    /// So many bytes of address space.
    #[cfg(target_os = "linux")]
    Mapped(usize),
    /// As many rows as there are: nothing repeats.
    Plain(#[allow(dead_code, reason = "`base` points into it")] Vec<u64>),
}

// SAFETY: plain memory; who writes through the pointers says why nobody else does.
unsafe impl Send for Ring {}
unsafe impl Sync for Ring {}

/// So many rows are whole pages where each is a multiple of so many cache lines.
pub const GRAIN: usize = 16;
pub const LINES: usize = PAGE / LINE / GRAIN;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Bytes of a page. Where it is more, nothing is mapped.
const PAGE: usize = 4096;

impl Ring {
    /// At least `least` rows, a multiple of [`GRAIN`], of which `window` are used at a time; of `all` rows where memory cannot
    /// repeat. All elements are zero.
    pub fn new(least: usize, window: usize, all: usize, pitch: usize) -> Ring {
        let count = least.next_multiple_of(GRAIN);
        if count < all
            && let Some(ring) = Ring::mapped(count, pitch)
        {
            return ring;
        }
        let mut memory = vec![0u64; ((all + window) * pitch).div_ceil(8)];
        Ring { base: memory.as_mut_ptr().cast(), pitch, count: all, memory: Memory::Plain(memory) }
    }

    #[cfg(target_os = "linux")]
    fn mapped(count: usize, pitch: usize) -> Option<Ring> {
        let len = count * pitch;
        if len == 0 || !len.is_multiple_of(PAGE) {
            return None;
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the file is new; its pages are mapped twice into address space that was just reserved, and nowhere else.
        unsafe {
            let file = libc::memfd_create(c"rows".as_ptr(), libc::MFD_CLOEXEC);
            if file < 0 {
                return None;
            }
            let reserve = || {
                if libc::ftruncate(file, len as libc::off_t) != 0 {
                    return None;
                }
                let at =
                    libc::mmap(null_mut(), 2 * len, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
                (at != libc::MAP_FAILED).then_some(at)
            };
            let at = reserve();
            let shared = libc::MAP_SHARED | libc::MAP_FIXED;
            let twice = at.is_some_and(|at| {
                (0..2).all(|k| libc::mmap(at.add(k * len), len, access, shared, file, 0) != libc::MAP_FAILED)
            });
            libc::close(file);
            let base = at?.cast::<u8>();
            let ring = Ring { base, pitch, count, memory: Memory::Mapped(2 * len) };
            twice.then_some(ring)
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn mapped(_: usize, _: usize) -> Option<Ring> {
        None
    }

    /// Where row `i` begins, before which `before` rows are in the same piece.
    pub fn row(&self, i: usize, before: usize) -> *mut u8 {
        debug_assert!(i >= before);
        // Of 32 bits: twice as fast.
        let place = (i - before) as u32 % self.count as u32;
        let place = place as usize + before;
        self.base.wrapping_add(place * self.pitch)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        match &self.memory {
            #[cfg(target_os = "linux")]
            Memory::Mapped(len) => {
                // SAFETY: it was mapped for this, and nobody uses it any more.
                unsafe { libc::munmap(self.base.cast(), *len) };
            }
            Memory::Plain(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_repeat_in_one_piece() {
        for (all, repeats) in [(1000, cfg!(target_os = "linux")), (16, false)] {
            let ring = Ring::new(10, 6, all, 512);
            for i in 2..if repeats { 50 } else { 16 } {
                // SAFETY: inside the ring; four rows from two before on lie in one piece.
                unsafe {
                    *ring.row(i, 2) = i as u8;
                    let before = ring.row(i, 2).sub(1024);
                    for k in [1, 2] {
                        if i >= 2 + k {
                            assert_eq!(*before.add((2 - k) * 512), (i - k) as u8, "row {i}");
                        }
                    }
                }
            }
            assert_eq!(ring.row(5, 2) == ring.row(5 + 16, 2), repeats || all == 16);
        }
    }
}
