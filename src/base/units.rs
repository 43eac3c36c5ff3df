//! The units that every program knows: SI with its prefixes, the derived units, and those accepted with the SI.
//! [BIPM, The SI Brochure, 9th ed., tables 2, 4, 7, 8]

use super::{Dimension, Ratio, Unit};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The unit of a name: `mm`, `GPa`, `µs`, `degC`, `%`.
pub fn lookup(name: &str) -> Option<&'static Unit> {
    TABLE.get(name)
}

/// Every known name, prefixed ones too, in no particular order.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.keys().map(String::as_str)
}

/// How a dimension is usually written: `W/m/K` rather than `m*kg/s^3/K`. Falls back on SI base units.
pub fn familiar(dimension: &Dimension) -> String {
    if let Some((_, spelt)) = FAMILIAR.iter().find(|(d, _)| d == dimension) {
        return spelt.to_string();
    }
    if dimension.exponents().count() == 1 {
        return dimension.to_string();
    }
    // One factor away from a mechanical unit: `W/m/K²` as `W/m/K` and another `/K`.
    let near = FAMILIAR.iter().filter(|(d, _)| !d.exponent("kg").is_zero()).filter_map(|(d, spelt)| {
        let rest = dimension.over(d);
        let mut powers = rest.exponents();
        match (powers.next(), powers.next()) {
            (Some((base, p)), None) if p == Ratio::from(-1) && spelt.ends_with(&format!("/{base}")) => {
                Some((p, format!("{spelt}²")))
            }
            (Some((base, p)), None) if base != "kg" => Some((p, format!("{spelt}{}", power(base, p)))),
            _ => None,
        }
    });
    let simplest = near.min_by_key(|(p, _)| (p.den, p.num.abs()));
    simplest.map_or_else(|| dimension.to_string(), |(_, spelt)| spelt)
}

/// `/K`, `*m^2`, `*m^(1/2)`
fn power(base: &str, p: Ratio) -> String {
    let sign = if p.num < 0 { '/' } else { '*' };
    match (p.num.abs(), p.den) {
        (1, 1) => format!("{sign}{base}"),
        (n, 1) => format!("{sign}{base}^{n}"),
        (n, d) => format!("{sign}{base}^({n}/{d})"),
    }
}

