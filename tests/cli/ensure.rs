//! What a system ensures while a run in time goes: conserved numbers and bounds, in every kind of run.

use super::{Folder, code, err, mslc, path};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Heat on a circle keeps its integral, an explosion does not; transport by central differences makes negative values.
const SYSTEMS: &str = "let D = interval(0..1, periodic=true)
system Heat(k) {
  unknown u: Field(D)
  eq energy: ∂t(u) = k*∇²u
  init u = exp(-400*(x - 0.5)^2)
  ensure mass: conserved(∫(u), tolerance=1e-12)
  ensure positive: u >= 0
}
system Wave() {
  unknown u: Field(D)
  eq transport: ∂t(u) + ∇·([u]) = 0
  init u = 1 + 0.5*sin(2*π*x)
  ensure mass: conserved(∫(u), tolerance=1e-12)
}
/// Half of the decay is compensated until t = 1.
system Leak() {
  unknown u: Field(D)
  eq energy: ∂t(u) = 0.01*∇²u - (if t < 0.5 then 0 else 1e-3)*u
  init u = exp(-400*(x - 0.5)^2)
  ensure mass: conserved(∫(u))
}
system Front() {
  unknown u: Field(D)
  eq transport: ∂t(u) = -∂x(u)
  init u = if abs(x - 0.5) < 0.1 then 1 else 0
  ensure bounds: u >= 0 and u <= 1
}
system Growth() {
  unknown n: [1]
  eq growth: ∂t(n) = n
  init n = 1
  ensure room: n <= 10
}
";

fn run(study: &str) -> (i32, String) {
    run_with("", study)
}

/// With more systems.
fn run_with(systems: &str, study: &str) -> (i32, String) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let f = Folder::new(&format!("ensure-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let program = f.file("ensure.msl", format!("{SYSTEMS}{systems}study s {{\n{study}\n}}\n"));
    let o = mslc(["run", path(&program), "--out", path(&f.0.join("out"))]);
    (code(&o), err(&o).split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", ""))
}

/// Divergences telescope, so that only rounding changes the sum, in 10 000 steps too.
#[test]
fn conservative_schemes_conserve_to_rounding_over_ten_thousand_steps() {
    for scheme in [
        "Heat(0.02), fd(order=2, n=64, time=rk4(1e-3))",
        "Heat(0.02), fv(n=64, time=ssprk3(1e-3))",
        "Wave(), fv(n=64, time=ssprk3(1e-3))",
        "Wave(), fd(order=4, n=64, time=rk4(1e-3))",
    ] {
        let (code, text) = run(&format!("let a = solve({scheme}, t=0..10)\nreport(m=mean(a.u))"));
        assert_eq!(code, 0, "{scheme}: {text}");
    }
}

/// The source sets in at t = 1/2; the first step after it is told, whatever the scheme and however the steps were watched.
#[test]
fn what_is_not_conserved_is_told_with_its_first_step() {
    for (scheme, steps, first) in [
        ("fd(order=2, n=64, time=euler(1e-3))", 2000, 501..=502),
        ("fv(n=64, time=ssprk3(1e-3))", 2000, 500..=501),
        ("fem(order=1, n=32, time=bdf2(1e-2))", 200, 50..=51),
        ("spectral(n=64, time=rk4(1e-3))", 2000, 500..=501),
    ] {
        let (code, text) = run(&format!("let a = solve(Leak(), {scheme}, t=0..2, every=0.1)\nreport(m=mean(a.u[1]))"));
        assert_eq!(code, 3, "{scheme}: {text}");
        assert!(text.contains("`ensure mass` of `Leak`: `conserved(∫(u))` does not hold: it was 0.0886"), "{text}");
        let step: usize = text.split("in step ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(first.contains(&step) && text.contains(&format!("of {steps}")), "{scheme}, step {step}: {text}");
    }
}

#[test]
fn bounds_that_are_left_are_told_with_their_place() {
    // The difference quotient of a jump of 1 is 1/(2h) on both sides of it: u falls below 0 and rises above 1 in the first step.
    let (code, text) = run("let a = solve(Front(), fd(order=2, n=64, time=rk4(1e-3)), t=0..1)\nreport(m=mean(a.u))");
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("`ensure bounds` of `Front`: `u >= 0` does not hold in cell 25 at (0.3984)"), "{text}");
    assert!(text.contains("in step 1 of 1000"), "{text}");
    // Limited volumes keep between the values that there are.
    let (code, text) = run("let a = solve(Front(), fv(n=64, time=ssprk3(1e-3)), t=0..1)\nreport(m=mean(a.u))");
    assert_eq!(code, 0, "{text}");
    // exp(2.303) = 10.
    let (code, text) = run("let a = solve(Growth(), rk4(1e-3), t=0..5)\nreport(n=a.n)");
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("`ensure room` of `Growth`: `n <= 10` does not hold") && text.contains("step 2303 of"),
        "{text}"
    );
}

/// Steps that are found on the way have no number in advance: the time is told, and how many there were.
#[test]
fn steps_that_follow_the_error_are_watched_too() {
    for scheme in [
        "fd(order=2, n=64, time=dormand_prince(tol=1e-6))",
        "fv(n=64, time=ssprk3(cfl=0.4))",
        "spectral(n=64, time=dormand_prince(tol=1e-6))",
    ] {
        let (code, text) = run(&format!("let a = solve(Front(), {scheme}, t=0..1)\nreport(m=mean(a.u))"));
        let holds = scheme.starts_with("fv");
        assert_eq!(code, if holds { 0 } else { 3 }, "{scheme}: {text}");
        let first = text.contains("`ensure bounds` of `Front`: `u >= 0`") && text.contains(" after 1 steps");
        assert!(holds || first, "{scheme}: {text}");
    }
    let scheme = "fem(order=1, n=32, time=bdf(tol=1e-6))";
    let (code, text) = run(&format!("let a = solve(Leak(), {scheme}, t=0..2, every=0.5)\nreport(m=mean(a.u[1]))"));
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("`ensure mass` of `Leak`") && text.contains("at t = "), "{text}");
    // n = exp(t) is beyond 10 from t = 2.303 on; the step in which that happens is told, whatever is kept of the run.
    for (scheme, every) in [
        ("dormand_prince(tol=1e-6)", ""),
        ("dormand_prince(tol=1e-6)", ", every=0.1"),
        ("bdf(tol=1e-6)", ", every=2.5"),
    ] {
        let (code, text) = run(&format!("let a = solve(Growth(), {scheme}, t=0..5{every})\nreport(n=a.n)"));
        assert_eq!(code, 3, "{text}");
        let number = |before: &str| -> f64 {
            text.split(before).nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap()
        };
        let (t, missing) = (number("at t = "), number("`n <= 10` does not hold: "));
        assert!((2.302..2.55).contains(&t) && (10.0 + missing - t.exp()).abs() < 0.02, "{scheme}{every}: {text}");
    }
}

