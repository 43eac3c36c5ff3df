//! Equations against unknowns, and the conditions that make a solution unique.

use super::Checked;
use super::flatten::{Condition, Flat, Unknown, info};
use crate::base::{Diagnostic, Span};
use crate::sema::hir::{DefId, Expr, ExprKind, LocalId, Program};
use crate::sema::infer::Found;
use crate::sema::infer::parts;
use crate::sema::types::{Rank, Type};

/// A part of a boundary where no condition stands: the flux through it is zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NaturalBoundary {
    pub system: DefId,
    pub unknown: String,
    pub domain: String,
    pub parts: Vec<String>,
}

/// `whole`: the system is solved as it stands, not only included by others.
pub fn check(program: &Program, found: &Found, flat: &Flat<'_>, whole: bool, out: &mut Checked) {
    counts(program, flat, whole, &mut out.diagnostics);
    for u in flat.unknowns.iter().filter(|u| !u.number || flat.fields() == 0) {
        let own: Vec<&Condition> =
            flat.conditions.iter().filter(|c| c.uses.iter().any(|x| x.unknown == u.local)).collect();
        let taken = boundary(found, u, &own, &mut out.diagnostics);
        if whole {
            determined(program, found, flat, u, &own, &mut out.diagnostics);
            in_time(program, flat, u, &mut out.diagnostics);
        }
        let Some(domain) = u.domain.map(|d| info(found, d)).filter(|d| d.periodic == Some(false)) else { continue };
        let free: Vec<String> = domain
            .space
            .map_or(&[][..], sides)
            .iter()
            .filter(|side| !taken.contains(side))
            .map(|s| s.to_string())
            .collect();
        if whole && !free.is_empty() {
            out.natural.push(NaturalBoundary {
                system: flat.system,
                unknown: u.name.clone(),
                domain: domain.name.clone(),
                parts: free,
            });
        }
    }
    for c in flat.conditions.iter().filter(|c| c.uses.is_empty()) {
        out.diagnostics.push(
            Diagnostic::error("pde.boundary.unknown", c.span, "this condition speaks of no unknown")
                .note("a boundary condition says what an unknown, or its flux, is there")
                .help("name an unknown of the system on the left side"),
        );
    }
}

fn counts(program: &Program, flat: &Flat<'_>, whole: bool, out: &mut Vec<Diagnostic>) {
    let name = &program.def(flat.system).name;
    let at = program.def(flat.system).span;
    for e in flat.equations.iter().filter(|e| e.uses.is_empty()) {
        out.push(
            Diagnostic::error("pde.equation.constant", e.span, format!("equation `{}` contains no unknown", e.name))
                .note("it is true or false whatever the solution is")
                .help("name one of the system's unknowns in it, or take it away"),
        );
    }
    if !whole {
        return;
    }
    let of_numbers = flat.fields() == 0;
    for u in &flat.unknowns {
        let used = |uses: &[super::flatten::Use]| uses.iter().any(|x| x.unknown == u.local);
        let occurs = flat.equations.iter().any(|e| (!e.integral || u.number) && used(&e.uses))
            || u.number && flat.conditions.iter().any(|c| used(&c.uses));
        if !occurs {
            out.push(
                Diagnostic::error("pde.unknown.free", u.span, format!("no equation determines unknown `{}`", u.name))
                    .help(format!("add an equation: eq balance: … {} … = …", u.name)),
            );
            return;
        }
    }
    let equations: Vec<_> =
        flat.equations.iter().filter(|e| (!e.integral || of_numbers) && !e.uses.is_empty()).collect();
    let (m, n) = (equations.len(), if of_numbers { flat.unknowns.len() } else { flat.fields() });
    let integrals = flat.equations.iter().filter(|e| e.integral).count();
    if let Some(u) = flat.unknowns.iter().filter(|u| u.number).nth(integrals).filter(|_| !of_numbers) {
        out.push(
            Diagnostic::error("pde.count", u.span, format!("no integral equation determines the number `{}`", u.name))
                .note("each unknown number beside fields needs an equation of numbers")
                .help("add one, such as: eq total: ∫(u, Ω) = …"),
        );
    }
    if n > 0 && m != n && equations.iter().all(|e| !e.weak) {
        let (few, help) = if m < n {
            ("too few", "each unknown needs an equation of its own")
        } else {
            (
                "too many",
                "take one away, or make it an unknown's own; a constraint on the whole domain is a mean or an integral",
            )
        };
        let mut d = Diagnostic::error(
            "pde.count",
            at,
            format!("`{name}` has {n} unknown{} and {m} equation{}", plural(n), plural(m)),
        )
        .here(format!("{few} equations"))
        .help(help);
        for u in flat.unknowns.iter().take(4) {
            d = d.label(u.span, format!("unknown `{}`", u.name));
        }
        for e in equations.iter().take(4) {
            d = d.label(e.span, format!("equation `{}`", e.name));
        }
        out.push(d);
    }
    if m == n {
        ranks(program, flat, out);
    }
    if n == 0 && !flat.equations.is_empty() {
        out.push(
            Diagnostic::error("pde.unknown.none", at, format!("`{name}` has equations and no unknown"))
                .help("add one: unknown u: Field(Ω)"),
        );
    }
}

