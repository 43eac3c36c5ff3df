//! Forward mode: the rule of each primitive. Tangents that are zero by structure are `None` and cost nothing.

use crate::ir::{Binary, Builder, Compare, DType, Dot, Func, MemoSpec, Op, Reduce, Unary, Value};
use std::sync::Arc;

/// `f` and its derivative along tangents of the inputs listed in `wrt`. Inputs: those of `f`, then the tangents.
/// Outputs: those of `f`, then their tangents.
pub fn jvp(f: &Func, wrt: &[usize]) -> Func {
    let mut b = Builder::new(format!("jvp {}", f.name));
    let args: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut tangents = vec![None; args.len()];
    wrt.iter().for_each(|&k| tangents[k] = Some(b.input(f.inputs[k].clone())));
    let (mut outputs, derivatives) = jvp_into(&mut b, f, &args, &tangents);
    for (k, d) in derivatives.into_iter().enumerate() {
        let d = d.unwrap_or_else(|| b.zeros_like(outputs[k]));
        outputs.push(d);
    }
    b.finish(outputs)
}

/// Copies `f` into `b` along with its derivative: outputs and their tangents. A tangent `None` is zero.
pub fn jvp_into(
    b: &mut Builder,
    f: &Func,
    args: &[Value],
    tangents: &[Option<Value>],
) -> (Vec<Value>, Vec<Option<Value>>) {
    assert_eq!((args.len(), tangents.len()), (f.inputs.len(), f.inputs.len()), "compiler bug: jvp of `{}`", f.name);
    let mut duals: Vec<Vec<Dual>> = Vec::with_capacity(f.nodes.len());
    for node in &f.nodes {
        let results = match &node.op {
            Op::Input(k) => vec![Dual { x: args[*k], dx: tangents[*k] }],
            Op::Get(k) => vec![duals[node.args[0].index()][*k]],
            op => {
                let a: Vec<Dual> = node.args.iter().map(|v| duals[v.index()][0]).collect();
                push(b, op, &a)
            }
        };
        duals.push(results);
    }
    f.outputs.iter().map(|v| duals[v.index()][0]).map(|d| (d.x, d.dx)).unzip()
}

/// A value and its tangent.
#[derive(Clone, Copy)]
struct Dual {
    x: Value,
    dx: Option<Value>,
}

/// One operation with its derivative.
fn push(b: &mut Builder, op: &Op, a: &[Dual]) -> Vec<Dual> {
    let x: Vec<Value> = a.iter().map(|d| d.x).collect();
    if a.iter().all(|d| d.dx.is_none()) {
        return b.ops(op.clone(), &x).into_iter().map(|x| Dual { x, dx: None }).collect();
    }
    // Structured primitives are rebuilt around a differentiated body, which gives values and tangents together.
    match op {
        Op::Map { body, n, mapped } => return map(b, body, *n, mapped, a),
        Op::Scan { body, length, carry, xs, reverse } => return scan(b, body, (*length, *carry, *xs, *reverse), a),
        Op::Cond { then, otherwise } => return cond(b, then, otherwise, a),
        Op::Memo { .. } => return memo(b, op, a),
        _ => {}
    }
    let y = b.op(op.clone(), &x);
    let dx = match op {
        Op::Input(_) | Op::Get(_) => unreachable!("compiler bug: handled by the caller"),
        Op::Map { .. } | Op::Scan { .. } | Op::Cond { .. } | Op::Memo { .. } => unreachable!("handled above"),
        Op::Const(_) | Op::Iota { .. } | Op::Compare(_) => None,
        Op::Unary(f) => a[0].dx.and_then(|dx| unary(b, *f, a[0].x, y, dx)),
        Op::Binary(f) => binary(b, *f, a[0], a[1], y),
        Op::Select => select(b, a[0].x, a[1].dx, a[2].dx),
        Op::Cast(to) => (*to != DType::Index).then(|| a[0].dx.map(|dx| b.op(op.clone(), &[dx]))).flatten(),

        // Linear in their one argument.
        Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Broadcast { .. }
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Reverse(_)
        | Op::Roll { .. }
        | Op::Rfft { .. }
        | Op::Irfft { .. }
        | Op::Reduce { kind: Reduce::Sum, .. } => a[0].dx.map(|dx| b.op(op.clone(), &[dx])),
        Op::Concat(_) => {
            let parts: Vec<Value> = a.iter().map(|d| d.dx.unwrap_or_else(|| b.zeros_like(d.x))).collect();
            Some(b.op(op.clone(), &parts))
        }
        Op::Reduce { kind: Reduce::Max | Reduce::Min, axes } => a[0].dx.map(|dx| extremum(b, axes, a[0].x, y, dx)),
        Op::Dot(d) => {
            let left = a[0].dx.map(|dx| b.dot(dx, a[1].x, d.clone()));
            let right = a[1].dx.map(|dx| b.dot(a[0].x, dx, d.clone()));
            sum(b, left, right)
        }
        Op::Gather => a[0].dx.map(|dx| b.gather(dx, a[1].x)),
        Op::ScatterAdd { size } => a[1].dx.map(|dx| b.scatter_add(*size, a[0].x, dx)),

        Op::Solve { residual, .. } => solve(b, op, residual, (a[0].x, y), &a[1..]),
        Op::LinearSolve { residual, transposed, .. } => linear_solve(b, op, residual, *transposed, y, a),
    };
    vec![Dual { x: y, dx }]
}

