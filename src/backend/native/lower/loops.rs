//! What becomes of a loop: stencil steps through the cache, the two loops of a gradient together, or step by step.

use super::super::blocked::segments::{Dims, Loops, Marking};
use super::super::blocked::{Blocked, Marked, Pair, Replayed};
use super::super::retraced::{self, Retraced};
use super::super::{Place, Root};
use super::{Home, Kind, Lowering};
use crate::ir::{Fault, Func, Node, Op, Type, Value};
use std::sync::Arc;

/// The loop back that belongs to a loop forwards.
pub enum Behind {
    Pair(Arc<Pair>),
    /// With the places of where the loop forwards begins.
    Retraced(Arc<Retraced>, Vec<Place>),
}

impl Lowering<'_> {
    pub(super) fn scan(&mut self, v: Value, node: &Node, body: &Arc<Func>, dims: Dims) -> Result<(), Fault> {
        let (length, carry, xs, reverse) = dims;
        if let Some(k) = self.behind.iter().position(|(behind, _)| *behind == v) {
            match self.behind.swap_remove(k).1 {
                Behind::Pair(pair) => {
                    let marks = pair.overwritten();
                    self.overwriting(v, node, Kind::Behind(pair), marks, Default::default());
                }
                Behind::Retraced(loops, start) => {
                    let given = node.args[..carry].iter().all(|a| self.is_last_of(*a));
                    let (marks, more) = (loops.overwritten(given), loops.cotangents(given).to_vec());
                    self.overwriting(v, node, Kind::Retraced(loops), marks, (start, more));
                }
            }
            return Ok(());
        }
        let args: Vec<Place> = node.args.iter().map(|a| self.places[a.index()][0]).collect();
        let mut types = node.types.clone();
        let kind = if let Some(blocked) = Blocked::new(body, dims, self.threads)? {
            Kind::Blocked(blocked)
        } else if let Some((behind, pair)) = self.pair(v, body, dims)? {
            types[carry..].iter_mut().for_each(|t| *t = pair.marks(t));
            self.behind.push((behind, Behind::Pair(pair.clone())));
            Kind::Ahead(pair)
        } else if let Some(marked) = Marked::new(body, dims, self.threads)? {
            Kind::Marked(marked)
        } else if xs > 0
            && self.nobody_else_reads(&node.args[carry..carry + xs])
            && let Some(loops) = Loops::of(body, dims)
            && let Some(replayed) = Replayed::new(&loops, self.threads)?
        {
            let marks = replayed.marks();
            self.overwriting(v, node, Kind::Replayed(replayed), marks, Default::default());
            return Ok(());
        } else if let Some((behind, loops)) = self.retraced(v, body, dims)? {
            types[carry..].iter_mut().for_each(|t| *t = loops.places(t));
            self.behind.push((behind, Behind::Retraced(loops.clone(), args[..carry].to_vec())));
            Kind::Traced(loops)
        } else {
            Kind::Scan { body: self.body(body, self.threads)?, length, carry, xs, reverse }
        };
        self.places[v.index()] = self.step(kind, args, &types);
        Ok(())
    }

    /// The loop back over the states that this one leaves, and both together.
    fn pair(&self, v: Value, body: &Func, dims: Dims) -> Result<Option<(Value, Arc<Pair>)>, Fault> {
        let Some(ahead) = Marking::of(body, dims) else { return Ok(None) };
        let Some((behind, loops)) = self.reader(v, dims.1..body.outputs.len()) else { return Ok(None) };
        Ok(Pair::new(ahead, &loops, self.threads)?.map(|pair| (behind, Arc::new(pair))))
    }

    /// The same of any steps.
    fn retraced(&mut self, v: Value, body: &Func, dims: Dims) -> Result<Option<(Value, Arc<Retraced>)>, Fault> {
        let Some(ahead) = Marking::of(body, dims) else { return Ok(None) };
        let Some((behind, loops)) = self.reader(v, dims.1..body.outputs.len()) else { return Ok(None) };
        if !retraced::is_pair(&ahead, &loops) {
            return Ok(None);
        }
        let steps = self.body(&ahead.step, self.threads)?;
        let back = self.body(&loops.back, self.threads)?;
        Ok(Some((behind, Arc::new(Retraced::new(ahead, loops, steps, back)))))
    }

    /// The only loop that reads these results of one, all of them, step by step.
    fn reader(&self, v: Value, rows: std::ops::Range<usize>) -> Option<(Value, Loops)> {
        let reads = |a: Value| self.f.values().filter(move |(_, n)| n.args.contains(&a));
        let row = |r: usize| reads(v).find(|(_, n)| n.op == Op::Get(r)).map(|(v, _)| v);
        let rows: Vec<Value> = rows.map(row).collect::<Option<_>>()?;
        let mut readers = reads(*rows.first()?);
        let (Some((behind, node)), None) = (readers.next(), readers.next()) else { return None };
        let Op::Scan { body, length, carry, xs, reverse } = &node.op else { return None };
        let live = self.homes[behind.index()] != Home::Dead;
        let alone = live && rows.iter().all(|r| reads(*r).count() == 1 && !self.f.outputs.contains(r));
        if !alone || node.args[*carry..carry + xs] != rows {
            return None;
        }
        Some((behind, Loops::of(body, (*length, *carry, *xs, *reverse))?))
    }

    /// Whether this is all of something that was made, and nobody else reads any of it.
    fn is_last_of(&self, mut v: Value) -> bool {
        let place = self.places[v.index()].first();
        let whole = place.is_some_and(|p| matches!(p.root, Root::Slot(m) if p.start == 0 && p.len == self.made[m].len));
        let alone = |v: Value| {
            self.f.nodes.iter().flat_map(|n| &n.args).chain(&self.f.outputs).filter(|a| **a == v).count() == 1
        };
        while alone(v) {
            match &self.f.node(v).op {
                // The result may be the argument itself.
                Op::Reshape(_) | Op::Slice { .. } | Op::Broadcast { .. } | Op::Transpose(_) | Op::Cast(_) => {
                    v = self.f.node(v).args[0]
                }
                op => return whole && !matches!(op, Op::Get(_)),
            }
        }
        false
    }

    /// Whether these are whole results of loops, each read once.
    fn nobody_else_reads(&self, args: &[Value]) -> bool {
        args.iter().all(|a| {
            let reads = self.f.nodes.iter().flat_map(|n| &n.args).chain(&self.f.outputs).filter(|v| *v == a).count();
            let place = self.places[a.index()].first();
            let whole = |p: &Place| matches!(p.root, Root::Slot(m) if p.start == 0 && p.len == self.made[m].len);
            reads == 1 && matches!(self.f.node(*a).op, Op::Get(_)) && place.is_some_and(whole)
        })
    }

    /// A step that overwrites some of its arguments: they are results besides. It has more arguments than the node, and more results.
    fn overwriting(
        &mut self,
        v: Value,
        node: &Node,
        kind: Kind,
        marks: std::ops::Range<usize>,
        (args, types): (Vec<Place>, Vec<Type>),
    ) {
        let types = [&node.types[..], &types[..]].concat();
        let mut args: Vec<Place> = node.args.iter().map(|a| self.places[a.index()][0]).chain(args).collect();
        let overwritten: Vec<(Root, usize)> = args[marks.clone()].iter().map(|p| (p.root, p.len)).collect();
        args[marks].iter_mut().for_each(|p| p.len = 0);
        self.places[v.index()] = self.step(kind, args, &types);
        self.steps.last_mut().expect("just made").results.extend(overwritten);
    }
}
