//! Where the components of a system stand on a staggered grid: at the centres of cells or half a cell further along some axes.
//!
//! A first derivative of b along i in the equation of a is taken from both sides of a where their places differ by half a cell along i
//! and nowhere else. Read term by term, a law thus asks for `place(a) = place(b) + e_i` (mod 2); along each axis these conditions are a
//! two-colouring of the components. Arakawa's C grid, Yee's and Virieux's are what comes out. [Arakawa & Lamb 1977; Yee 1966; Virieux 1986]

use super::spectra::reaches;
use super::terms::{Argument, Input, Reader, over_points};
use super::walls::{Kind, conditions};
use super::{check, inputs};
use crate::discretize::{Balance, Mesh, Refusal};
use crate::ir::{Builder, Tensor, Type, Value};
use std::collections::{BTreeSet, HashMap};

/// Of each component, by axis: whether it stands half a cell above the centres.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    pub of: Vec<Vec<bool>>,
}

/// What a law says about places.
#[derive(Clone, PartialEq, Debug)]
pub enum Placement {
    /// Its first derivatives couple different components, and these places serve all of them.
    Found(Places),
    /// No first derivative couples two components.
    Unasked,
    /// Why no places serve it.
    None(String),
}

impl Places {
    /// The points at which the values of a component are kept, `[N, d]`. Across walls that is above each cell, the wall last.
    pub fn points(&self, mesh: &Mesh, component: usize) -> Tensor {
        let d = mesh.dimension();
        let mut x = Vec::with_capacity(mesh.cell_count() * d);
        crate::discretize::mesh::each_index(&mesh.cells, |index| {
            for (a, &i) in index.iter().enumerate() {
                let h = mesh.extent[a] / mesh.cells[a] as f64;
                let shift = if self.of[component][a] { 1.0 } else { 0.5 };
                x.push(mesh.origin[a] + (i as f64 + shift) * h);
            }
        });
        Tensor::f64([mesh.cell_count(), d], x)
    }

    /// In words: `x`, `x and y` of the axes along which a component is shifted; none for the centres.
    pub fn axes(&self, component: usize) -> Option<String> {
        let names = ["x", "y", "z"];
        let shifted: Vec<&str> =
            self.of[component].iter().zip(names).filter_map(|(&shifted, name)| shifted.then_some(name)).collect();
        (!shifted.is_empty()).then(|| shifted.join(" and "))
    }
}

/// The places of the components of a law. Errors: an equation whose pointwise part holds solves or loops, a part of the boundary that
/// is not there.
pub fn places(balance: &Balance, mesh: &Mesh, names: &dyn Fn(usize) -> String) -> Result<Placement, Refusal> {
    check(balance)?;
    let couplings = couplings(balance);
    let odd: Vec<&Coupling> = couplings.iter().filter(|c| c.order() % 2 == 1).collect();
    if !odd.iter().any(|c| c.order() == 1 && c.row != c.input.component) {
        return Ok(Placement::Unasked);
    }
    let (c, d) = (balance.components, balance.dimension);
    let groups = groups(c, &odd);
    let mut of = vec![vec![false; d]; c];
    // An axis is the second index of the places.
    #[allow(clippy::needless_range_loop)]
    for axis in 0..d {
        let Some(colours) = coloured(c, axis, &odd) else {
            return Ok(Placement::None(contradiction(axis, &odd, names)));
        };
        for (k, colour) in colours.into_iter().enumerate() {
            of[k][axis] = colour;
        }
        for group in &groups {
            // Either colour serves: along a periodic axis most components stand at the centres, else what is given at walls stands there.
            let shifted = group.iter().filter(|&&k| of[k][axis]).count();
            let turn = if mesh.periodic[axis] {
                2 * shifted > group.len()
            } else {
                let held = held(balance, mesh, axis)?;
                group.iter().any(|&k| held[k].iter().any(|h| *h) && !of[k][axis])
            };
            if turn {
                group.iter().for_each(|&k| of[k][axis] = !of[k][axis]);
            }
        }
    }
    let places = Places { of };
    match walls_against(balance, mesh, &places, &couplings, names)? {
        Some(why) => Ok(Placement::None(why)),
        None => Ok(Placement::Found(places)),
    }
}

/// A term of an equation reads this.
struct Coupling {
    row: usize,
    /// The axis along which a flux is differentiated.
    flux: Option<usize>,
    input: Input,
}

impl Coupling {
    fn order(&self) -> usize {
        self.input.axes.len() + self.flux.is_some() as usize
    }

    /// Whether there is an odd number of derivatives along an axis.
    fn odd(&self, axis: usize) -> bool {
        let along = self.input.axes.iter().chain(&self.flux).filter(|&&a| a == axis).count();
        along % 2 == 1
    }
}

/// What each equation reads.
fn couplings(balance: &Balance) -> Vec<Coupling> {
    let (c, d) = (balance.components, balance.dimension);
    let mut b = Builder::new("couplings");
    let mut anything = |n: usize| (0..n).map(|_| b.input(Type::f64([]))).collect::<Vec<Value>>();
    let x = anything(d);
    let known: Vec<Vec<Value>> =
        balance.point_data.iter().chain(&balance.shared).map(|ty| ty.len()).map(&mut anything).collect();
    let mut args = vec![Argument::Values(x)];
    args.extend((0..=balance.order).map(|r| Argument::Inputs(inputs(c, d, r))));
    args.extend(known.into_iter().map(Argument::Values));
    let mut asked = Asked::default();
    let both = over_points(&mut b, &balance.interior, &args, &mut asked);
    let mut found = BTreeSet::new();
    let terms = both[0].iter().enumerate().map(|(i, t)| (i / d, Some(i % d), t));
    for (row, flux, terms) in terms.chain(both[1].iter().enumerate().map(|(k, t)| (k, None, t))) {
        let nonlinear = asked.arrays.iter().filter(|(_, v)| terms.rest.is_some_and(|r| reaches(b.func(), r, **v)));
        for input in terms.linear.keys().chain(nonlinear.map(|(i, _)| i)) {
            found.insert((row, flux, input.clone()));
        }
    }
    found.into_iter().map(|(row, flux, input)| Coupling { row, flux, input }).collect()
}

