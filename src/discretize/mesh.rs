//! Boxes cut into congruent cells, and the names of their sides.
//!
//! Axis 0 is x. Cells are numbered row-major, axis 0 slowest. A triangle mesh cuts each rectangle along the diagonal from
//! `(1, 0)` to `(0, 1)`: the lower triangle, then the upper one, which is the lower turned by half a turn.

use super::Refusal;
use crate::ir::{Builder, Unary, Value};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Element {
    Interval,
    Triangle,
    Quad,
    Hex,
}

impl Element {
    /// The element a box of this dimension is cut into where nothing else is asked for.
    pub fn default_of(dimension: usize) -> Element {
        match dimension {
            1 => Element::Interval,
            2 => Element::Quad,
            _ => Element::Hex,
        }
    }

    pub fn dimension(self) -> usize {
        match self {
            Element::Interval => 1,
            Element::Triangle | Element::Quad => 2,
            Element::Hex => 3,
        }
    }
}

/// A box `origin .. origin + extent` (metres, or the domain's own unit), `cells` along each axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Mesh {
    pub element: Element,
    pub origin: Vec<f64>,
    pub extent: Vec<f64>,
    pub cells: Vec<usize>,
    pub periodic: Vec<bool>,
    /// Nodes gather at the walls, as Gauss–Lobatto points do: `cells` is the degree of polynomials along each axis.
    pub clustered: bool,
}

/// One side of a box: where `axis` is at its low or high end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Side {
    pub axis: usize,
    pub high: bool,
}

/// Largest number of cells; their nodes at order 2 still fit 32-bit indices.
const MOST_CELLS: usize = 1 << 28;

impl Mesh {
    /// Errors: no cells, too many, an extent that is not positive, an element of another dimension.
    pub fn new(
        element: Element,
        origin: &[f64],
        extent: &[f64],
        cells: &[usize],
        periodic: &[bool],
    ) -> Result<Mesh, Refusal> {
        let d = element.dimension();
        if [origin.len(), extent.len(), cells.len(), periodic.len()].iter().any(|&n| n != d) {
            let message = format!("{element:?} elements fill {d} dimensions, the domain has {}", extent.len());
            return Err(Refusal::new("discretize.mesh", message));
        }
        if let Some(x) = extent.iter().chain(origin).find(|x| !x.is_finite()) {
            return Err(Refusal::new("discretize.mesh", format!("the domain reaches to {x}")));
        }
        if let Some(x) = extent.iter().find(|&&x| x <= 0.0) {
            return Err(Refusal::new("discretize.mesh", format!("the domain has the extent {x} along an axis")));
        }
        if cells.contains(&0) {
            return Err(Refusal::new("discretize.mesh", "a mesh needs at least one cell along each axis")
                .help("choose `n` ≥ 1, or `h` no larger than the domain"));
        }
        let total = cells.iter().try_fold(1usize, |p, &n| p.checked_mul(n)).unwrap_or(usize::MAX);
        if total > MOST_CELLS {
            let message = format!("the mesh would have {} cells, the limit is {MOST_CELLS}", list(cells, " × "));
            return Err(Refusal::new("discretize.mesh", message).help("choose a smaller `n` or a larger `h`"));
        }
        Ok(Mesh {
            element,
            origin: origin.to_vec(),
            extent: extent.to_vec(),
            cells: cells.to_vec(),
            periodic: periodic.to_vec(),
            clustered: false,
        })
    }

    /// One polynomial of this degree along each axis of a box with walls. Errors: as [`Mesh::new`], a degree below 2.
    pub fn clustered(element: Element, origin: &[f64], extent: &[f64], degree: usize) -> Result<Mesh, Refusal> {
        if degree < 2 {
            return Err(Refusal::new("discretize.chebyshev", format!("{} points carry no equation", degree + 1))
                .help("choose `n` ≥ 3"));
        }
        let d = element.dimension();
        Ok(Mesh { clustered: true, ..Mesh::new(element, origin, extent, &vec![degree; d], &vec![false; d])? })
    }

