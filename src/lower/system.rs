//! A system with its arguments becomes equations: each a divergence of a flux plus a source, conditions sorted into essential
//! and natural ones by what they contain, gauges set apart.

use super::convolution::Convolution;
use super::domain::Domain;
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::unknowns::{Number, Unknown, is_field};
use super::value::{Env, Field, Functional, Integral, Leaf, Problem, Residual, Value};
use super::velocities::Velocity;
use crate::base::Span;
use crate::ir::Type;
use crate::sema::hir::{DefId, DefKind, Expr, Op, System, SystemStmtKind};
use std::rc::Rc;

/// The equations of a problem, as fields over its unknowns.
pub struct Equations {
    pub def: DefId,
    pub name: String,
    /// Identity of the unknown leaves.
    pub problem: u64,
    pub domain: Rc<Domain>,
    pub unknowns: Vec<Unknown>,
    /// Unknowns that are numbers.
    pub numbers: Vec<Number>,
    /// One for each unknown field, in order.
    pub balances: Vec<Equation>,
    pub gauges: Vec<Gauge>,
    /// Integrals of the unknown inside terms.
    pub integrals: Vec<Standing>,
    /// Convolutions of the unknown inside terms.
    pub convolutions: Vec<Convolution>,
    pub conditions: Vec<Boundary>,
    /// No gradient drives any flux: what arrives at a wall where nothing is given leaves.
    pub carries: bool,
    /// The rates of the unknowns are asked for, not a solution.
    pub rates: bool,
    /// Unknowns with a second derivative in time.
    pub velocities: Vec<Velocity>,
    /// Values at the start, by unknown.
    pub initial: Vec<(usize, Field, Span)>,
    /// Lets of the system, by name.
    pub lets: Vec<(String, Value)>,
}

#[derive(Clone)]
pub struct Equation {
    pub name: String,
    pub residual: Residual,
    pub span: Span,
}

/// A number that stands for an integral of the unknown in the terms of an equation.
pub struct Standing {
    pub number: Number,
    pub integral: Rc<Functional>,
}

/// `mean(w) = value`, or any other equation of integrals.
pub struct Gauge {
    pub functional: Rc<Functional>,
    pub value: Value,
    pub span: Span,
}

impl Gauge {
    /// The number of equations it stands for.
    pub fn count(&self) -> usize {
        self.functional.terms.first().map_or(0, |t| t.integrand.shape().iter().product())
    }

    /// The one term, where it is the integral or mean of an unknown itself over its domain.
    pub fn plain(&self) -> Option<&Integral> {
        match &self.functional.terms[..] {
            [t @ Integral { integrand, part: None, .. }]
                if matches!(&integrand.leaves[..], [Leaf::Unknown { order: 0, .. }])
                    && integrand.func.nodes.len() == 1 =>
            {
                Some(t)
            }
            _ => None,
        }
    }

    /// Whether the value of this unknown occurs in it.
    pub fn fixes(&self, unknown: usize) -> bool {
        let leaves = self.functional.terms.iter().flat_map(|t| &t.integrand.leaves);
        leaves.into_iter().any(|l| matches!(l, Leaf::Unknown { index, order: 0, .. } if *index == unknown))
    }
}

/// `condition = 0` on a part of the boundary.
pub struct Boundary {
    pub part: String,
    /// `u[i] = …`: of one component of an unknown vector.
    pub component: Option<usize>,
    pub condition: Field,
    pub through: Through,
    pub span: Span,
}

/// What passes where a condition on a flux stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Through {
    /// What the condition says.
    Given,
    /// Nothing: the condition is on all that flows, and other terms see to it.
    Nothing,
    /// What is carried: the condition is on other terms alone.
    Carried,
}

impl Equations {
    /// Laws that carry what they are of, without any gradient. In a system one that is not of rates alone is something else: half of an
    /// equation of second order, `∇·q = f` beside `q = -k*∇u`.
    fn is_of_first_order(&self) -> bool {
        let one = self.unknowns.len() == 1 && self.unknowns[0].shape.iter().product::<usize>() == 1;
        let driven = |v: &Value| matches!(v, Value::Field(f) if f.leaves.iter().any(|l| matches!(l, Leaf::Unknown { order: 1.., .. })));
        self.balances.iter().all(|e| {
            let transport = e.residual.transport.as_ref().map(|t| &t.flux);
            (one || e.residual.stored.is_some()) && !e.residual.flux.iter().chain(transport).any(driven)
        })
    }
}

