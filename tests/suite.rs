//! The suite: small programs with what the compiler says of them written below the line it is said of.
//!
//! A file `tests/suite/<room>/<topic>.msl` holds sections, each led by `--- name kind ---`:
//! - `check`: every diagnostic of the section must stand in it, and nothing else may. A line
//!   `// error: 12-17 [units.mismatch] words` speaks of columns 12 up to 17 of the last line above that is no such line
//!   (`12-+2:5` ends two lines further down; `12` is a place between characters); its words are the whole message.
//!   `//   help: words` below it is the help.
//! - `fmt`: the text up to a line `====` is laid out as the text after it.
//! - `run`: the program runs beside the files that follow it, each led by a line `==== name`. Lines at the end say what came of
//!   it, in order: `// error: 3:9 [run.data] words`, `// report: n = 10, f = 55`, `// holds: claim`, `// fails: claim`, and
//!   `// exit: 0`, how it ended.
//!
//! `MSLC_BLESS=1 cargo test suite` writes what the compiler says into the files; read the difference before it is committed.

use mslc::base::codes::{self, CODES};
use mslc::base::{Diagnostic, FileId, Fingerprint, Severity, Sources, Span};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const FOLDER: &str = "tests/suite";

/// Codes that begin so concern files, settings, meshes and runs rather than the text of a program: the tests of the command line,
/// the discretisation and the execution show them.
const ELSEWHERE: &[&str] = &["input.", "set.", "discretize.", "run.", "studies.file", "studies.unknown"];

struct Section {
    /// The line `--- name kind ---` as written.
    head: String,
    kind: String,
    /// Without the lines that state expectations.
    text: String,
    /// As written.
    written: String,
}

pub fn blessing() -> bool {
    std::env::var_os("MSLC_BLESS").is_some()
}

/// Every suite file, in order.
fn files() -> Vec<PathBuf> {
    let mut files = vec![];
    for folder in std::fs::read_dir(FOLDER).unwrap().map(|e| e.unwrap().path()) {
        if folder.is_dir() && !folder.ends_with("programs") {
            files.extend(std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()));
        }
    }
    files.sort();
    files
}

