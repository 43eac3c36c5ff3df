//! One vector of the innermost loop: registers for the instructions, and their machine code. The code is straight, so the value
//! whose next use is farthest gives up its register when none is free [Belady 1966].

use super::encode::{Assembler, How, Mem, Op, PLAIN, Rm, gpr};
use super::select::Selected;
use super::tape::{Along, Id, Ins, Node, One, Two};
use std::collections::HashMap;

/// The mask of the lanes that a part of a vector has.
pub const TAIL: u8 = 1;
/// A mask that gathers use up.
const USED_UP: u8 = 2;
const FIRST_MASK: u8 = 3;
/// Registers for values; the rest are temporaries of single instructions.
pub const VALUES: usize = 30;
const TEMPORARY: u8 = 30;
const OTHER: u8 = 31;
/// The element index along the row, and temporaries.
pub const INDEX: u8 = gpr::RAX;
const POINTER: u8 = gpr::RDX;
const MOVED: u8 = gpr::R8;
/// Where spilled values lie, 64 bytes each.
pub const SPILLS: u8 = gpr::RDI;

/// Something to do, in order.
#[derive(Clone, Copy)]
enum Step {
    Make(Id),
    Store(usize),
}

/// The instructions in the order they are emitted, and when each result is used.
pub struct Plan {
    nodes: Vec<Node>,
    steps: Vec<Step>,
    uses: Vec<Vec<u32>>,
    stores: Vec<(Along, Id)>,
    pub double: bool,
}

/// What all copies of the body share.
pub struct Frame {
    /// Registers of pointer groups; the others lie on the stack, 8 bytes each.
    pub pointers: HashMap<usize, u8>,
    /// Registers of sources that stay all along the row.
    pub hoisted: HashMap<Id, u8>,
}

/// Which copy of the body.
#[derive(Clone, Copy)]
pub struct Variant {
    /// Only the lanes of [`TAIL`].
    pub tail: bool,
    /// Elements behind the index.
    pub ahead: usize,
    /// The first store goes around the caches; its address is a multiple of 64.
    pub stream: bool,
}

impl Plan {
    pub fn new(selected: Selected, double: bool) -> Plan {
        let nodes = selected.tape.into_nodes();
        let stores = selected.stores;
        let mut needed = vec![false; nodes.len()];
        stores.iter().for_each(|s| needed[s.1 as usize] = true);
        for at in (0..nodes.len()).rev() {
            if needed[at] {
                nodes[at].ins.operands().for_each(|a| needed[a as usize] = true);
            }
        }
        let mut steps = vec![];
        for at in (0..nodes.len()).filter(|&at| needed[at]) {
            if !nodes[at].ins.is_source() {
                steps.push(Step::Make(at as Id));
            }
            let mine = (0..stores.len()).filter(|&s| stores[s].1 as usize == at);
            steps.extend(mine.map(Step::Store));
        }
        let mut uses = vec![vec![]; nodes.len()];
        for (p, step) in steps.iter().enumerate() {
            match step {
                Step::Make(id) => nodes[*id as usize].ins.operands().for_each(|a| uses[a as usize].push(p as u32)),
                Step::Store(s) => uses[stores[*s].1 as usize].push(p as u32),
            }
        }
        Plan { nodes, steps, uses, stores, double }
    }

    pub fn lanes(&self) -> usize {
        if self.double { 8 } else { 16 }
    }

