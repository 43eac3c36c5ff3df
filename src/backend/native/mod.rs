//! The native back end: a function becomes a [`Program`], a list of steps over buffers planned beforehand.

mod arithmetic;
mod blocked;
mod bounds;
mod buffer;
mod dot;
mod emit;
mod follow;
mod fourier;
mod fuse;
mod in_place;
mod indices;
mod kernel;
mod lower;
mod modal;
mod movement;
mod nest;
mod newton;
mod pool;
mod processors;
mod repeats;
mod retraced;
mod run;
mod scalar;
mod small;
mod spectra;
mod stages;
mod strips;
mod structured;
mod through;
mod wide;

use crate::backend::plan::Slot;
use crate::backend::watch::Watch;
use crate::ir::{Fault, Func, Tensor, Type};
use buffer::Buffer;
pub use buffer::{View, ViewMut};
use pool::Pool;
use std::sync::{Arc, Mutex};

/// A compiled function with its threads and workspaces.
pub struct Native {
    program: Program,
    pool: Arc<Pool>,
    idle: Mutex<Vec<Workspace>>,
}

impl Native {
    pub fn compile(f: &Func, threads: usize) -> Result<Native, Fault> {
        let pool = Pool::shared(threads);
        let program = lower::lower(&lower::flattened(f), pool.threads())?;
        Ok(Native { program, pool, idle: Mutex::new(vec![]) })
    }

    pub fn run(&self, inputs: &[Tensor], watch: Option<&dyn Watch>) -> Result<Vec<Tensor>, Fault> {
        let inputs: Vec<View> = inputs.iter().map(View::of_tensor).collect();
        let taken = self.program.taken(watch);
        let types = self.program.output_types().zip(&taken);
        let types: Vec<Type> =
            types.map(|(ty, taken)| if *taken { Type::new(ty.dtype, [0]) } else { ty.clone() }).collect();
        let mut results = buffers(types.iter());
        let mut outputs: Vec<ViewMut> = results.iter_mut().map(Buffer::view_mut).collect();
        self.run_following(&inputs, &mut outputs, (watch.map(follow::Follow::new), true))?;
        Ok(results.into_iter().zip(&types).map(|(b, ty)| b.into_tensor(ty)).collect())
    }

    /// Runs in time that go wrong are told to `watch`, nothing else.
    pub fn run_guarded(&self, inputs: &[Tensor], watch: &dyn Watch) -> Result<Vec<Tensor>, Fault> {
        let inputs: Vec<View> = inputs.iter().map(View::of_tensor).collect();
        let mut results = buffers(self.program.output_types());
        let mut outputs: Vec<ViewMut> = results.iter_mut().map(Buffer::view_mut).collect();
        self.run_following(&inputs, &mut outputs, (Some(follow::Follow::new(watch).aside()), true))?;
        let types = self.program.output_types();
        Ok(results.into_iter().zip(types).map(|(b, ty)| b.into_tensor(ty)).collect())
    }

    /// Takes no memory once every workspace has been made.
    pub fn run_into(&self, inputs: &[View], outputs: &mut [ViewMut]) -> Result<(), Fault> {
        self.run_following(inputs, outputs, (None, false))
    }

    fn run_following(
        &self,
        inputs: &[View],
        outputs: &mut [ViewMut],
        (follow, once): (Option<follow::Follow>, bool),
    ) -> Result<(), Fault> {
        let fits = |(o, ty): (&ViewMut, &Type)| o.view().len() == ty.len() || follow.is_some() && o.view().is_empty();
        let same = outputs.iter().zip(self.program.output_types()).all(fits);
        assert!(
            same && outputs.len() == self.program.outputs.len(),
            "compiler bug: results of `{}`",
            self.program.name
        );
        let idle = || self.idle.lock().unwrap_or_else(|e| e.into_inner());
        let reused = idle().pop();
        let mut workspace = reused.unwrap_or_else(|| Workspace::new(&self.program));
        workspace.once = once;
        let context = Context { pool: Some(&self.pool), follow };
        let outcome = self.program.run(&context, &mut workspace, inputs, outputs);
        idle().push(workspace);
        outcome
    }
}

