//! The arrays of a blocked scan: what they stand for, and which of them take each other's places.

use super::extent::{Extent, Source};
use super::layout::Field;
use super::roots::{self, Roots};
use crate::ir::{Func, Op, Value};
use std::collections::HashMap;

/// What a buffer of the sweeps stands for.
pub struct Slot {
    pub kind: Kind,
    pub field: Field,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The carried value before the step.
    Old(usize),
    /// The same after it.
    New(usize),
    /// What sweeps leave for later sweeps of the same step.
    Between,
    /// An item of an argument that is split over the steps, in place.
    Item(usize),
    /// What the step leaves as a row of a result, in place.
    Row(usize),
    /// An argument that stays the same; or result k of the prologue.
    Shared(usize),
    Prologue(usize),
    /// A constant of the body.
    Constant(Value),
}

/// Where the next value of a carried value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Made,
    /// Made in the place of another value's old one, which nobody needs any more.
    Over(usize),
    /// It is the value that another one had.
    Taken(usize),
}

/// What a scan's arrays are to look like.
pub struct Layout {
    /// Rows fill a multiple of so many cache lines.
    pub lines: usize,
    /// Those of the items, where they are not read in place.
    pub items: Option<Vec<Field>>,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout { lines: 1, items: None }
    }
}

pub fn simple_nexts(body: &Func, roots: &Roots, carry: usize) -> Vec<Next> {
    (0..carry).map(|k| roots.taken(body, k).map_or(Next::Made, Next::Taken)).collect()
}

/// A value may be written over one that is read nowhere but at the point that is computed, for this value alone.
pub fn nexts(body: &Func, roots: &Roots, extent: &Extent, carry: usize) -> Vec<Next> {
    let mut next = simple_nexts(body, roots, carry);
    for k in 0..carry {
        let v = body.outputs[k];
        let (Next::Made, Some(level)) = (next[k], roots.level(v)) else { continue };
        let alone = roots.all.iter().filter(|r| r.1 == level).count() == 1;
        let single = body.ty(v).rank() == 0 || roots::components(&body.ty(v).shape, roots.rank) == 1;
        if !alone || !single {
            continue;
        }
        let fits = |j: &usize| {
            let old = Source::Old(*j);
            let last = extent.last.get(&old).copied().unwrap_or(0);
            !extent.elsewhere.contains(&old)
                && last <= level
                && !next.iter().any(|n| matches!(n, Next::Taken(i) | Next::Over(i) if i == j))
        };
        if let Some(j) = (0..carry).find(fits) {
            next[k] = Next::Over(j);
        }
    }
    next
}

/// The slots, the number of each source among them, and what the prologue computes.
pub fn lay_out(
    body: &Func,
    roots: &Roots,
    extent: &Extent,
    (carry, grid): (usize, &[usize]),
    layout: &Layout,
) -> (Vec<Slot>, HashMap<Source, usize>, Vec<Value>) {
    let mut slots: Vec<Slot> = vec![];
    let mut numbers = HashMap::new();
    let mut prologue = vec![];
    let dtype = body.inputs[0].dtype;
    for k in 0..carry {
        // Values that take each other's places have one layout: the widest.
        let shape = &body.inputs[k].shape;
        let mut field = Field::around(shape, grid, &extent.state_ghosts, dtype, layout.lines);
        field.around = extent.around(body, Source::Old(k), shape.len());
        numbers.insert(Source::Old(k), slots.len());
        slots.push(Slot { kind: Kind::Old(k), field: field.clone() });
        if roots.taken(body, k).is_none() {
            numbers.insert(Source::Root(body.outputs[k]), slots.len());
            slots.push(Slot { kind: Kind::New(k), field });
        }
    }
    for (row, &v) in body.outputs[carry..].iter().enumerate() {
        let shape = &body.ty(v).shape;
        numbers.insert(Source::Root(v), slots.len());
        let none = vec![0; shape.len()];
        slots.push(Slot { kind: Kind::Row(row), field: Field::of(shape, (none.clone(), none), dtype) });
    }
    for &(v, _) in &roots.all {
        if let std::collections::hash_map::Entry::Vacant(place) = numbers.entry(Source::Root(v)) {
            let shape = &body.ty(v).shape;
            let mut field =
                Field::around(shape, grid, &extent.ghosts_of(Source::Root(v), grid.len()), dtype, layout.lines);
            field.around = extent.around(body, Source::Root(v), shape.len());
            place.insert(slots.len());
            slots.push(Slot { kind: Kind::Between, field });
        }
    }
    for source in &extent.sources {
        let (kind, ty) = match *source {
            Source::Old(_) | Source::Root(_) => continue,
            Source::Item(k) => (Kind::Item(k), &body.inputs[k]),
            Source::Fixed(v) => match &body.node(v).op {
                Op::Input(k) => (Kind::Shared(*k), body.ty(v)),
                Op::Const(_) => (Kind::Constant(v), body.ty(v)),
                _ => {
                    prologue.push(v);
                    (Kind::Prologue(prologue.len() - 1), body.ty(v))
                }
            },
        };
        let mut field = match (source, &layout.items) {
            (Source::Item(k), Some(items)) => items[*k - carry].clone(),
            _ => {
                let mut field = Field::of(&ty.shape, extent.beyond(*source), ty.dtype);
                field.around = extent.around(body, *source, ty.rank());
                field
            }
        };
        if let Kind::Constant(v) = kind
            && let Op::Const(t) = &body.node(v).op
        {
            field.constant = Some(t.clone());
        }
        numbers.insert(*source, slots.len());
        slots.push(Slot { kind, field });
    }
    (slots, numbers, prologue)
}
