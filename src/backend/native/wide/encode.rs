//! Machine code of x86-64: the few scalar instructions that loops need, and AVX-512 in its EVEX encoding.
//! [Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 2, §2.1, §2.3, §2.7]

use std::collections::HashMap;

pub mod gpr {
    pub const RAX: u8 = 0;
    pub const RCX: u8 = 1;
    pub const RDX: u8 = 2;
    pub const RBX: u8 = 3;
    pub const RSP: u8 = 4;
    pub const RBP: u8 = 5;
    pub const RSI: u8 = 6;
    pub const RDI: u8 = 7;
    pub const R8: u8 = 8;
}

/// `[base + index·2^scale + disp]`; the index may be a vector register.
#[derive(Clone, Copy, Debug)]
pub struct Mem {
    pub base: u8,
    pub index: Option<(u8, u8)>,
    pub disp: i32,
}

/// The last operand of an instruction.
#[derive(Clone, Copy, Debug)]
pub enum Rm {
    Reg(u8),
    Mem(Mem),
    /// A constant behind the code, by its offset there.
    Pool(usize),
}

/// An instruction of the EVEX space.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// 1: 0F, 2: 0F 38, 3: 0F 3A.
    pub map: u8,
    /// 0: none, 1: 66, 2: F3, 3: F2.
    pub prefix: u8,
    pub wide: bool,
    pub code: u8,
    pub immediate: Option<u8>,
}

/// What an EVEX prefix says besides the instruction.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Mask register; 0 for none.
    pub mask: u8,
    /// Lanes that the mask leaves out become 0 instead of staying.
    pub zero: bool,
    /// The operand in memory is one element, repeated.
    pub broadcast: bool,
    /// Bytes of the operand in memory, which short displacements are multiples of.
    pub unit: i32,
    /// 256 instead of 512 bits.
    pub half: bool,
}

pub const PLAIN: How = How { mask: 0, zero: false, broadcast: false, unit: 64, half: false };

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(usize);

/// Conditions of jumps.
#[derive(Clone, Copy, Debug)]
pub enum If {
    AboveOrEqual = 3,
    Equal = 4,
    NotEqual = 5,
    LessOrEqual = 14,
    Greater = 15,
}

#[derive(Default)]
pub struct Assembler {
    pub(super) code: Vec<u8>,
    labels: Vec<Option<usize>>,
    /// Where a 32-bit distance stands, and to which label.
    jumps: Vec<(usize, Label)>,
    pool: Vec<u8>,
    known: HashMap<Vec<u8>, usize>,
    /// Where a 32-bit distance stands, how many bytes of the instruction follow it, and to which constant.
    constants: Vec<(usize, usize, usize)>,
}

