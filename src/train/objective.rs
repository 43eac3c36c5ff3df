//! What is minimised, and who watches: the two sides on which a training meets the rest of the program.

use super::adam::Real;
use super::checkpoint::Checkpoint;
use super::lbfgs::Bounds;
use super::stage::{Epoch, Stage};
use std::fmt;

/// What is minimised.
pub trait Objective {
    type Error;

    /// Value at `x`, and its gradient into `g`. `batch` lists the rows of the dataset to use; `None` means all.
    /// All batches of a stage have the same length.
    fn value_and_gradient(&mut self, x: &[f64], batch: Option<&[u32]>, g: &mut [f64]) -> Result<f64, Self::Error>;

    /// The same in single precision. Asked for only in stages of [`Precision::Single`](super::Precision::Single).
    fn value_and_gradient_single(
        &mut self,
        x: &[f32],
        batch: Option<&[u32]>,
        g: &mut [f32],
    ) -> Result<f64, Self::Error>;

    /// A stage begins; an objective of several losses may select those of the stage.
    fn begin(&mut self, _stage: usize) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Names of the losses that the value is made of, where there are several.
    fn names(&self) -> Vec<String> {
        vec![]
    }

    /// The losses at the last evaluation, in the order of `names`; NaN for those that the stage leaves out.
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

/// `f32` or `f64`: the numbers that a stage computes with.
pub trait Number: Real + Copy + Into<f64> {
    fn value_and_gradient<O: Objective>(
        objective: &mut O,
        x: &[Self],
        batch: Option<&[u32]>,
        g: &mut [Self],
    ) -> Result<f64, O::Error>;

    fn narrow(x: f64) -> Self;
}

impl Number for f64 {
    fn value_and_gradient<O: Objective>(
        objective: &mut O,
        x: &[f64],
        batch: Option<&[u32]>,
        g: &mut [f64],
    ) -> Result<f64, O::Error> {
        objective.value_and_gradient(x, batch, g)
    }

    fn narrow(x: f64) -> f64 {
        x
    }
}

impl Number for f32 {
    fn value_and_gradient<O: Objective>(
        objective: &mut O,
        x: &[f32],
        batch: Option<&[u32]>,
        g: &mut [f32],
    ) -> Result<f64, O::Error> {
        objective.value_and_gradient_single(x, batch, g)
    }

    fn narrow(x: f64) -> f32 {
        x as f32
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
