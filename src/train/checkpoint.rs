//! The state of a training between two epochs, as it can be written down.

use super::adam::Adam;
use super::bits;
use super::lbfgs::Lbfgs;
use super::stage::{History, Precision, Stage, StageKind};
use serde::{Deserialize, Serialize};

/// Everything a training needs to go on with the same bits as if it had not stopped.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    pub stage: usize,
    /// Finished epochs of the stage.
    pub epoch: u64,
    #[serde(with = "bits")]
    pub x: Vec<f64>,
    pub(super) optimiser: Optimiser,
    pub(super) best: Option<Best>,
    pub history: History,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) enum Optimiser {
    /// The stage has not begun.
    None,
    Adam(Adam<f64>),
    Single(Adam<f32>),
    Lbfgs(Lbfgs),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Best {
    pub epoch: u64,
    /// One number.
    #[serde(with = "bits")]
    pub loss: Vec<f64>,
    #[serde(with = "bits")]
    pub x: Vec<f64>,
}

impl Checkpoint {
    pub fn new(x: Vec<f64>) -> Checkpoint {
        Checkpoint { stage: 0, epoch: 0, x, optimiser: Optimiser::None, best: None, history: History::default() }
    }

    /// The next stage is to begin.
    pub(super) fn advance(&mut self) {
        (self.stage, self.epoch, self.optimiser, self.best) = (self.stage + 1, 0, Optimiser::None, None);
    }
}

impl Optimiser {
    pub fn of(stage: &Stage, parameters: usize) -> Optimiser {
        match (&stage.kind, stage.precision) {
            (StageKind::Adam { options, .. }, Precision::Double) => Optimiser::Adam(Adam::new(parameters, *options)),
            (StageKind::Adam { options, .. }, Precision::Single) => Optimiser::Single(Adam::new(parameters, *options)),
            (StageKind::Lbfgs(options), _) => Optimiser::Lbfgs(Lbfgs::new(*options)),
        }
    }
}
