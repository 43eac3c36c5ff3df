//! What an expression means while it is traced.

use super::domain::Domain;
use crate::base::Span;
use crate::discretize::space::Space;
use crate::ir::{self, Func, Tensor, Type};
use crate::sema::hir::{DefId, Lambda, LocalId};
use indexmap::IndexMap;
use std::rc::Rc;

/// A real, vector or tensor in SI: known, or a node of the builder of one frame of the trace.
#[derive(Clone, Debug)]
pub enum Num {
    Const(Tensor),
    Traced { frame: u64, value: ir::Value, ty: Type },
}

impl Num {
    pub fn scalar(x: f64) -> Num {
        Num::Const(Tensor::scalar(x))
    }

    pub fn ty(&self) -> &Type {
        match self {
            Num::Const(t) => &t.ty,
            Num::Traced { ty, .. } => ty,
        }
    }

    pub fn shape(&self) -> &[usize] {
        &self.ty().shape
    }

    /// The number, where it is a known scalar.
    pub fn known(&self) -> Option<f64> {
        match self {
            Num::Const(t) if t.ty.len() == 1 => Some(t.item()),
            _ => None,
        }
    }

    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Num::Const(t) => Some(t),
            Num::Traced { .. } => None,
        }
    }
}

/// A function of position: a pointwise `Func` of its leaves.
#[derive(Clone, Debug)]
pub struct Field {
    pub domain: Rc<Domain>,
    /// One input of `func` each.
    pub leaves: Vec<Leaf>,
    /// One output: the value at a point.
    pub func: Rc<Func>,
}

/// What a field is made of at a point.
#[derive(Clone, Debug)]
pub enum Leaf {
    /// `x[d]`
    Coordinates,
    /// Outward unit normal `n[d]`, on a boundary.
    Normal,
    /// The unknown of the system being lowered, or its derivatives of an order r: `shape` + r times `[d]`.
    Unknown { problem: u64, index: usize, order: usize },
    /// A discrete field known by its degrees of freedom, or its gradient.
    Discrete { field: Rc<Discrete>, gradient: bool },
    /// A number that is the same everywhere.
    Shared(Num),
}

/// Values at the degrees of freedom of a space: `dofs[N, components]`, of which each point's value takes `shape`.
#[derive(Debug)]
pub struct Discrete {
    pub space: Rc<Space>,
    pub dofs: Num,
    /// Its gradient at the degrees of freedom, `[N, shape…, d]`, where the method has its own: finite volumes read it off their fluxes.
    pub slopes: Option<Slopes>,
    pub shape: Vec<usize>,
    /// Identity, for sharing leaves.
    pub id: u64,
}

impl Discrete {
    /// The same field, its gradients being made of its values.
    pub fn with_slopes(&self, slopes: Option<Rc<Func>>) -> Rc<Discrete> {
        let Discrete { space, dofs, shape, id, .. } = self;
        let (space, dofs, shape) = (space.clone(), dofs.clone(), shape.clone());
        Rc::new(Discrete { space, dofs, slopes: slopes.map(Slopes::Of), shape, id: *id })
    }
}

/// Gradients at degrees of freedom: numbers, or what makes them of the values, `[N, shape…] → [N, shape…, d]`.
#[derive(Clone, Debug)]
pub enum Slopes {
    Known(Num),
    Of(Rc<Func>),
}

impl Slopes {
    /// Their numbers replaced.
    pub fn map(&self, f: &dyn Fn(&Num) -> Num) -> Slopes {
        match self {
            Slopes::Known(n) => Slopes::Known(f(n)),
            Slopes::Of(func) => Slopes::Of(func.clone()),
        }
    }
}

#[derive(Clone, Debug)]
pub enum Value {
    None,
    Num(Num),
    Int(i64),
    Bool(bool),
    Str(Rc<str>),
    Range(Box<Value>, Box<Value>),
    List(Rc<Vec<Value>>),
    /// A list of `n` equal-shaped numbers in one array `[n, …]`.
    Stack(Num),
    Field(Field),
    Domain(Rc<Domain>),
    /// `Ω.left`
    Place(Rc<Domain>, String),
    Function(Rc<Function>),
    /// A function implemented in Rust, under its MSL name.
    Intrinsic(DefId),
    Closure(Rc<Closure>),
    Net(Rc<NetValue>),
    /// A system with its arguments.
    Problem(Rc<Problem>),
    /// `div(flux) + source`, as it stands in an equation.
    Residual(Rc<Residual>),
    /// `mean(f)` or `∫ f` of something with an unknown in it, as it stands in an equation.
    Functional(Rc<Functional>),
    Solution(Rc<Solution>),
    Dataset(Rc<DatasetValue>),
    Sample(Rc<Sample>),
    Artefact(Rc<Artefact>),
    /// What constructors of schemes, stages, laws and the like give: their MSL name and arguments.
    Record(Rc<Record>),
    /// A definition that is used by name (a system, dataset, closure or scale).
    Def(DefId),
}

