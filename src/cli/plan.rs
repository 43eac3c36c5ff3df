//! `mslc plan`: what a run would do, why, and at what cost.

use super::run::{self, Prepared};
use super::{Outcome, Output, args, output::print};
use crate::base::digits::short;
use crate::exec::follow::bytes_kept;
use crate::exec::plan::{Expected, Inferred, Plan, Planned, Status};
use crate::exec::progress::Silent;
use crate::exec::run as exec_run;
use crate::flow::graph::{self, Graph, Kind};
use crate::lower::evolve::march::March;
use crate::report::html::duration;
use crate::report::ticks::si;
use crate::sema::scales::ScaleLink;
use serde_json::json;

pub fn plan(args: &args::Run) -> Outcome {
    let mut out = Output::new(args.json, args.quiet);
    let Some(Prepared { analysis, folder, .. }) = run::prepare(args, &mut out) else { return Outcome::ProgramWrong };
    let program = &analysis.program;
    let graph = graph::graph(program, &exec_run::studies(program, &args.studies));
    let plan = exec_run::plan(program, &graph, run::options(args, &folder, Box::new(Silent)));
    let natural: Vec<(String, String, &[String])> = analysis
        .natural
        .iter()
        .map(|n| (format!("{}.{}", program.def(n.system).name, n.unknown), n.domain.clone(), &n.parts[..]))
        .collect();
    if args.json {
        for l in &analysis.scales.links {
            out.event(&json!({
                "kind": "scales", "closure": l.closure, "cell": l.cell.0, "cell_extent": l.cell.1, "system": l.macroscopic.0,
                "h": l.macroscopic.1, "separation": l.separation, "thin": l.thin,
            }));
        }
        for (unknown, domain, parts) in &natural {
            out.event(&json!({ "kind": "natural", "unknown": unknown, "domain": domain, "parts": parts }));
        }
        for s in &plan.systems {
            out.event(&json!({
                "kind": "system", "system": s.system, "unknowns": s.unknowns, "linear": s.linear, "symmetric": s.symmetric,
                "solver": s.method,
            }));
        }
        for m in &plan.marches {
            out.event(&json!({
                "kind": "time", "system": m.system, "space": m.space, "time": m.time, "steps": m.steps, "step": m.step,
                "samples": m.kept(), "bytes": bytes_kept(m), "implicit": m.implicit,
            }));
        }
        for p in &plan.tasks {
            out.event(&task_event(p, &graph));
        }
    } else {
        let mut lines = vec![];
        lines.extend(analysis.scales.links.iter().map(|l| format!("scales    {}", scales(l))));
        for (unknown, domain, parts) in &natural {
            let parts: Vec<String> = parts.iter().map(|p| format!("{domain}.{p}")).collect();
            lines.push(format!("natural   no flux of {unknown} through {}", parts.join(", ")));
        }
        lines.extend(systems(&plan.systems));
        lines.extend(plan.marches.iter().map(|m| format!("in time   {}", march(m))));
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(tasks(&plan, &graph));
        if plan.problems.is_empty() {
            lines.push(summary(&plan, &graph));
        }
        print(&(lines.join("\n") + "\n"));
    }
    out.diagnostics(&plan.problems, &program.sources);
    if plan.problems.is_empty() { Outcome::Good } else { Outcome::RunFailed }
}

fn task_event(p: &Planned, graph: &Graph) -> serde_json::Value {
    let task = &graph[p.node];
    let needs: Vec<&str> =
        graph.neighbors_directed(p.node, petgraph::Direction::Incoming).map(|n| graph[n].path.as_str()).collect();
    let solves: Vec<serde_json::Value> = p
        .solves
        .iter()
        .map(|s| json!({ "system": s.system, "times": s.times, "each_step": s.each_step, "counted": s.counted }))
        .collect();
    json!({
        "kind": "task", "task": task.kind.name(), "label": task.label, "path": task.path, "status": p.status.name(),
        "reasons": p.reasons, "last_seconds": p.seconds, "solves": solves, "needs": needs,
    })
}

fn scales(l: &ScaleLink) -> String {
    format!(
        "across {}: elements of {} in {} over the cell {} of {}, separation {}{}",
        l.closure,
        si(l.macroscopic.1, "m"),
        l.macroscopic.0,
        l.cell.0,
        si(l.cell.1, "m"),
        crate::report::ticks::number(l.separation),
        if l.thin { " (thin)" } else { "" }
    )
}

