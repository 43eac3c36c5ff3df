//! The same runs from program text: what a user gets. A study of one of the programs beside this file is lowered, and of the
//! function that holds its run in time the compiled form is kept.

use mslc::ad;
use mslc::backend::Executable;
use mslc::base::{Diagnostic, Sources, Span};
use mslc::data::read::{Loaded, Options};
use mslc::exec::engine::Engine;
use mslc::exec::study::{SavedField, Series, Studies, Writer};
use mslc::ir::{Builder, Func, Op, Tensor, Value};
use mslc::lower::runtime::{Failure, Runtime, Trained, Training};
use mslc::lower::{self, Lower, evolve::march::March};
use mslc::passes;
use mslc::sema::{self, hir::DefId};
use std::path::PathBuf;
use std::time::Instant;

/// A program of this folder and one of its studies.
#[derive(Clone, Copy)]
pub struct Text {
    pub source: &'static str,
    pub study: &'static str,
    pub n: usize,
    /// Programs compute in double precision; peers may not.
    pub single: bool,
}

impl Text {
    /// The function that holds a run of so many steps.
    fn func(&self, steps: usize) -> Func {
        self.world(steps).runs.into_iter().max_by_key(longest).expect("a program with a run in time")
    }

    /// The losses of its `minimize`, and the parameters at the start.
    fn losses(&self, steps: usize) -> (Func, Vec<Tensor>) {
        self.world(steps).losses.expect("a program with a loss")
    }

    fn world(&self, steps: usize) -> Recorder {
        let mut sources = Sources::default();
        let root = sources.add("program.msl", self.source);
        let overrides = vec![("n".to_string(), self.n.to_string()), ("steps".to_string(), steps.to_string())];
        let (program, found) = sema::analyse(sources, root, &sema::Options { overrides, ..Default::default() });
        assert!(!found.iter().any(Diagnostic::is_error), "{found:?}");
        let mut world = Recorder::default();
        let study = program.find(self.study).expect("a study");
        let mut lower = Lower::new(&program, &mut world, 0);
        // What came of it is a placeholder, of which checks and outputs may complain.
        let _ = Studies::new(&mut lower, &mut Nowhere).run(study);
        world
    }

    pub fn compiled(&self, steps: usize, threads: usize) -> Executable {
        let func = self.func(steps);
        let func = if self.single { passes::single(&func) } else { func };
        compiled(&func, threads)
    }
}

/// Keeps what it is asked to compute, and computes it only where no loop is in it.
#[derive(Default)]
struct Recorder {
    runs: Vec<Func>,
    losses: Option<(Func, Vec<Tensor>)>,
}

/// Steps of the longest loop, in bodies too.
fn longest(f: &Func) -> usize {
    let steps = |op: &Op| if let Op::Scan { length, .. } = op { *length } else { 0 };
    let inside = |op: &Op| Func::bodies(op).into_iter().map(|b| longest(b)).max().unwrap_or(0);
    f.nodes.iter().map(|n| steps(&n.op).max(inside(&n.op))).max().unwrap_or(0)
}

fn compiled(f: &Func, threads: usize) -> Executable {
    Engine { threads, candle: false }.compile(f).expect("it compiles")
}

impl Runtime for Recorder {
    fn run(&mut self, _: &str, func: Func, _: Span) -> Result<Vec<Tensor>, Failure> {
        if longest(&func) == 0 {
            return Ok(compiled(&func, 1).run(&[]).expect("it runs"));
        }
        let out = func.output_types().iter().map(|t| Tensor::f64(t.shape.clone(), vec![1.0; t.len()])).collect();
        self.runs.push(func);
        Ok(out)
    }

    fn marches(&mut self, _: March, _: &mut Func) {}

    fn train(&mut self, _: &str, training: Training, _: Span) -> Result<Trained, Failure> {
        self.losses = Some((training.losses, training.initial.clone()));
        let losses = training.names.iter().map(|n| (n.clone(), 1.0)).collect();
        Ok(Trained { weights: training.initial, history: Default::default(), losses, notes: vec![], seconds: 0.0 })
    }

    fn load(&mut self, _: &str, _: Options, _: Span) -> Result<Loaded, Failure> {
        unreachable!("no data are read")
    }

    fn enter(&mut self, _: &str, _: Option<DefId>, _: Span) {}
    fn leave(&mut self, _: bool) {}
}

/// Nothing is written.
struct Nowhere;

impl Writer for Nowhere {
    fn vtk(&mut self, name: &str, _: &[SavedField], _: Span) -> Result<PathBuf, Failure> {
        Ok(name.into())
    }
    fn save(&mut self, name: &str, _: &[(String, lower::Value)], _: Span) -> Result<PathBuf, Failure> {
        Ok(name.into())
    }
    fn series(&mut self, name: &str, _: &Series, _: Span) -> Result<PathBuf, Failure> {
        Ok(name.into())
    }
}