/// As many equations of vectors as there are unknown vectors.
fn ranks(program: &Program, flat: &Flat<'_>, out: &mut Vec<Diagnostic>) {
    let of_side = |e: &Expr| match &program.types[e.id.index()] {
        _ if matches!(e.kind, ExprKind::Number { .. }) => None,
        Type::Number { rank: Rank::Scalar, field: Some(_), .. } => Some(false),
        Type::Number { rank: Rank::Vec(_), .. } => Some(true),
        _ => None,
    };
    let own: Vec<_> = flat.equations.iter().filter(|e| !e.integral && !e.weak).collect();
    let of_equations: Option<Vec<bool>> =
        own.iter().map(|e| of_side(e.sides[0]).or_else(|| of_side(e.sides[1]))).collect();
    let of_unknowns: Option<Vec<bool>> = flat.unknowns.iter().filter(|u| !u.number).map(|u| u.vector).collect();
    let (Some(equations), Some(unknowns)) = (of_equations, of_unknowns) else { return };
    let count = |v: &[bool]| v.iter().filter(|x| **x).count();
    if count(&equations) == count(&unknowns) {
        return;
    }
    let rank = |vector: bool| if vector { "vectors" } else { "numbers" };
    let odd = if count(&equations) < count(&unknowns) { (false, true) } else { (true, false) };
    let (Some(e), Some(u)) = (
        own.iter().zip(&equations).find(|(_, v)| **v == odd.0).map(|(e, _)| e),
        flat.unknowns.iter().find(|u| u.vector == Some(odd.1)),
    ) else {
        return;
    };
    out.push(
        Diagnostic::error(
            "pde.count",
            e.span,
            format!("equation `{}` is one of {}, unknown `{}` a field of {}", e.name, rank(odd.0), u.name, rank(odd.1)),
        )
        .label(u.span, "the unknown")
        .note("each unknown has an equation of its own rank")
        .help(
            "the divergence of a vector is a number, that of a matrix a vector; the gradient of a vector is a matrix",
        ),
    );
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// Sides that a part consists of.
fn sides_of(part: &str, space: usize) -> Vec<&'static str> {
    match part {
        "boundary" => sides(space).to_vec(),
        "ends" => vec!["left", "right"],
        _ => sides(space).iter().filter(|s| **s == part).copied().collect(),
    }
}

fn sides(space: usize) -> &'static [&'static str] {
    let all = parts(space);
    match space {
        1 => &all[..2],
        2 => &all[..4],
        _ => &all[..6],
    }
}

/// Which component of the unknown a condition fixes: all (`None`), or one.
fn component(lhs: &Expr, u: &Unknown, program_locals: &dyn Fn(LocalId) -> bool) -> Option<Option<usize>> {
    match &lhs.kind {
        ExprKind::Local(l) if program_locals(*l) => Some(None),
        ExprKind::Member { base, name, .. } => match (&base.kind, ["x", "y", "z"].iter().position(|a| a == name)) {
            (ExprKind::Local(l), Some(axis)) if program_locals(*l) => Some(Some(axis)),
            _ => None,
        },
        ExprKind::Index { base, indices } => match (&base.kind, &indices[..]) {
            (ExprKind::Local(l), [Expr { kind: ExprKind::Number { value, .. }, .. }]) if program_locals(*l) => {
                Some(Some(*value as usize))
            }
            _ => None,
        },
        _ => {
            let _ = u;
            None
        }
    }
}

/// Conditions of one unknown that stand on one side twice. Gives the sides that have a condition.
fn boundary(found: &Found, u: &Unknown, own: &[&Condition], out: &mut Vec<Diagnostic>) -> Vec<&'static str> {
    let mut taken: Vec<(&'static str, bool, Option<usize>, Span)> = vec![];
    for c in own {
        let what = if c.natural { None } else { component(c.lhs, u, &|_| true).flatten() };
        for (part, span, domain) in &c.places {
            let space = domain.or(u.domain).and_then(|d| info(found, d).space).unwrap_or(3);
            for side in sides_of(part, space) {
                let clash = taken.iter().find(|(s, natural, k, _)| {
                    *s == side && (*natural != c.natural || *k == what || k.is_none() || what.is_none())
                });
                if let Some((_, natural, _, first)) = clash {
                    let same = *natural == c.natural;
                    // A component held and a traction on the other components may share a side.
                    if !same && (what.is_some() || taken.iter().any(|t| t.0 == side && t.2.is_some())) {
                        continue;
                    }
                    let (code, message) = if same {
                        ("pde.boundary.doubled", format!("`{}` has two conditions on side `{side}`", u.name))
                    } else {
                        (
                            "pde.boundary.conflict",
                            format!("side `{side}` is given both the value of `{}` and its flux", u.name),
                        )
                    };
                    out.push(
                        Diagnostic::error(code, *span, message)
                            .here("the second condition")
                            .label(*first, "the first one")
                            .note("a second-order equation takes one condition at each point of the boundary")
                            .help(format!("take one away, or give it another side than `{side}`")),
                    );
                    break;
                }
                taken.push((side, c.natural, what, *span));
            }
        }
    }
    taken.into_iter().map(|t| t.0).collect()
}

