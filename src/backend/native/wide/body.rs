//! One vector of the innermost loop: registers for the instructions, and their machine code. The code is straight, so the value
//! whose next use is farthest gives up its register when none is free [Belady 1966].

use super::encode::{Assembler, How, Op, PLAIN, Rm, gpr};
use super::operations::{EXTRACT_UPPER, INSERT_UPPER, MOVE, arithmetic, broadcast, load, one, two, wider};
use super::plan::{Frame, Outcome, Plan, Variant};
use super::tape::{Id, Ins, Node, Two};
use std::collections::HashMap;

/// The mask of the lanes that a part of a vector has.
pub const TAIL: u8 = 1;
/// A mask that gathers use up.
pub const USED_UP: u8 = 2;
pub const FIRST_MASK: u8 = 3;
/// Registers for values; the rest are temporaries of single instructions.
pub const VALUES: usize = 30;
const TEMPORARY: u8 = 30;
pub const OTHER: u8 = 31;
/// The element index along the row, and temporaries.
pub const INDEX: u8 = gpr::RAX;
pub const POINTER: u8 = gpr::RDX;
pub const MOVED: u8 = gpr::R8;
/// Where spilled values lie, 64 bytes each.
pub const SPILLS: u8 = gpr::RDI;

/// One copy of the body that is being emitted.
pub struct Emission<'a> {
    pub plan: &'a Plan,
    pub a: &'a mut Assembler,
    pub frame: &'a Frame,
    pub variant: Variant,
    /// The register of each value that has one.
    pub place: Vec<Option<u8>>,
    pub vectors: [Option<Id>; 32],
    pub masks: [Option<Id>; 8],
    pub slots: HashMap<Id, usize>,
    pub at: u32,
    pub outcome: Outcome,
}

