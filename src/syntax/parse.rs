//! Text to tree, item by item, so that a mistake in one item hides no other.

use super::ast::{File, Ident, Item, ItemKind};
use super::grammar::{Grammar, Rule};
use super::layout::{Layout, Piece, layout};
use super::lex::{Kind, Token, lex};
use super::message::Reader;
use super::tree::{Builder, normal_name};
use crate::base::{Diagnostic, FileId, Span};
use pest::Parser;
use std::num::NonZeroUsize;

/// The largest text that is parsed. Programs are small; larger files are data.
pub const MAX_BYTES: usize = 16 << 20;
/// Nesting up to here is parsed on the caller's stack.
const SHALLOW: usize = 12;
/// Stack for the deepest text that [`super::MAX_NESTING`] lets through, with room to spare.
const DEEP_STACK: usize = 512 << 20;
/// Steps of the parser for one item; a backstop against texts on which it would backtrack without end.
const MAX_STEPS: NonZeroUsize = NonZeroUsize::new(1 << 30).unwrap();

/// The tree of a file, with an `Error` node for every item or statement that could not be read, and all messages in the
/// order of the text. Never panics, whatever the text.
pub fn parse(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    let span = Span::new(file, 0, text.len());
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} MiB; a program may have {}", text.len() >> 20, MAX_BYTES >> 20);
        let error = Diagnostic::error("input.size", Span::new(file, 0, 0), message)
            .help("keep data in a CSV, NPY or NPZ file and read it with `load(\"file\", ...)`");
        return (File { items: vec![], lost: vec![], span: Span::new(file, 0, 0) }, vec![error]);
    }
    let all = lex(text);
    let mut errors: Vec<Diagnostic> = all.iter().filter_map(|t| open_comment(file, t)).collect();
    let tokens: Vec<Token> = all.into_iter().filter(|t| !t.is_comment()).collect();
    let Layout { pieces, errors: more } = layout(file, text, &tokens);
    errors.extend(more);
    pest::set_call_limit(Some(MAX_STEPS));
    let run = || {
        let said = errors.iter().map(|e| e.span().start).collect();
        let mut parser = ItemParser { file, text, tokens: &tokens, said, lost: vec![], errors: vec![] };
        let items: Vec<Item> = pieces.iter().filter_map(|p| parser.piece(p)).collect();
        (items, parser.lost, parser.errors)
    };
    let depth = pieces.iter().filter(|p| !p.too_deep).map(|p| p.depth).max().unwrap_or(0);
    let (items, lost, found) = if depth <= SHALLOW { run() } else { on_deep_stack(run) };
    errors.extend(found);
    errors.sort_by_key(|e| e.span().start);
    (File { items, lost, span }, errors)
}

pub(super) fn on_deep_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("parse".into()).stack_size(DEEP_STACK).spawn_scoped(scope, run);
        let thread = thread.expect("the system gives no thread to parse on");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn open_comment(file: FileId, token: &Token) -> Option<Diagnostic> {
    (token.kind == Kind::OpenComment).then(|| {
        let span = Span::new(file, token.start, token.start + 2);
        Diagnostic::error("syntax.unclosed", span, "this comment is never closed").help("end it with `*/`")
    })
}

pub(super) struct ItemParser<'t> {
    pub file: FileId,
    pub text: &'t str,
    /// Without comments.
    pub tokens: &'t [Token],
    /// Places of which the layout has told already.
    pub said: Vec<u32>,
    pub lost: Vec<Ident>,
    pub errors: Vec<Diagnostic>,
}

impl<'t> ItemParser<'t> {
    /// The item of a piece; none where nothing stands in it that could be one.
    fn piece(&mut self, piece: &Piece) -> Option<Item> {
        if piece.broken {
            return Some(self.broken(piece));
        }
        let Some(keyword) = piece.keyword else {
            self.errors.push(self.reader().no_item(piece.first));
            return None;
        };
        let (start, end) = (self.tokens[piece.first].start, self.tokens[piece.last - 1].end);
        match Grammar::parse(Rule::one_item, &self.text[start..end]) {
            Ok(mut found) => {
                let node = found.next().and_then(|n| n.into_inner().next()).expect("compiler bug: an item was matched");
                Some(self.build(start, |builder| builder.item(node)))
            }
            Err(error) => Some(self.recover(piece, keyword, error)),
        }
    }

    /// Build a tree of text that starts at byte `base`, keeping the builder's messages.
    pub fn build<T>(&mut self, base: usize, build: impl FnOnce(&mut Builder) -> T) -> T {
        let mut builder = Builder { file: self.file, base, errors: vec![] };
        let tree = build(&mut builder);
        self.errors.extend(builder.errors);
        tree
    }

    pub fn reader(&self) -> Reader<'t> {
        Reader { file: self.file, text: self.text, tokens: self.tokens }
    }

    /// In place of an item that cannot be read. The name it would have given is kept, so that its uses are no second error.
    pub fn error_item(&mut self, piece: &Piece) -> Item {
        self.lose(piece.keyword.map_or(piece.first, |k| k + 1));
        let span = Span::new(self.file, self.tokens[piece.first].start, self.tokens[piece.last - 1].end);
        Item { doc: vec![], kind: ItemKind::Error, span }
    }

    /// Keep the name at a token, if there is one.
    pub fn lose(&mut self, token: usize) {
        if let Some(t) = self.tokens.get(token).filter(|t| t.kind == Kind::Word) {
            let span = Span::new(self.file, t.start, t.end);
            self.lost.push(Ident { name: normal_name(t.text(self.text)), span });
        }
    }
}
