//! How runs in time begin: initial values that are no numbers, spans of time, steps that are far too long for a short run.

use super::{Folder, code, err, mslc, path};

/// What is said of a program, in one line; the exit code.
fn said(name: &str, text: &str) -> (i32, String) {
    let f = Folder::new(&format!("starts-{name}"));
    let program = f.file("p.msl", text);
    let o = mslc(["run", path(&program), "--out", path(&f.0.join("out"))]);
    (code(&o), err(&o).split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", ""))
}

/// The root is of something negative left of x = 1/2.
const ROOT: &str = "let D = interval(0..1)
let P = interval(0..1, periodic=true)
system Walls() {
  unknown u: Field(D)
  eq balance: ∂t(u) = 0.01*∇²u + u^2
  on D.left, D.right: u = 0
  init u = √(x - 0.5)
}
system Around() {
  unknown u: Field(P)
  eq balance: ∂t(u) = 0.01*∇²u + u^2
  init u = √(x - 0.5)
}
system Number(a: [1]) {
  unknown n: [1]
  eq growth: ∂t(n) = n
  init n = √(a)
}
";

#[test]
fn an_initial_value_that_is_no_number_is_told_as_that() {
    let schemes = [
        ("Walls()", "fd(n=64, time=euler(1e-4))", "`u` of `Walls` is not a number in cell 0"),
        ("Walls()", "fd(n=64, time=dormand_prince(tol=1e-6))", "`u` of `Walls` is not a number in cell 0"),
        ("Walls()", "fem(order=1, n=64, time=sdirk3(1e-2))", "`u` of `Walls` is not a number in cell"),
        ("Walls()", "fem(order=1, n=64, time=esdirk4(tol=1e-6))", "`u` of `Walls` is not a number in cell"),
        ("Around()", "spectral(n=64, time=etdrk4(1e-2))", "values of `Around` are not finite"),
        ("Number(-1)", "rk4(1e-2)", "`n` of `Number` is not a number"),
    ];
    for (k, (system, scheme, words)) in schemes.into_iter().enumerate() {
        let text = format!("{ROOT}study s {{\n  let r = solve({system}, {scheme}, t=0..1)\n  report(r=r)\n}}\n");
        let (code, text) = said(&format!("root-{k}"), &text.replace("report(r=r)", "check 1 > 0"));
        assert_eq!(code, 3, "{scheme}: {text}");
        assert!(text.contains("run.unstable") && text.contains(words), "{scheme}: {text}");
        assert!(text.contains("the initial value") && text.contains("`init`"), "{scheme}: {text}");
        assert!(!text.contains("half the step"), "shorter steps do not help: {text}");
    }
}

#[test]
fn newtons_method_that_fails_in_a_step_asks_for_shorter_ones() {
    // u grows without bound near t = 0.1: the steps beyond have no solution.
    let text = ROOT.replace("√(x - 0.5)", "10*sin(π*x)").replace("0.01*∇²u", "1e-3*∇²u");
    let study = "study s {\n  let r = solve(Walls(), fem(order=1, n=32, time=crank_nicolson(0.04)), t=0..1)\n  check 1 > 0\n}\n";
    let (code, text) = said("newton", &(text + study));
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("run.failed") && text.contains("try half the step, `crank_nicolson(0.02)`"), "{text}");
}

/// Heat on a grid of 64 points: steps of Euler's method up to h²/2k = 1/8192 are stable.
fn heat(solve: &str) -> String {
    format!(
        "let D = interval(0..1, periodic=true)
system Heat() {{
  unknown u: Field(D)
  eq balance: ∂t(u) = ∇²u
  init u = sin(2*π*x)
}}
study s {{
  let _r = solve(Heat(), {solve})
  check 1 > 0
}}
"
    )
}

#[test]
fn a_few_steps_that_are_far_too_long_are_foreseen() {
    // Ten steps forty times too long: what is 1e-16 grows by 79¹⁰ and stays finite, so that nothing else would tell.
    let (code, text) = said("short", &heat("fd(order=2, n=64, time=euler(5e-3)), steps=10"));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("run.stability"), "{text}");
    let advised: f64 = text.split("up to about ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((0.5..=1.0).contains(&(advised * 8192.0)), "{text}");
    let (_, text) = said("stable", &heat("fd(order=2, n=64, time=euler(1.2e-4)), steps=10"));
    assert!(!text.contains("run.stability"), "{text}");
}

#[test]
fn spans_of_time_that_are_none_are_told_apart() {
    let scheme = "fd(order=2, n=64, time=euler(1e-4))";
    let cases = [
        ("t=1..0", 3, "it goes from 1 to 0"),
        ("t=0..1, every=2", 3, "`every` is 2 and does not fit into a span of 1"),
        ("t=0..0.01, every=0.003", 0, "the run ends at 0.009, "),
    ];
    for (k, (span, expected, words)) in cases.into_iter().enumerate() {
        let (code, text) = said(&format!("span-{k}"), &heat(&format!("{scheme}, {span}")));
        assert_eq!(code, expected, "{span}: {text}");
        assert!(text.contains("run.scheme") && text.contains(words), "{span}: {text}");
    }
    let (_, text) = said("fits", &heat(&format!("{scheme}, t=0..0.01, every=0.0025")));
    assert!(!text.contains("run.scheme"), "{text}");
}
