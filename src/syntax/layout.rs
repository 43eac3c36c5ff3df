//! Where items begin, which brackets do not match, and how deep the text nests: found on tokens alone, before the grammar
//! sees anything. A mistake in one item therefore never hides the next, and hostile nesting never reaches a recursion.

use super::lex::{Kind, Token};
use crate::base::{Diagnostic, FileId, Span};

/// How deep brackets, conditionals and prefix operators may nest together.
pub const MAX_NESTING: usize = 256;
/// How many operators one expression may hold in a row: they make a tree as deep.
pub const MAX_CHAIN: usize = 1000;

pub const ITEM_KEYWORDS: &[&str] =
    &["use", "param", "unit", "dim", "let", "fn", "net", "closure", "system", "dataset", "minimize", "study", "scale"];
pub const STATEMENT_KEYWORDS: &[&str] = &[
    "unknown", "include", "let", "eq", "weak", "on", "init", "ensure", "over", "loss", "subject", "stage", "check",
    "for", "dataset", "weight", "next",
];
const OTHER_KEYWORDS: &[&str] = &["in", "state", "if", "then", "else", "and", "or", "not"];

pub fn is_keyword(word: &str) -> bool {
    [ITEM_KEYWORDS, STATEMENT_KEYWORDS, OTHER_KEYWORDS].iter().any(|k| k.contains(&word))
}

/// A stretch of the file that holds one item, its doc comments included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Tokens `first..last` of the list.
    pub first: usize,
    pub last: usize,
    /// The token that is the item's keyword; none for what stands before the first item.
    pub keyword: Option<usize>,
    /// A message about this stretch has been given already.
    pub broken: bool,
    /// It nests too deep to be looked at.
    pub too_deep: bool,
    /// How deep it nests.
    pub depth: usize,
}

pub struct Layout {
    pub pieces: Vec<Piece>,
    pub errors: Vec<Diagnostic>,
}

/// Cut a file into items. `tokens` must hold no comments (doc comments stay).
pub fn layout(file: FileId, text: &str, tokens: &[Token]) -> Layout {
    let view = View { file, text, tokens };
    let mut found = view.cut(Trust::Brackets);
    if !found.errors.is_empty() {
        found = view.cut(Trust::Keywords);
    }
    if found.unclosed {
        found = view.cut(Trust::Lines);
    }
    let mut errors = found.errors;
    errors.extend(tokens.iter().filter_map(|t| view.bad_token(t)));
    let mut pieces = view.pieces(&found.starts);
    for piece in &mut pieces {
        let range = tokens[piece.first].start..tokens[piece.last - 1].end;
        piece.broken = errors.iter().any(|e| range.contains(&(e.span().start as usize)));
        match view.depth(&tokens[piece.first..piece.last]) {
            Ok(depth) => piece.depth = depth,
            Err(error) => {
                (piece.broken, piece.too_deep) = (true, true);
                errors.push(error);
            }
        }
    }
    Layout { pieces, errors }
}

/// What decides where an item begins.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Trust {
    /// Brackets alone.
    Brackets,
    /// A bracket is missing somewhere: also keywords at the start of a line that only an item can have there.
    Keywords,
    /// One still is: also `let`, `fn` and `dataset` at the very start of a line.
    Lines,
}

/// What bracket matching found.
#[derive(Default)]
struct Cut {
    /// Tokens that are the keyword of an item.
    starts: Vec<usize>,
    errors: Vec<Diagnostic>,
    unclosed: bool,
}

struct View<'t> {
    file: FileId,
    text: &'t str,
    tokens: &'t [Token],
}