impl Lower<'_> {
    pub fn equations(&mut self, p: &Problem) -> Result<Equations> {
        let program = self.program;
        let def = program.def(p.def);
        let DefKind::System(system) = &def.kind else {
            return error("shapes.call", p.span, format!("`{}` is not a system", def.name));
        };
        let problem = self.tracer_fresh();
        let mut out = Equations {
            def: p.def,
            name: def.name.clone(),
            problem,
            domain: Rc::new(Domain {
                name: String::new(),
                origin: vec![],
                extent: vec![],
                periodic: false,
                scale: None,
                length: None,
            }),
            unknowns: vec![],
            numbers: vec![],
            balances: vec![],
            gauges: vec![],
            integrals: vec![],
            convolutions: vec![],
            conditions: vec![],
            carries: false,
            rates: false,
            velocities: vec![],
            initial: vec![],
            lets: vec![],
        };
        let mut env = p.args.clone();
        let (domains, velocities) = (self.domains.len(), self.velocities.len());
        let (outer, around) = (self.integrals.take(), self.convolutions.take());
        self.integrals = self.time.is_some().then(Vec::new);
        self.convolutions = self.time.is_some().then(Vec::new);
        let result = self.system_statements(system, &mut env, &mut out, true);
        out.integrals = std::mem::replace(&mut self.integrals, outer).unwrap_or_default();
        out.convolutions = std::mem::replace(&mut self.convolutions, around).unwrap_or_default();
        self.domains.truncate(domains);
        self.velocities.truncate(velocities);
        result?;
        if out.unknowns.is_empty() {
            return error("pde.unknown.none", def.span, format!("system `{}` has no unknown", def.name));
        }
        if out.balances.len() != out.unknowns.len() {
            return error(
                "pde.count",
                def.span,
                format!(
                    "system `{}` has {} unknowns and {} equations",
                    def.name,
                    out.unknowns.len(),
                    out.balances.len()
                ),
            );
        }
        out.pair();
        out.carries = out.is_of_first_order();
        Ok(out)
    }

    fn system_statements(
        &mut self,
        system: &System,
        env: &mut Env,
        out: &mut Equations,
        outermost: bool,
    ) -> Result<()> {
        let program = self.program;
        let second = super::velocities::second_order(system);
        for stmt in &system.stmts {
            match &stmt.kind {
                SystemStmtKind::Unknown { local, name, ty, nominal } if !is_field(ty) => {
                    let number = self.unknown_number(name, ty, nominal.as_ref(), env, stmt.span)?;
                    let domain = self.number_domain(system, env, out, stmt.span)?;
                    let field = self.constant_field(&domain, &number.placeholder);
                    env.set(*local, Value::Field(field));
                    out.numbers.push(number);
                }
                SystemStmtKind::Unknown { local, name, ty, nominal } => {
                    let u = self.unknown(name, ty, nominal.as_ref(), env, out)?;
                    env.set(*local, Value::Field(u.field.clone()));
                    if out.unknowns.is_empty() {
                        out.domain = u.field.domain.clone();
                        self.domains.push(out.domain.clone());
                    } else if *out.domain != *u.field.domain {
                        return error(
                            "unsupported.library",
                            stmt.span,
                            "unknowns over different domains in one system are not supported yet",
                        );
                    }
                    out.unknowns.push(u);
                    if second.contains(local) {
                        self.velocity(stmt.span, out)?;
                    }
                }
                SystemStmtKind::Include { system: inner, args, binds } => {
                    let def = program.def(*inner);
                    let DefKind::System(included) = &def.kind else {
                        return error("shapes.call", stmt.span, format!("`{}` is not a system", def.name));
                    };
                    let values = args
                        .iter()
                        .map(|a| Ok((a.name.clone(), self.expr(&a.value, env)?, a.value.span)))
                        .collect::<Result<Vec<_>>>()?;
                    let mut inside = self.bind(
                        &def.name,
                        &included.params,
                        super::call::Args { values },
                        &Env::default(),
                        stmt.span,
                    )?;
                    self.system_statements(included, &mut inside, out, false)?;
                    for (mine, theirs) in binds {
                        if let Some(v) = inside.get(*theirs) {
                            env.set(*mine, v.clone());
                        }
                    }
                }
                SystemStmtKind::Let { local, ty, value } => {
                    let v = self.expr(value, env)?;
                    let v = self.coerce(v, ty.as_ref(), env, value.span)?;
                    env.set(*local, v.clone());
                    out.lets.push((program.local(*local).name.clone(), self.written_out(&v, value.span)?));
                }
                SystemStmtKind::Eq { name, lhs, rhs } => self.equation(name, lhs, rhs, env, out, stmt.span)?,
                SystemStmtKind::Weak { .. } => {
                    return error_help(
                        "unsupported.weak",
                        stmt.span,
                        "weak forms (`weak`) are not supported yet",
                        "write the strong form, `∇·(flux) + source = 0`: its weak form is derived",
                    );
                }
                SystemStmtKind::On { places, lhs, rhs } => {
                    let component = self.component(lhs, env)?;
                    let l = self.expr(lhs, env)?;
                    let r = self.expr(rhs, env)?;
                    let (l, r) = (self.conform(l, &r, stmt.span)?, r);
                    let r = self.conform(r, &l, stmt.span)?;
                    let condition = self.apply(&Op::Sub, &[l, r], stmt.span)?;
                    let condition = self.field(&condition, stmt.span)?;
                    // What is held moves as it is told to; its velocity is held, too.
                    let held = condition.has_unknown()
                        && condition.leaves.iter().all(|l| !matches!(l, Leaf::Unknown { order: 1.., .. }));
                    let moving = if held { self.moving(&condition) } else { None };
                    for (place, condition) in places.iter().flat_map(|p| {
                        [Some(condition.clone()), moving.clone()].into_iter().flatten().map(move |c| (p, c))
                    }) {
                        out.conditions.push(Boundary {
                            part: place.part.clone(),
                            component,
                            condition,
                            through: Through::Given,
                            span: place.span,
                        });
                    }
                }
                SystemStmtKind::Ensure { name, claim } => {
                    if self.claims.is_some() {
                        self.claim(name, claim, env)?;
                    }
                }
                SystemStmtKind::Init { lhs, rhs } => {
                    let unknown = self.expr(lhs, env)?;
                    let (index, shape) = match &unknown {
                        Value::Field(f) if f.func.nodes.len() == 1 => match f.leaves[..] {
                            [Leaf::Unknown { index, order: 0, .. }] => (index, f.shape().to_vec()),
                            _ => return initial_of_what(stmt.span),
                        },
                        _ => return initial_of_what(stmt.span),
                    };
                    let value = self.expr(rhs, env)?;
                    let value = self.conform(value, &unknown, stmt.span)?;
                    let value = self.field(&value, stmt.span)?;
                    if value.shape() != shape {
                        return error(
                            "shapes.mismatch",
                            stmt.span,
                            format!(
                                "the initial value is {}, its unknown is {}",
                                super::arith::shape_name(value.shape()),
                                super::arith::shape_name(&shape)
                            ),
                        );
                    }
                    out.initial.push((index, value, stmt.span));
                }
            }
        }
        let _ = outermost;
        Ok(())
    }

    fn equation(
        &mut self,
        name: &str,
        lhs: &Expr,
        rhs: &Expr,
        env: &Env,
        out: &mut Equations,
        span: Span,
    ) -> Result<()> {
        let l = self.expr(lhs, env)?;
        let r = self.expr(rhs, env)?;
        let (l, r) = match (&l, &r) {
            (Value::Functional(_), Value::Functional(_)) => (self.apply(&Op::Sub, &[l, r], span)?, Value::num(0.0)),
            _ => (l, r),
        };
        match (&l, &r) {
            (Value::Functional(f), other) | (other, Value::Functional(f)) => {
                out.gauges.push(Gauge { functional: f.clone(), value: other.clone(), span });
                return Ok(());
            }
            _ => {}
        }
        let l = self.conform(l, &r, span)?;
        let r = self.conform(r, &l, span)?;
        let whole = self.apply(&Op::Sub, &[l, r], span)?;
        let residual = match whole {
            Value::Residual(r) => (*r).clone(),
            Value::Field(f) if f.has_unknown() => Residual { source: Some(Value::Field(f)), ..Residual::default() },
            _ => {
                return error("pde.equation.constant", span, format!("the equation `{name}` contains no unknown"));
            }
        };
        out.balances.push(Equation { name: name.into(), residual, span });
        Ok(())
    }

    /// Zero on one side takes the shape of the other.
    pub(super) fn conform(&mut self, v: Value, other: &Value, span: Span) -> Result<Value> {
        if v.known() != Some(0.0) {
            return Ok(v);
        }
        let shape = match other {
            Value::Field(f) => f.shape().to_vec(),
            Value::Num(n) => n.shape().to_vec(),
            Value::Residual(r) => match (r.pointwise_part(), &r.flux) {
                (Some(Value::Field(f)), _) => f.shape().to_vec(),
                (_, Some(Value::Field(f))) => f.shape()[..f.shape().len().saturating_sub(1)].to_vec(),
                _ => vec![],
            },
            Value::List(_) => match self.numeric(other, span)? {
                Value::Num(n) => n.shape().to_vec(),
                Value::Field(f) => f.shape().to_vec(),
                _ => vec![],
            },
            _ => vec![],
        };
        Ok(Value::Num(super::value::Num::Const(crate::ir::Tensor::zeros(&Type::f64(shape)))))
    }

    pub(super) fn tracer_fresh(&mut self) -> u64 {
        self.tracer.fresh()
    }
}

fn initial_of_what<T>(span: Span) -> Result<T> {
    error_help(
        "run.equation",
        span,
        "this is not an unknown",
        "write `init u = …`, once for each unknown with a derivative in time",
    )
}