#[derive(Debug)]
pub struct Record {
    pub kind: String,
    pub fields: IndexMap<String, Value>,
    pub span: Span,
}

/// A lambda with what it captured.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub lambda: Rc<Lambda>,
    pub env: Env,
}

/// A signature and what stands behind it.
#[derive(Debug)]
pub struct Closure {
    pub def: DefId,
    pub behind: Behind,
}

#[derive(Debug)]
pub enum Behind {
    /// A formula, or a nested solve.
    Function(Rc<Function>),
    /// A net behind ports.
    Net(Rc<PortedNet>),
    /// A Gaussian process.
    Process(Rc<super::sought::Process>),
    Table(Rc<super::closure::Table>),
    Online(Rc<super::closure::Online>),
}

/// A net with its hyperparameters, or `repeat(net, n)`; its weights belong to whoever calls it.
#[derive(Debug)]
pub enum NetValue {
    Layer { def: DefId, hyper: Env },
    Repeat { net: Value, count: usize },
}

/// A net that serves a closure: weights, normalisers and head.
#[derive(Debug)]
pub struct PortedNet {
    pub net: Value,
    pub weights: Vec<Num>,
    pub ports: super::net::Ports,
    pub ensemble: usize,
}

#[derive(Debug)]
pub struct Problem {
    pub def: DefId,
    pub args: Env,
    pub span: Span,
}

/// `∂t(stored) + ∇·flux + transport + source`
#[derive(Clone, Debug, Default)]
pub struct Residual {
    pub stored: Option<Value>,
    pub flux: Option<Value>,
    pub transport: Option<Transport>,
    pub source: Option<Value>,
    /// Of the flux, once it is settled what transport is: what passes walls where nothing is given, with the state inside.
    pub carried: Option<Value>,
}

/// `∂x(f)` of values of the unknown, told in two ways: the scheme chooses (finite volumes and grids the flux), and a factor that
/// varies turns it into the second.
#[derive(Clone, Debug)]
pub struct Transport {
    /// The vector whose divergence it is.
    pub flux: Value,
    /// The derivative itself, by the chain rule.
    pub pointwise: Value,
}

/// A sum of integrals and means, some with an unknown in them.
#[derive(Clone, Debug, Default)]
pub struct Functional {
    pub terms: Vec<Integral>,
}

#[derive(Clone, Debug)]
pub struct Integral {
    pub integrand: Field,
    /// The part of the boundary; none for the whole domain.
    pub part: Option<String>,
    pub mean: bool,
    pub factor: f64,
}

#[derive(Debug)]
pub struct Solution {
    pub problem: DefId,
    /// Unknowns and lets, by name.
    pub members: IndexMap<String, Value>,
}

#[derive(Debug)]
pub struct DatasetValue {
    pub name: String,
    pub dataset: crate::sema::hir::Dataset,
    pub args: Env,
}

/// Columns of equal length, and which rows belong to which split.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    /// The split that it is; empty for a whole sample.
    pub part: String,
    pub columns: IndexMap<String, Column>,
    pub rows: usize,
    pub splits: IndexMap<String, Rc<Vec<u32>>>,
}

#[derive(Clone, Debug)]
pub struct Column {
    /// `[rows, …]`; of random fields their coefficients `[rows, 2, slots]`.
    pub values: Num,
    /// The law, where the items are fields.
    pub field: Option<Rc<RandomField>>,
    /// The closure that computed it, where one did: its ports are normalised by this column.
    pub closure: Option<DefId>,
    /// The columns that were its arguments.
    pub args: Vec<String>,
}

/// The law of a column of fields.
#[derive(Debug)]
pub struct RandomField {
    pub domain: Rc<Domain>,
    pub law: crate::data::grf::Field,
}

#[derive(Debug)]
pub struct Artefact {
    pub name: String,
    pub members: IndexMap<String, Value>,
    /// Loss by name, one value an epoch.
    pub history: IndexMap<String, Vec<f64>>,
    pub seconds: f64,
}

/// Values of locals, in the order they were bound.
#[derive(Clone, Debug, Default)]
pub struct Env {
    values: IndexMap<LocalId, Value>,
}

