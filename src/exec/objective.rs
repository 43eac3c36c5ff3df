//! The losses of a training with their gradients, compiled over one flat vector of parameters, in memory that is kept from step
//! to step.

use super::engine::Engine;
use crate::ad;
use crate::backend::watch::Watch;
use crate::backend::{Executable, View, ViewMut};
use crate::ir::build::drop_dead;
use crate::ir::fault::Fault;
use crate::ir::{Builder, Func, Op, Tensor, Type};
use crate::lower::runtime::{Stage, Training};
use crate::passes;
use crate::train::lbfgs::Bounds;
use crate::train::{self, Precision};

/// Where nobody chose, a stage is run in single precision if loss and gradient at the start agree with double precision to this.
const AGREEMENT: f64 = 1e-3;

/// The losses of a training, compiled as stages ask for them.
pub struct Objective<'a> {
    training: &'a Training,
    engine: &'a Engine,
    plans: Vec<(Choice, Plan)>,
    validation: Option<Executable>,
    /// Losses over the validation rows.
    validated: Vec<f64>,
    /// The plan of the stage.
    current: usize,
    names: Vec<String>,
    parts: Vec<f64>,
    /// Hears of runs in time that go wrong.
    watch: &'a dyn Watch,
    pub unusable: Unusable,
    /// Of each stage.
    pub precisions: Vec<Precision>,
}

/// Evaluations whose loss or gradient was not finite.
#[derive(Default)]
pub struct Unusable {
    pub count: usize,
    /// Where the last was, and the run in time that broke there, if one did.
    pub last: Option<(Vec<f64>, Option<Fault>)>,
}

/// What a compiled function is for.
#[derive(Clone, PartialEq)]
struct Choice {
    /// Losses that are summed.
    on: Vec<usize>,
    /// Weights that move.
    of: Vec<usize>,
    /// Which of the training's batches; None: all rows.
    batch: Option<usize>,
    precision: Precision,
}

/// `(x, rows?) → (total and losses, gradient)`, and memory for the values.
struct Plan {
    run: Executable,
    /// The losses alone, once they were wanted.
    losses: Option<Executable>,
    values: Vec<f64>,
    narrow: Vec<f32>,
}

