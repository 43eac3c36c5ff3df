//! Linear combinations of shifted fields inside loops over time, as one sum each: `Σ_w w (u[i+k] + u[i-k] + …)`, equal weights taken
//! together. Differences of fluxes that are themselves differences become the stencil that they amount to.

mod form;

use crate::ir::{Binary, Builder, Func, Node, Op, Type, Unary, Value, build};
use form::{Form, Term, Tree};
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

/// Every value that something other than a linear operation reads, written out anew where that takes fewer operations.
fn collapsed(f: &Func) -> Func {
    let mut ends: HashSet<Value> = f.outputs.iter().copied().collect();
    for (v, node) in f.values() {
        if !form::is_linear(f, v) {
            ends.extend(node.args.iter().copied());
        }
    }
    // Where a step compares or divides, what it reads must fit together to the bit (the differences of a limiter and their sum):
    // each value that it computes is then the one that all others are made of.
    let opaque = if f.nodes.iter().any(|node| decides(f, node)) { ends.clone() } else { HashSet::new() };
    let mut b = Builder::new(f.name.clone());
    let mut new: Vec<Value> = Vec::with_capacity(f.nodes.len());
    let inputs: Vec<Value> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    for (v, node) in f.values() {
        let args: Vec<Value> = node.args.iter().map(|a| new[a.index()]).collect();
        let plain = match node.op {
            Op::Input(k) => inputs[k],
            ref op => b.op(op.clone(), &args),
        };
        let is_end = ends.contains(&v) && form::is_linear(f, v) && f.ty(v).len() > 1;
        let tree = if is_end { form::boxes(f, v, &opaque).filter(gains) } else { None };
        new.push(tree.map_or(plain, |tree| joined(&mut b, &tree, &new, plain)));
    }
    b.finish(f.outputs.iter().map(|v| new[v.index()]).collect())
}

/// Small differences of what is read may change the result much.
fn decides(f: &Func, node: &Node) -> bool {
    match node.op {
        Op::Compare(_) | Op::Select | Op::Unary(Unary::Abs | Unary::Sign | Unary::Floor | Unary::Sqrt | Unary::Log) => {
            true
        }
        Op::Binary(Binary::Div) => f.splat(node.args[1]).is_none(),
        Op::Binary(op) => !matches!(op, Binary::Add | Binary::Sub | Binary::Mul),
        _ => false,
    }
}

/// Whether something is shifted, and the sums take fewer operations than what they stand for where nothing between is kept: judged by
/// the largest box.
fn gains(tree: &Tree) -> bool {
    fn largest(tree: &Tree) -> (usize, bool) {
        match tree {
            Tree::Leaf { low, high, form, count } => {
                let points = low.iter().zip(high).map(|(l, h)| h - l).product();
                let shifted = |t: &Term| t.place.iter().any(|p| p.axis.is_some() && p.by != 0);
                (points, form.terms.keys().any(shifted) && operations(form) < *count)
            }
            Tree::Split(_, two) => two.iter().map(largest).max_by_key(|l| l.0).expect("two"),
        }
    }
    largest(tree).1
}

fn operations(form: &Form) -> usize {
    let mut terms = kept(form);
    for own in united(&terms) {
        // One product and no sum between them.
        terms.retain(|t| !own[1..].contains(t));
    }
    let products = groups(&terms).iter().filter(|g| g.weight.abs() != 1.0 || !g.plus[0].factors.is_empty()).count();
    (terms.len() + products).saturating_sub(1)
}

/// The boxes of a tree, joined again.
fn joined(b: &mut Builder, tree: &Tree, new: &[Value], plain: Value) -> Value {
    match tree {
        Tree::Leaf { low, high, form, count } => {
            let fewer = operations(form) <= *count;
            let shape = low.iter().zip(high).map(|(l, h)| h - l).collect();
            let ty = Type { shape, ..b.ty(plain).clone() };
            let sum = if fewer { written(b, form, (low, high), &ty, new) } else { None };
            sum.unwrap_or_else(|| part(b, plain, low, high))
        }
        Tree::Split(axis, _) => {
            let mut parts = vec![];
            along(tree, *axis, &mut parts);
            let parts: Vec<Value> = parts.into_iter().map(|t| joined(b, t, new, plain)).collect();
            b.concat(&parts, *axis)
        }
    }
}

