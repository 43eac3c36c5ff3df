//! What the report and `run.json` say of a run in which one system is solved with several realisations of a closure.

use super::{Folder, code, err, mslc, path};
use mslc::report::Run;
use mslc::report::manifest::State;

/// The plate of the examples with a mesh so coarse that it takes a second; its figures mean nothing.
const PROGRAM: &str = "param seed: Int = 7
scale micro { length: 0.1 [µm]..10 [µm] }
scale macro { length: 1 [mm]..100 [mm] }
let Y = square(10 [µm], periodic=true, scale=micro)
let Ω = rect((0..100) [mm], (0..50) [mm], scale=macro)
closure Conductivity(T: [K], φ: [1]) -> Sym(2)[W/m/K] { ensure spd(result) }
system Cell(k: Field(Y)[W/m/K], e: Vec(2)) {
  unknown w: Field(Y)[m]
  eq corrector: ∇·(k*(e + ∇w)) = 0
  eq gauge: mean(w) = 0
}
let exact: Conductivity = fn(T, φ) {
  let k = phase(disc(Y, fraction=φ), 30 [W/m/K], 0.2 [W/m/K]*(1 + 1e-3 [1/K]*(T - 293 [K])))
  let w = [solve(Cell(k, e), fem(order=1, n=16)).w for e in basis(2)]
  sym(mean(k*(I + ∇w)))
}
let table: Conductivity = tabulate(exact, T=(280..400) [K], φ=0.05..0.60, n=[3, 5])
dataset Micro() {
  T ~ uniform(280 [K], 400 [K])
  φ ~ uniform(0.05, 0.60)
  k = exact(T, φ)
}
minimize offline {
  let cells = sample(Micro(), n=24, by=lhs)
  over k: Conductivity = mlp(width=4, depth=1)
  loss fit = mean(rel_l2(k(c.T, c.φ), c.k) for c in cells.train)
  stage lbfgs(iters=20)
}
system Heat(k: Conductivity, φ: Field(Ω)) {
  unknown T: Field(Ω)[K] ~ 300 [K]
  eq energy: -∇·(k(T, φ)·∇T) = 0
  on Ω.left: T = 390 [K]
  on Ω.right: -(k(T, φ)·∇T)·n = 25 [W/m²/K]*(T - 293 [K])
}
study bridges {
  let grade = 0.1 + 0.4*Ω.x/Ω.width
  let fe2 = solve(Heat(exact, grade), fem(order=1, h=25 [mm]))
  let tabled = solve(Heat(table, grade), fem(order=1, h=25 [mm]))
  let fast = solve(Heat(offline.k, grade), fem(order=1, h=25 [mm]))
  check rel_l2(tabled.T, fe2.T) < 1
  report(net=rel_l2(fast.T, fe2.T), hottest=max_over(fe2.T))
  check max_over(fe2.T) < 391 [K]
}
";

#[test]
fn realisations_stand_side_by_side_with_error_time_and_fine_solves() {
    let f = Folder::new("bridges");
    let program = f.file("plate.msl", PROGRAM);
    let out_dir = f.0.join("out");
    let run = || {
        let o = mslc(["run", path(&program), "--out", path(&out_dir)]);
        assert_eq!(code(&o), 0, "{}", err(&o));
        Run::from_json(&std::fs::read_to_string(out_dir.join("run.json")).unwrap()).unwrap()
    };
    let first = run();
    let again = run();
    for run in [&first, &again] {
        let [c] = &run.comparisons[..] else { panic!("{:?}", run.comparisons) };
        assert_eq!(
            (c.system.as_str(), c.closure.as_str(), c.reference.as_deref()),
            ("Heat", "Conductivity", Some("fe2"))
        );
        let names: Vec<(&str, &str)> = c.rows.iter().map(|r| (r.name.as_str(), r.realisation.as_str())).collect();
        assert_eq!(names, [("fe2", "exact"), ("tabled", "table"), ("fast", "offline.k")]);
        let [fe2, tabled, fast] = &c.rows[..] else { unreachable!() };
        assert_eq!((fe2.error, tabled.error), (None, Some(run.checks[0].value)));
        assert_eq!(fast.measure.as_deref(), Some("rel_l2(fast.T, fe2.T)"));
        assert!(fast.error.is_some_and(|e| e > 0.0));
        // Two load cases at each place: 15 nodes and 8 midpoints of the table, 24 rows of the sample.
        assert_eq!((fe2.offline_fine_solves, tabled.offline_fine_solves, fast.offline_fine_solves), (0, 46, 48));
        assert!(fe2.fine_solves > 0 && tabled.fine_solves == 0 && fast.fine_solves == 0);
        for r in &c.rows {
            assert!(r.seconds > 0.0 && (r.offline_seconds > 0.0) == (r.name != "fe2"), "{r:?}");
        }
    }
    // What was found in the cache still bears what it had cost.
    assert!(again.tasks.iter().any(|t| t.state == State::Cached && t.cost > 0.0));
    assert_eq!(first.checks[1].unit, "K");

    let label = |i: &usize| first.tasks[*i].label.as_str();
    let needs = |name: &str| -> Vec<&str> {
        let task = first.tasks.iter().find(|t| t.label == name).unwrap_or_else(|| panic!("no task {name}"));
        task.needs.iter().map(label).collect()
    };
    assert_eq!(needs("tabled"), ["table"]);
    assert_eq!(needs("offline"), ["cells"]);
    assert!(needs("fast").contains(&"offline"));

    let page = std::fs::read_to_string(out_dir.join("report.html")).unwrap();
    for words in
        ["3 realisations of Conductivity", "offline fine solves", "What each scale resolves", "What needed what"]
    {
        assert!(page.contains(words), "`{words}` is not on the page");
    }
    assert!(
        out_dir.join("data/training-offline.csv").exists(),
        "the training curve stands there without being asked for"
    );
    // The arrow of the closure is drawn: its name is part of the picture's description.
    assert!(page.contains("Conductivity: micro to macro, separation 2500"), "no arrow");
}

#[test]
fn a_report_goes_study_by_study_and_fields_over_an_interval_share_a_frame() {
    let f = Folder::new("frames");
    let text = "let D = interval(0..1)
let E = interval((0..2) [mm])
study first {
  report(a=1)
  plot(sin(D.x), cos(D.x))
}
study second {
  report(b=2)
  plot(E.x)
}
";
    let out_dir = f.0.join("out");
    let o = mslc(["run", path(&f.file("frames.msl", text)), "--out", path(&out_dir)]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    let page = std::fs::read_to_string(out_dir.join("report.html")).unwrap();
    let place = |words: &str| page.find(words).unwrap_or_else(|| panic!("no {words}"));
    let order = ["<h3>first</h3>", "<figure id=\"first-", "<h3>second</h3>", "<figure id=\"second-"].map(place);
    assert!(order.is_sorted(), "{order:?}");
    let tables: Vec<String> =
        super::entries(&out_dir.join("data")).iter().map(|e| std::fs::read_to_string(e.path()).unwrap()).collect();
    assert_eq!(tables.len(), 2, "a table a frame");
    let with = |head: &str| tables.iter().find(|t| t.lines().next().unwrap().starts_with(head));
    // Coordinates without a unit have none; the others suit the domain.
    assert!(with("x,sin(D.x),cos(D.x)").is_some(), "{tables:?}");
    let last = with("x [mm],").unwrap().lines().last().unwrap().split(',').next().unwrap();
    assert_eq!(last.parse::<f64>().unwrap(), 2.0);
}
