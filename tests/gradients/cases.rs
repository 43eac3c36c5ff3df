//! One case or more for each primitive, and nests of the structured ones.

use super::check::noise;
use mslc::ir::*;
use std::sync::Arc;

/// A function, where to differentiate it, and in which inputs.
pub struct Case {
    pub name: String,
    pub f: Func,
    pub inputs: Vec<Tensor>,
    pub wrt: Vec<usize>,
}

macro_rules! kinds {
    ($($pattern:pat => $name:literal),* $(,)?) => {
        /// The name of a primitive. The match is exhaustive: a new primitive does not compile until it stands here.
        pub fn kind(op: &Op) -> &'static str {
            match op { $($pattern => $name),* }
        }
        pub const KINDS: &[&str] = &[$($name),*];
    };
}

kinds! {
    Op::Input(_) => "input",
    Op::Const(_) => "const",
    Op::Iota { .. } => "iota",
    Op::Unary(Unary::Neg) => "neg",
    Op::Unary(Unary::Abs) => "abs",
    Op::Unary(Unary::Sign) => "sign",
    Op::Unary(Unary::Floor) => "floor",
    Op::Unary(Unary::Sqrt) => "sqrt",
    Op::Unary(Unary::Exp) => "exp",
    Op::Unary(Unary::Log) => "log",
    Op::Unary(Unary::Sin) => "sin",
    Op::Unary(Unary::Cos) => "cos",
    Op::Unary(Unary::Tanh) => "tanh",
    Op::Unary(Unary::Atan) => "atan",
    Op::Unary(Unary::Erf) => "erf",
    Op::Binary(Binary::Add) => "add",
    Op::Binary(Binary::Sub) => "sub",
    Op::Binary(Binary::Mul) => "mul",
    Op::Binary(Binary::Div) => "div",
    Op::Binary(Binary::Pow) => "pow",
    Op::Binary(Binary::Min) => "min",
    Op::Binary(Binary::Max) => "max",
    Op::Binary(Binary::Atan2) => "atan2",
    Op::Compare(_) => "compare",
    Op::Select => "select",
    Op::Cast(_) => "cast",
    Op::Reshape(_) => "reshape",
    Op::Transpose(_) => "transpose",
    Op::Broadcast { .. } => "broadcast",
    Op::Slice { .. } => "slice",
    Op::Pad { .. } => "pad",
    Op::Concat(_) => "concat",
    Op::Reverse(_) => "reverse",
    Op::Roll { .. } => "roll",
    Op::Rfft { .. } => "rfft",
    Op::Irfft { .. } => "irfft",
    Op::Reduce { kind: Reduce::Sum, .. } => "reduce sum",
    Op::Reduce { kind: Reduce::Max, .. } => "reduce max",
    Op::Reduce { kind: Reduce::Min, .. } => "reduce min",
    Op::Dot(_) => "dot",
    Op::Gather => "gather",
    Op::ScatterAdd { .. } => "scatter add",
    Op::Map { .. } => "map",
    Op::Scan { .. } => "scan",
    Op::Solve { .. } => "solve",
    Op::LinearSolve { .. } => "linear solve",
    Op::Cond { .. } => "cond",
    Op::Memo { .. } => "memo",
    Op::Get(_) => "get",
}

pub fn cases() -> Vec<Case> {
    let mut all = vec![];
    pointwise(&mut all);
    shapes(&mut all);
    contractions(&mut all);
    structured(&mut all);
    nests(&mut all);
    all
}

pub fn func(name: &str, inputs: &[Type], build: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>) -> Func {
    let mut b = Builder::new(name);
    let args: Vec<Value> = inputs.iter().map(|t| b.input(t.clone())).collect();
    let out = build(&mut b, &args);
    b.finish(out)
}

