//! What the parser builds.

use super::{good, programs};
use mslc::syntax::ast::*;

/// An expression with all brackets written, operators in words where their sign is ambiguous.
fn show(e: &Expr) -> String {
    use ExprKind::*;
    match &e.kind {
        Number { text, unit, .. } => format!("{text}{}", if unit.is_some() { "[]" } else { "" }),
        Name(n) => n.name.clone(),
        Unary { op, arg } => {
            let op = match op {
                UnaryOp::Partial(letters) => format!("∂{letters}"),
                op => format!("{op:?}").to_lowercase(),
            };
            format!("{op}({})", show(arg))
        }
        Binary { op, lhs, rhs } => format!("({} {op:?} {})", show(lhs), show(rhs)),
        Superscript { base, exponent, .. } => format!("({} sup {exponent})", show(base)),
        Transpose(base) => format!("({} t)", show(base)),
        Paren { items, .. } => items.iter().map(show).collect::<Vec<_>>().join(", "),
        Call { callee, args } => {
            format!("{}({})", show(callee), args.iter().map(|a| show(&a.value)).collect::<Vec<_>>().join(", "))
        }
        Index { base, indices } => {
            format!("{}[{}]", show(base), indices.iter().map(show).collect::<Vec<_>>().join(", "))
        }
        Member { base, name } => format!("{}.{}", show(base), name.name),
        If { condition, then, otherwise } => format!("if({}, {}, {})", show(condition), show(then), show(otherwise)),
        List { items, .. } => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Comprehension { body, var, source, .. } => format!("{{{} for {} in {}}}", show(body), var.name, show(source)),
        other => format!("{other:?}"),
    }
}

