//! What follows from the equations of a system of numbers, as functions: the implicit form, the rates, the forces.

use super::equations::Quantity;
use crate::ad;
use crate::ir::build::drop_dead;
use crate::ir::{Binary, Builder, Func, Op, SolveSpec, Type, Unary, Value};
use std::sync::Arc;

/// Which outputs of a function depend on which inputs.
pub struct Reach(Vec<Vec<bool>>);

impl Reach {
    pub fn of(f: &Func) -> Reach {
        let mut sets: Vec<Vec<bool>> = Vec::with_capacity(f.nodes.len());
        for node in &f.nodes {
            let mut set = vec![false; f.inputs.len()];
            if let Op::Input(k) = node.op {
                set[k] = true;
            }
            for a in &node.args {
                set.iter_mut().zip(&sets[a.index()]).for_each(|(s, a)| *s |= a);
            }
            sets.push(set);
        }
        Reach(f.outputs.iter().map(|o| sets[o.index()].clone()).collect())
    }

    pub fn depends(&self, output: usize, input: usize) -> bool {
        self.0[output][input]
    }
}

/// Arguments of the raw function: `t, (x, v, a)…`, from the state and, where given, its rates. `top` stands for what has no value.
fn raw_arguments(b: &mut Builder, unknowns: &[Quantity], t: Value, u: Value, w: Option<Value>) -> Vec<Value> {
    let mut args = vec![t];
    for q in unknowns {
        let part = |b: &mut Builder, of: Value, at: usize| {
            let s = b.slice(of, 0, at, at + q.len());
            b.reshape(s, &q.shape)
        };
        let zero = b.zeros(&Type::f64(q.shape.clone()));
        let x = part(b, u, q.value);
        let top = match w {
            Some(w) => part(b, w, q.top()),
            None => zero,
        };
        match (q.order, q.velocity) {
            (2, Some(at)) => {
                let v = part(b, u, at);
                args.extend([x, v, top]);
            }
            (1, _) => args.extend([x, top, zero]),
            _ => args.extend([x, zero, zero]),
        }
    }
    args
}

/// The first `count` outputs.
fn head(f: &Func, count: usize) -> Func {
    let mut f = f.clone();
    f.outputs.truncate(count);
    drop_dead(f)
}

/// `(t, u[n], w[n], captured…) → F[n]`: the equations, then `w - velocity` of each unknown of second order.
pub fn implicit(raw: &Func, unknowns: &[Quantity], n: usize, count: usize) -> Func {
    let raw = head(raw, count);
    let mut b = Builder::new(raw.name.clone());
    let t = b.input(Type::f64([]));
    let (u, w) = (b.input(Type::f64([n])), b.input(Type::f64([n])));
    let captured: Vec<Value> = raw.inputs[1 + 3 * unknowns.len()..].iter().map(|ty| b.input(ty.clone())).collect();
    let mut args = raw_arguments(&mut b, unknowns, t, u, Some(w));
    args.extend(captured);
    let mut rows: Vec<Value> = b.inline(&raw, &args).into_iter().map(|r| flat(&mut b, r)).collect();
    for q in unknowns {
        if let Some(at) = q.velocity {
            let rate = b.slice(w, 0, q.value, q.value + q.len());
            let velocity = b.slice(u, 0, at, at + q.len());
            rows.push(b.sub(rate, velocity));
        }
    }
    let all = b.concat(&rows, 0);
    b.finish(vec![all])
}

fn flat(b: &mut Builder, v: Value) -> Value {
    let len = b.ty(v).len();
    b.reshape(v, &[len])
}

/// `(t, u[n], captured…) → du/dt[n]`, where each equation holds the highest rate of one unknown, times a factor without rates.
pub fn explicit(raw: &Func, reach: &Reach, unknowns: &[Quantity], n: usize, count: usize) -> Option<Func> {
    let top_input = |k: usize| 1 + 3 * k + unknowns[k].order;
    if unknowns.iter().any(|u| u.order == 0) || unknowns.len() != count {
        return None;
    }
    let mut of = vec![];
    for k in 0..unknowns.len() {
        let mut holding = (0..count).filter(|&o| reach.depends(o, top_input(k)));
        let (o, None) = (holding.next()?, holding.next()) else { return None };
        let alone = (0..unknowns.len()).all(|j| j == k || !reach.depends(o, top_input(j)));
        if !alone || raw.ty(raw.outputs[o]).shape != unknowns[k].shape {
            return None;
        }
        of.push(o);
    }
    let equations = head(raw, count);
    // Slopes of the equations in the rates: inputs of the raw function, then a direction for each rate.
    let mut b = Builder::new("slopes");
    let inputs: Vec<Value> = raw.inputs.iter().map(|t| b.input(t.clone())).collect();
    let mut tangents = vec![None; inputs.len()];
    for k in 0..unknowns.len() {
        tangents[top_input(k)] = Some(b.input(raw.inputs[top_input(k)].clone()));
    }
    let (_, slopes) = ad::jvp_into(&mut b, &equations, &inputs, &tangents);
    let outputs = slopes.into_iter().collect::<Option<Vec<Value>>>()?;
    let slopes = b.finish(outputs);
    let free = Reach::of(&slopes);
    let tops: Vec<usize> = (0..unknowns.len()).map(top_input).collect();
    if (0..count).any(|o| tops.iter().any(|&i| free.depends(o, i))) {
        return None;
    }
    if !(0..unknowns.len()).all(|k| elementwise(&slopes, of[k], raw.inputs.len() + k)) {
        return None;
    }
    let mut b = Builder::new(format!("rates of {}", raw.name));
    let t = b.input(Type::f64([]));
    let u = b.input(Type::f64([n]));
    let captured: Vec<Value> = raw.inputs[1 + 3 * unknowns.len()..].iter().map(|ty| b.input(ty.clone())).collect();
    let mut args = raw_arguments(&mut b, unknowns, t, u, None);
    args.extend(captured);
    let rest = b.inline(&equations, &args);
    args.extend(unknowns.iter().map(|q| b.full(&Type::f64(q.shape.clone()), -1.0)).collect::<Vec<_>>());
    let factors = b.inline(&slopes, &args);
    let mut parts: Vec<(usize, Value)> = vec![];
    for (k, q) in unknowns.iter().enumerate() {
        let rate = b.div(rest[of[k]], factors[of[k]]);
        parts.push((q.top(), flat(&mut b, rate)));
        if let Some(at) = q.velocity {
            parts.push((q.value, b.slice(u, 0, at, at + q.len())));
        }
    }
    parts.sort_by_key(|(at, _)| *at);
    let parts: Vec<Value> = parts.into_iter().map(|(_, v)| v).collect();
    let all = b.concat(&parts, 0);
    Some(b.finish(vec![all]))
}

