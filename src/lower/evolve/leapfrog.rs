//! Fields of second order in time, `∂tt(u) = …`, by leapfrog: the state is u at two times, and a step is one pass over the grid,
//! `u⁺ = 2u - u⁻ + h² a(t, u)`. Terms with `∂t(u)` itself are taken at the middle of the step, as far as they are pointwise:
//! `u⁺ = (2u - (1 - dh/2) u⁻ + h² a)/(1 + dh/2)` where `a - d ∂t(u)` stands on the right. [Cohen 2002, §II]

use super::ordinary::Reach;
use super::stability::Explicit;
use super::{Run, Step};
use crate::ad;
use crate::integrate::Composition;
use crate::integrate::symplectic::symplectic_step;
use crate::ir::{Builder, Func, Type, Value};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::solve::Method;
use crate::lower::system::Equations;
use crate::lower::value::{Field, Leaf, Num, Value as Meaning};

/// Where unknowns and their velocities stand among the components of a state.
pub struct Pairs {
    /// `(start, length)` of each unknown, and the start of its velocity.
    pairs: Vec<(usize, usize, usize)>,
    /// `[c, n…]` of the whole state.
    shape: Vec<usize>,
}

/// `(t, u, v, captured…) → a`
struct Forces {
    func: Func,
    captured: Vec<Num>,
}

impl Pairs {
    fn of(eqs: &Equations, shape: &[usize]) -> Option<Pairs> {
        let starts: Vec<usize> = eqs
            .unknowns
            .iter()
            .scan(0, |at, u| {
                let start = *at;
                *at += u.shape.iter().product::<usize>();
                Some(start)
            })
            .collect();
        let pairs: Vec<_> = eqs
            .velocities
            .iter()
            .map(|v| (starts[v.of], eqs.unknowns[v.of].shape.iter().product(), starts[v.velocity]))
            .collect();
        (2 * pairs.len() == eqs.unknowns.len()).then(|| Pairs { pairs, shape: shape.to_vec() })
    }

    fn half(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        shape[0] /= 2;
        shape
    }

    /// The unknowns, or their velocities, of a whole state.
    fn part(&self, b: &mut Builder, whole: Value, velocity: bool) -> Value {
        let parts: Vec<Value> = self
            .pairs
            .iter()
            .map(|(x, n, v)| {
                let at = if velocity { *v } else { *x };
                b.slice(whole, 0, at, at + n)
            })
            .collect();
        b.concat(&parts, 0)
    }

    pub fn whole(&self, b: &mut Builder, u: Value, v: Value) -> Value {
        let mut parts = vec![];
        let mut at = 0;
        for (x, n, w) in &self.pairs {
            parts.push((*x, b.slice(u, 0, at, at + n)));
            parts.push((*w, b.slice(v, 0, at, at + n)));
            at += n;
        }
        parts.sort_by_key(|p| p.0);
        let parts: Vec<Value> = parts.into_iter().map(|p| p.1).collect();
        b.concat(&parts, 0)
    }
}

/// Whether a velocity stands in a field, and whether a derivative in space of one.
fn velocity_in(f: &Field, eqs: &Equations) -> (bool, bool) {
    let orders = f.leaves.iter().filter_map(|l| match l {
        Leaf::Unknown { index, order, .. } if eqs.velocities.iter().any(|v| v.velocity == *index) => Some(*order),
        _ => None,
    });
    orders.fold((false, false), |(_, derived), order| (true, derived || order > 0))
}

