//! Fourier collocation: in spectral space a system reads `dẑ/dt = L ẑ + N(ẑ)`, where L multiplies each mode of each unknown by a
//! number of its own and N goes through the points.
//!
//! Unknowns without a rate are eliminated mode by mode where their equations give them linearly (a stream function, a chemical
//! potential). Where one equation holds none of them, it constrains the others, and the last unknown is the multiplier that keeps
//! it: a pressure [Canuto, Hussaini, Quarteroni & Zang 2007, §3.1].

use super::modes::{Modes, Symbol};
use super::spectra::{Spectra, reaches, restricted};
use super::terms::{Argument, Terms, over_points};
use super::{check, inputs, point_arrays};
use crate::discretize::{Balance, Mesh, Refusal};
use crate::ir::build::drop_dead;
use crate::ir::{Builder, Func, Type, Value};
use std::collections::{BTreeMap, HashMap};

/// What is done about products that the grid does not carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dealias {
    None,
    /// Modes above two thirds of the highest are left out of products. [Orszag 1971]
    TwoThirds,
    /// Products are taken at three halves as many points. [Patterson & Orszag 1971]
    ThreeHalves,
}

/// A system in spectral space. s: unknowns with a rate; state `ẑ[s, 2, modes…]`.
pub struct Semilinear {
    /// `(ẑ, data[points, …]…, shared…, capacity?) → N(ẑ)`
    pub nonlinear: Func,
    /// `(shared…) → (Re L[s, modes…], Im L)`, the second where there is one.
    pub linear: Func,
    /// `(ẑ, data…, shared…) → ([c, cells…], [c, d, cells…])`: every unknown and its gradient at the cells.
    pub complete: Func,
    /// Points along each axis where data are read.
    pub points: Vec<usize>,
    /// Of the modes, along each axis.
    pub modes: Vec<usize>,
}

/// What a system is besides its balance.
pub struct Structure<'a> {
    /// Which components have a rate.
    pub stored: &'a [bool],
    /// Which shared numbers are the same at all times.
    pub fixed: &'a [bool],
    /// `N` gets the factors before the rates as one more argument, `[points, s]`, and nothing is linear.
    pub capacity: bool,
}

/// Errors: a bounded domain; unknowns without a rate that their equations do not give linearly.
pub fn semilinear(
    balance: &Balance,
    mesh: &Mesh,
    structure: &Structure,
    dealias: Dealias,
) -> Result<Semilinear, Refusal> {
    check(balance)?;
    if mesh.periodic.contains(&false) {
        return Err(Refusal::new("discretize.grid", "trigonometric functions need a periodic domain")
            .help("use `fd`, `fv` or `fem` on domains with boundaries"));
    }
    let points = match dealias {
        Dealias::ThreeHalves => mesh.cells.iter().map(|n| (3 * n).div_ceil(2)).collect(),
        _ => mesh.cells.clone(),
    };
    let modes = Modes { mesh, points };
    let law = Law { balance, modes, structure, dealias };
    let shape = law.modes.shape();
    let nonlinear = law.function("nonlinear", structure.capacity, |law, b, args| {
        let mut made = law.assembled(b, args)?;
        if let Some(capacity) = args.capacity {
            law.divide(b, &mut made.nonlinear, capacity);
        }
        Ok(vec![b.stack(&made.nonlinear, 0)])
    })?;
    let linear = law.function("linear", false, |law, b, args| {
        let made = law.assembled(b, args)?;
        let zero = b.zeros(&Type::f64(shape.clone()));
        let re: Vec<Value> = made.linear.iter().map(|s| s.re.unwrap_or(zero)).collect();
        let mut out = vec![b.stack(&re, 0)];
        if made.linear.iter().any(|s| s.im.is_some()) {
            let im: Vec<Value> = made.linear.iter().map(|s| s.im.unwrap_or(zero)).collect();
            out.push(b.stack(&im, 0));
        }
        Ok(out)
    })?;
    let complete = law.function("complete", false, |law, b, args| {
        let made = law.assembled(b, args)?;
        let all: Vec<Value> = made.spectra.iter().map(|&z| law.modes.at_cells(b, z)).collect();
        let mut slopes = vec![];
        for &z in &made.spectra {
            let of_axes: Vec<Value> = (0..mesh.dimension())
                .map(|axis| {
                    let slope = law.modes.derivative(b, &[axis]).apply(b, z).expect("compiler bug: no derivative");
                    law.modes.at_cells(b, slope)
                })
                .collect();
            slopes.push(b.stack(&of_axes, 0));
        }
        Ok(vec![b.stack(&all, 0), b.stack(&slopes, 0)])
    })?;
    Ok(Semilinear {
        nonlinear,
        linear: of_shared(&linear, balance),
        complete,
        points: law.modes.points.clone(),
        modes: law.modes.shape(),
    })
}

