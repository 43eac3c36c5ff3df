//! Names that a system offers to those that include it: found before any body is resolved.

use super::Resolver;
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{DefId, LocalId};
use crate::syntax::ast::{Item, ItemKind, Path, SystemStmtKind};

/// The unknowns and lets of a system, its own and included ones.
#[derive(Default)]
pub struct SystemScope {
    /// Name, local, where it is defined; in source order.
    pub members: Vec<(String, LocalId, Span)>,
    /// By statement: the locals it binds, and for an `include` also what they are in the included system.
    pub by_stmt: Vec<StmtBinds>,
}

#[derive(Default, Clone)]
pub struct StmtBinds {
    pub own: Option<LocalId>,
    pub included: Option<(DefId, Vec<(String, LocalId, LocalId)>)>,
}

impl SystemScope {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(n, ..)| n.as_str())
    }
}

impl<'a> Resolver<'a> {
    pub(super) fn declare_systems(&mut self) {
        for d in 0..self.origins.len() {
            let mut open = vec![];
            self.declare_system(DefId(d as u32), &mut open);
        }
    }

    fn declare_system(&mut self, id: DefId, open: &mut Vec<DefId>) {
        let item: &'a Item = self.origins[id.index()];
        let ItemKind::System { body, .. } = &item.kind else { return };
        if self.systems.contains_key(&id) {
            return;
        }
        open.push(id);
        let home = std::mem::replace(&mut self.module, self.program.def(id).module);
        let mut scope = SystemScope::default();
        for stmt in body {
            let mut binds = StmtBinds::default();
            match &stmt.kind {
                SystemStmtKind::Unknown { name, .. } => {
                    binds.own = Some(self.member_of(&mut scope, name.clone()));
                }
                SystemStmtKind::Let(l) => binds.own = Some(self.member_of(&mut scope, l.name.clone())),
                SystemStmtKind::Include { path, .. } => {
                    if let Some(target) = self.included(path, open) {
                        self.declare_system(target, open);
                        let members = self.systems.get(&target).map(|s| s.members.clone()).unwrap_or_default();
                        let mut bound = vec![];
                        for (name, there, _) in members {
                            let ident = crate::syntax::ast::Ident { name: name.clone(), span: path.span };
                            let here = self.member_of(&mut scope, ident);
                            bound.push((name, here, there));
                        }
                        binds.included = Some((target, bound));
                    }
                }
                _ => {}
            }
            scope.by_stmt.push(binds);
        }
        self.module = home;
        open.pop();
        self.systems.insert(id, scope);
    }

    fn member_of(&mut self, scope: &mut SystemScope, name: crate::syntax::ast::Ident) -> LocalId {
        if let Some((_, _, first)) = scope.members.iter().find(|(n, ..)| *n == name.name) {
            self.duplicate(&name, *first, "name");
        }
        let local = self.new_local(&name);
        scope.members.push((name.name, local, name.span));
        local
    }

    fn included(&mut self, path: &Path, open: &[DefId]) -> Option<DefId> {
        let name = path.segments.last()?;
        let Some(id) = self.lookup_def(&name.name) else {
            self.unknown_name(name);
            return None;
        };
        match &self.origins[id.index()].kind {
            ItemKind::System { .. } if open.contains(&id) => {
                self.report(
                    Diagnostic::error("names.cycle", path.span, format!("`{}` includes itself", name.name))
                        .help("take this `include` out, or move what both need into a third system"),
                );
                None
            }
            ItemKind::System { .. } => Some(id),
            ItemKind::Error => None,
            _ => {
                let defined = self.program.def(id).span;
                self.report(
                    Diagnostic::error("names.kind", name.span, format!("`{}` is not a system", name.name))
                        .label(defined, "it is defined here")
                        .help("`include` takes the statements of another system"),
                );
                None
            }
        }
    }
}
