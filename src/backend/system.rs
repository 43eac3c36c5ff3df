//! What both back ends share of `Solve`: the sparse pattern of its Jacobian, and the words for its failures.

use crate::ad::dense_jacobian;
use crate::ir::{Culprit, DType, Fault, Func, GridHint, Jacobian, LinearSolver, SolveSpec, Tensor};
use crate::solve::newton::{Cause, NewtonFailure};
use crate::solve::{self, Failure};
use std::sync::Arc;

/// The Jacobian that comes with the spec, or a dense one, and all that follows from its pattern.
pub fn prepare(residual: &Func, spec: &SolveSpec, threads: usize) -> Result<(Arc<Jacobian>, Arc<solve::Plan>), Fault> {
    if residual.inputs[0].dtype != DType::F64 {
        return Err(Fault::new(&spec.name, "systems are solved in f64 only").help("cast the unknown to f64"));
    }
    let jacobian = spec.jacobian.clone().unwrap_or_else(|| Arc::new(dense_jacobian(residual)));
    fn indices(t: &Tensor) -> &[u32] {
        t.as_index().expect("compiler bug: a Jacobian's places are indices")
    }
    let blocks: Vec<solve::Blocks> = jacobian
        .blocks
        .iter()
        .map(|b| solve::Blocks {
            rows: indices(&b.rows),
            cols: indices(&b.cols),
            row_size: b.rows.ty.shape[1],
            col_size: b.cols.ty.shape[1],
        })
        .collect();
    let options = solve::Options {
        symmetric: spec.symmetric,
        constant_kernel: spec.constant_kernel,
        grid: spec.grid.as_ref().map(grid),
        choice: match spec.solver {
            LinearSolver::Auto => solve::Choice::Auto,
            LinearSolver::Direct => solve::Choice::Direct,
            LinearSolver::Multigrid => solve::Choice::Multigrid,
        },
        tolerance: spec.linear_tolerance,
        threads,
    };
    let pattern = solve::Pattern::new(residual.inputs[0].len(), &blocks);
    Ok((jacobian, Arc::new(solve::Plan::new(pattern, options))))
}

/// Newton's method failed with `u` as its best iterate.
pub fn newton_fault(spec: &SolveSpec, failure: &NewtonFailure, u: &[f64]) -> Fault {
    let (unknown, help) = match &failure.cause {
        Cause::NotFinite { unknown } => (Some(*unknown), "a root, logarithm or quotient may have left its domain"),
        Cause::Linear(f) => (located(f), help(f)),
        Cause::Stalled { unknown, .. } => (
            Some(*unknown),
            "start closer to the solution, or load in smaller steps; a term may have a kink or the wrong sign",
        ),
        Cause::Slow { unknown, .. } => (Some(*unknown), "start closer to the solution, or allow more iterations"),
    };
    let at = unknown.map_or(String::new(), |k| match u.get(k) {
        Some(x) => format!("; unknown {k} is {x:.4e} there{}", place(spec, k)),
        None => place(spec, k),
    });
    let culprit = unknown.map(|index| Culprit { solve: spec.name.clone(), index, of: u.len() });
    Fault::new(&spec.name, format!("{}{failure}{at}", scale(spec))).help(help).of_unknown(culprit)
}

/// The result of a `Solve` that may fail and did.
pub fn unsolved(guess: &[f64], out: &mut [f64]) {
    out.copy_from_slice(guess);
    if let Some(last) = out.last_mut() {
        *last = f64::NAN;
    }
}

/// A `LinearSolve` failed.
pub fn linear_fault(spec: &SolveSpec, failure: &Failure) -> Fault {
    let at = located(failure).map_or(String::new(), |k| place(spec, k));
    Fault::new(&spec.name, format!("{}the linear system of a derivative: {failure}{at}", scale(spec)))
        .help(help(failure))
}

fn scale(spec: &SolveSpec) -> String {
    spec.scale.as_ref().map_or(String::new(), |scale| format!("at the scale `{scale}`: "))
}

/// Where an unknown lies, if that is known.
fn place(spec: &SolveSpec, unknown: usize) -> String {
    let Some(g) = &spec.grid else { return String::new() };
    let node = unknown / g.components.max(1);
    let point = if g.unknowns.is_empty() { Some(node) } else { g.unknowns.iter().position(|&k| k as usize == node) };
    let Some(mut point) = point else { return String::new() };
    let mut index = vec![0; g.points.len()];
    for a in (0..index.len()).rev() {
        index[a] = point % g.points[a].max(1);
        point /= g.points[a].max(1);
    }
    format!(" (point {index:?} of the {:?} grid)", g.points)
}

fn located(f: &Failure) -> Option<usize> {
    match f {
        Failure::NotFinite { unknown }
        | Failure::Singular { unknown, .. }
        | Failure::NotPositiveDefinite { unknown } => Some(*unknown),
        Failure::Stagnated { .. } => None,
    }
}

fn help(f: &Failure) -> &'static str {
    match f {
        Failure::NotFinite { .. } => "a root, logarithm or quotient may have left its domain",
        Failure::Singular { .. } => {
            "an unknown may have no equation, or a constant may be undetermined: fix it by a condition such as `mean(u) = 0`"
        }
        Failure::NotPositiveDefinite { .. } => "a coefficient may be negative, or a flux have the wrong sign",
        Failure::Stagnated { .. } => "ask for a direct solver, or for a coarser tolerance",
    }
}

fn grid(g: &GridHint) -> solve::Grid {
    solve::Grid {
        points: g.points.clone(),
        periodic: g.periodic.clone(),
        components: g.components,
        unknowns: g.unknowns.clone(),
    }
}
