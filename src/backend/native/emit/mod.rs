//! Machine code of a [`Nest`], by Cranelift, with 128-bit vectors along the innermost loop.
//!
//! There is no loop for what a whole number of vectors leaves over: the last vector is moved back so that it ends with the
//! row, and some elements are computed twice. Elementary functions are calls on strips: the innermost loop is cut into strips,
//! a strip into phases, and what one phase leaves for the next lies in scratch memory.

mod memory;
mod phases;
mod table;
mod values;

pub use table::Table;

use super::nest::{Address, Expr, Id, Nest};
use super::strips;
use crate::ir::DType;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Block, BlockArg, InstBuilder, MemFlagsData, Signature, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use phases::{Phases, is_call};
use std::collections::{HashMap, HashSet};

/// `(buffers, first, last, scratch, …)`: the range of the outermost loop. All of the second loop is done, whatever is asked for.
pub fn signature(call: CallConv) -> Signature {
    let mut s = Signature::new(call);
    s.params.extend([AbiParam::new(types::I64); 6]);
    s
}

/// Iterations of the outermost loop that a call must at least be given.
pub fn least_range(nest: &Nest) -> usize {
    if nest.shape.len() == 1 { Shape::of(nest).width() } else { 1 }
}

/// Bytes of scratch memory that a call needs.
pub fn scratch_bytes(nest: &Nest) -> usize {
    let phases = Phases::new(nest);
    phases.slots.len() * phases.strip(nest) * nest.graph.dtype.size()
}

/// Emits the body of a function with [`signature`]. `table` receives constants; its address must stay.
pub fn emit(b: &mut FunctionBuilder, nest: &Nest, table: &mut Table, call: CallConv) {
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let params: Vec<Value> = b.block_params(entry).to_vec();
    let mut e = Emitter {
        nest,
        shape: Shape::of(nest),
        phases: Phases::new(nest),
        table,
        call,
        buffers: HashMap::new(),
        scratch: params[3],
        memo: HashMap::new(),
        indices: HashMap::new(),
        groups: HashMap::new(),
        row: Row::default(),
        b,
    };
    for k in e.used_buffers() {
        let p = e.b.ins().load(types::I64, MemFlagsData::trusted(), params[0], (8 * k) as i32);
        e.buffers.insert(k, p);
    }
    e.loops(0, vec![], params[1], params[2]);
    e.b.ins().return_(&[]);
    e.b.seal_all_blocks();
}

/// How the innermost loop is stepped.
#[derive(Clone, Copy)]
struct Shape {
    lanes: usize,
    unroll: usize,
}

impl Shape {
    fn of(nest: &Nest) -> Shape {
        let n = nest.shape[nest.shape.len() - 1];
        let lanes = if nest.graph.dtype == DType::F32 { 4 } else { 2 };
        if n < lanes {
            return Shape { lanes: 1, unroll: 1 };
        }
        let wanted = match nest.graph.exprs.len() {
            0..=24 => 4,
            25..=64 => 2,
            _ => 1,
        };
        Shape { lanes, unroll: wanted.min(n / lanes) }
    }

    fn width(self) -> usize {
        self.lanes * self.unroll
    }
}

/// The innermost loop that is being emitted.
#[derive(Default)]
struct Row {
    outer: Vec<Value>,
    /// The innermost index, and in a strip its distance from the strip's start.
    j: Option<Value>,
    in_strip: Option<Value>,
}

struct Emitter<'a, 'f> {
    nest: &'a Nest,
    shape: Shape,
    phases: Phases,
    table: &'a mut Table,
    call: CallConv,
    buffers: HashMap<usize, Value>,
    scratch: Value,
    /// Of the current iteration.
    memo: HashMap<Id, Value>,
    indices: HashMap<(Address, usize), Value>,
    /// Pointers to the start of the row, by buffer and steps.
    groups: HashMap<(usize, Vec<isize>, usize), Value>,
    row: Row,
    b: &'a mut FunctionBuilder<'f>,
}

impl Emitter<'_, '_> {
    fn used_buffers(&self) -> Vec<usize> {
        let mut used = std::collections::BTreeSet::new();
        for e in &self.nest.graph.exprs {
            match e {
                Expr::Load(a) => drop(used.insert(a.buffer)),
                Expr::Gather { index, source, .. } => used.extend([index.buffer, source.buffer]),
                _ => {}
            }
        }
        used.extend(self.nest.stores.iter().map(|s| s.0.buffer));
        used.into_iter().collect()
    }

    fn size(&self) -> usize {
        self.nest.graph.dtype.size()
    }

    fn int(&mut self, k: i64) -> Value {
        self.b.ins().iconst(types::I64, k)
    }

    // ---- loops

