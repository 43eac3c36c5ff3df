//! The terms of equations as they are written, sorted by what they do: what a method treats implicitly is inferred from that, or said.

use crate::base::Span;
use crate::ir::{Binary, Builder, Func, Op as Operation, Unary, Value as Node};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::field::prune;
use crate::lower::system::{Boundary, Equation, Equations, Through};
use crate::lower::value::{Field, Leaf, Record, Value};
use crate::sema::hir::Op;
use std::rc::Rc;

/// What a term does to an unknown that changes in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A flux that follows gradients, or derivatives beyond the first.
    Diffusion,
    /// A flux of values, or first derivatives.
    Transport,
    /// Without derivatives of unknowns.
    Reaction,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Diffusion, Kind::Transport, Kind::Reaction];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Diffusion => "diffusion",
            Kind::Transport => "transport",
            Kind::Reaction => "reaction",
        }
    }
}

/// The kinds that are implicit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Implicit([bool; 3]);

impl Default for Implicit {
    /// Diffusion, whose limit on explicit steps shrinks with the square of the spacing.
    fn default() -> Implicit {
        Implicit([true, false, false])
    }
}

impl Implicit {
    /// As written in a scheme: `implicit="diffusion"`, `implicit=["diffusion", "reaction"]`.
    pub fn read(time: &Record, span: Span) -> Result<Option<Implicit>> {
        let names: Vec<Value> = match time.fields.get("implicit") {
            None | Some(Value::None) => return Ok(None),
            Some(Value::List(names)) => names.to_vec(),
            Some(one) => vec![one.clone()],
        };
        let mut kinds = [false; 3];
        for name in &names {
            let kind = match name {
                Value::Str(s) => Kind::ALL.into_iter().find(|k| k.name() == &**s),
                _ => None,
            };
            let Some(kind) = kind else {
                return error_help(
                    "run.scheme",
                    span,
                    "`implicit` names kinds of terms",
                    "write one or several of \"diffusion\" (fluxes that follow gradients), \"transport\" (first derivatives) and \"reaction\" (none)",
                );
            };
            kinds[kind as usize] = true;
        }
        Ok(Some(Implicit(kinds)))
    }

    pub fn holds(self, kind: Kind) -> bool {
        self.0[kind as usize]
    }
}

/// A flux and a source.
#[derive(Clone, Default)]
pub struct Part {
    pub flux: Option<Value>,
    pub source: Option<Value>,
    /// Of the flux, what passes walls where nothing is given.
    pub carried: Option<Value>,
}

/// Equations in two parts.
pub struct Parts {
    /// With the implicit terms alone, and conditions on fluxes that are theirs.
    pub implicit: Equations,
    /// The explicit terms of each equation.
    pub explicit: Vec<Part>,
    /// What the explicit terms make of each condition.
    pub of_conditions: Vec<OfCondition>,
    /// In words: `diffusion of `heat` is implicit`.
    pub words: String,
}

/// What the explicit terms make of a condition.
pub struct OfCondition {
    pub through: Through,
    /// What of a condition on all that flows is theirs.
    pub flux: Option<Field>,
}

