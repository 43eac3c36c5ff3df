//! What tracing asks of the world: to compute a function, to read a file. Everything effectful is behind this trait.

use super::error::{Result, error};
use super::eval::Lower;
use super::evolve::march::{March, Sought};
use super::value::{
    Artefact, Behind, Closure, Column, Discrete, Env, Field, Function, Integral, Leaf, Num, PortedNet, Problem, Record,
    Sample, Solution, Value,
};
use crate::base::{Diagnostic, Span};
use crate::data::read::{Loaded, Options};
use crate::ir::{Func, Tensor};
use crate::sema::hir::DefId;
pub use crate::train::Precision;
use indexmap::IndexMap;
use std::collections::HashMap;
use std::rc::Rc;

/// A failure while computing: where, what, and what to try.
pub type Failure = Box<Diagnostic>;

pub trait Runtime {
    /// Computes a function without inputs. `label` names the work for people.
    fn run(&mut self, label: &str, func: Func, span: Span) -> std::result::Result<Vec<Tensor>, Failure>;

    /// Trains: see [`Training`]. Gives the best weights and the losses by epoch.
    fn train(&mut self, label: &str, training: Training, span: Span) -> std::result::Result<Trained, Failure>;

    /// Whether numbers may be placeholders, of the right shapes (in a plan).
    fn guesses(&self) -> bool {
        false
    }

    /// Something about the open task that people want to know: how good a table is.
    fn remark(&mut self, _text: &str) {}

    /// Tells of a run in time, one step of which this function is; it may be marked, so that its loop is known by its name.
    fn marches(&mut self, _march: March, _step: &mut Func) {}

    /// Tells what the unknowns of a solve of this name are.
    fn seeks(&mut self, _solve: &str, _sought: &dyn Fn() -> Sought) {}

    /// Whether samples of a run in time that take so many bytes are to be computed on their own, so that they can go to a file.
    fn streams(&self, _bytes: usize) -> bool {
        false
    }

    /// Reads a data file.
    fn load(&mut self, path: &str, options: Options, span: Span) -> std::result::Result<Loaded, Failure>;

    /// Tells that a task of the program begins: a definition or the statement at `span`. Tasks nest.
    fn enter(&mut self, label: &str, def: Option<DefId>, span: Span);
    /// Tells that the innermost open task has ended, and whether it has its result.
    fn leave(&mut self, done: bool);
}

/// An optimisation problem, ready to run.
pub struct Training {
    /// `(weights…) → losses…` over all rows; f64.
    pub losses: Func,
    /// The same over the rows of a batch, for each size that a stage asks for.
    pub batches: Vec<Batched>,
    pub names: Vec<String>,
    /// The same as `losses` over the validation rows, if there are any.
    pub validation: Option<Func>,
    pub initial: Vec<Tensor>,
    /// Bounds of each weight tensor, where it has any.
    pub bounds: Vec<Option<(f64, f64)>>,
    pub stages: Vec<Stage>,
    /// Only weights of nets are sought, and the losses solve nothing: single precision will do where it agrees with double.
    pub nets_alone: bool,
    pub seed: u64,
}

/// Losses over batches.
pub struct Batched {
    /// `(weights…, rows index[size]) → losses…`
    pub losses: Func,
    /// Rows that are drawn from.
    pub rows: usize,
    pub size: usize,
}

/// One stage of a schedule, its arguments as written.
#[derive(Clone, Debug)]
pub struct Stage {
    pub kind: String,
    pub numbers: IndexMap<String, f64>,
    /// Names of schedules.
    pub words: IndexMap<String, String>,
    /// Numbers of the losses whose sum is lowered.
    pub on: Vec<usize>,
    /// Numbers of the weights that move.
    pub of: Vec<usize>,
    /// None: chosen by the runtime.
    pub precision: Option<Precision>,
    pub span: Span,
}

pub struct Trained {
    pub weights: Vec<Tensor>,
    /// By loss, a number an epoch; `loss` is their sum, `validation` that over the validation rows.
    pub history: IndexMap<String, Vec<f64>>,
    /// At the end, over all rows.
    pub losses: IndexMap<String, f64>,
    /// How each stage went, for people.
    pub notes: Vec<String>,
    pub seconds: f64,
}

/// Things whose traced numbers can be computed.
pub trait Settle: Sized {
    fn settle(self, lower: &mut Lower) -> Result<Self>;
}

