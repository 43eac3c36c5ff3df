//! Finite differences with all rates unknown at once: a residual for implicit steps and steady problems.
//!
//! Its matrix comes from the rates themselves: unknowns that no equation reads together share a colour, and one derivative along
//! a colour gives all of its columns. [Curtis, Powell & Reid 1974]

use super::central::{rates, slopes};
use crate::ad::jvp_into;
use crate::discretize::balance::Balance;
use crate::discretize::derivative::{Direction, derivative};
use crate::discretize::discrete::with_lead;
use crate::discretize::family::Family;
use crate::discretize::sparsity::nonzero_pattern;
use crate::discretize::{DataArgument, DataPoints, Discrete, Mesh, Options, Refusal, Space};
use crate::ir::{Block, Builder, Compare, Func, Jacobian, Op, Tensor, Type, Value};
use std::sync::Arc;

/// `∇·flux + source` at the points of a grid, by differences of an order: `u` is `[N·c]`, point by point.
///
/// Errors: those of [`rates`].
pub fn discretise(balance: &Balance, mesh: &Mesh, order: usize, options: &Options) -> Result<Discrete, Refusal> {
    let rates = rates(balance, mesh, order)?;
    let space = Space::cells(mesh.clone());
    let free = mesh.cell_count() * balance.components;
    let scheme = Scheme { balance, mesh, rates, data: data_arguments(balance, mesh)? };
    let pattern = Pattern::new(balance, mesh, order);
    let mut spec = options.spec(balance, None, Some(scheme.jacobian(&pattern)));
    // Beside walls the rows are not those of a symmetric matrix.
    spec.symmetric &= balance.boundary.is_empty() && mesh.periodic.iter().all(|p| *p);
    let nominal = (0..free).map(|i| balance.nominal.get(i % balance.components).copied().unwrap_or(0.0));
    Ok(Discrete {
        residual: Arc::new(scheme.residual()),
        expand: Arc::new(scheme.expand()),
        gradient: Some(Arc::new(scheme.gradient(order))),
        spec: Arc::new(spec),
        free,
        nominal: Tensor::f64([free], nominal.collect::<Vec<_>>()),
        places: Tensor::index([free], (0..free as u32).collect::<Vec<_>>()),
        data: scheme.data,
        shared: balance.shared.clone(),
        space,
    })
}

/// The balance's own data at the points, then those of each condition at the facets of its sides.
fn data_arguments(balance: &Balance, mesh: &Mesh) -> Result<Vec<DataArgument>, Refusal> {
    let interior = [mesh.cell_count(), 1];
    let each = balance.point_data.iter();
    let mut out: Vec<DataArgument> =
        each.map(|item| DataArgument { ty: with_lead(&interior, item), at: DataPoints::Interior }).collect();
    for on in &balance.boundary {
        let sides = mesh.part(&on.part)?;
        let count: usize = sides.iter().map(|&s| Family::facets(mesh, s, 1).count).sum();
        let at = DataPoints::Facets(sides);
        out.extend(on.point_data.iter().map(|item| DataArgument { ty: with_lead(&[count, 1], item), at: at.clone() }));
    }
    Ok(out)
}

struct Scheme<'a> {
    balance: &'a Balance,
    mesh: &'a Mesh,
    /// As [`rates`] gives them.
    rates: Func,
    data: Vec<DataArgument>,
}

