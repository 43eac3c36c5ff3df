//! Systems of numbers in time: the statements of a system without a domain become `F(t, u, du/dt) = 0` over one vector u.

use super::super::march::{Sought, names};
use super::rates;
use crate::base::Span;
use crate::ir::{Builder, Func, Tensor, Type};
use crate::lower::Lower;
use crate::lower::arith::shape_name;
use crate::lower::claims::{Claim, Kind};
use crate::lower::error::{Result, error, error_help};
use crate::lower::value::{Env, Num, Problem, Value};
use crate::sema::hir::{DefId, DefKind, Op, System, SystemStmtKind, TypeExprKind};

/// A system of numbers. The state u holds every unknown, then the velocities of those that stand under `∂tt`.
pub struct Ordinary {
    pub def: DefId,
    pub name: String,
    pub span: Span,
    pub unknowns: Vec<Quantity>,
    /// Length of the state.
    pub n: usize,
    /// `(t, u[n], w[n], captured…) → F[n]`, w = du/dt.
    pub implicit: Func,
    /// Rows of F that contain rates.
    pub rated: Vec<bool>,
    /// `(t, u[n], captured…) → du/dt[n]`; none where an unknown has no rate.
    pub rates: Option<Func>,
    /// `(t, u[n], captured…) → accelerations`, where every unknown is of second order and no velocity stands in its equation.
    pub forces: Option<Func>,
    pub captured: Vec<Num>,
    /// At the start, `[n]`.
    pub initial: Num,
    /// `(t, u[n], captured…) → values` of these names.
    pub lets: (Vec<String>, Func),
    nominal: Vec<f64>,
    /// What it states of its solution; behind the lets stand the margin of each, or its number and its size.
    pub claims: Vec<Claim>,
    /// Lets that are no numbers.
    pub constants: Vec<(String, Value)>,
}

/// An unknown number, vector or tensor.
pub struct Quantity {
    pub name: String,
    pub shape: Vec<usize>,
    pub span: Span,
    /// Of the highest derivative in time.
    pub order: usize,
    /// Where its value and its velocity begin in the state.
    pub value: usize,
    pub velocity: Option<usize>,
    /// The one equation that holds its highest derivative, where there is one: its name and where it stands.
    pub equation: Option<(String, Span)>,
}

impl Ordinary {
    /// Typical sizes of the state.
    pub fn nominal(&self) -> Tensor {
        Tensor::f64([self.n], self.nominal.clone())
    }
}

impl Quantity {
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Where its highest rate stands in du/dt.
    pub fn top(&self) -> usize {
        self.velocity.unwrap_or(self.value)
    }
}

/// What moves while equations are read: numbers and their derivatives in time.
pub struct Motion {
    pairs: Vec<(Num, Num)>,
}

struct Equation {
    name: String,
    /// Left side less right side.
    residual: Num,
    span: Span,
}

#[derive(Default)]
struct Read {
    unknowns: Vec<(String, Vec<usize>, Span)>,
    nominal: Vec<f64>,
    /// Value, first and second derivative.
    inputs: Vec<[Num; 3]>,
    equations: Vec<Equation>,
    /// Unknown, which derivative, value.
    initial: Vec<(usize, usize, Num, Span)>,
    lets: Vec<(String, Num)>,
    claims: Vec<Claim>,
    constants: Vec<(String, Value)>,
}

