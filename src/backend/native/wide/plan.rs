//! The order of instructions, and when each result is used.

use super::body::{Emission, VALUES};
use super::encode::{Assembler, How};
use super::memory::source;
use super::operations::broadcast;
use super::select::Selected;
use super::tape::{Along, Id, Ins, Node};
use std::collections::HashMap;

/// Something to do, in order.
#[derive(Clone, Copy)]
pub enum Step {
    Make(Id),
    Store(usize),
}

/// The instructions in the order they are emitted, and when each result is used.
pub struct Plan {
    pub nodes: Vec<Node>,
    pub steps: Vec<Step>,
    pub uses: Vec<Vec<u32>>,
    pub stores: Vec<(Along, Id)>,
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
