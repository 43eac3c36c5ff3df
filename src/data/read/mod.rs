//! Data that nobody here computed: `load("file", …)` of PNG, CSV and other text tables, NPY, NPZ, MATLAB v5.
//! The only room of `data` that touches files, and that through [`FileSystem`].

mod image;
mod mat;
mod npy;
mod text;
mod zip;

use crate::ir::Tensor;
use indexmap::IndexMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where files come from; tests put their own in its place.
pub trait FileSystem {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>>;
}

/// Files of the machine; relative paths start at `folder` (that of the program).
pub struct Folder(pub PathBuf);

impl FileSystem for Folder {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.0.join(path))
    }
}

/// What the program says of a file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Options {
    /// Spellings of a missing value: `""`, `"NaN"`, `"-999"`. Numbers are compared as numbers. Without any, a hole is an error.
    pub missing: Vec<String>,
    /// The line after the header holds the units of the columns. Bracketed units (`[K]`) are found without this.
    pub units: bool,
    /// Names of the columns, for a table without a header (or instead of it).
    pub names: Vec<String>,
}

/// The arrays of a file, by name: a CSV's columns, an NPZ's entries. An image is `image`, the array of an NPY is `data`.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    pub arrays: IndexMap<String, Array>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    /// Row-major, as the file gives them; no units applied. NaN where missing.
    pub values: Vec<f64>,
    /// Positions of missing values, ascending.
    pub missing: Vec<usize>,
    /// As written in the file, without brackets.
    pub unit: Option<String>,
    /// A column of words; then `values` is empty.
    pub words: Vec<String>,
}

/// What is wrong with a file, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadError {
    pub file: String,
    /// `line 3, column 2`, `array u`.
    pub place: Option<String>,
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "`{}`, {place}: {}", self.file, self.message),
            None => write!(f, "`{}`: {}", self.file, self.message),
        }
    }
}

/// Reads a file by its extension: png, csv, tsv, dat, txt, npy, npz, mat.
pub fn load(files: &dyn FileSystem, path: &str, options: &Options) -> Result<Loaded, ReadError> {
    let located = |(place, message): Problem| ReadError { file: path.to_string(), place, message };
    let kind = Path::new(path).extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    if !KINDS.contains(&kind.as_str()) {
        let message = format!("no reader for files that end in `.{kind}`; there are readers for {}", KINDS.join(", "));
        return Err(located((None, message)));
    }
    let bytes = files.read(path).map_err(|e| located((None, words_of(&e))))?;
    let arrays = match kind.as_str() {
        "png" => image::read(&bytes),
        "npy" => npy::read(&bytes).map(|a| IndexMap::from([("data".to_string(), a)])),
        "npz" => read_npz(&bytes),
        "mat" => mat::read(&bytes),
        "csv" => text::read(&bytes, text::Separator::Char(','), options),
        "tsv" => text::read(&bytes, text::Separator::Char('\t'), options),
        _ => text::read(&bytes, text::Separator::Blanks, options),
    };
    let mut arrays = arrays.map_err(located)?;
    for (name, array) in &mut arrays {
        array.find_missing(name, options).map_err(located)?;
    }
    Ok(Loaded { arrays })
}

const KINDS: [&str; 8] = ["png", "csv", "tsv", "dat", "txt", "npy", "npz", "mat"];

impl Loaded {
    /// The array called `name`, or the only one there is.
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.arrays.get(name)
    }

    /// Rows (first index) in which no array has a missing value. Arrays of another length do not count.
    pub fn complete_rows(&self) -> Vec<u32> {
        let rows = self.arrays.values().map(Array::rows).max().unwrap_or(0);
        let mut whole = vec![true; rows];
        for a in self.arrays.values().filter(|a| a.rows() == rows && rows > 0) {
            let width = (a.values.len() / rows).max(1);
            a.missing.iter().for_each(|&i| whole[i / width] = false);
        }
        (0..rows as u32).filter(|&i| whole[i as usize]).collect()
    }
}

impl Array {
    pub fn new(shape: Vec<usize>, values: Vec<f64>) -> Array {
        Array { shape, values, missing: vec![], unit: None, words: vec![] }
    }

    pub fn tensor(&self) -> Tensor {
        Tensor::f64(self.shape.clone(), self.values.clone())
    }

    /// Length of the first axis; 1 for a single number.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Marks declared missing values; what is not finite and not declared is an error.
    fn find_missing(&mut self, name: &str, options: &Options) -> Result<(), Problem> {
        let declared: Vec<f64> = options.missing.iter().filter_map(|m| m.trim().parse().ok()).collect();
        let nan_declared = declared.iter().any(|m| m.is_nan());
        let mut missing = std::mem::take(&mut self.missing);
        for (i, v) in self.values.iter_mut().enumerate() {
            let is_declared = if v.is_nan() { nan_declared } else { declared.contains(v) };
            if !v.is_finite() && !is_declared && missing.binary_search(&i).is_err() {
                let place = format!("array `{name}` at {:?}", indices(i, &self.shape));
                let (what, word) = if v.is_nan() { ("not a number (NaN)", "NaN") } else { ("infinite", "inf") };
                return problem(place, format!("{what}; where holes are meant, declare them: missing=\"{word}\""));
            }
            if (v.is_nan() || declared.contains(v)) && missing.binary_search(&i).is_err() {
                *v = f64::NAN;
                self.missing.push(i);
            }
        }
        missing.append(&mut self.missing);
        missing.sort_unstable();
        self.missing = missing;
        Ok(())
    }
}

