//! The tree of one item out of what pest matched. Spans are moved from the item's text to the file's; names are
//! NFC-normalised. The grammar guarantees the shape, so a missing child is a compiler bug.

mod expr;
mod unit;

use super::ast::*;
use super::grammar::Rule;
use crate::base::{Diagnostic, FileId, Span};
use pest::iterators::{Pair, Pairs};
use std::iter::{Filter, Peekable};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

pub(super) type Node<'t> = Pair<'t, Rule>;

/// Builds trees of a text that starts at byte `base` of `file`.
pub(super) struct Builder {
    pub file: FileId,
    pub base: usize,
    /// What the grammar lets through and the language does not.
    pub errors: Vec<Diagnostic>,
}

/// A name as the compiler knows it: NFC, with look-alikes of Greek letters folded (the micro sign is a mu, as in Julia).
/// Never NFKC, which would make `u₀` and `u0` one name.
pub fn normal_name(name: &str) -> String {
    let fold = |c| match c {
        'µ' => 'μ',
        'ɛ' => 'ε',
        c => c,
    };
    match is_nfc_quick(name.chars()) {
        _ if name.is_ascii() => name.to_string(),
        IsNormalized::Yes => name.chars().map(fold).collect(),
        _ => name.nfc().map(fold).collect(),
    }
}

/// The children of a node that carry content: keywords and signs are dropped, but for `state` and `~`, which say something.
pub(super) struct Children<'t>(Peekable<Content<'t>>);

type Content<'t> = Filter<Pairs<'t, Rule>, fn(&Node<'t>) -> bool>;

pub(super) fn children<'t>(node: Node<'t>) -> Children<'t> {
    Children(node.into_inner().filter(is_content as fn(&Node<'t>) -> bool).peekable())
}

impl<'t> Children<'t> {
    pub fn next(&mut self) -> Node<'t> {
        self.0.next().expect("compiler bug: the grammar promised another part here")
    }

    pub fn opt(&mut self, rule: Rule) -> Option<Node<'t>> {
        self.0.next_if(|n| n.as_rule() == rule)
    }

    pub fn rest(self) -> impl Iterator<Item = Node<'t>> {
        self.0
    }

    /// What comes next, while it is of this rule.
    fn all(&mut self, rule: Rule) -> Vec<Node<'t>> {
        std::iter::from_fn(|| self.opt(rule)).collect()
    }
}

fn is_content(node: &Node<'_>) -> bool {
    use Rule::*;
    !matches!(
        node.as_rule(),
        KW_use
            | KW_param
            | KW_unit
            | KW_dim
            | KW_let
            | KW_fn
            | KW_net
            | KW_closure
            | KW_system
            | KW_dataset
            | KW_minimize
            | KW_study
            | KW_scale
            | KW_unknown
            | KW_include
            | KW_eq
            | KW_weak
            | KW_on
            | KW_init
            | KW_ensure
            | KW_over
            | KW_loss
            | KW_subject
            | KW_stage
            | KW_check
            | KW_for
            | KW_in
            | KW_weight
            | KW_next
            | KW_if
            | KW_then
            | KW_else
            | KW_and
            | KW_or
            | KW_not
            | lparen
            | rparen
            | lbrack
            | rbrack
            | lbrace
            | rbrace
            | comma
            | colon
            | eq_sign
            | arrow
            | EOI
    )
}

/// The text of a `///` line.
fn doc_line(line: &str) -> String {
    let text = line.trim_start_matches('/');
    text.strip_prefix(' ').unwrap_or(text).trim_end().to_string()
}

/// Where a node ends. Pest counts the white space before an absent optional part in, hence the last part decides.
fn end_of(node: &Node<'_>) -> usize {
    node.clone().into_inner().next_back().map_or(node.as_span().end(), |last| end_of(&last))
}

impl Builder {
    pub fn span(&self, node: &Node<'_>) -> Span {
        Span::new(self.file, self.base + node.as_span().start(), self.base + end_of(node))
    }

