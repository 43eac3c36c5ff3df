//! The stages of a `minimize`: optimisers with their numbers, the losses they lower, the values they move.

use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::losses::Loss;
use super::runtime::{Precision, Stage};
use super::sought::Place;
use super::value::{Env, Value};
use crate::base::Span;
use crate::sema::hir::{Arg, Expr, ExprKind, LocalId, MinimizeStmt, MinimizeStmtKind};
use indexmap::IndexMap;

impl Lower<'_> {
    /// The stages. A loss with parameters that one calls (`on=rollout(4)`) joins the losses.
    pub fn stages<'a>(
        &mut self,
        stmts: &'a [MinimizeStmt],
        env: &Env,
        sought: &[Place],
        losses: &mut Vec<Loss<'a>>,
    ) -> Result<Vec<Stage>> {
        // Names of losses and of what is sought stand for themselves here.
        let mut names = env.clone();
        for s in stmts {
            if let MinimizeStmtKind::Loss { local, name, .. } | MinimizeStmtKind::Over { local, name, .. } = &s.kind {
                names.set(*local, Value::str(name));
            }
        }
        let plain: Vec<usize> = (0..losses.len()).collect();
        let mut out = vec![];
        for s in stmts {
            let MinimizeStmtKind::Stage(e) = &s.kind else { continue };
            let (bare, on, of) = chosen(e);
            let v = self.expr(&bare, &names)?;
            let mut stage = self.stage(&v, e.span)?;
            stage.on = match on {
                None => plain.clone(),
                Some(on) => self.chosen_losses(&on, stmts, env, losses)?,
            };
            if stage.on.is_empty() {
                return error_help(
                    "nets.stage",
                    e.span,
                    "this stage has no loss to lower: all losses have parameters",
                    "choose one with its arguments: `on=rollout(4)`",
                );
            }
            stage.of = match of {
                None => (0..sought.iter().map(|(_, _, s)| s.count()).sum()).collect(),
                Some(of) => chosen_weights(&of, sought)?,
            };
            out.push(stage);
        }
        Ok(out)
    }

    fn chosen_losses<'a>(
        &mut self,
        on: &Expr,
        stmts: &'a [MinimizeStmt],
        env: &Env,
        losses: &mut Vec<Loss<'a>>,
    ) -> Result<Vec<usize>> {
        let items = match &on.kind {
            ExprKind::List(items) | ExprKind::Tuple(items) => &items[..],
            _ => std::slice::from_ref(on),
        };
        let mut out = vec![];
        for item in items {
            let (callee, args): (&Expr, &[Arg]) = match &item.kind {
                ExprKind::Call { callee, args } => (callee, args),
                _ => (item, &[]),
            };
            let found = stmts.iter().find_map(|s| match (&s.kind, &callee.kind) {
                (MinimizeStmtKind::Loss { local, name, params, value }, ExprKind::Local(l)) if local == l => {
                    Some((*local, name, params, value))
                }
                _ => None,
            });
            let Some((local, name, params, value)) = found else {
                return error_help("nets.stage", item.span, "`on` names a loss", "for example `on=fit`");
            };
            if params.len() != args.len() {
                let message = format!("the loss `{name}` takes {} arguments, not {}", params.len(), args.len());
                return error("nets.stage", item.span, message);
            }
            let mut given = vec![];
            for (k, a) in args.iter().enumerate() {
                let param = match &a.name {
                    Some(n) => params.iter().find(|p| p.name == *n),
                    None => params.get(k),
                };
                let Some(param) = param else {
                    return error("names.argument", item.span, format!("the loss `{name}` has no such parameter"));
                };
                given.push((param.local, self.expr(&a.value, env)?));
            }
            let label = match args {
                [] => name.clone(),
                _ => {
                    let shown = |v: &Value| v.known().map_or("…".to_string(), |x| x.to_string());
                    format!("{name}({})", given.iter().map(|(_, v)| shown(v)).collect::<Vec<_>>().join(", "))
                }
            };
            out.push(match losses.iter().position(|l| l.name == label) {
                Some(k) => k,
                None => {
                    losses.push(Loss { name: label, local, value, given });
                    losses.len() - 1
                }
            });
        }
        Ok(out)
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
        if !matches!(r.kind.as_str(), "adam" | "lbfgs") {
            return error("unsupported.library", span, format!("the stage `{}` is not supported yet", r.kind));
        }
        let (mut numbers, mut words, mut precision) = (IndexMap::new(), IndexMap::new(), None);
        for (name, value) in &r.fields {
            match value {
                Value::None => {}
                Value::Record(inner) if name == "precision" => {
                    precision = Some(match inner.kind.as_str() {
                        "single" => Precision::Single,
                        "double" => Precision::Double,
                        _ => return error_help("nets.stage", span, "no such precision", "choose `single` or `double`"),
                    });
                }
                Value::Record(inner) if name == "lr" && matches!(inner.kind.as_str(), "cosine" | "warmup") => {
                    words.insert(name.clone(), inner.kind.clone());
                    for (k, v) in &inner.fields {
                        match v {
                            Value::Record(nested) if nested.kind == "cosine" && k == "lr" => {
                                words.insert("lr.lr".into(), nested.kind.clone());
                                for (k, v) in &nested.fields {
                                    numbers.insert(format!("lr.lr.{k}"), self.known_real(v, span)?);
                                }
                            }
                            _ => {
                                numbers.insert(format!("{name}.{k}"), self.known_real(v, span)?);
                            }
                        }
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
        Ok(Stage { kind: r.kind.clone(), numbers, words, on: vec![], of: vec![], precision, span })
    }
}

/// A stage without its `on` and `of`, and these.
fn chosen(e: &Expr) -> (Expr, Option<Expr>, Option<Expr>) {
    let mut bare = e.clone();
    let (mut on, mut of) = (None, None);
    if let ExprKind::Call { args, .. } = &mut bare.kind {
        args.retain(|a| match a.name.as_deref() {
            Some("on") => {
                on = Some(a.value.clone());
                false
            }
            Some("of") => {
                of = Some(a.value.clone());
                false
            }
            _ => true,
        });
    }
    (bare, on, of)
}

/// Numbers of the weights that belong to the named overs.
fn chosen_weights(of: &Expr, sought: &[Place]) -> Result<Vec<usize>> {
    let items = match &of.kind {
        ExprKind::List(items) | ExprKind::Tuple(items) => &items[..],
        _ => std::slice::from_ref(of),
    };
    let mut out = vec![];
    for item in items {
        let named = |l: &LocalId| matches!(item.kind, ExprKind::Local(local) if local == *l);
        let Some(k) = sought.iter().position(|(local, _, _)| named(local)) else {
            return error_help("nets.stage", item.span, "`of` names what is sought", "for example `of=k`");
        };
        let first: usize = sought[..k].iter().map(|(_, _, s)| s.count()).sum();
        out.extend(first..first + sought[k].2.count());
    }
    Ok(out)
}
