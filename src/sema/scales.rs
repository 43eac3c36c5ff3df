//! Scales: what each resolves, the domains and schemes on it, and how far the two sides of a closure lie apart.
//!
//! A scale declares the range from its finest resolved size (a grid spacing, a time step) to its extent. A closure leads from the
//! domain of the problems solved inside its implementations to the domains of the systems that take it. Their separation is
//! the macroscopic element over the microscopic cell: homogenisation errs by about its inverse. [Bensoussan, Lions & Papanicolaou, ch. 1]

use super::check::{Flat, walk};
use super::hir::{Arg, DefId, DefKind, Expr, ExprKind, Op, Program, TypeExprKind};
use super::infer::Found;
use crate::base::{Diagnostic, Span};
use std::collections::HashMap;

/// Below this factor the cell and the macroscopic scheme see each other.
pub const THIN: f64 = 3.0;

/// The scales of a program and the closures between them.
#[derive(Clone, Debug, Default)]
pub struct ScaleMap {
    pub scales: Vec<ScaleRange>,
    pub links: Vec<ScaleLink>,
}

#[derive(Clone, Debug)]
pub struct ScaleRange {
    pub name: String,
    pub def: DefId,
    /// Resolved lengths in metres (in plain numbers where the program has no units).
    pub length: Option<(f64, f64)>,
    /// Resolved times in seconds.
    pub time: Option<(f64, f64)>,
    pub uses: Vec<ScaleUse>,
}

/// A problem that is solved on a scale.
#[derive(Clone, Debug)]
pub struct ScaleUse {
    pub system: String,
    pub domain: String,
    /// The longest side.
    pub extent: f64,
    /// The element size of the scheme, where it is known before the run.
    pub h: Option<f64>,
}

/// A closure between a fine and a coarse scale.
#[derive(Clone, Debug)]
pub struct ScaleLink {
    pub closure: String,
    /// Indices into [`ScaleMap::scales`], where the domains name a scale.
    pub fine: Option<usize>,
    pub coarse: Option<usize>,
    /// Name and extent of the cell that the closure's implementation solves on.
    pub cell: (String, f64),
    /// System that takes the closure, and the element size that it is solved with.
    pub macroscopic: (String, f64),
    /// Element size over cell size.
    pub separation: f64,
    pub thin: bool,
}

/// The scales of a program, with warnings where a scheme leaves its range or the separation is thin.
pub fn scales(program: &Program, found: &Found) -> (ScaleMap, Vec<Diagnostic>) {
    let mut out = Builder { program, found, map: ScaleMap::default(), index: HashMap::new(), diagnostics: vec![] };
    out.ranges();
    let solves = out.solves();
    solves.iter().for_each(|s| out.place(s));
    out.links(&solves);
    (out.map, out.diagnostics)
}

/// A `solve` in the program, with what is known of it before the run.
struct Solve {
    span: Span,
    system: DefId,
    /// The closure whose implementation it stands in.
    inside: Option<DefId>,
    domain: String,
    scale: Option<DefId>,
    extent: f64,
    h: Option<f64>,
}

