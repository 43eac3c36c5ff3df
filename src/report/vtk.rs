//! Files that ParaView opens: unstructured grids (`.vtu`) and uniform grids (`.vti`), XML with raw appended binary data.
//! [Kitware, VTK file formats, §XML]

use super::canvas::escape;

/// Points in space and the cells between them. A plane mesh has z = 0.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Grid {
    pub points: Vec<[f64; 3]>,
    pub cells: Vec<(Cell, Vec<u32>)>,
}

/// Kinds of cells; the numbers are those of VTK, and so is the order of a cell's points: corners counter-clockwise (bottom, then
/// top), then the middles of edges in the order of the edges, then of faces, then the centre.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cell {
    Vertex = 1,
    Line = 3,
    Triangle = 5,
    Quad = 9,
    Tetrahedron = 10,
    Hexahedron = 12,
    Line3 = 21,
    Triangle6 = 22,
    Quad8 = 23,
    Tetrahedron10 = 24,
    Hexahedron20 = 25,
    Quad9 = 28,
    Hexahedron27 = 29,
}

impl Cell {
    pub fn points(self) -> usize {
        match self {
            Cell::Vertex => 1,
            Cell::Line => 2,
            Cell::Triangle | Cell::Line3 => 3,
            Cell::Quad | Cell::Tetrahedron => 4,
            Cell::Triangle6 => 6,
            Cell::Hexahedron | Cell::Quad8 => 8,
            Cell::Quad9 => 9,
            Cell::Tetrahedron10 => 10,
            Cell::Hexahedron20 => 20,
            Cell::Hexahedron27 => 27,
        }
    }
}

/// Values at points or in cells. `components` is 1 (scalar), 2 or 3 (vector), 4 or 9 (tensor, row by row); vectors and tensors of
/// the plane are filled up with zeros, as ParaView wants three dimensions.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    /// `T [K]`
    pub name: String,
    pub components: usize,
    pub values: Vec<f64>,
    pub at: At,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    Points,
    Cells,
}

impl Array {
    pub fn points(name: impl Into<String>, components: usize, values: Vec<f64>) -> Array {
        Array { name: name.into(), components, values, at: At::Points }
    }

    pub fn cells(name: impl Into<String>, components: usize, values: Vec<f64>) -> Array {
        Array { name: name.into(), components, values, at: At::Cells }
    }

    /// In three dimensions: components and values.
    fn in_space(&self) -> (usize, Vec<f64>) {
        match self.components {
            2 => (3, self.values.chunks(2).flat_map(|v| [v[0], v[1], 0.0]).collect()),
            4 => (9, self.values.chunks(4).flat_map(|t| [t[0], t[1], 0.0, t[2], t[3], 0.0, 0.0, 0.0, 0.0]).collect()),
            n => (n, self.values.clone()),
        }
    }
}

/// A `.vtu` file.
///
/// # Errors
/// Where an array does not have a value for each point or cell, or a cell not the points of its kind.
pub fn unstructured(grid: &Grid, arrays: &[Array]) -> Result<Vec<u8>, String> {
    for (i, (cell, points)) in grid.cells.iter().enumerate() {
        if points.len() != cell.points() || points.iter().any(|&p| p as usize >= grid.points.len()) {
            return Err(format!("cell {i} of kind {cell:?} has the points {points:?}"));
        }
    }
    fit(arrays, grid.points.len(), grid.cells.len())?;
    let mut data = Appended::default();
    let mut xml = format!(
        "<?xml version=\"1.0\"?>\n<VTKFile type=\"UnstructuredGrid\" version=\"1.0\" byte_order=\"LittleEndian\" \
         header_type=\"UInt64\">\n<UnstructuredGrid>\n<Piece NumberOfPoints=\"{}\" NumberOfCells=\"{}\">\n",
        grid.points.len(),
        grid.cells.len()
    );
    let coordinates: Vec<f64> = grid.points.as_flattened().to_vec();
    xml += &format!("<Points>\n{}</Points>\n<Cells>\n", data.floats("Points", 3, &coordinates));
    let connectivity = grid.cells.iter().flat_map(|c| c.1.iter().flat_map(|&p| (p as i64).to_le_bytes())).collect();
    xml += &data.add("Int64", "connectivity", 1, connectivity);
    let offsets = grid.cells.iter().scan(0i64, |n, c| {
        *n += c.1.len() as i64;
        Some(*n)
    });
    let offsets = offsets.flat_map(i64::to_le_bytes).collect();
    xml += &data.add("Int64", "offsets", 1, offsets);
    xml += &data.add("UInt8", "types", 1, grid.cells.iter().map(|c| c.0 as u8).collect());
    xml += "</Cells>\n";
    xml += &data.attributes(arrays);
    xml += "</Piece>\n</UnstructuredGrid>\n";
    Ok(data.file(xml))
}

