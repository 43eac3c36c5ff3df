//! Every example runs as a user runs it, and its checks hold. The costly ones run at a coarser setting, with the same claims.

use std::process::Command;

fn run(name: &str, settings: &[&str]) {
    let root = env!("CARGO_MANIFEST_DIR");
    let out = std::env::temp_dir().join(format!("mslc-example-{name}-{}", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_mslc"));
    command.args(["run", &format!("{root}/examples/{name}.msl"), "--quiet", "--out"]).arg(&out);
    settings.iter().for_each(|s| {
        command.args(["--set", s]);
    });
    let output = command.output().expect("mslc starts");
    let run = std::fs::read_to_string(out.join("run.json")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{name}: {}\n{run}", String::from_utf8_lossy(&output.stderr));
    assert!(out.join("report.html").exists());
    let _ = std::fs::remove_dir_all(out);
}

#[test]
fn laminate() {
    run("laminate", &[]);
}

#[test]
fn checkerboard() {
    run("checkerboard", &[]);
}

#[test]
fn nonlinear_fin() {
    run("nonlinear_fin", &[]);
}

#[test]
fn online() {
    run("online", &["h=10[mm]"]);
}

#[test]
fn burgers() {
    run("burgers", &[]);
}

#[test]
fn sod() {
    run("sod", &[]);
}

#[test]
fn lorenz96() {
    run("lorenz96", &[]);
}

#[test]
fn brusselator() {
    run("brusselator", &[]);
}

#[test]
fn kuramoto_sivashinsky() {
    run("kuramoto_sivashinsky", &[]);
}

#[test]
fn gray_scott() {
    run("gray_scott", &[]);
}

#[test]
fn cahn_hilliard() {
    run("cahn_hilliard", &[]);
}

#[test]
fn taylor_green() {
    run("taylor_green", &[]);
}

#[test]
fn navier_stokes_2d() {
    run("navier_stokes_2d", &[]);
}

#[test]
fn hot_spot() {
    run("hot_spot", &[]);
}

#[test]
fn acoustic() {
    run("acoustic", &["n=48"]);
}

#[test]
fn cavity() {
    run("cavity", &[]);
}

#[test]
fn micrograph() {
    run("micrograph", &[]);
}

/// Three bridges on a coarser plate, with fewer cells to learn from.
#[test]
fn composite_heat() {
    run("composite_heat", &["h=10[mm]", "n_cells=64"]);
}
