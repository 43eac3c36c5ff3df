//! What a task's result is made of, so that a change can be named: the definitions it rests on, options, data files.

use super::graph::Task;
use crate::sema::check::walk;
use crate::sema::fingerprint::Fingerprints;
use crate::sema::hir::{DefId, DefKind, ExprKind, Program};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Hashes in hex, by name.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct MadeOf {
    /// The statement itself.
    pub statement: String,
    /// Definitions of the program.
    pub definitions: IndexMap<String, String>,
    /// Seed, back end, compiler: their values as text.
    pub options: IndexMap<String, String>,
    /// Data files.
    pub files: IndexMap<String, String>,
}

impl MadeOf {
    /// All but the files, which are known when the task has read them.
    pub fn of(program: &Program, prints: &Fingerprints, task: &Task, options: &IndexMap<String, String>) -> MadeOf {
        MadeOf {
            statement: task.meaning.hex(),
            definitions: all(task).map(|d| (name(program, d), prints.def(d).hex())).collect(),
            options: options.clone(),
            files: IndexMap::new(),
        }
    }
}

/// Why a result does not serve any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The text of a declaration; `param` where it is one.
    Declaration {
        name: String,
        param: bool,
    },
    Removed(String),
    Option {
        name: String,
        from: String,
        to: String,
    },
    File(String),
    Statement,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Declaration { name, param: true } => write!(f, "param `{name}` changed"),
            Change::Declaration { name, param: false } => write!(f, "`{name}` changed"),
            Change::Removed(name) => write!(f, "it no longer uses `{name}`"),
            Change::Option { name, from, to } => write!(f, "{name} changed from {from} to {to}"),
            Change::File(path) => write!(f, "the file {path} changed"),
            Change::Statement => f.write_str("its statement changed"),
        }
    }
}

/// What changed between two states of a task. Of definitions that rest on each other only those whose own text changed are named.
pub fn changes(program: &Program, task: &Task, before: &MadeOf, now: &MadeOf) -> Vec<Change> {
    let differs = |d: &DefId| {
        let name = name(program, *d);
        before.definitions.get(&name) != now.definitions.get(&name)
    };
    let changed: Vec<DefId> = all(task).filter(differs).collect();
    let rests_on_a_change = |d: DefId| {
        let mut found = false;
        walk::def(program.def(d), &mut |e| {
            found |= matches!(e.kind, ExprKind::Def(other) if other != d && changed.contains(&other));
        });
        found
    };
    let mut out: Vec<Change> = changed
        .iter()
        // That a task changed is told of that task.
        .filter(|d| task.refs.contains(*d) && !rests_on_a_change(**d))
        .map(|&d| Change::Declaration {
            name: name(program, d),
            param: matches!(program.def(d).kind, DefKind::Param { .. }),
        })
        .collect();
    if changed.is_empty() {
        let removed = before.definitions.keys().filter(|n| !now.definitions.contains_key(*n));
        out.extend(removed.map(|n| Change::Removed(n.clone())));
    }
    for (name, to) in &now.options {
        if let Some(from) = before.options.get(name).filter(|from| *from != to) {
            out.push(Change::Option { name: name.clone(), from: from.clone(), to: to.clone() });
        }
    }
    let files = now.files.iter().filter(|(path, hash)| before.files.get(*path).is_some_and(|h| h != *hash));
    out.extend(files.map(|(path, _)| Change::File(path.clone())));
    if out.is_empty() && changed.is_empty() && before.statement != now.statement {
        out.push(Change::Statement);
    }
    out
}

fn all(task: &Task) -> impl Iterator<Item = DefId> {
    task.refs.iter().chain(&task.behind).copied()
}

/// With its module, where that is not the program itself.
fn name(program: &Program, d: DefId) -> String {
    let def = program.def(d);
    match program.modules[def.module.index()].name.as_str() {
        "" => def.name.clone(),
        module => format!("{module}.{}", def.name),
    }
}
