//! Vectorisation: from a function of one item to the function of n items along a new first axis. [Frostig, Johnson & Leary,
//! Compiling machine learning programs via high-level tracing, SysML 2018]
//!
//! What is the same for all items stays unbatched and is computed once; a product with a shared matrix becomes one
//! matrix product. `Solve`, `LinearSolve`, `Memo` and a `Cond` that items decide for themselves run item by item, in a `Map`.

use crate::ir::{Binary, Builder, Compare, DType, Dot, Func, Op, Type, Value};
use std::sync::Arc;

/// `f` over `n` items: inputs marked in `mapped` have a leading axis of n, the others are shared. All outputs have a leading
/// axis of n. Gives what `Map` of `f` gives.
pub fn batch(f: &Func, mapped: &[bool], n: usize) -> Func {
    let all = vec![true; f.outputs.len()];
    batch_some(f, mapped, n, &all).0
}

/// Like [`batch`], but an output that is the same for all items has the leading axis only if `forced`; the second result
/// tells which outputs have it.
fn batch_some(f: &Func, mapped: &[bool], n: usize, forced: &[bool]) -> (Func, Vec<bool>) {
    let mut b = Builder::new(f.name.clone());
    let args: Vec<Item> = f
        .inputs
        .iter()
        .zip(mapped)
        .map(|(t, &batched)| {
            let ty = if batched { leading(t, n) } else { t.clone() };
            Item { v: b.input(ty), batched }
        })
        .collect();
    let outputs = batch_into(&mut b, f, n, &args);
    let flags: Vec<bool> = outputs.iter().zip(forced).map(|(o, f)| o.batched || *f).collect();
    let values = outputs.iter().zip(&flags).map(|(o, &f)| if f { all_items(&mut b, n, *o) } else { o.v }).collect();
    (b.finish(values), flags)
}

/// A value of one item, or (`batched`) those of all items along a first axis.
#[derive(Clone, Copy)]
struct Item {
    v: Value,
    batched: bool,
}

fn batch_into(b: &mut Builder, f: &Func, n: usize, args: &[Item]) -> Vec<Item> {
    let mut items: Vec<Vec<Item>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let results = match &node.op {
            Op::Input(k) => vec![args[*k]],
            Op::Get(k) => vec![items[node.args[0].index()][*k]],
            op => {
                let a: Vec<Item> = node.args.iter().map(|a| items[a.index()][0]).collect();
                if a.iter().any(|a| a.batched) {
                    let types: Vec<&Type> = node.args.iter().map(|&a| f.ty(a)).collect();
                    push(b, op, n, &a, &types)
                } else {
                    let a: Vec<Value> = a.iter().map(|a| a.v).collect();
                    b.ops(op.clone(), &a).into_iter().map(|v| Item { v, batched: false }).collect()
                }
            }
        };
        items.push(results);
    }
    f.outputs.iter().map(|v| items[v.index()][0]).collect()
}

/// One operation of which some argument is batched. `types` are those of one item.
fn push(b: &mut Builder, op: &Op, n: usize, a: &[Item], types: &[&Type]) -> Vec<Item> {
    let one = |v: Value| vec![Item { v, batched: true }];
    let shift = |axes: &[usize]| axes.iter().map(|a| a + 1).collect::<Vec<_>>();
    let first = |axes: &[usize], value: usize| [&[value], axes].concat();
    match op {
        Op::Input(_) | Op::Get(_) | Op::Const(_) | Op::Iota { .. } => unreachable!("compiler bug: no batched argument"),
        Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Cast(_) => {
            let args: Vec<Value> = a.iter().map(|a| all_items(b, n, *a)).collect();
            one(b.op(op.clone(), &args))
        }
        Op::Reshape(shape) => one(b.reshape(a[0].v, &first(shape, n))),
        Op::Transpose(perm) => one(b.transpose(a[0].v, &first(&shift(perm), 0))),
        Op::Broadcast { shape, axes } => {
            one(b.op(Op::Broadcast { shape: first(shape, n), axes: first(&shift(axes), 0) }, &[a[0].v]))
        }
        Op::Slice { start, end, stride } => {
            let op = Op::Slice { start: first(start, 0), end: first(end, n), stride: first(stride, 1) };
            one(b.op(op, &[a[0].v]))
        }
        Op::Pad { low, high, interior } => {
            let op = Op::Pad { low: first(low, 0), high: first(high, 0), interior: first(interior, 0) };
            one(b.op(op, &[a[0].v]))
        }
        Op::Concat(axis) => {
            let parts: Vec<Value> = a.iter().map(|a| all_items(b, n, *a)).collect();
            one(b.concat(&parts, axis + 1))
        }
        Op::Reverse(axes) => one(b.op(Op::Reverse(shift(axes)), &[a[0].v])),
        // The transformed axes are counted from the last.
        Op::Rfft { .. } | Op::Irfft { .. } => one(b.op(op.clone(), &[a[0].v])),
        Op::Roll { axis, shift } => one(b.op(Op::Roll { axis: axis + 1, shift: *shift }, &[a[0].v])),
        Op::Reduce { kind, axes } => one(b.reduce(*kind, a[0].v, &shift(axes))),
        Op::Dot(d) => one(dot(b, d, a[0], a[1], types)),
        Op::Gather => one(gather(b, n, a[0], a[1], types)),
        Op::ScatterAdd { size } => one(scatter_add(b, n, *size, a[0], a[1], types)),
        Op::Map { body, n: m, mapped } if !runs_item_by_item(body) => {
            // Two flat axes: first the inner items, then these.
            let flat = batch(body, mapped, *m);
            batch_into(b, &flat, n, a).into_iter().map(|o| Item { v: all_items(b, n, o), batched: true }).collect()
        }
        Op::Scan { body, length, carry, xs, reverse } => scan(b, body, (*length, *carry, *xs, *reverse), n, a),
        Op::Cond { then, otherwise } if !a[0].batched => {
            let flags: Vec<bool> = a[1..].iter().map(|a| a.batched).collect();
            let op =
                Op::Cond { then: Arc::new(batch(then, &flags, n)), otherwise: Arc::new(batch(otherwise, &flags, n)) };
            let args: Vec<Value> = a.iter().map(|a| a.v).collect();
            b.ops(op, &args).into_iter().map(|v| Item { v, batched: true }).collect()
        }
        Op::Map { .. } | Op::Solve { .. } | Op::LinearSolve { .. } | Op::Cond { .. } | Op::Memo { .. } => {
            item_by_item(b, op, n, a, types)
        }
    }
}

