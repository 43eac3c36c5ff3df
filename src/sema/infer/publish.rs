//! From types under inference to the public ones, and to words.

use super::Infer;
use super::ty::{Num, Over, Ty};
use crate::sema::types::{FieldOf, Rank, Type};

impl<'p> Infer<'p> {
    pub(super) fn publish(&self, ty: &Ty) -> Type {
        match ty {
            Ty::Any | Ty::Row(_) | Ty::Residual(..) | Ty::Lambda(_) | Ty::Symbol(_) | Ty::Net(_) | Ty::Place(_) => {
                Type::Any
            }
            Ty::Num(n) if n.integer => Type::Int,
            Ty::Num(n) => self.publish_num(n),
            Ty::Bool(_) => Type::Bool,
            Ty::Str => Type::Str,
            Ty::Range(item) => Type::Range(Box::new(self.publish(item))),
            Ty::List(item, _) => Type::List(Box::new(self.publish(item))),
            Ty::Tuple(items) => Type::Tuple(items.iter().map(|i| self.publish(i)).collect()),
            Ty::Domain(id) => {
                let info = self.domain_info(*id);
                Type::Domain(info.space, self.dims.resolve(&info.length).base)
            }
            Ty::Def(_) => Type::Any,
            Ty::Closure(def) => Type::Closure(*def),
            Ty::Problem(def, _) => Type::Problem(*def),
            Ty::Solution(def, _) => Type::Solution(*def),
            Ty::Dataset(def, _) | Ty::Sample(def, _) => Type::Sample(*def),
            Ty::Artefact(def, _) => Type::Artefact(*def),
            Ty::Scheme(_) => Type::Scheme,
            Ty::Stage => Type::Stage,
            Ty::Scale(_) => Type::Scale,
            Ty::Plot => Type::Plot,
        }
    }

    fn publish_num(&self, n: &Num) -> Type {
        let Some(rank) = n.rank else { return Type::Any };
        let field = n.field.map(|f| match f {
            Over::Domain(id) => self.domain_info(id).def.map_or(FieldOf::Unknown, FieldOf::Def),
            Over::Open => FieldOf::Unknown,
        });
        Type::Number { dimension: self.dims.resolve(&n.dim).base, rank, field }
    }

    /// `a field of vectors in [m]`
    pub(super) fn describe(&self, ty: &Ty) -> String {
        let named = |what: &str, def: &crate::sema::hir::DefId| format!("{what} `{}`", self.p.def(*def).name);
        match ty {
            Ty::Any => "something unknown".into(),
            Ty::Num(n) => {
                let what = match n.rank {
                    _ if n.integer => return "a whole number".into(),
                    None | Some(Rank::Scalar) => "a number".to_string(),
                    Some(Rank::Vec(None)) => "a vector".into(),
                    Some(Rank::Vec(Some(n))) => format!("a vector of {n}"),
                    Some(Rank::Mat(Some(m), Some(n))) => format!("a {m}×{n} matrix"),
                    Some(Rank::Mat(..)) => "a matrix".into(),
                    Some(Rank::Sym(None)) => "a symmetric matrix".into(),
                    Some(Rank::Sym(Some(n))) => format!("a symmetric {n}×{n} matrix"),
                    Some(Rank::Stiff(_)) => "a stiffness (fourth order)".into(),
                };
                let dim = self.dims.resolve(&n.dim);
                let unit = if dim.unknowns.is_empty() && dim.base.is_none() {
                    String::new()
                } else {
                    format!(" in {}", self.show(&dim))
                };
                match n.field {
                    None => format!("{what}{unit}"),
                    Some(Over::Domain(id)) if !self.domain_info(id).open => {
                        format!("a field of {}{unit} over `{}`", plural(&what), self.domain_info(id).name)
                    }
                    Some(_) => format!("a field of {}{unit}", plural(&what)),
                }
            }
            Ty::Bool(_) => "true or false".into(),
            Ty::Str => "text".into(),
            Ty::Range(_) => "a range".into(),
            Ty::List(..) => "a list".into(),
            Ty::Tuple(items) => format!("a tuple of {}", items.len()),
            Ty::Domain(id) => format!("domain `{}`", self.domain_info(*id).name),
            Ty::Place(_) => "a part of a boundary".into(),
            Ty::Lambda(_) => "a function".into(),
            Ty::Def(d) => {
                use crate::sema::hir::DefKind::*;
                let what = match self.p.def(*d).kind {
                    Net { .. } => "net",
                    System(_) => "system",
                    Dataset(_) => "dataset",
                    Minimize { .. } => "minimize",
                    Study { .. } => "study",
                    _ => "function",
                };
                named(what, d)
            }
            Ty::Net(d) => named("net", d),
            Ty::Closure(d) => named("a closure of type", d),
            Ty::Problem(d, _) => named("a problem of system", d),
            Ty::Solution(d, _) => named("a solution of", d),
            Ty::Residual(d, _) => named("a residual of", d),
            Ty::Dataset(d, _) => named("dataset", d),
            Ty::Sample(d, _) => named("a sample of", d),
            Ty::Row(_) => "a row of a sample".into(),
            Ty::Artefact(d, _) => named("the result of", d),
            Ty::Scheme(_) => "a scheme".into(),
            Ty::Stage => "a stage".into(),
            Ty::Scale(d) => named("scale", d),
            Ty::Plot => "a plot".into(),
            Ty::Symbol(d) => format!("`{}`", self.p.def(*d).name),
        }
    }
}

fn plural(what: &str) -> String {
    let bare = what.trim_start_matches("a ");
    if let Some(rest) = bare.strip_suffix("matrix") {
        return format!("{rest}matrices");
    }
    match bare.split_once(' ') {
        Some(("vector", rest)) => format!("vectors {rest}"),
        _ if bare.starts_with("stiffness") => "stiffnesses".into(),
        _ => format!("{bare}s"),
    }
}
