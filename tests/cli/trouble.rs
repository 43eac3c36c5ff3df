//! Whole runs in trouble: killed, interrupted, on a full disk, beside another run, with bad data. No finished task is lost, the
//! same command resumes, and the bits of the results do not depend on what happened.

use super::{Folder, code, err, json, mslc, out, path, start};
use mslc::report::Run;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Twelve solves of some tens of milliseconds each, their results written as they come.
const LONG: &str = "let Y = square(1, periodic=true)
system Cell(k: Field(Y), e: Vec(2)) {
  unknown w: Field(Y)
  eq corrector: ∇·(k*(e + ∇w)) = 0
  eq gauge: mean(w) = 0
}
fn effective(f) {
  let k = phase(disc(Y, fraction=f), 10, 1)
  let w = [solve(Cell(k, e), fem(order=1, n=64)).w for e in basis(2)]
  sym(mean(k*(I + ∇w)))
}
let first = effective(0.05)
let second = effective(0.15)
let third = effective(0.25)
let fourth = effective(0.35)
study long {
  let fifth = effective(0.45)
  let sixth = effective(0.55)
  save(\"one\", k=first)
  save(\"two\", k=second)
  save(\"three\", k=third)
  save(\"rest\", a=fourth, b=fifth, c=sixth)
  check first[0, 0] > 1
  check sixth[0, 0] < 10
}
";

fn record(out: &Path) -> Run {
    Run::from_json(&std::fs::read_to_string(out.join("run.json")).unwrap()).unwrap()
}

/// What must be the same in every run: the files of the study and the values of the checks.
fn results(out: &Path) -> Vec<(String, String)> {
    let run = record(out);
    let files = run.outputs.into_iter().filter(|(name, _)| name.ends_with(".csv") || name.ends_with(".vtu"));
    let mut all: Vec<(String, String)> = files.collect();
    all.extend(run.checks.iter().map(|c| (c.claim.clone(), format!("{:016x}", c.value.to_bits()))));
    all
}

fn cached(out: &Path) -> usize {
    record(out).tasks.iter().filter(|t| t.state == mslc::report::manifest::State::Cached).count()
}

#[test]
fn killed_at_any_moment_a_run_resumes_to_the_same_bits() {
    let f = Folder::new("kill");
    let program = f.file("long.msl", LONG);
    let whole = f.0.join("whole");
    assert!(start(&program, &whole).wait().unwrap().success());
    let expected = results(&whole);
    assert_eq!(expected.len(), 6, "{expected:?}");
    let killed = f.0.join("killed");
    let mut signalled = 0;
    for wait in [20, 90, 170, 60, 250] {
        let mut child = start(&program, &killed);
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        signalled += usize::from(child.wait().unwrap().code().is_none());
    }
    assert!(signalled > 0, "every run was over before it was killed");
    assert!(start(&program, &killed).wait().unwrap().success());
    assert_eq!(results(&killed), expected);
    // And once more, from the cache alone.
    assert!(start(&program, &killed).wait().unwrap().success());
    assert_eq!(results(&killed), expected);
    assert!(cached(&killed) >= 6);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let f = Folder::new("threads");
    let program = f.file("long.msl", LONG);
    let with = |n: &str| {
        let out = f.0.join(n);
        let o = mslc(["run", path(&program), "--out", path(&out), "--threads", n]);
        assert_eq!(code(&o), 0, "{}", err(&o));
        assert_eq!(record(&out).threads.to_string(), n);
        results(&out)
    };
    let one = with("1");
    assert_eq!(one, with("2"));
    assert_eq!(one, with("5"));
}

#[test]
fn two_runs_in_one_folder_do_not_disturb_each_other() {
    let f = Folder::new("two");
    let program = f.file("long.msl", LONG);
    let shared = f.0.join("shared");
    let mut both = [start(&program, &shared), start(&program, &shared)];
    for child in &mut both {
        assert!(child.wait().unwrap().success());
    }
    let together = results(&shared);
    let alone = f.0.join("alone");
    assert!(start(&program, &alone).wait().unwrap().success());
    assert_eq!(together, results(&alone));
}

#[test]
#[cfg(unix)]
fn ctrl_c_stops_a_run_and_the_same_command_resumes() {
    let f = Folder::new("interrupt");
    let program = f.file("long.msl", LONG.replace("n=64", "n=128"));
    let out_dir = f.0.join("out");
    let child = start(&program, &out_dir);
    // Once the first result is kept, the run is well under way.
    let tasks = out_dir.join("cache/tasks");
    for _ in 0..2000 {
        if tasks.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: the child is ours and has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let o = child.wait_with_output().unwrap();
    assert_eq!(code(&o), 130, "{}", err(&o));
    assert!(err(&o).contains("interrupted"), "{}", err(&o));
    let o = mslc(["plan", path(&program), "--out", path(&out_dir)]);
    assert!(out(&o).contains("it was interrupted"), "{}", out(&o));
    assert!(start(&program, &out_dir).wait().unwrap().success());
    assert!(cached(&out_dir) > 0);
}

/// Runs under a limit on the size of files, in units of 512 bytes: what a write beyond it meets is like a full disk.
#[cfg(unix)]
fn limited(blocks: usize, program: &Path, out: &Path) -> std::process::Output {
    let command = format!("ulimit -f {blocks}; exec \"$0\" run \"$1\" --out \"$2\"");
    Command::new("sh").args(["-c", &command, env!("CARGO_BIN_EXE_mslc"), path(program), path(out)]).output().unwrap()
}

#[test]
#[cfg(unix)]
fn a_disk_that_takes_no_more_ends_the_run_and_loses_nothing() {
    let f = Folder::new("full");
    let program = f.file("long.msl", LONG);
    let out_dir = f.0.join("out");
    // Small results fit, the report does not.
    let o = limited(16, &program, &out_dir);
    assert_eq!(code(&o), 3, "{}", err(&o));
    assert!(err(&o).contains("run.disk") && err(&o).contains("too large"), "{}", err(&o));
    let left: Vec<_> = std::fs::read_dir(&out_dir).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.iter().all(|p| p.extension().is_none_or(|e| e != "tmp")), "{left:?}");
    let o = mslc(["run", path(&program), "--out", path(&out_dir)]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    assert!(cached(&out_dir) >= 6, "what had finished was kept");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_anything_is_computed() {
    let f = Folder::new("readonly");
    let program = f.file("long.msl", LONG);
    let file = f.file("file", "");
    let mut places = vec![file.join("out")];
    if cfg!(target_os = "linux") {
        places.push("/proc/mslc".into());
    }
    for place in places {
        let o = mslc(["run", path(&program), "--out", path(&place)]);
        assert_eq!(code(&o), 3, "{}", err(&o));
        assert!(err(&o).contains("run.disk") && err(&o).contains("--out"), "{}", err(&o));
        assert!(!err(&o).contains("✓"), "{}", err(&o));
    }
}

#[test]
fn a_damaged_result_is_computed_again_and_told_of() {
    let f = Folder::new("damaged");
    let program = f.file("long.msl", LONG);
    let out_dir = f.0.join("out");
    assert!(start(&program, &out_dir).wait().unwrap().success());
    let expected = results(&out_dir);
    for folder in std::fs::read_dir(out_dir.join("cache/tasks")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let mut bytes = std::fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&file, bytes).unwrap();
        }
    }
    let o = mslc(["run", path(&program), "--out", path(&out_dir)]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    assert!(err(&o).contains("run.cache") && err(&o).contains("damaged"), "{}", err(&o));
    assert_eq!(results(&out_dir), expected);
}

#[test]
fn bad_data_are_named_with_their_place() {
    let f = Folder::new("data");
    let program = f.file("p.msl", "let d = load(\"d.csv\")\nstudy s { check mean([r.y for r in d]) > 0 }\n");
    let run = |verb: &str| mslc([verb, path(&program), "--out", path(&f.0.join("out"))]);
    for verb in ["run", "plan"] {
        let o = run(verb);
        assert_eq!(code(&o), 3, "{verb}: {}", err(&o));
        assert!(err(&o).contains("d.csv") && err(&o).contains("no such file"), "{}", err(&o));
    }
    let cases: [(&[u8], &[&str]); 5] = [
        (b"x,y\n1,2\n2,nan\n", &["line 3", "not a number"]),
        (b"x,y\n1,2\n2,inf\n", &["line 3", "infinite"]),
        (b"x,y\n", &["no rows"]),
        (b"x,y\n1,2\n2,two\n", &["line 3", "two"]),
        (b"x,y\n1,\xff\n", &["UTF-8"]),
    ];
    for (bytes, words) in cases {
        f.file("d.csv", bytes);
        let o = run("run");
        assert_eq!(code(&o), 3, "{}", err(&o));
        for w in words.iter().chain(&["run.data", "d.csv"]) {
            assert!(err(&o).contains(w), "`{w}` is not in {}", err(&o));
        }
    }
    f.file("d.csv", "x,y\n1,2\n2,3\n");
    assert_eq!(code(&run("run")), 0);
}

#[test]
fn a_solve_that_fails_is_3_and_the_report_says_so() {
    let f = Folder::new("fails");
    let text = "let Ω = interval(0..1)
system S() {
  unknown u: Field(Ω) ~ 1
  eq e: -∇·((1 + u^2)*∇u) = -exp(40*u) - 1e9*√(u - 5)
  on Ω.left: u = 0
  on Ω.right: u = 1
}
study s {
  let s = solve(S(), fem(order=1, n=8))
  check mean(s.u) > 0
}
";
    let out_dir = f.0.join("out");
    let o = mslc(["run", path(&f.file("p.msl", text)), "--out", path(&out_dir)]);
    assert_eq!(code(&o), 3, "{}", err(&o));
    let run = record(&out_dir);
    assert_eq!(run.verdict, mslc::report::manifest::Verdict::RunFailed);
    assert!(run.failure.unwrap().contains("p.msl:9:"));
    assert!(run.tasks.iter().any(|t| t.state == mslc::report::manifest::State::Failed));
    let o = mslc(["plan", path(&f.0.join("p.msl")), "--out", path(&out_dir)]);
    assert!(out(&o).contains("it failed"), "{}", out(&o));
}

#[test]
fn json_is_one_object_a_line_and_quiet_is_quiet() {
    let f = Folder::new("talk");
    let program = f.file("long.msl", LONG);
    let with = |option: &str| mslc(["run", path(&program), option, "--out", path(&f.0.join("out"))]);
    let o = with("--json");
    assert_eq!((code(&o), err(&o)), (0, String::new()));
    let events = json(&o);
    assert!(events.iter().all(|e| e["kind"].is_string()));
    assert_eq!(events.last().unwrap()["verdict"], "holds");
    let check = events.iter().find(|e| e["kind"] == "check").unwrap();
    for key in ["study", "claim", "value", "relation", "bound", "unit", "held"] {
        assert!(check.get(key).is_some(), "`{key}` is not in {check}");
    }
    let o = with("--quiet");
    assert_eq!((code(&o), out(&o), err(&o)), (0, String::new(), String::new()));
    // A failed check is an exit code, not words, where quiet is asked for.
    let wrong = f.file("wrong.msl", "study s { check 1 > 2 }\n");
    let o = mslc(["run", path(&wrong), "--quiet", "--out", path(&f.0.join("wrong"))]);
    assert_eq!((code(&o), out(&o)), (1, String::new()));
}

#[test]
fn a_program_without_a_study_says_so_and_a_flood_of_errors_ends() {
    let f = Folder::new("words");
    let o = mslc(["run", path(&f.file("empty.msl", "")), "--out", path(&f.0.join("out"))]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    assert!(err(&o).contains("has no `study`"), "{}", err(&o));
    let deep = f.file("deep.msl", format!("let a = {}\n", "[".repeat(3000)));
    let o = mslc(["check", path(&deep)]);
    assert_eq!(code(&o), 2);
    assert!(err(&o).contains("more errors") && err(&o).len() < 20_000, "{} bytes", err(&o).len());
    // Scripts get them all.
    assert!(json(&mslc(["check", path(&deep), "--json"])).len() >= 3000);
}
