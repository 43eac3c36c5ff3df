//! Steps per second of a `minimize`, through the whole path of mslc: the net of `examples/composite_heat.msl` is read, checked,
//! lowered, differentiated, compiled and trained by the engine. A step's time is the difference of a long and a short training,
//! so what is done once does not count; the whole of 3000 steps is told as well.
//!
//! With `MSLC_TORCH=/path/to/python` PyTorch trains the same net on the same kind of data in the same minutes: both sides take
//! turns, and the best of several turns counts on each side. PyTorch may choose among 1 and 2 threads, eager mode with the fused
//! and the plain Adam, and torch.compile; its best is what mslc is held against.

use mslc::base::Sources;
use mslc::exec::engine::Engine;
use mslc::exec::progress::Silent;
use mslc::exec::run::{Options, run};
use mslc::exec::study::{SavedField, Series, Writer};
use mslc::lower::value::Value;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counts what is taken from the heap.
struct Counting;

static TAKEN: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The closure, dataset, net and loss of the example; a formula of the same size stands for the nested solve, whose cost is not
/// that of a training step.
const PROGRAM: &str = r#"
param seed: Int = 7
closure Conductivity(T: [K], φ: [1]) -> Sym(2)[W/m/K] { ensure spd(result) }
let exact: Conductivity = fn(T, φ) {
  let k = 0.2 [W/m/K]*(1 + 1e-3 [1/K]*(T - 293 [K]))*(1 + 2*φ + 3*φ^2)
  sym(diag([k, 1.1*k]))
}
dataset Micro() {
  T ~ uniform(280 [K], 400 [K])
  φ ~ uniform(0.05, 0.60)
  k = exact(T, φ)
}
minimize offline {
  let cells = sample(Micro(), n=ROWS, by=lhs)
  over k: Conductivity = mlp(width=32, depth=3)
  loss fit = mean(rel_l2(k(c.T, c.φ), c.k) for c in cells.train)
  stage adam(lr=1e-3, epochs=EPOCHSOPTIONS)
}
study s { check offline.fit < 1 }
"#;

struct Nothing;

impl Writer for Nothing {
    fn vtk(&mut self, _: &str, _: &[SavedField], _: mslc::base::Span) -> Result<PathBuf, Box<mslc::base::Diagnostic>> {
        unreachable!("the program writes nothing")
    }
    fn series(&mut self, _: &str, _: &Series, _: mslc::base::Span) -> Result<PathBuf, Box<mslc::base::Diagnostic>> {
        unreachable!("the program writes nothing")
    }
    fn save(
        &mut self,
        _: &str,
        _: &[(String, Value)],
        _: mslc::base::Span,
    ) -> Result<PathBuf, Box<mslc::base::Diagnostic>> {
        unreachable!("the program writes nothing")
    }
}

struct Case {
    name: &'static str,
    rows: usize,
    /// Of the rows.
    trained: usize,
    batch: Option<usize>,
}

