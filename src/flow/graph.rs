//! The task graph of a program: definitions and study statements that cost something, and who needs whom.

use crate::base::{Fingerprint, Span};
use crate::sema::check::walk;
use crate::sema::fingerprint::Fingerprints;
use crate::sema::hir::{
    BlockStmt, DefId, DefKind, Expr, ExprKind, LocalId, MinimizeStmt, MinimizeStmtKind, Program, StudyStmt,
    StudyStmtKind,
};
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Something that takes time or writes a file.
#[derive(Clone, Debug)]
pub struct Task<'p> {
    /// `bridges/fe2`, `offline/cells`, `table`: one name in the program.
    pub path: String,
    pub label: String,
    pub kind: Kind,
    /// The whole statement or definition.
    pub span: Span,
    /// The definition, for those of the top level.
    pub def: Option<DefId>,
    /// What it evaluates, where it is one expression.
    pub value: Option<&'p Expr>,
    /// The local that holds its result in a study or a `minimize`.
    pub local: Option<LocalId>,
    /// Of its own text: definitions by [`Task::refs`], other tasks by name.
    pub meaning: Fingerprint,
    /// The user's definitions that it refers to, but for those that are tasks or stand behind one.
    pub refs: BTreeSet<DefId>,
    /// Definitions it needs that are tasks themselves.
    pub behind: BTreeSet<DefId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Solve,
    Sample,
    Minimize,
    Tabulate,
    Load,
    Check,
    Output,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Solve => "solve",
            Kind::Sample => "sample",
            Kind::Minimize => "minimize",
            Kind::Tabulate => "tabulate",
            Kind::Load => "load",
            Kind::Check => "check",
            Kind::Output => "output",
        }
    }
}

/// Edges run from what is needed to who needs it. Every task comes after those it needs.
pub type Graph<'p> = DiGraph<Task<'p>, ()>;

/// The tasks of the studies that will run, and of what they need.
pub fn graph<'p>(program: &'p Program, studies: &[DefId]) -> Graph<'p> {
    let mut b = Build {
        program,
        prints: Fingerprints::new(program),
        graph: Graph::new(),
        defs: HashMap::new(),
        open: HashSet::new(),
        costs: HashMap::new(),
        paths: HashMap::new(),
    };
    for &study in studies {
        if let DefKind::Study { stmts, .. } = &program.def(study).kind {
            b.study(&program.def(study).name, stmts, &mut Locals::new());
        }
    }
    b.graph
}

/// The task that a span belongs to: the smallest that holds it.
pub fn at(graph: &Graph, span: Span) -> Option<NodeIndex> {
    smallest(graph.node_weights().map(|t| t.span), span).map(NodeIndex::new)
}

/// Position of the smallest of the spans that hold one.
pub fn smallest(spans: impl Iterator<Item = Span>, inside: Span) -> Option<usize> {
    let holds = |s: &Span| s.file == inside.file && s.start <= inside.start && inside.end <= s.end;
    spans.enumerate().filter(|(_, s)| holds(s)).min_by_key(|(_, s)| s.end - s.start).map(|(i, _)| i)
}

/// A task and all that it needs, directly or not.
pub fn needed(graph: &Graph, node: NodeIndex) -> BTreeSet<NodeIndex> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![node];
    while let Some(n) = waiting.pop() {
        if found.insert(n) {
            waiting.extend(graph.neighbors_directed(n, petgraph::Direction::Incoming));
        }
    }
    found
}

/// What a value rests on.
#[derive(Clone, Default)]
struct Known {
    tasks: BTreeSet<NodeIndex>,
    refs: BTreeSet<DefId>,
    /// Of a local that is no task.
    meaning: Option<Fingerprint>,
}

impl Known {
    fn task(node: NodeIndex) -> Known {
        Known { tasks: BTreeSet::from([node]), ..Known::default() }
    }

    fn add(&mut self, other: &Known) {
        self.tasks.extend(&other.tasks);
        self.refs.extend(&other.refs);
    }
}

type Locals = HashMap<LocalId, Known>;

struct Build<'p> {
    program: &'p Program,
    prints: Fingerprints<'p>,
    graph: Graph<'p>,
    defs: HashMap<DefId, Known>,
    open: HashSet<DefId>,
    /// What calling a function costs.
    costs: HashMap<DefId, Option<Kind>>,
    paths: HashMap<String, usize>,
}

