//! Transforms back, kernels at the points and transforms forward as one step: the numbers at the points, of which there may be many
//! arrays, never leave the nearest cache. A step of a run has one transform forward, the step back of its derivative several.

use super::buffer::{View, ViewMut};
use super::fourier::{AtPoints, Fourier};
use super::kernel::{self, Kernel, Pointers};
use super::lower::Kind;
use super::{Context, Place, Root, Step};
use crate::backend::plan::Demand;

/// Arguments are those of the transforms back, then what else each kernel reads.
pub struct Through {
    /// The transforms back, and how many arguments each has.
    back: Vec<(Fourier, usize)>,
    middle: Vec<Middle>,
    /// The transforms forward, and where their arguments lie; the results of the kernels, which they take in order, have no place.
    forward: Vec<(Fourier, Vec<Option<usize>>)>,
}

struct Middle {
    kernel: Kernel,
    /// What each of its buffers but the last one, its result, holds.
    buffers: Vec<Origin>,
}

#[derive(Clone, Copy)]
enum Origin {
    /// Result of this transform back.
    Back(usize),
    /// Another argument of the step.
    Argument(usize),
}

/// Numbers that are transformed.
pub trait Number: Copy + Send + Sync + 'static {
    fn of<'a>(view: &View<'a>) -> &'a [Self];
    fn of_mut<'a>(view: ViewMut<'a>) -> &'a mut [Self];
    fn through(
        t: &Fourier,
        context: &Context,
        back: &[(&Fourier, Vec<&[Self]>)],
        f: &AtPoints<Self>,
        forward: &[(&Fourier, Vec<&[Self]>)],
        y: &mut [&mut [Self]],
    );
}

impl Through {
    /// `outs`: of each transform forward.
    pub fn run<T: Number>(&self, context: &Context, args: &[View], outs: Vec<ViewMut>) {
        let mut rest = args;
        let mut back: Vec<(&Fourier, Vec<&[T]>)> = Vec::with_capacity(self.back.len());
        for (transform, count) in &self.back {
            let (own, behind) = rest.split_at(*count);
            back.push((transform, own.iter().map(T::of).collect()));
            rest = behind;
        }
        // Pointers travel as numbers: what they point to is shared as the kernels say.
        let given: Vec<usize> = args.iter().map(|a| kernel::pointer(a) as usize).collect();
        let place = |at: &Option<usize>| at.map_or(&[][..], |k| T::of(&args[k]));
        let forward: Vec<(&Fourier, Vec<&[T]>)> =
            self.forward.iter().map(|(t, places)| (t, places.iter().map(place).collect())).collect();
        let transform = &self.forward[0].0;
        let rows = transform.rows();
        let n = transform.points() / rows;
        let at_points = |k: usize, (first, count): (usize, usize), blocks: &[*mut T], result: *mut T| {
            let Middle { kernel, buffers } = &self.middle[k];
            let place = |origin: &Origin| match *origin {
                Origin::Back(k) => blocks[k].wrapping_sub(first * n).cast(),
                Origin::Argument(k) => given[k] as *mut u8,
            };
            let mut pointers: Vec<*mut u8> = buffers.iter().map(place).collect();
            pointers.push(result.wrapping_sub(first * n).cast());
            kernel.run_rows(&Pointers(&pointers), first, count, rows);
        };
        let mut y: Vec<&mut [T]> = outs.into_iter().map(T::of_mut).collect();
        T::through(transform, context, &back, &at_points, &forward, &mut y);
    }

    pub fn kernels(&mut self) -> impl Iterator<Item = &mut Kernel> {
        self.middle.iter_mut().map(|m| &mut m.kernel)
    }
}

impl Number for f64 {
    fn of<'a>(view: &View<'a>) -> &'a [f64] {
        match view {
            View::F64(x) => x,
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }
    fn of_mut<'a>(view: ViewMut<'a>) -> &'a mut [f64] {
        match view {
            ViewMut::F64(x) => x,
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }
    fn through(
        t: &Fourier,
        context: &Context,
        back: &[(&Fourier, Vec<&[f64]>)],
        f: &AtPoints<f64>,
        forward: &[(&Fourier, Vec<&[f64]>)],
        y: &mut [&mut [f64]],
    ) {
        t.through64(context, back, f, forward, y)
    }
}