/// Seconds of the best of some runs.
fn best(run: &Executable, inputs: &[Tensor], threads: usize, repeats: usize) -> (f64, Vec<Tensor>) {
    let mut out = vec![];
    let mut least = f64::INFINITY;
    for _ in 0..repeats {
        let t = super::clock(threads);
        out = run.run(inputs).expect("it runs");
        least = least.min(super::clock(threads) - t);
    }
    (least, out)
}

/// Gradients of the mean square at the end of a trajectory, with respect to a parameter and to the state at the start: time in units of
/// the run alone, and memory in states, 2√steps of which are allowed. ONLY=… picks those whose name holds this.
pub fn gradients(name: &str, text: &Text, steps: usize, threads: usize, seconds: f64) {
    let (losses, start) = text.losses(steps);
    let state = carried(&losses).expect("a loop");
    let size = losses.ty(state).len() * 8;
    let whole = with_start(&losses, state);
    let zeros = Tensor::f64(losses.ty(state).shape.clone(), vec![0.0; losses.ty(state).len()]);
    let forward = compiled(&losses, threads);
    let (_, value) = best(&forward, &start, threads, 1);
    let mode: [fn(&Func, &[usize]) -> Func; 2] = [ad::gradient, ad::grad];
    for (what, func, wrt, mode, inputs) in [
        ("a parameter", &losses, 0, mode[0], start.clone()),
        ("a parameter, in reverse as for many", &losses, 0, mode[1], start.clone()),
        ("the state at the start", &whole, start.len(), mode[0], [start.clone(), vec![zeros]].concat()),
    ] {
        if std::env::var("ONLY").is_ok_and(|only| !format!("{name}, {what}").contains(&only)) {
            continue;
        }
        if let Ok(dir) = std::env::var("DUMP") {
            let g = passes::optimise(mode(func, &[wrt]));
            std::fs::write(format!("{dir}/{name} {what}.ir"), mslc::ir::text::print(&g))
                .expect("the folder for intermediate code takes files");
        }
        let run = compiled(&mode(func, &[wrt]), threads);
        // What earlier runs have freed is not to hide what this one takes.
        // SAFETY: gives free memory back to the system.
        #[cfg(target_env = "gnu")]
        unsafe {
            libc::malloc_trim(0);
        }
        let before = memory("VmRSS");
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (mut there, mut back) = (f64::INFINITY, f64::INFINITY);
        let begin = Instant::now();
        let mut peak = 0;
        let mut out = vec![];
        while peak == 0 || begin.elapsed().as_secs_f64() < seconds {
            let (t, o) = best(&run, &inputs, threads, 1);
            (back, out) = (back.min(t), o);
            if peak == 0 {
                peak = memory("VmHWM").saturating_sub(before);
            }
            there = there.min(best(&forward, &start, threads, 2).0);
        }
        let gradient: f64 = out[1].to_f64().iter().map(|x| x * x).sum::<f64>().sqrt();
        println!(
            "{name}, {steps} steps, gradient with respect to {what}: {:.1} ms, {:.2} × the run ({:.1} ms); {} more at the peak, {:.0} states \
             (2√steps: {:.0}); value {:.9e}, norm of the gradient {gradient:.6e}",
            1e3 * back,
            back / there,
            1e3 * there,
            megabytes(peak),
            peak as f64 / size as f64,
            2.0 * (steps as f64).sqrt(),
            value[0].item()
        );
    }
}

/// What the longest loop carries from step to step: its first argument.
fn carried(f: &Func) -> Option<Value> {
    let most = longest(f);
    let node = f.nodes.iter().find(|n| matches!(n.op, Op::Scan { length, .. } if length == most))?;
    let large = |v: &&Value| f.ty(**v).len() > 1000;
    node.args.iter().find(large).copied()
}

/// With one more input, which is added to a value.
fn with_start(f: &Func, start: Value) -> Func {
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let more = b.input(f.ty(start).clone());
    let mut new: Vec<Value> = vec![];
    let mut results: Vec<Vec<Value>> = vec![];
    for (v, node) in f.values() {
        let args: Vec<Value> = node.args.iter().map(|a| new[a.index()]).collect();
        let mut made = match node.op {
            Op::Input(k) => vec![inputs[k]],
            Op::Get(k) => vec![results[node.args[0].index()][k]],
            ref op => b.ops(op.clone(), &args),
        };
        if v == start {
            made = vec![b.add(made[0], more)];
        }
        new.push(made[0]);
        results.push(made);
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()]).collect())
}

/// Of this process, in bytes.
fn memory(what: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(what)).unwrap_or("");
    line.split_whitespace().find_map(|w| w.parse::<usize>().ok()).unwrap_or(0) << 10
}

fn megabytes(bytes: usize) -> String {
    format!("{:.0} MB", bytes as f64 * 1e-6)
}