/// A `.vti` file of `cells[0] × cells[1] × cells[2]` cells (zero cells along an axis that is not there), x running fastest.
///
/// # Errors
/// Where an array does not have a value for each point or cell.
pub fn uniform(origin: [f64; 3], spacing: [f64; 3], cells: [usize; 3], arrays: &[Array]) -> Result<Vec<u8>, String> {
    let points = cells.iter().map(|n| n + 1).product();
    let inside = cells.iter().map(|n| (*n).max(1)).product();
    fit(arrays, points, inside)?;
    let three = |v: [f64; 3]| format!("{} {} {}", v[0], v[1], v[2]);
    let extent = format!("0 {} 0 {} 0 {}", cells[0], cells[1], cells[2]);
    let mut data = Appended::default();
    let xml = format!(
        "<?xml version=\"1.0\"?>\n<VTKFile type=\"ImageData\" version=\"1.0\" byte_order=\"LittleEndian\" \
         header_type=\"UInt64\">\n<ImageData WholeExtent=\"{extent}\" Origin=\"{}\" Spacing=\"{}\">\n<Piece Extent=\"{extent}\">\n\
         {}</Piece>\n</ImageData>\n",
        three(origin),
        three(spacing),
        data.attributes(arrays)
    );
    Ok(data.file(xml))
}

fn fit(arrays: &[Array], points: usize, cells: usize) -> Result<(), String> {
    for a in arrays {
        let (n, place) = if a.at == At::Points { (points, "points") } else { (cells, "cells") };
        if a.components == 0 || a.values.len() != n * a.components {
            let (c, m) = (a.components, a.values.len());
            return Err(format!("`{}` has {m} values; {n} {place} of {c} components need {}", a.name, n * c));
        }
    }
    Ok(())
}

/// The binary part, blocks of length and bytes.
#[derive(Default)]
struct Appended(Vec<u8>);

impl Appended {
    /// Appends a block; gives the element that refers to it.
    fn add(&mut self, kind: &str, name: &str, components: usize, bytes: Vec<u8>) -> String {
        let offset = self.0.len();
        self.0.extend((bytes.len() as u64).to_le_bytes());
        self.0.extend(bytes);
        format!(
            "<DataArray type=\"{kind}\" Name=\"{}\" NumberOfComponents=\"{components}\" format=\"appended\" offset=\"{offset}\"/>\n",
            escape(name)
        )
    }

