//! Where a study solves one system with several realisations of the same closure: those solves compare.

use super::graph::{Graph, Kind};
use crate::base::Span;
use crate::sema::check::walk;
use crate::sema::hir::{
    Arg, BlockStmt, DefId, DefKind, Expr, ExprKind, LocalId, Param, Program, StudyStmt, StudyStmtKind, TypeExprKind,
};
use petgraph::graph::NodeIndex;
use std::collections::{BTreeMap, BTreeSet};

/// Solves of one system in one study that differ in the closures they are given.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    pub study: String,
    pub system: String,
    /// `Conductivity`
    pub closure: String,
    pub rows: Vec<Row>,
    /// What the others are held against: the row that most comparisons name. None where none does.
    pub reference: Option<usize>,
    pub measures: Vec<Measure>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Name of the solution in the study.
    pub name: String,
    /// The closure as it stands in the call: `offline.k`.
    pub realisation: String,
    pub task: NodeIndex,
    /// Tasks that made the realisation: samples, tables, trainings.
    pub offline: BTreeSet<NodeIndex>,
}

/// A quantity that compares two solutions: a side of a check, an entry of `report(...)`.
#[derive(Clone, PartialEq, Debug)]
pub struct Measure {
    /// Positions in `rows`.
    pub of: usize,
    pub against: usize,
    /// `rel_l2(tabled.T, fe2.T)`
    pub text: String,
    /// The statement it stands in.
    pub statement: Span,
    /// The entry of a `report(...)`, or None for the left side of a check.
    pub entry: Option<usize>,
}

/// All comparisons of the studies, in their order.
pub fn comparisons(program: &Program, graph: &Graph, studies: &[DefId]) -> Vec<Comparison> {
    studies.iter().flat_map(|&id| of_study(program, graph, id)).collect()
}

fn of_study(program: &Program, graph: &Graph, id: DefId) -> Vec<Comparison> {
    let def = program.def(id);
    let DefKind::Study { stmts, .. } = &def.kind else { return vec![] };
    let mut groups: BTreeMap<(DefId, DefId), Vec<(LocalId, Row)>> = BTreeMap::new();
    for node in graph.node_indices() {
        let task = &graph[node];
        let (Kind::Solve, Some(value), Some(local)) = (task.kind, task.value, task.local) else { continue };
        if !stmts.iter().any(|s| s.span == task.span) {
            continue;
        }
        let Some((system, closure, given)) = realisation(program, value, &mut vec![]) else { continue };
        let row = Row {
            name: task.label.clone(),
            realisation: program.sources.text(given.span).to_string(),
            task: node,
            offline: offline(graph, given, program, node),
        };
        groups.entry((system, closure)).or_default().push((local, row));
    }
    let mut out = vec![];
    for ((system, closure), group) in groups {
        let kinds: BTreeSet<&str> = group.iter().map(|(_, r)| r.realisation.as_str()).collect();
        if kinds.len() < 2 {
            continue;
        }
        let (locals, rows): (Vec<LocalId>, Vec<Row>) = group.into_iter().unzip();
        let pairs = pairs(program, stmts, &locals);
        // The reference is who is compared most often, and among equals who costs no table and no training.
        let votes = |k: usize| pairs.iter().filter(|p| p.0 == k || p.1 == k).count();
        let reference = (0..rows.len())
            .filter(|&k| votes(k) > 0)
            .max_by_key(|&k| (votes(k), rows[k].offline.is_empty(), std::cmp::Reverse(k)));
        let measures = pairs
            .into_iter()
            .filter_map(|(a, b, text, statement, entry)| {
                let (of, against) = match reference? {
                    r if r == b => (a, b),
                    r if r == a => (b, a),
                    _ => return None,
                };
                Some(Measure { of, against, text, statement, entry })
            })
            .collect();
        out.push(Comparison {
            study: def.name.clone(),
            system: program.def(system).name.clone(),
            closure: program.def(closure).name.clone(),
            rows,
            reference,
            measures,
        });
    }
    out
}

/// `solve(System(…, law, …), scheme)`, also inside a function that is given the law: the system, the closure, and the expression
/// that realises it. `open` are the functions being looked into.
fn realisation<'p>(program: &'p Program, value: &'p Expr, open: &mut Vec<DefId>) -> Option<(DefId, DefId, &'p Expr)> {
    let mut calls = vec![];
    walk::evaluated(value, &mut |e| {
        if let ExprKind::Call { callee, args } = &e.kind
            && let ExprKind::Def(d) = callee.kind
        {
            calls.push((d, args));
        }
    });
    calls.into_iter().find_map(|(d, args)| match &program.def(d).kind {
        DefKind::System(s) => {
            s.params.iter().enumerate().find_map(|(k, p)| Some((d, closure_of(p)?, given(args, p, k)?)))
        }
        DefKind::Fn(f) if !open.contains(&d) => {
            open.push(d);
            let lets = f.body.stmts.iter().filter_map(|s| match s {
                BlockStmt::Let { value, .. } => Some(value),
                BlockStmt::Weight { .. } | BlockStmt::Next { .. } => None,
            });
            let found = lets.chain([&*f.body.result]).find_map(|e| realisation(program, e, open));
            open.pop();
            let (system, closure, law) = found?;
            let ExprKind::Local(l) = law.kind else { return Some((system, closure, law)) };
            let (k, p) = f.params.iter().enumerate().find(|(_, p)| p.local == l)?;
            Some((system, closure, given(args, p, k)?))
        }
        _ => None,
    })
}

