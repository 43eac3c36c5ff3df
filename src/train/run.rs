//! The driver of a training: stages one after the other over one flat parameter vector, with named losses, validation,
//! early stopping, detection of divergence, and a state that can be written down and resumed with the same bits.

use super::adam::{Adam, AdamOptions};
use super::bits;
use super::lbfgs::{Bounds, Lbfgs, LbfgsOptions, Progress};
use super::schedule::Schedule;
use super::vector::norm;
use crate::data::Stream;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is minimised.
pub trait Objective {
    type Error;

    /// Value at `x`, and its gradient into `g`. `batch` lists the rows of the dataset to use; `None` means all.
    /// All batches of a stage have the same length.
    fn value_and_gradient(&mut self, x: &[f64], batch: Option<&[u32]>, g: &mut [f64]) -> Result<f64, Self::Error>;

    /// A stage begins; an objective of several losses may select those of the stage.
    fn begin(&mut self, _stage: usize) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Names of the losses that the value is made of.
    fn names(&self) -> Vec<String> {
        vec![]
    }

    /// The losses at the last evaluation, in the order of `names`.
    fn parts(&self) -> &[f64] {
        &[]
    }

    /// Rows of the training set, for minibatches; 0 where there are none.
    fn rows(&self) -> usize {
        0
    }

    /// The loss over the validation set, where there is one.
    fn validation(&mut self, _x: &[f64]) -> Result<Option<f64>, Self::Error> {
        Ok(None)
    }

    /// A box that the parameters must stay in.
    fn bounds(&self) -> Option<Bounds> {
        None
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    pub kind: StageKind,
    /// Passes through the training set for Adam (steps, where there are no batches); iterations for L-BFGS.
    pub epochs: u64,
    /// Rows in a batch; `None` or at least all rows: every step uses all rows.
    /// Rows left over after the last full batch of an epoch are not used in it; each epoch has another order.
    pub batch: Option<usize>,
    /// Epochs between two looks at the validation loss.
    pub validate_every: u64,
    /// Stops after this many epochs without a better validation loss; the best parameters are restored at the end.
    pub patience: Option<u64>,
    /// Order of the rows.
    pub seed: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum StageKind {
    Adam { learning_rate: f64, schedule: Schedule, options: AdamOptions },
    Lbfgs(LbfgsOptions),
}

impl Stage {
    pub fn adam(learning_rate: f64, epochs: u64) -> Stage {
        let kind = StageKind::Adam { learning_rate, schedule: Schedule::Constant, options: AdamOptions::default() };
        Stage { name: "adam".into(), kind, epochs, batch: None, validate_every: 1, patience: None, seed: 0 }
    }

    pub fn lbfgs(iterations: u64) -> Stage {
        let kind = StageKind::Lbfgs(LbfgsOptions::default());
        Stage {
            name: "lbfgs".into(),
            kind,
            epochs: iterations,
            batch: None,
            validate_every: 1,
            patience: None,
            seed: 0,
        }
    }
}

/// One line of the history: an epoch of Adam or an iteration of L-BFGS.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Epoch {
    pub stage: usize,
    /// From 0 within the stage.
    pub epoch: u64,
    /// Mean over the epoch's steps of the value before each step (Adam), or the value after the iteration (L-BFGS).
    pub value: f64,
    /// The same of each named loss.
    pub parts: Vec<f64>,
    pub validation: Option<f64>,
    /// Of the last step.
    pub gradient_norm: f64,
    /// Of the last step; 0 for L-BFGS.
    pub learning_rate: f64,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct History {
    pub names: Vec<String>,
    pub epochs: Vec<Epoch>,
    /// How each finished stage ended.
    pub stages: Vec<StopReason>,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum StopReason {
    /// All epochs were run.
    Finished,
    /// The gradient vanished to its tolerance.
    Converged,
    /// The line search found nothing better: usually rounding.
    Stalled,
    /// The validation loss did not improve; the parameters of this epoch were restored.
    Patience { best: u64 },
    /// The observer asked to stop.
    Interrupted,
}

/// Everything a training needs to go on with the same bits as if it had not stopped.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    pub stage: usize,
    /// Finished epochs of the stage.
    pub epoch: u64,
    #[serde(with = "bits")]
    pub x: Vec<f64>,
    optimiser: Optimiser,
    best: Option<Best>,
    pub history: History,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Optimiser {
    /// The stage has not begun.
    None,
    Adam(Adam<f64>),
    Lbfgs(Lbfgs),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Best {
    epoch: u64,
    /// One number.
    #[serde(with = "bits")]
    loss: Vec<f64>,
    #[serde(with = "bits")]
    x: Vec<f64>,
}

impl Checkpoint {
    pub fn new(x: Vec<f64>) -> Checkpoint {
        Checkpoint { stage: 0, epoch: 0, x, optimiser: Optimiser::None, best: None, history: History::default() }
    }
}

/// Hears of the progress. The training's result depends on it only through `Control::Stop`.
pub trait Observer {
    fn epoch(&mut self, _stage: &Stage, _epoch: &Epoch) -> Control {
        Control::Continue
    }

    /// Called after each epoch with a state that may be kept; serialise it as often as is worth the time.
    fn checkpoint(&mut self, _state: &Checkpoint) {}
}

/// An observer that looks away.
impl Observer for () {}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    Continue,
    Stop,
}

#[derive(Debug, PartialEq)]
pub enum TrainError<E> {
    Objective(E),
    /// The value or the gradient is not finite, or the value has grown beyond all measure.
    Diverged {
        stage: String,
        epoch: u64,
        value: f64,
        /// The last value that was finite, if there was one.
        last_finite: Option<f64>,
        learning_rate: f64,
    },
}

impl<E: fmt::Display> fmt::Display for TrainError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrainError::Objective(e) => e.fmt(f),
            TrainError::Diverged { stage, epoch, value, last_finite, learning_rate } => {
                let what = if value.is_finite() { format!("the loss is {value:e}") } else { "not a number".into() };
                write!(f, "stage `{stage}` diverged in epoch {epoch}: {what}")?;
                match last_finite {
                    Some(v) => write!(f, "; the last loss before was {v:e}")?,
                    None => write!(f, " at the very first evaluation")?,
                }
                if *learning_rate > 0.0 { write!(f, ", at learning rate {learning_rate:e}") } else { Ok(()) }
            }
        }
    }
}

