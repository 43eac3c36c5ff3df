//! Machine code of a [`Nest`], by Cranelift, with 128-bit vectors along the innermost loop.
//!
//! There is no loop for what a whole number of vectors leaves over: the last vector is moved back so that it ends with the
//! row, and some elements are computed twice. Elementary functions are calls on strips: the innermost loop is cut into strips,
//! a strip into phases, and what one phase leaves for the next lies in scratch memory.

use super::nest::{Address, Affine, Expr, Id, Nest};
use super::strips;
use crate::ir::{Binary, Compare, DType, Unary};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, InstBuilder, MemFlagsData, Signature, Type, Value, immediates::Offset32, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use std::collections::{HashMap, HashSet};

/// `(buffers, first, last, scratch)`: the range of the outermost loop.
pub fn signature(call: CallConv) -> Signature {
    let mut s = Signature::new(call);
    s.params.extend([AbiParam::new(types::I64); 4]);
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

/// Constants, each repeated over a vector, that code reads by address.
#[derive(Default)]
pub struct Table {
    chunks: Vec<Box<[u64; 2]>>,
    known: HashMap<[u64; 2], usize>,
}

impl Table {
    fn address(&mut self, bits: [u64; 2]) -> *const u8 {
        let k = *self.known.entry(bits).or_insert_with(|| {
            self.chunks.push(Box::new(bits));
            self.chunks.len() - 1
        });
        self.chunks[k].as_ptr().cast()
    }
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

/// When each expression is computed, and which ones pass through scratch memory.
struct Phases {
    of: Vec<usize>,
    count: usize,
    /// The strip of scratch memory of an expression.
    slots: HashMap<Id, usize>,
}

impl Phases {
    fn new(nest: &Nest) -> Phases {
        let exprs = &nest.graph.exprs;
        let needed = order(nest, nest.stores.iter().map(|s| s.1));
        let mut of = vec![0; exprs.len()];
        for &id in &needed {
            let last = exprs[id as usize].operands().map(|a| of[a as usize]).max().unwrap_or(0);
            of[id as usize] = last + is_call(&exprs[id as usize]) as usize;
        }
        let count = needed.iter().map(|&id| of[id as usize]).max().unwrap_or(0) + 1;
        let mut slots = HashMap::new();
        let mut keep = |id: Id| {
            let next = slots.len();
            slots.entry(id).or_insert(next);
        };
        for &id in &needed {
            let e = &exprs[id as usize];
            let called = is_call(e);
            if called {
                keep(id);
            }
            for a in e.operands() {
                let later = of[a as usize] < of[id as usize] && !is_leaf(&exprs[a as usize]);
                if called || later {
                    keep(a);
                }
            }
        }
        for (_, id) in &nest.stores {
            // Stores are made in the phase of their value.
            if is_call(&exprs[*id as usize]) {
                keep(*id);
            }
        }
        Phases { of, count, slots }
    }

    /// Elements of a strip.
    fn strip(&self, nest: &Nest) -> usize {
        const BYTES: usize = 24 << 10;
        let fits = BYTES / (self.slots.len().max(1) * nest.graph.dtype.size());
        let longest = 1 << (usize::BITS - 1 - fits.clamp(64, 512).leading_zeros());
        longest.min(nest.shape[nest.shape.len() - 1])
    }
}

fn is_call(e: &Expr) -> bool {
    match e {
        Expr::Unary(f, _) => strips::unary_slot(*f).is_some(),
        Expr::Binary(f, ..) => strips::binary_slot(*f).is_some(),
        _ => false,
    }
}

/// Cheaper to read again than to keep.
fn is_leaf(e: &Expr) -> bool {
    matches!(e, Expr::Constant(_) | Expr::Number(_) | Expr::Load(_) | Expr::Gather { .. })
}

/// What some expressions need, operands first, each as late as possible.
fn order(nest: &Nest, roots: impl Iterator<Item = Id>) -> Vec<Id> {
    let mut done = HashSet::new();
    let mut order = vec![];
    for root in roots {
        let mut stack = vec![(root, false)];
        while let Some((id, ready)) = stack.pop() {
            if ready {
                order.push(id);
            } else if done.insert(id) {
                stack.push((id, true));
                let operands: Vec<Id> = nest.graph.exprs[id as usize].operands().collect();
                stack.extend(operands.into_iter().rev().filter(|a| !done.contains(a)).map(|a| (a, false)));
            }
        }
    }
    order
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
            let all = order(self.nest, self.nest.stores.iter().map(|s| s.1));
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
                    e.calls(phase, start, count);
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
    fn calls(&mut self, phase: usize, _start: Value, count: Value) {
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

    // ---- memory

    fn pointers(&mut self) {
        let nest = self.nest;
        for e in &nest.graph.exprs {
            match e {
                Expr::Load(a) => drop(self.pointer(a, self.size())),
                Expr::Gather { index, source, .. } => {
                    self.pointer(index, 4);
                    self.pointer(source, self.size());
                }
                _ => {}
            }
        }
        for (a, _) in &nest.stores {
            self.pointer(a, self.size());
        }
    }

    /// To the first element of the row, but for the address' offset.
    fn pointer(&mut self, a: &Address, size: usize) -> Value {
        let key = (a.buffer, a.at.steps.clone(), size);
        if let Some(&p) = self.groups.get(&key) {
            return p;
        }
        let mut p = self.buffers[&a.buffer];
        for (k, i) in self.row.outer.clone().into_iter().enumerate() {
            let step = a.at.steps[k] * size as isize;
            if step != 0 {
                let k = self.b.ins().imul_imm_s(i, step as i64);
                p = self.b.ins().iadd(p, k);
            }
        }
        self.groups.insert(key, p);
        p
    }

    /// Pointer, immediate offset, and bytes between lanes.
    fn address(&mut self, a: &Address, size: usize) -> (Value, Offset32, isize) {
        let p = self.pointer(a, size);
        let step = a.at.steps[a.at.steps.len() - 1] * size as isize;
        let p = self.along(p, step);
        let offset = a.at.offset * size as isize;
        match i32::try_from(offset) {
            Ok(o) if o < i32::MAX / 2 => (p, Offset32::new(o), step),
            _ => (self.b.ins().iadd_imm_s(p, offset as i64), Offset32::new(0), step),
        }
    }

    /// `p + j·step`, in a form that becomes an addressing mode.
    fn along(&mut self, p: Value, step: isize) -> Value {
        let j = self.row.j.expect("compiler bug: outside a loop");
        let moved = match step {
            0 => return p,
            4 => self.b.ins().ishl_imm_u(j, 2),
            8 => self.b.ins().ishl_imm_u(j, 3),
            _ => self.b.ins().imul_imm_s(j, step as i64),
        };
        self.b.ins().iadd(p, moved)
    }

    fn load(&mut self, a: &Address) -> Value {
        let (p, o, step) = self.address(a, self.size());
        if self.shape.lanes == 1 {
            {
                let t = self.scalar();
                self.b.ins().load(t, flags(), p, o)
            }
        } else if step == self.size() as isize {
            {
                let t = self.vector();
                self.b.ins().load(t, flags(), p, o)
            }
        } else if step == 0 {
            let x = {
                let t = self.scalar();
                self.b.ins().load(t, flags(), p, o)
            };
            {
                let t = self.vector();
                self.b.ins().splat(t, x)
            }
        } else {
            let lanes: Vec<Value> = (0..self.shape.lanes)
                .map(|l| {
                    let p = if l == 0 { p } else { self.b.ins().iadd_imm_s(p, (l as isize * step) as i64) };
                    {
                        let t = self.scalar();
                        self.b.ins().load(t, flags(), p, o)
                    }
                })
                .collect();
            self.gathered(&lanes)
        }
    }

    fn gathered(&mut self, lanes: &[Value]) -> Value {
        if lanes.len() == 1 {
            return lanes[0];
        }
        let t = self.vector();
        let mut v = self.b.ins().scalar_to_vector(t, lanes[0]);
        for (l, x) in lanes.iter().enumerate().skip(1) {
            v = self.b.ins().insertlane(v, *x, l as u8);
        }
        v
    }

    fn gather(&mut self, index: &Address, source: &Address, row: isize) -> Value {
        let size = self.size();
        let (base, o, step) = self.address(source, size);
        let lanes: Vec<Value> = (0..self.shape.lanes)
            .map(|l| {
                let i = match self.indices.get(&(index.clone(), l)) {
                    Some(&i) => i,
                    None => {
                        let (p, o, step) = self.address(index, 4);
                        let p = if l == 0 { p } else { self.b.ins().iadd_imm_s(p, (l as isize * step) as i64) };
                        let i = self.b.ins().uload32(flags(), p, o);
                        self.indices.insert((index.clone(), l), i);
                        i
                    }
                };
                let bytes = match row * size as isize {
                    4 => self.b.ins().ishl_imm_u(i, 2),
                    8 => self.b.ins().ishl_imm_u(i, 3),
                    k => self.b.ins().imul_imm_s(i, k as i64),
                };
                let base =
                    if l == 0 || step == 0 { base } else { self.b.ins().iadd_imm_s(base, (l as isize * step) as i64) };
                let p = self.b.ins().iadd(base, bytes);
                {
                    let t = self.scalar();
                    self.b.ins().load(t, flags(), p, o)
                }
            })
            .collect();
        self.gathered(&lanes)
    }

    fn store(&mut self, id: Id, v: Value, phase: usize) {
        if self.phases.of[id as usize] != phase {
            return;
        }
        if let Some(&slot) = self.phases.slots.get(&id) {
            if !is_call(&self.nest.graph.exprs[id as usize]) {
                let p = self.scratch_at(slot);
                self.b.ins().store(flags(), v, p, 0);
            }
        }
        let nest = self.nest;
        for (a, _) in nest.stores.iter().filter(|s| s.1 == id) {
            let (p, o, step) = self.address(a, self.size());
            if self.shape.lanes == 1 || step == self.size() as isize {
                self.b.ins().store(flags(), v, p, o);
                continue;
            }
            for l in 0..self.shape.lanes {
                let x = self.b.ins().extractlane(v, l as u8);
                let p = if l == 0 { p } else { self.b.ins().iadd_imm_s(p, (l as isize * step) as i64) };
                self.b.ins().store(flags(), x, p, o);
            }
        }
    }

    fn scratch_at(&mut self, slot: usize) -> Value {
        let p = self.slot(slot);
        let k = self.row.in_strip.expect("compiler bug: scratch memory outside a strip");
        let shift = if self.size() == 8 { 3 } else { 2 };
        let bytes = self.b.ins().ishl_imm_u(k, shift);
        self.b.ins().iadd(p, bytes)
    }

    // ---- values

    fn scalar(&self) -> Type {
        if self.nest.graph.dtype == DType::F32 { types::F32 } else { types::F64 }
    }

    fn vector(&self) -> Type {
        if self.nest.graph.dtype == DType::F32 { types::F32X4 } else { types::F64X2 }
    }

    fn wide(&self) -> Type {
        if self.shape.lanes == 1 { self.scalar() } else { self.vector() }
    }

    fn constant(&mut self, x: f64) -> Value {
        if self.shape.lanes == 1 {
            return match self.nest.graph.dtype {
                DType::F32 => self.b.ins().f32const(x as f32),
                _ => self.b.ins().f64const(x),
            };
        }
        let bits = match self.nest.graph.dtype {
            DType::F32 => {
                let w = (x as f32).to_bits() as u64;
                w << 32 | w
            }
            _ => x.to_bits(),
        };
        let address = self.table.address([bits, bits]);
        let p = self.int(address as i64);
        let t = self.vector();
        self.b.ins().load(t, MemFlagsData::trusted(), p, 0)
    }

    fn of(&mut self, id: Id, phase: usize) -> Value {
        match self.memo.get(&id) {
            Some(&v) => v,
            None => {
                let v = self.value(id, phase);
                self.memo.insert(id, v);
                v
            }
        }
    }

    fn value(&mut self, id: Id, phase: usize) -> Value {
        if let Some(&v) = self.memo.get(&id) {
            return v;
        }
        let e = self.nest.graph.exprs[id as usize].clone();
        if is_call(&e) || (self.phases.of[id as usize] != phase && !is_leaf(&e)) {
            let p = self.scratch_at(self.phases.slots[&id]);
            let t = self.wide();
            return self.b.ins().load(t, flags(), p, 0);
        }
        match e {
            Expr::Constant(bits) => self.constant(f64::from_bits(bits)),
            Expr::Number(a) => self.number(&a),
            Expr::Load(a) => self.load(&a),
            Expr::Gather { index, source, row } => self.gather(&index, &source, row),
            Expr::Unary(f, a) => {
                let x = self.of(a, phase);
                self.unary(f, x)
            }
            Expr::Binary(f, a, b) => {
                let (x, y) = (self.of(a, phase), self.of(b, phase));
                self.binary(f, x, y)
            }
            Expr::Compare(c, a, b) => {
                let (x, y) = (self.of(a, phase), self.of(b, phase));
                let m = self.b.ins().fcmp(condition(c), x, y);
                let (one, zero) = (self.constant(1.0), self.constant(0.0));
                self.choose(m, one, zero)
            }
            Expr::Select(m, a, b) => {
                let (x, y) = (self.of(a, phase), self.of(b, phase));
                let compared = match self.nest.graph.exprs[m as usize] {
                    Expr::Compare(c, p, q) if self.phases.of[m as usize] == phase => Some((c, p, q)),
                    _ => None,
                };
                let mask = match compared {
                    Some((c, p, q)) => {
                        let (p, q) = (self.of(p, phase), self.of(q, phase));
                        self.b.ins().fcmp(condition(c), p, q)
                    }
                    None => {
                        let (m, zero) = (self.of(m, phase), self.constant(0.0));
                        self.b.ins().fcmp(FloatCC::NotEqual, m, zero)
                    }
                };
                self.choose(mask, x, y)
            }
        }
    }

    /// By a comparison's result.
    fn choose(&mut self, mask: Value, x: Value, y: Value) -> Value {
        if self.shape.lanes == 1 {
            return self.b.ins().select(mask, x, y);
        }
        let t = self.vector();
        let mask = self.b.ins().bitcast(t, little(), mask);
        self.b.ins().bitselect(mask, x, y)
    }

    fn unary(&mut self, f: Unary, x: Value) -> Value {
        match f {
            Unary::Neg => self.b.ins().fneg(x),
            Unary::Abs => self.b.ins().fabs(x),
            Unary::Floor => self.b.ins().floor(x),
            Unary::Sqrt => self.b.ins().sqrt(x),
            Unary::Sign => {
                let (one, minus, zero) = (self.constant(1.0), self.constant(-1.0), self.constant(0.0));
                let (up, down) =
                    (self.b.ins().fcmp(FloatCC::GreaterThan, x, zero), self.b.ins().fcmp(FloatCC::LessThan, x, zero));
                // The sign of a NaN is NaN.
                let rest = self.b.ins().fmul(x, zero);
                let low = self.choose(down, minus, rest);
                self.choose(up, one, low)
            }
            Unary::Exp | Unary::Log | Unary::Sin | Unary::Cos | Unary::Tanh | Unary::Atan | Unary::Erf => {
                unreachable!("compiler bug: an elementary function is a call")
            }
        }
    }

    fn binary(&mut self, f: Binary, x: Value, y: Value) -> Value {
        match f {
            Binary::Add => self.b.ins().fadd(x, y),
            Binary::Sub => self.b.ins().fsub(x, y),
            Binary::Mul => self.b.ins().fmul(x, y),
            Binary::Div => self.b.ins().fdiv(x, y),
            // NaN if either is.
            Binary::Min | Binary::Max => {
                let cc = if f == Binary::Min { FloatCC::LessThan } else { FloatCC::GreaterThan };
                let better = self.b.ins().fcmp(cc, x, y);
                let nan = self.b.ins().fcmp(FloatCC::NotEqual, x, x);
                let chosen = self.choose(better, x, y);
                self.choose(nan, x, chosen)
            }
            Binary::Pow | Binary::Atan2 => unreachable!("compiler bug: an elementary function is a call"),
        }
    }

    fn number(&mut self, a: &Affine) -> Value {
        let mut n = self.int(a.offset as i64);
        let inner = a.steps[a.steps.len() - 1];
        let j = self.row.j.expect("compiler bug: outside a loop");
        for (i, &step) in self.row.outer.clone().iter().chain([&j]).zip(&a.steps) {
            if step != 0 {
                let k = self.b.ins().imul_imm_s(*i, step as i64);
                n = self.b.ins().iadd(n, k);
            }
        }
        let lanes: Vec<Value> = (0..self.shape.lanes)
            .map(|l| {
                let n = if l == 0 { n } else { self.b.ins().iadd_imm_s(n, (l as isize * inner) as i64) };
                let t = self.scalar();
                self.b.ins().fcvt_from_sint(t, n)
            })
            .collect();
        self.gathered(&lanes)
    }
}

/// Buffers are aligned to their elements, not to vectors.
fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little)
}

fn condition(c: Compare) -> FloatCC {
    match c {
        Compare::Lt => FloatCC::LessThan,
        Compare::Le => FloatCC::LessThanOrEqual,
        Compare::Eq => FloatCC::Equal,
    }
}
