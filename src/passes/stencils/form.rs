//! Values as linear combinations of shifted arrays, box by box: what is joined from parts (ghosts behind walls, fluxes given there)
//! is one combination inside and others along its ends.

use crate::ir::{Binary, Func, Node, Op, Unary, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

/// Where an index into a base comes from: an index of the box (None: a fixed one), moved; `around` the ends of the base if it must.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Along {
    pub axis: Option<usize>,
    pub by: isize,
    pub around: bool,
}

/// One product: numbers of the body, and an element of a base for each axis of which it says where (None: no array).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Term {
    pub base: Option<Value>,
    pub factors: Vec<Value>,
    pub place: Vec<Along>,
}

/// `Σ weight · term`
#[derive(Clone, Default, Debug)]
pub struct Form {
    pub terms: BTreeMap<Term, f64>,
}

/// An end, cut into boxes.
pub enum Tree {
    Leaf {
        low: Vec<usize>,
        high: Vec<usize>,
        form: Rc<Form>,
        /// Arithmetic operations for an element as it stands.
        count: usize,
    },
    Split(usize, Box<[Tree; 2]>),
}

/// Longer sums are left as they are.
const LONGEST: usize = 150;
/// Boxes of one value, nodes looked at in one box, and how deep.
const MOST_BOXES: usize = 100;
const MOST_NODES: usize = 20_000;
const DEEPEST: usize = 1000;

/// Whether forms are found through a node; the arguments of all others are ends.
pub fn is_linear(f: &Func, v: Value) -> bool {
    let node = f.node(v);
    if !node.types[0].dtype.is_float() || node.types.len() > 1 {
        return false;
    }
    let number = |k: usize| number(f, node.args[k]).is_some();
    match &node.op {
        Op::Const(_) => f.splat(v).is_some(),
        Op::Unary(Unary::Neg) | Op::Binary(Binary::Add | Binary::Sub) | Op::Concat(_) | Op::Roll { .. } => true,
        Op::Broadcast { axes, .. } => axes.windows(2).all(|w| w[0] < w[1]),
        Op::Binary(Binary::Mul) => number(0) || number(1),
        Op::Binary(Binary::Div) => f.splat(node.args[1]).is_some_and(|w| w != 0.0),
        Op::Slice { stride, .. } => stride.iter().all(|&s| s == 1),
        Op::Pad { interior, .. } => interior.iter().all(|&s| s == 0),
        Op::Reshape(to) => long_axes(&f.ty(node.args[0]).shape) == long_axes(to),
        _ => false,
    }
}

/// The boxes of a value, each with its form over what is no linear operation or `opaque`. None where it is not worth while.
pub fn boxes(f: &Func, v: Value, opaque: &HashSet<Value>) -> Option<Tree> {
    let shape = &f.ty(v).shape;
    let mut left = MOST_BOXES;
    cut(f, v, opaque, vec![0; shape.len()], shape.clone(), &mut left)
}

fn cut(
    f: &Func,
    v: Value,
    opaque: &HashSet<Value>,
    low: Vec<usize>,
    high: Vec<usize>,
    left: &mut usize,
) -> Option<Tree> {
    *left = left.checked_sub(1)?;
    let mut r = Reader { f, opaque, low: &low, high: &high, memo: HashMap::new(), count: 0 };
    let own = (0..low.len()).map(|a| Along { axis: Some(a), by: 0, around: false }).collect();
    match r.form(v, own, 0) {
        Ok(form) => {
            let count = r.count;
            Some(Tree::Leaf { low, high, form, count })
        }
        Err(Stop::Cut { axis, at }) => {
            let (mut first, mut second) = (high.clone(), low.clone());
            (first[axis], second[axis]) = (at, at);
            let first = cut(f, v, opaque, low, first, left)?;
            let second = cut(f, v, opaque, second, high, left)?;
            Some(Tree::Split(axis, Box::new([first, second])))
        }
        Err(Stop::Endless) => None,
    }
}

enum Stop {
    Cut { axis: usize, at: usize },
    Endless,
}

struct Reader<'a> {
    f: &'a Func,
    opaque: &'a HashSet<Value>,
    low: &'a [usize],
    high: &'a [usize],
    memo: HashMap<(Value, Vec<Along>), Rc<Form>>,
    count: usize,
}