impl Assembler {
    /// The code with its constants behind it.
    pub fn finish(mut self) -> Vec<u8> {
        for &(at, label) in &self.jumps {
            let to = self.labels[label.0].expect("compiler bug: a jump to nowhere");
            self.code[at..at + 4].copy_from_slice(&(to as i32 - at as i32 - 4).to_le_bytes());
        }
        self.code.resize(self.code.len().next_multiple_of(64), 0xcc);
        let start = self.code.len();
        for &(at, rest, constant) in &self.constants {
            let distance = (start + constant) as i32 - (at + 4 + rest) as i32;
            self.code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        self.code.extend(&self.pool);
        self.code
    }

    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub fn bind(&mut self, l: Label) {
        self.labels[l.0] = Some(self.code.len());
    }

    /// The head of a loop, at a multiple of 32 bytes, by the processor's longest no-operation.
    pub fn bind_aligned(&mut self, l: Label) {
        while !self.code.len().is_multiple_of(32) {
            let n = (32 - self.code.len() % 32).min(8);
            let nops: [&[u8]; 8] = [
                &[0x90],
                &[0x66, 0x90],
                &[0x0f, 0x1f, 0x00],
                &[0x0f, 0x1f, 0x40, 0x00],
                &[0x0f, 0x1f, 0x44, 0x00, 0x00],
                &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
                &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
                &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
            ];
            self.code.extend(nops[n - 1]);
        }
        self.bind(l);
    }

    /// A constant; its length is a power of two, to which it is aligned.
    pub fn constant(&mut self, bytes: &[u8]) -> Rm {
        if let Some(&at) = self.known.get(bytes) {
            return Rm::Pool(at);
        }
        let at = self.pool.len().next_multiple_of(bytes.len());
        self.pool.resize(at, 0);
        self.pool.extend(bytes);
        self.known.insert(bytes.to_vec(), at);
        Rm::Pool(at)
    }

    /// `reg ← op(v, rm)`; instructions with one operand have v = 0.
    pub fn vector(&mut self, op: Op, reg: u8, v: u8, rm: Rm, how: How) {
        let (x, b, high_index) = match rm {
            Rm::Reg(r) => (r >> 4 & 1, r >> 3 & 1, 0),
            Rm::Mem(m) => {
                let i = m.index.map_or(0, |i| i.0);
                (i >> 3 & 1, m.base >> 3 & 1, i >> 4 & 1)
            }
            Rm::Pool(_) => (0, 0, 0),
        };
        // A vector index takes the place of v's highest bit.
        let v_high = if high_index != 0 { 1 } else { v >> 4 & 1 };
        let flip = |bit: u8, at: u8| (bit ^ 1) << at;
        self.code.extend([
            0x62,
            flip(reg >> 3 & 1, 7) | flip(x, 6) | flip(b, 5) | flip(reg >> 4 & 1, 4) | op.map,
            (op.wide as u8) << 7 | (!v & 15) << 3 | 4 | op.prefix,
            (how.zero as u8) << 7
                | (if how.half { 1 } else { 2 }) << 5
                | (how.broadcast as u8) << 4
                | flip(v_high, 3)
                | how.mask,
            op.code,
        ]);
        self.operand(reg & 7, rm, op.immediate.is_some() as usize, how.unit);
        self.code.extend(op.immediate);
    }

    // ---- encodings

    pub(super) fn distance(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.code.extend([0; 4]);
    }

    pub(super) fn short(&mut self, r: u8, code: u8) {
        if r >= 8 {
            self.code.push(0x41);
        }
        self.code.push(code | r & 7);
    }

    pub(super) fn rex(&mut self, wide: bool, code: &[u8], reg: u8, rm: Rm, rest: usize) {
        let (x, b) = match rm {
            Rm::Reg(r) => (0, r >> 3),
            Rm::Mem(m) => (m.index.map_or(0, |i| i.0 >> 3), m.base >> 3),
            Rm::Pool(_) => (0, 0),
        };
        self.code.push(0x40 | (wide as u8) << 3 | reg >> 3 << 2 | x << 1 | b);
        self.code.extend(code);
        self.operand(reg & 7, rm, rest, 1);
    }

    /// Three-byte VEX, register operands, below 16.
    pub(super) fn vex(&mut self, map: u8, prefix: u8, code: u8, reg: u8, v: u8, rm: u8, long: bool) {
        self.code.extend([
            0xc4,
            (reg >> 3 ^ 1) << 7 | 1 << 6 | (rm >> 3 ^ 1) << 5 | map,
            (!v & 15) << 3 | (long as u8) << 2 | prefix,
            code,
            0xc0 | (reg & 7) << 3 | rm & 7,
        ]);
    }

    /// ModRM, SIB and displacement; `rest` bytes of the instruction follow.
    fn operand(&mut self, reg: u8, rm: Rm, rest: usize, unit: i32) {
        match rm {
            Rm::Reg(r) => self.code.push(0xc0 | reg << 3 | r & 7),
            Rm::Pool(at) => {
                self.code.push(reg << 3 | 5);
                self.constants.push((self.code.len(), rest, at));
                self.code.extend([0; 4]);
            }
            Rm::Mem(m) => {
                let short = i8::try_from(m.disp / unit).ok().filter(|_| m.disp % unit == 0);
                // Base 5 without displacement means something else.
                let mode = match short {
                    Some(0) if m.base & 7 != 5 => 0,
                    Some(_) => 1,
                    None => 2,
                };
                match m.index {
                    None if m.base & 7 != 4 => self.code.push(mode << 6 | reg << 3 | m.base & 7),
                    None => self.code.extend([mode << 6 | reg << 3 | 4, 4 << 3 | m.base & 7]),
                    Some((i, scale)) => {
                        self.code.extend([mode << 6 | reg << 3 | 4, scale << 6 | (i & 7) << 3 | m.base & 7])
                    }
                }
                match (mode, short) {
                    (1, Some(d)) => self.code.push(d as u8),
                    (2, _) => self.code.extend(m.disp.to_le_bytes()),
                    _ => {}
                }
            }
        }
    }
}
