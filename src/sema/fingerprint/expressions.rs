//! Expressions and operators.

use super::Walk;
use crate::sema::hir::{Arg, Expr, ExprKind, Op};

impl Walk<'_, '_> {
    pub(super) fn expr(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Number { value, dimension, integer } => {
                self.tag("number");
                self.hash.number(*value).text(&dimension.to_string()).integer(u64::from(*integer));
            }
            ExprKind::Bool(b) => {
                self.tag("bool");
                self.hash.integer(u64::from(*b));
            }
            ExprKind::Str(s) => {
                self.tag("text");
                self.hash.text(s);
            }
            ExprKind::Local(l) => self.local(*l),
            ExprKind::Def(d) => {
                self.tag("def");
                let meaning = self.all.def(*d);
                self.hash.part(meaning);
            }
            ExprKind::Coordinate(axis) => {
                self.tag("coordinate");
                self.hash.integer(u64::from(*axis));
            }
            ExprKind::Time => self.tag("time"),
            ExprKind::Normal => self.tag("normal"),
            ExprKind::Intrinsic => self.tag("intrinsic"),
            ExprKind::Op { op, args } => {
                self.op(op);
                self.exprs(args);
            }
            ExprKind::Call { callee, args } => {
                self.tag("apply");
                self.expr(callee);
                self.args(args);
            }
            ExprKind::Member { base, name, .. } => {
                self.tag("member");
                self.expr(base);
                self.hash.text(name);
            }
            ExprKind::Index { base, indices } => {
                self.tag("index");
                self.expr(base);
                self.exprs(indices);
            }
            ExprKind::If { condition, then, otherwise } => {
                self.tag("if");
                self.expr(condition);
                self.expr(then);
                self.expr(otherwise);
            }
            ExprKind::Lambda(lambda) => {
                self.tag("fn");
                self.lambda(lambda);
            }
            ExprKind::List(items) => {
                self.tag("list");
                self.exprs(items);
            }
            ExprKind::Tuple(items) => {
                self.tag("tuple");
                self.exprs(items);
            }
            ExprKind::Comprehension { body, var, source } => {
                self.tag("for");
                self.expr(source);
                self.binder(*var);
                self.expr(body);
            }
            ExprKind::Error => self.tag("error"),
        }
    }

    pub(super) fn opt_expr(&mut self, e: Option<&Expr>) {
        match e {
            Some(e) => self.expr(e),
            None => self.tag("none"),
        }
    }

    pub(super) fn exprs(&mut self, items: &[Expr]) {
        self.count(items.len());
        items.iter().for_each(|e| self.expr(e));
    }

    pub(super) fn args(&mut self, args: &[Arg]) {
        self.count(args.len());
        for a in args {
            self.hash.text(a.name.as_deref().unwrap_or(""));
            self.expr(&a.value);
        }
    }

    pub(super) fn op(&mut self, op: &Op) {
        match op {
            Op::Partial(axes) => {
                self.tag("∂");
                self.hash.bytes(axes);
            }
            Op::Affine(u) => {
                self.tag("affine");
                self.hash.text(&u.dimension.to_string()).number(u.factor).number(u.offset);
            }
            Op::Neg => self.tag("neg"),
            other => self.tag(crate::sema::infer::symbol(other)),
        }
    }
}