impl Reader<'_> {
    fn form(&mut self, v: Value, mut at: Vec<Along>, depth: usize) -> Result<Rc<Form>, Stop> {
        let f = self.f;
        for (place, &n) in at.iter_mut().zip(&f.ty(v).shape) {
            *place = self.plainest(*place, n);
        }
        let key = (v, at);
        if let Some(form) = self.memo.get(&key) {
            return Ok(form.clone());
        }
        if self.memo.len() > MOST_NODES || depth > DEEPEST {
            return Err(Stop::Endless);
        }
        let at = &key.1;
        let mut form = match number(f, v) {
            Some((w, factors)) => Form::of(Term { base: None, factors, place: vec![] }, w),
            None if is_linear(f, v) && (depth == 0 || !self.opaque.contains(&v)) => {
                self.through(f.node(v), at, depth + 1)?
            }
            None => Form::of(Term { base: Some(v), factors: vec![], place: at.clone() }, 1.0),
        };
        if form.terms.len() > LONGEST {
            if depth == 0 {
                return Err(Stop::Endless);
            }
            form = Form::of(Term { base: Some(v), factors: vec![], place: at.clone() }, 1.0);
        }
        let form = Rc::new(form);
        self.memo.insert(key, form.clone());
        Ok(form)
    }

    fn through(&mut self, node: &Node, at: &[Along], depth: usize) -> Result<Form, Stop> {
        let f = self.f;
        let arithmetic = matches!(node.op, Op::Unary(_) | Op::Binary(_));
        self.count += arithmetic as usize;
        let of = |r: &mut Self, k: usize, at: Vec<Along>| r.form(node.args[k], at, depth);
        Ok(match &node.op {
            Op::Unary(_) => of(self, 0, at.to_vec())?.times(-1.0, &[]),
            Op::Binary(Binary::Add) => of(self, 0, at.to_vec())?.plus(&*of(self, 1, at.to_vec())?, 1.0),
            Op::Binary(Binary::Sub) => of(self, 0, at.to_vec())?.plus(&*of(self, 1, at.to_vec())?, -1.0),
            Op::Binary(Binary::Div) => {
                let w = f.splat(node.args[1]).expect("compiler bug: no number");
                of(self, 0, at.to_vec())?.times(1.0 / w, &[])
            }
            Op::Binary(_) => {
                let k = number(f, node.args[0]).is_some() as usize;
                let (w, factors) = number(f, node.args[1 - k]).expect("compiler bug: no number");
                of(self, k, at.to_vec())?.times(w, &factors)
            }
            Op::Broadcast { axes, .. } => (*of(self, 0, axes.iter().map(|&a| at[a]).collect())?).clone(),
            Op::Roll { axis, shift } => {
                let n = node.types[0].shape[*axis] as isize;
                let mut place = at.to_vec();
                place[*axis].by = (place[*axis].by - shift).rem_euclid(n);
                place[*axis].around = true;
                (*of(self, 0, place)?).clone()
            }
            Op::Slice { start, .. } => {
                let mut place = at.to_vec();
                for (a, p) in place.iter_mut().enumerate() {
                    if node.types[0].shape[a] != f.ty(node.args[0]).shape[a] {
                        self.straight(*p, node.types[0].shape[a])?;
                        p.by += start[a] as isize;
                    }
                }
                (*of(self, 0, place)?).clone()
            }
            Op::Concat(axis) => {
                self.straight(at[*axis], node.types[0].shape[*axis])?;
                let (mut k, mut start) = (0, 0);
                loop {
                    let end = start + f.ty(node.args[k]).shape[*axis] as isize;
                    if self.below(at[*axis], end)? {
                        break;
                    }
                    (k, start) = (k + 1, end);
                }
                let mut place = at.to_vec();
                place[*axis].by -= start;
                (*of(self, k, place)?).clone()
            }
            Op::Pad { low, .. } => {
                let mut place = at.to_vec();
                for (a, p) in place.iter_mut().enumerate() {
                    let (whole, inner) = (node.types[0].shape[a], f.ty(node.args[0]).shape[a]);
                    if whole == inner {
                        continue;
                    }
                    self.straight(*p, whole)?;
                    p.by -= low[a] as isize;
                    if self.below(*p, 0)? || !self.below(*p, inner as isize)? {
                        return Ok(Form::default());
                    }
                }
                (*of(self, 0, place)?).clone()
            }
            Op::Reshape(to) => {
                let from = &f.ty(node.args[0]).shape;
                let mut long = at.iter().zip(to).filter(|(_, n)| **n != 1).map(|(p, _)| *p);
                let fixed = Along { axis: None, by: 0, around: false };
                let place = from.iter().map(|&n| if n == 1 { None } else { long.next() });
                (*of(self, 0, place.map(|p| p.unwrap_or(fixed)).collect())?).clone()
            }
            _ => unreachable!("compiler bug: not linear"),
        })
    }

    /// Least index, and the one after the greatest.
    fn range(&self, p: Along) -> (isize, isize) {
        match p.axis {
            Some(a) => (self.low[a] as isize + p.by, self.high[a] as isize + p.by),
            None => (p.by, p.by + 1),
        }
    }

    /// Without going around, where it is not needed, and fixed where the box has one index; one form for what is the same.
    fn plainest(&self, p: Along, n: usize) -> Along {
        if n == 1 {
            return Along { axis: None, by: 0, around: false };
        }
        if p.axis.is_some_and(|a| self.high[a] - self.low[a] == 1) {
            let (at, n) = (self.range(p).0, n as isize);
            return Along { axis: None, by: if p.around { at.rem_euclid(n) } else { at }, around: false };
        }
        if !p.around {
            return p;
        }
        let n = n as isize;
        let (least, end) = self.range(p);
        let lap = least.div_euclid(n);
        if end <= (lap + 1) * n {
            return Along { by: p.by - lap * n, around: false, ..p };
        }
        let by = p.by.rem_euclid(n);
        Along { by: if 2 * by > n { by - n } else { by }, ..p }
    }

    /// What goes around is cut where it does.
    fn straight(&self, p: Along, n: usize) -> Result<(), Stop> {
        if !p.around {
            return Ok(());
        }
        let n = n as isize;
        let (least, _) = self.range(p);
        self.below(p, (least.div_euclid(n) + 1) * n).map(|_| ())
    }

    fn below(&self, p: Along, bound: isize) -> Result<bool, Stop> {
        let (least, end) = self.range(p);
        match p.axis {
            _ if end <= bound => Ok(true),
            _ if least >= bound => Ok(false),
            Some(axis) => Err(Stop::Cut { axis, at: (bound - p.by) as usize }),
            None => unreachable!("compiler bug: one index on both sides"),
        }
    }
}

