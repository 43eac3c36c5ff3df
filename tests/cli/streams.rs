//! Runs whose samples are too many for memory: what they take of it, killed and resumed, the files written from them.

use super::{Folder, checkpoints, code, err, mslc, path, start, stored};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

/// 161 samples of 256² numbers: 84 MB, beyond what is held in memory.
const LARGE: &str = "let D = square(1, periodic=true)
system Heat(k) {
  unknown u: Field(D)
  eq energy: ∂t(u) = k*∇²u
  init u = sin(2*π*x)*cos(2*π*y)
}
study s {
  let a = solve(Heat(0.02), fd(order=2, n=256, time=euler(5e-5)), t=0..0.016, every=1e-4)
  let e = [mean2(u) for u in a.u]
  let slope = mean2(∂x(a.u[160]))
  check abs(e[160]/e[0]/exp(-16*π^2*0.02*0.016) - 1) < 1e-4
  check abs(slope/(4*π^2*e[160]) - 1) < 1e-3
  save(\"a\", e=stack(e))
}
";
/// The same with steps that follow the error.
fn following() -> String {
    LARGE.replace("euler(5e-5)", "dormand_prince(tol=1e-7)")
}

/// Bytes of all samples.
const SAMPLES: u64 = 160 * 256 * 256 * 8;

/// Most kilobytes of memory that a process has had, its mapped files included.
fn most_memory(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Files of the store with this ending that hold all samples, and their sizes.
fn found(out: &Path, ending: &str) -> Vec<u64> {
    let files = stored(out).into_iter().filter(|f| f.extension().is_some_and(|e| e == ending));
    files.filter_map(|f| Some(f.metadata().ok()?.len())).filter(|n| *n > SAMPLES).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn samples_are_never_in_memory_all_at_once() {
    // The program itself takes about 40 MB, and a state is half a megabyte.
    never_all_at_once("fixed", LARGE, SAMPLES);
    // Steps that follow the error carry a polynomial beside the state: a dozen such arrays, in a few copies.
    let twice = following().replace("every=1e-4", "every=5e-5").replace("[160]", "[320]");
    never_all_at_once("following", &twice, 2 * SAMPLES);
}

#[cfg(target_os = "linux")]
fn never_all_at_once(name: &str, text: &str, samples: u64) {
    let f = Folder::new(&format!("stream-memory-{name}"));
    let program = f.file("large.msl", text.replace("study s {", "study s {\n  let more = 1"));
    let out = f.0.join("out");
    let mut most = 0;
    // Computed, then found in the cache.
    for _ in 0..2 {
        let mut child = start(&program, &out);
        loop {
            most = most.max(most_memory(&child).unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    assert_eq!(found(&out, "task").len(), 1, "the samples are not a file of the store");
    assert!(most * 1024 < samples, "{most} kB of memory for {} kB of samples", samples / 1024);
}

#[test]
fn a_killed_run_goes_on_with_the_file_that_it_was_writing() {
    for (name, text) in [("fixed", LARGE), ("following", &following())] {
        goes_on_with_its_file(name, text);
    }
}

fn goes_on_with_its_file(name: &str, text: &str) {
    let f = Folder::new(&format!("stream-kill-{name}"));
    let program = f.file("large.msl", text);
    let bits = |out: &Path| std::fs::read(out.join("a.csv")).unwrap();
    let whole = f.0.join("whole");
    assert!(start(&program, &whole).wait().unwrap().success());
    assert!(found(&whole, "part").is_empty());
    let out = f.0.join("killed");
    let (mut signalled, mut parts) = (0, 0);
    for wait in [0, 20, 5, 60, 120] {
        let mut child = start(&program, &out);
        // Until it writes; a machine may be busy.
        while found(&out, "part").is_empty() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        signalled += usize::from(child.wait().unwrap().code().is_none());
        parts += found(&out, "part").len();
    }
    assert!(signalled > 0, "every run was over before it was killed");
    assert!(parts > 0, "no run was killed while it wrote its samples");
    assert!(start(&program, &out).wait().unwrap().success());
    assert_eq!(bits(&out), bits(&whole));
    assert!(found(&out, "part").is_empty());
    // The file also tells how long the run took, in more or fewer digits.
    let [resumed, at_once] = [&out, &whole].map(|out| found(out, "task")[0]);
    assert!(resumed.abs_diff(at_once) < 32, "{resumed} and {at_once} bytes");
}

/// What is written to files is the same whether samples are held in memory or not: 40 of them are.
#[test]
fn files_are_written_sample_by_sample() {
    let f = Folder::new("stream-write");
    let written = |name: &str, end: &str| {
        let study = "write(a, \"a.npz\")\n  write(a, \"a.vtkhdf\")\n  plot(a)";
        let text = LARGE.split("  let e =").next().unwrap().replace("t=0..0.016", end) + study + "\n}\n";
        let program = f.file(&format!("{name}.msl"), &text);
        let out = f.0.join(name);
        let o = mslc(["run", path(&program), "--out", path(&out)]);
        assert_eq!(code(&o), 0, "{}", err(&o));
        ["a.npz", "a.vtkhdf"].map(|file| std::fs::read(out.join(file)).unwrap())
    };
    let [npz, hdf] = written("large", "t=0..0.016");
    let [small, _] = written("small", "t=0..0.004");
    assert!(npz.len() as u64 > SAMPLES && hdf.len() as u64 > SAMPLES);
    // The first array of both archives is u, behind 128 bytes of header and the name: the first samples are the same.
    let first = |bytes: &[u8]| bytes[200..40 * 256 * 256 * 8].to_vec();
    assert!(first(&npz) == first(&small), "samples differ");
}

#[test]
#[cfg(unix)]
fn a_disk_without_room_is_told_before_the_first_step() {
    let f = Folder::new("stream-full");
    let program = f.file("large.msl", LARGE);
    let out = f.0.join("out");
    let script = "trap '' XFSZ; ulimit -f 60000; exec \"$0\" run \"$1\" --out \"$2\" --quiet";
    let args = [env!("CARGO_BIN_EXE_mslc"), path(&program), path(&out)];
    let o = Command::new("sh").arg("-c").arg(script).args(args).output().unwrap();
    assert_eq!(code(&o), 3, "{}", err(&o));
    assert!(err(&o).contains("run.disk") && err(&o).contains("make room"), "{}", err(&o));
    assert!(found(&out, "part").is_empty());
    // With room, the same command runs.
    assert!(start(&program, &out).wait().unwrap().success());
}

/// A limit on the size of files that comes into force while samples are written stands for a disk that fills up then.
#[test]
#[cfg(target_os = "linux")]
fn once_a_full_disk_has_room_again_the_run_goes_on_to_the_same_bits() {
    let f = Folder::new("stream-fills");
    // Long enough to be met while it writes.
    let program = f.file("large.msl", LARGE.replace("euler(5e-5)", "euler(1e-6)"));
    let whole = f.0.join("whole");
    assert!(start(&program, &whole).wait().unwrap().success());
    let out = f.0.join("out");
    let mut child = start(&program, &out);
    // A checkpoint and the samples before it.
    while child.try_wait().unwrap().is_none() && checkpoints(&out) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let least = libc::rlimit { rlim_cur: 1 << 21, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the child is ours and has not been waited for; the limit lives as long as the call.
    let set = unsafe { libc::prlimit(child.id() as i32, libc::RLIMIT_FSIZE, &least, std::ptr::null_mut()) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    let o = child.wait_with_output().unwrap();
    assert_eq!(code(&o), 3, "{}", err(&o));
    assert!(err(&o).contains("run.disk") && err(&o).contains(".part"), "{}", err(&o));
    assert_eq!(found(&out, "part").len(), 1, "what was written is gone");
    assert!(start(&program, &out).wait().unwrap().success());
    let bits = |out: &Path| std::fs::read(out.join("a.csv")).unwrap();
    assert_eq!(bits(&out), bits(&whole));
    let record = std::fs::read_to_string(out.join("run.json")).unwrap();
    assert!(record.contains("went on from step"), "it began again");
    assert!(found(&out, "part").is_empty());
}
