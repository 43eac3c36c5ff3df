//! Manufactured problems: an operator under conditions, with solutions that its equations are made for.
//!
//! `∂t(u) + L(u) = ∂v/∂t + L(v)`, u = v at the start, and on the boundary what v gives there. Every solution is
//! `v = a(x) + e⁻ᵗ b(x) + cos(2t) c(x)`: at the end, t = 1, no derivative of it is near zero.

use std::fmt::Write as _;

/// A law in space and time. In its texts `U` stands for the first unknown, `W` for the second.
pub struct Operator {
    pub name: &'static str,
    pub unknowns: &'static [Unknown],
    pub takes: Takes,
    /// The unknowns are vectors.
    pub vector: bool,
    /// Measured in the plane, too.
    pub plane: bool,
    /// Its flux carries the unknown.
    pub carries: bool,
}

/// The equation of an unknown.
pub struct Unknown {
    pub stored: Stored,
    /// What stands under `∇·`; empty where nothing does.
    pub flux: &'static str,
    /// What stands beside it.
    pub rest: &'static str,
    /// A gauge fixes its constant where no value is given.
    pub gauge: bool,
}

/// What stands in the place of ∂t(u).
pub enum Stored {
    Rate,
    /// This times ∂t(u).
    Factor(&'static str),
    /// ∂t of the first, and the derivative of the first by the unknown.
    Of(&'static str, &'static str),
    Second,
    Nothing,
}

/// Which conditions an operator has.
#[derive(Clone, Copy, PartialEq)]
pub enum Takes {
    All,
    /// One condition of each kind.
    Some,
    /// In the plane alone.
    Plane,
    /// Of first order in space: periodic, or what comes in.
    Inflow,
    /// Periodic, or values.
    Values,
}

/// Where, and under what conditions.
pub struct Conditions {
    pub name: &'static str,
    pub dimension: usize,
    pub domain: &'static str,
    /// a, b and c of the solution of each unknown.
    pub solutions: [[&'static str; 3]; 2],
    /// The solution rises where it flows out. Slopes that vanish there are limited, which is no smooth function of time.
    pub rising: bool,
    /// Sides and what is given there.
    pub on: &'static [(&'static str, Kind)],
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// u = v
    Value,
    /// q(u)·n = q(v)·n
    Flux,
    /// q(u)·n = q(v)·n + (u - v)/10
    Robin,
}

use Kind::{Flux, Robin, Value};
use Stored::{Factor, Nothing, Of, Rate, Second};

const fn law(flux: &'static str, rest: &'static str) -> Unknown {
    Unknown { stored: Rate, flux, rest, gauge: false }
}

const fn scalar(name: &'static str, takes: Takes, unknowns: &'static [Unknown]) -> Operator {
    Operator { name, unknowns, takes, vector: false, plane: false, carries: false }
}

pub const OPERATORS: &[Operator] = &[
    Operator { carries: true, ..scalar("c ∂x u", Takes::Inflow, &[law("", "0.5*∂x(U)")]) },
    Operator { plane: true, ..scalar("κ ∇²u", Takes::All, &[law("-κ*∇(U)", "")]) },
    scalar("∇·(k(x) ∇u)", Takes::Some, &[law("-κ*(1 + 0.5*sin(2*π*x))*∇(U)", "")]),
    scalar("∇·(k(u) ∇u)", Takes::Some, &[law("-κ*(1 + 0.3*(U)^2)*∇(U)", "")]),
    scalar("κ ∇²u + u - u³", Takes::Some, &[law("-κ*∇(U)", "(U)^3 - U")]),
    Operator { carries: true, ..scalar("κ ∇²u - ∂x(u²/2)", Takes::Some, &[law("-κ*∇(U)", "∂x((U)^2/2)")]) },
    scalar("κ ∇²u - u ∂x u", Takes::Values, &[law("-κ*∇(U)", "U*∂x(U)")]),
    scalar("c(x) ∂t u", Takes::All, &[Unknown { stored: Factor("(1.5 + 0.5*sin(2*π*x))"), ..law("-κ*∇(U)", "") }]),
    scalar(
        "∂t(u + u²/5)",
        Takes::Values,
        &[Unknown { stored: Of("U + 0.2*(U)^2", "1 + 0.4*U"), ..law("-κ*∇(U)", "") }],
    ),
    scalar("κ ∇²u - mean(u²) u", Takes::Values, &[law("-κ*∇(U)", "mean((U)^2)*U")]),
    scalar("∂xxx u", Takes::Values, &[law("", "0.002*∂xxx(U)")]),
    scalar("∂xxxx u", Takes::Values, &[law("", "0.00005*∂xxxx(U)")]),
    scalar("two species", Takes::Some, &[law("-κ*∇(U)", "U*W"), law("-2*κ*∇(W)", "-(U)^2*W + W")]),
    scalar("∂tt u = c² ∇²u", Takes::Some, &[Unknown { stored: Second, ..law("-0.3*∇(U)", "") }]),
    scalar(
        "drift in a potential, -∇²w = u",
        Takes::Values,
        &[law("-κ*∇(U) + 0.1*U*∇(W)", ""), Unknown { stored: Nothing, gauge: true, ..law("-∇(W)", "-U + 1") }],
    ),
    scalar(
        "reaction in a field, -∇²w + w = u",
        Takes::Values,
        &[law("-κ*∇(U)", "U*W"), Unknown { stored: Nothing, ..law("-∇(W)", "W - U") }],
    ),
    Operator {
        vector: true,
        plane: true,
        ..scalar("∇·(κ ∇u + κ ∇uᵀ), a vector", Takes::Plane, &[law("-κ*(∇(U) + (∇(U))ᵀ)", "")])
    },
];

const LINE: [[&str; 3]; 2] =
    [["1", "0.5*sin(2*x + 0.3)", "0.3*cos(2*x)"], ["1 + x", "0.4*cos(3*x)", "-0.2*sin(2*x + 0.5)"]];
const PLANE: [[&str; 3]; 2] = [
    ["1", "0.5*sin(2*x + 0.3)*cos(y)", "0.3*cos(2*x - y)"],
    ["1 + x", "0.4*cos(3*x)*sin(y + 0.2)", "-0.2*sin(2*x + y)"],
];

const RISING: [[&str; 3]; 2] = [["1 + 2*x", LINE[0][1], LINE[0][2]], LINE[1]];

const fn line(name: &'static str, on: &'static [(&'static str, Kind)]) -> Conditions {
    Conditions { name, dimension: 1, domain: "interval(0..1)", solutions: LINE, rising: false, on }
}

pub const CONDITIONS: &[Conditions] = &[
    Conditions {
        name: "periodic",
        dimension: 1,
        rising: false,
        domain: "interval(0..1, periodic=true)",
        solutions: [["1", "0.5*sin(2*π*x)", "0.3*cos(2*π*x)"], ["0", "0.4*cos(2*π*x)", "-0.2*sin(2*π*x)"]],
        on: &[],
    },
    Conditions {
        solutions: [["1 + x", "0.5*sin(π*x)", "0.3*sin(2*π*x)"], ["1 - x", "0.4*sin(2*π*x)", "-0.2*sin(π*x)"]],
        ..line("values", &[("left", Value), ("right", Value)])
    },
    line("values in time", &[("left", Value), ("right", Value)]),
    line("flux", &[("left", Flux), ("right", Flux)]),
    line("value, Robin", &[("left", Value), ("right", Robin)]),
    Conditions { solutions: RISING, rising: true, ..line("value, Robin", &[("left", Value), ("right", Robin)]) },
    Conditions { solutions: RISING, rising: true, ..line("inflow", &[("left", Value)]) },
    Conditions {
        name: "periodic",
        dimension: 2,
        rising: false,
        domain: "square(1, periodic=true)",
        solutions: [
            ["1", "0.5*sin(2*π*x)*cos(2*π*y)", "0.3*cos(2*π*(x - y))"],
            ["0", "0.4*cos(2*π*x)*sin(2*π*y)", "-0.2*sin(2*π*(x + y))"],
        ],
        on: &[],
    },
    Conditions {
        name: "values, fluxes, Robin",
        dimension: 2,
        rising: false,
        domain: "square(1)",
        solutions: PLANE,
        on: &[("left", Value), ("right", Robin), ("bottom", Flux), ("top", Value)],
    },
];

/// In space, for the orders in space.
pub const SOLIDS: &[Conditions] = &[
    Conditions {
        name: "periodic",
        dimension: 3,
        rising: false,
        domain: "box(0..1, 0..1, 0..1, periodic=true)",
        solutions: [
            ["1", "0.5*sin(2*π*x)*cos(2*π*y)*sin(2*π*z)", "0.3*cos(2*π*(x - y + z))"],
            ["0", "0.4*cos(2*π*x)*sin(2*π*y)", "-0.2*sin(2*π*(x + z))"],
        ],
        on: &[],
    },
    Conditions {
        name: "values, fluxes, Robin",
        dimension: 3,
        rising: false,
        domain: "box(0..1, 0..1, 0..1)",
        solutions: [
            ["1", "0.5*sin(2*x + 0.3)*cos(y + z)", "0.3*cos(2*x - y + z)"],
            ["1 + x", "0.4*cos(3*x)*sin(y + 0.2)", "-0.2*sin(2*x + y - z)"],
        ],
        on: &[("left", Value), ("right", Robin), ("bottom", Flux), ("top", Value), ("back", Flux), ("front", Robin)],
    },
];

impl Conditions {
    /// Whether an operator is measured under these: every one on a periodic domain (in Fourier space), and between walls.
    pub fn suit(&self, o: &Operator) -> bool {
        if self.on.is_empty() && self.dimension == 1 && !o.vector {
            return true;
        }
        let values = self.on.iter().all(|(_, k)| *k == Value);
        let inflow = self.name == "inflow";
        let of_dimension = match self.dimension {
            1 => !o.vector,
            2 => o.plane,
            _ => o.plane && !o.vector,
        };
        of_dimension
            && match o.takes {
                Takes::All => !inflow && !self.rising,
                Takes::Plane => self.dimension == 2,
                Takes::Some => self.name == "value, Robin" && self.rising == o.carries,
                Takes::Inflow => inflow || self.on.is_empty(),
                Takes::Values => values && !inflow && self.name != "values" && !self.on.is_empty(),
            }
    }
}

impl Operator {
    /// Those unknowns that move.
    pub fn moving(&self) -> impl Iterator<Item = &'static str> {
        ["u", "w"].into_iter().zip(self.unknowns).filter(|(_, k)| !matches!(k.stored, Nothing)).map(|(n, _)| n)
    }
}

/// A problem as text: a system `Problem` on `D`; beside each unknown `u` stands its solution `eu`.
pub fn text(o: &Operator, c: &Conditions) -> String {
    // Coarse grids ask for layers as thick.
    let diffusivity = if c.dimension == 1 { 0.01 } else { 0.04 };
    let mut out = format!("let D = {}\nlet κ = {diffusivity}\nsystem Problem() {{\n", c.domain);
    let names = ["u", "w"];
    let ty = if o.vector { "Field(D, Vec)" } else { "Field(D)" };
    let unknown = |text: &str| text.replace('U', "u").replace('W', "w");
    let exact = |text: &str| text.replace('U', "eu").replace('W', "ew");
    for (k, name) in names.iter().enumerate().take(o.unknowns.len()) {
        writeln!(out, "  unknown {name}: {ty}").unwrap();
        let parts = [
            |[a, b, c]: [&str; 3]| format!("{a} + exp(-t)*{b} + cos(2*t)*({c})"),
            |[_, b, c]: [&str; 3]| format!("-exp(-t)*{b} - 2*sin(2*t)*({c})"),
            |[_, b, c]: [&str; 3]| format!("exp(-t)*{b} - 4*cos(2*t)*({c})"),
        ];
        for (letter, part) in ["e", "r", "s"].iter().zip(parts) {
            match o.vector {
                true => {
                    writeln!(out, "  let {letter}{name}: {ty} = [{}, {}]", part(c.solutions[0]), part(c.solutions[1]))
                }
                false => writeln!(out, "  let {letter}{name} = {}", part(c.solutions[k])),
            }
            .unwrap();
        }
    }
    for (name, u) in names.iter().zip(o.unknowns) {
        let space = {
            let flux = if u.flux.is_empty() { String::new() } else { format!(" + ∇·({})", u.flux) };
            if u.rest.is_empty() { flux } else { flux + " + " + u.rest }
        };
        let (stored, rate) = match u.stored {
            Rate => (format!("∂t({name})"), format!("r{name}")),
            Factor(f) => (format!("{f}*∂t({name})"), format!("{f}*r{name}")),
            Of(f, slope) => (format!("∂t({})", unknown(f)), format!("({})*r{name}", exact(slope))),
            Second => (format!("∂tt({name})"), format!("s{name}")),
            Nothing => ("0".into(), "0".into()),
        };
        writeln!(out, "  eq {name}_law: {stored}{} = {rate}{}", unknown(&space), exact(&space)).unwrap();
        for (side, kind) in c.on {
            let flux = |text: String| format!("({text})·n");
            let (left, right) = (flux(unknown(u.flux)), flux(exact(u.flux)));
            let given = match kind {
                Value => format!("{name} = e{name}"),
                Flux => format!("{left} = {right}"),
                Robin => format!("{left} = {right} + 0.1*({name} - e{name})"),
            };
            writeln!(out, "  on D.{side}: {given}").unwrap();
        }
        if u.gauge && c.on.is_empty() {
            writeln!(out, "  eq gauge: mean({name}) = 0").unwrap();
        }
        if !matches!(u.stored, Nothing) {
            writeln!(out, "  init {name} = e{name}").unwrap();
        }
        if matches!(u.stored, Second) {
            writeln!(out, "  init ∂t({name}) = r{name}").unwrap();
        }
    }
    out + "}\n"
}