// ---- pointwise

fn unary(b: &mut Builder, f: Unary, x: Value, y: Value, dx: Value) -> Option<Value> {
    Some(match f {
        Unary::Sign | Unary::Floor => return None,
        Unary::Neg => b.neg(dx),
        Unary::Abs => {
            let s = b.unary(Unary::Sign, x);
            b.mul(s, dx)
        }
        Unary::Sqrt => {
            let half = b.scale(dx, 0.5);
            b.div(half, y)
        }
        Unary::Exp => b.mul(y, dx),
        Unary::Log => b.div(dx, x),
        Unary::Sin => {
            let c = b.unary(Unary::Cos, x);
            b.mul(c, dx)
        }
        Unary::Cos => {
            let s = b.unary(Unary::Sin, x);
            let p = b.mul(s, dx);
            b.neg(p)
        }
        Unary::Tanh => {
            let (one, square) = (b.full_like(y, 1.0), b.mul(y, y));
            let slope = b.sub(one, square);
            b.mul(slope, dx)
        }
        Unary::Atan => {
            let (one, square) = (b.full_like(x, 1.0), b.mul(x, x));
            let d = b.add(one, square);
            b.div(dx, d)
        }
        Unary::Erf => {
            let square = b.mul(x, x);
            let minus = b.neg(square);
            let bell = b.unary(Unary::Exp, minus);
            let slope = b.scale(bell, std::f64::consts::FRAC_2_SQRT_PI);
            b.mul(slope, dx)
        }
    })
}

fn binary(b: &mut Builder, f: Binary, l: Dual, r: Dual, y: Value) -> Option<Value> {
    match f {
        Binary::Add => sum(b, l.dx, r.dx),
        Binary::Sub => {
            let minus = r.dx.map(|dx| b.neg(dx));
            match (l.dx, r.dx) {
                (Some(dl), Some(dr)) => Some(b.sub(dl, dr)),
                _ => l.dx.or(minus),
            }
        }
        Binary::Mul => {
            let left = l.dx.map(|dx| b.mul(dx, r.x));
            let right = r.dx.map(|dx| b.mul(l.x, dx));
            sum(b, left, right)
        }
        Binary::Div => {
            let left = l.dx.map(|dx| b.div(dx, r.x));
            let right = r.dx.map(|dx| {
                let q = b.div(y, r.x);
                let p = b.mul(q, dx);
                b.neg(p)
            });
            sum(b, left, right)
        }
        Binary::Pow => {
            let left = l.dx.map(|dx| {
                let one = b.full_like(r.x, 1.0);
                let less = b.sub(r.x, one);
                let power = b.binary(Binary::Pow, l.x, less);
                let slope = b.mul(r.x, power);
                b.mul(slope, dx)
            });
            let right = r.dx.map(|dx| {
                // xʸ log x, which is 0 at x = 0 (y > 0).
                let (zero, one) = (b.zeros_like(l.x), b.full_like(l.x, 1.0));
                let at_zero = b.compare(Compare::Eq, l.x, zero);
                let safe = b.select(at_zero, one, l.x);
                let log = b.unary(Unary::Log, safe);
                let slope = b.mul(y, log);
                b.mul(slope, dx)
            });
            sum(b, left, right)
        }
        Binary::Min | Binary::Max => {
            let (small, large) = if f == Binary::Min { (l.x, r.x) } else { (r.x, l.x) };
            let left = b.compare(Compare::Lt, small, large);
            select(b, left, l.dx, r.dx)
        }
        Binary::Atan2 => {
            // l = y, r = x of the point.
            let (xx, yy) = (b.mul(r.x, r.x), b.mul(l.x, l.x));
            let square = b.add(xx, yy);
            let left = l.dx.map(|dx| {
                let slope = b.div(r.x, square);
                b.mul(slope, dx)
            });
            let right = r.dx.map(|dx| {
                let slope = b.div(l.x, square);
                let p = b.mul(slope, dx);
                b.neg(p)
            });
            sum(b, left, right)
        }
    }
}

