//! Content hashes of definitions and expressions: what a result was computed from.
//!
//! Hashed is meaning, not text: numbers in SI, definitions by their own hash in place of their name, local names by their order
//! of binding. White space, comments, documentation, names of lets and the order of items change nothing. What others may refer
//! to by name counts: parameters, members, columns, losses, and what random streams are named after (datasets, minimizes, weights).

use super::hir::{
    Arg, Block, BlockStmt, Dataset, DefId, DefKind, Expr, ExprKind, Lambda, LocalId, MinimizeStmt, MinimizeStmtKind,
    Op, Param, Program, StudyStmt, StudyStmtKind, System, SystemStmt, SystemStmtKind, TypeExpr, TypeExprKind,
};
use crate::base::Fingerprint;
use crate::base::fingerprint::Hasher;
use std::cell::RefCell;
use std::collections::HashMap;

/// What a free local stands for, where the one who asks knows.
pub type Free<'a> = &'a dyn Fn(LocalId) -> Option<Fingerprint>;

/// Fingerprints of one program; each definition is hashed once.
pub struct Fingerprints<'p> {
    program: &'p Program,
    defs: RefCell<HashMap<DefId, Option<Fingerprint>>>,
}

impl<'p> Fingerprints<'p> {
    pub fn new(program: &'p Program) -> Fingerprints<'p> {
        Fingerprints { program, defs: RefCell::default() }
    }

    /// Of a definition and all that it refers to.
    pub fn def(&self, id: DefId) -> Fingerprint {
        if let Some(known) = self.defs.borrow().get(&id) {
            // A definition that needs itself is an error elsewhere; here it only must not recurse.
            return known.unwrap_or_else(|| Fingerprint::of(b"cycle"));
        }
        self.defs.borrow_mut().insert(id, None);
        let mut w = Walk::new(self, "definition", &|_| None);
        w.definition(id);
        let found = w.hash.finish();
        self.defs.borrow_mut().insert(id, Some(found));
        found
    }

    /// Of an expression; `free` gives what the locals that it does not bind stand for.
    pub fn expr(&self, e: &Expr, free: Free) -> Fingerprint {
        let mut w = Walk::new(self, "expression", free);
        w.expr(e);
        w.hash.finish()
    }

    /// Of a function with what it captures.
    pub fn lambda(&self, lambda: &Lambda, free: Free) -> Fingerprint {
        let mut w = Walk::new(self, "function", free);
        w.lambda(lambda);
        w.hash.finish()
    }

    /// Of a dataset that stands inside a study.
    pub fn dataset(&self, dataset: &Dataset, free: Free) -> Fingerprint {
        let mut w = Walk::new(self, "dataset", free);
        w.dataset(dataset);
        w.hash.finish()
    }
}

struct Walk<'a, 'p> {
    all: &'a Fingerprints<'p>,
    hash: Hasher,
    bound: HashMap<LocalId, u64>,
    free: Free<'a>,
}

impl<'a, 'p> Walk<'a, 'p> {
    fn new(all: &'a Fingerprints<'p>, domain: &str, free: Free<'a>) -> Walk<'a, 'p> {
        Walk { all, hash: Hasher::new(domain), bound: HashMap::new(), free }
    }

    fn tag(&mut self, tag: &str) {
        self.hash.text(tag);
    }

    fn count(&mut self, n: usize) {
        self.hash.integer(n as u64);
    }

    fn binder(&mut self, local: LocalId) {
        let next = self.bound.len() as u64;
        self.bound.insert(local, next);
    }

    fn local(&mut self, local: LocalId) {
        if let Some(&i) = self.bound.get(&local) {
            self.tag("bound");
            self.hash.integer(i);
        } else if let Some(meaning) = (self.free)(local) {
            self.tag("free");
            self.hash.part(meaning);
        } else {
            self.tag("name");
            let name = self.all.program.local(local).name.clone();
            self.hash.text(&name);
        }
    }