/// `u[c, n…] → ∇u [c, d, n…]` of the series through the values at the points.
pub fn fourier_slopes(components: usize, mesh: &Mesh) -> Func {
    let modes = Modes { mesh, points: mesh.cells.clone() };
    let mut b = Builder::new("slopes");
    let u = b.input(Type::f64([&[components], &mesh.cells[..]].concat()));
    let all: Vec<Value> = (0..components)
        .map(|k| {
            let v = b.index(u, 0, k);
            let z = modes.forward(&mut b, v);
            let of_axes: Vec<Value> = (0..mesh.dimension())
                .map(|axis| {
                    let slope =
                        modes.derivative(&mut b, &[axis]).apply(&mut b, z).expect("compiler bug: no derivative");
                    modes.at_cells(&mut b, slope)
                })
                .collect();
            b.stack(&of_axes, 0)
        })
        .collect();
    let out = b.stack(&all, 0);
    b.finish(vec![out])
}

/// `L` reads nothing but shared numbers: the function of them alone.
fn of_shared(linear: &Func, balance: &Balance) -> Func {
    let linear = drop_dead(linear.clone());
    let others = linear.inputs.len() - balance.shared.len();
    let mut b = Builder::new("linear");
    let mut args: Vec<Value> = linear.inputs[..others].iter().map(|t| b.zeros(t)).collect();
    args.extend(balance.shared.iter().map(|t| b.input(t.clone())));
    let out = b.inline(&linear, &args);
    b.finish(out)
}

struct Law<'a> {
    balance: &'a Balance,
    modes: Modes<'a>,
    structure: &'a Structure<'a>,
    dealias: Dealias,
}

/// The arguments of a function under construction.
struct Arguments {
    /// Of the unknowns with a rate.
    states: Vec<Value>,
    data: Vec<Vec<Value>>,
    shared: Vec<Vec<Value>>,
    capacity: Option<Value>,
}

/// A row of the system: a linear combination of spectra and a spectrum of its own.
#[derive(Clone, Default)]
struct Row {
    /// By component.
    linear: BTreeMap<usize, Symbol>,
    rest: Option<Value>,
}

struct Assembled {
    linear: Vec<Symbol>,
    nonlinear: Vec<Value>,
    /// Of all unknowns.
    spectra: Vec<Value>,
}

