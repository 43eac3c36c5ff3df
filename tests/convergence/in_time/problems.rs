//! Manufactured problems: an operator under conditions, with a solution `v` that its equation is made for.
//!
//! `∂t(u) + L(u) = ∂v/∂t + L(v)`, u = v at the start, and on the boundary what v gives there. `W` stands for u or v in the text of an
//! operator.

/// A law in space.
pub struct Operator {
    pub name: &'static str,
    /// What stands under `∇·`; empty where nothing does.
    pub flux: &'static str,
    /// What stands beside it.
    pub rest: &'static str,
}

/// Where and under what conditions.
pub struct Conditions {
    pub name: &'static str,
    pub domain: &'static str,
    /// The solution and its derivative in time.
    pub v: &'static str,
    pub rate: &'static str,
    /// Sides and what is given there.
    pub on: &'static [(&'static str, Kind)],
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// u = v
    Value,
    /// q(u)·n = q(v)·n
    Flux,
    /// q(u)·n = q(v)·n + u - v
    Robin,
}

pub const OPERATORS: &[Operator] = &[Operator { name: "κ ∂xx u", flux: "-κ*∇(W)", rest: "" }];

pub const CONDITIONS: &[Conditions] = &[Conditions {
    name: "periodic",
    domain: "interval(0..1, periodic=true)",
    v: "1 + 0.5*exp(-t)*sin(2*π*x) + 0.3*cos(3*t)*cos(2*π*x)",
    rate: "-0.5*exp(-t)*sin(2*π*x) - 0.9*sin(3*t)*cos(2*π*x)",
    on: &[],
}];

/// A problem as text, with the unknown `u` on `D`, in a system `Problem`.
pub fn text(operator: &Operator, conditions: &Conditions) -> String {
    let law = |w: &str| {
        let flux = if operator.flux.is_empty() { String::new() } else { format!(" + ∇·({})", operator.flux) };
        let rest = if operator.rest.is_empty() { String::new() } else { format!(" + {}", operator.rest) };
        (flux + &rest).replace('W', w)
    };
    let flux = |w: &str| format!("({})·n", operator.flux.replace('W', w));
    let mut on = String::new();
    for (side, kind) in conditions.on {
        let given = match kind {
            Kind::Value => "u = v".into(),
            Kind::Flux => format!("{} = {}", flux("u"), flux("v")),
            Kind::Robin => format!("{} = u - v + {}", flux("u"), flux("v")),
        };
        on += &format!("  on D.{side}: {given}\n");
    }
    format!(
        "let D = {}\nlet κ = 0.05\nsystem Problem() {{\n  unknown u: Field(D)\n  let v = {}\n  let rate = {}\n  \
         eq law: ∂t(u){} = rate{}\n{on}  init u = v\n}}\n",
        conditions.domain,
        conditions.v,
        conditions.rate,
        law("u"),
        law("v"),
    )
}