    pub fn size(&self) -> i32 {
        if self.double { 8 } else { 4 }
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The first store to neighbouring elements.
    pub fn main_store(&self) -> Option<Along> {
        self.stores.iter().map(|s| s.0).find(|a| a.step == self.size())
    }

    /// Constants and elements that are the same all along the row, the most used first.
    pub fn invariants(&self) -> Vec<Id> {
        let fixed = |id: &Id| matches!(self.nodes[*id as usize].ins, Ins::Constant(_) | Ins::Splat(_));
        let used = |id: &Id| self.uses[*id as usize].len();
        let mut all: Vec<Id> = (0..self.nodes.len() as Id).filter(|id| fixed(id) && used(id) > 0).collect();
        all.sort_by_key(|id| std::cmp::Reverse(used(id)));
        all
    }

    pub fn is_constant(&self, id: Id) -> bool {
        matches!(self.nodes[id as usize].ins, Ins::Constant(_))
    }

    /// Values that had to give up a register with so many sources hoisted.
    pub fn evictions(&self, hoisted: usize) -> usize {
        let ids = self.invariants().into_iter().take(hoisted);
        let frame = Frame { pointers: HashMap::new(), hoisted: ids.zip((0..VALUES as u8).rev()).collect() };
        let mut a = Assembler::default();
        self.emit(&mut a, &frame, Variant { tail: false, ahead: 0, stream: false }).evictions
    }

    /// Emits one copy.
    pub fn emit(&self, a: &mut Assembler, frame: &Frame, variant: Variant) -> Outcome {
        let mut e = Emission {
            plan: self,
            a,
            frame,
            variant,
            place: vec![None; self.nodes.len()],
            vectors: [None; 32],
            masks: [None; 8],
            slots: HashMap::new(),
            at: 0,
            outcome: Outcome::default(),
        };
        for (p, step) in self.steps.iter().enumerate() {
            e.at = p as u32;
            match *step {
                Step::Make(id) => e.make(id),
                Step::Store(s) => e.store(s),
            }
        }
        e.outcome
    }

    /// Loads a source into a register before the loop.
    pub fn load_invariant(&self, a: &mut Assembler, frame: &Frame, id: Id, register: u8) {
        let node = self.nodes[id as usize];
        let (rm, how) = source(a, frame, node, Variant { tail: false, ahead: 0, stream: false });
        a.vector(broadcast(node.double), register, 0, rm, How { broadcast: false, ..how });
    }
}

#[derive(Default, Clone, Copy)]
pub struct Outcome {
    pub evictions: usize,
    /// Spilled values, 64 bytes each.
    pub slots: usize,
}

struct Emission<'a> {
    plan: &'a Plan,
    a: &'a mut Assembler,
    frame: &'a Frame,
    variant: Variant,
    /// The register of each value that has one.
    place: Vec<Option<u8>>,
    vectors: [Option<Id>; 32],
    masks: [Option<Id>; 8],
    slots: HashMap<Id, usize>,
    at: u32,
    outcome: Outcome,
}

