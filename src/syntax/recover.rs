//! What can be read of an item that the grammar refuses: its statements one by one, or the item before stray text.

use super::ast::*;
use super::grammar::{Grammar, Rule};
use super::layout::{Piece, STATEMENT_KEYWORDS};
use super::lex::Kind;
use super::parse::ItemParser;
use super::tree::{Builder, Node};
use crate::base::Span;
use pest::Parser;

type PestError = pest::error::Error<Rule>;

impl ItemParser<'_> {
    /// The item of a piece that the grammar refused with `error`.
    pub fn recover(&mut self, piece: &Piece, keyword: usize, error: PestError) -> Item {
        let last = self.closing(piece, keyword);
        if let Some((open, close)) = last
            && let Some(item) = self.body(piece, keyword, open, close)
        {
            return item;
        }
        if let Some((open, close)) = last.filter(|_| matches!(self.word(keyword), "fn" | "net"))
            && self.block(open, close)
        {
            return self.error_item(piece);
        }
        let at = self.position(&error, piece);
        self.errors.push(self.reader().message(&error, at, self.word(keyword)));
        let (start, end) = self.range(piece.first, piece.last);
        // An item followed by stray text on a new line is still an item.
        if let Ok(mut found) = Grammar::parse(Rule::leading_item, &self.text[start..end]) {
            let node = found.next().and_then(|n| n.into_inner().next()).expect("compiler bug: an item was matched");
            let item = self.build(start, |builder| builder.item(node));
            let after = self.tokens.partition_point(|t| t.start < item.span.end as usize);
            if after >= piece.last || self.first_on_line(after) && self.tokens[after].start >= at {
                return item;
            }
        }
        self.error_item(piece)
    }

    /// An item with a mistake that has been told already, a bracket that does not match: its other statements are read.
    pub fn broken(&mut self, piece: &Piece) -> Item {
        if let Some(keyword) = piece.keyword.filter(|_| !piece.too_deep)
            && let Some(open) = (keyword..piece.last).find(|&i| self.word(i) == "{")
            && self.word(piece.last - 1) == "}"
            && open + 1 < piece.last - 1
            && let Some(item) = self.body(piece, keyword, open, piece.last - 1)
        {
            return item;
        }
        self.error_item(piece)
    }

    /// The braces of an item's body.
    fn closing(&self, piece: &Piece, keyword: usize) -> Option<(usize, usize)> {
        let open = (keyword..piece.last).find(|&i| self.word(i) == "{")?;
        Some((open, self.matching(open, piece.last)?))
    }

    /// Tells the mistakes in the body of a function, statement by statement. False where it finds none.
    fn block(&mut self, open: usize, close: usize) -> bool {
        let before = self.errors.len();
        let starts = self.statement_starts(open, close, "fn");
        for (n, &first) in starts.iter().enumerate() {
            let last = starts.get(n + 1).copied().unwrap_or(close);
            let statement = STATEMENT_KEYWORDS.contains(&self.word(first));
            if !statement && n + 1 < starts.len() {
                continue;
            }
            let rule = if statement { Rule::one_block_stmt } else { Rule::one_expr };
            let (start, end) = self.range(first, last);
            if let Err(error) = Grammar::parse(rule, &self.text[start..end]) {
                let at = self.tokens[first].start + self.offset(&error);
                self.errors.push(self.reader().message(&error, at, "fn"));
            }
        }
        self.errors.len() > before
    }

    fn word(&self, i: usize) -> &str {
        self.tokens.get(i).map_or("", |t| t.text(self.text))
    }

    fn range(&self, first: usize, last: usize) -> (usize, usize) {
        (self.tokens[first].start, self.tokens[last - 1].end)
    }

    fn first_on_line(&self, i: usize) -> bool {
        i == 0 || self.text[self.tokens[i - 1].end..self.tokens[i].start].contains(['\n', '\r'])
    }

    /// Byte of the file at which the parser gave up.
    fn position(&self, error: &PestError, piece: &Piece) -> usize {
        self.tokens[piece.first].start + self.offset(error)
    }

    fn offset(&self, error: &PestError) -> usize {
        match error.location {
            pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
        }
    }

    /// An item with statements, read one by one; none where its head or braces cannot be made out.
    fn body(&mut self, piece: &Piece, keyword: usize, open: usize, close: usize) -> Option<Item> {
        if !matches!(self.word(keyword), "system" | "minimize" | "dataset" | "study") {
            return None;
        }
        let (start, end) = self.range(piece.first, open + 1);
        let head = Grammar::parse(Rule::body_head, &self.text[start..end]).ok()?;
        let node = head.into_iter().next()?;
        let (doc, name, params) = self.build(start, |builder| builder.documented_head(node));
        let before = self.errors.len();
        let which = self.word(keyword).to_string();
        let kind = match which.as_str() {
            "system" => {
                let body = self.statements(open, close, &which, Rule::one_system_stmt, Builder::system_stmt, |span| {
                    SystemStmt { doc: vec![], kind: SystemStmtKind::Error, span }
                });
                ItemKind::System { name, params, body }
            }
            "minimize" => {
                let body = self.statements(open, close, &which, Rule::one_min_stmt, Builder::min_stmt, |span| {
                    MinimizeStmt { doc: vec![], kind: MinimizeStmtKind::Error, span }
                });
                ItemKind::Minimize { name, params, body }
            }
            "study" => {
                let body = self.statements(open, close, &which, Rule::one_study_stmt, Builder::study_stmt, |span| {
                    StudyStmt { doc: vec![], kind: StudyStmtKind::Error, span }
                });
                ItemKind::Study { name, params, body }
            }
            _ => {
                let rows = self.statements(open, close, &which, Rule::one_row, |b, n| Some(b.row(n)), |_| None);
                ItemKind::Dataset(Dataset { name, params, rows: rows.into_iter().flatten().collect() })
            }
        };
        if close + 1 < piece.last {
            self.errors.push(self.reader().no_item(close + 1));
        }
        let (start, _) = self.range(piece.first, open);
        let span = Span::new(self.file, start, self.tokens[close].end);
        // Without a message the statements are fine and the mistake is one this reading cannot see.
        (piece.broken || self.errors.len() > before).then_some(Item { doc, kind, span })
    }

    /// The token that closes the bracket at `open`.
    fn matching(&self, open: usize, last: usize) -> Option<usize> {
        let mut depth = 0;
        (open..last).find(|&i| {
            match self.tokens[i].kind {
                Kind::Open => depth += 1,
                Kind::Close => depth -= 1,
                _ => {}
            }
            depth == 0
        })
    }

    fn statements<S>(
        &mut self,
        open: usize,
        close: usize,
        item: &str,
        rule: Rule,
        build: impl Fn(&mut Builder, Node<'_>) -> S,
        unread: impl Fn(Span) -> S,
    ) -> Vec<S> {
        let starts = self.statement_starts(open, close, item);
        let mut out = vec![];
        for (n, &first) in starts.iter().enumerate() {
            let last = starts.get(n + 1).copied().unwrap_or(close);
            let (start, end) = self.range(first, last);
            if self.said.iter().any(|&at| (start..end).contains(&(at as usize))) {
                let keyword = (first..last).find(|&i| self.tokens[i].kind != Kind::Doc).unwrap_or(first);
                self.lose(if item == "dataset" { keyword } else { keyword + 1 });
                out.push(unread(Span::new(self.file, start, end)));
                continue;
            }
            match Grammar::parse(rule, &self.text[start..end]) {
                Ok(mut found) => {
                    let node = found.next().and_then(|n| n.into_inner().next()).expect("compiler bug: a statement");
                    out.push(self.build(start, |builder| build(builder, node)));
                }
                Err(error) => {
                    let at = start + self.offset(&error);
                    self.errors.push(self.reader().message(&error, at, item));
                    let keyword = (first..last).find(|&i| self.tokens[i].kind != Kind::Doc).unwrap_or(first);
                    self.lose(if item == "dataset" { keyword } else { keyword + 1 });
                    out.push(unread(Span::new(self.file, start, end)));
                }
            }
        }
        out
    }

    /// The tokens at which statements of a body begin, doc comments included; the first token of the body always does.
    fn statement_starts(&self, open: usize, close: usize, item: &str) -> Vec<usize> {
        let (mut starts, mut depth) = (vec![], 0usize);
        // Where a bracket is missing only braces count, and a keyword at the start of a line begins a statement.
        let range = self.tokens[open].start..self.tokens[close].end;
        let broken = self.said.iter().any(|&at| range.contains(&(at as usize)));
        for i in open + 1..close {
            if broken
                && self.first_on_line(i)
                && depth == 0
                && STATEMENT_KEYWORDS.contains(&self.word(i))
                && i > open + 1
            {
                let docs = (open + 1..i).rev().take_while(|&d| self.tokens[d].kind == Kind::Doc).last().unwrap_or(i);
                starts.push(docs);
            } else if depth == 0
                && (!broken || self.first_on_line(i))
                && (i == open + 1 || self.begins_statement(i, item))
            {
                let docs = (open + 1..i).rev().take_while(|&d| self.tokens[d].kind == Kind::Doc).last().unwrap_or(i);
                if starts.last() != Some(&docs) {
                    starts.push(docs);
                }
            }
            match self.tokens[i].kind {
                Kind::Open if !broken || self.word(i) == "{" => depth += 1,
                Kind::Close if !broken || self.word(i) == "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        starts
    }

    /// Does a new statement begin at a token of a body? At a keyword, of course; and since operands never stand side by side,
    /// also at a word that begins a line after the end of an expression.
    fn begins_statement(&self, i: usize, item: &str) -> bool {
        if self.tokens[i].kind != Kind::Word || self.word(i - 1) == "." {
            return false;
        }
        let before = self.tokens[i - 1].kind;
        if item == "dataset" {
            return matches!(self.word(i + 1), "~" | "=") && before != Kind::Sign;
        }
        let goes_on = |word| matches!(word, "and" | "or" | "then" | "else" | "in" | "if" | "not");
        let after_value =
            matches!(before, Kind::Word | Kind::Number | Kind::Str | Kind::Close) && !goes_on(self.word(i - 1));
        STATEMENT_KEYWORDS.contains(&self.word(i)) || after_value && self.first_on_line(i) && !goes_on(self.word(i))
    }
}
