//! The folder of a run's results: files that studies ask for go through here.

use crate::base::{Diagnostic, Span};
use crate::discretize::post::VtkCells;
use crate::exec::fs::{Disk, Pieces, write_in_pieces};
use crate::exec::study::{SavedField, Series, Writer};
use crate::lower::value::{Num, Value};
use crate::report::vtk::{Array, At, Cell, Grid, unstructured};
use crate::report::{self, csv, vtk};
use indexmap::IndexMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

pub struct Folder {
    pub path: PathBuf,
    /// Hashes of what was written, by name.
    pub written: IndexMap<String, String>,
}

impl Folder {
    pub fn new(path: PathBuf) -> Folder {
        Folder { path, written: IndexMap::new() }
    }

    fn put(&mut self, name: &str, bytes: &[u8], span: Span) -> Result<PathBuf, Box<Diagnostic>> {
        self.put_in_pieces(name, |out| out(bytes), span)
    }

    fn put_in_pieces(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Pieces) -> std::io::Result<()>,
        span: Span,
    ) -> Result<PathBuf, Box<Diagnostic>> {
        let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        if !inside || name.is_empty() {
            let d =
                Diagnostic::error("studies.file", span, format!("`{name}` is not a name inside the folder of results"));
            return Err(Box::new(d.help("give a plain name, such as \"heat.vtu\"; --out chooses the folder")));
        }
        let path = self.path.join(name);
        let hash = write_in_pieces(&Disk, &path, write)
            .map_err(|fault| Box::new(Diagnostic::error("run.disk", span, fault.to_string())))?;
        self.written.insert(name.into(), hash.hex());
        Ok(path)
    }
}

impl Writer for Folder {
    fn vtk(&mut self, name: &str, fields: &[SavedField], span: Span) -> Result<PathBuf, Box<Diagnostic>> {
        let wrong = |message: String, help: &str| Box::new(Diagnostic::error("studies.file", span, message).help(help));
        let Some(first) = fields.first() else {
            return Err(wrong(
                "there is no field to write".into(),
                "name the fields after the file: vtk(\"heat.vtu\", s.T)",
            ));
        };
        let cells = VtkCells::new(&first.space);
        let mut arrays = vec![];
        for f in fields {
            if f.space.mesh != first.space.mesh || f.space.order != first.space.order {
                let message = format!("`{}` and `{}` are on different meshes", first.label, f.label);
                return Err(wrong(message, "write them to a file each"));
            }
            let nodes = f.space.node_count();
            let width = f.values.ty.len() / nodes.max(1);
            let values = f.values.to_f64();
            let label = crate::report::axes::title(&f.label, &f.unit);
            let at = if f.space.order == 0 { At::Cells } else { At::Points };
            let values = if at == At::Points { cells.point_data(&values, width) } else { values };
            arrays.push(Array { name: label, components: width, values, at });
        }
        let grid = grid(&cells).map_err(|m| wrong(m, "this is a bug in mslc"))?;
        let bytes =
            unstructured(&grid, &arrays).map_err(|m| wrong(m, "scalars, vectors and square tensors can be written"))?;
        let name = if name.contains('.') { name.to_string() } else { format!("{name}.vtu") };
        self.put(&name, &bytes, span)
    }

    fn series(&mut self, name: &str, series: &Series, span: Span) -> Result<PathBuf, Box<Diagnostic>> {
        let wrong = |message: String, help: &str| Box::new(Diagnostic::error("studies.file", span, message).help(help));
        let lattice = lattice(series);
        match name.rsplit_once('.').map(|n| n.1) {
            Some("vtkhdf") => self.put_in_pieces(name, |out| report::series::vtkhdf(&lattice, out), span),
            Some("npz") => {
                let arrays = report::series::archive(&lattice);
                report::npz::size(&arrays).map_err(|m| wrong(m, "write to `.vtkhdf`"))?;
                self.put_in_pieces(name, |out| report::npz::write(&arrays, out), span)
            }
            _ => {
                let message = format!("`{name}` does not say in which format it is to be written");
                Err(wrong(message, "`.vtkhdf` is for ParaView, `.npz` for NumPy"))
            }
        }
    }

