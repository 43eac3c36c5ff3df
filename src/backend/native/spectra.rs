//! Sums of transforms forward times real factors and i, such as the divergence of a product of fields, and what a step back of a derivative
//! adds up: each transform adds to the sum what it makes, and none is stored.

use super::fourier::{Modal, takes_factors};
use super::modal::Found;
use crate::ir::{Binary, Func, Node, Op, Unary, Value};

/// Terms of a sum at most: as many spectra are worked on at a time.
const MOST_TERMS: usize = 16;

/// A node that is such a sum, of at least two transforms. Of each term what is transformed, and the factors.
pub struct Sum {
    pub root: Value,
    pub terms: Vec<Found>,
}

/// Sums in a function, and of each node whether it is only a part of one.
pub struct Sums {
    pub sums: Vec<Sum>,
    pub within: Vec<bool>,
}

/// Of each part of a spectrum, real or imaginary, its terms. A node holds one part or both.
#[derive(Clone)]
struct Form {
    rank: usize,
    parts: Vec<Vec<Piece>>,
}

/// A part of a transform, times factors, the innermost first.
#[derive(Clone, PartialEq)]
struct Piece {
    negative: bool,
    transform: Value,
    part: usize,
    factors: Vec<Value>,
}

impl Sums {
    /// Nodes that are not `live` do not count.
    pub fn of(f: &Func, live: &[bool]) -> Sums {
        let mut found = Sums { sums: vec![], within: vec![false; f.nodes.len()] };
        if !f.nodes.iter().any(|n| matches!(n.op, Op::Rfft { .. })) {
            return found;
        }
        let mut forms: Vec<Option<Form>> = Vec::with_capacity(f.nodes.len());
        for (v, node) in f.values() {
            let form = if live[v.index()] { form(f, v, node, &forms) } else { None };
            forms.push(form);
        }
        let mut readers: Vec<Vec<Value>> = vec![vec![]; f.nodes.len()];
        for (v, node) in f.values().filter(|(v, _)| live[v.index()]) {
            node.args.iter().for_each(|a| readers[a.index()].push(v));
        }
        for root in (0..f.nodes.len() as u32).rev().map(Value) {
            let Some(form) = forms[root.index()].as_ref().filter(|_| !found.within[root.index()]) else { continue };
            let Some(terms) = terms(f, root, form) else { continue };
            // All that it is made of, down to the transforms, has to be for it alone.
            let mut inside = vec![root];
            let mut at = 0;
            while let Some(&v) = inside.get(at) {
                let node = f.node(v);
                let parts =
                    node.args.iter().filter(|a| forms[a.index()].is_some() && !matches!(node.op, Op::Rfft { .. }));
                let new: Vec<Value> = parts.copied().filter(|a| !inside.contains(a)).collect();
                inside.extend(new);
                at += 1;
            }
            let alone = |v: &Value| !f.outputs.contains(v) && readers[v.index()].iter().all(|r| inside.contains(r));
            if inside[1..].iter().all(alone) {
                inside[1..].iter().for_each(|v| found.within[v.index()] = true);
                found.sums.push(Sum { root, terms });
            }
        }
        found
    }

    pub fn at(&self, v: Value) -> Option<&Sum> {
        self.sums.iter().find(|s| s.root == v)
    }
}

/// The axes before those of the modes, of which one at most is not of extent 1; how many parts they are.
fn parts(shape: &[usize], rank: usize) -> Option<usize> {
    let lead = &shape[..shape.len().checked_sub(rank)?];
    let more = lead.iter().filter(|n| **n != 1);
    (more.clone().count() <= 1).then(|| more.copied().next().unwrap_or(1)).filter(|n| *n <= 2)
}

