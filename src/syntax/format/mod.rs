//! Programs in the one layout: [`format`](fn@format). Structure comes from the tree, spelling (numbers, units, `·` or `@`)
//! from the text, comments from the tokens. Nothing but white space, trailing commas and the place of comments changes.

mod doc;
mod exprs;
mod items;

use super::ast::File;
use super::lex::{Token, lex};
use super::parse::{on_deep_stack, parse};
use crate::base::{Diagnostic, FileId, Span};
use doc::{Doc, concat};

/// The text in its canonical layout; formatting that again changes nothing.
///
/// # Errors
/// The parser's messages, where the text has mistakes: it is then left alone.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let (tree, errors) = parse(file, text);
    if !errors.is_empty() {
        return Err(errors);
    }
    // Documents are as deep as the tree.
    Ok(on_deep_stack(|| Printer::new(text).file(&tree)))
}

struct Printer<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    comments: Vec<Token>,
    /// The comments before this one are in the document already.
    next_comment: usize,
}

impl<'t> Printer<'t> {
    fn new(text: &'t str) -> Printer<'t> {
        let (comments, tokens) = lex(text).into_iter().partition(Token::is_comment);
        Printer { text, tokens, comments, next_comment: 0 }
    }

    fn file(mut self, tree: &File) -> String {
        let mut parts = vec![];
        for (i, item) in tree.items.iter().enumerate() {
            self.statement_break(&mut parts, item.span.start as usize, i == 0);
            parts.push(self.item(item));
        }
        let end = self.text.len();
        self.statement_break(&mut parts, end, tree.items.is_empty());
        concat(parts).render()
    }

    fn source(&self, span: Span) -> &'t str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// Does a stretch of the text hold a line break?
    fn multiline(&self, start: usize, end: usize) -> bool {
        self.text[start..end].contains(['\n', '\r'])
    }

    /// The first token of the text at or after a byte.
    fn token_at(&self, at: u32) -> &'t str {
        let i = self.tokens.partition_point(|t| t.start < at as usize);
        self.tokens.get(i).map_or("", |t| &self.text[t.start..t.end])
    }

    /// Where the token before a byte begins: the keyword of a statement whose tree has no place for it.
    fn token_before(&self, at: u32) -> usize {
        let i = self.tokens.partition_point(|t| t.start < at as usize);
        i.checked_sub(1).map_or(0, |i| self.tokens[i].start)
    }

    /// The comments before a byte that have not been printed.
    fn comments_before(&mut self, at: usize) -> Doc {
        let mut parts = vec![];
        while let Some(&c) = self.comments.get(self.next_comment).filter(|c| c.start < at) {
            parts.push(self.comment(c));
            self.next_comment += 1;
        }
        concat(parts)
    }

    /// A comment that shares its line with what follows, or is only a part of an expression, need not end its line.
    fn comment(&self, c: Token) -> Doc {
        let text = self.text[c.start..c.end].trim_end().replace("\r\n", "\n").replace('\r', "\n");
        let trailing = !self.begins_line(c);
        match text.starts_with("/*") && !text.contains('\n') && (trailing || !self.ends_line(c)) {
            true => Doc::Inline(text),
            false => Doc::Comment { text, trailing },
        }
    }

    fn begins_line(&self, c: Token) -> bool {
        let line = self.text[..c.start].rfind(['\n', '\r']).map_or(0, |i| i + 1);
        self.text[line..c.start].trim_matches(['\u{FEFF}', ' ', '\t']).is_empty()
    }

    fn ends_line(&self, c: Token) -> bool {
        let rest = self.text[c.end..].trim_start_matches([' ', '\t']);
        rest.is_empty() || rest.starts_with(['\n', '\r'])
    }

    /// Between statements: the comments before byte `at`, each line of them on its own, and the reader's empty lines.
    fn statement_break(&mut self, parts: &mut Vec<Doc>, at: usize, first: bool) {
        let mut first = first;
        while let Some(&c) = self.comments.get(self.next_comment).filter(|c| c.start < at) {
            let comment = match self.comment(c) {
                // After a statement it ends the line.
                Doc::Inline(text) if self.ends_line(c) => Doc::Comment { text, trailing: true },
                comment => comment,
            };
            if !first && self.blank_before(c.start) {
                parts.push(Doc::Blank);
            }
            if !matches!(comment, Doc::Comment { trailing: true, .. }) && !first {
                parts.push(Doc::Hard);
            }
            // An inline comment before a statement stays on its line.
            first = matches!(comment, Doc::Inline(_));
            parts.push(comment);
            self.next_comment += 1;
        }
        if at < self.text.len() && !first {
            if self.blank_before(at) {
                parts.push(Doc::Blank);
            }
            parts.push(Doc::Hard);
        }
    }

    /// Is the line before this place empty?
    fn blank_before(&self, at: usize) -> bool {
        let before = &self.text[..at];
        let white = &before[before.trim_end_matches([' ', '\t', '\n', '\r', '\u{FEFF}']).len()..];
        white.replace("\r\n", "\n").chars().filter(|c| matches!(c, '\n' | '\r')).count() > 1
    }
}