fn select(b: &mut Builder, mask: Value, l: Option<Value>, r: Option<Value>) -> Option<Value> {
    let some = l.or(r)?;
    let zero = b.zeros_like(some);
    Some(b.select(mask, l.unwrap_or(zero), r.unwrap_or(zero)))
}

/// The mean of the tangents where the extremum is reached.
pub(super) fn extremum(b: &mut Builder, axes: &[usize], x: Value, y: Value, dx: Value) -> Value {
    let shape = b.ty(x).shape.clone();
    let kept = (0..shape.len()).filter(|i| !axes.contains(i)).collect();
    let wide = b.op(Op::Broadcast { shape, axes: kept }, &[y]);
    let hit = b.compare(Compare::Eq, x, wide);
    let count = b.reduce(Reduce::Sum, hit, axes);
    let zero = b.zeros_like(dx);
    let chosen = b.select(hit, dx, zero);
    let total = b.reduce(Reduce::Sum, chosen, axes);
    b.div(total, count)
}

// ---- implicit functions

/// R(u, p) = 0 gives R_u u̇ = -R_p ṗ. Where a solution was only tried for and none was found, the derivative is taken at the guess, so that
/// what is not finite enters no product: nothing times it would not be nothing.
fn solve(b: &mut Builder, op: &Op, residual: &Arc<Func>, (guess, u): (Value, Value), p: &[Dual]) -> Option<Value> {
    let Op::Solve { spec, .. } = op else { unreachable!("compiler bug: the rule of `Solve`") };
    let u = if spec.may_fail {
        let number = b.compare(Compare::Eq, u, u);
        b.select(number, u, guess)
    } else {
        u
    };
    let args: Vec<Value> = std::iter::once(u).chain(p.iter().map(|d| d.x)).collect();
    let tangents: Vec<Option<Value>> = std::iter::once(None).chain(p.iter().map(|d| d.dx)).collect();
    let (_, change) = jvp_into(b, residual, &args, &tangents);
    let rhs = b.neg(change[0]?);
    let linear = Op::LinearSolve { residual: residual.clone(), spec: spec.clone(), transposed: false };
    Some(b.op(linear, &[&[rhs], &args[..]].concat()))
}

/// A(u, p) x = b gives A ẋ = ḃ - Ȧ x, with Ȧ x the change of R_u(u, p)·x (or of R_uᵀ·x) along (u̇, ṗ).
fn linear_solve(b: &mut Builder, op: &Op, residual: &Func, transposed: bool, x: Value, a: &[Dual]) -> Option<Value> {
    let (rhs, point) = (a[0], &a[1..]);
    let mut right = rhs.dx;
    if point.iter().any(|d| d.dx.is_some()) {
        let product = jacobian_product(residual, transposed);
        let args: Vec<Value> = point.iter().map(|d| d.x).chain([x]).collect();
        let tangents: Vec<Option<Value>> = point.iter().map(|d| d.dx).chain([None]).collect();
        if let Some(change) = jvp_into(b, &product, &args, &tangents).1[0] {
            right = Some(match right {
                Some(r) => b.sub(r, change),
                None => b.neg(change),
            });
        }
    }
    let args: Vec<Value> = right.into_iter().chain(point.iter().map(|d| d.x)).collect();
    right.map(|_| b.op(op.clone(), &args))
}

/// `(u, p…, x) → R_u(u, p) x`, or `R_u(u, p)ᵀ x`.
fn jacobian_product(residual: &Func, transposed: bool) -> Func {
    let mut f = if transposed { super::vjp(residual, &[0]) } else { jvp(residual, &[0]) };
    f.outputs.remove(0);
    crate::ir::build::drop_dead(f)
}

// ---- bodies

