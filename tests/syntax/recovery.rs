//! Every mistake is reported, in words.

use super::parse;
use mslc::syntax::ast::*;

/// Code, text of the primary place, message.
fn errors(text: &str) -> Vec<(&'static str, String, String)> {
    let (_, errors) = parse(text);
    errors
        .iter()
        .map(|e| (e.code, text[e.span().start as usize..e.span().end as usize].to_string(), e.message.clone()))
        .collect()
}

#[track_caller]
fn one(text: &str, code: &str, place: &str, message: &str) {
    let found = errors(text);
    let found: Vec<_> = found.iter().map(|(c, p, m)| (*c, p.as_str(), m.as_str())).collect();
    assert_eq!(found, [(code, place, message)], "{text}");
}

#[test]
fn five_mistakes_are_five_errors() {
    let text = "let a = 1 +\n\
                param b: [m = 2\n\
                fn f(x) = x^2\n\
                let good = 3\n\
                system S(k) {\n  unknown u Field(Ω)\n  eq e: u = 1\n}\n\
                study t {\n  check 1 < 2\n  plot(good good)\n}\n";
    let found = errors(text);
    assert_eq!(found.len(), 5, "{found:#?}");
    let (file, _) = parse(text);
    assert_eq!(file.items.len(), 6);
    let lost: Vec<_> = file.lost.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(lost, ["a", "b", "f", "u"], "{lost:?}");
    let ItemKind::System { body, .. } = &file.items[4].kind else { panic!() };
    assert!(matches!(body[0].kind, SystemStmtKind::Error) && matches!(body[1].kind, SystemStmtKind::Eq { .. }));
}

#[test]
fn messages_are_sentences_about_the_place() {
    one("let a = 1 +\nlet b = 2", "syntax.expected", "+", "expected an expression after `+`");
    one("let a = 2 x", "syntax.expected", "x", "expected an operator, found `x`");
    one("let a = f(x y)", "syntax.expected", "y", "expected an operator, `,` or `)`, found `y`");
    one("let a 3", "syntax.expected", "3", "expected `:` or `=`, found `3`");
    one("let on = 3", "syntax.keyword", "on", "`on` is a keyword and cannot be a name");
    one("let a = .5", "syntax.number", ".5", "`.5` lacks a digit before the point");
    one("let a = 2x", "syntax.number", "2x", "`2x` is neither a number nor a name");
    one("let a = 3 [m2]", "syntax.unit", "m2", "`m2` does not belong in a unit");
    one("let a = 3;", "syntax.character", ";", "`;` means nothing in MSL");
    one("let a = (1 + 2", "syntax.unclosed", "(", "this `(` is never closed");
    one("let a = 1)", "syntax.unopened", ")", "`)` closes nothing");
    one("let a = \"x", "syntax.unclosed", "\"x", "this string is not closed on its line");
    one("let a = a < b < c", "syntax.chain", "<", "comparisons do not chain");
    one("let a = 1 /* x", "syntax.unclosed", "/*", "this comment is never closed");
    one("let a = 1e999", "syntax.number", "1e999", "`1e999` is beyond the range of numbers");
    one("check a < 1", "syntax.statement", "check", "the keyword `check` does not begin an item");
    one("a = 3", "syntax.item", "a", "`a` does not begin an item");
    one("system S() {\n  eq e: a == b\n}", "syntax.expected", "b", "this equation lacks its `=` after `b`");
    one(
        "system S() {\n  check a < b\n}",
        "syntax.statement",
        "check",
        "the keyword `check` does not begin a statement of a system",
    );
    one("let a = 1\n/// nothing", "syntax.doc", "/// nothing", "this doc comment documents nothing");
    one("fn f(x) = x", "syntax.expected", "=", "expected `{` or `->`, found `=`");
    one("fn f(x) { let y = x }", "syntax.expected", "}", "this body ends without a result");
    one("dataset D() {\n  a ~ b c\n  d = 1\n}", "syntax.expected", "c", "expected an operator, found `c`");
}

#[test]
fn an_unclosed_bracket_does_not_hide_the_next_item() {
    let (file, errors) = parse("let a = f(1, 2\nlet b = (3\nsystem S() {\n  eq e: a = b\n}\n");
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0].labels.len(), 2);
    assert_eq!(file.items.len(), 3);
    assert!(matches!(file.items[2].kind, ItemKind::System { .. }));
}

#[test]
fn stray_text_after_an_item_leaves_the_item() {
    let (file, errors) = parse("let a = 3\ncheck a < 2\nlet b = 4");
    assert_eq!(errors.len(), 1);
    assert!(file.items.iter().all(|i| matches!(i.kind, ItemKind::Let(_))), "{file:#?}");
}
