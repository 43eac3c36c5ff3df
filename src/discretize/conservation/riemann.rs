//! Fluxes through a face between two states, for any system: Rusanov's, Harten–Lax–van Leer's, upwind, or one that is given.
//!
//! Speeds of waves come from the Jacobian A of the flux along the axis. A hyperbolic system has real eigenvalues, and these lie in
//! `m ± s √(c - 1)` with `m = tr A/c`, `s² = tr A²/c - m²`: exact for one or two unknowns, the same in any units, for the Euler
//! equations in one dimension `u ± 1.155 a` [Wolkowicz & Styan 1980].

use crate::ad::jvp_into;
use crate::discretize::derivative::{Direction, derivative, reads};
use crate::discretize::sparsity::nonzero_pattern;
use crate::discretize::{Balance, Refusal};
use crate::ir::{Binary, Builder, Compare, Func, Tensor, Type, Value};

#[derive(Clone, Debug)]
pub enum Riemann {
    /// The mean flux, less the largest speed times half the jump. [Rusanov 1961]
    Rusanov,
    /// Between the slowest and the fastest wave. [Harten, Lax & van Leer 1983; Davis 1988]
    Hll,
    /// From where it comes, each component by itself; for fluxes that are linear.
    Upwind,
    /// `(left[c], right[c], normal[d], captured…) → [c]`
    Given { flux: Func, captured: Vec<Type> },
}

impl Riemann {
    /// Types of what it needs besides the law's own arguments.
    pub fn captured(&self) -> &[Type] {
        if let Riemann::Given { captured, .. } = self { captured } else { &[] }
    }

    /// `(left[c], right[c], x[d], data…, shared…, captured…) → flux along the axis [c]`
    pub fn face(&self, balance: &Balance, axis: usize) -> Result<Func, Refusal> {
        let law = convection(balance, axis);
        let c = balance.components;
        let mut b = Builder::new("face flux");
        let [left, right] = [0; 2].map(|_| b.input(Type::f64([c])));
        let rest: Vec<Value> = law.inputs[1..].iter().map(|t| b.input(t.clone())).collect();
        let captured: Vec<Value> = self.captured().iter().map(|t| b.input(t.clone())).collect();
        let args = |u: Value| [&[u], &rest[..]].concat();
        let out = match self {
            Riemann::Given { flux, .. } => {
                let d = balance.dimension;
                let normal = b.constant(Tensor::f64([d], (0..d).map(|k| (k == axis) as u8 as f64).collect::<Vec<_>>()));
                b.inline(flux, &[&[left, right, normal], &captured[..]].concat())[0]
            }
            Riemann::Upwind => {
                let speed = diagonal_speed(&law, c, axis)?;
                let a = b.inline(&speed, &args(left))[0];
                let zero = b.zeros_like(a);
                let forwards = b.compare(Compare::Lt, zero, a);
                let from = b.select(forwards, left, right);
                b.inline(&law, &args(from))[0]
            }
            Riemann::Rusanov | Riemann::Hll => {
                let speeds = speeds(&law, c);
                let (fl, fr) = (b.inline(&law, &args(left))[0], b.inline(&law, &args(right))[0]);
                let (of_left, of_right) = (b.inline(&speeds, &args(left)), b.inline(&speeds, &args(right)));
                let jump = b.sub(right, left);
                let low = b.binary(Binary::Min, of_left[0], of_right[0]);
                let high = b.binary(Binary::Max, of_left[1], of_right[1]);
                if let Riemann::Rusanov = self {
                    let back = b.neg(low);
                    let fastest = b.binary(Binary::Max, back, high);
                    let (sum, dissipation) = (b.add(fl, fr), b.mul(jump, fastest));
                    let twice = b.sub(sum, dissipation);
                    b.scale(twice, 0.5)
                } else {
                    let zero = b.scalar(0.0);
                    let low = b.binary(Binary::Min, low, zero);
                    let high = b.binary(Binary::Max, high, zero);
                    let width = b.sub(high, low);
                    let still = b.compare(Compare::Eq, width, zero);
                    let one = b.scalar(1.0);
                    let width = b.select(still, one, width);
                    let (p, q) = (b.mul(fl, high), b.mul(fr, low));
                    let between = b.sub(p, q);
                    let product = b.mul(low, high);
                    let dissipation = b.mul(jump, product);
                    let over = b.add(between, dissipation);
                    let hll = b.div(over, width);
                    // Without waves both fluxes are the one that passes.
                    let still = b.broadcast_to(still, &[c]);
                    b.select(still, fl, hll)
                }
            }
        };
        Ok(b.finish(vec![out]))
    }
}

/// The flux along an axis where the gradient vanishes: `(u[c], x[d], data…, shared…) → [c]`.
pub fn convection(balance: &Balance, axis: usize) -> Func {
    let f = &balance.interior;
    let mut b = Builder::new("flux");
    let u = b.input(f.inputs[1].clone());
    let x = b.input(f.inputs[0].clone());
    let still = b.zeros(&f.inputs[2]);
    let rest: Vec<Value> = f.inputs[3..].iter().map(|t| b.input(t.clone())).collect();
    let flux = b.inline(f, &[&[x, u, still], &rest[..]].concat())[0];
    let out = b.index(flux, 1, axis);
    b.finish(vec![out])
}

