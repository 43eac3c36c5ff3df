//! Unknown numbers and the integral equations that determine them: the discrete system is bordered by one row and one column each,
//! ```text
//! K  R_λ   over the degrees of freedom u
//! C  C_λ   over the numbers λ
//! ```
//! with K from the discretisation, the columns from `jvp` and the rows from `vjp`. A number stands in the equations as a
//! placeholder that every function of the balance law captures; here it is bound.

use super::definite::reads_input;
use crate::ad;
use crate::base::Span;
use crate::discretize::{self, Space};
use crate::ir::{Block, Builder, Func, Jacobian, LinearSolver, Op, SolveSpec, Tensor, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error_help};
use crate::lower::system::{Equations, Gauge};
use crate::lower::unknowns::Number;
use crate::lower::value::{Field, Leaf, Num, Value};
use std::rc::Rc;
use std::sync::Arc;

/// Which equations border the system. Without numbers, a gauge only picks one of the solutions afterwards.
pub enum Border {
    None,
    /// Every integral equation is a row.
    Rows,
}

impl Lower<'_> {
    /// Counts integral equations against unknown numbers. A gauge of an unknown that is determined up to a constant, beside others
    /// that are not, gets a number of its own: a source that is zero where the data are compatible.
    pub(in crate::lower) fn border(&mut self, eqs: &mut Equations) -> Result<Border> {
        let floating: Vec<bool> = (0..eqs.unknowns.len()).map(|k| floats(eqs, k)).collect();
        if eqs.gauges.is_empty() && eqs.numbers.is_empty() || eqs.numbers.is_empty() && floating.iter().all(|f| *f) {
            return Ok(Border::None);
        }
        let rows: usize = eqs.gauges.iter().map(Gauge::count).sum();
        let mut columns: usize = eqs.numbers.iter().map(Number::count).sum();
        if rows < columns {
            let number = &eqs.numbers[eqs.numbers.len() - 1];
            return error_help(
                "pde.count",
                number.span,
                format!("`{}` has {columns} unknown numbers and {rows} integral equations", eqs.name),
                "each unknown number needs an integral equation that determines it: `eq total: ∫(u, Ω) = …`",
            );
        }
        for (k, _) in floating.iter().enumerate().filter(|(_, f)| **f) {
            let Some(gauge) = eqs.gauges.iter().find(|g| g.fixes(k)) else { continue };
            if rows == columns {
                break;
            }
            let span = gauge.span;
            let shape = eqs.unknowns[k].shape.clone();
            let number = self.number(&format!("{} defect", eqs.unknowns[k].name), shape, 1.0, span);
            let source = self.constant_field(&eqs.domain.clone(), &number.placeholder);
            let residual = &mut eqs.balances[k].residual;
            let before = residual.source.take().unwrap_or(Value::num(0.0));
            residual.source = Some(if before.known() == Some(0.0) {
                Value::Field(source)
            } else {
                self.apply(&crate::sema::hir::Op::Add, &[before, Value::Field(source)], span)?
            });
            columns += number.count();
            eqs.numbers.push(number);
        }
        if rows > columns {
            let gauge = &eqs.gauges[eqs.gauges.len() - 1];
            return error_help(
                "pde.gauge.surplus",
                gauge.span,
                "the other equations and conditions determine the solution already",
                "remove this equation, or say what gives way: add an unknown number (a multiplier), `unknown λ: [unit]`, and put it \
                 where it acts, for example as a source, `… = f + λ`",
            );
        }
        Ok(Border::Rows)
    }

    /// An unknown number, with the placeholder that stands for it in equations.
    pub fn number(&mut self, name: &str, shape: Vec<usize>, nominal: f64, span: Span) -> Number {
        // A frame that is never opened: whatever reads the number captures it.
        let frame = self.tracer.fresh();
        let placeholder = Num::Traced { frame, value: crate::ir::Value(0), ty: Type::f64(shape.clone()) };
        Number { name: name.into(), shape, nominal, placeholder, span }
    }

    /// One `Op::Solve` for degrees of freedom and numbers. `args` are those of the discretisation's functions, placeholders
    /// among them. Gives the degrees of freedom and the numbers.
    pub(super) fn solve_bordered(
        &mut self,
        eqs: &Equations,
        discrete: &discretize::Discrete,
        space: &Rc<Space>,
        args: &[Num],
        first: Num,
        mut spec: SolveSpec,
        span: Span,
    ) -> Result<(Num, Vec<Num>)> {
        let free = discrete.free;
        let m: usize = eqs.numbers.iter().map(Number::count).sum();
        let n = free + m;
        let (residual, captures) = self.bordered_residual(eqs, discrete, space, args, n, span)?;
        let values = self.bordered_values(eqs, discrete, args, &residual, &captures);
        spec.linear &= !reads_input(&values, 0);
        let blocks = spec.jacobian.as_ref().map_or(vec![], |j| j.blocks.clone());
        spec.jacobian = Some(Arc::new(Jacobian { values, blocks: bordered_blocks(blocks, free, m) }));
        (spec.symmetric, spec.constant_kernel, spec.grid) = (false, false, None);
        spec.solver = LinearSolver::Direct;
        let mut guess = vec![];
        let linear = spec.linear;
        for number in &eqs.numbers {
            guess.extend(vec![if linear { 0.0 } else { number.nominal }; number.count()]);
        }
        let guess = Num::Const(Tensor::f64([m], guess));
        let guess = self.tracer.build(&[&first, &guess], |b, v| b.concat(v, 0));
        let refs: Vec<&Num> = std::iter::once(&guess).chain(&captures).collect();
        let residual = Arc::new(residual);
        let z = self.tracer.build(&refs, |b, v| b.op(Op::Solve { residual, spec: Arc::new(spec) }, v));
        Ok(self.split(eqs, &z, free))
    }

    /// `(u[free], λ…)` of `z[n]`.
    fn split(&mut self, eqs: &Equations, z: &Num, free: usize) -> (Num, Vec<Num>) {
        let u = self.tracer.build(&[z], |b, v| b.slice(v[0], 0, 0, free));
        let mut at = free;
        let numbers = eqs.numbers.iter().map(|number| {
            let (start, end) = (at, at + number.count());
            at = end;
            self.tracer.build(&[z], |b, v| {
                let s = b.slice(v[0], 0, start, end);
                b.reshape(s, &number.shape)
            })
        });
        let numbers = numbers.collect();
        (u, numbers)
    }

    /// `(z, captured…) → [n]`
    fn bordered_residual(
        &mut self,
        eqs: &Equations,
        discrete: &discretize::Discrete,
        space: &Rc<Space>,
        args: &[Num],
        n: usize,
        span: Span,
    ) -> Result<(Func, Vec<Num>)> {
        let depth = self.tracer.depth();
        let z = self.tracer.open(&eqs.name, &[Type::f64([n])])[0].clone();
        let traced = (|| {
            let (u, numbers) = self.split(eqs, &z, discrete.free);
            let all: Vec<Num> = std::iter::once(u).chain(args.iter().map(|a| eqs.bound(a, &numbers))).collect();
            let refs: Vec<&Num> = all.iter().collect();
            let mut rows = vec![self.tracer.build(&refs, |b, v| b.inline(&discrete.residual, v)[0])];
            let full = self.tracer.build(&refs, |b, v| b.inline(&discrete.expand, v)[0]);
            let slopes = discrete.gradient.as_ref().map(|g| self.tracer.build(&refs, |b, v| b.inline(g, v)[0]));
            let fields = self.unknown_fields(eqs, &full, slopes.as_ref(), space);
            for gauge in &eqs.gauges {
                let value = self.constraint(eqs, gauge, &fields, &numbers, span)?;
                let len = value.ty().len();
                rows.push(self.tracer.build(&[&value], |b, v| b.reshape(v[0], &[len])));
            }
            let refs: Vec<&Num> = rows.iter().collect();
            Ok(self.tracer.build(&refs, |b, v| b.concat(v, 0)))
        })();
        match traced {
            Ok(out) => Ok(self.tracer.close(&[out])),
            Err(e) => {
                self.tracer.abandon(depth);
                Err(e)
            }
        }
    }

    /// Left less right side of an integral equation.
    fn constraint(
        &mut self,
        eqs: &Equations,
        gauge: &Gauge,
        fields: &[Rc<crate::lower::value::Discrete>],
        numbers: &[Num],
        span: Span,
    ) -> Result<Num> {
        let bind = |l: &Self, f: &Field| l.substitute(f, |leaf| eqs.solved(leaf, fields, numbers));
        let value = self.functional_value(&gauge.functional, &|l, f| bind(l, f), gauge.span)?;
        let right = match &gauge.value {
            Value::Field(f) => {
                let f = bind(self, f);
                self.field_at(&f, |_, leaf| match leaf {
                    Leaf::Shared(n) => Ok(n.clone()),
                    _ => error_help(
                        "run.equation",
                        span,
                        "an integral is one number, the other side of its equation varies in space",
                        "take its mean or integral, too",
                    ),
                })?
            }
            other => self.num(other, gauge.span)?,
        };
        if right.known() == Some(0.0) {
            return Ok(value);
        }
        self.binary_num(&crate::sema::hir::Op::Sub, &value, &right, gauge.span)
    }

    /// `(z, captured…) → (K blocks…, columns [1, n, m], rows [1, m, free])`
    fn bordered_values(
        &mut self,
        eqs: &Equations,
        discrete: &discretize::Discrete,
        args: &[Num],
        residual: &Func,
        captures: &[Num],
    ) -> Func {
        let (n, free) = (residual.inputs[0].len(), discrete.free);
        let inputs = self.tracer.open("bordered Jacobian", &residual.inputs);
        let local = |a: &Num| match captures.iter().position(|c| same(c, a)) {
            Some(k) => inputs[1 + k].clone(),
            None => a.clone(),
        };
        let (u, numbers) = self.split(eqs, &inputs[0], free);
        let bound = args.iter().map(|a| if eqs.is_number(a) { eqs.bound(a, &numbers) } else { local(a) });
        let all: Vec<Num> = std::iter::once(u).chain(bound).collect();
        let refs: Vec<&Num> = all.iter().collect();
        let mut out = match &discrete.spec.jacobian {
            Some(j) => self.tracer.build_all(&refs, |b, v| b.inline(&j.values, v)),
            None => vec![],
        };
        let refs: Vec<&Num> = inputs.iter().collect();
        out.push(self.tracer.build(&refs, |b, v| {
            let columns: Vec<_> = (free..n)
                .map(|i| {
                    let unit: Vec<f64> = (0..n).map(|k| (k == i) as u8 as f64).collect();
                    let mut tangents = vec![None; v.len()];
                    tangents[0] = Some(b.constant(Tensor::f64([n], unit)));
                    let (out, t) = ad::jvp_into(b, residual, v, &tangents);
                    t[0].unwrap_or_else(|| b.zeros_like(out[0]))
                })
                .collect();
            let columns = b.stack(&columns, 1);
            b.reshape(columns, &[1, n, n - free])
        }));
        out.push(self.tracer.build(&refs, |b, v| {
            let rows: Vec<_> = (free..n)
                .map(|i| {
                    let gradient = ad::grad(&component(residual, i), &[0]);
                    let g = b.inline(&gradient, v)[1];
                    b.slice(g, 0, 0, free)
                })
                .collect();
            let rows = b.stack(&rows, 0);
            b.reshape(rows, &[1, n - free, free])
        }));
        let (values, _) = self.tracer.close(&out);
        values
    }
}

