//! The method of manufactured solutions: from an exact u and a law, the source and the boundary data that make it so.
//! [Roache, J. Fluids Eng. 124 (2002)]

use mslc::ad::jvp_into;
use mslc::discretize::{Balance, Boundary, Condition, Discrete, Leaf, Mesh, Space};
use mslc::ir::{Builder, Func, Op, Reduce, Tensor, Type, Unary, Value};

/// `(b, x[d], u[c], ∇u[c, d]) → (flux[c, d], source[c])`
pub type Law = fn(&mut Builder, Value, Value, Value) -> (Value, Value);

/// An exact solution of a law with a manufactured source.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub dimension: usize,
    pub components: usize,
    /// `x[d] → u[c]`
    pub exact: fn(&mut Builder, Value) -> Value,
    pub law: Law,
    pub linear: bool,
    pub symmetric: bool,
}

/// What is given on a part of the boundary; all from the exact solution.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    Dirichlet,
    Neumann,
    /// `flux·n = (flux·n)_exact + 3 (u - u_exact)`
    Robin,
}

impl Case {
    pub fn balance(&self, on: &[(&str, Kind)]) -> Balance {
        let boundary = on.iter().flat_map(|&(part, kind)| self.conditions(part, kind)).collect();
        Balance {
            name: self.name.into(),
            dimension: self.dimension,
            components: self.components,
            order: 1,
            nominal: vec![1.0; self.components],
            interior: self.interior(),
            point_data: vec![],
            shared: vec![],
            boundary,
            linear: self.linear,
            symmetric: self.symmetric,
            constant_kernel: false,
            carries: false,
        }
    }

    fn interior(&self) -> Func {
        let (d, c) = (self.dimension, self.components);
        let mut b = Builder::new(self.name);
        let (x, u, g) = (b.input(Type::f64([d])), b.input(Type::f64([c])), b.input(Type::f64([c, d])));
        let (flux, source) = (self.law)(&mut b, x, u, g);
        let forcing = b.inline(&self.forcing(), &[x])[0];
        let source = b.sub(source, forcing);
        b.finish(vec![flux, source])
    }

    /// `x → ∇·flux + source` of the exact solution, `[c]`.
    fn forcing(&self) -> Func {
        let d = self.dimension;
        let mut b = Builder::new("forcing");
        let x = b.input(Type::f64([d]));
        let law = self.exact_law();
        let mut total = b.inline(&law, &[x])[1];
        for l in 0..d {
            let e = unit(&mut b, d, l);
            let (_, slopes) = jvp_into(&mut b, &law, &[x], &[Some(e)]);
            if let Some(slope) = slopes[0] {
                let along = b.index(slope, 1, l);
                total = b.add(total, along);
            }
        }
        b.finish(vec![total])
    }

    /// `x → (flux[c, d], source[c], u[c], ∇u[c, d])` of the exact solution.
    fn exact_law(&self) -> Func {
        let d = self.dimension;
        let mut b = Builder::new("exact");
        let x = b.input(Type::f64([d]));
        let mut exact = Builder::new("exact");
        let y = exact.input(Type::f64([d]));
        let u = (self.exact)(&mut exact, y);
        let exact = exact.finish(vec![u]);
        let u = b.inline(&exact, &[x])[0];
        let columns: Vec<Value> = (0..d)
            .map(|l| {
                let e = unit(&mut b, d, l);
                jvp_into(&mut b, &exact, &[x], &[Some(e)]).1[0].unwrap_or_else(|| b.zeros_like(u))
            })
            .collect();
        let g = b.stack(&columns, 1);
        let (flux, source) = (self.law)(&mut b, x, u, g);
        b.finish(vec![flux, source, u, g])
    }

