//! Backward differentiation formulas of orders 1 to 5.
//!
//! Of one step length: `Σ_{j=1}^k 1/j ∇^j u_{n+1} = h f(u_{n+1})`. [Hairer, Nørsett & Wanner I, §III.1]
//!
//! Of varying length and order: the history is the array of backward differences `∇^j u_n` at equal distances h; a new h interpolates
//! it to new distances, by a small matrix. The formulas are the numerical differentiation formulas, with κ_k as there, whose error is
//! smaller at nearly the same stability. [Shampine & Reichelt 1997, SIAM J. Sci. Comput. 18] Everything that depends on the order is a
//! product with its indicator `[order = 1, …, order = 5]`, so that a try of any order is one function without branches.

use crate::ir::{Binary, Builder, Compare, Dot, Tensor, Type, Value};

/// Formulas of order 6 are barely stable, and none beyond. [Hairer & Wanner II, §V.2]
pub const MAX_ORDER: usize = 5;

/// Differences of a history: two beyond the highest order, whose sizes tell the error of the next order.
pub const ROWS: usize = MAX_ORDER + 3;

const KAPPA: [f64; MAX_ORDER + 1] = [0.0, -0.1850, -1.0 / 9.0, -0.0823, -0.0415, 0.0];

/// Safety factor, and by how much a step may change at once.
const SAFETY: f64 = 0.9;
const SHRINK: f64 = 0.2;
const GROW: f64 = 10.0;

/// A step that ends so near to the end, relative to its length, ends there.
pub const LAST: f64 = 1.0 + 1e-9;

/// A formula of one step length: `u⁺ = Σ_i past[i] u_{n-i} + weight h f(u⁺)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    pub past: Vec<f64>,
    pub weight: f64,
    /// The polynomial through the past at the new time, where Newton's method starts.
    pub guess: Vec<f64>,
}

/// The formula of an order.
pub fn formula(order: usize) -> Formula {
    let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
    // ∇^j u_{n+1} = Σ_i (-1)^i C(j, i) u_{n+1-i}
    let alpha = |i: usize| (i.max(1)..=order).map(|j| sign(i) * binomial(j, i) / j as f64).sum::<f64>();
    Formula {
        past: (1..=order).map(|i| -alpha(i) / alpha(0)).collect(),
        weight: 1.0 / alpha(0),
        guess: (1..=order).map(|i| -sign(i) * binomial(order, i)).collect(),
    }
}

/// The implicit equation of a step, `u - weight f(u) = base`.
pub struct Equation {
    /// The polynomial through the history.
    pub guess: Value,
    pub base: Value,
    pub weight: Value,
}

/// The equation of a step of length h from a history `[ROWS, n]`; `order` is a number 1 to 5.
pub fn equation(b: &mut Builder, history: Value, order: Value, h: Value) -> Equation {
    let on = indicator(b, order);
    let guess_weights = row(b, on, |k, j| if j <= k { 1.0 } else { 0.0 });
    let base_weights = row(b, on, |k, j| {
        let predicted = if j <= k { 1.0 } else { 0.0 };
        let differences = if (1..=k).contains(&j) { gamma(j) / alpha(k) } else { 0.0 };
        predicted - differences
    });
    let part = number(b, on, |k| 1.0 / alpha(k));
    Equation { guess: b.matmul(guess_weights, history), base: b.matmul(base_weights, history), weight: b.mul(part, h) }
}

/// A try: from a history, an order and the number of steps of this length and order so far to `next`, which solves the equation.
#[derive(Clone, Copy)]
pub struct Try {
    pub history: Value,
    pub order: Value,
    pub equal: Value,
    pub h: Value,
    /// What is left up to the end of the run, at least h.
    pub left: Value,
    pub guess: Value,
    pub next: Value,
}

/// What a try leads to: if it was good, the history of the new time.
pub struct Outcome {
    pub good: Value,
    pub history: Value,
    pub order: Value,
    pub equal: Value,
    /// The next step's length.
    pub h: Value,
}

