//! Realisations of one closure side by side: how far their solutions lie apart and what each cost.

use crate::exec::outcome::{Entry, Outcome, TaskRecord};
use crate::flow::bridges::{self, Measure, Row};
use crate::flow::graph::{self, Graph};
use crate::report::Table;
use crate::report::html::duration;
use crate::report::manifest::{Comparison, Realisation};
use crate::report::ticks;
use crate::sema::hir::{DefId, Program};
use petgraph::graph::NodeIndex;
use std::collections::BTreeSet;

/// What the run found for each comparison of its studies; those of which nothing ran are left out.
pub fn comparisons(program: &Program, graph: &Graph, studies: &[DefId], outcome: &Outcome) -> Vec<Comparison> {
    bridges::comparisons(program, graph, studies)
        .into_iter()
        .map(|c| {
            let measure = |k: usize| {
                // A check says the most; the first of what there is.
                let mut of: Vec<&Measure> = c.measures.iter().filter(|m| m.of == k).collect();
                of.sort_by_key(|m| m.entry.is_some());
                of.into_iter().find_map(|m| Some((value(m, outcome)?, m.text.clone())))
            };
            let rows =
                c.rows.iter().enumerate().filter_map(|(k, r)| realisation(r, &c.system, measure(k), graph, outcome));
            Comparison {
                study: c.study.clone(),
                system: c.system.clone(),
                closure: c.closure.clone(),
                reference: c.reference.map(|r| c.rows[r].name.clone()),
                rows: rows.collect(),
            }
        })
        .filter(|c| c.rows.len() > 1)
        .collect()
}

fn realisation(
    row: &Row,
    system: &str,
    measured: Option<(f64, String)>,
    graph: &Graph,
    outcome: &Outcome,
) -> Option<Realisation> {
    let online = Spent::on(&BTreeSet::from([row.task]), graph, outcome, system);
    let offline = Spent::on(&row.offline, graph, outcome, system);
    let (error, measure) = measured.unzip();
    online.ran.then(|| Realisation {
        name: row.name.clone(),
        realisation: row.realisation.clone(),
        error,
        measure,
        seconds: online.seconds,
        fine_solves: online.fine_solves,
        offline_seconds: offline.seconds,
        offline_fine_solves: offline.fine_solves,
    })
}

/// What tasks took when their results were computed, in this run or an earlier one.
#[derive(Default)]
struct Spent {
    ran: bool,
    seconds: f64,
    /// Of systems other than the one compared.
    fine_solves: u64,
}

impl Spent {
    fn on(nodes: &BTreeSet<NodeIndex>, graph: &Graph, outcome: &Outcome, system: &str) -> Spent {
        let mut out = Spent::default();
        for (i, r) in outcome.tasks.iter().enumerate() {
            if !graph::at(graph, r.span).is_some_and(|n| nodes.contains(&n)) {
                continue;
            }
            out.ran |= r.done;
            out.seconds += r.cost.max(own_seconds(&outcome.tasks, i));
            // Solves bear the name of their system, or of an equation of it.
            let of = |name: &str| name == system || name.strip_prefix(system).is_some_and(|rest| rest.starts_with('.'));
            out.fine_solves += r.solves.iter().filter(|(name, _)| !of(name)).map(|(_, n)| n).sum::<u64>();
        }
        out
    }
}

/// Wall time in this run without that of the tasks inside.
pub fn own_seconds(tasks: &[TaskRecord], i: usize) -> f64 {
    let inside: f64 = tasks.iter().filter(|t| t.parent == Some(i)).map(|t| t.seconds).sum();
    (tasks[i].seconds - inside).max(0.0)
}

fn value(m: &Measure, outcome: &Outcome) -> Option<f64> {
    match m.entry {
        None => outcome.checks.iter().find(|c| c.span == m.statement).map(|c| c.value),
        Some(k) => {
            let row = outcome.rows.iter().find(|r| r.span == m.statement)?;
            match &row.entries.get(k)?.1 {
                Entry::Number { value, .. } => Some(*value),
                Entry::Numbers { .. } | Entry::Text(_) => None,
            }
        }
    }
}

/// The comparison for people.
pub fn table(c: &Comparison) -> Table {
    let columns = ["solution", &c.closure, "error", "time", "fine solves", "offline time", "offline fine solves"];
    let count = |n: u64| if n == 0 { "–".to_string() } else { n.to_string() };
    let row = |r: &Realisation| {
        let error = match r.error {
            Some(e) => ticks::number(e),
            None if c.reference.as_ref() == Some(&r.name) => "reference".into(),
            None => "–".into(),
        };
        let before = if r.offline_seconds > 0.0 { duration(r.offline_seconds) } else { "–".into() };
        vec![
            r.name.clone(),
            r.realisation.clone(),
            error,
            duration(r.seconds),
            count(r.fine_solves),
            before,
            count(r.offline_fine_solves),
        ]
    };
    let measures: Vec<&str> = c.rows.iter().filter_map(|r| r.measure.as_deref()).collect();
    let error = match measures.len() {
        0 => "The study compares none of them.".to_string(),
        _ => format!("Error: {}.", measures.join(", ")),
    };
    Table {
        title: format!("{} with {} realisations of {}", c.system, c.rows.len(), c.closure),
        caption: format!(
            "{error} Times are those of the computation, also where its result was found in the cache. Offline: the samples, \
             tables and trainings that a realisation was made of."
        ),
        columns: columns.map(String::from).into(),
        rows: c.rows.iter().map(row).collect(),
    }
}
