//! `convolve(K, u)`: `∫ K(x - y) u(y) dy` over a periodic domain, at each point of a grid at once by the product of Fourier series.
//!
//! Inside an equation a field stands for it; each rate computes that field from the state, as it does integrals.

use super::call::Args;
use super::error::{Result, error_help};
use super::eval::Lower;
use super::functional::Cells;
use super::intrinsics::{Named, needed};
use super::solve::Shared;
use super::system::Equations;
use super::value::{Discrete, Field, Leaf, Num, Slopes, Value};
use crate::base::Span;
use crate::discretize::grid::fourier_slopes;
use crate::discretize::{Mesh, Space};
use crate::ir::{Op, Tensor, Type};
use std::rc::Rc;

/// A convolution of the unknown in the terms of an equation.
pub struct Convolution {
    /// Identity of the field that stands for it.
    id: u64,
    kernel: Value,
    argument: Field,
    pub span: Span,
}

/// The fields that convolutions are, by what stands for them.
pub type Convolved = Vec<(u64, Rc<Discrete>)>;

impl Equations {
    /// A leaf with the unknowns and convolutions replaced.
    pub fn filled(&self, leaf: &Leaf, fields: &[Rc<Discrete>], numbers: &[Num], convolved: &Convolved) -> Option<Leaf> {
        match leaf {
            Leaf::Discrete { field, gradient } => convolved
                .iter()
                .find(|(id, _)| *id == field.id)
                .map(|(_, made)| Leaf::Discrete { field: made.clone(), gradient: *gradient }),
            _ => self.solved(leaf, fields, numbers),
        }
    }
}

/// `convolve(kernel, u)`
pub fn convolve(l: &mut Lower, args: &Named, span: Span) -> Result<Value> {
    let (kernel, u) = (needed(args, "kernel", span)?.clone(), needed(args, "u", span)?.clone());
    if let list @ (Value::List(_) | Value::Stack(_)) = &u {
        let items = l.items(list, span)?;
        let each = items.into_iter().map(|u| l.convolution(&kernel, &u, span));
        return Ok(Value::list(each.collect::<Result<_>>()?));
    }
    l.convolution(&kernel, &u, span)
}

