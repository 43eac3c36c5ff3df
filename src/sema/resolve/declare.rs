//! First pass: every item gets a `DefId`; `use` brings names in.

use super::Resolver;
use crate::base::Diagnostic;
use crate::sema::hir::{Def, DefId, DefKind, ModuleId};
use crate::sema::{stdlib, suggest};
use crate::syntax::ast::{self, ItemKind};

impl<'a> Resolver<'a> {
    pub(super) fn declare(&mut self, module: ModuleId, tree: &'a ast::File) {
        self.program.lost.extend(tree.lost.iter().map(|n| n.name.clone()));
        for item in &tree.items {
            let (name, span) = match name_of(item) {
                Some(name) => (name.name.clone(), name.span),
                None if matches!(item.kind, ItemKind::Error) => {
                    match tree.lost.iter().find(|n| item.span.contains(n.span)) {
                        Some(lost) => (lost.name.clone(), lost.span),
                        None => continue,
                    }
                }
                None => continue,
            };
            let id = DefId(self.program.defs.len() as u32);
            self.program.defs.push(Def {
                name: name.clone(),
                span,
                doc: item.doc.clone(),
                module,
                kind: DefKind::Error,
            });
            self.origins.push(item);
            let names = &mut self.program.modules[module.index()].names;
            match names.get(&name) {
                Some(&first) => {
                    let first_span = self.program.defs[first.index()].span;
                    self.report(
                        Diagnostic::error("names.duplicate", span, format!("`{name}` is defined twice"))
                            .here("the second definition")
                            .label(first_span, "the first one")
                            .help("rename one of them"),
                    );
                }
                None => {
                    names.insert(name.clone(), id);
                }
            }
            let library = &self.program.modules[module.index()].name;
            if library.starts_with("std.") && library != stdlib::LETTERS {
                self.prelude.insert(name, id);
            }
        }
    }

    pub(super) fn imports(&mut self, module: ModuleId, tree: &'a ast::File) {
        self.module = module;
        for item in &tree.items {
            let ItemKind::Use { path, names } = &item.kind else { continue };
            let wanted = dotted(path);
            let Some(target) = self.program.modules.iter().position(|m| !m.name.is_empty() && m.name == wanted) else {
                self.unknown_module(path, &wanted);
                continue;
            };
            let target = ModuleId(target as u32);
            if names.is_empty()
                && let Some(last) = path.segments.last()
            {
                self.aliases[module.index()].insert(last.name.clone(), target);
            }
            for name in names {
                match self.program.modules[target.index()].names.get(&name.name) {
                    Some(&def) => {
                        self.imported[module.index()].insert(name.name.clone(), def);
                    }
                    None => self.unknown_member_of_module(target, name),
                }
            }
        }
    }

    fn unknown_module(&mut self, path: &ast::Path, wanted: &str) {
        let known: Vec<&str> = self.program.modules.iter().map(|m| m.name.as_str()).filter(|n| !n.is_empty()).collect();
        let near = suggest::nearest(wanted, known.iter().copied());
        let help = match near {
            Some(n) => format!("did you mean `{n}`?"),
            None => format!("there are: {}", known.join(", ")),
        };
        self.report(Diagnostic::error("names.module", path.span, format!("there is no module `{wanted}`")).help(help));
    }

    pub(super) fn unknown_member_of_module(&mut self, target: ModuleId, name: &ast::Ident) {
        let module = &self.program.modules[target.index()];
        let known: Vec<&str> = module.names.keys().map(String::as_str).collect();
        let mut d = Diagnostic::error(
            "names.unknown",
            name.span,
            format!("module `{}` does not define `{}`", module.name, name.name),
        );
        d.help = suggest::help(&name.name, &known);
        self.report(d);
    }
}

/// `std.nn` as text.
pub fn dotted(path: &ast::Path) -> String {
    path.segments.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(".")
}

fn name_of(item: &ast::Item) -> Option<&ast::Ident> {
    match &item.kind {
        ItemKind::Use { .. } | ItemKind::Error => None,
        ItemKind::Param { name, .. }
        | ItemKind::Unit { name, .. }
        | ItemKind::Dim { name }
        | ItemKind::Fn { name, .. }
        | ItemKind::Net { name, .. }
        | ItemKind::Closure { name, .. }
        | ItemKind::System { name, .. }
        | ItemKind::Minimize { name, .. }
        | ItemKind::Study { name, .. }
        | ItemKind::Scale { name, .. } => Some(name),
        ItemKind::Let(l) => Some(&l.name),
        ItemKind::Dataset(d) => Some(&d.name),
    }
}
