//! Expressions: no spaces around what multiplies, spaces around what adds or compares.

use super::Printer;
use super::doc::{Doc, concat, group, join, nest, text};
use crate::syntax::ast::*;

impl Printer<'_> {
    pub fn ident(&mut self, ident: &Ident) -> Doc {
        let comments = self.comments_before(ident.span.start as usize);
        concat([comments, text(self.source(ident.span))])
    }

    /// `[W/m²/K]` as written, without its blanks.
    pub fn unit(&mut self, unit: &UnitExpr) -> Doc {
        text(self.source(unit.span).replace([' ', '\t'], ""))
    }

    fn spaced_unit(&mut self, unit: &Option<UnitExpr>) -> Doc {
        match unit {
            Some(unit) => concat([text(" "), self.unit(unit)]),
            None => concat([]),
        }
    }

    pub fn expr(&mut self, e: &Expr) -> Doc {
        let end = e.span.end as usize;
        let comments = self.comments_before(e.span.start as usize);
        let doc = match &e.kind {
            ExprKind::Number { text: literal, unit, .. } => concat([text(literal), self.spaced_unit(unit)]),
            ExprKind::Str(_) | ExprKind::Error => text(self.source(e.span)),
            ExprKind::Name(name) => self.ident(name),
            ExprKind::Call { callee, args } => concat([self.expr(callee), self.args(args, end)]),
            ExprKind::Index { base, indices } => {
                let base = self.expr(base);
                let indices: Vec<Doc> = indices.iter().map(|i| self.expr(i)).collect();
                let comments = self.comments_before(end);
                concat([base, text("["), join(indices, &text(",")), comments, text("]")])
            }
            ExprKind::Member { base, name } => {
                let base = self.expr(base);
                concat([base, text("."), self.ident(name)])
            }
            ExprKind::Unary { op, arg } => {
                // `∂x` is two tokens, of which the second is read as a name.
                let sign = match op {
                    UnaryOp::Not => "not ".to_string(),
                    UnaryOp::Partial(letters) => format!("∂{letters}"),
                    _ => self.token_at(e.span.start).to_string(),
                };
                let space = matches!(op, UnaryOp::Partial(_)) && !matches!(arg.kind, ExprKind::Paren { .. });
                concat([text(sign), text(if space { " " } else { "" }), self.expr(arg)])
            }
            ExprKind::Binary { op, .. } => self.binary(e, *op),
            ExprKind::Superscript { base, text: sup, .. } => concat([self.expr(base), text(sup)]),
            ExprKind::Transpose(base) => concat([self.expr(base), text("ᵀ")]),
            ExprKind::If { condition, then, otherwise } => {
                let condition = concat([text("if "), self.expr(condition)]);
                let then = concat([Doc::Line, text("then "), self.expr(then)]);
                let otherwise = concat([Doc::Line, text("else "), self.expr(otherwise)]);
                group(concat([condition, nest(concat([then, otherwise]))]))
            }
            ExprKind::Lambda { params, result, body } => {
                let mut parts = vec![text("fn"), self.params(params)];
                if let Some(ty) = result {
                    parts.extend([text(" -> "), self.ty(ty)]);
                }
                parts.extend([text(" "), self.block(body)]);
                concat(parts)
            }
            ExprKind::Integral { integrand, over } => {
                let mut parts = vec![self.expr(integrand)];
                if let Some(over) = over {
                    parts.push(self.expr(over));
                }
                concat([text("∫"), self.bracketed("(", parts, ")", end - 1, false)])
            }
            ExprKind::List { items, unit } => {
                let literal = |e: &Expr| matches!(e.kind, ExprKind::Number { .. } | ExprKind::Str(_));
                let fill = items.len() > 8 && items.iter().all(literal);
                let items: Vec<Doc> = items.iter().map(|i| self.expr(i)).collect();
                let close = unit.as_ref().map_or(end, |u| self.before_unit(u));
                let list = match fill {
                    true => {
                        let comments = self.comments_before(close - 1);
                        group(concat([
                            text("["),
                            nest(concat([Doc::Soft, Doc::Fill(items), comments])),
                            Doc::Soft,
                            text("]"),
                        ]))
                    }
                    false => self.bracketed("[", items, "]", close - 1, true),
                };
                concat([list, self.spaced_unit(unit)])
            }
            ExprKind::Comprehension { body, var, source, bracketed, unit } => {
                let body = self.expr(body);
                let clause = concat([text("for "), self.ident(var), text(" in "), self.expr(source)]);
                let inner = concat([body, Doc::Line, clause]);
                if *bracketed {
                    let close = unit.as_ref().map_or(end, |u| self.before_unit(u));
                    let list = self.bracketed("[", vec![inner], "]", close - 1, false);
                    concat([list, self.spaced_unit(unit)])
                } else {
                    group(inner)
                }
            }
            ExprKind::Paren { items, unit } => {
                let items: Vec<Doc> = items.iter().map(|i| self.expr(i)).collect();
                let close = unit.as_ref().map_or(end, |u| self.before_unit(u));
                let paren = self.bracketed("(", items, ")", close - 1, false);
                concat([paren, self.spaced_unit(unit)])
            }
        };
        concat([comments, doc])
    }

    /// Where the bracket before a unit closes.
    fn before_unit(&self, unit: &UnitExpr) -> usize {
        self.text[..unit.span.start as usize].trim_end_matches([' ', '\t']).len()
    }

    /// Operators of one strength in a row, which break together.
    fn binary(&mut self, e: &Expr, op: BinaryOp) -> Doc {
        let mut links = vec![];
        let mut first = e;
        while let ExprKind::Binary { op: inner, lhs, rhs } = &first.kind
            && strength(*inner) == strength(op)
        {
            links.push((*inner, lhs.span.end, &**rhs));
            first = lhs;
        }
        let mut parts = vec![self.expr(first)];
        for (op, after, rhs) in links.into_iter().rev() {
            let sign = match op {
                BinaryOp::And => "and",
                BinaryOp::Or => "or",
                _ => self.token_at(after),
            };
            if spaced(op) {
                parts.push(nest(concat([Doc::Line, text(sign), text(" "), self.expr(rhs)])));
            } else {
                parts.extend([text(sign), self.expr(rhs)]);
            }
        }
        group(concat(parts))
    }

    /// `( … )` after a callee; ends at byte `end`.
    pub fn args(&mut self, args: &[Arg], end: usize) -> Doc {
        // A function as last argument keeps the call open: `map(xs, fn(x) {`.
        let hugs = matches!(args, [.., Arg { value: Expr { kind: ExprKind::Lambda { .. }, .. }, .. }]);
        let mut docs: Vec<Doc> = args
            .iter()
            .map(|a| match &a.name {
                Some(name) => concat([self.ident(name), text("="), self.expr(&a.value)]),
                None => self.expr(&a.value),
            })
            .collect();
        let last = docs.pop();
        match last {
            Some(last) if hugs && last.breaks() && !docs.iter().any(Doc::breaks) => {
                docs.push(last);
                let comments = self.comments_before(end - 1);
                concat([text("("), join(docs, &text(", ")), comments, text(")")])
            }
            last => {
                docs.extend(last);
                self.bracketed("(", docs, ")", end - 1, true)
            }
        }
    }

    /// Parts between brackets, separated by commas; comments before byte `close` stay inside.
    pub fn bracketed(
        &mut self,
        open: &'static str,
        parts: Vec<Doc>,
        shut: &'static str,
        close: usize,
        comma: bool,
    ) -> Doc {
        let comments = self.comments_before(close);
        let empty = matches!(&comments, Doc::Concat(c) if c.is_empty());
        if parts.is_empty() && empty {
            return text(format!("{open}{shut}"));
        }
        let comma = if comma && !parts.is_empty() { Doc::IfBroken(",") } else { concat([]) };
        let parts = join(parts, &concat([text(","), Doc::Line]));
        group(concat([text(open), nest(concat([Doc::Soft, parts, comma, comments])), Doc::Soft, text(shut)]))
    }
}

/// Operators of equal strength associate with each other to the left.
fn strength(op: BinaryOp) -> usize {
    use BinaryOp::*;
    match op {
        Pipe => 0,
        Or => 1,
        And => 2,
        Le | Ge | Eq | Ne | Lt | Gt => 3,
        Range => 4,
        Add | Sub => 5,
        DoubleDot => 6,
        Mul | Div => 7,
        Dot | Cross | Outer => 8,
        Pow => 9,
    }
}

fn spaced(op: BinaryOp) -> bool {
    use BinaryOp::*;
    matches!(op, Pipe | Or | And | Le | Ge | Eq | Ne | Lt | Gt | Add | Sub)
}
