//! Physical dimensions: products of base dimensions with rational exponents. [BIPM, The SI Brochure, §2.3.3]

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// An exact fraction in lowest terms, denominator positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Ratio {
    pub num: i64,
    pub den: i64,
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

impl Ratio {
    pub const ZERO: Ratio = Ratio { num: 0, den: 1 };
    pub const ONE: Ratio = Ratio { num: 1, den: 1 };

    /// `num/den`; a zero denominator gives zero, the callers having refused it with a message before.
    pub fn new(num: i64, den: i64) -> Ratio {
        if den == 0 {
            return Ratio::ZERO;
        }
        let g = gcd(num, den).max(1) * den.signum();
        Ratio { num: num / g, den: den / g }
    }

    pub fn is_zero(self) -> bool {
        self.num == 0
    }

    pub fn to_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// The exact fraction of a small decimal or simple fraction (`0.5`, `-1.5`, `1/3`), if there is one.
    pub fn from_f64(x: f64) -> Option<Ratio> {
        (1..=60).find_map(|den| {
            let n = x * den as f64;
            ((n - n.round()).abs() < 1e-9 && n.abs() < 1e6).then(|| Ratio::new(n.round() as i64, den))
        })
    }
}

impl From<i64> for Ratio {
    fn from(n: i64) -> Ratio {
        Ratio { num: n, den: 1 }
    }
}

impl Add for Ratio {
    type Output = Ratio;
    fn add(self, o: Ratio) -> Ratio {
        Ratio::new(self.num * o.den + o.num * self.den, self.den * o.den)
    }
}

impl Sub for Ratio {
    type Output = Ratio;
    fn sub(self, o: Ratio) -> Ratio {
        self + -o
    }
}

impl Mul for Ratio {
    type Output = Ratio;
    fn mul(self, o: Ratio) -> Ratio {
        Ratio::new(self.num * o.num, self.den * o.den)
    }
}

impl Div for Ratio {
    type Output = Ratio;
    fn div(self, o: Ratio) -> Ratio {
        Ratio::new(self.num * o.den, self.den * o.num)
    }
}

impl Neg for Ratio {
    type Output = Ratio;
    fn neg(self) -> Ratio {
        Ratio { num: -self.num, den: self.den }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

/// A base dimension, named by its SI base unit (`m kg s A K mol cd`), by `rad`-like none, or by the user's `dim`.
pub type Base = String;

/// A product of powers of base dimensions. Dimensionless is the empty product.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Dimension(BTreeMap<Base, Ratio>);

impl Dimension {
    /// Dimensionless.
    pub fn none() -> Dimension {
        Dimension::default()
    }

    pub fn base(name: &str) -> Dimension {
        Dimension(BTreeMap::from([(name.to_string(), Ratio::ONE)]))
    }

    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    pub fn exponents(&self) -> impl Iterator<Item = (&str, Ratio)> {
        self.0.iter().map(|(b, r)| (b.as_str(), *r))
    }

    pub fn exponent(&self, base: &str) -> Ratio {
        self.0.get(base).copied().unwrap_or(Ratio::ZERO)
    }

    pub fn times(&self, other: &Dimension) -> Dimension {
        self.combine(other, Ratio::ONE)
    }

    pub fn over(&self, other: &Dimension) -> Dimension {
        self.combine(other, -Ratio::ONE)
    }

    pub fn pow(&self, p: Ratio) -> Dimension {
        Dimension(self.0.iter().map(|(b, r)| (b.clone(), *r * p)).filter(|(_, r)| !r.is_zero()).collect())
    }

    /// `self · other^p`
    fn combine(&self, other: &Dimension, p: Ratio) -> Dimension {
        let mut out = self.0.clone();
        for (b, r) in &other.0 {
            let sum = out.get(b).copied().unwrap_or(Ratio::ZERO) + *r * p;
            if sum.is_zero() {
                out.remove(b);
            } else {
                out.insert(b.clone(), sum);
            }
        }
        Dimension(out)
    }
}

/// In SI base units, most familiar order: `kg·m²/s³` prints as `m^2*kg/s^3`.
impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("1");
        }
        let part = |positive: bool| {
            self.0
                .iter()
                .filter(|(_, r)| (r.num > 0) == positive)
                .map(|(b, r)| {
                    let r = if positive { *r } else { -*r };
                    if r == Ratio::ONE { b.clone() } else { format!("{b}^{r}") }
                })
                .collect::<Vec<_>>()
        };
        let (up, down) = (part(true), part(false));
        f.write_str(&if up.is_empty() { "1".into() } else { up.join("*") })?;
        down.iter().try_for_each(|d| write!(f, "/{d}"))
    }
}
