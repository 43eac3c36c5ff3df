//! Expressions: the grammar gives operators and operands in a row, precedence makes a tree of them.

use super::{Builder, Node, children, unit};
use crate::base::{Diagnostic, Span};
use crate::syntax::ast::*;
use crate::syntax::grammar::Rule;
use pest::pratt_parser::{Assoc, Op, PrattParser};
use std::cell::RefCell;
use std::sync::LazyLock;

/// From loose to tight. Unary minus stands just below `^` (`-x^2` is `-(x^2)`), differential prefixes above it
/// (`∂x(u)^2` is `(∂x(u))^2`).
static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::pipe))
        .op(left(Rule::or))
        .op(left(Rule::and))
        .op(Op::prefix(Rule::not))
        .op(left(Rule::cmp))
        .op(left(Rule::range))
        .op(left(Rule::add) | left(Rule::sub))
        .op(left(Rule::double_dot))
        .op(left(Rule::mul) | left(Rule::div))
        .op(left(Rule::dot) | left(Rule::cross) | left(Rule::outer))
        .op(Op::prefix(Rule::neg))
        .op(Op::infix(Rule::pow, Assoc::Right))
        .op(Op::postfix(Rule::sup))
        .op(Op::prefix(Rule::div_of)
            | Op::prefix(Rule::lap_of)
            | Op::prefix(Rule::curl_of)
            | Op::prefix(Rule::grad_of)
            | Op::prefix(Rule::partial)
            | Op::prefix(Rule::sqrt))
});

impl Builder {
    /// Of `expr`.
    pub fn expr(&mut self, node: Node<'_>) -> Expr {
        // One builder serves four closures, none of which runs inside another.
        let this = RefCell::new(self);
        PRECEDENCE
            .map_primary(|node| this.borrow_mut().operand(node))
            .map_prefix(|op, arg| this.borrow_mut().prefix(op, arg))
            .map_postfix(|base, op| this.borrow_mut().postfix(base, op))
            .map_infix(|lhs, op, rhs| this.borrow_mut().infix(lhs, op, rhs))
            .parse(node.into_inner())
    }

    fn prefix(&mut self, node: Node<'_>, arg: Expr) -> Expr {
        let op = match node.as_rule() {
            Rule::neg => UnaryOp::Neg,
            Rule::not => UnaryOp::Not,
            Rule::sqrt => UnaryOp::Sqrt,
            Rule::grad_of => UnaryOp::Grad,
            Rule::div_of => UnaryOp::Div,
            Rule::curl_of => UnaryOp::Curl,
            Rule::lap_of => UnaryOp::Lap,
            _ => UnaryOp::Partial(node.as_str()['∂'.len_utf8()..].to_string()),
        };
        let span = self.span(&node).to(arg.span);
        Expr { kind: ExprKind::Unary { op, arg: Box::new(arg) }, span }
    }

    fn postfix(&mut self, base: Expr, node: Node<'_>) -> Expr {
        let span = base.span.to(self.span(&node));
        let (base, text) = (Box::new(base), node.as_str().to_string());
        let kind = match unit::superscript(&text) {
            _ if text == "ᵀ" => ExprKind::Transpose(base),
            Some(exponent) => ExprKind::Superscript { base, exponent, text },
            None => {
                let message = format!("the exponent `{text}` is too large");
                self.errors
                    .push(Diagnostic::error("syntax.number", self.span(&node), message).help("write `^` and a number"));
                ExprKind::Error
            }
        };
        Expr { kind, span }
    }

    fn infix(&mut self, lhs: Expr, node: Node<'_>, rhs: Expr) -> Expr {
        use BinaryOp::*;
        let op = match node.as_rule() {
            Rule::pipe => Pipe,
            Rule::or => Or,
            Rule::and => And,
            Rule::range => Range,
            Rule::add => Add,
            Rule::sub => Sub,
            Rule::double_dot => DoubleDot,
            Rule::mul => Mul,
            Rule::div => BinaryOp::Div,
            Rule::dot => Dot,
            Rule::cross => Cross,
            Rule::outer => Outer,
            Rule::pow => Pow,
            _ => match node.as_str() {
                "<=" | "≤" => Le,
                ">=" | "≥" => Ge,
                "==" => Eq,
                "!=" | "≠" => Ne,
                "<" => Lt,
                _ => Gt,
            },
        };
        let span = lhs.span.to(rhs.span);
        if let ExprKind::Binary { op: inner, .. } = &lhs.kind
            && self.refuse_chain(*inner, op, self.span(&node))
        {
            return Expr { kind: ExprKind::Error, span };
        }
        Expr { kind: ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, span }
    }