fn along<'t>(tree: &'t Tree, axis: usize, parts: &mut Vec<&'t Tree>) {
    match tree {
        Tree::Split(a, two) if *a == axis => two.iter().for_each(|t| along(t, axis, parts)),
        _ => parts.push(tree),
    }
}

fn part(b: &mut Builder, v: Value, low: &[usize], high: &[usize]) -> Value {
    if low.iter().all(|&l| l == 0) && *high == b.ty(v).shape {
        return v;
    }
    b.op(Op::Slice { start: low.to_vec(), end: high.to_vec(), stride: vec![1; low.len()] }, &[v])
}

/// Terms of one base and one product of numbers; weights that are rounding of nothing are left out.
fn kept(form: &Form) -> Vec<(&Term, f64)> {
    let mut largest: BTreeMap<(Option<Value>, &[Value]), f64> = BTreeMap::new();
    for (t, w) in &form.terms {
        let most = largest.entry((t.base, &t.factors[..])).or_insert(0.0);
        *most = most.max(w.abs());
    }
    let matters = |t: &Term, w: f64| w.abs() > 1e-14 * largest[&(t.base, &t.factors[..])];
    form.terms.iter().map(|(t, w)| (t, *w)).filter(|(t, w)| matters(t, *w)).collect()
}

/// Terms of one element that several products of numbers go with: one product is enough. But not where for each of them all that goes over the
/// neighbours adds up to nothing, or makes all weights one: a rounded sum would lose what is conserved.
fn united<'a>(terms: &[(&'a Term, f64)]) -> Vec<Vec<(&'a Term, f64)>> {
    let mut all: Vec<Vec<(&Term, f64)>> = vec![];
    for &(term, w) in terms.iter().filter(|(term, _)| term.base.is_some()) {
        match all.iter_mut().find(|own| (own[0].0.base, &own[0].0.place) == (term.base, &term.place)) {
            Some(own) => own.push((term, w)),
            None => all.push(vec![(term, w)]),
        }
    }
    let conserves = |own: &(&Term, f64)| {
        let same = terms.iter().filter(|t| t.0.is_beside(own.0) && t.0.factors == own.0.factors);
        let total: f64 = same.map(|t| t.1).sum();
        let wanted = if own.0.factors.is_empty() { 1.0 } else { 0.0 };
        (total - wanted).abs() < 1e-12 * own.1.abs().max(1.0)
    };
    all.retain(|own| own.len() > 1 && !own.iter().all(conserves));
    all
}

/// `weight (Σ plus - Σ minus)`, of the same numbers.
struct Group<'a> {
    weight: f64,
    plus: Vec<&'a Term>,
    minus: Vec<&'a Term>,
}

/// Terms of one weight or its negative together, largest weights last.
fn groups<'a>(terms: &[(&'a Term, f64)]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = vec![];
    for &(term, w) in terms {
        // Of one base up to rounding.
        let near = |x: f64, g: &Group| {
            let mut members = g.plus.iter().chain(&g.minus);
            x == w || (x - w).abs() <= 4e-15 * w.abs() && members.any(|t| t.base == term.base)
        };
        let same = |g: &&mut Group| (near(g.weight, g) || near(-g.weight, g)) && alike(g.plus[0], term);
        match groups.iter_mut().find(same) {
            Some(group) if near(group.weight, group) => group.plus.push(term),
            Some(group) => group.minus.push(term),
            None => groups.push(Group { weight: w, plus: vec![term], minus: vec![] }),
        }
    }
    groups.sort_by(|a, b| a.weight.abs().total_cmp(&b.weight.abs()));
    groups
}

fn alike(a: &Term, b: &Term) -> bool {
    a.factors == b.factors && a.base.is_some() == b.base.is_some()
}

