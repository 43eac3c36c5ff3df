//! The same homogenisation through the whole of mslc: `homogenize.msl`, run by the program itself. Of two batches of different sizes
//! the difference is what a cell costs; what is paid once (reading, compiling, writing results) falls out.
//!
//! With the environment variables PEER_PYTHON (an interpreter) and PEER_SCRIPTS (the folder of `h_homogenize.py`) the Python peers
//! run in between, on the same machine, and the ratios are printed. Processor time is compared, so that what other programs do
//! counts little; wall time stands beside it.

use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

const REPEATS: usize = 3;

/// Seconds of processor and wall time.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

pub fn run() {
    println!("through mslc, a cell with two load cases (assembly, solve, averages), in ms of processor time (wall):");
    for (n, few, many) in [(32, 8, 1008), (64, 4, 260), (128, 2, 66)] {
        let mut ours = [Cost { cpu: f64::INFINITY, wall: f64::INFINITY }; 2];
        let mut peers: Vec<(&str, Cost, f64)> = vec![];
        for _ in 0..REPEATS {
            for (best, threads) in ours.iter_mut().zip([1, 2]) {
                let (a, b) = (batch(n, few, threads), batch(n, many, threads));
                let cells = (many - few) as f64;
                best.cpu = best.cpu.min((b.cpu - a.cpu) / cells);
                best.wall = best.wall.min((b.wall - a.wall) / cells);
            }
            for name in ["skfem-cholmod", "fft"] {
                let Some((cost, value)) = peer(name, n) else { continue };
                match peers.iter_mut().find(|p| p.0 == name) {
                    Some(p) => p.1 = Cost { cpu: p.1.cpu.min(cost.cpu), wall: p.1.wall.min(cost.wall) },
                    None => peers.push((name, cost, value)),
                }
            }
        }
        let [one, two] = ours;
        println!(
            "{n:>4}²: {:.3} ({:.3}) with 1 thread, {:.3} ({:.3}) with 2; effective {:.8}",
            one.cpu * 1e3,
            one.wall * 1e3,
            two.cpu * 1e3,
            two.wall * 1e3,
            value(n)
        );
        for (name, cost, value) in peers {
            println!(
                "       {name:>14}: {:.2} ({:.2}), ratio {:.1} ({:.1}); effective {value:.8}",
                cost.cpu * 1e3,
                cost.wall * 1e3,
                cost.cpu / one.cpu,
                cost.wall / one.wall
            );
        }
    }
}

fn mslc(n: usize, study: &str, more: &[&str]) -> Value {
    let out = std::env::temp_dir().join(format!("mslc-homogenize-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&out);
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/homogenize.msl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mslc"));
    command.arg("run").arg(program).args([study, "--quiet", "--set", &format!("n={n}"), "--out"]).arg(&out);
    let output = command.args(more).output().expect("mslc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(out.join("run.json")).expect("a run leaves its record");
    let _ = std::fs::remove_dir_all(&out);
    serde_json::from_str(&text).expect("the record is JSON")
}

fn batch(n: usize, cells: usize, threads: usize) -> Cost {
    let before = children();
    let record = mslc(n, "batch", &["--set", &format!("cells={cells}"), "--threads", &threads.to_string()]);
    let cpu = children() - before;
    let wall =
        record["tasks"].as_array().expect("tasks").iter().filter_map(|t| t["seconds"].as_f64()).fold(0.0, f64::max);
    Cost { cpu, wall }
}

fn value(n: usize) -> f64 {
    mslc(n, "value", &[])["checks"][0]["value"].as_f64().unwrap_or(f64::NAN)
}

/// A peer's cost, and its effective conductivity.
fn peer(name: &str, n: usize) -> Option<(Cost, f64)> {
    let (python, scripts) = (std::env::var("PEER_PYTHON").ok()?, std::env::var("PEER_SCRIPTS").ok()?);
    let mut command = Command::new(python);
    command.arg("h_homogenize.py").args(["--peer", name, "--size", &n.to_string()]).current_dir(scripts);
    let output = command.output().ok()?;
    let told: Value = serde_json::from_slice(&output.stdout).ok()?;
    let cost = Cost { cpu: told["cpu_seconds_min"].as_f64()?, wall: told["seconds_min"].as_f64()? };
    Some((cost, told["check"]["effective"][0][0].as_f64()?))
}

/// Processor time of all children that have ended.
fn children() -> f64 {
    // SAFETY: plain data that the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
