//! `minimize`: what is sought (`over`), what is made small (`loss`), how (`stage`). Losses are traced into one function of the
//! sought values; the runtime differentiates and minimises it.

use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::net::{Head, Ports, moments};
use super::runtime::{Stage, Training};
use super::value::{Artefact, Behind, Closure, Env, NetValue, Num, PortedNet, Sample, Value};
use crate::base::Span;
use crate::ir::{Tensor, Type};
use crate::sema::hir::{
    Block, BlockStmt, DefId, DefKind, Expr, ExprKind, LocalId, MinimizeStmt, MinimizeStmtKind, TypeExprKind,
};
use indexmap::IndexMap;
use std::collections::HashSet;
use std::rc::Rc;

/// Rows drawn at a step: an index input of the loss function.
#[derive(Clone, Debug)]
pub struct Batch {
    pub index: Num,
    /// Rows of the sample that is trained on.
    pub rows: usize,
}

/// Something sought, with its first value.
enum Sought {
    Number { initial: Tensor, bounds: Option<(f64, f64)> },
    Net { def: DefId, net: Value, ports: Ports, weights: Vec<Tensor>, ensemble: usize },
}

impl Lower<'_> {
    pub fn minimize(&mut self, id: DefId, args: &Env, span: Span) -> Result<Value> {
        let program = self.program;
        let def = program.def(id);
        let DefKind::Minimize { stmts, .. } = &def.kind else {
            return error("shapes.call", span, format!("`{}` is not a `minimize`", def.name));
        };
        self.runtime.enter(&def.name, Some(id), def.span);
        let out = self.apart(|l| l.minimize_body(&def.name, stmts, args, def.span));
        self.runtime.leave(out.is_ok());
        out
    }

    fn minimize_body(&mut self, name: &str, stmts: &[MinimizeStmt], args: &Env, span: Span) -> Result<Value> {
        let mut env = args.clone();
        let mut sought: Vec<(LocalId, String, Sought)> = vec![];
        let mut tainted: HashSet<LocalId> = HashSet::new();
        // Lets that do not depend on what is sought are known once, before the training.
        for stmt in stmts {
            match &stmt.kind {
                MinimizeStmtKind::Let { local, name, ty, value } => {
                    if mentions(value, &tainted) {
                        tainted.insert(*local);
                        continue;
                    }
                    let v = self.statement(name, stmt.span, |l| {
                        let v = l.expr(value, &env)?;
                        l.coerce(v, ty.as_ref(), &env, value.span)
                    })?;
                    env.set(*local, v);
                }
                MinimizeStmtKind::Over { local, name, ty, value, bounds } => {
                    let v = self.expr(value, &env)?;
                    let bounds = match bounds {
                        Some(b) => Some(self.known_range(b, &env)?),
                        None => None,
                    };
                    let s = match (&ty.as_ref().map(|t| &t.kind), &v) {
                        (Some(TypeExprKind::Closure(def)), Value::Net(_)) => {
                            self.sought_net(*def, name, &v, &env, value.span)?
                        }
                        (_, Value::Net(_)) => {
                            return error_help(
                                "run.training",
                                stmt.span,
                                format!("the net `{name}` must serve a closure"),
                                "declare which: `over k: Conductivity = mlp(…)`",
                            );
                        }
                        (Some(TypeExprKind::Field { .. }), _) => {
                            return error(
                                "unsupported.library",
                                stmt.span,
                                "minimising over fields is not supported yet",
                            );
                        }
                        (Some(TypeExprKind::UnknownOf { .. }), _) => {
                            return error(
                                "unsupported.library",
                                stmt.span,
                                "nets that stand for an unknown are not supported yet",
                            );
                        }
                        _ => {
                            let n = self.num(&v, value.span)?;
                            let initial = self.compute(&[n], value.span)?.remove(0);
                            Sought::Number { initial, bounds }
                        }
                    };
                    tainted.insert(*local);
                    sought.push((*local, name.clone(), s));
                }
                MinimizeStmtKind::Subject { .. } => {
                    return error("unsupported.library", stmt.span, "constraints (`subject`) are not supported yet");
                }
                MinimizeStmtKind::Loss { .. } | MinimizeStmtKind::Stage(_) => {}
            }
        }
        if sought.is_empty() {
            return error_help(
                "run.training",
                span,
                format!("`{name}` seeks nothing"),
                "say what: `over ν: [m²/s] = 0.05 [m²/s]`",
            );
        }
        let losses: Vec<(&str, &Expr)> = stmts
            .iter()
            .filter_map(|s| match &s.kind {
                MinimizeStmtKind::Loss { name, params, value, .. } if params.is_empty() => Some((name.as_str(), value)),
                _ => None,
            })
            .collect();
        if losses.is_empty() {
            return error_help(
                "nets.loss",
                span,
                format!("`{name}` has no loss"),
                "say what shall be small: `loss fit = …`",
            );
        }
        let mut stages = vec![];
        for s in stmts {
            if let MinimizeStmtKind::Stage(e) = &s.kind {
                let v = self.expr(e, &env)?;
                stages.push(self.stage(&v, e.span)?);
            }
        }
        if stages.is_empty() {
            return error_help(
                "nets.stage",
                span,
                format!("`{name}` has no stage"),
                "say how: `stage adam(lr=1e-3, epochs=1000)`",
            );
        }
        let batch_size = stages.iter().filter_map(|s| s.numbers.get("batch")).fold(0.0f64, |a, b| a.max(*b)) as usize;
        let training_rows = samples(&env).find_map(|s| s.splits.get("train").cloned());
        let rows = match (batch_size, training_rows) {
            (0, _) | (_, None) => None,
            (b, Some(rows)) if b >= rows.len() => None,
            (b, Some(rows)) => Some((rows, b)),
        };
        let func = self.trace_losses(stmts, &env, &sought, &losses, rows.as_ref().map(|(r, b)| (r.len(), *b)))?;
        let validation = match validation_env(&env) {
            Some(v) => Some(self.trace_losses(stmts, &v, &sought, &losses, None)?),
            None => None,
        };
        let (mut initial, mut bounds) = (vec![], vec![]);
        for (_, _, s) in &sought {
            match s {
                Sought::Number { initial: t, bounds: b } => {
                    initial.push(t.clone());
                    bounds.push(*b);
                }
                Sought::Net { weights, .. } => {
                    initial.extend(weights.iter().cloned());
                    bounds.resize(initial.len(), None);
                }
            }
        }
        let training = Training {
            losses: func,
            names: losses.iter().map(|(n, _)| n.to_string()).collect(),
            validation,
            initial,
            bounds,
            stages,
            rows: rows.map(|(rows, b)| (Rc::new((0..rows.len() as u32).collect()), b)),
            seed: self.seed,
        };
        let trained = self.runtime.train(name, training, span)?;
        let given: Vec<Num> = trained.weights.iter().map(|t| Num::Const(t.clone())).collect();
        let mut members = self.bind_sought(&sought, &given, &mut env);
        for stmt in stmts {
            if let MinimizeStmtKind::Let { local, name, ty, value } = &stmt.kind {
                if tainted.contains(local) {
                    let v = self.expr(value, &env)?;
                    let v = self.coerce(v, ty.as_ref(), &env, value.span)?;
                    env.set(*local, v);
                }
                if let Some(v) = env.get(*local) {
                    members.insert(name.clone(), v.clone());
                }
            }
        }
        Ok(Value::Artefact(Rc::new(Artefact {
            name: name.into(),
            members,
            history: trained.history,
            seconds: trained.seconds,
        })))
    }

    /// `(weights…, index?) → (total, losses…)`
    fn trace_losses(
        &mut self,
        stmts: &[MinimizeStmt],
        env: &Env,
        sought: &[(LocalId, String, Sought)],
        losses: &[(&str, &Expr)],
        batch: Option<(usize, usize)>,
    ) -> Result<crate::ir::Func> {
        let mut types: Vec<Type> = sought
            .iter()
            .flat_map(|(_, _, s)| match s {
                Sought::Number { initial, .. } => vec![initial.ty.clone()],
                Sought::Net { weights, .. } => weights.iter().map(|t| t.ty.clone()).collect(),
            })
            .collect();
        let weights = types.len();
        if let Some((_, b)) = batch {
            types.push(Type::index([b]));
        }
        let outer = self.tracer.set_aside();
        let outer_batch = self.batch.take();
        let inputs = self.tracer.open("losses", &types);
        self.batch = batch.map(|(rows, _)| Batch { index: inputs[weights].clone(), rows });
        let traced = (|| {
            let mut env = env.clone();
            self.bind_sought(sought, &inputs[..weights], &mut env);
            for stmt in stmts {
                if let MinimizeStmtKind::Let { local, ty, value, .. } = &stmt.kind
                    && env.get(*local).is_none()
                {
                    let v = self.expr(value, &env)?;
                    let v = self.coerce(v, ty.as_ref(), &env, value.span)?;
                    env.set(*local, v);
                }
            }
            let mut values = vec![];
            for (name, e) in losses {
                let v = self.expr(e, &env)?;
                let n = self.num(&v, e.span)?;
                if !n.shape().is_empty() {
                    return error("nets.loss", e.span, format!("the loss `{name}` is not a number"));
                }
                values.push(n);
            }
            let refs: Vec<&Num> = values.iter().collect();
            let total = self.tracer.build(&refs, |b, v| v[1..].iter().fold(v[0], |sum, x| b.add(sum, *x)));
            values.insert(0, total);
            Ok(values)
        })();
        self.batch = outer_batch;
        let out = match traced {
            Ok(values) => {
                let (func, captures) = self.tracer.close(&values);
                assert!(captures.is_empty(), "compiler bug: a loss captured a traced number");
                Ok(func)
            }
            Err(e) => Err(e),
        };
        self.tracer.restore(outer);
        out
    }

    /// Binds what is sought to numbers; gives it by name.
    fn bind_sought(
        &self,
        sought: &[(LocalId, String, Sought)],
        given: &[Num],
        env: &mut Env,
    ) -> IndexMap<String, Value> {
        let mut at = 0;
        let mut out = IndexMap::new();
        for (local, name, s) in sought {
            let value = match s {
                Sought::Number { .. } => {
                    at += 1;
                    Value::Num(given[at - 1].clone())
                }
                Sought::Net { def, net, ports, weights, ensemble } => {
                    let w = given[at..at + weights.len()].to_vec();
                    at += weights.len();
                    let net = PortedNet { net: net.clone(), weights: w, ports: ports.clone(), ensemble: *ensemble };
                    Value::Closure(Rc::new(Closure { def: *def, behind: Behind::Net(Rc::new(net)) }))
                }
            };
            env.set(*local, value.clone());
            out.insert(name.clone(), value);
        }
        out
    }

    fn sought_net(&mut self, def: DefId, name: &str, net: &Value, env: &Env, span: Span) -> Result<Sought> {
        let ports = self.ports(def, env, span)?;
        let ensemble = self.ensemble(net, span)?;
        let mut weights = vec![];
        for m in 0..ensemble {
            let stream = if ensemble == 1 { name.to_string() } else { format!("{name}.{m}") };
            weights.extend(self.initial_weights(net, &ports, &stream, span)?.into_iter().map(|(_, t)| t));
        }
        Ok(Sought::Net { def, net: net.clone(), ports, weights, ensemble })
    }

    fn ensemble(&mut self, net: &Value, span: Span) -> Result<usize> {
        let Value::Net(net) = net else { return Ok(1) };
        let NetValue::Layer { def, hyper } = &**net else { return Ok(1) };
        let program = self.program;
        let DefKind::Net { hyper: params, .. } = &program.def(*def).kind else { return Ok(1) };
        match params.iter().find(|p| p.name == "ensemble").and_then(|p| hyper.get(p.local)) {
            Some(v) => Ok(self.known_int(v, "`ensemble`", span)?.max(1)),
            None => Ok(1),
        }
    }

    /// Normalisers from the data: the column that an implementation of the same closure computed, and its arguments' columns.
    fn ports(&mut self, def: DefId, env: &Env, span: Span) -> Result<Ports> {
        let params = self.closure_params(def).len();
        let found = samples(env).find_map(|s| {
            let c = s.columns.values().find(|c| c.closure == Some(def) && c.args.len() == params)?;
            Some((s.clone(), c.clone()))
        });
        let Some((sample, column)) = found else {
            self.warnings.push(
                crate::base::Diagnostic::warning(
                    "nets.port",
                    span,
                    "the ports of this net are not normalised: no sample has a column that this closure computed",
                )
                .help("train on `sample(D(), …)` where `D` has a row like `k = exact(T, φ)`"),
            );
            return Ok(Ports { inputs: vec![(0.0, 1.0); params], range: vec![], head: self.head(def, None, span)? });
        };
        let (mut inputs, mut range) = (vec![], vec![]);
        for arg in &column.args {
            let Some(c) = sample.columns.get(arg) else {
                inputs.push((0.0, 1.0));
                range.push((f64::NEG_INFINITY, f64::INFINITY));
                continue;
            };
            let t = self.compute(std::slice::from_ref(&c.values), span)?.remove(0);
            let (mean, deviation) = moments(Some(&t), 1);
            inputs.push((mean[0], deviation[0]));
            let data = t.to_f64();
            range.push(data.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x))));
        }
        let results = self.compute(std::slice::from_ref(&column.values), span)?.remove(0);
        let head: Head = self.head(def, Some(&results), span)?;
        Ok(Ports { inputs, range, head })
    }

    fn stage(&mut self, v: &Value, span: Span) -> Result<Stage> {
        let Value::Record(r) = v else {
            return error_help(
                "nets.stage",
                span,
                format!("a stage is an optimiser, not {}", v.kind()),
                "for example `adam(lr=1e-3, epochs=1000)`",
            );
        };
        if !matches!(r.kind.as_str(), "adam" | "lbfgs" | "sgd") {
            return error("unsupported.library", span, format!("the stage `{}` is not supported yet", r.kind));
        }
        let (mut numbers, mut words) = (IndexMap::new(), IndexMap::new());
        for (name, value) in &r.fields {
            match value {
                Value::None => {}
                Value::Record(inner) if matches!(inner.kind.as_str(), "cosine" | "warmup") => {
                    words.insert(name.clone(), inner.kind.clone());
                    for (k, v) in &inner.fields {
                        numbers.insert(format!("{name}.{k}"), self.known_real(v, span)?);
                    }
                }
                Value::Record(inner) => {
                    return error("unsupported.library", span, format!("`{name}={}` is not supported yet", inner.kind));
                }
                other => {
                    numbers.insert(name.clone(), self.known_real(other, span)?);
                }
            }
        }
        Ok(Stage { kind: r.kind.clone(), numbers, words, span })
    }

    fn known_range(&mut self, e: &Expr, env: &Env) -> Result<(f64, f64)> {
        match self.expr(e, env)? {
            Value::Range(a, b) => Ok((self.known_real(&a, e.span)?, self.known_real(&b, e.span)?)),
            other => error("run.training", e.span, format!("bounds are a range, not {}", other.kind())),
        }
    }
}

