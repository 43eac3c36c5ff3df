//! Partial evaluation: takes a function apart into what can be computed without its linear inputs and what needs them.
//! What the second part reads of the first are the residuals. Cheap nodes (constants, broadcasts, reshapes) are computed
//! again rather than saved.

use super::checkpoints;
use super::masked::masked;
use crate::ir::{Builder, Func, Op, Type, Value, build};
use std::collections::HashMap;
use std::sync::Arc;

/// `f` in two parts. With `linear_output` telling which output stems from which part:
#[derive(Debug)]
pub struct Split {
    /// Known inputs to known outputs, then what is saved for the second part.
    pub known: Func,
    /// Residuals, then linear inputs, to linear outputs.
    pub linear: Func,
    /// For each output of `f`: it depends on a linear input.
    pub linear_output: Vec<bool>,
    pub residuals: Vec<Residual>,
}

/// Where a residual comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Residual {
    /// An input of `f`, by its position there.
    Input(usize),
    /// The k-th saved output of the known part.
    Saved(usize),
}

impl Split {
    pub fn known_outputs(&self) -> usize {
        self.linear_output.iter().filter(|&&l| !l).count()
    }

    /// The residuals, given the inputs of `f` and the results of the known part.
    pub fn residual_values(&self, inputs: &[Value], known: &[Value]) -> Vec<Option<Value>> {
        let saved = &known[self.known_outputs()..];
        let value = |r: &Residual| match *r {
            Residual::Input(k) => Some(inputs[k]),
            Residual::Saved(k) => Some(saved[k]),
        };
        self.residuals.iter().map(value).collect()
    }

    /// Puts results of the two parts in the order of `f`'s outputs.
    fn interleave<T>(&self, known: impl IntoIterator<Item = T>, linear: impl IntoIterator<Item = T>) -> Vec<T> {
        let (mut known, mut linear) = (known.into_iter(), linear.into_iter());
        let next = |&l: &bool| if l { linear.next() } else { known.next() }.expect("compiler bug: outputs of a split");
        self.linear_output.iter().map(next).collect()
    }
}

/// `linear[k]` marks the inputs in which `f` is linear.
pub fn split(f: &Func, linear: &[bool]) -> Split {
    let known: Vec<bool> = linear.iter().map(|l| !l).collect();
    split_body(f, linear, &vec![false; f.outputs.len()], &known)
}

/// `forced[k]`: output k is to be linear even if it is known. `direct[k]`: input k may be a residual as it is; the others
/// must be saved by the known part.
fn split_body(f: &Func, linear: &[bool], forced: &[bool], direct: &[bool]) -> Split {
    let mut s = Splitter {
        known: Builder::new(f.name.clone()),
        linear: Builder::new(f.name.clone()),
        imported: HashMap::new(),
        saved: vec![],
        residuals: vec![],
        places: vec![],
        originals: vec![],
        direct,
    };
    let mut results: Vec<Vec<Slot>> = Vec::with_capacity(f.nodes.len());
    let input = |(k, ty)| if linear[k] { s.linear_input(ty) } else { s.known_input(k, ty) };
    let inputs: Vec<Slot> = f.inputs.iter().enumerate().map(input).collect();
    for node in &f.nodes {
        let slots = match &node.op {
            Op::Input(k) => vec![inputs[*k]],
            Op::Get(k) => vec![results[node.args[0].index()][*k]],
            op => {
                let args: Vec<Slot> = node.args.iter().map(|a| results[a.index()][0]).collect();
                s.push(op, &args)
            }
        };
        results.push(slots);
    }
    let (mut known, mut linear_outputs, mut linear_output) = (vec![], vec![], vec![]);
    for (v, &forced) in f.outputs.iter().zip(forced) {
        let slot = results[v.index()][0];
        match slot {
            Slot::Known(v) if !forced => known.push(v),
            _ => linear_outputs.push(s.in_linear(slot)),
        }
        linear_output.push(forced || matches!(slot, Slot::Linear(_)));
    }
    s.finish(known, linear_outputs, linear_output)
}

/// A value of one part or the other.
#[derive(Clone, Copy)]
enum Slot {
    Known(Value),
    Linear(Value),
}

/// What an input of the linear part is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Residual(usize),
    Linear,
}

