//! What a run found: checks, tables, pictures, files, costs. Plain data; the report draws it, `run.json` keeps it.

use crate::base::{Diagnostic, Span};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Default)]
pub struct Outcome {
    pub checks: Vec<Check>,
    pub rows: Vec<Row>,
    pub pictures: Vec<Picture>,
    pub files: Vec<PathBuf>,
    pub tasks: Vec<TaskRecord>,
    pub warnings: Vec<Diagnostic>,
}

/// A claim and whether it held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    pub study: String,
    /// As written.
    pub claim: String,
    /// `w = 3, r = 0.1`: the rounds of the loops it stands in.
    pub round: String,
    /// Left and right side of the comparison, in SI.
    pub value: f64,
    pub bound: f64,
    pub relation: String,
    /// Of value and bound; empty where they have none.
    pub unit: String,
    pub held: bool,
    #[serde(skip)]
    pub span: Span,
}

/// One `report(...)`: names and values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub study: String,
    pub entries: Vec<(String, Entry)>,
    #[serde(skip)]
    pub span: Span,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    Number { value: f64, unit: String },
    Numbers { values: Vec<f64>, shape: Vec<usize>, unit: String },
    Text(String),
}

/// What one `plot(...)` shows.
#[derive(Clone, Debug)]
pub struct Picture {
    pub study: String,
    pub title: String,
    pub panels: Vec<Panel>,
}

#[derive(Clone, Debug)]
pub enum Panel {
    /// A scalar field on a regular grid, row by row from the bottom.
    Map { label: String, unit: String, x: Along, y: Along, columns: usize, rows: usize, values: Vec<f64> },
    Curves {
        x_label: String,
        x_unit: String,
        /// Empty: the name of the only curve.
        y_label: String,
        y_unit: String,
        curves: Vec<Curve>,
        log_y: bool,
        points: bool,
    },
    /// Maps of one field at several times.
    Film(Vec<Panel>),
}

/// An axis of a map.
#[derive(Clone, PartialEq, Debug)]
pub struct Along {
    pub label: String,
    pub unit: String,
    pub from: f64,
    pub to: f64,
    /// A coordinate in space: lengths along both are drawn alike.
    pub space: bool,
}

#[derive(Clone, Debug)]
pub struct Curve {
    pub label: String,
    pub x: Vec<f64>,
    pub y: Vec<f64>,
}

/// What a task cost.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TaskRecord {
    pub label: String,
    /// Wall time in this run, with the tasks inside it.
    pub seconds: f64,
    /// Seconds that its own results took when they were computed, in this run or an earlier one.
    pub cost: f64,
    /// It ended well.
    pub done: bool,
    /// Its results were found, not computed.
    pub cached: bool,
    /// Keys of its results in the store.
    pub outputs: Vec<String>,
    /// Nonlinear or linear systems solved for its own results, by name.
    pub solves: Vec<(String, u64)>,
    /// Data files it read, with their hashes.
    pub inputs: Vec<(String, String)>,
    /// Losses by epoch, where it trained something.
    #[serde(skip)]
    pub history: IndexMap<String, Vec<f64>>,
    /// What else is worth telling people: how its stages went, how good its table is.
    pub notes: Vec<String>,
    /// The task that asked for it.
    pub parent: Option<usize>,
    /// The statement or definition.
    #[serde(skip)]
    pub span: Span,
}

/// The losses of a training over its epochs.
pub fn losses(history: &IndexMap<String, Vec<f64>>) -> Panel {
    let epochs = |n: usize| (0..n).map(|i| i as f64).collect();
    let curve = |(name, y): (&String, &Vec<f64>)| Curve { label: name.clone(), x: epochs(y.len()), y: y.clone() };
    Panel::Curves {
        x_label: "epoch".into(),
        x_unit: String::new(),
        y_label: "loss".into(),
        y_unit: String::new(),
        curves: history.iter().map(curve).collect(),
        log_y: true,
        points: false,
    }
}
