//! Box lattices of one to three axes with a margin of one point on every side, and symmetric 3-, 9- and 27-point
//! operators on them: one array of coefficients for each neighbour, so that every loop runs with unit stride.

use super::{Grid, Pattern};

/// The shape of the arrays. Axes are always three, the unused first ones of extent 1 and without a margin.
#[derive(Clone, PartialEq, Debug)]
pub struct Lattice {
    /// Used axes: 1, 2 or 3.
    pub dims: usize,
    pub extent: [usize; 3],
    pub periodic: [bool; 3],
    pub stride: [usize; 3],
    margin: [usize; 3],
    /// Length of an array.
    pub len: usize,
}

impl Lattice {
    /// Of 1 to 3 axes, each of at least one point.
    pub fn new(points: &[usize], periodic: &[bool]) -> Lattice {
        let dims = points.len();
        let unused = 3 - dims;
        let (mut extent, mut wraps, mut margin) = ([1; 3], [false; 3], [0; 3]);
        for a in 0..dims {
            (extent[unused + a], wraps[unused + a], margin[unused + a]) = (points[a], periodic[a], 1);
        }
        let padded = |a: usize| extent[a] + 2 * margin[a];
        let stride = [padded(1) * padded(2), padded(2), 1];
        Lattice { dims, extent, periodic: wraps, stride, margin, len: padded(0) * stride[0] }
    }

    /// The same lattice with another extent along one axis.
    pub fn with_extent(&self, axis: usize, extent: usize) -> Lattice {
        let mut points = self.extent;
        points[axis] = extent;
        Lattice::new(&points[3 - self.dims..], &self.periodic[3 - self.dims..])
    }

    /// Number of points (without the margin).
    pub fn points(&self) -> usize {
        self.extent.iter().product()
    }

    /// Where a point lies in an array.
    pub fn index(&self, p: [usize; 3]) -> usize {
        (0..3).map(|a| (p[a] + self.margin[a]) * self.stride[a]).sum()
    }

    /// Where the first point of row (i, j) lies.
    pub fn row(&self, i: usize, j: usize) -> usize {
        self.index([i, j, 0])
    }

    /// Number of rows of an array, margins included.
    pub fn padded_rows(&self) -> usize {
        self.len / self.stride[1]
    }

    /// Whether this row of an array (counted with the margins) holds points.
    pub fn holds_points(&self, row: usize) -> bool {
        let per_plane = self.stride[0] / self.stride[1];
        let inside = |k: usize, a: usize| k >= self.margin[a] && k < self.margin[a] + self.extent[a];
        inside(row / per_plane, 0) && inside(row % per_plane, 1)
    }

    /// Fills the margins of periodic axes from the other side. Elsewhere they keep what they hold: zero.
    pub fn wrap<T: Copy>(&self, x: &mut [T]) {
        let [n0, n1, n2] = self.extent;
        let [s0, s1, _] = self.stride;
        if self.periodic[2] {
            for i in 0..n0 {
                for j in 0..n1 {
                    let at = self.row(i, j);
                    x[at - 1] = x[at + n2 - 1];
                    x[at + n2] = x[at];
                }
            }
        }
        if self.periodic[1] {
            for i in 0..n0 {
                let first = self.row(i, 0) - self.margin[2];
                x.copy_within(first + (n1 - 1) * s1..first + n1 * s1, first - s1);
                x.copy_within(first..first + s1, first + n1 * s1);
            }
        }
        if self.periodic[0] {
            let first = self.margin[0] * s0;
            x.copy_within(first + (n0 - 1) * s0..first + n0 * s0, first - s0);
            x.copy_within(first..first + s0, first + n0 * s0);
        }
    }

    /// The neighbours after a point in lexicographic order: 1, 4 or 13 offsets.
    pub fn half(&self) -> Vec<[isize; 3]> {
        let reach = |a: usize| if a + self.dims >= 3 { -1..=1 } else { 0..=0 };
        let mut out = Vec::new();
        for i in reach(0) {
            for j in reach(1) {
                out.extend(reach(2).map(|k| [i, j, k]).filter(|o| *o > [0, 0, 0]));
            }
        }
        out
    }

    /// How far a neighbour lies in an array.
    pub fn shift(&self, offset: [isize; 3]) -> isize {
        (0..3).map(|a| offset[a] * self.stride[a] as isize).sum()
    }
}

/// A symmetric operator. `coefficient(0)` couples a point with itself, `coefficient(k)` with its neighbour `half()[k - 1]`.
#[derive(Clone, Debug)]
pub struct Stencil<T = f64> {
    pub lattice: Lattice,
    /// The array distance of each neighbour of the half.
    pub shifts: Vec<usize>,
    data: Vec<T>,
}

impl<T> Stencil<T> {
    pub fn coefficient(&self, k: usize) -> &[T] {
        &self.data[k * self.lattice.len..(k + 1) * self.lattice.len]
    }
}

impl Stencil {
    pub fn zero(lattice: Lattice) -> Stencil {
        let shifts: Vec<usize> = lattice.half().iter().map(|&o| lattice.shift(o) as usize).collect();
        let data = vec![0.0; (shifts.len() + 1) * lattice.len];
        Stencil { lattice, shifts, data }
    }

    /// In single precision, times `scale`.
    pub fn single(&self, scale: f64) -> Stencil<f32> {
        let data = self.data.iter().map(|a| (a * scale) as f32).collect();
        Stencil { lattice: self.lattice.clone(), shifts: self.shifts.clone(), data }
    }

    pub fn coefficient_mut(&mut self, k: usize) -> &mut [f64] {
        &mut self.data[k * self.lattice.len..(k + 1) * self.lattice.len]
    }

