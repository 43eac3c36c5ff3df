//! Spaces and what is done with fields on them: integrals, means, values at points, extremes.

use super::domain::Domain;
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::solve::{Method, Scheme};
use super::value::{Discrete, Field, Functional, Integral, Leaf, Num, Slopes, Value};
use crate::base::{Diagnostic, Span};
use crate::discretize::grid::Derivatives;
use crate::discretize::{self, Element, Mesh, Refusal, Space};
use crate::ir::{Dot, Reduce, Tensor};
use std::rc::Rc;

/// Spaces made so far: one for each mesh and order, so that fields of one scheme share it.
#[derive(Default)]
pub struct Spaces {
    made: Vec<Rc<Space>>,
}

/// Cells along the longest side of the mesh on which a field without any is integrated.
const INTEGRATION_CELLS: usize = 128;

/// A refusal of the discretisation, at the place that asked for it.
pub fn refused(r: Refusal, span: Span) -> Box<Diagnostic> {
    let d = Diagnostic::error(r.code, span, r.message);
    Box::new(match r.help {
        Some(h) => d.help(h),
        None => d,
    })
}

/// What distinguishes a mesh.
pub struct Resolution {
    pub order: usize,
    pub element: Option<Element>,
    pub cells: Cells,
}

pub enum Cells {
    /// Along the longest side.
    Count(usize),
    /// Largest size.
    Size(f64),
    /// Gauss–Lobatto points along each axis.
    Lobatto(usize),
}

fn functional(f: &Field, part: Option<&str>, mean: bool) -> Value {
    let term = Integral { integrand: f.clone(), part: part.map(String::from), mean, factor: 1.0 };
    Value::Functional(Rc::new(Functional { terms: vec![term] }))
}

