//! Memory: which results may share a buffer. A buffer is free again after the last step that reads it.

use crate::ir::DType;

/// One result that needs memory, alive from the step that makes it to the last step that reads it (both included).
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    pub dtype: DType,
    pub len: usize,
    pub made: usize,
    pub last: usize,
}

/// A buffer of a workspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub dtype: DType,
    pub len: usize,
}

/// The slot of each demand, which must come in the order of their steps. Best fit among the free ones; the largest grows
/// when none is large enough. Slots of one type come one after the other, the largest first.
pub fn assign(demands: &[Demand]) -> (Vec<usize>, Vec<Slot>) {
    let mut slots: Vec<Slot> = vec![];
    let mut busy_until: Vec<usize> = vec![];
    let mut chosen = Vec::with_capacity(demands.len());
    for d in demands {
        let free = (0..slots.len()).filter(|&s| slots[s].dtype == d.dtype && busy_until[s] < d.made);
        // Large enough and least; else the largest.
        let best = free.min_by_key(|&s| {
            let len = slots[s].len;
            if len >= d.len { (0, len) } else { (1, usize::MAX - len) }
        });
        let slot = best.unwrap_or_else(|| {
            slots.push(Slot { dtype: d.dtype, len: 0 });
            busy_until.push(0);
            slots.len() - 1
        });
        slots[slot].len = slots[slot].len.max(d.len);
        busy_until[slot] = d.last;
        chosen.push(slot);
    }
    let mut order: Vec<usize> = (0..slots.len()).collect();
    order.sort_by_key(|&s| (slots[s].dtype, usize::MAX - slots[s].len));
    let mut place = vec![0; slots.len()];
    order.iter().enumerate().for_each(|(k, &s)| place[s] = k);
    chosen.iter_mut().for_each(|s| *s = place[*s]);
    (chosen, order.into_iter().map(|s| slots[s]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_shared_only_when_free() {
        let d = |len, made, last| Demand { dtype: DType::F64, len, made, last };
        let (chosen, slots) = assign(&[d(10, 0, 1), d(10, 1, 2), d(10, 2, 3), d(20, 3, 4)]);
        assert_eq!(chosen, [1, 0, 1, 0]);
        assert_eq!(slots.iter().map(|s| s.len).collect::<Vec<_>>(), [20, 10]);
        let (chosen, _) = assign(&[d(1, 0, 9), Demand { dtype: DType::F32, ..d(1, 0, 0) }, d(1, 1, 2)]);
        assert_eq!(chosen, [0, 2, 1]);
    }
}
