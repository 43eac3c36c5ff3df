//! From the place where the grammar gave up to a sentence for people: what stands before it, what stands there, and what
//! could. Rule names never reach a reader.

use super::grammar::Rule;
use super::layout::{ITEM_KEYWORDS, STATEMENT_KEYWORDS, is_keyword};
use super::lex::{Kind, Token, starts_name};
use crate::base::{Diagnostic, FileId, Span};
use pest::error::{Error, ErrorVariant};

pub(super) struct Reader<'t> {
    pub file: FileId,
    pub text: &'t str,
    /// Without comments.
    pub tokens: &'t [Token],
}

/// What stands around the place of an error.
struct Scene<'t> {
    /// The token before, if any.
    prev: Option<usize>,
    /// The token there; none at the end of the item.
    next: Option<usize>,
    /// What the grammar could have gone on with.
    expected: &'t [Rule],
    /// Keyword of the item.
    item: &'t str,
}

impl<'t> Reader<'t> {
    /// Of text that is no item, from a token on.
    pub fn no_item(&self, i: usize) -> Diagnostic {
        let word = self.word(i);
        let diagnostic =
            |code| Diagnostic::error(code, self.span(i), format!("{} does not begin an item", self.quote(i)));
        if STATEMENT_KEYWORDS.contains(&word) || self.tokens[i].kind == Kind::Word && self.word(i + 1) == "(" {
            diagnostic("syntax.statement").help(home_of(word))
        } else if self.tokens[i].kind == Kind::Doc {
            self.stray_doc(i)
        } else if self.tokens[i].kind == Kind::Word && matches!(self.word(i + 1), "=" | ":") {
            diagnostic("syntax.item").help(format!("a definition begins with `let`: `let {word} = ...`"))
        } else {
            diagnostic("syntax.item").help(format!("an item begins with {}", one_of(ITEM_KEYWORDS)))
        }
    }

    /// Of an item, led by the keyword `item`, that the grammar refused at byte `at`.
    pub fn message(&self, error: &Error<Rule>, at: usize, item: &str) -> Diagnostic {
        let ErrorVariant::ParsingError { positives, .. } = &error.variant else {
            let span = Span::new(self.file, at, at);
            return Diagnostic::error("syntax.nesting", span, "this text takes too long to read")
                .help("split it into several items");
        };
        let next = self.tokens.partition_point(|t| t.end <= at);
        let scene = Scene {
            prev: next.checked_sub(1),
            next: (next < self.tokens.len()).then_some(next),
            expected: positives,
            item,
        };
        self.number(&scene)
            .or_else(|| self.unit(&scene))
            .or_else(|| self.keyword_as_name(&scene))
            .or_else(|| self.doc(&scene))
            .or_else(|| self.operand(&scene))
            .or_else(|| self.after_expression(&scene))
            .unwrap_or_else(|| self.plain(&scene))
    }