    pub fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// Fills the margins of all coefficients.
    pub fn wrap(&mut self) {
        let lattice = &self.lattice;
        self.data.chunks_exact_mut(lattice.len).for_each(|c| lattice.wrap(c));
    }

    /// Which array holds the coupling at `offset`, and at which distance from the point.
    pub fn place(&self, offset: [isize; 3]) -> (usize, isize) {
        if offset == [0, 0, 0] {
            return (0, 0);
        }
        let mirrored = offset.map(|o| -o);
        let upper = offset > [0, 0, 0];
        let key = if upper { offset } else { mirrored };
        let k = 1 + self
            .lattice
            .half()
            .iter()
            .position(|&o| o == key)
            .expect("compiler bug: an offset beyond the neighbours");
        (k, if upper { 0 } else { self.lattice.shift(offset) })
    }
}

/// How the unknowns of a matrix lie on a lattice, and how its entries become a [`Stencil`]. For several components: the
/// blocks of each component with itself.
#[derive(Clone, Debug)]
pub struct Placement {
    pub lattice: Lattice,
    pub components: usize,
    /// For each component, (unknown, its place in an array).
    pub places: Vec<Vec<(u32, u32)>>,
    /// For each component, (entry of the matrix, its place in `Stencil::data`).
    pub entries: Vec<Vec<(u32, u32)>>,
    /// For each component, the places without an unknown.
    pub holes: Vec<Vec<u32>>,
    /// The stencils hold the whole matrix: nothing couples components, or points that are no neighbours.
    pub complete: bool,
}

impl Placement {
    /// `None` if the hint does not fit the pattern, or points that are no neighbours are coupled within a component.
    pub fn new(pattern: &Pattern, grid: &Grid) -> Option<Placement> {
        let (n, dims, c) = (pattern.n(), grid.points.len(), grid.components.max(1));
        if !(1..=3).contains(&dims) || grid.periodic.len() != dims || grid.points.contains(&0) {
            return None;
        }
        let lattice = Lattice::new(&grid.points, &grid.periodic);
        let values = lattice.points().checked_mul(c)?;
        let half = lattice.half();
        if (half.len() + 1).checked_mul(lattice.len)? >= u32::MAX as usize {
            return None;
        }
        let unknown_of = |v: usize| match grid.unknowns.get(v / c) {
            None => v as u32,
            Some(&u32::MAX) => u32::MAX,
            Some(&node) => node.saturating_mul(c as u32).saturating_add((v % c) as u32),
        };
        if (grid.unknowns.is_empty() && values != n)
            || (!grid.unknowns.is_empty() && grid.unknowns.len() != lattice.points())
        {
            return None;
        }
        // Point and component of each unknown.
        let [_, n1, n2] = lattice.extent;
        let point = |v: usize| [v / c / n2 / n1, v / c / n2 % n1, v / c % n2];
        let mut value_of = vec![u32::MAX; n];
        let (mut places, mut holes) = (vec![Vec::new(); c], vec![Vec::new(); c]);
        for v in 0..values {
            let (u, place) = (unknown_of(v), lattice.index(point(v)) as u32);
            match value_of.get_mut(u as usize) {
                Some(slot) => {
                    if *slot != u32::MAX {
                        return None;
                    }
                    *slot = v as u32;
                    places[v % c].push((u, place));
                }
                None => holes[v % c].push(place),
            }
        }
        if value_of.contains(&u32::MAX) {
            return None;
        }
        let (mut entries, mut complete) = (vec![Vec::new(); c], true);
        for i in 0..n {
            let v = value_of[i] as usize;
            let p = point(v);
            for e in pattern.row_start[i]..pattern.row_start[i + 1] {
                let w = value_of[pattern.columns[e] as usize] as usize;
                if v % c != w % c {
                    complete = false;
                    continue;
                }
                let q = point(w);
                let mut offset = [0isize; 3];
                for a in 0..3 {
                    let direct = q[a] as isize - p[a] as isize;
                    let round = lattice.extent[a] as isize;
                    offset[a] = match direct {
                        -1..=1 => direct,
                        _ if lattice.periodic[a] && direct == round - 1 => -1,
                        _ if lattice.periodic[a] && direct == 1 - round => 1,
                        _ => return None,
                    };
                }
                if offset >= [0, 0, 0] {
                    let k = half.iter().position(|&o| o == offset).map_or(0, |k| k + 1);
                    entries[v % c].push((e as u32, (k * lattice.len + lattice.index(p)) as u32));
                }
            }
        }
        Some(Placement { lattice, components: c, places, entries, holes, complete })
    }

    /// The matrix's couplings of one component. Places without an unknown get a row with a diagonal only.
    pub fn fill(&self, component: usize, values: &[f64], stencil: &mut Stencil) {
        let data = stencil.data_mut();
        data.fill(0.0);
        for &(e, place) in &self.entries[component] {
            data[place as usize] = values[e as usize];
        }
        let largest = data[..self.lattice.len].iter().fold(0.0f64, |m, a| m.max(*a));
        for &place in &self.holes[component] {
            data[place as usize] = largest;
        }
        stencil.wrap();
    }

    /// From the numbering of the matrix to an array (whose holes and margins stay).
    pub fn scatter(&self, component: usize, from: &[f64], to: &mut [f64]) {
        self.places[component].iter().for_each(|&(u, p)| to[p as usize] = from[u as usize]);
    }

    /// From an array to the numbering of the matrix.
    pub fn gather(&self, component: usize, from: &[f64], to: &mut [f64]) {
        self.places[component].iter().for_each(|&(u, p)| to[u as usize] = from[p as usize]);
    }
}
