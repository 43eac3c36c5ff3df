//! From the scalar expressions of a nest to vector instructions: elementary functions are written out, comparisons become masks.

use super::super::nest::{Address, Affine, Expr, Id as ExprId, Nest};
use super::tape::{Along, Id, Ins, One, Predicate, Tape, Two};
use super::vector::{Mask, Vector};
use crate::ir::math::{self, Real, single};
use crate::ir::{Binary, Compare, DType, Unary};

/// Pointers that move together: to a buffer (or to nothing: a plain number), by so many bytes for each loop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    pub buffer: Option<usize>,
    pub base: isize,
    pub steps: Vec<isize>,
}

/// The instructions of one vector of the innermost loop.
pub struct Selected {
    pub tape: Tape,
    pub groups: Vec<Group>,
    pub stores: Vec<(Along, Id)>,
}

/// Longer bodies are left to the portable emitter, which calls elementary functions instead of writing them out.
const LONGEST: usize = 12_000;

/// None where an address or an index does not fit the instructions. `lengths`: of the buffers, in elements.
pub fn select(nest: &Nest, lengths: &[usize]) -> Option<Selected> {
    let tape = Tape::default();
    let mut s = Selection {
        nest,
        lengths,
        tape: &tape,
        groups: vec![],
        values: vec![None; nest.graph.exprs.len()],
        masks: vec![None; nest.graph.exprs.len()],
    };
    for id in nest.order(nest.stores.iter().map(|s| s.1)) {
        // What a comparison is used for decides what is made of it.
        if !matches!(nest.graph.exprs[id as usize], Expr::Compare(..)) {
            s.value(id)?;
        }
        if tape.len() > LONGEST {
            return None;
        }
    }
    let size = nest.graph.dtype.size() as isize;
    let mut stores = vec![];
    for (address, id) in &nest.stores {
        let value = s.value(*id)?.id;
        stores.push((s.along(address, size)?, value));
    }
    let groups = s.groups;
    Some(Selected { tape, groups, stores })
}

struct Selection<'t, 'n> {
    nest: &'n Nest,
    lengths: &'n [usize],
    tape: &'t Tape,
    groups: Vec<Group>,
    values: Vec<Option<Vector<'t>>>,
    masks: Vec<Option<Mask<'t>>>,
}

