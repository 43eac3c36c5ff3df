//! The solution of a system as fields: its unknowns, then its lets with the unknowns replaced.

use super::Solved;
use super::points::Offsets;
use crate::base::Span;
use crate::discretize::Space;
use crate::ir::Type;
use crate::lower::Lower;
use crate::lower::error::{Result, error, error_help};
use crate::lower::system::{Equations, Gauge};
use crate::lower::value::{Discrete, Field, Integral, Leaf, Num, Slopes, Solution, Value};
use indexmap::IndexMap;
use std::rc::Rc;

impl Lower<'_> {
    /// Fields of the solution: unknowns, then lets with the unknowns replaced.
    pub(in crate::lower) fn solution(&mut self, eqs: &Equations, solved: Solved, span: Span) -> Result<Rc<Solution>> {
        let Solved { nodal, slopes, numbers, space } = solved;
        let fields = self.unknown_fields(eqs, &nodal, slopes.as_ref(), &space);
        self.solution_of(eqs, fields, numbers, span)
    }

    /// The same from the unknowns as fields.
    pub(in crate::lower) fn solution_of(
        &mut self,
        eqs: &Equations,
        mut fields: Vec<Rc<Discrete>>,
        numbers: Vec<Num>,
        span: Span,
    ) -> Result<Rc<Solution>> {
        if eqs.numbers.is_empty() {
            for (k, field) in fields.iter_mut().enumerate() {
                if let Some(g) = eqs.gauges.iter().find(|g| g.fixes(k)) {
                    *field = self.gauged(eqs, g, k, field, span)?;
                }
            }
        }
        let mut members = IndexMap::new();
        for (k, u) in eqs.unknowns.iter().enumerate() {
            let leaf = Leaf::Discrete { field: fields[k].clone(), gradient: false };
            let field = self.leaf(&eqs.domain, leaf, Type::f64(u.shape.clone()));
            members.insert(u.name.clone(), Value::Field(field));
        }
        for (number, value) in eqs.numbers.iter().zip(&numbers) {
            members.insert(number.name.clone(), Value::Num(value.clone()));
        }
        let convolved = match fields.first() {
            Some(first) => self.convolutions_of(eqs, &fields, &first.space)?,
            None => vec![],
        };
        let solved = |l: &Self, f: &Field| l.substitute(f, |leaf| eqs.filled(leaf, &fields, &numbers, &convolved));
        for (name, value) in &eqs.lets {
            let value = match value {
                Value::Field(f) => Value::Field(solved(self, f)),
                Value::Functional(f) => Value::Num(self.functional_value(f, &|l, f| solved(l, f), span)?),
                other => other.clone(),
            };
            members.insert(name.clone(), value);
        }
        Ok(Rc::new(Solution { problem: eqs.def, members }))
    }

    /// The unknowns as discrete fields, from all nodal values `[N, c]`.
    /// `slopes[N, c, d]` are their gradients, where the method has its own.
    pub(in crate::lower) fn unknown_fields(
        &mut self,
        eqs: &Equations,
        full: &Num,
        slopes: Option<&Num>,
        space: &Rc<Space>,
    ) -> Vec<Rc<Discrete>> {
        let offsets = Offsets::of(eqs);
        let mut fields = vec![];
        for (u, &start) in eqs.unknowns.iter().zip(&offsets.start) {
            let n: usize = u.shape.iter().product();
            let mut shape = vec![full.shape()[0]];
            shape.extend(&u.shape);
            let dofs = self.tracer.build(&[full], |b, v| {
                let s = b.slice(v[0], 1, start, start + n);
                b.reshape(s, &shape)
            });
            let slopes = slopes.map(|slopes| {
                let mut shape = shape.clone();
                shape.push(space.mesh.dimension());
                Slopes::Known(self.tracer.build(&[slopes], |b, v| {
                    let s = b.slice(v[0], 1, start, start + n);
                    b.reshape(s, &shape)
                }))
            });
            let id = self.tracer.fresh();
            fields.push(Rc::new(Discrete { space: space.clone(), dofs, slopes, shape: u.shape.clone(), id }));
        }
        fields
    }

    /// The representative that the gauge asks for: a constant is added.
    fn gauged(
        &mut self,
        eqs: &Equations,
        g: &Gauge,
        k: usize,
        field: &Rc<Discrete>,
        span: Span,
    ) -> Result<Rc<Discrete>> {
        let u = &eqs.unknowns[k];
        let Some(Integral { mean, factor, .. }) = g.plain() else {
            return error_help(
                "unsupported.library",
                g.span,
                "a gauge fixes the mean of an unknown itself",
                format!("write `mean({}) = 0`", u.name),
            );
        };
        let (mean, factor) = (*mean, *factor);
        let target = self.num(&g.value, g.span)?;
        let leaf = Leaf::Discrete { field: field.clone(), gradient: false };
        let f = self.leaf(&eqs.domain, leaf, Type::f64(u.shape.clone()));
        let Value::Num(found) = self.integrate(&f, mean, span)? else {
            return error("run.value", span, "the mean of a solution is a number");
        };
        let measure = if mean { 1.0 } else { eqs.domain.measure() };
        let shape = u.shape.clone();
        let dofs = self.tracer.build(&[&field.dofs, &found, &target], |b, v| {
            let target = b.broadcast_to(v[2], &shape);
            let target = b.scale(target, 1.0 / factor);
            let missing = b.sub(target, v[1]);
            let missing = b.scale(missing, 1.0 / measure);
            let full = b.ty(v[0]).shape.clone();
            let missing = b.broadcast_to(missing, &full);
            b.add(v[0], missing)
        });
        let id = self.tracer.fresh();
        Ok(Rc::new(Discrete {
            space: field.space.clone(),
            dofs,
            slopes: field.slopes.clone(),
            shape: field.shape.clone(),
            id,
        }))
    }
}