/// A number that every element equals: a weight, and numbers that only the run knows.
fn number(f: &Func, v: Value) -> Option<(f64, Vec<Value>)> {
    if let Some(w) = f.splat(v) {
        return Some((w, vec![]));
    }
    let node = f.node(v);
    match &node.op {
        _ if !node.types[0].dtype.is_float() => None,
        Op::Broadcast { .. } | Op::Reshape(_) if f.ty(node.args[0]).len() == 1 => number(f, node.args[0]),
        _ if node.types[0].is_scalar() => Some((1.0, vec![v])),
        _ => None,
    }
}

fn long_axes(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&n| n != 1).collect()
}

impl Term {
    /// Whether it is an element of the same array for the same indices, of those that the box does not fix.
    pub fn is_beside(&self, other: &Term) -> bool {
        let fixed = |t: &Term| t.place.iter().map(|p| (p.axis, p.axis.is_none().then_some(p.by))).collect::<Vec<_>>();
        self.base == other.base && fixed(self) == fixed(other)
    }

    /// Whether it is the element that is made, times numbers: of a box that begins there.
    pub fn is_middle(&self, low: &[usize]) -> bool {
        let own = |(k, p): (usize, &Along)| p.by == if p.axis.is_some() { 0 } else { low[k] as isize };
        self.base.is_some() && self.place.len() == low.len() && self.place.iter().enumerate().all(own)
    }
}

impl Form {
    fn of(term: Term, w: f64) -> Form {
        Form { terms: [(term, w)].into() }
    }

    fn times(&self, w: f64, factors: &[Value]) -> Form {
        let more = |term: &Term| {
            let mut all = [&term.factors[..], factors].concat();
            all.sort_unstable();
            Term { factors: all, ..term.clone() }
        };
        Form { terms: self.terms.iter().map(|(term, x)| (more(term), x * w)).collect() }
    }

    fn plus(&self, other: &Form, sign: f64) -> Form {
        let mut sum = self.clone();
        for (term, w) in &other.terms {
            *sum.terms.entry(term.clone()).or_insert(0.0) += sign * w;
        }
        sum
    }
}