    /// Positions of nodes of order 1 along an axis that is not periodic.
    pub fn ticks(&self, axis: usize) -> Vec<f64> {
        let n = self.cells[axis];
        let parts = match self.clustered {
            true => super::chebyshev::points(n),
            false => (0..=n).map(|i| i as f64 / n as f64).collect(),
        };
        parts.into_iter().map(|x| self.origin[axis] + x * self.extent[axis]).collect()
    }

    /// Cells of size `h` at most, as near to it as the extents allow. Errors: as [`Mesh::new`], or `h` out of range.
    pub fn with_spacing(
        element: Element,
        origin: &[f64],
        extent: &[f64],
        h: f64,
        periodic: &[bool],
    ) -> Result<Mesh, Refusal> {
        if !(h > 0.0 && h.is_finite()) {
            return Err(Refusal::new("discretize.mesh", format!("the cell size h = {h} is not a positive length")));
        }
        if let Some(x) = extent.iter().find(|&&x| h > x * (1.0 + 1e-9)) {
            return Err(Refusal::new(
                "discretize.mesh",
                format!("the cell size h = {h} is larger than the domain ({x})"),
            )
            .help("choose a smaller `h`"));
        }
        // A spacing that divides the extent up to rounding gives exactly that many cells.
        let cells: Vec<usize> = extent.iter().map(|x| (x / h - 1e-6).ceil().clamp(1.0, 1e12) as usize).collect();
        Mesh::new(element, origin, extent, &cells, periodic)
    }

    pub fn dimension(&self) -> usize {
        self.cells.len()
    }

    pub fn cell_count(&self) -> usize {
        self.cells.iter().product()
    }

    pub fn elements_per_cell(&self) -> usize {
        if self.element == Element::Triangle { 2 } else { 1 }
    }

    pub fn element_count(&self) -> usize {
        self.cell_count() * self.elements_per_cell()
    }

    /// Cell size along each axis.
    pub fn spacing(&self) -> Vec<f64> {
        self.extent.iter().zip(&self.cells).map(|(x, &n)| x / n as f64).collect()
    }

    pub fn volume(&self) -> f64 {
        self.extent.iter().product()
    }

    /// Names of the boundary parts this mesh has. Sides across a periodic axis are none.
    pub fn part_names(&self) -> Vec<&'static str> {
        let mut names: Vec<&str> = self.sides().into_iter().map(name_of).collect();
        if !names.is_empty() {
            names.push(if self.dimension() == 1 { "ends" } else { "boundary" });
        }
        names
    }

    /// The sides a name stands for. Errors: there is no such part.
    pub fn part(&self, name: &str) -> Result<Vec<Side>, Refusal> {
        let all = self.sides();
        let named: Vec<Side> = match name {
            "boundary" => all,
            "ends" if self.dimension() == 1 => all,
            _ => all.into_iter().filter(|&s| name_of(s) == name).collect(),
        };
        if !named.is_empty() {
            return Ok(named);
        }
        let names = self.part_names();
        let refusal = Refusal::new("discretize.part", format!("the domain has no boundary part `{name}`"));
        Err(match names.is_empty() {
            true => refusal.help("a periodic domain has no boundary"),
            false => refusal.help(format!("it has {}", list(&names, ", "))),
        })
    }

    /// Sides that are no periodic seam, axis by axis, low before high.
    pub fn sides(&self) -> Vec<Side> {
        (0..self.dimension())
            .filter(|&a| !self.periodic[a])
            .flat_map(|axis| [false, true].map(|high| Side { axis, high }))
            .collect()
    }
}

impl Side {
    /// The outward unit normal.
    pub fn normal(self, dimension: usize) -> Vec<f64> {
        let sign = if self.high { 1.0 } else { -1.0 };
        (0..dimension).map(|a| if a == self.axis { sign } else { 0.0 }).collect()
    }
}

/// Row-major multi-index of `k` in a box of these extents.
pub(crate) fn unravel(mut k: usize, extents: &[usize]) -> Vec<usize> {
    let mut index = vec![0; extents.len()];
    for a in (0..extents.len()).rev() {
        index[a] = k % extents[a];
        k /= extents[a];
    }
    index
}

