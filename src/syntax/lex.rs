//! Tokens without grammar: enough to see items, brackets and comments in any text whatever. Every byte that is not white
//! space is in exactly one token, and no text is refused.

use std::str::CharIndices;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A name or a keyword.
    Word,
    Number,
    Str,
    /// A string that meets the end of its line.
    OpenStr,
    /// An operator or a separator, of one character or more.
    Sign,
    Open,
    Close,
    /// `// …` or `/* … */`
    Comment,
    /// A `/*` that is never closed.
    OpenComment,
    /// `/// …`
    Doc,
    /// A character that MSL does not know.
    Bad,
}

/// Byte range of the text and what stands there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    pub fn text<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start..self.end]
    }

    /// Does it matter to the grammar?
    pub fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::Comment | Kind::OpenComment)
    }
}

/// All tokens of a text, comments among them.
pub fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, chars: text.char_indices() };
    let mut tokens = Vec::with_capacity(text.len() / 4);
    while let Some(token) = lexer.token() {
        tokens.push(token);
    }
    tokens
}

/// May a name begin with it?
pub fn starts_name(c: char) -> bool {
    c == '_' || c != 'ᵀ' && unicode_ident::is_xid_start(c)
}

/// May a name go on with it?
pub fn continues_name(c: char) -> bool {
    c != '·' && c != 'ᵀ' && unicode_ident::is_xid_continue(c) || ('\u{2080}'..='\u{209C}').contains(&c) || c == '′'
}

/// Signs of several characters, longest first where one begins another.
const LONG_SIGNS: &[&str] = &["|>", "<=", ">=", "==", "!=", "..", "::", "->", "∇·", "∇⋅", "∇×", "∇²"];
const SIGNS: &str = "+-*/^=<>~,.:@%‰√∂∇∫·⋅×⊗≤≥≠°⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᵀ";

struct Lexer<'t> {
    text: &'t str,
    chars: CharIndices<'t>,
}

impl Lexer<'_> {
    fn token(&mut self) -> Option<Token> {
        let (start, c) = self.chars.by_ref().find(|(_, c)| !matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{FEFF}'))?;
        let kind = match c {
            '(' | '[' | '{' => Kind::Open,
            ')' | ']' | '}' => Kind::Close,
            '"' => self.string(),
            '/' if self.rest().starts_with("//") && !self.rest().starts_with("///") => self.line(Kind::Doc),
            '/' if self.rest().starts_with('/') => self.line(Kind::Comment),
            '/' if self.rest().starts_with('*') => self.block_comment(),
            '0'..='9' => self.number(),
            _ if starts_name(c) => {
                self.skip_while(continues_name);
                Kind::Word
            }
            _ => self.sign(start, c),
        };
        Some(Token { kind, start, end: self.offset() })
    }

    fn rest(&self) -> &str {
        self.chars.as_str()
    }

    fn offset(&self) -> usize {
        self.text.len() - self.chars.as_str().len()
    }

    fn skip_while(&mut self, mut keep: impl FnMut(char) -> bool) {
        while let Some(c) = self.chars.as_str().chars().next()
            && keep(c)
        {
            self.chars.next();
        }
    }

    fn skip_bytes(&mut self, bytes: usize) {
        let end = self.offset() + bytes;
        while self.offset() < end {
            self.chars.next();
        }
    }

    fn line(&mut self, kind: Kind) -> Kind {
        self.skip_while(|c| c != '\n' && c != '\r');
        kind
    }

    fn string(&mut self) -> Kind {
        self.skip_while(|c| c != '"' && c != '\n' && c != '\r');
        if self.rest().starts_with('"') {
            self.chars.next();
            Kind::Str
        } else {
            Kind::OpenStr
        }
    }

    fn block_comment(&mut self) -> Kind {
        self.chars.next();
        match self.rest().find("*/") {
            Some(at) => {
                self.skip_bytes(at + 2);
                Kind::Comment
            }
            None => {
                self.skip_bytes(self.rest().len());
                Kind::OpenComment
            }
        }
    }

    /// As the grammar has it: a point only before a digit, so that `0..1` is a range.
    fn number(&mut self) -> Kind {
        let digits = |c: char| c.is_ascii_digit() || c == '_';
        self.skip_while(digits);
        let mut ahead = self.rest().chars();
        if ahead.next() == Some('.') && ahead.next().is_some_and(|c| c.is_ascii_digit()) {
            self.chars.next();
            self.skip_while(digits);
        }
        let mut ahead = self.rest().chars().peekable();
        if matches!(ahead.next(), Some('e' | 'E')) {
            let sign = ahead.next_if(|c| matches!(c, '+' | '-')).is_some();
            if ahead.next().is_some_and(|c| c.is_ascii_digit()) {
                self.skip_bytes(1 + sign as usize);
                self.skip_while(|c| c.is_ascii_digit());
            }
        }
        Kind::Number
    }

    fn sign(&mut self, start: usize, c: char) -> Kind {
        let from = &self.text[start..];
        if let Some(sign) = LONG_SIGNS.iter().find(|s| from.starts_with(**s)) {
            self.skip_bytes(sign.len() - c.len_utf8());
            return Kind::Sign;
        }
        if SIGNS.contains(c) { Kind::Sign } else { Kind::Bad }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        lex(text).iter().map(|t| t.text(text)).collect()
    }

    #[test]
    fn ranges_numbers_and_dots() {
        assert_eq!(
            texts("0..1e-3 a.b 1.5 2.e 10_000"),
            ["0", "..", "1e-3", "a", ".", "b", "1.5", "2", ".", "e", "10_000"]
        );
    }

    #[test]
    fn the_middle_dot_and_the_transpose_end_a_name() {
        assert_eq!(texts("a·bᵀ u₀ x′"), ["a", "·", "b", "ᵀ", "u₀", "x′"]);
    }

    #[test]
    fn comments_docs_and_strings() {
        let kinds: Vec<Kind> = lex("/// d\n//// c\n/* x */ \"s\" \"t\n/* y").iter().map(|t| t.kind).collect();
        use Kind::*;
        assert_eq!(kinds, [Doc, Comment, Comment, Str, OpenStr, OpenComment]);
    }
}
