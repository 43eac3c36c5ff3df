//! The slow plain interpreter: the oracle that every backend is compared with. Sums run in index order, f32 results are
//! rounded after each operation, and every elementary function is the one of [`super::math`].

mod array;
mod newton;

use super::{Binary, Compare, DType, Data, Fault, Func, MemoSpec, Op, Tensor, Type, Unary, Value, Within, math};
use std::borrow::Cow;

/// Runs `f`. `inputs` must have the types of `f.inputs` (else: a compiler bug, and a panic).
pub fn eval(f: &Func, inputs: &[Tensor]) -> Result<Vec<Tensor>, Fault> {
    assert_eq!(inputs.len(), f.inputs.len(), "compiler bug: `{}` run with {} inputs", f.name, inputs.len());
    for (k, (t, ty)) in inputs.iter().zip(&f.inputs).enumerate() {
        assert_eq!(&t.ty, ty, "compiler bug: input {k} of `{}`", f.name);
    }
    let last = last_uses(f);
    let mut results: Vec<Vec<Tensor>> = Vec::with_capacity(f.nodes.len());
    for (v, node) in f.values() {
        let of = |a: &Value| &results[a.index()][0];
        let result = match &node.op {
            Op::Input(k) => vec![inputs[*k].clone()],
            Op::Get(k) => vec![results[node.args[0].index()][*k].clone()],
            op => {
                let args: Vec<&Tensor> = node.args.iter().map(of).collect();
                apply(f, op, &args, &node.types)?
            }
        };
        results.push(result);
        for a in &node.args {
            if last[a.index()] == v.index() {
                results[a.index()] = vec![];
            }
        }
    }
    Ok(f.outputs.iter().map(|v| results[v.index()][0].clone()).collect())
}

/// For each node the last node that reads it; outputs are read at the end.
fn last_uses(f: &Func) -> Vec<usize> {
    let mut last = vec![0; f.nodes.len()];
    for (v, node) in f.values() {
        node.args.iter().for_each(|a| last[a.index()] = v.index());
    }
    f.outputs.iter().for_each(|v| last[v.index()] = usize::MAX);
    last
}

