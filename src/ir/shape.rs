//! The type of every node follows from its operation and its arguments' types. The one place that says so.

use super::{DType, Dot, Func, Op, Type};

/// Result types of `op`, or what is wrong with it.
pub fn infer(op: &Op, args: &[&Type]) -> Result<Vec<Type>, String> {
    let arity = |n: usize| {
        if args.len() == n { Ok(()) } else { Err(format!("expects {n} arguments, has {}", args.len())) }
    };
    let one = |t: Type| Ok(vec![t]);
    match op {
        Op::Input(_) => Err("inputs carry their own type".into()),
        Op::Const(t) => arity(0).and(one(t.ty.clone())),
        Op::Iota { dtype, shape, axis } => {
            arity(0)?;
            check(*axis < shape.len(), || format!("iota axis {axis} of shape {shape:?}"))?;
            one(Type::new(*dtype, shape.clone()))
        }
        Op::Unary(_) => {
            arity(1)?;
            float(args[0])?;
            one(args[0].clone())
        }
        Op::Binary(_) | Op::Compare(_) => {
            arity(2)?;
            float(args[0])?;
            same(args[0], args[1])?;
            one(args[0].clone())
        }
        Op::Select => {
            arity(3)?;
            same(args[1], args[2])?;
            check(args[0].shape == args[1].shape, || format!("mask {} selects from {}", args[0], args[1]))?;
            one(args[1].clone())
        }
        Op::Cast(d) => {
            arity(1)?;
            one(Type::new(*d, args[0].shape.clone()))
        }
        Op::Reshape(shape) => {
            arity(1)?;
            let t = Type::new(args[0].dtype, shape.clone());
            check(t.len() == args[0].len(), || format!("reshape of {} to {t}", args[0]))?;
            one(t)
        }
        Op::Transpose(perm) => {
            arity(1)?;
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            check(sorted.iter().copied().eq(0..args[0].rank()), || format!("permutation {perm:?} of {}", args[0]))?;
            one(Type::new(args[0].dtype, perm.iter().map(|&p| args[0].shape[p]).collect::<Vec<_>>()))
        }
        Op::Broadcast { shape, axes } => {
            arity(1)?;
            let fits = axes.len() == args[0].rank()
                && axes.windows(2).all(|w| w[0] < w[1])
                && axes.iter().enumerate().all(|(i, &a)| shape.get(a) == Some(&args[0].shape[i]));
            check(fits, || format!("broadcast of {} to {shape:?} along {axes:?}", args[0]))?;
            one(Type::new(args[0].dtype, shape.clone()))
        }
        Op::Slice { start, end, stride } => {
            arity(1)?;
            let s = &args[0].shape;
            let fits = [start, end, stride].iter().all(|v| v.len() == s.len())
                && (0..s.len()).all(|i| start[i] <= end[i] && end[i] <= s[i] && stride[i] > 0);
            check(fits, || format!("slice {start:?}..{end:?} by {stride:?} of {}", args[0]))?;
            let shape: Vec<_> = (0..s.len()).map(|i| (end[i] - start[i]).div_ceil(stride[i])).collect();
            one(Type::new(args[0].dtype, shape))
        }
        Op::Pad { low, high, interior } => {
            arity(1)?;
            let s = &args[0].shape;
            check([low, high, interior].iter().all(|v| v.len() == s.len()), || format!("pad of {}", args[0]))?;
            let shape: Vec<_> =
                (0..s.len()).map(|i| low[i] + s[i] + s[i].saturating_sub(1) * interior[i] + high[i]).collect();
            one(Type::new(args[0].dtype, shape))
        }
        Op::Concat(axis) => {
            check(!args.is_empty() && *axis < args[0].rank(), || format!("concat along {axis}"))?;
            let fits = args.iter().all(|t| {
                t.dtype == args[0].dtype
                    && t.rank() == args[0].rank()
                    && (0..t.rank()).all(|i| i == *axis || t.shape[i] == args[0].shape[i])
            });
            check(fits, || "concat of unlike shapes".into())?;
            let mut t = args[0].clone();
            t.shape[*axis] = args.iter().map(|t| t.shape[*axis]).sum();
            one(t)
        }
        Op::Reverse(axes) => {
            arity(1)?;
            check(axes.iter().all(|&a| a < args[0].rank()), || format!("reverse of {axes:?}"))?;
            one(args[0].clone())
        }
        Op::Roll { axis, .. } => {
            arity(1)?;
            check(*axis < args[0].rank(), || format!("roll along {axis} of {}", args[0]))?;
            one(args[0].clone())
        }
        Op::Rfft { rank } => {
            arity(1)?;
            let s = &args[0].shape;
            let fits = args[0].dtype.is_float() && *rank >= 1 && *rank <= s.len() && !s[s.len() - rank..].contains(&0);
            check(fits, || format!("rfft over {rank} axes of {}", args[0]))?;
            let mut shape = s.clone();
            shape.insert(s.len() - rank, 2);
            let last = shape.last_mut().expect("compiler bug: a transform of a number");
            *last = *last / 2 + 1;
            one(Type::new(args[0].dtype, shape))
        }
        Op::Irfft { rank, n } => {
            arity(1)?;
            let s = &args[0].shape;
            let fits = args[0].dtype.is_float()
                && *rank >= 1
                && *rank < s.len()
                && s[s.len() - rank - 1] == 2
                && s[s.len() - 1] == n / 2 + 1
                && !s[s.len() - rank..].contains(&0)
                && *n > 0;
            check(fits, || format!("irfft to {n} over {rank} axes of {}", args[0]))?;
            let mut shape = s.clone();
            shape.remove(s.len() - rank - 1);
            *shape.last_mut().expect("compiler bug: a transform of a number") = *n;
            one(Type::new(args[0].dtype, shape))
        }
        Op::Reduce { axes, .. } => {
            arity(1)?;
            let fits = axes.windows(2).all(|w| w[0] < w[1]) && axes.iter().all(|&a| a < args[0].rank());
            check(fits, || format!("reduction of {} over {axes:?}", args[0]))?;
            let shape: Vec<_> =
                args[0].shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, &n)| n).collect();
            one(Type::new(args[0].dtype, shape))
        }
        Op::Dot(d) => {
            arity(2)?;
            check(args[0].dtype == args[1].dtype, || format!("dot of {} and {}", args[0], args[1]))?;
            one(Type::new(args[0].dtype, dot_shape(d, &args[0].shape, &args[1].shape)?))
        }
        Op::Gather => {
            arity(2)?;
            check(args[1].dtype == DType::Index && args[0].rank() > 0, || {
                format!("gather from {} by {}", args[0], args[1])
            })?;
            let mut shape = args[1].shape.clone();
            shape.extend(&args[0].shape[1..]);
            one(Type::new(args[0].dtype, shape))
        }
        Op::ScatterAdd { size } => {
            arity(2)?;
            let k = args[0].rank();
            let fits = args[0].dtype == DType::Index && args[1].rank() >= k && args[1].shape[..k] == args[0].shape[..];
            check(fits, || format!("scatter of {} by {}", args[1], args[0]))?;
            let mut shape = vec![*size];
            shape.extend(&args[1].shape[k..]);
            one(Type::new(args[1].dtype, shape))
        }
        Op::Map { body, n, mapped } => {
            arity(mapped.len())?;
            let items: Vec<Type> = args
                .iter()
                .zip(mapped)
                .map(|(t, &m)| if m { strip(t, *n) } else { Ok((*t).clone()) })
                .collect::<Result<_, _>>()?;
            call(body, &items)?;
            Ok(body.output_types().iter().map(|t| stack(t, *n)).collect())
        }
        Op::Scan { body, length, carry, xs, .. } => {
            check(args.len() >= carry + xs, || "scan with too few arguments".into())?;
            let items: Vec<Type> = args
                .iter()
                .enumerate()
                .map(|(i, t)| if (*carry..carry + xs).contains(&i) { strip(t, *length) } else { Ok((*t).clone()) })
                .collect::<Result<_, _>>()?;
            call(body, &items)?;
            let out = body.output_types();
            check(out.len() >= *carry && out[..*carry] == items[..*carry], || {
                "scan changes the type of its carry".into()
            })?;
            Ok(out.iter().enumerate().map(|(i, t)| if i < *carry { t.clone() } else { stack(t, *length) }).collect())
        }
        Op::Solve { residual, .. } => {
            let items: Vec<Type> = args.iter().map(|t| (*t).clone()).collect();
            call(residual, &items)?;
            check(residual.output_types() == items[..1], || "residual and unknown differ in type".into())?;
            one(items[0].clone())
        }
        Op::LinearSolve { residual, .. } => {
            check(args.len() > 1, || "linear solve with too few arguments".into())?;
            same(args[0], args[1])?;
            let items: Vec<Type> = args[1..].iter().map(|t| (*t).clone()).collect();
            call(residual, &items)?;
            one(items[0].clone())
        }
        Op::Cond { then, otherwise } => {
            check(!args.is_empty() && args[0].is_scalar(), || "the condition is not a scalar".into())?;
            let items: Vec<Type> = args[1..].iter().map(|t| (*t).clone()).collect();
            call(then, &items)?;
            call(otherwise, &items)?;
            check(then.output_types() == otherwise.output_types(), || "branches differ in type".into())?;
            Ok(then.output_types())
        }
        Op::Memo { body, spec } => {
            let items: Vec<Type> = args.iter().map(|t| (*t).clone()).collect();
            call(body, &items)?;
            let own = body.output_types();
            let mut all = own.clone();
            for &k in &spec.slopes {
                check(k < items.len() && spec.keyed(k), || format!("argument {k} of a memo has no slopes"))?;
                all.extend(own.iter().map(|t| Type::new(t.dtype, [&[items[k].len()], &t.shape[..]].concat())));
            }
            Ok(all)
        }
        Op::Get(_) => Err("`Get` takes its type from the node it reads".into()),
    }
}