pub(crate) fn ravel(index: &[usize], extents: &[usize]) -> usize {
    index.iter().zip(extents).fold(0, |k, (&i, &n)| k * n + i)
}

/// Every multi-index of a box, row-major.
pub(crate) fn each_index(extents: &[usize], mut visit: impl FnMut(&[usize])) {
    let mut index = vec![0; extents.len()];
    for _ in 0..extents.iter().product() {
        visit(&index);
        for a in (0..extents.len()).rev() {
            index[a] += 1;
            if index[a] < extents[a] {
                break;
            }
            index[a] = 0;
        }
    }
}

/// [`unravel`] of whole numbers held as f64, of any shape, in the IR.
pub(crate) fn trace_unravel(b: &mut Builder, k: Value, extents: &[usize]) -> Vec<Value> {
    let mut rest = k;
    let mut index = Vec::with_capacity(extents.len());
    for a in 0..extents.len() {
        let stride: usize = extents[a + 1..].iter().product();
        if extents[a] == 1 {
            index.push(b.zeros_like(k));
        } else if stride == 1 {
            index.push(rest);
        } else {
            // Exact: a quotient of whole numbers below 2^53 rounds to the right side of the next one.
            let divisor = b.scalar(stride as f64);
            let quotient = b.div(rest, divisor);
            let i = b.unary(Unary::Floor, quotient);
            let taken = b.scale(i, stride as f64);
            rest = b.sub(rest, taken);
            index.push(i);
        }
    }
    index
}

fn name_of(side: Side) -> &'static str {
    [["left", "right"], ["bottom", "top"], ["back", "front"]][side.axis][side.high as usize]
}

fn list<T: ToString>(items: &[T], between: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit_square(periodic: [bool; 2]) -> Mesh {
        Mesh::new(Element::Quad, &[0.0, 0.0], &[1.0, 2.0], &[4, 8], &periodic).unwrap()
    }

    #[test]
    fn parts_are_named_by_axis() {
        let mesh = unit_square([false, false]);
        assert_eq!(mesh.part("left").unwrap(), [Side { axis: 0, high: false }]);
        assert_eq!(mesh.part("top").unwrap(), [Side { axis: 1, high: true }]);
        assert_eq!(mesh.part("boundary").unwrap().len(), 4);
        assert_eq!(mesh.part_names(), ["left", "right", "bottom", "top", "boundary"]);
    }

    #[test]
    fn a_periodic_axis_has_no_sides() {
        let mesh = unit_square([true, false]);
        assert_eq!(mesh.part_names(), ["bottom", "top", "boundary"]);
        assert_eq!(mesh.part("left").unwrap_err().code, "discretize.part");
        assert!(unit_square([true, true]).part("boundary").is_err());
    }

    #[test]
    fn impossible_meshes_are_refused() {
        let with = |n: usize, x: f64| Mesh::new(Element::Interval, &[0.0], &[x], &[n], &[false]);
        assert!(with(0, 1.0).is_err() && with(1, 0.0).is_err() && with(1, f64::NAN).is_err());
        assert!(with(usize::MAX, 1.0).is_err());
        assert!(Mesh::new(Element::Hex, &[0.0], &[1.0], &[1], &[false]).is_err());
        for h in [0.0, -1.0, f64::NAN, f64::INFINITY, 1.5, 1e-300] {
            assert!(Mesh::with_spacing(Element::Interval, &[0.0], &[1.0], h, &[false]).is_err(), "h = {h}");
        }
    }

    #[test]
    fn spacing_that_divides_the_extent_is_kept() {
        let mesh = Mesh::with_spacing(Element::Interval, &[0.0], &[0.1], 0.002, &[false]).unwrap();
        assert_eq!(mesh.cells, [50]);
    }

    #[test]
    fn numbering_is_row_major() {
        for k in 0..24 {
            assert_eq!(ravel(&unravel(k, &[2, 3, 4]), &[2, 3, 4]), k);
        }
        assert_eq!(unravel(1, &[2, 3, 4]), [0, 0, 1]);
    }
}
