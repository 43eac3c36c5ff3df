//! Rosenbrock methods: linearly implicit steps with the exact Jacobian, one matrix a step and no iteration.
//!
//! `(I/(γh) - J) U_i = f(t + α_i h, u + Σ_j a_ij U_j) + Σ_j c_ij/h U_j + γ_i h ∂f/∂t`, `u⁺ = u + Σ_i m_i U_i`, error `Σ_i e_i U_i`.
//! [Hairer & Wanner II, §IV.7]

use super::runge_kutta::Step;
use crate::ad;
use crate::ir::{Binary, Builder, Compare, Func, Op, SolveSpec, Type, Unary, Value};
use std::sync::Arc;

/// A method of s stages in the form that needs no products with the Jacobian.
#[derive(Debug)]
pub struct Rosenbrock {
    /// Its name in MSL.
    pub name: &'static str,
    pub order: usize,
    pub embedded: usize,
    pub gamma: f64,
    /// Strictly lower triangles.
    pub a: &'static [&'static [f64]],
    pub c: &'static [&'static [f64]],
    pub m: &'static [f64],
    /// Of the error; none where all combinations of the stages that are of the order below miss the error of linear systems. The
    /// trapezoidal rule from the slopes at both ends, freed of what is stiff by the matrix of the step, then tells it.
    pub e: Option<&'static [f64]>,
    pub alpha: &'static [f64],
    /// Row sums of Γ.
    pub gammas: &'static [f64],
    pub source: &'static str,
}

/// The method of a name, if there is one.
pub fn rosenbrock(name: &str) -> Option<&'static Rosenbrock> {
    ROSENBROCK.iter().find(|m| m.name == name)
}

