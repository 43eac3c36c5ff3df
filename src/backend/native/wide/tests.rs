//! Both emitters on the same nests, and on the rows of every length around the width of a vector.

use super::super::Context;
use super::super::buffer::{Buffer, View, ViewMut};
use super::super::kernel::{Compiler, Emitter};
use super::super::nest::{Address, Affine, Expr, Graph, Id, Nest};
use crate::ir::{Binary, Compare, DType, Unary};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// Of many magnitudes, and now and then something special.
    fn number(&mut self) -> f64 {
        match self.below(40) {
            0 => [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-324, 1e308, 1.0][self.below(8)],
            k => (self.below(1 << 30) as f64 / (1 << 29) as f64 - 1.0) * 10f64.powi(k as i32 % 5 - 1),
        }
    }

    fn buffer(&mut self, dtype: DType, n: usize) -> Buffer {
        match dtype {
            DType::F64 => Buffer::F64((0..n).map(|_| self.number()).collect()),
            DType::F32 => Buffer::F32((0..n).map(|_| self.number() as f32).collect()),
            DType::Index => Buffer::Index((0..n).map(|_| self.below(ROWS) as u32).collect()),
        }
    }
}

/// Rows of the gathered source.
const ROWS: usize = 7;
/// Elements of each buffer.
const LENGTH: usize = 6000;

/// Two arrays of floats, one of indices; results from 3 on.
fn random(dice: &mut Dice, dtype: DType, shape: &[usize], size: usize) -> Nest {
    let mut g = Graph::new(dtype);
    // Row-major, transposed, strided, backwards, or the same everywhere along some axes.
    let affine = |dice: &mut Dice| loop {
        let mut steps = vec![0isize; shape.len()];
        let mut step = [1, 1, 1, 2, 3][dice.below(5)];
        for a in (0..shape.len()).rev() {
            steps[a] = step;
            step *= shape[a] as isize;
        }
        if dice.below(5) == 0 {
            steps.reverse();
        }
        for s in &mut steps {
            match dice.below(8) {
                0 => *s = 0,
                1 => *s = -*s,
                _ => {}
            }
        }
        let mut a = Affine { offset: 0, steps };
        let (lowest, highest) = a.range(&vec![0; shape.len()], shape);
        a.offset = dice.below(20) as isize - lowest;
        if highest - lowest + 20 < LENGTH as isize {
            break a;
        }
    };
    let mut ids: Vec<Id> = vec![];
    for b in [0, 1, 0] {
        let at = affine(dice);
        ids.push(g.add(Expr::Load(Address { buffer: b, at })));
    }
    for _ in 0..size {
        let any = |dice: &mut Dice| ids[ids.len() - 1 - dice.below(ids.len().min(12))];
        let (a, b) = (any(dice), any(dice));
        let id = match dice.below(14) {
            0 => {
                let at = affine(dice);
                g.add(Expr::Load(Address { buffer: dice.below(2), at }))
            }
            1 => {
                let number = affine(dice);
                if number.steps.iter().all(|s| *s == 0) { a } else { g.add(Expr::Number(number)) }
            }
            2 => {
                let index = Address { buffer: 2, at: affine(dice) };
                let row = 1 + dice.below(9) as isize;
                let inner = if dice.below(2) == 0 { 0 } else { 1 };
                let mut at = Affine::constant(dice.below(5) as isize, shape.len());
                at.steps[shape.len() - 1] = inner;
                g.add(Expr::Gather { index, source: Address { buffer: 0, at }, row })
            }
            3 => {
                let x = dice.number();
                let c = g.constant(x);
                g.binary(Binary::Mul, a, c)
            }
            4 | 5 => {
                use Unary::*;
                let all = [Neg, Abs, Sign, Floor, Sqrt, Exp, Log, Sin, Cos, Tanh, Atan, Erf];
                g.unary(all[dice.below(all.len())], a)
            }
            6 => {
                let c = [Compare::Lt, Compare::Le, Compare::Eq][dice.below(3)];
                g.compare(c, a, b)
            }
            7 | 8 => {
                let m = any(dice);
                let m = if dice.below(2) == 0 { g.compare(Compare::Lt, m, b) } else { m };
                g.select(m, a, b)
            }
            _ => {
                use Binary::*;
                let all = [Add, Sub, Mul, Div, Min, Max, Add, Sub, Mul, Pow, Atan2];
                g.binary(all[dice.below(all.len())], a, b)
            }
        };
        ids.push(id);
    }
    let n: usize = shape.iter().product();
    let mut store = |k: usize, id: Id| {
        let mut steps = vec![0; shape.len()];
        // The second result with a gap between elements.
        let mut step = 1 + k as isize;
        for a in (0..shape.len()).rev() {
            steps[a] = step;
            step *= shape[a] as isize;
        }
        assert!(n * (k + 1) + 3 <= LENGTH);
        (Address { buffer: 3 + k, at: Affine { offset: dice.below(3) as isize, steps } }, id)
    };
    let last = ids.len() - 1;
    let stores = vec![store(0, ids[last]), store(1, ids[last - 1])];
    Nest::new(shape.to_vec(), g, stores)
}