/// Judges a try by `size(former, next, error)`, at most 1 where the error is borne, and chooses the next order and length: where as many
/// steps as the order and one more were alike, those that allow the longest step.
pub fn advance(
    b: &mut Builder,
    step: &Try,
    max_order: usize,
    size: impl Fn(&mut Builder, Value, Value, Value) -> Value,
) -> Outcome {
    let Try { history, order, equal, h, left, guess, next } = *step;
    let on = indicator(b, order);
    let (one, zero, huge) = (b.scalar(1.0), b.scalar(0.0), b.scalar(1e100));
    let former = b.index(history, 0, 0);
    let correction = b.sub(next, guess);
    let measured = |b: &mut Builder, e: Value, constant: Value| {
        let e = b.mul(e, constant);
        let e = size(b, former, next, e);
        let floor = b.scalar(1e-10);
        let e = b.binary(Binary::Max, e, floor);
        let finite = b.compare(Compare::Lt, e, huge);
        b.select(finite, e, huge)
    };
    let constant = number(b, on, error_constant);
    let e = measured(b, correction, constant);
    let good = b.compare(Compare::Le, e, one);
    let none = b.zeros_like(correction);
    let correction = b.select(good, correction, none);

    // Errors of the neighbouring orders, from the differences that the step leaves behind.
    let weights = row(b, on, |k, j| f64::from(u8::from(j == k)));
    let lower = b.matmul(weights, history);
    let lower = b.add(lower, correction);
    let constant = number(b, on, |k| error_constant(k - 1));
    let lower = measured(b, lower, constant);
    let weights = row(b, on, |k, j| f64::from(u8::from(j == k + 1)));
    let higher = b.matmul(weights, history);
    let higher = b.sub(correction, higher);
    let constant = number(b, on, |k| if k < MAX_ORDER { error_constant(k + 1) } else { 0.0 });
    let higher = measured(b, higher, constant);
    let power = |b: &mut Builder, e: Value, shift: f64| {
        let shift = b.scalar(shift);
        let k = b.add(order, shift);
        let minus = b.scalar(-1.0);
        let exponent = b.div(minus, k);
        b.binary(Binary::Pow, e, exponent)
    };
    let (less, same, more) = (power(b, lower, 0.0), power(b, e, 1.0), power(b, higher, 2.0));
    let (least, most) = (b.scalar(1.0), b.scalar(max_order as f64));
    let can_fall = b.compare(Compare::Lt, least, order);
    let can_rise = b.compare(Compare::Lt, order, most);
    let (less, more) = (b.select(can_fall, less, zero), b.select(can_rise, more, zero));
    let stays = b.binary(Binary::Max, less, same);
    let rises = b.compare(Compare::Lt, stays, more);
    let falls = b.compare(Compare::Lt, same, less);
    let down = b.scalar(-1.0);
    let change = b.select(falls, down, zero);
    let change = b.select(rises, one, change);
    let best = b.binary(Binary::Max, stays, more);

    let count = b.add(equal, one);
    let alike = b.compare(Compare::Lt, order, count);
    let settled = b.mul(alike, good);
    let grown = scaled(b, best, GROW);
    let shrunk = scaled(b, same, 1.0);
    let factor = b.select(settled, grown, one);
    let factor = b.select(good, factor, shrunk);
    let change = b.select(settled, change, zero);
    let new_order = b.add(order, change);

    // The last step ends at the end, and none is so short that the polynomial through it is lost in rounding.
    let whole = b.scale(h, LAST);
    let was_last = b.compare(Compare::Le, left, whole);
    let passed = b.select(was_last, left, h);
    let passed = b.select(good, passed, zero);
    let left = b.sub(left, passed);
    let wanted = b.mul(h, factor);
    let (stretched, twice, half) = (b.scale(wanted, LAST), b.scale(wanted, 2.0), b.scale(left, 0.5));
    let (fits, any) = (b.compare(Compare::Lt, left, twice), b.compare(Compare::Lt, zero, left));
    let fits = b.mul(fits, any);
    let ends = b.mul(fits, good);
    let one_more = b.compare(Compare::Le, left, stretched);
    let rest = b.select(one_more, left, half);
    let cut = b.div(rest, h);
    let factor = b.select(ends, cut, factor);
    let h = b.select(ends, rest, wanted);
    let keeps = b.sub(one, settled);
    let keeps = b.mul(keeps, good);
    let other = b.sub(one, ends);
    let keeps = b.mul(keeps, other);
    let equal = b.select(keeps, count, zero);

    // ∇^{k+1} of the new time is the correction, the others follow by sums; then to the new distance.
    let shift = matrix(b, on, |k, i, j| match i {
        i if i <= k => f64::from(u8::from((i..=k).contains(&j))),
        i if i == k + 1 => 0.0,
        i if i == k + 2 => -f64::from(u8::from(j == k + 1)),
        i => f64::from(u8::from(j == i)),
    });
    let entry = row(b, on, |k, j| f64::from(u8::from(j <= k + 2)));
    let rescale = rescaling(b, new_order, factor);
    let (shift, entry) = (b.matmul(rescale, shift), b.matmul(rescale, entry));
    let shift = b.select(good, shift, rescale);
    let entries = b.zeros_like(entry);
    let entry = b.select(good, entry, entries);
    let moved = b.matmul(shift, history);
    let entered = b.dot(entry, correction, Dot::default());
    Outcome { good, history: b.add(moved, entered), order: new_order, equal, h }
}