/// A value this many times the stage's first one (or 1) counts as divergence.
const DIVERGENCE: f64 = 1e8;

/// Runs all stages from `x`; leaves the trained parameters there.
pub fn run<O: Objective>(
    stages: &[Stage],
    objective: &mut O,
    x: &mut Vec<f64>,
    observer: &mut dyn Observer,
) -> Result<History, TrainError<O::Error>> {
    let state = resume(stages, objective, Checkpoint::new(std::mem::take(x)), observer)?;
    *x = state.x;
    Ok(state.history)
}

/// Goes on from a checkpoint of the same stages and objective.
pub fn resume<O: Objective>(
    stages: &[Stage],
    objective: &mut O,
    mut state: Checkpoint,
    observer: &mut dyn Observer,
) -> Result<Checkpoint, TrainError<O::Error>> {
    if state.history.stages.last() == Some(&StopReason::Interrupted) {
        state.history.stages.pop();
    }
    while let Some(stage) = stages.get(state.stage) {
        objective.begin(state.stage).map_err(TrainError::Objective)?;
        state.history.names = objective.names();
        let reason = run_stage(stage, objective, &mut state, observer)?;
        state.history.stages.push(reason);
        if reason == StopReason::Interrupted {
            break;
        }
        (state.stage, state.epoch, state.optimiser, state.best) = (state.stage + 1, 0, Optimiser::None, None);
    }
    Ok(state)
}

