//! Linear combinations of shifted fields inside loops over time, as one sum each: `Σ_w w (u[i+k] + u[i-k] + …)`, equal weights taken
//! together. Differences of fluxes that are themselves differences become the stencil that they amount to.

use crate::ir::{Binary, Builder, Func, Op, Unary, Value, build};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// In the bodies of scans, at any depth. Sums are then taken in another, fixed order.
pub fn stencils(f: &Func) -> Func {
    build::rebuild(f, &mut |op| match op {
        Op::Scan { body, length, carry, xs, reverse } => {
            Op::Scan { body: Arc::new(collapsed(&body)), length, carry, xs, reverse }
        }
        other => other,
    })
}

/// Shifts along each axis.
type Shift = Vec<isize>;

/// `Σ weight · base[i - shift] + constant`
#[derive(Clone, Default)]
struct Form {
    terms: BTreeMap<(Value, Shift), f64>,
    constant: f64,
}

/// Longer sums are left as they are.
const LONGEST: usize = 150;

fn collapsed(f: &Func) -> Func {
    let forms = forms(f);
    // Read by something that is not linear: what is written out anew.
    let mut ends: HashSet<Value> = f.outputs.iter().copied().collect();
    for (v, node) in f.values() {
        if is_base(&forms, v) {
            ends.extend(node.args.iter().copied());
        }
    }
    let mut b = Builder::new(f.name.clone());
    let mut new: Vec<Value> = Vec::with_capacity(f.nodes.len());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    for (v, node) in f.values() {
        let plain = |b: &mut Builder, new: &[Value]| {
            let args: Vec<Value> = node.args.iter().map(|a| new[a.index()]).collect();
            match node.op {
                Op::Input(k) => inputs[k],
                ref op => b.op(op.clone(), &args),
            }
        };
        let mine = match &forms[v.index()] {
            Some(form) if ends.contains(&v) && gains(f, &forms, v, form) => written(&mut b, f, v, form, &new),
            _ => plain(&mut b, &new),
        };
        new.push(mine);
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()]).collect())
}

/// Of each node its form; None where it is no float field.
fn forms(f: &Func) -> Vec<Option<Form>> {
    let mut forms: Vec<Option<Form>> = Vec::with_capacity(f.nodes.len());
    for (v, node) in f.values() {
        let ty = &node.types[0];
        let form = (ty.dtype.is_float() && ty.rank() > 0 && node.types.len() == 1).then(|| {
            let own = || Form { terms: [((v, vec![0; ty.rank()]), 1.0)].into(), constant: 0.0 };
            linear(f, v, &forms).filter(|l| l.terms.len() <= LONGEST).unwrap_or_else(own)
        });
        forms.push(form);
    }
    forms
}

fn is_base(forms: &[Option<Form>], v: Value) -> bool {
    forms[v.index()].as_ref().is_none_or(|f| f.terms.keys().any(|(base, _)| *base == v))
}

/// The form of a node that is linear in its arguments.
fn linear(f: &Func, v: Value, forms: &[Option<Form>]) -> Option<Form> {
    let node = f.node(v);
    let of = |k: usize| forms[node.args[k].index()].clone();
    let number = |k: usize| f.splat(node.args[k]);
    match &node.op {
        Op::Broadcast { .. } | Op::Const(_) => f.splat(v).map(|constant| Form { terms: BTreeMap::new(), constant }),
        Op::Unary(Unary::Neg) => Some(of(0)?.times(-1.0)),
        Op::Binary(Binary::Add) => Some(of(0)?.plus(of(1)?)),
        Op::Binary(Binary::Sub) => Some(of(0)?.plus(of(1)?.times(-1.0))),
        Op::Binary(Binary::Mul) => match (number(0), number(1)) {
            (Some(w), _) => Some(of(1)?.times(w)),
            (_, Some(w)) => Some(of(0)?.times(w)),
            _ => None,
        },
        Op::Binary(Binary::Div) => number(1).filter(|w| *w != 0.0).and_then(|w| Some(of(0)?.times(1.0 / w))),
        Op::Roll { axis, shift } => {
            let n = node.types[0].shape[*axis] as isize;
            let k = shift.rem_euclid(n);
            let k = if 2 * k > n { k - n } else { k };
            let moved = of(0)?.terms.into_iter().map(|((base, mut s), w)| {
                s[*axis] += k;
                ((base, s), w)
            });
            let constant = of(0)?.constant;
            Some(Form { terms: moved.collect(), constant })
        }
        _ => None,
    }
}

impl Form {
    fn times(mut self, w: f64) -> Form {
        self.terms.values_mut().for_each(|t| *t *= w);
        self.constant *= w;
        self
    }

    fn plus(mut self, other: Form) -> Form {
        for (k, w) in other.terms {
            *self.terms.entry(k).or_insert(0.0) += w;
        }
        self.constant += other.constant;
        self
    }

    /// By base; weights that are rounding of nothing are left out.
    fn bases(&self) -> BTreeMap<Value, Vec<(Shift, f64)>> {
        let mut all: BTreeMap<Value, Vec<(Shift, f64)>> = BTreeMap::new();
        for ((base, shift), &w) in &self.terms {
            all.entry(*base).or_default().push((shift.clone(), w));
        }
        for terms in all.values_mut() {
            let largest = terms.iter().map(|t| t.1.abs()).fold(0.0, f64::max);
            terms.retain(|t| t.1.abs() > 1e-14 * largest);
        }
        all.retain(|_, terms| !terms.is_empty());
        all
    }

