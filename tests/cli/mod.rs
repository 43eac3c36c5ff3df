//! The command from outside: the built binary, its exit codes, what it says and where.

mod ensure;
mod guards;
mod long;
mod plan;
mod report;
mod starts;
mod streams;
mod trouble;

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A folder of its own for each test, removed when the test is over.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("mslc-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn mslc<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    mslc_with(args, "")
}

fn mslc_with<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mslc"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A run on its way, for tests that kill it: silent, a checkpoint at every place where there may be one.
pub fn start(program: &Path, out: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mslc"))
        .args(["run", path(program), "--out", path(out), "--quiet", "--checkpoint-every", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The folders and files in a folder; none where it is missing.
pub fn entries(folder: &Path) -> Vec<std::fs::DirEntry> {
    std::fs::read_dir(folder).map(|d| d.flatten().collect()).unwrap_or_default()
}

/// The files of the store of a folder of results.
pub fn stored(out: &Path) -> Vec<PathBuf> {
    entries(&out.join("cache/tasks")).iter().flat_map(|f| entries(&f.path())).map(|f| f.path()).collect()
}

/// Checkpoints in the store of a folder of results.
pub fn checkpoints(out: &Path) -> usize {
    let of_loop = |bytes: Vec<u8>| bytes.windows(13).any(|w| w == b"\"kind\":\"loop\"");
    let whole = stored(out).into_iter().filter(|f| f.extension().is_some_and(|e| e == "task"));
    whole.filter(|f| std::fs::read(f).is_ok_and(of_loop)).count()
}

pub fn code(o: &Output) -> i32 {
    o.status.code().unwrap_or(-1)
}

pub fn out(o: &Output) -> String {
    String::from_utf8(o.stdout.clone()).unwrap()
}

pub fn err(o: &Output) -> String {
    String::from_utf8(o.stderr.clone()).unwrap()
}

/// The diagnostics of `--json`, a line each.
pub fn json(o: &Output) -> Vec<Value> {
    out(o).lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("`{l}`: {e}"))).collect()
}

const GOOD: &str = "param h: [m] = 2 [mm]\nlet a = 2*h\n";

pub fn path(p: &Path) -> &str {
    p.to_str().unwrap()
}

#[test]
fn help_and_version_go_to_stdout_and_a_bad_command_line_is_2() {
    let help = mslc(["--help"]);
    assert_eq!(code(&help), 0);
    for word in ["run", "check", "plan", "fmt", "explain", "Exit codes"] {
        assert!(out(&help).contains(word), "{word}");
    }
    assert!(out(&mslc(["run", "--help"])).contains("--set 'h=1[mm]'"));
    assert!(out(&mslc(["--version"])).starts_with("mslc "));
    for bad in
        [&["frobnicate"][..], &[], &["run"], &["run", "x.msl", "--threads", "0"], &["run", "x.msl", "--backend", "gpu"]]
    {
        let o = mslc(bad);
        assert_eq!(code(&o), 2, "{bad:?}");
        assert!(!err(&o).is_empty() && out(&o).is_empty(), "{bad:?}");
    }
}

#[test]
fn a_good_program_is_0_and_a_wrong_one_2() {
    let f = Folder::new("check");
    let good = f.file("good.msl", GOOD);
    assert_eq!(code(&mslc(["check", path(&good)])), 0);
    let bad = f.file("bad.msl", "let a = 1 [m] + 2 [kg]\nlet b = c\n");
    let o = mslc(["check", path(&bad)]);
    assert_eq!(code(&o), 2);
    assert!(err(&o).contains("bad.msl:1:") && err(&o).contains("2 errors"), "{}", err(&o));
    assert!(!err(&o).contains('\u{1b}'), "colours are for terminals");
    assert!(out(&o).is_empty());
    // All files are looked at, and one that is wrong suffices.
    assert_eq!(code(&mslc(["check", path(&good), path(&bad)])), 2);
    for verb in ["run", "plan"] {
        assert_eq!(code(&mslc([verb, path(&bad)])), 2, "{verb}");
    }
}

#[test]
fn a_run_tells_its_verdict_and_leaves_a_report() {
    let f = Folder::new("run");
    let text = "/// Two claims.\nlet a = 2*3\nstudy good { check a < 7 }\nstudy bad { check a < 5 }\n";
    let p = f.file("claims.msl", text);
    let out_dir = f.0.join("results");
    let with = |study: &str| mslc(["run", path(&p), study, "--out", path(&out_dir)]);
    let o = with("good");
    assert_eq!(code(&o), 0, "{}", err(&o));
    let run = mslc::report::Run::from_json(&std::fs::read_to_string(out_dir.join("run.json")).unwrap()).unwrap();
    assert_eq!((run.checks.len(), run.held(), run.checks[0].value), (1, 1, 6.0));
    let page = std::fs::read(out_dir.join("report.html")).unwrap();
    assert_eq!(run.outputs["report.html"], mslc::base::Fingerprint::of(&page).hex());
    let o = with("bad");
    assert_eq!(code(&o), 1, "{}", err(&o));
    assert!(err(&o).contains("✗ a < 5"), "{}", err(&o));
    let o = with("goood");
    assert_eq!(code(&o), 2);
    assert!(err(&o).contains("did you mean `good`?"), "{}", err(&o));
    let o = mslc(["run", "--json", path(&p), "--out", path(&out_dir)]);
    assert_eq!(code(&o), 1);
    let kinds: Vec<String> = json(&o).iter().map(|e| e["kind"].as_str().unwrap().to_string()).collect();
    assert!(kinds.ends_with(&["check".into(), "check".into(), "finished".into()]), "{kinds:?}");
    let o = mslc(["plan", "--json", path(&p)]);
    assert_eq!(code(&o), 0);
    assert!(out(&o).contains("a < 7"), "{}", out(&o));
}

#[test]
fn json_diagnostics_are_one_object_a_line_with_exact_places() {
    let f = Folder::new("json");
    let text = "let φ = 1 [m] + 2 [kg]\nlet b = c\n";
    let o = mslc(["check", "--json", path(&f.file("bad.msl", text))]);
    assert!(err(&o).is_empty(), "{}", err(&o));
    let found = json(&o);
    assert_eq!(found.len(), 2);
    for d in &found {
        for key in ["code", "severity", "message", "file", "bytes", "start", "end", "labels", "help", "note"] {
            assert!(d.get(key).is_some(), "`{key}` is not in {d}");
        }
        assert_eq!(d["severity"], "error");
    }
    let (a, b) = (found[1]["bytes"][0].as_u64().unwrap() as usize, found[1]["bytes"][1].as_u64().unwrap() as usize);
    assert_eq!(&text[a..b], "c");
    assert_eq!((&found[1]["start"]["line"], &found[1]["start"]["column"]), (&2.into(), &9.into()));
}

#[test]
fn settings_are_typed_and_named() {
    let f = Folder::new("set");
    let p = f.file("p.msl", GOOD);
    assert_eq!(code(&mslc(["check", path(&p), "--set", "h=1[cm]"])), 0);
    let cases = [
        ("h=3[kg]", "units.mismatch", ""),
        ("hh=3[m]", "set.unknown", "`h`"),
        ("h", "set.form", "NAME=VALUE"),
        ("=3", "set.form", ""),
        ("h=", "set.form", ""),
    ];
    for (set, expected, words) in cases {
        let o = mslc(["check", "--json", path(&p), "--set", set]);
        assert_eq!(code(&o), 2, "{set}");
        let found = json(&o);
        assert_eq!(found[0]["code"], expected, "{set}: {found:?}");
        assert!(found[0].to_string().contains(words), "{set}: {found:?}");
    }
    let o = mslc(["check", path(&p), "--set", "h=)("]);
    assert_eq!(code(&o), 2);
}

#[test]
fn files_that_are_no_programs_are_named_not_met_with_a_panic() {
    let f = Folder::new("files");
    f.file("heat.msl", GOOD);
    let latin = f.file("latin.msl", b"// caf\xe9\nlet a = 1\n");
    let cases = [
        (f.0.join("heta.msl"), "input.missing", "heat.msl"),
        (f.0.clone(), "input.directory", "heat.msl"),
        (latin, "input.encoding", "0xe9"),
    ];
    for (file, expected, words) in cases {
        for verb in ["check", "run", "plan", "fmt"] {
            let o = mslc([verb, "--json", path(&file)]);
            assert_eq!(code(&o), 2, "{verb} {}: {}", file.display(), err(&o));
            let found = json(&o);
            assert_eq!(found[0]["code"], expected);
            assert!(found[0].to_string().contains(words), "{found:?}");
        }
    }
    for (name, text) in
        [("empty.msl", ""), ("bom.msl", "\u{feff}let a = 1\n"), ("crlf.msl", "let a = 1\r\nlet b = a\r\n")]
    {
        let o = mslc(["check", path(&f.file(name, text))]);
        assert_eq!(code(&o), 0, "{name}: {}", err(&o));
    }
    let long = f.file("long.msl", "let a = ".to_string() + &"1 + ".repeat(20_000) + "\n");
    let o = mslc(["check", path(&long)]);
    assert_eq!(code(&o), 2);
    assert!(err(&o).len() < 20_000, "a report of {} bytes", err(&o).len());
}

#[test]
fn explain_knows_its_codes_and_guesses_misspelt_ones() {
    let o = mslc(["explain", "set.unknown"]);
    assert_eq!(code(&o), 0);
    assert!(out(&o).starts_with("set.unknown: "));
    assert_eq!(out(&mslc(["explain", "error[set.unknown]"])), out(&o));
    let list = out(&mslc(["explain"]));
    for c in mslc::base::codes::CODES {
        assert!(list.contains(c.id));
    }
    let o = mslc(["explain", "set.unkown"]);
    assert_eq!(code(&o), 2);
    assert!(err(&o).contains("did you mean `set.unknown`?"), "{}", err(&o));
    assert_eq!(code(&mslc(["explain", "zzzzzz"])), 2);
}

#[test]
fn formatting_is_idempotent_and_checks_without_writing() {
    let f = Folder::new("fmt");
    let ugly = "// a comment\nlet   a=1+2\nparam h:[m]=2[mm]\n";
    let o = mslc_with(["fmt", "-"], ugly);
    assert_eq!(code(&o), 0, "{}", err(&o));
    let once = out(&o);
    assert!(once != ugly && once.contains("// a comment"));
    assert_eq!(out(&mslc_with(["fmt", "-"], &once)), once);

    let file = f.file("ugly.msl", ugly);
    let o = mslc(["fmt", "--check", path(&file)]);
    assert_eq!(code(&o), 1);
    assert!(err(&o).contains("ugly.msl"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ugly);
    assert_eq!(code(&mslc(["fmt", path(&file)])), 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), once);
    assert_eq!(code(&mslc(["fmt", "--check", path(&file)])), 0);

    let broken = f.file("broken.msl", "let a = (1 +\n");
    assert_eq!(code(&mslc(["fmt", path(&broken)])), 2);
    assert_eq!(std::fs::read_to_string(&broken).unwrap(), "let a = (1 +\n", "what cannot be read is left alone");
}

#[test]
fn quiet_is_silent_where_all_is_well() {
    let f = Folder::new("quiet");
    let o = mslc(["check", "--quiet", path(&f.file("good.msl", GOOD))]);
    assert_eq!((code(&o), out(&o), err(&o)), (0, String::new(), String::new()));
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mslc"))
        .arg("explain")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let o = child.wait_with_output().unwrap();
    assert_eq!((code(&o), err(&o)), (0, String::new()));
}
