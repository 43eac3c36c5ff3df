//! Stencils of many points in kernels of few boxes: a sum of shifted fields is made in stages, so that the loops of each are cut at
//! the borders of few shifts. Else every shifted field would be a whole copy.

use super::fuse::MOST_NESTS;
use crate::ir::{Func, Node, Op, Value};
use std::collections::BTreeSet;

/// Indices of axes at which the loops of a kernel are cut.
type Cuts = BTreeSet<(usize, usize)>;

/// The pointwise values that are to be computed by kernels of their own, so that no kernel has too many boxes, as far as that can be
/// seen from the shifts that it reads. None where that changes nothing.
pub fn apart(f: &Func, live: &[bool]) -> Option<Vec<bool>> {
    let mut apart = vec![false; f.nodes.len()];
    let mut cuts: Vec<Cuts> = Vec::with_capacity(f.nodes.len());
    for (v, node) in f.values() {
        let mut own = met(f, node, &cuts);
        while live[v.index()] && boxes(&own) > MOST_NESTS {
            let inside = |a: &&Value| is_pointwise(&f.node(**a).op) && !cuts[a.index()].is_empty();
            let Some(largest) = node.args.iter().filter(inside).max_by_key(|a| boxes(&cuts[a.index()])) else { break };
            apart[largest.index()] = true;
            cuts[largest.index()].clear();
            own = met(f, node, &cuts);
        }
        cuts.push(own);
    }
    apart.contains(&true).then_some(apart)
}

/// Where the loops that compute a node are cut, if its arguments are computed in them.
fn met(f: &Func, node: &Node, cuts: &[Cuts]) -> Cuts {
    let mut own = Cuts::new();
    match &node.op {
        op if is_pointwise(op) => node.args.iter().for_each(|a| own.extend(&cuts[a.index()])),
        Op::Roll { axis, shift } => {
            let n = f.ty(node.args[0]).shape[*axis];
            let moved = shift.rem_euclid(n.max(1) as isize) as usize;
            own.extend(
                cuts[node.args[0].index()]
                    .iter()
                    .map(|(a, at)| if a == axis { (*a, (at + moved) % n.max(1)) } else { (*a, *at) }),
            );
            own.extend((moved > 0).then_some((*axis, moved)));
        }
        Op::Pad { low, .. } => {
            own.extend(cuts[node.args[0].index()].iter().map(|(a, at)| (*a, at + low[*a])));
            for (axis, (low, n)) in low.iter().zip(&f.ty(node.args[0]).shape).enumerate() {
                let inside = |at: &usize| (1..node.types[0].shape[axis]).contains(at);
                own.extend([*low, low + n].into_iter().filter(inside).map(|at| (axis, at)));
            }
        }
        _ => {}
    }
    own
}

fn is_pointwise(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select)
}

/// Boxes between the cuts.
fn boxes(cuts: &Cuts) -> usize {
    let axes: BTreeSet<usize> = cuts.iter().map(|c| c.0).collect();
    axes.into_iter().map(|axis| 1 + cuts.iter().filter(|c| c.0 == axis).count()).product()
}
