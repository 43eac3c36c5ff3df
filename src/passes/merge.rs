//! Maps over equally many items, of which neither needs the other, become one: what their bodies share is then computed once.
//!
//! A residual and its Jacobian at the same point solve the same nested problems; merged, they solve them once.

use super::batch::runs_item_by_item;
use crate::ir::{Binary, Builder, Func, Op, Value};
use std::sync::Arc;

/// Merges the maps that run item by item; others gain nothing. Values stay the same to the bit.
pub fn merge_maps(f: &Func) -> Func {
    let heavy = |op: &Op| matches!(op, Op::Map { body, .. } if runs_item_by_item(body));
    // The number of such maps on the longest way to a node. Maps of one rank do not need each other.
    let mut rank = vec![0usize; f.nodes.len()];
    for (v, node) in f.values() {
        let above = node.args.iter().map(|a| rank[a.index()]).max().unwrap_or(0);
        rank[v.index()] = above + heavy(&node.op) as usize;
    }
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut new: Vec<Vec<Value>> = vec![vec![]; f.nodes.len()];
    for level in 0..=rank.iter().copied().max().unwrap_or(0) {
        let of_level = |v: &Value| rank[v.index()] == level;
        let all: Vec<Value> = f.values().map(|(v, _)| v).filter(of_level).collect();
        let (maps, rest): (Vec<Value>, Vec<Value>) = all.into_iter().partition(|v| heavy(&f.node(*v).op));
        let mut left = maps;
        while let Some(&first) = left.first() {
            let (group, others): (Vec<Value>, Vec<Value>) =
                left.into_iter().partition(|v| items(f, *v) == items(f, first));
            merge(&mut b, f, &group, &mut new);
            left = others;
        }
        for v in rest {
            let node = f.node(v);
            new[v.index()] = match &node.op {
                Op::Input(k) => vec![inputs[*k]],
                Op::Get(k) => vec![new[node.args[0].index()][*k]],
                op => {
                    let args: Vec<Value> = node.args.iter().map(|a| new[a.index()][0]).collect();
                    b.ops(op.clone(), &args)
                }
            };
        }
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()][0]).collect())
}

fn items(f: &Func, v: Value) -> usize {
    match &f.node(v).op {
        Op::Map { n, .. } => *n,
        _ => unreachable!("compiler bug: only maps are merged"),
    }
}

/// One map in place of the maps in `group`, whose results go to `new`.
fn merge(b: &mut Builder, f: &Func, group: &[Value], new: &mut [Vec<Value>]) {
    let mut body = Builder::new("merged");
    let (mut args, mut mapped, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut outputs, mut counts) = (Vec::new(), Vec::new());
    for &v in group {
        let node = f.node(v);
        let Op::Map { body: own, mapped: split, .. } = &node.op else {
            unreachable!("compiler bug: only maps are merged")
        };
        let own_inputs: Vec<Value> = (0..node.args.len())
            .map(|k| {
                let arg = new[node.args[k].index()][0];
                let known = args.iter().zip(&mapped).position(|(a, s)| (*a, *s) == (arg, split[k]));
                known.map(|i| inputs[i]).unwrap_or_else(|| {
                    args.push(arg);
                    mapped.push(split[k]);
                    inputs.push(body.input(own.inputs[k].clone()));
                    inputs[inputs.len() - 1]
                })
            })
            .collect();
        outputs.extend(inline(&mut body, own, &own_inputs));
        counts.push(own.outputs.len());
    }
    let mut results = b.map(Arc::new(body.finish(outputs)), items(f, group[0]), mapped, &args).into_iter();
    for (v, count) in group.iter().zip(counts) {
        new[v.index()] = results.by_ref().take(count).collect();
    }
}

/// As [`Builder::inline`], but sums and products have their operands in one order, whatever the numbering of the functions they
/// come from: then equal ones are one node.
fn inline(b: &mut Builder, f: &Func, inputs: &[Value]) -> Vec<Value> {
    let mut new: Vec<Value> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let mut args: Vec<Value> = node.args.iter().map(|a| new[a.index()]).collect();
        if matches!(node.op, Op::Binary(Binary::Add | Binary::Mul)) {
            args.sort_unstable();
        }
        new.push(match &node.op {
            Op::Input(k) => inputs[*k],
            op => b.op(op.clone(), &args),
        });
    }
    f.outputs.iter().map(|v| new[v.index()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{SolveSpec, Tensor, Type};

    /// `u³ = p`.
    fn cube_root() -> Op {
        let mut b = Builder::new("cube");
        let (u, p) = (b.input(Type::f64([1])), b.input(Type::f64([1])));
        let square = b.mul(u, u);
        let cube = b.mul(square, u);
        let r = b.sub(cube, p);
        Op::Solve { residual: Arc::new(b.finish(vec![r])), spec: Arc::new(SolveSpec::default()) }
    }

    /// Items ↦ scale · ∛item.
    fn body(scale: f64) -> Arc<Func> {
        let mut b = Builder::new("body");
        let p = b.input(Type::f64([1]));
        let guess = b.full(&Type::f64([1]), 1.0);
        let u = b.op(cube_root(), &[guess, p]);
        let out = b.scale(u, scale);
        Arc::new(b.finish(vec![out]))
    }

    #[test]
    fn equal_solves_of_two_maps_are_one_and_chains_stay_apart() {
        let mut b = Builder::new("f");
        let x = b.input(Type::f64([3, 1]));
        let two = b.map(body(2.0), 3, vec![true], &[x])[0];
        let three = b.map(body(3.0), 3, vec![true], &[x])[0];
        let after = b.map(body(5.0), 3, vec![true], &[two])[0];
        let sum = b.add(two, three);
        let f = b.finish(vec![sum, after]);
        let g = merge_maps(&f);
        let maps: Vec<&Arc<Func>> =
            g.nodes.iter().filter_map(|n| if let Op::Map { body, .. } = &n.op { Some(body) } else { None }).collect();
        let solves = |f: &Func| f.nodes.iter().filter(|n| matches!(n.op, Op::Solve { .. })).count();
        assert_eq!(maps.iter().map(|m| solves(m)).collect::<Vec<_>>(), [1, 1]);
        let x = Tensor::f64([3, 1], vec![1.0, 8.0, 27.0]);
        assert_eq!(eval(&f, std::slice::from_ref(&x)).unwrap(), eval(&g, std::slice::from_ref(&x)).unwrap());
    }
}
