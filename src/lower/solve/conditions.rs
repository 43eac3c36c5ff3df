//! Boundary conditions: with the gradient of the unknown they prescribe the flux, without it the value.

use super::definite::{random_ratio, same_outputs};
use super::points::{Offsets, Pointwise, indices};
use crate::ad;
use crate::base::Span;
use crate::ir::{Builder, Dot, Op, Tensor, Type};
use crate::lower::Lower;
use crate::lower::arith::shape_name;
use crate::lower::error::{Result, error, error_help};
use crate::lower::system::{Boundary, Equations, Through};
use crate::lower::value::{Field, Leaf, Num};
use std::collections::HashMap;
use std::ops::Range;

pub struct TracedCondition {
    pub of: Given,
    pub function: Pointwise,
}

/// What a condition gives.
pub enum Given {
    /// The value of a component.
    Value(usize),
    /// The flux of these components; whether of it what gradients drive alone.
    Flux(Range<usize>, bool),
    /// Nothing, of these components: what is carried leaves.
    Nothing(Vec<bool>),
}

impl Lower<'_> {
    /// Sorts a boundary condition: with the gradient of the unknown it prescribes the flux, without it the value.
    pub(super) fn condition(
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
        if c.condition.shape() != shape && !(c.component.is_some() && c.condition.shape().is_empty()) {
            return error(
                "shapes.mismatch",
                c.span,
                format!(
                    "the condition is {}, its unknown `{}` is {}",
                    shape_name(c.condition.shape()),
                    eqs.unknowns[which].name,
                    shape_name(&shape)
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
            for k in c.component.map_or(0..n, |i| i..i + 1) {
                let function = self.traced_point(
                    &[&zero, &one],
                    &[Type::f64([d])],
                    offsets,
                    eqs,
                    None,
                    |b, v| {
                        let (z, o) = if c.component.is_some() {
                            (v[0], v[1])
                        } else {
                            let (z, o) = (b.reshape(v[0], &[n]), b.reshape(v[1], &[n]));
                            (b.index(z, 0, k), b.index(o, 0, k))
                        };
                        let slope = b.sub(o, z);
                        let minus = b.neg(z);
                        vec![b.div(minus, slope)]
                    },
                    c.span,
                )?;
                out.push(TracedCondition { of: Given::Value(offsets.start[which] + k), function });
            }
            return Ok(out);
        }
        let row = eqs.flux_of(which);
        let rows = offsets.start[row]..offsets.start[row] + n;
        match c.through {
            Through::Given => {}
            Through::Nothing => {
                let fixed = [Type::f64([d]), Type::f64([offsets.total]), Type::f64([d])];
                let nothing = |b: &mut Builder, _: &[crate::ir::Value]| vec![b.full(&Type::f64([offsets.total]), 0.0)];
                let function = self.traced_point(&[], &fixed, offsets, eqs, Some(2), nothing, c.span)?;
                return Ok(vec![TracedCondition { of: Given::Flux(rows, false), function }]);
            }
            Through::Carried => {
                let open = (0..offsets.total).map(|k| rows.contains(&k)).collect();
                return Ok(vec![self.let_out(flux, open, eqs, offsets, c.span)?]);
            }
        }
        let sign = self.flux_sign(c, &flux[row])?;
        // c = s·F·n + g(u) = 0, so F·n = -g/s; and g is c where the gradient vanishes, less s·F·n there.
        let driven = self.is_driven_alone(c, eqs);
        let (rest, flux0) = (self.without_gradients(&c.condition, eqs), self.without_gradients(&flux[row], eqs));
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
                let (before, after) = (offsets.start[row], offsets.total - offsets.start[row] - n);
                if before + after == 0 {
                    return vec![flat];
                }
                vec![b.op(Op::Pad { low: vec![before], high: vec![after], interior: vec![0] }, &[flat])]
            },
            c.span,
        )?;
        Ok(vec![TracedCondition { of: Given::Flux(rows, driven), function }])
    }

    /// A field where gradients of unknowns vanish.
    fn without_gradients(&self, f: &Field, eqs: &Equations) -> Field {
        self.substitute(f, |leaf| match leaf {
            Leaf::Unknown { order: order @ 1.., index, .. } => {
                let shape = [&eqs.unknowns[*index].shape[..], &vec![eqs.domain.dimension(); *order]].concat();
                Some(Leaf::Shared(Num::Const(Tensor::zeros(&Type::f64(shape)))))
            }
            _ => None,
        })
    }

    /// Whether a condition on a flux is on what gradients drive alone: without gradients it is the same on both sides of a wall, as far
    /// as it depends on the unknown.
    pub(in crate::lower) fn is_driven_alone(&mut self, c: &Boundary, eqs: &Equations) -> bool {
        let rest = self.without_gradients(&c.condition, eqs);
        let mut b = Builder::new("sides of a wall");
        let args: Vec<_> = rest.func.inputs.iter().map(|ty| b.input(ty.clone())).collect();
        let tangents: Vec<_> = (rest.leaves.iter().zip(&args))
            .map(|(leaf, arg)| {
                let ty = b.ty(*arg).clone();
                matches!(leaf, Leaf::Unknown { .. }).then(|| b.input(ty))
            })
            .collect();
        let other: Vec<_> = (rest.leaves.iter().zip(&args))
            .map(|(leaf, arg)| if matches!(leaf, Leaf::Normal) { b.neg(*arg) } else { *arg })
            .collect();
        let slopes = [&args, &other].map(|side| ad::jvp_into(&mut b, &rest.func, side, &tangents).1[0]);
        let [Some(one), Some(two)] = slopes else { return true };
        same_outputs(&b.finish(vec![one, two]))
    }

    /// What is carried through a side where some components are given nothing.
    pub(super) fn let_out(
        &mut self,
        carried: &[Field],
        open: Vec<bool>,
        eqs: &Equations,
        offsets: &Offsets,
        span: Span,
    ) -> Result<TracedCondition> {
        let (d, c) = (eqs.domain.dimension(), offsets.total);
        let fixed = [Type::f64([d]), Type::f64([c]), Type::f64([d])];
        let fields: Vec<&Field> = carried.iter().collect();
        let through = |b: &mut Builder, v: &[crate::ir::Value]| {
            let normal = b.func().values().find_map(|(v, node)| matches!(node.op, Op::Input(2)).then_some(v));
            let normal = normal.expect("compiler bug: a boundary function without a normal");
            let rows: Vec<_> = (v.iter().zip(&eqs.unknowns))
                .map(|(flux, u)| {
                    let last = b.ty(*flux).rank() - 1;
                    let dot = Dot { lhs_contract: vec![last], rhs_contract: vec![0], ..Dot::default() };
                    let through = b.dot(*flux, normal, dot);
                    b.reshape(through, &[u.shape.iter().product()])
                })
                .collect();
            let all = b.concat(&rows, 0);
            if !open.contains(&false) {
                return vec![all];
            }
            let mask = b.constant(Tensor::f64([c], open.iter().map(|o| *o as u8 as f64).collect::<Vec<_>>()));
            let nothing = b.zeros(&Type::f64([c]));
            vec![b.select(mask, all, nothing)]
        };
        let function = self.traced_point(&fields, &fixed, offsets, eqs, Some(2), through, span)?;
        Ok(TracedCondition { of: Given::Nothing(open), function })
    }

    /// s = ±1 such that the condition is `s·flux·n + (terms without the gradient)`; found by comparing derivatives with
    /// respect to the gradient, as nodes of one hash-consed function.
    pub(in crate::lower) fn flux_sign(&mut self, c: &Boundary, flux: &Field) -> Result<f64> {
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
                    Leaf::Unknown { order: 1.., index, .. } => Some(match directions.get(index) {
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
}
