//! Which operations become part of which kernel, and the loop nest of each kernel.
//!
//! A pointwise operation that one kernel reads at one place is computed in it; one that is read at several places (a stencil of a
//! computed field) or by several kernels is computed once, as a kernel of its own. Moving elements (broadcasts, slices,
//! transposes, paddings, gathers by constant indices …) is done in the addresses. Where an address depends on the side of a border,
//! the loops are cut there.

use super::nest::{Address, Affine, Expr, Graph, Id, Nest, Share};
use super::scalar;
use super::spectra::Sums;
use super::{Place, modal};
use crate::ir::{Binary, DType, Func, Node, Op, Tensor, Value};
use std::collections::HashMap;

/// What computes each node.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Home {
    /// Nobody needs it.
    Dead,
    /// A step of its own.
    Step,
    /// A kernel of its own.
    Kernel,
    /// The kernels that read it.
    Inlined,
}

/// Where a kernel reads a value: the kernel's node, and the index of each of the value's axes (None: not at one affine place).
type Demand = (usize, Option<Vec<Affine>>);

/// How loops are cut where an address depends on the side of a border.
#[derive(Clone, Copy, PartialEq)]
pub enum Borders<'a> {
    Cut,
    /// These pointwise values are computed by kernels of their own.
    Apart(&'a [bool]),
    /// What has borders is a step of its own.
    Steps,
}

/// Decides for every node.
pub fn homes(f: &Func, live: &[bool], sums: &Sums, borders: Borders) -> Vec<Home> {
    let n = f.nodes.len();
    let mut homes = vec![Home::Dead; n];
    let mut demands: Vec<Vec<Demand>> = vec![vec![]; n];
    let mut outside = vec![false; n];
    f.outputs.iter().for_each(|v| outside[v.index()] = true);
    for at in (0..n).rev().filter(|&at| live[at]) {
        let node = &f.nodes[at];
        if let Some(sum) = sums.at(Value(at as u32)) {
            homes[at] = Home::Step;
            let read = sum.terms.iter().flat_map(|t| std::iter::once(&t.base).chain(&t.factors));
            read.for_each(|a| outside[a.index()] = true);
            continue;
        }
        if sums.within[at] {
            homes[at] = Home::Inlined;
            continue;
        }
        let class = match class(f, node) {
            Class::Moved if borders == Borders::Steps && cuts(&node.op) => Class::Other,
            class => class,
        };
        let mine = std::mem::take(&mut demands[at]);
        let apart = matches!(borders, Borders::Apart(apart) if apart[at]);
        let one_place = mine.windows(2).all(|w| w[0] == w[1] && w[0].1.is_some());
        homes[at] = match class {
            Class::Other => Home::Step,
            Class::Map => Home::Kernel,
            Class::Pointwise if outside[at] || apart => Home::Kernel,
            Class::Pointwise if one_place || is_weighted(f, node) && is_placed(&mine) || is_halved(&mine) => {
                Home::Inlined
            }
            Class::Pointwise => Home::Kernel,
            // Copies that somebody needs in memory; kernels then read the copy.
            Class::Moved if outside[at] => {
                if cuts(&node.op) || node.op == Op::Gather {
                    Home::Kernel
                } else {
                    Home::Step
                }
            }
            Class::Moved => Home::Inlined,
        };
        match homes[at] {
            Home::Dead => {}
            Home::Step => match modal::found(f, node, |v| sums.at(v).is_some()) {
                Some(found) => {
                    std::iter::once(&found.base).chain(&found.factors).for_each(|a| outside[a.index()] = true)
                }
                None => node.args.iter().for_each(|a| outside[a.index()] = true),
            },
            Home::Kernel if class == Class::Map => {
                let Op::Map { mapped, .. } = &node.op else { unreachable!("compiler bug: not a map") };
                for (a, &m) in node.args.iter().zip(mapped) {
                    // What items share is computed once.
                    outside[a.index()] |= !m;
                    demands[a.index()].push((at, None));
                }
            }
            Home::Kernel => {
                let shape = &node.types[0].shape;
                let here = (0..shape.len()).map(|a| Affine::axis(a, shape.len())).collect();
                pass(f, node, &(at, Some(here)), &mut demands, &mut outside);
            }
            Home::Inlined => mine.iter().for_each(|d| pass(f, node, d, &mut demands, &mut outside)),
        }
    }
    homes
}

