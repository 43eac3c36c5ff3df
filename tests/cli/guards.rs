//! Runs in time that are a part of something else, of members of an ensemble, of a law that is solved for, of a loss: what goes wrong
//! in them is told as it is at the top, with which of them it was.

use super::{Folder, code, err, mslc, path};
use std::sync::atomic::{AtomicUsize, Ordering};

/// `Burst` and `Small` blow up where ∫ du/(a u²) ends, at t = 1/(a max u) without diffusion; `Held` is e^(at), `Jump` falls below zero in
/// its first step, as the difference quotient of a jump is the larger half of it over the spacing.
const SYSTEMS: &str = "let D = interval(0..1, periodic=true)
let Ω = interval(0..1)
scale micro { length: 1e-3..2  time: 1e-4..10 }
let Y = interval(0..1, periodic=true, scale=micro)
closure Law(T: [1]) -> [1]
system Burst(a: [1]) {
  unknown u: Field(D)
  eq balance: ∂t(u) = 1e-3*∇²u + a*u^2
  init u = 1 + exp(-100*(x - 0.375)^2)
}
system Held(a: [1], bound: [1]) {
  unknown u: Field(D)
  eq growth: ∂t(u) = a*u
  init u = 1 + 0*x
  ensure room: u <= 2
  ensure mass: conserved(∫(u), tolerance=bound)
}
system Inner(T: [1]) {
  unknown u: Field(Y)
  eq balance: ∂t(u) = T*u^2
  init u = 1 + exp(-100*(x - 0.375)^2)
}
system Jump(T: [1]) {
  unknown u: Field(Y)
  eq transport: ∂t(u) = -∂x(u)
  init u = if abs(x - 0.5) < 0.1 then T else 0
  ensure bounds: u >= 0
}
system Small(T: [1]) {
  unknown n: [1]
  eq growth: ∂t(n) = T*n^2
  init n = 0.1
}
system Coarse(k: Law) {
  unknown T: Field(Ω) ~ 1
  eq e: -∇·((1 + k(T))*∇T) = 1
  on Ω.left: T = 1
  on Ω.right: T = 2
}
system Bent(k: Law) {
  unknown T: Field(Ω) ~ 1
  eq e: -∇·(1e-3*∇T) = atan(3 - T) + 1e-3*k(T)
}
let fixed = fd(order=2, n=64, time=rk4(1e-2))
let found = fd(order=2, n=64, time=dormand_prince(tol=1e-6))
let bang: Law = fn(T) { mean(solve(Inner(T), fd(order=2, n=32, time=rk4(1e-2)), t=0..1).u) }
let jumps: Law = fn(T) { mean(solve(Jump(T), fd(order=2, n=32, time=rk4(1e-2)), t=0..0.1).u) }
let small: Law = fn(T) { solve(Small(T), rk4(1e-2), t=0..1).n }
let tight: Law = fn(T) { solve(Small(T), dormand_prince(tol=1e-6), t=0..1).n }
";

