//! What a generated kernel computes: a loop nest around a graph of scalar expressions, whose operands lie at affine addresses.

use crate::ir::eval::{binary, compare, unary};
use crate::ir::{Binary, Compare, DType, Unary};
use std::collections::{HashMap, HashSet};

/// An expression of a [`Graph`], by position. Operands come before what uses them.
pub type Id = u32;

/// `offset + Σ stepₐ·iₐ` over the loop indices.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Affine {
    pub offset: isize,
    pub steps: Vec<isize>,
}

/// An element of a buffer; buffers are numbered as the kernel is given them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    pub buffer: usize,
    pub at: Affine,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Expr {
    /// The bits of an f64.
    Constant(u64),
    /// A whole number that depends on the loop indices.
    Number(Affine),
    Load(Address),
    /// `source[row·index + at]`, the index in its own buffer.
    Gather {
        index: Address,
        source: Address,
        row: isize,
    },
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    Compare(Compare, Id, Id),
    Select(Id, Id, Id),
}

/// Expressions without repetition.
#[derive(Clone)]
pub struct Graph {
    pub dtype: DType,
    pub exprs: Vec<Expr>,
    seen: HashMap<Expr, Id>,
}

/// Loops over `shape`, the last axis innermost; each iteration stores some expressions.
#[derive(Clone)]
pub struct Nest {
    pub shape: Vec<usize>,
    pub graph: Graph,
    pub stores: Vec<(Address, Id)>,
    pub share: Share,
    /// The range of the second axis that the second loop of three covers.
    pub columns: (usize, usize),
}

/// The part of a kernel's outermost loop (of more than one iteration) that one of its nests covers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    pub low: usize,
    pub high: usize,
    /// Iterations of the nest's own outermost loop for each; 0 if the nest is not divided.
    pub each: usize,
}

impl Affine {
    pub fn constant(offset: isize, axes: usize) -> Affine {
        Affine { offset, steps: vec![0; axes] }
    }

    /// The index of one loop.
    pub fn axis(a: usize, axes: usize) -> Affine {
        let mut steps = vec![0; axes];
        steps[a] = 1;
        Affine { offset: 0, steps }
    }

    /// `self·k + c`
    pub fn scaled(&self, k: isize, c: isize) -> Affine {
        Affine { offset: self.offset * k + c, steps: self.steps.iter().map(|s| s * k).collect() }
    }

    pub fn plus(&self, other: &Affine) -> Affine {
        let steps = self.steps.iter().zip(&other.steps).map(|(a, b)| a + b).collect();
        Affine { offset: self.offset + other.offset, steps }
    }

    /// Least and greatest value over the loops `low..high`.
    pub fn range(&self, low: &[usize], high: &[usize]) -> (isize, isize) {
        let (mut least, mut greatest) = (self.offset, self.offset);
        for ((s, &l), &h) in self.steps.iter().zip(low).zip(high) {
            let (a, b) = (s * l as isize, s * (h as isize - 1));
            least += a.min(b);
            greatest += a.max(b);
        }
        (least, greatest)
    }
}

impl Share {
    pub fn whole(extent: usize) -> Share {
        Share { low: 0, high: extent, each: 1 }
    }
}

impl Expr {
    pub fn operands(&self) -> impl Iterator<Item = Id> {
        let (n, ids) = match *self {
            Expr::Constant(_) | Expr::Number(_) | Expr::Load(_) | Expr::Gather { .. } => (0, [0; 3]),
            Expr::Unary(_, a) => (1, [a, 0, 0]),
            Expr::Binary(_, a, b) | Expr::Compare(_, a, b) => (2, [a, b, 0]),
            Expr::Select(a, b, c) => (3, [a, b, c]),
        };
        ids.into_iter().take(n)
    }

    fn affines(&mut self) -> Vec<&mut Affine> {
        match self {
            Expr::Number(a) => vec![a],
            Expr::Load(a) => vec![&mut a.at],
            Expr::Gather { index, source, .. } => vec![&mut index.at, &mut source.at],
            _ => vec![],
        }
    }
}

impl Graph {
    pub fn new(dtype: DType) -> Graph {
        Graph { dtype, exprs: vec![], seen: HashMap::new() }
    }

