//! Runs in time against other programs: heat (A), acoustic waves (B), Gray–Scott (C), spectral Burgers and Kuramoto–Sivashinsky (D),
//! Navier–Stokes (E), and gradients of trajectories (G). `cargo bench --bench time [-- A C …]` prints what each side takes, ratios (above 1 mslc is faster), check
//! figures and floors. THREADS=1 for one thread, SECONDS for how long each comparison takes.
//!
//! The C programs beside this file are built with `gcc -O3 -march=native -fopenmp`. Python programs take part where PEER_PYTHON names
//! an interpreter (MSLC_TORCH one that has PyTorch) and PEER_SCRIPTS a folder with a_heat.py, b_wave.py, c_grayscott.py, d_spectral1d.py and e_ns2d.py. Both sides run
//! in turn in short blocks, and the best of each counts: other work on the machine disturbs most of them. With one thread the time is
//! that of the processor, in which other programs do not count except for the caches that they take.

#[path = "time/peers.rs"]
mod peers;
#[path = "time/spectral.rs"]
mod spectral;
#[path = "time/steps.rs"]
mod steps;
#[path = "time/text.rs"]
mod text;

use mslc::backend::{Backend, Executable, Options, View, ViewMut, compile};
use mslc::ir::{Builder, Func, Op, Tensor, Type};
use peers::Peer;
use std::sync::Arc;
use std::time::Instant;
use text::Text;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let setting = |name: &str, or: f64| std::env::var(name).ok().and_then(|t| t.parse().ok()).unwrap_or(or);
    let (threads, seconds) = (setting("THREADS", 2.0) as usize, setting("SECONDS", 8.0));
    println!("threads: {threads}");
    for w in steps::workloads() {
        if wanted.is_empty() || wanted.iter().any(|k| w.name.starts_with(k.as_str())) {
            compare(&w, threads, seconds);
        }
    }
    if wanted.is_empty() || wanted.iter().any(|k| k == "G") {
        let study = "gradient";
        let single = false;
        let heat = Text { source: include_str!("time/heat.msl"), study, n: 512, single };
        text::gradients("G heat 512²", &heat, 500, threads, seconds);
        let species = Text { source: include_str!("time/gray_scott.msl"), study, n: 256, single };
        text::gradients("G Gray–Scott 256²", &species, 500, threads, seconds);
        let flow = Text { source: include_str!("time/vorticity.msl"), study, n: 128, single };
        text::gradients("G Navier–Stokes 128²", &flow, 500, threads, seconds);
    }
}

/// A run in time.
pub struct Workload {
    pub name: String,
    pub step: Func,
    /// Carried values, then what stays.
    pub inputs: Vec<Tensor>,
    pub carry: usize,
    /// Of a timed block, and of one that is checked.
    pub block: usize,
    pub steps: usize,
    /// Items that run on their own: the first axis of the carried values.
    pub items: Option<usize>,
    /// Points of the grid, times the batch.
    pub points: usize,
    /// Bytes that a step reads and writes at least, and its operations, for each point.
    pub bytes: f64,
    pub operations: f64,
    /// What is compared: a number from the carried values at the end.
    pub check: fn(&[Tensor], usize) -> f64,
    pub peers: Vec<Peer>,
    /// The same from program text.
    pub text: Option<Text>,
}