/// `Heat: central differences of order 2 on 128 points, rk4, 1000 steps of 0.001; nothing is implicit; 11 samples kept, 0.01 MB`
fn march(m: &March) -> String {
    let kept = m.kept().zip(bytes_kept(m)).map(|(n, bytes)| {
        let size = short((bytes as f64 / 1e4).ceil() / 100.0);
        format!("; {n} samples kept, {size} MB")
    });
    format!(
        "{}: {}, {}, {} steps of {}; {}{}",
        m.system,
        m.space,
        m.time,
        m.steps,
        short(m.step),
        m.implicit,
        kept.unwrap_or_default()
    )
}

/// A line for each kind of system, its sizes joined.
fn systems(all: &[Inferred]) -> Vec<String> {
    let mut kinds: Vec<(&Inferred, Vec<usize>)> = vec![];
    for s in all {
        let alike =
            |k: &Inferred| (&k.system, k.linear, k.symmetric, k.method) == (&s.system, s.linear, s.symmetric, s.method);
        match kinds.iter_mut().find(|k| alike(k.0)) {
            Some((_, sizes)) => sizes.push(s.unknowns),
            None => kinds.push((s, vec![s.unknowns])),
        }
    }
    kinds
        .into_iter()
        .map(|(s, mut sizes)| {
            sizes.sort_unstable();
            let n: Vec<String> = sizes.iter().map(usize::to_string).collect();
            let law = if s.linear { "linear" } else { "nonlinear: Newton" };
            let matrix = if s.symmetric { "symmetric positive" } else { "not known to be symmetric" };
            format!("inferred  {}: {} unknowns, {law}, {matrix}: {}", s.system, n.join("/"), s.method)
        })
        .collect()
}

fn tasks(plan: &Plan, graph: &Graph) -> Vec<String> {
    let name = |p: &Planned| {
        let t = &graph[p.node];
        let path = t.path.rsplit_once('#').map_or(t.path.as_str(), |x| x.0);
        let mut name =
            format!("{} {}", t.kind.name(), if t.label.starts_with(t.kind.name()) { path } else { &t.label });
        if name.chars().count() > 44 {
            name = name.chars().take(43).chain(['…']).collect();
        }
        name
    };
    // What is no work of its own is told by its number.
    let follows = |p: &Planned| matches!(graph[p.node].kind, Kind::Check | Kind::Output) && p.solves.is_empty();
    let (followers, rest): (Vec<&Planned>, Vec<&Planned>) =
        plan.tasks.iter().partition(|p| p.status == Status::Run && follows(p));
    let (shown, small): (Vec<&Planned>, Vec<&Planned>) = rest.iter().partition(|p| p.status != Status::Quick);
    let width = shown.iter().map(|p| name(p).chars().count()).max().unwrap_or(0);
    let mut lines: Vec<String> = shown
        .iter()
        .map(|p| {
            let mut words = p.reasons.clone();
            words.extend(p.solves.iter().map(expected));
            if let Some(s) = p.seconds.filter(|s| *s >= 1e-3) {
                words.push(format!("last {}", duration(s)));
            }
            format!("{:8}  {:width$}  {}", p.status.name(), name(p), words.join("; ")).trim_end().to_string()
        })
        .collect();
    let of = |kind: Kind| followers.iter().filter(|p| graph[p.node].kind == kind).count();
    let counts = [(of(Kind::Check), "check"), (of(Kind::Output), "output")];
    let words: Vec<String> = counts.iter().filter(|c| c.0 > 0).map(|(n, word)| many(*n, word)).collect();
    if !words.is_empty() {
        lines.push(format!("then      {}", words.join(" and ")));
    }
    if !small.is_empty() {
        lines.push(format!("quick     {} of a few milliseconds, computed each time", many(small.len(), "task")));
    }
    lines
}

/// `512 × Cell`, `2500 × Cell a step of the iteration`
fn expected(e: &Expected) -> String {
    let about = if e.counted { "about " } else { "" };
    let step = if e.each_step { " in each step of the iteration around it" } else { "" };
    format!("{about}{} × {}{step}", e.times, e.system)
}

fn many(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

fn summary(plan: &Plan, graph: &Graph) -> String {
    let works = |p: &&Planned| !matches!(graph[p.node].kind, Kind::Check | Kind::Output) || !p.solves.is_empty();
    let to_run: Vec<&Planned> = plan.tasks.iter().filter(|p| p.status == Status::Run).filter(works).collect();
    let known: f64 = to_run.iter().filter_map(|p| p.seconds).sum();
    let unknown = to_run.iter().filter(|p| p.seconds.is_none()).count();
    let time = match (to_run.len(), unknown) {
        (0, _) => "nothing of length to do: results are in the cache".into(),
        (n, u) if u == n => format!("{n} to run, none of which has run before"),
        (n, 0) => format!("{n} to run, about {} by their last times", duration(known)),
        (n, u) => format!("{n} to run, about {} and {u} that never ran", duration(known)),
    };
    format!("\n{time}")
}
