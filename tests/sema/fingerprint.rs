//! Fingerprints follow meaning, not text.

use super::analyse_text;
use mslc::base::Fingerprint;
use mslc::sema::fingerprint::Fingerprints;

fn print_of(text: &str, name: &str) -> Fingerprint {
    let (program, diagnostics) = analyse_text(text);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    Fingerprints::new(&program).def(program.find(name).unwrap())
}

const PROGRAM: &str = "
param n: Int = 8
let width = 3 [mm]
fn f(T: [K]) -> [K] { let a = 2*T  a + 1 [K] }
let s = [f(c*1 [K])/width for c in linspace(0, 1, n)]
";

#[test]
fn white_space_comments_and_local_names_do_not_matter() {
    let other = "
// a comment
let s = [ f(w*1 [K]) / broad for w in linspace(0, 1, n) ]
/// a function
fn f(T: [K]) -> [K] {
  let b = 2*T
  b + 1 [K]
}
let broad = 0.003 [m]
param n: Int = 8
";
    assert_eq!(print_of(PROGRAM, "s"), print_of(other, "s"));
}

#[test]
fn what_a_definition_refers_to_matters() {
    let before = print_of(PROGRAM, "s");
    for (old, new) in [("3 [mm]", "4 [mm]"), ("Int = 8", "Int = 9"), ("2*T", "3*T"), ("linspace(0, 1", "linspace(0, 2")]
    {
        assert_ne!(before, print_of(&PROGRAM.replace(old, new), "s"), "{old} to {new}");
    }
    assert_eq!(print_of(PROGRAM, "width"), print_of(&PROGRAM.replace("Int = 8", "Int = 9"), "width"));
}

#[test]
fn an_override_counts_as_its_value() {
    use mslc::base::Sources;
    use mslc::sema::{Options, analyse};
    let mut sources = Sources::default();
    let root = sources.add("main.msl", PROGRAM);
    let options = Options { overrides: vec![("n".into(), "9".into())], ..Default::default() };
    let (program, _) = analyse(sources, root, &options);
    let with_override = Fingerprints::new(&program).def(program.find("s").unwrap());
    assert_eq!(with_override, print_of(&PROGRAM.replace("Int = 8", "Int = 9"), "s"));
}

#[test]
fn free_locals_are_what_the_caller_says() {
    use mslc::sema::hir::{DefKind, StudyStmtKind};
    let (program, _) = analyse_text("study s { let a = 1  check a < 2 }");
    let DefKind::Study { stmts, .. } = &program.def(program.find("s").unwrap()).kind else { panic!() };
    let StudyStmtKind::Check(e) = &stmts[1].kind else { panic!() };
    let prints = Fingerprints::new(&program);
    let (x, y) = (Fingerprint::of(b"x"), Fingerprint::of(b"y"));
    assert_eq!(prints.expr(e, &|_| Some(x)), prints.expr(e, &|_| Some(x)));
    assert_ne!(prints.expr(e, &|_| Some(x)), prints.expr(e, &|_| Some(y)));
}