fn form(f: &Func, v: Value, node: &Node, forms: &[Option<Form>]) -> Option<Form> {
    let of = |k: usize| node.args.get(k).and_then(|a| forms[a.index()].as_ref());
    let shape = &node.types[0].shape;
    let kept = |form: &Form| {
        let modes = &f.ty(node.args[0]).shape;
        shape.ends_with(&modes[modes.len() - form.rank..]) && parts(shape, form.rank).is_some()
    };
    match &node.op {
        Op::Rfft { rank } => {
            let numbers = f.ty(node.args[0]);
            let piece = |part| vec![Piece { negative: false, transform: v, part, factors: vec![] }];
            let fits = takes_factors(&numbers.shape, *rank, numbers.dtype, 1);
            fits.then(|| Form { rank: *rank, parts: vec![piece(0), piece(1)] })
        }
        Op::Reshape(_) => of(0).filter(|a| kept(a) && parts(shape, a.rank) == Some(a.parts.len())).cloned(),
        Op::Slice { start, end, stride } => {
            let a = of(0).filter(|a| stride.iter().all(|s| *s == 1) && kept(a) && a.parts.len() == 2)?;
            let axis = f.ty(node.args[0]).shape.iter().position(|n| *n == 2)?;
            (end[axis] == start[axis] + 1).then(|| Form { rank: a.rank, parts: vec![a.parts[start[axis]].clone()] })
        }
        Op::Unary(Unary::Neg) => of(0).map(|a| a.each(|p| p.negative ^= true)),
        Op::Binary(Binary::Mul) => {
            let (a, factor) = match (of(0), of(1)) {
                (Some(a), None) => (a, node.args[1]),
                (None, Some(a)) => (a, node.args[0]),
                _ => return None,
            };
            let Op::Broadcast { axes, .. } = &f.node(factor).op else { return None };
            let lead = shape.len() - a.rank;
            let same = axes.iter().all(|&axis| axis >= lead || shape[axis] == 1);
            same.then(|| a.each(|p| p.factors.push(factor)))
        }
        Op::Binary(op @ (Binary::Add | Binary::Sub)) => {
            let (a, b) = (of(0)?, of(1)?);
            let b = if *op == Binary::Sub { b.each(|p| p.negative ^= true) } else { b.clone() };
            let parts: Vec<Vec<Piece>> = a.parts.iter().zip(&b.parts).map(|(a, b)| [&a[..], b].concat()).collect();
            let few = parts.iter().all(|p| p.len() <= MOST_TERMS);
            (a.rank == b.rank && few).then_some(Form { rank: a.rank, parts })
        }
        Op::Concat(axis) => {
            let (a, b) = (of(0)?, of(1).filter(|_| node.args.len() == 2)?);
            let single = a.parts.len() == 1 && b.parts.len() == 1 && a.rank == b.rank;
            let parts = [a, b].map(|form| form.parts[0].clone()).to_vec();
            (single && *axis < shape.len() - a.rank).then_some(Form { rank: a.rank, parts })
        }
        Op::Pad { low, interior, .. } => {
            let a = of(0).filter(|a| kept(a) && a.parts.len() == 1 && interior.iter().all(|n| *n == 0))?;
            let axis = shape[..shape.len() - a.rank].iter().position(|n| *n == 2)?;
            let mut parts = vec![vec![], vec![]];
            parts[low[axis]] = a.parts[0].clone();
            Some(Form { rank: a.rank, parts })
        }
        _ => None,
    }
}

impl Form {
    fn each(&self, change: impl Fn(&mut Piece)) -> Form {
        let mut new = self.clone();
        new.parts.iter_mut().flatten().for_each(change);
        new
    }
}

/// The parts as complex products, each of a transform of its own.
fn terms(f: &Func, root: Value, form: &Form) -> Option<Vec<Found>> {
    let [re, im] = &form.parts[..] else { return None };
    if re.len() < 2 || re.len() != im.len() {
        return None;
    }
    let shape = &f.ty(root).shape;
    let modes = &shape[shape.len() - form.rank..];
    let mut found: Vec<Found> = vec![];
    let mut seen: Vec<Value> = vec![];
    for piece in re {
        if seen.contains(&piece.transform) {
            return None;
        }
        seen.push(piece.transform);
        // i z has the real part of -z's imaginary one, and the imaginary part of z's real one.
        let turned = piece.part == 1;
        let other = Piece { part: 1 - piece.part, negative: piece.negative ^ turned, ..piece.clone() };
        im.iter().find(|p| **p == other)?;
        let numbers = f.node(piece.transform).args[0];
        let modal = Modal { turned, negative: piece.negative ^ turned, ..Modal::default() };
        let mut term = Found { base: numbers, factors: vec![], modal };
        for &factor in &piece.factors {
            term.push(f, factor, f.ty(factor).rank() - form.rank, modes);
        }
        let ty = f.ty(numbers);
        takes_factors(&ty.shape, form.rank, ty.dtype, term.factors.len()).then(|| found.push(term))?;
    }
    Some(found)
}
