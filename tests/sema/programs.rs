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

/// What has no value is not meant where a coordinate can be.
#[test]
fn a_study_or_a_scale_hides_no_coordinate() {
    let text = |name: &str, kind: &str| {
        format!(
            "let D = interval(0..1)
system S() {{
  unknown u: Field(D)
  eq e: ∂t(u) = ∇²u + {name}
  init u = x
}}
{kind}
"
        )
    };
    for (name, kind) in [("t", "study t { check 1 > 0 }"), ("x", "scale x { length: 1..2 }")] {
        let (program, diagnostics) = analyse_text(&text(name, kind));
        let errors: Vec<_> = diagnostics.into_iter().filter(|d| d.is_error()).collect();
        assert!(errors.is_empty(), "{kind}:\n{}", messages(&program, &errors));
    }
    // A value does.
    let (program, diagnostics) = analyse_text(&text("t", "let t = 3 [m]"));
    let told = messages(&program, &diagnostics);
    assert!(told.contains("units"), "{told}");
}
