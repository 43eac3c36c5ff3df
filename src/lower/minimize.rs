//! `minimize`: what is sought (`over`), what is made small (`loss`), how (`stage`). Losses are traced into one function of the
//! sought values; the runtime differentiates and minimises it.

use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::losses::{Loss, solves, validation_env};
use super::runtime::Training;
use super::sought::{Place, Sought};
use super::value::{Artefact, Env, Num, Value};
use crate::base::Span;
use crate::sema::hir::{
    Block, BlockStmt, DefId, DefKind, Expr, ExprKind, LocalId, MinimizeStmt, MinimizeStmtKind, TypeExprKind,
};
use indexmap::IndexMap;
use std::collections::HashSet;
use std::rc::Rc;

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
        let (sought, tainted, fitted) = self.known_first(stmts, &mut env, span)?;
        let mut losses = vec![];
        for s in stmts {
            if let MinimizeStmtKind::Loss { local, name, params, value } = &s.kind
                && params.is_empty()
            {
                losses.push(Loss { name: name.clone(), local: *local, value, given: vec![] });
            }
        }
        if !stmts.iter().any(|s| matches!(s.kind, MinimizeStmtKind::Loss { .. })) {
            return error_help(
                "nets.loss",
                span,
                format!("`{name}` has no loss"),
                "say what shall be small: `loss fit = …`",
            );
        }
        let stages = self.stages(stmts, &env, &sought, &mut losses)?;
        if stages.is_empty() && !sought.is_empty() {
            return error_help(
                "nets.stage",
                span,
                format!("`{name}` has no stage"),
                "say how: `stage adam(lr=1e-3, epochs=1000)`",
            );
        }
        if sought.is_empty() {
            return self.fitted_alone(name, stmts, &losses, &fitted, env);
        }
        let (full, walked) = self.trace_losses(stmts, &env, &sought, &losses, None)?;
        let sizes = stages.iter().filter_map(|s| s.numbers.get("batch").map(|b| (*b as usize, s.span)));
        let batches = self.batches(stmts, &env, &sought, &losses, &walked, sizes.collect())?;
        let validation = match validation_env(&env) {
            Some(v) => Some(self.trace_losses(stmts, &v, &sought, &losses, None)?.0),
            None => None,
        };
        if let Some(s) = stages.iter().find(|s| s.numbers.contains_key("patience"))
            && validation.is_none()
        {
            return error_help(
                "nets.stage",
                s.span,
                "`patience` needs validation rows, and no sample here has any",
                "split the sample in three: `sample(D(), n=100, split=(0.7, 0.15, 0.15))`, and train on its `train`",
            );
        }
        let (mut initial, mut bounds) = (vec![], vec![]);
        for (_, _, s) in &sought {
            initial.extend(s.initial());
            bounds.extend(s.bounds());
        }
        let nets_alone = sought.iter().all(|(_, _, s)| matches!(s, Sought::Net { .. })) && !solves(&full);
        let names = losses.iter().map(|l| l.name.clone()).collect();
        let training =
            Training { losses: full, batches, names, validation, initial, bounds, stages, nets_alone, seed: self.seed };
        let trained = self.runtime.train(name, training, span)?;
        let given: Vec<Num> = trained.weights.iter().map(|t| Num::Const(t.clone())).collect();
        let mut members = self.bind_sought(&sought, &given, &mut env, None);
        members.extend(fitted);
        self.members_of(stmts, &tainted, &mut env, &mut members)?;
        for (name, loss) in &trained.losses {
            members.insert(name.clone(), Value::num(*loss));
        }
        Ok(Value::Artefact(Rc::new(Artefact {
            name: name.into(),
            members,
            history: trained.history,
            seconds: trained.seconds,
        })))
    }

    /// What is sought, the names that depend on it, and what was fitted outright. Lets that do not depend on what is sought
    /// are computed once, before the training.
    // Three results of one walk, taken apart where it is called.
    #[allow(clippy::type_complexity)]
    fn known_first(
        &mut self,
        stmts: &[MinimizeStmt],
        env: &mut Env,
        span: Span,
    ) -> Result<(Vec<Place>, HashSet<LocalId>, IndexMap<String, Value>)> {
        let mut sought: Vec<Place> = vec![];
        let mut tainted: HashSet<LocalId> = HashSet::new();
        let mut fitted = IndexMap::new();
        for stmt in stmts {
            match &stmt.kind {
                MinimizeStmtKind::Let { local, name, ty, value } => {
                    if mentions(value, &tainted) {
                        tainted.insert(*local);
                        continue;
                    }
                    let v = self.statement(name, stmt.span, |l| {
                        let v = l.expr(value, env)?;
                        l.coerce(v, ty.as_ref(), env, value.span)
                    })?;
                    env.set(*local, v);
                }
                MinimizeStmtKind::Over { local, name, ty, value, bounds } => {
                    let v = self.expr(value, env)?;
                    let bounds = match bounds {
                        Some(b) => Some(self.known_range(b, env)?),
                        None => None,
                    };
                    let kind = ty.as_ref().map(|t| &t.kind);
                    if let (Some(TypeExprKind::Closure(def)), Value::Record(r)) = (kind, &v)
                        && r.kind == "gp"
                    {
                        let process = self.statement(name, stmt.span, |l| l.fit_process(*def, env, value.span))?;
                        env.set(*local, process.clone());
                        fitted.insert(name.clone(), process);
                        continue;
                    }
                    let s = match (kind, &v) {
                        (Some(TypeExprKind::Closure(def)), Value::Net(_)) => {
                            self.sought_net(*def, name, &v, env, value.span)?
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
        if sought.is_empty() && fitted.is_empty() {
            return error_help(
                "run.training",
                span,
                "nothing is sought here",
                "say what: `over ν: [m²/s] = 0.05 [m²/s]`",
            );
        }
        Ok((sought, tainted, fitted))
    }

    /// The artefact where all that is sought was fitted by its own likelihood: losses are evaluated, stages have nothing to do.
    fn fitted_alone(
        &mut self,
        name: &str,
        stmts: &[MinimizeStmt],
        losses: &[Loss],
        fitted: &IndexMap<String, Value>,
        mut env: Env,
    ) -> Result<Value> {
        let mut members = fitted.clone();
        self.members_of(stmts, &HashSet::new(), &mut env, &mut members)?;
        let mut history = IndexMap::new();
        for loss in losses {
            let v = self.statement(&loss.name, loss.value.span, |l| {
                let v = l.expr(loss.value, &env)?;
                Ok(Value::Num(l.num(&v, loss.value.span)?))
            })?;
            history.insert(loss.name.clone(), vec![v.known().unwrap_or(f64::NAN)]);
            members.insert(loss.name.clone(), v);
        }
        Ok(Value::Artefact(Rc::new(Artefact { name: name.into(), members, history, seconds: 0.0 })))
    }

    /// The lets as members; those that depend on what was sought are computed now.
    fn members_of(
        &mut self,
        stmts: &[MinimizeStmt],
        tainted: &HashSet<LocalId>,
        env: &mut Env,
        members: &mut IndexMap<String, Value>,
    ) -> Result<()> {
        for stmt in stmts {
            if let MinimizeStmtKind::Let { local, name, ty, value } = &stmt.kind {
                if tainted.contains(local) {
                    let v = self.expr(value, env)?;
                    let v = self.coerce(v, ty.as_ref(), env, value.span)?;
                    env.set(*local, v);
                }
                if let Some(v) = env.get(*local) {
                    members.insert(name.clone(), v.clone());
                }
            }
        }
        Ok(())
    }

    fn known_range(&mut self, e: &Expr, env: &Env) -> Result<(f64, f64)> {
        match self.expr(e, env)? {
            Value::Range(a, b) => Ok((self.known_real(&a, e.span)?, self.known_real(&b, e.span)?)),
            other => error("run.training", e.span, format!("bounds are a range, not {}", other.kind())),
        }
    }
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
