//! `Solve` and `LinearSolve`: Newton's method on a compiled residual, with a sparse Jacobian from compiled element matrices.

use super::buffer::{Buffer, Element, View, ViewMut};
use super::repeats::same_bits;
use super::{Context, Program, Workspace, buffers, lower};
use crate::backend::system::{self, unsolved};
use crate::ir::{Builder, Fault, Func, Op, SolveSpec, Within};
use crate::passes;
use crate::solve::newton::{Equations, NewtonFailure, NewtonOptions, newton};
use crate::solve::{self, Failure, LinearSystem};
use std::sync::Arc;

/// What follows from a residual before any run.
pub struct System {
    residual: Arc<Func>,
    spec: Arc<SolveSpec>,
    value: Program,
    /// Residual, then element matrices: where both ask for the same nested problems, which are then solved once.
    both: Option<Program>,
    matrix: Arc<Matrix>,
    /// The system of the same function whose state holds the matrix: problems that differ in their loads share factors.
    owner: usize,
}

/// The matrix of a system.
struct Matrix {
    jacobian: Program,
    /// Which of `(u, p…)` it depends on.
    reads: Vec<bool>,
    plan: Arc<solve::Plan>,
}

/// Memory of a system, and of a matrix if other systems do not own it.
#[derive(Default)]
pub struct State {
    value: Option<Workspace>,
    both: Option<Workspace>,
    matrix: Option<Box<MatrixState>>,
}

struct MatrixState {
    jacobian: Option<Workspace>,
    blocks: Vec<Buffer>,
    /// The arguments that it was made from, of those it depends on.
    made_from: Option<Vec<Buffer>>,
    linear: LinearSystem,
}

impl System {
    /// `others`: the systems of the same function so far.
    pub fn new(
        residual: &Arc<Func>,
        spec: &Arc<SolveSpec>,
        threads: usize,
        others: &[System],
    ) -> Result<System, Fault> {
        let same = |s: &System| spec.jacobian.is_some() && (Arc::ptr_eq(&s.spec, spec) || s.spec == *spec);
        let nested = !spec.linear && passes::runs_item_by_item(residual);
        let shared = if nested { None } else { others.iter().find(|s| s.both.is_none() && same(s)) };
        let (matrix, both) = match shared {
            Some(other) => (other.matrix.clone(), None),
            None => {
                let (jacobian, plan) = system::prepare(residual, spec, threads)?;
                let values = lower::flattened(&jacobian.values);
                let reads = inputs_read(&values);
                let both = nested.then(|| lower::lower(&lower::flattened(&together(residual, &values)), threads));
                (Arc::new(Matrix { jacobian: lower::lower(&values, threads)?, reads, plan }), both.transpose()?)
            }
        };
        Ok(System {
            residual: residual.clone(),
            spec: spec.clone(),
            value: lower::lower(residual, threads)?,
            both,
            matrix,
            owner: shared.map_or(others.len(), |s| s.owner),
        })
    }

    /// Whether this is the system of that residual.
    pub fn is(&self, residual: &Arc<Func>, spec: &Arc<SolveSpec>) -> bool {
        (Arc::ptr_eq(&self.residual, residual) || self.residual == *residual)
            && (Arc::ptr_eq(&self.spec, spec) || self.spec == *spec)
    }

    /// Arguments `(guess, p…)`. `states` are those of all systems, this one is the `own`-th.
    pub fn solve(
        &self,
        context: &Context,
        states: &mut [State],
        own: usize,
        args: &[View],
        out: &mut [f64],
    ) -> Result<(), Fault> {
        super::super::counts::solved(&self.spec.name);
        out.copy_from_slice(f64::of(args[0]));
        let options = NewtonOptions {
            tolerance: self.spec.newton_tolerance,
            iterations: self.spec.newton_iterations,
            affine: self.spec.linear,
        };
        let (mut value, mut both) = (states[own].value.take(), states[own].both.take());
        let mut problem = Problem {
            system: self,
            context,
            value: &mut value,
            both: &mut both,
            matrix: states[self.owner].matrix(self),
            p: &args[1..],
            has_blocks: false,
            inner: None,
        };
        let outcome = newton(out, options, &mut problem);
        let inner = problem.inner;
        (states[own].value, states[own].both) = (value, both);
        match (outcome, inner) {
            (Ok(_), _) => Ok(()),
            (Err(_), _) if self.spec.may_fail => {
                unsolved(f64::of(args[0]), out);
                Ok(())
            }
            (Err(_), Some(fault)) | (Err(Trouble::Fault(fault)), None) => {
                Err(fault.within(Within::Solve(self.spec.name.clone())))
            }
            (Err(Trouble::Newton(failure)), None) => Err(system::newton_fault(&self.spec, &failure, out)),
        }
    }

    /// Arguments `(rhs, u, p…)`.
    pub fn linear_solve(
        &self,
        context: &Context,
        states: &mut [State],
        transposed: bool,
        args: &[View],
        out: &mut [f64],
    ) -> Result<(), Fault> {
        let matrix = states[self.owner].matrix(self);
        self.matrix.at(context, matrix, &args[1..]).map_err(|e| e.within(Within::Solve(self.spec.name.clone())))?;
        match matrix.linear.solve(f64::of(args[0]), out, transposed) {
            Ok(_) => Ok(()),
            Err(_) if self.spec.may_fail => {
                out.fill(0.0);
                Ok(())
            }
            Err(failure) => Err(system::linear_fault(&self.spec, &failure)),
        }
    }
}