    fn conditions(&self, part: &str, kind: Kind) -> Vec<Boundary> {
        let (d, c) = (self.dimension, self.components);
        let on = |condition| Boundary { part: part.into(), condition, point_data: vec![] };
        let law = self.exact_law();
        if kind == Kind::Dirichlet {
            let essential = |component| {
                let mut b = Builder::new("given");
                let x = b.input(Type::f64([d]));
                let u = b.inline(&law, &[x])[2];
                let value = b.index(u, 0, component);
                on(Condition::Essential { component, value: b.finish(vec![value]) })
            };
            return (0..c).map(essential).collect();
        }
        let mut b = Builder::new("natural");
        let (x, u, n) = (b.input(Type::f64([d])), b.input(Type::f64([c])), b.input(Type::f64([d])));
        let exact = b.inline(&law, &[x]);
        let mut value = b.matmul(exact[0], n);
        if kind == Kind::Robin {
            let difference = b.sub(u, exact[2]);
            let exchange = b.scale(difference, 3.0);
            value = b.add(value, exchange);
        }
        vec![on(Condition::flux(c, b.finish(vec![value])))]
    }

    /// L2 norm of the error and of its gradient. Up to a constant where nothing fixes one.
    pub fn errors(&self, discrete: &Discrete) -> (f64, f64) {
        let (d, c) = (self.dimension, self.components);
        let mut b = Builder::new("errors");
        let (x, u, g) = (b.input(Type::f64([d])), b.input(Type::f64([c])), b.input(Type::f64([c, d])));
        let exact = b.inline(&self.exact_law(), &[x]);
        let (e, slope) = (b.sub(u, exact[2]), b.sub(g, exact[3]));
        let (e2, slope2) = (b.mul(e, e), b.mul(slope, slope));
        let (e2, slope2) = (b.sum_all(e2), b.sum_all(slope2));
        let f = b.finish(vec![e2, slope2, e]);

        let fine = fine(&discrete.space);
        let mut b = Builder::new("measure");
        let dofs = discrete.solve(&mut b, None, &[], &[]);
        let space = &discrete.space;
        let leaves = [Leaf::Coordinates, Leaf::Value { space, dofs }, Leaf::Gradient { space, dofs }];
        let mut norms = fine.integrate(&mut b, &f, &leaves);
        let mean2 = b.mul(norms[2], norms[2]);
        norms[2] = b.reduce(Reduce::Sum, mean2, &[0]);
        let f = b.finish(norms);
        let out = super::run(&f, &[]);
        let free = if discrete.spec.constant_kernel { out[2].item() / space.mesh.volume() } else { 0.0 };
        ((out[0].item() - free).max(0.0).sqrt(), out[1].item().sqrt())
    }
}

/// The same space with a quadrature that resolves the error.
fn fine(space: &Space) -> Space {
    match space.order {
        0 => space.clone(),
        p => Space::lagrange(space.mesh.clone(), p, Some(p + 3)).unwrap(),
    }
}

pub fn unit_box(element: mslc::discretize::Element, n: usize, periodic: bool) -> Mesh {
    let d = element.dimension();
    Mesh::new(element, &vec![0.0; d], &vec![1.0; d], &vec![n; d], &vec![periodic; d]).unwrap()
}

pub fn unit(b: &mut Builder, d: usize, l: usize) -> Value {
    let e: Vec<f64> = (0..d).map(|k| (k == l) as u8 as f64).collect();
    b.constant(Tensor::f64([d], e))
}

/// `sin(factor · π · x_axis + phase)`, a scalar.
pub fn sine(b: &mut Builder, x: Value, axis: usize, factor: f64, phase: f64) -> Value {
    let x = b.index(x, 0, axis);
    let x = b.scale(x, factor * std::f64::consts::PI);
    let phase = b.scalar(phase);
    let x = b.add(x, phase);
    b.unary(Unary::Sin, x)
}

/// A constant tensor times a vector of gradients: `[c, d] · [d, d]`.
pub fn times_matrix(b: &mut Builder, g: Value, rows: &[&[f64]]) -> Value {
    let d = rows.len();
    let k = b.constant(Tensor::f64([d, d], rows.concat()));
    b.matmul(g, k)
}

/// `[1]` of a scalar.
pub fn one(b: &mut Builder, v: Value) -> Value {
    b.op(Op::Reshape(vec![1]), &[v])
}