/// Inputs in (0.3, 1.7), all differentiated.
fn case(
    all: &mut Vec<Case>,
    name: &str,
    shapes: &[&[usize]],
    build: impl FnOnce(&mut Builder, &[Value]) -> Vec<Value>,
) {
    let types: Vec<Type> = shapes.iter().map(|&s| Type::f64(s)).collect();
    let positive = |(k, s): (usize, &&[usize])| {
        let x: Vec<f64> = noise(s, 100 + 7 * k as u64).to_f64().iter().map(|x| 1.0 + 0.7 * x).collect();
        Tensor::f64(*s, x)
    };
    let inputs = shapes.iter().enumerate().map(positive).collect();
    all.push(Case { name: name.into(), f: func(name, &types, build), inputs, wrt: (0..shapes.len()).collect() });
}

/// Differentiated in some of the inputs only.
fn frozen(mut all: Vec<Case>, wrt: &[usize]) -> Vec<Case> {
    all.iter_mut().for_each(|c| c.wrt = wrt.to_vec());
    all
}

fn pointwise(all: &mut Vec<Case>) {
    use Unary::*;
    for f in [Neg, Abs, Sign, Floor, Sqrt, Exp, Log, Sin, Cos, Tanh, Atan, Erf] {
        // Shifted off the kinks of abs, sign and floor; times x, so that constant functions have a derivative, too.
        case(all, &format!("{f:?}"), &[&[5]], |b, x| {
            let y = b.unary(f, x[0]);
            vec![y, b.mul(y, x[0])]
        });
    }
    for f in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Pow, Binary::Min, Binary::Max, Binary::Atan2]
    {
        case(all, &format!("{f:?}"), &[&[5], &[5]], |b, x| vec![b.binary(f, x[0], x[1])]);
        case(all, &format!("{f:?} of one"), &[&[5]], |b, x| {
            let half = b.full(&Type::f64([5]), 0.95);
            vec![b.binary(f, x[0], half), b.binary(f, half, x[0])]
        });
    }
    case(all, "power with constant exponent", &[&[5]], |b, x| {
        let p = b.full(&Type::f64([5]), 2.7);
        vec![b.binary(Binary::Pow, x[0], p)]
    });
    case(all, "select by comparison", &[&[5], &[5]], |b, x| {
        let mask = b.compare(Compare::Lt, x[0], x[1]);
        let (s, p) = (b.unary(Sin, x[0]), b.mul(x[0], x[1]));
        let chosen = b.select(mask, s, p);
        vec![chosen, b.mul(mask, s)]
    });
    case(all, "iota and constant", &[&[2, 3]], |b, x| {
        let i = b.op(Op::Iota { dtype: DType::F64, shape: vec![2, 3], axis: 1 }, &[]);
        let c = b.constant(noise(&[2, 3], 9));
        let (p, q) = (b.mul(i, x[0]), b.div(c, x[0]));
        vec![b.add(p, q)]
    });
}

fn shapes(all: &mut Vec<Case>) {
    let mut shape = |name: &str, s: &[usize], op: Op| {
        case(all, name, &[s], |b, x| {
            let y = b.op(op, &[x[0]]);
            vec![b.mul(y, y)]
        });
    };
    shape("reshape", &[2, 3], Op::Reshape(vec![3, 2]));
    shape("transpose", &[2, 3, 4], Op::Transpose(vec![2, 0, 1]));
    shape("broadcast", &[2, 3], Op::Broadcast { shape: vec![2, 4, 3], axes: vec![0, 2] });
    shape("slice", &[5, 7], Op::Slice { start: vec![1, 0], end: vec![4, 6], stride: vec![1, 4] });
    shape("pad", &[2, 3], Op::Pad { low: vec![1, 0], high: vec![0, 2], interior: vec![0, 2] });
    shape("reverse", &[2, 3], Op::Reverse(vec![1]));
    shape("roll", &[2, 5], Op::Roll { axis: 1, shift: 2 });
    shape("rfft", &[2, 5], Op::Rfft { rank: 1 });
    shape("rfft", &[3, 4, 6], Op::Rfft { rank: 2 });
    shape("irfft", &[2, 2, 3], Op::Irfft { rank: 1, n: 5 });
    shape("irfft", &[2, 3, 4], Op::Irfft { rank: 2, n: 6 });
    shape("sum", &[2, 3, 4], Op::Reduce { kind: Reduce::Sum, axes: vec![0, 2] });
    shape("max", &[2, 3, 4], Op::Reduce { kind: Reduce::Max, axes: vec![0, 2] });
    shape("min", &[2, 3, 4], Op::Reduce { kind: Reduce::Min, axes: vec![1] });
    case(all, "concat", &[&[2, 2], &[2, 3]], |b, x| {
        let c = b.constant(noise(&[2, 1], 4));
        let y = b.concat(&[x[0], c, x[1], x[0]], 1);
        vec![b.mul(y, y)]
    });
    case(all, "gather and scatter", &[&[4, 2]], |b, x| {
        let i = b.constant(Tensor::index([2, 3], [0, 3, 3, 1, 0, 2]));
        let y = b.gather(x[0], i);
        let squares = b.mul(y, y);
        // An index beyond the end is dropped.
        let j = b.constant(Tensor::index([2, 3], [1, 1, 0, 2, 7, 2]));
        vec![squares, b.scatter_add(3, j, squares)]
    });
    // Casts in single precision are linear; their rounding hides in no difference, so they are exact here.
    case(all, "cast", &[&[3]], |b, x| {
        let i = b.op(Op::Cast(DType::Index), &[x[0]]);
        let source = b.concat(&[x[0], x[0]], 0);
        let y = b.gather(source, i);
        let z = b.scatter_add(1, i, x[0]);
        vec![b.mul(y, x[0]), b.mul(z, z)]
    });
}

