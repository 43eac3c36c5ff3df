//! Nets: layers are MSL (`stdlib/nn.msl`); this gives them their weights and puts ports around them. Inside, a net is
//! dimensionless: what enters is shifted and scaled, what leaves is scaled back and shaped by a head.

use super::error::{Result, error};
use super::eval::Lower;
use super::value::{Env, NetValue, Num, PortedNet, Value};
use crate::base::Span;
use crate::data::draw::Stream;
use crate::data::law::Law;
use crate::ir::{Dot, Tensor, Type};
use crate::sema::hir::{DefId, DefKind, Expr, ExprKind, TypeExpr, TypeExprKind};
use std::rc::Rc;

/// Weights as a net's body asks for them, in order: given, or made.
#[derive(Debug)]
pub struct WeightScope {
    given: Option<Vec<Num>>,
    created: Vec<(String, Tensor)>,
    cursor: usize,
    stream: String,
}

/// Between SI and the net.
#[derive(Clone, Debug)]
pub struct Ports {
    /// `(shift, scale)` of each scalar input.
    pub inputs: Vec<(f64, f64)>,
    /// Range of each input in the data; empty where there were none.
    pub range: Vec<(f64, f64)>,
    pub head: Head,
}

/// How the outputs of a net become the result.
#[derive(Clone, Debug)]
pub enum Head {
    /// Components one by one: `shift + scale · z`.
    Free { shape: Vec<usize>, shift: Vec<f64>, scale: Vec<f64> },
    /// A symmetric n×n matrix from its n(n+1)/2 entries.
    Symmetric { n: usize, shift: Vec<f64>, scale: Vec<f64> },
    /// `scale · (L Lᵀ + ε I)` with L = I + lower-triangular z: symmetric positive definite whatever the weights.
    Spd { n: usize, scale: f64 },
}

/// ε of the spd head, relative.
const SPD_FLOOR: f64 = 1e-6;

impl Head {
    /// Number of outputs the net must have.
    pub fn outputs(&self) -> usize {
        match self {
            Head::Free { shape, .. } => shape.iter().product(),
            Head::Symmetric { n, .. } | Head::Spd { n, .. } => n * (n + 1) / 2,
        }
    }

    /// The outputs that would give this result (row-major); none where no outputs could.
    pub fn inverse(&self, result: &[f64]) -> Option<Vec<f64>> {
        match self {
            Head::Free { shift, scale, .. } => {
                Some(result.iter().zip(shift).zip(scale).map(|((y, a), s)| (y - a) / s).collect())
            }
            Head::Symmetric { n, shift, scale } => {
                let entries = (0..*n).flat_map(|i| (0..=i).map(move |j| result[i * n + j]));
                Some(entries.zip(shift).zip(scale).map(|((y, a), s)| (y - a) / s).collect())
            }
            Head::Spd { n, scale } => {
                // Cholesky, row by row; then L = I + z.
                let mut l: Vec<f64> = vec![];
                for i in 0..*n {
                    for j in 0..=i {
                        let floor = if i == j { SPD_FLOOR } else { 0.0 };
                        let inner: f64 = (0..j).map(|k| l[lower(i, k)] * l[lower(j, k)]).sum();
                        let rest = result[i * n + j] / scale - floor - inner;
                        let root = if i == j { rest.sqrt() } else { rest / l[lower(j, j)] };
                        if !root.is_finite() {
                            return None;
                        }
                        l.push(root);
                    }
                }
                Some(
                    (0..*n)
                        .flat_map(|i| (0..=i).map(move |j| (i, j)))
                        .map(|(i, j)| l[lower(i, j)] - (i == j) as u8 as f64)
                        .collect(),
                )
            }
        }
    }
}

/// Position of entry (i, j), i ≥ j, among the lower-triangular entries row by row.
fn lower(i: usize, j: usize) -> usize {
    let (i, j) = (i.max(j), i.min(j));
    i * (i + 1) / 2 + j
}