fn results(emitter: Emitter, nest: &Nest, args: &[Buffer]) -> Vec<Buffer> {
    let mut compiler = Compiler::with(emitter).expect("a known processor");
    let mut kernel = compiler.compile(std::slice::from_ref(nest), &[LENGTH; 5]).expect("it compiles");
    let _code = compiler.finish([&mut kernel].into_iter()).expect("memory");
    let mut out = vec![Buffer::zeros(nest.graph.dtype, LENGTH), Buffer::zeros(nest.graph.dtype, LENGTH)];
    let views: Vec<View> = args.iter().map(Buffer::view).collect();
    let mut outs: Vec<ViewMut> = out.iter_mut().map(Buffer::view_mut).collect();
    kernel.run(&Context { pool: None, follow: None }, &views, &mut outs);
    out
}

/// NaN is NaN, whatever its bits.
fn bits(b: &Buffer) -> Vec<u64> {
    match b {
        Buffer::F64(x) => x.iter().map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() }).collect(),
        Buffer::F32(x) => x.iter().map(|x| if x.is_nan() { u64::MAX } else { x.to_bits() as u64 }).collect(),
        Buffer::Index(_) => unreachable!("compiler bug: results are floats"),
    }
}

fn compare(seed: u64, dtype: DType, shape: &[usize], size: usize) {
    let mut dice = Dice(seed);
    let nest = random(&mut dice, dtype, shape, size);
    let args = [dice.buffer(dtype, LENGTH), dice.buffer(dtype, LENGTH), dice.buffer(DType::Index, LENGTH)];
    assert!(super::emit(&nest, &[LENGTH; 5], true).is_some(), "the wide emitter takes it");
    let (wide, portable) = (results(Emitter::Wide, &nest, &args), results(Emitter::Portable, &nest, &args));
    for (k, (w, p)) in wide.iter().zip(&portable).enumerate() {
        let (w, p) = (bits(w), bits(p));
        let first = (0..w.len()).find(|&i| w[i] != p[i]);
        assert!(
            first.is_none(),
            "seed {seed}, {dtype:?}, {shape:?}, result {k}, element {first:?}: {:x?}, not {:x?}\n{:#?}",
            first.map(|i| w[i]),
            first.map(|i| p[i]),
            nest.graph.exprs
        );
    }
}

#[test]
fn both_emitters_give_the_same_bits() {
    if !super::available() {
        return;
    }
    let shapes: [&[usize]; 7] = [&[1000], &[37], &[5, 100], &[20, 33], &[3, 4, 50], &[7, 5, 3], &[2, 300]];
    for seed in 0..250 {
        let shape = shapes[seed as usize % shapes.len()];
        compare(seed, DType::F64, shape, 3 + seed as usize % 30);
        compare(seed, DType::F32, shape, 3 + seed as usize % 30);
    }
}

#[test]
fn rows_of_every_length() {
    if !super::available() {
        return;
    }
    for n in 1..=34 {
        for dtype in [DType::F64, DType::F32] {
            compare(n as u64, dtype, &[n], 6);
            compare(100 + n as u64, dtype, &[3, n], 12);
        }
    }
    for n in 120..=150 {
        compare(n as u64, DType::F64, &[4, n], 9);
        compare(n as u64, DType::F32, &[4, n], 9);
    }
}

/// Many values alive at once.
#[test]
fn more_values_than_registers() {
    if !super::available() {
        return;
    }
    for dtype in [DType::F64, DType::F32] {
        let mut g = Graph::new(dtype);
        let at = |b: usize, o: usize| Address { buffer: b, at: Affine { offset: o as isize, steps: vec![1] } };
        let x: Vec<Id> = (0..60).map(|k| g.add(Expr::Load(at(k % 2, k)))).collect();
        let s: Vec<Id> = x.iter().map(|&a| g.unary(Unary::Neg, a)).collect();
        let m: Vec<Id> = (0..12).map(|k| g.compare(Compare::Lt, s[k], s[k + 20])).collect();
        let forward = s.iter().skip(1).fold(s[0], |a, &b| g.binary(Binary::Add, a, b));
        let backward = s.iter().rev().fold(forward, |a, &b| g.binary(Binary::Sub, b, a));
        let chosen = m.iter().fold(backward, |a, &m| g.select(m, a, forward));
        let chosen = m.iter().rev().fold(chosen, |a, &m| g.select(m, forward, a));
        let nest = Nest::new(vec![501], g, vec![(at(3, 1), chosen), (at(4, 0), backward)]);
        let mut dice = Dice(1);
        let args = [dice.buffer(dtype, LENGTH), dice.buffer(dtype, LENGTH), dice.buffer(DType::Index, LENGTH)];
        let (w, p) = (results(Emitter::Wide, &nest, &args), results(Emitter::Portable, &nest, &args));
        assert!((0..2).all(|k| bits(&w[k]) == bits(&p[k])));
    }
}