    fn word(&self, i: usize) -> &'t str {
        self.tokens.get(i).map_or("", |t| t.text(self.text))
    }

    fn kind(&self, i: usize) -> Option<Kind> {
        self.tokens.get(i).map(|t| t.kind)
    }

    fn span(&self, i: usize) -> Span {
        let t = &self.tokens[i];
        Span::new(self.file, t.start, t.end)
    }

    fn first_on_line(&self, i: usize) -> bool {
        i == 0 || self.text[self.tokens[i - 1].end..self.tokens[i].start].contains(['\n', '\r'])
    }

    /// A token in a sentence; long ones are cut.
    fn quote(&self, i: usize) -> String {
        let text = self.word(i);
        let mut short: String = text.chars().take(24).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        if is_keyword(text) { format!("the keyword `{short}`") } else { format!("`{short}`") }
    }

    /// Where a missing part belongs: at the token that stands there or, where the line ended, after the one before.
    fn place(&self, scene: &Scene) -> Span {
        match (scene.prev, scene.next) {
            (Some(prev), Some(next)) if self.first_on_line(next) => self.after(prev),
            (_, Some(next)) => self.span(next),
            (Some(prev), None) => self.after(prev),
            (None, None) => Span::new(self.file, 0, 0),
        }
    }

    /// The last character of a token.
    fn after(&self, i: usize) -> Span {
        let t = &self.tokens[i];
        let last = t.text(self.text).chars().next_back().map_or(0, char::len_utf8);
        Span::new(self.file, t.end - last, t.end)
    }

    fn found(&self, scene: &Scene) -> String {
        match (scene.prev, scene.next) {
            (Some(prev), Some(next)) if self.first_on_line(next) => format!(" after `{}`", self.word(prev)),
            (_, Some(next)) => format!(", found {}", self.quote(next)),
            (Some(prev), None) => format!(" after `{}`", self.word(prev)),
            (None, None) => String::new(),
        }
    }

    /// `.5`, `1.`, `2x`
    fn number(&self, scene: &Scene) -> Option<Diagnostic> {
        let next = scene.next?;
        let touches = |i: usize| self.tokens.get(i + 1).is_some_and(|t| t.start == self.tokens[i].end);
        let two = |i: usize| self.span(i).to(self.span(i + 1));
        let error = |span, message: String| Diagnostic::error("syntax.number", span, message);
        if self.kind(next) == Some(Kind::Number) && touches(next) && self.kind(next + 1) == Some(Kind::Word) {
            let (n, name) = (self.word(next), self.word(next + 1));
            let message = format!("`{n}{name}` is neither a number nor a name");
            return Some(error(two(next), message).help(format!("write `{n}*{name}`, or `{n} [{name}]` for a unit")));
        }
        if self.word(next) == "." && touches(next) && self.kind(next + 1) == Some(Kind::Number) {
            let digits = self.word(next + 1);
            return Some(
                error(two(next), format!("`.{digits}` lacks a digit before the point"))
                    .help(format!("write `0.{digits}`")),
            );
        }
        let prev = scene.prev?;
        if self.word(next) == "." && touches(prev) && self.kind(prev) == Some(Kind::Number) {
            let digits = self.word(prev);
            let message = format!("`{digits}.` lacks a digit after the point");
            return Some(error(two(prev), message).help(format!("write `{digits}.0` or `{digits}`")));
        }
        None
    }

    /// Inside `[...]` of a unit.
    fn unit(&self, scene: &Scene) -> Option<Diagnostic> {
        const INSIDE: &[Rule] = {
            use Rule::*;
            &[unit_over, unit_times, unit_end, unit_pow, unit_name, unit_one, unit_fac, unit_prod, unit_frac]
        };
        let expects = |rules: &[Rule]| scene.expected.iter().any(|r| rules.contains(r));
        if !expects(INSIDE) || expects(&[Rule::operand, Rule::expr, Rule::ident]) {
            return None;
        }
        let next = scene.next?;
        let message = format!("{} does not belong in a unit", self.quote(next));
        let diagnostic = Diagnostic::error("syntax.unit", self.span(next), message);
        Some(match self.kind(next) {
            Some(Kind::Number) => diagnostic.help("an exponent is written `m^2` or `m²`"),
            Some(Kind::Word) if self.word(next).ends_with(|c: char| c.is_ascii_digit()) => {
                diagnostic.help("an exponent is written `m^2` or `m²`")
            }
            Some(Kind::Word) => diagnostic.help("units are multiplied with `*`: `[kg*m]`"),
            _ if self.word(next) == "," => {
                diagnostic.help("brackets after a number hold its unit; a number cannot be indexed")
            }
            _ => diagnostic.help("a unit is written like `[W/m²/K]` or `[kg*m^-1]`"),
        })
    }

    fn keyword_as_name(&self, scene: &Scene) -> Option<Diagnostic> {
        let names = scene.expected.contains(&Rule::ident) && !scene.expected.contains(&Rule::operand);
        // A parameter may be called like a keyword where its default follows.
        let at = match (scene.prev, scene.next) {
            (Some(prev), _) if scene.expected == [Rule::eq_sign] => prev,
            (_, Some(next)) if names && !self.first_on_line(next) => next,
            _ => return None,
        };
        let word = self.word(at);
        is_keyword(word).then(|| {
            Diagnostic::error("syntax.keyword", self.span(at), format!("`{word}` is a keyword and cannot be a name"))
                .help(format!("choose another name, such as `{word}_` or `{word}1`"))
        })
    }

    fn doc(&self, scene: &Scene) -> Option<Diagnostic> {
        let next = scene.next.filter(|&i| self.kind(i) == Some(Kind::Doc))?;
        Some(self.stray_doc(next))
    }

    fn stray_doc(&self, i: usize) -> Diagnostic {
        Diagnostic::error("syntax.doc", self.span(i), "this doc comment documents nothing")
            .help("put it before an item or statement, or write it with two slashes")
    }

    /// An expression is missing.
    fn operand(&self, scene: &Scene) -> Option<Diagnostic> {
        let missing = scene.expected.contains(&Rule::operand) || scene.expected.contains(&Rule::expr);
        if !missing || scene.expected.contains(&Rule::add) {
            return None;
        }
        let (prev, next) = (scene.prev, scene.next.map_or("", |i| self.word(i)));
        let after = prev.map_or(String::new(), |i| format!(" after `{}`", self.word(i)));
        let mut message = format!("expected an expression{after}");
        if let Some(i) = scene.next.filter(|&i| !self.first_on_line(i)) {
            message.push_str(&format!(", found {}", self.quote(i)));
        }
        let diagnostic = Diagnostic::error("syntax.expected", self.place(scene), message);
        let prev = prev.map_or("", |i| self.word(i));
        Some(match (prev, next) {
            ("*", "*") => diagnostic.help("a power is written `x^2` or `x²`"),
            ("=", "=") | ("=", "==") => diagnostic.help("a definition has one `=`"),
            ("{", "}") => diagnostic.help("a body in braces ends with its result"),
            (_, "+") => diagnostic.help("there is no unary plus"),
            (_, "%") => diagnostic.help("a remainder is written `mod(a, b)`, per cent as `5 [%]`"),
            _ => diagnostic,
        })
    }

    /// A whole expression stands before the place and cannot go on like this.
    fn after_expression(&self, scene: &Scene) -> Option<Diagnostic> {
        if !scene.expected.contains(&Rule::add) {
            return None;
        }
        let next = scene.next?;
        let word = self.word(next);
        let prev = scene.prev.map_or("", |i| self.word(i));
        let signs = signs(scene.expected);
        let statement = STATEMENT_KEYWORDS.contains(&word) || ITEM_KEYWORDS.contains(&word);
        let needs_equals = signs == ["`=`"];
        if statement && !needs_equals {
            let message = format!("`{word}` does not belong in this {}", scene.item);
            return Some(Diagnostic::error("syntax.statement", self.span(next), message).help(home_of(word)));
        }
        let value = self.tokens[next].kind == Kind::Word
            || matches!(self.kind(next), Some(Kind::Number | Kind::Str | Kind::Open));
        let mut wanted: Vec<&str> = vec!["an operator"];
        wanted.extend(signs.iter().copied());
        if needs_equals {
            let message = format!("this equation lacks its `=` after `{prev}`");
            return Some(
                Diagnostic::error("syntax.expected", self.place(scene), message)
                    .help("an equation is written `left = right`; `==` compares two values"),
            );
        }
        if word == "}" && !signs.contains(&"`}`") {
            let message = "this body ends without a result";
            return Some(
                Diagnostic::error("syntax.expected", self.span(next), message)
                    .help("the last part of a body in braces is an expression, its result"),
            );
        }
        let message = format!("expected {}{}", join(&wanted), self.found(scene));
        let diagnostic = Diagnostic::error("syntax.expected", self.place(scene), message);
        Some(match word {
            "=" => diagnostic.help("`==` compares two values, `=` defines a name or states an equation"),
            ":" => diagnostic.help("a range is written `a..b`, a double contraction `A::B`"),
            "%" => diagnostic.help("a remainder is written `mod(a, b)`, per cent as `5 [%]`"),
            "(" | "[" if self.first_on_line(next) => {
                diagnostic.help("a call or an index begins on the line of what it belongs to")
            }
            "[" => diagnostic.help("only a name or a call can be indexed; after a number or a list stands its unit"),
            _ if value && !self.first_on_line(next) => {
                diagnostic.help(format!("there is no multiplication without a sign: `{prev}*{word}`"))
            }
            _ => diagnostic,
        })
    }

    fn plain(&self, scene: &Scene) -> Diagnostic {
        let mut wanted: Vec<&str> = vec![];
        for rule in scene.expected {
            if let Some(prose) = prose(*rule)
                && !wanted.contains(&prose)
            {
                wanted.push(prose);
            }
        }
        if wanted.len() > 1 {
            // A unit may follow any number: no news.
            wanted.retain(|w| *w != "a unit");
        }
        wanted.sort_by_key(|w| w.starts_with('`'));
        let next = scene.next.map_or("", |i| self.word(i));
        if wanted.contains(&"a statement") && scene.next.is_some() {
            let i = scene.next.unwrap_or(0);
            let message = format!("{} does not begin a statement of a {}", self.quote(i), scene.item);
            let diagnostic = Diagnostic::error("syntax.statement", self.span(i), message);
            return match STATEMENT_KEYWORDS.contains(&next) {
                true => diagnostic.help(home_of(next)),
                false => diagnostic.help(statements_of(scene.item)),
            };
        }
        if wanted.is_empty() {
            wanted.push("something else");
        }
        let message = format!("expected {}{}", join(&wanted), self.found(scene));
        let diagnostic = Diagnostic::error("syntax.expected", self.place(scene), message);
        match (scene.item, next) {
            ("fn", "=") => diagnostic.help("the body of a function stands in braces: `fn f(x) { x^2 }`"),
            (_, "==") => diagnostic.help("a definition has one `=`; `==` compares two values"),
            ("net" | "closure", _) if wanted.contains(&"`->`") => diagnostic.help("its result has a type: `-> Vec(m)`"),
            (_, "=") if wanted.contains(&"`:`") => diagnostic.help("its type comes first: `name: Field(Ω)[K]`"),
            (_, c) if wanted.contains(&"a name") && c.starts_with(|c: char| c.is_ascii_digit()) => {
                diagnostic.help("a name begins with a letter")
            }
            (_, c) if wanted == ["a name"] && !c.starts_with(starts_name) => {
                diagnostic.help("every definition has a name")
            }
            _ => diagnostic,
        }
    }
}