fn run_stage<O: Objective>(
    stage: &Stage,
    objective: &mut O,
    state: &mut Checkpoint,
    observer: &mut dyn Observer,
) -> Result<StopReason, TrainError<O::Error>> {
    let bounds = objective.bounds();
    if let Optimiser::None = state.optimiser {
        state.optimiser = match &stage.kind {
            StageKind::Adam { options, .. } => Optimiser::Adam(Adam::new(state.x.len(), *options)),
            StageKind::Lbfgs(options) => Optimiser::Lbfgs(Lbfgs::new(*options)),
        };
    }
    let mut reason = StopReason::Finished;
    let mut gradient = vec![0.0; state.x.len()];
    while state.epoch < stage.epochs && reason == StopReason::Finished {
        let (mut epoch, progress) = match &mut state.optimiser {
            Optimiser::Adam(adam) => {
                let at = (stage, state.stage, state.epoch);
                let e = adam_epoch(at, objective, adam, &mut state.x, &mut gradient, bounds.as_ref())?;
                (e, Progress::Moved)
            }
            Optimiser::Lbfgs(lbfgs) => {
                lbfgs_iteration(state.stage, state.epoch, objective, lbfgs, &mut state.x, bounds.as_ref())?
            }
            Optimiser::None => unreachable!("compiler bug: a stage without an optimiser"),
        };
        check_divergence(stage, &state.history, &epoch)?;
        state.epoch += 1;
        if state.epoch.is_multiple_of(stage.validate_every.max(1)) || state.epoch == stage.epochs {
            epoch.validation = objective.validation(&state.x).map_err(TrainError::Objective)?;
        }
        reason = match progress {
            Progress::Moved => StopReason::Finished,
            Progress::Converged => StopReason::Converged,
            Progress::Stalled => StopReason::Stalled,
        };
        if let (Some(patience), Some(loss)) = (stage.patience, epoch.validation) {
            if state.best.as_ref().is_none_or(|b| loss < b.loss[0] || b.loss[0].is_nan()) {
                state.best = Some(Best { epoch: epoch.epoch, loss: vec![loss], x: state.x.clone() });
            } else if let Some(b) = state.best.as_ref().filter(|b| epoch.epoch - b.epoch >= patience) {
                reason = StopReason::Patience { best: b.epoch };
            }
        }
        let control = observer.epoch(stage, &epoch);
        state.history.epochs.push(epoch);
        observer.checkpoint(state);
        if control == Control::Stop && reason == StopReason::Finished && state.epoch < stage.epochs {
            return Ok(StopReason::Interrupted);
        }
    }
    if let Some(best) = &state.best {
        state.x.copy_from_slice(&best.x);
    }
    Ok(reason)
}

/// One pass through the rows; batches in an order that depends on the seed and the epoch alone.
fn adam_epoch<O: Objective>(
    (stage, stage_index, epoch): (&Stage, usize, u64),
    objective: &mut O,
    adam: &mut Adam<f64>,
    x: &mut [f64],
    gradient: &mut [f64],
    bounds: Option<&Bounds>,
) -> Result<Epoch, TrainError<O::Error>> {
    let StageKind::Adam { learning_rate, schedule, .. } = &stage.kind else {
        unreachable!("compiler bug: Adam runs a stage of another kind")
    };
    let rows = objective.rows();
    let batch = stage.batch.filter(|b| (1..rows).contains(b));
    let order = match batch {
        Some(_) => Stream::new(stage.seed, "minibatch order").indexed(stage_index as u64).permutation(epoch, rows),
        None => vec![],
    };
    let steps = batch.map_or(1, |b| rows / b);
    let total = stage.epochs * steps as u64;
    let mut record = Epoch {
        stage: stage_index,
        epoch,
        value: 0.0,
        parts: vec![],
        validation: None,
        gradient_norm: 0.0,
        learning_rate: 0.0,
    };
    for k in 0..steps {
        let rows = batch.map(|b| &order[k * b..(k + 1) * b]);
        let value = objective.value_and_gradient(x, rows, gradient).map_err(TrainError::Objective)?;
        record.learning_rate = learning_rate * schedule.factor(adam.steps, total);
        record.gradient_norm = norm(gradient);
        record.value += value / steps as f64;
        record.parts.resize(objective.parts().len(), 0.0);
        record.parts.iter_mut().zip(objective.parts()).for_each(|(sum, p)| *sum += p / steps as f64);
        if !(value.is_finite() && record.gradient_norm.is_finite()) {
            // Not worth a step: it would destroy the parameters.
            record.value = if value.is_finite() { f64::NAN } else { value };
            return Ok(record);
        }
        adam.step(x, gradient, record.learning_rate);
        if let Some(b) = bounds {
            b.project(x);
        }
    }
    Ok(record)
}