impl<'t> View<'t> {
    fn word(&self, i: usize) -> &'t str {
        self.tokens.get(i).map_or("", |t| t.text(self.text))
    }

    fn span(&self, i: usize) -> Span {
        Span::new(self.file, self.tokens[i].start, self.tokens[i].end)
    }

    fn first_on_line(&self, i: usize) -> bool {
        i == 0 || self.text[self.tokens[i - 1].end..self.tokens[i].start].contains(['\n', '\r'])
    }

    /// Could an item begin at this token, were no bracket open?
    fn is_item_keyword(&self, i: usize) -> bool {
        let after_value = i > 0
            && match self.tokens[i - 1].kind {
                Kind::Word => !is_keyword(self.word(i - 1)),
                kind => matches!(kind, Kind::Number | Kind::Str | Kind::Close),
            };
        ITEM_KEYWORDS.contains(&self.word(i))
            && (i == 0 || self.word(i - 1) != "." || self.first_on_line(i))
            // `fn (x) { … }` is a function without a name, and in an expression one that needs none.
            && (self.word(i) != "fn" || self.word(i + 1) != "(" || self.first_on_line(i) && after_value)
    }

    /// Must an item begin at this token, although brackets are open? A keyword and a name at the start of a line cannot
    /// stand inside an expression; but `let`, `fn` and `dataset` are statements as well.
    fn must_be_item(&self, i: usize, trust: Trust) -> bool {
        let statement = matches!(self.word(i), "let" | "fn" | "dataset");
        let column_zero = i == 0 || self.text[..self.tokens[i].start].ends_with(['\n', '\r']);
        self.is_item_keyword(i)
            && self.first_on_line(i)
            && self.tokens.get(i + 1).is_some_and(|t| t.kind == Kind::Word)
            && trust >= Trust::Keywords
            && (!statement || trust == Trust::Lines && column_zero)
    }

    fn cut(&self, trust: Trust) -> Cut {
        let mut cut = Cut::default();
        let mut open: Vec<usize> = vec![];
        for (i, token) in self.tokens.iter().enumerate() {
            match token.kind {
                Kind::Open => open.push(i),
                Kind::Close => {
                    let matching = open.iter().rposition(|&o| closes(self.word(o)) == self.word(i));
                    match matching {
                        Some(at) => {
                            for &o in &open[at + 1..] {
                                cut.unclosed = true;
                                cut.errors.push(self.unclosed(o).label(self.span(i), "closed here instead"));
                            }
                            open.truncate(at);
                        }
                        // It is taken to close what is open, in the wrong shape.
                        None => cut.errors.push(self.unopened(i, open.pop())),
                    }
                }
                Kind::Word if open.is_empty() && self.is_item_keyword(i) => cut.starts.push(i),
                Kind::Word if !open.is_empty() && self.must_be_item(i, trust) => {
                    for &o in &open {
                        cut.errors.push(self.unclosed(o).label(self.span(i), "the next item begins here"));
                    }
                    cut.unclosed = true;
                    open.clear();
                    cut.starts.push(i);
                }
                _ => {}
            }
        }
        cut.unclosed |= !open.is_empty();
        cut.errors.extend(open.iter().map(|&o| self.unclosed(o)));
        cut
    }

    fn unclosed(&self, i: usize) -> Diagnostic {
        let (bracket, other) = (self.word(i), closes(self.word(i)));
        Diagnostic::error("syntax.unclosed", self.span(i), format!("this `{bracket}` is never closed"))
            .here(format!("no `{other}` for this one"))
            .help(format!("add the missing `{other}`"))
    }

    fn unopened(&self, i: usize, open: Option<usize>) -> Diagnostic {
        let message = format!("`{}` closes nothing", self.word(i));
        let diagnostic = Diagnostic::error("syntax.unopened", self.span(i), message);
        match open {
            Some(o) => diagnostic.label(self.span(o), "this one is open here").help(format!(
                "close it with `{}`, or delete the `{}`",
                closes(self.word(o)),
                self.word(i)
            )),
            None => diagnostic.help("delete it, or open a bracket before it"),
        }
    }

    fn bad_token(&self, token: &Token) -> Option<Diagnostic> {
        let span = Span::new(self.file, token.start, token.end);
        let quoted = token.text(self.text);
        match token.kind {
            Kind::OpenStr => Some(
                Diagnostic::error("syntax.unclosed", span, "this string is not closed on its line")
                    .here("begins here")
                    .help("end it with `\"`; a string cannot span lines"),
            ),
            Kind::Bad => {
                let c = quoted.chars().next().unwrap_or(' ');
                let name = if c.is_control() || c.is_whitespace() || !c.is_ascii() && !c.is_alphanumeric() {
                    format!("U+{:04X}", c as u32)
                } else {
                    format!("`{c}`")
                };
                let diagnostic = Diagnostic::error("syntax.character", span, format!("{name} means nothing in MSL"));
                Some(match mend(c) {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic.help("delete it"),
                })
            }
            _ => None,
        }
    }

    fn pieces(&self, starts: &[usize]) -> Vec<Piece> {
        let mut pieces = vec![];
        let piece = |first, last, keyword| Piece { first, last, keyword, broken: false, too_deep: false, depth: 0 };
        // The doc comments before a keyword belong to its item.
        let first_of = |k: usize| (0..k).rev().take_while(|&i| self.tokens[i].kind == Kind::Doc).last().unwrap_or(k);
        let begin = starts.first().map_or(self.tokens.len(), |&k| first_of(k));
        if begin > 0 {
            pieces.push(piece(0, begin, None));
        }
        for (n, &k) in starts.iter().enumerate() {
            let end = starts.get(n + 1).map_or(self.tokens.len(), |&next| first_of(next));
            pieces.push(piece(first_of(k), end, Some(k)));
        }
        pieces
    }

    /// How deep a stretch nests. An upper bound: an opening bracket, `if`, a prefix operator and `^` each count one until
    /// their statement, argument or bracket ends. Operands side by side belong to different statements.
    fn depth(&self, tokens: &[Token]) -> Result<usize, Diagnostic> {
        // What each open bracket interrupted; and where the expression that is being read started from.
        let mut levels: Vec<Level> = vec![];
        let (mut base, mut now) = (Level::default(), Level::default());
        let (mut deepest, mut after_operand) = (0, false);
        for token in tokens {
            let word = token.text(self.text);
            let prefix = !after_operand;
            after_operand = false;
            match token.kind {
                Kind::Open => {
                    levels.push(now);
                    now = Level { depth: now.depth + 1, chain: now.chain + 1 };
                    base = now;
                }
                Kind::Close => {
                    now = levels.pop().unwrap_or_default();
                    now.chain += 1;
                    base = levels.last().map_or(Level::default(), |l| Level { depth: l.depth + 1, chain: l.chain + 1 });
                    after_operand = true;
                }
                Kind::Sign if matches!(word, "," | "=" | "~") => now = base,
                Kind::Sign => {
                    now.chain += 1;
                    now.depth += match word {
                        "^" | "√" | "∂" | "∇" | "∇·" | "∇⋅" | "∇×" | "∇²" => 1,
                        "-" if prefix => 1,
                        _ => 0,
                    };
                }
                Kind::Word if matches!(word, "if" | "not") => {
                    now = Level { depth: now.depth + 1, chain: now.chain + 1 }
                }
                Kind::Word if matches!(word, "and" | "or" | "then" | "else" | "for" | "in") => now.chain += 1,
                _ => {
                    if !prefix {
                        now = base;
                    }
                    after_operand = true;
                }
            }
            deepest = deepest.max(now.depth);
            let message = if now.depth > MAX_NESTING {
                format!("this nests more than {MAX_NESTING} deep")
            } else if now.chain > MAX_CHAIN {
                format!("this expression has more than {MAX_CHAIN} operators in a row")
            } else {
                continue;
            };
            let span = Span::new(self.file, token.start, token.end);
            return Err(Diagnostic::error("syntax.nesting", span, message).help("name intermediate results with `let`"));
        }
        Ok(deepest)
    }
}

#[derive(Clone, Copy, Default)]
struct Level {
    depth: usize,
    /// Operators in a row, which make a tree of that height.
    chain: usize,
}

fn closes(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// What is meant by a character of another language or of a word processor.
fn mend(c: char) -> Option<&'static str> {
    Some(match c {
        ';' => "statements need no separator; delete it",
        '!' => "write `not`, or `!=` for unequal",
        '&' => "write `and`",
        '|' => "write `or`, `abs(x)` or `norm(x)`; a pipe is `|>`",
        '#' => "a comment begins with `//`",
        '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»' => {
            "strings stand in straight double quotes: `\"text\"`"
        }
        '−' | '–' | '—' => "minus is the ASCII `-`",
        '÷' => "divide with `/`",
        '∗' | '∙' | '•' => "multiply with `*`, contract with `·`",
        'ᵢ' => "write indices in brackets: `u[i]`",
        '$' | '?' | '\\' => "delete it",
        '\u{A0}' | '\u{2009}' | '\u{202F}' | '\u{3000}' => "replace this space by an ordinary one",
        '\0' => "the file holds a NUL byte; is it a program?",
        _ => return None,
    })
}
