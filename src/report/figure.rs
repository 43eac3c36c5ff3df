//! What can be drawn, as plain data. Numbers are in the units that the labels name.

/// One picture with its words.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// Stem of the file names: letters, digits, `-` and `_`; anything else is replaced.
    pub id: String,
    pub title: String,
    pub caption: String,
    /// The study that asked for it; empty where none did.
    pub study: String,
    pub content: Content,
}

impl Figure {
    /// One that no study asked for.
    pub fn of_run(id: &str, title: String, content: Content) -> Figure {
        Figure { id: id.into(), title, caption: String::new(), study: String::new(), content }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    Lines(LinePlot),
    Fields(FieldRow),
    Film(Film),
    Bars(BarChart),
    Scales(ScaleMap),
    Tasks(TaskGraph),
    Tensors(TensorPlot),
}

#[derive(Clone, PartialEq, Default, Debug)]
pub struct Axis {
    pub label: String,
    /// `W/m/K`; empty where there is none.
    pub unit: String,
    pub log: bool,
    /// Both ends; from the data where none is given.
    pub range: Option<(f64, f64)>,
}

impl Axis {
    pub fn new(label: impl Into<String>, unit: impl Into<String>) -> Axis {
        Axis { label: label.into(), unit: unit.into(), ..Axis::default() }
    }

    /// Logarithmic; values that are not positive are left out.
    pub fn log(self) -> Axis {
        Axis { log: true, ..self }
    }

    pub fn range(self, low: f64, high: f64) -> Axis {
        Axis { range: Some((low, high)), ..self }
    }
}

/// Curves and points over two axes: profiles, training curves, convergence, parity plots.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct LinePlot {
    pub x: Axis,
    pub y: Axis,
    pub curves: Vec<Curve>,
    /// Both axes get one range, and the line y = x is drawn: a parity plot.
    pub parity: bool,
    /// Horizontal lines with a word each: bounds, tolerances.
    pub levels: Vec<(f64, String)>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Curve {
    pub label: String,
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    /// Lower and upper edge of an error band.
    pub band: Option<(Vec<f64>, Vec<f64>)>,
    pub style: Stroke,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Stroke {
    #[default]
    Solid,
    Dashed,
    /// Points only.
    Points,
    /// A line through marked points.
    Marked,
}

impl Curve {
    pub fn new(label: impl Into<String>, x: Vec<f64>, y: Vec<f64>) -> Curve {
        Curve { label: label.into(), x, y, band: None, style: Stroke::Solid }
    }

    pub fn style(self, style: Stroke) -> Curve {
        Curve { style, ..self }
    }

    pub fn band(self, low: Vec<f64>, high: Vec<f64>) -> Curve {
        Curve { band: Some((low, high)), ..self }
    }
}

/// Fields one after the other, in one place.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Film {
    /// All of one size and range.
    pub frames: Vec<FieldMap>,
    /// That each is shown.
    pub seconds: f64,
}

/// Fields side by side.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct FieldRow {
    pub panels: Vec<FieldMap>,
}

/// A scalar field in the plane.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldMap {
    pub title: String,
    /// Unit of the values.
    pub unit: String,
    pub x: Axis,
    pub y: Axis,
    pub data: FieldData,
    pub colors: ColorMap,
    /// Of the values; from the data where none is given. Two panels with one range compare.
    pub range: Option<(f64, f64)>,
    /// Number of isolines, zero for none.
    pub isolines: usize,
    /// The axes are of two kinds: the map fills its place, whatever its sides.
    pub stretched: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum FieldData {
    /// Values on a uniform grid, `values[j*nx + i]` with j upwards: of cells, or of the nodes of `nx-1` by `ny-1` cells.
    Grid { nx: usize, ny: usize, x: (f64, f64), y: (f64, f64), values: Vec<f64>, nodal: bool },
    /// Triangles and quadrilaterals by their corners, counter-clockwise; values at points or, where there are as many, in cells.
    Mesh { points: Vec<[f64; 2]>, cells: Vec<Vec<u32>>, values: Vec<f64>, nodal: bool },
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ColorMap {
    #[default]
    Viridis,
    Cividis,
    /// For signed values: blue, white, red, the range symmetric about zero.
    Diverging,
}

/// Values of named series for named groups.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct BarChart {
    pub y: Axis,
    pub groups: Vec<String>,
    /// Name and a value for each group.
    pub series: Vec<(String, Vec<f64>)>,
}

/// Which lengths and times each scale resolves, and which closures lead from one to the other.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct ScaleMap {
    pub scales: Vec<ScaleBox>,
    pub closures: Vec<ScaleArrow>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ScaleBox {
    pub name: String,
    /// Resolved lengths, metres.
    pub length: (f64, f64),
    /// Resolved times, seconds; none for a steady scale.
    pub time: Option<(f64, f64)>,
    /// `Cell on Y, n = 64`
    pub note: String,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ScaleArrow {
    pub closure: String,
    /// Indices into `scales`.
    pub from: usize,
    pub to: usize,
    /// `separation 200`
    pub note: String,
    /// The separation is thin.
    pub warn: bool,
}

/// Tasks of a run and what they need of each other.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct TaskGraph {
    pub tasks: Vec<TaskBox>,
    /// `(from, to)`: `to` needs `from`.
    pub edges: Vec<(usize, usize)>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct TaskBox {
    /// `solve Heat`
    pub label: String,
    /// `256 rows · 2.1 s`
    pub note: String,
    pub state: TaskState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskState {
    Cached,
    Ran,
    Failed,
    Waiting,
}

/// Symmetric tensors in the plane as polar plots of `n·K·n` over the direction n: a circle is isotropy.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct TensorPlot {
    pub unit: String,
    pub tensors: Vec<(String, [[f64; 2]; 2])>,
    /// Of a sample: lower and upper radius at equal angles from 0 to 2π, drawn as a band.
    pub band: Option<(Vec<f64>, Vec<f64>)>,
}