impl Settle for Value {
    fn settle(self, lower: &mut Lower) -> Result<Value> {
        let mut seen = Numbers::default();
        collect(&self, &mut seen);
        if seen.traced.is_empty() {
            return Ok(self);
        }
        let known = lower.compute(&seen.traced, lower.here)?;
        let map: HashMap<(u64, u32), Num> = seen
            .traced
            .iter()
            .zip(known)
            .filter_map(|(n, t)| match n {
                Num::Traced { frame, value, .. } => Some(((*frame, value.0), Num::Const(t))),
                Num::Const(_) => None,
            })
            .collect();
        Ok(replace(&self, &|n| match n {
            Num::Traced { frame, value, .. } => map.get(&(*frame, value.0)).cloned().unwrap_or_else(|| n.clone()),
            Num::Const(_) => n.clone(),
        }))
    }
}

impl Settle for Vec<Value> {
    fn settle(self, lower: &mut Lower) -> Result<Vec<Value>> {
        match Value::list(self).settle(lower)? {
            Value::List(items) => Ok(items.to_vec()),
            _ => Ok(vec![]),
        }
    }
}

impl Settle for () {
    fn settle(self, _: &mut Lower) -> Result<()> {
        Ok(())
    }
}

impl Lower<'_> {
    /// Computes traced numbers now. Possible only outside bodies (no enclosing function has inputs).
    pub fn compute(&mut self, nums: &[Num], span: Span) -> Result<Vec<Tensor>> {
        if let Some(known) = nums.iter().map(|n| n.tensor().cloned()).collect::<Option<Vec<_>>>() {
            return Ok(known);
        }
        match self.tracer.snapshot(nums) {
            Some(func) => self.runtime.run("compute", func, span),
            None => error(
                "run.value",
                span,
                "this must be known before the run, but depends on a value that varies inside a closure or a system",
            ),
        }
    }

    /// Arguments of a study, defaults filled in.
    pub fn apart_env(
        &mut self,
        name: &str,
        params: &[crate::sema::hir::Param],
        args: super::call::Args,
        span: Span,
    ) -> Result<Env> {
        let mut env = Env::default();
        self.apart(|l| {
            env = l.bind(name, params, args, &Env::default(), span)?;
            Ok(())
        })?;
        Ok(env)
    }

    /// A number computed in a trace of its own.
    pub fn apart_num(&mut self, f: impl FnOnce(&mut Self) -> Result<Num>, span: Span) -> Result<Tensor> {
        match self.apart(|l| f(l).map(Value::Num))? {
            Value::Num(Num::Const(t)) => Ok(t),
            _ => error("run.value", span, "this depends on a value that varies inside a closure or a system"),
        }
    }

    /// Evaluates a definition as a task of its own.
    pub fn task(&mut self, label: &str, def: DefId, f: impl FnOnce(&mut Self) -> Result<Value>) -> Result<Value> {
        let span = self.program.def(def).span;
        self.runtime.enter(label, Some(def), span);
        let outer = std::mem::replace(&mut self.here, span);
        let out = self.apart(f);
        self.here = outer;
        self.runtime.leave(out.is_ok());
        out
    }

    /// Evaluates a statement as a task.
    pub fn statement<T: Settle>(
        &mut self,
        label: &str,
        span: Span,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.runtime.enter(label, None, span);
        let outer = std::mem::replace(&mut self.here, span);
        let out = self.apart(f);
        self.here = outer;
        self.runtime.leave(out.is_ok());
        out
    }
}

// ---- walking values

#[derive(Default)]
struct Numbers {
    traced: Vec<Num>,
    keys: std::collections::HashSet<(u64, u32)>,
}

impl Numbers {
    fn add(&mut self, n: &Num) {
        if let Num::Traced { frame, value, .. } = n
            && self.keys.insert((*frame, value.0))
        {
            self.traced.push(n.clone());
        }
    }
}

/// Every number in a value, in a fixed order.
fn collect(v: &Value, out: &mut Numbers) {
    // `replace` visits all numbers; collecting is replacing each by itself. Shared parts may be visited twice.
    let cell = std::cell::RefCell::new(out);
    replace(v, &|n| {
        cell.borrow_mut().add(n);
        n.clone()
    });
}