fn main() {
    let precision = if std::env::args().any(|a| a == "double") { "double" } else { "single" };
    let turns: usize = std::env::var("TURNS").ok().and_then(|t| t.parse().ok()).unwrap_or(7);
    let mut torch = std::env::var("MSLC_TORCH").ok().map(Torch::start);
    let cases = [
        // 0.7 of the rows are trained on.
        Case { name: "as in the example, 256 cells: all 179 rows a step", rows: 256, trained: 179, batch: None },
        Case { name: "1024 rows, batches of 256", rows: 1463, trained: 1024, batch: Some(256) },
    ];
    for case in cases {
        let steps_of_epoch = case.batch.map_or(1, |b| case.trained / b);
        let (short, long) = (1000 / steps_of_epoch, 9000 / steps_of_epoch);
        let steps = ((long - short) * steps_of_epoch) as f64;
        let mut ours: Vec<(usize, f64)> = vec![];
        let mut taken = u64::MAX;
        let mut theirs: Vec<(String, f64)> = vec![];
        for _ in 0..turns {
            for threads in [1, 2] {
                let (a, taken_short) = train(&case, precision, short, threads);
                let (b, taken_long) = train(&case, precision, long, threads);
                ours.push((threads, (b - a) / steps));
                taken = taken.min(taken_long.saturating_sub(taken_short));
            }
            if let Some(torch) = &mut torch {
                for mode in ["eager", "fused", "compile"] {
                    for threads in [1, 2] {
                        let batch = case.batch.unwrap_or(case.trained);
                        let seconds = torch.seconds(mode, threads, case.trained, batch, 0.5);
                        theirs.push((format!("{mode}, {threads} threads"), seconds));
                    }
                }
            }
        }
        let whole = (0..3).map(|_| train(&case, precision, 3000 / steps_of_epoch, 2).0).fold(f64::INFINITY, f64::min);
        println!("{}, {precision} precision", case.name);
        let best = |threads: usize| ours.iter().filter(|o| o.0 == threads).map(|o| o.1).fold(f64::INFINITY, f64::min);
        println!("  mslc: {:.1} µs a step with 1 thread, {:.1} with 2; ", 1e6 * best(1), 1e6 * best(2));
        println!("  mslc: {:.0} ms for 3000 steps with all that is done once", 1e3 * whole);
        println!("  mslc: {:.2} allocations a step", taken as f64 / steps);
        let mut names: Vec<String> = theirs.iter().map(|t| t.0.clone()).collect();
        names.dedup();
        names.truncate(6);
        let fastest = |name: &str| {
            theirs.iter().filter(|t| t.0 == name && t.1.is_finite()).map(|t| t.1).fold(f64::INFINITY, f64::min)
        };
        for name in &names {
            println!("  torch {name}: {:.1} µs a step", 1e6 * fastest(name));
        }
        let theirs = names.iter().map(|n| fastest(n)).fold(f64::INFINITY, f64::min);
        if theirs.is_finite() {
            println!("  ratio: {:.2}", theirs / best(1).min(best(2)));
        }
    }
}

/// Seconds of a whole run from source text on, and allocations in it.
fn train(case: &Case, precision: &str, epochs: usize, threads: usize) -> (f64, u64) {
    let batch = case.batch.map_or(String::new(), |b| format!(", batch={b}"));
    let text = PROGRAM
        .replace("ROWS", &case.rows.to_string())
        .replace("EPOCHS", &epochs.to_string())
        .replace("OPTIONS", &format!("{batch}, precision={precision}"));
    let out = std::env::temp_dir().join(format!("mslc-bench-training-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&out);
    let (before, at) = (TAKEN.load(Ordering::Relaxed), Instant::now());
    let mut sources = Sources::default();
    let root = sources.add("bench.msl", text);
    let (program, found) = mslc::sema::analyse(sources, root, &Default::default());
    assert!(found.iter().all(|d| !d.is_error()), "{found:#?}");
    let options = Options {
        engine: Engine { threads, candle: false },
        seed: None,
        studies: vec![],
        folder: PathBuf::new(),
        out: out.clone(),
        progress: Box::new(Silent),
        checkpoint_every: None,
    };
    let finished = run(&program, options, &mut Nothing);
    let (seconds, taken) = (at.elapsed().as_secs_f64(), TAKEN.load(Ordering::Relaxed) - before);
    assert!(finished.failure.is_none(), "{:#?}", finished.failure);
    let _ = std::fs::remove_dir_all(&out);
    (seconds, taken)
}

struct Torch {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Torch {
    fn start(python: String) -> Torch {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/training_torch.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python starts");
        let answers = BufReader::new(child.stdout.take().expect("its answers"));
        Torch { child, answers }
    }

    fn seconds(&mut self, mode: &str, threads: usize, rows: usize, batch: usize, budget: f64) -> f64 {
        let ask = self.child.stdin.as_mut().expect("its questions");
        writeln!(ask, "{mode} {threads} {rows} {batch} {budget}").expect("python listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("python answers");
        line.split_whitespace().next().and_then(|s| s.parse().ok()).unwrap_or(f64::NAN)
    }
}

impl Drop for Torch {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