/// Whether the flux carries the unknowns at all, not only their gradients.
pub fn convects(balance: &Balance) -> bool {
    let directions: Vec<Direction> = (0..balance.components).map(|element| Direction { input: 0, element }).collect();
    (0..balance.dimension).any(|axis| {
        let slopes = derivative(&convection(balance, axis), &directions);
        nonzero_pattern(&slopes).iter().flatten().any(|&x| x != 0.0)
    })
}

/// The slowest and the fastest wave, from a law `(u[c], …) → [c]`; arguments as those of the law.
pub fn speeds(law: &Func, c: usize) -> Func {
    let mut b = Builder::new("speeds");
    let inputs: Vec<Value> = law.inputs.iter().map(|t| b.input(t.clone())).collect();
    // Columns of the Jacobian.
    let columns: Vec<Option<Value>> = (0..c)
        .map(|element| {
            let seed = Direction { input: 0, element }.seed(&law.inputs[0]);
            let mut tangents = vec![None; inputs.len()];
            tangents[0] = Some(b.constant(seed));
            jvp_into(&mut b, law, &inputs, &tangents).1[0]
        })
        .collect();
    let entry = |b: &mut Builder, i: usize, j: usize| columns[j].map(|v| b.index(v, 0, i));
    let mut trace = b.scalar(0.0);
    let mut square = b.scalar(0.0);
    for i in 0..c {
        if let Some(a) = entry(&mut b, i, i) {
            trace = b.add(trace, a);
            let aa = b.mul(a, a);
            square = b.add(square, aa);
        }
        for j in 0..i {
            if let (Some(p), Some(q)) = (entry(&mut b, i, j), entry(&mut b, j, i)) {
                let product = b.mul(p, q);
                let twice = b.scale(product, 2.0);
                square = b.add(square, twice);
            }
        }
    }
    let mean = b.scale(trace, 1.0 / c as f64);
    if c == 1 {
        return b.finish(vec![mean, mean]);
    }
    let second = b.scale(square, 1.0 / c as f64);
    let mm = b.mul(mean, mean);
    let spread = b.sub(second, mm);
    let spread = b.scale(spread, (c - 1) as f64);
    // Away from zero, where the root has no derivative.
    let least = b.scalar(f64::MIN_POSITIVE);
    let spread = b.binary(Binary::Max, spread, least);
    let radius = b.unary(crate::ir::Unary::Sqrt, spread);
    let (low, high) = (b.sub(mean, radius), b.add(mean, radius));
    b.finish(vec![low, high])
}

/// The speed of each component of a linear, uncoupled law: `(u[c], …) → [c]`, which reads no u.
fn diagonal_speed(law: &Func, c: usize, axis: usize) -> Result<Func, Refusal> {
    let directions: Vec<Direction> = (0..c).map(|element| Direction { input: 0, element }).collect();
    let slopes = derivative(law, &directions);
    let coupled = nonzero_pattern(&slopes).iter().enumerate().any(|(j, p)| (0..c).any(|i| i != j && p[i] != 0.0));
    if reads(&slopes, 0) || coupled {
        let message = format!("`upwind` follows linear, uncoupled fluxes; along axis {} this one is not", axis + 1);
        return Err(Refusal::new("discretize.riemann", message).help("use `rusanov` or `hll`, which serve any system"));
    }
    let mut b = Builder::new("speed");
    let inputs: Vec<Value> = slopes.inputs.iter().map(|t| b.input(t.clone())).collect();
    let columns = b.inline(&slopes, &inputs);
    let diagonal: Vec<Value> = columns.iter().enumerate().map(|(i, &v)| b.index(v, 0, i)).collect();
    let out = b.stack(&diagonal, 0);
    Ok(b.finish(vec![out]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;

    /// The bound is exact for two waves and holds for the three of gas dynamics.
    #[test]
    fn speeds_enclose_the_eigenvalues() {
        let mut b = Builder::new("Euler");
        let u = b.input(Type::f64([3]));
        let [rho, m, e] = [0, 1, 2].map(|k| b.index(u, 0, k));
        let v = b.div(m, rho);
        let mv = b.mul(m, v);
        let half = b.scale(mv, 0.5);
        let internal = b.sub(e, half);
        let p = b.scale(internal, 0.4);
        let momentum = b.add(mv, p);
        let enthalpy = b.add(e, p);
        let energy = b.mul(enthalpy, v);
        let out = b.stack(&[m, momentum, energy], 0);
        let law = b.finish(vec![out]);
        // ρ = 1.2, u = 0.7, p = 0.9
        let state = Tensor::f64([3], vec![1.2, 1.2 * 0.7, 0.9 / 0.4 + 0.6 * 0.49]);
        let found = eval(&speeds(&law, 3), &[state]).unwrap();
        let a = (1.4f64 * 0.9 / 1.2).sqrt();
        let radius = a * 2.0 / 3f64.sqrt();
        assert!((found[0].item() - (0.7 - radius)).abs() < 1e-12, "{}", found[0].item());
        assert!((found[1].item() - (0.7 + radius)).abs() < 1e-12);
    }
}
