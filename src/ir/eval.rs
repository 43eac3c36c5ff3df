//! The slow plain interpreter: the oracle that every backend is compared with.

use super::{Binary, Compare, Unary};

/// One element. `single` rounds as f32 arithmetic does. `None` where folding must be left to the run.
pub fn unary(f: Unary, x: f64, single: bool) -> Option<f64> {
    let y = match f {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign => {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        }
        Unary::Floor => x.floor(),
        Unary::Sqrt => x.sqrt(),
        Unary::Exp | Unary::Log | Unary::Sin | Unary::Cos | Unary::Tanh | Unary::Atan | Unary::Erf => return None,
    };
    Some(if single { y as f32 as f64 } else { y })
}

pub fn binary(f: Binary, a: f64, b: f64, _single: bool) -> f64 {
    match f {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
        Binary::Min => a.min(b),
        Binary::Max => a.max(b),
        Binary::Atan2 => a.atan2(b),
    }
}

pub fn compare(c: Compare, a: f64, b: f64) -> f64 {
    let holds = match c {
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Eq => a == b,
    };
    holds as u8 as f64
}