struct Splitter<'a> {
    known: Builder,
    linear: Builder,
    /// Known values that the linear part has, too.
    imported: HashMap<Value, Value>,
    saved: Vec<Value>,
    residuals: Vec<Residual>,
    /// Of each input of the linear part.
    places: Vec<Place>,
    /// Of each input of the known part its position among all inputs.
    originals: Vec<usize>,
    direct: &'a [bool],
}

impl Splitter<'_> {
    fn linear_input(&mut self, ty: &Type) -> Slot {
        self.places.push(Place::Linear);
        Slot::Linear(self.linear.input(ty.clone()))
    }

    fn known_input(&mut self, k: usize, ty: &Type) -> Slot {
        self.originals.push(k);
        Slot::Known(self.known.input(ty.clone()))
    }

    fn push(&mut self, op: &Op, args: &[Slot]) -> Vec<Slot> {
        if args.iter().all(|a| matches!(a, Slot::Known(_))) {
            let args: Vec<Value> = args.iter().map(|a| self.in_known(*a)).collect();
            return self.known.ops(op.clone(), &args).into_iter().map(Slot::Known).collect();
        }
        match op {
            Op::Map { body, n, mapped } => self.map(body, *n, mapped, args),
            Op::Scan { body, length, carry, xs, reverse } => self.scan(body, (*length, *carry, *xs, *reverse), args),
            Op::Cond { then, otherwise } => self.cond(then, otherwise, args),
            Op::Memo { .. } | Op::Solve { .. } => panic!("compiler bug: {op:?} is not linear"),
            _ => {
                let args: Vec<Value> = args.iter().map(|a| self.in_linear(*a)).collect();
                vec![Slot::Linear(self.linear.op(op.clone(), &args))]
            }
        }
    }

    fn in_known(&self, slot: Slot) -> Value {
        match slot {
            Slot::Known(v) => v,
            Slot::Linear(_) => panic!("compiler bug: a linear value where a known one must stand"),
        }
    }

    fn in_linear(&mut self, slot: Slot) -> Value {
        match slot {
            Slot::Known(v) => self.import(v),
            Slot::Linear(v) => v,
        }
    }

    /// A known value for the linear part: computed again if that is cheap, else a residual.
    fn import(&mut self, v: Value) -> Value {
        if let Some(&v) = self.imported.get(&v) {
            return v;
        }
        let node = self.known.node(v).clone();
        let new = match node.op {
            Op::Const(_) | Op::Iota { .. } | Op::Broadcast { .. } | Op::Reshape(_) => {
                let args: Vec<Value> = node.args.iter().map(|&a| self.import(a)).collect();
                self.linear.op(node.op, &args)
            }
            op => {
                let residual = match op {
                    Op::Input(k) if self.direct[self.originals[k]] => Residual::Input(self.originals[k]),
                    _ => {
                        self.saved.push(v);
                        Residual::Saved(self.saved.len() - 1)
                    }
                };
                self.residuals.push(residual);
                self.places.push(Place::Residual(self.residuals.len() - 1));
                self.linear.input(node.types[0].clone())
            }
        };
        self.imported.insert(v, new);
        new
    }

    fn map(&mut self, body: &Func, n: usize, mapped: &[bool], args: &[Slot]) -> Vec<Slot> {
        let linear = is_linear(args);
        let known: Vec<bool> = linear.iter().map(|l| !l).collect();
        let parts = split_body(body, &linear, &vec![false; body.outputs.len()], &known);
        let results = self.known_part(&parts, args, |body| {
            let mapped = (0..args.len()).filter(|&k| known[k]).map(|k| mapped[k]).collect();
            Op::Map { body, n, mapped }
        });
        let varies: Vec<bool> = (0..args.len()).filter(|&k| known[k]).map(|k| mapped[k]).collect();
        let mut flags = vec![];
        let mut values = vec![];
        for r in &parts.residuals {
            let (value, flag) = match *r {
                Residual::Input(k) => (self.in_known(args[k]), mapped[k]),
                Residual::Saved(k) => match self.invariant(&parts, k, &varies, args) {
                    Some(v) => (v, false),
                    None => (results[parts.known_outputs() + k], true),
                },
            };
            values.push(self.import(value));
            flags.push(flag);
        }
        for k in (0..args.len()).filter(|&k| linear[k]) {
            values.push(self.in_linear(args[k]));
            flags.push(mapped[k]);
        }
        let out = self.linear_part(&parts, &values, |body| Op::Map { body, n, mapped: flags });
        parts.interleave(results.into_iter().map(Slot::Known), out.into_iter().map(Slot::Linear))
    }

    /// A long loop becomes a loop over segments if what it would save is large: the known part then keeps its state at the beginning
    /// of each segment, and the linear part computes the segment again (checkpoints at equal distances; [Griewank &
    /// Walther, §12]).
    fn scan(&mut self, body: &Func, dims: (usize, usize, usize, bool), args: &[Slot]) -> Vec<Slot> {
        let (length, carry, ..) = dims;
        let saved = self.saved_bytes(body, dims, args);
        let segment = checkpoints::segment(length, saved);
        if segment == 0 || args[..carry].is_empty() {
            return self.loop_of(body, dims, args, false);
        }
        let cut = checkpoints::Cut::new(body, dims, segment);
        let mut carried: Vec<Slot> = args[..carry].to_vec();
        let mut rows: Vec<Vec<Slot>> = vec![vec![]; body.outputs.len() - carry];
        for part in &cut.parts {
            let mut part_args = carried.clone();
            for (k, &arg) in args.iter().enumerate().skip(carry) {
                part_args.push(match part.of_argument(k) {
                    Some(ops) => ops.iter().fold(arg, |v, op| self.push(op, &[v])[0]),
                    None => arg,
                });
            }
            let out = self.loop_of(&part.body, part.dims, &part_args, part.again);
            carried = out[..carry].to_vec();
            for (k, row) in rows.iter_mut().enumerate() {
                let flat = part.to_rows(body, carry + k);
                row.push(self.push(&flat, &[out[carry + k]])[0]);
            }
        }
        let joined = rows.into_iter().map(|parts| match parts[..] {
            [one] => one,
            // In the order of the items, whichever way the loop goes.
            _ => {
                let parts: Vec<Slot> = if cut.reverse { parts.into_iter().rev().collect() } else { parts };
                self.push(&Op::Concat(0), &parts)[0]
            }
        });
        carried.into_iter().chain(joined.collect::<Vec<_>>()).collect()
    }

    /// What the steps of a loop would save for the linear part, all together.
    fn saved_bytes(&self, body: &Func, dims: (usize, usize, usize, bool), args: &[Slot]) -> usize {
        let (parts, linear) = loop_parts(body, dims, &is_linear(args));
        let (length, carry, xs, _) = dims;
        let varies: Vec<bool> = (0..args.len()).filter(|&k| !linear[k]).map(|k| k < carry + xs).collect();
        let size = |ty: &Type| ty.len() * ty.dtype.size();
        let outputs = &parts.known.outputs[parts.known_outputs()..];
        let each: usize =
            outputs.iter().filter(|v| depends(&parts.known, **v, &varies)).map(|v| size(parts.known.ty(*v))).sum();
        each.saturating_mul(length)
    }

    /// `again`: the linear part computes what it needs of a step from the state before it.
    fn loop_of(&mut self, body: &Func, dims: (usize, usize, usize, bool), args: &[Slot], again: bool) -> Vec<Slot> {
        let (length, carry, xs, reverse) = dims;
        let (mut parts, linear) = loop_parts(body, dims, &is_linear(args));
        if again || checkpoints::again(&parts, &linear, dims) {
            parts = checkpoints::computed_again(parts, &linear, carry);
        }
        let count = |range: std::ops::Range<usize>, l: bool| range.filter(|&k| linear[k] == l).count();
        let known_args: Vec<Slot> = (0..args.len()).filter(|&k| !linear[k]).map(|k| args[k]).collect();
        let results = self.known_part(&parts, &known_args, |body| Op::Scan {
            body,
            length,
            carry: count(0..carry, false),
            xs: count(carry..carry + xs, false),
            reverse,
        });

        // The arguments of the linear scan: carry, then xs, then shared; each with its place among the inputs of `parts.linear`.
        let varies: Vec<bool> = (0..args.len()).filter(|&k| !linear[k]).map(|k| k < carry + xs).collect();
        let mut groups: [Vec<(usize, Value)>; 3] = Default::default();
        for (place, r) in parts.residuals.iter().enumerate() {
            let (group, value) = match *r {
                Residual::Input(k) => (if k < carry + xs { 1 } else { 2 }, self.in_known(args[k])),
                Residual::Saved(k) => match self.invariant(&parts, k, &varies, &known_args) {
                    Some(v) => (2, v),
                    None => (1, results[parts.known_outputs() + k]),
                },
            };
            groups[group].push((place, self.import(value)));
        }
        for (i, k) in (0..args.len()).filter(|&k| linear[k]).enumerate() {
            let group = if k < carry { 0 } else { 1 + (k >= carry + xs) as usize };
            groups[group].push((parts.residuals.len() + i, self.in_linear(args[k])));
        }
        let (linear_carry, linear_xs) = (groups[0].len(), groups[1].len());
        let order: Vec<(usize, Value)> = groups.concat();
        let values: Vec<Value> = order.iter().map(|o| o.1).collect();
        let places: Vec<usize> = order.iter().map(|o| o.0).collect();
        let parts = Split { linear: with_inputs(&parts.linear, &places), ..parts };
        let out = self.linear_part(&parts, &values, |body| Op::Scan {
            body,
            length,
            carry: linear_carry,
            xs: linear_xs,
            reverse,
        });
        parts.interleave(results.into_iter().map(Slot::Known), out.into_iter().map(Slot::Linear))
    }

    fn cond(&mut self, then: &Func, otherwise: &Func, args: &[Slot]) -> Vec<Slot> {
        let mask = self.in_known(args[0]);
        let args = &args[1..];
        let linear = is_linear(args);
        let known: Vec<bool> = linear.iter().map(|l| !l).collect();
        let unforced = vec![false; then.outputs.len()];
        let first = [then, otherwise].map(|f| split_body(f, &linear, &unforced, &known).linear_output);
        let forced: Vec<bool> = first[0].iter().zip(&first[1]).map(|(t, o)| *t || *o).collect();
        let [t, o] = [then, otherwise].map(|f| split_body(f, &linear, &forced, &known));

        // Each branch saves its own residuals, and zeros for those of the other.
        let outputs = t.known_outputs();
        let saved = |s: &Split| s.known.output_types().split_off(outputs);
        let (t_saved, o_saved) = (saved(&t), saved(&o));
        let known_branch = |own: &Func, before: &[Type], after: &[Type]| {
            let mut b = Builder::new(own.name.clone());
            let args: Vec<Value> = own.inputs.iter().map(|t| b.input(t.clone())).collect();
            let mut out = b.inline(own, &args);
            let mut residuals = out.split_off(outputs);
            out.extend(before.iter().map(|ty| b.zeros(ty)).collect::<Vec<_>>());
            out.append(&mut residuals);
            out.extend(after.iter().map(|ty| b.zeros(ty)).collect::<Vec<_>>());
            Arc::new(b.finish(out))
        };
        let mut known_args = vec![mask];
        known_args.extend((0..args.len()).filter(|&k| known[k]).map(|k| self.in_known(args[k])));
        let results = if outputs + t_saved.len() + o_saved.len() == 0 {
            vec![]
        } else {
            let then = known_branch(&t.known, &[], &o_saved);
            let otherwise = known_branch(&o.known, &t_saved, &[]);
            self.known.ops(Op::Cond { then, otherwise }, &known_args)
        };

        let mut values = vec![self.import(mask)];
        for (part, skip) in [(&t, outputs), (&o, outputs + t_saved.len())] {
            for r in &part.residuals {
                let value = match *r {
                    Residual::Input(k) => self.in_known(args[k]),
                    Residual::Saved(k) => results[skip + k],
                };
                values.push(self.import(value));
            }
        }
        let (nt, no) = (t.residuals.len(), o.residuals.len());
        let linear_types: Vec<Type> = t.linear.inputs[nt..].to_vec();
        values.extend((0..args.len()).filter(|&k| linear[k]).map(|k| self.in_linear(args[k])).collect::<Vec<_>>());
        let branch = |own: &Func, range: std::ops::Range<usize>| {
            let mut b = Builder::new(own.name.clone());
            let residuals = t.linear.inputs[..nt].iter().chain(&o.linear.inputs[..no]);
            let all: Vec<Value> = residuals.chain(&linear_types).map(|t| b.input(t.clone())).collect();
            let args = [&all[range], &all[nt + no..]].concat();
            let out = b.inline(own, &args);
            Arc::new(b.finish(out))
        };
        let out = if t.linear.outputs.is_empty() {
            vec![]
        } else {
            let (then, otherwise) = (branch(&t.linear, 0..nt), branch(&o.linear, nt..nt + no));
            self.linear.ops(Op::Cond { then, otherwise }, &values)
        };
        t.interleave(results.into_iter().map(Slot::Known), out.into_iter().map(Slot::Linear))
    }

    /// What the known part of a body saves, computed outside of it, if it is the same for all items or steps: then there is no
    /// need to keep it for each. `varies` tells of each known input whether it differs between items.
    fn invariant(&mut self, parts: &Split, saved: usize, varies: &[bool], args: &[Slot]) -> Option<Value> {
        let output = parts.known.outputs[parts.known_outputs() + saved];
        if depends(&parts.known, output, varies) {
            return None;
        }
        let only = build::drop_dead(Func { outputs: vec![output], ..parts.known.clone() });
        let args: Vec<Value> = args.iter().filter(|a| matches!(a, Slot::Known(_))).map(|a| self.in_known(*a)).collect();
        Some(self.known.inline(&only, &args)[0])
    }

    /// The structured node of the known part; its results (known outputs, then what is saved).
    fn known_part(&mut self, parts: &Split, args: &[Slot], op: impl FnOnce(Arc<Func>) -> Op) -> Vec<Value> {
        if parts.known.outputs.is_empty() {
            return vec![];
        }
        let args: Vec<Value> = args.iter().filter(|a| matches!(a, Slot::Known(_))).map(|a| self.in_known(*a)).collect();
        self.known.ops(op(Arc::new(parts.known.clone())), &args)
    }

    fn linear_part(&mut self, parts: &Split, args: &[Value], op: impl FnOnce(Arc<Func>) -> Op) -> Vec<Value> {
        if parts.linear.outputs.is_empty() {
            return vec![];
        }
        self.linear.ops(op(Arc::new(parts.linear.clone())), args)
    }

    fn finish(self, mut known: Vec<Value>, linear: Vec<Value>, linear_output: Vec<bool>) -> Split {
        known.extend(self.saved);
        // Residuals first, in their order, then the linear inputs in theirs.
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        order.sort_by_key(|&i| match self.places[i] {
            Place::Residual(r) => (0, r),
            Place::Linear => (1, i),
        });
        Split {
            known: self.known.finish(known),
            linear: masked(&with_inputs(&self.linear.finish(linear), &order), self.residuals.len()),
            linear_output,
            residuals: self.residuals,
        }
    }
}

