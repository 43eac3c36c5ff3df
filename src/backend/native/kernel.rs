//! Generated kernels: compiled once, called with buffers, the outermost loop shared among threads.

use super::buffer::{View, ViewMut};
use super::emit::{self, Table};
use super::nest::{Expr, Nest, Share};
use super::{strips, wide};
use crate::ir::Fault;
use cranelift_codegen::Context;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock};

/// `(buffers, first, last, scratch, first, last)`: ranges of the outermost loop, and of the second one of three.
type Entry = unsafe extern "C" fn(*const *mut u8, usize, usize, *mut u8, usize, usize);

/// Loop nests that together compute the results of a step: boxes of one iteration space, whose outermost loop threads share.
pub struct Kernel {
    nests: Vec<Compiled>,
    extent: usize,
    cost: usize,
    /// Of each buffer: iteration k of one single nest uses its element k alone.
    dense: Vec<bool>,
    product: Option<[usize; 2]>,
    /// An argument that lies where the result does.
    in_place: Option<usize>,
}

/// One nest.
pub struct Compiled {
    id: FuncId,
    entry: Option<Entry>,
    share: Share,
    /// Iterations of the outermost loop, and the fewest in one call.
    extent: usize,
    pub least: usize,
    /// The range of the second loop of three, and whether less of it may be asked for.
    columns: (usize, usize),
    pub boxed: bool,
    /// Every element is read before it is written, once.
    pub wide: bool,
    cost: usize,
    scratch: usize,
}

/// Machine code of a program; freed with it.
pub struct Code {
    module: Mutex<Option<JITModule>>,
    _tables: Vec<Table>,
}

/// Who writes the machine code. All give the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Emitter {
    /// Cranelift, 128-bit vectors.
    Portable,
    /// Our own, 512-bit vectors, and the portable one for what it does not take.
    Wide,
}

/// Collects the kernels of a program.
pub struct Compiler {
    emitter: Emitter,
    module: JITModule,
    context: FunctionBuilderContext,
    tables: Vec<Table>,
    count: usize,
    /// Large results may go around the caches.
    streams: bool,
}

/// For which processor code is made. None where Cranelift does not know it: then nothing is fused.
fn target() -> Option<Arc<dyn TargetIsa>> {
    static TARGET: OnceLock<Option<Arc<dyn TargetIsa>>> = OnceLock::new();
    let make = || {
        let mut flags = settings::builder();
        // Optimisation would pull address arithmetic into inner loops; what it could find is found in our graphs.
        for (name, value) in [
            ("opt_level", "none"),
            ("enable_verifier", "false"),
            ("is_pic", "false"),
            ("use_colocated_libcalls", "false"),
        ] {
            flags.set(name, value).ok()?;
        }
        let isa = cranelift_native::builder().ok()?.finish(settings::Flags::new(flags)).ok()?;
        // Roundings and lane insertions need SSE 4.1 on x86.
        let able = !cfg!(target_arch = "x86_64")
            || isa.isa_flags().iter().any(|f| f.name == "has_sse41" && f.as_bool() == Some(true));
        able.then_some(isa)
    };
    TARGET.get_or_init(make).clone()
}

fn failed(e: &dyn std::fmt::Display) -> Fault {
    Fault::new("kernel", format!("code generation failed: {e}"))
}

/// Whether kernels can be generated on this machine.
pub fn available() -> bool {
    target().is_some()
}

impl Compiler {
    /// With the best emitter of this processor.
    pub fn new() -> Option<Compiler> {
        Compiler::with(if wide::available() { Emitter::Wide } else { Emitter::Portable })
    }

    pub fn with(emitter: Emitter) -> Option<Compiler> {
        let module = JITModule::new(JITBuilder::with_isa(target()?, default_libcall_names()));
        Some(Compiler {
            emitter,
            module,
            context: FunctionBuilderContext::new(),
            tables: vec![],
            count: 0,
            streams: true,
        })
    }

    /// `lengths`: of the buffers, in elements.
    pub fn compile(&mut self, nests: &[Nest], lengths: &[usize]) -> Result<Kernel, Fault> {
        let product = if let [nest] = nests { nest.product() } else { None };
        let dense = (0..lengths.len()).map(|k| matches!(nests, [nest] if nest.is_dense(k))).collect();
        let nests: Vec<Compiled> = nests.iter().map(|n| self.piece(n, lengths)).collect::<Result<_, _>>()?;
        let extent = nests.iter().map(|n| n.share.high).max().unwrap_or(0);
        let cost = nests.iter().map(|n| n.cost).sum();
        Ok(Kernel { nests, extent, cost, dense, product, in_place: None })
    }

    /// Results are read again soon, however large they are.
    pub fn keeps_in_cache(&mut self, keeps: bool) {
        self.streams = !keeps;
    }