impl Lower<'_> {
    /// The head that a closure's declared result asks for, with the statistics of a column of results `[rows, …]`.
    pub fn head(&mut self, def: DefId, results: Option<&Tensor>, span: Span) -> Result<Head> {
        let program = self.program;
        let DefKind::Closure { result, ensures, .. } = &program.def(def).kind else {
            return error("coupling.contract", span, "a net serves closures");
        };
        let env = Env::default();
        let shape = match &result.kind {
            TypeExprKind::Real => vec![],
            TypeExprKind::Vec(n) => vec![self.size(n.as_deref(), &env)?.unwrap_or(1)],
            TypeExprKind::Sym(n) => {
                let n = self.size(n.as_deref(), &env)?.unwrap_or(2);
                vec![n, n]
            }
            TypeExprKind::Mat(m, n) => {
                vec![self.size(Some(m), &env)?.unwrap_or(1), self.size(Some(n), &env)?.unwrap_or(1)]
            }
            _ => {
                return error(
                    "nets.port",
                    result.span,
                    "nets serve results that are numbers, vectors and matrices; this type is not supported yet",
                );
            }
        };
        let columns: usize = shape.iter().product();
        let (mean, deviation) = moments(results, columns);
        let spd = ensures.iter().any(|e| self.is_call_of(e, "spd"));
        Ok(match (&result.kind, spd) {
            (TypeExprKind::Sym(_), true) => {
                let n = shape[0];
                let trace: f64 = (0..n).map(|i| mean[i * n + i]).sum::<f64>() / n as f64;
                Head::Spd { n, scale: if trace > 0.0 { trace } else { 1.0 } }
            }
            (TypeExprKind::Sym(_), false) => {
                let n = shape[0];
                let entries = (0..n).flat_map(|i| (0..=i).map(move |j| i * n + j));
                let (shift, scale) = entries.map(|k| (mean[k], deviation[k])).unzip();
                Head::Symmetric { n, shift, scale }
            }
            _ => Head::Free { shape, shift: mean, scale: deviation },
        })
    }

    fn is_call_of(&self, e: &Expr, name: &str) -> bool {
        matches!(&e.kind, ExprKind::Call { callee, .. } if self.is_intrinsic(callee, name))
    }

    /// Makes the initial weights of a net behind ports: one pass through it, on a point.
    pub fn initial_weights(
        &mut self,
        net: &Value,
        ports: &Ports,
        name: &str,
        span: Span,
    ) -> Result<Vec<(String, Tensor)>> {
        let Value::Net(net) = net else {
            return error("nets.port", span, "expected a net, for example `mlp(width=32, depth=3)`");
        };
        let net = net.clone();
        let scope = WeightScope { given: None, created: vec![], cursor: 0, stream: name.into() };
        self.weights.push(scope);
        let outer = self.tracer.set_aside();
        let x = self.tracer.open("initial", &[Type::f64([ports.inputs.len()])]);
        let out = self.apply_net(&net, &x[0], Some(ports.head.outputs()), span);
        self.tracer.abandon(0);
        self.tracer.restore(outer);
        let scope = self.weights.pop().expect("compiler bug: a weight scope was lost");
        out?;
        Ok(scope.created)
    }

    /// A weight of the net being applied.
    pub fn weight(&mut self, name: &str, ty: &TypeExpr, init: &Expr, env: &Env) -> Result<Num> {
        let shape = match &ty.kind {
            TypeExprKind::Real => vec![],
            TypeExprKind::Vec(n) => vec![self.size(n.as_deref(), env)?.unwrap_or(1)],
            TypeExprKind::Mat(m, n) => {
                vec![self.size(Some(m), env)?.unwrap_or(1), self.size(Some(n), env)?.unwrap_or(1)]
            }
            _ => return error("nets.port", ty.span, "a weight is a number, a vector or a matrix"),
        };
        let init_value = self.expr(init, env)?;
        let Some(scope) = self.weights.last_mut() else {
            return error("nets.port", ty.span, "a net has weights only where it is trained, or in an artefact");
        };
        scope.cursor += 1;
        if let Some(given) = &scope.given {
            return match given.get(scope.cursor - 1) {
                Some(n) if n.shape() == shape => Ok(n.clone()),
                _ => error("nets.port", ty.span, format!("weight `{name}` does not fit the stored net")),
            };
        }
        let path = format!("{}.{}.{name}", scope.stream, scope.cursor - 1);
        let tensor = initial(&init_value, &shape, self.seed, &path, init.span)?;
        let scope = self.weights.last_mut().expect("compiler bug: a weight scope was lost");
        scope.created.push((path, tensor.clone()));
        Ok(Num::Const(tensor))
    }

    /// A net of a vector; `outputs` binds the result's size where the net leaves it open.
    pub fn apply_net(&mut self, net: &Rc<NetValue>, x: &Num, outputs: Option<usize>, span: Span) -> Result<Num> {
        match &**net {
            NetValue::Repeat { net, count } => {
                let Value::Net(net) = net else {
                    return error("nets.port", span, "`repeat` takes a net");
                };
                let mut x = x.clone();
                for _ in 0..*count {
                    x = self.apply_net(net, &x, None, span)?;
                }
                Ok(x)
            }
            NetValue::Layer { def, hyper } => {
                let program = self.program;
                let d = program.def(*def);
                let DefKind::Net { lambda, .. } = &d.kind else {
                    return error("shapes.call", span, format!("`{}` is not a net", d.name));
                };
                let [port] = &lambda.params[..] else {
                    return error("unsupported.library", span, "nets with several inputs are not supported yet");
                };
                let mut env = hyper.clone();
                let mut bind = |ty: &Option<TypeExpr>, shape: Option<&[usize]>| {
                    if let (Some(TypeExpr { kind: TypeExprKind::Vec(Some(n)), .. }), Some([k])) = (ty, shape)
                        && let ExprKind::Local(l) = n.kind
                        && lambda.implicit.contains(&l)
                        && env.get(l).is_none()
                    {
                        env.set(l, Value::Int(*k as i64));
                    }
                };
                bind(&port.ty, Some(x.shape()));
                let out = outputs.map(|m| vec![m]);
                bind(&lambda.result, out.as_deref());
                env.set(port.local, Value::Num(x.clone()));
                let v = self.run_lambda(&d.name, lambda, &mut env, span)?;
                self.num(&v, span)
            }
        }
    }

    /// A net behind ports, at a point.
    pub fn call_ported(&mut self, p: &Rc<PortedNet>, args: &[Num], span: Span) -> Result<Num> {
        let Value::Net(net) = &p.net else {
            return error("nets.port", span, "expected a net");
        };
        let refs: Vec<&Num> = args.iter().collect();
        let x = self.tracer.build(&refs, |b, v| {
            let parts: Vec<_> = v
                .iter()
                .zip(&p.ports.inputs)
                .map(|(x, (shift, scale))| {
                    let s = b.scalar(*shift);
                    let d = b.sub(*x, s);
                    b.scale(d, 1.0 / scale)
                })
                .collect();
            b.stack(&parts, 0)
        });
        let members = p.ensemble.max(1);
        let each = p.weights.len() / members;
        let mut sum: Option<Num> = None;
        for m in 0..members {
            let given = p.weights[m * each..(m + 1) * each].to_vec();
            self.weights.push(WeightScope { given: Some(given), created: vec![], cursor: 0, stream: String::new() });
            let z = self.apply_net(net, &x, Some(p.ports.head.outputs()), span);
            self.weights.pop();
            let y = self.through_head(&p.ports.head, &z?);
            sum = Some(match sum {
                None => y,
                Some(s) => self.tracer.build(&[&s, &y], |b, v| b.add(v[0], v[1])),
            });
        }
        let sum = sum.expect("compiler bug: an ensemble of no nets");
        Ok(if members == 1 { sum } else { self.scale_num(&sum, 1.0 / members as f64) })
    }

    pub fn through_head(&mut self, head: &Head, z: &Num) -> Num {
        self.tracer.build(&[z], |b, v| {
            let mut affine = |z, shift: &[f64], scale: &[f64]| {
                let scale = b.constant(Tensor::f64([scale.len()], scale.to_vec()));
                let shift = b.constant(Tensor::f64([shift.len()], shift.to_vec()));
                let s = b.mul(z, scale);
                b.add(s, shift)
            };
            match head {
                Head::Free { shape, shift, scale } => {
                    let y = affine(v[0], shift, scale);
                    b.reshape(y, shape)
                }
                Head::Symmetric { n, shift, scale } => {
                    let y = affine(v[0], shift, scale);
                    let entries: Vec<_> = (0..n * n).map(|k| b.index(y, 0, lower(k / n, k % n))).collect();
                    let flat = b.stack(&entries, 0);
                    b.reshape(flat, &[*n, *n])
                }
                Head::Spd { n, scale } => {
                    let zero = b.scalar(0.0);
                    let entries: Vec<_> = (0..n * n)
                        .map(|k| {
                            let (i, j) = (k / n, k % n);
                            if j > i {
                                return zero;
                            }
                            let z = b.index(v[0], 0, lower(i, j));
                            if i == j {
                                let one = b.scalar(1.0);
                                b.add(one, z)
                            } else {
                                z
                            }
                        })
                        .collect();
                    let flat = b.stack(&entries, 0);
                    let l = b.reshape(flat, &[*n, *n]);
                    let k = b.dot(l, l, Dot { lhs_contract: vec![1], rhs_contract: vec![1], ..Dot::default() });
                    let k = b.scale(k, *scale);
                    let floor: Vec<f64> =
                        (0..n * n).map(|i| if i % (n + 1) == 0 { SPD_FLOOR * scale } else { 0.0 }).collect();
                    let floor = b.constant(Tensor::f64([*n, *n], floor));
                    b.add(k, floor)
                }
            }
        })
    }
}