/// The polynomial of a history that ends at t, at an earlier time.
pub fn interpolated(b: &mut Builder, (history, order, h): (Value, Value, Value), t: Value, time: Value) -> Value {
    let on = indicator(b, order);
    let back = b.sub(time, t);
    let x = b.div(back, h);
    let mut products = vec![b.scalar(1.0)];
    for m in 0..MAX_ORDER {
        let shift = b.scalar(m as f64);
        let factor = b.add(x, shift);
        let factor = b.scale(factor, 1.0 / (m + 1) as f64);
        let last = products[m];
        products.push(b.mul(last, factor));
    }
    products.resize_with(ROWS, || b.scalar(0.0));
    let products = b.stack(&products, 0);
    let mask = row(b, on, |k, j| f64::from(u8::from(j <= k)));
    let weights = b.mul(products, mask);
    b.matmul(weights, history)
}

/// `0.9 x` within the bounds of a change of step.
fn scaled(b: &mut Builder, x: Value, most: f64) -> Value {
    let x = b.scale(x, SAFETY);
    let (least, most) = (b.scalar(SHRINK), b.scalar(most));
    let x = b.binary(Binary::Max, x, least);
    b.binary(Binary::Min, x, most)
}

/// `[ROWS, ROWS]`: from differences at distances h to those at distances `factor·h`, up to the order.
///
/// In the notation of the source: D R(factor) U, `R_ij = Π_{m=1}^i (m - 1 - j·factor)/m` and U = R(1). U is a triangle, so that the
/// matrix of an order is a part of that of any higher one.
fn rescaling(b: &mut Builder, order: Value, factor: Value) -> Value {
    let on = indicator(b, order);
    let columns = b.constant(Tensor::f64([ROWS], (0..ROWS).map(|j| j as f64).collect::<Vec<_>>()));
    let reach = b.mul(columns, factor);
    let mut rows = vec![b.full(&Type::f64([ROWS]), 1.0)];
    for i in 1..ROWS {
        let start = b.full(&Type::f64([ROWS]), (i - 1) as f64);
        let difference = b.sub(start, reach);
        let quotient = b.scale(difference, 1.0 / i as f64);
        let last = rows[i - 1];
        rows.push(b.mul(last, quotient));
    }
    // Transposed: R_ij at [j, i].
    let r = b.stack(&rows, 1);
    let u: Vec<f64> = (0..ROWS * ROWS)
        .map(|n| (n % ROWS, n / ROWS))
        .map(|(i, j)| if i > j { 0.0 } else { binomial(j, i) * if i % 2 == 0 { 1.0 } else { -1.0 } })
        .collect();
    // Uᵀ at [j, i], so that (RU)ᵀ = UᵀRᵀ.
    let u = b.constant(Tensor::f64([ROWS, ROWS], u));
    let whole = b.matmul(u, r);
    let inside = matrix(b, on, |k, i, j| f64::from(u8::from(i <= k && j <= k)));
    let outside = matrix(b, on, |k, i, j| f64::from(u8::from(i > k && i == j)));
    let whole = b.mul(whole, inside);
    b.add(whole, outside)
}

/// `[order = 1, …, order = 5]`
fn indicator(b: &mut Builder, order: Value) -> Value {
    let orders = b.constant(Tensor::f64([MAX_ORDER], (1..=MAX_ORDER).map(|k| k as f64).collect::<Vec<_>>()));
    let order = b.broadcast_to(order, &[MAX_ORDER]);
    b.compare(Compare::Eq, orders, order)
}

/// The number of an order.
fn number(b: &mut Builder, on: Value, of: impl Fn(usize) -> f64) -> Value {
    let table = b.constant(Tensor::f64([MAX_ORDER], (1..=MAX_ORDER).map(of).collect::<Vec<_>>()));
    b.matmul(on, table)
}

/// The `[ROWS]` numbers of an order.
fn row(b: &mut Builder, on: Value, of: impl Fn(usize, usize) -> f64) -> Value {
    let table: Vec<f64> = (1..=MAX_ORDER).flat_map(|k| (0..ROWS).map(move |j| (k, j))).map(|(k, j)| of(k, j)).collect();
    let table = b.constant(Tensor::f64([MAX_ORDER, ROWS], table));
    b.matmul(on, table)
}