/// Name, factor, exponents of m, kg, s, A, K, mol, cd, and whether prefixes apply.
type Row = (&'static str, f64, [i64; 7], bool);

const ROWS: &[Row] = &[
    ("m", 1.0, [1, 0, 0, 0, 0, 0, 0], true),
    ("g", 1e-3, [0, 1, 0, 0, 0, 0, 0], true),
    ("s", 1.0, [0, 0, 1, 0, 0, 0, 0], true),
    ("A", 1.0, [0, 0, 0, 1, 0, 0, 0], true),
    ("K", 1.0, [0, 0, 0, 0, 1, 0, 0], true),
    ("mol", 1.0, [0, 0, 0, 0, 0, 1, 0], true),
    ("cd", 1.0, [0, 0, 0, 0, 0, 0, 1], true),
    ("rad", 1.0, [0; 7], true),
    ("sr", 1.0, [0; 7], false),
    ("Hz", 1.0, [0, 0, -1, 0, 0, 0, 0], true),
    ("N", 1.0, [1, 1, -2, 0, 0, 0, 0], true),
    ("Pa", 1.0, [-1, 1, -2, 0, 0, 0, 0], true),
    ("J", 1.0, [2, 1, -2, 0, 0, 0, 0], true),
    ("W", 1.0, [2, 1, -3, 0, 0, 0, 0], true),
    ("C", 1.0, [0, 0, 1, 1, 0, 0, 0], true),
    ("V", 1.0, [2, 1, -3, -1, 0, 0, 0], true),
    ("F", 1.0, [-2, -1, 4, 2, 0, 0, 0], true),
    ("Ω", 1.0, [2, 1, -3, -2, 0, 0, 0], true),
    ("ohm", 1.0, [2, 1, -3, -2, 0, 0, 0], true),
    ("S", 1.0, [-2, -1, 3, 2, 0, 0, 0], true),
    ("Wb", 1.0, [2, 1, -2, -1, 0, 0, 0], true),
    ("T", 1.0, [0, 1, -2, -1, 0, 0, 0], true),
    ("H", 1.0, [2, 1, -2, -2, 0, 0, 0], true),
    ("lm", 1.0, [0, 0, 0, 0, 0, 0, 1], true),
    ("lx", 1.0, [-2, 0, 0, 0, 0, 0, 1], true),
    ("Bq", 1.0, [0, 0, -1, 0, 0, 0, 0], true),
    ("Gy", 1.0, [2, 0, -2, 0, 0, 0, 0], true),
    ("Sv", 1.0, [2, 0, -2, 0, 0, 0, 0], true),
    ("kat", 1.0, [0, 0, -1, 0, 0, 1, 0], true),
    ("L", 1e-3, [3, 0, 0, 0, 0, 0, 0], true),
    ("l", 1e-3, [3, 0, 0, 0, 0, 0, 0], true),
    ("eV", 1.602_176_634e-19, [2, 1, -2, 0, 0, 0, 0], true),
    ("Da", 1.660_539_068_92e-27, [0, 1, 0, 0, 0, 0, 0], true),
    ("bar", 1e5, [-1, 1, -2, 0, 0, 0, 0], true),
    ("P", 0.1, [-1, 1, -1, 0, 0, 0, 0], true),
    ("t", 1e3, [0, 1, 0, 0, 0, 0, 0], false),
    ("ha", 1e4, [2, 0, 0, 0, 0, 0, 0], false),
    ("min", 60.0, [0, 0, 1, 0, 0, 0, 0], false),
    ("h", 3600.0, [0, 0, 1, 0, 0, 0, 0], false),
    ("d", 86400.0, [0, 0, 1, 0, 0, 0, 0], false),
    ("yr", 31_557_600.0, [0, 0, 1, 0, 0, 0, 0], false),
    ("deg", std::f64::consts::PI / 180.0, [0; 7], false),
    ("°", std::f64::consts::PI / 180.0, [0; 7], false),
    ("Å", 1e-10, [1, 0, 0, 0, 0, 0, 0], false),
    ("atm", 101_325.0, [-1, 1, -2, 0, 0, 0, 0], false),
    ("%", 1e-2, [0; 7], false),
    ("‰", 1e-3, [0; 7], false),
    ("ppm", 1e-6, [0; 7], false),
    ("ppb", 1e-9, [0; 7], false),
];

const PREFIXES: &[(&str, f64)] = &[
    ("Q", 1e30),
    ("R", 1e27),
    ("Y", 1e24),
    ("Z", 1e21),
    ("E", 1e18),
    ("P", 1e15),
    ("T", 1e12),
    ("G", 1e9),
    ("M", 1e6),
    ("k", 1e3),
    ("h", 1e2),
    ("da", 1e1),
    ("d", 1e-1),
    ("c", 1e-2),
    ("m", 1e-3),
    ("µ", 1e-6),
    ("μ", 1e-6),
    ("u", 1e-6),
    ("n", 1e-9),
    ("p", 1e-12),
    ("f", 1e-15),
    ("a", 1e-18),
    ("z", 1e-21),
    ("y", 1e-24),
    ("r", 1e-27),
    ("q", 1e-30),
];

const BASES: [&str; 7] = ["m", "kg", "s", "A", "K", "mol", "cd"];

fn dimension(exponents: &[i64; 7]) -> Dimension {
    let powers = BASES.iter().zip(exponents).filter(|(_, e)| **e != 0);
    powers.fold(Dimension::none(), |d, (b, e)| d.times(&Dimension::base(b).pow(Ratio::from(*e))))
}

/// Plain names win over prefixed ones (`min` is the minute, `cd` the candela, `T` the tesla).
static TABLE: LazyLock<HashMap<String, Unit>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    for (name, factor, exponents, prefixed) in ROWS {
        let d = dimension(exponents);
        if *prefixed {
            for (p, scale) in PREFIXES {
                table.entry(format!("{p}{name}")).or_insert_with(|| Unit::new(d.clone(), exact(*scale, *factor)));
            }
        }
    }
    for (name, factor, exponents, _) in ROWS {
        table.insert(name.to_string(), Unit::new(dimension(exponents), *factor));
    }
    let celsius = Unit { dimension: Dimension::base("K"), factor: 1.0, offset: 273.15 };
    let fahrenheit = Unit { dimension: Dimension::base("K"), factor: 5.0 / 9.0, offset: 273.15 - 32.0 * 5.0 / 9.0 };
    table.insert("degC".into(), celsius.clone());
    table.insert("°C".into(), celsius);
    table.insert("degF".into(), fahrenheit);
    table
});

/// The product of two decimal factors, rounded once: `1e6·1e-3` is exactly `1e3`.
fn exact(scale: f64, factor: f64) -> f64 {
    let exponent = factor.log10();
    if (exponent - exponent.round()).abs() < 1e-12 {
        let total = scale.log10().round() as i32 + exponent.round() as i32;
        return format!("1e{total}").parse().unwrap_or(scale * factor);
    }
    scale * factor
}