/// The body with tangents, and which of its outputs have one: those whose tangent is not zero by structure, and those that
/// are `forced`. Inputs: those of the body, then tangents of the active ones. Outputs: values, then tangents.
fn body_jvp(body: &Func, active: &[bool], forced: &[bool]) -> (Func, Vec<bool>) {
    let mut b = Builder::new(body.name.clone());
    let args: Vec<Value> = body.inputs.iter().map(|t| b.input(t.clone())).collect();
    let tangents: Vec<Option<Value>> =
        (0..args.len()).map(|k| active[k].then(|| b.input(body.inputs[k].clone()))).collect();
    let (mut outputs, derivatives) = jvp_into(&mut b, body, &args, &tangents);
    let out: Vec<bool> = derivatives.iter().zip(forced).map(|(d, f)| d.is_some() || *f).collect();
    for k in (0..out.len()).filter(|&k| out[k]) {
        let d = derivatives[k].unwrap_or_else(|| b.zeros_like(outputs[k]));
        outputs.push(d);
    }
    (b.finish(outputs), out)
}

/// Results that are values, then tangents of the active outputs.
fn pair(results: Vec<Value>, active: &[bool]) -> Vec<Dual> {
    let (values, mut tangents) = (&results[..active.len()], results[active.len()..].iter());
    let dual =
        |(x, &is_active): (&Value, &bool)| Dual { x: *x, dx: is_active.then(|| *tangents.next().expect("counted")) };
    values.iter().zip(active).map(dual).collect()
}

fn is_active(a: &[Dual]) -> Vec<bool> {
    a.iter().map(|d| d.dx.is_some()).collect()
}

fn map(b: &mut Builder, body: &Func, n: usize, mapped: &[bool], a: &[Dual]) -> Vec<Dual> {
    let active = is_active(a);
    let (body, out) = body_jvp(body, &active, &vec![false; body.outputs.len()]);
    let args: Vec<Value> = a.iter().map(|d| d.x).chain(a.iter().filter_map(|d| d.dx)).collect();
    let mapped = mapped.iter().copied().chain((0..a.len()).filter(|&k| active[k]).map(|k| mapped[k])).collect();
    pair(b.map(Arc::new(body), n, mapped, &args), &out)
}

fn scan(b: &mut Builder, body: &Func, dims: (usize, usize, usize, bool), a: &[Dual]) -> Vec<Dual> {
    let (length, carry, xs, reverse) = dims;
    // A carry whose start has no tangent may gain one on the way: grow to the fixed point.
    let mut active = is_active(a);
    let (plain, out) = loop {
        let forced: Vec<bool> = (0..body.outputs.len()).map(|k| k < carry && active[k]).collect();
        let (plain, out) = body_jvp(body, &active, &forced);
        let grown: Vec<usize> = (0..carry).filter(|&k| out[k] && !active[k]).collect();
        if grown.is_empty() {
            break (plain, out);
        }
        grown.iter().for_each(|&k| active[k] = true);
    };

    // Each group of arguments (carry, xs, shared) is followed by its tangents, and so are the outputs (carry, ys).
    let groups = [0..carry, carry..carry + xs, carry + xs..a.len()];
    let mut inner = Builder::new(body.name.clone());
    let (mut values, mut tangents, mut args) = (vec![], vec![], vec![]);
    for group in groups.clone() {
        for k in group.clone() {
            values.push(inner.input(body.inputs[k].clone()));
            args.push(a[k].x);
        }
        for k in group.filter(|&k| active[k]) {
            tangents.push(inner.input(body.inputs[k].clone()));
            args.push(a[k].dx.unwrap_or_else(|| b.zeros_like(a[k].x)));
        }
    }
    values.extend(tangents);
    let mut duals = pair(inner.inline(&plain, &values), &out);
    let ys = duals.split_off(carry);
    let flat = |d: &[Dual]| d.iter().map(|d| d.x).chain(d.iter().filter_map(|d| d.dx)).collect::<Vec<_>>();
    let (first, second) = (flat(&duals), flat(&ys));
    let (new_carry, tangent_xs) = (first.len(), active[carry..carry + xs].iter().filter(|&&t| t).count());
    let body = Arc::new(inner.finish([first, second].concat()));
    let mut results = b.ops(Op::Scan { body, length, carry: new_carry, xs: xs + tangent_xs, reverse }, &args);
    let ys = results.split_off(new_carry);
    let mut duals = pair(results, &out[..carry]);
    duals.extend(pair(ys, &out[carry..]));
    duals
}

