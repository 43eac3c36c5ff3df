//! What is generated in `docs/`, and what would contradict the compiler. `MSLC_BLESS=1 cargo test documentation` writes it.

use crate::suite::blessing;
use mslc::base::FileId;
use mslc::base::codes;
use mslc::sema::{stdlib, unsupported};
use mslc::syntax::ast::ItemKind;
use std::fmt::Write as _;

const SPECIFICATION: &str = "docs/language.md";

#[test]
fn the_documentation_of_codes_is_generated() {
    let mut text = String::from(
        "# Diagnostics\n\nGenerated from `src/base/codes`; `mslc explain CODE` says the same. `MSLC_BLESS=1 cargo test` writes this file.\n",
    );
    for (_, heading, rows) in codes::SUBJECTS.iter().filter(|(_, _, rows)| !rows.is_empty()) {
        write!(text, "\n## {heading}\n").unwrap();
        for row in *rows {
            write!(text, "\n### `{}`: {}\n\n{}\n", row.id, row.title, row.explanation).unwrap();
        }
    }
    let path = "docs/diagnostics.md";
    if blessing() {
        std::fs::create_dir_all("docs").unwrap();
        std::fs::write(path, &text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == text, "{path} is out of date: MSLC_BLESS=1 cargo test writes it anew");
}

/// Compares the part of the specification between `<!-- name -->` and `<!-- end -->` with what it should be.
#[track_caller]
fn compare_part(name: &str, wanted: &str) {
    let whole = std::fs::read_to_string(SPECIFICATION).unwrap();
    let open = format!("<!-- {name} -->\n");
    let start = whole.find(&open).unwrap_or_else(|| panic!("{SPECIFICATION} has no part `{name}`")) + open.len();
    let end = start + whole[start..].find("<!-- end -->").expect("a part has an end");
    if blessing() {
        std::fs::write(SPECIFICATION, format!("{}{wanted}{}", &whole[..start], &whole[end..])).unwrap();
    } else {
        assert!(
            whole[start..end] == *wanted,
            "part `{name}` of {SPECIFICATION} is out of date: MSLC_BLESS=1 writes it anew"
        );
    }
}

/// One test for both parts: they are in one file, which blessing writes.
#[test]
fn the_generated_parts_of_the_specification_hold() {
    let mut list = String::from("\nForms:\n\n");
    for (code, what) in unsupported::FORMS {
        writeln!(list, "- {what} (`{code}`)").unwrap();
    }
    write!(list, "\nFunctions of the standard library:\n\n").unwrap();
    let names: Vec<String> = unsupported::FUNCTIONS.iter().map(|f| format!("`{f}`")).collect();
    write!(list, "{}\n\n", names.join(" ")).unwrap();
    compare_part("not supported yet", &list);

    let mut library = String::new();
    for (module, text) in stdlib::MODULES {
        let (tree, errors) = mslc::syntax::parse(FileId(0), text);
        assert!(errors.is_empty(), "{module}: {errors:#?}");
        write!(library, "\n### `{module}`\n\n").unwrap();
        let mut undocumented = vec![];
        for item in &tree.items {
            let name = match &item.kind {
                ItemKind::Fn { name, .. } | ItemKind::Net { name, .. } | ItemKind::Unit { name, .. } => name,
                ItemKind::Let(l) => &l.name,
                _ => continue,
            };
            match item.doc.is_empty() {
                true => undocumented.push(format!("`{}`", name.name)),
                false => writeln!(library, "- `{}`: {}", name.name, item.doc.join(" ")).unwrap(),
            }
        }
        if !undocumented.is_empty() {
            writeln!(library, "- also {}", undocumented.join(" ")).unwrap();
        }
    }
    compare_part("standard library", &(library + "\n"));
}

/// Every program text in the specification parses; texts that are only a part of one stand indented, without a fence.
#[test]
fn programs_in_the_specification_parse() {
    let text = std::fs::read_to_string(SPECIFICATION).unwrap();
    let mut count = 0;
    for block in text.split("```msl\n").skip(1) {
        let program = block.split("```").next().unwrap();
        let (_, errors) = mslc::syntax::parse(FileId(0), program);
        assert!(errors.is_empty(), "{program}\n{errors:#?}");
        count += 1;
    }
    assert!(count > 5);
}
