//! Differences on staggered grids: each component at its own place, first derivatives from the values on both sides.
//!
//! Every term of an equation is evaluated where its component stands. What stands elsewhere is read there by an interpolation of the
//! order of the differences; along periodic axes order 2, 4, 6 or 8, between walls order 2.

use super::central::{apply, part_of};
use super::places::Places;
use super::stencil::{self, Stencil};
use super::terms::{Argument, Input, Reader, whole_over_points};
use super::walls::{Kind, conditions};
use super::{check, data_input, inputs, shared_inputs, spread};
use crate::discretize::{Balance, Mesh, Refusal, Side};
use crate::ir::build::drop_dead;
use crate::ir::{Builder, DType, Func, Op, Type, Value};
use std::collections::HashMap;

/// `(u[c, n…], data…[N, …] at the centres, shared…) → -(∇·flux) - source [c, n…]`, each component at its place.
///
/// Errors: an order that is not offered, too few points for it, an equation whose pointwise part holds solves or loops.
pub fn rates(balance: &Balance, mesh: &Mesh, order: usize, places: &Places) -> Result<Func, Refusal> {
    let (mut b, mut law) = Law::new("rates", balance, mesh, order, places)?;
    law.read_walls(&mut b)?;
    let rates: Vec<Value> = (0..balance.components).map(|k| law.rate(&mut b, k)).collect();
    let out = b.stack(&rates, 0);
    Ok(b.finish(vec![out]))
}

/// The same arguments `→ u[c, n…]` at the centres of cells. Errors as for [`rates`].
pub fn centred(balance: &Balance, mesh: &Mesh, order: usize, places: &Places) -> Result<Func, Refusal> {
    let (mut b, mut law) = Law::new("centred", balance, mesh, order, places)?;
    law.read_walls(&mut b)?;
    let centre = vec![false; mesh.dimension()];
    let all: Vec<Value> = (0..balance.components)
        .map(|component| law.input(&mut b, &Input { component, axes: vec![] }, &centre))
        .collect();
    let out = b.stack(&all, 0);
    Ok(b.finish(vec![out]))
}

/// The pointwise law and what it reads. Along walls that a place lies on, arrays hold both of them: one more than there are cells.
struct Law<'a> {
    balance: &'a Balance,
    mesh: &'a Mesh,
    order: usize,
    places: &'a Places,
    u: Vec<Value>,
    /// At the centres.
    data: Vec<Vec<Value>>,
    shared: Vec<Vec<Value>>,
    /// Values given at walls.
    walls: HashMap<(Side, usize), Value>,
}

impl<'a> Law<'a> {
    fn new(
        name: &str,
        balance: &'a Balance,
        mesh: &'a Mesh,
        order: usize,
        places: &'a Places,
    ) -> Result<(Builder, Law<'a>), Refusal> {
        check(balance)?;
        if ![2, 4, 6, 8].contains(&order) {
            let message = format!("there are no staggered differences of order {order}");
            return Err(Refusal::new("discretize.grid", message).help("choose 2, 4, 6 or 8"));
        }
        if order > 2 && mesh.periodic.contains(&false) {
            let message = format!("staggered differences of order {order} need a periodic domain");
            return Err(Refusal::new("discretize.grid", message).help("choose order 2 on domains with walls"));
        }
        if let Some(n) = mesh.cells.iter().find(|&&n| n < order + balance.order) {
            return Err(Refusal::new("discretize.grid", format!("{n} points are too few for order {order}"))
                .help("choose a larger `n` or a lower order"));
        }
        let mut b = Builder::new(name);
        let u = b.input(Type::f64([&[balance.components], &mesh.cells[..]].concat()));
        let data = balance.point_data.iter().map(|ty| data_input(&mut b, ty, &mesh.cells)).collect();
        let shared = shared_inputs(&mut b, balance);
        let u = (0..balance.components).map(|k| b.index(u, 0, k)).collect();
        Ok((b, Law { balance, mesh, order, places, u, data, shared, walls: HashMap::new() }))
    }

