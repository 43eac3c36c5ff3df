//! Numbers too small to have all their digits.
//!
//! Ahead of a wave or a front, fields fall off over hundreds of orders of magnitude, through numbers below the smallest normal one
//! (1e-308, or 1e-38 in single precision), with which x86 computes a hundred times slower. Where loops over grids run they count as
//! zero, as operands and as results. Whatever is larger has the bits that it has elsewhere.

/// While this lives, small numbers are zero in this thread. Between making and dropping it runs generated code and nothing else that
/// computes with floats.
pub struct Flush {
    #[cfg(target_arch = "x86_64")]
    before: u32,
}

impl Flush {
    pub fn new() -> Flush {
        #[cfg(target_arch = "x86_64")]
        {
            /// Results and operands: "flush to zero" and "denormals are zeros". [Intel SDM, vol. 1, §10.2.3]
            const SMALL_IS_ZERO: u32 = 1 << 15 | 1 << 6;
            let before = control();
            set_control(before | SMALL_IS_ZERO);
            Flush { before }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Flush {}
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        set_control(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
fn control() -> u32 {
    let mut word = 0u32;
    // SAFETY: writes four bytes.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack)) };
    word
}

#[cfg(target_arch = "x86_64")]
fn set_control(word: u32) {
    // SAFETY: a word that was read before, but for two bits that [`Flush`] describes.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack)) };
}
