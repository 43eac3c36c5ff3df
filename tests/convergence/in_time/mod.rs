//! Observed orders of everything that moves in time: each operator under each condition, in each space, by each integrator, or the
//! reason why it is refused.

mod measure;
mod methods;
mod problems;
mod reduction;
mod sheet;
mod space;
mod table;

use self::measure::{Programme, Refusal};
use self::methods::{INTEGRATORS, Integrator, SPACES, Space};
use self::problems::{CONDITIONS, Conditions, OPERATORS, Operator};
use self::sheet::{Place, Section, Sheet};
use self::table::Cell;

const HEADER: &str = "\
Each cell is the order observed between two lengths of the step, where the exact solution is known and the equation made for it:
a(x) + e⁻ᵗ b(x) + cos(2t) c(x) over 0 ≤ t ≤ 1. Errors are against the same points or elements and far smaller steps of another method,
so that they are those of time alone; that space is right is the matter of the next section. Conditions: `values` are fixed in time,
in all others what is given changes with it. Of numbers of steps that double, from four beginnings, it is the first pair whose order lies
between 0.1 below and 0.35 above that of theory, else the nearest, as far as rounding lets errors be seen. Letters stand for refusals.
";

/// An order may be this far below the one of theory, and above it where the next two steps are asked.
const BELOW: f64 = 0.1;
const ABOVE: f64 = 0.35;

/// Numbers of steps at most, each twice the one before.
const DOUBLINGS: usize = 6;

/// Further such series, each of a quarter more steps: near rounding few pairs are left.
const SERIES: usize = 4;

/// Relative to the solution: below, a difference is rounding, or what a solver left.
const ROUNDING: f64 = 1e-12;

/// The same of explicit steps, which solve nothing.
const LAST_DIGITS: f64 = 3e-14;

/// A problem by some of the integrators.
fn row(space: &Space, (o, c): (&Operator, &Conditions), which: &[usize]) -> Vec<Cell> {
    let mut text = problems::text(o, c);
    let seen: Vec<String> = o.moving().map(|u| format!("{u}=values(s.{u})")).collect();
    let (call, seen) = (space.call[c.dimension - 1], seen.join(", "));
    let mut study = |name: &str, time: &str| {
        text += &format!(
            "study {name} {{\n  let s = solve(Problem(), {call}, time={time}), t=0..1)\n  report({seen})\n}}\n"
        );
    };
    for (k, times) in space.reference.iter().enumerate() {
        times.iter().enumerate().for_each(|(j, time)| study(&format!("reference_{k}_{j}"), time));
    }
    for &i in which {
        let m = &INTEGRATORS[i];
        for (series, k) in (0..SERIES).flat_map(|series| (0..DOUBLINGS).map(move |k| (series, k))) {
            let steps = (m.steps() * (4 + series) / 4) << k;
            study(&format!("s{i}_{series}_{k}"), &format!("{}1/{steps})", m.call));
        }
    }
    let program = Programme::new(&text);
    // Only where something is to be compared with them.
    let mut references: [Option<Option<Vec<f64>>>; 2] = [None, None];
    let cell = |&i: &usize| {
        let m = &INTEGRATORS[i];
        let k = if space.reference[0] == space.reference[1] { 0 } else { !m.explicit as usize };
        let mut reference = || {
            let known = references[k].get_or_insert_with(|| {
                let mut found = (0..space.reference[k].len()).map(|j| program.run(&format!("reference_{k}_{j}")));
                found.find_map(Result::ok)?.into_iter().next()
            });
            known.clone()
        };
        observed(&program, i, m, &mut reference)
    };
    which.iter().map(cell).collect()
}

/// The order between two numbers of steps; where it is not that of theory yet, between further ones, down to rounding: the nearest.
fn observed(
    program: &Programme,
    index: usize,
    method: &Integrator,
    reference: &mut dyn FnMut() -> Option<Vec<f64>>,
) -> Cell {
    let mut order = None;
    // Above the order of theory is no fault, but says less.
    let off = |order: f64| if order.is_nan() { f64::MAX } else { (order - method.order as f64).abs() };
    for series in 0..SERIES {
        let mut before = None;
        for k in 0..DOUBLINGS {
            let end = match program.run(&format!("s{index}_{series}_{k}")) {
                Ok(end) => end,
                Err(refusal) if refusal.is_about_the_step() && k + 1 < DOUBLINGS => continue,
                Err(refusal) => return Cell::Refused(refusal),
            };
            let Some(reference) = reference() else { return Cell::Order(f64::NAN) };
            let error = distance(&end[0], &reference);
            if error < if method.explicit { LAST_DIGITS } else { ROUNDING } {
                break;
            }
            let Some(before) = before.replace(error) else { continue };
            let found = f64::log2(before / error);
            order = Some(order.filter(|o| off(*o) < off(found)).unwrap_or(found));
            if (method.order as f64 - BELOW..method.order as f64 + ABOVE).contains(&found) {
                return Cell::Order(found);
            }
        }
    }
    order.map_or(Cell::Exact, Cell::Order)
}

impl Refusal {
    /// A shorter one would do.
    fn is_about_the_step(&self) -> bool {
        ["run.courant", "run.unstable"].contains(&self.code.as_str())
    }
}

/// The relative difference of the largest size.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let size = b.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f64, |m, (x, y)| if (x - y).is_nan() { f64::NAN } else { m.max((x - y).abs()) }) / size
}

#[test]
fn orders_in_time() {
    let suiting = |space: &Space| -> Vec<(&Operator, &Conditions)> {
        let suit = |o: &&Operator, c: &&Conditions| c.suit(o) && (space.takes)(o, c);
        OPERATORS.iter().flat_map(|o| CONDITIONS.iter().filter(move |c| suit(&o, c)).map(move |c| (o, c))).collect()
    };
    let problems: Vec<_> = SPACES.iter().map(suiting).collect();
    let section = |(space, rows): (&Space, &Vec<(&Operator, &Conditions)>)| Section {
        heading: format!("### {}: `{}, …)`", space.name, space.call[0]),
        methods: INTEGRATORS.iter().map(|m| m.name.to_string()).collect(),
        rows: rows.iter().map(|(o, c)| vec![o.name.into(), format!("{}, {} D", c.name, c.dimension)]).collect(),
    };
    let sections = SPACES.iter().zip(&problems).map(section).collect();
    let sheet = Sheet { part: "in time", header: HEADER, sections, one_of: 11 };
    let measure = |s: usize, r: usize, which: &[usize]| row(&SPACES[s], problems[s][r], which);
    sheet.check(measure, |p: &Place| INTEGRATORS[p.method].order as f64 - BELOW);
}