/// Whether only derivatives of an unknown occur: a constant may be added to it.
fn floats(eqs: &Equations, unknown: usize) -> bool {
    let value =
        |f: &Field| f.leaves.iter().any(|l| matches!(l, Leaf::Unknown { index, order: 0, .. } if *index == unknown));
    let in_equations = eqs.balances.iter().flat_map(|e| [&e.residual.flux, &e.residual.source]).flatten();
    !in_equations.into_iter().any(|v| matches!(v, Value::Field(f) if value(f)))
        && !eqs.conditions.iter().any(|c| value(&c.condition))
}

/// One entry of a function's result, as a function.
fn component(f: &Func, i: usize) -> Func {
    let mut b = Builder::new(f.name.clone());
    let args: Vec<_> = f.inputs.iter().map(|t| b.input(t.clone())).collect();
    let out = b.inline(f, &args)[0];
    let out = b.index(out, 0, i);
    b.finish(vec![out])
}

/// The places of the discretisation's blocks, of the columns and of the rows. Given values had places beyond the unknowns, where the
/// numbers are now.
fn bordered_blocks(blocks: Vec<Block>, free: usize, m: usize) -> Vec<Block> {
    let moved = |t: &Tensor| {
        let places = t.as_index().expect("compiler bug: a Jacobian's places are indices");
        let places = places.iter().map(|&p| if p as usize >= free { u32::MAX } else { p });
        Tensor::index(t.ty.shape.clone(), places.collect::<Vec<u32>>())
    };
    let range = |from: usize, to: usize| Tensor::index([1, to - from], (from as u32..to as u32).collect::<Vec<u32>>());
    let mut out: Vec<Block> = blocks.iter().map(|b| Block { rows: moved(&b.rows), cols: moved(&b.cols) }).collect();
    out.push(Block { rows: range(0, free + m), cols: range(free, free + m) });
    out.push(Block { rows: range(free, free + m), cols: range(0, free) });
    out
}

fn same(a: &Num, b: &Num) -> bool {
    Leaf::Shared(a.clone()).same(&Leaf::Shared(b.clone()))
}

impl Equations {
    pub fn is_number(&self, n: &Num) -> bool {
        self.numbers.iter().any(|x| same(&x.placeholder, n))
    }

    /// The value of a number for its placeholder; anything else stays.
    pub fn bound(&self, n: &Num, numbers: &[Num]) -> Num {
        match self.numbers.iter().position(|x| same(&x.placeholder, n)) {
            Some(k) => numbers[k].clone(),
            None => n.clone(),
        }
    }

    /// What an unknown's leaf is once the system is solved.
    pub fn solved(&self, leaf: &Leaf, fields: &[Rc<crate::lower::value::Discrete>], numbers: &[Num]) -> Option<Leaf> {
        match leaf {
            Leaf::Unknown { problem, index, order: order @ (0 | 1) } if *problem == self.problem => {
                Some(Leaf::Discrete { field: fields[*index].clone(), gradient: *order == 1 })
            }
            Leaf::Shared(n) if self.is_number(n) => Some(Leaf::Shared(self.bound(n, numbers))),
            _ => None,
        }
    }
}