impl<'a> Objective<'a> {
    pub fn new(training: &'a Training, engine: &'a Engine, watch: &'a dyn Watch) -> Result<Objective<'a>, Fault> {
        let validation = match &training.validation {
            Some(losses) => Some(engine.compile(&flat_values(losses, &training.initial))?),
            None => None,
        };
        // One loss is the total.
        let names = if training.names.len() > 1 { training.names.clone() } else { vec![] };
        let (parts, validated) = (vec![f64::NAN; names.len()], vec![0.0; training.names.len()]);
        let precisions = vec![Precision::Double; training.stages.len()];
        let mut o = Objective {
            training,
            engine,
            plans: vec![],
            validation,
            validated,
            current: 0,
            names,
            parts,
            watch,
            unusable: Unusable::default(),
            precisions,
        };
        for (k, s) in training.stages.iter().enumerate().filter(|(_, s)| s.kind == "adam") {
            let single = match s.precision {
                Some(p) => p == Precision::Single,
                None => training.nets_alone && o.agrees(s),
            };
            o.precisions[k] = if single { Precision::Single } else { Precision::Double };
        }
        o.unusable = Unusable::default();
        Ok(o)
    }

    pub fn initial(&self) -> Vec<f64> {
        self.training.initial.iter().flat_map(|w| w.to_f64()).collect()
    }

    /// Each loss over all rows, at what a training has found: a run in time that goes wrong there is a fault.
    pub fn losses(&self, x: &[f64]) -> Result<Vec<f64>, Fault> {
        let t = self.training;
        let run = self.engine.compile(&flat_values(&t.losses, &t.initial))?;
        let values = run.run_guarded(&[Tensor::f64([x.len()], x)], self.watch)?;
        Ok(values[0].to_f64())
    }

    /// Notes an evaluation that is of no use. The losses run again there, each of their runs in time looked at.
    fn unusable(&mut self, x: &[f64], batch: Option<&[u32]>) {
        self.unusable.count += 1;
        let t = self.training;
        let (choice, plan) = &mut self.plans[self.current];
        if plan.losses.is_none() {
            let all = choice.batch.map_or(&t.losses, |b| &t.batches[b].losses);
            let chosen = Func { outputs: choice.on.iter().map(|&k| all.outputs[k]).collect(), ..all.clone() };
            plan.losses = self.engine.compile(&flat_values(&drop_dead(chosen), &t.initial)).ok();
        }
        let mut inputs = vec![Tensor::f64([x.len()], x)];
        inputs.extend(batch.map(|rows| Tensor::index([rows.len()], rows.to_vec())));
        let told = plan.losses.as_ref().and_then(|run| run.run_guarded(&inputs, self.watch).err());
        self.unusable.last = Some((x.to_vec(), told));
    }

    /// Whether single precision gives the loss and gradient of this stage at the start.
    fn agrees(&mut self, s: &Stage) -> bool {
        let x = self.initial();
        let (mut wide, mut g) = (f64::NAN, vec![0.0; x.len()]);
        let (mut thin, mut h) = (f64::NAN, vec![0.0; x.len()]);
        for precision in [Precision::Double, Precision::Single] {
            let choice = Choice { on: s.on.clone(), of: s.of.clone(), batch: None, precision };
            if self.select(choice).is_err() {
                return false;
            }
            let value = match precision {
                Precision::Double => train::Objective::value_and_gradient(self, &x, None, &mut g).map(|v| wide = v),
                Precision::Single => {
                    let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
                    let mut out = vec![0.0f32; x.len()];
                    let value = train::Objective::value_and_gradient_single(self, &narrow, None, &mut out);
                    h.iter_mut().zip(out).for_each(|(h, o)| *h = o as f64);
                    value.map(|v| thin = v)
                }
            };
            if value.is_err() {
                return false;
            }
        }
        let size = g.iter().map(|g| g * g).sum::<f64>().sqrt();
        let off = g.iter().zip(&h).map(|(g, h)| (g - h) * (g - h)).sum::<f64>().sqrt();
        (thin - wide).abs() <= AGREEMENT * wide.abs() && off <= AGREEMENT * size
    }

    /// Makes the plan for a choice the current one.
    fn select(&mut self, choice: Choice) -> Result<(), Fault> {
        if let Some(k) = self.plans.iter().position(|(c, _)| *c == choice) {
            self.current = k;
            return Ok(());
        }
        let t = self.training;
        let losses = choice.batch.map_or(&t.losses, |b| &t.batches[b].losses);
        let f = flat_gradient(losses, &t.initial, &choice.on, &choice.of);
        let f = if choice.precision == Precision::Single { passes::single(&f) } else { f };
        let values = 1 + choice.on.len();
        let run = self.engine.compile(&f)?;
        self.plans.push((choice, Plan { run, losses: None, values: vec![0.0; values], narrow: vec![0.0; values] }));
        self.current = self.plans.len() - 1;
        Ok(())
    }

    /// The total; notes the losses.
    fn told(&mut self) -> f64 {
        let (choice, plan) = &self.plans[self.current];
        if !self.parts.is_empty() {
            self.parts.fill(f64::NAN);
            choice.on.iter().zip(&plan.values[1..]).for_each(|(&k, v)| self.parts[k] = *v);
        }
        plan.values[0]
    }
}

impl train::Objective for Objective<'_> {
    type Error = Fault;

    fn value_and_gradient(&mut self, x: &[f64], batch: Option<&[u32]>, g: &mut [f64]) -> Result<f64, Fault> {
        let plan = &mut self.plans[self.current].1;
        let inputs = [View::F64(x), View::Index(batch.unwrap_or(&[]))];
        let outputs = &mut [ViewMut::F64(&mut plan.values), ViewMut::F64(g)];
        plan.run.run_into(&inputs[..1 + batch.is_some() as usize], outputs)?;
        if !(plan.values[0].is_finite() && g.iter().all(|g| g.is_finite())) {
            self.unusable(x, batch);
        }
        Ok(self.told())
    }

    fn value_and_gradient_single(&mut self, x: &[f32], batch: Option<&[u32]>, g: &mut [f32]) -> Result<f64, Fault> {
        let plan = &mut self.plans[self.current].1;
        let inputs = [View::F32(x), View::Index(batch.unwrap_or(&[]))];
        let outputs = &mut [ViewMut::F32(&mut plan.narrow), ViewMut::F32(g)];
        plan.run.run_into(&inputs[..1 + batch.is_some() as usize], outputs)?;
        plan.values.iter_mut().zip(&plan.narrow).for_each(|(v, n)| *v = *n as f64);
        if !(plan.values[0].is_finite() && g.iter().all(|g| g.is_finite())) {
            let wide: Vec<f64> = x.iter().map(|x| *x as f64).collect();
            self.unusable(&wide, batch);
        }
        Ok(self.told())
    }

