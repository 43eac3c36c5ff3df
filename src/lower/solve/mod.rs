//! `solve(system, scheme)`: the equations become a balance law, the scheme a residual over degrees of freedom, and the solution
//! fields. Emits one `Op::Solve`; whether it runs now or inside a closure of a larger problem is not known here.

mod balance;
mod bordered;
mod conditions;
mod definite;
mod points;
mod scheme;
mod solution;

pub(super) use self::bordered::Border;
pub(super) use self::points::Shared;
use self::points::data_type;
pub(super) use self::scheme::{Integrator, Method, Scheme};
use super::error::{Result, error, error_help};
use super::eval::Lower;
use super::evolve::march::Sought;
use super::functional::refused;
use super::system::Equations;
use super::value::{Discrete, Num, Solution, Value};
use crate::base::Span;
use crate::discretize::chebyshev::Purpose;
use crate::discretize::grid::Derivatives;
use crate::discretize::{self, Balance, Space, chebyshev, finite_element, finite_volume, grid};
use crate::ir::{Builder, Op, Tensor, Type};
use indexmap::IndexMap;
use std::rc::Rc;
use std::sync::Arc;

/// An argument, if it was given.
pub(in crate::lower) fn given<'a>(args: &'a IndexMap<String, Value>, name: &str) -> Option<&'a Value> {
    args.get(name).filter(|v| !matches!(v, Value::None))
}

/// What a solve gives, traced.
pub(super) struct Solved {
    /// Values at all nodes, `[N, c]`.
    pub nodal: Num,
    /// Their gradients, `[N, c, d]`, where the method has its own.
    pub slopes: Option<Num>,
    /// Of the system's unknown numbers.
    pub numbers: Vec<Num>,
    pub space: Rc<Space>,
}

/// Where Newton starts.
pub(super) enum Guess {
    /// At the nominal sizes.
    None,
    Number(f64),
    /// At nodal values `[N, c]`.
    Values(Num),
    /// The same; where no solution is found, one of the values is not finite, and who asks tries something else.
    Try(Num),
}