fn sections(path: &Path) -> Vec<Section> {
    let mut out: Vec<Section> = vec![];
    for line in std::fs::read_to_string(path).unwrap().split_inclusive('\n') {
        if let Some(inner) = line.trim().strip_prefix("--- ").and_then(|l| l.strip_suffix(" ---")) {
            let kind = inner.rsplit(' ').next().unwrap_or("").to_string();
            out.push(Section { head: line.trim().to_string(), kind, text: String::new(), written: String::new() });
            continue;
        }
        let section = out.last_mut().unwrap_or_else(|| panic!("{}: text before the first section", path.display()));
        section.written.push_str(line);
        if !is_expectation(line) {
            section.text.push_str(line);
        }
    }
    for s in &mut out {
        // The empty line before the next head is no part of the text.
        for text in [&mut s.text, &mut s.written] {
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    out
}

fn is_expectation(line: &str) -> bool {
    let line = line.trim_start();
    let words = ["error", "warning", "advice", "  help", "exit", "holds", "fails", "report"];
    words
        .iter()
        .any(|w| line.strip_prefix("// ").is_some_and(|l| l.strip_prefix(w).is_some_and(|l| l.starts_with(": "))))
}

/// The diagnostics of a program, as the command line would give them.
fn check(text: &str) -> (Sources, FileId, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let root = sources.add("suite.msl", text);
    let (program, found) = mslc::sema::analyse(sources, root, &Default::default());
    (program.sources, root, found)
}

/// A section with the expectations that would hold.
fn blessed(section: &Section) -> String {
    match section.kind.as_str() {
        "check" => {
            let (sources, root, found) = check(&section.text);
            annotated(&section.text, &sources, root, &found)
        }
        "fmt" => {
            let input = section.text.split("====\n").next().unwrap_or("");
            let output = match mslc::syntax::format(FileId(0), input) {
                Ok(output) => output,
                Err(errors) => panic!("{}: {errors:#?}", section.head),
            };
            format!("{input}====\n{output}")
        }
        "run" => {
            let text = section.text.trim_end();
            format!("{text}\n{}", run(&section.head, text))
        }
        kind => panic!("{}: no such kind of section: `{kind}`", section.head),
    }
}

/// What came of a run, a line each.
fn run(head: &str, text: &str) -> String {
    let folder = std::env::temp_dir().join(format!(
        "mslc-suite-{}-{}",
        std::process::id(),
        Fingerprint::of(head.as_bytes()).short()
    ));
    std::fs::create_dir_all(&folder).unwrap();
    let mut parts = text.split("\n==== ");
    std::fs::write(folder.join("program.msl"), format!("{}\n", parts.next().unwrap_or(""))).unwrap();
    for part in parts {
        let (name, content) = part.split_once('\n').unwrap_or((part, ""));
        std::fs::write(folder.join(name), format!("{content}\n")).unwrap();
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mslc"));
    let output = command.args(["run", "program.msl", "--json"]).current_dir(&folder).output().unwrap();
    std::fs::remove_dir_all(&folder).ok();
    let mut out = String::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let e: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{head}: not JSON: {line}"));
        let word = |key: &str| e[key].as_str().unwrap_or("").replace('\n', " ");
        match word("kind").as_str() {
            "diagnostic" => {
                let (line, column) = (&e["start"]["line"], &e["start"]["column"]);
                writeln!(out, "// {}: {line}:{column} [{}] {}", word("severity"), word("code"), word("message"))
                    .unwrap();
            }
            "check" => {
                let verdict = if e["held"] == true { "holds" } else { "fails" };
                writeln!(out, "// {verdict}: {}", word("claim")).unwrap();
            }
            "report" => {
                let entries = serde_json::from_value(e["entries"].clone()).unwrap();
                let row = mslc::exec::outcome::Row { study: String::new(), entries, span: Span::default() };
                writeln!(out, "// report: {}", mslc::report::outcome::in_words(&row)).unwrap();
            }
            _ => {}
        }
    }
    // A panic is the one thing that must never be accepted.
    let code = output.status.code().unwrap_or(-1);
    assert!(code != 101, "{head}: {}", String::from_utf8_lossy(&output.stderr));
    writeln!(out, "// exit: {code}").unwrap();
    out
}

/// The text with each diagnostic below the line it begins on.
fn annotated(text: &str, sources: &Sources, root: FileId, found: &[Diagnostic]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut below: Vec<Vec<String>> = vec![vec![]; lines.len().max(1)];
    for d in found {
        let severity = match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Advice => "advice",
        };
        let (line, place) = place(sources, root, d.span());
        let line = line.min(lines.len()).max(1);
        below[line - 1].push(format!("// {severity}: {place} [{}] {}", d.code, d.message));
        if let Some(help) = &d.help {
            below[line - 1].push(format!("//   help: {}", help.replace('\n', " ")));
        }
    }
    let mut out = String::new();
    for (line, below) in lines.iter().zip(&below) {
        let indent = &line[..line.len() - line.trim_start().len()];
        writeln!(out, "{line}").unwrap();
        for b in below {
            writeln!(out, "{indent}{b}").unwrap();
        }
    }
    out
}

/// Line of the start, and the columns in words.
fn place(sources: &Sources, root: FileId, span: Span) -> (usize, String) {
    if span.file != root {
        return (usize::MAX, sources.get(span.file).name.clone());
    }
    let file = sources.get(root);
    let (line, column) = file.line_column(span.start);
    let (end_line, end_column) = file.line_column(span.end);
    let place = if span.start == span.end {
        format!("{column}")
    } else if line == end_line {
        format!("{column}-{end_column}")
    } else {
        format!("{column}-+{}:{end_column}", end_line - line)
    };
    (line, place)
}

#[test]
fn suite() {
    let mut wrong = String::new();
    for path in files() {
        let sections = sections(&path);
        let names: BTreeSet<&str> = sections.iter().map(|s| s.head.as_str()).collect();
        assert_eq!(names.len(), sections.len(), "{}: two sections have one name", path.display());
        let mut whole = String::new();
        for s in &sections {
            let holds = blessed(s);
            if holds != s.written && !blessing() {
                writeln!(wrong, "{} {}\n{}", path.display(), s.head, difference(&s.written, &holds)).unwrap();
            }
            writeln!(whole, "{}\n{holds}", s.head).unwrap();
        }
        if blessing() {
            whole.truncate(whole.trim_end().len());
            whole.push('\n');
            std::fs::write(&path, whole).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}\nMSLC_BLESS=1 accepts what the compiler says now");
}

/// The lines that only one of two texts has.
fn difference(written: &str, holds: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (written.lines().collect(), holds.lines().collect());
    let lost = a.iter().filter(|l| !b.contains(l)).map(|l| format!("  expected  {l}\n"));
    let new = b.iter().filter(|l| !a.contains(l)).map(|l| format!("  found     {l}\n"));
    lost.chain(new).collect()
}

#[test]
fn every_code_is_shown_by_a_section() {
    let shown: String = files().iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let missing: Vec<&str> = CODES
        .iter()
        .map(|c| c.id)
        .filter(|id| !ELSEWHERE.iter().any(|e| id.starts_with(e)))
        .filter(|id| !shown.contains(&format!("[{id}]")))
        .collect();
    assert!(missing.is_empty(), "no section of the suite shows {missing:?}");
}

#[test]
fn every_code_that_the_compiler_gives_is_in_the_table() {
    let mut unknown = BTreeSet::new();
    for (path, text) in sources_below("src") {
        // Tests may make codes up.
        let text = text.split("#[cfg(test)]").next().unwrap_or("");
        // A code is the first argument of a constructor of messages.
        for constructor in ["::error(", "::warning(", "::advice("] {
            for (at, _) in text.match_indices(constructor) {
                let argument = text[at + constructor.len()..].trim_start();
                let Some(code) = argument.strip_prefix('"').and_then(|a| a.split('"').next()) else { continue };
                let of_a_subject =
                    codes::SUBJECTS.iter().any(|(s, _, _)| code.strip_prefix(s).is_some_and(|r| r.starts_with('.')));
                if of_a_subject && codes::find(code).is_none() {
                    unknown.insert(format!("{code} in {}", path.display()));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "not in `base::codes`: {unknown:#?}");
}

fn sources_below(folder: impl AsRef<Path>) -> Vec<(PathBuf, String)> {
    let mut out = vec![];
    for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        if path.is_dir() {
            out.extend(sources_below(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            out.push((path, text));
        }
    }
    out
}
