//! `solve(system, scheme)`: the equations become a balance law, the scheme a residual over degrees of freedom, and the solution
//! fields. Emits one `Op::Solve`; whether it runs now or inside a closure of a larger problem is not known here.

mod balance;
mod bordered;
mod conditions;
mod definite;
mod points;
mod scheme;
mod solution;

use self::bordered::Border;
use self::points::{Shared, data_type};
use self::scheme::Scheme;
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::functional::refused;
use super::system::Equations;
use super::value::{Discrete, Num, Value};
use crate::base::Span;
use crate::discretize::{Balance, Space, finite_element, finite_volume};
use crate::ir::{Builder, Op, Tensor, Type};
use indexmap::IndexMap;
use std::rc::Rc;
use std::sync::Arc;

impl Lower<'_> {
    pub fn solve(&mut self, args: &IndexMap<String, Value>, span: Span) -> Result<Value> {
        for name in ["t", "every", "steps"] {
            if args.get(name).is_some_and(|v| !matches!(v, Value::None)) {
                return error("unsupported.time", span, "problems in time are not supported yet");
            }
        }
        let problem = match args.get("problem") {
            Some(Value::Problem(p)) => p.clone(),
            Some(other) => {
                return error_help(
                    "run.scheme",
                    span,
                    format!("`solve` takes a system, not {}", other.kind()),
                    "call the system with its arguments: `solve(Heat(k), fem(n=32))`",
                );
            }
            None => return error("run.scheme", span, "`solve` takes a system"),
        };
        let scheme = self.scheme(args.get("scheme").unwrap_or(&Value::None), span)?;
        let mut eqs = self.equations(&problem)?;
        let border = self.border(&mut eqs)?;
        let balance_parts = self.balance(&eqs, &border, span)?;
        self.emit(eqs, border, balance_parts, &scheme, args.get("guess"), span)
    }

    fn emit(
        &mut self,
        eqs: Equations,
        border: Border,
        (balance, shared): (Balance, Shared),
        scheme: &Scheme,
        guess: Option<&Value>,
        span: Span,
    ) -> Result<Value> {
        let mesh = self.mesh(&eqs.domain.clone(), scheme.resolution.element, &scheme.resolution.cells, span)?;
        let space = self.space(mesh.clone(), scheme.resolution.order, span)?;
        let options = crate::discretize::Options {
            solver: scheme.solver,
            linear_tolerance: scheme.tolerance,
            ..crate::discretize::Options::default()
        };
        let discrete = if scheme.volumes {
            finite_volume::discretise(&balance, &space.mesh, &options)
        } else {
            finite_element::discretise(&balance, &space, &options)
        }
        .map_err(|r| refused(r, span))?;
        let mut spec = (*discrete.spec).clone();
        spec.name = format!("{}.{}", eqs.name, eqs.balances[0].name);
        spec.scale = eqs.domain.scale.map(|scale| self.program.def(scale).name.clone());
        let free = discrete.free;
        let fields = shared.interior_data.iter().chain(shared.boundary_data.iter().flatten());
        let fields: Vec<_> = fields.cloned().collect();
        let mut args: Vec<Num> = vec![];
        for ((field, gradient), argument) in fields.iter().zip(&discrete.data) {
            let interior = argument.at == crate::discretize::DataPoints::Interior;
            args.push(if interior && field.space.mesh == space.mesh && field.space.order > 0 {
                self.read_at_quadrature(field, *gradient, &space)
            } else {
                self.read_at(field, *gradient, &discrete.coordinates(&argument.at))
            });
        }
        args.extend(shared.numbers.iter().cloned());
        let guess_value = match guess {
            Some(v) if !matches!(v, Value::None) => Some(self.known_real(v, span)?),
            _ => None,
        };
        let first = match guess_value {
            Some(x) => Tensor::full(&Type::f64([free]), x),
            None if balance.linear => Tensor::zeros(&Type::f64([free])),
            None => discrete.nominal.clone(),
        };
        let (u, numbers) = match border {
            Border::Rows => self.solve_bordered(&eqs, &discrete, &space, &args, first, spec, span)?,
            Border::None => {
                let first = Num::Const(first);
                let refs: Vec<&Num> = std::iter::once(&first).chain(&args).collect();
                let residual = discrete.residual.clone();
                let u = self.tracer.build(&refs, |b, v| b.op(Op::Solve { residual, spec: Arc::new(spec) }, v));
                (u, vec![])
            }
        };
        let args: Vec<Num> = std::iter::once(u).chain(args.iter().map(|a| eqs.bound(a, &numbers))).collect();
        let refs: Vec<&Num> = args.iter().collect();
        let full = self.tracer.build(&refs, |b, v| b.inline(&discrete.expand, v)[0]);
        self.solution(eqs, full, numbers, &space, span)
    }

    /// A field of the same mesh at the quadrature points: a pointwise identity over its leaf.
    fn read_at_quadrature(&mut self, field: &Rc<Discrete>, gradient: bool, space: &Rc<Space>) -> Num {
        let mut b = Builder::new("read");
        let v = b.input(data_type(field, gradient, space.mesh.dimension()));
        let identity = b.finish(vec![v]);
        self.tracer.build(&[&field.dofs], |b, v| {
            let leaf = if gradient {
                crate::discretize::Leaf::Gradient { space: &field.space, dofs: v[0] }
            } else {
                crate::discretize::Leaf::Value { space: &field.space, dofs: v[0] }
            };
            space.evaluate(b, &identity, &[leaf])[0]
        })
    }

    /// A field at points `[…, d]`.
    fn read_at(&mut self, field: &Rc<Discrete>, gradient: bool, points: &Tensor) -> Num {
        let (d, lead) = match points.ty.shape.split_last() {
            Some((d, lead)) => (*d, lead.to_vec()),
            None => (1, vec![]),
        };
        let x = Num::Const(points.reshaped([lead.iter().product(), d]));
        let values = self.discrete_at_points(field, gradient, &x);
        let mut shape = lead;
        shape.extend(&values.shape()[1..]);
        self.tracer.build(&[&values], |b, v| b.reshape(v[0], &shape))
    }
}