impl Scheme<'_> {
    /// `u[N·c]` and the arguments of the rates after the unknowns.
    fn inputs(&self, b: &mut Builder) -> (Value, Vec<Value>) {
        let u = b.input(Type::f64([self.mesh.cell_count() * self.balance.components]));
        let mut rest: Vec<Value> = self.data.iter().map(|a| b.input(a.ty.clone())).collect();
        for v in &mut rest {
            // One point an item.
            let shape = b.ty(*v).shape.clone();
            *v = b.reshape(*v, &[&shape[..1], &shape[2..]].concat());
        }
        rest.extend(self.balance.shared.iter().map(|ty| b.input(ty.clone())).collect::<Vec<_>>());
        (u, rest)
    }

    /// `[N·c]` as `[c, n…]`.
    fn by_component(&self, b: &mut Builder, u: Value) -> Value {
        let c = self.balance.components;
        let rows = b.reshape(u, &[self.mesh.cell_count(), c]);
        let columns = b.transpose(rows, &[1, 0]);
        b.reshape(columns, &[&[c], &self.mesh.cells[..]].concat())
    }

    /// `[c, n…]` as `[N, c]`.
    fn by_point(&self, b: &mut Builder, v: Value) -> Value {
        let flat = b.reshape(v, &[self.balance.components, self.mesh.cell_count()]);
        b.transpose(flat, &[1, 0])
    }

    fn residual(&self) -> Func {
        let mut b = Builder::new(format!("{} residual", self.balance.name));
        let (u, rest) = self.inputs(&mut b);
        let u = self.by_component(&mut b, u);
        let rates = b.inline(&self.rates, &[&[u], &rest[..]].concat())[0];
        let minus = b.neg(rates);
        let points = self.by_point(&mut b, minus);
        let flat = b.reshape(points, &[self.mesh.cell_count() * self.balance.components]);
        b.finish(vec![flat])
    }

    fn expand(&self) -> Func {
        let mut b = Builder::new(format!("{} values", self.balance.name));
        let u = self.inputs(&mut b).0;
        let out = b.reshape(u, &[self.mesh.cell_count(), self.balance.components]);
        b.finish(vec![out])
    }

    /// `∇u` at the points, `[N, c, d]`.
    fn gradient(&self, order: usize) -> Func {
        let (c, d, n) = (self.balance.components, self.balance.dimension, self.mesh.cell_count());
        let mut b = Builder::new(format!("{} gradients", self.balance.name));
        let u = self.inputs(&mut b).0;
        let u = self.by_component(&mut b, u);
        let s = b.inline(&slopes(c, self.mesh, order), &[u])[0];
        let flat = b.reshape(s, &[c, d, n]);
        let out = b.transpose(flat, &[2, 0, 1]);
        b.finish(vec![out])
    }

    fn jacobian(&self, pattern: &Pattern) -> Jacobian {
        let (c, n) = (self.balance.components, self.mesh.cell_count());
        let colours = pattern.colours();
        let count = colours.iter().max().map_or(0, |m| *m as usize + 1) * c;

        let mut b = Builder::new(format!("{} Jacobian", self.balance.name));
        let (u, rest) = self.inputs(&mut b);
        let u = self.by_component(&mut b, u);
        let seeds = b.constant(Tensor::f64([count], (0..count).map(|k| k as f64).collect::<Vec<_>>()));
        let args = [&[seeds, u], &rest[..]].concat();
        let types: Vec<Type> = args[1..].iter().map(|v| b.ty(*v).clone()).collect();
        let mapped = (0..args.len()).map(|k| k == 0).collect();
        let body = Arc::new(self.along_colour(&colours, &types));
        let columns = b.ops(Op::Map { body, n: count, mapped }, &args)[0];

        // Entry (row point i, its component a; the s-th point j that it reads, component k) is in the column of the colour of j and k.
        let width = pattern.reads.iter().map(Vec::len).max().unwrap_or(0);
        let mut places = Vec::with_capacity(n * c * width * c);
        let mut cols = Vec::with_capacity(n * width * c);
        for (i, reads) in pattern.reads.iter().enumerate() {
            for a in 0..c {
                for s in 0..width {
                    let colour = reads.get(s).map_or(0, |&j| colours[j as usize] as usize);
                    places.extend((0..c).map(|k| (((colour * c + k) * c + a) * n + i) as u32));
                }
            }
            for s in 0..width {
                // What is not there is dropped.
                cols.extend((0..c as u32).map(|k| reads.get(s).map_or(u32::MAX, |&j| j * c as u32 + k)));
            }
        }
        let flat = b.reshape(columns, &[count * c * n]);
        let places = b.constant(Tensor::index([n, c, width * c], places));
        let values = b.gather(flat, places);
        let rows: Vec<u32> = (0..(n * c) as u32).collect();
        let block = Block { rows: Tensor::index([n, c], rows), cols: Tensor::index([n, width * c], cols) };
        Jacobian { values: b.finish(vec![values]), blocks: vec![block] }
    }

    /// `(seed, u, …) → ∂residual [c, n…]` along all unknowns of a colour and component, seed = colour·c + component.
    fn along_colour(&self, colours: &[u32], types: &[Type]) -> Func {
        let c = self.balance.components;
        let mut b = Builder::new("columns");
        let seed = b.input(Type::f64([]));
        let args: Vec<Value> = types.iter().map(|t| b.input(t.clone())).collect();
        let of_unknowns: Vec<f64> =
            (0..c).flat_map(|k| colours.iter().map(move |q| (*q as usize * c + k) as f64)).collect();
        let shape = types[0].shape.clone();
        let of_unknowns = b.constant(Tensor::f64(shape.clone(), of_unknowns));
        let this = b.broadcast_to(seed, &shape);
        let tangent = b.compare(Compare::Eq, of_unknowns, this);
        let mut tangents = vec![None; args.len()];
        tangents[0] = Some(tangent);
        let (_, out) = jvp_into(&mut b, &self.rates, &args, &tangents);
        let out = match out[0] {
            Some(v) => b.neg(v),
            None => b.full(&types[0], 0.0),
        };
        b.finish(vec![out])
    }
}