impl Env {
    pub fn get(&self, local: LocalId) -> Option<&Value> {
        self.values.get(&local)
    }

    pub fn set(&mut self, local: LocalId, value: Value) {
        self.values.insert(local, value);
    }

    pub fn map(&self, f: impl Fn(&Value) -> Value) -> Env {
        Env { values: self.values.iter().map(|(k, v)| (*k, f(v))).collect() }
    }

    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.values()
    }

    pub fn extend(&mut self, other: &Env) {
        self.values.extend(other.values.iter().map(|(k, v)| (*k, v.clone())));
    }
}

impl Residual {
    /// A term of the shape of the equation, where there is one.
    pub fn pointwise_part(&self) -> Option<&Value> {
        self.source.as_ref().or(self.transport.as_ref().map(|t| &t.pointwise))
    }

    /// Each of its terms replaced.
    pub fn each<E>(&self, mut f: impl FnMut(&Value) -> Result<Value, E>) -> Result<Residual, E> {
        let transport = match &self.transport {
            Some(t) => Some(Transport { flux: f(&t.flux)?, pointwise: f(&t.pointwise)? }),
            None => None,
        };
        let mut part = |v: &Option<Value>| v.as_ref().map(&mut f).transpose();
        let (stored, flux, source) = (part(&self.stored)?, part(&self.flux)?, part(&self.source)?);
        Ok(Residual { stored, flux, transport, source, carried: part(&self.carried)? })
    }
}

impl Value {
    pub fn num(x: f64) -> Value {
        Value::Num(Num::scalar(x))
    }

    pub fn str(s: &str) -> Value {
        Value::Str(s.into())
    }

    pub fn list(items: Vec<Value>) -> Value {
        Value::List(Rc::new(items))
    }

    pub fn record(kind: &str, span: Span, fields: IndexMap<String, Value>) -> Value {
        Value::Record(Rc::new(Record { kind: kind.into(), fields, span }))
    }

    /// A known real number: a scalar constant or an integer.
    pub fn known(&self) -> Option<f64> {
        match self {
            Value::Num(n) => n.known(),
            Value::Int(i) => Some(*i as f64),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "nothing",
            Value::Num(n) if n.shape().is_empty() => "a number",
            Value::Num(_) => "a tensor",
            Value::Int(_) => "an integer",
            Value::Bool(_) => "a truth value",
            Value::Str(_) => "a text",
            Value::Range(..) => "a range",
            Value::List(_) | Value::Stack(_) => "a list",
            Value::Field(_) => "a field",
            Value::Domain(_) => "a domain",
            Value::Place(..) => "a part of a boundary",
            Value::Function(_) | Value::Intrinsic(_) => "a function",
            Value::Closure(_) => "a closure",
            Value::Net(_) => "a net",
            Value::Problem(_) => "a system",
            Value::Residual(_) => "a divergence of a flux of the unknown",
            Value::Functional(_) => "an integral of the unknown",
            Value::Solution(_) => "a solution",
            Value::Dataset(_) => "a dataset",
            Value::Sample(_) => "a sample",
            Value::Artefact(_) => "an artefact",
            Value::Record(r) => match r.kind.as_str() {
                "fem" | "fv" | "fd" | "spectral" | "chebyshev" => "a scheme",
                _ => "a record",
            },
            Value::Def(_) => "a definition",
        }
    }
}

impl Field {
    /// Shape of the value at a point.
    pub fn shape(&self) -> &[usize] {
        &self.func.ty(self.func.outputs[0]).shape
    }

    pub fn has_unknown(&self) -> bool {
        self.leaves.iter().any(|l| matches!(l, Leaf::Unknown { .. }))
    }
}

impl Leaf {
    /// Whether two leaves are the same input.
    pub fn same(&self, other: &Leaf) -> bool {
        match (self, other) {
            (Leaf::Coordinates, Leaf::Coordinates) | (Leaf::Normal, Leaf::Normal) => true,
            (Leaf::Unknown { problem: a, index: i, order: g }, Leaf::Unknown { problem: b, index: j, order: h }) => {
                (a, i, g) == (b, j, h)
            }
            (Leaf::Discrete { field: a, gradient: g }, Leaf::Discrete { field: b, gradient: h }) => {
                a.id == b.id && g == h
            }
            (Leaf::Shared(a), Leaf::Shared(b)) => match (a, b) {
                (Num::Const(a), Num::Const(b)) => a == b,
                (Num::Traced { frame: f, value: v, .. }, Num::Traced { frame: g, value: w, .. }) => (f, v) == (g, w),
                _ => false,
            },
            _ => false,
        }
    }
}
