//! Expressions: names become references, sugar goes away.

use super::unit::si_value;
use super::{MAX_DEPTH, Resolver};
use crate::base::{Diagnostic, Dimension, Span, Unit};
use crate::sema::hir::{Arg, Block, BlockStmt, DefId, Expr, ExprKind, Lambda, LocalId, ModuleId, Op};
use crate::sema::stdlib;
use crate::syntax::ast::{self, BinaryOp, UnaryOp};

impl<'a> Resolver<'a> {
    pub(super) fn expr(&mut self, e: &ast::Expr) -> Expr {
        self.depth += 1;
        let out = if self.depth > MAX_DEPTH {
            if self.depth == MAX_DEPTH + 1 {
                self.report(
                    Diagnostic::error(
                        "syntax.nesting",
                        e.span,
                        format!("an expression of more than {MAX_DEPTH} levels"),
                    )
                    .help("name its parts with `let`, or use a list and `sum`"),
                );
            }
            self.error_expr(e.span)
        } else {
            self.expr_kind(e)
        };
        self.depth -= 1;
        out
    }

    fn expr_kind(&mut self, e: &ast::Expr) -> Expr {
        let span = e.span;
        match &e.kind {
            ast::ExprKind::Number { value, text, unit } => {
                let unit = unit.as_ref().map(|u| self.unit(u, true));
                self.number(*value, text, unit.as_ref(), span)
            }
            ast::ExprKind::Str(s) => self.make(span, ExprKind::Str(s.clone())),
            ast::ExprKind::Name(name) => self.name(name),
            ast::ExprKind::Call { callee, args } => {
                let callee = Box::new(self.expr(callee));
                let args = self.args(args);
                self.make(span, ExprKind::Call { callee, args })
            }
            ast::ExprKind::Index { base, indices } => {
                let base = Box::new(self.expr(base));
                let indices = indices.iter().map(|i| self.index(i)).collect();
                self.make(span, ExprKind::Index { base, indices })
            }
            ast::ExprKind::Member { base, name } => self.member(base, name, span),
            ast::ExprKind::Unary { op, arg } => self.unary(op, arg, span),
            ast::ExprKind::Binary { op: BinaryOp::Pipe, lhs, rhs } => {
                let value = self.expr(lhs);
                let callee = Box::new(self.expr(rhs));
                self.make(span, ExprKind::Call { callee, args: vec![Arg { name: None, value }] })
            }
            ast::ExprKind::Binary { op, lhs, rhs } => {
                let args = vec![self.expr(lhs), self.expr(rhs)];
                self.make(span, ExprKind::Op { op: binary(*op), args })
            }
            ast::ExprKind::Superscript { base, exponent, .. } => {
                let base = self.expr(base);
                let kind = ExprKind::Number { value: *exponent as f64, dimension: Dimension::none(), integer: true };
                let exponent = self.make(span, kind);
                self.make(span, ExprKind::Op { op: Op::Pow, args: vec![base, exponent] })
            }
            ast::ExprKind::Transpose(a) => {
                let args = vec![self.expr(a)];
                self.make(span, ExprKind::Op { op: Op::Transpose, args })
            }
            ast::ExprKind::If { condition, then, otherwise } => {
                let condition = Box::new(self.expr(condition));
                let then = Box::new(self.expr(then));
                let otherwise = Box::new(self.expr(otherwise));
                self.make(span, ExprKind::If { condition, then, otherwise })
            }
            ast::ExprKind::Lambda { params, result, body } => {
                let lambda = Box::new(self.lambda(params, result.as_ref(), body));
                self.make(span, ExprKind::Lambda(lambda))
            }
            ast::ExprKind::Integral { integrand, over } => {
                let mut args = vec![Arg { name: None, value: self.expr(integrand) }];
                if let Some(over) = over {
                    args.push(Arg { name: None, value: self.expr(over) });
                }
                let callee = match self.prelude.get("integrate").copied() {
                    Some(def) => self.make(span, ExprKind::Def(def)),
                    None => self.error_expr(span),
                };
                self.make(span, ExprKind::Call { callee: Box::new(callee), args })
            }
            ast::ExprKind::List { items, unit } => {
                let items = items.iter().map(|i| self.expr(i)).collect();
                let list = self.make(span, ExprKind::List(items));
                self.with_unit(list, unit.as_ref())
            }
            ast::ExprKind::Comprehension { body, var, source, unit, .. } => {
                let source = Box::new(self.expr(source));
                self.scopes.open();
                let var = self.bind(var);
                let body = self.expr(body);
                let body = Box::new(self.with_unit(body, unit.as_ref()));
                self.scopes.close();
                self.make(span, ExprKind::Comprehension { body, var, source })
            }
            ast::ExprKind::Paren { items, unit } => match items.as_slice() {
                [one] => {
                    let inner = self.expr(one);
                    self.with_unit(inner, unit.as_ref())
                }
                _ => {
                    let items = items.iter().map(|i| self.expr(i)).collect();
                    let tuple = self.make(span, ExprKind::Tuple(items));
                    self.with_unit(tuple, unit.as_ref())
                }
            },
            ast::ExprKind::Error => self.error_expr(span),
        }
    }

