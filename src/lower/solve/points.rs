//! Pointwise functions and what they read besides their fixed inputs: discrete fields and captured numbers.

use crate::base::Span;
use crate::ir::{Builder, Func, Type};
use crate::lower::Lower;
use crate::lower::error::{Result, error};
use crate::lower::system::Equations;
use crate::lower::value::{Discrete, Field, Leaf, Num};
use std::rc::Rc;

/// A pointwise function with what it needs besides its fixed inputs.
pub struct Pointwise {
    pub func: Func,
    pub data: Vec<(Rc<Discrete>, bool)>,
    pub captures: Vec<Num>,
}

/// Where each unknown's components start.
pub struct Offsets {
    pub start: Vec<usize>,
    pub total: usize,
}

impl Offsets {
    pub fn of(eqs: &Equations) -> Offsets {
        let mut total = 0;
        let start = eqs
            .unknowns
            .iter()
            .map(|u| {
                let s = total;
                total += u.shape.iter().product::<usize>();
                s
            })
            .collect();
        Offsets { start, total }
    }
}

/// Numbers and fields that the functions of a balance share.
#[derive(Default)]
pub struct Shared {
    pub numbers: Vec<Num>,
    pub interior_data: Vec<(Rc<Discrete>, bool)>,
    pub boundary_data: Vec<Vec<(Rc<Discrete>, bool)>>,
}

impl Shared {
    fn position(&self, n: &Num) -> Option<usize> {
        self.numbers.iter().position(|m| Leaf::Shared(m.clone()).same(&Leaf::Shared(n.clone())))
    }

    pub fn merge(&mut self, captures: &[Num]) {
        for n in captures {
            if self.position(n).is_none() {
                self.numbers.push(n.clone());
            }
        }
    }

    /// The function with the whole list of shared numbers after its fixed inputs and data.
    pub fn widen(&self, p: &Pointwise, fixed: usize) -> Func {
        let own = fixed + p.data.len();
        let mut b = Builder::new(p.func.name.clone());
        let mut args: Vec<_> = p.func.inputs[..own].iter().map(|t| b.input(t.clone())).collect();
        let shared: Vec<_> = self.numbers.iter().map(|n| b.input(n.ty().clone())).collect();
        for n in &p.captures {
            args.push(shared[self.position(n).expect("compiler bug: a shared number was not merged")]);
        }
        let out = b.inline(&p.func, &args);
        b.finish(out)
    }
}

pub fn data_type(f: &Discrete, gradient: bool, d: usize) -> Type {
    let mut shape = f.shape.clone();
    if gradient {
        shape.push(d);
    }
    Type::f64(shape)
}

pub fn indices(f: &Field, gradients: bool) -> Vec<usize> {
    f.leaves
        .iter()
        .filter_map(|l| match l {
            Leaf::Unknown { index, order, .. } if (*order > 0) == gradients => Some(*index),
            _ => None,
        })
        .collect()
}

impl Lower<'_> {
    /// Traces fields at a point: inputs `fixed…`, then one for each discrete leaf; captured numbers follow.
    // What is traced, over what, for whom, and how it ends: no two of them are one thing.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn traced_point(
        &mut self,
        fields: &[&Field],
        fixed: &[Type],
        offsets: &Offsets,
        eqs: &Equations,
        normal: Option<usize>,
        finish: impl FnOnce(&mut Builder, &[crate::ir::Value]) -> Vec<crate::ir::Value>,
        span: Span,
    ) -> Result<Pointwise> {
        let d = eqs.domain.dimension();
        let mut data: Vec<(Rc<Discrete>, bool)> = vec![];
        for f in fields {
            for leaf in &f.leaves {
                if let Leaf::Discrete { field, gradient } = leaf
                    && !data.iter().any(|(g, h)| g.id == field.id && h == gradient)
                {
                    data.push((field.clone(), *gradient));
                }
            }
        }
        let mut types = fixed.to_vec();
        types.extend(data.iter().map(|(f, g)| data_type(f, *g, d)));
        let depth = self.tracer.depth();
        let inputs = self.tracer.open(&eqs.name, &types);
        let traced = (|| {
            let mut values = vec![];
            for f in fields {
                values.push(self.field_at(f, |l, leaf| {
                    Ok(match leaf {
                        Leaf::Coordinates => inputs[0].clone(),
                        Leaf::Normal => match normal {
                            Some(k) => inputs[k].clone(),
                            None => {
                                return error(
                                    "run.equation",
                                    span,
                                    "the normal `n` stands in boundary conditions only",
                                );
                            }
                        },
                        Leaf::Unknown { problem, index, order } => {
                            if *problem != eqs.problem {
                                return error("run.equation", span, "the unknown of another system has no value here");
                            }
                            let input = 1 + order;
                            if *order > 0 && normal.is_some() || fixed.len() <= input {
                                return error(
                                    "run.equation",
                                    span,
                                    "this condition cannot contain derivatives of the unknown",
                                );
                            }
                            let u = &eqs.unknowns[*index];
                            let n: usize = u.shape.iter().product();
                            let start = offsets.start[*index];
                            let mut shape = u.shape.clone();
                            shape.extend(vec![d; *order]);
                            l.tracer.build(&[&inputs[input]], |b, v| {
                                let s = b.slice(v[0], 0, start, start + n);
                                b.reshape(s, &shape)
                            })
                        }
                        Leaf::Discrete { field, gradient } => {
                            let k = data.iter().position(|(g, h)| g.id == field.id && h == gradient);
                            inputs[fixed.len() + k.expect("compiler bug: a discrete leaf was not collected")].clone()
                        }
                        Leaf::Shared(n) => n.clone(),
                    })
                })?);
            }
            Ok(values)
        })();
        match traced {
            Ok(values) => {
                let refs: Vec<&Num> = values.iter().collect();
                let out = self.tracer.build_all(&refs, finish);
                let (func, captures) = self.tracer.close(&out);
                Ok(Pointwise { func, data, captures })
            }
            Err(e) => {
                self.tracer.abandon(depth);
                Err(e)
            }
        }
    }
}
