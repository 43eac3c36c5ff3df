//! Quadrature rules on the reference elements `[0, 1]^d` and the triangle `ξ + η ≤ 1`.

use super::Element;

/// Points (one `Vec` of coordinates each) and weights that sum to the reference element's volume.
#[derive(Clone, PartialEq, Debug)]
pub struct Rule {
    pub points: Vec<Vec<f64>>,
    pub weights: Vec<f64>,
}

/// The rule with `n` Gauss points along each axis, exact to degree `2n - 1`. On triangles: to degree 1, 2, 4 for
/// n = 1, 2, 3 (1, 3, 6 points, [Strang & Fix, §4.9; Dunavant 1985]) and `2n - 2` beyond.
pub fn rule(element: Element, n: usize) -> Rule {
    match element {
        Element::Triangle => triangle(n),
        Element::Interval | Element::Quad | Element::Hex => tensor_product(element.dimension(), n),
    }
}

/// Gauss–Legendre in `dimension` axes; with no axis, the one point of weight 1. Row-major, axis 0 slowest.
pub fn tensor_product(dimension: usize, n: usize) -> Rule {
    let (x, w) = gauss_legendre(n);
    let mut rule = Rule { points: vec![vec![]], weights: vec![1.0] };
    for _ in 0..dimension {
        let pairs = rule.points.iter().zip(&rule.weights);
        let (points, weights) = pairs
            .flat_map(|(p, &v)| {
                x.iter().zip(&w).map(move |(&x, &w)| {
                    let mut p = p.clone();
                    p.push(x);
                    (p, v * w)
                })
            })
            .unzip();
        rule = Rule { points, weights };
    }
    rule
}

/// Nodes and weights on `[0, 1]`, by Newton's iteration on the Legendre polynomial [Davis & Rabinowitz, §2.7].
pub fn gauss_legendre(n: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut nodes, mut weights) = (vec![0.5; n], vec![1.0; n]);
    for i in 0..n {
        let mut x = -(std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (p, dp) = legendre(n, x);
            slope = dp;
            let step = p / dp;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        if 2 * i + 1 == n {
            x = 0.0;
            slope = legendre(n, x).1;
        }
        nodes[i] = 0.5 * (1.0 + x);
        weights[i] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
    (nodes, weights)
}

/// `P_n(x)` and its derivative, |x| < 1.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut p, mut before) = (1.0, 0.0);
    for k in 0..n {
        let k = k as f64;
        (p, before) = (((2.0 * k + 1.0) * x * p - k * before) / (k + 1.0), p);
    }
    (p, n as f64 * (x * p - before) / (x * x - 1.0))
}

fn triangle(n: usize) -> Rule {
    match n {
        0 | 1 => Rule { points: vec![vec![1.0 / 3.0; 2]], weights: vec![0.5] },
        2 => orbit(&[(1.0 / 6.0, 1.0 / 6.0)]),
        3 => {
            // The six-point rule of degree 4 in closed form.
            let (r, s) = (10f64.sqrt(), (38.0 - 44.0 * 0.4f64.sqrt()).sqrt());
            let (a, b) = ((8.0 - r + s) / 18.0, (8.0 - r - s) / 18.0);
            let t = (213_125.0 - 53_320.0 * r).sqrt();
            let (wa, wb) = ((620.0 + t) / 7440.0, (620.0 - t) / 7440.0);
            orbit(&[(a, wa), (b, wb)])
        }
        _ => collapsed(n),
    }
}

/// Three points a pair: the barycentric permutations of `(a, a, 1 - 2a)`, with this weight each.
fn orbit(pairs: &[(f64, f64)]) -> Rule {
    let mut rule = Rule { points: vec![], weights: vec![] };
    for &(a, w) in pairs {
        let c = 1.0 - 2.0 * a;
        rule.points.extend([vec![a, a], vec![c, a], vec![a, c]]);
        rule.weights.extend([w; 3]);
    }
    rule
}

/// The square's rule under Duffy's map `(ξ, η) ↦ (ξ, (1 - ξ) η)`.
fn collapsed(n: usize) -> Rule {
    let square = tensor_product(2, n);
    let points = square.points.iter().map(|p| vec![p[0], (1.0 - p[0]) * p[1]]).collect();
    let weights = square.points.iter().zip(&square.weights).map(|(p, w)| w * (1.0 - p[0])).collect();
    Rule { points, weights }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integral(rule: &Rule, f: impl Fn(&[f64]) -> f64) -> f64 {
        rule.points.iter().zip(&rule.weights).map(|(p, w)| w * f(p)).sum()
    }

    #[test]
    fn gauss_is_exact_to_degree_2n_minus_1() {
        for n in 1..=8 {
            let rule = tensor_product(1, n);
            for k in 0..2 * n as i32 {
                let error = integral(&rule, |x| x[0].powi(k)) - 1.0 / (k + 1) as f64;
                assert!(error.abs() < 1e-15, "n = {n}, degree {k}: {error:e}");
            }
        }
    }

    /// ∫ ξ^i η^j over the triangle is i! j! / (i + j + 2)!.
    #[test]
    fn triangle_rules_are_exact_to_their_degree() {
        let factorial = |n: i32| (1..=n).map(f64::from).product::<f64>();
        for (n, degree) in [(1, 1), (2, 2), (3, 4), (4, 6), (5, 8)] {
            let rule = triangle(n);
            for i in 0..=degree {
                for j in 0..=degree - i {
                    let exact = factorial(i) * factorial(j) / factorial(i + j + 2);
                    let error = integral(&rule, |x| x[0].powi(i) * x[1].powi(j)) - exact;
                    assert!(error.abs() < 1e-15, "n = {n}, ξ^{i} η^{j}: {error:e}");
                }
            }
        }
    }

    #[test]
    fn a_point_has_weight_one() {
        assert_eq!(tensor_product(0, 3), Rule { points: vec![vec![]], weights: vec![1.0] });
    }
}
