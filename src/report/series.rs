//! Fields on the lattice of a box over time, as files: VTKHDF, which ParaView plays, and NPZ.
//! [Kitware, VTKHDF file format, image data]

use super::hdf5::{self, Dataset, Group, Node, Value};
use super::npz;
use crate::exec::fs::Pieces;
use std::io;

/// Values at the points (or in the cells) of a regular lattice, at one time or several.
pub struct Series<'a> {
    pub origin: Vec<f64>,
    /// Distance of points along each axis.
    pub spacing: Vec<f64>,
    /// Points (or cells) along each axis.
    pub extent: Vec<usize>,
    /// Values belong to cells.
    pub cells: bool,
    /// In seconds; empty where there is one state without a time.
    pub times: Vec<f64>,
    pub fields: Vec<Samples<'a>>,
}

/// A field at all times.
pub struct Samples<'a> {
    pub name: String,
    pub unit: String,
    /// Of the value at a point.
    pub shape: Vec<usize>,
    /// At the k-th time `[extent…, shape…]`: made when it is asked for, since all together may be too many for memory.
    pub values: Box<dyn Fn(usize) -> Vec<f64> + 'a>,
}

impl Series<'_> {
    /// How many states there are.
    fn count(&self) -> usize {
        self.times.len().max(1)
    }

    /// Coordinates of the points (or centres of cells) along an axis.
    fn axis(&self, a: usize) -> Vec<f64> {
        let shift = if self.cells { 0.5 } else { 0.0 };
        (0..self.extent[a]).map(|i| self.origin[a] + (i as f64 + shift) * self.spacing[a]).collect()
    }
}

/// Writes a `.vtkhdf` file.
///
/// # Errors
/// Those of `out`.
pub fn vtkhdf(s: &Series, out: &mut Pieces) -> io::Result<()> {
    let d = s.extent.len();
    let three = |f: &dyn Fn(usize) -> f64, other: f64| (0..3).map(|a| if a < d { f(a) } else { other }).collect();
    let last = |a: usize| match (a < d, s.cells) {
        (true, true) => s.extent[a] as i64,
        (true, false) => s.extent[a] as i64 - 1,
        (false, _) => 0,
    };
    // Whole extents are of points. A cell of a plane or a line has no thickness.
    let whole = (0..3).flat_map(|a| [0, last(a)]).collect();
    let identity = (0..9).map(|k| if k % 4 == 0 { 1.0 } else { 0.0 }).collect();
    let data = s.fields.iter().fold(Group::default(), |g, f| g.member(&f.name, field(s, f)));
    let mut root = Group::default()
        .attribute("Version", Value::Integers(vec![2, 1]))
        .attribute("Type", Value::Text("ImageData".into()))
        .attribute("WholeExtent", Value::Integers(whole))
        .attribute("Origin", Value::Floats(three(&|a| s.origin[a], 0.0)))
        .attribute("Spacing", Value::Floats(three(&|a| s.spacing[a], 1.0)))
        .attribute("Direction", Value::Floats(identity));
    let (here, there) = if s.cells { ("CellData", "PointData") } else { ("PointData", "CellData") };
    root = root.member(here, Node::Group(data)).member(there, Node::Group(Group::default()));
    if !s.times.is_empty() {
        let n = s.times.len() as i64;
        let offsets = s
            .fields
            .iter()
            .fold(Group::default(), |g, f| g.member(&f.name, hdf5::list(Value::Integers((0..n).collect()))));
        let mut steps = Group::default();
        steps.attributes.push(("NSteps".into(), Value::Integers(vec![n])));
        let steps = steps
            .member("Values", hdf5::list(Value::Floats(s.times.clone())))
            .member(if s.cells { "CellDataOffsets" } else { "PointDataOffsets" }, Node::Group(offsets));
        root = root.member("Steps", Node::Group(steps));
    }
    hdf5::write(&Group::default().member("VTKHDF", Node::Group(root)), out)
}

/// `[times, z, y, x, components]`; vectors and tensors are filled up to three dimensions.
fn field<'a>(s: &'a Series<'a>, f: &'a Samples<'a>) -> Node<'a> {
    let d = s.extent.len();
    let full: Vec<usize> = (0..3).map(|a| s.extent.get(a).copied().unwrap_or(1)).collect();
    let width: usize = f.shape.iter().product();
    // Entries of a value, by their place in the wider one.
    let wide: Vec<Option<usize>> = match f.shape[..] {
        [n] if n < 3 => (0..3).map(|i| (i < n).then_some(i)).collect(),
        [n, m] if n < 3 && n == m => (0..9).map(|k| (k / 3 < n && k % 3 < n).then_some(k / 3 * n + k % 3)).collect(),
        _ => (0..width).map(Some).collect(),
    };
    let (components, count) = (wide.len(), s.count() * full.iter().product::<usize>() * wide.len());
    let make = move |out: &mut Pieces| {
        let mut line = vec![];
        for k in 0..s.count() {
            let values = (f.values)(k);
            for z in 0..full[2] {
                for y in 0..full[1] {
                    line.clear();
                    for x in 0..full[0] {
                        let at = [x, y, z][..d].iter().zip(&s.extent).fold(0, |at, (i, n)| at * n + i);
                        let entry = |k: &Option<usize>| k.map_or(0.0, |k| values[at * width + k]);
                        line.extend(wide.iter().flat_map(|k| entry(k).to_le_bytes()));
                    }
                    out(&line)?;
                }
            }
        }
        Ok(())
    };
    // The reader leaves out axes of no thickness.
    let mut shape: Vec<usize> = s.extent.iter().rev().copied().collect();
    if !s.times.is_empty() {
        shape.insert(0, s.times.len());
    }
    if components > 1 {
        shape.push(components);
    }
    let mut attributes = vec![];
    if !f.unit.is_empty() {
        attributes.push(("Units".to_string(), Value::Text(f.unit.clone())));
    }
    Node::Dataset(Dataset { shape, values: Value::Made(count, Box::new(make)), attributes })
}

/// The arrays of a `.npz` file: each field `[times, extent…, shape…]`, the coordinates `x`, `y`, `z` along the axes, the times `t`, and
/// for each field with a unit a text `NAME_unit`.
pub fn archive<'a>(s: &'a Series<'a>) -> Vec<npz::Array<'a>> {
    let mut arrays = vec![];
    let mut add = |name: &str, values| arrays.push(npz::Array { name: name.into(), values });
    for f in &s.fields {
        let times = if s.times.is_empty() { vec![] } else { vec![s.times.len()] };
        let make = move |out: &mut Pieces| {
            (0..s.count()).try_for_each(|k| {
                let values = (f.values)(k);
                values.chunks(1 << 16).try_for_each(|part| {
                    let bytes: Vec<u8> = part.iter().flat_map(|x| x.to_le_bytes()).collect();
                    out(&bytes)
                })
            })
        };
        add(&f.name, npz::Values::Made([&times, &s.extent[..], &f.shape].concat(), Box::new(make)));
        if !f.unit.is_empty() {
            add(&format!("{}_unit", f.name), npz::Values::Text(f.unit.clone()));
        }
    }
    for (a, name) in ["x", "y", "z"].into_iter().enumerate().take(s.extent.len()) {
        add(name, npz::Values::Floats(vec![s.extent[a]], s.axis(a)));
    }
    if !s.times.is_empty() {
        add("t", npz::Values::Floats(vec![s.times.len()], s.times.clone()));
    }
    arrays
}