impl Lower<'_> {
    /// Splits the equations of a system. Equations without a rate are implicit whatever is said, and so are terms with an unknown that
    /// no such equation gives: a multiplier, as a pressure is. `conservative`: transport is a flux.
    pub(super) fn split_terms(
        &mut self,
        mut eqs: Equations,
        implicit: Implicit,
        conservative: bool,
        span: Span,
    ) -> Result<Parts> {
        let free = multipliers(&eqs);
        let mut explicit = vec![];
        let (mut inside, mut outside) = (vec![], vec![]);
        for e in &mut eqs.balances {
            if e.residual.stored.is_none() {
                inside.push(format!("`{}`", e.name));
                explicit.push(Part::default());
                continue;
            }
            let part = self.split_equation(e, implicit, &free, conservative, (&mut inside, &mut outside))?;
            let carried = if eqs.carries { part.flux.clone() } else { part.carried.clone() };
            explicit.push(Part { carried, ..part });
        }
        self.settle(&mut eqs, conservative)?;
        if inside.is_empty() {
            return error_help(
                "run.scheme",
                span,
                format!("nothing in `{}` is implicit", eqs.name),
                "fluxes that follow gradients are, if nothing else is said: say `implicit=\"reaction\"`, or use an explicit method such as `rk4`",
            );
        }
        let of_conditions = self.split_conditions(&mut eqs, &explicit)?;
        let listed = |what: &[String], none: &str| if what.is_empty() { none.into() } else { what.join(", ") };
        let words = format!("implicit: {}; explicit: {}", listed(&inside, "nothing"), listed(&outside, "nothing"));
        Ok(Parts { implicit: eqs, explicit, of_conditions, words })
    }

    /// Takes the explicit terms out of an equation.
    fn split_equation(
        &mut self,
        e: &mut Equation,
        implicit: Implicit,
        free: &[bool],
        conservative: bool,
        (inside, outside): (&mut Vec<String>, &mut Vec<String>),
    ) -> Result<Part> {
        let mut part = Part::default();
        let mut found = [[false; 2]; 3];
        if let Some(t) = &e.residual.transport {
            let holds_free = matches!(&t.pointwise, Value::Field(f) if reads(f, |index| free[index]));
            let stays = implicit.holds(Kind::Transport) || holds_free;
            found[Kind::Transport as usize][!stays as usize] = true;
            if !stays {
                let t = e.residual.transport.take().expect("compiler bug: no transport");
                if conservative {
                    part.flux = Some(t.flux.clone());
                    part.carried = Some(t.flux);
                } else {
                    part.source = Some(t.pointwise);
                }
            }
        }
        for flux in [true, false] {
            let whole = if flux { &mut e.residual.flux } else { &mut e.residual.source };
            let Some(Value::Field(f)) = whole.clone() else { continue };
            let (stays, goes) = divided(&f, |leaves| {
                let order = |l: &&Leaf| if let Leaf::Unknown { order, .. } = l { Some(*order) } else { None };
                let highest = leaves.iter().filter_map(order).max();
                let kind = match (highest, flux) {
                    (Some(1..), true) | (Some(2..), false) => Kind::Diffusion,
                    (Some(_), true) | (Some(1), false) => Kind::Transport,
                    _ => Kind::Reaction,
                };
                let held = leaves.iter().any(|l| matches!(l, Leaf::Unknown { index, .. } if free[*index]));
                let stays = implicit.holds(kind) || held;
                if highest.is_some() {
                    found[kind as usize][!stays as usize] = true;
                }
                stays
            });
            *whole = stays.map(Value::Field);
            if let Some(goes) = goes.map(Value::Field) {
                let into = if flux { &mut part.flux } else { &mut part.source };
                *into = Some(match into.take() {
                    Some(before) => self.apply(&Op::Add, &[before, goes], e.span)?,
                    None => goes,
                });
            }
        }
        for kind in Kind::ALL {
            for (side, list) in [&mut *inside, &mut *outside].into_iter().enumerate() {
                if found[kind as usize][side] {
                    list.push(format!("{} in `{}`", kind.name(), e.name));
                }
            }
        }
        Ok(part)
    }

    /// Conditions on all that flows become conditions on the implicit fluxes: through a wall where it is given, nothing flows
    /// explicitly. Gives `±flux·n` of the explicit terms for each of them. Conditions on what gradients drive stay as they are, and
    /// what is carried leaves.
    fn split_conditions(&mut self, eqs: &mut Equations, explicit: &[Part]) -> Result<Vec<OfCondition>> {
        let mut out = vec![];
        for k in 0..eqs.conditions.len() {
            let c = &eqs.conditions[k];
            let Some(which) = gradient_of(c) else {
                out.push(OfCondition { through: Through::Given, flux: None });
                continue;
            };
            let (row, span) = (eqs.flux_of(which), c.span);
            let Some(Value::Field(theirs)) = explicit[row].flux.clone() else {
                out.push(OfCondition { through: Through::Nothing, flux: None });
                continue;
            };
            let Some(Value::Field(ours)) = &eqs.balances[row].residual.flux else {
                return error_help(
                    "run.scheme",
                    span,
                    "the flux that is given here is explicit",
                    "let diffusion be implicit where fluxes are given, `implicit=\"diffusion\"`",
                );
            };
            if self.is_driven_alone(c, eqs) {
                out.push(OfCondition { through: Through::Carried, flux: None });
                continue;
            }
            let sign = self.flux_sign(c, &ours.clone())?;
            let normal = self.leaf(&eqs.domain.clone(), Leaf::Normal, crate::ir::Type::f64([eqs.domain.dimension()]));
            let through = self.apply(&Op::Dot, &[Value::Field(theirs), Value::Field(normal)], span)?;
            let through = self.apply(&Op::Mul, &[Value::num(sign), through], span)?;
            let condition = Value::Field(eqs.conditions[k].condition.clone());
            let rest = self.apply(&Op::Sub, &[condition, through.clone()], span)?;
            let (Value::Field(rest), Value::Field(through)) = (rest, through) else {
                unreachable!("compiler bug: a condition that is no field")
            };
            eqs.conditions[k].condition = rest;
            out.push(OfCondition { through: Through::Nothing, flux: Some(through) });
        }
        Ok(out)
    }
}

