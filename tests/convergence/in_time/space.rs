//! Orders in space of problems that move, against their exact solutions: steps are so short that the error is that of space.

use super::measure::Programme;
use super::problems::{self, CONDITIONS, Conditions, OPERATORS, Operator, SOLIDS};
use super::sheet::{Place, Section, Sheet};
use super::table::Cell;

const HEADER: &str = "\
The relative L2 error at t = 1/4 against the exact solution, between two grids, one twice as fine as the other; steps are so short that
the error is that of space. For `spectral`, whose errors fall faster than any power, the cell is the error on 16 points a side. The
grids have 16 and 32 points a side on a line, 8 and 16 in the plane, 6 and 12 in space (elements of order 2: half as many).
";

/// A scheme in space: a column.
struct Scheme {
    name: &'static str,
    /// In MSL, with `N` for the points a side, up to the time scheme.
    call: &'static str,
    time: &'static str,
    /// Over two: elements of order 2.
    coarser: bool,
    order: Expected,
}

enum Expected {
    Order(f64),
    /// The error is below this.
    Level(f64),
}

const EXPLICIT: &str = "rk4(1/1200)";
const IMPLICIT: &str = "sdirk4(1/80)";

const fn explicit(name: &'static str, call: &'static str, order: f64) -> Scheme {
    Scheme { name, call, time: EXPLICIT, coarser: false, order: Expected::Order(order) }
}

const SCHEMES: &[Scheme] = &[
    explicit("fd 2", "fd(order=2, n=N", 2.0),
    explicit("fd 4", "fd(order=4, n=N", 4.0),
    explicit("fd 6", "fd(order=6, n=N", 6.0),
    explicit("fd 8", "fd(order=8, n=N", 8.0),
    Scheme { order: Expected::Level(1e-8), ..explicit("spectral", "spectral(N", 0.0) },
    explicit("fv first", "fv(n=N, reconstruct=first", 1.0),
    explicit("fv muscl", "fv(n=N, reconstruct=muscl(van_leer)", 2.0),
    explicit("fv weno5", "fv(n=N, reconstruct=weno5", 2.0),
    explicit("fv explicit", "fv(n=N", 2.0),
    Scheme { time: IMPLICIT, ..explicit("fv implicit", "fv(n=N", 2.0) },
    Scheme { time: IMPLICIT, ..explicit("fem 1", "fem(order=1, n=N", 2.0) },
    Scheme { time: IMPLICIT, coarser: true, ..explicit("fem 2", "fem(order=2, n=N", 3.0) },
    Scheme { time: IMPLICIT, ..explicit("fem 1, triangles", "fem(order=1, n=N, elements=\"triangle\"", 2.0) },
    Scheme {
        time: IMPLICIT,
        coarser: true,
        ..explicit("fem 2, triangles", "fem(order=2, n=N, elements=\"triangle\"", 3.0)
    },
];

fn row(o: &Operator, c: &Conditions, which: &[usize]) -> Vec<Cell> {
    let mut text = problems::text(o, c);
    let n = [16, 8, 6][c.dimension - 1];
    for &i in which {
        let s = &SCHEMES[i];
        for k in 0..2 {
            let n = (n << k) / if s.coarser { 2 } else { 1 };
            let n = if matches!(s.order, Expected::Level(_)) { 8 << k } else { n };
            let call = s.call.replace('N', &n.to_string());
            let errors: Vec<String> = o.moving().map(|u| format!("{u}=rel_l2(s.{u}, s.e{u})")).collect();
            text += &format!(
                "study s{i}_{k} {{\n  let s = solve(Problem(), {call}, time={}), t=0..0.25)\n  report({})\n}}\n",
                s.time,
                errors.join(", ")
            );
        }
    }
    let program = Programme::new(&text);
    let cell = |&i: &usize| {
        let mut errors = vec![];
        for k in 0..2 {
            match program.run(&format!("s{i}_{k}")) {
                Ok(rows) => errors.push(rows[0].iter().fold(0.0f64, |m, e| if e.is_nan() { *e } else { m.max(*e) })),
                Err(refusal) => return Cell::Refused(refusal),
            }
        }
        match SCHEMES[i].order {
            Expected::Order(_) => Cell::Order(f64::log2(errors[0] / errors[1])),
            Expected::Level(most) => Cell::Level(errors[1], most),
        }
    };
    which.iter().map(cell).collect()
}

#[test]
#[ignore = "the part `in space` of docs/orders.md has still to be written: MSLC_BLESS=1 … -- --ignored orders_in_space"]
fn orders_in_space() {
    let conditions = || CONDITIONS.iter().chain(SOLIDS);
    let problems: Vec<(&Operator, &Conditions)> =
        OPERATORS.iter().flat_map(|o| conditions().filter(|c| c.suit(o)).map(move |c| (o, c))).collect();
    let section = Section {
        heading: "### All schemes".into(),
        methods: SCHEMES.iter().map(|s| s.name.to_string()).collect(),
        rows: problems.iter().map(|(o, c)| vec![o.name.into(), format!("{}, {} D", c.name, c.dimension)]).collect(),
    };
    let sheet = Sheet { part: "in space", header: HEADER, sections: vec![section], one_of: 5 };
    let measure = |_: usize, r: usize, which: &[usize]| row(problems[r].0, problems[r].1, which);
    let least = |p: &Place| match SCHEMES[p.method].order {
        Expected::Order(order) => order - super::BELOW,
        Expected::Level(_) => 0.0,
    };
    sheet.check(measure, least);
}