fn expr(text: &str) -> String {
    let file = good(&format!("let a = {text}"));
    match &file.items[0].kind {
        ItemKind::Let(l) => show(&l.value),
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_programs_parse() {
    for (name, text) in programs() {
        let (file, errors) = super::parse(&text);
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        assert!(file.items.len() > 5);
        assert!(file.items.iter().all(|i| i.kind != ItemKind::Error), "{name}");
    }
}

#[test]
fn precedence_from_loose_to_tight() {
    for (text, tree) in [
        ("a |> f or b", "(a Pipe (f Or b))"),
        ("a or b and c", "(a Or (b And c))"),
        ("not a == b and c", "(not((a Eq b)) And c)"),
        ("a < b + c", "(a Lt (b Add c))"),
        ("0..n - 1", "(0 Range (n Sub 1))"),
        ("a - b - c", "((a Sub b) Sub c)"),
        ("a + C::e", "(a Add (C DoubleDot e))"),
        ("C::2*e", "(C DoubleDot (2 Mul e))"),
        ("a/b*c", "((a Div b) Mul c)"),
        ("k*∇T·∇v", "(k Mul (grad(T) Dot grad(v)))"),
        ("-a·b", "(neg(a) Dot b)"),
        ("-x^2", "neg((x Pow 2))"),
        ("2^-1", "(2 Pow neg(1))"),
        ("2^3^4", "(2 Pow (3 Pow 4))"),
        ("∂x(u)^2", "(∂x(u) Pow 2)"),
        ("∂x(u)²", "(∂x(u) sup 2)"),
        ("-x²", "neg((x sup 2))"),
        ("∇·(k*∇u)", "div((k Mul grad(u)))"),
        ("∇²u + ∇×v", "(lap(u) Add curl(v))"),
        ("∇∇u", "grad(grad(u))"),
        ("√(2/3)*s", "(sqrt((2 Div 3)) Mul s)"),
        ("Aᵀ·b", "((A t) Dot b)"),
        ("m⁻¹", "(m sup -1)"),
        ("a⋅b @ c", "((a Dot b) Dot c)"),
        ("if a then b else c + 1", "if(a, b, (c Add 1))"),
        ("ε[k,k]*δ[i,j]", "(ε[k, k] Mul δ[i, j])"),
        ("solve(s).u[0].v(x)", "solve(s).u[0].v(x)"),
        ("3 [m]^2", "(3[] Pow 2)"),
        ("(0..100) [mm]", "(0 Range 100)"),
        ("mean(f(c) for c in xs)", "mean({f(c) for c in xs})"),
    ] {
        assert_eq!(expr(text), tree, "{text}");
    }
}

#[test]
fn a_call_an_index_and_a_unit_stand_on_the_line_of_what_they_belong_to() {
    let body = |text: &str| match &good(text).items[0].kind {
        ItemKind::Fn { body, .. } => (body.stmts.len(), show(&body.result)),
        other => panic!("{other:?}"),
    };
    assert_eq!(body("fn f(x) {\n let a = x\n (a + 1)\n}"), (1, "(a Add 1)".into()));
    assert_eq!(body("fn f(x) {\n let a = g(x)\n [a, 1]\n}"), (1, "[a, 1]".into()));
    assert_eq!(body("fn f(x) {\n let a = 1\n [x]\n}"), (1, "[x]".into()));
    assert_eq!(expr("a\n .b\n .c(x)"), "a.b.c(x)");
}

#[test]
fn units_are_read_as_written() {
    let file = good("let a = 1 [W/m²/K*s^-1/2·(kg*A)^2]");
    let ItemKind::Let(Let { value: Expr { kind: ExprKind::Number { unit: Some(unit), .. }, .. }, .. }) =
        &file.items[0].kind
    else {
        panic!()
    };
    let parts: Vec<_> = unit.factors.iter().map(|f| (f.divide, f.exponent)).collect();
    assert_eq!(parts, [(false, (1, 1)), (true, (2, 1)), (true, (1, 1)), (false, (-1, 2)), (false, (2, 1))]);
    assert!(matches!(unit.factors[4].base, UnitBase::Group(_)));
}

#[test]
fn keywords_are_names_after_a_dot_and_before_an_equals_sign_in_arguments() {
    assert_eq!(expr("mean2(r.on) + f(in=1, scale=micro)"), "(mean2(r.on) Add f(1, micro))");
}

#[test]
fn spans_are_those_of_the_file() {
    let text = "param a = 1 // one\n\n/// Doc.\nlet Ω = a + 22 // two\n";
    let file = good(text);
    let item = &file.items[1];
    assert_eq!(&text[item.span.start as usize..item.span.end as usize], "/// Doc.\nlet Ω = a + 22");
    assert_eq!(item.doc, ["Doc."]);
    let ItemKind::Let(l) = &item.kind else { panic!() };
    assert_eq!(&text[l.value.span.start as usize..l.value.span.end as usize], "a + 22");
    assert_eq!(&text[l.name.span.start as usize..l.name.span.end as usize], "Ω");
}

#[test]
fn line_ends_byte_order_marks_and_empty_files() {
    assert_eq!(good("").items.len(), 0);
    assert_eq!(good("\u{FEFF}").items.len(), 0);
    assert_eq!(good("\u{FEFF}let a = 1\r\n/// d\r\nlet b = 2\r\n").items[1].doc, ["d"]);
    assert_eq!(good("// only a comment").items.len(), 0);
}

/// Editors colour the keywords of the grammar, no more and no fewer.
#[test]
fn editors_know_the_keywords() {
    let grammar = std::fs::read_to_string("grammar/msl.pest").unwrap();
    let keywords = grammar.split("KW_").skip(1).filter_map(|k| k.split_once(" = @{")).map(|(k, _)| k.to_string());
    // A reference to a keyword's rule is followed by other things than its definition.
    let keywords = keywords.filter(|k| k.chars().all(char::is_alphabetic));
    let keywords: std::collections::BTreeSet<String> = keywords.collect();
    assert!(keywords.len() > 30, "{keywords:?}");
    let textmate = std::fs::read_to_string("editors/vscode/syntaxes/msl.tmLanguage.json").unwrap();
    let vim = std::fs::read_to_string("editors/vim/syntax/msl.vim").unwrap();
    for k in &keywords {
        let text = format!("let {k} = 1");
        assert_eq!(super::parse(&text).1[0].code, "syntax.keyword", "{k}");
        assert!(
            textmate.contains(&format!("|{k}|"))
                || textmate.contains(&format!("({k}|"))
                || textmate.contains(&format!("|{k})")),
            "{k}"
        );
        assert!(vim.split_whitespace().any(|w| w == k), "{k}");
    }
}
