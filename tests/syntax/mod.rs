//! The text: parsing, recovery, formatting.

mod format;
mod hostile;
pub mod random;
mod recovery;
mod tree;

use mslc::base::{Diagnostic, FileId};
use mslc::syntax::ast::File;

/// The five goal programs and the standard library's snippets, with their names.
pub fn programs() -> Vec<(String, String)> {
    let mut out: Vec<_> = std::fs::read_dir("tests/suite/programs")
        .expect("the programs stand in the repository")
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    out.sort();
    assert!(out.len() >= 6);
    out
}

pub fn parse(text: &str) -> (File, Vec<Diagnostic>) {
    mslc::syntax::parse(FileId(0), text)
}

/// The tree of a text without mistakes.
pub fn good(text: &str) -> File {
    let (file, errors) = parse(text);
    assert!(errors.is_empty(), "{text}\n{errors:#?}");
    file
}