/// Which unknowns are given neither by a rate nor by an equation without one: they keep a constraint.
pub fn multipliers(eqs: &Equations) -> Vec<bool> {
    let given = |k: usize| {
        let mut steady = eqs.balances.iter().filter(|e| e.residual.stored.is_none());
        steady.any(|e| fields(e).any(|f| reads(f, |index| index == k)))
    };
    (0..eqs.unknowns.len()).map(|k| !super::rates::has_rate(eqs, k) && !given(k)).collect()
}

/// The unknown whose flux a condition gives; none where it gives a value.
pub fn gradient_of(c: &Boundary) -> Option<usize> {
    c.condition.leaves.iter().find_map(|l| match l {
        Leaf::Unknown { order: 1.., index, .. } => Some(*index),
        _ => None,
    })
}

fn reads(f: &Field, which: impl Fn(usize) -> bool) -> bool {
    f.leaves.iter().any(|l| matches!(l, Leaf::Unknown { index, .. } if which(*index)))
}

/// The parts of an equation besides what changes in time.
fn fields(e: &Equation) -> impl Iterator<Item = &Field> {
    let r = &e.residual;
    let parts = [r.flux.as_ref(), r.source.as_ref(), r.transport.as_ref().map(|t| &t.pointwise)];
    parts.into_iter().flatten().filter_map(|v| if let Value::Field(f) = v { Some(f) } else { None })
}

/// The sum of the terms that stay and that of those that go, by the leaves that each reads.
fn divided(f: &Field, mut stays: impl FnMut(&[&Leaf]) -> bool) -> (Option<Field>, Option<Field>) {
    let mut reads: Vec<Vec<bool>> = Vec::with_capacity(f.func.nodes.len());
    for node in &f.func.nodes {
        let mut own = vec![false; f.leaves.len()];
        if let Operation::Input(k) = node.op {
            own[k] = true;
        }
        for a in &node.args {
            reads[a.index()].iter().zip(&mut own).for_each(|(theirs, own)| *own |= theirs);
        }
        reads.push(own);
    }
    let mut sides: [Vec<(Node, bool)>; 2] = [vec![], vec![]];
    for (term, negative) in terms(&f.func) {
        let read = &reads[term.index()];
        let leaves: Vec<&Leaf> = f.leaves.iter().zip(read).filter(|(_, r)| **r).map(|(l, _)| l).collect();
        sides[!stays(&leaves) as usize].push((term, negative));
    }
    let [stay, go] = sides.map(|side| summed(f, &side));
    (stay, go)
}

/// What the output is a sum of, with signs.
fn terms(f: &Func) -> Vec<(Node, bool)> {
    let mut open = vec![(f.outputs[0], false)];
    let mut out = vec![];
    while let Some((v, negative)) = open.pop() {
        let node = f.node(v);
        match node.op {
            Operation::Binary(Binary::Add) => open.extend(node.args.iter().rev().map(|&a| (a, negative))),
            Operation::Binary(Binary::Sub) => open.extend([(node.args[1], !negative), (node.args[0], negative)]),
            Operation::Unary(Unary::Neg) => open.push((node.args[0], !negative)),
            _ => out.push((v, negative)),
        }
    }
    out
}

fn summed(f: &Field, terms: &[(Node, bool)]) -> Option<Field> {
    if terms.is_empty() {
        return None;
    }
    let mut all = (*f.func).clone();
    all.outputs = terms.iter().map(|(v, _)| *v).collect();
    let mut b = Builder::new(all.name.clone());
    let args: Vec<Node> = all.inputs.iter().map(|t| b.input(t.clone())).collect();
    let values = b.inline(&all, &args);
    let mut sum: Option<Node> = None;
    for (v, (_, negative)) in values.into_iter().zip(terms) {
        sum = Some(match (sum, negative) {
            (None, false) => v,
            (None, true) => b.neg(v),
            (Some(s), false) => b.add(s, v),
            (Some(s), true) => b.sub(s, v),
        });
    }
    let func = b.finish(vec![sum?]);
    Some(prune(Field { domain: f.domain.clone(), leaves: f.leaves.clone(), func: Rc::new(func) }))
}
