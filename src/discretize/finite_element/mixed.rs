//! Mixed elements: a multiplier (a pressure) takes shape functions one order lower than the unknowns that it constrains, without
//! which it would oscillate [Taylor & Hood 1973; Boffi, Brezzi & Fortin 2013, §8.8].
//!
//! On the quadratic lattice a multiplier is known at the vertices; its values at the nodes between are their means. Element arrays
//! keep their size: what is gathered is multiplied by `S`, rows by `Sᵀ`, matrices by `Sᵀ J S`.

use crate::discretize::derivative::{Direction, derivative};
use crate::discretize::mesh::{ravel, unravel};
use crate::discretize::{Balance, Element, Space};
use crate::ir::components::cost;
use crate::ir::eval::eval;
use crate::ir::{Builder, DType, Dot, Tensor, Value};

/// Which components are multipliers: those that their own equations do not hold. Only of quadratic elements on boxes.
pub(super) fn multipliers(balance: &Balance, space: &Space) -> Vec<bool> {
    let c = balance.components;
    if space.order != 2 || space.mesh.element == Element::Triangle {
        return vec![false; c];
    }
    unheld(balance)
}

/// Which components their own equations do not hold.
pub(in crate::discretize) fn unheld(balance: &Balance) -> Vec<bool> {
    let (c, d) = (balance.components, balance.dimension);
    if c < 2 || cost(&balance.interior, DType::F64).is_none() {
        return vec![false; c];
    }
    (0..c).map(|k| !holds(balance, k, d)).collect()
}

/// Whether an equation depends on its own unknown, at arguments where nothing vanishes by chance.
fn holds(balance: &Balance, k: usize, d: usize) -> bool {
    let own = std::iter::once(Direction { input: 1, element: k });
    let directions: Vec<Direction> = own.chain((0..d).map(|a| Direction { input: 2, element: k * d + a })).collect();
    let slopes = derivative(&balance.interior, &directions);
    let mut x = 0.37;
    let mut next = || {
        x = (x * 7.13_f64 + 0.71) % 1.0;
        0.5 + x
    };
    let args: Vec<Tensor> = balance
        .interior
        .inputs
        .iter()
        .map(|t| Tensor::f64(t.shape.clone(), (0..t.len()).map(|_| next()).collect::<Vec<_>>()))
        .collect();
    let Ok(out) = eval(&slopes, &args) else { return true };
    out.chunks(2).any(|pair| {
        let (flux, source) = (pair[0].to_f64(), pair[1].to_f64());
        flux[k * d..(k + 1) * d].iter().any(|x| *x != 0.0) || source[k] != 0.0
    })
}

/// The vertices around a node of the quadratic lattice, `2^d` of them, some more than once: their mean is the value there.
pub(super) fn vertices(space: &Space, node: u32) -> Vec<u32> {
    let at = unravel(node as usize, &space.points);
    (0..1 << at.len())
        .map(|corner| {
            let vertex: Vec<usize> = at
                .iter()
                .enumerate()
                .map(|(a, &i)| {
                    let up = corner >> a & 1;
                    (if i % 2 == 0 { i } else { i - 1 + 2 * up }) % space.points[a]
                })
                .collect();
            ravel(&vertex, &space.points) as u32
        })
        .collect()
}

pub(super) fn is_vertex(space: &Space, node: u32) -> bool {
    unravel(node as usize, &space.points).iter().all(|i| i % 2 == 0)
}

/// `S[m·c, m·c]` for the nodes of one element or facet.
pub(super) fn interpolation(space: &Space, nodes: &[u32], lowered: &[bool]) -> Tensor {
    let (m, c) = (nodes.len(), lowered.len());
    let mut s = vec![0.0; m * c * m * c];
    for (i, &node) in nodes.iter().enumerate() {
        for (k, &low) in lowered.iter().enumerate() {
            let row = (i * c + k) * m * c;
            if !low {
                s[row + i * c + k] = 1.0;
                continue;
            }
            let around = vertices(space, node);
            for vertex in &around {
                let j = nodes.iter().position(|n| n == vertex).expect("compiler bug: a vertex outside its element");
                s[row + j * c + k] += 1.0 / around.len() as f64;
            }
        }
    }
    Tensor::f64([m * c, m * c], s)
}

/// `x[count, mc] → x Sᵀ`: local values.
pub(super) fn raised(b: &mut Builder, x: Value, s: &Tensor) -> Value {
    let s = b.constant(s.clone());
    b.dot(x, s, along(1, 1))
}

/// `r[count, mc] → r S`: rows.
pub(super) fn restricted(b: &mut Builder, r: Value, s: &Tensor) -> Value {
    let s = b.constant(s.clone());
    b.dot(r, s, along(1, 0))
}

/// `J[count, mc, mc] → Sᵀ J S`
pub(super) fn congruent(b: &mut Builder, j: Value, s: &Tensor) -> Value {
    let s = b.constant(s.clone());
    // [count, i, j'], then [count, j', i']
    let right = b.dot(j, s, along(2, 0));
    let left = b.dot(right, s, along(1, 0));
    b.transpose(left, &[0, 2, 1])
}

fn along(lhs: usize, rhs: usize) -> Dot {
    Dot { lhs_contract: vec![lhs], rhs_contract: vec![rhs], ..Dot::default() }
}
