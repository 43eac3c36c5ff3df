//! Definitions: each is evaluated once, when it is first asked for.

use super::error::{Result, error};
use super::eval::Lower;
use super::value::{Env, Function, NetValue, Value};
use crate::base::Span;
use crate::sema::hir::{DefId, DefKind, Expr, ExprKind};
use crate::sema::types::Type;
use std::rc::Rc;

impl Lower<'_> {
    /// The value of a definition; evaluated once, in a trace of its own.
    pub fn def(&mut self, id: DefId, span: Span) -> Result<Value> {
        if let Some(v) = self.defs.get(&id) {
            return Ok(v.clone());
        }
        let program = self.program;
        let def = program.def(id);
        if self.open.contains(&id) {
            return error("names.cycle", span, format!("`{}` is defined by itself", def.name));
        }
        self.open.push(id);
        let value = self.define(id, span);
        self.open.pop();
        let value = value?;
        self.defs.insert(id, value.clone());
        Ok(value)
    }

    /// Sets a definition's value from outside (tests, resumed tasks).
    pub fn set_def(&mut self, id: DefId, value: Value) {
        self.defs.insert(id, value);
    }

    fn define(&mut self, id: DefId, span: Span) -> Result<Value> {
        let program = self.program;
        let def = program.def(id);
        match &def.kind {
            DefKind::Param { ty, value, bounds } => {
                let v = self.apart(|l| {
                    let v = l.expr(value, &Env::default())?;
                    l.coerce(v, ty.as_ref(), &Env::default(), value.span)
                })?;
                self.in_bounds(&def.name, &v, bounds.as_ref())?;
                Ok(v)
            }
            DefKind::Let { value, .. } if matches!(value.kind, ExprKind::Intrinsic) => {
                Ok(super::intrinsics::symbol(&def.name, def.span))
            }
            DefKind::Let { ty, value } => {
                let label = def.name.clone();
                self.task(&label, id, |l| {
                    let v = l.expr(value, &Env::default())?;
                    let v = l.coerce(v, ty.as_ref(), &Env::default(), value.span)?;
                    Ok(l.named(v, &label, value))
                })
            }
            DefKind::Fn(lambda) => Ok(match lambda.body.result.kind {
                ExprKind::Intrinsic => Value::Intrinsic(id),
                _ => Value::Function(Rc::new(Function {
                    name: def.name.clone(),
                    lambda: Rc::new(lambda.clone()),
                    env: Env::default(),
                })),
            }),
            DefKind::Net { hyper, .. } if hyper.is_empty() => {
                Ok(Value::Net(Rc::new(NetValue::Layer { def: id, hyper: Env::default() })))
            }
            DefKind::Minimize { params, .. } if params.is_empty() => self.minimize(id, &Env::default(), span),
            DefKind::Net { .. }
            | DefKind::Closure { .. }
            | DefKind::System(_)
            | DefKind::Dataset(_)
            | DefKind::Minimize { .. }
            | DefKind::Study { .. }
            | DefKind::Scale { .. } => Ok(Value::Def(id)),
            DefKind::Unit(_) | DefKind::Dim(_) => {
                error("run.value", span, format!("`{}` is a unit, not a value", def.name))
            }
            DefKind::Error => error("run.value", span, format!("`{}` could not be read", def.name)),
        }
    }

    fn in_bounds(&mut self, name: &str, v: &Value, bounds: Option<&Expr>) -> Result<()> {
        let Some(bounds) = bounds else { return Ok(()) };
        let range = self.apart(|l| l.expr(bounds, &Env::default()))?;
        if let (Some(x), Value::Range(a, b)) = (v.known(), &range)
            && let (Some(a), Some(b)) = (a.known(), b.known())
            && !(a..=b).contains(&x)
        {
            return error(
                "names.bounds",
                bounds.span,
                format!("parameter `{name}` is {x}, outside its bounds {a}..{b}"),
            );
        }
        Ok(())
    }

    /// Domains take the name of the `let` they are defined by, and the dimension that was inferred there.
    fn named(&self, v: Value, name: &str, e: &Expr) -> Value {
        match v {
            Value::Domain(d) if d.name.is_empty() => {
                let mut d = (*d).clone();
                d.name = name.into();
                if let Some(Type::Domain(_, length)) = self.program.types.get(e.id.index()) {
                    d.length = Some(length.clone());
                }
                Value::Domain(Rc::new(d))
            }
            v => v,
        }
    }
}