fn contractions(all: &mut Vec<Case>) {
    let mut dot = |name: &str, l: &[usize], r: &[usize], d: Dot| {
        case(all, name, &[l, r], |b, x| {
            let y = b.dot(x[0], x[1], d);
            vec![b.mul(y, y)]
        });
    };
    let d = |lc: &[usize], rc: &[usize], lb: &[usize], rb: &[usize]| Dot {
        lhs_contract: lc.to_vec(),
        rhs_contract: rc.to_vec(),
        lhs_batch: lb.to_vec(),
        rhs_batch: rb.to_vec(),
    };
    dot("matrix product", &[2, 3], &[3, 4], d(&[1], &[0], &[], &[]));
    dot("inner product", &[3], &[3], d(&[0], &[0], &[], &[]));
    dot("outer product", &[2], &[3], d(&[], &[], &[], &[]));
    dot("batched product", &[2, 5, 3], &[4, 3, 5], d(&[1], &[2], &[2], &[1]));
    dot("double contraction", &[2, 3, 4, 2], &[4, 2, 5, 2], d(&[0, 2], &[1, 0], &[3], &[3]));
    dot("double contraction, crossed", &[2, 3, 4], &[4, 3, 2], d(&[2, 0], &[0, 2], &[], &[]));
}

fn structured(all: &mut Vec<Case>) {
    case(all, "map", &[&[3, 2], &[2, 2], &[3]], |b, x| {
        let body = func("item", &[Type::f64([2]), Type::f64([2, 2]), Type::f64([])], |b, x| {
            let y = b.matmul(x[1], x[0]);
            let t = b.unary(Unary::Tanh, y);
            vec![b.mul(t, x[2]), x[2]]
        });
        b.map(Arc::new(body), 3, vec![true, false, true], x)
    });
    // exp(A) is the same for all items and is not to be kept for each.
    case(all, "map with shared work", &[&[3, 2], &[2, 2]], |b, x| {
        let body = func("item", &[Type::f64([2]), Type::f64([2, 2])], |b, x| {
            let e = b.unary(Unary::Exp, x[1]);
            let y = b.matmul(e, x[0]);
            vec![b.mul(y, y)]
        });
        b.map(Arc::new(body), 3, vec![true, false], x)
    });
    for reverse in [false, true] {
        case(all, &format!("scan, reverse {reverse}"), &[&[2], &[4, 2], &[2, 2]], |b, x| {
            b.ops(Op::Scan { body: step(), length: 4, carry: 1, xs: 1, reverse }, x)
        });
    }
    // The carry starts from a constant and gains its tangent on the way; a second one stays without.
    case(all, "scan from zero", &[&[4], &[]], |b, x| {
        let body = func("step", &[Type::f64([]), Type::f64([]), Type::f64([]), Type::f64([])], |b, x| {
            let s = b.mul(x[2], x[3]);
            let sum = b.add(x[0], s);
            let counted = b.add(x[1], x[1]);
            let y = b.mul(sum, sum);
            vec![sum, counted, y]
        });
        let (zero, one) = (b.scalar(0.0), b.scalar(1.0));
        b.ops(Op::Scan { body: Arc::new(body), length: 4, carry: 2, xs: 1, reverse: false }, &[zero, one, x[0], x[1]])
    });
    for mask in [0.0, 1.0] {
        case(all, &format!("cond {mask}"), &[&[2], &[2]], |b, x| {
            let then = func("then", &[Type::f64([2]), Type::f64([2])], |b, x| {
                let s = b.unary(Unary::Sin, x[0]);
                vec![b.mul(s, x[1]), x[0]]
            });
            let otherwise = func("otherwise", &[Type::f64([2]), Type::f64([2])], |b, x| {
                let e = b.unary(Unary::Exp, x[1]);
                let c = b.constant(noise(&[2], 3));
                vec![b.mul(e, e), c]
            });
            // Not a constant, so that the branch is chosen in the run.
            let zero = b.scalar(0.0);
            let first = b.index(x[0], 0, 0);
            let sign = b.compare(if mask == 0.0 { Compare::Lt } else { Compare::Le }, first, zero);
            let flipped = b.compare(Compare::Eq, sign, zero);
            let m = if mask == 0.0 { sign } else { flipped };
            b.ops(Op::Cond { then: Arc::new(then), otherwise: Arc::new(otherwise) }, &[m, x[0], x[1]])
        });
    }
    // On the lattice in both arguments, or with the second as part of the function.
    for (name, second) in [("memo", 1.0), ("memo of a parameter", f64::INFINITY)] {
        case(all, name, &[&[], &[2]], |b, x| {
            let body = func("law", &[Type::f64([]), Type::f64([2])], |b, x| {
                let e = b.unary(Unary::Exp, x[0]);
                let y = b.mul(e, x[1]);
                vec![b.mul(y, y), e]
            });
            let spec = MemoSpec { name: "law".into(), reuse: 0.1, scale: vec![1.0, second], slopes: vec![] };
            b.ops(Op::Memo { body: Arc::new(body), spec: Arc::new(spec) }, x)
        });
    }
    let mut solve = Vec::new();
    case(&mut solve, "solve", &[&[3], &[3]], |b, x| vec![solve_op(b, residual(), x)]);
    all.extend(frozen(solve, &[1]));
    let mut linear = Vec::new();
    for transposed in [false, true] {
        case(&mut linear, &format!("linear solve, transposed {transposed}"), &[&[3], &[3], &[3]], |b, x| {
            let spec = Arc::new(SolveSpec::default());
            vec![b.op(Op::LinearSolve { residual: residual(), spec, transposed }, x)]
        });
    }
    all.extend(linear);
}