impl<'t> Selection<'t, '_> {
    fn double(&self) -> bool {
        self.nest.graph.dtype == DType::F64
    }

    fn lanes(&self) -> isize {
        if self.double() { 8 } else { 16 }
    }

    fn vector(&self, ins: Ins) -> Vector<'t> {
        self.tape.vector(ins, self.double())
    }

    fn number(&self, x: f64) -> Vector<'t> {
        self.tape.number(x, self.double())
    }

    /// Operands are known already, but for comparisons.
    fn value(&mut self, id: ExprId) -> Option<Vector<'t>> {
        if let Some(v) = self.values[id as usize] {
            return Some(v);
        }
        let v = match self.nest.graph.exprs[id as usize].clone() {
            Expr::Constant(bits) => self.number(f64::from_bits(bits)),
            Expr::Number(a) => self.whole_number(&a)?,
            Expr::Load(a) => self.load(&a)?,
            Expr::Gather { index, source, row } => self.gather(&index, &source, row)?,
            Expr::Unary(f, a) => {
                let x = self.value(a)?;
                self.unary(f, x)
            }
            Expr::Binary(f, a, b) => {
                let (x, y) = (self.value(a)?, self.value(b)?);
                self.binary(f, x, y)
            }
            Expr::Compare(..) => {
                let mask = self.mask(id)?;
                Vector::choose(mask, self.number(1.0), self.number(0.0))
            }
            Expr::Select(m, a, b) => {
                let (mask, x, y) = (self.mask(m)?, self.value(a)?, self.value(b)?);
                Vector::choose(mask, x, y)
            }
        };
        self.values[id as usize] = Some(v);
        Some(v)
    }

    /// Where a value is not 0.
    fn mask(&mut self, id: ExprId) -> Option<Mask<'t>> {
        if let Some(m) = self.masks[id as usize] {
            return Some(m);
        }
        let m = match self.nest.graph.exprs[id as usize] {
            Expr::Compare(c, a, b) => {
                let predicate = match c {
                    Compare::Lt => Predicate::Less,
                    Compare::Le => Predicate::LessOrEqual,
                    Compare::Eq => Predicate::Equal,
                };
                self.value(a)?.compare(predicate, self.value(b)?)
            }
            _ => self.value(id)?.compare(Predicate::NotEqual, self.number(0.0)),
        };
        self.masks[id as usize] = Some(m);
        Some(m)
    }

    fn unary(&self, f: Unary, x: Vector<'t>) -> Vector<'t> {
        let double = self.double();
        match f {
            Unary::Neg => -x,
            Unary::Abs => x.magnitude(),
            Unary::Floor => x.whole(),
            Unary::Sqrt => x.one(One::Sqrt),
            Unary::Sign => {
                let zero = x.at(0.0);
                // The sign of a NaN is NaN.
                let low = Vector::choose(x.below(zero), x.at(-1.0), x * zero);
                Vector::choose(x.compare(Predicate::Greater, zero), x.at(1.0), low)
            }
            Unary::Exp if double => math::exp(x),
            Unary::Exp => single::exp(x),
            Unary::Log if double => math::log(x),
            Unary::Log => single::log(x),
            Unary::Tanh if double => math::tanh(x),
            Unary::Tanh => single::tanh(x),
            Unary::Sin => self.through_double(&[x], |x| math::sin(x[0])),
            Unary::Cos => self.through_double(&[x], |x| math::cos(x[0])),
            Unary::Atan => self.through_double(&[x], |x| math::atan(x[0])),
            Unary::Erf => self.through_double(&[x], |x| math::erf(x[0])),
        }
    }

    fn binary(&self, f: Binary, x: Vector<'t>, y: Vector<'t>) -> Vector<'t> {
        match f {
            Binary::Add => x + y,
            Binary::Sub => x - y,
            Binary::Mul => x * y,
            Binary::Div => x / y,
            // NaN if either is; the instruction gives the second then.
            Binary::Min => Vector::choose(x.is_nan(), x, x.two(Two::Min, y)),
            Binary::Max => Vector::choose(x.is_nan(), x, x.two(Two::Max, y)),
            Binary::Pow => self.through_double(&[x, y], |x| math::pow(x[0], x[1])),
            Binary::Atan2 => self.through_double(&[x, y], |x| math::atan2(x[0], x[1])),
        }
    }

    /// A function in double precision; single precision is widened and rounded, as in [`single`].
    fn through_double(&self, x: &[Vector<'t>], f: impl Fn(&[Vector<'t>]) -> Vector<'t>) -> Vector<'t> {
        if self.double() {
            return f(x);
        }
        let half = |upper: bool| f(&x.iter().map(|x| x.widened(upper)).collect::<Vec<_>>());
        half(false).joined(half(true))
    }

    // ---- addresses

    fn load(&mut self, a: &Address) -> Option<Vector<'t>> {
        let size = self.nest.graph.dtype.size() as isize;
        let along = self.along(a, size)?;
        Some(self.vector(if along.step == 0 {
            Ins::Splat(along)
        } else if along.step as isize == size {
            Ins::Row(along)
        } else {
            Ins::Strided(along)
        }))
    }

    fn gather(&mut self, index: &Address, source: &Address, row: isize) -> Option<Vector<'t>> {
        let size = self.nest.graph.dtype.size() as isize;
        let bytes = self.lengths[source.buffer] as isize * size;
        // Indices are multiplied in 32 bits, and in single precision used as signed numbers of as many.
        if row * size > i32::MAX as isize || (!self.double() && bytes > i32::MAX as isize) {
            return None;
        }
        let indices = Ins::Indices(self.along(index, 4)?);
        let index = self.vector(indices).id;
        let at = self.along(source, size)?;
        Some(self.vector(Ins::Gathered { index, at, row: (row * size) as i32 }))
    }

    fn whole_number(&mut self, a: &Affine) -> Option<Vector<'t>> {
        let (least, greatest) = a.range(&vec![0; self.nest.shape.len()], &self.nest.shape);
        // Lanes that are not used may go beyond.
        let margin = self.lanes() * a.steps[a.steps.len() - 1].abs();
        let limit = if self.double() { 1 << 62 } else { i32::MAX as isize };
        if least < margin - limit || greatest > limit - margin {
            return None;
        }
        let along = self.affine(None, a, 1)?;
        Some(self.vector(Ins::Number(along)))
    }

    fn along(&mut self, a: &Address, size: isize) -> Option<Along> {
        self.affine(Some(a.buffer), &a.at, size)
    }

    fn affine(&mut self, buffer: Option<usize>, a: &Affine, size: isize) -> Option<Along> {
        const FAR: isize = 1 << 28;
        let offset = a.offset * size;
        let steps: Vec<isize> = a.steps.iter().map(|s| s * size).collect();
        let step = steps[steps.len() - 1];
        let span = step.checked_mul(self.lanes() * 4)?;
        // Every step is an immediate, and so is the way of all vectors of an iteration.
        if span.abs() > FAR || steps.iter().any(|s| i32::try_from(*s).is_err()) {
            return None;
        }
        let base = offset.div_euclid(FAR) * FAR;
        let group = Group { buffer, base, steps };
        let group = self.groups.iter().position(|g| *g == group).unwrap_or_else(|| {
            self.groups.push(group);
            self.groups.len() - 1
        });
        Some(Along { group, disp: (offset - base) as i32, step: step as i32 })
    }
}