/// The parts of a loop's body, and which of its arguments are linear: a carry is if it ever becomes so.
fn loop_parts(body: &Func, dims: (usize, usize, usize, bool), linear: &[bool]) -> (Split, Vec<bool>) {
    let carry = dims.1;
    let mut linear = linear.to_vec();
    loop {
        let forced: Vec<bool> = (0..body.outputs.len()).map(|k| k < carry && linear[k]).collect();
        // A carry changes from step to step, so it must be saved; what is not carried is at hand again.
        let direct: Vec<bool> = (0..linear.len()).map(|k| k >= carry && !linear[k]).collect();
        let parts = split_body(body, &linear, &forced, &direct);
        let grown: Vec<usize> = (0..carry).filter(|&k| parts.linear_output[k] && !linear[k]).collect();
        if grown.is_empty() {
            return (parts, linear);
        }
        grown.iter().for_each(|&k| linear[k] = true);
    }
}

/// Whether a value depends on one of these inputs.
pub(super) fn depends(f: &Func, v: Value, inputs: &[bool]) -> bool {
    let mut needed = vec![false; f.nodes.len()];
    needed[v.index()] = true;
    for i in (0..=v.index()).rev() {
        if !needed[i] {
            continue;
        }
        if matches!(f.nodes[i].op, Op::Input(k) if inputs[k]) {
            return true;
        }
        f.nodes[i].args.iter().for_each(|a| needed[a.index()] = true);
    }
    false
}

fn is_linear(args: &[Slot]) -> Vec<bool> {
    args.iter().map(|a| matches!(a, Slot::Linear(_))).collect()
}

/// `f` with its inputs in another order: new input i is old input `order[i]`.
fn with_inputs(f: &Func, order: &[usize]) -> Func {
    let mut b = Builder::new(f.name.clone());
    let mut args = vec![Value(0); order.len()];
    for &k in order {
        args[k] = b.input(f.inputs[k].clone());
    }
    let out = b.inline(f, &args);
    b.finish(out)
}
