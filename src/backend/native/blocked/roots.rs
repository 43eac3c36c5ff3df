//! Which values a step keeps in memory for its other sweeps, and in which sweep each is made.

use super::moved::{Moved, moved};
use crate::backend::native::fuse::unit_axes;
use crate::backend::native::nest::Affine;
use crate::ir::{Func, Op, Unary, Value};
use std::collections::{BTreeMap, HashSet};

/// Values that are stored: what the step returns, and what would be computed too often otherwise.
pub struct Roots {
    /// With the number of their sweep, in the order of the function.
    pub all: Vec<(Value, usize)>,
    pub sweeps: usize,
    /// Depends on what changes from step to step.
    pub varies: Vec<bool>,
    pub carry: usize,
    pub xs: usize,
    /// Items are laid out as the states are, and are made by the time they are read.
    pub items_change: bool,
    /// Axes of the grid.
    pub rank: usize,
}

/// Repeated operations that cost less than another array.
const CHEAP: usize = 24;
/// Operations that a second sweep repeats rather than reads.
const TRIFLE: usize = 4;
/// Places at which one value is read, and sweeps of a step, at most.
const MOST_PLACES: usize = 600;
const MOST_SWEEPS: usize = 16;

impl Roots {
    pub fn level(&self, v: Value) -> Option<usize> {
        self.all.iter().find(|r| r.0 == v).map(|r| r.1)
    }

    /// The carried value whose old value output k is.
    pub fn taken(&self, f: &Func, k: usize) -> Option<usize> {
        match f.node(f.outputs[k]).op {
            Op::Input(j) if j < self.carry => Some(j),
            _ => None,
        }
    }
}

/// The index of each element of a field over the grid, where it is computed: component by component.
pub fn places(shape: &[usize], grid: &[usize]) -> Vec<Vec<Affine>> {
    let loops = grid.len();
    let own: Vec<Affine> = (0..loops).map(|a| Affine::axis(a, loops)).collect();
    match shape.len() - loops {
        0 => vec![own],
        _ => (0..shape[0])
            .map(|c| std::iter::once(Affine::constant(c as isize, loops)).chain(own.iter().cloned()).collect())
            .collect(),
    }
}

/// Components of a field over a grid of so many axes.
pub fn components(shape: &[usize], rank: usize) -> usize {
    shape[..shape.len() - rank].iter().product()
}

/// A field over the grid, with at most one axis of a few components before it.
pub fn is_field(shape: &[usize], grid: &[usize]) -> bool {
    match shape.len().checked_sub(grid.len()) {
        Some(0) => shape == grid,
        Some(1) => shape[1..] == *grid && (1..=super::COMPONENTS).contains(&shape[0]),
        _ => false,
    }
}

/// None where the step is not of this kind.
pub fn choose(f: &Func, carry: usize, xs: usize, grid: &[usize]) -> Option<Roots> {
    // What is kept makes what is made of it cheaper: a few rounds.
    let mut roots = choose_from(f, carry, xs, grid, &HashSet::new())?;
    for _ in 0..3 {
        let kept: HashSet<Value> = roots.all.iter().map(|r| r.0).collect();
        let next = choose_from(f, carry, xs, grid, &kept)?;
        let same = next.all == roots.all;
        roots = next;
        if same {
            break;
        }
    }
    Some(roots)
}

