//! Trainings as a user runs them: programs in, `run.json` out.

use serde_json::Value;
use std::process::Command;

/// A law of one number, its data and a small net; `BODY` stands for the rest.
const LAW: &str = r#"
param seed: Int = 3
closure Law(x: [1]) -> [1]
let exact: Law = fn(x) { sin(3*x) + 0.5*x^2 }
dataset Points() {
  x ~ uniform(-1, 1)
  y = exact(x)
}
"#;

struct Outcome {
    code: i32,
    words: String,
    run: Value,
}

impl Outcome {
    /// A number of `report(…)`.
    fn number(&self, name: &str) -> f64 {
        let line = self.words.lines().find(|l| l.contains(&format!("{name} = ")));
        let line = line.unwrap_or_else(|| panic!("no `{name}` in {}", self.words));
        let text = line.split(&format!("{name} = ")).nth(1).unwrap().split([',', ' ']).next().unwrap();
        let (mantissa, power) = text.split_once("×10").unwrap_or((text, "⁰"));
        let power: String = power
            .chars()
            .map(|c| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|d| d == c).map_or('-', |d| (b'0' + d as u8) as char))
            .collect();
        mantissa.parse::<f64>().unwrap() * 10f64.powi(power.parse().unwrap())
    }

    fn notes(&self) -> String {
        let tasks = self.run["tasks"].as_array().into_iter().flatten();
        tasks.filter_map(|t| t["notes"].as_array()).flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }
}

fn run(name: &str, text: &str, files: &[(&str, &str)], options: &[&str]) -> Outcome {
    let folder = std::env::temp_dir().join(format!("mslc-train-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("program.msl"), text).unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mslc"));
    command.current_dir(&folder).args(["run", "program.msl", "--out", "out"]).args(options);
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let run = std::fs::read_to_string(folder.join("out/run.json")).unwrap_or_default();
    let outcome = Outcome {
        code: output.status.code().unwrap_or(-1),
        words,
        run: serde_json::from_str(&run).unwrap_or(Value::Null),
    };
    std::fs::remove_dir_all(&folder).unwrap();
    outcome
}

fn good(name: &str, body: &str) -> Outcome {
    let outcome = run(name, &format!("{LAW}{body}"), &[], &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.words);
    outcome
}

/// A minimise of the law with these stages, and a study that reports its loss and the number of epochs.
fn fitted(stages: &str) -> String {
    format!(
        "minimize fit {{
  let rows = sample(Points(), n=80, by=sobol)
  over law: Law = mlp(width=16, depth=2)
  loss data = mean2(law(r.x) - r.y for r in rows.train)
{stages}
}}
study s {{ report(data=fit.data, epochs=count(fit.history.loss)) }}"
    )
}

#[test]
fn stages_lower_the_losses_they_name() {
    let outcome = good(
        "named",
        "minimize fit {
  let rows = sample(Points(), n=80, by=lhs)
  over law: Law = mlp(width=16, depth=2)
  over shift: Real = 0.5
  loss data = mean2(law(r.x) + shift - r.y for r in rows.train)
  loss size = shift^2
  stage adam(lr=1e-2, epochs=200, on=size, of=shift)
  stage adam(lr=1e-2, epochs=200, on=data, of=law)
  stage lbfgs(iters=150)
}
study s {
  check fit.data < 1e-4
  check fit.size < 1e-4
  check count(fit.history.size) == count(fit.history.loss)
  check fit.history.loss[0] == 0.25
}",
    );
    assert!(outcome.notes().contains("adam: 200 epochs"), "{}", outcome.notes());
}

#[test]
fn a_batch_larger_than_the_data_is_all_rows() {
    let all = good("all", &fitted("  stage adam(lr=1e-2, epochs=60)"));
    let large = good("large", &fitted("  stage adam(lr=1e-2, epochs=60, batch=1000)"));
    assert_eq!(all.number("data"), large.number("data"));
    // Batches of 8 of 56 rows take seven steps an epoch.
    let small = good("small", &fitted("  stage adam(lr=1e-2, epochs=60, batch=8)\n  stage lbfgs(iters=30)"));
    assert!(small.number("data") < 0.2 * all.number("data"), "{}", small.words);
}

