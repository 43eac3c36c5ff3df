//! The loop nests of the sweeps: every value written out in terms of elements that are read near a point.

use super::extent::{End, Extent, Source, of_states};
use super::layout::Field;
use super::moved::{Moved, moved, moves};
use super::roots::{Roots, is_field, places};
use super::slots::Slot;
use crate::backend::native::fuse::{Cut, side, unit_axes};
use crate::backend::native::nest::{Address, Affine, Expr, Graph, Id, Nest};
use crate::ir::{Func, Op, Value};
use std::collections::HashMap;

enum Stop {
    Cut(Cut),
    Refused,
}

impl From<Cut> for Stop {
    fn from(cut: Cut) -> Stop {
        Stop::Cut(cut)
    }
}

/// Loops of one sweep are cut into so many boxes at most, of so many expressions.
const MOST_NESTS: usize = 130;
const MOST_EXPRESSIONS: usize = 6000;

struct Reader<'a> {
    f: &'a Func,
    roots: &'a Roots,
    grid: &'a [usize],
    level: usize,
    graph: Graph,
    low: Vec<usize>,
    high: Vec<usize>,
    memo: HashMap<(Value, Vec<Affine>), Id>,
    extent: &'a mut Extent,
    /// None while it is measured how far is read.
    layout: Option<(&'a [Slot], &'a HashMap<Source, usize>)>,
}

/// How far each source is read; None where the step is not of this kind.
pub fn measure(f: &Func, roots: &Roots, grid: &[usize]) -> Option<Extent> {
    let mut extent = Extent { state_ghosts: vec![(0, 0); grid.len()], ..Extent::default() };
    for level in 0..roots.sweeps {
        sweep(f, roots, grid, level, &mut extent, None)?;
    }
    for (source, ends) in &extent.beyond {
        let is_new = |v: &Value| f.outputs.contains(v);
        if matches!(source, Source::Old(_)) || matches!(source, Source::Root(v) if is_new(v)) {
            let skip = ends.0.len() - grid.len();
            for (a, g) in extent.state_ghosts.iter_mut().enumerate() {
                *g = (g.0.max(ends.0[a + skip]), g.1.max(ends.1[a + skip]));
            }
        }
    }
    Some(extent)
}

/// The nests of every sweep, and the slots it writes.
pub fn nests(
    f: &Func,
    roots: &Roots,
    grid: &[usize],
    slots: &[Slot],
    numbers: &HashMap<Source, usize>,
) -> Option<Vec<(Vec<Nest>, Vec<usize>)>> {
    let mut again = Extent::default();
    (0..roots.sweeps)
        .map(|level| {
            let nests = sweep(f, roots, grid, level, &mut again, Some((slots, numbers)))?;
            let writes = roots.all.iter().filter(|r| r.1 == level).map(|r| numbers[&Source::Root(r.0)]).collect();
            Some((nests, writes))
        })
        .collect()
}

fn sweep(
    f: &Func,
    roots: &Roots,
    grid: &[usize],
    level: usize,
    extent: &mut Extent,
    layout: Option<(&[Slot], &HashMap<Source, usize>)>,
) -> Option<Vec<Nest>> {
    let mut boxes = vec![(vec![0; grid.len()], grid.to_vec())];
    let mut nests = vec![];
    while let Some((low, high)) = boxes.pop() {
        let mut r = Reader {
            f,
            roots,
            grid,
            level,
            graph: Graph::new(f.inputs[0].dtype),
            low: low.clone(),
            high: high.clone(),
            memo: HashMap::new(),
            extent,
            layout,
        };
        match r.stores() {
            Ok(stores) => {
                if r.graph.exprs.len() > MOST_EXPRESSIONS {
                    return None;
                }
                nests.push(Nest::over(r.graph, stores, &low, &high));
            }
            Err(Stop::Cut(cut)) => {
                let (mut first, mut second) = (high.clone(), low.clone());
                (first[cut.axis], second[cut.axis]) = (cut.at, cut.at);
                boxes.push((second, high));
                boxes.push((low, first));
            }
            Err(Stop::Refused) => return None,
        }
        if nests.len() + boxes.len() > MOST_NESTS {
            return None;
        }
    }
    Some(nests)
}

