//! Random functions that cover every operation, and random inputs for them. Values stay of order one.

use mslc::ir::{Binary, Builder, Compare, DType, Dot, Func, Op, Reduce, SolveSpec, Tensor, Type, Unary, Value};
use std::sync::Arc;

/// A small generator of numbers (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// In [-1, 1).
    pub fn number(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn tensor(&mut self, ty: &Type) -> Tensor {
        let x: Vec<f64> = (0..ty.len()).map(|_| self.number()).collect();
        match ty.dtype {
            DType::F64 => Tensor::f64(ty.shape.clone(), x),
            DType::F32 => Tensor::f32(ty.shape.clone(), x.iter().map(|&x| x as f32).collect::<Vec<_>>()),
            DType::Index => {
                Tensor::index(ty.shape.clone(), x.iter().map(|x| (x.abs() * 3.0) as u32).collect::<Vec<_>>())
            }
        }
    }
}

/// A function under construction, with what may still be used and whether its bits are those of the interpreter.
struct Maker<'a> {
    dice: &'a mut Dice,
    b: Builder,
    dtype: DType,
    pool: Vec<(Value, bool)>,
}

/// A function of `steps` random operations; its outputs, and for each whether a back end must give the interpreter's bits.
pub fn func(dice: &mut Dice, dtype: DType, steps: usize) -> (Func, Vec<bool>) {
    let mut b = Builder::new("random");
    let shapes: [&[usize]; 5] = [&[], &[4], &[3, 5], &[2, 3, 4], &[37]];
    let pool = shapes.iter().map(|s| (b.input(Type::new(dtype, s.to_vec())), true)).collect();
    let mut m = Maker { dice, b, dtype, pool };
    for _ in 0..steps {
        m.step(true);
    }
    let used = m.pool.len().min(6);
    let chosen: Vec<(Value, bool)> = m.pool[m.pool.len() - used..].to_vec();
    let (values, exact): (Vec<Value>, Vec<bool>) = chosen.into_iter().unzip();
    (m.b.finish(values), exact)
}