/// Stands for the arrays of what is read.
#[derive(Default)]
struct Asked {
    arrays: HashMap<Input, Value>,
}

impl Reader for Asked {
    fn keeps(&self, _: &Input) -> bool {
        true
    }

    fn array(&mut self, b: &mut Builder, input: &Input) -> Value {
        *self.arrays.entry(input.clone()).or_insert_with(|| b.input(Type::f64([])))
    }
}

/// Components that conditions connect.
fn groups(c: usize, odd: &[&Coupling]) -> Vec<Vec<usize>> {
    let mut of: Vec<usize> = (0..c).collect();
    for coupling in odd {
        let (from, to) = (of[coupling.row], of[coupling.input.component]);
        of.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
    }
    let kinds: BTreeSet<usize> = of.iter().copied().collect();
    kinds.into_iter().map(|g| (0..c).filter(|&k| of[k] == g).collect()).collect()
}

/// Two colours along an axis; none where the conditions contradict each other.
fn coloured(c: usize, axis: usize, odd: &[&Coupling]) -> Option<Vec<bool>> {
    let mut colours: Vec<Option<bool>> = vec![None; c];
    for first in 0..c {
        colours[first].get_or_insert(false);
        let mut changed = true;
        while changed {
            changed = false;
            for coupling in odd {
                for (from, to) in [(coupling.row, coupling.input.component), (coupling.input.component, coupling.row)] {
                    let Some(colour) = colours[from] else { continue };
                    let wanted = colour ^ coupling.odd(axis);
                    match colours[to] {
                        None => {
                            colours[to] = Some(wanted);
                            changed = true;
                        }
                        Some(colour) if colour != wanted => return None,
                        Some(_) => {}
                    }
                }
            }
        }
    }
    Some(colours.into_iter().map(|c| c.unwrap_or(false)).collect())
}

/// Why there are no two colours.
fn contradiction(axis: usize, odd: &[&Coupling], names: &dyn Fn(usize) -> String) -> String {
    let axis_name = ["x", "y", "z"][axis];
    match odd.iter().find(|c| c.row == c.input.component && c.odd(axis)) {
        Some(own) => format!("an odd derivative of `{}` along {axis_name} stands in its own equation", names(own.row)),
        None => format!("its derivatives along {axis_name} ask for two places of one component"),
    }
}

/// Which components are given at the low and the high wall of an axis.
fn held(balance: &Balance, mesh: &Mesh, axis: usize) -> Result<Vec<[bool; 2]>, Refusal> {
    let mut held = vec![[false; 2]; balance.components];
    for side in mesh.sides().into_iter().filter(|s| s.axis == axis) {
        for (k, condition) in conditions(balance, mesh, side)?.into_iter().enumerate() {
            held[k][side.high as usize] = matches!(condition.map(|c| c.kind), Some(Kind::Value(_)));
        }
    }
    Ok(held)
}

/// Why walls do not go with places.
fn walls_against(
    balance: &Balance,
    mesh: &Mesh,
    places: &Places,
    couplings: &[Coupling],
    names: &dyn Fn(usize) -> String,
) -> Result<Option<String>, Refusal> {
    let walled: Vec<usize> = (0..mesh.dimension()).filter(|&a| !mesh.periodic[a]).collect();
    if walled.is_empty() {
        return Ok(None);
    }
    if balance.boundary.iter().any(|on| !on.point_data.is_empty()) {
        return Ok(Some("a condition at a wall reads a field that is known by its values".into()));
    }
    for &axis in &walled {
        let held = held(balance, mesh, axis)?;
        for side in mesh.sides().into_iter().filter(|s| s.axis == axis) {
            let flux = conditions(balance, mesh, side)?.iter().flatten().any(|c| matches!(c.kind, Kind::Flux(_)));
            if flux {
                return Ok(Some("a flux is given at a wall, where these grids take values".into()));
            }
        }
        for (k, at) in held.iter().enumerate() {
            match (places.of[k][axis], *at) {
                (true, [true, true]) | (false, [false, false]) => {}
                (true, _) => {
                    return Ok(Some(format!("`{}` stands at both walls of an axis and is not given there", names(k))));
                }
                (false, _) => {
                    return Ok(Some(format!("`{}` is given at a wall and does not stand there", names(k))));
                }
            }
        }
        for coupling in couplings {
            let target = places.of[coupling.row][axis] ^ (coupling.flux == Some(axis));
            let (from, m) =
                (places.of[coupling.input.component][axis], coupling.input.axes.iter().filter(|&&a| a == axis).count());
            let offered = match m {
                0 => true,
                1 => from != target,
                2 => from && target,
                _ => false,
            };
            if !offered {
                let k = coupling.input.component;
                return Ok(Some(format!("derivatives of `{}` reach across a wall where nothing is given", names(k))));
            }
        }
    }
    Ok(None)
}
