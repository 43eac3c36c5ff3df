//! Arguments compared bit by bit: work whose arguments are those of work already done gives the same bits, and is not done again.

use super::buffer::View;
use crate::ir::{Func, Op};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// Same element type, length and bits (so that -0 and 0 differ, and a NaN equals itself).
pub fn same_bits(a: View, b: View) -> bool {
    match (a, b) {
        (View::F64(a), View::F64(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
        (View::F32(a), View::F32(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
        (View::Index(a), View::Index(b)) => a == b,
        _ => false,
    }
}

/// For each of `n` items the first item with the same bits in all of these parts `(array, elements of an item)`, the arrays split
/// along their first axis.
pub fn first_of_each(n: usize, parts: &[(View, &Range<usize>)]) -> Vec<usize> {
    fn part<'a>((a, read): &(View<'a>, &Range<usize>), i: usize, n: usize) -> View<'a> {
        a.part(i * (a.len() / n) + read.start, read.len())
    }
    let mut seen: HashMap<u64, Vec<usize>> = HashMap::new();
    (0..n)
        .map(|i| {
            let mut hasher = DefaultHasher::new();
            parts.iter().for_each(|a| hash(part(a, i, n), &mut hasher));
            let alike = seen.entry(hasher.finish()).or_default();
            let same = |&j: &usize| parts.iter().all(|a| same_bits(part(a, i, n), part(a, j, n)));
            alike.iter().copied().find(same).unwrap_or_else(|| {
                alike.push(i);
                i
            })
        })
        .collect()
}

/// For each input the elements that a function reads, as ranges: one component of the coordinates, say.
pub fn elements_read(f: &Func) -> Vec<Vec<Range<usize>>> {
    let mut read: Vec<Vec<Range<usize>>> = vec![vec![]; f.inputs.len()];
    let whole = |k: usize| 0..f.inputs[k].len();
    for &v in &f.outputs {
        if let Op::Input(k) = f.node(v).op {
            read[k].push(whole(k));
        }
    }
    for node in &f.nodes {
        for (v, k) in node.args.iter().filter_map(|&a| match f.node(a).op {
            Op::Input(k) => Some((a, k)),
            _ => None,
        }) {
            let range = match &node.op {
                // Along the first axis, all of the others: a contiguous range.
                Op::Slice { start, end, stride } if stride.iter().all(|s| *s == 1) => {
                    let shape = &f.ty(v).shape;
                    let row: usize = shape[1..].iter().product();
                    let rest = start[1..].iter().all(|s| *s == 0) && end[1..] == shape[1..];
                    if rest { start[0] * row..end[0] * row } else { whole(k) }
                }
                _ => whole(k),
            };
            if !read[k].contains(&range) {
                read[k].push(range);
            }
        }
    }
    read
}

fn hash(v: View, hasher: &mut DefaultHasher) {
    match v {
        View::F64(x) => x.iter().for_each(|x| x.to_bits().hash(hasher)),
        View::F32(x) => x.iter().for_each(|x| x.to_bits().hash(hasher)),
        View::Index(x) => x.hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Builder, Type};

    #[test]
    fn repeats_are_found_across_arrays() {
        let (a, b) = ([1.0, 1.0, 1.0, 0.0, -0.0, 0.0], [1, 1, 2, 2, 1, 2, 7, 7, 7, 7, 7, 7]);
        let first = first_of_each(6, &[(View::F64(&a), &(0..1)), (View::Index(&b), &(0..2))]);
        assert_eq!(first, [0, 1, 2, 3, 4, 3]);
        let first = first_of_each(6, &[(View::Index(&b), &(1..2))]);
        assert_eq!(first, [0, 1, 1, 3, 3, 3]);
        assert_eq!(first_of_each(3, &[]), [0, 0, 0]);
        assert!(same_bits(View::F64(&[f64::NAN]), View::F64(&[f64::NAN])));
        assert!(!same_bits(View::F64(&[0.0]), View::F64(&[-0.0])));
    }

    #[test]
    fn only_the_elements_that_are_read_count() {
        let mut b = Builder::new("f");
        let (x, y, _) = (b.input(Type::f64([3])), b.input(Type::f64([2])), b.input(Type::f64([])));
        let x1 = b.index(x, 0, 1);
        let sum = b.sum_all(y);
        let out = b.add(x1, sum);
        let f = b.finish(vec![out]);
        let ranges = |r: &[(usize, usize)]| r.iter().map(|&(a, b)| a..b).collect::<Vec<_>>();
        assert_eq!(elements_read(&f), [ranges(&[(1, 2)]), ranges(&[(0, 2)]), vec![]]);
    }
}