/// Modes as a transform leaves them, each times a number: kernels read them as fast as they would read the products.
fn is_weighted(f: &Func, node: &Node) -> bool {
    let is = |k: usize, of: fn(&Op) -> bool| of(&f.node(node.args[k]).op);
    let modes = |op: &Op| matches!(op, Op::Rfft { .. });
    let number = |op: &Op| matches!(op, Op::Broadcast { .. } | Op::Const(_));
    node.op == Op::Binary(Binary::Mul) && (is(0, modes) && is(1, number) || is(0, number) && is(1, modes))
}

/// Whether one kernel reads a value at two places that are never the same, such as real and imaginary parts: each element is computed
/// once.
fn is_halved(demands: &[Demand]) -> bool {
    let Some(((kernel, Some(first)), rest)) = demands.split_first() else { return false };
    let mut others = rest.iter().filter(|d| **d != demands[0]);
    let Some((_, Some(second))) = others.next() else { return false };
    let fixed = |at: &Affine| at.steps.iter().all(|s| *s == 0);
    let apart = first.iter().zip(second).any(|(x, y)| fixed(x) && fixed(y) && x.offset != y.offset);
    apart && rest.iter().all(|d| d.0 == *kernel) && others.all(|d| d.1.as_ref() == Some(second))
}

fn is_placed(demands: &[Demand]) -> bool {
    demands.iter().all(|d| d.1.is_some())
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Pointwise,
    Moved,
    Map,
    Other,
}

fn class(f: &Func, node: &Node) -> Class {
    let ty = &node.types[0];
    if ty.is_empty() {
        return Class::Other;
    }
    match &node.op {
        Op::Map { body, n, .. } if *n > 0 && scalar::is_kernel(body) => Class::Map,
        _ if !ty.dtype.is_float() => Class::Other,
        Op::Unary(_) | Op::Binary(_) | Op::Compare(_) => Class::Pointwise,
        Op::Select if f.ty(node.args[0]).dtype == ty.dtype => Class::Pointwise,
        Op::Iota { .. }
        | Op::Transpose(_)
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Reverse(_)
        | Op::Roll { .. } => Class::Moved,
        Op::Pad { interior, .. } if interior.iter().all(|&k| k == 0) => Class::Moved,
        Op::Concat(_) if node.args.len() <= 16 => Class::Moved,
        Op::Reshape(to) if !to.is_empty() && unit_axes(&f.ty(node.args[0]).shape, to).is_some() => Class::Moved,
        Op::Gather if known_index(f, node).is_some() => Class::Moved,
        _ => Class::Other,
    }
}

/// The indices of a gather, where they are constant and in range.
fn known_index<'a>(f: &'a Func, node: &Node) -> Option<&'a Tensor> {
    let n = f.ty(node.args[0]).shape[0] as u32;
    match &f.node(node.args[1]).op {
        Op::Const(t) if t.as_index()?.iter().all(|&i| i < n) => Some(t),
        _ => None,
    }
}

/// Whether an operation has borders inside its result.
fn cuts(op: &Op) -> bool {
    matches!(op, Op::Pad { .. } | Op::Concat(_) | Op::Roll { .. })
}

/// Hands a demand for a node on to its arguments.
fn pass(f: &Func, node: &Node, d: &Demand, demands: &mut [Vec<Demand>], outside: &mut [bool]) {
    match &node.op {
        // Each element is still read at one place, from one box or another.
        Op::Concat(_) | Op::Pad { .. } | Op::Roll { .. } => {
            for (k, a) in node.args.iter().enumerate() {
                let moved = d.1.as_ref().map(|at| beyond_borders(f, node, k, at));
                demands[a.index()].push((d.0, moved));
            }
        }
        Op::Gather => outside[node.args[0].index()] = true,
        Op::Iota { .. } => {}
        Op::Transpose(_) | Op::Broadcast { .. } | Op::Slice { .. } | Op::Reverse(_) | Op::Reshape(_) => {
            let moved = d.1.as_ref().map(|m| moved(&node.op, &f.ty(node.args[0]).shape, m, loops(m)));
            demands[node.args[0].index()].push((d.0, moved));
        }
        _ => node.args.iter().for_each(|a| demands[a.index()].push(d.clone())),
    }
}

/// Of the loops around what these indices are of.
fn loops(at: &[Affine]) -> usize {
    at.first().map_or(0, |a| a.steps.len())
}