/// A `Map` whose body is the one operation.
fn item_by_item(b: &mut Builder, op: &Op, n: usize, a: &[Item], types: &[&Type]) -> Vec<Item> {
    let mut inner = Builder::new("item");
    let inputs: Vec<Value> = types.iter().map(|&t| inner.input(t.clone())).collect();
    let outputs = inner.ops(op.clone(), &inputs);
    let body = Arc::new(inner.finish(outputs));
    let args: Vec<Value> = a.iter().map(|a| a.v).collect();
    let results = b.map(body, n, a.iter().map(|a| a.batched).collect(), &args);
    results.into_iter().map(|v| Item { v, batched: true }).collect()
}

/// Holds what cannot run on all items at once, at any depth.
pub fn runs_item_by_item(f: &Func) -> bool {
    f.nodes.iter().any(|node| match &node.op {
        Op::Solve { .. } | Op::LinearSolve { .. } | Op::Cond { .. } | Op::Memo { .. } => true,
        op => Func::bodies(op).into_iter().any(|body| runs_item_by_item(body)),
    })
}

fn dot(b: &mut Builder, d: &Dot, l: Item, r: Item, types: &[&Type]) -> Value {
    let shift = |axes: &[usize], item: Item| axes.iter().map(|a| a + item.batched as usize).collect::<Vec<_>>();
    let mut product = Dot {
        lhs_contract: shift(&d.lhs_contract, l),
        rhs_contract: shift(&d.rhs_contract, r),
        lhs_batch: shift(&d.lhs_batch, l),
        rhs_batch: shift(&d.rhs_batch, r),
    };
    if l.batched && r.batched {
        product.lhs_batch.insert(0, 0);
        product.rhs_batch.insert(0, 0);
        return b.dot(l.v, r.v, product);
    }
    // The items are a free axis of one side: with it first, a shared matrix meets all items in one product.
    let batch = d.lhs_batch.len();
    let free = |k: usize, contract: &[usize]| types[k].rank() - contract.len() - batch;
    let (lf, rf) = (free(0, &d.lhs_contract), free(1, &d.rhs_contract));
    if l.batched {
        // batch, n, left free, right free
        let v = b.dot(l.v, r.v, product);
        return move_axis(b, v, batch, 0);
    }
    std::mem::swap(&mut product.lhs_contract, &mut product.rhs_contract);
    std::mem::swap(&mut product.lhs_batch, &mut product.rhs_batch);
    // batch, n, right free, left free
    let v = b.dot(r.v, l.v, product);
    let mut perm = vec![batch];
    perm.extend(0..batch);
    perm.extend(batch + 1 + rf..batch + 1 + rf + lf);
    perm.extend(batch + 1..batch + 1 + rf);
    b.transpose(v, &perm)
}

fn gather(b: &mut Builder, n: usize, source: Item, index: Item, types: &[&Type]) -> Value {
    if !source.batched {
        return b.gather(source.v, index.v);
    }
    if !index.batched {
        // Rows of all items side by side.
        let rows = move_axis(b, source.v, 0, 1);
        let taken = b.gather(rows, index.v);
        return move_axis(b, taken, types[1].rank(), 0);
    }
    let (rows, shape) = (types[0].shape[0], types[0].shape.clone());
    let flat = b.reshape(source.v, &[&[n * rows], &shape[1..]].concat());
    let index = offset_index(b, n, rows, index.v);
    b.gather(flat, index)
}