impl Number for f32 {
    fn of<'a>(view: &View<'a>) -> &'a [f32] {
        match view {
            View::F32(x) => x,
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }
    fn of_mut<'a>(view: ViewMut<'a>) -> &'a mut [f32] {
        match view {
            ViewMut::F32(x) => x,
            _ => unreachable!("compiler bug: a transform of another precision"),
        }
    }
    fn through(
        t: &Fourier,
        context: &Context,
        back: &[(&Fourier, Vec<&[f32]>)],
        f: &AtPoints<f32>,
        forward: &[(&Fourier, Vec<&[f32]>)],
        y: &mut [&mut [f32]],
    ) {
        t.through32(context, back, f, forward, y)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::native::lower::lower;
    use crate::backend::native::{Native, kernel};
    use crate::ir::eval::eval;
    use crate::ir::{Builder, DType, Func, Op, Tensor, Type, Value};

    /// Numbers of these types, all of one precision.
    fn numbers(types: &[Type]) -> Vec<Tensor> {
        let of = |(k, t): (usize, &Type)| {
            let data = (0..t.len()).map(|i| ((i * 7919 + 31 * k) % 1009) as f64 / 1009.0 - 0.5);
            match t.dtype {
                DType::F32 => Tensor::f32(t.shape.clone(), data.map(|x| x as f32).collect::<Vec<_>>()),
                _ => Tensor::f64(t.shape.clone(), data.collect::<Vec<_>>()),
            }
        };
        types.iter().enumerate().map(of).collect()
    }

    /// `F(F⁻¹(i k z) · F⁻¹(s m z) + g)` with k along one axis, m along all modes and s along the last axis.
    fn product(shape: &[usize], dtype: DType) -> (Func, Vec<Tensor>) {
        let (rank, n) = (shape.len(), shape[shape.len() - 1]);
        let mut modes = shape.to_vec();
        modes[rank - 1] = n / 2 + 1;
        let spectrum = [&[2], &modes[..]].concat();
        let types = [spectrum.clone(), vec![modes[rank - 2]], modes.clone(), vec![n / 2 + 1], shape.to_vec()];
        let types: Vec<Type> = types.into_iter().map(|s| Type::new(dtype, s)).collect();
        let mut b = Builder::new("product");
        let inputs: Vec<Value> = types.iter().map(|t| b.input(t.clone())).collect();
        let &[z, k, m, s, g] = &inputs[..] else { unreachable!("five") };
        let along = |b: &mut Builder, v: Value, shape: &[usize], axes: &[usize]| {
            b.op(Op::Broadcast { shape: shape.to_vec(), axes: axes.to_vec() }, &[v])
        };
        let k = along(&mut b, k, &modes, &[rank - 2]);
        let (x, y) = (b.index(z, 0, 0), b.index(z, 0, 1));
        let (ky, kx) = (b.mul(k, y), b.mul(k, x));
        let minus = b.neg(ky);
        let turned = b.stack(&[minus, kx], 0);
        let first = b.op(Op::Irfft { rank, n }, &[turned]);
        let axes: Vec<usize> = (1..=rank).collect();
        let m = along(&mut b, m, &spectrum, &axes);
        let s = along(&mut b, s, &spectrum, &[rank]);
        let scaled = b.mul(m, z);
        let scaled = b.mul(scaled, s);
        let second = b.op(Op::Irfft { rank, n }, &[scaled]);
        let both = b.mul(first, second);
        let sum = b.add(both, g);
        let out = b.op(Op::Rfft { rank }, &[sum]);
        let f = b.finish(vec![out]);
        (f, numbers(&types))
    }

    /// Rows that do not fill the last block, three axes, both precisions; the same bits with more threads.
    #[test]
    fn products_of_transforms_are_what_the_interpreter_says() {
        for (shape, dtype, tolerance) in [
            (vec![40, 36], DType::F64, 1e-12),
            (vec![128, 96], DType::F64, 1e-12),
            (vec![6, 9, 45], DType::F64, 1e-12),
            (vec![40, 64], DType::F32, 1e-4),
        ] {
            let (f, inputs) = product(&shape, dtype);
            let wanted = eval(&f, &inputs).unwrap().swap_remove(0).to_f64().to_vec();
            let run = |threads| Native::compile(&f, threads).unwrap().run(&inputs, None).unwrap().swap_remove(0);
            let (one, two) = (run(1).to_f64().to_vec(), run(2).to_f64().to_vec());
            assert_eq!(one, two, "{shape:?} {dtype:?}");
            let scale = wanted.iter().map(|x| x.abs()).fold(0.0, f64::max);
            let worst = wanted.iter().zip(&one).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < tolerance * scale, "{shape:?} {dtype:?}: {worst:e} of {scale:e}");
        }
    }

    /// `i k F(F⁻¹(z) F⁻¹(m z)) - m F(F⁻¹(z)²)`, k along one axis and m along all, as the sum of two transforms or with each of them apart.
    fn divergence(shape: &[usize], dtype: DType, apart: bool) -> (Func, Vec<Tensor>) {
        let (rank, n) = (shape.len(), shape[shape.len() - 1]);
        let mut modes = shape.to_vec();
        modes[rank - 1] = n / 2 + 1;
        let spectrum = [&[2], &modes[..]].concat();
        let types = [spectrum.clone(), vec![modes[rank - 2]], modes.clone()].map(|s| Type::new(dtype, s));
        let mut b = Builder::new("divergence");
        let [z, k, m] = [0, 1, 2].map(|i| b.input(types[i].clone()));
        let k = b.op(Op::Broadcast { shape: modes.clone(), axes: vec![rank - 2] }, &[k]);
        let m = b.op(Op::Broadcast { shape: spectrum.clone(), axes: (1..=rank).collect() }, &[m]);
        let scaled = b.mul(m, z);
        let [u, v] = [z, scaled].map(|z| b.op(Op::Irfft { rank, n }, &[z]));
        let [first, second] = [b.mul(u, v), b.mul(u, u)].map(|p| b.op(Op::Rfft { rank }, &[p]));
        let (x, y) = (b.index(first, 0, 0), b.index(first, 0, 1));
        let (re, im) = (b.mul(k, y), b.mul(k, x));
        let re = b.neg(re);
        let turned = b.stack(&[re, im], 0);
        let other = b.mul(second, m);
        let sum = b.sub(turned, other);
        let f = b.finish(if apart { vec![sum, first] } else { vec![sum] });
        (f, numbers(&types))
    }

    #[test]
    fn sums_of_transforms_are_what_the_interpreter_says() {
        for (shape, dtype, tolerance) in [
            (vec![40, 36], DType::F64, 1e-12),
            (vec![128, 96], DType::F64, 1e-12),
            (vec![6, 9, 45], DType::F64, 1e-12),
            (vec![40, 64], DType::F32, 1e-4),
        ] {
            for apart in [false, true] {
                let (f, inputs) = divergence(&shape, dtype, apart);
                let wanted = eval(&f, &inputs).unwrap();
                let run = |threads| Native::compile(&f, threads).unwrap().run(&inputs, None).unwrap();
                let (one, two) = (run(1), run(2));
                for ((wanted, one), two) in wanted.iter().zip(&one).zip(&two) {
                    assert_eq!(one.to_f64(), two.to_f64(), "{shape:?} {dtype:?}");
                    let scale = wanted.to_f64().iter().map(|x| x.abs()).fold(0.0, f64::max);
                    let differ = |(a, b): (&f64, &f64)| (a - b).abs();
                    let worst = wanted.to_f64().iter().zip(one.to_f64().iter()).map(differ).fold(0.0, f64::max);
                    assert!(worst < tolerance * scale, "{shape:?} {dtype:?}: {worst:e} of {scale:e}");
                }
            }
        }
    }

    /// All of it is one step where nobody reads a transform apart, and a sum of arrays that no transform makes is one as well.
    #[test]
    fn sums_of_transforms_are_one_step() {
        if !crate::backend::native::fourier::takes_factors(&[40, 36], 2, DType::F64, 2) || !kernel::available() {
            return;
        }
        let program = lower(&divergence(&[40, 36], DType::F64, false).0, 1).unwrap();
        let one = |s: &Step| matches!(&s.kind, Kind::Through(t) if t.middle.len() == 2 && t.forward.len() == 1);
        assert!(matches!(&program.steps[..], [s] if one(s)), "{} steps", program.steps.len());
        let mut b = Builder::new("of numbers");
        let [u, v] = [0, 1].map(|_| b.input(Type::f64([40, 36])));
        let [u, v] = [u, v].map(|u| b.op(Op::Rfft { rank: 2 }, &[u]));
        let difference = b.sub(u, v);
        let f = b.finish(vec![difference]);
        assert!(matches!(&lower(&f, 1).unwrap().steps[..], [s] if matches!(s.kind, Kind::Fourier(_))));
        let inputs =
            [3, 5].map(|k| Tensor::f64([40, 36], (0..1440).map(|i| ((i * k) % 101) as f64).collect::<Vec<_>>()));
        let (wanted, got) = (eval(&f, &inputs).unwrap(), Native::compile(&f, 2).unwrap().run(&inputs, None).unwrap());
        for (a, b) in wanted[0].to_f64().iter().zip(got[0].to_f64().iter()) {
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
    }

    #[test]
    fn products_of_transforms_are_one_step() {
        if !crate::backend::native::fourier::takes_factors(&[40, 36], 2, DType::F64, 2) || !kernel::available() {
            return;
        }
        let (f, _) = product(&[40, 36], DType::F64);
        let program = lower(&f, 1).unwrap();
        let joined = |s: &Step| matches!(&s.kind, Kind::Through(t) if t.back.iter().map(|b| b.1).eq([2, 3]) && t.forward.len() == 1);
        assert!(matches!(&program.steps[..], [one] if joined(one)), "{} steps", program.steps.len());
    }
}
