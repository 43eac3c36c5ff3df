//! `Solve` and `LinearSolve`: Newton's method on a compiled residual, with a sparse Jacobian from compiled element matrices.

use super::buffer::{Buffer, Element, View, ViewMut};
use super::{Context, Program, Workspace, buffers, lower};
use crate::ad::dense_jacobian;
use crate::ir::{DType, Fault, Func, GridHint, LinearSolver, SolveSpec};
use crate::solve::newton::{Cause, NewtonFailure, NewtonOptions, newton};
use crate::solve::{self, Failure, LinearSystem};
use std::sync::Arc;

/// What follows from a residual before any run.
pub struct System {
    residual: Arc<Func>,
    spec: Arc<SolveSpec>,
    value: Program,
    jacobian: Program,
    plan: Arc<solve::Plan>,
}

/// Memory, the last matrix and its factors.
pub struct State {
    value: Option<Workspace>,
    jacobian: Option<Workspace>,
    blocks: Vec<Buffer>,
    values: Vec<f64>,
    linear: LinearSystem,
}

impl System {
    pub fn new(residual: &Arc<Func>, spec: &Arc<SolveSpec>, threads: usize) -> Result<System, Fault> {
        if residual.inputs[0].dtype != DType::F64 {
            return Err(Fault::new(&spec.name, "systems are solved in f64 only").help("cast the unknown to f64"));
        }
        let dense;
        let j = match &spec.jacobian {
            Some(j) => &**j,
            None => {
                dense = dense_jacobian(residual);
                &dense
            }
        };
        let blocks: Vec<solve::Blocks> = j
            .blocks
            .iter()
            .map(|b| {
                let index = |t: &'_ crate::ir::Tensor| t.ty.shape[1];
                solve::Blocks {
                    rows: b.rows.as_index().expect("compiler bug: rows of a Jacobian are indices"),
                    cols: b.cols.as_index().expect("compiler bug: columns of a Jacobian are indices"),
                    row_size: index(&b.rows),
                    col_size: index(&b.cols),
                }
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
        Ok(System {
            residual: residual.clone(),
            spec: spec.clone(),
            value: lower::lower(residual, threads)?,
            jacobian: lower::lower(&j.values, threads)?,
            plan: Arc::new(solve::Plan::new(pattern, options)),
        })
    }

    /// Whether this is the system of that residual.
    pub fn is(&self, residual: &Arc<Func>, spec: &Arc<SolveSpec>) -> bool {
        (Arc::ptr_eq(&self.residual, residual) || self.residual == *residual)
            && (Arc::ptr_eq(&self.spec, spec) || self.spec == *spec)
    }

    /// Arguments `(guess, p…)`.
    pub fn solve(&self, context: &Context, s: &mut State, args: &[View], out: &mut [f64]) -> Result<(), Fault> {
        out.copy_from_slice(f64::of(args[0]));
        let State { value, jacobian, blocks, values, linear } = s;
        let (value, jacobian) = self.workspaces(value, jacobian, blocks, values);
        let options = NewtonOptions {
            tolerance: self.spec.newton_tolerance,
            iterations: self.spec.newton_iterations,
            affine: self.spec.linear,
        };
        let mut inner = None;
        let outcome = newton(
            out,
            options,
            |u, r| {
                let inputs = arguments(u, &args[1..]);
                self.value.run(context, value, &inputs, &mut [ViewMut::F64(r)]).map_err(Trouble::Fault)
            },
            |u, r, d| {
                if let Err(fault) = self.assemble(context, jacobian, u, &args[1..], blocks, values) {
                    inner = Some(fault);
                    return Err(Failure::NotFinite { unknown: 0 });
                }
                linear.set_values(values);
                linear.solve(r, d, false).map(|_| ())
            },
        );
        match (outcome, inner) {
            (Ok(_), _) => Ok(()),
            (Err(_), Some(fault)) | (Err(Trouble::Fault(fault)), None) => Err(fault.within(&self.spec.name)),
            (Err(Trouble::Newton(failure)), None) => Err(self.told(&failure, out)),
        }
    }

    /// Arguments `(rhs, u, p…)`.
    pub fn linear_solve(
        &self,
        context: &Context,
        s: &mut State,
        transposed: bool,
        args: &[View],
        out: &mut [f64],
    ) -> Result<(), Fault> {
        let State { value, jacobian, blocks, values, linear } = s;
        let (_, jacobian) = self.workspaces(value, jacobian, blocks, values);
        let u = f64::of(args[1]);
        self.assemble(context, jacobian, u, &args[2..], blocks, values).map_err(|e| e.within(&self.spec.name))?;
        linear.set_values(values);
        match linear.solve(f64::of(args[0]), out, transposed) {
            Ok(_) => Ok(()),
            Err(failure) => {
                let what = format!("a linear system of its derivative: {failure}{}", self.place(located(&failure)));
                Err(Fault::new(&self.spec.name, what).help(help(&failure)))
            }
        }
    }

    fn workspaces<'a>(
        &self,
        value: &'a mut Option<Workspace>,
        jacobian: &'a mut Option<Workspace>,
        blocks: &mut Vec<Buffer>,
        values: &mut Vec<f64>,
    ) -> (&'a mut Workspace, &'a mut Workspace) {
        if values.is_empty() {
            values.resize(self.plan.pattern().entries(), 0.0);
            *blocks = buffers(self.jacobian.output_types());
        }
        (
            value.get_or_insert_with(|| Workspace::new(&self.value)),
            jacobian.get_or_insert_with(|| Workspace::new(&self.jacobian)),
        )
    }

    fn assemble(
        &self,
        context: &Context,
        w: &mut Workspace,
        u: &[f64],
        p: &[View],
        blocks: &mut [Buffer],
        values: &mut [f64],
    ) -> Result<(), Fault> {
        let mut outputs: Vec<ViewMut> = blocks.iter_mut().map(Buffer::view_mut).collect();
        self.jacobian.run(context, w, &arguments(u, p), &mut outputs)?;
        let blocks: Vec<&[f64]> = blocks.iter().map(|b| f64::of(b.view())).collect();
        self.plan.pattern().assemble(&blocks, values);
        Ok(())
    }

    fn told(&self, failure: &NewtonFailure, u: &[f64]) -> Fault {
        let (unknown, help) = match &failure.cause {
            Cause::NotFinite { unknown } => (*unknown, "a root, logarithm or quotient may have left its domain"),
            Cause::Linear(f) => (located(f), help(f)),
            Cause::Stalled { unknown, .. } => (
                *unknown,
                "start closer to the solution, or load in smaller steps; a term may have a kink or the wrong sign",
            ),
            Cause::Slow { unknown, .. } => (*unknown, "start closer to the solution, or allow more iterations"),
        };
        let at = u.get(unknown).map_or(String::new(), |x| format!("; unknown {unknown} is {x:e} there"));
        Fault::new(&self.spec.name, format!("{failure}{at}{}", self.place(unknown))).help(help)
    }

    /// Where an unknown lies, if that is known.
    fn place(&self, unknown: usize) -> String {
        let Some(g) = &self.spec.grid else { return String::new() };
        let c = g.components.max(1);
        let node = (unknown / c) as u32;
        let point = if g.unknowns.is_empty() { Some(unknown / c) } else { g.unknowns.iter().position(|&k| k == node) };
        let Some(mut point) = point else { return String::new() };
        let mut index = vec![0; g.points.len()];
        for a in (0..index.len()).rev() {
            index[a] = point % g.points[a].max(1);
            point /= g.points[a].max(1);
        }
        format!(", at point {index:?} of the {:?} grid", g.points)
    }
}

impl State {
    pub fn new(system: &System) -> State {
        State {
            value: None,
            jacobian: None,
            blocks: vec![],
            values: vec![],
            linear: LinearSystem::new(system.plan.clone()),
        }
    }
}

enum Trouble {
    Newton(NewtonFailure),
    Fault(Fault),
}

impl From<NewtonFailure> for Trouble {
    fn from(f: NewtonFailure) -> Trouble {
        Trouble::Newton(f)
    }
}

fn arguments<'a>(u: &'a [f64], p: &[View<'a>]) -> Vec<View<'a>> {
    std::iter::once(View::F64(u)).chain(p.iter().copied()).collect()
}

fn located(f: &Failure) -> usize {
    match f {
        Failure::NotFinite { unknown }
        | Failure::Singular { unknown, .. }
        | Failure::NotPositiveDefinite { unknown } => *unknown,
        Failure::Stagnated { .. } => 0,
    }
}

fn help(f: &Failure) -> &'static str {
    match f {
        Failure::NotFinite { .. } => "a root, logarithm or quotient may have left its domain",
        Failure::Singular { .. } => {
            "an unknown may have no equation, or a constant may be undetermined: fix it by a condition such as `mean(u) = 0`"
        }
        Failure::NotPositiveDefinite { .. } => "a coefficient may be negative or a flux have the wrong sign",
        Failure::Stagnated { .. } => "ask for a direct solver, or for a coarser tolerance",
    }
}

fn grid(g: &GridHint) -> solve::Grid {
    // From unknowns of points to those of values.
    let c = g.components as u32;
    let values = |&u: &u32| (0..c).map(move |k| if u == u32::MAX { u } else { u * c + k });
    solve::Grid {
        points: g.points.clone(),
        periodic: g.periodic.clone(),
        components: g.components,
        unknowns: g.unknowns.iter().flat_map(values).collect(),
    }
}
