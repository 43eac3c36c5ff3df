//! From nodes to steps. Reshapes, reads of results and slices of leading axes cost nothing: they are places in other buffers.

mod loops;

use super::blocked::{Blocked, Marked, Pair, Replayed};
use super::dot::Contraction;
use super::fourier::Fourier;
use super::fuse::{self, Borders, Home};
use super::indices::Inverse;
use super::kernel::{self, Compiler, Kernel};
use super::modal::{self, Found};
use super::movement::Strided;
use super::newton::System;
use super::repeats::elements_read;
use super::retraced::Retraced;
use super::scalar;
use super::spectra::Sums;
use super::stages;
use super::structured::Body;
use super::through::{self, Through};
use super::{Output, Place, Program, Root, Step};
use crate::backend::memo::Remembered;
use crate::backend::plan::{self, Demand};
use crate::ir::{Binary, Compare, Fault, Func, Node, Op, Reduce, Type, Unary, Value};
use crate::passes;
use std::sync::Arc;

/// What a step does with its arguments. Shapes are worked out here, not while it runs.
// A program has few steps.
#[allow(clippy::large_enum_variant)]
pub(super) enum Kind {
    Iota {
        shape: Vec<usize>,
        axis: usize,
    },
    Unary(Unary),
    Binary(Binary),
    Compare(Compare),
    Select,
    Cast,
    /// Transpose, broadcast, slice, reverse.
    Strided(Strided),
    Pad(Strided),
    /// Parts of rows.
    Concat {
        rows: usize,
    },
    Roll {
        n: usize,
        inner: usize,
        shift: isize,
    },
    /// `Rfft`, and `Irfft` with the factors of its modes.
    Fourier(Fourier),
    /// Transforms back, kernels and transforms.
    Through(Through),
    /// One middle axis vanishes.
    Reduce {
        kind: Reduce,
        outer: usize,
        n: usize,
        inner: usize,
    },
    Dot(Contraction),
    Gather {
        row: usize,
    },
    /// With the order in which a constant index visits the results.
    Scatter {
        row: usize,
        inverse: Option<Inverse>,
    },
    Map {
        body: Body,
        n: usize,
        mapped: Vec<bool>,
    },
    Scan {
        body: Body,
        length: usize,
        carry: usize,
        xs: usize,
        reverse: bool,
    },
    /// A scan of stencil steps.
    Blocked(Blocked),
    /// A scan of segments of them, and one back; of this the last results are arguments that it overwrites.
    Marked(Marked),
    Replayed(Replayed),
    /// The same two as one.
    Ahead(Arc<Pair>),
    Behind(Arc<Pair>),
    /// The same of any steps.
    Traced(Arc<Retraced>),
    Retraced(Arc<Retraced>),
    Cond {
        then: Body,
        otherwise: Body,
    },
    /// What is remembered of a body.
    Memo {
        body: Body,
        memo: Remembered,
    },
    Kernel(Kernel),
    Solve {
        system: usize,
    },
    LinearSolve {
        system: usize,
        transposed: bool,
    },
}

/// Compiles a function and its bodies.
/// Maps whose bodies are neither single kernels nor must run item by item become operations on all items at once.
pub(super) fn flattened(f: &Func) -> Func {
    /// Elements of all intermediate results, at most.
    const MOST: usize = 1 << 26;
    let elements = |body: &Func| body.nodes.iter().flat_map(|n| &n.types).map(Type::len).sum::<usize>();
    passes::flatten(f, &|body, n| !scalar::is_kernel(body) && n * elements(body) <= MOST)
}

/// `threads`: as many may work on one step.
pub(super) fn lower(f: &Func, threads: usize) -> Result<Program, Fault> {
    // Loops are cut at borders as often as fits; where that is too often, in stages, or else borders are steps of their own.
    let live = live(f);
    if let Some(program) = lower_with(f, &live, threads, Borders::Cut)? {
        return Ok(program);
    }
    let apart = stages::apart(f, &live);
    if let Some(apart) = apart
        && let Some(program) = lower_with(f, &live, threads, Borders::Apart(&apart))?
    {
        return Ok(program);
    }
    Ok(lower_with(f, &live, threads, Borders::Steps)?.expect("compiler bug: a kernel of too many parts"))
}

