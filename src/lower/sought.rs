//! What a `minimize` seeks: numbers within bounds, nets that serve closures, and processes fitted to data outright.

use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::losses::samples;
use super::net::{Head, Ports, moments};
use super::value::{Behind, Closure, Env, NetValue, Num, PortedNet, Sample, Value};
use crate::base::Span;
use crate::ir::Tensor;
use crate::sema::hir::{DefId, DefKind, LocalId};
use crate::train::GaussianProcess;
use indexmap::IndexMap;
use std::rc::Rc;

/// Something sought, with its first value.
pub enum Sought {
    Number { initial: Tensor, bounds: Option<(f64, f64)> },
    Net { def: DefId, net: Value, ports: Ports, weights: Vec<Tensor>, ensemble: usize },
}

/// Under which name.
pub type Place = (LocalId, String, Sought);

/// A Gaussian process that serves a closure: it gives what the head takes.
#[derive(Debug)]
pub struct Process {
    pub process: GaussianProcess,
    pub head: Head,
    /// Range of each argument in the data.
    pub range: Vec<(f64, f64)>,
}

/// Steps in the search for the largest likelihood.
const ITERATIONS: usize = 100;

impl Sought {
    pub fn initial(&self) -> Vec<Tensor> {
        match self {
            Sought::Number { initial, .. } => vec![initial.clone()],
            Sought::Net { weights, .. } => weights.clone(),
        }
    }

    /// Of each tensor.
    pub fn bounds(&self) -> Vec<Option<(f64, f64)>> {
        match self {
            Sought::Number { bounds, .. } => vec![*bounds],
            Sought::Net { weights, .. } => vec![None; weights.len()],
        }
    }

    /// Number of tensors.
    pub fn count(&self) -> usize {
        match self {
            Sought::Number { .. } => 1,
            Sought::Net { weights, .. } => weights.len(),
        }
    }
}

/// Size of the largest ensemble.
pub fn members(sought: &[Place]) -> usize {
    let size = |s: &Sought| if let Sought::Net { ensemble, .. } = s { *ensemble } else { 1 };
    sought.iter().map(|(_, _, s)| size(s)).max().unwrap_or(1)
}