/// The index into the argument of that shape that belongs to an index into the result; a reshape adds and drops unit axes only.
pub fn moved(op: &Op, from: &[usize], at: &[Affine], loops: usize) -> Vec<Affine> {
    match op {
        Op::Transpose(perm) => {
            let mut out = at.to_vec();
            perm.iter().enumerate().for_each(|(i, &p)| out[p] = at[i].clone());
            out
        }
        Op::Broadcast { axes, .. } => axes.iter().map(|&a| at[a].clone()).collect(),
        Op::Reshape(to) => {
            let axes = unit_axes(from, to).expect("compiler bug: a reshape that is not of unit axes");
            let mut out = vec![Affine::constant(0, loops); from.len()];
            axes.iter().zip(at).for_each(|(a, i)| {
                if let Some(a) = a {
                    out[*a] = i.clone();
                }
            });
            out
        }
        Op::Slice { start, stride, .. } => {
            (0..at.len()).map(|i| at[i].scaled(stride[i] as isize, start[i] as isize)).collect()
        }
        Op::Reverse(axes) => {
            let flip = |i: usize| at[i].scaled(-1, from[i] as isize - 1);
            (0..at.len()).map(|i| if axes.contains(&i) { flip(i) } else { at[i].clone() }).collect()
        }
        _ => unreachable!("compiler bug: not a change of index"),
    }
}

/// The same for argument k of what has borders, on the side where that argument is read.
fn beyond_borders(f: &Func, node: &Node, k: usize, at: &[Affine]) -> Vec<Affine> {
    let mut out = at.to_vec();
    match &node.op {
        Op::Pad { low, .. } => out.iter_mut().zip(low).for_each(|(i, &l)| *i = i.scaled(1, -(l as isize))),
        Op::Concat(axis) => {
            let start: usize = node.args[..k].iter().map(|a| f.ty(*a).shape[*axis]).sum();
            out[*axis] = at[*axis].scaled(1, -(start as isize));
        }
        Op::Roll { axis, shift } => {
            let n = f.ty(node.args[0]).shape[*axis] as isize;
            out[*axis] = at[*axis].scaled(1, -shift.rem_euclid(n));
        }
        _ => unreachable!("compiler bug: no borders"),
    }
    out
}

/// Axes of `to` that are axes of `from` (None: of extent 1), where a reshape only adds and removes axes of extent 1.
pub fn unit_axes(from: &[usize], to: &[usize]) -> Option<Vec<Option<usize>>> {
    let long: Vec<usize> = (0..from.len()).filter(|&a| from[a] != 1).collect();
    let mut next = long.iter();
    let mut axes = vec![];
    for &n in to {
        axes.push(if n == 1 { None } else { Some(*next.next().filter(|&&a| from[a] == n)?) });
    }
    next.next().is_none().then_some(axes)
}

/// Loops must be cut at this index of this axis.
pub struct Cut {
    pub axis: usize,
    pub at: usize,
}

/// Expressions of one kernel over a box of its loops.
pub struct Site<'a> {
    pub f: &'a Func,
    pub homes: &'a [Home],
    pub places: &'a [Vec<Place>],
    pub graph: Graph,
    /// The buffers read so far.
    pub args: Vec<Place>,
    pub low: Vec<usize>,
    pub high: Vec<usize>,
    known: HashMap<(Value, Vec<Affine>), Id>,
}

/// At most so many boxes of one kernel.
pub const MOST_NESTS: usize = 64;