    pub fn ident(&self, node: Node<'_>) -> Ident {
        Ident { name: normal_name(node.as_str()), span: self.span(&node) }
    }

    fn path(&self, node: Node<'_>) -> Path {
        let span = self.span(&node);
        Path { segments: children(node).rest().map(|n| self.ident(n)).collect(), span }
    }

    /// Of a node whose children are doc comments and then one thing.
    fn documented<'t>(&self, node: Node<'t>) -> (Vec<String>, Span, Node<'t>) {
        let span = self.span(&node);
        let mut parts = children(node);
        let doc = parts.all(Rule::doc).iter().map(|d| doc_line(d.as_str())).collect();
        (doc, span, parts.next())
    }

    /// Of `item`.
    pub fn item(&mut self, node: Node<'_>) -> Item {
        let (doc, span, node) = self.documented(node);
        let rule = node.as_rule();
        let mut parts = children(node.clone());
        let kind = match rule {
            Rule::use_ => {
                ItemKind::Use { path: self.path(parts.next()), names: parts.rest().map(|n| self.ident(n)).collect() }
            }
            Rule::param => ItemKind::Param {
                name: self.ident(parts.next()),
                ty: self.opt_ty(&mut parts),
                value: self.expr(parts.next()),
                bounds: self.bounds(&mut parts),
            },
            Rule::unit_def => {
                ItemKind::Unit { name: self.ident(parts.next()), value: parts.opt(Rule::expr).map(|n| self.expr(n)) }
            }
            Rule::dim_def => ItemKind::Dim { name: self.ident(parts.next()) },
            Rule::let_ => ItemKind::Let(self.let_(node)),
            Rule::fn_ => ItemKind::Fn {
                name: self.ident(parts.next()),
                params: self.params(parts.next()),
                result: self.opt_ty(&mut parts),
                body: self.block(parts.next()),
            },
            Rule::net => ItemKind::Net {
                name: self.ident(parts.next()),
                hyper: self.params(parts.next()),
                params: self.params(parts.next()),
                result: self.ty(parts.next()),
                body: self.block(parts.next()),
            },
            Rule::closure => ItemKind::Closure {
                name: self.ident(parts.next()),
                params: self.params(parts.next()),
                result: self.ty(parts.next()),
                ensures: parts.rest().map(|n| self.expr(children(n).next())).collect(),
            },
            Rule::scale => {
                let name = self.ident(parts.next());
                let mut ranges = vec![];
                while let Some(quantity) = parts.opt(Rule::ident) {
                    ranges.push((self.ident(quantity), self.expr(parts.next())));
                }
                ItemKind::Scale { name, ranges }
            }
            Rule::system => {
                let (name, params) = self.head(parts.next());
                ItemKind::System { name, params, body: parts.rest().map(|n| self.system_stmt(n)).collect() }
            }
            Rule::dataset => ItemKind::Dataset(self.dataset(node)),
            Rule::minimize => {
                let (name, params) = self.head(parts.next());
                ItemKind::Minimize { name, params, body: parts.rest().map(|n| self.min_stmt(n)).collect() }
            }
            Rule::study => {
                let (name, params) = self.head(parts.next());
                ItemKind::Study { name, params, body: parts.rest().map(|n| self.study_stmt(n)).collect() }
            }
            other => unreachable!("compiler bug: {other:?} is no item"),
        };
        Item { doc, kind, span }
    }

    /// Of `doc* ~ (system_head | …)`: what a body belongs to.
    pub fn documented_head(&mut self, node: Node<'_>) -> (Vec<String>, Ident, Vec<Param>) {
        let (doc, _, head) = self.documented(node);
        let (name, params) = self.head(head);
        (doc, name, params)
    }

    fn head(&mut self, node: Node<'_>) -> (Ident, Vec<Param>) {
        let mut parts = children(node);
        let name = self.ident(parts.next());
        (name, self.opt_params(&mut parts))
    }

    fn dataset(&mut self, node: Node<'_>) -> Dataset {
        let mut parts = children(node);
        let (name, params) = self.head(parts.next());
        Dataset { name, params, rows: parts.rest().map(|n| self.row(n)).collect() }
    }

    pub fn row(&mut self, node: Node<'_>) -> Row {
        let span = self.span(&node);
        let mut parts = children(node);
        let doc = parts.all(Rule::doc).iter().map(|d| doc_line(d.as_str())).collect();
        let name = self.ident(parts.next());
        let draw = parts.opt(Rule::tilde).is_some();
        Row { doc, name, draw, value: self.expr(parts.next()), span }
    }

    fn let_(&mut self, node: Node<'_>) -> Let {
        let span = self.span(&node);
        let mut parts = children(node);
        Let { name: self.ident(parts.next()), ty: self.opt_ty(&mut parts), value: self.expr(parts.next()), span }
    }

    fn bounds(&mut self, parts: &mut Children<'_>) -> Option<Expr> {
        parts.opt(Rule::bounds).map(|n| self.expr(children(n).next()))
    }

    fn opt_params(&mut self, parts: &mut Children<'_>) -> Vec<Param> {
        parts.opt(Rule::params).map_or(vec![], |n| self.params(n))
    }

    fn params(&mut self, node: Node<'_>) -> Vec<Param> {
        children(node)
            .rest()
            .map(|node| {
                let mut parts = children(node);
                Param {
                    state: parts.opt(Rule::KW_state).is_some(),
                    name: self.ident(parts.next()),
                    ty: self.opt_ty(&mut parts),
                    default: parts.opt(Rule::expr).map(|n| self.expr(n)),
                }
            })
            .collect()
    }

    fn opt_ty(&mut self, parts: &mut Children<'_>) -> Option<Type> {
        parts.opt(Rule::ty).map(|n| self.ty(n))
    }

    fn ty(&mut self, node: Node<'_>) -> Type {
        let span = self.span(&node);
        let mut parts = children(node);
        let path = parts.opt(Rule::path).map(|n| self.path(n));
        let args = parts.all(Rule::expr).into_iter().map(|n| self.expr(n)).collect();
        let unit = parts.opt(Rule::unit).map(|n| self.unit(n));
        Type { path, args, unit, span }
    }

    fn equation(&mut self, node: Node<'_>) -> Equation {
        let mut parts = children(node);
        Equation { lhs: self.expr(parts.next()), rhs: self.expr(parts.next()) }
    }

    pub fn system_stmt(&mut self, node: Node<'_>) -> SystemStmt {
        let (doc, span, node) = self.documented(node);
        let rule = node.as_rule();
        let mut parts = children(node.clone());
        let kind = match rule {
            Rule::unknown => {
                let (name, ty) = (self.ident(parts.next()), self.ty(parts.next()));
                let nominal = parts.opt(Rule::tilde).map(|_| self.expr(parts.next()));
                SystemStmtKind::Unknown { name, ty, nominal }
            }
            Rule::include => SystemStmtKind::Include { path: self.path(parts.next()), args: self.args(parts.next()) },
            Rule::let_ => SystemStmtKind::Let(self.let_(node)),
            Rule::eq => SystemStmtKind::Eq { name: self.ident(parts.next()), equation: self.equation(parts.next()) },
            Rule::weak => {
                SystemStmtKind::Weak { name: self.ident(parts.next()), equation: self.equation(parts.next()) }
            }
            Rule::on => {
                let places = parts.all(Rule::path).into_iter().map(|n| self.path(n)).collect();
                SystemStmtKind::On { places, equation: self.equation(parts.next()) }
            }
            Rule::init => SystemStmtKind::Init(self.equation(parts.next())),
            Rule::watch => SystemStmtKind::Ensure { name: self.ident(parts.next()), claim: self.expr(parts.next()) },
            other => unreachable!("compiler bug: {other:?} is no statement of a system"),
        };
        SystemStmt { doc, kind, span }
    }

    pub fn min_stmt(&mut self, node: Node<'_>) -> MinimizeStmt {
        let (doc, span, node) = self.documented(node);
        let rule = node.as_rule();
        let mut parts = children(node.clone());
        let kind = match rule {
            Rule::over => MinimizeStmtKind::Over {
                name: self.ident(parts.next()),
                ty: self.opt_ty(&mut parts),
                value: self.expr(parts.next()),
                bounds: self.bounds(&mut parts),
            },
            Rule::let_ => MinimizeStmtKind::Let(self.let_(node)),
            Rule::loss => MinimizeStmtKind::Loss {
                name: self.ident(parts.next()),
                params: self.opt_params(&mut parts),
                value: self.expr(parts.next()),
            },
            Rule::subject => {
                MinimizeStmtKind::Subject { name: self.ident(parts.next()), value: self.expr(parts.next()) }
            }
            Rule::stage => MinimizeStmtKind::Stage(self.expr(parts.next())),
            other => unreachable!("compiler bug: {other:?} is no statement of a minimize"),
        };
        MinimizeStmt { doc, kind, span }
    }

    pub fn study_stmt(&mut self, node: Node<'_>) -> StudyStmt {
        let (doc, span, node) = self.documented(node);
        let rule = node.as_rule();
        let mut parts = children(node.clone());
        let kind = match rule {
            Rule::let_ => StudyStmtKind::Let(self.let_(node)),
            Rule::dataset => StudyStmtKind::Dataset(self.dataset(node)),
            Rule::check => StudyStmtKind::Check(self.expr(parts.next())),
            Rule::for_ => StudyStmtKind::For {
                var: self.ident(parts.next()),
                source: self.expr(parts.next()),
                body: parts.rest().map(|n| self.study_stmt(n)).collect(),
            },
            Rule::call_stmt => {
                let callee = Box::new(self.path_expr(parts.next()));
                StudyStmtKind::Call(Expr { kind: ExprKind::Call { callee, args: self.args(parts.next()) }, span })
            }
            other => unreachable!("compiler bug: {other:?} is no statement of a study"),
        };
        StudyStmt { doc, kind, span }
    }

    /// `a.b.c` as an expression.
    fn path_expr(&mut self, node: Node<'_>) -> Expr {
        let mut segments = self.path(node).segments.into_iter();
        let first = segments.next().expect("compiler bug: a path has a name");
        let mut expr = Expr { span: first.span, kind: ExprKind::Name(first) };
        for name in segments {
            expr = Expr { span: expr.span.to(name.span), kind: ExprKind::Member { base: Box::new(expr), name } };
        }
        expr
    }

    pub fn block(&mut self, node: Node<'_>) -> Block {
        let span = self.span(&node);
        let (mut stmts, mut result) = (vec![], None);
        for node in children(node).rest() {
            let rule = node.as_rule();
            match rule {
                Rule::let_ => stmts.push(BlockStmt::Let(self.let_(node))),
                Rule::weight => {
                    let mut parts = children(node);
                    let (name, ty) = (self.ident(parts.next()), self.ty(parts.next()));
                    stmts.push(BlockStmt::Weight { name, ty, init: self.expr(parts.next()) });
                }
                Rule::next => {
                    let mut parts = children(node);
                    stmts.push(BlockStmt::Next { name: self.ident(parts.next()), value: self.expr(parts.next()) });
                }
                _ => result = Some(self.expr(node)),
            }
        }
        Block { stmts, result: Box::new(result.expect("compiler bug: a block ends with an expression")), span }
    }
}

#[cfg(test)]
mod tests {
    use super::normal_name;

    #[test]
    fn names_are_nfc_and_never_nfkc() {
        assert_eq!(normal_name("e\u{301}"), "é");
        assert_eq!(normal_name("\u{2126}"), "Ω");
        assert_eq!(normal_name("u₀"), "u₀");
        assert_eq!(normal_name("\u{B5}"), "\u{3BC}");
    }
}