    fn definition(&mut self, id: DefId) {
        let program = self.all.program;
        let def = program.def(id);
        if is_intrinsic(&def.kind) {
            self.tag("intrinsic");
            self.hash.text(&def.name).text(env!("CARGO_PKG_VERSION"));
            // Defaults are part of what a call without the argument means.
            if let DefKind::Fn(lambda) = &def.kind {
                self.params(&lambda.params);
            }
            return;
        }
        match &def.kind {
            DefKind::Param { ty, value, .. } | DefKind::Let { ty, value } => {
                self.tag("value");
                self.opt_ty(ty.as_ref());
                self.expr(value);
            }
            DefKind::Fn(lambda) => {
                self.tag("fn");
                self.lambda(lambda);
            }
            DefKind::Net { hyper, lambda } => {
                self.tag("net");
                self.hash.text(&def.name);
                self.params(hyper);
                self.lambda(lambda);
            }
            DefKind::Closure { params, result, ensures, result_local } => {
                self.tag("closure");
                self.params(params);
                self.ty(result);
                self.binder(*result_local);
                self.exprs(ensures);
            }
            DefKind::System(system) => {
                self.tag("system");
                self.system(system);
            }
            DefKind::Dataset(dataset) => {
                self.tag("dataset");
                self.hash.text(&def.name);
                self.dataset(dataset);
            }
            DefKind::Minimize { params, stmts } => {
                self.tag("minimize");
                self.hash.text(&def.name);
                self.params(params);
                self.count(stmts.len());
                stmts.iter().for_each(|s| self.minimize_stmt(s));
            }
            DefKind::Study { params, stmts } => {
                self.tag("study");
                self.params(params);
                self.study(stmts);
            }
            // A scale is held against results, it does not change them.
            DefKind::Scale { .. } => self.tag("scale"),
            DefKind::Unit(u) => {
                self.tag("unit");
                self.hash.text(&u.dimension.to_string()).number(u.factor).number(u.offset);
            }
            DefKind::Dim(d) => {
                self.tag("dim");
                self.hash.text(&d.to_string());
            }
            DefKind::Error => self.tag("error"),
        }
    }

    fn params(&mut self, params: &[Param]) {
        self.count(params.len());
        for p in params {
            self.hash.text(&p.name).integer(u64::from(p.state));
            self.opt_ty(p.ty.as_ref());
            self.opt_expr(p.default.as_ref());
            self.binder(p.local);
        }
    }

    fn lambda(&mut self, lambda: &Lambda) {
        lambda.implicit.iter().for_each(|l| self.binder(*l));
        self.params(&lambda.params);
        self.opt_ty(lambda.result.as_ref());
        self.block(&lambda.body);
    }

    fn block(&mut self, block: &Block) {
        self.count(block.stmts.len());
        for s in &block.stmts {
            match s {
                BlockStmt::Let { local, ty, value } => {
                    self.tag("let");
                    self.opt_ty(ty.as_ref());
                    self.expr(value);
                    self.binder(*local);
                }
                BlockStmt::Weight { local, name, ty, init } => {
                    self.tag("weight");
                    self.hash.text(name);
                    self.ty(ty);
                    self.expr(init);
                    self.binder(*local);
                }
                BlockStmt::Next { state, value } => {
                    self.tag("next");
                    self.local(*state);
                    self.expr(value);
                }
            }
        }
        self.expr(&block.result);
    }

    fn system(&mut self, system: &System) {
        self.params(&system.params);
        for s in &system.stmts {
            if let SystemStmtKind::Unknown { local, .. } = s.kind {
                self.binder(local);
            }
        }
        self.count(system.stmts.len());
        system.stmts.iter().for_each(|s| self.system_stmt(s));
    }

    fn system_stmt(&mut self, s: &SystemStmt) {
        match &s.kind {
            SystemStmtKind::Unknown { name, ty, nominal, .. } => {
                self.tag("unknown");
                self.hash.text(name);
                self.ty(ty);
                self.opt_expr(nominal.as_ref());
            }
            SystemStmtKind::Include { system, args, binds } => {
                self.tag("include");
                let meaning = self.all.def(*system);
                self.hash.part(meaning);
                self.args(args);
                binds.iter().for_each(|(here, _)| self.binder(*here));
            }
            SystemStmtKind::Let { local, ty, value } => {
                self.tag("let");
                let name = self.all.program.local(*local).name.clone();
                self.hash.text(&name);
                self.opt_ty(ty.as_ref());
                self.expr(value);
                self.binder(*local);
            }
            SystemStmtKind::Eq { name, lhs, rhs } => self.equation("eq", name, lhs, rhs),
            SystemStmtKind::Weak { name, lhs, rhs } => self.equation("weak", name, lhs, rhs),
            SystemStmtKind::On { places, lhs, rhs } => {
                self.tag("on");
                self.count(places.len());
                for p in places {
                    self.expr(&p.domain);
                    self.hash.text(&p.part);
                }
                self.expr(lhs);
                self.expr(rhs);
            }
            SystemStmtKind::Init { lhs, rhs } => self.equation("init", "", lhs, rhs),
        }
    }

    fn equation(&mut self, tag: &str, name: &str, lhs: &Expr, rhs: &Expr) {
        self.tag(tag);
        self.hash.text(name);
        self.expr(lhs);
        self.expr(rhs);
    }

    fn dataset(&mut self, d: &Dataset) {
        self.params(&d.params);
        self.count(d.rows.len());
        for row in &d.rows {
            self.hash.text(&row.name).integer(u64::from(row.draw));
            self.expr(&row.value);
            self.binder(row.local);
        }
    }

