//! Loads, gathers and stores of a body, and the addresses they need.

use super::body::{Emission, INDEX, MOVED, OTHER, POINTER, TAIL, USED_UP};
use super::encode::{Assembler, How, Mem, Op, PLAIN, Rm, gpr};
use super::operations::{ZERO, add_whole, arithmetic, load, wider};
use super::plan::{Frame, Variant};
use super::tape::{Along, Id, Ins, Node};

impl Emission<'_> {
    pub fn store(&mut self, s: usize) {
        let (at, id) = self.plan.stores[s];
        let double = self.plan.double;
        let r = self.register(id, &[]);
        if at.step == self.plan.size() {
            let to = Rm::Mem(row(self.a, self.frame, at, self.variant, self.plan.size()));
            let first =
                (0..self.plan.stores.len()).find(|&k| self.plan.stores[k].0.step == self.plan.size()) == Some(s);
            let op = if self.variant.stream && first { arithmetic(0x2b, double) } else { arithmetic(0x11, double) };
            self.a.vector(op, r, 0, to, How { mask: if self.variant.tail { TAIL } else { 0 }, ..PLAIN });
        } else {
            let (base, offsets) = self.lanes_at(at, double, OTHER);
            self.fresh_mask();
            let op = wider(0xa2, double);
            let to = Mem { index: Some((offsets, 0)), ..base };
            self.a.vector(op, r, 0, Rm::Mem(to), How { mask: USED_UP, unit: self.plan.size(), ..PLAIN });
        }
        self.release_dead(&[id]);
    }

    /// The mask that a gather or a scatter uses up.
    pub fn fresh_mask(&mut self) {
        if self.variant.tail { self.a.mask_move(USED_UP, TAIL) } else { self.a.mask_all(USED_UP) }
    }

    /// The address of lane 0, and a register with the distances of the lanes in bytes (32 bits each).
    pub fn lanes_at(&mut self, at: Along, double: bool, into: u8) -> (Mem, u8) {
        let base = self.lane_zero(at);
        self.distances(at.step, if double { 8 } else { 16 }, into);
        (base, into)
    }

    pub fn lane_zero(&mut self, at: Along) -> Mem {
        let disp = at.disp + self.variant.ahead as i32 * at.step;
        let base = pointer(self.a, self.frame, at.group);
        if at.step == 0 {
            return Mem { base, index: None, disp };
        }
        self.a.times(MOVED, INDEX, at.step);
        self.a.add(MOVED, Rm::Reg(base));
        Mem { base: MOVED, index: None, disp }
    }

    pub fn distances(&mut self, step: i32, lanes: i32, into: u8) {
        let bytes: Vec<u8> = (0..lanes).flat_map(|l| (l * step).to_le_bytes()).collect();
        let rm = self.a.constant(&bytes);
        self.a.vector(load(false), into, 0, rm, How { half: lanes == 8, ..PLAIN });
    }

    pub fn gather_lanes(&mut self, d: u8, at: Along, double: bool) {
        let (base, offsets) = self.lanes_at(at, double, OTHER);
        self.fresh_mask();
        self.a.vector(ZERO, d, d, Rm::Reg(d), PLAIN);
        let op = wider(0x92, double);
        let from = Mem { index: Some((offsets, 0)), ..base };
        self.a.vector(op, d, 0, Rm::Mem(from), How { mask: USED_UP, unit: self.plan.size(), ..PLAIN });
    }

    /// Whole numbers of 32 bits, extended to the width of the lanes.
    pub fn indices(&mut self, d: u8, at: Along, double: bool) {
        let extend = wider(0x35, false);
        let mask = if self.variant.tail { TAIL } else { 0 };
        match at.step {
            4 => {
                let from = Rm::Mem(row(self.a, self.frame, at, self.variant, 4));
                let how = How { mask, zero: mask != 0, ..PLAIN };
                if double {
                    self.a.vector(extend, d, 0, from, How { unit: 32, ..how });
                } else {
                    self.a.vector(load(false), d, 0, from, how);
                }
            }
            _ => {
                let (base, offsets) = self.lanes_at(at, double, OTHER);
                self.fresh_mask();
                self.a.vector(ZERO, d, d, Rm::Reg(d), PLAIN);
                // VPGATHERDD, of half a vector where lanes are 64 bits.
                let op = wider(0x90, false);
                let from = Mem { index: Some((offsets, 0)), ..base };
                let how = How { mask: USED_UP, unit: 4, half: double, ..PLAIN };
                self.a.vector(op, d, 0, Rm::Mem(from), how);
                if double {
                    self.a.vector(extend, d, 0, Rm::Reg(d), PLAIN);
                }
            }
        }
    }

    pub fn gathered(&mut self, id: Id, index: Id, at: Along, bytes: i32, double: bool) {
        let i = self.register(index, &[]);
        // A gather's result must not be its index.
        let d = self.result(id, &[i]);
        let scale = match bytes {
            1 | 2 | 4 | 8 if at.step == 0 => bytes.trailing_zeros() as u8,
            _ => 0,
        };
        let mut offsets = i;
        if 1 << scale != bytes {
            // Unsigned 32 bits to 64, or 32 to 32.
            let multiply = if double {
                Op { map: 1, prefix: 1, wide: true, code: 0xf4, immediate: None }
            } else {
                wider(0x40, false)
            };
            let factor = if double {
                self.a.constant(&(bytes as u64).to_le_bytes())
            } else {
                self.a.constant(&bytes.to_le_bytes())
            };
            self.a.vector(multiply, OTHER, i, factor, How { broadcast: true, ..PLAIN });
            offsets = OTHER;
        }
        if at.step != 0 {
            let lanes: Vec<u8> = if double {
                (0..8).flat_map(|l| (l * at.step as i64).to_le_bytes()).collect()
            } else {
                (0..16).flat_map(|l| (l * at.step).to_le_bytes()).collect()
            };
            let steps = self.a.constant(&lanes);
            self.a.vector(add_whole(double), OTHER, offsets, steps, PLAIN);
            offsets = OTHER;
        }
        let base = self.lane_zero(at);
        self.fresh_mask();
        self.a.vector(ZERO, d, d, Rm::Reg(d), PLAIN);
        let code = if double { 0x93 } else { 0x92 };
        let op = wider(code, double);
        let from = Mem { index: Some((offsets, scale)), ..base };
        self.a.vector(op, d, 0, Rm::Mem(from), How { mask: USED_UP, unit: self.plan.size(), ..PLAIN });
    }

    pub fn number(&mut self, d: u8, at: Along, double: bool) {
        let from = self.lane_zero(at);
        self.a.address(MOVED, from);
        let spread = wider(0x7c, double);
        self.a.vector(spread, d, 0, Rm::Reg(MOVED), PLAIN);
        let lanes: Vec<u8> = if double {
            (0..8).flat_map(|l| (l * at.step as i64).to_le_bytes()).collect()
        } else {
            (0..16).flat_map(|l| (l * at.step).to_le_bytes()).collect()
        };
        let steps = self.a.constant(&lanes);
        self.a.vector(add_whole(double), d, d, steps, PLAIN);
        let convert = if double {
            Op { map: 1, prefix: 2, wide: true, code: 0xe6, immediate: None }
        } else {
            Op { map: 1, prefix: 0, wide: false, code: 0x5b, immediate: None }
        };
        self.a.vector(convert, d, 0, Rm::Reg(d), PLAIN);
    }
}