/// `kept`: what is expected to be kept.
fn choose_from(f: &Func, carry: usize, xs: usize, grid: &[usize], kept: &HashSet<Value>) -> Option<Roots> {
    let mut varies = vec![false; f.nodes.len()];
    for (v, node) in f.values() {
        varies[v.index()] = match node.op {
            Op::Input(k) => k < carry + xs,
            _ => node.args.iter().any(|a| varies[a.index()]),
        };
    }
    let made: Vec<Value> =
        f.outputs.iter().copied().filter(|&v| !matches!(f.node(v).op, Op::Input(j) if j < carry)).collect();
    if made.iter().collect::<HashSet<_>>().len() < made.len() {
        return None;
    }
    let costs = costs(f, &varies, kept);
    // By which root, at which index.
    let mut demands: Vec<HashSet<(Value, Vec<Affine>)>> = vec![HashSet::new(); f.nodes.len()];
    // `reads[r]`: roots that r reads, and whether only at the same place.
    let mut reads: BTreeMap<Value, Vec<(Value, bool)>> = BTreeMap::new();
    for at in (0..f.nodes.len()).rev() {
        let v = Value(at as u32);
        let node = f.node(v);
        let is_made = made.contains(&v);
        if !is_made && (demands[at].is_empty() || !varies[at]) {
            continue;
        }
        if varies[at] && !understood(f, v) {
            return None;
        }
        let mut mine = std::mem::take(&mut demands[at]);
        let shape = &node.types[0].shape;
        let pointwise = matches!(node.op, Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select);
        let kept = is_made || pointwise && is_field(shape, grid) && is_worth_keeping(&mine, shape, grid, costs[at]);
        if kept {
            if !is_field(shape, grid) {
                return None;
            }
            let own = places(shape, grid);
            for (reader, place) in &mine {
                reads.entry(*reader).or_default().push((v, own.contains(place)));
            }
            reads.entry(v).or_default();
            mine = own.into_iter().map(|p| (v, p)).collect();
        }
        if mine.len() > MOST_PLACES {
            return None;
        }
        for (reader, place) in mine {
            for (k, &a) in node.args.iter().enumerate() {
                match moved(f, v, k, &place, grid.len()) {
                    Moved::To(index) => {
                        demands[a.index()].insert((reader, index));
                    }
                    Moved::Unread => {}
                }
            }
        }
    }
    let mut levels: BTreeMap<Value, usize> = BTreeMap::new();
    for (&v, read) in &reads {
        let level = read.iter().map(|(r, same)| levels[r] + !same as usize).max().unwrap_or(0);
        levels.insert(v, level);
    }
    let sweeps = levels.values().max()? + 1;
    let all: Vec<(Value, usize)> = levels.into_iter().collect();
    (sweeps <= MOST_SWEEPS).then_some(Roots { all, sweeps, varies, carry, xs, items_change: false, rank: grid.len() })
}

fn is_worth_keeping(demands: &HashSet<(Value, Vec<Affine>)>, shape: &[usize], grid: &[usize], cost: usize) -> bool {
    let components = shape.len() - grid.len();
    let of = |k: usize| demands.iter().map(|(_, p)| p[..k].to_vec()).collect::<HashSet<_>>().len();
    let places = demands.iter().map(|(_, p)| p).collect::<HashSet<_>>().len() / of(components).max(1);
    let readers = demands.iter().map(|(r, _)| r).collect::<HashSet<_>>().len();
    (places.max(1) - 1).saturating_mul(cost) > CHEAP || (readers > 1 && cost > TRIFLE)
}

/// Operations for one element.
fn costs(f: &Func, varies: &[bool], kept: &HashSet<Value>) -> Vec<usize> {
    let mut costs: Vec<usize> = vec![0; f.nodes.len()];
    for (v, node) in f.values() {
        if !varies[v.index()] {
            continue;
        }
        let own = match node.op {
            Op::Unary(Unary::Neg | Unary::Abs | Unary::Sign | Unary::Floor) => 1,
            Op::Unary(_) => 20,
            Op::Binary(crate::ir::Binary::Pow | crate::ir::Binary::Atan2) => 40,
            Op::Binary(_) | Op::Compare(_) | Op::Select => 1,
            _ => 0,
        };
        let mut all = node.args.iter().map(|a| if kept.contains(a) { 0 } else { costs[a.index()] });
        let below = match node.op {
            // One of them is read.
            Op::Concat(_) => all.max().unwrap_or(0),
            _ => all.try_fold(0, usize::checked_add).unwrap_or(usize::MAX),
        };
        costs[v.index()] = below.saturating_add(own);
    }
    costs
}

fn understood(f: &Func, v: Value) -> bool {
    let node = f.node(v);
    let float = node.types[0].dtype.is_float() && !node.types[0].is_empty();
    let same = node.args.iter().all(|a| f.ty(*a).dtype == node.types[0].dtype);
    float
        && same
        && match &node.op {
            Op::Input(_)
            | Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Select
            | Op::Transpose(_)
            | Op::Broadcast { .. }
            | Op::Slice { .. }
            | Op::Concat(_)
            | Op::Reverse(_)
            | Op::Roll { .. } => true,
            Op::Reshape(to) => unit_axes(&f.ty(node.args[0]).shape, to).is_some(),
            Op::Pad { interior, .. } => interior.iter().all(|&k| k == 0),
            _ => false,
        }
}
