//! What is asked of each case.

use super::cases::Case;
use mslc::ad;
use mslc::ir::eval::eval;
use mslc::ir::verify::verify;
use mslc::ir::{Builder, Func, Tensor, Value, text};

/// The derivative along a direction is that of fourth-order central differences, to 1e-7 relative.
pub fn differences(c: &Case) {
    let direction = c.direction(1);
    let jvp = run(c, &ad::jvp(&c.f, &c.wrt), &[&c.inputs[..], &direction].concat());
    let n = c.f.outputs.len();
    let h = 1e-3;
    let at = |t: f64| run(c, &c.f, &c.moved(t * h, &direction));
    let (a, b, d, e) = (at(-2.0), at(-1.0), at(1.0), at(2.0));
    for k in 0..n {
        let (exact, scale) = (jvp[n + k].to_f64(), size(&jvp[n + k]).max(1e-2));
        let (a, b, d, e) = (a[k].to_f64(), b[k].to_f64(), d[k].to_f64(), e[k].to_f64());
        for (i, exact) in exact.iter().enumerate() {
            let slope = (8.0 * (d[i] - b[i]) - (e[i] - a[i])) / (12.0 * h);
            assert!((slope - exact).abs() <= 1e-7 * scale, "{}: output {k}[{i}]: {exact} is not {slope}", c.name);
        }
    }
    let values = run(c, &c.f, &c.inputs);
    assert_eq!(values, jvp[..n], "{}: differentiation changed the values", c.name);
}

/// ⟨v, J u⟩ = ⟨Jᵀ v, u⟩ to rounding.
pub fn adjoint(c: &Case) {
    let n = c.f.outputs.len();
    let u = c.direction(2);
    let forward = run(c, &ad::jvp(&c.f, &c.wrt), &[&c.inputs[..], &u].concat());
    let v: Vec<Tensor> = forward[..n].iter().enumerate().map(|(k, t)| noise(&t.ty.shape, 77 + k as u64)).collect();
    let backward = run(c, &ad::vjp(&c.f, &c.wrt), &[&c.inputs[..], &v].concat());
    assert_eq!(forward[..n], backward[..n], "{}: reverse mode changed the values", c.name);
    let (left, size) = inner(&v, &forward[n..]);
    let (right, _) = inner(&backward[n..], &u);
    assert!((left - right).abs() <= 1e-12 * size.max(1e-3), "{}: {left} is not {right}", c.name);
}

/// Of g = Σ w·f + f²/2: H u as the jvp of the gradient, against differences of the gradient (1e-7) and against the
/// gradient of ⟨∇g, u⟩ (1e-11).
pub fn second_order(c: &Case) {
    let n = c.wrt.len();
    let gradient = gradient_only(&scalar(&c.f), &c.wrt);
    let u = c.direction(3);
    let forward = run(c, &ad::jvp(&gradient, &c.wrt), &[&c.inputs[..], &u].concat()).split_off(n);

    let h = 1e-3;
    let at = |t: f64| run(c, &gradient, &c.moved(t * h, &u));
    let (a, b, d, e) = (at(-2.0), at(-1.0), at(1.0), at(2.0));
    for k in 0..n {
        let (a, b, d, e) = (a[k].to_f64(), b[k].to_f64(), d[k].to_f64(), e[k].to_f64());
        let scale = size(&forward[k]).max(1e-2);
        for (i, exact) in forward[k].to_f64().iter().enumerate() {
            let slope = (8.0 * (d[i] - b[i]) - (e[i] - a[i])) / (12.0 * h);
            assert!((slope - exact).abs() <= 1e-7 * scale, "{}: H u of {k}[{i}]: {exact} is not {slope}", c.name);
        }
    }

    let along = along(&gradient, c);
    let reverse = run(c, &gradient_only(&along, &c.wrt), &[&c.inputs[..], &u].concat());
    for (k, (f, r)) in forward.iter().zip(&reverse).enumerate() {
        let scale = size(f).max(1e-2);
        for (x, y) in f.to_f64().iter().zip(r.to_f64()) {
            assert!((x - y).abs() <= 1e-11 * scale, "{}: H u of {k}: forward {x}, reverse {y}", c.name);
        }
    }
}

fn gradient_only(f: &Func, wrt: &[usize]) -> Func {
    let mut g = ad::grad(f, wrt);
    g.outputs.remove(0);
    g
}

/// Σ over outputs of w·f + f²/2, with fixed w.
fn scalar(f: &Func) -> Func {
    let mut b = Builder::new("scalar");
    let args: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let outputs = b.inline(f, &args);
    let mut total = b.scalar(0.0);
    for (k, v) in outputs.into_iter().enumerate() {
        let w = b.constant(noise(&b.ty(v).shape.clone(), 5 + k as u64));
        let (linear, square) = (b.mul(w, v), b.mul(v, v));
        let half = b.scale(square, 0.5);
        let both = b.add(linear, half);
        let sum = b.sum_all(both);
        total = b.add(total, sum);
    }
    b.finish(vec![total])
}

/// `(inputs…, u…) → ⟨∇g, u⟩`
fn along(gradient: &Func, c: &Case) -> Func {
    let mut b = Builder::new("along");
    let args: Vec<Value> = gradient.inputs.iter().map(|t| b.input(t.clone())).collect();
    let g = b.inline(gradient, &args);
    let mut total = b.scalar(0.0);
    for (k, g) in c.wrt.iter().zip(g) {
        let u = b.input(gradient.inputs[*k].clone());
        let p = b.mul(g, u);
        let sum = b.sum_all(p);
        total = b.add(total, sum);
    }
    b.finish(vec![total])
}

/// With exact Jacobians, as every function that runs has.
fn run(c: &Case, f: &Func, inputs: &[Tensor]) -> Vec<Tensor> {
    verify(f).unwrap_or_else(|e| panic!("{}: {e}", c.name));
    assert_eq!(text::parse(&text::print(f)).as_ref(), Ok(f), "{}: text form of a derivative", c.name);
    eval(&ad::complete(f), inputs).unwrap_or_else(|e| panic!("{}: {e}", c.name))
}

fn size(t: &Tensor) -> f64 {
    t.to_f64().iter().fold(0.0, |m, x| m.max(x.abs()))
}

/// Inner product of lists of tensors, and the sum of the absolute products.
fn inner(a: &[Tensor], b: &[Tensor]) -> (f64, f64) {
    assert_eq!(a.len(), b.len());
    let products = || a.iter().zip(b).flat_map(|(a, b)| a.to_f64().into_iter().zip(b.to_f64()).map(|(x, y)| x * y));
    (products().sum(), products().map(f64::abs).sum())
}

/// Numbers in (-1, 1), the same for the same seed.
pub fn noise(shape: &[usize], seed: u64) -> Tensor {
    let n: usize = shape.iter().product();
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    next();
    Tensor::f64(shape, (0..n).map(|_| next()).collect::<Vec<_>>())
}

impl Case {
    fn direction(&self, seed: u64) -> Vec<Tensor> {
        self.wrt.iter().map(|&k| noise(&self.inputs[k].ty.shape, 31 * seed + k as u64)).collect()
    }

    fn moved(&self, t: f64, direction: &[Tensor]) -> Vec<Tensor> {
        let mut inputs = self.inputs.clone();
        for (&k, d) in self.wrt.iter().zip(direction) {
            let x: Vec<f64> = inputs[k].to_f64().iter().zip(d.to_f64()).map(|(x, d)| x + t * d).collect();
            inputs[k] = Tensor::f64(inputs[k].ty.shape.clone(), x);
        }
        inputs
    }
}
