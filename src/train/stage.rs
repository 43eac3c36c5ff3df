//! What a training is told to do, and the record of what it did.

use super::adam::AdamOptions;
use super::lbfgs::LbfgsOptions;
use super::schedule::Schedule;
use serde::{Deserialize, Serialize};

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
    /// Of Adam; L-BFGS works in double precision.
    pub precision: Precision,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Precision {
    Single,
    #[default]
    Double,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum StageKind {
    Adam { learning_rate: f64, schedule: Schedule, options: AdamOptions },
    Lbfgs(LbfgsOptions),
}

impl Stage {
    pub fn adam(learning_rate: f64, epochs: u64) -> Stage {
        let kind = StageKind::Adam { learning_rate, schedule: Schedule::Constant, options: AdamOptions::default() };
        Stage { name: "adam".into(), ..Stage::new(kind, epochs) }
    }

    pub fn lbfgs(iterations: u64) -> Stage {
        Stage { name: "lbfgs".into(), ..Stage::new(StageKind::Lbfgs(LbfgsOptions::default()), iterations) }
    }

    fn new(kind: StageKind, epochs: u64) -> Stage {
        let (name, batch, patience, precision) = (String::new(), None, None, Precision::Double);
        Stage { name, kind, epochs, batch, validate_every: 1, patience, seed: 0, precision }
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
    /// The same of each named loss, where there are several.
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
