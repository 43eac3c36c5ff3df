//! Operations without bodies, on candle tensors.

use super::tensors::{ctype, numbers, to_candle};
use crate::ir::{Binary, Compare, Dot, Op, Reduce, Tensor, Type, Unary, math};
use candle_core::{Device, Error, Tensor as CTensor};

pub fn plain(op: &Op, args: &[CTensor], ty: &Type) -> Result<CTensor, Error> {
    let shape = ty.shape.clone();
    match op {
        Op::Const(t) => to_candle(t),
        Op::Iota { axis, .. } => {
            let inner: usize = shape[axis + 1..].iter().product();
            let numbers = (0..ty.len()).map(|k| (k / inner.max(1) % shape[*axis]) as f64).collect::<Vec<_>>();
            CTensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(ctype(ty.dtype))
        }
        Op::Unary(g) => unary(*g, &args[0]),
        Op::Binary(g) => binary(*g, &args[0], &args[1]),
        Op::Compare(c) => {
            let mask = match c {
                Compare::Lt => args[0].lt(&args[1])?,
                Compare::Le => args[0].le(&args[1])?,
                Compare::Eq => args[0].eq(&args[1])?,
            };
            mask.to_dtype(ctype(ty.dtype))
        }
        Op::Select => args[0].ne(&args[0].zeros_like()?)?.where_cond(&args[1], &args[2]),
        Op::Cast(d) => args[0].to_dtype(ctype(*d)),
        Op::Reshape(_) => args[0].reshape(shape),
        Op::Transpose(perm) => args[0].permute(perm.clone())?.contiguous(),
        Op::Broadcast { axes, .. } => {
            let mut thin = vec![1; shape.len()];
            axes.iter().zip(args[0].dims()).for_each(|(&a, &n)| thin[a] = n);
            args[0].reshape(thin)?.broadcast_as(shape)?.contiguous()
        }
        Op::Slice { start, stride, .. } => {
            let mut t = args[0].clone();
            for a in 0..shape.len() {
                let index: Vec<u32> = (0..shape[a]).map(|k| (start[a] + k * stride[a]) as u32).collect();
                t = if stride[a] == 1 { t.narrow(a, start[a], shape[a])? } else { select(&t, index, a)? };
            }
            t.contiguous()
        }
        Op::Pad { low, high, interior } => {
            let mut t = args[0].clone();
            for a in 0..shape.len() {
                t = spread(&t, a, interior[a])?.pad_with_zeros(a, low[a], high[a])?;
            }
            t.contiguous()
        }
        Op::Concat(axis) => CTensor::cat(args, *axis)?.contiguous(),
        Op::Reverse(axes) => {
            let mut t = args[0].clone();
            for &a in axes {
                t = select(&t, (0..shape[a] as u32).rev().collect(), a)?;
            }
            Ok(t)
        }
        Op::Roll { axis, shift } => {
            let n = shape[*axis];
            let from = |k: usize| (k as isize - shift).rem_euclid(n as isize) as u32;
            select(&args[0], (0..n).map(from).collect(), *axis)
        }
        Op::Reduce { kind, axes } => reduce(*kind, &args[0], axes, ty),
        Op::Dot(d) => dot(d, &args[0], &args[1], ty),
        Op::ScatterAdd { size } => {
            // What goes beyond the end goes to one more row.
            let index: Vec<u32> = args[0].flatten_all()?.to_vec1()?;
            let index: Vec<u32> = index.into_iter().map(|i| i.min(*size as u32)).collect();
            let row = shape[1..].iter().product::<usize>();
            let updates = args[1].reshape((index.len(), row))?;
            let zero = CTensor::zeros((size + 1, row), ctype(ty.dtype), &Device::Cpu)?;
            let n = index.len();
            let sums = if n * row == 0 {
                zero
            } else {
                zero.index_add(&CTensor::from_vec(index, n, &Device::Cpu)?, &updates, 0)?
            };
            sums.narrow(0, 0, *size)?.contiguous()?.reshape(shape)
        }
        Op::Input(_)
        | Op::Get(_)
        | Op::Gather
        | Op::Rfft { .. }
        | Op::Irfft { .. }
        | Op::Map { .. }
        | Op::Scan { .. }
        | Op::Solve { .. }
        | Op::LinearSolve { .. }
        | Op::Cond { .. }
        | Op::Memo { .. } => unreachable!("compiler bug: handled by the caller"),
    }
}

