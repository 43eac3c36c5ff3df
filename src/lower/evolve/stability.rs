//! Steps beyond the limit of stability, foreseen: the eigenvalue of the rates at the start that is largest in size, by power iteration with
//! exact Jacobian–vector products, against the region of stability of the method. [Hairer & Wanner II, §IV.2; Golub & Van Loan, §7.3]

use crate::ad;
use crate::base::{Diagnostic, Span};
use crate::integrate::Tableau;
use crate::ir::{Binary, Builder, DType, Func, Op, Type, Unary, Value};
use crate::lower::Lower;
use crate::lower::value::Num;
use std::sync::Arc;

/// Products with the Jacobian: not more than these, and not more than a tenth of the work of the run, of a short one half.
const MOST: usize = 30;
const LEAST: usize = 5;

/// The growth of rounding that is not waited for.
const GROWTH: f64 = 1e6;

/// The part of the longest stable step that is recommended: few products find the largest eigenvalue somewhat too small.
const SAFE: f64 = 0.8;

/// A run of an explicit method.
pub struct Explicit<'a> {
    pub name: &'a str,
    /// `(t, u, captured…) → rates`
    pub rates: &'a Func,
    pub captured: &'a [Num],
    pub initial: &'a Num,
    pub start: f64,
    pub h: f64,
    pub steps: usize,
    pub span: Span,
}

impl Lower<'_> {
    /// Warns of steps of a Runge–Kutta method that its rates do not bear.
    pub(super) fn foresee(&mut self, run: &Explicit, tableau: &Tableau) {
        let Some((real, size)) = self.dominant(run, tableau.stages()) else { return };
        let imaginary = (size * size - real * real).max(0.0).sqrt();
        // What grows by itself is no matter of the step.
        if real > 0.1 * size {
            return;
        }
        let real = real.min(0.0);
        let growth = |h: f64| tableau.amplification(h * real, h * imaginary);
        if growth(run.h).ln() * run.steps as f64 > GROWTH.ln() {
            let stable = longest(run.h, &|h| growth(h) <= 1.0 + 1e-9);
            self.warn(run, tableau.name, stable, size);
        }
    }

    /// The same of leapfrog, from forces `(t, u, captured…) → a`: stable up to 2/√|λ|.
    pub(super) fn foresee_leapfrog(&mut self, run: &Explicit, name: &str) {
        let Some((real, size)) = self.dominant(run, 1) else { return };
        let z = run.h * run.h * size / 4.0;
        // Roots of ρ² - (2 - h²λ)ρ + 1.
        if real < -0.9 * size && z > 1.0 {
            let root = 2.0 * z - 1.0 + 2.0 * (z * (z - 1.0)).sqrt();
            if root.ln() * run.steps as f64 > GROWTH.ln() {
                self.warn(run, name, 2.0 / size.sqrt(), size.sqrt());
            }
        }
    }

    fn warn(&mut self, run: &Explicit, method: &str, stable: f64, size: f64) {
        let Explicit { name, h, span, .. } = *run;
        let message = format!("steps of {h:.3e} are longer than `{method}` can take in `{name}`: they will blow up");
        let help = if stable > 1e-3 * h {
            let stable = SAFE * stable;
            format!("steps up to about {stable:.1e} are stable (the fastest rate at the start is about {size:.1e})")
        } else {
            format!("no step of `{method}` is stable here; `rk4` is, or an implicit method")
        };
        self.warnings.push(Diagnostic::warning("run.stability", span, message).help(help));
    }

    /// `(Re λ, |λ|)` of the largest eigenvalue at the start, a little too small rather than too large. None where it is not known now
    /// what the run starts from, or where the run is too short to ask.
    fn dominant(&mut self, run: &Explicit, stages: usize) -> Option<(f64, f64)> {
        let evaluations = run.steps * stages;
        let iterations = (evaluations / 20).clamp(LEAST, MOST);
        if iterations > evaluations / 2 || !self.tracer.known_now() || self.runtime.guesses() {
            return None;
        }
        // What comes out of another run would be computed twice.
        let all: Vec<Num> = std::iter::once(run.initial).chain(run.captured).cloned().collect();
        let before = self.tracer.snapshot(&all)?;
        if costly(&before) {
            return None;
        }
        let body = product(run.rates);
        let start = Num::scalar(run.start);
        let refs: Vec<&Num> = [&start, run.initial].into_iter().chain(run.captured).collect();
        let out = self.tracer.build_all(&refs, |b, v| {
            let ty = b.ty(v[1]).clone();
            let first = noise(b, &ty);
            let args: Vec<Value> = std::iter::once(first).chain(v.iter().copied()).collect();
            b.ops(Op::Scan { body: Arc::new(body), length: iterations, carry: 1, xs: 0, reverse: false }, &args)
        });
        let known = self.compute(&out[1..], run.span).ok()?;
        let (sizes, reals) = (known[0].to_f64(), known[1].to_f64());
        let last = 4;
        let size = sizes.iter().rev().take(last).map(|x| x.ln()).sum::<f64>() / last as f64;
        let real = reals.iter().rev().take(last).sum::<f64>() / last as f64;
        let size = size.exp();
        (size.is_finite() && size > 0.0 && real.is_finite()).then_some((real, size))
    }
}