/// Where a statement belongs.
fn home_of(word: &str) -> String {
    let home = match word {
        "unknown" | "eq" | "weak" | "on" | "init" | "include" => "a `system`",
        "over" | "loss" | "subject" | "stage" => "a `minimize`",
        "ensure" => "a `system` or the braces of a `closure`",
        "weight" | "next" => "the body of a function, before its result",
        "check" | "for" => "a `study`",
        _ if ITEM_KEYWORDS.contains(&word) && !matches!(word, "let" | "dataset") => {
            "the file itself, outside all braces"
        }
        "let" | "dataset" => "a body before its result, or the file itself",
        _ => return "calls that have effects, such as `plot(...)`, stand in a `study`".into(),
    };
    format!("`{word}` stands in {home}")
}

fn statements_of(item: &str) -> String {
    let list: &[&str] = match item {
        "system" => &["unknown", "include", "let", "eq", "weak", "on", "init"],
        "minimize" => &["over", "let", "loss", "subject", "stage"],
        "study" => return "a study holds `let`, `dataset`, `check`, `for` and calls such as `plot(...)`".into(),
        "dataset" => return "a dataset holds rows: `name ~ law(...)` draws, `name = value` computes".into(),
        _ => return format!("an item begins with {}", one_of(ITEM_KEYWORDS)),
    };
    format!("its statements begin with {}", one_of(list))
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    join(&quoted.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `a`, `a or b`, `a, b or c`
fn join(parts: &[&str]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.to_string(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The signs that could follow an expression; brackets that open a call or an index are no news.
fn signs(expected: &[Rule]) -> Vec<&'static str> {
    let argument = expected.contains(&Rule::comma);
    let said = |p: &&str| p.starts_with('`') && !matches!(*p, "`(`" | "`[`") && !(argument && *p == "`=`");
    let mut signs: Vec<_> = expected.iter().filter_map(|r| prose(*r)).filter(said).collect();
    signs.sort_by_key(|s| *s != "`,`");
    signs
}

/// A rule in words; none for what a reader does not miss (an operator, a bracket that may follow any name).
fn prose(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::ident | Rule::label | Rule::path => "a name",
        Rule::expr | Rule::operand | Rule::equation | Rule::arg => "an expression",
        Rule::ty => "a type",
        Rule::params | Rule::args => "`(`",
        Rule::prm => "a parameter",
        Rule::block => "`{`",
        Rule::unit => "a unit",
        Rule::item | Rule::EOI => return None,
        Rule::system_stmt | Rule::min_stmt | Rule::study_stmt | Rule::row => "a statement",
        Rule::unknown
        | Rule::include
        | Rule::let_
        | Rule::eq
        | Rule::on
        | Rule::init
        | Rule::watch
        | Rule::over
        | Rule::loss => "a statement",
        Rule::ensure => "`ensure`",
        Rule::lparen => "`(`",
        Rule::rparen => "`)`",
        Rule::lbrack => "`[`",
        Rule::rbrack => "`]`",
        Rule::lbrace => "`{`",
        Rule::rbrace => "`}`",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::eq_sign => "`=`",
        Rule::tilde => "`~`",
        Rule::arrow => "`->`",
        Rule::KW_in => "`in`",
        Rule::bounds => "`in`",
        Rule::KW_then => "`then`",
        Rule::KW_else => "`else`",
        _ => return None,
    })
}
