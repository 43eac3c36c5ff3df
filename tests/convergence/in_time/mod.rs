//! Observed orders of everything that moves in time: each operator under each condition, in each space, by each integrator, or the
//! reason why it is refused.

mod measure;
mod methods;
mod problems;

use self::measure::{Programme, Refusal};
use self::methods::{INTEGRATORS, Integrator};
use self::problems::{CONDITIONS, OPERATORS};
use super::page;
use rayon::prelude::*;

/// What is in a cell of a table.
enum Cell {
    Order(f64),
    /// Nothing is left to measure an order by: what the method leaves is rounding.
    Exact,
    Refused(Refusal),
}

/// Spaces in which the orders in time are measured, with methods for the reference.
struct Space {
    name: &'static str,
    /// Without the closing bracket and the time scheme.
    call: &'static str,
    reference: &'static str,
}

const SPACES: &[Space] = &[
    Space { name: "Finite differences", call: "fd(order=4, n=12", reference: "dormand_prince(1/200)" },
    Space { name: "Finite elements", call: "fem(order=2, n=6", reference: "esdirk4(1/100)" },
];

/// Relative to the solution: below, a difference is rounding, or what a linear solver left.
const ROUNDING: f64 = 1e-11;

/// The relative difference of the largest size.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let size = b.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f64, |m, (x, y)| if (x - y).is_nan() { f64::NAN } else { m.max((x - y).abs()) }) / size
}

/// A row: a problem in a space, by every integrator.
fn row(text: &str, space: &Space) -> Vec<Cell> {
    let run = |time: &str| format!("  report(u=values(solve(Problem(), {}, time={time}), t=0..1).u))\n", space.call);
    let mut whole = format!("{text}study reference {{\n{}}}\n", run(space.reference));
    for m in INTEGRATORS {
        for (k, factor) in [1, 2, 4, 8].into_iter().enumerate() {
            let call = format!("{}(1/{})", m.name, m.steps() * factor);
            whole += &format!("study {}_{k} {{\n{}}}\n", m.name, run(&call));
        }
    }
    let program = Programme::new(&whole);
    let reference = program.run("reference").unwrap_or_else(|r| panic!("no reference: {r:?}\n{text}"));
    INTEGRATORS.iter().map(|m| observed(&program, m, &reference[0])).collect()
}

/// The order between two numbers of steps; where it falls short, between further ones.
fn observed(program: &Programme, method: &Integrator, reference: &[f64]) -> Cell {
    let mut before = None;
    let mut order = f64::NEG_INFINITY;
    for k in 0..4 {
        let end = match program.run(&format!("{}_{k}", method.name)) {
            Ok(end) => end,
            Err(refusal) => return Cell::Refused(refusal),
        };
        let error = distance(&end[0], reference);
        if error < ROUNDING {
            return if k == 0 { Cell::Exact } else { Cell::Order(order) };
        }
        if let Some(before) = before.replace(error) {
            order = f64::log2(before / error);
            if order >= method.order as f64 - 0.1 {
                break;
            }
        }
    }
    Cell::Order(order)
}

#[test]
fn orders_in_time() {
    let mut out = String::new();
    let mut wrong = String::new();
    for space in SPACES {
        let mut rows = vec![];
        for operator in OPERATORS {
            for conditions in CONDITIONS {
                rows.push((operator, conditions));
            }
        }
        let cells: Vec<Vec<Cell>> = rows.par_iter().map(|(o, c)| row(&problems::text(o, c), space)).collect();
        out += &format!("\n### {}\n\n| | |", space.name);
        INTEGRATORS.iter().for_each(|m| out += &format!(" {} |", m.name));
        out += "\n|-|-|";
        INTEGRATORS.iter().for_each(|_| out += "-|");
        let mut reasons: Vec<Refusal> = vec![];
        for ((o, c), cells) in rows.iter().zip(cells) {
            out += &format!("\n| {} | {} |", o.name, c.name);
            for (m, cell) in INTEGRATORS.iter().zip(cells) {
                let words = match cell {
                    Cell::Order(order) => {
                        if order.is_nan() || order < m.order as f64 - 0.1 {
                            wrong += &format!("{} {} {} {}: {order:.2}\n", space.name, o.name, c.name, m.name);
                        }
                        format!("{order:.2}")
                    }
                    Cell::Exact => "exact".into(),
                    Cell::Refused(r) => {
                        let at = reasons.iter().position(|x| *x == r).unwrap_or_else(|| {
                            reasons.push(r);
                            reasons.len() - 1
                        });
                        char::from(b'a' + at as u8).to_string()
                    }
                };
                out += &format!(" {words} |");
            }
        }
        out += "\n\n";
        for (k, r) in reasons.iter().enumerate() {
            out += &format!("- {}: `{}`, {}\n", char::from(b'a' + k as u8), r.code, r.message);
        }
    }
    println!("{out}");
    assert!(wrong.is_empty(), "orders that fall short:\n{wrong}");
    page::compare_or_bless("in time", &out);
}
