//! The second executor: every operation on candle tensors, bodies by recursion. It shares no kernels with the native back end,
//! and never uses candle's own differentiation. What candle lacks (`atan`, `atan2`, general powers) is computed on the host.

mod operations;
mod tensors;

use super::memo::Remembered;
use super::system;
use crate::ir::{Fault, Func, Jacobian, MemoSpec, Op, SolveSpec, Tensor, Type, Value, Within, fourier};
use crate::solve::newton::{NewtonFailure, NewtonOptions, newton};
use crate::solve::{self, Failure, LinearSystem};
use candle_core::{Device, Error, Tensor as CTensor};
use operations::{gather, plain};
use std::sync::Arc;
use tensors::{from_candle, numbers, stack, to_candle};

/// A function and the linear systems in it.
pub struct Candle {
    func: Func,
    systems: Vec<System>,
    /// Of the memos by their bodies, so that what they remember lives as long as this.
    memos: Memos,
}

struct System {
    residual: Arc<Func>,
    spec: Arc<SolveSpec>,
    jacobian: Arc<Jacobian>,
    plan: Arc<solve::Plan>,
}

impl Candle {
    pub fn compile(f: &Func) -> Result<Candle, Fault> {
        let (mut systems, mut memos) = (vec![], vec![]);
        find_systems(f, &mut systems, &mut memos)?;
        Ok(Candle { func: f.clone(), systems, memos })
    }

    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Fault> {
        let name = &self.func.name;
        let inputs = inputs.iter().map(to_candle).collect::<Result<Vec<_>, _>>().map_err(|e| fault(name, e))?;
        let out = self.call(&self.func, &inputs)?;
        let types = self.func.output_types();
        let back = out.iter().zip(&types).map(|(t, ty)| from_candle(t, ty)).collect::<Result<Vec<_>, _>>();
        back.map_err(|e| fault(name, e))
    }

    fn call(&self, f: &Func, inputs: &[CTensor]) -> Result<Vec<CTensor>, Fault> {
        let mut last = vec![0; f.nodes.len()];
        f.values().for_each(|(v, n)| n.args.iter().for_each(|a| last[a.index()] = v.index()));
        f.outputs.iter().for_each(|v| last[v.index()] = usize::MAX);
        let mut results: Vec<Vec<CTensor>> = Vec::with_capacity(f.nodes.len());
        for (v, node) in f.values() {
            let made = match &node.op {
                Op::Input(k) => vec![inputs[*k].clone()],
                Op::Get(k) => vec![results[node.args[0].index()][*k].clone()],
                op => {
                    let args: Vec<CTensor> = node.args.iter().map(|a: &Value| results[a.index()][0].clone()).collect();
                    self.apply(f, op, &args, &node.types)?
                }
            };
            results.push(made);
            for a in node.args.iter().filter(|a| last[a.index()] == v.index()) {
                results[a.index()] = vec![];
            }
        }
        Ok(f.outputs.iter().map(|v| results[v.index()][0].clone()).collect())
    }