impl Emission<'_> {
    fn node(&self, id: Id) -> Node {
        self.plan.nodes[id as usize]
    }

    fn is_hoisted(&self, id: Id) -> bool {
        self.frame.hoisted.contains_key(&id)
    }

    fn next_use(&self, id: Id, after: u32) -> u32 {
        let uses = &self.plan.uses[id as usize];
        uses[uses.partition_point(|&u| u < after)..].first().copied().unwrap_or(u32::MAX)
    }

    /// No use after this step.
    fn dies(&self, id: Id) -> bool {
        !self.is_hoisted(id) && self.next_use(id, self.at + 1) == u32::MAX
    }

    // ---- registers

    fn available(&self) -> usize {
        VALUES - self.frame.hoisted.len()
    }

    /// A free register; `keep` are registers that this instruction reads.
    fn take(&mut self, mask: bool, keep: &[u8]) -> u8 {
        let (first, last) = if mask { (FIRST_MASK, 8) } else { (0, self.available() as u8) };
        let owner = |e: &Self, r: u8| if mask { e.masks[r as usize] } else { e.vectors[r as usize] };
        if let Some(r) = (first..last).find(|r| owner(self, *r).is_none() && !keep.contains(r)) {
            return r;
        }
        let far = |r: &u8| owner(self, *r).map_or(u32::MAX, |id| self.next_use(id, self.at));
        let r = (first..last)
            .filter(|r| !keep.contains(r))
            .max_by_key(far)
            .expect("compiler bug: an instruction with too many operands");
        let id = owner(self, r).expect("compiler bug: a free register");
        self.outcome.evictions += 1;
        if !self.node(id).ins.is_source() && !self.slots.contains_key(&id) && self.next_use(id, self.at) != u32::MAX {
            let slot = self.slots.len();
            self.slots.insert(id, slot);
            self.outcome.slots = self.outcome.slots.max(slot + 1);
            if mask {
                self.a.mask_spill(r, SPILLS, 64 * slot as i32, true);
            } else {
                self.a.vector(STORE, r, 0, Rm::Mem(spilled(slot)), PLAIN);
            }
        }
        self.release(id);
        r
    }

    fn release(&mut self, id: Id) {
        if self.is_hoisted(id) {
            return;
        }
        if let Some(r) = self.place[id as usize].take() {
            if self.node(id).ins.is_mask() {
                self.masks[r as usize] = None;
            } else {
                self.vectors[r as usize] = None;
            }
        }
    }

    fn release_dead(&mut self, operands: &[Id]) {
        for &id in operands {
            if self.dies(id) {
                self.release(id);
            }
        }
    }

    fn own(&mut self, id: Id, r: u8) {
        self.place[id as usize] = Some(r);
        if self.node(id).ins.is_mask() {
            self.masks[r as usize] = Some(id);
        } else {
            self.vectors[r as usize] = Some(id);
        }
    }

    /// The register of a value, which is brought there if it is not in one.
    fn register(&mut self, id: Id, keep: &[u8]) -> u8 {
        if let Some(&r) = self.frame.hoisted.get(&id) {
            return r;
        }
        if let Some(r) = self.place[id as usize] {
            return r;
        }
        let node = self.node(id);
        let r = self.take(node.ins.is_mask(), keep);
        self.own(id, r);
        if node.ins.is_source() {
            let (rm, how) = source(self.a, self.frame, node, self.variant);
            let op = if how.broadcast { broadcast(node.double) } else { load(node.double) };
            self.a.vector(op, r, 0, rm, How { broadcast: false, ..how });
        } else {
            let slot = self.slots[&id];
            if node.ins.is_mask() {
                self.a.mask_spill(r, SPILLS, 64 * slot as i32, false);
            } else {
                self.a.vector(load(true), r, 0, Rm::Mem(spilled(slot)), PLAIN);
            }
        }
        r
    }

    /// Whether the last operand of an instruction can be read from memory at once, with nothing lost. `whole`: also neighbouring
    /// elements, which need the mask of the tail.
    fn folds(&self, id: Id, whole: bool) -> bool {
        if self.place[id as usize].is_some() || self.is_hoisted(id) {
            return false;
        }
        let left = self.plan.uses[id as usize].iter().filter(|&&u| u >= self.at).count();
        match self.node(id).ins {
            Ins::Constant(_) | Ins::Splat(_) => true,
            Ins::Row(_) => whole && left == 1,
            ins => !ins.is_mask() && left == 1,
        }
    }

    /// The last operand: from memory if it folds, else its register.
    fn operand(&mut self, id: Id, whole: bool, keep: &[u8]) -> (Rm, How) {
        if !self.folds(id, whole) {
            return (Rm::Reg(self.register(id, keep)), PLAIN);
        }
        match self.slots.get(&id) {
            Some(&slot) if !self.node(id).ins.is_source() => (Rm::Mem(spilled(slot)), PLAIN),
            _ => source(self.a, self.frame, self.node(id), self.variant),
        }
    }

    // ---- instructions

    fn make(&mut self, id: Id) {
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
                let op = Op { map: 2, prefix: 1, wide: double, code: 0x27, immediate: None };
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

    /// A register for a result.
    fn result(&mut self, id: Id, keep: &[u8]) -> u8 {
        let r = self.take(self.node(id).ins.is_mask(), keep);
        self.own(id, r);
        r
    }

    fn two(&mut self, id: Id, f: Two, x: Id, y: Id, double: bool) {
        let commutes = matches!(f, Two::Add | Two::Mul | Two::And | Two::Or | Two::Xor);
        let (x, y) = if commutes && self.folds(x, true) && !self.folds(y, true) { (y, x) } else { (x, y) };
        let v = self.register(x, &[]);
        let (rm, how) = self.operand(y, true, &[v]);
        self.release_dead(&[x, y]);
        let d = self.result(id, &[v]);
        let op = match f {
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
            Two::Scale => Op { map: 2, prefix: 1, wide: double, code: 0x2c, immediate: None },
        };
        self.a.vector(op, d, v, rm, how);
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
        let op = Op { map: 2, prefix: 1, wide: double, code: 0x65, immediate: None };
        self.a.vector(op, d, v, rm, How { mask: k, ..how });
    }

    // ---- memory

    fn store(&mut self, s: usize) {
        let (at, id) = self.plan.stores[s];
        let double = self.plan.double;
        let r = self.register(id, &[]);
        if at.step == self.plan.size() {
            let to = Rm::Mem(row(self.a, self.frame, at, self.variant, self.plan.size()));
            let first =
                (0..self.plan.stores.len()).find(|&k| self.plan.stores[k].0.step == self.plan.size()) == Some(s);
            let op = if self.variant.stream && first {
                Op { code: 0x2b, ..arithmetic(0x58, double) }
            } else {
                Op { code: 0x11, ..arithmetic(0x58, double) }
            };
            self.a.vector(op, r, 0, to, How { mask: if self.variant.tail { TAIL } else { 0 }, ..PLAIN });
        } else {
            let (base, offsets) = self.lanes_at(at, double, OTHER);
            self.fresh_mask();
            let op = Op { map: 2, prefix: 1, wide: double, code: 0xa2, immediate: None };
            let to = Mem { index: Some((offsets, 0)), ..base };
            self.a.vector(op, r, 0, Rm::Mem(to), How { mask: USED_UP, unit: self.plan.size(), ..PLAIN });
        }
        self.release_dead(&[id]);
    }

    /// The mask that a gather or a scatter uses up.
    fn fresh_mask(&mut self) {
        if self.variant.tail { self.a.mask_move(USED_UP, TAIL) } else { self.a.mask_all(USED_UP) }
    }

    /// The address of lane 0, and a register with the distances of the lanes in bytes (32 bits each).
    fn lanes_at(&mut self, at: Along, double: bool, into: u8) -> (Mem, u8) {
        let base = self.lane_zero(at);
        self.distances(at.step, if double { 8 } else { 16 }, into);
        (base, into)
    }

    fn lane_zero(&mut self, at: Along) -> Mem {
        let disp = at.disp + self.variant.ahead as i32 * at.step;
        let base = pointer(self.a, self.frame, at.group);
        if at.step == 0 {
            return Mem { base, index: None, disp };
        }
        self.a.times(MOVED, INDEX, at.step);
        self.a.add(MOVED, Rm::Reg(base));
        Mem { base: MOVED, index: None, disp }
    }

    fn distances(&mut self, step: i32, lanes: i32, into: u8) {
        let bytes: Vec<u8> = (0..lanes).flat_map(|l| (l * step).to_le_bytes()).collect();
        let rm = self.a.constant(&bytes);
        self.a.vector(load(false), into, 0, rm, How { half: lanes == 8, ..PLAIN });
    }

    fn gather_lanes(&mut self, d: u8, at: Along, double: bool) {
        let (base, offsets) = self.lanes_at(at, double, OTHER);
        self.fresh_mask();
        self.a.vector(ZERO, d, d, Rm::Reg(d), PLAIN);
        let op = Op { map: 2, prefix: 1, wide: double, code: 0x92, immediate: None };
        let from = Mem { index: Some((offsets, 0)), ..base };
        self.a.vector(op, d, 0, Rm::Mem(from), How { mask: USED_UP, unit: self.plan.size(), ..PLAIN });
    }

    /// Whole numbers of 32 bits, extended to the width of the lanes.
    fn indices(&mut self, d: u8, at: Along, double: bool) {
        let extend = Op { map: 2, prefix: 1, wide: false, code: 0x35, immediate: None };
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
                let op = Op { map: 2, prefix: 1, wide: false, code: 0x90, immediate: None };
                let from = Mem { index: Some((offsets, 0)), ..base };
                let how = How { mask: USED_UP, unit: 4, half: double, ..PLAIN };
                self.a.vector(op, d, 0, Rm::Mem(from), how);
                if double {
                    self.a.vector(extend, d, 0, Rm::Reg(d), PLAIN);
                }
            }
        }
    }

    fn gathered(&mut self, id: Id, index: Id, at: Along, bytes: i32, double: bool) {
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
                Op { map: 2, prefix: 1, wide: false, code: 0x40, immediate: None }
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
        let op = Op { map: 2, prefix: 1, wide: double, code, immediate: None };
        let from = Mem { index: Some((offsets, scale)), ..base };
        self.a.vector(op, d, 0, Rm::Mem(from), How { mask: USED_UP, unit: self.plan.size(), ..PLAIN });
    }

    fn number(&mut self, d: u8, at: Along, double: bool) {
        let from = self.lane_zero(at);
        self.a.address(MOVED, from);
        let spread = Op { map: 2, prefix: 1, wide: double, code: 0x7c, immediate: None };
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
fn row(a: &mut Assembler, frame: &Frame, at: Along, variant: Variant, size: i32) -> Mem {
    let base = pointer(a, frame, at.group);
    let scale = size.trailing_zeros() as u8;
    Mem { base, index: Some((INDEX, scale)), disp: at.disp + variant.ahead as i32 * size }
}

/// Where a source is read, and how.
fn source(a: &mut Assembler, frame: &Frame, node: Node, variant: Variant) -> (Rm, How) {
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

fn spilled(slot: usize) -> Mem {
    Mem { base: SPILLS, index: None, disp: 64 * slot as i32 }
}

const STORE: Op = Op { map: 1, prefix: 1, wide: true, code: 0x11, immediate: None };
const MOVE: Op = Op { map: 1, prefix: 1, wide: true, code: 0x28, immediate: None };
const ZERO: Op = Op { map: 1, prefix: 1, wide: false, code: 0xef, immediate: None };
const EXTRACT_UPPER: Op = Op { map: 3, prefix: 1, wide: true, code: 0x1b, immediate: Some(1) };
const INSERT_UPPER: Op = Op { map: 3, prefix: 1, wide: true, code: 0x1a, immediate: Some(1) };

fn arithmetic(code: u8, double: bool) -> Op {
    Op { map: 1, prefix: double as u8, wide: double, code, immediate: None }
}

fn load(double: bool) -> Op {
    arithmetic(0x10, double)
}

fn broadcast(double: bool) -> Op {
    Op { map: 2, prefix: 1, wide: double, code: if double { 0x19 } else { 0x18 }, immediate: None }
}

fn add_whole(double: bool) -> Op {
    Op { map: 1, prefix: 1, wide: double, code: if double { 0xd4 } else { 0xfe }, immediate: None }
}

fn one(f: One, double: bool) -> Op {
    match f {
        One::Sqrt => arithmetic(0x51, double),
        One::Floor => {
            Op { map: 3, prefix: 1, wide: double, code: if double { 0x09 } else { 0x08 }, immediate: Some(9) }
        }
        One::Exponent => Op { map: 2, prefix: 1, wide: double, code: 0x42, immediate: None },
        One::Mantissa => Op { map: 3, prefix: 1, wide: double, code: 0x26, immediate: Some(0) },
    }
}