/// The sum over a box; None where an array does not lie along it.
fn written(b: &mut Builder, form: &Form, (low, high): (&[usize], &[usize]), ty: &Type, new: &[Value]) -> Option<Value> {
    let mut terms = kept(form);
    let mut arrays = vec![];
    for own in united(&terms) {
        let u = window(b, own[0].0, low, high, new)?;
        let factor = own.iter().map(|(term, w)| {
            let weight = b.full(&Type::scalar(ty.dtype), *w);
            term.factors.iter().fold(weight, |w, k| b.mul(w, new[k.index()]))
        });
        let factors: Vec<Value> = factor.collect();
        let factor = factors.into_iter().reduce(|sum, w| b.add(sum, w)).expect("several terms");
        arrays.push(b.mul(u, factor));
        terms.retain(|t| !own.contains(t));
    }
    // The value itself and a sum whose weights add up to nothing, or a weight that makes all of them one to the bit: what is conserved
    // stays so to rounding.
    let mut sums: Vec<Value> = vec![];
    for k in 0..terms.len() {
        let (middle, own) = terms[k];
        if !middle.factors.is_empty() || !middle.is_middle(low) {
            continue;
        }
        let of_base = |t: &(&Term, f64)| t.0.is_beside(middle) && t.0.factors.is_empty() && t.0 != middle;
        let others: Vec<(&Term, f64)> = terms.iter().copied().filter(of_base).collect();
        let total: f64 = others.iter().map(|t| t.1).sum();
        if total == 0.0 || (own + total - 1.0).abs() >= 1e-12 {
            continue;
        }
        let u = window(b, middle, low, high, new)?;
        terms[k].1 = 0.0;
        match exact_rest(&groups(&others)) {
            Some(rest) => {
                let rest = b.scale(u, rest);
                sums.push(rest);
            }
            None => {
                sums.push(u);
                terms[k].1 = if total.abs() > 1e-14 { -total } else { 0.0 };
            }
        }
    }
    terms.retain(|t| t.1 != 0.0);
    let mut constants = vec![];
    for Group { weight, plus, minus } in groups(&terms) {
        let weight = b.full(&Type::scalar(ty.dtype), weight);
        let weight = plus[0].factors.iter().fold(weight, |w, k| b.mul(w, new[k.index()]));
        if plus[0].base.is_none() {
            constants.push(b.broadcast_to(weight, &ty.shape));
            continue;
        }
        let total = |b: &mut Builder, terms: &[&Term]| -> Option<Option<Value>> {
            let mut sum: Option<Value> = None;
            for term in terms {
                let u = window(b, term, low, high, new)?;
                sum = Some(sum.map_or(u, |s| b.add(s, u)));
            }
            Some(sum)
        };
        let (plus, minus) = (total(b, &plus)?, total(b, &minus)?);
        let sum = plus.zip(minus).map(|(p, m)| b.sub(p, m)).or(plus);
        arrays.push(b.mul(sum.expect("a group has members"), weight));
    }
    let all = arrays.into_iter().chain(constants).chain(sums);
    Some(all.reduce(|sum, term| b.add(sum, term)).unwrap_or_else(|| b.zeros(ty)))
}

/// What is left to 1 of the weights of these groups, if it is a number to the bit.
fn exact_rest(groups: &[Group]) -> Option<f64> {
    let mut rest = 1.0;
    for g in groups {
        let count = g.plus.len() as f64 - g.minus.len() as f64;
        let all = count * g.weight;
        let next: f64 = rest - all;
        // The errors of this product and of this difference. [Dekker 1971; Knuth, TAOCP 2, §4.2.2]
        let part = next - rest;
        let lost = (rest - (next - part)) - (all + part);
        if count.mul_add(g.weight, -all) != 0.0 || lost != 0.0 {
            return None;
        }
        rest = next;
    }
    Some(rest)
}

