//! Imports go one way: every `use crate::…` of `src` against the table of `ARCHITECTURE.md`.

use std::path::Path;

/// What each room may import, besides itself.
const MAY: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("syntax", &["base"]),
    ("sema", &["base", "syntax"]),
    ("ir", &["base"]),
    ("ad", &["base", "ir"]),
    ("passes", &["base", "ir", "ad"]),
    ("solve", &["base"]),
    ("discretize", &["base", "ir", "ad"]),
    ("integrate", &["base", "ir", "ad"]),
    ("backend", &["base", "ir", "ad", "passes", "solve"]),
    ("data", &["base", "ir"]),
    ("train", &["base", "data", "ir", "solve"]),
    ("lower", &["base", "sema", "ir", "ad", "discretize", "integrate", "data", "train"]),
    ("flow", &["base", "sema"]),
    (
        "exec",
        &["base", "sema", "ir", "ad", "passes", "backend", "data", "train", "lower", "flow", "discretize", "solve"],
    ),
    ("report", &["base", "exec"]),
];

fn visit(folder: &Path, room: &str, allowed: &[&str], wrong: &mut Vec<String>) {
    for path in std::fs::read_dir(folder).expect("src is readable").map(|e| e.expect("an entry").path()) {
        if path.is_dir() {
            visit(&path, room, allowed, wrong);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            // Tests may reach across.
            let code = text.split("#[cfg(test)]").next().unwrap_or("");
            for (at, _) in code.match_indices("crate::") {
                let line_start = code[..at].rfind('\n').map_or(0, |i| i + 1);
                if code[line_start..at].trim_start().starts_with("//") {
                    continue;
                }
                let name: String = code[at + 7..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                if name != room && MAY.iter().any(|(r, _)| *r == name) && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{} imports {name}", path.display()));
                }
            }
        }
    }
}

#[test]
fn imports_go_one_way() {
    let mut wrong = vec![];
    for (room, allowed) in MAY {
        visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room), room, allowed, &mut wrong);
    }
    assert!(wrong.is_empty(), "against ARCHITECTURE.md: {wrong:#?}");
}