impl Emission<'_> {
    pub fn make(&mut self, id: Id) {
        let Node { ins, double } = self.node(id);
        let operands: Vec<Id> = ins.operands().collect();
        match ins {
            Ins::Constant(_) | Ins::Row(_) | Ins::Splat(_) => unreachable!("compiler bug: a source is not made"),
            Ins::Strided(at) => {
                let d = self.result(id, &[]);
                self.gather_lanes(d, at, double);
            }
            Ins::Indices(at) => {
                let d = self.result(id, &[]);
                self.indices(d, at, double);
            }
            Ins::Gathered { index, at, row } => self.gathered(id, index, at, row, double),
            Ins::Number(at) => {
                let d = self.result(id, &[]);
                self.number(d, at, double);
            }
            Ins::One(f, x) => {
                let (rm, how) = self.operand(x, true, &[]);
                self.release_dead(&operands);
                let d = self.result(id, &[]);
                self.a.vector(one(f, double), d, 0, rm, how);
            }
            Ins::Two(f, x, y) => self.two(id, f, x, y, double),
            Ins::Fused { a, b, c, minus } => self.fused(id, [a, b, c], minus, double),
            Ins::Compare(p, x, y) => {
                let v = self.register(x, &[]);
                let (rm, how) = self.operand(y, true, &[v]);
                self.release_dead(&operands);
                let d = self.result(id, &[]);
                let op = Op { immediate: Some(p as u8), ..arithmetic(0xc2, double) };
                self.a.vector(op, d, v, rm, How { zero: false, ..how });
            }
            Ins::Test(x, y) => {
                let v = self.register(x, &[]);
                let (rm, how) = self.operand(y, true, &[v]);
                self.release_dead(&operands);
                let d = self.result(id, &[]);
                let op = wider(0x27, double);
                self.a.vector(op, d, v, rm, How { zero: false, ..how });
            }
            Ins::MaskAnd(x, y) | Ins::MaskOr(x, y) => {
                let k = self.register(x, &[]);
                let l = self.register(y, &[k]);
                self.release_dead(&operands);
                let d = self.result(id, &[]);
                if matches!(ins, Ins::MaskAnd(..)) { self.a.mask_and(d, k, l) } else { self.a.mask_or(d, k, l) }
            }
            Ins::MaskNot(x) => {
                let k = self.register(x, &[]);
                self.release_dead(&operands);
                let d = self.result(id, &[]);
                self.a.mask_not(d, k);
            }
            Ins::Choose(m, x, y) => self.choose(id, m, x, y, double),
            Ins::Widen(x, upper) => {
                let s = self.register(x, &[]);
                self.release_dead(&operands);
                let d = self.result(id, &[s]);
                let from = if upper {
                    self.a.vector(EXTRACT_UPPER, s, 0, Rm::Reg(TEMPORARY), PLAIN);
                    TEMPORARY
                } else {
                    s
                };
                let op = Op { map: 1, prefix: 0, wide: false, code: 0x5a, immediate: None };
                self.a.vector(op, d, 0, Rm::Reg(from), PLAIN);
            }
            Ins::Join(x, y) => {
                let l = self.register(x, &[]);
                let u = self.register(y, &[l]);
                let narrow = Op { map: 1, prefix: 1, wide: true, code: 0x5a, immediate: None };
                self.a.vector(narrow, TEMPORARY, 0, Rm::Reg(u), PLAIN);
                self.release_dead(&operands);
                let d = self.result(id, &[]);
                self.a.vector(narrow, d, 0, Rm::Reg(l), PLAIN);
                self.a.vector(INSERT_UPPER, d, d, Rm::Reg(TEMPORARY), PLAIN);
            }
        }
        self.release_dead(&operands);
        if self.plan.uses[id as usize].is_empty() {
            self.release(id);
        }
    }

    fn two(&mut self, id: Id, f: Two, x: Id, y: Id, double: bool) {
        let commutes = matches!(f, Two::Add | Two::Mul | Two::And | Two::Or | Two::Xor);
        let (x, y) = if commutes && self.folds(x, true) && !self.folds(y, true) { (y, x) } else { (x, y) };
        let v = self.register(x, &[]);
        let (rm, how) = self.operand(y, true, &[v]);
        self.release_dead(&[x, y]);
        let d = self.result(id, &[v]);
        self.a.vector(two(f, double), d, v, rm, how);
    }

    /// `±a·b + c`: the result takes the place of an operand.
    fn fused(&mut self, id: Id, [a, b, c]: [Id; 3], minus: bool, double: bool) {
        let op = |form: u8| {
            let code = form | if minus { 0x0c } else { 0x08 };
            Op { map: 2, prefix: 1, wide: double, code, immediate: None }
        };
        let (mul_add_213, mul_add_231, mul_add_132) = (op(0xa0), op(0xb0), op(0x90));
        let memory = [c, b, a].into_iter().find(|&x| self.folds(x, true));
        let lost = |e: &Self, x: Id| !e.is_hoisted(x) && (e.dies(x) || e.plan.is_constant(x));
        match memory {
            Some(m) if m == c && m != a && m != b => {
                let (x, y) = if lost(self, a) { (a, b) } else { (b, a) };
                let (d, y) = self.overwritten(x, y, a != b);
                let (rm, how) = self.operand(c, true, &[d, y]);
                self.a.vector(mul_add_213, d, y, rm, how);
                self.fused_into(id, [a, b, c], d);
            }
            Some(m) if m != c && a != b => {
                let other = if m == a { b } else { a };
                // Into the term, or else into the factor.
                if lost(self, c) || !lost(self, other) {
                    let (d, y) = self.overwritten(c, other, c != other);
                    let (rm, how) = self.operand(m, true, &[d, y]);
                    self.a.vector(mul_add_231, d, y, rm, how);
                    self.fused_into(id, [a, b, c], d);
                } else {
                    let (d, y) = self.overwritten(other, c, c != other);
                    let (rm, how) = self.operand(m, true, &[d, y]);
                    self.a.vector(mul_add_132, d, y, rm, how);
                    self.fused_into(id, [a, b, c], d);
                }
            }
            _ => {
                let ra = self.register(a, &[]);
                let rb = self.register(b, &[ra]);
                let rc = self.register(c, &[ra, rb]);
                if lost(self, c) && c != a && c != b {
                    self.a.vector(mul_add_231, rc, ra, Rm::Reg(rb), PLAIN);
                    self.fused_into(id, [a, b, c], rc);
                } else if lost(self, a) && a != b && a != c {
                    self.a.vector(mul_add_213, ra, rb, Rm::Reg(rc), PLAIN);
                    self.fused_into(id, [a, b, c], ra);
                } else if lost(self, b) && a != b && b != c {
                    self.a.vector(mul_add_213, rb, ra, Rm::Reg(rc), PLAIN);
                    self.fused_into(id, [a, b, c], rb);
                } else {
                    let d = self.take(false, &[ra, rb, rc]);
                    self.a.vector(MOVE, d, 0, Rm::Reg(rc), PLAIN);
                    self.a.vector(mul_add_231, d, ra, Rm::Reg(rb), PLAIN);
                    self.fused_into(id, [a, b, c], d);
                }
            }
        }
    }

    /// Registers of x and y, of which the first may be overwritten: a copy, unless x is needed no more.
    fn overwritten(&mut self, x: Id, y: Id, distinct: bool) -> (u8, u8) {
        let ry = self.register(y, &[]);
        let rx = self.register(x, &[ry]);
        if distinct && !self.is_hoisted(x) && (self.dies(x) || self.plan.is_constant(x)) {
            return (rx, ry);
        }
        let d = self.take(false, &[rx, ry]);
        self.a.vector(MOVE, d, 0, Rm::Reg(rx), PLAIN);
        (d, ry)
    }

    /// The result lies in d, whatever did so before.
    fn fused_into(&mut self, id: Id, operands: [Id; 3], d: u8) {
        if let Some(before) = self.vectors[d as usize] {
            self.release(before);
        }
        self.release_dead(&operands);
        self.own(id, d);
    }

    fn choose(&mut self, id: Id, m: Id, x: Id, y: Id, double: bool) {
        let k = self.register(m, &[]);
        let zero = matches!(self.node(y).ins, Ins::Constant(0));
        if zero && !self.is_hoisted(y) {
            let (rm, how) = self.operand(x, false, &[]);
            self.release_dead(&[m, x, y]);
            let d = self.result(id, &[]);
            let op = if how.broadcast { broadcast(double) } else { load(double) };
            self.a.vector(op, d, 0, rm, How { mask: k, zero: true, broadcast: false, ..how });
            return;
        }
        let v = self.register(y, &[]);
        let (rm, how) = self.operand(x, false, &[v]);
        self.release_dead(&[m, x, y]);
        let d = self.result(id, &[v]);
        let op = wider(0x65, double);
        self.a.vector(op, d, v, rm, How { mask: k, ..how });
    }
}
