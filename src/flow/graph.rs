//! The task graph of a program: definitions and study statements that cost something, and who needs whom.

use crate::base::Span;
use crate::sema::hir::{
    Arg, Block, BlockStmt, DefId, DefKind, Expr, ExprKind, LocalId, MinimizeStmtKind, Program, StudyStmt,
    StudyStmtKind, SystemStmtKind,
};
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Something that takes time or writes a file.
#[derive(Clone, Debug)]
pub struct Task {
    pub label: String,
    pub kind: Kind,
    pub span: Span,
    /// The definition, for those of the top level.
    pub def: Option<DefId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Solve,
    Sample,
    Minimize,
    Tabulate,
    Evaluate,
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
            Kind::Evaluate => "evaluate",
            Kind::Check => "check",
            Kind::Output => "output",
        }
    }
}

/// Edges run from what is needed to who needs it.
pub type Graph = DiGraph<Task, ()>;

/// The tasks of the studies that will run, and of what they need.
pub fn graph(program: &Program, studies: &[DefId]) -> Graph {
    let mut b = Build { program, graph: Graph::new(), defs: HashMap::new(), open: HashSet::new() };
    for &study in studies {
        if let DefKind::Study { stmts, .. } = &program.def(study).kind {
            let mut locals = HashMap::new();
            b.study(&program.def(study).name, stmts, &mut locals);
        }
    }
    b.graph
}

struct Build<'p> {
    program: &'p Program,
    graph: Graph,
    /// What a definition amounts to: its own task, or those its value needs.
    defs: HashMap<DefId, BTreeSet<NodeIndex>>,
    open: HashSet<DefId>,
}

type Locals = HashMap<LocalId, BTreeSet<NodeIndex>>;

impl Build<'_> {
    fn study(&mut self, study: &str, stmts: &[StudyStmt], locals: &mut Locals) {
        for s in stmts {
            match &s.kind {
                StudyStmtKind::Let { local, value, .. } => {
                    let needs = self.needs(value, locals);
                    let name = self.program.local(*local).name.clone();
                    let node = match self.costs(value) {
                        Some(kind) => BTreeSet::from([self.add(&name, kind, s.span, None, &needs)]),
                        None => needs,
                    };
                    locals.insert(*local, node);
                }
                StudyStmtKind::Dataset { .. } => {}
                StudyStmtKind::Check(e) => {
                    let needs = self.needs(e, locals);
                    let text = self.program.sources.text(e.span).to_string();
                    self.add(&text, Kind::Check, s.span, None, &needs);
                }
                StudyStmtKind::Call(e) => {
                    let needs = self.needs(e, locals);
                    let name = match &e.kind {
                        ExprKind::Call { callee, .. } => self.program.sources.text(callee.span).to_string(),
                        _ => study.to_string(),
                    };
                    self.add(&name, Kind::Output, s.span, None, &needs);
                }
                StudyStmtKind::For { var, source, body } => {
                    let needs = self.needs(source, locals);
                    locals.insert(*var, needs);
                    self.study(study, body, locals);
                }
            }
        }
    }

    fn add(
        &mut self,
        label: &str,
        kind: Kind,
        span: Span,
        def: Option<DefId>,
        needs: &BTreeSet<NodeIndex>,
    ) -> NodeIndex {
        let node = self.graph.add_node(Task { label: label.into(), kind, span, def });
        for n in needs {
            self.graph.add_edge(*n, node, ());
        }
        node
    }

    fn def(&mut self, id: DefId) -> BTreeSet<NodeIndex> {
        if let Some(n) = self.defs.get(&id) {
            return n.clone();
        }
        if !self.open.insert(id) {
            return BTreeSet::new();
        }
        let def = self.program.def(id);
        let none = Locals::new();
        let out = match &def.kind {
            DefKind::Let { value, .. } => {
                let needs = self.needs(value, &none);
                match self.costs(value) {
                    Some(kind) => BTreeSet::from([self.add(&def.name, kind, def.span, Some(id), &needs)]),
                    None => needs,
                }
            }
            DefKind::Minimize { stmts, .. } => {
                let mut needs = BTreeSet::new();
                let mut locals = Locals::new();
                for s in stmts {
                    match &s.kind {
                        MinimizeStmtKind::Let { local, name, value, .. } => {
                            let inner = self.needs(value, &locals);
                            let node = match self.costs(value) {
                                Some(kind) => BTreeSet::from([self.add(name, kind, s.span, None, &inner)]),
                                None => inner,
                            };
                            needs.extend(&node);
                            locals.insert(*local, node);
                        }
                        MinimizeStmtKind::Over { value, .. }
                        | MinimizeStmtKind::Loss { value, .. }
                        | MinimizeStmtKind::Subject { value, .. }
                        | MinimizeStmtKind::Stage(value) => needs.extend(self.needs(value, &locals)),
                    }
                }
                BTreeSet::from([self.add(&def.name, Kind::Minimize, def.span, Some(id), &needs)])
            }
            DefKind::Dataset(d) => d.rows.iter().flat_map(|r| self.needs(&r.value, &none)).collect(),
            DefKind::Fn(lambda) => self.block(&lambda.body, &none),
            DefKind::System(s) => {
                let mut out = BTreeSet::new();
                for stmt in &s.stmts {
                    match &stmt.kind {
                        SystemStmtKind::Let { value, .. } => out.extend(self.needs(value, &none)),
                        SystemStmtKind::Eq { lhs, rhs, .. }
                        | SystemStmtKind::Weak { lhs, rhs, .. }
                        | SystemStmtKind::On { lhs, rhs, .. }
                        | SystemStmtKind::Init { lhs, rhs } => {
                            out.extend(self.needs(lhs, &none));
                            out.extend(self.needs(rhs, &none));
                        }
                        SystemStmtKind::Include { system, .. } => out.extend(self.def(*system)),
                        SystemStmtKind::Unknown { .. } => {}
                    }
                }
                out
            }
            _ => BTreeSet::new(),
        };
        self.open.remove(&id);
        self.defs.insert(id, out.clone());
        out
    }

    /// The tasks an expression needs.
    fn needs(&mut self, e: &Expr, locals: &Locals) -> BTreeSet<NodeIndex> {
        let mut out = BTreeSet::new();
        let program = self.program;
        walk(e, &mut |e| match &e.kind {
            ExprKind::Def(d) if !program.modules[program.def(*d).module.index()].name.starts_with("std") => {
                out.extend(self.def(*d));
            }
            ExprKind::Local(l) => out.extend(locals.get(l).into_iter().flatten()),
            _ => {}
        });
        out
    }

    fn block(&mut self, b: &Block, locals: &Locals) -> BTreeSet<NodeIndex> {
        let mut out = self.needs(&b.result, locals);
        for s in &b.stmts {
            if let BlockStmt::Let { value, .. } = s {
                out.extend(self.needs(value, locals));
            }
        }
        out
    }

    /// The costly verb an expression applies where it stands (not inside a function it makes).
    fn costs(&self, e: &Expr) -> Option<Kind> {
        let mut found = None;
        let mut see = |e: &Expr| {
            if let ExprKind::Call { callee, .. } = &e.kind
                && let ExprKind::Def(d) = &callee.kind
            {
                let def = self.program.def(*d);
                let kind = match (&def.kind, def.name.as_str()) {
                    (DefKind::Minimize { .. }, _) => Some(Kind::Minimize),
                    (_, "solve") => Some(Kind::Solve),
                    (_, "sample") => Some(Kind::Sample),
                    (_, "tabulate") => Some(Kind::Tabulate),
                    (_, "load") => Some(Kind::Evaluate),
                    _ => None,
                };
                found = found.or(kind);
            }
        };
        walk_outside_lambdas(e, &mut see);
        found
    }
}