    fn number(&mut self, value: f64, text: &str, unit: Option<&Unit>, span: Span) -> Expr {
        let kind = match unit {
            Some(u) => {
                ExprKind::Number { value: si_value(text, value, u), dimension: u.dimension.clone(), integer: false }
            }
            None => {
                let integer = !text.contains(['.', 'e', 'E']);
                ExprKind::Number { value, dimension: Dimension::none(), integer }
            }
        };
        self.make(span, kind)
    }

    /// A unit on a list, range or parenthesis goes to its literals; what is left of it is an `Affine`.
    fn with_unit(&mut self, e: Expr, unit: Option<&ast::UnitExpr>) -> Expr {
        let Some(unit) = unit else { return e };
        let unit = self.unit(unit, true);
        self.distribute(e, &unit)
    }

    fn distribute(&mut self, mut e: Expr, unit: &Unit) -> Expr {
        match &mut e.kind {
            ExprKind::Number { value, dimension, integer } if dimension.is_none() => {
                *value = si_value(&format!("{value}"), *value, unit);
                *dimension = unit.dimension.clone();
                *integer = false;
                e
            }
            ExprKind::Op { op: Op::Neg, args }
                if matches!(args[0].kind, ExprKind::Number { .. }) && unit.offset == 0.0 =>
            {
                *args = std::mem::take(args).into_iter().map(|a| self.distribute(a, unit)).collect();
                e
            }
            ExprKind::Op { op: Op::Neg, args } => match &args[0].kind {
                ExprKind::Number { value, dimension, .. } if dimension.is_none() => {
                    let value = unit.to_si(-value);
                    self.make(e.span, ExprKind::Number { value, dimension: unit.dimension.clone(), integer: false })
                }
                _ => self.affine(e, unit),
            },
            ExprKind::Op { op: Op::Range, args } => {
                *args = std::mem::take(args).into_iter().map(|a| self.distribute(a, unit)).collect();
                e
            }
            ExprKind::List(items) | ExprKind::Tuple(items) => {
                *items = std::mem::take(items).into_iter().map(|a| self.distribute(a, unit)).collect();
                e
            }
            ExprKind::Comprehension { body, .. } => {
                let inner = std::mem::replace(&mut body.kind, ExprKind::Error);
                let inner = Expr { kind: inner, ..**body };
                **body = self.distribute(inner, unit);
                e
            }
            _ => self.affine(e, unit),
        }
    }

    fn affine(&mut self, e: Expr, unit: &Unit) -> Expr {
        self.make(e.span, ExprKind::Op { op: Op::Affine(unit.clone()), args: vec![e] })
    }

    fn unary(&mut self, op: &UnaryOp, arg: &ast::Expr, span: Span) -> Expr {
        // `-20 [degC]` is a reading of minus twenty, not minus (twenty degrees above 0 °C).
        if let (UnaryOp::Neg, ast::ExprKind::Number { value, unit: Some(u), .. }) = (op, &arg.kind) {
            let unit = self.unit(u, true);
            if unit.offset != 0.0 {
                let value = unit.to_si(-value);
                return self.make(span, ExprKind::Number { value, dimension: unit.dimension, integer: false });
            }
        }
        let op = match op {
            UnaryOp::Neg => Op::Neg,
            UnaryOp::Not => Op::Not,
            UnaryOp::Sqrt => Op::Sqrt,
            UnaryOp::Grad => Op::Grad,
            UnaryOp::Div => Op::Div,
            UnaryOp::Curl => Op::Curl,
            UnaryOp::Lap => Op::Lap,
            UnaryOp::Partial(letters) => match letters.chars().map(axis).collect::<Option<Vec<u8>>>() {
                Some(axes) => Op::Partial(axes),
                None => {
                    self.report(
                        Diagnostic::error("names.coordinate", span, format!("`∂{letters}` names no coordinate"))
                            .help("derivatives are by x, y, z and t: ∂x, ∂xy, ∂t"),
                    );
                    return self.error_expr(span);
                }
            },
        };
        let args = vec![self.expr(arg)];
        self.make(span, ExprKind::Op { op, args })
    }