impl Lower<'_> {
    /// A step over (u, former u) or, where several are composed, (u, velocity, acceleration); and what makes the whole state of the
    /// first two at a time: `(first, second, t, captured…) → state`.
    pub(super) fn leapfrog(
        &mut self,
        run: &Run,
        method: &Composition,
        eqs: &Equations,
        start: Num,
    ) -> Result<(Step, Func, Vec<Num>)> {
        let Run { scheme, space, h, span, .. } = *run;
        let shape = [&[start.shape()[1]], &space.points[..]].concat();
        let refuse = |what: &str| {
            error_help(
                "run.scheme",
                span,
                format!("`{}` is for equations `∂tt(u) = …`: {what}", method.name),
                "use `rk4`, which takes any rates",
            )
        };
        let Some(pairs) = Pairs::of(eqs, &shape) else {
            return refuse("here is an unknown without a second derivative in time");
        };
        if !matches!(scheme.method, Method::Grid(_) | Method::Volumes | Method::Chebyshev) {
            return refuse("finite elements would need a solve with their mass matrix");
        }
        let mut damped = false;
        for e in eqs.balances.iter().filter(|e| !e.name.starts_with('∂')) {
            let r = &e.residual;
            for (part, flux) in [(&r.flux, true), (&r.source, false)] {
                if let Some(Meaning::Field(f)) = part {
                    let (any, derived) = velocity_in(f, eqs);
                    damped |= any;
                    if derived || any && flux {
                        return refuse("a derivative in space of `∂t(u)` stands here");
                    }
                }
            }
        }
        if damped && method.weights.len() > 1 {
            return refuse("its steps go back, too, and `∂t(u)` damps");
        }
        let forces = self.forces(run, &pairs)?;
        let p_types: Vec<Type> = forces.captured.iter().map(|n| n.ty().clone()).collect();
        let half = Type::f64(pairs.half());
        let begin = Num::scalar(run.start);
        let refs: Vec<&Num> = [&begin, &start].into_iter().chain(&forces.captured).collect();
        // At the start: u, v, a.
        let first = self.tracer.build_all(&refs, |b, v| {
            let whole = b.transpose(v[1], &[1, 0]);
            let whole = b.reshape(whole, &shape);
            let (u, w) = (pairs.part(b, whole, false), pairs.part(b, whole, true));
            let args: Vec<Value> = [v[0], u, w].into_iter().chain(v[2..].iter().copied()).collect();
            let a = b.inline(&forces.func, &args)[0];
            vec![u, w, a]
        });
        let rest = undamped(&forces.func);
        let explicit = Explicit {
            name: &self.program.def(run.problem.def).name,
            rates: &rest,
            captured: &forces.captured,
            initial: &first[0],
            start: run.start,
            h,
            steps: run.steps,
            span,
        };
        if method.weights.len() == 1 {
            self.foresee_leapfrog(&explicit, method.name);
        }
        let mut b = Builder::new("step");
        let (step, complete);
        if method.weights.len() > 1 {
            let states: Vec<Value> = (0..3).map(|_| b.input(half.clone())).collect();
            let t = b.input(Type::f64([]));
            let p: Vec<Value> = p_types.iter().map(|ty| b.input(ty.clone())).collect();
            let h = b.scalar(h);
            let (x, v, a) = symplectic_step(&mut b, method, &rest, (t, h), (states[0], states[1], states[2]), &p);
            step = Step { func: b.finish(vec![x, v, a]), captured: forces.captured.clone(), initial: first };
            let mut b = Builder::new("state");
            let (u, v) = (b.input(half.clone()), b.input(half));
            b.input(Type::f64([]));
            p_types.iter().for_each(|ty| {
                b.input(ty.clone());
            });
            let whole = pairs.whole(&mut b, u, v);
            complete = b.finish(vec![whole]);
        } else {
            // u(-h), so that the first step is of second order, too.
            let former = self.tracer.build(&[&first[0], &first[1], &first[2]], |b, v| {
                let (back, bend) = (b.scale(v[1], -h), b.scale(v[2], 0.5 * h * h));
                let near = b.add(v[0], back);
                b.add(near, bend)
            });
            let (u, old) = (b.input(half.clone()), b.input(half.clone()));
            let t = b.input(Type::f64([]));
            let p: Vec<Value> = p_types.iter().map(|ty| b.input(ty.clone())).collect();
            let zero = b.zeros(&half);
            let args: Vec<Value> = [t, u, zero].into_iter().chain(p.iter().copied()).collect();
            let a = b.inline(&forces.func, &args)[0];
            let pull = b.scale(a, h * h);
            let twice = b.scale(u, 2.0);
            let next = if damped {
                // The damping -∂a/∂v, the same for every velocity.
                let mut tangents = vec![None; args.len()];
                tangents[2] = Some(b.full(&half, -1.0));
                let (_, slopes) = ad::jvp_into(&mut b, &forces.func, &args, &tangents);
                let d = slopes[0].unwrap_or(zero);
                let (less, one) = (b.scale(d, 0.5 * h), b.scalar(1.0));
                let (minus, plus) = (b.sub(one, less), b.add(one, less));
                let back = b.mul(minus, old);
                let sum = b.sub(twice, back);
                let sum = b.add(sum, pull);
                b.div(sum, plus)
            } else {
                let sum = b.sub(twice, old);
                b.add(sum, pull)
            };
            let func = b.finish(vec![next, u]);
            step = Step { func, captured: forces.captured.clone(), initial: vec![first[0].clone(), former] };
            // v = (u - u⁻)/h + h a/2
            let mut b = Builder::new("state");
            let (u, old) = (b.input(half.clone()), b.input(half));
            let t = b.input(Type::f64([]));
            let p: Vec<Value> = p_types.iter().map(|ty| b.input(ty.clone())).collect();
            let change = b.sub(u, old);
            let mean = b.scale(change, 1.0 / h);
            let args: Vec<Value> = [t, u, mean].into_iter().chain(p).collect();
            let a = b.inline(&forces.func, &args)[0];
            let more = b.scale(a, 0.5 * h);
            let v = b.add(mean, more);
            let whole = pairs.whole(&mut b, u, v);
            complete = b.finish(vec![whole]);
        }
        if damped && !affine_in_velocity(&forces.func) {
            return refuse("it is not linear in `∂t(u)`");
        }
        Ok((step, complete, forces.captured))
    }

    fn forces(&mut self, run: &Run, pairs: &Pairs) -> Result<Forces> {
        let (rates, captured) = self.rates(run, &pairs.shape)?;
        let mut b = Builder::new("forces");
        let t = b.input(Type::f64([]));
        let half = Type::f64(pairs.half());
        let (u, v) = (b.input(half.clone()), b.input(half));
        let whole = pairs.whole(&mut b, u, v);
        let mut args = vec![t, whole];
        args.extend(rates.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect::<Vec<_>>());
        let all = b.inline(&rates, &args)[0];
        let a = pairs.part(&mut b, all, true);
        Ok(Forces { func: b.finish(vec![a]), captured })
    }
}

/// The forces at rest, without the argument of velocities.
fn undamped(forces: &Func) -> Func {
    let mut b = Builder::new(forces.name.clone());
    let t = b.input(Type::f64([]));
    let u = b.input(forces.inputs[1].clone());
    let zero = b.zeros(&forces.inputs[2]);
    let p: Vec<Value> = forces.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect();
    let args: Vec<Value> = [t, u, zero].into_iter().chain(p).collect();
    let out = b.inline(forces, &args);
    b.finish(out)
}

fn affine_in_velocity(forces: &Func) -> bool {
    let mut slope = ad::jvp(forces, &[2]);
    slope.outputs.remove(0);
    !Reach::of(&crate::ir::build::drop_dead(slope)).depends(0, 2)
}