fn unary(f: Unary, x: &CTensor) -> Result<CTensor, Error> {
    match f {
        Unary::Neg => x.neg(),
        Unary::Abs => x.abs(),
        Unary::Sign => {
            let zero = x.zeros_like()?;
            let (up, down) = (x.gt(&zero)?.to_dtype(x.dtype())?, x.lt(&zero)?.to_dtype(x.dtype())?);
            // The sign of a NaN is NaN.
            (up - down)? + (x * 0.0)?
        }
        Unary::Floor => x.floor(),
        Unary::Sqrt => x.sqrt(),
        Unary::Exp => x.exp(),
        Unary::Log => x.log(),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Erf => x.erf(),
        Unary::Atan => on_host(x, x, |a, _| math::atan(a)),
    }
}

fn binary(f: Binary, x: &CTensor, y: &CTensor) -> Result<CTensor, Error> {
    match f {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Min => x.minimum(y),
        Binary::Max => x.maximum(y),
        Binary::Pow => on_host(x, y, math::pow),
        Binary::Atan2 => on_host(x, y, math::atan2),
    }
}

fn on_host(x: &CTensor, y: &CTensor, f: fn(f64, f64) -> f64) -> Result<CTensor, Error> {
    let z: Vec<f64> = numbers(x)?.into_iter().zip(numbers(y)?).map(|(a, b)| f(a, b)).collect();
    CTensor::from_vec(z, x.dims(), &Device::Cpu)?.to_dtype(x.dtype())
}

fn reduce(kind: Reduce, x: &CTensor, axes: &[usize], ty: &Type) -> Result<CTensor, Error> {
    if axes.is_empty() {
        return Ok(x.clone());
    }
    if x.elem_count() == 0 {
        let empty = match kind {
            Reduce::Sum => 0.0,
            Reduce::Max => f64::NEG_INFINITY,
            Reduce::Min => f64::INFINITY,
        };
        return to_candle(&Tensor::full(ty, empty));
    }
    match kind {
        Reduce::Sum => x.sum(axes.to_vec()),
        Reduce::Max => axes.iter().rev().try_fold(x.clone(), |x, &a| x.max(a)),
        Reduce::Min => axes.iter().rev().try_fold(x.clone(), |x, &a| x.min(a)),
    }
}

/// As one batch of matrix products.
fn dot(d: &Dot, l: &CTensor, r: &CTensor, ty: &Type) -> Result<CTensor, Error> {
    let free = |t: &CTensor, a: &[usize], b: &[usize]| -> Vec<usize> {
        (0..t.rank()).filter(|i| !a.contains(i) && !b.contains(i)).collect()
    };
    let size = |t: &CTensor, axes: &[usize]| axes.iter().map(|&a| t.dims()[a]).product::<usize>();
    let (lf, rf) = (free(l, &d.lhs_contract, &d.lhs_batch), free(r, &d.rhs_contract, &d.rhs_batch));
    let (batch, m, k, n) = (size(l, &d.lhs_batch), size(l, &lf), size(l, &d.lhs_contract), size(r, &rf));
    if batch * m * k * n == 0 {
        return to_candle(&Tensor::zeros(ty));
    }
    let l = l.permute([&d.lhs_batch[..], &lf, &d.lhs_contract].concat())?.contiguous()?.reshape((batch, m, k))?;
    let r = r.permute([&d.rhs_batch[..], &d.rhs_contract, &rf].concat())?.contiguous()?.reshape((batch, k, n))?;
    l.matmul(&r)?.reshape(ty.shape.clone())
}

pub fn gather(source: &CTensor, index: Vec<u32>, ty: &Type) -> Result<CTensor, Error> {
    if ty.is_empty() {
        return to_candle(&Tensor::zeros(ty));
    }
    select(source, index, 0)?.reshape(ty.shape.clone())
}

fn select(t: &CTensor, index: Vec<u32>, axis: usize) -> Result<CTensor, Error> {
    let n = index.len();
    t.contiguous()?.index_select(&CTensor::from_vec(index, n, &Device::Cpu)?, axis)
}

/// `k` zeros between neighbours along an axis.
fn spread(t: &CTensor, axis: usize, k: usize) -> Result<CTensor, Error> {
    let n = t.dims()[axis];
    if k == 0 || n < 2 {
        return Ok(t.clone());
    }
    let mut shape = t.dims().to_vec();
    shape.insert(axis + 1, k);
    let zeros = CTensor::zeros(shape.clone(), t.dtype(), &Device::Cpu)?;
    let wide = CTensor::cat(&[&t.unsqueeze(axis + 1)?, &zeros], axis + 1)?;
    shape.remove(axis + 1);
    shape[axis] = n * (k + 1);
    wide.reshape(shape)?.narrow(axis, 0, n + (n - 1) * k)
}