/// The nests of a kernel whose loops run over `shape`, and the places they read. `build` gives the stores of a site, to result
/// buffers numbered from 0; None if there would be too many nests.
pub fn nests<'a>(
    f: &'a Func,
    homes: &'a [Home],
    places: &'a [Vec<Place>],
    dtype: DType,
    shape: &[usize],
    build: &dyn Fn(&mut Site<'a>) -> Result<Vec<(Address, Id)>, Cut>,
) -> Option<(Vec<Nest>, Vec<Place>)> {
    let mut boxes = vec![(vec![0; shape.len()], shape.to_vec())];
    let (mut nests, mut args) = (vec![], vec![]);
    while let Some((low, high)) = boxes.pop() {
        let mut site = Site {
            f,
            homes,
            places,
            graph: Graph::new(dtype),
            args,
            low: low.clone(),
            high: high.clone(),
            known: HashMap::new(),
        };
        let outcome = build(&mut site);
        args = site.args;
        match outcome {
            Ok(stores) => nests.push((Nest::new(shape.to_vec(), site.graph, stores), low, high)),
            Err(cut) => {
                let (mut first, mut second) = (high.clone(), low.clone());
                (first[cut.axis], second[cut.axis]) = (cut.at, cut.at);
                boxes.push((second, high));
                boxes.push((low, first));
            }
        }
        if nests.len() + boxes.len() > MOST_NESTS {
            return None;
        }
    }
    let results = args.len();
    let axis = shape.iter().position(|&n| n > 1);
    let finished = nests.into_iter().map(|(mut nest, low, high)| {
        nest.stores.iter_mut().for_each(|(a, _)| a.buffer += results);
        nest.normalised(&low, &high, axis)
    });
    let mut nests: Vec<Nest> = finished.collect();
    if let [nest] = &mut nests[..] {
        nest.share = Share::whole(nest.shape[0]);
    }
    Some((nests, args))
}

impl Site<'_> {
    /// The value of a node at an index.
    pub fn value(&mut self, v: Value, at: &[Affine]) -> Result<Id, Cut> {
        let key = (v, at.to_vec());
        if let Some(&id) = self.known.get(&key) {
            return Ok(id);
        }
        let id = self.fresh(v, at)?;
        self.known.insert(key, id);
        Ok(id)
    }

    fn fresh(&mut self, v: Value, at: &[Affine]) -> Result<Id, Cut> {
        if let Some(x) = self.f.splat(v) {
            return Ok(self.graph.constant(x));
        }
        if let (Some(&place), true) = (self.places[v.index()].first(), self.homes[v.index()] != Home::Inlined) {
            return Ok(self.load(place, &self.f.ty(v).shape, at));
        }
        self.computed(v, at)
    }

    /// The same from the node's arguments, whatever its home.
    pub fn computed(&mut self, v: Value, at: &[Affine]) -> Result<Id, Cut> {
        let f = self.f;
        let node = f.node(v);
        let from = |k: usize| f.ty(node.args[k]).shape.as_slice();
        match &node.op {
            Op::Unary(g) => {
                let a = self.value(node.args[0], at)?;
                Ok(self.graph.unary(*g, a))
            }
            Op::Binary(g) => {
                let (a, b) = (self.value(node.args[0], at)?, self.value(node.args[1], at)?);
                Ok(self.graph.binary(*g, a, b))
            }
            Op::Compare(c) => {
                let (a, b) = (self.value(node.args[0], at)?, self.value(node.args[1], at)?);
                Ok(self.graph.compare(*c, a, b))
            }
            Op::Select => {
                let m = self.value(node.args[0], at)?;
                let (a, b) = (self.value(node.args[1], at)?, self.value(node.args[2], at)?);
                Ok(self.graph.select(m, a, b))
            }
            Op::Iota { axis, .. } => {
                let number = &at[*axis];
                Ok(match number.steps.iter().all(|s| *s == 0) {
                    true => self.graph.constant(number.offset as f64),
                    false => self.graph.add(Expr::Number(number.clone())),
                })
            }
            Op::Transpose(_) | Op::Broadcast { .. } | Op::Slice { .. } | Op::Reverse(_) | Op::Reshape(_) => {
                self.value(node.args[0], &moved(&node.op, from(0), at, loops(at)))
            }
            Op::Pad { low, .. } => {
                let mut inner = at.to_vec();
                for (a, i) in inner.iter_mut().enumerate() {
                    *i = i.scaled(1, -(low[a] as isize));
                    if self.side(i, 0)? || !self.side(i, from(0)[a] as isize)? {
                        return Ok(self.graph.constant(0.0));
                    }
                }
                self.value(node.args[0], &inner)
            }
            Op::Concat(axis) => {
                let mut start = 0;
                for &a in &node.args {
                    let n = f.ty(a).shape[*axis] as isize;
                    if self.side(&at[*axis], start + n)? {
                        let mut inner = at.to_vec();
                        inner[*axis] = at[*axis].scaled(1, -start);
                        return self.value(a, &inner);
                    }
                    start += n;
                }
                unreachable!("compiler bug: an index beyond the end of a concatenation")
            }
            Op::Roll { axis, shift } => {
                let n = from(0)[*axis] as isize;
                let k = shift.rem_euclid(n);
                let wraps = self.side(&at[*axis], k)?;
                let mut inner = at.to_vec();
                inner[*axis] = at[*axis].scaled(1, if wraps { n - k } else { -k });
                self.value(node.args[0], &inner)
            }
            Op::Gather => {
                let shape = &f.ty(node.args[1]).shape;
                let rank = shape.len();
                let row = from(0)[1..].iter().product::<usize>() as isize;
                let place = self.places[node.args[1].index()][0];
                let index =
                    Address { buffer: self.buffer(place), at: flat(shape, &at[..rank], place.start, self.low.len()) };
                let place = self.places[node.args[0].index()][0];
                let source = Address {
                    buffer: self.buffer(place),
                    at: flat(&from(0)[1..], &at[rank..], place.start, self.low.len()),
                };
                Ok(self.graph.add(Expr::Gather { index, source, row }))
            }
            _ => unreachable!("compiler bug: {:?} inside a kernel", node.op),
        }
    }

    pub fn load(&mut self, place: Place, shape: &[usize], at: &[Affine]) -> Id {
        let buffer = self.buffer(place);
        let address = flat(shape, at, place.start, self.low.len());
        self.graph.add(Expr::Load(Address { buffer, at: address }))
    }

    /// Buffers are whole: two places in one buffer are read through one pointer.
    fn buffer(&mut self, place: Place) -> usize {
        match self.args.iter_mut().position(|p| p.root == place.root) {
            Some(k) => {
                self.args[k].len = self.args[k].len.max(place.start + place.len);
                k
            }
            None => {
                self.args.push(Place { start: 0, len: place.start + place.len, ..place });
                self.args.len() - 1
            }
        }
    }

    /// Whether an index is below `bound`, all over the box.
    fn side(&self, i: &Affine, bound: isize) -> Result<bool, Cut> {
        side(&self.low, &self.high, i, bound)
    }
}

