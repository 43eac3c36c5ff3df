//! The goal programs and the standard library resolve and type-check.

use super::{analyse_text, messages};
use crate::syntax::programs;

#[test]
fn goal_programs_are_sound() {
    for (name, text) in programs() {
        if name == "std_snippets.msl" {
            continue;
        }
        let (program, diagnostics) = analyse_text(&text);
        let errors: Vec<_> = diagnostics.into_iter().filter(|d| d.is_error()).collect();
        assert!(errors.is_empty(), "{name}:\n{}", messages(&program, &errors));
    }
}

#[test]
fn the_standard_library_is_sound() {
    let mut sources = mslc::base::Sources::default();
    let root = sources.add("main.msl", "");
    let options = mslc::sema::Options { library: true, ..Default::default() };
    let (program, diagnostics) = mslc::sema::analyse(sources, root, &options);
    assert!(diagnostics.is_empty(), "{}", messages(&program, &diagnostics));
}
