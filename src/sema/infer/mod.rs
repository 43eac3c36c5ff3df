//! Types: dimensions, ranks, fields. An abstract interpretation of the program, in which a value is known by its type alone.
//!
//! Types are declared at the boundaries of `fn`, `closure`, `system` and `net`, and found inside bodies. A parameter without a
//! type is generic: each call walks the body with the types of its arguments.

mod arguments;
mod arith;
mod calculus;
mod call;
mod contracts;
mod declared;
pub mod dims;
mod expr;
mod items;
mod library;
mod members;
mod optimise;
mod publish;
mod studies;
mod systems;
pub mod ty;

pub use arith::symbol;
pub use members::parts;

use super::hir::{DefId, Expr, ExprId, Lambda, Program};
use super::types::Type;
use crate::base::{Diagnostic, Span, units};
use dims::{Dim, Dims};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use ty::{DomainId, DomainInfo, Env, Problem, Ty};

/// What inference found, beside the public types.
pub struct Found {
    pub types: Vec<Type>,
    pub diagnostics: Vec<Diagnostic>,
    pub domains: Vec<DomainInfo>,
    /// The domain that each domain-valued `let` is.
    pub domain_of: HashMap<DefId, DomainId>,
}

/// Types of all expressions of a program whose names are resolved. `library`: check the standard library's bodies, too.
pub fn infer(program: &Program, library: bool) -> Found {
    let mut infer = Infer {
        p: program,
        types: vec![None; program.types.len()],
        diagnostics: vec![],
        dims: Dims::default(),
        domains: vec![],
        defs: HashMap::new(),
        open: vec![],
        calls: vec![],
        lambdas: vec![],
        problems: HashMap::new(),
        domain: None,
        time: Dim::none(),
        in_net: false,
        in_loss: false,
    };
    infer.items(library);
    infer.finish()
}

struct Infer<'p> {
    p: &'p Program,
    /// By expression: what was found, the last time it was walked.
    types: Vec<Option<Ty>>,
    diagnostics: Vec<Diagnostic>,
    dims: Dims,
    domains: Vec<DomainInfo>,
    /// Types of definitions, once.
    defs: HashMap<DefId, Ty>,
    /// Definitions whose type is being found.
    open: Vec<DefId>,
    /// Bodies being walked for a call, for recursion.
    calls: Vec<DefId>,
    lambdas: Vec<&'p Lambda>,
    /// Systems under their declared parameters.
    problems: HashMap<DefId, Option<Rc<Problem>>>,
    /// The domain that bare coordinates are of, inside a system.
    domain: Option<DomainId>,
    /// Dimension of `t`, inside a system.
    time: Dim,
    in_net: bool,
    in_loss: bool,
}

impl<'p> Infer<'p> {
    fn finish(self) -> Found {
        let types = self.types.iter().map(|t| t.as_ref().map_or(Type::Any, |t| self.publish(t))).collect();
        let mut seen = HashSet::new();
        let mut diagnostics = vec![];
        for d in self.diagnostics {
            if seen.insert((d.code, d.span(), d.message.clone())) {
                diagnostics.push(d);
            }
        }
        let domain_of = self
            .defs
            .iter()
            .filter_map(|(def, ty)| match ty {
                Ty::Domain(id) => Some((*def, *id)),
                _ => None,
            })
            .collect();
        let mut domains = self.domains;
        for d in &mut domains {
            d.length = self.dims.resolve(&d.length);
        }
        Found { types, diagnostics, domains, domain_of }
    }

    fn report(&mut self, d: Diagnostic) {
        self.diagnostics.push(d);
    }

    fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let mut d = Diagnostic::error(code, span, message);
        d.help = Some(help.into()).filter(|h: &String| !h.is_empty());
        self.report(d);
    }

    fn set(&mut self, id: ExprId, ty: &Ty) {
        self.types[id.index()] = Some(ty.clone());
    }

    /// `[W/m/K]`; unknowns print as `?`.
    fn show(&self, d: &Dim) -> String {
        let d = self.dims.resolve(d);
        if d.unknowns.is_empty() { format!("[{}]", units::familiar(&d.base)) } else { format!("[{}·?]", d.base) }
    }

    /// Makes `b` have the dimension of `a`; says what is missing if it cannot.
    fn same_dim(&mut self, a: &Dim, b: &Dim, span: Span, say: impl FnOnce(&Self, String) -> Diagnostic) -> bool {
        match self.dims.unify(a, b) {
            Ok(()) => true,
            Err(gap) => {
                let factor = self.show(&gap);
                let mut d = say(self, factor);
                if self.in_loss && d.help.is_none() {
                    d.help = Some(
                        "losses are sums of plain numbers: divide each term by its typical size, or use rel_l2".into(),
                    );
                }
                d.labels[0].span = span;
                self.report(d);
                false
            }
        }
    }

    fn unify_dims(&mut self, a: &Dim, b: &Dim, span: Span, code: &'static str, message: impl FnOnce(&Self) -> String) {
        self.same_dim(a, b, span, |s, _| Diagnostic::error(code, span, message(s)));
    }

    fn new_domain(&mut self, info: DomainInfo) -> DomainId {
        self.domains.push(info);
        DomainId(self.domains.len() as u32 - 1)
    }

    fn domain_info(&self, id: DomainId) -> &DomainInfo {
        &self.domains[id.0 as usize]
    }

    fn infer_in(&mut self, e: &'p Expr, env: &Env) -> Ty {
        let ty = self.expr(e, env);
        self.set(e.id, &ty);
        ty
    }
}
