//! Units as written, and the user's own `unit` and `dim`.

use super::Resolver;
use crate::base::{Diagnostic, Dimension, Ratio, Span, Unit, units};
use crate::sema::hir::{DefId, DefKind};
use crate::sema::suggest;
use crate::syntax::ast::{self, BinaryOp, ExprKind, ItemKind, UnaryOp, UnitBase, UnitExpr};

impl Resolver<'_> {
    pub(super) fn resolve_units(&mut self) {
        for d in 0..self.origins.len() {
            if matches!(self.origins[d].kind, ItemKind::Unit { .. } | ItemKind::Dim { .. }) {
                self.unit_def(DefId(d as u32));
            }
        }
    }

    /// The value of a `unit` or `dim` item; `None` while it is being found (a cycle) or when it is faulty.
    fn unit_def(&mut self, id: DefId) -> Option<Unit> {
        if let Some(known) = self.units.get(&id) {
            return known.clone();
        }
        self.units.insert(id, None);
        let module = std::mem::replace(&mut self.module, self.program.def(id).module);
        let item = self.origins[id.index()];
        let unit = match &item.kind {
            ItemKind::Dim { name } => {
                let d = Dimension::base(&name.name);
                self.def_mut(id).kind = DefKind::Dim(d.clone());
                Some(Unit::new(d, 1.0))
            }
            ItemKind::Unit { name, value: None } => Some(Unit::new(Dimension::base(&name.name), 1.0)),
            ItemKind::Unit { name, value: Some(value) } => {
                if units::lookup(&name.name).is_some() {
                    self.report(
                        Diagnostic::error("units.redefined", name.span, format!("`{}` is a built-in unit", name.name))
                            .note(
                                "a unit that meant something else in one file than in all others would be read wrongly",
                            )
                            .help("give your unit another name"),
                    );
                }
                self.constant_unit(value)
            }
            _ => None,
        };
        if let (Some(u), ItemKind::Unit { .. }) = (&unit, &item.kind) {
            let u = u.clone();
            self.def_mut(id).kind = DefKind::Unit(u);
        }
        self.module = module;
        self.units.insert(id, unit.clone());
        unit
    }

    /// A constant product such as `4184 [J]` or `2*π*1 [Hz]`.
    fn constant_unit(&mut self, e: &ast::Expr) -> Option<Unit> {
        match &e.kind {
            ExprKind::Number { value, text, unit } => match unit {
                Some(u) => {
                    let u = self.unit(u, false);
                    Some(Unit::new(u.dimension.clone(), si_value(text, *value, &u)))
                }
                None => Some(Unit::new(Dimension::none(), *value)),
            },
            ExprKind::Paren { items, unit } if items.len() == 1 => {
                let inner = self.constant_unit(&items[0])?;
                Some(match unit {
                    Some(u) => inner.times(&self.unit(u, false)),
                    None => inner,
                })
            }
            ExprKind::Name(name) if name.name == "π" || name.name == "pi" => {
                Some(Unit::new(Dimension::none(), std::f64::consts::PI))
            }
            ExprKind::Unary { op: UnaryOp::Neg, arg } => {
                let u = self.constant_unit(arg)?;
                Some(Unit::new(u.dimension, -u.factor))
            }
            ExprKind::Binary { op, lhs, rhs } => {
                let (a, b) = (self.constant_unit(lhs)?, self.constant_unit(rhs)?);
                match op {
                    BinaryOp::Mul => Some(a.times(&b)),
                    BinaryOp::Div => Some(a.over(&b)),
                    _ => self.not_a_unit(e.span),
                }
            }
            _ => self.not_a_unit(e.span),
        }
    }

    fn not_a_unit(&mut self, span: Span) -> Option<Unit> {
        self.report(
            Diagnostic::error("units.definition", span, "a unit is a number times other units")
                .help("for example: unit kcal = 4184 [J]"),
        );
        None
    }

    /// A written unit. `absolute`: a literal or a range, where `degC` may stand alone.
    pub(super) fn unit(&mut self, u: &UnitExpr, absolute: bool) -> Unit {
        let mut out = Unit::one();
        for f in &u.factors {
            let base = match &f.base {
                UnitBase::One => Unit::one(),
                UnitBase::Group(inner) => self.unit(inner, false),
                UnitBase::Name(name) => match self.named_unit(name, f.span) {
                    Some(unit) => unit,
                    None => continue,
                },
            };
            let plain = u.factors.len() == 1 && !f.divide && f.exponent == (1, 1);
            if base.offset != 0.0 {
                if plain && absolute {
                    return base;
                }
                self.report(
                    Diagnostic::error(
                        "units.offset",
                        f.span,
                        "a temperature scale with its own zero stands alone, on a number",
                    )
                    .note("20 [degC] is a point on a scale; in products, differences and types only kelvins make sense")
                    .help("write [K]"),
                );
            }
            let power = base.pow(Ratio::new(f.exponent.0, f.exponent.1));
            out = if f.divide { out.over(&power) } else { out.times(&power) };
        }
        out
    }

    fn named_unit(&mut self, name: &str, span: Span) -> Option<Unit> {
        if let Some(u) = units::lookup(name) {
            return Some(u.clone());
        }
        if let Some(id) = self.lookup_def(name)
            && matches!(self.origins[id.index()].kind, ItemKind::Unit { .. } | ItemKind::Dim { .. })
        {
            return self.unit_def(id);
        }
        let own = self.origins.iter().filter_map(|i| match &i.kind {
            ItemKind::Unit { name, .. } | ItemKind::Dim { name } => Some(name.name.as_str()),
            _ => None,
        });
        let mut candidates: Vec<&str> = own.collect();
        for name in units::names() {
            candidates.push(name);
        }
        let near = suggest::nearest_unit(name, candidates.into_iter()).map(str::to_string);
        let d = Diagnostic::error("units.unknown", span, format!("there is no unit `{name}`"));
        self.report(match near {
            Some(n) => d.help(format!("did you mean `{n}`?")),
            None => d.help(format!("define it: unit {name} = … [SI unit]")),
        });
        None
    }
}

/// The SI value of a literal, rounded once where the unit is a power of ten: `10 [µm]` is the float nearest to 1e-5.
pub fn si_value(text: &str, value: f64, unit: &Unit) -> f64 {
    let power = unit.factor.log10();
    if unit.offset != 0.0 || unit.factor == 1.0 || (power - power.round()).abs() > 1e-12 {
        return unit.to_si(value);
    }
    let plain = text.replace('_', "");
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i64>().unwrap_or(0)),
        None => (plain.as_str(), 0),
    };
    format!("{mantissa}e{}", exponent + power.round() as i64).parse().unwrap_or_else(|_| unit.to_si(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_rounded_once() {
        let u = |n: &str| units::lookup(n).unwrap().clone();
        assert_eq!(si_value("10", 10.0, &u("µm")), 1e-5);
        assert_eq!(si_value("2.5e-1", 0.25, &u("GPa")), 2.5e8);
        assert_eq!(si_value("90", 90.0, &u("min")), 5400.0);
    }
}