fn check(ok: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if ok { Ok(()) } else { Err(message()) }
}

fn float(t: &Type) -> Result<(), String> {
    check(t.dtype.is_float(), || format!("arithmetic on {t}"))
}

fn same(a: &Type, b: &Type) -> Result<(), String> {
    check(a == b, || format!("operands of types {a} and {b}"))
}

fn call(body: &Func, items: &[Type]) -> Result<(), String> {
    check(body.inputs == items, || {
        let show = |ts: &[Type]| ts.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(" ");
        format!("body `{}` takes ({}), is given ({})", body.name, show(&body.inputs), show(items))
    })
}

/// Without the first axis, which must have `n` items.
fn strip(t: &Type, n: usize) -> Result<Type, String> {
    check(t.shape.first() == Some(&n), || format!("{t} has no leading axis of {n}"))?;
    Ok(Type::new(t.dtype, &t.shape[1..]))
}

fn stack(t: &Type, n: usize) -> Type {
    let mut shape = vec![n];
    shape.extend(&t.shape);
    Type::new(t.dtype, shape)
}

fn dot_shape(d: &Dot, l: &[usize], r: &[usize]) -> Result<Vec<usize>, String> {
    let fits = d.lhs_contract.len() == d.rhs_contract.len()
        && d.lhs_batch.len() == d.rhs_batch.len()
        && d.lhs_contract.iter().chain(&d.lhs_batch).all(|&i| i < l.len())
        && d.rhs_contract.iter().chain(&d.rhs_batch).all(|&i| i < r.len())
        && d.lhs_contract.iter().zip(&d.rhs_contract).all(|(&i, &j)| l[i] == r[j])
        && d.lhs_batch.iter().zip(&d.rhs_batch).all(|(&i, &j)| l[i] == r[j]);
    check(fits, || format!("dot of {l:?} and {r:?} as {d:?}"))?;
    let free = |s: &[usize], a: &[usize], b: &[usize]| {
        s.iter().enumerate().filter(|(i, _)| !a.contains(i) && !b.contains(i)).map(|(_, &n)| n).collect::<Vec<_>>()
    };
    let mut shape: Vec<usize> = d.lhs_batch.iter().map(|&i| l[i]).collect();
    shape.extend(free(l, &d.lhs_contract, &d.lhs_batch));
    shape.extend(free(r, &d.rhs_contract, &d.rhs_batch));
    Ok(shape)
}