fn cond(b: &mut Builder, then: &Func, otherwise: &Func, a: &[Dual]) -> Vec<Dual> {
    let active = is_active(&a[1..]);
    // Both branches give the same tangents: what one has, the other is made to give.
    let (_, out) = body_jvp(then, &active, &vec![false; then.outputs.len()]);
    let (otherwise, out) = body_jvp(otherwise, &active, &out);
    let (then, _) = body_jvp(then, &active, &out);
    let (then, otherwise) = (Arc::new(then), Arc::new(otherwise));
    let args: Vec<Value> = a.iter().map(|d| d.x).chain(a[1..].iter().filter_map(|d| d.dx)).collect();
    pair(b.ops(Op::Cond { then, otherwise }, &args), &out)
}

/// In the coordinates of the lattice the tangents are the slopes of the interpolation itself; they are constant in each simplex. In
/// the other arguments the body's derivatives are results of the body too, and interpolated like them.
fn memo(b: &mut Builder, op: &Op, a: &[Dual]) -> Vec<Dual> {
    let Op::Memo { body, spec } = op else { unreachable!("compiler bug: the rule of `Memo`") };
    let own = body.outputs.len();
    let of = |keyed: bool| (0..a.len()).filter(move |&k| a[k].dx.is_some() && spec.keyed(k) == keyed);
    let fixed: Vec<usize> = of(false).collect();
    let active: Vec<bool> = (0..a.len()).map(|k| fixed.contains(&k)).collect();
    let (_, depends) = body_jvp(body, &active, &vec![false; own]);
    let mut inner = Builder::new(body.name.clone());
    let args: Vec<Value> = body.inputs.iter().map(|t| inner.input(t.clone())).collect();
    let mut outputs = inner.inline(body, &args);
    // Where the column of (argument, result) stands among the results of the body.
    let mut columns: Vec<(usize, usize, usize)> = vec![];
    for &k in &fixed {
        let made = super::jacobian::columns(&mut inner, body, k, &args, &depends);
        let results = (0..own).filter(|&o| depends[o]);
        columns.extend(results.zip(outputs.len()..).map(|(o, at)| (k, o, at)));
        outputs.extend(made);
    }
    let mut slopes: Vec<usize> = spec.slopes.iter().copied().chain(of(true)).collect();
    slopes.sort_unstable();
    slopes.dedup();
    let width = outputs.len();
    let body = Arc::new(inner.finish(outputs));
    let x: Vec<Value> = a.iter().map(|d| d.x).collect();
    let new = Arc::new(MemoSpec { slopes: slopes.clone(), ..(**spec).clone() });
    let results = b.ops(Op::Memo { body, spec: new }, &x);
    let slope = |k: usize, j: usize| {
        let at = slopes.iter().position(|&s| s == k).expect("compiler bug: a slope that was not asked for");
        results[width * (1 + at) + j]
    };
    let flat: Vec<Option<Value>> = a
        .iter()
        .map(|d| d.dx.map(|dx| (b.ty(d.x).len(), dx)))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|d| d.map(|(len, dx)| b.reshape(dx, &[len])))
        .collect();
    let along = |b: &mut Builder, k: usize, j: Value, axis: usize| {
        let dx = flat[k].expect("compiler bug: an argument without a tangent");
        b.dot(dx, j, Dot { lhs_contract: vec![0], rhs_contract: vec![axis], ..Dot::default() })
    };
    let mut duals = vec![];
    for o in 0..own {
        let mut dx = None;
        for k in of(true) {
            let term = along(b, k, slope(k, o), 0);
            dx = sum(b, dx, Some(term));
        }
        for &(k, _, at) in columns.iter().filter(|c| c.1 == o) {
            let term = along(b, k, results[at], 0);
            dx = sum(b, dx, Some(term));
        }
        duals.push(Dual { x: results[o], dx });
    }
    for &k in &spec.slopes {
        for o in 0..own {
            let mut dx = None;
            for &(c, _, at) in columns.iter().filter(|c| c.1 == o) {
                // [entries of k, entries of c, …]
                let term = along(b, c, slope(k, at), 1);
                dx = sum(b, dx, Some(term));
            }
            duals.push(Dual { x: slope(k, o), dx });
        }
    }
    duals
}

// ---- helpers

pub(super) fn sum(b: &mut Builder, l: Option<Value>, r: Option<Value>) -> Option<Value> {
    match (l, r) {
        (Some(l), Some(r)) => Some(b.add(l, r)),
        _ => l.or(r),
    }
}
