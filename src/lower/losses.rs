//! The losses of a `minimize` as functions of what is sought: over all rows, over the rows of a batch, over the validation rows.

use super::error::{Result, error};
use super::eval::Lower;
use super::runtime::Batched;
use super::sought::{Place, members};
use super::value::{Env, Num, Sample, Value};
use crate::base::Span;
use crate::ir::{Func, Op, Type};
use crate::sema::hir::{Expr, LocalId, MinimizeStmt, MinimizeStmtKind};
use std::rc::Rc;

/// A loss, with the arguments of one that has parameters (`on=rollout(4)`).
pub struct Loss<'a> {
    pub name: String,
    pub local: LocalId,
    pub value: &'a Expr,
    pub given: Vec<(LocalId, Value)>,
}

/// Rows drawn at a step: an index input of the loss function.
#[derive(Clone, Debug)]
pub struct Batch {
    pub index: Num,
    /// The rows that it draws from.
    pub of: Walked,
}

/// A sample, or a split of one, whose rows were walked.
#[derive(Clone, PartialEq, Debug)]
pub struct Walked {
    pub name: String,
    pub part: String,
    pub rows: usize,
}

impl Walked {
    pub fn of(s: &Sample) -> Walked {
        Walked { name: s.name.clone(), part: s.part.clone(), rows: s.rows }
    }
}

impl Lower<'_> {
    /// `(weights…, index?) → losses…`, and the samples whose rows were walked.
    pub fn trace_losses(
        &mut self,
        stmts: &[MinimizeStmt],
        env: &Env,
        sought: &[Place],
        losses: &[Loss],
        batch: Option<(&Walked, usize)>,
    ) -> Result<(Func, Vec<Walked>)> {
        let mut types: Vec<Type> = sought.iter().flat_map(|(_, _, s)| s.initial()).map(|t| t.ty).collect();
        let weights = types.len();
        if let Some((_, size)) = batch {
            types.push(Type::index([size]));
        }
        let outer = self.tracer.set_aside();
        let outer_batch = self.batch.take();
        let outer_walked = std::mem::take(&mut self.walked);
        let inputs = self.tracer.open("losses", &types);
        self.batch = batch.map(|(of, _)| Batch { index: inputs[weights].clone(), of: of.clone() });
        let traced = self.traced(stmts, env, sought, losses, &inputs[..weights]);
        self.batch = outer_batch;
        let walked = std::mem::replace(&mut self.walked, outer_walked);
        let out = match traced {
            Ok(values) => {
                let (func, captures) = self.tracer.close(&values);
                assert!(captures.is_empty(), "compiler bug: a loss captured a traced number");
                Ok((func, walked))
            }
            Err(e) => Err(e),
        };
        self.tracer.restore(outer);
        out
    }

    /// The losses; of an ensemble the mean over its members, each by itself: so every member learns as if it were alone.
    fn traced(
        &mut self,
        stmts: &[MinimizeStmt],
        env: &Env,
        sought: &[Place],
        losses: &[Loss],
        weights: &[Num],
    ) -> Result<Vec<Num>> {
        let count = members(sought);
        let mut sums: Vec<Num> = vec![];
        for member in 0..count {
            let mut env = env.clone();
            self.bind_sought(sought, weights, &mut env, Some(member));
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
            for loss in losses {
                let mut env = env.clone();
                loss.given.iter().for_each(|(local, v)| env.set(*local, v.clone()));
                let v = self.expr(loss.value, &env)?;
                let n = self.num(&v, loss.value.span)?;
                if !n.shape().is_empty() {
                    return error("nets.loss", loss.value.span, format!("the loss `{}` is not a number", loss.name));
                }
                values.push(n);
            }
            sums = match member {
                0 => values,
                _ => sums
                    .iter()
                    .zip(&values)
                    .map(|(s, v)| self.tracer.build(&[s, v], |b, v| b.add(v[0], v[1])))
                    .collect(),
            };
        }
        Ok(if count == 1 { sums } else { sums.iter().map(|s| self.scale_num(s, 1.0 / count as f64)).collect() })
    }

    /// The losses over batches of each size that stages ask for. Sizes beyond the rows mean all rows.
    pub fn batches(
        &mut self,
        stmts: &[MinimizeStmt],
        env: &Env,
        sought: &[Place],
        losses: &[Loss],
        walked: &[Walked],
        sizes: Vec<(usize, Span)>,
    ) -> Result<Vec<Batched>> {
        let mut out: Vec<Batched> = vec![];
        for (size, span) in sizes {
            if size == 0 {
                return error("nets.stage", span, "a batch has at least one row");
            }
            let Some(of) = walked.iter().max_by_key(|w| w.rows) else {
                return error("nets.stage", span, "`batch` draws rows of a sample, and the losses walk none");
            };
            if size >= of.rows || out.iter().any(|b| b.size == size) {
                continue;
            }
            let (losses, _) = self.trace_losses(stmts, env, sought, losses, Some((of, size)))?;
            out.push(Batched { losses, rows: of.rows, size });
        }
        Ok(out)
    }
}

/// Whether computing it solves systems.
pub fn solves(f: &Func) -> bool {
    f.nodes.iter().any(|n| {
        matches!(n.op, Op::Solve { .. } | Op::LinearSolve { .. })
            || Func::bodies(&n.op).into_iter().any(|body| solves(body))
    })
}

pub fn samples(env: &Env) -> impl Iterator<Item = &Rc<Sample>> {
    env.values().filter_map(|v| if let Value::Sample(s) = v { Some(s) } else { None })
}

/// The same names with every sample's training rows replaced by its validation rows.
pub fn validation_env(env: &Env) -> Option<Env> {
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