/// Mean and standard deviation of each of `columns` entries over the rows; 0 and 1 without data.
pub fn moments(results: Option<&Tensor>, columns: usize) -> (Vec<f64>, Vec<f64>) {
    let Some(t) = results.filter(|t| t.ty.len() >= columns && columns > 0) else {
        return (vec![0.0; columns], vec![1.0; columns]);
    };
    let data = t.to_f64();
    let rows = data.len() / columns;
    (0..columns)
        .map(|c| {
            let column = (0..rows).map(|r| data[r * columns + c]);
            let mean = column.clone().sum::<f64>() / rows as f64;
            let variance = column.map(|x| (x - mean) * (x - mean)).sum::<f64>() / rows as f64;
            (mean, if variance > 1e-24 * mean * mean && variance > 0.0 { variance.sqrt() } else { mean.abs().max(1.0) })
        })
        .unzip()
}

/// Initial values by the law that the layer names.
fn initial(law: &Value, shape: &[usize], seed: u64, path: &str, span: Span) -> Result<Tensor> {
    let ty = Type::f64(shape);
    if let Some(x) = law.known() {
        return Ok(Tensor::full(&ty, x));
    }
    let (rows, cols) = match shape {
        [m, n] => (*m, *n),
        [n] => (*n, 1),
        _ => (1, 1),
    };
    let kind = if let Value::Record(r) = law { r.kind.as_str() } else { "" };
    // Uniform in ±a. [Glorot & Bengio 2010, eq. 16; He et al. 2015, eq. 10]
    let a = match kind {
        "glorot" => (6.0 / (rows + cols) as f64).sqrt(),
        "he" => (6.0 / cols as f64).sqrt(),
        _ => return error("nets.port", span, "a weight starts from a number, `glorot()` or `he()`"),
    };
    let stream = Stream::new(seed, path);
    let law = Law::Uniform { low: -a, high: a };
    let data: Vec<f64> = (0..ty.len()).map(|i| law.quantile(stream.uniform(i as u64, 0))).collect();
    Ok(Tensor::f64(shape, data))
}