    fn minimize_stmt(&mut self, s: &MinimizeStmt) {
        match &s.kind {
            MinimizeStmtKind::Over { local, name, ty, value, bounds } => {
                self.tag("over");
                self.hash.text(name);
                self.opt_ty(ty.as_ref());
                self.expr(value);
                self.opt_expr(bounds.as_ref());
                self.binder(*local);
            }
            MinimizeStmtKind::Let { local, name, ty, value } => {
                self.tag("let");
                self.hash.text(name);
                self.opt_ty(ty.as_ref());
                self.expr(value);
                self.binder(*local);
            }
            MinimizeStmtKind::Loss { local, name, params, value } => {
                self.tag("loss");
                self.hash.text(name);
                self.params(params);
                self.expr(value);
                self.binder(*local);
            }
            MinimizeStmtKind::Subject { name, value } => {
                self.tag("subject");
                self.hash.text(name);
                self.expr(value);
            }
            MinimizeStmtKind::Stage(e) => {
                self.tag("stage");
                self.expr(e);
            }
        }
    }

    fn study(&mut self, stmts: &[StudyStmt]) {
        self.count(stmts.len());
        for s in stmts {
            match &s.kind {
                StudyStmtKind::Let { local, ty, value } => {
                    self.tag("let");
                    self.opt_ty(ty.as_ref());
                    self.expr(value);
                    self.binder(*local);
                }
                StudyStmtKind::Dataset { local, dataset } => {
                    self.tag("dataset");
                    self.dataset(dataset);
                    self.binder(*local);
                }
                StudyStmtKind::Check(e) => {
                    self.tag("check");
                    self.expr(e);
                }
                StudyStmtKind::For { var, source, body } => {
                    self.tag("for");
                    self.expr(source);
                    self.binder(*var);
                    self.study(body);
                }
                StudyStmtKind::Call(e) => {
                    self.tag("call");
                    self.expr(e);
                }
            }
        }
    }

    // ---- types

    fn opt_ty(&mut self, ty: Option<&TypeExpr>) {
        match ty {
            Some(ty) => self.ty(ty),
            None => self.tag("untyped"),
        }
    }

    fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeExprKind::Real => self.tag("Real"),
            TypeExprKind::Int => self.tag("Int"),
            TypeExprKind::Bool => self.tag("Bool"),
            TypeExprKind::Str => self.tag("Str"),
            TypeExprKind::Vec(n) => self.sized("Vec", n.as_deref()),
            TypeExprKind::Sym(n) => self.sized("Sym", n.as_deref()),
            TypeExprKind::Stiff(n) => self.sized("Stiff", n.as_deref()),
            TypeExprKind::Domain(n) => self.sized("Domain", n.as_deref()),
            TypeExprKind::Mat(m, n) => {
                self.tag("Mat");
                self.expr(m);
                self.expr(n);
            }
            TypeExprKind::Field { domain, element } => {
                self.tag("Field");
                self.expr(domain);
                self.ty(element);
            }
            TypeExprKind::Closure(def) => {
                self.tag("closure");
                let meaning = self.all.def(*def);
                self.hash.part(meaning);
            }
            TypeExprKind::UnknownOf { system, unknown } => {
                self.tag("unknown of");
                let meaning = self.all.def(*system);
                self.hash.part(meaning).text(unknown);
            }
            TypeExprKind::Error => self.tag("error"),
        }
        match &ty.unit {
            Some(u) => {
                self.hash.text(&u.dimension.to_string());
            }
            None => self.tag("no unit"),
        }
    }

    fn sized(&mut self, tag: &str, n: Option<&Expr>) {
        self.tag(tag);
        self.opt_expr(n);
    }

    // ---- expressions

    fn opt_expr(&mut self, e: Option<&Expr>) {
        match e {
            Some(e) => self.expr(e),
            None => self.tag("none"),
        }
    }

    fn exprs(&mut self, items: &[Expr]) {
        self.count(items.len());
        items.iter().for_each(|e| self.expr(e));
    }

    fn args(&mut self, args: &[Arg]) {
        self.count(args.len());
        for a in args {
            self.hash.text(a.name.as_deref().unwrap_or(""));
            self.expr(&a.value);
        }
    }

    fn expr(&mut self, e: &Expr) {
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

    fn op(&mut self, op: &Op) {
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
            other => self.tag(super::infer::symbol(other)),
        }
    }
}

/// Implemented in Rust under its name.
fn is_intrinsic(kind: &DefKind) -> bool {
    match kind {
        DefKind::Fn(lambda) => matches!(lambda.body.result.kind, ExprKind::Intrinsic),
        DefKind::Let { value, .. } => matches!(value.kind, ExprKind::Intrinsic),
        _ => false,
    }
}