    /// A table of named numbers and lists, a column each; of tensors a column for each entry.
    fn save(&mut self, name: &str, values: &[(String, Value)], span: Span) -> Result<PathBuf, Box<Diagnostic>> {
        let mut columns: Vec<(String, Vec<f64>)> = vec![];
        for (label, value) in values {
            match value {
                Value::Int(i) => columns.push((label.clone(), vec![*i as f64])),
                Value::Num(Num::Const(t)) | Value::Stack(Num::Const(t)) => {
                    let rows = t.ty.shape.first().copied().unwrap_or(1);
                    let width = t.ty.len() / rows.max(1);
                    let all = t.to_f64();
                    for k in 0..width {
                        let head = if width == 1 { label.clone() } else { format!("{label}[{k}]") };
                        columns.push((head, all.iter().skip(k).step_by(width).copied().collect()));
                    }
                }
                other => {
                    let message = format!("saving {} is not supported yet (`{label}`)", other.kind());
                    let d = Diagnostic::error("studies.file", span, message);
                    return Err(Box::new(
                        d.help("numbers, lists and tensors are saved as a table; fields go to vtk(...)"),
                    ));
                }
            }
        }
        let length = columns.iter().map(|c| c.1.len()).max().unwrap_or(0);
        let mut rows = vec![columns.iter().map(|c| c.0.clone()).collect::<Vec<_>>()];
        rows.extend(
            (0..length).map(|i| columns.iter().map(|c| c.1.get(i).map_or(String::new(), f64::to_string)).collect()),
        );
        let name = if name.contains('.') { name.to_string() } else { format!("{name}.csv") };
        self.put(&name, csv::text(&rows).as_bytes(), span)
    }
}

/// Fields on the nodes of a box as those of a lattice. Of a periodic one the nodes at its end are those of its beginning.
fn lattice(s: &Series) -> report::series::Series<'_> {
    let (mesh, order) = (&s.space.mesh, s.space.order);
    let cells = order == 0;
    let extent: Vec<usize> = mesh.cells.iter().map(|n| if cells { *n } else { n * order + 1 }).collect();
    let points = &s.space.points;
    // The node that each point of the lattice shows; none where they are the same.
    let node = |k: usize| {
        let mut rest = k;
        let mut index = vec![0; extent.len()];
        for a in (0..extent.len()).rev() {
            index[a] = rest % extent[a] % points[a];
            rest /= extent[a];
        }
        index.iter().zip(points).fold(0, |at, (i, n)| at * n + i)
    };
    let same = extent == *points;
    let nodes: Option<Rc<Vec<usize>>> = (!same).then(|| Rc::new((0..extent.iter().product()).map(node).collect()));
    let fields = s.fields.iter().map(|f| {
        let shape = f.values.first().map_or(vec![], |t| t.ty.shape[1..].to_vec());
        let width: usize = shape.iter().product();
        let nodes = nodes.clone();
        let values = move |k: usize| -> Vec<f64> {
            let t = &f.values[k];
            let all = t.to_f64();
            // One sample at a time is in memory.
            t.release();
            match &nodes {
                None => all,
                Some(nodes) => nodes.iter().flat_map(|&n| all[n * width..][..width].to_vec()).collect(),
            }
        };
        report::series::Samples { name: f.label.clone(), unit: f.unit.clone(), shape, values: Box::new(values) }
    });
    report::series::Series {
        origin: mesh.origin.clone(),
        spacing: mesh.spacing().iter().map(|h| h / order.max(1) as f64).collect(),
        extent: extent.clone(),
        cells,
        times: s.times.clone(),
        fields: fields.collect(),
    }
}

/// Cells with VTK's numbers as cells by name.
fn grid(cells: &VtkCells) -> Result<Grid, String> {
    let kinds = [
        Cell::Vertex,
        Cell::Line,
        Cell::Triangle,
        Cell::Quad,
        Cell::Tetrahedron,
        Cell::Hexahedron,
        Cell::Line3,
        Cell::Triangle6,
        Cell::Quad8,
        Cell::Tetrahedron10,
        Cell::Hexahedron20,
        Cell::Quad9,
        Cell::Hexahedron27,
    ];
    let mut start = 0;
    let mut out = vtk::Grid { points: cells.points.clone(), cells: Vec::with_capacity(cells.types.len()) };
    for (&end, &ty) in cells.offsets.iter().zip(&cells.types) {
        let kind = kinds.into_iter().find(|k| *k as u8 == ty).ok_or_else(|| format!("a cell of VTK's type {ty}"))?;
        out.cells.push((kind, cells.connectivity[start..end as usize].to_vec()));
        start = end as usize;
    }
    Ok(out)
}