fn scatter_add(b: &mut Builder, n: usize, size: usize, index: Item, updates: Item, types: &[&Type]) -> Value {
    if !index.batched {
        let rank = types[0].rank();
        let rows = move_axis(b, updates.v, 0, rank);
        let sums = b.scatter_add(size, index.v, rows);
        return move_axis(b, sums, 1, 0);
    }
    let updates = all_items(b, n, updates);
    // An index that is dropped must not fall on the next item.
    let wide = offset_index(b, n, size, index.v);
    let number = b.op(Op::Cast(DType::F64), &[index.v]);
    let (wide, limit) = (b.op(Op::Cast(DType::F64), &[wide]), b.scalar(size as f64));
    let inside = b.compare(Compare::Lt, number, limit);
    let beyond = b.scalar((n * size) as f64);
    let wide = b.select(inside, wide, beyond);
    let index = b.op(Op::Cast(DType::Index), &[wide]);
    let sums = b.scatter_add(n * size, index, updates);
    let shape = [&[n, size], &b.ty(sums).shape[1..]].concat();
    b.reshape(sums, &shape)
}

/// `index[i, …] + i·size`
fn offset_index(b: &mut Builder, n: usize, size: usize, index: Value) -> Value {
    assert!(n * size <= u32::MAX as usize, "compiler bug: {n} items of {size} rows exceed an index");
    let number = b.op(Op::Cast(DType::F64), &[index]);
    let shape = b.ty(index).shape.clone();
    let item = b.op(Op::Iota { dtype: DType::F64, shape, axis: 0 }, &[]);
    let start = b.scale(item, size as f64);
    let sum = b.binary(Binary::Add, number, start);
    b.op(Op::Cast(DType::Index), &[sum])
}

/// The body runs on all items in each step.
fn scan(b: &mut Builder, body: &Func, dims: (usize, usize, usize, bool), n: usize, a: &[Item]) -> Vec<Item> {
    let (length, carry, xs, reverse) = dims;
    let mut batched: Vec<bool> = a.iter().map(|a| a.batched).collect();
    let (body, flags) = loop {
        let forced: Vec<bool> = (0..body.outputs.len()).map(|k| k < carry && batched[k]).collect();
        let (flat, flags) = batch_some(body, &batched, n, &forced);
        let grown: Vec<usize> = (0..carry).filter(|&k| flags[k] && !batched[k]).collect();
        if grown.is_empty() {
            break (flat, flags);
        }
        grown.iter().for_each(|&k| batched[k] = true);
    };
    let mut args = vec![];
    for (k, item) in a.iter().enumerate() {
        args.push(match k {
            k if k < carry && batched[k] => all_items(b, n, *item),
            // Steps first, items second.
            k if (carry..carry + xs).contains(&k) && item.batched => move_axis(b, item.v, 0, 1),
            _ => item.v,
        });
    }
    let results = b.ops(Op::Scan { body: Arc::new(body), length, carry, xs, reverse }, &args);
    let mut out = vec![];
    for (k, (v, batched)) in results.into_iter().zip(flags).enumerate() {
        let v = if k >= carry && batched { move_axis(b, v, 1, 0) } else { v };
        out.push(Item { v, batched });
    }
    out
}

fn leading(ty: &Type, n: usize) -> Type {
    Type::new(ty.dtype, [&[n], &ty.shape[..]].concat())
}

fn all_items(b: &mut Builder, n: usize, item: Item) -> Value {
    if item.batched {
        return item.v;
    }
    let shape = leading(b.ty(item.v), n).shape;
    let axes = (1..shape.len()).collect();
    b.op(Op::Broadcast { shape, axes }, &[item.v])
}

fn move_axis(b: &mut Builder, v: Value, from: usize, to: usize) -> Value {
    let mut perm: Vec<usize> = (0..b.ty(v).rank()).collect();
    let axis = perm.remove(from);
    perm.insert(to, axis);
    b.transpose(v, &perm)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dense layer under `Map` is one matrix product without a transposition.
    #[test]
    fn a_shared_weight_gives_one_product() {
        let mut b = Builder::new("layer");
        let (w, x) = (b.input(Type::f64([8, 3])), b.input(Type::f64([3])));
        let y = b.matmul(w, x);
        let f = batch(&b.finish(vec![y]), &[false, true], 100);
        let ops: Vec<&Op> = f.nodes.iter().map(|n| &n.op).filter(|op| !matches!(op, Op::Input(_))).collect();
        let product = Dot { lhs_contract: vec![1], rhs_contract: vec![1], ..Dot::default() };
        assert_eq!(ops, [&Op::Dot(product)]);
        assert_eq!(f.ty(f.outputs[0]), &Type::f64([100, 8]));
    }
}