/// Whether something fixes the constant that may be added to an unknown of which only derivatives occur.
fn determined(
    program: &Program,
    found: &Found,
    flat: &Flat<'_>,
    u: &Unknown,
    own: &[&Condition],
    out: &mut Vec<Diagnostic>,
) {
    let pointwise = flat.equations.iter().filter(|e| !e.integral);
    let mut uses = pointwise.flat_map(|e| &e.uses).filter(|x| x.unknown == u.local).peekable();
    if uses.peek().is_none() {
        return;
    }
    let only_derived = uses.all(|x| x.derived && !x.in_time);
    let gauge = flat.equations.iter().find(|e| e.integral && e.uses.iter().any(|x| x.unknown == u.local));
    let held = own.iter().find(|c| c.uses.iter().any(|x| x.unknown == u.local && !x.derived));
    let weak = flat.equations.iter().any(|e| e.weak);
    if only_derived && gauge.is_none() && held.is_none() && !weak {
        let periodic = u.domain.is_some_and(|d| info(found, d).periodic == Some(true));
        let name = &program.def(flat.system).name;
        let why = if periodic {
            "on a periodic domain no boundary holds it".to_string()
        } else {
            "every boundary gives a flux, or nothing, which is zero flux".to_string()
        };
        let help = if periodic {
            format!("add a gauge: eq gauge: mean({}) = 0", u.name)
        } else {
            format!("hold `{0}` on a part of the boundary, or add a gauge: eq gauge: mean({0}) = 0", u.name)
        };
        out.push(
            Diagnostic::error(
                "pde.gauge.missing",
                u.span,
                format!("`{}` is determined by `{name}` only up to a constant", u.name),
            )
            .here("only derivatives of it occur")
            .note(why)
            .help(help),
        );
    }
    let essential = held.filter(|c| !c.natural);
    if let (Some(gauge), Some(condition), true, false) =
        (gauge, essential, only_derived, flat.unknowns.iter().any(|u| u.number))
    {
        out.push(
            Diagnostic::error(
                "pde.gauge.surplus",
                gauge.span,
                format!("`{}` is held on the boundary and has a gauge besides", u.name),
            )
            .label(condition.span, "this fixes the constant already")
            .help("take the gauge away; or say what gives way to it by an unknown number: `unknown λ: [unit]` and `… = f + λ`"),
        );
    }
}

fn in_time(program: &Program, flat: &Flat<'_>, u: &Unknown, out: &mut Vec<Diagnostic>) {
    let evolves = flat.equations.iter().flat_map(|e| &e.uses).any(|x| x.unknown == u.local && x.in_time);
    // Of the value, and of its rate: `init u = …`, `init ∂t(u) = …`.
    let of = |rate: bool| {
        flat.inits.iter().filter(move |i| i.uses.iter().any(|x| x.unknown == u.local && x.in_time == rate))
    };
    for rate in [false, true] {
        let mut inits = of(rate);
        if let (Some(first), Some(second)) = (inits.next(), inits.next()) {
            out.push(
                Diagnostic::error("pde.init.doubled", second.span, format!("`{}` has two initial values", u.name))
                    .label(first.span, "the first is here")
                    .help("keep one of them"),
            );
        }
    }
    let init = of(false).next();
    let name = &program.def(flat.system).name;
    match (evolves, init) {
        (true, None) => out.push(
            Diagnostic::error(
                "pde.init.missing",
                u.span,
                format!("`{}` changes in time and has no initial value", u.name),
            )
            .help(format!("add one: init {} = …", u.name)),
        ),
        (false, Some(init)) if !flat.equations.iter().flat_map(|e| &e.uses).any(|x| x.in_time) => out.push(
            Diagnostic::warning(
                "pde.init.steady",
                init.span,
                format!("`{name}` has no derivative in time: this initial value is of no use"),
            )
            .help("Newton's first guess is an argument of `solve`: solve(…, guess=…)"),
        ),
        _ => {}
    }
}
