//! A pointwise law over a whole grid, its linear terms kept apart: every component becomes
//! `Σ coefficient · input + rest`, where the inputs are the unknowns and their derivatives, the coefficients are the same
//! everywhere and at all times, and the rest is an array over the points.
//!
//! The array of an input is asked for only where something nonlinear, or a coefficient that varies, reads it: what enters linearly
//! costs no transform, and a scheme may treat it exactly or implicitly.

use crate::ir::components::{Scalars, write_out};
use crate::ir::{Binary, Builder, Compare, Func, Unary, Value};
use std::collections::BTreeMap;

/// A component of an unknown, differentiated along these axes (in ascending order).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Input {
    pub component: usize,
    pub axes: Vec<usize>,
}

/// `Σ coefficient · input + rest`
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Coefficients are scalars.
    pub linear: BTreeMap<Input, Value>,
    /// An array over the points or a scalar; none for zero.
    pub rest: Option<Value>,
    /// Nothing but a number, the same everywhere and always.
    fixed: bool,
}

/// What the arguments of a pointwise function are.
pub enum Argument {
    /// Unknowns and derivatives.
    Inputs(Vec<Input>),
    /// Arrays over the points, or numbers that change in time.
    Values(Vec<Value>),
    /// Numbers that are the same everywhere and always.
    Fixed(Vec<Value>),
}

/// Gives the arrays of inputs.
pub trait Reader {
    /// Whether terms of this input may stay linear.
    fn keeps(&self, input: &Input) -> bool;
    fn array(&mut self, b: &mut Builder, input: &Input) -> Value;
}

/// The outputs of a pointwise function, component by component.
pub fn over_points(b: &mut Builder, f: &Func, args: &[Argument], reader: &mut dyn Reader) -> Vec<Vec<Terms>> {
    let mut sheet = Sheet { b, reader, forms: vec![] };
    let ids: Vec<Vec<usize>> = args.iter().map(|a| sheet.argument(a)).collect();
    let out = write_out(&mut sheet, f, &ids);
    out.into_iter().map(|o| o.into_iter().map(|id| sheet.forms[id].clone()).collect()).collect()
}

/// The same with nothing kept apart; none for zero.
pub fn whole_over_points(
    b: &mut Builder,
    f: &Func,
    args: &[Argument],
    reader: &mut dyn Reader,
) -> Vec<Vec<Option<Value>>> {
    let mut sheet = Sheet { b, reader, forms: vec![] };
    let ids: Vec<Vec<usize>> = args.iter().map(|a| sheet.argument(a)).collect();
    let out = write_out(&mut sheet, f, &ids);
    let mut each = |id: usize| {
        let v = sheet.whole(id);
        (sheet.b.splat(v) != Some(0.0)).then_some(v)
    };
    out.into_iter().map(|o| o.into_iter().map(&mut each).collect()).collect()
}

struct Sheet<'a> {
    b: &'a mut Builder,
    reader: &'a mut dyn Reader,
    forms: Vec<Terms>,
}

