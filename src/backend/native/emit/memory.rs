//! Loads, gathers and stores, and the pointers they need.

use super::super::nest::{Address, Expr, Id};
use super::Emitter;
use super::phases::is_call;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, immediates::Offset32};

impl Emitter<'_, '_> {
    pub(super) fn pointers(&mut self) {
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
    pub(super) fn pointer(&mut self, a: &Address, size: usize) -> Value {
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
    pub(super) fn address(&mut self, a: &Address, size: usize) -> (Value, Offset32, isize) {
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
    pub(super) fn along(&mut self, p: Value, step: isize) -> Value {
        let j = self.row.j.expect("compiler bug: outside a loop");
        let moved = match step {
            0 => return p,
            4 => self.b.ins().ishl_imm_u(j, 2),
            8 => self.b.ins().ishl_imm_u(j, 3),
            _ => self.b.ins().imul_imm_s(j, step as i64),
        };
        self.b.ins().iadd(p, moved)
    }

    pub(super) fn load(&mut self, a: &Address) -> Value {
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

    pub(super) fn gathered(&mut self, lanes: &[Value]) -> Value {
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

    pub(super) fn gather(&mut self, index: &Address, source: &Address, row: isize) -> Value {
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

    pub(super) fn store(&mut self, id: Id, v: Value, phase: usize) {
        if self.phases.of[id as usize] != phase {
            return;
        }
        let called = is_call(&self.nest.graph.exprs[id as usize]);
        if let (Some(&slot), false) = (self.phases.slots.get(&id), called) {
            let p = self.scratch_at(slot);
            self.b.ins().store(flags(), v, p, 0);
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

    pub(super) fn scratch_at(&mut self, slot: usize) -> Value {
        let p = self.slot(slot);
        let k = self.row.in_strip.expect("compiler bug: scratch memory outside a strip");
        let shift = if self.size() == 8 { 3 } else { 2 };
        let bytes = self.b.ins().ishl_imm_u(k, shift);
        self.b.ins().iadd(p, bytes)
    }
}

/// Buffers are aligned to their elements, not to vectors.
pub(super) fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}
