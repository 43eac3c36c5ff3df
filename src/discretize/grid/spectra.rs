//! What a pointwise law reads from spectra, and which rows of it.

use super::modes::Modes;
use super::terms::{Input, Reader};
use crate::ir::build::drop_dead;
use crate::ir::{Builder, Func, Type, Value};
use std::collections::{BTreeMap, HashMap};

/// Gives values at the points from spectra.
pub struct Spectra<'a> {
    pub modes: &'a Modes<'a>,
    pub spectra: &'a BTreeMap<usize, Value>,
    pub keep: bool,
    pub arrays: HashMap<Input, Value>,
    /// An unknown whose spectrum is not known yet and which was asked for, and what stands in its place: rows that were not asked
    /// for may read it.
    pub missing: Option<(usize, Value)>,
}

impl Reader for Spectra<'_> {
    fn keeps(&self, _: &Input) -> bool {
        self.keep
    }

    fn array(&mut self, b: &mut Builder, input: &Input) -> Value {
        if let Some(v) = self.arrays.get(input) {
            return *v;
        }
        let array = match self.spectra.get(&input.component) {
            Some(z) => {
                let z = match input.axes.is_empty() {
                    true => *z,
                    false => self
                        .modes
                        .derivative(b, &input.axes)
                        .apply(b, *z)
                        .expect("compiler bug: a derivative of nothing"),
                };
                self.modes.backward(b, z)
            }
            None => {
                let nothing = b.full(&Type::f64(self.modes.points.clone()), f64::NAN);
                self.missing = Some((input.component, nothing));
                nothing
            }
        };
        self.arrays.insert(input.clone(), array);
        array
    }
}

/// Whether a value is made from another.
pub fn reaches(f: &Func, from: Value, to: Value) -> bool {
    let mut seen = vec![false; f.nodes.len()];
    let mut stack = vec![from];
    while let Some(v) = stack.pop() {
        if v == to {
            return true;
        }
        if !std::mem::replace(&mut seen[v.index()], true) {
            stack.extend(&f.nodes[v.index()].args);
        }
    }
    false
}

/// The rows of these components alone.
pub fn restricted(interior: &Func, components: &[usize]) -> Func {
    let mut b = Builder::new(interior.name.clone());
    let args: Vec<Value> = interior.inputs.iter().map(|t| b.input(t.clone())).collect();
    let out = b.inline(interior, &args);
    let picked = out
        .into_iter()
        .map(|v| {
            let rows: Vec<Value> = components.iter().map(|&k| b.index(v, 0, k)).collect();
            b.stack(&rows, 0)
        })
        .collect();
    drop_dead(b.finish(picked))
}
