//! Which value lies in which register.

use super::body::{Emission, FIRST_MASK, SPILLS, VALUES};
use super::encode::{How, Mem, PLAIN, Rm};
use super::memory::source;
use super::operations::{STORE, broadcast, load};
use super::tape::{Id, Ins, Node};

impl Emission<'_> {
    pub fn node(&self, id: Id) -> Node {
        self.plan.nodes[id as usize]
    }

    pub fn is_hoisted(&self, id: Id) -> bool {
        self.frame.hoisted.contains_key(&id)
    }

    pub fn next_use(&self, id: Id, after: u32) -> u32 {
        let uses = &self.plan.uses[id as usize];
        uses[uses.partition_point(|&u| u < after)..].first().copied().unwrap_or(u32::MAX)
    }

    /// No use after this step.
    pub fn dies(&self, id: Id) -> bool {
        !self.is_hoisted(id) && self.next_use(id, self.at + 1) == u32::MAX
    }

    pub fn available(&self) -> usize {
        VALUES - self.frame.hoisted.len()
    }

    /// A free register; `keep` are registers that this instruction reads.
    pub fn take(&mut self, mask: bool, keep: &[u8]) -> u8 {
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

    /// A register for a result.
    pub fn result(&mut self, id: Id, keep: &[u8]) -> u8 {
        let r = self.take(self.node(id).ins.is_mask(), keep);
        self.own(id, r);
        r
    }

    pub fn release(&mut self, id: Id) {
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

    pub fn release_dead(&mut self, operands: &[Id]) {
        for &id in operands {
            if self.dies(id) {
                self.release(id);
            }
        }
    }

    pub fn own(&mut self, id: Id, r: u8) {
        self.place[id as usize] = Some(r);
        if self.node(id).ins.is_mask() {
            self.masks[r as usize] = Some(id);
        } else {
            self.vectors[r as usize] = Some(id);
        }
    }

    /// The register of a value, which is brought there if it is not in one.
    pub fn register(&mut self, id: Id, keep: &[u8]) -> u8 {
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
    pub fn folds(&self, id: Id, whole: bool) -> bool {
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
    pub fn operand(&mut self, id: Id, whole: bool, keep: &[u8]) -> (Rm, How) {
        if !self.folds(id, whole) {
            return (Rm::Reg(self.register(id, keep)), PLAIN);
        }
        match self.slots.get(&id) {
            Some(&slot) if !self.node(id).ins.is_source() => (Rm::Mem(spilled(slot)), PLAIN),
            _ => source(self.a, self.frame, self.node(id), self.variant),
        }
    }
}

fn spilled(slot: usize) -> Mem {
    Mem { base: SPILLS, index: None, disp: 64 * slot as i32 }
}