fn compare(w: &Workload, threads: usize, seconds: f64) {
    let whole = scan(w, w.steps, threads).run(&w.inputs).expect("it runs");
    let run = scan(w, w.block, threads);
    let mut results: Vec<Vec<f64>> = vec![];
    let mut singles: Vec<Vec<f32>> = vec![];
    whole.iter().for_each(|t| match t.as_f32() {
        Some(x) => singles.push(x.to_vec()),
        None => results.push(t.to_f64().to_vec()),
    });
    let views: Vec<View> = w.inputs.iter().map(View::of_tensor).collect();
    // Of two lengths, so that what is done once falls out.
    let lengths = [w.block, 3 * w.block];
    let texts: Vec<Executable> = w.text.iter().flat_map(|t| lengths.map(|n| t.compiled(n, threads))).collect();
    let mut spent = [f64::INFINITY; 2];
    let mut ours = f64::INFINITY;
    let mut theirs = vec![f64::INFINITY; w.peers.len()];
    let mut figures = vec![f64::NAN; w.peers.len()];
    let begin = Instant::now();
    let mut rounds = 0;
    while rounds < 2 || begin.elapsed().as_secs_f64() < seconds {
        for _ in 0..4 {
            let mut outs: Vec<ViewMut> = singles.iter_mut().map(|x| ViewMut::F32(x)).collect();
            outs.extend(results.iter_mut().map(|x| ViewMut::F64(x)));
            let t = clock(threads);
            run.run_into(&views, &mut outs).expect("it runs");
            ours = ours.min((clock(threads) - t) / w.block as f64);
        }
        for _ in 0..4 {
            for (run, least) in texts.iter().zip(&mut spent) {
                let t = clock(threads);
                run.run(&[]).expect("it runs");
                *least = least.min(clock(threads) - t);
            }
        }
        for (k, peer) in w.peers.iter().enumerate() {
            if let Some((time, figure)) = peer.run(threads, rounds, w.block, w.steps) {
                theirs[k] = theirs[k].min(time);
                figures[k] = if figure.is_nan() { figures[k] } else { figure };
            }
        }
        rounds += 1;
    }
    let rate = w.points as f64 / ours;
    println!(
        "{}: mslc {:.1} µs a step, {:.0} Mpoints/s, check {:.9e}; with one pass over memory a step {:.1} GB/s, {:.1} Gop/s",
        w.name,
        1e6 * ours,
        1e-6 * rate,
        (w.check)(&whole, w.steps),
        1e-9 * rate * w.bytes,
        1e-9 * rate * w.operations
    );
    if w.text.is_some() {
        let step = (spent[1] - spent[0]) / (lengths[1] - lengths[0]) as f64;
        println!("    {:<8} {:>9.1} µs a step, {:.2} × the hand-built", "text", 1e6 * step, step / ours);
    }
    for ((peer, time), figure) in w.peers.iter().zip(&theirs).zip(&figures) {
        if time.is_finite() {
            println!(
                "    {:<8} {:>9.1} µs a step, check {figure:.9e}, ratio {:.2}",
                peer.name,
                1e6 * time,
                time / ours
            );
        }
    }
}

/// Seconds: of the clock, or with one thread of the processor.
fn clock(threads: usize) -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let which = if threads == 1 { libc::CLOCK_PROCESS_CPUTIME_ID } else { libc::CLOCK_MONOTONIC };
    // SAFETY: the call fills in a value that lives here.
    unsafe { libc::clock_gettime(which, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

fn scan(w: &Workload, steps: usize, threads: usize) -> Executable {
    let mut b = Builder::new(w.name.clone());
    let args: Vec<_> = w.inputs.iter().map(|t| b.input(t.ty.clone())).collect();
    let scan = Op::Scan { body: Arc::new(w.step.clone()), length: steps, carry: w.carry, xs: 0, reverse: false };
    let out = match w.items {
        None => b.ops(scan, &args),
        Some(n) => {
            let mut item = Builder::new("item");
            let own: Vec<_> = w.step.inputs.iter().map(|t| item.input(t.clone())).collect();
            let out = item.ops(scan, &own);
            let mapped = (0..args.len()).map(|k| k < w.carry).collect();
            b.ops(Op::Map { body: Arc::new(item.finish(out)), n, mapped }, &args)
        }
    };
    compile(&b.finish(out), &Options { threads, backend: Backend::Native }).expect("it compiles")
}

/// An array of numbers made from its indices.
pub fn tabulated(shape: &[usize], f: impl Fn(&[usize]) -> f64) -> Tensor {
    let ty = Type::f64(shape);
    let mut index = vec![0; shape.len()];
    let data: Vec<f64> = (0..ty.len())
        .map(|mut k| {
            for a in (0..shape.len()).rev() {
                index[a] = k % shape[a];
                k /= shape[a];
            }
            f(&index)
        })
        .collect();
    Tensor::f64(shape, data)
}
