//! From a function to something that runs: planned memory, generated kernels, threads, linear systems of `Solve`.
//!
//! The native back end executes a plan of steps over buffers that are allocated once. The second one runs the same function on
//! candle tensors and exists to check the first. Results never depend on the number of threads.

pub mod candle;
pub mod counts;
mod memo;
pub mod native;
mod plan;
mod system;
pub mod watch;

use crate::ir::{Fault, Func, SolveSpec, Tensor};
use crate::solve::Method;
pub use native::{View, ViewMut};
use watch::Watch;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    #[default]
    Native,
    /// Every operation on candle tensors: slow, independent.
    Candle,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// At most so many threads; 0: as many as the process may use.
    pub threads: usize,
    pub backend: Backend,
}

impl Default for Options {
    fn default() -> Options {
        Options { threads: 0, backend: Backend::Native }
    }
}

/// A compiled function. Runs from several threads at once are independent; each takes a workspace of its own.
pub struct Executable {
    func: Func,
    kind: Kind,
}

enum Kind {
    Native(Box<native::Native>),
    Candle(candle::Candle),
}

/// Compiles `f`. Errors: what the chosen back end cannot do.
pub fn compile(f: &Func, options: &Options) -> Result<Executable, Fault> {
    let kind = match options.backend {
        Backend::Native => Kind::Native(Box::new(native::Native::compile(f, options.threads)?)),
        Backend::Candle => Kind::Candle(candle::Candle::compile(f)?),
    };
    let func = Func { name: f.name.clone(), inputs: f.inputs.clone(), ..Func::default() };
    Ok(Executable { func, kind })
}

/// How the linear systems of a `Solve` will be solved, in words. None where it has no sparse Jacobian yet.
pub fn method(residual: &Func, spec: &SolveSpec) -> Option<&'static str> {
    spec.jacobian.as_ref()?;
    let (_, plan) = system::prepare(residual, spec, 1).ok()?;
    Some(match plan.method() {
        Method::Dense => "dense elimination",
        Method::Cholesky => "sparse Cholesky",
        Method::Lu => "sparse LU",
        Method::Multigrid => "CG with multigrid",
        Method::Algebraic => "CG with algebraic multigrid",
    })
}

impl Executable {
    /// Inputs must have the types of the function's inputs (else: a compiler bug, and a panic).
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Fault> {
        self.run_watched(inputs, None)
    }

    /// The same, its loops followed; of the native back end only.
    pub fn run_watched(&self, inputs: &[Tensor], watch: Option<&dyn Watch>) -> Result<Vec<Tensor>, Fault> {
        let f = &self.func;
        assert_eq!(inputs.len(), f.inputs.len(), "compiler bug: `{}` run with {} inputs", f.name, inputs.len());
        for (k, (t, ty)) in inputs.iter().zip(&f.inputs).enumerate() {
            assert_eq!(&t.ty, ty, "compiler bug: input {k} of `{}`", f.name);
        }
        match &self.kind {
            Kind::Native(n) => n.run(inputs, watch),
            Kind::Candle(c) => c.run(inputs),
        }
    }

    /// The same; whoever watches hears only of runs in time that go wrong, wherever in the function they lie. Of the native back end only.
    pub fn run_guarded(&self, inputs: &[Tensor], watch: &dyn Watch) -> Result<Vec<Tensor>, Fault> {
        match &self.kind {
            Kind::Native(n) => n.run_guarded(inputs, watch),
            Kind::Candle(c) => c.run(inputs),
        }
    }

    /// The same into memory that the caller keeps, for what is run thousands of times. Lengths and element types as in [`run`](Self::run).
    pub fn run_into(&self, inputs: &[View], outputs: &mut [ViewMut]) -> Result<(), Fault> {
        let f = &self.func;
        assert_eq!(inputs.len(), f.inputs.len(), "compiler bug: `{}` run with {} inputs", f.name, inputs.len());
        for (k, (v, ty)) in inputs.iter().zip(&f.inputs).enumerate() {
            assert_eq!((v.dtype(), v.len()), (ty.dtype, ty.len()), "compiler bug: input {k} of `{}`", f.name);
        }
        match &self.kind {
            Kind::Native(n) => n.run_into(inputs, outputs),
            Kind::Candle(c) => {
                let tensors: Vec<Tensor> = inputs.iter().zip(&f.inputs).map(|(v, ty)| v.to_tensor(ty)).collect();
                let results = c.run(&tensors)?;
                outputs.iter_mut().zip(&results).for_each(|(o, t)| o.copy_from(View::of_tensor(t)));
                Ok(())
            }
        }
    }
}