impl Lower<'_> {
    /// Binds what is sought to numbers; gives it by name. `member`: only this one of each ensemble.
    pub fn bind_sought(
        &self,
        sought: &[Place],
        given: &[Num],
        env: &mut Env,
        member: Option<usize>,
    ) -> IndexMap<String, Value> {
        let mut at = 0;
        let mut out = IndexMap::new();
        for (local, name, s) in sought {
            let numbers = &given[at..at + s.count()];
            at += s.count();
            let value = match s {
                Sought::Number { .. } => Value::Num(numbers[0].clone()),
                Sought::Net { def, net, ports, weights, ensemble } => {
                    let each = weights.len() / ensemble;
                    let (weights, ensemble) = match member {
                        Some(m) => (numbers[m % ensemble * each..][..each].to_vec(), 1),
                        None => (numbers.to_vec(), *ensemble),
                    };
                    let net = PortedNet { net: net.clone(), weights, ports: ports.clone(), ensemble };
                    Value::Closure(Rc::new(Closure { def: *def, behind: Behind::Net(Rc::new(net)) }))
                }
            };
            env.set(*local, value.clone());
            out.insert(name.clone(), value);
        }
        out
    }

    pub fn sought_net(&mut self, def: DefId, name: &str, net: &Value, env: &Env, span: Span) -> Result<Sought> {
        let ports = self.ports(def, env, span)?;
        let ensemble = self.ensemble(net, span)?;
        let mut weights = vec![];
        for m in 0..ensemble {
            let stream = if ensemble == 1 { name.to_string() } else { format!("{name}.{m}") };
            weights.extend(self.initial_weights(net, &ports, &stream, span)?.into_iter().map(|(_, t)| t));
        }
        Ok(Sought::Net { def, net: net.clone(), ports, weights, ensemble })
    }

    fn ensemble(&mut self, net: &Value, span: Span) -> Result<usize> {
        let Value::Net(net) = net else { return Ok(1) };
        let NetValue::Layer { def, hyper } = &**net else { return Ok(1) };
        let program = self.program;
        let DefKind::Net { hyper: params, .. } = &program.def(*def).kind else { return Ok(1) };
        match params.iter().find(|p| p.name == "ensemble").and_then(|p| hyper.get(p.local)) {
            Some(v) => Ok(self.known_int(v, "`ensemble`", span)?.max(1)),
            None => Ok(1),
        }
    }

    /// A process fitted to the training rows of the sample whose column the closure computed.
    pub fn fit_process(&mut self, def: DefId, env: &Env, span: Span) -> Result<Value> {
        let Some((sample, column)) = self.column_of(def, env) else {
            return error_help(
                "nets.port",
                span,
                "a Gaussian process is fitted to data, and no sample here has a column that this closure computed",
                "let `D` have a row like `k = exact(T, φ)`, and take a sample of it first: `let cells = sample(D(), n=50)`",
            );
        };
        let rows: Vec<u32> = match sample.splits.get("train") {
            Some(rows) => rows.to_vec(),
            None => (0..sample.rows as u32).collect(),
        };
        let train = self.rows_of(&sample, &rows);
        let mut x = vec![vec![]; rows.len()];
        let mut range = vec![];
        for arg in &column.args {
            let Some(c) = train.columns.get(arg) else {
                return error("nets.port", span, format!("the argument `{arg}` is no column of the sample"));
            };
            let values = self.compute(std::slice::from_ref(&c.values), span)?.remove(0).to_f64();
            x.iter_mut().zip(&values).for_each(|(x, v)| x.push(*v));
            range.push(range_of(&values));
        }
        let name = sample.columns.iter().find(|(_, c)| c.closure == Some(def)).map(|(n, _)| n.clone());
        let values = &train.columns[&name.unwrap_or_default()].values;
        let results = self.compute(std::slice::from_ref(values), span)?.remove(0);
        let head = self.head(def, Some(&results), span)?;
        let width = results.ty.len() / rows.len().max(1);
        let mut y = vec![];
        for (i, row) in results.to_f64().chunks(width.max(1)).enumerate() {
            match head.inverse(row) {
                _ if self.runtime.guesses() => y.extend(vec![(i % 7) as f64; head.outputs()]),
                Some(z) => y.extend(z),
                None => return error("nets.port", span, "a row of the data does not keep the closure's contract"),
            }
        }
        let process = GaussianProcess::fit(&x.concat(), column.args.len(), &y, head.outputs(), ITERATIONS)
            .or_else(|e| error("run.training", span, e))?;
        let process = Process { process, head, range };
        Ok(Value::Closure(Rc::new(Closure { def, behind: Behind::Process(Rc::new(process)) })))
    }

    /// The sample and its column that an implementation of the closure computed from other columns.
    fn column_of(&self, def: DefId, env: &Env) -> Option<(Rc<Sample>, super::value::Column)> {
        let params = self.closure_params(def).len();
        samples(env).find_map(|s| {
            let c = s.columns.values().find(|c| c.closure == Some(def) && c.args.len() == params)?;
            Some((s.clone(), c.clone()))
        })
    }

    /// Normalisers from the data: the column that an implementation of the same closure computed, and its arguments' columns.
    fn ports(&mut self, def: DefId, env: &Env, span: Span) -> Result<Ports> {
        let params = self.closure_params(def).len();
        let Some((sample, column)) = self.column_of(def, env) else {
            self.warnings.push(
                crate::base::Diagnostic::warning(
                    "nets.port",
                    span,
                    "the ports of this net are not normalised: no sample has a column that this closure computed",
                )
                .help("train on `sample(D(), …)` where `D` has a row like `k = exact(T, φ)`"),
            );
            return Ok(Ports { inputs: vec![(0.0, 1.0); params], range: vec![], head: self.head(def, None, span)? });
        };
        let (mut inputs, mut range) = (vec![], vec![]);
        for arg in &column.args {
            let Some(c) = sample.columns.get(arg) else {
                inputs.push((0.0, 1.0));
                range.push((f64::NEG_INFINITY, f64::INFINITY));
                continue;
            };
            let t = self.compute(std::slice::from_ref(&c.values), span)?.remove(0);
            let (mean, deviation) = moments(Some(&t), 1);
            inputs.push((mean[0], deviation[0]));
            range.push(range_of(&t.to_f64()));
        }
        let results = self.compute(std::slice::from_ref(&column.values), span)?.remove(0);
        let head: Head = self.head(def, Some(&results), span)?;
        Ok(Ports { inputs, range, head })
    }
}

fn range_of(data: &[f64]) -> (f64, f64) {
    data.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)))
}
