//! Parsing.

use super::super::{
    Binary, Block, Compare, DType, Dot, Func, GridHint, Jacobian, LinearSolver, MemoSpec, Node, Op, Reduce, SolveSpec,
    Tensor, Type, Unary, Value, shape,
};
use super::write::{binary_name, unary_name};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

/// The function that `text` describes, or what is wrong and in which line.
pub fn parse(text: &str) -> Result<Func, String> {
    let mut p = Parser { tokens: tokens(text)?, at: 0 };
    let f = p.func().map_err(|e| format!("line {}: {e}", p.line()))?;
    match p.tokens.get(p.at) {
        None => Ok(f),
        Some((t, _)) => Err(format!("line {}: expected the end, found `{t}`", p.line())),
    }
}

/// Words, quoted strings (with their first quote kept) and punctuation, each with its line.
fn tokens(text: &str) -> Result<Vec<(String, usize)>, String> {
    let mut out: Vec<(String, usize)> = vec![];
    let mut chars = text.chars().peekable();
    let mut line = 1;
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            c if c.is_whitespace() => {}
            '#' => while chars.next_if(|&c| c != '\n').is_some() {},
            '"' => {
                let mut word = String::from('"');
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => word.extend(chars.next()),
                        Some(c) => word.push(c),
                        None => return Err(format!("line {line}: a string without its end")),
                    }
                }
                out.push((word, line));
            }
            '(' | ')' | '{' | '}' | '[' | ']' | ',' | ':' | '=' => out.push((c.into(), line)),
            c => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || "_.+-%".contains(*c)) {
                    word.push(c);
                }
                out.push((word, line));
            }
        }
    }
    Ok(out)
}

struct Parser {
    tokens: Vec<(String, usize)>,
    /// The next token.
    at: usize,
}