    fn read_walls(&mut self, b: &mut Builder) -> Result<(), Refusal> {
        for side in self.mesh.sides() {
            for (k, condition) in conditions(self.balance, self.mesh, side)?.into_iter().enumerate() {
                let Some(Kind::Value(f)) = condition.map(|c| c.kind) else { continue };
                let place = &self.places.of[k];
                let mut shape = self.shape(place);
                shape[side.axis] = 1;
                let x = (0..self.mesh.dimension()).map(|a| {
                    let wall = side.high as usize as f64 * self.mesh.cells[a] as f64;
                    let first = if a == side.axis { wall } else { self.first(place, a) };
                    self.along_axis(b, &shape, a, first)
                });
                let mut args = vec![Argument::Values(x.collect())];
                args.extend(self.shared.iter().cloned().map(Argument::Values));
                let value =
                    whole_over_points(b, f, &args, &mut At { law: self, place: vec![], arrays: HashMap::new() });
                let value = value[0][0].unwrap_or_else(|| b.scalar(0.0));
                let value = spread(b, value, &shape);
                self.walls.insert((side, k), value);
            }
        }
        Ok(())
    }

    fn rate(&self, b: &mut Builder, k: usize) -> Value {
        let own = self.places.of[k].clone();
        let source = self.term(b, k, None, &own);
        let mut rate = b.neg(source);
        for axis in 0..self.mesh.dimension() {
            let mut beside = own.clone();
            beside[axis] = !own[axis];
            let flux = self.term(b, k, Some(axis), &beside);
            if b.splat(flux) == Some(0.0) {
                continue;
            }
            let div = self.moved(b, flux, axis, (beside[axis], own[axis]), 1);
            rate = b.sub(rate, div);
        }
        // What is given at walls stays.
        (0..self.mesh.dimension()).filter(|&a| own[a] && !self.mesh.periodic[a]).fold(rate, |rate, axis| {
            let inner = b.slice(rate, axis, 1, self.mesh.cells[axis]);
            let mut shape = b.ty(rate).shape.clone();
            shape[axis] = 1;
            let wall = b.zeros(&Type::f64(shape));
            b.concat(&[inner, wall], axis)
        })
    }

    /// The source of an equation, or its flux along an axis, at a place.
    fn term(&self, b: &mut Builder, k: usize, flux: Option<usize>, place: &[bool]) -> Value {
        let (c, d) = (self.balance.components, self.balance.dimension);
        let all = part_of(&self.balance.interior, if flux.is_some() { 0 } else { 1 }, flux, d);
        let law = row_of(&all, k);
        let shape = self.shape(place);
        let x = (0..d).map(|a| self.along_axis(b, &shape, a, self.first(place, a))).collect();
        let mut args = vec![Argument::Values(x)];
        args.extend((0..=self.balance.order).map(|r| Argument::Inputs(inputs(c, d, r))));
        for item in &self.data {
            let there = item.iter().map(|&v| {
                place
                    .iter()
                    .enumerate()
                    .filter(|(_, to)| **to)
                    .fold(v, |v, (a, _)| self.moved(b, v, a, (false, true), 0))
            });
            args.push(Argument::Values(there.collect()));
        }
        args.extend(self.shared.iter().cloned().map(Argument::Values));
        let mut at = At { law: self, place: place.to_vec(), arrays: HashMap::new() };
        let value = whole_over_points(b, &law, &args, &mut at)[0][0];
        let value = value.unwrap_or_else(|| b.scalar(0.0));
        spread(b, value, &shape)
    }

    /// A derivative of an unknown at a place.
    fn input(&self, b: &mut Builder, input: &Input, place: &[bool]) -> Value {
        let from = &self.places.of[input.component];
        let mut v = self.whole(b, input.component);
        for axis in 0..self.mesh.dimension() {
            let m = input.axes.iter().filter(|&&a| a == axis).count();
            if m > 0 || from[axis] != place[axis] {
                v = self.moved(b, v, axis, (from[axis], place[axis]), m);
            }
        }
        v
    }

    /// A component with its values at walls.
    fn whole(&self, b: &mut Builder, k: usize) -> Value {
        let walled: Vec<usize> =
            (0..self.mesh.dimension()).filter(|&a| self.places.of[k][a] && !self.mesh.periodic[a]).collect();
        walled.iter().enumerate().fold(self.u[k], |v, (done, &axis)| {
            // Walls that are still to come are not yet there.
            let [low, high] = [false, true].map(|high| {
                let wall = self.walls[&(Side { axis, high }, k)];
                walled[done + 1..].iter().fold(wall, |w, &a| b.slice(w, a, 1, self.mesh.cells[a] + 1))
            });
            let inner = b.slice(v, axis, 0, self.mesh.cells[axis] - 1);
            b.concat(&[low, inner, high], axis)
        })
    }

