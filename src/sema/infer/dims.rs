//! Dimensions with unknowns, solved over the Abelian group with rational exponents. [Kennedy 1994, Dimension types]
//! Equations are linear in the exponents, so that solving for one unknown at a time (Gaussian elimination) is complete.

use crate::base::{Dimension, Ratio};

/// A product of base dimensions and powers of unknowns.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Dim {
    pub base: Dimension,
    /// Unknown and exponent; exponents are not zero, unknowns ascend.
    pub unknowns: Vec<(u32, Ratio)>,
}

impl Dim {
    pub fn none() -> Dim {
        Dim::default()
    }

    pub fn times(&self, other: &Dim) -> Dim {
        self.combine(other, Ratio::ONE)
    }

    pub fn over(&self, other: &Dim) -> Dim {
        self.combine(other, -Ratio::ONE)
    }

    pub fn pow(&self, p: Ratio) -> Dim {
        Dim::none().combine(self, p)
    }

    /// `self · other^p`
    fn combine(&self, other: &Dim, p: Ratio) -> Dim {
        if p.is_zero() {
            return self.clone();
        }
        let mut unknowns = self.unknowns.clone();
        for &(v, e) in &other.unknowns {
            match unknowns.iter().position(|(w, _)| *w == v) {
                Some(i) => unknowns[i].1 = unknowns[i].1 + e * p,
                None => unknowns.push((v, e * p)),
            }
        }
        unknowns.retain(|(_, e)| !e.is_zero());
        unknowns.sort_unstable_by_key(|(v, _)| *v);
        Dim { base: self.base.times(&other.base.pow(p)), unknowns }
    }
}

impl From<Dimension> for Dim {
    fn from(base: Dimension) -> Dim {
        Dim { base, unknowns: vec![] }
    }
}

/// The unknowns and what is known of them.
#[derive(Default)]
pub struct Dims {
    solved: Vec<Option<Dim>>,
}

impl Dims {
    pub fn fresh(&mut self) -> Dim {
        self.solved.push(None);
        Dim { base: Dimension::none(), unknowns: vec![(self.solved.len() as u32 - 1, Ratio::ONE)] }
    }

    /// With all solved unknowns replaced.
    pub fn resolve(&self, d: &Dim) -> Dim {
        if d.unknowns.iter().all(|(v, _)| self.solved[*v as usize].is_none()) {
            return d.clone();
        }
        let start = Dim::from(d.base.clone());
        d.unknowns.iter().fold(start, |out, &(v, e)| match &self.solved[v as usize] {
            Some(value) => out.combine(&self.resolve(value), e),
            None => out.combine(&Dim { base: Dimension::none(), unknowns: vec![(v, Ratio::ONE)] }, e),
        })
    }

    /// Makes two dimensions equal, or gives the factor that the second lacks.
    pub fn unify(&mut self, a: &Dim, b: &Dim) -> Result<(), Dim> {
        let gap = self.resolve(&a.over(b));
        match gap.unknowns.split_first() {
            None if gap.base.is_none() => Ok(()),
            None => Err(gap),
            Some((&(v, e), _)) => {
                // v^e · rest = 1, hence v = rest^(-1/e).
                let rest = gap.over(&Dim { base: Dimension::none(), unknowns: vec![(v, e)] });
                self.solved[v as usize] = Some(rest.pow(-(Ratio::ONE / e)));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_for_rational_exponents() {
        let mut s = Dims::default();
        let (a, b) = (s.fresh(), s.fresh());
        let m = Dim::from(Dimension::base("m"));
        // a²/b = m and b³ = m⁶ give b = m², a = m^(3/2).
        s.unify(&a.pow(Ratio::from(2)).over(&b), &m).unwrap();
        s.unify(&b.pow(Ratio::from(3)), &m.pow(Ratio::from(6))).unwrap();
        assert_eq!(s.resolve(&a), m.pow(Ratio::new(3, 2)));
        let gap = s.unify(&b, &Dim::none()).unwrap_err();
        assert_eq!(gap, m.pow(Ratio::from(2)));
    }
}
