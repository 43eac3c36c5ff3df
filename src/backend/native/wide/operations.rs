//! The instructions of AVX-512 that bodies are made of. Codes of double and of single precision differ in prefix and width.

use super::encode::Op;
use super::tape::{One, Two};

pub const STORE: Op = Op { map: 1, prefix: 1, wide: true, code: 0x11, immediate: None };
pub const MOVE: Op = Op { map: 1, prefix: 1, wide: true, code: 0x28, immediate: None };
pub const ZERO: Op = Op { map: 1, prefix: 1, wide: false, code: 0xef, immediate: None };
pub const EXTRACT_UPPER: Op = Op { map: 3, prefix: 1, wide: true, code: 0x1b, immediate: Some(1) };
pub const INSERT_UPPER: Op = Op { map: 3, prefix: 1, wide: true, code: 0x1a, immediate: Some(1) };

pub fn arithmetic(code: u8, double: bool) -> Op {
    Op { map: 1, prefix: double as u8, wide: double, code, immediate: None }
}

pub fn load(double: bool) -> Op {
    arithmetic(0x10, double)
}

pub fn broadcast(double: bool) -> Op {
    Op { map: 2, prefix: 1, wide: double, code: if double { 0x19 } else { 0x18 }, immediate: None }
}

pub fn add_whole(double: bool) -> Op {
    Op { map: 1, prefix: 1, wide: double, code: if double { 0xd4 } else { 0xfe }, immediate: None }
}

pub fn one(f: One, double: bool) -> Op {
    match f {
        One::Sqrt => arithmetic(0x51, double),
        One::Floor => {
            Op { map: 3, prefix: 1, wide: double, code: if double { 0x09 } else { 0x08 }, immediate: Some(9) }
        }
        One::Exponent => Op { map: 2, prefix: 1, wide: double, code: 0x42, immediate: None },
        One::Mantissa => Op { map: 3, prefix: 1, wide: double, code: 0x26, immediate: Some(0) },
    }
}

pub fn two(f: Two, double: bool) -> Op {
    match f {
        Two::Add => arithmetic(0x58, double),
        Two::Mul => arithmetic(0x59, double),
        Two::Sub => arithmetic(0x5c, double),
        Two::Min => arithmetic(0x5d, double),
        Two::Div => arithmetic(0x5e, double),
        Two::Max => arithmetic(0x5f, double),
        Two::And => arithmetic(0x54, double),
        Two::AndNot => arithmetic(0x55, double),
        Two::Or => arithmetic(0x56, double),
        Two::Xor => arithmetic(0x57, double),
        Two::Scale => wider(0x2c, double),
    }
}

/// Of the second map, the same code in both precisions.
pub fn wider(code: u8, double: bool) -> Op {
    Op { map: 2, prefix: 1, wide: double, code, immediate: None }
}