/// Which points the equation at each point reads.
struct Pattern {
    reads: Vec<Vec<u32>>,
}

impl Pattern {
    fn new(balance: &Balance, mesh: &Mesh, order: usize) -> Pattern {
        let d = mesh.dimension();
        let crossed = crossed_axes(balance);
        let along: Vec<Vec<Vec<usize>>> = (0..d)
            .map(|a| (0..mesh.cells[a]).map(|i| along_axis(mesh, a, i, order, balance.order)).collect())
            .collect();
        let strides: Vec<usize> = (0..d).map(|a| mesh.cells[a + 1..].iter().product()).collect();
        let reads = (0..mesh.cell_count()).map(|point| {
            let at: Vec<usize> = (0..d).map(|a| point / strides[a] % mesh.cells[a]).collect();
            let moved = |from: usize, a: usize, to: usize| from - at[a] * strides[a] + to * strides[a];
            let mut all = vec![point as u32];
            for a in 0..d {
                let line = along[a][at[a]].iter().map(|&i| moved(point, a, i));
                all.extend(line.clone().map(|j| j as u32));
                for b in (a + 1..d).filter(|&b| crossed[a][b]) {
                    let plane = line.clone().flat_map(|j| along[b][at[b]].iter().map(move |&i| moved(j, b, i) as u32));
                    all.extend(plane);
                }
            }
            all.sort_unstable();
            all.dedup();
            all
        });
        Pattern { reads: reads.collect() }
    }

    /// Points of one colour are read by no equation together; each point takes the first colour that is free.
    fn colours(&self) -> Vec<u32> {
        let n = self.reads.len();
        let mut readers = vec![vec![]; n];
        for (row, reads) in self.reads.iter().enumerate() {
            reads.iter().for_each(|&j| readers[j as usize].push(row));
        }
        let mut colours = vec![u32::MAX; n];
        let mut taken_by = vec![usize::MAX; n + 1];
        for j in 0..n {
            for &other in readers[j].iter().flat_map(|&row| &self.reads[row]) {
                let colour = colours[other as usize];
                if colour != u32::MAX {
                    taken_by[colour as usize] = j;
                }
            }
            colours[j] = (0..).find(|&q| taken_by[q as usize] != j).expect("compiler bug: more colours than points");
        }
        colours
    }
}

/// What the equations at a place along an axis read along it: stencils of fluxes and derivatives, beside walls also the points that
/// values and fluxes behind the wall are extrapolated from.
fn along_axis(mesh: &Mesh, axis: usize, i: usize, order: usize, derivatives: usize) -> Vec<usize> {
    let n = mesh.cells[axis];
    let reach = (order - 1 + derivatives / 2).max(order / 2 + derivatives.div_ceil(2) - 1);
    if mesh.periodic[axis] {
        return (0..=2 * reach.min(n / 2)).map(|k| (i + n + k - reach.min(n / 2)) % n).collect();
    }
    let layers = if order == 2 { 3 } else { 2 * order + 1 };
    let (mut low, mut high) = (i.saturating_sub(reach), (i + reach).min(n - 1));
    if i < reach {
        high = high.max(layers - 1).min(n - 1);
    }
    if i + reach >= n {
        low = low.min(n.saturating_sub(layers));
    }
    (low..=high).collect()
}

/// Pairs of axes whose derivatives meet: in the flux along one of them, or as a mixed derivative.
fn crossed_axes(balance: &Balance) -> Vec<Vec<bool>> {
    let (c, d) = (balance.components, balance.dimension);
    let mut crossed = vec![vec![false; d]; d];
    for r in 1..=balance.order {
        let directions: Vec<Direction> =
            (0..c * d.pow(r as u32)).map(|element| Direction { input: 1 + r, element }).collect();
        let pattern = nonzero_pattern(&derivative(&balance.interior, &directions));
        for (k, direction) in directions.iter().enumerate() {
            let mut axes: Vec<usize> = (0..r).map(|p| direction.element / d.pow(p as u32) % d).collect();
            for a in (0..d).filter(|a| (0..c).any(|i| pattern[2 * k][i * d + a] != 0.0)) {
                axes.push(a);
                mark(&mut crossed, &axes);
                axes.pop();
            }
            if pattern[2 * k + 1].contains(&1.0) {
                mark(&mut crossed, &axes);
            }
        }
    }
    crossed
}

fn mark(crossed: &mut [Vec<bool>], axes: &[usize]) {
    for &a in axes {
        for &b in axes.iter().filter(|b| **b != a) {
            crossed[a][b] = true;
        }
    }
}
