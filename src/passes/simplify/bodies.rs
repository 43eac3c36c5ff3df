//! Rules for structured operations: single items and known branches are inlined, and what is the same for all items or
//! steps is passed as such (constants inside the body).

use super::simplify;
use crate::ir::{Builder, Func, Op, Value};
use std::sync::Arc;

/// An operation, whose bodies are simple already, in its simplest form; all its results.
pub fn put_all(b: &mut Builder, op: Op, args: &[Value]) -> Vec<Value> {
    match op {
        Op::Map { body, n: 1, mapped } => {
            let item = |(&v, &m): (&Value, &bool)| if m { without_axis(b, v) } else { v };
            let args: Vec<Value> = args.iter().zip(&mapped).map(item).collect();
            let results = b.inline(&body, &args);
            results.into_iter().map(|v| with_axis(b, v)).collect()
        }
        Op::Map { body, n, mapped } => {
            let (args, same) = shared(b, args, &mapped);
            let mapped: Vec<bool> = mapped.iter().zip(same).map(|(m, s)| *m && !s).collect();
            let known: Vec<Option<f64>> =
                args.iter().zip(&mapped).map(|(&v, &m)| if m { None } else { b.splat(v) }).collect();
            let op = Op::Map { body: with_constants(&body, &known), n, mapped: left(&mapped, &known) };
            b.ops(op, &left(&args, &known))
        }
        Op::Scan { body, length: 1, carry, xs, .. } => {
            let item = |(k, &v)| if (carry..carry + xs).contains(&k) { without_axis(b, v) } else { v };
            let args: Vec<Value> = args.iter().enumerate().map(item).collect();
            let results = b.inline(&body, &args);
            results.into_iter().enumerate().map(|(k, v)| if k < carry { v } else { with_axis(b, v) }).collect()
        }
        Op::Scan { body, length, carry, xs, reverse } => {
            let stepwise: Vec<bool> = (0..args.len()).map(|k| (carry..carry + xs).contains(&k)).collect();
            let (args, mut same) = shared(b, args, &stepwise);
            // What loops back carry unchanged, too; those forward may be followed by what they carry.
            let stays =
                |k: usize| reverse && k < carry && matches!(body.node(body.outputs[k]).op, Op::Input(i) if i == k);
            let staying: Vec<bool> = (0..body.outputs.len()).map(stays).collect();
            (0..carry).for_each(|k| same[k] |= staying[k]);
            let body = match staying.contains(&true) {
                true => {
                    let outputs = body.outputs.iter().zip(&staying).filter(|(_, stays)| !**stays).map(|(v, _)| *v);
                    Arc::new(Func { outputs: outputs.collect(), ..(*body).clone() })
                }
                false => body,
            };
            // What is the same in all steps moves behind the xs.
            let (mut order, moved): (Vec<usize>, Vec<usize>) = (0..carry + xs).partition(|&k| !same[k]);
            let shared_from = carry + xs;
            let before = args.clone();
            let carry = carry - staying.iter().filter(|s| **s).count();
            let xs = order.len() - carry;
            order.extend(moved.into_iter().chain(shared_from..args.len()));
            let body = reordered(&body, &order);
            let args: Vec<Value> = order.iter().map(|&k| args[k]).collect();
            let known: Vec<Option<f64>> =
                args.iter().enumerate().map(|(k, &v)| if k < carry + xs { None } else { b.splat(v) }).collect();
            let op = Op::Scan { body: with_constants(&body, &known), length, carry, xs, reverse };
            let mut results =
                if body.outputs.is_empty() { vec![] } else { b.ops(op, &left(&args, &known)) }.into_iter();
            let result = |(k, stays): (usize, &bool)| if *stays { Some(before[k]) } else { results.next() };
            staying.iter().enumerate().filter_map(result).collect()
        }
        Op::Cond { then, otherwise } => match b.splat(args[0]) {
            Some(mask) => b.inline(if mask != 0.0 { &then } else { &otherwise }, &args[1..]),
            None => {
                let known: Vec<Option<f64>> = args[1..].iter().map(|&v| b.splat(v)).collect();
                let op =
                    Op::Cond { then: with_constants(&then, &known), otherwise: with_constants(&otherwise, &known) };
                let args = [&args[..1], &left(&args[1..], &known)].concat();
                b.ops(op, &args)
            }
        },
        op if op.has_many_results() => b.ops(op, args),
        op => vec![super::put(b, op, args)],
    }
}

fn with_axis(b: &mut Builder, v: Value) -> Value {
    let shape = [&[1], &b.ty(v).shape[..]].concat();
    b.reshape(v, &shape)
}

fn without_axis(b: &mut Builder, v: Value) -> Value {
    let shape = b.ty(v).shape[1..].to_vec();
    b.reshape(v, &shape)
}

/// Arguments that are split along their first axis, but repeat one value there, become that value (and are marked).
fn shared(b: &mut Builder, args: &[Value], split: &[bool]) -> (Vec<Value>, Vec<bool>) {
    let one = |(&v, &split): (&Value, &bool)| {
        let node = b.node(v).clone();
        match node.op {
            Op::Broadcast { shape, axes } if split && axes.first() != Some(&0) => {
                let op = Op::Broadcast { shape: shape[1..].to_vec(), axes: axes.iter().map(|a| a - 1).collect() };
                (b.op(op, &node.args), true)
            }
            _ => (v, false),
        }
    };
    args.iter().zip(split).map(one).unzip()
}

/// The body with constants for the inputs that are known, which it no longer takes.
fn with_constants(body: &Arc<Func>, known: &[Option<f64>]) -> Arc<Func> {
    if known.iter().all(|k| k.is_none()) {
        return body.clone();
    }
    let mut b = Builder::new(body.name.clone());
    let input = |(ty, known): (_, &Option<f64>)| match known {
        Some(x) => b.full(ty, *x),
        None => b.input(ty.clone()),
    };
    let args: Vec<Value> = body.inputs.iter().zip(known).map(input).collect();
    let outputs = b.inline(body, &args);
    Arc::new(simplify(&b.finish(outputs)))
}

fn left<T: Clone>(items: &[T], known: &[Option<f64>]) -> Vec<T> {
    items.iter().zip(known).filter(|(_, k)| k.is_none()).map(|(x, _)| x.clone()).collect()
}

/// The body whose i-th input is the old `order[i]`-th.
fn reordered(body: &Arc<Func>, order: &[usize]) -> Arc<Func> {
    if order.iter().enumerate().all(|(i, &k)| i == k) {
        return body.clone();
    }
    let mut b = Builder::new(body.name.clone());
    let mut args = vec![Value(u32::MAX); order.len()];
    order.iter().for_each(|&k| args[k] = b.input(body.inputs[k].clone()));
    let outputs = b.inline(body, &args);
    Arc::new(b.finish(outputs))
}
