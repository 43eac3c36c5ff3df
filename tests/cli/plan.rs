//! `mslc plan`: what it says will run, and why.

use super::{Folder, code, err, json, mslc, out, path};
use serde_json::Value;
use std::path::Path;

const PROGRAM: &str = "param n: Int = 64
let Y = square(1, periodic=true)
let data = load(\"d.csv\")
fn contrast(r) { 10*r }
system Cell(k: Field(Y), e: Vec(2)) {
  unknown w: Field(Y)
  eq corrector: ∇·(k*(e + ∇w)) = 0
  eq gauge: mean(w) = 0
}
closure Effective(r) -> Sym(2) { ensure spd(result) }
let exact: Effective = fn(r) {
  let k = phase(disc(Y, fraction=0.3), contrast(r), 1)
  let w = [solve(Cell(k, e), fem(order=1, n=n)).w for e in basis(2)]
  sym(mean(k*(I + ∇w)))
}
let table: Effective = tabulate(exact, r=1..5, n=[9])
/// Its cost hides in a call.
fn difference(r) { exact(r)[0, 0] - table(r)[0, 0] }
study s {
  let level = mean([row.x for row in data])
  let d = difference(level)
  check d < 1
  check exact(level)[0, 0] > 1
}
";

/// Status and reasons of a task.
fn task<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events
        .iter()
        .find(|e| e["kind"] == "task" && e["path"] == name)
        .unwrap_or_else(|| panic!("no task {name}: {events:?}"))
}

fn status(events: &[Value], name: &str) -> (String, String) {
    let t = task(events, name);
    (
        t["status"].as_str().unwrap().into(),
        t["reasons"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect::<Vec<_>>().join("; "),
    )
}

struct Trial {
    folder: Folder,
}

impl Trial {
    fn run(&self, more: &[&str]) {
        let o = mslc([&["run", self.program(), "--out", self.out()], more].concat());
        assert_eq!(code(&o), 0, "{}", err(&o));
    }

    fn plan(&self, more: &[&str]) -> Vec<Value> {
        let o = mslc([&["plan", "--json", self.program(), "--out", self.out()], more].concat());
        assert_eq!(code(&o), 0, "{}", err(&o));
        json(&o)
    }

    fn program(&self) -> &str {
        path(Box::leak(self.folder.0.join("p.msl").into_boxed_path()))
    }

    fn out(&self) -> &str {
        path(Box::leak(self.folder.0.join("out").into_boxed_path()))
    }

    fn edit(&self, from: &str, to: &str) {
        assert!(PROGRAM.contains(from), "{from}");
        self.folder.file("p.msl", PROGRAM.replace(from, to));
    }
}

#[test]
fn every_rerun_has_its_reason() {
    let folder = Folder::new("plan");
    folder.file("p.msl", PROGRAM);
    folder.file("d.csv", "x,y\n1.5,0\n2.5,0\n");
    let t = Trial { folder };

    let first = t.plan(&[]);
    assert_eq!(status(&first, "table"), ("run".into(), "never ran".into()));
    // Nine nodes and eight places between them where the table is compared, two load cases each.
    let solves = &task(&first, "table")["solves"][0];
    assert_eq!((solves["system"].as_str(), solves["times"].as_u64()), (Some("Cell.corrector"), Some(2 * (9 + 8))));
    assert_eq!(task(&first, "s/d")["task"], "solve", "a call that solves is a solve");
    let system = first.iter().find(|e| e["kind"] == "system").unwrap();
    assert_eq!((&system["linear"], &system["symmetric"]), (&true.into(), &true.into()), "{system}");
    assert!(!Path::new(t.out()).exists(), "a plan writes nothing");

    t.run(&[]);
    let again = t.plan(&[]);
    for name in ["table", "s/d"] {
        assert_eq!(status(&again, name), ("cached".into(), String::new()), "{name}");
        assert!(task(&again, name)["last_seconds"].as_f64().unwrap() > 0.0);
    }

    // Names, comments and white space are no changes.
    t.edit("fn contrast(r) { 10*r }", "// ten\nfn   contrast(q) { 10 * q }");
    assert_eq!(status(&t.plan(&[]), "table").0, "cached");
    t.edit("10*r", "20*r");
    let changed = t.plan(&[]);
    assert_eq!(status(&changed, "table"), ("run".into(), "`contrast` changed".into()));
    assert!(status(&changed, "s/d").1.contains("`table`, which runs"), "{:?}", status(&changed, "s/d"));
    t.edit("n=[9]", "n=[10]");
    let wider = t.plan(&[]);
    assert_eq!(status(&wider, "table"), ("run".into(), "its statement changed".into()));
    assert_eq!(status(&wider, "s/d"), ("run".into(), "it needs `table`, which runs".into()));
    t.folder.file("p.msl", PROGRAM);

    assert_eq!(status(&t.plan(&["--set", "n=32"]), "table"), ("run".into(), "param `n` changed".into()));
    let other = t.plan(&["--backend", "candle"]);
    assert_eq!(status(&other, "table"), ("run".into(), "backend changed from native to candle".into()));

    t.folder.file("d.csv", "x,y\n1.5,0\n3.5,0\n");
    let data = t.plan(&[]);
    assert_eq!(status(&data, "table").0, "cached");
    assert_eq!(status(&data, "s/d"), ("run".into(), "the file d.csv changed".into()));
    t.folder.file("d.csv", "x,y\n1.5,0\n2.5,0\n");

    std::fs::remove_dir_all(Path::new(t.out()).join("cache/tasks")).unwrap();
    assert_eq!(status(&t.plan(&[]), "table"), ("run".into(), "its result is no longer in the cache".into()));
}

#[test]
fn people_read_what_was_inferred_and_what_it_will_take() {
    let f = Folder::new("planned");
    let text = "let Ω = rect(0..2, 0..1)
system Heat(q) {
  unknown T: Field(Ω)
  eq energy: -∇·(∇T) = q
  on Ω.left: T = 0
}
study s { check mean(solve(Heat(1), fem(order=1, n=64)).T) > 0 }
";
    let o = mslc(["plan", path(&f.file("p.msl", text)), "--out", path(&f.0.join("out"))]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    for words in
        ["no flux of Heat.T through Ω.", "Heat.energy: ", "linear, symmetric positive: ", "1 × Heat", "never ran"]
    {
        assert!(out(&o).contains(words), "`{words}` is not in\n{}", out(&o));
    }
    assert!(!out(&o).contains('\u{1b}'));
}