    fn apply(&self, f: &Func, op: &Op, args: &[CTensor], types: &[Type]) -> Result<Vec<CTensor>, Fault> {
        let told = |e: Error| fault(&f.name, e);
        let item = |t: &CTensor, i: usize| t.get(i).map_err(told);
        match op {
            Op::Map { body, n, mapped } => {
                let mut rows = Vec::with_capacity(*n);
                for i in 0..*n {
                    let inputs = args.iter().zip(mapped).map(|(t, &m)| if m { item(t, i) } else { Ok(t.clone()) });
                    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
                    rows.push(self.call(body, &inputs).map_err(|e| e.within(Within::Item(i, *n)))?);
                }
                (0..types.len()).map(|k| stack(&types[k], rows.iter().map(|r| &r[k])).map_err(told)).collect()
            }
            Op::Scan { body, length, carry, xs, reverse } => {
                let mut state = args[..*carry].to_vec();
                let mut rows = vec![vec![]; *length];
                for step in 0..*length {
                    let i = if *reverse { length - 1 - step } else { step };
                    let mut inputs = state;
                    for t in &args[*carry..carry + xs] {
                        inputs.push(item(t, i)?);
                    }
                    inputs.extend_from_slice(&args[carry + xs..]);
                    let mut out =
                        self.call(body, &inputs).map_err(|e| e.within(Within::Step(body.name.clone(), step)))?;
                    rows[i] = out.split_off(*carry);
                    state = out;
                }
                for (k, ty) in types[*carry..].iter().enumerate() {
                    state.push(stack(ty, rows.iter().map(|r: &Vec<CTensor>| &r[k])).map_err(told)?);
                }
                Ok(state)
            }
            Op::Cond { then, otherwise } => {
                let mask = numbers(&args[0]).map_err(told)?[0];
                self.call(if mask != 0.0 { then } else { otherwise }, &args[1..])
            }
            Op::Memo { body, spec } => self.remembered(body, spec, args, types),
            Op::Solve { residual, spec } => {
                Ok(vec![self.solve(self.system(residual, spec), args, &types[0]).map_err(|e| e.fault(f))?])
            }
            Op::LinearSolve { residual, spec, transposed } => {
                let s = self.system(residual, spec);
                let u = numbers(&args[1]).map_err(told)?;
                let mut linear = LinearSystem::new(s.plan.clone());
                linear.set_values(&self.matrix(s, &u, &args[1], &args[2..]).map_err(|e| e.fault(f))?);
                let mut x = vec![0.0; u.len()];
                let rhs = numbers(&args[0]).map_err(told)?;
                match linear.solve(&rhs, &mut x, *transposed) {
                    Ok(_) => {}
                    Err(_) if s.spec.may_fail => x.fill(0.0),
                    Err(e) => return Err(system::linear_fault(&s.spec, &e)),
                }
                Ok(vec![CTensor::from_vec(x, types[0].shape.clone(), &Device::Cpu).map_err(told)?])
            }
            Op::Gather => {
                let index: Vec<u32> = args[1].flatten_all().and_then(|t| t.to_vec1()).map_err(told)?;
                let n = args[0].dims()[0];
                if let Some(i) = index.iter().find(|&&i| i as usize >= n) {
                    return Err(Fault::new(&f.name, format!("index {i} is out of range for an axis of {n}")));
                }
                Ok(vec![gather(&args[0], index, &types[0]).map_err(told)?])
            }
            Op::Rfft { .. } | Op::Irfft { .. } => {
                let ty = Type::new(types[0].dtype, args[0].dims().to_vec());
                self.call(&fourier::as_products(op, &ty), args)
            }
            _ => Ok(vec![plain(op, args, &types[0]).map_err(told)?]),
        }
    }

    fn remembered(
        &self,
        body: &Arc<Func>,
        spec: &Arc<MemoSpec>,
        args: &[CTensor],
        types: &[Type],
    ) -> Result<Vec<CTensor>, Fault> {
        let told = |e: Error| fault(&body.name, e);
        let found = self.memos.iter().find(|(b, s, _)| Arc::ptr_eq(b, body) && Arc::ptr_eq(s, spec));
        let memo = &found.expect("compiler bug: a memo that was not prepared").2;
        let (mut x, mut fixed) = (vec![], vec![]);
        for (k, t) in args.iter().enumerate() {
            if memo.keyed(k) {
                x.extend(numbers(t).map_err(told)?);
            } else {
                fixed.extend(from_candle(t, &body.inputs[k]).map_err(told)?.bytes());
            }
        }
        let at_knot = |x: &[f64]| -> Result<Vec<f64>, Fault> {
            let (mut inputs, mut at) = (args.to_vec(), 0);
            for (k, ty) in body.inputs.iter().enumerate().filter(|(k, _)| memo.keyed(*k)) {
                inputs[k] = to_candle(&Tensor::of(ty, &x[at..at + ty.len()])).map_err(told)?;
                at += ty.len();
            }
            let results = self.call(body, &inputs)?;
            Ok(results.iter().map(|r| numbers(r).map_err(told)).collect::<Result<Vec<_>, _>>()?.concat())
        };
        let results = memo.results(&x, &fixed, &at_knot)?;
        results.iter().zip(types).map(|(r, ty)| to_candle(&Tensor::of(ty, r)).map_err(told)).collect()
    }

    fn system(&self, residual: &Arc<Func>, spec: &Arc<SolveSpec>) -> &System {
        let found = self.systems.iter().find(|s| Arc::ptr_eq(&s.residual, residual) && Arc::ptr_eq(&s.spec, spec));
        found.expect("compiler bug: a system that was not prepared")
    }