impl Maker<'_> {
    fn any(&mut self) -> (Value, bool) {
        self.pool[self.dice.below(self.pool.len())]
    }

    /// Another value of the same shape, else the same value.
    fn like(&mut self, v: Value) -> (Value, bool) {
        let shape = self.b.ty(v).shape.clone();
        let fits: Vec<(Value, bool)> =
            self.pool.iter().copied().filter(|(w, _)| self.b.ty(*w).shape == shape).collect();
        fits[self.dice.below(fits.len())]
    }

    fn of_rank(&mut self, rank: usize) -> (Value, bool) {
        let fits: Vec<(Value, bool)> =
            self.pool.iter().copied().filter(|(w, _)| self.b.ty(*w).rank() >= rank).collect();
        fits[self.dice.below(fits.len())]
    }

    fn keep(&mut self, v: Value, exact: bool) {
        if self.b.ty(v).len() <= 4096 {
            self.pool.push((v, exact));
        }
    }

    /// Bounded, so that nothing overflows.
    fn tame(&mut self, v: Value, exact: bool) {
        let f = [Unary::Tanh, Unary::Sin, Unary::Atan, Unary::Erf][self.dice.below(4)];
        let v = self.b.unary(f, v);
        self.keep(v, exact);
    }

    fn step(&mut self, structured: bool) {
        let kinds = if structured { 26 } else { 18 };
        match self.dice.below(kinds) {
            0..=2 => self.unary(),
            3..=5 => self.binary(),
            6 => {
                let (a, x) = self.any();
                let (b, y) = self.like(a);
                if x && y {
                    let c = [Compare::Lt, Compare::Le, Compare::Eq][self.dice.below(3)];
                    let m = self.b.compare(c, a, b);
                    let (p, q) = (self.like(a), self.like(a));
                    let s = self.b.select(m, p.0, q.0);
                    self.keep(s, p.1 && q.1);
                }
            }
            7 => {
                let (a, exact) = self.any();
                let other = if self.dtype == DType::F64 { DType::F32 } else { DType::F64 };
                let c = self.b.op(Op::Cast(other), &[a]);
                let c = self.b.unary(Unary::Neg, c);
                let c = self.b.op(Op::Cast(self.dtype), &[c]);
                self.keep(c, exact);
            }
            8 => {
                let (a, exact) = self.any();
                let n = self.b.ty(a).len();
                let divisors: Vec<usize> = (1..=n).filter(|d| n.is_multiple_of(*d)).collect();
                let d = divisors[self.dice.below(divisors.len())];
                let r = self.b.reshape(a, &[d, n / d]);
                let t = self.b.transpose(r, &[1, 0]);
                self.keep(r, exact);
                self.keep(t, exact);
            }
            9 => {
                let (a, exact) = self.of_rank(1);
                let shape = self.b.ty(a).shape.clone();
                let rank = shape.len();
                let perm: Vec<usize> = (0..rank).rev().collect();
                let t = self.b.transpose(a, &perm);
                self.keep(t, exact);
                let mut wide = shape.clone();
                wide.insert(1, 2);
                let axes: Vec<usize> = (0..=rank).filter(|&i| i != 1).collect();
                let w = self.b.op(Op::Broadcast { shape: wide, axes }, &[a]);
                self.keep(w, exact);
            }
            10 => {
                let (a, exact) = self.of_rank(1);
                let shape = self.b.ty(a).shape.clone();
                let start: Vec<usize> = shape.iter().map(|&n| self.dice.below(n.clamp(1, 3)).min(n - 1)).collect();
                let stride: Vec<usize> = shape.iter().map(|_| 1 + self.dice.below(2)).collect();
                let s = self.b.op(Op::Slice { start, end: shape, stride }, &[a]);
                self.keep(s, exact);
            }
            11 => {
                let (a, exact) = self.of_rank(1);
                let rank = self.b.ty(a).rank();
                let mut few = || (0..rank).map(|_| self.dice.below(3)).collect::<Vec<_>>();
                let op = Op::Pad { low: few(), high: few(), interior: few() };
                let p = self.b.op(op, &[a]);
                self.keep(p, exact);
            }
            12 => {
                let (a, x) = self.of_rank(1);
                let (b, y) = self.like(a);
                let axis = self.dice.below(self.b.ty(a).rank());
                let c = self.b.concat(&[a, b, a], axis);
                self.keep(c, x && y);
            }
            13 => {
                let (a, exact) = self.of_rank(1);
                let axis = self.dice.below(self.b.ty(a).rank());
                let r = self.b.op(Op::Reverse(vec![axis]), &[a]);
                let shift = self.dice.below(9) as isize - 4;
                let s = self.b.op(Op::Roll { axis, shift }, &[a]);
                self.keep(r, exact);
                self.keep(s, exact);
            }
            14 => {
                let (a, exact) = self.of_rank(1);
                let rank = self.b.ty(a).rank();
                let axes: Vec<usize> = (0..rank).filter(|_| self.dice.below(2) == 0).collect();
                let kind = [Reduce::Sum, Reduce::Max, Reduce::Min][self.dice.below(3)];
                let r = self.b.reduce(kind, a, &axes);
                self.tame(r, exact && kind != Reduce::Sum);
            }
            15 => {
                let (a, _) = self.of_rank(1);
                let (b, _) = self.like(a);
                let rank = self.b.ty(a).rank();
                let (c, batch) = (self.dice.below(rank), self.dice.below(rank));
                let mut d = Dot { lhs_contract: vec![c], rhs_contract: vec![c], ..Dot::default() };
                if batch != c {
                    (d.lhs_batch, d.rhs_batch) = (vec![batch], vec![batch]);
                }
                let p = self.b.dot(a, b, d);
                self.tame(p, false);
            }
            16 => {
                let (a, exact) = self.of_rank(1);
                let n = self.b.ty(a).shape[0];
                let index: Vec<u32> = (0..6).map(|_| self.dice.below(n) as u32).collect();
                let i = self.b.constant(Tensor::index([2, 3], index.clone()));
                let g = self.b.gather(a, i);
                self.keep(g, exact);
                let size = n + 2;
                let to: Vec<u32> = (0..n).map(|_| self.dice.below(size + 1) as u32).collect();
                let i = self.b.constant(Tensor::index([n], to));
                let s = self.b.scatter_add(size, i, a);
                self.tame(s, false);
            }
            17 => {
                let i = self.b.op(Op::Iota { dtype: self.dtype, shape: vec![3, 5], axis: self.dice.below(2) }, &[]);
                let (a, exact) = self.pool[2];
                let s = self.b.add(i, a);
                self.tame(s, exact);
            }
            18 => {
                let (a, _) = self.of_rank(1);
                let shape = self.b.ty(a).shape.clone();
                if shape.contains(&0) {
                    return;
                }
                let rank = 1 + self.dice.below(shape.len());
                let f = self.b.op(Op::Rfft { rank }, &[a]);
                let n = shape[shape.len() - 1];
                let back = self.b.op(Op::Irfft { rank, n }, &[f]);
                self.tame(f, false);
                self.tame(back, false);
            }
            19 | 20 => self.map(),
            21 => self.scan(),
            22 | 23 => self.cond(),
            _ => self.solve(),
        }
    }

    fn unary(&mut self) {
        let all = [
            Unary::Neg,
            Unary::Abs,
            Unary::Sign,
            Unary::Floor,
            Unary::Sqrt,
            Unary::Exp,
            Unary::Log,
            Unary::Sin,
            Unary::Cos,
            Unary::Tanh,
            Unary::Atan,
            Unary::Erf,
        ];
        let f = all[self.dice.below(all.len())];
        let (a, exact) = self.any();
        match f {
            Unary::Sign | Unary::Floor if !exact => {}
            Unary::Sqrt | Unary::Log => {
                let s = self.b.unary(Unary::Abs, a);
                let half = self.b.full(&self.b.ty(a).clone(), 0.5);
                let s = self.b.add(s, half);
                let y = self.b.unary(f, s);
                self.tame(y, exact);
            }
            _ => {
                let y = self.b.unary(f, a);
                self.tame(y, exact);
            }
        }
    }

    fn binary(&mut self) {
        use Binary::*;
        let f = [Add, Sub, Mul, Div, Pow, Min, Max, Atan2][self.dice.below(8)];
        let (a, x) = self.any();
        let (mut b, y) = self.like(a);
        let mut a = a;
        if matches!(f, Div | Pow | Atan2) {
            let base = if f == Div { &mut b } else { &mut a };
            let s = self.b.unary(Unary::Abs, *base);
            let half = self.b.full(&self.b.ty(s).clone(), 0.5);
            *base = self.b.add(s, half);
        }
        let z = self.b.binary(f, a, b);
        self.tame(z, x && y);
    }

    /// The body of a structured operation on values of these types: one output of the first's type.
    fn body(&mut self, types: &[Type], steps: usize) -> (Arc<Func>, bool) {
        let mut b = Builder::new("body");
        let pool: Vec<(Value, bool)> = types.iter().map(|t| (b.input(t.clone()), true)).collect();
        // Operations need some value of rank one and more.
        let extra = b.full(&Type::new(self.dtype, [3, 5]), 0.25);
        let mut m = Maker { dice: self.dice, b, dtype: self.dtype, pool: pool.clone() };
        m.pool.extend([(extra, true), (extra, true)]);
        for _ in 0..steps {
            m.step(false);
        }
        let (mut sum, mut exact) = pool[0];
        for (v, x) in m.pool.clone() {
            if m.b.ty(v).shape == types[0].shape {
                sum = m.b.add(sum, v);
                exact &= x;
            }
        }
        let out = m.b.unary(Unary::Tanh, sum);
        (Arc::new(m.b.finish(vec![out])), exact)
    }

    fn map(&mut self) {
        let (a, x) = self.of_rank(1);
        let (s, y) = self.any();
        let ty = self.b.ty(a).clone();
        let item = Type::new(ty.dtype, &ty.shape[1..]);
        let shared = self.b.ty(s).clone();
        let steps = self.dice.below(7);
        let (body, z) = self.body(&[item, shared], steps);
        let out = self.b.map(body, ty.shape[0], vec![true, false], &[a, s]);
        self.keep(out[0], x && y && z);
    }

    fn scan(&mut self) {
        let (a, x) = self.of_rank(1);
        let ty = self.b.ty(a).clone();
        let item = Type::new(ty.dtype, &ty.shape[1..]);
        let (body, z) = self.body(&[item.clone(), item], 3);
        let mut two = Builder::new("step");
        let inputs: Vec<Value> = body.inputs.iter().map(|t| two.input(t.clone())).collect();
        let next = two.inline(&body, &inputs)[0];
        let y = two.neg(next);
        let body = Arc::new(two.finish(vec![next, y]));
        let start = self.b.index(a, 0, 0);
        let length = ty.shape[0];
        let reverse = self.dice.below(2) == 0;
        let out = self.b.ops(Op::Scan { body, length, carry: 1, xs: 1, reverse }, &[start, a]);
        self.keep(out[0], x && z);
        self.keep(out[1], x && z);
    }

    fn cond(&mut self) {
        let (a, x) = self.any();
        let ty = self.b.ty(a).clone();
        let ((then, p), (otherwise, q)) = (self.body(std::slice::from_ref(&ty), 3), self.body(&[ty], 3));
        let mask = self.b.full(&Type::scalar(self.dtype), self.dice.below(2) as f64);
        let out = self.b.ops(Op::Cond { then, otherwise }, &[mask, a]);
        self.keep(out[0], x && p && q);
    }

    /// u + tanh(u)·p/2 = q, and a linear solve with its derivative.
    fn solve(&mut self) {
        if self.dtype != DType::F64 {
            return;
        }
        let (p, _) = self.any();
        let (q, _) = self.like(p);
        let ty = self.b.ty(p).clone();
        if ty.len() > 64 {
            return;
        }
        let mut b = Builder::new("residual");
        let [u, p_, q_] = [(); 3].map(|_| b.input(ty.clone()));
        let t = b.unary(Unary::Tanh, u);
        let t = b.mul(t, p_);
        let t = b.scale(t, 0.5);
        let r = b.add(u, t);
        let r = b.sub(r, q_);
        let residual = Arc::new(b.finish(vec![r]));
        let spec = Arc::new(SolveSpec { newton_tolerance: 1e-14, ..SolveSpec::default() });
        let guess = self.b.zeros(&ty);
        let u = self.b.op(Op::Solve { residual: residual.clone(), spec: spec.clone() }, &[guess, p, q]);
        let transposed = self.dice.below(2) == 0;
        let x = self.b.op(Op::LinearSolve { residual, spec, transposed }, &[q, u, p, q]);
        self.tame(u, false);
        self.tame(x, false);
    }
}