/// The first tries go far below the bound and come to nothing: what is accepted keeps it.
#[test]
fn a_step_that_was_not_taken_breaks_nothing() {
    let system = "system Fast() {
  unknown x: [1]
  eq decay: ∂t(x) = -1e4*(x - 1e-3)
  init x = 1
  ensure positive: x > 0
}
";
    let study = "let a = solve(Fast(), dormand_prince(tol=1e-6, dt=0.01), t=0..0.01)\nreport(x=a.x)";
    let (code, text) = run_with(system, study);
    assert_eq!(code, 0, "{text}");
}

/// Where a rate leaves its domain no step is short enough: after some dozens of tries the equation is told with its place. Solutions
/// are T = (1 - t/2)², which is zero at t = 2, and blow up where ∫ du/u² ends.
#[test]
fn steps_that_can_go_no_further_are_told_with_what_stops_them() {
    let systems = "system Root() {
  unknown u: Field(D)
  unknown w: Field(D)
  eq other: ∂t(w) = 0.1*∇²w
  eq sink: ∂t(u) = 1e-3*∇²u - 1/√u
  init u = 2 - exp(-100*(x - 0.375)^2)
  init w = 1
}
system Burst() {
  unknown u: Field(D)
  eq balance: ∂t(u) = 1e-3*∇²u + u^2
  init u = 1 + exp(-100*(x - 0.375)^2)
}
system Cool() {
  unknown T: [1]
  eq rate: ∂t(T) = -√T
  init T = 1
}
";
    let told = |study: &str| {
        let (code, text) = run_with(systems, study);
        assert_eq!(code, 3, "{study}: {text}");
        text
    };
    let time =
        |text: &str| -> f64 { text.split("at t = ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap() };
    let here = |text: &str| text.contains("in cell 23 at (0.3672)") || text.contains("in cell 24 at (0.3");
    let text =
        told("let a = solve(Root(), fd(order=2, n=64, time=dormand_prince(tol=1e-6)), t=0..5)\nreport(m=mean(a.u))");
    assert!(text.contains("run.unstable") && text.contains("the rate of `u` of `Root` becomes not a number"), "{text}");
    assert!(here(&text) && text.contains("its equation is `sink`: ∂t(u) = 1e-3*∇²u - 1/√u"), "{text}");
    // Without diffusion u^(3/2) = 1 - 3t/2 at the least.
    assert!((0.5..0.8).contains(&time(&text)), "{text}");
    for scheme in [
        "fd(order=2, n=64, time=dormand_prince(tol=1e-6))",
        "spectral(n=64, time=dormand_prince(tol=1e-6))",
        "fem(n=64, time=bdf(tol=1e-6))",
    ] {
        let text = told(&format!("let a = solve(Burst(), {scheme}, t=0..2)\nreport(m=mean(a.u))"));
        assert!(text.contains("`Burst` stands still") && here(&text) && text.contains("`balance`"), "{scheme}: {text}");
        assert!((0.5..0.6).contains(&time(&text)), "{text}");
    }
    for scheme in ["dormand_prince(tol=1e-6)", "rodas4(tol=1e-6)", "bdf(tol=1e-6)"] {
        let text = told(&format!("let a = solve(Cool(), {scheme}, t=0..5)\nreport(T=a.T)"));
        assert!(text.contains("the rate of `T` of `Cool` becomes not a number"), "{scheme}: {text}");
        assert!((time(&text) - 2.0).abs() < 0.01, "{text}");
    }
    // No error is followed: numbers are looked at after every step.
    let text = told("let a = solve(Burst(), fd(n=64, time=rk4(cfl=0.9)), t=0..2)\nreport(m=mean(a.u))");
    assert!(text.contains("`u` of `Burst` became infinite in cell") && text.contains("after "), "{text}");
}

/// A try that overflows is one more that is rejected: x falls from 40 to -log(1000).
#[test]
fn a_try_that_overflows_is_mended_by_a_shorter_one() {
    let systems = "system Stiff() {
  unknown x: [1]
  eq rate: ∂t(x) = 1 - 1000*exp(x)
  init x = 40
}
";
    for scheme in ["rodas4(tol=1e-6, dt=1)", "bdf(tol=1e-6, dt=1)", "esdirk4(tol=1e-6, dt=1)"] {
        let study = format!("let a = solve(Stiff(), {scheme}, t=0..50)\ncheck abs(a.x + log(1000)) < 1e-4");
        let (code, text) = run_with(systems, &study);
        assert_eq!(code, 0, "{scheme}: {text}");
    }
}
