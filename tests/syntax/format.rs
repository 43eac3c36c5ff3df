//! The formatter: idempotent, true to the tree, and it keeps every comment.

use super::random::Writer;
use super::{good, parse, programs};
use mslc::base::FileId;
use mslc::syntax::ast::File;

#[track_caller]
fn format(text: &str) -> String {
    mslc::syntax::format(FileId(0), text).unwrap_or_else(|e| panic!("{text}\n{e:#?}"))
}

/// A tree in words, without its spans.
fn tree(file: &File) -> String {
    let text = format!("{:?}", file.items);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("span: Span {") {
        out.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find('}').unwrap() + 1..];
    }
    out + rest
}

#[test]
fn goal_programs_are_laid_out_as_written() {
    for (name, text) in programs() {
        let formatted = format(&text);
        if formatted != text {
            let line = formatted.lines().zip(text.lines()).position(|(a, b)| a != b).unwrap_or(0);
            panic!(
                "{name}:{}\n  written   {}\n  formatted {}",
                line + 1,
                text.lines().nth(line).unwrap_or(""),
                formatted.lines().nth(line).unwrap_or("")
            );
        }
    }
}

/// The words of comments, which survive however a comment is indented.
fn missing<'c>(comments: &'c [String], text: &str) -> Option<&'c String> {
    let mut at = 0;
    comments.iter().find(|c| match text[at..].find(c.as_str()) {
        Some(found) => {
            at += found + c.len();
            false
        }
        None => true,
    })
}

/// What the formatter does wrong with a text, if anything.
fn fault(w: &Writer) -> Option<String> {
    let (file, errors) = parse(&w.text);
    if !errors.is_empty() {
        return Some(format!("does not parse: {errors:#?}"));
    }
    let once = format(&w.text);
    if let Some(comment) = missing(&w.comments, &once) {
        return Some(format!("lost {comment}\n{once}"));
    }
    let (again, errors) = parse(&once);
    if !errors.is_empty() {
        return Some(format!("no longer parses\n{once}\n{errors:#?}"));
    }
    if tree(&again) != tree(&file) {
        return Some(format!("another tree\n{once}"));
    }
    let twice = format(&once);
    let (a, b): (Vec<_>, Vec<_>) = (once.lines().collect(), twice.lines().collect());
    let at = (0..a.len().max(b.len())).find(|&i| a.get(i) != b.get(i));
    let near = |l: &[&str], i: usize| l[i.saturating_sub(4).min(l.len())..(i + 4).min(l.len())].join("\n");
    at.map(|i| format!("not idempotent\n{}\n----\n{}", near(&a, i), near(&b, i)))
}

#[test]
fn random_programs_keep_their_tree_and_their_comments() {
    let programs = (1..400).map(|seed| Writer::program(seed, [0, 30, 6][seed as usize % 3]));
    let faults: Vec<_> = programs.filter_map(|w| fault(&w).map(|f| (w.text, f))).collect();
    let count = faults.len();
    if let Some((text, fault)) = faults.into_iter().min_by_key(|(text, _)| text.len()) {
        panic!("{count} programs; the shortest:\n{text}\n----\n{fault}");
    }
}

#[test]
fn layout() {
    let cases = [
        ("let  a=1+2 *x", "let a = 1 + 2*x\n"),
        ("let a = b ^ 2 / c · d", "let a = b^2/c·d\n"),
        ("let a = 3[m] .. 4  [ mm ]", "let a = 3 [m]..4 [mm]\n"),
        ("// one\n\n\n\nlet a = 1 // two\n// three\n", "// one\n\nlet a = 1  // two\n// three\n"),
        (
            "system S(a:[m],b:Vec(2)=0){eq e:a==1=b on Ω.left:a=0}",
            "system S(a: [m], b: Vec(2) = 0) { eq e: a == 1 = b on Ω.left: a = 0 }\n",
        ),
        ("fn f(x) {\n\n  let a = 1\n\n\n  a }", "fn f(x) {\n  let a = 1\n\n  a\n}\n"),
        ("study s {}", "study s {}\n"),
        ("study s {\n  // nothing yet\n}", "study s {\n  // nothing yet\n}\n"),
        ("let a = f(x, // why\n y)", "let a = f(\n  x,  // why\n  y,\n)\n"),
        ("", ""),
        ("\u{FEFF}\r\nlet a = 1\r\n\r\nlet b = 2\r\n", "let a = 1\n\nlet b = 2\n"),
    ];
    for (text, wanted) in cases {
        assert_eq!(format(text), wanted, "{text}");
    }
}

#[test]
fn long_lines_break_at_brackets_and_sums() {
    let text = format!("let a = {} + f({})\n", ["some_long_name"; 5].join(" + "), ["another_argument"; 7].join(", "));
    let once = format(&text);
    assert!(once.lines().all(|l| l.chars().count() <= 100), "{once}");
    assert_eq!(tree(&good(&once)), tree(&good(&text)));
}

#[test]
fn texts_with_mistakes_are_left_alone() {
    assert_eq!(mslc::syntax::format(FileId(0), "let a = ").unwrap_err()[0].code, "syntax.expected");
}
