//! Which equation belongs to which unknown: the one that holds its rate, else the one whose flux holds its gradient, whatever the
//! order in which both are written. Conditions on an unknown then act in its own equation.

use super::system::{Equation, Equations};
use super::value::{Field, Leaf, Value};

/// Systems with more unknowns than this are taken in the order in which they are written.
const MOST: usize = 7;

impl Equations {
    /// Puts the equations into the order of the unknowns.
    pub fn pair(&mut self) {
        let n = self.unknowns.len();
        if !(2..=MOST).contains(&n) || self.balances.len() != n {
            return;
        }
        let scores: Vec<Vec<i64>> = self.balances.iter().map(|e| (0..n).map(|k| self.score(e, k)).collect()).collect();
        let mut best: (i64, Vec<usize>) = (i64::MIN, vec![]);
        let mut order = vec![];
        search(&scores, &mut order, 0, &mut best);
        let mut rest: Vec<Option<Equation>> = std::mem::take(&mut self.balances).into_iter().map(Some).collect();
        self.balances = best.1.iter().filter_map(|&e| rest[e].take()).collect();
    }

    /// How well an equation suits an unknown.
    fn score(&self, e: &Equation, unknown: usize) -> i64 {
        let shape = &self.unknowns[unknown].shape;
        let fits = match (&e.residual.flux, e.residual.pointwise_part()) {
            (Some(Value::Field(f)), _) => f.shape().split_last().is_some_and(|(_, s)| s == shape),
            (None, Some(Value::Field(f))) => f.shape() == shape,
            _ => true,
        };
        let holds = |v: &Option<Value>, gradients: bool| match v {
            Some(Value::Field(f)) => reads(f, unknown, gradients),
            _ => false,
        };
        let transport = e.residual.transport.as_ref().map(|t| t.pointwise.clone());
        let weight = |on: bool, w: i64| if on { w } else { 0 };
        weight(fits, 1000)
            + weight(holds(&e.residual.stored, false), 10_000)
            + weight(holds(&e.residual.flux, true), 100)
            + weight(holds(&e.residual.source, true) || holds(&e.residual.flux, false) || holds(&transport, true), 10)
            + weight(holds(&e.residual.source, false) || holds(&transport, false), 1)
    }
}

fn reads(f: &Field, unknown: usize, gradients: bool) -> bool {
    f.leaves
        .iter()
        .any(|l| matches!(l, Leaf::Unknown { index, order, .. } if *index == unknown && (*order > 0) == gradients))
}

/// All orders, the written one first; a later one must be better.
fn search(scores: &[Vec<i64>], order: &mut Vec<usize>, sum: i64, best: &mut (i64, Vec<usize>)) {
    if order.len() == scores.len() {
        if sum > best.0 {
            *best = (sum, order.clone());
        }
        return;
    }
    for e in 0..scores.len() {
        if !order.contains(&e) {
            let k = order.len();
            order.push(e);
            search(scores, order, sum + scores[e][k], best);
            order.pop();
        }
    }
}