/// The matrix `[ROWS, ROWS]` of an order.
fn matrix(b: &mut Builder, on: Value, of: impl Fn(usize, usize, usize) -> f64) -> Value {
    let entries = (1..=MAX_ORDER).flat_map(|k| (0..ROWS * ROWS).map(move |n| (k, n / ROWS, n % ROWS)));
    let table: Vec<f64> = entries.map(|(k, i, j)| of(k, i, j)).collect();
    let table = b.constant(Tensor::f64([MAX_ORDER, ROWS * ROWS], table));
    let flat = b.matmul(on, table);
    b.reshape(flat, &[ROWS, ROWS])
}

/// `Σ_{j=1}^k 1/j`
fn gamma(k: usize) -> f64 {
    (1..=k).map(|j| 1.0 / j as f64).sum()
}

fn alpha(k: usize) -> f64 {
    (1.0 - KAPPA[k]) * gamma(k)
}

/// The error is this times the correction of the predicted value.
fn error_constant(k: usize) -> f64 {
    KAPPA[k] * gamma(k) + 1.0 / (k + 1) as f64
}

fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::eval::eval;

    /// The table of [Hairer, Nørsett & Wanner I, §III.1, (1.22')], of two and of five steps.
    #[test]
    fn formulas_of_one_length_are_those_published() {
        let two = formula(2);
        assert!((two.past[0] - 4.0 / 3.0).abs() < 1e-14 && (two.past[1] + 1.0 / 3.0).abs() < 1e-14);
        assert!((two.weight - 2.0 / 3.0).abs() < 1e-14);
        let five = formula(5);
        let published = [300.0, -300.0, 200.0, -75.0, 12.0].map(|x| x / 137.0);
        assert!(five.past.iter().zip(published).all(|(x, y)| (x - y).abs() < 1e-14));
        assert!((five.weight - 60.0 / 137.0).abs() < 1e-14);
        assert_eq!(formula(3).guess, [3.0, -3.0, 1.0]);
    }

    /// Differences of t³ at distance h, of the values at 0, -h, ….
    fn differences(h: f64) -> Vec<f64> {
        let u = |i: usize| (1.0 - i as f64 * h).powi(3);
        let of = |j: usize| (0..=j).map(|i| binomial(j, i) * u(i) * if i % 2 == 0 { 1.0 } else { -1.0 }).sum::<f64>();
        (0..ROWS).map(of).collect()
    }

    #[test]
    fn a_history_at_a_new_distance_and_between_is_the_same_polynomial() {
        let mut b = Builder::new("rescaled");
        let (history, factor) = (b.input(Type::f64([ROWS, 1])), b.input(Type::f64([])));
        let order = b.scalar(3.0);
        let m = rescaling(&mut b, order, factor);
        let rescaled = b.matmul(m, history);
        let (h, t, time) = (b.scalar(0.1), b.scalar(1.0), b.scalar(0.93));
        let between = interpolated(&mut b, (history, order, h), t, time);
        let f = b.finish(vec![rescaled, between]);
        let out = eval(&f, &[Tensor::f64([ROWS, 1], differences(0.1)), Tensor::scalar(1.7)]).expect("a rescaling");
        for (x, y) in out[0].to_f64()[..4].iter().zip(differences(0.17)) {
            assert!((x - y).abs() < 1e-13, "{x} against {y}");
        }
        assert!((out[1].to_f64()[0] - 0.93f64.powi(3)).abs() < 1e-13);
    }

    /// u' = 3t² is met exactly by the formula of order 3, whose correction is that of the fourth difference: none.
    #[test]
    fn a_cubic_is_exact_at_order_three_and_raises_no_error() {
        let mut b = Builder::new("try");
        let history = b.input(Type::f64([ROWS, 1]));
        let (order, h, equal, left) = (b.scalar(3.0), b.scalar(0.1), b.scalar(3.0), b.scalar(10.0));
        let e = equation(&mut b, history, order, h);
        let rate = b.full(&Type::f64([1]), 3.0 * 1.1 * 1.1);
        let change = b.mul(rate, e.weight);
        let next = b.add(e.base, change);
        let step = Try { history, order, equal, h, left, guess: e.guess, next };
        let out = advance(&mut b, &step, 5, |b, _, _, e| {
            let squares = b.mul(e, e);
            b.sum_all(squares)
        });
        let f = b.finish(vec![next, out.good, out.h, out.history]);
        let out = eval(&f, &[Tensor::f64([ROWS, 1], differences(0.1))]).expect("a try");
        assert!((out[0].to_f64()[0] - 1.1f64.powi(3)).abs() < 1e-13);
        assert_eq!(out[1].item(), 1.0);
        assert!(out[2].item() > 0.5, "the step grows, to {}", out[2].item());
        assert!((out[3].to_f64()[0] - 1.1f64.powi(3)).abs() < 1e-13);
    }
}