    fn loops(&mut self, axis: usize, outer: Vec<Value>, first: Value, last: Value) {
        if axis + 1 == self.nest.shape.len() {
            return self.innermost(outer, first, last);
        }
        let (head, end) = (self.b.create_block(), self.b.create_block());
        let i = self.b.append_block_param(head, types::I64);
        self.b.ins().jump(head, &[BlockArg::Value(first)]);
        self.b.switch_to_block(head);
        let mut indices = outer;
        indices.push(i);
        let zero = self.int(0);
        let n = self.int(self.nest.shape[axis + 1] as i64);
        self.loops(axis + 1, indices, zero, n);
        let next = self.b.ins().iadd_imm_s(i, 1);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, last);
        self.b.ins().brif(more, head, &[BlockArg::Value(next)], end, &[]);
        self.b.switch_to_block(end);
    }

    fn innermost(&mut self, outer: Vec<Value>, first: Value, last: Value) {
        self.row = Row { outer, j: None, in_strip: None };
        self.groups.clear();
        // Pointers are made before the loops that use them.
        self.pointers();
        if self.phases.count == 1 {
            let all = self.nest.order(self.nest.stores.iter().map(|s| s.1));
            return self.steps(first, last, None, &all, 0);
        }
        let strip = self.phases.strip(self.nest) as i64;
        let total = self.b.ins().isub(last, first);
        let most = self.int(strip);
        let count = self.b.ins().smin(total, most);
        self.stepped(first, last, count, |e, start| {
            let end = e.b.ins().iadd(start, count);
            for phase in 0..e.phases.count {
                if phase > 0 {
                    e.calls(phase, count);
                }
                let wanted = e.wanted(phase);
                if !wanted.is_empty() {
                    e.steps(start, end, Some(start), &wanted, phase);
                }
            }
        });
    }

    /// `body(j)` for j = first, first + width, …, the last one moved back to end at `last`.
    fn stepped(&mut self, first: Value, last: Value, width: Value, body: impl FnOnce(&mut Self, Value)) {
        let (head, end): (Block, Block) = (self.b.create_block(), self.b.create_block());
        let j = self.b.append_block_param(head, types::I64);
        let final_j = self.b.ins().isub(last, width);
        self.b.ins().jump(head, &[BlockArg::Value(first)]);
        self.b.switch_to_block(head);
        body(self, j);
        let next = self.b.ins().iadd(j, width);
        let next = self.b.ins().smin(next, final_j);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, j, final_j);
        self.b.ins().brif(more, head, &[BlockArg::Value(next)], end, &[]);
        self.b.switch_to_block(end);
    }

    /// One loop that computes `wanted` (operands first) and stores what belongs to `phase`.
    fn steps(&mut self, first: Value, last: Value, strip: Option<Value>, wanted: &[Id], phase: usize) {
        let width = self.int(self.shape.width() as i64);
        let wanted = wanted.to_vec();
        self.stepped(first, last, width, |e, j| {
            for u in 0..e.shape.unroll {
                let at = if u == 0 { j } else { e.b.ins().iadd_imm_s(j, (u * e.shape.lanes) as i64) };
                e.row.j = Some(at);
                e.row.in_strip = strip.map(|s| e.b.ins().isub(at, s));
                e.memo.clear();
                e.indices.clear();
                for &id in &wanted {
                    let v = e.value(id, phase);
                    e.memo.insert(id, v);
                    e.store(id, v, phase);
                }
            }
        });
    }

    /// What a phase must compute: values to store, and those that later phases read. Operands first.
    fn wanted(&self, phase: usize) -> Vec<Id> {
        let of = &self.phases.of;
        let stored = self.nest.stores.iter().map(|s| s.1);
        let kept = self.phases.slots.keys().copied();
        let exprs = &self.nest.graph.exprs;
        let mut roots: Vec<Id> = stored.filter(|&id| of[id as usize] == phase).collect();
        let mut kept: Vec<Id> = kept.filter(|&id| of[id as usize] == phase && !is_call(&exprs[id as usize])).collect();
        kept.sort_unstable();
        roots.extend(kept);
        // Operands of earlier phases are read, not computed again.
        let mut done = HashSet::new();
        let mut order = vec![];
        for root in roots {
            let mut stack = vec![(root, false)];
            while let Some((id, ready)) = stack.pop() {
                if ready {
                    order.push(id);
                } else if done.insert(id) {
                    stack.push((id, true));
                    let e = &exprs[id as usize];
                    if of[id as usize] == phase && !is_call(e) {
                        let operands: Vec<Id> = e.operands().collect();
                        stack.extend(operands.into_iter().rev().filter(|a| !done.contains(a)).map(|a| (a, false)));
                    }
                }
            }
        }
        order
    }

    /// The elementary functions whose results belong to a phase.
    fn calls(&mut self, phase: usize, count: Value) {
        let mut ids: Vec<Id> = self.phases.slots.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let e = self.nest.graph.exprs[id as usize].clone();
            if self.phases.of[id as usize] != phase || !is_call(&e) {
                continue;
            }
            let table = strips::table();
            let double = self.nest.graph.dtype == DType::F64;
            let address = match e {
                Expr::Unary(f, _) => {
                    let k = strips::unary_slot(f).expect("compiler bug: a call");
                    if double { table.unary64[k] as usize } else { table.unary32[k] as usize }
                }
                Expr::Binary(f, ..) => {
                    let k = strips::binary_slot(f).expect("compiler bug: a call");
                    if double { table.binary64[k] as usize } else { table.binary32[k] as usize }
                }
                _ => unreachable!("compiler bug: a call"),
            };
            let mut signature = Signature::new(self.call);
            let mut args = vec![count];
            for a in e.operands().chain([id]) {
                let slot = self.phases.slots[&a];
                args.push(self.slot(slot));
            }
            signature.params.extend(args.iter().map(|_| AbiParam::new(types::I64)));
            let signature = self.b.import_signature(signature);
            let f = self.int(address as i64);
            self.b.ins().call_indirect(signature, f, &args);
        }
    }

    fn slot(&mut self, slot: usize) -> Value {
        let bytes = slot * self.phases.strip(self.nest) * self.size();
        self.b.ins().iadd_imm_s(self.scratch, bytes as i64)
    }
}