    pub(super) fn args(&mut self, args: &[ast::Arg]) -> Vec<Arg> {
        args.iter().map(|a| Arg { name: a.name.as_ref().map(|n| n.name.clone()), value: self.expr(&a.value) }).collect()
    }

    /// Inside the brackets of an index, free letters `i j k l` are indices.
    fn index(&mut self, e: &ast::Expr) -> Expr {
        if let ast::ExprKind::Name(name) = &e.kind
            && self.scopes.find(&name.name).is_none()
            && self.lookup_def(&name.name).is_none()
        {
            let letters = self.program.modules.iter().find(|m| m.name == stdlib::LETTERS);
            if let Some(&def) = letters.and_then(|m| m.names.get(&name.name)) {
                return self.make(e.span, ExprKind::Def(def));
            }
        }
        self.expr(e)
    }

    fn name(&mut self, name: &ast::Ident) -> Expr {
        let span = name.span;
        if let Some(local) = self.scopes.find(&name.name) {
            return self.make(span, ExprKind::Local(local));
        }
        let coordinate = match name.name.as_str() {
            "x" => Some(ExprKind::Coordinate(0)),
            "y" => Some(ExprKind::Coordinate(1)),
            "z" => Some(ExprKind::Coordinate(2)),
            "t" => Some(ExprKind::Time),
            "n" => Some(ExprKind::Normal),
            _ => None,
        };
        // What has no value hides nothing.
        let def = self.lookup_def(&name.name).filter(|def| coordinate.is_none() || self.has_value(*def));
        if let Some(def) = def {
            return self.def_ref(def, span);
        }
        if let Some(kind) = coordinate {
            return self.make(span, kind);
        }
        let kind = match name.name.as_str() {
            "true" => ExprKind::Bool(true),
            "false" => ExprKind::Bool(false),
            "intrinsic" if self.in_library() => ExprKind::Intrinsic,
            _ => {
                self.unknown_name(name);
                ExprKind::Error
            }
        };
        self.make(span, kind)
    }

    fn def_ref(&mut self, def: DefId, span: Span) -> Expr {
        if self.is_unit(def) {
            let name = self.program.def(def).name.clone();
            self.report(
                Diagnostic::error("names.kind", span, format!("`{name}` is a unit, not a value"))
                    .help(format!("units stand in brackets after a number: 1 [{name}]")),
            );
            return self.error_expr(span);
        }
        self.make(span, ExprKind::Def(def))
    }

    fn in_library(&self) -> bool {
        self.program.modules[self.module.index()].name.starts_with("std.")
    }

    /// `a.b`: a member of a value, or a name of a module.
    fn member(&mut self, base: &ast::Expr, name: &ast::Ident, span: Span) -> Expr {
        if let Some(module) = self.module_of(base) {
            return match self.program.modules[module.index()].names.get(&name.name) {
                Some(&def) => self.def_ref(def, span),
                None => {
                    self.unknown_member_of_module(module, name);
                    self.error_expr(span)
                }
            };
        }
        let base = Box::new(self.expr(base));
        self.make(span, ExprKind::Member { base, name: name.name.clone(), name_span: name.span })
    }

    /// The module that an expression such as `nn` or `std.nn` names, unless a value of that name is in sight.
    fn module_of(&self, e: &ast::Expr) -> Option<ModuleId> {
        let path = match &e.kind {
            ast::ExprKind::Name(name) => {
                if self.scopes.find(&name.name).is_some() || self.lookup_def(&name.name).is_some() {
                    return None;
                }
                if let Some(&alias) = self.aliases[self.module.index()].get(&name.name) {
                    return Some(alias);
                }
                name.name.clone()
            }
            ast::ExprKind::Member { base, name } => match &base.kind {
                ast::ExprKind::Name(first) => format!("{}.{}", first.name, name.name),
                _ => return None,
            },
            _ => return None,
        };
        let found = self.program.modules.iter().position(|m| !m.name.is_empty() && m.name == path)?;
        Some(ModuleId(found as u32))
    }

