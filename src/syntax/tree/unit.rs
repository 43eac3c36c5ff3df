//! `[W/m²/K]`.

use super::{Builder, Node, children};
use crate::base::Diagnostic;
use crate::syntax::ast::{UnitBase, UnitExpr, UnitFactor};
use crate::syntax::grammar::Rule;
use unicode_normalization::UnicodeNormalization;

impl Builder {
    /// Of `unit`.
    pub fn unit(&mut self, node: Node<'_>) -> UnitExpr {
        let span = self.span(&node);
        UnitExpr { span, ..self.product(children(node).next()) }
    }

    fn product(&mut self, node: Node<'_>) -> UnitExpr {
        let span = self.span(&node);
        let (mut factors, mut divide) = (vec![], false);
        for node in children(node).rest() {
            match node.as_rule() {
                Rule::unit_over => divide = true,
                Rule::unit_times => divide = false,
                _ => factors.push(self.factor(divide, node)),
            }
        }
        UnitExpr { factors, span }
    }

    fn factor(&mut self, divide: bool, node: Node<'_>) -> UnitFactor {
        let span = self.span(&node);
        let mut parts = children(node);
        let base = parts.next();
        let base = match base.as_rule() {
            Rule::unit_one => UnitBase::One,
            Rule::unit_name => UnitBase::Name(base.as_str().nfc().collect()),
            _ => UnitBase::Group(Box::new(self.product(base))),
        };
        let exponent = parts.opt(Rule::unit_pow).map_or((1, 1), |n| self.exponent(n));
        UnitFactor { divide, base, exponent, span }
    }

    /// `^2`, `^-1/2`, `^(1/2)`, `⁻²`
    fn exponent(&mut self, node: Node<'_>) -> (i64, i64) {
        let text = node.as_str();
        let fraction = match text.strip_prefix('^') {
            Some(plain) => {
                let plain = plain.trim_matches(['(', ')']);
                let (num, den) = plain.split_once('/').unwrap_or((plain, "1"));
                num.parse().ok().zip(den.parse().ok())
            }
            None => superscript(text).map(|n| (n, 1)),
        };
        match fraction {
            Some((num, den)) if den != 0 && i64::abs(num) <= 1000 && den <= 1000 => (num, den),
            _ => {
                let message = format!("`{text}` is no exponent of a unit");
                let help = "exponents are integers or fractions of up to three digits";
                self.errors.push(Diagnostic::error("syntax.unit", self.span(&node), message).help(help));
                (1, 1)
            }
        }
    }
}

/// The integer that `⁻¹²` writes.
pub(super) fn superscript(text: &str) -> Option<i64> {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '⁻' => Some('-'),
            '⁰' => Some('0'),
            '¹' => Some('1'),
            '²' => Some('2'),
            '³' => Some('3'),
            '⁴'..='⁹' => char::from_digit(c as u32 - '⁴' as u32 + 4, 10),
            _ => None,
        })
        .collect::<Option<_>>()?;
    plain.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::superscript;

    #[test]
    fn superscripts() {
        assert_eq!(superscript("⁻¹²"), Some(-12));
        assert_eq!(superscript("⁹⁴⁰"), Some(940));
        assert_eq!(superscript("⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹"), None);
    }
}
