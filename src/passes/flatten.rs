//! A `Map` of a body with large matrices (a net) becomes whole-array operations on all items.

use super::batch::{batch, runs_item_by_item};
use crate::ir::{Builder, Func, Op, Value, build};
use std::sync::Arc;

/// Products with at least so many shared elements are worth a matrix product over the items.
const LARGE: usize = 512;

/// Batches the maps at any depth for whose `(body, n)` `choose` says so, if nothing in them has to run item by item.
pub fn flatten(f: &Func, choose: &dyn Fn(&Func, usize) -> bool) -> Func {
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut new: Vec<Vec<Value>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let results = match &node.op {
            Op::Input(k) => vec![inputs[*k]],
            Op::Get(k) => vec![new[node.args[0].index()][*k]],
            op => {
                let args: Vec<Value> = node.args.iter().map(|a| new[a.index()][0]).collect();
                match build::with_bodies(op, &mut |body| Arc::new(flatten(body, choose))) {
                    Op::Map { body, n, mapped } if !runs_item_by_item(&body) && choose(&body, n) => {
                        b.inline(&batch(&body, &mapped, n), &args)
                    }
                    op => b.ops(op, &args),
                }
            }
        };
        new.push(results);
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()][0]).collect())
}

/// Batches the maps of nets.
pub fn flatten_nets(f: &Func) -> Func {
    flatten(f, &|body, _| has_large_product(body))
}

/// A product with a large operand, or (the gradient of one) a large outer product.
fn has_large_product(f: &Func) -> bool {
    f.nodes.iter().any(|node| match &node.op {
        Op::Dot(_) => {
            let types = node.args.iter().map(|&a| f.ty(a)).chain(&node.types);
            types.into_iter().any(|t| t.rank() >= 2 && t.len() >= LARGE)
        }
        op => Func::bodies(op).into_iter().any(|body| has_large_product(body)),
    })
}
