//! A sample of a field as IR: at a point, from its coefficients, so that one function serves all samples of the law.

use super::Field;
use crate::ir::{Builder, Dot, Tensor, Unary, Value};
use std::f64::consts::PI;

impl Field {
    /// Number of coefficients of a sample: as many real parts, then as many imaginary ones.
    pub fn slots(&self) -> usize {
        self.widths().iter().product()
    }

    /// The value at `x[d]` of the sample with `coefficients[2, slots]`.
    pub fn to_ir(&self, b: &mut Builder, x: Value, coefficients: Value) -> Value {
        let widths = self.widths();
        let [mut re, mut im] = [0, 1].map(|part| {
            let all = b.index(coefficients, 0, part);
            b.reshape(all, &widths)
        });
        for axis in (0..widths.len()).rev() {
            let frequencies: Vec<f64> = (0..widths[axis]).map(|slot| self.slot_frequency(axis, slot)).collect();
            let frequencies = b.constant(Tensor::f64([widths[axis]], frequencies));
            let (at, low) = (b.index(x, 0, axis), b.scalar(self.low[axis]));
            let offset = b.sub(at, low);
            let offset = b.broadcast_to(offset, &[widths[axis]]);
            let phase = b.mul(offset, frequencies);
            let (cos, sin) = (b.unary(Unary::Cos, phase), b.unary(Unary::Sin, phase));
            let along = |b: &mut Builder, c: Value, wave: Value| {
                b.dot(c, wave, Dot { lhs_contract: vec![axis], rhs_contract: vec![0], ..Dot::default() })
            };
            let (rc, is) = (along(b, re, cos), along(b, im, sin));
            let (rs, ic) = (along(b, re, sin), along(b, im, cos));
            (re, im) = (b.sub(rc, is), b.add(rs, ic));
        }
        let mean = b.scalar(self.mean);
        b.add(mean, re)
    }

    fn widths(&self) -> Vec<usize> {
        self.modes.iter().enumerate().map(|(axis, &k)| if axis == 0 { k + 1 } else { 2 * k + 1 }).collect()
    }

    fn slot_frequency(&self, axis: usize, slot: usize) -> f64 {
        let k = slot as f64 - if axis == 0 { 0.0 } else { self.modes[axis] as f64 };
        2.0 * PI * k / self.periods[axis]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, Region};
    use super::*;
    use crate::data::Stream;
    use crate::ir::Type;
    use crate::ir::eval::eval;

    #[test]
    fn the_function_is_the_sample() {
        for (high, periodic) in [(vec![2.0], vec![true]), (vec![1.0, 0.5], vec![false, true])] {
            let d = high.len();
            let region = Region { low: vec![-0.3; d], high, periodic };
            let law = Field::new(&region, Kernel::SquaredExponential, 1.5, 0.4, 0.3).unwrap();
            let sample = law.sample(&Stream::new(4, "g"), 7);
            let mut b = Builder::new("field");
            let (x, c) = (b.input(Type::f64([d])), b.input(Type::f64([2, law.slots()])));
            let y = law.to_ir(&mut b, x, c);
            let f = b.finish(vec![y]);
            for at in [-0.3, 0.0, 0.123] {
                let point = vec![at; d];
                let inputs = [Tensor::f64([d], &point[..]), Tensor::f64([2, law.slots()], sample.coefficients())];
                let value = eval(&f, &inputs).unwrap()[0].item();
                assert!((value - sample.value(&point)).abs() < 1e-11, "{value} {}", sample.value(&point));
            }
        }
    }
}