    /// The m-th derivative along an axis, from one place to another.
    fn moved(&self, b: &mut Builder, v: Value, axis: usize, (from, to): (bool, bool), m: usize) -> Value {
        let h = self.mesh.extent[axis] / self.mesh.cells[axis] as f64;
        let stencil = match (from, to) {
            (false, true) => stencil::to_faces(self.order, m, h),
            (true, false) => stencil::to_faces(self.order, m, h).into_iter().map(|(k, w)| (k - 1, w)).collect(),
            _ => stencil::central(self.order, m, h),
        };
        match self.mesh.periodic[axis] {
            true => apply(b, &stencil, v, axis),
            false => self.between_walls(b, &stencil, v, axis, (from, to), m),
        }
    }

    /// The same between walls, of order 2. At the walls themselves derivatives are those beside them: what is given there has no rate.
    fn between_walls(
        &self,
        b: &mut Builder,
        stencil: &Stencil,
        v: Value,
        axis: usize,
        (from, to): (bool, bool),
        m: usize,
    ) -> Value {
        let n = b.ty(v).shape[axis];
        let weights: Vec<f64> = stencil.iter().map(|s| s.1).collect();
        let valid = n + 1 - weights.len();
        let mut sum: Option<Value> = None;
        for (k, w) in weights.into_iter().enumerate() {
            let part = b.slice(v, axis, k, k + valid);
            let term = b.scale(part, w);
            sum = Some(match sum {
                Some(sum) => b.add(sum, term),
                None => term,
            });
        }
        let inner = sum.expect("compiler bug: an empty stencil");
        if from && !to {
            return inner;
        }
        let [low, high] = [[0, 1], [n - 1, n - 2]].map(|[first, second]| {
            if m > 0 || from {
                let at = if first == 0 { 0 } else { valid - 1 };
                return b.slice(inner, axis, at, at + 1);
            }
            let (first, second) = (b.slice(v, axis, first, first + 1), b.slice(v, axis, second, second + 1));
            let (near, far) = (b.scale(first, 1.5), b.scale(second, -0.5));
            b.add(near, far)
        });
        b.concat(&[low, inner, high], axis)
    }

    fn shape(&self, place: &[bool]) -> Vec<usize> {
        let walled = |a: usize| place[a] && !self.mesh.periodic[a];
        self.mesh.cells.iter().enumerate().map(|(a, n)| n + walled(a) as usize).collect()
    }

    /// Where the first point of a place lies along an axis, in cells.
    fn first(&self, place: &[bool], axis: usize) -> f64 {
        match (place[axis], self.mesh.periodic[axis]) {
            (false, _) => 0.5,
            (true, true) => 1.0,
            (true, false) => 0.0,
        }
    }

    fn along_axis(&self, b: &mut Builder, shape: &[usize], axis: usize, first: f64) -> Value {
        let h = self.mesh.extent[axis] / self.mesh.cells[axis] as f64;
        let i = b.op(Op::Iota { dtype: DType::F64, shape: shape.to_vec(), axis }, &[]);
        let first = b.scalar(self.mesh.origin[axis] + first * h);
        let step = b.scale(i, h);
        b.add(step, first)
    }
}

/// Unknowns and derivatives at a place.
struct At<'a, 'b> {
    law: &'b Law<'a>,
    place: Vec<bool>,
    arrays: HashMap<Input, Value>,
}

impl Reader for At<'_, '_> {
    fn keeps(&self, _: &Input) -> bool {
        true
    }

    fn array(&mut self, b: &mut Builder, input: &Input) -> Value {
        if let Some(v) = self.arrays.get(input) {
            return *v;
        }
        let v = self.law.input(b, input, &self.place);
        self.arrays.insert(input.clone(), v);
        v
    }
}

/// One component of a function's output.
fn row_of(f: &Func, k: usize) -> Func {
    let mut b = Builder::new(f.name.clone());
    let args: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let v = b.inline(f, &args)[0];
    let v = b.index(v, 0, k);
    drop_dead(b.finish(vec![v]))
}
