//! `solve(system, scheme)`: the equations become a balance law, the scheme a residual over degrees of freedom, and the solution
//! fields. Emits one `Op::Solve`; whether it runs now or inside a closure of a larger problem is not known here.

use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::functional::{Cells, Resolution, refused};
use super::system::{Boundary, Equations};
use super::value::{Discrete, Field, Leaf, Num, Solution, Value};
use crate::ad;
use crate::base::Span;
use crate::discretize::{Balance, Boundary as Part, Condition, Element, Space, finite_element, finite_volume};
use crate::ir::{Builder, Dot, Func, LinearSolver, Op, Tensor, Type};
use indexmap::IndexMap;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A pointwise function with what it needs besides its fixed inputs.
struct Pointwise {
    func: Func,
    data: Vec<(Rc<Discrete>, bool)>,
    captures: Vec<Num>,
}

/// A scheme as written.
struct Scheme {
    volumes: bool,
    resolution: Resolution,
    solver: LinearSolver,
    tolerance: f64,
}

impl Lower<'_> {
    pub fn solve(&mut self, args: &IndexMap<String, Value>, span: Span) -> Result<Value> {
        for name in ["t", "every", "steps"] {
            if args.get(name).is_some_and(|v| !matches!(v, Value::None)) {
                return error("unsupported.time", span, "problems in time are not supported yet");
            }
        }
        let problem = match args.get("problem") {
            Some(Value::Problem(p)) => p.clone(),
            Some(other) => {
                return error_help(
                    "run.scheme",
                    span,
                    format!("`solve` takes a system, not {}", other.kind()),
                    "call the system with its arguments: `solve(Heat(k), fem(n=32))`",
                );
            }
            None => return error("run.scheme", span, "`solve` takes a system"),
        };
        let scheme = self.scheme(args.get("scheme").unwrap_or(&Value::None), span)?;
        let eqs = self.equations(&problem)?;
        let balance_parts = self.balance(&eqs, span)?;
        self.emit(eqs, balance_parts, &scheme, args.get("guess"), span)
    }

    fn scheme(&mut self, v: &Value, span: Span) -> Result<Scheme> {
        let Value::Record(r) = v else {
            return error_help(
                "run.scheme",
                span,
                format!("expected a scheme, found {}", v.kind()),
                "for example `fem(order=1, n=64)` or `fv(n=64)`",
            );
        };
        let volumes = match r.kind.as_str() {
            "fem" => false,
            "fv" => true,
            other => return error("unsupported.library", span, format!("the scheme `{other}` is not supported yet")),
        };
        let given = |name: &str| r.fields.get(name).filter(|v| !matches!(v, Value::None));
        if given("time").is_some() {
            return error("unsupported.time", span, "problems in time are not supported yet");
        }
        let cells = match (given("n"), given("h")) {
            (Some(n), None) => Cells::Count(self.known_int(&n.clone(), "`n`", span)?),
            (None, Some(h)) => Cells::Size(self.known_real(&h.clone(), span)?),
            (Some(_), Some(_)) => {
                return error("run.scheme", span, "give either `n` (cells along the longest side) or `h` (their size)");
            }
            (None, None) => {
                return error_help(
                    "run.scheme",
                    span,
                    "how fine?",
                    "give `n` (cells along the longest side) or `h` (their size)",
                );
            }
        };
        let order = match given("order") {
            Some(o) => self.known_int(&o.clone(), "`order`", span)?,
            None => 1,
        };
        let element = match given("elements") {
            Some(Value::Str(s)) => match &**s {
                "quad" | "hex" => None,
                "triangle" => Some(Element::Triangle),
                other => {
                    return error_help(
                        "run.scheme",
                        span,
                        format!("there are no elements `{other}`"),
                        "choose \"quad\" (\"hex\" in 3-D) or \"triangle\"",
                    );
                }
            },
            _ => None,
        };
        let solver = match given("solver") {
            Some(Value::Record(s)) => match s.kind.as_str() {
                "direct" => LinearSolver::Direct,
                "multigrid" => LinearSolver::Multigrid,
                _ => LinearSolver::Auto,
            },
            _ => LinearSolver::Auto,
        };
        let tolerance = match given("tol") {
            Some(t) => self.known_real(&t.clone(), span)?,
            None => 1e-10,
        };
        Ok(Scheme {
            volumes,
            resolution: Resolution { order: if volumes { 0 } else { order }, element, cells },
            solver,
            tolerance,
        })
    }

    // ---- equations → balance law

    /// The pointwise functions of a system, over fixed inputs and shared data.
    fn balance(&mut self, eqs: &Equations, span: Span) -> Result<(Balance, Shared)> {
        let d = eqs.domain.dimension();
        let offsets = Offsets::of(eqs);
        let c = offsets.total;
        let mut flux = vec![];
        let mut source = vec![];
        for (eq, u) in eqs.balances.iter().zip(&eqs.unknowns) {
            let mut flux_shape = u.shape.clone();
            flux_shape.push(d);
            flux.push(self.part(&eq.residual.flux, &flux_shape, &eqs.domain, eq.span)?);
            source.push(self.part(&eq.residual.source, &u.shape, &eqs.domain, eq.span)?);
        }
        let inputs = [Type::f64([d]), Type::f64([c]), Type::f64([c, d])];
        let fields: Vec<&Field> = flux.iter().chain(&source).collect();
        let interior = self.traced_point(
            &fields,
            &inputs,
            &offsets,
            eqs,
            None,
            |b, v| {
                let rows = |b: &mut Builder, v: &[crate::ir::Value], tail: &[usize]| {
                    let parts: Vec<_> = v
                        .iter()
                        .zip(&eqs.unknowns)
                        .map(|(x, u)| {
                            let mut shape = vec![u.shape.iter().product::<usize>()];
                            shape.extend(tail);
                            b.reshape(*x, &shape)
                        })
                        .collect();
                    b.concat(&parts, 0)
                };
                let n = eqs.unknowns.len();
                vec![rows(b, &v[..n], &[d]), rows(b, &v[n..], &[])]
            },
            span,
        )?;
        let mut shared = Shared::default();
        let mut parts = vec![];
        let mut has_essential = false;
        for condition in &eqs.conditions {
            for part in self.condition(condition, eqs, &flux, &offsets)? {
                has_essential |= part.essential.is_some();
                parts.push((condition.part.clone(), part));
            }
        }
        let interior_data = interior.data.clone();
        // `∇·(k ∇u) = q` and `-∇·(k ∇u) = -q` are one equation; of the two the one with a positive definite matrix is solved.
        let flip = negative_flux(&interior.func);
        let interior = if flip { negated(interior) } else { interior };
        for (_, p) in parts.iter_mut().filter(|(_, p)| flip && p.essential.is_none()) {
            p.function.func = negated_func(&p.function.func);
        }
        // One list of shared numbers serves every function.
        let mut all: Vec<&Pointwise> = vec![&interior];
        all.extend(parts.iter().map(|(_, p)| &p.function));
        for p in &all {
            shared.merge(&p.captures);
        }
        let interior_func = shared.widen(&interior, 3);
        let shared_types: Vec<Type> = shared.numbers.iter().map(|n| n.ty().clone()).collect();
        let mut boundary = vec![];
        for (name, p) in &parts {
            let fixed = if p.essential.is_some() { 1 } else { 3 };
            let func = shared.widen(&p.function, fixed);
            boundary.push(Part {
                part: name.clone(),
                point_data: p.function.data.iter().map(|(f, g)| data_type(f, *g, d)).collect(),
                condition: match p.essential {
                    Some(component) => Condition::Essential { component, value: func },
                    None => Condition::Natural { value: func },
                },
            });
            shared.boundary_data.push(p.function.data.clone());
        }
        shared.interior_data = interior_data;
        let analysis = analyse(&interior_func, &boundary);
        let natural_on_unknown = boundary.iter().any(|b| match &b.condition {
            Condition::Natural { value } => reads_input(value, 1),
            Condition::Essential { .. } => false,
        });
        let constant_kernel = !has_essential && !natural_on_unknown && !analysis.reads_value;
        let balance = Balance {
            name: eqs.name.clone(),
            dimension: d,
            components: c,
            nominal: eqs.unknowns.iter().flat_map(|u| vec![u.nominal; u.shape.iter().product()]).collect(),
            point_data: shared.interior_data.iter().map(|(f, g)| data_type(f, *g, d)).collect(),
            interior: interior_func,
            shared: shared_types,
            boundary,
            linear: analysis.linear,
            symmetric: analysis.symmetric,
            constant_kernel,
        };
        if constant_kernel && eqs.gauges.is_empty() {
            return error_help(
                "pde.gauge.missing",
                eqs.balances[0].span,
                format!(
                    "`{}` is determined only up to a constant: no condition fixes the value of `{}`",
                    eqs.name, eqs.unknowns[0].name
                ),
                format!("add a gauge, for example `eq gauge: mean({}) = 0`", eqs.unknowns[0].name),
            );
        }
        if !constant_kernel && !eqs.gauges.is_empty() {
            return error_help(
                "pde.gauge.surplus",
                eqs.gauges[0].span,
                "this gauge contradicts the boundary conditions, which determine the solution already",
                "remove the gauge; constraints with a multiplier are not supported yet",
            );
        }
        Ok((balance, shared))
    }

    /// A part of an equation as a field of the expected shape; nothing is zero.
    fn part(
        &mut self,
        v: &Option<Value>,
        shape: &[usize],
        domain: &Rc<super::domain::Domain>,
        span: Span,
    ) -> Result<Field> {
        let zero = Num::Const(Tensor::zeros(&Type::f64(shape)));
        let field = match v {
            None => return Ok(self.constant_field(domain, &zero)),
            Some(Value::Field(f)) => f.clone(),
            Some(other) => {
                let n = self.num(other, span)?;
                if n.known() == Some(0.0) {
                    return Ok(self.constant_field(domain, &zero));
                }
                self.constant_field(domain, &n)
            }
        };
        if field.shape() != shape {
            return error_help(
                "shapes.mismatch",
                span,
                format!(
                    "a term of this equation is {}, its unknown asks for {}",
                    super::arith::shape_name(field.shape()),
                    super::arith::shape_name(shape)
                ),
                "the flux of a scalar equation is a vector, of a vector equation a tensor",
            );
        }
        Ok(field)
    }

    /// Traces fields at a point: inputs `fixed…`, then one for each discrete leaf; captured numbers follow.
    #[allow(clippy::too_many_arguments)]
    fn traced_point(
        &mut self,
        fields: &[&Field],
        fixed: &[Type],
        offsets: &Offsets,
        eqs: &Equations,
        normal: Option<usize>,
        finish: impl FnOnce(&mut Builder, &[crate::ir::Value]) -> Vec<crate::ir::Value>,
        span: Span,
    ) -> Result<Pointwise> {
        let d = eqs.domain.dimension();
        let mut data: Vec<(Rc<Discrete>, bool)> = vec![];
        for f in fields {
            for leaf in &f.leaves {
                if let Leaf::Discrete { field, gradient } = leaf
                    && !data.iter().any(|(g, h)| g.id == field.id && h == gradient)
                {
                    data.push((field.clone(), *gradient));
                }
            }
        }
        let mut types = fixed.to_vec();
        types.extend(data.iter().map(|(f, g)| data_type(f, *g, d)));
        let depth = self.tracer.depth();
        let inputs = self.tracer.open(&eqs.name, &types);
        let traced = (|| {
            let mut values = vec![];
            for f in fields {
                values.push(self.field_at(f, |l, leaf| {
                    Ok(match leaf {
                        Leaf::Coordinates => inputs[0].clone(),
                        Leaf::Normal => match normal {
                            Some(k) => inputs[k].clone(),
                            None => {
                                return error(
                                    "run.equation",
                                    span,
                                    "the normal `n` stands in boundary conditions only",
                                );
                            }
                        },
                        Leaf::Unknown { problem, index, gradient } => {
                            if *problem != eqs.problem {
                                return error("run.equation", span, "the unknown of another system has no value here");
                            }
                            let input = if *gradient { 2 } else { 1 };
                            if *gradient && normal.is_some() || fixed.len() <= input {
                                return error(
                                    "run.equation",
                                    span,
                                    "this condition cannot contain the gradient of the unknown",
                                );
                            }
                            let u = &eqs.unknowns[*index];
                            let n: usize = u.shape.iter().product();
                            let start = offsets.start[*index];
                            let mut shape = u.shape.clone();
                            if *gradient {
                                shape.push(d);
                            }
                            l.tracer.build(&[&inputs[input]], |b, v| {
                                let s = b.slice(v[0], 0, start, start + n);
                                b.reshape(s, &shape)
                            })
                        }
                        Leaf::Discrete { field, gradient } => {
                            let k = data.iter().position(|(g, h)| g.id == field.id && h == gradient);
                            inputs[fixed.len() + k.expect("compiler bug: a discrete leaf was not collected")].clone()
                        }
                        Leaf::Shared(n) => n.clone(),
                    })
                })?);
            }
            Ok(values)
        })();
        match traced {
            Ok(values) => {
                let refs: Vec<&Num> = values.iter().collect();
                let out = self.tracer.build_all(&refs, finish);
                let (func, captures) = self.tracer.close(&out);
                Ok(Pointwise { func, data, captures })
            }
            Err(e) => {
                self.tracer.abandon(depth);
                Err(e)
            }
        }
    }

    /// Sorts a boundary condition: with the gradient of the unknown it prescribes the flux, without it the value.
    fn condition(
        &mut self,
        c: &Boundary,
        eqs: &Equations,
        flux: &[Field],
        offsets: &Offsets,
    ) -> Result<Vec<TracedCondition>> {
        let d = eqs.domain.dimension();
        let gradients: Vec<usize> = indices(&c.condition, true);
        let values: Vec<usize> = indices(&c.condition, false);
        let which = gradients.first().or(values.first()).copied();
        let Some(which) = which else {
            return error_help(
                "run.equation",
                c.span,
                "this condition contains no unknown",
                "a condition prescribes the value of an unknown, or the normal component of its flux",
            );
        };
        if gradients.iter().chain(&values).any(|i| *i != which) && eqs.unknowns.len() > 1 && gradients.is_empty() {
            return error(
                "run.equation",
                c.span,
                "a condition on a value names one unknown; write one condition for each",
            );
        }
        let shape = eqs.unknowns[which].shape.clone();
        if c.condition.shape() != shape {
            return error(
                "shapes.mismatch",
                c.span,
                format!(
                    "the condition is {}, its unknown `{}` is {}",
                    super::arith::shape_name(c.condition.shape()),
                    eqs.unknowns[which].name,
                    super::arith::shape_name(&shape)
                ),
            );
        }
        let n: usize = shape.iter().product();
        if gradients.is_empty() {
            // u - g = 0: read off g = -c(0)/(c(1) - c(0)), exact for any affine condition.
            let at = |l: &mut Self, x: f64| {
                let tensor = Num::Const(Tensor::full(&Type::f64(shape.clone()), x));
                l.substitute(&c.condition, |leaf| match leaf {
                    Leaf::Unknown { .. } => Some(Leaf::Shared(tensor.clone())),
                    _ => None,
                })
            };
            let (zero, one) = (at(self, 0.0), at(self, 1.0));
            let mut out = vec![];
            for k in 0..n {
                let function = self.traced_point(
                    &[&zero, &one],
                    &[Type::f64([d])],
                    offsets,
                    eqs,
                    None,
                    |b, v| {
                        let (z, o) = (b.reshape(v[0], &[n]), b.reshape(v[1], &[n]));
                        let (z, o) = (b.index(z, 0, k), b.index(o, 0, k));
                        let slope = b.sub(o, z);
                        let minus = b.neg(z);
                        vec![b.div(minus, slope)]
                    },
                    c.span,
                )?;
                out.push(TracedCondition { essential: Some(offsets.start[which] + k), function });
            }
            return Ok(out);
        }
        let sign = self.flux_sign(c, &flux[which])?;
        // c = s·F·n + g(u) = 0, so F·n = -g/s; and g is c where the gradient vanishes, less s·F·n there.
        let without_gradient = |l: &Self, f: &Field| {
            l.substitute(f, |leaf| match leaf {
                Leaf::Unknown { gradient: true, .. } => {
                    let mut s = shape.clone();
                    s.push(d);
                    Some(Leaf::Shared(Num::Const(Tensor::zeros(&Type::f64(s)))))
                }
                _ => None,
            })
        };
        let (rest, flux0) = (without_gradient(self, &c.condition), without_gradient(self, &flux[which]));
        let fixed = [Type::f64([d]), Type::f64([offsets.total]), Type::f64([d])];
        let normal = Some(2);
        let function = self.traced_point(
            &[&rest, &flux0],
            &fixed,
            offsets,
            eqs,
            normal,
            |b, v| {
                // Inputs are in the builder already; the normal is the third.
                let normal = b.func().values().find_map(|(v, node)| matches!(node.op, Op::Input(2)).then_some(v));
                let normal = normal.expect("compiler bug: a boundary function without a normal");
                let last = b.ty(v[1]).rank() - 1;
                let fn0 =
                    b.dot(v[1], normal, Dot { lhs_contract: vec![last], rhs_contract: vec![0], ..Dot::default() });
                let s = b.scale(v[0], -sign);
                let value = b.add(s, fn0);
                let flat = b.reshape(value, &[n]);
                // Components of other unknowns have no flux prescribed here.
                let (before, after) = (offsets.start[which], offsets.total - offsets.start[which] - n);
                if before + after == 0 {
                    return vec![flat];
                }
                vec![b.op(Op::Pad { low: vec![before], high: vec![after], interior: vec![0] }, &[flat])]
            },
            c.span,
        )?;
        Ok(vec![TracedCondition { essential: None, function }])
    }

    /// s = ±1 such that the condition is `s·flux·n + (terms without the gradient)`; found by comparing derivatives with
    /// respect to the gradient, as nodes of one hash-consed function.
    fn flux_sign(&mut self, c: &Boundary, flux: &Field) -> Result<f64> {
        let mut b = Builder::new("flux");
        let mut leaves: Vec<(Leaf, crate::ir::Value)> = vec![];
        let mut bind = |b: &mut Builder, f: &Field| -> Vec<crate::ir::Value> {
            f.leaves
                .iter()
                .zip(&f.func.inputs)
                .map(|(leaf, ty)| match leaves.iter().find(|(l, _)| l.same(leaf)) {
                    Some((_, v)) => *v,
                    None => {
                        let v = b.input(ty.clone());
                        leaves.push((leaf.clone(), v));
                        v
                    }
                })
                .collect()
        };
        let condition_args = bind(&mut b, &c.condition);
        let flux_args = bind(&mut b, flux);
        let mut directions: HashMap<usize, crate::ir::Value> = HashMap::new();
        let mut tangents = |b: &mut Builder, f: &Field, args: &[crate::ir::Value]| {
            f.leaves
                .iter()
                .zip(args)
                .map(|(leaf, arg)| match leaf {
                    Leaf::Unknown { gradient: true, index, .. } => Some(match directions.get(index) {
                        Some(v) => *v,
                        None => {
                            let ty = b.ty(*arg).clone();
                            let v = b.input(ty);
                            directions.insert(*index, v);
                            v
                        }
                    }),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        let ct = tangents(&mut b, &c.condition, &condition_args);
        let ft = tangents(&mut b, flux, &flux_args);
        let (_, dc) = ad::jvp_into(&mut b, &c.condition.func, &condition_args, &ct);
        let (_, df) = ad::jvp_into(&mut b, &flux.func, &flux_args, &ft);
        let normal = leaves.iter().find(|(l, _)| matches!(l, Leaf::Normal)).map(|(_, v)| *v);
        let unrelated = || {
            error_help(
                "run.equation",
                c.span,
                "this condition contains the gradient of the unknown, but not as the normal flux of its equation",
                "write the flux as it stands under the divergence, times `n`: for `-∇·(k*∇T) = q` write `-(k*∇T)·n = …`",
            )
        };
        let (Some(dc), Some(df), Some(normal)) = (dc[0], df[0], normal) else { return unrelated() };
        let last = b.ty(df).rank() - 1;
        let dot = Dot { lhs_contract: vec![last], rhs_contract: vec![0], ..Dot::default() };
        let fn_ = b.dot(df, normal, dot);
        // Compare numerically at points where no structure can hide: an identity of rational functions that holds at
        // random arguments holds. [Schwartz 1980]
        let func = b.finish(vec![dc, fn_]);
        match random_ratio(&func) {
            Some(s) => Ok(s),
            None => unrelated(),
        }
    }

    // ---- balance law → solution

    fn emit(
        &mut self,
        eqs: Equations,
        (balance, shared): (Balance, Shared),
        scheme: &Scheme,
        guess: Option<&Value>,
        span: Span,
    ) -> Result<Value> {
        let mesh = self.mesh(&eqs.domain.clone(), scheme.resolution.element, &scheme.resolution.cells, span)?;
        let space = self.space(mesh.clone(), scheme.resolution.order, span)?;
        let options = crate::discretize::Options {
            solver: scheme.solver,
            linear_tolerance: scheme.tolerance,
            ..crate::discretize::Options::default()
        };
        let discrete = if scheme.volumes {
            finite_volume::discretise(&balance, &space.mesh, &options)
        } else {
            finite_element::discretise(&balance, &space, &options)
        }
        .map_err(|r| refused(r, span))?;
        let mut spec = (*discrete.spec).clone();
        spec.name = format!("{}.{}", eqs.name, eqs.balances[0].name);
        let free = discrete.free;
        let fields = shared.interior_data.iter().chain(shared.boundary_data.iter().flatten());
        let fields: Vec<_> = fields.cloned().collect();
        let mut args: Vec<Num> = vec![];
        for ((field, gradient), argument) in fields.iter().zip(&discrete.data) {
            let interior = argument.at == crate::discretize::DataPoints::Interior;
            args.push(if interior && field.space.mesh == space.mesh && field.space.order > 0 {
                self.read_at_quadrature(field, *gradient, &space)
            } else {
                self.read_at(field, *gradient, &discrete.coordinates(&argument.at))
            });
        }
        args.extend(shared.numbers.iter().cloned());
        let guess_value = match guess {
            Some(v) if !matches!(v, Value::None) => Some(self.known_real(v, span)?),
            _ => None,
        };
        let first = match guess_value {
            Some(x) => Tensor::full(&Type::f64([free]), x),
            None if balance.linear => Tensor::zeros(&Type::f64([free])),
            None => discrete.nominal.clone(),
        };
        let mut all = vec![Num::Const(first)];
        all.extend(args.iter().cloned());
        let refs: Vec<&Num> = all.iter().collect();
        let u = self
            .tracer
            .build(&refs, |b, v| b.op(Op::Solve { residual: discrete.residual.clone(), spec: Arc::new(spec) }, v));
        let mut expand_args = vec![u];
        expand_args.extend(args);
        let refs: Vec<&Num> = expand_args.iter().collect();
        let expand = discrete.expand.clone();
        let full = self.tracer.build(&refs, |b, v| b.inline(&expand, v)[0]);
        self.solution(eqs, full, &space, span)
    }

    /// A field of the same mesh at the quadrature points: a pointwise identity over its leaf.
    fn read_at_quadrature(&mut self, field: &Rc<Discrete>, gradient: bool, space: &Rc<Space>) -> Num {
        let mut b = Builder::new("read");
        let v = b.input(data_type(field, gradient, space.mesh.dimension()));
        let identity = b.finish(vec![v]);
        self.tracer.build(&[&field.dofs], |b, v| {
            let leaf = if gradient {
                crate::discretize::Leaf::Gradient { space: &field.space, dofs: v[0] }
            } else {
                crate::discretize::Leaf::Value { space: &field.space, dofs: v[0] }
            };
            space.evaluate(b, &identity, &[leaf])[0]
        })
    }

    /// A field at points `[…, d]`.
    fn read_at(&mut self, field: &Rc<Discrete>, gradient: bool, points: &Tensor) -> Num {
        let (d, lead) = match points.ty.shape.split_last() {
            Some((d, lead)) => (*d, lead.to_vec()),
            None => (1, vec![]),
        };
        let x = Num::Const(points.reshaped([lead.iter().product(), d]));
        let values = self.discrete_at_points(field, gradient, &x);
        let mut shape = lead;
        shape.extend(&values.shape()[1..]);
        self.tracer.build(&[&values], |b, v| b.reshape(v[0], &shape))
    }

    /// Fields of the solution: unknowns, then lets with the unknowns replaced.
    fn solution(&mut self, eqs: Equations, full: Num, space: &Rc<Space>, span: Span) -> Result<Value> {
        let offsets = Offsets::of(&eqs);
        let mut members = IndexMap::new();
        let mut discretes = vec![];
        for (k, u) in eqs.unknowns.iter().enumerate() {
            let n: usize = u.shape.iter().product();
            let nodes = full.shape()[0];
            let mut shape = vec![nodes];
            shape.extend(&u.shape);
            let start = offsets.start[k];
            let dofs = self.tracer.build(&[&full], |b, v| {
                let s = b.slice(v[0], 1, start, start + n);
                b.reshape(s, &shape)
            });
            let id = self.tracer.fresh();
            let mut discrete = Rc::new(Discrete { space: space.clone(), dofs, shape: u.shape.clone(), id });
            if let Some(g) = eqs.gauges.iter().find(|g| indices(&g.functional.integrand, false).contains(&k)) {
                discrete = self.gauged(&eqs, g, k, &discrete, span)?;
            }
            discretes.push(discrete);
        }
        let substitute = |l: &Self, f: &Field| {
            l.substitute(f, |leaf| match leaf {
                Leaf::Unknown { problem, index, gradient } if *problem == eqs.problem => {
                    Some(Leaf::Discrete { field: discretes[*index].clone(), gradient: *gradient })
                }
                _ => None,
            })
        };
        for (k, u) in eqs.unknowns.iter().enumerate() {
            let leaf = Leaf::Discrete { field: discretes[k].clone(), gradient: false };
            let field = self.leaf(&eqs.domain, leaf, Type::f64(u.shape.clone()));
            members.insert(u.name.clone(), Value::Field(field));
        }
        for (name, value) in &eqs.lets {
            let value = match value {
                Value::Field(f) => Value::Field(substitute(self, f)),
                other => other.clone(),
            };
            members.insert(name.clone(), value);
        }
        Ok(Value::Solution(Rc::new(Solution { problem: eqs.def, members })))
    }

    /// The representative that the gauge asks for: a constant is added.
    fn gauged(
        &mut self,
        eqs: &Equations,
        g: &super::system::Gauge,
        k: usize,
        field: &Rc<Discrete>,
        span: Span,
    ) -> Result<Rc<Discrete>> {
        let u = &eqs.unknowns[k];
        let is_value = matches!(&g.functional.integrand.leaves[..], [Leaf::Unknown { gradient: false, .. }])
            && g.functional.integrand.func.nodes.len() == 1;
        if !is_value {
            return error_help(
                "unsupported.library",
                g.span,
                "a gauge fixes the mean of an unknown itself; other integral constraints are not supported yet",
                format!("write `mean({}) = 0`", u.name),
            );
        }
        let target = self.num(&g.value, g.span)?;
        let leaf = Leaf::Discrete { field: field.clone(), gradient: false };
        let f = self.leaf(&eqs.domain, leaf, Type::f64(u.shape.clone()));
        let Value::Num(mean) = self.integrate(&f, g.functional.mean, span)? else {
            return error("run.value", span, "the mean of a solution is a number");
        };
        let measure = if g.functional.mean { 1.0 } else { eqs.domain.measure() };
        let shape = u.shape.clone();
        let dofs = self.tracer.build(&[&field.dofs, &mean, &target], |b, v| {
            let target = b.broadcast_to(v[2], &shape);
            let missing = b.sub(target, v[1]);
            let missing = b.scale(missing, 1.0 / measure);
            let full = b.ty(v[0]).shape.clone();
            let missing = b.broadcast_to(missing, &full);
            b.add(v[0], missing)
        });
        let id = self.tracer.fresh();
        Ok(Rc::new(Discrete { space: field.space.clone(), dofs, shape: field.shape.clone(), id }))
    }
}

struct TracedCondition {
    essential: Option<usize>,
    function: Pointwise,
}

/// Where each unknown's components start.
struct Offsets {
    start: Vec<usize>,
    total: usize,
}

impl Offsets {
    fn of(eqs: &Equations) -> Offsets {
        let mut total = 0;
        let start = eqs
            .unknowns
            .iter()
            .map(|u| {
                let s = total;
                total += u.shape.iter().product::<usize>();
                s
            })
            .collect();
        Offsets { start, total }
    }
}

/// Numbers and fields that the functions of a balance share.
#[derive(Default)]
struct Shared {
    numbers: Vec<Num>,
    interior_data: Vec<(Rc<Discrete>, bool)>,
    boundary_data: Vec<Vec<(Rc<Discrete>, bool)>>,
}

impl Shared {
    fn position(&self, n: &Num) -> Option<usize> {
        self.numbers.iter().position(|m| Leaf::Shared(m.clone()).same(&Leaf::Shared(n.clone())))
    }

    fn merge(&mut self, captures: &[Num]) {
        for n in captures {
            if self.position(n).is_none() {
                self.numbers.push(n.clone());
            }
        }
    }

    /// The function with the whole list of shared numbers after its fixed inputs and data.
    fn widen(&self, p: &Pointwise, fixed: usize) -> Func {
        let own = fixed + p.data.len();
        let mut b = Builder::new(p.func.name.clone());
        let mut args: Vec<_> = p.func.inputs[..own].iter().map(|t| b.input(t.clone())).collect();
        let shared: Vec<_> = self.numbers.iter().map(|n| b.input(n.ty().clone())).collect();
        for n in &p.captures {
            args.push(shared[self.position(n).expect("compiler bug: a shared number was not merged")]);
        }
        let out = b.inline(&p.func, &args);
        b.finish(out)
    }
}

fn data_type(f: &Discrete, gradient: bool, d: usize) -> Type {
    let mut shape = f.shape.clone();
    if gradient {
        shape.push(d);
    }
    Type::f64(shape)
}

fn indices(f: &Field, gradients: bool) -> Vec<usize> {
    f.leaves
        .iter()
        .filter_map(|l| match l {
            Leaf::Unknown { index, gradient, .. } if *gradient == gradients => Some(*index),
            _ => None,
        })
        .collect()
}

fn negated_func(f: &Func) -> Func {
    let mut b = Builder::new(f.name.clone());
    let args: Vec<_> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let out = b.inline(f, &args).into_iter().map(|v| b.neg(v)).collect();
    b.finish(out)
}

fn negated(p: Pointwise) -> Pointwise {
    Pointwise { func: negated_func(&p.func), ..p }
}

/// Whether `v · ∂flux/∂∇u v > 0`: the flux points up the gradient, and its matrix would be negative definite.
fn negative_flux(interior: &Func) -> bool {
    let (by_gradient, present) = directional(interior, 2);
    if !present[0] || !light(&by_gradient) {
        return false;
    }
    let mut state = 0x1234_5678_9abc_def1u64;
    let args = random_arguments(&by_gradient, &mut state);
    let v = args[interior.inputs.len()].to_f64();
    let Ok(out) = crate::ir::eval::eval(&by_gradient, &args) else { return false };
    v.iter().zip(out[0].to_f64()).map(|(a, b)| a * b).sum::<f64>() > 0.0
}

/// The derivative of (flux, source) along input `along` of the interior function, whose direction is a further input; and
/// which of the two depend on it.
fn directional(interior: &Func, along: usize) -> (Func, [bool; 2]) {
    let mut b = Builder::new("tangent");
    let args: Vec<_> = interior.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut tangents = vec![None; args.len()];
    tangents[along] = Some(b.input(interior.inputs[along].clone()));
    let (_, t) = ad::jvp_into(&mut b, interior, &args, &tangents);
    let present = [t[0].is_some(), t[1].is_some()];
    (b.finish(t.into_iter().flatten().collect()), present)
}

/// What the derivatives of a balance's functions show.
struct Analysis {
    linear: bool,
    symmetric: bool,
    /// Some coefficient or source depends on the value of the unknown.
    reads_value: bool,
}

/// Whether an output depends on an input.
fn reads_input(f: &Func, k: usize) -> bool {
    let mut reads = vec![false; f.nodes.len()];
    for (v, node) in f.values() {
        reads[v.index()] = matches!(node.op, Op::Input(i) if i == k) || node.args.iter().any(|a| reads[a.index()]);
    }
    f.outputs.iter().any(|v| reads[v.index()])
}

fn analyse(interior: &Func, boundary: &[Part]) -> Analysis {
    // Tangents along u and along ∇u; affine means that they do not read u or ∇u.
    let (by_value, value_present) = directional(interior, 1);
    let (by_gradient, gradient_present) = directional(interior, 2);
    let affine = |f: &Func| f.outputs.is_empty() || !reads_input(f, 1) && !reads_input(f, 2);
    let natural_affine = boundary.iter().all(|p| match &p.condition {
        Condition::Essential { .. } => true,
        Condition::Natural { value } => {
            let mut b = Builder::new("tangent");
            let args: Vec<_> = value.inputs.iter().map(|t| b.input(t.clone())).collect();
            let mut tangents = vec![None; args.len()];
            tangents[1] = Some(b.input(value.inputs[1].clone()));
            let (_, t) = ad::jvp_into(&mut b, value, &args, &tangents);
            let f = b.finish(t.into_iter().flatten().collect());
            f.outputs.is_empty() || !reads_input(&f, 1)
        }
    });
    let linear = affine(&by_value) && affine(&by_gradient) && natural_affine;
    // Symmetric: the flux does not read u, the source does not read ∇u, and ∂flux/∂∇u is symmetric.
    let uncoupled = !value_present[0] && !gradient_present[1];
    let symmetric = uncoupled && gradient_present[0] && symmetric_flux(&by_gradient, interior);
    Analysis { linear, symmetric, reads_value: value_present[0] || value_present[1] }
}

/// Whether ⟨w, D v⟩ = ⟨v, D w⟩ for the flux derivative D at random arguments.
fn symmetric_flux(by_gradient: &Func, interior: &Func) -> bool {
    if !light(by_gradient) {
        return false;
    }
    let direction = interior.inputs.len();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    (0..3).all(|_| {
        let args = random_arguments(by_gradient, &mut state);
        let v = args[direction].to_f64();
        let w: Vec<f64> = v.iter().map(|_| random(&mut state)).collect();
        let mut with_w = args.clone();
        with_w[direction] = Tensor::f64(args[direction].ty.shape.clone(), w.clone());
        let (Ok(dv), Ok(dw)) = (crate::ir::eval::eval(by_gradient, &args), crate::ir::eval::eval(by_gradient, &with_w))
        else {
            return false;
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let (wdv, vdw) = (dot(&w, &dv[0].to_f64()), dot(&v, &dw[0].to_f64()));
        (wdv - vdw).abs() <= 1e-9 * (wdv.abs() + vdw.abs())
    })
}

/// Cheap enough for the interpreter: no nested solve or loop.
fn light(f: &Func) -> bool {
    f.nodes.iter().all(|n| {
        !matches!(n.op, Op::Solve { .. } | Op::LinearSolve { .. } | Op::Scan { .. } | Op::Cond { .. } | Op::Memo { .. })
            && Func::bodies(&n.op).iter().all(|b| light(b))
    })
}

/// s = ±1 with `outputs[0] = s · outputs[1]` at random arguments, if there is one.
fn random_ratio(f: &Func) -> Option<f64> {
    let equal = |a: crate::ir::Value, b: crate::ir::Value| a == b;
    if equal(f.outputs[0], f.outputs[1]) {
        return Some(1.0);
    }
    let negated = |v: crate::ir::Value| match &f.node(v).op {
        Op::Unary(crate::ir::Unary::Neg) => Some(f.node(v).args[0]),
        _ => None,
    };
    if negated(f.outputs[0]) == Some(f.outputs[1]) || negated(f.outputs[1]) == Some(f.outputs[0]) {
        return Some(-1.0);
    }
    if !light(f) {
        return None;
    }
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut sign = None;
    for _ in 0..3 {
        let args = random_arguments(f, &mut state);
        let out = crate::ir::eval::eval(f, &args).ok()?;
        let (a, b) = (out[0].to_f64(), out[1].to_f64());
        let size: f64 = a.iter().chain(&b).map(|x| x.abs()).fold(0.0, f64::max);
        let close = |s: f64| a.iter().zip(&b).all(|(a, b)| (a - s * b).abs() <= 1e-9 * size);
        let s = if close(1.0) {
            1.0
        } else if close(-1.0) {
            -1.0
        } else {
            return None;
        };
        if sign.is_some_and(|t| t != s) || size == 0.0 {
            return None;
        }
        sign = Some(s);
    }
    sign
}

fn random(state: &mut u64) -> f64 {
    // xorshift64* [Vigna 2016]; in [0.5, 1.5): away from the zeros of logarithms and denominators.
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    0.5 + (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
}

fn random_arguments(f: &Func, state: &mut u64) -> Vec<Tensor> {
    f.inputs
        .iter()
        .map(|t| match t.dtype {
            crate::ir::DType::Index => Tensor::zeros(t),
            _ => Tensor::f64(t.shape.clone(), (0..t.len()).map(|_| random(state)).collect::<Vec<_>>()),
        })
        .collect()
}