fn samples(env: &Env) -> impl Iterator<Item = &Rc<Sample>> {
    env.values().filter_map(|v| if let Value::Sample(s) = v { Some(s) } else { None })
}

/// The same names with every sample's training rows replaced by its validation rows.
fn validation_env(env: &Env) -> Option<Env> {
    let any = samples(env).any(|s| s.splits.get("validation").is_some_and(|v| !v.is_empty()));
    any.then(|| {
        env.map(|v| match v {
            Value::Sample(s) if s.splits.contains_key("validation") => {
                let mut s = (**s).clone();
                let rows = s.splits["validation"].clone();
                s.splits.insert("train".into(), rows);
                Value::Sample(Rc::new(s))
            }
            other => other.clone(),
        })
    })
}

/// Whether an expression reads one of these locals.
pub fn mentions(e: &Expr, locals: &HashSet<LocalId>) -> bool {
    let m = |e: &Expr| mentions(e, locals);
    let block = |b: &Block| {
        m(&b.result)
            || b.stmts.iter().any(|s| match s {
                BlockStmt::Let { value, .. } | BlockStmt::Next { value, .. } => m(value),
                BlockStmt::Weight { init, .. } => m(init),
            })
    };
    match &e.kind {
        ExprKind::Local(l) => locals.contains(l),
        ExprKind::Number { .. }
        | ExprKind::Bool(_)
        | ExprKind::Str(_)
        | ExprKind::Def(_)
        | ExprKind::Coordinate(_)
        | ExprKind::Time
        | ExprKind::Normal
        | ExprKind::Intrinsic
        | ExprKind::Error => false,
        ExprKind::Op { args, .. } | ExprKind::List(args) | ExprKind::Tuple(args) => args.iter().any(m),
        ExprKind::Call { callee, args } => m(callee) || args.iter().any(|a| m(&a.value)),
        ExprKind::Member { base, .. } => m(base),
        ExprKind::Index { base, indices } => m(base) || indices.iter().any(m),
        ExprKind::If { condition, then, otherwise } => m(condition) || m(then) || m(otherwise),
        ExprKind::Lambda(l) => block(&l.body),
        ExprKind::Comprehension { body, source, .. } => m(body) || m(source),
    }
}
