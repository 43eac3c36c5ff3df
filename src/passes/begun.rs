//! Sums that a loop begins at zero, and that are added to something known before it, begin there: a loop over segments then
//! carries its sums through the loops inside, and neither zeros nor a further addition is made.

use crate::ir::{Binary, Builder, Func, Op, Value, build};
use std::sync::Arc;

/// At every depth. Sums are then taken in another, fixed order.
pub fn begun(f: &Func) -> Func {
    let found = sums(f);
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut new: Vec<Vec<Value>> = Vec::with_capacity(f.nodes.len());
    for (v, node) in f.values() {
        new.push(match &node.op {
            Op::Input(k) => vec![inputs[*k]],
            Op::Get(k) => vec![new[node.args[0].index()][*k]],
            _ if let Some(sum) = found.iter().find(|s| s.sum == v) => vec![new[sum.scan.index()][sum.carry]],
            op => {
                let mut args: Vec<Value> = node.args.iter().map(|a| new[a.index()][0]).collect();
                for sum in found.iter().filter(|s| s.scan == v) {
                    args[sum.carry] = new[sum.from.index()][0];
                }
                let op = build::with_bodies(op, &mut |body| Arc::new(begun(body)));
                b.ops(op, &args)
            }
        });
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()][0]).collect())
}

/// `sum = from + (what a loop adds up from zero)`
struct Sum {
    sum: Value,
    from: Value,
    scan: Value,
    carry: usize,
}

fn sums(f: &Func) -> Vec<Sum> {
    let users = |of: Value| {
        let inside = f.nodes.iter().flat_map(|n| &n.args).filter(|a| **a == of).count();
        inside + f.outputs.iter().filter(|v| **v == of).count()
    };
    let mut found: Vec<Sum> = vec![];
    for (v, node) in f.values() {
        let (Op::Binary(Binary::Add), &[x, y]) = (&node.op, &node.args[..]) else { continue };
        for (from, got) in [(x, y), (y, x)] {
            let Op::Get(carry) = f.node(got).op else { continue };
            let scan = f.node(got).args[0];
            let loop_of = f.node(scan);
            let Op::Scan { body, carry: count, .. } = &loop_of.op else { continue };
            let known = from.index() < scan.index() && users(got) == 1;
            let new = !found.iter().any(|s| (s.scan, s.carry) == (scan, carry));
            if known && new && carry < *count && f.splat(loop_of.args[carry]) == Some(0.0) && only_grows(body, carry) {
                found.push(Sum { sum: v, from, scan, carry });
                break;
            }
        }
    }
    found
}

/// Whether a carried value is read nowhere but where something is added to it, or where a loop inside does the same.
fn only_grows(body: &Func, k: usize) -> bool {
    let Some(own) = body.values().find(|(_, n)| matches!(n.op, Op::Input(j) if j == k)).map(|(v, _)| v) else {
        return false;
    };
    let users = |of: Value| body.nodes.iter().filter(|n| n.args.contains(&of)).count();
    let mut v = body.outputs[k];
    if body.outputs.iter().filter(|o| **o == v).count() > 1 {
        return false;
    }
    // Back from what is carried on, through additions.
    loop {
        let node = body.node(v);
        let next = match (&node.op, &node.args[..]) {
            (Op::Binary(Binary::Add), &[x, y]) if x != y => match (leads(body, x, own), leads(body, y, own)) {
                (true, false) => x,
                (false, true) => y,
                _ => return false,
            },
            (Op::Binary(Binary::Sub), &[x, y]) if leads(body, x, own) && !leads(body, y, own) => x,
            (Op::Get(j), &[scan]) => match &body.node(scan).op {
                Op::Scan { body: inner, carry, .. } if *j < *carry && only_grows(inner, *j) => {
                    let args = &body.node(scan).args;
                    let others = (0..args.len()).any(|i| i != *j && leads(body, args[i], own));
                    if others {
                        return false;
                    }
                    args[*j]
                }
                _ => return false,
            },
            _ => return false,
        };
        if users(next) != 1 || (next != own && body.outputs.contains(&next)) {
            return false;
        }
        if next == own {
            return !body.outputs.contains(&own);
        }
        v = next;
    }
}

/// Whether a value depends on another.
fn leads(f: &Func, v: Value, from: Value) -> bool {
    let mut seen = vec![false; f.nodes.len()];
    let mut stack = vec![v];
    while let Some(v) = stack.pop() {
        if v == from {
            return true;
        }
        if v > from && !std::mem::replace(&mut seen[v.index()], true) {
            stack.extend(&f.node(v).args);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Tensor, Type, verify::verify};

    /// Three segments of four steps of `(x, s) → (2x, s + x)`.
    #[test]
    fn a_sum_goes_through_the_segments() {
        let mut step = Builder::new("step");
        let (x, s) = (step.input(Type::f64([2])), step.input(Type::f64([2])));
        let (next, sum) = (step.add(x, x), step.add(s, x));
        let step = Arc::new(step.finish(vec![next, sum]));
        let mut segment = Builder::new("segment");
        let (x, s) = (segment.input(Type::f64([2])), segment.input(Type::f64([2])));
        let zero = segment.zeros(&Type::f64([2]));
        let out = segment.ops(Op::Scan { body: step, length: 4, carry: 2, xs: 0, reverse: false }, &[x, zero]);
        let sum = segment.add(s, out[1]);
        let segment = Arc::new(segment.finish(vec![out[0], sum]));
        let mut b = Builder::new("run");
        let (x, from) = (b.input(Type::f64([2])), b.input(Type::f64([2])));
        let zero = b.zeros(&Type::f64([2]));
        let out = b.ops(Op::Scan { body: segment, length: 3, carry: 2, xs: 0, reverse: false }, &[x, zero]);
        let sum = b.add(from, out[1]);
        let f = b.finish(vec![out[0], sum]);
        let g = begun(&f);
        verify(&g).expect("valid");
        let additions = |g: &Func| g.nodes.iter().filter(|n| matches!(n.op, Op::Binary(_))).count();
        let body = |g: &Func| g.nodes.iter().flat_map(|n| Func::bodies(&n.op)).map(|b| additions(b)).sum::<usize>();
        assert_eq!((additions(&g), body(&g)), (0, 0), "{g:?}");
        let inputs = [Tensor::f64([2], vec![1.0, 3.0]), Tensor::f64([2], vec![0.5, 0.25])];
        let (x, y) = (eval(&f, &inputs).unwrap(), eval(&g, &inputs).unwrap());
        x.iter().zip(&y).for_each(|(x, y)| assert_eq!(x.to_f64(), y.to_f64()));
    }
}