#[test]
fn single_precision_is_chosen_for_nets_and_ends_where_double_does() {
    let chosen = good("chosen", &fitted("  stage adam(lr=1e-2, epochs=100)"));
    assert!(chosen.notes().contains("single precision"), "{}", chosen.notes());
    let double = good("double", &fitted("  stage adam(lr=1e-2, epochs=100, precision=double)"));
    assert!(double.notes().contains("double precision"), "{}", double.notes());
    let (a, b) = (chosen.number("data"), double.number("data"));
    assert!((a - b).abs() < 2e-3 * b, "{a} {b}");
    // A number that is sought is sought in double precision.
    let number = good(
        "number",
        "minimize m {\n  over a: Real = 1\n  loss l = (a - 3)^2\n  stage adam(lr=1e-1, epochs=300)\n}\nstudy s { check abs(m.a - 3) < 1e-2 }",
    );
    assert!(number.notes().contains("double precision"), "{}", number.notes());
}

#[test]
fn patience_stops_early_and_goes_back() {
    // Forty noisy rows and a wide net: the validation loss rises again soon.
    let outcome = good(
        "patience",
        "dataset Noisy() {
  x ~ uniform(-1, 1)
  e ~ normal(0, 0.5)
  y = exact(x) + e
}
minimize fit {
  let rows = sample(Noisy(), n=40, split=(0.5, 0.25, 0.25))
  over law: Law = mlp(width=32, depth=2)
  loss data = mean2(law(r.x) - r.y for r in rows.train)
  stage adam(lr=1e-2, epochs=4000, patience=50)
}
study s {
  check count(fit.history.loss) < 3000
  check min(fit.history.validation) < fit.history.validation[count(fit.history.loss) - 1]
}",
    );
    assert!(outcome.notes().contains("stopped early"), "{}", outcome.notes());
    let refused = run(
        "refused",
        &format!(
            "{LAW}{}",
            fitted("  stage adam(lr=1e-2, epochs=10, patience=5)").replace("by=sobol", "by=sobol, split=(0.8, 0.2)")
        ),
        &[],
        &[],
    );
    assert!(refused.code != 0 && refused.words.contains("`patience` needs validation rows"), "{}", refused.words);
}

#[test]
fn members_of_an_ensemble_learn_each_for_itself() {
    let outcome = good(
        "ensemble",
        "minimize many {
  let rows = sample(Points(), n=60)
  over law: Law = mlp(width=8, depth=1, ensemble=3)
  loss data = mean2(law(r.x) - r.y for r in rows.train)
  stage adam(lr=1e-2, epochs=300)
}
study s {
  let rows = sample(Points(), n=60)
  let mixed = mean2(many.law(r.x) - r.y for r in rows.train)
  report(mixed=mixed, each=many.data)
  // The square of a mean is at most the mean of the squares.
  check mixed < many.data
  check many.data < 0.2
}",
    );
    assert!(outcome.number("mixed") > 0.0);
}

#[test]
fn a_gaussian_process_is_fitted_outright_and_knows_its_range() {
    good(
        "process",
        "minimize fit {
  let rows = sample(Points(), n=24, by=sobol)
  over law: Law = gp(matern52)
  loss data = mean2(law(r.x) - r.y for r in rows.test)
}
study s {
  check fit.data < 1e-4
  let safe = online(fit.law, on_fail=exact)
  check abs(safe(3) - exact(3)) < 1e-12
  check abs(fit.law(3) - exact(3)) > 0.1
}",
    );
}

#[test]
fn an_spd_head_holds_whatever_the_weights() {
    let outcome = run(
        "spd",
        "param seed: Int = 1
closure K(T: [K]) -> Sym(2)[W/m/K] { ensure spd(result) }
let exact: K = fn(T) { sym([[2, 0.5], [0.5, 1]])*T/(300 [K])*(1 [W/m/K]) }
dataset D() {
  T ~ uniform(280 [K], 400 [K])
  k = exact(T)
}
minimize fit {
  let rows = sample(D(), n=32)
  over k: K = mlp(width=8, depth=1)
  loss data = mean(rel_l2(k(r.T), r.k) for r in rows.train)
  stage adam(lr=1e-2, epochs=300)
  stage lbfgs(iters=100)
}
minimize process {
  let rows = sample(D(), n=32)
  over k: K = gp(matern52)
  loss data = mean(rel_l2(k(r.T), r.k) for r in rows.test)
}
study s {
  check fit.data < 1e-3
  check process.data < 1e-3
  for T in [1, 100, 1000, 100000] {
    check eigenvalues(fit.k(T*1 [K]))[0] > 0 [W/m/K]
    check eigenvalues(process.k(T*1 [K]))[0] > 0 [W/m/K]
  }
}",
        &[],
        &[],
    );
    assert_eq!(outcome.code, 0, "{}", outcome.words);
}