/// The same function in single precision, bodies included.
pub fn single(f: &Func) -> Func {
    let retype = |t: &Type| if t.dtype == DType::F64 { Type::f32(t.shape.clone()) } else { t.clone() };
    let mut b = Builder::new(f.name.clone());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(retype(t))).collect();
    let mut new: Vec<Vec<Value>> = vec![];
    for node in &f.nodes {
        let args: Vec<Value> = node.args.iter().map(|a| new[a.index()][0]).collect();
        new.push(match &node.op {
            Op::Input(k) => vec![inputs[*k]],
            Op::Get(k) => vec![new[node.args[0].index()][*k]],
            Op::Const(t) => match t.as_f64() {
                Some(d) => {
                    let data: Vec<f32> = d.iter().map(|&x| x as f32).collect();
                    vec![b.constant(Tensor::f32(t.ty.shape.clone(), data))]
                }
                None => vec![b.constant(t.clone())],
            },
            Op::Iota { shape, axis, .. } => {
                b.ops(Op::Iota { dtype: DType::F32, shape: shape.clone(), axis: *axis }, &args)
            }
            op => b.ops(build::with_bodies(op, &mut |body| Arc::new(single(body))), &args),
        });
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()][0]).collect())
}

fn nests(all: &mut Vec<Case>) {
    // Newton inside a time loop: implicit Euler.
    case(all, "solve in scan", &[&[3], &[4, 3]], |b, x| {
        let body = func("euler", &[Type::f64([3]), Type::f64([3])], |b, x| {
            let p = b.add(x[0], x[1]);
            let u = solve_op(b, residual(), &[x[0], p]);
            let y = b.mul(u, u);
            vec![u, y]
        });
        b.ops(Op::Scan { body: Arc::new(body), length: 4, carry: 1, xs: 1, reverse: false }, x)
    });
    case(all, "scan in map in cond", &[&[2, 2], &[4, 2], &[2, 2]], |b, x| {
        let inner = func("item", &[Type::f64([2]), Type::f64([4, 2]), Type::f64([2, 2])], |b, x| {
            b.ops(Op::Scan { body: step(), length: 4, carry: 1, xs: 1, reverse: true }, x)
        });
        let types = [Type::f64([2, 2]), Type::f64([4, 2]), Type::f64([2, 2])];
        let then = func("then", &types, |b, x| {
            let out = b.map(Arc::new(inner), 2, vec![true, false, false], x);
            vec![out[0], b.sum_all(out[1])]
        });
        let otherwise = func("otherwise", &types, |b, x| {
            let s = b.sum_all(x[1]);
            vec![b.mul(x[0], x[2]), s]
        });
        let s = b.sum_all(x[0]);
        let one = b.scalar(-100.0);
        let mask = b.compare(Compare::Lt, one, s);
        b.ops(Op::Cond { then: Arc::new(then), otherwise: Arc::new(otherwise) }, &[mask, x[0], x[1], x[2]])
    });
    // FE²: at each point of a macroscopic residual a microscopic problem is solved.
    let mut nested = Vec::new();
    case(&mut nested, "solve in map in solve", &[&[2], &[2]], |b, x| {
        let micro = func("point", &[Type::f64([]), Type::f64([])], |b, x| {
            let (u, p) = (b.broadcast_to(x[0], &[3]), b.broadcast_to(x[1], &[3]));
            let load = b.add(u, p);
            let w = solve_op(b, residual(), &[p, load]);
            vec![b.sum_all(w)]
        });
        let macroscopic = func("macro", &[Type::f64([2]), Type::f64([2])], |b, x| {
            let flux = b.map(Arc::new(micro), 2, vec![true, true], x)[0];
            let stiff = b.scale(x[0], 2.0);
            let sum = b.add(stiff, flux);
            vec![b.sub(sum, x[1])]
        });
        vec![solve_op(b, Arc::new(macroscopic), x)]
    });
    all.extend(frozen(nested, &[1]));
}