impl Reader<'_> {
    fn stores(&mut self) -> Result<Vec<(Address, Id)>, Stop> {
        let mut stores = vec![];
        for &(v, level) in &self.roots.all {
            if level != self.level {
                continue;
            }
            for place in places(&self.f.ty(v).shape, self.grid) {
                let id = self.value(v, &place)?;
                let to = match self.layout {
                    Some((slots, numbers)) => {
                        let k = numbers[&Source::Root(v)];
                        Address { buffer: k, at: self.address(&slots[k].field, &place) }
                    }
                    None => Address { buffer: 0, at: Affine::constant(0, self.grid.len()) },
                };
                stores.push((to, id));
            }
        }
        Ok(stores)
    }

    fn value(&mut self, v: Value, at: &[Affine]) -> Result<Id, Stop> {
        let key = (v, at.to_vec());
        if let Some(&id) = self.memo.get(&key) {
            return Ok(id);
        }
        let id = self.fresh(v, at)?;
        self.memo.insert(key, id);
        Ok(id)
    }

    fn fresh(&mut self, v: Value, at: &[Affine]) -> Result<Id, Stop> {
        let f = self.f;
        let node = f.node(v);
        if let Some(x) = f.splat(v) {
            return Ok(self.graph.constant(x));
        }
        if let Some(source) = self.source(v) {
            return self.load(source, v, at, End::Around);
        }
        match self.roots.level(v) {
            Some(level) if level > self.level => Err(Stop::Refused),
            Some(_) if !places(&node.types[0].shape, self.grid).iter().any(|p| p == at) => Err(Stop::Refused),
            _ => self.computed(v, at),
        }
    }

    /// Where a value lies in memory for this sweep, if it does.
    fn source(&self, v: Value) -> Option<Source> {
        let (carry, xs) = (self.roots.carry, self.roots.xs);
        match self.f.node(v).op {
            Op::Input(k) if k < carry => return Some(Source::Old(k)),
            Op::Input(k) if k < carry + xs => return Some(Source::Item(k)),
            Op::Input(_) | Op::Const(_) => return Some(Source::Fixed(v)),
            _ => {}
        }
        match self.roots.level(v) {
            Some(level) if level < self.level => Some(Source::Root(v)),
            None if !self.roots.varies[v.index()] && !moves(self.f, v) => Some(Source::Fixed(v)),
            _ => None,
        }
    }

    /// Behind what only picks components.
    fn picked(&self, mut v: Value, mut at: Vec<Affine>) -> (Value, Vec<Affine>) {
        loop {
            let node = self.f.node(v);
            let picks = self.source(v).is_none()
                && match &node.op {
                    Op::Reshape(to) => unit_axes(&self.f.ty(node.args[0]).shape, to).is_some(),
                    Op::Slice { .. } => {
                        let (to, from) = (&node.types[0].shape, &self.f.ty(node.args[0]).shape);
                        (0..to.len()).all(|a| to[a] == from[a] || to[a] == 1)
                    }
                    _ => false,
                };
            if !picks {
                return (v, at);
            }
            match moved(self.f, v, 0, &at, self.grid.len()) {
                Moved::To(index) => (v, at) = (node.args[0], index),
                Moved::Unread => return (v, at),
            }
        }
    }

    /// A field between zeros, where the memory around it can hold them.
    fn between_zeros(&mut self, v: Value, at: &[Affine]) -> Option<Id> {
        let (v, at) = self.picked(v, at.to_vec());
        let source = self.source(v).filter(|s| self.roots.items_change || !matches!(s, Source::Item(_)))?;
        let shape = &self.f.ty(v).shape;
        let ends = self.extent.ends.get(&of_states(self.f, source));
        for (a, &n) in shape.iter().enumerate() {
            let (least, greatest) = at[a].range(&self.low, &self.high);
            if least >= 0 && greatest < n as isize {
                continue;
            }
            let known = ends.map_or(End::Unread, |e| e[a]);
            if known == End::Around || !plain(&at[a]) || -least > n as isize || greatest >= 2 * n as isize {
                return None;
            }
        }
        self.load(source, v, &at, End::Zeros).ok()
    }

    fn computed(&mut self, v: Value, at: &[Affine]) -> Result<Id, Stop> {
        let f = self.f;
        let node = f.node(v);
        let argument = |r: &mut Self, k: usize, at: &[Affine]| match moved(f, v, k, at, r.grid.len()) {
            Moved::To(index) => r.value(node.args[k], &index),
            Moved::Unread => Err(Stop::Refused),
        };
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
            Op::Iota { axis, shape, .. } => {
                let number = self.inside(&at[*axis], shape[*axis])?;
                Ok(match number.steps.iter().all(|s| *s == 0) {
                    true => self.graph.constant(number.offset as f64),
                    false => self.graph.add(Expr::Number(number)),
                })
            }
            Op::Transpose(_) | Op::Broadcast { .. } | Op::Reshape(_) | Op::Roll { .. } => argument(self, 0, at),
            Op::Slice { .. } | Op::Reverse(_) => {
                let shape = &node.types[0].shape;
                let from = &f.ty(node.args[0]).shape;
                let mut inner = at.to_vec();
                for a in 0..at.len() {
                    if matches!(node.op, Op::Reverse(_)) || shape[a] != from[a] {
                        inner[a] = self.inside(&at[a], shape[a])?;
                    }
                }
                argument(self, 0, &inner)
            }
            Op::Pad { low, .. } => {
                let (shape, from) = (&node.types[0].shape, &f.ty(node.args[0]).shape);
                let mut inner = at.to_vec();
                for (a, i) in inner.iter_mut().enumerate().filter(|(a, _)| shape[*a] != from[*a]) {
                    *i = self.inside(i, shape[a])?.scaled(1, -(low[a] as isize));
                }
                if let Some(id) = self.between_zeros(node.args[0], &inner) {
                    return Ok(id);
                }
                for (a, i) in inner.iter_mut().enumerate() {
                    if shape[a] == from[a] {
                        continue;
                    }
                    if self.below(i, 0)? || !self.below(i, from[a] as isize)? {
                        return Ok(self.graph.constant(0.0));
                    }
                }
                self.value(node.args[0], &inner)
            }
            Op::Concat(axis) => {
                let mut place = at.to_vec();
                place[*axis] = self.inside(&at[*axis], node.types[0].shape[*axis])?;
                let mut end = 0;
                for (k, a) in node.args.iter().enumerate() {
                    end += f.ty(*a).shape[*axis] as isize;
                    if self.below(&place[*axis], end)? {
                        return argument(self, k, &place);
                    }
                }
                unreachable!("compiler bug: an index beyond the end of a concatenation")
            }
            _ => Err(Stop::Refused),
        }
    }

    fn load(&mut self, source: Source, v: Value, at: &[Affine], end: End) -> Result<Id, Stop> {
        let shape = self.f.ty(v).shape.clone();
        let in_place = matches!(source, Source::Item(_)) && !self.roots.items_change;
        let changes = !matches!(source, Source::Fixed(_)) && !in_place;
        let first = shape.len().saturating_sub(self.grid.len());
        if !is_field(&shape, self.grid) || !places(&shape, self.grid).iter().any(|p| p == at) {
            self.extent.elsewhere.insert(source);
        }
        let last = self.extent.last.entry(source).or_insert(0);
        *last = (*last).max(self.level);
        let mut index = at.to_vec();
        let mut beyond = (vec![0; shape.len()], vec![0; shape.len()]);
        for (a, &n) in shape.iter().enumerate() {
            if changes && a >= first {
                self.reaches(a - first, &at[a], n, end);
            }
            let (least, greatest) = at[a].range(&self.low, &self.high);
            if least >= 0 && greatest < n as isize {
                continue;
            }
            // Along one loop, one element an iteration: ghosts. They are laid out for the whole loop.
            let key = of_states(self.f, source);
            let known = &mut self.extent.ends.entry(key).or_insert_with(|| vec![End::Unread; shape.len()])[a];
            let (before, behind) = ((-least).max(0) as usize, (greatest - n as isize + 1).max(0) as usize);
            let fits = plain(&at[a]) && !in_place && before <= n && behind <= n;
            if fits && (*known == End::Unread || *known == end) {
                *known = end;
                (beyond.0[a], beyond.1[a]) = (before, behind);
            } else {
                index[a] = self.inside(&at[a], n)?;
            }
        }
        if !self.extent.sources.contains(&source) {
            self.extent.sources.push(source);
        }
        let known = self.extent.beyond.entry(source).or_insert_with(|| (vec![0; shape.len()], vec![0; shape.len()]));
        for a in 0..shape.len() {
            (known.0[a], known.1[a]) = (known.0[a].max(beyond.0[a]), known.1[a].max(beyond.1[a]));
        }
        let address = match self.layout {
            Some((slots, numbers)) => {
                let k = numbers[&source];
                Address { buffer: k, at: self.address(&slots[k].field, &index) }
            }
            None => {
                // Only to tell elements apart.
                let k = self.extent.sources.iter().position(|s| *s == source).expect("just added");
                let dense = Field::of(&shape, (vec![0; shape.len()], vec![0; shape.len()]), self.graph.dtype);
                Address { buffer: k, at: self.address(&dense, &index) }
            }
        };
        Ok(self.graph.add(Expr::Load(address)))
    }

    /// Notes how far from the point that is computed something is read, along the axes over which steps are spread.
    fn reaches(&mut self, axis: usize, at: &Affine, n: usize, end: End) {
        if axis > 0 && (axis > 1 || self.grid.len() < 3) {
            return;
        }
        let distance = at.plus(&Affine::axis(axis, self.grid.len()).scaled(-1, 0));
        let (mut least, mut greatest) = distance.range(&self.low, &self.high);
        let (n, half) = (n as isize, n as isize / 2);
        let (first, last) = at.range(&self.low, &self.high);
        let mut around = end == End::Around && (first < 0 || last >= n);
        if end == End::Around && least > half {
            (least, greatest, around) = (least - n, greatest - n, true);
            self.extent.across |= axis == 0;
        } else if end == End::Around && greatest < -half {
            (least, greatest, around) = (least + n, greatest + n, true);
            self.extent.across |= axis == 0;
        }
        let reach = least.unsigned_abs().max(greatest.unsigned_abs());
        self.extent.reach[axis] = self.extent.reach[axis].max(reach);
        self.extent.periodic[axis] |= around;
    }

    fn address(&self, field: &Field, index: &[Affine]) -> Affine {
        let mut sum = Affine::constant(field.origin() as isize, self.grid.len());
        for (i, &s) in index.iter().zip(&field.strides) {
            sum = sum.plus(&i.scaled(s as isize, 0));
        }
        sum
    }

    /// The index brought into `0..n`, as the axis goes around.
    fn inside(&self, i: &Affine, n: usize) -> Result<Affine, Stop> {
        let mut i = i.clone();
        let n = n as isize;
        loop {
            if self.below(&i, 0)? {
                i.offset += n;
            } else if !self.below(&i, n)? {
                i.offset -= n;
            } else {
                return Ok(i);
            }
        }
    }

    fn below(&self, i: &Affine, bound: isize) -> Result<bool, Stop> {
        Ok(side(&self.low, &self.high, i, bound)?)
    }
}

/// Along one loop, one element an iteration.
fn plain(i: &Affine) -> bool {
    i.steps.iter().filter(|s| **s != 0).count() == 1 && i.steps.contains(&1)
}