    pub fn add(&mut self, e: Expr) -> Id {
        if let Some(&id) = self.seen.get(&e) {
            return id;
        }
        self.exprs.push(e.clone());
        let id = self.exprs.len() as Id - 1;
        self.seen.insert(e, id);
        id
    }

    pub fn constant(&mut self, x: f64) -> Id {
        let x = if self.single() { x as f32 as f64 } else { x };
        self.add(Expr::Constant(x.to_bits()))
    }

    pub fn value(&self, a: Id) -> Option<f64> {
        match self.exprs[a as usize] {
            Expr::Constant(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    pub fn unary(&mut self, f: Unary, a: Id) -> Id {
        match self.value(a) {
            Some(x) => self.constant(unary(f, x, self.single())),
            None => self.add(Expr::Unary(f, a)),
        }
    }

    /// With identities that keep every bit.
    pub fn binary(&mut self, f: Binary, a: Id, b: Id) -> Id {
        match (f, self.value(a), self.value(b)) {
            (_, Some(x), Some(y)) => self.constant(binary(f, x, y, self.single())),
            (Binary::Mul, Some(1.0), _) => b,
            (Binary::Mul | Binary::Div, _, Some(1.0)) => a,
            (Binary::Mul, Some(-1.0), _) => self.unary(Unary::Neg, b),
            (Binary::Mul, _, Some(-1.0)) => self.unary(Unary::Neg, a),
            _ => self.add(Expr::Binary(f, a, b)),
        }
    }

    /// A product; 0·x = 0, as [`crate::ir::Builder`] has it.
    pub fn product(&mut self, a: Id, b: Id) -> Id {
        match (self.value(a), self.value(b)) {
            (Some(0.0), _) | (_, Some(0.0)) => self.constant(0.0),
            _ => self.binary(Binary::Mul, a, b),
        }
    }

    /// A sum; x + 0 = x, even where x is -0.
    pub fn sum(&mut self, a: Id, b: Id) -> Id {
        match (self.value(a), self.value(b)) {
            (Some(0.0), _) => b,
            (_, Some(0.0)) => a,
            _ => self.binary(Binary::Add, a, b),
        }
    }

    pub fn compare(&mut self, c: Compare, a: Id, b: Id) -> Id {
        match (self.value(a), self.value(b)) {
            (Some(x), Some(y)) => self.constant(compare(c, x, y)),
            _ => self.add(Expr::Compare(c, a, b)),
        }
    }

    pub fn select(&mut self, m: Id, a: Id, b: Id) -> Id {
        match self.value(m) {
            Some(m) => {
                if m != 0.0 {
                    a
                } else {
                    b
                }
            }
            None => self.add(Expr::Select(m, a, b)),
        }
    }

    fn single(&self) -> bool {
        self.dtype == DType::F32
    }
}

impl Nest {
    pub fn new(shape: Vec<usize>, graph: Graph, stores: Vec<(Address, Id)>) -> Nest {
        let share = Share::whole(shape.first().copied().unwrap_or(1));
        let columns = (0, shape.get(1).copied().unwrap_or(1));
        Nest { shape, graph, stores, share, columns }
    }

    /// All loops over the box `low..high` as they are, the outermost shared as far as it is covered.
    pub fn over(graph: Graph, stores: Vec<(Address, Id)>, low: &[usize], high: &[usize]) -> Nest {
        let shape = low.iter().zip(high).map(|(l, h)| h - l).collect();
        let share = Share { low: low[0], high: high[0], each: 1 };
        let columns = if low.len() > 1 { (low[1], high[1]) } else { (0, 1) };
        let mut nest = Nest { shape, graph, stores, share, columns };
        nest.each(|a| a.offset += a.steps.iter().zip(low).map(|(s, &l)| s * l as isize).sum::<isize>());
        nest
    }

    /// The same with as few loops as possible, over the box `low..high` of the given loops. `outermost`: the first loop that is more
    /// than one iteration without the box.
    pub fn normalised(mut self, low: &[usize], high: &[usize], outermost: Option<usize>) -> Nest {
        self.shape = low.iter().zip(high).map(|(l, h)| h - l).collect();
        self.each(|a| a.offset += a.steps.iter().zip(low).map(|(s, &l)| s * l as isize).sum::<isize>());
        let mut axis = self.shape.len();
        while axis > 0 {
            axis -= 1;
            if self.shape[axis] == 1 {
                self.shape.remove(axis);
                self.each(|a| {
                    a.steps.remove(axis);
                });
            }
        }
        let mut inner = self.shape.len();
        while inner > 1 {
            inner -= 1;
            let n = self.shape[inner] as isize;
            let mut merges = true;
            self.each(|a| merges &= a.steps[inner - 1] == a.steps[inner] * n);
            if merges {
                self.shape[inner - 1] *= self.shape[inner];
                self.shape.remove(inner);
                self.each(|a| {
                    a.steps.remove(inner - 1);
                });
            }
        }
        if self.shape.is_empty() {
            self.shape.push(1);
            self.each(|a| a.steps.push(0));
        }
        self.columns = (0, self.shape.get(1).copied().unwrap_or(1));
        if let Some(axis) = outermost {
            let (low, high) = (low[axis], high[axis]);
            let each = if high - low > 1 { self.shape[0] / (high - low) } else { 0 };
            self.share = Share { low, high, each };
        }
        self
    }

    /// What some expressions need, operands first, each as late as possible.
    pub fn order(&self, roots: impl Iterator<Item = Id>) -> Vec<Id> {
        let mut done = HashSet::new();
        let mut order = vec![];
        for root in roots {
            let mut stack = vec![(root, false)];
            while let Some((id, ready)) = stack.pop() {
                if ready {
                    order.push(id);
                } else if done.insert(id) {
                    stack.push((id, true));
                    let operands: Vec<Id> = self.graph.exprs[id as usize].operands().collect();
                    stack.extend(operands.into_iter().rev().filter(|a| !done.contains(a)).map(|a| (a, false)));
                }
            }
        }
        order
    }

    /// Of two loops the first alone, where the second is one iteration: vectors then go along the first.
    pub fn along_first(&self) -> Option<Nest> {
        let narrow = self.shape.len() == 2 && self.shape[1] == 1 && self.shape[0] > 1;
        narrow.then(|| {
            let mut nest = self.clone();
            nest.shape.truncate(1);
            nest.each(|a| a.steps.truncate(1));
            nest.columns = (0, 1);
            nest
        })
    }

    /// Whether iteration k, counted through all loops, touches element k of a buffer and no other.
    pub fn is_dense(&self, buffer: usize) -> bool {
        let mut steps = vec![1; self.shape.len()];
        for a in (1..steps.len()).rev() {
            steps[a - 1] = steps[a] * self.shape[a] as isize;
        }
        let own = |a: &Address| a.buffer != buffer || (a.at.offset == 0 && a.at.steps == steps);
        let loads = self.graph.exprs.iter().all(|e| match e {
            Expr::Load(a) => own(a),
            Expr::Gather { index, source, .. } => index.buffer != buffer && source.buffer != buffer,
            _ => true,
        });
        loads && self.stores.iter().all(|(a, _)| own(a))
    }

    /// The buffers of which one product is stored and nothing else.
    pub fn product(&self) -> Option<[usize; 2]> {
        let ([(_, stored)], exprs) = (&self.stores[..], &self.graph.exprs) else { return None };
        let Expr::Binary(Binary::Mul, a, b) = exprs[*stored as usize] else { return None };
        let load = |id: Id| if let Expr::Load(a) = &exprs[id as usize] { Some(a.buffer) } else { None };
        Some([load(a)?, load(b)?])
    }

    fn each(&mut self, mut f: impl FnMut(&mut Affine)) {
        self.graph.exprs.iter_mut().flat_map(Expr::affines).for_each(&mut f);
        self.stores.iter_mut().for_each(|(a, _)| f(&mut a.at));
    }

    /// Panics where an address leaves its buffer: what is emitted from this nest is then safe to run.
    pub fn verify(&self, lengths: &[usize]) {
        let low = vec![0; self.shape.len()];
        let inside = |a: &Address| {
            let (least, greatest) = a.at.range(&low, &self.shape);
            least >= 0 && (greatest as usize) < lengths[a.buffer]
        };
        let fits = |e: &Expr| match e {
            Expr::Load(a) => inside(a),
            // The source is checked where the indices are known.
            Expr::Gather { index, .. } => inside(index),
            _ => true,
        };
        let all = self.graph.exprs.iter().all(fits) && self.stores.iter().all(|(a, _)| inside(a));
        assert!(all, "compiler bug: a kernel reaches outside its buffers");
    }
}
