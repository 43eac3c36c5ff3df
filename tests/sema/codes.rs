//! Every code that the room uses is explained.

use mslc::base::codes;
use std::path::Path;

fn texts(dir: &Path, out: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, out);
        } else {
            *out += &std::fs::read_to_string(path).unwrap();
        }
    }
}

#[test]
fn codes_are_explained() {
    let mut text = String::new();
    texts(Path::new("src/sema"), &mut text);
    let subjects = ["names.", "units.", "shapes.", "pde.", "nets.", "coupling.", "studies.", "unsupported."];
    let mut used = 0;
    for literal in text.split('"').filter(|l| subjects.iter().any(|s| l.starts_with(s)) && !l.contains([' ', '\n'])) {
        used += 1;
        assert!(codes::find(literal).is_some(), "{literal} has no row in base::codes");
    }
    assert!(used > 50);
}
