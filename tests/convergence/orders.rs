//! Observed orders of convergence. `MSLC_BLESS=1` writes them to `docs/orders.md`.

use super::manufactured::{Case, Kind, one, sine, times_matrix, unit_box};
use mslc::discretize::{Discrete, Element, Options, Space, finite_element, finite_volume};
use mslc::ir::{Builder, Value};

#[derive(Clone, Copy, Debug)]
enum Method {
    Elements(Element, usize),
    Volumes(Element),
}
use Element::{Hex, Interval, Quad, Triangle};
use Kind::{Dirichlet, Neumann, Robin};
use Method::{Elements, Volumes};

const SIDES: [&str; 6] = ["left", "right", "bottom", "top", "back", "front"];

/// A case under some conditions (none: periodic), and the methods it is solved by, with the coarser of two meshes.
struct Row {
    case: Case,
    on: &'static [Kind],
    methods: &'static [(Method, usize)],
}

fn rows() -> Vec<Row> {
    let sines = |b: &mut Builder, x: Value| {
        let d = b.ty(x).shape[0];
        let product = (0..d).fold(None, |p: Option<Value>, a| {
            let s = sine(b, x, a, 1.0, 0.0);
            Some(p.map_or(s, |p| b.mul(p, s)))
        });
        one(b, product.unwrap())
    };
    let shifted = |b: &mut Builder, x: Value| {
        let (s, t) = (sine(b, x, 0, 1.0, 0.4), sine(b, x, 1, 0.7, 1.1));
        let p = b.mul(s, t);
        one(b, p)
    };
    let waves = |b: &mut Builder, x: Value| {
        let (s, t) = (sine(b, x, 0, 2.0, 0.3), sine(b, x, 1, 2.0, 1.0));
        let p = b.mul(s, t);
        one(b, p)
    };
    let poisson = |b: &mut Builder, _: Value, u: Value, g: Value| (b.neg(g), b.zeros_like(u));
    let darcy = |b: &mut Builder, x: Value, u: Value, g: Value| {
        let (s, t) = (sine(b, x, 0, 2.0, 0.0), sine(b, x, 1, 2.0, 0.0));
        let p = b.mul(s, t);
        let p = b.scale(p, -0.5);
        let one = b.scalar(-1.0);
        let k = b.add(p, one);
        (b.mul(k, g), b.zeros_like(u))
    };
    let tensor = |b: &mut Builder, _: Value, u: Value, g: Value| {
        (times_matrix(b, g, &[&[-2.0, -0.5], &[-0.5, -1.0]]), b.zeros_like(u))
    };
    let nonlinear = |b: &mut Builder, _: Value, u: Value, g: Value| {
        let u0 = b.reshape(u, &[]);
        let square = b.mul(u0, u0);
        let one = b.scalar(1.0);
        let k = b.add(square, one);
        let flux = b.mul(k, g);
        (b.neg(flux), b.zeros_like(u))
    };
    let transport = |b: &mut Builder, _: Value, u: Value, g: Value| {
        let d = b.ty(g).shape[1];
        let velocity = b.constant(mslc::ir::Tensor::f64([1, d], [1.0, -0.5, 0.3][..d].to_vec()));
        let u0 = b.reshape(u, &[]);
        let carried = b.mul(velocity, u0);
        (b.sub(carried, g), b.scale(u, 2.0))
    };
    let advection = |b: &mut Builder, _: Value, u: Value, g: Value| {
        let velocity = b.constant(mslc::ir::Tensor::f64([2], [1.0, -0.5]));
        let along = b.matmul(g, velocity);
        let reaction = b.mul(u, u);
        (b.neg(g), b.add(along, reaction))
    };

    let case = |name, dimension, exact, law| Case {
        name,
        dimension,
        components: 1,
        exact,
        law,
        linear: true,
        symmetric: true,
    };
    let all_2d: &[(Method, usize)] = &[
        (Elements(Quad, 1), 8),
        (Elements(Quad, 2), 5),
        (Elements(Triangle, 1), 8),
        (Elements(Triangle, 2), 5),
        (Volumes(Quad), 10),
    ];
    let elements_2d = &all_2d[..4];
    vec![
        Row {
            case: case("Poisson", 1, sines, poisson),
            on: &[Dirichlet],
            methods: &[(Elements(Interval, 1), 16), (Elements(Interval, 2), 8), (Volumes(Interval), 16)],
        },
        Row { case: case("Poisson", 2, sines, poisson), on: &[Dirichlet], methods: all_2d },
        Row {
            case: case("Poisson", 3, sines, poisson),
            on: &[Dirichlet],
            methods: &[(Elements(Hex, 1), 4), (Elements(Hex, 2), 3), (Volumes(Hex), 4)],
        },
        Row { case: case("Darcy, variable k", 2, sines, darcy), on: &[Dirichlet], methods: all_2d },
        Row { case: case("Darcy, variable k", 2, shifted, darcy), on: &[Robin], methods: all_2d },
        Row {
            case: case("Darcy, variable k", 2, waves, darcy),
            on: &[],
            methods: &[
                (Elements(Quad, 1), 8),
                (Elements(Quad, 2), 6),
                (Elements(Triangle, 1), 16),
                (Elements(Triangle, 2), 9),
                (Volumes(Quad), 10),
            ],
        },
        Row { case: case("tensor k", 2, shifted, tensor), on: &[Dirichlet, Neumann], methods: elements_2d },
        Row {
            case: Case { linear: false, symmetric: false, ..case("k = 1 + u²", 2, shifted, nonlinear) },
            on: &[Neumann, Dirichlet],
            methods: all_2d,
        },
        Row {
            case: Case { symmetric: false, ..case("transport and reaction", 2, shifted, transport) },
            on: &[Robin, Neumann, Dirichlet],
            methods: all_2d,
        },
        Row {
            case: Case { symmetric: false, ..case("transport and reaction", 1, sines, transport) },
            on: &[Robin],
            methods: &[(Elements(Interval, 1), 16), (Elements(Interval, 2), 8), (Volumes(Interval), 16)],
        },
        Row {
            case: Case {
                linear: false,
                symmetric: false,
                ..case("advection, quadratic reaction", 2, shifted, advection)
            },
            on: &[Dirichlet, Robin],
            methods: elements_2d,
        },
    ]
}

