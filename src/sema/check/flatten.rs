//! A system with what it includes, as one list of unknowns, equations and conditions.

use crate::base::Span;
use crate::sema::hir::{DefId, DefKind, Expr, ExprKind, LocalId, Op, Program, System, SystemStmtKind, TypeExprKind};
use crate::sema::infer::Found;
use crate::sema::infer::ty::{DomainId, DomainInfo};
use crate::sema::types::Type;
use std::collections::HashMap;

pub struct Flat<'p> {
    pub system: DefId,
    pub unknowns: Vec<Unknown>,
    pub equations: Vec<Equation<'p>>,
    pub conditions: Vec<Condition<'p>>,
    pub inits: Vec<Init>,
}

pub struct Unknown {
    pub local: LocalId,
    pub name: String,
    pub span: Span,
    pub domain: Option<DomainId>,
    /// A number, not a field.
    pub number: bool,
    /// A field of vectors; none where its declaration does not say.
    pub vector: Option<bool>,
}

pub struct Equation<'p> {
    pub name: String,
    pub span: Span,
    pub uses: Vec<Use>,
    /// One number for the whole domain, such as `mean(w) = 0`.
    pub integral: bool,
    pub weak: bool,
    pub sides: [&'p Expr; 2],
}

pub struct Condition<'p> {
    pub span: Span,
    /// Names of the parts, each with its place and domain.
    pub places: Vec<(String, Span, Option<DomainId>)>,
    pub lhs: &'p Expr,
    pub uses: Vec<Use>,
    /// Speaks of the flux: holds the normal or a derivative of an unknown.
    pub natural: bool,
}

pub struct Init {
    pub span: Span,
    pub uses: Vec<Use>,
}

/// An occurrence of an unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    pub unknown: LocalId,
    /// Under a derivative in space, where a constant does not show.
    pub derived: bool,
    /// Under a derivative in time.
    pub in_time: bool,
}

impl<'p> Flat<'p> {
    /// Unknowns that are fields.
    pub fn fields(&self) -> usize {
        self.unknowns.iter().filter(|u| !u.number).count()
    }

    pub fn of(program: &'p Program, found: &Found, id: DefId, system: &'p System) -> Flat<'p> {
        let flat = Flat { system: id, unknowns: vec![], equations: vec![], conditions: vec![], inits: vec![] };
        let mut b = Builder {
            program,
            found,
            flat,
            lets: HashMap::new(),
            same: HashMap::new(),
            domains: HashMap::new(),
            depth: 0,
        };
        b.system(system, None);
        b.flat
    }
}

struct Builder<'a, 'p> {
    program: &'p Program,
    found: &'a Found,
    flat: Flat<'p>,
    lets: HashMap<LocalId, Vec<Use>>,
    /// A local of an including system, and the included one that it is.
    same: HashMap<LocalId, LocalId>,
    /// Domain parameters of included systems.
    domains: HashMap<LocalId, DomainId>,
    depth: usize,
}

impl<'a, 'p> Builder<'a, 'p> {
    fn system(&mut self, system: &'p System, seen_at: Option<Span>) {
        self.depth += 1;
        if self.depth > 32 {
            return;
        }
        for s in &system.stmts {
            let span = seen_at.unwrap_or(s.span);
            match &s.kind {
                SystemStmtKind::Unknown { local, name, ty, .. } => {
                    let domain = match &ty.kind {
                        TypeExprKind::Field { domain, .. } => self.domain(domain),
                        _ => None,
                    };
                    let number = !matches!(ty.kind, TypeExprKind::Field { .. } | TypeExprKind::UnknownOf { .. });
                    let vector = match &ty.kind {
                        TypeExprKind::Field { element, .. } => match element.kind {
                            TypeExprKind::Real => Some(false),
                            TypeExprKind::Vec(_) => Some(true),
                            _ => None,
                        },
                        _ => None,
                    };
                    self.flat.unknowns.push(Unknown {
                        vector,
                        local: *local,
                        name: name.clone(),
                        span,
                        domain,
                        number,
                    });
                }
                SystemStmtKind::Include { system: target, args, binds } => {
                    let DefKind::System(inner) = &self.program.def(*target).kind else { continue };
                    for (i, arg) in args.iter().enumerate() {
                        let param = match &arg.name {
                            Some(name) => inner.params.iter().find(|p| p.name == *name),
                            None => inner.params.get(i),
                        };
                        if let (Some(p), Some(d)) = (param, self.domain(&arg.value)) {
                            self.domains.insert(p.local, d);
                        }
                        if let Some(p) = param {
                            let uses = self.uses(&[&arg.value]);
                            self.lets.insert(p.local, uses);
                        }
                    }
                    self.same.extend(binds.iter().copied());
                    self.system(inner, Some(span));
                }
                SystemStmtKind::Let { local, value, .. } => {
                    let uses = self.uses(&[value]);
                    self.lets.insert(*local, uses);
                }
                SystemStmtKind::Eq { name, lhs, rhs } | SystemStmtKind::Weak { name, lhs, rhs } => {
                    let weak = matches!(s.kind, SystemStmtKind::Weak { .. });
                    let uses = self.uses(&[lhs, rhs]);
                    let plain = |e: &Expr| match &self.program.types[e.id.index()] {
                        Type::Number { field, .. } => field.is_none(),
                        Type::Int => true,
                        _ => false,
                    };
                    let integral = !weak && plain(lhs) && plain(rhs);
                    self.flat.equations.push(Equation {
                        name: name.clone(),
                        span,
                        uses,
                        integral,
                        weak,
                        sides: [lhs, rhs],
                    });
                }
                SystemStmtKind::On { places, lhs, rhs } => {
                    let uses = self.uses(&[lhs, rhs]);
                    let mut natural = uses.iter().any(|u| u.derived);
                    for e in [lhs, rhs] {
                        super::walk::expr(e, &mut |e| natural |= matches!(e.kind, ExprKind::Normal));
                    }
                    let places = places.iter().map(|p| (p.part.clone(), p.span, self.domain(&p.domain))).collect();
                    self.flat.conditions.push(Condition { span, places, lhs, uses, natural });
                }
                SystemStmtKind::Ensure { .. } => {}
                SystemStmtKind::Init { lhs, rhs } => {
                    let uses = self.uses(&[lhs, rhs]);
                    self.flat.inits.push(Init { span, uses });
                }
            }
        }
        self.depth -= 1;
    }

