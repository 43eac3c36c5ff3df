//! Every primitive is differentiated: forward against differences, reverse against forward, second order against both.

mod cases;
mod check;

use cases::{KINDS, cases, kind};
use check::{adjoint, differences, second_order};
use mslc::ir::{Func, Op};
use std::collections::BTreeSet;

#[test]
fn every_primitive_has_a_case() {
    fn collect(f: &Func, seen: &mut BTreeSet<&'static str>) {
        for node in &f.nodes {
            seen.insert(kind(&node.op));
            Func::bodies(&node.op).into_iter().for_each(|body| collect(body, seen));
        }
    }
    let mut seen = BTreeSet::new();
    cases().iter().for_each(|c| collect(&c.f, &mut seen));
    let missing: Vec<_> = KINDS.iter().filter(|k| !seen.contains(*k)).collect();
    assert!(missing.is_empty(), "no gradient case for {missing:?}");
}

#[test]
fn forward_mode_against_central_differences() {
    cases().iter().for_each(differences);
}

#[test]
fn reverse_mode_is_the_transpose_of_forward_mode() {
    cases().iter().for_each(adjoint);
}

#[test]
fn second_order_forward_over_reverse_and_reverse_over_reverse() {
    cases().iter().for_each(second_order);
}

/// Nothing that is differentiated twice loses a name: all primitives survive as primitives or vanish by a rule.
#[test]
fn the_linear_solve_of_a_solve_is_transposed_in_reverse_mode() {
    let case = cases().into_iter().find(|c| c.name == "solve").expect("a case named `solve`");
    let g = mslc::ad::vjp(&case.f, &[1]);
    let count = |t: bool| {
        g.nodes.iter().filter(|n| matches!(&n.op, Op::LinearSolve { transposed, .. } if *transposed == t)).count()
    };
    let solves = g.nodes.iter().filter(|n| matches!(n.op, Op::Solve { .. })).count();
    assert_eq!((solves, count(true), count(false)), (1, 1, 0), "one solve, one transposed substitution");
}
