//! The loops around the body: pointers that move with them, and a row cut into a head up to an aligned address, unrolled and single
//! vectors, and what is left, head and rest being parts of a vector under a mask.

use super::super::nest::Nest;
use super::body::{INDEX, SPILLS, TAIL, VALUES};
use super::encode::{Assembler, If, Label, Mem, Rm, gpr};
use super::memory::{on_stack, pointer};
use super::plan::{Frame, Plan, Variant};
use super::select::Group;
use super::tape::{Along, Id};
use std::collections::HashMap;

/// The end of the row, and how many lanes the next part of a vector has.
const END: u8 = gpr::RCX;
const PART: u8 = gpr::RSI;
/// Registers that a function must leave as they were, all used.
const SAVED: [u8; 6] = [gpr::RBX, gpr::RBP, 12, 13, 14, 15];
/// Registers of pointers.
const POINTERS: [u8; 9] = [gpr::RBX, gpr::RBP, 9, 10, 11, 12, 13, 14, 15];

struct Loops<'a> {
    a: &'a mut Assembler,
    shape: &'a [usize],
    groups: &'a [Group],
    plan: &'a Plan,
    frame: Frame,
    /// Sources that are loaded before each row.
    splats: Vec<(Id, u8)>,
    unroll: usize,
    /// The store whose addresses are brought to multiples of 64.
    aligned: Option<Along>,
    stream: bool,
    slots: usize,
}

/// The words of the stack frame: pointers, then these, then a counter for each outer loop.
struct Words {
    /// Iterations of the outermost loop in this call.
    count: usize,
    /// Where unrolled and single vectors must begin at the latest.
    last_unrolled: usize,
    last_single: usize,
    /// First and number of the iterations of the second loop of three.
    second: usize,
    seconds: usize,
    counters: usize,
}

/// Emits `fn(buffers, first, last, scratch, first, last)`; returns the bytes of scratch memory it needs. `stream`: results go around the caches.
pub fn emit(a: &mut Assembler, nest: &Nest, groups: &[Group], plan: &Plan, stream: bool) -> usize {
    let row = nest.shape[nest.shape.len() - 1];
    let lanes = plan.lanes();
    let wanted = match plan.len() {
        0..=12 => 4,
        13..=40 => 2,
        _ => 1,
    };
    let unroll = if row >= 4 * lanes * wanted { wanted } else { 1 };
    // As many invariants in registers as cost nothing.
    let invariants = plan.invariants();
    let most = invariants.len().min(VALUES - 6);
    let least = plan.evictions(0);
    let hoisted = (1..=most).rev().find(|&h| plan.evictions(h) <= least).unwrap_or(0);
    let registers: Vec<(Id, u8)> = invariants.into_iter().take(hoisted).zip((0..VALUES as u8).rev()).collect();
    let (constants, splats): (Vec<_>, Vec<_>) = registers.iter().copied().partition(|(id, _)| plan.is_constant(*id));
    let pointers: HashMap<usize, u8> = (0..groups.len()).zip(POINTERS).collect();
    let aligned = plan.main_store().filter(|_| row >= 4 * lanes);
    let frame = Frame { pointers, hoisted: registers.into_iter().collect() };
    let stream = stream && aligned.is_some();
    let mut l = Loops { a, shape: &nest.shape, groups, plan, frame, splats, unroll, aligned, stream, slots: 0 };
    l.function(&constants);
    match l.slots {
        0 => 0,
        n => 64 * (n + 1),
    }
}