#[test]
fn candle_trains_the_same_net_to_the_same_loss() {
    let text =
        format!("{LAW}{}", fitted("  stage adam(lr=1e-2, epochs=40, precision=double)\n  stage lbfgs(iters=10)"));
    let native = run("native", &text, &[], &[]);
    let candle = run("candle", &text, &[], &["--backend", "candle"]);
    assert_eq!((native.code, candle.code), (0, 0), "{} {}", native.words, candle.words);
    let (a, b) = (native.number("data"), candle.number("data"));
    assert!((a - b).abs() < 1e-3 * a, "{a} {b}");
    // In single precision too, as far as it goes.
    let text = text.replace("precision=double", "precision=single");
    let single = run("single", &text, &[], &["--backend", "candle"]);
    assert_eq!(single.code, 0, "{}", single.words);
    assert!((single.number("data") - a).abs() < 0.05 * a, "{} {a}", single.number("data"));
}

#[test]
fn a_column_keeps_its_draws_when_another_joins() {
    let sums = |rows: &str, by: &str| {
        let text = format!(
            "param seed: Int = 9
dataset D() {{
{rows}
}}
study s {{
  let d = sample(D(), n=64, by={by})
  report(a=sum(r.a for r in d), b=mean(r.b^2 for r in d))
}}"
        );
        let outcome = run(&format!("columns-{by}-{}", rows.len()), &text, &[], &[]);
        assert_eq!(outcome.code, 0, "{}", outcome.words);
        (outcome.number("a"), outcome.number("b"))
    };
    for by in ["random", "lhs"] {
        let two = sums("  a ~ choice([1, 2, 5])\n  b ~ normal(0, 1)", by);
        let three = sums("  c ~ loguniform(1, 100)\n  a ~ choice([1, 2, 5])\n  b ~ normal(0, 1)", by);
        assert_eq!(two, three, "{by}");
    }
    // A hypercube fills each third of the cumulated choice alike: 64 rows hold 21 or 22 of each.
    let (a, b) = sums("  a ~ choice([1, 2, 5])\n  b ~ normal(0, 1)", "lhs");
    assert!((a - 64.0 * 8.0 / 3.0).abs() < 5.0 && (b - 1.0).abs() < 0.1, "{a} {b}");
}

#[test]
fn holes_in_data_are_told_with_their_place_unless_declared() {
    let program = |missing: &str| {
        format!("study s {{\n  let d = load(\"d.csv\"{missing})\n  report(n=count(d), x=sum(r.x for r in d))\n}}")
    };
    let file = [("d.csv", "x,y\n1,2\n3,nan\n4,5\n")];
    let refused = run("holes", &program(""), &file, &[]);
    assert_eq!(refused.code, 3, "{}", refused.words);
    assert!(refused.words.contains("line 3, column 3"), "{}", refused.words);
    let declared = run("declared", &program(", missing=\"nan\""), &file, &[]);
    assert_eq!(declared.code, 0, "{}", declared.words);
    assert_eq!((declared.number("n"), declared.number("x")), (2.0, 5.0));
}

#[test]
fn a_table_tells_its_error_and_halves_it_as_it_should() {
    let outcome = good(
        "table",
        "let coarse: Law = tabulate(exact, x=-1..1, n=9, by=linear)
let fine: Law = tabulate(exact, x=-1..1, n=17, by=linear)
let smooth: Law = tabulate(exact, x=-1..1, n=17, by=cubic)
study s {
  let rows = sample(Points(), n=200)
  let a = mean2(coarse(r.x) - r.y for r in rows)
  let b = mean2(fine(r.x) - r.y for r in rows)
  let c = mean2(smooth(r.x) - r.y for r in rows)
  // Second order: squares fall by 16.
  check a/b > 10
  check a/b < 24
  check c < b
}",
    );
    let notes = outcome.notes();
    assert_eq!(notes.matches("midpoints of cells it is off by").count(), 3, "{notes}");
    assert!(notes.contains("table of Law: 9 nodes"), "{notes}");
}

/// A nonlinear law behind a solve of its own, asked at every point of a bar.
const NESTED: &str = "
let Ω = interval(1)
let Y = interval(1)
closure K(T: Real) -> Real
system Cell(T: Real) {
  unknown w: Field(Y)
  eq balance: -∇·((1 + T^2)*∇w) = 1
  on Y.ends: w = 0
}
let exact: K = fn(T) { 1 + 4*mean(solve(Cell(T), fem(order=1, n=8)).w) }
system Heat(k: K) {
  unknown T: Field(Ω)
  eq energy: -∇·(k(T)*∇T) = 1
  on Ω.left: T = 1
  on Ω.right: T = 3
}
";

