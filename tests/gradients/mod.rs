//! Every primitive is differentiated: forward against differences, reverse against forward, second order against both.

pub mod cases;
pub mod check;
mod checkpoints;
mod compiled;
mod physics;

use cases::{KINDS, cases, kind, single};
use check::{adjoint, differences, second_order};
use mslc::ad;
use mslc::ir::eval::eval;
use mslc::ir::verify::verify;
use mslc::ir::{Func, Op, Tensor};
use mslc::passes::optimise;
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

/// Single precision: derivatives stay in it, and are those of double precision to its rounding.
#[test]
fn derivatives_in_single_precision() {
    fn solves(f: &Func) -> bool {
        let inside = |op: &Op| Func::bodies(op).into_iter().any(|b| solves(b));
        f.nodes.iter().any(|n| matches!(n.op, Op::Solve { .. } | Op::LinearSolve { .. }) || inside(&n.op))
    }
    // Newton to 1e-12 is out of reach here.
    for c in cases().iter().filter(|c| !solves(&c.f)) {
        let double = ad::vjp(&c.f, &c.wrt);
        let float = optimise(ad::vjp(&single(&c.f), &c.wrt));
        verify(&float).unwrap_or_else(|e| panic!("{}: {e}", c.name));
        let seeds = c.f.output_types().into_iter().map(|t| check::noise(&t.shape, 6));
        let inputs: Vec<Tensor> = c.inputs.iter().cloned().chain(seeds).collect();
        let rounded =
            |t: &Tensor| Tensor::f32(t.ty.shape.clone(), t.to_f64().iter().map(|&x| x as f32).collect::<Vec<_>>());
        let reference = eval(&double, &inputs).unwrap();
        let found = eval(&float, &inputs.iter().map(rounded).collect::<Vec<_>>()).unwrap();
        for (k, (r, x)) in reference.iter().zip(&found).enumerate() {
            let scale = r.to_f64().iter().fold(1.0f64, |m, x| m.max(x.abs()));
            for (r, x) in r.to_f64().into_iter().zip(x.as_f32().expect("f32 results")) {
                assert!((r - *x as f64).abs() < 2e-5 * scale, "{}: result {k}: {x} is not {r}", c.name);
            }
        }
    }
}

#[test]
fn the_linear_solve_of_a_solve_is_transposed_in_reverse_mode() {
    let case = cases().into_iter().find(|c| c.name == "solve").expect("a case named `solve`");
    let g = ad::vjp(&case.f, &[1]);
    let count = |t: bool| {
        g.nodes.iter().filter(|n| matches!(&n.op, Op::LinearSolve { transposed, .. } if *transposed == t)).count()
    };
    let solves = g.nodes.iter().filter(|n| matches!(n.op, Op::Solve { .. })).count();
    assert_eq!((solves, count(true), count(false)), (1, 1, 0), "one solve, one transposed substitution");
}

/// What a shared input alone determines is kept once, not once an item.
#[test]
fn residuals_that_all_items_share_are_not_stacked() {
    let case = cases().into_iter().find(|c| c.name == "map with shared work").expect("that case");
    let g = optimise(ad::vjp(&case.f, &case.wrt));
    let stacked = |n: &mslc::ir::Node| n.types.iter().filter(|t| t.shape == [3, 2, 2]).count();
    // The one array of matrices by item is the cotangent of A, before it is summed.
    assert_eq!(g.nodes.iter().map(stacked).max(), Some(1), "{}", mslc::ir::text::print(&g));
}
