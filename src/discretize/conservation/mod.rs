//! Conservation laws on boxes: upwind finite volumes for explicit steps, in one to three dimensions from one pointwise law.
//!
//! States on both sides of each face are reconstructed from the cells, a Riemann solver makes one flux of them, and what leaves one
//! cell enters the next: sums over the cells are conserved to rounding. Unknowns are values at the centres of the cells (at orders 1
//! and 2 also their means). Fluxes that read gradients are central, of order 2, and added.
//!
//! Boundaries. Where all unknowns are given, the state outside the face is what is given (inflow). Where some are, these are mirrored
//! about the given value and the others are mirrored (a wall: normal momentum zero). Where none is, the state outside is that
//! inside (outflow); a condition on the flux replaces the flux through the face.

mod arrays;
mod boundary;
mod ghost;
mod reconstruct;
mod riemann;

use super::balance::Balance;
use super::derivative::reads;
use super::{Mesh, Refusal};
use crate::ad::jvp_into;
use crate::ir::components::cost;
use crate::ir::{Binary, Builder, DType, Func, Op, Tensor, Type, Unary, Value};
pub(super) use arrays::over_points;
use boundary::Sides;
use ghost::{Ghost, Line};
pub use reconstruct::{Limiter, Reconstruction};
pub(super) use riemann::speeds;
pub use riemann::{Riemann, convection, convects};
use std::sync::Arc;

/// The rates of a balance law.
pub struct Rates {
    /// `(u[c, n…], data…[N, …], data of each condition…[P, …], shared…, captured…) → [c, n…]`
    pub rates: Func,
    /// The sum over axes of the largest speed over the spacing, `[n…]`, of the same arguments: times the step, the Courant number.
    pub courant: Func,
    /// Where the data of each condition are taken, `[P, d]`.
    pub points: Vec<Tensor>,
}

/// Most operations a point.
const MOST: usize = 20_000;
/// Operations up to which the flux between two states is written out over arrays.
const WRITTEN_OUT: usize = 400;

/// Errors: too few cells, a source that reads gradients, nested solves, parts that the domain does not have, `upwind` for a flux that
/// is not linear.
pub fn rates(
    balance: &Balance,
    mesh: &Mesh,
    reconstruction: Reconstruction,
    riemann: &Riemann,
) -> Result<Rates, Refusal> {
    balance.first_order()?;
    let reach = reconstruction.reach();
    if let Some(n) = mesh.cells.iter().find(|&&n| n < 2 * reach) {
        let message = format!("{n} cells are too few for a reconstruction that reads {reach} on either side");
        return Err(Refusal::new("discretize.riemann", message).help("choose a larger `n` or a lower order"));
    }
    let interior = &balance.interior;
    let too_large = |f: &Func| cost(f, DType::F64).is_none_or(|c| c > MOST);
    let given_too_large = matches!(riemann, Riemann::Given { flux, .. } if too_large(flux));
    if too_large(interior) || given_too_large {
        let message = "nested solves and large nets inside an equation are not supported by these finite volumes yet";
        return Err(Refusal::new("unsupported.library", message).help("use `fem`"));
    }
    if reads(&output(interior, 1), 2) {
        let message = format!("`{}`: the source depends on the gradient, which no flux carries", balance.name);
        let help = "write the derivative of a flux: `∂x(u^2/2)` for `u*∂x(u)`, `∇·(c*u)` for the transport of u";
        return Err(Refusal::new("discretize.riemann", message).help(help));
    }
    let sides = Sides::new(balance, mesh)?;
    let law = Law { balance, mesh, sides: &sides, reconstruction, diffusion: output(interior, 0) };
    let faces = (0..balance.dimension).map(|a| riemann.face(balance, a)).collect::<Result<Vec<_>, _>>()?;
    Ok(Rates {
        rates: law.rates(&faces, riemann.captured()),
        courant: law.courant(riemann.captured()),
        points: sides.points(mesh),
    })
}

fn output(f: &Func, k: usize) -> Func {
    let mut b = Builder::new(f.name.clone());
    let args: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let out = b.inline(f, &args)[k];
    b.finish(vec![out])
}