pub const ROSENBROCK: &[Rosenbrock] = &[
    Rosenbrock {
        name: "ros3p",
        order: 3,
        embedded: 2,
        gamma: 7.886_751_345_948_129e-1,
        a: &[&[], &[1.267_949_192_431_123], &[1.267_949_192_431_123, 0.0]],
        c: &[&[], &[-1.607_695_154_586_736], &[-3.464_101_615_137_755, -1.732_050_807_568_877]],
        m: &[2.0, 5.773_502_691_896_258e-1, 4.226_497_308_103_742e-1],
        // The published weights give zero for every linear system.
        e: None,
        alpha: &[0.0, 1.0, 1.0],
        gammas: &[7.886_751_345_948_129e-1, -2.113_248_654_051_871e-1, -1.077_350_269_189_626],
        source: "Lang & Verwer 2001, A-stable",
    },
    Rosenbrock {
        name: "rodas4",
        order: 4,
        embedded: 3,
        gamma: 0.25,
        a: &[
            &[],
            &[1.544],
            &[0.946_678_528_081_582_6, 0.255_701_169_898_328_4],
            &[3.314_825_187_068_521, 2.896_124_015_972_201, 0.998_641_913_997_781_7],
            &[1.221_224_509_226_641, 6.019_134_481_288_629, 12.537_083_329_320_87, -0.687_886_036_105_895],
            &[1.221_224_509_226_641, 6.019_134_481_288_629, 12.537_083_329_320_87, -0.687_886_036_105_895, 1.0],
        ],
        c: &[
            &[],
            &[-5.6688],
            &[-2.430_093_356_833_875, -0.206_359_915_709_191_5],
            &[-0.107_352_905_815_137_5, -9.594_562_251_023_355, -20.470_286_148_096_16],
            &[7.496_443_313_967_647, -10.246_804_314_643_52, -33.999_903_528_199_05, 11.708_908_932_061_6],
            &[
                8.083_246_795_921_522,
                -7.981_132_988_064_893,
                -31.521_594_328_743_71,
                16.319_305_431_231_36,
                -6.058_818_238_834_054,
            ],
        ],
        m: &[1.221_224_509_226_641, 6.019_134_481_288_629, 12.537_083_329_320_87, -0.687_886_036_105_895, 1.0, 1.0],
        e: Some(&[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
        alpha: &[0.0, 0.386, 0.21, 0.63, 1.0, 1.0],
        gammas: &[0.25, -0.1043, 0.1035, -0.036_200_000_000_000_23, 0.0, 0.0],
        source: "Hairer & Wanner II, §IV.7 (RODAS); L-stable, stiffly accurate",
    },
];

/// Builds a step of length h from (t, u). `rates(t, u, p…) → du/dt`, u a vector; `t` and `h` are scalars.
pub fn rosenbrock_step(
    b: &mut Builder,
    method: &Rosenbrock,
    rates: &Func,
    (t, h): (Value, Value),
    u: Value,
    parameters: &[Value],
) -> Step {
    let (residual, spec) = matrix(rates);
    let one = b.scalar(1.0);
    let inverse = b.div(one, h);
    let weight = b.scale(inverse, 1.0 / method.gamma);
    let slope = slope_in_time(b, rates, t, u, parameters);
    let solved = |b: &mut Builder, right: Value| {
        let args: Vec<Value> = [right, u, t, weight].into_iter().chain(parameters.iter().copied()).collect();
        let (residual, spec) = (residual.clone(), spec.clone());
        let k = b.op(Op::LinearSolve { residual, spec, transposed: false }, &args);
        solved_or_nothing(b, k, right)
    };
    let mut stages: Vec<Value> = vec![];
    for i in 0..method.m.len() {
        let at = weighted(b, u, &stages, |j| method.a[i].get(j).copied().unwrap_or(0.0));
        let shift = b.scale(h, method.alpha[i]);
        let time = b.add(t, shift);
        let args: Vec<Value> = [time, at].into_iter().chain(parameters.iter().copied()).collect();
        let rate = b.inline(rates, &args)[0];
        let zero = b.zeros_like(u);
        let past = weighted(b, zero, &stages, |j| method.c[i].get(j).copied().unwrap_or(0.0));
        let past = b.mul(past, inverse);
        let mut right = b.add(rate, past);
        if let Some(slope) = slope {
            let factor = b.scale(h, method.gammas[i]);
            let term = b.mul(slope, factor);
            right = b.add(right, term);
        }
        stages.push(solved(b, right));
    }
    let next = weighted(b, u, &stages, |j| method.m[j]);
    let error = match method.e {
        Some(e) => {
            let zero = b.zeros_like(u);
            weighted(b, zero, &stages, |j| e[j])
        }
        None => {
            let end = b.add(t, h);
            let slopes = [(t, u), (end, next)].map(|(t, u)| {
                let args: Vec<Value> = [t, u].into_iter().chain(parameters.iter().copied()).collect();
                b.inline(rates, &args)[0]
            });
            let change = b.sub(next, u);
            let change = b.mul(change, weight);
            let sum = b.add(slopes[0], slopes[1]);
            let trapezoid = b.scale(sum, 0.5 / method.gamma);
            let difference = b.sub(change, trapezoid);
            solved(b, difference)
        }
    };
    Step { next: vec![next], error: Some(vec![error]) }
}

/// A stage, or NaN where its equation has no solution, which is then given as zero: who follows the error tries a shorter step.
fn solved_or_nothing(b: &mut Builder, k: Value, right: Value) -> Value {
    let size = |b: &mut Builder, v: Value| {
        let v = b.unary(Unary::Abs, v);
        b.sum_all(v)
    };
    let (found, wanted) = (size(b, k), size(b, right));
    let (zero, huge) = (b.scalar(0.0), b.scalar(f64::MAX));
    let finite = b.compare(Compare::Lt, wanted, huge);
    let (moves, rests) = (b.compare(Compare::Lt, zero, found), b.compare(Compare::Le, wanted, zero));
    let solved = b.binary(Binary::Max, moves, rests);
    let solved = b.mul(finite, solved);
    let nothing = b.full_like(k, f64::NAN);
    b.select(solved, k, nothing)
}

/// `(y, t, weight, p…) → weight·y - f(t, y)`: its Jacobian is the matrix of a step.
fn matrix(rates: &Func) -> (Arc<Func>, Arc<SolveSpec>) {
    let mut b = Builder::new(format!("matrix of {}", rates.name));
    let y = b.input(rates.inputs[1].clone());
    let t = b.input(Type::f64([]));
    let weight = b.input(Type::f64([]));
    let p: Vec<Value> = rates.inputs[2..].iter().map(|ty| b.input(ty.clone())).collect();
    let args: Vec<Value> = [t, y].into_iter().chain(p).collect();
    let rate = b.inline(rates, &args)[0];
    let scaled = b.mul(y, weight);
    let out = b.sub(scaled, rate);
    let residual = b.finish(vec![out]);
    let spec = SolveSpec { name: rates.name.clone(), may_fail: true, ..SolveSpec::default() };
    (Arc::new(residual), Arc::new(spec))
}

/// `∂f/∂t`, if f depends on t.
fn slope_in_time(b: &mut Builder, rates: &Func, t: Value, u: Value, p: &[Value]) -> Option<Value> {
    let args: Vec<Value> = [t, u].into_iter().chain(p.iter().copied()).collect();
    let mut tangents = vec![None; args.len()];
    tangents[0] = Some(b.scalar(1.0));
    ad::jvp_into(b, rates, &args, &tangents).1[0]
}

fn weighted(b: &mut Builder, u: Value, stages: &[Value], weight: impl Fn(usize) -> f64) -> Value {
    stages.iter().enumerate().filter(|(j, _)| weight(*j) != 0.0).fold(u, |sum, (j, k)| {
        let term = b.scale(*k, weight(j));
        b.add(sum, term)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Matrix = Vec<Vec<f64>>;

    /// The inverse of a lower triangular matrix.
    #[allow(clippy::needless_range_loop)] // Indices run over two matrices.
    fn inverse(l: &Matrix) -> Matrix {
        let n = l.len();
        let mut x = vec![vec![0.0; n]; n];
        for j in 0..n {
            for i in j..n {
                let sum: f64 = (j..i).map(|k| l[i][k] * x[k][j]).sum();
                x[i][j] = (f64::from(u8::from(i == j)) - sum) / l[i][i];
            }
        }
        x
    }

    fn times(a: &Matrix, b: &Matrix) -> Matrix {
        let n = b.len();
        a.iter().map(|row| (0..n).map(|j| (0..n).map(|k| row[k] * b[k][j]).sum()).collect()).collect()
    }

    fn full(rows: &[&[f64]]) -> Matrix {
        let n = rows.len();
        rows.iter().map(|r| (0..n).map(|j| r.get(j).copied().unwrap_or(0.0)).collect()).collect()
    }

    /// Order conditions in the form with Γ [Hairer & Wanner II, (7.15)], from the transformed coefficients.
    #[test]
    fn the_order_conditions_hold() {
        for method in ROSENBROCK {
            let s = method.m.len();
            let c = full(method.c);
            let triangle: Matrix =
                (0..s).map(|i| (0..s).map(|j| if i == j { 1.0 / method.gamma } else { -c[i][j] }).collect()).collect();
            let gamma = inverse(&triangle);
            let alpha = times(&full(method.a), &gamma);
            let beta: Matrix = (0..s).map(|i| (0..s).map(|j| alpha[i][j] + gamma[i][j]).collect()).collect();
            let row = |m: &Matrix, i: usize| m[i].iter().sum::<f64>();
            for i in 0..s {
                assert!((row(&alpha, i) - method.alpha[i]).abs() < 1e-13, "{}: α {i}", method.name);
                assert!((row(&gamma, i) - method.gammas[i]).abs() < 1e-13, "{}: γ {i}", method.name);
            }
            let embedded = method.e.map(|e| method.m.iter().zip(e).map(|(m, e)| m - e).collect());
            let pair = [(Some(method.m.to_vec()), method.order), (embedded, method.embedded)];
            for (weights, order) in pair.into_iter().filter_map(|(w, order)| Some((w?, order))) {
                let b = &times(&vec![weights], &gamma)[0];
                let sum = |f: &dyn Fn(usize) -> f64| (0..s).map(|i| b[i] * f(i)).sum::<f64>();
                let of = |m: &Matrix, i: usize, f: &dyn Fn(usize) -> f64| (0..s).map(|j| m[i][j] * f(j)).sum::<f64>();
                let (al, be) = (|i: usize| row(&alpha, i), |i: usize| row(&beta, i));
                let mut conditions = vec![sum(&|_| 1.0) - 1.0, sum(&be) - 0.5];
                if order >= 3 {
                    conditions.push(sum(&|i| al(i) * al(i)) - 1.0 / 3.0);
                    conditions.push(sum(&|i| of(&beta, i, &be)) - 1.0 / 6.0);
                }
                if order >= 4 {
                    conditions.push(sum(&|i| al(i).powi(3)) - 0.25);
                    conditions.push(sum(&|i| al(i) * of(&alpha, i, &be)) - 0.125);
                    conditions.push(sum(&|i| of(&beta, i, &|j| al(j) * al(j))) - 1.0 / 12.0);
                    conditions.push(sum(&|i| of(&beta, i, &|j| of(&beta, j, &be))) - 1.0 / 24.0);
                }
                for (k, residual) in conditions.iter().enumerate() {
                    assert!(residual.abs() < 1e-13, "{} of order {order}: condition {k}: {residual:e}", method.name);
                }
            }
        }
    }
}