    /// Arguments `(guess, p…)`.
    fn solve(&self, s: &System, args: &[CTensor], ty: &Type) -> Result<CTensor, Trouble> {
        let mut u = numbers(&args[0])?;
        let mut linear = LinearSystem::new(s.plan.clone());
        let options = NewtonOptions {
            tolerance: s.spec.newton_tolerance,
            iterations: s.spec.newton_iterations,
            affine: s.spec.linear,
        };
        let mut inner = None;
        let outcome = newton(
            &mut u,
            options,
            &mut (
                |u: &[f64], r: &mut [f64]| {
                    let mut inputs = vec![CTensor::from_slice(u, ty.shape.clone(), &Device::Cpu)?];
                    inputs.extend_from_slice(&args[1..]);
                    let out = self.call(&s.residual, &inputs).map_err(Trouble::Fault)?;
                    r.copy_from_slice(&numbers(&out[0])?);
                    Ok(())
                },
                |u: &[f64], r: &[f64], d: &mut [f64]| match self.matrix(s, u, &args[0], &args[1..]) {
                    Ok(values) => {
                        linear.set_values(&values);
                        linear.solve(r, d, false).map(|stats| stats.residual)
                    }
                    Err(trouble) => {
                        inner = Some(trouble);
                        Err(Failure::NotFinite { unknown: 0 })
                    }
                },
            ),
        );
        match (outcome, inner) {
            (Ok(_), _) => Ok(CTensor::from_vec(u, ty.shape.clone(), &Device::Cpu)?),
            (Err(_), _) if s.spec.may_fail => {
                system::unsolved(&numbers(&args[0])?, &mut u);
                Ok(CTensor::from_vec(u, ty.shape.clone(), &Device::Cpu)?)
            }
            (Err(_), Some(trouble)) => Err(trouble),
            (Err(Trouble::Newton(failure)), None) => Err(Trouble::Fault(system::newton_fault(&s.spec, &failure, &u))),
            (Err(trouble), None) => Err(trouble),
        }
    }

    /// Values of the Jacobian at u in the order of its pattern. `like`: a tensor of the unknown's shape.
    fn matrix(&self, s: &System, u: &[f64], like: &CTensor, p: &[CTensor]) -> Result<Vec<f64>, Trouble> {
        let mut inputs = vec![CTensor::from_slice(u, like.dims(), &Device::Cpu)?];
        inputs.extend_from_slice(p);
        let out = self.call(&s.jacobian.values, &inputs).map_err(Trouble::Fault)?;
        let blocks = out.iter().map(numbers).collect::<Result<Vec<_>, _>>()?;
        let blocks: Vec<&[f64]> = blocks.iter().map(|b| b.as_slice()).collect();
        let mut values = vec![0.0; s.plan.pattern().entries()];
        s.plan.pattern().assemble(&blocks, &mut values);
        Ok(values)
    }
}

type Memos = Vec<(Arc<Func>, Arc<MemoSpec>, Remembered)>;

fn find_systems(f: &Func, systems: &mut Vec<System>, memos: &mut Memos) -> Result<(), Fault> {
    for node in &f.nodes {
        if let Op::Memo { body, spec } = &node.op {
            memos.push((body.clone(), spec.clone(), Remembered::new(body, spec, "candle")));
        }
        if let Op::Solve { residual, spec } | Op::LinearSolve { residual, spec, .. } = &node.op {
            let known = systems.iter().any(|s| Arc::ptr_eq(&s.residual, residual) && Arc::ptr_eq(&s.spec, spec));
            if !known {
                let (jacobian, plan) = system::prepare(residual, spec, 1)?;
                find_systems(&jacobian.values, systems, memos)?;
                systems.push(System { residual: residual.clone(), spec: spec.clone(), jacobian, plan });
            }
        }
        for body in Func::bodies(&node.op) {
            find_systems(body, systems, memos)?;
        }
    }
    Ok(())
}

enum Trouble {
    Newton(NewtonFailure),
    Fault(Fault),
    Candle(Error),
}

impl From<NewtonFailure> for Trouble {
    fn from(f: NewtonFailure) -> Trouble {
        Trouble::Newton(f)
    }
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Trouble {
        Trouble::Candle(e)
    }
}

impl Trouble {
    fn fault(self, f: &Func) -> Fault {
        match self {
            Trouble::Fault(known) => known,
            Trouble::Candle(e) => fault(&f.name, e),
            Trouble::Newton(failure) => Fault::new(&f.name, failure.to_string()),
        }
    }
}

fn fault(place: &str, e: Error) -> Fault {
    Fault::new(place, format!("candle: {e}"))
}