/// The exit code and what is said, with what the record notes of its tasks.
fn run(more: &str, study: &str) -> (i32, String) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let f = Folder::new(&format!("guards-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let program = f.file("guards.msl", format!("{SYSTEMS}{more}study s {{\n{study}\n}}\n"));
    let out = f.0.join("out");
    let o = mslc(["run", path(&program), "--out", path(&out)]);
    let record = std::fs::read_to_string(out.join("run.json")).unwrap_or_default();
    (code(&o), (err(&o) + &record).split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", ""))
}

fn told(more: &str, study: &str, words: &[&str]) {
    let (code, text) = run(more, study);
    assert_eq!(code, 3, "{study}: {text}");
    for w in words {
        assert!(text.contains(w), "`{w}` of {study} is not in {text}");
    }
}

fn number(text: &str, after: &str) -> f64 {
    let rest = text.split(after).nth(1).unwrap_or_else(|| panic!("no `{after}` in {text}"));
    rest.split([' ', ',', '%', ';']).next().unwrap().parse().unwrap()
}

#[test]
fn a_member_of_an_ensemble_is_told_with_its_number() {
    let member = "its equation is `balance`: ∂t(u) = 1e-3*∇²u + a*u^2";
    // One after the other.
    let list = |scheme: &str| {
        format!("let m = [mean(solve(Burst(a), {scheme}, t=0..1).u) for a in [0.1, 0.2, 1.5]]\nreport(m=mean(m))")
    };
    told(
        "",
        &list("fixed"),
        &["run.unstable", "`u` of `Burst` became infinite in cell 2", "in run 3 of 3 of `Burst`", member],
    );
    // Rows whose steps are taken together; of those drawn between 0.1 and 1.5 several blow up, the one with the largest a first.
    let rows = |scheme: &str| {
        format!(
            "dataset Members() {{\n a ~ uniform(0.1, 1.5)\n m = mean(solve(Burst(a), {scheme}, t=0..1).u)\n}}
let draws = sample(Members(), n=8)\nreport(m=mean(r.m for r in draws))"
        )
    };
    let of = |scheme: &str| {
        rows(scheme).split_once("let draws").map(|(data, rest)| (data.to_string(), format!("let draws{rest}"))).unwrap()
    };
    let (data, study) = of("fixed");
    told(&data, &study, &["run.unstable", "of 100, in item ", " of 8", member]);
    // Each by itself.
    let (data, study) = of("found");
    told(&data, &study, &["run.steps", "`Burst` stands still at t = ", " of 8", "eq balance: ∂t(u)"]);
}

#[test]
fn what_members_ensure_is_watched() {
    // e^(a/2·2) > 2 for a > log 2: the third of four in its 70th step.
    let data = "dataset Members() {\n a ~ uniform(0.9999, 1.0001)\n m = mean(solve(Held(a, 10), fixed, t=0..1).u)\n}\n";
    let study = "let draws = sample(Members(), n=4)\nreport(m=mean(r.m for r in draws))";
    told(data, study, &["`ensure room` of `Held`: `u <= 2` does not hold", "in step 70 of 100", "of 4"]);
    let data = data.replace("Held(a, 10)", "Held(a, 0.5)");
    // e^t = 1.5 at t = 0.405.
    let words = ["`ensure mass` of `Held`", "it was 1 at the start and is 1.50", "beyond 0.5", "in step 41 of 100"];
    told(&data, study, &words);
    // Every run of a list is held to its own start.
    let study = "let m = [mean(solve(Scaled(a), fixed, t=0..1).u) for a in [1, 2, 3]]\nreport(m=mean(m))";
    let scaled = "system Scaled(a: [1]) {
  unknown u: Field(D)
  eq heat: ∂t(u) = 1e-3*∇²u
  init u = a*(1 + exp(-100*(x - 0.375)^2))
  ensure mass: conserved(∫(u))
}
";
    let (code, text) = run(scaled, study);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_run_inside_a_law_is_told_with_where_it_is() {
    let words = [
        "run.unstable",
        "`u` of `Inner` (scale `micro`) became infinite in cell 11",
        " of 100",
        "in item 16 of 16",
        "in the solution of `Coarse.e`",
    ];
    told("", "let s = solve(Coarse(bang), fem(order=1, n=8))\nreport(m=mean(s.T))", &words);
    let words = [
        "run.ensure",
        "`ensure bounds` of `Jump` (scale `micro`): `u >= 0` does not hold in cell",
        "in step 1 of 10",
        "in the solution of `Coarse.e`",
    ];
    told("", "let s = solve(Coarse(jumps), fem(order=1, n=8))\nreport(m=mean(s.T))", &words);
}

/// From T = 0 the first step of Newton's method goes to T = 12.5, where both laws blow up; a shorter one ends at T = 3.
#[test]
fn a_trial_of_newtons_method_that_blows_up_is_one_more_that_is_shortened() {
    for law in ["small", "tight"] {
        let (code, text) =
            run("", &format!("let s = solve(Bent({law}), fem(order=1, n=4))\ncheck abs(mean(s.T) - 3) < 1e-2"));
        assert_eq!(code, 0, "{law}: {text}");
    }
}

/// Where u reaches no end in time, from a = 0.5 on, the mean is no number.
#[test]
fn a_loss_that_is_no_number_is_told_with_the_run_that_made_it_so() {
    let fit = |loss: &str, start: &str, stage: &str| {
        format!("minimize fit {{\n over a: [1] = {start}\n loss data = {loss}\n stage {stage}\n}}\n")
    };
    let mean = "mean(solve(Burst(a), fixed, t=0..1).u)";
    let check = "check fit.data < 1e-6";
    let words = [
        "run.diverged",
        "at the very first evaluation",
        "`u` of `Burst` became infinite in cell 2",
        "(tried: 0.9)",
        "its equation is `balance`",
    ];
    told(&fit(&format!("1/{mean}"), "0.9", "adam(lr=0.1, epochs=20)"), check, &words);
    let words = ["run.diverged", "diverged in epoch 5", "`u` of `Burst` became infinite", "(tried: 0.56"];
    told(&fit(&format!("-{mean}"), "0.1", "adam(lr=0.1, epochs=50)"), check, &words);
    // A line search steps back from there.
    let (code, text) = run(&fit(&format!("100*({mean} - 2)^2"), "0.1", "lbfgs(iters=20)"), check);
    assert_eq!(code, 0, "{text}");
    assert!(number(&text, "\"lbfgs: ") >= 3.0 && text.contains("gave no finite loss or gradient"), "{text}");
    assert!(text.contains("the last: `u` of `Burst` became infinite in cell 2"), "{text}");
}

/// The mean is 3 where e^a = 3, beyond the bound.
#[test]
fn the_result_of_a_fit_keeps_what_its_runs_ensure() {
    let fit = |goal: &str| {
        format!(
            "minimize fit {{\n over a: [1] = 0.1\n loss data = (mean(solve(Held(a, 10), fixed, t=0..1).u) - {goal})^2\n stage lbfgs(iters=20)\n}}\n"
        )
    };
    told(&fit("3"), "check fit.data < 1e-6", &["`ensure room` of `Held`", "in step 64 of 100", "what `fit` has found"]);
    let (code, text) = run(&fit("1.5"), "check fit.data < 1e-6");
    assert_eq!(code, 0, "{text}");
}

/// The first try is far too long: exp(x²) overflows in it. What is found does not depend on where steps begin.
#[test]
fn a_rejected_try_that_overflows_spoils_no_derivative() {
    let fit = |name: &str, dt: &str| {
        let data = format!("data = (solve(Steep(k), dormand_prince(tol=1e-8, dt={dt}), t=0..1).x - 0.1)^2");
        // So many numbers that derivatives are taken backwards.
        let first = "over k: Vec(10) = [1.5, 0, 0, 0, 0, 0, 0, 0, 0, 0]";
        format!("minimize {name} {{\n {first}\n loss {data}\n loss size = 1e-2*norm2(k)\n stage lbfgs(iters=30)\n}}\n")
    };
    let system = "system Steep(k: Vec(10)) {
  unknown x: [1]
  eq rate: ∂t(x) = k[0] + 0.1*(k[1] + k[2] + k[3] + k[4] + k[5] + k[6] + k[7] + k[8] + k[9])*x - exp(x^2)
  init x = 3
}
";
    let more = format!("{system}{}{}", fit("far", "10"), fit("near", "1e-4"));
    let (code, text) = run(
        &more,
        "check abs(far.k[0] - near.k[0]) < 1e-4\ncheck abs(far.k[1] - near.k[1]) < 1e-4\ncheck far.data < 0.1",
    );
    assert_eq!(code, 0, "{text}");
}

#[test]
fn systems_of_numbers_name_their_equation() {
    let systems = "system Boom() {
  unknown a: [1]
  unknown v: Vec(2)
  eq other: ∂t(v) = -v
  eq growth: ∂t(a) = a^2
  init a = 1
  init v = [1, 2]
}
system Swing() {
  unknown x: [1]
  eq push: ∂tt(x) = exp(x)
  init x = 0
  init ∂t(x) = 0
}
";
    let equation = "its equation is `growth`: ∂t(a) = a^2";
    let study = |scheme: &str| format!("let s = solve(Boom(), {scheme}, t=0..2)\nreport(a=s.a)");
    told(systems, &study("rk4(1e-2)"), &["`a` of `Boom` became infinite, at t = 1.0", equation]);
    told(systems, &study("dormand_prince(tol=1e-6)"), &["`a` changes fastest", equation]);
    told(
        systems,
        &study("bdf2(1e-2)"),
        &["`Boom` failed at t = 0.98 in step 98 of 200", "is largest (9.16e0) in `growth`"],
    );
    told(
        systems,
        "let s = solve(Swing(), verlet(1e-2), t=0..5)\nreport(x=s.x)",
        &["of `Swing` became", "its equation is `push`: ∂tt(x) = exp(x)"],
    );
}