    /// The same; what is one element wide goes along the other axis, where the code may end anywhere.
    pub fn narrow_piece(&mut self, nest: &Nest, lengths: &[usize]) -> Result<Compiled, Fault> {
        let wide = |n: &Nest| self.emitter == Emitter::Wide && wide::emit(n, lengths, false).is_some();
        match nest.along_first().filter(wide) {
            Some(narrow) => self.piece(&narrow, lengths),
            None => self.piece(nest, lengths),
        }
    }

    pub fn piece(&mut self, nest: &Nest, lengths: &[usize]) -> Result<Compiled, Fault> {
        nest.verify(lengths);
        self.count += 1;
        let mut context = self.module.make_context();
        context.func.signature = emit::signature(self.module.target_config().default_call_conv);
        let id = self
            .module
            .declare_function(&format!("k{}", self.count), Linkage::Local, &context.func.signature)
            .map_err(|e| failed(&e))?;
        let code = if self.emitter == Emitter::Wide { wide::emit(nest, lengths, self.streams) } else { None };
        let wide = code.is_some();
        let boxed = wide && nest.shape.len() == 3;
        let (least, scratch) = match code {
            Some(code) => {
                self.module.define_function_bytes(id, 64, &code.bytes, &[]).map_err(|e| failed(&e))?;
                (1, code.scratch)
            }
            None => {
                self.portable(nest, id, &mut context)?;
                (emit::least_range(nest), emit::scratch_bytes(nest))
            }
        };
        let cost = nest.shape.iter().product::<usize>() * nest.graph.exprs.iter().map(cost).sum::<usize>();
        Ok(Compiled {
            id,
            entry: None,
            share: nest.share,
            extent: nest.shape[0],
            least,
            columns: nest.columns,
            boxed,
            wide,
            cost,
            scratch,
        })
    }

    fn portable(&mut self, nest: &Nest, id: FuncId, context: &mut Context) -> Result<(), Fault> {
        let mut table = Table::default();
        let mut b = FunctionBuilder::new(&mut context.func, &mut self.context);
        emit::emit(&mut b, nest, &mut table, self.module.target_config().default_call_conv);
        b.finalize(self.module.target_config());
        self.tables.push(table);
        self.module.define_function(id, context).map_err(|e| failed(&e))
    }

    /// Makes the code runnable and tells the kernels where it is.
    pub fn finish<'a>(self, kernels: impl Iterator<Item = &'a mut Kernel>) -> Result<Code, Fault> {
        self.finish_pieces(kernels.flat_map(|k| &mut k.nests))
    }

    pub fn finish_pieces<'a>(mut self, pieces: impl Iterator<Item = &'a mut Compiled>) -> Result<Code, Fault> {
        self.module
            .finalize_definitions()
            .map_err(|e| Fault::new("kernel", format!("no memory for generated code: {e}")))?;
        for c in pieces {
            let code = self.module.get_finalized_function(c.id);
            // SAFETY: the function was defined with the signature of `Entry`, and the code outlives the kernels' program.
            c.entry = Some(unsafe { std::mem::transmute::<*const u8, Entry>(code) });
        }
        Ok(Code { module: Mutex::new(Some(self.module)), _tables: self.tables })
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        let module = self.module.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(module) = module {
            // SAFETY: the program that calls this code is being dropped; nothing runs it any more.
            unsafe { module.free_memory() }
        }
    }
}

/// About how long an expression takes, a sum being 1.
fn cost(e: &Expr) -> usize {
    match e {
        Expr::Unary(f, _) if strips::unary_slot(*f).is_some() => 20,
        Expr::Binary(f, ..) if strips::binary_slot(*f).is_some() => 60,
        _ => 1,
    }
}

/// Pointers to the buffers of a call.
pub struct Pointers<'a>(pub &'a [*mut u8]);
// SAFETY: kernels only read the arguments, and write disjoint parts of the results (each task its own range of the outermost
// loop, whose stores are to different elements; an element computed twice is written twice by the same task or with the same bits).
unsafe impl Sync for Pointers<'_> {}

impl Kernel {
    /// Arguments and results in the order of the nests' buffers.
    pub fn run(&self, context: &super::Context, args: &[View], results: &mut [ViewMut]) {
        let mut few = [std::ptr::null_mut(); 16];
        let mut many: Vec<*mut u8>;
        let n = args.len() + results.len();
        let all = args.iter().map(pointer).chain(results.iter_mut().map(pointer_mut));
        let pointers: &mut [*mut u8] = if n <= few.len() {
            few.iter_mut().zip(all).for_each(|(p, a)| *p = a);
            &mut few[..n]
        } else {
            many = all.collect();
            &mut many
        };
        if let Some(arg) = self.in_place {
            pointers[arg] = pointers[args.len()];
        }
        let buffers = Pointers(pointers);
        // Some 3 µs of work (10 with narrow vectors) are worth another thread.
        const WORTH: usize = 150_000;
        let mut tasks = context.threads().min(self.extent).min(self.cost / WORTH + 1).max(1);
        let bound = |t: usize, tasks: usize| self.extent * t / tasks;
        let fits =
            |tasks: usize| (0..tasks).all(|t| self.nests.iter().all(|n| n.takes(bound(t, tasks), bound(t + 1, tasks))));
        while tasks > 1 && !fits(tasks) {
            tasks -= 1;
        }
        // A thread computes the borders of its own part too: they lie in its cache.
        context.parallel(tasks, &|t, _| {
            for nest in &self.nests {
                let (first, last) = nest.range(bound(t, tasks), bound(t + 1, tasks));
                nest.call(&buffers, (first, last), (0, nest.columns.1 - nest.columns.0));
            }
        });
    }
}