/// Visits an expression and all inside it, bodies of functions too.
pub fn walk(e: &Expr, see: &mut dyn FnMut(&Expr)) {
    visit(e, true, see);
}

fn walk_outside_lambdas(e: &Expr, see: &mut dyn FnMut(&Expr)) {
    visit(e, false, see);
}

fn visit(e: &Expr, inside: bool, see: &mut dyn FnMut(&Expr)) {
    see(e);
    let mut go = |e: &Expr| visit(e, inside, see);
    match &e.kind {
        ExprKind::Number { .. }
        | ExprKind::Bool(_)
        | ExprKind::Str(_)
        | ExprKind::Local(_)
        | ExprKind::Def(_)
        | ExprKind::Coordinate(_)
        | ExprKind::Time
        | ExprKind::Normal
        | ExprKind::Intrinsic
        | ExprKind::Error => {}
        ExprKind::Op { args, .. } | ExprKind::List(args) | ExprKind::Tuple(args) => args.iter().for_each(go),
        ExprKind::Call { callee, args } => {
            go(callee);
            args.iter().for_each(|a: &Arg| go(&a.value));
        }
        ExprKind::Member { base, .. } => go(base),
        ExprKind::Index { base, indices } => {
            go(base);
            indices.iter().for_each(go);
        }
        ExprKind::If { condition, then, otherwise } => [condition, then, otherwise].into_iter().for_each(|e| go(e)),
        ExprKind::Lambda(l) => {
            if inside {
                for s in &l.body.stmts {
                    match s {
                        BlockStmt::Let { value, .. } | BlockStmt::Next { value, .. } => go(value),
                        BlockStmt::Weight { init, .. } => go(init),
                    }
                }
                go(&l.body.result);
            }
        }
        ExprKind::Comprehension { body, source, .. } => {
            go(body);
            go(source);
        }
    }
}