    // ---- functions

    pub(super) fn lambda(&mut self, params: &[ast::Param], result: Option<&ast::Type>, body: &ast::Block) -> Lambda {
        self.scopes.open();
        let outer = self.implicit.take();
        let (params, mut implicit) = self.params(params, true);
        self.implicit = Some(vec![]);
        let result = result.map(|t| self.ty(t));
        implicit.extend(self.implicit.take().unwrap_or_default());
        let body = self.block(body);
        self.implicit = outer;
        self.scopes.close();
        Lambda { params, result, body, implicit }
    }

    fn block(&mut self, block: &ast::Block) -> Block {
        self.scopes.open();
        let mut stmts = vec![];
        for stmt in &block.stmts {
            stmts.push(match stmt {
                ast::BlockStmt::Let(l) => {
                    let (local, ty, value) = self.let_stmt(l);
                    BlockStmt::Let { local, ty, value }
                }
                ast::BlockStmt::Weight { name, ty, init } => {
                    let ty = self.ty(ty);
                    let init = self.expr(init);
                    self.check_fresh(name);
                    BlockStmt::Weight { local: self.bind(name), name: name.name.clone(), ty, init }
                }
                ast::BlockStmt::Next { name, value } => {
                    let value = self.expr(value);
                    match self.scopes.find(&name.name) {
                        Some(state) => BlockStmt::Next { state, value },
                        None => {
                            self.unknown_name(name);
                            continue;
                        }
                    }
                }
            });
        }
        let result = Box::new(self.expr(&block.result));
        self.scopes.close();
        Block { stmts, result }
    }

    /// A `let` of a block: its name is in force after it.
    pub(super) fn let_stmt(&mut self, l: &ast::Let) -> (LocalId, Option<crate::sema::hir::TypeExpr>, Expr) {
        let ty = l.ty.as_ref().map(|t| self.ty(t));
        let value = self.expr(&l.value);
        self.check_fresh(&l.name);
        (self.bind(&l.name), ty, value)
    }

    pub(super) fn bind(&mut self, name: &ast::Ident) -> LocalId {
        let local = self.new_local(name);
        self.scopes.bind(&name.name, local);
        local
    }

    pub(super) fn new_local(&mut self, name: &ast::Ident) -> LocalId {
        let local = LocalId(self.program.locals.len() as u32);
        self.program.locals.push(crate::sema::hir::Local { name: name.name.clone(), span: name.span });
        local
    }

    /// Two binders of one scope may not share a name.
    pub(super) fn check_fresh(&mut self, name: &ast::Ident) {
        if let Some(first) = self.scopes.find_innermost(&name.name) {
            let first = self.program.local(first).span;
            self.duplicate(name, first, "name");
        }
    }
}

fn axis(letter: char) -> Option<u8> {
    match letter {
        'x' => Some(0),
        'y' => Some(1),
        'z' => Some(2),
        't' => Some(3),
        _ => None,
    }
}

fn binary(op: BinaryOp) -> Op {
    match op {
        BinaryOp::Or => Op::Or,
        BinaryOp::And => Op::And,
        BinaryOp::Le => Op::Le,
        BinaryOp::Ge => Op::Ge,
        BinaryOp::Eq => Op::Eq,
        BinaryOp::Ne => Op::Ne,
        BinaryOp::Lt => Op::Lt,
        BinaryOp::Gt => Op::Gt,
        BinaryOp::Range => Op::Range,
        BinaryOp::Add => Op::Add,
        BinaryOp::Sub => Op::Sub,
        BinaryOp::DoubleDot => Op::DoubleDot,
        BinaryOp::Mul => Op::Mul,
        BinaryOp::Div => Op::Divide,
        BinaryOp::Dot => Op::Dot,
        BinaryOp::Cross => Op::Cross,
        BinaryOp::Outer => Op::Outer,
        BinaryOp::Pow => Op::Pow,
        BinaryOp::Pipe => unreachable!("compiler bug: pipes are resolved as calls"),
    }
}
