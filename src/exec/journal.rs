//! What tasks were made of when they last ran, kept beside the cache. It decides nothing: results are found by the content of the
//! functions that compute them. It lets `mslc plan` say why a task runs again, and what it took.

use super::interrupt;
use super::outcome::TaskRecord;
use super::store::Store;
use crate::base::Span;
use crate::flow::graph::{self, Graph, Kind};
use crate::flow::made::MadeOf;
use crate::sema::fingerprint::Fingerprints;
use crate::sema::hir::Program;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// The last run of a task.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub made_of: MadeOf,
    /// That its results took when they were computed.
    pub seconds: f64,
    /// Systems solved, by name.
    pub solves: IndexMap<String, u64>,
    /// Keys of its results in the store.
    pub kept: Vec<String>,
    /// Keys of results that were computed too quickly to be kept.
    pub quick: Vec<String>,
    pub state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It had begun and had not ended.
    #[default]
    Open,
    Done,
    Failed,
}

pub type Entries = IndexMap<String, Entry>;

pub struct Journal {
    /// Name of the program in the store.
    name: String,
    tasks: Vec<Known>,
    entries: Entries,
    /// Tasks of this run that have an entry of this run.
    fresh: Vec<bool>,
    /// What is not yet on the disk.
    changed: bool,
    written: Instant,
}

struct Known {
    span: Span,
    path: String,
    made_of: MadeOf,
    /// Not only a check or an output.
    works: bool,
}

/// The journal is written at most so often: a crash in between costs words, no results.
const INTERVAL: Duration = Duration::from_millis(500);

impl Journal {
    /// `name` is that of the program: several may share a store.
    pub fn new(
        name: &str,
        program: &Program,
        graph: &Graph,
        options: &IndexMap<String, String>,
        store: &Store,
    ) -> Journal {
        let prints = Fingerprints::new(program);
        let known = |t: &graph::Task| Known {
            span: t.span,
            path: t.path.clone(),
            made_of: MadeOf::of(program, &prints, t, options),
            works: !matches!(t.kind, Kind::Check | Kind::Output),
        };
        let tasks: Vec<Known> = graph.node_weights().map(known).collect();
        let fresh = vec![false; tasks.len()];
        Journal {
            name: name.into(),
            tasks,
            entries: recall(store, name),
            fresh,
            changed: false,
            written: Instant::now(),
        }
    }

    /// A task begins.
    pub fn entered(&mut self, store: &Store, span: Span) {
        if let Some(k) = self.task(span)
            && !self.fresh[k]
        {
            self.fresh[k] = true;
            let Known { path, made_of, works, .. } = &self.tasks[k];
            let (last, works) = (self.entries.get(path), *works);
            // Until it ends anew, the times of the last run are the best guess of this one's.
            let (seconds, solves) = last.map_or_else(Default::default, |e| (e.seconds, e.solves.clone()));
            let entry = Entry { made_of: made_of.clone(), seconds, solves, ..Entry::default() };
            self.entries.insert(path.clone(), entry);
            self.changed = true;
            // What may take long is told at once, so that a run that is killed in it leaves word.
            if works {
                self.close(store);
            }
        }
    }

    /// The task `tasks[i]` has ended.
    pub fn left(&mut self, store: &Store, tasks: &[TaskRecord], i: usize) {
        let record = &tasks[i];
        let Some(k) = self.task(record.span) else { return };
        let Some(entry) = self.entries.get_mut(&self.tasks[k].path) else { return };
        if !record.done {
            // The times of the last run that ended well stay.
            entry.state = if interrupt::asked() { State::Open } else { State::Failed };
            self.changed = true;
            return;
        }
        if entry.state != State::Done && entry.kept.is_empty() && entry.quick.is_empty() {
            (entry.seconds, entry.solves) = Default::default();
        }
        entry.seconds += record.cost;
        for (name, n) in &record.solves {
            *entry.solves.entry(name.clone()).or_default() += n;
        }
        for key in &record.outputs {
            let list = if store.has_hex(key) { &mut entry.kept } else { &mut entry.quick };
            if !list.contains(key) {
                list.push(key.clone());
            }
        }
        entry.made_of.files.extend(record.inputs.iter().cloned());
        // A statement in a loop has failed when one of its rounds has.
        if entry.state != State::Failed {
            entry.state = State::Done;
        }
        self.changed = true;
        self.write_at_times(store);
    }

    /// Writes what is not yet written.
    pub fn close(&mut self, store: &Store) {
        if self.changed {
            // What cannot be kept here is missed by `mslc plan` only.
            let _ = store.remember(&subject(&self.name), &serde_json::json!(self.entries));
            self.changed = false;
            self.written = Instant::now();
        }
    }

    fn write_at_times(&mut self, store: &Store) {
        if self.written.elapsed() >= INTERVAL {
            self.close(store);
        }
    }

    fn task(&self, span: Span) -> Option<usize> {
        let spans = self.tasks.iter().map(|t| t.span);
        graph::smallest(spans, span)
    }
}

/// What was last kept of the tasks of a program.
pub fn recall(store: &Store, name: &str) -> Entries {
    store.recall(&subject(name)).and_then(|v| serde_json::from_value(v).ok()).unwrap_or_default()
}

fn subject(name: &str) -> String {
    format!("tasks of {name}")
}
