//! No text makes the parser panic, overflow its stack or run without end.

use super::random::Random;
use super::{parse, programs};
use std::time::Instant;

#[track_caller]
fn quick(text: &str) -> Vec<&'static str> {
    let start = Instant::now();
    let (_, errors) = parse(text);
    assert!(start.elapsed().as_secs_f64() < 20.0, "{:?} for {} bytes", start.elapsed(), text.len());
    errors.iter().map(|e| e.code).collect()
}

#[test]
fn nesting_up_to_the_limit_works_and_beyond_is_an_error() {
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("f(", "1", ")"),
        ("if a then (", "1", ") else 2"),
        ("fn(x) { ", "1", " }"),
        ("-", "1", ""),
        ("∇", "u", ""),
    ] {
        let nested = |n: usize| format!("let a = {}{middle}{}", open.repeat(n), close.repeat(n));
        assert_eq!(quick(&nested(120)), [""; 0], "{open}");
        assert_eq!(quick(&nested(300)), ["syntax.nesting"], "{open}");
        assert_eq!(quick(&nested(100_000)), ["syntax.nesting"], "{open}");
    }
    assert_eq!(quick(&format!("let a = {}1{}", "(".repeat(256), ")".repeat(256))), [""; 0]);
    assert_eq!(quick(&format!("let a = {}2", "2^".repeat(100_000))), ["syntax.nesting"]);
    assert_eq!(quick(&format!("let a = 0{}", " + 1".repeat(900))), [""; 0]);
    assert_eq!(quick(&format!("let a = 0{}", " + 1".repeat(100_000))), ["syntax.nesting"]);
    assert_eq!(quick(&format!("let a = {}1{}", "if b then 1 else ".repeat(100_000), "")), ["syntax.nesting"]);
    assert_eq!(quick(&format!("let a = b{}", ".c".repeat(100_000))), ["syntax.nesting"]);
    assert_eq!(quick(&format!("let a = 1 [{}m{}]", "(".repeat(300), ")".repeat(300))), ["syntax.nesting"]);
}

#[test]
fn many_unclosed_brackets_are_quick() {
    for bracket in ["(", "[", "{", ")", "\"\n", "((\n", "∇·"] {
        quick(&format!("let a = {}", bracket.repeat(20_000)));
        quick(&bracket.repeat(20_000));
    }
}

#[test]
fn long_files_and_long_lists_are_not_limited() {
    let list = format!("let a = [{}]", "1.5, ".repeat(20_000));
    assert_eq!(quick(&list), [""; 0]);
    let study = format!("study s {{ {} }}", "plot(a, -b^2) ".repeat(2_000));
    assert_eq!(quick(&study), [""; 0]);
    let rows = format!("dataset d {{ {} }}", "a = if b then c else d ".repeat(2_000));
    assert_eq!(quick(&rows), [""; 0]);
}

#[test]
fn a_hundred_megabyte_line_is_refused_at_once() {
    assert_eq!(quick(&"1".repeat(100 << 20)), ["input.size"]);
}

#[test]
fn odd_bytes_are_clear_errors() {
    assert_eq!(quick("let a = 1\0"), ["syntax.character"]);
    assert_eq!(quick("let a\u{A0}= 1"), ["syntax.character"]);
}

#[test]
fn mutated_programs_never_panic() {
    const SNIPPETS: &[&str] = &[
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "/*",
        "///",
        "//",
        "\n",
        "let ",
        "system ",
        "∇",
        "^",
        "-",
        "..",
        " [m",
        "=",
        ":",
        "for x in ",
        "if ",
        "é",
        "\0",
        "²",
    ];
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for (_, program) in programs() {
        for _ in 0..150 {
            let mut text: Vec<char> = program.chars().collect();
            for _ in 0..1 + random.below(4) {
                let at = random.below(text.len());
                match random.below(3) {
                    0 => drop(text.drain(at..(at + 1 + random.below(8)).min(text.len()))),
                    1 => drop(text.splice(at..at, SNIPPETS[random.below(SNIPPETS.len())].chars())),
                    _ => text.swap(at, random.below(program.chars().count() / 2)),
                }
            }
            let text: String = text.into_iter().collect();
            let (file, errors) = parse(&text);
            for e in &errors {
                let range = e.span().start as usize..e.span().end as usize;
                assert!(text.get(range).is_some(), "{:?} is no place in the text", e.span());
            }
            drop(file);
        }
    }
}