#[test]
fn what_was_computed_is_reused_with_one_result_at_any_thread_count() {
    let text = format!(
        "{NESTED}study s {{
  let a = solve(Heat(exact), fem(order=1, n=40))
  let b = solve(Heat(online(exact, reuse=0.02, T=0..4)), fem(order=1, n=40))
  let c = solve(Heat(online(exact, reuse=0.2, T=0..4)), fem(order=1, n=40))
  report(near=rel_l2(b.T, a.T), far=rel_l2(c.T, a.T), sum=mean(b.T))
  check rel_l2(b.T, a.T) < 1e-4
  check rel_l2(c.T, a.T) > 10*rel_l2(b.T, a.T)
}}"
    );
    let outcomes = ["1", "2"].map(|t| run(&format!("reuse{t}"), &text, &[], &["--threads", t]));
    for o in &outcomes {
        assert_eq!(o.code, 0, "{}", o.words);
    }
    // (asked, computed) of each solve.
    let counts = |o: &Outcome| -> Vec<(u64, u64)> {
        let read = |l: &str| {
            let numbers: Vec<u64> = l.split(|c: char| !c.is_ascii_digit()).filter_map(|w| w.parse().ok()).collect();
            (numbers[0], numbers[1])
        };
        o.notes().lines().filter(|l| l.starts_with("online K")).map(read).collect()
    };
    let found = counts(&outcomes[0]);
    assert_eq!(found, counts(&outcomes[1]));
    let [(asked, computed), (_, fewer)] = found[..] else { panic!("{found:?}") };
    // Temperatures from 1 to 3 touch at most 26 of the knots that are 0.08 apart, whatever the Newton steps.
    assert!(asked >= 3 * 80 && computed <= 40 && fewer < computed, "{found:?}");
    // All bits of every result.
    let hashes = |o: &Outcome| -> Vec<Value> {
        o.run["tasks"].as_array().unwrap().iter().map(|t| t["outputs"].clone()).collect()
    };
    assert_eq!(hashes(&outcomes[0]), hashes(&outcomes[1]));
    assert_eq!(outcomes[0].number("sum"), outcomes[1].number("sum"));
}

#[test]
fn beyond_its_range_the_fine_closure_is_asked() {
    let text = format!(
        "{NESTED}let table: K = tabulate(exact, T=1..2, n=9)
study s {{
  let a = solve(Heat(exact), fem(order=1, n=20))
  let safe = solve(Heat(online(table, reuse=0.01, on_fail=exact)), fem(order=1, n=20))
  let blind = solve(Heat(table), fem(order=1, n=20))
  check rel_l2(safe.T, a.T) < 1e-4
  check rel_l2(blind.T, a.T) > 1e-3
}}"
    );
    let outcome = run("range", &text, &[], &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.words);
    assert!(outcome.notes().contains("online K: asked at"), "{}", outcome.notes());
}

#[test]
fn random_fields_are_columns_of_functions() {
    let outcome = run(
        "grf",
        "param seed: Int = 2
let Ω = square(1)
system Darcy(a: Field(Ω)) {
  unknown u: Field(Ω)
  eq mass: -∇·(a*∇u) = 1
  on Ω.boundary: u = 0
}
dataset Flow() {
  g ~ grf(Ω, length=0.3, mean=2, sd=0.5)
  a = g(0.5, 0.5)
  b = g(0.6, 0.5)
}
dataset Solved(n: Int) {
  g ~ grf(Ω, length=0.3, sd=0.5)
  u = mean(solve(Darcy(exp(g)), fem(order=1, n=n)).u)
}
study s {
  let d = sample(Flow(), n=400)
  let variance = mean((r.a - 2)^2 for r in d)
  let covariance = mean((r.a - 2)*(r.b - 2) for r in d)
  report(mean=mean(r.a for r in d), variance=variance, covariance=covariance)
  // Of 400 rows: the standard deviation of the mean is 0.025, that of the variance 0.018.
  check abs(mean(r.a for r in d) - 2) < 0.1
  check abs(variance - 0.25) < 0.07
  // exp(-0.1²/(2·0.3²)) of the variance, and nearly the same noise.
  check abs(covariance/variance - 0.946) < 0.03
  // One seed gives the same functions at every resolution: the solutions converge row by row.
  let coarse = sample(Solved(8), n=3)
  let middle = sample(Solved(16), n=3)
  let fine = sample(Solved(32), n=3)
  for i in [0, 1, 2] {
    let far = abs(coarse[i].u/fine[i].u - 1)
    check abs(middle[i].u/fine[i].u - 1) < 0.4*far
    check far < 0.1
  }
}",
        &[],
        &[],
    );
    assert_eq!(outcome.code, 0, "{}", outcome.words);
}
