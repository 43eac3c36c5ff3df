//! Removes results of structured operations that nobody reads, arguments that their bodies do not use, and results that
//! only repeat an argument.

use crate::ir::{Builder, Func, Op, Value, build};
use std::sync::Arc;

/// At every depth.
pub fn prune(f: &Func) -> Func {
    let mut read: Vec<Vec<bool>> = f.nodes.iter().map(|n| vec![false; n.types.len()]).collect();
    for node in &f.nodes {
        if let Op::Get(k) = node.op {
            read[node.args[0].index()][k] = true;
        }
    }
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    // Of each node its results; `None` for those that nobody reads.
    let mut new: Vec<Vec<Option<Value>>> = Vec::with_capacity(f.nodes.len());
    for (v, node) in f.values() {
        let args = || node.args.iter().map(|a| new[a.index()][0].expect("compiler bug: a pruned result is read"));
        let results = match &node.op {
            Op::Input(k) => vec![Some(inputs[*k])],
            Op::Get(k) => vec![new[node.args[0].index()][*k]],
            op if op.has_many_results() => structured(&mut b, op, &args().collect::<Vec<_>>(), &read[v.index()]),
            op => {
                let args: Vec<Value> = args().collect();
                let op = build::with_bodies(op, &mut |body| Arc::new(prune(body)));
                vec![Some(b.op(op, &args))]
            }
        };
        new.push(results);
    }
    let outputs = f.outputs.iter().map(|v| new[v.index()][0].expect("compiler bug: a pruned output")).collect();
    b.finish(outputs)
}

fn structured(b: &mut Builder, op: &Op, args: &[Value], read: &[bool]) -> Vec<Option<Value>> {
    let mut out = vec![None; read.len()];
    match op {
        Op::Map { body, n, mapped } => {
            let mut keep = vec![];
            for k in (0..read.len()).filter(|&k| read[k]) {
                // A result that is an argument: each item's own, or the shared one repeated.
                out[k] = match &body.node(body.outputs[k]).op {
                    Op::Input(i) if mapped[*i] => Some(args[*i]),
                    Op::Input(i) => {
                        let shape = [&[*n], &b.ty(args[*i]).shape[..]].concat();
                        Some(b.broadcast_to(args[*i], &shape))
                    }
                    _ => {
                        keep.push(k);
                        None
                    }
                };
            }
            if keep.is_empty() {
                return out;
            }
            let body = prune(&with_outputs(body, &keep));
            let used = used_inputs(&body);
            let op = Op::Map { n: *n, mapped: select(mapped, &used), body: Arc::new(with_inputs(&body, &used)) };
            let results = b.ops(op, &select(args, &used));
            keep.iter().zip(results).for_each(|(&k, v)| out[k] = Some(v));
        }
        Op::Scan { body, length, carry, xs, reverse } => {
            let keep_carry = needed_carry(body, *carry, read);
            let keep: Vec<usize> =
                (0..read.len()).filter(|&k| if k < *carry { keep_carry[k] } else { read[k] }).collect();
            if keep.is_empty() {
                return out;
            }
            let body = prune(&with_outputs(body, &keep));
            let mut used = used_inputs(&body);
            used.retain(|&k| k >= *carry || keep_carry[k]);
            let mut all: Vec<usize> = (0..*carry).filter(|&k| keep_carry[k]).collect();
            all.extend(used.iter().filter(|&&k| k >= *carry));
            let new_carry = all.iter().filter(|&&k| k < *carry).count();
            let new_xs = all.iter().filter(|&&k| (*carry..carry + xs).contains(&k)).count();
            let body = Arc::new(with_inputs(&body, &all));
            let op = Op::Scan { body, length: *length, carry: new_carry, xs: new_xs, reverse: *reverse };
            let results = b.ops(op, &select(args, &all));
            keep.iter().zip(results).for_each(|(&k, v)| out[k] = Some(v));
        }
        Op::Cond { then, otherwise } => {
            let keep: Vec<usize> = (0..read.len()).filter(|&k| read[k]).collect();
            if keep.is_empty() {
                return out;
            }
            let [then, otherwise] = [then, otherwise].map(|f| prune(&with_outputs(f, &keep)));
            let used: Vec<usize> = (0..then.inputs.len())
                .filter(|k| used_inputs(&then).contains(k) || used_inputs(&otherwise).contains(k))
                .collect();
            let [then, otherwise] = [then, otherwise].map(|f| Arc::new(with_inputs(&f, &used)));
            let args = [&args[..1], &select(&args[1..], &used)].concat();
            let results = b.ops(Op::Cond { then, otherwise }, &args);
            keep.iter().zip(results).for_each(|(&k, v)| out[k] = Some(v));
        }
        // Which arguments a memo compares is its meaning: they stay.
        // Slopes are of all results of the body, which then all stay.
        Op::Memo { body, spec } if !spec.slopes.is_empty() => {
            if !read.contains(&true) {
                return out;
            }
            let results = b.ops(Op::Memo { body: Arc::new(prune(body)), spec: spec.clone() }, args);
            results.into_iter().enumerate().for_each(|(k, v)| out[k] = Some(v));
        }
        Op::Memo { body, spec } => {
            let keep: Vec<usize> = (0..read.len()).filter(|&k| read[k]).collect();
            if keep.is_empty() {
                return out;
            }
            let op = Op::Memo { body: Arc::new(prune(&with_outputs(body, &keep))), spec: spec.clone() };
            let results = b.ops(op, args);
            keep.iter().zip(results).for_each(|(&k, v)| out[k] = Some(v));
        }
        _ => unreachable!("compiler bug: {op:?} has one result"),
    }
    out
}

/// The carries that reach a result that is read.
fn needed_carry(body: &Func, carry: usize, read: &[bool]) -> Vec<bool> {
    let mut needed = read[..carry].to_vec();
    loop {
        let keep: Vec<usize> = (0..read.len()).filter(|&k| if k < carry { needed[k] } else { read[k] }).collect();
        let used = used_inputs(&with_outputs(body, &keep));
        let grown: Vec<usize> = used.into_iter().filter(|&k| k < carry && !needed[k]).collect();
        if grown.is_empty() {
            return needed;
        }
        grown.iter().for_each(|&k| needed[k] = true);
    }
}

fn with_outputs(f: &Func, keep: &[usize]) -> Func {
    build::drop_dead(Func { outputs: keep.iter().map(|&k| f.outputs[k]).collect(), ..f.clone() })
}

/// Inputs that some node or output reads.
fn used_inputs(f: &Func) -> Vec<usize> {
    let mut used = vec![false; f.nodes.len()];
    f.nodes.iter().flat_map(|n| &n.args).chain(&f.outputs).for_each(|v| used[v.index()] = true);
    let mut inputs: Vec<usize> = f
        .values()
        .filter(|(v, _)| used[v.index()])
        .filter_map(|(_, n)| if let Op::Input(k) = n.op { Some(k) } else { None })
        .collect();
    inputs.sort_unstable();
    inputs
}

/// With the listed inputs only; no other is read.
fn with_inputs(f: &Func, keep: &[usize]) -> Func {
    let mut b = Builder::new(f.name.clone());
    let mut args = vec![Value(u32::MAX); f.inputs.len()];
    keep.iter().for_each(|&k| args[k] = b.input(f.inputs[k].clone()));
    let outputs = b.inline(f, &args);
    b.finish(outputs)
}

fn select<T: Clone>(items: &[T], keep: &[usize]) -> Vec<T> {
    keep.iter().map(|&k| items[k].clone()).collect()
}