fn lower_with(f: &Func, live: &[bool], threads: usize, borders: Borders) -> Result<Option<Program>, Fault> {
    let mut sums = Sums::of(f, live);
    let homes = if kernel::available() {
        fuse::homes(f, live, &sums, borders)
    } else {
        sums.sums.clear();
        live.iter().map(|&l| if l { Home::Step } else { Home::Dead }).collect()
    };
    let mut l = Lowering {
        f,
        threads,
        places: vec![vec![]; f.nodes.len()],
        constants: vec![],
        steps: vec![],
        made: vec![],
        bodies: 0,
        systems: vec![],
        behind: vec![],
        sums,
        homes,
        compiler: None,
    };
    for (v, node) in f.values() {
        match l.homes[v.index()] {
            Home::Dead | Home::Inlined => {}
            Home::Step => l.node(v, node)?,
            Home::Kernel => {
                if !l.kernel(v, node)? {
                    return Ok(None);
                }
            }
        }
    }
    l.finish().map(Some)
}

/// Nodes that some output needs.
fn live(f: &Func) -> Vec<bool> {
    let mut live = vec![false; f.nodes.len()];
    f.outputs.iter().for_each(|v| live[v.index()] = true);
    for (v, node) in f.values().collect::<Vec<_>>().into_iter().rev() {
        if live[v.index()] {
            node.args.iter().for_each(|a| live[a.index()] = true);
        }
    }
    live
}

struct Lowering<'a> {
    f: &'a Func,
    threads: usize,
    /// Of each result of each node. `Root::Slot(k)` stands for the k-th made result until slots are assigned.
    places: Vec<Vec<Place>>,
    constants: Vec<crate::ir::Tensor>,
    steps: Vec<Step>,
    made: Vec<Demand>,
    bodies: usize,
    systems: Vec<System>,
    /// Loops back of which the loop forwards is done.
    behind: Vec<(Value, loops::Behind)>,
    sums: Sums,
    homes: Vec<Home>,
    compiler: Option<Compiler>,
}