impl Lower<'_> {
    /// Whether no unknown of a system is a field.
    pub fn is_ordinary(&self, def: DefId) -> bool {
        let DefKind::System(system) = &self.program.def(def).kind else { return false };
        let mut unknowns = 0;
        let ordinary = system.stmts.iter().all(|s| match &s.kind {
            SystemStmtKind::Unknown { ty, .. } => {
                unknowns += 1;
                !matches!(ty.kind, TypeExprKind::Field { .. })
            }
            SystemStmtKind::Include { system, .. } => {
                unknowns += 1;
                self.is_ordinary(*system)
            }
            _ => true,
        });
        ordinary && unknowns > 0
    }

    /// The derivative in time of a number, where numbers move.
    pub fn moved(&mut self, n: &Num) -> Option<Num> {
        let motion = self.motion.take()?;
        let out = self.tracer.along(n, &motion.pairs);
        self.motion = Some(motion);
        Some(out)
    }

    /// Reads a system of numbers; `start` is the time at which initial values are taken.
    pub fn ordinary(&mut self, p: &Problem, start: f64) -> Result<Ordinary> {
        let program = self.program;
        let def = program.def(p.def);
        let DefKind::System(system) = &def.kind else {
            return error("shapes.call", p.span, format!("`{}` is not a system", def.name));
        };
        let mut read = Read::default();
        let mut env = p.args.clone();
        self.read_unknowns(system, &mut env, &mut read)?;
        let types = std::iter::once(Type::f64([]))
            .chain(read.unknowns.iter().flat_map(|(_, shape, _)| vec![Type::f64(shape.clone()); 3]));
        let types: Vec<Type> = types.collect();
        let outer = self.motion.take();
        let traced = self.timed(&def.name, &types, 0, |l, inputs| {
            read.inputs = inputs[1..].chunks(3).map(|c| [c[0].clone(), c[1].clone(), c[2].clone()]).collect();
            let mut pairs = vec![(inputs[0].clone(), Num::scalar(1.0))];
            for [x, v, a] in &read.inputs {
                pairs.push((x.clone(), v.clone()));
                pairs.push((v.clone(), a.clone()));
            }
            l.motion = Some(Motion { pairs });
            let mut next = 0;
            let ((), claims) = l.with_claims(|l| l.read_statements(system, &mut env, &mut read, &mut next))?;
            let mut looked_at = vec![];
            for claim in &claims {
                looked_at.extend(l.claimed_number(claim)?);
            }
            read.claims = claims;
            let equations = read.equations.iter().map(|e| &e.residual);
            let values =
                equations.chain(read.initial.iter().map(|(_, _, n, _)| n)).chain(read.lets.iter().map(|l| &l.1));
            let values = values.chain(&looked_at);
            Ok(values.cloned().collect())
        });
        self.motion = outer;
        let (raw, captured) = traced?;
        let of = |e: &Equation| vec![e.name.clone(); e.residual.ty().len()];
        let equations: Vec<String> = read.equations.iter().flat_map(of).collect();
        let system = self.assemble(p.def, &def.name, def.span, read, raw, captured, start)?;
        let mut equations = equations;
        equations.extend(
            system
                .unknowns
                .iter()
                .filter(|u| u.velocity.is_some())
                .flat_map(|u| vec![format!("∂t({})", u.name); u.len()]),
        );
        self.runtime
            .seeks(&system.name, &|| Sought::Numbers { names: names(&system, system.n), equations: equations.clone() });
        Ok(system)
    }

    /// Shapes of the unknowns, in the order of the statements.
    fn read_unknowns(&mut self, system: &System, env: &mut Env, read: &mut Read) -> Result<()> {
        for stmt in &system.stmts {
            match &stmt.kind {
                SystemStmtKind::Unknown { name, ty, nominal, .. } => {
                    let Some(shape) = self.element_shape(ty, 1, env)? else {
                        return error(
                            "unsupported.library",
                            ty.span,
                            "an unknown is a field, a number or a vector of numbers",
                        );
                    };
                    read.unknowns.push((name.clone(), shape, stmt.span));
                    let typical = match nominal {
                        Some(e) => {
                            let v = self.expr(e, env)?;
                            self.known_real(&v, e.span)?.abs()
                        }
                        None => 1.0,
                    };
                    read.nominal.push(if typical > 0.0 { typical } else { 1.0 });
                }
                SystemStmtKind::Include { .. } => {
                    return error_help(
                        "unsupported.library",
                        stmt.span,
                        "`include` in a system without a domain is not supported yet",
                        "write the equations of both into one system",
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_statements(&mut self, system: &System, env: &mut Env, read: &mut Read, next: &mut usize) -> Result<()> {
        let program = self.program;
        for stmt in &system.stmts {
            match &stmt.kind {
                SystemStmtKind::Unknown { local, .. } => {
                    env.set(*local, Value::Num(read.inputs[*next][0].clone()));
                    *next += 1;
                }
                SystemStmtKind::Let { local, ty, value } => {
                    let v = self.expr(value, env)?;
                    let v = self.coerce(v, ty.as_ref(), env, value.span)?;
                    env.set(*local, v.clone());
                    let name = program.local(*local).name.clone();
                    match &v {
                        Value::Num(n) => read.lets.push((name, n.clone())),
                        Value::List(_) => {
                            if let Ok(Value::Num(n)) = self.numeric(&v, value.span) {
                                read.lets.push((name, n));
                            }
                        }
                        Value::Int(_) | Value::Bool(_) | Value::Str(_) | Value::Domain(_) => {
                            read.constants.push((name, v));
                        }
                        _ => {}
                    }
                }
                SystemStmtKind::Eq { name, lhs, rhs } => {
                    let (l, r) = (self.expr(lhs, env)?, self.expr(rhs, env)?);
                    let l = self.conform(l, &r, stmt.span)?;
                    let r = self.conform(r, &l, stmt.span)?;
                    let whole = self.apply(&Op::Sub, &[l, r], stmt.span)?;
                    let Value::Num(residual) = whole else {
                        return error("run.equation", stmt.span, format!("both sides of `{name}` must be numbers"));
                    };
                    read.equations.push(Equation { name: name.clone(), residual, span: stmt.span });
                }
                SystemStmtKind::Init { lhs, rhs } => {
                    let of = self.expr(lhs, env)?;
                    let found = read.inputs.iter().enumerate().find_map(|(k, inputs)| {
                        (0..2).find(|&d| matches!(&of, Value::Num(n) if same(n, &inputs[d]))).map(|d| (k, d))
                    });
                    let Some((unknown, derivative)) = found else {
                        return error_help(
                            "run.equation",
                            stmt.span,
                            "this is not an unknown",
                            "write `init x = …` once for each unknown, and `init ∂t(x) = …` where `∂tt(x)` stands in an equation",
                        );
                    };
                    let value = self.expr(rhs, env)?;
                    let value = self.conform(value, &of, stmt.span)?;
                    let value = self.num(&value, rhs.span)?;
                    let shape = &read.unknowns[unknown].1;
                    if value.shape() != shape {
                        return error(
                            "shapes.mismatch",
                            stmt.span,
                            format!(
                                "the initial value is {}, its unknown is {}",
                                shape_name(value.shape()),
                                shape_name(shape)
                            ),
                        );
                    }
                    read.initial.push((unknown, derivative, value, stmt.span));
                }
                SystemStmtKind::Ensure { name, claim } => {
                    if self.claims.is_some() {
                        self.claim(name, claim, env)?;
                    }
                }
                SystemStmtKind::On { .. } => {
                    return error("run.equation", stmt.span, "a system without a domain has no boundary");
                }
                SystemStmtKind::Weak { .. } => {
                    return error("run.equation", stmt.span, "a system without a domain has no weak form");
                }
                SystemStmtKind::Include { .. } => unreachable!("compiler bug: refused before"),
            }
        }
        Ok(())
    }

    /// The margin of a claim, or its number and its size.
    fn claimed_number(&mut self, claim: &Claim) -> Result<Vec<Num>> {
        Ok(match &claim.kind {
            Kind::Order { more, less, .. } => {
                let margin = self.margin(more, less, claim.span)?;
                vec![self.num(&margin, claim.span)?]
            }
            Kind::Conserved { value, .. } => {
                let n = self.num(value, claim.span)?;
                let size = self.unary_num(crate::ir::Unary::Abs, &n);
                vec![n, size]
            }
        })
    }

    /// `raw(t, (x, v, a)…, captured…) → (equations…, initial values…, lets…)`
    // The last step of reading a system takes all that was read.
    #[allow(clippy::too_many_arguments)]
    fn assemble(
        &mut self,
        def: DefId,
        name: &str,
        span: Span,
        read: Read,
        raw: Func,
        captured: Vec<Num>,
        start: f64,
    ) -> Result<Ordinary> {
        let count = read.equations.len();
        let equations: Vec<usize> = read.equations.iter().map(|e| e.residual.ty().len()).collect();
        let wanted: usize = read.unknowns.iter().map(|(_, s, _)| s.iter().product::<usize>()).sum();
        if equations.iter().sum::<usize>() != wanted {
            return error(
                "pde.count",
                span,
                format!(
                    "system `{name}` has {wanted} unknown numbers and {} equations for them",
                    equations.iter().sum::<usize>()
                ),
            );
        }
        let reach = rates::Reach::of(&raw);
        let depends = |o: usize, k: usize, d: usize| reach.depends(o, 1 + 3 * k + d);
        let order = |k: usize| (0..3).rev().find(|&d| (0..count).any(|o| depends(o, k, d))).unwrap_or(0);
        let mut unknowns: Vec<Quantity> = vec![];
        let mut n = 0;
        for (k, (name, shape, span)) in read.unknowns.iter().enumerate() {
            let (order, value) = (order(k), n);
            let mut holding = (0..count).filter(|&o| depends(o, k, order));
            let equation = holding.next().filter(|_| holding.next().is_none()).map(|o| &read.equations[o]);
            unknowns.push(Quantity {
                name: name.clone(),
                shape: shape.clone(),
                span: *span,
                order,
                value,
                velocity: None,
                equation: equation.map(|e| (e.name.clone(), e.span)),
            });
            n += unknowns[k].len();
        }
        for u in unknowns.iter_mut().filter(|u| u.order == 2) {
            u.velocity = Some(n);
            n += u.len();
        }
        if unknowns.iter().all(|u| u.order == 0) {
            return error_help(
                "run.scheme",
                span,
                format!("nothing in `{name}` changes in time"),
                "write `∂t(x) = …`; systems of numbers are solved in time only",
            );
        }
        let mut rated = vec![];
        for (o, len) in equations.iter().enumerate() {
            let has = (0..unknowns.len()).any(|k| unknowns[k].order > 0 && depends(o, k, unknowns[k].order));
            rated.extend(std::iter::repeat_n(has, *len));
        }
        rated.resize(n, true);
        let initial = self.initial_numbers(&unknowns, &read, &raw, &reach, &captured, start, n)?;
        let implicit = rates::implicit(&raw, &unknowns, n, count);
        let solved = rates::explicit(&raw, &reach, &unknowns, n, count);
        let rates = match solved {
            Some(f) => Some(f),
            None if unknowns.iter().all(|u| u.order > 0) => Some(rates::by_solve(&implicit, name)),
            None => None,
        };
        let free_of_velocity =
            unknowns.iter().enumerate().all(|(k, u)| u.order == 2 && !(0..count).any(|o| depends(o, k, 1)));
        let forces = rates.as_ref().filter(|_| free_of_velocity).map(|f| rates::forces(f, n));
        let mut nominal = vec![1.0; n];
        for (u, typical) in unknowns.iter().zip(&read.nominal) {
            for at in std::iter::once(u.value).chain(u.velocity) {
                nominal[at..at + u.len()].fill(*typical);
            }
        }
        let skip = count + read.initial.len();
        let lets = rates::lets(&raw, &unknowns, n, skip, rates.as_ref());
        let lets = (read.lets.into_iter().map(|(n, _)| n).collect(), lets);
        let (constants, claims) = (read.constants, read.claims);
        let name = name.to_string();
        Ok(Ordinary {
            def,
            name,
            span,
            unknowns,
            n,
            implicit,
            rated,
            rates,
            forces,
            captured,
            initial,
            lets,
            nominal,
            claims,
            constants,
        })
    }

    // As `assemble`, of which it is a part.
    #[allow(clippy::too_many_arguments)]
    fn initial_numbers(
        &mut self,
        unknowns: &[Quantity],
        read: &Read,
        raw: &Func,
        reach: &rates::Reach,
        captured: &[Num],
        start: f64,
        n: usize,
    ) -> Result<Num> {
        let count = read.equations.len();
        let mut pieces: Vec<(usize, usize)> = vec![];
        for (k, u) in unknowns.iter().enumerate() {
            for derivative in 0..=usize::from(u.velocity.is_some()) {
                let found = read.initial.iter().position(|(i, d, ..)| (*i, *d) == (k, derivative));
                let Some(position) = found else {
                    // An algebraic unknown is found from the others; this is where its search begins.
                    if u.order == 0 {
                        pieces.push((usize::MAX, u.len()));
                        continue;
                    }
                    let what = if derivative == 0 { u.name.clone() } else { format!("∂t({})", u.name) };
                    return error_help(
                        "pde.init.missing",
                        u.span,
                        format!("`{what}` has no initial value"),
                        format!("add `init {what} = …` to the system"),
                    );
                };
                if (1..1 + 3 * unknowns.len()).any(|i| reach.depends(count + position, i)) {
                    return error(
                        "run.equation",
                        read.initial[position].3,
                        "an initial value cannot depend on unknowns",
                    );
                }
                pieces.push((count + position, u.len()));
            }
        }
        // Values first, then velocities: the layout of the state.
        let mut ordered: Vec<(usize, (usize, usize))> = vec![];
        let mut pieces = pieces.into_iter();
        for u in unknowns {
            ordered.push((u.value, pieces.next().expect("compiler bug: an unknown without a beginning")));
            if let Some(v) = u.velocity {
                ordered.push((v, pieces.next().expect("compiler bug: an unknown without a beginning")));
            }
        }
        ordered.sort_by_key(|(at, _)| *at);
        let inputs = &raw.inputs[..1 + 3 * unknowns.len()];
        let refs: Vec<&Num> = captured.iter().collect();
        Ok(self.tracer.build(&refs, |b, v| {
            let mut args = vec![b.scalar(start)];
            args.extend(inputs[1..].iter().map(|t| b.zeros(t)));
            args.extend_from_slice(v);
            let out = inline_some(b, raw, &args, &ordered.iter().map(|(_, (o, _))| *o).collect::<Vec<_>>());
            let parts: Vec<_> = ordered
                .iter()
                .zip(out)
                .map(|((_, (_, len)), v)| match v {
                    Some(v) => b.reshape(v, &[*len]),
                    None => b.zeros(&Type::f64([*len])),
                })
                .collect();
            let all = b.concat(&parts, 0);
            debug_assert_eq!(b.ty(all).len(), n);
            all
        }))
    }
}

/// Some of the outputs of a function.
fn inline_some(
    b: &mut Builder,
    f: &Func,
    args: &[crate::ir::Value],
    outputs: &[usize],
) -> Vec<Option<crate::ir::Value>> {
    let mut part = f.clone();
    part.outputs = outputs.iter().filter(|o| **o != usize::MAX).map(|&o| f.outputs[o]).collect();
    let part = crate::ir::build::drop_dead(part);
    let mut out = b.inline(&part, args).into_iter();
    outputs.iter().map(|o| if *o == usize::MAX { None } else { out.next() }).collect()
}

/// Whether two traced numbers are one.
pub fn same(a: &Num, b: &Num) -> bool {
    match (a, b) {
        (Num::Traced { frame: f, value: v, .. }, Num::Traced { frame: g, value: w, .. }) => (f, v) == (g, w),
        _ => false,
    }
}

/// Times as a tensor, for lets and members.
pub fn times(t: &[f64]) -> Num {
    Num::Const(Tensor::f64([t.len()], t))
}