/// What a run may use.
#[derive(Clone, Copy)]
struct Context<'a> {
    /// None inside a parallel loop: what runs there runs alone.
    pool: Option<&'a Pool>,
    /// Only where loops can be followed.
    follow: Option<follow::Follow<'a>>,
}

impl Context<'_> {
    fn threads(&self) -> usize {
        self.pool.map_or(1, Pool::threads)
    }

    /// See [`Pool::run`].
    fn parallel(&self, tasks: usize, f: &(dyn Fn(usize, usize) + Sync)) {
        match self.pool {
            Some(pool) => pool.run(tasks, f),
            None => (0..tasks).for_each(|t| f(t, 0)),
        }
    }
}

/// Steps in order, over the buffers of a [`Workspace`].
struct Program {
    name: String,
    constants: Vec<Tensor>,
    slots: Vec<Slot>,
    steps: Vec<Step>,
    outputs: Vec<Output>,
    /// Linear systems of the `Solve` and `LinearSolve` steps.
    systems: Vec<newton::System>,
    /// What the kernels among the steps point into.
    _code: Option<kernel::Code>,
}

struct Output {
    ty: Type,
    /// Where the result lies, if no step writes it to its output.
    copy: Option<Place>,
}

/// A buffer that an element range belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Root {
    Input(usize),
    Constant(usize),
    Slot(usize),
    Output(usize),
}

/// A contiguous range of elements.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Place {
    root: Root,
    start: usize,
    len: usize,
}

struct Step {
    kind: lower::Kind,
    args: Vec<Place>,
    /// Whole slots or outputs, of these lengths.
    results: Vec<(Root, usize)>,
    /// Constants in files that no later step reads.
    last_of: Vec<usize>,
    /// Large slots whose values no later step reads.
    freed: Vec<usize>,
}

/// The memory of one run: buffers, and the workspaces of bodies.
struct Workspace {
    slots: Vec<Buffer>,
    /// One for each body, by its number.
    nested: Vec<structured::Nested>,
    systems: Vec<newton::State>,
    /// The state of a scan with this body, before and after a step.
    carry: [Vec<Buffer>; 2],
    /// Large buffers are given back as soon as nobody reads them any more.
    once: bool,
}

impl Workspace {
    fn new(p: &Program) -> Workspace {
        Workspace {
            slots: p.slots.iter().map(|s| Buffer::zeros(s.dtype, s.len)).collect(),
            nested: p.steps.iter().flat_map(|s| s.kind.bodies()).map(|_| structured::Nested::default()).collect(),
            systems: p.systems.iter().map(|_| newton::State::default()).collect(),
            carry: [vec![], vec![]],
            once: false,
        }
    }
}

impl Program {
    fn output_types(&self) -> impl Iterator<Item = &Type> {
        self.outputs.iter().map(|o| &o.ty)
    }

    fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::new(&self.name, what)
    }

    /// Which outputs are handed over while they are made: all that the steps of a loop leave behind, where nobody else reads it.
    fn taken(&self, watch: Option<&dyn Watch>) -> Vec<bool> {
        let mut taken = vec![false; self.outputs.len()];
        let Some(watch) = watch else { return taken };
        let read = |k: usize| {
            let here = |p: &Place| p.root == Root::Output(k);
            self.steps.iter().any(|s| s.args.iter().any(here))
                || self.outputs.iter().any(|o| o.copy.is_some_and(|p| here(&p)))
        };
        for step in &self.steps {
            let (name, carry) = match &step.kind {
                lower::Kind::Scan { body, carry, reverse: false, .. } => (&body.program.name[..], *carry),
                lower::Kind::Blocked(scan) if let Some(forwards) = scan.forwards() => forwards,
                _ => continue,
            };
            let rows = &step.results[carry..];
            let outputs: Vec<usize> =
                rows.iter().filter_map(|(r, _)| if let Root::Output(k) = r { Some(*k) } else { None }).collect();
            if outputs.len() == rows.len() && !outputs.iter().any(|k| read(*k)) && watch.takes(name) {
                outputs.iter().for_each(|k| taken[*k] = true);
            }
        }
        taken
    }
}

/// A buffer of each type.
fn buffers<'a>(types: impl Iterator<Item = &'a Type>) -> Vec<Buffer> {
    types.map(|t| Buffer::zeros(t.dtype, t.len())).collect()
}