/// Place and message; `load` adds the file.
type Problem = (Option<String>, String);

fn problem<T>(place: impl Into<String>, message: impl Into<String>) -> Result<T, Problem> {
    Err((Some(place.into()), message.into()))
}

fn broken<T>(message: impl Into<String>) -> Result<T, Problem> {
    Err((None, message.into()))
}

/// Bounds-checked little-endian reading, for the binary formats.
fn bytes_at(bytes: &[u8], start: usize, n: usize) -> Result<&[u8], Problem> {
    let end = start.checked_add(n);
    end.and_then(|end| bytes.get(start..end)).ok_or((None, "the file ends too early".to_string()))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<usize, Problem> {
    bytes_at(bytes, at, 2).map(|b| u16::from_le_bytes([b[0], b[1]]) as usize)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<usize, Problem> {
    bytes_at(bytes, at, 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

fn read_npz(bytes: &[u8]) -> Result<IndexMap<String, Array>, Problem> {
    let mut arrays = IndexMap::new();
    for (name, content) in zip::entries(bytes)? {
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_string();
        let array = npy::read(&content).map_err(|(_, m)| (Some(format!("array `{name}`")), m))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

fn indices(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, &n) in index.iter_mut().zip(shape).rev() {
        (*i, flat) = (flat % n, flat / n);
    }
    index
}

fn words_of(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "the file may not be read".into(),
        _ => format!("the file cannot be read: {e}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Files in memory.
    pub struct Memory(pub HashMap<&'static str, Vec<u8>>);

    impl FileSystem for Memory {
        fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
            self.0.get(path).cloned().ok_or(std::io::ErrorKind::NotFound.into())
        }
    }

    pub fn load_text(name: &'static str, content: &str, options: &Options) -> Result<Loaded, ReadError> {
        load(&Memory(HashMap::from([(name, content.as_bytes().to_vec())])), name, options)
    }

    #[test]
    fn a_missing_file_and_an_unknown_kind() {
        let none = Memory(HashMap::new());
        let e = load(&none, "a.csv", &Options::default()).unwrap_err();
        assert_eq!(e.to_string(), "`a.csv`: there is no such file");
        let e = load(&none, "a.xlsx", &Options::default()).unwrap_err();
        assert!(e.to_string().contains("readers for png, csv"), "{e}");
    }

    #[test]
    fn rows_with_holes_are_known() {
        let options = Options { missing: vec!["".into(), "-999".into()], ..Options::default() };
        let t = load_text("a.csv", "x,y\n1,2\n,3\n4,-999.0\n5,6\n", &options).unwrap();
        assert_eq!(t.arrays["x"].missing, [1]);
        assert_eq!(t.arrays["y"].missing, [2]);
        assert_eq!(t.complete_rows(), [0, 3]);
    }

    fn small(name: &str) -> Loaded {
        let folder = Folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"));
        load(&folder, name, &Options::default()).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn archives_of_numpy() {
        for file in ["stored.npz", "deflated.npz"] {
            let z = small(file);
            assert_eq!(z.arrays.keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
            assert_eq!((z.arrays["a"].shape.as_slice(), z.arrays["a"].values[5]), ([2, 3].as_slice(), 1.25));
            assert_eq!(z.arrays["b"].values, (0..24).map(f64::from).collect::<Vec<_>>());
            assert_eq!((&z.arrays["c"].values[..], &z.arrays["d"].values[..]), (&[1.0, 0.0, 1.0][..], &[-7.0][..]));
        }
    }

    #[test]
    fn damaged_archives_are_refused() {
        let whole = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/deflated.npz")).unwrap();
        for n in 0..whole.len() {
            assert!(read_npz(&whole[..n]).is_err(), "cut to {n} bytes");
        }
        let mut refused = 0;
        for i in 0..whole.len() {
            let mut one = whole.clone();
            one[i] ^= 0x55;
            refused += read_npz(&one).is_err() as usize; // never a panic; a changed date harms nobody
        }
        assert!(refused > whole.len() / 2);
    }

    #[test]
    fn variables_of_matlab() {
        for file in ["plain.mat", "compressed.mat"] {
            let m = small(file);
            assert_eq!(m.arrays.keys().collect::<Vec<_>>(), ["x", "u", "z", "z_imaginary", "n"]);
            assert_eq!(m.arrays["x"].values, [-1.0, -0.5, 0.0, 0.5, 1.0]);
            assert_eq!((m.arrays["u"].shape.as_slice(), m.arrays["u"].values[1]), ([2, 3].as_slice(), 1.0));
            assert_eq!((m.arrays["z"].values[0], m.arrays["z_imaginary"].values[0]), (1.0, 2.0));
            assert_eq!(m.arrays["n"].values, [1.0, 2.0, 300.0]);
            let whole = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)).unwrap();
            for i in 0..whole.len() {
                let mut one = whole.clone();
                one[i] ^= 0x55;
                let _ = (mat::read(&one), mat::read(&whole[..i])); // must not panic
            }
        }
    }

    #[test]
    fn a_published_table() {
        // Ghia, Ghia & Shin 1982, Table I: u at y = 0.5 is -0.20581 at Re 100.
        let t = small("ghia_et_al_1982_lid_driven_cavity.dat");
        assert_eq!(t.arrays.len(), 12);
        let row = t.arrays["column1"].values.iter().position(|&y| y == 0.5).unwrap();
        assert_eq!(t.arrays["column2"].values[row], -0.20581);
    }
}