impl Kernel {
    /// Whether it may run over some rows at a time of so many, these buffers holding nothing but those.
    pub fn has_rows(&self, rows: usize, buffers: impl Iterator<Item = usize>) -> bool {
        let [nest] = &self.nests[..] else { return false };
        nest.extent.is_multiple_of(rows) && nest.least == 1 && buffers.into_iter().all(|k| self.dense[k])
    }

    /// Whether its one result, behind so many arguments, may lie where this argument does: each element is read before it is written, once.
    pub fn can_be_in_place(&self, arg: usize, args: usize) -> bool {
        let whole = |n: &Compiled| n.wide && self.dense.len() == args + 1 && self.dense[arg] && self.dense[args];
        self.in_place.is_none() && matches!(&self.nests[..], [nest] if whole(nest))
    }

    /// From now on this argument, which is given as nothing, is what the result holds.
    pub fn reads_result(&mut self, arg: usize) {
        self.in_place = Some(arg);
    }

    /// The buffers whose product it is, element by element, and nothing else.
    pub fn product(&self) -> Option<[usize; 2]> {
        self.product.filter(|factors| factors.iter().all(|k| self.dense[*k]))
    }

    /// Iterations of so many rows out of all. Where a buffer holds only some rows, its pointer is to where the first of all would be.
    pub fn run_rows(&self, buffers: &Pointers, first: usize, count: usize, rows: usize) {
        let nest = &self.nests[0];
        let each = nest.extent / rows;
        nest.call(buffers, (first * each, (first + count) * each), (0, nest.columns.1 - nest.columns.0));
    }
}

impl Compiled {
    /// Iterations of the nest that belong to a range of the kernel's outermost loop.
    fn range(&self, low: usize, high: usize) -> (usize, usize) {
        let s = self.share;
        if s.each == 0 {
            return if (low..high).contains(&s.low) { (0, self.extent) } else { (0, 0) };
        }
        let within = |k: usize| (k.clamp(s.low, s.high) - s.low) * s.each;
        (within(low), within(high))
    }

    /// Whether what a range leaves of the nest is enough for a call, or nothing.
    fn takes(&self, low: usize, high: usize) -> bool {
        let (first, last) = self.range(low, high);
        first == last || last - first >= self.least
    }

    /// What a box of the whole iteration space leaves of the nest: ranges of the outermost loop, and of the second one of three.
    pub fn call_box(&self, buffers: &Pointers, rows: (usize, usize), columns: (usize, usize)) {
        let (low, high) = self.columns;
        let within = |k: usize| k.clamp(low, high) - low;
        let columns = if self.boxed { (within(columns.0), within(columns.1)) } else { (0, high - low) };
        if columns.0 < columns.1 {
            self.call(buffers, self.range(rows.0, rows.1), columns);
        }
    }

    fn call(&self, buffers: &Pointers, (first, last): (usize, usize), columns: (usize, usize)) {
        thread_local! {
            static SCRATCH: RefCell<Vec<f64>> = const { RefCell::new(vec![]) };
        }
        if first == last {
            return;
        }
        let entry = self.entry.expect("compiler bug: a kernel that was not finished");
        if self.scratch == 0 {
            // SAFETY: `verify` has shown that every address lies in its buffer, whose lengths the plan guarantees.
            return unsafe { entry(buffers.0.as_ptr(), first, last, std::ptr::null_mut(), columns.0, columns.1) };
        }
        SCRATCH.with_borrow_mut(|s| {
            if s.len() * 8 < self.scratch {
                s.resize(self.scratch.div_ceil(8), 0.0);
            }
            // SAFETY: as above, and the scratch memory is as long as the code needs.
            unsafe { entry(buffers.0.as_ptr(), first, last, s.as_mut_ptr().cast(), columns.0, columns.1) }
        });
    }
}

pub fn pointer(v: &View) -> *mut u8 {
    match v {
        View::F64(x) => x.as_ptr().cast_mut().cast(),
        View::F32(x) => x.as_ptr().cast_mut().cast(),
        View::Index(x) => x.as_ptr().cast_mut().cast(),
    }
}

pub fn pointer_mut(v: &mut ViewMut) -> *mut u8 {
    match v {
        ViewMut::F64(x) => x.as_mut_ptr().cast(),
        ViewMut::F32(x) => x.as_mut_ptr().cast(),
        ViewMut::Index(x) => x.as_mut_ptr().cast(),
    }
}