fn apply(f: &Func, op: &Op, args: &[&Tensor], types: &[Type]) -> Result<Vec<Tensor>, Fault> {
    let ty = &types[0];
    let single = ty.dtype == DType::F32;
    let one = |data: Vec<f64>| Ok(vec![tensor(ty, data)]);
    let x = |i: usize| elements(args[i]);
    let shape = |i: usize| args[i].ty.shape.as_slice();
    match op {
        Op::Input(_) | Op::Get(_) => unreachable!("compiler bug: handled by the caller"),
        Op::Const(t) => Ok(vec![t.clone()]),
        Op::Iota { shape, axis, .. } => one(array::iota(shape, *axis)),
        Op::Unary(g) => one(x(0).iter().map(|&a| unary(*g, a, single)).collect()),
        Op::Binary(g) => one(x(0).iter().zip(x(1).iter()).map(|(&a, &b)| binary(*g, a, b, single)).collect()),
        Op::Compare(c) => one(x(0).iter().zip(x(1).iter()).map(|(&a, &b)| compare(*c, a, b)).collect()),
        Op::Select => {
            let (mask, a, b) = (x(0), x(1), x(2));
            one((0..mask.len()).map(|i| if mask[i] != 0.0 { a[i] } else { b[i] }).collect())
        }
        Op::Cast(_) => one(x(0).to_vec()),
        Op::Reshape(s) => Ok(vec![args[0].reshaped(s.clone())]),
        Op::Transpose(perm) => one(array::transpose(&x(0), shape(0), perm)),
        Op::Broadcast { shape: to, axes } => one(array::broadcast(&x(0), shape(0), to, axes)),
        Op::Slice { start, stride, .. } => one(array::slice(&x(0), shape(0), &ty.shape, start, stride)),
        Op::Pad { low, interior, .. } => one(array::pad(&x(0), shape(0), &ty.shape, low, interior)),
        Op::Concat(axis) => {
            let parts: Vec<_> = args.iter().map(|t| (elements(t), t.ty.shape.as_slice())).collect();
            one(array::concat(&parts, *axis))
        }
        Op::Reverse(axes) => one(array::reverse(&x(0), shape(0), axes)),
        Op::Roll { axis, shift } => one(array::roll(&x(0), shape(0), *axis, *shift)),
        Op::Rfft { .. } | Op::Irfft { .. } => eval(&super::fourier::as_products(op, &args[0].ty), &[args[0].clone()]),
        Op::Reduce { kind, axes } => one(array::reduce(*kind, &x(0), shape(0), &ty.shape, axes)),
        Op::Dot(d) => one(array::dot(d, &x(0), shape(0), &x(1), shape(1))),
        Op::Gather => one(array::gather(&x(0), shape(0), &indices(args[1])).map_err(|e| Fault::new(&f.name, e))?),
        Op::ScatterAdd { size } => one(array::scatter_add(*size, &indices(args[0]), &x(1), ty.len())),
        Op::Map { body, n, mapped } => {
            let mut items = Vec::with_capacity(*n);
            for i in 0..*n {
                let inputs: Vec<Tensor> =
                    args.iter().zip(mapped).map(|(t, &m)| if m { item(t, i) } else { (*t).clone() }).collect();
                items.push(eval(body, &inputs).map_err(|e| e.within(Within::Item(i, *n)))?);
            }
            Ok((0..types.len()).map(|k| stack(&types[k], items.iter().map(|r| &r[k]))).collect())
        }
        Op::Scan { body, length, carry, xs, reverse } => scan(body, *length, *carry, *xs, *reverse, args, types),
        Op::Solve { residual, spec } => Ok(vec![newton::solve(residual, spec, args)?]),
        Op::LinearSolve { residual, spec, transposed } => {
            Ok(vec![newton::linear_solve(residual, spec, *transposed, args)?])
        }
        Op::Cond { then, otherwise } => {
            let inputs: Vec<Tensor> = args[1..].iter().map(|&t| t.clone()).collect();
            eval(if args[0].item() != 0.0 { then } else { otherwise }, &inputs)
        }
        Op::Memo { body, spec } => memo(body, spec, args, types),
    }
}

fn memo(body: &Func, spec: &MemoSpec, args: &[&Tensor], types: &[Type]) -> Result<Vec<Tensor>, Fault> {
    let keyed: Vec<usize> = (0..args.len()).filter(|&k| spec.keyed(k)).collect();
    let x: Vec<f64> = keyed.iter().flat_map(|&k| args[k].to_f64()).collect();
    let scales: Vec<f64> = keyed.iter().flat_map(|&k| vec![spec.scale[k]; args[k].ty.len()]).collect();
    let Some(simplex) = spec.simplex(&scales, &x) else {
        return Err(Fault::new(&spec.name, format!("an argument is not a finite number: {x:?}")));
    };
    let mut corners = vec![];
    for corner in &simplex.corners {
        let mut inputs: Vec<Tensor> = args.iter().map(|&t| t.clone()).collect();
        let mut at = 0;
        for &k in &keyed {
            let len = args[k].ty.len();
            inputs[k] = Tensor::of(&args[k].ty, &corner[at..at + len]);
            at += len;
        }
        corners.push(eval(body, &inputs)?);
    }
    let own = corners[0].len();
    let mut out = vec![];
    let mut slopes = vec![];
    for o in 0..own {
        let values: Vec<Vec<f64>> = corners.iter().map(|c| c[o].to_f64()).collect();
        let at: Vec<&[f64]> = values.iter().map(|v| v.as_slice()).collect();
        let (value, slope) = simplex.interpolate(&at, values[0].len());
        out.push(Tensor::of(&types[o], &value));
        slopes.push(slope);
    }
    for &k in &spec.slopes {
        let first: usize = keyed.iter().take_while(|&&j| j < k).map(|&j| args[j].ty.len()).sum();
        for slope in &slopes {
            let entries = slope[first..first + args[k].ty.len()].concat();
            out.push(Tensor::of(&types[out.len()], &entries));
        }
    }
    Ok(out)
}

