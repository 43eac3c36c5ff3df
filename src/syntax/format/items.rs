//! Items and statements.

use super::Printer;
use super::doc::{Doc, concat, group, join, nest, text};
use crate::base::Span;
use crate::syntax::ast::*;

impl Printer<'_> {
    pub fn item(&mut self, item: &Item) -> Doc {
        let end = item.span.end as usize;
        let head = |this: &mut Self, name: &Ident| this.lead(&item.doc, name.span);
        match &item.kind {
            ItemKind::Use { path, names } => {
                let lead = self.lead(&item.doc, path.span);
                let mut parts = vec![lead, text("use "), text(self.source(path.span))];
                if !names.is_empty() {
                    let names: Vec<Doc> = names.iter().map(|n| self.ident(n)).collect();
                    parts.push(text("."));
                    parts.push(self.bracketed("{", names, "}", end - 1, true));
                }
                concat(parts)
            }
            ItemKind::Param { name, ty, value, bounds } => {
                concat([head(self, name), text("param "), self.defined(name, ty, value), self.bounds(bounds)])
            }
            ItemKind::Unit { name, value } => {
                let mut parts = vec![head(self, name), text("unit "), self.ident(name)];
                if let Some(value) = value {
                    parts.extend([text(" = "), self.expr(value)]);
                }
                concat(parts)
            }
            ItemKind::Dim { name } => concat([head(self, name), text("dim "), self.ident(name)]),
            ItemKind::Let(l) => concat([head(self, &l.name), text("let "), self.defined(&l.name, &l.ty, &l.value)]),
            ItemKind::Fn { name, params, result, body } => concat([
                head(self, name),
                text("fn "),
                self.signature(name, params, result.as_ref()),
                text(" "),
                self.block(body),
            ]),
            ItemKind::Net { name, hyper, params, result, body } => concat([
                head(self, name),
                text("net "),
                self.ident(name),
                self.params(hyper),
                self.params(params),
                text(" -> "),
                self.ty(result),
                text(" "),
                self.block(body),
            ]),
            ItemKind::Closure { name, params, result, ensures } => {
                let mut parts = vec![head(self, name), text("closure "), self.signature(name, params, Some(result))];
                if !ensures.is_empty() {
                    let multi = self.multiline(result.span.end as usize, end);
                    let ensures: Vec<_> = ensures.iter().map(|e| (self.token_before(e.span.start), e)).collect();
                    let place = |(at, _): &(usize, &Expr)| *at;
                    parts.push(text(" "));
                    parts.push(
                        self.body(&ensures, multi, end, place, |this, (_, e)| concat([text("ensure "), this.expr(e)])),
                    );
                }
                concat(parts)
            }
            ItemKind::System { name, params, body } => {
                let head =
                    concat([head(self, name), text("system "), self.ident(name), self.params(params), text(" ")]);
                let multi = self.multiline(name.span.end as usize, end);
                let place = |s: &SystemStmt| s.span.start as usize;
                concat([head, self.body(body, multi, end, place, Self::system_stmt)])
            }
            ItemKind::Dataset(d) => {
                let lead = self.lead(&item.doc, d.name.span);
                concat([lead, self.dataset(d, end)])
            }
            ItemKind::Minimize { name, params, body } => {
                let head =
                    concat([head(self, name), text("minimize "), self.ident(name), self.opt_params(params), text(" ")]);
                let multi = self.multiline(name.span.end as usize, end);
                let place = |s: &MinimizeStmt| s.span.start as usize;
                concat([head, self.body(body, multi, end, place, Self::min_stmt)])
            }
            ItemKind::Study { name, params, body } => {
                let head =
                    concat([head(self, name), text("study "), self.ident(name), self.opt_params(params), text(" ")]);
                let multi = self.multiline(name.span.end as usize, end);
                let place = |s: &StudyStmt| s.span.start as usize;
                concat([head, self.body(body, multi, end, place, Self::study_stmt)])
            }
            ItemKind::Scale { name, ranges } => {
                let head = concat([head(self, name), text("scale "), self.ident(name), text(" ")]);
                let multi = self.multiline(name.span.end as usize, end);
                let place = |r: &(Ident, Expr)| r.0.span.start as usize;
                concat([
                    head,
                    self.body(ranges, multi, end, place, |this, (quantity, range)| {
                        concat([this.ident(quantity), text(": "), this.expr(range)])
                    }),
                ])
            }
            ItemKind::Error => text(self.source(item.span)),
        }
    }

    /// The doc comments of an item, then the comments before its name.
    fn lead(&mut self, doc: &[String], name: Span) -> Doc {
        let mut parts = vec![];
        for line in doc {
            let text = if line.is_empty() { "///".into() } else { format!("/// {line}") };
            parts.push(Doc::Comment { text, trailing: false });
        }
        parts.push(self.comments_before(name.start as usize));
        concat(parts)
    }

    /// `{ … }`: on one line if it was and fits, else a statement a line.
    fn body<S>(
        &mut self,
        statements: &[S],
        multi: bool,
        end: usize,
        place: impl Fn(&S) -> usize,
        print: impl Fn(&mut Self, &S) -> Doc,
    ) -> Doc {
        let mut parts = vec![];
        for (i, s) in statements.iter().enumerate() {
            if multi {
                self.statement_break(&mut parts, place(s), i == 0);
            } else {
                parts.extend((i > 0).then_some(Doc::Line));
            }
            parts.push(print(self, s));
        }
        if multi {
            self.statement_break_at_end(&mut parts, end - 1, statements.is_empty());
        } else {
            parts.push(self.comments_before(end - 1));
        }
        let line = if multi { Doc::Hard } else { Doc::Line };
        if parts.iter().all(|p| matches!(p, Doc::Concat(inner) if inner.is_empty())) {
            return text("{}");
        }
        group(concat([text("{"), nest(concat([line.clone(), concat(parts)])), line, text("}")]))
    }

    /// The comments before a closing brace.
    fn statement_break_at_end(&mut self, parts: &mut Vec<Doc>, at: usize, first: bool) {
        let before = parts.len();
        self.statement_break(parts, at, first);
        // The line break before the brace is the body's.
        if parts.len() > before && matches!(parts.last(), Some(Doc::Hard)) {
            parts.pop();
            if matches!(parts.last(), Some(Doc::Blank)) {
                parts.pop();
            }
        }
    }

    fn dataset(&mut self, d: &Dataset, end: usize) -> Doc {
        let head = concat([text("dataset "), self.ident(&d.name), self.params(&d.params), text(" ")]);
        let multi = self.multiline(d.name.span.end as usize, end);
        let place = |r: &Row| r.span.start as usize;
        let body = self.body(&d.rows, multi, end, place, |this, row| {
            let sign = if row.draw { " ~ " } else { " = " };
            concat([this.lead(&row.doc, row.name.span), this.ident(&row.name), text(sign), this.expr(&row.value)])
        });
        concat([head, body])
    }

    fn system_stmt(&mut self, s: &SystemStmt) -> Doc {
        let (lead, rest) = match &s.kind {
            SystemStmtKind::Unknown { name, ty, nominal } => {
                let lead = self.lead(&s.doc, name.span);
                let mut parts = vec![text("unknown "), self.ident(name), text(": "), self.ty(ty)];
                if let Some(nominal) = nominal {
                    parts.extend([text(" ~ "), self.expr(nominal)]);
                }
                (lead, concat(parts))
            }
            SystemStmtKind::Include { path, args } => {
                let lead = self.lead(&s.doc, path.span);
                let call =
                    concat([text("include "), text(self.source(path.span)), self.args(args, s.span.end as usize)]);
                (lead, call)
            }
            SystemStmtKind::Let(l) => {
                (self.lead(&s.doc, l.name.span), concat([text("let "), self.defined(&l.name, &l.ty, &l.value)]))
            }
            SystemStmtKind::Eq { name, equation } => (
                self.lead(&s.doc, name.span),
                concat([text("eq "), self.ident(name), text(": "), self.equation(equation)]),
            ),
            SystemStmtKind::Weak { name, equation } => (
                self.lead(&s.doc, name.span),
                concat([text("weak "), self.ident(name), text(": "), self.equation(equation)]),
            ),
            SystemStmtKind::On { places, equation } => {
                let lead = self.lead(&s.doc, places.first().map_or(s.span, |p| p.span));
                let places = places.iter().map(|p| text(self.source(p.span)));
                let places = join(places, &text(", "));
                (lead, concat([text("on "), places, text(": "), self.equation(equation)]))
            }
            SystemStmtKind::Init(equation) => {
                (self.lead(&s.doc, equation.lhs.span), concat([text("init "), self.equation(equation)]))
            }
            SystemStmtKind::Ensure { name, claim } => (
                self.lead(&s.doc, name.span),
                concat([text("ensure "), self.ident(name), text(": "), self.expr(claim)]),
            ),
            SystemStmtKind::Error => (Doc::Concat(vec![]), text(self.source(s.span))),
        };
        concat([lead, rest])
    }

    fn min_stmt(&mut self, s: &MinimizeStmt) -> Doc {
        match &s.kind {
            MinimizeStmtKind::Over { name, ty, value, bounds } => concat([
                self.lead(&s.doc, name.span),
                text("over "),
                self.defined(name, ty, value),
                self.bounds(bounds),
            ]),
            MinimizeStmtKind::Let(l) => {
                concat([self.lead(&s.doc, l.name.span), text("let "), self.defined(&l.name, &l.ty, &l.value)])
            }
            MinimizeStmtKind::Loss { name, params, value } => concat([
                self.lead(&s.doc, name.span),
                text("loss "),
                self.ident(name),
                self.opt_params(params),
                text(" = "),
                self.expr(value),
            ]),
            MinimizeStmtKind::Subject { name, value } => {
                concat([self.lead(&s.doc, name.span), text("subject "), self.ident(name), text(": "), self.expr(value)])
            }
            MinimizeStmtKind::Stage(e) => concat([self.lead(&s.doc, e.span), text("stage "), self.expr(e)]),
            MinimizeStmtKind::Error => text(self.source(s.span)),
        }
    }

    fn study_stmt(&mut self, s: &StudyStmt) -> Doc {
        match &s.kind {
            StudyStmtKind::Let(l) => {
                concat([self.lead(&s.doc, l.name.span), text("let "), self.defined(&l.name, &l.ty, &l.value)])
            }
            StudyStmtKind::Dataset(d) => concat([self.lead(&s.doc, d.name.span), self.dataset(d, s.span.end as usize)]),
            StudyStmtKind::Check(e) => concat([self.lead(&s.doc, e.span), text("check "), self.expr(e)]),
            StudyStmtKind::For { var, source, body } => {
                let lead = self.lead(&s.doc, var.span);
                let head = concat([text("for "), self.ident(var), text(" in "), self.expr(source), text(" ")]);
                let end = s.span.end as usize;
                let multi = self.multiline(source.span.end as usize, end);
                let place = |s: &StudyStmt| s.span.start as usize;
                concat([lead, head, self.body(body, multi, end, place, Self::study_stmt)])
            }
            StudyStmtKind::Call(e) => concat([self.lead(&s.doc, e.span), self.expr(e)]),
            StudyStmtKind::Error => text(self.source(s.span)),
        }
    }

    pub fn block(&mut self, block: &Block) -> Doc {
        let (start, end) = (block.span.start as usize, block.span.end as usize);
        let parts = block.stmts.iter().map(Part::Stmt).chain([Part::Result(&block.result)]);
        let parts: Vec<(usize, Part)> = parts.map(|part| (self.place(&part), part)).collect();
        let multi = self.multiline(start, end);
        self.body(
            &parts,
            multi,
            end,
            |(at, _)| *at,
            |this, (_, part)| match part {
                Part::Result(e) => this.expr(e),
                Part::Stmt(BlockStmt::Let(l)) => concat([
                    this.comments_before(l.name.span.start as usize),
                    text("let "),
                    this.defined(&l.name, &l.ty, &l.value),
                ]),
                Part::Stmt(BlockStmt::Weight { name, ty, init }) => concat([
                    this.comments_before(name.span.start as usize),
                    text("weight "),
                    this.ident(name),
                    text(": "),
                    this.ty(ty),
                    text(" = "),
                    this.expr(init),
                ]),
                Part::Stmt(BlockStmt::Next { name, value }) => concat([
                    this.comments_before(name.span.start as usize),
                    text("next "),
                    this.ident(name),
                    text(" = "),
                    this.expr(value),
                ]),
            },
        )
    }

    /// Where a line of a block begins.
    fn place(&self, part: &Part) -> usize {
        match part {
            Part::Stmt(BlockStmt::Let(l)) => l.span.start as usize,
            Part::Stmt(BlockStmt::Weight { name, .. } | BlockStmt::Next { name, .. }) => {
                self.token_before(name.span.start)
            }
            Part::Result(e) => e.span.start as usize,
        }
    }

    /// `name: type = value`
    fn defined(&mut self, name: &Ident, ty: &Option<Type>, value: &Expr) -> Doc {
        let mut parts = vec![self.ident(name)];
        if let Some(ty) = ty {
            parts.extend([text(": "), self.ty(ty)]);
        }
        parts.extend([text(" = "), self.expr(value)]);
        concat(parts)
    }

    fn bounds(&mut self, bounds: &Option<Expr>) -> Doc {
        match bounds {
            Some(bounds) => concat([text(" in "), self.expr(bounds)]),
            None => concat([]),
        }
    }

    /// `left = right`, broken before the sign where it is too long.
    fn equation(&mut self, equation: &Equation) -> Doc {
        let (lhs, rhs) = (self.expr(&equation.lhs), self.expr(&equation.rhs));
        group(concat([lhs, nest(concat([Doc::Line, text("= "), rhs]))]))
    }

    pub fn signature(&mut self, name: &Ident, params: &[Param], result: Option<&Type>) -> Doc {
        let mut parts = vec![self.ident(name), self.params(params)];
        if let Some(ty) = result {
            parts.extend([text(" -> "), self.ty(ty)]);
        }
        concat(parts)
    }

    fn opt_params(&mut self, params: &[Param]) -> Doc {
        if params.is_empty() { concat([]) } else { self.params(params) }
    }

    pub fn params(&mut self, params: &[Param]) -> Doc {
        let docs: Vec<Doc> = params
            .iter()
            .map(|p| {
                let mut parts = vec![self.comments_before(p.name.span.start as usize)];
                parts.push(text(if p.state { "state " } else { "" }));
                parts.push(self.ident(&p.name));
                if let Some(ty) = &p.ty {
                    parts.extend([text(": "), self.ty(ty)]);
                }
                if let Some(default) = &p.default {
                    parts.extend([text(" = "), self.expr(default)]);
                }
                concat(parts)
            })
            .collect();
        // Comments before the closing parenthesis come out with what follows it.
        self.bracketed("(", docs, ")", 0, true)
    }

    pub fn ty(&mut self, ty: &Type) -> Doc {
        let mut parts = vec![self.comments_before(ty.span.start as usize)];
        if let Some(path) = &ty.path {
            parts.push(text(self.source(path.span)));
        }
        if !ty.args.is_empty() {
            let args: Vec<Doc> = ty.args.iter().map(|a| self.expr(a)).collect();
            parts.push(self.bracketed("(", args, ")", 0, false));
        }
        if let Some(unit) = &ty.unit {
            parts.push(self.unit(unit));
        }
        concat(parts)
    }
}

/// A line of a block.
enum Part<'a> {
    Stmt(&'a BlockStmt),
    Result(&'a Expr),
}