/// A task that is about to enter the graph.
struct New<'a, 'p> {
    path: String,
    label: &'a str,
    kind: Kind,
    span: Span,
    def: Option<DefId>,
    value: Option<&'p Expr>,
    local: Option<LocalId>,
}

impl<'p> Build<'p> {
    fn study(&mut self, study: &str, stmts: &'p [StudyStmt], locals: &mut Locals) {
        for s in stmts {
            match &s.kind {
                StudyStmtKind::Let { local, value, .. } => self.binding(study, *local, value, s.span, locals),
                StudyStmtKind::Dataset { local, dataset } => {
                    let mut known = Known::default();
                    dataset.rows.iter().for_each(|r| known.add(&self.rests_on(&r.value, locals)));
                    known.meaning = Some(self.prints.dataset(dataset, &|l| locals.get(&l)?.meaning));
                    locals.insert(*local, known);
                }
                StudyStmtKind::Check(e) => {
                    let text = self.program.sources.text(e.span).to_string();
                    self.effect(study, &text, Kind::Check, e, s.span, locals);
                }
                StudyStmtKind::Call(e) => {
                    let name = match &e.kind {
                        ExprKind::Call { callee, .. } => self.program.sources.text(callee.span).to_string(),
                        _ => study.to_string(),
                    };
                    self.effect(study, &name, Kind::Output, e, s.span, locals);
                }
                StudyStmtKind::For { var, source, body } => {
                    let mut known = self.rests_on(source, locals);
                    known.meaning = Some(self.meaning(source, locals));
                    locals.insert(*var, known);
                    self.study(study, body, locals);
                }
            }
        }
    }

    /// `let` of a study or a `minimize`: a task where it costs something.
    fn binding(&mut self, within: &str, local: LocalId, value: &'p Expr, span: Span, locals: &mut Locals) {
        let mut known = self.rests_on(value, locals);
        known.meaning = Some(self.meaning(value, locals));
        if let Some(kind) = self.cost(value) {
            let name = self.program.local(local).name.clone();
            let path = format!("{within}/{name}");
            let new = New { path, label: &name, kind, span, def: None, value: Some(value), local: Some(local) };
            known = Known::task(self.add(new, known));
        }
        locals.insert(local, known);
    }

    fn effect(&mut self, study: &str, label: &str, kind: Kind, e: &'p Expr, span: Span, locals: &Locals) {
        let mut known = self.rests_on(e, locals);
        known.meaning = Some(self.meaning(e, locals));
        let path = format!("{study}/{label}");
        self.add(New { path, label, kind, span, def: None, value: Some(e), local: None }, known);
    }

    fn add(&mut self, new: New<'_, 'p>, known: Known) -> NodeIndex {
        let count = self.paths.entry(new.path.clone()).or_insert(0);
        *count += 1;
        let path = if *count == 1 { new.path } else { format!("{}#{count}", new.path) };
        let node = self.graph.add_node(Task {
            path,
            label: new.label.into(),
            kind: new.kind,
            span: new.span,
            def: new.def,
            value: new.value,
            local: new.local,
            meaning: known.meaning.unwrap_or(Fingerprint::of(b"")),
            refs: known.refs,
            behind: known.tasks.iter().filter_map(|&n| self.graph[n].def).collect(),
        });
        known.tasks.into_iter().for_each(|n| {
            self.graph.add_edge(n, node, ());
        });
        node
    }

    fn def(&mut self, id: DefId) -> Known {
        if let Some(known) = self.defs.get(&id) {
            return known.clone();
        }
        if !self.open.insert(id) {
            return Known::default();
        }
        let program = self.program;
        let def = program.def(id);
        let mut known = Known::default();
        match &def.kind {
            DefKind::Minimize { stmts, .. } => {
                known = self.minimize(&def.name, stmts);
                known.meaning = Some(self.prints.def(id));
                known = self.top_level(id, Kind::Minimize, None, known);
            }
            kind => {
                let mut parts = vec![];
                walk::def(def, &mut |e| parts.push(e));
                parts.into_iter().for_each(|e| self.reference(e, &Locals::new(), &mut known));
                let cost = match kind {
                    DefKind::Let { value, .. } => self.cost(value).map(|kind| (kind, value)),
                    _ => None,
                };
                match cost {
                    Some((kind, value)) => {
                        known.meaning = Some(self.meaning(value, &Locals::new()));
                        known = self.top_level(id, kind, Some(value), known);
                    }
                    None => {
                        known.refs.insert(id);
                    }
                }
            }
        }
        self.open.remove(&id);
        self.defs.insert(id, known.clone());
        known
    }

