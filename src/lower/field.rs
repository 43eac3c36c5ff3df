//! Fields: arithmetic, gradients, values at points. A field is a pointwise `Func` over leaves; whatever acts on numbers acts on
//! fields by being traced once more, at a point.

use super::arith::{identity, identity_factor, is_identity};
use super::domain::Domain;
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::sizeless::is_sizeless;
use super::value::{Discrete, Field, Leaf, Num, Value};
use crate::ad;
use crate::base::Span;
use crate::ir::{Builder, Func, Op, Tensor, Type};
use std::rc::Rc;

impl Leaf {
    /// The type of its value at a point of a domain of `d` dimensions, for leaves that say it themselves.
    fn gradient_type(value: &Type, d: usize) -> Type {
        let mut shape = value.shape.clone();
        shape.push(d);
        Type::f64(shape)
    }
}

impl Lower<'_> {
    /// The coordinate vector of a domain, as a field.
    pub fn coordinates(&self, domain: &Rc<Domain>) -> Field {
        let mut b = Builder::new("coordinates");
        let x = b.input(Type::f64([domain.dimension()]));
        Field { domain: domain.clone(), leaves: vec![Leaf::Coordinates], func: Rc::new(b.finish(vec![x])) }
    }

    pub fn coordinate(&self, domain: &Rc<Domain>, axis: usize) -> Field {
        let mut b = Builder::new("coordinate");
        let x = b.input(Type::f64([domain.dimension()]));
        let c = b.index(x, 0, axis);
        Field { domain: domain.clone(), leaves: vec![Leaf::Coordinates], func: Rc::new(b.finish(vec![c])) }
    }

    /// One leaf as a field of its own.
    pub fn leaf(&self, domain: &Rc<Domain>, leaf: Leaf, ty: Type) -> Field {
        let mut b = Builder::new("leaf");
        let v = b.input(ty);
        Field { domain: domain.clone(), leaves: vec![leaf], func: Rc::new(b.finish(vec![v])) }
    }

    /// A number as the field that has this value everywhere.
    pub fn constant_field(&mut self, domain: &Rc<Domain>, n: &Num) -> Field {
        self.leaf(domain, Leaf::Shared(n.clone()), n.ty().clone())
    }

    pub fn discrete_field(&mut self, domain: &Rc<Domain>, discrete: Discrete) -> Field {
        let ty = Type::f64(discrete.shape.clone());
        self.leaf(domain, Leaf::Discrete { field: Rc::new(discrete), gradient: false }, ty)
    }

    /// What can enter arithmetic: numbers, fields; integers, lists and `I` become such.
    pub fn numeric(&mut self, v: &Value, span: Span) -> Result<Value> {
        match v {
            Value::Residual(_) => self.written_out(v, span),
            Value::Num(_) | Value::Field(_) | Value::Functional(_) => Ok(v.clone()),
            Value::Stack(n) => Ok(Value::Num(n.clone())),
            Value::Int(i) => Ok(Value::num(*i as f64)),
            Value::Bool(b) => Ok(Value::num(*b as u8 as f64)),
            Value::List(items) => {
                let items: Vec<Value> = items.iter().map(|i| self.numeric(i, span)).collect::<Result<_>>()?;
                self.pointwise(&items, span, |l, nums| l.stack_nums(nums, span))
            }
            other if is_sizeless(other) => match self.domains.last().map(|d| d.dimension()) {
                Some(d) => self.materialised(other, d, span),
                None => self.sizeless_error(std::slice::from_ref(other), span),
            },
            other if is_identity(other) => self.sizeless_error(&[], span),
            other => error("shapes.number", span, format!("expected a number or a field, found {}", other.kind())),
        }
    }

    /// A value as a plain number.
    pub fn num(&mut self, v: &Value, span: Span) -> Result<Num> {
        match self.numeric(v, span)? {
            Value::Num(n) => Ok(n),
            other => error_help(
                "shapes.number",
                span,
                format!("expected a number, found {}", other.kind()),
                "reduce a field by `mean(f)` or `∫(f, Ω)`, or take its value at a point, `f(x, y)`",
            ),
        }
    }

    /// Applies a function of numbers to numbers and fields; with a field among them the result is a field.
    pub fn pointwise(
        &mut self,
        args: &[Value],
        span: Span,
        f: impl FnOnce(&mut Self, &[Num]) -> Result<Num>,
    ) -> Result<Value> {
        let Some(domain) = self.common_domain(args, span)? else {
            let nums: Vec<Num> = args.iter().map(|a| self.num(a, span)).collect::<Result<_>>()?;
            return Ok(Value::Num(f(self, &nums)?));
        };
        let (mut leaves, mut types): (Vec<Leaf>, Vec<Type>) = (vec![], vec![]);
        for a in args {
            if let Value::Field(field) = a {
                for (leaf, ty) in field.leaves.iter().zip(&field.func.inputs) {
                    if !leaves.iter().any(|l| l.same(leaf)) {
                        leaves.push(leaf.clone());
                        types.push(ty.clone());
                    }
                }
            }
        }
        let depth = self.tracer.depth();
        let inputs = self.tracer.open("pointwise", &types);
        let traced = || -> Result<Num> {
            let mut nums = vec![];
            for a in args {
                nums.push(match a {
                    Value::Field(field) => self.at_leaves(field, &leaves, &inputs),
                    Value::Num(n) => n.clone(),
                    other => self.num(other, span)?,
                });
            }
            f(self, &nums)
        };
        match traced() {
            Ok(out) => {
                let (func, captures) = self.tracer.close(&[out]);
                leaves.extend(captures.into_iter().map(Leaf::Shared));
                Ok(Value::Field(prune(Field { domain, leaves, func: Rc::new(func) })))
            }
            Err(e) => {
                self.tracer.abandon(depth);
                Err(e)
            }
        }
    }

    /// The value of a field in the innermost function, given where its leaves stand among `inputs`.
    fn at_leaves(&mut self, field: &Field, leaves: &[Leaf], inputs: &[Num]) -> Num {
        let args: Vec<&Num> = field
            .leaves
            .iter()
            .map(|leaf| {
                let i = leaves.iter().position(|l| l.same(leaf)).expect("compiler bug: a field's leaf was not merged");
                &inputs[i]
            })
            .collect();
        self.tracer.build(&args, |b, v| b.inline(&field.func, v)[0])
    }

    /// The value of a field at a point: `leaf` says what each of its leaves is there.
    pub fn field_at(&mut self, field: &Field, mut leaf: impl FnMut(&mut Self, &Leaf) -> Result<Num>) -> Result<Num> {
        let args: Vec<Num> = field.leaves.iter().map(|l| leaf(self, l)).collect::<Result<_>>()?;
        let refs: Vec<&Num> = args.iter().collect();
        Ok(self.tracer.build(&refs, |b, v| b.inline(&field.func, v)[0]))
    }

    fn common_domain(&self, args: &[Value], span: Span) -> Result<Option<Rc<Domain>>> {
        let mut found: Option<Rc<Domain>> = None;
        for a in args {
            if let Value::Field(f) = a {
                match &found {
                    Some(d) if **d != *f.domain => {
                        return error_help(
                            "shapes.domains",
                            span,
                            format!("fields over different domains, `{}` and `{}`", d.name, f.domain.name),
                            "a field can be read on another domain only at points: `f(x, y)`",
                        );
                    }
                    Some(_) => {}
                    None => found = Some(f.domain.clone()),
                }
            }
        }
        Ok(found)
    }

    /// ∇f, with the derivative index last: `(∇v)[i, j] = ∂v_i/∂x_j`.
    pub fn gradient(&mut self, f: &Field, span: Span) -> Result<Field> {
        let d = f.domain.dimension();
        let (mut leaves, mut types) = (f.leaves.clone(), f.func.inputs.clone());
        // Where the gradient of each value leaf stands among the new leaves.
        let mut gradient_of = vec![None; leaves.len()];
        for (i, place) in gradient_of.iter_mut().enumerate() {
            let leaf = match &f.leaves[i] {
                Leaf::Unknown { problem, index, order } => {
                    Leaf::Unknown { problem: *problem, index: *index, order: order + 1 }
                }
                Leaf::Discrete { field, gradient: false } => Leaf::Discrete { field: field.clone(), gradient: true },
                Leaf::Discrete { .. } => {
                    return error_help(
                        "unsupported.library",
                        span,
                        "second derivatives of a finite-element field are not supported yet",
                        "write the equation in divergence form, `∇·(k*∇u)`: its weak form needs first derivatives only",
                    );
                }
                Leaf::Normal => return error("run.equation", span, "the boundary normal has no gradient"),
                Leaf::Coordinates | Leaf::Shared(_) => continue,
            };
            let at = leaves.iter().position(|l| l.same(&leaf)).unwrap_or_else(|| {
                types.push(Leaf::gradient_type(&f.func.inputs[i], d));
                leaves.push(leaf);
                leaves.len() - 1
            });
            *place = Some(at);
        }
        let mut b = Builder::new("gradient");
        let inputs: Vec<_> = types.iter().map(|t| b.input(t.clone())).collect();
        let args = inputs[..f.leaves.len()].to_vec();
        let mut columns = vec![];
        for axis in 0..d {
            let tangents: Vec<_> = f
                .leaves
                .iter()
                .enumerate()
                .map(|(i, leaf)| match (leaf, gradient_of[i]) {
                    (Leaf::Coordinates, _) => {
                        let e: Vec<f64> = (0..d).map(|k| (k == axis) as u8 as f64).collect();
                        Some(b.constant(Tensor::f64([d], e)))
                    }
                    (_, Some(at)) => {
                        let last = b.ty(inputs[at]).rank() - 1;
                        Some(b.index(inputs[at], last, axis))
                    }
                    _ => None,
                })
                .collect();
            let (out, t) = ad::jvp_into(&mut b, &f.func, &args, &tangents);
            columns.push(match t[0] {
                Some(t) => t,
                None => b.zeros_like(out[0]),
            });
        }
        let rank = b.ty(columns[0]).rank();
        let g = b.stack(&columns, rank);
        Ok(prune(Field { domain: f.domain.clone(), leaves, func: Rc::new(b.finish(vec![g])) }))
    }

    /// ∇·f of a field without unknowns: the trace of its gradient over the last two indices.
    pub fn divergence(&mut self, f: &Field, span: Span) -> Result<Value> {
        if f.shape().last() != Some(&f.domain.dimension()) {
            return error(
                "shapes.mismatch",
                span,
                format!("the divergence needs a vector of {} or a tensor", f.domain.dimension()),
            );
        }
        let g = self.gradient(f, span)?;
        let d = f.domain.dimension();
        self.pointwise(&[Value::Field(g)], span, |l, n| {
            let rank = n[0].shape().len();
            Ok(l.tracer.build(&[&n[0]], |b, v| {
                let terms: Vec<_> = (0..d)
                    .map(|i| {
                        let row = b.index(v[0], rank - 1, i);
                        b.index(row, rank - 2, i)
                    })
                    .collect();
                terms.into_iter().reduce(|a, t| b.add(a, t)).expect("compiler bug: a domain without dimensions")
            }))
        })
    }

    /// The same field with some leaves replaced (an unknown by its solution).
    pub fn substitute(&self, f: &Field, replace: impl Fn(&Leaf) -> Option<Leaf>) -> Field {
        let leaves = f.leaves.iter().map(|l| replace(l).unwrap_or_else(|| l.clone())).collect();
        Field { domain: f.domain.clone(), leaves, func: f.func.clone() }
    }

    /// Values at many points, `x[P, d]` in the innermost function: `[P, …]`.
    pub fn field_at_points(&mut self, f: &Field, x: &Num, span: Span) -> Result<Num> {
        let n = x.shape()[0];
        let mut args = vec![];
        let mut mapped = vec![];
        for leaf in &f.leaves {
            let (num, per_point) = match leaf {
                Leaf::Coordinates => (x.clone(), true),
                Leaf::Shared(n) => (n.clone(), false),
                Leaf::Discrete { field, gradient } => (self.discrete_at_points(field, *gradient, x), true),
                Leaf::Normal => return error("run.equation", span, "the normal is defined on a boundary only"),
                Leaf::Unknown { .. } => {
                    return error("run.equation", span, "an unknown has no value before its system is solved");
                }
            };
            args.push(num);
            mapped.push(per_point);
        }
        let body = std::sync::Arc::new((*f.func).clone());
        if !mapped.iter().any(|m| *m) {
            // The same everywhere.
            let refs: Vec<&Num> = args.iter().collect();
            return Ok(self.tracer.build(&refs, |b, v| {
                let one = b.inline(&f.func, v)[0];
                let mut shape = vec![n];
                shape.extend(&b.ty(one).shape.clone());
                b.broadcast_to(one, &shape)
            }));
        }
        let refs: Vec<&Num> = args.iter().collect();
        Ok(self.tracer.build(&refs, |b, v| b.map(body, n, mapped, v)[0]))
    }

    /// `I` takes the size of what it stands beside.
    pub fn sized(&mut self, a: Value, b: Value, span: Span) -> Result<(Value, Value)> {
        let size = |l: &mut Self, v: &Value| -> Result<Value> {
            let v = l.numeric(v, span)?;
            let shape = match &v {
                Value::Num(n) => n.shape().to_vec(),
                Value::Field(f) => f.shape().to_vec(),
                _ => vec![],
            };
            match shape.last() {
                Some(&d) => Ok(Value::Num(identity(d))),
                None => error_help(
                    "shapes.mismatch",
                    span,
                    "the size of `I` does not follow from a number",
                    "use `I` beside a matrix, or `identity(2)`",
                ),
            }
        };
        let filled = |l: &mut Self, identity: &Value, beside: &Value| -> Result<Value> {
            let eye = size(l, beside)?;
            match identity_factor(identity) {
                Some(factor) => l.apply(&crate::sema::hir::Op::Mul, &[factor, eye], span),
                None => Ok(eye),
            }
        };
        match (is_identity(&a), is_identity(&b)) {
            (true, false) => Ok((filled(self, &a, &b)?, b)),
            (false, true) => {
                let i = filled(self, &b, &a)?;
                Ok((a, i))
            }
            _ => Ok((a, b)),
        }
    }
}

/// Leaves that the function does not read are dropped.
pub(super) fn prune(field: Field) -> Field {
    let mut used = vec![false; field.leaves.len()];
    let mut position = vec![usize::MAX; field.func.nodes.len()];
    for (v, node) in field.func.values() {
        if let Op::Input(k) = node.op {
            position[v.index()] = k;
        }
    }
    let reads = field.func.nodes.iter().flat_map(|n| n.args.iter()).chain(&field.func.outputs);
    for v in reads {
        if position[v.index()] != usize::MAX {
            used[position[v.index()]] = true;
        }
    }
    if used.iter().all(|u| *u) {
        return field;
    }
    let mut b = Builder::new(field.func.name.clone());
    let dummy = b.scalar(0.0);
    let mut leaves = vec![];
    let args: Vec<_> = field
        .func
        .inputs
        .iter()
        .enumerate()
        .map(|(i, t)| {
            if used[i] {
                leaves.push(field.leaves[i].clone());
                b.input(t.clone())
            } else {
                dummy
            }
        })
        .collect();
    let out = b.inline(&field.func, &args);
    let func: Func = b.finish(out);
    Field { domain: field.domain, leaves, func: Rc::new(func) }
}