fn scan(
    body: &Func,
    length: usize,
    carry: usize,
    xs: usize,
    reverse: bool,
    args: &[&Tensor],
    types: &[Type],
) -> Result<Vec<Tensor>, Fault> {
    let mut state: Vec<Tensor> = args[..carry].iter().map(|&t| t.clone()).collect();
    let mut rows: Vec<Vec<Tensor>> = vec![vec![]; length];
    for step in 0..length {
        let i = if reverse { length - 1 - step } else { step };
        let mut inputs = state;
        inputs.extend(args[carry..carry + xs].iter().map(|t| item(t, i)));
        inputs.extend(args[carry + xs..].iter().map(|&t| t.clone()));
        let mut out = eval(body, &inputs).map_err(|e| e.within(Within::Step(body.name.clone(), step)))?;
        rows[i] = out.split_off(carry);
        state = out;
    }
    let ys = types[carry..].iter().enumerate().map(|(k, ty)| stack(ty, rows.iter().map(|r| &r[k])));
    Ok(state.into_iter().chain(ys).collect())
}

// ---- elements

/// What a pointwise operation means for one element. `single`: in f32 arithmetic.
pub fn unary(f: Unary, x: f64, single: bool) -> f64 {
    let elementary = |double: fn(f64) -> f64, float: fn(f32) -> f32| {
        if single { float(x as f32) as f64 } else { double(x) }
    };
    match f {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        // The sign of a NaN is NaN.
        Unary::Sign => {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                x * 0.0
            }
        }
        Unary::Floor => x.floor(),
        Unary::Sqrt => elementary(f64::sqrt, f32::sqrt),
        Unary::Exp => elementary(math::exp, math::single::exp),
        Unary::Log => elementary(math::log, math::single::log),
        Unary::Sin => elementary(math::sin, math::single::sin),
        Unary::Cos => elementary(math::cos, math::single::cos),
        Unary::Tanh => elementary(math::tanh, math::single::tanh),
        Unary::Atan => elementary(math::atan, math::single::atan),
        Unary::Erf => elementary(math::erf, math::single::erf),
    }
}

/// Sums, products and quotients of f32 numbers taken in f64 and then rounded equal those taken in f32. [Figueroa 1995]
pub fn binary(f: Binary, a: f64, b: f64, single: bool) -> f64 {
    let y = match f {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => math::pow(a, b),
        // NaN if either is.
        Binary::Min => {
            if a < b || a.is_nan() {
                a
            } else {
                b
            }
        }
        Binary::Max => {
            if a > b || a.is_nan() {
                a
            } else {
                b
            }
        }
        Binary::Atan2 => math::atan2(a, b),
    };
    if single { y as f32 as f64 } else { y }
}

pub fn compare(c: Compare, a: f64, b: f64) -> f64 {
    let holds = match c {
        Compare::Lt => a < b,
        Compare::Le => a <= b,
        Compare::Eq => a == b,
    };
    holds as u8 as f64
}

// ---- tensors

fn elements(t: &Tensor) -> Cow<'_, [f64]> {
    match t.as_f64() {
        Some(x) => Cow::Borrowed(x),
        None => Cow::Owned(t.to_f64()),
    }
}

fn indices(t: &Tensor) -> Vec<usize> {
    t.as_index().expect("compiler bug: an index tensor of floats").iter().map(|&i| i as usize).collect()
}

/// Elements rounded to the type. A negative or NaN number becomes index 0.
fn tensor(ty: &Type, data: Vec<f64>) -> Tensor {
    assert_eq!(ty.len(), data.len(), "compiler bug: {} elements for {ty}", data.len());
    let data = match ty.dtype {
        DType::F64 => Data::F64(data.into()),
        DType::F32 => Data::F32(data.iter().map(|&x| x as f32).collect()),
        DType::Index => Data::Index(data.iter().map(|&x| x as u32).collect()),
    };
    Tensor { ty: ty.clone(), data }
}

/// `t[i]`, along the first axis.
pub fn item(t: &Tensor, i: usize) -> Tensor {
    t.item_at(i)
}