/// Whether an index is below `bound`, all over a box.
pub fn side(low: &[usize], high: &[usize], i: &Affine, bound: isize) -> Result<bool, Cut> {
    let (least, greatest) = i.range(low, high);
    if greatest < bound {
        return Ok(true);
    }
    if least >= bound {
        return Ok(false);
    }
    // offset + step·x < bound, if it depends on one loop; else halve one.
    let mut used = (0..i.steps.len()).filter(|&a| i.steps[a] != 0);
    let Some(axis) = used.next() else { unreachable!("compiler bug: a constant on both sides") };
    if used.next().is_some() {
        return Err(halved(low, high, i));
    }
    let (step, gap) = (i.steps[axis], bound - i.offset);
    // First x on the other side.
    let x = if step > 0 { (gap + step - 1).div_euclid(step) } else { gap.div_euclid(step) + 1 };
    let at = (x.max(0) as usize).clamp(low[axis] + 1, high[axis] - 1);
    Err(Cut { axis, at })
}

fn halved(low: &[usize], high: &[usize], i: &Affine) -> Cut {
    let extent = |a: usize| high[a] - low[a];
    let widest = (0..i.steps.len()).filter(|&a| i.steps[a] != 0).max_by_key(|&a| extent(a));
    let axis = widest.expect("compiler bug: an index that does not move");
    Cut { axis, at: low[axis] + extent(axis) / 2 }
}

/// Position in a row-major array that starts at `start`, inside so many loops.
fn flat(shape: &[usize], at: &[Affine], start: usize, loops: usize) -> Affine {
    let mut sum = Affine::constant(0, loops);
    for (i, &n) in at.iter().zip(shape) {
        sum = sum.scaled(n as isize, 0).plus(i);
    }
    sum.offset += start as isize;
    sum
}

/// The nests of a pointwise or moving node, which stores its own result.
pub fn pointwise(f: &Func, homes: &[Home], places: &[Vec<Place>], v: Value) -> Option<(Vec<Nest>, Vec<Place>)> {
    let ty = f.ty(v);
    let rank = ty.rank();
    let build = |site: &mut Site| {
        let at: Vec<Affine> = (0..rank).map(|a| Affine::axis(a, rank)).collect();
        let id = site.computed(v, &at)?;
        let to = flat(&ty.shape, &at, 0, rank);
        Ok(vec![(Address { buffer: 0, at: to }, id)])
    };
    nests(f, homes, places, ty.dtype, &ty.shape, &build)
}