    fn begin(&mut self, stage: usize) -> Result<(), Fault> {
        let s = &self.training.stages[stage];
        let size = s.numbers.get("batch").map(|b| *b as usize);
        let batch = self.training.batches.iter().position(|b| Some(b.size) == size);
        self.select(Choice { on: s.on.clone(), of: s.of.clone(), batch, precision: self.precisions[stage] })
    }

    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn parts(&self) -> &[f64] {
        &self.parts
    }

    fn rows(&self) -> usize {
        match self.plans[self.current].0.batch {
            Some(b) => self.training.batches[b].rows,
            None => 0,
        }
    }

    fn validation(&mut self, x: &[f64]) -> Result<Option<f64>, Fault> {
        let Some(run) = &self.validation else { return Ok(None) };
        run.run_into(&[View::F64(x)], &mut [ViewMut::F64(&mut self.validated)])?;
        Ok(Some(self.plans[self.current].0.on.iter().map(|&k| self.validated[k]).sum()))
    }

    fn bounds(&self) -> Option<Bounds> {
        let t = self.training;
        t.bounds.iter().any(|b| b.is_some()).then(|| {
            let side = |f: fn(&(f64, f64)) -> f64, open: f64| {
                let each = |(w, b): (&Tensor, &Option<(f64, f64)>)| vec![b.as_ref().map_or(open, f); w.ty.len()];
                t.initial.iter().zip(&t.bounds).flat_map(each).collect::<Vec<_>>()
            };
            Bounds { low: side(|b| b.0, f64::NEG_INFINITY), high: side(|b| b.1, f64::INFINITY) }
        })
    }
}

/// Inputs: all weights in one vector, then what else `f` takes. Gives the weights, and all arguments of `f`.
fn open_flat(b: &mut Builder, f: &Func, weights: &[Tensor]) -> Vec<crate::ir::Value> {
    let x = b.input(Type::f64([weights.iter().map(|w| w.ty.len()).sum()]));
    let mut at = 0;
    let mut args = vec![];
    for w in weights {
        let part = b.slice(x, 0, at, at + w.ty.len());
        args.push(b.reshape(part, &w.ty.shape));
        at += w.ty.len();
    }
    args.extend(f.inputs[weights.len()..].iter().map(|t| b.input(t.clone())));
    args
}

/// `(x) → losses`
fn flat_values(losses: &Func, weights: &[Tensor]) -> Func {
    let mut b = Builder::new("validation");
    let args = open_flat(&mut b, losses, weights);
    let values = b.inline(losses, &args);
    let values = b.stack(&values, 0);
    b.finish(vec![values])
}

/// `(x, …) → ((total, losses on…), gradient)`: the sum of the chosen losses and its gradient with respect to the chosen weights,
/// zero for the others.
fn flat_gradient(losses: &Func, weights: &[Tensor], on: &[usize], of: &[usize]) -> Func {
    let total = {
        let mut b = Builder::new("losses");
        let args: Vec<_> = losses.inputs.iter().map(|t| b.input(t.clone())).collect();
        let all = b.inline(losses, &args);
        let chosen: Vec<_> = on.iter().map(|&k| all[k]).collect();
        let sum = chosen[1..].iter().fold(chosen[0], |s, &x| b.add(s, x));
        b.finish(std::iter::once(sum).chain(chosen).collect())
    };
    let gradient = ad::gradient(&total, of);
    let mut b = Builder::new("gradient");
    let args = open_flat(&mut b, losses, weights);
    let out = b.inline(&gradient, &args);
    let (values, found) = out.split_at(1 + on.len());
    let values = b.stack(values, 0);
    let parts: Vec<_> = weights
        .iter()
        .enumerate()
        .map(|(k, w)| match of.iter().position(|&o| o == k) {
            Some(i) => b.reshape(found[i], &[w.ty.len()]),
            None => b.zeros(&Type::f64([w.ty.len()])),
        })
        .collect();
    let gradient = match &parts[..] {
        [one] => *one,
        several => b.op(Op::Concat(0), several),
    };
    b.finish(vec![values, gradient])
}