/// What a term reads of its base, over a box.
fn window(b: &mut Builder, term: &Term, low: &[usize], high: &[usize], new: &[Value]) -> Option<Value> {
    let mut u = new[term.base?.index()];
    let from = b.ty(u).shape.clone();
    let (mut first, mut last) = (vec![0; from.len()], from.clone());
    for (k, p) in term.place.iter().enumerate() {
        let mut by = p.by;
        if p.around {
            u = b.op(Op::Roll { axis: k, shift: -by }, &[u]);
            by = 0;
        }
        let (l, h) = p.axis.map_or((0, 1), |a| (low[a] as isize, high[a] as isize));
        (first[k], last[k]) = (usize::try_from(l + by).ok()?, usize::try_from(h + by).ok()?);
        if last[k] > from[k] {
            return None;
        }
    }
    let u = part(b, u, &first, &last);
    let shape: Vec<usize> = low.iter().zip(high).map(|(l, h)| h - l).collect();
    let axes: Vec<usize> = term.place.iter().filter_map(|p| p.axis).collect();
    if !axes.windows(2).all(|w| w[0] < w[1]) {
        return None;
    }
    if b.ty(u).len() == shape.iter().product::<usize>() {
        return Some(b.reshape(u, &shape));
    }
    let long: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
    let u = b.reshape(u, &long);
    Some(b.op(Op::Broadcast { shape, axes }, &[u]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Tensor;
    use crate::ir::eval::eval;

    fn arithmetic(f: &Func) -> usize {
        f.nodes.iter().filter(|n| matches!(n.op, Op::Binary(_) | Op::Unary(_))).count()
    }

    fn agree(f: &Func, g: &Func, inputs: &[Tensor]) {
        let (a, b) = (eval(f, inputs).unwrap(), eval(g, inputs).unwrap());
        let worst = a[0].to_f64().iter().zip(b[0].to_f64().iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-14, "{worst:e}");
    }

    fn field(n: [usize; 2]) -> Tensor {
        Tensor::f64(n, (0..n[0] * n[1]).map(|i| ((i * i) % 17) as f64 * 0.1).collect::<Vec<_>>())
    }

    /// u + h ∇·(k ∇u) with fluxes at faces, periodic: becomes the five-point stencil. Its weights add up to one to the bit: with one for
    /// the middle that does so where there is one (four additions and two products), else by the value itself and a difference.
    #[test]
    fn fluxes_of_differences_become_one_stencil() {
        let n = [12, 9];
        for (k, operations) in [(0.25, 6), (0.1, 7)] {
            let mut b = Builder::new("step");
            let u = b.input(Type::f64(n));
            let mut out = u;
            for axis in 0..2 {
                let right = b.op(Op::Roll { axis, shift: -1 }, &[u]);
                let d = b.sub(right, u);
                let d = b.scale(d, 7.0);
                let flux = b.scale(d, -k);
                let left = b.op(Op::Roll { axis, shift: 1 }, &[flux]);
                let div = b.sub(flux, left);
                let div = b.scale(div, 0.0625);
                out = b.sub(out, div);
            }
            let body = b.finish(vec![out]);
            let g = collapsed(&body);
            assert_eq!(arithmetic(&g), operations, "{g:?}");
            agree(&body, &g, &[field(n)]);
        }
    }

    /// A walled step: ghosts behind the walls of the first axis, no flux through those of the second, and a factor that is an input.
    /// Inside, five points take six sums and products more than the value itself; along the walls other sums stand.
    #[test]
    fn steps_between_walls_become_stencils_box_by_box() {
        let n = [12, 9];
        let mut b = Builder::new("step");
        let (u, k) = (b.input(Type::f64(n)), b.input(Type::f64([])));
        let (first, last) = (b.slice(u, 0, 0, 1), b.slice(u, 0, n[0] - 1, n[0]));
        let ghosts = [b.neg(first), b.neg(last)];
        let wide = b.concat(&[ghosts[0], u, ghosts[1]], 0);
        let (left, right) = (b.slice(wide, 0, 0, n[0] + 1), b.slice(wide, 0, 1, n[0] + 2));
        let d = b.sub(right, left);
        let flux = b.mul(d, k);
        let (left, right) = (b.slice(flux, 0, 0, n[0]), b.slice(flux, 0, 1, n[0] + 1));
        let across = b.sub(right, left);
        let (left, right) = (b.slice(u, 1, 0, n[1] - 1), b.slice(u, 1, 1, n[1]));
        let d = b.sub(right, left);
        let inside = b.mul(d, k);
        let none = b.zeros(&Type::f64([n[0], 1]));
        let flux = b.concat(&[none, inside, none], 1);
        let (left, right) = (b.slice(flux, 1, 0, n[1]), b.slice(flux, 1, 1, n[1] + 1));
        let along = b.sub(right, left);
        let rate = b.add(across, along);
        let next = b.add(u, rate);
        let body = b.finish(vec![next]);
        let g = collapsed(&body);
        let inner = |node: &crate::ir::Node| node.types[0].shape == [n[0] - 2, n[1] - 2];
        let sums = g.nodes.iter().filter(|node| inner(node) && matches!(node.op, Op::Binary(_) | Op::Unary(_)));
        assert_eq!(sums.count(), 7, "{g:?}");
        agree(&body, &g, &[field(n), Tensor::f64([], [0.17])]);
    }

    /// u + h Δu - k u with a number k that is an input: u by 1 - 4h - k, four neighbours by h. Without the loss, or with h as the input, all
    /// weights add up to one, and u stays beside a difference.
    #[test]
    fn what_is_lost_joins_the_weight_of_the_middle() {
        let n = [12, 9];
        for (loss, given, operations) in [(true, false, 6), (true, true, 6), (false, true, 7)] {
            let mut b = Builder::new("step");
            let (u, k, h) = (b.input(Type::f64(n)), b.input(Type::f64([])), b.input(Type::f64([])));
            let mut near = b.scale(u, -4.0);
            for (axis, shift) in [(0, 1), (0, -1), (1, 1), (1, -1)] {
                let moved = b.op(Op::Roll { axis, shift }, &[u]);
                near = b.add(near, moved);
            }
            let h = if given { h } else { b.scalar(0.1) };
            let mut rate = b.mul(near, h);
            if loss {
                let lost = b.mul(u, k);
                rate = b.sub(rate, lost);
            }
            let next = b.add(u, rate);
            let body = b.finish(vec![next]);
            let g = collapsed(&body);
            let over_points = |node: &&Node| node.types[0].len() > 1 && matches!(node.op, Op::Binary(_) | Op::Unary(_));
            assert_eq!(g.nodes.iter().filter(over_points).count(), operations, "{loss} {given} {g:?}");
            agree(&body, &g, &[field(n), Tensor::f64([], [0.17]), Tensor::f64([], [0.1])]);
        }
    }

    /// Two components, each with diffusion and a loss of its own: an element by one product, in either.
    #[test]
    fn components_are_rows_of_one_array() {
        let n = [12, 9];
        let mut b = Builder::new("step");
        let (state, k) = (b.input(Type::f64([2, n[0], n[1]])), b.input(Type::f64([])));
        let rates = [0, 1].map(|c| {
            let u = b.slice(state, 0, c, c + 1);
            let mut near = b.scale(u, -4.0);
            for (axis, shift) in [(1, 1), (1, -1), (2, 1), (2, -1)] {
                let moved = b.op(Op::Roll { axis, shift }, &[u]);
                near = b.add(near, moved);
            }
            let spread = b.scale(near, 0.1 + 0.1 * c as f64);
            let lost = b.mul(u, k);
            b.sub(spread, lost)
        });
        let rate = b.concat(&rates, 0);
        let next = b.add(state, rate);
        let body = b.finish(vec![next]);
        let g = collapsed(&body);
        let over_points = |node: &&Node| node.types[0].len() > 1 && matches!(node.op, Op::Binary(_) | Op::Unary(_));
        assert_eq!(g.nodes.iter().filter(over_points).count(), 12, "{g:?}");
        let fields = [field(n).to_f64().to_vec(), field(n).to_f64().iter().rev().copied().collect()].concat();
        agree(&body, &g, &[Tensor::f64([2, n[0], n[1]], fields), Tensor::f64([], [0.17])]);
    }

    /// Where 2ab/(a + b) is taken only for ab > 0, a + b stays the sum of these a and b: else it may round to nothing.
    #[test]
    fn what_decides_reads_values_that_fit_together() {
        let n = [16];
        let mut b = Builder::new("step");
        let (u, rate) = (b.input(Type::f64(n)), b.input(Type::f64(n)));
        let state = b.add(u, rate);
        let right = b.op(Op::Roll { axis: 0, shift: -1 }, &[state]);
        let (x, left) = (b.sub(right, state), b.op(Op::Roll { axis: 0, shift: 1 }, &[state]));
        let y = b.sub(state, left);
        let (xy, sum) = (b.mul(x, y), b.add(x, y));
        let zero = b.zeros_like(xy);
        let mask = b.compare(crate::ir::Compare::Lt, zero, xy);
        let mean = b.div(xy, sum);
        let slope = b.select(mask, mean, zero);
        let body = b.finish(vec![slope]);
        let g = collapsed(&body);
        assert_eq!(arithmetic(&g), arithmetic(&body), "{g:?}");
    }

    /// Differences of neighbours on both sides take one product.
    #[test]
    fn opposite_weights_share_a_product() {
        let n = [16, 5];
        let mut b = Builder::new("step");
        let u = b.input(Type::f64(n));
        let mut sum = u;
        for (shift, w) in [(-1, 0.3), (1, -0.3), (-2, -0.05), (2, 0.05)] {
            let moved = b.op(Op::Roll { axis: 0, shift }, &[u]);
            let term = b.scale(moved, w);
            sum = b.add(sum, term);
        }
        let body = b.finish(vec![sum]);
        let g = collapsed(&body);
        assert_eq!(arithmetic(&g), 6, "{g:?}");
        agree(&body, &g, &[field(n)]);
    }
}