fn closure_of(p: &Param) -> Option<DefId> {
    match p.ty.as_ref()?.kind {
        TypeExprKind::Closure(c) => Some(c),
        _ => None,
    }
}

/// The argument of the k-th parameter.
fn given<'p>(args: &'p [Arg], p: &Param, k: usize) -> Option<&'p Expr> {
    let named = args.iter().find(|a| a.name.as_deref() == Some(&p.name));
    named.or_else(|| args.get(k).filter(|a| a.name.is_none())).map(|a| &a.value)
}

/// Tasks behind the expression that realises a closure.
fn offline(graph: &Graph, given: &Expr, program: &Program, node: NodeIndex) -> BTreeSet<NodeIndex> {
    let mut defs = BTreeSet::new();
    let mut locals = BTreeSet::new();
    let mut waiting = vec![given];
    while let Some(e) = waiting.pop() {
        walk::expr(e, &mut |e| match e.kind {
            ExprKind::Def(d) => {
                if defs.insert(d)
                    && let DefKind::Let { value, .. } = &program.def(d).kind
                {
                    waiting.push(value);
                }
            }
            ExprKind::Local(l) => {
                locals.insert(l);
            }
            _ => {}
        });
    }
    let direct = super::graph::needed(graph, node).into_iter().filter(|&n| {
        n != node
            && (graph[n].def.is_some_and(|d| defs.contains(&d)) || graph[n].local.is_some_and(|l| locals.contains(&l)))
    });
    direct.flat_map(|n| super::graph::needed(graph, n)).collect()
}

/// What holds two of the solutions against each other, as positions in `locals`.
fn pairs(
    program: &Program,
    stmts: &[StudyStmt],
    locals: &[LocalId],
) -> Vec<(usize, usize, String, Span, Option<usize>)> {
    let two = |e: &Expr| -> Option<(usize, usize)> {
        let mut found = vec![];
        walk::expr(e, &mut |e| {
            if let ExprKind::Local(l) = e.kind
                && let Some(k) = locals.iter().position(|x| *x == l)
                && !found.contains(&k)
            {
                found.push(k);
            }
        });
        match found[..] {
            [a, b] => Some((a, b)),
            _ => None,
        }
    };
    let text = |e: &Expr| program.sources.text(e.span).to_string();
    let mut out = vec![];
    for s in stmts {
        match &s.kind {
            StudyStmtKind::Check(e) => {
                if let ExprKind::Op { args, .. } = &e.kind
                    && args.len() == 2
                    && let Some((a, b)) = two(&args[0])
                    && two(&args[1]).is_none()
                {
                    out.push((a, b, text(&args[0]), e.span, None));
                }
            }
            StudyStmtKind::Call(e) => {
                if let ExprKind::Call { callee, args } = &e.kind
                    && text(callee) == "report"
                {
                    for (k, a) in args.iter().enumerate() {
                        if let Some((x, y)) = two(&a.value) {
                            out.push((x, y, text(&a.value), e.span, Some(k)));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Sources;
    use crate::flow::graph;

    #[test]
    fn solves_hidden_in_a_function_compare_too() {
        let text = "let Ω = interval(0..1)
closure Law(x) -> Real {}
let exact: Law = fn(x) { 1 + x }
let table: Law = tabulate(exact, x=0..1, n=[5])
system Rod(k: Law) {
  unknown u: Field(Ω) ~ 1
  eq balance: -∇·(k(u)*∇u) = 1
  on Ω.left: u = 0
}
fn rod(law: Law) { solve(Rod(law), fem(order=1, n=4)).u }
study s {
  let a = rod(exact)
  let b = rod(table)
  let c = solve(Rod(fn(x) { 1 }), fem(order=1, n=4)).u
  check rel_l2(b, a) < 1
  report(rough=rel_l2(c, a))
}
";
        let mut sources = Sources::default();
        let root = sources.add("rod.msl", text);
        let (program, found) = crate::sema::analyse(sources, root, &Default::default());
        assert!(!found.iter().any(|d| d.is_error()), "{found:#?}");
        let study = program.find("s").unwrap();
        let graph = graph::graph(&program, &[study]);
        let [c] = &comparisons(&program, &graph, &[study])[..] else { panic!("one comparison") };
        let rows: Vec<(&str, &str, usize)> =
            c.rows.iter().map(|r| (r.name.as_str(), r.realisation.as_str(), r.offline.len())).collect();
        assert_eq!(rows, [("a", "exact", 0), ("b", "table", 1), ("c", "fn(x) { 1 }", 0)]);
        assert_eq!(c.reference, Some(0));
        let measures: Vec<(usize, &str)> = c.measures.iter().map(|m| (m.of, m.text.as_str())).collect();
        assert_eq!(measures, [(1, "rel_l2(b, a)"), (2, "rel_l2(c, a)")]);
    }
}