fn lbfgs_iteration<O: Objective>(
    stage: usize,
    epoch: u64,
    objective: &mut O,
    lbfgs: &mut Lbfgs,
    x: &mut [f64],
    bounds: Option<&Bounds>,
) -> Result<(Epoch, Progress), TrainError<O::Error>> {
    let mut evaluate = |x: &[f64], g: &mut [f64]| objective.value_and_gradient(x, None, g);
    let progress = lbfgs.step(x, bounds, &mut evaluate).map_err(TrainError::Objective)?;
    let record = Epoch {
        stage,
        epoch,
        value: lbfgs.value().unwrap_or(f64::NAN),
        parts: objective.parts().to_vec(),
        validation: None,
        gradient_norm: norm(lbfgs.gradient()),
        learning_rate: 0.0,
    };
    Ok((record, progress))
}

fn check_divergence<E>(stage: &Stage, history: &History, epoch: &Epoch) -> Result<(), TrainError<E>> {
    let of_stage = history.epochs.iter().find(|e| e.stage == epoch.stage);
    let limit = DIVERGENCE * of_stage.map_or(f64::INFINITY, |e| e.value.abs().max(1.0));
    if epoch.value.is_finite() && epoch.gradient_norm.is_finite() && epoch.value.abs() <= limit {
        return Ok(());
    }
    Err(TrainError::Diverged {
        stage: stage.name.clone(),
        epoch: epoch.epoch,
        value: epoch.value,
        last_finite: history.epochs.last().map(|e| e.value),
        learning_rate: epoch.learning_rate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Least squares of a line through (t, 2t - 1), two parameters, rows given.
    struct Line {
        t: Vec<f64>,
        parts: Vec<f64>,
        batches: Vec<Vec<u32>>,
        validation: fn(&[f64]) -> Option<f64>,
        scale: f64,
    }

    impl Line {
        fn new() -> Line {
            let t = (0..10).map(|i| i as f64 / 5.0 - 1.0).collect();
            Line { t, parts: vec![0.0; 2], batches: vec![], validation: |_| None, scale: 1.0 }
        }
    }

    impl Objective for Line {
        type Error = String;
        fn value_and_gradient(&mut self, x: &[f64], batch: Option<&[u32]>, g: &mut [f64]) -> Result<f64, String> {
            let all: Vec<u32> = (0..self.t.len() as u32).collect();
            let rows = batch.unwrap_or(&all);
            self.batches.push(rows.to_vec());
            g.fill(0.0);
            let mut value = 0.0;
            for &i in rows {
                let t = self.t[i as usize];
                let r = x[0] * t + x[1] - (2.0 * t - 1.0);
                value += self.scale * r * r / rows.len() as f64;
                g[0] += self.scale * 2.0 * r * t / rows.len() as f64;
                g[1] += self.scale * 2.0 * r / rows.len() as f64;
            }
            self.parts = vec![value, 2.0 * value];
            Ok(value)
        }
        fn names(&self) -> Vec<String> {
            vec!["fit".into(), "twice".into()]
        }
        fn parts(&self) -> &[f64] {
            &self.parts
        }
        fn rows(&self) -> usize {
            self.t.len()
        }
        fn validation(&mut self, x: &[f64]) -> Result<Option<f64>, String> {
            Ok((self.validation)(x))
        }
    }

    fn batched() -> Vec<Stage> {
        vec![Stage { batch: Some(4), ..Stage::adam(0.05, 40) }, Stage::lbfgs(20)]
    }

    #[test]
    fn stages_follow_each_other_to_the_minimum() {
        let (mut o, mut x) = (Line::new(), vec![0.0, 0.0]);
        let h = run(&batched(), &mut o, &mut x, &mut ()).unwrap();
        assert!((x[0] - 2.0).abs() < 1e-9 && (x[1] + 1.0).abs() < 1e-9);
        assert_eq!(h.stages[0], StopReason::Finished);
        assert_eq!(h.stages[1], StopReason::Converged);
        assert_eq!(h.names, ["fit", "twice"]);
        assert!((h.epochs[3].parts[1] - 2.0 * h.epochs[3].value).abs() < 1e-15);
    }

    #[test]
    fn batches_are_equal_shuffled_and_disjoint() {
        let (mut o, mut x) = (Line::new(), vec![0.0, 0.0]);
        run(&batched()[..1], &mut o, &mut x, &mut ()).unwrap();
        assert_eq!(o.batches.len(), 80);
        assert!(o.batches.iter().all(|b| b.len() == 4));
        assert!(o.batches[0].iter().all(|i| !o.batches[1].contains(i)));
        assert_ne!(o.batches[0], o.batches[2]);
    }

    /// Stops after some epochs and keeps the state, through JSON.
    struct Killer(u64, Option<String>);
    impl Observer for Killer {
        fn epoch(&mut self, _: &Stage, _: &Epoch) -> Control {
            self.0 -= 1;
            if self.0 == 0 { Control::Stop } else { Control::Continue }
        }
        fn checkpoint(&mut self, state: &Checkpoint) {
            self.1 = Some(serde_json::to_string(state).unwrap());
        }
    }

    #[test]
    fn a_killed_training_resumes_with_the_same_bits() {
        let mut whole = vec![0.3, 0.1];
        let history = run(&batched(), &mut Line::new(), &mut whole, &mut ()).unwrap();
        for stop in [1, 7, 42] {
            let mut killer = Killer(stop, None);
            let mut x = vec![0.3, 0.1];
            let h = run(&batched(), &mut Line::new(), &mut x, &mut killer).unwrap();
            assert_eq!(h.stages.last(), Some(&StopReason::Interrupted));
            let state: Checkpoint = serde_json::from_str(&killer.1.unwrap()).unwrap();
            let end = resume(&batched(), &mut Line::new(), state, &mut ()).unwrap();
            assert_eq!(end.history.stages, history.stages);
            assert_eq!(end.x, whole);
            assert_eq!(end.history.epochs.len(), history.epochs.len());
        }
    }

    #[test]
    fn patience_restores_the_best() {
        // A validation loss with its minimum at slope 1, which the training passes on its way to 2.
        let mut o = Line { validation: |x| Some((x[0] - 1.0).abs()), ..Line::new() };
        let mut x = vec![0.0, 0.0];
        let stage = Stage { patience: Some(5), ..Stage::adam(0.01, 1000) };
        let h = run(&[stage], &mut o, &mut x, &mut ()).unwrap();
        assert!(matches!(h.stages[0], StopReason::Patience { .. }), "{:?}", h.stages);
        assert!((x[0] - 1.0).abs() < 0.011, "{x:?}");
        assert!(h.epochs.len() < 200);
    }

    #[test]
    fn divergence_is_reported_with_its_place() {
        let mut o = Line { scale: f64::INFINITY, ..Line::new() };
        let e = run(&[Stage::adam(1e-3, 5)], &mut o, &mut vec![0.0, 0.0], &mut ()).unwrap_err();
        assert!(e.to_string().contains("very first"), "{e}");
        // A learning rate that throws the parameters far away.
        let e = run(&[Stage::adam(1e9, 50)], &mut Line::new(), &mut vec![0.0, 0.0], &mut ()).unwrap_err();
        let TrainError::Diverged { epoch, last_finite, learning_rate, .. } = e else { panic!("{e}") };
        assert!(epoch > 0 && last_finite.is_some() && learning_rate == 1e9);
    }
}