    /// `a < b < c` and `0..1..2` mean nothing.
    fn refuse_chain(&mut self, first: BinaryOp, second: BinaryOp, span: Span) -> bool {
        use BinaryOp::*;
        let compares = |op| matches!(op, Le | Ge | Eq | Ne | Lt | Gt);
        let (message, help) = if compares(first) && compares(second) {
            ("comparisons do not chain", "write `a < b and b < c`")
        } else if first == Range && second == Range {
            ("a range has two ends", "for values with a step, write a list or `linspace(a, b, n)`")
        } else {
            return false;
        };
        self.errors.push(Diagnostic::error("syntax.chain", span, message).help(help));
        true
    }

    fn operand(&mut self, node: Node<'_>) -> Expr {
        let mut parts = children(node);
        let mut expr = self.primary(parts.next());
        for tail in parts.rest() {
            let span = expr.span.to(self.span(&tail));
            let (rule, base) = (tail.as_rule(), Box::new(expr));
            let mut inner = children(tail);
            let kind = match rule {
                Rule::call => ExprKind::Call { callee: base, args: self.args(inner.next()) },
                Rule::index => ExprKind::Index { base, indices: inner.rest().map(|n| self.expr(n)).collect() },
                _ => ExprKind::Member { base, name: self.ident(inner.next()) },
            };
            expr = Expr { kind, span };
        }
        expr
    }

    fn primary(&mut self, node: Node<'_>) -> Expr {
        let span = self.span(&node);
        let rule = node.as_rule();
        let text = node.as_str();
        let mut parts = children(node.clone());
        let kind = match rule {
            Rule::ident => ExprKind::Name(self.ident(node)),
            Rule::quantity => {
                let number = parts.next();
                let value = self.number(&number);
                ExprKind::Number {
                    value,
                    text: number.as_str().to_string(),
                    unit: parts.opt(Rule::unit).map(|n| self.unit(n)),
                }
            }
            Rule::string => ExprKind::Str(text[1..text.len() - 1].to_string()),
            Rule::list => {
                let mut body = children(parts.next());
                let mut items = vec![];
                while let Some(item) = body.opt(Rule::expr) {
                    items.push(self.expr(item));
                }
                let comprehension = body.opt(Rule::comprehension);
                let unit = parts.opt(Rule::unit).map(|n| self.unit(n));
                match (comprehension, items.pop()) {
                    (Some(clause), Some(body)) => self.comprehension(body, clause, true, unit),
                    (_, last) => {
                        items.extend(last);
                        ExprKind::List { items, unit }
                    }
                }
            }
            Rule::paren => {
                let items = children(parts.next()).rest().map(|n| self.expr(n)).collect();
                ExprKind::Paren { items, unit: parts.opt(Rule::unit).map(|n| self.unit(n)) }
            }
            Rule::if_ => ExprKind::If {
                condition: Box::new(self.expr(parts.next())),
                then: Box::new(self.expr(parts.next())),
                otherwise: Box::new(self.expr(parts.next())),
            },
            Rule::lambda => ExprKind::Lambda {
                params: self.params(parts.next()),
                result: self.opt_ty(&mut parts),
                body: self.block(parts.next()),
            },
            Rule::integral => ExprKind::Integral {
                integrand: Box::new(self.expr(parts.next())),
                over: parts.opt(Rule::expr).map(|n| Box::new(self.expr(n))),
            },
            other => unreachable!("compiler bug: {other:?} is no operand"),
        };
        Expr { kind, span }
    }

    fn comprehension(&mut self, body: Expr, clause: Node<'_>, bracketed: bool, unit: Option<UnitExpr>) -> ExprKind {
        let mut parts = children(clause);
        let (var, source) = (self.ident(parts.next()), self.expr(parts.next()));
        ExprKind::Comprehension { body: Box::new(body), var, source: Box::new(source), bracketed, unit }
    }

    /// Of `args`.
    pub fn args(&mut self, node: Node<'_>) -> Vec<Arg> {
        children(node)
            .rest()
            .map(|node| {
                let mut parts = children(node);
                let name = parts.opt(Rule::label).map(|n| self.ident(n));
                let body = self.expr(parts.next());
                let value = match parts.opt(Rule::comprehension) {
                    None => body,
                    Some(clause) => {
                        let span = body.span.to(self.span(&clause));
                        Expr { kind: self.comprehension(body, clause, false, None), span }
                    }
                };
                Arg { name, value }
            })
            .collect()
    }

    fn number(&mut self, node: &Node<'_>) -> f64 {
        let value: f64 = node.as_str().replace('_', "").parse().unwrap_or(f64::INFINITY);
        if value.is_infinite() {
            let message = format!("`{}` is beyond the range of numbers", node.as_str());
            self.errors
                .push(Diagnostic::error("syntax.number", self.span(node), message).help("the largest is 1.8e308"));
        }
        value
    }
}
