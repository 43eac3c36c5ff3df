//! Equations of a system as one balance law: pointwise functions over fixed inputs and shared data.

use super::bordered::Border;
use super::conditions::{Given, TracedCondition};
use super::definite::{analyse, negated, negated_func, negative_flux, reads_input};
use super::points::{Offsets, Pointwise, Shared, data_type};
use crate::base::Span;
use crate::discretize::{Balance, Boundary as Part, Condition};
use crate::ir::{Builder, Tensor, Type};
use crate::lower::Lower;
use crate::lower::arith::shape_name;
use crate::lower::domain::Domain;
use crate::lower::error::{Result, error_help};
use crate::lower::system::Equations;
use crate::lower::value::{Field, Leaf, Num, Value};
use std::rc::Rc;

impl Lower<'_> {
    /// The pointwise functions of a system, over fixed inputs and shared data.
    pub(in crate::lower) fn balance(
        &mut self,
        eqs: &Equations,
        border: &Border,
        span: Span,
    ) -> Result<(Balance, Shared)> {
        let d = eqs.domain.dimension();
        let offsets = Offsets::of(eqs);
        let c = offsets.total;
        let mut flux = vec![];
        let mut source = vec![];
        for (eq, u) in eqs.balances.iter().zip(&eqs.unknowns) {
            assert!(eq.residual.transport.is_none(), "compiler bug: a transport term that no scheme decided about");
            let mut flux_shape = u.shape.clone();
            flux_shape.push(d);
            flux.push(self.part(&eq.residual.flux, &flux_shape, &eqs.domain, eq.span)?);
            source.push(self.part(&eq.residual.source, &u.shape, &eqs.domain, eq.span)?);
        }
        let fields: Vec<&Field> = flux.iter().chain(&source).collect();
        let leaves = fields.iter().flat_map(|f| &f.leaves);
        let order =
            leaves.map(|l| if let Leaf::Unknown { order, .. } = l { *order } else { 0 }).max().unwrap_or(0).max(1);
        let derivatives = (0..=order).map(|r| Type::f64([vec![c], vec![d; r]].concat()));
        let inputs: Vec<Type> = std::iter::once(Type::f64([d])).chain(derivatives).collect();
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
        for condition in &eqs.conditions {
            for part in self.condition(condition, eqs, &flux, &offsets)? {
                parts.push((condition.part.clone(), part));
            }
        }
        let has_essential = parts.iter().any(|(_, p)| matches!(p.of, Given::Value(_)));
        self.open_sides(eqs, &offsets, &mut parts, span)?;
        let interior_data = interior.data.clone();
        // `∇·(k ∇u) = q` and `-∇·(k ∇u) = -q` are one equation; of the two the one with a positive definite matrix is solved.
        // Rates are what they are: their sign counts.
        let flip = !eqs.rates && negative_flux(&interior.func);
        let interior = if flip { negated(interior) } else { interior };
        for (_, p) in parts.iter_mut().filter(|(_, p)| flip && !matches!(p.of, Given::Value(_))) {
            p.function.func = negated_func(&p.function.func);
        }
        // One list of shared numbers serves every function.
        let mut all: Vec<&Pointwise> = vec![&interior];
        all.extend(parts.iter().map(|(_, p)| &p.function));
        for p in &all {
            shared.merge(&p.captures);
        }
        let interior_func = shared.widen(&interior, 2 + order);
        let shared_types: Vec<Type> = shared.numbers.iter().map(|n| n.ty().clone()).collect();
        let mut boundary = vec![];
        for (name, p) in &parts {
            let fixed = if matches!(p.of, Given::Value(_)) { 1 } else { 3 };
            let func = shared.widen(&p.function, fixed);
            boundary.push(Part {
                part: name.clone(),
                point_data: p.function.data.iter().map(|(f, g)| data_type(f, *g, d)).collect(),
                condition: match &p.of {
                    Given::Value(component) => Condition::Essential { component: *component, value: func },
                    Given::Flux(rows, driven) => {
                        let rows = (0..c).map(|k| rows.contains(&k)).collect();
                        Condition::Natural { rows, value: func, driven: *driven, open: false }
                    }
                    Given::Nothing(rows) => {
                        Condition::Natural { rows: rows.clone(), value: func, driven: true, open: true }
                    }
                },
            });
            shared.boundary_data.push(p.function.data.clone());
        }
        shared.interior_data = interior_data;
        let analysis = analyse(&interior_func, &boundary);
        let natural_on_unknown = boundary.iter().any(|b| match &b.condition {
            Condition::Natural { value, .. } => reads_input(value, 1),
            Condition::Essential { .. } => false,
        });
        let bordered = matches!(border, Border::Rows);
        let constant_kernel = !bordered && !has_essential && !natural_on_unknown && !analysis.reads_value;
        let balance = Balance {
            name: eqs.name.clone(),
            dimension: d,
            components: c,
            order,
            nominal: eqs.unknowns.iter().flat_map(|u| vec![u.nominal; u.shape.iter().product()]).collect(),
            point_data: shared.interior_data.iter().map(|(f, g)| data_type(f, *g, d)).collect(),
            interior: interior_func,
            shared: shared_types,
            boundary,
            linear: analysis.linear,
            symmetric: analysis.symmetric,
            constant_kernel,
            carries: eqs.carries,
        };
        if constant_kernel && eqs.gauges.is_empty() && !eqs.rates {
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
        Ok((balance, shared))
    }

    /// Where a law carries something and nothing is given: it leaves.
    fn open_sides(
        &mut self,
        eqs: &Equations,
        offsets: &Offsets,
        parts: &mut Vec<(String, TracedCondition)>,
        span: Span,
    ) -> Result<()> {
        if eqs.balances.iter().all(|e| e.residual.carried.is_none()) {
            return Ok(());
        }
        let mut carried = vec![];
        let mut carries = vec![];
        for (eq, u) in eqs.balances.iter().zip(&eqs.unknowns) {
            let shape = [&u.shape[..], &[eqs.domain.dimension()]].concat();
            carried.push(self.part(&eq.residual.carried, &shape, &eqs.domain, eq.span)?);
            carries.extend(vec![eq.residual.carried.is_some(); u.shape.iter().product()]);
        }
        for side in eqs.domain.sides() {
            let mut open = carries.clone();
            for (_, p) in parts.iter().filter(|(name, _)| eqs.domain.sides_of(name).contains(side)) {
                match &p.of {
                    Given::Value(k) => open[*k] = false,
                    Given::Flux(rows, _) => open[rows.clone()].fill(false),
                    Given::Nothing(_) => {}
                }
            }
            if open.contains(&true) {
                let out = self.let_out(&carried, open, eqs, offsets, span)?;
                parts.push((side.to_string(), out));
            }
        }
        Ok(())
    }

    /// A part of an equation as a field of the expected shape; nothing is zero.
    pub(super) fn part(
        &mut self,
        v: &Option<Value>,
        shape: &[usize],
        domain: &Rc<Domain>,
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
                    shape_name(field.shape()),
                    shape_name(shape)
                ),
                "the flux of a scalar equation is a vector, of a vector equation a tensor",
            );
        }
        Ok(field)
    }
}
