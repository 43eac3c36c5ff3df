//! Runs in time: killed at several moments and resumed to the same bits, stopped by Ctrl-C, stopped where they break down.

use super::{Folder, checkpoints, code, err, mslc, path, start};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A loop of some seconds whose samples are kept, one of which only the end is, and both again with steps that follow the error.
const LONG: &str = "let D = square(1, periodic=true)
system Heat(k) {
  unknown u: Field(D)
  eq energy: ∂t(u) = k*∇²u
  init u = sin(2*π*x)*cos(2*π*y)
}
study s {
  let a = solve(Heat(0.02), fd(order=2, n=96, time=rk4(1e-4)), t=0..3, every=1)
  let b = solve(Heat(0.03), fd(order=4, n=96, time=ssprk3(1e-4)), t=0..2)
  let c = solve(Heat(0.03), fd(order=4, n=96, time=dormand_prince(tol=1e-9)), t=0..1)
  let d = solve(Heat(0.01), fd(order=2, n=96, time=bogacki_shampine(tol=1e-8)), t=0..3, every=1.5)
  save(\"a\", c=mean2(c.u), d=mean2(d.u[1]), m=mean2(a.u[1]), n=mean2(a.u[3]), e=mean2(b.u))
}
";

fn bits(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("a.csv")).unwrap()
}

/// What the run says of where it went on.
fn resumed(out: &Path) -> bool {
    std::fs::read_to_string(out.join("run.json")).unwrap().contains("went on from step")
}

#[test]
fn a_run_killed_in_its_loops_resumes_to_the_same_bits() {
    let f = Folder::new("kill-loop");
    let program = f.file("long.msl", LONG);
    let whole = f.0.join("whole");
    assert!(start(&program, &whole).wait().unwrap().success());
    assert_eq!(checkpoints(&whole), 0, "checkpoints go with the end of their task");
    let out = f.0.join("killed");
    let mut signalled = 0;
    for wait in [300, 500, 200, 700, 400] {
        let mut child = start(&program, &out);
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        signalled += usize::from(child.wait().unwrap().code().is_none());
    }
    assert!(signalled > 0, "every run was over before it was killed");
    assert!(start(&program, &out).wait().unwrap().success());
    assert_eq!(bits(&out), bits(&whole));
    assert_eq!(checkpoints(&out), 0);
}

#[test]
#[cfg(unix)]
fn ctrl_c_in_a_loop_leaves_a_checkpoint_that_the_next_run_takes_up() {
    let f = Folder::new("interrupt-loop");
    let program = f.file("long.msl", LONG.replace("0..3,", "0..300,").replace("every=1)", "every=100)"));
    let out = f.0.join("out");
    let child = Command::new(env!("CARGO_BIN_EXE_mslc"))
        .args(["run", path(&program), "--out", path(&out), "--quiet", "--checkpoint-every", "0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once there is a checkpoint, it is in its first loop.
    for _ in 0..4000 {
        if checkpoints(&out) > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // SAFETY: the child is ours and has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let o = child.wait_with_output().unwrap();
    assert_eq!(code(&o), 130, "{}", err(&o));
    assert_eq!(checkpoints(&out), 1);
    let short = f.file("short.msl", LONG);
    let done = f.0.join("done");
    let mut child = start(&short, &done);
    std::thread::sleep(Duration::from_millis(600));
    // SAFETY: as above.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let stopped = child.wait().unwrap().code() == Some(130);
    assert!(start(&short, &done).wait().unwrap().success());
    assert!(!stopped || resumed(&done), "it started from the beginning");
}

#[test]
fn what_breaks_down_is_told_with_its_place_and_time() {
    let f = Folder::new("unstable");
    // Amplified by more than one a step: h k 8/dx² = 2.1, beyond 2, so that the fastest wave grows, and u² makes it faster still.
    let program = f.file(
        "burst.msl",
        "let D = interval(0..1, periodic=true)
system Burst() {
  unknown u: Field(D)
  eq balance: ∂t(u) = 1e-3*∇²u + u^2
  init u = 1 + exp(-100*(x - 0.375)^2)
}
study s {
  let a = solve(Burst(), fd(order=2, n=64, time=euler(0.001)), t=0..2, every=0.2)
  report(m=mean2(a.u[1]))
}
",
    );
    for extra in [&[][..], &["--threads", "1"]] {
        let out = f.0.join("out");
        let o = mslc([&["run", path(&program), "--out", path(&out)], extra].concat());
        assert_eq!(code(&o), 3, "{}", err(&o));
        let text = err(&o).split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
        assert!(text.contains("run.unstable") && text.contains("`u` of `Burst` became"), "{text}");
        assert!(text.contains("of 2000") && text.contains("euler(5e-4)"), "{text}");
        // The solution grows without bound soon after t = 1/2, first where it began highest: cell 23 or 24, at x = 0.375.
        let t: f64 = text.split("t = ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((0.5..0.7).contains(&t), "{text}");
        assert!(text.contains("in cell 23 at (0.3672)") || text.contains("in cell 24 at (0.3828)"), "{text}");
    }
}