impl Matrix {
    /// Makes the matrix at `(u, p…)` the one of `s.linear`, if it is not.
    fn at(&self, context: &Context, s: &mut MatrixState, args: &[View]) -> Result<(), Fault> {
        let read = || args.iter().zip(&self.reads).filter(|(_, r)| **r).map(|(a, _)| *a);
        if s.made_from.as_ref().is_some_and(|made| made.iter().zip(read()).all(|(m, a)| same_bits(m.view(), a))) {
            return Ok(());
        }
        s.made_from = None;
        let mut outputs: Vec<ViewMut> = s.blocks.iter_mut().map(Buffer::view_mut).collect();
        let workspace = s.jacobian.get_or_insert_with(|| Workspace::new(&self.jacobian));
        self.jacobian.run(context, workspace, args, &mut outputs)?;
        s.assemble(self);
        s.made_from = Some(read().map(Buffer::copy_of).collect());
        Ok(())
    }
}

impl State {
    fn matrix(&mut self, system: &System) -> &mut MatrixState {
        self.matrix.get_or_insert_with(|| {
            Box::new(MatrixState {
                jacobian: None,
                blocks: buffers(system.matrix.jacobian.output_types()),
                made_from: None,
                linear: LinearSystem::new(system.matrix.plan.clone()),
            })
        })
    }
}

impl MatrixState {
    /// The matrix from the element matrices in `blocks`.
    fn assemble(&mut self, matrix: &Matrix) {
        let blocks: Vec<&[f64]> = self.blocks.iter().map(|b| f64::of(b.view())).collect();
        self.linear.fill(|values| matrix.plan.pattern().assemble(&blocks, values));
    }
}

/// A system with its parameters, as Newton's method sees it.
struct Problem<'a> {
    system: &'a System,
    context: &'a Context<'a>,
    value: &'a mut Option<Workspace>,
    both: &'a mut Option<Workspace>,
    matrix: &'a mut MatrixState,
    p: &'a [View<'a>],
    /// The last evaluation of the residual gave the element matrices, too.
    has_blocks: bool,
    /// A fault inside the evaluation of the matrix, or a run in time that broke inside that of the last residual.
    inner: Option<Fault>,
}

impl Equations<Trouble> for Problem<'_> {
    fn residual(&mut self, u: &[f64], r: &mut [f64], last: bool) -> Result<(), Trouble> {
        let inputs = arguments(u, self.p);
        let mut outputs = vec![ViewMut::F64(&mut *r)];
        let (program, workspace) = match &self.system.both {
            Some(both) if !last => {
                self.matrix.made_from = None;
                outputs.extend(self.matrix.blocks.iter_mut().map(Buffer::view_mut));
                (both, &mut *self.both)
            }
            _ => (&self.system.value, &mut *self.value),
        };
        self.has_blocks = outputs.len() > 1;
        let workspace = workspace.get_or_insert_with(|| Workspace::new(program));
        let outcome = program.run(self.context, workspace, &inputs, &mut outputs);
        drop(outputs);
        self.inner = None;
        match outcome {
            // A run in time that breaks at a trial point is one more reason for a shorter step.
            Err(fault) if fault.broken.is_some() => {
                r.fill(f64::NAN);
                self.inner = Some(fault);
                Ok(())
            }
            outcome => outcome.map_err(Trouble::Fault),
        }
    }

    /// `u` is where the residual was evaluated last.
    fn step(&mut self, u: &[f64], r: &[f64], d: &mut [f64]) -> Result<f64, Failure> {
        let matrix = &self.system.matrix;
        if self.has_blocks {
            self.matrix.assemble(matrix);
        } else if let Err(fault) = matrix.at(self.context, self.matrix, &arguments(u, self.p)) {
            self.inner = Some(fault);
            return Err(Failure::NotFinite { unknown: 0 });
        }
        self.matrix.linear.solve(r, d, false).map(|stats| stats.residual)
    }
}

/// The outputs of both functions of the same inputs.
fn together(residual: &Func, jacobian: &Func) -> Func {
    let mut b = Builder::new(residual.name.clone());
    let inputs: Vec<_> = residual.inputs.iter().map(|t| b.input(t.clone())).collect();
    let outputs = [b.inline(residual, &inputs), b.inline(jacobian, &inputs)].concat();
    passes::merge_maps(&b.finish(outputs))
}

/// Which inputs the outputs depend on.
fn inputs_read(f: &Func) -> Vec<bool> {
    let mut read = vec![false; f.inputs.len()];
    let mut used = vec![false; f.nodes.len()];
    f.outputs.iter().for_each(|v| used[v.index()] = true);
    for (v, node) in f.values().collect::<Vec<_>>().into_iter().rev() {
        if used[v.index()] {
            node.args.iter().for_each(|a| used[a.index()] = true);
            if let Op::Input(k) = node.op {
                read[k] = true;
            }
        }
    }
    read
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