    fn top_level(&mut self, id: DefId, kind: Kind, value: Option<&'p Expr>, known: Known) -> Known {
        let def = self.program.def(id);
        let new =
            New { path: def.name.clone(), label: &def.name, kind, span: def.span, def: Some(id), value, local: None };
        Known::task(self.add(new, known))
    }

    /// What a `minimize` rests on; its samples are tasks of their own.
    fn minimize(&mut self, name: &str, stmts: &'p [MinimizeStmt]) -> Known {
        let mut all = Known::default();
        let mut locals = Locals::new();
        for s in stmts {
            match &s.kind {
                MinimizeStmtKind::Let { local, value, .. } => {
                    self.binding(name, *local, value, s.span, &mut locals);
                    all.add(&locals[local]);
                }
                MinimizeStmtKind::Over { value, .. }
                | MinimizeStmtKind::Loss { value, .. }
                | MinimizeStmtKind::Subject { value, .. }
                | MinimizeStmtKind::Stage(value) => all.add(&self.rests_on(value, &locals)),
            }
        }
        all
    }

    fn rests_on(&mut self, e: &'p Expr, locals: &Locals) -> Known {
        let mut known = Known::default();
        let mut parts = vec![];
        walk::expr(e, &mut |e| parts.push(e));
        parts.into_iter().for_each(|e| self.reference(e, locals, &mut known));
        known
    }

    fn reference(&mut self, e: &Expr, locals: &Locals, known: &mut Known) {
        match &e.kind {
            ExprKind::Def(d) if !self.of_library(*d) => known.add(&self.def(*d)),
            ExprKind::Local(l) => locals.get(l).into_iter().for_each(|k| known.add(k)),
            _ => {}
        }
    }

    /// The statement's own text: what it refers to counts by name, but for locals that are no tasks.
    fn meaning(&self, e: &Expr, locals: &Locals) -> Fingerprint {
        self.prints.expr(e, &|l| locals.get(&l)?.meaning)
    }

    fn of_library(&self, d: DefId) -> bool {
        self.program.modules[self.program.def(d).module.index()].name.starts_with("std")
    }

    /// The costly verb an expression applies where it stands: directly, or in a function that it calls or hands on.
    fn cost(&mut self, e: &'p Expr) -> Option<Kind> {
        let mut named = vec![];
        walk::evaluated(e, &mut |e| {
            if let ExprKind::Call { callee, args } = &e.kind
                && let ExprKind::Def(d) = callee.kind
            {
                named.push(d);
                // What is handed to a function of the library is called there, but for what only makes a law of it.
                if self.of_library(d) && self.program.def(d).name != "online" {
                    named.extend(args.iter().filter_map(|a| match a.value.kind {
                        ExprKind::Def(f) if matches!(self.program.def(f).kind, DefKind::Fn(_)) => Some(f),
                        _ => None,
                    }));
                }
            }
        });
        named.into_iter().find_map(|d| self.cost_of(d))
    }

    /// What a call of it costs.
    fn cost_of(&mut self, d: DefId) -> Option<Kind> {
        let program = self.program;
        let def = program.def(d);
        if self.of_library(d) {
            return match def.name.as_str() {
                "solve" => Some(Kind::Solve),
                "sample" => Some(Kind::Sample),
                "tabulate" => Some(Kind::Tabulate),
                "load" => Some(Kind::Load),
                _ => None,
            };
        }
        let lambda = match &def.kind {
            DefKind::Minimize { .. } => return Some(Kind::Minimize),
            DefKind::Fn(lambda) => lambda,
            DefKind::Let { value: Expr { kind: ExprKind::Lambda(lambda), .. }, .. } => lambda,
            _ => return None,
        };
        if let Some(known) = self.costs.get(&d) {
            return *known;
        }
        // A function that calls itself costs what the rest of it costs.
        self.costs.insert(d, None);
        let lets = lambda.body.stmts.iter().filter_map(|s| match s {
            BlockStmt::Let { value, .. } => Some(value),
            BlockStmt::Weight { .. } | BlockStmt::Next { .. } => None,
        });
        let parts: Vec<&'p Expr> = lets.chain([&*lambda.body.result]).collect();
        let cost = parts.into_iter().find_map(|e| self.cost(e));
        self.costs.insert(d, cost);
        cost
    }
}