/// The pointer of a group, in a register.
pub fn pointer(a: &mut Assembler, frame: &Frame, group: usize) -> u8 {
    match frame.pointers.get(&group) {
        Some(&r) => r,
        None => {
            a.move_to(POINTER, Rm::Mem(on_stack(group)));
            POINTER
        }
    }
}

/// The k-th word of the stack frame; the first ones are the groups' pointers.
pub fn on_stack(k: usize) -> Mem {
    Mem { base: gpr::RSP, index: None, disp: 8 * k as i32 }
}

/// Neighbouring elements.
pub fn row(a: &mut Assembler, frame: &Frame, at: Along, variant: Variant, size: i32) -> Mem {
    let base = pointer(a, frame, at.group);
    let scale = size.trailing_zeros() as u8;
    Mem { base, index: Some((INDEX, scale)), disp: at.disp + variant.ahead as i32 * size }
}

/// Where a source is read, and how.
pub fn source(a: &mut Assembler, frame: &Frame, node: Node, variant: Variant) -> (Rm, How) {
    let size = if node.double { 8 } else { 4 };
    match node.ins {
        Ins::Constant(bits) => {
            let rm =
                if node.double { a.constant(&bits.to_le_bytes()) } else { a.constant(&(bits as u32).to_le_bytes()) };
            (rm, How { broadcast: true, unit: size, ..PLAIN })
        }
        Ins::Splat(at) => {
            let base = pointer(a, frame, at.group);
            (Rm::Mem(Mem { base, index: None, disp: at.disp }), How { broadcast: true, unit: size, ..PLAIN })
        }
        Ins::Row(at) => {
            let mask = if variant.tail { TAIL } else { 0 };
            (Rm::Mem(row(a, frame, at, variant, size)), How { mask, zero: mask != 0, ..PLAIN })
        }
        _ => unreachable!("compiler bug: not a source"),
    }
}
