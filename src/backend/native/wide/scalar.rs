//! Instructions on general registers (64 bits) and on mask registers (16 bits).

use super::encode::{Assembler, If, Label, Mem, Rm};

impl Assembler {
    pub fn jump(&mut self, to: Label) {
        self.code.push(0xe9);
        self.distance(to);
    }

    pub fn jump_if(&mut self, c: If, to: Label) {
        self.code.extend([0x0f, 0x80 | c as u8]);
        self.distance(to);
    }

    pub fn push(&mut self, r: u8) {
        self.short(r, 0x50);
    }

    pub fn pop(&mut self, r: u8) {
        self.short(r, 0x58);
    }

    pub fn ret(&mut self) {
        self.code.push(0xc3);
    }

    /// Makes streaming stores visible to who is told of them by an ordinary one.
    pub fn fence(&mut self) {
        self.code.extend([0x0f, 0xae, 0xf8]);
    }

    /// Upper halves of vector registers to zero, so that code with narrower ones is not slowed.
    pub fn leave_vectors(&mut self) {
        self.code.extend([0xc5, 0xf8, 0x77]);
    }

    pub fn move_to(&mut self, r: u8, from: Rm) {
        self.rex(true, &[0x8b], r, from, 0);
    }

    pub fn store(&mut self, to: Mem, r: u8) {
        self.rex(true, &[0x89], r, Rm::Mem(to), 0);
    }

    pub fn set(&mut self, r: u8, x: i64) {
        match i32::try_from(x) {
            Ok(x) => {
                self.rex(true, &[0xc7], 0, Rm::Reg(r), 4);
                self.code.extend(x.to_le_bytes());
            }
            Err(_) => {
                self.code.extend([0x48 | r >> 3, 0xb8 | r & 7]);
                self.code.extend(x.to_le_bytes());
            }
        }
    }

    pub fn address(&mut self, r: u8, of: Mem) {
        self.rex(true, &[0x8d], r, Rm::Mem(of), 0);
    }

    pub fn add(&mut self, r: u8, x: Rm) {
        self.rex(true, &[0x03], r, x, 0);
    }

    pub fn subtract(&mut self, r: u8, x: Rm) {
        self.rex(true, &[0x2b], r, x, 0);
    }

    pub fn compare(&mut self, r: u8, x: Rm) {
        self.rex(true, &[0x3b], r, x, 0);
    }

    pub fn negate(&mut self, r: u8) {
        self.rex(true, &[0xf7], 3, Rm::Reg(r), 0);
    }

    pub fn add_now(&mut self, to: Rm, x: i32) {
        self.rex(true, &[0x81], 0, to, 4);
        self.code.extend(x.to_le_bytes());
    }

    pub fn and_now(&mut self, r: u8, x: i32) {
        self.rex(true, &[0x81], 4, Rm::Reg(r), 4);
        self.code.extend(x.to_le_bytes());
    }

    /// `r = x·k`
    pub fn times(&mut self, r: u8, x: u8, k: i32) {
        self.rex(true, &[0x69], r, Rm::Reg(x), 4);
        self.code.extend(k.to_le_bytes());
    }

    pub fn shift_right(&mut self, r: u8, k: u8) {
        self.rex(true, &[0xc1], 5, Rm::Reg(r), 1);
        self.code.push(k);
    }

    /// `k` with its lowest `n` bits set, n in a register; `temporary` is overwritten.
    pub fn first_lanes(&mut self, k: u8, n: u8, temporary: u8) {
        self.set(temporary, 0xffff);
        // BZHI
        self.vex(2, 0, 0xf5, temporary, n, temporary, false);
        // KMOVW from a general register.
        self.vex(1, 0, 0x92, k, 0, temporary, false);
    }

    pub fn mask_move(&mut self, k: u8, from: u8) {
        self.vex(1, 0, 0x90, k, 0, from, false);
    }

    pub fn mask_all(&mut self, k: u8) {
        self.vex(1, 0, 0x46, k, k, k, true);
    }

    pub fn mask_and(&mut self, k: u8, a: u8, b: u8) {
        self.vex(1, 0, 0x41, k, a, b, true);
    }

    pub fn mask_or(&mut self, k: u8, a: u8, b: u8) {
        self.vex(1, 0, 0x45, k, a, b, true);
    }

    pub fn mask_not(&mut self, k: u8, a: u8) {
        self.vex(1, 0, 0x44, k, 0, a, false);
    }

    /// To or from two bytes at `[base + disp]`, base below 8.
    pub fn mask_spill(&mut self, k: u8, base: u8, disp: i32, store: bool) {
        self.code.extend([0xc5, 0xf8, if store { 0x91 } else { 0x90 }, 0x80 | k << 3 | base]);
        self.code.extend(disp.to_le_bytes());
    }
}
