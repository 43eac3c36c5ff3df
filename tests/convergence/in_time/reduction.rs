//! Order reduction: what is left of the order of Runge–Kutta methods where steps and spacing go to zero together, and the data at the
//! boundary change in time.

use super::measure::Programme;
use super::methods::{INTEGRATORS, Integrator};
use super::problems::{self, CONDITIONS, Conditions, OPERATORS, Operator};
use super::sheet::{Place, Section, Sheet};
use super::table::Cell;

const HEADER: &str = "\
The orders above are those of steps that go to zero on given points. Where steps stay long beside the fastest time of the grid, stages
of a Runge–Kutta method see the boundary at other times than the end of the step does, and a method of order p and stage order q is sure
of min(p, q + 1) alone [Sanz-Serna, Verwer & Hundsdorfer 1987; Hairer & Wanner II, §IV.15; for heat a little more: q + 1 + 1/4 where
values are given, Ostermann & Roche 1992]. q is 1 for explicit and `sdirk` methods, 2 for `crank_nicolson` and `esdirk4`; multistep
methods have no stages. That bound is what these rows are held to. The same happens with values that are fixed, where a source does not
vanish at the boundary. On periodic domains nothing is lost.
";

/// Numbers of steps at most, each twice the one before.
const DOUBLINGS: usize = 6;

/// Which rows are run how.
struct Regime {
    heading: &'static str,
    operator: &'static str,
    explicit: bool,
    conditions: &'static [&'static str],
    /// For a number of steps: the space, up to the time scheme.
    space: fn(usize) -> String,
    steps: usize,
    reference: fn(usize) -> String,
}

const REGIMES: &[Regime] = &[
    Regime {
        heading: "### Implicit, steps long beside the fastest time: `fem(order=2, n=40, …)`, κ = 1/5",
        operator: "κ ∇²u",
        explicit: false,
        conditions: &["periodic", "values", "values in time", "flux"],
        space: |_| "fem(order=2, n=40".into(),
        steps: 16,
        reference: |_| "esdirk4(1/2000)".into(),
    },
    Regime {
        heading: "### Explicit, steps and spacing in proportion: `fd(order=4, n=16, 32, …)`",
        operator: "c ∂x u",
        explicit: true,
        conditions: &["periodic", "inflow"],
        space: |steps| format!("fd(order=4, n={steps}"),
        steps: 16,
        reference: |steps| format!("dormand_prince(1/{})", 4 * steps),
    },
];

impl Regime {
    fn methods(&self) -> Vec<&'static Integrator> {
        let taken = |m: &&Integrator| {
            m.explicit == self.explicit
                // Central differences with steps in proportion to the spacing are unstable with the first.
                && ["euler", "verlet", "yoshida4", "ros3p", "rodas4"].iter().all(|n| *n != m.name)
                && !["imex", "ars", "ark", "etd"].iter().any(|n| m.name.starts_with(n))
        };
        INTEGRATORS.iter().filter(taken).collect()
    }

    fn problems(&self) -> Vec<(&'static Operator, &'static Conditions)> {
        let o = OPERATORS.iter().find(|o| o.name == self.operator).expect("an operator of this name");
        let find = |name: &&str| CONDITIONS.iter().find(|c| c.name == *name && c.dimension == 1).expect("conditions");
        self.conditions.iter().map(|name| (o, find(name))).collect()
    }

    fn row(&self, (o, c): (&Operator, &Conditions), which: &[usize]) -> Vec<Cell> {
        let mut text = problems::text(o, c).replace("let κ = 0.01", "let κ = 0.2");
        let mut study = |name: String, steps: usize, time: &str| {
            let space = (self.space)(steps);
            text += &format!(
                "study {name} {{\n  let s = solve(Problem(), {space}, time={time}), t=0..1)\n  report(u=values(s.u))\n}}\n"
            );
        };
        let all = self.methods();
        for k in 0..DOUBLINGS {
            let steps = self.steps << k;
            study(format!("reference_{k}"), steps, &(self.reference)(steps));
            which.iter().for_each(|&i| study(format!("s{i}_{k}"), steps, &format!("{}1/{steps})", all[i].call)));
        }
        let program = Programme::new(&text);
        let mut references: Vec<Vec<f64>> = vec![];
        let mut cell = |&i: &usize| {
            let mut before = None;
            let mut order = None;
            for k in 0..DOUBLINGS {
                if k == references.len() {
                    references.push(program.run(&format!("reference_{k}")).expect("a reference").swap_remove(0));
                }
                let error = match program.run(&format!("s{i}_{k}")) {
                    Ok(end) => super::distance(&end[0], &references[k]),
                    Err(refusal) => return Cell::Refused(refusal),
                };
                if error < super::ROUNDING {
                    break;
                }
                let Some(before) = before.replace(error) else { continue };
                let found = f64::log2(before / error);
                order = Some(found);
                if found > least(all[i], c) {
                    break;
                }
            }
            order.map_or(Cell::Exact, Cell::Order)
        };
        which.iter().map(&mut cell).collect()
    }
}

/// min(p, q + 1)
fn sure(m: &Integrator) -> usize {
    let stage_order = match m.name {
        "crank_nicolson" | "esdirk4" => 2,
        name if name.starts_with("bdf") => m.order,
        _ => 1,
    };
    m.order.min(stage_order + 1)
}

/// On periodic domains the order of the method, else what it is sure of.
fn least(m: &Integrator, c: &Conditions) -> f64 {
    (if c.on.is_empty() { m.order } else { sure(m) }) as f64 - super::BELOW
}

#[test]
fn order_reduction() {
    let section = |r: &Regime| Section {
        heading: r.heading.into(),
        methods: r.methods().iter().map(|m| m.name.to_string()).collect(),
        rows: std::iter::once(vec!["min(p, q + 1)".to_string(), "theory".to_string()])
            .chain(r.problems().iter().map(|(o, c)| vec![o.name.to_string(), c.name.to_string()]))
            .collect(),
    };
    let sheet = Sheet { part: "reduction", header: HEADER, sections: REGIMES.iter().map(section).collect(), one_of: 3 };
    let measure = |s: usize, r: usize, which: &[usize]| match r {
        0 => which.iter().map(|&i| Cell::Order(sure(REGIMES[s].methods()[i]) as f64)).collect(),
        _ => REGIMES[s].row(REGIMES[s].problems()[r - 1], which),
    };
    let at_least = |p: &Place| {
        let r = &REGIMES[p.section];
        match p.row {
            0 => 0.0,
            row => least(r.methods()[p.method], r.problems()[row - 1].1),
        }
    };
    sheet.check(measure, at_least);
}
