//! Programs with random edits, word by word: whatever is left of them is refused in words, or planned, and never meets a panic.
//! Planning evaluates as a run does, with numbers in place of what would take long.

use crate::syntax::random::Random;
use mslc::base::Sources;
use mslc::exec::{engine::Engine, plan, store};
use mslc::flow::graph;
use mslc::sema::hir::{DefId, DefKind};
use mslc::sema::{Options, analyse};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What may take the place of a word.
const WORDS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2.5",
    "1e300",
    "0..1",
    "[1, 2]",
    "[]",
    "none",
    "I",
    "ex",
    "I4",
    "true",
    "\"quad\"",
    "x",
    "n",
    "t",
    "Ω",
    "u",
    "mean",
    "solve",
    "Vec",
    "Sym(2)",
    "Stiff",
    "Field(Ω)",
    "[m]",
    "[K]",
    "+",
    "*",
    "·",
    "::",
    "⊗",
    "^",
    "/",
    "∇",
    "∇·",
    "∂t",
    "=",
    "~",
    "fn(a) { a }",
    "if x > 0 then 1 else 2",
    "basis(2)",
    "sample",
    "hooke(1, 0.3)",
    "interval(0..1)",
    "circle(1)",
];

/// Runs of letters and digits, single signs, and white space, apart.
fn words(text: &str) -> Vec<String> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' || c == '.' => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut out: Vec<String> = vec![];
    let mut last = 3;
    for c in text.chars() {
        match (kind(c), out.last_mut()) {
            (k, Some(word)) if k == last && k != 2 => word.push(c),
            (k, _) => {
                out.push(c.to_string());
                last = k;
            }
        }
    }
    out
}

fn edited(text: &str, random: &mut Random) -> String {
    let mut words = words(text);
    for _ in 0..1 + random.below(3) {
        let at = random.below(words.len());
        let other = words[random.below(words.len())].clone();
        match random.below(6) {
            0 => drop(words.remove(at)),
            1 => words[at] = other,
            2 => words.insert(at, format!(" {other} ")),
            3 => words.insert(at, format!(" {} ", WORDS[random.below(WORDS.len())])),
            _ => {
                // A word for a word: most programs stay well-formed.
                let at = (at..words.len()).find(|&i| words[i].chars().all(char::is_alphanumeric)).unwrap_or(at);
                words[at] = WORDS[random.below(WORDS.len())].into();
            }
        }
        if words.is_empty() {
            break;
        }
    }
    words.concat()
}

/// Reads, checks and, where it is sound, plans a program.
fn meet(text: &str, folder: &Path) -> bool {
    let mut sources = Sources::default();
    let root = sources.add("main.msl", text);
    let (program, diagnostics) = analyse(sources, root, &Options::default());
    if diagnostics.iter().any(|d| d.is_error()) {
        return false;
    }
    let studies: Vec<DefId> =
        program.root_defs().filter(|(_, d)| matches!(d.kind, DefKind::Study { .. })).map(|(id, _)| id).collect();
    let tasks = graph::graph(&program, &studies);
    let options = plan::Options {
        engine: Engine { threads: 1, candle: false },
        seed: 0,
        studies: &studies,
        folder: folder.into(),
        name: "main.msl",
        options: Default::default(),
    };
    let store = store::Store::open(folder.join("cache"), Arc::new(mslc::exec::fs::Disk));
    plan::plan(&program, &tasks, store, options);
    true
}

fn sources(folder: &str) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "msl"));
    files.sort();
    files.iter().map(|f| (f.display().to_string(), std::fs::read_to_string(f).unwrap())).collect()
}

fn fuzz(folder: &str, each: usize, seed: u64) {
    let scratch = std::env::temp_dir().join(format!("mslc-fuzz-{seed}-{}", std::process::id()));
    let mut random = Random(seed);
    let mut planned = 0;
    for (name, text) in sources(folder) {
        for _ in 0..each {
            let text = edited(&text, &mut random);
            match catch_unwind(AssertUnwindSafe(|| meet(&text, &scratch))) {
                Ok(sound) => planned += usize::from(sound),
                Err(_) => panic!("an edit of {name} meets a panic:\n{text}"),
            }
        }
    }
    let _ = std::fs::remove_dir_all(scratch);
    println!("{planned} edits were sound");
}

fn rounds(usual: usize) -> usize {
    std::env::var("MSLC_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn edited_goal_programs_are_read_without_a_panic() {
    fuzz("tests/suite/programs", rounds(40), 0x5EED_0001);
}

#[test]
fn edited_small_programs_are_planned_without_a_panic() {
    fuzz("tests/convergence/programs", rounds(12), 0x5EED_0002);
}

#[test]
fn edited_examples_are_read_without_a_panic() {
    fuzz("examples", rounds(8), 0x5EED_0003);
}
