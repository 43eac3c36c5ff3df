//! Small bodies of maps as straight-line code: every element of every tensor is an expression of its own, and the items are the
//! loop, vectorised with one item a lane.

use super::Place;
use super::fuse::{Cut, Home, Site, nests};
use super::nest::{Address, Affine, Graph, Id, Nest};
use crate::ir::components::{LARGEST, Scalars, cost, unravel, write_out};
use crate::ir::{Binary, Compare, Func, Op, Type, Unary, Value};

/// Most expressions of a kernel; beyond, compiling takes too long and registers do not suffice.
const MOST: usize = 3000;

/// Whether the body of a map is small enough, and made of operations that can be written out.
pub fn is_kernel(body: &Func) -> bool {
    let Some(dtype) = body.outputs.first().map(|&v| body.ty(v).dtype) else { return false };
    let fits = |t: &Type| t.dtype == dtype && t.len() <= LARGEST && !t.is_empty();
    dtype.is_float()
        && super::kernel::available()
        && body.inputs.iter().all(fits)
        && body.output_types().iter().all(fits)
        && cost(body, dtype).is_some_and(|c| c <= MOST)
}

/// The nests of a map over a small body, and the places they read.
pub fn map(f: &Func, homes: &[Home], places: &[Vec<Place>], v: Value) -> Option<(Vec<Nest>, Vec<Place>)> {
    let node = f.node(v);
    let Op::Map { body, n, mapped } = &node.op else { unreachable!("compiler bug: not a map") };
    let build = |site: &mut Site| -> Result<Vec<(Address, Id)>, Cut> {
        let item = Affine::axis(0, 1);
        let mut inputs = vec![];
        for (&a, &m) in node.args.iter().zip(mapped) {
            let shape = &f.ty(a).shape[m as usize..];
            let elements = (0..shape.iter().product()).map(|k| {
                let mut at: Vec<Affine> = if m { vec![item.clone()] } else { vec![] };
                at.extend(unravel(k, shape).into_iter().map(|i| Affine::constant(i as isize, 1)));
                site.value(a, &at)
            });
            inputs.push(elements.collect::<Result<Vec<Id>, Cut>>()?);
        }
        let outputs = write_out(&mut site.graph, body, &inputs);
        let mut stores = vec![];
        for (k, elements) in outputs.iter().enumerate() {
            let width = elements.len() as isize;
            let each = elements.iter().enumerate();
            stores.extend(each.map(|(e, &id)| (Address { buffer: k, at: item.scaled(width, e as isize) }, id)));
        }
        Ok(stores)
    };
    nests(f, homes, places, node.types[0].dtype, &[*n], &build)
}

impl Scalars for Graph {
    type Id = Id;

    fn constant(&mut self, x: f64) -> Id {
        Graph::constant(self, x)
    }

    fn unary(&mut self, f: Unary, a: Id) -> Id {
        Graph::unary(self, f, a)
    }

    fn binary(&mut self, f: Binary, a: Id, b: Id) -> Id {
        Graph::binary(self, f, a, b)
    }

    fn product(&mut self, a: Id, b: Id) -> Id {
        Graph::product(self, a, b)
    }

    fn sum(&mut self, a: Id, b: Id) -> Id {
        Graph::sum(self, a, b)
    }

    fn compare(&mut self, c: Compare, a: Id, b: Id) -> Id {
        Graph::compare(self, c, a, b)
    }

    fn select(&mut self, mask: Id, a: Id, b: Id) -> Id {
        Graph::select(self, mask, a, b)
    }
}