impl Sheet<'_> {
    fn argument(&mut self, a: &Argument) -> Vec<usize> {
        match a {
            Argument::Inputs(inputs) => inputs
                .iter()
                .map(|i| {
                    if self.reader.keeps(i) {
                        let one = self.b.scalar(1.0);
                        return self.add(Terms { linear: [(i.clone(), one)].into(), ..Terms::default() });
                    }
                    let array = self.reader.array(self.b, i);
                    self.rest(array)
                })
                .collect(),
            Argument::Values(values) => values.iter().map(|&v| self.rest(v)).collect(),
            Argument::Fixed(values) => values.iter().map(|&v| self.number(v)).collect(),
        }
    }

    fn add(&mut self, t: Terms) -> usize {
        self.forms.push(t);
        self.forms.len() - 1
    }

    fn rest(&mut self, v: Value) -> usize {
        self.add(Terms { rest: Some(v), ..Terms::default() })
    }

    fn number(&mut self, v: Value) -> usize {
        let rest = (self.b.splat(v) != Some(0.0)).then_some(v);
        self.add(Terms { rest, fixed: true, ..Terms::default() })
    }

    /// Everything as one value.
    fn whole(&mut self, id: usize) -> Value {
        let form = self.forms[id].clone();
        let mut sum = form.rest;
        for (input, coefficient) in &form.linear {
            let array = self.reader.array(self.b, input);
            let term = self.b.mul(*coefficient, array);
            sum = Some(match sum {
                Some(sum) => self.b.add(sum, term),
                None => term,
            });
        }
        let whole = sum.unwrap_or_else(|| self.b.scalar(0.0));
        self.forms[id] = Terms { linear: BTreeMap::new(), rest: Some(whole), fixed: form.fixed };
        whole
    }

    fn scaled(&mut self, id: usize, by: Value, op: Binary) -> usize {
        let Terms { linear, rest, fixed } = self.forms[id].clone();
        let linear = linear.into_iter().map(|(i, c)| (i, self.b.binary(op, c, by))).collect();
        let rest = rest.map(|r| self.b.binary(op, r, by));
        self.add(Terms { linear, rest, fixed })
    }

    fn combined(&mut self, op: Binary, x: usize, y: usize) -> usize {
        let (x, y) = (self.forms[x].clone(), self.forms[y].clone());
        let join = |b: &mut Builder, x: Option<Value>, y: Option<Value>| match (x, y) {
            (x, None) => x,
            (None, Some(y)) => Some(if op == Binary::Sub { b.neg(y) } else { y }),
            (Some(x), Some(y)) => Some(b.binary(op, x, y)),
        };
        let rest = join(self.b, x.rest, y.rest);
        let mut linear = x.linear;
        for (input, c) in y.linear {
            let before = linear.get(&input).copied();
            let sum = join(self.b, before, Some(c)).expect("compiler bug: a sum of nothing");
            linear.insert(input, sum);
        }
        self.add(Terms { linear, rest, fixed: x.fixed && y.fixed })
    }

    fn is_zero(&self, id: usize) -> bool {
        let form = &self.forms[id];
        form.linear.is_empty() && form.rest.is_none_or(|r| self.b.splat(r) == Some(0.0))
    }

    /// Numbers beside arrays become arrays.
    fn level<const N: usize>(&mut self, values: [Value; N]) -> [Value; N] {
        let shape = values.iter().map(|&v| self.b.ty(v).shape.clone()).max_by_key(Vec::len).unwrap_or_default();
        values.map(|v| if self.b.ty(v).is_scalar() { self.b.broadcast_to(v, &shape) } else { v })
    }

    fn number_or_rest(&mut self, v: Value, fixed: bool) -> usize {
        if fixed { self.number(v) } else { self.rest(v) }
    }
}

impl Scalars for Sheet<'_> {
    type Id = usize;

    fn constant(&mut self, x: f64) -> usize {
        let v = self.b.scalar(x);
        self.number(v)
    }

    fn unary(&mut self, f: Unary, a: usize) -> usize {
        if f == Unary::Neg {
            let form = self.forms[a].clone();
            let linear = form.linear.into_iter().map(|(i, c)| (i, self.b.neg(c))).collect();
            let rest = form.rest.map(|r| self.b.neg(r));
            return self.add(Terms { linear, rest, fixed: form.fixed });
        }
        let fixed = self.forms[a].fixed;
        let v = self.whole(a);
        let v = self.b.unary(f, v);
        self.number_or_rest(v, fixed)
    }

    fn binary(&mut self, f: Binary, x: usize, y: usize) -> usize {
        match f {
            Binary::Add | Binary::Sub => return self.combined(f, x, y),
            Binary::Mul => return self.product(x, y),
            Binary::Div if self.forms[y].fixed => {
                let by = self.whole(y);
                return self.scaled(x, by, f);
            }
            _ => {}
        }
        let fixed = self.forms[x].fixed && self.forms[y].fixed;
        let (x, y) = (self.whole(x), self.whole(y));
        let v = self.b.binary(f, x, y);
        self.number_or_rest(v, fixed)
    }

    fn product(&mut self, x: usize, y: usize) -> usize {
        if self.is_zero(x) || self.is_zero(y) {
            return self.constant(0.0);
        }
        for (number, other) in [(x, y), (y, x)] {
            if self.forms[number].fixed {
                let by = self.whole(number);
                return self.scaled(other, by, Binary::Mul);
            }
        }
        let (x, y) = (self.whole(x), self.whole(y));
        let v = self.b.mul(x, y);
        self.rest(v)
    }

    fn sum(&mut self, x: usize, y: usize) -> usize {
        self.combined(Binary::Add, x, y)
    }

    fn compare(&mut self, c: Compare, x: usize, y: usize) -> usize {
        let fixed = self.forms[x].fixed && self.forms[y].fixed;
        let (x, y) = (self.whole(x), self.whole(y));
        let v = self.b.compare(c, x, y);
        self.number_or_rest(v, fixed)
    }

    fn select(&mut self, mask: usize, x: usize, y: usize) -> usize {
        let fixed = [mask, x, y].iter().all(|&i| self.forms[i].fixed);
        let values = [mask, x, y].map(|i| self.whole(i));
        let [mask, x, y] = self.level(values);
        let v = self.b.select(mask, x, y);
        self.number_or_rest(v, fixed)
    }
}