/// Whether an output is an input times factors, element by element.
fn elementwise(f: &Func, output: usize, input: usize) -> bool {
    let mut on = vec![false; f.nodes.len()];
    for (v, node) in f.values() {
        let i = v.index();
        if let Op::Input(k) = node.op {
            on[i] = k == input;
            continue;
        }
        let args: Vec<bool> = node.args.iter().map(|a| on[a.index()]).collect();
        if !args.contains(&true) {
            continue;
        }
        on[i] = match node.op {
            Op::Unary(Unary::Neg) | Op::Binary(Binary::Add | Binary::Sub | Binary::Mul) => true,
            Op::Binary(Binary::Div) => !args[1],
            _ => false,
        };
        if !on[i] {
            return false;
        }
    }
    on[f.outputs[output].index()]
}

/// The same by solving for the rates: systems with a mass matrix, or whose equations are not linear in the rates.
pub fn by_solve(implicit: &Func, name: &str) -> Func {
    let n = implicit.inputs[1].len();
    // (w, t, u, captured…) → F
    let mut b = Builder::new(implicit.name.clone());
    let w = b.input(implicit.inputs[2].clone());
    let t = b.input(implicit.inputs[0].clone());
    let u = b.input(implicit.inputs[1].clone());
    let mut args = vec![t, u, w];
    args.extend(implicit.inputs[3..].iter().map(|ty| b.input(ty.clone())).collect::<Vec<_>>());
    let out = b.inline(implicit, &args);
    let residual = b.finish(out);
    let spec = SolveSpec { name: format!("rates of {name}"), linear: affine(&residual), ..SolveSpec::default() };
    let mut b = Builder::new(format!("rates of {name}"));
    let inputs: Vec<Value> = residual.inputs[1..].iter().map(|ty| b.input(ty.clone())).collect();
    let mut args = vec![b.zeros(&Type::f64([n]))];
    args.extend(inputs);
    let w = b.op(Op::Solve { residual: Arc::new(residual), spec: Arc::new(spec) }, &args);
    b.finish(vec![w])
}

/// Whether a residual is affine in its first argument.
pub fn affine(residual: &Func) -> bool {
    let slope = ad::jvp(residual, &[0]);
    let last = slope.outputs.len() - 1;
    let mut only = slope;
    only.outputs = vec![only.outputs[last]];
    !Reach::of(&drop_dead(only)).depends(0, 0)
}

/// `(t, values, captured…) → accelerations`, from rates of a system that is of second order throughout.
pub fn forces(rates: &Func, n: usize) -> Func {
    let mut b = Builder::new(rates.name.clone());
    let t = b.input(Type::f64([]));
    let x = b.input(Type::f64([n / 2]));
    let zero = b.zeros(&Type::f64([n / 2]));
    let u = b.concat(&[x, zero], 0);
    let mut args = vec![t, u];
    args.extend(rates.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect::<Vec<_>>());
    let w = b.inline(rates, &args)[0];
    let a = b.slice(w, 0, n / 2, n);
    b.finish(vec![a])
}

/// `(t, u[n], captured…) → lets`, the outputs of the raw function from `skip` on.
pub fn lets(raw: &Func, unknowns: &[Quantity], n: usize, skip: usize, rates: Option<&Func>) -> Func {
    let mut last = raw.clone();
    last.outputs.drain(..skip);
    let last = drop_dead(last);
    let reach = Reach::of(&last);
    let moves = (0..last.outputs.len())
        .any(|o| unknowns.iter().enumerate().any(|(k, q)| q.order > 0 && reach.depends(o, 1 + 3 * k + q.order)));
    let mut b = Builder::new(format!("lets of {}", raw.name));
    let t = b.input(Type::f64([]));
    let u = b.input(Type::f64([n]));
    let captured: Vec<Value> = raw.inputs[1 + 3 * unknowns.len()..].iter().map(|ty| b.input(ty.clone())).collect();
    let w = rates.filter(|_| moves).map(|f| {
        let args: Vec<Value> = [t, u].into_iter().chain(captured.iter().copied()).collect();
        b.inline(f, &args)[0]
    });
    let mut args = raw_arguments(&mut b, unknowns, t, u, w);
    args.extend(captured);
    let out = b.inline(&last, &args);
    b.finish(out)
}