/// The value with every number replaced.
pub fn replace(v: &Value, f: &dyn Fn(&Num) -> Num) -> Value {
    let many = |m: &IndexMap<String, Value>| -> IndexMap<String, Value> {
        m.iter().map(|(k, v)| (k.clone(), replace(v, f))).collect()
    };
    match v {
        Value::None
        | Value::Int(_)
        | Value::Bool(_)
        | Value::Str(_)
        | Value::Domain(_)
        | Value::Place(..)
        | Value::Intrinsic(_)
        | Value::Net(_)
        | Value::Def(_) => v.clone(),
        Value::Num(n) => Value::Num(f(n)),
        Value::Stack(n) => Value::Stack(f(n)),
        Value::Range(a, b) => Value::Range(Box::new(replace(a, f)), Box::new(replace(b, f))),
        Value::List(items) => Value::list(items.iter().map(|i| replace(i, f)).collect()),
        Value::Field(field) => Value::Field(replace_field(field, f)),
        Value::Function(function) => Value::Function(replace_function(function, f)),
        Value::Closure(c) => Value::Closure(Rc::new(Closure { def: c.def, behind: replace_behind(&c.behind, f) })),
        Value::Problem(p) => {
            Value::Problem(Rc::new(Problem { def: p.def, args: replace_env(&p.args, f), span: p.span }))
        }
        Value::Residual(r) => Value::Residual(Rc::new(super::value::Residual {
            stored: r.stored.as_ref().map(|v| replace(v, f)),
            flux: r.flux.as_ref().map(|v| replace(v, f)),
            transport: r
                .transport
                .as_ref()
                .map(|t| super::value::Transport { flux: replace(&t.flux, f), pointwise: replace(&t.pointwise, f) }),
            source: r.source.as_ref().map(|v| replace(v, f)),
            carried: r.carried.as_ref().map(|v| replace(v, f)),
        })),
        Value::Functional(x) => {
            let term = |t: &Integral| Integral { integrand: replace_field(&t.integrand, f), ..t.clone() };
            Value::Functional(Rc::new(super::value::Functional { terms: x.terms.iter().map(term).collect() }))
        }
        Value::Solution(s) => Value::Solution(Rc::new(Solution { problem: s.problem, members: many(&s.members) })),
        Value::Dataset(d) => Value::Dataset(Rc::new(super::value::DatasetValue {
            name: d.name.clone(),
            dataset: d.dataset.clone(),
            args: replace_env(&d.args, f),
        })),
        Value::Sample(s) => Value::Sample(Rc::new(Sample {
            name: s.name.clone(),
            part: s.part.clone(),
            columns: s.columns.iter().map(|(k, c)| (k.clone(), Column { values: f(&c.values), ..c.clone() })).collect(),
            rows: s.rows,
            splits: s.splits.clone(),
        })),
        Value::Artefact(a) => Value::Artefact(Rc::new(Artefact {
            name: a.name.clone(),
            members: many(&a.members),
            history: a.history.clone(),
            seconds: a.seconds,
        })),
        Value::Record(r) => {
            Value::Record(Rc::new(Record { kind: r.kind.clone(), fields: many(&r.fields), span: r.span }))
        }
    }
}

fn replace_env(env: &Env, f: &dyn Fn(&Num) -> Num) -> Env {
    env.map(|v| replace(v, f))
}

fn replace_function(function: &Rc<Function>, f: &dyn Fn(&Num) -> Num) -> Rc<Function> {
    Rc::new(Function {
        name: function.name.clone(),
        lambda: function.lambda.clone(),
        env: replace_env(&function.env, f),
    })
}

fn replace_behind(b: &Behind, f: &dyn Fn(&Num) -> Num) -> Behind {
    match b {
        Behind::Function(function) => Behind::Function(replace_function(function, f)),
        Behind::Net(n) => Behind::Net(Rc::new(PortedNet {
            net: n.net.clone(),
            weights: n.weights.iter().map(f).collect(),
            ports: n.ports.clone(),
            ensemble: n.ensemble,
        })),
        Behind::Process(p) => Behind::Process(p.clone()),
        Behind::Table(t) => Behind::Table(t.clone()),
        Behind::Online(o) => Behind::Online(Rc::new(super::closure::Online {
            closure: replace(&o.closure, f),
            on_fail: o.on_fail.as_ref().map(|v| replace(v, f)),
            reuse: o.reuse,
            range: o.range.clone(),
        })),
    }
}

fn replace_field(field: &Field, f: &dyn Fn(&Num) -> Num) -> Field {
    let leaves = field
        .leaves
        .iter()
        .map(|l| match l {
            Leaf::Shared(n) => Leaf::Shared(f(n)),
            Leaf::Discrete { field: d, gradient } => Leaf::Discrete {
                field: Rc::new(Discrete {
                    space: d.space.clone(),
                    dofs: f(&d.dofs),
                    slopes: d.slopes.as_ref().map(|s| s.map(f)),
                    shape: d.shape.clone(),
                    id: d.id,
                }),
                gradient: *gradient,
            },
            other => other.clone(),
        })
        .collect();
    Field { domain: field.domain.clone(), leaves, func: field.func.clone() }
}