    fn floats(&mut self, name: &str, components: usize, values: &[f64]) -> String {
        self.add("Float64", name, components, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn attributes(&mut self, arrays: &[Array]) -> String {
        let mut out = String::new();
        for (at, element) in [(At::Points, "PointData"), (At::Cells, "CellData")] {
            out += &format!("<{element}>\n");
            for a in arrays.iter().filter(|a| a.at == at) {
                let (components, values) = a.in_space();
                out += &self.floats(&a.name, components, &values);
            }
            out += &format!("</{element}>\n");
        }
        out
    }

    fn file(self, xml: String) -> Vec<u8> {
        let mut out = xml.into_bytes();
        out.extend(b"<AppendedData encoding=\"raw\">\n_");
        out.extend(self.0);
        out.extend(b"\n</AppendedData>\n</VTKFile>\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block of the array with this name, found as a reader does: by the offset in the header.
    fn block(file: &[u8], name: &str) -> Vec<u8> {
        let text = String::from_utf8_lossy(file);
        let line = text.lines().find(|l| l.contains(&format!("Name=\"{name}\""))).unwrap();
        let offset: usize = line.split("offset=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        let mark = b"<AppendedData encoding=\"raw\">\n_";
        let start = file.windows(mark.len()).position(|w| w == mark).unwrap() + mark.len() + offset;
        let n = u64::from_le_bytes(file[start..start + 8].try_into().unwrap()) as usize;
        file[start + 8..start + 8 + n].to_vec()
    }

    fn floats(bytes: &[u8]) -> Vec<f64> {
        bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    }

    #[test]
    fn a_grid_of_two_kinds_of_cells_reads_back() {
        let grid = Grid {
            points: vec![[0.0; 3], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [2.0, 0.0, 0.0]],
            cells: vec![(Cell::Quad, vec![0, 1, 2, 3]), (Cell::Triangle, vec![1, 4, 2])],
        };
        let arrays = [
            Array::points("T <K>", 1, vec![1.0, 2.0, 3.0, 4.0, 5.0]),
            Array::cells("q", 2, vec![1.0, 2.0, 3.0, 4.0]),
            Array::cells("K", 4, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        ];
        let file = unstructured(&grid, &arrays).unwrap();
        assert_eq!(floats(&block(&file, "T &lt;K&gt;")), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(floats(&block(&file, "q")), [1.0, 2.0, 0.0, 3.0, 4.0, 0.0]);
        assert_eq!(floats(&block(&file, "K"))[9..], [5.0, 6.0, 0.0, 7.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(block(&file, "types"), [9, 5]);
        assert_eq!(
            block(&file, "offsets").as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect::<Vec<_>>(),
            [4, 7]
        );
        assert!(unstructured(&grid, &[Array::points("T", 1, vec![0.0])]).is_err());
        assert!(unstructured(&Grid { cells: vec![(Cell::Quad, vec![0, 1, 9, 3])], ..grid }, &[]).is_err());
    }

    /// Written for a reader of another make: `python -c "import meshio; print(meshio.read('target/gallery/ring.vtu'))"`.
    #[test]
    #[ignore = "writes files for a person to open; the checks of content are the tests beside it"]
    fn write_gallery() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/gallery");
        std::fs::create_dir_all(&dir).unwrap();
        let n = 12u32;
        let points = (0..=2 * n)
            .flat_map(|j| (0..=2 * n).map(move |i| [i as f64 / n as f64, j as f64 / n as f64, 0.0]))
            .collect::<Vec<_>>();
        let at = |i: u32, j: u32| j * (2 * n + 1) + i;
        let quad9 = |i: u32, j: u32| {
            let (i, j) = (2 * i, 2 * j);
            let corners = [at(i, j), at(i + 2, j), at(i + 2, j + 2), at(i, j + 2)];
            let middles = [at(i + 1, j), at(i + 2, j + 1), at(i + 1, j + 2), at(i, j + 1), at(i + 1, j + 1)];
            (Cell::Quad9, corners.into_iter().chain(middles).collect())
        };
        let cells = (0..n).flat_map(|j| (0..n).map(move |i| quad9(i, j))).collect();
        let t = points.iter().map(|p| p[0] * p[0] + p[1]).collect();
        let v = points.iter().flat_map(|p| [p[1], -p[0]]).collect();
        let k = (0..n * n).flat_map(|i| [1.0, 0.5, 0.5, i as f64]).collect();
        let arrays = [Array::points("T [K]", 1, t), Array::points("v [m/s]", 2, v), Array::cells("K [W/m/K]", 4, k)];
        std::fs::write(dir.join("quad9.vtu"), unstructured(&Grid { points, cells }, &arrays).unwrap()).unwrap();
        let values = (0..5 * 4).map(|i| i as f64).collect();
        let image = uniform([0.0; 3], [0.1, 0.2, 1.0], [4, 3, 0], &[Array::points("a", 1, values)]).unwrap();
        std::fs::write(dir.join("image.vti"), image).unwrap();
    }
}
