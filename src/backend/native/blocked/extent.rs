//! How far the sweeps of a step read, and what lies beyond the ends of the grid there.

use crate::ir::{Func, Value};
use std::collections::{HashMap, HashSet};

/// What is read from memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Source {
    /// A carried value before the step.
    Old(usize),
    /// The item of an argument for this step.
    Item(usize),
    /// A value that another sweep stored.
    Root(Value),
    /// The same in all steps.
    Fixed(Value),
}

/// How far sweeps read.
#[derive(Default)]
pub struct Extent {
    /// In the order met.
    pub sources: Vec<Source>,
    /// Elements before the first and behind the last, for each axis.
    pub beyond: HashMap<Source, (Vec<usize>, Vec<usize>)>,
    /// What lies there.
    pub ends: HashMap<Source, Vec<End>>,
    /// The same for all carried values, along the axes of the grid.
    pub state_ghosts: Vec<(usize, usize)>,
    /// Sources that are read at other places than the one that is computed, and the last sweep that reads each.
    pub elsewhere: HashSet<Source>,
    pub last: HashMap<Source, usize>,
    /// How far along the first and the second axis what changes is read, and whether around the ends.
    pub reach: [usize; 2],
    pub periodic: [bool; 2],
    /// Something that changes is read at the other end of the first axis itself, not in a copy of it beyond the end.
    pub across: bool,
}

/// What lies beyond the ends of an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Unread,
    /// The other end.
    Around,
    Zeros,
}

impl Extent {
    pub fn beyond(&self, source: Source) -> (Vec<usize>, Vec<usize>) {
        self.beyond[&source].clone()
    }

    /// Of each axis: it goes around.
    pub fn around(&self, f: &Func, source: Source, rank: usize) -> Vec<bool> {
        match self.ends.get(&of_states(f, source)) {
            Some(ends) => ends.iter().map(|e| *e == End::Around).collect(),
            None => vec![false; rank],
        }
    }

    /// What lies beyond the ends of each axis of what changes.
    pub fn ends_of_changing(&self) -> impl Iterator<Item = (Source, &[End])> {
        self.ends.iter().filter(|(s, _)| !matches!(s, Source::Fixed(_))).map(|(s, ends)| (*s, &ends[..]))
    }

    /// The carried values have these ghosts at least, which stand for this.
    pub fn widen(&mut self, ghosts: &[(usize, usize)], ends: &[End]) {
        for (own, other) in self.state_ghosts.iter_mut().zip(ghosts) {
            *own = (own.0.max(other.0), own.1.max(other.1));
        }
        self.ends.insert(Source::Old(0), ends.to_vec());
    }

    /// Along the axes of the grid, the last ones of the source.
    pub fn ghosts_of(&self, source: Source, rank: usize) -> Vec<(usize, usize)> {
        match self.beyond.get(&source) {
            Some((low, high)) => low.iter().copied().zip(high.iter().copied()).skip(low.len() - rank).collect(),
            None => vec![(0, 0); rank],
        }
    }
}

/// All carried values, which take each other's places, count as one.
pub fn of_states(f: &Func, source: Source) -> Source {
    match source {
        Source::Old(_) => Source::Old(0),
        Source::Root(v) if f.outputs.contains(&v) => Source::Old(0),
        other => other,
    }
}