impl Loops<'_> {
    fn words(&self) -> Words {
        let n = self.groups.len();
        Words { count: n, last_unrolled: n + 1, last_single: n + 2, second: n + 3, seconds: n + 4, counters: n + 5 }
    }

    fn function(&mut self, constants: &[(Id, u8)]) {
        let words = self.words();
        // An odd number of words, so that the stack stays aligned as calls have it.
        let bytes = 8 * ((words.counters + self.shape.len()) | 1) as i32;
        SAVED.iter().for_each(|&r| self.a.push(r));
        self.a.add_now(Rm::Reg(gpr::RSP), -bytes);
        let (buffers, first, last, scratch) = (gpr::RDI, gpr::RSI, gpr::RDX, gpr::RCX);
        self.a.subtract(last, Rm::Reg(first));
        self.a.store(on_stack(words.count), last);
        if self.shape.len() == 3 {
            self.a.subtract(9, Rm::Reg(gpr::R8));
            self.a.store(on_stack(words.second), gpr::R8);
            self.a.store(on_stack(words.seconds), 9);
        }
        self.a.address(gpr::R8, Mem { base: scratch, index: None, disp: 63 });
        self.a.and_now(gpr::R8, -64);
        for (g, group) in self.groups.iter().enumerate() {
            match group.buffer {
                Some(k) => {
                    self.a.move_to(INDEX, Rm::Mem(Mem { base: buffers, index: None, disp: 8 * k as i32 }));
                }
                None => self.a.set(INDEX, 0),
            }
            if group.steps[0] != 0 {
                self.a.times(gpr::RCX, first, group.steps[0] as i32);
                self.a.add(INDEX, Rm::Reg(gpr::RCX));
            }
            if self.shape.len() == 3 && group.steps[1] != 0 {
                self.a.move_to(gpr::RCX, Rm::Mem(on_stack(words.second)));
                self.a.times(gpr::RCX, gpr::RCX, group.steps[1] as i32);
                self.a.add(INDEX, Rm::Reg(gpr::RCX));
            }
            if group.base != 0 {
                self.a.set(gpr::RCX, group.base as i64);
                self.a.add(INDEX, Rm::Reg(gpr::RCX));
            }
            self.a.store(on_stack(g), INDEX);
        }
        self.a.move_to(SPILLS, Rm::Reg(gpr::R8));
        for &(id, r) in constants {
            self.plan.load_invariant(self.a, &self.frame, id, r);
        }
        self.axis(0);
        if self.stream {
            self.a.fence();
        }
        self.a.leave_vectors();
        self.a.add_now(Rm::Reg(gpr::RSP), bytes);
        SAVED.iter().rev().for_each(|&r| self.a.pop(r));
        self.a.ret();
    }

    fn axis(&mut self, axis: usize) {
        if axis + 1 == self.shape.len() {
            return self.row();
        }
        let words = self.words();
        let counter = on_stack(words.counters + axis);
        let extent = self.shape[axis];
        let second_of_three = axis == 1 && self.shape.len() == 3;
        if axis == 0 {
            self.a.move_to(INDEX, Rm::Mem(on_stack(words.count)));
        } else if second_of_three {
            self.a.move_to(INDEX, Rm::Mem(on_stack(words.seconds)));
        } else {
            self.a.set(INDEX, extent as i64);
        }
        self.a.store(counter, INDEX);
        let head = self.a.label();
        self.a.bind(head);
        self.axis(axis + 1);
        for g in 0..self.groups.len() {
            self.advance(g, self.groups[g].steps[axis] as i64);
        }
        self.a.add_now(Rm::Mem(counter), -1);
        self.a.jump_if(If::NotEqual, head);
        if second_of_three {
            for g in 0..self.groups.len() {
                let step = self.groups[g].steps[axis] as i32;
                if step != 0 {
                    self.a.move_to(INDEX, Rm::Mem(on_stack(words.seconds)));
                    self.a.times(INDEX, INDEX, -step);
                    self.a.add(INDEX, Rm::Mem(on_stack(g)));
                    self.a.store(on_stack(g), INDEX);
                }
            }
        } else if axis > 0 {
            for g in 0..self.groups.len() {
                self.advance(g, -(self.groups[g].steps[axis] as i64) * extent as i64);
            }
        }
    }

    fn advance(&mut self, group: usize, bytes: i64) {
        match i32::try_from(bytes) {
            Ok(0) => {}
            Ok(bytes) => self.a.add_now(Rm::Mem(on_stack(group)), bytes),
            Err(_) => {
                self.a.set(INDEX, bytes);
                self.a.add(INDEX, Rm::Mem(on_stack(group)));
                self.a.store(on_stack(group), INDEX);
            }
        }
    }

    // ---- the row

    fn row(&mut self) {
        let words = self.words();
        let (lanes, unrolled) = (self.plan.lanes() as i32, (self.plan.lanes() * self.unroll) as i32);
        let mut pointers: Vec<(usize, u8)> = self.frame.pointers.iter().map(|(g, r)| (*g, *r)).collect();
        pointers.sort_unstable();
        for (g, r) in pointers {
            self.a.move_to(r, Rm::Mem(on_stack(g)));
        }
        for (id, r) in self.splats.clone() {
            self.plan.load_invariant(self.a, &self.frame, id, r);
        }
        match self.shape {
            [_] => self.a.move_to(END, Rm::Mem(on_stack(words.count))),
            [.., n] => self.a.set(END, *n as i64),
            [] => unreachable!("compiler bug: a nest without loops"),
        }
        self.a.set(INDEX, 0);
        let [part, whole, single, rest, done] = [(); 5].map(|()| self.a.label());
        let exact = self.shape.len() > 1 && self.aligned.is_none();
        let short = exact && self.shape[self.shape.len() - 1] < lanes as usize;
        if short {
            self.a.move_to(PART, Rm::Reg(END));
        } else {
            self.bounds(&words, lanes, unrolled);
            if let Some(at) = self.aligned {
                self.head(at, whole);
            } else {
                self.a.jump(whole);
            }
        }
        self.a.bind(part);
        self.a.first_lanes(TAIL, PART, gpr::R8);
        self.copy(Variant { tail: true, ahead: 0, stream: false });
        if !short {
            self.a.add(INDEX, Rm::Reg(PART));
            self.a.compare(INDEX, Rm::Reg(END));
            self.a.jump_if(If::AboveOrEqual, done);
            self.a.bind(whole);
            if self.unroll > 1 {
                self.vectors(words.last_unrolled, self.unroll, single);
            }
            self.a.bind(single);
            self.vectors(words.last_single, 1, rest);
            self.a.bind(rest);
            self.a.move_to(PART, Rm::Reg(END));
            self.a.subtract(PART, Rm::Reg(INDEX));
            self.a.jump_if(If::NotEqual, part);
        }
        self.a.bind(done);
    }

    fn bounds(&mut self, words: &Words, lanes: i32, unrolled: i32) {
        for (word, n) in [(words.last_unrolled, unrolled), (words.last_single, lanes)] {
            self.a.address(gpr::R8, Mem { base: END, index: None, disp: -n });
            self.a.store(on_stack(word), gpr::R8);
        }
    }

    /// Lanes up to the first aligned address of a store, or to `whole` where there are none; at most a whole row.
    fn head(&mut self, at: Along, whole: Label) {
        let base = pointer(self.a, &self.frame, at.group);
        self.a.address(PART, Mem { base, index: None, disp: at.disp });
        self.a.negate(PART);
        self.a.and_now(PART, 63);
        self.a.shift_right(PART, self.plan.size().trailing_zeros() as u8);
        self.a.jump_if(If::Equal, whole);
        self.a.compare(PART, Rm::Reg(END));
        let shorter = self.a.label();
        self.a.jump_if(If::LessOrEqual, shorter);
        self.a.move_to(PART, Rm::Reg(END));
        self.a.bind(shorter);
    }

    /// `count` vectors at a time while the index is not beyond a bound, then to `after`.
    fn vectors(&mut self, bound: usize, count: usize, after: Label) {
        self.a.compare(INDEX, Rm::Mem(on_stack(bound)));
        self.a.jump_if(If::Greater, after);
        let head = self.a.label();
        self.a.bind_aligned(head);
        let lanes = self.plan.lanes();
        for u in 0..count {
            self.copy(Variant { tail: false, ahead: u * lanes, stream: self.stream });
        }
        self.a.add_now(Rm::Reg(INDEX), (count * lanes) as i32);
        self.a.compare(INDEX, Rm::Mem(on_stack(bound)));
        self.a.jump_if(If::LessOrEqual, head);
    }

    fn copy(&mut self, variant: Variant) {
        let outcome = self.plan.emit(self.a, &self.frame, variant);
        self.slots = self.slots.max(outcome.slots);
    }
}