impl Row {
    fn discretise(&self, method: Method, n: usize) -> Discrete {
        let kinds = self.on;
        let on: Vec<(&str, Kind)> = match kinds.is_empty() {
            true => vec![],
            false => {
                SIDES[..2 * self.case.dimension].iter().enumerate().map(|(i, &s)| (s, kinds[i % kinds.len()])).collect()
            }
        };
        let mut balance = self.case.balance(&on);
        balance.constant_kernel = kinds.is_empty();
        let options = Options::default();
        match method {
            Elements(element, order) => {
                let space = Space::lagrange(unit_box(element, n, kinds.is_empty()), order, None).unwrap();
                finite_element::discretise(&balance, &space, &options).unwrap()
            }
            Volumes(element) => {
                finite_volume::discretise(&balance, &unit_box(element, n, kinds.is_empty()), &options).unwrap()
            }
        }
    }

    fn conditions(&self) -> String {
        let kinds: Vec<String> = self.on.iter().map(|k| format!("{k:?}")).collect();
        if kinds.is_empty() { "periodic, gauge".into() } else { kinds.join(", ") }
    }
}

#[test]
fn observed_orders_are_those_of_theory() {
    let mut table = String::from(HEADER);
    let mut wrong = String::new();
    for row in rows() {
        for &(method, n) in row.methods {
            let errors = [n, 2 * n].map(|n| row.case.errors(&row.discretise(method, n)));
            let order = |of: fn(&(f64, f64)) -> f64| (of(&errors[0]) / of(&errors[1])).log2();
            let (l2, h1) = (order(|e| e.0), order(|e| e.1));
            let (name, expected) = match method {
                Elements(element, p) => (format!("{element:?} order {p}"), p + 1),
                Volumes(element) => (format!("volumes, {element:?}"), 2),
            };
            let is_volumes = matches!(method, Volumes(_));
            let h1_shown = if is_volumes { "–".into() } else { format!("{h1:.2}") };
            let line = format!(
                "| {} | {} | {name} | {n}, {} | {:.2e} | {l2:.2} | {h1_shown} |\n",
                row.case.name,
                row.conditions(),
                2 * n,
                errors[1].0,
            );
            table += &line;
            let h1_holds = is_volumes || (h1 - (expected - 1) as f64).abs() <= 0.1;
            // Coarse meshes may superconverge a little; they must not fall short.
            if !(l2 - expected as f64 >= -0.1 && l2 - (expected as f64) <= 0.2 && h1_holds) {
                wrong += &line;
            }
        }
    }
    table += &super::transport::table(&mut wrong);
    println!("{table}");
    assert!(wrong.is_empty(), "orders of convergence that are not those of theory:\n{wrong}");
    super::page::compare_or_bless("steady", &table);
}

const HEADER: &str = "\
Manufactured solutions on the unit interval, square and cube; conditions go round the sides in the order left, right, bottom, top,
back, front. Errors on the finer of two meshes (n cells an axis); theory gives p + 1 in L2 and p in H1 for elements of order p, and 2
for finite volumes.

| equation | conditions | method | n | L2 error | order in L2 | in H1 |
|-|-|-|-|-|-|-|
";