    fn domain(&self, e: &Expr) -> Option<DomainId> {
        match &e.kind {
            ExprKind::Def(d) => self.found.domain_of.get(d).copied(),
            ExprKind::Local(l) => self.domains.get(l).copied(),
            _ => None,
        }
    }

    fn uses(&self, exprs: &[&Expr]) -> Vec<Use> {
        let mut out = vec![];
        for e in exprs {
            self.collect(e, false, false, &mut out);
        }
        out
    }

    fn collect(&self, e: &Expr, derived: bool, in_time: bool, out: &mut Vec<Use>) {
        let mut push = |u: Use| {
            if !out.contains(&u) {
                out.push(u);
            }
        };
        match &e.kind {
            ExprKind::Local(l) => {
                let l = self.canonical(*l);
                if let Some(uses) = self.lets.get(&l) {
                    for u in uses {
                        push(Use { derived: u.derived || derived, in_time: u.in_time || in_time, ..*u });
                    }
                } else if self.flat.unknowns.iter().any(|u| u.local == l) {
                    push(Use { unknown: l, derived, in_time });
                }
            }
            ExprKind::Op { op, args } => {
                let space = matches!(op, Op::Grad | Op::Div | Op::Curl | Op::Lap)
                    || matches!(op, Op::Partial(axes) if axes.iter().any(|a| *a < 3));
                let time = matches!(op, Op::Partial(axes) if axes.contains(&3));
                args.iter().for_each(|a| self.collect(a, derived || space, in_time || time, out));
            }
            ExprKind::Call { callee, args } => {
                let name = match &callee.kind {
                    ExprKind::Def(d) => self.program.def(*d).name.as_str(),
                    _ => "",
                };
                let space = ["grad", "div", "curl", "lap", "laplacian", "dx", "dy", "dz"].contains(&name);
                let time = name == "dt";
                self.collect(callee, derived, in_time, out);
                args.iter().for_each(|a| self.collect(&a.value, derived || space, in_time || time, out));
            }
            ExprKind::Member { base, .. } => self.collect(base, derived, in_time, out),
            ExprKind::Index { base, indices } => {
                self.collect(base, derived, in_time, out);
                indices.iter().for_each(|i| self.collect(i, derived, in_time, out));
            }
            ExprKind::If { condition, then, otherwise } => {
                [condition, then, otherwise].iter().for_each(|e| self.collect(e, derived, in_time, out));
            }
            ExprKind::List(items) | ExprKind::Tuple(items) => {
                items.iter().for_each(|i| self.collect(i, derived, in_time, out));
            }
            ExprKind::Comprehension { body, source, .. } => {
                self.collect(source, derived, in_time, out);
                self.collect(body, derived, in_time, out);
            }
            ExprKind::Lambda(l) => self.collect(&l.body.result, derived, in_time, out),
            _ => {}
        }
    }

    /// The local of the included system that a local of this one stands for.
    fn canonical(&self, mut local: LocalId) -> LocalId {
        for _ in 0..32 {
            match self.same.get(&local) {
                Some(&inner) => local = inner,
                None => break,
            }
        }
        local
    }
}

/// What is known of a domain.
pub fn info(found: &Found, id: DomainId) -> &DomainInfo {
    &found.domains[id.0 as usize]
}