impl Lowering<'_> {
    fn node(&mut self, v: Value, node: &Node) -> Result<(), Fault> {
        let arg = |l: &Self, k: usize| l.places[node.args[k].index()][0];
        let shape = |k: usize| self.f.ty(node.args[k]).shape.as_slice();
        let to = node.types[0].shape.as_slice();
        let len = node.types[0].len();
        if let Some(sum) = self.sums.at(v) {
            let numbers = self.f.ty(sum.terms[0].base);
            let place = |a: &Value| self.places[a.index()][0];
            let args = sum.terms.iter().flat_map(|t| std::iter::once(&t.base).chain(&t.factors)).map(place).collect();
            let modal = sum.terms.iter().map(|t| t.modal.clone()).collect();
            let kind = Kind::Fourier(Fourier::summed(&numbers.shape, numbers.rank(), numbers.dtype, modal));
            self.places[v.index()] = self.step(kind, args, &node.types);
            return Ok(());
        }
        let kind = match &node.op {
            Op::Input(k) => return self.alias(v, Place { root: Root::Input(*k), start: 0, len }),
            Op::Const(t) => {
                self.constants.push(t.clone());
                return self.alias(v, Place { root: Root::Constant(self.constants.len() - 1), start: 0, len });
            }
            Op::Get(k) => return self.alias(v, self.places[node.args[0].index()][*k]),
            Op::Reshape(_) => return self.alias(v, arg(self, 0)),
            Op::Slice { start, end, stride } => {
                if let Some(first) = contiguous(shape(0), start, end, stride) {
                    let from = arg(self, 0);
                    return self.alias(v, Place { start: from.start + first, len, ..from });
                }
                Kind::Strided(Strided::slice(shape(0), to, start, stride))
            }
            Op::Broadcast { .. } | Op::Transpose(_) | Op::Cast(_)
                if len == self.f.ty(node.args[0]).len()
                    && self.f.ty(node.args[0]).dtype == node.types[0].dtype
                    && keeps_order(&node.op, shape(0)) =>
            {
                return self.alias(v, arg(self, 0));
            }
            Op::Iota { shape, axis, .. } => Kind::Iota { shape: shape.clone(), axis: *axis },
            Op::Unary(f) => Kind::Unary(*f),
            Op::Binary(f) => Kind::Binary(*f),
            Op::Compare(c) => Kind::Compare(*c),
            Op::Select => Kind::Select,
            Op::Cast(_) => Kind::Cast,
            Op::Transpose(perm) => Kind::Strided(Strided::transpose(shape(0), perm)),
            Op::Broadcast { shape: to, axes } => Kind::Strided(Strided::broadcast(shape(0), to, axes)),
            Op::Pad { low, interior, .. } => Kind::Pad(Strided::pad(shape(0), to, low, interior)),
            Op::Concat(axis) => Kind::Concat { rows: to[..*axis].iter().product() },
            Op::Reverse(axes) => Kind::Strided(Strided::reverse(shape(0), axes)),
            Op::Roll { axis, shift } => {
                Kind::Roll { n: to[*axis], inner: to[axis + 1..].iter().product(), shift: *shift }
            }
            Op::Rfft { rank } => Kind::Fourier(Fourier::forward(shape(0), *rank, node.types[0].dtype)),
            Op::Irfft { rank, .. } => match modal::found(self.f, node, |v| self.sums.at(v).is_some()) {
                None => Kind::Fourier(Fourier::backward(to, *rank, node.types[0].dtype)),
                Some(Found { base, factors, modal }) => {
                    let args = std::iter::once(base).chain(factors).map(|a| self.places[a.index()][0]).collect();
                    let kind = Kind::Fourier(Fourier::multiplied(to, *rank, node.types[0].dtype, modal));
                    self.places[v.index()] = self.step(kind, args, &node.types);
                    return Ok(());
                }
            },
            Op::Reduce { kind, axes } => return self.reduce(v, node, *kind, axes),
            Op::Dot(d) => Kind::Dot(Contraction::new(d, shape(0), shape(1))),
            Op::Gather => Kind::Gather { row: shape(0)[1..].iter().product() },
            Op::ScatterAdd { size } => {
                let row = to[1..].iter().product();
                let inverse = match &self.f.node(node.args[0]).op {
                    Op::Const(t) => t.as_index().map(|index| Inverse::new(index, *size)),
                    _ => None,
                };
                Kind::Scatter { row, inverse }
            }
            Op::Map { body, n, mapped } => Kind::Map { body: self.body(body, 1)?, n: *n, mapped: mapped.clone() },
            Op::Scan { body, length, carry, xs, reverse } => {
                return self.scan(v, node, body, (*length, *carry, *xs, *reverse));
            }
            Op::Cond { then, otherwise } => {
                Kind::Cond { then: self.body(then, self.threads)?, otherwise: self.body(otherwise, self.threads)? }
            }
            Op::Memo { body, spec } => {
                Kind::Memo { memo: Remembered::new(body, spec, "native"), body: self.body(body, self.threads)? }
            }
            Op::Solve { residual, spec } => Kind::Solve { system: self.system(residual, spec)? },
            Op::LinearSolve { residual, spec, transposed } => {
                Kind::LinearSolve { system: self.system(residual, spec)?, transposed: *transposed }
            }
        };
        let args = node.args.iter().map(|a| self.places[a.index()][0]).collect();
        self.places[v.index()] = self.step(kind, args, &node.types);
        Ok(())
    }

    /// A step of generated code; false where it would have too many parts.
    fn kernel(&mut self, v: Value, node: &Node) -> Result<bool, Fault> {
        let made = match &node.op {
            Op::Map { .. } => scalar::map(self.f, &self.homes, &self.places, v),
            _ => fuse::pointwise(self.f, &self.homes, &self.places, v),
        };
        let Some((nests, args)) = made else {
            return Ok(false);
        };
        if self.compiler.is_none() {
            self.compiler = Compiler::new();
        }
        let compiler = self.compiler.as_mut().expect("compiler bug: kernels without a compiler");
        let lengths: Vec<usize> = args.iter().map(|a| a.len).chain(node.types.iter().map(Type::len)).collect();
        // A transform may take the result as it is made.
        let transformed = |n: &Node| matches!(n.op, Op::Rfft { .. }) && n.args[0] == v;
        compiler.keeps_in_cache(self.f.nodes.iter().any(transformed));
        let kernel = compiler.compile(&nests, &lengths)?;
        self.places[v.index()] = self.step(Kind::Kernel(kernel), args, &node.types);
        Ok(true)
    }

    fn alias(&mut self, v: Value, place: Place) -> Result<(), Fault> {
        self.places[v.index()] = vec![place];
        Ok(())
    }

    fn step(&mut self, kind: Kind, args: Vec<Place>, types: &[Type]) -> Vec<Place> {
        let at = self.steps.len();
        for a in &args {
            if let Root::Slot(k) = a.root {
                self.made[k].last = at;
            }
        }
        let first = self.made.len();
        self.made.extend(types.iter().map(|t| Demand { dtype: t.dtype, len: t.len(), made: at, last: at }));
        let place = |(k, t): (usize, &Type)| Place { root: Root::Slot(first + k), start: 0, len: t.len() };
        let places: Vec<Place> = types.iter().enumerate().map(place).collect();
        self.steps.push(Step {
            kind,
            args,
            results: places.iter().map(|p| (p.root, p.len)).collect(),
            last_of: vec![],
            freed: vec![],
        });
        places
    }

    /// Runs of neighbouring axes at a time, the last first.
    fn reduce(&mut self, v: Value, node: &Node, kind: Reduce, axes: &[usize]) -> Result<(), Fault> {
        let from = self.f.ty(node.args[0]);
        let mut shape = from.shape.clone();
        let mut place = self.places[node.args[0].index()][0];
        let mut left = axes.to_vec();
        while let Some(&last) = left.last() {
            let mut first = last;
            left.pop();
            // Axes of extent 1 between two runs do not part them; nor does nothing at all.
            while left.last().is_some_and(|&a| a + 1 == first) {
                first = left.pop().expect("just looked at");
            }
            let outer = shape[..first].iter().product();
            let n = shape[first..=last].iter().product();
            let inner = shape[last + 1..].iter().product();
            shape.drain(first..=last);
            let ty = Type::new(from.dtype, shape.clone());
            place = self.step(Kind::Reduce { kind, outer, n, inner }, vec![place], &[ty])[0];
        }
        self.alias(v, place)
    }

    fn body(&mut self, f: &Arc<Func>, threads: usize) -> Result<Body, Fault> {
        self.bodies += 1;
        Ok(Body { program: lower(f, threads)?, number: self.bodies - 1, reads: elements_read(f) })
    }

    /// One for all steps with the same residual, so that they share factors.
    fn system(&mut self, residual: &Arc<Func>, spec: &Arc<crate::ir::SolveSpec>) -> Result<usize, Fault> {
        if let Some(k) = self.systems.iter().position(|s| s.is(residual, spec)) {
            return Ok(k);
        }
        self.systems.push(System::new(residual, spec, self.threads, &self.systems)?);
        Ok(self.systems.len() - 1)
    }

    fn finish(mut self) -> Result<Program, Fault> {
        /// Bytes of a buffer that is given back where its program runs once: to touch new pages takes as long as a step or two on them.
        const LARGE: usize = 1 << 27;
        let outputs: Vec<Root> = self.f.outputs.iter().map(|v| self.places[v.index()][0].root).collect();
        let is_output = |m: usize| outputs.contains(&Root::Slot(m));
        self.steps = through::join(std::mem::take(&mut self.steps), &mut self.made, &is_output);
        let end = self.steps.len();
        // A whole result that is an output is written there at once, the first time it is one.
        let mut direct: Vec<Option<usize>> = vec![None; self.made.len()];
        let mut outputs = vec![];
        for (k, &v) in self.f.outputs.iter().enumerate() {
            let (place, ty) = (self.places[v.index()][0], self.f.ty(v).clone());
            let mut copy = Some(place);
            if let Root::Slot(m) = place.root {
                let whole = place.start == 0 && place.len == self.made[m].len;
                if whole && direct[m].is_none() {
                    (direct[m], copy) = (Some(k), None);
                }
                self.made[m].last = end;
            }
            outputs.push(Output { ty, copy });
        }
        let mut kept: Vec<usize> = (0..self.made.len()).filter(|&m| direct[m].is_none()).collect();
        kept.sort_by_key(|&m| self.made[m].made);
        let demands: Vec<Demand> = kept.iter().map(|&m| self.made[m]).collect();
        let (chosen, slots) = plan::assign(&demands);
        let mut roots: Vec<Root> = direct.iter().map(|d| Root::Output(d.unwrap_or(usize::MAX))).collect();
        kept.iter().zip(&chosen).for_each(|(&m, &s)| roots[m] = Root::Slot(s));
        let settle = |r: &mut Root| {
            if let Root::Slot(m) = *r {
                *r = roots[m];
            }
        };
        for step in &mut self.steps {
            step.args.iter_mut().for_each(|p| settle(&mut p.root));
            step.results.iter_mut().for_each(|(r, _)| settle(r));
        }
        outputs.iter_mut().filter_map(|o| o.copy.as_mut()).for_each(|p| settle(&mut p.root));
        let mut steps = self.steps;
        let kernels = steps.iter_mut().flat_map(|s| match &mut s.kind {
            Kind::Kernel(k) => vec![k],
            Kind::Through(t) => t.kernels().collect(),
            _ => vec![],
        });
        let code = self.compiler.map(|c| c.finish(kernels)).transpose()?;
        let (name, constants, systems) = (self.f.name.clone(), self.constants, self.systems);
        for k in (0..constants.len()).filter(|k| constants[*k].in_file().is_some()) {
            let reads = |s: &&mut Step| s.args.iter().any(|p| p.root == Root::Constant(k));
            if let Some(step) = steps.iter_mut().rev().find(reads) {
                step.last_of.push(k);
            }
        }
        for (&m, &slot) in kept.iter().zip(&chosen) {
            if slots[slot].len * slots[slot].dtype.size() >= LARGE
                && let Some(step) = steps.get_mut(self.made[m].last)
            {
                step.freed.push(slot);
            }
        }
        Ok(Program { name, constants, slots, steps, outputs, systems, _code: code })
    }
}

/// The first element of a slice that is one contiguous range.
fn contiguous(shape: &[usize], start: &[usize], end: &[usize], stride: &[usize]) -> Option<usize> {
    let (mut first, mut several) = (0, false);
    for a in 0..shape.len() {
        let n = end[a].saturating_sub(start[a]).div_ceil(stride[a]);
        // Behind an axis with several indices, axes must be whole.
        if (several && n != shape[a]) || (n != 1 && stride[a] != 1) {
            return None;
        }
        several |= n != 1;
        first = first * shape[a] + start[a];
    }
    Some(first)
}

/// The elements of the result are those of the argument in the same order.
fn keeps_order(op: &Op, from: &[usize]) -> bool {
    match op {
        Op::Transpose(perm) => {
            let moved: Vec<usize> = perm.iter().copied().filter(|&p| from[p] != 1).collect();
            moved.windows(2).all(|w| w[0] < w[1])
        }
        _ => true,
    }
}