    fn operations(&self) -> usize {
        self.bases().values().map(|terms| terms.len() + groups(terms).len()).sum::<usize>() + 1
    }
}

/// Shifts with one weight, largest weights last; a weight and its negative are two.
fn groups(terms: &[(Shift, f64)]) -> Vec<(f64, Vec<Shift>)> {
    let mut groups: Vec<(f64, Vec<Shift>)> = vec![];
    for (shift, w) in terms {
        match groups.iter_mut().find(|g| (g.0 - w).abs() <= 4e-15 * w.abs()) {
            Some(group) => group.1.push(shift.clone()),
            None => groups.push((*w, vec![shift.clone()])),
        }
    }
    groups.sort_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
    groups
}

/// Whether the sum takes fewer operations than what it stands for, where nothing between is kept.
fn gains(f: &Func, forms: &[Option<Form>], v: Value, form: &Form) -> bool {
    let shifted = form.terms.keys().any(|(_, s)| s.iter().any(|k| *k != 0));
    if !shifted || form.terms.keys().any(|(base, _)| *base == v) {
        return false;
    }
    let mut seen: HashSet<(Value, Shift)> = HashSet::new();
    let mut stack = vec![(v, vec![0isize; f.ty(v).rank()])];
    let mut count = 0;
    while let Some((v, at)) = stack.pop() {
        if is_base(forms, v) || !seen.insert((v, at.clone())) {
            continue;
        }
        let node = f.node(v);
        count += !matches!(node.op, Op::Roll { .. } | Op::Broadcast { .. } | Op::Const(_)) as usize;
        for &a in &node.args {
            let mut there = at.clone();
            if let Op::Roll { axis, shift } = &node.op {
                let n = node.types[0].shape[*axis] as isize;
                let k = shift.rem_euclid(n);
                there[*axis] += if 2 * k > n { k - n } else { k };
            }
            if f.ty(a).rank() == there.len() {
                stack.push((a, there));
            }
        }
        if count > 10_000 {
            return true;
        }
    }
    form.operations() < count
}

fn written(b: &mut Builder, f: &Func, v: Value, form: &Form, new: &[Value]) -> Value {
    let ty = f.ty(v).clone();
    let mut sum: Option<Value> = None;
    let mut add = |b: &mut Builder, term: Value| {
        sum = Some(match sum {
            Some(s) => b.add(s, term),
            None => term,
        });
    };
    let mut whole: Vec<Value> = vec![];
    for (base, mut terms) in form.bases() {
        let from = new[base.index()];
        let middle = terms.iter().position(|t| t.0.iter().all(|k| *k == 0));
        let others: f64 = terms.iter().filter(|t| t.0.iter().any(|k| *k != 0)).map(|t| t.1).sum();
        if let Some(m) = middle
            && others != 0.0
            && (terms[m].1 + others - 1.0).abs() < 1e-12
        {
            // The value itself and a sum whose weights add up to nothing: what is conserved stays so to rounding.
            whole.push(from);
            terms[m].1 = -others;
        }
        for (weight, shifts) in groups(&terms) {
            let mut group: Option<Value> = None;
            for shift in shifts {
                let mut u = from;
                for (axis, &k) in shift.iter().enumerate().filter(|(_, k)| **k != 0) {
                    u = b.op(Op::Roll { axis, shift: k }, &[u]);
                }
                group = Some(group.map_or(u, |g| b.add(g, u)));
            }
            let term = b.scale(group.expect("a group has members"), weight);
            add(b, term);
        }
    }
    if form.constant != 0.0 {
        let c = b.full(&ty, form.constant);
        add(b, c);
    }
    for u in whole {
        add(b, u);
    }
    sum.unwrap_or_else(|| b.zeros(&ty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;
    use crate::ir::{Tensor, Type};

    /// u + h ∇·(k ∇u) with fluxes at faces, periodic: becomes the five-point stencil, with six additions and two products.
    #[test]
    fn fluxes_of_differences_become_one_stencil() {
        let n = [12, 9];
        let mut b = Builder::new("step");
        let u = b.input(Type::f64(n));
        let mut out = u;
        for axis in 0..2 {
            let right = b.op(Op::Roll { axis, shift: -1 }, &[u]);
            let d = b.sub(right, u);
            let d = b.scale(d, 7.0);
            let flux = b.scale(d, -0.3);
            let left = b.op(Op::Roll { axis, shift: 1 }, &[flux]);
            let div = b.sub(flux, left);
            let div = b.scale(div, 0.05);
            out = b.sub(out, div);
        }
        let body = b.finish(vec![out]);
        let g = collapsed(&body);
        let count = |f: &Func| f.nodes.iter().filter(|n| matches!(n.op, Op::Binary(_) | Op::Unary(_))).count();
        assert_eq!(count(&g), 7, "{g:?}");
        let x = Tensor::f64(n, (0..108).map(|i| ((i * i) % 17) as f64 * 0.1).collect::<Vec<_>>());
        let (a, b) = (eval(&body, std::slice::from_ref(&x)).unwrap(), eval(&g, &[x]).unwrap());
        let worst = a[0].to_f64().iter().zip(b[0].to_f64().iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-15, "{worst:e}");
    }
}