/// Items side by side along a new first axis.
fn stack<'a>(ty: &Type, items: impl Iterator<Item = &'a Tensor>) -> Tensor {
    tensor(ty, items.flat_map(|t| elements(t).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Builder, Dot, Reduce};
    use super::*;
    use std::sync::Arc;

    /// One input tensor through one expression.
    fn run(t: Tensor, build: impl FnOnce(&mut Builder, Value) -> Value) -> Vec<f64> {
        let mut b = Builder::new("test");
        let x = b.input(t.ty.clone());
        let y = build(&mut b, x);
        eval(&b.finish(vec![y]), &[t]).unwrap()[0].to_f64()
    }

    fn counting(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        Tensor::f64(shape, (0..n).map(|i| i as f64).collect::<Vec<_>>())
    }

    #[test]
    fn shapes() {
        let t = || counting(&[2, 3]);
        assert_eq!(run(t(), |b, x| b.transpose(x, &[1, 0])), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(run(t(), |b, x| b.slice(x, 1, 1, 3)), [1., 2., 4., 5.]);
        assert_eq!(run(t(), |b, x| b.concat(&[x, x], 1)), [0., 1., 2., 0., 1., 2., 3., 4., 5., 3., 4., 5.]);
        assert_eq!(run(t(), |b, x| b.op(Op::Reverse(vec![1]), &[x])), [2., 1., 0., 5., 4., 3.]);
        assert_eq!(run(t(), |b, x| b.op(Op::Roll { axis: 1, shift: 1 }, &[x])), [2., 0., 1., 5., 3., 4.]);
        let pad = Op::Pad { low: vec![0, 1], high: vec![0, 0], interior: vec![0, 1] };
        assert_eq!(run(t(), |b, x| b.op(pad, &[x])), [0., 0., 0., 1., 0., 2., 0., 3., 0., 4., 0., 5.]);
        assert_eq!(run(t(), |b, x| b.reduce(Reduce::Sum, x, &[0])), [3., 5., 7.]);
        assert_eq!(run(t(), |b, x| b.reduce(Reduce::Max, x, &[1])), [2., 5.]);
    }

    #[test]
    fn contraction_with_batch() {
        let d = Dot { lhs_contract: vec![2], rhs_contract: vec![1], lhs_batch: vec![0], rhs_batch: vec![0] };
        let mut b = Builder::new("test");
        let (x, y) = (b.input(Type::f64([2, 2, 3])), b.input(Type::f64([2, 3])));
        let z = b.dot(x, y, d);
        let f = b.finish(vec![z]);
        let z = eval(&f, &[counting(&[2, 2, 3]), counting(&[2, 3])]).unwrap();
        assert_eq!(z[0], Tensor::f64([2, 2], [5., 14., 86., 122.]));
    }

    #[test]
    fn scan_both_ways() {
        let mut b = Builder::new("step");
        let (c, x) = (b.input(Type::f64([])), b.input(Type::f64([])));
        let two = b.scale(c, 2.0);
        let c = b.add(two, x);
        let body = Arc::new(b.finish(vec![c, c]));
        for (reverse, last, all) in [(false, 11.0, [1., 4., 11.]), (true, 13.0, [13., 5., 1.])] {
            let mut b = Builder::new("test");
            let (c, xs) = (b.input(Type::f64([])), b.input(Type::f64([3])));
            let op = Op::Scan { body: body.clone(), length: 3, carry: 1, xs: 1, reverse };
            let out = b.ops(op, &[c, xs]);
            let f = b.finish(out);
            let xs = if reverse { [3., 3., 1.] } else { [1., 2., 3.] };
            let y = eval(&f, &[Tensor::scalar(0.0), Tensor::f64([3], xs)]).unwrap();
            assert_eq!((y[0].item(), y[1].to_f64()), (last, all.to_vec()));
        }
    }

    #[test]
    fn an_index_out_of_range_is_a_fault() {
        let mut b = Builder::new("test");
        let (x, i) = (b.input(Type::f64([3])), b.input(Type::index([1])));
        let y = b.gather(x, i);
        let f = b.finish(vec![y]);
        let e = eval(&f, &[counting(&[3]), Tensor::index([1], [3])]).unwrap_err();
        assert_eq!(e.to_string(), "test: index 3 is out of range for an axis of 3");
    }
}