struct Law<'a> {
    balance: &'a Balance,
    mesh: &'a Mesh,
    sides: &'a Sides,
    reconstruction: Reconstruction,
    /// The flux alone, `(x, u, ∇u, …) → [c, d]`.
    diffusion: Func,
}

/// The inputs, component by component.
struct Inputs {
    /// Arrays over the cells.
    u: Vec<Value>,
    data: Vec<Vec<Value>>,
    /// Of each condition, as they come: `[P, entries]`.
    conditions: Vec<Vec<Value>>,
    /// Numbers.
    shared: Vec<Vec<Value>>,
    captured: Vec<Vec<Value>>,
}

impl Law<'_> {
    fn inputs(&self, b: &mut Builder, captured: &[Type]) -> Inputs {
        let c = self.balance.components;
        let points = self.mesh.cell_count();
        let all = b.input(Type::f64([&[c], &self.mesh.cells[..]].concat()));
        let u = (0..c).map(|k| b.index(all, 0, k)).collect();
        let data = (self.balance.point_data.iter())
            .map(|ty| {
                let v = b.input(Type::f64([&[points], &ty.shape[..]].concat()));
                let flat = b.reshape(v, &[points, ty.len()]);
                (0..ty.len())
                    .map(|k| {
                        let column = b.index(flat, 1, k);
                        b.reshape(column, &self.mesh.cells)
                    })
                    .collect()
            })
            .collect();
        let conditions = (self.balance.boundary.iter().zip(&self.sides.counts))
            .map(|(on, &count)| {
                let entry = |ty: &Type, b: &mut Builder| {
                    let v = b.input(Type::f64([&[count], &ty.shape[..]].concat()));
                    b.reshape(v, &[count, ty.len()])
                };
                on.point_data.iter().map(|ty| entry(ty, b)).collect()
            })
            .collect();
        let mut numbers = |types: &[Type]| -> Vec<Vec<Value>> {
            let entries = |ty: &Type, b: &mut Builder| {
                let v = b.input(ty.clone());
                let flat = b.reshape(v, &[ty.len()]);
                (0..ty.len()).map(|k| b.index(flat, 0, k)).collect()
            };
            types.iter().map(|ty| entries(ty, b)).collect()
        };
        let shared = numbers(&self.balance.shared);
        let captured = numbers(captured);
        Inputs { u, data, conditions, shared, captured }
    }

    fn rates(&self, faces: &[Func], captured: &[Type]) -> Func {
        let (c, d) = (self.balance.components, self.balance.dimension);
        let mut b = Builder::new("rates");
        let b = &mut b;
        let inputs = self.inputs(b, captured);
        let x = self.coordinates(b, &self.mesh.cells, &vec![0.5; d]);
        let still = vec![b.scalar(0.0); c * d];
        let args: Vec<Vec<Value>> = [x, inputs.u.clone(), still]
            .into_iter()
            .chain(inputs.data.iter().cloned())
            .chain(inputs.shared.iter().cloned())
            .collect();
        let source = over_points(b, &output(&self.balance.interior, 1), &args).swap_remove(0);
        let mut rates: Vec<Value> = source.into_iter().map(|s| b.neg(s)).collect();
        let slopes = self.cell_slopes(b, &inputs);
        for (axis, face) in faces.iter().enumerate() {
            let line = self.line(axis);
            let mut flux = self.convective(b, line, face, &inputs);
            if let Some(slopes) = &slopes {
                let diffusive = self.diffusive(b, line, slopes, &inputs);
                for (f, g) in flux.iter_mut().zip(diffusive) {
                    *f = b.add(*f, g);
                }
            }
            self.prescribed(b, line, &mut flux, &inputs);
            let h = self.spacing(axis);
            for (rate, f) in rates.iter_mut().zip(flux) {
                let leaving = line.difference(b, f);
                let leaving = b.scale(leaving, 1.0 / h);
                *rate = b.sub(*rate, leaving);
            }
        }
        let rates: Vec<Value> = rates.into_iter().map(|r| spread(b, r, &self.mesh.cells)).collect();
        let out = b.stack(&rates, 0);
        std::mem::replace(b, Builder::new("")).finish(vec![out])
    }

    /// Fluxes of reconstructed states, arrays over the faces.
    fn convective(&self, b: &mut Builder, line: Line, face: &Func, inputs: &Inputs) -> Vec<Value> {
        let (c, reach) = (self.balance.components, self.reconstruction.reach());
        let ghosts = self.sides.ghosts(b, self, line, inputs, Ghost::Linear);
        let extended: Vec<Value> =
            inputs.u.iter().zip(&ghosts).map(|(&u, &ends)| line.extend(b, u, reach, ends)).collect();
        let (mut left, mut right) = (vec![], vec![]);
        for (k, &u) in extended.iter().enumerate() {
            let [l, r] = self.reconstruction.states(b, line, u, self.balance.nominal[k]);
            left.push(l);
            right.push(r);
        }
        if !line.periodic {
            self.sides.outer_states(b, self, line, inputs, &mut left, &mut right);
        }
        let x = self.face_coordinates(b, line);
        let data = self.data_at_faces(b, line, inputs);
        let args: Vec<Vec<Value>> = [left, right, x]
            .into_iter()
            .chain(data)
            .chain(inputs.shared.iter().cloned())
            .chain(inputs.captured.iter().cloned())
            .collect();
        let shape = self.face_shape(line);
        let mut flux = match cost(face, DType::F64) {
            Some(cost) if cost <= WRITTEN_OUT => over_points(b, face, &args).swap_remove(0),
            _ => item_by_item(b, face, &args, &shape),
        };
        flux.iter_mut().for_each(|f| *f = spread(b, *f, &shape));
        if self.reconstruction == Reconstruction::Weno5 {
            let x = self.coordinates(b, &self.mesh.cells, &vec![0.5; self.balance.dimension]);
            let args: Vec<Vec<Value>> = [inputs.u.clone(), x]
                .into_iter()
                .chain(inputs.data.iter().cloned())
                .chain(inputs.shared.iter().cloned())
                .collect();
            let centres = over_points(b, &riemann::convection(self.balance, line.axis), &args).swap_remove(0);
            for k in 0..c {
                let f = spread(b, centres[k], &self.mesh.cells);
                if let Some(more) = self.reconstruction.correction(b, line, f) {
                    flux[k] = b.add(flux[k], more);
                }
            }
        }
        flux
    }

    /// Slopes along each axis at the centres, `[c·d]`, where the flux reads gradients.
    fn cell_slopes(&self, b: &mut Builder, inputs: &Inputs) -> Option<Vec<Value>> {
        if !reads(&self.diffusion, 2) {
            return None;
        }
        let d = self.balance.dimension;
        let mut slopes = vec![b.scalar(0.0); self.balance.components * d];
        for axis in 0..d {
            let line = self.line(axis);
            let ghosts = self.sides.ghosts(b, self, line, inputs, Ghost::Linear);
            for (k, (&u, ends)) in inputs.u.iter().zip(ghosts).enumerate() {
                let extended = line.extend(b, u, 1, ends);
                let jump = jump(b, line, extended);
                let sum = match line.periodic {
                    true => {
                        let before = b.op(Op::Roll { axis, shift: 1 }, &[jump]);
                        b.add(jump, before)
                    }
                    false => {
                        let (after, before) =
                            (b.slice(jump, axis, 1, line.cells + 1), b.slice(jump, axis, 0, line.cells));
                        b.add(after, before)
                    }
                };
                slopes[k * d + axis] = b.scale(sum, 0.5 / self.spacing(axis));
            }
        }
        Some(slopes)
    }

    /// What gradients add to the flux, at the faces of an axis.
    fn diffusive(&self, b: &mut Builder, line: Line, slopes: &[Value], inputs: &Inputs) -> Vec<Value> {
        let (c, d) = (self.balance.components, self.balance.dimension);
        let ghosts = self.sides.ghosts(b, self, line, inputs, Ghost::Constant);
        let extended: Vec<Value> = inputs.u.iter().zip(ghosts).map(|(&u, ends)| line.extend(b, u, 1, ends)).collect();
        let at_faces: Vec<Value> = extended.iter().map(|&u| mean(b, line, u)).collect();
        let gradient: Vec<Value> = (0..c * d)
            .map(|k| match k % d == line.axis {
                true => {
                    let jump = jump(b, line, extended[k / d]);
                    b.scale(jump, 1.0 / self.spacing(line.axis))
                }
                false => {
                    let slope = line.extend(b, slopes[k], 1, [Ghost::Linear; 2]);
                    mean(b, line, slope)
                }
            })
            .collect();
        let x = self.face_coordinates(b, line);
        let args: Vec<Vec<Value>> = [x, at_faces, gradient]
            .into_iter()
            .chain(self.data_at_faces(b, line, inputs))
            .chain(inputs.shared.iter().cloned())
            .collect();
        let flux = over_points(b, &self.gradient_part(), &args).swap_remove(0);
        let shape = self.face_shape(line);
        let flux: Vec<Value> = (0..c).map(|k| spread(b, flux[k * d + line.axis], &shape)).collect();
        self.sides.sealed(b, self, line, inputs, flux)
    }

    /// The flux less what it is without a gradient: its derivative along the gradient where it is affine in it.
    fn gradient_part(&self) -> Func {
        let f = &self.diffusion;
        let mut b = Builder::new("diffusion");
        let args: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
        let mut still = args.clone();
        still[2] = b.zeros(&f.inputs[2]);
        let mut tangents = vec![None; args.len()];
        tangents[2] = Some(args[2]);
        let slope = |b: &mut Builder, at: &[Value]| {
            let (value, t) = jvp_into(b, f, at, &tangents);
            t[0].unwrap_or_else(|| b.zeros_like(value[0]))
        };
        let mut probe = Builder::new("affine");
        let inputs: Vec<Value> = f.inputs.iter().map(|t| probe.input(t.clone())).collect();
        let direction = probe.input(f.inputs[2].clone());
        let mut along = vec![None; inputs.len()];
        along[2] = Some(direction);
        let slopes = jvp_into(&mut probe, f, &inputs, &along).1.into_iter().flatten().collect();
        let affine = !reads(&probe.finish(slopes), 2);
        let out = match affine {
            true => slope(&mut b, &still),
            false => {
                let (whole, part) = (b.inline(f, &args)[0], b.inline(f, &still)[0]);
                b.sub(whole, part)
            }
        };
        b.finish(vec![out])
    }

    /// Conditions on the flux replace it at the boundary.
    fn prescribed(&self, b: &mut Builder, line: Line, flux: &mut [Value], inputs: &Inputs) {
        if line.periodic {
            return;
        }
        for high in [false, true] {
            for (k, given) in self.sides.fluxes(b, self, line, high, inputs).into_iter().enumerate() {
                if let Some(outward) = given {
                    let f = if high { outward } else { b.neg(outward) };
                    flux[k] = line.replaced(b, flux[k], high, f);
                }
            }
        }
    }

    fn courant(&self, captured: &[Type]) -> Func {
        let d = self.balance.dimension;
        let mut b = Builder::new("Courant number");
        let inputs = self.inputs(&mut b, captured);
        let x = self.coordinates(&mut b, &self.mesh.cells, &vec![0.5; d]);
        let args: Vec<Vec<Value>> =
            [inputs.u, x].into_iter().chain(inputs.data).chain(inputs.shared.iter().cloned()).collect();
        let mut sum = b.scalar(0.0);
        for axis in 0..d {
            let speeds = riemann::speeds(&riemann::convection(self.balance, axis), self.balance.components);
            let found = over_points(&mut b, &speeds, &args);
            let [low, high] = [0, 1].map(|k| b.unary(Unary::Abs, found[k][0]));
            let fastest = b.binary(Binary::Max, low, high);
            let rate = b.scale(fastest, 1.0 / self.spacing(axis));
            sum = b.add(sum, rate);
        }
        let out = spread(&mut b, sum, &self.mesh.cells);
        b.finish(vec![out])
    }

    /// Fields known at the centres, at the faces: means of neighbours; at a boundary the cell's own.
    fn data_at_faces(&self, b: &mut Builder, line: Line, inputs: &Inputs) -> Vec<Vec<Value>> {
        let mut at_face = |v: Value| {
            let extended = line.extend(b, v, 1, [Ghost::Constant; 2]);
            mean(b, line, extended)
        };
        inputs.data.iter().map(|item| item.iter().map(|&v| at_face(v)).collect()).collect()
    }

    fn line(&self, axis: usize) -> Line {
        Line { axis, cells: self.mesh.cells[axis], periodic: self.mesh.periodic[axis] }
    }

    fn spacing(&self, axis: usize) -> f64 {
        self.mesh.extent[axis] / self.mesh.cells[axis] as f64
    }

    fn face_shape(&self, line: Line) -> Vec<usize> {
        let mut shape = self.mesh.cells.clone();
        shape[line.axis] = line.faces();
        shape
    }

    fn face_coordinates(&self, b: &mut Builder, line: Line) -> Vec<Value> {
        let mut first = vec![0.5; self.balance.dimension];
        first[line.axis] = if line.periodic { 1.0 } else { 0.0 };
        self.coordinates(b, &self.face_shape(line), &first)
    }

    /// Coordinates over an array whose first entry lies `first` spacings from the origin along each axis.
    fn coordinates(&self, b: &mut Builder, shape: &[usize], first: &[f64]) -> Vec<Value> {
        (0..shape.len())
            .map(|axis| {
                let i = b.op(Op::Iota { dtype: DType::F64, shape: shape.to_vec(), axis }, &[]);
                let h = self.spacing(axis);
                let step = b.scale(i, h);
                let start = b.scalar(self.mesh.origin[axis] + first[axis] * h);
                b.add(step, start)
            })
            .collect()
    }
}