/// `(c, x, A) → (tanh(A c) + x, c·x)`
fn step() -> Arc<Func> {
    Arc::new(func("step", &[Type::f64([2]), Type::f64([2]), Type::f64([2, 2])], |b, x| {
        let y = b.matmul(x[2], x[0]);
        let t = b.unary(Unary::Tanh, y);
        let next = b.add(t, x[1]);
        vec![next, b.mul(x[0], x[1])]
    }))
}

/// Three coupled cubic equations: `u + u³/3 + M u = p`, with an unsymmetric M.
fn residual() -> Arc<Func> {
    Arc::new(func("residual", &[Type::f64([3]), Type::f64([3])], |b, x| {
        let m = b.constant(Tensor::f64([3, 3], [0.2, 0.5, 0.0, -0.3, 0.1, 0.2, 0.0, 0.4, 0.3]));
        let product = b.matmul(m, x[0]);
        let square = b.mul(x[0], x[0]);
        let cube = b.mul(square, x[0]);
        let third = b.scale(cube, 1.0 / 3.0);
        let left = b.add(x[0], third);
        let left = b.add(left, product);
        vec![b.sub(left, x[1])]
    }))
}

fn solve_op(b: &mut Builder, residual: Arc<Func>, args: &[Value]) -> Value {
    let spec = SolveSpec { name: residual.name.clone(), newton_tolerance: 1e-12, ..SolveSpec::default() };
    b.op(Op::Solve { residual, spec: Arc::new(spec) }, args)
}
