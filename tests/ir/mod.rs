//! Passes keep what a function computes, and do what their golden files show.

mod golden;

use crate::gradients::cases::{Case, cases, func};
use crate::gradients::check::noise;
use mslc::ad;
use mslc::ir::eval::{eval, item};
use mslc::ir::text::print;
use mslc::ir::verify::verify;
use mslc::ir::{Builder, DType, Func, Op, Tensor, Type, Unary, Value};
use mslc::passes::{PIPELINE, batch, optimise};
use std::sync::Arc;

/// Each case with its derivatives, and inputs for them.
fn functions() -> Vec<(String, Func, Vec<Tensor>)> {
    let mut all = vec![];
    for Case { name, f, inputs, wrt } in cases() {
        let further = |g: &Func| -> Vec<Tensor> {
            let types = &g.inputs[inputs.len()..];
            types.iter().enumerate().map(|(k, t)| noise(&t.shape, 9 + k as u64)).collect()
        };
        for (kind, g) in [("jvp of", ad::jvp(&f, &wrt)), ("vjp of", ad::vjp(&f, &wrt))] {
            let inputs = [&inputs[..], &further(&g)].concat();
            all.push((format!("{kind} {name}"), ad::complete(&g), inputs));
        }
        all.push((name, ad::complete(&f), inputs));
    }
    all
}

fn close(name: &str, a: &[Tensor], b: &[Tensor], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{name}");
    for (k, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a.ty, b.ty, "{name}: output {k}");
        let (a, b) = (a.to_f64(), b.to_f64());
        let scale = a.iter().fold(1e-3f64, |m, x| m.max(x.abs()));
        for (i, (x, y)) in a.iter().zip(&b).enumerate() {
            assert!((x - y).abs() <= tolerance * scale, "{name}: output {k}[{i}]: {x} became {y}");
        }
    }
}

#[test]
fn each_pass_keeps_the_values() {
    for (name, f, inputs) in functions() {
        let before = eval(&f, &inputs).unwrap();
        for pass in PIPELINE {
            let g = (pass.run)(&f);
            let name = format!("{} on {name}", pass.name);
            verify(&g).unwrap_or_else(|e| panic!("{name}: {e}"));
            close(&name, &before, &eval(&g, &inputs).unwrap(), 1e-12);
        }
        let g = optimise(f);
        close(&format!("pipeline on {name}"), &before, &eval(&g, &inputs).unwrap(), 1e-12);
    }
}

#[test]
fn passes_do_not_grow_functions_and_settle() {
    fn size(f: &Func) -> usize {
        f.nodes.iter().map(|n| 1 + Func::bodies(&n.op).into_iter().map(|b| size(b)).sum::<usize>()).sum()
    }
    for (name, f, _) in functions() {
        let once = optimise(f.clone());
        // A minus that moves outwards may leave its origin behind, for other readers.
        assert!(size(&once) <= size(&f) + 3, "{name}: {} nodes became {}", size(&f), size(&once));
        let twice = optimise(once.clone());
        assert!(size(&twice) <= size(&once), "{name}: a second run grows it");
    }
}

/// Every function, with every pattern of mapped and shared inputs (at most four inputs are told apart).
#[test]
fn batch_is_map() {
    let n = 3;
    for (name, f, inputs) in functions() {
        let k = inputs.len().min(4);
        for pattern in 0..1u32 << k {
            let mapped: Vec<bool> = (0..inputs.len()).map(|i| pattern >> (i % 4) & 1 == 1).collect();
            // The items differ by up to a tenth from the case's inputs.
            let args: Vec<Tensor> = inputs
                .iter()
                .zip(&mapped)
                .enumerate()
                .map(|(i, (t, &m))| if m { near(t, n, i) } else { t.clone() })
                .collect();
            let mapped_f = {
                let mut b = Builder::new("map");
                let args: Vec<Value> = args.iter().map(|t| b.input(t.ty.clone())).collect();
                let out = b.map(Arc::new(f.clone()), n, mapped.clone(), &args);
                b.finish(out)
            };
            let g = batch(&f, &mapped, n);
            let name = format!("{name}, mapped {mapped:?}");
            verify(&g).unwrap_or_else(|e| panic!("{name}: {e}"));
            close(&name, &eval(&mapped_f, &args).unwrap(), &eval(&g, &args).unwrap(), 1e-13);
        }
    }
}

fn near(t: &Tensor, n: usize, seed: usize) -> Tensor {
    assert_eq!(t.ty.dtype, DType::F64, "cases have f64 inputs");
    let shape = [&[n], &t.ty.shape[..]].concat();
    let shift = noise(&shape, 40 + seed as u64).to_f64();
    let x = t.to_f64();
    Tensor::f64(shape, shift.iter().enumerate().map(|(i, s)| x[i % x.len()] * (1.0 + 0.1 * s)).collect::<Vec<_>>())
}

/// The gradient of a net's loss over a batch, written item by item, runs as matrix products: nothing holds a matrix per item.
#[test]
fn a_training_gradient_is_matrix_products() {
    let (n, k, m) = (64, 32, 32);
    let item = func("net", &[Type::f64([m, k]), Type::f64([m]), Type::f64([m]), Type::f64([k])], |b, x| {
        let y = b.matmul(x[0], x[3]);
        let y = b.add(y, x[1]);
        let t = b.unary(Unary::Tanh, y);
        let y = b.matmul(x[2], t);
        vec![b.mul(y, y)]
    });
    let types = [Type::f64([m, k]), Type::f64([m]), Type::f64([m]), Type::f64([n, k])];
    let loss = func("loss", &types, |b, x| {
        let out = b.map(Arc::new(item), n, vec![false, false, false, true], x)[0];
        vec![b.sum_all(out)]
    });
    let plain = ad::grad(&loss, &[0, 1, 2]);
    let fast = optimise(plain.clone());
    let inputs: Vec<Tensor> = types.iter().enumerate().map(|(i, t)| noise(&t.shape, i as u64)).collect();
    close("net", &eval(&plain, &inputs).unwrap(), &eval(&fast, &inputs).unwrap(), 1e-12);
    let largest = fast.nodes.iter().map(|node| node.types[0].len()).max().unwrap();
    assert!(fast.nodes.iter().all(|node| !matches!(node.op, Op::Map { .. })), "{}", print(&fast));
    assert_eq!(largest, n * k.max(m), "{}", print(&fast));
}

#[test]
fn items_are_views_along_the_first_axis() {
    let t = Tensor::f64([2, 2], [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(item(&t, 1), Tensor::f64([2], [3.0, 4.0]));
}
