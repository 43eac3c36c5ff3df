//! `Solve` and `LinearSolve`: Newton's method on a compiled residual, with a sparse Jacobian from compiled element matrices.

use super::buffer::{Buffer, Element, View, ViewMut};
use super::{Context, Program, Workspace, buffers, lower};
use crate::backend::system;
use crate::ir::{Fault, Func, SolveSpec};
use crate::solve::newton::{NewtonFailure, NewtonOptions, newton};
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
        let (jacobian, plan) = system::prepare(residual, spec, threads)?;
        Ok(System {
            residual: residual.clone(),
            spec: spec.clone(),
            value: lower::lower(residual, threads)?,
            jacobian: lower::lower(&lower::flattened(&jacobian.values), threads)?,
            plan,
        })
    }

    /// Whether this is the system of that residual.
    pub fn is(&self, residual: &Arc<Func>, spec: &Arc<SolveSpec>) -> bool {
        (Arc::ptr_eq(&self.residual, residual) || self.residual == *residual)
            && (Arc::ptr_eq(&self.spec, spec) || self.spec == *spec)
    }

    /// Arguments `(guess, p…)`.
    pub fn solve(&self, context: &Context, s: &mut State, args: &[View], out: &mut [f64]) -> Result<(), Fault> {
        super::super::counts::solved(&self.spec.name);
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
            (Err(Trouble::Newton(failure)), None) => Err(system::newton_fault(&self.spec, &failure, out)),
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
            Err(failure) => Err(system::linear_fault(&self.spec, &failure)),
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