/// How far a method is stable along the negative real and along the imaginary axis. [Hairer & Wanner II, §IV.2]
pub fn intervals(tableau: &Tableau) -> (f64, f64) {
    let end = |x: f64, y: f64| {
        let part = 1e-3;
        let stable = |k: &usize| tableau.amplification(*k as f64 * part * x, *k as f64 * part * y) <= 1.0 + 1e-9;
        (1..20_000).take_while(stable).last().map_or(0.0, |k| k as f64 * part)
    };
    (end(-1.0, 0.0), end(0.0, 1.0))
}

/// Whether something is solved or stepped through in a function.
fn costly(f: &Func) -> bool {
    f.nodes.iter().any(|n| {
        matches!(n.op, Op::Solve { .. } | Op::LinearSolve { .. } | Op::Scan { .. } | Op::Memo { .. })
            || Func::bodies(&n.op).into_iter().any(|b| costly(b))
    })
}

/// `(v, t, u, captured…) → (Jv/|Jv|, |Jv|, v·Jv)`, v of length 1.
fn product(rates: &Func) -> Func {
    let jvp = ad::jvp(rates, &[1]);
    let mut b = Builder::new("power");
    let v = b.input(rates.inputs[1].clone());
    let mut args: Vec<Value> = rates.inputs.iter().map(|ty| b.input(ty.clone())).collect();
    args.push(v);
    let w = b.inline(&jvp, &args)[1];
    let (squares, along) = (b.mul(w, w), b.mul(v, w));
    let square = b.sum_all(squares);
    let tiny = b.scalar(1e-200);
    let square = b.binary(Binary::Max, square, tiny);
    let size = b.unary(Unary::Sqrt, square);
    let real = b.sum_all(along);
    let next = b.div(w, size);
    b.finish(vec![next, size, real])
}

/// A direction of length 1 with a part of every wave in it.
fn noise(b: &mut Builder, ty: &Type) -> Value {
    let mut phase = b.full(ty, 0.4);
    for (axis, factor) in (0..ty.rank()).zip([0.739_085, 1.324_718, 0.618_034, 1.202_057].into_iter().cycle()) {
        let i = b.op(Op::Iota { dtype: DType::F64, shape: ty.shape.clone(), axis }, &[]);
        let square = b.mul(i, i);
        let term = b.scale(square, factor);
        phase = b.add(phase, term);
    }
    let wave = b.unary(Unary::Sin, phase);
    let squares = b.mul(wave, wave);
    let sum = b.sum_all(squares);
    let size = b.unary(Unary::Sqrt, sum);
    b.div(wave, size)
}

/// The longest stable step below h, by bisection from a step that is far too short.
fn longest(h: f64, stable: &dyn Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, h);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if stable(middle) { low = middle } else { high = middle }
    }
    low
}
