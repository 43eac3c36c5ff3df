//! Orders in space of problems that move, against their exact solutions: steps are so short that the error is that of space.

use super::measure::Programme;
use super::problems::{self, CONDITIONS, Conditions, OPERATORS, Operator, SOLIDS};
use super::sheet::{Place, Section, Sheet};
use super::table::Cell;

const HEADER: &str = "\
The relative L2 error at t = 1/4 against the exact solution, between two grids, one twice as fine as the other; steps are so short that
the error is that of space. For `spectral`, whose errors fall faster than any power, the cell is the error on 16 points a side. The
grids have 16 and 32 points a side on a line, 8 and 16 in the plane, 6 and 12 in space (elements of order 2: half as many); where the
order of theory does not show yet, twice as many, up to 128, 32 and 24. Limited slopes vanish at extrema: in L2 `muscl` is of order 3/2
for a law that carries a wave. `weno5` is of order 5 on periodic domains without diffusion, of order 2 beside walls, and the fluxes
of gradients are of order 2 in all finite volumes. Elements of order p carry with order p where p is even and nothing diffuses: they
have no upwind side. [Dupont 1973]
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
    /// Of laws that carry the unknown: between walls, on periodic domains, and beside diffusion.
    carried: Option<[f64; 3]>,
}

#[derive(Clone, Copy)]
enum Expected {
    Order(f64),
    /// The error is below this.
    Level(f64),
}

const EXPLICIT: &str = "rk4(1/1200)";
const IMPLICIT: &str = "sdirk4(1/80)";

const fn explicit(name: &'static str, call: &'static str, order: f64) -> Scheme {
    Scheme { name, call, time: EXPLICIT, coarser: false, order: Expected::Order(order), carried: None }
}

const SCHEMES: &[Scheme] = &[
    explicit("fd 2", "fd(order=2, n=N", 2.0),
    explicit("fd 4", "fd(order=4, n=N", 4.0),
    explicit("fd 6", "fd(order=6, n=N", 6.0),
    explicit("fd 8", "fd(order=8, n=N", 8.0),
    Scheme { order: Expected::Level(1e-8), ..explicit("spectral", "spectral(N", 0.0) },
    explicit("fv first", "fv(n=N, reconstruct=first", 1.0),
    Scheme { carried: Some([1.5, 1.5, 1.5]), ..explicit("fv muscl", "fv(n=N, reconstruct=muscl(van_leer)", 2.0) },
    Scheme { carried: Some([2.0, 5.0, 2.0]), ..explicit("fv weno5", "fv(n=N, reconstruct=weno5", 2.0) },
    Scheme { carried: Some([1.5, 1.5, 1.5]), ..explicit("fv explicit", "fv(n=N", 2.0) },
    Scheme { time: IMPLICIT, ..explicit("fv implicit", "fv(n=N", 2.0) },
    Scheme { time: IMPLICIT, ..explicit("fem 1", "fem(order=1, n=N", 2.0) },
    Scheme {
        time: IMPLICIT,
        coarser: true,
        carried: Some([2.0, 2.0, 3.0]),
        ..explicit("fem 2", "fem(order=2, n=N", 3.0)
    },
    Scheme { time: IMPLICIT, ..explicit("fem 1, triangles", "fem(order=1, n=N, elements=\"triangle\"", 2.0) },
    Scheme {
        time: IMPLICIT,
        coarser: true,
        ..explicit("fem 2, triangles", "fem(order=2, n=N, elements=\"triangle\"", 3.0)
    },
];

impl Scheme {
    fn expected(&self, o: &Operator, c: &Conditions) -> Expected {
        match self.carried {
            Some([walls, periodic, diffusive]) if o.carries => {
                let diffuses = o.unknowns.iter().any(|u| !u.flux.is_empty());
                Expected::Order(if diffuses {
                    diffusive
                } else if c.on.is_empty() {
                    periodic
                } else {
                    walls
                })
            }
            _ => self.order,
        }
    }
}

/// Grids at most, each twice as fine as the one before.
fn grids(c: &Conditions) -> usize {
    if c.dimension == 1 { 4 } else { 3 }
}

fn row(o: &Operator, c: &Conditions, which: &[usize]) -> Vec<Cell> {
    let mut text = problems::text(o, c);
    let n = [16, 8, 6][c.dimension - 1];
    for &i in which {
        let s = &SCHEMES[i];
        for k in 0..grids(c) {
            let n = (n << k) / if s.coarser { 2 } else { 1 };
            let n = if matches!(s.order, Expected::Level(_)) { 16 } else { n };
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
        let error = |k: usize| {
            let rows = program.run(&format!("s{i}_{k}"))?;
            Ok(rows[0].iter().fold(0.0f64, |m, e| if e.is_nan() { *e } else { m.max(*e) }))
        };
        let mut before = match error(0) {
            Ok(error) => error,
            Err(refusal) => return Cell::Refused(refusal),
        };
        let least = match SCHEMES[i].expected(o, c) {
            Expected::Order(order) => order - super::BELOW,
            Expected::Level(most) => return Cell::Level(before, most),
        };
        let mut order = f64::NAN;
        for k in 1..grids(c) {
            let next = match error(k) {
                Ok(error) => error,
                Err(refusal) => return Cell::Refused(refusal),
            };
            order = f64::log2(before / next);
            before = next;
            if order >= least {
                break;
            }
        }
        Cell::Order(order)
    };
    which.iter().map(cell).collect()
}

#[test]
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
    let least = |p: &Place| match SCHEMES[p.method].expected(problems[p.row].0, problems[p.row].1) {
        Expected::Order(order) => order - super::BELOW,
        Expected::Level(_) => 0.0,
    };
    sheet.check(measure, least);
}
