//! The stack of builders. A frame is opened for each function that is being traced (a statement of a study, a map's body,
//! a pointwise field); a number of an outer frame that is used inside becomes a further input of the inner function.

use super::value::Num;
use crate::ir::{Builder, Func, Type, Value};

#[derive(Default)]
pub struct Tracer {
    frames: Vec<Frame>,
    next: u64,
}

/// Frames set aside.
pub struct Aside(Vec<Frame>);

struct Frame {
    id: u64,
    builder: Builder,
    captures: Vec<(Num, Value)>,
}

impl Tracer {
    /// A fresh identity, for frames, problems and discrete fields.
    pub fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Opens a function of these inputs.
    pub fn open(&mut self, name: &str, inputs: &[Type]) -> Vec<Num> {
        let id = self.fresh();
        self.frames.push(Frame { id, builder: Builder::new(name), captures: vec![] });
        inputs.iter().map(|t| self.input(t.clone())).collect()
    }

    fn input(&mut self, ty: Type) -> Num {
        let frame = self.top();
        let value = frame.builder.input(ty.clone());
        Num::Traced { frame: frame.id, value, ty }
    }

    /// Ends the innermost function. Its inputs are those of `open`, then the captured numbers, which are returned.
    pub fn close(&mut self, outputs: &[Num]) -> (Func, Vec<Num>) {
        let values: Vec<Value> = outputs.iter().map(|n| self.lift(n)).collect();
        let frame = self.frames.pop().expect("compiler bug: no open frame");
        let captures = frame.captures.into_iter().map(|(n, _)| n).collect();
        (frame.builder.finish(values), captures)
    }

    /// Gives up the innermost function (an error is being reported).
    pub fn abandon(&mut self, depth: usize) {
        self.frames.truncate(depth);
    }

    /// Takes the open frames away, for a trace that has nothing to do with them.
    pub fn set_aside(&mut self) -> Aside {
        Aside(std::mem::take(&mut self.frames))
    }

    /// Ends that trace and goes on with the former one.
    pub fn restore(&mut self, aside: Aside) {
        self.frames = aside.0;
    }

    /// Whether what is traced can be computed now: it is inside of no body, and no loss's parameters are open.
    pub fn known_now(&self) -> bool {
        matches!(&self.frames[..], [only] if only.builder.func().inputs.is_empty())
    }

    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    fn top(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("compiler bug: no open frame")
    }

    /// The number as a node of the innermost function.
    pub fn lift(&mut self, n: &Num) -> Value {
        let frame = self.top();
        match n {
            Num::Const(t) => frame.builder.constant(t.clone()),
            Num::Traced { frame: id, value, .. } if *id == frame.id => *value,
            Num::Traced { frame: id, value, ty } => {
                let seen = frame
                    .captures
                    .iter()
                    .find(|(n, _)| matches!(n, Num::Traced { frame: f, value: v, .. } if f == id && v == value));
                if let Some((_, v)) = seen {
                    return *v;
                }
                let v = frame.builder.input(ty.clone());
                frame.captures.push((n.clone(), v));
                v
            }
        }
    }

    /// A node of the innermost function as a number; constants come out as such.
    pub fn number(&mut self, value: Value) -> Num {
        let frame = self.top();
        let ty = frame.builder.ty(value).clone();
        if let crate::ir::Op::Const(t) = &frame.builder.node(value).op {
            return Num::Const(t.clone());
        }
        if let Some(x) = frame.builder.splat(value)
            && ty.len() <= 4096
        {
            return Num::Const(crate::ir::Tensor::full(&ty, x));
        }
        Num::Traced { frame: frame.id, value, ty }
    }

    /// Builds in the innermost function.
    pub fn build(&mut self, args: &[&Num], f: impl FnOnce(&mut Builder, &[Value]) -> Value) -> Num {
        let values: Vec<Value> = args.iter().map(|n| self.lift(n)).collect();
        let v = f(&mut self.top().builder, &values);
        self.number(v)
    }

    /// Builds several numbers in the innermost function.
    pub fn build_all(&mut self, args: &[&Num], f: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>) -> Vec<Num> {
        let values: Vec<Value> = args.iter().map(|n| self.lift(n)).collect();
        let out = f(&mut self.top().builder, &values);
        out.into_iter().map(|v| self.number(v)).collect()
    }

    /// The derivative of a number in the innermost function along tangents of inputs of it (or of what it captures).
    pub fn along(&mut self, n: &Num, tangents: &[(Num, Num)]) -> Num {
        let v = self.lift(n);
        let pairs: Vec<(Value, Value)> = tangents.iter().map(|(x, dx)| (self.lift(x), self.lift(dx))).collect();
        let frame = self.top();
        let mut f = frame.builder.func().clone();
        let mut args = vec![v; f.inputs.len()];
        for (value, node) in f.values() {
            if let crate::ir::Op::Input(k) = node.op {
                args[k] = value;
            }
        }
        let moves = |a: &Value| pairs.iter().find(|(x, _)| x == a).map(|(_, dx)| *dx);
        let tangents: Vec<Option<Value>> = args.iter().map(moves).collect();
        f.outputs = vec![v];
        let f = crate::ir::build::drop_dead(f);
        let (_, slope) = crate::ad::jvp_into(&mut frame.builder, &f, &args, &tangents);
        let slope = slope[0].unwrap_or_else(|| frame.builder.zeros_like(v));
        self.number(slope)
    }

    /// The outermost function as built so far, ending in these numbers; the trace goes on. Only the outermost frame has
    /// no inputs, so only there can a number be had before the trace ends.
    pub fn snapshot(&mut self, outputs: &[Num]) -> Option<Func> {
        if !self.known_now() {
            return None;
        }
        let values: Vec<Value> = outputs.iter().map(|n| self.lift(n)).collect();
        let mut func = self.top().builder.func().clone();
        func.outputs = values;
        Some(crate::ir::build::drop_dead(func))
    }
}
