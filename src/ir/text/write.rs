//! Printing.

use super::super::{Binary, Compare, DType, Data, Func, LinearSolver, Op, Reduce, SolveSpec, Tensor, Unary};
use std::fmt::Write;

/// The function as text.
pub fn print(f: &Func) -> String {
    let mut out = String::new();
    func(&mut out, f, 0);
    out
}

fn func(out: &mut String, f: &Func, depth: usize) {
    let pad = "  ".repeat(depth);
    let types = |ts: &[super::super::Type]| ts.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(" ");
    line(out, format_args!("{pad}func {:?} ({}) {{", f.name, types(&f.inputs)));
    for (v, node) in f.values() {
        let mut text = format!("{pad}  %{} = {}", v.0, head(&node.op));
        node.args.iter().for_each(|a| text += &format!(" %{}", a.0));
        text += &format!(" : {}", types(&node.types));
        let bodies = Func::bodies(&node.op);
        let jacobian = match &node.op {
            Op::Solve { spec, .. } | Op::LinearSolve { spec, .. } => spec.jacobian.as_ref(),
            _ => None,
        };
        if bodies.is_empty() {
            line(out, format_args!("{text}"));
            continue;
        }
        line(out, format_args!("{text} {{"));
        bodies.into_iter().for_each(|body| func(out, body, depth + 2));
        if let Some(j) = jacobian {
            func(out, &j.values, depth + 2);
        }
        line(out, format_args!("{pad}  }}"));
    }
    let outputs: String = f.outputs.iter().map(|v| format!(" %{}", v.0)).collect();
    line(out, format_args!("{pad}  return{outputs}"));
    line(out, format_args!("{pad}}}"));
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    writeln!(out, "{text}").expect("writing to a string succeeds");
}

/// Name and attributes.
fn head(op: &Op) -> String {
    match op {
        Op::Input(k) => format!("input {k}"),
        Op::Const(t) => format!("const {}", tensor(t)),
        Op::Iota { dtype, shape, axis } => format!("iota {} {} {axis}", dtype_name(*dtype), list(shape)),
        Op::Unary(f) => unary_name(*f).into(),
        Op::Binary(f) => binary_name(*f).into(),
        Op::Compare(c) => compare_name(*c).into(),
        Op::Select => "select".into(),
        Op::Cast(d) => format!("cast {}", dtype_name(*d)),
        Op::Reshape(shape) => format!("reshape {}", list(shape)),
        Op::Transpose(perm) => format!("transpose {}", list(perm)),
        Op::Broadcast { shape, axes } => format!("broadcast {} {}", list(shape), list(axes)),
        Op::Slice { start, end, stride } => format!("slice {} {} {}", list(start), list(end), list(stride)),
        Op::Pad { low, high, interior } => format!("pad {} {} {}", list(low), list(high), list(interior)),
        Op::Concat(axis) => format!("concat {axis}"),
        Op::Reverse(axes) => format!("reverse {}", list(axes)),
        Op::Roll { axis, shift } => format!("roll {axis} {shift}"),
        Op::Rfft { rank } => format!("rfft {rank}"),
        Op::Irfft { rank, n } => format!("irfft {rank} {n}"),
        Op::Reduce { kind, axes } => format!("{} {}", reduce_name(*kind), list(axes)),
        Op::Dot(d) => format!(
            "dot {} {} {} {}",
            list(&d.lhs_contract),
            list(&d.rhs_contract),
            list(&d.lhs_batch),
            list(&d.rhs_batch)
        ),
        Op::Gather => "gather".into(),
        Op::ScatterAdd { size } => format!("scatter_add {size}"),
        Op::Map { n, mapped, .. } => format!("map {n} {}", list(&bits(mapped))),
        Op::Scan { length, carry, xs, reverse, .. } => {
            format!("scan {length} {carry} {xs} {}", if *reverse { "reverse" } else { "forward" })
        }
        Op::Solve { spec, .. } => format!("solve {}", solve_spec(spec)),
        Op::LinearSolve { spec, transposed, .. } => {
            format!("{} {}", if *transposed { "linear_solve_transposed" } else { "linear_solve" }, solve_spec(spec))
        }
        Op::Cond { .. } => "cond".into(),
        Op::Memo { spec, .. } => {
            format!("memo {:?} {:?} {} {}", spec.name, spec.reuse, list(&spec.scale), list(&spec.slopes))
        }
        Op::Get(k) => format!("get {k}"),
    }
}

fn solve_spec(s: &SolveSpec) -> String {
    let flag = |on: bool, name: &str| if on { format!(" {name}") } else { String::new() };
    let mut text = format!("{:?}", s.name);
    text += &s.scale.as_ref().map_or(String::new(), |scale| format!(" scale {scale:?}"));
    text += &flag(s.linear, "linear");
    text += &flag(s.symmetric, "symmetric");
    text += &flag(s.constant_kernel, "constant_kernel");
    text += match s.solver {
        LinearSolver::Auto => " auto",
        LinearSolver::Direct => " direct",
        LinearSolver::Multigrid => " multigrid",
    };
    text += &format!(" {:?} {:?} {}", s.linear_tolerance, s.newton_tolerance, s.newton_iterations);
    text += &flag(s.may_fail, "may_fail");
    if let Some(g) = &s.grid {
        text +=
            &format!(" grid {} {} {} {}", list(&g.points), list(&bits(&g.periodic)), g.components, list(&g.unknowns));
    }
    if let Some(j) = &s.jacobian {
        text += &format!(" jacobian {}", j.blocks.len());
        for b in &j.blocks {
            text += &format!(" {} {}", tensor(&b.rows), tensor(&b.cols));
        }
    }
    text
}

fn bits(flags: &[bool]) -> Vec<u8> {
    flags.iter().map(|&b| b as u8).collect()
}

fn list<T: std::fmt::Debug>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>().join(","))
}

/// Shortest decimals that read back to the same bits.
fn tensor(t: &Tensor) -> String {
    let items = match &t.data {
        Data::F64(d) => list(d),
        Data::F32(d) => list(d),
        Data::Index(d) => list(d),
    };
    format!("{} {items}", t.ty)
}

pub(super) fn dtype_name(d: DType) -> &'static str {
    match d {
        DType::F64 => "f64",
        DType::F32 => "f32",
        DType::Index => "index",
    }
}

pub(super) fn unary_name(f: Unary) -> &'static str {
    match f {
        Unary::Neg => "neg",
        Unary::Abs => "abs",
        Unary::Sign => "sign",
        Unary::Floor => "floor",
        Unary::Sqrt => "sqrt",
        Unary::Exp => "exp",
        Unary::Log => "log",
        Unary::Sin => "sin",
        Unary::Cos => "cos",
        Unary::Tanh => "tanh",
        Unary::Atan => "atan",
        Unary::Erf => "erf",
    }
}

pub(super) fn binary_name(f: Binary) -> &'static str {
    match f {
        Binary::Add => "add",
        Binary::Sub => "sub",
        Binary::Mul => "mul",
        Binary::Div => "div",
        Binary::Pow => "pow",
        Binary::Min => "min",
        Binary::Max => "max",
        Binary::Atan2 => "atan2",
    }
}

fn compare_name(c: Compare) -> &'static str {
    match c {
        Compare::Lt => "lt",
        Compare::Le => "le",
        Compare::Eq => "eq",
    }
}

fn reduce_name(r: Reduce) -> &'static str {
    match r {
        Reduce::Sum => "reduce_sum",
        Reduce::Max => "reduce_max",
        Reduce::Min => "reduce_min",
    }
}
