//! Arithmetic on vectors and scalars.

use super::super::nest::{Affine, Expr, Id};
use super::Emitter;
use super::memory::flags;
use super::phases::{is_call, is_leaf};
use crate::ir::{Binary, Compare, DType, Unary};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};

impl Emitter<'_, '_> {
    pub(super) fn scalar(&self) -> Type {
        if self.nest.graph.dtype == DType::F32 { types::F32 } else { types::F64 }
    }

    pub(super) fn vector(&self) -> Type {
        if self.nest.graph.dtype == DType::F32 { types::F32X4 } else { types::F64X2 }
    }

    pub(super) fn wide(&self) -> Type {
        if self.shape.lanes == 1 { self.scalar() } else { self.vector() }
    }

    pub(super) fn constant(&mut self, x: f64) -> Value {
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

    pub(super) fn of(&mut self, id: Id, phase: usize) -> Value {
        match self.memo.get(&id) {
            Some(&v) => v,
            None => {
                let v = self.value(id, phase);
                self.memo.insert(id, v);
                v
            }
        }
    }

    pub(super) fn value(&mut self, id: Id, phase: usize) -> Value {
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
    pub(super) fn choose(&mut self, mask: Value, x: Value, y: Value) -> Value {
        if self.shape.lanes == 1 {
            return self.b.ins().select(mask, x, y);
        }
        let t = self.vector();
        let mask = self.b.ins().bitcast(t, little(), mask);
        self.b.ins().bitselect(mask, x, y)
    }

    pub(super) fn unary(&mut self, f: Unary, x: Value) -> Value {
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

    pub(super) fn binary(&mut self, f: Binary, x: Value, y: Value) -> Value {
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

    pub(super) fn number(&mut self, a: &Affine) -> Value {
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
