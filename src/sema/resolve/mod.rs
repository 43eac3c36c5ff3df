//! Names: from syntax trees to the HIR. One pass declares every item of every module, the next resolves their bodies, so that
//! the order of items means nothing.

mod declare;
mod expr;
mod items;
mod scope;
mod systems;
mod types;
mod unit;

use super::hir::{Def, DefId, DefKind, Expr, ExprId, ExprKind, LocalId, Module, ModuleId, Program};
use super::stdlib;
use super::suggest;
use crate::base::{Diagnostic, FileId, Sources, Span, Unit, units};
use crate::syntax::ast;
use indexmap::IndexMap;
use scope::Scopes;
use std::collections::{HashMap, HashSet};
use systems::SystemScope;

/// Resolves the program whose main file is `root`. Other files of `sources` are modules by their names without `.msl`.
pub fn resolve(mut sources: Sources, root: FileId, overrides: &[(String, String)]) -> (Program, Vec<Diagnostic>) {
    let mut diagnostics = vec![];
    let mut modules = vec![];
    let user: Vec<FileId> = sources.iter().map(|(id, _)| id).collect();
    for file in user {
        let path = &sources.get(file).name;
        let stem = path.rsplit(['/', '\\']).next().unwrap_or(path).trim_end_matches(".msl");
        let name = if file == root { String::new() } else { stem.replace('/', ".") };
        modules.push((name, file));
    }
    let root_module = modules.iter().position(|(_, f)| *f == root).unwrap_or(0);
    for (name, text) in stdlib::MODULES {
        let file = sources.add(format!("{name}.msl"), *text);
        modules.push((name.to_string(), file));
    }
    let mut overridden = vec![];
    for (name, text) in overrides {
        let file = sources.add(format!("--set {name}"), format!("param {name} = {text}"));
        let (tree, found) = crate::syntax::parse(file, &sources.get(file).text);
        diagnostics.extend(found);
        overridden.push((name.clone(), tree, file));
    }
    let trees: Vec<ast::File> = modules
        .iter()
        .map(|(_, file)| {
            let (tree, found) = crate::syntax::parse(*file, &sources.get(*file).text);
            diagnostics.extend(found);
            tree
        })
        .collect();
    let program = Program {
        sources,
        modules: modules.into_iter().map(|(name, file)| Module { name, file, names: IndexMap::new() }).collect(),
        root: ModuleId(root_module as u32),
        ..Program::default()
    };
    let mut resolver = Resolver::new(program, diagnostics);
    for (m, tree) in trees.iter().enumerate() {
        resolver.declare(ModuleId(m as u32), tree);
    }
    for (m, tree) in trees.iter().enumerate() {
        resolver.imports(ModuleId(m as u32), tree);
    }
    resolver.resolve_units();
    resolver.declare_systems();
    for d in 0..resolver.origins.len() {
        resolver.item(DefId(d as u32));
    }
    resolver.overrides(&overridden);
    resolver.finish()
}

/// Expressions nest no deeper than this, whatever wrote them.
const MAX_DEPTH: usize = 400;

struct Resolver<'a> {
    program: Program,
    diagnostics: Vec<Diagnostic>,
    /// The item that each definition was declared by.
    origins: Vec<&'a ast::Item>,
    /// By module: names brought in by `use`.
    imported: Vec<HashMap<String, DefId>>,
    /// By module: modules brought in whole.
    aliases: Vec<HashMap<String, ModuleId>>,
    /// Names of the standard library that need no `use`.
    prelude: HashMap<String, DefId>,
    units: HashMap<DefId, Option<Unit>>,
    systems: HashMap<DefId, SystemScope>,
    module: ModuleId,
    scopes: Scopes,
    next_expr: u32,
    depth: usize,
    /// Names that were reported as unknown: one mistake is told once, wherever else the name stands.
    told: HashSet<(ModuleId, String)>,
    /// Inside a parameter's type: unknown names become sizes bound by the argument.
    implicit: Option<Vec<LocalId>>,
}

impl<'a> Resolver<'a> {
    fn new(program: Program, diagnostics: Vec<Diagnostic>) -> Resolver<'a> {
        let modules = program.modules.len();
        Resolver {
            program,
            diagnostics,
            origins: vec![],
            imported: vec![HashMap::new(); modules],
            aliases: vec![HashMap::new(); modules],
            prelude: HashMap::new(),
            units: HashMap::new(),
            systems: HashMap::new(),
            module: ModuleId(0),
            scopes: Scopes::default(),
            next_expr: 0,
            told: HashSet::new(),
            depth: 0,
            implicit: None,
        }
    }

    fn finish(mut self) -> (Program, Vec<Diagnostic>) {
        self.program.types = vec![Default::default(); self.next_expr as usize];
        (self.program, self.diagnostics)
    }

    fn report(&mut self, d: Diagnostic) {
        self.diagnostics.push(d);
    }

    fn make(&mut self, span: Span, kind: ExprKind) -> Expr {
        let id = ExprId(self.next_expr);
        self.next_expr += 1;
        Expr { id, span, kind }
    }

    fn error_expr(&mut self, span: Span) -> Expr {
        self.make(span, ExprKind::Error)
    }

    /// A definition by its name, as the current module sees it.
    fn lookup_def(&self, name: &str) -> Option<DefId> {
        let m = self.module.index();
        let own = self.program.modules[m].names.get(name);
        own.or_else(|| self.imported[m].get(name)).or_else(|| self.prelude.get(name)).copied()
    }

    /// Reports a name that nothing defines, with the nearest that something does.
    fn unknown_name(&mut self, name: &ast::Ident) {
        if self.program.lost.contains(&name.name) || !self.told.insert((self.module, name.name.clone())) {
            return;
        }
        let m = self.module.index();
        let candidates: Vec<&str> = self
            .scopes
            .names()
            .chain(self.program.modules[m].names.keys().map(String::as_str))
            .chain(self.imported[m].keys().map(String::as_str))
            .chain(self.prelude.keys().map(String::as_str))
            .collect();
        let near = suggest::nearest(&name.name, candidates.iter().copied()).map(|c| format!("did you mean `{c}`?"));
        let mut d = Diagnostic::error("names.unknown", name.span, format!("nothing is called `{}` here", name.name))
            .here("this name is not defined");
        d.help = near;
        if units::lookup(&name.name).is_some() {
            let unit = "if the unit is meant: it follows a number, a list or a parenthesis, as in `(0.01/π) [m²/s]`";
            d.help = Some(d.help.map_or(unit.to_string(), |near| format!("{near} {unit}")));
        }
        if let Some(later) = self.scopes.later(&name.name) {
            d = d.label(later, "it is defined only here, further down").help("move the `let` up");
        }
        self.report(d);
    }

    fn def_mut(&mut self, id: DefId) -> &mut Def {
        &mut self.program.defs[id.index()]
    }

    /// Whether a definition may stand where a value is wanted.
    fn has_value(&self, id: DefId) -> bool {
        use ast::ItemKind::{Dim, Scale, Study, Unit};
        !matches!(self.origins[id.index()].kind, Study { .. } | Scale { .. } | Unit { .. } | Dim { .. })
    }

    fn is_unit(&self, id: DefId) -> bool {
        matches!(self.program.def(id).kind, DefKind::Unit(_) | DefKind::Dim(_))
    }
}