/// The output of a function at each point, component by component, as the body of a `Map`: what is shared inside a long function stays so.
fn item_by_item(b: &mut Builder, f: &Func, args: &[Vec<Value>], shape: &[usize]) -> Vec<Value> {
    let points: usize = shape.iter().product();
    let mut mapped = vec![];
    let mut values = vec![];
    for (components, ty) in args.iter().zip(&f.inputs) {
        let varies = components.iter().any(|&v| !b.ty(v).is_scalar());
        let columns: Vec<Value> = (components.iter())
            .map(|&v| match varies {
                true => {
                    let all = spread(b, v, shape);
                    b.reshape(all, &[points])
                }
                false => v,
            })
            .collect();
        let all = b.stack(&columns, varies as usize);
        let item = if varies { [&[points], &ty.shape[..]].concat() } else { ty.shape.clone() };
        values.push(b.reshape(all, &item));
        mapped.push(varies);
    }
    let out = b.map(Arc::new(f.clone()), points, mapped, &values)[0];
    let c = b.ty(out).shape[1];
    (0..c)
        .map(|k| {
            let column = b.index(out, 1, k);
            b.reshape(column, shape)
        })
        .collect()
}

/// The jump across each face.
fn jump(b: &mut Builder, line: Line, extended: Value) -> Value {
    let (l, r) = (line.beside(b, extended, 1, 0), line.beside(b, extended, 1, 1));
    b.sub(r, l)
}

/// The mean of the cells beside each face.
fn mean(b: &mut Builder, line: Line, extended: Value) -> Value {
    let (l, r) = (line.beside(b, extended, 1, 0), line.beside(b, extended, 1, 1));
    let sum = b.add(l, r);
    b.scale(sum, 0.5)
}

/// A number as an array; an array as itself.
fn spread(b: &mut Builder, v: Value, shape: &[usize]) -> Value {
    if b.ty(v).is_scalar() { b.broadcast_to(v, shape) } else { v }
}

#[cfg(test)]
mod tests;
