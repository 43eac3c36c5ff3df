//! Which points stay: a point is strongly coupled to those that it follows, and the points that many follow become coarse ones.
//! [Ruge & Stüben 1987, §4.6; Stüben 2001, §7.1]

use super::csr::Csr;

/// A coupling is strong from this part of the strongest one of its row on.
const STRONG: f64 = 0.25;

/// For each row the columns (of the same component) it is strongly coupled to: -a_ij ≥ θ max_k -a_ik.
pub fn strong_couplings(a: &Csr, components: &[u8]) -> Csr {
    let mut out = Csr::empty(a.columns_count);
    for i in 0..a.rows() {
        let own = |j: usize| j != i && components[j] == components[i];
        let strongest = a.row(i).filter(|(j, _)| own(*j)).fold(0.0f64, |m, (_, v)| m.max(-v));
        if strongest > 0.0 {
            a.row(i).filter(|&(j, v)| own(j) && -v >= STRONG * strongest).for_each(|(j, v)| out.push(j, v));
        }
        out.end_row();
    }
    out
}

/// Whether each point stays.
pub fn coarse_points(strong: &Csr) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Open,
        Coarse,
        Fine,
    }
    let n = strong.rows();
    let followers = strong.transposed();
    let mut state = vec![State::Open; n];
    let mut queue = Queue::new((0..n).map(|i| followers.start[i + 1] - followers.start[i]).collect());
    while let Some((i, weight)) = queue.pop() {
        let alone = strong.start[i] == strong.start[i + 1];
        if weight == 0 {
            // Nobody open follows it. It needs a value from others, or it stays itself; a point without couplings is smoothed away.
            let held = strong.row(i).any(|(j, _)| state[j] == State::Coarse);
            state[i] = if alone || held { State::Fine } else { State::Coarse };
            continue;
        }
        state[i] = State::Coarse;
        for (j, _) in followers.row(i) {
            if state[j] == State::Open {
                state[j] = State::Fine;
                queue.remove(j);
                // What a new fine point follows is wanted as a coarse one.
                strong.row(j).filter(|(k, _)| state[*k] == State::Open).for_each(|(k, _)| queue.change(k, 1));
            }
        }
        strong.row(i).filter(|(k, _)| state[*k] == State::Open).for_each(|(k, _)| queue.change(k, -1));
    }
    state.into_iter().map(|s| s == State::Coarse).collect()
}

/// Points by weight, in doubly linked lists: one for each weight.
struct Queue {
    weight: Vec<usize>,
    next: Vec<u32>,
    last: Vec<u32>,
    first: Vec<u32>,
    highest: usize,
    inside: Vec<bool>,
}

const NONE: u32 = u32::MAX;

impl Queue {
    fn new(weight: Vec<usize>) -> Queue {
        let n = weight.len();
        let highest = weight.iter().copied().max().unwrap_or(0);
        let mut q = Queue {
            weight,
            next: vec![NONE; n],
            last: vec![NONE; n],
            first: vec![NONE; highest + 1],
            highest,
            inside: vec![false; n],
        };
        // The first point of a list is the one added last: begin with the last.
        (0..n).rev().for_each(|i| q.insert(i));
        q
    }

    fn insert(&mut self, i: usize) {
        let w = self.weight[i];
        if w >= self.first.len() {
            self.first.resize(w + 1, NONE);
        }
        self.highest = self.highest.max(w);
        (self.next[i], self.last[i]) = (self.first[w], NONE);
        if self.first[w] != NONE {
            self.last[self.first[w] as usize] = i as u32;
        }
        self.first[w] = i as u32;
        self.inside[i] = true;
    }

    fn remove(&mut self, i: usize) {
        let (next, last) = (self.next[i], self.last[i]);
        if last == NONE {
            self.first[self.weight[i]] = next;
        } else {
            self.next[last as usize] = next;
        }
        if next != NONE {
            self.last[next as usize] = last;
        }
        self.inside[i] = false;
    }

    fn change(&mut self, i: usize, by: isize) {
        if self.inside[i] {
            self.remove(i);
            self.weight[i] = self.weight[i].saturating_add_signed(by);
            self.insert(i);
        }
    }

    /// A point of the highest weight, and that weight.
    fn pop(&mut self) -> Option<(usize, usize)> {
        while self.first[self.highest] == NONE {
            if self.highest == 0 {
                return None;
            }
            self.highest -= 1;
        }
        let i = self.first[self.highest] as usize;
        self.remove(i);
        Some((i, self.weight[i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_keeps_every_second_point() {
        let mut a = Csr::empty(9);
        for i in 0..9usize {
            if i > 0 {
                a.push(i - 1, -1.0);
            }
            a.push(i, 2.0);
            if i < 8 {
                a.push(i + 1, -1.0);
            }
            a.end_row();
        }
        let coarse = coarse_points(&strong_couplings(&a, &[0; 9]));
        // No two neighbours are both coarse, and each fine point has a coarse neighbour.
        assert!(coarse.windows(2).all(|w| !(w[0] && w[1])), "{coarse:?}");
        assert!((0..9).all(|i| coarse[i] || i > 0 && coarse[i - 1] || i < 8 && coarse[i + 1]), "{coarse:?}");
    }
}