/// Dimensions that have a usual spelling.
static FAMILIAR: LazyLock<Vec<(Dimension, &'static str)>> = LazyLock::new(|| {
    let spelt: &[(&str, [i64; 7])] = &[
        ("m/s", [1, 0, -1, 0, 0, 0, 0]),
        ("m²", [2, 0, 0, 0, 0, 0, 0]),
        ("m³", [3, 0, 0, 0, 0, 0, 0]),
        ("m²/s", [2, 0, -1, 0, 0, 0, 0]),
        ("m/s²", [1, 0, -2, 0, 0, 0, 0]),
        ("1/m", [-1, 0, 0, 0, 0, 0, 0]),
        ("1/m²", [-2, 0, 0, 0, 0, 0, 0]),
        ("1/s", [0, 0, -1, 0, 0, 0, 0]),
        ("1/K", [0, 0, 0, 0, -1, 0, 0]),
        ("K²", [0, 0, 0, 0, 2, 0, 0]),
        ("K/m", [-1, 0, 0, 0, 1, 0, 0]),
        ("N", [1, 1, -2, 0, 0, 0, 0]),
        ("Pa", [-1, 1, -2, 0, 0, 0, 0]),
        ("Pa/m", [-2, 1, -2, 0, 0, 0, 0]),
        ("N/m", [0, 1, -2, 0, 0, 0, 0]),
        ("Pa*s", [-1, 1, -1, 0, 0, 0, 0]),
        ("J", [2, 1, -2, 0, 0, 0, 0]),
        ("W", [2, 1, -3, 0, 0, 0, 0]),
        ("W/m", [1, 1, -3, 0, 0, 0, 0]),
        ("W/m²", [0, 1, -3, 0, 0, 0, 0]),
        ("W/m³", [-1, 1, -3, 0, 0, 0, 0]),
        ("W/K", [2, 1, -3, 0, -1, 0, 0]),
        ("W/m/K", [1, 1, -3, 0, -1, 0, 0]),
        ("W/m²/K", [0, 1, -3, 0, -1, 0, 0]),
        ("W/m²/K⁴", [0, 1, -3, 0, -4, 0, 0]),
        ("J/kg/K", [2, 0, -2, 0, -1, 0, 0]),
        ("J/m³/K", [-1, 1, -2, 0, -1, 0, 0]),
        ("kg/m³", [-3, 1, 0, 0, 0, 0, 0]),
        ("C", [0, 0, 1, 1, 0, 0, 0]),
        ("V", [2, 1, -3, -1, 0, 0, 0]),
        ("V/m", [1, 1, -3, -1, 0, 0, 0]),
        ("Ω", [2, 1, -3, -2, 0, 0, 0]),
        ("S/m", [-3, -1, 3, 2, 0, 0, 0]),
        ("A/m²", [-2, 0, 0, 1, 0, 0, 0]),
        ("mol/m³", [-3, 0, 0, 0, 0, 1, 0]),
    ];
    spelt.iter().map(|(name, e)| (dimension(e), *name)).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_plain_names() {
        assert_eq!(lookup("mm").unwrap().factor, 1e-3);
        assert_eq!(lookup("kg").unwrap().factor, 1.0);
        assert_eq!(lookup("µm").unwrap().factor, 1e-6);
        assert_eq!(lookup("μm").unwrap().factor, 1e-6);
        assert_eq!(lookup("GPa").unwrap().factor, 1e9);
        assert_eq!(lookup("min").unwrap().factor, 60.0);
        assert_eq!(lookup("cd").unwrap().dimension, Dimension::base("cd"));
        assert_eq!(lookup("degC").unwrap().to_si(20.0), 293.15);
        assert!(lookup("mmm").is_none());
    }

    #[test]
    fn newton_is_a_kilogram_metre_per_second_squared() {
        let d = |n: &str| &lookup(n).unwrap().dimension;
        assert_eq!(d("N"), &d("kg").times(d("m")).over(&d("s").pow(Ratio::from(2))));
        let conductivity = d("W").over(d("m")).over(d("K"));
        assert_eq!(familiar(&conductivity), "W/m/K");
        assert_eq!(familiar(&conductivity.over(d("K"))), "W/m/K²");
        assert_eq!(familiar(&d("Pa").times(&d("m").pow(Ratio::new(1, 2)))), "Pa*m^(1/2)");
    }
}
