//! Which steps become one: transforms back, kernels that alone read them, and transforms of their results.

use super::super::lower::Kind;
use super::super::{Place, Root, Step};
use super::{Middle, Origin, Through};
use crate::backend::plan::Demand;

/// Joins transforms whose numbers only kernels read, these kernels, and the transforms of their results. `is_output`: of what is
/// made. Times of what is made are those in the new order.
pub fn join(mut steps: Vec<Step>, made: &mut [Demand], is_output: &dyn Fn(usize) -> bool) -> Vec<Step> {
    while let Some(group) = (Chains { steps: &steps, made, is_output }).group() {
        steps = joined(steps, &group);
    }
    let mut there = vec![false; made.len()];
    for (at, step) in steps.iter().enumerate() {
        for root in step.results.iter().map(|r| r.0).chain(step.args.iter().map(|a| a.root)) {
            if let Root::Slot(m) = root {
                if !there[m] {
                    (there[m], made[m].made) = (true, at);
                }
                made[m].last = at;
            }
        }
    }
    // What is made within a step needs no memory.
    for m in (0..made.len()).filter(|m| !there[*m]) {
        made[m] = Demand { len: 0, made: 0, last: 0, ..made[m] };
    }
    steps
}

/// A transform forward, the kernels before it, and the transforms back before those, by their steps, with the kernels that read them
/// and the buffers of their results.
#[derive(Clone)]
struct Chain {
    forward: usize,
    kernels: Vec<usize>,
    back: Vec<(usize, usize, usize)>,
}

struct Chains<'a> {
    steps: &'a [Step],
    made: &'a [Demand],
    is_output: &'a dyn Fn(usize) -> bool,
}

impl Chains<'_> {
    /// Chains that share transforms back which nobody else reads, as many as can be one step.
    fn group(&self) -> Option<Vec<Chain>> {
        let mut chains: Vec<Chain> = (0..self.steps.len()).filter_map(|at| self.chain(at)).collect();
        self.prune(&mut chains);
        let shares = |a: &Chain, b: &Chain| a.back.iter().any(|x| b.back.iter().any(|y| x.0 == y.0));
        let mut group: Vec<Chain> = vec![chains.first()?.clone()];
        loop {
            let is_in = |c: &Chain| group.iter().any(|g| g.forward == c.forward);
            let near = |c: &&Chain| !is_in(c) && group.iter().any(|g| shares(g, c));
            let Some(next) = chains.iter().find(near).cloned() else { break };
            group.push(next);
        }
        group.sort_by_key(|c| c.forward);
        while group.len() > 1 && !self.can_be_one(&group) {
            group.pop();
            self.prune(&mut group);
        }
        (!group.is_empty()).then_some(group)
    }

    fn chain(&self, at: usize) -> Option<Chain> {
        let Kind::Fourier(forward) = &self.steps[at].kind else { return None };
        let mut chain = Chain { forward: at, kernels: vec![], back: vec![] };
        for number in forward.numbers() {
            let kernel = self.maker(self.steps[at].args.get(number)?).filter(|k| !chain.kernels.contains(k))?;
            let middle = &self.steps[kernel];
            let Kind::Kernel(k) = &middle.kind else { return None };
            let whole = |buffer: usize| k.has_rows(forward.rows(), std::iter::once(buffer));
            let fits = middle.results.len() == 1 && whole(middle.args.len());
            if !fits || !self.readers(middle.results[0].0).eq([at]) {
                return None;
            }
            for buffer in 0..middle.args.len() {
                let maker = self.maker(&middle.args[buffer]);
                let follows = |m: &usize| matches!(&self.steps[*m].kind, Kind::Fourier(t) if forward.follows(t));
                let maker = maker.filter(follows).filter(|_| whole(buffer));
                chain.back.extend(maker.map(|m| (m, kernel, buffer)));
            }
            chain.kernels.push(kernel);
        }
        (!chain.back.is_empty()).then_some(chain)
    }

    /// Leaves only transforms back that no others read than kernels of these chains.
    fn prune(&self, chains: &mut Vec<Chain>) {
        loop {
            let own: Vec<usize> = chains.iter().flat_map(|c| c.kernels.clone()).collect();
            let ours = |back: usize| self.readers(self.steps[back].results[0].0).all(|r| own.contains(&r));
            let mut changed = false;
            for chain in chains.iter_mut() {
                let before = chain.back.len();
                chain.back.retain(|b| ours(b.0));
                changed |= chain.back.len() < before;
            }
            chains.retain(|c| !c.back.is_empty());
            if !changed {
                return;
            }
        }
    }

    /// The step that makes all of an argument, which is no result of the whole.
    fn maker(&self, p: &Place) -> Option<usize> {
        let Root::Slot(m) = p.root else { return None };
        let whole = p.start == 0 && p.len == self.made[m].len && !(self.is_output)(m);
        let makes = |s: &Step| s.results.iter().any(|r| r.0 == p.root);
        whole.then(|| self.steps.iter().position(makes)).flatten()
    }

    fn readers(&self, root: Root) -> impl Iterator<Item = usize> {
        (0..self.steps.len()).filter(move |k| self.steps[*k].args.iter().any(|a| a.root == root))
    }

    /// Whether nothing that these steps read comes of what they make.
    fn can_be_one(&self, group: &[Chain]) -> bool {
        let members = members(group);
        let late = late(self.steps, &members);
        !members.iter().any(|m| late[*m] && self.reads(*m, |k| late[k] && !members.contains(&k)))
    }

    fn reads(&self, step: usize, of: impl Fn(usize) -> bool) -> bool {
        let makes = |root: Root| (0..step).any(|k| of(k) && self.steps[k].results.iter().any(|r| r.0 == root));
        self.steps[step].args.iter().any(|a| makes(a.root))
    }
}