impl Parser {
    fn line(&self) -> usize {
        let read = self.at.clamp(1, self.tokens.len().max(1)) - 1;
        self.tokens.get(read).map_or(1, |t| t.1)
    }

    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", |t| &t.0)
    }

    fn next(&mut self, expected: &str) -> Result<String, String> {
        match self.tokens.get(self.at) {
            Some((t, _)) => {
                self.at += 1;
                Ok(t.clone())
            }
            None => Err(format!("expected {expected}, found the end")),
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        let found = self.next(&format!("`{token}`"))?;
        if found == token { Ok(()) } else { Err(format!("expected `{token}`, found `{found}`")) }
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.at += found as usize;
        found
    }

    fn func(&mut self) -> Result<Func, String> {
        self.expect("func")?;
        let name = self.string()?;
        self.expect("(")?;
        let mut inputs = vec![];
        while !self.take(")") {
            inputs.push(self.ty()?);
        }
        self.expect("{")?;
        let mut f = Func { name, inputs, ..Func::default() };
        let mut names: HashMap<String, Value> = HashMap::new();
        while !self.take("return") {
            let name = self.next("a node or `return`")?;
            self.expect("=")?;
            let node = self.node(&f, &names)?;
            names.insert(name, Value(f.nodes.len() as u32));
            f.nodes.push(node);
        }
        while !self.take("}") {
            let v = self.value(&names)?;
            f.outputs.push(v);
        }
        Ok(f)
    }

    fn node(&mut self, f: &Func, names: &HashMap<String, Value>) -> Result<Node, String> {
        let mut op = self.op()?;
        let mut args = vec![];
        while !self.take(":") {
            args.push(self.value(names)?);
        }
        let mut given = vec![];
        while ["f64", "f32", "index"].contains(&self.peek()) {
            given.push(self.ty()?);
        }
        if self.peek() == "{" {
            self.bodies(&mut op)?;
        }
        let types: Vec<&Type> = args.iter().map(|&a| f.ty(a)).collect();
        let types = match &op {
            Op::Input(k) => vec![f.inputs.get(*k).ok_or(format!("there is no input {k}"))?.clone()],
            Op::Get(k) => {
                let source = args.first().map(|&a| f.node(a)).ok_or("`get` reads one node")?;
                vec![source.types.get(*k).ok_or(format!("there is no result {k}"))?.clone()]
            }
            op => shape::infer(op, &types)?,
        };
        if given != types {
            let show = |ts: &[Type]| ts.iter().map(|t| t.to_string()).collect::<Vec<_>>().join(" ");
            return Err(format!("has the type {}, not {}", show(&types), show(&given)));
        }
        Ok(Node { op, args, types })
    }

    /// The operation; bodies follow after the types and are empty until then.
    fn op(&mut self) -> Result<Op, String> {
        let name = self.next("an operation")?;
        let body = Arc::<Func>::default;
        Ok(match name.as_str() {
            "input" => Op::Input(self.number()?),
            "const" => Op::Const(self.tensor()?),
            "iota" => Op::Iota { dtype: self.dtype()?, shape: self.list()?, axis: self.number()? },
            "lt" => Op::Compare(Compare::Lt),
            "le" => Op::Compare(Compare::Le),
            "eq" => Op::Compare(Compare::Eq),
            "select" => Op::Select,
            "cast" => Op::Cast(self.dtype()?),
            "reshape" => Op::Reshape(self.list()?),
            "transpose" => Op::Transpose(self.list()?),
            "broadcast" => Op::Broadcast { shape: self.list()?, axes: self.list()? },
            "slice" => Op::Slice { start: self.list()?, end: self.list()?, stride: self.list()? },
            "pad" => Op::Pad { low: self.list()?, high: self.list()?, interior: self.list()? },
            "concat" => Op::Concat(self.number()?),
            "reverse" => Op::Reverse(self.list()?),
            "rfft" => Op::Rfft { rank: self.number()? },
            "irfft" => Op::Irfft { rank: self.number()?, n: self.number()? },
            "roll" => Op::Roll { axis: self.number()?, shift: self.number()? },
            "reduce_sum" => Op::Reduce { kind: Reduce::Sum, axes: self.list()? },
            "reduce_max" => Op::Reduce { kind: Reduce::Max, axes: self.list()? },
            "reduce_min" => Op::Reduce { kind: Reduce::Min, axes: self.list()? },
            "dot" => Op::Dot(Dot {
                lhs_contract: self.list()?,
                rhs_contract: self.list()?,
                lhs_batch: self.list()?,
                rhs_batch: self.list()?,
            }),
            "gather" => Op::Gather,
            "scatter_add" => Op::ScatterAdd { size: self.number()? },
            "map" => Op::Map { n: self.number()?, mapped: self.flags()?, body: body() },
            "scan" => Op::Scan {
                length: self.number()?,
                carry: self.number()?,
                xs: self.number()?,
                reverse: self.next("`forward` or `reverse`")? == "reverse",
                body: body(),
            },
            "solve" => Op::Solve { spec: Arc::new(self.solve_spec()?), residual: body() },
            "linear_solve" | "linear_solve_transposed" => Op::LinearSolve {
                spec: Arc::new(self.solve_spec()?),
                transposed: name.ends_with("transposed"),
                residual: body(),
            },
            "cond" => Op::Cond { then: body(), otherwise: body() },
            "memo" => {
                let spec =
                    MemoSpec { name: self.string()?, reuse: self.number()?, scale: self.list()?, slopes: self.list()? };
                Op::Memo { spec: Arc::new(spec), body: body() }
            }
            "get" => Op::Get(self.number()?),
            name => pointwise(name).ok_or(format!("unknown operation `{name}`"))?,
        })
    }

    fn bodies(&mut self, op: &mut Op) -> Result<(), String> {
        self.expect("{")?;
        match op {
            Op::Map { body, .. } | Op::Scan { body, .. } | Op::Memo { body, .. } => *body = Arc::new(self.func()?),
            Op::Solve { residual, spec } | Op::LinearSolve { residual, spec, .. } => {
                *residual = Arc::new(self.func()?);
                if let Some(j) = &spec.jacobian {
                    let jacobian = Jacobian { values: self.func()?, blocks: j.blocks.clone() };
                    *spec = Arc::new(SolveSpec { jacobian: Some(Arc::new(jacobian)), ..(**spec).clone() });
                }
            }
            Op::Cond { then, otherwise } => {
                *then = Arc::new(self.func()?);
                *otherwise = Arc::new(self.func()?);
            }
            _ => return Err("this operation has no body".into()),
        }
        self.expect("}")
    }

    fn solve_spec(&mut self) -> Result<SolveSpec, String> {
        Ok(SolveSpec {
            name: self.string()?,
            scale: if self.take("scale") { Some(self.string()?) } else { None },
            linear: self.take("linear"),
            symmetric: self.take("symmetric"),
            constant_kernel: self.take("constant_kernel"),
            solver: match self.next("a linear solver")?.as_str() {
                "auto" => LinearSolver::Auto,
                "direct" => LinearSolver::Direct,
                "multigrid" => LinearSolver::Multigrid,
                other => return Err(format!("expected `auto`, `direct` or `multigrid`, found `{other}`")),
            },
            linear_tolerance: self.number()?,
            newton_tolerance: self.number()?,
            newton_iterations: self.number()?,
            may_fail: self.take("may_fail"),
            grid: match self.take("grid") {
                false => None,
                true => Some(GridHint {
                    points: self.list()?,
                    periodic: self.flags()?,
                    components: self.number()?,
                    unknowns: self.list()?.into(),
                }),
            },
            jacobian: match self.take("jacobian") {
                false => None,
                true => {
                    let n: usize = self.number()?;
                    let block = |p: &mut Parser| Ok(Block { rows: p.tensor()?, cols: p.tensor()? });
                    let blocks = (0..n).map(|_| block(self)).collect::<Result<_, String>>()?;
                    Some(Arc::new(Jacobian { values: Func::default(), blocks }))
                }
            },
        })
    }

    fn value(&mut self, names: &HashMap<String, Value>) -> Result<Value, String> {
        let name = self.next("a value")?;
        if !name.starts_with('%') {
            return Err(format!("expected a value such as `%0`, found `{name}`"));
        }
        names.get(&name).copied().ok_or(format!("{name} is not defined before"))
    }

    fn string(&mut self) -> Result<String, String> {
        let t = self.next("a string")?;
        t.strip_prefix('"').map(str::to_string).ok_or(format!("expected a string, found `{t}`"))
    }

    fn number<T: FromStr>(&mut self) -> Result<T, String> {
        let t = self.next("a number")?;
        t.parse().map_err(|_| format!("expected a number, found `{t}`"))
    }

    fn list<T: FromStr>(&mut self) -> Result<Vec<T>, String> {
        self.expect("[")?;
        let mut items = vec![];
        while !self.take("]") {
            items.push(self.number()?);
            self.take(",");
        }
        Ok(items)
    }

    fn flags(&mut self) -> Result<Vec<bool>, String> {
        Ok(self.list::<u8>()?.into_iter().map(|b| b != 0).collect())
    }

    fn dtype(&mut self) -> Result<DType, String> {
        match self.next("a type")?.as_str() {
            "f64" => Ok(DType::F64),
            "f32" => Ok(DType::F32),
            "index" => Ok(DType::Index),
            other => Err(format!("expected a type, found `{other}`")),
        }
    }

    fn ty(&mut self) -> Result<Type, String> {
        Ok(Type::new(self.dtype()?, self.list::<usize>()?))
    }

    fn tensor(&mut self) -> Result<Tensor, String> {
        let ty = self.ty()?;
        let count = |n: usize| {
            if n == ty.len() { Ok(()) } else { Err(format!("{n} elements for {ty}")) }
        };
        match ty.dtype {
            DType::F64 => {
                let d: Vec<f64> = self.list()?;
                count(d.len()).map(|()| Tensor::f64(ty.shape.clone(), d))
            }
            DType::F32 => {
                let d: Vec<f32> = self.list()?;
                count(d.len()).map(|()| Tensor::f32(ty.shape.clone(), d))
            }
            DType::Index => {
                let d: Vec<u32> = self.list()?;
                count(d.len()).map(|()| Tensor::index(ty.shape.clone(), d))
            }
        }
    }
}

fn pointwise(name: &str) -> Option<Op> {
    use Unary::*;
    let unary = [Neg, Abs, Sign, Floor, Sqrt, Exp, Log, Sin, Cos, Tanh, Atan, Erf];
    let binary =
        [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Pow, Binary::Min, Binary::Max, Binary::Atan2];
    let found = unary.into_iter().find(|&f| unary_name(f) == name).map(Op::Unary);
    found.or_else(|| binary.into_iter().find(|&f| binary_name(f) == name).map(Op::Binary))
}