impl Lower<'_> {
    pub fn solve(&mut self, args: &IndexMap<String, Value>, span: Span) -> Result<Value> {
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
        if self.is_ordinary(problem.def) {
            return self.evolve_ordinary(&problem, args, span);
        }
        let scheme = self.scheme(args.get("scheme").unwrap_or(&Value::None), span)?;
        if scheme.time.is_some() || ["t", "every", "steps"].iter().any(|n| given(args, n).is_some()) {
            return self.evolve(&problem, &scheme, args, span);
        }
        let mut eqs = self.equations(&problem)?;
        self.settle(&mut eqs, scheme.method.conservative())?;
        if let Some(e) = eqs.balances.iter().find(|e| e.residual.stored.is_some()) {
            return error_help(
                "run.scheme",
                span,
                format!("equation `{}` of `{}` changes in time", e.name, eqs.name),
                "say how long and how: `solve(…, fem(n=64, time=bdf2(0.1 [s])), t=(0..10) [s])`",
            );
        }
        let border = self.border(&mut eqs)?;
        let balance_parts = self.balance(&eqs, &border, span)?;
        let guess = match given(args, "guess").cloned() {
            None => Guess::None,
            Some(Value::Solution(s)) => self.guess(&eqs, &s, &scheme, span)?,
            Some(v) => Guess::Number(self.known_real(&v, span)?),
        };
        let solved = self.emit(&eqs, border, balance_parts, &scheme, guess, span)?;
        Ok(Value::Solution(self.solution(&eqs, solved, span)?))
    }

    /// The values of another solution, that of other parameters perhaps, at the nodes of this one.
    fn guess(&mut self, eqs: &Equations, s: &Solution, scheme: &Scheme, span: Span) -> Result<Guess> {
        let mesh = self.mesh(&eqs.domain.clone(), scheme.resolution.element, &scheme.resolution.cells, span)?;
        let space = self.scheme_space(mesh, scheme, span)?;
        let x = Num::Const(space.node_coordinates());
        let mut columns = vec![];
        for u in &eqs.unknowns {
            let n: usize = u.shape.iter().product();
            let Some(Value::Field(f)) = s.members.get(&u.name).cloned() else {
                return error_help(
                    "run.scheme",
                    span,
                    format!("the guess has no field `{}`", u.name),
                    "give a solution of the same system, or a number",
                );
            };
            let values = self.field_at_points(&f, &x, span)?;
            columns.push(self.tracer.build(&[&values], |b, v| b.reshape(v[0], &[space.node_count(), n])));
        }
        let refs: Vec<&Num> = columns.iter().collect();
        Ok(Guess::Values(self.tracer.build(&refs, |b, v| b.concat(v, 1))))
    }

    /// Emits the solve.
    pub(super) fn emit(
        &mut self,
        eqs: &Equations,
        border: Border,
        (balance, shared): (Balance, Shared),
        scheme: &Scheme,
        guess: Guess,
        span: Span,
    ) -> Result<Solved> {
        self.emit_by(eqs, &border, (&balance, &shared), scheme, scheme.method, guess, span)
    }

    /// Emits the solve by a method, of the scheme or of a lower order.
    #[allow(clippy::too_many_arguments)] // The problem, its parts, and how it is solved.
    fn emit_by(
        &mut self,
        eqs: &Equations,
        border: &Border,
        (balance, shared): (&Balance, &Shared),
        scheme: &Scheme,
        method: Method,
        mut guess: Guess,
        span: Span,
    ) -> Result<Solved> {
        let mesh = self.mesh(&eqs.domain.clone(), scheme.resolution.element, &scheme.resolution.cells, span)?;
        let space = self.scheme_space(mesh.clone(), scheme, span)?;
        if let (Method::Grid(Derivatives::Central { order: 4.. }), Guess::None, false) =
            (method, &guess, balance.linear)
        {
            // Wide stencils make of values that contradict the walls whatever they like: order 2 comes first.
            let second = Method::Grid(Derivatives::Central { order: 2 });
            guess =
                Guess::Values(self.emit_by(eqs, border, (balance, shared), scheme, second, Guess::None, span)?.nodal);
        }
        let options = discretize::Options {
            solver: scheme.solver,
            linear_tolerance: scheme.tolerance,
            ..discretize::Options::default()
        };
        let discrete = match method {
            // Of additive steps they serve the explicit terms.
            Method::Volumes
                if (scheme.reconstruct.is_some() || scheme.riemann.is_some())
                    && !matches!(scheme.time, Some((Integrator::Additive(_), _))) =>
            {
                return error_help(
                    "run.scheme",
                    span,
                    "reconstruction and Riemann solvers serve explicit steps in time",
                    "use `time=ssprk3(…)`, or leave out `reconstruct` and `riemann`: fluxes are then those of two points",
                );
            }
            Method::Volumes => finite_volume::discretise(balance, &space.mesh, &options),
            Method::Elements => finite_element::discretise(balance, &space, &options),
            Method::Chebyshev => {
                let purpose = if scheme.time.is_some() { Purpose::Stage } else { Purpose::Steady };
                chebyshev::discretise(balance, &space, &options, purpose).map(|made| made.discrete)
            }
            Method::Grid(Derivatives::Central { order }) => grid::discretise(balance, &space.mesh, order, &options),
            Method::Grid(Derivatives::Fourier(_)) => {
                return error_help(
                    "run.scheme",
                    span,
                    "`spectral` steps through time and solves nothing at once",
                    "use `fem`, `fv` or `fd` for steady problems and implicit steps",
                );
            }
        }
        .map_err(|r| refused(r, span))?;
        let mut spec = (*discrete.spec).clone();
        spec.name = format!("{}.{}", eqs.name, eqs.balances[0].name);
        spec.scale = eqs.domain.scale.map(|scale| self.program.def(scale).name.clone());
        let free = discrete.free;
        self.runtime.seeks(&spec.name, &|| Sought::Fields {
            unknowns: eqs.unknowns.iter().map(|u| (u.name.clone(), u.shape.clone())).collect(),
            space: space.clone(),
            places: discrete.places.clone(),
        });
        let mut args = self.data_arguments(&discrete, shared, &space);
        args.extend(shared.numbers.iter().cloned());
        spec.may_fail = matches!(guess, Guess::Try(_));
        let first = match guess {
            Guess::Number(x) => Num::Const(Tensor::full(&Type::f64([free]), x)),
            Guess::None | Guess::Values(_) | Guess::Try(_) if balance.linear => {
                Num::Const(Tensor::zeros(&Type::f64([free])))
            }
            Guess::None => Num::Const(discrete.nominal.clone()),
            Guess::Values(nodal) | Guess::Try(nodal) => self.tracer.build(&[&nodal], |b, v| {
                let all = b.ty(v[0]).len();
                let flat = b.reshape(v[0], &[all]);
                let places = b.constant(discrete.places.clone());
                b.gather(flat, places)
            }),
        };
        let (u, numbers) = match border {
            Border::Rows => self.solve_bordered(eqs, &discrete, &space, &args, first, spec, span)?,
            Border::None => {
                let refs: Vec<&Num> = std::iter::once(&first).chain(&args).collect();
                let residual = discrete.residual.clone();
                let u = self.tracer.build(&refs, |b, v| b.op(Op::Solve { residual, spec: Arc::new(spec) }, v));
                (u, vec![])
            }
        };
        let args: Vec<Num> = std::iter::once(u).chain(args.iter().map(|a| eqs.bound(a, &numbers))).collect();
        let refs: Vec<&Num> = args.iter().collect();
        let nodal = self.tracer.build(&refs, |b, v| b.inline(&discrete.expand, v)[0]);
        let slopes = discrete.gradient.as_ref().map(|g| self.tracer.build(&refs, |b, v| b.inline(g, v)[0]));
        Ok(Solved { nodal, slopes, numbers, space })
    }

    /// The fields that a discretised balance reads, at the points where it reads them.
    pub(super) fn data_arguments(
        &mut self,
        discrete: &discretize::Discrete,
        shared: &Shared,
        space: &Rc<Space>,
    ) -> Vec<Num> {
        let fields = shared.interior_data.iter().chain(shared.boundary_data.iter().flatten());
        let mut args = vec![];
        for ((field, gradient), argument) in fields.zip(&discrete.data) {
            let interior = argument.at == discretize::DataPoints::Interior;
            args.push(if interior && field.space.mesh == space.mesh && field.space.order > 0 {
                self.read_at_quadrature(field, *gradient, space)
            } else {
                self.read_at(field, *gradient, &discrete.coordinates(&argument.at))
            });
        }
        args
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