fn members(group: &[Chain]) -> Vec<usize> {
    let of = |c: &Chain| c.back.iter().map(|b| b.0).chain(c.kernels.clone()).chain([c.forward]).collect::<Vec<_>>();
    let mut members: Vec<usize> = group.iter().flat_map(of).collect();
    members.sort_unstable();
    members.dedup();
    members
}

/// These steps, and those that read what they make, directly or not.
fn late(steps: &[Step], members: &[usize]) -> Vec<bool> {
    let mut late = vec![false; steps.len()];
    let mut roots: Vec<Root> = vec![];
    for (k, step) in steps.iter().enumerate() {
        late[k] = members.contains(&k) || step.args.iter().any(|a| roots.contains(&a.root));
        if late[k] {
            roots.extend(step.results.iter().map(|r| r.0));
        }
    }
    late
}

/// The steps with these as one, where the last of them was; what reads its results comes behind it.
fn joined(steps: Vec<Step>, group: &[Chain]) -> Vec<Step> {
    let members = members(group);
    let last = members[members.len() - 1];
    let late = late(&steps, &members);
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    let mut take = |k: usize| steps[k].take().expect("compiler bug: a step that is gone");
    let mut back: Vec<usize> = group.iter().flat_map(|c| c.back.iter().map(|b| b.0)).collect();
    back.sort_unstable();
    back.dedup();
    let mut args = vec![];
    let mut transforms = vec![];
    for &k in &back {
        let step = take(k);
        let Kind::Fourier(t) = step.kind else { unreachable!("compiler bug: no transform") };
        transforms.push((t, step.args.len()));
        args.extend(step.args);
    }
    let (mut middle, mut forward, mut results) = (vec![], vec![], vec![]);
    for chain in group {
        for &k in &chain.kernels {
            let step = take(k);
            let mut origin =
                |(buffer, place): (usize, &Place)| match chain.back.iter().find(|b| (b.1, b.2) == (k, buffer)) {
                    Some(b) => Origin::Back(
                        back.iter().position(|k| *k == b.0).expect("compiler bug: a transform that is not there"),
                    ),
                    None => {
                        args.push(*place);
                        Origin::Argument(args.len() - 1)
                    }
                };
            let buffers = step.args.iter().enumerate().map(&mut origin).collect();
            let Kind::Kernel(kernel) = step.kind else { unreachable!("compiler bug: no kernel") };
            middle.push(Middle { kernel, buffers });
        }
        let end = take(chain.forward);
        let Kind::Fourier(transform) = end.kind else { unreachable!("compiler bug: no transform") };
        let numbers = transform.numbers();
        let place = |(k, place): (usize, &Place)| {
            (!numbers.contains(&k)).then(|| {
                args.push(*place);
                args.len() - 1
            })
        };
        let places = end.args.iter().enumerate().map(place).collect();
        forward.push((transform, places));
        results.extend(end.results);
    }
    let kind = Kind::Through(Through { back: transforms, middle, forward });
    let mut one = Some(Step { kind, args, results, last_of: vec![], freed: vec![] });
    let (mut order, mut behind) = (vec![], vec![]);
    for (k, step) in steps.into_iter().enumerate() {
        match step {
            Some(step) if k < last && late[k] => behind.push(step),
            Some(step) => order.push(step),
            None if k == last => {
                order.extend(one.take());
                order.append(&mut behind);
            }
            None => {}
        }
    }
    order
}