struct Builder<'a> {
    program: &'a Program,
    found: &'a Found,
    map: ScaleMap,
    index: HashMap<DefId, usize>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn ranges(&mut self) {
        for (id, def) in self.program.root_defs() {
            let DefKind::Scale { ranges } = &def.kind else { continue };
            let range = |name: &str| {
                let (_, e) = ranges.iter().find(|(n, _)| n == name)?;
                self.range(e)
            };
            let (length, time) = (range("length"), range("time"));
            self.index.insert(id, self.map.scales.len());
            self.map.scales.push(ScaleRange { name: def.name.clone(), def: id, length, time, uses: vec![] });
        }
    }

    fn solves(&self) -> Vec<Solve> {
        let mut out = vec![];
        for (_, def) in self.program.root_defs() {
            let inside = match &def.kind {
                DefKind::Let { ty: Some(ty), .. } => match ty.kind {
                    TypeExprKind::Closure(c) => Some(c),
                    _ => None,
                },
                _ => None,
            };
            walk::def(def, &mut |e| {
                if let Some(s) = self.solve(e, inside) {
                    out.push(s);
                }
            });
        }
        out
    }

    fn solve(&self, e: &Expr, inside: Option<DefId>) -> Option<Solve> {
        let ExprKind::Call { callee, args } = &e.kind else { return None };
        if self.library_name(callee)? != "solve" {
            return None;
        }
        let ExprKind::Call { callee, args: given } = &args.first()?.value.kind else { return None };
        let ExprKind::Def(system) = callee.kind else { return None };
        let DefKind::System(s) = &self.program.def(system).kind else { return None };
        let flat = Flat::of(self.program, self.found, system, s);
        let own = flat.unknowns.iter().find_map(|u| u.domain);
        let given = given.iter().find_map(|a| match &a.value.kind {
            ExprKind::Def(d) => self.found.domain_of.get(d).copied(),
            _ => None,
        });
        let info = &self.found.domains[own.or(given)?.0 as usize];
        let DefKind::Let { value, .. } = &self.program.def(info.def?).kind else { return None };
        let extent = self.extent(value)?;
        let scheme =
            args.iter().find(|a| a.name.as_deref() == Some("scheme")).or(args.get(1).filter(|a| a.name.is_none()));
        let h = scheme.and_then(|a| self.element_size(&a.value, extent));
        Some(Solve { span: e.span, system, inside, domain: info.name.clone(), scale: info.scale, extent, h })
    }

    /// Enters a solve into its scale and holds it against the range.
    fn place(&mut self, s: &Solve) {
        let Some(&i) = s.scale.and_then(|d| self.index.get(&d)) else { return };
        let system = self.program.def(s.system).name.clone();
        let scale = &mut self.map.scales[i];
        let known = scale.uses.iter().any(|u| u.system == system && u.domain == s.domain && u.h == s.h);
        if known {
            return;
        }
        scale.uses.push(ScaleUse { system, domain: s.domain.clone(), extent: s.extent, h: s.h });
        let Some((low, high)) = scale.length else { return };
        let name = scale.name.clone();
        let defined = self.program.def(scale.def).span;
        // A part in a million, so that 10 [µm] is inside of 0.1 [µm]..10 [µm] whatever the rounding.
        if s.extent > high * (1.0 + 1e-6) {
            self.diagnostics.push(
                Diagnostic::warning(
                    "coupling.range",
                    s.span,
                    format!("`{}` is {} long, and scale `{name}` ends at {}", s.domain, metres(s.extent), metres(high)),
                )
                .label(defined, "the scale")
                .help("widen the scale, or let the domain name another one"),
            );
        }
        if let Some(h) = s.h.filter(|h| *h < low * (1.0 - 1e-6)) {
            self.diagnostics.push(
                Diagnostic::warning(
                    "coupling.range",
                    s.span,
                    format!("elements of {} are finer than what scale `{name}` resolves, {}", metres(h), metres(low)),
                )
                .label(defined, "the scale")
                .help("take a coarser scheme, or widen the scale: what lies below it obeys other laws"),
            );
        }
    }

    fn links(&mut self, solves: &[Solve]) {
        for fine in solves {
            let Some(closure) = fine.inside else { continue };
            for coarse in solves {
                let DefKind::System(s) = &self.program.def(coarse.system).kind else { continue };
                let takes = s
                    .params
                    .iter()
                    .any(|p| matches!(&p.ty, Some(t) if matches!(t.kind, TypeExprKind::Closure(c) if c == closure)));
                let Some(h) = coarse.h.filter(|_| takes) else { continue };
                let separation = h / fine.extent;
                let thin = separation < THIN;
                let name = &self.program.def(closure).name;
                let macroscopic = (self.program.def(coarse.system).name.clone(), h);
                let cell = (fine.domain.clone(), fine.extent);
                let known =
                    self.map.links.iter().any(|l| l.closure == *name && l.cell == cell && l.macroscopic == macroscopic);
                if known {
                    continue;
                }
                if thin {
                    self.diagnostics.push(
                        Diagnostic::warning(
                            "coupling.separation",
                            coarse.span,
                            format!(
                                "across `{name}`, elements of {} meet a cell `{}` of {}: a separation of {separation:.2}",
                                metres(h),
                                cell.0,
                                metres(cell.1)
                            ),
                        )
                        .label(fine.span, "the cell problem")
                        .note("the mean law of a cell holds for fields that vary little across it")
                        .help("take a smaller cell or larger elements"),
                    );
                }
                self.map.links.push(ScaleLink {
                    closure: name.clone(),
                    fine: fine.scale.and_then(|d| self.index.get(&d)).copied(),
                    coarse: coarse.scale.and_then(|d| self.index.get(&d)).copied(),
                    cell,
                    macroscopic,
                    separation,
                    thin,
                });
            }
        }
    }

    // ---- constants of the program

    fn library_name(&self, e: &Expr) -> Option<&'a str> {
        let ExprKind::Def(d) = e.kind else { return None };
        let def = self.program.def(d);
        self.program.modules[def.module.index()].name.starts_with("std.").then_some(def.name.as_str())
    }

    fn range(&self, e: &Expr) -> Option<(f64, f64)> {
        match &e.kind {
            ExprKind::Op { op: Op::Range, args } => Some((self.number(&args[0])?, self.number(&args[1])?)),
            ExprKind::Def(d) => match &self.program.def(*d).kind {
                DefKind::Let { value, .. } | DefKind::Param { value, .. } => self.range(value),
                _ => None,
            },
            _ => None,
        }
    }

    fn number(&self, e: &Expr) -> Option<f64> {
        match &e.kind {
            ExprKind::Number { value, .. } => Some(*value),
            ExprKind::Op { op: Op::Neg, args } => Some(-self.number(&args[0])?),
            ExprKind::Op { op: Op::Affine(u), args } => Some(u.to_si(self.number(&args[0])?)),
            ExprKind::Op { op, args } if args.len() == 2 => {
                let (a, b) = (self.number(&args[0])?, self.number(&args[1])?);
                match op {
                    Op::Add => Some(a + b),
                    Op::Sub => Some(a - b),
                    Op::Mul => Some(a * b),
                    Op::Divide => Some(a / b),
                    _ => None,
                }
            }
            ExprKind::Def(d) => match &self.program.def(*d).kind {
                DefKind::Let { value, .. } | DefKind::Param { value, .. } => self.number(value),
                _ => None,
            },
            _ => None,
        }
    }

    /// The longest side of the domain that a call of `rect`, `square`, … makes.
    fn extent(&self, e: &Expr) -> Option<f64> {
        let ExprKind::Call { callee, args } = &e.kind else { return None };
        let sides: usize = match self.library_name(callee)? {
            "interval" | "circle" | "square" | "cube" => 1,
            "rect" => 2,
            "box" => 3,
            _ => return None,
        };
        let lengths: Option<Vec<f64>> = args
            .iter()
            .filter(|a| !matches!(a.name.as_deref(), Some("periodic" | "scale")))
            .take(sides)
            .map(|a| self.range(&a.value).map(|(low, high)| high - low).or_else(|| self.number(&a.value)))
            .collect();
        lengths?.into_iter().reduce(f64::max)
    }

    /// The element size of `fem(n=…)` or `fem(h=…)`.
    fn element_size(&self, e: &Expr, extent: f64) -> Option<f64> {
        match &e.kind {
            ExprKind::Call { callee, args } => {
                let name = self.library_name(callee)?;
                let named = |n: &str| args.iter().find(|a: &&Arg| a.name.as_deref() == Some(n)).map(|a| &a.value);
                if let Some(h) = named("h") {
                    return self.number(h);
                }
                let first =
                    (name == "fv").then(|| args.first().filter(|a| a.name.is_none()).map(|a| &a.value)).flatten();
                let n = self.number(named("n").or(first)?)?;
                (n > 0.0).then(|| extent / n)
            }
            ExprKind::Def(d) => match &self.program.def(*d).kind {
                DefKind::Let { value, .. } => self.element_size(value, extent),
                _ => None,
            },
            _ => None,
        }
    }
}

/// `2 mm`, `10 µm`
fn metres(x: f64) -> String {
    let steps = [(1e3, "km"), (1.0, "m"), (1e-3, "mm"), (1e-6, "µm"), (1e-9, "nm")];
    let (factor, unit) = steps.into_iter().find(|(f, _)| x.abs() >= *f * 0.999_999).unwrap_or((1e-9, "nm"));
    let digits = format!("{:.3}", x / factor);
    format!("{} {unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}
