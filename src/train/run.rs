//! The driver of a training: stages one after the other over one flat parameter vector, with named losses, validation,
//! early stopping, detection of divergence, and a state that can be written down and resumed with the same bits.

use super::adam::Adam;
use super::checkpoint::{Best, Checkpoint, Optimiser};
use super::lbfgs::{Bounds, Lbfgs, Progress};
use super::objective::{Control, Number, Objective, Observer, TrainError};
use super::stage::{Epoch, History, Stage, StageKind, StopReason};
use super::vector::norm;
use crate::data::Stream;

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
        state.advance();
    }
    Ok(state)
}

/// The memory of a stage of Adam: parameters and gradient in the numbers it computes with.
struct Work<T> {
    x: Vec<T>,
    gradient: Vec<T>,
    order: Vec<u32>,
}

impl<T: Number> Work<T> {
    fn new(x: &[f64]) -> Work<T> {
        Work { x: x.iter().map(|&x| T::narrow(x)).collect(), gradient: vec![T::narrow(0.0); x.len()], order: vec![] }
    }
}

fn run_stage<O: Objective>(
    stage: &Stage,
    objective: &mut O,
    state: &mut Checkpoint,
    observer: &mut dyn Observer,
) -> Result<StopReason, TrainError<O::Error>> {
    let bounds = objective.bounds();
    if let Optimiser::None = state.optimiser {
        state.optimiser = Optimiser::of(stage, state.x.len());
    }
    let single = matches!(state.optimiser, Optimiser::Single(_));
    let mut double_work = Work::<f64>::new(if single { &[] } else { &state.x });
    let mut single_work = Work::<f32>::new(if single { &state.x } else { &[] });
    let mut reason = StopReason::Finished;
    while state.epoch < stage.epochs && reason == StopReason::Finished {
        let at = (stage, state.stage, state.epoch);
        let (mut epoch, progress) = match &mut state.optimiser {
            Optimiser::Adam(adam) => {
                (adam_epoch(at, objective, adam, &mut double_work, &mut state.x, bounds.as_ref())?, Progress::Moved)
            }
            Optimiser::Single(adam) => {
                (adam_epoch(at, objective, adam, &mut single_work, &mut state.x, bounds.as_ref())?, Progress::Moved)
            }
            Optimiser::Lbfgs(lbfgs) => lbfgs_iteration(at, objective, lbfgs, &mut state.x, bounds.as_ref())?,
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

/// One pass through the rows; batches in an order that depends on the seed and the epoch alone. The new parameters are left
/// in `x`, too.
fn adam_epoch<T: Number, O: Objective>(
    (stage, stage_index, epoch): (&Stage, usize, u64),
    objective: &mut O,
    adam: &mut Adam<T>,
    work: &mut Work<T>,
    x: &mut [f64],
    bounds: Option<&Bounds>,
) -> Result<Epoch, TrainError<O::Error>> {
    let StageKind::Adam { learning_rate, schedule, .. } = &stage.kind else {
        unreachable!("compiler bug: Adam runs a stage of another kind")
    };
    let rows = objective.rows();
    let batch = stage.batch.filter(|b| (1..rows).contains(b));
    if batch.is_some() {
        work.order = Stream::new(stage.seed, "minibatch order").indexed(stage_index as u64).permutation(epoch, rows);
    }
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
        let rows = batch.map(|b| &work.order[k * b..(k + 1) * b]);
        let value =
            T::value_and_gradient(objective, &work.x, rows, &mut work.gradient).map_err(TrainError::Objective)?;
        record.learning_rate = learning_rate * schedule.factor(adam.steps, total);
        record.gradient_norm = norm(&work.gradient);
        record.value += value / steps as f64;
        record.parts.resize(objective.parts().len(), 0.0);
        record.parts.iter_mut().zip(objective.parts()).for_each(|(sum, p)| *sum += p / steps as f64);
        if !(value.is_finite() && record.gradient_norm.is_finite()) {
            // Not worth a step: it would destroy the parameters.
            record.value = if value.is_finite() { f64::NAN } else { value };
            return Ok(record);
        }
        adam.step(&mut work.x, &work.gradient, record.learning_rate);
        if let Some(b) = bounds {
            work.x.iter().zip(x.iter_mut()).for_each(|(w, x)| *x = (*w).into());
            b.project(x);
            work.x.iter_mut().zip(x.iter()).for_each(|(w, x)| *w = T::narrow(*x));
        }
    }
    work.x.iter().zip(x).for_each(|(w, x)| *x = (*w).into());
    Ok(record)
}

fn lbfgs_iteration<O: Objective>(
    (_, stage, epoch): (&Stage, usize, u64),
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
    let first = history.epochs.partition_point(|e| e.stage < epoch.stage);
    let limit = DIVERGENCE * history.epochs.get(first).map_or(f64::INFINITY, |e| e.value.abs().max(1.0));
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
    use super::super::stage::Precision;
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
        fn value_and_gradient_single(
            &mut self,
            x: &[f32],
            batch: Option<&[u32]>,
            g: &mut [f32],
        ) -> Result<f64, String> {
            let mut wide = [0.0; 2];
            let value = self.value_and_gradient(&[x[0] as f64, x[1] as f64], batch, &mut wide)?;
            g.iter_mut().zip(wide).for_each(|(g, w)| *g = w as f32);
            Ok(value as f32 as f64)
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

    fn single() -> Vec<Stage> {
        vec![Stage { precision: Precision::Single, ..batched()[0].clone() }, Stage::lbfgs(20)]
    }

    #[test]
    fn single_precision_follows_double() {
        let (mut x, mut y) = (vec![0.0, 0.0], vec![0.0, 0.0]);
        let a = run(&batched(), &mut Line::new(), &mut x, &mut ()).unwrap();
        let b = run(&single(), &mut Line::new(), &mut y, &mut ()).unwrap();
        assert!(a.epochs[..40].iter().zip(&b.epochs).all(|(a, b)| (a.value - b.value).abs() < 1e-5 * a.value.max(0.1)));
        // The polish is in double precision again.
        assert!((y[0] - 2.0).abs() < 1e-9 && (y[1] + 1.0).abs() < 1e-9);
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
        for stages in [batched(), single()] {
            let mut whole = vec![0.3, 0.1];
            let history = run(&stages, &mut Line::new(), &mut whole, &mut ()).unwrap();
            for stop in [1, 7, 42] {
                let mut killer = Killer(stop, None);
                let mut x = vec![0.3, 0.1];
                let h = run(&stages, &mut Line::new(), &mut x, &mut killer).unwrap();
                assert_eq!(h.stages.last(), Some(&StopReason::Interrupted));
                let state: Checkpoint = serde_json::from_str(&killer.1.unwrap()).unwrap();
                let end = resume(&stages, &mut Line::new(), state, &mut ()).unwrap();
                assert_eq!(end.history.stages, history.stages);
                assert_eq!(end.x, whole);
                assert_eq!(end.history.epochs.len(), history.epochs.len());
            }
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
