//! `a.b`: members of domains, solutions, samples, artefacts.

use super::Infer;
use super::ty::{Num, Over, Ty};
use crate::base::{Diagnostic, Ratio, Span};
use crate::sema::suggest;
use crate::sema::types::Rank;

/// Parts of the boundary by number of space dimensions.
pub fn parts(space: usize) -> &'static [&'static str] {
    match space {
        1 => &["left", "right", "ends", "boundary"],
        2 => &["left", "right", "bottom", "top", "boundary"],
        _ => &["left", "right", "bottom", "top", "back", "front", "boundary"],
    }
}

const AXES: [&str; 3] = ["x", "y", "z"];

impl<'p> Infer<'p> {
    pub(super) fn member(&mut self, base: &Ty, name: &str, span: Span) -> Ty {
        match base {
            Ty::Any | Ty::Symbol(_) | Ty::Net(_) => Ty::Any,
            Ty::Domain(id) => {
                let info = self.domain_info(*id).clone();
                if info.space.is_none() {
                    return self.domain_member(*id, name, 3, span).unwrap_or(Ty::Any);
                }
                let space = info.space.unwrap_or(3);
                match self.domain_member(*id, name, space, span) {
                    Some(ty) => ty,
                    None => {
                        let extents: &[&str] = match space {
                            1 => &["length"],
                            2 => &["width", "height", "area"],
                            _ => &["width", "depth", "height", "volume"],
                        };
                        let known: Vec<&str> = AXES[..space]
                            .iter()
                            .chain(extents)
                            .chain(&["measure"])
                            .chain(parts(space))
                            .copied()
                            .collect();
                        self.no_member(&format!("domain `{}`", info.name), name, &known, span)
                    }
                }
            }
            Ty::Solution(def, members) => {
                let what = format!("a solution of `{}`", self.p.def(*def).name);
                self.of_members(&what, members, &["t", "iterations"], name, span)
            }
            Ty::Residual(def, members) => {
                let what = format!("the residual of `{}`", self.p.def(*def).name);
                self.of_members(&what, members, &["on", "init"], name, span)
            }
            Ty::Artefact(def, members) => {
                let what = format!("what `{}` yields", self.p.def(*def).name);
                self.of_members(&what, members, &["history", "losses"], name, span)
            }
            Ty::Sample(def, members) => match members.get(name) {
                Some(column) => Ty::List(Box::new(column.clone()), None),
                None if ["train", "test", "validation"].contains(&name) => base.clone(),
                None => {
                    let mut known: Vec<&str> = members.keys().map(String::as_str).collect();
                    known.extend(["train", "test", "validation"]);
                    let what = format!("a sample of `{}`", self.p.def(*def).name);
                    self.no_member(&what, name, &known, span)
                }
            },
            Ty::Row(members) => self.of_members("a row", members, &[], name, span),
            Ty::List(item, n) => {
                let inner = self.member(item, name, span);
                Ty::List(Box::new(inner), *n)
            }
            Ty::Num(n) => match (n.rank, AXES.iter().position(|a| *a == name)) {
                (None, _) => Ty::Any,
                (Some(Rank::Vec(size)), Some(axis)) if size.is_none_or(|s| axis < s) => {
                    Ty::Num(n.ranked(Some(Rank::Scalar)))
                }
                _ => {
                    let found = self.describe(base);
                    self.no_member(&found, name, &[], span)
                }
            },
            Ty::Def(def) => {
                let found = self.describe(base);
                let name_of = self.p.def(*def).name.clone();
                let ty = self.no_member(&found, name, &[], span);
                if let Some(d) = self.diagnostics.last_mut()
                    && d.span() == span
                    && d.help.is_none()
                {
                    d.help = Some(format!("`{name_of}` is only declared: call, solve or sample it first"));
                }
                ty
            }
            other => {
                let found = self.describe(other);
                self.no_member(&found, name, &[], span)
            }
        }
    }

    fn domain_member(&mut self, id: super::ty::DomainId, name: &str, space: usize, _span: Span) -> Option<Ty> {
        let length = self.domain_info(id).length.clone();
        let num = |dim| Some(Ty::Num(Num::scalar(dim)));
        match name {
            _ if AXES[..space.min(3)].contains(&name) => {
                Some(Ty::Num(Num { field: Some(Over::Domain(id)), ..Num::scalar(length) }))
            }
            "length" | "width" | "height" | "depth" => num(length),
            "measure" => num(length.pow(Ratio::from(space as i64))),
            "area" if space == 2 => num(length.pow(Ratio::from(2))),
            "volume" if space == 3 => num(length.pow(Ratio::from(3))),
            _ if parts(space).contains(&name) => Some(Ty::Place(id)),
            _ => None,
        }
    }

    fn of_members(&mut self, what: &str, members: &super::ty::Members, further: &[&str], name: &str, span: Span) -> Ty {
        match members.get(name) {
            Some(ty) => ty.clone(),
            None if further.contains(&name) => Ty::Any,
            None => {
                let known: Vec<&str> = members.keys().map(String::as_str).collect();
                self.no_member(what, name, &known, span)
            }
        }
    }

    fn no_member(&mut self, what: &str, name: &str, known: &[&str], span: Span) -> Ty {
        if self.p.lost.contains(name) {
            return Ty::Any;
        }
        let mut d = Diagnostic::error("names.member", span, format!("{what} has no `{name}`"));
        d.help = suggest::help(name, known);
        self.report(d);
        Ty::Any
    }
}
