//! The elementary functions over strips of contiguous elements, in three builds of one source (AVX-512, AVX2, baseline), the
//! best of which is chosen at start. All give the bits of [`crate::ir::math`], since that has no branches and says where it fuses.

use crate::ir::{Binary, Unary, math};
use std::sync::OnceLock;

/// `y[i] = f(x[i])` for `i < n`. Generated code calls these by address.
pub type Unary64 = unsafe extern "C" fn(usize, *const f64, *mut f64);
pub type Unary32 = unsafe extern "C" fn(usize, *const f32, *mut f32);
/// `z[i] = f(x[i], y[i])`
pub type Binary64 = unsafe extern "C" fn(usize, *const f64, *const f64, *mut f64);
pub type Binary32 = unsafe extern "C" fn(usize, *const f32, *const f32, *mut f32);

/// One build of every function.
pub struct Table {
    pub unary64: [Unary64; 7],
    pub unary32: [Unary32; 7],
    pub binary64: [Binary64; 2],
    pub binary32: [Binary32; 2],
}

/// The functions of this processor.
pub fn table() -> &'static Table {
    static TABLE: OnceLock<&'static Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                return &avx512::TABLE;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return &avx2::TABLE;
            }
        }
        &baseline::TABLE
    })
}

/// The place of an elementary function in the tables; none for what is a machine instruction.
pub fn unary_slot(f: Unary) -> Option<usize> {
    match f {
        Unary::Exp => Some(0),
        Unary::Log => Some(1),
        Unary::Sin => Some(2),
        Unary::Cos => Some(3),
        Unary::Tanh => Some(4),
        Unary::Atan => Some(5),
        Unary::Erf => Some(6),
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Sqrt => None,
    }
}

pub fn binary_slot(f: Binary) -> Option<usize> {
    match f {
        Binary::Pow => Some(0),
        Binary::Atan2 => Some(1),
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Min | Binary::Max => None,
    }
}

macro_rules! build {
    ($module:ident $(, $feature:literal)?) => {
        mod $module {
            use super::*;

            macro_rules! unary {
                ($name:ident, $t:ty, $f:path) => {
                    /// SAFETY: the caller gives `n` readable elements at `x` and `n` writable ones at `y` (which may be `x`), and
                    /// runs on a processor with this build's features.
                    $(#[target_feature(enable = $feature)])?
                    unsafe extern "C" fn $name(n: usize, x: *const $t, y: *mut $t) {
                        for i in 0..n {
                            unsafe { *y.add(i) = $f(*x.add(i)) }
                        }
                    }
                };
            }
            macro_rules! binary {
                ($name:ident, $t:ty, $f:path) => {
                    /// SAFETY: as for the functions of one argument.
                    $(#[target_feature(enable = $feature)])?
                    unsafe extern "C" fn $name(n: usize, x: *const $t, y: *const $t, z: *mut $t) {
                        for i in 0..n {
                            unsafe { *z.add(i) = $f(*x.add(i), *y.add(i)) }
                        }
                    }
                };
            }
            unary!(exp, f64, math::exp);
            unary!(log, f64, math::log);
            unary!(sin, f64, math::sin);
            unary!(cos, f64, math::cos);
            unary!(tanh, f64, math::tanh);
            unary!(atan, f64, math::atan);
            unary!(erf, f64, math::erf);
            binary!(pow, f64, math::pow);
            binary!(atan2, f64, math::atan2);
            unary!(exp32, f32, math::single::exp);
            unary!(log32, f32, math::single::log);
            unary!(sin32, f32, math::single::sin);
            unary!(cos32, f32, math::single::cos);
            unary!(tanh32, f32, math::single::tanh);
            unary!(atan32, f32, math::single::atan);
            unary!(erf32, f32, math::single::erf);
            binary!(pow32, f32, math::single::pow);
            binary!(atan232, f32, math::single::atan2);

            pub static TABLE: Table = Table {
                unary64: [exp, log, sin, cos, tanh, atan, erf],
                unary32: [exp32, log32, sin32, cos32, tanh32, atan32, erf32],
                binary64: [pow, atan2],
                binary32: [pow32, atan232],
            };
        }
    };
}

build!(baseline);
#[cfg(target_arch = "x86_64")]
build!(avx2, "avx2,fma");
#[cfg(target_arch = "x86_64")]
build!(avx512, "avx512f,avx512dq");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_build_gives_the_bits_of_the_interpreter() {
        let x: Vec<f64> = (0..1003).map(|i| (i as f64 - 500.0) * 0.0371).collect();
        let references: [fn(f64) -> f64; 7] =
            [math::exp, math::log, math::sin, math::cos, math::tanh, math::atan, math::erf];
        for t in [table(), &baseline::TABLE] {
            for (f, reference) in t.unary64.iter().zip(references) {
                let mut y = vec![0.0; x.len()];
                // SAFETY: both slices have `n` elements, and `table` asked the processor for its features.
                unsafe { f(x.len(), x.as_ptr(), y.as_mut_ptr()) };
                for (x, y) in x.iter().zip(&y) {
                    assert_eq!(y.to_bits(), reference(*x).to_bits(), "{x}");
                }
            }
        }
    }
}