impl Lower<'_> {
    fn convolution(&mut self, kernel: &Value, u: &Value, span: Span) -> Result<Value> {
        let u = self.field(u, span)?;
        if !u.domain.periodic {
            return error_help(
                "run.value",
                span,
                "a convolution is taken over a periodic domain",
                "write `periodic=true`, on a domain wide enough for what matters",
            );
        }
        let domain = u.domain.clone();
        if !u.has_unknown() {
            let near = self.space_of(&u, span)?;
            let space = self.space(near.mesh.clone(), 0, span)?;
            let made = self.convolved(kernel, &u, &space, span)?;
            return Ok(Value::Field(self.discrete_field(&domain, made)));
        }
        if self.convolutions.is_none() {
            return error_help(
                "unsupported.library",
                span,
                "a convolution of the unknown couples all of its values, which steady problems do not support yet",
                "step through time explicitly, with `fd`, `spectral` or `fv`",
            );
        }
        let mesh = self.mesh(&domain, None, &Cells::Count(1), span)?;
        let space = self.space(mesh, 0, span)?;
        let (id, shape) = (self.tracer_fresh(), u.shape().to_vec());
        // Never read: each rate puts the field itself in its place.
        let nothing = Tensor::full(&Type::f64([&[space.node_count()], &shape[..]].concat()), f64::NAN);
        let stand = Discrete { space, dofs: Num::Const(nothing), slopes: None, shape, id };
        if let Some(all) = &mut self.convolutions {
            all.push(Convolution { id, kernel: kernel.clone(), argument: u, span });
        }
        Ok(Value::Field(self.discrete_field(&domain, stand)))
    }

    /// All convolutions of equations whose unknowns are these fields.
    pub(super) fn convolutions_of(
        &mut self,
        eqs: &Equations,
        fields: &[Rc<Discrete>],
        space: &Rc<Space>,
    ) -> Result<Convolved> {
        let mut made = Convolved::new();
        for c in &eqs.convolutions {
            let argument = self.substitute(&c.argument, |leaf| eqs.filled(leaf, fields, &[], &made));
            let field = self.convolved(&c.kernel, &argument, space, c.span)?;
            made.push((c.id, Rc::new(field)));
        }
        Ok(made)
    }

    /// The same for the data of an equation, from values at the nodes `[N, c]`.
    pub(super) fn convolutions_at(
        &mut self,
        eqs: &Equations,
        shared: &mut Shared,
        nodal: &Num,
        space: &Rc<Space>,
    ) -> Result<Convolved> {
        if eqs.convolutions.is_empty() {
            return Ok(vec![]);
        }
        let fields = self.unknown_fields(eqs, nodal, None, space);
        let made = self.convolutions_of(eqs, &fields, space)?;
        for (field, _) in shared.interior_data.iter_mut().chain(shared.boundary_data.iter_mut().flatten()) {
            if let Some((_, real)) = made.iter().find(|(id, _)| *id == field.id) {
                *field = real.clone();
            }
        }
        Ok(made)
    }

    /// Refuses convolutions where their values would have to be solved for.
    pub(super) fn no_convolutions(&self, eqs: &Equations) -> Result<()> {
        match eqs.convolutions.first() {
            None => Ok(()),
            Some(c) => error_help(
                "unsupported.library",
                c.span,
                "a convolution of the unknown couples all of its values, which implicit steps do not support yet",
                "use an explicit method on a grid or on finite volumes, or `spectral`",
            ),
        }
    }

    /// On the points of a periodic grid, with its gradient.
    fn convolved(&mut self, kernel: &Value, u: &Field, space: &Rc<Space>, span: Span) -> Result<Discrete> {
        let mesh = space.mesh.clone();
        let (d, shape) = (mesh.dimension(), u.shape().to_vec());
        let count: usize = shape.iter().product();
        let values = self.field_at_points(u, &Num::Const(space.node_coordinates()), span)?;
        let weights = self.kernel_values(kernel, u, &mesh, span)?;
        let cell: f64 = mesh.spacing().iter().product();
        let slopes = fourier_slopes(count, &mesh);
        let n = space.node_count();
        let columns = [&[count], &mesh.cells[..]].concat();
        let out = self.tracer.build_all(&[&values, &weights], |b, v| {
            let u = b.reshape(v[0], &[n, count]);
            let u = b.transpose(u, &[1, 0]);
            let u = b.reshape(u, &columns);
            let k = b.reshape(v[1], &mesh.cells);
            let (z, k) = (b.op(Op::Rfft { rank: d }, &[u]), b.op(Op::Rfft { rank: d }, &[k]));
            let parts = b.ty(z).shape.clone();
            let mut half = parts.clone();
            half.remove(1);
            let part = |b: &mut crate::ir::Builder, i: usize| {
                let one = b.index(k, 0, i);
                b.op(Op::Broadcast { shape: half.clone(), axes: (1..=d).collect() }, &[one])
            };
            let (re, im) = (part(b, 0), part(b, 1));
            let (x, y) = (b.index(z, 1, 0), b.index(z, 1, 1));
            let (xr, yi, xi, yr) = (b.mul(x, re), b.mul(y, im), b.mul(x, im), b.mul(y, re));
            let (up, down) = (b.sub(xr, yi), b.add(xi, yr));
            let product = b.stack(&[up, down], 1);
            let back = b.op(Op::Irfft { rank: d, n: mesh.cells[d - 1] }, &[product]);
            let field = b.scale(back, cell / n as f64);
            let slope = b.inline(&slopes, &[field])[0];
            let field = b.reshape(field, &[count, n]);
            let field = b.transpose(field, &[1, 0]);
            let field = b.reshape(field, &[&[n], &shape[..]].concat());
            let slope = b.reshape(slope, &[count, d, n]);
            let slope = b.transpose(slope, &[2, 0, 1]);
            let slope = b.reshape(slope, &[&[n], &shape[..], &[d]].concat());
            vec![field, slope]
        });
        let [dofs, slopes] = <[Num; 2]>::try_from(out).expect("compiler bug: a field and its gradient");
        Ok(Discrete { space: space.clone(), dofs, slopes: Some(Slopes::Known(slopes)), shape, id: self.tracer_fresh() })
    }

    /// The kernel at the separations of the points of a grid, those of the nearest images: `[N]`. Half a period apart it is the mean of
    /// both sides.
    fn kernel_values(&mut self, kernel: &Value, u: &Field, mesh: &Mesh, span: Span) -> Result<Num> {
        let d = mesh.dimension();
        let separation = match d {
            1 => self.coordinate(&u.domain, 0),
            _ => self.coordinates(&u.domain),
        };
        let out = self.call(kernel, Args { values: vec![(None, Value::Field(separation), span)] }, span)?;
        let k = self.field(&out, span)?;
        if !k.shape().is_empty() {
            return error_help(
                "shapes.mismatch",
                span,
                format!("the kernel of a convolution is a number, this is {}", super::arith::shape_name(k.shape())),
                "it takes the separation x - y: a number on an interval, a vector in the plane and in space",
            );
        }
        let h = mesh.spacing();
        let at = |middle: f64| {
            let mut x = Vec::with_capacity(mesh.cell_count() * d);
            crate::discretize::mesh::each_index(&mesh.cells, |index| {
                for (a, &i) in index.iter().enumerate() {
                    let (i, n) = (i as f64, mesh.cells[a] as f64);
                    let steps = if 2.0 * i == n {
                        middle * i
                    } else if 2.0 * i < n {
                        i
                    } else {
                        i - n
                    };
                    x.push(steps * h[a]);
                }
            });
            Num::Const(Tensor::f64([mesh.cell_count(), d], x))
        };
        let one = self.field_at_points(&k, &at(1.0), span)?;
        if mesh.cells.iter().all(|n| n % 2 == 1) {
            return Ok(one);
        }
        let other = self.field_at_points(&k, &at(-1.0), span)?;
        Ok(self.tracer.build(&[&one, &other], |b, v| {
            let sum = b.add(v[0], v[1]);
            b.scale(sum, 0.5)
        }))
    }
}
