//! Calls: arguments find their parameters, and what is called decides what happens.

use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::value::{DatasetValue, Env, Function, NetValue, Num, Problem, Value};
use crate::base::Span;
use crate::sema::hir::{Arg, DefId, DefKind, Expr, ExprKind, Param, TypeExprKind};
use indexmap::IndexMap;
use std::rc::Rc;

/// Evaluated arguments, in order.
pub struct Args {
    pub values: Vec<(Option<String>, Value, Span)>,
}

impl Lower<'_> {
    pub fn call_expr(&mut self, callee: &Expr, args: &[Arg], env: &Env, span: Span) -> Result<Value> {
        // `fit(...)`-like verbs see their arguments unevaluated only where a loss is called in a `minimize`.
        let f = self.expr(callee, env)?;
        // `∫(q·n, Ω.right)`: bare coordinates and the normal are those of the place.
        let over = match (self.is_intrinsic(callee, "integrate") || self.is_intrinsic(callee, "mean"), args) {
            (true, [_, over]) => match self.expr(&over.value, env)? {
                Value::Domain(d) | Value::Place(d, _) => Some(d),
                _ => None,
            },
            _ => None,
        };
        let entered = over.is_some();
        self.domains.extend(over);
        let values = args
            .iter()
            .map(|a| Ok((a.name.clone(), self.expr(&a.value, env)?, a.value.span)))
            .collect::<Result<Vec<_>>>();
        if entered {
            self.domains.pop();
        }
        self.call(&f, Args { values: values? }, span)
    }

    pub fn call(&mut self, f: &Value, args: Args, span: Span) -> Result<Value> {
        match f {
            Value::Function(function) => self.call_function(function, args, span),
            Value::Intrinsic(def) => self.call_intrinsic(*def, args, span),
            Value::Closure(c) => {
                let program = self.program;
                let DefKind::Closure { params, .. } = &program.def(c.def).kind else {
                    return error("shapes.call", span, "this is not a closure");
                };
                let bound = self.bind(&program.def(c.def).name, params, args, &Env::default(), span)?;
                let values: Vec<Value> = params.iter().filter_map(|p| bound.get(p.local).cloned()).collect();
                self.call_closure(c, &values, span)
            }
            Value::Net(net) => {
                let [(_, x, xs)] = &args.values[..] else {
                    return error("shapes.call", span, "a net is called with one argument");
                };
                let x = self.numeric(x, *xs)?;
                self.pointwise(&[x], span, |l, n| l.apply_net(net, &n[0], None, span))
            }
            Value::Field(field) => {
                let d = field.domain.dimension();
                let points: Vec<Value> = args.values.iter().map(|(_, v, _)| v.clone()).collect();
                if points.len() != d {
                    return error(
                        "shapes.call",
                        span,
                        format!("a field over {d} dimensions is read at {d} coordinates"),
                    );
                }
                let coords = self.numeric(&Value::list(points), span)?;
                let field = field.clone();
                let coords = match coords {
                    Value::Num(n) => n,
                    other => {
                        return error("shapes.call", span, format!("coordinates are numbers, not {}", other.kind()));
                    }
                };
                let rank = coords.shape().len();
                // [d] or, for lists of coordinates, [d, P].
                let x = self.tracer.build(&[&coords], |b, v| {
                    if rank == 1 { b.reshape(v[0], &[1, d]) } else { b.transpose(v[0], &[1, 0]) }
                });
                let out = self.field_at_points(&field, &x, span)?;
                Ok(if rank == 1 {
                    Value::Num(self.tracer.build(&[&out], |b, v| b.index(v[0], 0, 0)))
                } else {
                    Value::Stack(out)
                })
            }
            Value::Def(def) => self.call_def(*def, args, span),
            other => error("shapes.call", span, format!("{} cannot be called", other.kind())),
        }
    }

    fn call_def(&mut self, id: DefId, args: Args, span: Span) -> Result<Value> {
        let program = self.program;
        let def = program.def(id);
        match &def.kind {
            DefKind::System(system) => {
                let args = self.bind(&def.name, &system.params, args, &Env::default(), span)?;
                Ok(Value::Problem(Rc::new(Problem { def: id, args, span })))
            }
            DefKind::Dataset(dataset) => {
                let args = self.bind(&def.name, &dataset.params, args, &Env::default(), span)?;
                let (name, dataset) = (def.name.clone(), dataset.clone());
                Ok(Value::Dataset(Rc::new(DatasetValue { name, dataset, args })))
            }
            DefKind::Net { hyper, .. } => {
                let hyper = self.bind(&def.name, hyper, args, &Env::default(), span)?;
                Ok(Value::Net(Rc::new(NetValue::Layer { def: id, hyper })))
            }
            DefKind::Minimize { params, .. } => {
                let args = self.bind(&def.name, params, args, &Env::default(), span)?;
                self.minimize(id, &args, span)
            }
            _ => error("shapes.call", span, format!("`{}` cannot be called", def.name)),
        }
    }

    /// Binds arguments to parameters: by position, then by name, then defaults; coerced to the declared types.
    pub fn bind(&mut self, name: &str, params: &[Param], args: Args, outer: &Env, span: Span) -> Result<Env> {
        let mut env = outer.clone();
        let mut given: IndexMap<usize, (Value, Span)> = IndexMap::new();
        let mut position = 0;
        for (arg_name, value, at) in args.values {
            let index = match &arg_name {
                Some(n) => match params.iter().position(|p| p.name == *n) {
                    Some(i) => i,
                    None => {
                        let names: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
                        return error_help(
                            "names.argument",
                            at,
                            format!("`{name}` has no parameter `{n}`"),
                            format!("its parameters are {}", names.join(", ")),
                        );
                    }
                },
                None => {
                    position += 1;
                    position - 1
                }
            };
            if index >= params.len() {
                return error(
                    "shapes.arguments",
                    at,
                    format!("`{name}` takes {} arguments, this is one too many", params.len()),
                );
            }
            if given.insert(index, (value, at)).is_some() {
                return error("shapes.arguments", at, format!("`{}` is given twice", params[index].name));
            }
        }
        for (i, p) in params.iter().enumerate() {
            let (value, at) = match (given.swap_remove(&i), &p.default) {
                (Some(v), _) => v,
                (None, Some(default)) => (self.expr(default, &env)?, default.span),
                (None, None) => {
                    return error_help(
                        "shapes.arguments",
                        span,
                        format!("`{name}` needs `{}`", p.name),
                        format!("write `{}=…`", p.name),
                    );
                }
            };
            let value = self.coerce(value, p.ty.as_ref(), &env, at)?;
            env.set(p.local, value);
        }
        Ok(env)
    }

    pub fn call_function(&mut self, f: &Rc<Function>, args: Args, span: Span) -> Result<Value> {
        let lambda = f.lambda.clone();
        let env = self.bind(&f.name, &lambda.params, args, &f.env, span)?;
        // A function of numbers, called with fields, acts at each point.
        let of_numbers = |p: &Param| {
            p.ty.as_ref().is_some_and(|t| {
                matches!(
                    t.kind,
                    TypeExprKind::Real
                        | TypeExprKind::Vec(_)
                        | TypeExprKind::Mat(..)
                        | TypeExprKind::Sym(_)
                        | TypeExprKind::Stiff(_)
                )
            })
        };
        let lifted: Vec<&Param> = lambda
            .params
            .iter()
            .filter(|p| of_numbers(p) && matches!(env.get(p.local), Some(Value::Field(_))))
            .collect();
        let name = f.name.clone();
        let out = if lifted.is_empty() {
            let mut env = env;
            self.run_lambda(&name, &lambda, &mut env, span)
        } else {
            let fields: Vec<Value> = lifted.iter().filter_map(|p| env.get(p.local).cloned()).collect();
            let locals: Vec<_> = lifted.iter().map(|p| p.local).collect();
            self.pointwise(&fields, span, |l, nums| {
                let mut env = env.clone();
                for (local, n) in locals.iter().zip(nums) {
                    env.set(*local, Value::Num(n.clone()));
                }
                let out = l.run_lambda(&name, &lambda, &mut env, span)?;
                l.num(&out, span)
            })
        };
        out.map_err(|e| Self::called_from(e, span, &name))
    }

    fn call_intrinsic(&mut self, def: DefId, args: Args, span: Span) -> Result<Value> {
        let program = self.program;
        let d = program.def(def);
        let DefKind::Fn(lambda) = &d.kind else {
            return error("shapes.call", span, format!("`{}` cannot be called", d.name));
        };
        let name = d.name.as_str();
        // Members beyond the declared parameters: `report(N=64, error=e)` names its own.
        if let Some(out) = super::intrinsics::variadic(self, name, &args, span) {
            return out;
        }
        let env = self.bind(name, &lambda.params, args, &Env::default(), span)?;
        let mut named = IndexMap::new();
        for p in &lambda.params {
            if let Some(v) = env.get(p.local) {
                named.insert(p.name.clone(), v.clone());
            }
        }
        super::intrinsics::call(self, name, named, span)
    }

    /// A definition that is only a name for a bare expression, followed without evaluating (for messages).
    pub fn is_intrinsic(&self, e: &Expr, name: &str) -> bool {
        matches!(&e.kind, ExprKind::Def(d) if self.program.def(*d).name == name)
    }

    /// A whole number that is known now.
    pub fn known_int(&mut self, v: &Value, what: &str, span: Span) -> Result<usize> {
        let x = match v {
            Value::Int(i) => Some(*i as f64),
            other => match self.num(other, span)? {
                n @ Num::Const(_) => n.known(),
                n => Some(self.compute(&[n], span)?[0].item()),
            },
        };
        match x {
            Some(x) if x.fract() == 0.0 && (0.0..1e15).contains(&x) => Ok(x as usize),
            _ => error("shapes.arguments", span, format!("{what} must be a whole number that is not negative")),
        }
    }

    /// A real number that is known now.
    pub fn known_real(&mut self, v: &Value, span: Span) -> Result<f64> {
        let n = self.num(v, span)?;
        match n.known() {
            Some(x) => Ok(x),
            None => Ok(self.compute(&[n], span)?[0].item()),
        }
    }
}