impl Law<'_> {
    fn function(
        &self,
        name: &str,
        capacity: bool,
        build: impl FnOnce(&Self, &mut Builder, &Arguments) -> Result<Vec<Value>, Refusal>,
    ) -> Result<Func, Refusal> {
        let mut b = Builder::new(name);
        let stored = self.structure.stored.iter().filter(|s| **s).count();
        let z = b.input(Type::f64([vec![stored, 2], self.modes.shape()].concat()));
        let states = (0..stored).map(|k| b.index(z, 0, k)).collect();
        let (data, shared) = point_arrays(&mut b, self.balance, &self.modes.points);
        let points: usize = self.modes.points.iter().product();
        let capacity = capacity.then(|| b.input(Type::f64([points, stored])));
        let out = build(self, &mut b, &Arguments { states, data, shared, capacity })?;
        Ok(b.finish(out))
    }

    /// Components with a rate, and those without.
    fn components(&self, stored: bool) -> Vec<usize> {
        (0..self.balance.components).filter(|&k| self.structure.stored[k] == stored).collect()
    }

    fn assembled(&self, b: &mut Builder, args: &Arguments) -> Result<Assembled, Refusal> {
        let (stored, algebraic) = (self.components(true), self.components(false));
        let mut spectra: BTreeMap<usize, Value> = stored.iter().copied().zip(args.states.iter().copied()).collect();
        let keep = !self.structure.capacity;
        // Unknowns without a rate as rows over those with one.
        let mut solved: BTreeMap<usize, Row> = BTreeMap::new();
        let mut constraint = None;
        if !algebraic.is_empty() {
            let rows = self.rows(b, &algebraic, args, &spectra, true)?;
            let (given, free): (Vec<_>, Vec<_>) =
                algebraic.iter().zip(rows).partition(|(_, row)| algebraic.iter().any(|j| row.linear.contains_key(j)));
            match &free[..] {
                [] => {}
                [(_, row)] if row.rest.is_none() => constraint = Some(row.clone()),
                _ => return Err(self.not_given(algebraic[0])),
            }
            let pressure = match &constraint {
                // The unknown that no remaining equation gives.
                Some(_) => Some(self.multiplier(&algebraic, &given)?),
                None => None,
            };
            let sought: Vec<usize> = algebraic.iter().copied().filter(|k| Some(*k) != pressure).collect();
            solved = self.eliminated(b, &sought, given.into_iter().map(|(_, r)| r).collect())?;
            for (k, row) in &solved {
                let z = self.sum(b, row, &spectra);
                spectra.insert(*k, z);
            }
            constraint = constraint.map(|mut row| {
                self.substitute(b, &mut row, &solved);
                row
            });
            if let Some(k) = pressure {
                return self.constrained(
                    b,
                    args,
                    spectra,
                    &solved,
                    (k, constraint.expect("compiler bug: no constraint")),
                );
            }
        }
        let mut rows = self.rows(b, &stored, args, &spectra, keep)?;
        rows.iter_mut().for_each(|row| self.substitute(b, row, &solved));
        let linear = stored.iter().zip(&mut rows).map(|(k, row)| self.rate(b, row, *k)).collect();
        let nonlinear = rows.iter().map(|row| self.sum(b, row, &spectra)).collect();
        let spectra = (0..self.balance.components).map(|k| spectra[&k]).collect();
        Ok(Assembled { linear, nonlinear, spectra })
    }

    /// A system with a multiplier p that keeps a constraint: `C dẑ/dt = 0` gives `p = -C(Lẑ + N) / (C P)`.
    fn constrained(
        &self,
        b: &mut Builder,
        args: &Arguments,
        mut spectra: BTreeMap<usize, Value>,
        solved: &BTreeMap<usize, Row>,
        (p, constraint): (usize, Row),
    ) -> Result<Assembled, Refusal> {
        let stored = self.components(true);
        let mut rows = self.rows(b, &stored, args, &spectra, true)?;
        rows.iter_mut().for_each(|row| self.substitute(b, row, solved));
        let pushes: Vec<Symbol> =
            rows.iter_mut().map(|row| row.linear.remove(&p).unwrap_or_default().negated(b)).collect();
        let linear: Vec<Symbol> = stored.iter().zip(&mut rows).map(|(k, row)| self.rate(b, row, *k)).collect();
        let mut nonlinear: Vec<Value> = rows.iter().map(|row| self.sum(b, row, &spectra)).collect();
        let weights: Vec<Symbol> =
            stored.iter().map(|k| constraint.linear.get(k).copied().unwrap_or_default()).collect();
        // The same L for all unknowns keeps what is constrained; else its part is taken in too.
        let uniform = linear.windows(2).all(|w| w[0] == w[1]);
        let mut against: Option<Value> = None;
        let mut strength = Symbol::default();
        for (i, weight) in weights.iter().enumerate() {
            let mut force = nonlinear[i];
            if !uniform && let Some(l) = linear[i].apply(b, args.states[i]) {
                force = b.add(force, l);
            }
            if let Some(term) = weight.apply(b, force) {
                against = Some(match against {
                    Some(sum) => b.add(sum, term),
                    None => term,
                });
            }
            let push = weight.times(b, pushes[i]);
            strength = strength.plus(b, push);
        }
        if strength.is_zero() {
            return Err(self.not_given(p));
        }
        let inverse = strength.inverse(b).negated(b);
        let zero = b.zeros_like(args.states[0]);
        let multiplier = against.and_then(|v| inverse.apply(b, v)).unwrap_or(zero);
        for (force, push) in nonlinear.iter_mut().zip(&pushes) {
            if let Some(term) = push.apply(b, multiplier) {
                *force = b.add(*force, term);
            }
        }
        spectra.insert(p, multiplier);
        let spectra = (0..self.balance.components).map(|k| spectra[&k]).collect();
        Ok(Assembled { linear, nonlinear, spectra })
    }

    fn multiplier(&self, algebraic: &[usize], given: &[(&usize, Row)]) -> Result<usize, Refusal> {
        let free: Vec<usize> =
            algebraic.iter().copied().filter(|k| !given.iter().any(|(_, row)| row.linear.contains_key(k))).collect();
        match free[..] {
            [k] => Ok(k),
            _ => Err(self.not_given(algebraic[0])),
        }
    }

    /// The equations of these components: `∇·flux + source`.
    fn rows(
        &self,
        b: &mut Builder,
        components: &[usize],
        args: &Arguments,
        spectra: &BTreeMap<usize, Value>,
        keep: bool,
    ) -> Result<Vec<Row>, Refusal> {
        let d = self.balance.dimension;
        let law = restricted(&self.balance.interior, components);
        let mut reader = Spectra { modes: &self.modes, spectra, keep, arrays: HashMap::new(), missing: None };
        let mut list = vec![Argument::Values((0..d).map(|a| self.coordinate(b, a)).collect())];
        list.extend((0..=self.balance.order).map(|r| Argument::Inputs(inputs(self.balance.components, d, r))));
        list.extend(args.data.iter().cloned().map(Argument::Values));
        for (values, fixed) in args.shared.iter().zip(self.structure.fixed) {
            list.push(if *fixed { Argument::Fixed(values.clone()) } else { Argument::Values(values.clone()) });
        }
        let out = over_points(b, &law, &list, &mut reader);
        let missing = reader.missing;
        (0..components.len())
            .map(|i| {
                let mut row = Row::default();
                let parts = (0..d).map(|a| (Some(a), &out[0][i * d + a])).chain([(None, &out[1][i])]);
                for (axis, terms) in parts {
                    self.add(b, &mut row, axis, terms);
                }
                if let (Some((k, array)), Some(rest)) = (missing, row.rest)
                    && reaches(b.func(), rest, array)
                {
                    return Err(self.not_given(k));
                }
                if self.dealias == Dealias::TwoThirds {
                    row.rest = row.rest.map(|z| self.modes.truncated(b, z));
                }
                Ok(row)
            })
            .collect()
    }

    /// Adds `∂_axis terms`, or the terms themselves.
    fn add(&self, b: &mut Builder, row: &mut Row, axis: Option<usize>, terms: &Terms) {
        for (input, coefficient) in &terms.linear {
            let mut axes = input.axes.clone();
            axes.extend(axis);
            let symbol = self.modes.derivative(b, &axes).scaled(b, *coefficient);
            let before = row.linear.get(&input.component).copied().unwrap_or_default();
            let sum = before.plus(b, symbol);
            row.linear.insert(input.component, sum);
        }
        let Some(rest) = terms.rest.filter(|r| b.splat(*r) != Some(0.0)) else { return };
        // The same everywhere: its derivative vanishes.
        if axis.is_some() && b.ty(rest).is_scalar() {
            return;
        }
        let rest = if b.ty(rest).is_scalar() { b.broadcast_to(rest, &self.modes.points) } else { rest };
        let z = self.modes.forward(b, rest);
        let z = match axis {
            Some(axis) => self.modes.derivative(b, &[axis]).apply(b, z).expect("compiler bug: a derivative of nothing"),
            None => z,
        };
        row.rest = Some(match row.rest {
            Some(sum) => b.add(sum, z),
            None => z,
        });
    }

    /// Unknowns without a rate are replaced by what they are.
    fn substitute(&self, b: &mut Builder, row: &mut Row, solved: &BTreeMap<usize, Row>) {
        for (k, value) in solved {
            let Some(factor) = row.linear.remove(k) else { continue };
            for (j, symbol) in &value.linear {
                let term = factor.times(b, *symbol);
                let before = row.linear.get(j).copied().unwrap_or_default();
                let sum = before.plus(b, term);
                row.linear.insert(*j, sum);
            }
            let term = value.rest.and_then(|z| factor.apply(b, z));
            row.rest = match (row.rest, term) {
                (Some(x), Some(y)) => Some(b.add(x, y)),
                (x, y) => x.or(y),
            };
        }
    }

    /// Turns `∇·flux + source` into a rate, and takes the part that multiplies the unknown itself out of it.
    fn rate(&self, b: &mut Builder, row: &mut Row, k: usize) -> Symbol {
        row.rest = row.rest.map(|z| b.neg(z));
        row.linear = std::mem::take(&mut row.linear).into_iter().map(|(j, s)| (j, s.negated(b))).collect();
        row.linear.remove(&k).unwrap_or_default()
    }

    fn sum(&self, b: &mut Builder, row: &Row, spectra: &BTreeMap<usize, Value>) -> Value {
        let mut sum = row.rest;
        for (k, symbol) in &row.linear {
            let Some(term) = spectra.get(k).and_then(|z| symbol.apply(b, *z)) else { continue };
            sum = Some(match sum {
                Some(sum) => b.add(sum, term),
                None => term,
            });
        }
        sum.unwrap_or_else(|| b.zeros(&Type::f64([vec![2], self.modes.shape()].concat())))
    }

    /// Gauss elimination, mode by mode: each of the sought unknowns as a row over the others. Where a pivot is zero (the mean of a
    /// stream function) the unknown is zero.
    fn eliminated(
        &self,
        b: &mut Builder,
        sought: &[usize],
        mut rows: Vec<Row>,
    ) -> Result<BTreeMap<usize, Row>, Refusal> {
        let mut order: Vec<usize> = vec![];
        for &k in sought {
            let pivot = (0..rows.len())
                .filter(|i| !order.contains(i))
                .find(|&i| rows[i].linear.get(&k).is_some_and(|s| !s.is_zero()));
            let Some(pivot) = pivot else { return Err(self.not_given(k)) };
            let diagonal = rows[pivot].linear.remove(&k).expect("compiler bug: a pivot");
            let factor = diagonal.inverse(b).negated(b);
            let mut value = Row::default();
            for (j, s) in std::mem::take(&mut rows[pivot].linear) {
                value.linear.insert(j, s.times(b, factor));
            }
            value.rest = rows[pivot].rest.and_then(|z| factor.apply(b, z));
            for (i, row) in rows.iter_mut().enumerate() {
                if i != pivot {
                    self.substitute(b, row, &BTreeMap::from([(k, value.clone())]));
                }
            }
            rows[pivot] = value;
            order.push(pivot);
        }
        Ok(sought.iter().zip(order).map(|(k, i)| (*k, rows[i].clone())).collect())
    }

    /// Rates over the factors before them, at the points.
    fn divide(&self, b: &mut Builder, rates: &mut [Value], capacity: Value) {
        for (k, rate) in rates.iter_mut().enumerate() {
            let factor = b.index(capacity, 1, k);
            let factor = b.reshape(factor, &self.modes.points);
            let at_points = self.modes.backward(b, *rate);
            let divided = b.div(at_points, factor);
            *rate = self.modes.forward(b, divided);
        }
    }

    fn coordinate(&self, b: &mut Builder, axis: usize) -> Value {
        // The first point is that of the mesh, however many there are: modes keep their phase.
        let (n, points) = (self.modes.mesh.cells[axis] as f64, self.modes.points[axis] as f64);
        super::coordinate(b, self.modes.mesh, &self.modes.points, axis, 0.5 * (points / n - 1.0))
    }

    fn not_given(&self, component: usize) -> Refusal {
        let _ = component;
        Refusal::new(
            "discretize.algebraic",
            format!("an unknown of `{}` has no rate, and no equation of its own gives it linearly", self.balance.name),
        )
        .help("`spectral` solves equations without `∂t` mode by mode: let them be linear, with constant coefficients, in the unknowns without `∂t`")
    }
}