impl Lower<'_> {
    /// The mesh of a domain.
    pub fn mesh(&self, domain: &Domain, element: Option<Element>, cells: &Cells, span: Span) -> Result<Mesh> {
        let d = domain.dimension();
        let element = element.unwrap_or(Element::default_of(d));
        let periodic = vec![domain.periodic; d];
        let made = match cells {
            Cells::Lobatto(_) if domain.periodic => Err(Refusal::new(
                "discretize.chebyshev",
                "Chebyshev polynomials are for domains with walls, this one is periodic",
            )
            .help("use `spectral`")),
            Cells::Lobatto(n) => Mesh::clustered(element, &domain.origin, &domain.extent, n.saturating_sub(1)),
            Cells::Size(h) => Mesh::with_spacing(element, &domain.origin, &domain.extent, *h, &periodic),
            Cells::Count(n) => {
                let longest = domain.extent.iter().cloned().fold(0.0, f64::max);
                let counts: Vec<usize> = domain
                    .extent
                    .iter()
                    .map(|x| ((*n as f64 * x / longest).round() as usize).max((*n > 0) as usize))
                    .collect();
                Mesh::new(element, &domain.origin, &domain.extent, &counts, &periodic)
            }
        };
        made.map_err(|r| refused(r, span))
    }

    pub fn space(&mut self, mesh: Mesh, order: usize, span: Span) -> Result<Rc<Space>> {
        self.space_of_kind(mesh, order, false, span)
    }

    /// The space of what a scheme solves for.
    pub fn scheme_space(&mut self, mesh: Mesh, scheme: &Scheme, span: Span) -> Result<Rc<Space>> {
        let fourth = matches!(scheme.method, Method::Grid(Derivatives::Central { order: 4.. }));
        self.space_of_kind(mesh, scheme.resolution.order, fourth, span)
    }

    fn space_of_kind(&mut self, mesh: Mesh, order: usize, corrected: bool, span: Span) -> Result<Rc<Space>> {
        let same = |s: &&Rc<Space>| s.order == order && s.corrected == corrected && s.mesh == mesh;
        if let Some(s) = self.spaces.made.iter().find(same) {
            return Ok(s.clone());
        }
        let space = match (order, corrected) {
            (0, false) => Space::cells(mesh),
            (0, true) => Space::points(mesh),
            _ => Space::lagrange(mesh, order, None).map_err(|r| refused(r, span))?,
        };
        let space = Rc::new(space);
        self.spaces.made.push(space.clone());
        Ok(space)
    }

    /// The space a field is integrated on: that of its discrete leaves, the finest where there are several. Values of cells are
    /// integrated by the midpoint rule, which is exact for the trigonometric polynomials of a periodic grid.
    pub fn space_of(&mut self, f: &Field, span: Span) -> Result<Rc<Space>> {
        let finest = f
            .leaves
            .iter()
            .filter_map(|l| if let Leaf::Discrete { field, .. } = l { Some(field.space.clone()) } else { None })
            .max_by_key(|s| (s.mesh.element_count(), s.order));
        match finest {
            Some(s) => Ok(s),
            None => {
                let mesh = self.mesh(&f.domain.clone(), None, &Cells::Count(INTEGRATION_CELLS), span)?;
                self.space(mesh, 1, span)
            }
        }
    }

    /// `∫ f dΩ`, or the mean over Ω.
    pub fn integrate(&mut self, f: &Field, mean: bool, span: Span) -> Result<Value> {
        if f.has_unknown() {
            return Ok(functional(f, None, mean));
        }
        let space = self.space_of(f, span)?;
        let scale = if mean { 1.0 / f.domain.measure() } else { 1.0 };
        let n = self.with_leaves(f, &space, span, |b, leaves| {
            let i = space.integrate(b, &f.func, leaves)[0];
            b.scale(i, scale)
        })?;
        Ok(Value::Num(n))
    }

    /// `∫ f ds` over a part of the boundary, or the mean there; the outward normal may stand in f.
    pub fn integrate_part(&mut self, f: &Field, part: &str, mean: bool, span: Span) -> Result<Value> {
        if f.has_unknown() {
            return Ok(functional(f, Some(part), mean));
        }
        let space = self.space_of(f, span)?;
        let sides = space.mesh.part(part).map_err(|r| refused(r, span))?;
        let scale = if mean { 1.0 / f.domain.measure_of(part) } else { 1.0 };
        let mut sum: Option<Num> = None;
        for side in sides {
            let (x, weights) = space.facet_points(side);
            let d = f.domain.dimension();
            let normal = Num::Const(Tensor::f64([d], side.normal(d)));
            let on_side = self.substitute(f, |leaf| match leaf {
                Leaf::Normal => Some(Leaf::Shared(normal.clone())),
                _ => None,
            });
            let values = self.field_at_points(&on_side, &Num::Const(x), span)?;
            let one = self.tracer.build(&[&Num::Const(weights), &values], |b, v| {
                let sum = Dot { lhs_contract: vec![0], rhs_contract: vec![0], ..Dot::default() };
                let s = b.dot(v[0], v[1], sum);
                b.scale(s, scale)
            });
            sum = Some(match sum {
                None => one,
                Some(s) => self.tracer.build(&[&s, &one], |b, v| b.add(v[0], v[1])),
            });
        }
        Ok(Value::Num(sum.unwrap_or(Num::scalar(0.0))))
    }

    /// The value of a sum of integrals, once `solved` has put the solution in place of the unknowns.
    pub fn functional_value(
        &mut self,
        f: &Functional,
        solved: &dyn Fn(&Self, &Field) -> Field,
        span: Span,
    ) -> Result<Num> {
        let mut sum: Option<Num> = None;
        for term in &f.terms {
            let integrand = solved(self, &term.integrand);
            let value = match &term.part {
                None => self.integrate(&integrand, term.mean, span)?,
                Some(part) => self.integrate_part(&integrand, part, term.mean, span)?,
            };
            let value = self.num(&value, span)?;
            let value = self.scale_num(&value, term.factor);
            sum = Some(match sum {
                None => value,
                Some(s) => self.binary_num(&crate::sema::hir::Op::Add, &s, &value, span)?,
            });
        }
        Ok(sum.unwrap_or(Num::scalar(0.0)))
    }

    /// Values at the quadrature points of the field's space, `[E, q, …]`.
    pub fn at_quadrature(&mut self, f: &Field, space: &Rc<Space>, span: Span) -> Result<Num> {
        self.with_leaves(f, space, span, |b, leaves| space.evaluate(b, &f.func, leaves)[0])
    }

    /// The greatest or least value at quadrature points.
    pub fn extreme(&mut self, f: &Field, kind: Reduce, span: Span) -> Result<Num> {
        let space = self.space_of(f, span)?;
        let values = self.at_quadrature(f, &space, span)?;
        let axes: Vec<usize> = (0..values.shape().len()).collect();
        Ok(self.tracer.build(&[&values], |b, v| b.reduce(kind, v[0], &axes)))
    }

    /// Builds something over a space with a field's leaves bound.
    fn with_leaves(
        &mut self,
        f: &Field,
        space: &Rc<Space>,
        span: Span,
        build: impl FnOnce(&mut crate::ir::Builder, &[discretize::Leaf]) -> crate::ir::Value,
    ) -> Result<Num> {
        let mut nums: Vec<Num> = vec![];
        for leaf in &f.leaves {
            nums.push(match leaf {
                Leaf::Coordinates => Num::scalar(0.0),
                Leaf::Shared(n) => n.clone(),
                Leaf::Discrete { field, gradient } if field.space.mesh == space.mesh => {
                    self.slopes_of(field, *gradient).unwrap_or_else(|| field.dofs.clone())
                }
                Leaf::Discrete { field, gradient } => self.discrete_at_quadrature(field, *gradient, space),
                Leaf::Normal => return error("run.equation", span, "the normal is defined on a boundary only"),
                Leaf::Unknown { .. } => {
                    return error_help(
                        "run.equation",
                        span,
                        "an unknown has no value before its system is solved",
                        "read it from the solution: `solve(S(…), …).u`",
                    );
                }
            });
        }
        let refs: Vec<&Num> = nums.iter().collect();
        Ok(self.tracer.build(&refs, |b, v| {
            let leaves: Vec<discretize::Leaf> = f
                .leaves
                .iter()
                .zip(v)
                .map(|(leaf, &v)| match leaf {
                    Leaf::Coordinates => discretize::Leaf::Coordinates,
                    Leaf::Discrete { field, gradient } if field.space.mesh == space.mesh => {
                        if *gradient && field.slopes.is_none() {
                            discretize::Leaf::Gradient { space: &field.space, dofs: v }
                        } else {
                            discretize::Leaf::Value { space: &field.space, dofs: v }
                        }
                    }
                    Leaf::Discrete { .. } => discretize::Leaf::Data(v),
                    _ => discretize::Leaf::Shared(v),
                })
                .collect();
            build(b, &leaves)
        }))
    }

    /// A field of one mesh at the quadrature points of another, `[E, q, …]`.
    pub fn discrete_at_quadrature(&mut self, field: &Rc<Discrete>, gradient: bool, space: &Rc<Space>) -> Num {
        let (e, q) = (space.element_count(), space.quadrature_count());
        let d = space.mesh.dimension();
        let x = Num::Const(space.quadrature_coordinates().reshaped([e * q, d]));
        let values = self.discrete_at_points(field, gradient, &x);
        let mut shape = vec![e, q];
        shape.extend(&values.shape()[1..]);
        self.tracer.build(&[&values], |b, v| b.reshape(v[0], &shape))
    }

    /// The gradients of a field at its degrees of freedom, where they are wanted and its method has its own.
    pub(super) fn slopes_of(&mut self, field: &Discrete, gradient: bool) -> Option<Num> {
        match field.slopes.as_ref().filter(|_| gradient)? {
            Slopes::Known(slopes) => Some(slopes.clone()),
            Slopes::Of(func) => Some(self.tracer.build(&[&field.dofs], |b, v| b.inline(func, v)[0])),
        }
    }

    /// A discrete field (or its gradient) at points `[P, d]`: `[P, …]`.
    pub fn discrete_at_points(&mut self, field: &Rc<Discrete>, gradient: bool, x: &Num) -> Num {
        let space = field.space.clone();
        if let Some(slopes) = self.slopes_of(field, gradient) {
            return self.tracer.build(&[&slopes, x], |b, v| space.evaluate_at(b, v[0], v[1]));
        }
        self.tracer.build(&[&field.dofs, x], |b, v| {
            if gradient { space.gradient_at(b, v[0], v[1]) } else { space.evaluate_at(b, v[0], v[1]) }
        })
    }
}
